"""Measures whether a float32 rewriting decides as the quantized model it was made from, both in LiteRT.

`WithAgreement` is the stage `unpack` with this measurement. The quantized original is the export's and the test
pictures are the validation's: only this module imports both. The result travels with the export to the evidence of
`validate`.

The two models never compute the same: the quantized one rounds every activation to one of 256 values. What counts is
whether they decide the same. Where they do not, rounding is the reason: with the rounding of every layer put back,
real models agree on 98 to 100 % of inputs (tests). Two int8 kernels of LiteRT itself, XNNPACK's and the reference,
agree on 92 to 100 %, by model: where the rewriting does less well than it should, two sets of LiteRT's kernels are
compared on the same inputs, and the rewriting is held against both. LiteRT can crash on a damaged model, so all of it
runs in a worker process.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from convert.errors import UnsupportedModelError, ValidationError
from convert.findings import Finding, Rule
from convert.heads import SSD, head, refuse_unsupported, ssd
from convert.images import CENTRE, Anchor, ImageScaling, ResizeMode
from convert.isolation import Died, Failed, Worker, tell
from convert.types import Agreement, Export, Int8Agreement, Stage, StageResult

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


AGREEMENT = Rule("EI153")
ROUNDING = Rule("EI154")

TIMEOUT = 300.0
"""Seconds a comparison may take; `--timeout` only ever gives it more."""

SOME, ENOUGH, MOST = (500_000, 5, 50), (3_000_000, 30, 145), (5_000_000, 100, 300)
"""Inputs behind which the best so far is likely to stay that; which are enough without a single difference, of large
ones fewer than `is_clearly_good` asks for; and how many there are at most. Each: pixels of all of them together, and
the least and the greatest number."""

LAYERS = ("none", "first", "every")
"""Which layers of a rewriting round as the original's, the simplest first."""

_HINT = "this is a fault of the rewriting, not of the model: please report it"


@dataclass(frozen=True, slots=True)
class WithAgreement:
    """The stage `unpack`, and for a model it rewrote: how often that decides as the original does.

    Where the two differ, rewritings that keep the rounding of the first layer or of every layer are measured, too
    (`best_rewriting`); the best goes on, of equal ones the simplest. Rounding every layer costs four operators each,
    which work value by value. Only generated inputs decide: every stage command has to choose alike,
    whatever pictures it is given. What is less than GOOD in the end is measured beside LiteRT's own second set of
    kernels. A model that is refused later is not measured.

    Attributes:
        unpack: the ordinary stage.
        images: a folder of pictures to measure on, too: MOST at most.
        as_primary: the bundle gets the config of a primary engine, which `simulate` can compare.
        timeout: seconds a comparison may take.
        rounding: "none" of the original's, that of the "first" layer, of "every" layer, or what "auto" finds.
        worker: the process LiteRT runs in; one is started where none is given.
        meanwhile: begins what is done with the likely result while it is measured, in another process.
    """

    name: ClassVar[str] = "unpack"
    unpack: Stage
    images: Path | None = None
    as_primary: bool = True
    timeout: float = TIMEOUT
    rounding: str = "auto"
    worker: Worker | None = field(default=None, compare=False, repr=False)
    meanwhile: Callable[[Export], None] | None = field(default=None, compare=False, repr=False)

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        """Unpack, then compare.

        Raises:
            ValidationError: LiteRT cannot run one of the two.
            InputError: `images` is not there, or one of its pictures cannot be read.
        """
        result = self.unpack(artifact, workdir)
        export: Export = result.artifact
        if export.original is None:
            return result
        try:
            refuse_unsupported(export)
        except UnsupportedModelError:  # `translate` raises it again
            return result
        files: tuple[Path, ...] = ()
        if self.images:
            from convert.images.read import find  # few runs need it

            files = find([self.images], videos=False)
        worker = self.worker or Worker()
        try:
            chosen, found = self._choose(export, files, worker)
        finally:
            if self.worker is None:
                worker.close()
        return replace(result, artifact=chosen, findings=(*result.findings, *found))

    def _choose(self, plain: Export, files: tuple[Path, ...], worker: Worker) -> tuple[Export, tuple[Finding, ...]]:
        @cache
        def rewriting(layers: str) -> tuple[Export, int]:
            """The one that rounds these of LAYERS, and how many activations it rounds."""
            if layers == "none":
                return plain, 0
            from convert.export.dequantize import in_float32  # brings the schema classes

            other, done = in_float32(plain, layers)
            return other, done.rounded

        def begin(layers: str) -> None:
            assert self.meanwhile is not None
            self.meanwhile(rewriting(layers)[0])

        likely = "none" if self.rounding == "auto" and _has_boxes(plain.facts.task) else self.rounding
        ahead = self.meanwhile is not None
        if ahead and likely != "auto":
            begin(likely)
            ahead = False
        given = plain.model, self.rounding, ahead
        layers, measured, without = self._call("convert.agreement:best_rewriting", plain, worker, *given, told=begin)
        inputs, found = measured.inputs, []
        export, rounded = rewriting(layers)
        if rounded:
            message = (
                f"rounded as the original: {layers} layer, with the same decision on {measured.top1:.1%} of {inputs}"
                f" inputs; without that on {without.top1:.1%}"
            )
            found.append(ROUNDING.found(message))
        function = "convert.agreement:compare"
        if files:
            measured = _together(measured, self._call(function, export, worker, export.model, 0, files))
        kernels = None
        if measured.top1 < GOOD:
            kernels = self._call(function, export, worker, None, inputs, files).top1
        same = measured.top1, measured.mean_abs_diff, measured.max_abs_diff, measured.inputs
        agreement = Int8Agreement(*same, rounded, kernels, layers if rounded else "none")
        found += agreement_findings(agreement, self._hint())
        return replace(export, agreement=agreement), tuple(found)

    def _hint(self) -> str:
        """How to compare on pictures that the model is made for."""
        if self.images:
            return "the float32 export of the same project needs no rewriting"
        if not self.as_primary:
            return "measure on pictures of your own, too: --images and a folder of them"
        return (
            "compare on pictures of your own, with the names of your files: "
            "ei-deepstream simulate BUNDLE PICTURES -o compared --against edge-impulse --original EXPORT"
        )

    def _call(
        self,
        function: str,
        export: Export,
        worker: Worker,
        rebuilt: bytes | None,
        *arguments: Any,
        told: Callable[[str], None] | None = None,
    ) -> Any:
        """What a function of this module gives in the worker for the export and `arguments`."""
        metadata, scaling = export.metadata, export.metadata.image_scaling or ImageScaling.NONE
        fed = Fed(export.facts.input.sides, scaling, metadata.resize_mode, metadata.anchor)
        given = (export.original, rebuilt, fed, export.facts.task, *arguments)
        try:
            # `best_rewriting` makes as many comparisons.
            timeout = self.timeout * len(LAYERS) if told else self.timeout
            return worker.call(function, *given, timeout=timeout, told=told)
        except Died as error:
            hint = "allow more time with --timeout" if error.reason.startswith("ran longer") else _HINT
            raise ValidationError(f"LiteRT {error.reason} comparing the quantized model", hint=hint) from error
        except Failed as error:
            raise ValidationError(f"LiteRT cannot compare the quantized model: {error}", hint=_HINT) from error


