"""Pictures: which part of one a model gets; reading them, where they lie in an input, and scaling them there.

This module has how Edge Impulse brings pictures to a model's size, in words and whole pixels, and needs no library.

`Framing` says which part of a camera's frame a model that was trained on cropped pictures gets, in whole pixels. Edge
Impulse's "fit shortest axis" gives a w x h model the centre of a W x H picture: (w*H//h, H) where the picture is the
wider of the two, (W, h*W//w) otherwise. Gst-nvinfer can only scale. So the network gets the frame's aspect: as high as
the model (as wide, where the frame is the narrower), and the other side as near to the frame's aspect as a number
can be that is even where the model's is, so that the centre is exact. A whole frame is then scaled to it, stretched by
at most half a pixel in that side, and the graph cuts the model's picture out of the middle.

Its resize mode "crop" does the same with a crop anchor: which part of the picture stays, of three in each direction.

`Mark` is a line or zone on a frame, as a person gives it.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Final, TypeAlias

from convert.errors import PresetError

Anchor: TypeAlias = tuple[float, float]
"""Which shares of what a crop removes lie to the left of the rest and above it, each 0, 1/2 or 1."""

CENTRE: Final[Anchor] = (0.5, 0.5)
ANCHORS: Final[tuple[Anchor, ...]] = tuple((x, y) for y in (0.0, 0.5, 1.0) for x in (0.0, 0.5, 1.0))
"""All that there are: Edge Impulse's `cropAnchor` has nine values (deployment-metadata.json)."""


class ResizeMode(StrEnum):
    """How Edge Impulse brought pictures to the model's size (EI_CLASSIFIER_RESIZE_*)."""

    NONE = "none"
    FIT_SHORTEST = "fit-shortest"
    FIT_LONGEST = "fit-longest"
    SQUASH = "squash"


class ImageScaling(StrEnum):
    """What is done to pixel/255 before the model sees it (EI_CLASSIFIER_IMAGE_SCALING_*)."""

    NONE = "none"
    FROM_0_TO_255 = "0_255"
    TORCH = "torch"
    MINUS_1_TO_1 = "min1_1"
    MINUS_128_TO_127 = "min128_127"
    BGR_MINUS_IMAGENET_MEAN = "bgr_subtract_imagenet_mean"


_LARGEST = 65535  # pixels a side; no camera, decoder or muxer has more
_WIDEST = 8  # times as wide as high, or the other way round; panoramas of four cameras side by side are 7.1
_SHORT_SIDE = 1080  # pixels of a frame of which only the aspect is known: that of the SDK's sample streams
_HINT = "what the camera gives: 16:9, 4:3, 9:16, or pixels such as 1280x720"


