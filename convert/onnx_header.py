"""Reads the header of an ONNX file: signature, nodes, small constants, metadata; without weights, without onnx.

A model of hundreds of megabytes, mapped into memory, costs a few pages: lengths are stepped over and contents are not
copied. The wire format is that of the Protocol Buffers documentation, "Encoding"; field numbers are those of
onnx/onnx.proto (ONNX 1.17, unchanged since 1.0 for the fields read here).
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from convert.errors import InputError

Buffer: TypeAlias = bytes | mmap.mmap
Attribute: TypeAlias = int | float | str | tuple[int, ...]

SMALL: Final = 64
"""Integer tensors of up to so many elements are read: they are shapes and axes. Larger ones are weights."""

# TensorProto.DataType, with the names that engines have for those TensorRT knows.
_TYPES: Final = {
    1: "float", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "half", 11: "double", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
}  # fmt: skip
_NUMPY_TYPES: Final = {"float16", "float32", "float64", *_TYPES.values()}
_FLOAT = 1
# TensorProto.DataType of integers that are read, and how `struct` calls them.
_INTEGERS: Final = {2: "B", 3: "b", 6: "i", 7: "q"}
STANDARD_DOMAINS: Final = frozenset({"", "ai.onnx"})
"""Names of ONNX's own operator set."""
_NOT_ONNX: Final = "not an ONNX model"
_LONGEST_TEXT: Final = 1000  # bytes of an attribute; equations and names of modes are shorter
_ABSENT: Final = {1: 0.0, 2: 0}
"""AttributeProto.AttributeType of a number, with the value that a writer of proto3 leaves out."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES: Final = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT: Final = 10  # bytes, of a 64-bit number


class Damaged(Exception):
    """The bytes are no protobuf message."""


class Value(NamedTuple):
    """An input or output. `dims`: numbers, names of dynamic dimensions, None where neither is given; None: no shape."""

    name: str
    dtype: str
    dims: tuple[int | str | None, ...] | None

    @property
    def numpy_type(self) -> str:
        """NumPy's name of the type; "unknown" where it has none."""
        name = {"float": "float32", "half": "float16", "double": "float64"}.get(self.dtype, self.dtype)
        return name if name in _NUMPY_TYPES else "unknown"

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The dimensions, None where one is not fixed; () where there is no shape."""
        return tuple(size if isinstance(size, int) else None for size in self.dims or ())


class Node(NamedTuple):
    """One operator.

    Attributes:
        constant: the small integers that a Constant holds.
        attributes: numbers, short texts and lists of up to `SMALL` integers; neither tensors nor graphs.
    """

    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    name: str
    constant: tuple[int, ...] | None = None
    attributes: Mapping[str, Attribute] = MappingProxyType({})


class Header(NamedTuple):
    """The header of a model.

    Attributes:
        opset: of the standard operators; 0 where the file names none.
        inputs: without those that are weights with a default (as older files list them).
        integers: small integer constants by name.
        scalars: float32 constants of one element by name.
        external: files beside the model that hold weights, as it names them.
        metadata: metadata_props.
    """

    opset: int
    domains: tuple[str, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    initialisers: frozenset[str]
    integers: Mapping[str, tuple[int, ...]]
    external: tuple[str, ...]
    metadata: Mapping[str, str]
    scalars: Mapping[str, float] = MappingProxyType({})


def read_header(path: Path | str) -> Header:
    """The header of the ONNX file `path`; only its pages with names and numbers are read.

    Raises:
        InputError: missing, unreadable, no ordinary file, or no ONNX model.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        hint = "check the path and its rights"
        raise InputError(f"the model cannot be read: {os.strerror(error.errno or 0)}", hint=hint, path=path) from None
    try:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode) or not state.st_size:  # neither can be mapped
            message = "the model is an empty file" if stat.S_ISREG(state.st_mode) else "the model is no ordinary file"
            raise InputError(message, hint="name an .onnx file", path=path)
        with mmap.mmap(handle, 0, access=mmap.ACCESS_READ) as data:
            return parse_header(data)
    except Damaged as damaged:
        raise InputError(_reason(path, damaged), hint="export or copy the model again", path=path) from None
    finally:
        os.close(handle)


def _reason(path: Path | str, damaged: Damaged) -> str:
    with Path(path).open("rb") as file:
        start = file.read(64)
    if start.startswith(b"version https://git-lfs"):
        return f"{_NOT_ONNX} but the pointer that Git LFS leaves in its place"
    return f"{_NOT_ONNX}: {damaged}"


