"""Frames, lines and zones as a person gives them: limits from both sides, and what is said of those beyond."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from convert.errors import PresetError
from convert.images import (
    ANCHORS,
    CENTRE,
    Frame,
    Framing,
    ImageScaling,
    Mark,
    ResizeMode,
    anchor_name,
    crop_area,
    parse_frame,
    parse_line,
    parse_zone,
    refuse_marks,
)
from convert.images.resizing import Resizing, usual_size

if TYPE_CHECKING:
    from collections.abc import Callable

_FRAME = "what the camera gives: 16:9, 4:3, 9:16, or pixels such as 1280x720"
_LINE = "give --line NAME:x1,y1,x2,y2 in shares of the frame, as --line door:0.1,0.6,0.9,0.6"
_ZONE = "give --zone NAME:x1,y1;x2,y2;x3,y3 in quotes, in shares of the frame, as --zone 'desk:0,0.5;0.5,0.5;0.5,1'"
_PIXELS = "say it in pixels, --frame 1280x720 for example: the width and height that [streammux] has"
_OF_WHAT = "give shares of the frame from 0 to 1, or with convert --frame WIDTHxHEIGHT, too, as 1280x720"
_NAME = "use 1 to 40 letters, digits, - and _ only, as door"


@pytest.mark.parametrize(
    ("parse", "text", "message", "hint"),
    [
        (parse_frame, "wide", "'wide' is no frame", _FRAME),
        (parse_frame, "0:1", "a frame of 0:1 does not exist: a side is 1 to 65535", _FRAME),
        (parse_frame, "1:0", "a frame of 1:0 does not exist: a side is 1 to 65535", _FRAME),
        (parse_frame, "9000x65536", "a frame of 9000x65536 does not exist: a side is 1 to 65535", _FRAME),
        (parse_frame, "9:1", "a frame of 9:1 is more than 8 times as long as it is wide", _FRAME),
        (parse_frame, "1:9", "a frame of 1:9 is more than 8 times as long as it is wide", _FRAME),
        (parse_frame, "123456:1", "'123456:1' is no frame", _FRAME),
        (parse_line, "0,0,1,1", "'0,0,1,1' is no line: it has no name", _LINE),
        (parse_line, "a b:0,0,1,1", "a line cannot be called 'a b'", _NAME),
        (parse_line, f"{'a' * 41}:0,0,1,1", f"a line cannot be called '{'a' * 41}'", _NAME),
        (parse_line, "a:0,0,1,x", "a: 0,0,1,x holds something that is no number", _LINE),
        (parse_line, "a:0,0,1", "line a: a line has four numbers, and this has 3", _LINE),
        (parse_line, "a:0,0,0,0", "line a: both ends are one point", _LINE),
        (parse_line, "a:0,0,1,1.5", "a leaves the frame, which is 0 to 1 wide and high", _LINE),
        (parse_zone, "0,0;1,1", "'0,0;1,1' is no zone: it has no name", _ZONE),
        (parse_zone, "a:0,0;1;1,1", "zone a: each corner is two numbers x,y, with ; between corners", _ZONE),
        (parse_zone, "a:0,0;1,y;1,1", "a: 0,0,1,y,1,1 holds something that is no number", _ZONE),
        (parse_zone, "a:0,0;1,1", "zone a has fewer than three corners", _ZONE),
        (parse_zone, "a:0,0;0.5,0.5;1,1", "zone a has no area, or its sides cross", _ZONE),
        (parse_zone, "a:0,0;-1,0;1,1", "a leaves the frame, which is 0 to 1 wide and high", _ZONE),
        (parse_zone, "a b:0,0;1,0;1,1", "a zone cannot be called 'a b'", _NAME),
        (parse_zone, "a:0,0;1,0;1,1X", "a: 0,0,1,0,1,1X holds something that is no number", _ZONE),
        (parse_zone, "a:0,0;1,0;inf,1", "a: 0,0,1,0,inf,1 holds something that is no number", _ZONE),
    ],
)
def test_what_is_refused(parse: Callable[[str], object], text: str, message: str, hint: str) -> None:
    with pytest.raises(PresetError) as caught:
        parse(text)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("marks", "frame", "message", "hint"),
    [
        (["a:0,0,9,9"], None, "line a is in pixels, and of what frame is not said", _OF_WHAT),
        (["a:0,0,9,9"], "16:9", "line a is in pixels, and of what frame is not said", _OF_WHAT),
        (["a:0,0,9,9"], "8x9", "line a leaves the frame of 8x9", "x is 0 to 8, y 0 to 9"),
        (["a:0,0,8,8", "b:0,0,8,10"], "8x9", "line b leaves the frame of 8x9", "x is 0 to 8, y 0 to 9"),
        (["a:0,0,1,1", "a:0,0,1,0"], None, "two lines are called a", "give each a name of its own"),
        ([f"a{number}:0,0,1,1" for number in range(33)], None, "33 lines were given", "give at most 32"),
    ],
)
def test_lines_that_do_not_fit(marks: list[str], frame: str | None, message: str, hint: str) -> None:
    with pytest.raises(PresetError) as caught:
        refuse_marks("line", [parse_line(each) for each in marks], parse_frame(frame) if frame else None)
    assert caught.value.message == message
    assert caught.value.hint == hint


def test_marks_at_the_limits() -> None:
    line = parse_line(f"{'a' * 40}:0,0,8,9")
    refuse_marks("line", [line], parse_frame("8x9"))
    refuse_marks("line", [replace(line, name=str(each), in_pixels=False) for each in range(32)], None)


@pytest.mark.parametrize(
    ("text", "in_pixels"),
    [("8:1", False), ("1:8", False), ("65535x65535", True), (" 1280 X 720 ", True), ("1:1", False)],
)
def test_frames_at_the_limits(text: str, in_pixels: bool) -> None:
    frame = parse_frame(text)
    assert frame.in_pixels is in_pixels
    assert str(frame) == text.strip().replace(" ", "").replace("X", "x")
    assert str(parse_frame("4\u00d73")) == "4x3"


def test_a_frame_is_a_proportion_where_nothing_else_is_said() -> None:
    assert str(Frame(4, 3)) == "4:3"
    assert not Mark("a", ((0, 0), (1, 1))).in_pixels


def test_names_of_edge_impulse() -> None:
    assert [each.value for each in ResizeMode] == ["none", "fit-shortest", "fit-longest", "squash"]
    assert [each.value for each in ImageScaling] == [
        "none", "0_255", "torch", "min1_1", "min128_127", "bgr_subtract_imagenet_mean"
    ]  # fmt: skip


def test_parts_of_a_picture() -> None:
    assert (ANCHORS[1], ANCHORS[3], ANCHORS[4]) == ((0.5, 0), (0, 0.5), CENTRE)
    assert [anchor_name(each) for each in ANCHORS] == [
        "top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right"
    ]  # fmt: skip


def test_points_in_pixels() -> None:
    assert parse_line("a:0,0,2,1") == Mark("a", ((0, 0), (2, 1)), in_pixels=True)
    assert parse_line("a:0,0,1,1") == Mark("a", ((0, 0), (1, 1)))
    assert parse_line("a:0.5,0.25,1,1").pixels((640, 360)) == ((320, 90), (639, 359))
    assert parse_line("a:0,0,640,200").pixels((640, 360)) == ((0, 0), (639, 200))
    assert str(parse_zone(" a:0,0;9,0;9,5; ".strip())) == "a:0,0;9,0;9,5"


@pytest.mark.parametrize(
    ("text", "other", "name", "pixels"),
    [
        ("16:9", "4:3", "16x9", (1920, 1080)),
        ("32:18", "4:3", "16x9", (1920, 1080)),
        ("4:3", "16:9", "4x3", (1440, 1080)),
        ("1:1", "4:3", "1x1", (1080, 1080)),
        ("3:7", "4:3", "3x7", (1080, 2520)),
        ("7:16", "4:3", "7x16", (1080, 2468)),
        ("16:7", "4:3", "16x7", (2468, 1080)),
        ("1280x720", "640x480", "1280x720", (1280, 720)),
        ("640x480", "1280x720", "640x480", (640, 480)),
    ],
)
def test_a_frame_in_other_words(text: str, other: str, name: str, pixels: tuple[int, int]) -> None:
    frame = parse_frame(text)
    assert (frame.other, frame.in_file_names, frame.pixels) == (other, name, pixels)


@pytest.mark.parametrize(
    ("frame", "model", "network", "cut", "stretch", "seen"),
    [
        ("16:9", (96, 96), (170, 96), (37, 0, 96, 96), 170 / 96 * 9 / 16 - 1, 96 / 170),
        ("9:16", (96, 96), (96, 170), (0, 37, 96, 96), 96 / 170 * 16 / 9 - 1, 96 / 170),
        ("1:1", (96, 96), (96, 96), None, 0, 1),
        ("4:3", (160, 96), (160, 120), (0, 12, 160, 96), 0, 0.8),
        ("2:1", (160, 96), (192, 96), (16, 0, 160, 96), 0, 160 / 192),
    ],
)
def test_what_a_network_is_given(
    frame: str, model: tuple[int, int], network: Any, cut: Any, stretch: float, seen: float
) -> None:
    framing = Framing(parse_frame(frame), model)
    assert (framing.network, framing.cut, framing.part) == (network, cut, "centre")
    assert framing.inside == (cut or (0, 0, *model))
    assert [framing.stretch, framing.seen] == pytest.approx([stretch, seen])
    assert framing.does == "crops"


@pytest.mark.parametrize(
    ("frame", "model", "part"),
    [("5:4", (96, 72), "bottom"), ("4:3", (96, 72), "left"), ("3:2", (96, 72), "left"), ("2:3", (72, 96), "bottom")],
)
def test_of_an_anchor_the_side_that_is_cut_counts(frame: str, model: tuple[int, int], part: str) -> None:
    assert Framing(parse_frame(frame), model, anchor=(0, 1)).part == part


@pytest.mark.parametrize(
    ("frame", "model", "size"),
    [
        ("1920x1080", (96, 96), (640, 360)),
        ("1280x720", (96, 96), (640, 360)),
        ("1279x719", (96, 96), (1280, 720)),
        ("1280x720", (641, 96), (1280, 720)),
        ("1280x720", (96, 361), (1280, 720)),
        ("640x360", (96, 96), (640, 360)),
        ("320x240", (640, 480), (320, 240)),
        ("720x1280", (96, 96), (360, 640)),
        ("1x1", (96, 96), (2, 2)),
        ("3840x2160", (96, 96), (640, 360)),
        ("1366x768", (96, 96), (684, 384)),
    ],
)
def test_the_size_to_which_a_device_scales(frame: str, model: tuple[int, int], size: tuple[int, int]) -> None:
    assert usual_size(parse_frame(frame), model) == size


@pytest.mark.parametrize(
    ("frame", "message", "hint"),
    [
        ("16:9", "--resize graph needs the size of the frames in pixels, 16:9 is only their aspect", _PIXELS),
        (
            "641x480",
            "frames of 641x480 have an odd side; Gst-nvinfer leaves out its last pixel and would scale",
            "give [streammux] even sides, and say them: --frame 642x480",
        ),
        (
            "640x479",
            "frames of 640x479 have an odd side; Gst-nvinfer leaves out its last pixel and would scale",
            "give [streammux] even sides, and say them: --frame 640x480",
        ),
        (
            "4098x4096",
            "frames of 4098x4096 are too large for --resize graph: the engine would take 201 MB for each",
            "let [streammux] make them smaller, 4096 pixels a side at most, and give that size",
        ),
    ],
)
def test_frames_that_a_graph_cannot_resize(frame: str, message: str, hint: str) -> None:
    with pytest.raises(PresetError) as caught:
        Resizing(parse_frame(frame), (96, 96))
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("mode", "does", "cut", "inside", "stretch", "seen"),
    [
        (ResizeMode.SQUASH, "squashes", None, (0, 0, 640, 480), -0.25, 1),
        (ResizeMode.FIT_SHORTEST, "crops", (80, 0, 480, 480), (80, 0, 480, 480), 0, 0.75),
        (ResizeMode.FIT_LONGEST, "puts black bars around", None, (0, -80, 640, 640), 0, 1),
    ],
)
def test_what_a_graph_does_to_a_frame(
    mode: ResizeMode, does: str, cut: Any, inside: Any, stretch: float, seen: float
) -> None:
    exact = Resizing(parse_frame("640x480"), (96, 96), mode)
    assert (exact.does, exact.cut, exact.inside, exact.network) == (does, cut, inside, (640, 480))
    assert (exact.stretch, exact.seen, exact.megabytes) == (stretch, seen, 3.6864)
    assert exact.takes_any_shape is (mode is ResizeMode.SQUASH)
    assert exact.is_exact
    assert not replace(exact, scaled=(320, 240)).is_exact
    assert replace(exact, frame=Frame(4, 3), scaled=(320, 240)).network == (320, 240)
    assert Resizing(parse_frame("4096x4096"), (96, 96), mode).network == (4096, 4096)


def test_where_a_model_s_picture_lies_in_a_frame() -> None:
    """Of a model that is wider than high, cut out, with bars, and squashed."""
    frame = parse_frame("640x480")
    assert Resizing(frame, (160, 80), ResizeMode.FIT_SHORTEST).inside == (0, 80, 640, 320)
    assert Resizing(frame, (160, 60), ResizeMode.FIT_LONGEST).inside == (-320, 0, 1280, 480)
    assert Resizing(frame, (160, 80), ResizeMode.SQUASH).inside == (0, 0, 640, 480)
    corner = Resizing(frame, (160, 80), ResizeMode.FIT_SHORTEST, anchor=(0, 1))
    assert (corner.left, corner.top, corner.part) == (0, 160, "bottom")


@pytest.mark.parametrize("size", [(1000, 500), (500, 1000)])
def test_what_is_cut_off_lies_on_both_sides(size: tuple[int, int]) -> None:
    left, top, width, height = crop_area(*size, (96, 96))
    assert (2 * left + width, 2 * top + height) == size
    assert crop_area(*size, (96, 96), anchor=(0, 0))[:2] == (0, 0)
    left, top, width, height = crop_area(*size, (96, 96), anchor=(1, 1))
    assert (left + width, top + height) == size


def test_a_crop_has_at_least_a_pixel() -> None:
    assert crop_area(1000, 1, (1, 700)) == (499, 0, 1, 1)
    assert crop_area(1, 1000, (700, 1)) == (0, 499, 1, 1)
