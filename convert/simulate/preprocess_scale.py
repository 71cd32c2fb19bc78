"""Scaling of 8-bit pictures, as far as it is known how NvBufSurfTransform does it, in the layout the network wants.

Source positions follow the rule NVIDIA documents for its image library's resize (NPP, "ResizeSqrPixel"): the centre of
pixel i of n lies at (i + 0.5) * size / n - 0.5. Nearest takes the pixel that covers that point; bilinear mixes the two
beside it in each direction, no others, however small the picture becomes; pixels behind the border are those at it.
Results are rounded to whole levels, halves up, because the scaled picture has 8 bits. A grey network gets the luma of
the frame (JPEG's and BT.601's 0.299 R + 0.587 G + 0.114 B in 16-bit fixed point), taken before scaling.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from convert.simulate.settings import ColorFormat, ScalingFilter

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from convert.simulate.geometry import Placement

__all__ = ["approximation", "luma", "scaled"]

_LUMA = tuple(np.float32(share) for share in (19595, 38470, 7471))
"""0.299, 0.587 and 0.114 times 65536; sums stay below 2^24, so float32 holds them exactly."""

_APPROXIMATED = {
    ScalingFilter.CUBIC: "cubic (GPU) or 5-tap (VIC) is approximated by Pillow's bicubic",
    ScalingFilter.SUPER: "super-sampling (GPU) or 10-tap (VIC) is approximated by the mean of the covered pixels",
    ScalingFilter.LANCZOS: "Lanczos (GPU) or smart (VIC) is approximated by Pillow's Lanczos",
    ScalingFilter.NICEST: "nicest (VIC; the GPU ignores it) is approximated by Pillow's bicubic",
}

_CACHED = 1_500_000  # numbers of one plan that is kept: about 20 MB


def approximation(scaling_filter: ScalingFilter) -> str:
    """How a filter whose arithmetic is not known is replaced; "" for nearest and bilinear."""
    what = _APPROXIMATED.get(scaling_filter, "")
    return what and f"scaling-filter={int(scaling_filter)}: {what}"


def luma(red: NDArray[Any], green: NDArray[Any], blue: NDArray[Any]) -> NDArray[np.float32]:
    """Whole grey levels of red, green and blue levels."""
    grey: NDArray[np.float32] = np.multiply(red, _LUMA[0], dtype=np.float32)
    grey += np.multiply(green, _LUMA[1], dtype=np.float32)
    grey += np.multiply(blue, _LUMA[2], dtype=np.float32)
    grey += np.float32(32768)
    grey *= np.float32(1 / 65536)
    return np.floor(grey, out=grey)


def scaled(
    picture: NDArray[np.uint8],
    placement: Placement,
    scaling_filter: ScalingFilter,
    color: ColorFormat,
    *,
    channels_last: bool = False,
) -> NDArray[np.float32]:
    """The scaled picture: whole levels as float32, [C,h,w], or [h,w,C] with `channels_last`.

    Args:
        picture: [H,W,3] RGB or [H,W,1], C order.
        placement: what is cut out, and the size it gets.
        scaling_filter: 6 is nearest.
        color: the network's channels; a grey picture for an RGB network has three equal ones.
        channels_last: the layout.
    """
    if scaling_filter in _APPROXIMATED:
        return _resized(picture, placement, scaling_filter, color, channels_last=channels_last)
    same = (placement.width, placement.height) == (placement.source_width, placement.source_height)
    bilinear = scaling_filter is ScalingFilter.BILINEAR and not same  # nothing lies between two pixels
    key = _Key(picture.shape, placement, color, bilinear, channels_last, 0, placement.height)
    rows = max(_CACHED // (placement.width * 12), 1)
    if rows >= placement.height:
        return _taken(picture, _kept_plan(key))
    bands = [
        _taken(picture, _plan(replace(key, first=row, end=min(row + rows, placement.height))))
        for row in range(0, placement.height, rows)
    ]
    return np.concatenate(bands, axis=0 if channels_last else 1)


@dataclass(frozen=True, slots=True)
class _Key:
    """What a plan depends on; rows `first` to `end` of the scaled picture."""

    shape: tuple[int, ...]
    placement: Placement
    color: ColorFormat
    bilinear: bool
    channels_last: bool
    first: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """Which bytes of a picture make a scaled one: nothing in it depends on the pixels.

    Attributes:
        index: byte positions in the picture, [taps, *layout]; [3, taps, h, w] where three bytes become one luma.
        across, down: share of the right and of the lower tap, one number for each in the layout; None for nearest.
        layout: of the result.
        mixed: three bytes become one luma.
    """

    index: NDArray[np.intp]
    across: NDArray[np.float32] | None
    down: NDArray[np.float32] | None
    layout: tuple[int, ...]
    mixed: bool


def _plan(key: _Key) -> _Plan:
    height, width, channels = key.shape
    place, rows = key.placement, slice(key.first, key.end)
    between = _two if key.bilinear else _one
    x0, x1, across = between(place.source_width, place.width)
    y0, y1, down = between(place.source_height, place.height)
    # a crop rounded up to even can end one pixel behind an odd frame
    x0, x1 = (np.minimum(x + place.left, width - 1) for x in (x0, x1))
    y0, y1 = (np.minimum(y[rows] + place.top, height - 1) for y in (y0, y1))
    grey = key.color is ColorFormat.GRAY
    band = np.array([2, 1, 0] if key.color is ColorFormat.BGR else [0, 1, 2], np.intp)
    if channels == 1:
        band = np.zeros(1 if grey else 3, np.intp)
    mixed = grey and channels == 3

    def bytes_at(y: NDArray[np.intp], x: NDArray[np.intp]) -> NDArray[np.intp]:
        pixel: NDArray[np.intp] = (y[:, None] * width + x) * channels
        return pixel[..., None] + band if key.channels_last and not mixed else pixel + band[:, None, None]

    pairs = ((y0, x0), (y0, x1), (y1, x0), (y1, x1)) if key.bilinear else ((y0, x0),)
    index = np.stack([bytes_at(y, x) for y, x in pairs], axis=1 if mixed else 0)
    size = (len(y0), len(x0))
    depth = 1 if grey else 3
    layout = (*size, depth) if key.channels_last else (depth, *size)
    if not key.bilinear:
        return _Plan(index, None, None, layout, mixed=mixed)

    def spread(share: NDArray[np.float32]) -> NDArray[np.float32]:
        wide = np.broadcast_to(share, size)
        return np.ascontiguousarray(np.broadcast_to(wide[..., None] if key.channels_last else wide, layout))

    return _Plan(index, spread(across), spread(down[rows, None]), layout, mixed=mixed)


_kept_plan = lru_cache(maxsize=4)(_plan)


def _taken(picture: NDArray[np.uint8], plan: _Plan) -> NDArray[np.float32]:
    taps = np.take(picture.reshape(-1), plan.index)
    levels = luma(*taps).reshape(-1, *plan.layout) if plan.mixed else taps.astype(np.float32)
    if plan.across is None or plan.down is None:
        nearest: NDArray[np.float32] = levels[0]
        return nearest
    return _mixed(levels, plan.across, plan.down)


def _one(size: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """The pixel that covers (i + 0.5) * size / count, in whole numbers."""
    index = ((2 * np.arange(count, dtype=np.int64) + 1) * size // (2 * count)).astype(np.intp)
    return index, index, np.zeros(count, np.float32)


def _two(size: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """The pixels beside (i + 0.5) * size / count - 0.5, and the share of the second; whole numbers up to the share."""
    position = (2 * np.arange(count, dtype=np.int64) + 1) * size - count
    first, rest = np.divmod(position, 2 * count)
    share = (rest / (2 * count)).astype(np.float32)
    return (
        np.clip(first, 0, size - 1).astype(np.intp),
        np.clip(first + 1, 0, size - 1).astype(np.intp),
        share,
    )


def _mixed(levels: NDArray[np.float32], across: NDArray[np.float32], down: NDArray[np.float32]) -> NDArray[np.float32]:
    """Four taps to one level; `levels` is used up."""
    left, right, low_left, low_right = levels
    right -= left
    right *= across
    right += left
    low_right -= low_left
    low_right *= across
    low_right += low_left
    low_right -= right
    low_right *= down
    low_right += right
    low_right += np.float32(0.5)
    whole: NDArray[np.float32] = np.floor(low_right, out=low_right)
    return whole


def _resized(
    picture: NDArray[np.uint8],
    placement: Placement,
    scaling_filter: ScalingFilter,
    color: ColorFormat,
    *,
    channels_last: bool,
) -> NDArray[np.float32]:
    """With Pillow's filters, which cover all source pixels."""
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
        part = luma(*part.transpose(2, 0, 1)).astype(np.uint8)[:, :, None]
    image = Image.fromarray(part[:, :, 0] if part.shape[2] == 1 else part)
    pixels = np.asarray(image.resize((placement.width, placement.height), method))
    if color is ColorFormat.GRAY:
        pixels = pixels[:, :, None]
    elif pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    elif color is ColorFormat.BGR:
        pixels = pixels[:, :, ::-1]
    return (pixels if channels_last else pixels.transpose(2, 0, 1)).astype(np.float32)
