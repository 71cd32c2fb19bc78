"""FOMO: a heat map becomes coverage and boxes for nvinfer's built-in DetectNet parser, which needs no library.

The parser (nvdsinfer_context_impl_output_parsing.cpp; the same arithmetic in DeepStream 6.0.1, 6.2 and 9.1) reads
`cov` [C,h,w] and `bbox` [4*C,h,w]. With s = ceil(size / cells) and centre i*s + 0.5, a cell's box is

    left = centre - 35*b0, top = centre - 35*b1, right = centre + 35*b2, bottom = centre + 35*b3

and an edge at or behind the picture's end is put one pixel before it. So b0 to b3 are constants that hold where each
cell lies, whatever the grid: cell i of n covers i*size/n to (i+1)*size/n. The last column and row end 0.01 pixels
early, because float rounding decides whether an edge *at* the end is behind it. Where the model gets only a part of a
frame (`convert.types`), size and s are the frame's, and the cells cover that part.

Neighbouring cells. Edge Impulse's SDK joins cells above the threshold that touch, diagonally too, into one box as large
as all of them, with the highest score. No stock parser does. With merge "touching" the graph does
(`convert.heads.touching`): the cell that stands for a box has the box's score and edges, all others a score of 0 and
edges the wrong way round, which the parser drops whatever the threshold. With "none" every cell is an object, which are
more objects than Studio shows. With "peak" only local maxima are: about as many objects as the SDK has (130 for its
122, of 465 cells, over 62 pictures and fomo-240x240x3-f32; as many as the SDK for two other models), but a box is
always one cell, the highest, and a large object with two maxima is two.

Larger boxes. Boxes of one cell of an object that moves on by a cell have nothing in common, and a tracker by overlap
loses it. `Options.fomo_box` is the least size of a box: a smaller one grows about its middle, never out of the
picture and by the same on both sides, so that middles stay where they are; at the picture's edge it stays smaller.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convert import errors, images, types
from convert.findings import Rule
from convert.heads.base import Fit, Fitted, HeadSpec, LastLayer, Options, Rules, detector_labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto

    from convert.heads.decoding import Decoded, ReferenceDecoder
    from convert.heads.graph_end import GraphEnd

CELLS = Rule("EI352")

COVERAGE, BOXES = "output_cov/Sigmoid", "output_bbox/BiasAdd"
"""The names NVIDIA's own DetectNet models have; the parser looks for "cov" and "bbox" in them."""

_RAW = "raw_heat_map"
# Input pixels a cell, rounded up: Edge Impulse cuts MobileNetV2 at 8, custom blocks elsewhere.
_REDUCTIONS = (4, 8, 16, 32)
_UNIT = 35.0  # the parser's box unit in pixels (bboxNorm)
_PIXELS = 35  # the same once more, for the reference: the graph's could be wrong
_SHORT = 0.01  # pixels
_TO_ROWS = [0, 2, 3, 1]


