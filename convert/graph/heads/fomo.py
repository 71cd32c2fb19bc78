"""FOMO: a heat map becomes coverage and boxes for nvinfer's built-in DetectNet parser, which needs no library.

The parser (nvdsinfer_context_impl_output_parsing.cpp; the same arithmetic in DeepStream 6.0.1, 6.2 and 9.1) reads
`cov` [C,h,w] and `bbox` [4*C,h,w]. With s = ceil(size / cells) and centre i*s + 0.5, a cell's box is

    left = centre - 35*b0, top = centre - 35*b1, right = centre + 35*b2, bottom = centre + 35*b3

and an edge at or behind the picture's end is put one pixel before it. So b0 to b3 are constants that say where each
cell lies, whatever the grid: cell i of n covers i*size/n to (i+1)*size/n. The last column and row end 0.01 pixels
early, because float rounding decides whether an edge *at* the end is behind it. Where the model sees only a part of a
frame (`convert.framing`), size and s are the frame's, and the cells cover that part.

Neighbouring cells. Edge Impulse's SDK joins cells above the threshold that touch, diagonally too, into one box as large
as all of them, with the highest score. No stock parser does. With merge "none" every cell is an object: what the model
says, and more objects than Studio shows. With "peak" only local maxima are: about as many objects as the SDK has (130
for its 122, of 465 cells, over 62 pictures and fomo-240x240x3-f32; as many as the SDK for two other models), but a box
is always one cell, the highest, and a large object with two maxima is two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convert.artifacts import Head, Task
from convert.errors import UnsupportedModelError
from convert.graph.findings import CELLS
from convert.graph.heads.fitted import Fitted
from convert.graph.heads.labels import detector_labels
from convert.graph.heads.tail import Tail
from convert.graph.model import attribute
from convert.graph.shapes import infer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto

    from convert.artifacts import Export
    from convert.framing import Framing
    from convert.graph.heads.fitted import Options

__all__ = ["BOXES", "COVERAGE", "cell_boxes", "fomo"]

COVERAGE, BOXES = "output_cov/Sigmoid", "output_bbox/BiasAdd"
"""The names NVIDIA's own DetectNet models have; the parser looks for "cov" and "bbox" in them."""

_UNIT = 35.0  # the parser's box unit in pixels (bboxNorm)
_SHORT = 0.01  # pixels
_TO_ROWS = [0, 2, 3, 1]


@dataclass(frozen=True, slots=True)
class _Grid:
    """The heat map [1, 1+C, rows, columns], and the picture it is for."""

    name: str
    channels: int
    rows: int
    columns: int


def fomo(model: ModelProto, export: Export, options: Options) -> Fitted:
    """Split the heat map off its background, give each cell its box, and merge cells if that is asked for.

    Raises:
        UnsupportedModelError: not one grid of probabilities, or one without a class besides background.
        InputError: the labels are not those of its classes.
    """
    tail = Tail(model)
    _, _, height, width = infer(tail.wiring)[model.graph.input[0].name]
    grid = _heat_map(tail, height, width)
    classes = grid.channels - 1
    if classes < 1:
        raise UnsupportedModelError(
            "the heat map has no class besides background", hint="train the model with at least one label"
        )
    labels, findings = detector_labels(export, classes)
    if options.fomo_merge == "none":
        message = "every cell above the threshold is an object; an object that spans several cells gives several"
        findings += (CELLS.found(message, hint="--fomo-merge peak keeps the highest of neighbouring cells only"),)
    coverage = tail.part(grid.name, 1, 1, grid.channels)
    # A constant alone does not depend on the picture and keeps a batch of 1: a convolution with zeros brings the batch.
    nothing = tail.constant(np.zeros((4 * classes, classes, 1, 1)))
    places = cell_boxes(height, width, grid.rows, grid.columns, options.framing)
    boxes = tail.constant(np.tile(places, (1, classes, 1, 1)))
    boxes = tail("Add", tail("Conv", coverage, nothing, kernel_shape=[1, 1]), boxes)
    if options.fomo_merge == "peak":
        coverage = _peaks(tail, coverage, grid)
    return Fitted(
        tail.finish(coverage, boxes, grid.name),
        Head(Task.FOMO, labels, merge=options.fomo_merge),
        (COVERAGE, BOXES),
        findings,
        ("raw_heat_map",),
    )


