"""Takes YAML apart into tokens as yaml-cpp 0.7 does, the library Gst-nvinfer reads its YAML configs with.

What it accepts is not quite YAML 1.2 (tabs, colons, colliding indentation, what may stand behind a document), and what
it refuses kills the process. Held against the real library with hundreds of thousands of random files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from convert.nvinfer.yaml_cursor import YamlError
from convert.nvinfer.yaml_layout import ENTRY, SEPARATOR, Layout, Token
from convert.nvinfer.yaml_scalar import BLOCK, DOUBLE, FLOW_PLAIN, PLAIN, SINGLE, read_scalar

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.nvinfer.yaml_cursor import Cursor

__all__ = ["Scanner", "Token"]

_BLANKS: Final = re.compile(rb"[ \t]*+")
_TO_BREAK: Final = re.compile(rb"(?:[^\r\n]|\r(?!\n))*+")
_BREAK: Final = re.compile(rb"\n|\r\n")
_NOT_BLANK: Final = re.compile(rb"(?:[^ \t\r\n]|\r(?!\n))*+")
_DOCUMENT: Final = re.compile(rb"(?:---|\.\.\.)" + SEPARATOR)
_KEY: Final = re.compile(rb"\?(?:[ \t\n]|\r\n)")
_VALUE: Final = re.compile(rb":" + SEPARATOR)
_VALUE_FLOW: Final = re.compile(rb":(?:[ \t\n,\]}]|\r\n)")
_VALUE_JSON: Final = re.compile(rb":")
_PLAIN_START: Final = re.compile(rb"(?!\r\n)(?![-?:]" + SEPARATOR + rb")[^ \t\n,\[\]{}#&*!|>'\"%@`]")
_PLAIN_START_FLOW: Final = re.compile(rb"(?!\r\n)(?![-:][ \t\x04])[^ \t\n?,\[\]{}#&*!|>'\"%@`]")
_ANCHOR: Final = re.compile(rb"(?:[^\[\]{}, \t\r\n]|\r(?!\n))*+")
_CHOMP: Final = re.compile(rb"[+-][0-9]|[0-9][+-]|[+-]|[0-9]|")
_URI: Final = re.compile(rb"(?:[-0-9A-Za-z#;/?:@&=+$,_.!~*'()\[\]]|%[0-9A-Fa-f]{2})*+")
_WORD: Final = re.compile(rb"[-0-9A-Za-z]*+")
_TAG: Final = re.compile(rb"(?:[-0-9A-Za-z#;/?:@&=+$_.~*'()]|%[0-9A-Fa-f]{2})*+")


class Scanner:
    """The tokens of a text, read only as far as they are asked for."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._layout = Layout(cursor)
        self._ended = False

    def peek(self) -> Token | None:
        """The next token, None at the end.

        Raises:
            YamlError: where yaml-cpp throws.
            TooMany: more tokens or lines than any config has.
        """
        tokens = self._layout.tokens
        while True:
            token = self._layout.front()
            if token is not None:
                return token
            if self._ended:
                # What nobody has decided on by now counts as a key.
                return tokens[0] if tokens else None
            self._scan()

    def pop(self) -> None:
        """Drop the next token."""
        if self.peek() is not None:
            self._layout.tokens.popleft()

    @property
    def position(self) -> int:
        """How far the text has been read."""
        return self._cursor.position

    def _scan(self) -> None:
        """Read one more token, or notice the end."""
        _to_next_token(self._layout)
        self._layout.pop_indents_to_here()
        if self._cursor.at_end:
            self._layout.close_blocks()
            self._ended = True
        else:
            _reader(self._layout)(self._layout)


def _to_next_token(layout: Layout) -> None:
    """Move over blanks, comments and line breaks. A tab forbids that a key follows, a line break allows it."""
    cursor = layout.cursor
    while True:
        if b"\t" in cursor.skip(_BLANKS) and not layout.flows:
            layout.key_allowed = False
        if cursor.peek() == b"#":
            cursor.skip(_TO_BREAK)
        if not cursor.line_break():
            return
        layout.drop_key()
        if not layout.flows:
            layout.key_allowed = True
        cursor.empty_lines()


