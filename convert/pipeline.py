"""The runner that walks a road: a tuple of stages (`convert.road` has them, with the options of the command line).

A dry run walks the same tuple: it reads what can be read without work, refuses what will be refused, plans the rest.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from convert.agreement import WithAgreement
from convert.artifacts import Export, StageResult, Validated
from convert.errors import ConvertError
from convert.export.unpack import Unpack
from convert.findings import Level, worst
from convert.graph.adapt import Adapt
from convert.graph.preprocessing import crop_to
from convert.graph.support import refuse_unsupported
from convert.graph.translate import Translate
from convert.nvinfer.emit import Emit
from convert.writing import Output

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.artifacts import Stage
    from convert.findings import Finding
    from convert.framing import Frame

_T = TypeVar("_T")

__all__ = ["Event", "Record", "Run", "Status", "dry_run", "run"]


class Status(StrEnum):
    """What became of a stage."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    PLANNED = "planned"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Record:
    """One stage of a run; `seconds` is wall time and never part of a file we write."""

    name: str
    status: Status
    seconds: float = 0.0
    outputs: tuple[Output, ...] = ()
    findings: tuple[Finding, ...] = ()


Event = Record
"""What an observer is told: a record with status `started`, then one with what became of it."""


@dataclass
class Run:
    """What a walk over the stages came to.

    Attributes:
        artifacts: the start artifact and what every finished stage returned, in order.
        error: what ended it, where something did.
        secondary: the walk of the second export, where two go into one app.
    """

    artifacts: list[object]
    records: list[Record] = field(default_factory=list)
    error: ConvertError | None = None
    secondary: Run | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of all stages, in order."""
        return tuple(finding for record in self.records for finding in record.findings)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Files written (in a dry run: to be written), in order."""
        return tuple(output for record in self.records for output in record.outputs)

    def last(self, kind: type[_T]) -> _T | None:
        """The newest artifact of that kind."""
        return next((artifact for artifact in reversed(self.artifacts) if isinstance(artifact, kind)), None)


def _silent(_event: Event) -> None:
    """Nobody watches."""


def run(road: tuple[Stage, ...], artifact: object, observer: Callable[[Event], None] = _silent) -> Run:
    """Walk `road`, starting with `artifact`.

    Ends at the first `ConvertError` (kept in the result, not raised) or at a stage with a finding of level error: what
    is known to be wrong is not handed on.
    """
    result = Run([artifact])
    with tempfile.TemporaryDirectory(prefix="ei-deepstream-") as workdir:
        _walk(road, result, lambda stage, item: stage(item, Path(workdir)), Status.DONE, observer)
    return result


def dry_run(road: tuple[Stage, ...], artifact: object, observer: Callable[[Event], None] = _silent) -> Run:
    """Walk `road` without translating, measuring or writing; unknown results are planned, refusals are real."""
    result = Run([artifact])
    frame = next((stage.frame for stage in road if isinstance(stage, Adapt)), None)
    _walk(road, result, lambda stage, item: _plan(stage, item, frame), Status.PLANNED, observer)
    return result


def _walk(
    road: tuple[Stage, ...],
    result: Run,
    step: Callable[[Stage, object], StageResult],
    success: Status,
    observer: Callable[[Event], None],
) -> None:
    for stage in road:
        if result.error or worst(result.findings) is Level.ERROR:
            _note(result, Record(stage.name, Status.SKIPPED), observer)
            continue
        observer(Record(stage.name, Status.STARTED))
        start = time.perf_counter()
        try:
            done = step(stage, _complete(result))
        except ConvertError as error:
            result.error = error
            _note(result, Record(stage.name, Status.FAILED, time.perf_counter() - start), observer)
            continue
        status = Status.FAILED if worst(done.findings) is Level.ERROR else success
        result.artifacts.append(done.artifact)
        _note(result, Record(stage.name, status, time.perf_counter() - start, done.outputs, done.findings), observer)


def _note(result: Run, record: Record, observer: Callable[[Event], None]) -> None:
    result.records.append(record)
    observer(record)


def _complete(result: Run) -> object:
    """The newest artifact; what goes into the bundle's report learns everything found so far."""
    artifact = result.artifacts[-1]
    return replace(artifact, findings=result.findings) if isinstance(artifact, Validated) else artifact


def _plan(stage: Stage, artifact: object, frame: Frame | None) -> StageResult:
    """What `stage` would do, as far as can be said without doing it; the export is handed on unchanged."""
    if isinstance(stage, WithAgreement):
        stage = stage.unpack
    if isinstance(stage, Unpack):
        return stage(artifact, Path())
    assert isinstance(artifact, Export)
    if isinstance(stage, Translate):
        refuse_unsupported(artifact)
    elif isinstance(stage, Emit):
        names = stage.fitting(crop_to(artifact, frame)).plan(artifact.name)
        return StageResult(artifact, tuple(Output(str(stage.folder / name), None) for name in names))
    return StageResult(artifact)
