"""Builds the end of a detector's graph: nodes that turn the network's raw outputs into what a stock parser reads.

Only operators that TensorRT has had since 7 (for the suppression below 8.2), each on float32. Matrices are multiplied
only of zeros and ones: TensorRT does that in TF32 by default, whose ten bits of mantissa would move a box by a pixel.

Suppression of boxes over all classes, as Edge Impulse's SDK does it for YOLOv5 and YOLOX
(classifier/ei_nms.h and postprocessing/ei_postprocessing_common.h of the SDK, version 1.93): boxes are taken
best score first; one whose intersection over union with a box that was kept is the threshold *or more* goes, whatever
the classes. Boxes are compared, and reported, in pixels of the model's picture: the left and top edge not below 0, then
these, width and height cut to whole pixels (of a YOLOX width and height are rounded). So a box that reaches over the
left or top edge ends too far right or down, by as much as was cut off: the SDK's fault, repeated here, because the
SDK's own results are asked for. A box without area overlaps nothing.

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

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper

from convert.errors import UnsupportedModelError
from convert.graph.graph import GraphEditor, Shapes, infer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.heads.boxes import BoxTensors, Rows
    from convert.images import Framing

CANDIDATES = 1024
"""Rows that are looked at, or all of a model that has fewer. TensorRT's TopK takes 3840 at most."""

ROUNDS = 16
"""How often the right side is computed; even."""

_OLDEST = 11  # opset: GatherElements
# Pixels are counted in 64s, which is exact. In FP16, which TensorRT may choose, the area of 512x512 would be infinite.
_UNIT = 64.0
_LAYERS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_LARGEST_SHARE = 2.0  # candidates' centres in shares of the picture are about 0.5, in pixels 16 or more


class GraphEnd(GraphEditor):
    """Nodes are added to a model one at a time; `finish` makes the last ones its outputs."""

    def shapes(self) -> Shapes:
        """The inferred shape of every tensor by name."""
        return infer(self)

    def rows(
        self, wanted: str, fits: Callable[[tuple[int, ...]], bool]
    ) -> tuple[str, tuple[int, ...], tuple[int, int]]:
        """The one output, [1,A,K] or [1,K,A]: its name and shape; and the width and height of the model's picture.

        Args:
            wanted: what the head's models give, for the message.
            fits: whether the output's sizes do.

        Raises:
            UnsupportedModelError: there are several outputs, or it is another.
        """
        shapes = self.shapes()
        names = [value.name for value in self.model.graph.output]
        shape = shapes[names[0]]
        if len(names) != 1 or len(shape) != 3 or shape[0] != 1 or not fits(shape):
            given = " and ".join(str(list(shapes[name])) for name in names)
            raise UnsupportedModelError(f"{wanted}, this model {given}", hint="give the real --task, or another model")
        _, _, height, width = shapes[self.model.graph.input[0].name]
        return names[0], shape, (width, height)

    def part(self, name: str, axis: int, start: int, end: int) -> str:
        """Entries `start` to before `end` of one axis."""
        return self.sliced(name, [start], [end], [axis])

    def largest(self, name: str, axis: int, *, keep: bool = False) -> str:
        """The largest value along `axis`, which goes, or stays with a size of 1."""
        if self.opset < 18:
            return self("ReduceMax", name, axes=[axis], keepdims=int(keep))
        return self("ReduceMax", name, self.indices([axis]), keepdims=int(keep))

    def order(self, name: str, axis: int, count: int) -> str:
        """Where along `axis` the `count` largest values are, largest first, as int64 (opset 10)."""
        return str(self.add("TopK", [name, self.indices([count])], outputs=2, axis=axis).output[1])

    def where_largest(self, name: str, axis: int) -> str:
        """The place of the (first) largest value along `axis`, which goes, as float32: parsers read nothing else."""
        return self.as_float(self("ArgMax", name, axis=axis, keepdims=0))

    def as_float(self, name: str) -> str:
        """Whole numbers, or truth values as 0 and 1."""
        return self("Cast", name, to=TensorProto.FLOAT)

    def reshaped(self, name: str, shape: Sequence[int]) -> str:
        """The same values in another shape, for one picture."""
        return self("Reshape", name, self.indices(shape))

    def swapped(self, name: str) -> str:
        """(x, y) in the last of three axes as (y, x)."""
        return self("Gather", name, self.indices([1, 0]), axis=2)

    def padded(self, name: str, before: Sequence[int]) -> str:
        """Zeros in front, so many for each axis."""
        pads = [*before, *(0 for _ in before)]
        if self.opset < 11:
            return self("Pad", name, pads=pads)
        return self("Pad", name, self.indices(pads))

    def clipped(self, name: str, low: float, high: float) -> str:
        """What is below `low` as `low`, what is above `high` as `high`."""
        if self.opset < 11:
            return self("Clip", name, min=float(low), max=float(high))
        return self("Clip", name, self.floats(low), self.floats(high))

    def centred(self, centre: str, size: str) -> tuple[str, str]:
        """Corners of boxes given by centre and size, in the same order of x and y."""
        half = self("Mul", size, self.floats(0.5))
        return self("Sub", centre, half), self("Add", centre, half)

    def finish(self, *outputs: str) -> ModelProto:
        """The model, which has these outputs and no others."""
        model = self.model
        del model.graph.output[:]
        # infer() covers what the outputs need
        model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs)
        shapes = infer(self)
        for value in model.graph.output:
            value.type.CopyFrom(shapes.types[value.name])
        self.outputs = set(outputs)
        self.store()
        return model


