"""The pictures of a page: what each shows, what was left out, and a text for those who do not see it."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from PIL import Image

from convert.render.drawing import enlargement
from convert.render.drawing_colours import Look, look
from convert.render.drawing_text import number

if TYPE_CHECKING:
    from convert.against.comparison import Row
    from convert.simulate.scene import Found, Frame, Lost, Said

__all__ = ["MOST_LOST", "MOST_OBJECTS", "Card", "Item", "card", "in_words"]

MOST_OBJECTS: Final = 20
"""Objects of one picture that are listed beside it."""

MOST_LOST: Final = 10
"""Candidates that were left out that are listed."""

_TYPES: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
_NAMED: Final = 5  # objects that a picture's alternative text names


@dataclass(frozen=True, slots=True)
class Item:
    """Something shown: a label with its number, and what was said of it behind."""

    look: Look
    label: str
    confidence: str
    said: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """One picture.

    Attributes:
        number: 1 for the first.
        source: data URI; "" without a picture.
        width, height: of the drawn picture, pixels.
        times: how many times as large it is drawn.
        alt: what is to be seen.
        items: what is shown, at most `MOST_OBJECTS`.
        more: objects that are not among them.
        lost: label, confidence, why; at most `MOST_LOST`.
        more_lost: candidates that are not among them.
        row: Edge Impulse's answer, where it was asked.
    """

    number: int
    frame: Frame
    source: str
    width: int
    height: int
    times: int
    alt: str
    items: tuple[Item, ...]
    more: int
    lost: tuple[tuple[str, str, str], ...]
    more_lost: int
    row: Row | None = None


def card(frame: Frame, position: int, picture: bytes | None, row: Row | None = None) -> Card:
    """A frame as it is told on the page.

    Raises:
        ValueError: `picture` is not a PNG, JPEG, WebP or GIF file.
    """
    source, width, height = _embedded(frame.name, picture) if picture is not None else ("", 0, 0)
    items = [_said_item(said) for said in frame.said if frame.label and said.label]
    items += [_found_item(found) for found in frame.objects[:MOST_OBJECTS]]
    return Card(
        position,
        frame,
        source,
        width,
        height,
        enlargement(frame.width, frame.height),
        f"{frame.name}: {in_words(frame)}",
        tuple(items),
        max(0, len(frame.objects) - MOST_OBJECTS),
        tuple((_lost_of(frame, lost), number(lost.confidence), lost.why) for lost in frame.lost[:MOST_LOST]),
        max(0, len(frame.lost) - MOST_LOST),
        row,
    )


def in_words(frame: Frame) -> str:
    """ "apple 0.98", "star 0.93, star 0.50 and 3 more objects", "nothing shown; best candidate ..."."""
    if not frame.shows:
        if not frame.lost:
            return "nothing shown, there was no candidate"
        best = frame.lost[0]
        return f"nothing shown; best candidate {_name(best.label, best.class_id)}: {best.why}"
    parts = [f"{said.label} {number(said.confidence)}" for said in frame.said if frame.label and said.label]
    parts += [
        f"{_name(found.label, found.class_id)} {number(found.confidence)}"
        + "".join(f", {said.label}" for said in found.said if said.label)
        for found in frame.objects[:_NAMED]
    ]
    rest = len(frame.objects) - _NAMED
    return "; ".join(parts) + (f" and {rest} more object{'s' if rest > 1 else ''}" if rest > 0 else "")


def _said_item(said: Said) -> Item:
    return Item(look(said.engine, said.class_id), _name(said.label, said.class_id), number(said.confidence))


def _found_item(found: Found) -> Item:
    return Item(
        look(found.engine, found.class_id),
        _name(found.label, found.class_id),
        number(found.confidence),
        tuple(f"{said.label} {number(said.confidence)}" for said in found.said if said.label),
        found.unseen,
    )


def _lost_of(frame: Frame, lost: Lost) -> str:
    name = _name(lost.label, lost.class_id)
    if lost.of is None or not 0 <= lost.of < len(frame.objects):
        return name
    whose = frame.objects[lost.of]
    return f"{name} of {_name(whose.label, whose.class_id)}"


def _name(label: str | None, class_id: int) -> str:
    return label or f"class {class_id} (no label)"


def _embedded(name: str, picture: bytes) -> tuple[str, int, int]:
    """The picture as a data URI, and its size."""
    try:
        with Image.open(io.BytesIO(picture), formats=tuple(_TYPES)) as image:
            width, height, kind = image.width, image.height, str(image.format)
    except OSError as error:
        raise ValueError(f"the drawn picture of {name!r} is not a PNG, JPEG, WebP or GIF file") from error
    return f"data:{_TYPES[kind]};base64,{base64.b64encode(picture).decode('ascii')}", width, height
