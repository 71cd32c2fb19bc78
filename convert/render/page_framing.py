"""What of a picture a model sees, drawn: from the frame through the crop to the network's input.

A model of ours says how pictures were brought to its size in training, and where it takes whole frames and crops them
itself, of which shape they are and what it cuts out (`convert.report.OnnxMetadata`). Other models say nothing of it,
and nothing is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.errors import PresetError
from convert.framing import Frame, Framing
from convert.render.framing import framing_svg
from convert.words import ResizeMode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convert.simulate import scene

__all__ = ["framing_of", "framing_picture"]


def framing_of(engine: scene.Engine, frames: Sequence[scene.Frame]) -> tuple[Framing, bool] | None:
    """How the engine's model is shown a picture, and whether it crops it itself; None where that is not known.

    A model that was trained on the centre of pictures and does not crop them is told of with the shape of the first of
    `frames`, where nvinfer squashes that shape.
    """
    recorded = engine.recorded
    input_size = (engine.network.width, engine.network.height)
    if engine.settings.on_objects:
        return None
    try:
        if recorded.frame and recorded.crop:
            _, _, width, height = recorded.crop
            framing = Framing(recorded.frame, (width, height))
            return (framing, True) if min(width, height) > 0 and framing.network == input_size else None
        squashed = recorded.resize_mode is ResizeMode.FIT_SHORTEST and not engine.settings.keep_aspect
        if squashed and frames:
            framing = Framing(Frame(frames[0].width, frames[0].height, in_pixels=True), input_size)
            return (framing, False) if framing.crops else None
    except PresetError:  # a frame of a shape that no camera has
        return None
    return None


def framing_picture(engine: scene.Engine, frames: Sequence[scene.Frame]) -> tuple[str, str]:
    """SVG markup of it and what it shows in words; both "" where there is nothing to draw."""
    found = framing_of(engine, frames)
    if found is None:
        return "", ""
    framing, cropped = found
    model, network = (f"{width} x {height}" for width, height in (framing.model, framing.network))
    seen = f"{framing.seen * 100:.0f} %"
    words = f"The model has the shape of {framing.frame} frames and sees the whole of them."
    if framing.crops and cropped:
        words = f"The model cuts the middle {model} out of its {network} input: {seen} of a {framing.frame} frame."
    elif framing.crops:
        words = (
            f"The model was trained on the middle of pictures, {seen} of a {framing.frame} frame. "
            "Here it sees the whole, squashed."
        )
    return framing_svg(framing, cropped=cropped), words
