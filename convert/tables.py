"""Parsed JSON and TOML as frozen dataclasses, and dataclasses as JSON values.

What does not fit is refused with its file, its place in the file and its key.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from convert.errors import ConvertError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["TableReader", "plain"]

_T = TypeVar("_T")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class TableReader:
    """Reads tables of one file by the type hints of dataclasses.

    A field is text, a number, a truth value, an enumeration (by value), another dataclass, `tuple[T, ...]`,
    `dict[str, T]`, `Any`, or one of these or None. Text must be valid Unicode and floats finite: Python's JSON reads
    lone surrogates and NaN, which no file of ours can hold.

    Attributes:
        path: the file, as errors name it.
        error: the class of the errors raised.
        hint: of errors that have no better one.
        dashes: a field `min_object_size` is spelt `min-object-size`, as Gst-nvinfer spells its keys.
        open: entries that no field has are ignored instead of refused.
    """

    path: Path | str
    error: type[ConvertError] = InputError
    hint: str | None = None
    dashes: bool = False
    open: bool = False

    def fail(self, message: str, hint: str | None = None) -> ConvertError:
        """The error to raise."""
        return self.error(message, path=self.path, hint=hint or self.hint)

    def table(self, values: object, where: str) -> Mapping[str, Any]:
        """`values`, which must be a table; `where` is its place in the file."""
        if not isinstance(values, dict):
            raise self.fail(f"{where} must be a table")
        return values

    def row(self, kind: type[_T], values: object, where: str) -> _T:
        """`values` as the dataclass `kind`; an entry that is unknown, missing or of another type is refused."""
        table = self.table(values, where)
        known = {self._spelt(field.name): field for field in fields(kind)}  # type: ignore[arg-type]
        if not self.open and (unknown := sorted(set(table) - set(known))):
            raise self.fail(f"{where}: unknown entry {unknown[0]!r}", "known: " + ", ".join(known))
        found = {}
        for spelling, field in known.items():
            if spelling in table:
                hint = _hints(kind)[field.name]  # type: ignore[arg-type]  # a class is hashable
                found[field.name] = self.value(hint, table[spelling], f"{where}: {spelling}")
            elif field.default is MISSING and field.default_factory is MISSING:
                raise self.fail(f"{where}: the entry {spelling!r} is missing")
        return kind(**found)

    def rows(self, kind: type[_T], values: object, where: str) -> tuple[_T, ...]:
        """A list of tables, each as the dataclass `kind`."""
        if not isinstance(values, list):
            raise self.fail(f"{where} must be a list of tables")
        return tuple(self.row(kind, value, f"{where}, entry {number}") for number, value in enumerate(values, 1))

    def value(self, kind: Any, value: object, where: str) -> Any:
        """`value` as the type `kind`."""
        if isinstance(kind, UnionType):
            if value is None:
                return None
            (kind,) = (each for each in get_args(kind) if each is not NoneType)
        if dataclasses.is_dataclass(kind):
            return self.row(kind, value, where)  # type: ignore[arg-type]
        if get_origin(kind) is tuple:
            return self._items(get_args(kind)[0], value, where)
        if get_origin(kind) is dict:
            item = get_args(kind)[1]
            return {name: self.value(item, one, f"{where}.{name}") for name, one in self.table(value, where).items()}
        return self._single(kind, value, where)

    def _items(self, item: Any, values: object, where: str) -> tuple[Any, ...]:
        if dataclasses.is_dataclass(item):
            return self.rows(item, values, where)  # type: ignore[arg-type]
        if not isinstance(values, list):
            name = "text" if item is str else item.__name__
            raise self.fail(f"{where} must be list of {name}, not {values!r}")
        return tuple(self.value(item, one, f"{where}, entry {number}") for number, one in enumerate(values, 1))

    def _single(self, kind: Any, value: Any, where: str) -> Any:
        if kind is Any:
            return value
        if issubclass(kind, Enum):
            if value in [member.value for member in kind]:
                return kind(value)
        elif kind is float:
            if type(value) in {int, float} and abs(value) <= sys.float_info.max:  # false for NaN as well
                return float(value)
        elif type(value) is kind and (kind is not str or not _SURROGATE.search(value)):
            return value
        raise self.fail(f"{where} must be {kind.__name__}, not {value!r}")

    def _spelt(self, name: str) -> str:
        return name.replace("_", "-") if self.dashes else name


@cache
def _hints(kind: type) -> dict[str, Any]:
    """Field name -> type; asked for once a class, because each annotation is compiled."""
    return get_type_hints(kind)


def plain(value: object) -> Any:
    """Dataclasses, enumerations and tuples as what JSON has: objects, values and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