def _reader(layout: Layout) -> Callable[[Layout], None]:  # noqa: PLR0911 - one answer a kind of token
    """The function for the token that starts here; the order of the questions is yaml-cpp's."""
    cursor = layout.cursor
    text, position, first = cursor.text, cursor.position, cursor.peek()
    if cursor.column == 0 and (first == b"%" or _DOCUMENT.match(text, position)):
        return _directive if first == b"%" else _document
    always = _BY_CHARACTER.get(first)
    if always is not None:
        return always
    if first == b"-" and ENTRY.match(text, position):
        return _block_entry
    if first == b"?" and _KEY.match(text, position):
        return _key
    value = _VALUE if not layout.flows else _VALUE_JSON if layout.json_flow else _VALUE_FLOW
    if value.match(text, position):
        return _value
    if first in b"|>" and not layout.flows:
        return _block_scalar
    if (_PLAIN_START_FLOW if layout.flows else _PLAIN_START).match(text, position):
        return _plain
    raise YamlError("no token can start with this character", position)


# One function a token.


def _directive(layout: Layout) -> None:
    cursor = layout.cursor
    layout.close_blocks()
    layout.json_flow = False
    position = cursor.position
    cursor.position += 1
    name = cursor.skip(_NOT_BLANK)
    words: list[bytes] = []
    while True:
        cursor.skip(_BLANKS)
        if cursor.at_end or cursor.peek() == b"#" or _BREAK.match(cursor.text, cursor.position):
            break
        words.append(cursor.skip(_NOT_BLANK))
    layout.push("directive", position, name, tuple(words))


def _document(layout: Layout) -> None:
    layout.close_blocks()
    layout.json_flow = False
    layout.push("doc-start" if layout.cursor.peek() == b"-" else "doc-end", layout.cursor.position)
    layout.cursor.position += 3


def _flow_start(layout: Layout) -> None:
    layout.maybe_key()
    layout.key_allowed, layout.json_flow = True, False
    bracket = layout.cursor.peek()
    layout.flows.append(bracket)
    layout.push("flow-seq-start" if bracket == b"[" else "flow-map-start", layout.cursor.position)
    layout.cursor.position += 1


def _flow_end(layout: Layout) -> None:
    cursor = layout.cursor
    if not layout.flows:
        raise YamlError("a closing bracket without an opening one", cursor.position)
    _close_solo(layout)
    layout.key_allowed, layout.json_flow = False, True
    bracket = cursor.peek()
    if (layout.flows[-1] == b"[") != (bracket == b"]"):
        raise YamlError("the closing bracket does not match the opening one", cursor.position)
    layout.flows.pop()
    layout.push("flow-seq-end" if bracket == b"]" else "flow-map-end", cursor.position)
    cursor.position += 1


def _flow_entry(layout: Layout) -> None:
    _close_solo(layout)
    layout.key_allowed, layout.json_flow = True, False
    layout.push("flow-entry", layout.cursor.position)
    layout.cursor.position += 1


def _close_solo(layout: Layout) -> None:
    """A lone text in {braces} is a key without a value."""
    if not layout.flows:
        return
    if layout.flows[-1] == b"[":
        layout.drop_key()
    elif layout.confirm_key():
        layout.push("value", layout.cursor.position)


def _block_entry(layout: Layout) -> None:
    cursor = layout.cursor
    if layout.flows or not layout.key_allowed:
        raise YamlError("a list entry cannot stand here", cursor.position)
    layout.push_indent(cursor.column, "seq")
    layout.key_allowed, layout.json_flow = True, False
    layout.push("block-entry", cursor.position)
    cursor.position += 1


def _key(layout: Layout) -> None:
    cursor = layout.cursor
    if not layout.flows:
        if not layout.key_allowed:
            raise YamlError("a key cannot stand here", cursor.position)
        layout.push_indent(cursor.column, "map")
    layout.key_allowed = not layout.flows
    layout.push("key", cursor.position)
    cursor.position += 1


