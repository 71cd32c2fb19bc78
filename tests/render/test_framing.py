"""The picture of frame, crop and network: in proportion, complete in itself, for every shape."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.images import ANCHORS, Anchor, Frame, Framing, parse_frame
from convert.render.inspection import framing_svg, framing_text
from tests.examples import examples

_SVG = "{http://www.w3.org/2000/svg}"
_SIDES = st.integers(1, 700)
_FRAMES = st.tuples(_SIDES, _SIDES).filter(lambda size: 1 / 3 <= size[0] / size[1] <= 3)


def wide(frame: str = "16:9", model: tuple[int, int] = (96, 96), anchor: Anchor = (0.5, 0.5)) -> Framing:
    return Framing(parse_frame(frame), model, anchor=anchor)


@pytest.mark.parametrize(
    ("frame", "model", "columns", "rows"),
    [("16:9", (96, 96), 16, 8), ("9:16", (96, 96), 17, 8), ("4:3", (96, 96), 18, 9), ("4:3", (320, 240), 24, 9)],
)
def test_what_is_seen_is_marked(frame: str, model: tuple[int, int], columns: int, rows: int) -> None:
    lines = framing_text(wide(frame, model))
    marked = [line.split("|")[1] for line in lines if line.startswith("|") and "#" in line.split("|")[1]]
    assert [line.count("#") for line in marked] == [columns] * rows
    for line in marked:
        before, _, behind = re.fullmatch(r"( *)(#+)( *)", line).groups()  # type: ignore[union-attr]
        assert abs(len(before) - len(behind)) <= 1


@pytest.mark.parametrize("anchor", ANCHORS)
def test_the_part_is_marked_where_it_lies(anchor: Anchor) -> None:
    x, y = anchor
    rows = [line.split("|")[1] for line in framing_text(wide(anchor=anchor)) if line.startswith("|")]
    before, behind = len(rows[0]) - len(rows[0].lstrip()), len(rows[0]) - len(rows[0].rstrip())
    assert (before == 0, behind == 0) == (x == 0, x == 1)
    rows = [line.split("|")[1] for line in framing_text(wide("9:16", anchor=anchor)) if line.startswith("|")]
    assert ("#" in rows[0], "#" in rows[-1]) == (y == 0, y == 1)
    for cropped in (True, False):
        (frame, *_), (disc, *discs) = (
            list(ET.fromstring(framing_svg(wide(anchor=anchor), cropped=cropped)).iter(f"{_SVG}{name}"))
            for name in ("rect", "ellipse")
        )
        middle = float(frame.attrib["x"]) + float(frame.attrib["width"]) / 2
        assert float(disc.attrib["cx"]) == pytest.approx(middle, abs=0.11)  # the first rectangle is what is seen
        assert len(discs) == (2 if cropped else 1)


def test_the_numbers_stand_beside_it() -> None:
    said = "\n".join(framing_text(wide()))
    assert "frame 16:9, scaled to 170x96 (0.39 % narrower)" in said
    assert "the model's 96x96, 56 % of it, cut out in its first node" in said
    squashed = "\n".join(framing_text(wide(), cropped=False))
    assert "squashed to 96x96: everything 1.8 times too narrow" in squashed
    assert "1.8 times too wide" in "\n".join(framing_text(wide("9:16"), cropped=False))
    assert "the model has its shape" in "\n".join(framing_text(wide("4:3", (320, 240))))


@examples(60)
@given(_FRAMES, st.tuples(_SIDES, _SIDES), st.booleans())
def test_any_shape_is_drawn(frame: tuple[int, int], model: tuple[int, int], cropped: bool) -> None:
    framing = Framing(Frame(*frame, in_pixels=True), model)
    lines = framing_text(framing, cropped=cropped)
    assert any("#" in line for line in lines)
    assert max(map(len, lines)) < 200
    root = ET.fromstring(framing_svg(framing, cropped=cropped))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for box in root.iter(f"{_SVG}rect"):
        left, top, across, down = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
        assert left >= 0
        assert top >= 0
        assert left + across <= width
        assert top + down <= height
    assert len(list(root.iter(f"{_SVG}ellipse"))) == (3 if cropped and framing.crops else 2)


def _discs(framing: Framing, *, cropped: bool) -> list[float]:
    """Width over height of the disc in each picture."""
    root = ET.fromstring(framing_svg(framing, cropped=cropped))
    return [float(disc.attrib["rx"]) / float(disc.attrib["ry"]) for disc in root.iter(f"{_SVG}ellipse")]


def test_the_disc_shows_what_is_squashed() -> None:
    assert _discs(wide(), cropped=True) == pytest.approx([1, 170 / 96 / (16 / 9), 170 / 96 / (16 / 9)], abs=1e-3)
    assert _discs(wide(), cropped=False) == pytest.approx([1, 9 / 16], abs=1e-3)


def test_it_is_complete_in_itself() -> None:
    svg = framing_svg(wide())
    assert svg.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert not re.search(r"<(script|style|image|use|foreignObject)|href|url\(|@import", svg)
    assert "<title>" in svg
    assert svg == framing_svg(wide())
