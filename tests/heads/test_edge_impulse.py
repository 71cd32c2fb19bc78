"""Raw outputs to results, against the rules written out step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.heads import decoding as decode
from convert.heads.base import Rules
from convert.types import Limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.heads.decoding import Box

AB = ("a", "b")


def heat(*rows: str, level: float = 0.9) -> NDArray[np.float32]:
    """A map from pictures of it: "a" and "b" are cells of a label, "x" of both."""
    grid = np.zeros((len(rows), len(rows[0]), 2), np.float32)
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            for label in range(2):
                grid[y, x, label] = level if cell in (AB[label], "x") else 0.01
    return grid


def places(boxes: list[Box]) -> list[tuple[str, int, int, int, int]]:
    return [(box.label, box.x, box.y, box.width, box.height) for box in boxes]


def test_classification() -> None:
    scores = np.array([[0.25, 0.75]], np.float32)
    assert decode.classification(scores, AB) == {"a": 0.25, "b": 0.75}
    with pytest.raises(ValueError, match=r"shorter|longer"):
        decode.classification(scores, ("a",))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("....", "...."), []),
        (("a...", "...."), [("a", 0, 0, 8, 8)]),
        (("aa..", "aa.."), [("a", 0, 0, 16, 16)]),
        (("a...", ".a.."), [("a", 0, 0, 16, 16)]),  # corners touch
        (("a.a.", "...."), [("a", 0, 0, 8, 8), ("a", 16, 0, 8, 8)]),
        (("ab..", "...."), [("a", 0, 0, 8, 8), ("b", 8, 0, 8, 8)]),
        (("x...", "...."), [("a", 0, 0, 8, 8), ("b", 0, 0, 8, 8)]),
        ((".a..", "a..."), [("a", 0, 0, 16, 16)]),  # grows to the left
        (("a.a.", "aaa."), [("a", 0, 0, 24, 16)]),  # two boxes become one late
    ],
)  # fmt: skip
def test_fomo_cells_that_touch_are_one_box(rows: tuple[str, ...], expected: list[object]) -> None:
    assert places(decode.fomo(heat(*rows), Rules(AB, 0.5, (16, 32)))) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((".a..", "a..."), [("a", 0, 0, 8, 16)]),  # the right column is lost
        ((".aaa", "a..."), [("a", 0, 0, 24, 16)]),
        (("..aa", ".a..", "a..."), [("a", 0, 0, 16, 24)]),
        (("aa..", "aa.."), [("a", 0, 0, 16, 16)]),
        (("a.a.", "aaa."), [("a", 0, 0, 24, 16)]),
    ],
)
def test_the_slips_of_the_sdk(rows: tuple[str, ...], expected: list[object]) -> None:
    assert places(decode.fomo(heat(*rows), Rules(AB, 0.5, (8 * len(rows), 32), as_sdk=True))) == expected


def test_a_late_touch_is_dropped_by_the_sdk() -> None:
    rows = ("a..a", "....", ".aa.")  # the middle box joins neither of the two at first
    grown = ("a...a", ".....", "..a..", ".a.a.")
    assert len(decode.fomo(heat(*rows), Rules(AB, 0.5, (24, 32)))) == 3
    apart = ("a....", ".a..a", "...a.")
    ours = places(decode.fomo(heat(*apart), Rules(AB, 0.5, (24, 40))))
    theirs = places(decode.fomo(heat(*apart), Rules(AB, 0.5, (24, 40), as_sdk=True)))
    assert ours != theirs
    assert len(decode.fomo(heat(*grown), Rules(AB, 0.5, (32, 40)))) == 3


def test_fomo_scores_and_threshold() -> None:
    grid = heat("aa")
    grid[0, 1, 0] = 0.7
    (box,) = decode.fomo(grid, Rules(AB, 0.5, (8, 16)))
    assert box.value == np.float32(0.9)
    (box,) = decode.fomo(grid, Rules(AB, 0.7, (8, 16)))
    assert box.width == 16, "at the threshold is found"
    (box,) = decode.fomo(grid, Rules(AB, 0.71, (8, 16)))
    assert box.width == 8
    grid[0, 0, 0] = np.nan
    assert len(decode.fomo(grid, Rules(AB, 0.5, (8, 16)))) == 1


def test_cells_that_do_not_divide_the_picture_are_cut() -> None:
    grid = np.full((85, 85, 1), 0.9, np.float32)
    (box,) = decode.fomo(grid, Rules(("a",), 0.5, (676, 676)))
    assert (box.width, box.height) == (85 * 7, 85 * 7)


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 1 << 30), st.booleans())
def test_every_cell_is_in_a_box_of_its_label(rows: int, columns: int, seed: int, dense: bool) -> None:
    random = np.random.default_rng(seed)
    grid = random.random((rows, columns, 2)).astype(np.float32) ** (1 if dense else 4)
    boxes = decode.fomo(grid, Rules(AB, 0.5, (rows, columns)))
    for row, column, label in np.argwhere(grid >= np.float32(0.5)):
        inside = [
            box for box in boxes
            if box.label == AB[label] and box.x <= column < box.x + box.width and box.y <= row < box.y + box.height
        ]  # fmt: skip
        assert len(inside) == 1
        assert inside[0].value >= grid[row, column, label]
    for one in boxes:
        for other in boxes:
            if one is not other and one.label == other.label:
                apart_x = one.x + one.width < other.x or other.x + other.width < one.x
                apart_y = one.y + one.height < other.y or other.y + other.height < one.y
                assert apart_x or apart_y, "boxes of a label do not touch"


def rows_of(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def test_yolov5_scores_by_objectness_and_takes_the_likeliest_label() -> None:
    rows = rows_of(
        [0.5, 0.5, 0.25, 0.5, 0.8, 0.1, 0.9],
        [0.1, 0.1, 0.1, 0.1, 0.6, -0.4, -0.3],  # nothing above 0: the first label
        [0.9, 0.9, 0.1, 0.1, 0.7, 0.6, 0.9],
        [0.1, 0.9, 0.1, 0.1, 0.55, 0.6, 0.6],  # alike: the first
        [0.9, 0.1, 0.1, 0.1, 0.49, 0.9, 0.9],
        [0.9, 0.1, 0.1, 0.1, 1.01, 0.9, 0.9],
    )
    found = decode.yolov5(rows, Rules(AB, 0.5, (64, 96)))
    assert [box.label for box in found] == ["b", "b", "a", "a"]
    assert [box.value for box in found] == pytest.approx([0.8, 0.7, 0.6, 0.55])
    assert places(found)[0] == ("b", 36, 16, 24, 32)


def test_yolov5_keeps_the_size_of_a_box_over_the_edge() -> None:
    (box,) = decode.yolov5(rows_of([0.0, 0.0, 0.5, 0.5, 0.9, 0.9, 0.0]), Rules(AB, 0.5, (64, 96)))
    assert places([box]) == [("a", 0, 0, 48, 32)], "as the SDK does: only the corner moves"
    (box,) = decode.yolov5(rows_of([1.0, 0.75, 0.5, 1.0, 0.9, 0.9, 0.0]), Rules(AB, 0.5, (64, 96)))
    assert places([box]) == [("a", 72, 16, 24, 48)], "on the other side the box ends with the picture"


def test_yolov5_suppresses_as_the_export_says() -> None:
    rows = rows_of([0.5, 0.5, 0.5, 0.5, 0.8, 0.9, 0.1], [0.6, 0.5, 0.5, 0.5, 0.9, 0.1, 0.9])
    assert len(decode.yolov5(rows, Rules(AB, 0.5, (100, 100), 0.6))) == 1
    assert len(decode.yolov5(rows, Rules(AB, 0.5, (100, 100), 0.7))) == 2


def test_yolov5_suppresses_over_all_labels_from_a_fifth() -> None:
    rows = rows_of([0.5, 0.5, 0.5, 0.5, 0.8, 0.9, 0.1], [0.55, 0.5, 0.5, 0.5, 0.9, 0.1, 0.9])
    assert [box.label for box in decode.yolov5(rows, Rules(AB, 0.5, (100, 100)))] == ["b"]
    # 100 of 500 pixels are 0.2: an overlap
    rows = rows_of([0.15, 0.5, 0.3, 1.0, 0.9, 0.9, 0.1], [0.35, 0.5, 0.3, 1.0, 0.8, 0.9, 0.1])
    assert len(decode.yolov5(rows, Rules(AB, 0.5, (10, 100)))) == 1
    rows = rows_of([0.15, 0.5, 0.3, 1.0, 0.9, 0.9, 0.1], [0.36, 0.5, 0.3, 1.0, 0.8, 0.9, 0.1])
    assert len(decode.yolov5(rows, Rules(AB, 0.5, (10, 100)))) == 2


def test_what_is_no_number_is_no_box() -> None:
    nan, inf = float("nan"), float("inf")
    rows = rows_of(
        [nan, 0.5, 0.2, 0.2, 0.9, 0.9, 0.1], [0.5, 0.5, nan, 0.2, 0.9, 0.9, 0.1], [0.5, 0.5, 0.2, 0.2, nan, 0.9, 0.1],
        [0.5, 0.5, inf, 0.2, 0.9, 0.9, 0.1], [0.5, 0.5, -0.2, 0.2, 0.9, 0.9, 0.1],
    )  # fmt: skip
    assert decode.yolov5(rows, Rules(AB, 0.5, (64, 96))) == []
    corners = rows_of([nan, 0, 1, 1], [0, 0, 1, 1])
    scores, classes = np.array([0.9, nan], np.float32), np.zeros(2, np.float32)
    assert decode.boxes(corners, scores, classes, Rules(AB, 0.5, (64, 96))) == []


def test_ssd_clamps_and_cuts() -> None:
    corners = rows_of([-0.5, 0.1, 0.999, 1.5], [0.5, 0.5, 0.4, 0.6])
    found = decode.ssd([corners, rows_of([1, 0]), rows_of([0.9, 0.8]), rows_of([2])], Rules(AB, 0.5, (100, 100)))
    assert places(found) == [("b", 10, 0, 90, 99), ("a", 50, 50, 10, 0)]
    assert decode.ssd([corners, rows_of([2, -1]), rows_of([0.9, 0.8]), rows_of([2])], Rules(AB, 0.5, (100, 100))) == []


def test_an_ssd_drops_what_overlaps_more_than_it_may() -> None:
    corners = rows_of([0, 0, 1, 0.6], [0, 0, 1, 1], [0, 0, 1, 0.59], [0, 0.7, 1, 0.8])
    scores = np.array([0.8, 0.9, 0.7, 0.6], np.float32)
    limits = Limits(100, 0.0, 0.6)
    assert decode.best(corners, scores, limits, 0.0) == [1, 0, 3], "equal to the limit is no overlap; 0.59/0.6 is"
    assert decode.best(corners, scores, Limits(2, 0.0, 0.6), 0.0) == [1, 0]
    assert decode.best(corners, scores, limits, 0.85) == [1]
    assert decode.best(corners, scores, None, 0.85) == [0, 1, 2, 3]


@given(st.integers(0, 1 << 30), st.integers(1, 30))
def test_suppression_one_box_at_a_time(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    boxes = random.integers(0, 20, (count, 4))
    scores = random.permutation(count).astype(np.float32)
    kept: list[int] = []
    for index in np.argsort(-scores):
        x, y, w, h = boxes[index]
        for other in kept:
            u, v, s, t = boxes[other]
            common = max(0, min(x + w, u + s) - max(x, u)) * max(0, min(y + h, v + t) - max(y, v))
            if common and common / (w * h + s * t - common) >= 0.2:
                break
        else:
            kept.append(int(index))
    assert decode.suppress(boxes, scores, np.float32(0.2)) == kept
