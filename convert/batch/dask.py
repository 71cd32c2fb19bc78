"""The jobs of a batch on a Dask cluster: `Cluster` does what `convert.batch.pool.Pool` does, on many machines.

A task of Dask's (`convert.batch.task`) is one job with its files (`convert.batch.parcel`), so that it can be given to
another worker when its own dies; Dask sees to that. A task that ends the workers themselves is given up by Dask after
`distributed.scheduler.allowed-failures` of them (3 by default).

Versions of this program and its libraries decide bytes, so a worker that has others ends the batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import re
import time
import uuid
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Self

from convert.batch.job import Outcome, failure
from convert.batch.key import environment
from convert.batch.parcel import delivered, pack
from convert.batch.pool import TIME
from convert.batch.task import Different, perform, wanted
from convert.errors import ConvertError, InputError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from convert.batch.job import Job
    from convert.pipeline import Event

__all__ = ["CONNECT", "PATIENCE", "Cluster"]

CONNECT = 10.0
"""Seconds for the connection to the scheduler, and for each worker to say what it is."""

PATIENCE = 120.0
"""Seconds to wait for a worker where there is none: one that was killed starts again in a few."""

_PERIOD = 1.0  # seconds between two looks at the scheduler while nothing comes back
_ADDRESS = re.compile(r"(?:tcp|tls|ucx|ws|wss)://[^/:\s]+(?::\d{1,5})?/?|(?:tcp|tls)://\[[0-9a-fA-F:]+\](?::\d{1,5})?")


@dataclass
class Cluster:
    """Runs jobs on the workers of a Dask scheduler.

    Args:
        address: of the scheduler: "tcp://host:8786".
        seconds: time limit of a job.
        memory: bytes that a job's process may hold; None: half of the machine's it runs on.
        connect, patience: see `CONNECT` and `PATIENCE`.
    """

    address: str
    seconds: float = TIME
    memory: int | None = None
    connect: float = CONNECT
    patience: float = PATIENCE
    _client: Any = field(default=None, init=False, repr=False)
    _done: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue, init=False, repr=False)

    def __enter__(self) -> Self:
        """Connect, and compare versions.

        Raises:
            MissingDependencyError: the extra [distributed] is not installed.
            InputError: `address` is none, or nothing answers there.
            ConvertError: a worker has other versions, or there is none.
        """
        if not _ADDRESS.fullmatch(self.address):
            raise InputError(f"{self.address!r} is no address of a scheduler", hint="give --scheduler tcp://host:8786")
        distributed = _distributed()
        try:
            # Asked first: a client waits without end for something that takes the connection and is no scheduler.
            kind = asyncio.run(asyncio.wait_for(_identity(self.address), self.connect))
            if kind != "Scheduler":
                raise ValueError(f"it is a {kind.lower()}")  # noqa: TRY301 - told as the others are
            self._client = distributed.Client(
                self.address, timeout=self.connect, set_as_default=False, name="ei-deepstream"
            )
        except (OSError, ValueError, TimeoutError) as error:
            why = _first_line(error) if str(error) else f"nothing came back within {self.connect:g} s"
            raise InputError(
                f"no Dask scheduler answers at {self.address}: {why}",
                hint="start one with `dask scheduler`, and look at the address, the port and the firewall",
            ) from error
        try:
            self._await_workers()
            self._compare()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave; what is still going on is given up."""
        self._close()

    def __call__(self, jobs: Iterable[Job], observer: Callable[[Job, Event], None]) -> Iterator[Outcome]:
        """The outcomes, as they come. `observer` is told of a job's stages when it is finished.

        Raises:
            ConvertError: the scheduler is gone, there are no workers any more, or one has other versions.
        """
        suspects: list[Job] = []
        yield from self._run(jobs, observer, suspects)
        for job in suspects:
            yield from self._run([job], observer)

    def _run(
        self, jobs: Iterable[Job], observer: Callable[[Job, Event], None], suspects: list[Job] | None = None
    ) -> Iterator[Outcome]:
        """Dask blames the end of a worker on every job it had; those it gives up go into `suspects`, to run alone."""
        source = iter(jobs)
        going: dict[str, tuple[Job, Any]] = {}
        try:
            while True:
                room = self._room()
                while len(going) < room and (job := next(source, None)) is not None:
                    try:
                        future = self._submit(job)
                    except ConvertError as error:  # its files cannot be read
                        yield failure(job, error, 0.0)
                        continue
                    going[future.key] = job, future
                if not going:
                    return
                while (key := self._next()) not in going:
                    pass  # of an earlier call that was not iterated to its end
                job, future = going.pop(key)
                outcome = self._outcome(job, future)
                if outcome is None and suspects is not None:
                    suspects.append(job)
                    continue
                outcome = outcome or _deadly(job, future.exception())
                for record in outcome.records:
                    observer(job, record)
                yield outcome
        finally:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                self._client.cancel([future for _, future in going.values()], force=True)

    def _submit(self, job: Job) -> Any:
        parcel = pack(job)
        versions = wanted(job.settings)
        key = f"ei-deepstream-{job.name}-{uuid.uuid4().hex}"  # never the result of somebody else's task
        # Arguments stay with the scheduler; what is "scattered" would be lost with the worker that holds it.
        future = self._client.submit(perform, parcel, versions, self.seconds, self.memory, key=key, pure=False)
        future.add_done_callback(lambda each: self._done.put(each.key))
        return future

    def _room(self) -> int:
        """How many jobs are to be at the scheduler: enough that no thread of a worker waits for its next one."""
        threads: dict[str, int] = self._asked(self._client.nthreads)
        return 2 * max(1, sum(threads.values()))

    def _next(self) -> str:
        """The key of the next future that is done.

        Raises:
            ConvertError: none comes any more.
        """
        alone = 0.0
        while True:
            with contextlib.suppress(queue.Empty):
                return str(self._done.get(timeout=_PERIOD))
            if self._asked(self._client.nthreads):
                alone = 0.0
            elif alone >= self.patience:
                raise _no_workers(self.address, self.patience)
            else:
                alone += _PERIOD

    def _outcome(self, job: Job, future: Any) -> Outcome | None:
        """What became of `job`; None: too many workers have ended that had it."""
        from distributed import KilledWorker  # noqa: PLC0415 - an extra

        if future.status not in {"finished", "error", "cancelled"}:  # its worker died with the result: it is made again
            with contextlib.suppress(CancelledError):
                self._asked(lambda: future.exception(timeout=self.seconds + self.patience))
        if future.status == "error":
            error = future.exception()
            return None if isinstance(error, KilledWorker) else failure(job, _broken(error), 0.0)
        if future.status != "finished":
            self._gone()
        try:
            # A result whose worker has just died is computed again.
            reply = self._asked(lambda: future.result(timeout=self.seconds + self.patience))
        except KilledWorker:
            return None
        except CancelledError as error:
            self._gone(error)
        if isinstance(reply, Different):
            raise _different(reply)
        return delivered(job, reply)

    def _await_workers(self) -> None:
        start = time.monotonic()
        while not self._asked(self._client.nthreads):
            if time.monotonic() - start > self.patience:
                raise _no_workers(self.address, self.patience)
            time.sleep(min(_PERIOD, self.patience))

    def _compare(self) -> None:
        """Ask every worker for its versions.

        Raises:
            ConvertError: one has others.
        """
        here = wanted({})
        found = self._asked(lambda: self._client.run(environment, on_error="return"))
        for address, said in sorted(found.items()):
            if isinstance(said, BaseException):
                raise ConvertError(
                    f"the worker {address} cannot run this program: {_first_line(said)}",
                    hint="install the same ei-deepstream there, in the Python that runs `dask worker`",
                )
            if said != here:
                raise _different(Different(address, said, here))

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """What `ask` gives.

        Raises:
            ConvertError: the scheduler is gone.
        """
        if self._client.status not in {"running", "connecting"}:
            self._gone()
        try:
            return ask()
        except (OSError, TimeoutError, RuntimeError) as error:  # what a lost connection is, depends on the moment
            self._gone(error)

    def _gone(self, error: BaseException | None = None) -> NoReturn:
        why = f" ({_first_line(error)})" if error else ""
        raise ConvertError(
            f"the scheduler {self.address} is gone{why}",
            hint="start it again and run the batch again: it goes on where it was",
        ) from error

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):  # nothing is lost with a connection that was lost before
                client.close(timeout=self.connect)


