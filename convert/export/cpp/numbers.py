"""Turns the numbers between the braces of a C array into values, ten megabytes of bytes in about ten milliseconds.

`xxd -i` and its imitators write every line alike, `  0x1c, 0x00, ...`, so that a line is checked against the first one
as 64-bit words with the digits masked out, and the digits are turned into values a few thousand lines at a time
(`regular_bytes`). Bytes that are not alike are split at commas, and each spelling that occurs is read once
(`byte_values`). The tensors of EON-compiled models are read by numpy, in pieces that keep memory small; what numpy's
reader does not know (hexadecimal, octal, suffixes, `true`) is read one by one (`array`).
"""

from __future__ import annotations

import re
import warnings
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.export.cpp.scanner import integer_literal, real_literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["NotAByteError", "array", "byte_values", "number", "regular_bytes"]

_LINE = re.compile(rb"[ \t]*(?:0[xX][0-9a-fA-F]{2},[ \t]*)+\r?\n")
_CELLS = re.compile(rb"\s*((?:0[xX][0-9a-fA-F]{2},[ \t]*){16})")
_CELL = re.compile(rb"0[xX]([0-9a-fA-F]{2})")
_MAX_LINE = 4096  # bytes
_LINES = 4096  # lines at a time: 300 kB of the usual 74 bytes stay in a second-level cache
_WORD = 8  # bytes compared at once; so many lines are always a whole number of words
_PIECE = 1 << 20  # bytes of text split at commas at a time, so that the parts do not take many times the file's size
_VALUE = re.compile(rb"(?:\((?:unsigned char|uint8_t|char|signed char|int8_t)\))?\s*([+-]?)\s*([0-9][0-9a-zA-Z']*)")
_WORDS = {b"true": 1, b"false": 0}


class NotAByteError(Exception):
    """A cell that is no byte, on line `line` of its text, counted from 0."""

    def __init__(self, cell: bytes, line: int) -> None:
        text = cell.strip().decode("utf-8", "replace")
        what = f"{text[:40]!r} is not a number from 0 to 255" if text else "a number is missing between two commas"
        super().__init__(what)
        self.line = line


def regular_bytes(data: bytes, start: int, end: int) -> tuple[bytes, int]:
    """The values of the lines between `start` and `end` that are all alike, and where the first other one starts."""
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
    digits = np.ascontiguousarray(digits)
    values = (digits & 0x0F) + 9 * (digits >> 6)
    spelled = values + np.uint8(ord("0")) + np.uint8(ord("a") - ord("9") - 1) * (values > 9)
    return values, bool(values.max() < 16) and np.array_equal(spelled, digits | (digits & 0x40) >> 1)


def byte_values(text: bytearray, *, signed: bool) -> bytes:
    """The values in text with nothing but numbers, commas and blanks; each spelling is read once.

    Args:
        signed: -128..-1 are the bytes 128..255.

    Raises:
        NotAByteError: with the line of the text, counted from 0.
    """
    known: dict[bytes, int] = {}
    values: list[bytes] = []
    for start, stop in _pieces(text, _PIECE):
        cells = bytes(text[start:stop]).split(b",")
        if stop == len(text) and not cells[-1].strip():
            cells.pop()
        for cell in [cell for cell in dict.fromkeys(cells) if cell not in known]:
            if (value := _byte(cell, signed=signed)) is None:
                at = text.index(cell, start) + len(cell) - len(cell.lstrip())
                raise NotAByteError(cell, text.count(b"\n", 0, at))
            known[cell] = value
        values.append(bytes(map(known.__getitem__, cells)))
    return b"".join(values)


def _byte(cell: bytes, *, signed: bool) -> int | None:
    """The byte one cell stands for, None when it is not one."""
    match = _VALUE.fullmatch(cell.strip())
    value = integer_literal(match[2]) if match else None
    if match is None or value is None:
        return None
    if match[1] == b"-":
        return 256 - value if signed and 0 < value <= 128 else 0 if value == 0 else None
    return value if value <= 255 else None


