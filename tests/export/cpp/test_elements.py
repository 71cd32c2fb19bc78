"""The numbers between an array's braces: every spelling gives the same bytes, whatever way they are read."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import InputError
from convert.export.cpp_arrays import read_elements
from convert.export.cpp_scanner import Scanner
from tests.examples import examples


def read(body: str, *, signed: bool = False) -> list[int]:
    """The elements of `{ body }`, and that the cursor stands behind the closing brace."""
    scanner = Scanner(f"{{{body}}}; rest".encode())
    scanner.position = 1
    values = list(read_elements(scanner, signed=signed))
    assert scanner.data[scanner.position :] == b"; rest"
    return values


def lines(data: bytes, *, per_line: int = 12, spelling: str = "0x{:02x}", indent: str = "  ", end: str = ",\n") -> str:
    rows = [
        ", ".join(spelling.format(value) for value in data[at : at + per_line]) for at in range(0, len(data), per_line)
    ]
    return "\n" + end.join(indent + row for row in rows) + "\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", []),
        (" \n ", []),
        ("1", [1]),
        ("1,2,", [1, 2]),
        ("0x1C, 0X1c, 28, 034, 0b11100, 0x1'c, 28u, 28UL", [28] * 8),
        ("'a', '\\n', '\\0', '\\x1c', '\\34', '\\'', '\\\\', ',', '}'", [97, 10, 0, 28, 28, 39, 92, 44, 125]),
        ("(unsigned char)28, (uint8_t) 0x1c", [28, 28]),
        ("+1", [1]),
        ("1, // } 2,\n 3 /* }, */, 4", [1, 3, 4]),
        ("1,\n#if 0\n2,\n#else\n3,\n#endif\n4", [1, 3, 4]),
        ("1,\\\n 2", [1, 2]),
    ],
)
def test_spellings(body: str, expected: list[int]) -> None:
    assert read(body) == expected


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        ("1, 256", 1, "'256' is not a number from 0 to 255"),
        ("1,\n\n-1", 3, "'-1' is not a number from 0 to 255"),
        ("1,,2", 1, "a number is missing between two commas"),
        (",", 1, "a number is missing between two commas"),
        ("1 2", 1, "'1 2' is not a number from 0 to 255"),
        ("0x", 1, "'0x' is not a number from 0 to 255"),
        ("08", 1, "'08' is not a number from 0 to 255"),
        ("1.5", 1, "'1.5' is not a number from 0 to 255"),
        ("1 + 1", 1, "'1 + 1' is not a number from 0 to 255"),
        ("RESET", 1, "'RESET' is not a number from 0 to 255"),
        ("1, RESET, 256, x, y", 1, "'RESET' is not a number from 0 to 255"),
        ('"abc"', 1, "'\"abc\"' is not a number from 0 to 255"),
        ("{1}", 1, "'{1' is not a number from 0 to 255"),
        ("'ab'", 1, "\"'ab'\" is not a number from 0 to 255"),
        ("0x1c0x1d", 1, "'0x1c0x1d' is not a number from 0 to 255"),
    ],
)
def test_what_is_no_byte_is_named_with_its_line(body: str, line: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(body)
    assert (caught.value.message, caught.value.line) == (f"in the array, {message}", line)
    assert caught.value.hint == "export or download the file again"


def test_signed_bytes() -> None:
    assert read("-1, -128, - 2, 127, 255, -0", signed=True) == [255, 128, 254, 127, 255, 0]
    with pytest.raises(InputError, match=r"^in the array, '-129' is not a number from 0 to 255$"):
        read("-129", signed=True)


@pytest.mark.parametrize("body", ["1, 2", "0x00, " * 10, "1, /* } */", "1 // }"])
def test_a_brace_that_never_closes(body: str) -> None:
    scanner = Scanner(f"{{{body}".encode())
    scanner.position = 1
    with pytest.raises(InputError, match=r"^the array is not closed: the file is cut off$"):
        read_elements(scanner, signed=False)


@pytest.mark.parametrize("cell", ["0x1 c", "0x\n1c", "0 x1c", "0x1g", "1x1c", "0x1c 0x1c", "0x\v\v", "0x\f1"])
def test_one_cell_among_regular_ones_that_is_no_byte(cell: str) -> None:
    for body in (f"0x01, 0x02, {cell}, 0x03,", f"{cell}, 0x03", f"0x03, {cell}"):
        scanner = Scanner(f"{{{body}}}".encode())
        scanner.position = 1
        with pytest.raises(InputError, match="is not a number"):
            read_elements(scanner, signed=False)


SIZES = [0, 1, 11, 12, 13, 96, 97, 12 * 8, 12 * 4096 - 1, 12 * 4096, 12 * 4096 + 5, 3 * 12 * 4096 + 100]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("spelling", ["0x{:02x}", "0X{:02X}", "{}"])
@pytest.mark.parametrize("per_line", [12, 1_000_000])
def test_block_borders(size: int, spelling: str, per_line: int) -> None:
    data = random.Random(size).randbytes(size)
    assert bytes(read(lines(data, spelling=spelling, per_line=per_line))) == data


@pytest.mark.parametrize("spelling", ["0x{:02x}", "{}", "/* , */ 0x{:02x}"])
@pytest.mark.parametrize("per_line", [12, 1_000_000])
def test_memory_stays_in_proportion(spelling: str, per_line: int) -> None:
    body = lines(bytes(range(256)) * 200, spelling=spelling, per_line=per_line)
    scanner = Scanner(f"{{{body}}}".encode())
    scanner.position = 1
    tracemalloc.start()
    try:
        read_elements(scanner, signed=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # 2 MB for the blocks of the fast way, whatever the size.
    assert peak < 10 * len(body) + (2 << 20)


@pytest.mark.parametrize("per_line", [1, 2, 7, 16, 400])
@pytest.mark.parametrize("end", [",\n", ",\r\n", ", \t\n"])
def test_line_layouts(per_line: int, end: str) -> None:
    data = random.Random(7).randbytes(5000)
    assert bytes(read(lines(data, per_line=per_line, indent="\t", end=end))) == data


@pytest.mark.parametrize("at", [0, 5, 4999, 30000, 49151])
@pytest.mark.parametrize("damage", ["0xg1", "0x1", "0x111", "1x11", "0x1:", "0x@1", "0x1 "])
def test_one_odd_number_in_a_regular_block(at: int, damage: str) -> None:
    """The fast way must see it, and what C allows must still be read right."""
    data = random.Random(1).randbytes(12 * 4096)
    cells = [f"0x{value:02x}" for value in data]
    cells[at] = damage
    rows = [", ".join(cells[start : start + 12]) for start in range(0, len(cells), 12)]
    body = "\n  " + ",\n  ".join(rows) + "\n"
    if damage.strip() == "0x1":
        assert bytes(read(body)) == data[:at] + b"\x01" + data[at + 1 :]
    else:
        with pytest.raises(InputError) as caught:
            read(body)
        assert caught.value.line == at // 12 + 2


def test_comments_and_groups_between_many_lines() -> None:
    data = random.Random(2).randbytes(12 * 300)
    body = lines(data).replace("\n  ", "\n  /* } */ ").replace(",\n", ", // {'\n", 50)
    assert bytes(read(body + "\n#if 0\n 1,\n#endif\n")) == data


def test_many_odd_pieces() -> None:
    """A way that looks at everything again for each piece would not end in the suite's time."""
    assert len(read("1, /**/" * 50_000 + "1")) == 50_001


