"""What the schedulers make of workers that answer by a script: limits, crashes, lost results, other versions."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import sys
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pytest

import convert.batch as pool_module
from convert.batch import Pool
from convert.batch import dask as cluster_module
from convert.batch.cache import environment
from convert.batch.dask import Cluster, EnvironmentMismatch, Payload, TaskResult
from convert.batch.plan import BUG, Job, Outcome, State
from convert.batch.plan import job as make_job
from convert.errors import ConvertError, InputError, TranslationError, ValidationError, pip_install
from convert.files import Output, sha256
from convert.findings import Finding, Level
from convert.isolation import CallEnded, CallStarted, Died, Failed
from convert.pipeline import Record, Status
from convert.report import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PERIOD = cluster_module._PERIOD
FOUND = Finding("EI101", Level.NOTE, "found")
STARTED, DONE = Record("translate", Status.STARTED), Record("unpack", Status.DONE, 0.5, (), (FOUND,))


class Scripted:
    """A worker that tells some messages, then returns or raises the last of its script."""

    script: ClassVar[tuple[Any, ...]] = ()
    calls: ClassVar[list[tuple[Any, ...]]] = []
    times: ClassVar[list[float]] = []

    def __init__(self, preload: tuple[str, ...]) -> None:
        self.calls.append(("new", preload))

    def call(self, function: str, *arguments: Any, told: Any = None, **limits: Any) -> Any:
        self.calls.append((function, *arguments, limits))
        if function.endswith(":ready"):
            return None
        *messages, last = self.script
        for message in messages:
            told(message)
        if isinstance(last, Exception):
            raise last
        return last

    def within(self, seconds: float) -> None:
        self.times.append(seconds)

    def kill(self) -> None:
        self.calls.append(("kill",))

    def close(self) -> None:
        self.calls.append(("close",))


def performed(
    monkeypatch: pytest.MonkeyPatch, job: Job, *script: Any, events: list[Any] | None = None, **options: Any
) -> Outcome:
    """The outcome of `job` in a pool of one such worker; `events` gets what the observer is told."""
    monkeypatch.setattr(pool_module, "Worker", Scripted)
    Scripted.script, Scripted.calls, Scripted.times = script, [], []
    with Pool(1, **options) as pool:
        (outcome,) = pool([job], lambda *event: None if events is None else events.append(event))
    return outcome


def test_a_worker_is_told_its_limits(monkeypatch: pytest.MonkeyPatch, job_of: Callable[..., Job]) -> None:
    job, good = job_of("a"), Outcome("a", State.DONE, 0, 1.0)
    script = (STARTED, CallStarted("convert.translate.worker:run", 7.0), CallEnded(), DONE, good)
    events: list[Any] = []
    assert performed(monkeypatch, job, *script, events=events, seconds=9.0, memory=5, preload=("x",)) is good
    assert events == [(job, STARTED), (job, DONE)]
    assert Scripted.times == [math.inf, 7.0, math.inf, math.inf]
    assert Scripted.calls[:3] == [
        ("new", ("x",)), ("convert.batch:ready", {"timeout": 300.0}),
        ("convert.batch:perform", job, {"timeout": 9.0, "memory": 5}),
    ]  # fmt: skip
    assert set(Scripted.calls[3:]) == {("close",), ("kill",)}
    assert performed(monkeypatch, job, good) is good
    preload = ("convert.translate.worker:preload", "convert.batch")
    assert Scripted.calls[0] == ("new", preload)
    assert Scripted.calls[2] == ("convert.batch:perform", job, {"timeout": 600.0, "memory": None}), "by default"


@pytest.mark.parametrize(("stage", "order"), [("emit", ["join"]), ("adapt", ["kill", "join"])])
def test_a_batch_that_is_interrupted_ends_what_is_no_bundle_yet(
    stage: str, order: list[str], monkeypatch: pytest.MonkeyPatch, job_of: Callable[..., Job]
) -> None:
    """A worker that is writing one may end that, and is waited for."""
    found: list[str] = []
    ended = threading.Event()

    class Busy(Scripted):
        def call(self, function: str, *_: Any, told: Any = None, **__: Any) -> Any:
            if not function.endswith(":ready"):
                told(Record(stage, Status.STARTED))
                assert ended.wait(60)
                return Outcome("a", State.DONE, 0)
            return None

        def kill(self) -> None:
            found.append("kill")
            ended.set()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    usual = threading.Thread.join

    def join(thread: threading.Thread, timeout: float | None = None) -> None:
        found.append("join")
        ended.set()
        usual(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", join)
    monkeypatch.setattr(pool_module, "Worker", Busy)
    with pytest.raises(KeyboardInterrupt), Pool(1) as pool:
        list(pool([job_of("a")], interrupt))
    assert found == order


def test_one_job_needs_one_worker(monkeypatch: pytest.MonkeyPatch, job_of: Callable[..., Job]) -> None:
    monkeypatch.setattr(pool_module, "Worker", Scripted)
    Scripted.script = (Outcome("a", State.DONE, 0),)
    with Pool(8) as pool:
        for _ in range(2):
            assert len(list(pool([job_of("a")], lambda *_: None))) == 1
            assert len(pool._threads) == 1, "the second call has the same warm worker"


def test_jobs_are_asked_for_when_there_is_room(monkeypatch: pytest.MonkeyPatch, job_of: Callable[..., Job]) -> None:
    monkeypatch.setattr(pool_module, "Worker", Scripted)
    Scripted.script = (Outcome("a", State.DONE, 0),)
    asked: list[str] = []

    def jobs() -> Iterator[Job]:
        for number in range(6):
            asked.append(str(number))
            yield job_of(str(number))

    with Pool(1) as pool:
        outcomes = pool(jobs(), lambda *_: None)
        next(outcomes)
        assert len(asked) == 2
        assert len(list(outcomes)) == 5


TRANSLATE = CallStarted("convert.translate.worker:run", 60.0)
REPORT = "if it was killed, memory may have run out: try fewer --jobs; otherwise report the model"
DAMAGED = "the model is damaged, or holds an operator that is not known: download the export again"
LIMIT = "allow more with --time-limit; if it never ends, the file is damaged"


@pytest.mark.parametrize(
    ("messages", "reason", "kind", "message", "hint"),
    [
        ((), "ran longer than 9 s", ConvertError, "the conversion ran longer than 9 s, before its first stage", LIMIT),
        ((STARTED, TRANSLATE), "ran longer than 9 s", ConvertError,
         "the conversion ran longer than 9 s, while it was in the stage translate", LIMIT),
        ((STARTED, TRANSLATE), "ran longer than 60 s", TranslationError, "tf2onnx ran longer than 60 s on this model",
         "allow more time with --timeout"),
        ((STARTED, TRANSLATE), "used more than 5 MiB", ConvertError,
         "the conversion used more than 5 MiB, while it was in the stage translate", "allow more with --memory-limit"),
        ((TRANSLATE,), "killed by SIGSEGV", TranslationError, "tf2onnx crashed on this model (SIGSEGV)",
         "the file is damaged, or holds what tf2onnx cannot read: download the export again"),
        ((CallStarted("convert.validate.runtimes:run_tflite", 1.0),), "killed by SIGABRT", ValidationError,
         "LiteRT crashed on the original model (killed by SIGABRT)", DAMAGED),
        ((CallStarted("convert.heads.ssd:run", 1.0),), "killed by SIGABRT", ValidationError,
         "LiteRT crashed on the original model (killed by SIGABRT)", DAMAGED),
        ((CallStarted("convert.validate.runtimes:run_onnx_reference", 1.0),), "killed by SIGABRT", ValidationError,
         "ONNX Runtime crashed on the original model (killed by SIGABRT)", DAMAGED),
        ((TRANSLATE, CallEnded()), "killed by SIGKILL", ConvertError,
         "the conversion crashed before its first stage (killed by SIGKILL)", REPORT),
        ((STARTED, CallStarted("convert.other:x", 1.0)), "killed by SIGKILL", ConvertError,
         "the conversion crashed while it was in the stage translate (killed by SIGKILL)", REPORT),
    ],
)  # fmt: skip
def test_a_worker_that_died(
    messages: tuple[Any, ...], reason: str, kind: type[ConvertError], message: str, hint: str,
    monkeypatch: pytest.MonkeyPatch, job_of: Callable[..., Job],
) -> None:  # fmt: skip
    outcome = performed(monkeypatch, job_of("a"), DONE, *messages, Died(reason), seconds=9.0)
    assert (outcome.state, outcome.exit_code, outcome.findings, outcome.records) == (State.FAILED, 3, (FOUND,), (DONE,))
    assert type(outcome.error) is kind
    assert (outcome.error.message, outcome.error.hint) == (message, hint)


def test_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch, job_of: Callable[..., Job]) -> None:
    job = job_of("a")
    outcome = performed(monkeypatch, job, Failed("KeyError:\n 'x'", "Traceback ..."))
    assert (outcome.state, outcome.exit_code, outcome.details) == (State.FAILED, BUG, "Traceback ...")
    assert outcome.error
    assert (outcome.error.message, outcome.error.path, outcome.error.hint) == (
        "this is a bug in ei-deepstream: KeyError: 'x'", str(job.export),
        "please report it with the export and what batch.json has under `details`",
    )  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        performed(monkeypatch, job, ZeroDivisionError())


@dataclass
class Future:
    """The result of a task; `status` may change when somebody waits."""

    key: str
    result_: Any = None
    error: Any = None
    status: str = "finished"
    later: str = ""

    def exception(self, timeout: float | None = None) -> Any:
        if self.later and timeout:
            self.status = self.later
        return self.error

    def result(self, timeout: float) -> Any:
        assert timeout == 7.0, "the time limit and the patience"
        if isinstance(self.result_, BaseException):
            raise self.result_
        return self.result_

    def add_done_callback(self, call: Callable[[Future], None]) -> None:
        call(self)


class KilledWorker(Exception):
    allowed_failures = 3
    last_worker = SimpleNamespace(address="tcp://w:1")


@dataclass
class Client:
    """A scheduler whose tasks end as `script` says, by the job's name; one entry for each time it is submitted."""

    script: dict[str, list[Any]]
    threads: list[dict[str, int]] = field(default_factory=lambda: [{"w": 2}])
    status: str = "running"
    asked: list[Any] = field(default_factory=list)
    most: int = 0
    open_: int = 0

    def nthreads(self) -> dict[str, int]:
        return self.threads.pop(0) if len(self.threads) > 1 else self.threads[0]

    def submit(self, function: Any, payload: Payload, versions: Any, *limits: Any, key: str, pure: bool) -> Future:
        assert function is cluster_module.perform
        name = payload.job.name
        assert key.startswith(f"ei-deepstream-{name}-")
        self.asked.append((name, versions, limits, pure))
        future: Future = self.script[name].pop(0)
        future.key = key
        return future

    def cancel(self, futures: list[Any], *, force: bool) -> None:
        self.asked.append(("cancel", len(futures), force))

    def run(self, function: Any, **options: Any) -> Any:
        assert function is environment
        assert options == {"on_error": "return"}
        return self.script["run"][0]

    def close(self, timeout: float) -> None:
        self.asked.append(("close", timeout))


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Cluster, Client]]:
    """`connected(script, threads, run=...)`: a cluster and the client it was given, entered."""
    extra = ModuleType("distributed")
    extra.KilledWorker = KilledWorker  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "distributed", extra)
    monkeypatch.setattr(cluster_module, "_distributed", lambda: extra)
    monkeypatch.setattr(cluster_module, "_PERIOD", 0.001)
    monkeypatch.setattr(cluster_module, "required_environment", lambda settings: {"a": "1", **settings})
    monkeypatch.setattr(cluster_module, "pack", lambda job: Payload(job, "/", b""))

    async def identity(address: str) -> str:
        if "late" in address:
            raise TimeoutError
        if "refused" in address:
            raise OSError("no route\nto it")
        return "Worker" if "worker" in address else "Scheduler"

    monkeypatch.setattr(cluster_module, "_identity", identity)

    def connect(
        script: dict[str, list[Any]], *threads: dict[str, int], address: str = "tcp://h:1", **options: Any
    ) -> tuple[Cluster, Client]:
        client = Client({"run": [{"w": {"a": "1"}}], **script}, list(threads) or [{"w": 2}])

        def make(address: str, **options: Any) -> Client:
            client.asked.append((address, options))
            return client

        extra.Client = make  # type: ignore[attr-defined]
        cluster = Cluster(address, 5.0, 9, patience=2.0, **options)
        cluster.__enter__()
        return cluster, client

    return connect


