"""The exception tree, its codes, and that errors survive the way between processes."""

from __future__ import annotations

import pickle
import shlex
import sys
from pathlib import Path

import pytest

from convert import errors
from convert.errors import ConvertError

TREE = {
    "ConvertError": "convert",
    "InputError": "input",
    "MissingDependencyError": "dependency",
    "NoModelError": "input",
    "OutputError": "output",
    "PresetError": "preset",
    "TranslationError": "translation",
    "UnsupportedModelError": "unsupported",
    "ValidationError": "validation",
}


def test_the_tree_is_pinned() -> None:
    """Codes stand in JSON documents: a change breaks those who read them."""
    assert {name: getattr(errors, name).code for name in errors.__all__} == TREE
    for name in set(TREE) - {"ConvertError", "NoModelError"}:
        assert getattr(errors, name).__bases__ == (ConvertError,)
    assert errors.NoModelError.__bases__ == (errors.InputError,)


def test_the_tree_is_drawn() -> None:
    drawn = str(errors.__doc__)
    for name, code in TREE.items():
        assert f"{name} " in drawn
        assert f'"{code}"' in drawn


@pytest.mark.parametrize("name", sorted(TREE))
def test_pickled_whole(name: str) -> None:
    error = getattr(errors, name)("too bad", hint="do better", path=Path("a/b.h"), line=7)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error) == {"message": "too bad", "hint": "do better", "path": "a/b.h", "line": 7}
    assert str(again) == "too bad"


def test_only_the_message_is_needed() -> None:
    error = pickle.loads(pickle.dumps(ConvertError("too bad")))
    assert (error.hint, error.path, error.line) == (None, None, None)


def test_the_command_that_installs_a_package() -> None:
    command = errors.pip_install("ei-deepstream[video]")
    python, *rest = shlex.split(command)
    assert (python, rest) == (sys.executable, ["-m", "pip", "install", "ei-deepstream[video]"])
