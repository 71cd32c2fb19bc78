"""Stage 3: tf2onnx's graph becomes the model that is shipped.

`Adapt` runs all passes in their order. After each one the ONNX checker reads the model, so that a pass that breaks it
is found where it was made.

The model's bytes depend on nothing but what it computes. tf2onnx numbers tensors by a process-wide counter and iterates
over sets, so its bytes differ from run to run; TFLite names hold `;` and `:`, which break nvinfer's key files.
`canonical` orders nodes depth first from the outputs and names tensors by their place in that order; nothing of the
container, the labels, the project or the time goes in.

`read_onnx`, `recorded` and `read_head` read an ONNX file that an earlier stage wrote, for commands of single stages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from convert import __version__, types
from convert.errors import InputError, PresetError, UnsupportedModelError
from convert.graph.batch import BATCH, dynamic_batch
from convert.graph.cleanup import (
    clean,
    fold,
    merge_reshapes,
    only_real_inputs,
    plain_comparisons,
    plain_quantization,
    plain_resizes,
    positive_axes,
)
from convert.graph.findings import GENERIC_LABELS, RESIZE_ASSUMED, SCALING_ASSUMED, TRANSPOSES_LEFT
from convert.graph.graph import GraphEditor, load_model, opset_of, shape_of, signature, without_weights
from convert.graph.preprocessing import crop, preprocessing, scale
from convert.graph.quantized import pair_codes, shift
from convert.graph.resize import resize_frames, take_levels
from convert.graph.transposes import remove_transposes, transposes
from convert.heads import CONVERTIBLE, head
from convert.heads.base import Options
from convert.images import ImageScaling
from convert.images.resizing import RESIZES, Resizing
from convert.isolation import LARGE
from convert.onnx_header import Damaged, Value, parse_header
from convert.report import OnnxMetadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from convert.findings import Finding
    from convert.images import Frame


__all__ = ["FOMO_MERGES", "YOLO_SCORES", "Adapt", "canonical", "read_head", "read_onnx", "recorded", "without_assumed"]


FOMO_MERGES = ("touching", "peak", "none")
YOLO_SCORES = ("product", "objectness")


@dataclass(frozen=True, slots=True)
class Adapt:
    """Canonical names and order, dynamic batch, outputs nvinfer can decode.

    Attributes:
        fomo_merge: how neighbouring cells of a class in FOMO's grid are merged: "touching": into one box, as Edge
            Impulse's SDK does; "peak": only the highest of them is an object; "none": each is (`convert.heads.fomo`).
        yolo_score: None: a YOLO gives what Edge Impulse's SDK reports, as far as the graph can (`convert.heads.boxes`).
            Else the score of each candidate's best class where there is an objectness: its "product" with the class, as
            the authors of YOLO define it, or the "objectness" alone.
        no_suppression: for a task, why the target cannot take a graph that drops overlapping boxes itself; empty: it
            can. None: every target can.
        threshold: the lowest score of an object, or of a classifier's label, above 0 and below 1; None: as the export
            records it, else `types.DETECTOR_THRESHOLD`, for a classifier 0.
        frame: aspect of the camera's frames, for a model that was trained on cropped pictures: it then takes whole
            frames and crops them itself. Of no effect with other resize modes.
        frame_assumed: nobody said that frame (`--frame auto`), so it is not said where it has no effect.
        for_objects: of a model that crops frames, also make the one that does not (`Adapted.for_objects`).
        resize: what brings frames to the model's size: the "device", or the "graph", as Edge Impulse's SDK does
            (`convert.graph.resize`); the network then takes frames of the size that `frame` gives in pixels. "auto":
            first the device, to a whole part of the frame (`convert.images.resizing`), then the graph.
        pads: the target's Pad takes any number, for a model of codes (`convert.graph.quantized`).

    Raises:
        PresetError: an option that does not exist, or a threshold out of range.
    """

    name: ClassVar[str] = "adapt"
    fomo_merge: str = "touching"
    yolo_score: str | None = None
    no_suppression: Callable[[str], str] | None = None
    threshold: float | None = None
    frame: Frame | None = None
    frame_assumed: bool = False
    for_objects: bool = False
    resize: str = "auto"
    pads: bool = True

    def __post_init__(self) -> None:
        for option, value, known in (
            ("fomo-merge", self.fomo_merge, FOMO_MERGES),
            ("yolo-score", self.yolo_score, YOLO_SCORES),
            ("resize", self.resize, RESIZES),
        ):
            if value is not None and value not in known:
                raise PresetError(f"there is no --{option} {value!r}", hint="one of: " + ", ".join(known))
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise PresetError(f"--threshold is {self.threshold:g}", hint="a number above 0 and below 1, as 0.5")

    def __call__(self, artifact: object, workdir: Path) -> types.StageResult:  # noqa: ARG002 - a stage's signature
        """Adapt a `Translated`.

        Raises:
            TranslationError: the model cannot have a dynamic batch.
            UnsupportedModelError: there is no head for its task, or its outputs do not fit the task.
            InputError: the labels do not fit the outputs.
            PresetError: the image scaling does not fit the channels, or `frame` not `resize`.
        """
        assert isinstance(artifact, types.Translated)
        export = artifact.export
        before, findings = preprocessing(export, self.frame, assumed=self.frame_assumed, resize=self.resize)
        spec = head(export.facts.task)
        if spec.refused:
            raise UnsupportedModelError(
                f"there is no way yet to make the outputs of a {spec.id} model readable for Gst-nvinfer",
                hint="can be converted: " + ", ".join(CONVERTIBLE),
            )
        data = artifact.onnx.data
        # Nothing behind this stage reads tf2onnx's model.
        translated = replace(artifact, onnx=replace(artifact.onnx, data=b""))
        prepare = partial(_prepared, data, coded=export.coded)
        twice = self.for_objects and before.framing is not None and before.framing.crops
        if twice and len(data) <= LARGE:  # a large one is rather read again than kept twice
            prepare = partial(_copy, prepare())
        adapted, found = self._adapted(prepare, translated, before)
        if twice:
            plain, _ = self._adapted(prepare, translated, preprocessing(export)[0])
            adapted = replace(adapted, for_objects=plain)
        return types.StageResult(adapted, findings=without_assumed((*findings, *found), export))

    def _adapted(
        self, prepare: Callable[[], ModelProto], translated: types.Translated, before: types.Preprocessing
    ) -> tuple[types.Adapted, tuple[Finding, ...]]:
        """The model that is shipped, made of what `prepare` returns, and what was found."""
        export = translated.export
        spec = head(export.facts.task)
        refused = self.no_suppression(spec.id) if self.no_suppression and spec.drops_all else ""
        options = Options(self.fomo_merge, self.yolo_score, refused, before.framing, self._threshold(export))
        fitted = spec.adapt(prepare(), export, options)
        kind = fitted.head if self.threshold is None else replace(fitted.head, threshold=self.threshold)
        metadata = OnnxMetadata.of(export, kind, before).properties()
        passes: list[Callable[[ModelProto], ModelProto]] = []
        if export.coded:
            passes.append(partial(shift, pads=self.pads))
        # Each pass adds nodes in front: those of the last one come first.
        if isinstance(before.framing, Resizing):
            passes.append(partial(take_levels, scaling=export.metadata.image_scaling or ImageScaling.NONE))
            passes.append(partial(resize_frames, resizing=before.framing))
        else:
            if before.folded:
                passes.append(partial(scale, mean=types.TORCH_MEAN, std=types.TORCH_STD))
            if before.framing is not None:
                passes.append(partial(crop, framing=before.framing))
        names = (*fitted.outputs, *fitted.raw)
        found, shown = fitted.findings, len(fitted.outputs)
        cleaned = _run(fitted.model, *passes, dynamic_batch, clean)
        model = canonical(cleaned, names, metadata)
        del cleaned, fitted  # hundreds of megabytes, of a large model
        del model.graph.output[shown:]  # the raw ones stay inside the graph
        _assert_shippable(model)
        if left := transposes(model):
            count = "one Transpose is" if left == 1 else f"{left} Transposes are"
            found = (*found, TRANSPOSES_LEFT.found(f"{count} left in the graph"))
        shipped = types.OnnxModel(
            model.SerializeToString(deterministic=True),
            signature(model.graph.input[0]),
            tuple(map(signature, model.graph.output)),
            opset_of(model),
        )
        return types.Adapted(translated, shipped, kind, before), found

    def _threshold(self, export: types.Export) -> float:
        known = (self.threshold, export.metadata.threshold, types.DETECTOR_THRESHOLD)
        return next(value for value in known if value is not None)


def without_assumed(findings: Sequence[Finding], export: types.Export) -> tuple[Finding, ...]:
    """Without what had to be assumed, where `unpack` has said all of it in one finding (EI101)."""
    said = {GENERIC_LABELS.id, RESIZE_ASSUMED.id, SCALING_ASSUMED.id} if len(export.metadata.assumed) > 1 else set()
    return tuple(finding for finding in findings if finding.id not in said)


_PREPARE = (
    only_real_inputs,
    positive_axes,
    clean,
    plain_comparisons,
    plain_quantization,
    fold,
    plain_resizes,
    merge_reshapes,
    remove_transposes,
)


def _prepared(data: bytes, *, coded: bool) -> ModelProto:
    """tf2onnx's model, as all heads take it; `coded` as `Export` has it."""
    steps = [pair_codes if coded and step is plain_quantization else step for step in _PREPARE]
    return _run(load_model(data), *steps)


