"""Numbers against the C library of this machine, and against what libstdc++ was seen to do."""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import math
import platform
import re
import struct
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convert.nvinfer import numbers
from convert.nvinfer.numbers import NotANumber, OutOfRange
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable

PIECES = "0 1 9 - + . e E x p a F inf nan nan( ) 0x 00 2147483647 9223372036854775808 1e308 1e-320 5e-324 ;"
NUMERIC = st.lists(st.sampled_from([*PIECES.encode().split(), b" ", b"\t", b"\v"]), max_size=6).map(b"".join)


@pytest.fixture(scope="module")
def libc() -> ctypes.CDLL:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the C library of this machine is not glibc")
    library = ctypes.CDLL(None, use_errno=True)
    library.strtod.restype = ctypes.c_double
    library.strtol.restype = ctypes.c_long
    return library


@examples(800)
@given(text=NUMERIC)
@example(text=b"")
@example(text=b"7" * 6000)
@example(text=b"1e" + b"0" * 6000 + b"1")
@example(text=b"0x1p-" + b"9" * 6000)
def test_prefixes_are_converted_as_by_glibc(libc: ctypes.CDLL, text: bytes) -> None:
    buffer = ctypes.create_string_buffer(text)
    end = ctypes.c_char_p()
    ctypes.set_errno(0)
    real = libc.strtod(buffer, ctypes.byref(end))
    found = numbers.strtod(text)
    used = len(text) - len(end.value or b"")
    assert (found.end, found.erange) == (used, ctypes.get_errno() == errno.ERANGE)
    assert struct.pack("d", found.value) == struct.pack("d", real) or (math.isnan(real) and math.isnan(found.value))
    whole = libc.strtol(buffer, ctypes.byref(end), 10)
    value, stop = numbers.strtol(text)
    assert stop == len(text) - len(end.value or b"")
    assert min(max(value, -(2**63)), 2**63 - 1) == whole


def odd_number(random: Random) -> bytes:
    """A number near a limit of a double: the largest, the smallest normal, the smallest, halfway; decimal or not."""
    sign, end = random.choice(["", "", "-", "+", " "]), random.choice(["", "", "", "x", " ", ";", "e", "p1"])
    digits = "".join(random.choices("0123456789", k=random.choice([1, 2, 17, 30, 800])))
    exact = math.ldexp(
        random.choice([1, 3, 2**52 - 1, random.getrandbits(52)]), random.choice([-1074, -1073, -1050, 900])
    )
    kind = random.randrange(6)
    if kind == 0:
        power = random.choice([-400, -330, -324, -323, -310, -309, -308, -307, 0, 307, 308, 309])
        text = f"{digits[:1]}.{digits[1:]}e{power}"
    elif kind == 1:
        # Not 54 to 60 bits: glibc 2.36 rounds one in thousands of such subnormals twice.
        text = f"0x{random.getrandbits(random.choice([4, 52, 53, 120])):x}p{random.randint(-1200, -950)}"
    elif kind == 2:
        power = random.choice([-1080, -1075, -1074, -1023, -1022, 1020, 1023, 1024])
        text = f"0x{digits[0]}.{random.getrandbits(80):x}p{power}"
    elif kind == 3:
        text = exact.hex()
    elif kind == 4:
        text = f"{Decimal(exact):f}" + random.choice(["", "0", "1"]) if exact < 1 else repr(exact)
    else:
        text = random.choice(
            ["2.2250738585072014e-308", "2.2250738585072011e-308", "4.9406564584124654e-324", "2.47e-324"]
        )
        text = text.replace("e", random.choice(["e", "E", "0e", "1e", "000000000000000001e"]))
    return f"{sign}{text}{end}".encode()


def test_odd_numbers_are_read_as_by_glibc_and_glib(libc: ctypes.CDLL) -> None:
    name = ctypes.util.find_library("glib-2.0")
    readers = [libc.strtod]
    if name is not None:
        readers.append(ctypes.CDLL(name, use_errno=True).g_ascii_strtod)
        readers[-1].restype = ctypes.c_double
    random = Random(14)
    wrong = []
    for _ in range(20_000):
        text = odd_number(random)
        found = numbers.strtod(text)
        buffer = ctypes.create_string_buffer(text)
        for reader in readers:
            end = ctypes.c_char_p()
            ctypes.set_errno(0)
            real = reader(buffer, ctypes.byref(end))
            got = struct.pack("d", real), len(text) - len(end.value or b""), ctypes.get_errno() == errno.ERANGE
            if got != (struct.pack("d", found.value), found.end, found.erange):
                wrong.append((text, found, real, got[1:]))
    assert not wrong