def _pieces(text: bytes | bytearray, size: int) -> Iterator[tuple[int, int]]:
    """Where parts of about `size` bytes start and stop; between two of them is a comma."""
    start = 0
    while start < len(text):
        stop = text.find(b",", start + size)
        stop = len(text) if stop < 0 else stop
        yield start, stop
        start = stop + 1


def array(body: bytes | bytearray, dtype: np.dtype[Any], most: int, *, piece: int = _PIECE) -> NDArray[Any]:
    """The numbers in `body`, which stood between two braces and holds no comments, as a flat array of `dtype`.

    Args:
        body: numbers separated by commas; one comma may follow the last.
        dtype: bool, an integer or a floating type.
        most: the number of elements beyond which reading stops.
        piece: bytes of text read at once.

    Raises:
        ValueError: an element is no number or does not fit `dtype`, or there are more than `most`.
    """
    pieces: list[NDArray[Any]] = []
    count = 0
    body = body.rstrip()
    if body.endswith(b",") and body.strip() != b",":
        body = body[:-1]
    for start, stop in _pieces(body, piece):
        pieces.append(_piece(bytes(body[start:stop]), dtype))
        count += len(pieces[-1])
        if count > most:
            raise ValueError(f"there are more than its {most} elements")
    return np.concatenate(pieces) if pieces else np.empty(0, dtype)


def number(token: bytes) -> int | float:
    """A C number with an optional sign, or `true` or `false`.

    Raises:
        ValueError: it is none.
    """
    if token in _WORDS:
        return _WORDS[token]
    digits = token.lstrip(b"+-").strip()
    integer = integer_literal(digits)
    if integer is not None and len(token) - len(token.lstrip(b"+-")) <= 1:
        return -integer if token.startswith(b"-") else integer
    real = real_literal(token)
    if real is None:
        shown = token[:40].decode("utf-8", "replace")
        raise ValueError(f"{shown!r} is not a number" if shown else "a number is missing")
    return real


def _piece(text: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    text = text.strip()
    # numpy counts a 0 where it expects a number and finds a comma, and does not mind a comma at the end.
    blank = not text or text.startswith(b",") or text.endswith(b",")
    values = None if blank or _has_octal(text, dtype) else _fast(text, dtype)
    return _fit(_slow(text, dtype) if values is None else values, dtype)


def _fast(text: bytes, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """What numpy makes of `text`; None when it stops before the end or a number may have been cut to 64 bits."""
    wide = np.dtype(np.float64 if dtype.kind == "f" else np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # what numpy 1.26 gives where numpy 2.3 raises
        try:
            values = np.fromstring(text, wide, sep=",")
        except (ValueError, DeprecationWarning):
            return None
    limits = np.iinfo(np.int64)
    may_be_cut = wide.kind == "i" and (values.max() == limits.max or values.min() == limits.min)
    return None if may_be_cut else values


def _has_octal(text: bytes, dtype: np.dtype[Any]) -> bool:
    """Whether an integer starts with a 0 and goes on: octal in C, decimal to numpy."""
    if dtype.kind == "f" or len(text) < 2:
        return False
    data = np.frombuffer(text, np.uint8)
    digit = (data >= ord("0")) & (data <= ord("9"))
    starts = data[:-1] == ord("0")
    starts[1:] &= ~digit[:-2]
    return bool((starts & digit[1:]).any())


def _slow(text: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    values = [number(token.strip()) for token in text.split(b",")]
    if dtype.kind == "f":
        return np.array(values, np.float64)
    if any(isinstance(value, float) for value in values):
        raise ValueError("a fraction stands among integers")
    limits = np.iinfo(np.uint64 if dtype == np.uint64 else np.int64)
    if not all(limits.min <= value <= limits.max for value in values):
        raise ValueError(f"a number does not fit {dtype.name}")
    return np.array(values, limits.dtype)


def _fit(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            fitted = values.astype(dtype)
        if not np.isfinite(fitted).all():
            raise ValueError(f"a number is not finite or does not fit {dtype.name}")
        return fitted
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if values.size and (int(values.min()) < low or int(values.max()) > high):
        raise ValueError(f"a number does not fit {dtype.name}")
    return values.astype(dtype)
