"""What stands in a candidate's row, for each kind of detector, and the arithmetic from there to a box.

Read in Edge Impulse's SDK (classifier/postprocessing/ei_postprocessing_common.h, version 1.93), which has one routine
a kind. Its faults are not repeated: it swaps width and height of YOLOX's grids, and moves the right edge of a YOLOv5
box whose left one is clipped (`convert.graph.heads.suppression` does, where the SDK's own answer is asked for). YOLOv2
(grids of fixed size and anchors, for Akida) and YOLOv7 (rows behind an NMS of its own, so many as there are objects)
are not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convert.artifacts import Task
from convert.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.graph.heads.tail import Tail

__all__ = ["LAYOUTS", "Found", "Layout", "Rows", "centred"]

_STRIDES = (8, 16, 32)  # pixels a cell of YOLOX's three grids
_LARGEST_LOG = 8.0  # TAO's YOLOv4: a box is at most e^8 anchors wide


@dataclass(frozen=True, slots=True)
class Rows:
    """A model's candidates.

    Attributes:
        name: the tensor [1,A,K].
        count, columns: A and K.
        width, height: pixels of the network's input.
        unit: what coordinates are measured in.
    """

    name: str
    count: int
    columns: int
    width: int
    height: int
    unit: str


@dataclass(frozen=True, slots=True)
class Found:
    """Tensors, one entry a candidate.

    Attributes:
        low, high: the left top and right bottom corners, (y, x), [1,A,2].
        classes: scores [1,A,C].
        objectness: [1,A,1]; empty where there is none.
        in_pixels: whether the corners are in pixels, not in shares of the picture.
        size: height and width, [1,A,2]; empty where only the corners are known.
        are_logits: whether scores and objectness still have to go through a sigmoid.
    """

    low: str
    high: str
    classes: str
    objectness: str = ""
    in_pixels: bool = False
    are_logits: bool = False
    size: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """A kind of row.

    Attributes:
        columns: what stands in it, for people.
        others: how many columns are no class.
        decode: what the rows mean.
        unit: what the SDK takes coordinates for.
        is_measured: the model is asked for the unit (`convert.graph.heads.measured`).
        is_turned: the output is [1,K,A].
        has_objectness: whether scores can be made in two ways.
        by_objectness: whether the SDK itself scores by objectness, and suppresses boxes over all classes.
    """

    columns: str
    others: int
    decode: Callable[[Tail, Rows], Found]
    unit: str = "relative"
    is_measured: bool = False
    is_turned: bool = False
    has_objectness: bool = False
    by_objectness: bool = False


def centred(tail: Tail, centre: str, size: str) -> tuple[str, str]:
    """Corners of boxes given by centre and size, in the same order of x and y."""
    half = tail("Mul", size, tail.constant(0.5))
    return tail("Sub", centre, half), tail("Add", centre, half)


def _corners(tail: Tail, rows: Rows) -> tuple[str, str]:
    """Of rows that begin with x, y of the centre, width, height."""
    low, high = centred(tail, tail.part(rows.name, 2, 0, 2), tail.part(rows.name, 2, 2, 4))
    return tail.swapped(low), tail.swapped(high)


def _yolov5(tail: Tail, rows: Rows) -> Found:
    if rows.unit == "cells":
        raise UnsupportedModelError(
            "the rows of this model do not say where in the picture their boxes are: the decoding was left out",
            hint="export it with its decoding (Edge Impulse's own exports have it)",
        )
    low, high = _corners(tail, rows)
    objectness, classes = tail.part(rows.name, 2, 4, 5), tail.part(rows.name, 2, 5, rows.columns)
    size = tail.swapped(tail.part(rows.name, 2, 2, 4))
    return Found(low, high, classes, objectness, in_pixels=rows.unit == "pixels", size=size)


def _yolox(tail: Tail, rows: Rows) -> Found:
    """Centres in cells from the cell's corner, sizes as logarithms of cells; three grids, row by row."""
    if rows.unit != "cells":
        return _yolov5(tail, rows)
    places, strides = [], []
    for stride in _STRIDES:
        down, right = rows.height // stride, rows.width // stride
        y, x = np.mgrid[:down, :right]
        places.append(np.stack([x.ravel(), y.ravel()], axis=1))
        strides.append(np.full((down * right, 1), stride))
    place = np.concatenate(places)
    if rows.count != len(place):
        raise UnsupportedModelError(
            f"YOLOX has {len(place)} candidates in a picture of {rows.width}x{rows.height}, this model {rows.count}",
            hint="give the real --task",
        )
    step = tail.constant(np.concatenate(strides)[np.newaxis])
    centre = tail("Mul", tail("Add", tail.part(rows.name, 2, 0, 2), tail.constant(place[np.newaxis])), step)
    size = tail("Mul", tail("Exp", tail.part(rows.name, 2, 2, 4)), step)
    low, high = (tail.swapped(corner) for corner in centred(tail, centre, size))
    objectness, classes = tail.part(rows.name, 2, 4, 5), tail.part(rows.name, 2, 5, rows.columns)
    return Found(low, high, classes, objectness, in_pixels=True)