def good(name: str) -> Future:
    """A conversion that found an error, so that nothing is written."""
    return Future("", TaskResult(Outcome(name, State.WRONG, 1, 1.0, records=(DONE,)), {}))


def test_results_of_a_cluster(connected: Callable[..., Any], job_of: Callable[..., Job]) -> None:
    jobs = [job_of(name, opset=7) for name in ("one", "two", "three", "four", "five", "six")]
    lost = Future("", good("two").result_, status="pending", later="finished")
    full = Future("", error=OSError("full\nx"), status="error")
    ends = {"one": good("one"), "two": lost, "three": full} | {name: good(name) for name in ("four", "five", "six")}
    cluster, client = connected({name: [future] for name, future in ends.items()})
    events: list[Any] = []
    outcomes = list(cluster(jobs, lambda *event: events.append(event)))
    assert [outcome.name for outcome in outcomes] == [job.name for job in jobs]
    assert events == [(job, DONE) for job in jobs if job.name != "three"]
    error = outcomes[2].error
    assert error
    assert outcomes[2] == Outcome("three", State.FAILED, 3, 0.0, error=error)
    assert (error.message, error.hint) == (
        "a worker could not convert it: OSError: full",
        "look at its log, its free space and its installation; then run the batch again",
    )
    assert client.asked[0] == ("tcp://h:1", {"timeout": 10.0, "set_as_default": False, "name": "ei-deepstream"})
    assert client.asked[1:] == [
        *((job.name, {"a": "1", "opset": 7}, (5.0, 9), False) for job in jobs), ("cancel", 0, True),
    ]  # fmt: skip
    cluster.__exit__()
    assert client.asked[-1] == ("close", 10.0)
    cluster.__exit__()
    assert client.asked[-2][0] == "cancel", "closed once"


