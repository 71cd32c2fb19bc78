"""Every head's properties, with those that it does not set itself: what reports, configs and messages are made of.

Made anew by `python -m tests.heads.test_table`: read the difference before it is committed.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from convert.heads import HEADS

GOLDEN = Path(__file__).with_name("golden") / "heads.txt"


def lines() -> str:
    told = []
    for each in HEADS:
        told.append(f"{each.id}: {type(each).__name__}")
        told += [f"  {field.name} = {_shown(getattr(each, field.name))}" for field in dataclasses.fields(each)]
    return "\n".join(told) + "\n"


def _shown(value: Any) -> str:
    """As Python writes it; functions by their names, sets sorted."""
    if isinstance(value, partial):
        return f"{value.func.__name__}{value.args or ''}{value.keywords or ''}"
    if isinstance(value, frozenset | set):
        return f"{{{', '.join(sorted(map(repr, value)))}}}"
    return value.__name__ if callable(value) else repr(value)


def test_table() -> None:
    assert lines() == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.write_text(lines(), encoding="utf-8")