def test_blanks_behind_a_cast_are_read_once() -> None:
    with pytest.raises(InputError, match="is not a number"):
        read("(char)" + " " * 100_000 + "x")


CELLS = st.sampled_from(["0x{:02x}", "0X{:02X}", "{}", "0{:o}", "0b{:b}", "0x{:02x}u", "{}UL"])
BLANKS = st.sampled_from(["", " ", "\n", "\t", " /* , } */ ", "// }\n", "\n#if 0\n7,\n#endif\n", "\\\n"])


@examples(200)
@given(st.lists(st.tuples(st.integers(0, 255), CELLS, BLANKS, BLANKS), max_size=30), st.booleans())
def test_any_spelling_of_any_bytes(items: list[tuple[int, str, str, str]], trailing: bool) -> None:
    body = ",".join(f"{before}{cell.format(value)}{behind}" for value, cell, before, behind in items)
    assert read(body + ("," if trailing and items else "")) == [value for value, *_ in items]


@examples(200)
@given(st.text("0123456789xXabfuUlL'\"{}/*#\\,+- \n()", max_size=60))
def test_any_body_is_read_or_refused(body: str) -> None:
    scanner = Scanner(f"{{{body}}}".encode())
    scanner.position = 1
    try:
        values = read_elements(scanner, signed=False)
    except InputError as error:
        assert error.line  # noqa: PT017 - the error is one of two right outcomes
    else:
        assert len(values) <= len(body)
