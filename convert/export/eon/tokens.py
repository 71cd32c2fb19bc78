"""The parser's view of the text: one token ahead, balanced skipping, and casts and numbers taken whole.

Every method that needs another token ends in an error at the line of what it was reading when there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convert.export.eon import literals
from convert.export.lexer import Kind, Scanner, Token

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convert.errors import InputError
    from convert.export.eon.syntax import Source

__all__ = ["Tokens"]

_CAST = re.compile(
    rb"\(\s*(?:const\s+|struct\s+)*[A-Za-z_][\w:]*(?:\s+[A-Za-z_]\w*)*\s*\*+\s*\)|\(\s*u?int(?:\d+_t)?\s*\)"
)
_COMMENT = re.compile(rb"/\*.*?\*/|//[^\n]*\n", re.DOTALL)
_OPENING = re.compile(rb"/[/*]")
_CLOSING = {b"(": b")", b"[": b"]", b"{": b"}"}
_MAX_TOKENS = 2_000_000  # a model of a thousand layers has 100,000


@dataclass(slots=True)
class Tokens:
    """A cursor over the tokens of `source`."""

    source: Source
    _scanner: Scanner = field(init=False)
    _ahead: Token | None = field(init=False, default=None)
    _count: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._scanner = Scanner(self.source.data)

    def peek(self) -> Token | None:
        """The next token, which stays the next one; None at the end."""
        if self._ahead is None:
            self._ahead = self._scanner.next()
            self._count += 1
            if self._ahead is not None and self._count > _MAX_TOKENS:
                raise self.source.damaged("this is too long for an EON-compiled model", self._ahead.start)
        return self._ahead

    def sees(self, text: bytes) -> bool:
        """Whether the next token is `text`."""
        token = self.peek()
        return token is not None and token.text == text

    def take(self, text: bytes) -> bool:
        """Step over the next token if it is `text`; whether it was."""
        if not self.sees(text):
            return False
        self._ahead = None
        return True

    def next(self, what: str, since: int) -> Token:
        """The next token of `what`, which starts at `since`."""
        token = self.peek()
        if token is None:
            raise self.source.damaged(f"the file ends inside {what}", since)
        self._ahead = None
        return token

    def expect(self, text: bytes, what: str, since: int) -> Token:
        """The next token of `what`, which has to be `text`."""
        token = self.next(what, since)
        if token.text != text:
            raise self.unexpected(token, f"{text.decode()!r} in {what}")
        return token

    def unexpected(self, token: Token, wanted: str) -> InputError:
        """The error for `token` where `wanted` should stand."""
        shown = token.text[:40].decode("utf-8", "replace")
        return self.source.damaged(f"{shown!r} stands where {wanted} should", token.start)

    def name(self, what: str, since: int) -> tuple[str, ...]:
        """A name, with the namespaces written before it."""
        parts = []
        self.take(b"::")
        while True:
            token = self.next(what, since)
            if token.kind != Kind.NAME:
                raise self.unexpected(token, f"a name in {what}")
            parts.append(token.text.decode("utf-8", "replace"))
            if not self.take(b"::"):
                return tuple(parts)

    def skip_group(self, what: str, since: int) -> None:
        """Step over a parenthesis, bracket or brace and all up to the one that closes it."""
        opening = self.next(what, since)
        open_groups = [_CLOSING[opening.text]]
        while open_groups:
            token = self.next(what, since)
            if token.text in _CLOSING:
                open_groups.append(_CLOSING[token.text])
            elif token.text in {b")", b"]", b"}"} and token.text != open_groups.pop():
                raise self.unexpected(token, f"the rest of {what}")

    def skip_statement(self, what: str, since: int) -> None:
        """Step over all up to and with the next `;` outside any brackets."""
        while not self.take(b";"):
            token = self.peek()
            if token is not None and token.text in _CLOSING:
                self.skip_group(what, since)
            else:
                self.next(what, since)

    def skip_angles(self, what: str, since: int) -> list[bytes]:
        """Step over `<...>`; the texts of the tokens inside."""
        self.expect(b"<", what, since)
        depth = 1
        texts: list[bytes] = []
        while True:
            text = self.next(what, since).text
            depth += (text == b"<") - text.count(b">") * (text in {b">", b">>"})
            if depth <= 0:
                return texts
            texts.append(text)

    def skip_cast(self) -> bool:
        """Step over a C cast such as `(TfLiteIntArray*)` if the next token starts one; whether it did."""
        token = self.peek()
        match = token and _CAST.match(self.source.data, token.start)
        if not match:
            return False
        self._ahead = None
        self._scanner.position = match.end()
        return True

    def numbers(self, dtype: np.dtype[Any], bound: int | None, what: str, since: int) -> NDArray[Any]:
        """The numbers of an initialiser `{...}`, flat.

        Args:
            dtype: of the array.
            bound: the number of elements, None where the declaration leaves it out.
            what, since: the array, for errors.
        """
        opening = self.expect(b"{", what, since)
        body, end = self._body(opening.start + 1, what, since)
        if b"{" in body:
            raise self.source.damaged(f"{what} holds braces among its numbers", since)
        try:
            values = literals.array(body, dtype, len(body) if bound is None else bound)
        except ValueError as error:
            raise self.source.damaged(f"{what}: {error}", since) from error
        if bound is not None and len(values) != bound:
            raise self.source.damaged(f"{what} has {len(values)} of its {bound} elements", since)
        self._scanner.position = end + 1
        return values

    def _body(self, start: int, what: str, since: int) -> tuple[bytes, int]:
        """The text from `start` to the closing brace, without comments, and where that brace is."""
        data = self.source.data
        end = start
        while (end := data.find(b"}", end)) >= 0:
            body = data[start:end]
            if b"/" not in body:
                return body, end
            body = _COMMENT.sub(b" ", body)
            unfinished = _OPENING.search(body)
            if unfinished is None:
                return body, end
            # This brace stands in a comment.
            end = data.find(b"\n" if unfinished[0] == b"//" else b"*/", end)
            if end < 0:
                break
        raise self.source.damaged(f"the file ends inside {what}", since)
