"""Scaling against the rules written pixel by pixel, in whole numbers: not one level may differ."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convert.errors import InputError
from convert.images import crop_area
from convert.images.scaling import (
    Network,
    Rect,
    ScalingFilter,
    approximation,
    fit_shortest,
    interpolate,
    luma,
    place,
    scale,
)
from tests.examples import examples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.images.scaling import Placement

BILINEAR = ScalingFilter.BILINEAR
_SIDE = st.integers(1, 40)


def _frame(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def _scaled(picture: NDArray[np.uint8], network: Network, scaling: ScalingFilter = BILINEAR) -> NDArray[np.uint8]:
    return scale(picture, place(picture.shape[1], picture.shape[0], network), scaling)


def _sources(start: int, size: int, count: int, line: int) -> list[tuple[int, int, int]]:
    """For each pixel of a scaled line: two of the source and the second one's share, in parts of 2 * count."""
    found = []
    for number in range(count):
        first, share = divmod((2 * number + 1) * size - count, 2 * count)
        left, right = (min(min(max(each, 0), size - 1) + start, line - 1) for each in (first, first + 1))
        found.append((left, right, share))
    return found


def _exact(picture: NDArray[np.uint8], at: Placement) -> NDArray[np.int64]:
    """[h,w,C] bilinear levels; float64 holds every whole number in question."""
    height, width = picture.shape[:2]
    down, across = (
        _weights(_sources(start, size, count, line), count, line)
        for start, size, count, line in (
            (at.top, at.source_height, at.height, height),
            (at.left, at.source_width, at.width, width),
        )
    )
    total = np.stack([down @ band @ across.T for band in picture.astype(float).transpose(2, 0, 1)], axis=-1)
    whole = 4 * at.height * at.width
    levels: NDArray[np.int64] = (2 * total.astype(np.int64) + whole) // (2 * whole)
    return levels


def _weights(sources: list[tuple[int, int, int]], count: int, line: int) -> NDArray[np.float64]:
    matrix = np.zeros((count, line))
    for number, (first, second, share) in enumerate(sources):
        matrix[number, first] += 2 * count - share
        matrix[number, second] += share
    return matrix


def _grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    levels = (picture.astype(np.int64) @ np.array([19595, 38470, 7471]) + 32768) >> 16
    grey: NDArray[np.uint8] = levels.astype(np.uint8)[:, :, None]
    return grey


@examples(80)
@given(
    frame=st.tuples(st.integers(1, 120), st.integers(1, 200), st.sampled_from([1, 3])),
    network=st.tuples(st.integers(1, 70), st.integers(1, 70)), grey=st.booleans(),
    cut=st.none() | st.tuples(st.integers(0, 60), st.integers(0, 60)), seed=st.integers(0, 99),
)  # fmt: skip
def test_bilinear_is_exact(
    frame: tuple[int, int, int], network: tuple[int, int], grey: bool, cut: tuple[int, int] | None, seed: int
) -> None:
    """Fractions in whole numbers, halves up, of whole frames and of objects."""
    height, width, channels = frame
    picture = _frame(*frame, seed)
    crop = None
    if cut is not None:
        left, top = cut
        crop = Rect(min(left, width - 1), min(top, height - 1), width - left // 2, height - top // 2)
    try:
        at = place(width, height, Network(3, *network), crop=crop)
    except InputError:
        return  # nothing remains of the crop
    found = scale(picture, at, BILINEAR, grey=grey)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, _exact(_grey(picture) if grey and channels == 3 else picture, at))
    by_columns = np.ascontiguousarray(picture.swapaxes(0, 1)).swapaxes(0, 1)
    np.testing.assert_array_equal(scale(by_columns, at, BILINEAR, grey=grey), found)
    random = np.random.default_rng(seed)
    some = np.flatnonzero(random.random(at.height) < 0.3), np.flatnonzero(random.random(at.width) < 0.3)
    if all(each.size for each in some):
        np.testing.assert_array_equal(scale(picture, at, BILINEAR, grey=grey, only=some), found[np.ix_(*some)])


