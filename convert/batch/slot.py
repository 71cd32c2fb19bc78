"""What a worker process of the pool runs: one job after the other, everything in this one process.

`convert` keeps tf2onnx and LiteRT in a child, because they can crash. A worker of the pool is that child already, so
the whole pipeline runs in it: one process a core instead of two, nothing is imported twice, and no model is copied
through a pipe. Who watches it is told what goes on, and so can say what it was that crashed (`convert.batch.pool`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import convert.graph.preload  # noqa: F401 - first: the stand-in for TensorFlow goes before whatever imports tf2onnx
from convert.batch.job import execute
from convert.batch.pool import Entered, Left
from convert.isolation import Failed, Worker, answer, tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.batch.job import Job, Outcome
    from convert.pipeline import Event

__all__ = ["Inline", "perform", "ready"]


class Inline(Worker):
    """A `Worker` that is no process: what is called runs here, and who watches from outside is told."""

    def start(self) -> Self:
        """Nothing has to be started."""
        return self

    def call(
        self,
        function: str,
        *arguments: Any,
        timeout: float,
        memory: int | None = None,  # noqa: ARG002 - seen to from outside
        told: Callable[[Any], None] | None = None,  # noqa: ARG002 - what is told goes outside at once
    ) -> Any:
        """As `Worker.call`; who watches from outside keeps the limits."""
        tell(Entered(function, timeout))
        kind, value = answer(function, arguments)
        tell(Left())
        if kind == "result":
            return value
        if kind == "error":
            raise value
        raise Failed(*value)

    def kill(self) -> None:
        """There is nothing to end."""

    def close(self) -> None:
        """There is nothing to end."""


_worker = Inline()


def ready() -> None:
    """Import the rest of what a conversion needs, so that no job's time is spent on it."""
    import ai_edge_litert.interpreter  # noqa: F401, PLC0415 - only the child is to have all this
    import onnxruntime  # noqa: F401, PLC0415

    import convert.pipeline  # noqa: PLC0415
    import convert.validate.comparison  # noqa: F401, PLC0415


def perform(job: Job) -> Outcome:
    """`convert.batch.job.execute`, telling of every stage."""
    return execute(job, _worker, _tell)


def _tell(event: Event) -> None:
    tell(event)
