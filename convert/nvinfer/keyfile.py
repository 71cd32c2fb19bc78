"""Reads an INI file exactly as GLib's GKeyFile does, with the line and column of each key and value.

Gst-nvinfer loads its configs with `g_key_file_load_from_file(..., G_KEY_FILE_NONE)` and asks for values with
`g_key_file_get_string`, `_integer`, `_double`, `_boolean` and their lists. What these accept (an integer with words
behind it, a decimal never with a blank behind it, no inline comments, a locale in brackets, ...) is GLib 2.74's
behaviour; `tests/nvinfer/test_keyfile_glib.py` compares this reader with the real library.

Texts are bytes: GKeyFile compares bytes, and checks UTF-8 only when a string is read.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Final, NamedTuple, NoReturn

from convert.nvinfer.keys import as_text
from convert.nvinfer.numbers import INT_MAX, INT_MIN, TooMany, strtod, strtol

# g_ascii_isspace: without the vertical tab, which C's isspace counts in.
BLANK: Final = b" \t\n\f\r"
# More keys, elements of a list, or escapes than this are no config, and would take hundreds of megabytes to hold.
MOST_PAIRS: Final = 1_000_000

# The start of the next line that is neither blank nor a comment: a huge file of comments is one step.
_NEXT_LINE = re.compile(rb"^[ \t\r\f]*[^ \t\r\f\n#]", re.MULTILINE)
# g_key_file_line_is_group steps in UTF-8 characters, so stray continuation bytes behind the bracket are skipped.
_GROUP_LINE = re.compile(rb"\[[^\]]*\][\x80-\xbf]*(?:[ \t][\x80-\xbf]*)*\Z")
_GROUP_NAME = re.compile(rb"[^\[\]\x00-\x1f\x7f]+\Z")
_ESCAPE = re.compile(rb"\\(.?)", re.DOTALL)
_PIECE = re.compile(rb"\\.?|;|[^\\;]+", re.DOTALL)
_ESCAPED: Final = {b"s": b" ", b"n": b"\n", b"t": b"\t", b"r": b"\r", b"\\": b"\\"}
# The Unicode categories of g_unichar_isalnum.
_ALNUM: Final = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Nd", "Nl", "No"})


class ErrorKind(StrEnum):
    """The codes of GLib's GKeyFileError."""

    UNKNOWN_ENCODING = auto()
    PARSE = auto()
    NOT_FOUND = auto()
    KEY_NOT_FOUND = auto()
    GROUP_NOT_FOUND = auto()
    INVALID_VALUE = auto()


