"""The two `model-parameters/` headers of an Edge Impulse export, by year.

Which macro or declaration appears when is what Edge Impulse Studio wrote from 2020 to 2026; the wording is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "EON_FORMS",
    "Parameters",
    "categories",
    "graph",
    "guarded",
    "model_metadata_h",
    "model_variables_h",
    "quoted",
    "stem_of",
    "symbol_of",
    "usual_form",
]

EON_FORMS = ("E1", "E2", "E3")
"""The forms that hold compiled C++ instead of a flatbuffer."""

_RESIZE = {"none": 0, "fit-shortest": 1, "fit-longest": 2, "squash": 3}
_SENSORS = ("UNKNOWN", "MICROPHONE", "ACCELEROMETER", "CAMERA", "9DOF", "ENVIRONMENTAL", "FUSION")


@dataclass(frozen=True, slots=True)
class Parameters:
    """What `model-parameters/` says of one impulse. None, where allowed: the macro is left out.

    Attributes:
        year: the generation; decides where labels and thresholds stand and which names carry a suffix.
        resize_mode: "none", "fit-shortest", "fit-longest" or "squash".
        image_scaling: "none", "0_255", "torch", "min1_1", "min128_127" or "bgr_subtract_imagenet_mean".
        last_layer: an EI_CLASSIFIER_LAST_LAYER_ enumerator without that prefix: "UNKNOWN", "FOMO", "SSD", "YOLOV5", ...
        threshold: a detector's confidence threshold, 0..1; `nms_iou` its overlap.
        compiled: EON: `model_variables.h` names the compiled functions instead of an array.
        suffix_names: the names of an impulse end in project and impulse before 2025 too.
        project_in_names: from 2026: `tflite_learn_<project>_<block>` instead of `tflite_learn_<block>`.
    """

    labels: tuple[str, ...] = ("cat", "dog")
    width: int = 96
    height: int = 96
    channels: int = 3
    year: int = 2024
    resize_mode: str | None = "squash"
    image_scaling: str = "none"
    sensor: str = "CAMERA"
    project_id: int = 4711
    project_name: str = "Garden watch"
    project_owner: str = "A. Gardener"
    deploy_version: int = 3
    impulse_id: int = 1
    impulse_name: str = "Impulse #1"
    block_id: int = 5
    studio_version: tuple[int, int, int] | None = (1, 60, 2)
    last_layer: str = "UNKNOWN"
    threshold: float = 0.5
    nms_iou: float = 0.2
    quantized: bool = False
    compiled: bool = False
    suffix_names: bool = False

    @property
    def project_in_names(self) -> bool:
        """Whether symbols and files are named after project and block."""
        return self.year >= 2026

    @property
    def detector(self) -> bool:
        """Whether the last layer is one of an object detector."""
        return self.last_layer != "UNKNOWN"

    @property
    def suffix(self) -> str:
        """What names of an impulse end in: nothing until 2024, unless there are several."""
        return f"_{self.project_id}_{self.impulse_id}" if self.year >= 2025 or self.suffix_names else ""

    @property
    def block(self) -> str:
        """What names of a block end in."""
        return f"{self.project_id}_{self.block_id}" if self.project_in_names else str(self.block_id)


def symbol_of(parameters: Parameters, form: str) -> str:
    """The array (F), the INCBIN name (F4) or the prefix of the compiled functions (E)."""
    if form == "E1":
        return "trained_model"
    return "trained_tflite" if form in {"F1", "F2", "F2m"} else f"tflite_learn_{parameters.block}"


def stem_of(parameters: Parameters, form: str) -> str:
    """The model file's name without extension."""
    if form == "F2m":
        return f"tflite-trained_{parameters.project_id}_{parameters.impulse_id}"
    if form in EON_FORMS:
        return symbol_of(parameters, form) + "_compiled"
    return "tflite-trained" if form in {"F1", "F2"} else symbol_of(parameters, form)


def usual_form(p: Parameters) -> str:
    """How models were stored in that year."""
    return {2020: "F1", 2021: "F1", 2022: "F2", 2023: "F3", 2024: "F3"}.get(p.year, "F4")


