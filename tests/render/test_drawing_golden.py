"""What is drawn, stroke by stroke.

`UPDATE_GOLDEN=1 pytest` writes it anew: read the difference before it is committed.
"""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from convert.images.scaling import Rect
from convert.render import drawing
from convert.simulate.decode import Classification
from convert.simulate.results import Counted, DetectedObject, DroppedCandidate, FrameResult, Shown

if TYPE_CHECKING:
    import pytest

    from tests.render.conftest import Street

GOLDEN = Path(__file__).parent / "golden" / "drawing.txt"
_STROKES = ("line", "rectangle", "ellipse")


def _flat(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return ";".join(str(_flat(each)) for each in value)
    return f"{value:g}" if isinstance(value, int | float) else str(value)


class Pen:
    """A pen that tells what it draws."""

    def __init__(self, image: Any) -> None:
        self._pen = ImageDraw.ImageDraw(image)

    def __getattr__(self, name: str) -> Any:
        def stroke(*arguments: Any, **options: Any) -> None:
            told = [f"{key}={_flat(value)}" for key, value in options.items()]
            if name != "bitmap":  # of a text
                STROKES.append(f"  {name} {' '.join(map(_flat, arguments))} {' '.join(told)}")
            getattr(self._pen, name)(*arguments, **options)

        assert name in (*_STROKES, "bitmap")
        return stroke


STROKES: list[str] = []


def writing(pen: Any, line: drawing.Line, left: int, top: int, colour: drawing.Colour) -> None:
    """`drawing.write`, which is told as `ImageDraw.text` would be."""
    place = f"{left};{top + line.ascent}"
    STROKES.append(f"  text {place} {line.text} fill={_flat(colour)} anchor=ls size={line.font.size:g}")
    _WRITE(pen, line, left, top, colour)


_WRITE = drawing.write


def found(left: float, top: float, width: float, height: float, class_id: int = 0, **more: Any) -> DetectedObject:
    return DetectedObject(more.pop("engine", 1), class_id, more.pop("label", "car"), more.pop("score", 0.5),
                          Rect(left, top, width, height), **more)  # fmt: skip


def frame(width: int, height: int, *objects: DetectedObject, **more: Any) -> FrameResult:
    return FrameResult("name", Path("name.jpg"), width, height, None, objects=objects, **more)


LINE = Shown((("gate-up", 3), ("gate-down", 0)), ((10, 20), (300, 20)))
ZONE = Shown((("desk", None),), ((5, 5), (90, 5), (60, 200)))
FRAMES = {
    "edges": frame(640, 480, found(-5, -5, 30, 30), found(620, 470, 100, 100, 7), found(300, 479, 0, 0, 14)),
    "thin": frame(640, 480, found(10, 10, 5, 200, 1), found(50, 10, 300, 6, 8), found(100, 100, 12, 12, 15)),
    "order": frame(640, 480, found(9, 60, 90, 90, score=0.2), found(20, 70, 90, 90, 3, score=0.9),
                   found(30, 80, 90, 90, 4, score=float("nan"), label="")),
    "several": frame(640, 480, found(99, 99, 200, 200, 2, engine=3, label="a", classifications=(
        Classification(2, 0, 0, 0.25, "parked"), Classification(2, 0, 1, 0.0001, "")))),
    "tiny": frame(20, 10, found(2, 2, 6, 5, label="very long label of a thing that has no room")),
    "tall": frame(30, 1200, found(2, 2, 6, 5)),
    "large": frame(3000, 2000, found(100, 200, 600, 500, 5), found(900, 900, 600, 500, 9),
                   found(float("inf"), 0, 1, 1)),
    "label": frame(96, 96, label="a b", classifications=(Classification(1, 0, 0, 0.9995, "a"),
                                                         Classification(1, 0, 1, 0.0004, "b"))),
    "label of a parser": frame(480, 480, label=" x y "),
    "note": frame(481, 480, notes=("It was turned.", "And more.")),
    "dashed": frame(640, 480, dropped=(
        DroppedCandidate(1, "topk", "number 21", 3, 0.5, None, None),
        DroppedCandidate(1, "topk", "number 22", 4, 0.4, "bus", Rect(100, 50, 61, 43)))),
    "counted": frame(640, 480, found(99, 99, 50, 40), found(300, 99, 50, 40, 1), counted=Counted(
        (7, 0), (LINE, replace(LINE, crossed=True), ZONE))),
    "counted at the edges": frame(640, 480, found(599, 450, 40, 29), counted=Counted((4,), (
        replace(LINE, points=((-9, -9), (900, 700))), replace(LINE, points=((639, 0), (0, 0)))))),
}  # fmt: skip


def _drawn(street: Street) -> list[str]:
    lines = []
    for name, one in (FRAMES | {each.name: each for each in street.simulation.frames}).items():
        grey = np.full((one.height, one.width, 3), 128, np.uint8)
        for options in ({}, {"large": True}, {"page": True}):
            STROKES.clear()
            image = drawing.draw(grey, one, **options)
            whole = drawing.frame_of(image, one).size if not options else ""
            lines += [f"{name} {options or ''}: {image.size} {whole}", *STROKES]
    for picture in (None, np.zeros((720, 1280, 3), np.uint8)):
        STROKES.clear()
        data = drawing.marks_picture((LINE, ZONE), (1280, 720), picture)
        with Image.open(io.BytesIO(data)) as image:
            lines += [f"marks {image.format} {image.getpixel((1, 1)) if picture is None else ''}", *STROKES]
    return lines


def test_every_stroke(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageDraw, "Draw", Pen)
    monkeypatch.setattr(drawing, "write", writing)
    lines = _drawn(street)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text("\n".join(lines) + "\n")
    assert lines == GOLDEN.read_text().splitlines()
