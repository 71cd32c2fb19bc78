"""The rules of this room."""

from __future__ import annotations

from convert.findings import Rule
from convert.graph import findings
from convert.graph.findings import RULES


def test_ids_are_ours_and_differ() -> None:
    numbers = [int(rule.id.removeprefix("EI")) for rule in RULES]
    assert len(set(numbers)) == len(numbers)
    assert all(200 <= number < 400 for number in numbers)


def test_every_rule_explains_itself_and_is_listed() -> None:
    assert all(rule.title and rule.why and rule.fix for rule in RULES)
    assert set(RULES) == {each for each in vars(findings).values() if isinstance(each, Rule)}
