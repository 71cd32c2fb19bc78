"""Where Edge Impulse's C++ SDK puts a picture in the model's input: its crop and its bars.

"Fit longest axis" scales by the aspect in float32, cuts to whole pixels and centres; "fit shortest axis" cuts the
centre out first (`convert.framing.centre_crop`; the SDK itself takes the side to cut from width > height, which leaves
the picture where the model is not square). How the part is then scaled: `convert.resizing`.
"""

from __future__ import annotations

import numpy as np

from convert.artifacts import ResizeMode
from convert.framing import centre_crop
from convert.simulate.geometry import Placement, View

__all__ = ["place"]


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
