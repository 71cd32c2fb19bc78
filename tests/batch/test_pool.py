"""A model that crashes, hangs or eats memory ends its worker; the rest goes on, and each is told by its reason."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

import convert.batch as module
from convert.batch import Pool, cores, half_of_memory
from convert.batch.plan import BUG, Job, Outcome, State, job
from convert.isolation import Died
from convert.pipeline import Record, Status
from tests.batch import poison

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from convert.pipeline import Event

PRELOAD = (*module.PRELOAD, "tests.batch.poison")


def run(pool: Pool, jobs: list[Job], events: list[tuple[Job, Event]] | None = None) -> dict[str, Outcome]:
    with pool as ready:
        return {
            outcome.name: outcome
            for outcome in ready(jobs, lambda *event: None if events is None else events.append(event))
        }


def jobs_of(exports: list[Path], output: Path, **options: object) -> list[Job]:
    options = {"frame": "none", **options}  # half the time of a model for frames
    return [job(path.stem, path, output / path.stem, options) for path in exports]


@pytest.mark.slow
def test_poisoned_models_end_alone(export: Callable[..., Path], tmp_path: Path) -> None:
    poisons = [poison.CRASH, poison.HANG, poison.EAT, poison.WRONG, poison.LATE]
    bad = [export(mark[1:].decode(), mark) for mark in poisons]
    truncated = export("truncated")
    truncated.write_bytes(truncated.read_bytes()[:40_000])
    good = [export(f"good{number}", b"%d" % number) for number in range(2)]
    exports = [good[0], *bad, truncated, tmp_path / "gone", good[1]]
    events: list[tuple[Job, Event]] = []
    pool = Pool(2, seconds=60, memory=512 << 20, preload=PRELOAD)
    outcomes = run(pool, jobs_of(exports, tmp_path / "out", timeout=5.0), events)
    assert len(outcomes) == len(exports)
    said = {name: str(outcome.error) for name, outcome in outcomes.items() if outcome.error}
    assert said.pop("crash") == "tf2onnx crashed on this model (SIGSEGV)"
    assert said.pop("hang") == "tf2onnx ran longer than 5 s on this model"
    assert said.pop("eat") == "the conversion used more than 512 MiB, while it was in the stage translate"
    assert said.pop("wrong").startswith("this is a bug in ei-deepstream: RuntimeError: nobody thought of this")
    assert said.pop("late") == "LiteRT crashed on the original model (killed by SIGABRT)"
    assert said.pop("truncated").startswith("the model is damaged")
    assert said.pop("gone").startswith("cannot read it")
    assert not said
    assert all(0 <= outcome.seconds < 1000 for outcome in outcomes.values())
    assert outcomes["wrong"].exit_code == BUG
    assert "nobody thought of this" in outcomes["wrong"].details
    assert [record.name for record in outcomes["late"].records] == ["unpack", "translate", "adapt"]
    for path in good:
        assert outcomes[path.stem].state is State.DONE
        assert (tmp_path / "out" / path.stem / "report.json").exists()
    for path in bad:
        assert not (tmp_path / "out" / path.stem).exists()
    assert {each.name for each, _ in events} == {path.stem for path in exports}


@pytest.mark.slow
def test_the_time_limit_of_a_whole_model(export: Callable[..., Path], tmp_path: Path) -> None:
    pool = Pool(1, seconds=1.5, preload=PRELOAD)
    exports = [export("hang", poison.HANG), export("good")]
    outcomes = run(pool, jobs_of(exports, tmp_path / "out", timeout=60.0))
    assert str(outcomes["hang"].error) == "the conversion ran longer than 1.5 s, while it was in the stage translate"
    assert 1.5 <= outcomes["hang"].seconds < 1000
    assert "--time-limit" in str(outcomes["hang"].error.hint if outcomes["hang"].error else "")
    assert outcomes["good"].exit_code == 0


def test_leaving_ends_the_workers_at_once(export: Callable[..., Path], tmp_path: Path) -> None:
    pool, threads = Pool(1, preload=PRELOAD), threading.active_count()

    def observer(_job: Job, event: Event) -> None:
        if event.name == "translate":
            raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), pool:
        list(pool(jobs_of([export("hang", poison.HANG)], tmp_path), observer))
    assert time.monotonic() - start < 60, "the model hangs for ten minutes"
    assert threading.active_count() == threads


class _HangingWriter:
    """Stands for a worker that hangs while it writes a bundle."""

    def __init__(self) -> None:
        self.killed = threading.Event()
        self.jobs = 0

    def call(self, *_: object, told: Callable[[Event], None] | None = None, **_limits: object) -> None:
        if told is not None:
            self.jobs += 1
            told(Record("emit", Status.STARTED))
            raise Died("killed by SIGKILL" if self.killed.wait(10) else "nobody killed it")

    def within(self, _seconds: float) -> None:
        pass

    def kill(self) -> None:
        self.killed.set()

    def close(self) -> None:
        pass


def test_a_writer_that_hangs_is_killed_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = _HangingWriter()
    monkeypatch.setattr(module, "Worker", lambda _preload: writer)
    monkeypatch.setattr(module, "_WRITING", 0.01)

    def observer(_job: Job, _event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Pool(1) as pool:
        list(pool(jobs_of([tmp_path / "x", tmp_path / "y"], tmp_path), observer))
    assert writer.killed.is_set()
    assert writer.jobs == 1, "the next one is not begun"


def test_a_worker_that_cannot_start_ends_the_run(tmp_path: Path) -> None:
    pool = Pool(1, preload=("no_such_module",))
    with pytest.raises(Exception, match="exited with status 1"):
        run(pool, jobs_of([tmp_path / "gone"], tmp_path))


def test_cores_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", {0: {3, 5, 6}}.__getitem__, raising=False)
        assert cores() == 3
        patch.delattr(os, "sched_getaffinity")
        for known, used in ((7, 7), (None, 1)):
            patch.setattr(os, "cpu_count", lambda known=known: known)
            assert cores() == used


@pytest.mark.parametrize(
    ("limits", "half"),
    [
        ({}, 512),
        ({"/sys/fs/cgroup/memory.max": "max\n"}, 512),
        ({"/sys/fs/cgroup/memory.max": "600\n"}, 300),
        ({"/sys/fs/cgroup/memory/memory.limit_in_bytes": "401\n"}, 200),
        ({"/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 512),
    ],
)
def test_half_of_the_memory_or_of_what_the_control_group_may_have(
    limits: dict[str, str], half: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_text(path: Path) -> str:
        if str(path) not in limits:
            raise FileNotFoundError(path)
        return limits[str(path)]

    with monkeypatch.context() as patch:
        patch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 256, "SC_PAGE_SIZE": 4}.__getitem__)
        patch.setattr("pathlib.Path.read_text", read_text)
        assert half_of_memory() == half


def test_defaults_fit_the_machine() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)
    assert 64 << 20 < half_of_memory() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
