"""The registry of heads: every kind of last layer, in one tuple. `convert.heads.base.HeadSpec` says how to add one.

`refuse_unsupported` says what stands in the way of a model that cannot be converted, and what to do instead. A number
format that becomes convertible loses its row in `_FORMATS`; heads say so themselves.
"""

from __future__ import annotations

import re

from convert.errors import UnsupportedModelError
from convert.heads import boxes, classifier, fomo, ssd
from convert.heads.base import Fit, HeadSpec, LastLayer
from convert.types import Export, ModelFormat

__all__ = [
    "ANOMALY", "CLASSIFIER", "CONVERTIBLE", "FOMO", "HEADS", "NOT_IMAGE", "SSD", "UNKNOWN", "Fit", "HeadSpec",
    "LastLayer", "head", "possible_heads",
]  # fmt: skip

CLASSIFIER, FOMO, SSD = classifier.CLASSIFIER.id, fomo.FOMO.id, ssd.SSD.id
ANOMALY, NOT_IMAGE, UNKNOWN = "anomaly", "not-image", "unknown"


HEADS: tuple[HeadSpec, ...] = (
    classifier.CLASSIFIER,
    fomo.FOMO,
    ssd.SSD,
    boxes.END_TO_END,
    *boxes.HEADS,
    HeadSpec(
        ANOMALY,
        "anomaly detector",
        gives_grid=True,  # Edge Impulse's visual anomaly detectors give one, as FOMO does
        refused="Gst-nvinfer has no anomaly detector; if the impulse has a classifier, too, choose it with --model",
    ),
    HeadSpec(
        NOT_IMAGE,
        "model for sound, motion or other sensor data",
        refused="give convert the whole library (C++ or Arduino): of sound and sensor data it makes one ONNX with the "
        "signal processing in front; in Gst-nvinfer, which feeds video, such a model cannot run",
    ),
    HeadSpec(
        UNKNOWN,
        "model of an unknown kind",
        refused="if you know what it is, say so: --task classifier, --task fomo, --task yolov5, ...",
    ),
)
"""All of them. Of several that are likely for a shape the first is taken for the usual one."""

CONVERTIBLE = tuple(each.id for each in HEADS if not each.refused)
"""Ids of the heads that can be converted."""

_BY_ID = {each.id: each for each in HEADS}


def head(task: str) -> HeadSpec:
    """The head with this id.

    Raises:
        ValueError: there is none.
    """
    try:
        return _BY_ID[task]
    except KeyError:
        raise ValueError(f"{task!r} is no known head") from None


def possible_heads(layer: LastLayer) -> tuple[str, ...]:
    """Ids of what a last layer can be, the usual meaning first; never empty."""
    fits = sorted(((each.fit(layer), each.id) for each in HEADS), key=lambda pair: -pair[0])
    if fits[0][0] == Fit.LIKELY:
        return tuple(name for fit, name in fits if fit >= Fit.ALSO)
    return (UNKNOWN, *(name for fit, name in fits if fit))


