"""Runs the command line in this process, and as a process of its own where that matters."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.__main__ import main
from tests.emitted import emitted

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["emitted"]

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Said:
    """What a command printed and returned."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        document = json.loads(self.out)
        assert isinstance(document, dict)
        assert document["exit_code"] == self.code, "the exit code in the document is the process's"
        return document


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`say("convert", path, "-o", folder)`."""

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Said(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def exports() -> list[Path]:
    """The sample exports of pictures."""
    found = [each for each in sorted((ROOT / "samples" / "exports").iterdir()) if "sounds" not in each.name]
    assert found
    return found
