"""Turns C source into tokens, one at a time, with the preprocessor's conditional groups already decided.

It reads what Edge Impulse and `xxd -i` write and what people make of it by hand: comments, line continuations, string
and character literals, `#if` groups, object-like macros. The body of a large array is taken as text
(`Scanner.plain_text`, `Scanner.position`), so that ten megabytes of numbers never become tokens. The rules are those of
C++17 (ISO 14882, [lex] and [cpp]); function-like macros are not expanded and raw strings are not known.

Expressions in `#if` conditions and macro values follow the preprocessor ([cpp.cond]): names that are no macros are 0,
arithmetic is 64 bits signed, a call of a function-like macro is 0.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from convert.errors import InputError


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


# Directives and comments are recognised before this is matched, so neither stands here. An unclosed literal is one
# piece of punctuation up to the end of its line: read again from each quote in it, a line would be read without end.
_TOKEN = re.compile(
    rb"""
      (?P<name>[A-Za-z_$\x80-\xff][A-Za-z0-9_$\x80-\xff]*)
    | (?P<number>\.?[0-9](?:[eEpP][+-]|'?[A-Za-z0-9_.])*)
    | (?P<string>"(?:[^"\\\n]|\\.)*")
    | (?P<char>'(?:[^'\\\n]|\\.)+')
    | (?P<punctuation>"(?:[^"\\\n]|\\.)*|'(?:[^'\\\n]|\\.)*|::|[!=<>]=|&&|\|\||<<|>>|->|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLANKS = re.compile(rb"(?:[ \t\r\f\v\n]|\\\r?\n)*")
