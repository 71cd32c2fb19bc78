"""What a detector's raw outputs mean, written a second time: plain numpy on float32, for comparison only.

The graphs are made in `convert.graph.heads` from ONNX operators. Here the same conventions are written down from
their sources, Edge Impulse's SDK and TFLite's post-processing operator, without looking at the graph: what the shipped
model gives must be what this gives on the same raw outputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from convert.artifacts import Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from convert.artifacts import Head
    from convert.framing import Framing

    Float = NDArray[np.float32]

__all__ = ["ROUNDS", "Anchors", "Detections", "Network", "cells", "centres", "heat", "placed", "read", "shipped"]

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

    def best(self, count: int) -> Detections:
        """The `count` candidates of each picture with the highest scores, highest first."""
        order = np.argsort(-self.scores, axis=1, kind="stable")[:, :count]
        parts = (
            None if part is None else np.take_along_axis(part, order.reshape(*order.shape, *[1] * (part.ndim - 2)), 1)
            for part in (self.boxes, self.scores, self.labels, self.of_classes, self.objectness, self.compared)
        )
        return Detections(*parts)  # type: ignore[arg-type]


def heat(raw: Float, merge: str | None) -> Float:
    """Coverage [n,C,h,w] of a heat map [n,1+C,h,w]."""
    cover = raw[:, 1:].copy()
    if merge != "peak":
        return cover
    rows, columns = cover.shape[2:]
    wide = np.pad(cover, ((0, 0), (0, 0), (1, 1), (1, 1)))
    keep = cover > 0
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            other = wide[:, :, 1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
            if (down, right) < (0, 0):  # earlier in reading order: must be lower
                keep &= other < cover
            elif (down, right) > (0, 0):
                keep &= other <= cover
    return np.where(keep, cover, np.float32(0))


def cells(network: Network, rows: int, columns: int) -> NDArray[np.float64]:
    """Left, top, right and bottom edge of every cell in pixels, [1,1,4,rows,columns].

    The last column and row end 0.01 before nvinfer's picture does, where it would cut off a whole pixel.
    """
    x, y = (network.framing.left, network.framing.top) if network.framing else (0, 0)
    upright, level = (np.arange(count + 1) / count for count in (columns, rows))
    upright, level = x + network.width * upright, y + network.height * level
    left, top = upright[:-1], level[:-1]
    right, bottom = np.minimum(upright[1:], network.whole[0] - 0.01), np.minimum(level[1:], network.whole[1] - 0.01)
    across, down = np.ones((rows, 1)), np.ones((1, columns))
    edges = [left * across, top[:, None] * down, right * across, bottom[:, None] * down]
    return np.stack(edges)[None, None]


def centres(network: Network, rows: int, columns: int) -> Float:
    """What DetectNet's parser takes for the middle of every cell, (x, y) in pixels, [1,1,2,rows,columns].

    Its stride is rounded up, so these are off where the grid does not divide the picture.
    """
    x = np.arange(columns) * math.ceil(network.whole[0] / columns) + 0.5
    y = np.arange(rows) * math.ceil(network.whole[1] / rows) + 0.5
    return np.stack(np.meshgrid(x, y)).astype(np.float32)[None, None]


def placed(network: Network, boxes: Float) -> Float:
    """`boxes` [n,A,4] of the original's picture in shares of nvinfer's, cut off where the original's ends."""
    if network.framing is None or not network.framing.crops:
        return boxes
    wide, high = network.whole
    x, y = network.framing.left / wide, network.framing.top / high
    inside = np.clip(boxes, 0, 1) * np.array([network.height / high, network.width / wide] * 2)
    moved: Float = (inside + np.array([y, x, y, x])).astype(np.float32)
    return moved


def read(network: Network, raw: list[Float]) -> Detections:
    """What the raw outputs [n, ...] of a detector other than FOMO say."""
    task = network.head.task
    if task is Task.SSD:
        return _ssd(network, *raw)
    (values,) = raw
    rows = values.transpose(0, 2, 1) if task in {Task.YOLOV11, Task.YOLOV11_ABS} else values
    return _READERS[task](network, np.ascontiguousarray(rows))


def shipped(network: Network, found: Detections, count: int) -> Detections:
    """What of `found` the graph gives.

    Where it drops overlapping boxes itself, that is the `count` best, in whole pixels, the dropped ones at -1. What it
    would take more than `ROUNDS` rounds to find out it may keep or drop: there the score is NaN.
    """
    limit = network.head.overlap
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
    edges = np.array([network.height, network.width] * 2, np.float32)
    return replace(best, boxes=(best.compared / edges).astype(np.float32), scores=scores)


def _overlaps(boxes: Float) -> Float:
    """Intersection over union of any two of some boxes [k,4], [k,k]; 0 where one of them is empty."""
    top, left, bottom, right = boxes.T
    high = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    wide = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    common = np.maximum(high, 0) * np.maximum(wide, 0)
    area = (bottom - top) * (right - left)
    share: Float = np.divide(common, area[:, None] + area - common, out=np.zeros_like(common), where=common > 0)
    return share


def _detections(
    low: Float, high: Float, classes: Float, objectness: Float | None = None, *, by_objectness: bool = False
) -> Detections:
    """Corners as (x, y), in shares; `objectness` [n,A,1] counts."""
    score = classes.max(axis=2)
    if objectness is not None:
        score = objectness[..., 0] if by_objectness else objectness[..., 0] * score
    boxes = np.stack([low[..., 1], low[..., 0], high[..., 1], high[..., 0]], axis=2)
    return Detections(boxes, score, classes.argmax(axis=2).astype(np.float32), classes, objectness)


