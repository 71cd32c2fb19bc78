"""Findings: what a user must know but what does not end a run, and the rules they are findings of.

A `Rule` has its texts in `configs/rules.toml` and its name beside the code that finds it. A `Finding` is one place
where it holds. Ids are stable: `EI1xx` unpack, `EI2xx` translate, `EI3xx` adapt, `EI4xx` validate, `EI5xx`
emit, `EI6xx` eim, `EI7xx` simulate and compare, `EI8xx` batch, `NVIxxx` check. `rulebook` lists the rules of all rooms
in the order of their ids, for `explain`, SARIF and README's table.
"""

from __future__ import annotations

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
    """One thing that can be found, by its id ("EI104"). Its level stands in `configs/levels.toml`, its texts in
    `configs/rules.toml`: a `check` does without those.
    """

    id: str

    @property
    def level(self) -> Level:
        """The level its findings have unless they say otherwise."""
        return Level(_levels()[self.id])

    @property
    def title(self) -> str:
        """One line, without a full stop."""
        return _texts()[self.id]["title"]

    @property
    def why(self) -> str:
        """What happens on the device if nothing is done; shown by `explain`."""
        return _texts()[self.id]["why"]

    @property
    def fix(self) -> str:
        """What to do; shown by `explain`."""
        return _texts()[self.id]["fix"]

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


@cache
def _levels() -> dict[str, str]:
    return load_toml("levels.toml")


@cache
def _texts() -> dict[str, dict[str, str]]:
    texts: dict[str, dict[str, str]] = load_toml("rules.toml")
    return texts


@cache
def rulebook() -> dict[str, Rule]:
    """Id -> rule, in the order of the ids."""
    return {identity: Rule(identity) for identity in sorted(_texts())}
