"""The process behind a packed .eim: what it prints and how it ends where nothing is served."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize(
    ("streams", "mode", "said"),
    [
        (">&-", "--print-info", ""),
        pytest.param("> /dev/full", "--print-info", "ERR: cannot write: No space left on device\n", marks=FULL),
        ("0> /dev/null", "stdin", "ERR: Bad file descriptor\n"),  # which cannot be read
    ],
)
def test_streams_that_cannot_be_used(made: dict[str, Path], streams: str, mode: str, said: str) -> None:
    command = ["sh", "-c", f'exec "$@" {streams}', "sh", sys.executable, "-m", "convert.eim", str(made["fomo"]), mode]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (int(bool(said)), said)


@pytest.mark.parametrize(("name", "why"), [("gone", "No such file or directory"), ("n" * 300, "File name too long")])
def test_what_is_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, why: str) -> None:
    assert main([str(tmp_path / name), "stdin"]) == 1
    error, hint = capsys.readouterr().out.splitlines()
    assert error == f"ERR: {tmp_path}/{name}: the bundle cannot be read: {why}"
    assert hint.startswith("  hint: ")


@pytest.mark.parametrize("more", [[], ["and", "more"]])
def test_the_third_argument_is_the_provider(
    made: dict[str, Path], capfd: pytest.CaptureFixture[str], more: list[str]
) -> None:
    assert main([str(made["classifier"]), "--print-info", "cpu", *more]) == 0
    said = capfd.readouterr().out
    document = json.loads(said[said.index("{") :])
    assert document["inferencing_engine"]["properties"] == ["onnxruntime CPUExecutionProvider"]
    assert said.startswith(
        "Edge Impulse Linux impulse runner - printing model metadata\nRunning on ONNX Runtime's CPUExecutionProvider\n"
    )
