"""The SDK's resize against its rule written pixel by pixel, and its crop."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from convert.framing import centre_crop
from convert.resizing import fit_shortest, interpolate
from tests.examples import examples

_SIDE = st.integers(1, 40)


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


@examples(60)
@given(frame=st.tuples(_SIDE, _SIDE), model=st.tuples(_SIDE, _SIDE), channels=st.sampled_from([1, 3]))
def test_the_centre_alone_is_scaled(frame: tuple[int, int], model: tuple[int, int], channels: int) -> None:
    width, height = frame
    picture = np.random.default_rng(width).integers(0, 256, (height, width, channels), np.uint8)
    left, top, wide, high = centre_crop(width, height, model)
    found = fit_shortest(picture, *model)
    assert found.shape == (model[1], model[0], channels)
    assert (found == interpolate(picture[top : top + high, left : left + wide], *model)).all()


def test_a_frame_of_the_models_size_stays_as_it_is() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    np.testing.assert_array_equal(fit_shortest(frame, 9, 7), frame)


def test_only_the_middle_counts() -> None:
    frame = np.zeros((10, 30, 1), np.uint8)
    frame[:, 10:20] = 200
    assert (fit_shortest(frame, 5, 5) == 200).all()
    frame[:, 10:20], frame[:, :10], frame[:, 20:] = 0, 255, 255
    assert (fit_shortest(frame, 5, 5) == 0).all()
