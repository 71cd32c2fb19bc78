"""Scaling of 8-bit pictures, as far as it is known how NvBufSurfTransform does it.

Source positions follow the rule NVIDIA documents for its image library's resize (NPP, "ResizeSqrPixel"): the centre of
pixel i of n lies at (i + 0.5) * size / n - 0.5. Nearest takes the pixel that covers that point; bilinear mixes the two
beside it in each direction, no others, however small the picture becomes; pixels behind the border are those at it.
Results are rounded to whole levels, halves up, because the scaled picture has 8 bits. A grey network gets the luma of
the frame (JPEG's and BT.601's 0.299 R + 0.587 G + 0.114 B in 16-bit fixed point), taken before scaling.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from convert.simulate.settings import ColorFormat, ScalingFilter

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from convert.simulate.geometry import Placement

__all__ = ["approximation", "luma", "scale"]

_LUMA = np.array([19595, 38470, 7471], np.float32)
"""0.299, 0.587 and 0.114 times 65536; sums stay below 2^24, so float32 holds them exactly."""

_APPROXIMATED = {
    ScalingFilter.CUBIC: "cubic (GPU) or 5-tap (VIC) is approximated by Pillow's bicubic",
    ScalingFilter.SUPER: "super-sampling (GPU) or 10-tap (VIC) is approximated by the mean of the covered pixels",
    ScalingFilter.LANCZOS: "Lanczos (GPU) or smart (VIC) is approximated by Pillow's Lanczos",
    ScalingFilter.NICEST: "nicest (VIC; the GPU ignores it) is approximated by Pillow's bicubic",
}


_BLOCK = 96 * 288  # numbers that are worked on at a time: a picture for a 96x96 network, or what fits into a cache

_KEPT = 16  # arrays in a workspace


class _Workspace(threading.local):
    """Memory that is used again: getting it from the system for every picture costs more than the arithmetic."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, int, int], NDArray[Any]] = {}

    def array(self, name: str, height: int, width: int, dtype: type[np.generic]) -> NDArray[Any]:
        """Anything may stand in it."""
        found = self._arrays.get((name, height, width))
        if found is None:
            if len(self._arrays) >= _KEPT:
                self._arrays.clear()
            found = self._arrays[name, height, width] = np.empty((height, width), dtype)
        return found


_WORKSPACE = _Workspace()


def approximation(scaling_filter: ScalingFilter) -> str:
    """How a filter whose arithmetic is not known is replaced; "" for nearest and bilinear."""
    what = _APPROXIMATED.get(scaling_filter, "")
    return what and f"scaling-filter={int(scaling_filter)}: {what}"


