"""The characters of a YAML file as yaml-cpp 0.7 sees them: it guesses the encoding from the first four bytes.

yaml-cpp follows the YAML specification's table for streams with and without a byte order mark, turns UTF-16 and UTF-32
into UTF-8, and takes everything else as it is, valid UTF-8 or not.
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["END", "decode"]

END: Final = 0x04
"""The character yaml-cpp uses for the end of the file; one in UTF-16 or UTF-32 is replaced."""

_REPLACEMENT: Final = 0xFFFD


def decode(data: bytes) -> bytes:
    """The file as UTF-8 without its byte order mark."""
    encoding, mark = _guess(data)
    body = data[mark:]
    if encoding == "utf-8":
        return body
    wide = encoding.startswith("utf-32")
    size = 4 if wide else 2
    count = len(body) // size
    try:
        # Correct text is what Python makes of it too, and faster.
        return body[: count * size].decode(encoding).replace(chr(END), chr(_REPLACEMENT)).encode("utf-8")
    except UnicodeDecodeError:
        pass
    order = ">" if encoding.endswith("be") else "<"
    units = struct.unpack(f"{order}{count}{'I' if wide else 'H'}", body[: count * size])
    return b"".join(_utf8(code) for code in (units if wide else _code_points(units)))


# How a file may start, the encoding that means, and how much of it is a mark; the first that fits counts.
_STARTS: Final = (
    (b"\0\0\xfe\xff", "utf-32-be", 4),
    (b"\0\0\0", "utf-32-be", 0),
    (b"\xff\xfe\0\0", "utf-32-le", 4),
    (b"\xff\xfe", "utf-16-le", 2),
    (b"\xfe\xff", "utf-16-be", 2),
    (b"\xef\xbb\xbf", "utf-8", 3),
)


def _guess(data: bytes) -> tuple[str, int]:
    """The encoding and the length of the byte order mark."""
    for start, encoding, length in _STARTS:
        if data.startswith(start):
            return encoding, length
    return _guess_unmarked(data), 0


# Bytes that may begin a mark are no plain text to yaml-cpp.
_MARKS: Final = frozenset({0x00, 0xBB, 0xBF, 0xEF, 0xFE, 0xFF})


def _guess_unmarked(data: bytes) -> str:
    first, second = (data[0], data[1]) if len(data) > 1 else (END, END)
    if first == 0 and second not in _MARKS and len(data) > 1:
        return "utf-16-be"
    if first not in _MARKS and second == 0:
        return "utf-32-le" if data[2:4] == b"\0\0" else "utf-16-le"
    return "utf-8"


def _code_points(units: tuple[int, ...]) -> list[int]:
    """UTF-16 as yaml-cpp joins it."""
    points: list[int] = []
    high = None
    for unit in units:
        if high is None:
            if 0xD800 <= unit < 0xDC00:
                high = unit
            else:
                points.append(_REPLACEMENT if 0xDC00 <= unit < 0xE000 else unit)
        elif 0xDC00 <= unit < 0xE000:
            points.append(0x10000 + ((high & 0x3FF) << 10) + (unit & 0x3FF))
            high = None
        else:
            points.append(_REPLACEMENT)
            if 0xD800 <= unit < 0xDC00:
                high = unit
            else:
                # Not the character that stands here but the half before it: yaml-cpp mixes them up.
                points.append(high)
                high = None
    if high is not None:
        points.append(_REPLACEMENT)
    return points


def _utf8(code: int) -> bytes:
    """UTF-8 by the bits alone: halves of a pair and numbers beyond Unicode are encoded too."""
    if code == END:
        code = _REPLACEMENT
    if code < 0x80:
        return bytes((code,))
    if code < 0x800:
        return bytes((0xC0 | code >> 6, 0x80 | code & 0x3F))
    if code < 0x10000:
        return bytes((0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F))
    return bytes((0xF0 | code >> 18 & 0x07, 0x80 | code >> 12 & 0x3F, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F))
