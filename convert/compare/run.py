"""Compares DeepStream's predictions with Edge Impulse's, picture by picture."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from convert import compare as rules
from convert.compare import Cause, Comparison, PictureComparison, Reason, Verdict
from convert.compare.ablation import Ablation, find_causes, possible_causes
from convert.compare.decoding import ModelPair
from convert.compare.edge_impulse_model import read_edge_impulse_model
from convert.compare.matching import Criteria, compare_predictions, difference_text
from convert.compare.shipped import load_shipped
from convert.compare.texts import CauseTexts
from convert.heads import head
from convert.isolation import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.findings import Finding
    from convert.simulate.engine import LoadedEngine


__all__ = ["ComparisonRun", "compare_with_original"]


TOLERANCE = 0.1
"""Of scores: half of what lies between a sure answer and the usual threshold would be too much to pass over."""

_TIMEOUT = 60.0  # seconds for one picture in LiteRT


@dataclass
class ComparisonRun:
    """A comparison under way: call it with one picture after the other, or some at a time, then take `comparison`.

    Attributes:
        models: of the two sides.
        tolerance: largest difference of a score that is none.
        explained: of how many pictures that differ, the first ones, causes are looked for; None: of all, and of those
            that drift, too.
    """

    models: ModelPair
    tolerance: float = TOLERANCE
    explained: int | None = None
    rows: list[PictureComparison] = field(default_factory=list)

    def __call__(self, name: str, pixels: NDArray[np.uint8]) -> PictureComparison:
        """One picture, uint8 [H,W,3] RGB.

        Raises:
            InputError, ValidationError: a model fails, or nvinfer cannot scale the picture.
        """
        return self._row(name, Ablation(self.models, pixels))

    def together(self, pictures: Sequence[tuple[str, NDArray[np.uint8]]], *, at_once: bool) -> None:
        """Several pictures: the original, in its child, runs for all of them in one call.

        Args:
            pictures: name and pixels of each.
            at_once: the ONNX model runs at the same time; else the child is ended before that needs memory.

        Raises:
            InputError, ValidationError: as for one.
        """
        ablations = [Ablation(self.models, pixels) for _, pixels in pictures]
        done = frozenset(self._causes)
        given = [each.original_input(done) for each in ablations]
        stacked = np.stack(given)
        if stacked.shape[3] == 3:  # whole numbers
            stacked = stacked.astype(np.uint8)
        original = self.models.edge_impulse.original
        with ThreadPoolExecutor(1) as thread:
            shown = [thread.submit(each.predict, frozenset()) for each in ablations] if at_once else []
            outputs = original.outputs(stacked)
            for future in shown:
                future.result()
        if not at_once:
            original.worker.close()
        for number, (each, picture) in enumerate(zip(ablations, given, strict=True)):
            each.keep(done, picture, [output[number : number + 1] for output in outputs])
        for (name, _), each in zip(pictures, ablations, strict=True):
            self._row(name, each)

    def _row(self, name: str, ablation: Ablation) -> PictureComparison:
        view = ablation.placement().view
        spec = head(self.models.edge_impulse.task)
        cells = spec.merges_cells and self.models.shipped.loaded.engine.recorded.merge != "touching"
        _, _, across, down = self.models.shipped.inside
        pixel = max(across / view.scale_x, down / view.scale_y)
        criteria = Criteria(spec.detects, cells, self.tolerance, pixel)
        ours, theirs = ablation.predict(frozenset()), ablation.predict(frozenset(self._causes))
        outcome = compare_predictions(ours, theirs, criteria)
        causes: tuple[Cause, ...] = ()
        if self.explained is None or (outcome.verdict is Verdict.DIFFERS and self._differing < self.explained):
            causes = find_causes(ablation, theirs, outcome.verdict, self._causes, criteria)
        height, width = ablation.pixels.shape[:2]
        words = difference_text(ours, theirs, outcome, detects=spec.detects)
        row = PictureComparison(
            name, width, height, outcome.verdict, ours, theirs, outcome.pairs, causes, outcome.largest, words
        )  # fmt: skip
        self.rows.append(row)
        return row

    @property
    def _differing(self) -> int:
        return sum(row.verdict is Verdict.DIFFERS for row in self.rows)

    @property
    def comparison(self) -> Comparison:
        """Of all pictures so far."""
        edge_impulse = self.models.edge_impulse
        size = Counter((row.width, row.height) for row in self.rows).most_common(1)
        texts = CauseTexts(self.models, *(size[0][0] if size else (1, 1)))
        comparison = Comparison(
            edge_impulse.file,
            edge_impulse.task,
            edge_impulse.quantized,
            self.tolerance,
            tuple(texts.step(cause) for cause in self._causes) if self.rows else (),
            tuple(self.rows),
            tuple(self._reasons()),
        )
        return replace(comparison, findings=(*edge_impulse.findings, *self._findings(comparison)))

    @property
    def _causes(self) -> tuple[Cause, ...]:
        return possible_causes(self.models)

    def _reasons(self) -> Iterator[Reason]:
        """Most pictures first."""
        rows = {cause: [row for row in self.rows if cause in row.causes] for cause in self._causes}
        found = []
        for cause, named in rows.items():
            if not named:
                continue
            (size, _), *_ = Counter((row.width, row.height) for row in named).most_common(1)
            words, hint = CauseTexts(self.models, *size).reason(cause)
            differ = tuple(row.name for row in named if row.verdict is Verdict.DIFFERS)
            drift = tuple(row.name for row in named if row.verdict is Verdict.DRIFTS)
            found.append(Reason(cause, words, hint, differ, drift, sum(len(row.causes) > 1 for row in named)))
        yield from sorted(found, key=lambda reason: (-len(reason.pictures), -len(reason.drifting)))

    def _findings(self, comparison: Comparison) -> Iterator[Finding]:
        config = self.models.shipped.loaded.engine.config
        total = len(comparison.rows)
        for rule, verdict, of in (
            (rules.DIFFERS, Verdict.DIFFERS, "pictures"),
            (rules.DRIFTS, Verdict.DRIFTS, "drifting"),
        ):
            if not comparison.count(verdict):
                continue
            for reason in comparison.reasons:
                names = getattr(reason, of)
                if names:
                    message = f"{len(names)} of {total} pictures: {reason.words}"
                    yield rule.found(message, path=config, hint=reason.hint)


@contextmanager
def compare_with_original(
    loaded: LoadedEngine, original: Path | None, *, tolerance: float = TOLERANCE
) -> Iterator[ComparisonRun]:
    """A comparison of a primary engine with the original of its model, whose LiteRT ends with the context.

    Args:
        loaded: the engine.
        original: an export or a .tflite; None: what the bundle's report names.
        tolerance: largest difference of a score that is none.

    Raises:
        InputError: the original is not found, cannot be read, or is not what the engine's model was made of.
        UnsupportedModelError: how Edge Impulse decodes such a model is not known.
        ValidationError: a model does not run.
    """
    with Worker() as worker:
        edge_impulse = read_edge_impulse_model(loaded.engine, original, worker, _TIMEOUT)
        yield ComparisonRun(ModelPair(load_shipped(loaded, edge_impulse), edge_impulse), tolerance)
