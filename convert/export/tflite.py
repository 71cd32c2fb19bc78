"""Checks, reads and writes TensorFlow Lite models.

`read_graph` checks a model from its first byte to its last tensor before anything else reads it, because tf2onnx and
LiteRT crash on damaged files, or answer nonsense. What is checked: every offset, no subgraph that an operator runs,
known tensor types, constants exactly as long as their shape says, every operator reading only what exists and has been
computed. The field numbers are those of the TFLite schema (schema.fbs, version 3).

The layout is that of the FlatBuffers internals document: a table starts with a signed 32-bit distance back to its
vtable; the vtable holds its own size, the table's size, and one 16-bit offset a field; strings, vectors and tables are
reached over unsigned 32-bit forward offsets. All numbers are little-endian and aligned to their size, offsets to 4.

`unpack` and `pack` go from a checked model to the object form of the schema classes that come with LiteRT, and back.
Those classes check nothing; they are imported only when they are needed, since they bring numpy.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from math import prod
from typing import Any, Final

from convert.errors import InputError, UnsupportedModelError
from convert.files import load_toml

IDENTIFIER: Final = b"TFL3"
"""The file identifier, at bytes 4 to 7."""

POST_PROCESS: Final = "TFLite_Detection_PostProcess"
"""The custom operator at the end of a MobileNet SSD."""

_CUSTOM: Final = 32  # the BuiltinOperator under which an operator is known by its `custom_code` alone
_PLACEHOLDER: Final = 127  # what the 8-bit member of an operator code holds when the code does not fit it
_ALIGNMENT: Final = 16  # bytes; `force_align` of the schema's buffers
_OVERHEAD: Final = 1 << 16  # bytes of a flatbuffer besides its data, so that the builder seldom has to double

_VERSION: Final = 3
_CONTROL_FLOW: Final = re.compile(r"WHILE|CALL|CALL_ONCE|STABLEHLO_(?:CASE|CUSTOM_CALL|REDUCE\w*|SCATTER|SORT|WHILE)")
"""Operators that can run another subgraph, besides those that `first_subgraph` writes out."""

_COMPOSITE: Final = "STABLEHLO_COMPOSITE"
_WRITTEN_OUT: Final = frozenset({"IF", _COMPOSITE})

_RESHAPE: Final = 22  # BuiltinOperator; the shape among its options counts only where there is none among its inputs
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

_MAX_TABLES: Final = 1 << 17
"""Tables read from one file, and tensors and operators, each with what it names, that subgraphs add to the first one;
the FlatBuffers verifier stops at a million, real models have under 3,000."""

_MAX_FIELDS: Final = 256
"""Fields of one table; the schema's largest has 14."""

_MAX_ELEMENTS: Final = 1 << 22
"""Vector elements read from one file: a small file can name one long vector many times."""

