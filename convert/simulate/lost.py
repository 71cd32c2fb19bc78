"""Candidates that are not shown, in pixels of the picture, the best first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.images.placement import Rect
from convert.simulate.scene import Lost

if TYPE_CHECKING:
    from collections.abc import Iterable

    from convert.images.placement import View
    from convert.simulate.decode_boxes import Drop, Dropped
    from convert.simulate.decode_classifier import Classified
    from convert.simulate.settings import Settings

__all__ = ["MOST", "best", "of_classifier", "of_detector"]

MOST = 10
"""Candidates told of one picture: enough to see a threshold that is too high, few enough to read."""

_DOUBLES = frozenset({"nms-iou-threshold"})
_MOST_DOUBLES = 3


def of_detector(
    settings: Settings,
    view: View,
    decoding: Dropped | None,
    attaching: Dropped,
    *,
    parent: Rect | None = None,
    of: int | None = None,
) -> list[Lost]:
    """What a detector's picture lost.

    Args:
        settings: of the engine.
        view: how the picture was scaled.
        decoding: what parser and clustering left out, in network pixels.
        attaching: what was not attached, in pixels of the picture, the parent's corner not yet added.
        parent: the object that was looked at, and `of` its number.
    """
    # Doubles of what is shown (or lost for another reason) would leave no room for anything else.
    decoded = () if decoding is None else (
        *decoding.best(MOST, without=_DOUBLES), *decoding.best(_MOST_DOUBLES, only=_DOUBLES)
    )  # fmt: skip
    found = [_lost(settings, drop, _in_picture(drop, view, parent), of) for drop in decoded]
    corner = parent or Rect(0, 0, 0, 0)
    for drop in attaching.best(MOST):
        box = Rect(drop.left + corner.left, drop.top + corner.top, drop.width, drop.height)
        found.append(_lost(settings, drop, box, of))
    return found


def of_classifier(settings: Settings, classified: Classified, outputs: int, of: int | None = None) -> list[Lost]:
    """What a classifier's outputs gave that is not shown."""
    shown = {one.attribute for one in classified.attributes if one.label is not None}
    silent = [number for number in range(outputs) if number not in shown]
    return [
        Lost(
            settings.unique_id,
            drop.key,
            drop.why,
            drop.class_id,
            drop.confidence,
            settings.attribute_label(attribute, drop.class_id),
            None,
            of,
        )
        for attribute, drop in zip(silent, classified.dropped, strict=True)
    ]


def best(lost: Iterable[Lost]) -> tuple[Lost, ...]:
    """The MOST most confident ones, NaN last; those of confidence 0 only where there is nothing else, and one."""
    ordered = sorted(lost, key=lambda one: (one.confidence != one.confidence, -one.confidence))
    return tuple([one for one in ordered if one.confidence][:MOST] or ordered[:1])


def _lost(settings: Settings, drop: Drop, box: Rect | None, of: int | None) -> Lost:
    label = settings.label(drop.class_id)
    return Lost(settings.unique_id, drop.key, drop.why, drop.class_id, drop.confidence, label, box, of)


def _in_picture(drop: Drop, view: View, parent: Rect | None) -> Rect | None:
    """None for a candidate whose box was never computed."""
    if not (drop.width or drop.height):
        return None
    left, top = (parent.left, parent.top) if parent else (0.0, 0.0)
    return Rect(
        (drop.left - view.offset_left) / view.scale_x + left,
        (drop.top - view.offset_top) / view.scale_y + top,
        drop.width / view.scale_x,
        drop.height / view.scale_y,
    )
