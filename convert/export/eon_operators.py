"""What an EON-compiled model consists of, and its operators: their names, C structs and flatbuffer options.

The tables are in `configs/eon.toml`.

Parameters come in braces (`{ kTfLitePaddingSame, 2,2, ... }`), or, for operators the generator has no printer for, as
the raw bytes of the C struct on the little-endian 32-bit processor it was made for: members in order, each at a
multiple of its size. Where there are none although the operator needs them, they are derived from the shapes if only
one value is possible; everything else is refused by name.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from ai_edge_litert.schema_py_generated import TensorType

from convert.export.eon_source import Group, Unit, Value, Variable, name_of, shown
from convert.files import load_toml

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TABLES = load_toml("eon.toml")

TYPES: dict[str, int] = {f"kTfLite{name}": getattr(TensorType, name.upper()) for name in _TABLES["types"]}
"""TfLiteType's enumerators: the TensorType of each."""

TYPE_NUMBERS: dict[int, int] = dict(zip(_TABLES["types"].values(), TYPES.values(), strict=True))
"""TfLiteType's numbers: the TensorType of each."""

DTYPES: dict[int, np.dtype[np.generic]] = {
    TYPES[f"kTfLite{name}"]: np.dtype(name.lower()).newbyteorder("<") for name in _TABLES["types"]
}
"""TensorType: numpy's type, little endian."""

ENUMERATORS: dict[str, int] = {
    **{f"kTfLite{enum}{name}": number for enum, names in _TABLES["enums"].items() for number, name in enumerate(names)},
    **{f"kTfLite{name}": number for name, number in _TABLES["types"].items()},
    "kTfLiteActRelu1": 2,  # what kTfLiteActReluN1To1 was called until 2020
    "kTfLiteNoType": 0,
}
"""Enumerators that stand in operators' parameters: their numbers in C."""

Options: TypeAlias = "dict[str, int | float | list[int]]"
"""Members of a flatbuffer options table; members that are left out have the schema's default."""

_UNKNOWN_HINT = "convert the .tflite of this model instead, or export it without the EON compiler"

_BYTES = {"int[8]": ("8i", 32, 4), "bool": ("?", 1, 1), "float": ("f", 4, 4)}  # struct code, size, alignment
_INT = ("i", 4, 4)  # also every enum


