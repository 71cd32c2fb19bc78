"""Frames and what is cut out of them: against a straight reference in fractions, for any frame and model."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import PresetError
from convert.images import Frame, Framing, crop_area, parse_frame, parse_line, parse_zone, refuse_marks
from tests.examples import examples

_SIDES = st.integers(1, 3000)
FRAMES = st.tuples(_SIDES, _SIDES).filter(lambda size: size[1] <= 3 * size[0] and size[0] <= 3 * size[1])
MODELS = st.tuples(st.integers(1, 700), st.integers(1, 700))


@pytest.mark.parametrize(
    ("text", "width", "height", "in_pixels"),
    [
        ("16:9", 16, 9, False),
        ("9:16", 9, 16, False),
        ("4:3", 4, 3, False),
        ("1280x720", 1280, 720, True),
        ("1280X720", 1280, 720, True),
        (" 1280 \u00d7 720 ", 1280, 720, True),
        ("1x1", 1, 1, True),
        ("65535x65535", 65535, 65535, True),
        ("8:1", 8, 1, False),
    ],
)
def test_frames_that_there_are(text: str, width: int, height: int, in_pixels: bool) -> None:
    frame = parse_frame(text)
    assert frame == Frame(width, height, in_pixels)
    assert parse_frame(str(frame)) == frame


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "16", "16:", ":9", "16:9:4", "16-9", "16/9", "1.78", "1.78:1", "16:9x", "x", "wide", "16x9x3"),
        *(
            "0:9",
            "16:0",
            "0x0",
            "-16:9",
            "+16:9",
            "1e3x2",
            "0x10:9",
            "nan:1",
            "16:9\n4:3",
            "\uff11\uff16:\uff19",
            "١٦:٩",
        ),
        *("65536x1000", "99999x99999", "123456x7", "9:1", "1:9", "1000x1", "16:9;4:3", "16 9", "1280 720"),
    ],
)
def test_nonsense_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(PresetError) as caught:
        parse_frame(text)
    assert "16:9" in str(caught.value.hint)
    assert "1280x720" in str(caught.value.hint)


@given(st.text(max_size=12))
def test_any_text_is_a_frame_or_refused(text: str) -> None:
    try:
        frame = parse_frame(text)
    except PresetError:
        return
    assert 1 / 8 <= frame.width / frame.height <= 8


@pytest.mark.parametrize(
    ("frame", "model", "network"),
    [
        # docs of the product, and by hand
        ("16:9", (96, 96), (170, 96)),
        ("16:9", (160, 160), (284, 160)),
        ("16:9", (224, 224), (398, 224)),
        ("16:9", (320, 320), (568, 320)),
        ("4:3", (96, 96), (128, 96)),
        ("9:16", (96, 96), (96, 170)),
        ("1920x1080", (96, 96), (170, 96)),
        ("16:9", (97, 95), (169, 95)),
        ("4:3", (320, 240), (320, 240)),
        ("1:1", (320, 240), (320, 320)),
        ("1:1", (96, 96), (96, 96)),
    ],
)
def test_networks(frame: str, model: tuple[int, int], network: tuple[int, int]) -> None:
    framing = Framing(parse_frame(frame), model)
    assert framing.network == network
    assert framing.crops == (network != model)


@examples(300)
@given(FRAMES, MODELS)
def test_any_frame_and_model(size: tuple[int, int], model: tuple[int, int]) -> None:
    framing = Framing(Frame(*size, in_pixels=True), model)
    network, (wide, high) = framing.network, model
    # one side is the model's, the other not smaller, and what is left over halves evenly
    assert wide == network[0] or high == network[1]
    assert network[0] >= wide
    assert network[1] >= high
    assert (network[0] - 2 * framing.left, network[1] - 2 * framing.top) == model
    # no number of the same parity is nearer to the frame's aspect
    aspect = Fraction(*size)
    exact = (high * aspect, Fraction(high)) if aspect * high >= wide else (Fraction(wide), wide / aspect)
    assert max(abs(a - b) for a, b in zip(network, exact, strict=True)) <= 1
    assert framing.stretch == pytest.approx(float(Fraction(*network) / aspect) - 1)
    assert 0 < framing.seen <= 1


@examples(300)
@given(FRAMES, MODELS)
def test_what_is_seen_is_what_edge_impulse_crops(size: tuple[int, int], model: tuple[int, int]) -> None:
    """Its crop of the frame, brought into the network, has the model's edges within half a pixel of the network.

    Edge Impulse rounds its crop to whole pixels of the frame, and the network's longer side is rounded to two pixels.
    """
    framing = Framing(Frame(*size, in_pixels=True), model)
    left, top, wide, high = crop_area(*size, model)
    for axis, (start, length) in enumerate(((left, wide), (top, high))):
        per = framing.network[axis] / size[axis]
        begin = (framing.left, framing.top)[axis]
        assert abs(start * per - begin) <= 0.5 + per
        assert abs((start + length) * per - (begin + model[axis])) <= 0.5 + per


@pytest.mark.parametrize(
    ("size", "model", "crop"),
    [
        ((1920, 1080), (96, 96), (420, 0, 1080, 1080)),
        ((1080, 1920), (96, 96), (0, 420, 1080, 1080)),
        ((640, 480), (320, 240), (0, 0, 640, 480)),
        ((641, 480), (96, 96), (80, 0, 480, 480)),
        ((1000, 300), (3, 2), (275, 0, 450, 300)),
        ((1, 1), (96, 96), (0, 0, 1, 1)),
        ((3, 1), (1, 700), (1, 0, 1, 1)),
    ],
)
def test_edge_impulses_crop(size: tuple[int, int], model: tuple[int, int], crop: tuple[int, int, int, int]) -> None:
    assert crop_area(*size, model) == crop


@pytest.mark.parametrize(
    ("frame", "pixels", "window"),
    [
        ("16:9", (1920, 1080), (1280, 720)),
        ("4:3", (1440, 1080), (960, 720)),
        ("9:16", (1080, 1920), (404, 720)),
        ("1280x720", (1280, 720), (1280, 720)),
        ("641x479", (641, 479), (964, 720)),
        ("3:1", (3240, 1080), (1280, 426)),
    ],
)
def test_sizes_for_the_app(frame: str, pixels: tuple[int, int], window: tuple[int, int]) -> None:
    assert parse_frame(frame).pixels == pixels
    assert parse_frame(frame).within(1280, 720) == window


@pytest.mark.parametrize(
    ("text", "in_pixels", "said"),
    [
        ("a:0,0,1,1", False, ""), ("a:0.5,0,0.5,1", False, ""), ("a:0,0,2,1", True, ""), ("a:0,0,640,480", True, ""),
        ("a:0,0,1.5,1", None, "a leaves the frame"), ("a:0,-0.1,1,1", None, "a leaves the frame"),
        ("a:-1,0,9,9", None, "a leaves the frame"), ("a:0,0,x,1", None, "holds something that is no number"),
        ("a:0,0,inf,1", None, "holds something that is no number"), ("0,0,1,1", None, "it has no name"),
        (":0,0,1,1", None, "a line cannot be called ''"), ("a b:0,0,1,1", None, "a line cannot be called 'a b'"),
    ],
)  # fmt: skip
def test_ends_of_a_line(text: str, in_pixels: bool | None, said: str) -> None:
    if said:
        with pytest.raises(PresetError, match=f"^(a: .* |'0,0,1,1' is no line: |line )?{said}"):
            parse_line(text)
    else:
        assert parse_line(text).in_pixels is in_pixels


@pytest.mark.parametrize(
    ("corners", "said"),
    [
        ("0,0;1,0;1,1", ""), ("0,0;1,0;1,1;", ""), ("0,0;9,0;9,9", ""), ("0,0;1,0", "has fewer than three corners"),
        ("0,0;1,0;0,0", "has fewer than three corners"), ("0,0;0.5,0;1,0", "has no area"), ("0,0;1,0;1", "two numbers"),
        ("0,0;1,1;1,0;0,1", "has no area, or its sides cross"),
    ],
)  # fmt: skip
def test_corners_of_a_zone(corners: str, said: str) -> None:
    if said:
        with pytest.raises(PresetError, match=f"^zone a:? (each corner is )?{said}"):
            parse_zone(f"a:{corners}")
    else:
        assert len(parse_zone(f"a:{corners}").points) == 3


@pytest.mark.parametrize(
    ("text", "frame", "said"),
    [
        ("a:0,0,1280,720", "1280x720", ""), ("a:0,0,1281,720", "1280x720", "leaves the frame of 1280x720"),
        ("a:0,0,1280,721", "1280x720", "leaves the frame of 1280x720"),
        ("a:0,0,2,2", "16:9", "of what frame is not said"),
        ("a:0,0,1,1", "16:9", ""),
    ],
)  # fmt: skip
def test_marks_lie_in_their_frame(text: str, frame: str, said: str) -> None:
    marks = (parse_line(text), replace(parse_line(text), name="b"))
    if said:
        with pytest.raises(PresetError, match=f"^line a (is in pixels, and )?{said}"):
            refuse_marks("line", marks, parse_frame(frame))
    else:
        refuse_marks("line", marks, parse_frame(frame))
        with pytest.raises(PresetError, match=r"^two lines are called b"):
            refuse_marks("line", (*marks, marks[1]), parse_frame(frame))
