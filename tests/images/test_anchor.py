"""Which part of a picture a crop keeps: nine anchors, each of three places in either direction."""

from __future__ import annotations

import numpy as np
import pytest

from convert.images import ANCHORS, CENTRE, Anchor, Frame, Framing, ResizeMode, anchor_name, crop_area
from convert.images.resizing import Resizing
from convert.images.scaling import as_sdk, fit_shortest, interpolate

_PLACES = {"left": 0, "top": 0, "right": 40, "bottom": 40}
"""What is cut off in front of the kept part, of 40 pixels; 20 in the middle."""


def places(anchor: Anchor) -> tuple[int, int]:
    """Columns and rows in front of it, from the words."""
    words = anchor_name(anchor).split()
    across, down = (next((_PLACES[word] for word in words if word in side), 20) for side in (_ACROSS, _DOWN))
    return across, down


_ACROSS, _DOWN = {"left", "right"}, {"top", "bottom"}


def test_each_has_its_words() -> None:
    assert [anchor_name(anchor) for anchor in ANCHORS] == [
        "top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right",
    ]  # fmt: skip


@pytest.mark.parametrize("anchor", ANCHORS)
def test_a_crop_begins_where_the_words_say(anchor: Anchor) -> None:
    across, down = places(anchor)
    assert crop_area(120, 80, (8, 8), anchor=anchor) == (across, 0, 80, 80)
    assert crop_area(80, 120, (8, 8), anchor=anchor) == (0, down, 80, 80)
    picture = np.random.default_rng(0).integers(0, 256, (80, 120, 3), np.uint8)
    wanted = interpolate(picture[:, across : across + 80], 16, 16)
    np.testing.assert_array_equal(fit_shortest(picture, 16, 16, anchor=anchor), wanted)
    turned = picture.transpose(1, 0, 2)
    wanted = interpolate(turned[down : down + 80], 16, 16)
    np.testing.assert_array_equal(fit_shortest(turned, 16, 16, anchor=anchor), wanted)


@pytest.mark.parametrize("anchor", ANCHORS)
def test_the_network_has_the_same_size_and_the_part_lies_elsewhere(anchor: Anchor) -> None:
    across, down = places(anchor)
    for frame, cut in ((Frame(3, 2), (across, 0, 80, 80)), (Frame(2, 3), (0, down, 80, 80))):
        framing = Framing(frame, (80, 80), anchor=anchor)
        assert framing.network == Framing(frame, (80, 80)).network
        assert framing.cut == framing.inside == cut
    assert Framing(Frame(3, 2), (80, 80), anchor=anchor).part == anchor_name((anchor[0], 0.5))
    assert Framing(Frame(2, 3), (80, 80), anchor=anchor).part == anchor_name((0.5, anchor[1]))
    resizing = Resizing(Frame(120, 80, in_pixels=True), (8, 8), ResizeMode.FIT_SHORTEST, anchor=anchor)
    assert resizing.cut == resizing.inside == (across, 0, 80, 80)
    assert (resizing.left, resizing.top) == (across, 0)
    upright = Resizing(Frame(80, 120, in_pixels=True), (8, 8), ResizeMode.FIT_SHORTEST, anchor=anchor)
    assert (upright.left, upright.top) == (0, down)


@pytest.mark.parametrize("mode", sorted(set(ResizeMode) - {ResizeMode.FIT_SHORTEST}))
def test_only_a_crop_has_an_anchor(mode: ResizeMode) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 50, 3), np.uint8)
    wanted = as_sdk(picture, (8, 8), mode, anchor=CENTRE)
    np.testing.assert_array_equal(as_sdk(picture, (8, 8), mode, anchor=(0, 0)), wanted)
