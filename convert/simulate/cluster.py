"""From candidates to objects: the threshold before, clustering, the threshold behind, and topk, class by class.

The rules are those of `DetectPostprocessor` (nvdsinfer_context_impl_output_parsing.cpp). Overlaps are computed in
float32, operation by operation. DBSCAN is a closed library: where it would run (minBoxes above 0) nothing is made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convert.errors import InputError, UnsupportedModelError
from convert.simulate.cluster_order import by_confidence
from convert.simulate.decode_boxes import Boxes
from convert.simulate.settings import ClusterMode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.simulate.decode_boxes import Dropped
    from convert.simulate.settings import ClassSettings

__all__ = ["check", "cluster", "thresholds"]


def thresholds(classes: Sequence[ClassSettings]) -> NDArray[np.float32]:
    """pre-cluster-threshold of each class, as parsers want them."""
    return np.array([one.pre_cluster_threshold for one in classes], np.float32)


def check(mode: ClusterMode, classes: Sequence[ClassSettings]) -> None:
    """Refuse what cannot be computed.

    Raises:
        UnsupportedModelError: DBSCAN would run.
        InputError: nvinfer would die: no classes, and a mode that looks for the class with most objects.
    """
    if mode in {ClusterMode.DBSCAN, ClusterMode.DBSCAN_NMS} and any(one.min_boxes > 0 for one in classes):
        raise UnsupportedModelError(
            f"cluster-mode={int(mode)} with minBoxes above 0 runs DBSCAN, a closed library of NVIDIA's",
            hint="simulate with cluster-mode=2 (NMS) or 4 (none)",
        )
    if not classes and mode in {ClusterMode.NMS, ClusterMode.DBSCAN_NMS}:
        raise InputError(
            "num-detected-classes is 0: nvinfer dies on the first frame (SIGSEGV)",
            hint="set num-detected-classes to the number of classes of the model",
        )


def cluster(
    mode: ClusterMode, classes: Sequence[ClassSettings], candidates: Boxes, dropped: Dropped | None = None
) -> Boxes:
    """The objects of one frame, in nvinfer's order: class by class.

    Args:
        mode: in use (`Settings.cluster_mode`), let through by `check`.
        classes: one for each of num-detected-classes.
        candidates: what the parser found, in its order.
        dropped: collects what falls out.
    """
    candidates = _above_threshold(classes, candidates, dropped)
    found: list[Boxes] = []
    for class_id in np.unique(candidates.class_id).tolist():
        one = classes[class_id]
        boxes = candidates[candidates.class_id == class_id]
        if mode in {ClusterMode.NMS, ClusterMode.DBSCAN_NMS}:
            boxes = _suppressed(boxes, one.nms_iou_threshold, dropped)
            low = ~(boxes.confidence > np.float32(one.post_cluster_threshold))
        else:
            low = boxes.confidence < np.float32(one.post_cluster_threshold if mode is ClusterMode.DBSCAN else -np.inf)
        if low.any():
            if dropped is not None:
                dropped.add(
                    "post-cluster-threshold", boxes[low], boxes.confidence[low], float(one.post_cluster_threshold)
                )
            boxes = boxes[~low]
        found.append(_top(boxes, one.topk, dropped))
    return Boxes.joined(found)


def _above_threshold(classes: Sequence[ClassSettings], boxes: Boxes, dropped: Dropped | None) -> Boxes:
    """`preClusteringThreshold`: for parsers that use class 0's, or none."""
    known = boxes.class_id < len(classes)
    limit = np.zeros(len(boxes), np.float32)
    limit[known] = thresholds(classes)[boxes.class_id[known]]
    below = known & (boxes.confidence < limit)  # False for NaN: kept
    if dropped is not None:
        dropped.add("num-detected-classes", boxes[~known], boxes.class_id[~known], len(classes))
        dropped.add("pre-cluster-threshold", boxes[below], boxes.confidence[below], limit[below])
    kept = known & ~below
    return boxes if kept.all() else boxes[kept]


def _top(boxes: Boxes, topk: int, dropped: Dropped | None) -> Boxes:
    """The best `topk`, sorted; below 0 everything, as it stands."""
    if topk < 0:
        return boxes
    order = by_confidence(boxes.confidence)
    if dropped is not None:
        dropped.add("topk", boxes[order[topk:]], np.arange(topk, len(order)) + 1, topk)
    return boxes[order[:topk]]


def _suppressed(boxes: Boxes, limit: float, dropped: Dropped | None) -> Boxes:
    """`nonMaximumSuppression`: best first, each goes when it overlaps one that stayed by more than `limit`."""
    boxes = boxes[by_confidence(boxes.confidence)]
    waiting = np.arange(len(boxes))
    kept: list[int] = []
    while len(waiting):
        best, waiting = int(waiting[0]), waiting[1:]
        kept.append(best)
        overlap = _overlaps(boxes, best, waiting)
        stays = overlap <= np.float32(limit)  # False for NaN: goes
        if not stays.all():
            if dropped is not None:
                dropped.add("nms-iou-threshold", boxes[waiting[~stays]], overlap[~stays], limit)
            waiting = waiting[stays]
    return boxes[np.array(kept, np.intp)]


def _overlaps(boxes: Boxes, best: int, others: NDArray[np.intp]) -> NDArray[np.float32]:
    """Intersection over union of one box with some; 0 where the union is 0."""
    across = _shared(boxes.left, boxes.width, best, others)
    down = _shared(boxes.top, boxes.height, best, others)
    both = across * down
    union = boxes.width[others] * boxes.height[others] + boxes.width[best] * boxes.height[best] - both
    ratio = np.zeros(len(others), np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        np.divide(both, union, out=ratio, where=union != 0)
    return ratio


def _shared(
    starts: NDArray[np.float32], sizes: NDArray[np.float32], best: int, others: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Length that two intervals share; NVIDIA swaps them so that the first starts first."""
    start, other = starts[best], starts[others]
    end, other_end = start + sizes[best], other + sizes[others]
    swapped = other > start
    late = np.where(swapped, other, start)
    early_end, late_end = np.where(swapped, end, other_end), np.where(swapped, other_end, end)
    shorter = np.where(late_end < early_end, late_end, early_end)
    return np.where(early_end < late, np.float32(0), shorter - late)
