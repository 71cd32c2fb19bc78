"""Many exports in one run: cached, resumable, on one machine or many.

What has not changed is left alone, what the cache has is copied, the rest is converted.

A scheduler takes jobs and gives outcomes: `Pool` on this machine, `convert.batch.dask.Cluster` on several. Every
finished model is in its folder and in the cache at once, so that a run that was killed continues where it was.

A pool has worker processes (`convert.isolation`) that have imported everything and run one job after the other; a
thread of this process waits for each. A model that crashes, hangs or uses too much memory ends only its worker: that
job has failed, and the next one gets a new worker.

The findings of a batch are rules EI800 to EI849.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from convert import make_callable
from convert.batch.cache import BundleChanged, Cache, DamagedEntry, Ledger, key_of, restore, store
from convert.batch.plan import GOOD, Job, Outcome, State, bug, execute, failure
from convert.errors import ConvertError, OutputError
from convert.files import make_folder, remove_leftovers
from convert.findings import Finding, Rule
from convert.isolation import CallEnded, CallStarted, Died, Failed, InProcessWorker, Worker, tell
from convert.report import REPORT

if TYPE_CHECKING:
    from convert.pipeline import Event, Record

    Observer = Callable[[Job, Event | Outcome], None]
    _Message = Outcome | tuple[Job, Event] | Exception

make_callable(__name__)


CACHE_DAMAGED = Rule("EI801")
CACHE_UNUSABLE = Rule("EI802")
SAME_EXPORT = Rule("EI803")
LEFT_OVER = Rule("EI804")
OLD_BUNDLE = Rule("EI805")


TIME = 600.0
"""Seconds for one model by default; the slowest real one takes three."""

PRELOAD = ("convert.translate.worker:preload", "convert.batch")
"""What a worker imports, in order: the TensorFlow stub goes before whatever imports tf2onnx."""

_START = 300.0  # seconds for the imports of a worker, on a busy machine
_WRITING = 5.0  # seconds that a worker may still write a bundle when a batch is interrupted; it takes a tenth of one


def cores() -> int:
    """The number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def half_of_memory() -> int:
    """Bytes: half of the memory of this machine, or of the control group of this process."""
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

    def __post_init__(self) -> None:
        self._todo: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._messages: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._threads: list[_WorkerThread] = []

    def __call__(self, jobs: Iterable[Job], observer: Callable[[Job, Event], None]) -> Iterator[Outcome]:
        """The outcomes, as they come. `observer` is called in this thread."""
        source, going = iter(jobs), 0
        while True:
            # One more than there are workers: none waits while the caller handles an outcome.
            while going <= self.size and (job := next(source, None)) is not None:
                if len(self._threads) < min(self.size, going + 1):
                    self._threads.append(_WorkerThread(self, self._todo, self._messages))
                self._todo.put(job)
                going += 1
            if not going:
                return
            message = self._messages.get()
            if isinstance(message, Outcome):
                going -= 1
                yield message
            elif isinstance(message, tuple):
                observer(*message)
            else:
                raise message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End all workers, at once; one that is writing a bundle ends that first."""
        for thread in self._threads:
            thread.stop()
        for thread in self._threads:
            thread.join()
        self._threads.clear()


class _WorkerThread:
    """One worker, and the thread that started it and waits for it; the worker ends with that thread (see isolation)."""

    def __init__(self, pool: Pool, todo: queue.SimpleQueue[Job | None], messages: queue.SimpleQueue[_Message]) -> None:
        self._pool, self._todo, self._messages = pool, todo, messages
        self._worker = Worker(pool.preload)
        self._stopped = False
        self._progress: _Progress | None = None  # of the job it has
        self._thread = threading.Thread(target=self._run, name="batch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more jobs, and end the one in progress, unless it is writing its bundle."""
        self._stopped = True
        self._todo.put(None)
        if self._progress is None or self._progress.stage != "emit":
            self._worker.kill()

    def join(self) -> None:
        """Wait for the end, after `stop`."""
        self._thread.join(_WRITING)
        if self._thread.is_alive():
            self._worker.kill()
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopped and (job := self._todo.get()) is not None:
                self._messages.put(self._perform(job))
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            self._messages.put(error)
        finally:
            self._worker.close()

    def _perform(self, job: Job) -> Outcome:
        pool, worker, progress = self._pool, self._worker, _Progress()
        self._progress = progress
        worker.call("convert.batch:ready", timeout=_START)
        start = time.perf_counter()

        def receive(message: Any) -> None:
            worker.within(progress.update(message))
            if not isinstance(message, CallStarted | CallEnded):
                self._messages.put((job, message))

        try:
            outcome: Outcome = worker.call(
                "convert.batch:perform", job, timeout=pool.seconds, memory=pool.memory, told=receive
            )
        except Died as death:
            remove_leftovers(job.output)
            with contextlib.suppress(OSError):  # it holds a bundle, or nothing was written yet
                job.output.rmdir()
            error = progress.error(death, pool.seconds)
            findings = tuple(finding for record in progress.records for finding in record.findings)
            ended = failure(job, error, time.perf_counter() - start)
            return replace(ended, findings=findings, records=tuple(progress.records))
        except Failed as fault:
            return bug(job, str(fault), fault.details, time.perf_counter() - start)
        finally:
            self._progress = None
        return outcome


