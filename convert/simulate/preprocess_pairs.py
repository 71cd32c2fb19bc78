"""Bilinear scaling of colour pictures to the small networks of classifiers, the exact result in less time.

NumPy's time goes into numbers that are picked one by one, and `take` needs no longer for an item of eight bytes than
for one byte. So the two pixels of a line that are mixed, six bytes beside each other, are picked as one item. Items
begin at every eighth byte, pixels at every third: a line is taken for items as often as needed (never more than three
times), with starts that leave each pair at most two bytes behind the start of an item. Then eight lanes are worked on
for each pixel of the result, of which two are worth nothing, until its levels are picked from the sums.

That pays where a picture becomes smaller, as neighbours are shared otherwise; where its lines are whole items and the
sums fit in 16 bits, as with the usual sizes of frames; and where a weight for every lane is not too much memory. A luma
has to be rounded before it is mixed, in 32 bits: that costs what the picking saves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from convert.simulate.preprocess_shares import bilinear, type_for
from convert.simulate.preprocess_workspace import WORKSPACE
from convert.simulate.settings import ColorFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.simulate.geometry import Placement

__all__ = ["fits", "mix_pairs"]

_PAIR = 8  # bytes of an item, and lanes
_COLORS = 3
_SPARE = _PAIR - 2 * _COLORS
_ITEM = np.dtype("V8")  # of bytes, because that may begin anywhere; an integer may not
_MOST = 2**15  # pixels of a result; their weights take 32 bytes each


@dataclass(frozen=True, slots=True, eq=False)
class _Pick:
    """Pairs of a line that are picked in one go.

    Attributes:
        start: byte of a line where its items begin.
        items: one for each pair.
        pairs: where they go, among those of all lines.
    """

    start: int
    items: NDArray[np.intp]
    pairs: slice


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What does not depend on the pixels.

    Attributes:
        lines: which are needed; upper and lower ones, where two are mixed.
        picks: of every line, behind each other.
        weights: [1 or 2 (as lines), lanes of all pairs], uint16.
        levels: where the sums [h,C,w] are among the lanes.
        whole: the sum of the weights of a number.
    """

    lines: tuple[NDArray[np.intp], ...]
    picks: tuple[_Pick, ...]
    weights: NDArray[np.uint16]
    levels: NDArray[np.intp]
    whole: np.uint16


def fits(shape: tuple[int, ...], placement: Placement, color: ColorFormat) -> bool:
    """Whether `mix_pairs` can scale a picture [H,W,C] so, and it pays."""
    if (
        shape[2] != _COLORS
        or color is ColorFormat.GRAY
        or shape[1] % _PAIR
        or placement.width * placement.height > _MOST
        or placement.width > placement.source_width
        or placement.height > placement.source_height
    ):
        return False
    down = bilinear(placement.source_height, placement.height)
    across = bilinear(placement.source_width, placement.width)
    return type_for(down.whole * across.whole) is np.uint16


def mix_pairs(picture: NDArray[np.uint8], placement: Placement, color: ColorFormat, out: NDArray[np.float32]) -> None:
    """Write the scaled picture, whole levels, to `out`.

    Args:
        picture: [H,W,3] RGB, C order.
        placement: what is cut out, and the size it gets; only if it `fits`.
        color: the network's channels, RGB or BGR.
        out: [h,C,w] float32 with any strides.
    """
    plan = _plan(picture.shape, placement, color)
    pairs = _picked(picture.reshape(len(picture), -1), plan)
    lanes = WORKSPACE.array("lanes", len(plan.weights), plan.weights.shape[1], np.uint16)
    np.copyto(lanes, pairs)
    lanes *= plan.weights
    sums = lanes[0]
    if len(lanes) == 2:
        sums += lanes[1]
    sums[:-_COLORS] += sums[_COLORS:]
    levels = WORKSPACE.array("levels", 1, len(plan.levels), np.uint16)[0]
    sums.take(plan.levels, out=levels, mode="clip")
    levels += plan.whole // 2
    levels //= plan.whole
    out[...] = levels.reshape(out.shape)


