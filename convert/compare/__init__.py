"""Compares what DeepStream shows with what Edge Impulse answers for the same pictures: results, JSON, findings.

Made by `convert.compare.run`; printed, written as JSON and shown on the page by `convert.render`. Boxes are in pixels
of the picture for both sides; scores are 0..1. Findings are EI750 to EI799.

One module each: the original, found, checked and run as the SDK runs it (`edge_impulse`); the ONNX model, and a
detector's decoding by either side's rules (`shipped`); predictions with chosen steps done either way, two of them side
by side, and causes (`ablation`); causes in words (`texts`); all pictures (`run`); when `convert` compares (`stage`).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from convert.findings import Finding, Rule

if TYPE_CHECKING:
    from convert.images.scaling import Rect

DIFFERS = Rule("EI750")
DRIFTS = Rule("EI751")
NOT_PROVEN = Rule("EI752")
RESIZE_UNKNOWN = Rule("EI753")
THRESHOLD_UNKNOWN = Rule("EI754")
NOT_COMPARED = Rule("EI755")


class Cause(StrEnum):
    """A step that the two sides may do differently, in processing order from the picture to the screen."""

    FRAMING = "framing"  # squash, letterbox or crop
    INTERPOLATION = "interpolation"
    LUMA = "luma"  # how colour becomes grey, and whether before or after scaling
    COLOUR = "colour"  # RGB or BGR
    SCALING = "scaling"  # what a level of 0..255 becomes
    MODEL = "model"  # the original's arithmetic (int8) against the ONNX model's
    SCORE = "score"  # what counts as an object's confidence
    THRESHOLD = "threshold"
    MERGE = "merge"  # cells that touch, boxes that overlap
    LIMITS = "limits"  # topk, sizes, regions, classes that are left out
    LABELS = "labels"  # how they are spelled


class Verdict(StrEnum):
    """How a picture's two answers compare.

    SAME: the same label, or the same objects, and scores within the tolerance. DRIFTS: the same label or objects, but
    a score differs by more than the tolerance, or a box lies elsewhere. DIFFERS: another label, or an object that only
    one of the two shows.
    """

    SAME = "same"
    DRIFTS = "drifts"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Score:
    """A classifier's score for one label; `label` is "" where there is none."""

    class_id: int
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class ComparedObject:
    """An object, in pixels of the picture."""

    class_id: int
    label: str
    score: float
    box: Rect


