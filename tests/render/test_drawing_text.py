"""Text in pictures: every letter is seen, as itself or as its code point, and no line is too wide."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from convert.render import drawing
from convert.render.drawing import number, set_line, wrapped, write
from tests.examples import examples

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_installed", dict)


@pytest.mark.usefixtures("no_fonts")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("traffic light", "traffic light"),
        ("Äpfel", "<00C4>pfel"),
        ("A\u0308pfel", "<00C4>pfel"),  # the same letter in two characters
        ("リンゴ", "<30EA><30F3><30B4>"),
        ("a\x1b[31m\u202eb\r", "a<001B>[31m<202E>b<000D>"),
        ("a\nb", "a<000A>b"),
        ("zero\u200bwidth", "zero<200B>width"),
        ("\ud800", "<D800>"),
        ("\U0001f34e", "<1F34E>"),
        ("no\u00a0break", "no break"),
    ],
)
def test_what_has_no_shape_shows_its_code(text: str, shown: str) -> None:
    assert set_line(text, 20, 10_000).text == shown


def test_other_scripts_are_set_in_a_font_that_has_them() -> None:
    fonts = drawing._installed()
    if "DejaVuSans.ttf" not in fonts:
        pytest.skip("the font DejaVu Sans (fonts-dejavu-core) is not installed")
    line = set_line("Äpfel, яблоко", 20, 10_000)
    assert line.text == "Äpfel, яблоко"
    assert line.font.path == fonts["DejaVuSans.ttf"]
    assert set_line("apple", 20, 1000).font.path != fonts["DejaVuSans.ttf"], "ASCII looks the same on every machine"


def test_fonts_come_from_the_system_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "DejaVuSans.ttf").write_bytes(b"not a font")
    monkeypatch.chdir(tmp_path)
    fonts = {"roots": [str(tmp_path)], "families": ["DejaVuSans.ttf"]}
    monkeypatch.setattr(drawing, "load_toml", lambda _: fonts)
    assert drawing._installed.__wrapped__() == {}, "what FreeType cannot open is no font"
    assert all(os.path.isabs(path) for path in drawing._installed().values())  # noqa: PTH117 - text


@examples(150)
@given(st.text(st.characters(), max_size=60), st.integers(12, 60), st.integers(100, 900))
def test_no_line_is_too_wide(text: str, size: int, widest: int) -> None:
    line = set_line(text, size, widest)
    assert line.width <= widest + 1
    assert line.font.getlength(line.text) <= line.width
    for one in wrapped(text, size, widest, 3):
        assert one.width <= widest + 1
    assert len(wrapped(text, size, widest, 3)) <= 3


@examples(150)
@given(st.text(st.characters(max_codepoint=126), max_size=25), st.integers(12, 60))
@example('Vl% w)[d<fu|O 54K;"o', 12)  # letters that overlap
@example("яблоко 0.5", 20)  # in another font
@example("", 14)
@example(" ", 14)
def test_letters_put_together_are_what_freetype_sets(text: str, size: int) -> None:
    line = set_line(text, size, 10_000)
    ours, pillows = (Image.new("RGB", (line.width + 20, line.height + 20), (10, 200, 30)) for _ in range(2))
    write(ImageDraw.Draw(ours), line, 10, 9, (200, 10, 90))
    options: dict[str, Any] = {"fill": (200, 10, 90), "font": line.font, "anchor": "ls"}
    ImageDraw.Draw(pillows).text((10, 9 + line.ascent), line.text, **options)
    assert ours.tobytes() == pillows.tobytes()
    assert line.width == math.ceil(line.font.getlength(line.text))


def test_the_tail_stays_where_the_text_is_cut() -> None:
    line = set_line("x" * 500, 20, 200, " 0.93")
    assert line.text.endswith("… 0.93")
    assert 190 <= line.width <= 200


def test_endless_text_is_cut_first() -> None:
    assert set_line("e" * 10**7, 14, 10**9).text == "e" * 1000 + "…"
    assert set_line("e" * 1000, 14, 10**9).text == "e" * 1000


def test_a_text_is_broken_at_blanks() -> None:
    words = "one two  three\u2003four five"
    assert [line.text for line in wrapped(words, 20, 105, 4)] == ["one two", "three four", "five"]
    assert [line.text for line in wrapped(words, 20, 105, 2)] == ["one two", "three four…"]
    assert [line.text for line in wrapped(words, 20, 500, 1)] == ["one two three four five"]
    assert wrapped(" ", 20, 90, 4) == []


@pytest.mark.usefixtures("no_fonts")
def test_lines_break_at_blanks_and_lose_nothing() -> None:
    words = [f"word{i}" for i in range(30)]
    lines = wrapped(" ".join(words), 14, 200, 100)
    assert " ".join(line.text for line in lines).split() == words
    assert len(lines) > 5


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.5, "0.500"),
        (0.9971, "0.997"),
        (0.99999, "0.999"),
        (1.0, "1"),
        (0.0, "0"),
        (0.0004, "4e-04"),
        (0.0005, "0.001"),
        (12.34567, "12.35"),
        (-1.5, "-1.5"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_confidences(value: float, said: str) -> None:
    assert number(value) == said
