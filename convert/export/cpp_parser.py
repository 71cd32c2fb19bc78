"""Parses the C++ of an EON-compiled model into its declarations, by recursive descent.

It reads namespaces, the field names of `struct`s, `enum`s, variables with their initialisers (braces, arrays, sums,
names and casts); functions, classes and templates are skipped. Initialisers of numbers are taken whole, so that no
number of a tensor ever becomes a token. `convert.export.cpp_arrays` and `cpp_declarations` accept any source; this
parser refuses what it does not know, with the line.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from convert.errors import InputError, UnsupportedModelError
from convert.export import cpp_arrays
from convert.export.cpp_scanner import Kind, Scanner, Token, integer_literal, line_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

Path: TypeAlias = tuple[str, ...]
"""A name with the namespaces around it; anonymous ones leave no trace."""

Value: TypeAlias = "int | float | Pointer | Group | NDArray[Any]"

_TYPES = (
    ("?", "bool"),
    ("i1", "int8_t, char, signed char"),
    ("u1", "uint8_t, unsigned char"),
    ("i2", "int16_t, short"),
    ("u2", "uint16_t, unsigned short"),
    ("i4", "int32_t, int, signed, signed int"),
    ("u4", "uint32_t, unsigned, unsigned int"),
    ("i8", "int64_t, long, long long"),
    ("u8", "uint64_t, size_t, unsigned long, unsigned long long"),
    ("f4", "float"),
    ("f8", "double"),
)
_ARITHMETIC = {name: np.dtype(dtype) for dtype, names in _TYPES for name in names.split(", ")}
_CAST = re.compile(
    rb"\(\s*(?:const\s+|struct\s+)*[A-Za-z_][\w:]*(?:\s+[A-Za-z_]\w*)*\s*\*+\s*\)|\(\s*u?int(?:\d+_t)?\s*\)"
)
_CASTS = {("const_cast",), ("static_cast",), ("reinterpret_cast",)}
_WORDS: dict[str, Value] = {"true": 1, "false": 0}
_CLOSING = {b"(": b")", b"[": b"]", b"{": b"}"}
_QUALIFIERS = {"const", "constexpr", "static", "volatile", "inline", "struct", "enum", "extern"}
_AFTER_PARAMETERS = {"const", "noexcept", "override", "final"}
_MAX_TOKENS = 2_000_000  # a model of a thousand layers has 100,000
_MAX_DEPTH = 64  # of namespaces, braces and parentheses inside each other


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
        structs: field names of each `struct`, in order.
        types_set: enumerators that some function assigns to a member called `type`.
    """

    data: bytes = field(repr=False)
    path: str
    variables: dict[Path, Variable] = field(default_factory=dict)
    enums: dict[str, tuple[str, ...]] = field(default_factory=dict)
    structs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    types_set: set[str] = field(default_factory=set)

    def damaged(self, message: str, at: int) -> InputError:
        """An error at byte `at` that a whole file does not have."""
        hint = "the file is damaged or was edited: export the model again"
        return InputError(message, path=self.path, line=line_of(self.data, at), hint=hint)

    def unsupported(self, message: str, at: int, hint: str) -> UnsupportedModelError:
        """An error at byte `at` that a whole file may have."""
        return UnsupportedModelError(message, path=self.path, line=line_of(self.data, at), hint=hint)

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
    parser = _Parser(Unit(data, path))
    try:
        parser.file()
    except InputError as error:
        if error.path is not None:
            raise
        raise InputError(error.message, hint=error.hint, path=path, line=error.line) from error
    return parser.unit


@dataclass(slots=True)
class _Head:
    """What stands before the initialiser of a variable, or before the body of a function."""

    words: list[str]
    start: int
    arguments: list[bytes] = field(default_factory=list)
    is_pointer: bool = False
    is_array: bool = False
    bound: Value | None = None
    call: str | None = None

    @property
    def type(self) -> str:
        """The type's name without qualifiers and without `std::`, `tflite::`."""
        kept = [word for word in self.words[:-1] if word not in _QUALIFIERS]
        return " ".join(kept).removeprefix("std::").removeprefix("tflite::")


