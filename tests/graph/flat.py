"""Builds small TFLite flatbuffers, one operator at a time, with the schema classes that come with LiteRT."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "int8": schema.TensorType.INT8,
    "bool": schema.TensorType.BOOL,
}


@dataclass
class Flat:
    """A model with one subgraph; tensors are known by their index."""

    seed: int = 0
    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    operators: list[Any] = field(default_factory=list)
    codes: dict[str | int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def tensor(self, *shape: int, dtype: str = "float32", name: str | None = None) -> int:
        tensor = schema.TensorT()
        tensor.shape = list(shape)
        tensor.type = _TYPES[dtype]
        tensor.name = f"tensor_{len(self.tensors)};x:0" if name is None else name
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, value: Any, dtype: str | None = None) -> int:
        array: NDArray[Any] = np.asarray(value, dtype)
        index = self.tensor(*array.shape, dtype=array.dtype.name)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.buffers.append(buffer)
        self.tensors[index].buffer = len(self.buffers) - 1
        return index

    def weights(self, *shape: int, dtype: str = "float32") -> int:
        values = self.random.normal(0, 1 / np.sqrt(np.prod(shape[1:]) or 1), shape)
        return self.constant(values, dtype)

    def operator(
        self, kind: str, inputs: list[int], outputs: list[int], options: Any = None, custom: str | None = None
    ) -> list[int]:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(kind, custom)
        operator.inputs, operator.outputs = inputs, outputs
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            if hasattr(schema.BuiltinOptions2, name):
                operator.builtinOptions2Type, operator.builtinOptions2 = getattr(schema.BuiltinOptions2, name), options
            else:
                operator.builtinOptionsType, operator.builtinOptions = getattr(schema.BuiltinOptions, name), options
        self.operators.append(operator)
        return outputs

    def _code(self, kind: str, custom: str | None) -> int:
        key = custom or kind
        if key not in self.codes:
            self.codes[key] = len(self.codes)
        return self.codes[key]

    def build(self, inputs: list[int], outputs: list[int]) -> bytes:
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = inputs, outputs
        graph.name = "main"
        model = schema.ModelT()
        model.version = 3
        model.subgraphs, model.buffers = [graph], self.buffers
        model.operatorCodes = [_operator_code(key) for key in self.codes]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _operator_code(key: str | int) -> Any:
    code = schema.OperatorCodeT()
    number = getattr(schema.BuiltinOperator, str(key), None)
    if number is None:
        code.customCode = str(key)
        number = schema.BuiltinOperator.CUSTOM
    code.builtinCode = number
    code.deprecatedBuiltinCode = min(number, 127)
    code.version = 1
    return code


def options(kind: str, **values: Any) -> Any:
    """`kind`OptionsT with these fields."""
    result = getattr(schema, f"{kind}OptionsT")()
    for name, value in values.items():
        assert hasattr(result, name), name
        setattr(result, name, value)
    return result


def convolution(flat: Flat, source: int, channels: int, *, kernel: int = 3, stride: int = 1, relu6: bool = True) -> int:
    """CONV_2D with SAME padding, a bias and RELU6."""
    _, height, width, depth = flat.tensors[source].shape
    target = flat.tensor(1, -(-height // stride), -(-width // stride), channels)
    activation = schema.ActivationFunctionType.RELU6 if relu6 else schema.ActivationFunctionType.NONE
    flat.operator(
        "CONV_2D",
        [source, flat.weights(channels, kernel, kernel, depth), flat.weights(channels)],
        [target],
        options(
            "Conv2D", padding=schema.Padding.SAME, strideH=stride, strideW=stride, fusedActivationFunction=activation
        ),
    )
    return target


def reshape(flat: Flat, source: int, *shape: int) -> int:
    target = flat.tensor(*shape)
    flat.operator(
        "RESHAPE", [source, flat.constant(shape, "int32")], [target], options("Reshape", newShape=list(shape))
    )
    return target


def dense(flat: Flat, source: int, classes: int) -> int:
    """FULLY_CONNECTED on [n, features]."""
    rows, features = flat.tensors[source].shape
    target = flat.tensor(rows, classes)
    flat.operator(
        "FULLY_CONNECTED",
        [source, flat.weights(classes, features), flat.weights(classes)],
        [target],
        options("FullyConnected"),
    )
    return target


def softmax(flat: Flat, source: int) -> int:
    target = flat.tensor(*flat.tensors[source].shape)
    flat.operator("SOFTMAX", [source], [target], options("Softmax", beta=1.0))
    return target


def flatten(flat: Flat, source: int) -> int:
    return reshape(flat, source, 1, int(np.prod(flat.tensors[source].shape)))


def classifier(*, height: int = 8, width: int = 8, channels: int = 3, classes: int = 3, seed: int = 0) -> bytes:
    """A whole small classifier: convolution, flatten, dense, softmax."""
    flat = Flat(seed)
    picture = flat.tensor(1, height, width, channels, name="serving_default_x:0")
    features = convolution(flat, picture, 4, stride=2)
    return flat.build([picture], [softmax(flat, dense(flat, flatten(flat, features), classes))])
