"""How yaml-cpp 0.7 reads the text of one YAML scalar: plain, quoted, or a block.

Every style goes through the same three steps a line (text, line break, indentation of the next line) with different
settings; that is where its differences from the YAML specification come from, so the steps are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from convert.nvinfer.yaml_cursor import YamlError

if TYPE_CHECKING:
    from convert.nvinfer.yaml_cursor import Cursor

__all__ = ["BLOCK", "DOUBLE", "FLOW_PLAIN", "PLAIN", "SINGLE", "Style", "read_scalar"]


@dataclass(frozen=True, slots=True)
class Style:
    """What makes one kind of scalar differ from the others.

    Attributes:
        stop: where the text of a line ends: what ends the scalar, a line break, an escape.
        end: what ends the scalar, at the place `stop` found.
        quoted: the end must come, and belongs to the scalar.
        escape: the character that starts an escape. Where there should be none, yaml-cpp takes NUL for one.
        indicator: what "---" or "..." in the first column do: "end" the scalar, "refuse", or nothing.
        tab: whether a tab where indentation is due is refused.
    """

    stop: re.Pattern[bytes]
    end: re.Pattern[bytes]
    quoted: bool = False
    escape: bytes = b"\0"
    indicator: str = "end"
    tab: bool = True


# A separator: blank, line break, or the end of the file (which is the character 0x04 to yaml-cpp).
_SEPARATOR: Final = rb"(?:[ \t\n\x04]|\r\n)"
_COMMENT: Final = rb"(?:[ \t\n]|\r\n)#"
_BREAK: Final = rb"\n|\r\n"
_PLAIN_END: Final = rb":(?=" + _SEPARATOR + rb")|" + _COMMENT
_FLOW_END: Final = rb":(?=" + _SEPARATOR + rb"|[,\]}])|[,?\[\]{}]|" + _COMMENT

PLAIN: Final = Style(re.compile(_PLAIN_END + rb"|\x00|" + _BREAK), re.compile(_PLAIN_END))
FLOW_PLAIN: Final = Style(re.compile(_FLOW_END + rb"|\x00|" + _BREAK), re.compile(_FLOW_END))
SINGLE: Final = Style(
    re.compile(rb"'|" + _BREAK), re.compile(rb"'(?!')"), quoted=True, escape=b"'", indicator="refuse", tab=False
)
DOUBLE: Final = Style(
    re.compile(rb'["\\]|' + _BREAK), re.compile(rb'"'), quoted=True, escape=b"\\", indicator="refuse", tab=False
)
BLOCK: Final = Style(re.compile(_BREAK + rb"|[\x00\x04]"), re.compile(rb"\x04"), indicator="")

_LINE_BREAK: Final = re.compile(_BREAK)
_DOCUMENT: Final = re.compile(rb"(?:---|\.\.\.)" + _SEPARATOR)

_ESCAPES: Final = {
    b"0": b"\0",
    b"a": b"\a",
    b"b": b"\b",
    b"t": b"\t",
    b"\t": b"\t",
    b"n": b"\n",
    b"v": b"\v",
    b"f": b"\f",
    b"r": b"\r",
    b"e": b"\x1b",
    b" ": b" ",
    b'"': b'"',
    b"'": b"'",
    b"\\": b"\\",
    b"/": b"/",
    # yaml-cpp writes the next two as single bytes, which is not UTF-8.
    b"N": b"\x85",
    b"_": b"\xa0",
    b"L": b"\xe2\x80\xa8",
    b"P": b"\xe2\x80\xa9",
}
_CODES: Final = {b"x": 2, b"u": 4, b"U": 8}


class Scalar(NamedTuple):
    """The text, and whether the scalar ended because the next line is indented less."""

    text: bytes
    ended_by_indent: bool


@dataclass(slots=True)
class _Text:
    """The scalar so far. `escaped`: the length right behind the last escape, -1 for none; trimming stops there."""

    text: bytearray
    escaped: int = -1

    def last_not_of(self, characters: bytes) -> int:
        """The index of the last character that is none of these, not before an escape; -1 when there is none."""
        return max(len(self.text.rstrip(characters)) - 1, self.escaped)


def read_scalar(
    cursor: Cursor, style: Style, *, indent: int, fold: str = "flow", chomp: str = "strip", detect: bool = False
) -> Scalar:
    """Read the scalar at the cursor and move behind it.

    Args:
        cursor: at the first character of the text (behind an opening quote or a block's first line).
        style: one of those above.
        indent: columns a following line must have.
        fold: what a line break becomes: "flow" and "block" fold it, "keep" does not.
        chomp: the line breaks at the end: "strip", "clip" to one, "keep".
        detect: the first line with text sets the indentation.

    Raises:
        YamlError: where yaml-cpp throws.
        TooMany: a text of more lines or escapes than any config has.
    """
    return _Reader(cursor, style, indent, fold, detect).read(chomp)


class _Reader:
    def __init__(self, cursor: Cursor, style: Style, indent: int, fold: str, detect: bool) -> None:  # noqa: FBT001
        self.cursor = cursor
        self.style = style
        self.indent = indent
        self.fold = fold
        self.detect = detect
        self.out = _Text(bytearray())
        self.found_text = False  # a line with something in it
        self.past_opening = fold == "flow"  # a block's first line break is none of its text
        self.empty_line = self.more_indented = False
        self.pending_breaks = 0
        self.breaks_began_indented = False

    def read(self, chomp: str) -> Scalar:
        by_indent = False
        while not self.cursor.at_end:
            self.cursor.step()
            keep, escaped_break, done = self.line()
            if done:
                break
            if self.fold == "flow":
                del self.out.text[keep:]
            self.cursor.line_break()
            self.indentation()
            self.join(escaped_break=escaped_break)
            if not self.empty_line and self.cursor.column < self.indent:
                by_indent = True
                break
        self.trim(chomp)
        return Scalar(bytes(self.out.text), by_indent)

    # The text of a line

    def line(self) -> tuple[int, bool, bool]:
        """Read to the end of the line: the length without trailing blanks, a break that is escaped, and whether the
        scalar is over."""
        cursor, style, out = self.cursor, self.style, self.out
        keep = len(out.text)
        escaped_break = False
        while True:
            if style.indicator and cursor.column == 0 and _DOCUMENT.match(cursor.text, cursor.position):
                if style.end.match(cursor.text, cursor.position) is None and style.indicator == "refuse":
                    raise YamlError("a document indicator stands inside a quoted text", cursor.position)
                return keep, False, True
            stop = style.stop.search(cursor.text, cursor.position)
            position = min(stop.start() if stop else cursor.size, cursor.size)
            if position > cursor.position:
                chunk = cursor.text[cursor.position : position]
                solid = len(chunk.rstrip(b" \t"))
                if solid:
                    keep = len(out.text) + solid
                out.text += chunk
                self.found_text = self.past_opening = True
                cursor.position = position
            if cursor.at_end:
                if style.quoted:
                    raise YamlError("the file ends inside a quoted text", position)
                return keep, False, True
            if end := style.end.match(cursor.text, position):
                if style.quoted:
                    cursor.position = end.end()
                return keep, False, True
            if not cursor.text.startswith(style.escape, position):
                return keep, escaped_break, False
            self.found_text = self.past_opening = True
            if style.escape == b"\\" and _LINE_BREAK.match(cursor.text, position + 1):
                cursor.position += 1
                out.escaped = len(out.text)
                return len(out.text), True, False
            out.text += self.escape()
            keep = out.escaped = len(out.text)

    def escape(self) -> bytes:
        cursor = self.cursor
        cursor.step()
        start = cursor.position
        letter = cursor.text[start + 1 : start + 2]
        if self.style.escape == b"'":
            cursor.position += 2
            return b"'"
        if letter in _ESCAPES:
            cursor.position += 2
            return _ESCAPES[letter]
        if letter not in _CODES:
            raise YamlError("there is no such escape sequence", start)
        digits = cursor.text[start + 2 : start + 2 + _CODES[letter]]
        if re.fullmatch(rb"[0-9a-fA-F]{%d}" % _CODES[letter], digits) is None:
            raise YamlError("an escape sequence lacks hexadecimal digits", start)
        code = int(digits, 16)
        if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
            raise YamlError("an escape sequence is no Unicode character", start)
        cursor.position += 2 + len(digits)
        return chr(code).encode("utf-8")

    # What lies between two lines

    def indentation(self) -> None:
        """Move over the blanks that open the next line."""
        cursor, style = self.cursor, self.style
        while (
            cursor.peek() == b" "
            and (cursor.column < self.indent or (self.detect and not self.found_text))
            and style.end.match(cursor.text, cursor.position) is None
        ):
            cursor.position += 1
        if self.detect and not self.found_text:
            self.indent = max(self.indent, cursor.column)
        while cursor.peek() in {b" ", b"\t"}:
            if cursor.peek() == b"\t" and cursor.column < self.indent and style.tab:
                raise YamlError("a tab stands where spaces must indent", cursor.position)
            if style is BLOCK or style.end.match(cursor.text, cursor.position):
                break
            cursor.position += 1

    def join(self, *, escaped_break: bool) -> None:
        """Add what the line break becomes."""
        cursor, text = self.cursor, self.out.text
        next_empty = _LINE_BREAK.match(cursor.text, cursor.position) is not None
        next_more = cursor.peek() in {b" ", b"\t"}
        if self.fold == "block" and self.pending_breaks == 0 and next_empty:
            self.breaks_began_indented = self.more_indented
        if self.past_opening:
            if self.fold == "keep":
                text += b"\n"
            elif self.fold == "flow":
                text += b"\n" if next_empty else b"" if self.empty_line or escaped_break else b" "
            else:
                self.fold_block(next_empty=next_empty, next_more=next_more)
        self.empty_line, self.more_indented, self.past_opening = next_empty, next_more, True

    def fold_block(self, *, next_empty: bool, next_more: bool) -> None:
        text = self.out.text
        inside = self.cursor.column >= self.indent
        if not (self.empty_line or next_empty or self.more_indented or next_more) and inside:
            text += b" "
        elif next_empty:
            self.pending_breaks += 1
        else:
            text += b"\n"
        if not next_empty and self.pending_breaks:
            text += b"\n" * (self.pending_breaks - 1)
            if self.breaks_began_indented or next_more or not self.found_text:
                text += b"\n"
            self.pending_breaks = 0

    # The end

    def trim(self, chomp: str) -> None:
        text = self.out.text
        if not self.style.quoted and self.style is not BLOCK:
            last = self.out.last_not_of(b" \t")
            if last >= 0:
                del text[last + 1 :]
        if chomp == "keep":
            return
        last = self.out.last_not_of(b"\n")
        if last < 0:
            text.clear()
        else:
            del text[last + (2 if chomp == "clip" else 1) :]
