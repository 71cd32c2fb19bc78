"""Bilinear scaling of 8-bit pictures of any size and colours, in whole numbers, in 16 bits where they are enough.

Where `convert.simulate.preprocess_pairs` fits, it is faster. This is for all others: it takes some rows at a time, and
its plans are small.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.simulate.preprocess_shares import LUMA, Axis, bilinear, type_for
from convert.simulate.preprocess_workspace import WORKSPACE
from convert.simulate.settings import ColorFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.simulate.geometry import Placement

__all__ = ["mix"]

_BLOCK = 2**19  # numbers that are worked on at a time: every call costs time, and so does what no cache holds

_WIDE = 4  # lines with so many times the bytes that are needed of them are thinned out before they are mixed


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

    down: Axis
    across: Axis
    columns: tuple[NDArray[np.intp], ...]
    weights: tuple[NDArray[Any], ...]
    blocks: tuple[tuple[slice, tuple[NDArray[np.intp], ...], tuple[NDArray[Any], ...]], ...]
    depth: int
    grey: bool
    lines_first: bool
    first: type[np.unsignedinteger[Any]]
    last: type[np.unsignedinteger[Any]]


def mix(picture: NDArray[np.uint8], placement: Placement, color: ColorFormat, out: NDArray[np.float32]) -> None:
    """Write the scaled picture, whole levels, to `out`.

    Args:
        picture: [H,W,3] RGB or [H,W,1], C order.
        placement: what is cut out, and the size it gets.
        color: the network's channels; a grey picture for an RGB network has three equal ones.
        out: [h,C,w] float32 with any strides.
    """
    plan = _plan(picture.shape, placement, color)
    lines = picture.reshape(len(picture), -1)
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


@lru_cache(maxsize=16)
def _plan(shape: tuple[int, ...], placement: Placement, color: ColorFormat) -> _Plan:
    height, width, channels = shape
    down = bilinear(placement.source_height, placement.height).at(placement.top, height)
    across = bilinear(placement.source_width, placement.width).at(placement.left, width)
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
    first = type_for(down.whole if lines_first else across.whole)
    last = type_for(whole)
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


def _lines(lines: NDArray[np.uint8], index: NDArray[np.intp], name: str) -> NDArray[np.uint8]:
    some = WORKSPACE.array("lines " + name, len(index), lines.shape[1], np.uint8)
    lines.take(index, axis=0, out=some, mode="clip")
    return some


def _picked(lines: NDArray[Any], plan: _Plan) -> tuple[NDArray[Any], ...]:
    """The columns that are mixed."""
    found = []
    for columns, name in zip(plan.columns, "ab", strict=False):
        taken = WORKSPACE.array("columns " + name, len(lines), len(columns), lines.dtype.type)
        lines.take(columns, axis=1, out=taken, mode="clip")
        found.append(taken)
    return tuple(found)


def _grey(lines: NDArray[np.uint8], plan: _Plan) -> tuple[NDArray[Any], ...]:
    """As `_picked`, of the luma."""
    (columns,) = plan.columns
    taken = WORKSPACE.array("columns", len(lines), len(columns), np.uint8)
    lines.take(columns, axis=1, out=taken, mode="clip")
    size = len(columns) // 3
    total, part = (WORKSPACE.array("luma " + name, len(lines), size, np.uint32) for name in "ab")
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
    total: NDArray[Any] = WORKSPACE.array(name, height, width, dtype)
    if len(parts) == 1:
        total[...] = parts[0]
        return total
    second: NDArray[Any] = WORKSPACE.array("second", height, width, dtype)
    np.multiply(parts[0], weights[0], out=total, dtype=dtype)
    np.multiply(parts[1], weights[1], out=second, dtype=dtype)
    total += second
    return total


def _luma(
    red: NDArray[np.uint8],
    green: NDArray[np.uint8],
    blue: NDArray[np.uint8],
    total: NDArray[np.uint32],
    part: NDArray[np.uint32],
) -> NDArray[np.uint32]:
    """In `total`; `part` is overwritten."""
    np.multiply(red, LUMA[0], out=total, dtype=np.uint32)
    for channel, weight in ((green, LUMA[1]), (blue, LUMA[2])):
        np.multiply(channel, weight, out=part, dtype=np.uint32)
        total += part
    total += 32768
    total >>= 16
    return total
