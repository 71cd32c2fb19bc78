"""Reads the first document of a YAML file as yaml-cpp does, the library behind Gst-nvinfer's YAML configs.

Which one that is depends on the release's Ubuntu: 0.6 (20.04), 0.7 (22.04), 0.8 (24.04); see `yaml_cpp`. For 0.6, tabs
behind a text are part of it, and a tag does not make a text of `null`. For 0.8 a lone carriage return ends a line, but
the columns are counted on.

Based on PyYAML's scanner and parser, whose design yaml-cpp follows. The overrides below are the rules of yaml-cpp that
differ: tabs, line breaks, an unclosed quote at the end of the file, a text in the column of the keys, anchors, tags,
empty nodes, and the one token behind the document that yaml-cpp reads. A map has repeated keys more than once. Not
followed, as no config has it: directives other than `%YAML 1.x` and `%TAG`, a map in the column of a list at the top,
NUL characters, tabs before the text of a block, several line breaks at the end of a quoted text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from yaml import error, events, parser, reader, scanner, tokens

from convert.nvinfer import keys, numbers

MOST_BYTES: Final = 2**20
"""A longer YAML file is not read: PyYAML needs about a second for 200 kB."""
MOST_TOKENS: Final = 200_000
"""A file with more tokens is not read: a thousand groups of ten keys have 40,000."""

# yaml-cpp's DepthGuard<500>.
_DEEPEST: Final = 500
_LONGEST_KEY: Final = 1024
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_EXACT_TAGS: Final = (0, 7)  # the first yaml-cpp that drops tabs behind a text, and to which `!!str null` is a text
_CARRIAGE_RETURN: Final = (0, 8)  # the first one to which it ends a line
# What such a carriage return becomes: a line break to PyYAML that no file has then.
_BREAK: Final = "\x85"

# How a file starts, and the encoding that means to yaml-cpp; what the group matches is a byte order mark.
_ENCODING: Final = re.compile(
    rb"(?P<utf_32_be>\0\0\xfe\xff|(?=\0\0\0))"
    rb"|(?P<utf_32_le>\xff\xfe\0\0|(?=[^\0\xbb\xbf\xef\xfe\xff]\0\0\0))"
    rb"|(?P<utf_16_le>\xff\xfe|(?=[^\0\xbb\xbf\xef\xfe\xff]\0))"
    rb"|(?P<utf_16_be>\xfe\xff|(?=\0[^\0\xbb\xbf\xef\xfe\xff]))"
    rb"|(?P<utf_8>\xef\xbb\xbf|)",
    re.DOTALL,
)
# Characters PyYAML takes for a line break, the end, or a mark, and yaml-cpp for text, and the lone surrogates they are
# replaced by while PyYAML reads. Bytes that are no UTF-8 are U+DC80 to U+DCFF (surrogateescape).
_ORDINARY: Final = {0x00: 0xDC00, 0x0D: 0xDC0D, 0x85: 0xDB85, 0x2028: 0xDB28, 0x2029: 0xDB29, 0xFEFF: 0xDBFF}
_RESTORED: Final = {surrogate: character for character, surrogate in _ORDINARY.items()}

_BLANKS: Final = re.compile(r"[ \t]*")
_ANCHOR: Final = re.compile(r"[&*][^\[\]{}, \t\n\0]*")
_TAG: Final = re.compile(r"!(?:<[^>\s\0]*>|[-0-9A-Za-z]*![-\w#;/?:@&=+$.~*'()%]+|[-\w#;/?:@&=+$.~*'()%]*)", re.ASCII)
_BLANKS_AND_COMMENT: Final = re.compile(r"([ \t]*)(?:#[^\n\x85\0]*)?")
_QUOTED: Final = {'"': re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL), "'": re.compile(r"'[^']*(?:''[^']*)*'(?!')")}
_UNCLOSED: Final = re.compile(r"['\"](?:[^\0]*[\n\x85][ \t]*)?\0")

# Messages for PyYAML's problem or, if it is not listed, for its context.
_MESSAGES: Final = {
    "mapping values are not allowed here": "a value cannot stand here (often a tab or wrong indentation)",
    "found unexpected end of stream": "the file ends inside a quoted text",
    "while parsing a block mapping": "the map ends in an unexpected way (often wrong indentation)",
    "while parsing a block collection": "the list ends in an unexpected way",
    "while parsing a flow sequence": "the [list] is not closed, or lacks a comma",
    "while parsing a flow mapping": "the {map} is not closed, or lacks a comma",
}


class YamlError(Exception):
    """yaml-cpp throws here. `line` and `column` are 1-based, columns count characters."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


