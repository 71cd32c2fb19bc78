"""Bilinear scaling on both its roads, against the rule in whole numbers: not one level may differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import InputError
from convert.simulate.geometry import Network, Rect, place
from convert.simulate.preprocess import preprocessor
from convert.simulate.preprocess_mix import mix
from convert.simulate.preprocess_pairs import _picks, fits, mix_pairs
from convert.simulate.settings import ColorFormat, NetworkType, ScalingFilter, Settings
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from convert.simulate.geometry import Placement

COLORS = (ColorFormat.RGB, ColorFormat.BGR)
_CONFIGURED = st.builds(
    Settings,
    st.just(NetworkType.CLASSIFIER),
    scaling_filter=st.just(ScalingFilter.BILINEAR),
    color=st.sampled_from(list(ColorFormat)),
    keep_aspect=st.booleans(),
    symmetric=st.booleans(),
    channels_last=st.booleans(),
)


def _frame(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def _sources(start: int, size: int, count: int, line: int) -> list[tuple[int, int, int]]:
    """For each pixel of a scaled line: two of the source and the second one's share, in parts of 2 * count."""
    found = []
    for number in range(count):
        first, share = divmod((2 * number + 1) * size - count, 2 * count)
        left, right = (min(min(max(each, 0), size - 1) + start, line - 1) for each in (first, first + 1))
        found.append((left, right, share))
    return found