def test_no_more_jobs_are_taken_than_have_room(connected: Callable[..., Any], job_of: Callable[..., Job]) -> None:
    cluster, client = connected({str(n): [good(str(n))] for n in range(9)}, {"w": 1, "v": 1})
    outcomes = cluster([job_of(str(n)) for n in range(9)], lambda *_: None)
    next(outcomes)
    assert [each[0] for each in client.asked[1:]] == ["0", "1", "2", "3"], "twice as many as threads"
    outcomes.close()
    assert client.asked[-1] == ("cancel", 3, True)
    cluster, client = connected({str(n): [good(str(n))] for n in range(9)}, {"w": 0})
    next(cluster([job_of(str(n)) for n in range(9)], lambda *_: None))
    assert [each[0] for each in client.asked[1:]][:3] == ["0", "1", "cancel"], "of workers without threads two"


def test_a_job_whose_workers_ended_has_a_second_try_alone(
    connected: Callable[..., Any], job_of: Callable[..., Job]
) -> None:
    killed = KilledWorker("x")
    cluster, _ = connected({
        "a": [Future("", error=killed, status="error"), good("a")],
        "b": [Future("", killed), Future("", error=killed, status="error")], "c": [good("c")],
    })  # fmt: skip
    outcomes = list(cluster([job_of("a"), job_of("b"), job_of("c")], lambda *_: None))
    assert [(outcome.name, outcome.state) for outcome in outcomes] == [
        ("c", State.WRONG), ("a", State.WRONG), ("b", State.FAILED),
    ]  # fmt: skip
    error = outcomes[-1].error
    assert error
    assert outcomes[-1] == Outcome("b", State.FAILED, 3, 0.0, error=error)
    assert (error.message, error.hint, error.path) == (
        "4 workers ended while converting it, the last one tcp://w:1",
        "their logs say why; if memory ran out, give them more or --memory-limit", str(job_of("b").export),
    )  # fmt: skip


