"""Reads the variables a generated header declares, with their initialisers as trees, and the members of its structs.

`model_variables.h` describes an impulse as C++ values that point to one another: an impulse names its learning blocks,
a block its configuration, that a graph, the graph the model's array or compiled functions. Only this part of C++ is
read: declarations with `= { ... }` or `= value;`, with designators, and references (`auto& a = b;`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeAlias

from convert.errors import InputError
from convert.export.cpp_scanner import Kind, Scanner, Token, line_of, source_bytes, text_of

_MAX_DEPTH: Final = 32  # of braces; the deepest generated initialiser has three
_MAX_DECLARATIONS: Final = 5_000
_SIMPLE_ESCAPES: Final = dict(zip((b"n", b"t", b"r", b"a", b"b", b"f", b"v"), b"\n\t\r\a\b\f\v", strict=True))
_ESCAPE: Final = re.compile(
    rb"\\(?:x([0-9a-fA-F]+)|([0-7]{1,3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(\r?\n)|(.))", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Field:
    """One member of an initialiser: `.name = value`, or a value by position."""

    name: str
    value: Value

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens of a plain value, empty for braces."""
        return tuple(item for item in self.value if isinstance(item, Token))


Value: TypeAlias = "tuple[Field, ...] | tuple[Token, ...]"
"""What stands between commas: braces with fields in them, or plain tokens."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """A variable.

    Attributes:
        name: without namespace.
        type: the words before the name.
        braced: whether `value` holds fields (else tokens).
        line: 1-based.
    """

    name: str
    type: tuple[str, ...]
    value: Value = field(repr=False)
    braced: bool
    line: int

    @property
    def fields(self) -> tuple[Field, ...]:
        """The members of a braced initialiser, empty for another."""
        return tuple(item for item in self.value if isinstance(item, Field))

    def named(self, name: str) -> tuple[Token, ...] | None:
        """The tokens of the member `.name = ...`, None when there is none."""
        for item in self.fields:
            if item.name == name:
                return item.tokens
        return None


@dataclass(frozen=True, slots=True)
class Header:
    """What a header declares, by name and in order, its object-like macros, and the files it includes.

    Attributes:
        structs: of each `typedef struct { ... } NAME;` the type and the name of every member, in order.
    """

    declarations: Mapping[str, Declaration]
    macros: Mapping[bytes, bytes]
    includes: tuple[str, ...]
    structs: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    def resolved(self, name: str) -> Declaration | None:
        """The declaration of `name`, references followed (`constexpr auto& name = other;`)."""
        visited: set[str] = set()
        while (found := self.declarations.get(name)) is not None and name not in visited:
            visited.add(name)
            if found.braced or len(found.value) != 1:
                return found
            name = next(iter(names_in(found.value)), "")
        return found

    def reachable(self, name: str) -> frozenset[str]:
        """`name` and every name its value leads to, whether declared here or not."""
        reached: set[str] = set()
        waiting = [name]
        while waiting:
            current = waiting.pop()
            if current in reached:
                continue
            reached.add(current)
            declaration = self.declarations.get(current)
            if declaration is not None:
                waiting += names_in(declaration.value)
        return frozenset(reached)


def read_header(data: bytes, macros: Mapping[bytes, bytes] | None = None) -> Header:
    """Read a header; `macros` hold where it is included.

    Raises:
        InputError: braces nested too deeply or never closed, or more declarations than any header has.
    """
    scanner = Scanner(source_bytes(data))
    scanner.macros.update(macros or {})
    return _Reader(scanner).read()


def array_name(words: list[Token]) -> Token | None:
    """The name before the first bracket that follows one, which leaves out `[[attributes]]`; None: there is none."""
    return next((name for name, after in pairwise(words) if name.kind == Kind.NAME and after.text == b"["), None)


def names_in(value: Value) -> list[str]:
    """The names in a value, in order; qualified ones also as a whole ("space::name")."""
    names: list[str] = []
    before: list[bytes] = [b"", b""]
    for item in value:
        if isinstance(item, Field):
            names += names_in(item.value)
        elif item.kind == Kind.NAME:
            names.append(text_of(item.text))
            if before[-1] == b"::":
                names.append(text_of(before[-2] + b"::" + item.text))
        before.append(b"" if isinstance(item, Field) else item.text)
    return names


def string_of(tokens: tuple[Token, ...]) -> str | None:
    """The text of adjacent string literals, None when `tokens` are anything else; no UTF-8 is read as Latin-1."""
    parts = [token for token in tokens if not (token.kind == Kind.NAME and token.text in {b"u8", b"u", b"U", b"L"})]
    if not parts or any(token.kind != Kind.STRING for token in parts):
        return None
    data = b"".join(_ESCAPE.sub(_unescaped, token.text[1:-1]) for token in parts)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _unescaped(match: re.Match[bytes]) -> bytes:
    hexadecimal, octal, short, long, newline, simple = match.groups()
    if hexadecimal or octal:
        return bytes([(int(hexadecimal, 16) if hexadecimal else int(octal, 8)) & 0xFF])
    if short or long:
        code = int(short or long, 16)
        valid = code < 0x110000 and not 0xD800 <= code < 0xE000
        return (chr(code) if valid else "\ufffd").encode()
    if newline:
        return b""
    return bytes([_SIMPLE_ESCAPES[simple]]) if simple in _SIMPLE_ESCAPES else simple


@dataclass(slots=True)
class _Reader:
    """Reads the declarations of one header, in order."""

    scanner: Scanner
    declarations: dict[str, Declaration] = field(default_factory=dict)
    structs: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    def read(self) -> Header:
        words: list[Token] = []
        while token := self.scanner.next():
            if token.text == b"=" and words:
                self._declare(words, self.scanner.next())
                words = []
            elif token.text == b"{" and words and words[-1].text == b"]" and array_name(words):
                self._declare(words, token)  # `int a[] { 1, 2 };`
                words = []
            elif token.text == b"{":
                if [word.text for word in words[:2]] == [b"typedef", b"struct"]:
                    self._struct()
                elif not any(word.text in {b"namespace", b"extern"} for word in words):
                    self._braces(1)  # an enumeration or a function: nothing in it is needed
                words = []
            elif token.text in {b";", b"}"}:
                words = []
            else:
                words.append(token)
        includes = tuple(text_of(name) for name in self.scanner.includes)
        return Header(self.declarations, dict(self.scanner.macros), includes, self.structs)

    def _struct(self) -> None:
        """The scanner stands behind the opening brace; structs inside structs and function pointers do not count."""
        members: list[tuple[str, str]] = []
        words: list[Token] = []
        while (token := self.scanner.next()) and token.text != b"}":
            if token.text == b"{":
                self._braces(1)
            elif token.text != b";":
                words.append(token)
            else:
                name = next((word for word in reversed(words) if word.kind == Kind.NAME), None)
                if name is not None and words[-1].text != b")":
                    kind = " ".join(text_of(word.text) for word in words[: words.index(name)])
                    members.append((kind, text_of(name.text)))
                words = []
        name = self.scanner.next()
        if name is not None and name.kind == Kind.NAME:
            self.structs.setdefault(text_of(name.text), tuple(members))

    def _declare(self, words: list[Token], token: Token | None) -> None:
        """`token` is the first one of the value of the declaration of `words`; the scanner stands behind it."""
        array = array_name(words)
        names = [array] if array else [word for word in words if word.kind == Kind.NAME][-1:]
        if braced := token is not None and token.text == b"{":
            value: Value = self._braces(1)
        else:
            tokens: list[Token] = []
            while token and token.text != b";":
                tokens.append(token)
                token = self.scanner.next()
            value = tuple(tokens)
        if not names:
            return
        if len(self.declarations) >= _MAX_DECLARATIONS:
            raise InputError(
                f"it declares more than {_MAX_DECLARATIONS} variables", hint="this is no Edge Impulse file"
            )
        name = names[0]
        kinds = tuple(text_of(word.text) for word in words[: words.index(name)])
        line = line_of(self.scanner.data, name.start)
        self.declarations.setdefault(text_of(name.text), Declaration(text_of(name.text), kinds, value, braced, line))

    def _braces(self, depth: int) -> tuple[Field, ...]:
        """The members up to the closing brace; the scanner stands behind the opening one."""
        data, start = self.scanner.data, self.scanner.position
        if depth > _MAX_DEPTH:
            raise InputError("braces are nested too deeply", line=line_of(data, start))
        fields: list[Field] = []
        tokens: list[Token] = []
        inner: tuple[Field, ...] | None = None
        parentheses = 0
        while token := self.scanner.next():
            if token.text == b"{":
                inner = self._braces(depth + 1)
            elif (token.text == b"," and parentheses == 0) or token.text == b"}":
                if tokens or inner is not None:
                    name = ""
                    if len(tokens) >= 3 and tokens[0].text == b"." and tokens[2].text == b"=":
                        name, tokens = text_of(tokens[1].text), tokens[3:]
                    fields.append(Field(name, tuple(tokens) if inner is None else inner))
                if token.text == b"}":
                    return tuple(fields)
                tokens, inner = [], None
            else:
                parentheses += (token.text in {b"(", b"["}) - (token.text in {b")", b"]"})
                tokens.append(token)
        line = line_of(data, start)
        raise InputError("a brace is not closed: the file is cut off", line=line, hint="export the library again")
