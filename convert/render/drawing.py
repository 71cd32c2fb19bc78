"""Draws a picture with what DeepStream shows on it: boxes, labels and captions, or why nothing is shown.

Boxes and their labels are drawn on the picture; text about the whole picture stands on a strip below it, so that it
hides no pixel of a small picture. Labels are placed beside their box, inside the picture, and not on each other where
that can be avoided. The same picture and frame give the same pixels.

Each class has one style, in pictures and on the page. The seven colours are Okabe and Ito's palette for colour-blind
readers (jfly.uni-koeln.de/color, 2008; its black is left out: it is the outline of every box). Each also comes with a
white or a black core, which makes 21 styles.

Pillow's own font is used wherever it has every letter (it has ASCII and little more), so that the same label gives the
same pixels on every machine. Other labels are set in the first installed font of configs/report/fonts.toml that has all
of their letters. A character that no font has, or that has no shape (control and direction characters), is written as
its code point: `<30EA>`.
"""

from __future__ import annotations

import io
import math
import os
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from convert.files import load_toml

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.images.scaling import Rect
    from convert.simulate.results import DetectedObject, FrameResult, Shown

Colour = tuple[int, int, int]
"""Red, green, blue, 0..255."""

BLACK: Final[Colour] = (0, 0, 0)
WHITE: Final[Colour] = (255, 255, 255)

_PALETTE: Final[tuple[Colour, ...]] = (
    (86, 180, 233),  # sky blue
    (230, 159, 0),  # orange
    (0, 158, 115),  # bluish green
    (204, 121, 167),  # reddish purple
    (240, 228, 66),  # yellow
    (213, 94, 0),  # vermilion
    (0, 114, 178),  # blue
)


@dataclass(frozen=True, slots=True)
class Style:
    """How a class is drawn.

    Attributes:
        number: its index in `STYLES`.
        colour: of the line and of the label's ground.
        core: of a thinner line on the line; None without one.
    """

    number: int
    colour: Colour
    core: Colour | None = None

    @property
    def text(self) -> Colour:
        """Black or white, whichever stands out more on `colour` (relative luminance as in WCAG 2.1)."""
        luminance = _luminance(self.colour)
        return BLACK if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else WHITE

    @property
    def hex(self) -> str:
        """`colour` as in CSS."""
        return "#{:02x}{:02x}{:02x}".format(*self.colour)