@dataclass(frozen=True, slots=True)
class Prediction:
    """The result of one side for a picture.

    Attributes:
        label: of a classifier, the label shown; "" for nothing.
        score: of that label; 0 for nothing.
        scores: of a classifier, in class order.
        objects: of a detector, best first.
    """

    label: str = ""
    score: float = 0.0
    scores: tuple[Score, ...] = ()
    objects: tuple[ComparedObject, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """The same object on both sides; a side that does not have it is None.

    Attributes:
        overlap: intersection over union; None where one is missing.
        shift: the largest distance of two edges, pixels of the picture; None where one is missing.
    """

    deepstream: ComparedObject | None
    edge_impulse: ComparedObject | None
    overlap: float | None = None
    shift: float | None = None

    @property
    def what(self) -> str:
        """`matched`; `missed` (DeepStream does not show it) or `additional` (only DeepStream does)."""
        if self.deepstream is None:
            return "missed"
        return "additional" if self.edge_impulse is None else "matched"

    @property
    def difference(self) -> float | None:
        """Of the scores, absolute; None where one is missing."""
        if self.deepstream is None or self.edge_impulse is None:
            return None
        return abs(self.deepstream.score - self.edge_impulse.score)


@dataclass(frozen=True, slots=True)
class PictureComparison:
    """One picture.

    Attributes:
        name: of the picture, as in `convert.simulate.results.FrameResult`.
        width, height: pixels.
        pairs: of a detector: matched, missed, additional.
        causes: the fewest things that must be done as Edge Impulse does them for DeepStream to show the same (of a row
            that drifts: the same within the tolerance); none of them can be left out. Empty where nothing differs.
        largest: largest difference of two scores of the same label or object.
        words: what differs, one sentence without a full stop; "" where nothing does.
    """

    name: str
    width: int
    height: int
    verdict: Verdict
    deepstream: Prediction
    edge_impulse: Prediction
    pairs: tuple[Pair, ...] = ()
    causes: tuple[Cause, ...] = ()
    largest: float = 0.0
    words: str = ""

    def count(self, what: str) -> int:
        """How many pairs are `matched`, `missed` or `additional`."""
        return sum(pair.what == what for pair in self.pairs)

    @property
    def shift(self) -> float | None:
        """The largest shift of a matched box, pixels of the picture; None without one."""
        return max((pair.shift for pair in self.pairs if pair.shift is not None), default=None)


@dataclass(frozen=True, slots=True)
class Step:
    """How each side does a step, in words.

    Attributes:
        same: whether they do it the same way, as far as config and export record it; such a step is no cause.
    """

    cause: Cause
    deepstream: str
    edge_impulse: str
    same: bool


@dataclass(frozen=True, slots=True)
class Reason:
    """A cause and the pictures it is named for.

    Attributes:
        words: a clause that follows "because": "nvinfer squashes where Edge Impulse crops the centre".
        hint: what to do; None where nothing can be done.
        pictures: names of those that differ.
        drifting: names of those that only drift.
        together: how many of both need another cause, too.
    """

    cause: Cause
    words: str
    hint: str | None
    pictures: tuple[str, ...] = ()
    drifting: tuple[str, ...] = ()
    together: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """All pictures.

    Attributes:
        original: the file Edge Impulse's side ran, as the user named it.
        task: what the model does.
        quantized: whether the original computes in integers.
        tolerance: largest difference of a score that is none.
        steps: of both sides, in processing order.
        rows: in the pictures' order.
        reasons: most pictures first.
        findings: about the comparison as a whole.
    """

    original: str
    task: str
    quantized: bool
    tolerance: float
    steps: tuple[Step, ...]
    rows: tuple[PictureComparison, ...]
    reasons: tuple[Reason, ...] = ()
    findings: tuple[Finding, ...] = ()

    def count(self, verdict: Verdict) -> int:
        """How many pictures have it."""
        return Counter(row.verdict for row in self.rows)[verdict]

    @property
    def largest(self) -> float:
        """The largest difference of a score."""
        return max((row.largest for row in self.rows), default=0.0)

    @property
    def summary(self) -> str:
        """`7 of 20 pictures differ; 6 because nvinfer squashes where Edge Impulse crops the centre: --frame 16:9`."""
        total, differ, drift = len(self.rows), self.count(Verdict.DIFFERS), self.count(Verdict.DRIFTS)
        of = f"of {total} picture{'' if total == 1 else 's'}"
        if not differ and not drift:
            return f"0 {of} differ: DeepStream shows what Edge Impulse answers"
        parts = [f"{differ} {of} {'differs' if differ == 1 else 'differ'}"]
        parts += [_because(len(reason.pictures), reason) for reason in self.reasons if reason.pictures]
        if drift:
            more = " more" if differ else ""
            parts.append(f"{drift}{more} {'shows' if drift == 1 else 'show'} the same with other numbers")
            only = [reason for reason in self.reasons if reason.drifting and not reason.pictures]
            parts += [_because(len(reason.drifting), reason) for reason in only]
        return "; ".join(parts)


def _because(count: int, reason: Reason) -> str:
    return f"{count} because {reason.words}" + (f": {reason.hint}" if reason.hint else "")


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """`{original, task, quantized, tolerance, summary, counts, largest_difference, steps[], reasons[], pictures[]}`.

    Boxes are in pixels of the picture. A number that is none (NaN, infinity) is null. Findings are not in it: they
    belong to the command's own document.
    """
    return {
        **{name: getattr(comparison, name) for name in ("original", "task", "quantized", "tolerance", "summary")},
        "counts": {verdict.value: comparison.count(verdict) for verdict in Verdict},
        "largest_difference": _plain(comparison.largest),
        "steps": _plain(comparison.steps),
        "reasons": _plain(comparison.reasons),
        "pictures": [_row(row) for row in comparison.rows],
    }


def _row(row: PictureComparison) -> dict[str, Any]:
    names = "name", "width", "height", "verdict", "words", "causes"
    return {
        **{name: _plain(getattr(row, name)) for name in names},
        "largest_difference": _plain(row.largest),
        "deepstream": _plain(row.deepstream),
        "edge_impulse": _plain(row.edge_impulse),
        "pairs": [
            {"what": pair.what, **_plain(pair), "score_difference": _plain(pair.difference)} for pair in row.pairs
        ],
    }


def _plain(value: Any) -> Any:
    """As JSON has it: of a dataclass its fields by name, a box's among those of its object."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if not is_dataclass(value):
        return value
    made = {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return made | made.pop("box", {})
