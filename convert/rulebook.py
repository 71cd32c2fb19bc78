"""Every rule of every room, in the order of their ids: for `explain`, SARIF and README's table."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convert.findings import Rule

__all__ = ["rulebook"]

# Named, not imported: `check` on one text file must not bring what the other rooms' modules bring.
_ROOMS = (
    "convert.export.findings",
    "convert.graph.findings",
    "convert.validate.findings",
    "convert.nvinfer.findings",
    "convert.nvinfer.rules.book",
    "convert.eim.findings",
    "convert.against.findings",
    "convert.batch.findings",
    "convert.simulate.findings",
)


@cache
def rulebook() -> dict[str, Rule]:
    """Id -> rule."""
    rules = [rule for room in _ROOMS for rule in importlib.import_module(room).RULES]
    assert len({rule.id for rule in rules}) == len(rules), "an id is used twice"
    return {rule.id: rule for rule in sorted(rules, key=lambda rule: rule.id)}