@dataclass(slots=True, eq=False)
class Node:
    """A value. `kind` is "null", "scalar", "seq" or "map"; `line` and `column` are 1-based.

    `text` is the scalar's, `children` the list's elements, or the map's keys and values in turn.
    """

    kind: str
    line: int
    column: int
    text: bytes = b""
    children: list[Node] = field(default_factory=list)

    @property
    def items(self) -> list[tuple[Node, Node]]:
        """The map's keys and values; none of anything else."""
        return list(zip(self.children[::2], self.children[1::2], strict=True)) if self.kind == "map" else []


def yaml_cpp(release: str) -> tuple[int, int]:
    """The yaml-cpp of the Ubuntu that DeepStream `release` (6.1 and later read YAML) was made for."""
    found = keys.version(release)
    return (0, 6) if found < (6, 4) else (0, 7) if found < (8, 0) else (0, 8)


def load(data: bytes, library: tuple[int, int] = (0, 7)) -> Node | None:
    """What `YAML::LoadFile` of the yaml-cpp `library` makes of these bytes; None where there is no document.

    Raises:
        YamlError: where yaml-cpp throws.
        TooMany: more bytes or tokens than any config has.
    """
    if len(data) > MOST_BYTES:
        raise numbers.TooMany(f"the file has {len(data):,} bytes; as YAML it cannot have more than {MOST_BYTES:,}")
    source = _Parser(_decode(data, library), library)
    try:
        return _document(source)
    except error.MarkedYAMLError as wrong:
        message = _MESSAGES.get(wrong.problem) or _MESSAGES.get(wrong.context) or wrong.problem
        raise YamlError(message, *_place(wrong.problem_mark)) from None
    except (ValueError, OverflowError):
        # chr() of a number beyond Unicode, or a lone half of a pair.
        message = "an escape sequence is no Unicode character"
        raise YamlError(message, *_place(source.get_mark())) from None


