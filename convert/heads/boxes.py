"""Detectors that give one row for each candidate box, for NvDsInferParseCustomTfSSD, which every DeepStream has.

That function (nvdsinfer_custombboxparser.cpp; in the stock parser library since 5.0) takes, by name and as float32,
`detection_boxes` [A,4] (top, left, bottom, right in shares of the picture), `detection_scores` [A] and
`detection_classes` [A]. It clips edges and drops empty boxes and scores below pre-cluster-threshold; of overlapping
boxes of a class nvinfer's cluster-mode 2 then keeps the best. All sizes are fixed.

What stands in a row was read in Edge Impulse's SDK (classifier/postprocessing/ei_postprocessing_common.h, version
1.93), which has one routine a kind, and so was what becomes of the rows. As long as no other score is asked for
(`Options.yolo_score`), the graph gives the same:

- YOLOv5: the score is the objectness, the class the best; of overlapping boxes, of whatever class, the best stays.
  nvinfer cannot do that, so the graph does (`convert.heads.graph_end`).
- YOLOX: a box for each class whose product with the objectness is above the threshold; of overlapping boxes, of
  whatever class, the best stays. Of the boxes of one candidate, which are all alike, that is the one of its best class.
  The graph drops boxes, too.
- YOLO-Pro, YOLOv11, TAO's: a box for each class above the threshold; of overlapping boxes of a class the best stays.
  The graph gives each candidate once for each class (class by class, scores of TAO's YOLOs times the objectness), and
  nvinfer does the rest. That is done up to `MOST_ROWS`; beyond, every candidate has its best class only, and an object
  that two classes claim is reported once.

Its faults are not repeated, but where the graph drops boxes, as they decide what is dropped: the right edge of a YOLOv5
or YOLOX box whose left one is clipped is moved. It swaps width and height of YOLOX's grids: that is never repeated.
YOLOv2 (grids of fixed size and anchors, for Akida) and YOLOv7 (rows behind an NMS of its own, as many as there are
objects) cannot be converted.

Each family has the arithmetic twice: a function that adds it to the graph, and below it a reference in NumPy that was
written from the sources and shares nothing with the graph's.

End-to-end detectors, [1,A,6]: the network itself picks its A objects, and no NMS follows (YOLOv10, YOLO26).

A row is left, top, right, bottom, score, class: what `ultralytics` writes for models of that kind (its
`Detect.postprocess`), best score first. Boxes are in pixels or in shares of the picture, which the model shows. All
that is left for NvDsInferParseCustomTfSSD is the order of the corners.

The shape alone could be a YOLOv5's or a YOLOX's with one class. Those give every candidate; this one names the class,
so its graph holds a TopK or an ArgMax.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from convert.errors import InputError, UnsupportedModelError
from convert.findings import Finding, Rule
from convert.heads.base import Fit, Fitted, HeadSpec, LastLayer, Options, Rules, detector_labels
from convert.types import Export, Head

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto

    from convert.heads.decoding import Decoded, Detections, ReferenceDecoder
    from convert.heads.graph_end import GraphEnd

    Float = NDArray[np.float32]

CLASSES_APART = Rule("EI353")
COORDINATES = Rule("EI351")

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes")
RAW = "raw_candidates"
"""What the network's own output is called inside the graph."""

OVERLAP = 0.2
"""Intersection over union, where the export records none: what the SDK's models are exported with (ei_run_nms)."""

MOST_ROWS = 1 << 16
"""Candidates times classes, up to which the graph gives every candidate once for each class: 1.5 MiB a picture, which
the parser reads row by row (0.04 ms, measured with a loop like its own). It is rarely needed: of 4104 rows of
two YOLOv5 with two and three classes whose best product is above 0.3 none has a second one there, above 0.1 290 of 9630
have."""

