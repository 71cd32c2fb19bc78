"""Frames as text and as SVG, to the letter. Made anew by `python -m tests.render.test_framing_golden`."""

from __future__ import annotations

from pathlib import Path

from convert.images import Anchor, Framing, parse_frame
from convert.render.inspection import framing_svg, framing_text

GOLDEN = Path(__file__).with_name("golden") / "framing.txt"
FRAMES = (
    ("16:9", (96, 96)), ("9:16", (96, 96)), ("1920x1080", (160, 160)), ("4:3", (96, 72)), ("1:1", (96, 96)),
    ("21:9", (320, 320)), ("16:9", (240, 135)), ("100x99", (48, 64)),
)  # fmt: skip
ANCHORED: tuple[tuple[str, Anchor], ...] = (("16:9", (0.0, 1.0)), ("9:16", (0.0, 1.0)))


def lines() -> str:
    told = []
    framings = [Framing(parse_frame(frame), size) for frame, size in FRAMES]
    framings += [Framing(parse_frame(frame), (96, 96), anchor=anchor) for frame, anchor in ANCHORED]
    for framing in framings:
        for cropped in (True, False):
            words = "" if framing.part == "centre" else f", {framing.part}"
            words += "" if cropped else ", squashed"
            told.append(f"# {framing.frame} {framing.model[0]}x{framing.model[1]}{words}")
            told += framing_text(framing, cropped=cropped)
            told.append(framing_svg(framing, cropped=cropped).replace("><", ">\n<"))
    return "\n".join(told) + "\n"


def test_framing() -> None:
    assert lines() == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.write_text(lines(), encoding="utf-8")