_SPLICE = re.compile(rb"\\\r?\n")
# What can hide a directive's `#` or end an inactive group; everything between is skipped unread.
_SKIP = re.compile(rb"[#/\"']")
_LITERAL = re.compile(rb"\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?", re.DOTALL)  # also an unclosed one
# After one of these, a brace or a comma may be part of a comment, a literal or a directive.
_SPECIAL = re.compile(rb"[}/#'\"\\{]")
_BRACES = re.compile(rb"[{}\"'/]")
_BRACE, _APOSTROPHE = b"}'"
_SIMPLE_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]+)|([0-7]{1,3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(\r?\n)|(.))", re.DOTALL)
_DIRECTIVE = re.compile(rb"[ \t]*([A-Za-z_]*)[ \t]*(.*)", re.DOTALL)
_DEFINE = re.compile(rb"([A-Za-z_]\w*)(\(?)(.*)", re.DOTALL)
_INCLUDE = re.compile(rb"[\"<]([^\">]*)[\">]")
_MAX_INDENT = 256  # so that a line of a million # is not scanned a million times from its start
_MAX_NESTING = 256  # of conditional groups; GCC's own limit is far higher, generated headers use three

_OPERAND_OR_SIGN = re.compile(rb"\s*([A-Za-z_]\w*|\.?[0-9][\w.']*|'(?:[^'\\]|\\.)'|&&|\|\||[!=<>]=|<<|>>|\S)")
_INTEGER = re.compile(rb"(?:0[xX]([0-9a-fA-F']+)|0[bB]([01']+)|(0[0-7']*)|([1-9][0-9']*))[uUlLzZ]*")
_REAL = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fFlL]?")
_MAX_LENGTH = 4096  # of an expression; generated ones stay under 300
_MAX_DEPTH = 32  # of parentheses and of macros inside macros
_MAX_STEPS = 10_000  # operands of one expression with all its macros expanded: they can double at each level
_BITS = 64

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
        most: tokens that are read; more are refused.

    Attributes:
        position: where the next token is searched for; may be set to jump.
        macros: object-like macros defined so far, values without comments and outer blanks.
        includes: names of the `#include`s met, in order.
    """

    data: bytes = field(repr=False)
    every_branch: bool = False
    most: float = math.inf
    position: int = 0
    macros: dict[bytes, bytes] = field(default_factory=lambda: dict(_PREDEFINED))
    includes: list[bytes] = field(default_factory=list)
    _groups: list[_Group] = field(default_factory=list)

    def next(self) -> Token | None:
        """The next token that is compiled, None at the end of the file.

        Raises:
            InputError: conditional groups nested deeper than any compiler's headers, or more than `most` tokens.
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
                self.most -= 1
                if self.most < 0:
                    raise InputError("this is too long for an EON-compiled model", line=line_of(data, position))
                return Token(match.lastgroup or Kind.PUNCTUATION, match[0], position)

    def plain_text(self) -> bytearray | None:
        """The text up to the next closing brace, with as many newlines, but no comments and directives.

        Character literals become numbers. Afterwards the cursor stands behind the brace. None: there is none, and the
        cursor stands near where the search for it ended.
        """
        data, position = self.data, self.position
        text = bytearray()
        while found := _SPECIAL.search(data, position):
            at = found.start()
            text += data[position:at]
            first = data[at]
            if first == _BRACE:
                self.position = at + 1
                return text
            if first == _APOSTROPHE and data[at - 1 : at].isalnum():  # a digit separator
                text.append(first)
                position = at + 1
            elif first == 0x2F and data[at + 1 : at + 2] in {b"/", b"*"}:
                end = _comment_end(data, at)
                if end >= len(data):
                    break
                text += b"\n" * data.count(b"\n", at, end) or b" "
                position = end
            else:
                self.position = at
                token = self.next()
                if token is None:
                    break
                text += b"\n" * data.count(b"\n", at, token.start) or b" "
                position = token.start
                if token.kind == Kind.CHAR or position == at:
                    text += _character(token.text) + b" " if token.kind == Kind.CHAR else token.text
                    position = self.position
        self.position = position
        return None

    def skip_braces(self) -> bool:
        """Move behind the brace that closes the one just read, over literals and comments unread; whether there is."""
        depth, data = 1, self.data
        while depth and (found := _BRACES.search(data, self.position)):
            at = found.start()
            if data[at] in b"{}":
                depth += 1 if data[at] == ord("{") else -1
                self.position = at + 1
            elif data[at] in b"\"'":
                self.position = _LITERAL.match(data, at).end()  # type: ignore[union-attr]
            else:
                self.position = at
                token = self.next()
                if token is not None and token.start != at:
                    self.position = token.start
        if depth:
            self.position = len(data)
        return not depth

    def _directive(self) -> None:
        start = self.position
        text, self.position = _logical_line(self.data, start + 1)
        match = _DIRECTIVE.match(text)
        assert match is not None
        word, rest = match[1], match[2].strip()
        if word in {b"if", b"ifdef", b"ifndef"}:
            if len(self._groups) >= _MAX_NESTING:
                message, hint = "conditional groups (#if) are nested too deeply", "export the library again"
                raise InputError(message, line=line_of(self.data, start), hint=hint)
            value = self._value(word, rest)
            self._groups.append(_Group(active=value, taken=value))
        elif word in {b"elif", b"elifdef", b"elifndef", b"else"}:
            self._alternative(word, rest)
        elif word == b"endif":
            if self._groups:
                self._groups.pop()
        elif word == b"define":
            if (macro := _DEFINE.match(rest)) and not macro[2]:
                self.macros[macro[1]] = macro[3].strip()
        elif word == b"undef":
            self.macros.pop(rest, None)
        elif word == b"include" and (name := _INCLUDE.match(rest)):
            self.includes.append(name[1])

    def _alternative(self, word: bytes, condition: bytes) -> None:
        if self._groups:
            group = self._groups[-1]
            is_open = self.every_branch or not group.taken
            group.active = is_open and (word == b"else" or self._value(word.replace(b"el", b"", 1), condition))
            group.taken = group.taken or group.active

    def _value(self, word: bytes, condition: bytes) -> bool:
        if self.every_branch:
            return not (word == b"if" and condition.strip() in {b"0", b"false", b"(0)"})
        if word == b"if":
            return bool(evaluate(condition, self.macros))  # a condition that cannot be read is not taken
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
                self.position = _LITERAL.match(data, position).end()  # type: ignore[union-attr]
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


