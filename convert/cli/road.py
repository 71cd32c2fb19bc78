"""The stages with the options of the command line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from convert import pipeline
from convert.agreement import WithAgreement
from convert.export.unpack import Unpack
from convert.graph.adapt import Adapt
from convert.graph.translate import PRELOAD, Translate
from convert.isolation import Worker
from convert.nvinfer.emit import Emit
from convert.validate.stage import Validate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from convert.artifacts import Stage

__all__ = ["pick", "road", "warm_worker"]


def pick(kind: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `options` that are fields of the stage `kind`."""
    return {name: options[name] for name in kind.__dataclass_fields__ if name in options}


def warm_worker(*preload: str) -> Worker:
    """A child for all that may crash, importing what translation needs (or `preload`) while the parent reads."""
    return Worker(preload or PRELOAD)


@contextmanager
def road(output: Path, options: Mapping[str, Any]) -> Iterator[tuple[Stage, ...]]:
    """All five stages, sharing one warm worker that ends with the context."""
    with warm_worker() as worker:
        yield pipeline.stages(
            Unpack(**pick(Unpack, options)),
            Translate(**pick(Translate, options), worker=worker),
            Adapt(**pick(Adapt, options)),
            WithAgreement(Validate(**pick(Validate, options), worker=worker), worker=worker),
            Emit(output, **pick(Emit, options)),
        )
