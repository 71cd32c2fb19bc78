"""All passes in their order, and what must hold of the model at the end.

After each pass the ONNX checker reads the model: a pass that breaks it is a bug of ours, found where it was made.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, shape_inference

from convert.artifacts import OnnxModel
from convert.errors import UnsupportedModelError
from convert.graph.batch import BATCH, dynamic_batch
from convert.graph.cleaning import clean, fold, only_real_inputs, positive_axes
from convert.graph.crop import Crop
from convert.graph.findings import TRANSPOSES_LEFT
from convert.graph.model import load_model, opset_of, shape_of, signature
from convert.graph.names import Canonical
from convert.graph.nchw import remove_transposes, transposes
from convert.graph.reshapes import merge_reshapes
from convert.graph.resize import plain_resizes
from convert.graph.scaling import Scale
from convert.heads import CONVERTIBLE, head
from convert.report import OnnxMetadata
from convert.words import INPUT_NAME, TORCH_MEAN, TORCH_STD

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnx import ModelProto

    from convert.artifacts import Export, Head, Preprocessing
    from convert.findings import Finding
    from convert.heads.base import Options

__all__ = ["PREPARE", "ship"]

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


def ship(
    data: bytes, export: Export, before: Preprocessing, options: Options
) -> tuple[OnnxModel, Head, tuple[Finding, ...]]:
    """The model of a translation as it is shipped, what nvinfer has to decode, and what was found.

    Args:
        data: tf2onnx's ModelProto for `export`, NCHW, batch 1.
        before: what of it goes into the graph: `folded` and `framing`.
        options: of detectors' heads; their framing is that of `before`.

    Raises:
        InputError: `data` is damaged, or the labels do not fit the outputs.
        TranslationError: the model cannot have a dynamic batch.
        UnsupportedModelError: there is no head for its task, or its outputs are not what the task says.
    """
    model = _run(load_model(data), *PREPARE)
    spec = head(export.facts.task)
    if spec.refused:
        raise UnsupportedModelError(
            f"there is no way yet to make the outputs of a {spec.id} model readable for Gst-nvinfer",
            hint="can be converted: " + ", ".join(CONVERTIBLE),
        )
    fitted = spec.adapt(model, export, replace(options, framing=before.framing))
    metadata = OnnxMetadata.of(export, fitted.head, before).properties()
    canonical = Canonical((*fitted.outputs, *fitted.raw), metadata)
    crop = () if before.framing is None else (Crop(before.framing),)  # the last pass in front comes first in the graph
    model = _run(fitted.model, *_FOLDED[before.folded], *crop, dynamic_batch, clean, canonical)
    del model.graph.output[len(fitted.outputs) :]  # the raw ones stay inside the graph
    _assert_shippable(model)
    findings = fitted.findings
    if left := transposes(model):
        count = "one Transpose is" if left == 1 else f"{left} Transposes are"
        findings = (TRANSPOSES_LEFT.found(f"{count} left in the graph"), *findings)
    shipped = OnnxModel(
        model.SerializeToString(deterministic=True),
        signature(model.graph.input[0]),
        tuple(map(signature, model.graph.output)),
        opset_of(model),
    )
    return shipped, fitted.head, findings


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
    assert source.name == INPUT_NAME
    for value in [source, *inferred.graph.output]:
        shape = shape_of(value.type)
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT, f"{value.name} is not float32"
        assert shape is not None
        assert value.type.tensor_type.shape.dim[0].dim_param == BATCH, f"{value.name} has no dynamic batch"
        assert None not in shape[1:], f"{value.name} is not static: {shape}"