def cell_boxes(height: int, width: int, rows: int, columns: int, framing: Framing | None = None) -> NDArray[np.float32]:
    """b0 to b3 of every cell, float32 [1, 4, rows, columns]; the model's picture is `height` by `width` pixels."""
    start, whole = ((framing.left, framing.top), framing.network) if framing else ((0, 0), (width, height))
    left, right = _edges(width, columns, start[0], whole[0])
    top, bottom = _edges(height, rows, start[1], whole[1])
    planes = np.empty((1, 4, rows, columns))
    planes[0, 0], planes[0, 2] = left, right
    planes[0, 1], planes[0, 3] = top[:, np.newaxis], bottom[:, np.newaxis]
    return (planes / _UNIT).astype(np.float32)


def _edges(size: int, cells: int, start: int, whole: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From the parser's centre of each cell to where the cell begins, and to where it ends.

    The cells share `size` pixels from `start` on, of the network's `whole`.
    """
    number = np.arange(cells)
    centre = number * -(-whole // cells) + 0.5
    begin, end = (start + many * size / cells for many in (number, number + 1))
    return centre - begin, np.minimum(end, whole - _SHORT) - centre


def _heat_map(tail: Tail, height: int, width: int) -> _Grid:
    """The model's one output with channels in front."""
    wiring = tail.wiring
    names = [value.name for value in wiring.model.graph.output]
    shape = infer(wiring)[names[0]]
    if len(names) != 1 or len(shape) != 4:
        raise UnsupportedModelError(
            f"FOMO gives one grid of scores, this model {len(names)} outputs, the first {list(shape)}",
            hint="give the real --task",
        )
    (name,) = names
    if not _channels_last(tail, name, shape, height, width):
        return _Grid(name, shape[1], shape[2], shape[3])
    grid = _Grid(name, shape[3], shape[1], shape[2])
    maker = wiring.producer(name)
    if maker is not None and maker.op_type == "Transpose" and list(attribute(maker, "perm", [])) == _TO_ROWS:
        return _Grid(maker.input[0], grid.channels, grid.rows, grid.columns)
    return _Grid(tail("Transpose", name, perm=[0, 3, 1, 2]), grid.channels, grid.rows, grid.columns)


def _channels_last(tail: Tail, name: str, shape: tuple[int, ...], height: int, width: int) -> bool:
    """Whether the output is [1,h,w,K]: that of a flatbuffer always is, that of an ONNX model need not be.

    A grid has the picture's proportions and is coarser; where both readings have, softmax tells, which works along K.
    """

    def fits(rows: int, columns: int) -> bool:
        cell_high, cell_wide = -(-height // rows), -(-width // columns)
        return rows <= height and columns <= width and cell_high == cell_wide

    last, first = fits(*shape[1:3]), fits(*shape[2:4])
    if last != first:
        return last
    maker = tail.wiring.producer(name)
    if maker is not None and maker.op_type == "Softmax":
        return int(attribute(maker, "axis", -1)) in {-1, 3}
    return maker is None or maker.op_type != "Transpose" or list(attribute(maker, "perm", [])) != [0, 3, 1, 2]


def _peaks(tail: Tail, coverage: str, grid: _Grid) -> str:
    """Zero where a neighbour (diagonals too) of the same class is higher, or equal and earlier in reading order.

    Of two equal neighbours exactly one stays: saturated scores are equal, and those of int8 models often are.
    """
    around = tail("MaxPool", coverage, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    in_row = tail("MaxPool", coverage, kernel_shape=[1, 3], pads=[0, 1, 0, 1])
    above = tail.part(tail.padded(in_row, [0, 0, 1, 0]), 2, 0, grid.rows)
    beside = tail.part(tail.padded(coverage, [0, 0, 0, 1]), 3, 0, grid.columns)
    highest = tail("Not", tail("Less", coverage, around))
    first = tail("Greater", coverage, tail("Max", above, beside))
    kept = tail("Cast", tail("And", highest, first), to=1)  # float32; Where is younger than the oldest opset here
    return tail("Mul", coverage, kept)