def detections(
    end: GraphEnd, found: BoxTensors, size: tuple[int, int], framing: Framing | None, *, use_objectness: bool = False
) -> tuple[str, str, str]:
    """The three outputs, [1,A,4], [1,A] and [1,A].

    Args:
        size: width and height of the model's picture, which `found` is measured in.
        framing: boxes are to be in shares of this network's picture instead, cut off where the model's ends.
    """
    boxes = placed_boxes(end, found, size, framing)
    # the largest of one entry is that entry, with one axis less
    factors = [end.largest(name, 2) for name in found.factors[: 1 if use_objectness else 2]]
    return boxes, _multiplied(end, found, factors), end.where_largest(found.classes, 2)


def _multiplied(end: GraphEnd, found: BoxTensors, factors: Sequence[str]) -> str:
    """The product of one or two `factors`, numbers of `found`'s scores."""
    scores = [end("Sigmoid", name) if found.are_logits else name for name in factors]
    return end("Mul", *scores) if len(scores) == 2 else scores[0]


def detections_by_class(
    end: GraphEnd, found: BoxTensors, size: tuple[int, int], framing: Framing | None, count: int, classes: int
) -> tuple[str, str, str]:
    """As `detections`, with every candidate once for each class: [1,C*A,4], [1,C*A] and [1,C*A], class by class.

    Args:
        count, classes: A and C.
    """
    boxes = placed_boxes(end, found, size, framing)
    score = _multiplied(end, found, found.factors)
    scores = end.reshaped(end("Transpose", score, perm=[0, 2, 1]), [1, classes * count])
    # A constant has no batch; what is never true has the scores'.
    zero = end.as_float(end("Less", scores, scores))
    labels = np.repeat(np.arange(classes), count)
    return end("Concat", *[boxes] * classes, axis=1), scores, end("Add", zero, end.floats(labels[np.newaxis]))


