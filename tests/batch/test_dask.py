"""A real scheduler and real workers on loopback: what they give, and what happens when they die."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.__main__ import main
from convert.batch import dask as ours
from convert.batch.cache import environment
from convert.batch.dask import Cluster
from convert.batch.plan import Job, State, job
from convert.errors import ConvertError, InputError, MissingDependencyError
from tests.batch.conftest import InThisProcess
from tests.batch.deadly import conditional, ends_the_worker, pretends

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("distributed", reason="the extra [distributed] is not installed")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
EXPORTS = ROOT / "samples" / "exports"
OPTIONS = {"opset": 13, "role": "sgie"}  # nothing is compared, which takes most of the time


KINDS = ("shapes-cpp-2025", "shapes-arduino-2025.zip")


class Dask:
    """A scheduler, and workers that can be killed.

    Args:
        nanny: workers have one, which starts them again, as `dask worker` does unless told otherwise. It takes a second
            for each, and says nothing more about workers that are killed with their nanny.
    """

    def __init__(self, folder: Path, *, nanny: bool = False) -> None:
        self.folder = folder
        self.nanny = nanny
        self.file = folder / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []
        # A task that has ended so many workers is given up with the next one: each takes a second to start again.
        failures = "0" if nanny else "1"
        settings = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": failures, "PYTHONPATH": str(ROOT)}
        self._environment = {**os.environ, **settings}
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", what, "--scheduler-file", str(self.file), *options]
        with (self.folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, env=self._environment, start_new_session=True
            )

    @property
    def address(self) -> str:
        for _ in range(300):
            if self.file.exists() and (text := self.file.read_text()):
                return str(json.loads(text)["address"])
            time.sleep(0.1)
        raise AssertionError((self.folder / "scheduler.log").read_text())

    def worker(self) -> subprocess.Popen[bytes]:
        nanny = "--nanny" if self.nanny else "--no-nanny"
        started = self._start("worker", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1", nanny)
        self.workers.append(started)
        return started

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """A worker and its nanny, as when a machine is switched off; the worker's session is the nanny's."""
    for signalled in (signal.SIGSTOP, signal.SIGKILL):
        try:
            os.killpg(process.pid, signalled)
        except ProcessLookupError:
            break
    process.wait()


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    """With a worker; the test that kills some uses `alone`."""
    started = Dask(tmp_path_factory.mktemp("dask"), nanny=True)
    try:
        started.worker()
        yield started
    finally:
        started.close()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Dask]:
    """A scheduler that may be killed."""
    (tmp_path / "dask").mkdir()
    started = Dask(tmp_path / "dask")
    try:
        yield started
    finally:
        started.close()


def _jobs(folder: Path, count: int, export: Path = EXPORTS / "shapes-cpp-2025") -> list[Job]:
    return [job(f"model-{n}", export, folder / f"model-{n}", OPTIONS) for n in range(count)]


def _ignored(_job: Job, _event: object) -> None:
    """Nobody watches."""


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_bundles_are_those_of_this_machine(
    dask: Dask, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.batch.Pool", InThisProcess)  # a cluster's is another one
    (tmp_path / "exports").mkdir()
    for name in KINDS:
        copy = shutil.copytree if (EXPORTS / name).is_dir() else shutil.copy
        copy(EXPORTS / name, tmp_path / "exports" / name)
    (tmp_path / "exports" / "broken.tflite").write_bytes((EXPORTS.parent / "models/shapes.tflite").read_bytes()[:9000])
    documents = []
    for name, more in (("here", []), ("there", ["--scheduler", dask.address])):
        folders = ["-o", str(tmp_path / name), "--cache-dir", str(tmp_path / f"cache-{name}")]
        assert main(["batch", str(tmp_path / "exports"), *folders, "--role", "sgie", "--format", "json", *more]) == 3
        documents.append(json.loads(capsys.readouterr().out))
    here, there = (_files(tmp_path / name) for name in ("here", "there"))
    assert set(here) == set(there)
    assert {name for name in here if here[name] != there[name]} <= {"batch.json"}
    told = [json.dumps(_timeless(each)).replace(str(tmp_path / "there"), str(tmp_path / "here")) for each in documents]
    assert told[0] == told[1]
    assert main(["batch", str(tmp_path / "exports"), *folders, "--role", "sgie"]) == 3
    assert f"{len(KINDS)} unchanged" in capsys.readouterr().out


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(item) for name, item in value.items() if name != "seconds"}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def test_a_conversion_that_crashes_is_told_as_here(dask: Dask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool's process in the worker dies of SIGSEGV; the worker does not."""
    monkeypatch.setattr(ours, "perform", conditional)
    crash = job("crash", EXPORTS / "shapes-cpp-2025", tmp_path / "crash", OPTIONS)
    with Cluster(dask.address) as cluster:
        outcomes = {each.name: each for each in cluster([crash, *_jobs(tmp_path, 1)], _ignored)}
    assert [name for name, each in outcomes.items() if each.state is not State.DONE] == ["crash"]
    error = outcomes["crash"].error
    assert error is not None
    assert "SIGSEGV" in error.message
    assert "ei-deepstream-" not in f"{error.message}{error.path}{error.hint}", "no folder of the worker is told"


