"""Lines and zones: drawn on pictures, in words on the page and on a terminal, and on a frame before anything runs."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from convert.images import Frame, parse_line, parse_zone
from convert.images.scaling import Rect
from convert.render import simulation as shown_simulation
from convert.render.drawing import BLACK, draw
from convert.render.inspection import marks_text
from convert.render.page import page
from convert.render.simulation import Result, show_simulation
from convert.simulate.results import (
    Counted,
    Counts,
    DetectedObject,
    Difference,
    FrameResult,
    Passage,
    Shown,
    Simulation,
    Uncounted,
    ZoneCount,
    objects_document,
)

if TYPE_CHECKING:
    import pytest

    from tests.render.conftest import Street

FRAME = FrameResult(
    "belt-1", Path("belt.mp4"), 640, 360, None, objects=(DetectedObject(1, 0, "fruit", 0.75, Rect(100, 60, 80, 80)),)
)
COUNTED = Counted((7,), (Shown((("door-up", 3), ("door-down", 1)), ((0, 200), (640, 200))),))
COUNTS = Counts(
    "<belt>.mp4", Path("counts.txt"), "tracker.yml", (1920, 1080), 5, (("door-up", 3), ("door-down", 1)),
    (Passage("belt-1", 1.5, 7, "[bold]fruit", "door-up"),), (Uncounted("door", "moved too little", (4, 9)),),
    (("door", 6),), (Difference("door", 7, 1, 3, "crossed it once more"),),
    zones=(ZoneCount("desk", 3), ZoneCount("desk", 3, 2, 1)),
)  # fmt: skip


def test_a_picture_shows_lines_numbers_and_the_point_that_counts() -> None:
    pixels = np.full((360, 640, 3), 128, np.uint8)
    plain, drawn = (np.asarray(draw(pixels, each)) for each in (FRAME, replace(FRAME, counted=COUNTED)))
    changed = (plain != drawn).any(axis=2)
    assert changed[200].mean() > 0.9, "the line goes all the way"
    assert changed[140, 140], "the middle of the lower edge"
    assert not changed[:30].any()
    assert not changed[260:].any()
    crossed = Counted((7,), (replace(COUNTED.shown[0], crossed=True),))
    assert (np.asarray(draw(pixels, replace(FRAME, counted=crossed)))[200] != drawn[200]).any()
    zone = Shown((("desk", 1),), ((300, 20), (600, 20), (600, 160)))
    around = np.asarray(draw(pixels, replace(FRAME, counted=Counted((0,), (zone,)))))
    assert around[90, 450, 1] > 200, "a zone is closed, by a line as green as the others"
    assert tuple(plain[200, 300]) == (128, 128, 128) != BLACK


def test_the_page_tells_counts_passages_and_reasons(street: Street) -> None:
    told = page(replace(street.simulation, counts=(COUNTS,)), {})
    totals = "door-up 3, door-down 1, desk at most 3 at once, desk 2 or more in 1 frame"
    assert f">Counted in &lt;belt&gt;.mp4: {totals}.<" in told
    none = page(replace(street.simulation, counts=(replace(COUNTS, lines=(), zones=()),)), {})
    assert ">Counted in &lt;belt&gt;.mp4: no lines.<" in none
    for text in ("&lt;belt&gt;.mp4", "door-up", "[bold]fruit", "1.50", "moved too little (4, 9)", "replacement"):
        assert text in told
    assert "object 7: DeepStream 1, Edge Impulse 3: crossed it once more" in told
    assert "as Edge Impulse&#39;s SDK counts" in told or "as Edge Impulse's SDK counts" in told
    assert "Counts" not in page(street.simulation, {})


def test_a_terminal_tells_them_too(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(shown_simulation, "console", lambda: Console(file=out, width=100))
    show_simulation(Result(replace(street.simulation, counts=(COUNTS,)), (), ()))
    text = out.getvalue()
    assert "counted in <belt>.mp4 door-up 3, door-down 1, desk at most 3 at once" in " ".join(text.split())
    assert "both directions together: door 6" in text
    assert "[bold]fruit" in text
    assert "door: 2 objects moved too little (4, 9)" in text
    assert "replacement" in text


def test_counts_to_the_letter(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(shown_simulation, "console", lambda: Console(file=out, width=200))
    many = replace(
        COUNTS, every=2, edge_impulse=(*(COUNTS.edge_impulse or ()), ("up", 2)),
        uncounted=(Uncounted("door", "moved too little", tuple(range(11))), Uncounted("up", "gone", (3,))),
        differences=(Difference("door", 7, 1, 3, "crossed it once more"), Difference("up", 8, 0, 1, "")),
    )  # fmt: skip
    show_simulation(Result(replace(street.simulation, counts=(many, COUNTS)), (), ()))
    lines = out.getvalue().splitlines()
    first, second = (place for place, line in enumerate(lines) if line.startswith("counted in"))
    totals = "counted in <belt>.mp4 door-up 3, door-down 1, desk at most 3 at once, desk 2 or more in 1 frame"
    assert lines[first] == f"{totals}  (5 objects tracked)"
    assert [line.rstrip() for line in lines[first + 1 : second]] == EXPECTED
    assert not any("only one of" in line for line in lines[second:])


EXPECTED = [
    "  as Edge Impulse on the same tracks, both directions together: door 6, up 2",
    "seconds  object  label        line",
    "   1.50       7  [bold]fruit  door-up",
    "  door, object 7: DeepStream 1, Edge Impulse 3: crossed it once more",
    "  up, object 8: DeepStream 0, Edge Impulse 1",
    "  door: 11 objects moved too little (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...)",
    "  up: 1 object gone (3)",
    "  only one of 2 frames was tracked (--every); the device tracks all of them",
    "  The tracker is a replacement by overlap: NVIDIA's is closed (tracker.yml).",
]


def test_objects_json_has_them(street: Street) -> None:
    zone = Shown((("door-up", 2),), ((0, 0), (9, 0), (9, 9)))  # called as a direction of the line
    frame = replace(street.simulation.frames[0], counted=Counted((1,), (*COUNTED.shown, zone), ("desk",)))
    document = objects_document(replace(street.simulation, frames=(frame,), counts=(COUNTS,)))
    assert document["counting"][0]["lines"] == [["door-up", 3], ["door-down", 1]]
    assert document["frames"][0]["tracks"] == [1]
    assert document["frames"][0]["counts"] == {"door-up": 3, "door-down": 1}
    assert document["frames"][0]["zones"] == {"door-up": 2}
    assert document["frames"][0]["crowded"] == ["desk"]
    assert "counting" not in objects_document(Simulation(street.simulation.engines, street.simulation.frames))


def test_a_frame_with_lines_and_zones() -> None:
    marks = (parse_line("door:0,0,1,1"), parse_zone("desk:0.5,0;1,0;1,0.5;0.5,0.5"))
    lines = marks_text(marks, Frame(16, 9))
    rows = [line[1:44] for line in lines[1:-1]]
    assert rows[0][0] == rows[-1][-1] == "a"
    assert rows[0].rstrip().endswith("b" * 10)
    assert lines[1].endswith("a: line door 0,0 1919,1079")
    assert "b: zone desk 960,0 1919,0 1919,540 960,540" in lines[2]
    tall = marks_text(marks, Frame(1080, 1920, in_pixels=True))
    assert len(tall) > len(tall[0].split("  ")[0]) / 2