_FLOAT = frozenset({"float32", "float16-weights"})
_BUILTIN = re.compile("[A-Z0-9_]+")
_OF_HEADS = frozenset[str]().union(*(each.operators for each in HEADS))
_DOWNLOAD = (
    "download the float32 model instead: Edge Impulse Studio, Dashboard, Download block output, "
    "TensorFlow Lite (float32); in a deployment choose Unoptimized (float32) and no EON compiler"
)
_PLAIN = "export the model without it: the float32 model of the same network holds it, too"
# A float16 model on the CPU is 4e-4 away from itself in float32, as nvinfer would feed it: no tolerance could hold it.
_FLOAT_ONNX = (
    "export it in float32, inputs and outputs too (nvinfer feeds and reads nothing else; TensorRT makes FP16 of it on "
    "the device: --precision fp16), or give the TensorFlow Lite model"
)
_FORMATS = {
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


def is_quantized(export: Export) -> bool:
    """Whether `convert.export.dequantize` has something to rewrite: weights of float16 are no reason to."""
    return export.format is ModelFormat.TFLITE and export.facts.quantization not in _FLOAT


def refuse_no_codes(export: Export) -> None:
    """Refuse a model for --precision int8 that does not compute in 8-bit codes.

    Raises:
        UnsupportedModelError: it is float, or its activations have 16 bits or none.
    """
    found = export.facts.quantization
    if export.format is ModelFormat.TFLITE and found in {"int8", "uint8"}:
        return
    hint = (
        "build the int8 variant in Studio (Dashboard: TensorFlow Lite (int8 quantized); in a deployment choose "
        "Quantized (int8)) and give that; or quantize this one from your pictures with --calibrate DIR"
    )
    reason = f"it is {_FORMATS.get(found, 'a float model')}, and --precision int8 keeps the 8-bit codes of an int8 one"
    raise _refused(export, reason, hint)


def describe(export: Export) -> str:
    """The model in a few words: "int8 FOMO object detector, input 96x96x3"."""
    facts = export.facts
    size = "x".join("?" if dim is None else str(dim) for dim in facts.input.shape[1:])
    return f"{facts.quantization} {head(facts.task).title}, input {size or 'unknown'}"


def refuse_unsupported(export: Export, *, rewritten: bool = False) -> None:
    """Refuse a model that cannot be converted, before any work is done.

    Args:
        export: its model's bytes are not read.
        rewritten: a quantized model is going to be rewritten in float32, so its number format is no reason.

    Raises:
        UnsupportedModelError: with what the model is, why it cannot be converted, and what to do.
    """
    facts = export.facts
    is_onnx = export.format is ModelFormat.ONNX
    refuse_operators(export)
    shape = facts.input.shape
    if len(shape) == 4 and None in shape[1:]:
        raise _refused(export, "its input has no fixed size", "export the model with a fixed input size")
    spec = head(facts.task)
    as_head = f"it is {'an' if spec.title[0] in 'aeio' else 'a'} {spec.title}"
    if spec.refused:
        raise _refused(export, as_head, spec.refused)
    if len(shape) != 4 or None in shape:
        raise _refused(export, "its input is no picture of a fixed size", "export the model with a fixed input size")
    batch, _, _, channels = shape
    if batch != 1:
        raise _refused(export, f"its input holds {batch} pictures", "export the model for one picture at a time")
    if channels not in {1, 3} and shape[1] in {1, 3}:  # what PyTorch's own converters write
        raise _refused(export, "its input has the channels first", "give its ONNX model, where that is usual")
    if channels not in {1, 3}:
        hint = "Gst-nvinfer feeds 1 (grey) or 3 (colour) channels, no other"
        raise _refused(export, f"its input has {channels} channels", hint)
    rewritten = rewritten and is_quantized(export)
    if facts.quantization not in _FLOAT and not rewritten:
        reason = f"it is {_FORMATS.get(facts.quantization, facts.quantization)}"
        raise _refused(export, reason, _FLOAT_ONNX if is_onnx else f"leave out --no-dequantize, or {_DOWNLOAD}")
    # Gst-nvinfer writes and reads float32 without looking at the type (nvdsinfer_context_impl.cpp).
    fine = {"float32", "int8", "uint8", "int16"} if rewritten else {"float32"}
    if (dtype := facts.input.dtype) not in fine:
        raise _refused(export, f"its input is {dtype}", "export the model with a float32 input")
    if others := sorted({output.dtype for output in facts.outputs} - fine):
        hint = "export the model with its scores, in float32, as output"
        raise _refused(export, f"it gives {', '.join(others)}", hint)


def refuse_operators(export: Export) -> None:
    """Raise UnsupportedModelError where a flatbuffer holds an operator that is not TensorFlow Lite's own."""
    for operator in () if export.format is ModelFormat.ONNX else export.facts.operators:
        # TFLite's own have names in upper case.
        if not _BUILTIN.fullmatch(operator) and operator not in _OF_HEADS:
            known = next((what for start, what in _CUSTOM.items() if operator.lower().startswith(start)), None)
            reason = f"{known} ({operator})" if known else f"it holds the custom operator {operator}"
            is_compiled = known is not None and known.startswith("it is compiled")
            raise _refused(export, reason, _DOWNLOAD if is_compiled else _PLAIN)


def _refused(export: Export, reason: str, hint: str) -> UnsupportedModelError:
    about, title = describe(export), head(export.facts.task).title
    if title in reason:
        about = about.replace(f" {title}", "", 1)
    path = export.member or export.source
    return UnsupportedModelError(f"this model cannot be converted: {reason} ({about})", hint=hint, path=path)
