"""The stock parsers of TAO models whose NMS runs in the engine: outputs by position, a count first or last.

The rules, quirks included, are those of nvdsinfer_custombboxparser.cpp: the threshold is that of class 0 for every
class, counts are read as int32 and boxes as float32 whatever the outputs' types, and some asserts are compiled in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convert.errors import InputError
from convert.simulate.decode_boxes import Boxes
from convert.simulate.decode_tensors import ParserFailed, clip, float_to_int32, float_to_uint32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.images.placement import Network
    from convert.simulate.decode_boxes import Dropped
    from convert.simulate.decode_tensors import Layer

__all__ = ["batched_nms", "efficientdet", "nms", "yolov5_batched_nms"]

_KEEP_TOP_K = 200  # the loop ends once there are more


def nms(
    outputs: Sequence[Layer],
    frame: int,
    network: Network,
    thresholds: NDArray[np.float32],
    dropped: Dropped | None = None,
) -> Boxes:
    """NvDsInferParseCustomNMSTLT: float32 [K,7] (image, class, confidence, x1, y1, x2, y2 in 0..1), int32 count.

    Args:
        outputs: in engine order; exactly two.
        frame: of the batch.
        network: its input.
        thresholds: pre-cluster-threshold of each class, float32.
        dropped: collects candidates that give no box.

    Raises:
        ParserFailed: not two outputs.
        InputError: the count is more than the output holds, or an assert ends the process.
    """
    _expect(outputs, 2)
    count = max(int(outputs[1].ints(frame, 1)[0]), 0)
    rows = outputs[0].floats(frame, 7 * count)[: 7 * count].reshape(count, 7)
    _, label, confidence, x1, y1, x2, y2 = rows.T
    width, height = np.float32(network.width), np.float32(network.height)
    candidates = Boxes(
        float_to_int32(label).astype(np.uint32),
        clip(x1 * width, network.width - 1),
        clip(y1 * height, network.height - 1),
        clip((x2 - x1) * width, network.width - 1),
        clip((y2 - y1) * height, network.height - 1),
        confidence,
    )
    kept = _above(candidates, thresholds, dropped)
    _assert_classes(float_to_uint32(label[kept]), len(thresholds))
    return candidates[kept]


def batched_nms(
    outputs: Sequence[Layer],
    frame: int,
    network: Network,
    thresholds: NDArray[np.float32],
    dropped: Dropped | None = None,
) -> Boxes:
    """NvDsInferParseCustomBatchedNMSTLT: int32 count, boxes x1, y1, x2, y2 in 0..1, scores, float32 classes.

    At most 201 boxes come out. Arguments and errors as for `nms`, with four outputs and no assert.
    """
    return _batched(outputs, frame, network, thresholds, dropped, np.float32(network.width), np.float32(network.height))


def yolov5_batched_nms(
    outputs: Sequence[Layer],
    frame: int,
    network: Network,
    thresholds: NDArray[np.float32],
    dropped: Dropped | None = None,
) -> Boxes:
    """NvDsInferParseYoloV5CustomBatchedNMSTLT: as `batched_nms`, boxes in network pixels."""
    return _batched(outputs, frame, network, thresholds, dropped, np.float32(1), np.float32(1))


def efficientdet(
    outputs: Sequence[Layer],
    frame: int,
    network: Network,
    thresholds: NDArray[np.float32],
    dropped: Dropped | None = None,
) -> Boxes:
    """NvDsInferParseCustomEfficientDetTAO: int32 count, boxes y1, x1, y2, x2 in network pixels, scores, classes.

    Sizes are taken before the corner is cut. Arguments and errors as for `nms`, with four outputs; a second assert
    wants one number of at least 2 among the boxes.
    """
    _expect(outputs, 4)
    count = max(int(outputs[0].ints(frame, 1)[0]), 0)
    if not count:
        return Boxes.none()
    numbers = outputs[1].floats(frame, 4 * count)
    if not (numbers >= 2).any():
        raise InputError(
            "nvinfer's process ends here: NvDsInferParseCustomEfficientDetTAO asserts that boxes are in pixels",
            hint="this model's boxes are normalised to 0..1; another parser is needed",
        )
    y1, x1, y2, x2 = numbers[: 4 * count].reshape(count, 4).T
    confidence, label = (outputs[i].floats(frame, count)[:count] for i in (2, 3))
    candidates = Boxes(
        float_to_int32(label).astype(np.uint32),
        clip(x1, network.width - 1),
        clip(y1, network.height - 1),
        clip(x2 - x1, network.width - 1),
        clip(y2 - y1, network.height - 1),
        confidence,
    )
    kept = _above(candidates, thresholds, dropped)
    _assert_classes(float_to_uint32(label[kept]), len(thresholds))
    inside_out = kept & ((y2 < y1) | (x2 < x1))
    if dropped is not None:
        dropped.add("box", candidates[inside_out], 0, 0)
    return candidates[kept & ~inside_out]


def _batched(
    outputs: Sequence[Layer],
    frame: int,
    network: Network,
    thresholds: NDArray[np.float32],
    dropped: Dropped | None,
    width: np.float32,
    height: np.float32,
) -> Boxes:
    _expect(outputs, 4)
    count = max(int(outputs[0].ints(frame, 1)[0]), 0)
    # what is there is looked at first: the loop may end before it reaches numbers that are not
    there = min(count, len(outputs[1].floats(frame)) // 4, *(len(outputs[i].floats(frame)) for i in (2, 3)))
    edges = outputs[1].floats(frame)[: 4 * there].reshape(there, 4)
    confidence, label = (outputs[i].floats(frame)[:there] for i in (2, 3))
    x1, y1, x2, y2 = edges.T
    left, top = clip(x1 * width, network.width - 1), clip(y1 * height, network.height - 1)
    candidates = Boxes(
        float_to_int32(label).astype(np.uint32),
        left,
        top,
        clip(x2 * width, network.width - 1) - left,
        clip(y2 * height, network.height - 1) - top,
        confidence,
    )
    kept = _above(candidates, thresholds, dropped)
    configured = float_to_uint32(label) < len(thresholds)
    inside_out = (x2 < x1) | (y2 < y1) | (candidates.width < 0) | (candidates.height < 0)
    if dropped is not None:
        unknown = kept & ~configured
        dropped.add("num-detected-classes", candidates[unknown], candidates.class_id[unknown], len(thresholds))
        dropped.add("box", candidates[kept & configured & inside_out], 0, 0)
    taken = np.flatnonzero(kept & configured & ~inside_out)
    if len(taken) <= _KEEP_TOP_K and count > there:
        for layer, numbers in zip(outputs[1:], (4, 1, 1), strict=True):
            layer.floats(frame, numbers * count)  # says which one is too short
    if dropped is not None:
        late = taken[_KEEP_TOP_K + 1 :]
        dropped.add("keep_top_k", candidates[late], late + 1, _KEEP_TOP_K)
    return candidates[taken[: _KEEP_TOP_K + 1]]


def _expect(outputs: Sequence[Layer], count: int) -> None:
    if len(outputs) != count:
        raise ParserFailed(
            f"Mismatch in the number of output buffers. Expected {count} output buffers, "
            f"detected in the network: {len(outputs)}"
        )


def _above(boxes: Boxes, thresholds: NDArray[np.float32], dropped: Dropped | None) -> NDArray[np.bool_]:
    """Those not below the threshold of class 0; NaN is not below."""
    if not len(thresholds):
        raise InputError(
            "num-detected-classes is 0, and the parser reads the threshold of class 0",
            hint="set num-detected-classes to the number of classes of the model",
        )
    below: NDArray[np.bool_] = boxes.confidence < thresholds[0]
    if dropped is not None:
        dropped.add("pre-cluster-threshold", boxes[below], boxes.confidence[below], float(thresholds[0]))
    return ~below


def _assert_classes(class_id: NDArray[np.uint32], configured: int) -> None:
    if (class_id >= configured).any():
        raise InputError(
            "nvinfer's process ends here: the parser asserts that classes are below "
            f"num-detected-classes={configured}, and the model gives class {int(class_id.max())}",
            hint="set num-detected-classes to the number of classes of the model, background included",
        )
