"""Reads the numbers between the braces of a C array into bytes, ten megabytes of them in about ten milliseconds.

`xxd -i` and its imitators write every line alike, `  0x1c, 0x00, ...`, so that a line is checked against the first one
as 64-bit words with the digits masked out, and the digits are turned into values a few thousand lines at a time. What
is not alike is split at commas, and each spelling that occurs is read once. Comments,
directives and character literals are taken out before.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from convert.errors import InputError
from convert.export.expressions import number
from convert.export.lexer import Kind, Scanner, line_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["read_elements"]

_CUT_OFF = "the array is not closed: the file is cut off"
_AGAIN = "export or download the file again"

_LINE = re.compile(rb"[ \t]*(?:0[xX][0-9a-fA-F]{2},[ \t]*)+\r?\n")
_CELLS = re.compile(rb"\s*((?:0[xX][0-9a-fA-F]{2},[ \t]*){16})")
_CELL = re.compile(rb"0[xX]([0-9a-fA-F]{2})")
_MAX_LINE = 4096  # bytes
_LINES = 4096  # lines at a time: 300 kB of the usual 74 bytes stay in a second-level cache
_WORD = 8  # bytes compared at once; so many lines are always a whole number of words
_PIECE = 1 << 20  # bytes split at commas at a time, so that the pieces do not take many times the file's size
_VALUE = re.compile(rb"(?:\((?:unsigned char|uint8_t|char|signed char|int8_t)\))?\s*([+-]?)\s*([0-9][0-9a-zA-Z']*)")
# After one of these, a brace or a comma may not be what it looks like.
_SPECIAL = re.compile(rb"[}/#'\"\\{]")
_BRACE, _APOSTROPHE = b"}'"
_ESCAPES = {b"n": 10, b"t": 9, b"r": 13, b"a": 7, b"b": 8, b"f": 12, b"v": 11}


class _NotANumberError(Exception):
    """A cell that is no byte, `line` newlines behind the start of its text."""

    def __init__(self, cell: bytes, line: int) -> None:
        text = cell.strip().decode("utf-8", "replace")
        what = f"{text[:40]!r} is not a number from 0 to 255" if text else "a number is missing between two commas"
        super().__init__(what)
        self.line = line


def read_elements(scanner: Scanner, *, signed: bool) -> bytes:
    """The values up to the closing brace; the scanner stands behind the opening one, and afterwards behind the closing.

    Args:
        signed: the element type is a signed (or plain) char: -128..-1 are the bytes 128..255.

    Raises:
        InputError: no closing brace, something that is not a number, a value outside 0..255; with its line.
    """
    data, start = scanner.data, scanner.position
    end = data.find(b"}", start)
    if end < 0:
        raise InputError(_CUT_OFF, line=line_of(data, start), hint=_AGAIN)
    regular, scanner.position = _regular(data, start, end)
    rest = scanner.position
    try:
        return regular + _by_piece(_plain(scanner), signed=signed)
    except _NotANumberError as error:
        raise InputError(f"in the array, {error}", line=line_of(data, rest) + error.line, hint=_AGAIN) from error


def _regular(data: bytes, start: int, end: int) -> tuple[bytes, int]:
    """The values of the lines that are all alike, and where the first other one starts."""
    import numpy as np  # noqa: PLC0415 - a tenth of a second that a .tflite file does not need

    first, line = _pattern(data, start, end)
    digits = [match.start(1) for match in _CELL.finditer(line)]
    steps = {b - a for a, b in pairwise(digits)}
    if not line or len(steps) > 1:
        return b"", start
    step = steps.pop() if steps else len(line)
    cells = slice(digits[0], digits[-1] + 1, step)
    mask = np.full(len(line), 0xFF, np.uint8)
    for at in digits:
        mask[at : at + 2] = 0
    pattern = np.frombuffer(line, np.uint8) & mask
    masks = np.tile(mask, _LINES).view(np.uint64)
    patterns = np.tile(pattern, _LINES).view(np.uint64)
    values: list[bytes] = []
    position = first
    while lines := min(_LINES, (end - position) // len(line)) // _WORD * _WORD:
        words = np.frombuffer(data, np.uint64, lines * len(line) // _WORD, position)
        block = np.frombuffer(data, np.uint8, lines * len(line), position).reshape(lines, len(line))
        if not np.array_equal(words & masks[: words.size], patterns[: words.size]):
            break
        high, high_ok = _hexadecimal(block[:, cells])
        low, low_ok = _hexadecimal(block[:, cells.start + 1 : cells.stop + 1 : cells.step])
        if not (high_ok and low_ok):
            break
        values.append((high << 4 | low).tobytes())
        position += lines * len(line)
    return b"".join(values), position


def _pattern(data: bytes, start: int, end: int) -> tuple[int, bytes]:
    """Where the first whole line starts and what it is; without lines, some cells in their place; else nothing."""
    first = data.find(b"\n", start, end) + 1
    second = data.find(b"\n", first, min(end, first + _MAX_LINE)) + 1
    if first and second and not data[start:first].strip() and _LINE.fullmatch(data, first, second):
        return first, data[first:second]
    cells = _CELLS.match(data, start, end)
    return (cells.start(1), cells[1]) if cells else (start, b"")


def _hexadecimal(digits: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], bool]:
    """The values 0..15 of ASCII digits, and whether all of them are hexadecimal digits.

    Computed rather than looked up, because numpy does these in vector registers: a letter has bit 6 set and its low
    four bits count from 1. Whether it was a digit shows when the value is spelled again and compared, in lower case.
    """
    import numpy as np  # noqa: PLC0415 - as above

    digits = np.ascontiguousarray(digits)
    values = (digits & 0x0F) + 9 * (digits >> 6)
    spelled = values + np.uint8(ord("0")) + np.uint8(ord("a") - ord("9") - 1) * (values > 9)
    return values, bool(values.max() < 16) and np.array_equal(spelled, digits | (digits & 0x40) >> 1)


def _plain(scanner: Scanner) -> bytearray:
    """The text up to the closing brace with as many newlines, but no comments, directives and character literals."""
    data, position = scanner.data, scanner.position
    text = bytearray()
    while found := _SPECIAL.search(data, position):
        at = found.start()
        text += data[position:at]
        if data[at] == _BRACE:
            scanner.position = at + 1
            return text
        if data[at] == _APOSTROPHE and data[at - 1 : at].isalnum():  # a digit separator
            position = at + 1
            continue
        scanner.position = at
        token = scanner.next()
        if token is None:
            break
        text += b"\n" * data.count(b"\n", at, token.start) or b" "
        position = token.start
        if token.kind == Kind.CHAR or position == at:
            text += _character(token.text) if token.kind == Kind.CHAR else token.text
            position = scanner.position
    raise InputError(_CUT_OFF, line=line_of(data, position), hint=_AGAIN)


def _by_piece(text: bytearray, *, signed: bool) -> bytes:
    """The values in text with nothing but numbers, commas and blanks; each spelling is read once."""
    known: dict[bytes, int] = {}
    values: list[bytes] = []
    for start, stop in _pieces(text):
        cells = bytes(text[start:stop]).split(b",")
        if not cells[-1].strip():
            cells.pop()
        for cell in set(cells) - known.keys():
            if (value := _value(cell, signed=signed)) is None:
                at = text.index(cell, start) + len(cell) - len(cell.lstrip())
                raise _NotANumberError(cell, text.count(b"\n", 0, at))
            known[cell] = value
        values.append(bytes(map(known.__getitem__, cells)))
    return b"".join(values)


def _pieces(text: bytearray) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        stop = text.find(b",", start + _PIECE) + 1 or len(text)
        yield start, stop
        start = stop


def _value(cell: bytes, *, signed: bool) -> int | None:
    """The byte one cell stands for, None when it is not one."""
    match = _VALUE.fullmatch(cell.strip())
    value = number(match[2]) if match else None
    if match is None or value is None:
        return None
    if match[1] == b"-":
        return 256 - value if signed and 0 < value <= 128 else 0 if value == 0 else None
    return value if value <= 255 else None


def _character(literal: bytes) -> bytes:
    """A character literal as a number, as itself when it is none."""
    text = literal[1:-1]
    if len(text) == 1:
        return str(text[0]).encode()
    if match := re.fullmatch(rb"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3}))", text):
        return str(int(match[1], 16) if match[1] else int(match[2], 8)).encode()
    if len(text) == 2 and text[:1] == b"\\":
        return str(_ESCAPES.get(text[1:], text[1])).encode()
    return literal
