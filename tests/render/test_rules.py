"""The page of all rules, and what `explain` and `targets` print.

`python -m tests.render.test_rules` writes the page.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from convert.check.fixes import FIXABLE
from convert.check.rules import RULES
from convert.files import write
from convert.findings import Rule, rulebook
from convert.nvinfer.targets import container, targets
from convert.render.check import details, explanation, listing, rules_document, table, targets_document
from tests.check.rules.examples import FILE, examples

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "convert" / "check" / "rules" / "README.md"
HEAD = """# Findings and rules

Made by `python -m tests.render.test_rules`; `ei-deepstream explain ID` shows the same on the terminal. NVI come from
`check`, EI from the other commands. An error keeps a bundle from being written, or is what stops a pipeline.

"""


def rules_page(rules: Iterable[Rule]) -> str:
    """The page of all rules, in Markdown."""
    parts = [HEAD]
    for rule in rules:
        fixed = ", `check --fix` does it" if rule.id in FIXABLE else ""
        sentences = " ".join(rule.why.split()), " ".join(rule.fix.split())
        parts.append(f"## {rule.id}: {rule.title}\n\nLevel: {rule.level.value}.\n\nWhy: {sentences[0]}\n\n")
        parts.append(f"What to do{fixed}: {sentences[1]}\n\n")
    return "".join(parts).rstrip() + "\n"


def test_the_page_is_current() -> None:
    assert rules_page(rulebook().values()) == PAGE.read_text(), "run: python -m tests.render.test_rules"


def test_the_examples_are_those_of_the_cases() -> None:
    assert FILE.read_text() == examples(), "run: python -m tests.check.rules.examples"


def test_the_page_has_every_rule_with_its_reason_and_cure() -> None:
    page = rules_page([rulebook()["NVI004"], rulebook()["NVI009"]])
    assert page.count("\n## ") == 2
    fixable, other = page.split("\n## ")[1:]
    assert fixable.startswith("NVI004: a comment behind a value\n\nLevel: warning.\n\nWhy: ")
    assert "What to do, `check --fix` does it: " in fixable
    assert "\n\nWhat to do: " in other


def test_every_rule_is_in_the_book_in_order() -> None:
    assert list(rulebook()) == sorted(rulebook())
    assert {rule.id for rule in RULES} <= set(rulebook())


def test_an_explanation_says_what_why_and_what_to_do() -> None:
    for rule in rulebook().values():
        text = explanation(rule)
        assert text.startswith(rule.id)
        assert rule.title in text
        for part in (rule.why, rule.fix):
            assert " ".join(part.split()) in " ".join(text.split())
        assert max(map(len, text.splitlines()[1:])) <= 110
    assert "--fix" in explanation(rulebook()["NVI004"])
    assert "--fix" not in explanation(rulebook()["NVI009"])


def test_the_listing_and_the_document_have_all() -> None:
    text = listing(rulebook().values())
    document = rules_document(rulebook().values())
    assert [rule["id"] for rule in document["rules"]] == list(rulebook())
    assert all(rule["id"] in text and rule["title"] in text for rule in document["rules"])


def test_the_table_of_targets() -> None:
    text = table(targets())
    rows = text.splitlines()[1 : 1 + len(targets())]
    for row, target in zip(rows, targets(), strict=True):
        assert row.split()[:2] == [target.deepstream, target.platform]
        assert target.tensorrt in row
        for cell, _ in target.unverified:
            value = getattr(target, cell, None)
            if isinstance(value, str):
                assert f"{value}*" in row
    assert "None" not in text


def test_a_target_at_length() -> None:
    for target in targets():
        text = details(target)
        assert target.name in text
        assert "NvDsInferParseCustomTfSSD" in text
        assert all(why in text for _, why in target.unverified)
        image = container(target)
        assert image is None or f"\n  container            {image}" in text


def test_the_document_of_targets() -> None:
    found = {(each["deepstream"], each["platform"]): each for each in targets_document(targets())["targets"]}
    assert set(found) == {(target.deepstream, target.platform) for target in targets()}
    old, new = found["5.1", "jetson"], found["9.1", "dgpu"]
    assert "symmetric-padding" in old["keys_it_lacks"]
    assert new["keys_it_lacks"] == []
    assert "workspace-size" in new["keys_without_effect"]
    assert old["keys_without_effect"] == []
    assert "--explicitBatch" in new["trtexec_lacks"]
    assert new["trtexec_fp16"].startswith("--skipInference --fp16")
    assert new["container"] == "nvcr.io/nvidia/deepstream:9.1-samples-multiarch"
    assert found["5.1", "dgpu"]["not_verified"].keys() == {"tensorrt", "cuda"}


if __name__ == "__main__":
    write(PAGE, rules_page(rulebook().values()).encode())
