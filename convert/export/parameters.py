"""Reads single values from generated headers: macros, designated fields, enumerators, strings, label lists.

A value that is there and cannot be read becomes a finding and counts as not recorded; nothing here ends a run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from convert.export.cpp.declarations import Field, string_of
from convert.export.cpp.scanner import Kind, Scanner, Token, evaluate, real_literal
from convert.export.findings import UNREADABLE_PARAMETER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convert.export.cpp.declarations import Declaration
    from convert.export.enumerators import Enumeration
    from convert.findings import Finding

__all__ = ["Macros", "Values"]

_NAME: Final = re.compile(rb"[A-Za-z_]\w*")
_MAX_INTEGER: Final = 1 << 31


@dataclass(slots=True)
class Values:
    """Turns tokens into values.

    Args:
        macros: the object-like macros that hold.
        path: the header, for findings.

    Attributes:
        findings: what could not be read.
    """

    macros: Mapping[bytes, bytes] = field(repr=False)
    path: str
    findings: list[Finding] = field(default_factory=list)

    def integer(self, what: str, tokens: tuple[Token, ...], *, lowest: int = 0) -> int | None:
        """A whole number from `lowest` up."""
        value = evaluate(_spelled(tokens), self.macros, strict=True)
        if value is None or not lowest <= value < _MAX_INTEGER:
            self._note(what, tokens, f"a whole number from {lowest} up")
            return None
        return value

    def number(self, what: str, tokens: tuple[Token, ...]) -> float | None:
        """A fraction from 0 to 1: the thresholds."""
        text = _spelled(tokens)
        text = self.macros.get(text, text)
        value = real_literal(text.strip(b"()"))
        if value is None or not 0 <= value <= 1:
            self._note(what, tokens, "a number from 0 to 1")
            return None
        return value

    def boolean(self, what: str, tokens: tuple[Token, ...]) -> bool | None:
        """0 or 1, `true` or `false`."""
        value = evaluate(_spelled(tokens), self.macros, strict=True)
        if value is None:
            self._note(what, tokens, "0 or 1")
            return None
        return bool(value)

    def text(self, what: str, tokens: tuple[Token, ...]) -> str | None:
        """A string."""
        value = string_of(tokens)
        if value is None:
            self._note(what, tokens, "a string")
        return value

    def enumerator(self, what: str, tokens: tuple[Token, ...], enumeration: Enumeration) -> str | None:
        """An enumerator's name or number, as our value."""
        text = _spelled(tokens)
        seen: set[bytes] = set()
        while _NAME.fullmatch(text) and text not in seen:
            seen.add(text)
            if (value := enumeration.by_name(text.decode())) is not None:
                return value
            text = self.macros.get(text, b"")
        number = evaluate(text, self.macros, strict=True)
        value = None if number is None else enumeration.by_number(number)
        if value is None:
            self._note(what, tokens, f"one of {enumeration.prefix}*")
        return value

    def strings(self, what: str, declaration: Declaration) -> tuple[str, ...] | None:
        """The elements of `const char* x[] = { "a", "b" }`."""
        texts: list[str] = []
        for item in declaration.fields:
            text = string_of(tuple(token for token in item.value if isinstance(token, Token)))
            if text is None or any(isinstance(inner, Field) for inner in item.value):
                self.findings.append(
                    UNREADABLE_PARAMETER.found(
                        f"{what}: element {len(texts) + 1} is not a string", path=self.path, line=declaration.line
                    )
                )
                return None
            texts.append(text)
        return tuple(texts)

    def _note(self, what: str, tokens: tuple[Token, ...], wanted: str) -> None:
        spelled = _spelled(tokens).decode("utf-8", "replace")[:60]
        message = f"{what} is {spelled!r}, not {wanted}" if spelled else f"{what} is empty, not {wanted}"
        self.findings.append(UNREADABLE_PARAMETER.found(message, path=self.path))


@dataclass(slots=True)
class Macros:
    """The macros of `model_metadata.h` by name without the leading `EI_`; a missing one is None without a finding."""

    values: Values

    def integer(self, name: str, *, lowest: int = 0) -> int | None:
        """The macro's whole number."""
        tokens = self._tokens(name)
        return None if tokens is None else self.values.integer(f"EI_{name}", tokens, lowest=lowest)

    def number(self, name: str) -> float | None:
        """The macro's fraction from 0 to 1."""
        tokens = self._tokens(name)
        return None if tokens is None else self.values.number(f"EI_{name}", tokens)

    def boolean(self, name: str) -> bool | None:
        """The macro's truth."""
        tokens = self._tokens(name)
        return None if tokens is None else self.values.boolean(f"EI_{name}", tokens)

    def text(self, name: str) -> str | None:
        """The macro's string."""
        tokens = self._tokens(name)
        return None if tokens is None else self.values.text(f"EI_{name}", tokens)

    def enumerator(self, name: str, enumeration: Enumeration) -> str | None:
        """The macro's enumerator, as our value."""
        tokens = self._tokens(name)
        return None if tokens is None else self.values.enumerator(f"EI_{name}", tokens, enumeration)

    def _tokens(self, name: str) -> tuple[Token, ...] | None:
        text = self.values.macros.get(f"EI_{name}".encode())
        if text is None:
            return None
        scanner, tokens = Scanner(text), []
        while token := scanner.next():
            tokens.append(token)
        return tuple(tokens)


def _spelled(tokens: tuple[Token, ...]) -> bytes:
    """Tokens as text; signs stay with their numbers."""
    text = b""
    for token in tokens:
        blank = text and token.kind != Kind.PUNCTUATION and not text.endswith((b"-", b"+", b"(", b"!", b"~"))
        text += (b" " if blank else b"") + token.text
    return text
