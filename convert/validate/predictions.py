"""What two models predict for the same pictures, and how far they agree, for models of any kind.

A prediction is the score of each class, the best class and its box. Differently framed pictures of the same scene
cannot be compared cell by cell or candidate by candidate; predictions can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.heads import head
from convert.types import Agreement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.heads.decoding import ReferenceDecoder


__all__ = ["Predictions", "agreement", "predictions"]


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


def predictions(task: str, decoder: ReferenceDecoder | None, raw: Sequence[NDArray[Any]]) -> Predictions:
    """The predictions of (raw) outputs [n, ...] in the original's layout, that is with heat maps NHWC.

    Args:
        decoder: of a detector; None for a classifier.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is parity's to find
        scores, boxes = head(task).prediction(decoder, raw)
    return Predictions(scores, scores.argmax(axis=1), boxes)


def agreement(left: Predictions, right: Predictions) -> Agreement:
    """How far two models' predictions for the same pictures agree; boxes in shares of the same frame.

    They agree on a picture where they predict the same class and, detectors, their boxes overlap by half.
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
