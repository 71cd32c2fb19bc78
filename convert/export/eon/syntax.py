"""What the parser makes of an EON-compiled model's C++: declarations, and the values they are initialised with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from convert.errors import InputError, UnsupportedModelError
from convert.export.lexer import line_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Group", "Path", "Pointer", "Source", "Unit", "Value", "Variable"]

Path: TypeAlias = tuple[str, ...]
"""A name with the namespaces around it; anonymous ones leave no trace."""

Value: TypeAlias = "int | float | Pointer | Group | NDArray[Any]"


@dataclass(frozen=True, slots=True)
class Pointer:
    """A name in an expression, with what is added to it: `tensor_arena + 656`, `&g0::quant3`, `kTfLiteInt8`.

    Attributes:
        path: as it is written.
        scope: the namespaces it is written in.
        at: where it stands in the file.
    """

    path: Path
    scope: Path
    at: int
    offset: int = 0

    @property
    def name(self) -> str:
        """As an error message shows it."""
        return "::".join(self.path)


@dataclass(frozen=True, slots=True)
class Group:
    """What stands between a pair of braces, and where the first of them does."""

    items: tuple[Value, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable with an initialiser.

    Attributes:
        path: its name with its namespaces.
        type: without qualifiers: "int8_t", "TfArray", "TfLiteConvParams".
        value: arrays of arithmetic types as numpy arrays, flat.
        at: where its declaration starts in the file.
    """

    path: Path
    type: str
    value: Value
    at: int

    @property
    def name(self) -> str:
        """As an error message shows it."""
        return "::".join(self.path)


@dataclass(frozen=True, slots=True)
class Source:
    """The text, and what names it in errors."""

    data: bytes = field(repr=False)
    path: str

    def damaged(self, message: str, at: int) -> InputError:
        """An error at byte `at` that a whole file does not have."""
        hint = "the file is damaged or was edited: export the model again"
        return InputError(message, path=self.path, line=line_of(self.data, at), hint=hint)

    def unsupported(self, message: str, at: int, hint: str) -> UnsupportedModelError:
        """An error at byte `at` that a whole file may have."""
        return UnsupportedModelError(message, path=self.path, line=line_of(self.data, at), hint=hint)


@dataclass(frozen=True, slots=True)
class Unit:
    """What a file declares.

    Attributes:
        variables: those with an initialiser.
        enums: enumerators of each `enum`, in order.
        structs: field names of each `struct`, in order.
        functions: names of functions that have a body, in order.
        types_set: enumerators that some function assigns to a member called `type`.
    """

    source: Source
    variables: dict[Path, Variable] = field(default_factory=dict)
    enums: dict[str, tuple[str, ...]] = field(default_factory=dict)
    structs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)
    types_set: set[str] = field(default_factory=set)