class _Fomo(HeadSpec):
    def fit(self, layer: LastLayer) -> Fit:
        match layer.output:
            case (_, 1, 1, _):
                return Fit.NO
            case (_, int(rows), int(columns), int(channels)):
                fits = any((rows, columns) == (-(-layer.height // by), -(-layer.width // by)) for by in _REDUCTIONS)
                return Fit.LIKELY if fits and channels > 1 and layer.gives_probabilities else Fit.POSSIBLE
        return Fit.NO

    def classes(self, output: Sequence[int | None]) -> int | None:
        return output[3] - 1 if len(output) == 4 and output[3] is not None else None

    def adapt(self, model: ModelProto, export: types.Export, options: Options) -> Fitted:
        """Split the heat map off its background, give each cell its box, and merge cells if that is asked for.

        Raises:
            UnsupportedModelError: not one grid of probabilities, or one without a class besides background.
            InputError: the labels are not those of its classes.
        """
        import numpy as np  # recognising a head does without

        from convert.heads import touching
        from convert.heads.graph_end import GraphEnd  # brings onnx

        end = GraphEnd(model)
        _, _, height, width = end.shapes()[model.graph.input[0].name]
        grid, (channels, rows, columns) = _heat_map(end, height, width)
        classes = channels - 1
        if classes < 1:
            raise errors.UnsupportedModelError(
                "the heat map has no class besides background", hint="train the model with at least one label"
            )
        labels, findings = detector_labels(export, classes)
        if options.fomo_merge == "none":
            message = "every cell above the threshold is an object; an object that spans several cells gives several"
            findings += (CELLS.found(message, hint="--fomo-merge touching makes one box of cells that touch"),)
        coverage = end.part(grid, 1, 1, channels)
        least = options.fomo_box
        head = types.Head(self.id, labels, merge=options.fomo_merge, box=least if least > 1 else None)
        if options.fomo_merge == "touching":
            head = replace(head, threshold=options.threshold)
            coverage, edges = touching.merge(end, coverage, (classes, rows, columns), options.threshold)
            boxes = _boxes_around(end, edges, (height, width), (classes, rows, columns), options.framing, least)
            return Fitted(end.finish(coverage, boxes, grid), head, (COVERAGE, BOXES), findings, self.raw)
        # A constant alone does not depend on the picture and keeps a batch of 1: a convolution with zeros brings it.
        nothing = end.floats(np.zeros((4 * classes, classes, 1, 1)))
        places = cell_boxes(height, width, rows, columns, options.framing, least)
        boxes = end.floats(np.tile(places, (1, classes, 1, 1)))
        boxes = end("Add", end("Conv", coverage, nothing, kernel_shape=[1, 1]), boxes)
        if options.fomo_merge == "peak":
            coverage = _peaks(end, coverage, rows, columns)
        return Fitted(end.finish(coverage, boxes, grid), head, (COVERAGE, BOXES), findings, self.raw)

    def as_original(self, raw: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        return [values.transpose(0, 2, 3, 1) for values in raw]

    def as_graph(self, raw: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        return [values.transpose(0, 3, 1, 2) for values in raw]

    def comparable(
        self,
        decoder: ReferenceDecoder,  # noqa: ARG002
        raw: Sequence[NDArray[Any]],
    ) -> tuple[list[NDArray[Any]], list[bool]]:
        return list(raw), [True]

    def decoded(
        self, decoder: ReferenceDecoder, raw: Sequence[NDArray[Any]], shipped: Sequence[NDArray[Any]]
    ) -> Decoded:
        import numpy as np

        from convert.heads.decoding import Decoded

        (maps,), (cover, boxes) = raw, shipped
        if decoder.head.merge == "touching":
            return _merged(decoder, maps, cover, boxes)
        wanted = heat(maps, decoder.head.merge)
        places, middle = cells(decoder, *maps.shape[2:]), centres(decoder, *maps.shape[2:])
        places = _enlarged(decoder, places[0, 0], maps.shape[2:])[None, None]
        edges = _as_parsed(boxes, middle)
        return Decoded([wanted, np.broadcast_to(places / _PIXELS, edges.shape)], [cover, edges / _PIXELS])

    def prediction(
        self,
        decoder: ReferenceDecoder | None,  # noqa: ARG002
        raw: Sequence[NDArray[Any]],
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        import numpy as np

        scores = raw[0][..., 1:]
        count, rows, columns, classes = scores.shape
        row, column = np.divmod(scores.max(axis=3).reshape(count, -1).argmax(axis=1), columns)
        # with its neighbours, which Edge Impulse's SDK joins it with: an object on the border of two is in either
        shares = [(column - 1) / columns, (row - 1) / rows, (column + 2) / columns, (row + 2) / rows]
        return scores.reshape(count, -1, classes).max(axis=1), np.stack(shares, axis=1)

    def decode_original(self, outputs: Sequence[NDArray[Any]], rules: Rules) -> dict[str, Any]:
        from convert.heads import decoding  # brings numpy

        return decoding.answer(decoding.fomo(outputs[0][0, ..., 1:], rules))

    def decode_shipped(self, outputs: Mapping[str, NDArray[Any]], rules: Rules) -> dict[str, Any]:
        """From the raw heat map (background first), else from the coverage."""
        from convert.heads import decoding

        maps = [outputs[_RAW][0, 1:]] if _RAW in outputs else []
        maps += [values[0] for name, values in outputs.items() if "cov" in name]
        if not maps:
            return decoding.shipped(outputs, rules, rules.overlap)
        scores = maps[0]
        if scores.ndim != 3 or len(scores) != len(rules.labels):
            raise errors.InputError(
                f"the heat map {list(scores.shape)} does not fit {len(rules.labels)} labels", hint="convert again"
            )
        return decoding.answer(decoding.fomo(scores.transpose(1, 2, 0), rules))


FOMO = _Fomo(
    "fomo", "FOMO object detector", last_layer=(2, "FOMO"), results="fomo", raw=(_RAW,),
    model_type="constrained_object_detection", merges_cells=True, is_comparable=True,
)  # fmt: skip


def cell_boxes(
    height: int,
    width: int,
    rows: int,
    columns: int,
    framing: images.Framing | None = None,
    least: float = 1,
    *,
    cut: bool = True,
) -> NDArray[np.float32]:
    """b0 to b3 of every cell, float32 [1, 4, rows, columns]; the model's picture is `height` by `width` pixels.

    Args:
        least: the size of a box in cells, where there is room for it.
        cut: boxes end where the parser's picture does.
    """
    import numpy as np

    inside, whole = _placed(height, width, framing)
    left, right = _edges(inside[2], columns, inside[0], whole[0], least, cut=cut)
    top, bottom = _edges(inside[3], rows, inside[1], whole[1], least, cut=cut)
    planes = np.empty((1, 4, rows, columns))
    planes[0, 0], planes[0, 2] = left, right
    planes[0, 1], planes[0, 3] = top[:, np.newaxis], bottom[:, np.newaxis]
    return (planes / _UNIT).astype(np.float32)


def _placed(
    height: int, width: int, framing: images.Framing | None
) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """Left, top, width and height of the model's picture in the parser's, and the parser's width and height."""
    return (framing.inside, framing.network) if framing else ((0, 0, width, height), (width, height))


def _edges(
    size: float, cells: int, start: float, whole: int, least: float, *, cut: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From the parser's centre of each cell to where its box begins, and to where it ends.

    The cells share `size` pixels from `start` on, of the network's `whole`; a box is `least` cells where it can be.
    """
    import numpy as np

    number, centre, last = np.arange(cells), _centres(cells, whole), whole - _SHORT if cut else np.inf
    begin, end = (start + many * size / cells for many in (number, number + 1))
    room = np.minimum(begin, last - end)
    more = np.clip((least - 1) / 2 * size / cells, 0, np.maximum(room, 0))
    return centre - begin + more, np.minimum(end, last) - centre + more


def _centres(cells: int, whole: int) -> NDArray[np.float64]:
    """The parser's centre of each cell in a row or column, in pixels."""
    import numpy as np

    return np.arange(cells, dtype=np.float64) * -(-whole // cells) + 0.5


def _heat_map(end: GraphEnd, height: int, width: int) -> tuple[str, tuple[int, ...]]:
    """The model's one output with channels in front: its name, and its size [1 + classes, rows, columns]."""
    from convert.graph.graph import attribute  # brings onnx

    names = [value.name for value in end.model.graph.output]
    shape = end.shapes()[names[0]]
    if len(names) != 1 or len(shape) != 4:
        message = f"FOMO gives one grid of scores, this model {len(names)} outputs, the first {list(shape)}"
        raise errors.UnsupportedModelError(message, hint="give the real --task")
    (name,) = names
    if not _channels_last(end, name, shape, height, width):
        return name, shape[1:]
    size = shape[3], *shape[1:3]
    producer = end.producers.get(name)
    if producer is not None and producer.op_type == "Transpose" and list(attribute(producer, "perm", [])) == _TO_ROWS:
        return producer.input[0], size
    return end("Transpose", name, perm=[0, 3, 1, 2]), size


def _channels_last(end: GraphEnd, name: str, shape: tuple[int, ...], height: int, width: int) -> bool:
    """Whether the output is [1,h,w,K]: that of a flatbuffer always is, that of an ONNX model need not be.

    A grid has the picture's proportions and is coarser; where both readings fit, the softmax, along K, decides.
    """

    from convert.graph.graph import attribute

    def fits(rows: int, columns: int) -> bool:
        cell_high, cell_wide = -(-height // rows), -(-width // columns)
        return rows <= height and columns <= width and cell_high == cell_wide

    last, first = fits(*shape[1:3]), fits(*shape[2:4])
    if last != first:
        return last
    producer = end.producers.get(name)
    if producer is not None and producer.op_type == "Softmax":
        return int(attribute(producer, "axis", -1)) in {-1, 3}
    return producer is None or producer.op_type != "Transpose" or list(attribute(producer, "perm", [])) != [0, 3, 1, 2]


def _boxes_around(
    end: GraphEnd,
    edges: str,
    picture: tuple[int, int],
    size: tuple[int, int, int],
    framing: images.Framing | None,
    least: float,
) -> str:
    """b0 to b3 of boxes around several cells, [1, 4 * classes, rows, columns], class by class.

    They are computed as what each edge is further out than the cell's own: small numbers, which FP16 holds better. What
    is 0 in `edges` becomes a box that ends before it begins.

    Args:
        edges: in cells, as `touching.merge` gives them.
        picture: height and width of the model's picture.
        size: classes, rows and columns.
        least: width and height of a box in cells, where there is room for it.
    """
    import numpy as np

    from convert.heads import touching

    (height, width), (classes, rows, columns) = picture, size
    inside, whole = _placed(height, width, framing)
    own = touching.own_edges(rows, columns)
    # class by class instead of kind by kind: whole numbers up to 2048 are exact in every precision
    each = np.eye(4 * classes).reshape(4, classes, -1)
    order, across = (kinds.swapaxes(0, 1).reshape(4 * classes, -1, 1, 1) for kinds in (each, np.roll(each, 2, axis=0)))
    opposite = end("Conv", edges, end.floats(across), kernel_shape=[1, 1]) if least > 1 else ""
    edges = end("Conv", edges, end.floats(order), kernel_shape=[1, 1])

    def every_class(values: NDArray[Any]) -> str:
        return end.floats(np.tile(values, (classes, 1, 1))[np.newaxis])

    step = np.array([inside[2] / columns, inside[3] / rows] * 2).reshape(4, 1, 1) / _UNIT
    beyond = end("Sub", edges, every_class(own))
    if least > 1:
        outside = [*inside[:2], *(whole[axis] - _SHORT - inside[axis] - inside[2 + axis] for axis in (0, 1))]
        room = np.array([columns, rows] * 2).reshape(4, 1, 1) + np.reshape(outside, (4, 1, 1)) / _UNIT / step
        # Half of what it lacks, and no more than there is room for on either side; nothing where there is no box.
        lacks = end(
            "Sub", every_class((least + np.array([columns, rows] * 2)).reshape(4, 1, 1)), end("Add", edges, opposite)
        )
        more = end("Min", end("Mul", lacks, end.floats(0.5)), end("Mul", edges, end.floats(least)))
        for side, free in ((edges, room), (opposite, np.roll(room, 2, axis=0))):
            more = end("Min", more, end("Sub", every_class(free), side))
        beyond = end("Add", beyond, end("Relu", more))
    # The model's picture may end where the frame does, or with black bars around it further out: so does no box.
    begin, last = [min(edge, 0) for edge in inside[:2]], [side - _SHORT for side in whole]
    middle = np.stack(np.meshgrid(_centres(columns, whole[0]), _centres(rows, whole[1])))
    furthest = np.stack([*(middle - np.reshape(begin, (2, 1, 1))), *(np.reshape(last, (2, 1, 1)) - middle)]) / _UNIT
    places = cell_boxes(height, width, rows, columns, framing, cut=False)[0]
    boxes = end("Add", end("Mul", beyond, every_class(step)), every_class(places))
    return end("Sub", boxes, end("Relu", end("Sub", boxes, every_class(furthest))))  # Min, which opset 7 cannot spread


def _peaks(end: GraphEnd, coverage: str, rows: int, columns: int) -> str:
    """Zero where a neighbour (diagonals too) of the same class is higher, or equal and earlier in reading order.

    Of two equal neighbours exactly one stays: saturated scores are equal, and those of int8 models often are.
    """
    around = end("MaxPool", coverage, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    in_row = end("MaxPool", coverage, kernel_shape=[1, 3], pads=[0, 1, 0, 1])
    above = end.part(end.padded(in_row, [0, 0, 1, 0]), 2, 0, rows)
    beside = end.part(end.padded(coverage, [0, 0, 0, 1]), 3, 0, columns)
    highest = end("Not", end("Less", coverage, around))
    first = end("Greater", coverage, end("Max", above, beside))
    kept = end("Cast", end("And", highest, first), to=1)  # float32; Where is younger than the oldest opset here
    return end("Mul", coverage, kept)


# The reference, written from the parser's source and Edge Impulse's SDK, not from the graph above


def heat(raw: NDArray[np.float32], merge: str | None) -> NDArray[np.float32]:
    """Coverage [n,C,h,w] of a heat map [n,1+C,h,w]."""
    import numpy as np

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


def _merged(
    decoder: ReferenceDecoder, maps: NDArray[np.float32], cover: NDArray[np.float32], boxes: NDArray[np.float32]
) -> Decoded:
    """Scores and edges of merged boxes, by the reference and by the graph.

    A box's values are compared in the cell in its left top corner, where the graph should have them. A class of a
    picture that takes more rounds than the graph has is NaN in both.
    """
    import numpy as np

    from convert.heads import touching
    from convert.heads.decoding import Decoded

    threshold = decoder.head.threshold
    assert threshold is not None
    scores, (rows, columns) = maps[:, 1:], maps.shape[2:]
    wanted, edges = np.zeros_like(scores), np.zeros((*scores.shape[:2], 4, rows, columns), np.float32)
    each = cells(decoder, rows, columns)[0, 0]
    for picture, label in np.ndindex(scores.shape[:2]):
        one = scores[picture, label]
        if not touching.is_settled(one, threshold):
            wanted[picture, label] = np.nan
            continue
        for left, top, right, bottom, score in touching.merged(one, threshold):
            wanted[picture, label, top, left] = score
            around = np.array([*each[:2, top, left], *each[2:, bottom - 1, right - 1]])
            edges[picture, label, :, top, left] = _enlarged(decoder, around, (rows, columns))
    given = _as_parsed(boxes, centres(decoder, rows, columns))
    given = np.where((wanted > 0)[:, :, np.newaxis], given, np.float32(0))
    return Decoded([wanted, edges / _PIXELS], [np.where(np.isnan(wanted), wanted, cover), given / _PIXELS])


def _enlarged(decoder: ReferenceDecoder, edges: NDArray[np.float64], grid: tuple[int, ...]) -> NDArray[np.float64]:
    """Left, top, right and bottom edges in pixels [4, ...] of boxes that are at least `Head.box` cells, where they fit.

    Args:
        grid: rows and columns.
    """
    import numpy as np

    if decoder.head.box is None:
        return edges
    width, height = decoder.framing.inside[2:] if decoder.framing else (decoder.width, decoder.height)
    low, high = edges[:2], edges[2:]
    middle, half = (low + high) / 2, (high - low) / 2
    shape = (2, *[1] * (edges.ndim - 1))
    wanted = np.reshape([decoder.head.box * width / grid[1] / 2, decoder.head.box * height / grid[0] / 2], shape)
    last = np.reshape([side - 0.01 for side in decoder.whole], shape)
    half = np.maximum(half, np.minimum(wanted, np.minimum(middle, last - middle)))
    return np.concatenate([middle - half, middle + half])


def _as_parsed(boxes: NDArray[np.float32], middle: NDArray[np.float32]) -> NDArray[np.float32]:
    """Edges in pixels [n,C,4,rows,columns] as the parser reads them: back from the centre, or on from it."""
    import numpy as np

    numbers = boxes.reshape(len(boxes), -1, 4, *boxes.shape[2:])
    parts = [middle - numbers[:, :, :2] * _PIXELS, middle + numbers[:, :, 2:] * _PIXELS]
    return np.concatenate(parts, axis=2, dtype=np.float32)


def cells(decoder: ReferenceDecoder, rows: int, columns: int) -> NDArray[np.float64]:
    """Left, top, right and bottom edge of every cell in pixels, [1,1,4,rows,columns].

    The last column and row end 0.01 before nvinfer's picture does, where it would cut off a whole pixel.
    """
    import numpy as np

    x, y, width, height = decoder.framing.inside if decoder.framing else (0, 0, decoder.width, decoder.height)
    upright, level = (np.arange(count + 1) / count for count in (columns, rows))
    upright, level = x + width * upright, y + height * level
    left, top = upright[:-1], level[:-1]
    right, bottom = np.minimum(upright[1:], decoder.whole[0] - 0.01), np.minimum(level[1:], decoder.whole[1] - 0.01)
    across, down = np.ones((rows, 1)), np.ones((1, columns))
    edges = [left * across, top[:, None] * down, right * across, bottom[:, None] * down]
    return np.stack(edges)[None, None]


def centres(decoder: ReferenceDecoder, rows: int, columns: int) -> NDArray[np.float32]:
    """What DetectNet's parser takes for the middle of every cell, (x, y) in pixels, [1,1,2,rows,columns].

    Its stride is rounded up, so these are off where the grid does not divide the picture.
    """
    import numpy as np

    x = np.arange(columns) * math.ceil(decoder.whole[0] / columns) + 0.5
    y = np.arange(rows) * math.ceil(decoder.whole[1] / rows) + 0.5
    return np.stack(np.meshgrid(x, y)).astype(np.float32)[None, None]