def _yolov11(tail: Tail, rows: Rows) -> Found:
    if rows.unit == "cells":
        return _yolov5(tail, rows)  # refuses it
    low, high = _corners(tail, rows)
    return Found(low, high, tail.part(rows.name, 2, 4, rows.columns), in_pixels=rows.unit == "pixels")


def _yolo_pro(tail: Tail, rows: Rows) -> Found:
    low, high = (tail.swapped(tail.part(rows.name, 2, start, start + 2)) for start in (0, 2))
    return Found(low, high, tail.part(rows.name, 2, 4, rows.columns))


def _tao_anchored(tail: Tail, rows: Rows) -> Found:
    """Background, classes, then (x, y) pairs: offset, log size, the anchor's corners, variances of the first two."""
    offset, log_size, begin, end, of_offset, of_size = (
        tail.part(rows.name, 2, rows.columns - back, rows.columns - back + 2) for back in range(12, 0, -2)
    )
    anchor = tail("Sub", end, begin)
    middle = tail("Mul", tail("Add", end, begin), tail.constant(0.5))
    centre = tail("Add", tail("Mul", tail("Mul", offset, of_offset), anchor), middle)
    size = tail("Mul", tail("Exp", tail("Mul", log_size, of_size)), anchor)
    low, high = (tail.swapped(corner) for corner in centred(tail, centre, size))
    return Found(low, high, tail.part(rows.name, 2, 1, rows.columns - 12))


def _tao_yolo(tail: Tail, rows: Rows, largest_log: float | None = None) -> Found:
    """(y, x) pairs: the cell's place, the anchor's size, the cell's size, offset, log size; objectness, classes."""
    place, anchor, step, offset, log_size = (tail.part(rows.name, 2, start, start + 2) for start in range(0, 10, 2))
    if largest_log is not None:
        # Clip changed its form in opset 11; Min did not
        log_size = tail("Min", log_size, tail.constant(largest_log))
    centre = tail("Add", place, tail("Mul", tail("Sigmoid", offset), step))
    low, high = centred(tail, centre, tail("Mul", anchor, tail("Exp", log_size)))
    objectness, classes = tail.part(rows.name, 2, 10, 11), tail.part(rows.name, 2, 11, rows.columns)
    return Found(low, high, classes, objectness, are_logits=True)


def _tao_yolov4(tail: Tail, rows: Rows) -> Found:
    return _tao_yolo(tail, rows, _LARGEST_LOG)


_XYWH = "x and y of the centre, width, height"
_YOLOV5 = f"{_XYWH}, objectness, classes"
_TAO = "background, classes, offsets, anchors, variances"
_TAO_YOLO = "cell, anchor, step, offsets, objectness, classes"

LAYOUTS: dict[Task, Layout] = {
    Task.YOLOV5: Layout(_YOLOV5, 5, _yolov5, is_measured=True, has_objectness=True, by_objectness=True),
    Task.YOLOV5_DRPAI: Layout(_YOLOV5, 5, _yolov5, "pixels", is_measured=True, has_objectness=True, by_objectness=True),
    Task.YOLOX: Layout(_YOLOV5, 5, _yolox, "cells", is_measured=True, has_objectness=True),
    Task.YOLO_PRO: Layout("left, top, right, bottom, classes", 4, _yolo_pro),
    Task.YOLOV11: Layout(f"{_XYWH}, classes", 4, _yolov11, is_measured=True, is_turned=True),
    Task.YOLOV11_ABS: Layout(f"{_XYWH}, classes", 4, _yolov11, "pixels", is_measured=True, is_turned=True),
    Task.TAO_RETINANET: Layout(_TAO, 13, _tao_anchored),
    Task.TAO_SSD: Layout(_TAO, 13, _tao_anchored),
    Task.TAO_YOLOV3: Layout(_TAO_YOLO, 11, _tao_yolo, has_objectness=True),
    Task.TAO_YOLOV4: Layout(_TAO_YOLO, 11, _tao_yolov4, has_objectness=True),
}
"""Of every detector whose rows are known for certain."""
