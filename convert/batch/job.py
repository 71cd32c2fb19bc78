"""One model of a batch, as a value: what is to be done, and what became of it.

Both cross process and machine borders, so they are frozen, picklable and hold nothing that is open. `execute` walks the
same roads as `ei-deepstream convert`: the same export and options give the same bytes.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from convert.errors import ConvertError
from convert.findings import Level, worst
from convert.isolation import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from convert.findings import Finding
    from convert.isolation import Worker
    from convert.pipeline import Event, Record, Run
    from convert.writing import Output

__all__ = ["BUG", "GOOD", "Job", "Outcome", "State", "bug", "execute", "failure", "job"]

BUG = 70
"""The exit code of a run that ended in a fault of ours (sysexits.h, EX_SOFTWARE), as `convert` has it."""


class State(StrEnum):
    """What became of a job."""

    DONE = "done"
    """Converted and written."""
    WRONG = "wrong"
    """A finding of level error ended it; nothing was written."""
    FAILED = "failed"
    """An error, a crash or a limit ended it; nothing was written."""
    UNCHANGED = "unchanged"
    """Nothing was done: what is there is what a conversion would write."""
    RESTORED = "restored"
    """Written again from the cache, without a conversion."""


GOOD = frozenset({State.DONE, State.UNCHANGED, State.RESTORED})
"""The bundle is there, whole and up to date."""


@dataclass(frozen=True, slots=True)
class Job:
    """A model to convert. `job` makes one from ordinary values.

    Attributes:
        name: unique in its batch; what it is called in reports.
        export: what `convert` is given; with `sgie` the detector's.
        output: the folder the bundle goes into.
        options: the options of `convert` by their Python names, sorted; what is not there has its default.
        sgie: the export of a second model for the objects the first one finds; both go into one app.
    """

    name: str
    export: Path
    output: Path
    options: tuple[tuple[str, Any], ...] = ()
    sgie: Path | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The options, as the stages' roads take them."""
        return dict(self.options)

    @property
    def exports(self) -> tuple[Path, ...]:
        """One export, or two."""
        return (self.export,) if self.sgie is None else (self.export, self.sgie)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job.

    Attributes:
        name: the job's.
        exit_code: what `ei-deepstream convert` would have ended with: 0, 1 (findings of level error), 3, or `BUG`.
        seconds: wall time, of all stages; never part of a file.
        findings: of all stages, in order.
        outputs: the files of the bundle, in the order they were written; empty unless it is whole.
        error: what ended it.
        records: the stages; empty where nothing had to be done.
        summary: what a table shows of the model: `task`, `input` ("96x96x3"), `labels` (how many), `bundle`,
            `max_abs_diff`, `top1`; only
            what is known.
        details: a traceback, for `BUG` only.
    """

    name: str
    state: State
    exit_code: int
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()
    outputs: tuple[Output, ...] = ()
    error: ConvertError | None = None
    records: tuple[Record, ...] = ()
    summary: tuple[tuple[str, Any], ...] = ()
    details: str = ""


def job(name: str, export: Path, output: Path, options: Mapping[str, Any], sgie: Path | None = None) -> Job:
    """A `Job` with `options` sorted, so that equal options make equal jobs."""
    return Job(name, export, output, tuple(sorted(options.items())), sgie)


def _silent(_event: Event) -> None:
    """Nobody watches."""


def execute(job: Job, worker: Worker, observer: Callable[[Event], None] = _silent) -> Outcome:
    """Convert one model and write its bundle into `job.output`; nothing is raised but KeyboardInterrupt and the like.

    Args:
        job: what to do.
        worker: a warm one (`convert.warm`), in which tf2onnx and LiteRT run; it stays the caller's.
        observer: is told of every stage, as by `convert.pipeline.run`.
    """
    start = time.perf_counter()
    try:
        run = _walk(job, worker, observer)
    except ConvertError as error:  # an option that does not fit, found before the first stage
        return failure(job, error, time.perf_counter() - start)
    except Failed as error:  # in the worker
        return bug(job, str(error), error.details, time.perf_counter() - start)
    except Exception as error:  # noqa: BLE001 - a fault of ours in one model must not end the others; it is told as one
        reason = f"{type(error).__name__}: {error}"
        return bug(job, reason, "".join(traceback.format_exception(error)), time.perf_counter() - start)
    return _outcome(job, run, time.perf_counter() - start)


def failure(job: Job, error: ConvertError, seconds: float) -> Outcome:
    """The outcome of a job that ended before any stage could say how."""
    return Outcome(job.name, State.FAILED, 3, seconds, error=error)


def bug(job: Job, reason: str, details: str, seconds: float) -> Outcome:
    """The outcome of a job that ended in a fault of ours; `details` is the traceback."""
    error = ConvertError(
        f"this is a bug in ei-deepstream: {' '.join(reason.split())}",
        hint="please report it with the export and what batch.json has under `details`",
        path=job.export,
    )
    return Outcome(job.name, State.FAILED, BUG, seconds, error=error, details=details)


def _walk(job: Job, worker: Worker, observer: Callable[[Event], None]) -> Run:
    from convert import cascade, pipeline  # noqa: PLC0415 - the values above travel without what conversions need
    from convert.road import stages, two_stages  # noqa: PLC0415

    settings = job.settings
    if job.sgie is None:
        return pipeline.run(stages(job.output, settings, worker), job.export, observer)
    roads, emit = two_stages(job.output, settings, worker)
    return cascade.run((job.export, job.sgie), roads, emit, observer)


def _outcome(job: Job, run: Run, seconds: float) -> Outcome:
    wrong = worst(run.findings) is Level.ERROR
    state = State.FAILED if run.error else State.WRONG if wrong else State.DONE
    code = {State.FAILED: 3, State.WRONG: 1}.get(state, 0)
    outputs = run.outputs if state is State.DONE else ()
    records, summary = tuple(run.records), tuple(_summary(run).items())
    return Outcome(job.name, state, code, seconds, run.findings, outputs, run.error, records, summary)


def _summary(run: Run) -> dict[str, Any]:
    from convert.artifacts import Adapted, Bundle, Export, Validated  # noqa: PLC0415 - as in _walk

    known: dict[str, Any] = {}
    if export := run.last(Export):
        known |= {
            "task": export.facts.task,
            "input": "x".join(str(size or "?") for size in export.facts.input.shape[1:]),
        }
    if adapted := run.last(Adapted):
        known["labels"] = len(adapted.head.labels)
    if (validated := run.last(Validated)) and (parity := validated.evidence.parity):
        known |= {"max_abs_diff": parity.max_abs_diff, "top1": parity.top1}
    if bundle := run.last(Bundle):
        known["bundle"] = bundle.name
    return known