def _around(centre: Float, size: Float) -> tuple[Float, Float]:
    half = size * np.float32(0.5)
    return centre - half, centre + half


def _sigmoid(values: Float) -> Float:
    return np.float32(1) / (np.float32(1) + np.exp(-values))


def _in_shares(network: Network, corners: tuple[Float, Float], *, pixels: bool) -> tuple[Float, Float]:
    low, high = corners
    return (low / network.size, high / network.size) if pixels else (low, high)


def _yolov5(network: Network, rows: Float) -> Detections:
    """xc, yc, w, h, objectness, classes."""
    corners = _around(rows[..., :2], rows[..., 2:4])
    pixels = network.head.coordinates == "pixels"
    low, high = _in_shares(network, corners, pixels=pixels)
    found = _detections(low, high, rows[..., 5:], rows[..., 4:5], by_objectness=network.head.score == "objectness")
    return replace(found, compared=_compared(network, corners[0], rows[..., 2:4], pixels=pixels))


def _compared(network: Network, low: Float, size: Float, *, pixels: bool) -> Float:
    """Whole pixels from the left top corner, never above 0 of it, on; only rows in pixels end with the picture."""
    start = np.maximum(low, np.float32(0))
    if pixels:
        size = np.minimum(size, network.size - start)
    else:
        start, size = start * network.size, size * network.size
    start, size = np.trunc(start), np.trunc(np.maximum(size, np.float32(0)))
    return np.concatenate([start[..., ::-1], (start + size)[..., ::-1]], axis=-1)


def _yolox(network: Network, rows: Float) -> Detections:
    """As YOLOv5, but for centres and sizes that still lack cell and stride; three grids, the finest first."""
    if network.head.coordinates != "cells":
        return _yolov5(network, rows)
    cells = [
        (x, y, stride)
        for stride in (8, 16, 32)
        for y in range(network.height // stride)
        for x in range(network.width // stride)
    ]
    table = np.array(cells, np.float32)
    centre = (rows[..., :2] + table[:, :2]) * table[:, 2:]
    size = np.exp(rows[..., 2:4]) * table[:, 2:]
    low, high = _in_shares(network, _around(centre, size), pixels=True)
    return _detections(low, high, rows[..., 5:], rows[..., 4:5], by_objectness=network.head.score == "objectness")


def _yolov11(network: Network, rows: Float) -> Detections:
    """xc, yc, w, h, classes."""
    corners = _around(rows[..., :2], rows[..., 2:4])
    low, high = _in_shares(network, corners, pixels=network.head.coordinates == "pixels")
    return _detections(low, high, rows[..., 4:])


def _yolo_pro(_network: Network, rows: Float) -> Detections:
    """xmin, ymin, xmax, ymax, classes."""
    return _detections(rows[..., :2], rows[..., 2:4], rows[..., 4:])


def _tao_anchored(_network: Network, rows: Float) -> Detections:
    """Background, classes; then, counted from the end, cx cy w h, the anchor's corners, four variances."""
    prediction, begin, end, variance = (
        rows[..., at : (at + size) or None] for at, size in ((-12, 4), (-8, 2), (-6, 2), (-4, 4))
    )
    anchor, middle = end - begin, (end + begin) * np.float32(0.5)
    centre = prediction[..., :2] * variance[..., :2] * anchor + middle
    size = np.exp(prediction[..., 2:] * variance[..., 2:]) * anchor
    return _detections(*_around(centre, size), rows[..., 1:-12])


def _tao_yolo(network: Network, rows: Float) -> Detections:
    """cy cx ph pw step_y step_x, then predictions y x h w, objectness and classes before their sigmoid."""
    flipped = rows[..., :10].reshape(*rows.shape[:2], 5, 2)[..., ::-1]  # every pair as (x, y)
    pairs: list[Float] = [flipped[..., number, :] for number in range(5)]
    place, anchor, step, offset, log_size = pairs
    if network.head.task is Task.TAO_YOLOV4:
        log_size = np.minimum(log_size, np.float32(8))
    centre = place + _sigmoid(offset) * step
    low, high = _around(centre, np.exp(log_size) * anchor)
    by_objectness = network.head.score == "objectness"
    found = _detections(low, high, _sigmoid(rows[..., 11:]), _sigmoid(rows[..., 10:11]), by_objectness=by_objectness)
    # Far out the sigmoid is 1 for several classes; which is best shows before it.
    return replace(found, labels=rows[..., 11:].argmax(axis=2).astype(np.float32))


def _ssd(network: Network, codes: Float, scores: Float) -> Detections:
    """y x h w of each anchor's box, in the anchor's size and by the operator's scales; scores with background first."""
    assert network.anchors is not None
    scales: Float = np.array(network.anchors.scales, np.float32)
    scaled: Float = np.divide(codes[..., :4], scales)
    place, size = network.anchors.places[:, :2], network.anchors.places[:, 2:]
    centre = scaled[..., :2] * size + place
    low, high = _around(centre, np.exp(scaled[..., 2:]) * size)
    count = len(network.head.labels)
    return _detections(low[..., ::-1], high[..., ::-1], scores[..., -count:])


_READERS: dict[Task, Callable[[Network, Float], Detections]] = {
    Task.YOLOV5: _yolov5,
    Task.YOLOV5_DRPAI: _yolov5,
    Task.YOLOX: _yolox,
    Task.YOLO_PRO: _yolo_pro,
    Task.YOLOV11: _yolov11,
    Task.YOLOV11_ABS: _yolov11,
    Task.TAO_RETINANET: _tao_anchored,
    Task.TAO_SSD: _tao_anchored,
    Task.TAO_YOLOV3: _tao_yolo,
    Task.TAO_YOLOV4: _tao_yolo,
}