class _Parser:
    """One token ahead. Errors name what is being read, `_what`, or stand at its start, `_since`."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._scanner = Scanner(unit.data)
        self._ahead: Token | None = None
        self._count = 0
        self._scope: Path = ()
        self._depth = 0
        self._what, self._since = "", 0

    def file(self) -> None:
        while (token := self._peek()) is not None:
            self._item(token)

    # Tokens

    def _peek(self) -> Token | None:
        """The next token, which stays the next one; None at the end."""
        if self._ahead is None:
            self._ahead = self._scanner.next()
            self._count += 1
            if self._ahead is not None and self._count > _MAX_TOKENS:
                raise self.unit.damaged("this is too long for an EON-compiled model", self._ahead.start)
        return self._ahead

    def _sees(self, *texts: bytes) -> bool:
        token = self._peek()
        return token is not None and token.text in texts

    def _take(self, text: bytes) -> bool:
        """Step over the next token if it is `text`; whether it was."""
        if not self._sees(text):
            return False
        self._ahead = None
        return True

    def _next(self, what: str = "") -> Token:
        token = self._peek()
        if token is None:
            raise self._ends_inside(what or self._what)
        self._ahead = None
        return token

    def _expect(self, text: bytes) -> Token:
        token = self._next()
        if token.text != text:
            raise self._unexpected(token, f"{text.decode()!r} in {self._what}")
        return token

    def _ends_inside(self, what: str) -> InputError:
        return self.unit.damaged(f"the file ends inside {what}", self._since)

    def _unexpected(self, token: Token, wanted: str) -> InputError:
        return self.unit.damaged(f"{text_of(token.text[:40])!r} stands where {wanted} should", token.start)

    def _name(self) -> Path:
        """A name, with the namespaces written before it."""
        parts = []
        self._take(b"::")
        while True:
            token = self._next()
            if token.kind != Kind.NAME:
                raise self._unexpected(token, f"a name in {self._what}")
            parts.append(text_of(token.text))
            if not self._take(b"::"):
                return tuple(parts)

    def _skip_group(self, what: str = "") -> None:
        """Step over a parenthesis, bracket or brace and all up to the one that closes it."""
        open_groups = [_CLOSING[self._next(what).text]]
        while open_groups:
            token = self._next(what)
            if token.text in _CLOSING:
                open_groups.append(_CLOSING[token.text])
            elif token.text in _CLOSING.values() and token.text != open_groups.pop():
                raise self._unexpected(token, f"the rest of {what or self._what}")

    def _skip_statement(self) -> None:
        """Step over all up to and with the next `;` outside any brackets."""
        while not self._take(b";"):
            if self._sees(*_CLOSING):
                self._skip_group()
            else:
                self._next()

    def _skip_angles(self, what: str = "") -> list[bytes]:
        """Step over `<...>`; the texts of the tokens inside."""
        self._expect(b"<")
        depth = 1
        texts: list[bytes] = []
        while True:
            text = self._next(what).text
            depth += (text == b"<") - text.count(b">") * (text in {b">", b">>"})
            if depth <= 0:
                return texts
            texts.append(text)

    def _skip_cast(self) -> bool:
        """Step over a C cast such as `(TfLiteIntArray*)` if the next token starts one; whether it did."""
        token = self._peek()
        match = token and _CAST.match(self.unit.data, token.start)
        if not match:
            return False
        self._ahead = None
        self._scanner.position = match.end()
        return True

    @contextlib.contextmanager
    def _deeper(self, at: int) -> Iterator[None]:
        """One more bracket is open inside."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self.unit.damaged("brackets are nested too deeply", at)
        yield
        self._depth -= 1

    # Declarations

    def _item(self, token: Token) -> None:
        self._since = token.start
        match token.text:
            case b";":
                self._take(b";")
            case b"namespace":
                self._namespace()
            case b"using" | b"static_assert":
                self._what = "a declaration"
                self._skip_statement()
            case b"template":
                self._take(b"template")
                self._what = "a template"
                self._skip_angles()
            case b"typedef" | b"struct" | b"class" | b"union":
                self._class()
            case b"enum":
                self._enum()
            case b"extern":
                self._extern()
            case _:
                self._declaration(_Head([], token.start))

    def _namespace(self) -> None:
        self._what = "a namespace"
        self._next()
        scope = self._scope
        if not self._sees(b"{"):
            self._scope += self._name()
        if self._take(b"="):
            self._what = "a namespace alias"
            self._skip_statement()
        else:
            self._block()
        self._scope = scope

    def _block(self) -> None:
        """Items between braces."""
        what, since = self._what, self._since
        self._expect(b"{")
        with self._deeper(since):
            while not self._take(b"}"):
                token = self._peek()
                if token is None:
                    self._since = since
                    raise self._ends_inside(what)
                self._item(token)

    def _extern(self) -> None:
        """`extern "C" {...}`, or a declaration."""
        self._take(b"extern")
        token = self._peek()
        if token is None or token.kind != Kind.STRING:
            self._declaration(_Head([], self._since))
            return
        self._what = 'extern "C"'
        self._next()
        if self._sees(b"{"):
            self._block()

    def _class(self) -> None:
        """A class, struct or union; of a struct the names of its fields are kept."""
        is_typedef = self._take(b"typedef")
        if is_typedef and not self._sees(b"struct", b"class", b"union"):
            self._what = "a typedef"
            self._skip_statement()
            return
        self._what = "a class"
        self._what = self._next().text.decode()
        name = "" if self._sees(b"{") else self._name()[-1]
        if self._take(b":"):
            while not self._sees(b"{"):
                self._next()
        if not self._sees(b"{"):  # `struct TfLiteNode x;` or `struct TfLiteNode;`
            self._declaration(_Head([name], self._since))
            return
        fields = self._fields()
        if is_typedef:
            name = self._name()[-1]
        self.unit.structs[name] = fields
        self._skip_statement()

    def _fields(self) -> tuple[str, ...]:
        """The names declared between the braces of a struct: of each statement the last name outside brackets."""
        self._expect(b"{")
        fields: list[str] = []
        last: str | None = None
        while not self._take(b"}"):
            if self._sees(*_CLOSING):
                last = last if self._sees(b"[") else None  # a method, or its body
                self._skip_group()
                continue
            token = self._next()
            if token.kind == Kind.NAME:
                last = text_of(token.text)
            elif token.text in {b";", b","} and last is not None:
                fields.append(last)
                last = None
        return tuple(fields)

    def _enum(self) -> None:
        self._what = "an enum"
        self._take(b"enum")
        for word in (b"class", b"struct"):
            self._take(word)
        name = "" if self._sees(b"{") else self._name()[-1]
        if self._take(b":"):
            self._name()
        if not self._take(b"{"):
            self._declaration(_Head([name], self._since))
            return
        enumerators = []
        while not self._take(b"}"):
            enumerators.append(self._name()[-1])
            if self._take(b"="):
                self._expression()
            if not self._take(b",") and not self._sees(b"}"):
                raise self._unexpected(self._next(), "',' or '}' in an enum")
        self.unit.enums[name] = tuple(enumerators)
        self._skip_statement()

    def _declaration(self, head: _Head) -> None:
        self._what, self._since = "a declaration", head.start
        while True:
            token = self._peek()
            if token is not None and (token.kind == Kind.NAME or token.text == b"::"):
                self._word(head)
                continue
            token = self._next()
            match token.text:
                case b"*" | b"&":
                    head.is_pointer = True
                case b",":
                    pass
                case b"[":
                    head.is_array = True
                    if not self._sees(b"]"):
                        head.bound = self._expression()
                    self._expect(b"]")
                case b"{" if head.call is not None and not head.is_array:
                    self._what = f"the function {head.call}"
                    self._body()
                    return
                case b"=":
                    self._variable(head)
                    return
                case b";":
                    return
                case _:
                    # `TfLiteContext ctx{};` declares nothing that is needed; anything else does not belong here.
                    if token.text != b"{" or not self._take(b"}"):
                        raise self._unexpected(token, "a declaration")

    def _word(self, head: _Head) -> None:
        """A name in a declaration: of a type, a variable, a function, or a macro such as `ALIGN(16)`."""
        name = "::".join(self._name())
        if self._sees(b"("):
            self._skip_group(f"the parentheses of {name}")
            head.call = name
        elif name not in _AFTER_PARAMETERS or head.call is None:
            head.words.append(name)
            head.call = None
            if self._sees(b"<"):
                head.arguments = self._skip_angles(f"the arguments of {name}")

    def _body(self) -> None:
        """A function's body, of which only `.type = kTfLite...;` is read (see `Unit.types_set`)."""
        depth = 1
        before: tuple[bytes, bytes, bytes] = (b"", b"", b"")
        while depth:
            text = self._next().text
            depth += (text == b"{") - (text == b"}")
            if before[1:] == (b"type", b"=") and before[0] in {b".", b"->"} and text.startswith(b"kTfLite"):
                self.unit.types_set.add(text_of(text))
            before = (*before[1:], text)

    def _variable(self, head: _Head) -> None:
        if len(head.words) < 2:
            raise self.unit.damaged("a variable without a type", head.start)
        path = (*self._scope, *head.words[-1].split("::"))
        self._what = f"the variable {head.words[-1]}"
        dtype = None if head.is_pointer else _ARITHMETIC.get(head.type)
        value: Value
        if dtype and head.is_array:
            value = self._numbers(dtype, self._bound(head))
        elif head.type == "TfArray":
            value = self._tf_array(head.arguments)
        elif dtype or head.type.startswith("TfLite") or head.type in {*self.unit.structs, *self.unit.enums}:
            value = self._value()
        else:
            self._skip_statement()
            return
        self._expect(b";")
        if path in self.unit.variables:
            raise self.unit.damaged(f"{self._what} is defined a second time", head.start)
        self.unit.variables[path] = Variable(path, head.type, value, head.start)

    def _bound(self, head: _Head) -> int | None:
        bound = head.bound
        if isinstance(bound, Pointer):
            found = self.unit.variables.get((*self._scope, *bound.path)) or self.unit.variables.get(bound.path)
            bound = found.value if found else bound
        if bound is None or (isinstance(bound, int) and bound >= 0):
            return bound
        raise self.unit.damaged(f"the size of {head.words[-1]} is not a number", head.start)

    # Initialisers

    def _numbers(self, dtype: np.dtype[Any], bound: int | None) -> NDArray[Any]:
        """The numbers of an initialiser `{...}`, flat; `bound` is their number, None where it is not declared."""
        self._scanner.position = self._expect(b"{").start + 1
        body = self._scanner.plain_text()
        if body is None:
            raise self._ends_inside(self._what)
        if b"{" in body:
            raise self.unit.damaged(f"{self._what} holds braces among its numbers", self._since)
        try:
            values = cpp_arrays.array(body, dtype, len(body) if bound is None else bound)
        except ValueError as error:
            raise self.unit.damaged(f"{self._what}: {error}", self._since) from error
        if bound is not None and len(values) != bound:
            raise self.unit.damaged(f"{self._what} has {len(values)} of its {bound} elements", self._since)
        return values

    def _tf_array(self, arguments: list[bytes]) -> Value:
        """`{ 4, { 1,96,96,3 } }` of a `TfArray<4, int>`, as a flat array."""
        size, comma, *names = arguments if len(arguments) > 2 else (b"", b"", b"")
        count = integer_literal(size)
        dtype = _ARITHMETIC.get(text_of(b" ".join(names)))
        if count is None or dtype is None or comma != b",":
            raise self.unit.damaged(f"{self._what} is not a TfArray<size, type> of numbers", self._since)
        self._expect(b"{")
        size_inside = self._expression()
        self._expect(b",")
        values = self._numbers(dtype, count)
        self._take(b",")
        self._expect(b"}")
        if size_inside != count:
            raise self.unit.damaged(
                f"{self._what} is declared with {count} elements and says {size_inside}", self._since
            )
        return values

    def _value(self) -> Value:
        """An initialiser: braces, or an expression."""
        token = self._peek()
        if token is None or not self._take(b"{"):
            return self._expression()
        items: list[Value] = []
        with self._deeper(token.start):
            while not self._take(b"}"):
                items.append(self._value())
                if not self._take(b",") and not self._sees(b"}"):
                    raise self._unexpected(self._next(), f"',' or '}}' in {self._what}")
        return Group(tuple(items), token.start)

    def _expression(self) -> Value:
        """Sums and products of numbers; a pointer plus a number."""
        value = self._product()
        while True:
            if self._take(b"+"):
                value = self._sum(value, self._product())
            elif self._take(b"-"):
                value = self._sum(value, self._negative(self._product()))
            else:
                return value

    def _product(self) -> Value:
        value = self._unary()
        while self._take(b"*"):
            factor = self._unary()
            if not isinstance(value, int) or not isinstance(factor, int):
                raise self.unit.damaged(f"{self._what}: only whole numbers can be multiplied here", self._since)
            value = value * factor
            if abs(value) >= 1 << 63:
                raise self.unit.damaged(f"{self._what}: a product is larger than 63 bits", self._since)
        return value

    def _sum(self, left: Value, right: Value) -> Value:
        if isinstance(left, Pointer) and isinstance(right, int):
            return replace(left, offset=left.offset + right)
        if isinstance(left, int | float) and isinstance(right, int | float):
            return left + right
        raise self.unit.damaged(f"{self._what}: these two cannot be added", self._since)

    def _negative(self, value: Value) -> Value:
        if isinstance(value, int | float):
            return -value
        raise self.unit.damaged(f"{self._what}: only numbers can be negative", self._since)

    def _unary(self) -> Value:
        token = self._peek()
        with self._deeper(self._since if token is None else token.start):
            if self._take(b"-"):
                return self._negative(self._unary())
            if self._take(b"&") or self._take(b"+") or self._skip_cast():
                return self._unary()
            if token is not None and token.kind == Kind.NUMBER:
                return self._number(self._next())
            path = () if self._sees(b"(") else self._name()
            if path in _CASTS:
                self._skip_angles()
            if not path or path in _CASTS:
                self._expect(b"(")
                value = self._expression()
                self._expect(b")")
                return value
            at = self._since if token is None else token.start
            return _WORDS.get("::".join(path), Pointer(path, self._scope, at))

    def _number(self, token: Token) -> int | float:
        try:
            return cpp_arrays.number(token.text)
        except ValueError as error:
            raise self.unit.damaged(str(error), token.start) from error
