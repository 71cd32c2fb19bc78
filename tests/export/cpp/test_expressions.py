"""Integer expressions of conditions and macros."""

from __future__ import annotations

import itertools
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.export.cpp_scanner import evaluate, integer_literal, real_literal
from tests.examples import examples

MACROS = {
    b"A": b"(B + B)",
    b"B": b"4",
    b"SELF": b"SELF",
    b"EMPTY": b"",
    b"L": b"0x10UL",
    b"LOOP": b"POOL",
    b"POOL": b"LOOP",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("A == 8 && !defined(X)", 1),
        ("defined A || defined(X)", 1),
        ("L | 017", 31),
        ("1 ? 2 : 3 ? 4 : 5", 2),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("~0", -1),
        ("1 << 65", 2),
        ("X", 0),
        ("SELF + 1", 1),
        ("LOOP", 0),
        ("EMPTY", 0),
        ("true && !false", 1),
        ("__has_include(<a/b.h>) || 1", 1),
        ("0x7fffffffffffffff + 1", -(1 << 63)),
        ("0b101 + 1'000", 1005),
    ],
)
def test_values(text: str, value: int) -> None:
    assert evaluate(text.encode(), MACROS) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(",
        "1 +",
        "1 2",
        "1 / 0",
        "1 % 0",
        "'a'",
        "f(",
        "1 ? 2",
        "09",
        "1.5",
        "(" * 100 + "1" + ")" * 100,
        "1" * 500,
    ],
)
def test_no_value(text: str) -> None:
    assert evaluate(text.encode(), MACROS) is None


@pytest.mark.parametrize("text", ["X", "1 + X", "SELF", "EMPTY", "f(1)"])
def test_strict_wants_known_names(text: str) -> None:
    assert evaluate(text.encode(), MACROS, strict=True) is None
    assert evaluate(b"A + 1", MACROS, strict=True) == 9


@pytest.mark.parametrize("before", [b"", b"(1) + " * 40, b"ONE + " * 40, b"(1 ? 1 : 1) + " * 40])
def test_the_deepest_expression(before: bytes) -> None:
    """What is closed again before it does not count."""
    for depth, is_read in ((31, True), (32, False)):
        value = evaluate(before + b"(" * depth + b"1" + b")" * depth, {b"ONE": b"1"})
        assert value == ((41 if before else 1) if is_read else None)


def test_macros_that_double_end() -> None:
    """Few enough levels for the limit on their depth: what ends it is the number of operands."""
    macros = {b"M%d" % at: b"M%d + M%d" % (at + 1, at + 1) for at in range(18)}
    assert evaluate(b"M0", macros) is None
    assert evaluate(b"M10", macros) == 0
    deep = {b"M%d" % at: b"M%d" % (at + 1) for at in range(100)}
    assert evaluate(b"M0", deep) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("010", 8),
        ("0x1C", 28),
        ("0b11", 3),
        ("0", 0),
        ("12u", 12),
        ("1'0", 10),
        ("08", None),
        ("x", None),
        ("1f", None),
        ("0x", None),
    ],
)
def test_literals(text: str, value: int | None) -> None:
    assert integer_literal(text.encode()) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", 0.5),
        ("0.5f", 0.5),
        ("-1e3", -1000),
        (".25", 0.25),
        ("1.", 1),
        (" 0 ", 0),
        ("0,5", None),
        ("a", None),
        ("", None),
    ],
)
def test_reals(text: str, value: float | None) -> None:
    assert real_literal(text.encode()) == value


OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
}
TREES = st.recursive(
    st.integers(0, 999).map(lambda value: (str(value), value)),
    lambda inner: st.tuples(inner, st.sampled_from(sorted(OPERATORS)), inner).map(
        lambda item: (f"({item[0][0]} {item[1]} {item[2][0]})", OPERATORS[item[1]](item[0][1], item[2][1]))
    ),
    max_leaves=8,
)


@examples(150)
@given(TREES)
def test_as_python_computes(tree: tuple[str, int]) -> None:
    text, value = tree
    wrapped = (value + (1 << 63)) % (1 << 64) - (1 << 63)
    assert evaluate(text.encode(), {}) == wrapped


LEVELS = ["||", "&&", "|", "^", "&", "== !=", "< > <= >=", "<< >>", "+ -", "* / %"]


@pytest.mark.parametrize("level", range(len(LEVELS)))
def test_what_binds_closer(level: int) -> None:
    """As C has it; of one level from the left."""
    for other in range(level, len(LEVELS)):
        for weak, strong in itertools.product(LEVELS[level].split(), LEVELS[other].split()):
            for a, b, c in ((7, 2, 3), (1, 4, 2), (0, 5, 6), (9, 1, 1)):
                found = [f"{a} {weak} {b} {strong} {c}", f"{a} {strong} {b} {weak} {c}"]
                meant = [f"{a} {weak} ({b} {strong} {c})", f"({a} {strong} {b}) {weak} {c}"]
                if level == other:
                    meant[0] = f"({a} {weak} {b}) {strong} {c}"
                assert [evaluate(text.encode(), {}) for text in found] == [
                    evaluate(each.encode(), {}) for each in meant
                ]


@examples(200)
@given(st.text("AB01()+-*/%<>=!&|?:'xX. \\", max_size=30))
def test_anything_has_a_value_or_none(text: str) -> None:
    """Of 64 bits with a sign, and no other in brackets or beside 0."""
    value = evaluate(text.encode(), MACROS)
    assert value is None or -(1 << 63) <= value < 1 << 63
    if value is not None:
        assert evaluate(f"({text})".encode(), MACROS) == value
        assert evaluate(f"0 + ({text})".encode(), MACROS) == value