def _value(layout: Layout) -> None:
    cursor = layout.cursor
    confirmed = layout.confirm_key()
    layout.json_flow = False
    if not (confirmed or layout.flows):
        if not layout.key_allowed:
            raise YamlError("a value cannot stand here (often a tab or wrong indentation)", cursor.position)
        layout.push_indent(cursor.column, "map")
    layout.key_allowed = not (confirmed or layout.flows)
    layout.push("value", cursor.position)
    cursor.position += 1


def _anchor_or_alias(layout: Layout) -> None:
    cursor = layout.cursor
    layout.maybe_key()
    layout.key_allowed = layout.json_flow = False
    position, alias = cursor.position, cursor.peek() == b"*"
    cursor.position += 1
    name = cursor.skip(_ANCHOR)
    if not name:
        raise YamlError("an anchor or alias has no name", cursor.position)
    if cursor.peek() in b"[{":
        raise YamlError("this character cannot be in the name of an anchor or alias", cursor.position)
    layout.push("alias" if alias else "anchor", position, name)


def _tag(layout: Layout) -> None:
    cursor = layout.cursor
    layout.maybe_key()
    layout.key_allowed = layout.json_flow = False
    position = cursor.position
    cursor.position += 1
    if cursor.peek() == b"<":
        cursor.position += 1
        name = cursor.skip(_URI)
        if cursor.peek() != b">":
            raise YamlError("a tag in <brackets> is not closed", cursor.position)
        cursor.position += 1
        layout.push("tag", position, name, (b"verbatim",))
        return
    handle = cursor.skip(_WORD)
    if cursor.peek() == b"!":
        cursor.position += 1
        suffix = cursor.skip(_TAG)
        if not suffix:
            raise YamlError("a tag has a handle and no name", cursor.position)
        layout.push("tag", position, b"!" + handle + b"!", (b"named", suffix))
        return
    name = handle + cursor.skip(_TAG)
    if cursor.peek() == b"!":
        raise YamlError("this character cannot be in the handle of a tag", cursor.position)
    # A lone "!" is a tag of its own, except as the very last character.
    layout.push("tag", position, name, (b"primary" if name else b"secondary" if cursor.at_end else b"none",))


def _plain(layout: Layout) -> None:
    # Before what starts here is taken for a key, which may indent.
    indent = 0 if layout.flows else layout.top_indent + 1
    layout.maybe_key()
    position = layout.cursor.position
    found = read_scalar(layout.cursor, FLOW_PLAIN if layout.flows else PLAIN, indent=indent)
    layout.key_allowed, layout.json_flow = found.ended_by_indent, False
    layout.push("plain", position, found.text)


def _quoted(layout: Layout) -> None:
    layout.maybe_key()
    position = layout.cursor.position
    style = SINGLE if layout.cursor.peek() == b"'" else DOUBLE
    layout.cursor.position += 1
    found = read_scalar(layout.cursor, style, indent=0, chomp="clip")
    layout.key_allowed, layout.json_flow = False, True
    layout.push("text", position, found.text)


def _block_scalar(layout: Layout) -> None:
    cursor = layout.cursor
    position = cursor.position
    fold = "block" if cursor.peek() == b">" else "keep"
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
    indent = (int(digits) if digits else 1) + max(layout.top_indent, 0)
    found = read_scalar(cursor, BLOCK, indent=indent, fold=fold, chomp=chomp, detect=not digits)
    layout.key_allowed, layout.json_flow = True, False
    layout.push("text", position, found.text)


# Characters that start the same token wherever one can start.
_BY_CHARACTER: Final = {
    **dict.fromkeys((b"[", b"{"), _flow_start),
    **dict.fromkeys((b"]", b"}"), _flow_end),
    b",": _flow_entry,
    **dict.fromkeys((b"*", b"&"), _anchor_or_alias),
    b"!": _tag,
    **dict.fromkeys((b"'", b'"'), _quoted),
}
