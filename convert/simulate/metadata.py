"""What of the objects reaches the frame's metadata, in pixels of the source frame.

`attach_metadata_detector` (gstnvinfer_meta_utils.cpp): boxes are scaled back in double and stored as float32; what is
left of or above the frame is moved in, not cut; sizes and regions are compared in pixels of the frame; a box that ends
below the frame is dropped, not cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convert.simulate.decode import Detection
from convert.simulate.decode_boxes import Boxes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.images.placement import Rect, View
    from convert.simulate.decode_boxes import Dropped
    from convert.simulate.settings import Settings

__all__ = ["LABEL_BYTES", "attach"]

LABEL_BYTES = 127
"""UTF-8 bytes of a label that NvDsObjectMeta.obj_label holds: MAX_LABEL_SIZE - 1 of nvdsmeta.h."""


def attach(
    settings: Settings,
    view: View,
    objects: Sequence[Detection],
    *,
    parent: Rect | None = None,
    dropped: Dropped | None = None,
) -> tuple[Detection, ...]:
    """The objects of one frame as NvDsObjectMeta has them; a label that is missing is "" there.

    Args:
        settings: sizes, regions and classes that are left out.
        view: how the frame, or the object, was scaled.
        objects: as decoded, in network pixels.
        parent: the object that was looked at (process-mode 2); its corner is added last.
        dropped: collects what falls out, in pixels of the frame.
    """
    if not objects:
        return ()
    kept = np.arange(len(objects))
    # overflow and NaN are values like any other in C
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        boxes = _scaled(view, objects)
        limits = _Limits(settings, boxes.class_id)
        for key, values, limit, out in _filters(settings, view, boxes, limits):
            gone = kept[out[kept]]
            if dropped is not None:
                dropped.add(key, boxes[gone], values[gone], limit[gone])
            kept = kept[~out[kept]]
        if settings.crop_to_roi:
            boxes = _cropped(view, boxes, limits)
        if parent is not None:
            left, top = boxes.left + np.float32(parent.left), boxes.top + np.float32(parent.top)
            boxes = Boxes(boxes.class_id, left, top, boxes.width, boxes.height, boxes.confidence)
    columns = (boxes.left, boxes.top, boxes.width, boxes.height, boxes.confidence)
    rows = zip(*(column[kept].tolist() for column in columns), strict=True)
    return tuple(
        Detection(objects[i].class_id, _stored(objects[i].label), *numbers)
        for i, numbers in zip(kept.tolist(), rows, strict=True)
    )


class _Limits:
    """The sizes and regions that hold for each object: unsigned numbers, compared as float32."""

    def __init__(self, settings: Settings, class_id: NDArray[np.uint32]) -> None:
        used, self._where = np.unique(class_id, return_inverse=True)
        self._classes = [settings.classes[one] for one in used.tolist()]

    def __getitem__(self, name: str) -> NDArray[np.uint32]:
        numbers = np.array([getattr(one, name) % 2**32 for one in self._classes], np.uint32)
        return numbers[self._where]


def _scaled(view: View, objects: Sequence[Detection]) -> Boxes:
    """Float32 minus unsigned is float32; divided by a double it is a double, stored as float32."""
    numbers = np.array([(o.left, o.top, o.width, o.height, o.confidence) for o in objects], np.float32)
    left, top, width, height, confidence = numbers.T
    left = ((left - np.float32(view.offset_left)).astype(np.float64) / view.scale_x).astype(np.float32)
    top = ((top - np.float32(view.offset_top)).astype(np.float64) / view.scale_y).astype(np.float32)
    return Boxes(
        np.array([o.class_id for o in objects], np.uint32),
        np.where(left < 0, np.float32(0), left),
        np.where(top < 0, np.float32(0), top),
        (width.astype(np.float64) / view.scale_x).astype(np.float32),
        (height.astype(np.float64) / view.scale_y).astype(np.float32),
        confidence,
    )


def _lowest(view: View, limits: _Limits) -> NDArray[np.float32]:
    """The frame's height less roi-bottom-offset, in unsigned arithmetic: an offset too large wraps around."""
    return (np.uint32(view.frame_height) - limits["roi_bottom_offset"]).astype(np.float32)


def _filters(
    settings: Settings, view: View, boxes: Boxes, limits: _Limits
) -> list[tuple[str, NDArray[np.generic], NDArray[np.generic], NDArray[np.bool_]]]:
    """The tests in nvinfer's order: key, the box's number, the key's, and who falls out."""
    filtered = np.isin(boxes.class_id, np.array(sorted(settings.filter_out_class_ids), np.int64))
    tests: list[tuple[str, NDArray[np.generic], NDArray[np.generic], NDArray[np.bool_]]] = [
        ("filter-out-class-ids", boxes.class_id, boxes.class_id, filtered)
    ]
    for key, name, size in (
        ("detected-min-w", "detected_min_w", boxes.width),
        ("detected-min-h", "detected_min_h", boxes.height),
    ):
        limit = limits[name].astype(np.float32)
        tests.append((key, size, limit, size < limit))
    for key, name, size in (
        ("detected-max-w", "detected_max_w", boxes.width),
        ("detected-max-h", "detected_max_h", boxes.height),
    ):
        limit = limits[name].astype(np.float32)
        tests.append((key, size, limit, (limit > 0) & (size > limit)))
    if not settings.crop_to_roi:
        highest, lowest, bottom = limits["roi_top_offset"].astype(np.float32), _lowest(view, limits), _bottom(boxes)
        tests.append(("roi-top-offset", boxes.top, highest, boxes.top < highest))
        tests.append(("roi-bottom-offset", bottom, lowest, bottom > lowest))
    return tests


def _bottom(boxes: Boxes) -> NDArray[np.float32]:
    return boxes.top + boxes.height


def _cropped(view: View, boxes: Boxes, limits: _Limits) -> Boxes:
    """crop-objects-to-roi-boundary: the top moves without shrinking the box, right and bottom are cut."""
    frame_width = np.float32(view.frame_width)
    highest, lowest = limits["roi_top_offset"].astype(np.float32), _lowest(view, limits)
    top = np.where(boxes.top < highest, highest, boxes.top)
    width = np.where(boxes.left + boxes.width >= frame_width, frame_width - boxes.left, boxes.width)
    height = np.where(top + boxes.height > lowest, lowest - top, boxes.height)
    return Boxes(boxes.class_id, boxes.left, top, width, height, boxes.confidence)


def _stored(label: str | None) -> str:
    if label is None:
        return ""
    encoded = label.encode("utf-8", "surrogateescape")
    return label if len(encoded) <= LABEL_BYTES else encoded[:LABEL_BYTES].decode("utf-8", "replace")
