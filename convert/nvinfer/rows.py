"""TOML tables that people edit, as frozen dataclasses: every unknown, missing or mistyped entry is named.

A field `min_object_size` is spelt `min-object-size` in the file, as Gst-nvinfer spells its keys.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from convert.errors import PresetError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["read_row", "read_rows", "read_table"]

_T = TypeVar("_T")


def read_row(kind: type[_T], values: object, where: str, path: Path) -> _T:
    """`values` as the dataclass `kind`, whose fields are str, int, float, bool, tuples of str, tables, or None.

    Raises:
        PresetError: an entry is unknown, missing or of the wrong type; `where` and `path` say which.
    """
    table = read_table(values, where, path)
    known = {field.name.replace("_", "-"): field for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(table) - set(known)):
        raise PresetError(f"{where}: unknown entry {unknown[0]!r}", path=path, hint="known: " + ", ".join(known))
    for spelling, field in known.items():
        if spelling not in table and field.default is MISSING and field.default_factory is MISSING:
            raise PresetError(f"{where}: the entry {spelling!r} is missing", path=path)
    hints = _hints(kind)  # type: ignore[arg-type] # a class is hashable
    return kind(
        **{
            known[spelling].name: _typed(hints[known[spelling].name], value, f"{where}: {spelling}", path)
            for spelling, value in table.items()
        }
    )


@cache
def _hints(kind: type) -> dict[str, Any]:
    """Field name -> type; asked for once a class: each annotation is compiled."""
    return get_type_hints(kind)


def read_rows(kind: type[_T], values: object, where: str, path: Path) -> tuple[_T, ...]:
    """A list of tables, each as `kind` (see `read_row`)."""
    if not isinstance(values, list):
        raise PresetError(f"{where} must be a list of tables", path=path)
    return tuple(read_row(kind, value, f"{where}, entry {number}", path) for number, value in enumerate(values, 1))


def read_table(values: object, where: str, path: Path) -> Mapping[str, Any]:
    """`values`, which must be a table.

    Raises:
        PresetError: it is something else.
    """
    if not isinstance(values, dict):
        raise PresetError(f"{where} must be a table", path=path)
    return values


def _typed(kind: Any, value: object, where: str, path: Path) -> Any:
    kinds = [each for each in (get_args(kind) if type(None) in get_args(kind) else (kind,)) if each is not type(None)]
    for each in kinds:
        if get_origin(each) is tuple:
            if isinstance(value, list) and all(isinstance(item, str) for item in value):
                return tuple(value)
        elif get_origin(each) is dict:
            return _typed_table(each, value, where, path)
        elif each is float and type(value) is int:
            return float(value)
        elif type(value) is each:
            return value
    wanted = " or ".join("list of text" if get_origin(each) is tuple else each.__name__ for each in kinds)
    raise PresetError(f"{where} must be {wanted}, not {value!r}", path=path)


def _typed_table(kind: Any, value: object, where: str, path: Path) -> dict[str, Any]:
    _, entry = get_args(kind)
    table = read_table(value, where, path)
    return {
        name: item if entry is Any else _typed(entry, item, f"{where}.{name}", path) for name, item in table.items()
    }
