"""Protobuf's wire format, as far as finding fields takes: lengths are stepped over, contents are not copied.

A model of hundreds of megabytes, mapped into memory, costs a few pages: the weights are never touched.
(Protocol Buffers documentation, "Encoding".)
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Buffer", "Damaged", "Field", "fields", "int64", "packed"]

Buffer: TypeAlias = bytes | mmap.mmap

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES: Final = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT: Final = 10  # bytes, of a 64-bit number


class Damaged(Exception):
    """The bytes are no protobuf message."""


class Field(NamedTuple):
    """One field. `wire`: 0 number, 1 and 5 fixed size, 2 bytes. `start`: a number's value, or where it lies."""

    number: int
    wire: int
    start: int
    end: int

    def bytes(self, data: Buffer) -> bytes:
        """The contents, copied."""
        if self.wire != BYTES:
            raise Damaged("a number stands where text belongs")
        return data[self.start : self.end]

    def text(self, data: Buffer) -> str:
        """The contents as text; what is not UTF-8 becomes a replacement character."""
        return self.bytes(data).decode("utf-8", "replace")


def fields(data: Buffer, start: int, end: int) -> Iterator[Field]:
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
        if wire == VARINT:
            value, position = _varint(data, position, end)
            yield Field(number, wire, value, position)
            continue
        if wire == BYTES:
            size, position = _varint(data, position, end)
        elif wire in _SIZES:
            size = _SIZES[wire]
        else:
            raise Damaged(f"a field has the unknown wire type {wire}")
        if size > end - position:
            raise Damaged("a field is longer than what is left")
        yield Field(number, wire, position, position + size)
        position += size


def packed(data: Buffer, field: Field) -> Iterator[int]:
    """The numbers of a repeated integer field: one, or many packed into bytes.

    Raises:
        Damaged: it holds something else.
    """
    if field.wire == VARINT:
        yield int64(field.start)
        return
    if field.wire != BYTES:
        raise Damaged("a list of numbers has another type")
    position = field.start
    while position < field.end:
        value, position = _varint(data, position, field.end)
        yield int64(value)


def int64(value: int) -> int:
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
