"""Modules are also named in strings (rules, commands, functions for a worker): each of those names exists."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "convert"
NAME = re.compile(r"convert(?:\.\w+)+(?::\w+)?\.?")


def dotted() -> dict[str, str]:
    """Every such string, and where it stands; with a dot at its end it is what module names start with."""
    found: dict[str, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                texts = [part.value for part in node.values if isinstance(part, ast.Constant)]
                joined = [text for text in texts if isinstance(text, str) and text.startswith("convert.")]
                assert not joined, f"{path}:{node.lineno}: a name put together from parts cannot be looked for"
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
                found.setdefault(node.value, f"{path.relative_to(PACKAGE.parent)}:{node.lineno}")
    return found


def resolve(name: str) -> object:
    """The module, or the attribute behind the last dot or behind the colon.

    Raises:
        ImportError, AttributeError: there is none.
    """
    module, _, attribute = name.removesuffix(".").partition(":")
    if attribute:
        return getattr(importlib.import_module(module), attribute)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        parent, _, attribute = module.rpartition(".")
        return getattr(importlib.import_module(parent), attribute)


def test_every_module_named_in_a_string_exists() -> None:
    names = dotted()
    assert len(names) > 20
    wrong = []
    for name, place in names.items():
        try:
            resolve(name)
        except (ImportError, AttributeError) as error:
            wrong.append(f"{place}: {name}: {error}")
    assert wrong == []


@pytest.mark.parametrize("name", ["convert.nothing", "convert.isolation:nothing", "convert.nothing:answer"])
def test_a_name_that_does_not_exist_is_noticed(name: str) -> None:
    with pytest.raises((ImportError, AttributeError)):
        resolve(name)
