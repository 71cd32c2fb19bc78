"""Turns an operator's C parameters into the members of its flatbuffer options.

They come in braces (`{ kTfLitePaddingSame, 2,2, ... }`), or, for operators the generator has no printer for, as the
raw bytes of the C struct on the little-endian 32-bit processor it was made for: members in order, each at a multiple
of its size. Where there are none although the operator needs them, they are derived from the shapes if only one value
is possible; everything else is refused by name.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from convert.export.eon.derived import UNKNOWN_HINT, Options, derived
from convert.export.eon.names import name_of, shown
from convert.export.eon.syntax import Group
from convert.export.eon.types import DTYPES, ENUMERATORS, TYPE_NUMBERS

if TYPE_CHECKING:
    from convert.export.eon.graph import Graph, Node
    from convert.export.eon.operators import Operator
    from convert.export.eon.syntax import Value, Variable

__all__ = ["options"]

_BYTES = {"int[8]": ("8i", 32, 4), "bool": ("?", 1, 1), "float": ("f", 4, 4)}  # struct code, size, alignment
_INT = ("i", 4, 4)  # also every enum


def options(graph: Graph, node: Node, operator: Operator) -> Options | None:
    """The options of `node`, an `operator`; None where it has no table of them.

    Raises:
        InputError: the parameters are not what this operator has.
        UnsupportedModelError: a value that the flatbuffer cannot express, or nothing to derive it from.
    """
    if not operator.options or (node.operator == "RESHAPE" and len(node.inputs) > 1):
        return None  # a RESHAPE with the shape as second input looks at nothing else
    if node.parameters is None:
        return derived(graph, node)
    members = _members(graph, node, operator, node.parameters)
    result: Options = {}
    for parameter, member in zip(operator.parameters, members, strict=False):
        if parameter.option:
            result[parameter.option] = _converted(graph, node, parameter.kind, member)
    return result | _corrected(graph, node, result, members)


def _members(graph: Graph, node: Node, operator: Operator, variable: Variable) -> list[int | float | list[int]]:
    """The C values in order; trailing ones may be missing."""
    value = variable.value
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return _unpacked(graph, node, operator, variable, value.tobytes())
    if variable.type != operator.struct or not isinstance(value, Group):
        raise graph.source.damaged(f"{variable.name} is no {operator.struct} for {node.operator}", variable.at)
    # `computed padding` of a pool stands in braces of its own; it is computed again anyway.
    items = [item for item in value.items if not (isinstance(item, Group) and operator.options == "Pool2D")]
    if not operator.needed <= len(items) <= len(operator.parameters):
        raise graph.source.damaged(
            f"{variable.name} has {len(items)} members, {operator.struct} has {len(operator.parameters)}", variable.at
        )
    kinds = [parameter.kind for parameter in operator.parameters]
    return [_plain(graph, variable, kind, item) for kind, item in zip(kinds, items, strict=False)]


def _plain(graph: Graph, variable: Variable, kind: str, value: Value) -> int | float | list[int]:
    if kind == "int[8]":
        items = value.items if isinstance(value, Group) else ()
        numbers = [item for item in items if isinstance(item, int) and _fits(item)]
        if len(items) == len(numbers) == 8:
            return numbers
    elif (isinstance(value, int) or (isinstance(value, float) and kind == "float")) and _fits(value):
        return value
    elif name_of(value) in ENUMERATORS:
        return ENUMERATORS[name_of(value)]
    raise graph.source.damaged(f"{variable.name} has the unknown value {shown(value)}", variable.at)


def _fits(value: float) -> bool:
    """Whether this goes into 32 bits, whole or float."""
    return -(1 << 31) <= value < 1 << 31


def _unpacked(
    graph: Graph, node: Node, operator: Operator, variable: Variable, data: bytes
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
        raise graph.source.unsupported(
            f"the parameters of {node.operator} come as {len(data)} bytes, which no known {operator.struct} has",
            variable.at,
            UNKNOWN_HINT,
        )
    return values


def _converted(graph: Graph, node: Node, kind: str, value: float | list[int]) -> int | float | list[int]:
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
    raise graph.source.unsupported(
        f"{node.operator} has the {kind} {value}, which is not known here", node.at, UNKNOWN_HINT
    )


def _corrected(graph: Graph, node: Node, result: Options, members: list[int | float | list[int]]) -> Options:
    """What the C struct does not say as the flatbuffer does."""
    match node.operator:
        case "RESHAPE":
            shape, count = result["newShape"], members[1] if len(members) > 1 else 0
            assert isinstance(shape, list)
            return {"newShape": shape[:count]} if isinstance(count, int) and 0 < count <= 8 else derived(graph, node)
        case "SQUEEZE":
            dims, count = result["squeezeDims"], members[1] if len(members) > 1 else 0
            assert isinstance(dims, list)
            if not isinstance(count, int) or not 0 <= count <= len(dims):
                raise graph.source.damaged(f"{node.operator} has {count} dimensions", node.at)
            return {"squeezeDims": dims[:count]}
        case "ADD" | "SUB" if "potScaleInt16" not in result and _dtype(graph, node.inputs[0]) == "int16":
            return {"potScaleInt16": False}  # what C makes of a member that is not given
        case "CAST" | "SHAPE" | "ARG_MAX" | "ARG_MIN":
            return derived(graph, node)
    return {}


def _dtype(graph: Graph, index: int) -> str:
    return DTYPES[graph.tensors[index].type].name if index >= 0 else ""