def placed_boxes(end: GraphEnd, found: BoxTensors, size: tuple[int, int], framing: Framing | None) -> str:
    """The boxes [1,A,4] of `detections`."""
    boxes = end("Concat", found.low, found.high, axis=2)
    if found.in_pixels:
        boxes = end("Div", boxes, end.floats(np.array([*size[::-1], *size[::-1]])))
    if framing is not None and framing.crops:
        # nvinfer cuts boxes off at the frame's border, Edge Impulse's SDK at that of the picture it cropped
        left, top, wide, high = framing.inside
        within, start = np.array([high, wide, high, wide]), np.array([top, left, top, left])
        whole = np.array([*framing.network[::-1], *framing.network[::-1]])
        boxes = end("Mul", end.clipped(boxes, 0, 1), end.floats(within / whole))
        boxes = end("Add", boxes, end.floats(start / whole))
    return boxes


def no_suppression(end: GraphEnd) -> str:
    """Why the model's opset has not the operators for `best_rows`; empty: it has."""
    if end.opset >= _OLDEST:
        return ""
    return f"boxes are suppressed over all classes, which needs opset {_OLDEST}; the model has {end.opset}"


def best_rows(end: GraphEnd, rows: Rows, score: str) -> Rows:
    """The `CANDIDATES` rows with the highest `score`, [1,A,1], highest first; of equal ones the first first.

    Raises:
        UnsupportedModelError: the opset lacks the operators.
    """
    if refused := no_suppression(end):
        raise UnsupportedModelError(
            refused,
            hint=f"convert with --opset 13 (an ONNX model: export it with opset {_OLDEST} or newer), or with "
            "--yolo-score product, which leaves that to nvinfer",
        )
    count = min(rows.count, CANDIDATES)
    order = end.order(score, 1, count)
    everywhere = end("Tile", order, end.indices([1, 1, rows.columns]))
    return replace(rows, name=end("GatherElements", rows.name, everywhere, axis=1), count=count)


def as_reported(end: GraphEnd, found: BoxTensors, rows: Rows, *, rounds: bool = False) -> BoxTensors:
    """`found`, which has `size`, with the corners as the SDK reports and compares them: in whole pixels.

    What has a negative size the SDK passes over; here it has none, overlaps nothing, and nvinfer drops it.

    Args:
        rounds: as the SDK does for YOLOX: width and height are rounded, and end at no border of the picture.
    """
    picture = end.floats([[[rows.height, rows.width]]])
    start, size = end("Max", found.low, end.floats(0)), found.size
    if not found.in_pixels:
        start, size = end("Mul", start, picture), end("Mul", size, picture)
    elif not rounds:  # only then does the SDK cut boxes at the right and the bottom
        size = end("Min", size, end("Sub", picture, start))
    start, size = end("Floor", start), end("Relu", size)
    if rounds:
        start, size = end("Min", start, picture), end("Add", size, end.floats(0.5))
    return replace(found, low=start, high=end("Add", start, end("Floor", size)), in_pixels=True)


def kept_scores(end: GraphEnd, found: BoxTensors, score: str, count: int, overlap: float) -> str:
    """[1,K]: the score of each candidate that is kept, -1 for the others, below any threshold.

    Args:
        found: of `best_rows`, `as_reported`.
        score: [1,K,1], of the same rows.
        count: K.
        overlap: intersection over union from which on the weaker of two boxes goes.
    """
    kept = _kept(end, _overlapping(end, found, count, overlap))
    score = end("Add", end("Mul", score, kept), end("Sub", kept, end.floats(1)))
    return end.reshaped(score, [1, count])


