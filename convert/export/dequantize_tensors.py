"""The tensors of a TFLite model in object form: their real values, new ones, and writing the model with those in use.

Quantization is real = scale * (q - zero_point), for one tensor or along one axis of it (the TFLite quantization
specification). Products are computed in float64, where a float32 scale times an integer of up to 29 bits is exact, and
rounded once to float32.

Between which values an operator's float result lies, as far as that follows from its inputs.

An int8 kernel cuts its result at the ends of the output's quantized range. Where the float result cannot go beyond
them, nothing has to be cut: after ReLU6 in a range of 0 to 6, behind a softmax, through a reshape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from convert.export.eon_operators import DTYPES, OPERATORS, VERSIONS
from convert.export.tflite import operator_codes, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray


__all__ = [
    "ANYTHING",
    "FUSES_RELU",
    "NONE",
    "QUANTIZED",
    "RELU",
    "RELU6",
    "Quantization",
    "Range",
    "add_constant",
    "add_tensor",
    "finish",
    "quantization_of",
    "result_range",
    "set_values",
    "tensor_name",
    "values_of",
]


QUANTIZED = {schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT16}
"""Types of quantized activations; weights have the first two, biases int32 or int64."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """One scale and zero point, or one for each index along `axis`."""

    scale: NDArray[np.float64]
    zero_point: NDArray[np.int64]
    axis: int

    def real(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """What the integers `values` stand for, in their shape."""
        shape = [1] * values.ndim
        if self.scale.size > 1:
            shape[self.axis] = self.scale.size
        scale, zero = self.scale.reshape(shape), self.zero_point.reshape(shape)
        real: NDArray[np.float32] = ((values.astype(np.int64) - zero) * scale).astype(np.float32)
        return real

    def limits(self, dtype: np.dtype[Any]) -> tuple[float, float]:
        """The least and the greatest real value of a tensor of `dtype` with one scale."""
        info = np.iinfo(dtype)
        low, high = (np.array([info.min, info.max], np.int64) - self.zero_point[0]) * self.scale[0]
        return float(low), float(high)


def quantization_of(tensor: Any) -> Quantization | None:
    """The quantization of a `TensorT`; None where it has none."""
    found = tensor.quantization
    if found is None or found.scale is None or len(found.scale) == 0:
        return None
    scale = np.asarray(found.scale, np.float64)
    zero = np.zeros(len(scale), np.int64)
    if found.zeroPoint is not None and len(found.zeroPoint):
        zero = np.broadcast_to(np.asarray(found.zeroPoint, np.int64), scale.shape)
    return Quantization(scale, zero, int(found.quantizedDimension))


def values_of(model: Any, tensor: Any) -> NDArray[Any] | None:
    """The values of a constant `TensorT` of `model`, in its shape; None where it is computed."""
    data = model.buffers[tensor.buffer].data
    if data is None or len(data) == 0 or tensor.type not in DTYPES:
        return None
    shape = () if tensor.shape is None else tuple(int(size) for size in tensor.shape)
    return np.frombuffer(np.ascontiguousarray(data, np.uint8).tobytes(), DTYPES[tensor.type]).reshape(shape)


def set_values(model: Any, tensor: Any, values: NDArray[Any]) -> None:
    """Give `TensorT` `tensor` of `model` a buffer of its own with `values`."""
    tensor.buffer = len(model.buffers)
    model.buffers.append(schema.BufferT(np.frombuffer(values.tobytes(), np.uint8)))


def add_tensor(model: Any, name: str, shape: Any) -> int:
    """A new float32 tensor of the first subgraph; its index."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, schema.TensorType.FLOAT32, 0
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def add_constant(model: Any, name: str, values: NDArray[Any]) -> int:
    """A new constant of float32 or int32; its index."""
    index = add_tensor(model, name, np.array(values.shape, np.int32))
    tensor = model.subgraphs[0].tensors[index]
    set_values(model, tensor, values)
    if values.dtype.kind == "i":
        tensor.type = schema.TensorType.INT32
    return index


