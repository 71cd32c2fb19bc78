"""Finds what a reference in an EON-compiled file means: by name, from the inner namespace outwards.

By name and never by number: since July 2025 identical arrays are written once and shared (`&g0::quant1_zero` inside
quant2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convert.export.eon.syntax import Group, Path, Pointer, Unit, Value, Variable

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Names", "is_null", "name_of", "shown"]


class Names:
    """The variables of `unit`, looked up with errors that name the line."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.source = unit.source

    def find(self, *names: str) -> Variable | None:
        """The first variable with one of these names, in whatever namespace."""
        for path, variable in self.unit.variables.items():
            if path[-1] in names:
                return variable
        return None

    def need(self, *names: str) -> Variable:
        """As `find`.

        Raises:
            InputError: there is none.
        """
        variable = self.find(*names)
        if variable is None:
            raise self.source.damaged(f"{names[-1]} is missing", len(self.source.data))
        return variable

    def follow(self, value: Value, what: str, at: int) -> Variable:
        """The variable that a pointer names.

        Args:
            value: the pointer.
            what, at: what it is, and where, for errors.

        Raises:
            InputError: it is no pointer to the start of a variable, or the variable is not defined.
        """
        if not isinstance(value, Pointer) or value.offset:
            raise self.source.damaged(f"{what} is not a name", at)
        scope: Path = value.scope
        while True:
            if found := self.unit.variables.get((*scope, *value.path)):
                return found
            if not scope:
                raise self.source.damaged(f"{what} is {value.name}, which is not defined", value.at)
            scope = scope[:-1]

    def array(self, value: Value, dtype: str, what: str, at: int) -> NDArray[Any]:
        """The flat array of `dtype`, "int32" or "float32", that a pointer names.

        Raises:
            InputError: there is no such array.
        """
        variable = self.follow(value, what, at)
        if variable.type == "int" and is_null(variable.value):  # how the generator writes an empty TfLiteIntArray
            return np.empty(0, dtype)
        if not isinstance(variable.value, np.ndarray) or variable.value.dtype != dtype:
            raise self.source.damaged(f"{what} is {variable.name}, which is no array of {dtype}", variable.at)
        return variable.value

    def rows(self, variable: Variable, fields: tuple[str, ...]) -> list[tuple[int, dict[str, Value]]]:
        """Where each row of a table stands, and its members by field.

        Raises:
            InputError: it is no table, or a row has more members than there are fields.
        """
        rows = []
        for row in variable.value.items if isinstance(variable.value, Group) else [variable.value]:
            if not isinstance(row, Group) or len(row.items) > len(fields):
                at = row.at if isinstance(row, Group) else variable.at
                raise self.source.damaged(f"a row of {variable.name} does not have {len(fields)} members", at)
            rows.append((row.at, dict(zip(fields, row.items, strict=False))))
        return rows


def name_of(value: Value | None) -> str:
    """The name that a pointer holds, without its namespaces; empty for everything else."""
    return value.path[-1] if isinstance(value, Pointer) else ""


def is_null(value: Value | None) -> bool:
    """Whether this is `nullptr` in any spelling, or nothing."""
    return value is None or (isinstance(value, int) and value == 0) or name_of(value) in {"nullptr", "NULL"}


def shown(value: Value | None) -> str:
    """`value` as an error message shows it."""
    if isinstance(value, Pointer):
        return value.name
    return str(value) if isinstance(value, int | float) else "something else"