def parse_header(data: Buffer) -> Header:
    """The header of the model in `data`.

    Raises:
        Damaged: it is no ONNX model.
    """
    opsets: dict[str, int] = {}
    metadata: dict[str, str] = {}
    graph: _Field | None = None
    for entry in _fields(data, 0, len(data)):
        if entry.number == 7:
            graph = entry
        elif entry.number == 8:
            domain, version = "", 0
            for part in entry.inside():
                if part.number == 1:
                    domain = part.text()
                elif part.number == 2 and part.wire == _VARINT:
                    version = _int64(part.start)
            opsets[domain] = version
        elif entry.number == 14:
            key, value = _pair(entry)
            metadata[key] = value
    if graph is None or graph.wire != _BYTES:
        raise Damaged("there is no graph in it")
    reader = _Graph()
    reader.read(graph)
    if not reader.nodes and not reader.outputs:
        raise Damaged("its graph is empty")
    return Header(
        opset=max((version for domain, version in opsets.items() if domain in STANDARD_DOMAINS), default=0),
        domains=tuple(sorted(opsets)),
        inputs=tuple(each for each in reader.inputs if each.name not in reader.initialisers),
        outputs=tuple(reader.outputs),
        nodes=tuple(reader.nodes),
        initialisers=frozenset(reader.initialisers),
        integers=reader.integers,
        external=tuple(sorted(reader.external)),
        metadata=metadata,
        scalars=reader.scalars,
    )


@dataclass(slots=True)
class _Graph:
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    initialisers: set[str] = field(default_factory=set)
    integers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    scalars: dict[str, float] = field(default_factory=dict)
    external: set[str] = field(default_factory=set)

    def read(self, graph: _Field) -> None:
        for part in graph.inside():
            if part.number == 1:
                self.node(part)
            elif part.number == 5:
                name, numbers = self.tensor(part)
                self.initialisers.add(name)
                self.keep(name, numbers)
            elif part.number in {11, 12}:
                (self.inputs if part.number == 11 else self.outputs).append(_value(part))
            elif part.number == 15:  # a sparse tensor: its values (1) carry the name
                self.initialisers.update(self.tensor(each)[0] for each in part.inside() if each.number == 1)

    def node(self, node: _Field) -> None:
        texts: dict[int, list[str]] = {number: [] for number in (1, 2, 3, 4, 7)}
        attributes: list[_Field] = []
        for part in node.inside():
            if part.number in texts:
                texts[part.number].append(part.text())
            elif part.number == 5:
                attributes.append(part)
        name, op, domain = (texts[number][-1] if texts[number] else "" for number in (3, 4, 7))
        constant = self.constant(attributes) if op == "Constant" else None
        if texts[2]:
            self.keep(texts[2][0], constant)
        if isinstance(constant, float):
            constant = None
        read = dict(pair for each in attributes if (pair := _attribute(each)))
        self.nodes.append(Node(op, domain, tuple(texts[1]), tuple(texts[2]), name, constant, read))

    def keep(self, name: str, numbers: tuple[int, ...] | float | None) -> None:
        """Note what the constant `name` holds."""
        if isinstance(numbers, float):
            self.scalars[name] = numbers
        elif numbers is not None:
            self.integers[name] = numbers

    def constant(self, attributes: list[_Field]) -> tuple[int, ...] | float | None:
        """The integers of a Constant's `value`, `value_int` or `value_ints`, or its one float32."""
        found: tuple[int, ...] | float | None = None
        for attribute in attributes:
            name = ""
            numbers: list[int] = []
            for part in attribute.inside():
                if part.number == 1:
                    name = part.text()
                elif part.number == 5:
                    found = self.tensor(part)[1]
                elif part.number in {3, 8}:
                    numbers += part.integers()
            if name in {"value_int", "value_ints"}:
                found = tuple(numbers[:SMALL])
        return found

    def tensor(self, tensor: _Field) -> tuple[str, tuple[int, ...] | float | None]:
        """The name, and the elements of a small integer tensor or a single float32. Weights outside the file are noted.

        The elements are raw bytes or a list; None where there are not as many as the dimensions say.
        """
        name, kind, count = "", 0, 1
        raw: _Field | None = None
        listed: list[_Field] = []
        for part in tensor.inside():
            if part.number == 1:
                count *= prod(max(size, 0) for size in part.integers())
            elif part.number == 2:
                kind = part.start
            elif part.number in {4, 5, 7}:
                listed.append(part)
            elif part.number == 8:
                name = part.text()
            elif part.number == 9:
                raw = part
            elif part.number == 13:
                key, value = _pair(part)
                if key == "location":
                    self.external.add(value)
        if kind == _FLOAT and count == 1:
            return name, _float32(raw or next(iter(listed), None))
        if kind not in _INTEGERS or count > SMALL:
            return name, None
        if raw is None:
            numbers = tuple(number for part in listed if part.number != 4 for number in part.integers())
            return name, numbers if len(numbers) == count else None
        code = f"<{count}{_INTEGERS[kind]}"
        is_whole = raw.wire == _BYTES and raw.end - raw.start == struct.calcsize(code)
        return name, struct.unpack_from(code, raw.data, raw.start) if is_whole else None


