"""Detectors that give one row a candidate box, for NvDsInferParseCustomTfSSD, which every DeepStream has.

That function (nvdsinfer_custombboxparser.cpp; in the stock parser library since 5.0) takes, by name and as float32,
`detection_boxes` [A,4] (top, left, bottom, right in shares of the picture), `detection_scores` [A] and
`detection_classes` [A]. It clips edges and drops empty boxes and scores below pre-cluster-threshold; of overlapping
boxes of a class nvinfer's cluster-mode 2 then keeps the best. Every candidate keeps its best class only; all sizes are
fixed, and there is no NMS in the graph: except where scores are to be what Edge Impulse's SDK reports, and the SDK
drops boxes over all classes, which nvinfer cannot do (`convert.graph.heads.suppression`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convert.artifacts import Head
from convert.errors import UnsupportedModelError
from convert.graph.findings import COORDINATES
from convert.graph.heads.fitted import Fitted
from convert.graph.heads.labels import detector_labels
from convert.graph.heads.layouts import LAYOUTS, Rows
from convert.graph.heads.measured import neutral, unit_of
from convert.graph.heads.suppression import OVERLAP, as_reported, best_rows, kept_scores
from convert.graph.heads.tail import Tail
from convert.graph.shapes import infer

if TYPE_CHECKING:
    from onnx import ModelProto

    from convert.artifacts import Export
    from convert.framing import Framing
    from convert.graph.heads.fitted import Options
    from convert.graph.heads.layouts import Found, Layout

__all__ = ["OUTPUTS", "RAW", "candidates", "detections"]

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes")
RAW = "raw_candidates"
"""What the network's own output is called inside the graph."""

_UNITS = {"relative": "shares of the picture", "pixels": "pixels", "cells": "cells of a grid"}


def candidates(model: ModelProto, export: Export, options: Options) -> Fitted:
    """Decode the rows of a detector of the families of YOLO and NVIDIA TAO.

    Raises:
        UnsupportedModelError: the output is not one row a candidate, or not what the task's rows hold.
        InputError: the labels are not those of its classes.
    """
    task = export.facts.task
    layout = LAYOUTS[task]
    tail = Tail(model)
    _, _, height, width = infer(tail.wiring)[model.graph.input[0].name]
    raw, count, columns = _rows(tail, layout)
    labels, findings = detector_labels(export, columns - layout.others)
    unit = layout.unit
    if layout.is_measured:
        answer = neutral(model)[0]
        unit = unit_of((answer.T if layout.is_turned else answer)[:, :2], width, height)
    if unit != layout.unit:
        message = f"the model gives its boxes in {_UNITS[unit]}, not in {_UNITS[layout.unit]} as {task.value} models do"
        findings += (COORDINATES.found(message),)
    name = tail("Transpose", raw, perm=[0, 2, 1]) if layout.is_turned else raw
    rows = Rows(name, count, columns, width, height, unit)
    score = options.yolo_score if layout.has_objectness else None
    overlap = None
    if score == "objectness" and layout.by_objectness:
        overlap = OVERLAP if export.metadata.nms_iou is None else export.metadata.nms_iou
        rows = best_rows(tail, rows, layout.others - 1)
    found = layout.decode(tail, rows)
    if overlap is not None:
        found = as_reported(tail, found, rows)
    boxes, scores, classes = detections(
        tail, found, (width, height), options.framing, use_objectness=score == "objectness"
    )
    if overlap is not None:
        scores = kept_scores(tail, found, rows.count, overlap)
    head = Head(task, labels, score=score, coordinates=unit, overlap=overlap)
    return Fitted(tail.finish(boxes, scores, classes, raw), head, OUTPUTS, findings, (RAW,))


def detections(
    tail: Tail, found: Found, size: tuple[int, int], framing: Framing | None, *, use_objectness: bool = False
) -> tuple[str, str, str]:
    """The three outputs, [1,A,4], [1,A] and [1,A].

    Args:
        size: width and height of the model's picture, which `found` is measured in.
        framing: boxes are to be in shares of this network's picture instead, cut off where the model's ends.
    """
    boxes = tail("Concat", found.low, found.high, axis=2)
    if found.in_pixels:
        boxes = tail("Div", boxes, tail.constant(np.array([*size[::-1], *size[::-1]])))
    if framing is not None and framing.crops:
        # nvinfer cuts boxes off at the frame's border, Edge Impulse's SDK at that of the picture it cropped
        within = np.array([*framing.model[::-1], *framing.model[::-1]])
        start = np.array([framing.top, framing.left, framing.top, framing.left])
        whole = np.array([*framing.network[::-1], *framing.network[::-1]])
        boxes = tail("Mul", tail.clipped(boxes, 0, 1), tail.constant(within / whole))
        boxes = tail("Add", boxes, tail.constant(start / whole))
    # the largest of one entry is that entry, with one axis less
    factors = [name for name in (found.objectness, found.classes) if name]
    scores = [tail.largest(name, 2) for name in factors[: 1 if use_objectness else 2]]
    if found.are_logits:
        scores = [tail("Sigmoid", name) for name in scores]
    score = tail("Mul", *scores) if len(scores) == 2 else scores[0]
    return boxes, score, tail.where_largest(found.classes, 2)


def _rows(tail: Tail, layout: Layout) -> tuple[str, int, int]:
    """The one output [1,A,K] (or [1,K,A]): its name, A and K."""
    shapes = infer(tail.wiring)
    names = [value.name for value in tail.wiring.model.graph.output]
    said = " and ".join(str(list(shapes[name])) for name in names)
    way = "column" if layout.is_turned else "row"
    refused = UnsupportedModelError(
        f"this kind of detector gives one {way} ({layout.columns}) for each candidate box, this model {said}",
        hint="give the real --task, or another model",
    )
    shape = shapes[names[0]]
    if len(names) != 1 or len(shape) != 3 or shape[0] != 1:
        raise refused
    count, columns = shape[:0:-1] if layout.is_turned else shape[1:]
    if columns < layout.others:
        raise refused
    if columns == layout.others:
        raise UnsupportedModelError("the model detects no class", hint="train it with at least one label")
    return names[0], count, columns
