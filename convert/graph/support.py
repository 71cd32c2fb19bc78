"""Which models there is a way for, and what to say of the others.

A number format that becomes convertible loses its row here; heads say so themselves (`convert.heads`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from convert.artifacts import ModelFormat
from convert.errors import UnsupportedModelError
from convert.heads import ANOMALY, HEADS, NOT_IMAGE, head

if TYPE_CHECKING:
    from convert.artifacts import Export

__all__ = ["describe", "refuse_unsupported"]

_FLOAT = frozenset({"float32", "float16-weights"})
_BUILTIN = re.compile("[A-Z0-9_]+")
_OF_HEADS = frozenset[str]().union(*(each.operators for each in HEADS))
_DOWNLOAD = (
    "download the float32 model instead: Edge Impulse Studio, Dashboard, Download block output, "
    "TensorFlow Lite (float32); in a deployment choose Unoptimized (float32) and no EON compiler"
)
# A float16 model on the CPU is 4e-4 away from itself in float32, as nvinfer would feed it: no gate could hold it.
_FLOAT_ONNX = (
    "export it in float32, inputs and outputs too (nvinfer feeds and reads nothing else; TensorRT makes FP16 of it on "
    "the device: --precision fp16), or give the TensorFlow Lite model"
)
_QUANTIZED = {
    "float16": "a float16 model",
    "int8": "an int8 model",
    "uint8": "a uint8 model",
    "int16": "an int16 model",
    "dynamic-range": "a model with int8 weights (dynamic range)",
}

# Custom operators by the beginning of their name -> what they are.
_CUSTOM = {
    "ethos-u": "it is compiled for an Arm Ethos-U",
    "edgetpu": "it is compiled for a Coral Edge TPU",
    "flex": "it holds TensorFlow operators",
}


def describe(export: Export) -> str:
    """The model in a few words: "int8 FOMO object detector, input 96x96x3"."""
    facts = export.facts
    size = "x".join("?" if dim is None else str(dim) for dim in facts.input.shape[1:])
    return f"{facts.quantization} {head(facts.task).title}, input {size or 'unknown'}"


def refuse_unsupported(export: Export) -> None:
    """Refuse a model there is no way for, before any work is done.

    Raises:
        UnsupportedModelError: it says what the model is, what is in the way, and what to do.
    """
    facts = export.facts
    is_onnx = export.format is ModelFormat.ONNX
    for operator in () if is_onnx else facts.operators:
        if reason := _custom(operator):
            raise _refused(export, reason, _DOWNLOAD)
    spec = head(facts.task)
    if spec.id in {NOT_IMAGE, ANOMALY}:
        raise _refused(export, f"it is {_article(spec.title)}", spec.refused)
    if facts.quantization not in _FLOAT:
        reason = f"it is {_QUANTIZED.get(facts.quantization, facts.quantization)}"
        raise _refused(export, reason, _FLOAT_ONNX if is_onnx else f"convert it with --dequantize, or {_DOWNLOAD}")
    if spec.refused:
        raise _refused(export, f"it is {_article(spec.title)}", spec.refused)
    _refuse_shape(export)


def _custom(operator: str) -> str | None:
    """What is in the way when `operator` is none of TFLite's own, whose names are upper case."""
    if _BUILTIN.fullmatch(operator) or operator in _OF_HEADS:
        return None
    known = next((what for start, what in _CUSTOM.items() if operator.lower().startswith(start)), None)
    return f"{known} ({operator})" if known else f"it holds the custom operator {operator}"


def _refuse_shape(export: Export) -> None:
    shape = export.facts.input.shape
    if len(shape) != 4 or None in shape:
        raise _refused(export, "its input is no picture of a fixed size", "export the model with a fixed input size")
    batch, _, _, channels = shape
    if batch != 1:
        raise _refused(export, f"its input holds {batch} pictures", "export the model for one picture at a time")
    if channels not in {1, 3} and shape[1] in {1, 3}:  # what PyTorch's own converters write
        raise _refused(export, "its input has the channels first", "give its ONNX model, where that is usual")
    if channels not in {1, 3}:
        raise _refused(
            export, f"its input has {channels} channels", "Gst-nvinfer feeds 1 (grey) or 3 (colour) channels, no other"
        )
    # Gst-nvinfer writes and reads float32 without looking at the type (nvdsinfer_context_impl.cpp).
    if (dtype := export.facts.input.dtype) != "float32":
        raise _refused(export, f"its input is {dtype}", "export the model with a float32 input")
    if others := sorted({output.dtype for output in export.facts.outputs} - {"float32"}):
        raise _refused(
            export, f"it gives {', '.join(others)}", "export the model with its scores, in float32, as output"
        )


def _refused(export: Export, reason: str, hint: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"this model cannot be converted: {reason} ({describe(export)})", hint=hint, path=export.member or export.source
    )


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"
