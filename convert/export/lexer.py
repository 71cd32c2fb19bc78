"""Turns C source into tokens, one at a time, with the preprocessor's conditional groups already decided.

It reads what Edge Impulse and `xxd -i` write and what people make of it by hand: comments, line continuations, string
and character literals, `#if` groups, object-like macros. The reader of a large array body can jump over it
(`Scanner.position`), so that ten megabytes of numbers never become tokens. The rules are those of C++17 (ISO 14882,
[lex] and [cpp]); function-like macros are not expanded and raw strings are not known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from convert.errors import InputError
from convert.export.expressions import is_true

__all__ = ["Kind", "Scanner", "Token", "line_of", "source_bytes"]


class Kind:
    """Kinds of tokens."""

    NAME = "name"
    NUMBER = "number"
    STRING = "string"
    CHAR = "char"
    PUNCTUATION = "punctuation"


class Token(NamedTuple):
    """A token: its kind, its spelling, and where it starts in the file."""

    kind: str
    text: bytes
    start: int


# A directive's first character and a comment's are looked at before this is asked, so neither stands here.
_TOKEN = re.compile(
    rb"""
      (?P<name>[A-Za-z_$\x80-\xff][A-Za-z0-9_$\x80-\xff]*)
    | (?P<number>\.?[0-9](?:[eEpP][+-]|'?[A-Za-z0-9_.])*)
    | (?P<string>"(?:[^"\\\n]|\\.)*")
    | (?P<char>'(?:[^'\\\n]|\\.)+')
    | (?P<punctuation>::|[!=<>]=|&&|\|\||<<|>>|->|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLANKS = re.compile(rb"(?:[ \t\r\f\v\n]|\\\r?\n)*")
_SPLICE = re.compile(rb"\\\r?\n")
# What can hide a directive's `#` or end an inactive group; everything between is skipped unread.
_SKIP = re.compile(rb"[#/\"']")
_LITERAL = re.compile(rb"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'", re.DOTALL)
_DIRECTIVE = re.compile(rb"[ \t]*([A-Za-z_]*)[ \t]*(.*)", re.DOTALL)
_DEFINE = re.compile(rb"([A-Za-z_]\w*)(\(?)(.*)", re.DOTALL)
_INCLUDE = re.compile(rb"[\"<]([^\">]*)[\">]")
_MAX_INDENT = 256  # so that a line of a million # is not looked at a million times from its start
_MAX_NESTING = 256  # of conditional groups; GCC's own limit is far higher, generated headers use three

_PREDEFINED = {b"__cplusplus": b"201703L", b"__GNUC__": b"12"}
"""Macros a C++ compiler on Linux brings along; exports are C++."""


@dataclass(slots=True)
class _Group:
    """An open `#if`: whether the current branch is read, and whether one has been taken."""

    active: bool
    taken: bool


@dataclass(slots=True)
class Scanner:
    """A cursor over C source.

    Args:
        data: the file, as `source_bytes` returns it.
        every_branch: read every branch of conditional groups but those under `#if 0`.

    Attributes:
        position: where the next token is looked for; may be set to jump.
        macros: object-like macros defined so far, values without comments and outer blanks.
        includes: names of the `#include`s met, in order.
    """

    data: bytes = field(repr=False)
    every_branch: bool = False
    position: int = 0
    macros: dict[bytes, bytes] = field(default_factory=lambda: dict(_PREDEFINED))
    includes: list[bytes] = field(default_factory=list)
    _groups: list[_Group] = field(default_factory=list)

    def next(self) -> Token | None:
        """The next token that is compiled, None at the end of the file.

        Raises:
            InputError: conditional groups nested deeper than any compiler's headers.
        """
        data = self.data
        while True:
            if self._groups and not self._groups[-1].active:
                self._skip_inactive()
            self.position = position = _BLANKS.match(data, self.position).end()  # type: ignore[union-attr]
            if position >= len(data):
                return None
            first = data[position]
            if first == 0x2F and data[position + 1 : position + 2] in {b"/", b"*"}:
                self.position = _comment_end(data, position)
            elif first == 0x23 and _starts_line(data, position):
                self._directive()
            else:
                match = _TOKEN.match(data, position)
                assert match is not None
                self.position = match.end()
                return Token(match.lastgroup or Kind.PUNCTUATION, match[0], position)

    def _directive(self) -> None:
        start = self.position
        text, self.position = _logical_line(self.data, start + 1)
        match = _DIRECTIVE.match(text)
        assert match is not None
        word, rest = match[1], match[2].strip()
        if word in {b"if", b"ifdef", b"ifndef"}:
            if len(self._groups) >= _MAX_NESTING:
                raise InputError("conditional groups (#if) are nested too deeply", line=line_of(self.data, start))
            self._open(word, rest)
        elif word in {b"elif", b"elifdef", b"elifndef", b"else"}:
            self._alternative(word, rest)
        elif word == b"endif":
            if self._groups:
                self._groups.pop()
        elif word == b"define":
            self._define(rest)
        elif word == b"undef":
            self.macros.pop(rest, None)
        elif word == b"include" and (name := _INCLUDE.match(rest)):
            self.includes.append(name[1])

    def _define(self, rest: bytes) -> None:
        match = _DEFINE.match(rest)
        if match and not match[2]:
            self.macros[match[1]] = match[3].strip()

    def _open(self, word: bytes, condition: bytes) -> None:
        value = self._value(word, condition)
        self._groups.append(_Group(active=value, taken=value))

    def _alternative(self, word: bytes, condition: bytes) -> None:
        if not self._groups:
            return
        group = self._groups[-1]
        if self.every_branch:
            group.active = word == b"else" or not _is_false(condition)
            return
        group.active = not group.taken and (word == b"else" or self._value(word.replace(b"el", b"", 1), condition))
        group.taken = group.taken or group.active

    def _value(self, word: bytes, condition: bytes) -> bool:
        if self.every_branch:
            return not (word == b"if" and _is_false(condition))
        if word == b"if":
            return is_true(condition, self.macros)
        return (condition.split(b" ")[0] in self.macros) == (word == b"ifdef")

    def _skip_inactive(self) -> None:
        """Move to the directive that ends the inactive branch the cursor is in."""
        depth = 0
        data = self.data
        while found := _SKIP.search(data, self.position):
            position = found.start()
            first = data[position]
            if first == 0x2F:
                is_comment = data[position + 1 : position + 2] in {b"/", b"*"}
                self.position = _comment_end(data, position) if is_comment else position + 1
            elif first != 0x23:
                literal = _LITERAL.match(data, position)
                self.position = literal.end() if literal else position + 1
            elif not _starts_line(data, position):
                self.position = position + 1
            else:
                text, end = _logical_line(data, position + 1)
                word = _DIRECTIVE.match(text)[1]  # type: ignore[index]
                if depth == 0 and word in {b"elif", b"elifdef", b"elifndef", b"else", b"endif"}:
                    self.position = position
                    return
                depth += (word in {b"if", b"ifdef", b"ifndef"}) - (word == b"endif")
                self.position = end
        self.position = len(data)


def source_bytes(data: bytes) -> bytes:
    """`data` as UTF-8 without a byte order mark; PowerShell's `>` writes UTF-16.

    Raises:
        InputError: damaged UTF-16.
    """
    if data.startswith(b"\xef\xbb\xbf"):
        return data[3:]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16").encode()
        except UnicodeError as error:
            raise InputError("the text is damaged UTF-16", hint="export the file again") from error
    return data


def line_of(data: bytes, position: int) -> int:
    """The 1-based line of `position`."""
    return data.count(b"\n", 0, position) + 1


def _is_false(condition: bytes) -> bool:
    return condition.strip() in {b"0", b"false", b"(0)"}


def _comment_end(data: bytes, start: int) -> int:
    """Behind the comment at `start`; an unfinished one reaches to the end of the file."""
    if data[start + 1 : start + 2] == b"*":
        end = data.find(b"*/", start + 2)
        return len(data) if end < 0 else end + 2
    return _line_end(data, start)


def _line_end(data: bytes, start: int) -> int:
    """The newline that ends the logical line at `start`, or the end of the file."""
    while True:
        end = data.find(b"\n", start)
        if end < 0:
            return len(data)
        if not data[max(start, end - 2) : end].rstrip(b"\r").endswith(b"\\"):
            return end
        start = end + 1


def _logical_line(data: bytes, start: int) -> tuple[bytes, int]:
    """A directive's text behind `#`, without comments and continuations, and where the next line starts.

    A block comment may carry the directive over several lines ([lex.phases] 3: a comment is one blank).
    """
    parts: list[bytes] = []
    while True:
        end = _line_end(data, start)
        comment, line = _first_comment(data, start, end)
        if comment < 0:
            parts.append(data[start:end])
            break
        parts += [data[start:comment], b" "]
        if line:
            break
        start = _comment_end(data, comment)
    return _SPLICE.sub(b"", b"".join(parts)).strip(), end


def _first_comment(data: bytes, start: int, end: int) -> tuple[int, bool]:
    """Where the first comment in this part of a line starts (-1: none), and whether it is a line comment."""
    position = start
    while found := _SKIP.search(data, position, end):
        at = found.start()
        if data[at] == 0x2F and data[at + 1 : at + 2] in {b"/", b"*"}:
            return at, data[at + 1] == 0x2F
        literal = _LITERAL.match(data, at, end) if data[at] in b"\"'" else None
        position = literal.end() if literal else at + 1
    return -1, False


def _starts_line(data: bytes, position: int) -> bool:
    """Whether only blanks, and not more than any indentation has, stand before `position` in its line."""
    start = max(0, position - _MAX_INDENT)
    line = data.rfind(b"\n", start, position)
    return (line >= 0 or start == 0) and not data[line + 1 : position].strip(b" \t\r\f\v")
