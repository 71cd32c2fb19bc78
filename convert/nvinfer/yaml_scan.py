"""Takes YAML apart into tokens as yaml-cpp 0.7 does, the library Gst-nvinfer reads its YAML configs with.

What it accepts is not quite YAML 1.2 (tabs, colons, colliding indentation, what may stand behind a document), and what
it refuses kills the process, so the scanner's bookkeeping of indentation and of keys that may turn out to be none is
followed step by step. Compared with the real library by random files.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from convert.nvinfer.yaml_scalar import BLOCK, DOUBLE, FLOW_PLAIN, PLAIN, SINGLE, YamlError, read_scalar

__all__ = ["MOST_TOKENS", "Cursor", "Scanner", "Token", "TooMany", "YamlError"]

MOST_TOKENS: Final = 2_000_000
"""A file with more tokens than this is no config, and would take too long."""

_SEPARATOR: Final = rb"(?:[ \t\n\x04]|\r\n)"
_BLANKS: Final = re.compile(rb"[ \t]*+")
_TO_BREAK: Final = re.compile(rb"(?:[^\r\n]|\r(?!\n))*+")
_BREAK: Final = re.compile(rb"\n|\r\n")
_NOT_BLANK: Final = re.compile(rb"(?:[^ \t\r\n]|\r(?!\n))*+")
_DOC_START: Final = re.compile(rb"---" + _SEPARATOR)
_DOC_END: Final = re.compile(rb"\.\.\." + _SEPARATOR)
_ENTRY: Final = re.compile(rb"-" + _SEPARATOR)
_KEY: Final = re.compile(rb"\?(?:[ \t\n]|\r\n)")
_VALUE: Final = re.compile(rb":" + _SEPARATOR)
_VALUE_FLOW: Final = re.compile(rb":(?:[ \t\n,\]}]|\r\n)")
_VALUE_JSON: Final = re.compile(rb":")
_PLAIN: Final = re.compile(rb"(?!\r\n)(?![-?:]" + _SEPARATOR + rb")[^ \t\n,\[\]{}#&*!|>'\"%@`]", re.DOTALL)
_PLAIN_FLOW: Final = re.compile(rb"(?!\r\n)(?![-:][ \t\x04])[^ \t\n?,\[\]{}#&*!|>'\"%@`]", re.DOTALL)
_ANCHOR: Final = re.compile(rb"(?:[^\[\]{}, \t\r\n]|\r(?!\n))*+")
_ANCHOR_END: Final = re.compile(rb"[?:,\]}%@` \t\n]|\r\n")
_CHOMP: Final = re.compile(rb"[+-][0-9]|[0-9][+-]|[+-]|[0-9]|")
_URI: Final = re.compile(rb"(?:[-0-9A-Za-z#;/?:@&=+$,_.!~*'()\[\]]|%[0-9A-Fa-f]{2})*+")
_WORD: Final = re.compile(rb"[-0-9A-Za-z]*+")
_TAG: Final = re.compile(rb"(?:[-0-9A-Za-z#;/?:@&=+$_.~*'()]|%[0-9A-Fa-f]{2})*+")

# A key's text and the colon behind it lie in one line, at most this far apart.
_LONGEST_KEY: Final = 1024

_VALID, _UNVERIFIED, _INVALID = 0, 1, 2


class TooMany(Exception):  # noqa: N818 - says it better
    """More than `MOST_TOKENS` tokens."""


class Cursor:
    """A place in the decoded text; lines and columns count from 0, columns in bytes."""

    def __init__(self, text: bytes) -> None:
        self.size = len(text)
        self.text = text + b"\x04"
        self.position = 0
        self.line = 0
        self.line_start = 0

    @property
    def at_end(self) -> bool:
        """Whether all is read."""
        return self.position >= self.size

    @property
    def column(self) -> int:
        """Bytes since the line break."""
        return self.position - self.line_start

    def peek(self) -> bytes:
        """The byte here; 0x04 at the end."""
        return self.text[self.position : self.position + 1]

    def skip(self, pattern: re.Pattern[bytes]) -> bytes:
        """Move over what matches here, which must not hold a line break."""
        match = pattern.match(self.text, self.position, self.size)
        if match is None:
            return b""
        self.position = match.end()
        return match[0]

    def line_break(self) -> bool:
        """Move over a line break; False when there is none here."""
        match = _BREAK.match(self.text, self.position)
        if match is None:
            return False
        self.position = self.line_start = match.end()
        self.line += 1
        return True


@dataclass(slots=True)
class Token:
    """One token. `kind` is yaml-cpp's name for it, `position` where it starts, `more` parameters or a tag's kind."""

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
    """What may turn out to be a key once a colon follows."""

    position: int
    line: int
    level: int
    key: Token
    indent: _Indent | None = None
    start: Token | None = None

    def settle(self, state: int) -> None:
        self.key.state = state
        if self.indent is not None:
            self.indent.state = state
        if self.start is not None:
            self.start.state = state


@dataclass(slots=True)
class Scanner:
    """The tokens of `cursor`'s text, read only as far as they are asked for."""

    cursor: Cursor
    tokens: deque[Token] = field(default_factory=deque)
    indents: list[_Indent] = field(default_factory=list)
    maybe_keys: list[_MaybeKey] = field(default_factory=list)
    flows: list[bytes] = field(default_factory=list)
    started: bool = False
    ended: bool = False
    key_allowed: bool = False
    json_flow: bool = False
    count: int = 0

    # What the parser uses

    def peek(self) -> Token | None:
        """The next token, None at the end.

        Raises:
            YamlError: where yaml-cpp throws.
            TooMany: more tokens than any config has.
        """
        while True:
            if self.tokens:
                if self.tokens[0].state == _VALID:
                    return self.tokens[0]
                if self.tokens[0].state == _INVALID:
                    self.tokens.popleft()
                    continue
            if self.ended:
                # What nobody has decided on by now counts as a key.
                return self.tokens[0] if self.tokens else None
            self.scan()

    def pop(self) -> None:
        """Drop the next token."""
        if self.peek() is not None:
            self.tokens.popleft()

    @property
    def position(self) -> int:
        """How far the text has been read."""
        return self.cursor.position

    # Reading on

    def scan(self) -> None:
        cursor = self.cursor
        if not self.started:
            self.started = self.key_allowed = True
            self.indents.append(_Indent(-1, "none"))
            return
        self.to_next_token()
        self.pop_indents_to_here()
        if cursor.at_end:
            self.end()
            return
        self.token_reader()()

    def token_reader(self) -> Callable[[], None]:  # noqa: PLR0911, C901 - one branch an indicator, in yaml-cpp's order
        """The method for the token that starts here."""
        cursor = self.cursor
        text, position, first = cursor.text, cursor.position, cursor.peek()
        if cursor.column == 0:
            if first == b"%":
                return self.directive
            if _DOC_START.match(text, position) or _DOC_END.match(text, position):
                return self.document
        if first in b"[{":
            return self.flow_start
        if first in b"]}":
            return self.flow_end
        if first == b",":
            return self.flow_entry
        if first == b"-" and _ENTRY.match(text, position):
            return self.block_entry
        if first == b"?" and _KEY.match(text, position):
            return self.key
        if first == b":" and self.value_pattern().match(text, position):
            return self.value
        if first in b"*&":
            return self.anchor_or_alias
        if first == b"!":
            return self.tag
        if first in b"|>" and not self.flows:
            return self.block_scalar
        if first in b"'\"":
            return self.quoted
        if (_PLAIN_FLOW if self.flows else _PLAIN).match(text, position):
            return self.plain
        raise YamlError("no token can start with this character", position)

    def value_pattern(self) -> re.Pattern[bytes]:
        return _VALUE if not self.flows else _VALUE_JSON if self.json_flow else _VALUE_FLOW

    def to_next_token(self) -> None:
        cursor = self.cursor
        while True:
            if b"\t" in cursor.skip(_BLANKS) and not self.flows:
                self.key_allowed = False
            if cursor.peek() == b"#":
                cursor.skip(_TO_BREAK)
            if not cursor.line_break():
                return
            self.drop_maybe_key()
            if not self.flows:
                self.key_allowed = True

    def end(self) -> None:
        # As if a line ended here; nothing but the marks of tokens depends on it.
        self.pop_all_indents()
        self.maybe_keys.clear()
        self.key_allowed = False
        self.ended = True

    def push(self, kind: str, position: int, text: bytes = b"", more: tuple[bytes, ...] = ()) -> Token:
        self.count += 1
        if self.count > MOST_TOKENS:
            raise TooMany
        token = Token(kind, position, text, more)
        self.tokens.append(token)
        return token

    # Indentation

    def push_indent(self, column: int, kind: str) -> _Indent | None:
        if self.flows:
            return None
        last = self.indents[-1]
        if column < last.column or (column == last.column and not (kind == "seq" and last.kind == "map")):
            return None
        indent = _Indent(column, kind, start=self.push(f"block-{kind}-start", self.cursor.position))
        self.indents.append(indent)
        return indent

    def pop_indents_to_here(self) -> None:
        if self.flows:
            return
        column = self.cursor.column
        while self.indents:
            top = self.indents[-1]
            entry = _ENTRY.match(self.cursor.text, self.cursor.position)
            if top.column < column or (top.column == column and not (top.kind == "seq" and not entry)):
                break
            self.pop_indent()
        while self.indents and self.indents[-1].state == _INVALID:
            self.pop_indent()

    def pop_all_indents(self) -> None:
        if self.flows:
            return
        while self.indents and self.indents[-1].kind != "none":
            self.pop_indent()

    def pop_indent(self) -> None:
        indent = self.indents.pop()
        if indent.state != _VALID:
            self.drop_maybe_key()
        elif indent.kind != "none":
            self.push(f"block-{indent.kind}-end", self.cursor.position)

    @property
    def top_indent(self) -> int:
        return self.indents[-1].column if self.indents else 0

    # Keys that are none before their colon

    def maybe_key(self) -> None:
        """What starts here may be a key."""
        level = len(self.flows)
        if not self.key_allowed or (self.maybe_keys and self.maybe_keys[-1].level == level):
            return
        indent = self.push_indent(self.cursor.column, "map")
        start = None
        if indent is not None:
            indent.state = _UNVERIFIED
            start = indent.start
            if start is not None:
                start.state = _UNVERIFIED
        key = self.push("key", self.cursor.position)
        key.state = _UNVERIFIED
        self.maybe_keys.append(_MaybeKey(self.cursor.position, self.cursor.line, level, key, indent, start))

    def drop_maybe_key(self) -> None:
        """It was none."""
        if self.maybe_keys and self.maybe_keys[-1].level == len(self.flows):
            self.maybe_keys.pop().settle(_INVALID)

    def confirm_key(self) -> bool:
        """Whether what came last at this level is a key, now that its colon is here."""
        if not self.maybe_keys or self.maybe_keys[-1].level != len(self.flows):
            return False
        found = self.maybe_keys.pop()
        fits = found.line == self.cursor.line and self.cursor.position - found.position <= _LONGEST_KEY
        found.settle(_VALID if fits else _INVALID)
        return fits

    # One method a token

    def directive(self) -> None:
        cursor = self.cursor
        self.pop_all_indents()
        self.maybe_keys.clear()
        self.key_allowed = self.json_flow = False
        position = cursor.position
        cursor.position += 1
        name = cursor.skip(_NOT_BLANK)
        words: list[bytes] = []
        while True:
            cursor.skip(_BLANKS)
            if cursor.at_end or cursor.peek() == b"#" or _BREAK.match(cursor.text, cursor.position):
                break
            words.append(cursor.skip(_NOT_BLANK))
        self.push("directive", position, name, tuple(words))

    def document(self) -> None:
        self.pop_all_indents()
        self.maybe_keys.clear()
        self.key_allowed = self.json_flow = False
        kind = "doc-start" if self.cursor.peek() == b"-" else "doc-end"
        self.push(kind, self.cursor.position)
        self.cursor.position += 3

    def flow_start(self) -> None:
        self.maybe_key()
        self.key_allowed, self.json_flow = True, False
        bracket = self.cursor.peek()
        self.flows.append(bracket)
        self.push("flow-seq-start" if bracket == b"[" else "flow-map-start", self.cursor.position)
        self.cursor.position += 1

    def flow_end(self) -> None:
        cursor = self.cursor
        if not self.flows:
            raise YamlError("a closing bracket without an opening one", cursor.position)
        self.close_solo()
        self.key_allowed, self.json_flow = False, True
        bracket = cursor.peek()
        if (self.flows[-1] == b"[") != (bracket == b"]"):
            raise YamlError("the closing bracket does not match the opening one", cursor.position)
        self.flows.pop()
        self.push("flow-seq-end" if bracket == b"]" else "flow-map-end", cursor.position)
        cursor.position += 1

    def flow_entry(self) -> None:
        self.close_solo()
        self.key_allowed, self.json_flow = True, False
        self.push("flow-entry", self.cursor.position)
        self.cursor.position += 1

    def close_solo(self) -> None:
        """A lone text in {braces} is a key without a value."""
        if not self.flows:
            return
        if self.flows[-1] == b"[":
            self.drop_maybe_key()
        elif self.confirm_key():
            self.push("value", self.cursor.position)

    def block_entry(self) -> None:
        cursor = self.cursor
        if self.flows or not self.key_allowed:
            raise YamlError("a list entry cannot stand here", cursor.position)
        self.push_indent(cursor.column, "seq")
        self.key_allowed, self.json_flow = True, False
        self.push("block-entry", cursor.position)
        cursor.position += 1

    def key(self) -> None:
        cursor = self.cursor
        if not self.flows:
            if not self.key_allowed:
                raise YamlError("a key cannot stand here", cursor.position)
            self.push_indent(cursor.column, "map")
        self.key_allowed = not self.flows
        self.push("key", cursor.position)
        cursor.position += 1

    def value(self) -> None:
        cursor = self.cursor
        confirmed = self.confirm_key()
        self.json_flow = False
        if confirmed:
            self.key_allowed = False
        else:
            if not self.flows:
                if not self.key_allowed:
                    raise YamlError("a value cannot stand here (often a tab or wrong indentation)", cursor.position)
                self.push_indent(cursor.column, "map")
            self.key_allowed = not self.flows
        self.push("value", cursor.position)
        cursor.position += 1

    def anchor_or_alias(self) -> None:
        cursor = self.cursor
        self.maybe_key()
        self.key_allowed = self.json_flow = False
        position, alias = cursor.position, cursor.peek() == b"*"
        cursor.position += 1
        name = cursor.skip(_ANCHOR)
        if not name:
            raise YamlError("an anchor or alias has no name", cursor.position)
        if not cursor.at_end and _ANCHOR_END.match(cursor.text, cursor.position) is None:
            raise YamlError("this character cannot be in the name of an anchor or alias", cursor.position)
        self.push("alias" if alias else "anchor", position, name)

    def tag(self) -> None:
        cursor = self.cursor
        self.maybe_key()
        self.key_allowed = self.json_flow = False
        position = cursor.position
        cursor.position += 1
        if cursor.peek() == b"<":
            cursor.position += 1
            name = cursor.skip(_URI)
            if cursor.peek() != b">":
                raise YamlError("a tag in <brackets> is not closed", cursor.position)
            cursor.position += 1
            self.push("tag", position, name, (b"verbatim",))
            return
        handle = cursor.skip(_WORD)
        if cursor.peek() == b"!":
            cursor.position += 1
            suffix = cursor.skip(_TAG)
            if not suffix:
                raise YamlError("a tag has a handle and no name", cursor.position)
            self.push("tag", position, b"!" + handle + b"!", (b"named", suffix))
            return
        name = handle + cursor.skip(_TAG)
        if cursor.peek() == b"!" and not cursor.at_end:
            raise YamlError("this character cannot be in the handle of a tag", cursor.position)
        # A lone "!" is a tag of its own, except as the very last character.
        self.push("tag", position, name, (b"primary" if name else b"secondary" if cursor.at_end else b"none",))

    def plain(self) -> None:
        # Before what starts here is taken for a key, which may indent.
        indent = 0 if self.flows else self.top_indent + 1
        self.maybe_key()
        position = self.cursor.position
        found = read_scalar(self.cursor, FLOW_PLAIN if self.flows else PLAIN, indent=indent)
        self.key_allowed, self.json_flow = found.ended_by_indent, False
        self.push("plain", position, found.text)

    def quoted(self) -> None:
        self.maybe_key()
        position = self.cursor.position
        style = SINGLE if self.cursor.peek() == b"'" else DOUBLE
        self.cursor.position += 1
        found = read_scalar(self.cursor, style, indent=0, chomp="clip")
        self.key_allowed, self.json_flow = False, True
        self.push("text", position, found.text)

    def block_scalar(self) -> None:
        cursor = self.cursor
        position = cursor.position
        folded = cursor.peek() == b">"
        cursor.position += 1
        signs = cursor.skip(_CHOMP)
        chomp = "keep" if b"+" in signs else "strip" if b"-" in signs else "clip"
        digits = signs.strip(b"+-")
        if digits == b"0":
            raise YamlError("a block text cannot be indented by 0", cursor.position)
        cursor.skip(_BLANKS)
        if cursor.peek() == b"#":
            cursor.skip(_TO_BREAK)
        if not cursor.at_end and _BREAK.match(cursor.text, cursor.position) is None:
            raise YamlError("text stands in the line where a block text is announced", cursor.position)
        indent = (int(digits) if digits else 1) + max(self.top_indent, 0)
        found = read_scalar(
            cursor, BLOCK, indent=indent, fold="block" if folded else "keep", chomp=chomp, detect=not digits
        )
        self.key_allowed, self.json_flow = True, False
        self.push("text", position, found.text)
