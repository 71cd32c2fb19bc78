"""Compares what DeepStream shows with what Edge Impulse answers, picture by picture."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from convert.against import findings as rules
from convert.against.causes import why
from convert.against.comparison import Comparison, Reason, Row, Verdict
from convert.against.mixed import Both, Mixed, causes_of
from convert.against.pairing import Measure, compare
from convert.against.shown import load_shown
from convert.against.trained import read_trained
from convert.against.words import Telling
from convert.heads import head
from convert.isolation import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from convert.against.comparison import Answer, Cause
    from convert.against.pairing import Outcome
    from convert.findings import Finding
    from convert.simulate.engine import Loaded

__all__ = ["TOLERANCE", "Against", "against"]

TOLERANCE = 0.1
"""Of scores: half of what lies between a sure answer and the usual threshold would be too much to pass over."""

_TIMEOUT = 60.0  # seconds for one picture in LiteRT


@dataclass
class Against:
    """A comparison under way: call it with one picture after the other, then take `comparison`.

    Attributes:
        both: the two sides.
        tolerance: largest difference of a score that is none.
    """

    both: Both
    tolerance: float = TOLERANCE
    rows: list[Row] = field(default_factory=list)

    def __call__(self, name: str, pixels: NDArray[np.uint8]) -> Row:
        """One picture, uint8 [H,W,3] RGB.

        Raises:
            InputError, ValidationError: a model fails, or nvinfer cannot scale the picture.
        """
        mixed = Mixed(self.both, pixels)
        view = mixed.placement().view
        spec = head(self.both.trained.task)
        measure = Measure(spec.detects, spec.merges_cells, self.tolerance, max(1 / view.scale_x, 1 / view.scale_y))
        ours, theirs = mixed.answer(frozenset()), mixed.answer(frozenset(self._causes))
        outcome = compare(ours, theirs, measure)
        causes = why(mixed, theirs, outcome.verdict, self._causes, measure)
        height, width = pixels.shape[:2]
        words = _words(ours, theirs, outcome, detects=spec.detects)
        row = Row(
            name, width, height, outcome.verdict, ours, theirs, outcome.pairs, causes, outcome.largest, words
        )  # fmt: skip
        self.rows.append(row)
        return row

    @property
    def comparison(self) -> Comparison:
        """Of all pictures so far."""
        trained = self.both.trained
        size = Counter((row.width, row.height) for row in self.rows).most_common(1)
        telling = Telling(self.both, *(size[0][0] if size else (1, 1)))
        draft = Comparison(
            trained.shown,
            trained.task,
            trained.quantized,
            self.tolerance,
            tuple(telling.step(cause) for cause in self._causes) if self.rows else (),
            tuple(self.rows),
            tuple(self._reasons()),
        )
        return replace(draft, findings=(*trained.findings, *self._findings(draft)))

    @property
    def _causes(self) -> tuple[Cause, ...]:
        return causes_of(self.both.trained.task, self.both.shown.loaded.engine.network.channels)

    def _reasons(self) -> Iterator[Reason]:
        """Most pictures first."""
        rows = {cause: [row for row in self.rows if cause in row.causes] for cause in self._causes}
        found = []
        for cause, named in rows.items():
            if not named:
                continue
            (size, _), *_ = Counter((row.width, row.height) for row in named).most_common(1)
            words, hint = Telling(self.both, *size).reason(cause)
            differ = tuple(row.name for row in named if row.verdict is Verdict.DIFFERS)
            drift = tuple(row.name for row in named if row.verdict is Verdict.DRIFTS)
            found.append(Reason(cause, words, hint, differ, drift, sum(len(row.causes) > 1 for row in named)))
        yield from sorted(found, key=lambda reason: (-len(reason.pictures), -len(reason.drifting)))

    def _findings(self, draft: Comparison) -> Iterator[Finding]:
        config = self.both.shown.loaded.engine.config
        total = len(draft.rows)
        for rule, verdict, of in (
            (rules.DIFFERS, Verdict.DIFFERS, "pictures"),
            (rules.DRIFTS, Verdict.DRIFTS, "drifting"),
        ):
            if not draft.count(verdict):
                continue
            for reason in draft.reasons:
                names = getattr(reason, of)
                if names:
                    message = f"{len(names)} of {total} pictures: {reason.words}"
                    yield rule.found(message, path=config, hint=reason.hint)


@contextmanager
def against(
    loaded: Loaded, original: Path | None, *, tolerance: float = TOLERANCE, timeout: float = _TIMEOUT
) -> Iterator[Against]:
    """A comparison of a primary engine with the original of its model, whose LiteRT ends with the context.

    Args:
        loaded: the engine.
        original: an export or a .tflite; None: what the bundle's report names.
        tolerance: largest difference of a score that is none.
        timeout: seconds LiteRT may take for a picture.

    Raises:
        InputError: the original is not found, cannot be read, or is not what the engine's model was made of.
        UnsupportedModelError: how Edge Impulse decodes such a model is not known.
        ValidationError: a model does not run.
    """
    with Worker() as worker:
        trained = read_trained(loaded.engine, original, worker, timeout)
        yield Against(Both(load_shown(loaded, trained), trained), tolerance)


def _words(ours: Answer, theirs: Answer, outcome: Outcome, *, detects: bool) -> str:
    if outcome.verdict is Verdict.SAME:
        return ""
    if not detects:
        return f"{_said(ours, 'DeepStream shows')}, {_said(theirs, 'Edge Impulse answers')}"
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
    parts += [f"{ours_!r} is {theirs_!r} in Edge Impulse" for ours_, theirs_ in sorted(renamed)]
    if not parts:
        shift = max((pair.shift or 0.0 for pair in outcome.pairs), default=0.0)
        parts.append(f"scores differ by up to {outcome.largest:.2f}, edges by up to {shift:.0f} pixels")
    return "; ".join(parts)


def _said(answer: Answer, who: str) -> str:
    if answer.label:
        return f"{who} {answer.label} {answer.score:.2f}"
    best = max(answer.scores, key=lambda one: one.score, default=None)
    return f"{who} nothing" + (f" ({best.label or f'class {best.class_id}'} {best.score:.2f})" if best else "")
