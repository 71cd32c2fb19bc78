from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from convert.export import cpp_arrays

MOST = 1 << 30


@pytest.mark.parametrize(
    ("body", "dtype", "values"),
    [
        (b"", "i4", []),
        (b" \n", "i4", []),
        (b" 1, 2,\n 3, ", "i1", [1, 2, 3]),
        (b"0x10, 0X1f, 0b11, 017, 5u, 6UL", "u1", [16, 31, 3, 15, 5, 6]),
        (b"-0x10, +5, - 3", "i2", [-16, 5, -3]),
        (b"1.5f, 2, .5, 1e-05, 5., -0.0", "f4", [1.5, 2, 0.5, 1e-05, 5, -0.0]),
        (b"true, false", "?", [True, False]),
        (b"9223372036854775807, -9223372036854775808", "i8", [2**63 - 1, -(2**63)]),
        (b"18446744073709551615", "u8", [2**64 - 1]),
        (b"0.5", "f8", [0.5]),
    ],
)
def test_every_spelling_of_c(body: bytes, dtype: str, values: list[float]) -> None:
    result = cpp_arrays.array(body, np.dtype(dtype), MOST)
    assert result.dtype == dtype
    assert result.tolist() == np.array(values, dtype).tolist()


@pytest.mark.parametrize(
    ("body", "dtype"),
    [
        *(
            (body, "i4")
            for body in (b"1,,2", b",", b",1", b"1,2,,", b"1 2", b"1;2", b"x", b"--1", b"0x", b"09", b"1.5")
        ),
        *((body, "f4") for body in (b"nan", b"inf", b"-infinity", b"1e40", b"1,nan", b"0x1p3", b"1.0.0", b"1e")),
        *((body, "i1") for body in (b"128", b"-129", b"99999999999999999999999")),
        (b"-1", "u1"),
        (b"2", "?"),
        (b"9223372036854775808", "i8"),
        (b"1" * 5000, "i8"),
    ],
)
def test_everything_else_is_refused(body: bytes, dtype: str) -> None:
    with pytest.raises(ValueError, match=r"^.+"):
        cpp_arrays.array(body, np.dtype(dtype), MOST)


@given(values=arrays.arrays(np.int8, st.integers(0, 200)))
def test_int8_comes_back(values: np.ndarray[tuple[int], np.dtype[np.int8]]) -> None:
    body = ", ".join(map(str, values.tolist())).encode()
    assert np.array_equal(cpp_arrays.array(body, np.dtype("i1"), MOST), values)


@given(
    values=arrays.arrays(
        np.float32, st.integers(0, 50), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    )
)
def test_floats_of_17_digits_come_back_bit_for_bit(values: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
    body = ", ".join(f"{float(value):.17g}" for value in values).encode()
    assert cpp_arrays.array(body, np.dtype("f4"), MOST).tobytes() == values.tobytes()


def test_pieces_join_without_a_seam() -> None:
    values = list(range(-300, 300))
    body = ", ".join(map(str, values)).encode() + b" , "
    assert cpp_arrays.array(body, np.dtype("i2"), MOST, piece=7).tolist() == values
    with pytest.raises(ValueError, match=r"^a number is missing$"):
        cpp_arrays.array(b"1, 2, 3, , 4, 5", np.dtype("i2"), MOST, piece=7)


def test_reading_stops_beyond_the_bound() -> None:
    with pytest.raises(ValueError, match=r"^there are more than its 5 elements$"):
        cpp_arrays.array(b"1, " * 10 + b"nonsense", np.dtype("i2"), 5, piece=7)