_UNITS = {"relative": "shares of the picture", "pixels": "pixels", "cells": "cells of a grid"}
_STRIDES = (8, 16, 32)  # pixels a cell of YOLOX's three grids


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
class BoxTensors:
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

    @property
    def factors(self) -> tuple[str, ...]:
        """What scores are products of."""
        return (self.objectness, self.classes) if self.objectness else (self.classes,)


@dataclass(frozen=True)
class Boxes(HeadSpec):
    """A head whose graph ends in `OUTPUTS`."""

    def read(self, decoder: ReferenceDecoder, raw: Sequence[Float]) -> Detections:
        """What the raw outputs [n, ...] mean, by the reference, which shares nothing with the graph."""
        raise NotImplementedError

    def comparable(
        self, decoder: ReferenceDecoder, raw: Sequence[NDArray[Any]]
    ) -> tuple[list[NDArray[Any]], list[bool]]:
        return self.read(decoder, raw).comparable()

    def decoded(
        self, decoder: ReferenceDecoder, raw: Sequence[NDArray[Any]], shipped: Sequence[NDArray[Any]]
    ) -> Decoded:
        return decoder.decoded(self.read(decoder, raw), shipped)

    def prediction(
        self, decoder: ReferenceDecoder | None, raw: Sequence[NDArray[Any]]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        assert decoder is not None
        return self.read(decoder, raw).prediction()

    def decode_shipped(self, outputs: Mapping[str, NDArray[Any]], rules: Rules) -> dict[str, Any]:
        from convert.heads import decoding  # brings numpy

        return decoding.shipped(outputs, rules, OVERLAP if rules.overlap is None else rules.overlap)


@dataclass(frozen=True)
class RowsHead(Boxes):
    """A detector whose one output is [1,A,K], one row a candidate.

    Attributes:
        build: adds the decoding of the rows to the graph; None of a head that is refused.
        reference: what rows [n,A,K] mean, in NumPy; None of a head that is refused.
        columns: what a row holds, for messages.
        others: the number of columns that are no class.
        unit: what the SDK takes coordinates for.
        in_pixels: adds rows as YOLOv5's, in pixels, where its own do not say where a box is.
        rounds: the SDK rounds width and height, where others are cut.
        cuts_first: the SDK cuts boxes off at the picture's border before it compares them, not only in the end.
        is_measured: the unit is read off the model (`convert.heads.graph_end.neutral`).
        is_turned: the output is [1,K,A].
        has_objectness: whether scores can be made in two ways; it is the column before the classes.
        has_anchors: rows hold their anchors, so that any number of them is possible.
        in_cell: candidates in each cell of the three grids.
        least: the smallest number of columns.
        is_usual: the number of rows and columns is this head's, not only another's, too.
        with_nms: shapes of an output that follows a built-in NMS.
    """

    raw: tuple[str, ...] = (RAW,)
    build: Callable[[GraphEnd, Rows], BoxTensors] | None = None
    reference: Callable[[ReferenceDecoder, Float], Detections] | None = None
    columns: str = ""
    others: int = 0
    unit: str = "relative"
    in_pixels: Callable[[GraphEnd, Rows], Rows] | None = None
    rounds: bool = False
    cuts_first: bool = False
    is_measured: bool = False
    is_turned: bool = False
    has_objectness: bool = False
    has_anchors: bool = False
    in_cell: int = 1
    least: int = 5
    is_usual: bool = False
    with_nms: tuple[tuple[int, ...], ...] = ()

    def fit(self, layer: LastLayer) -> Fit:
        if layer.output in self.with_nms:
            return Fit.ALSO
        if layer.rows is None:
            return Fit.NO
        rows, columns, cells = layer.rows
        is_turned = columns == cells and rows > 4
        if self.has_anchors:
            return Fit.ALSO if columns >= self.least and not is_turned else Fit.NO
        if self.is_turned and is_turned:
            return Fit.LIKELY
        if rows != self.in_cell * cells or columns < self.least:
            return Fit.POSSIBLE
        return Fit.LIKELY if self.is_usual else Fit.ALSO

    def classes(self, output: Sequence[int | None]) -> int | None:
        size = output[1 if self.is_turned else 2] if len(output) == 3 else None
        return None if size is None or self.refused else size - self.others

    def adapt(self, model: ModelProto, export: Export, options: Options) -> Fitted:
        """Decode the rows.

        Raises:
            UnsupportedModelError: the output is not one row a candidate, or not what the head's rows hold.
            InputError: the labels are not those of its classes.
        """
        from convert.heads import graph_end as ends  # brings onnx

        assert self.build is not None  # a head that is refused gets no model
        end = ends.GraphEnd(model)
        line = "column" if self.is_turned else "row"
        wanted = f"this kind of detector gives one {line} ({self.columns}) for each candidate box"
        raw, shape, (width, height) = end.rows(wanted, lambda sizes: sizes[1 if self.is_turned else 2] >= self.others)
        count, columns = shape[:0:-1] if self.is_turned else shape[1:]
        if columns == self.others:
            raise UnsupportedModelError("the model detects no class", hint="train it with at least one label")
        labels, findings = detector_labels(export, columns - self.others)
        unit = self.unit
        if self.is_measured:
            answer = ends.neutral(model)[0]
            unit = ends.unit_of((answer.T if self.is_turned else answer)[:, :2], width, height)
        if unit != self.unit:
            message = f"the model gives its boxes in {_UNITS[unit]}, not in {_UNITS[self.unit]} as {self.id} models do"
            findings += (COORDINATES.found(message),)
        name = end("Transpose", raw, perm=[0, 2, 1]) if self.is_turned else raw
        rows = Rows(name, count, columns, width, height, unit)
        score, drops, said = self._as_asked(options, ends.no_suppression(end), len(labels))
        size, overlap = (width, height), None
        if drops:
            overlap = OVERLAP if export.metadata.nms_iou is None else export.metadata.nms_iou
            if self.in_pixels is not None:
                rows = self.in_pixels(end, rows)
            rows = ends.best_rows(end, rows, self._score(end, rows))
            found = ends.as_reported(end, self.build(end, rows), rows, rounds=self.rounds)
            boxes, _, classes = ends.detections(end, found, size, options.framing)
            scores = ends.kept_scores(end, found, self._score(end, rows), rows.count, overlap)
        else:
            found = self.build(end, rows)
            each = options.yolo_score is None and not self.drops_all and count < count * len(labels) <= MOST_ROWS
            boxes, scores, classes = (
                ends.detections_by_class(end, found, size, options.framing, count, len(labels))
                if each
                else ends.detections(end, found, size, options.framing, use_objectness=score == "objectness")
            )
        head = Head(self.id, labels, score=score, coordinates=unit, overlap=overlap)
        return Fitted(end.finish(boxes, scores, classes, raw), head, OUTPUTS, findings + said, self.raw)

    def _as_asked(self, options: Options, too_old: str, classes: int) -> tuple[str | None, bool, tuple[Finding, ...]]:
        """What the score is, whether the graph drops overlapping boxes, and what has to be said of it.

        Args:
            too_old: why the model's opset does not allow that; empty: it does.
        """
        if options.yolo_score is not None or not self.drops_all:
            score = (options.yolo_score or "product") if self.has_objectness else None
            return score, self.by_objectness and score == "objectness", ()
        refused = options.no_suppression or too_old
        if not refused:
            return "objectness" if self.by_objectness else "product", True, ()
        if not self.by_objectness and classes == 1:
            return "product", False, ()  # there are no other classes
        other = ["the score is objectness times class"] if self.by_objectness else []
        other += ["overlapping boxes of different classes all stay"] if classes > 1 else []
        return "product", False, (CLASSES_APART.found(f"{' and '.join(other)}: {refused}"),)

    def _score(self, end: GraphEnd, rows: Rows) -> str:
        """What the SDK scores `rows` with, [1,A,1]."""
        objectness = end.part(rows.name, 2, self.others - 1, self.others)
        if self.by_objectness:
            return objectness
        return end("Mul", objectness, end.largest(end.part(rows.name, 2, self.others, rows.columns), 2, keep=True))

    def read(self, decoder: ReferenceDecoder, raw: Sequence[Float]) -> Detections:
        assert self.reference is not None  # a head that is refused gets no model
        return self.reference(decoder, raw[0].transpose(0, 2, 1) if self.is_turned else raw[0])

    def decode_original(self, outputs: Sequence[NDArray[Any]], rules: Rules) -> dict[str, Any]:
        """By the SDK's routine; but the grids of a YOLOX that is not square are not taken for one another."""
        from convert.heads import decoding  # brings numpy

        if self.by_objectness:
            (rows,) = outputs
            return decoding.answer(decoding.yolov5(rows[0], rules))
        height, width = rules.size
        head = Head(self.id, tuple(rules.labels), "product", coordinates=rules.coordinates or self.unit)
        found = self.read(decoding.ReferenceDecoder(head, width, height), outputs)
        if self.drops_all:
            return decoding.answer(decoding.of_all_classes(found, rules))
        return decoding.answer(decoding.of_each_class(found, rules, cuts_first=self.cuts_first))

    def decode_shipped(self, outputs: Mapping[str, NDArray[Any]], rules: Rules) -> dict[str, Any]:
        """From the raw rows where the graph holds them in a unit that is known, else from the candidates."""
        rows = outputs.get(RAW)
        fits = rows is not None and self.classes(rows.shape) == len(rules.labels)
        if not self.is_comparable or not fits or rules.coordinates not in {None, *_UNITS}:
            return super().decode_shipped(outputs, rules)
        assert rows is not None
        if rules.coordinates == "pixels" and self.by_objectness:
            height, width = rules.size
            rows = rows.copy()
            rows[..., 0:4:2] /= width
            rows[..., 1:4:2] /= height
        return self.decode_original([rows], rules)


# Rows of x and y of the centre, width, height (YOLOv5, YOLOX, YOLOv11); with an objectness before the classes or not


def _build_centres(end: GraphEnd, rows: Rows, first: int) -> BoxTensors:
    """`first` is the column of the first class."""
    if rows.unit == "cells":
        message = "the rows of this model do not say where in the picture their boxes are: the decoding was left out"
        raise UnsupportedModelError(message, hint="export it with its decoding (Edge Impulse's own exports have it)")
    corners = end.centred(end.part(rows.name, 2, 0, 2), end.part(rows.name, 2, 2, 4))
    low, high = (end.swapped(corner) for corner in corners)
    size = end.swapped(end.part(rows.name, 2, 2, 4))
    objectness = end.part(rows.name, 2, 4, 5) if first == 5 else ""
    classes = end.part(rows.name, 2, first, rows.columns)
    return BoxTensors(low, high, classes, objectness, in_pixels=rows.unit == "pixels", size=size)


def _read_centres(decoder: ReferenceDecoder, rows: Float, first: int, *, rounds: bool = False) -> Detections:
    corners = decoder.around(rows[..., :2], rows[..., 2:4])
    low, high = decoder.in_shares(corners)
    if first == 4:
        return decoder.detections(low, high, rows[..., 4:])
    found = decoder.detections(low, high, rows[..., 5:], rows[..., 4:5])
    return replace(found, compared=decoder.compared(corners[0], rows[..., 2:4], rounds=rounds))


def _build_yolox(end: GraphEnd, rows: Rows) -> BoxTensors:
    if rows.unit != "cells":
        return _build_centres(end, rows, 5)
    low, high = (end.swapped(corner) for corner in end.centred(*_decode_yolox(end, rows)))
    objectness, classes = end.part(rows.name, 2, 4, 5), end.part(rows.name, 2, 5, rows.columns)
    return BoxTensors(low, high, classes, objectness, in_pixels=True)


def _yolox_in_pixels(end: GraphEnd, rows: Rows) -> Rows:
    if rows.unit != "cells":
        return rows
    others = end.part(rows.name, 2, 4, rows.columns)
    return replace(rows, name=end("Concat", *_decode_yolox(end, rows), others, axis=2), unit="pixels")


def _decode_yolox(end: GraphEnd, rows: Rows) -> tuple[str, str]:
    """Centre and size (x, y) in pixels. Rows have centres in cells from the cell's corner and sizes as logarithms of
    cells; there are three grids, row by row.
    """
    import numpy as np  # recognising a head does without

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
    step = end.floats(np.concatenate(strides)[np.newaxis])
    centre = end("Mul", end("Add", end.part(rows.name, 2, 0, 2), end.floats(place[np.newaxis])), step)
    return centre, end("Mul", end("Exp", end.part(rows.name, 2, 2, 4)), step)


def _read_yolox(decoder: ReferenceDecoder, rows: Float) -> Detections:
    """As YOLOv5, but for centres and sizes that still lack cell and stride; three grids, the finest first."""
    if decoder.head.coordinates != "cells":
        return _read_centres(decoder, rows, 5, rounds=True)
    import numpy as np

    cells = [
        (x, y, stride)
        for stride in (8, 16, 32)
        for y in range(decoder.height // stride)
        for x in range(decoder.width // stride)
    ]
    table = np.array(cells, np.float32)
    centre = (rows[..., :2] + table[:, :2]) * table[:, 2:]
    size = np.exp(rows[..., 2:4]) * table[:, 2:]
    low, high = decoder.around(centre, size)
    found = decoder.detections(low / decoder.size, high / decoder.size, rows[..., 5:], rows[..., 4:5])
    return replace(found, compared=decoder.compared(low, size, rounds=True))


# Rows of left, top, right, bottom, classes (YOLO-Pro)


def _build_corners(end: GraphEnd, rows: Rows) -> BoxTensors:
    low, high = (end.swapped(end.part(rows.name, 2, start, start + 2)) for start in (0, 2))
    return BoxTensors(low, high, end.part(rows.name, 2, 4, rows.columns))


# TAO's RetinaNet and SSD: background, classes, then, counted from the end, offsets, the anchor's corners, variances


def _build_anchored(end: GraphEnd, rows: Rows) -> BoxTensors:
    """The last twelve columns are (x, y) pairs: offset, log size, two corners of the anchor, variances of both."""
    offset, log_size, begin, stop, of_offset, of_size = (
        end.part(rows.name, 2, rows.columns - back, rows.columns - back + 2) for back in range(12, 0, -2)
    )
    anchor = end("Sub", stop, begin)
    middle = end("Mul", end("Add", stop, begin), end.floats(0.5))
    centre = end("Add", end("Mul", end("Mul", offset, of_offset), anchor), middle)
    size = end("Mul", end("Exp", end("Mul", log_size, of_size)), anchor)
    low, high = (end.swapped(corner) for corner in end.centred(centre, size))
    return BoxTensors(low, high, end.part(rows.name, 2, 1, rows.columns - 12))


def _read_anchored(decoder: ReferenceDecoder, rows: Float) -> Detections:
    """The last twelve columns are cx cy w h, the anchor's corners, four variances."""
    import numpy as np

    prediction, begin, stop, variance = (
        rows[..., at : (at + size) or None] for at, size in ((-12, 4), (-8, 2), (-6, 2), (-4, 4))
    )
    anchor, middle = stop - begin, (stop + begin) * np.float32(0.5)
    centre = prediction[..., :2] * variance[..., :2] * anchor + middle
    size = np.exp(prediction[..., 2:] * variance[..., 2:]) * anchor
    return decoder.detections(*decoder.around(centre, size), rows[..., 1:-12])


# TAO's YOLOv3 and YOLOv4: five (y, x) pairs, then objectness and classes before their sigmoid


def _build_tao_yolo(end: GraphEnd, rows: Rows, largest_log: float | None = None) -> BoxTensors:
    """The pairs are the cell's place, the anchor's size, the cell's size, offset, log size (`largest_log` at most)."""
    place, anchor, step, offset, log_size = (end.part(rows.name, 2, start, start + 2) for start in range(0, 10, 2))
    if largest_log is not None:
        # Clip changed its form in opset 11; Min did not
        log_size = end("Min", log_size, end.floats(largest_log))
    centre = end("Add", place, end("Mul", end("Sigmoid", offset), step))
    low, high = end.centred(centre, end("Mul", anchor, end("Exp", log_size)))
    objectness, classes = end.part(rows.name, 2, 10, 11), end.part(rows.name, 2, 11, rows.columns)
    return BoxTensors(low, high, classes, objectness, are_logits=True)


def _read_tao_yolo(decoder: ReferenceDecoder, rows: Float, *, is_clamped: bool = False) -> Detections:
    """cy cx ph pw step_y step_x, then predictions y x h w; YOLOv4 limits the size to e^8 anchors."""
    import numpy as np

    flipped = rows[..., :10].reshape(*rows.shape[:2], 5, 2)[..., ::-1]  # every pair as (x, y)
    place, anchor, step, offset, log_size = (flipped[..., number, :] for number in range(5))
    if is_clamped:
        log_size = np.minimum(log_size, np.float32(8))
    centre = place + decoder.sigmoid(offset) * step
    low, high = decoder.around(centre, np.exp(log_size) * anchor)
    found = decoder.detections(low, high, decoder.sigmoid(rows[..., 11:]), decoder.sigmoid(rows[..., 10:11]))
    # Far out the sigmoid is 1 for several classes; which is best shows before it.
    return replace(found, labels=rows[..., 11:].argmax(axis=2).astype(np.float32))


_XYWH = "x and y of the centre, width, height"
_WITH_OBJECTNESS: dict[str, Any] = {
    "columns": f"{_XYWH}, objectness, classes", "others": 5, "is_measured": True, "has_objectness": True,
    "is_usual": True,
}  # fmt: skip
_YOLOV5: dict[str, Any] = {
    "build": partial(_build_centres, first=5), "reference": partial(_read_centres, first=5), "by_objectness": True,
    "drops_all": True, "in_cell": 3, "least": 6, **_WITH_OBJECTNESS,
}  # fmt: skip
_YOLOV11: dict[str, Any] = {
    "build": partial(_build_centres, first=4), "reference": partial(_read_centres, first=4),
    "columns": f"{_XYWH}, classes", "others": 4, "is_measured": True, "is_turned": True,
    "cuts_first": True, "is_comparable": True,
}  # fmt: skip
_ANCHORED: dict[str, Any] = {
    "build": _build_anchored, "reference": _read_anchored, "has_anchors": True, "least": 12,
    "columns": "background, classes, offsets, anchors, variances", "others": 13, "is_comparable": True,
}  # fmt: skip
_TAO_YOLO: dict[str, Any] = {
    "has_anchors": True, "least": 12, "columns": "cell, anchor, step, offsets, objectness, classes", "others": 11,
    "has_objectness": True, "is_comparable": True,
}  # fmt: skip

HEADS: tuple[HeadSpec, ...] = (
    RowsHead("yolov5", "YOLOv5 object detector", (3, "YOLOV5"), "yolov5", is_comparable=True, **_YOLOV5),
    RowsHead(
        "yolov5-drpai", "YOLOv5 object detector for DRP-AI", (5, "YOLOV5_V5_DRPAI"), "yolov5_drpai", unit="pixels",
        **_YOLOV5,
    ),
    RowsHead(
        "yolox", "YOLOX object detector", (4, "YOLOX"), "yolox", build=_build_yolox, reference=_read_yolox,
        unit="cells", drops_all=True, in_pixels=_yolox_in_pixels, rounds=True, is_comparable=True,
        **_WITH_OBJECTNESS,
    ),
    RowsHead(
        "yolo-pro", "YOLO-Pro object detector", (12, "YOLO_PRO"), "yolo_pro", build=_build_corners,
        reference=lambda decoder, rows: decoder.detections(rows[..., :2], rows[..., 2:4], rows[..., 4:]),
        columns="left, top, right, bottom, classes", others=4, cuts_first=True,
        is_comparable=True,
    ),
    HeadSpec(
        "yolov2", "YOLOv2 object detector", (11, "YOLOV2"), "yolov2", gives_grid=True,
        refused="it is made for Akida processors, with anchors and a grid of its own; train a YOLOv5 or FOMO instead",
    ),
    RowsHead(
        "yolov7", "YOLOv7 object detector", (6, "YOLOV7"), "yolov7", in_cell=3, least=6,
        with_nms=((1, 7), (1, 1, 1, 7)),
        refused="its graph ends in an NMS, and gives as many rows as there are objects; nvinfer needs outputs of a "
        "fixed size: export it without its NMS, or train another detector",
    ),
    RowsHead("yolov11", "YOLOv11 object detector", (13, "YOLOV11"), "yolov11", **_YOLOV11),
    RowsHead(
        "yolov11-abs", "YOLOv11 object detector with absolute boxes", (14, "YOLOV11_ABS"), "yolov11_abs",
        unit="pixels", **_YOLOV11,
    ),
    RowsHead("tao-retinanet", "TAO RetinaNet object detector", (7, "TAO_RETINANET"), "tao_retinanet", **_ANCHORED),
    RowsHead("tao-ssd", "TAO SSD object detector", (8, "TAO_SSD"), "tao_ssd", **_ANCHORED),
    RowsHead(
        "tao-yolov3", "TAO YOLOv3 object detector", (9, "TAO_YOLOV3"), "tao_yolov3", build=_build_tao_yolo,
        reference=_read_tao_yolo, **_TAO_YOLO,
    ),
    RowsHead(
        "tao-yolov4", "TAO YOLOv4 object detector", (10, "TAO_YOLOV4"), "tao_yolov4",
        build=partial(_build_tao_yolo, largest_log=8.0), reference=partial(_read_tao_yolo, is_clamped=True),
        **_TAO_YOLO,
    ),
)  # fmt: skip
"""The detectors of the families of YOLO and NVIDIA TAO."""


_COLUMNS = 6
_CHOOSING = frozenset({"TOPK_V2", "ARG_MAX", "TopK", "ArgMax"})
_PASSED_ON = {
    "Cast", "Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Reshape", "Slice",
    "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip


class _EndToEnd(Boxes):
    def fit(self, layer: LastLayer) -> Fit:
        match layer.output:
            case (_, int(), 6):
                return Fit.LIKELY if layer.operators & _CHOOSING else Fit.POSSIBLE
        return Fit.NO

    def adapt(self, model: ModelProto, export: Export, options: Options) -> Fitted:
        """Take the rows apart.

        Raises:
            UnsupportedModelError: the output is not [1,A,6], or its boxes are in no unit that is known.
            InputError: the labels are not those of the classes, or there are none and the graph does not tell how many.
        """
        from convert.heads import graph_end as ends  # brings onnx

        end = ends.GraphEnd(model)
        wanted = "an end-to-end detector gives one row (left, top, right, bottom, score, class) for each object"
        raw, _, (width, height) = end.rows(wanted, lambda sizes: sizes[2] == _COLUMNS)
        classes = _class_count(end, raw) or len(export.metadata.labels or ())
        if not classes:
            message = "how many classes the model detects cannot be told from its outputs, and no labels were found"
            raise InputError(message, hint="give them in the order of training with --labels")
        labels, findings = detector_labels(export, classes)
        unit = _unit(ends.neutral(model)[0], width, height)
        low, high = (end.swapped(end.part(raw, 2, start, start + 2)) for start in (0, 2))
        score, label = (end.part(raw, 2, column, column + 1) for column in (4, 5))
        found = BoxTensors(low, high, score, in_pixels=unit == "pixels")
        boxes = ends.placed_boxes(end, found, (width, height), options.framing)
        outputs = boxes, end.largest(score, 2), end.largest(label, 2)  # of one entry: that entry, with one axis less
        head = Head(self.id, labels, coordinates=unit)
        return Fitted(end.finish(*outputs, raw), head, OUTPUTS, findings, self.raw)

    def read(self, decoder: ReferenceDecoder, raw: Sequence[NDArray[np.float32]]) -> Detections:
        """Left, top, right, bottom, score, class."""
        import numpy as np  # recognising a head does without

        from convert.heads.decoding import Detections

        (rows,) = raw
        boxes, scores, labels = rows[..., [1, 0, 3, 2]], rows[..., 4], rows[..., 5]
        if decoder.head.coordinates == "pixels":
            boxes = np.divide(boxes, np.tile(decoder.size[::-1], 2), dtype=np.float32)
        of_classes = np.where(labels[..., None] == np.arange(len(decoder.head.labels)), scores[..., None], 0)
        return Detections(boxes, scores, labels, of_classes.astype(np.float32), None)

    def comparable(
        self, decoder: ReferenceDecoder, raw: Sequence[NDArray[Any]]
    ) -> tuple[list[NDArray[Any]], list[bool]]:
        """Each number of the rows in order of size: which of two equally good objects comes first has no meaning.

        Boxes count by their score, so that the weakest, which another may replace, hardly do.
        """
        import numpy as np

        found = self.read(decoder, raw)
        boxes = found.boxes.clip(0, 1) * found.scores[..., None]
        return [np.sort(boxes, axis=1), np.sort(found.of_classes, axis=1)], [False, True]

    def decode_shipped(self, outputs: Mapping[str, NDArray[Any]], rules: Rules) -> dict[str, Any]:
        from convert.heads import decoding  # brings numpy

        return decoding.shipped(outputs, rules, None)


END_TO_END = _EndToEnd("end-to-end", "end-to-end object detector (YOLOv10, YOLO26)", raw=(RAW,))


def _class_count(end: GraphEnd, name: str) -> int | None:
    """How many classes the last column is chosen from; None where the graph does not show it."""
    from convert.graph.graph import attribute  # brings onnx

    shapes = end.shapes()
    node = end.producers.get(name)
    while node is not None:
        if node.op_type == "ArgMax":
            return int(shapes[node.input[0]][attribute(node, "axis", 0)])
        if node.op_type == "Mod":  # of a place among all scores, row by row
            divisor = end.constant(node.input[1])
            return int(divisor.flat[0]) if divisor is not None and divisor.size == 1 else None
        if node.op_type not in _PASSED_ON:
            return None
        node = end.producers.get(node.input[-1 if node.op_type == "Concat" else 0])
    return None


def _unit(rows: NDArray[np.float32], width: int, height: int) -> str:
    """What the boxes of a neutral answer [A,6] are measured in: "relative" or "pixels".

    All candidates being alike, the first are picked: they lie anywhere between top and bottom, but from left to right.

    Raises:
        UnsupportedModelError: their middle is nowhere near that of the picture.
    """
    import numpy as np

    middle = float(np.median(rows[:, 0] + rows[:, 2])) / 2
    for unit, size in (("relative", 1), ("pixels", width)):
        if abs(middle / size - 0.5) < 0.3:
            return unit
    raise UnsupportedModelError(
        f"the boxes are measured in something else than pixels of {width}x{height} or shares of it: the middle of all "
        f"candidates is at x = {middle:.3g}",
        hint="give the real --task, or report the model",
    )