def test_an_export_that_cannot_be_read(
    connected: Callable[..., Any], job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, _ = connected({"b": [good("b")]})
    wrong = InputError("cannot read it")

    def pack(job: Job) -> Payload:
        if job.name == "a":
            raise wrong
        return Payload(job, "/", b"")

    monkeypatch.setattr(cluster_module, "pack", pack)
    first, second = cluster([job_of("a"), job_of("b")], lambda *_: None)
    assert first == Outcome("a", State.FAILED, 3, 0.0, error=wrong)
    assert second.name == "b"


GONE = "start it again and run the batch again: it goes on where it was"
NONE = "start some: dask worker tcp://h:1; then run the batch again: it goes on where it was"
OTHER = "install the same versions there: they decide what a bundle is, to the byte"


def ended(call: Callable[[], Any]) -> tuple[str, str | None]:
    with pytest.raises(ConvertError) as caught:
        call()
    return caught.value.message, caught.value.hint


def test_what_ends_a_batch(connected: Callable[..., Any], job_of: Callable[..., Job]) -> None:
    jobs = [job_of("a", onnx="2")]

    def told(future: Future) -> tuple[str, str | None]:
        return ended(lambda: list(connected({"a": [future]})[0](jobs, lambda *_: None)))

    other = EnvironmentMismatch("tcp://w:1", {"a": "1", "files": "x"}, {"a": "1", "files": "y", "b": "2", "c": ""})
    assert told(Future("", other)) == (
        ("the worker tcp://w:1 is not what this machine is: its own files; b is missing, here 2; c is missing, "
        "here missing"), OTHER,
    )  # fmt: skip
    for future in (Future("", status="lost"), Future("", status="cancelled")):
        assert told(future) == ("the scheduler tcp://h:1 is gone", GONE)
    for error in (OSError("no route\nto it"), TimeoutError(), RuntimeError("closed")):
        why = {"TimeoutError": "TimeoutError", "OSError": "no route", "RuntimeError": "closed"}[type(error).__name__]
        assert told(Future("", error)) == (f"the scheduler tcp://h:1 is gone ({why})", GONE)
    cluster, client = connected({"a": [good("a")]})
    client.status = "closed"
    assert ended(lambda: list(cluster(jobs, lambda *_: None))) == ("the scheduler tcp://h:1 is gone", GONE)


def test_who_is_asked(connected: Callable[..., Any]) -> None:
    known = {"w": {"a": "1"}}
    connected({"run": [known]}, {}, {}, {"w": 1})
    other = {"w": {"a": "1"}, "v": {"a": "2"}}
    assert ended(lambda: connected({"run": [other]})) == (
        "the worker v is not what this machine is: a is 2, here 1", OTHER,
    )  # fmt: skip
    broken = {"w": {"a": "1"}, "v": ModuleNotFoundError("No module named 'convert'")}
    assert ended(lambda: connected({"run": [broken]})) == (
        "the worker v cannot run this program: No module named 'convert'",
        "install the same ei-deepstream there, in the Python that runs `dask worker`",
    )
    start = "start one with `dask scheduler`, and look at the address, the port and the firewall"
    assert ended(lambda: connected({}, address="tcp://worker:1")) == (
        "no Dask scheduler answers at tcp://worker:1: it is a worker", start,
    )  # fmt: skip
    for address, reason in (("tcp://late:1", "nothing came back within 10 s"), ("tcp://refused:1", "no route")):
        assert ended(partial(connected, {}, address=address)) == (
            f"no Dask scheduler answers at {address}: {reason}", start,
        )  # fmt: skip
    assert ended(lambda: connected({}, address="http://h:1")) == (
        "'http://h:1' is no address of a scheduler", "give --scheduler tcp://host:8786",
    )  # fmt: skip


def test_a_cluster_is_waited_for_by_default() -> None:
    """A worker that was killed has two minutes to start again."""
    usual = Cluster("tcp://h:1")
    assert (usual.seconds, usual.memory, usual.connect, usual.patience) == (600.0, None, 10.0, 120.0)


def test_what_dask_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own log would repeat what is reported; large exports are expected."""
    told: list[Any] = []
    extra, dask = ModuleType("distributed"), ModuleType("dask")
    dask.config = SimpleNamespace(set=told.append)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "distributed", extra)
    monkeypatch.setitem(sys.modules, "dask", dask)
    monkeypatch.setattr(logging.getLogger("distributed"), "level", logging.NOTSET)
    assert cluster_module._distributed() is extra
    assert told == [{"distributed.admin.large-graph-warning-threshold": "2GB"}]
    assert logging.getLogger("distributed").level == logging.CRITICAL


def test_dask_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    message, hint = ended(Cluster("tcp://h:1").__enter__)
    assert message.startswith("--scheduler needs Dask (")
    assert hint == pip_install("ei-deepstream[distributed]")


def test_what_a_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Server:
        def __init__(self, address: str, **options: Any) -> None:
            asked.append((address, options))

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None:
            asked.append("left")

        async def identity(self) -> dict[str, str]:
            return {"type": "Nanny", "id": "1"}

    extra = ModuleType("distributed")
    extra.rpc = Server  # type: ignore[attr-defined]
    extra.Security = lambda: SimpleNamespace(get_connection_args=lambda role: {"role": role})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "distributed", extra)
    assert asyncio.run(cluster_module._identity("tcp://h:1")) == "Nanny"
    assert asked == [("tcp://h:1", {"connection_args": {"role": "client"}}), "left"]


def test_a_cluster_that_cannot_be_used_is_left(connected: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    _, client = connected({})
    client.asked.clear()
    client.script["run"] = [{"w": {"a": "2"}}]
    monkeypatch.setattr(sys.modules["distributed"], "Client", lambda *_, **__: client)
    cluster = Cluster("tcp://h:1", 5.0, 9, patience=2.0, connect=3.0)
    with pytest.raises(ConvertError, match="a is 2, here 1"):
        cluster.__enter__()
    assert client.asked == [("close", 3.0)]


def test_no_workers(connected: Callable[..., Any], job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    naps: list[float] = []
    own = SimpleNamespace(monotonic=lambda: float(next(clock)), sleep=naps.append)
    monkeypatch.setattr("convert.batch.dask.time", own)
    monkeypatch.setattr(cluster_module, "_PERIOD", PERIOD)
    assert ended(lambda: connected({}, {})) == ("the scheduler tcp://h:1 had no workers for 2 s", NONE)
    assert naps == [1.0, 1.0], "for patience seconds"
    monkeypatch.setattr(cluster_module, "_PERIOD", 0.5**6)

    class Silent(Future):
        def add_done_callback(self, call: Callable[[Future], None]) -> None:
            del call

    cluster, client = connected({"a": [Silent("")]}, {"w": 1}, {"w": 1}, {}, {}, {"w": 1}, {}, {}, {}, {"w": 2})
    cluster.patience = 0.5**5
    assert ended(lambda: list(cluster([job_of("a")], lambda *_: None))) == (
        "the scheduler tcp://h:1 had no workers for 0.03125 s", NONE,
    )  # fmt: skip
    assert client.threads == [{"w": 2}], "of these 0.03125 s after the first"


def test_a_job_on_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its paths there, and in what comes back those of here again."""
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "in").mkdir(parents=True)
    there.mkdir()
    (here / "in" / "m.tflite").write_bytes(b"model")
    monkeypatch.chdir(here)
    options = {"images": Path("in"), "opset": 7}
    job = make_job("a", Path("in/m.tflite"), Path("out/a"), options, Path("/other/n.tflite"))
    payload = cluster_module.pack(job)
    assert payload.here == str(here)
    assert "content" not in repr(payload), "Dask logs what it sends"
    root = f"{there}/model!"
    local = cluster_module.unpack(payload, there)
    assert local == make_job(
        "a", Path(f"{root}{here}/in/m.tflite"), there / "bundle", {"images": Path(f"{root}{here}/in"), "opset": 7},
        Path(f"{root}/other/n.tflite"),
    )  # fmt: skip
    assert local.export.read_bytes() == b"model"
    local.output.mkdir()
    report = {"path": str(local.export), "list": [f"in {local.output}/x", 3], "other": None}
    (local.output / "report.json").write_text(json.dumps(report))
    (local.output / "build.sh").write_bytes(b"#!")
    (local.output / "build.sh").chmod(0o755)
    outputs = tuple(
        Output(str(local.output / name), sha256((local.output / name).read_bytes()))
        for name in ("build.sh", "report.json")
    )
    finding = Finding("EI101", Level.NOTE, f"of {root}{here}/in", str(local.export), 3, None, f"see {root}/elsewhere/x")
    record = Record("emit", Status.DONE, 1.0, outputs, (finding,))
    outcome = Outcome("a", State.DONE, 0, 1.5, (finding,), outputs, None, (record,), (("bundle", "m"),))
    result = cluster_module.pack_result(payload, there, outcome)
    data = dumps({"path": "in/m.tflite", "list": ["in out/a/x", 3], "other": None})
    assert result.files == {"build.sh": (b"#!", True), "report.json": (data, False)}
    named = Finding("EI101", Level.NOTE, "of in", "in/m.tflite", 3, None, "see /elsewhere/x")
    wanted = (Output("out/a/build.sh", sha256(b"#!")), Output("out/a/report.json", sha256(data)))
    record = Record("emit", Status.DONE, 1.0, wanted, (named,))
    assert result.outcome == Outcome("a", State.DONE, 0, 1.5, (named,), wanted, None, (record,), (("bundle", "m"),))
    assert cluster_module.deliver(job, result) == result.outcome
    assert "files" not in repr(result)
    assert sorted(path.name for path in Path("out/a").iterdir()) == ["build.sh", "report.json"]
    assert os.access("out/a/build.sh", os.X_OK)
    assert not os.access("out/a/report.json", os.X_OK)
    assert Path("out/a/report.json").read_bytes() == data
    damaged = TaskResult(result.outcome, {**result.files, "build.sh": (b"#?", True)})
    failed = cluster_module.deliver(job, damaged)
    assert (failed.state, failed.exit_code, failed.seconds) == (State.FAILED, 3, 1.5)
    assert failed.error
    assert (failed.error.message, failed.error.hint) == (
        "out/a/build.sh came back damaged", "run it again; if it stays so, look at the network",
    )  # fmt: skip
    error = TranslationError(f"bad {local.export}", hint=f"look at {root}/other", path=local.export, line=4)
    ended = cluster_module.pack_result(payload, there, Outcome("a", State.FAILED, 3, 1.0, error=error)).outcome
    assert ended.error
    assert (ended.error.message, ended.error.hint, ended.error.path, ended.error.line) == (
        "bad in/m.tflite", "look at /other", "in/m.tflite", 4,
    )  # fmt: skip
    assert type(ended.error) is TranslationError
    assert cluster_module.deliver(job, TaskResult(ended, {})) == ended


