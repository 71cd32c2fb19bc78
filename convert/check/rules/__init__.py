"""The rules NVI001 to NVI124 of `check`, each a function in the module of its topic; its texts are in rules.toml.

A new rule: a generator that yields its findings, with its id in front (`@on_config`, `@on_app`, `@on_analytics`), and a
folder `tests/cases/<id>`. Functions read nothing from the disk: they get a `RuleContext`, an `AppContext`, or the file
as Gst-nvdsanalytics reads it.
"""

from __future__ import annotations

from collections.abc import Iterator

from convert.check.analytics import on_analytics
from convert.check.app import on_app
from convert.check.context import RuleContext, on_config

# isort: off
# The order of the rules is that of their modules here.
from convert.check.rules import syntax, keys, engine, preprocessing, labels, outputs, model  # noqa: F401
from convert.check.rules import streams, app, analytics  # noqa: F401

# isort: on
from convert.findings import Finding, Rule

RULES: tuple[Rule, ...] = tuple(
    sorted(
        # The external checks of `convert.check.run` and the rules on scripts and trackers have other inputs.
        {
            *(Rule(check.id) for checks in (on_config, on_app, on_analytics) for check in checks),
            *(app.TRTEXEC_OPTION, analytics.TRACKER_KEY, analytics.TRACKER_VALUE, model.ONNX_RUNTIME, model.TENSORRT),
        },
        key=lambda rule: rule.id,
    )
)
"""Every NVI rule, in the order of their ids."""


def findings(context: RuleContext) -> Iterator[Finding]:
    """What the rules find in a config."""
    return on_config.findings(context, refused=not context.values)
