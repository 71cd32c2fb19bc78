"""The whole batch: what has not changed is left alone, what the cache has is copied, the rest is converted.

A scheduler (`convert.batch.pool`, or one for several machines) takes jobs and gives outcomes; everything else is here.
Every finished model is in its folder and in the cache at once, so that a run which is killed goes on where it was.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from convert.batch.cache import Changed, Damaged, Ledger, key_of, restore, store
from convert.batch.findings import CACHE_DAMAGED, CACHE_UNUSABLE, LEFT_OVER, OLD_BUNDLE, SAME_EXPORT
from convert.batch.plan import GOOD, State, failure
from convert.batch.pool import cores
from convert.errors import OutputError
from convert.report import REPORT
from convert.writing import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from convert.batch.cache import Cache
    from convert.batch.plan import Job, Outcome
    from convert.findings import Finding
    from convert.pipeline import Event

    Observer = Callable[[Job, Event | Outcome], None]

__all__ = ["Report", "Scheduler", "run"]


class Scheduler(Protocol):
    """Runs jobs somewhere."""

    def __call__(self, jobs: Iterable[Job], observer: Callable[[Job, Event], None]) -> Iterator[Outcome]:
        """The outcome of every one of `jobs`, as they come.

        An outcome that is `done` is given only when the bundle is in `Job.output` on this machine. `jobs` is asked for
        the next one when there is room for it, and both it and `observer` are called in the thread that iterates.
        """


@dataclass(frozen=True)
class Report:
    """What became of a batch.

    Attributes:
        outcomes: one for each job, in the order of the jobs.
        findings: of the batch as a whole; those of its models are in their outcomes.
        seconds: wall time.
    """

    jobs: tuple[Job, ...]
    outcomes: tuple[Outcome, ...]
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def counts(self) -> dict[State, int]:
        """How many came to what; every state is there."""
        counted = Counter(outcome.state for outcome in self.outcomes)
        return {state: counted[state] for state in State}


def _silent(_job: Job, _event: Event | Outcome) -> None:
    """No-op observer."""


def run(
    jobs: Sequence[Job],
    folder: Path,
    scheduler: Scheduler,
    cache: Cache,
    *,
    force: bool = False,
    observer: Observer = _silent,
) -> Report:
    """Convert `jobs`, whose names and outputs are unique.

    Args:
        folder: which all outputs are in.
        force: convert also what has not changed; the cache learns the new results.
        observer: is told of every stage and every outcome, in this thread.

    Raises:
        OutputError: `folder` cannot be written.
    """
    start = time.perf_counter()
    make_folder(folder)
    batch = _Batch(jobs, scheduler, cache, Ledger(cache.ledger(folder), trust=not force), force, observer)
    try:
        batch.look()
        batch.convert()
    finally:
        batch.save()
    outcomes = tuple(batch.outcomes[job.name] for job in jobs)
    findings = (*batch.findings, *_doubles(jobs, batch.keys), *_left(folder, jobs, outcomes))
    return Report(tuple(jobs), outcomes, findings, time.perf_counter() - start)


@dataclass
class _Batch:
    """A run that goes on."""

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

    def look(self) -> None:
        """Find the keys, and settle what need not be converted; reading and hashing use all cores."""
        with ThreadPoolExecutor(cores()) as threads:
            for job, key in zip(self.jobs, threads.map(self._key, self.jobs), strict=True):
                if key is not None:
                    self.keys[job.name] = key
            if self.force:
                return
            for job, outcome in zip(self.jobs, threads.map(self._restored, self.jobs), strict=True):
                if outcome is not None:
                    self._settle(job, outcome)

    def convert(self) -> None:
        """Convert the rest; what another run is just converting comes last, and then from the cache."""
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
        """Remember what was read."""
        with self._told():
            self.cache.prepare()
            self.ledger.save()

    def _schedule(self, jobs: Iterable[Job], by_name: dict[str, Job]) -> None:
        for outcome in self.scheduler(jobs, self.observer):
            job = by_name[outcome.name]
            if outcome.state is State.DONE:
                self._keep(job, outcome)
            self._settle(job, outcome)

    def _free(self, jobs: Iterable[Job], postponed: list[Job]) -> Iterator[Job]:
        """Those nobody else is converting, with their locks held."""
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
                self._settle(job, outcome)
                return
        yield job

    def _key(self, job: Job) -> str | None:
        """None where a file cannot be read: the conversion will say what is wrong with it."""
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
        except Damaged as damage:
            self.cache.drop(key)
            self.findings.append(
                CACHE_DAMAGED.found(f"the entry of {job.name} was damaged: {damage}", path=self.cache.place(key))
            )
            return None
        except OutputError as error:
            return failure(job, error, time.perf_counter() - start)

    def _keep(self, job: Job, outcome: Outcome) -> None:
        key = self.keys.get(job.name)
        # An export that was changed while it was read is not what the key says.
        if key is None or self._key(job) != key:
            return
        with self._told(), contextlib.suppress(Changed):
            store(job, outcome, key, self.cache)
            self._made.add(key)

    def _lock(self, job: Job, *, wait: bool) -> bool:
        key = self.keys.get(job.name)
        if key is None:
            return True
        stack = contextlib.ExitStack()
        with self._told():
            if not stack.enter_context(self.cache.lock(key, wait=wait)):
                stack.close()
                return False
            self._locks[job.name] = stack
        return True

    def _settle(self, job: Job, outcome: Outcome) -> None:
        self.outcomes[job.name] = outcome
        if job.name in self._locks:
            self._locks.pop(job.name).close()
        self.observer(job, outcome)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """A cache that cannot be written costs time, not results: it is told once."""
        try:
            yield
        except OutputError as error:
            if not any(finding.id == CACHE_UNUSABLE.id for finding in self.findings):
                self.findings.append(CACHE_UNUSABLE.found(error.message, path=error.path, hint=CACHE_UNUSABLE.fix))


def _doubles(jobs: Iterable[Job], keys: dict[str, str]) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for job in jobs:
        key = keys.get(job.name)
        if key is not None and first.setdefault(key, job.name) != job.name:
            yield SAME_EXPORT.found(f"{job.name} is the same as {first[key]}", path=job.export)


def _left(folder: Path, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> Iterator[Finding]:
    for job, outcome in zip(jobs, outcomes, strict=True):
        if outcome.state not in GOOD and (job.output / REPORT).exists():
            yield OLD_BUNDLE.found(
                f"{job.name} could not be converted; its folder holds the bundle of an earlier run", path=job.output
            )
    ours = {job.output.name for job in jobs}
    for report in sorted(folder.glob(f"*/{REPORT}")):
        if report.parent.name not in ours:
            yield LEFT_OVER.found(f"{report.parent.name} is not part of this batch", path=report.parent)
