"""FOMO's cells that touch become one box, in the graph; and once more in NumPy, for the proof.

Edge Impulse's SDK (ei_fill_result_struct.h) takes the cells from the threshold on, class by class. A cell joins a box
of its class that it touches, corners too, and boxes that come to touch are one. What is left are boxes of which no two
touch, each with the highest score of its cells. The order of the cells has no influence on that, apart from two slips
of the SDK (`convert.heads.decoding.fomo`), which are not repeated.

In the graph the cells from the threshold on are lit. Each carries the edges of its box, as far as it knows them, and
the highest score:

1. Four times: take the largest of the 3x3 cells around (MaxPool), and 0 where no cell is lit.
2. Light cells that lie inside the box of a lit cell at most `_REACH` beside them: they touch what touches that box.
   Then 1 again.

Left and top edges are counted from the other side, so that the largest is the outermost; whatever a cell carries is
inside the final box. When nothing changes any more, boxes are full and no two touch. The first cell of each box then
stands for it: the leftmost of those that carry their own row as the top edge. There is always such a cell, so no object
is lost. Numbers are whole and at most as large as the grid's sides, so they are exact in FP16 and TF32, too.

Rounds: 1 takes a box one cell further each time. `rounds` gives as many of these steps as the grid's longer side has
cells, and a few more. Measured on the masks of three real models, 800 frames each (photographs, cut and put together
anew, and invented scenes), of those with a lit cell:

| grid  | threshold | masks | largest number of rounds | there are | masks that take more |
|-------|-----------|-------|--------------------------|-----------|----------------------|
| 12x12 | 0.5       | 575   | 2                        | 4         | 0                    |
| 12x12 | 0.3, 0.1  | 1837  | 4                        | 4         | 0                    |
| 30x30 | 0.5       | 502   | 7                        | 9         | 0                    |
| 30x30 | 0.3       | 614   | 8                        | 9         | 0                    |
| 30x30 | 0.1       | 704   | 15                       | 9         | 4                    |

Most take 1 or 2. A shape that winds through the whole picture may take more than there are. It then gives more than one
box of the right class, all inside the one that it should give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.heads.graph_end import GraphEnd

    Float = NDArray[np.float32]

_STEPS = 4  # of MaxPool, in a round
_REACH = 2 * _STEPS  # as good as the whole row, measured; on a grid of 85x85 the whole row takes five times as long
_KINDS = 4  # of edges: left, top, right, bottom


def rounds(rows: int, columns: int) -> int:
    """How often boxes grow by `_STEPS` cells on a grid of this size."""
    return -(-max(rows, columns) // _STEPS) + 1


def own_edges(rows: int, columns: int) -> Float:
    """Edges of each cell alone, float32 [4, rows, columns], as cells carry them: the larger, the further out.

    Left and top are counted from the grid's right and bottom end, right and bottom from its left and top; all from 1.
    """
    row, column = np.mgrid[:rows, :columns]
    return np.stack([columns - column, rows - row, column + 1, row + 1]).astype(np.float32)


# The graph


def merge(end: GraphEnd, scores: str, size: tuple[int, int, int], threshold: float) -> tuple[str, str]:
    """Nodes that merge the cells of `scores` [1, classes, rows, columns].

    Args:
        size: classes, rows and columns.
        threshold: the lowest score of a cell that is lit, above 0.

    Returns:
        The highest score of each box in the cell that stands for it, 0 elsewhere, of the same shape; and in that cell
        the box's edges as `own_edges` counts them, 0 elsewhere, [1, 4 * classes, rows, columns]: all left ones first.
    """
    classes, rows, columns = size
    own = own_edges(rows, columns)
    lit = end.as_float(end("Not", end("Less", scores, end.floats(threshold))))
    edges = end("Mul", _repeated(end, lit, _KINDS), end.floats(np.repeat(own, classes, axis=0)[np.newaxis]))
    state = end("Concat", edges, end("Mul", scores, lit), axis=1)
    for number in range(rounds(rows, columns)):
        if number:
            lit = _filled_rows(end, state, size)
        inside = _repeated(end, lit, _KINDS + 1)
        for _ in range(_STEPS):
            state = end("Mul", end("MaxPool", state, kernel_shape=[3, 3], pads=[1, 1, 1, 1]), inside)
    inside = _repeated(end, _first_cells(end, state, size), _KINDS + 1)
    state = end("Mul", state, inside)
    last = _KINDS * classes
    return end.part(state, 1, last, last + classes), end.part(state, 1, 0, last)


def _repeated(end: GraphEnd, name: str, count: int) -> str:
    """`count` times the same channels."""
    return end("Concat", *[name] * count, axis=1)


def _filled_rows(end: GraphEnd, state: str, size: tuple[int, int, int]) -> str:
    """1 for cells between the edges of a box that has a lit cell near in the same row, 0 for others.

    Such a cell is lit, or on its left there is one whose right edge is further right, or on its right one whose left
    edge is further left.
    """
    classes, _, columns = size
    number, reach = np.arange(columns), min(_REACH, columns - 1)
    found = []
    for kind, pads, least in ((0, [0, 0, 0, reach], columns - 1 - number), (2, [0, reach, 0, 0], number)):
        edges = end.part(state, 1, kind * classes, (kind + 1) * classes)
        furthest = end("MaxPool", edges, kernel_shape=[1, reach + 1], pads=pads)
        found.append(end("Sub", furthest, end.floats(least.reshape(1, 1, 1, -1))))
    return end.clipped(end("Max", *found), 0, 1)


def _first_cells(end: GraphEnd, state: str, size: tuple[int, int, int]) -> str:
    """1 for the leftmost of neighbouring cells that carry their own row as the top edge, 0 for others."""
    classes, rows, columns = size
    top = end.part(state, 1, classes, 2 * classes)
    off = end("Abs", end("Sub", top, end.floats(own_edges(rows, columns)[1])))
    highest = end("Relu", end("Sub", end.floats(1.0), off))
    before = end.part(end.padded(highest, [0, 0, 0, 1]), 3, 0, columns)
    return end("Relu", end("Sub", highest, before))


# The reference, written from the SDK's rules, not from the graph above


def merged(scores: Float, threshold: float) -> list[tuple[int, int, int, int, float]]:
    """Boxes of one class's scores [rows, columns]: left, top, right and bottom in cells, and the highest score.

    Right and bottom are exclusive.
    """
    waiting = _components(scores, threshold)
    boxes: list[tuple[int, int, int, int, float]] = []
    while waiting:
        box = waiting.pop()
        apart = [each for each in boxes if not _touch(box, each)]
        if len(apart) == len(boxes):
            boxes.append(box)
            continue
        lefts, tops, rights, bottoms, values = zip(box, *(each for each in boxes if _touch(box, each)), strict=True)
        waiting.append((min(lefts), min(tops), max(rights), max(bottoms), max(values)))
        boxes = apart
    return boxes


def _touch(box: tuple[int, int, int, int, float], other: tuple[int, int, int, int, float]) -> bool:
    """Overlap or touch, corners too."""
    return box[0] <= other[2] and other[0] <= box[2] and box[1] <= other[3] and other[1] <= box[3]


def _components(scores: Float, threshold: float) -> list[tuple[int, int, int, int, float]]:
    """Boxes around cells from the threshold on that are neighbours, diagonals too."""
    lit = {(row, column) for row, column in np.argwhere(scores >= np.float32(threshold)).tolist()}
    found = []
    while lit:
        todo = [lit.pop()]
        for row, column in todo:
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & lit
            lit -= near
            todo += near
        rows, columns = zip(*todo, strict=True)
        highest = max(float(scores[place]) for place in todo)
        found.append((min(columns), min(rows), max(columns) + 1, max(rows) + 1, highest))
    return found


def is_settled(scores: Float, threshold: float) -> bool:
    """Whether the graph's rounds are enough for one class's scores [rows, columns].

    It counts them: left, top, right, bottom and score grow until nothing changes.
    """
    rows, columns = scores.shape
    lit = scores >= np.float32(threshold)
    row, column = np.mgrid[:rows, :columns]
    none = np.array([columns, rows, -1, -1, -1]).reshape(-1, 1, 1)
    boxes = np.where(lit, np.stack([column, row, column, row, scores]), none)
    for _ in range(rounds(rows, columns)):
        for _ in range(_STEPS):
            boxes = np.where(lit, _grown(boxes, none), none)
        lit, before = lit.copy(), lit
        for away in range(1, _REACH + 1):
            lit[:, away:] |= boxes[2, :, :-away] >= column[:, away:]
            lit[:, :-away] |= boxes[0, :, away:] <= column[:, :-away]
    return bool((lit == before).all() and (np.where(lit, _grown(boxes, none), none) == boxes).all())


def _grown(boxes: NDArray[Any], none: NDArray[Any]) -> NDArray[Any]:
    """Around the boxes of all neighbours, with the highest score."""
    _, rows, columns = boxes.shape
    wide = np.broadcast_to(none.astype(boxes.dtype), (len(boxes), rows + 2, columns + 2)).copy()
    wide[:, 1:-1, 1:-1] = boxes
    around = [wide[:, y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    return np.concatenate(
        [np.min([each[:2] for each in around], axis=0), np.max([each[2:] for each in around], axis=0)]
    )
