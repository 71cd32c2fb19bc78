"""Compares DeepStream's predictions with Edge Impulse's, picture by picture.

`compare_with_original` does it for `simulate`, `compare_bundle` for `convert`. Generated frames hold none of a
detector's objects, and some detectors show nothing on them. So the evidence says on how many frames something is shown.
The threshold stays where the bundle has it, because the bundle is what is compared.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert import compare as rules
from convert.compare import Cause, Comparison, PictureComparison, Reason, Verdict
from convert.compare.ablation import (
    Ablation,
    Criteria,
    compare_predictions,
    difference_text,
    find_causes,
    possible_causes,
)
from convert.compare.edge_impulse import edge_impulse_model, read_edge_impulse_model
from convert.compare.shipped import ModelPair, load_shipped
from convert.compare.texts import CauseTexts
from convert.heads import head
from convert.images import Frame, crop_area
from convert.isolation import LARGE, Worker, return_freed_memory
from convert.simulate.engine import Source, load
from convert.types import AnswerCounts, AnswerEvidence, Metadata
from convert.validate import runtimes
from convert.validate.inputs import with_objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from convert.findings import Finding
    from convert.images import Framing
    from convert.nvinfer.targets import Target
    from convert.simulate.engine import LoadedEngine
    from convert.types import Adapted

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
        recorded = self.models.shipped.loaded.engine.recorded
        cells = spec.merges_cells and recorded.merge != "touching"
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


_FRAMES, _FEWEST, _PIXELS, _BYTES = 40, 10, 5_000_000, 2 << 30
"""Generated frames; fewer for a large model: as many as have so many pixels, and models so many bytes, together."""

_FRAME_PIXELS = 21_000_000  # of all generated frames together: 10 of 1920x1080, 40 of 960x540

_MOST = 200  # of the user's pictures, the first: as many as `convert.validate` measures framing on
_EXPLAINED = 10  # pictures that differ, of which the causes are looked for: each costs some more runs of the model
_LONG_SIDE = 640  # pixels of a generated frame: a usual camera's, and quickly made
_SCALED = 960  # where the graph resizes what the device has scaled: so large that the device has something to scale
_CHUNK, _CHUNK_BYTES = 20, 64 << 20  # pictures in memory at a time


def preload() -> None:
    """Imports what a comparison needs: a worker calls it as it starts."""
    import onnxruntime  # noqa: F401
    from ai_edge_litert import interpreter  # noqa: F401


def compare_bundle(
    config: Path, at: Target, usual: Frame, images: Path | None, timeout: float, adapted: Adapted, worker: Worker | None
) -> AnswerEvidence:
    """How often a bundle's primary engine shows what Edge Impulse answers, on generated frames and given pictures.

    Args:
        config: of the engine, its model beside it.
        at: the target.
        usual: frames that the app gives the engine, where the model is not made for others.
        images: a folder of pictures to compare on, too.
        timeout: seconds the original may take for a picture.
        adapted: the model.
        worker: the process the original runs in; None starts one.

    Raises:
        InputError, ValidationError: a picture or a model fails.
    """
    with ExitStack() as stack:
        worker = worker or stack.enter_context(Worker(("convert.validate.runtimes",)))
        # What stands for no object is no label of either side.
        known = replace(adapted.export.metadata, labels=adapted.head.labels)
        export = replace(adapted.export, metadata=known)
        theirs = edge_impulse_model(export, Path(export.source), worker, timeout, Metadata())
        large = len(adapted.onnx.data) > LARGE  # causes need a second session
        session = _Session(adapted.onnx.data)
        pair = ModelPair(load_shipped(load(Source(config), at, session=session), theirs), theirs)
        run = ComparisonRun(pair, explained=0 if large else _EXPLAINED)
        framing = adapted.preprocessing.framing
        frame = framing.frame if framing else usual
        spare = session if large else None
        generated = _counted(run, _generated(frame, pair, len(adapted.onnx.data)), spare)
        given = _counted(run, _given(images, framing), spare) if images else None
    causes = Counter(cause.value for row in run.rows for cause in row.causes)
    return AnswerEvidence(
        str(frame),
        theirs.threshold if head(theirs.task).detects else None,
        run.tolerance,
        generated,
        given,
        dict(causes.most_common()),
        sum(bool(row.causes) for row in run.rows),
    )


class _Session:
    """An `onnxruntime.InferenceSession`, made when it is first asked something, also after it was ended."""

    def __init__(self, model: bytes) -> None:
        self._model, self._made = model, None

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            self._made = runtimes.load(self._model)
        return getattr(self._made, name)

    def end(self) -> None:
        """Let go of its memory."""
        self._made = None
        return_freed_memory()


def _counted(
    run: ComparisonRun, pictures: Iterator[tuple[str, NDArray[np.uint8]]], spare: _Session | None
) -> AnswerCounts:
    """Compare them; `spare`: the session of a large model, which is not to be there while the original runs."""
    before = len(run.rows)
    for chunk in _chunks(pictures):
        if spare is not None:
            spare.end()
        run.together(chunk, at_once=spare is None)
    return _counts(run.rows[before:])


def _generated(frame: Frame, pair: ModelPair, size: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Name and pixels [H,W,3] of frames with objects; `size`: bytes of the model."""
    high, wide, _ = pair.edge_impulse.original.size
    resizing, side = pair.shipped.resizing, _SCALED if pair.shipped.resizing else _LONG_SIDE
    width, height = frame.pixels if resizing and resizing.is_exact else frame.within(side, side)
    fitting = min(_PIXELS // (high * wide), _BYTES // size, _FRAME_PIXELS // (height * width))
    count = min(_FRAMES, max(_FEWEST, fitting))
    yield from ((f"frame {number}", pixels) for number, pixels in enumerate(with_objects(count, height, width, 3)))


def _given(images: Path, framing: Framing | None) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """The user's pictures; of a bundle for frames of one aspect their middles."""
    from convert.images.read import find, read  # brings Pillow

    for path in find([images], videos=False)[:_MOST]:
        picture, _ = read(path, 3)
        if framing:
            left, top, width, height = crop_area(picture.shape[1], picture.shape[0], framing.frame.pixels)
            picture = picture[top : top + height, left : left + width]
        yield path.name, picture


def _chunks(
    pictures: Iterator[tuple[str, NDArray[np.uint8]]],
) -> Iterator[Sequence[tuple[str, NDArray[np.uint8]]]]:
    """Some at a time, as many as memory should hold."""
    for first in pictures:
        some = max(1, min(_CHUNK, _CHUNK_BYTES // first[1].nbytes))
        yield [first, *islice(pictures, some - 1)]


def _counts(rows: Sequence[PictureComparison]) -> AnswerCounts:
    verdicts = Counter(row.verdict for row in rows)
    answers = [(row.deepstream, row.edge_impulse) for row in rows]
    shown = sum(any(answer.label or answer.objects for answer in both) for both in answers)
    return AnswerCounts(len(rows), shown, verdicts[Verdict.SAME], verdicts[Verdict.DRIFTS], verdicts[Verdict.DIFFERS])


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
