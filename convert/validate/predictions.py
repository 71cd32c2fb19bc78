"""What two models predict for the same pictures, and how far they agree, for models of any kind.

A prediction is the score of each class, the best class and its box. Differently framed pictures of the same scene
cannot be compared cell by cell or candidate by candidate; predictions can. And so can models of 8-bit codes
(`int8_evidence`), where a rounding that falls the other way moves one candidate of thousands.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.heads import head
from convert.types import DETECTOR_THRESHOLD, Agreement, Int8Evidence
from convert.validate import runtimes
from convert.validate.comparison import original, reference_decoder, seen, with_raw
from convert.validate.findings import KERNELS
from convert.validate.inputs import as_nvinfer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from convert.findings import Finding
    from convert.heads.decoding import ReferenceDecoder
    from convert.isolation import Worker
    from convert.types import Adapted

_OVERLAP = 0.5  # intersection over union from which on two boxes are taken for the same object's (PASCAL VOC)


@dataclass(frozen=True, eq=False)
class Predictions:
    """A model's predictions for n pictures.

    Attributes:
        scores: [n,C], the highest of each class.
        labels: [n], the class with the highest of all.
        boxes: [n,4], where that one is: left, top, right, bottom in shares of the model's picture; None for a
            classifier.
    """

    scores: NDArray[Any]
    labels: NDArray[Any]
    boxes: NDArray[Any] | None = None

    def placed(self, places: NDArray[Any]) -> Predictions:
        """The same with boxes in shares of the frame around the model's picture.

        Args:
            places: [n,4] or [1,4]: left, top, width and height of that picture in shares of the frame.
        """
        if self.boxes is None:
            return self
        start, size = np.tile(places[:, :2], 2), np.tile(places[:, 2:], 2)
        return Predictions(self.scores, self.labels, np.clip(self.boxes, 0, 1) * size + start)

    @classmethod
    def joined(cls, parts: Sequence[Predictions]) -> Predictions:
        """Those for all pictures of `parts`, in order."""
        scores, labels = (np.concatenate([getattr(each, name) for each in parts]) for name in ("scores", "labels"))
        boxes = [each.boxes for each in parts if each.boxes is not None]
        return cls(scores, labels, np.concatenate(boxes) if boxes else None)


def predictions(task: str, decoder: ReferenceDecoder | None, raw: Sequence[NDArray[Any]]) -> Predictions:
    """The predictions of (raw) outputs [n, ...] in the original's layout, that is with heat maps NHWC.

    Args:
        decoder: of a detector; None for a classifier.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is parity's to find
        scores, boxes = head(task).prediction(decoder, raw)
    return Predictions(scores, scores.argmax(axis=1), boxes)


def agreement(left: Predictions, right: Predictions, *, least: float = 0) -> Agreement:
    """How far two models' predictions for the same pictures agree; boxes in shares of the same frame.

    They agree on a picture where they predict the same class and, detectors, their boxes overlap by half; or where both
    predict nothing, since no score of a detector is at least `least`.
    """
    same = left.labels == right.labels
    if left.boxes is not None and right.boxes is not None:
        same &= _overlap(left.boxes, right.boxes) >= _OVERLAP
        something = [each.scores.max(axis=1) >= least for each in (left, right)]
        same = np.where(something[0] & something[1], same, something[0] == something[1])
    difference = np.abs(left.scores.astype(np.float64) - right.scores)
    return Agreement(float(same.mean()), float(difference.mean()), float(difference.max()), len(same))


_MARGIN = 0.01  # what a share of equal decisions may be below the kernels'
_SIGMAS = 2  # of the difference of two shares, which chance alone makes in one of twenty models


