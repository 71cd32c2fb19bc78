"""Non-maximum suppression over all classes, as Edge Impulse's SDK does it, in operators that TensorRT builds.

The rules (classifier/ei_nms.h and postprocessing/ei_postprocessing_common.h of the SDK, version 1.93): boxes are taken
best score first; one whose intersection over union with a box that was kept is the threshold *or more* goes, whatever
the classes. Boxes are compared, and reported, in pixels of the model's picture: the left and top edge not below 0, then
these, width and height cut to whole pixels. So a box that reaches over the left or top edge ends too far right or down,
by as much as was cut off: the SDK's fault, repeated here, where what the SDK says is asked for. A box without area
overlaps nothing.

The graph has no loop and no NonMaxSuppression, whose outputs have as many rows as there are objects, which nvinfer
cannot read. The `CANDIDATES` best rows are picked (TopK), and what is kept is the fixed point of

    kept[i] = no j before i that is kept and overlaps i

found by computing the right side again and again from "all are kept". It is right for a candidate one round after it
is for one that drops it, or for all that might. A candidate depends on better ones only, so neither the threshold on
scores nor a picture's weak candidates matter for the strong.

How many rounds it takes (measured): two YOLOv5 of 160 and 512 pixels on nine pictures need 1 for the candidates from
0.1 on, 3 from 0.01 on, 12 for all 1024; up to 200 invented objects with 1024 candidates, scattered and shifted at
random, need 10. Candidates of one object take 1 however many they are: the best drops them. More take chains of objects
side by side, with candidates between them. `ROUNDS` is even, so that of a longer chain too much is kept, and no object
is lost.

How many candidates: one face has 16 above 0.5, and a model has about as many of any object. Each doubling takes four
times the work: on one core, of the 30 ms that yolov5-512x512x3-f16 takes in ONNX Runtime, 1024 candidates add 4 ms, 512
nothing that can be measured and 2048 25 ms. What is weaker than 1024 others is not looked at.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from convert.errors import UnsupportedModelError

if TYPE_CHECKING:
    from convert.graph.heads.layouts import Found, Rows
    from convert.graph.heads.tail import Tail

__all__ = ["CANDIDATES", "OVERLAP", "ROUNDS", "as_reported", "best_rows", "kept_scores"]

CANDIDATES = 1024
"""Rows that are looked at, or all of a model that has fewer. TensorRT's TopK takes 3840 at most."""

ROUNDS = 16
"""How often the right side is computed; even."""

OVERLAP = 0.2
"""Intersection over union, where the export records none: what the SDK's models are exported with."""

_OLDEST = 11  # opset: GatherElements
# Pixels are counted in 64s, which is exact. In FP16, which TensorRT may choose, the area of 512x512 would be infinite.
_UNIT = 64.0


def best_rows(tail: Tail, rows: Rows, column: int) -> Rows:
    """The `CANDIDATES` rows with the highest number in `column`, highest first; of equal ones the first first.

    Raises:
        UnsupportedModelError: the opset cannot say that.
    """
    if tail.opset < _OLDEST:
        raise UnsupportedModelError(
            f"boxes are suppressed over all classes, which needs opset {_OLDEST}; the model has {tail.opset}",
            hint=f"convert with --opset 13 (an ONNX model: export it with opset {_OLDEST} or newer), or with "
            "--yolo-score product, which leaves that to nvinfer",
        )
    count = min(rows.count, CANDIDATES)
    order = tail.order(tail.part(rows.name, 2, column, column + 1), 1, count)
    everywhere = tail("Tile", order, tail.indices([1, 1, rows.columns]))
    return replace(rows, name=tail("GatherElements", rows.name, everywhere, axis=1), count=count)


def as_reported(tail: Tail, found: Found, rows: Rows) -> Found:
    """`found`, which has `size`, with the corners as the SDK reports and compares them: in whole pixels.

    What has a negative size the SDK passes over; here it has none, overlaps nothing, and nvinfer drops it.
    """
    picture = tail.constant([[[rows.height, rows.width]]])
    start, size = tail("Max", found.low, tail.constant(0)), found.size
    if found.in_pixels:  # only then does the SDK cut boxes at the right and the bottom
        size = tail("Min", size, tail("Sub", picture, start))
    else:
        start, size = tail("Mul", start, picture), tail("Mul", size, picture)
    start = tail("Floor", start)
    return replace(found, low=start, high=tail("Add", start, tail("Floor", tail("Relu", size))), in_pixels=True)


def kept_scores(tail: Tail, found: Found, count: int, overlap: float) -> str:
    """[1,K]: the objectness of each candidate that is kept, -1 for the others, below any threshold.

    Args:
        found: of `best_rows`, `as_reported`.
        count: K.
        overlap: intersection over union from which on the weaker of two boxes goes.
    """
    kept = _kept(tail, _overlapping(tail, found, count, overlap))
    score = tail("Add", tail("Mul", found.objectness, kept), tail("Sub", kept, tail.constant(1)))
    return tail.reshaped(score, [1, count])


def _overlapping(tail: Tail, found: Found, count: int, overlap: float) -> str:
    """[1,K,K]: 1 where candidate j (last) is better than candidate i and overlaps it, else 0."""
    unit = tail.constant(1 / _UNIT)
    starts, ends = tail("Mul", found.low, unit), tail("Mul", found.high, unit)
    top, left, bottom, right = (tail.part(name, 2, axis, axis + 1) for name in (starts, ends) for axis in (0, 1))

    def shared(low: str, high: str) -> str:
        start = tail("Max", low, tail.reshaped(low, [1, 1, count]))
        return tail("Relu", tail("Sub", tail("Min", high, tail.reshaped(high, [1, 1, count])), start))

    both = tail("Mul", shared(top, bottom), shared(left, right))
    area = tail("Mul", tail("Sub", bottom, top), tail("Sub", right, left))
    together = tail("Sub", tail("Add", area, tail.reshaped(area, [1, 1, count])), both)
    # whole pixels: what is less than one is none, and divided by none
    share = tail("Div", both, tail("Max", together, tail.constant(1 / _UNIT**2)))
    number = np.arange(count, dtype=np.float32)
    better = tail("Less", tail.constant(number.reshape(1, 1, -1)), tail.constant(number.reshape(1, -1, 1)))
    much = tail("Not", tail("Less", share, tail.constant(overlap)))
    return tail.as_float(tail("And", much, better))


def _kept(tail: Tail, overlapping: str) -> str:
    """[1,K,1]: 1 for each candidate that no better one drops, else 0. Sums of ones are exact in TF32 and FP16."""
    half = tail.constant(0.5)
    droppers = tail.largest(overlapping, 2, keep=True)
    for _ in range(ROUNDS - 1):
        droppers = tail("MatMul", overlapping, tail.as_float(tail("Less", droppers, half)))
    return tail.as_float(tail("Less", droppers, half))