@dataclass
class _Progress:
    """What a worker has reported of its job."""

    records: list[Record] = field(default_factory=list)
    stage: str = ""
    inside: CallStarted | None = None

    def update(self, message: CallStarted | CallEnded | Event) -> float:
        """Record `message`; returns how many seconds the next one may take."""
        if isinstance(message, CallStarted):
            self.inside = message
            return message.seconds
        if isinstance(message, CallEnded):
            self.inside = None
        elif message.status == "started":
            self.stage = message.name
        else:
            self.records.append(message)
        return math.inf

    def error(self, death: Died, seconds: float) -> ConvertError:
        """Why the worker died: as `convert` reports it where that is known, else in terms of the batch's limits.

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
        from convert.pipeline import died  # needed only after a crash

        if self.inside and (error := died(death, self.inside.function)):
            return error
        return ConvertError(
            f"the conversion crashed {where} ({death.reason})",
            hint="if it was killed, memory may have run out: try fewer --jobs; otherwise report the model",
        )


def ready() -> None:
    """Import the rest of what a conversion needs, so that no job's time is spent on it."""
    import convert.pipeline
    import convert.validate.comparison  # noqa: F401 - only the child needs all this
    from convert.validate import runtimes

    runtimes.preload()


def perform(job: Job) -> Outcome:
    """`execute`, with a message to the parent for every stage."""
    return execute(job, InProcessWorker(), tell)


class Scheduler(Protocol):
    """Runs jobs, on this machine or others."""

    def __call__(self, jobs: Iterable[Job], observer: Callable[[Job, Event], None]) -> Iterator[Outcome]:
        """Yields the outcome of every job, in the order they end.

        With an outcome that is `done` the bundle is in `Job.output` on this machine. The next of `jobs` is taken when
        it can be run; `jobs` and `observer` are called in the thread that iterates.
        """