def _exact(picture: NDArray[np.uint8], at: Placement, color: ColorFormat) -> NDArray[np.int64]:
    """[C,h,w] levels, in Python's integers."""
    if color is ColorFormat.GRAY and picture.shape[2] == 3:
        red, green, blue = picture.astype(object).transpose(2, 0, 1)
        bands = [(19595 * red + 38470 * green + 7471 * blue + 32768) // 65536]
    else:
        bands = list(picture.astype(object).transpose(2, 0, 1))
        bands = bands[::-1] if color is ColorFormat.BGR else bands
        bands = bands * 3 if color is not ColorFormat.GRAY and len(bands) == 1 else bands
    height, width = picture.shape[:2]
    down = _sources(at.top, at.source_height, at.height, height)
    across = _sources(at.left, at.source_width, at.width, width)
    levels = np.empty((len(bands), at.height, at.width), np.int64)
    whole = 4 * at.height * at.width
    for channel, band in enumerate(bands):
        for y, (upper, lower, low) in enumerate(down):
            for x, (left, right, far) in enumerate(across):
                high, near = 2 * at.height - low, 2 * at.width - far
                total = high * (near * band[upper, left] + far * band[upper, right])
                total += low * (near * band[lower, left] + far * band[lower, right])
                levels[channel, y, x] = (2 * total + whole) // (2 * whole)
    return levels


def _scaled(
    road: Callable[[NDArray[np.uint8], Placement, ColorFormat, NDArray[np.float32]], None],
    picture: NDArray[np.uint8],
    at: Placement,
    color: ColorFormat,
) -> NDArray[np.float32]:
    out = np.full((1 if color is ColorFormat.GRAY else 3, at.height, at.width), np.nan, np.float32)
    road(picture, at, color, out.transpose(1, 0, 2))
    return out


@examples(60)
@given(
    st.integers(1, 60), st.integers(1, 12).map(lambda eights: 8 * eights), st.integers(1, 8), st.integers(1, 8),
    st.sampled_from(COLORS), st.integers(0, 30), st.integers(0, 30), st.integers(0, 99),
)  # fmt: skip
def test_every_small_network_gets_exact_levels(
    height: int, width: int, high: int, wide: int, color: ColorFormat, left: int, top: int, seed: int
) -> None:
    """A network of 64 pixels or less: all shares fit in 16 bits, whatever is cut out of the frame."""
    picture = _frame(height, width, seed=seed)
    crop = Rect(min(left, width - 1), min(top, height - 1), width - left // 2, height - top // 2)
    try:
        at = place(width, height, Network(3, high, wide), crop=crop)
    except InputError:
        return  # nothing remains of the crop
    exact = _exact(picture, at, color)
    np.testing.assert_array_equal(_scaled(mix, picture, at, color), exact)
    if at.source_width >= wide and at.source_height >= high:
        assert fits(picture.shape, at, color)
        np.testing.assert_array_equal(_scaled(mix_pairs, picture, at, color), exact)


@examples(60)
@given(
    height=st.integers(2, 70), width=st.integers(2, 90), channels=st.sampled_from([1, 3]), high=st.integers(1, 20),
    wide=st.integers(1, 20), configured=_CONFIGURED, view=st.sampled_from(["whole", "mirrored", "every other"]),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_a_prepared_frame_is_exact(
    height: int, width: int, channels: int, high: int, wide: int, configured: Settings, view: str, seed: int
) -> None:
    """Padding is black, and frames need not be contiguous."""
    frame = {
        "whole": lambda: _frame(height, width, channels, seed),
        "mirrored": lambda: _frame(height, width, channels, seed)[::-1, ::-1],
        "every other": lambda: _frame(2 * height, 3 * width, channels, seed)[1::2, 2::3],
    }[view]()
    color = configured.color
    network = Network(1 if color is ColorFormat.GRAY else 3, high, wide)
    try:
        tensor, at = preprocessor(configured, network)(frame)
    except InputError:
        assert configured.keep_aspect  # less than a pixel wide
        return
    expected = np.zeros((network.channels, high, wide))
    view_ = at.view
    rows = slice(view_.offset_top, view_.offset_top + at.height)
    expected[:, rows, view_.offset_left : view_.offset_left + at.width] = _exact(frame, at, color)
    np.testing.assert_array_equal(tensor.transpose(2, 0, 1) if configured.channels_last else tensor, expected)


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (1280, 720), (1920, 1080), (96, 128)])
@pytest.mark.parametrize("color", COLORS)
def test_usual_frames_take_the_fast_road(size: tuple[int, int], color: ColorFormat) -> None:
    width, height = size
    picture = _frame(height, width)
    at = place(width, height, Network(3, 96, 96))
    assert fits(picture.shape, at, color)
    found = _scaled(mix_pairs, picture, at, color)
    np.testing.assert_array_equal(found, _scaled(mix, picture, at, color))
    part = slice(None, None, 19)  # pixel by pixel is slow
    np.testing.assert_array_equal(found[:, part, part], _exact_some(picture, at, color, part))


def _exact_some(picture: NDArray[np.uint8], at: Placement, color: ColorFormat, part: slice) -> NDArray[np.int64]:
    """`_exact` of some pixels, from float64 that holds every whole number in question."""
    height, width = picture.shape[:2]
    shares = []
    for start, size, count, line in (
        (at.top, at.source_height, at.height, height),
        (at.left, at.source_width, at.width, width),
    ):
        matrix = np.zeros((count, line))
        for number, (first, second, share) in enumerate(_sources(start, size, count, line)):
            matrix[number, first] += 2 * count - share
            matrix[number, second] += share
        shares.append(matrix[part])
    bands = picture.astype(float).transpose(2, 0, 1)[:: -1 if color is ColorFormat.BGR else 1]
    total = (shares[0] @ bands @ shares[1].T).astype(np.int64)
    whole = 4 * at.height * at.width
    levels: NDArray[np.int64] = (2 * total + whole) // (2 * whole)
    return levels


@pytest.mark.parametrize(
    ("shape", "network", "color"),
    [
        ((48, 64, 1), Network(3, 8, 8), ColorFormat.RGB),  # grey pictures
        ((48, 64, 3), Network(1, 8, 8), ColorFormat.GRAY),  # a luma
        ((48, 66, 3), Network(3, 8, 8), ColorFormat.RGB),  # lines end within an item
        ((48, 64, 3), Network(3, 50, 8), ColorFormat.RGB),  # grows
        ((48, 64, 3), Network(3, 8, 66), ColorFormat.RGB),
        ((480, 640, 3), Network(3, 97, 89), ColorFormat.RGB),  # sums of more than 16 bits
        ((480, 640, 3), Network(3, 240, 320), ColorFormat.RGB),  # large
    ],
)
def test_what_the_fast_road_leaves_to_the_other(
    shape: tuple[int, int, int], network: Network, color: ColorFormat
) -> None:
    assert not fits(shape, place(shape[1], shape[0], network), color)


def test_sums_that_just_fit() -> None:
    """130 pixels on 128 and two lines on one are shares of a 256th: 255 * 256 + 128 are below 2^16."""
    at = place(136, 2, Network(3, 1, 128), crop=Rect(0, 0, 130, 2))
    for picture in (np.full((2, 136, 3), 255, np.uint8), _frame(2, 136)):
        assert fits(picture.shape, at, ColorFormat.RGB)
        found = _scaled(mix_pairs, picture, at, ColorFormat.RGB)
        np.testing.assert_array_equal(found, _exact(picture, at, ColorFormat.RGB))
    more = place(136, 6, Network(3, 4, 128), crop=Rect(0, 0, 130, 6))
    assert not fits((6, 136, 3), more, ColorFormat.RGB)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=40), st.integers(1, 5))
def test_every_pair_is_picked_once_within_an_item(positions: list[int], rows: int) -> None:
    order, picks, behind = _picks(np.array(positions), rows)
    assert len(picks) <= 3
    assert sorted(np.concatenate(order).tolist()) == list(range(len(positions)))
    filled = np.concatenate([np.arange(pick.pairs.start, pick.pairs.stop) for pick in picks])
    assert filled.tolist() == list(range(len(positions) * rows))
    for pick, some in zip(picks, order, strict=True):
        begins = pick.start + 8 * pick.items + behind[some]
        assert begins.tolist() == [positions[each] for each in some]
        assert behind[some].min() >= 0
        assert behind[some].max() <= 2
