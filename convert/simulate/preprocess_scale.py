"""Scaling of 8-bit pictures, as far as it is known how NvBufSurfTransform does it.

Nearest and bilinear take their source positions as NPP does (`convert.simulate.preprocess_shares`). Results are rounded
to whole levels, halves up, because the scaled picture has 8 bits. A grey network gets the luma of the frame (JPEG's and
BT.601's 0.299 R + 0.587 G + 0.114 B in 16-bit fixed point), taken before scaling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convert.simulate.preprocess_mix import mix
from convert.simulate.preprocess_pairs import fits, mix_pairs
from convert.simulate.preprocess_shares import LUMA, nearest
from convert.simulate.settings import ColorFormat, ScalingFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.simulate.geometry import Placement

__all__ = ["approximation", "luma", "scale"]

_APPROXIMATED = {
    ScalingFilter.CUBIC: "cubic (GPU) or 5-tap (VIC) is approximated by Pillow's bicubic",
    ScalingFilter.SUPER: "super-sampling (GPU) or 10-tap (VIC) is approximated by the mean of the covered pixels",
    ScalingFilter.LANCZOS: "Lanczos (GPU) or smart (VIC) is approximated by Pillow's Lanczos",
    ScalingFilter.NICEST: "nicest (VIC; the GPU ignores it) is approximated by Pillow's bicubic",
}


def approximation(scaling_filter: ScalingFilter) -> str:
    """How a filter whose arithmetic is not known is replaced; "" for nearest and bilinear."""
    what = _APPROXIMATED.get(scaling_filter, "")
    return what and f"scaling-filter={int(scaling_filter)}: {what}"


def luma(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[..., 3] RGB levels to [...] whole grey levels."""
    total = np.full(pixels.shape[:-1], 32768, np.uint32)
    part = np.empty_like(total)
    for channel, weight in enumerate(LUMA):
        np.multiply(pixels[..., channel], weight, out=part, dtype=np.uint32)
        total += part
    total >>= 16
    return total.astype(np.uint8)


def scale(
    picture: NDArray[np.uint8],
    placement: Placement,
    scaling_filter: ScalingFilter,
    color: ColorFormat,
    out: NDArray[np.float32],
) -> None:
    """Write the scaled picture, whole levels, to `out`.

    Args:
        picture: [H,W,3] RGB or [H,W,1], C order.
        placement: what is cut out, and the size it gets.
        scaling_filter: 6 is nearest.
        color: the network's channels; a grey picture for an RGB network has three equal ones.
        out: [h,w,C] float32 with any strides.
    """
    if scaling_filter in _APPROXIMATED:
        _coloured(_resized(picture, placement, scaling_filter, color), color, out)
        return
    if picture.shape[:2] == (placement.height, placement.width) == (placement.source_height, placement.source_width):
        _coloured(picture, color, out)
        return
    if scaling_filter is ScalingFilter.BILINEAR:
        mixed = mix_pairs if fits(picture.shape, placement, color) else mix
        mixed(picture, placement, color, out.transpose(0, 2, 1))
    else:
        _coloured(_nearest(picture, placement), color, out)


def _nearest(picture: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    (rows,) = nearest(placement.source_height, placement.height).at(placement.top, height).index
    (columns,) = nearest(placement.source_width, placement.width).at(placement.left, width).index
    return picture.take(rows, axis=0).take(columns, axis=1)


def _coloured(picture: NDArray[np.uint8], color: ColorFormat, out: NDArray[np.float32]) -> None:
    """[h,w,1 or 3] to the network's channels."""
    if color is ColorFormat.GRAY and picture.shape[2] == 3:
        out[:, :, 0] = luma(picture)
    else:
        out[...] = picture[:, :, ::-1] if color is ColorFormat.BGR else picture


def _resized(
    picture: NDArray[np.uint8], placement: Placement, scaling_filter: ScalingFilter, color: ColorFormat
) -> NDArray[np.uint8]:
    """With Pillow's filters, which cover all source pixels; [h,w,1 or 3], grey where the network is."""
    from PIL import Image  # noqa: PLC0415 - heavy, and few configs ask for these filters

    method = {
        ScalingFilter.CUBIC: Image.Resampling.BICUBIC,
        ScalingFilter.SUPER: Image.Resampling.BOX,
        ScalingFilter.LANCZOS: Image.Resampling.LANCZOS,
        ScalingFilter.NICEST: Image.Resampling.BICUBIC,
    }[scaling_filter]
    rows = slice(placement.top, placement.top + placement.source_height)
    part = picture[rows, placement.left : placement.left + placement.source_width]
    if color is ColorFormat.GRAY and part.shape[2] == 3:
        part = luma(part)[:, :, None]
    image = Image.fromarray(part[:, :, 0] if part.shape[2] == 1 else part)
    pixels = np.asarray(image.resize((placement.width, placement.height), method))
    return pixels.reshape(*pixels.shape[:2], -1)