def model_metadata_h(parameters: Parameters) -> str:
    """`model-parameters/model_metadata.h` of that year."""
    p = parameters
    macros: list[tuple[str, object]] = [
        *((f"SENSOR_{name}", number - (number == 0)) for number, name in enumerate(_SENSORS)),
        ("DATATYPE_FLOAT32", 1),
        ("DATATYPE_INT8", 9),
        ("PROJECT_ID", p.project_id),
        ("PROJECT_OWNER", quoted(p.project_owner)),
        ("PROJECT_NAME", quoted(p.project_name)),
        ("PROJECT_DEPLOY_VERSION", p.deploy_version),
        ("NN_INPUT_FRAME_SIZE", p.width * p.height * p.channels),
        ("RAW_SAMPLE_COUNT", p.width * p.height),
        ("RAW_SAMPLES_PER_FRAME", 1),
        ("DSP_INPUT_FRAME_SIZE", "(EI_CLASSIFIER_RAW_SAMPLE_COUNT * EI_CLASSIFIER_RAW_SAMPLES_PER_FRAME)"),
        ("INPUT_WIDTH", p.width),
        ("INPUT_HEIGHT", p.height),
    ]
    if p.resize_mode is not None and p.year >= 2024:
        mode = p.resize_mode.replace("-", "_").upper()
        macros = [*((f"RESIZE_{_macro(name)}", number) for name, number in _RESIZE.items()), *macros]
        macros.append(("RESIZE_MODE", f"EI_CLASSIFIER_RESIZE_{mode}"))
    if p.year >= 2022:
        macros.append(("INPUT_FRAMES", 1))
    datatype = f"EI_CLASSIFIER_DATATYPE_{'INT8' if p.quantized else 'FLOAT32'}"
    macros += [
        ("LABEL_COUNT", len(p.labels)),
        ("HAS_ANOMALY", 0),
        ("SENSOR", f"EI_CLASSIFIER_SENSOR_{p.sensor}"),
        ("TFLITE_INPUT_DATATYPE", datatype),
        ("OBJECT_DETECTION", int(p.detector)),
        ("INFERENCING_ENGINE", 2),
        ("COMPILED", int(p.compiled)),
        ("QUANTIZATION_ENABLED", int(p.quantized)),
    ]
    if p.year <= 2021:
        macros += [("OBJECT_DETECTION_CONSTRAINED", 1)] if p.last_layer == "FOMO" else []
    else:
        macros.append(("OBJECT_DETECTION_LAST_LAYER", f"EI_CLASSIFIER_LAST_LAYER_{p.last_layer}"))
    if p.detector and p.year <= 2022:
        macros.append(("OBJECT_DETECTION_THRESHOLD", p.threshold))
    # Studio writes blanks behind some values; readers have to cope.
    lines = [
        f"#define EI_CLASSIFIER_{name:<30} {value}{' ' * (index % 7 == 3)}"
        for index, (name, value) in enumerate(macros)
    ]
    if p.studio_version is not None and p.year >= 2024:
        parts = zip(("MAJOR", "MINOR", "PATCH"), p.studio_version, strict=True)
        lines += [f"#define EI_STUDIO_VERSION_{name} {number}" for name, number in parts]
    # The engine's macro is redefined for full TensorFlow Lite: the first definition is the export's own.
    lines += [
        "",
        "#if EI_CLASSIFIER_INFERENCING_ENGINE == 2 && EI_CLASSIFIER_USE_FULL_TFLITE == 1",
        "#undef EI_CLASSIFIER_INFERENCING_ENGINE",
        "#define EI_CLASSIFIER_INFERENCING_ENGINE 4",
        "#endif",
    ]
    if p.year <= 2021:
        lines += ["", categories(p)]
    lines += ["", "typedef struct {", "    int axes;", "    const char *channels;", "} ei_dsp_config_image_t;"]
    return guarded("MODEL_METADATA_H", ["#include <stdint.h>", "", *lines])


