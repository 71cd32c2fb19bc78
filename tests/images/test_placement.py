"""Where the picture lies in the network's input: the element's rounding."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import InputError
from convert.images import ResizeMode
from convert.images.scaling import Network, Placement, Rect, View, place, place_as_sdk
from tests.examples import examples

SIZES = st.integers(2, 4000)
NETWORKS = st.builds(Network, st.just(3), st.integers(8, 600), st.integers(8, 600))


def test_a_frame_is_squashed() -> None:
    placement = place(1920, 1080, Network(3, 96, 96))
    assert placement == Placement(0, 0, 1920, 1080, 96, 96, View(1920, 1080, 0.05, 96 / 1080))


def test_sizes_are_rounded_down_to_even() -> None:
    placement = place(1921, 1081, Network(3, 96, 96))
    assert (placement.source_width, placement.source_height) == (1920, 1080)
    assert (placement.view.frame_width, placement.view.frame_height) == (1921, 1081)


@pytest.mark.parametrize(
    ("frame", "network", "size", "offset"),
    [
        ((640, 480), (96, 96), (96, 72), (0, 12)),
        ((480, 640), (96, 96), (72, 96), (12, 0)),
        ((1920, 1080), (96, 170), (170, 95), (0, 0)),  # the scaled height is cut: 95.6 becomes 95
        ((1000, 333), (96, 96), (96, 31), (0, 32)),  # 65 rows of padding: the smaller half comes first
    ],
)
def test_the_aspect_is_kept(
    frame: tuple[int, int], network: tuple[int, int], size: tuple[int, int], offset: tuple[int, int]
) -> None:
    placement = place(*frame, Network(3, *network), keep_aspect=True, symmetric=True)
    assert (placement.width, placement.height) == size
    assert (placement.view.offset_left, placement.view.offset_top) == offset
    assert np.zeros(network)[placement.target].shape == size[::-1]
    alone = place(*frame, Network(3, *network), keep_aspect=True)
    assert (alone.view.offset_left, alone.view.offset_top) == (0, 0)
    assert alone.width == placement.width


def test_symmetric_padding_alone_changes_nothing() -> None:
    network = Network(3, 96, 96)
    assert place(640, 480, network, symmetric=True) == place(640, 480, network)


def test_an_objects_corner_is_rounded_up_and_its_size_down() -> None:
    placement = place(1920, 1080, Network(3, 320, 320), crop=Rect(101.9, 203.0, 301.2, 255.0))
    assert (placement.left, placement.top, placement.source_width, placement.source_height) == (102, 204, 300, 254)
    assert (placement.view.scale_x, placement.view.scale_y) == (320 / 300, 320 / 254)
    assert placement.source == (slice(204, 458), slice(102, 402))


@pytest.mark.parametrize("crop", [Rect(0, 0, 1.9, 50), Rect(0, 0, 50, 1), Rect(0, 0, math.nan, 50)])
def test_an_object_of_one_pixel_cannot_be_scaled(crop: Rect) -> None:
    with pytest.raises(InputError, match=r"^a picture narrower or lower than 2 pixels cannot be scaled: ") as caught:
        place(640, 480, Network(3, 96, 96), crop=crop)
    assert caught.value.hint == "leave out small objects with input-object-min-width and input-object-min-height"


@pytest.mark.parametrize(
    ("left", "top", "inside"),
    [(700, 10, False), (640, 10, False), (638, 10, True), (639, 10, False), (10, 480, False), (10, 478, True)],
)
def test_an_object_outside_of_the_frame(left: int, top: int, inside: bool) -> None:
    crop = Rect(left, top, 20, 20)
    if inside:
        assert place(640, 480, Network(3, 96, 96), crop=crop).left == left
        return
    even = left + left % 2, top + top % 2
    with pytest.raises(InputError, match=f"^the object at {even[0]},{even[1]} lies outside of the 640x480 frame$"):
        place(640, 480, Network(3, 96, 96), crop=crop)


def test_a_picture_too_narrow_for_its_height() -> None:
    said = r"^a {} picture is less than one pixel wide or high in a 96x96 network$"
    for width, height in ((2, 4000), (4000, 2)):
        with pytest.raises(InputError, match=said.format(f"{width}x{height}")) as caught:
            place(width, height, Network(3, 96, 96), keep_aspect=True)
        assert caught.value.hint == "its aspect is too extreme for maintain-aspect-ratio=1"
    assert place(2, 192, Network(3, 96, 96), keep_aspect=True).width == 1
    assert place(192, 2, Network(3, 96, 96), keep_aspect=True).height == 1


def test_an_empty_network() -> None:
    for sides in ((0, 96, 96), (3, 0, 96), (3, 96, -1)):
        said = "x".join(map(str, sides))
        with pytest.raises(InputError, match=rf"^the network input {said} \(channels, height, width\) is ") as caught:
            Network(*sides)
        assert caught.value.hint == "infer-dims, where it is given, is channels;height;width"
    assert Network(1, 1, 1).width == 1


@given(SIZES, SIZES, NETWORKS, st.booleans(), st.booleans())
def test_the_picture_always_lies_inside_the_network(
    width: int, height: int, network: Network, keep_aspect: bool, symmetric: bool
) -> None:
    try:
        placement = place(width, height, network, keep_aspect=keep_aspect, symmetric=symmetric)
    except InputError:
        return
    view = placement.view
    right, bottom = (
        network.width - placement.width - view.offset_left,
        network.height - placement.height - view.offset_top,
    )
    assert min(right, bottom, view.offset_left, view.offset_top) >= 0
    assert placement.width == network.width or placement.height == network.height
    if symmetric and keep_aspect:
        assert 0 <= right - view.offset_left <= 1
        assert 0 <= bottom - view.offset_top <= 1


@pytest.mark.parametrize(
    ("other", "share"),
    [
        (Rect(0, 0, 10, 20), 1),
        (Rect(5, 0, 10, 20), 1 / 3),
        (Rect(-5, 0, 10, 20), 1 / 3),
        (Rect(0, 10, 10, 20), 1 / 3),
        (Rect(0, -10, 10, 20), 1 / 3),
        (Rect(2, 5, 4, 5), 1 / 10),
        (Rect(10, 0, 10, 20), 0),
        (Rect(0, -20, 10, 20), 0),
        (Rect(30, 60, 10, 20), 0),
        (Rect(3, 3, 0, 0), 0),
    ],
)
def test_overlap_is_what_is_common_over_what_either_has(other: Rect, share: float) -> None:
    one = Rect(0, 0, 10, 20)
    assert one.overlap(other) == other.overlap(one) == pytest.approx(share)
    assert Rect(3, 3, 0, 0).overlap(Rect(3, 3, 0, 0)) == 0


# Edge Impulse's SDK


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
def test_where_edge_impulse_puts_a_picture(
    frame: tuple[int, int],
    model: tuple[int, int],
    mode: ResizeMode,
    source: tuple[int, int, int, int],
    target: tuple[int, int],
    offset: tuple[int, int],
) -> None:
    found = place_as_sdk(*frame, model, mode)
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
def test_every_picture_fits_for_edge_impulse(frame: tuple[int, int], model: tuple[int, int], mode: ResizeMode) -> None:
    found = place_as_sdk(*frame, model, mode)
    assert 0 <= found.left <= found.left + found.source_width <= frame[0]
    assert 0 <= found.top <= found.top + found.source_height <= frame[1]
    assert found.source_width >= 1
    assert found.source_height >= 1
    assert 1 <= found.width <= model[0] - found.view.offset_left
    assert 1 <= found.height <= model[1] - found.view.offset_top
    if mode is not ResizeMode.FIT_LONGEST:
        assert (found.width, found.height) == model
