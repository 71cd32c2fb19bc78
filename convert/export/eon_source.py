"""Reads the C++ of an EON-compiled model: its variables with their values, `enum`s and field names of `struct`s.

The declarations are those that `convert.export.cpp_declarations` finds; initialisers of numbers are taken whole, so
that no number of a tensor ever becomes a token. A value that is not a number, a name plus a number, or braces with such
values is refused with its line, where its type is one that is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from convert.errors import InputError, UnsupportedModelError
from convert.export import cpp_arrays, cpp_scanner
from convert.export.cpp_declarations import Declarations, Field, Head
from convert.files import load_toml

if TYPE_CHECKING:
    from numpy.typing import NDArray


Path: TypeAlias = tuple[str, ...]
"""A name with the namespaces around it; anonymous ones leave no trace."""

Value: TypeAlias = "int | float | Pointer | Group | NDArray[Any]"

_ARITHMETIC = {name: np.dtype(dtype) for dtype, names in load_toml("eon.toml")["arithmetic"].items() for name in names}
"""C's arithmetic types by the names that generated files have for them."""

_POINTERS = {"*", "&"}
_QUALIFIERS = {*_POINTERS, "const", "constexpr", "static", "volatile", "inline", "struct", "enum", "extern"}
_CALL = re.compile(r"(?:\b\w+ )?\( (?:[^()]* )?\)")
"""`ALIGN ( 16 )` in the tokens of a declaration."""

_CAST = re.compile(
    rb"\( (?:const |struct )*[A-Za-z_]\w*(?: :: \w+)*(?: \w+)* (?:\* )+\)"
    rb"|\( u?int(?:\d+_t)? \)|\b\w+_cast < [^()]* >(?= \()"
)
_POINTER = re.compile(rb"[(& ]*((?::: )?[A-Za-z_]\w*(?: :: \w+)*)[) ]*((?:[+-] [^()]*)?)[) ]*")
_WORDS: dict[str, Value] = {"true": 1, "false": 0}
_MAX_TOKENS = 2_000_000  # a model of a thousand layers has 100,000
_MAX_VALUE = 256  # tokens between two commas; a pointer with two casts has 25


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
class Unit:
    """What a file declares. References are followed by name, because identical arrays are written once and shared.

    Attributes:
        data: the text.
        path: the file as errors name it.
        variables: those with an initialiser.
        enums: enumerators of each `enum`, in order.
        structs: type and name of each field of each `struct`, in order.
        types_set: enumerators that some function assigns to a member called `type`.
    """

    data: bytes = field(repr=False)
    path: str
    variables: dict[Path, Variable] = field(default_factory=dict)
    enums: dict[str, tuple[str, ...]] = field(default_factory=dict)
    structs: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    types_set: set[str] = field(default_factory=set)

    def damaged(self, message: str, at: int) -> InputError:
        """An error at byte `at` that a whole file does not have."""
        hint = "the file is damaged or was edited: export the model again"
        return InputError(message, path=self.path, line=cpp_scanner.line_of(self.data, at), hint=hint)

    def unsupported(self, message: str, at: int, hint: str) -> UnsupportedModelError:
        """An error at byte `at` that a whole file may have."""
        return UnsupportedModelError(message, path=self.path, line=cpp_scanner.line_of(self.data, at), hint=hint)

    def find(self, *names: str) -> Variable | None:
        """The first variable with one of these names, in whatever namespace."""
        return next((variable for path, variable in self.variables.items() if path[-1] in names), None)

    def need(self, *names: str) -> Variable:
        """As `find`.

        Raises:
            InputError: there is none.
        """
        variable = self.find(*names)
        if variable is None:
            raise self.damaged(f"{names[-1]} is missing", len(self.data))
        return variable

    def follow(self, value: Value, what: str, at: int) -> Variable:
        """The variable that a pointer names, looked up from the inner namespace outwards.

        Args:
            value: the pointer.
            what, at: what it is, and where, for errors.

        Raises:
            InputError: it is no pointer to the start of a variable, or the variable is not defined.
        """
        if not isinstance(value, Pointer) or value.offset:
            raise self.damaged(f"{what} is not a name", at)
        for depth in range(len(value.scope), -1, -1):
            if found := self.variables.get((*value.scope[:depth], *value.path)):
                return found
        raise self.damaged(f"{what} is {value.name}, which is not defined", value.at)

    def array(self, value: Value, dtype: str, what: str, at: int) -> NDArray[Any]:
        """The flat array of `dtype`, "int32" or "float32", that a pointer names.

        Raises:
            InputError: there is no such array.
        """
        variable = self.follow(value, what, at)
        if variable.type == "int" and is_null(variable.value):  # how the generator writes an empty TfLiteIntArray
            return np.empty(0, dtype)
        if not isinstance(variable.value, np.ndarray) or variable.value.dtype != dtype:
            raise self.damaged(f"{what} is {variable.name}, which is no array of {dtype}", variable.at)
        return variable.value

    def fields(self, variable: Variable) -> tuple[str, ...]:
        """The names of the fields of its type; none where the file does not declare that."""
        return tuple(name for _, name in self.structs.get(variable.type, ()))

    def rows(self, variable: Variable, fields: tuple[str, ...]) -> list[tuple[int, dict[str, Value]]]:
        """Where each row of a table stands, and its members by field.

        Raises:
            InputError: it is no table, or a row has more members than there are fields.
        """
        rows = []
        for row in variable.value.items if isinstance(variable.value, Group) else [variable.value]:
            if not isinstance(row, Group) or len(row.items) > len(fields):
                at = row.at if isinstance(row, Group) else variable.at
                raise self.damaged(f"a row of {variable.name} does not have {len(fields)} members", at)
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