def tensor_name(model: Any, index: int) -> str:
    """The name of a tensor of the first subgraph."""
    name = model.subgraphs[0].tensors[index].name
    return str(name, "utf-8", "replace") if isinstance(name, bytes) else str(name)


def finish(model: Any, calls: list[tuple[str, Any]]) -> bytes:
    """The flatbuffer of `model` with `calls` as its operators, and the tensors and buffers still used.

    Args:
        model: a `ModelT` with one subgraph; changed.
        calls: name and `OperatorT`, in order; their tensor indices are those of `model`.
    """
    graph = model.subgraphs[0]
    graph.operators = [call for _, call in calls]
    _codes(model, calls)
    _drop_tensors(model, graph)
    _drop_buffers(model, graph)
    return pack(model)


def _codes(model: Any, calls: list[tuple[str, Any]]) -> None:
    codes: dict[tuple[int, bytes | None, int], int] = {}
    for name, call in calls:
        if name in OPERATORS:
            key = (getattr(schema.BuiltinOperator, name), None, VERSIONS.get(name, 1))
        else:
            old = model.operatorCodes[call.opcodeIndex]
            key = (max(old.builtinCode, old.deprecatedBuiltinCode), old.customCode, old.version)
        call.opcodeIndex = codes.setdefault(key, len(codes))
    model.operatorCodes = operator_codes(codes)


def _drop_tensors(model: Any, graph: Any) -> None:
    """Keep the tensors that something refers to, in their order."""
    lists = [graph.inputs, graph.outputs, *(call.inputs for call in graph.operators)]
    lists += [call.outputs for call in graph.operators]
    lists += [call.intermediates for call in graph.operators if call.intermediates is not None]
    used = sorted({int(index) for some in lists for index in some if index >= 0})
    place = {old: new for new, old in enumerate(used)} | {-1: -1}
    graph.tensors = [graph.tensors[index] for index in used]
    graph.inputs, graph.outputs = _moved(graph.inputs, place), _moved(graph.outputs, place)
    for call in graph.operators:
        call.inputs, call.outputs = _moved(call.inputs, place), _moved(call.outputs, place)
        if call.intermediates is not None:
            call.intermediates = _moved(call.intermediates, place)
    # Signatures name tensors that may be gone; nothing that reads our result needs them.
    model.signatureDefs = None


def _moved(indices: Iterable[int], place: dict[int, int]) -> Any:
    return np.array([place[int(index)] for index in indices], np.int32)


def _drop_buffers(model: Any, graph: Any) -> None:
    """Keep the first buffer, which is empty by convention, and those that tensors refer to; metadata goes."""
    model.metadata = model.metadataBuffer = None
    buffers = [schema.BufferT()]
    for tensor in graph.tensors:
        data = model.buffers[tensor.buffer].data
        tensor.buffer = 0
        if data is not None and len(data):
            tensor.buffer = len(buffers)
            buffers.append(schema.BufferT(np.asarray(data, np.uint8)))
    model.buffers = buffers


Range: TypeAlias = tuple[float, float]
"""Least and greatest value."""

ANYTHING: Range = (-math.inf, math.inf)

NONE, RELU, RELU6 = 0, 1, 3
"""ActivationFunctionType of the schema."""

_ACTIVATIONS: dict[int, Range] = {RELU: (0, math.inf), 2: (-1, 1), RELU6: (0, 6), 4: (-1, 1)}

FUSES_RELU = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "MUL", "DIV"}
"""Operators whose float kernels apply a fused ReLU and ReLU6."""

