"""What one candidate of each kind of detector means: scalars, one at a time, as its makers describe it.

Written from the descriptions in Edge Impulse's SDK, for comparison; nothing of the product is used here.
"""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Any, NamedTuple

from convert.artifacts import Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


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


def read(task: Task, rows: NDArray[Any], width: int, height: int, *, pixels: bool, objectness: bool) -> list[Box]:
    """All candidates of one picture; rows [A,K], of YOLOv11 [K,A]."""
    if task in {Task.YOLOV11, Task.YOLOV11_ABS}:
        rows = rows.T
    found = []
    for number, row in enumerate(rows.tolist()):
        edges, score, label = _one(task, row, cells(height, width)[number] if task is Task.YOLOX else None, objectness)
        if pixels:
            edges = (edges[0] / height, edges[1] / width, edges[2] / height, edges[3] / width)
        found.append(Box(*edges, score, label))
    return found


def _one(
    task: Task, row: list[float], cell: tuple[int, int, int] | None, objectness: bool
) -> tuple[tuple[float, float, float, float], float, int]:
    if task in {Task.YOLOV5, Task.YOLOV5_DRPAI, Task.YOLOX}:
        x, y, width, height, obj, *classes = row
        if cell:
            x, y = (x + cell[0]) * cell[2], (y + cell[1]) * cell[2]
            width, height = exp(width) * cell[2], exp(height) * cell[2]
        label, score = best(classes)
        return around(x, y, width, height), obj if objectness else obj * score, label
    if task in {Task.YOLOV11, Task.YOLOV11_ABS}:
        x, y, width, height, *classes = row
        label, score = best(classes)
        return around(x, y, width, height), score, label
    if task is Task.YOLO_PRO:
        left, top, right, bottom, *classes = row
        label, score = best(classes)
        return (top, left, bottom, right), score, label
    if task in {Task.TAO_RETINANET, Task.TAO_SSD}:
        _, *classes = row[:-12]
        cx, cy, w, h, x1, y1, x2, y2, vx, vy, vw, vh = row[-12:]
        wide, high = x2 - x1, y2 - y1
        x, y = cx * vx * wide + (x1 + x2) / 2, cy * vy * high + (y1 + y2) / 2
        label, score = best(classes)
        return around(x, y, exp(w * vw) * wide, exp(h * vh) * high), score, label
    cy, cx, ph, pw, step_y, step_x, py, px, dh, dw, obj, *classes = row
    if task is Task.TAO_YOLOV4:
        dh, dw = min(dh, 8.0), min(dw, 8.0)
    label, score = best(classes)
    score, obj = sigmoid(score), sigmoid(obj)
    y, x = cy + sigmoid(py) * step_y, cx + sigmoid(px) * step_x
    return around(x, y, pw * exp(dw), ph * exp(dh)), obj if objectness else obj * score, label
