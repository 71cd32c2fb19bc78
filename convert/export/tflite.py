"""Checks a TensorFlow Lite model from its first byte to its last tensor before anything else reads it.

tf2onnx and LiteRT crash on damaged files, or answer nonsense. What is checked: every offset, one subgraph, known tensor
types, constants exactly as long as their shape says, every operator reading only what exists and has been computed.
The field numbers are those of the TFLite schema (schema.fbs, version 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Final

from convert.errors import InputError, UnsupportedModelError
from convert.export.flatbuffer import Reader, Table, damaged
from convert.export.operators import CUSTOM, POST_PROCESS, operator_name

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["IDENTIFIER", "Graph", "GraphTensor", "Operator", "is_tflite", "read_graph"]

IDENTIFIER: Final = b"TFL3"
"""The file identifier, at bytes 4 to 7."""

_VERSION: Final = 3
_MAX_RANK: Final = 8  # LiteRT's own kernels stop at 6, its broadcasts at 8
_MAX_BYTES: Final = 1 << 31  # of one tensor; LiteRT counts in 32 bits

_TYPES: Final = tuple(
    """
    float32 float16 int32 uint8 int64 str bool int16 complex64 int8 float64 complex128 uint64 resource variant uint32
    uint16 int4 bfloat16 int2 uint4 float8_e4m3fn float8_e5m2
    """.split()  # noqa: SIM905 - read more easily without quotes
)
"""By number (`TensorType`); numpy's names where numpy has the type."""

_BITS: Final = {
    **dict.fromkeys(("int8", "uint8", "bool", "float8_e4m3fn", "float8_e5m2"), 8),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 16),
    **dict.fromkeys(("float32", "int32", "uint32"), 32),
    **dict.fromkeys(("int64", "uint64", "float64", "complex64"), 64),
    **dict.fromkeys(("int4", "uint4"), 4),
    "int2": 2,
    "complex128": 128,
}
"""Size of an element; the types that are not here have none."""

_VECTORS_IN_OPTIONS: Final = {8: ((5, 1),), 17: ((0, 4),), 30: ((0, 4),)}
"""Vectors (field, bytes an element) of the option tables FullyConnected, Reshape and Squeeze; others have scalars only
or belong to operators no Edge Impulse model has."""


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """A tensor of the graph.

    Attributes:
        shape: as it will be allocated; `signature` the same with -1 where the model leaves it open.
        dtype: numpy's name.
        start, length: where its constant data lies in the file, in bytes; length 0 when it has none.
        scales, zero_points: quantization, one entry or one a channel along `axis`; empty when there is none.
    """

    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    dtype: str
    start: int
    length: int
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    variable: bool


@dataclass(frozen=True, slots=True)
class Operator:
    """A node: its kind (a custom one by its custom code) and tensor indices; -1 is an absent optional input."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def is_private(self) -> bool:
        """Whether only other runtimes know it: a custom one (built-in names are upper case), but not SSD's."""
        return not self.name.isupper() and self.name != POST_PROCESS


@dataclass(frozen=True, slots=True)
class Graph:
    """A verified model; `operators` are in order of execution."""

    tensors: tuple[GraphTensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]


def is_tflite(data: bytes) -> bool:
    """Whether `data` carries TensorFlow Lite's file identifier."""
    return data[4:8] == IDENTIFIER