# What yaml-cpp 0.7's as<int>, as<unsigned>, as<double> and std::stoi, stoul, stod gave for these texts, compiled with
# GCC 12: N no number, R out of range.
N, R = NotANumber, OutOfRange
SEEN: list[tuple[bytes, Any, Any, Any, Any, Any, Any]] = [
    (b"", N, N, N, N, N, N),
    (b"3", 3, 3, 3.0, 3, 3, 3.0),
    (b"3.7", N, N, 3.7, 3, 3, 3.7),
    (b" 3", N, N, N, 3, 3, 3.0),
    (b"3 ", 3, 3, 3.0, 3, 3, 3.0),
    (b"3x", N, N, N, 3, 3, 3.0),
    (b"+3", 3, 3, 3.0, 3, 3, 3.0),
    (b"-3", -3, N, -3.0, -3, 2**64 - 3, -3.0),
    (b"010", 8, 8, 10.0, 10, 10, 10.0),
    (b"08", N, N, 8.0, 8, 8, 8.0),
    (b"0x1F", 31, 31, N, 0, 0, 31.0),
    (b"0x", N, N, N, 0, 0, 0.0),
    (b"2147483647", 2**31 - 1, 2**31 - 1, 2147483647.0, 2**31 - 1, 2**31 - 1, 2147483647.0),
    (b"2147483648", N, 2**31, 2147483648.0, R, 2**31, 2147483648.0),
    (b"4294967296", N, N, 4294967296.0, R, 2**32, 4294967296.0),
    (b"18446744073709551616", N, N, 2.0**64, R, R, 2.0**64),
    (b"-18446744073709551615", N, N, -(2.0**64), R, 1, -(2.0**64)),
    (b".5", N, N, 0.5, N, N, 0.5),
    (b"1.", N, N, 1.0, 1, 1, 1.0),
    (b"1e", N, N, N, 1, 1, 1.0),
    (b"1e5", N, N, 1e5, 1, 1, 1e5),
    (b"1e400", N, N, N, 1, 1, R),
    (b"1e-400", N, N, 0.0, 1, 1, R),
    (b"1e-310", N, N, 1e-310, 1, 1, R),
    (b"0x1p-1074", N, N, N, 0, 0, 5e-324),
    (b"inf", N, N, N, N, N, math.inf),
    (b"1\0002", N, N, N, 1, 1, 1.0),
    (b"true", N, N, N, N, N, N),
]


@pytest.mark.parametrize("row", SEEN, ids=[repr(row[0]) for row in SEEN])
def test_cpp_conversions(row: tuple[Any, ...]) -> None:
    converters: tuple[Callable[[bytes], Any], ...] = (
        numbers.stream_int,
        numbers.stream_unsigned,
        numbers.stream_double,
        numbers.std_stoi,
        numbers.std_stoul,
        numbers.std_stod,
    )
    for convert, wanted in zip(converters, row[1:], strict=True):
        if wanted in (N, R):
            with pytest.raises(wanted):
                convert(row[0])
        else:
            assert convert(row[0]) == wanted, convert.__name__


@given(text=st.binary(max_size=30))
@example(text=b"100000000000000000000")
@example(text=b"0." + b"0" * 5000 + b"1e4690")
@example(text=b"0x1p-" + b"0" * 5000 + b"1074")
@example(text=b"1e-" + b"0" * 5000 + b"320")
def test_any_bytes_are_a_number_or_not(text: bytes) -> None:
    """Whether there is a number, and which: of the longest prefix that Python reads, too."""
    digits = re.match(rb"[ \t-\r]*([+-]?[0-9]+)", text)
    for convert, low, high in ((numbers.std_stoi, -(2**31), 2**31 - 1), (numbers.std_stoul, -(2**64) + 1, 2**64 - 1)):
        if digits is None:
            with pytest.raises(NotANumber):
                convert(text)
        elif not low <= int(digits[1]) <= high:
            with pytest.raises(OutOfRange):
                convert(text)
        else:
            assert convert(text) == (int(digits[1]) if low == -(2**31) else int(digits[1]) % 2**64)
    for stream, kind in ((numbers.stream_int, int), (numbers.stream_double, float)):
        try:
            value = stream(text)
        except (NotANumber, OutOfRange):
            continue
        assert type(value) is kind
        assert stream(text + b" \n") == value, "blanks behind it are allowed"
    try:
        value = numbers.std_stod(text)
    except (NotANumber, OutOfRange):
        return
    lengths = [length for length in range(1, len(text) + 1) if _is_decimal(text[:length])]
    if lengths and not re.match(rb"[ \t-\r]*[+-]?0[xX]", text):
        assert value == pytest.approx(float(text[: lengths[-1]]), nan_ok=True, rel=0)


def _is_decimal(text: bytes) -> bool:
    return (
        re.fullmatch(rb"[ \t-\r]*[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|(?i:inf(inity)?|nan))", text)
        is not None
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (numbers.float32(0.2), 0.200000003),
        (numbers.float32(1 / 255), 0.00392156886),
        (1.0, 1),
        (-1.0, -1),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (numbers.float32(1e39), "inf"),
        (math.inf, "inf"),
        (2147483648.0, 2147483650),
        (2.0**53 + 2e3, 9007199250000000),  # rounded, it is below 2**53
        (2.0**53 + 1e7, 9007199260000000.0),
        (-(2.0**53) - 2e3, -9007199250000000),
        (-(2.0**53) - 1e7, -9007199260000000.0),
    ],
)
def test_floats_are_reported_with_nine_digits(value: float, shown: object) -> None:
    found = numbers.nine_digits(value)
    assert (found, type(found)) == (shown, type(shown))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1 / 255, "0.003921569"),
        (0.5, "0.5"),
        (9.7790407, "9.77904"),
        (9.3033322, "9.303332"),
        (11.0405522, "11.040552"),
        (116.0810546875, "116.081055"),
    ],
)
def test_a_number_to_write_has_as_few_digits_as_a_float32_needs(value: float, shown: str) -> None:
    assert numbers.shortest(value) == shown


def test_32_bits() -> None:
    assert numbers.signed32(2**32 - 1) == -1
    assert numbers.signed32(2**31 - 1) == 2**31 - 1


@pytest.mark.parametrize("start", [b"0x", b"0", b""])
def test_long_texts_that_are_no_number_take_no_time(start: bytes) -> None:
    for digit in (b"0", b"1"):
        for read in (numbers.stream_int, numbers.stream_unsigned, numbers.stream_double):
            with pytest.raises(numbers.NotANumber):
                read(start + digit * 10**6 + b"x")
