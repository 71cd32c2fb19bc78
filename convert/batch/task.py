"""A task of Dask's, in the worker: one job of a batch, in a pool of one process that is kept from task to task.

A model that crashes, hangs or eats memory ends that process, not the worker, and is told as on one machine.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.batch.key import environment, libraries
from convert.batch.parcel import Reply, answer, opened
from convert.batch.pool import Pool, half_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from convert.batch.parcel import Parcel

__all__ = ["Different", "perform", "wanted"]


def wanted(options: Mapping[str, Any]) -> dict[str, str]:
    """What a worker has to be, to convert with `options`: versions that decide bytes."""
    return environment(libraries(options))


@dataclass(frozen=True, slots=True)
class Different:
    """Instead of a reply: this worker has other versions."""

    address: str
    environment: dict[str, str]
    wanted: dict[str, str]


def perform(parcel: Parcel, versions: dict[str, str], seconds: float, memory: int | None) -> Reply | Different:
    """The task: convert one job.

    Args:
        parcel: the job and its files.
        versions: what `wanted` says on the client's machine.
        seconds, memory: see `convert.batch.dask.Cluster`.
    """
    here = wanted(parcel.job.settings)
    if here != versions:
        return Different(_own_address(), here, versions)
    with tempfile.TemporaryDirectory(prefix="ei-deepstream-") as place, _warm(seconds, memory) as pool:
        folder = Path(place)
        (outcome,) = pool([opened(parcel, folder)], lambda _job, _event: None)
        return answer(parcel, folder, outcome)


_idle: list[Pool] = []
_lock = threading.Lock()


@contextlib.contextmanager
def _warm(seconds: float, memory: int | None) -> Iterator[Pool]:
    """A pool of one process, kept from task to task: one for each thread that the worker uses at a time."""
    with _lock:
        pool = _idle.pop() if _idle else Pool(1)
    pool.seconds, pool.memory = seconds, memory or half_of_memory()
    try:
        yield pool
    except BaseException:
        pool.__exit__(None, None, None)
        raise
    with _lock:
        _idle.append(pool)


def _own_address() -> str:
    from distributed import get_worker  # noqa: PLC0415 - there it is

    return str(get_worker().address)
