"""A pool of worker processes on this machine: a model that crashes, hangs or eats memory ends its worker only.

Each worker is a child process (`convert.isolation`) that has imported everything and runs one job after the other; a
thread of this process watches each one. When a worker ends before its job does, the job has failed, and the next one
gets a new worker.
"""

from __future__ import annotations

import math
import os
import queue
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from convert.batch.plan import Outcome, State, bug, execute
from convert.errors import ConvertError
from convert.isolation import Died, Failed, Worker, answer, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from convert.batch.plan import Job
    from convert.pipeline import Event, Record

__all__ = [
    "PRELOAD",
    "TIME",
    "CallEnded",
    "CallStarted",
    "InProcessWorker",
    "Pool",
    "cores",
    "half_of_memory",
]

TIME = 600.0
"""Seconds for one model, where nothing else is said; the slowest of the real ones takes three."""

PRELOAD = ("convert.graph.worker:preload", "convert.batch.pool")
"""What a worker imports, in order: the TensorFlow stub goes before whatever imports tf2onnx."""

_START = 300.0  # seconds for the imports of a worker, on a machine that is busy with other things


@dataclass(frozen=True, slots=True)
class CallStarted:
    """Told by a worker: a function that may crash or hang begins, and may take so many seconds."""

    function: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CallEnded:
    """Told by a worker: it has ended."""


def cores() -> int:
    """How many workers keep this process's cores busy."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def half_of_memory() -> int:
    """Bytes: half of what this machine, or the control group this process is in, has."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        try:
            whole = min(whole, int(limit.read_text()))
        except (OSError, ValueError):  # no such hierarchy here, or "max"
            continue
    return whole // 2


@dataclass
class Pool:
    """Runs jobs in `size` processes.

    Args:
        size: how many; at most one is started for each job.
        seconds: time limit of a job.
        memory: bytes a worker may hold; None: any number.
        preload: modules a worker imports before anything else.
    """

    size: int
    seconds: float = TIME
    memory: int | None = None
    preload: tuple[str, ...] = PRELOAD
    _todo: queue.SimpleQueue[Job | None] = field(default_factory=queue.SimpleQueue, init=False, repr=False)
    _said: queue.SimpleQueue[_Said] = field(default_factory=queue.SimpleQueue, init=False, repr=False)
    _threads: list[_WorkerThread] = field(default_factory=list, init=False, repr=False)

    def __call__(self, jobs: Iterable[Job], observer: Callable[[Job, Event], None]) -> Iterator[Outcome]:
        """The outcomes, as they come. `observer` is called in this thread."""
        source, going = iter(jobs), 0
        while True:
            # One more than there are workers: none waits while the caller looks at an outcome.
            while going <= self.size and (job := next(source, None)) is not None:
                if len(self._threads) < min(self.size, going + 1):
                    self._threads.append(_WorkerThread(self, self._todo, self._said))
                self._todo.put(job)
                going += 1
            if not going:
                return
            said = self._said.get()
            if isinstance(said, Outcome):
                going -= 1
                yield said
            elif isinstance(said, tuple):
                observer(*said)
            else:
                raise said

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all workers, at once."""
        for thread in self._threads:
            thread.stop()
        for thread in self._threads:
            thread.thread.join()
        self._threads.clear()


_Said = Outcome | tuple["Job", "Event"] | Exception


class _WorkerThread:
    """One worker, and the thread that watches it. The worker dies with the thread that started it (see isolation)."""

    def __init__(self, pool: Pool, todo: queue.SimpleQueue[Job | None], said: queue.SimpleQueue[_Said]) -> None:
        self._pool, self._todo, self._said = pool, todo, said
        self._worker = Worker(pool.preload)
        self._stopped = False
        self.thread = threading.Thread(target=self._run, name="batch", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Take no more jobs, and end the one that is going on."""
        self._stopped = True
        self._todo.put(None)
        self._worker.kill()

    def _run(self) -> None:
        try:
            while not self._stopped and (job := self._todo.get()) is not None:
                self._said.put(self._perform(job))
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            self._said.put(error)
        finally:
            self._worker.close()

    def _perform(self, job: Job) -> Outcome:
        pool, worker, progress = self._pool, self._worker, _Progress()
        worker.call("convert.batch.pool:ready", timeout=_START)
        start = time.perf_counter()

        def told(said: Any) -> None:
            worker.within(progress.update(said))
            if not isinstance(said, CallStarted | CallEnded):
                self._said.put((job, said))

        try:
            outcome: Outcome = worker.call(
                "convert.batch.pool:perform", job, timeout=pool.seconds, memory=pool.memory, told=told
            )
        except Died as death:
            error = progress.error(death, pool.seconds)
            return _ended(job, error, time.perf_counter() - start, progress.records)
        except Failed as fault:
            return bug(job, str(fault), fault.details, time.perf_counter() - start)
        return outcome


