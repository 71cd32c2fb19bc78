"""What `check` knows: rules NVI001 and up, each a pure function of what was read.

`LEXICAL` rules look at every file, `SEMANTIC` ones only at configs nvinfer accepts: what it would do with the rest of a
file that it refuses, nobody can say. Those for the model (`network`, `framing`, `operators`), for deepstream-app's own
config (`pipeline`) and for scripts (`script`) are imported where there is one. `book` lists them all.

Every NVI rule, in the order of their ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from convert.check.rules import app, engine, keys, labels, model, outputs, preprocessing, syntax

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from convert.check.context import RuleContext, RuleFunction
    from convert.findings import Finding, Rule


__all__ = ["LEXICAL", "MOST", "RULES", "SEMANTIC", "findings"]


MOST: Final = 100
"""Findings of one rule in one config that are shown."""

LEXICAL: tuple[tuple[Rule, RuleFunction], ...] = (*syntax.CHECKS, *keys.LEXICAL)
SEMANTIC: tuple[tuple[Rule, RuleFunction], ...] = (
    *keys.SEMANTIC,
    *engine.CHECKS,
    *preprocessing.PIXEL_CHECKS,
    *labels.CHECKS,
    *outputs.DETECTOR_CHECKS,
    *outputs.FILTER_CHECKS,
    *outputs.CHECKS,
)


def findings(case: RuleContext) -> tuple[Finding, ...]:
    """What the rules find in a config."""
    checks = LEXICAL if case.faults else (*LEXICAL, *SEMANTIC)
    if case.model_path is not None:
        checks = (*checks, *model.NETWORK_CHECKS, *preprocessing.FRAMING_CHECKS, *model.OPERATOR_CHECKS)
    return tuple(finding for rule, check in checks for finding in _first(rule, check(case)))


def _first(rule: Rule, found: Iterable[Finding]) -> Iterator[Finding]:
    """The first findings of a rule, and whether there are more: nobody reads a thousand."""
    for number, finding in enumerate(found):
        if number == MOST:
            yield rule.found(f"there are more of these; the first {MOST} are shown", path=finding.path)
            return
        yield finding


_OF_CONFIGS = [
    rule
    for rule, _ in (*LEXICAL, *SEMANTIC, *model.NETWORK_CHECKS, *preprocessing.FRAMING_CHECKS, *model.OPERATOR_CHECKS)
]
_OF_APPS = [rule for rule, _ in app.CHECKS]
# The gates of convert.check are no functions of a case alone.
_OTHERS = [model.ONNX_RUNTIME, model.TENSORRT, app.RULE]

RULES: tuple[Rule, ...] = tuple(
    sorted({rule.id: rule for rule in (*_OF_CONFIGS, *_OF_APPS, *_OTHERS)}.values(), key=lambda rule: rule.id)
)