def test_a_task_has_its_limits_and_a_pool_that_stays_warm(
    tmp_path: Path, job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    class FakePool:
        def __init__(self, size: int) -> None:
            made.append(self)
            self.size, self.seconds, self.memory, self.closed = size, 0.0, 0, 0

        def __call__(self, jobs: list[Job], observer: Any) -> list[Outcome]:
            assert observer(None, None) is None
            if self.seconds == 13:
                raise KeyboardInterrupt
            return [Outcome(jobs[0].name, State.WRONG, 1, self.seconds)]

        def __exit__(self, *_: object) -> None:
            self.closed += 1

    monkeypatch.setattr(cluster_module, "Pool", FakePool)
    monkeypatch.setattr(cluster_module, "_idle", [])
    monkeypatch.setattr(cluster_module, "half_of_memory", lambda: 99)
    monkeypatch.setattr(cluster_module, "required_environment", lambda settings: {"a": "1", **settings})
    payload = cluster_module.pack(job_of("a", onnx="2"))
    versions = {"a": "1", "onnx": "2"}
    for seconds, memory, wanted in ((5.0, 7, 7), (6.0, None, 99)):
        result = cluster_module.perform(payload, versions, seconds, memory)
        assert result == TaskResult(Outcome("a", State.WRONG, 1, seconds), {})
        assert [(pool.size, pool.seconds, pool.memory, pool.closed) for pool in made] == [(1, seconds, wanted, 0)]
    with pytest.raises(KeyboardInterrupt):
        cluster_module.perform(payload, versions, 13.0, 1)
    assert (made[0].closed, len(made), cluster_module._idle) == (1, 1, [])
    extra = ModuleType("distributed")
    extra.get_worker = lambda: SimpleNamespace(address="tcp://w:2")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "distributed", extra)
    other = cluster_module.perform(payload, {"a": "2"}, 5.0, 1)
    assert other == EnvironmentMismatch("tcp://w:2", versions, {"a": "2"})
    del tmp_path