def _float32(element: _Field | None) -> float | None:
    """The one float32 that a tensor holds, raw or in a list; None: it holds something else."""
    if element is None or element.end - element.start != 4 or element.wire not in {_BYTES, _FIXED32}:
        return None
    number: float = struct.unpack_from("<f", element.data, element.start)[0]
    return number


def _attribute(attribute: _Field) -> tuple[str, Attribute] | None:
    """Name and value of an AttributeProto; None: its value is of a kind that is not read, or too long."""
    name, kind = "", 0
    found: Attribute | None = None
    listed: list[int] = []
    for part in attribute.inside():
        if part.number == 1:
            name = part.text()
        elif part.number == 2 and part.wire == _FIXED32:
            (found,) = struct.unpack_from("<f", part.data, part.start)
        elif part.number == 3 and part.wire == _VARINT:
            found = _int64(part.start)
        elif part.number == 4 and part.wire == _BYTES and part.end - part.start <= _LONGEST_TEXT:
            found = part.text()
        elif part.number == 8 and len(listed) <= SMALL:
            listed += islice(part.integers(), SMALL + 1)
        elif part.number == 20 and part.wire == _VARINT:
            kind = part.start
    if listed:
        found = tuple(listed) if len(listed) <= SMALL else None
    elif found is None and kind in {1, 2}:
        found = _ABSENT[kind]
    return None if found is None else (name, found)


def _value(value: _Field) -> Value:
    """A ValueInfoProto: its name (1) and, below its type (2), that of a tensor (1): element type (1) and shape (2)."""
    name, kind = "", 0
    dims: list[int | str | None] | None = None
    for part in value.inside():
        if part.number == 1:
            name = part.text()
        elif part.number == 2:
            for each in (each for tensor in part.inside() if tensor.number == 1 for each in tensor.inside()):
                if each.number == 1:
                    kind = each.start
                elif each.number == 2:
                    dims = [_dim(dim) for dim in each.inside() if dim.number == 1]
    dtype = _TYPES.get(kind, f"type {kind}" if kind else "no tensor")
    return Value(name, dtype, None if dims is None else tuple(dims))


def _dim(dim: _Field) -> int | str | None:
    for part in dim.inside():
        if part.number == 1 and part.wire == _VARINT:
            return _int64(part.start)
        if part.number == 2:
            return part.text() or None
    return None


def _pair(entry: _Field) -> tuple[str, str]:
    """A StringStringEntryProto."""
    found = {part.number: part.text() for part in entry.inside() if part.number in {1, 2}}
    return found.get(1, ""), found.get(2, "")


class _Field(NamedTuple):
    """One field. `wire`: 0 number, 1 and 5 fixed size, 2 bytes. `start`: a number's value, or where it lies."""

    data: Buffer
    number: int
    wire: int
    start: int
    end: int

    def text(self) -> str:
        """The contents as text; what is not UTF-8 becomes a replacement character."""
        if self.wire != _BYTES:
            raise Damaged("a number stands where text belongs")
        return self.data[self.start : self.end].decode("utf-8", "replace")

    def inside(self) -> Iterator[_Field]:
        """The fields of a message."""
        if self.wire != _BYTES:
            raise Damaged("a number stands where a message belongs")
        return _fields(self.data, self.start, self.end)

    def integers(self) -> Iterator[int]:
        """The numbers of a repeated integer field: one, or many packed into bytes.

        Raises:
            Damaged: it holds something else.
        """
        if self.wire == _VARINT:
            yield _int64(self.start)
            return
        if self.wire != _BYTES:
            raise Damaged("a list of numbers has another type")
        position = self.start
        while position < self.end:
            value, position = _varint(self.data, position, self.end)
            yield _int64(value)


def _fields(data: Buffer, start: int, end: int) -> Iterator[_Field]:
    """The fields of the message in `data[start:end]`, in order.

    Raises:
        Damaged: it is none, or is cut off.
    """
    position = start
    while position < end:
        key, position = _varint(data, position, end)
        number, wire = key >> 3, key & 7
        if not number:
            raise Damaged("a field has the number 0")
        if wire == _VARINT:
            value, position = _varint(data, position, end)
            yield _Field(data, number, wire, value, position)
            continue
        if wire == _BYTES:
            size, position = _varint(data, position, end)
        elif wire in _SIZES:
            size = _SIZES[wire]
        else:
            raise Damaged(f"a field has the unknown wire type {wire}")
        if size > end - position:
            raise Damaged("a field is longer than what is left")
        yield _Field(data, number, wire, position, position + size)
        position += size


def _int64(value: int) -> int:
    """A number of the wire as a signed 64-bit one."""
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def _varint(data: Buffer, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    last = min(end, position + _LONGEST_VARINT)
    while position < last:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise Damaged("a number is cut off" if last == end else "a number is longer than 64 bits")


def field_of(number: int, content: bytes) -> bytes:
    """A field of protobuf that holds bytes, a string or a message."""
    start, length = bytearray([number << 3 | 2]), len(content)
    while length > 0x7F:
        start.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*start, length]) + content