def text_of(data: bytes) -> str:
    """`data` as text; bytes that are no UTF-8 are replaced."""
    return data.decode("utf-8", "replace")


def line_of(data: bytes, position: int) -> int:
    """The 1-based line of `position`."""
    return data.count(b"\n", 0, position) + 1


def unescaped(text: bytes) -> bytes:
    """What stands between the quotes of a string or character literal, in bytes."""
    return _ESCAPE.sub(_escape, text)


def _escape(match: re.Match[bytes]) -> bytes:
    hexadecimal, octal, short, long, newline, simple = match.groups()
    if hexadecimal or octal:
        return bytes([(int(hexadecimal, 16) if hexadecimal else int(octal, 8)) & 0xFF])
    if short or long:
        code = int(short or long, 16)
        valid = code < 0x110000 and not 0xD800 <= code < 0xE000
        return (chr(code) if valid else "\ufffd").encode()
    return b"" if newline else _SIMPLE_ESCAPES.get(simple, simple)


def _character(literal: bytes) -> bytes:
    """A character literal as a number, as itself when it is none."""
    value = unescaped(literal[1:-1])
    return str(value[0]).encode() if len(value) == 1 else literal


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
    text = bytearray()
    position, end = start, _line_end(data, start)
    while found := _SKIP.search(data, position, end):
        at = found.start()
        if data[at] == 0x2F and data[at + 1 : at + 2] in {b"/", b"*"}:
            text += data[start:at] + b" "
            start = position = _comment_end(data, at)
            if start > end:
                end = _line_end(data, start)
        else:
            literal = _LITERAL.match(data, at, end)
            position = literal.end() if literal else at + 1  # else it is a # or /
    return _SPLICE.sub(b"", bytes(text) + data[start:end]).strip(), end


def _starts_line(data: bytes, position: int) -> bool:
    """Whether only blanks, and not more than any indentation has, stand before `position` in its line."""
    start = max(0, position - _MAX_INDENT)
    line = data.rfind(b"\n", start, position)
    return (line >= 0 or start == 0) and not data[line + 1 : position].strip(b" \t\r\f\v")


def integer_literal(text: bytes) -> int | None:
    """The value of one C integer literal, None when `text` is none.

    Decimal, octal, hexadecimal and binary, with digit separators and suffixes.
    """
    match = _INTEGER.fullmatch(text)
    if match is None or len(text) > 2 * _BITS:
        return None
    digits = (match[1] or match[2] or match[3] or match[4]).replace(b"'", b"")
    base = 16 if match[1] else 2 if match[2] else 8 if match[3] else 10
    return int(digits, base) if digits else None


def real_literal(text: bytes) -> float | None:
    """The value of a C floating or decimal literal with an optional sign, None when `text` is none."""
    text = text.strip()
    if len(text) > 2 * _BITS or not _REAL.fullmatch(text):
        return None
    return float(text.rstrip(b"fFlL"))


def evaluate(text: bytes, macros: Mapping[bytes, bytes], *, strict: bool = False) -> int | None:
    """The value of an expression, None when it has none; `strict`: also when a name in it is no macro."""
    try:
        return _Expression(macros, strict).whole(text)
    except (ValueError, IndexError):  # not one that can be read, or cut off
        return None


def _quotient(a: int, b: int) -> int:
    """The quotient rounded towards zero, as C has it.

    Raises:
        ValueError: `b` is 0.
    """
    if b == 0:
        raise ValueError
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


