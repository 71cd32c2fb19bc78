"""What `check` knows: rules NVI001 and up, each a pure function of what was read.

`LEXICAL` rules look at every file, `SEMANTIC` ones only at configs nvinfer accepts: what it would do with the rest of a
file that it refuses, nobody can say. Those for the model (`network`, `framing`, `operators`), for deepstream-app's own
config (`pipeline`) and for scripts (`script`) are imported where there is one. `book` lists them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from convert.nvinfer.rules import classifier, detector, engine, filters, labelling, pixels, reading, spelling

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from convert.findings import Finding, Rule
    from convert.nvinfer.rules.case import Case, Check

__all__ = ["LEXICAL", "MOST", "SEMANTIC", "findings"]

MOST: Final = 100
"""Findings of one rule in one config that are shown."""

LEXICAL: tuple[tuple[Rule, Check], ...] = (*reading.CHECKS, *spelling.LEXICAL)
SEMANTIC: tuple[tuple[Rule, Check], ...] = (
    *spelling.SEMANTIC,
    *engine.CHECKS,
    *pixels.CHECKS,
    *labelling.CHECKS,
    *detector.CHECKS,
    *filters.CHECKS,
    *classifier.CHECKS,
)


def findings(case: Case) -> tuple[Finding, ...]:
    """What the rules find in a config."""
    checks = LEXICAL if case.faults else (*LEXICAL, *SEMANTIC)
    if case.model_path is not None:
        from convert.nvinfer.rules import framing, network, operators  # noqa: PLC0415 - most come without a model

        checks = (*checks, *network.CHECKS, *framing.CHECKS, *operators.CHECKS)
    return tuple(finding for rule, check in checks for finding in _first(rule, check(case)))


def _first(rule: Rule, found: Iterable[Finding]) -> Iterator[Finding]:
    """The first findings of a rule, and whether there are more: nobody reads a thousand."""
    for number, finding in enumerate(found):
        if number == MOST:
            yield rule.found(f"there are more of these; the first {MOST} are shown", path=finding.path)
            return
        yield finding
