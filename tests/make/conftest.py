"""Runs GNU make in a copy of the sample project, with the command of the environment the tests run in.

`test_project.py`'s interrupted make runs the command itself, all other tests forks of it (`forks.py`).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import of_all_processes
from tests.make.forks import CLIENT

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Made:
    """What make returned and printed."""

    code: int
    text: str

    @property
    def commands(self) -> list[str]:
        """The tool's commands that were run (or, with -n, would be), without their arguments."""
        return [line.split()[1] for line in self.text.splitlines() if line.startswith("ei-deepstream ")]


@dataclass(frozen=True)
class Project:
    """A folder with a Makefile; the samples lie beside it."""

    folder: Path
    environment: dict[str, str]

    def make(self, *arguments: str) -> Made:
        done = subprocess.run(
            ["make", "--no-print-directory", *arguments],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        return Made(done.returncode, done.stdout + done.stderr)

    def write(self, makefile: str) -> None:
        text = f"{makefile}\ninclude $(shell ei-deepstream --make-include)\n"
        (self.folder / "Makefile").write_text(text, errors="surrogateescape")


def command(folder: Path, forks: Path | None = None, version: str = "") -> dict[str, str]:
    """The environment in which `ei-deepstream` is this environment's, or a fork that the socket `forks` gives.

    `version` is added to what --version says.
    """
    script = folder / "ei-deepstream"
    run = f'"{sys.executable}" -P -m convert "$@"'
    if forks is not None:
        client = folder / "ei-deepstream.py"
        client.write_text(CLIENT)
        run = f'"{sys.executable}" -I -S "{client}" "{forks}" "$@"'
    extra = f'[ "$1" != --version ] || echo {version}\n' if version else ""
    script.write_text(f"#!/bin/sh\n{extra}exec {run}\n")
    script.chmod(0o755)
    # Another make above this one (`make test`) must not decide for the one below it.
    clean = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
    return {**clean, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}


@pytest.fixture(scope="session", autouse=True)
def _gnu_make() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not on this machine")


@pytest.fixture
def empty(tmp_path: Path, forks: Path) -> Project:
    """A project without a Makefile; exports/ is where the sample exports are."""
    (tmp_path / ".bin").mkdir()
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copytree(ROOT / "samples" / "exports", folder / "exports")
    return Project(folder, command(tmp_path / ".bin", forks))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, forks: Path) -> Path:
    """A copy of the samples in which `make -j2` has run; all processes of pytest-xdist share it."""
    top = of_all_processes(tmp_path_factory, "made") / "samples"
    with top.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not top.exists():
            place = Path(tempfile.mkdtemp(dir=top.parent))
            for name in ("exports", "pictures", "project"):
                shutil.copytree(ROOT / "samples" / name, place / name)
            made = Project(place / "project", command(place, forks)).make("-j2")
            assert made.code == 0, made.text
            assert sorted(made.commands) == sorted(["unpack", "translate", "adapt", "validate", "emit", "check"] * 2)
            place.rename(top)
    return top


@pytest.fixture
def built(finished: Path, tmp_path: Path, forks: Path) -> Project:
    """The finished project, times included, for one test alone."""
    shutil.copytree(finished, tmp_path / "samples")
    return Project(tmp_path / "samples" / "project", command(tmp_path / "samples", forks))
