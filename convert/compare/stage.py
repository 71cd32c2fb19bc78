"""The stage `validate` of a whole conversion: also compares what the bundle will show with what Edge Impulse answers.

The files that `emit` is about to write are written into the stage's own folder. Their primary config and the ONNX model
are read back as Gst-nvinfer does it (`convert.simulate`), and run against the original (`convert.compare.run`): on
generated frames of the aspect that the app config's streammux has, and on the user's pictures.

Generated frames hold none of a detector's objects, and some detectors show nothing on them. So the evidence says on how
many frames something is shown. The threshold stays where the bundle has it, because the bundle is what is compared.

Importing this module brings neither numpy nor onnx.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from convert.compare import NOT_COMPARED, Verdict
from convert.emit.files import bundle_names
from convert.emit.streams import sample
from convert.errors import ConvertError
from convert.findings import Level, worst
from convert.heads import head
from convert.images import Frame, crop_area
from convert.isolation import LARGE, Worker, return_freed_memory
from convert.types import Adapted, AnswerCounts, AnswerEvidence, Metadata, ModelFormat, StageResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from convert.compare import PictureComparison
    from convert.compare.decoding import ModelPair
    from convert.compare.run import ComparisonRun
    from convert.emit import Emit
    from convert.types import Stage


__all__ = ["WithComparison"]


_FRAMES, _FEWEST, _PIXELS, _BYTES = 40, 10, 5_000_000, 2 << 30
"""Generated frames; fewer for a large model: as many as have so many pixels, and models so many bytes, together."""

_FRAME_PIXELS = 21_000_000  # of all generated frames together: 10 of 1920x1080, 40 of 960x540

_MOST = 200  # of the user's pictures, the first: as many as `convert.validate` measures framing on
_EXPLAINED = 10  # pictures that differ, of which the causes are looked for: each costs some more runs of the model
_LONG_SIDE = 640  # pixels of a generated frame: a usual camera's, and quickly made
_SCALED = 960  # where the graph resizes what the device has scaled: so large that the device has something to scale
_CHUNK, _CHUNK_BYTES = 20, 64 << 20  # pictures in memory at a time


@dataclass(frozen=True, slots=True)
class WithComparison:
    """The stage `validate`, and how often the bundle's primary engine shows what Edge Impulse answers.

    Nothing is compared of a bundle without a primary engine, of a model whose decoding by Edge Impulse is not known,
    and of one that is wrong already.

    Attributes:
        validate: the ordinary stage.
        emit: the stage that will write the bundle.
        images: a folder of pictures to compare on, too: 200 at most.
        timeout: seconds the original may take for a picture.
        worker: the process the original runs in; one is started where none is given.
    """

    name: ClassVar[str] = "validate"
    validate: Stage
    emit: Emit
    images: Path | None = None
    timeout: float = 300.0
    worker: Worker | None = field(default=None, compare=False, repr=False)

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        """Validate, then compare.

        Raises:
            ValidationError: the original or the model cannot be run.
            InputError: a picture in `images` cannot be read.
        """
        assert isinstance(artifact, Adapted)
        result = self.validate(artifact, workdir)  # which has read all of `images`
        if self.emit.primary is None or worst(result.findings) is Level.ERROR or not _is_comparable(artifact):
            return result
        if len(artifact.onnx.data) > LARGE:
            return_freed_memory()
        alone = replace(self.emit, role="pgie", operate_on_gie_id=None)
        try:
            files = alone.files(artifact)
        except ConvertError:  # the stage that writes them will say so
            return result
        folder = workdir / "compared"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        del files
        try:
            evidence = self._compare(artifact, folder / bundle_names(artifact.export.name).primary)
        except ConvertError as error:  # the bundle is proven all the same
            found = NOT_COMPARED.found(f"not compared with what Edge Impulse answers: {error.message}")
            return replace(result, findings=(*result.findings, found))
        validated = replace(result.artifact, evidence=replace(result.artifact.evidence, answers=evidence))
        return replace(result, artifact=validated)

    def _compare(self, adapted: Adapted, config: Path) -> AnswerEvidence:
        from convert.compare.decoding import ModelPair  # brings numpy, as the others
        from convert.compare.edge_impulse_model import edge_impulse_model
        from convert.compare.run import ComparisonRun
        from convert.compare.shipped import load_shipped
        from convert.simulate.engine import Source, load

        worker = self.worker or Worker(("convert.validate.runtimes",))
        try:
            # What stands for no object is no label of either side.
            known = replace(adapted.export.metadata, labels=adapted.head.labels)
            export = replace(adapted.export, metadata=known)
            theirs = edge_impulse_model(export, Path(export.source), worker, self.timeout, Metadata())
            large = len(adapted.onnx.data) > LARGE  # causes need a second session
            session = _Session(adapted.onnx.data)
            loaded = load(Source(config), self.emit.where, session=session)
            pair = ModelPair(load_shipped(loaded, theirs), theirs)
            run = ComparisonRun(pair, explained=0 if large else _EXPLAINED)
            frame = self._frame(adapted)
            spare = session if large else None
            generated = _counted(run, _generated(frame, pair, len(adapted.onnx.data)), spare)
            given = _counted(run, self._given(adapted), spare) if self.images else None
        finally:
            if self.worker is None:
                worker.close()
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

    def _frame(self, adapted: Adapted) -> Frame:
        """What the bundle's app gives its primary engine."""
        if framing := adapted.preprocessing.framing:
            return framing.frame
        return (self.emit.frames_from or sample(self.emit.where)).usual

    def _given(self, adapted: Adapted) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """The user's pictures; of a bundle for frames of one aspect their middles."""
        from convert.images.read import find, read  # brings numpy and Pillow

        assert self.images is not None
        framing = adapted.preprocessing.framing
        for path in find([self.images], videos=False)[:_MOST]:
            picture, _ = read(path, 3)
            if framing:
                left, top, width, height = crop_area(picture.shape[1], picture.shape[0], framing.frame.pixels)
                picture = picture[top : top + height, left : left + width]
            yield path.name, picture


def _is_comparable(adapted: Adapted) -> bool:
    """Whether Edge Impulse's decoding of such a model is known; of an ONNX file's boxes the unit is not."""
    spec = head(adapted.head.task)
    known = adapted.export.format is ModelFormat.TFLITE or not spec.detects or spec.merges_cells
    return spec.is_comparable and known


class _Session:
    """An `onnxruntime.InferenceSession`, made when it is first asked something, also after it was ended."""

    def __init__(self, model: bytes) -> None:
        self._model, self._made = model, None

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            from convert.validate import runtimes  # brings numpy

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
    from convert.validate.inputs import with_objects  # brings numpy

    high, wide, _ = pair.edge_impulse.original.size
    resizing, side = pair.shipped.resizing, _SCALED if pair.shipped.resizing else _LONG_SIDE
    width, height = frame.pixels if resizing and resizing.is_exact else frame.within(side, side)
    fitting = min(_PIXELS // (high * wide), _BYTES // size, _FRAME_PIXELS // (height * width))
    count = min(_FRAMES, max(_FEWEST, fitting))
    yield from ((f"frame {number}", pixels) for number, pixels in enumerate(with_objects(count, height, width, 3)))


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
