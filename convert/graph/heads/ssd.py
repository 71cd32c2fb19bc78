"""MobileNet SSD: encoded boxes and anchors become what NvDsInferParseCustomTfSSD reads.

The arithmetic is that of TFLite_Detection_PostProcess (tensorflow/lite/kernels/detection_postprocess.cc), in its
order, on float32: with scales s and anchor a, centre = code / s * a.size + a.centre, size = exp(code / s) * a.size.
Background, where the scores have one, is column 0. What the operator does next is left to nvinfer: it keeps the best
boxes of each class (the operator, unless it has use_regular_nms, the best of all classes together).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.artifacts import Head, Task
from convert.errors import InputError, UnsupportedModelError
from convert.graph.heads.candidates import OUTPUTS, detections
from convert.graph.heads.fitted import Fitted
from convert.graph.heads.labels import detector_labels
from convert.graph.heads.layouts import Found, centred
from convert.graph.heads.tail import Tail
from convert.graph.postprocess import read_postprocess
from convert.graph.shapes import infer

if TYPE_CHECKING:
    from onnx import ModelProto

    from convert.artifacts import Export
    from convert.graph.heads.fitted import Options
    from convert.graph.postprocess import PostProcess

__all__ = ["ssd"]


def ssd(model: ModelProto, export: Export, options: Options) -> Fitted:
    """Decode the two outputs of an SSD that was cut off before its post-processing.

    Raises:
        UnsupportedModelError: the export does not end in that post-processing.
        InputError: its anchors or parameters do not fit the outputs, or the labels not the classes.
    """
    process = read_postprocess(export.model)
    tail = Tail(model)
    codes, scores = (value.name for value in model.graph.output)
    width, columns = _check(tail, codes, scores, process)
    labels, findings = detector_labels(export, process.classes)
    found = _decode(tail, codes, tail.part(scores, 2, columns - process.classes, columns), process, width)
    head = Head(Task.SSD, labels, coordinates="anchors", limits=process.limits)
    outputs = detections(tail, found, (1, 1), options.framing)
    return Fitted(tail.finish(*outputs, codes, scores), head, OUTPUTS, findings, ("raw_boxes", "raw_scores"))


def _check(tail: Tail, codes: str, scores: str, process: PostProcess) -> tuple[int, int]:
    """How many numbers a box and how many scores a candidate has."""
    shapes = infer(tail.wiring)
    boxes, classes = shapes[codes], shapes[scores]
    count = len(process.anchors)
    if len(boxes) != 3 or len(classes) != 3 or boxes[0] != 1 or boxes[2] < 4:
        raise UnsupportedModelError(
            f"an SSD gives boxes [1,A,4] and scores [1,A,K], this model {list(boxes)} and {list(classes)}",
            hint="give the real --task",
        )
    if not boxes[1] == classes[1] == count:
        raise InputError(
            f"the model has {count} anchors for {boxes[1]} boxes and {classes[1]} rows of scores",
            hint="export the model again",
        )
    if classes[2] - process.classes not in {0, 1}:
        raise InputError(
            f"the model says it has {process.classes} classes, its scores have {classes[2]} columns",
            hint="export the model again",
        )
    return boxes[2], classes[2]


def _decode(tail: Tail, codes: str, classes: str, process: PostProcess, columns: int) -> Found:
    if columns > 4:  # keypoints follow
        codes = tail.part(codes, 2, 0, 4)
    scaled = tail("Div", codes, tail.constant([[process.scales]]))
    anchor = process.anchors[None]
    size = tail.constant(anchor[..., 2:])
    centre = tail("Add", tail("Mul", tail.part(scaled, 2, 0, 2), size), tail.constant(anchor[..., :2]))
    low, high = centred(tail, centre, tail("Mul", tail("Exp", tail.part(scaled, 2, 2, 4)), size))
    return Found(low, high, classes)
