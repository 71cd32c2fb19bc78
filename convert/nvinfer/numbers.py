"""Numbers, files and paths as the C and C++ libraries under Gst-nvinfer read them.

Numbers: each function has the name of the function it follows. The rules are those of ISO C (strtol, strtod), of
libstdc++ (`std::stoi` and the like; formatted extraction with no base set, which is how yaml-cpp 0.7 reads integers)
and of the C locale. All were compared with the real functions, compiled with GCC 12, glibc 2.36.

Paths: a relative one belongs to the folder of the (real) config file. One that does not exist is stored as written
below that folder; an absolute one that does not exist becomes its first missing prefix, because nvinfer uses the buffer
in which realpath stopped (get_absolute_file_path in gstnvinfer_property_parser.cpp; glibc 2.36, stdlib/canonicalize.c).
Any other error (a file used as a folder, a name too long, a loop of links) refuses the config.
"""

from __future__ import annotations

import errno
import math
import os
import re
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from convert.errors import InputError
from convert.files import alike

INT_MAX: Final = 2**31 - 1
INT_MIN: Final = -(2**31)
UINT_MAX: Final = 2**32 - 1
ULONG_MAX: Final = 2**64 - 1

# More digits than any 64-bit number has: Python refuses to convert absurdly long digit strings, C calls them ERANGE.
_DIGITS: Final = 20
# Python converts up to 4300 decimal digits. A number so small that is written with more counts as inexact.
_PYTHON_DIGITS: Final = 4000
# The smallest normal double; below it glibc's strtod reports ERANGE for an inexact result.
_DBL_MIN: Final = 2.2250738585072014e-308

_INTEGER = re.compile(rb"[ \t\n\v\f\r]*([+-]?)0*([0-9]*)")
_DOUBLE = re.compile(
    rb"[ \t\n\v\f\r]*([+-]?)(?:"
    rb"(?P<hex>0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?[0-9]+)?)"
    rb"|(?P<dec>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)"
    rb"|(?P<inf>inf(?:inity)?)"
    rb"|(?P<nan>nan(?:\([0-9a-z_]*\))?)"
    rb")",
    re.IGNORECASE,
)
# What formatted extraction takes: no blanks in front, no hexadecimal, no inf, no nan; an exponent must have digits.
_STREAM_DOUBLE = re.compile(rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![eE])[ \t\n\v\f\r]*\Z")
_STREAM_INT = re.compile(rb"([+-]?)(?:0[xX]([0-9a-fA-F]*)|(0[0-7]*)|([1-9][0-9]*))[ \t\n\v\f\r]*\Z")


class NotANumber(ValueError):
    """No number at the start of the text (`std::invalid_argument`, or a failed extraction)."""


class OutOfRange(ValueError):
    """A number, but none the type can hold (`std::out_of_range`, ERANGE)."""


@dataclass(frozen=True, slots=True)
class Double:
    """What `strtod` found: the value, the index behind the last character used (0 = no number), and ERANGE."""

    value: float
    end: int
    erange: bool


def strtol(text: bytes) -> tuple[int, int]:
    """C `strtol(text, &end, 10)`: the value and the index of `end`, which is 0 when nothing was converted.

    The value is not limited to 64 bits: a long one comes back as its first 21 digits, which no C type can hold.
    """
    match = _INTEGER.match(text)
    if match is None or match.end() == 0 or not text[: match.end()][-1:].isdigit():
        return 0, 0
    sign, digits = match.groups()
    value = int(digits[: _DIGITS + 1] or b"0")
    return (-value if sign == b"-" else value), match.end()


def strtod(text: bytes) -> Double:
    """C `strtod` in the C locale: decimal, hexadecimal, inf and nan, the longest prefix that is a number."""
    match = _DOUBLE.match(text)
    if match is None:
        return Double(0.0, 0, erange=False)
    erange = False
    if digits := match["hex"] or match["dec"]:
        try:
            value = float.fromhex(digits.decode("ascii")) if match["hex"] else float(digits)
        except OverflowError:
            value = math.inf
        erange = math.isinf(value) or (value < _DBL_MIN and _inexact(digits.lower(), value))
    else:
        value = math.inf if match["inf"] else math.nan
    return Double(-value if match[1] == b"-" else value, match.end(), erange)


def _inexact(text: bytes, value: float) -> bool:
    """Whether a number that came out as 0 or subnormal is not exactly that."""
    base, two_or_ten, bits = (16, 2, 4) if text.startswith(b"0x") else (10, 10, 1)
    mantissa, _, power = text.removeprefix(b"0x").partition(b"p" if base == 16 else b"e")
    whole, _, part = mantissa.partition(b".")
    if not value or len(text) > _PYTHON_DIGITS:
        return bool((whole + part).strip(b"0"))
    # mantissa * two_or_ten ** exponent == numerator / denominator, in integers: so small a number has a negative one.
    exponent = int(power or b"0") - bits * len(part)
    numerator, denominator = value.as_integer_ratio()
    scale: int = two_or_ten**-exponent
    return int(whole + part, base) * denominator != numerator * scale


