"""What a detector's raw outputs mean, a second time: NumPy on float32, for comparison with the graph only.

The ends of graphs are built from ONNX operators. The references (`read` of each head, and what they share here) are
written from the sources, Edge Impulse's SDK and TFLite's post-processing operator, without looking at the graph: what
the shipped model gives must be what this gives on the same raw outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.heads.base import Decoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.artifacts import Head
    from convert.framing import Framing

    Float = NDArray[np.float32]

__all__ = ["ROUNDS", "Anchors", "Detections", "Network"]

ROUNDS = 16
"""How often a graph that drops boxes itself looks which of them are still there to drop others."""


@dataclass(frozen=True, eq=False)
class Anchors:
    """Of an SSD: float32 [A,4] (y, x, height, width), and what encoded values are divided by."""

    places: Float
    scales: tuple[float, float, float, float]


@dataclass(frozen=True)
class Network:
    """What decides the arithmetic.

    Attributes:
        head: what the outputs mean.
        width, height: pixels of the picture that the original takes.
        anchors: of an SSD.
        framing: where in a larger picture that one lies, for a model that crops.
    """

    head: Head
    width: int
    height: int
    anchors: Anchors | None = None
    framing: Framing | None = None

    @property
    def size(self) -> Float:
        """(width, height)."""
        return np.array([self.width, self.height], np.float32)

    @property
    def whole(self) -> tuple[int, int]:
        """Width and height of the picture that nvinfer makes."""
        return self.framing.network if self.framing else (self.width, self.height)

    @staticmethod
    def around(centre: Float, size: Float) -> tuple[Float, Float]:
        """Corners of boxes given by centre and size."""
        half = size * np.float32(0.5)
        return centre - half, centre + half

    @staticmethod
    def sigmoid(values: Float) -> Float:
        """1 / (1 + e^-x)."""
        return np.float32(1) / (np.float32(1) + np.exp(-values))

    def in_shares(self, corners: tuple[Float, Float]) -> tuple[Float, Float]:
        """Corners (x, y) in shares of the picture."""
        low, high = corners
        return (low / self.size, high / self.size) if self.head.coordinates == "pixels" else (low, high)

    @staticmethod
    def detections(
        low: Float, high: Float, classes: Float, objectness: Float | None = None, *, by_objectness: bool = False
    ) -> Detections:
        """Corners as (x, y), in shares; `objectness` [n,A,1] counts."""
        score = classes.max(axis=2)
        if objectness is not None:
            score = objectness[..., 0] if by_objectness else objectness[..., 0] * score
        boxes = np.stack([low[..., 1], low[..., 0], high[..., 1], high[..., 0]], axis=2)
        return Detections(boxes, score, classes.argmax(axis=2).astype(np.float32), classes, objectness)

    def compared(self, low: Float, size: Float) -> Float:
        """Whole pixels from the left top corner, never above 0 of it, on; only rows in pixels end with the picture."""
        start = np.maximum(low, np.float32(0))
        if self.head.coordinates == "pixels":
            size = np.minimum(size, self.size - start)
        else:
            start, size = start * self.size, size * self.size
        start, size = np.trunc(start), np.trunc(np.maximum(size, np.float32(0)))
        return np.concatenate([start[..., ::-1], (start + size)[..., ::-1]], axis=-1)

    def decoded(self, found: Detections, given: Sequence[NDArray[Any]]) -> Decoded:
        """Candidates of the reference beside boxes, scores and classes `given` by the graph."""
        middle = np.median((found.boxes[..., :2] + found.boxes[..., 2:]) / 2, axis=1)
        boxes, scores, classes = given
        wanted = self.shipped(found, scores.shape[1])
        if self.head.overlap is not None:
            scores = np.where(np.isnan(wanted.scores), np.nan, scores)
        differ = int((wanted.labels != classes).sum())
        return Decoded([self.placed(wanted.boxes), wanted.scores], [boxes, scores], differ, (middle,))

    def shipped(self, found: Detections, count: int) -> Detections:
        """What of `found` the graph gives.

        Where it drops overlapping boxes itself, that is the `count` best, in whole pixels, the dropped ones at -1.
        What it would take more than `ROUNDS` rounds to find out it may keep or drop: there the score is NaN.
        """
        limit = self.head.overlap
        if limit is None:
            return found
        best = found.best(count)
        assert best.compared is not None
        scores = best.scores.copy()
        for picture, boxes in enumerate(best.compared):
            kept = np.zeros(len(boxes), np.bool_)
            settled = np.zeros(len(boxes), np.intp)  # the round after which it stays so
            much = _overlaps(boxes) >= np.float32(limit)
            for number in range(len(boxes)):
                better = much[number, :number]
                droppers = better & kept[:number]
                kept[number] = not droppers.any()
                if not kept[number]:
                    settled[number] = 1 + settled[:number][droppers].min()
                elif better.any():
                    settled[number] = 1 + settled[:number][better].max()
            scores[picture, ~kept] = -1
            scores[picture, settled > ROUNDS] = np.nan
        edges = np.array([self.height, self.width] * 2, np.float32)
        return replace(best, boxes=(best.compared / edges).astype(np.float32), scores=scores)

    def placed(self, boxes: Float) -> Float:
        """`boxes` [n,A,4] of the original's picture in shares of nvinfer's, cut off where the original's ends."""
        if self.framing is None or not self.framing.crops:
            return boxes
        wide, high = self.whole
        x, y = self.framing.left / wide, self.framing.top / high
        inside = np.clip(boxes, 0, 1) * np.array([self.height / high, self.width / wide] * 2)
        moved: Float = (inside + np.array([y, x, y, x])).astype(np.float32)
        return moved


