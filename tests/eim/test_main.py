"""The process behind a packed .eim: what it prints and how it ends where nothing is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from convert.eim.__main__ import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("arguments", [[], ["bundle"]])
def test_without_a_parameter(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    assert capsys.readouterr().out.startswith("Requires one parameter (either: '--print-info', 'stdin' or")


def test_what_is_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "gone"), "stdin"]) == 1
    error, hint = capsys.readouterr().out.splitlines()
    assert error.startswith(f"ERR: {tmp_path}/gone")
    assert hint.startswith("  hint: ")
