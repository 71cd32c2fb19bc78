"""Two exports into one app: a detector for whole frames and a model for the objects it finds.

Each is proven by its own walk over the stages before `emit`; what is written is one folder for both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from convert import pipeline
from convert.artifacts import Export, Validated
from convert.findings import Level, worst
from convert.nvinfer.pair import Pair
from convert.pipeline import Run, Status
from convert.writing import Output

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from convert.artifacts import Stage
    from convert.nvinfer.pair import EmitPair
    from convert.pipeline import Event

__all__ = ["dry_run", "run"]

_Road = tuple["Stage", ...]


def run(
    exports: tuple[Path, Path], roads: tuple[_Road, _Road], emit: EmitPair, observer: Callable[[Event], None]
) -> Run:
    """Walk both roads (which end with validate), then write. `Run.secondary` is the second walk."""
    first = pipeline.run(roads[0], exports[0], observer)
    if not _is_good(first):
        return first
    second = pipeline.run(roads[1], exports[1], observer)
    merged = _merged(first, second)
    if not _is_good(second):
        return merged
    primary, secondary = (_proven(walk) for walk in (first, second))
    last = pipeline.run((emit,), Pair(primary, secondary), observer)
    return replace(
        merged,
        artifacts=[*merged.artifacts, *last.artifacts],
        records=[*merged.records, *last.records],
        error=last.error,
    )


def dry_run(
    exports: tuple[Path, Path], roads: tuple[_Road, _Road], emit: EmitPair, observer: Callable[[Event], None]
) -> Run:
    """What `run` would do."""
    walks = [pipeline.dry_run(road, export, observer) for road, export in zip(roads, exports, strict=True)]
    merged = _merged(*walks)
    names = [export.name for walk in walks if (export := walk.last(Export))]
    if all(map(_is_good, walks)):
        outputs = tuple(Output(str(emit.folder / name), None) for name in emit.plan(*names))
        merged.records.append(pipeline.Record(emit.name, Status.PLANNED, outputs=outputs))
    return merged


def _merged(first: Run, second: Run) -> Run:
    return Run(
        list(first.artifacts),
        [*first.records, *second.records],
        first.error or second.error,
        secondary=second,
    )


def _proven(walk: Run) -> Validated:
    validated = walk.last(Validated)
    assert validated is not None
    return replace(validated, findings=walk.findings)


def _is_good(walk: Run) -> bool:
    return walk.error is None and worst(walk.findings) is not Level.ERROR
