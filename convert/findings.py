"""Findings: what a user must know but what does not end a run, and the rules they are findings of.

A `Rule` is declared once: in `configs/rules.toml` or (emit, simulate, check) beside the code that finds it. A `Finding`
is one place where it holds. Ids are stable: `EI1xx` unpack, `EI2xx` translate, `EI3xx` adapt, `EI4xx` validate, `EI5xx`
emit, `EI6xx` eim, `EI7xx` simulate and compare, `EI8xx` batch, `NVIxxx` check. `rulebook` lists the rules of all rooms
in the order of their ids, for `explain`, SARIF and README's table.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from convert.files import load_toml


class Level(StrEnum):
    """How bad it is; the names are SARIF's (sarif-schema 2.1.0, `level`)."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 note, 1 warning, 2 error."""
        return ("note", "warning", "error").index(self.value)


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be found.

    Attributes:
        id: stable, for example "EI104".
        level: the level its findings have unless they say otherwise.
        title: one line, without a full stop.
        why: what happens on the device if nothing is done; shown by `explain`.
        fix: what to do; shown by `explain`.
    """

    id: str
    level: Level
    title: str
    why: str = ""
    fix: str = ""

    def found(
        self,
        message: str,
        *,
        path: Path | str | None = None,
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
        level: Level | None = None,
    ) -> Finding:
        """A finding of this rule. `line` and `column` are 1-based."""
        return Finding(self.id, level or self.level, message, None if path is None else str(path), line, column, hint)


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a rule holds. `path` is relative or as the user named it; `line`, `column` are 1-based."""

    id: str
    level: Level
    message: str
    path: str | None = None
    line: int | None = None
    column: int | None = None
    hint: str | None = None


def worst(findings: Iterable[Finding]) -> Level | None:
    """The highest level among `findings`, None when there are none."""
    return max((finding.level for finding in findings), key=lambda level: level.rank, default=None)


# Named, not imported: `check` on one text file must not bring what the other rooms' modules bring.
_ROOMS = ("convert.emit.findings", "convert.check.rules", "convert.simulate.results")


@cache
def _rules() -> dict[str, Rule]:
    """Those of `configs/rules.toml`."""
    rows = load_toml("rules.toml").items()
    return {key: Rule(key, Level(row["level"]), row["title"], row["why"], row["fix"]) for key, row in rows}


def rule(identity: str) -> Rule:
    """The rule of that id in `configs/rules.toml`; KeyError: there is none."""
    return _rules()[identity]


@cache
def rulebook() -> dict[str, Rule]:
    """Id -> rule."""
    rules = {*_rules().values(), *(rule for room in _ROOMS for rule in importlib.import_module(room).RULES)}
    assert len({rule.id for rule in rules}) == len(rules), "an id is used twice"
    return {rule.id: rule for rule in sorted(rules, key=lambda rule: rule.id)}
