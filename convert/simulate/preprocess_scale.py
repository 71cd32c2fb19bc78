"""Scaling of 8-bit pictures, as far as it is known how NvBufSurfTransform does it.

Source positions follow the rule NVIDIA documents for its image library's resize (NPP, "ResizeSqrPixel"): the centre of
pixel i of n lies at (i + 0.5) * size / n - 0.5. Nearest takes the pixel that covers that point; bilinear mixes the two
beside it in each direction, no others, however small the picture becomes; pixels behind the border are those at it.
Results are rounded to whole levels, halves up, because the scaled picture has 8 bits. A grey network gets the luma of
the frame (JPEG's and BT.601's 0.299 R + 0.587 G + 0.114 B in 16-bit fixed point), taken before scaling.

The shares of the mixed pixels are fractions with a small common denominator (six, where 320 pixels become 96), so all
of it is computed in whole numbers, exactly, and in 16 bits where they are enough: that is also the fastest way.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.simulate.settings import ColorFormat, ScalingFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.simulate.geometry import Placement

__all__ = ["approximation", "luma", "scale"]

_LUMA = (19595, 38470, 7471)
"""0.299, 0.587 and 0.114 times 65536."""

_APPROXIMATED = {
    ScalingFilter.CUBIC: "cubic (GPU) or 5-tap (VIC) is approximated by Pillow's bicubic",
    ScalingFilter.SUPER: "super-sampling (GPU) or 10-tap (VIC) is approximated by the mean of the covered pixels",
    ScalingFilter.LANCZOS: "Lanczos (GPU) or smart (VIC) is approximated by Pillow's Lanczos",
    ScalingFilter.NICEST: "nicest (VIC; the GPU ignores it) is approximated by Pillow's bicubic",
}


_BLOCK = 2**19  # numbers that are worked on at a time: every call costs time, and so does what no cache holds

_WIDE = 4  # lines with so many times the bytes that are needed of them are thinned out before they are mixed

_KEPT = 16  # arrays in a workspace


class _Workspace(threading.local):
    """Memory that is used again: getting it from the system for every picture costs more than the arithmetic."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, int, int, type[np.generic]], NDArray[Any]] = {}

    def array(self, name: str, height: int, width: int, dtype: type[np.generic]) -> NDArray[Any]:
        """Anything may stand in it."""
        found = self._arrays.get((name, height, width, dtype))
        if found is None:
            if len(self._arrays) >= _KEPT:
                self._arrays.clear()
            found = self._arrays[name, height, width, dtype] = np.empty((height, width), dtype)
        return found


_WORKSPACE = _Workspace()


def approximation(scaling_filter: ScalingFilter) -> str:
    """How a filter whose arithmetic is not known is replaced; "" for nearest and bilinear."""
    what = _APPROXIMATED.get(scaling_filter, "")
    return what and f"scaling-filter={int(scaling_filter)}: {what}"