@pytest.mark.parametrize("size", [(320, 240), (640, 480), (1280, 720), (1920, 1080), (96, 128)])
@pytest.mark.parametrize("network", [(96, 96), (97, 89), (200, 320)], ids=str)
@pytest.mark.parametrize("grey", [False, True])
def test_usual_frames_and_networks(size: tuple[int, int], network: tuple[int, int], grey: bool) -> None:
    """Small and large networks, which are computed in several blocks; sums of 16 bits, and of more."""
    width, height = size
    picture = _frame(height, width)
    at = place(width, height, Network(3, *network))
    np.testing.assert_array_equal(
        scale(picture, at, BILINEAR, grey=grey), _exact(_grey(picture) if grey else picture, at)
    )


@pytest.mark.parametrize("grey", [False, True])
def test_large_networks_are_computed_in_blocks(grey: bool) -> None:
    picture, at = _frame(1080, 1920), place(1920, 1080, Network(3, 900, 1200))
    tracemalloc.start()
    try:
        found = scale(picture, at, BILINEAR, grey=grey)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < found.nbytes + 4_000_000  # all at once it would be 40 MB


@pytest.mark.parametrize(("height", "crop"), [(2, Rect(0, 0, 130, 2)), (6, Rect(0, 0, 130, 6))])
def test_sums_that_just_fit_in_16_bits_and_just_do_not(height: int, crop: Rect) -> None:
    """130 pixels on 128 and two lines on one are shares of a 256th: 255 * 256 + 128 are below 2^16."""
    at = place(136, height, Network(3, 1 if height == 2 else 4, 128), crop=crop)
    for picture in (np.full((height, 136, 3), 255, np.uint8), _frame(height, 136)):
        np.testing.assert_array_equal(scale(picture, at, BILINEAR), _exact(picture, at))


@pytest.mark.parametrize("scaling", [ScalingFilter.NEAREST, ScalingFilter.DEFAULT])
@pytest.mark.parametrize("size", [(2, 2), (10, 14), (64, 30), (7, 200)])
def test_nearest_takes_the_pixel_at_the_centre(size: tuple[int, int], scaling: ScalingFilter) -> None:
    picture = _frame(*size)
    even = size[0] // 2 * 2
    rows = [min(int((i + 0.5) * even / 9), even - 1) for i in range(9)]
    columns = [min(int((i + 0.5) * size[1] / 13), size[1] - 1) for i in range(13)]
    np.testing.assert_array_equal(_scaled(picture, Network(3, 9, 13), scaling), picture[rows][:, columns])


@pytest.mark.parametrize("scaling", [ScalingFilter.NEAREST, BILINEAR])
def test_halving(scaling: ScalingFilter) -> None:
    """Bilinear is the mean of four pixels, halves rounded up; nearest the lower right one."""
    picture = np.array([[[10], [20], [1], [2]], [[30], [41], [2], [1]]], np.uint8)
    found = _scaled(picture, Network(3, 1, 2), scaling)[..., 0].tolist()
    assert found == ([[41, 1]] if scaling is ScalingFilter.NEAREST else [[25, 2]])


@pytest.mark.parametrize("scaling", list(ScalingFilter))
def test_one_colour_stays(scaling: ScalingFilter) -> None:
    picture = np.full((30, 46, 3), (1, 130, 255), np.uint8)
    found = _scaled(picture, Network(3, 17, 64), scaling)
    np.testing.assert_array_equal(found, np.full((17, 64, 3), (1, 130, 255)))


@pytest.mark.parametrize("scaling", list(ScalingFilter))
def test_a_picture_of_the_networks_size_is_untouched(scaling: ScalingFilter) -> None:
    picture = _frame(8, 6)
    np.testing.assert_array_equal(_scaled(picture, Network(3, 8, 6), scaling), picture)


@pytest.mark.parametrize("scaling", list(ScalingFilter))
def test_luma_is_taken_before_scaling(scaling: ScalingFilter) -> None:
    picture = _frame(24, 40)
    placement = place(40, 24, Network(1, 10, 14))
    found = scale(picture, placement, scaling, grey=True)
    assert found.shape == (10, 14, 1)
    np.testing.assert_array_equal(found, scale(luma(picture)[:, :, None], placement, scaling, grey=True))


@pytest.mark.parametrize("network", [Network(3, 8, 10), Network(3, 37, 45)], ids=["smaller", "larger"])
def test_a_crop_is_cut_at_even_pixels(network: Network) -> None:
    """What lies around it does not show, not even at its border."""
    picture = _frame(50, 60)
    placement = place(60, 50, network, crop=Rect(5.5, 9, 21, 17))
    alone = np.ascontiguousarray(picture[10:26, 6:26])
    for scaling in ScalingFilter:
        np.testing.assert_array_equal(scale(picture, placement, scaling), _scaled(alone, network, scaling))


