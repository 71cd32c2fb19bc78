"""`explain`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

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


def test_a_rule_there_is_not(say: Callable[..., Said]) -> None:
    said = say("explain", "NVI0144")
    assert said.code == 3
    assert "did you mean" in said.err
