"""Small networks as TFLite flatbuffers: by hand, or drawn over operators, shapes, types and quantization."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from hypothesis import strategies as st

from convert.export.tflite import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Network", "described", "drawn", "small_int8"]

TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int64): schema.TensorType.INT64,
    np.dtype(np.int16): schema.TensorType.INT16,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.bool_): schema.TensorType.BOOL,
}
Scales = tuple[list[float], list[int], int]


@dataclass
class Network:
    """Builds a flatbuffer call by call; tensors are known by their index."""

    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    calls: list[tuple[str, list[int], list[int], Any, NDArray[np.uint8] | None]] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)

    def tensor(
        self, shape: tuple[int, ...], dtype: Any, scales: Scales | None = None, data: NDArray[Any] | None = None
    ) -> int:
        tensor = schema.TensorT()
        tensor.name = f"original {len(self.tensors)}"
        tensor.type = TYPES[np.dtype(dtype)]
        tensor.shape = np.array(shape, np.int32)
        tensor.buffer = 0
        if data is not None:
            data = np.asarray(data)
            tensor.buffer = len(self.buffers)
            self.buffers.append(schema.BufferT(np.frombuffer(data.astype(dtype).tobytes(), np.uint8)))
        if scales is not None:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.array(scales[0], np.float32)
            tensor.quantization.zeroPoint = np.array(scales[1], np.int64)
            tensor.quantization.quantizedDimension = scales[2]
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, data: Any, dtype: Any = np.int32, scales: Scales | None = None) -> int:
        values = np.array(data, dtype)
        return self.tensor(values.shape, dtype, scales, values)

    def call(self, name: str, inputs: list[int], outputs: list[int], **options: Any) -> int:
        """Add an operator; its options by their names in the schema. Returns the first output."""
        table = None
        if options:
            table = getattr(schema, f"{options.pop('table')}OptionsT")()
            for member, value in options.items():
                setattr(table, member, value)
        self.calls.append((name, inputs, outputs, table, None))
        return outputs[0]

    def custom(self, name: str, inputs: list[int], outputs: list[int], options: bytes) -> None:
        self.calls.append((name, inputs, outputs, None, np.frombuffer(options, np.uint8)))

    def model(self, inputs: list[int], outputs: list[int]) -> bytes:
        model = schema.ModelT()
        model.version = 3
        model.buffers = self.buffers
        graph = schema.SubGraphT()
        graph.tensors, graph.inputs, graph.outputs = self.tensors, inputs, outputs
        names = list(dict.fromkeys(call[0] for call in self.calls))
        model.operatorCodes = [self._code(name) for name in names]
        graph.operators = []
        for name, sources, results, table, custom in self.calls:
            call = schema.OperatorT()
            call.opcodeIndex = names.index(name)
            call.inputs, call.outputs = np.array(sources, np.int32), np.array(results, np.int32)
            if table is not None:
                call.builtinOptionsType = getattr(schema.BuiltinOptions, type(table).__name__.removesuffix("T"))
            call.builtinOptions, call.customOptions = table, custom
            graph.operators.append(call)
        model.subgraphs = [graph]
        return pack(model)

    def _code(self, name: str) -> Any:
        code = schema.OperatorCodeT()
        builtin = getattr(schema.BuiltinOperator, name, None)
        code.builtinCode = schema.BuiltinOperator.CUSTOM if builtin is None else builtin
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.customCode = name if builtin is None else None
        code.version = self.versions.get(name, 1)
        return code


def described(model: bytes) -> dict[str, Any]:
    """All that decides what a flatbuffer computes, in a form that can be compared."""
    root = unpack(model)
    graph = root.subgraphs[0]
    return {
        "tensors": [_tensor(root, tensor) for tensor in graph.tensors],
        "calls": [_call(root, call) for call in graph.operators],
        "ends": (list(graph.inputs), list(graph.outputs)),
    }


def _tensor(root: Any, tensor: Any) -> tuple[object, ...]:
    data = root.buffers[tensor.buffer].data
    scales: tuple[object, ...] | None = None
    if tensor.quantization is not None and tensor.quantization.scale is not None:
        quantization = tensor.quantization
        scales = (
            np.asarray(quantization.scale, np.float32).tobytes(),
            [int(zero) for zero in quantization.zeroPoint],
            quantization.quantizedDimension,
        )
    shape = [] if tensor.shape is None else [int(size) for size in tensor.shape]
    return tensor.type, shape, b"" if data is None else bytes(data), scales


def _call(root: Any, call: Any) -> tuple[object, ...]:
    code = root.operatorCodes[call.opcodeIndex]
    kind = code.customCode or max(code.builtinCode, code.deprecatedBuiltinCode)
    options: dict[str, object] = {}
    if call.builtinOptions is not None:
        for member, value in vars(call.builtinOptions).items():
            options[member] = [int(item) for item in value] if isinstance(value, np.ndarray | list) else value
    if kind == schema.BuiltinOperator.RESHAPE and len(call.inputs) > 1:
        options = {}  # the second input decides
    custom = b"" if call.customOptions is None else bytes(call.customOptions)
    return kind, list(call.inputs), list(call.outputs), options, custom


def small_int8() -> bytes:
    """CONV_2D, DEPTHWISE_CONV_2D, MEAN, FULLY_CONNECTED, SOFTMAX in int8, as Edge Impulse's classifiers are."""
    random = np.random.default_rng(7)
    net = Network()
    source = net.tensor((1, 8, 8, 3), np.int8, ([1 / 255], [-128], 0))
    weights = random.integers(-127, 128, (4, 3, 3, 3))
    first = net.call(
        "CONV_2D",
        [
            source,
            net.constant(weights, np.int8, ([0.01, 0.02, 0.015, 0.012], [0] * 4, 0)),
            net.constant([5, -9, 0, 77], np.int32, ([0.01 / 255, 0.02 / 255, 0.015 / 255, 0.012 / 255], [0] * 4, 0)),
        ],
        [net.tensor((1, 4, 4, 4), np.int8, ([6 / 255], [-128], 0))],
        table="Conv2D",
        padding=0,
        strideW=2,
        strideH=2,
        fusedActivationFunction=3,
    )
    second = net.call(
        "DEPTHWISE_CONV_2D",
        [
            first,
            net.constant(random.integers(-127, 128, (1, 3, 3, 4)), np.int8, ([0.03, 0.01, 0.02, 0.04], [0] * 4, 3)),
            net.constant([1, 2, 3, 4], np.int32, ([0.0007, 0.0002, 0.0005, 0.0009], [0] * 4, 0)),
        ],
        [net.tensor((1, 4, 4, 4), np.int8, ([0.05], [3], 0))],
        table="DepthwiseConv2D",
        padding=0,
        strideW=1,
        strideH=1,
        depthMultiplier=1,
    )
    mean = net.call(
        "MEAN",
        [second, net.constant([1, 2])],
        [net.tensor((1, 4), np.int8, ([0.05], [3], 0))],
        table="Reducer",
        keepDims=False,
    )
    dense = net.call(
        "FULLY_CONNECTED",
        [
            mean,
            net.constant(random.integers(-127, 128, (2, 4)), np.int8, ([0.02], [0], 0)),
            net.constant([100, -100], np.int32, ([0.001], [0], 0)),
        ],
        [net.tensor((1, 2), np.int8, ([0.1], [10], 0))],
        table="FullyConnected",
    )
    result = net.call(
        "SOFTMAX", [dense], [net.tensor((1, 2), np.int8, ([1 / 256], [-128], 0))], table="Softmax", beta=1.0
    )
    net.versions = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "MEAN": 2, "FULLY_CONNECTED": 4, "SOFTMAX": 2}
    return net.model([source], [result])


