"""Parses the C++ of an EON-compiled model into its declarations, by recursive descent.

Read are namespaces, the field names of `struct`s, `enum`s, variables with their initialisers, and the names of
functions; function bodies, classes and templates are passed over. Initialisers of numbers are taken whole
(`Tokens.numbers`), so that no number of a tensor ever becomes a token.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from convert.errors import InputError
from convert.export.eon.syntax import Pointer, Source, Unit, Value, Variable
from convert.export.eon.tokens import Tokens
from convert.export.eon.values import ARITHMETIC, Values
from convert.export.lexer import Kind, Token

__all__ = ["parse"]

_QUALIFIERS = {"const", "constexpr", "static", "volatile", "inline", "struct", "enum", "extern"}
_AFTER_PARAMETERS = {"const", "noexcept", "override", "final"}


def parse(data: bytes, path: str) -> Unit:
    """The declarations of a translation unit.

    Args:
        data: the text, as `convert.export.lexer.source_bytes` returns it.
        path: the file as errors should name it.

    Raises:
        InputError: the text is not the C++ that EON-compiled models are written in; it names the line.
    """
    parser = _Parser(Unit(Source(data, path)))
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
    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self._tokens = Tokens(unit.source)
        self._values = Values(self._tokens)

    def file(self) -> None:
        while (token := self._tokens.peek()) is not None:
            self._item(token)

    def _item(self, token: Token) -> None:
        tokens, start = self._tokens, token.start
        match token.text:
            case b";":
                tokens.take(b";")
            case b"namespace":
                self._namespace()
            case b"using" | b"static_assert":
                tokens.skip_statement("a declaration", start)
            case b"template":
                tokens.take(b"template")
                tokens.skip_angles("a template", start)
            case b"typedef" | b"struct" | b"class" | b"union":
                self._class(token)
            case b"enum":
                self._enum(start)
            case b"extern":
                self._extern(start)
            case _:
                self._declaration(_Head([], start))

    def _namespace(self) -> None:
        start = self._tokens.next("a namespace", 0).start
        scope = self._values.scope
        if not self._tokens.sees(b"{"):
            self._values.scope += self._tokens.name("a namespace", start)
        if self._tokens.take(b"="):  # an alias
            self._tokens.skip_statement("a namespace alias", start)
        else:
            self._block("a namespace", start)
        self._values.scope = scope

    def _block(self, what: str, start: int) -> None:
        """Items between braces."""
        tokens = self._tokens
        tokens.expect(b"{", what, start)
        with self._values.deeper(start):
            while not tokens.take(b"}"):
                token = tokens.peek()
                if token is None:
                    raise self.unit.source.damaged(f"the file ends inside {what}", start)
                self._item(token)

    def _extern(self, start: int) -> None:
        """`extern "C" {...}`, or a declaration."""
        tokens = self._tokens
        tokens.take(b"extern")
        token = tokens.peek()
        if token is not None and token.kind == Kind.STRING:
            tokens.next('extern "C"', start)
            if tokens.sees(b"{"):
                self._block('extern "C"', start)
            return
        self._declaration(_Head([], start))

    def _class(self, token: Token) -> None:
        """A class, struct or union; of a struct the names of its fields are kept."""
        tokens, start = self._tokens, token.start
        is_typedef = tokens.take(b"typedef")
        if is_typedef and not any(tokens.sees(word) for word in (b"struct", b"class", b"union")):
            tokens.skip_statement("a typedef", start)
            return
        what = tokens.next("a class", start).text.decode()
        name = "" if tokens.sees(b"{") else tokens.name(what, start)[-1]
        if tokens.take(b":"):
            while not tokens.sees(b"{"):
                tokens.next(what, start)
        if not tokens.sees(b"{"):  # `struct TfLiteNode x;` or `struct TfLiteNode;`
            self._declaration(_Head([name], start))
            return
        fields = self._fields(what, start)
        if is_typedef:
            name = tokens.name(what, start)[-1]
        self.unit.structs[name] = fields
        tokens.skip_statement(what, start)

    def _fields(self, what: str, start: int) -> tuple[str, ...]:
        """The names declared between the braces of a struct: of each statement the last name outside brackets."""
        tokens = self._tokens
        tokens.expect(b"{", what, start)
        fields: list[str] = []
        last: str | None = None
        while not tokens.take(b"}"):
            token = tokens.peek()
            if token is not None and token.text in {b"(", b"[", b"{"}:
                last = last if token.text == b"[" else None  # a method, or its body
                tokens.skip_group(what, start)
                continue
            token = tokens.next(what, start)
            if token.kind == Kind.NAME:
                last = token.text.decode("utf-8", "replace")
            elif token.text in {b";", b","} and last is not None:
                fields.append(last)
                last = None
        return tuple(fields)

    def _enum(self, start: int) -> None:
        tokens, what = self._tokens, "an enum"
        tokens.take(b"enum")
        for word in (b"class", b"struct"):
            tokens.take(word)
        name = "" if tokens.sees(b"{") else tokens.name(what, start)[-1]
        if tokens.take(b":"):
            tokens.name(what, start)
        if not tokens.sees(b"{"):
            self._declaration(_Head([name], start))
            return
        tokens.take(b"{")
        enumerators = []
        while not tokens.take(b"}"):
            enumerators.append(tokens.name(what, start)[-1])
            if tokens.take(b"="):
                self._values.expression(what, start)
            if not tokens.take(b",") and not tokens.sees(b"}"):
                raise tokens.unexpected(tokens.next(what, start), "',' or '}' in an enum")
        self.unit.enums[name] = tuple(enumerators)
        tokens.skip_statement(what, start)

    def _declaration(self, head: _Head) -> None:
        tokens, what = self._tokens, "a declaration"
        while True:
            token = tokens.peek()
            if token is not None and (token.kind == Kind.NAME or token.text == b"::"):
                self._word(head)
                continue
            token = tokens.next(what, head.start)
            match token.text:
                case b"*" | b"&":
                    head.is_pointer = True
                case b",":
                    pass
                case b"[":
                    head.is_array = True
                    if not tokens.sees(b"]"):
                        head.bound = self._values.expression(what, head.start)
                    tokens.expect(b"]", what, head.start)
                case b"{" if head.call is not None and not head.is_array:
                    self.unit.functions.append(head.call)
                    self._body(head.call, head.start)
                    return
                case b"=":
                    self._variable(head)
                    return
                case b";":
                    return
                case _:
                    # `TfLiteContext ctx{};` has nothing to tell; anything else does not belong here.
                    if token.text != b"{" or not tokens.take(b"}"):
                        raise tokens.unexpected(token, "a declaration")

    def _word(self, head: _Head) -> None:
        """A name in a declaration: of a type, a variable, a function, or a macro such as `ALIGN(16)`."""
        tokens = self._tokens
        name = "::".join(tokens.name("a declaration", head.start))
        if tokens.sees(b"("):
            tokens.skip_group(f"the parentheses of {name}", head.start)
            head.call = name
        elif name not in _AFTER_PARAMETERS or head.call is None:
            head.words.append(name)
            head.call = None
            if tokens.sees(b"<"):
                head.arguments = tokens.skip_angles(f"the arguments of {name}", head.start)

    def _body(self, name: str, start: int) -> None:
        """A function's body, of which only `.type = kTfLite...;` tells something (see `Unit.types_set`)."""
        tokens, depth = self._tokens, 1
        before: tuple[bytes, bytes, bytes] = (b"", b"", b"")
        while depth:
            text = tokens.next(f"the function {name}", start).text
            depth += (text == b"{") - (text == b"}")
            if before[1:] == (b"type", b"=") and before[0] in {b".", b"->"} and text.startswith(b"kTfLite"):
                self.unit.types_set.add(text.decode("utf-8", "replace"))
            before = (*before[1:], text)

    def _variable(self, head: _Head) -> None:
        if len(head.words) < 2:
            raise self.unit.source.damaged("a variable without a type", head.start)
        path = (*self._values.scope, *head.words[-1].split("::"))
        what = f"the variable {head.words[-1]}"
        dtype = None if head.is_pointer else ARITHMETIC.get(head.type)
        value: Value
        if dtype and head.is_array:
            value = self._tokens.numbers(dtype, self._bound(head), what, head.start)
        elif head.type == "TfArray":
            value = self._values.array(head.arguments, what, head.start)
        elif dtype or head.type.startswith("TfLite") or head.type in {*self.unit.structs, *self.unit.enums}:
            value = self._values.value(what, head.start)
        else:
            self._tokens.skip_statement(what, head.start)
            return
        self._tokens.expect(b";", what, head.start)
        if path in self.unit.variables:
            raise self.unit.source.damaged(f"{what} is defined a second time", head.start)
        self.unit.variables[path] = Variable(path, head.type, value, head.start)

    def _bound(self, head: _Head) -> int | None:
        bound = head.bound
        if isinstance(bound, Pointer):
            found = self.unit.variables.get((*self._values.scope, *bound.path)) or self.unit.variables.get(bound.path)
            bound = found.value if found else bound
        if bound is None or (isinstance(bound, int) and bound >= 0):
            return bound
        raise self.unit.source.damaged(f"the size of {head.words[-1]} is not a number", head.start)
