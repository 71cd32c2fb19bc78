"""Computes the integer expressions that stand in `#if` conditions and macro values of generated headers.

The rules are the preprocessor's (ISO 14882 [cpp.cond]): names that are no macros count as 0, arithmetic is 64 bits
signed. Only object-like macros are expanded; a call of a function-like one counts as 0.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["integer", "is_true", "number", "real"]

_TOKEN = re.compile(rb"\s*([A-Za-z_]\w*|\.?[0-9][\w.']*|'(?:[^'\\]|\\.)'|&&|\|\||[!=<>]=|<<|>>|\S)")
_LITERAL = re.compile(rb"(?:0[xX]([0-9a-fA-F']+)|0[bB]([01']+)|(0[0-7']*)|([1-9][0-9']*))[uUlLzZ]*")
_FLOAT = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fFlL]?")
_MAX_LENGTH = 4096  # of an expression; generated ones stay under 300
_MAX_DEPTH = 32  # of parentheses and of macros inside macros
_MAX_STEPS = 10_000  # operands of one expression with all its macros expanded: they can double at each level
_BITS = 64


class _MalformedError(Exception):
    """No value: the expression is not one we can read."""


def number(text: bytes) -> int | None:
    """The value of one C integer literal, None when `text` is none.

    Decimal, octal, hexadecimal and binary, with digit separators and suffixes.
    """
    match = _LITERAL.fullmatch(text)
    if match is None or len(text) > 2 * _BITS:
        return None
    digits = (match[1] or match[2] or match[3] or match[4]).replace(b"'", b"")
    base = 16 if match[1] else 2 if match[2] else 8 if match[3] else 10
    return int(digits, base) if digits else None


def real(text: bytes) -> float | None:
    """The value of a C floating or decimal literal with an optional sign, None when `text` is none."""
    text = text.strip()
    if len(text) > 2 * _BITS or not _FLOAT.fullmatch(text):
        return None
    return float(text.rstrip(b"fFlL"))


def integer(text: bytes, macros: Mapping[bytes, bytes], *, strict: bool = False) -> int | None:
    """The value of an expression, None when it has none; `strict`: also when a name in it is no macro."""
    try:
        return _Parser(_tokens(text), macros, frozenset(), [_MAX_STEPS], strict=strict).whole()
    except _MalformedError:
        return None


def is_true(condition: bytes, macros: Mapping[bytes, bytes]) -> bool:
    """Whether `#if condition` is taken; a condition that cannot be read is not."""
    return bool(integer(condition, macros))


def _tokens(text: bytes) -> list[bytes]:
    if len(text) > _MAX_LENGTH:
        raise _MalformedError
    return _TOKEN.findall(text)


_LEVELS: list[dict[bytes, Callable[[int, int], int]]] = [
    {b"||": lambda a, b: int(bool(a or b))},
    {b"&&": lambda a, b: int(bool(a and b))},
    {b"|": operator.or_},
    {b"^": operator.xor},
    {b"&": operator.and_},
    {b"==": lambda a, b: int(a == b), b"!=": lambda a, b: int(a != b)},
    {
        b"<": lambda a, b: int(a < b),
        b">": lambda a, b: int(a > b),
        b"<=": lambda a, b: int(a <= b),
        b">=": lambda a, b: int(a >= b),
    },
    {b"<<": lambda a, b: a << (b % _BITS), b">>": lambda a, b: a >> (b % _BITS)},
    {b"+": operator.add, b"-": operator.sub},
    {b"*": operator.mul, b"/": lambda a, b: _divide(a, b)[0], b"%": lambda a, b: _divide(a, b)[1]},
]
"""Binary operators, weakest first."""


def _divide(a: int, b: int) -> tuple[int, int]:
    """Quotient rounded towards zero, and remainder, as C has them."""
    if b == 0:
        raise _MalformedError
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return quotient, a - quotient * b


class _Parser:
    """Precedence climbing over a list of tokens.

    Args:
        hidden: macros being expanded, which are not expanded again.
        steps: how many operands may still be read, shared by all parsers of one expression.
        strict: a name that is no macro has no value instead of 0.
    """

    def __init__(
        self,
        tokens: list[bytes],
        macros: Mapping[bytes, bytes],
        hidden: frozenset[bytes],
        steps: list[int],
        *,
        strict: bool,
    ) -> None:
        self._strict = strict
        self._tokens = tokens
        self._macros = macros
        self._hidden = hidden
        self._steps = steps
        self._depth = len(hidden)
        self._at = 0

    def whole(self) -> int:
        value = self._choice()
        if self._at != len(self._tokens):
            raise _MalformedError
        return value

    def _peek(self) -> bytes:
        return self._tokens[self._at] if self._at < len(self._tokens) else b""

    def _take(self) -> bytes:
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, token: bytes) -> None:
        if self._take() != token:
            raise _MalformedError

    def _choice(self) -> int:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _MalformedError
        value = self._binary(0)
        if self._peek() == b"?":
            self._take()
            yes = self._choice()
            self._expect(b":")
            no = self._choice()
            value = yes if value else no
        self._depth -= 1
        return value

    def _binary(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._unary()
        value = self._binary(level + 1)
        while (operation := _LEVELS[level].get(self._peek())) is not None:
            self._take()
            value = _wrap(operation(value, self._binary(level + 1)))
        return value

    def _unary(self) -> int:
        signs: list[bytes] = []
        while self._peek() in {b"!", b"-", b"+", b"~"}:
            signs.append(self._take())
        value = self._primary()
        for sign in reversed(signs):
            value = {b"!": int(not value), b"-": -value, b"+": value, b"~": ~value}[sign]
        return _wrap(value)

    def _primary(self) -> int:
        token = self._take()
        self._steps[0] -= 1
        if self._steps[0] < 0:
            raise _MalformedError
        if token == b"(":
            value = self._choice()
            self._expect(b")")
            return value
        if token == b"defined":
            return self._defined()
        if re.match(rb"[A-Za-z_]", token):
            return self._name(token)
        value_or_none = number(token)
        if value_or_none is None:
            raise _MalformedError
        return _wrap(value_or_none)

    def _defined(self) -> int:
        name = self._take()
        if name == b"(":
            name = self._take()
            self._expect(b")")
        return int(name in self._macros)

    def _name(self, name: bytes) -> int:
        if name in {b"true", b"false"}:
            return int(name == b"true")
        if self._peek() == b"(" and not self._strict:  # a function-like macro such as __has_include
            self._skip_call()
            return 0
        # A macro inside its own value is not expanded again ([cpp.rescan]) and then is a name like any other.
        tokens = _tokens(self._macros[name]) if name in self._macros and name not in self._hidden else []
        if tokens:
            inner = _Parser(tokens, self._macros, self._hidden | {name}, self._steps, strict=self._strict)
            return inner.whole()
        if self._strict:
            raise _MalformedError
        return 0

    def _skip_call(self) -> None:
        depth = 0
        while token := self._take():
            depth += (token == b"(") - (token == b")")
            if depth == 0:
                return
        raise _MalformedError


def _wrap(value: int) -> int:
    """`value` as 64 bits signed."""
    return (value + (1 << (_BITS - 1))) % (1 << _BITS) - (1 << (_BITS - 1))