def parse(data: bytes, path: str) -> Unit:
    """The declarations of a translation unit.

    Args:
        data: the text, as `convert.export.cpp_scanner.source_bytes` returns it.
        path: the file as errors should name it.

    Raises:
        InputError: the text is not the C++ that EON-compiled models are written in; it names the line.
    """
    reader = _Reader(Unit(data, path))
    try:
        reader.read()
    except InputError as error:
        error.path = path
        raise
    return reader.unit


class _Reader:
    """Reads one variable after the other: errors name it, `_what`, and stand where it starts, `_at`."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._declarations = Declarations(cpp_scanner.Scanner(unit.data, most=_MAX_TOKENS), unit.structs, unit.enums)
        self._what, self._at = "", 0
        self._scope: Path = ()

    def read(self) -> None:
        for head in self._declarations:
            if not head.is_local:
                self._variable(head)
            elif head.name.text == b"type" and {b".", b"->"}.intersection(word.text for word in head.before[-1:]):
                names = (cpp_scanner.text_of(word.text) for word in head.value[:1])
                self.unit.types_set.update(name for name in names if name.startswith("kTfLite"))
        if (scope := self._declarations.unfinished) is not None:
            what = f"the function {scope.name}" if scope.kind == "function" and scope.name else f"a {scope.kind}"
            raise self.unit.damaged(f"the file ends inside {'an enum' if scope.kind == 'enum' else what}", scope.at)

    def _damaged(self, message: str) -> InputError:
        return self.unit.damaged(message, self._at)

    def _variable(self, head: Head) -> None:
        """Read the value of a variable, if its type is one that is needed."""
        name = cpp_scanner.text_of(head.name.text)
        self._what, self._at = f"the variable {name}", (head.before or [head.name])[0].start
        words, arguments, is_pointer = _words(head.before)
        if not words:
            raise self._damaged("a variable without a type")
        around = [part for part in head.namespace.split("::") if part]
        if words[-1].endswith("::"):  # `int x::d = 4;`
            around += words.pop().split("::")[:-1]
        self._scope = tuple(around)
        type_ = " ".join(words).removeprefix("std::").removeprefix("tflite::")
        dtype = None if is_pointer else _ARITHMETIC.get(type_)
        value: Value
        if dtype and head.bound is not None:
            value = self._numbers(self._text(head), dtype, self._bound(head.bound))
        elif type_ == "TfArray":
            value = self._tf_array(head, arguments)
        elif dtype or type_.startswith("TfLite") or type_ in self.unit.structs or type_ in self.unit.enums:
            fields = self._declarations.members() if head.braced else ()
            at = head.value[0].start if head.value else self._at
            value = self._value(Field("", head.value, fields, head.braced, at))
        else:
            return
        token = self._declarations.scanner.next() if head.braced else None
        if token is not None and token.text != b";":
            raise self.unit.damaged(f"{_shown([token])} stands where ';' in {self._what} should", token.start)
        path = (*self._scope, name)
        if path in self.unit.variables:
            raise self._damaged(f"{self._what} is defined a second time")
        self.unit.variables[path] = Variable(path, type_, value, self._at)

    def _bound(self, tokens: Sequence[cpp_scanner.Token]) -> int | None:
        """The number in the brackets behind a name, None where there is none."""
        if not tokens:
            return None
        bound = self._expression(tokens, self._at)
        if isinstance(bound, Pointer):
            variables = self.unit.variables
            found = variables.get((*self._scope, *bound.path)) or variables.get(bound.path)
            bound = found.value if found else bound
        if isinstance(bound, int) and bound >= 0:
            return bound
        raise self._damaged(f"the size of {self._what} is not a number")

    def _text(self, head: Head) -> bytearray:
        """What stands between the brace and the next one that closes."""
        if not head.braced:
            raise self._damaged(f"{self._what} has no braces")
        text = self._declarations.scanner.plain_text()
        if text is None:
            raise self._damaged(f"the file ends inside {self._what}")
        return text

    def _numbers(self, body: bytearray, dtype: np.dtype[Any], bound: int | None) -> NDArray[Any]:
        """The numbers of an initialiser, flat; `bound` is their number, None where it is not declared."""
        if b"{" in body:
            raise self._damaged(f"{self._what} holds braces among its numbers")
        try:
            values = cpp_arrays.array(body, dtype, len(body) if bound is None else bound)
        except ValueError as error:
            raise self._damaged(f"{self._what}: {error}") from error
        if bound is not None and len(values) != bound:
            raise self._damaged(f"{self._what} has {len(values)} of its {bound} elements")
        return values

    def _tf_array(self, head: Head, arguments: list[str]) -> NDArray[Any]:
        """`{ 4, { 1,96,96,3 } }` of a `TfArray<4, int>`, as a flat array."""
        count = cpp_scanner.integer_literal(arguments[0].encode()) if len(arguments) > 2 else None
        dtype = _ARITHMETIC.get(" ".join(arguments[2:]))
        if count is None or dtype is None or arguments[1] != ",":
            raise self._damaged(f"{self._what} is not a TfArray<size, type> of numbers")
        size, _, body = self._text(head).partition(b"{")
        values = self._numbers(body, dtype, count)
        said = bytes(size).strip().removesuffix(b",").strip()
        if cpp_scanner.integer_literal(said) != count:
            raise self._damaged(f"{self._what} is declared with {count} elements and says {cpp_scanner.text_of(said)}")
        if any(each.tokens or each.braced for each in self._declarations.members()):
            raise self._damaged(f"{self._what} holds more than a size and its numbers")
        return values

    def _value(self, item: Field) -> Value:
        """A value as it stands in a tree of members."""
        if item.name:
            raise self.unit.damaged(f"{item.name} is named in {self._what}", item.at)
        if not item.braced:
            return self._expression(item.tokens, item.at)
        if item.tokens:
            raise self.unit.damaged(f"{_shown(item.tokens)} stands before braces in {self._what}", item.at)
        return Group(tuple(self._value(each) for each in item.fields), item.at)

    def _expression(self, tokens: Sequence[cpp_scanner.Token], at: int) -> Value:
        """A number, a sum or product of whole numbers, or a name and what is added to it; casts do not count."""
        if len(tokens) > _MAX_VALUE:
            raise self.unit.damaged(f"{self._what}: {_shown(tokens)} is too long for a value", at)
        text = b" ".join(token.text for token in tokens)
        if len(tokens) > 1:
            text = _CAST.sub(b"", text).strip()
        if text.count(b"(") == text.count(b")") and (match := _POINTER.fullmatch(text)):
            offset = cpp_scanner.evaluate(b"0" + match[2], {}, strict=True) if match[2] else 0
            path = tuple(cpp_scanner.text_of(match[1]).replace(" ", "").removeprefix("::").split("::"))
            word = _WORDS.get("::".join(path))
            if offset is not None and (word is None or not match[2]):
                return Pointer(path, self._scope, at, offset) if word is None else word
        try:
            return cpp_arrays.number(re.sub(rb"^([+-]) ", rb"\1", text))
        except ValueError as error:
            value = cpp_scanner.evaluate(text, {}, strict=True)
            if value is None:
                raise self.unit.damaged(f"{self._what}: {error}", at) from error
            return value


def _words(before: Sequence[cpp_scanner.Token]) -> tuple[list[str], list[str], bool]:
    """What stands before a name, without qualifiers and macros; arguments of a template; whether it is a pointer."""
    text = " ".join(cpp_scanner.text_of(token.text) for token in before if token.kind != cpp_scanner.Kind.STRING)
    while (shorter := _CALL.sub("", text)) != text:  # from the inner parentheses outwards
        text = shorter
    text, _, arguments = text.partition("<")
    arguments, _, rest = arguments.rpartition(">")
    words = f"{text} {rest}".replace(" :: ", "::").replace(" ::", "::").split()
    kept = [word for word in words if word not in _QUALIFIERS]
    return kept, arguments.split(), bool(_POINTERS.intersection(words))


def _shown(tokens: Sequence[cpp_scanner.Token]) -> str:
    return repr(cpp_scanner.text_of(b" ".join(token.text for token in tokens))[:40])