def model_variables_h(
    parameters: Parameters | Sequence[Parameters], form: str | None = None, *, anomaly: str | None = None
) -> str:
    """`model-parameters/model_variables.h` of that year, for one impulse or several.

    Args:
        form: how the models are stored (names of files and symbols); by default what was usual in that year.
        anomaly: the symbol of an anomaly model beside the (first) classifier.
    """
    impulses = [parameters] if isinstance(parameters, Parameters) else list(parameters)
    if len(impulses) > 1 and impulses[0].year < 2025:
        impulses = [replace(p, suffix_names=True) for p in impulses]
    lines = ["#include <stdint.h>", '#include "model_metadata.h"']
    chosen = [form or usual_form(p) for p in impulses]
    if impulses[0].year >= 2023:
        stems = [stem_of(p, name) for p, name in zip(impulses, chosen, strict=True)]
        lines += [f'#include "tflite-model/{stem}.h"' for stem in [*stems, *([anomaly] if anomaly else [])]]
    lines.append('#include "edge-impulse-sdk/classifier/ei_model_types.h"')
    for number, (p, name) in enumerate(zip(impulses, chosen, strict=True)):
        lines += ["", *_impulse(p, name, anomaly if number == 0 else None)]
    first = impulses[0]
    if first.year >= 2023:
        lines.append(f"ei_impulse_handle_t& ei_default_impulse = impulse_handle_{first.project_id}_{first.impulse_id};")
    if first.suffix:
        name = "ei_classifier_inferencing_categories"
        lines.append(f"constexpr auto& {name} = {name}{first.suffix};")
    return guarded("MODEL_VARIABLES_H", lines)


def _impulse(p: Parameters, form: str, anomaly: str | None) -> list[str]:
    """The declarations of one impulse: labels, colour, and from 2023 the chain impulse -> block -> graph -> model."""
    lines = [] if p.year <= 2021 else [categories(p)]
    lines += _dsp(p)
    if p.year <= 2022:
        return lines
    namespace = f"impulse_{p.project_id}_{p.impulse_id}::" if form == "F2m" else ""
    lines += graph(p, p.block, namespace + symbol_of(p, form))
    blocks = [("run_nn_inference", p.block_id, p.block, f"EI_CLASSIFIER_IMAGE_SCALING_{_macro(p.image_scaling)}")]
    if anomaly:
        extra = replace(p, block_id=p.block_id + 1, compiled=False, last_layer="UNKNOWN")
        lines += graph(extra, extra.block, anomaly)
        blocks.append(("run_gmm_anomaly", extra.block_id, extra.block, "EI_CLASSIFIER_IMAGE_SCALING_NONE"))
    lines.append(f"const ei_learning_block_t ei_learning_blocks{p.suffix}[] = {{")
    for function, number, block, scaling in blocks:
        fields = [str(number), f"&{function}", f"(void*)&ei_learning_block_config_{block}", scaling, "1"]
        lines += ["    {", *(f"        {field}," for field in fields), "    },"]
    lines.append("};")
    if p.detector and p.year >= 2025:
        kind = p.last_layer.lower()
        lines += [
            f"ei_fill_result_{kind}_f32_config_t ei_fill_result_{kind}_f32_config_{p.block} = {{",
            f"    .threshold = {p.threshold},",
            "};",
            f"const ei_postprocessing_block_t ei_postprocessing_blocks{p.suffix}[] = {{",
            f"    {{ .block_id = {p.block_id}, .config = (void*)&ei_fill_result_{kind}_f32_config_{p.block} }},",
            "};",
        ]
    if p.detector:
        lines += [
            f"const ei_object_detection_nms_config_t ei_object_detection_nms{p.suffix} = {{",
            "    0.0f, /* confidence */",
            f"    {p.nms_iou}f /* overlap */",
            "};",
        ]
    name = f"{p.project_id}_{p.impulse_id}"
    members: list[tuple[str, object]] = [
        ("project_id", p.project_id),
        ("project_owner", quoted(p.project_owner)),
        ("project_name", quoted(p.project_name)),
        ("impulse_id", p.impulse_id),
        ("impulse_name", quoted(p.impulse_name)),
        ("deploy_version", p.deploy_version),
        ("nn_input_frame_size", p.width * p.height * p.channels),
        ("raw_sample_count", p.width * p.height),
        ("dsp_input_frame_size", f"{p.width * p.height} * 1"),
        ("input_width", p.width),
        ("input_height", p.height),
        ("dsp_blocks", f"ei_dsp_blocks{p.suffix}"),
        ("learning_blocks", f"ei_learning_blocks{p.suffix}"),
        ("sensor", f"EI_CLASSIFIER_SENSOR_{p.sensor}"),
        ("has_anomaly", "EI_ANOMALY_TYPE_GMM" if anomaly else "EI_ANOMALY_TYPE_UNKNOWN"),
        ("label_count", len(p.labels)),
        ("categories", f"ei_classifier_inferencing_categories{p.suffix}"),
    ]
    if p.detector:
        members.append(("object_detection_nms", f"ei_object_detection_nms{p.suffix}"))
    if p.detector and p.year >= 2025:
        members.append(("postprocessing_blocks", f"ei_postprocessing_blocks{p.suffix}"))
    lines += [
        f"const ei_impulse_t impulse_{name} = {{",
        *(f"    .{field} = {value}," for field, value in members),
        "};",
        f"ei_impulse_handle_t impulse_handle_{name} = ei_impulse_handle_t(&impulse_{name});",
    ]
    return lines


