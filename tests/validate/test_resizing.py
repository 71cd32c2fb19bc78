"""Edge Impulse's crop and resize against a loop over pixels."""

from __future__ import annotations

from math import floor

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.framing import centre_crop
from convert.validate.resizing import fit_shortest

SIDES = st.integers(1, 60)
FRAMES = st.tuples(SIDES, SIDES).filter(lambda size: size[0] <= 3 * size[1] and size[1] <= 3 * size[0])


@settings(max_examples=80, deadline=None)
@given(FRAMES, st.tuples(st.integers(1, 12), st.integers(1, 12)), st.sampled_from([1, 3]))
def test_any_frame(size: tuple[int, int], model: tuple[int, int], channels: int) -> None:
    frame = np.random.default_rng(sum(size)).integers(0, 256, (size[1], size[0], channels), np.uint8)
    left, top, wide, high = centre_crop(size[0], size[1], model)
    found = fit_shortest(frame, *model)
    assert found.shape == (model[1], model[0], channels)
    part = frame[top : top + high, left : left + wide].astype(float)
    for row in range(model[1]):
        for column in range(model[0]):
            y, x = row * high / model[1], column * wide / model[0]
            low, before = floor(y), floor(x)
            below, behind = min(low + 1, high - 1), min(before + 1, wide - 1)
            upper = part[low, before] + (part[low, behind] - part[low, before]) * (x - before)
            lower = part[below, before] + (part[below, behind] - part[below, before]) * (x - before)
            assert np.abs(found[row, column] - (upper + (lower - upper) * (y - low))).max() <= 0.51


def test_a_frame_of_the_models_size_stays_as_it_is() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    np.testing.assert_array_equal(fit_shortest(frame, 9, 7), frame)


def test_only_the_middle_counts() -> None:
    frame = np.zeros((10, 30, 1), np.uint8)
    frame[:, 10:20] = 200
    assert (fit_shortest(frame, 5, 5) == 200).all()
    frame[:, 10:20], frame[:, :10], frame[:, 20:] = 0, 255, 255
    assert (fit_shortest(frame, 5, 5) == 0).all()
