"""Brings a frame to a model's size as Edge Impulse's SDK does where it runs a model trained on cropped pictures.

It crops the centre (`convert.framing.centre_crop`), then mixes the two pixels beside each point in each direction,
pixel i of n lying at i * size / n, that is aligned at the left and the top, and no others however small the picture
becomes (`ei::image::processing`, "resize_image").
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from convert.framing import centre_crop

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fit_shortest"]


def fit_shortest(frame: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The centre of `frame` [H,W,C] as [height,width,C]."""
    left, top, wide, high = centre_crop(frame.shape[1], frame.shape[0], (width, height))
    rows, down = _points(high, height)
    columns, across = _points(wide, width)
    down, across = down[:, np.newaxis, np.newaxis], across[:, np.newaxis]
    above, below = (frame[top + each].astype(np.float32) for each in rows)
    lines = above + (below - above) * down
    before, behind = (lines[:, left + each] for each in columns)
    levels: NDArray[np.uint8] = np.floor(before + (behind - before) * across + np.float32(0.5)).astype(np.uint8)
    return levels


@lru_cache(maxsize=64)
def _points(size: int, count: int) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], NDArray[np.float32]]:
    """The two pixels beside each of `count` points on a line of `size`, and the share of the second."""
    first, rest = np.divmod(np.arange(count) * size, count)
    return (first, np.minimum(first + 1, size - 1)), (rest / count).astype(np.float32)
