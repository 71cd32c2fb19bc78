"""NvDsInferParseCustomTfSSD: normalised boxes, scores and classes by the names of TensorFlow's detection API.

The rules are those of nvdsinfer_custombboxparser.cpp; unlike the other parsers this one looks at the outputs' types.
YOLO and SSD heads end in these three outputs too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convert.simulate.decode_boxes import Boxes
from convert.simulate.decode_tensors import ParserFailed, clip, float_to_int32, float_to_uint32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.images.placement import Network
    from convert.simulate.decode_boxes import Dropped
    from convert.simulate.decode_tensors import Layer

__all__ = ["tf_ssd"]


def tf_ssd(
    outputs: Sequence[Layer],
    frame: int,
    network: Network,
    thresholds: NDArray[np.float32],
    dropped: Dropped | None = None,
) -> Boxes:
    """float32 detection_boxes [M,4] (y1, x1, y2, x2 in 0..1), detection_scores [M], detection_classes [M].

    num_detections [1], where it is a float32 output, says how many count; negative numbers and those above M count as
    M. M is the first dimension of detection_classes. Edges are cut at 0 and at one pixel before the end.

    Args:
        outputs: in engine order.
        frame: of the batch.
        network: its input.
        thresholds: pre-cluster-threshold of each class, float32.
        dropped: collects candidates that give no box.

    Raises:
        ParserFailed: one of the three is missing or not float32.
        InputError: numbers would be read behind an output's end.
    """
    found = {layer.name: layer for layer in reversed(outputs) if layer.is_float}  # the first of a name
    try:
        scores, classes, boxes = (found[f"detection_{name}"] for name in ("scores", "classes", "boxes"))
    except KeyError:
        raise ParserFailed("some layers missing or unsupported data types in output tensors") from None
    most = classes.dims[0]
    count = most
    if "num_detections" in found:
        count = int(float_to_int32(found["num_detections"].floats(frame, 1)[:1])[0])
        if not 0 <= count <= most:  # it becomes unsigned, then is compared
            count = most
    confidence = scores.floats(frame, count)[:count]
    class_id = float_to_uint32(classes.floats(frame, count)[:count])
    unknown = class_id >= len(thresholds)
    limit = np.zeros(count, np.float32)
    limit[~unknown] = thresholds[class_id[~unknown]]
    below = ~unknown & (confidence < limit)  # False for NaN: kept
    if dropped is not None:
        _tell(unknown, below, limit, _boxes(boxes, frame, network, class_id, confidence), len(thresholds), dropped)
    kept = np.flatnonzero(~(unknown | below))
    boxes.floats(frame, 4 * (int(kept[-1]) + 1) if len(kept) else 0)  # nvinfer reads the boxes of no others
    candidates = _boxes(boxes, frame, network, class_id, confidence)[kept]
    empty = ~((candidates.width > 0) & (candidates.height > 0))
    if dropped is not None:
        dropped.add("box", candidates[empty], 0, 0)
    return candidates[~empty]


def _boxes(
    layer: Layer, frame: int, network: Network, class_id: NDArray[np.uint32], confidence: NDArray[np.float32]
) -> Boxes:
    """The candidates with their boxes; 0 where the output has none."""
    count = len(class_id)
    numbers = layer.floats(frame)[: 4 * count]
    edges = np.zeros(4 * count, np.float32)
    edges[: len(numbers)] = numbers
    y1, x1, y2, x2 = (edges.reshape(count, 4) * np.array([network.height, network.width] * 2, np.float32)).T
    x1, x2 = (clip(edge, network.width - 1) for edge in (x1, x2))
    y1, y2 = (clip(edge, network.height - 1) for edge in (y1, y2))
    return Boxes(class_id, x1, y1, x2 - x1, y2 - y1, confidence)


def _tell(
    unknown: NDArray[np.bool_],
    below: NDArray[np.bool_],
    limit: NDArray[np.float32],
    candidates: Boxes,
    configured: int,
    dropped: Dropped,
) -> None:
    dropped.add("num-detected-classes", candidates[unknown], candidates.class_id[unknown], configured)
    dropped.add("pre-cluster-threshold", candidates[below], candidates.confidence[below], limit[below])
