"""CONTRIBUTING's list of words: names that only this project used stay out of code, messages and documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PATHS = (*sorted((ROOT / "convert").rglob("*.py")), ROOT / "README.md", ROOT / "CONTRIBUTING.md")
FORBIDDEN = re.compile(
    r"(?i:\broads?\b(?! signs)|warm_worker|\bhasten|nobody watches|\bwiring\b|\bparcels?\b|stand-?in\b|\bslots?\b(?!=))"
    r"|\bMixed\b"
)


def private_words(text: str) -> list[tuple[int, str]]:
    """Line numbers and words. The rows of tables do not count: CONTRIBUTING's list names what not to use."""
    rows = [(number, line) for number, line in enumerate(text.splitlines(), 1) if not line.startswith("| ")]
    return [(number, word) for number, line in rows for word in FORBIDDEN.findall(line)]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_private_words(path: Path) -> None:
    assert private_words(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "the whole road",
        "warm_worker()",
        "Nobody watches.",
        "class Mixed:",
        "Wiring(x)",
        "a parcel",
        "a stand-in",
        "slot",
    ],
)
def test_a_private_word_is_noticed(text: str) -> None:
    assert private_words(f"one\n{text}")[0][0] == 2


@pytest.mark.parametrize(
    "text", ["slots=True", "persons and road signs", "CMYK is mixed to RGB", "standing", "| a | b | road |"]
)
def test_ordinary_words_are_none(text: str) -> None:
    assert private_words(text) == []
