"""The SDK's resize against its rule written pixel by pixel, and where pictures are put."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.against.resize import interpolate, place
from convert.artifacts import ResizeMode

_SIDE = st.integers(1, 40)


def _pixel(line: list[int], size: int, count: int, index: int) -> int:
    """One number of a line of `size` numbers as one of `count`."""
    position = index * (size * 16384 // count)
    first, share = position // 16384, position % 16384
    second = line[min(first + 1, size - 1)]
    return (line[first] * (16384 - share) + second * share + 8192) // 16384


@settings(max_examples=60, deadline=None)
@given(height=_SIDE, width=_SIDE, to_height=_SIDE, to_width=_SIDE, seed=st.integers(0, 99))
def test_interpolation_is_in_fixed_point_from_the_corner(
    height: int, width: int, to_height: int, to_width: int, seed: int
) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 1), np.uint8)
    lines = picture[..., 0].tolist()
    wide = [[_pixel(line, width, to_width, x) for x in range(to_width)] for line in lines]
    wanted = [
        [_pixel([line[x] for line in wide], height, to_height, y) for x in range(to_width)] for y in range(to_height)
    ]
    found = interpolate(picture, to_width, to_height)
    assert found.dtype == np.uint8
    assert found[..., 0].tolist() == wanted


def test_a_picture_of_the_right_size_stays_as_it_is() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (31, 17, 3), np.uint8)
    assert (interpolate(picture, 17, 31) == picture).all()


def test_halving_takes_every_second_pixel() -> None:
    """Aligned at the corner there is nothing to mix: this is what differs from pixels' centres."""
    picture = np.random.default_rng(1).integers(0, 256, (32, 64, 3), np.uint8)
    assert (interpolate(picture, 32, 16) == picture[::2, ::2]).all()


@pytest.mark.parametrize(
    ("frame", "model", "mode", "source", "target", "offset"),
    [
        ((320, 240), (96, 96), ResizeMode.SQUASH, (0, 0, 320, 240), (96, 96), (0, 0)),
        ((320, 240), (96, 96), ResizeMode.NONE, (0, 0, 320, 240), (96, 96), (0, 0)),
        ((320, 240), (96, 96), ResizeMode.FIT_SHORTEST, (40, 0, 240, 240), (96, 96), (0, 0)),
        ((240, 320), (96, 96), ResizeMode.FIT_SHORTEST, (0, 40, 240, 240), (96, 96), (0, 0)),
        ((1280, 720), (160, 96), ResizeMode.FIT_SHORTEST, (40, 0, 1200, 720), (160, 96), (0, 0)),
        ((320, 240), (96, 96), ResizeMode.FIT_LONGEST, (0, 0, 320, 240), (96, 72), (0, 12)),
        ((240, 320), (96, 96), ResizeMode.FIT_LONGEST, (0, 0, 240, 320), (72, 96), (12, 0)),
        ((1000, 1), (96, 96), ResizeMode.FIT_LONGEST, (0, 0, 1000, 1), (96, 1), (0, 47)),
        ((96, 96), (96, 96), ResizeMode.FIT_LONGEST, (0, 0, 96, 96), (96, 96), (0, 0)),
    ],
)
def test_where_a_picture_lies(
    frame: tuple[int, int],
    model: tuple[int, int],
    mode: ResizeMode,
    source: tuple[int, int, int, int],
    target: tuple[int, int],
    offset: tuple[int, int],
) -> None:
    found = place(*frame, model, mode)
    assert (found.left, found.top, found.source_width, found.source_height) == source
    assert (found.width, found.height) == target
    assert (found.view.offset_left, found.view.offset_top) == offset
    assert found.view.scale_x == target[0] / source[2]


@settings(max_examples=200)
@given(
    frame=st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
    model=st.tuples(st.integers(1, 320), st.integers(1, 320)),
    mode=st.sampled_from(ResizeMode),
)
def test_every_picture_fits(frame: tuple[int, int], model: tuple[int, int], mode: ResizeMode) -> None:
    found = place(*frame, model, mode)
    assert 0 <= found.left <= found.left + found.source_width <= frame[0]
    assert 0 <= found.top <= found.top + found.source_height <= frame[1]
    assert found.source_width >= 1
    assert found.source_height >= 1
    assert 1 <= found.width <= model[0] - found.view.offset_left
    assert 1 <= found.height <= model[1] - found.view.offset_top
    if mode is not ResizeMode.FIT_LONGEST:
        assert (found.width, found.height) == model
