"""A picture with what DeepStream shows on it: boxes, labels, captions, or plainly that nothing is shown and why.

Boxes and their labels are drawn on the picture; what is said of the whole picture stands on a strip below it, so that
no pixel of a small picture is hidden. The same picture and frame give the same pixels.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw

from convert.render.drawing_colours import BLACK, WHITE, Colour, Look, look
from convert.render.drawing_labels import Area, Chip, placed
from convert.render.drawing_text import Line, number, set_line, wrapped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convert.images.placement import Rect
    from convert.simulate.scene import Found, Frame

__all__ = ["MOST_LABELS", "draw", "enlargement", "page_picture", "png"]

MOST_LABELS: Final = 200
"""Objects of one picture that may get a label, the most confident ones; all get their box."""

_LEGIBLE: Final = 480  # pixels: the longer side of a picture that is drawn as it is
_NARROWEST: Final = 320  # pixels: the canvas, so that a strip of text fits under any picture
_SMALLEST_TEXT: Final = 14  # pixels
_PAGE_SIDE: Final = 960  # pixels: the longer side of a picture on the page
_SQUARES: Final = (
    4  # enlarged so often, PNG is smaller than JPEG (measured: 30 to 45 KB for 96x96, 44 to 35 for 160x160)
)
_FEW: Final = 8  # objects, which have room for large labels
_STRIP: Final[Colour] = (27, 31, 36)
_FAINT: Final[Colour] = (170, 178, 187)
_NOTHING: Final[Colour] = (255, 200, 60)
_NOTHING_LOST: Final = "There was no candidate."


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


def draw(
    picture: NDArray[np.uint8], frame: Frame, *, largest: int | None = None, text: float = 1 / 36, brief: bool = False
) -> Image.Image:
    """What is seen on the screen.

    Args:
        picture: RGB, uint8 [H,W,3], of the frame's size.
        frame: what the simulation found in it.
        largest: the longer side of the result's picture at most, in pixels; not below 480. None: as large as it is.
        text: height of labels, as a share of a square's side that has the picture's area; never below 14 pixels.
        brief: the strip says what is shown, but neither why nothing is nor how large the picture was.

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
    scale = _scale(frame, largest, text)
    ground = _resized(Image.fromarray(picture), scale)
    labels = _labels(frame, scale)
    lines = _strip(frame, scale, None if brief else len(frame.objects) - len(labels))
    gap = scale.text // 2
    below = sum(line.height for line, _ in lines) + 2 * gap if lines else 0
    canvas = Image.new("RGB", (scale.canvas, scale.height + below), _STRIP)
    canvas.paste(ground, (scale.left, 0))
    pen = ImageDraw.Draw(canvas)
    for found in frame.objects:
        if (area := scale.area(found.box)) is not None:
            _draw_box(pen, area, look(found.engine, found.class_id), scale.line)
    if not frame.shows:
        _draw_lost(pen, frame, scale)
    for chip, place in reversed(labels):  # the best on top
        _draw_chip(pen, chip, place)
    top = scale.height + gap
    for line, colour in lines:
        _write(pen, line, gap, top, colour)
        top += line.height
    return canvas


def page_picture(picture: NDArray[np.uint8], frame: Frame) -> bytes:
    """`draw` for `convert.render.page`: at most 960 pixels, larger text, and only what the page does not say itself.

    A PNG file where pixels were made squares of 16 and more, which is smaller then; JPEG otherwise.

    Raises:
        ValueError: as `draw`.
    """
    image = draw(picture, frame, largest=_PAGE_SIDE, text=1 / 24 if len(frame.objects) <= _FEW else 1 / 34, brief=True)
    if enlargement(frame.width, frame.height) >= _SQUARES:
        return png(image)
    data = io.BytesIO()
    image.save(data, "JPEG", quality=88, subsampling=0)  # halved colours would blur the labels
    return data.getvalue()


def png(image: Image.Image) -> bytes:
    """The image as a PNG file: no metadata, the same bytes each time."""
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


