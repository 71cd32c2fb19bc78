"""Limits, defaults and numbers of foreign formats, as a table: none changes by accident, or unseen in a large change.

Made anew by `python -m tests.test_numbers`.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).with_name("golden") / "numbers.txt"
PACKAGE = Path(__file__).resolve().parents[1] / "convert"


def lines() -> str:
    """`module.NAME = value` for every constant of a module that is, or holds, a number, beside text and the like."""
    told = []
    for path in sorted(PACKAGE.rglob("*.py")):
        names = _constants(ast.parse(path.read_text(encoding="utf-8")))
        place = path.relative_to(PACKAGE).with_suffix("")
        module = (
            importlib.import_module(".".join(("convert", *place.parts)).removesuffix(".__init__")) if names else None
        )
        for name in names:
            value = getattr(module, name)
            if _is_plain(value) and _has_number(value):
                told.append(f"{'.'.join(place.parts)}.{name} = {_shown(value)}\n")
    return "".join(told)


def _constants(tree: ast.Module) -> list[str]:
    """Names that are assigned what is written with a number; what is worked out of others changes with them."""
    names: list[str] = []
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        if any(isinstance(each, ast.Constant) and _has_number(each.value) for each in ast.walk(node.value)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
    return names


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, (*value, *value.values())))
    if isinstance(value, tuple | list | frozenset | set):
        return all(map(_is_plain, value))
    return value is None or type(value) in {int, float, bool, str, bytes}


def _has_number(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_number, (*value, *value.values())))
    if isinstance(value, tuple | list | frozenset | set):
        return any(map(_has_number, value))
    return type(value) in {int, float}


def _shown(value: Any) -> str:
    """As Python writes it; sets, which have no order, sorted."""
    return f"{{{', '.join(sorted(map(repr, value)))}}}" if isinstance(value, frozenset | set) else repr(value)


def test_numbers() -> None:
    assert lines() == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.write_text(lines(), encoding="utf-8")
