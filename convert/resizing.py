"""Brings a picture to a model's size as Edge Impulse's C++ SDK does: its interpolation, and its crop of the centre.

Facts of dsp/image/processing.cpp of the SDK. Interpolation is bilinear in fixed point with 14 bits: pixel i of n comes
from position i * floor(size * 2^14 / n), counted from the first pixel's own place (no half pixel), and each of the
three mixtures of two bytes is rounded to a byte, halves up.
Where a picture is enlarged, the SDK reads one pixel behind the last of a row; here that is the last one again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from convert.framing import centre_crop

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fit_shortest", "interpolate"]

_BITS = 14
_ONE = 1 << _BITS


def fit_shortest(frame: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The centre of `frame` [H,W,C] as [height,width,C]: what a model that was trained on cropped pictures is shown."""
    left, top, wide, high = centre_crop(frame.shape[1], frame.shape[0], (width, height))
    return interpolate(frame[top : top + high, left : left + wide], width, height)


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