_OPERATORS: dict[bytes, tuple[int, Callable[[int, int], int]]] = {
    b"||": (0, lambda a, b: int(bool(a or b))),
    b"&&": (1, lambda a, b: int(bool(a and b))),
    b"|": (2, operator.or_),
    b"^": (3, operator.xor),
    b"&": (4, operator.and_),
    b"==": (5, operator.eq),
    b"!=": (5, operator.ne),
    b"<": (6, operator.lt),
    b">": (6, operator.gt),
    b"<=": (6, operator.le),
    b">=": (6, operator.ge),
    b"<<": (7, lambda a, b: a << (b % _BITS)),
    b">>": (7, lambda a, b: a >> (b % _BITS)),
    b"+": (8, operator.add),
    b"-": (8, operator.sub),
    b"*": (9, operator.mul),
    b"/": (9, _quotient),
    b"%": (9, lambda a, b: a - _quotient(a, b) * b),
}
"""Binary operators with their precedence, 0 the weakest."""


@dataclass(slots=True)
class _Expression:
    """Precedence climbing over a list of tokens; ValueError or IndexError: it is malformed.

    Attributes:
        strict: a name that is no macro has no value instead of 0.
        tokens: those still to be read, the next one last; the first is an empty one, the end.
        expanding: macros being expanded, which are not expanded again ([cpp.rescan]).
        steps: operands read so far.
        depth: of parentheses and macros.
    """

    macros: Mapping[bytes, bytes]
    strict: bool
    tokens: list[bytes] = field(default_factory=list)
    expanding: set[bytes] = field(default_factory=set)
    steps: int = 0
    depth: int = 0

    def whole(self, text: bytes) -> int:
        """The value of `text`, of which nothing may be left over."""
        if len(text) > _MAX_LENGTH:
            raise ValueError
        outer, self.tokens = self.tokens, [b"", *reversed(_OPERAND_OR_SIGN.findall(text))]
        value = self._choice()
        if self.tokens != [b""]:
            raise ValueError
        self.tokens = outer
        return value

    def _expect(self, token: bytes) -> None:
        if self.tokens.pop() != token:
            raise ValueError

    def _choice(self) -> int:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ValueError
        value = self._binary(0)
        if self.tokens[-1] == b"?":
            self.tokens.pop()
            yes = self._choice()
            self._expect(b":")
            no = self._choice()
            value = yes if value else no
        self.depth -= 1
        return value

    def _binary(self, weakest: int) -> int:
        """Operands joined by operators of at least the precedence `weakest`."""
        value = self._unary()
        while True:
            value = (value + (1 << (_BITS - 1))) % (1 << _BITS) - (1 << (_BITS - 1))  # 64 bits signed
            precedence, operation = _OPERATORS.get(self.tokens[-1], (-1, operator.add))
            if precedence < weakest:
                return value
            self.tokens.pop()
            value = int(operation(value, self._binary(precedence + 1)))

    def _unary(self) -> int:
        signs: list[bytes] = []
        while self.tokens[-1] in {b"!", b"-", b"+", b"~"}:
            signs.append(self.tokens.pop())
        value = self._operand(self.tokens.pop())
        for sign in reversed(signs):
            value = {b"!": int(not value), b"-": -value, b"+": value, b"~": ~value}[sign]
        return value

    def _operand(self, token: bytes) -> int:
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise ValueError
        if token == b"(":
            value = self._choice()
            self._expect(b")")
            return value
        if token == b"defined":
            if (name := self.tokens.pop()) == b"(":
                name = self.tokens.pop()
                self._expect(b")")
            return int(name in self.macros)
        if re.match(rb"[A-Za-z_]", token):
            return self._name(token)
        number = integer_literal(token)
        if number is None:
            raise ValueError
        return number

    def _name(self, name: bytes) -> int:
        if name in {b"true", b"false"}:
            return int(name == b"true")
        if self.tokens[-1] == b"(" and not self.strict:  # a call of a function-like macro such as __has_include
            depth = 0
            while True:
                token = self.tokens.pop()
                depth += (token == b"(") - (token == b")")
                if depth == 0:
                    return 0
        body = self.macros.get(name, b"") if name not in self.expanding else b""
        if body.strip():
            self.expanding.add(name)
            self.depth += 1
            value = self.whole(body)
            self.depth -= 1
            self.expanding.remove(name)
            return value
        if self.strict:
            raise ValueError
        return 0