@dataclass(frozen=True, slots=True)
class Frame:
    """The frames a bundle is made for.

    Attributes:
        width, height: in pixels, or only in proportion.
        in_pixels: which of the two.

    Raises:
        PresetError: no frame is like that.
    """

    width: int
    height: int
    in_pixels: bool = False

    def __post_init__(self) -> None:
        if not (1 <= self.width <= _LARGEST and 1 <= self.height <= _LARGEST):
            raise PresetError(f"a frame of {self} does not exist: a side is 1 to {_LARGEST}", hint=_HINT)
        if not Fraction(1, _WIDEST) <= self.aspect <= _WIDEST:
            raise PresetError(f"a frame of {self} is more than {_WIDEST} times as long as it is wide", hint=_HINT)

    def __str__(self) -> str:
        """As it is given on the command line."""
        return f"{self.width}{'x' if self.in_pixels else ':'}{self.height}"

    @property
    def aspect(self) -> Fraction:
        """Width over height."""
        return Fraction(self.width, self.height)

    @property
    def other(self) -> str:
        """Another camera's aspect or pixels, for examples."""
        wide = self.aspect != Fraction(4, 3)
        if self.in_pixels:
            return "640x480" if wide else "1280x720"
        return "4:3" if wide else "16:9"

    @property
    def in_file_names(self) -> str:
        """`16x9` (a proportion in lowest terms), or pixels: `1280x720`."""
        width, height = (self.width, self.height) if self.in_pixels else self.aspect.as_integer_ratio()
        return f"{width}x{height}"

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height; of a proportion those whose shorter side is 1080, both even."""
        if self.in_pixels:
            return self.width, self.height
        if self.aspect >= 1:
            return _nearest(_SHORT_SIDE * self.aspect, 0), _SHORT_SIDE
        return _SHORT_SIDE, _nearest(_SHORT_SIDE / self.aspect, 0)

    def within(self, width: int, height: int) -> tuple[int, int]:
        """The largest width and height of this aspect, even, inside the even sides `width` and `height`."""
        if self.aspect * height >= width:
            return width, min(height, _nearest(width / self.aspect, 0))
        return min(width, _nearest(height * self.aspect, 0)), height


@dataclass(frozen=True, slots=True)
class Framing:
    """A model with an input of the frame's aspect.

    Attributes:
        frame: what is scaled to `network`.
        model: width and height of the picture the model was trained on.
        anchor: which part of the frame the model sees.
    """

    frame: Frame
    model: tuple[int, int]
    anchor: Anchor = field(default=CENTRE, kw_only=True)

    @property
    def network(self) -> tuple[int, int]:
        """Width and height of the input."""
        width, height = self.model
        if self.frame.aspect * height >= width:
            return _nearest(height * self.frame.aspect, width), height
        return width, _nearest(width / self.frame.aspect, height)

    @property
    def left(self) -> int:
        """Columns of the input in front of the model's."""
        return int((self.network[0] - self.model[0]) * self.anchor[0])

    @property
    def top(self) -> int:
        """Rows of the input above the model's."""
        return int((self.network[1] - self.model[1]) * self.anchor[1])

    @property
    def inside(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of the model's picture in pixels of the network's."""
        return self.left, self.top, *self.model

    @property
    def cut(self) -> tuple[int, int, int, int] | None:
        """Left, top, width and height of what the graph cuts out of the input, in pixels; None where that is all."""
        return (self.left, self.top, *self.model) if self.crops else None

    @property
    def crops(self) -> bool:
        """Whether the input is larger than the model's picture; not where that has the frame's aspect already."""
        return self.network != self.model

    @property
    def does(self) -> str:
        """What the graph does to frames, a verb."""
        return "crops"

    @property
    def part(self) -> str:
        """Which part of the frame the model sees: "centre", "left", "bottom", ...; one side of a frame stays whole."""
        wider = self.frame.aspect * self.model[1] >= self.model[0]
        return anchor_name((self.anchor[0], 0.5) if wider else (0.5, self.anchor[1]))

    @property
    def stretch(self) -> float:
        """How much wider than in the frame everything is, as a share; negative: narrower."""
        width, height = self.network
        return float(Fraction(width, height) / self.frame.aspect - 1)

    @property
    def seen(self) -> float:
        """The share of the frame that the model sees."""
        return self.model[0] * self.model[1] / (self.network[0] * self.network[1])


def parse_frame(text: str) -> Frame:
    """`16:9` or `1280x720`.

    Raises:
        PresetError: neither.
    """
    found = re.fullmatch(r"\s*([0-9]{1,5})\s*([:xX×])\s*([0-9]{1,5})\s*", text, re.ASCII)  # noqa: RUF001 - a times sign
    if found is None:
        raise PresetError(f"{text!r} is no frame", hint=_HINT)
    return Frame(int(found[1]), int(found[3]), in_pixels=found[2] != ":")


_LINE_HINT = "give --line NAME:x1,y1,x2,y2 in shares of the frame, as --line door:0.1,0.6,0.9,0.6"
_ZONE_HINT = (
    "give --zone NAME:x1,y1;x2,y2;x3,y3 in quotes, in shares of the frame, as --zone 'desk:0,0.5;0.5,0.5;0.5,1'"
)
_MOST_MARKS = 32  # of each kind: each line is two entries with arrow and text, and more of them hide the picture
_LONGEST_NAME = 40  # characters; it is drawn beside the line


@dataclass(frozen=True, slots=True)
class Mark:
    """A line or zone that a person draws on a frame.

    Attributes:
        name: letters, digits, - and _.
        points: (x, y): two of a line, three or more of a zone.
        in_pixels: of the frame, whose size is said elsewhere; else in shares of its width and height, 0 to 1.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    in_pixels: bool = False

    def __str__(self) -> str:
        """As it is given on the command line."""
        pairs = [f"{x:g},{y:g}" for x, y in self.points]
        return f"{self.name}:{(';' if len(pairs) > 2 else ',').join(pairs)}"

    def pixels(self, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """The points in whole pixels of a frame of that width and height, all inside it."""
        scale = (1, 1) if self.in_pixels else size
        x, y = (
            [min(round(at * scale[axis]), size[axis] - 1) for at in each]
            for axis, each in enumerate(zip(*self.points, strict=True))
        )
        return tuple(zip(x, y, strict=True))


def parse_line(text: str) -> Mark:
    """`door:0.1,0.6,0.9,0.6`, or the same in pixels: whole numbers, one of them above 1.

    Raises:
        PresetError: no line; the hint has an example.
    """
    name, rest = _named(text, "line", _LINE_HINT)
    numbers = _numbers(name, rest.split(","), _LINE_HINT)
    if len(numbers) != 4:
        raise PresetError(f"line {name}: a line has four numbers, and this has {len(numbers)}", hint=_LINE_HINT)
    mark = _mark(name, numbers, _LINE_HINT)
    if mark.points[0] == mark.points[1]:
        raise PresetError(f"line {name}: both ends are one point", hint=_LINE_HINT)
    return mark


def parse_zone(text: str) -> Mark:
    """`desk:0,0.5;0.5,0.5;0.5,1`, or the same in pixels; raises as `parse_line`."""
    name, rest = _named(text, "zone", _ZONE_HINT)
    corners = [each.split(",") for each in rest.strip().strip(";").split(";")]
    if any(len(each) != 2 for each in corners):
        raise PresetError(f"zone {name}: each corner is two numbers x,y, with ; between corners", hint=_ZONE_HINT)
    mark = _mark(name, _numbers(name, [one for each in corners for one in each], _ZONE_HINT), _ZONE_HINT)
    if len(set(mark.points)) < 3:
        raise PresetError(f"zone {name} has fewer than three corners", hint=_ZONE_HINT)
    around = zip(mark.points, (*mark.points[1:], mark.points[0]), strict=True)
    if not math.fsum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in around):
        raise PresetError(f"zone {name} has no area, or its sides cross", hint=_ZONE_HINT)
    return mark


def refuse_marks(what: str, marks: Sequence[Mark], frame: Frame | None) -> None:
    """Raise PresetError for lines or zones (`what`) that do not fit the frame, or are too many, or of one name."""
    if len(marks) > _MOST_MARKS:
        raise PresetError(f"{len(marks)} {what}s were given", hint=f"give at most {_MOST_MARKS}")
    for number, mark in enumerate(marks):
        if mark.name in {each.name for each in marks[:number]}:
            raise PresetError(f"two {what}s are called {mark.name}", hint="give each a name of its own")
        if not mark.in_pixels:
            continue
        if frame is None or not frame.in_pixels:
            message = f"{what} {mark.name} is in pixels, and of what frame is not said"
            hint = "give shares of the frame from 0 to 1, or with convert --frame WIDTHxHEIGHT, too, as 1280x720"
            raise PresetError(message, hint=hint)
        if any(x > frame.width or y > frame.height for x, y in mark.points):
            message = f"{what} {mark.name} leaves the frame of {frame}"
            raise PresetError(message, hint=f"x is 0 to {frame.width}, y 0 to {frame.height}")


def _named(text: str, what: str, hint: str) -> tuple[str, str]:
    name, colon, rest = text.partition(":")
    if not colon:
        raise PresetError(f"{text!r} is no {what}: it has no name", hint=hint)
    if not re.fullmatch(rf"[A-Za-z0-9_-]{{1,{_LONGEST_NAME}}}", name):
        message = f"a {what} cannot be called {name!r}"
        raise PresetError(message, hint=f"use 1 to {_LONGEST_NAME} letters, digits, - and _ only, as door")
    return name, rest


def _numbers(name: str, texts: Sequence[str], hint: str) -> list[float]:
    numbers: list[float] = []
    with contextlib.suppress(ValueError):
        numbers += map(float, texts)
    if len(numbers) < len(texts) or not all(map(math.isfinite, numbers)):
        raise PresetError(f"{name}: {','.join(texts)} holds something that is no number", hint=hint)
    return numbers


def _mark(name: str, numbers: Sequence[float], hint: str) -> Mark:
    """Pixels where all are whole and one is above 1."""
    in_pixels = all(map(float.is_integer, numbers)) and max(numbers) > 1
    if min(numbers) < 0 or not (in_pixels or max(numbers) <= 1):
        raise PresetError(f"{name} leaves the frame, which is 0 to 1 wide and high", hint=hint)
    return Mark(name, tuple(zip(numbers[::2], numbers[1::2], strict=True)), in_pixels)


def anchor_name(anchor: Anchor) -> str:
    """The part of a picture that is kept: "centre", "left", "top right", ..."""
    x, y = {0.0: "left", 1.0: "right"}.get(anchor[0], ""), {0.0: "top", 1.0: "bottom"}.get(anchor[1], "")
    return f"{y} {x}".strip() or "centre"


def crop_area(width: int, height: int, model: tuple[int, int], *, anchor: Anchor = CENTRE) -> tuple[int, int, int, int]:
    """Left, top, width and height of what Edge Impulse cuts out of a picture for a model of that width and height."""
    wide, high = model
    if width * high >= height * wide:
        kept = max(1, wide * height // high), height
    else:
        kept = width, max(1, high * width // wide)
    return int((width - kept[0]) * anchor[0]), int((height - kept[1]) * anchor[1]), *kept


def _nearest(size: Fraction, like: int) -> int:
    """The whole number nearest to `size` that is even if `like` is; of two the smaller, but not less than 1."""
    parity = like % 2
    steps = -((-(size - parity) / 2 + Fraction(1, 2)) // 1)
    return max(parity or 2, parity + 2 * int(steps))