def std_stoi(text: bytes) -> int:
    """`std::stoi`: blanks, a sign, digits; the rest of the text is ignored.

    Raises:
        NotANumber: no digits at the start.
        OutOfRange: not an int.
    """
    return _std(text, INT_MIN, INT_MAX)


def std_stoul(text: bytes) -> int:
    """`std::stoul`: as `std_stoi` for 64 bits without sign; a minus wraps round instead of being refused.

    Raises:
        NotANumber: no digits at the start.
        OutOfRange: not an unsigned long, sign aside.
    """
    return _std(text, -ULONG_MAX, ULONG_MAX) & ULONG_MAX


def _std(text: bytes, least: int, most: int) -> int:
    value, end = strtol(text)
    if not end:
        raise NotANumber
    if not least <= value <= most:
        raise OutOfRange
    return value


def std_stod(text: bytes) -> float:
    """`std::stod`: a `strtod` that minds ERANGE; the rest of the text is ignored.

    Raises:
        NotANumber: no number at the start.
        OutOfRange: too large, or too small to be held exactly.
    """
    found = strtod(text)
    if not found.end:
        raise NotANumber
    if found.erange:
        raise OutOfRange
    return found.value


def stream_int(text: bytes) -> int:
    """An `int` extracted from a stream with no base set, blanks allowed behind it: 010 is 8 and 0x10 is 16.

    Raises:
        NotANumber: anything else, an empty text, a blank in front, or more than an int holds.
    """
    return _extract(text, INT_MIN, INT_MAX)


def stream_unsigned(text: bytes) -> int:
    """An `unsigned int` extracted as by `stream_int`; a text that starts with a minus is refused.

    Raises:
        NotANumber: not such a number, or more than an unsigned int holds.
    """
    if text.startswith(b"-"):
        raise NotANumber
    return _extract(text, 0, UINT_MAX)


def wrapping_unsigned(text: bytes) -> int:
    """As `stream_unsigned`, but a minus wraps round: what yaml-cpp before 0.7 does with -1.

    Raises:
        NotANumber: not such a number, or more digits than an unsigned int holds.
    """
    return _extract(text, -UINT_MAX, UINT_MAX) & UINT_MAX


def _extract(text: bytes, least: int, most: int) -> int:
    match = _STREAM_INT.match(text)
    if match is None:
        raise NotANumber
    sign, hexadecimal, octal, decimal = match.groups()
    if hexadecimal is not None:
        if not hexadecimal:
            raise NotANumber
        digits, base = hexadecimal.lstrip(b"0") or b"0", 16
    elif octal is not None:
        digits, base = octal.lstrip(b"0") or b"0", 8
    else:
        digits, base = decimal, 10
    value = int(digits[: _DIGITS + 1], base)
    value = -value if sign == b"-" else value
    if not least <= value <= most:
        raise NotANumber
    return value


def stream_double(text: bytes) -> float:
    """A `double` extracted from a stream, blanks allowed behind it: plain decimals only, too large is refused.

    Raises:
        NotANumber: anything else, also "inf", "nan" and hexadecimal.
    """
    if _STREAM_DOUBLE.match(text) is None:
        raise NotANumber
    value = float(text)
    if math.isinf(value):
        raise NotANumber
    return value


def float32(value: float) -> float:
    """`value` rounded to the nearest float32; too large becomes infinite, as a C cast does."""
    try:
        rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return rounded


def nine_digits(value: float) -> float | int | str:
    """`value` as reports write it: nine significant digits, "nan", "inf" and "-inf" as text, integral ones as int."""
    if not math.isfinite(value):
        return str(value)
    short = float(f"{value:.9g}")
    return int(short) if short.is_integer() and abs(short) < 2**53 else short


def shortest(value: float) -> str:
    """The shortest decimal number that is `value` to a float32: 0.003921569 for 1/255. For what people are to write."""
    texts = (f"{value:.{digits}g}" for digits in range(6, 9))
    return next((text for text in texts if float32(float(text)) == float32(value)), f"{value:.9g}")


def signed32(value: int) -> int:
    """The `int` that has the same 32 bits as `value`."""
    value &= UINT_MAX
    return value - 2**32 if value > INT_MAX else value


_HINTS: Final[dict[int | None, str]] = {
    errno.ENOENT: "check the path",
    errno.EACCES: "make the file readable for you",
    errno.ELOOP: "a symbolic link leads back to itself: remove it, or name the file",
}