def luma(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """[..., 3] RGB levels to [...] whole grey levels."""
    flat = pixels.reshape(-1, 3)
    numbers = _WORKSPACE.array("luma", len(flat), 3, np.float32)
    numbers[...] = flat
    # not a matrix product: for so little work the threads of a BLAS cost more than they do
    grey: NDArray[np.float32] = numbers[:, 0] * _LUMA[0]
    grey += numbers[:, 1] * _LUMA[1]
    grey += numbers[:, 2] * _LUMA[2]
    grey += np.float32(32768)
    grey *= np.float32(1 / 65536)
    np.floor(grey, out=grey)
    return grey.reshape(pixels.shape[:-1])


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
    plan = _plan(picture.shape, placement, color, bilinear=scaling_filter is ScalingFilter.BILINEAR)
    if len(plan.down.index) == len(plan.across.index) == 1:
        some = np.take(picture, plan.down.index[0], axis=0)
        _coloured(np.take(some, plan.across.index[0], axis=1), color, out)
    else:
        _mix(picture.reshape(len(picture), -1), plan, out.transpose(0, 2, 1))


@dataclass(frozen=True, slots=True, eq=False)
class _Axis:
    """Which pixels of a line make each pixel of a scaled one: the nearest, or two and the share of the second."""

    index: tuple[NDArray[np.intp], ...]
    share: NDArray[np.float32]

    def at(self, start: int, size: int) -> _Axis:
        """In a line of `size` pixels; what is cut out begins at `start`, and can end one pixel behind an odd frame."""
        return _Axis(tuple(np.minimum(index + start, size - 1) for index in self.index), self.share)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What does not depend on the pixels.

    Attributes:
        down: the lines, and [h,1] shares.
        across: the pixels of a line.
        columns: the bytes of a line, channel by channel, or pixel by pixel for a luma; twice where two are mixed.
        wide: the share of the second for each of them.
        blocks: rows of the result, and the lines they need: all upper ones, then all lower ones.
        depth: channels that are mixed.
        grey: three channels become one luma.
    """

    down: _Axis
    across: _Axis
    columns: tuple[NDArray[np.intp], ...]
    wide: NDArray[np.float32]
    blocks: tuple[tuple[slice, NDArray[np.intp]], ...]
    depth: int
    grey: bool


@lru_cache(maxsize=16)
def _plan(shape: tuple[int, ...], placement: Placement, color: ColorFormat, *, bilinear: bool) -> _Plan:
    height, width, channels = shape
    between = _two if bilinear else _one
    down = between(placement.source_height, placement.height).at(placement.top, height)
    across = between(placement.source_width, placement.width).at(placement.left, width)
    grey = color is ColorFormat.GRAY and channels == 3
    depth = 1 if grey else channels
    band = np.array([2, 1, 0] if color is ColorFormat.BGR and channels == 3 else [0, 1, 2])[:channels]
    step = max(_BLOCK // (placement.width * channels), 1)
    rows = [slice(first, first + step) for first in range(0, placement.height, step)]
    return _Plan(
        _Axis(down.index, down.share[:, None]),
        across,
        tuple(((x[:, None] * 3 + band) if grey else (x * channels + band[:, None])).reshape(-1) for x in across.index),
        np.tile(across.share, depth),
        tuple((some, np.concatenate([one[some] for one in down.index])) for some in rows),
        depth,
        grey,
    )


@lru_cache(maxsize=256)
def _one(size: int, count: int) -> _Axis:
    """The pixel that covers (i + 0.5) * size / count, in whole numbers."""
    index = (2 * np.arange(count, dtype=np.int64) + 1) * size // (2 * count)
    return _Axis((index.astype(np.intp),), np.zeros(0, np.float32))


@lru_cache(maxsize=256)
def _two(size: int, count: int) -> _Axis:
    """The pixels beside (i + 0.5) * size / count - 0.5, in whole numbers up to the share."""
    position = (2 * np.arange(count, dtype=np.int64) + 1) * size - count
    first, rest = np.divmod(position, 2 * count)
    pixels = tuple(np.clip(index, 0, size - 1).astype(np.intp) for index in (first, first + 1))
    if not rest.any():  # every point is the centre of a pixel, as when 480 lines become 96
        pixels = pixels[:1]
    return _Axis(pixels, (rest / (2 * count)).astype(np.float32))


def _mix(lines: NDArray[np.uint8], plan: _Plan, out: NDArray[np.float32]) -> None:
    """Bilinear, some rows at a time.

    Args:
        lines: the picture, one row of bytes for each of its lines.
        plan: for it.
        out: [h,C,w]; where one channel is mixed, C can be more.
    """
    for rows, index in plan.blocks:
        some = _WORKSPACE.array("lines", len(index), lines.shape[1], np.uint8)
        lines.take(index, axis=0, out=some, mode="clip")
        levels, *right = (_levels(some, columns, name, plan) for columns, name in zip(plan.columns, "ab", strict=False))
        if right:
            levels = _between(levels, right[0], plan.wide)
        if len(plan.down.index) == 2:
            half = len(index) // 2
            levels = _between(levels[:half], levels[half:], plan.down.share[rows])
        levels += np.float32(0.5)
        part = out[rows]
        np.floor(levels.reshape(len(part), plan.depth, -1), out=part[:, : plan.depth])
        part[:, plan.depth :] = part[:, :1]


def _levels(lines: NDArray[np.uint8], columns: NDArray[np.intp], name: str, plan: _Plan) -> NDArray[np.float32]:
    taken = _WORKSPACE.array("bytes", len(lines), len(columns), np.uint8)
    lines.take(columns, axis=1, out=taken, mode="clip")
    if plan.grey:
        return luma(taken.reshape(len(lines), -1, 3))
    levels: NDArray[np.float32] = _WORKSPACE.array(name, len(lines), len(columns), np.float32)
    levels[...] = taken
    return levels


def _between(
    first: NDArray[np.float32], second: NDArray[np.float32], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    """first + (second - first) * share, in the place of `second`."""
    second -= first
    second *= share
    second += first
    return second


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
        part = luma(part).astype(np.uint8)[:, :, None]
    image = Image.fromarray(part[:, :, 0] if part.shape[2] == 1 else part)
    pixels = np.asarray(image.resize((placement.width, placement.height), method))
    return pixels.reshape(*pixels.shape[:2], -1)
