"""Which of DeepStream's objects is which of Edge Impulse's, and whether two answers are the same.

Boxes of one object overlap by half or more (intersection over union, as PASCAL VOC counts). FOMO's are cells of a grid
and tell a place, no size: as for Edge Impulse's own merging, cells that touch are one object.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convert.against.comparison import Pair, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convert.against.comparison import Answer, Score, Seen
    from convert.images.placement import Rect

__all__ = ["Measure", "compare", "pairs_of"]

_SAME = 0.5
_ELSEWHERE = 2.0  # pixels of the network's picture; Edge Impulse cuts edges to whole ones, nvinfer does not


@dataclass(frozen=True)
class Measure:
    """What counts as a difference.

    Attributes:
        detects: objects are compared, not labels of the whole picture.
        cells: boxes are cells of a grid.
        tolerance: of a score.
        pixel: the length of a pixel of the network's picture in pixels of the picture.
    """

    detects: bool
    cells: bool
    tolerance: float
    pixel: float


@dataclass(frozen=True)
class Outcome:
    """Two answers side by side; `largest` difference of two scores."""

    verdict: Verdict
    pairs: tuple[Pair, ...]
    largest: float


def compare(ours: Answer, theirs: Answer, measure: Measure) -> Outcome:
    """DeepStream's answer against Edge Impulse's."""
    if not measure.detects:
        largest = _largest(ours.scores, theirs.scores)
        if ours.label != theirs.label:
            return Outcome(Verdict.DIFFERS, (), largest)
        return Outcome(Verdict.DRIFTS if largest > measure.tolerance else Verdict.SAME, (), largest)
    pairs = pairs_of(ours.objects, theirs.objects, measure)
    both = ((pair.deepstream, pair.edge_impulse) for pair in pairs)
    largest = max((_gap(one.score, other.score) for one, other in both if one and other), default=0.0)
    if any(pair.what != "matched" or _renamed(pair) for pair in pairs):
        return Outcome(Verdict.DIFFERS, pairs, largest)
    moved = not measure.cells and any((pair.shift or 0.0) > _ELSEWHERE * measure.pixel for pair in pairs)
    drifts = moved or largest > measure.tolerance
    return Outcome(Verdict.DRIFTS if drifts else Verdict.SAME, pairs, largest)


def pairs_of(ours: Sequence[Seen], theirs: Sequence[Seen], measure: Measure) -> tuple[Pair, ...]:
    """The nearest first; then what only Edge Impulse has, then what only DeepStream has."""
    near = sorted(
        (
            (-overlap(one.box, other.box), _distance(one.box, other.box), index, number)
            for index, one in enumerate(ours)
            for number, other in enumerate(theirs)
            if _alike(one, other) and _meet(one.box, other.box, measure)
        ),
    )
    left, right = set(range(len(ours))), set(range(len(theirs)))
    pairs = []
    for share, _, index, number in near:
        if index in left and number in right:
            left.remove(index)
            right.remove(number)
            moved = _shift(ours[index].box, theirs[number].box)
            pairs.append(Pair(ours[index], theirs[number], -share, moved))
    return (
        *pairs,
        *(Pair(None, theirs[number]) for number in sorted(right)),
        *(Pair(ours[index], None) for index in sorted(left)),
    )


def overlap(one: Rect, other: Rect) -> float:
    """Intersection over union; 0 for boxes without area."""
    wide = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    high = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    common = max(wide, 0.0) * max(high, 0.0)
    together = one.width * one.height + other.width * other.height - common
    return common / together if together > 0 else 0.0


def _alike(one: Seen, other: Seen) -> bool:
    """The same class or the same name: a label file in another order changes the first, a spelling the second."""
    return one.class_id == other.class_id or (one.label == other.label and one.label != "")


def _renamed(pair: Pair) -> bool:
    return (
        pair.deepstream is not None
        and pair.edge_impulse is not None
        and pair.deepstream.label != pair.edge_impulse.label
    )


def _meet(one: Rect, other: Rect, measure: Measure) -> bool:
    if not measure.cells:
        return overlap(one, other) >= _SAME
    dust = measure.pixel  # the last cell of a row ends a little early
    return (
        one.left <= other.left + other.width + dust
        and other.left <= one.left + one.width + dust
        and one.top <= other.top + other.height + dust
        and other.top <= one.top + one.height + dust
    )


def _distance(one: Rect, other: Rect) -> float:
    across = one.left + one.width / 2 - other.left - other.width / 2
    down = one.top + one.height / 2 - other.top - other.height / 2
    return across * across + down * down


def _shift(one: Rect, other: Rect) -> float:
    """The largest distance of two edges."""
    return max(
        abs(one.left - other.left),
        abs(one.top - other.top),
        abs(one.left + one.width - other.left - other.width),
        abs(one.top + one.height - other.top - other.height),
    )


def _largest(ours: Sequence[Score], theirs: Sequence[Score]) -> float:
    return max((_gap(one.score, other.score) for one, other in zip(ours, theirs, strict=True)), default=0.0)


def _gap(one: float, other: float) -> float:
    """Of two scores; infinite where only one of them is a number."""
    if math.isnan(one) or math.isnan(other):
        return 0.0 if math.isnan(one) and math.isnan(other) else math.inf
    return 0.0 if one == other else abs(one - other)
