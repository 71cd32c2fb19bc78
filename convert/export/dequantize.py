"""Rewrites a quantized TFLite network as the float32 network it stands for.

Quantization is real = scale * (q - zero_point), for one tensor or along one axis of it (the TFLite quantization
specification). Products are computed in float64, where a float32 scale times an integer of up to 29 bits is exact, and
rounded once to float32.

An int8 kernel computes the float operator on the real values its integers stand for, rounds the result, and clips it to
the output's quantized range. Rounding is noise and is left out, except that of the first layer, which `keep_steps` can
put back, and that of every activation where a network is small and few values decide. Clipping can be a
part of the network (converters drop a ReLU that the range already does, and calibration clips outliers), so it stays:
as a fused ReLU or ReLU6 where it is one, else as MAXIMUM and MINIMUM. It is left out where `result_range` shows that
the float result stays inside: after ReLU6 in a range of 0 to 6, behind a softmax, through a reshape. A clip by no more
than one step of the range, such as softmax's 255/256 for 1, is rounding too.

The first layer is special because, where a picture is smooth, it gives nearly the same value at neighbouring pixels and
rounds it the same way: an error that does not average out over the picture, as those of later layers do, and that can
decide. Quantizing and dequantizing a float tensor ("fake quantization") has jumps, and at a jump a difference in the
last bit of a sum, which depends on the runtime, becomes a whole step. So the rounding is a soft one, a staircase that
rises along ramps of a finite slope: two runtimes stay as near to each other as they were, but for that slope.

    v = x / scale - (1/2 - 1 / (2 SLOPE)),   n = floor(v),   y = scale * (n + min(SLOPE * (v - n), 1))

It is continuous and never falls; it is round(x / scale) * scale, except within 1 / (2 SLOPE) of the middle between two
steps, where it rises from the one to the other. Real 0 is a step whatever the zero point is, since that is an integer.
Every operator works value by value and is in the list of TensorRT 7.0's ONNX parser (operators.md of onnx-tensorrt),
the oldest that a target here has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from convert.errors import UnsupportedModelError
from convert.export.eon_operators import DTYPES, OPERATORS, VERSIONS, Quantization
from convert.export.facts import facts_of
from convert.export.tflite import POST_PROCESS, called_operator, operator_codes, pack, read_graph, unpack
from convert.findings import Finding, Rule
from convert.types import ROUNDED, Export

if TYPE_CHECKING:
    from numpy.typing import NDArray


DEQUANTIZED = Rule("EI151")
INPUT_CLAMP = Rule("EI152")

QUANTIZED = {schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT16}
"""Types of quantized activations; weights have the first two, biases int32 or int64."""


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
    codes: dict[tuple[int, bytes | None, int], int] = {}
    for name, call in calls:
        if name in OPERATORS:
            key = (getattr(schema.BuiltinOperator, name), None, VERSIONS.get(name, 1))
        else:
            old = model.operatorCodes[call.opcodeIndex]
            key = (max(old.builtinCode, old.deprecatedBuiltinCode), old.customCode, old.version)
        call.opcodeIndex = codes.setdefault(key, len(codes))
    model.operatorCodes = operator_codes(codes)
    _drop_tensors(model, graph)
    model.metadata = model.metadataBuffer = None
    buffers = [schema.BufferT()]  # by convention the first one is empty
    for tensor in graph.tensors:
        data = model.buffers[tensor.buffer].data
        tensor.buffer = 0
        if data is not None and len(data):
            tensor.buffer = len(buffers)
            buffers.append(schema.BufferT(np.asarray(data, np.uint8)))
    model.buffers = buffers
    return pack(model)


def _drop_tensors(model: Any, graph: Any) -> None:
    """Remove the tensors that nothing refers to; the others stay in order."""
    lists = [graph.inputs, graph.outputs, *(call.inputs for call in graph.operators)]
    lists += [call.outputs for call in graph.operators]
    lists += [call.intermediates for call in graph.operators if call.intermediates is not None]
    used = sorted({int(index) for some in lists for index in some if index >= 0})
    place = {old: new for new, old in enumerate(used)} | {-1: -1}
    graph.tensors = [graph.tensors[index] for index in used]
    for owner in (graph, *graph.operators):
        for end in ("inputs", "outputs", "intermediates"):
            if (indices := getattr(owner, end, None)) is not None:
                setattr(owner, end, np.array([place[int(index)] for index in indices], np.int32))
    # Signatures name tensors that may be gone; nothing that reads our result needs them.
    model.signatureDefs = None


Range: TypeAlias = tuple[float, float]
"""Least and greatest value."""

ANYTHING: Range = (-math.inf, math.inf)

NONE, RELU, RELU6 = 0, 1, 3
"""ActivationFunctionType of the schema."""

_FUSED: dict[int, Range] = {RELU: (0, math.inf), 2: (-1, 1), RELU6: (0, 6), 4: (-1, 1)}

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
    fused = _FUSED.get(getattr(options, "fusedActivationFunction", NONE), ANYTHING)
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


_PAIRS = {"ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"}
_RULES: dict[str, Callable[[Any, list[Range]], Range]] = {
    **dict.fromkeys(("BATCH_TO_SPACE_ND", "PAD", "SPACE_TO_BATCH_ND"), lambda _, inputs: _union([inputs[0], (0, 0)])),
    **dict.fromkeys(("CONCATENATION", "PACK"), lambda _, inputs: _union(inputs)),
    "ABS": lambda _, inputs: (0, max(map(abs, inputs[0]))),
    "ADD": lambda _, inputs: (inputs[0][0] + inputs[1][0], inputs[0][1] + inputs[1][1]),
    "HARD_SWISH": lambda _, inputs: (-0.375, max(0, inputs[0][1])),
    "LEAKY_RELU": _leaky,
    "MAXIMUM": lambda _, inputs: (max(inputs[0][0], inputs[1][0]), max(inputs[0][1], inputs[1][1])),
    "MINIMUM": lambda _, inputs: (min(inputs[0][0], inputs[1][0]), min(inputs[0][1], inputs[1][1])),
    "MUL": _product,
    "PADV2": lambda _, inputs: _union([inputs[0], inputs[-1]]),
    "RELU": lambda _, inputs: _within(inputs[0], _FUSED[RELU]),
    "RELU6": lambda _, inputs: _within(inputs[0], _FUSED[RELU6]),
    "RELU_0_TO_1": lambda _, inputs: _within(inputs[0], (0, 1)),
    "RELU_N1_TO_1": lambda _, inputs: _within(inputs[0], (-1, 1)),
    "SPLIT": lambda _, inputs: inputs[-1],
    "SUB": lambda _, inputs: (inputs[0][0] - inputs[1][1], inputs[0][1] - inputs[1][0]),
}


SLOPE = 4
"""How steep the ramps are: a quarter of every step is ramp.

