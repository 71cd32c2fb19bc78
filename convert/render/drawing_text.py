"""Text for pictures: any label, in a font that has its letters, and nothing that vanishes without a trace.

Pillow's own font is used wherever it has every letter (it has ASCII and little more), so that the same label gives the
same pixels on every machine. Other labels are set in the first installed font of `_FAMILIES` that has all of their
letters. What no font has, and what has no shape (control and direction characters), is written as its code point:
`<30EA>`.
"""

from __future__ import annotations

import math
import os
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from PIL import ImageFont

__all__ = ["Line", "number", "set_line", "wrapped"]

_ROOTS: Final = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
)
_FAMILIES: Final = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "FreeSans.ttf",
    "NotoSansCJK-Regular.ttc",
    "DroidSansFallbackFull.ttf",
    "wqy-zenhei.ttc",
    "wqy-microhei.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "Arial Unicode.ttf",
)
"""File names, in order of preference: of Debian's font packages, and the one font of macOS with most scripts."""

_NO_CHARACTER: Final = "\U0010fffe"  # no font has a glyph for it
_PROBE: Final = 16  # pixels, the size glyphs are looked at in
_MOST: Final = 1000  # characters of a text that are looked at


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


def set_line(text: str, size: int, widest: int, tail: str = "") -> Line:
    """`text` and `tail` in `size` pixels; where they are wider than `widest` pixels, `text` ends in an ellipsis."""
    text = _one_line(text)
    path = _font_for(text + tail)
    font, shown = _font(path, size), _visible(text, path)
    if font.getlength(shown + tail) > widest:
        shown = _shortened(shown, font, widest - font.getlength(tail))
    shown += tail
    ascent, descent = font.getmetrics()
    return Line(shown, font, math.ceil(font.getlength(shown)), ascent, descent)


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
    return _font(path, size).getlength(_visible(text, path)) <= widest


def _shortened(text: str, font: ImageFont.FreeTypeFont, widest: float) -> str:
    """The longest beginning that fits with an ellipsis behind it; the ellipsis alone where nothing fits."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle].rstrip() + "…") <= widest:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"


def _visible(text: str, path: str) -> str:
    return "".join(one if _has(path, one) else f"<{ord(one):04X}>" for one in text)


def _font_for(text: str) -> str:
    """The first font with all letters of `text`, "" for Pillow's own, which also serves where none has them all."""
    letters = [one for one in text if one.isprintable()]
    if all(_has("", one) for one in letters):
        return ""
    for name in _FAMILIES:
        path = _installed().get(name)
        if path is not None and all(_has(path, one) for one in (*letters, *"<>…")):
            return path
    return ""


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
        return ImageFont.FreeTypeFont(path, size)  # truetype() would go and look for another one
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


@cache
def _installed() -> dict[str, str]:
    """File name -> path of the fonts of `_FAMILIES` on this machine that FreeType can open."""
    found: dict[str, str] = {}
    for root in _ROOTS:
        for path in sorted(Path(os.path.expanduser(root)).rglob("*.tt[fc]")):  # noqa: PTH111 - Path's raises without a home
            if path.name in _FAMILIES and path.name not in found and _opens(path):
                found[path.name] = str(path)
    return found


def _opens(path: Path) -> bool:
    try:
        ImageFont.FreeTypeFont(str(path), _PROBE)
    except OSError:
        return False
    return True