def _copy(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


def _run(model: ModelProto, *passes: Callable[[ModelProto], ModelProto]) -> ModelProto:
    """`passes`, in order, each one's result checked."""
    for step in passes:
        model = step(model)
        onnx.checker.check_model(without_weights(model))
    return model


_PRODUCER = "ei-deepstream"
_OLDEST_IR = 4  # the first that lets constants stand outside the inputs


def canonical(model: ModelProto, outputs: Sequence[str], metadata: Mapping[str, str]) -> ModelProto:
    """A pass: a new model with canonical names, order and storage; its input is called `x_input`.

    Args:
        outputs: names for the graph's outputs, in order.
        metadata: written to metadata_props, sorted by key.
    """
    editor = GraphEditor(model)
    source = model.graph.input[0]
    names = {source.name: types.INPUT_NAME, "": ""}
    names |= {value.name: name for value, name in zip(model.graph.output, outputs, strict=True)}
    nodes: list[NodeProto] = []
    constants: list[str] = []  # in the order of their first use
    tensors = 0
    for number, node in enumerate(editor.nodes()):
        for name in node.input:
            if name not in names:  # producers come before consumers, so this is a constant
                names[name] = f"c{len(constants)}"
                constants.append(name)
        for name in node.output:
            if name not in names:
                names[name] = f"t{tensors}"
                tensors += 1
        inputs, results = ([names[name] for name in side] for side in (node.input, node.output))
        nodes.append(helper.make_node(node.op_type, inputs, results, name=f"{node.op_type}_{number}"))
        nodes[-1].attribute.extend(sorted(node.attribute, key=lambda item: item.name))
        for item in nodes[-1].attribute:
            item.doc_string = ""
    values = [onnx.ValueInfoProto(name=names[value.name], type=value.type) for value in (source, *model.graph.output)]
    graph = helper.make_graph(nodes, _PRODUCER, values[:1], values[1:])
    opset = helper.make_opsetid("", editor.opset)
    result = helper.make_model(graph, opset_imports=[opset], producer_name=_PRODUCER, producer_version=__version__)
    # The oldest that can hold the opset: parsers warn about, or refuse, a newer one than they know.
    result.ir_version = max(_OLDEST_IR, helper.find_min_ir_version_for([opset]))
    helper.set_model_props(result, dict(sorted(metadata.items())))
    for name in constants:  # last, as what is made of a graph holds copies of all of it
        # from_array stores raw bytes, whatever field the values were in before.
        result.graph.initializer.append(numpy_helper.from_array(editor.constant(name), names[name]))
    return result


def _assert_shippable(model: ModelProto) -> None:
    """What everything behind this stage relies on; a failure is a bug of ours."""
    light = without_weights(model)
    onnx.checker.check_model(light, full_check=True)
    inferred = shape_inference.infer_shapes(light, check_type=True, strict_mode=True, data_prop=True)
    assert [value.name for value in model.graph.input] == [types.INPUT_NAME]
    source = inferred.graph.input[0]
    for value in [source, *inferred.graph.output]:
        shape = shape_of(value.type)
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT, f"{value.name} is not float32"
        assert shape is not None
        assert value.type.tensor_type.shape.dim[0].dim_param == BATCH, f"{value.name} has no dynamic batch"
        assert None not in shape[1:], f"{value.name} is not static: {shape}"


def read_onnx(path: Path) -> types.OnnxModel:
    """Read a serialised model with one input.

    Raises:
        InputError: it cannot be read, is no ONNX model, or has another number of inputs.
    """
    hint = "give the .onnx file an earlier stage wrote"
    try:
        data = path.read_bytes()
        header = parse_header(data)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path, hint="give an .onnx file") from error
    except Damaged as error:
        raise InputError("not an ONNX model", path=path, hint=hint) from error
    if not header.nodes or not header.opset:
        raise InputError("not an ONNX model", path=path, hint=hint)
    if len(header.inputs) != 1:
        raise InputError(f"the model has {len(header.inputs)} inputs, not one", path=path, hint="run translate again")
    return types.OnnxModel(data, _tensor(header.inputs[0]), tuple(map(_tensor, header.outputs)), header.opset)


def _tensor(value: Value) -> types.Tensor:
    return types.Tensor(value.name, value.shape, value.numpy_type)


def recorded(model: types.OnnxModel, path: Path) -> OnnxMetadata:
    """What an adapted model records of itself; digest, task and number of classes are there.

    Raises:
        InputError: `adapt` did not write it; `path` is named.
    """
    try:
        found = OnnxMetadata.parse(parse_header(model.data).metadata, strict=True)
    except ValueError:
        found = OnnxMetadata()
    if None in {found.source_sha256, found.task, found.classes}:
        raise InputError("not a model that `adapt` wrote", path=path, hint="run adapt on it first")
    return found


def read_head(model: OnnxMetadata, export: types.Export) -> tuple[types.Head, tuple[Finding, ...]]:
    """The head of an adapted model (see `recorded`), with the labels of `export`, and what had to be assumed.

    Raises:
        InputError: the labels do not fit.
        UnsupportedModelError: a classifier with one class.
    """
    assert model.task is not None
    assert model.classes is not None
    labels, findings = head(model.task).labels(export, model.classes)
    found = types.Head(
        model.task, labels, model.merge, model.score, model.coordinates, model.limits, model.overlap, model.threshold
    )
    return found, findings