# The result consists of input values, or lies between them; further inputs say where or how.
_OF_FIRST = {
    *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "STRIDED_SLICE", "SLICE", "GATHER", "GATHER_ND", "TILE"),
    *("REVERSE_V2", "UNPACK", "SPLIT_V", "MAX_POOL_2D", "MEAN", "REDUCE_MAX", "REDUCE_MIN", "MIRROR_PAD"),
    *("AVERAGE_POOL_2D", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE"),
    *("QUANTIZE", "DEQUANTIZE", "BROADCAST_TO", "TOPK_V2"),
}
_FIXED: dict[str, Range] = {"LOGISTIC": (0, 1), "SOFTMAX": (0, 1), "TANH": (-1, 1), "L2_NORMALIZATION": (-1, 1)}


def result_range(name: str, options: Any, inputs: list[Range]) -> Range:
    """The range of the float result of operator `name`.

    Args:
        options: its options table, or None.
        inputs: the ranges of its inputs; ANYTHING where not known.
    """
    found = _result(name, options, inputs)
    fused = _ACTIVATIONS.get(getattr(options, "fusedActivationFunction", NONE), ANYTHING)
    return _within(found, fused)


def _result(name: str, options: Any, inputs: list[Range]) -> Range:
    if name in _FIXED:
        return _FIXED[name]
    if not inputs or (name in _PAIRS and len(inputs) < 2):
        return ANYTHING
    if name in _OF_FIRST:
        return inputs[0]
    low, high = _RULES[name](options, inputs) if name in _RULES else ANYTHING
    # inf - inf and 0 * inf: nothing is known.
    return ANYTHING if math.isnan(low) or math.isnan(high) else (low, high)


def _within(value: Range, limits: Range) -> Range:
    low, high = (min(max(end, limits[0]), limits[1]) for end in value)
    return low, high


def _union(ranges: list[Range]) -> Range:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _leaky(options: Any, inputs: list[Range]) -> Range:
    alpha = getattr(options, "alpha", 0)
    low, high = (end if end >= 0 else alpha * end for end in inputs[0])
    return (low, high) if alpha >= 0 else ANYTHING


def _product(_: Any, inputs: list[Range]) -> Range:
    corners = [first * second for first in inputs[0] for second in inputs[1]]
    return (math.nan, math.nan) if any(map(math.isnan, corners)) else (min(corners), max(corners))


def _with_zero(_: Any, inputs: list[Range]) -> Range:
    return _union([inputs[0], (0, 0)])


_PAIRS = {"ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"}
_RULES: dict[str, Callable[[Any, list[Range]], Range]] = {
    "ABS": lambda _, inputs: (0, max(map(abs, inputs[0]))),
    "ADD": lambda _, inputs: (inputs[0][0] + inputs[1][0], inputs[0][1] + inputs[1][1]),
    "BATCH_TO_SPACE_ND": _with_zero,
    "CONCATENATION": lambda _, inputs: _union(inputs),
    "HARD_SWISH": lambda _, inputs: (-0.375, max(0, inputs[0][1])),
    "LEAKY_RELU": _leaky,
    "MAXIMUM": lambda _, inputs: (max(inputs[0][0], inputs[1][0]), max(inputs[0][1], inputs[1][1])),
    "MINIMUM": lambda _, inputs: (min(inputs[0][0], inputs[1][0]), min(inputs[0][1], inputs[1][1])),
    "MUL": _product,
    "PACK": lambda _, inputs: _union(inputs),
    "PAD": _with_zero,
    "PADV2": lambda _, inputs: _union([inputs[0], inputs[-1]]),
    "RELU": lambda _, inputs: _within(inputs[0], _ACTIVATIONS[RELU]),
    "RELU6": lambda _, inputs: _within(inputs[0], _ACTIVATIONS[RELU6]),
    "RELU_0_TO_1": lambda _, inputs: _within(inputs[0], (0, 1)),
    "RELU_N1_TO_1": lambda _, inputs: _within(inputs[0], (-1, 1)),
    "SPACE_TO_BATCH_ND": _with_zero,
    "SPLIT": lambda _, inputs: inputs[-1],
    "SUB": lambda _, inputs: (inputs[0][0] - inputs[1][1], inputs[0][1] - inputs[1][0]),
}
