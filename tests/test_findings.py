"""Rules, findings, and which of several is the worst."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import Counter
from pathlib import Path

import pytest

from convert.files import load_toml
from convert.findings import Finding, Level, Rule, rulebook, worst

PACKAGE = Path(__file__).resolve().parents[1] / "convert"
RULE = Rule("EI101")


def test_a_finding_takes_its_id_and_level_from_the_rule() -> None:
    found = RULE.found("this is odd", path=Path("a/b.txt"), line=3, column=4, hint="mend this")
    assert found == Finding("EI101", Level.WARNING, "this is odd", "a/b.txt", 3, 4, "mend this")


def test_a_finding_may_have_a_level_of_its_own() -> None:
    assert RULE.found("worse than usual", level=Level.ERROR).level is Level.ERROR


def test_a_place_is_optional() -> None:
    found = RULE.found("this is odd")
    assert (found.path, found.line, found.column, found.hint) == (None, None, None, None)


def test_levels_are_sarifs() -> None:
    assert [level.value for level in sorted(Level, key=lambda level: level.rank)] == ["note", "warning", "error"]
    assert [level.rank for level in (Level.NOTE, Level.WARNING, Level.ERROR)] == [0, 1, 2]


@pytest.mark.parametrize("levels", list(itertools.product(Level, repeat=2)))
def test_worst(levels: tuple[Level, Level]) -> None:
    found = [RULE.found("x", level=level) for level in levels]
    assert worst(found) is max(levels, key=lambda level: level.rank)
    assert worst(iter(found)) is worst(reversed(found))


def test_worst_of_nothing() -> None:
    assert worst([]) is None


def test_both_are_values() -> None:
    for value in (RULE, RULE.found("x")):
        assert hash(value) == hash(dataclasses.replace(value))
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.id = "EI000"  # type: ignore[misc]


def test_the_book_has_every_rule_once_and_all_of_its_texts() -> None:
    book = rulebook()
    assert list(book) == sorted(book)
    for key, entry in book.items():
        assert entry.id == key
        assert entry.title
        assert not entry.title.endswith(".")
        assert entry.why
        assert entry.fix
        assert "  " not in entry.title + entry.why + entry.fix


def test_a_rule_of_the_table_is_found_by_one_module() -> None:
    """Two names for one id are two truths; an id without a name is found by nobody."""
    declared = Counter(
        identity
        for path in sorted(PACKAGE.rglob("*.py"))
        for identity in re.findall(r"\b(?:Rule|on_\w+(?:\.about)?)\((?:[^\n\"]*, )?\"(\w+)\"", path.read_text())
    )
    assert declared == Counter(list(load_toml("rules.toml")))


def test_a_level_stands_in_the_table_of_levels() -> None:
    texts = load_toml("rules.toml")
    assert list(load_toml("levels.toml")) == list(texts)
    assert {name for row in texts.values() for name in row} == {"title", "why", "fix"}