def _scale(frame: Frame, largest: int | None, text: float) -> _Scale:
    longer = max(frame.width, frame.height)
    factor = float(enlargement(frame.width, frame.height))
    if largest is not None and longer > max(largest, _LEGIBLE):
        factor = max(largest, _LEGIBLE) / longer
    width, height = (max(1, round(side * factor)) for side in (frame.width, frame.height))
    left = max(0, -(-(_NARROWEST - width) // 2))
    side = math.sqrt(width * height)
    return _Scale(
        width / frame.width,
        height / frame.height,
        width,
        height,
        left,
        text=max(_SMALLEST_TEXT, round(side * text)),
        line=max(3, round(side / 270)),
    )


def _resized(image: Image.Image, scale: _Scale) -> Image.Image:
    if image.size == (scale.width, scale.height):
        return image
    grown = scale.width > image.width or scale.height > image.height
    kind = Image.Resampling.NEAREST if grown else Image.Resampling.BOX
    return image.resize((scale.width, scale.height), kind)


def _labels(frame: Frame, scale: _Scale) -> list[tuple[Chip, Area]]:
    """The labels there is room for and their places, the most confident object's first."""
    seen = [(found, area) for found in frame.objects if (area := scale.area(found.box)) is not None]
    seen.sort(key=lambda one: math.inf if math.isnan(one[0].confidence) else -one[0].confidence)
    chips = [_chip(found, scale) for found, _ in seen[:MOST_LABELS]]
    areas = [area for _, area in seen]
    within = Area(0, 0, scale.canvas, scale.height)
    places = placed(chips, areas[:MOST_LABELS], areas[MOST_LABELS:], within)
    return [(chip, place) for chip, place in zip(chips, places, strict=True) if place is not None]


def _draw_box(pen: ImageDraw.ImageDraw, area: Area, style: Look, line: int) -> None:
    """A line of the class's colour with a dark edge on both sides: seen on any ground."""
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


def _chip(found: Found, scale: _Scale) -> Chip:
    margin = max(2, scale.text // 5)
    widest = max(_NARROWEST, scale.canvas // 2) - 2 * margin
    small = max(_SMALLEST_TEXT - 2, round(scale.text * 0.85))
    name = _named(found.label, found.class_id)
    lines = [set_line(name, scale.text, widest, f" {number(found.confidence)}")]
    lines += [set_line(said.label, small, widest, f" {number(said.confidence)}") for said in found.said if said.label]
    return Chip(tuple(lines), look(found.engine, found.class_id), margin)


def _draw_chip(pen: ImageDraw.ImageDraw, chip: Chip, place: Area) -> None:
    pen.rectangle((place.left, place.top, place.right - 1, place.bottom - 1), fill=chip.look.colour, outline=BLACK)
    top = place.top + chip.margin
    for line in chip.lines:
        _write(pen, line, place.left + chip.margin, top, chip.look.text)
        top += line.height


def _draw_lost(pen: ImageDraw.ImageDraw, frame: Frame, scale: _Scale) -> None:
    """A dashed box around the best candidate that had one."""
    lost = next((one for one in frame.lost if one.box is not None), None)
    area = scale.area(lost.box) if lost is not None and lost.box is not None else None
    if area is None:
        return
    dash = 4 * scale.line
    for start, end, across in ((area.left, area.right, False), (area.top, area.bottom, True)):
        for edge in (area.top, area.bottom - 1) if not across else (area.left, area.right - 1):
            for piece, at in enumerate(range(start, end, dash)):
                stop = min(at + dash, end) - 1
                line = (edge, at, edge, stop) if across else (at, edge, stop, edge)
                pen.line(line, fill=_NOTHING if piece % 2 == 0 else BLACK, width=scale.line)


def _strip(frame: Frame, scale: _Scale, unlabelled: int | None) -> list[tuple[Line, Colour]]:
    """What is said below the picture, with its colours; without its second half for `unlabelled` None."""
    widest = scale.canvas - scale.text
    lines: list[tuple[Line, Colour]] = []
    large = round(scale.text * 1.3)
    if frame.label:
        shown = [f"{one.label} {number(one.confidence)}" for one in frame.said if one.label]
        said = ", ".join(shown) or frame.label.strip()
        lines += [(line, WHITE) for line in wrapped(said, large, widest, 3)]
    if not frame.shows:
        lines += [(set_line("Nothing shown", large, widest), _NOTHING)]
    if unlabelled is None:
        return lines
    if not frame.shows:
        lines += [(line, WHITE) for line in wrapped(_why(frame), scale.text, widest, 4)]
    for remark in _remarks(frame, scale, unlabelled):
        lines += [(line, _FAINT) for line in wrapped(remark, scale.text, widest, 2)]
    return lines


def _why(frame: Frame) -> str:
    if not frame.lost:
        return frame.notes[0] if frame.notes else _NOTHING_LOST
    best = frame.lost[0]
    return f"Best candidate: {_named(best.label, best.class_id)}: {best.why}"


def _remarks(frame: Frame, scale: _Scale, unlabelled: int) -> list[str]:
    remarks = []
    if unlabelled:
        remarks.append(f"{len(frame.objects):,} objects, no room for the labels of {unlabelled:,}")
    if scale.width > frame.width or scale.height > frame.height:
        times = enlargement(frame.width, frame.height)
        remarks.append(f"{frame.width} x {frame.height} pixels, drawn {times} times as large")
    return remarks


def _named(label: str | None, class_id: int) -> str:
    return label or f"class {class_id} (no label)"


def _write(pen: ImageDraw.ImageDraw, line: Line, left: int, top: int, colour: Colour) -> None:
    pen.text((left, top + line.ascent), line.text, fill=colour, font=line.font, anchor="ls")


def _within(value: float, limit: int) -> int:
    return round(min(max(value, 0.0), float(limit)))