class KeyFileError(Exception):
    """GKeyFile refuses the file or the value. `line` and `column` are 1-based, 0 where a value was given alone."""

    def __init__(self, kind: ErrorKind, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.line = line
        self.column = column


class KeyLine(NamedTuple):
    """One `key=value` line. Lines and columns are 1-based; columns count characters."""

    key: bytes
    value: bytes
    line: int
    column: int
    value_column: int


@dataclass(slots=True)
class KeyGroup:
    """All lines of a group, whose header may be repeated. `last` is what a lookup finds: the last one wins."""

    name: bytes
    line: int
    column: int
    pairs: list[KeyLine] = field(default_factory=list)
    last: dict[bytes, KeyLine] = field(default_factory=dict)


@dataclass(slots=True)
class KeyFile:
    """A loaded file.

    Attributes:
        groups: by name, in the order of their first header.
        dropped: keys in a locale that is not in use ("key[fr]"), which GKeyFile drops.
        current, count: while it is loaded, the group that lines belong to, and the number of pairs.
    """

    groups: dict[bytes, KeyGroup] = field(default_factory=dict)
    dropped: list[tuple[bytes, KeyLine]] = field(default_factory=list)

    current: KeyGroup | None = None
    count: int = 0

    @classmethod
    def load(cls, data: bytes) -> KeyFile:
        """What `g_key_file_load_from_file` makes of a file with these bytes, in the locale C.

        Raises:
            KeyFileError: the file is refused; the message names the line.
        """
        file, position, line = cls(), 0, 1
        while found := _NEXT_LINE.search(data, position):
            line += data.count(b"\n", position, found.start())
            end = data.find(b"\n", found.end())
            # Only a line that ends in \n loses its \r: the last one may have it.
            raw = data[found.start() :] if end == -1 else data[found.start() : end].removesuffix(b"\r")
            file.line(raw, line)
            if end == -1:
                break
            position, line = end + 1, line + 1
        return file

    def line(self, raw: bytes, line: int) -> None:
        """Read one line."""
        # What a C string function sees ends at the first NUL.
        text = raw.partition(b"\0")[0]
        body = text.lstrip(BLANK)
        indent = len(text) - len(body)
        if not body or body.startswith(b"#"):
            return
        equals = body.find(b"=")
        if _GROUP_LINE.match(body):
            self.group(raw[indent:], line, indent)
        elif equals > 0:
            self.pair(raw[indent:], equals, line, indent)
        else:
            message = f"the line {_shown(raw)} is neither a [group], a key=value, nor a # comment"
            raise KeyFileError(ErrorKind.PARSE, message, line, indent + 1)

    def group(self, body: bytes, line: int, indent: int) -> None:
        """Read the header of a group."""
        # The last closing bracket of the line counts, behind NULs too.
        name = body[1 : body.rindex(b"]")].partition(b"\0")[0]
        if _GROUP_NAME.match(name) is None:
            message = f"{_shown(name)} cannot be the name of a group"
            raise KeyFileError(ErrorKind.PARSE, message, line, indent + 1)
        if name not in self.groups:
            self.groups[name] = KeyGroup(name, line, indent + 1)
        self.current = self.groups[name]

    def pair(self, body: bytes, equals: int, line: int, indent: int) -> None:
        """Read a key and its value."""
        if self.current is None:
            message = "a key stands before the first [group]"
            raise KeyFileError(ErrorKind.GROUP_NOT_FOUND, message, line, indent + 1)
        key = body[:equals].rstrip(BLANK)
        if not _is_key_name(key):
            raise KeyFileError(ErrorKind.PARSE, f"{_shown(key)} cannot be the name of a key", line, indent + 1)
        rest = body[equals + 1 :].lstrip(BLANK)
        before = body[: len(body) - len(rest)]
        value = rest.partition(b"\0")[0]
        column = indent + 1 + (len(before) if before.isascii() else len(as_text(before)))
        if key == b"Encoding" and self.current is next(iter(self.groups.values())) and rest.lower() != b"utf-8":
            message = f"the first group asks for the encoding {_shown(rest)}; only UTF-8 is read"
            raise KeyFileError(ErrorKind.UNKNOWN_ENCODING, message, line, column)
        self.count += 1
        if self.count > MOST_PAIRS:
            raise TooMany
        pair = KeyLine(key, value, line, indent + 1, column)
        bracket = key.rfind(b"[")
        if 0 < bracket < len(key) - 2 and key[bracket + 1 : -1].lower() != b"c":
            self.dropped.append((self.current.name, pair))
            return
        self.current.pairs.append(pair)
        self.current.last[key] = pair


def _is_key_name(key: bytes) -> bool:
    """g_key_file_is_key_name: no brackets but one pair at the end, with letters, digits and -_.@ between."""
    name, bracket, locale = key.partition(b"[")
    if not name or b"]" in name or name.endswith(b" "):
        return False
    if not bracket:
        return True
    if not locale.endswith(b"]"):
        return False
    try:
        characters = locale[:-1].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(each in "-_.@" or unicodedata.category(each) in _ALNUM for each in characters)


def as_string(value: bytes) -> bytes:
    r"""`g_key_file_get_string`: UTF-8, with \s \n \t \r \\ decoded.

    Raises:
        KeyFileError: not UTF-8, or a backslash before anything else.
    """
    _require_utf8(value)
    if b"\\" not in value:
        return value
    if value.count(b"\\") > MOST_PAIRS:
        raise TooMany
    return _ESCAPE.sub(lambda match: _decoded(match[1]), value)


def as_string_list(value: bytes) -> tuple[bytes, ...]:
    r"""`g_key_file_get_string_list`: split at `;`, nothing trimmed, `\;` is a plain semicolon, one at the end is free.

    Raises:
        KeyFileError: as `as_string`.
    """
    _require_utf8(value)
    if value.count(b";") + value.count(b"\\") > MOST_PAIRS:
        raise TooMany
    if b"\\" not in value:
        return tuple(value.removesuffix(b";").split(b";")) if value else ()
    pieces: list[bytes] = []
    piece: list[bytes] = []
    for token in _PIECE.findall(value):
        if token == b";":
            pieces.append(b"".join(piece))
            piece = []
        elif token.startswith(b"\\"):
            piece.append(b";" if token == b"\\;" else _decoded(token[1:]))
        else:
            piece.append(token)
    return (*pieces, b"".join(piece)) if piece else tuple(pieces)


def _require_utf8(value: bytes) -> None:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        raise KeyFileError(ErrorKind.UNKNOWN_ENCODING, f"{_shown(value)} is not UTF-8") from None


def _decoded(letter: bytes) -> bytes:
    try:
        return _ESCAPED[letter]
    except KeyError:
        _invalid(
            f"\\{as_text(letter)} is no escape sequence (there are \\s \\n \\t \\r \\\\)"
            if letter
            else "a backslash stands at the end of the line"
        )


def as_integer(value: bytes) -> int:
    """`g_key_file_get_integer`: what strtol finds, provided a blank or nothing follows it.

    A text that starts with a blank and has no number (possible in a list) is 0.

    Raises:
        KeyFileError: no number, something other than a blank behind it, or not a 32-bit int.
    """
    number, end = strtol(value)
    if not value or (end < len(value) and value[end] not in BLANK):
        _invalid(f"{_shown(value)} is not an integer")
    if not INT_MIN <= number <= INT_MAX:
        _invalid(f"{_shown(value)} does not fit into 32 bits")
    return number


def as_double(value: bytes) -> float:
    """`g_key_file_get_double`: what strtod finds, provided nothing at all follows it; inf, nan and hexadecimal count.

    Raises:
        KeyFileError: no number, or anything behind it, be it a blank.
    """
    found = strtod(value)
    if not found.end or found.end != len(value):
        _invalid(f"{_shown(value)} is not a decimal number")
    return found.value


def as_boolean(value: bytes) -> bool:
    """`g_key_file_get_boolean`: 1, true, 0 or false, with blanks behind it.

    Raises:
        KeyFileError: anything else.
    """
    word = value.rstrip(BLANK)
    if word not in {b"1", b"true", b"0", b"false"}:
        _invalid(f"{_shown(value)} is neither 0, 1, true nor false")
    return word in {b"1", b"true"}


def as_integer_list(value: bytes) -> tuple[int, ...]:
    """`g_key_file_get_integer_list`. Raises `KeyFileError` for the first piece that is no integer."""
    return tuple(as_integer(piece) for piece in as_string_list(value))


def as_double_list(value: bytes) -> tuple[float, ...]:
    """`g_key_file_get_double_list`. Raises `KeyFileError` for the first piece that is no decimal number."""
    return tuple(as_double(piece) for piece in as_string_list(value))


def _invalid(message: str) -> NoReturn:
    raise KeyFileError(ErrorKind.INVALID_VALUE, message)


def _shown(value: bytes) -> str:
    """`value` in quotes, short enough for a message, and printable whatever it is."""
    text = as_text(value[:120])
    text = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return f"“{text}{'…' if len(value) > 120 else ''}”"
