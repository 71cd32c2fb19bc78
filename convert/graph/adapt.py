"""Stage 3: tf2onnx's graph becomes the model that is shipped, in passes that can be read aloud.

After each pass the ONNX checker reads the model: a pass that breaks it is a bug of ours, found where it was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, shape_inference

from convert import __version__
from convert.artifacts import Adapted, OnnxModel, StageResult, Task, Translated
from convert.errors import PresetError, UnsupportedModelError
from convert.graph.batch import BATCH, dynamic_batch
from convert.graph.cleaning import clean, fold, only_real_inputs, positive_axes
from convert.graph.findings import TRANSPOSES_LEFT
from convert.graph.heads.candidates import candidates
from convert.graph.heads.classifier import classifier
from convert.graph.heads.fitted import Options
from convert.graph.heads.fomo import fomo
from convert.graph.heads.layouts import LAYOUTS
from convert.graph.heads.recorded import recorded
from convert.graph.heads.ssd import ssd
from convert.graph.model import opset_of, shape_of, signature
from convert.graph.names import INPUT, Canonical
from convert.graph.nchw import remove_transposes, transposes
from convert.graph.preprocessing import preprocessing
from convert.graph.reshapes import merge_reshapes
from convert.graph.resize import plain_resizes
from convert.graph.scaling import TORCH_MEAN, TORCH_STD, Scale

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from onnx import ModelProto

    from convert.artifacts import Export
    from convert.graph.heads.fitted import Fitted

__all__ = ["FOMO_MERGES", "HEADS", "YOLO_SCORES", "Adapt"]

FOMO_MERGES = ("none", "peak")
YOLO_SCORES = ("product", "objectness")

HEADS: dict[Task, Callable[[ModelProto, Export, Options], Fitted]] = {
    Task.CLASSIFIER: lambda model, export, _: classifier(model, export),
    Task.FOMO: fomo,
    Task.SSD: ssd,
    **dict.fromkeys(LAYOUTS, candidates),
}
"""How each task's outputs are made readable for nvinfer."""

PREPARE = (
    only_real_inputs,
    positive_axes,
    clean,
    fold,
    plain_resizes,
    merge_reshapes,
    remove_transposes,
)
"""What happens to every graph before its head is fitted."""

_FOLDED = {"": (), "torch": (Scale(TORCH_MEAN, TORCH_STD),)}


@dataclass(frozen=True, slots=True)
class Adapt:
    """Canonical names and order, dynamic batch, outputs nvinfer can decode.

    Attributes:
        fomo_merge: what becomes of neighbouring cells in which FOMO sees the same: "none": each is an object, as the
            model says; "peak": only the highest of them is. Edge Impulse's SDK draws one box round them instead, as
            large as all of them, which no stock parser can (docs: README, Detectors).
        yolo_score: what YOLOs that have an objectness report: "product" of it and the best class, as their authors
            mean it, or the "objectness" alone, as Edge Impulse's SDK does for YOLOv5.

    Raises:
        PresetError: an option that does not exist.
    """

    fomo_merge: str = "none"
    yolo_score: str = "product"

    def __post_init__(self) -> None:
        for option, value, known in (
            ("fomo-merge", self.fomo_merge, FOMO_MERGES),
            ("yolo-score", self.yolo_score, YOLO_SCORES),
        ):
            if value not in known:
                raise PresetError(f"there is no --{option} {value!r}", hint="one of: " + ", ".join(known))

    @property
    def name(self) -> str:
        """The stage's verb."""
        return "adapt"

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - a stage's signature
        """Adapt a `Translated`.

        Raises:
            TranslationError: the model cannot have a dynamic batch.
            UnsupportedModelError: there is no head for its task, or its outputs are not what the task says.
            InputError: the labels do not fit the outputs.
            PresetError: the image scaling does not fit the channels.
        """
        assert isinstance(artifact, Translated)
        export = artifact.export
        before, findings = preprocessing(export)
        model = _run(onnx.load_model_from_string(artifact.onnx.data), *PREPARE)
        fitted = _head(export)(model, export, Options(self.fomo_merge, self.yolo_score))
        metadata = {
            **recorded(fitted.head),
            "ei_deepstream.folded": before.folded,
            "ei_deepstream.source_sha256": export.digest,
            "ei_deepstream.task": export.facts.task.value,
            "ei_deepstream.tool_version": __version__,
        }
        canonical = Canonical((*fitted.outputs, *fitted.raw), metadata)
        model = _run(fitted.model, *_FOLDED[before.folded], dynamic_batch, clean, canonical)
        del model.graph.output[len(fitted.outputs) :]  # the raw ones stay inside the graph
        _assert_shippable(model)
        if left := transposes(model):
            count = "one Transpose is" if left == 1 else f"{left} Transposes are"
            findings += (TRANSPOSES_LEFT.found(f"{count} left in the graph"),)
        shipped = OnnxModel(
            model.SerializeToString(deterministic=True),
            signature(model.graph.input[0]),
            tuple(map(signature, model.graph.output)),
            opset_of(model),
        )
        return StageResult(Adapted(artifact, shipped, fitted.head, before), findings=(*findings, *fitted.findings))


def _head(export: Export) -> Callable[[ModelProto, Export, Options], Fitted]:
    try:
        return HEADS[export.facts.task]
    except KeyError:
        raise UnsupportedModelError(
            f"there is no way yet to make the outputs of a {export.facts.task.value} model readable for Gst-nvinfer",
            hint="can be converted: " + ", ".join(task.value for task in HEADS),
        ) from None


def _run(model: ModelProto, *passes: Callable[[ModelProto], ModelProto]) -> ModelProto:
    """`passes`, in order, each one's result checked."""
    for step in passes:
        model = step(model)
        onnx.checker.check_model(model)
    return model


def _assert_shippable(model: ModelProto) -> None:
    """What everything behind this stage relies on; a failure is a bug of ours."""
    onnx.checker.check_model(model, full_check=True)
    inferred = shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    (source,) = inferred.graph.input
    assert source.name == INPUT
    for value in [source, *inferred.graph.output]:
        shape = shape_of(value.type)
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT, f"{value.name} is not float32"
        assert shape is not None
        assert value.type.tensor_type.shape.dim[0].dim_param == BATCH, f"{value.name} has no dynamic batch"
        assert None not in shape[1:], f"{value.name} is not static: {shape}"
