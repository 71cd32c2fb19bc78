"""The rules NVI001 to NVI123 of `check`, each with its text and its function in the module of its topic.

A new rule: a `Rule`, a generator that yields its findings and a row in `CHECKS`, all in one module of this package, and
a folder `tests/cases/<id>`. Functions read nothing from the disk: they get a `RuleContext`, those of `app` an
`AppContext`, those of `analytics` the file as Gst-nvdsanalytics reads it.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

from convert.check.context import Unclear
from convert.check.rules import analytics, app, engine, keys, labels, model, outputs, preprocessing, streams, syntax

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convert.check.context import RuleContext
    from convert.findings import Finding, Rule


MOST: Final = 100
"""Findings of one rule in one config that are shown."""

CHECKS = (
    *syntax.CHECKS,
    *keys.CHECKS,
    *engine.CHECKS,
    *preprocessing.CHECKS,
    *labels.CHECKS,
    *outputs.CHECKS,
    *model.CHECKS,
    *streams.CHECKS,
)

RULES: tuple[Rule, ...] = tuple(
    sorted(
        # The external checks of `convert.check.run` and the rule on scripts have other inputs.
        {*(check.rule for check in CHECKS), *app.RULES, *analytics.RULES, model.ONNX_RUNTIME, model.TENSORRT},
        key=lambda rule: rule.id,
    )
)
"""Every NVI rule, in the order of their ids."""


def findings(context: RuleContext) -> Iterator[Finding]:
    """What the rules find in a config; at most `MOST` of one rule, and a line that says that there are more."""
    for check in CHECKS:
        if not (context.values or check.refused):
            continue
        found = iter(check.run(context))
        with suppress(Unclear):
            yield from islice(found, MOST)
            if rest := next(found, None):
                yield check.rule.found(f"there are more of these; the first {MOST} are shown", path=rest.path)