@dataclass(frozen=True, eq=False)
class Detections:
    """Of n pictures, A candidates each.

    Attributes:
        boxes: [n,A,4], top, left, bottom, right in shares of the picture.
        scores: [n,A], what is reported.
        labels: [n,A], the best class.
        of_classes: [n,A,C], what the network says of each class, 0..1.
        objectness: [n,A,1]; None where there is none.
        compared: [n,A,4], top, left, bottom, right in pixels of the original's picture, as Edge Impulse's SDK
            compares and reports them; None where it does not score by objectness.
    """

    boxes: Float
    scores: Float
    labels: Float
    of_classes: Float
    objectness: Float | None
    compared: Float | None = None

    def comparable(self) -> tuple[list[NDArray[Any]], list[bool]]:
        """What parity compares, and which of it are classes'.

        What the network says of each class and of there being an object, and its boxes, decoded, in shares of the
        picture and clipped to it. Decoding has no steps; before it numbers have units of all kinds, and a box may be
        nine pictures wide, where LiteRT's own kernels differ by 1.7e-4 (yolov5-160x160x3-f16 on white) or more (1e-3
        in the codes of ssd-320x320x3-int8).
        """
        objectness = [] if self.objectness is None else [self.objectness]
        arrays = [np.clip(self.boxes, 0, 1), self.of_classes, *objectness]
        return arrays, [False, True, *(False for _ in objectness)]

    def prediction(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The highest score of each class [n,C], and the box [n,4] of the highest of all: left, top, right, bottom."""
        sure = self.of_classes if self.objectness is None else self.of_classes * self.objectness
        best = sure.max(axis=2).argmax(axis=1)
        top, left, bottom, right = np.moveaxis(self.boxes[np.arange(len(best)), best], 1, 0)
        return sure.max(axis=1), np.stack([left, top, right, bottom], axis=1)

    def best(self, count: int) -> Detections:
        """The `count` candidates of each picture with the highest scores, highest first."""
        order = np.argsort(-self.scores, axis=1, kind="stable")[:, :count]
        parts = (
            None if part is None else np.take_along_axis(part, order.reshape(*order.shape, *[1] * (part.ndim - 2)), 1)
            for part in (self.boxes, self.scores, self.labels, self.of_classes, self.objectness, self.compared)
        )
        return Detections(*parts)  # type: ignore[arg-type]


def _overlaps(boxes: Float) -> Float:
    """Intersection over union of any two of some boxes [k,4], [k,k]; 0 where one of them is empty."""
    top, left, bottom, right = boxes.T
    high = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    wide = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    common = np.maximum(high, 0) * np.maximum(wide, 0)
    area = (bottom - top) * (right - left)
    share: Float = np.divide(common, area[:, None] + area - common, out=np.zeros_like(common), where=common > 0)
    return share
