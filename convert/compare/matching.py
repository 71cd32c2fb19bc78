"""Two predictions for the same picture side by side: which objects are the same, and whether the answers differ.

Objects are matched by overlap: intersection over union of at least one half, as PASCAL VOC counts. FOMO's boxes are
cells of a grid, which give a place but no size; cells that touch are one object, as in Edge Impulse's own merging.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convert.compare import ComparedObject, Pair, Prediction, Score, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convert.images.scaling import Rect


__all__ = ["Criteria", "Outcome", "compare_predictions", "difference_text", "pairs_of"]


_SAME = 0.5 - 1e-4  # nvinfer's edges are float32: a box half as wide may overlap by 0.4999993
_ELSEWHERE = 2.0  # pixels of the network's picture; Edge Impulse cuts edges to whole ones, nvinfer does not


@dataclass(frozen=True)
class Criteria:
    """What counts as a difference.

    Attributes:
        detects: objects are compared, not labels of the whole picture.
        cells: nvinfer's boxes are single cells of a grid.
        tolerance: of a score.
        pixel: the length of a pixel of the original's picture in pixels of the picture.
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


def compare_predictions(ours: Prediction, theirs: Prediction, criteria: Criteria) -> Outcome:
    """DeepStream's answer against Edge Impulse's."""
    if not criteria.detects:
        largest = _largest(ours.scores, theirs.scores)
        if ours.label != theirs.label:
            return Outcome(Verdict.DIFFERS, (), largest)
        return Outcome(Verdict.DRIFTS if largest > criteria.tolerance else Verdict.SAME, (), largest)
    pairs = pairs_of(ours.objects, theirs.objects, criteria)
    both = ((pair.deepstream, pair.edge_impulse) for pair in pairs)
    largest = max((_gap(one.score, other.score) for one, other in both if one and other), default=0.0)
    if any(pair.what != "matched" or _renamed(pair) for pair in pairs):
        return Outcome(Verdict.DIFFERS, pairs, largest)
    moved = not criteria.cells and any((pair.shift or 0.0) > _ELSEWHERE * criteria.pixel for pair in pairs)
    drifts = moved or largest > criteria.tolerance
    return Outcome(Verdict.DRIFTS if drifts else Verdict.SAME, pairs, largest)


def pairs_of(ours: Sequence[ComparedObject], theirs: Sequence[ComparedObject], criteria: Criteria) -> tuple[Pair, ...]:
    """The nearest first; then what only Edge Impulse has, then what only DeepStream has."""
    near = sorted(
        (
            (-one.box.overlap(other.box), _distance(one.box, other.box), index, number)
            for index, one in enumerate(ours)
            for number, other in enumerate(theirs)
            if _alike(one, other) and _meet(one.box, other.box, criteria)
        )
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


def _alike(one: ComparedObject, other: ComparedObject) -> bool:
    """The same class or the same name: a label file in another order changes the first, a spelling the second."""
    return one.class_id == other.class_id or (one.label == other.label and one.label != "")


def _renamed(pair: Pair) -> bool:
    return (
        pair.deepstream is not None
        and pair.edge_impulse is not None
        and pair.deepstream.label != pair.edge_impulse.label
    )


def _meet(one: Rect, other: Rect, criteria: Criteria) -> bool:
    if not criteria.cells:
        return one.overlap(other) >= _SAME
    margin = criteria.pixel  # the last cell of a row ends a little early
    return (
        one.left <= other.left + other.width + margin
        and other.left <= one.left + one.width + margin
        and one.top <= other.top + other.height + margin
        and other.top <= one.top + one.height + margin
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


def difference_text(ours: Prediction, theirs: Prediction, outcome: Outcome, *, detects: bool) -> str:
    """What differs, one sentence without a full stop; "" where nothing does."""
    if outcome.verdict is Verdict.SAME:
        return ""
    if not detects:
        return f"{_label_text(ours, 'DeepStream shows')}, {_label_text(theirs, 'Edge Impulse answers')}"
    names = {"missed": "only Edge Impulse has", "additional": "only DeepStream has"}
    parts = []
    for what, text in names.items():
        alone = [pair.edge_impulse or pair.deepstream for pair in outcome.pairs if pair.what == what]
        labels = Counter(one.label or "(no label)" for one in alone if one is not None)
        if labels:
            parts.append(f"{text} " + ", ".join(f"{count} {label}" for label, count in sorted(labels.items())))
    renamed = {
        (pair.deepstream.label, pair.edge_impulse.label)
        for pair in outcome.pairs
        if pair.deepstream and pair.edge_impulse and pair.deepstream.label != pair.edge_impulse.label
    }
    parts += [f"{one!r} is {other!r} in Edge Impulse" for one, other in sorted(renamed)]
    if not parts:
        shift = max((pair.shift or 0.0 for pair in outcome.pairs), default=0.0)
        parts.append(f"scores differ by up to {outcome.largest:.2f}, edges by up to {shift:.0f} pixels")
    return "; ".join(parts)


def _label_text(answer: Prediction, who: str) -> str:
    if answer.label:
        return f"{who} {answer.label} {answer.score:.2f}"
    best = max(answer.scores, key=lambda one: one.score, default=None)
    return f"{who} nothing" + (f" ({best.label or f'class {best.class_id}'} {best.score:.2f})" if best else "")
