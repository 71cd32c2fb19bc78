"""The DetectNet parsers: a coverage and a box for each cell of a grid, in units of 35 network pixels.

The built-in one is `DetectPostprocessor::parseBoundingBox` (nvdsinfer_context_impl_output_parsing.cpp), which also
decodes FOMO heat maps; the stock library's is `NvDsInferParseCustomResnet` (nvdsinfer_custombboxparser.cpp). Every
step is a float32 operation in NVIDIA's order, so results are equal to the last bit on x86-64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convert.errors import InputError
from convert.simulate.decode_boxes import Boxes
from convert.simulate.decode_tensors import Layer, ParserFailed, clip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.images.placement import Network
    from convert.simulate.decode_boxes import Dropped

__all__ = ["builtin", "resnet"]

_NORM = np.float32(35)


def builtin(
    outputs: Sequence[Layer],
    frame: int,
    network: Network,
    thresholds: NDArray[np.float32],
    dropped: Dropped | None = None,
) -> Boxes:
    """What nvinfer does without a parser function.

    The outputs are the last ones with "cov" and with "bbox" in their names: [C,H,W] and [4*C,H,W]. Of the C classes
    only the configured ones are read.

    Args:
        outputs: in engine order.
        frame: of the batch.
        network: its input.
        thresholds: pre-cluster-threshold of each class, float32.
        dropped: collects cells that give no box.

    Raises:
        ParserFailed: one of the outputs is missing.
        InputError: they have too few dimensions, or a box would be read behind the output's end.
    """
    chosen: dict[str, Layer] = {}
    for layer in outputs:
        for part in ("bbox", "cov"):
            if part in layer.name:
                chosen[part] = layer
    for part, name in (("cov", "coverage"), ("bbox", "bbox")):
        if part not in chosen:
            raise ParserFailed(f"Could not find output {name} layer for parsing objects")
    grid = _Grid.of(chosen["cov"], chosen["bbox"], frame, network, len(thresholds))
    below = grid.coverage < thresholds[: grid.classes, None]  # False for NaN: kept
    if dropped is not None:
        _tell(grid, below, thresholds, dropped)
    boxes, edges = grid.boxes(np.flatnonzero(~below))
    right, bottom = np.float32(network.width), np.float32(network.height)
    x1, x2 = (_bounded(edge, right) for edge in (edges[0], edges[2]))
    y1, y2 = (_bounded(edge, bottom) for edge in (edges[1], edges[3]))
    boxes = Boxes(boxes.class_id, x1, y1, x2 - x1, y2 - y1, boxes.confidence)
    inside_out = (boxes.width < 0) | (boxes.height < 0)
    if not inside_out.any():
        return boxes
    if dropped is not None:
        dropped.add("box", boxes[inside_out], 0, 0)
    return boxes[~inside_out]


def resnet(
    outputs: Sequence[Layer],
    frame: int,
    network: Network,
    thresholds: NDArray[np.float32],
    dropped: Dropped | None = None,
) -> Boxes:
    """NvDsInferParseCustomResnet: exact names, boxes one pixel wider and higher, none dropped for having no area.

    Arguments and errors as for `builtin`. (The C++ function keeps the first model's layer numbers and dimensions for
    the life of the process; a second model with others in the same process is not reproduced.)
    """
    found = {layer.name: layer for layer in reversed(outputs)}  # the first of a name
    for name in ("output_bbox/BiasAdd:0", "output_cov/Sigmoid:0"):
        if name not in found:
            raise ParserFailed("Could not find bbox layer buffer while parsing")
    layers = found["output_cov/Sigmoid:0"], found["output_bbox/BiasAdd:0"]
    grid = _Grid.of(*layers, frame, network, len(thresholds))
    below = ~(grid.coverage >= thresholds[: grid.classes, None])  # True for NaN: not kept
    if dropped is not None:
        _tell(grid, below, thresholds, dropped)
    boxes, edges = grid.boxes(np.flatnonzero(~below))
    x1, x2 = (clip(edge, network.width - 1) for edge in (edges[0], edges[2]))
    y1, y2 = (clip(edge, network.height - 1) for edge in (edges[1], edges[3]))
    one = np.float32(1)
    return Boxes(boxes.class_id, x1, y1, x2 - x1 + one, y2 - y1 + one, boxes.confidence)


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Coverage [classes, cells] of the configured classes, the cells' centres / 35, and the numbers of the boxes."""

    coverage: NDArray[np.float32]
    rest: NDArray[np.float32]
    columns: int
    stride_between_classes: int
    centre_x: NDArray[np.float32]
    centre_y: NDArray[np.float32]
    box: Layer
    frame: int

    @classmethod
    def of(cls, cov: Layer, bbox: Layer, frame: int, network: Network, configured: int) -> _Grid:
        for layer in (cov, bbox):
            if len(layer.dims) < 3:
                raise InputError(
                    f"output {layer.name!r} has the dimensions {list(layer.dims)}, the DetectNet parser needs three",
                    hint="[classes, rows, columns] and [4 * classes, rows, columns] for each frame",
                )
        channels, rows, columns = cov.dims[:3]
        box_rows, box_columns = bbox.dims[1:3]
        cells = rows * columns
        coverage = cov.floats(frame, channels * cells)[: channels * cells].reshape(channels, cells)
        classes = min(channels, configured)
        return cls(
            coverage[:classes],
            coverage[classes:],
            columns,
            4 * box_rows * box_columns,
            _centres(columns, -(-network.width // box_columns)),
            _centres(rows, -(-network.height // box_rows)),
            bbox,
            frame,
        )

    @property
    def classes(self) -> int:
        return len(self.coverage)

    def boxes(self, which: NDArray[np.intp]) -> tuple[Boxes, tuple[NDArray[np.float32], ...]]:
        """Class and confidence of cells counted through all classes, and their left, top, right and bottom edges."""
        cells = self.coverage.shape[1]
        class_id, cell = np.divmod(which, cells)
        first = class_id * self.stride_between_classes + cell
        numbers = self.box.floats(self.frame, int(first.max()) + 3 * cells + 1 if len(first) else 0)
        row, column = np.divmod(cell, self.columns)
        x, y = self.centre_x[column], self.centre_y[row]
        edges = (
            (numbers[first] - x) * -_NORM,
            (numbers[first + cells] - y) * -_NORM,
            (numbers[first + 2 * cells] + x) * _NORM,
            (numbers[first + 3 * cells] + y) * _NORM,
        )
        confidence = self.coverage.reshape(-1)[which]
        return Boxes(class_id.astype(np.uint32), *edges, confidence), edges

    def readable(self, which: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those whose box stands in the output: nvinfer reads no others, and neither does the record of the dropped."""
        cells = self.coverage.shape[1]
        class_id, cell = np.divmod(which, cells)
        last = class_id * self.stride_between_classes + cell + 3 * cells
        there: NDArray[np.intp] = which[last < len(self.box.floats(self.frame))]
        return there


def _centres(count: int, stride: int) -> NDArray[np.float32]:
    """(float)(i * stride + 0.5) / 35; the sum is a double, the quotient a float."""
    return (np.arange(count) * stride + 0.5).astype(np.float32) / _NORM


def _bounded(edge: NDArray[np.float32], end: np.float32) -> NDArray[np.float32]:
    """At or behind the end: one pixel before it, though not just in front of it; below 0: 0; NaN stays."""
    edge = np.where(edge >= end, end - np.float32(1), edge)
    return np.where(edge < 0, np.float32(0), edge)


def _tell(grid: _Grid, below: NDArray[np.bool_], thresholds: NDArray[np.float32], dropped: Dropped) -> None:
    which = grid.readable(np.flatnonzero(below))
    boxes, edges = grid.boxes(which)
    x1, y1, x2, y2 = edges
    boxes = Boxes(boxes.class_id, x1, y1, x2 - x1, y2 - y1, boxes.confidence)
    dropped.add("pre-cluster-threshold", boxes, boxes.confidence, thresholds[boxes.class_id])
    if grid.rest.size:
        class_id = np.repeat(np.arange(len(grid.rest), dtype=np.uint32) + grid.classes, grid.rest.shape[1])
        zero = np.zeros(grid.rest.size, np.float32)
        boxes = Boxes(class_id, zero, zero, zero, zero, grid.rest.reshape(-1))
        dropped.add("num-detected-classes", boxes, class_id, grid.classes)
