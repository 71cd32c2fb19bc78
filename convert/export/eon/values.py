"""Parses what variables of an EON-compiled file are initialised with: braces, arrays, sums, names and casts."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np

from convert.export import expressions
from convert.export.eon import literals
from convert.export.eon.syntax import Group, Path, Pointer, Value
from convert.export.lexer import Kind, Token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convert.export.eon.tokens import Tokens

__all__ = ["ARITHMETIC", "Values"]

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
ARITHMETIC = {name: np.dtype(dtype) for dtype, names in _TYPES for name in names.split(", ")}
"""C's arithmetic types, of which arrays are read by numpy."""

_CASTS = {("const_cast",), ("static_cast",), ("reinterpret_cast",)}
_MAX_DEPTH = 64  # of namespaces, braces and parentheses inside each other


class Values:
    """Reads initialisers from `tokens`.

    Attributes:
        scope: the namespaces that the next initialiser stands in.
    """

    def __init__(self, tokens: Tokens) -> None:
        self.scope: Path = ()
        self._tokens = tokens
        self._source = tokens.source
        self._depth = 0

    @contextlib.contextmanager
    def deeper(self, at: int) -> Iterator[None]:
        """One more bracket is open inside.

        Raises:
            InputError: there are more than any generated file has.
        """
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._source.damaged("brackets are nested too deeply", at)
        yield
        self._depth -= 1

    def array(self, arguments: list[bytes], what: str, start: int) -> Value:
        """`{ 4, { 1,96,96,3 } }` of a `TfArray<4, int>`, as a flat array."""
        tokens = self._tokens
        size, comma, *names = arguments if len(arguments) > 2 else (b"", b"", b"")
        count = expressions.number(size)
        dtype = ARITHMETIC.get(b" ".join(names).decode("utf-8", "replace"))
        if count is None or dtype is None or comma != b",":
            raise self._source.damaged(f"{what} is not a TfArray<size, type> of numbers", start)
        tokens.expect(b"{", what, start)
        said = self.expression(what, start)
        tokens.expect(b",", what, start)
        values = tokens.numbers(dtype, count, what, start)
        tokens.take(b",")
        tokens.expect(b"}", what, start)
        if said != count:
            raise self._source.damaged(f"{what} is declared with {count} elements and says {said}", start)
        return values

    def value(self, what: str, start: int) -> Value:
        """An initialiser: braces, or an expression."""
        tokens = self._tokens
        token = tokens.peek()
        if token is None or not tokens.take(b"{"):
            return self.expression(what, start)
        items: list[Value] = []
        with self.deeper(token.start):
            while not tokens.take(b"}"):
                items.append(self.value(what, start))
                if not tokens.take(b",") and not tokens.sees(b"}"):
                    raise tokens.unexpected(tokens.next(what, start), f"',' or '}}' in {what}")
        return Group(tuple(items), token.start)

    def expression(self, what: str, start: int) -> Value:
        """Sums and products of numbers; a pointer plus a number."""
        value = self._product(what, start)
        while True:
            if self._tokens.take(b"+"):
                value = self._sum(value, self._product(what, start), what, start)
            elif self._tokens.take(b"-"):
                value = self._sum(value, self._negative(self._product(what, start), what, start), what, start)
            else:
                return value

    def _product(self, what: str, start: int) -> Value:
        value = self._unary(what, start)
        while self._tokens.take(b"*"):
            factor = self._unary(what, start)
            if not isinstance(value, int) or not isinstance(factor, int):
                raise self._source.damaged(f"{what}: only whole numbers can be multiplied here", start)
            value = value * factor
            if abs(value) >= 1 << 63:
                raise self._source.damaged(f"{what}: a product is larger than 63 bits", start)
        return value

    def _sum(self, left: Value, right: Value, what: str, start: int) -> Value:
        if isinstance(left, Pointer) and isinstance(right, int):
            return Pointer(left.path, left.scope, left.at, left.offset + right)
        if isinstance(left, int | float) and isinstance(right, int | float):
            return left + right
        raise self._source.damaged(f"{what}: these two cannot be added", start)

    def _negative(self, value: Value, what: str, start: int) -> Value:
        if isinstance(value, int | float):
            return -value
        raise self._source.damaged(f"{what}: only numbers can be negative", start)

    def _unary(self, what: str, start: int) -> Value:
        tokens = self._tokens
        token = tokens.peek()
        with self.deeper(start if token is None else token.start):
            if tokens.take(b"-"):
                return self._negative(self._unary(what, start), what, start)
            if tokens.take(b"&") or tokens.take(b"+") or tokens.skip_cast():
                return self._unary(what, start)
            if tokens.take(b"("):
                value = self.expression(what, start)
                tokens.expect(b")", what, start)
                return value
            if token is not None and token.kind == Kind.NUMBER:
                return self._number(tokens.next(what, start))
            return self._named(what, start)

    def _number(self, token: Token) -> int | float:
        try:
            return literals.number(token.text)
        except ValueError as error:
            raise self._source.damaged(str(error), token.start) from error

    def _named(self, what: str, start: int) -> Value:
        """A name, `true`, `false`, or a C++ cast of an expression."""
        tokens = self._tokens
        token = tokens.peek()
        path = tokens.name(what, start)
        if path in _CASTS:
            tokens.skip_angles(what, start)
            tokens.expect(b"(", what, start)
            value = self.expression(what, start)
            tokens.expect(b")", what, start)
            return value
        if path in {("true",), ("false",)}:
            return int(path == ("true",))
        return Pointer(path, self.scope, start if token is None else token.start)