def test_a_crop_behind_the_border_repeats_it() -> None:
    picture = _frame(51, 61)
    placement = place(61, 51, Network(3, 8, 8), crop=Rect(53, 43, 8, 8))  # 54..61 of 0..60
    found = scale(picture, placement, ScalingFilter.NEAREST)
    np.testing.assert_array_equal(found[:, -1], found[:, -2])
    np.testing.assert_array_equal(found[:7, :7], picture[44:51, 54:61])


def test_luma_is_that_of_jpeg() -> None:
    frame = _frame(64, 64)
    np.testing.assert_array_equal(luma(frame), np.asarray(Image.fromarray(frame).convert("L")))


def test_filters_that_are_only_near_say_so() -> None:
    said = {one: approximation(one) for one in ScalingFilter}
    exact = {ScalingFilter.NEAREST, BILINEAR, ScalingFilter.DEFAULT}
    assert {one for one, text in said.items() if not text} == exact
    assert [text for text in said.values() if text] == [
        "scaling-filter=2: cubic (GPU) or 5-tap (VIC) is approximated by Pillow's bicubic",
        "scaling-filter=3: super-sampling (GPU) or 10-tap (VIC) is approximated by the mean of the covered pixels",
        "scaling-filter=4: Lanczos (GPU) or smart (VIC) is approximated by Pillow's Lanczos",
        "scaling-filter=5: nicest (VIC; the GPU ignores it) is approximated by Pillow's bicubic",
    ]


# Edge Impulse's SDK


def _pixel(line: list[int], size: int, count: int, index: int) -> int:
    """One number of a line of `size` numbers as one of `count`."""
    position = index * (size * 16384 // count)
    first, share = position // 16384, position % 16384
    second = line[min(first + 1, size - 1)]
    return (line[first] * (16384 - share) + second * share + 8192) // 16384


@examples(60)
@given(height=_SIDE, width=_SIDE, to_height=_SIDE, to_width=_SIDE, seed=st.integers(0, 99))
def test_interpolation_is_in_fixed_point_from_the_corner(
    height: int, width: int, to_height: int, to_width: int, seed: int
) -> None:
    picture = _frame(height, width, 1, seed)
    lines = picture[..., 0].tolist()
    wide = [[_pixel(line, width, to_width, x) for x in range(to_width)] for line in lines]
    wanted = [
        [_pixel([line[x] for line in wide], height, to_height, y) for x in range(to_width)] for y in range(to_height)
    ]
    found = interpolate(picture, to_width, to_height)
    assert found.dtype == np.uint8
    assert found[..., 0].tolist() == wanted


def test_halving_takes_every_second_pixel() -> None:
    """Aligned at the corner there is nothing to mix: this is what differs from pixels' centres."""
    picture = _frame(32, 64)
    assert (interpolate(picture, 32, 16) == picture[::2, ::2]).all()


@examples(60)
@given(frame=st.tuples(_SIDE, _SIDE), model=st.tuples(_SIDE, _SIDE), channels=st.sampled_from([1, 3]))
def test_the_centre_alone_is_scaled(frame: tuple[int, int], model: tuple[int, int], channels: int) -> None:
    width, height = frame
    picture = _frame(height, width, channels)
    left, top, wide, high = crop_area(width, height, model)
    found = fit_shortest(picture, *model)
    assert found.shape == (model[1], model[0], channels)
    assert (found == interpolate(picture[top : top + high, left : left + wide], *model)).all()


@pytest.mark.parametrize("way", [fit_shortest, interpolate])
def test_a_frame_of_the_models_size_stays_as_it_is(way: Any) -> None:
    frame = _frame(7, 9)
    np.testing.assert_array_equal(way(frame, 9, 7), frame)


def test_only_the_middle_counts() -> None:
    frame = np.zeros((10, 30, 1), np.uint8)
    frame[:, 10:20] = 200
    assert (fit_shortest(frame, 5, 5) == 200).all()
    frame[:, 10:20], frame[:, :10], frame[:, 20:] = 0, 255, 255
    assert (fit_shortest(frame, 5, 5) == 0).all()
