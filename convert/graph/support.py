"""Which models there is a way for, and what to say of the others.

One table: a task or a number format that becomes convertible loses its row here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from convert.artifacts import ModelFormat, Task
from convert.errors import UnsupportedModelError

if TYPE_CHECKING:
    from convert.artifacts import Export

__all__ = ["describe", "refuse_unsupported"]

_FLOAT = frozenset({"float32", "float16-weights"})
_BUILTIN = re.compile("[A-Z0-9_]+")
_SSD_OPERATOR = "TFLite_Detection_PostProcess"  # converted as the task it belongs to
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

_NAMES = {
    Task.CLASSIFIER: "classifier",
    Task.FOMO: "FOMO object detector",
    Task.SSD: "MobileNet SSD object detector",
    Task.YOLOV2: "YOLOv2 object detector",
    Task.YOLOV5: "YOLOv5 object detector",
    Task.YOLOV5_DRPAI: "YOLOv5 object detector for DRP-AI",
    Task.YOLOX: "YOLOX object detector",
    Task.YOLOV7: "YOLOv7 object detector",
    Task.YOLO_PRO: "YOLO-Pro object detector",
    Task.YOLOV11: "YOLOv11 object detector",
    Task.YOLOV11_ABS: "YOLOv11 object detector with absolute boxes",
    Task.TAO_RETINANET: "TAO RetinaNet object detector",
    Task.TAO_SSD: "TAO SSD object detector",
    Task.TAO_YOLOV3: "TAO YOLOv3 object detector",
    Task.TAO_YOLOV4: "TAO YOLOv4 object detector",
    Task.ANOMALY: "anomaly detector",
    Task.NOT_IMAGE: "model for something else than pictures",
    Task.UNKNOWN: "model of an unknown kind",
}

# Tasks there is no head for -> what to do.
_REFUSED: dict[Task, str] = {
    Task.YOLOV2: "it is made for Akida processors, with anchors and a grid of its own; train a YOLOv5 or FOMO instead",
    Task.YOLOV7: "its graph ends in an NMS, and gives as many rows as there are objects; nvinfer needs outputs of a "
    "fixed size: export it without its NMS, or train another detector",
    Task.ANOMALY: "Gst-nvinfer has no anomaly detector; if the impulse has a classifier, too, choose it with --model",
    Task.NOT_IMAGE: "Gst-nvinfer feeds video frames; an audio or motion model cannot run in it",
    Task.UNKNOWN: "if you know what it is, say so: --task classifier, --task fomo, --task yolov5, ...",
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
    return f"{facts.quantization} {_NAMES[facts.task]}, input {size or 'unknown'}"


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
    if facts.task in {Task.NOT_IMAGE, Task.ANOMALY}:
        raise _refused(export, f"it is {_article(_NAMES[facts.task])}", _REFUSED[facts.task])
    if facts.quantization not in _FLOAT:
        reason = f"it is {_QUANTIZED.get(facts.quantization, facts.quantization)}"
        raise _refused(export, reason, _FLOAT_ONNX if is_onnx else f"convert it with --dequantize, or {_DOWNLOAD}")
    if facts.task in _REFUSED:
        raise _refused(export, f"it is {_article(_NAMES[facts.task])}", _REFUSED[facts.task])
    _refuse_shape(export)


def _custom(operator: str) -> str | None:
    """What is in the way when `operator` is none of TFLite's own, whose names are upper case."""
    if _BUILTIN.fullmatch(operator) or operator == _SSD_OPERATOR:
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