def _dsp(p: Parameters) -> list[str]:
    """The picture block: three positional layouts over the years, the colour is always the last string."""
    number = f"{p.project_id}_{p.block_id - 1}" if p.project_in_names else str(p.block_id - 1)
    color = '"Grayscale"' if p.channels == 1 else '"RGB"'
    fields = ["1", "1", color] if p.year <= 2022 else [str(p.block_id - 1), "1", "1", color]
    if p.year >= 2024:
        fields = [str(p.block_id - 1), "1", "1", "NULL", "0", color]
    lines = [f"ei_dsp_config_image_t ei_dsp_config_{number} = {{ {', '.join(fields)} }};"]
    if p.year >= 2023:
        size = p.width * p.height * p.channels
        entry = f"{{ {p.block_id - 1}, {size}, &extract_image_features, (void*)&ei_dsp_config_{number} }}"
        lines.append(f"ei_model_dsp_t ei_dsp_blocks{p.suffix}[] = {{ {entry} }};")
    return lines


def graph(p: Parameters, block: str, symbol: str) -> list[str]:
    """A graph's configuration and the learning block's that points to it."""
    if p.compiled:
        graph = [f"const ei_config_tflite_eon_graph_t ei_config_graph_{block} = {{", "    .implementation_version = 1,"]
        graph += [f"    .model_{verb} = &{symbol}_{verb}," for verb in ("init", "invoke", "reset", "input", "output")]
    else:
        graph = [f"const ei_config_tflite_graph_t ei_config_graph_{block} = {{", "    .implementation_version = 1,"]
        graph += [f"    .model = {symbol},", f"    .model_size = {symbol}_len,"]
    learning = [
        f"const ei_learning_block_config_tflite_graph_t ei_learning_block_config_{block} = {{",
        "    .implementation_version = 1,",
        f"    .block_id = {p.block_id},",
    ]
    if p.year <= 2024:
        learning += [
            f"    .object_detection = {int(p.detector)},",
            f"    .object_detection_last_layer = EI_CLASSIFIER_LAST_LAYER_{p.last_layer},",
            f"    .threshold = {p.threshold if p.detector else 0},",
        ]
    learning += [
        f"    .quantized = {int(p.quantized)},",
        f"    .compiled = {int(p.compiled)},",
        f"    .graph_config = (void*)&ei_config_graph_{block},",
    ]
    return [*graph, "};", *learning, "};"]


def categories(p: Parameters) -> str:
    """The array of labels."""
    labels = ", ".join(quoted(label) for label in p.labels)
    return f"const char* ei_classifier_inferencing_categories{p.suffix}[] = {{ {labels} }};"


def _macro(value: str) -> str:
    return value.replace("-", "_").upper()


def quoted(text: str) -> str:
    """A string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def guarded(name: str, lines: Sequence[str]) -> str:
    """A header with an include guard around `lines`."""
    return "\n".join([f"#ifndef {name}", f"#define {name}", "", *lines, "", f"#endif // {name}", ""])
