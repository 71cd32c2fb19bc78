"""README is executed: every `$ ...` line of a ```console block runs, in order, in one folder; so does its Python.

The exit code is 0 unless the line ends in `# exit code N`; the lines below it must appear in the output,
where `...` stands for anything.
"""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.make.conftest import command
from tests.studio.server import KEY, StudioServer

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("unpack", "translate", "adapt", "validate", "emit")
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
_EXIT = re.compile(r"\s+# exit code (\d+)$")


@pytest.fixture
def studio() -> Iterator[StudioServer]:
    """A stand-in for Edge Impulse's server, with a sample's model."""
    server = StudioServer({"tflite-float": (ROOT / "samples" / "models" / "shapes.tflite").read_bytes()})
    with server.running():
        yield server


def _examples(page: str) -> list[tuple[str, list[str]]]:
    examples: list[tuple[str, list[str]]] = []
    for block in _BLOCK.findall((ROOT / page).read_text()):
        for line in block.splitlines():
            if line.startswith("$ "):
                examples.append((line[2:], []))
            elif line.strip():
                examples[-1][1].append(line.rstrip())
    return examples


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "convert/eim/README.md"])
def test_every_example_does_what_readme_says(page: str, studio: StudioServer, tmp_path: Path, forks: Path) -> None:
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    folder = tmp_path / ".bin"
    folder.mkdir()
    environment = command(folder, forks)
    (folder / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')  # a standalone .eim takes it
    (folder / "python3").chmod(0o755)
    environment |= {"EI_API_ENDPOINT": studio.endpoint, "EI_API_KEY": KEY}
    examples = [(line, shown) for line, shown in _examples(page) if line.startswith(("ei-deepstream", "cat", "ls"))]
    assert len(examples) >= 3
    for line, shown in examples:
        if "/tmp/" in line:  # waits for what another shell starts
            continue
        wanted = _EXIT.search(line)
        done = subprocess.run(
            _EXIT.sub("", line), shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == (int(wanted[1]) if wanted else 0), (line, done.stdout, done.stderr)
        text = done.stdout + done.stderr
        for expected in shown:
            pattern = ".*".join(re.escape(part) for part in expected.split("..."))
            assert re.search(f"^{pattern}", text, re.MULTILINE), f"{line}\nshould show: {expected}\nshows:\n{text}"


@pytest.mark.slow
def test_the_python_does_what_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    blocks = _PYTHON.findall((ROOT / "README.md").read_text())
    assert blocks
    (tmp_path / "example.py").write_text("\n".join(blocks))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EI_DEEPSTREAM_CACHE", str(tmp_path / "cache"))
    runpy.run_path("example.py", run_name="__main__")
    said = capfd.readouterr().out
    assert said.splitlines()[:6] == ["classifier", *[name for name in STAGES for _ in range(2)][:5]]
    assert "('circle-1', 'circle '), " in said
    assert (tmp_path / "many-from-python" / "fruit-cpp-2022" / "report.json").exists()