@dataclass(frozen=True, slots=True)
class Quantization:
    """Affine: real = scale * (q - zero_point); one pair, or one for each index along `axis`."""

    scale: NDArray[np.float32] | NDArray[np.float64]
    zero_point: NDArray[np.int64]
    axis: int

    def real(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """What the integers `values` stand for, in their shape."""
        scale = self.steps(values.ndim)
        zero = self.zero_point.reshape(scale.shape)
        real: NDArray[np.float32] = ((values.astype(np.int64) - zero) * scale).astype(np.float32)
        return real

    def steps(self, dimensions: int) -> NDArray[np.float32] | NDArray[np.float64]:
        """The scales, to be broadcast over values of so many dimensions."""
        shape = [1] * dimensions
        if self.scale.size > 1:
            shape[self.axis] = self.scale.size
        return self.scale.reshape(shape)

    def limits(self, dtype: np.dtype[Any]) -> tuple[float, float]:
        """The least and the greatest real value of a tensor of `dtype` with one scale."""
        info = np.iinfo(dtype)
        low, high = (np.array([info.min, info.max], np.int64) - self.zero_point[0]) * self.scale[0]
        return float(low), float(high)


@dataclass(frozen=True, slots=True)
class EonTensor:
    """A tensor.

    Attributes:
        type: a TensorType of the TFLite schema.
        data: a constant's values, flat, little endian; None for what is computed.
        at: where its row is.
    """

    type: int
    shape: tuple[int, ...]
    data: NDArray[Any] | None
    quantization: Quantization | None
    at: int


@dataclass(frozen=True, slots=True)
class EonNode:
    """An operator call.

    Attributes:
        operator: "CONV_2D": its enumerator in the file without `OP_`.
        inputs, outputs: tensor indices; -1 for an optional input that is absent.
        parameters: its C parameters; None where it has none.
        custom: the options of a custom operator.
        at: where its row is.
    """

    operator: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    parameters: Variable | None
    custom: NDArray[np.uint8] | None
    at: int


@dataclass(frozen=True, slots=True)
class EonGraph:
    """A network of one subgraph.

    Attributes:
        inputs, outputs: tensor indices.
    """

    unit: Unit
    tensors: tuple[EonTensor, ...]
    nodes: tuple[EonNode, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A member of a C struct.

    Attributes:
        kind: "int", "float", "bool", "int[8]", or the enum: "padding", "activation", "type", "mirror", "weights".
        option: the options' member it becomes; "" for what the schema does not have.
    """

    kind: str
    option: str = ""


@dataclass(frozen=True, slots=True)
class EonOperator:
    """A builtin operator.

    Attributes:
        options: the schema's table without `Options`; "" for none.
        struct: the C type of its parameters; "" for none.
        parameters: that type's members in order.
        needed: how many of them the oldest struct has.
    """

    options: str
    struct: str
    parameters: tuple[Parameter, ...]
    needed: int


def _operator(options: str, struct: str, members: str) -> EonOperator:
    """From a line such as "padding padding, int strideW | type quantizedBiasType": members after `|` came later."""
    old, _, new = members.partition("|")
    first, later = ([Parameter(*word.split()) for word in part.split(",") if word.strip()] for part in (old, new))
    return EonOperator(options, f"TfLite{struct}Params" if struct else "", (*first, *later), len(first))


OPERATORS: dict[str, EonOperator] = {
    **{name: _operator(*line) for name, line in _TABLES["parameters"].items()},
    **{name: _operator("", "", "") for name in _TABLES["plain"]["names"]},
}
"""Builtin operators by their name in the schema (BuiltinOperator)."""

CUSTOM: dict[str, str] = _TABLES["custom"]
"""Custom operators that can be converted: the enumerator in upper case without `OP_`, and their name in TFLite."""

_REDUCERS = [name for name, each in OPERATORS.items() if each.options == "Reducer"]

VERSIONS: dict[str, int] = _TABLES["versions"]
"""The operator versions written where it is not 1."""


def options(graph: EonGraph, node: EonNode, operator: EonOperator) -> Options | None:
    """The options of `node`, an `operator`; None where it has no table of them.

    Raises:
        InputError: the parameters are not what this operator has.
        UnsupportedModelError: a value that the flatbuffer cannot express, or nothing to derive it from.
    """
    if not operator.options or (node.operator == "RESHAPE" and len(node.inputs) > 1):
        return None  # a RESHAPE with the shape as second input has no other parameter
    if node.parameters is None:
        return _derived(graph, node)
    members = _members(graph, node, operator, node.parameters)
    result: Options = {}
    for parameter, member in zip(operator.parameters, members, strict=False):
        if parameter.option:
            result[parameter.option] = _converted(graph, node, parameter.kind, member)
    return result | _corrected(graph, node, result, members)


def _members(
    graph: EonGraph, node: EonNode, operator: EonOperator, variable: Variable
) -> list[int | float | list[int]]:
    """The C values in order; trailing ones may be missing."""
    value = variable.value
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return _unpacked(graph, node, operator, variable, value.tobytes())
    if variable.type != operator.struct or not isinstance(value, Group):
        raise graph.unit.damaged(f"{variable.name} is no {operator.struct} for {node.operator}", variable.at)
    # `computed padding` of a pool stands in braces of its own; it is computed again anyway.
    items = [item for item in value.items if not (isinstance(item, Group) and operator.options == "Pool2D")]
    if not operator.needed <= len(items) <= len(operator.parameters):
        message = f"{variable.name} has {len(items)} members, {operator.struct} has {len(operator.parameters)}"
        raise graph.unit.damaged(message, variable.at)
    kinds = [parameter.kind for parameter in operator.parameters]
    return [_plain(graph, variable, kind, item) for kind, item in zip(kinds, items, strict=False)]


def _plain(graph: EonGraph, variable: Variable, kind: str, value: Value) -> int | float | list[int]:
    if kind == "int[8]":
        items = value.items if isinstance(value, Group) else ()
        numbers = [item for item in items if isinstance(item, int) and _fits(item)]
        if len(items) == len(numbers) == 8:
            return numbers
    elif (isinstance(value, int) or (isinstance(value, float) and kind == "float")) and _fits(value):
        return value
    elif name_of(value) in ENUMERATORS:
        return ENUMERATORS[name_of(value)]
    raise graph.unit.damaged(f"{variable.name} has the unknown value {shown(value)}", variable.at)


def _fits(value: float) -> bool:
    """Whether this goes into 32 bits, whole or float."""
    return -(1 << 31) <= value < 1 << 31


def _unpacked(
    graph: EonGraph, node: EonNode, operator: EonOperator, variable: Variable, data: bytes
) -> list[int | float | list[int]]:
    """The members that lie within `data`: older structs end earlier."""
    values: list[int | float | list[int]] = []
    place, widest = 0, 1
    for parameter in operator.parameters:
        code, size, alignment = _BYTES.get(parameter.kind, _INT)
        place = -(-place // alignment) * alignment
        widest = max(widest, alignment)
        if place + size > len(data):
            break
        numbers = struct.unpack_from(f"<{code}", data, place)
        values.append(list(numbers) if parameter.kind == "int[8]" else numbers[0])
        place += size
    if len(values) < operator.needed or len(data) > -(-place // widest) * widest:
        message = f"the parameters of {node.operator} come as {len(data)} bytes, which no known {operator.struct} has"
        raise graph.unit.unsupported(message, variable.at, _UNKNOWN_HINT)
    return values


def _converted(graph: EonGraph, node: EonNode, kind: str, value: float | list[int]) -> int | float | list[int]:
    """A C value as the schema has it."""
    match kind, value:
        case "padding" | "mirror", 1 | 2:  # 1 SAME, 2 VALID; 1 REFLECT, 2 SYMMETRIC; 0 is unknown
            return value - 1
        case ("activation", 0 | 1 | 2 | 3 | 4 | 5) | ("weights", 0 | 1):
            return value
        case "type", 0:  # kTfLiteNoType: the schema's default
            return 0
        case "type", int() if value in TYPE_NUMBERS:
            return TYPE_NUMBERS[value]
        case ("bool", int()):
            return bool(value)
        case ("int", int()) | ("float", int() | float()) | ("int[8]", list()):
            return value
    message = f"{node.operator} has the {kind} {value}, which is not known here"
    raise graph.unit.unsupported(message, node.at, _UNKNOWN_HINT)


def _corrected(graph: EonGraph, node: EonNode, result: Options, members: list[int | float | list[int]]) -> Options:
    """Members that the C struct and the flatbuffer express differently."""
    match node.operator:
        case "RESHAPE":
            shape, count = result["newShape"], members[1]
            assert isinstance(shape, list)
            return {"newShape": shape[:count]} if isinstance(count, int) and 0 < count <= 8 else _derived(graph, node)
        case "SQUEEZE":
            dims, count = result["squeezeDims"], members[1]
            assert isinstance(dims, list)
            if not isinstance(count, int) or not 0 <= count <= len(dims):
                raise graph.unit.damaged(f"{node.operator} has {count} dimensions", node.at)
            return {"squeezeDims": dims[:count]}
        case "ADD" | "SUB" if "potScaleInt16" not in result and _dtype(graph, node.inputs[0]) == "int16":
            return {"potScaleInt16": False}  # what C makes of a member that is not given
        case "CAST" | "SHAPE" | "ARG_MAX" | "ARG_MIN":
            return _derived(graph, node)
    return {}


def _dtype(graph: EonGraph, index: int) -> str:
    return DTYPES[graph.tensors[index].type].name if index >= 0 else ""


def _derived(graph: EonGraph, node: EonNode) -> Options:
    """The options of `node`, where shapes and types leave only one value.

    Raises:
        UnsupportedModelError: they do not.
    """
    inputs = [graph.tensors[index] for index in node.inputs if index >= 0]
    outputs = [graph.tensors[index] for index in node.outputs]
    rule = _DERIVED.get(node.operator)
    options = rule(inputs, outputs) if rule and inputs and outputs else None
    if options is None:
        message = f"the parameters of {node.operator} are missing and cannot be derived"
        raise graph.unit.unsupported(message, node.at, _UNKNOWN_HINT)
    return options


def _block(inputs: list[EonTensor], outputs: list[EonTensor]) -> Options | None:
    before, after = inputs[0].shape, outputs[0].shape
    if len(before) != 4 or len(after) != 4:
        return None
    small, large = sorted((before[1], after[1]))
    return {"blockSize": large // small} if small and large % small == 0 else None


def _squeeze(inputs: list[EonTensor], outputs: list[EonTensor]) -> Options | None:
    """No axes given: squeeze every dimension of 1."""
    return {"squeezeDims": []} if tuple(size for size in inputs[0].shape if size != 1) == outputs[0].shape else None


def _pack(inputs: list[EonTensor], outputs: list[EonTensor]) -> Options | None:
    before, after = inputs[0].shape, outputs[0].shape
    axes = [i for i, size in enumerate(after) if size == len(inputs) and (*after[:i], *after[i + 1 :]) == before]
    return {"valuesCount": len(inputs), "axis": axes[0]} if len(axes) == 1 else None


_DERIVED: dict[str, Callable[[list[EonTensor], list[EonTensor]], Options | None]] = {
    "ARG_MAX": lambda _, outputs: {"outputType": outputs[0].type},
    "ARG_MIN": lambda _, outputs: {"outputType": outputs[0].type},
    "CAST": lambda inputs, outputs: {"inDataType": inputs[0].type, "outDataType": outputs[0].type},
    "DEPTH_TO_SPACE": _block,
    "PACK": _pack,
    "RESHAPE": lambda _, outputs: {"newShape": list(outputs[0].shape)},
    "SHAPE": lambda _, outputs: {"outType": outputs[0].type},
    "SPACE_TO_DEPTH": _block,
    "SPLIT": lambda _, outputs: {"numSplits": len(outputs)},
    "SPLIT_V": lambda _, outputs: {"numSplits": len(outputs)},
    "SQUEEZE": _squeeze,
    **dict.fromkeys(_REDUCERS, lambda inputs, outputs: {"keepDims": len(inputs[0].shape) == len(outputs[0].shape)}),
}
