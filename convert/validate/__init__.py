"""Stage 4: is the ONNX model valid, can Gst-nvinfer take it, and does it compute what the original computes?

`WithFraming` validates a model that was trained on cropped pictures: as any other, and it measures what nvinfer's
scaling changes. Whole frames are scaled as Gst-nvinfer does it, and cropped and then resized as Edge Impulse's SDK does
it (`convert.images.scaling` has both). A model that crops frames itself differs from the SDK by the interpolation and
by less than a pixel of stretch; one that gets the whole frame, squashed, differs by the content of the picture.

Importing this module brings neither numpy nor onnx.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, ClassVar

from convert.errors import PresetError, ValidationError
from convert.findings import Finding, Level, Rule, worst
from convert.heads import head
from convert.images import Frame, ResizeMode, crop_area
from convert.images.resizing import Resizing
from convert.isolation import LARGE, Worker, return_freed_memory
from convert.onnx_header import parse_header
from convert.types import Adapted, Evidence, FrameEffect, ObjectEvidence, Stage, StageResult, Validated

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from convert.heads.decoding import ReferenceDecoder
    from convert.validate.comparison import Comparison

CONSTANT = Rule("EI406")
CALIBRATED = Rule("EI413")
KERNELS = Rule("EI410")
TENSORRT = Rule("EI408")
SQUASHED = Rule("EI409")

_LARGE = 1 << 20
"""Numbers in a batch from which the child is ended before it is run; it starts again if it is needed."""

_FEWEST, _PIXELS = 14, 1_500_000
"""For a network of large pictures fewer are generated: as many as have so many pixels together, at the network's size;
at least these, with four each of edges and noise and all kinds of scenes."""

_FEWEST_CODED, _MOST_CODED, _CODED_PIXELS = 60, 300, 5_000_000
"""Pictures that a model of codes is measured on: some seconds, whatever the size of one."""

_FEWEST_QUICK, _MOST_QUICK, _QUICK_PIXELS, _QUICK_BYTES = 20, 30, 5_000_000, 8 << 20
"""For an engine in FP32 FP16 is measured, too, since it may be taken next: on at most `_MOST_QUICK` pictures, which
takes less than a second of one core. Where the pixels are not enough for the fewest, or the model has more than
`_QUICK_BYTES` (the time and memory of a pass grow with its weights), it is not measured."""

_CHUNK = 32  # pictures at a time: bounds memory for folders of any size
_CHUNK_BYTES = 1 << 24  # of them, where they are large: a whole frame of 1920x1080 is 6 MB


@dataclass(frozen=True, slots=True)
class Validate:
    """Checks and measures an adapted model.

    Attributes:
        images: a folder of pictures to measure on, besides the generated ones.
        tolerance: largest absolute difference allowed between the outputs of the original and of the ONNX model.
        inputs: how many pictures are generated at most; of large ones they are fewer.
        batches: batch sizes compared with one picture at a time.
        tensorrt: also parse and build with TensorRT-RTX on the CPU, for batches up to `batch_size`.
        timeout: seconds LiteRT (for 32 pictures) or TensorRT may take.
        precision: of the engine; "fp16": also measure thoroughly what it changes.
        calibrate: pictures that a calibrated model was made from, 200 at most: on them, or on `images`, it is measured
            how it decides.
        worker: the process LiteRT runs in; one is started where none is given.
    """

    name: ClassVar[str] = "validate"
    images: Path | None = None
    tolerance: float = 1e-4
    inputs: int = 32
    batches: tuple[int, ...] = (1, 2, 8)
    tensorrt: bool = False
    batch_size: int = 1
    timeout: float = 300.0
    precision: str = "fp32"
    calibrate: Path | None = None
    worker: Worker | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not (0 < self.tolerance < math.inf and self.inputs >= 1 and self.timeout > 0 and self.batch_size >= 1):
            message = "tolerance, inputs, timeout and batch size must be positive numbers"
            raise PresetError(message, hint="leave them at their defaults")
        if not self.batches or min(self.batches) < 1:
            raise PresetError("batch sizes must be 1 or more", hint="leave them at 1, 2, 8")

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - every stage takes one
        """Measure; what is wrong is a finding of level error.

        Raises:
            ValidationError: the model is invalid, or it or the original cannot be run.
            InputError: a picture in `images` cannot be read.
            MissingDependencyError: `tensorrt` without tensorrt-rtx.
        """
        from convert.validate import inputs, runtimes

        assert isinstance(artifact, Adapted)
        if self.tensorrt:
            runtimes.require()
        files: Sequence[Path] = ()
        if self.images:
            from convert.images.read import find  # few runs need it

            files = tuple(find([self.images], videos=False))  # before any work: the folder may be missing
        findings = inputs.check(artifact.onnx.data)
        if worst(findings) is Level.ERROR:  # nothing can be fed to it
            evidence = Evidence(int8_agreement=artifact.export.agreement)
            return StageResult(Validated(artifact, evidence), findings=findings)
        # All are fixed: `inputs.check`.
        shape = tuple(side or 0 for side in parse_header(artifact.onnx.data).inputs[0].shape[1:])
        channels, height, width = shape
        count = min(self.inputs, max(_FEWEST, _PIXELS // math.prod(artifact.export.facts.input.sides[:2])))
        generated = inputs.pictures(count, height, width, channels)
        evidence, found = self._measure(artifact, chain(generated, self._given(files, artifact, *shape)))
        if worst(found) is not Level.ERROR:
            evidence, more = self._measure_precision(artifact, evidence, files, *shape)
            found = (*found, *more)
        if self.tensorrt:
            built, refused = self._build(artifact)
            evidence, found = replace(evidence, tensorrt=built), (*found, *refused)
            if artifact.for_objects is not None:
                built, refused = self._build(artifact.for_objects)
                of_objects = replace(evidence.for_objects or ObjectEvidence(), tensorrt=built)
                evidence, found = replace(evidence, for_objects=of_objects), (*found, *_of_objects(refused, found))
        evidence = replace(
            evidence, int8_agreement=artifact.export.agreement, source_parity=artifact.export.source_parity
        )
        return StageResult(Validated(artifact, evidence), findings=(*findings, *found))

    def _given(
        self, files: Sequence[Path], adapted: Adapted, channels: int, height: int, width: int
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """(name, uint8 [H,W,C]): the user's, brought to size as in training."""
        if files:
            from convert.images.read import read_fitted  # few runs need it

            mode, anchor = adapted.preprocessing.resize_mode, adapted.export.metadata.anchor
            for path in files:
                yield path.name, read_fitted(path, height, width, channels, mode, anchor=anchor)

    def _measure(
        self, adapted: Adapted, pictures: Iterator[tuple[str, NDArray[np.uint8]]]
    ) -> tuple[Evidence, tuple[Finding, ...]]:
        """Parity on all `pictures`, batch parity on the first of them; on these both of the model for objects."""
        import numpy as np  # heavy, as the next one: importing this module must stay light

        from convert.validate.comparison import Comparison

        with contextlib.ExitStack() as stack:
            worker = self.worker or stack.enter_context(Worker(("convert.validate.runtimes",)))
            size = max(self.batches)
            comparison = Comparison(adapted, worker, self.timeout, self.tolerance, first_size=size)
            each = math.prod(side or 1 for side in adapted.onnx.input.shape[1:])
            count = max(size, min(_CHUNK, _CHUNK_BYTES // each))
            while chunk := tuple(islice(pictures, count)):
                names, arrays = zip(*chunk, strict=True)
                stacked = np.stack(arrays)
                del chunk, arrays  # megabytes, while the models run
                comparison.add(names, stacked)
        first, inner, decoding = comparison.first, comparison.inner, comparison.decoding
        pixels = first[0].size if first else 0
        if self.worker is not None and max(pixels, adapted.onnx.size * _LARGE // LARGE) > _LARGE:
            self.worker.close()  # a batch of large pictures is a run's peak of memory, and the child has done its part
        if adapted.for_objects is None or inner is None or comparison.tally.parity() is None:
            return self._proven(comparison, adapted)
        with ThreadPoolExecutor(1) as thread:  # both at once: ONNX Runtime lets go of Python's lock
            proven = thread.submit(self._proven, comparison, adapted)
            if adapted.onnx.size > LARGE:  # but for sessions of hundreds of megabytes
                wait([proven])
                del comparison
                return_freed_memory()
            decoder = replace(decoding.decoder, framing=None) if decoding else None
            objects = Comparison(
                adapted.for_objects, worker, self.timeout, self.tolerance, first_size=len(inner[0]), decoder=decoder
            )
            objects.add_known(*inner)
            other, more = self._proven(objects, adapted.for_objects)
        evidence, found = proven.result()
        of_objects = ObjectEvidence(other.parity, other.batch, decoding=other.decoding)
        return replace(evidence, for_objects=of_objects), (*found, *_of_objects(more, found))

    def _measure_precision(
        self, adapted: Adapted, evidence: Evidence, files: Sequence[Path], channels: int, height: int, width: int
    ) -> tuple[Evidence, tuple[Finding, ...]]:
        """Decisions, on image-like pictures and the user's: of codes beside those of LiteRT's second kernels, of a
        float model in float16 beside float32, for an engine in FP32 on a few generated ones. Of a calibrated model
        they are the user's, if there are any."""
        import numpy as np  # as in `_measure`

        from convert.validate import inputs, precision

        is_quick = not adapted.has_own_codes and self.precision != "fp16"
        count = max(_FEWEST_CODED, min(_MOST_CODED, _CODED_PIXELS // (height * width)))
        if is_quick:
            count, files = min(_MOST_QUICK, _QUICK_PIXELS // (height * width)), ()
            if count < _FEWEST_QUICK or adapted.onnx.size > _QUICK_BYTES:
                return replace(evidence, precisions=precision.table(adapted, evidence)), ()
        generated = inputs.image_like(count, height, width, channels)
        if self.calibrate is not None:
            from convert.images.read import find  # few runs need it

            generated, files = iter(()), files or find([self.calibrate], videos=False)
        given = (picture for _, picture in islice(self._given(files, adapted, channels, height, width), _MOST))
        pictures = chain(generated, given)
        with contextlib.ExitStack() as stack:
            worker = self.worker or stack.enter_context(Worker(("convert.validate.runtimes",)))
            chunks = iter(lambda: tuple(islice(pictures, max(1, _CHUNK_BYTES // (height * width * channels)))), ())
            every = map(np.stack, chunks)
            return precision.measured(adapted, evidence, every, worker, self.timeout, advise=not is_quick)

    def _proven(self, comparison: Comparison, adapted: Adapted) -> tuple[Evidence, tuple[Finding, ...]]:
        """What `comparison` shows, and batch parity."""
        from convert.validate.comparison import measure
        from convert.validate.inputs import as_nvinfer

        parity = comparison.tally.parity()
        if parity is None or comparison.first is None:
            return Evidence(), comparison.findings()
        few, alone = comparison.first
        values = as_nvinfer(few, adapted.preprocessing)
        measured, found = measure(
            comparison.session, values, alone, self.batches, comparison.decode, exact=not adapted.export.is_stepped
        )
        decoded = comparison.decoding.difference if comparison.decoding else None
        return Evidence(parity, measured, decoding=decoded), (*comparison.findings(), *found)

    def _build(self, adapted: Adapted) -> tuple[str | None, tuple[Finding, ...]]:
        from convert.validate import runtimes

        size = adapted.onnx.input.sides
        try:
            return runtimes.build(adapted.onnx.data, size, self.batch_size, timeout=self.timeout), ()
        except ValidationError as error:
            return None, (TENSORRT.found(error.message, hint=error.hint or TENSORRT.fix),)


def _of_objects(findings: Sequence[Finding], others: Sequence[Finding]) -> tuple[Finding, ...]:
    """What was found of the model for objects, without what `others`, of the same model with a crop, say already.

    That the original gives the same for every picture is said of all pictures only.
    """
    said = {CONSTANT.id, *(finding.id for finding in others)}
    return tuple(
        replace(finding, message=f"the model for objects: {finding.message}")
        for finding in findings
        if finding.id not in said
    )


INPUTS = 20
"""Frames: enough to measure what squashing does, in about a second."""

SHAPES = (Frame(16, 9), Frame(4, 3), Frame(3, 4), Frame(9, 16))
"""Of the frames where the camera's aspect is not given: usual cameras', and objects of about that shape."""

_MOST = 200  # of the user's pictures, the first: more would only take memory and time


@dataclass(frozen=True, slots=True)
class WithFraming:
    """The stage `validate`, and for a model trained on cropped pictures what cropping, or not cropping, changes.

    Attributes:
        validate: the ordinary stage.
        images: a folder of pictures to measure on instead of the generated ones, 200 at most.
        timeout: seconds LiteRT may take for all frames.
        worker: the process LiteRT runs in; one is started where none is given.
    """

    name: ClassVar[str] = "validate"
    validate: Stage
    images: Path | None = None
    timeout: float = 300.0
    worker: Worker | None = field(default=None, compare=False, repr=False)

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        """Validate, then measure; nothing is measured of a model that is wrong already.

        Raises:
            ValidationError: the original or the model cannot be run.
            InputError: a picture in `images` cannot be read.
        """
        assert isinstance(artifact, Adapted)
        result = self.validate(artifact, workdir)
        before = artifact.preprocessing
        whole = before.framing is not None and not before.framing.crops  # nothing is cropped, nor squashed
        whole |= isinstance(before.framing, Resizing) and before.framing.is_exact  # as parity, which is measured anyway
        if before.resize_mode is not ResizeMode.FIT_SHORTEST or whole or worst(result.findings) is Level.ERROR:
            return result
        if artifact.onnx.size > LARGE:
            return_freed_memory()
        with contextlib.ExitStack() as stack:
            worker = self.worker or stack.enter_context(Worker(("convert.validate.runtimes",)))
            effect = self._measure(artifact, worker)
        validated = Validated(artifact, replace(result.artifact.evidence, framing=effect))
        return replace(result, artifact=validated, findings=(*result.findings, *_findings(effect)))

    def _measure(self, adapted: Adapted, worker: Worker) -> FrameEffect:
        import numpy as np  # importing this module must stay light

        from convert.images.scaling import fit_shortest, scaled, sdk_luma
        from convert.validate.comparison import original, reference_decoder
        from convert.validate.precision import agreement, predictions

        export, framing, anchor = adapted.export, adapted.preprocessing.framing, adapted.export.metadata.anchor
        height, width, channels = export.facts.input.sides
        model = width, height
        cropped, squashed, shown, places = [], [], [], []

        def seen(picture: NDArray[np.uint8]) -> NDArray[Any]:
            return sdk_luma(picture) if picture.shape[2] > channels else picture

        for frame in self._frames(adapted):
            cropped.append(seen(fit_shortest(frame, *model, anchor=anchor)))
            squashed.append(seen(scaled(frame, *model)))
            shown += [scaled(frame, *framing.network)] if framing else []
            high, wide = frame.shape[:2]
            places.append(np.array(crop_area(wide, high, model, anchor=anchor)) / [wide, high, wide, high])
        task = adapted.head.task
        decoder = reference_decoder(adapted, worker, self.timeout) if head(task).detects else None
        outputs = original(export, np.stack(cropped + squashed), worker, self.timeout)
        if adapted.onnx.size > LARGE:  # the one behind the other: each needs several times the model's size
            worker.close()
        trained, plain = (
            predictions(task, decoder, [output[part] for output in outputs])
            for part in (slice(len(cropped)), slice(len(cropped), None))
        )
        trained = trained.placed(np.array(places))
        crop = None
        if framing is not None:
            whole = framing.network
            place = np.array([framing.inside]) / [*whole, *whole]
            crop = agreement(trained, predictions(task, decoder, shipped(adapted, shown, decoder)).placed(place))
        shapes = (framing.frame,) if framing else () if self.images else SHAPES
        return FrameEffect(tuple(map(str, shapes)), crop, agreement(trained, plain))

    def _frames(self, adapted: Adapted) -> Iterator[NDArray[np.uint8]]:
        """uint8 [H,W,C], pixels as a camera gives them."""
        from convert.validate import inputs  # imports numpy

        framing, channels = adapted.preprocessing.framing, adapted.onnx.input.sides[0]
        if self.images is not None:
            yield from (picture for _, picture in inputs.given(self.images, framing, channels))
            return
        shapes = (framing.frame,) if framing else SHAPES
        side = inputs.SCALED if isinstance(framing, Resizing) else inputs.LONG_SIDE
        for shape in shapes:
            width, height = shape.within(side, side)
            yield from inputs.image_like(INPUTS // len(shapes), height, width, channels)


def shipped(
    adapted: Adapted, pictures: Sequence[NDArray[np.uint8]], decoder: ReferenceDecoder | None
) -> list[NDArray[Any]]:
    """Outputs [n, ...] of the shipped model for `pictures` [H,W,C] of its size; of a detector the raw ones.

    Args:
        decoder: of a detector, whose outputs are returned in the original's layout; None of a classifier.

    Raises:
        ValidationError: ONNX Runtime refuses the model.
    """
    from convert.validate import runtimes
    from convert.validate.comparison import run_each, with_raw

    session = runtimes.load(adapted.onnx.loadable if decoder is None else with_raw(adapted.onnx.data))
    outputs = run_each(session, pictures, adapted.preprocessing)
    return outputs if decoder is None else head(adapted.head.task).as_original(outputs[len(adapted.onnx.outputs) :])


def _findings(effect: FrameEffect) -> tuple[Finding, ...]:

    if effect.crop is not None:
        return ()
    squash = effect.squash
    of = " to ".join((effect.frames[0], effect.frames[-1])) if effect.frames else "the shapes they have"
    message = (
        f"squashed instead of cropped, {round((1 - squash.top1) * squash.inputs)} of {squash.inputs} pictures of {of} "
        f"are decided otherwise, and scores differ by {squash.mean_abs_diff:.2g} on average"
    )
    hint = "--frame auto (or what the camera gives, --frame 4:3) crops whole frames in the model; not for --role sgie"
    return (SQUASHED.found(message, hint=hint),)