def int8_evidence(
    adapted: Adapted, chunks: Iterator[NDArray[np.uint8]], worker: Worker, timeout: float
) -> Int8Evidence:
    """How a model of 8-bit codes decides beside the quantized original, which runs in `worker`.

    Args:
        chunks: pictures [n,H,W,C] of the shipped model's size.
        timeout: seconds the original may take for a chunk.

    Raises:
        ValidationError: one of them cannot be run.
    """
    from convert.graph.graph import load_model  # brings onnx
    from convert.graph.quantized import layers

    kinds = runtimes.DEFAULT, runtimes.BUILTIN
    first, kernels, plain, optimized = predicted_by_both(adapted, chunks, worker, timeout, kinds, (False, True))
    what = layers(load_model(adapted.onnx.data))
    measured = (agreement(first, each, least=least_score(adapted)) for each in (plain, optimized, kernels))
    return Int8Evidence(what.int8, what.other, what.share, *measured)


def least_score(adapted: Adapted) -> float:
    """Below which a detector predicts nothing."""
    return DETECTOR_THRESHOLD if adapted.head.threshold is None else adapted.head.threshold


def predicted_by_both(
    adapted: Adapted,
    chunks: Iterator[NDArray[np.uint8]],
    worker: Worker,
    timeout: float,
    kernels: Sequence[str],
    optimized: Sequence[bool],
) -> Iterator[Predictions]:
    """What the original predicts with each of LiteRT's `kernels`, then the model, ONNX Runtime `optimized` or not."""
    data, task = adapted.onnx.data, adapted.head.task
    spec, shipped = head(task), len(adapted.onnx.outputs)
    decoder = reference_decoder(adapted, worker, timeout) if spec.detects else None
    sessions = [runtimes.load(with_raw(data), optimized=each) for each in optimized]
    found: list[list[Predictions]] = [[] for _ in (*kernels, *optimized)]

    def ours(pictures: NDArray[np.uint8], session: Any) -> list[NDArray[Any]]:
        rows = [
            runtimes.run_onnx(session, as_nvinfer(pictures[n : n + 1], adapted.preprocessing))
            for n in range(len(pictures))
        ]
        outputs = [np.concatenate(column) for column in zip(*rows, strict=True)]
        return outputs if decoder is None else spec.as_original(outputs[shipped:])

    with ThreadPoolExecutor(1) as thread:
        for pictures in chunks:
            runs = [thread.submit(ours, pictures, session) for session in sessions]
            inside = seen(pictures, adapted)
            theirs = [original(adapted.export, inside, worker, timeout, kernels=each) for each in kernels]
            for place, raw in zip(found, [*theirs, *(run.result() for run in runs)], strict=True):
                place.append(predictions(task, decoder, raw))
    return map(Predictions.joined, found)


def int8_findings(evidence: Int8Evidence) -> tuple[Finding, ...]:
    """EI410 where the model decides otherwise than the original more often than LiteRT's own kernels do."""
    ours, own = evidence.plain, evidence.kernels
    chance = (sum(each.top1 * (1 - each.top1) for each in (ours, own)) / ours.inputs) ** 0.5
    if own.top1 - ours.top1 <= max(_MARGIN, _SIGMAS * chance):
        return ()
    return (
        KERNELS.found(
            f"the same decision as the original on {ours.top1:.1%} of {ours.inputs} inputs, where two sets of LiteRT's "
            f"own kernels agree on {own.top1:.1%}; scores differ by {ours.mean_abs_diff:.2g} on average "
            f"({own.mean_abs_diff:.2g})",
            hint=KERNELS.fix,
        ),
    )


def _overlap(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """Intersection over union of each box [n,4] with its counterpart; 0 where both are empty."""
    size = np.maximum(np.minimum(left[:, 2:], right[:, 2:]) - np.maximum(left[:, :2], right[:, :2]), 0)
    shared = size.prod(axis=1)
    areas = [np.maximum(each[:, 2:] - each[:, :2], 0).prod(axis=1) for each in (left, right)]
    either = areas[0] + areas[1] - shared
    shares: NDArray[Any] = np.divide(shared, either, out=np.zeros(len(shared)), where=either > 0)
    return shares