def test_a_job_that_ends_every_worker_is_told_and_the_rest_goes_on(
    dask: Dask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, "perform", ends_the_worker)
    bad = [job(name, EXPORTS / "shapes-cpp-2025", tmp_path / name, OPTIONS) for name in ("deadly", "full")]
    with Cluster(dask.address) as cluster:
        outcomes = {each.name: each for each in cluster([*bad, *_jobs(tmp_path, 2)], _ignored)}
    assert {name for name, each in outcomes.items() if each.state is State.DONE} == {"model-0", "model-1"}
    error = outcomes["deadly"].error
    assert error is not None
    full = outcomes["full"].error
    assert full is not None
    assert "could not convert it: OSError: [Errno 28] No space left on device" in full.message
    assert error.message.startswith("1 worker ended while converting it, the last one tcp://127.0.0.1:")


def test_workers_and_a_scheduler_that_are_killed(alone: Dask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "perform", pretends)
    with pytest.raises(ConvertError, match="had no workers for 1 s") as error, Cluster(alone.address, patience=1.0):
        pass
    assert "dask worker tcp://" in str(error.value.hint)
    first = alone.worker()
    with Cluster(alone.address, connect=3.0) as cluster:
        # A future that was done is pending again when the only worker that held its result has died.
        (todo,) = _jobs(tmp_path, 1)
        future = cluster._submit(todo)
        assert cluster._next() == future.key
        kill(first)
        for _ in range(600):  # until the scheduler has noticed
            if future.status != "finished":
                break
            time.sleep(0.1)
        assert future.status not in {"finished", "error", "cancelled"}
        second = alone.worker()
        outcome = cluster._outcome(todo, future)
        assert outcome is not None
        assert outcome.state is State.DONE
        assert _files(tmp_path / "model-0") == {"note.txt": b"converted"}

        # No job is lost with its worker: the one that joins does it.
        states = {}
        for outcome in cluster(_jobs(tmp_path, 6), _ignored):
            states[outcome.name] = outcome.state
            if len(states) == 1:
                kill(second)
                alone.worker()
        assert states == {f"model-{n}": State.DONE for n in range(6)}

        outcomes = cluster(_jobs(tmp_path, 3), _ignored)
        assert next(outcomes).state is State.DONE
        kill(alone.scheduler)
        with pytest.raises(ConvertError, match=r"the scheduler tcp://\S+ is gone") as error:
            list(outcomes)
    assert "goes on where it was" in str(error.value.hint)


@pytest.mark.parametrize(
    "address", ["", "localhost", "localhost:8786", "http://h:8786", "tcp://", "tcp://h:x", "tcp://a b:1"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(InputError, match="is no address of a scheduler"), Cluster(address):
        pass


def test_where_nobody_answers() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(InputError, match=f"no Dask scheduler answers at {address}"), Cluster(address, connect=0.3):
            pass


def test_where_something_else_answers() -> None:
    """A listener that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        message = f"^no Dask scheduler answers at {address}: nothing came back within 0.3 s$"
        with pytest.raises(InputError, match=message), Cluster(address, connect=0.3):
            pass


def test_of_a_long_reason_the_first_line_is_shown(dask: Dask, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("Timed out\nin a call of a call")

    monkeypatch.setattr("distributed.Client", refuse)
    message = f"^no Dask scheduler answers at {dask.address}: Timed out$"
    with pytest.raises(InputError, match=message) as caught, Cluster(dask.address):
        pass
    assert (caught.value.hint or "").startswith("start one with `dask scheduler`, and look at the address")


def test_the_address_of_a_worker(dask: Dask) -> None:
    with Cluster(dask.address) as cluster:
        assert cluster._client is not None
        address = next(iter(cluster._client.nthreads()))
    with pytest.raises(InputError, match=r"no Dask scheduler answers at .*: it is a worker"), Cluster(address):
        pass


def test_a_host_that_does_not_exist() -> None:
    with (
        pytest.raises(InputError, match="no Dask scheduler answers"),
        Cluster("tcp://nowhere.invalid:8786", connect=0.3),
    ):
        pass


def test_other_versions_are_named_before_anything_is_converted(dask: Dask, monkeypatch: pytest.MonkeyPatch) -> None:
    true = environment()
    monkeypatch.setattr(ours, "required_environment", lambda _settings: {**true, "tf2onnx": "1.2.3", "files": "0"})
    with pytest.raises(ConvertError, match="is not what this machine is") as error, Cluster(dask.address):
        pass
    assert f"tf2onnx is {true['tf2onnx']}, here 1.2.3" in error.value.message
    assert "its own files" in error.value.message


def test_a_worker_with_other_versions_that_joins_later(
    dask: Dask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = environment()
    with Cluster(dask.address) as cluster:
        monkeypatch.setattr(ours, "required_environment", lambda _settings: {**true, "onnx": "0.1"})
        with pytest.raises(ConvertError, match=f"onnx is {true['onnx']}, here 0.1"):
            list(cluster(_jobs(tmp_path, 2), _ignored))
    assert not (tmp_path / "model-0").exists()


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependencyError) as error, Cluster("tcp://127.0.0.1:8786"):
        pass
    assert error.value.hint == f'{sys.executable} -m pip install "ei-deepstream[distributed]"'


def test_jobs_are_the_clusters(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["batch", str(EXPORTS), "-o", str(tmp_path / "out"), "--scheduler", "tcp://127.0.0.1:1", "-j", "2"]
    assert main(words) == 2
    assert "--jobs is about this machine" in capsys.readouterr().err
