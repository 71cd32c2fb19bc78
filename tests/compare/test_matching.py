"""Which object is which, and when two answers are the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.compare import ComparedObject, Prediction, Score, Verdict
from convert.compare.ablation import Criteria, Outcome, compare_predictions, difference_text, pairs_of
from convert.images.scaling import Rect
from tests.examples import examples

_BOXES = Criteria(detects=True, cells=False, tolerance=0.1, pixel=2.0)
_CELLS = Criteria(detects=True, cells=True, tolerance=0.1, pixel=2.0)
_LABELS = Criteria(detects=False, cells=False, tolerance=0.1, pixel=1.0)


def _seen(
    left: float, top: float, size: float = 10, score: float = 0.9, label: str = "cat", number: int = 0
) -> ComparedObject:
    return ComparedObject(number, label, score, Rect(left, top, size, size))


def _verdict(ours: list[ComparedObject], theirs: list[ComparedObject], measure: Criteria = _BOXES) -> Verdict:
    return compare_predictions(Prediction(objects=tuple(ours)), Prediction(objects=tuple(theirs)), measure).verdict


def test_boxes_that_overlap_by_half_are_one_object() -> None:
    assert _verdict([_seen(0, 0)], [_seen(3, 0)]) is Verdict.SAME
    assert _verdict([_seen(0, 0)], [_seen(4, 0)]) is Verdict.DIFFERS  # 6/14
    (pair,) = pairs_of([_seen(0, 0)], [_seen(2, 1)], _BOXES)
    assert pair.what == "matched"
    assert pair.shift == 2
    assert pair.overlap == Rect(0, 0, 10, 10).overlap(Rect(2, 1, 10, 10)) == 72 / 128


def test_far_edges_and_other_scores_drift() -> None:
    assert _verdict([_seen(0, 0, 100)], [_seen(4, 0, 100)]) is Verdict.SAME
    assert _verdict([_seen(0, 0, 100)], [_seen(4.125, 0, 100)]) is Verdict.DRIFTS
    assert _verdict([_seen(0, 0, score=0.9)], [_seen(0, 0, score=0.795)]) is Verdict.DRIFTS
    assert _verdict([_seen(0, 0, score=0.9)], [_seen(0, 0, score=0.805)]) is Verdict.SAME
    assert _verdict([_seen(0, 0, 100)], [_seen(5, 0, 100)], _CELLS) is Verdict.SAME


@pytest.mark.parametrize("measure", [_BOXES, _CELLS, _LABELS])
def test_nothing_on_both_sides_is_the_same(measure: Criteria) -> None:
    assert compare_predictions(Prediction(), Prediction(), measure) == Outcome(Verdict.SAME, (), 0.0)


def test_cells_that_touch_are_one_object() -> None:
    assert _verdict([_seen(0, 0)], [_seen(10, 10)], _CELLS) is Verdict.SAME
    assert _verdict([_seen(0, 0)], [_seen(13, 0)], _CELLS) is Verdict.DIFFERS
    two = pairs_of([_seen(0, 0), _seen(10, 0)], [ComparedObject(0, "cat", 0.9, Rect(0, 0, 20, 10))], _CELLS)
    assert [pair.what for pair in two] == ["matched", "additional"]


def test_the_nearest_are_paired_whatever_their_order() -> None:
    ours, theirs = [_seen(0, 0), _seen(4, 0)], [_seen(4, 0), _seen(0, 0)]
    assert [pair.shift for pair in pairs_of(ours, theirs, _BOXES)] == [0, 0]


_SIDES = [(1, 0), (-1, 0), (0, 1), (0, -1)]


@pytest.mark.parametrize("size", [10, 6])
@pytest.mark.parametrize("near", _SIDES)
@pytest.mark.parametrize("far", _SIDES)
def test_of_cells_that_do_not_overlap_the_nearest_middle_counts(
    near: tuple[int, int], far: tuple[int, int], size: int
) -> None:
    """One is a pixel apart, the other two, on any sides."""
    (x, y), (u, v), edge, apart = near, far, 55 - size / 2, 5 + size / 2
    first = _seen(edge + x * (apart + 1), edge + y * (apart + 1), size)
    second = _seen(edge + u * (apart + 2), edge + v * (apart + 2), size)
    matched = [pair for pair in pairs_of([second, first], [_seen(50, 50)], _CELLS) if pair.what == "matched"]
    assert [pair.deepstream for pair in matched] == [first]


def test_another_name_differs_but_is_the_same_object() -> None:
    (pair,) = pairs_of([_seen(0, 0, label="Cat")], [_seen(0, 0)], _BOXES)
    assert pair.what == "matched"
    assert _verdict([_seen(0, 0, label="Cat")], [_seen(0, 0)]) is Verdict.DIFFERS
    assert _verdict([_seen(0, 0, number=1)], [_seen(0, 0)]) is Verdict.SAME
    other = pairs_of([_seen(0, 0, label="dog", number=1)], [_seen(0, 0)], _BOXES)
    assert [pair.what for pair in other] == ["missed", "additional"]


def test_labels_of_pictures() -> None:
    def answer(label: str, *numbers: float) -> Prediction:
        return Prediction(label, max(numbers), tuple(Score(each, "", number) for each, number in enumerate(numbers)))

    assert compare_predictions(answer("a", 0.9, 0.1), answer("a", 0.85, 0.15), _LABELS).verdict is Verdict.SAME
    drift = compare_predictions(answer("a", 0.9, 0.1), answer("a", 0.6, 0.4), _LABELS)
    assert drift.verdict is Verdict.DRIFTS
    assert abs(drift.largest - 0.3) < 1e-9
    assert compare_predictions(answer("a", 0.9, 0.1), answer("b", 0.9, 0.1), _LABELS).verdict is Verdict.DIFFERS


def test_a_score_that_is_no_number_drifts() -> None:
    for wrong in (math.nan, math.inf):
        assert _verdict([_seen(0, 0, score=wrong)], [_seen(0, 0)]) is Verdict.DRIFTS
        assert _verdict([_seen(0, 0, score=wrong)], [_seen(0, 0, score=wrong)]) is Verdict.SAME
        one, other = Prediction("a", 1, (Score(0, "a", wrong),)), Prediction("a", 1, (Score(0, "a", 1.0),))
        assert compare_predictions(one, other, _LABELS).verdict is Verdict.DRIFTS


_RECTS = st.lists(
    st.builds(
        lambda left, top, size, score, number: _seen(left, top, size, score, f"l{number}", number),
        st.integers(0, 60), st.integers(0, 60), st.integers(0, 30), st.floats(0, 1), st.integers(0, 1),
    ),
    max_size=6,
)  # fmt: skip


@examples(150)
@given(ours=_RECTS, theirs=_RECTS, cells=st.booleans())
def test_every_object_is_in_one_pair(ours: list[ComparedObject], theirs: list[ComparedObject], cells: bool) -> None:
    pairs = pairs_of(ours, theirs, _CELLS if cells else _BOXES)
    key = repr
    assert sorted((pair.deepstream for pair in pairs if pair.deepstream), key=key) == sorted(ours, key=key)
    assert sorted((pair.edge_impulse for pair in pairs if pair.edge_impulse), key=key) == sorted(theirs, key=key)
    back = pairs_of(theirs, ours, _CELLS if cells else _BOXES)
    assert sum(pair.what == "matched" for pair in pairs) == sum(pair.what == "matched" for pair in back)
    if not cells:
        assert all((pair.overlap or 0) >= 0.5 for pair in pairs if pair.what == "matched")


@given(ours=_RECTS)
def test_an_answer_is_the_same_as_itself(ours: list[ComparedObject]) -> None:
    solid = [one for one in ours if one.box.width]
    assert _verdict(solid, solid) is Verdict.SAME


@pytest.mark.parametrize(
    ("ours", "theirs", "text"),
    [
        ([], [], ""),
        ([_seen(0, 0)], [_seen(0, 0)], ""),
        ([], [_seen(0, 0)], "only Edge Impulse has 1 cat"),
        ([_seen(0, 0, label="")], [], "only DeepStream has 1 (no label)"),
        (
            [_seen(90, 0, label="dog", number=1), _seen(0, 0)],
            [_seen(0, 90), _seen(0, 0), _seen(50, 90), _seen(90, 90, label="ant", number=2)],
            "only Edge Impulse has 1 ant, 2 cat; only DeepStream has 1 dog",
        ),
        (
            [_seen(0, 0, label="Cat"), _seen(0, 90)],
            [_seen(0, 0), _seen(90, 0)],
            "only Edge Impulse has 1 cat; only DeepStream has 1 cat; 'Cat' is 'cat' in Edge Impulse",
        ),
        ([_seen(0, 0, 100)], [_seen(7, 0, 100)], "scores differ by up to 0.00, edges by up to 7 pixels"),
        ([_seen(0, 0, score=0.5)], [_seen(0, 0)], "scores differ by up to 0.40, edges by up to 0 pixels"),
    ],
)
def test_what_differs_is_one_sentence(ours: list[ComparedObject], theirs: list[ComparedObject], text: str) -> None:
    one, other = Prediction(objects=tuple(ours)), Prediction(objects=tuple(theirs))
    assert difference_text(one, other, compare_predictions(one, other, _BOXES), detects=True) == text


@pytest.mark.parametrize(
    ("ours", "theirs", "text"),
    [
        (Prediction("a", 0.9), Prediction("b", 0.8), "DeepStream shows a 0.90, Edge Impulse answers b 0.80"),
        (
            Prediction(scores=(Score(0, "x", 0.3), Score(1, "", 0.4))), Prediction("b", 0.8, (Score(0, "x", 1), ) * 2),
            "DeepStream shows nothing (class 1 0.40), Edge Impulse answers b 0.80",
        ),
        (
            Prediction("b", 0.8), Prediction(scores=(Score(0, "x", 0.4), Score(1, "", 0.3))),
            "DeepStream shows b 0.80, Edge Impulse answers nothing (x 0.40)",
        ),
        (Prediction(), Prediction("b", 0.8), "DeepStream shows nothing, Edge Impulse answers b 0.80"),
    ],
)  # fmt: skip
def test_what_differs_between_labels_is_one_sentence(ours: Prediction, theirs: Prediction, text: str) -> None:
    assert difference_text(ours, theirs, Outcome(Verdict.DIFFERS, (), 0.0), detects=False) == text
    assert difference_text(ours, theirs, Outcome(Verdict.SAME, (), 0.0), detects=False) == ""


def test_edges_and_scores_as_far_apart_as_is_tolerated() -> None:
    """Each of the four edges counts, and a detection's score."""
    for side in range(4):
        for far, verdict in ((4.0, Verdict.SAME), (4.5, Verdict.DRIFTS)):
            sides = [0.0, 0.0, 100.0, 100.0]
            sides[side] += far
            box = Rect(sides[0], sides[1], sides[2] - sides[0], sides[3] - sides[1])
            moved = ComparedObject(0, "cat", 0.9, box)
            (pair,) = pairs_of([moved], [_seen(0, 0, 100)], _BOXES)
            assert pair.shift == far
            assert _verdict([moved], [_seen(0, 0, 100)]) is verdict
    for score, verdict in ((0.75, Verdict.SAME), (0.7, Verdict.DRIFTS)):
        assert _verdict([_seen(0, 0, score=score)], [_seen(0, 0, score=0.84375)]) is verdict


@pytest.mark.parametrize(("x", "y"), [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_cells_a_margin_apart(x: int, y: int) -> None:
    for gap, found in ((2.0, ["matched"]), (2.5, ["missed", "additional"])):
        other = _seen(50 + x * (10 + gap), 50 + y * (10 + gap))
        assert [pair.what for pair in pairs_of([other], [_seen(50, 50)], _CELLS)] == found


def test_without_a_label_only_the_class_counts() -> None:
    for label, found in (("", ["missed", "additional"]), ("cat", ["matched"])):
        ours, theirs = [_seen(0, 0, label=label, number=1)], [_seen(0, 0, label=label)]
        assert [pair.what for pair in pairs_of(ours, theirs, _BOXES)] == found


def test_boxes_of_which_exactly_half_is_common() -> None:
    for height, found in (
        (20.0, ["matched"]),
        (20.003, ["matched"]),  # by less than a ten thousandth less than half: edges are float32
        (20.005, ["missed", "additional"]),
        (20.5, ["missed", "additional"]),
    ):
        other = ComparedObject(0, "cat", 0.9, Rect(0, 0, 10, height))
        assert [pair.what for pair in pairs_of([other], [_seen(0, 0)], _BOXES)] == found
