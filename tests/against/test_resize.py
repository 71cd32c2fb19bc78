"""Where Edge Impulse's SDK puts pictures."""

from __future__ import annotations

import pytest
from convert.against.resize import place
from hypothesis import given
from hypothesis import strategies as st

from convert.artifacts import ResizeMode
from tests.examples import examples


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


@examples(200)
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