def _decode(data: bytes, library: tuple[int, int]) -> str:
    start = _ENCODING.match(data)
    assert start is not None
    encoding = str(start.lastgroup)
    body = data[start.end() :]
    if encoding == "utf_8":
        text = body.decode(errors="surrogateescape")
    else:
        size = 4 if "32" in encoding else 2
        text = body[: len(body) // size * size].decode(encoding, "replace")
    ordinary = {**_ORDINARY, 0x0D: ord(_BREAK)} if library >= _CARRIAGE_RETURN else _ORDINARY
    return text.replace("\r\n", "\n").translate(ordinary)


def _document(source: _Parser) -> Node | None:
    source.get_event()  # the start of the stream
    root = None
    if not source.check_token(tokens.StreamEndToken, tokens.DocumentEndToken):
        source.get_event()  # the start of the document
        root = _root(source)
    # yaml-cpp reads one token more than the document has.
    while source.check_token(tokens.DocumentEndToken):
        source.get_token()
    return root


def _root(source: _Parser) -> Node:
    above = Node("seq", 1, 1)
    anchors: dict[str, Node] = {}
    path = [above]
    while not isinstance(event := source.get_event(), events.DocumentEndEvent):
        if isinstance(event, events.CollectionEndEvent):
            path.pop()
            continue
        if isinstance(event, events.AliasEvent):
            if event.anchor not in anchors:
                raise parser.ParserError(None, None, "there is no such anchor", event.start_mark)
            path[-1].children.append(anchors[event.anchor])
            continue
        if len(path) >= _DEEPEST:
            raise parser.ParserError(None, None, "the nesting is too deep", event.start_mark)
        node = _node(event, source.library)
        path[-1].children.append(node)
        if event.anchor is not None:
            anchors[event.anchor] = node
        if node.kind in {"seq", "map"}:
            path.append(node)
    return above.children[0]


def _place(mark: Any) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def _node(event: Any, library: tuple[int, int]) -> Node:
    place = _place(event.start_mark)
    if isinstance(event, events.SequenceStartEvent):
        return Node("seq", *place)
    if isinstance(event, events.MappingStartEvent):
        return Node("map", *place)
    untagged = event.tag is None or (library < _EXACT_TAGS and event.value)
    if event.style is None and untagged and event.value in _NULLS:
        return Node("null", *place)
    return Node("scalar", *place, event.value.translate(_RESTORED).encode(errors="surrogateescape"))


class _Parser(reader.Reader, scanner.Scanner, parser.Parser):  # type: ignore[misc] # PyYAML has no types
    buffer: str
    line: int
    column: int
    # yaml-cpp writes \N and \_ as single bytes, which is not UTF-8.
    ESCAPE_REPLACEMENTS: Final = {**scanner.Scanner.ESCAPE_REPLACEMENTS, "'": "'", "N": "\udc85", "_": "\udca0"}

    def __init__(self, text: str, library: tuple[int, int]) -> None:
        self.library = library
        self.fetched = 0
        self.has_returns = _BREAK in text
        reader.Reader.__init__(self, text)
        scanner.Scanner.__init__(self)
        parser.Parser.__init__(self)

    def forward(self, length: int = 1) -> None:
        """As PyYAML's, but lines and columns are counted on over a lone carriage return."""
        if not self.has_returns:
            super().forward(length)
            return
        for _ in range(length):
            line, column = self.line, self.column
            is_return = self.buffer[self.pointer] == _BREAK
            super().forward()
            if is_return:
                self.line, self.column = line, column + 1

    def check_printable(self, data: str) -> None:
        """yaml-cpp reads any character."""

    def fetch_more_tokens(self) -> None:
        self.fetched += 1
        if self.fetched > MOST_TOKENS:
            raise numbers.TooMany(f"the file has more than {MOST_TOKENS:,} YAML tokens")
        if self.flow_level >= _DEEPEST:
            raise scanner.ScannerError(None, None, "the nesting is too deep", self.get_mark())
        super().fetch_more_tokens()
        key = self.possible_simple_keys.get(0)
        if key and not self.flow_level:
            # It may be a key until the next line break behind it, however long it is.
            key.line, key.index = self.line, self.index

    def scan_to_next_token(self) -> None:
        """Blanks may be tabs, but behind one no key can start."""
        while True:
            match = _BLANKS_AND_COMMENT.match(self.buffer, self.pointer)
            assert match is not None
            if "\t" in match[1] and not self.flow_level:
                self.allow_simple_key = False
            length = match.end() - self.pointer
            self.pointer += length
            self.index += length
            self.column += length
            is_return = self.peek() == _BREAK
            if not self.scan_line_break():
                return
            if is_return:
                self.possible_simple_keys.pop(self.flow_level, None)
            if not self.flow_level:
                self.allow_simple_key = True

    def scan_line_break(self) -> str:
        if self.peek() not in {"\n", _BREAK}:
            return ""
        self.forward()
        return "\n"

    def check_key(self) -> bool:
        return self.peek(1) in {" ", "\t", "\n", _BREAK}

    def scan_plain(self) -> Any:
        """Tabs in front of what ends a text, unless that is the end of the line, belong to it for an old yaml-cpp."""
        token = super().scan_plain()
        if self.library < _EXACT_TAGS:
            behind = self.buffer[self.pointer - (self.index - token.end_mark.index) : self.pointer]
            if self.peek() == "#":
                behind = behind[:-1]  # a blank, or the end of the line before
            if not behind.strip(" \t"):
                token.value += behind.rstrip(" ")
        return token

    def save_possible_simple_key(self) -> None:
        """A text in the column of the keys need not be a key; while it may be one, nothing behind it may."""
        if hasattr(self.possible_simple_keys.get(self.flow_level), "in_column"):
            return
        super().save_possible_simple_key()
        key = self.possible_simple_keys.get(self.flow_level)
        if key and key.required:
            key.required, key.in_column = False, True

    def fetch_plain(self) -> None:
        """No key can start behind a text, unless the text ended because the next line is indented less."""
        super().fetch_plain()
        if self.peek() == "#" and self.allow_simple_key and self.buffer[self.pointer - 1] not in " \t":
            # A comment at the start of the next line: the text is no key.
            self.possible_simple_keys.pop(self.flow_level, None)
        if self.flow_level or self.column > self.indent:
            self.allow_simple_key = False

    def fetch_value(self) -> None:
        """A key is in one line."""
        key = self.possible_simple_keys.get(self.flow_level)
        if key and (key.mark.line != self.line or self.index - key.mark.index > _LONGEST_KEY):
            del self.possible_simple_keys[self.flow_level]
        super().fetch_value()

    def unwind_indent(self, column: int) -> None:
        """What may be a key where the document ends is one, if it is in the column of the keys."""
        key = self.possible_simple_keys.get(0)
        if column < 0 and key and hasattr(key, "in_column"):
            self.tokens.insert(key.token_number - self.tokens_taken, tokens.KeyToken(key.mark, key.mark))
            del self.possible_simple_keys[0]
        super().unwind_indent(column)

    def scan_plain_spaces(self, indent: int, start_mark: Any) -> list[str] | None:  # noqa: ARG002 - PyYAML's method
        """As PyYAML's, but tabs are blanks, except where spaces must indent."""
        blanks = self._take(_BLANKS)
        if not self.scan_line_break():
            return [blanks] if blanks else []
        self.allow_simple_key = True
        breaks: list[str] = []
        while not (self.check_document_start() or self.check_document_end()):
            column = self.column  # not 0 behind a carriage return
            if "\t" in self._take(_BLANKS)[: max(indent - column, 0)] and not self.flow_level:
                raise scanner.ScannerError(None, None, "a tab stands where spaces must indent", self.get_mark())
            if not self.scan_line_break():
                return breaks or [" "]
            breaks.append("\n")
        return None

    def scan_anchor(self, kind: Any) -> Any:
        """A name has any characters but blanks, commas and brackets."""
        start = self.get_mark()
        name = self._take(_ANCHOR)[1:]
        if not name or self.peek() in {"[", "{"}:
            raise scanner.ScannerError(None, None, "an anchor or alias has no name, or a bracket in it", start)
        return kind(name, start, self.get_mark())

    def scan_tag(self) -> Any:
        """Handles need not be declared, and nothing is made of a tag."""
        start = self.get_mark()
        tag = self._take(_TAG)
        if not tag or self.peek() == "!":
            raise scanner.ScannerError(None, None, "a tag is not complete", start)
        return tokens.TagToken((None, tag), start, self.get_mark())

    def _take(self, pattern: re.Pattern[str]) -> str:
        """Consume what matches here."""
        match = pattern.match(self.buffer, self.pointer)
        text = match[0] if match else ""
        self.forward(len(text))
        return text

    def scan_flow_scalar(self, style: str) -> Any:
        """A quote that is still open when the file ends is closed there, if its last line is empty."""
        place = self.buffer, self.pointer
        if _QUOTED[style].match(*place) is None and _UNCLOSED.match(*place):
            self.buffer = self.buffer[:-1] + style + "\0"
        return super().scan_flow_scalar(style)

    def fetch_directive(self) -> None:
        """PyYAML takes the end of the line with it, behind which a key can start."""
        super().fetch_directive()
        self.allow_simple_key = True

    def process_directives(self) -> Any:
        """A document needs no `---` behind its directives."""
        found = super().process_directives()
        if not self.check_token(tokens.DocumentStartToken):
            mark = self.peek_token().start_mark
            self.tokens.insert(0, tokens.DocumentStartToken(mark, mark))
            self.tokens_taken -= 1  # the numbers of the tokens behind it stay
        return found

    def fetch_flow_collection_end(self, token: Any) -> None:
        if not self.flow_level:
            raise scanner.ScannerError(None, None, "a closing bracket without an opening one", self.get_mark())
        super().fetch_flow_collection_end(token)

    def parse_flow_node(self) -> Any:
        """Nothing in front of a comma is null."""
        if not self.check_token(tokens.FlowEntryToken):
            return super().parse_flow_node()
        self.state = self.states.pop()
        return self.process_empty_scalar(self.peek_token().start_mark)

    def parse_block_mapping_key(self) -> Any:
        """A value without a key has the key null."""
        if not self.check_token(tokens.ValueToken):
            return super().parse_block_mapping_key()
        self.state = self.parse_block_mapping_value
        return self.process_empty_scalar(self.peek_token().start_mark)