class TooMany(Exception):
    """The file has more in it than any config, and would take too much memory or time. nvinfer might read it."""

    def __init__(self, message: str = "the file has millions of entries") -> None:
        super().__init__(message)


def read_ordinary(path: str | os.PathLike[str], what: str, most: int) -> bytes:
    """The bytes of the ordinary file `path`; never waits for a FIFO or a device. /dev/null is an empty file.

    Args:
        path: the file.
        what: its name in messages, "config".
        most: bytes it may have.

    Raises:
        InputError: missing, unreadable, a folder, a FIFO, a device, a loop of links, or too large.
    """
    try:
        # O_NONBLOCK: opening a FIFO would block until it is written to.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, what, error) from None
    except ValueError:
        raise InputError(f"the path of the {what} has a null character in it", path=repr(path)) from None
    try:
        state = os.fstat(handle)
        if stat.S_ISCHR(state.st_mode) and state.st_rdev == os.stat(os.devnull).st_rdev:  # noqa: PTH116 - a device
            return b""
        if not stat.S_ISREG(state.st_mode):
            kind = "a folder" if stat.S_ISDIR(state.st_mode) else "no ordinary file (a pipe, socket or device)"
            raise InputError(f"the {what} is {kind}", hint="name an ordinary file", path=os.fspath(path))
        if state.st_size > most:
            message = f"the {what} has {state.st_size:,} bytes, and cannot have more than {most:,}"
            raise InputError(message, hint="is this another file?", path=os.fspath(path))
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise _unreadable(path, what, error) from None
    finally:
        os.close(handle)


def _unreadable(path: str | os.PathLike[str], what: str, error: OSError) -> InputError:
    hint = _HINTS.get(error.errno, "check the path and its rights")
    if error.errno == errno.ENOENT and (found := alike(Path(path))):
        hint = f"did you mean {found}?"
    return InputError(f"the {what} cannot be read: {error.strerror}", hint=hint, path=os.fspath(path))


PATH_BYTES: Final = 4095
"""What nvinfer's path buffers hold (_PATH_MAX - 1, nvdsinfer_context.h); the rest is cut off."""

# glibc's MAXSYMLINKS.
_MOST_LINKS: Final = 40
# A component behind which there is "/", "/." or "/.." must be a folder.
_NEEDS_FOLDER = re.compile(rb"/(?:\.?/)*(?:\.?\Z|\.\.(?:/|\Z))")


def real_path(path: bytes, start: bytes = b"/") -> tuple[bytes, int]:
    """glibc's `realpath`: links followed, "." and ".." resolved; and the errno, 0 when all of it exists.

    Args:
        path: absolute, or relative to `start`.
        start: a folder that is already real and exists.

    Returns:
        On failure the path up to and with the component that failed.
    """
    done = b"/" if path.startswith(b"/") else start
    rest = path
    links = 0
    while rest := rest.lstrip(b"/"):
        name, slash, behind = rest.partition(b"/")
        rest = slash + behind
        if name == b".":
            continue
        if name == b"..":
            done = done.rpartition(b"/")[0] or b"/"
            continue
        here = done.rstrip(b"/") + b"/" + name
        try:
            target = os.readlink(here)  # noqa: PTH115 - bytes, and the error number decides
        except OSError as error:
            failed = error.errno if error.errno != errno.EINVAL else 0
            if not failed and rest and _NEEDS_FOLDER.match(rest):
                failed = _folder_error(here)
            if failed:
                return here, failed
            done = here
            continue
        except ValueError:
            return here, errno.ENOENT
        links += 1
        if links > _MOST_LINKS:
            return here, errno.ELOOP
        rest = target + rest
        if target.startswith(b"/"):
            done = b"/"
    return done, 0


def _folder_error(path: bytes) -> int:
    try:
        os.stat(path + b"/")  # noqa: PTH116 - bytes
    except OSError as error:
        return error.errno or errno.ENOTDIR
    return 0


def stored_path(text: bytes, folder: bytes) -> bytes | None:
    """What nvinfer stores for the path `text` of a config in the real folder `folder`; None: it refuses the config.

    The result is cut to `PATH_BYTES`.
    """
    text = text.partition(b"\0")[0]
    if text.startswith(b"/"):
        found, error = real_path(text)
        return found[:PATH_BYTES] if error in {0, errno.ENOENT} else None
    written = folder.rstrip(b"/") + b"/" + text
    # The folder itself is known to be real: only what is below it needs looking at.
    found, error = real_path(text, folder)
    if error == errno.ENOENT:
        return written[:PATH_BYTES]
    return found[:PATH_BYTES] if not error else None