@dataclass(frozen=True, slots=True)
class Fed:
    """What a model takes.

    Attributes:
        shape: height, width and channels of a picture.
        scaling: what is done to pixel / 255.
        mode: how pictures are brought to size, as in training; None is squash.
        anchor: which part of them a crop keeps.
    """

    shape: tuple[int, ...]
    scaling: ImageScaling
    mode: ResizeMode | None = None
    anchor: Anchor = CENTRE

    def count(self, limits: tuple[int, int, int]) -> int:
        """How many inputs that are, of such pictures: SOME, ENOUGH or MOST."""
        pixels, least, most = limits
        height, width, _ = self.shape
        return max(least, min(most, pixels // (height * width)))

    def inputs(self, count: int, files: Sequence[Path] = ()) -> Iterator[NDArray[np.float32]]:
        """`count` generated ones, then those of `files`, MOST of them at most; each [1,H,W,C].

        By turns image-like ones and those with objects: a network that answers to objects alone would decide the same
        on the others whatever it rounds.

        Raises:
            ValidationError: `scaling` does not suit the channels.
            InputError: a picture cannot be read.
        """
        from convert.validate.inputs import as_edge_impulse, image_like, with_objects

        height, width, channels = self.shape
        kinds = (make(count, height, width, channels) for make in (image_like, with_objects))
        pictures: Iterator[NDArray[np.uint8]] = islice(chain.from_iterable(zip(*kinds, strict=True)), count)
        if files:
            from convert.images.read import read_fitted  # few runs need it

            few = files[: self.count(MOST)]
            given = (read_fitted(path, height, width, channels, self.mode, anchor=self.anchor) for path in few)
            pictures = chain(pictures, given)
        return (as_edge_impulse(picture[np.newaxis], self.scaling) for picture in pictures)


def compare(
    original: bytes, rebuilt: bytes | None, fed: Fed, task: str, inputs: int, files: Sequence[Path] = ()
) -> Agreement:
    """`int8_agreement` on `inputs` generated inputs and on the pictures `files`, for the worker."""
    return int8_agreement(original, rebuilt, fed.inputs(inputs, files), task)


def best_rewriting(
    original: bytes,
    plain: bytes,
    fed: Fed,
    task: str,
    rounding: str,
    ahead: bool,  # noqa: FBT001 - what travels
) -> tuple[str, Agreement, Agreement]:
    """Which rewriting in float32 decides as `original`, for the worker: the first that does so clearly, or most often.

    It is always the one with the fewest differences so far that is measured on, of equal ones the simplest, until it is
    clear that it is good or MOST inputs are done. So the others have as many differences already, on fewer inputs as a
    rule. Rounding the first layer has to be as good as rounding every one, which 145 inputs do not show: it goes on to
    MOST. Of a detector of boxes rounding every layer has to halve the differences of its outputs: in a long network the
    smallest difference of a sum grows until half of the codes at the end differ, between LiteRT's own kernels, too, and
    the limit of parity is missed (an SSD's scores differ by 0.0041 with it, 0.0042 without, 0.0042 between kernels).

    Args:
        plain: the rewriting that rounds nothing.
        rounding: one of LAYERS; "auto": whatever is best.
        ahead: tell the caller early (`convert.isolation.tell`) which it is likely to be.

    Returns:
        One of LAYERS, how often that decides alike, and how often `plain` does on the same inputs.

    Raises:
        RuntimeError, ValueError: LiteRT refuses a model.
        ValidationError: the scaling does not suit the channels.
    """
    some, enough, most = map(fed.count, (SOME, ENOUGH, MOST))

    def measured(layers: str) -> Iterator[Agreement]:
        model = plain
        if layers != "none":
            from convert.export.dequantize import dequantize  # brings the schema classes

            model = dequantize(original, layers).model
        yield from agreements(original, model, fed.inputs(most), task)

    running = {layers: measured(layers) for layers in LAYERS}
    found = dict.fromkeys(LAYERS, Agreement(1, 0, 0, 0))
    candidates = LAYERS if rounding == "auto" else (rounding,)
    while True:
        best = min(candidates, key=lambda layers: found[layers].differences)  # the first of equal ones
        so_far = found[best]
        is_clear = is_clearly_good(so_far) or (so_far.top1 == 1 and so_far.inputs == enough)
        if so_far.inputs == most or (is_clear and best != "first"):
            break
        if so_far.inputs == some and ahead:
            ahead = False  # once
            tell(best)
        found[best] = next(running[best])
    while found["none"].inputs < so_far.inputs:
        found["none"] = next(running["none"])
    without = found["none"]
    if rounding == "auto" and _has_boxes(task) and best == "every" and so_far.mean_abs_diff > without.mean_abs_diff / 2:
        return "none", without, without
    return best, so_far, without


def _has_boxes(task: str) -> bool:
    """Whether it is a detector of boxes, of which hardly any rewriting rounds (`best_rewriting`)."""
    return head(task).detects and not head(task).merges_cells


def _together(left: Agreement, right: Agreement) -> Agreement:
    """On the inputs of both; every input has as many outputs."""
    count = left.inputs + right.inputs
    top1, mean = (
        (getattr(left, name) * left.inputs + getattr(right, name) * right.inputs) / count
        for name in ("top1", "mean_abs_diff")
    )
    return Agreement(top1, mean, max(left.max_abs_diff, right.max_abs_diff), count)


GOOD = 0.98
"""The share of equal decisions below which LiteRT's own kernels are measured."""

_MARGIN = 0.01  # what a share may be below GOOD, or below the kernels' own, however many inputs there are
_SIGMAS = 1.65  # of the difference of two shares, which chance alone makes in one of twenty models

_BETTER, _WORSE = 0.99, 0.97  # the shares that are distinguished, as far from GOOD as each other
_ODDS = 19  # likelihood ratio of the better to the worse: at most 1 in 19 of the worse ever get there

_CONFIDENT = 0.5  # Edge Impulse's default threshold: below it a detector has not decided for anything
_OBJECTNESS = 4  # column of a YOLOv5 row; the classes stand behind it


def agreement_findings(agreement: Int8Agreement, hint: str = AGREEMENT.fix) -> tuple[Finding, ...]:
    """EI153 where the two decide differently too often: more than a point, and more than chance makes, below GOOD and
    below LiteRT's own kernels."""
    if agreement.kernels is None:
        return ()
    shares = (agreement.top1, agreement.kernels)[: 2 if agreement.kernels < GOOD else 1]  # GOOD is exact
    chance = (sum(share * (1 - share) for share in shares) / agreement.inputs) ** 0.5
    if agreement.top1 >= min(GOOD, agreement.kernels) - max(_MARGIN, _SIGMAS * chance):
        return ()
    message = (
        f"the same decision on {agreement.top1:.1%} of {agreement.inputs} inputs, where two sets of LiteRT's own"
        f" kernels agree on {agreement.kernels:.1%}; outputs differ by {agreement.mean_abs_diff:.2g} on average"
        f" and {agreement.max_abs_diff:.2g} at most"
    )
    return (AGREEMENT.found(message, hint=hint),)


def is_clearly_good(agreement: Agreement) -> bool:
    """Whether there is little doubt that such a share of equal decisions reaches GOOD.

    Wald's sequential probability ratio test (Annals of Mathematical Statistics 16, 1945) for a share of 99 % against
    one of 97 %, asked behind every input. Without a single difference it takes 145 inputs; each one costs 54 more.
    """
    different = agreement.differences
    equal = agreement.inputs - different
    ratio = equal * math.log(_BETTER / _WORSE) - different * math.log((1 - _WORSE) / (1 - _BETTER))
    return ratio >= math.log(_ODDS)


def int8_agreement(
    original: bytes, rebuilt: bytes | None, inputs: Iterable[NDArray[Any]], task: str = "classifier"
) -> Agreement:
    """The last of `agreements`."""
    last = deque(agreements(original, rebuilt, inputs, task), maxlen=1)
    return last[0] if last else Agreement(0, 0, 0, 0)


def agreements(
    original: bytes, rebuilt: bytes | None, inputs: Iterable[NDArray[Any]], task: str
) -> Iterator[Agreement]:
    """Compare the decisions and outputs of two flatbuffers on the same inputs: behind each the agreement so far.

    Two decide alike on an input where all their decisions are equal. A decision is: the class with the greatest output,
    for each cell along the last axis (classifier, FOMO), or whether a single output is at least 0.5; for SSD the class
    of the best detection, if its score is at least 0.5; for YOLOv5 the class of each row, if its objectness is.
    Differences are taken over all outputs; with TFLite_Detection_PostProcess over the scores, because the order of
    boxes changes with the smallest difference.

    Args:
        original: the quantized model.
        rebuilt: the float32 model; None: `original`, run by LiteRT's second set of kernels.
        inputs: each uint8 pictures, fed as pixel / 255, or float32 as the network is fed.
        task: what the outputs mean.

    Raises:
        ValidationError: LiteRT refuses the original.
        RuntimeError, ValueError: LiteRT refuses the rewritten model, or the inputs do not fit it.
    """
    from convert.validate import runtimes  # for the process that runs LiteRT

    detections = ssd.output_order(original, (1, 2)) if task == SSD else ()  # of classes and scores
    try:
        first = runtimes.LiteRT(original)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        message = f"LiteRT itself cannot run this quantized model: {reason}"
        hint = "the file is as its converter wrote it; export the model in float32, or quantized in another way"
        raise ValidationError(message, hint=hint) from error
    second = runtimes.LiteRT(original, runtimes.BUILTIN) if rebuilt is None else runtimes.LiteRT(rebuilt)
    same, total, count, greatest = 0, 0.0, 0, 0.0
    with ThreadPoolExecutor(1) as thread:  # LiteRT lets go of Python's lock
        for number, item in enumerate(inputs, 1):
            values = item.astype(np.float32) / np.float32(255) if item.dtype == np.uint8 else item
            running = thread.submit(first, values)
            right = second(values)
            left = running.result()
            same += np.array_equal(_decide(left, task, detections), _decide(right, task, detections))
            if detections:
                left, right = [left[detections[1]]], [right[detections[1]]]
            for one, two in zip(left, right, strict=True):
                difference = np.abs(one.astype(np.float64) - two)
                total += float(difference.sum())
                count += difference.size
                greatest = max(greatest, float(difference.max(initial=0)))
            yield Agreement(same / number, total / max(1, count), greatest, number)


def _decide(outputs: list[NDArray[np.float32]], task: str, detections: Sequence[int]) -> NDArray[np.int64]:
    """What the network decides, as whole numbers; -1 for nothing.

    Args:
        detections: of an SSD, the places of classes and scores among the outputs.
    """
    if detections:
        classes, scores = outputs[detections[0]].ravel(), outputs[detections[1]].ravel()
        best = int(scores.argmax()) if scores.size else -1
        return np.array([int(classes[best]) if best >= 0 and scores[best] >= _CONFIDENT else -1])
    if task == "yolov5":
        rows = outputs[0].reshape(-1, outputs[0].shape[-1])
        chosen: NDArray[np.int64] = rows[:, _OBJECTNESS + 1 :].argmax(axis=1)
        return np.where(rows[:, _OBJECTNESS] >= _CONFIDENT, chosen, -1)
    decisions: list[NDArray[np.int64]] = []
    for output in outputs:
        if output.ndim == 0 or output.shape[-1] == 1:
            decisions.append((output.ravel() >= _CONFIDENT).astype(np.int64))
        else:
            decisions.append(output.reshape(-1, output.shape[-1]).argmax(axis=1))
    return np.concatenate(decisions)