def read_graph(data: bytes) -> Graph:
    """The graph of a model, verified.

    Raises:
        InputError: it is damaged or no TensorFlow Lite model.
        UnsupportedModelError: it has several subgraphs or inputs, sparse tensors, or data in other files.
    """
    if not is_tflite(data):
        raise InputError(
            "this is not a TensorFlow Lite model (TFL3 is missing at byte 4)",
            hint="use the .lite or .tflite file of Edge Impulse's Dashboard, or a library built without EON compiler",
        )
    model = Reader(data).root()
    if (version := model.integer(0, "I")) != _VERSION:
        raise damaged(f"its schema version is {version}, not {_VERSION}")
    names = [_operator_code(code) for code in model.tables(1)]
    subgraphs = model.tables(2)
    if not subgraphs:
        raise damaged("it has no subgraph")
    if len(subgraphs) > 1:
        raise UnsupportedModelError(
            f"the model has {len(subgraphs)} subgraphs (control flow)",
            hint="Edge Impulse's own models have one; custom blocks must be exported without loops and conditions",
        )
    model.text(3)
    buffers = [_buffer(buffer, len(data)) for buffer in model.tables(4)]
    _side_tables(model, len(buffers))
    graph = _subgraph(subgraphs[0], buffers, names)
    _check_signatures(model, len(graph.tensors))
    _check_flow(graph)
    if len(graph.inputs) != 1:
        raise UnsupportedModelError(
            f"the model has {len(graph.inputs)} inputs", hint="only models with one input, a picture, can be converted"
        )
    return graph


def _operator_code(code: Table) -> str:
    """The operator's name; its number moved from a byte to an int when 127 was reached."""
    custom = code.text(1)
    number = max(code.integer(0, "b"), code.integer(3, "i"))
    if number == CUSTOM and not custom:
        raise damaged("a custom operator has no name")
    return custom if number == CUSTOM else operator_name(number)


def _buffer(buffer: Table, size: int) -> tuple[int, int]:
    """Start and length of a buffer's data, which in models over 2 GB lies behind the flatbuffer."""
    start, length = buffer.span(0)
    offset = buffer.integer(1, "Q")
    if offset > 1:
        start, length = offset, buffer.integer(2, "Q")
        if start + length > size:
            raise damaged("a buffer lies behind the end of the file")
    return max(start, 0), length


def _side_tables(model: Table, buffers: int) -> None:
    """What LiteRT reads besides the graph: metadata and external buffers."""
    model.numbers(5, "i")
    for entry in model.tables(6):
        entry.text(0)
        if entry.integer(1, "I") >= buffers:
            raise damaged("metadata names a buffer that does not exist")
    if model.tables(9):
        raise UnsupportedModelError(
            "the model's weights lie in another file", hint="save the model with its weights in one .tflite file"
        )


def _check_signatures(model: Table, tensors: int) -> None:
    for signature in model.tables(7):
        signature.text(2)
        for entry in (*signature.tables(0), *signature.tables(1)):
            entry.text(0)
            if entry.integer(1, "I") >= tensors:
                raise damaged("a signature names a tensor that does not exist")


def _subgraph(table: Table, buffers: list[tuple[int, int]], names: list[str]) -> Graph:
    tensors = tuple(_tensor(tensor, buffers) for tensor in table.tables(0))
    inputs = _indices(table, 1, len(tensors), lowest=0)
    outputs = _indices(table, 2, len(tensors), lowest=0)
    operators = tuple(_operator(operator, len(tensors), names) for operator in table.tables(3))
    table.text(4)
    if not outputs:
        raise damaged("it has no output")
    return Graph(tensors, inputs, outputs, operators)


def _tensor(table: Table, buffers: list[tuple[int, int]]) -> GraphTensor:
    name = table.text(3)
    number = table.integer(1, "b")
    if not 0 <= number < len(_TYPES):
        raise damaged(f"tensor {name!r} has the unknown type {number}")
    dtype = _TYPES[number]
    shape = table.numbers(0, "i") or ()
    signature = table.numbers(7, "i") or shape
    if len(shape) > _MAX_RANK or any(size < 0 for size in shape) or any(size < -1 for size in signature):
        raise damaged(f"tensor {name!r} has the impossible shape {list(shape[:_MAX_RANK])}")
    if len(signature) != len(shape):
        raise damaged(f"tensor {name!r} has two shapes of different rank")
    if table.has(6):
        raise UnsupportedModelError(f"tensor {name!r} is stored sparse", hint="export the model without pruning")
    index = table.integer(2, "I")
    if index >= len(buffers):
        raise damaged(f"tensor {name!r} names a buffer that does not exist")
    start, length = buffers[index]
    _check_size(name, shape, dtype, length)
    scales, zero_points, axis = _quantization(table, name, shape)
    return GraphTensor(
        name, shape, signature, dtype, start, length, scales, zero_points, axis, bool(table.integer(5, "B"))
    )


