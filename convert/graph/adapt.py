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
from convert.errors import UnsupportedModelError
from convert.graph.batch import BATCH, dynamic_batch
from convert.graph.cleaning import clean, fold, only_real_inputs, positive_axes
from convert.graph.findings import TRANSPOSES_LEFT
from convert.graph.heads.classifier import classifier
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

__all__ = ["HEADS", "Adapt"]

HEADS: dict[Task, Callable[[ModelProto, Export], Fitted]] = {Task.CLASSIFIER: classifier}
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
    """Canonical names and order, dynamic batch, outputs nvinfer can decode."""

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
        fitted = _head(export)(model, export)
        metadata = {
            "ei_deepstream.classes": str(len(fitted.head.labels)),
            "ei_deepstream.folded": before.folded,
            "ei_deepstream.source_sha256": export.digest,
            "ei_deepstream.task": export.facts.task.value,
            "ei_deepstream.tool_version": __version__,
        }
        model = _run(fitted.model, *_FOLDED[before.folded], dynamic_batch, clean, Canonical(fitted.outputs, metadata))
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


def _head(export: Export) -> Callable[[ModelProto, Export], Fitted]:
    try:
        return HEADS[export.facts.task]
    except KeyError:
        raise UnsupportedModelError(
            f"there is no way yet to make the outputs of a {export.facts.task.value} model readable for Gst-nvinfer",
            hint="image classifiers are what can be converted today",
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
