"""The process behind a packed .eim: what it prints and how it ends where nothing is served."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from convert.eim.__main__ import main

FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


@pytest.mark.parametrize("arguments", [[], ["bundle"]])
def test_without_a_parameter(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    assert capsys.readouterr().out.startswith("Requires one parameter (either: '--print-info', 'stdin' or")


@pytest.mark.parametrize(("into", "code"), [(">&-", 0), pytest.param("> /dev/full", 1, marks=FULL)])
def test_an_output_that_takes_nothing(made: dict[str, Path], into: str, code: int) -> None:
    command = [
        "sh",
        "-c",
        f'exec "$@" {into}',
        "sh",
        sys.executable,
        "-m",
        "convert.eim",
        str(made["fomo"]),
        "--print-info",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (code, "ERR: cannot write: No space left on device\n" * code)


def test_what_is_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "gone"), "stdin"]) == 1
    error, hint = capsys.readouterr().out.splitlines()
    assert error.startswith(f"ERR: {tmp_path}/gone")
    assert hint.startswith("  hint: ")