STYLES: Final = tuple(
    Style(number, _PALETTE[number % len(_PALETTE)], (None, WHITE, BLACK)[number // len(_PALETTE)])
    for number in range(3 * len(_PALETTE))
)
"""All styles; a class's is `style_of(engine, class_id)`."""


def style_of(engine: int, class_id: int) -> Style:
    """Of a class of an engine (gie-unique-id); class 0 of engine 2 differs from class 0 of engine 1."""
    return STYLES[(class_id + 3 * (engine - 1)) % len(STYLES)]


def _luminance(colour: Colour) -> float:
    red, green, blue = (value / 3294.6 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


_ON_A_LABEL = 1000.0
_ON_A_BOX = 1.0
"""What a pixel of a label costs on another label and on another box: labels hide text last."""

_MOST_HIDDEN = 0.25  # of a label's pixels may lie on other labels; otherwise it has no room


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in whole pixels of the canvas; `right` and `bottom` are behind its last pixel."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True, eq=False)
class Chip:
    """A label: lines on a ground of the class's colour, `margin` pixels around them."""

    lines: tuple[Line, ...]
    style: Style
    margin: int

    @property
    def width(self) -> int:
        """Pixels."""
        return max(line.width for line in self.lines) + 2 * self.margin

    @property
    def height(self) -> int:
        """Pixels."""
        return sum(line.height for line in self.lines) + 2 * self.margin


def placed(chips: Sequence[Chip], boxes: Sequence[Area], others: Sequence[Area], within: Area) -> list[Area | None]:
    """A place for each chip, None where there is no room.

    Args:
        chips: the most important first: it has the choice.
        boxes: the box of each chip, inside `within`.
        others: boxes without a chip.
        within: what no chip leaves, unless it is larger.
    """
    sizes = np.array([(chip.width, chip.height) for chip in chips], float).reshape(-1, 2)
    drawn = np.array([(box.left, box.top, box.right, box.bottom) for box in [*boxes, *others]], float).reshape(-1, 4)
    places = _places(sizes, drawn[: len(chips)], within)
    areas = np.concatenate([drawn, np.zeros((len(chips), 4))])  # and the labels, each where it is when it has a place
    cost = np.repeat([_ON_A_BOX, _ON_A_LABEL], [len(drawn), len(chips)])
    found: list[Area | None] = []
    for index, (width, height) in enumerate(sizes):
        shared = _common(places[index], areas)
        shared[:, index] = 0  # its own box
        best = int((shared @ cost).argmin())  # the first of equals: `_places` begins with the best
        if shared[best, len(drawn) :].sum() > _MOST_HIDDEN * width * height:
            found.append(None)
        else:
            areas[len(drawn) + index] = places[index, best]
            found.append(Area(*map(int, places[index, best].tolist())))
    return found


def _places(sizes: NDArray[np.float64], boxes: NDArray[np.float64], within: Area) -> NDArray[np.float64]:
    """For labels of these sizes [n,2] above, inside, below, beside their boxes [n,4], moved into `within`: [n,12,4]."""
    (width, height), (left, top, right, bottom) = sizes.T, boxes.T
    over, inner, outer, low = top - height, right - width, left - width, bottom - height
    x = np.stack([left, inner, left, inner, left, right, outer, inner, left, inner, right, outer], axis=1)
    y = np.stack([over, over, bottom, bottom, top, top, top, top, low, low, low, low], axis=1)
    width, height = sizes[:, :1], sizes[:, 1:]
    x = np.maximum(within.left, np.minimum(x, within.right - width))
    y = np.maximum(within.top, np.minimum(y, within.bottom - height))
    return np.stack([x, y, x + width, y + height], axis=2)


def _common(places: NDArray[np.float64], areas: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each place [n,4] the pixels it shares with each area [m,4]: [n,m]."""
    left, top, right, bottom = places.T[:, :, None]
    width = np.minimum(right, areas[:, 2]) - np.maximum(left, areas[:, 0])
    height = np.minimum(bottom, areas[:, 3]) - np.maximum(top, areas[:, 1])
    shared: NDArray[np.float64] = np.maximum(width, 0) * np.maximum(height, 0)
    return shared


_NO_CHARACTER: Final = "\U0010fffe"  # no font has a glyph for it
_PROBE: Final = 16  # pixels, the size at which glyphs are compared
_MOST: Final = 1000  # characters of a text that are used


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One line, ready to be drawn at its baseline; `ascent` above it, `descent` below, all in pixels."""

    text: str
    font: ImageFont.FreeTypeFont
    width: int
    ascent: int
    descent: int

    @property
    def height(self) -> int:
        """Pixels from the highest to the lowest letter of the font."""
        return self.ascent + self.descent


def set_line(text: str, size: int, widest: int, suffix: str = "") -> Line:
    """`text` and `suffix` in `size` pixels; where they are wider than `widest` pixels, `text` ends in an ellipsis."""
    text = _one_line(text)
    path = _font_for(text + suffix)
    font, shown = _font(path, size), _visible(text, path)
    if _length(font, shown + suffix) > widest:
        room = widest - _length(font, suffix)  # of the longest beginning that fits with an ellipsis behind it
        ends = range(1, len(shown) + 1)
        fitting = bisect_right(ends, room, key=lambda end: _length(font, shown[:end].rstrip() + "…"))
        shown = shown[:fitting].rstrip() + "…"
    shown += suffix
    ascent, descent = font.getmetrics()
    return Line(shown, font, math.ceil(_length(font, shown)), ascent, descent)


def wrapped(text: str, size: int, widest: int, most: int) -> list[Line]:
    """`text` in at most `most` lines, broken at blanks; the last one is cut where it does not suffice."""
    words = _one_line(text).split()
    lines: list[Line] = []
    while words and len(lines) < most - 1:
        count = 1
        while count < len(words) and _fits(" ".join(words[: count + 1]), size, widest):
            count += 1
        lines.append(set_line(" ".join(words[:count]), size, widest))
        words = words[count:]
    return [*lines, set_line(" ".join(words), size, widest)] if words else lines


def number(value: float) -> str:
    """A confidence with three digits, never rounded up to 1 nor down to 0; 12.3 and nan as they are."""
    if not 0 < value < 1:
        return f"{value:.4g}"
    return f"{min(value, 0.9994):.3f}" if value >= 0.0005 else f"{value:.0e}"


def _one_line(text: str) -> str:
    """Composed, so that a font needs no accents of its own; every kind of blank is a blank."""
    composed = unicodedata.normalize("NFC", text[:_MOST])
    kept = "".join(" " if unicodedata.category(one) == "Zs" else one for one in composed)
    return kept + "…" if len(text) > _MOST else kept


def _fits(text: str, size: int, widest: int) -> bool:
    path = _font_for(text)
    return _length(_font(path, size), _visible(text, path)) <= widest


def _visible(text: str, path: str) -> str:
    return "".join(one if _has(path, one) else f"<{ord(one):04X}>" for one in text)


def _font_for(text: str) -> str:
    """The first font with all letters of `text`, "" for Pillow's own, which also serves where none has them all."""
    letters = [one for one in text if one.isprintable()]
    if all(_has("", one) for one in letters):
        return ""
    fitting = (path for path in _installed().values() if all(_has(path, one) for one in (*letters, *"<>…")))
    return next(fitting, "")


@lru_cache(maxsize=8192)
def _has(path: str, character: str) -> bool:
    """Whether the font has a shape for it; unassigned, control and direction characters have none anywhere."""
    if character == " ":
        return True
    if not character.isprintable():
        return False
    return _shape(path, character) != _shape(path, _NO_CHARACTER)


def _shape(path: str, character: str) -> tuple[object, bytes]:
    mask = _font(path, _PROBE).getmask(character)
    return mask.size, bytes(mask)


@lru_cache(maxsize=64)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    if path:
        return ImageFont.FreeTypeFont(path, size)  # truetype() would search for another one
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


@dataclass(frozen=True, slots=True, eq=False)
class _Glyph:
    """A letter of Pillow's own font: how much of each pixel it covers [h,w], 0..255, from `left`, `top` on.

    These are pixels from its place on the baseline; the next letter's place is `advance` pixels to the right.
    """

    cover: NDArray[np.uint8]
    left: int
    top: int
    advance: int


@lru_cache(maxsize=1024)
def _glyph(font: ImageFont.FreeTypeFont, character: str) -> _Glyph:
    mask, (left, top) = font.getmask2(character, "L", anchor="ls")
    cover = np.frombuffer(bytes(mask), np.uint8).reshape(mask.size[::-1])
    return _Glyph(cover, left, top, round(font.getlength(character)))


def _is_simple(font: ImageFont.FreeTypeFont) -> bool:
    """Whether it is Pillow's own, which sets letter beside letter: no pair is nearer, none has a form of its own."""
    return not isinstance(font.path, str)


def _length(font: ImageFont.FreeTypeFont, text: str) -> float:
    """`font.getlength(text)`."""
    return sum(_glyph(font, each).advance for each in text) if _is_simple(font) else font.getlength(text)


def _cover(line: Line) -> tuple[Image.Image, int, int]:
    """How much of each pixel a line in Pillow's own font covers, and its left and top from its place on the baseline.

    It is what FreeType makes of the text, in a quarter of the time: letters come again and again.
    """
    glyphs = [_glyph(line.font, each) for each in line.text]
    starts = list(accumulate((glyph.advance for glyph in glyphs), initial=0))
    lefts = [start + glyph.left for start, glyph in zip(starts, glyphs, strict=False)]
    left, top = min(lefts, default=0), min((glyph.top for glyph in glyphs), default=0)
    right = max((start + glyph.cover.shape[1] for start, glyph in zip(lefts, glyphs, strict=True)), default=0)
    bottom = max((glyph.top + len(glyph.cover) for glyph in glyphs), default=0)
    cover = np.zeros((bottom - top, right - left), np.uint8)
    end = left
    for start, glyph in zip(lefts, glyphs, strict=True):
        height, width = glyph.cover.shape
        here = cover[glyph.top - top :, start - left :][:height, :width]
        if start >= end:
            here[...] = glyph.cover
        else:  # they overlap: one on the other, rounded as Pillow does it
            product = here * np.uint32(1) * (255 - glyph.cover) + 128
            here[...] = np.minimum(glyph.cover + ((product >> 8) + product >> 8), 255)
        end = max(end, start + width)
    return Image.fromarray(cover), left, top


@cache
def _installed() -> dict[str, str]:
    """File name -> path of the fonts of that table on this machine that FreeType can open, in its order."""
    found: dict[str, str] = {}
    fonts = load_toml("report/fonts.toml")
    for root in fonts["roots"]:
        for path in sorted(Path(os.path.expanduser(root)).rglob("*.tt[fc]")):  # noqa: PTH111 - Path's raises without a home
            if path.name in fonts["families"] and path.name not in found and _opens(path):
                found[path.name] = str(path)
    return {name: found[name] for name in fonts["families"] if name in found}


def _opens(path: Path) -> bool:
    try:
        ImageFont.FreeTypeFont(str(path), _PROBE)
    except OSError:
        return False
    return True


MOST_LABELS: Final = 200
"""Objects of one picture that may get a label, the most confident ones; all get their box."""

_LEGIBLE: Final = 480  # pixels: the longer side of a picture that is drawn as it is
_NARROWEST: Final = 320  # pixels: the canvas, so that a strip of text fits under any picture
_SMALLEST_TEXT: Final = 14  # pixels
_PAGE_SIDE: Final = 960  # pixels: the longer side of a picture on the page
_SQUARES: Final = (
    4  # enlarged so often, PNG is smaller than JPEG (measured: 30 to 45 KB for 96x96, 44 to 35 for 160x160)
)
_FEW: Final = 8  # objects, which have room for large labels: the page shows half of a picture's width
_STRIP: Final[Colour] = (27, 31, 36)
_FAINT: Final[Colour] = (170, 178, 187)
_NOTHING: Final[Colour] = (255, 200, 60)
_COUNTED: Final[Colour] = (120, 230, 80)  # lines and zones
_PLAIN: Final[Colour] = (226, 230, 235)  # a frame without a picture
_NO_CANDIDATE: Final = "There was no candidate."


@dataclass(frozen=True, slots=True)
class _Scale:
    """From pixels of the picture to pixels of the canvas: `x`, `y` times as large, `left` to the right."""

    x: float
    y: float
    width: int
    height: int
    left: int
    text: int
    line: int

    @property
    def canvas(self) -> int:
        """The result's width."""
        return self.width + 2 * self.left

    def point(self, x: float, y: float) -> tuple[int, int]:
        """A point of the picture, moved inside it."""
        return self.left + _within(x * self.x, self.width - 1), _within(y * self.y, self.height - 1)

    def area(self, box: Rect) -> Area | None:
        """The box inside the picture, at least one pixel; None when a number of it is no number."""
        corners = (box.left, box.top, box.left + box.width, box.top + box.height)
        if not all(map(math.isfinite, corners)):
            return None
        left, right = (self.left + _within(corner * self.x, self.width) for corner in corners[::2])
        top, bottom = (_within(corner * self.y, self.height) for corner in corners[1::2])
        left, top = min(left, self.left + self.width - 1), min(top, self.height - 1)
        return Area(left, top, max(right, left + 1), max(bottom, top + 1))


def enlargement(width: int, height: int) -> int:
    """How many times as large a picture is drawn: each pixel becomes a square of so many.

    The longer side becomes at least 480 pixels, so that labels can be read: 96x96 is drawn 5 times as large.
    """
    return max(1, -(-_LEGIBLE // max(width, height)))


def draw(picture: NDArray[np.uint8], frame: FrameResult, *, large: bool = False, page: bool = False) -> Image.Image:
    """The picture as the screen shows it.

    Args:
        picture: RGB, uint8 [H,W,3], of the frame's size.
        frame: what the simulation found in it.
        large: a few objects have large labels.
        page: for `convert.render.page`: large labels, at most 960 pixels, and the strip says what is shown, but
            neither why nothing is nor how large the picture was.

    Returns:
        An RGB image: the picture, enlarged (see `enlargement`) or reduced, and where there is something to say of the
        whole of it a strip below; at least 320 pixels wide, narrower pictures have strips beside them.

    Raises:
        ValueError: the picture is not uint8 [H,W,3] of the frame's size.
    """
    if picture.shape != (frame.height, frame.width, 3) or picture.dtype.name != "uint8":
        raise ValueError(
            f"picture {frame.name!r} is {picture.dtype} {list(picture.shape)}, not uint8 "
            f"[{frame.height}, {frame.width}, 3]"
        )
    few = len(frame.objects) <= _FEW and (large or page)
    scale = _scale(frame.width, frame.height, 1 / 24 if few else 1 / 36, page=page)
    ground = _resized(Image.fromarray(picture), scale)
    areas = [scale.area(found.box) for found in frame.objects]
    labels = _labels(frame, scale, areas)
    lines = _strip(frame, scale, None if page else len(frame.objects) - len(labels))
    gap = scale.text // 2
    below = sum(line.height for line, _ in lines) + 2 * gap if lines else 0
    canvas = ground
    if (scale.left, below) != (0, 0):
        canvas = Image.new("RGB", (scale.canvas, scale.height + below), _STRIP)
        canvas.paste(ground, (scale.left, 0))
    pen = ImageDraw.Draw(canvas)
    for found, area in zip(frame.objects, areas, strict=True):
        if area is not None:
            _draw_box(pen, area, style_of(found.engine, found.class_id), scale.line)
    if not frame.shows:
        _draw_candidate(pen, frame, scale)
    for chip, place in reversed(labels):  # the best on top
        _draw_chip(pen, chip, place)
    if frame.counted:
        for found, id_ in zip(frame.objects, frame.counted.ids, strict=True):
            if id_:  # the point that is counted by
                x, y = scale.point(found.box.left + found.box.width / 2, found.box.top + found.box.height)
                pen.ellipse((x - scale.line, y - scale.line, x + scale.line, y + scale.line), fill=WHITE, outline=BLACK)
        _draw_shown(pen, frame.counted.shown, scale)
    top = scale.height + gap
    for line, colour in lines:
        write(pen, line, gap, top, colour)
        top += line.height
    return canvas


def suits_page(frame: FrameResult) -> bool:
    """Whether `draw` with large labels gives what can stand on the page: of its size, with nothing else below it."""
    return frame.shows and _LEGIBLE <= max(frame.width, frame.height) <= _PAGE_SIDE


def page_picture(picture: NDArray[np.uint8], frame: FrameResult) -> bytes:
    """What `draw` gives for `convert.render.page`, as a file.

    A PNG file where pixels were made squares of 16 and more, which is smaller then; JPEG otherwise.

    Raises:
        ValueError: as `draw`.
    """
    image = draw(picture, frame, page=True)
    if enlargement(frame.width, frame.height) >= _SQUARES:
        return png(image)
    return jpeg(image)


def jpeg(image: Image.Image) -> bytes:
    """The image as a JPEG file."""
    with os.fdopen(os.memfd_create("jpeg"), "w+b") as file:  # Pillow holds the interpreter lock without a descriptor
        image.save(file, "JPEG", quality=88, subsampling=0)  # halved colours would blur the labels
        file.seek(0)
        return file.read()


def png(image: Image.Image) -> bytes:
    """The image as a PNG file: no metadata, the same bytes each time."""
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def frame_of(drawn: Image.Image, frame: FrameResult) -> Image.Image:
    """What `draw` made, of the frame's own size: the strip lies over the bottom of the picture."""
    scale = _scale(frame.width, frame.height, 1 / 36)
    found = drawn.crop((scale.left, 0, scale.left + scale.width, scale.height))
    strip = drawn.crop((0, scale.height, min(drawn.width, scale.width), drawn.height))
    if strip.height:
        found.paste(strip, (0, max(0, scale.height - strip.height)))
    size = frame.width, frame.height
    return found if found.size == size else found.resize(size, Image.Resampling.BOX)


def _scale(wide: int, high: int, text: float, *, page: bool = False) -> _Scale:
    """`text`: the height of labels, as a share of a square's side that has the picture's area; 14 pixels at least."""
    longer, factor = max(wide, high), float(enlargement(wide, high))
    if page and longer > _PAGE_SIDE:
        factor = _PAGE_SIDE / longer
    width, height = (max(1, round(side * factor)) for side in (wide, high))
    left = max(0, -(-(_NARROWEST - width) // 2))
    side = math.sqrt(width * height)
    sizes = max(_SMALLEST_TEXT, round(side * text)), max(3, round(side / 270))
    return _Scale(width / wide, height / high, width, height, left, *sizes)


def _resized(image: Image.Image, scale: _Scale) -> Image.Image:
    if image.size == (scale.width, scale.height):
        return image
    grown = scale.width > image.width or scale.height > image.height
    kind = Image.Resampling.NEAREST if grown else Image.Resampling.BOX
    return image.resize((scale.width, scale.height), kind)


def _labels(frame: FrameResult, scale: _Scale, areas: Sequence[Area | None]) -> list[tuple[Chip, Area]]:
    """The labels there is room for and their places, the most confident object's first; `areas` are the objects'."""
    ids = frame.counted.ids if frame.counted else (0,) * len(frame.objects)
    boxed = [(found, area, id_) for found, area, id_ in zip(frame.objects, areas, ids, strict=True) if area is not None]
    boxed.sort(key=lambda one: math.inf if math.isnan(one[0].confidence) else -one[0].confidence)
    chips = [_chip(found, scale, id_) for found, _, id_ in boxed[:MOST_LABELS]]
    boxes = [area for _, area, _ in boxed]
    within = Area(0, 0, scale.canvas, scale.height)
    places = placed(chips, boxes[:MOST_LABELS], boxes[MOST_LABELS:], within)
    return [(chip, place) for chip, place in zip(chips, places, strict=True) if place is not None]


def _draw_box(pen: ImageDraw.ImageDraw, area: Area, style: Style, line: int) -> None:
    """A line of the class's colour with a dark edge on both sides: visible on any background."""
    out = line // 2
    box = (area.left - out, area.top - out, area.right - 1 + out, area.bottom - 1 + out)
    _outline(pen, box, BLACK, -1, line + 2)
    _outline(pen, box, style.colour, 0, line)
    if style.core is not None:
        inner = max(1, line // 3)
        _outline(pen, box, style.core, (line - inner) // 2, inner)


def _outline(pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], colour: Colour, inset: int, width: int) -> None:
    left, top, right, bottom = box[0] + inset, box[1] + inset, box[2] - inset, box[3] - inset
    if right - left < 2 * width or bottom - top < 2 * width:
        pen.rectangle((left, top, max(left, right), max(top, bottom)), fill=colour)
    else:
        pen.rectangle((left, top, right, bottom), outline=colour, width=width)


def _draw_shown(pen: ImageDraw.ImageDraw, marks: Sequence[Shown], scale: _Scale) -> None:
    """Lines and zones with their names and counts."""
    for shown in marks:
        points = [scale.point(*point) for point in shown.points]
        around = [*points, points[0]] if len(points) > 2 else points
        style = Style(-1, WHITE if shown.crossed else _COUNTED)
        pen.line(around, fill=BLACK, width=scale.line + 2)
        pen.line(around, fill=style.colour, width=scale.line)
        text = ", ".join(name if count is None else f"{name} {count}" for name, count in shown.counts)
        chip = Chip((set_line(text, scale.text, scale.canvas),), style, max(2, scale.text // 5))
        (x, y), width, height = points[1], chip.width, chip.height
        left, top = max(0, min(x - width // 2, scale.canvas - width)), max(0, min(y, scale.height - height))
        _draw_chip(pen, chip, Area(left, top, left + width, top + height))


def marks_picture(marks: Sequence[Shown], size: tuple[int, int], picture: NDArray[np.uint8] | None) -> bytes:
    """Lines and zones on a frame of `size`, before anything was counted, for the page of `inspect`.

    Args:
        marks: their points in pixels of the frame.
        size: width and height of the frame.
        picture: uint8 [H,W,3] of that size, RGB; None: a plain one with a grid of tenths.

    Returns:
        A JPEG file of a picture, a PNG file of the plain frame; at most 960 pixels.
    """
    scale = replace(_scale(*size, 1 / 36, page=True), left=0)
    if picture is not None:
        image = _resized(Image.fromarray(picture), scale)
    else:
        image = Image.new("RGB", (scale.width, scale.height), _PLAIN)
    pen = ImageDraw.Draw(image)
    for tenth in range(1, 10) if picture is None else ():
        x, y = scale.width * tenth // 10, scale.height * tenth // 10
        for line, at in (((x, 0, x, scale.height), (x + 2, 0)), ((0, y, scale.width, y), (2, y))):
            pen.line(line, fill=_FAINT)
            write(pen, set_line(f"{tenth / 10:g}", _SMALLEST_TEXT, scale.width), *at, _STRIP)
    _draw_shown(pen, marks, scale)
    return png(image) if picture is None else jpeg(image)


def _chip(found: DetectedObject, scale: _Scale, id_: int = 0) -> Chip:
    margin = max(2, scale.text // 5)
    widest = max(_NARROWEST, scale.canvas // 2) - 2 * margin
    small = max(_SMALLEST_TEXT - 2, round(scale.text * 0.85))
    name = _named(found.label, found.class_id)
    lines = [set_line(name, scale.text, widest, f" {number(found.confidence)}" + (f" #{id_}" if id_ else ""))]
    lines += [
        set_line(classification.label, small, widest, f" {number(classification.confidence)}")
        for classification in found.classifications
        if classification.label
    ]
    return Chip(tuple(lines), style_of(found.engine, found.class_id), margin)


def _draw_chip(pen: ImageDraw.ImageDraw, chip: Chip, place: Area) -> None:
    pen.rectangle((place.left, place.top, place.right - 1, place.bottom - 1), fill=chip.style.colour, outline=BLACK)
    top = place.top + chip.margin
    for line in chip.lines:
        write(pen, line, place.left + chip.margin, top, chip.style.text)
        top += line.height


def _draw_candidate(pen: ImageDraw.ImageDraw, frame: FrameResult, scale: _Scale) -> None:
    """A dashed box around the best candidate that had one."""
    candidate = next((one for one in frame.dropped if one.box is not None), None)
    area = scale.area(candidate.box) if candidate is not None and candidate.box is not None else None
    if area is None:
        return
    dash = 4 * scale.line
    for start, end, across in ((area.left, area.right, False), (area.top, area.bottom, True)):
        for edge in (area.top, area.bottom - 1) if not across else (area.left, area.right - 1):
            for piece, at in enumerate(range(start, end, dash)):
                stop = min(at + dash, end) - 1
                line = (edge, at, edge, stop) if across else (at, edge, stop, edge)
                pen.line(line, fill=_NOTHING if piece % 2 == 0 else BLACK, width=scale.line)


def _strip(frame: FrameResult, scale: _Scale, unlabelled: int | None) -> list[tuple[Line, Colour]]:
    """The lines of text below the picture, with their colours; the first part only where `unlabelled` is None."""
    widest = scale.canvas - scale.text
    lines: list[tuple[Line, Colour]] = []
    large = round(scale.text * 1.3)
    if frame.label:
        shown = [f"{one.label} {number(one.confidence)}" for one in frame.classifications if one.label]
        classification = ", ".join(shown) or frame.label.strip()
        lines += [(line, WHITE) for line in wrapped(classification, large, widest, 3)]
    if not frame.shows:
        lines += [(set_line("Nothing shown", large, widest), _NOTHING)]
    if unlabelled is None:
        return lines
    if not frame.shows:
        lines += [(line, WHITE) for line in wrapped(_why(frame), scale.text, widest, 4)]
    for remark in _remarks(frame, scale, unlabelled):
        lines += [(line, _FAINT) for line in wrapped(remark, scale.text, widest, 2)]
    return lines


def _why(frame: FrameResult) -> str:
    if not frame.dropped:
        return frame.notes[0] if frame.notes else _NO_CANDIDATE
    best = frame.dropped[0]
    return f"Best candidate: {_named(best.label, best.class_id)}: {best.why}"


def _remarks(frame: FrameResult, scale: _Scale, unlabelled: int) -> list[str]:
    remarks = []
    if unlabelled:
        remarks.append(f"{len(frame.objects):,} objects, no room for the labels of {unlabelled:,}")
    if scale.width > frame.width or scale.height > frame.height:
        times = enlargement(frame.width, frame.height)
        remarks.append(f"{frame.width} x {frame.height} pixels, drawn {times} times as large")
    return remarks


def _named(label: str | None, class_id: int) -> str:
    return label or f"class {class_id} (no label)"


def write(pen: ImageDraw.ImageDraw, line: Line, left: int, top: int, colour: Colour) -> None:
    """Draw a line whose highest letters begin at `left`, `top`: the pixels that `ImageDraw.text` gives."""
    base = top + line.ascent
    if _is_simple(line.font):
        cover, x, y = _cover(line)
        pen.bitmap((left + x, base + y), cover, fill=colour)
    else:
        pen.text((left, base), line.text, fill=colour, font=line.font, anchor="ls")


def _within(value: float, limit: int) -> int:
    return round(min(max(value, 0.0), float(limit)))