@dataclass(frozen=True)
class BatchReport:
    """The result of a batch.

    Attributes:
        outcomes: one for each job, in the order of the jobs.
        findings: about the batch as a whole; those about models are in their outcomes.
        seconds: wall time.
    """

    jobs: tuple[Job, ...]
    outcomes: tuple[Outcome, ...]
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def counts(self) -> dict[State, int]:
        """Number of models by state, with 0 for states that do not occur."""
        counted = Counter(outcome.state for outcome in self.outcomes)
        return {state: counted[state] for state in State}

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Outcomes for which the batch fails: errors, and unsuitable exports that a person named."""
        each = zip(self.jobs, self.outcomes, strict=True)
        return tuple(
            outcome
            for job, outcome in each
            if outcome.state is State.FAILED or (outcome.state is State.UNSUITABLE and not job.found)
        )

    @property
    def errors(self) -> tuple[tuple[ConvertError, tuple[Outcome, ...]], ...]:
        """Every error once, with the outcomes that it ended; of two that say the same the place may differ."""
        equal: dict[tuple[str, str, str | None], list[Outcome]] = {}
        for outcome in self.outcomes:
            if outcome.error is not None:
                key = outcome.error.code, outcome.error.message, outcome.error.hint
                equal.setdefault(key, []).append(outcome)
        groups = ((outcomes[0].error, tuple(outcomes)) for outcomes in equal.values())
        return tuple((error, outcomes) for error, outcomes in groups if error is not None)


def run(
    jobs: Sequence[Job],
    folder: Path,
    scheduler: Scheduler,
    cache: Cache,
    *,
    force: bool = False,
    observer: Observer = lambda _job, _event: None,
    findings: Iterable[Finding] = (),
    ended: Mapping[str, ConvertError] | None = None,
) -> BatchReport:
    """Convert `jobs`, whose names and outputs are unique.

    Args:
        folder: that all outputs are in.
        force: convert also what has not changed, and store the new results in the cache.
        findings: about the batch, of what was done before.
        observer: called for every stage and every outcome, in this thread.
        ended: what ended jobs before they began, by name.

    Raises:
        OutputError: `folder` cannot be written.
    """
    start = time.perf_counter()
    make_folder(folder)
    ended = ended or {}
    begun = [job for job in jobs if job.name not in ended]
    batch = _Batch(begun, scheduler, cache, Ledger(cache.ledger(folder), trust=not force), force, observer)
    try:
        for job in jobs:
            if job.name in ended:
                batch.settle(job, failure(job, ended[job.name], 0.0))
        batch.restore()
        batch.convert()
    finally:
        batch.save()
    outcomes = tuple(batch.outcomes[job.name] for job in jobs)
    findings = (*findings, *batch.findings, *_same_exports(jobs, batch.keys), *_old_bundles(folder, jobs, outcomes))
    return BatchReport(tuple(jobs), outcomes, findings, time.perf_counter() - start)


@dataclass
class _Batch:
    """The state of a run."""

    jobs: Sequence[Job]
    scheduler: Scheduler
    cache: Cache
    ledger: Ledger
    force: bool
    observer: Observer
    keys: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    _locks: dict[str, contextlib.ExitStack] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)

    def restore(self) -> None:
        """Compute the keys, and settle what need not be converted; reading and hashing use all cores."""
        with ThreadPoolExecutor(cores()) as threads:
            for job, key in zip(self.jobs, threads.map(self._key, self.jobs), strict=True):
                if key is not None:
                    self.keys[job.name] = key
            if self.force:
                return
            for job, outcome in zip(self.jobs, threads.map(self._restored, self.jobs), strict=True):
                if outcome is not None:
                    self.settle(job, outcome)

    def convert(self) -> None:
        """Convert the rest; models that another run is converting come last, and then from the cache."""
        by_name = {job.name: job for job in self.jobs}
        postponed: list[Job] = []
        rest = [job for job in self.jobs if job.name not in self.outcomes]
        try:
            self._schedule(self._free(rest, postponed), by_name)
            for job in postponed:
                self._lock(job, wait=True)
                self._schedule(self._unsettled(job), by_name)
        finally:
            for lock in self._locks.values():
                lock.close()

    def save(self) -> None:
        """Write the ledger."""
        with self._cache_errors():
            self.cache.prepare()
            self.ledger.save()

    def _schedule(self, jobs: Iterable[Job], by_name: dict[str, Job]) -> None:
        for outcome in self.scheduler(jobs, self.observer):
            job = by_name[outcome.name]
            if outcome.state is State.DONE:
                self._store(job, outcome)
            self.settle(job, outcome)

    def _free(self, jobs: Iterable[Job], postponed: list[Job]) -> Iterator[Job]:
        """Jobs that no other run is converting, with their locks held; the others are `postponed`."""
        for job in jobs:
            if self._lock(job, wait=False):
                yield from self._unsettled(job)
            else:
                postponed.append(job)

    def _unsettled(self, job: Job) -> Iterator[Job]:
        """`job`, unless another run has converted it in the meantime."""
        if not self.force or self.keys.get(job.name) in self._made:
            outcome = self._restored(job)
            if outcome is not None:
                self.settle(job, outcome)
                return
        yield job

    def _key(self, job: Job) -> str | None:
        """None where a file cannot be read: the conversion will report why."""
        try:
            return key_of(job, self.ledger)
        except (OSError, ValueError):
            return None

    def _restored(self, job: Job) -> Outcome | None:
        key = self.keys.get(job.name)
        if key is None:
            return None
        start = time.perf_counter()
        try:
            return restore(job, key, self.cache, self.ledger)
        except DamagedEntry as damage:
            self.cache.drop(key)
            self.findings.append(
                CACHE_DAMAGED.found(f"the entry of {job.name} was damaged: {damage}", path=self.cache.place(key))
            )
            return None
        except OutputError as error:
            return failure(job, error, time.perf_counter() - start)

    def _store(self, job: Job, outcome: Outcome) -> None:
        key = self.keys.get(job.name)
        # An export that was changed while it was read is not what the key says.
        if key is None or self._key(job) != key:
            return
        with self._cache_errors(), contextlib.suppress(BundleChanged):
            store(job, outcome, key, self.cache)
            self._made.add(key)

    def _lock(self, job: Job, *, wait: bool) -> bool:
        key = self.keys.get(job.name)
        if key is None:
            return True
        stack = contextlib.ExitStack()
        with self._cache_errors():
            if not stack.enter_context(self.cache.lock(key, wait=wait)):
                stack.close()
                return False
            self._locks[job.name] = stack
        return True

    def settle(self, job: Job, outcome: Outcome) -> None:
        """Keep what became of a job, and say it."""
        self.outcomes[job.name] = outcome
        if job.name in self._locks:
            self._locks.pop(job.name).close()
        self.observer(job, outcome)

    @contextlib.contextmanager
    def _cache_errors(self) -> Iterator[None]:
        """A cache that cannot be written costs time, not results: one finding for all its errors."""
        try:
            yield
        except OutputError as error:
            if not any(finding.id == CACHE_UNUSABLE.id for finding in self.findings):
                self.findings.append(CACHE_UNUSABLE.found(error.message, path=error.path, hint=CACHE_UNUSABLE.fix))


def _same_exports(jobs: Iterable[Job], keys: dict[str, str]) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for job in jobs:
        key = keys.get(job.name)
        if key is not None and first.setdefault(key, job.name) != job.name:
            yield SAME_EXPORT.found(f"{job.name} is the same as {first[key]}", path=job.export)


def _old_bundles(folder: Path, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> Iterator[Finding]:
    for job, outcome in zip(jobs, outcomes, strict=True):
        if outcome.state not in GOOD and (job.output / REPORT).exists():
            yield OLD_BUNDLE.found(
                f"{job.name} could not be converted; its folder holds the bundle of an earlier run", path=job.output
            )
    ours = {job.output.name for job in jobs}
    for report in sorted(folder.glob(f"*/{REPORT}")):
        if report.parent.name not in ours:
            yield LEFT_OVER.found(f"{report.parent.name} is not part of this batch", path=report.parent)