_SIZES: Final = {"b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "f": 4, "q": 8, "Q": 8, "s": 1}


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


@dataclass(frozen=True, slots=True)
class Graph:
    """A verified model, or one subgraph of it; `operators` are in order of execution.

    Attributes:
        others: names of the model's further subgraphs that are not run: Keras 3 gives each signature its own.
        calls: it holds an IF, which runs one of two subgraphs, or a composite, which runs one.
    """

    tensors: tuple[GraphTensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]
    others: tuple[str, ...] = ()
    calls: bool = False


def read_graph(data: bytes) -> Graph:
    """The graph of a model, verified.

    Raises:
        InputError: it is damaged or no TensorFlow Lite model.
        UnsupportedModelError: it has control flow, several inputs, sparse tensors, or data in other files.
    """
    if data[4:8] != IDENTIFIER:
        message = "this is not a TensorFlow Lite model (TFL3 is missing at byte 4)"
        hint = "use the .lite or .tflite file of Edge Impulse's Dashboard, or a library built without EON compiler"
        raise InputError(message, hint=hint)
    model = _File(data).table(0)
    if (version := model.integer(0, "I")) != _VERSION:
        raise _damaged(f"its schema version is {version}, not {_VERSION}")
    names = []
    for code in model.tables(1):
        custom, number = code.text(1), max(code.integer(0, "b"), code.integer(3, "i"))  # a byte until 127 was reached
        if number == _CUSTOM and custom in {"", *_WRITTEN_OUT}:
            raise _damaged("a custom operator has no name of its own")
        names.append(custom if number == _CUSTOM else operator_name(number))
    subgraphs = model.tables(2)
    if not subgraphs:
        raise _damaged("it has no subgraph")
    model.text(3)
    buffers = _read_buffers(model)
    graph, *others = graphs = [_read_subgraph(each, buffers, names) for each in subgraphs]
    kinds = {each.name for one in graphs for each in one.operators}
    calls = not kinds.isdisjoint(_WRITTEN_OUT)
    if others and (kinds := set(filter(_CONTROL_FLOW.fullmatch, kinds))):
        message = f"the model has {len(graphs)} subgraphs (control flow: {', '.join(sorted(kinds))})"
        hint = "Edge Impulse's models have none; export it without loops (Keras: unroll=True in recurrent layers)"
        raise UnsupportedModelError(message, hint=hint)
    for each in graphs:
        if not each.outputs:
            raise _damaged("it has no output")
        _check_order(each)
    for operator in graph.operators:
        if any(index >= 0 and graph.tensors[index].variable for index in operator.inputs):
            message = f"the model keeps what it computed for the next picture ({operator.name})"
            hint = "export it without state (Keras: unroll=True in a recurrent layer)"
            raise UnsupportedModelError(message, hint=hint)
    _check_signatures(model, graphs)
    if len(graph.inputs) != 1:
        message = f"the model has {len(graph.inputs)} inputs"
        raise UnsupportedModelError(message, hint="only models with one input, a picture, can be converted")
    left = () if calls else tuple(each.text(4) for each in subgraphs[1:])
    return replace(graph, others=left, calls=calls)


def _check_signatures(model: _Table, graphs: list[Graph]) -> None:
    for signature in model.tables(7):
        signature.text(2)
        index = signature.integer(4, "I")
        count = len(graphs[index].tensors) if index < len(graphs) else 0
        for entry in (*signature.tables(0), *signature.tables(1)):
            entry.text(0)
            if entry.integer(1, "I") >= count:
                raise _damaged("a signature names a tensor that does not exist")


def _read_subgraph(table: _Table, buffers: list[tuple[int, int]], names: list[str]) -> Graph:
    tensors = tuple(_read_tensor(tensor, buffers) for tensor in table.tables(0))
    inputs, outputs = _indices(table, 1, len(tensors), 0), _indices(table, 2, len(tensors), 0)
    table.text(4)
    return Graph(tensors, inputs, outputs, _read_operators(table, len(tensors), names))


def _read_buffers(model: _Table) -> list[tuple[int, int]]:
    """Start and length of each buffer's data, which in models over 2 GB lies behind the flatbuffer."""
    buffers = []
    for buffer in model.tables(4):
        start, length = buffer.vector(0)
        if (offset := buffer.integer(1, "Q")) > 1:
            start, length = offset, buffer.integer(2, "Q")
            if start + length > len(model.file.data):
                raise _damaged("a buffer lies behind the end of the file")
        buffers.append((start, length))
    # What LiteRT reads besides the graph: metadata and external buffers.
    model.numbers(5, "i")
    for entry in model.tables(6):
        entry.text(0)
        if entry.integer(1, "I") >= len(buffers):
            raise _damaged("metadata names a buffer that does not exist")
    if model.tables(9):
        message = "the model's weights lie in another file"
        raise UnsupportedModelError(message, hint="save the model with its weights in one .tflite file")
    return buffers


def _read_tensor(table: _Table, buffers: list[tuple[int, int]]) -> GraphTensor:
    name = table.text(3)
    number = table.integer(1, "b")
    if not 0 <= number < len(_TYPES):
        raise _damaged(f"tensor {name!r} has the unknown type {number}")
    dtype = _TYPES[number]
    shape = table.numbers(0, "i")
    signature = table.numbers(7, "i") or shape
    if len(shape) > _MAX_RANK or any(size < 0 for size in shape) or any(size < -1 for size in signature):
        raise _damaged(f"tensor {name!r} has the impossible shape {list(shape[:_MAX_RANK])}")
    if len(signature) != len(shape):
        raise _damaged(f"tensor {name!r} has two shapes of different rank")
    if table.field(6, 4) is not None:
        raise UnsupportedModelError(f"tensor {name!r} is stored sparse", hint="export the model without pruning")
    index = table.integer(2, "I")
    if index >= len(buffers):
        raise _damaged(f"tensor {name!r} names a buffer that does not exist")
    start, length = buffers[index]
    if bits := _BITS.get(dtype):
        size = (prod(shape) * bits + 7) // 8
        if size >= _MAX_BYTES:
            raise _damaged(f"tensor {name!r} would take {size} bytes")
        if length and length != size:
            what = f"tensor {name!r} holds {length} bytes"
            raise _damaged(f"{what} where its shape {list(shape)} of {dtype} takes {size}")
    scales, zero_points, axis = _read_quantization(table, name, shape)
    is_variable = bool(table.integer(5, "B"))
    return GraphTensor(name, shape, signature, dtype, start, length, scales, zero_points, axis, is_variable)


def _read_quantization(
    tensor: _Table, name: str, shape: tuple[int, ...]
) -> tuple[tuple[float, ...], tuple[int, ...], int]:
    table = tensor.table(4)
    if table is None:
        return (), (), 0
    table.vector(0, 4)
    table.vector(1, 4)
    scales, zero_points, axis = table.numbers(2, "f"), table.numbers(3, "q"), table.integer(6, "i")
    if any(not 0 <= scale < float("inf") for scale in scales):
        raise _damaged(f"tensor {name!r} has a quantization scale that is no positive number")
    if len(scales) > 1 and not (0 <= axis < len(shape) and len(scales) == shape[axis]):
        message = f"tensor {name!r} has {len(scales)} quantization scales along dimension {axis} of {list(shape)}"
        raise _damaged(message)
    if len(zero_points) not in {0, 1, len(scales)}:
        raise _damaged(f"tensor {name!r} has {len(scales)} quantization scales and {len(zero_points)} zero points")
    return scales, zero_points, axis


def _read_operators(graph: _Table, tensors: int, names: list[str]) -> tuple[Operator, ...]:
    operators = []
    for table in graph.tables(3):
        code = table.integer(0, "I")
        if code >= len(names):
            raise _damaged(f"an operator has the kind {code}, which does not exist")
        for place, union in ((3, "BuiltinOptions"), (11, "BuiltinOptions2")):
            if (kind := table.integer(place, "B")) and (options := table.table(place + 1)):
                for index, item in enumerate(load_toml("tflite.toml")[union].get(str(kind), ())):
                    if item:
                        options.vector(index, item)
        table.vector(5)
        table.vector(7)
        _indices(table, 8, tensors, -1)
        if table.integer(9, "Q") + table.integer(10, "Q") > len(table.file.data):
            raise _damaged("an operator's options lie behind the end of the file")
        operators.append(Operator(names[code], _indices(table, 1, tensors, -1), _indices(table, 2, tensors, 0)))
    return tuple(operators)


def _indices(table: _Table, index: int, tensors: int, lowest: int) -> tuple[int, ...]:
    indices = table.numbers(index, "i")
    if any(not lowest <= number < tensors for number in indices):
        raise _damaged("a tensor is named that does not exist")
    return indices


def _check_order(graph: Graph) -> None:
    """Every tensor that is read must be constant, an input, a state, or computed before.

    This is not required of custom operators, SSD's excepted: an Ethos-U's has scratch tensors. Such a model is not run.
    """
    known = {
        index
        for index, tensor in enumerate(graph.tensors)
        if tensor.length or tensor.variable or 0 in tensor.shape or tensor.dtype not in _BITS
    }
    known.update(graph.inputs, [-1])
    for operator in graph.operators:
        # Built-in names are upper case.
        if operator.name.isupper() or operator.name == POST_PROCESS:
            for index in operator.inputs:
                if index not in known:
                    raise _damaged(f"operator {operator.name} reads tensor {index}, which nothing has computed")
        known.update(operator.outputs)
    for index in graph.outputs:
        if index not in known:
            raise _damaged(f"its output is tensor {index}, which nothing has computed")


def _damaged(what: str) -> InputError:
    """The error of a flatbuffer that cannot be read."""
    return InputError(f"the model is damaged: {what}", hint="export or download the model again")


@dataclass(slots=True)
class _File:
    """A flatbuffer, and how much of it has been read. All methods raise InputError for what is out of bounds."""

    data: bytes = field(repr=False)
    tables: int = 0
    elements: int = 0

    def number(self, kind: str, position: int) -> int:
        """The integer at `position`; `kind` is struct's letter."""
        if position < 0 or position + _SIZES[kind] > len(self.data):
            raise _damaged(f"offset {position} lies outside of the file")
        return int(struct.unpack_from(f"<{kind}", self.data, position)[0])

    def target(self, position: int) -> int:
        """Where the forward offset stored at `position` points to."""
        distance = self.number("I", position)
        target = position + distance
        if distance == 0 or target % 4 or target >= len(self.data):
            raise _damaged(f"the offset at {position} points to {target}, which is no place for a table or vector")
        return target

    def table(self, position: int) -> _Table:
        """The table that the offset at `position` points to, its list of fields checked."""
        self.tables += 1
        if self.tables > _MAX_TABLES:
            raise _damaged(f"it has more than {_MAX_TABLES} tables")
        position = self.target(position)
        vtable = position - self.number("i", position)
        vtable_size, size = self.number("H", vtable), self.number("H", vtable + 2)
        if vtable % 2 or vtable_size % 2 or not 4 <= vtable_size <= _MAX_FIELDS * 2 + 4 or size < 4:
            raise _damaged(f"the table at {position} has no valid list of fields")
        if vtable + vtable_size > len(self.data) or position + size > len(self.data):
            raise _damaged(f"the table at {position} reaches outside of the file")
        offsets = struct.unpack_from(f"<{(vtable_size - 4) // 2}H", self.data, vtable + 4)
        if any(offset >= size or 0 < offset < 4 for offset in offsets):
            raise _damaged(f"a field of the table at {position} lies outside of it")
        return _Table(self, position, size, offsets)


@dataclass(frozen=True, slots=True)
class _Table:
    """A table; `offsets` holds one offset a field, 0 where the field is absent. Fields are counted from 0."""

    file: _File = field(repr=False)
    position: int
    size: int
    offsets: tuple[int, ...]

    def field(self, index: int, size: int) -> int | None:
        """Where field `index` of `size` bytes lies, None when absent."""
        offset = self.offsets[index] if index < len(self.offsets) else 0
        if not offset:
            return None
        if offset + size > self.size:
            raise _damaged(f"a field of the table at {self.position} is cut off")
        return self.position + offset

    def integer(self, index: int, kind: str) -> int:
        """The integer in field `index`, 0 when absent; `kind` is struct's letter."""
        at = self.field(index, _SIZES[kind])
        return 0 if at is None else self.file.number(kind, at)

    def table(self, index: int) -> _Table | None:
        """The table in field `index`, None when absent."""
        at = self.field(index, 4)
        return None if at is None else self.file.table(at)

    def tables(self, index: int) -> list[_Table]:
        """The vector of tables in field `index`, empty when absent."""
        start, count = self.vector(index, 4)
        return [self.file.table(start + 4 * at) for at in range(count)]

    def numbers(self, index: int, kind: str) -> tuple[Any, ...]:
        """The elements of the vector in field `index`, empty when absent; `kind` is struct's letter."""
        start, count = self.vector(index, _SIZES[kind])
        self.file.elements += count
        if self.file.elements > _MAX_ELEMENTS:
            raise _damaged("its vectors are longer than any model's")
        return struct.unpack_from(f"<{count}{kind}", self.file.data, start)

    def text(self, index: int) -> str:
        """The string in field `index`, empty when absent; bytes that are no UTF-8 are replaced."""
        return b"".join(self.numbers(index, "s")).decode("utf-8", "replace")  # "5s" is one element of five bytes

    def vector(self, index: int, item: int = 1) -> tuple[int, int]:
        """Start and number of elements, `item` bytes each, of the vector in field `index`; (0, 0) when absent."""
        at = self.field(index, 4)
        if at is None:
            return 0, 0
        start = self.file.target(at)
        count = self.file.number("I", start)
        if start + 4 + count * item > len(self.file.data):
            raise _damaged(f"the vector at {start} reaches outside of the file")
        return start + 4, count


@cache
def operator_name(code: int) -> str:
    """The name of built-in operator `code` in the schema, "BUILTIN_300" for one newer than the schema classes."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator  # the schema classes import numpy

    names = (name for name, number in vars(BuiltinOperator).items() if number == code and not name.startswith("_"))
    return next(names, f"BUILTIN_{code}")


def called_operator(model: Any, call: Any) -> str:
    """The kind of the `OperatorT` `call` of `model`: its name in the schema, or a custom one's own."""
    code = model.operatorCodes[call.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return str(code.customCode, "utf-8", "replace") if number == _CUSTOM else operator_name(number)


def operator_codes(codes: Iterable[tuple[int, str | bytes | None, int]]) -> list[Any]:
    """A model's `operatorCodes`, of BuiltinOperator, custom code and version each."""
    from ai_edge_litert import schema_py_generated as schema

    result = []
    for builtin, custom, version in codes:
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, _PLACEHOLDER)
        code.customCode, code.version = custom or None, version
        result.append(code)
    return result


def unpack(model: bytes) -> Any:
    """The object form (`ModelT`) of a flatbuffer that has been verified."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(bytearray(model), 0)


def pack(model: Any) -> bytes:
    """The flatbuffer of the `ModelT` `model`; its buffers hold uint8 arrays or nothing.

    Tensors' data is aligned to 16 bytes, as the schema demands and Python's generated classes do not do by themselves:
    the buffers of `model` are replaced by aligned ones. The same objects give the same bytes.
    """
    import flatbuffers  # few commands write flatbuffers
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    class Aligned(schema.BufferT):  # type: ignore[misc] # generated without annotations
        """A buffer whose data starts at a multiple of 16."""

        def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - the schema classes' name
            if self.data is not None:
                # The next thing written is a vector of this length: it will end on the boundary it has to start from.
                builder.Prep(_ALIGNMENT, len(self.data))
            return int(super().Pack(builder))

    def aligned(data: Any) -> Aligned:
        is_empty = data is None or len(data) == 0
        return Aligned(None if is_empty else np.ascontiguousarray(data, np.uint8).reshape(-1))

    model.buffers = [aligned(buffer.data) for buffer in model.buffers]
    size = sum(0 if buffer.data is None else len(buffer.data) + 2 * _ALIGNMENT for buffer in model.buffers)
    builder = flatbuffers.Builder(size + _OVERHEAD)
    builder.Finish(model.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


def first_subgraph(model: bytes) -> bytes:
    """A verified flatbuffer without its other subgraphs: the first one is what LiteRT runs by default.

    Of an IF both subgraphs are computed, and one of them chosen: they have no effect besides their results. A composite
    (PyTorch's converter writes them) is a name for the operators of its subgraph.

    Raises:
        InputError: what an IF or a composite runs is damaged.
        UnsupportedModelError: an IF gives tensors of different sizes.
    """
    content = unpack(model)
    _write_out(content)
    del content.subgraphs[1:]
    content.signatureDefs = [each for each in content.signatureDefs or [] if each.subgraphIndex == 0]
    used = {0, *(each.buffer for each in (*content.subgraphs[0].tensors, *(content.metadata or ())))}
    for index, buffer in enumerate(content.buffers):
        if index not in used:
            buffer.data = None
    return pack(content)


def _write_out(content: Any) -> None:
    """Put the operators of both subgraphs, and SELECT_V2, in the place of each IF of the first subgraph, and those of
    its subgraph in the place of each composite."""
    for each in content.subgraphs:
        each.tensors, each.operators = each.tensors or [], each.operators or []
        for call in (each, *each.operators):
            ends = (call.inputs, call.outputs)
            call.inputs, call.outputs = ([] if end is None else list(map(int, end)) for end in ends)
    graph = content.subgraphs[0]
    calls, done, written = graph.operators[::-1], [], 0
    same: dict[int, int] = {}  # the tensor that is read in the place of another one
    while calls:
        call = calls.pop()
        call.inputs = [same.get(index, index) for index in call.inputs]
        kind = called_operator(content, call)
        if kind not in _WRITTEN_OUT:
            done.append(call)
            continue
        if kind == _COMPOSITE:
            index = getattr(call.builtinOptions2, "decompositionSubgraphIndex", 0)
            more, results = _branch(content, index, call.inputs, call.outputs)
            same |= {old: new for old, new in zip(call.outputs, results, strict=True) if old != new}
        else:
            options, (condition, *given) = call.builtinOptions, call.inputs or [-1]
            branches = [getattr(options, name, 0) for name in ("thenSubgraphIndex", "elseSubgraphIndex")]
            (first, ones), (second, others) = (_branch(content, index, given) for index in branches)
            if condition < 0 or not len(ones) == len(others) == len(call.outputs):
                raise _damaged("a condition is absent, or gives another number of tensors")
            more = [*first, *second]
            for one, other, output in zip(ones, others, call.outputs, strict=True):
                if len({str(_plain(graph.tensors[index].shape)) for index in (one, other, output)}) > 1:
                    message = "the model decides between tensors of different sizes"
                    raise UnsupportedModelError(message, hint="export it without conditions")
                more.append(_new_call(content, "SELECT_V2", 1, [condition, one, other], output))
        written += sum(1 + len(each.inputs) + len(each.outputs) for each in more)
        if len(graph.tensors) + written > _MAX_TABLES:
            raise _damaged("its subgraphs run one another")
        calls += more[::-1]
    graph.operators = done
    _rename_outputs(content, same)


def _rename_outputs(content: Any, same: dict[int, int]) -> None:
    """Let the first subgraph give those tensors that `same` has in the place of others."""
    graph = content.subgraphs[0]
    computed = {index for call in graph.operators for index in call.outputs}
    for place, index in enumerate(graph.outputs):
        if index not in same:
            continue
        if same[index] not in computed or same[index] in graph.outputs:
            name = str(graph.tensors[index].name or b"", "utf-8", "replace")
            message = f"the model's output {name!r} is a constant, its input or another output"
            raise UnsupportedModelError(message, hint="export it with outputs that are computed")
        graph.outputs[place], content.signatureDefs = same[index], None  # they name the old one


def _branch(
    content: Any, index: int, given: list[int], results: list[int] | None = None
) -> tuple[list[Any], list[int]]:
    """The operators of subgraph `index` for the first one, which gets its tensors, and their outputs there.

    `given`: the tensors it takes, of the first subgraph; `results`: those for what its operators compute, if they are
    there already.
    """
    graph = content.subgraphs[0]
    if not 0 < index < len(content.subgraphs) or len(content.subgraphs[index].inputs) != len(given) or -1 in given:
        raise _damaged("an operator runs a subgraph that does not fit")
    branch = content.subgraphs[index]
    places = dict(zip(branch.inputs, given, strict=True)) | {-1: -1}
    if results is not None:
        if not len(set(branch.outputs)) == len(branch.outputs) == len(results):
            raise _damaged("a composite gives other tensors than its subgraph")
        computed = {number for call in branch.operators for number in call.outputs}
        places = {old: new for old, new in zip(branch.outputs, results, strict=True) if old in computed} | places
    for number, tensor in enumerate(branch.tensors):
        if number not in places:
            places[number] = len(graph.tensors)
            graph.tensors.append(tensor)
    calls = [copy(call) for call in branch.operators]
    for call in calls:
        call.inputs, call.outputs = ([places[number] for number in end] for end in (call.inputs, call.outputs))
    return calls, [places[number] for number in branch.outputs]


def _new_call(content: Any, kind: str, version: int, inputs: list[int], output: int) -> Any:
    """An operator without options, for the first subgraph."""
    from ai_edge_litert import schema_py_generated as schema

    call = schema.OperatorT()
    call.opcodeIndex, call.inputs, call.outputs = len(content.operatorCodes), inputs, [output]
    content.operatorCodes += operator_codes([(getattr(schema.BuiltinOperator, kind), None, version)])
    return call


def last_grid(model: bytes) -> bytes:
    """A verified flatbuffer whose one output [1,K,h,w] is turned to [1,h,w,K], as TensorFlow has it."""
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    content = unpack(model)
    (graph,) = content.subgraphs
    (source,) = map(int, graph.outputs)
    tensor, perm = copy(graph.tensors[source]), schema.TensorT()
    order = np.array([0, 2, 3, 1], np.int32)
    tensor.name, tensor.shape, tensor.shapeSignature = "grid", np.asarray(tensor.shape)[order], None
    perm.name, perm.shape, perm.type, perm.buffer = "order", [4], schema.TensorType.INT32, len(content.buffers)
    content.buffers.append(schema.BufferT(np.frombuffer(order.tobytes(), np.uint8)))
    count = len(graph.tensors)
    graph.tensors += [perm, tensor]
    graph.operators.append(_new_call(content, "TRANSPOSE", 2, [source, count], count + 1))
    graph.outputs, content.signatureDefs = [count + 1], None
    return pack(content)


def content_digest(model: bytes) -> str:
    """A digest of what a verified flatbuffer computes, whatever its tensors are called: SHA-256, hexadecimal.

    Counted are tensors (type, shape, constant bytes, quantization), operators (kind, inputs, outputs, parameters), and
    inputs and outputs of the graph, all in their order. Not counted is what the EON compiler loses and what changes no
    result: names, operator versions, signatures, metadata, how the file is laid out. So a model and its EON form have
    the same digest.
    """
    content = unpack(model)
    (graph,) = content.subgraphs
    parts: list[Any] = []
    for tensor in graph.tensors:
        quantization, data = tensor.quantization, content.buffers[tensor.buffer].data
        parts.append(["tensor", tensor.type, tensor.shape])
        if quantization is not None and quantization.scale is not None and len(quantization.scale):
            parts.append([quantization.scale, quantization.zeroPoint, quantization.quantizedDimension])
        parts.append(b"" if data is None else bytes(data))
    for call in graph.operators:
        code = content.operatorCodes[call.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        options: list[tuple[str, Any]] = []  # those that are not at their defaults: an absent table is one of defaults
        if call.builtinOptions is not None and not (kind == _RESHAPE and len(call.inputs) > 1):
            usual = _plain(vars(type(call.builtinOptions)()))
            options = sorted(each for each in _plain(vars(call.builtinOptions)).items() if each[1] != usual[each[0]])
        parts.append(["operator", kind, code.customCode, call.inputs, call.outputs, options])
        parts.append(b"" if call.customOptions is None else bytes(call.customOptions))
    parts.append(["ends", graph.inputs, graph.outputs])
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else repr(_plain(part)).encode())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """Numbers, text, lists and dictionaries whose repr is the same on every machine."""
    if value is None:
        return []
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value  # numpy's arrays and numbers