def _distributed() -> Any:
    try:
        import distributed  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingDependencyError(
            f"--scheduler needs Dask ({error})", hint="pip install 'ei-deepstream[distributed]'"
        ) from error
    import dask  # noqa: PLC0415

    # A lost connection is told once, in our words; and an export of 100 MB is meant to travel.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "2GB"})
    return distributed


async def _identity(address: str) -> str:
    """What is at `address`: "Scheduler", "Worker", "Nanny"."""
    import distributed  # noqa: PLC0415 - an extra

    arguments = distributed.Security().get_connection_args("client")
    async with distributed.rpc(address, connection_args=arguments) as there:
        return str((await there.identity())["type"])


def _no_workers(address: str, seconds: float) -> ConvertError:
    return ConvertError(
        f"the scheduler {address} had no workers for {seconds:g} s",
        hint=f"start some: dask worker {address}; then run the batch again: it goes on where it was",
    )


def _different(worker: Different) -> ConvertError:
    said = worker.environment
    other = [
        "its own files" if name == "files" else f"{name} is {said.get(name) or 'missing'}, here {version or 'missing'}"
        for name, version in worker.wanted.items()
        if said.get(name) != version
    ]
    return ConvertError(
        f"the worker {worker.address} is not what this machine is: {'; '.join(other)}",
        hint="install the same versions there: they decide what a bundle is, to the byte",
    )


def _deadly(job: Job, killed: Any) -> Outcome:
    many, last = killed.allowed_failures + 1, killed.last_worker.address
    error = ConvertError(
        f"{many} workers ended while they converted it, the last one {last}",
        hint="their logs say why; if memory ran out, give them more or --memory-limit",
        path=job.export,
    )
    return failure(job, error, 0.0)


def _broken(error: BaseException) -> ConvertError:
    """What a task raised; conversions raise nothing, so it is the worker that cannot do what it should."""
    return ConvertError(
        f"a worker could not convert it: {type(error).__name__}: {_first_line(error)}",
        hint="look at its log, its free space and its installation; then run the batch again",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
