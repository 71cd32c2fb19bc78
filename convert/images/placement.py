"""Which part of a frame the network sees, and where it lies in the network's picture, in whole pixels.

Gst-nvinfer (`place`; `get_converted_buffer` in gstnvinfer.cpp, DeepStream 9.1): positions are rounded up to even
numbers, sizes down; with maintain-aspect-ratio the scaled size is cut, not rounded, to whole pixels; the padding is at
the right or at the bottom, or on both sides with symmetric-padding, the smaller half first.

Edge Impulse's C++ SDK (`place_as_sdk`): "fit longest axis" scales by the aspect in float32, cuts to whole pixels and
pads both sides; "fit shortest axis" crops the centre first (`convert.framing.centre_crop`; the SDK itself takes the
side to crop from width > height, which leaves the picture where the model is not square).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from convert.artifacts import ResizeMode
from convert.errors import InputError
from convert.framing import centre_crop

__all__ = ["Network", "Placement", "Rect", "View", "place", "place_as_sdk", "whole_network"]


@dataclass(frozen=True, slots=True)
class Network:
    """The network's input picture. InputError unless all three are positive."""

    channels: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.channels, self.height, self.width) < 1:
            raise InputError(
                f"the network input {self.channels}x{self.height}x{self.width} (channels, height, width) is empty",
                hint="infer-dims, where it is given, is channels;height;width",
            )


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle in pixels of the source frame, as float32 numbers (NvOSD_RectParams)."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class View:
    """Maps boxes of the network's picture back to the frame.

    Attributes:
        frame_width, frame_height: the source frame, pixels.
        scale_x, scale_y: network pixels per pixel of the frame (doubles, as in the element).
        offset_left, offset_top: network pixels of padding in front of the picture.
    """

    frame_width: int
    frame_height: int
    scale_x: float = 1.0
    scale_y: float = 1.0
    offset_left: int = 0
    offset_top: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """What is cut out of a frame, and where it lies in the network's picture.

    Attributes:
        left, top, source_width, source_height: the part of the frame, in pixels, after rounding. A crop can end one
            pixel outside a frame of odd size.
        width, height: the size of the part in the network's picture.
        view: how coordinates are mapped back to the frame.
    """

    left: int
    top: int
    source_width: int
    source_height: int
    width: int
    height: int
    view: View

    @property
    def source(self) -> tuple[slice, slice]:
        """Rows and columns of the frame."""
        return slice(self.top, self.top + self.source_height), slice(self.left, self.left + self.source_width)

    @property
    def target(self) -> tuple[slice, slice]:
        """Rows and columns of the network's picture."""
        top, left = self.view.offset_top, self.view.offset_left
        return slice(top, top + self.height), slice(left, left + self.width)


def place(
    frame_width: int,
    frame_height: int,
    network: Network,
    *,
    keep_aspect: bool = False,
    symmetric: bool = False,
    crop: Rect | None = None,
) -> Placement:
    """Where Gst-nvinfer puts a frame, or the object `crop` of it, in the network's picture.

    Args:
        frame_width, frame_height: pixels.
        network: its input.
        keep_aspect: maintain-aspect-ratio.
        symmetric: symmetric-padding; without `keep_aspect` it changes nothing.
        crop: an object in the frame (process-mode 2), its left and top not negative.

    Raises:
        InputError: less than one pixel would remain of the picture, before or after scaling.
    """
    left, top, width, height = 0, 0, frame_width, frame_height
    if crop is not None:
        left, top, width, height = map(_unsigned, (crop.left, crop.top, crop.width, crop.height))
    left, top = left + left % 2, top + top % 2
    width, height = width - width % 2, height - height % 2
    if width < 1 or height < 1:
        raise InputError(
            "a picture narrower or lower than 2 pixels cannot be scaled: Gst-nvinfer rounds its size down to even",
            hint="leave out small objects with input-object-min-width and input-object-min-height",
        )
    if left >= frame_width or top >= frame_height:
        raise InputError(f"the object at {left},{top} lies outside of the {frame_width}x{frame_height} frame")
    to_width, to_height = network.width, network.height
    if keep_aspect:
        wanted = network.width * height / width
        if wanted <= network.height:
            to_height = int(wanted)
        else:
            to_width = int(network.height * width / height)
        if to_width < 1 or to_height < 1:
            raise InputError(
                f"a {width}x{height} picture is less than one pixel wide or high in a "
                f"{network.width}x{network.height} network",
                hint="its aspect is too extreme for maintain-aspect-ratio=1",
            )
    offset_left = (network.width - to_width) // 2 if symmetric else 0
    offset_top = (network.height - to_height) // 2 if symmetric else 0
    view = View(frame_width, frame_height, to_width / width, to_height / height, offset_left, offset_top)
    return Placement(left, top, width, height, to_width, to_height, view)


def place_as_sdk(width: int, height: int, model: tuple[int, int], mode: ResizeMode) -> Placement:
    """Where Edge Impulse puts a picture of `width` x `height` in a model's input of that width and height.

    `none` is taken as squash, as Edge Impulse's clients do.
    """
    to_width, to_height = model
    left, top, part_width, part_height = 0, 0, width, height
    if mode is ResizeMode.FIT_SHORTEST:
        left, top, part_width, part_height = centre_crop(width, height, model)
    elif mode is ResizeMode.FIT_LONGEST:
        aspect = np.float32(width) / np.float32(height)
        if aspect > np.float32(to_width) / np.float32(to_height):
            to_height = max(1, int(np.float32(to_width) / aspect))
        else:
            to_width = max(1, int(np.float32(to_height) * aspect))
    offset_left, offset_top = (model[0] - to_width) // 2, (model[1] - to_height) // 2
    view = View(width, height, to_width / part_width, to_height / part_height, offset_left, offset_top)
    return Placement(left, top, part_width, part_height, to_width, to_height, view)


def _unsigned(value: float) -> int:
    """C's conversion of a float to `unsigned int`, as x86-64 does it: cut; NaN and infinities give 0."""
    return int(value) % 2**32 if math.isfinite(value) else 0


def whole_network(network: Network) -> View:
    """A frame of the network's own size: boxes stay as they are."""
    return View(network.width, network.height)
