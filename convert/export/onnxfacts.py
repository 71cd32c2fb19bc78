"""What an ONNX model says of itself, in the words of a flatbuffer's facts: input and grids NHWC, batch 1.

Edge Impulse writes ONNX in two places: `onnx-trained.h` of TensorRT deployments (NHWC, from the flatbuffer) and the
`.onnx` of YOLO blocks (NCHW, from PyTorch). Only what the file declares is read; nothing is computed and no node is
looked into. The translation stage checks it (`convert.graph.passthrough`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from convert.artifacts import ModelFacts, Tensor
from convert.errors import InputError, UnsupportedModelError
from convert.heads import NOT_IMAGE, UNKNOWN, LastLayer, possible_heads
from convert.onnx_header import Damaged, Value, parse_header

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["onnx_facts"]

_CHANNELS: Final = {1, 3}
_QUANTIZED: Final = frozenset(
    {
        *("ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger"),
        *("QLinearConv", "QLinearMatMul", "QuantizeLinear"),
    }
)
_SAME_AS: Final = {"Softmax": "SOFTMAX", "Sigmoid": "LOGISTIC"}
"""Operators that tell last layers apart, by the names a flatbuffer has for them."""

_DAMAGED: Final = "download the export again"


def onnx_facts(data: bytes) -> tuple[ModelFacts, tuple[str, ...]]:
    """The facts, and what the last layer can be, the usual meaning first.

    Raises:
        InputError: not an ONNX model, or a damaged one.
        UnsupportedModelError: several inputs, or weights in another file.
    """
    try:
        header = parse_header(data)
    except Damaged as error:
        raise InputError("this is not an ONNX model, or a damaged one", hint=_DAMAGED) from error
    if not header.nodes or not header.outputs or not header.domains:
        raise InputError("this ONNX model is empty", hint=_DAMAGED)
    if header.external:
        raise UnsupportedModelError(
            "the model's weights lie in another file", hint="save the model with its weights in one .onnx file"
        )
    inputs = [_tensor(value) for value in header.inputs]
    if len(inputs) != 1:
        raise UnsupportedModelError(
            f"the model has {len(inputs)} inputs", hint="only models with one input, a picture, can be converted"
        )
    outputs = [_tensor(value) for value in header.outputs]
    operators = {node.op for node in header.nodes}
    source, is_nchw = _nhwc(inputs[0])
    tasks, outputs = _tasks(source, outputs, operators, is_nchw=is_nchw)
    quantization = "int8" if operators & _QUANTIZED else source.dtype
    return ModelFacts(source, tuple(outputs), tuple(sorted(operators)), quantization, tasks[0]), tasks


def _tensor(value: Value) -> Tensor:
    """Of a graph; a batch that is left open is 1, as it will be run."""
    shape = [size if size and size > 0 else None for size in value.shape]
    if shape and shape[0] is None:
        shape[0] = 1
    return Tensor(value.name, tuple(shape), value.numpy_type)


def _nhwc(tensor: Tensor) -> tuple[Tensor, bool]:
    """The input as a flatbuffer would have it, and whether it is NCHW.

    Where first and last dimension could both be channels it is, as ONNX has it by its own convention.
    """
    match tensor.shape:
        case (batch, channels, height, width) if channels in _CHANNELS:
            return Tensor(tensor.name, (batch, height, width, channels), tensor.dtype), True
    return tensor, False


def _tasks(
    source: Tensor, outputs: list[Tensor], operators: set[str], *, is_nchw: bool
) -> tuple[tuple[str, ...], list[Tensor]]:
    match source.shape:
        case (_, 1, _, _) | (_, _, 1, _):
            return (NOT_IMAGE,), outputs
        case (_, int() as height, int() as width, channels) if channels in _CHANNELS and len(outputs) == 1:
            pass
        case (_, _, _, _):
            return (UNKNOWN,), outputs
        case _:
            return (NOT_IMAGE,), outputs
    names = frozenset(_SAME_AS.get(name, name) for name in operators)
    tasks = possible_heads(LastLayer(height, width, outputs[0].shape, names))
    match outputs[0].shape:
        case (batch, depth, rows, columns) if is_nchw and tasks[0] == UNKNOWN:
            turned: Sequence[int | None] = (batch, rows, columns, depth)
            tasks = possible_heads(LastLayer(height, width, tuple(turned), names))
            outputs = [Tensor(outputs[0].name, tuple(turned), outputs[0].dtype)]
    return tasks, outputs
