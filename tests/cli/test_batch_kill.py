"""A batch that is killed at any moment, interrupted, or run twice at once: the same bytes, nothing half-written."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convert import batch
from convert.batch.plan import State
from tests.batch.conftest import InThisProcess
from tests.cli.conftest import ROOT
from tests.conftest import of_all_processes

SHAPES = ROOT / "samples" / "models" / "shapes.tflite"
MODELS = 5


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def command(exports: Path, out: Path, jobs: int = 2) -> list[str]:
    words = ["convert", "batch", str(exports), "-o", str(out), "-j", str(jobs), "--format", "json"]
    return [sys.executable, "-m", *words, "--role", "sgie"]  # nothing is compared, which takes most of the time


def environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "EI_DEEPSTREAM_CACHE": str(cache)}


def run(exports: Path, out: Path, cache: Path) -> dict[State, int]:
    """How many models came to what, in a run that nobody ends: in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("convert.batch.Pool", InThisProcess)
        return batch(exports, out, cache_dir=cache, role="sgie").counts


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `exports`, small models, their bundles `out` and the `cache` of an undisturbed run.

    All processes of pytest-xdist share it.
    """
    folder = of_all_processes(tmp_path_factory, "batch")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "out").exists():
            (folder / "exports").mkdir()
            for number in range(MODELS):  # each with a digest of its own
                (folder / "exports" / f"m{number}.tflite").write_bytes(SHAPES.read_bytes() + b"%d" % number)
            assert run(folder / "exports", folder / "out", folder / "cache")[State.DONE] == MODELS
    return folder


@pytest.fixture(scope="module")
def exports(cached: Path) -> Path:
    return cached / "exports"


@pytest.fixture(scope="module")
def whole(cached: Path) -> dict[str, bytes]:
    """What an undisturbed run makes."""
    return tree(cached / "out")


def children(pid: int) -> list[int]:
    found = [
        int(word) for each in Path(f"/proc/{pid}/task").iterdir() for word in (each / "children").read_text().split()
    ]
    return found + [grand for child in found for grand in children(child)]


def gone(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def kill(process: subprocess.Popen[bytes], workers: list[int]) -> None:
    """End a run, and wait until its workers are gone: they are killed with their parent, which takes a moment."""
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while not all(map(gone, workers)):
        assert time.monotonic() < deadline, "a worker outlives its parent"
        time.sleep(0.02)


@pytest.mark.slow
def test_sigkill_at_random_moments(exports: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """Killed again and again, each run goes on where the one before it stopped."""
    moments = random.Random(9)
    out, cache = tmp_path / "out", tmp_path / "cache"
    for jobs, files in ((2, 1), (1, len(whole) // 2)):
        process = subprocess.Popen(
            command(exports, out, jobs),
            cwd=ROOT,
            env=environment(cache),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len(list(out.rglob("*.*"))) < files:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.1))
        workers = [] if gone(process.pid) else children(process.pid)
        kill(process, workers)
        for name, data in (tree(out) if out.exists() else {}).items():
            assert data == whole[name] if name in whole else name.endswith(".part"), "every file is whole"
    counts = run(exports, out, cache)
    assert sum(counts.values()) == MODELS
    assert counts[State.WRONG] == counts[State.FAILED] == 0
    assert tree(out) == whole
    assert run(exports, out, cache)[State.UNCHANGED] == MODELS


@pytest.mark.slow
def test_what_was_finished_is_not_done_again(exports: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    out, cache = tmp_path / "out", tmp_path / "cache"
    process = subprocess.Popen(command(exports, out, 1), cwd=ROOT, env=environment(cache), stdout=subprocess.DEVNULL)
    while len(list((cache / "entries").glob("??/[0-9a-f]*"))) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    workers = children(process.pid)
    kill(process, workers)
    counts = run(exports, out, cache)
    assert counts[State.UNCHANGED] + counts[State.RESTORED] >= 3
    assert counts[State.DONE] <= MODELS - 3
    assert tree(out) == whole


@pytest.mark.slow
def test_two_runs_on_one_cache(exports: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """Into two folders at once, one here: nothing is converted twice, both are whole."""
    cache = tmp_path / "cache"
    words = command(exports, tmp_path / "one", 1)
    process = subprocess.Popen(words, cwd=ROOT, env=environment(cache), stdout=subprocess.PIPE)
    while not list((cache / "entries").glob("??/[0-9a-f]*")):
        assert process.poll() is None
        time.sleep(0.01)
    here = run(exports, tmp_path / "two", cache)
    there = json.loads(process.communicate(timeout=300)[0])["counts"]
    assert process.returncode == 0
    assert here[State.DONE] + there["done"] == MODELS
    assert tree(tmp_path / "one") == tree(tmp_path / "two") == whole


@pytest.mark.slow
@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, 2), (signal.SIGTERM, 1)])
def test_interrupted(number: signal.Signals, jobs: int, exports: Path, tmp_path: Path) -> None:
    out, cache, temporary = tmp_path / "out", tmp_path / "cache", tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        command(exports, out, jobs),
        cwd=ROOT,
        env={**environment(cache), "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(out.glob("*/report.json")):
        assert process.poll() is None
        time.sleep(0.01)
    workers = children(process.pid)
    assert workers
    process.send_signal(number)
    said, error = process.communicate(timeout=60)
    assert said == ""
    assert process.returncode == 128 + number
    assert "models are finished; the same command goes on from there" in error
    assert error.endswith("interrupted\n" if number == signal.SIGINT else "ended by SIGTERM\n")
    deadline = time.monotonic() + 10
    while not all(map(gone, workers)):
        assert time.monotonic() < deadline, "a worker outlives its parent"
        time.sleep(0.02)
    assert not (out / "batch.json").exists()
    assert not list(temporary.iterdir()), "workers that were killed leave nothing"
    assert not {*out.rglob(".*"), *cache.rglob(".*")}
    for bundle in out.iterdir():
        assert (bundle / "report.json").exists(), "a bundle is written to its end, or not begun"


@pytest.mark.slow
def test_a_damaged_cache_is_made_again(exports: Path, cached: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    out, cache = tmp_path / "out", tmp_path / "cache"
    shutil.copytree(cached / "out", out)
    shutil.copytree(cached / "cache", cache)
    # Writes the ledger, in which files this new do not stand.
    assert run(exports, out, cache)[State.UNCHANGED] == MODELS
    shutil.rmtree(out)
    entries = sorted((cache / "entries").glob("??/*"))
    for number, entry in enumerate(entries[:4]):
        data = entry.read_bytes()
        entry.write_bytes([b"", data[:100], data[:-1], data[:-50] + bytes(50)][number])
    for ledger in (cache / "ledgers").iterdir():
        ledger.write_bytes(b"{")
    counts = run(exports, out, cache)
    assert (counts[State.DONE], counts[State.RESTORED]) == (4, MODELS - 4)
    assert tree(out) == whole
