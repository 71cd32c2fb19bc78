"""Reads FlatBuffers tables with every offset checked, so that a damaged file ends in one message and never in a crash.

The layout is that of the FlatBuffers internals document: a table starts with a signed 32-bit distance back to its
vtable; the vtable holds its own size, the table's size, and one 16-bit offset a field; strings, vectors and tables are
reached over unsigned 32-bit forward offsets. All numbers are little-endian and aligned to their size, offsets to 4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from convert.errors import InputError

__all__ = ["Reader", "Table", "damaged"]

_MAX_TABLES: Final = 1 << 17
"""Tables read from one file; the FlatBuffers verifier stops at a million, real models have under 3,000."""

_MAX_FIELDS: Final = 256
"""Fields of one table; the schema's largest has 14."""

_MAX_ELEMENTS: Final = 1 << 22
"""Vector elements read from one file: a small file can name one long vector many times."""

_SIZES: Final = {"b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "f": 4, "q": 8, "Q": 8}


def damaged(what: str) -> InputError:
    """The error of a flatbuffer that cannot be read."""
    return InputError(f"the model is damaged: {what}", hint="export or download the model again")


@dataclass(slots=True)
class Reader:
    """A flatbuffer and what has been read of it."""

    data: bytes = field(repr=False)
    _tables: int = 0
    _elements: int = 0

    def root(self) -> Table:
        """The root table.

        Raises:
            InputError: out of bounds or not aligned, here and in all methods of the tables below.
        """
        return self.table_at(self.offset(0))

    def unpack(self, kind: str, position: int) -> int | float:
        """The scalar at `position`; `kind` is struct's letter."""
        size = _SIZES[kind]
        if position < 0 or position + size > len(self.data):
            raise damaged(f"offset {position} lies outside of the file")
        value: int | float = struct.unpack_from(f"<{kind}", self.data, position)[0]
        return value

    def offset(self, position: int) -> int:
        """Where the forward offset stored at `position` points to."""
        distance = int(self.unpack("I", position))
        target = position + distance
        if distance == 0 or target % 4 or target >= len(self.data):
            raise damaged(f"the offset at {position} points to {target}, which is no place for a table or vector")
        return target

    def table_at(self, position: int) -> Table:
        """The table at `position`, its list of fields checked."""
        self._tables += 1
        if self._tables > _MAX_TABLES:
            raise damaged(f"it has more than {_MAX_TABLES} tables")
        vtable = position - int(self.unpack("i", position))
        vtable_size, size = int(self.unpack("H", vtable)), int(self.unpack("H", vtable + 2))
        if vtable % 2 or vtable_size % 2 or not 4 <= vtable_size <= _MAX_FIELDS * 2 + 4 or size < 4:
            raise damaged(f"the table at {position} has no valid list of fields")
        if vtable + vtable_size > len(self.data) or position + size > len(self.data):
            raise damaged(f"the table at {position} reaches outside of the file")
        fields = struct.unpack_from(f"<{(vtable_size - 4) // 2}H", self.data, vtable + 4)
        if any(offset >= size or 0 < offset < 4 for offset in fields):
            raise damaged(f"a field of the table at {position} lies outside of it")
        return Table(self, position, size, fields)

    def vector(self, position: int, item: int) -> tuple[int, int]:
        """Start and number of the elements, `item` bytes each, of the vector at `position`."""
        count = int(self.unpack("I", position))
        if position + 4 + count * item > len(self.data):
            raise damaged(f"the vector at {position} reaches outside of the file")
        return position + 4, count

    def count(self, elements: int) -> None:
        """Remember that so many elements have been read."""
        self._elements += elements
        if self._elements > _MAX_ELEMENTS:
            raise damaged("its vectors are longer than any model's")


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `slots` holds one offset a field, 0 where the field is absent. Fields are counted from 0."""

    reader: Reader = field(repr=False)
    position: int
    size: int
    slots: tuple[int, ...]

    def integer(self, index: int, kind: str, default: int = 0) -> int:
        """The scalar in field `index`; `kind` is struct's letter."""
        at = self._at(index)
        if at is None:
            return default
        if at + _SIZES[kind] > self.position + self.size:
            raise damaged(f"a field of the table at {self.position} is cut off")
        return int(self.reader.unpack(kind, at))

    def table(self, index: int) -> Table | None:
        """The table in field `index`, None when absent."""
        target = self._target(index)
        return None if target is None else self.reader.table_at(target)

    def tables(self, index: int) -> list[Table]:
        """The vector of tables in field `index`, empty when absent."""
        target = self._target(index)
        if target is None:
            return []
        start, count = self.reader.vector(target, 4)
        return [self.reader.table_at(self.reader.offset(start + 4 * at)) for at in range(count)]

    def numbers(self, index: int, kind: str) -> tuple[int, ...] | None:
        """The vector of integers in field `index`, None when absent."""
        start, count = self.span(index, _SIZES[kind])
        if start < 0:
            return None
        self.reader.count(count)
        return struct.unpack_from(f"<{count}{kind}", self.reader.data, start)

    def reals(self, index: int) -> tuple[float, ...]:
        """The vector of float32 in field `index`, empty when absent."""
        start, count = self.span(index, 4)
        if start < 0:
            return ()
        self.reader.count(count)
        return struct.unpack_from(f"<{count}f", self.reader.data, start)

    def span(self, index: int, item: int = 1) -> tuple[int, int]:
        """Start (-1: absent) and number of elements of the vector in field `index`, elements of `item` bytes."""
        target = self._target(index)
        return (-1, 0) if target is None else self.reader.vector(target, item)

    def text(self, index: int) -> str:
        """The string in field `index`, empty when absent; bytes that are no UTF-8 are replaced."""
        start, count = self.span(index)
        if start < 0:
            return ""
        self.reader.count(count)
        return self.reader.data[start : start + count].decode("utf-8", "replace")

    def has(self, index: int) -> bool:
        """Whether field `index` is present."""
        return self._at(index) is not None

    def _at(self, index: int) -> int | None:
        slot = self.slots[index] if index < len(self.slots) else 0
        return self.position + slot if slot else None

    def _target(self, index: int) -> int | None:
        at = self._at(index)
        if at is None:
            return None
        if at + 4 > self.position + self.size:
            raise damaged(f"a field of the table at {self.position} is cut off")
        return self.reader.offset(at)
