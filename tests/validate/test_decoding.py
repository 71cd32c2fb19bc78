"""What is said of a graph that decodes its raw outputs otherwise than the reference, on numbers that are exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convert.findings import Rule
from convert.heads.decoding import ReferenceDecoder
from convert.types import Head
from convert.validate.comparison import Decoding

HEAD = Head("yolov5", ("a", "b"), score="product", coordinates="relative")
ROW = [0.5, 0.25, 0.5, 0.25, 0.5, 0.25, 0.5]  # centre x, y, width, height, objectness, two classes
BOX = [0.125, 0.25, 0.375, 0.75]
STEP = 13 * 2.0**-20  # 1.24e-5, just more than is right


def judged(*pictures: tuple[list[float], float, float], rows: list[float] | None = None) -> Decoding:
    """The judge after pictures p0, p1, ..., each of one candidate, given as box, score and class."""
    decoding = Decoding(ReferenceDecoder(HEAD, 64, 32))
    for number, (box, score, label) in enumerate(pictures):
        shipped: list[Any] = [np.array(each, np.float32) for each in ([[box]], [[score]], [[label]])]
        decoding.add([f"p{number}"], [np.array([[rows or ROW]], np.float32)], shipped)
    return decoding


def said(decoding: Decoding) -> list[str]:
    found = decoding.findings()
    assert all(each.hint == Rule(each.id).fix for each in found)
    return [f"{each.id} {each.message}" for each in found]


DIFFER = "EI440 the decoded outputs differ by up to {} from what the raw ones mean{}"


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        ([(BOX, 0.25, 1)], []),
        ([(BOX, 0.25 + STEP / 2, 1)], []),
        ([(BOX, 0.25 + STEP, 1)], [DIFFER.format("1.24e-05", ", first on 'p0'")]),
        ([(BOX, 0.25 - STEP, 1)], [DIFFER.format("1.24e-05", ", first on 'p0'")]),
        ([([0.125, 0.25, 0.375, 1], 0.25, 1)], [DIFFER.format("0.25", ", first on 'p0'")]),
        ([(BOX, 0.25, 0)], [DIFFER.format("0", ", 1 of the classes differ")]),
        ([(BOX, 0.25, 0)] * 2, [DIFFER.format("0", ", 2 of the classes differ")]),
        ([(BOX, 0.5, 1), (BOX, 0.5, 0)], [DIFFER.format("0.25", ", 1 of the classes differ, first on 'p0'")]),
        ([(BOX, 0.5, 1), (BOX, 1, 1)], [DIFFER.format("0.75", ", first on 'p1'")]),
        ([(BOX, 1, 1), (BOX, 0.5, 1)], [DIFFER.format("0.75", ", first on 'p0'")]),
        ([(BOX, 0.25, 1), (BOX, np.nan, 1)], [DIFFER.format("inf", ", first on 'p1'")]),
    ],
)
def test_a_difference_of_what_is_decoded(pictures: list[Any], expected: list[str]) -> None:
    assert said(judged(*pictures)) == expected


def test_far_from_the_picture_a_step_is_larger() -> None:
    box, rows = [0.125, -4.25 + 2 * STEP, 0.375, -3.75], [-4, *ROW[1:]]
    assert 1e-6 < judged((box, 0.25, 1), rows=rows).difference < 1e-5


def test_what_is_no_number_in_both_is_no_difference() -> None:
    rows = [*ROW[:4], np.nan, *ROW[5:]]
    assert judged((BOX, np.nan, 1), rows=rows).difference == 0


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (0.5, 0.5, ""), (0.03125, 0.0625, ""), (0.0625, 0.03125, ""), (0.046875, 0.03125, ""),
        (0.03125, 0.03125, "(0.0312, 0.0312)"), (1.75, 0.5, ""), (16, 8, "(16, 8)"), (0.5, 2.5, "(0.5, 2.5)"),
    ],
)  # fmt: skip
def test_boxes_lie_in_the_picture(x: float, y: float, expected: str) -> None:
    box = [y - 0.25, x - 0.25, y + 0.25, x + 0.25]
    found = said(judged((box, 0.25, 1), rows=[x, y, 0.5, 0.5, 0.5, 0.25, 0.5]))
    message = f"EI441 the middle of all candidate boxes is at {expected} of the picture's width and height"
    assert found == [message] * bool(expected)
