"""Rules for people, for machines, and for README's table."""

from __future__ import annotations

import re
import sys
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

from convert.findings import Level
from convert.nvinfer.rules.fixes import FIXABLE
from convert.render.colour import paint_for
from convert.report import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from convert.findings import Rule

__all__ = ["explanation", "listing", "readme_table", "rules_document"]

_WIDTH: Final = 100
_COLOURS: Final = {Level.ERROR: "1;31", Level.WARNING: "1;33", Level.NOTE: "1;36"}
_MARKERS = re.compile(r"(?<=<!-- rules -->\n).*?(?=<!-- /rules -->)", re.DOTALL)


def explanation(rule: Rule) -> str:
    """A rule at length."""
    paint = paint_for(sys.stdout)
    parts = [f"{paint(rule.id, '1')} {paint(rule.level.value, _COLOURS[rule.level])}: {paint(rule.title, '1')}"]
    for head, text in (("What happens", rule.why), ("What to do", rule.fix)):
        if text:
            body = fill(text, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
            parts.append(f"{head}\n{body}")
    if rule.id in FIXABLE:
        parts.append("  `ei-deepstream check --fix` does it where that is mechanical.")
    if rule.id.startswith("NVI"):
        parts.append(f"To have it so: a line `# check: ignore {rule.id}` above the line it is about.")
    return "\n\n".join(parts) + "\n"


def listing(rules: Iterable[Rule]) -> str:
    """A line a rule."""
    paint = paint_for(sys.stdout)
    lines = [f"{rule.id:<6}  {paint(f'{rule.level.value:<7}', _COLOURS[rule.level])}  {rule.title}" for rule in rules]
    return "\n".join([*lines, "", "`ei-deepstream explain NVI014` says more about one."]) + "\n"


def rules_document(rules: Iterable[Rule]) -> dict[str, Any]:
    """`{schema_version, rules: [{id, level, title, why, fix, fixable}]}`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "rules": [
            {
                "id": rule.id,
                "level": rule.level.value,
                "title": rule.title,
                "why": rule.why,
                "fix": rule.fix,
                "fixable": rule.id in FIXABLE,
            }
            for rule in rules
        ],
    }


def readme_table(readme: str, rules: Iterable[Rule]) -> str:
    """README with the table of all rules between its markers.

    Raises:
        ValueError: the markers are not there.
    """
    rows = [f"| {rule.id} | {rule.level.value} | {rule.title.replace('|', chr(92) + '|')} |" for rule in rules]
    table = "\n".join(["| rule | level | what |", "|---|---|---|", *rows]) + "\n"
    if not _MARKERS.search(readme):
        raise ValueError("README has no <!-- rules --> and <!-- /rules -->")
    return _MARKERS.sub(lambda _: table, readme)