def _check_size(name: str, shape: tuple[int, ...], dtype: str, length: int) -> None:
    bits = _BITS.get(dtype)
    if bits is None:
        return
    size = (prod(shape) * bits + 7) // 8
    if size >= _MAX_BYTES:
        raise damaged(f"tensor {name!r} would take {size} bytes")
    if length and length != size:
        raise damaged(f"tensor {name!r} holds {length} bytes where its shape {list(shape)} of {dtype} takes {size}")


def _quantization(table: Table, name: str, shape: tuple[int, ...]) -> tuple[tuple[float, ...], tuple[int, ...], int]:
    quantization = table.table(4)
    if quantization is None:
        return (), (), 0
    quantization.span(0, 4)
    quantization.span(1, 4)
    scales = quantization.reals(2)
    zero_points = quantization.numbers(3, "q") or ()
    axis = quantization.integer(6, "i")
    if any(not 0 <= scale < float("inf") for scale in scales):
        raise damaged(f"tensor {name!r} has a quantization scale that is no positive number")
    if len(scales) > 1 and not (0 <= axis < len(shape) and len(scales) == shape[axis]):
        raise damaged(f"tensor {name!r} has {len(scales)} quantization scales, which is not its number of channels")
    if len(zero_points) not in {0, 1, len(scales)}:
        raise damaged(f"tensor {name!r} has {len(scales)} quantization scales and {len(zero_points)} zero points")
    return scales, zero_points, axis


def _operator(table: Table, tensors: int, names: list[str]) -> Operator:
    code = table.integer(0, "I")
    if code >= len(names):
        raise damaged(f"an operator has the kind {code}, which does not exist")
    for options_type, options in ((3, 4), (11, 12)):
        kind = table.integer(options_type, "B")
        if kind and (found := table.table(options)):
            for field, item in _VECTORS_IN_OPTIONS.get(kind, ()) if options == 4 else ():
                found.span(field, item)
    table.span(5)
    table.span(7)
    _indices(table, 8, tensors, lowest=-1)
    if table.integer(9, "Q") + table.integer(10, "Q") > len(table.reader.data):
        raise damaged("an operator's options lie behind the end of the file")
    return Operator(names[code], _indices(table, 1, tensors, lowest=-1), _indices(table, 2, tensors, lowest=0))


def _indices(table: Table, field: int, tensors: int, *, lowest: int) -> tuple[int, ...]:
    indices = table.numbers(field, "i") or ()
    if any(not lowest <= index < tensors for index in indices):
        raise damaged("a tensor is named that does not exist")
    return indices


def _check_flow(graph: Graph) -> None:
    """Every tensor that is read must be constant, an input, a state, or computed before.

    Of custom operators but SSD's this is not asked: an Ethos-U's has scratch tensors. Such a model is never run.
    """
    known = {
        index
        for index, tensor in enumerate(graph.tensors)
        if tensor.length or tensor.variable or 0 in tensor.shape or tensor.dtype not in _BITS
    }
    known.update(graph.inputs, [-1])
    for operator in graph.operators:
        if not operator.is_private:
            _check_known(operator.inputs, known, f"operator {operator.name} reads")
        known.update(operator.outputs)
    _check_known(graph.outputs, known, "its output is")


def _check_known(indices: Iterable[int], known: set[int], what: str) -> None:
    for index in indices:
        if index not in known:
            raise damaged(f"{what} tensor {index}, which nothing has computed")
