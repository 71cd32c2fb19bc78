"""TFLite_Detection_PostProcess, the operator that MobileNet SSD ends in: what it says, and the model without it.

The operator (tensorflow/lite/kernels/detection_postprocess.cc) decodes boxes against anchors and runs an NMS whose
number of results is known afterwards only; no ONNX operator that TensorRT builds does that. So the model is cut off
before it, and `convert.graph.heads.ssd` decodes. Its parameters are a flexbuffer map; its inputs are encoded boxes
[1,A,4+] (y, x, h, w), scores [1,A,K] and constant anchors [A,4] (y, x, h, w), in this order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.artifacts import Limits
from convert.errors import InputError, UnsupportedModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["OPERATOR", "PostProcess", "read_postprocess", "without_postprocess"]

OPERATOR = "TFLite_Detection_PostProcess"

_INTEGERS = ("max_detections", "num_classes")
_FRACTIONS = ("nms_score_threshold", "nms_iou_threshold")
_SCALES = ("y_scale", "x_scale", "h_scale", "w_scale")
_LARGEST = 1e6  # far beyond any of these numbers that makes sense
_DAMAGED = "download the export again"
_KEPT = ("FLOAT32", "FLOAT16", "INT8", "UINT8")


@dataclass(frozen=True, eq=False)
class PostProcess:
    """What the operator knows.

    Attributes:
        anchors: float32 [A,4], y and x of the centre, height, width, in shares of the picture.
        scales: y, x, h, w; encoded values are divided by them.
        classes: without background.
        limits: what it keeps.
    """

    anchors: NDArray[np.float32]
    scales: tuple[float, float, float, float]
    classes: int
    limits: Limits


def read_postprocess(model: bytes) -> PostProcess:
    """The operator of a flatbuffer that ends in it.

    Raises:
        InputError: its parameters or anchors are damaged.
        UnsupportedModelError: the model does not end in it, or its anchors are computed.
    """
    tree = _tree(model)
    operator = _operator(tree)
    said = _parameters(operator)
    anchors = _anchors(tree, operator.inputs[2])
    numbers = {name: said.get(name) for name in (*_INTEGERS, *_FRACTIONS, *_SCALES)}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
            raise _damaged(f"{name} is {'missing' if value is None else repr(value)}")
        if (name in _SCALES or name in _INTEGERS) and value <= 0:
            raise _damaged(f"{name} is {value}")
    y, x, h, w = (float(said[name]) for name in _SCALES)
    # float32 in the file: 0.6 there is 0.60000002384 as a double, which nobody wants to read in a config
    score, overlap = (min(max(float(str(np.float32(said[name]))), 0.0), 1.0) for name in _FRACTIONS)
    detections, classes = (int(said[name]) for name in _INTEGERS)
    return PostProcess(anchors, (y, x, h, w), classes, Limits(detections, score, overlap))


def without_postprocess(model: bytes) -> bytes:
    """The flatbuffer cut off before the operator: its outputs are the encoded boxes and the scores.

    Raises:
        UnsupportedModelError: the model does not end in it.
    """
    import flatbuffers  # noqa: PLC0415 - only SSD models need it

    tree = _tree(model)
    operator = _operator(tree)
    graph = tree.subgraphs[0]
    graph.operators = graph.operators[:-1]
    graph.outputs = [int(index) for index in operator.inputs[:2]]
    tree.signatureDefs = None  # they name the outputs that are gone
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tree(model: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - a third of a second, for SSD models only

    return schema.ModelT.InitFromPackedBuf(model, 0)


def _operator(tree: Any) -> Any:
    """The last operator, which makes all of the graph's outputs."""
    graph = tree.subgraphs[0]
    last = graph.operators[-1]
    code = tree.operatorCodes[last.opcodeIndex].customCode
    if code != OPERATOR.encode() or len(last.inputs) != 3 or not set(graph.outputs) <= set(last.outputs):
        raise UnsupportedModelError(
            f"a MobileNet SSD ends in {OPERATOR}, whose results are its outputs; this model does not",
            hint="give the real --task, or export the model again",
        )
    return last


def _parameters(operator: Any) -> dict[str, Any]:
    from flatbuffers import flexbuffers  # noqa: PLC0415 - only SSD models need it

    data = bytes(bytearray(operator.customOptions if operator.customOptions is not None else ()))
    try:
        said = flexbuffers.Loads(data)
    except Exception as error:  # its reader raises whatever the bytes lead it to
        raise _damaged("they cannot be read") from error
    if not isinstance(said, dict):
        raise _damaged("they are no map")
    return said


def _anchors(tree: Any, index: int) -> NDArray[np.float32]:
    """A constant [A,4], dequantized if need be."""
    graph = tree.subgraphs[0]
    for operator in graph.operators:
        if index in operator.outputs:  # DEQUANTIZE of a constant
            index = int(operator.inputs[0])
            break
    tensor = graph.tensors[index]
    data = tree.buffers[tensor.buffer].data
    if data is None or len(data) == 0:
        raise UnsupportedModelError("the anchors of this SSD are not constant", hint="export the model again")
    kind = _dtype(tensor.type)
    values = np.frombuffer(bytes(bytearray(data)), kind)
    shape = [int(size) for size in tensor.shape]
    if len(shape) != 2 or shape[1] != 4 or values.size != shape[0] * 4:
        raise InputError(f"the anchors of this SSD are {shape} instead of one row (y, x, h, w) each", hint=_DAMAGED)
    anchors = values.reshape(shape).astype(np.float32)
    scales = tensor.quantization.scale if tensor.quantization is not None else None
    if kind.kind in "iu" and scales is not None:
        zero = np.float32(tensor.quantization.zeroPoint[0])
        anchors = (anchors - zero) * np.float32(scales[0])
    if not np.isfinite(anchors).all() or (anchors[:, 2:] <= 0).any():
        raise InputError("the anchors of this SSD are damaged: not every one has a size", hint=_DAMAGED)
    return anchors


def _dtype(number: int) -> np.dtype[Any]:
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - as above

    for name in _KEPT:
        if number == getattr(schema.TensorType, name):
            return np.dtype(name.lower())
    raise InputError("the anchors of this SSD are no numbers", hint=_DAMAGED)


def _damaged(what: str) -> InputError:
    return InputError(f"the parameters of {OPERATOR} are damaged: {what}", hint=_DAMAGED)
