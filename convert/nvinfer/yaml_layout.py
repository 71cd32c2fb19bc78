"""The bookkeeping behind yaml-cpp 0.7's tokens: the queue, open indentations, and texts that may turn out to be keys.

A text is a key once a colon follows it in its line. Until then the tokens that would open a map and a key for it wait
in the queue, undecided; yaml-cpp decides late and sometimes never, which is where its odd verdicts come from.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from convert.nvinfer.yaml_cursor import Cursor

__all__ = ["ENTRY", "SEPARATOR", "Layout", "Token"]

SEPARATOR: Final = rb"(?:[ \t\n\x04]|\r\n)"
"""What must follow a `-` or `:`; 0x04 is the end of the file to yaml-cpp."""
ENTRY: Final = re.compile(rb"-" + SEPARATOR)
"""The start of a block list's element."""

# A key's text and the colon behind it are at most this far apart.
_LONGEST_KEY: Final = 1024

_VALID, _UNDECIDED, _INVALID = 0, 1, 2


@dataclass(slots=True)
class Token:
    """One token. `kind` is what it is, `position` where it starts, `more` parameters or the kind of a tag."""

    kind: str
    position: int
    text: bytes = b""
    more: tuple[bytes, ...] = ()
    state: int = _VALID


@dataclass(slots=True)
class _Indent:
    column: int
    kind: str  # "none", "seq", "map"
    state: int = _VALID
    start: Token | None = None


@dataclass(slots=True)
class _MaybeKey:
    position: int
    line: int
    level: int
    key: Token
    indent: _Indent | None = None

    def settle(self, state: int) -> None:
        self.key.state = state
        if self.indent is not None:
            self.indent.state = state
            if self.indent.start is not None:
                self.indent.start.state = state


@dataclass(slots=True)
class Layout:
    """What has been found so far.

    Attributes:
        cursor: where in the text.
        flows: the brackets that are open, b"[" or b"{".
        key_allowed: whether what starts here may be a key.
        json_flow: whether a colon needs no blank behind it, as after a quoted text inside brackets.
    """

    cursor: Cursor
    flows: list[bytes] = field(default_factory=list)
    key_allowed: bool = True
    json_flow: bool = False
    tokens: deque[Token] = field(default_factory=deque)
    indents: list[_Indent] = field(default_factory=lambda: [_Indent(-1, "none")])
    maybe_keys: list[_MaybeKey] = field(default_factory=list)

    # The queue

    def push(self, kind: str, position: int, text: bytes = b"", more: tuple[bytes, ...] = ()) -> Token:
        """Add a token.

        Raises:
            TooMany: more than any config has.
        """
        self.cursor.step()
        token = Token(kind, position, text, more)
        self.tokens.append(token)
        return token

    def front(self) -> Token | None:
        """The next token, provided it is decided on; those that were decided against are dropped."""
        while self.tokens:
            if self.tokens[0].state == _VALID:
                return self.tokens[0]
            if self.tokens[0].state == _UNDECIDED:
                return None
            self.tokens.popleft()
        return None

    # Indentation

    @property
    def top_indent(self) -> int:
        """The column of the innermost block, -1 outside of all."""
        return self.indents[-1].column if self.indents else 0

    def push_indent(self, column: int, kind: str) -> _Indent | None:
        """Open a block ("seq", "map") if the column makes it one; None when it does not."""
        if self.flows:
            return None
        last = self.indents[-1]
        if column < last.column or (column == last.column and not (kind == "seq" and last.kind == "map")):
            return None
        indent = _Indent(column, kind, start=self.push(f"block-{kind}-start", self.cursor.position))
        self.indents.append(indent)
        return indent

    def pop_indents_to_here(self) -> None:
        """Close the blocks that the column of the cursor is left of."""
        if self.flows:
            return
        column = self.cursor.column
        while self.indents:
            top = self.indents[-1]
            if top.column < column:
                break
            entry = ENTRY.match(self.cursor.text, self.cursor.position)
            if top.column == column and (top.kind != "seq" or entry):
                break
            self._pop_indent()
        while self.indents and self.indents[-1].state == _INVALID:
            self._pop_indent()

    def close_blocks(self) -> None:
        """Close all blocks: a document or a directive begins, or the file ends. Open brackets prevent it."""
        while not self.flows and self.indents and self.indents[-1].kind != "none":
            self._pop_indent()
        self.maybe_keys.clear()
        self.key_allowed = False

    def _pop_indent(self) -> None:
        indent = self.indents.pop()
        if indent.state != _VALID:
            self.drop_key()
        elif indent.kind != "none":
            self.push(f"block-{indent.kind}-end", self.cursor.position)

    # Texts that may be keys

    def maybe_key(self) -> None:
        """What starts here may be a key."""
        level = len(self.flows)
        if not self.key_allowed or (self.maybe_keys and self.maybe_keys[-1].level == level):
            return
        indent = self.push_indent(self.cursor.column, "map")
        key = self.push("key", self.cursor.position)
        found = _MaybeKey(self.cursor.position, self.cursor.line, level, key, indent)
        found.settle(_UNDECIDED)
        self.maybe_keys.append(found)

    def drop_key(self) -> None:
        """What came last at this level of brackets was no key."""
        if self.maybe_keys and self.maybe_keys[-1].level == len(self.flows):
            self.maybe_keys.pop().settle(_INVALID)

    def confirm_key(self) -> bool:
        """Whether what came last at this level of brackets is a key, now that its colon is here."""
        if not self.maybe_keys or self.maybe_keys[-1].level != len(self.flows):
            return False
        found = self.maybe_keys.pop()
        fits = found.line == self.cursor.line and self.cursor.position - found.position <= _LONGEST_KEY
        found.settle(_VALID if fits else _INVALID)
        return fits
