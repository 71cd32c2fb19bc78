"""What a model sees in a picture, whatever its kind: how sure it is of each class, which one it would name, and where.

Differently framed pictures of the same scene cannot be compared cell by cell or candidate by candidate; this can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.artifacts import Agreement
from convert.heads import head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.heads.reference import Network

__all__ = ["Seen", "agreement", "seen"]

_OVERLAP = 0.5  # intersection over union from which on two boxes are taken for the same object's (PASCAL VOC)


@dataclass(frozen=True, eq=False)
class Seen:
    """In n pictures.

    Attributes:
        scores: [n,C], the highest of each class.
        labels: [n], the class with the highest of all.
        boxes: [n,4], where that one is: left, top, right, bottom in shares of the model's picture; None for a
            classifier.
    """

    scores: NDArray[Any]
    labels: NDArray[Any]
    boxes: NDArray[Any] | None = None

    def placed(self, places: NDArray[Any]) -> Seen:
        """The same with boxes in shares of the frame around the model's picture.

        Args:
            places: [n,4] or [1,4]: left, top, width and height of that picture in shares of the frame.
        """
        if self.boxes is None:
            return self
        start, size = np.tile(places[:, :2], 2), np.tile(places[:, 2:], 2)
        return Seen(self.scores, self.labels, np.clip(self.boxes, 0, 1) * size + start)


def seen(task: str, network: Network | None, raw: Sequence[NDArray[Any]]) -> Seen:
    """Of the (raw) outputs [n, ...] of the original, or in its layout, that is with heat maps NHWC.

    Args:
        network: what a detector's mean; None for a classifier.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is parity's to find
        scores, boxes = head(task).prediction(network, raw)
    return Seen(scores, scores.argmax(axis=1), boxes)


def agreement(left: Seen, right: Seen) -> Agreement:
    """How alike two models see the same pictures; boxes in shares of the same frame.

    They agree on a picture where they would name the same class and, detectors, mean the same object by it.
    """
    same = left.labels == right.labels
    if left.boxes is not None and right.boxes is not None:
        same &= _overlap(left.boxes, right.boxes) >= _OVERLAP
    difference = np.abs(left.scores.astype(np.float64) - right.scores)
    return Agreement(float(same.mean()), float(difference.mean()), float(difference.max()), len(same))


def _overlap(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """Intersection over union of each box [n,4] with its counterpart; 0 where both are empty."""
    size = np.maximum(np.minimum(left[:, 2:], right[:, 2:]) - np.maximum(left[:, :2], right[:, :2]), 0)
    shared = size.prod(axis=1)
    areas = [np.maximum(each[:, 2:] - each[:, :2], 0).prod(axis=1) for each in (left, right)]
    either = areas[0] + areas[1] - shared
    shares: NDArray[Any] = np.divide(shared, either, out=np.zeros(len(shared)), where=either > 0)
    return shares