@st.composite
def drawn(draw: st.DrawFn) -> bytes:
    """A chain of operators whose tensors fit together; it need not make sense otherwise."""
    dtype = np.dtype(draw(st.sampled_from([np.float32, np.int8, np.int16, np.uint8])))
    maker = _Maker(draw, dtype, np.random.default_rng(draw(st.integers(0, 1 << 16))))
    sizes = st.integers(1, 5)
    source = maker.activation((1, draw(sizes), draw(sizes), draw(sizes)))
    steps = draw(st.lists(st.sampled_from(sorted(_STEPS)), min_size=1, max_size=6))
    place = source
    for step in steps:
        place = _STEPS[step](maker, place)
    return maker.net.model([source], [place])


@dataclass
class _Maker:
    draw: st.DrawFn
    dtype: np.dtype[Any]
    random: np.random.Generator
    net: Network = field(default_factory=Network)

    def shape(self, index: int) -> tuple[int, ...]:
        return tuple(int(size) for size in self.net.tensors[index].shape)

    def activation(self, shape: tuple[int, ...], dtype: Any = None) -> int:
        dtype = self.dtype if dtype is None else np.dtype(dtype)
        return self.net.tensor(shape, dtype, self.scales(1, 0) if dtype.kind in "iu" else None)

    def scales(self, count: int, axis: int) -> Scales:
        """From few values, so that arrays repeat and are shared."""
        pool = (1 / 255, 1 / 256, 0.0235294122248888, 1.1754944e-38, 3.4028235e38, 0.1)
        zeros = st.sampled_from([0, -128, 127, 3])
        return (
            [self.draw(st.sampled_from(pool)) for _ in range(count)],
            [self.draw(zeros) if count == 1 else 0 for _ in range(count)],
            axis,
        )

    def values(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        if np.dtype(dtype).kind == "f":
            special = [0.0, -0.0, 1e-45, -3.4028235e38, 0.1]
            return self.random.choice([*special, *self.random.normal(size=5)], shape).astype(dtype)
        limits = np.iinfo(dtype)
        return self.random.integers(limits.min, limits.max, shape, dtype, endpoint=True)

    def weights(self, shape: tuple[int, ...], axis: int) -> int:
        if self.dtype.kind == "f":
            return self.net.tensor(shape, np.float32, None, self.values(shape, np.float32))
        count = self.draw(st.sampled_from([1, shape[axis]]))
        return self.net.tensor(shape, np.int8, self.scales(count, axis), self.values(shape, np.int8))

    def bias(self, count: int) -> int:
        """-1 for none."""
        if self.draw(st.booleans()):
            return -1
        if self.dtype.kind == "f":
            return self.net.tensor((count,), np.float32, None, self.values((count,), np.float32))
        dtype = np.int64 if self.dtype == np.int16 else np.int32
        return self.net.tensor((count,), dtype, self.scales(1, 0), self.values((count,), dtype))

    def window(self, table: str) -> dict[str, Any]:
        small = st.integers(1, 3)
        return {
            "table": table,
            "padding": self.draw(st.integers(0, 1)),
            "strideW": self.draw(small),
            "strideH": self.draw(small),
            "fusedActivationFunction": self.draw(st.integers(0, 5)),
        }


def _four(maker: _Maker, place: int) -> int:
    """A tensor of four dimensions, by RESHAPE if need be."""
    shape = maker.shape(place)
    if len(shape) == 4:
        return place
    wanted = (1, 1, 1, int(np.prod(shape)))
    if maker.draw(st.booleans()):
        return maker.net.call("RESHAPE", [place, maker.net.constant(wanted)], [maker.activation(wanted)])
    return maker.net.call(
        "RESHAPE", [place], [maker.activation(wanted)], table="Reshape", newShape=np.array(wanted, np.int32)
    )


def _convolution(maker: _Maker, place: int) -> int:
    place = _four(maker, place)
    _, height, width, channels = maker.shape(place)
    result = maker.draw(st.integers(1, 3))
    inputs = [place, maker.weights((result, 1, 2, channels), 0), maker.bias(result)]
    options = maker.window("Conv2D") | {"dilationWFactor": maker.draw(st.integers(1, 2)), "dilationHFactor": 1}
    return maker.net.call("CONV_2D", inputs, [maker.activation((1, height, width, result))], **options)


def _depthwise(maker: _Maker, place: int) -> int:
    place = _four(maker, place)
    _, height, width, channels = maker.shape(place)
    inputs = [place, maker.weights((1, 2, 1, channels), 3), maker.bias(channels)]
    options = maker.window("DepthwiseConv2D") | {"depthMultiplier": 1}
    return maker.net.call("DEPTHWISE_CONV_2D", inputs, [maker.activation((1, height, width, channels))], **options)


def _dense(maker: _Maker, place: int) -> int:
    size = int(np.prod(maker.shape(place)))
    result = maker.draw(st.integers(1, 3))
    inputs = [place, maker.weights((result, size), 0), maker.bias(result)]
    options = {"fusedActivationFunction": maker.draw(st.integers(0, 3)), "keepNumDims": maker.draw(st.booleans())}
    return maker.net.call("FULLY_CONNECTED", inputs, [maker.activation((1, result))], table="FullyConnected", **options)


def _pool(maker: _Maker, place: int) -> int:
    place = _four(maker, place)
    _, height, width, channels = maker.shape(place)
    options = maker.window("Pool2D") | {"filterWidth": 2, "filterHeight": maker.draw(st.integers(1, 3))}
    name = maker.draw(st.sampled_from(["MAX_POOL_2D", "AVERAGE_POOL_2D"]))
    return maker.net.call(name, [place], [maker.activation((1, -(-height // 2), width, channels))], **options)


def _same(name: str, **options: Any) -> Callable[[_Maker, int], int]:
    """An operator of one input that keeps the shape."""

    def step(maker: _Maker, place: int) -> int:
        return maker.net.call(name, [place], [maker.activation(maker.shape(place))], **options)

    return step


def _add(maker: _Maker, place: int) -> int:
    pot = {"potScaleInt16": False} if maker.dtype == np.int16 else {}
    return maker.net.call(
        "ADD", [place, place], [maker.activation(maker.shape(place))], table="Add", fusedActivationFunction=1, **pot
    )


def _multiply(maker: _Maker, place: int) -> int:
    factor = maker.net.tensor((), maker.dtype, maker.scales(1, 0), maker.values((), maker.dtype))
    return maker.net.call(
        "MUL", [place, factor], [maker.activation(maker.shape(place))], table="Mul", fusedActivationFunction=0
    )


def _mean(maker: _Maker, place: int) -> int:
    shape = maker.shape(place)
    keep = maker.draw(st.booleans())
    result = (*shape[:-1], 1) if keep else shape[:-1]
    axis = maker.net.constant(len(shape) - 1) if maker.draw(st.booleans()) else maker.net.constant([len(shape) - 1])
    return maker.net.call("MEAN", [place, axis], [maker.activation(result)], table="Reducer", keepDims=keep)


def _pad(maker: _Maker, place: int) -> int:
    shape = maker.shape(place)
    pads = np.zeros((len(shape), 2), np.int32)
    if len(shape):
        pads[-1] = 1, 2
        shape = (*shape[:-1], shape[-1] + 3)
    return maker.net.call("PAD", [place, maker.net.constant(pads)], [maker.activation(shape)])


def _concatenation(maker: _Maker, place: int) -> int:
    shape = maker.shape(place)
    shape = (*shape[:-1], shape[-1] * 2) if shape else (2,)
    return maker.net.call("CONCATENATION", [place, place], [maker.activation(shape)], table="Concatenation", axis=-1)


def _strided_slice(maker: _Maker, place: int) -> int:
    shape = maker.shape(place)
    ends = [maker.net.constant([0] * len(shape)), maker.net.constant(shape), maker.net.constant([1] * len(shape))]
    masks = {f"{mask}Mask": maker.draw(st.integers(0, 3)) for mask in ("begin", "end")}
    return maker.net.call(
        "STRIDED_SLICE", [place, *ends], [maker.activation(shape)], table="StridedSlice", shrinkAxisMask=0, **masks
    )


def _resize(maker: _Maker, place: int) -> int:
    place = _four(maker, place)
    shape = maker.shape(place)
    name, table = maker.draw(
        st.sampled_from([("RESIZE_BILINEAR", "ResizeBilinear"), ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighbor")])
    )
    flags = {"alignCorners": maker.draw(st.booleans()), "halfPixelCenters": maker.draw(st.booleans())}
    size = maker.net.constant([2 * shape[1], 2 * shape[2]])
    result = maker.activation((1, 2 * shape[1], 2 * shape[2], shape[3]))
    return maker.net.call(name, [place, size], [result], table=table, **flags)


def _squeeze(maker: _Maker, place: int) -> int:
    shape = maker.shape(place)
    if not shape or shape[0] != 1:
        return place
    dims = np.array([0], np.int32)
    return maker.net.call("SQUEEZE", [place], [maker.activation(shape[1:])], table="Squeeze", squeezeDims=dims)


def _transpose(maker: _Maker, place: int) -> int:
    shape = maker.shape(place)
    order = list(range(len(shape)))[::-1]
    return maker.net.call("TRANSPOSE", [place, maker.net.constant(order)], [maker.activation(shape[::-1])])


def _pack(maker: _Maker, place: int) -> int:
    shape = maker.shape(place)
    if len(shape) > 4:
        return place
    return maker.net.call("PACK", [place, place], [maker.activation((2, *shape))], table="Pack", valuesCount=2, axis=0)


_STEPS: dict[str, Callable[[_Maker, int], int]] = {
    "add": _add,
    "concatenation": _concatenation,
    "convolution": _convolution,
    "dense": _dense,
    "depthwise": _depthwise,
    "leaky": _same("LEAKY_RELU", table="LeakyRelu", alpha=float(np.float32(0.1))),
    "logistic": _same("LOGISTIC"),
    "mean": _mean,
    "multiply": _multiply,
    "pack": _pack,
    "pad": _pad,
    "pool": _pool,
    "relu6": _same("RELU6"),
    "resize": _resize,
    "softmax": _same("SOFTMAX", table="Softmax", beta=float(np.float32(0.7))),
    "squeeze": _squeeze,
    "strided slice": _strided_slice,
    "tanh": _same("TANH"),
    "transpose": _transpose,
}