@dataclass
class _Progress:
    """What is known of a job that goes on in a worker."""

    records: list[Record] = field(default_factory=list)
    stage: str = ""
    inside: CallStarted | None = None

    def update(self, said: CallStarted | CallEnded | Event) -> float:
        """Take note; returns how many seconds what comes next may take."""
        if isinstance(said, CallStarted):
            self.inside = said
            return said.seconds
        if isinstance(said, CallEnded):
            self.inside = None
        elif said.status == "started":
            self.stage = said.name
        else:
            self.records.append(said)
        return math.inf

    def error(self, death: Died, seconds: float) -> ConvertError:
        """Why there is no outcome: what `convert` says where it can be said, for the limits of a batch its own words.

        Args:
            death: of the worker.
            seconds: the time limit of the whole job.
        """
        where = f"while it was in the stage {self.stage}" if self.stage else "before its first stage"
        if death.reason == f"ran longer than {seconds:g} s":
            return ConvertError(
                f"the conversion {death.reason}, {where}",
                hint="allow more with --time-limit; if it never ends, the file is damaged",
            )
        if death.reason.startswith("used more"):
            return ConvertError(f"the conversion {death.reason}, {where}", hint="allow more with --memory-limit")
        function = self.inside.function if self.inside else ""
        if function.startswith("convert.graph."):
            from convert.graph.translate import died  # noqa: PLC0415 - only where something crashed

            return died(death)
        if function.startswith(("convert.validate.", "convert.heads.")):
            from convert.validate.reference import died as crashed  # noqa: PLC0415 - brings numpy

            return crashed(death, "ONNX Runtime" if ".onnxreference:" in function else "LiteRT")
        return ConvertError(
            f"the conversion crashed {where} ({death.reason})",
            hint="if it was killed, memory may have run out: try fewer --jobs; otherwise report the model",
        )


def _ended(job: Job, error: ConvertError, seconds: float, records: list[Record]) -> Outcome:
    findings = tuple(finding for record in records for finding in record.findings)
    return Outcome(job.name, State.FAILED, 3, seconds, findings, error=error, records=tuple(records))


class InProcessWorker(Worker):
    """A `Worker` that is no process: calls run in this one, and its parent is told of them.

    `convert` runs tf2onnx and LiteRT in a child, because they can crash. A worker of the pool is that child already, so
    all stages run in it: one process a core instead of two, nothing is imported twice, and no model is copied through
    a pipe. The parent is told what goes on, and so can say what it was that crashed.
    """

    def start(self) -> Self:
        """Nothing has to be started."""
        return self

    def call(
        self,
        function: str,
        *arguments: Any,
        timeout: float,
        memory: int | None = None,  # noqa: ARG002 - the parent keeps it
        told: Callable[[Any], None] | None = None,  # noqa: ARG002 - the parent is told at once
    ) -> Any:
        """As `Worker.call`; the parent keeps the limits."""
        tell(CallStarted(function, timeout))
        kind, value = answer(function, arguments)
        tell(CallEnded())
        if kind == "result":
            return value
        if kind == "error":
            raise value
        raise Failed(*value)

    def kill(self) -> None:
        """There is nothing to end."""

    def close(self) -> None:
        """There is nothing to end."""


def ready() -> None:
    """Import the rest of what a conversion needs, so that no job's time is spent on it."""
    import ai_edge_litert.interpreter  # noqa: F401, PLC0415 - only the child is to have all this
    import onnxruntime  # noqa: F401, PLC0415

    import convert.pipeline  # noqa: PLC0415
    import convert.validate.comparison  # noqa: F401, PLC0415


def perform(job: Job) -> Outcome:
    """`execute`, telling of every stage."""
    return execute(job, InProcessWorker(), tell)
