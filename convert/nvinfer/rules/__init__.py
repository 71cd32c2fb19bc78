"""What `check` knows: rules NVI001 and up, each a pure function of what was read.

`LEXICAL` rules look at every file, `SEMANTIC` ones only at configs nvinfer accepts: what it would do with the rest of a
file that it refuses, nobody can say. `APP` is for deepstream-app's own config. The order is that of the ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.nvinfer.rules import (
    classifier,
    detector,
    engine,
    filters,
    labelling,
    network,
    operators,
    pipeline,
    pixels,
    reading,
    script,
    spelling,
)

if TYPE_CHECKING:
    from convert.findings import Finding, Rule
    from convert.nvinfer.rules.case import Case, Check
    from convert.nvinfer.rules.pipeline import AppCase, AppCheck

__all__ = ["APP", "LEXICAL", "RULES", "SEMANTIC", "app_findings", "findings"]

LEXICAL: tuple[tuple[Rule, Check], ...] = (*reading.CHECKS, *spelling.LEXICAL)
SEMANTIC: tuple[tuple[Rule, Check], ...] = (
    *spelling.SEMANTIC,
    *engine.CHECKS,
    *network.CHECKS,
    *operators.CHECKS,
    *pixels.CHECKS,
    *labelling.CHECKS,
    *detector.CHECKS,
    *filters.CHECKS,
    *classifier.CHECKS,
)
APP: tuple[tuple[Rule, AppCheck], ...] = pipeline.CHECKS

RULES: tuple[Rule, ...] = tuple(
    sorted(
        {
            rule.id: rule
            for rule in (
                *(rule for rule, _ in (*LEXICAL, *SEMANTIC)),
                *(rule for rule, _ in APP),
                *(operators.ONNX_RUNTIME, operators.TENSORRT, script.RULE),
            )
        }.values(),
        key=lambda rule: rule.id,
    )
)
"""Every rule of this room."""


def findings(case: Case) -> tuple[Finding, ...]:
    """What the rules find in a config."""
    checks = LEXICAL if case.faults else (*LEXICAL, *SEMANTIC)
    return tuple(finding for _, check in checks for finding in check(case))


def app_findings(app: AppCase) -> tuple[Finding, ...]:
    """What the rules find in deepstream-app's config."""
    return tuple(finding for _, check in APP for finding in check(app))