def _overlapping(end: GraphEnd, found: BoxTensors, count: int, overlap: float) -> str:
    """[1,K,K]: 1 where candidate j (last) is better than candidate i and overlaps it, else 0."""
    unit = end.floats(1 / _UNIT)
    starts, ends = end("Mul", found.low, unit), end("Mul", found.high, unit)
    top, left, bottom, right = (end.part(name, 2, axis, axis + 1) for name in (starts, ends) for axis in (0, 1))

    def shared(low: str, high: str) -> str:
        start = end("Max", low, end.reshaped(low, [1, 1, count]))
        return end("Relu", end("Sub", end("Min", high, end.reshaped(high, [1, 1, count])), start))

    both = end("Mul", shared(top, bottom), shared(left, right))
    area = end("Mul", end("Sub", bottom, top), end("Sub", right, left))
    together = end("Sub", end("Add", area, end.reshaped(area, [1, 1, count])), both)
    # whole pixels: what is less than one is none, and divided by none
    share = end("Div", both, end("Max", together, end.floats(1 / _UNIT**2)))
    number = np.arange(count, dtype=np.float32)
    better = end("Less", end.floats(number.reshape(1, 1, -1)), end.floats(number.reshape(1, -1, 1)))
    much = end("Not", end("Less", share, end.floats(overlap)))
    return end.as_float(end("And", much, better))


def _kept(end: GraphEnd, overlapping: str) -> str:
    """[1,K,1]: 1 for each candidate that no better one drops, else 0. Sums of ones are exact in TF32 and FP16."""
    half = end.floats(0.5)
    droppers = end.largest(overlapping, 2, keep=True)
    for _ in range(ROUNDS - 1):
        droppers = end("MatMul", overlapping, end.as_float(end("Less", droppers, half)))
    return end.as_float(end("Less", droppers, half))


def neutral(model: ModelProto) -> NDArray[np.float32]:
    """The model's one output where every layer with weights gives 0.

    YOLO exports differ in the unit of their rows and nothing records it: TensorFlow's give shares of the picture,
    PyTorch's ONNX pixels, and some leave the decoding to the reader. With every convolution at 0 the picture
    has no effect, and what is left are the places of the cells: evenly spread over the picture, in the unit of the
    rows. No picture and no runtime is needed.

    Raises:
        UnsupportedModelError: the output does not come from such layers.
    """
    from onnx.reference import ReferenceEvaluator  # slow to import, needed for some heads only

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    editor = GraphEditor(copy)
    shapes = infer(editor)
    codes = {each.name for each in copy.graph.initializer if each.data_type == onnx.TensorProto.INT8}
    for node in editor.nodes():
        if node.op_type in _LAYERS:
            editor.replace(node, editor.add_constant(np.zeros(shapes[node.output[0]], np.float32)))
        elif node.op_type in {"QuantizeLinear", "DequantizeLinear"} and node.input[0] not in codes:
            editor.replace(node, node.input[0])  # rounding moves no cell, and onnx evaluates it from opset 19 on only
    editor.store()
    source = copy.graph.input[0].name
    refused = UnsupportedModelError(
        "it cannot be seen how this model's boxes follow from its layers", hint="report the model"
    )
    if any(source in node.input for node in copy.graph.node):
        raise refused
    try:
        (value,) = ReferenceEvaluator(copy).run(None, {source: np.zeros(shapes[source], np.float32)})
    except Exception as error:  # whatever an operator's reference implementation raises
        raise refused from error
    return np.asarray(value, np.float32)


def unit_of(centres: NDArray[np.float32], width: int, height: int) -> str:
    """What `centres` [A,2] (x, y) of a neutral answer are measured in: "relative", "pixels", or "cells".

    "cells" is where all candidates are alike: their place in the picture is not in the numbers.

    Raises:
        UnsupportedModelError: they lie neither in the picture nor in 0..1.
    """
    if not np.ptp(centres, axis=0).any():
        return "cells"
    middle = np.median(centres, axis=0)
    unit, size = ("relative", np.ones(2)) if middle.max() <= _LARGEST_SHARE else ("pixels", np.array([width, height]))
    if not (np.abs(middle / size - 0.5) < 0.3).all():
        x, y = middle
        raise UnsupportedModelError(
            f"the boxes are measured in something else than pixels of {width}x{height} or shares of it: the middle of "
            f"all candidates is ({x:.3g}, {y:.3g})",
            hint="give the real --task, or report the model",
        )
    return unit
