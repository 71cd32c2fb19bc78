"""A run killed or interrupted at any stage: what was there stays, nothing half-written, no child left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convert.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
PLAIN = ("--role", "sgie")  # nothing is compared, which takes most of the time

# Runs the command line with an observer that sends this very process a signal when the stage given begins, or, for
# "rename N", when the N-th file is about to be renamed into place.
_VICTIM = """
import contextlib, os, pathlib, signal, sys
import convert.render.text as progress
number, moment, *arguments = sys.argv[1:]

def strike():
    print("struck", flush=True)
    signal.raise_signal(int(number))

@contextlib.contextmanager
def watched(**_):
    def observe(event):
        if event.status == "started" and event.name == moment:
            strike()
    yield observe

progress.progress = watched
renamed = 0
real = pathlib.Path.replace

def replace(self, target):
    global renamed
    renamed += 1
    if moment == f"rename {renamed}":
        strike()
    return real(self, target)

pathlib.Path.replace = replace
from convert.__main__ import main
sys.exit(main(arguments))
"""


def _strike(number: int, moment: str, export: Path, out: Path) -> subprocess.CompletedProcess[str]:
    words = [str(int(number)), moment, "convert", str(export), "-o", str(out), *PLAIN]
    command = [sys.executable, "-c", _VICTIM, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=120)
    assert "struck" in done.stdout
    return done


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """An export, and the bundle an undisturbed run makes of it."""
    export = ROOT / "samples" / "exports" / "shapes-cpp-2025"
    out = tmp_path_factory.mktemp("whole")
    assert main(["convert", str(export), "-o", str(out), *PLAIN, "-q"]) == 0
    return export, _files(out)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["validate", "rename 7"])
def test_sigkill(moment: str, whole: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    export, bundle = whole
    out = tmp_path / "bundle"
    done = _strike(signal.SIGKILL, moment, export, out)
    assert done.returncode == -signal.SIGKILL
    left = _files(out) if out.exists() else {}
    assert left.items() <= bundle.items(), "every file that is there is whole"
    assert "report.json" not in left, "the report is written last"
    if moment == "validate":
        assert not left, "nothing is written before the last stage"
        return
    assert main(["convert", str(export), "-o", str(out), *PLAIN, "-q"]) == 0
    assert _files(out) == bundle
    assert not list(out.glob(".*")), "what the killed run left is cleared away"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "said", "moment"),
    [
        *((signal.SIGINT, "interrupted", moment) for moment in ("translate", "emit", "rename 2")),
        (signal.SIGTERM, "ended by SIGTERM", "validate"),
    ],
)
def test_interrupted(
    number: signal.Signals,
    said: str,
    moment: str,
    whole: tuple[Path, dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGTERM is what service managers and `timeout` send; it is handled as Ctrl-C."""
    export, bundle = whole
    out, temporary = tmp_path / "bundle", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    done = _strike(number, moment, export, out)
    assert done.returncode == 128 + number
    assert done.stderr.strip() == said
    assert not list(temporary.iterdir())
    if moment != "rename 2":
        assert not out.exists() or not list(out.iterdir())
    else:
        assert _files(out) == bundle, "renaming is not interrupted"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_no_child_outlives_its_parent(
    number: signal.Signals, whole: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    export, _ = whole
    command = [sys.executable, "-m", "convert", "convert", str(export), "-o", str(tmp_path / "bundle"), *PLAIN]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children: list[int] = []
    while not children:
        assert process.poll() is None, "it ended before it had a child"
        children = _children(process.pid)
    process.send_signal(number)
    assert process.wait(30) == (-number if number == signal.SIGKILL else 128 + number)
    deadline = time.monotonic() + 10
    while any(_lives(child) for child in children):
        assert time.monotonic() < deadline, "the child still runs"
        time.sleep(0.02)


def test_an_interrupted_import_has_the_exit_code_too(tmp_path: Path) -> None:
    """dataclasses call exec() while a module is imported, and `python -m` ends otherwise when that is interrupted."""
    (tmp_path / "interrupted.py").write_text(
        "import sys\n"
        "from convert import __main__ as program\n"
        "program.commands.main = lambda *_, **__: exec('raise KeyboardInterrupt')\n"
        "sys.exit(program.main([]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "interrupted"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def _children(pid: int) -> list[int]:
    return [
        int(word) for task in Path(f"/proc/{pid}/task").iterdir() for word in (task / "children").read_text().split()
    ]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
