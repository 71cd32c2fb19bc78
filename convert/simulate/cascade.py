"""Whether a secondary engine looks at an object: gst_nvinfer_process_objects and should_infer_object (gstnvinfer.cpp).

Objects of single pictures are not tracked, so nothing is remembered from one picture to the next; with
classifier-async-mode=1 nvinfer does not look at untracked objects at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.errors import InputError

if TYPE_CHECKING:
    from convert.images.placement import Rect
    from convert.simulate.engine import Loaded

__all__ = ["WHOLE_FRAME", "passed_over"]

WHOLE_FRAME = -1
"""The class of the object that a primary classifier makes of the whole frame."""


def passed_over(secondary: Loaded, engine: int, class_id: int, box: Rect) -> str:
    """Why the engine does not look at an object, "" if it does.

    Args:
        secondary: the engine.
        engine: gie-unique-id of the one that found the object.
        class_id: of the object.
        box: pixels of the frame.

    Raises:
        InputError: nvinfer's process ends of it.
    """
    settings = secondary.engine.settings
    name = f"engine {settings.unique_id} did not look at it"
    if secondary.asynchronous:
        return f"{name}: classifier-async-mode=1, and without a tracker no object is looked at"
    if settings.operate_on_gie_id > -1 and engine != settings.operate_on_gie_id:
        return f"{name}: it was found by engine {engine}, operate-on-gie-id={settings.operate_on_gie_id}"
    for side, size, least in zip(("width", "height"), (box.width, box.height), secondary.smallest, strict=True):
        if size < least:
            return f"{name}: its {side} {size:.6g} is below input-object-min-{side}={least}"
    for side, size, most in zip(
        ("width", "height"), (box.width, box.height), settings.input_object_max, strict=True
    ):  # fmt: skip
        if most > 0 and size > most:
            return f"{name}: its {side} {size:.6g} is above input-object-max-{side}={most}"
    classes = settings.operate_on_class_ids
    if classes and class_id < 0:
        raise InputError(
            "nvinfer's process ends here (std::out_of_range): operate-on-class-ids is compared with class -1, which a "
            "primary classifier gives to the whole frame",
            hint="remove operate-on-class-ids behind a classifier",
            path=secondary.engine.config,
        )
    if classes and class_id not in classes:
        wanted = ";".join(map(str, sorted(classes)))
        return f"{name}: its class {class_id} is not in operate-on-class-ids={wanted}"
    return ""
