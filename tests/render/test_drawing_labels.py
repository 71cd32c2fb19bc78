"""Labels: inside the picture, beside their box, and apart from each other where there is room."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.render.drawing import Area, Chip, placed, set_line, style_of
from tests.examples import examples

WITHIN = Area(0, 0, 400, 300)


def chip(text: str = "apple 0.93") -> Chip:
    return Chip((set_line(text, 14, 400),), style_of(1, 0), 2)


def shared(one: Area, other: Area) -> int:
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    return max(0, width) * max(0, height)


@st.composite
def areas(draw: st.DrawFn) -> Area:
    left, top = draw(st.integers(0, 399)), draw(st.integers(0, 299))
    return Area(left, top, draw(st.integers(left + 1, 400)), draw(st.integers(top + 1, 300)))


@examples(80)
@given(st.lists(areas(), max_size=12), st.lists(areas(), max_size=3))
def test_labels_stay_in_the_picture_beside_their_box_and_legible(boxes: list[Area], others: list[Area]) -> None:
    one = chip()
    places = placed([one] * len(boxes), boxes, others, WITHIN)
    assert len(places) == len(boxes)
    for index, (place, box) in enumerate(zip(places, boxes, strict=True)):
        if place is None:
            assert index > 0, "there is room for the first"
            continue
        assert (place.right - place.left, place.bottom - place.top) == (one.width, one.height)
        assert place.left >= 0
        assert place.top >= 0
        assert place.right <= 400
        assert place.bottom <= 300
        assert place.left <= box.right
        assert place.right >= box.left
        assert place.top <= box.bottom
        assert place.bottom >= box.top
        before = [other for other in places[:index] if other is not None]
        assert sum(shared(place, other) for other in before) <= 0.25 * one.width * one.height


def test_above_the_box_when_nothing_is_there() -> None:
    one = chip()
    (place,) = placed([one], [Area(100, 100, 200, 200)], [], WITHIN)
    assert place == Area(100, 100 - one.height, 100 + one.width, 100)


def test_below_the_box_at_the_upper_edge() -> None:
    one = chip()
    (place,) = placed([one], [Area(100, 0, 200, 50)], [Area(100, 0, 200, 49)], WITHIN)
    assert place is not None
    assert place.top == 50


def test_neighbours_do_not_cover_each_other() -> None:
    boxes = [Area(100 + 4 * i, 100 + 3 * i, 200, 200) for i in range(5)]
    places = [place for place in placed([chip()] * 5, boxes, [], WITHIN) if place is not None]
    assert len(places) == 5
    assert all(shared(a, b) == 0 for i, a in enumerate(places) for b in places[:i])


def test_a_label_larger_than_the_picture_begins_in_it() -> None:
    (place,) = placed([chip("x" * 50)], [Area(5, 5, 10, 10)], [], Area(0, 0, 50, 10))
    assert place is not None
    assert (place.left, place.top) == (0, 0)


@pytest.mark.parametrize(("room", "hidden"), [(0.75, 0.25), (0.7, None)])
def test_a_quarter_of_a_label_may_be_hidden(room: float, hidden: float | None) -> None:
    one = Chip((replace(set_line("apple", 14, 400), width=96, ascent=36, descent=0),), style_of(1, 0), 2)
    assert (one.width, one.height) == (100, 40)
    within = Area(0, 0, 100, 40 + round(40 * room))
    first, second = placed([one] * 2, [Area(0, 40, 100, within.bottom)] * 2, [], within)
    assert first == Area(0, 0, 100, 40)
    assert (second and shared(first, second) / 4000) == hidden
