"""What one candidate of each kind of detector means: scalars, one at a time, as its producers describe it.

Written from the descriptions in Edge Impulse's SDK, for comparison; nothing of the product is used here.
"""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


WITH_OBJECTNESS = {"yolov5", "yolov5-drpai", "yolox", "tao-yolov3", "tao-yolov4"}


class Box(NamedTuple):
    """Edges in shares of the picture, score, class."""

    top: float
    left: float
    bottom: float
    right: float
    score: float
    label: int


def sigmoid(value: float) -> float:
    return 1 / (1 + exp(-value))


def best(scores: Sequence[float]) -> tuple[int, float]:
    label = max(range(len(scores)), key=lambda number: scores[number])
    return label, scores[label]


def around(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return y - height / 2, x - width / 2, y + height / 2, x + width / 2


def cells(height: int, width: int) -> list[tuple[int, int, int]]:
    """YOLOX's: x, y and stride of each, in order."""
    return [(x, y, stride) for stride in (8, 16, 32) for y in range(height // stride) for x in range(width // stride)]


def read(task: str, rows: NDArray[Any], width: int, height: int, *, pixels: bool, objectness: bool) -> list[Box]:
    """All candidates of one picture; rows [A,K], of YOLOv11 [K,A]."""
    if task in {"yolov11", "yolov11-abs"}:
        rows = rows.T
    found = []
    for number, row in enumerate(rows.tolist()):
        edges, score, label = _one(task, row, cells(height, width)[number] if task == "yolox" else None, objectness)
        if pixels:
            edges = (edges[0] / height, edges[1] / width, edges[2] / height, edges[3] / width)
        found.append(Box(*edges, score, label))
    return found


def _one(
    task: str, row: list[float], cell: tuple[int, int, int] | None, objectness: bool
) -> tuple[tuple[float, float, float, float], float, int]:
    edges, obj, classes = _parts(task, row, cell)
    label, score = best(classes)
    if task in {"tao-yolov3", "tao-yolov4"}:
        score = sigmoid(score)
    return edges, obj if objectness and task in WITH_OBJECTNESS else obj * score, label


def _parts(
    task: str, row: list[float], cell: tuple[int, int, int] | None
) -> tuple[tuple[float, float, float, float], float, list[float]]:
    """Edges, objectness (1 where there is none), and a number for each class (of TAO's YOLOs before the sigmoid)."""
    if task in {"yolov5", "yolov5-drpai", "yolox"}:
        x, y, width, height, obj, *classes = row
        if cell:
            x, y = (x + cell[0]) * cell[2], (y + cell[1]) * cell[2]
            width, height = exp(width) * cell[2], exp(height) * cell[2]
        return around(x, y, width, height), obj, classes
    if task in {"yolov11", "yolov11-abs"}:
        x, y, width, height, *classes = row
        return around(x, y, width, height), 1.0, classes
    if task == "yolo-pro":
        left, top, right, bottom, *classes = row
        return (top, left, bottom, right), 1.0, classes
    if task in {"tao-retinanet", "tao-ssd"}:
        _, *classes = row[:-12]
        cx, cy, w, h, x1, y1, x2, y2, vx, vy, vw, vh = row[-12:]
        wide, high = x2 - x1, y2 - y1
        x, y = cx * vx * wide + (x1 + x2) / 2, cy * vy * high + (y1 + y2) / 2
        return around(x, y, exp(w * vw) * wide, exp(h * vh) * high), 1.0, classes
    cy, cx, ph, pw, step_y, step_x, py, px, dh, dw, obj, *classes = row
    if task == "tao-yolov4":
        dh, dw = min(dh, 8.0), min(dw, 8.0)
    y, x = cy + sigmoid(py) * step_y, cx + sigmoid(px) * step_x
    return around(x, y, pw * exp(dw), ph * exp(dh)), sigmoid(obj), classes


def each_class(task: str, rows: NDArray[Any], width: int, height: int, unit: str) -> list[Box]:
    """All candidates of one picture, once for each class, all of a class together."""
    if task in {"yolov11", "yolov11-abs"}:
        rows = rows.T
    scale = (1, 1, 1, 1) if unit == "relative" else (height, width, height, width)
    found: list[list[Box]] = []
    for number, row in enumerate(rows.tolist()):
        edges, obj, classes = _parts(task, row, cells(height, width)[number] if unit == "cells" else None)
        top, left, bottom, right = (edge / by for edge, by in zip(edges, scale, strict=True))
        scores = map(sigmoid, classes) if task in {"tao-yolov3", "tao-yolov4"} else classes
        found.append([Box(top, left, bottom, right, obj * score, label) for label, score in enumerate(scores)])
    return [row[label] for label in range(len(found[0])) for row in found]


def answer(
    task: str, rows: NDArray[Any], width: int, height: int, threshold: float, overlap: float, unit: str
) -> list[tuple[int, float, int, int, int, int]]:
    """What Edge Impulse's SDK reports, of all kinds but YOLOv5: class, score, left, top, width, height; best first."""
    found = [box for box in each_class(task, rows, width, height, unit) if threshold <= box.score <= 1]
    kept: list[tuple[Box, tuple[float, float, float, float]]] = []
    for box in sorted(found, key=lambda box: -box.score):
        place = _compared(task, box, width, height)
        others = [other for one, other in kept if task == "yolox" or one.label == box.label]
        if all(_iou(place, other) < overlap for other in others):
            kept.append((box, place))
    whole = []
    for box, place in kept:
        left, right = (int(min(max(place[side], 0), width)) for side in (0, 2))
        top, bottom = (int(min(max(place[side], 0), height)) for side in (1, 3))
        whole.append((box.label, box.score, left, top, max(right - left, 0), max(bottom - top, 0)))
    return whole


def _compared(task: str, box: Box, width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, right, bottom in pixels, as the SDK compares them."""
    left, top, right, bottom = box.left * width, box.top * height, box.right * width, box.bottom * height
    if task == "yolox":
        x, y = min(max(int(left), 0), width), min(max(int(top), 0), height)
        return x, y, x + int(right - left + 0.5), y + int(bottom - top + 0.5)
    if task in {"yolo-pro", "yolov11", "yolov11-abs"}:
        left, right = (min(max(side, 0), width) for side in (left, right))
        top, bottom = (min(max(side, 0), height) for side in (top, bottom))
        return left, top, max(left, right), max(top, bottom)
    return left, top, right, bottom


def _iou(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    if min(areas) <= 0:
        return 0
    wide, high = (min(one[side + 2], other[side + 2]) - max(one[side], other[side]) for side in (0, 1))
    both = max(wide, 0) * max(high, 0)
    return both / (sum(areas) - both)


def suppressed(rows: NDArray[Any], width: int, height: int, overlap: float, pixels: bool) -> list[tuple[float, bool]]:
    """Score, and whether it is kept, of YOLOv5's rows [A,5+C], best first: Edge Impulse's non-maximum suppression.

    The best box that is left is kept; later ones that share `overlap` of their union with it, or more, are not.
    """
    kept: list[tuple[int, int, int, int]] = []
    found = []
    for row in sorted(rows, key=lambda row: -row[4]):
        box = sdk_box(row, width, height, pixels=pixels)
        stays = all(shared(box, other) < np.float32(overlap) for other in kept)
        if stays:
            kept.append(box)
        found.append((float(row[4]), stays))
    return found


def sdk_box(row: NDArray[Any], width: int, height: int, *, pixels: bool = False) -> tuple[int, int, int, int]:
    """Left, top, width and height in whole pixels, as the SDK keeps a candidate; float32 as in C."""
    x, y, wide, high = (np.float32(value) for value in row[:4])
    left, top = max(x - wide / np.float32(2), np.float32(0)), max(y - high / np.float32(2), np.float32(0))
    if pixels:
        wide, high = min(wide, width - left), min(high, height - top)
        across = down = np.float32(1)
    else:
        across, down = np.float32(width), np.float32(height)
    return int(left * across), int(top * down), max(int(wide * across), 0), max(int(high * down), 0)


def shared(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> np.float32:
    """Intersection over union; 0 where one has no area."""
    if min(*one[2:], *other[2:]) <= 0:
        return np.float32(0)
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    both = max(wide, 0) * max(high, 0)
    return np.float32(both) / np.float32(one[2] * one[3] + other[2] * other[3] - both)