Measured on seven real models with generated scenes and crops of photographs. A model that decides as its original on
97.6 % of scenes does on 98.9 % with a slope of 2, on 99.4 % with 4, on 99.6 % with 16; the others gain 0 to 0.6 points,
and lose nothing. The largest difference between LiteRT and ONNX Runtime is 5.1e-5 with 4 (3.8e-5 without steps) and
8.9e-5 with 8, of 1e-4 that are allowed. The first three layers gain up to 0.6 points more, and take 1.7e-4.
"""

_OPTIONS: dict[str, tuple[type[Any], int]] = {
    "ADD": (schema.AddOptionsT, schema.BuiltinOptions.AddOptions),
    "SUB": (schema.SubOptionsT, schema.BuiltinOptions.SubOptions),
    "MUL": (schema.MulOptionsT, schema.BuiltinOptions.MulOptions),
    "MAXIMUM": (schema.MaximumMinimumOptionsT, schema.BuiltinOptions.MaximumMinimumOptions),
    "MINIMUM": (schema.MaximumMinimumOptionsT, schema.BuiltinOptions.MaximumMinimumOptions),
}


def _called(name: str, inputs: Sequence[int], output: int) -> tuple[str, Any]:
    """A new operator: its name and `OperatorT`, with options that are at their defaults."""
    call = schema.OperatorT()
    call.inputs, call.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
    if name in _OPTIONS:
        kind, call.builtinOptionsType = _OPTIONS[name]
        call.builtinOptions = kind()
    return name, call


def keep_steps(
    model: Any, calls: list[tuple[str, Any]], activations: Sequence[tuple[int, float]], *, soft: bool = True
) -> list[tuple[str, Any]]:
    """`calls` with a rounding behind each of `activations`; those who read them read what is rounded.

    Args:
        model: the `ModelT` of one subgraph that `calls` belong to; it gets tensors and constants.
        calls: name and `OperatorT`, in order.
        activations: index and step of float32 tensors: inputs, and what one of `calls` writes.
        soft: along ramps, else with jumps.
    """
    steps = dict(activations)
    result: list[tuple[str, Any]] = []
    graph = model.subgraphs[0]
    instead = {}
    for index in map(int, graph.inputs):
        if index in steps:
            instead[index] = add_tensor(model, f"{tensor_name(model, index)}_rounded", graph.tensors[index].shape)
            result += _staircase(model, index, instead[index], steps[index], soft=soft)
    for name, call in calls:
        call.inputs = np.array([instead.get(int(index), int(index)) for index in call.inputs], np.int32)
        outputs = [int(index) for index in call.outputs]
        added: list[tuple[str, Any]] = []
        for place, index in enumerate(outputs):
            if index in steps:
                outputs[place] = add_tensor(model, f"{tensor_name(model, index)}_unrounded", graph.tensors[index].shape)
                added += _staircase(model, outputs[place], index, steps[index], soft=soft)
        call.outputs = np.array(outputs, np.int32)
        result += [(name, call), *added]
    return result


def _staircase(model: Any, source: int, target: int, step: float, *, soft: bool) -> list[tuple[str, Any]]:
    calls: list[tuple[str, Any]] = []
    base, shape = f"{tensor_name(model, target)}_rounding", model.subgraphs[0].tensors[target].shape

    def by(value: float) -> int:
        return add_constant(model, f"{base}_{len(calls)}_by", np.array(value, np.float32))

    def add(name: str, *inputs: int, into: int | None = None) -> int:
        result = add_tensor(model, f"{base}_{len(calls)}", shape) if into is None else into
        calls.append(_called(name, inputs, result))
        return result

    scaled = add("ADD", add("MUL", source, by(1 / step)), by((1 / SLOPE - 1) / 2 if soft else 1 / 2))
    whole = add("FLOOR", scaled)
    if soft:
        whole = add("ADD", whole, add("MINIMUM", add("MUL", add("SUB", scaled, whole), by(SLOPE)), by(1)))
    add("MUL", whole, by(step), into=target)
    return calls


_BIAS = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
_ACTIVATIONS = {"TRANSPOSE_CONV": 2}  # the input they are, where not the first; the second has the weights
_BARE_INTEGERS = {"CAST", "BITCAST"}  # they work on the integers, whatever those stand for
_MOVES = {
    *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "STRIDED_SLICE", "SLICE", "GATHER", "GATHER_ND", "TILE"),
    *("REVERSE_V2", "UNPACK", "PACK", "SPLIT", "SPLIT_V", "PAD", "PADV2", "MIRROR_PAD", "CONCATENATION"),
    *("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "RESIZE_NEAREST_NEIGHBOR"),
    *("BROADCAST_TO", "MAX_POOL_2D"),
}  # their results consist of their inputs' values
_VIEWS = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE"}  # of them those that compute nothing and pad nothing
_FLOAT32, _FLOAT16 = schema.TensorType.FLOAT32, schema.TensorType.FLOAT16
_BIAS_TYPES = {schema.TensorType.INT32, schema.TensorType.INT64}
_BIAS_TOLERANCE = 0.02  # relative difference of a bias's scale and its product's that LiteRT's kernels accept
_NEAREST = 0.51  # of a step: what the nearest one may be away
_HINT = "export the float32 model from Edge Impulse and convert that"


@dataclass(frozen=True, slots=True)
class Dequantized:
    """What a quantized model gave.

    Attributes:
        model: a float32 flatbuffer; input and outputs keep their names and shapes.
        clamps: how many MAXIMUM and MINIMUM operators keep what quantized ranges cut.
        constants: how many tensors of weights and biases became float32; 0 for a model that was float32 already.
        rounded: how many activations keep the rounding of the quantized model.
        input_range: what the input is cut to, in the units the network is fed with; None where it is not cut.
        findings: EI151, and EI152 where the input is cut.
    """

    model: bytes = field(repr=False)
    clamps: int
    constants: int
    rounded: int
    input_range: tuple[float, float] | None
    findings: tuple[Finding, ...]


def dequantize(model: bytes, layers: str = "none", *, coded: bool = False) -> Dequantized:
    """The float32 network that a quantized one stands for.

    Read are int8, uint8 and int16 activations, also between QUANTIZE and DEQUANTIZE, weights of those types and of
    float16 under float32 activations, and biases of int32 and int64. Constants become the real values they stand for;
    QUANTIZE and DEQUANTIZE go; fused activations stay; what a quantized range clipped stays clipped.

    Args:
        model: a flatbuffer that has been verified.
        layers: whose rounding is kept: "none"; that of the "first" layer, where there is one, in a soft form; that of
            "every" activation, in plain operators: what remains of a difference is one in the last bit of a sum, which
            may move an activation by a step.
        coded: keep the rounding of every activation, as a QUANTIZE and a DEQUANTIZE behind each; nothing else is cut
            and nothing is found.

    Raises:
        UnsupportedModelError: an operator or a tensor whose float32 counterpart is not known.
    """
    root = unpack(model)
    rewriter = Rewriter(root, coded=coded)
    rewriter.run()
    if coded:
        return Dequantized(finish(root, rewriter.calls), 0, rewriter.constants, 0, None, ())
    every = [*rewriter.between, *rewriter.activations]
    steps = {"none": [], "first": rewriter.first_layer, "every": every}[layers]
    message = f"rewritten in float32: {rewriter.constants} constants, {rewriter.clamps} clamps for quantized ranges"
    found = [DEQUANTIZED.found(f"{message}, {len(steps)} roundings" if layers == "every" else message)]
    if rewriter.input_range is not None:
        low, high = rewriter.input_range
        found.append(INPUT_CLAMP.found(f"the input is cut to {low:.5g} .. {high:.5g}"))
    calls = keep_steps(root, rewriter.calls, steps, soft=layers == "first")
    if layers == "every" and steps:
        root.description = ROUNDED  # a stage that is called alone has nothing else to tell it by
    return Dequantized(
        finish(root, calls), rewriter.clamps, rewriter.constants, len(steps), rewriter.input_range, tuple(found)
    )


def in_float32(export: Export, layers: str = "none", *, coded: bool = False) -> tuple[Export, Dequantized]:
    """`export`, whose `original` is set, with that in float32 as its model; the task stays what it was.

    `layers` and `coded` as in `dequantize`.

    Raises:
        UnsupportedModelError: an operator or a tensor whose float32 counterpart is not known.
    """
    assert export.original is not None
    done = dequantize(export.original, layers, coded=coded)
    facts = replace(facts_of(read_graph(done.model)), quantization="float32", task=export.facts.task)
    return replace(export, model=done.model, facts=facts, coded=coded), done


def same_weights(quantized: bytes, model: bytes) -> bool:
    """Whether the weights of `quantized` are those of the float32 `model`, each rounded to the nearest step.

    Compared are the constants with more than one dimension that the operators of _BIAS read, in order. A model without
    any has nothing in common with another.
    """
    mine, its = (list(_weights(unpack(data))) for data in (quantized, model))
    if len(mine) != len(its) or not mine:
        return False
    for (values, quantization), (other, _) in zip(mine, its, strict=True):
        if values.shape != other.shape:
            return False
        real = values.astype(np.float32) if quantization is None else quantization.real(values)
        # Half a step, or half of a float16's last bit (and of the least one it has).
        step = np.abs(other) * 2.0**-10 + 2.0**-24 if quantization is None else quantization.steps(values.ndim)
        if (np.abs(real - other) > step * _NEAREST).any():
            return False
    return True


def _weights(model: Any) -> Iterator[tuple[NDArray[Any], Quantization | None]]:
    tensors = model.subgraphs[0].tensors
    converted: dict[int, int] = {}  # float16 weights stand behind a DEQUANTIZE
    for call in model.subgraphs[0].operators:
        name = called_operator(model, call)
        if name == "DEQUANTIZE":
            converted[int(call.outputs[0])] = int(call.inputs[0])
        elif name in _BIAS:
            index = int(call.inputs[1])
            tensor = tensors[converted.get(index, index)]
            values = values_of(model, tensor)
            if values is not None and values.ndim > 1:
                yield values, quantization_of(tensor)


class Rewriter:
    """Rewrites the one subgraph of `model`, a `ModelT`, in place; `coded` as in `dequantize`.

    Attributes:
        calls: the new operators: name and `OperatorT`, in order.
        clamps: how many MAXIMUM and MINIMUM were added.
        constants: how many tensors of weights and biases became float32.
        input_range: what the input is cut to, None where it is not cut.
        activations: index and step of what is computed and rounded, in order.
        between: index and step of the inputs that are fed with more than the values of their codes.
    """

    def __init__(self, model: Any, *, coded: bool = False) -> None:
        if len(model.subgraphs) != 1:
            raise UnsupportedModelError(f"this model has {len(model.subgraphs)} subgraphs", hint=_HINT)
        self.calls: list[tuple[str, Any]] = []
        self.clamps = self.constants = 0
        self.input_range: Range | None = None
        self._coded = coded
        self._model = model
        self._graph = model.subgraphs[0]
        self._tensors = self._graph.tensors
        # Of the tensors of the quantized model, as they were.
        self._types = {index: tensor.type for index, tensor in enumerate(self._tensors)}
        self._quantizations = {index: quantization_of(tensor) for index, tensor in enumerate(self._tensors)}
        self._ranges: dict[int, Range] = {}
        self._instead: dict[int, int] = {}
        self._limits: dict[float, int] = {}
        self.activations: list[tuple[int, float]] = []
        self.between: list[tuple[int, float]] = []
        self._early = self._layers = 0
        for index, tensor in enumerate(self._tensors):
            if tensor.type not in DTYPES or tensor.sparsity is not None:
                message = f"the tensor {tensor_name(self._model, index)} is packed or sparse"
                raise UnsupportedModelError(message, hint=_HINT)

    def run(self) -> None:
        """Rewrite.

        Raises:
            UnsupportedModelError: an operator or a tensor whose float counterpart is not known.
        """
        for index in map(int, self._graph.inputs):
            if self._is_quantized(index):  # it becomes float32; what it saturates at stays as a clip
                limits, step = self._limits_of(index)
                self._as_float(index)
                if self._coded:
                    self._instead[index] = self._code(index, index, index)
                else:
                    self._cut_input(index, limits, step, None)
        for call in self._graph.operators:
            name = called_operator(self._model, call)
            if name == "QUANTIZE":
                self._quantize(int(call.inputs[0]), int(call.outputs[0]))
            elif name == "DEQUANTIZE":
                self._instead[int(call.outputs[0])] = self._as_float(self._source(int(call.inputs[0])))
            else:
                self._compute(name, call)
        # Outputs that a dropped DEQUANTIZE or QUANTIZE had computed are now computed by what came before it.
        outputs = [int(index) for index in self._graph.outputs]
        sources = [self._source(index) for index in outputs]
        for index, source in zip(outputs, sources, strict=True):
            if source != index and source not in outputs and source not in self._graph.inputs:
                self._tensors[source].name = self._tensors[index].name
        self._graph.outputs = sources

    def _cut_input(self, source: int, limits: Range, step: float, target: int | None) -> int:
        # The SDK feeds pixel/255, or levels. Such a step has a code for each level, though not for each luma; a range
        # of 0 to 1 cuts nothing.
        if self._tensors[source].shape[-1] != 3 or min(abs(step * 255 - 1), abs(step - 1)) > 1e-3:
            self.between.append((source, step))
        if abs(limits[0]) <= step and abs(limits[1] - 1) <= step:
            self._ranges[source] = limits
            return source
        self.input_range = limits
        result = self._cut(source, ANYTHING, limits, step, target)
        if target is None:
            self._instead[source] = result
        return result

    def _quantize(self, source: int, target: int) -> None:
        """Only the cut at the ends of the range is left of it."""
        is_input = source in self._graph.inputs
        source = self._as_float(self._source(source))
        limits, step = self._limits_of(target)
        if self._coded:
            result = self._code(source, target, self._as_float(target))
        elif is_input and not self._is_quantized(source):
            result = self._cut_input(source, limits, step, target)
        else:
            result = self._cut(source, self._range(source), limits, step, target)
        if result != target:
            self._instead[target] = result

    def _compute(self, name: str, call: Any) -> None:
        inputs = [int(index) for index in call.inputs]
        outputs = [int(index) for index in call.outputs]
        if any(self._is_quantized(index) for index in (*inputs, *outputs) if index >= 0):
            self._check(name, call, inputs)
        sources = [self._source(index) if index >= 0 else index for index in inputs]
        place = _BIAS.get(name, len(inputs))
        if place < len(inputs) and inputs[place] >= 0:
            self._bias(sources[place], inputs[_ACTIVATIONS.get(name, 0)], inputs[1])
        for source in sources:
            if source >= 0:
                self._as_float(source)
        if name == "FULLY_CONNECTED" and not getattr(call.builtinOptions, "keepNumDims", False):
            sources[0] = self._flat(sources[0], sources[1])
        call.inputs = np.array(sources, np.int32)
        self.calls.append((name, call))
        is_view = self._coded and name in _VIEWS and self._is_quantized(outputs[0])
        if is_view and self._limits_of(inputs[0]) == self._limits_of(outputs[0]):
            self._as_float(outputs[0])
            return
        known = [self._range(source) if source >= 0 else ANYTHING for source in sources]
        found = result_range(name, call.builtinOptions, known)
        call.outputs = np.array([self._result(name, call, index, found) for index in outputs], np.int32)
        if name not in _MOVES:
            self.activations += [(index, self._limits_of(index)[1]) for index in outputs if self._is_quantized(index)]
        if not self._layers:
            self._early = len(self.activations)
        self._layers += name in _BIAS

    @property
    def first_layer(self) -> list[tuple[int, float]]:
        """Of `activations` those up to the first operator with weights, that included.

        Normalisation of the input comes before it, as a rule nothing does. Empty where nothing has weights.
        """
        return self.activations[: self._early] if self._layers else []

    def _check(self, name: str, call: Any, inputs: list[int]) -> None:
        known = name in OPERATORS or name == POST_PROCESS
        if not known or (name in _BARE_INTEGERS and self._is_quantized(inputs[0])):
            raise UnsupportedModelError(f"there is no float32 counterpart of a quantized {name}", hint=_HINT)
        options = call.builtinOptions
        if getattr(options, "weightsFormat", 0):
            raise UnsupportedModelError(f"the weights of {name} are shuffled for one processor", hint=_HINT)
        if hasattr(options, "asymmetricQuantizeInputs"):
            options.asymmetricQuantizeInputs = False
        if hasattr(options, "quantizedBiasType"):
            options.quantizedBiasType = _FLOAT32

    def _result(self, name: str, call: Any, index: int, found: Range) -> int:
        """The tensor an operator writes: `index`, or one that is then cut into it."""
        self._ranges[index] = found
        if not self._is_quantized(index):
            return index
        limits, step = self._limits_of(index)
        self._as_float(index)
        if self._coded:
            raw = add_tensor(self._model, f"{tensor_name(self._model, index)}_real", self._tensors[index].shape)
            self._code(raw, index, index)
            return raw
        self._ranges[index] = found = _fuse(name, call.builtinOptions, found, limits, step)
        if not any(_beyond(found, limits, step)):
            return index
        raw = add_tensor(self._model, f"{tensor_name(self._model, index)}_uncut", self._tensors[index].shape)
        self._cut(raw, found, limits, step, index)
        return raw

    def _flat(self, source: int, weights: int) -> int:
        """The two-dimensional input of a FULLY_CONNECTED, which reads any other as [-1, size of the weights' rows].

        tf2onnx (1.17.0, TflFullyConnectedOp) makes that RESHAPE itself, and loses the bias over it.
        """
        shape = self._tensors[source].shape
        if shape is None or len(shape) == 2:
            return source
        size = int(self._tensors[weights].shape[1])
        flat = np.array([int(np.prod(shape)) // size, size], np.int32)
        result = add_tensor(self._model, f"{tensor_name(self._model, source)}_flat", flat)
        wanted = add_constant(self._model, f"{tensor_name(self._model, result)}_shape", flat)
        self.calls.append(_called("RESHAPE", [source, wanted], result))
        self._ranges[result] = self._range(source)
        return result

    def _cut(self, source: int, found: Range, limits: Range, step: float, target: int | None) -> int:
        """Cut `source`, whose range is `found`, where it goes beyond `limits`, into `target` or a new tensor.

        Returns the tensor that holds the result: `source` where nothing has to be cut.
        """
        sides = zip(("MAXIMUM", "MINIMUM"), limits, _beyond(found, limits, step), strict=True)
        cuts = [(name, limit) for name, limit, needed in sides if needed]
        self._ranges[source] = found
        base = tensor_name(self._model, source if target is None else target)
        for number, (name, limit) in enumerate(cuts, 1):
            if number == len(cuts) and target is not None:
                result = self._as_float(target)
            else:
                result = add_tensor(self._model, f"{base}_cut_{number}", self._tensors[source].shape)
            if limit not in self._limits:
                values = np.array(limit, np.float32)
                self._limits[limit] = add_constant(self._model, f"limit_{len(self._limits)}", values)
            self.calls.append(_called(name, [source, self._limits[limit]], result))
            self.clamps += 1
            found = result_range(name, None, [found, (limit, limit)])
            self._ranges[result] = found
            source = result
        return source

    def _code(self, source: int, like: int, target: int) -> int:
        """Round `source` to the codes that tensor `like` had, and back, into `target`; if that is `source`, a new one.

        Codes of uint8 become those of int8, 128 less, with a zero point that is 128 less: the same numbers.

        Returns:
            The tensor that holds the result.
        """
        self._limits_of(like)  # one scale
        quantization, kind = self._quantizations[like], self._types[like]
        assert quantization is not None
        base, shape = tensor_name(self._model, like), self._tensors[source].shape
        if source == target:
            target = add_tensor(self._model, f"{base}_decoded", shape)
        codes = add_tensor(self._model, f"{base}_codes", shape)
        tensor, zero = self._tensors[codes], int(quantization.zero_point[0])
        is_uint8 = kind == schema.TensorType.UINT8
        tensor.type = schema.TensorType.INT8 if is_uint8 else kind
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = quantization.scale.astype(np.float32)
        tensor.quantization.zeroPoint = np.array([zero - 128 if is_uint8 else zero], np.int64)
        self.calls += [_called("QUANTIZE", [source], codes), _called("DEQUANTIZE", [codes], target)]
        return target

    def _is_quantized(self, index: int) -> bool:
        """Whether this was an integer tensor that stands for real values."""
        if self._types.get(index) not in QUANTIZED:
            return False
        if self._quantizations.get(index) is None:
            kind = DTYPES[self._types[index]].name
            message = f"the tensor {tensor_name(self._model, index)} is {kind} and has no scale"
            raise UnsupportedModelError(message, hint=_HINT)
        return True

    def _limits_of(self, index: int) -> tuple[Range, float]:
        """The range of a quantized activation, and its step."""
        quantization = self._quantizations.get(index)
        if not self._is_quantized(index) or quantization is None or quantization.scale.size != 1:
            raise UnsupportedModelError(f"the tensor {tensor_name(self._model, index)} has no single scale", hint=_HINT)
        return quantization.limits(DTYPES[self._types[index]]), float(quantization.scale[0])

    def _as_float(self, index: int) -> int:
        """Make tensor `index` float32 if it is quantized or float16; constants with their values."""
        tensor = self._tensors[index]
        if tensor.type in {_FLOAT16, *QUANTIZED} and (tensor.type == _FLOAT16 or self._is_quantized(index)):
            values = values_of(self._model, tensor)
            quantization = self._quantizations.get(index)
            if values is not None:
                real = values.astype(np.float32) if quantization is None else quantization.real(values)
                set_values(self._model, tensor, real)
                self.constants += 1
            tensor.type, tensor.quantization = _FLOAT32, None
        return index

    def _bias(self, index: int, activations: int, weights: int) -> None:
        """Make an integer bias float32, with its own scale.

        The kernels ignore that scale, they take input scale times weight scale; so does this where the bias has
        none or one that LiteRT would refuse.
        """
        tensor = self._tensors[index]
        values = values_of(self._model, tensor)
        own, first, second = (self._quantizations.get(place) for place in (index, activations, weights))
        if tensor.type not in _BIAS_TYPES or values is None:
            return
        scale = None if own is None else own.scale
        if first is not None and second is not None:
            product = first.scale[0] * second.scale
            if scale is None or not np.allclose(scale, product, rtol=_BIAS_TOLERANCE, atol=0):
                scale = product
        if scale is None or scale.size not in {1, values.size}:
            raise UnsupportedModelError(f"the bias {tensor_name(self._model, index)} has no scale", hint=_HINT)
        set_values(self._model, tensor, Quantization(scale, np.zeros(scale.size, np.int64), 0).real(values))
        self.constants += 1
        tensor.type, tensor.quantization = _FLOAT32, None

    def _source(self, index: int) -> int:
        """What holds the value of tensor `index` now."""
        while index in self._instead:
            index = self._instead[index]
        return index

    def _range(self, index: int) -> Range:
        if index not in self._ranges:
            values = values_of(self._model, self._tensors[index])
            known = values is not None and values.size and values.dtype.kind == "f"
            self._ranges[index] = (float(values.min()), float(values.max())) if known else ANYTHING  # type: ignore[union-attr]
        return self._ranges[index]


def _beyond(found: Range, limits: Range, step: float) -> tuple[bool, bool]:
    """Whether `found` goes more than a step below and above `limits`."""
    slack = step * (1 + 1e-6)
    return found[0] < limits[0] - slack, found[1] > limits[1] + slack


def _fuse(name: str, options: Any, found: Range, limits: Range, step: float) -> Range:
    """Let the operator do the cut itself where that is a ReLU or a ReLU6; the range it has then."""
    below, above = _beyond(found, limits, step)
    if name not in FUSES_RELU or options is None or options.fusedActivationFunction != NONE:
        return found
    if not below or not math.isclose(limits[0], 0, abs_tol=step / 1000):
        return found
    options.fusedActivationFunction = RELU6 if above and abs(limits[1] - 6) <= step else RELU
    return result_range(name, options, [found])
