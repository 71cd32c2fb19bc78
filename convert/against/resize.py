"""How Edge Impulse brings a picture to the model's size: its C++ SDK's crop, bars and interpolation.

Facts of dsp/image/processing.cpp of the SDK. Interpolation is bilinear in fixed point with 14 bits: pixel i of n comes
from position i * floor(size * 2^14 / n), counted from the first pixel's own place (no half pixel), and each of the
three mixtures of two bytes is rounded to a byte, halves up. "Fit longest axis" scales by the aspect in float32, cuts to
whole pixels and centres; "fit shortest axis" cuts the centre out first (`convert.framing.centre_crop`; the SDK itself
takes the side to cut from width > height, which leaves the picture where the model is not square).
Where a picture is enlarged, the SDK reads one pixel behind the last of a row; here that is the last one again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from convert.artifacts import ResizeMode
from convert.framing import centre_crop
from convert.simulate.geometry import Placement, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["interpolate", "place"]

_BITS = 14
_ONE = 1 << _BITS


def place(width: int, height: int, model: tuple[int, int], mode: ResizeMode) -> Placement:
    """Where a picture of `width` x `height` lies in the picture of a model of that width and height.

    `none` is taken as squash, as Edge Impulse's clients do.
    """
    wide, high = model
    left, top, kept_wide, kept_high = 0, 0, width, height
    to_wide, to_high = wide, high
    if mode is ResizeMode.FIT_SHORTEST:
        left, top, kept_wide, kept_high = centre_crop(width, height, model)
    elif mode is ResizeMode.FIT_LONGEST:
        aspect, wanted = np.float32(width) / np.float32(height), np.float32(wide) / np.float32(high)
        if aspect > wanted:
            to_high = max(1, int(np.float32(wide) / aspect))
        else:
            to_wide = max(1, int(np.float32(high) * aspect))
    offset_left, offset_top = (wide - to_wide) // 2, (high - to_high) // 2
    view = View(width, height, to_wide / kept_wide, to_high / kept_high, offset_left, offset_top)
    return Placement(left, top, kept_wide, kept_high, to_wide, to_high, view)


def interpolate(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """`picture` [H,W,C] as [height,width,C]."""
    upper, lower, down = _axis(picture.shape[0], height)
    first, second, across = _axis(picture.shape[1], width)
    across = across[:, None]
    top = _mixed(picture[upper][:, first], picture[upper][:, second], across)
    bottom = _mixed(picture[lower][:, first], picture[lower][:, second], across)
    return _mixed(top, bottom, down[:, None, None]).astype(np.uint8)


@lru_cache(maxsize=64)
def _axis(size: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For each of `count` pixels the two of `size` that make it, and the share of the second in 2^14ths."""
    position = np.arange(count, dtype=np.int64) * ((size << _BITS) // count)
    first = np.minimum(position >> _BITS, size - 1)
    return first, np.minimum(first + 1, size - 1), position & (_ONE - 1)


def _mixed(one: NDArray[np.generic], other: NDArray[np.generic], share: NDArray[np.int64]) -> NDArray[np.int64]:
    whole: NDArray[np.int64] = one.astype(np.int64) * (_ONE - share) + other.astype(np.int64) * share + _ONE // 2
    return whole >> _BITS