def _picked(picture: NDArray[np.uint8], plan: _Plan) -> NDArray[np.uint8]:
    """The lanes of all pairs, [1 or 2, n]."""
    pairs = WORKSPACE.array("pairs", len(plan.weights), plan.weights.shape[1], np.uint8)
    height, size = len(plan.lines[0]), picture.shape[1]
    # An item may begin in a line and end behind it: there is one more line for what is read then, and not used.
    copied = WORKSPACE.array("copied lines", height + 1, size, np.uint8)
    flat = copied.reshape(-1)
    items = [flat[pick.start :][: height * size].view(_ITEM).reshape(height, -1) for pick in plan.picks]
    for index, found in zip(plan.lines, pairs.view(_ITEM), strict=True):
        picture.take(index, axis=0, out=copied[:height], mode="clip")
        for pick, some in zip(plan.picks, items, strict=True):
            some.take(pick.items, axis=1, out=found[pick.pairs].reshape(height, -1), mode="clip")
    return pairs


@lru_cache(maxsize=16)
def _plan(shape: tuple[int, ...], placement: Placement, color: ColorFormat) -> _Plan:
    height, width, _ = shape
    down = bilinear(placement.source_height, placement.height).at(placement.top, height)
    across = bilinear(placement.source_width, placement.width).at(placement.left, width)
    rows, columns = placement.height, placement.width
    left = across.index[0]  # at a border both are the same pixel: what is beside it counts nothing
    shares = np.zeros((columns, 2), np.uint16)
    for index, weight in zip(across.index, across.weight or (np.ones(columns, np.uint32),), strict=True):
        shares[np.arange(columns), index - left] += weight.astype(np.uint16)
    order, picks, behind = _picks(left * _COLORS, rows)
    lane = behind[:, None] + _COLORS * np.arange(2)  # of the first colour of both pixels
    weights = np.zeros((columns, _PAIR), np.uint16)
    for channel in range(_COLORS):
        np.put_along_axis(weights, lane + channel, shares, 1)
    pairs = np.empty((rows, columns), np.intp)  # where each pixel's pair is
    lanes = np.empty((len(down.index), rows * columns, _PAIR), np.uint16)
    down_weight = np.stack(down.weight or (np.ones(rows, np.uint32),)).astype(np.uint16)
    for pick, some in zip(picks, order, strict=True):
        pairs[:, some] = np.arange(pick.pairs.start, pick.pairs.stop).reshape(rows, -1)
        into = lanes[:, pick.pairs].reshape(len(lanes), rows, len(some), _PAIR)
        np.multiply(down_weight[:, :, None, None], weights[some], out=into)
    band = np.arange(_COLORS)[:: -1 if color is ColorFormat.BGR else 1]
    return _Plan(
        down.index,
        picks,
        lanes.reshape(len(lanes), -1),
        ((pairs * _PAIR + behind)[:, None] + band[:, None]).reshape(-1),
        np.uint16(down.whole * across.whole),
    )


def _picks(
    positions: NDArray[np.intp], rows: int
) -> tuple[list[NDArray[np.intp]], tuple[_Pick, ...], NDArray[np.intp]]:
    """How to pick pairs that begin at these bytes: which of them together, how, and how far behind an item's start."""
    rest = positions % _PAIR
    behind = np.zeros_like(positions)
    order, picks = [], []
    end, before = -1, 0
    for start in np.unique(rest).tolist():
        if start > end:
            end = start + _SPARE
            some = np.flatnonzero((rest >= start) & (rest <= end))
            behind[some] = rest[some] - start
            pairs = slice(before * rows, (before + len(some)) * rows)
            picks.append(_Pick(start, positions[some] // _PAIR, pairs))
            order.append(some)
            before += len(some)
    return order, tuple(picks), behind
