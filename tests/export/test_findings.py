"""The rules of stage unpack."""

from __future__ import annotations

from convert.export import findings
from convert.findings import Rule


def test_every_rule_is_listed_once_with_a_why_and_a_fix() -> None:
    declared = [value for value in vars(findings).values() if isinstance(value, Rule)]
    assert sorted(rule.id for rule in declared) == [rule.id for rule in findings.RULES]
    assert len({rule.id for rule in findings.RULES}) == len(findings.RULES)
    for rule in findings.RULES:
        assert 100 <= int(rule.id.removeprefix("EI")) <= 199
        assert not rule.title.endswith(".")
        assert rule.why.endswith(".")
        assert rule.fix.endswith(".")
