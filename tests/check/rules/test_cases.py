"""Every rule has a folder: a config it finds something in, and one it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from convert.check.rules import RULES
from convert.validate.runtimes import available
from tests.check.rules.cases import case_folders, config, expected, lay_out, said

if TYPE_CHECKING:
    from pathlib import Path

    from convert.findings import Rule

FOLDERS = case_folders()


def test_each_rule_has_a_case_and_each_case_a_rule() -> None:
    assert [folder.name for folder in FOLDERS] == [rule.id for rule in RULES]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_findings_are_those_expected(folder: Path, tmp_path: Path) -> None:
    document = expected(folder)
    if "--tensorrt" in document["options"] and not available():
        pytest.skip("tensorrt-rtx is not installed")
    lay_out(folder, tmp_path)
    bad = said(tmp_path, config(folder, "bad"), document["options"])
    assert bad == document["bad"]
    assert folder.name in {finding["id"] for finding in bad}
    assert said(tmp_path, config(folder, "good"), document["options"]) == document["good"] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_explains_itself(rule: Rule) -> None:
    text = f"{rule.title} {rule.why} {rule.fix}"
    assert len(rule.why) > 40
    assert rule.fix
    assert not rule.title.endswith(".")
    assert "  " not in text