def luma(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[..., 3] RGB levels to [...] whole grey levels."""
    red, green, blue = (pixels[..., channel] for channel in range(3))
    return _luma(red, green, blue, np.empty(red.shape, np.uint32), np.empty(red.shape, np.uint32)).astype(np.uint8)


def _luma(
    red: NDArray[np.uint8],
    green: NDArray[np.uint8],
    blue: NDArray[np.uint8],
    total: NDArray[np.uint32],
    part: NDArray[np.uint32],
) -> NDArray[np.uint32]:
    """In `total`; `part` is overwritten."""
    np.multiply(red, _LUMA[0], out=total, dtype=np.uint32)
    for channel, weight in ((green, _LUMA[1]), (blue, _LUMA[2])):
        np.multiply(channel, weight, out=part, dtype=np.uint32)
        total += part
    total += 32768
    total >>= 16
    return total


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
    """Which pixels of a line make each pixel of a scaled one.

    Attributes:
        index: of the one pixel, or of both.
        weight: of each of them, uint32; the two add up to `whole`.
        whole: the common denominator of the shares.
    """

    index: tuple[NDArray[np.intp], ...]
    weight: tuple[NDArray[np.uint32], ...]
    whole: int

    def at(self, start: int, size: int) -> _Axis:
        """In a line of `size` pixels; what is cut out begins at `start`, and can end one pixel behind an odd frame."""
        return _Axis(tuple(np.minimum(index + start, size - 1) for index in self.index), self.weight, self.whole)


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What does not depend on the pixels.

    Attributes:
        down: the lines, with weights [h,1].
        across: the pixels of a line.
        columns: the bytes of a line, channel by channel, once or twice (for the first and the second pixel); for a
            luma all together.
        weights: of the columns, [1,n], in the type that holds the sums; empty where there is nothing to mix.
        blocks: rows of the result, the lines they need (upper ones, lower ones), and their weights.
        depth: channels that are mixed.
        grey: three channels become one luma.
        lines_first: lines are mixed before columns are picked, not behind.
        first, last: types that hold the sums behind the first and behind the second mixing.
    """

    down: _Axis
    across: _Axis
    columns: tuple[NDArray[np.intp], ...]
    weights: tuple[NDArray[Any], ...]
    blocks: tuple[tuple[slice, tuple[NDArray[np.intp], ...], tuple[NDArray[Any], ...]], ...]
    depth: int
    grey: bool
    lines_first: bool
    first: type[np.unsignedinteger[Any]]
    last: type[np.unsignedinteger[Any]]


@lru_cache(maxsize=16)
def _plan(shape: tuple[int, ...], placement: Placement, color: ColorFormat, *, bilinear: bool) -> _Plan:
    height, width, channels = shape
    between = _two if bilinear else _one
    down = between(placement.source_height, placement.height).at(placement.top, height)
    across = between(placement.source_width, placement.width).at(placement.left, width)
    grey = color is ColorFormat.GRAY and channels == 3
    depth = 1 if grey else channels
    band = np.array([2, 1, 0] if color is ColorFormat.BGR and channels == 3 else [0, 1, 2])[:channels]
    if grey:
        pixels = np.concatenate(across.index)
        columns: tuple[NDArray[np.intp], ...] = ((pixels * channels + band[:, None]).reshape(-1),)
    else:
        columns = tuple((x * channels + band[:, None]).reshape(-1) for x in across.index)
    lines_first = not grey and len(down.index) == 2 and width <= _WIDE * placement.width
    whole = down.whole * across.whole
    first = _type(down.whole if lines_first else across.whole)
    last = _type(whole)
    across_type, down_type = (last, first) if lines_first else (first, last)
    bytes_ = width * channels if lines_first else placement.width * channels * 2
    step = max(_BLOCK // bytes_, 1)
    rows = [slice(top, top + step) for top in range(0, placement.height, step)]
    return _Plan(
        down,
        across,
        columns,
        tuple(np.tile(weight, depth)[None].astype(across_type) for weight in across.weight),
        tuple(
            (
                some,
                tuple(index[some] for index in down.index),
                tuple(weight[some, None].astype(down_type) for weight in down.weight),
            )
            for some in rows
        ),
        depth,
        grey,
        lines_first,
        first,
        last,
    )


def _type(whole: int) -> type[np.unsignedinteger[Any]]:
    """Holds 255 * whole and half of whole more."""
    most = 255 * whole + whole // 2
    return np.uint16 if most < 2**16 else np.uint32 if most < 2**32 else np.uint64


@lru_cache(maxsize=256)
def _one(size: int, count: int) -> _Axis:
    """The pixel that covers (i + 0.5) * size / count."""
    index = (2 * np.arange(count, dtype=np.int64) + 1) * size // (2 * count)
    return _Axis((index.astype(np.intp),), (), 1)


@lru_cache(maxsize=256)
def _two(size: int, count: int) -> _Axis:
    """The pixels beside (i + 0.5) * size / count - 0.5."""
    position = (2 * np.arange(count, dtype=np.int64) + 1) * size - count
    first, rest = np.divmod(position, 2 * count)
    pixels = tuple(np.clip(index, 0, size - 1).astype(np.intp) for index in (first, first + 1))
    if not rest.any():  # every point is the centre of a pixel, as when 480 lines become 96
        return _Axis(pixels[:1], (), 1)
    common = int(np.gcd.reduce(rest, initial=2 * count))
    whole = 2 * count // common
    second = (rest // common).astype(np.uint32)
    return _Axis(pixels, (whole - second, second), whole)


def _mix(lines: NDArray[np.uint8], plan: _Plan, out: NDArray[np.float32]) -> None:
    """Bilinear, some rows at a time.

    Args:
        lines: the picture, one row of bytes for each of its lines.
        plan: for it.
        out: [h,C,w]; where one channel is mixed, C can be more.
    """
    whole = plan.down.whole * plan.across.whole
    for rows, index, weights in plan.blocks:
        if plan.lines_first:
            upper, lower = (_lines(lines, one, name) for one, name in zip(index, "ab", strict=True))
            mixed = _mixed((upper, lower), weights, plan.first, "down")
            picked = _picked(mixed, plan)
            levels = _mixed(picked, plan.weights, plan.last, "across")
        else:
            half = len(index[0])
            some = _lines(lines, np.concatenate(index) if len(index) == 2 else index[0], "a")
            picked = _grey(some, plan) if plan.grey else _picked(some, plan)
            mixed = _mixed(picked, plan.weights, plan.first, "across")
            levels = _mixed((mixed[:half], mixed[half:])[: len(index)], weights, plan.last, "down")
        levels += levels.dtype.type(whole // 2)
        levels //= levels.dtype.type(whole)
        part = out[rows]
        part[:, : plan.depth] = levels.reshape(len(part), plan.depth, -1)
        part[:, plan.depth :] = part[:, :1]


def _lines(lines: NDArray[np.uint8], index: NDArray[np.intp], name: str) -> NDArray[np.uint8]:
    some = _WORKSPACE.array("lines " + name, len(index), lines.shape[1], np.uint8)
    lines.take(index, axis=0, out=some, mode="clip")
    return some


def _picked(lines: NDArray[Any], plan: _Plan) -> tuple[NDArray[Any], ...]:
    """The columns that are mixed."""
    found = []
    for columns, name in zip(plan.columns, "ab", strict=False):
        taken = _WORKSPACE.array("columns " + name, len(lines), len(columns), lines.dtype.type)
        lines.take(columns, axis=1, out=taken, mode="clip")
        found.append(taken)
    return tuple(found)


def _grey(lines: NDArray[np.uint8], plan: _Plan) -> tuple[NDArray[Any], ...]:
    """As `_picked`, of the luma."""
    (columns,) = plan.columns
    taken = _WORKSPACE.array("columns", len(lines), len(columns), np.uint8)
    lines.take(columns, axis=1, out=taken, mode="clip")
    size = len(columns) // 3
    total, part = (_WORKSPACE.array("luma " + name, len(lines), size, np.uint32) for name in "ab")
    levels = _luma(taken[:, :size], taken[:, size : 2 * size], taken[:, 2 * size :], total, part)
    count = len(plan.across.index)
    return tuple(levels[:, number * size // count : (number + 1) * size // count] for number in range(count))


def _mixed(
    parts: tuple[NDArray[Any], ...],
    weights: tuple[NDArray[Any], ...],
    dtype: type[np.unsignedinteger[Any]],
    name: str,
) -> NDArray[Any]:
    """The sum of one or two arrays with their weights; one alone stays as it is, in numbers of `dtype`."""
    height, width = parts[0].shape
    total: NDArray[Any] = _WORKSPACE.array(name, height, width, dtype)
    if len(parts) == 1:
        total[...] = parts[0]
        return total
    second: NDArray[Any] = _WORKSPACE.array("second", height, width, dtype)
    np.multiply(parts[0], weights[0], out=total, dtype=dtype)
    np.multiply(parts[1], weights[1], out=second, dtype=dtype)
    total += second
    return total


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
