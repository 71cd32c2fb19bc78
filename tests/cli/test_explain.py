"""`explain`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from convert.findings import rulebook

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Said


def test_one_or_several_rules(say: Callable[..., Said]) -> None:
    said = say("explain", "nvi014", "EI101")
    assert said.code == 0
    assert rulebook()["NVI014"].title in said.out
    assert rulebook()["EI101"].title in said.out


def test_all_rules(say: Callable[..., Said]) -> None:
    said = say("explain")
    assert all(rule in said.out for rule in rulebook())
    document = json.loads(say("explain", "--format", "json").out)
    assert [rule["id"] for rule in document["rules"]] == list(rulebook())


@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ("NVX014", "did you mean NVI014?"),
        ("nvi14", "did you mean NVI014?"),
        ("NVI1", "did you mean NVI001?"),
        ("EI0101", "did you mean EI101?"),
        ("14", "`ei-deepstream explain` lists them"),
    ],
)
def test_a_rule_there_is_not(say: Callable[..., Said], rule: str, hint: str) -> None:
    said = say("explain", "EI101", rule)
    assert (said.code, said.out) == (3, "")
    assert said.err == f"error: there is no rule {rule.upper()!r}\n  hint: {hint}\n"


@pytest.mark.parametrize("words", [[], ["EI101"], ["--format", "json"], ["EI101", "--format", "json"]])
def test_what_is_known_ends_well(say: Callable[..., Said], words: list[str]) -> None:
    said = say("explain", *words)
    assert (said.code, said.err, "EI101" in said.out) == (0, "", True)
    assert said.out.endswith("\n")
