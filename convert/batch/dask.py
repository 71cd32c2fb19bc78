"""Runs the jobs of a batch on a Dask cluster: `Cluster` is a scheduler as `convert.batch.Pool`, for many machines.

    pack(job) -> Payload                  here: the job, and every file that its conversion may read
    perform(payload, ...) -> TaskResult   there, a task of Dask: in a pool of one process that serves many tasks
      unpack(payload, folder) -> Job        the files below `folder`, and the same job with their paths
      pack_result(...) -> TaskResult        the outcome and the bundle, with the paths of here again
    deliver(job, result)                  here: the bundle in its folder, all files or none

A task is one job with its files, so that Dask can give it to another worker when its own ends. Dask gives up a task
that ends the workers themselves after `distributed.scheduler.allowed-failures` of them (3 by default). A model that
crashes, hangs or uses too much memory ends the process in the pool, not the worker.

A bundle must not depend on where it was made. So a file has the same folders above it there as here, because a bundle
may be named after one of them (`convert.export.choose`). Versions of this program and its libraries decide bytes, so a
worker that has other ones ends the batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import pickle
import queue
import re
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, Self

from convert import isolation, pipeline
from convert.batch import TIME, Pool, half_of_memory
from convert.batch.cache import environment, libraries, list_files, write_bundle
from convert.batch.plan import Job, Outcome, State, failure
from convert.errors import ConvertError, InputError, MissingDependencyError, pip_install
from convert.export.archive import places
from convert.files import Output, sha256
from convert.report import REPORT, dumps

CONNECT = 10.0
"""Seconds to connect to the scheduler, and for each worker to report its versions."""

PATIENCE = 120.0
"""Seconds to wait for a worker while there is none: one that was killed starts again in a few."""

_PERIOD = 1.0  # seconds between two checks of the scheduler while no result arrives
_ADDRESS = re.compile(r"(?:tcp|tls|ucx|ws|wss)://[^/:\s]+(?::\d{1,5})?/?|(?:tcp|tls)://\[[0-9a-fA-F:]+\](?::\d{1,5})?")

_NAMES_ONLY = "edge-impulse-sdk"
"""Of a library's SDK only file names are read (`convert.export.models`); its contents are some 30 MB."""

_ROOT = "model!"
"""The folder there that stands for "/" of here. A model without a telling folder name is called "model"; this name has
the same slug, and is above all folders of here."""


@dataclass
class Cluster:
    """Runs jobs on the workers of a Dask scheduler.

    Args:
        address: of the scheduler: "tcp://host:8786".
        seconds: time limit of a job.
        memory: bytes that a job's process may hold; None: half of its machine's.
        connect, patience: see `CONNECT` and `PATIENCE`.
    """

    address: str
    seconds: float = TIME
    memory: int | None = None
    connect: float = CONNECT
    patience: float = PATIENCE

    def __post_init__(self) -> None:
        self._client: Any = None
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        """Connect, and compare versions.

        Raises:
            MissingDependencyError: the extra [distributed] is not installed.
            InputError: `address` is invalid, or nothing answers there.
            ConvertError: a worker has other versions, or there is none.
        """
        if not _ADDRESS.fullmatch(self.address):
            raise InputError(f"{self.address!r} is no address of a scheduler", hint="give --scheduler tcp://host:8786")
        distributed = _distributed()
        try:
            # Asked first: a client would wait without limit for a server that is no scheduler.
            kind = asyncio.run(asyncio.wait_for(_identity(self.address), self.connect))
            if kind != "Scheduler":
                raise ValueError(f"it is a {kind.lower()}")  # noqa: TRY301 - reported as the others are
            self._client = distributed.Client(
                self.address, timeout=self.connect, set_as_default=False, name="ei-deepstream"
            )
        except (OSError, ValueError, TimeoutError) as error:
            why = _first_line(error) if str(error) else f"nothing came back within {self.connect:g} s"
            message = f"no Dask scheduler answers at {self.address}: {why}"
            hint = "start one with `dask scheduler`, and look at the address, the port and the firewall"
            raise InputError(message, hint=hint) from error
        try:
            self._await_workers()
            self._compare()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect; jobs in progress are given up."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):  # the connection may be broken already
                client.close(timeout=self.connect)

    def __call__(self, jobs: Iterable[Job], observer: Callable[[Job, pipeline.Event], None]) -> Iterator[Outcome]:
        """The outcomes, as they come; `observer` is called for a job's stages when the job is finished.

        Raises:
            ConvertError: the scheduler is gone, there are no workers any more, or one has other versions.
        """
        suspects: list[Job] = []
        yield from self._run(jobs, observer, suspects)
        for job in suspects:
            yield from self._run([job], observer)

    def _run(
        self, jobs: Iterable[Job], observer: Callable[[Job, pipeline.Event], None], suspects: list[Job] | None = None
    ) -> Iterator[Outcome]:
        """Dask counts the end of a worker against each of its jobs; those it gives up are put into `suspects`."""
        source = iter(jobs)
        going: dict[str, tuple[Job, Any]] = {}
        try:
            while True:
                threads: dict[str, int] = self._request(self._client.nthreads)
                room = 2 * max(1, sum(threads.values()))  # so that no thread of a worker waits for its next job
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
                    pass  # from an earlier call that was not iterated to its end
                job, future = going.pop(key)
                outcome = self._outcome(job, future)
                if outcome is None and suspects is not None:
                    suspects.append(job)
                    continue
                outcome = outcome or _workers_ended(job, future.exception())
                for record in outcome.records:
                    observer(job, record)
                yield outcome
        finally:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                self._client.cancel([future for _, future in going.values()], force=True)

    def _submit(self, job: Job) -> Any:
        payload = pack(job)
        versions = required_environment(job.settings)
        key = f"ei-deepstream-{job.name}-{uuid.uuid4().hex}"  # never the result of another client's task
        # Arguments stay with the scheduler; "scattered" data would be lost with the worker that holds it.
        future = self._client.submit(perform, payload, versions, self.seconds, self.memory, key=key, pure=False)
        future.add_done_callback(lambda each: self._done.put(each.key))
        return future

    def _next(self) -> str:
        """The key of the next finished future.

        Raises:
            ConvertError: the scheduler or all workers are gone.
        """
        waited = 0.0  # seconds without workers
        while True:
            with contextlib.suppress(queue.Empty):
                return str(self._done.get(timeout=_PERIOD))
            if self._request(self._client.nthreads):
                waited = 0.0
            elif waited >= self.patience:
                raise _no_workers(self.address, self.patience)
            else:
                waited += _PERIOD

    def _outcome(self, job: Job, future: Any) -> Outcome | None:
        """The outcome of `job`; None: too many workers ended while they had it."""
        from distributed import KilledWorker  # an extra

        # Of another status: its worker ended with the result, which is computed again.
        if future.status not in {"finished", "error", "cancelled"}:
            with contextlib.suppress(CancelledError):
                self._request(lambda: future.exception(timeout=self.seconds + self.patience))
        if future.status == "error":
            error = future.exception()
            return None if isinstance(error, KilledWorker) else failure(job, _task_error(error), 0.0)
        if future.status != "finished":
            self._gone()
        try:
            # A result whose worker has just ended is computed again.
            result = self._request(lambda: future.result(timeout=self.seconds + self.patience))
        except KilledWorker:
            return None
        except CancelledError as error:
            self._gone(error)
        if isinstance(result, EnvironmentMismatch):
            raise _mismatch(result)
        return deliver(job, result)

    def _await_workers(self) -> None:
        start = time.monotonic()
        while not self._request(self._client.nthreads):
            if time.monotonic() - start > self.patience:
                raise _no_workers(self.address, self.patience)
            time.sleep(min(_PERIOD, self.patience))

    def _compare(self) -> None:
        """Compare the versions of every worker with ours.

        Raises:
            ConvertError: a worker has other ones.
        """
        here = required_environment({})
        found = self._request(lambda: self._client.run(environment, on_error="return"))
        for address, there in sorted(found.items()):
            if isinstance(there, BaseException):
                message = f"the worker {address} cannot run this program: {_first_line(there)}"
                hint = "install the same ei-deepstream there, in the Python that runs `dask worker`"
                raise ConvertError(message, hint=hint)
            if there != here:
                raise _mismatch(EnvironmentMismatch(address, there, here))

    def _request(self, request: Callable[[], Any]) -> Any:
        """The result of `request`.

        Raises:
            ConvertError: the scheduler is gone.
        """
        if self._client.status not in {"running", "connecting"}:
            self._gone()
        try:
            return request()
        except (OSError, TimeoutError, RuntimeError) as error:  # a lost connection raises any of these
            self._gone(error)

    def _gone(self, error: BaseException | None = None) -> NoReturn:
        why = f" ({_first_line(error)})" if error else ""
        message = f"the scheduler {self.address} is gone{why}"
        raise ConvertError(message, hint="start it again and run the batch again: it goes on where it was") from error


def _distributed() -> Any:
    try:
        import distributed  # an extra
    except ImportError as error:
        raise MissingDependencyError(
            f"--scheduler needs Dask ({error})", hint=pip_install("ei-deepstream[distributed]")
        ) from error
    import dask

    # A lost connection is reported once, by us; and exports of 100 MB are expected.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "2GB"})
    return distributed


async def _identity(address: str) -> str:
    """The type of server at `address`: "Scheduler", "Worker", "Nanny"."""
    import distributed  # an extra

    arguments = distributed.Security().get_connection_args("client")
    async with distributed.rpc(address, connection_args=arguments) as there:
        return str((await there.identity())["type"])


def _no_workers(address: str, seconds: float) -> ConvertError:
    return ConvertError(
        f"the scheduler {address} had no workers for {seconds:g} s",
        hint=f"start some: dask worker {address}; then run the batch again: it goes on where it was",
    )


def _mismatch(worker: EnvironmentMismatch) -> ConvertError:
    there = worker.environment
    other = [
        "its own files" if name == "files" else f"{name} is {there.get(name) or 'missing'}, here {version or 'missing'}"
        for name, version in worker.wanted.items()
        if there.get(name) != version
    ]
    return ConvertError(
        f"the worker {worker.address} is not what this machine is: {'; '.join(other)}",
        hint="install the same versions there: they decide what a bundle is, to the byte",
    )


def _workers_ended(job: Job, killed: Any) -> Outcome:
    many, last = killed.allowed_failures + 1, killed.last_worker.address
    error = ConvertError(
        f"{many} worker{'s' * (many > 1)} ended while converting it, the last one {last}",
        hint="their logs say why; if memory ran out, give them more or --memory-limit",
        path=job.export,
    )
    return failure(job, error, 0.0)


def _task_error(error: BaseException) -> ConvertError:
    """What a task raised; conversions raise nothing, so the fault is the worker's."""
    return ConvertError(
        f"a worker could not convert it: {type(error).__name__}: {_first_line(error)}",
        hint="look at its log, its free space and its installation; then run the batch again",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@dataclass(frozen=True, slots=True)
class Payload:
    """A job and its files, to be sent.

    Attributes:
        job: with the paths of the client's machine.
        here: the client's working folder, for relative paths.
        content: folders, links and files by absolute path, pickled and compressed.
    """

    job: Job
    here: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The result of a job on another machine.

    Attributes:
        outcome: with the paths of the client's machine.
        files: of the bundle, by name: content, and whether it can be run.
    """

    outcome: Outcome
    files: dict[str, tuple[bytes, bool]] = field(repr=False)


def pack(job: Job) -> Payload:
    """The payload of `job`.

    Raises:
        InputError: a file cannot be read; a missing one is reported by the conversion itself.
    """
    content: dict[str, bytes | None] = {}
    try:
        for root in (place for path in job.paths if path.exists() for place in places(path)):
            content |= _below(root)
    except OSError as error:
        message = f"cannot read it: {error.strerror or error}"
        hint = "check its permissions, or copy it elsewhere"
        raise InputError(message, path=error.filename or job.export, hint=hint) from error
    return Payload(job, str(Path.cwd()), zlib.compress(pickle.dumps(content), 1))


def _below(root: Path) -> dict[str, bytes | None]:
    """Content by absolute path; None for a link to a folder, which is not followed; a folder ends in "/"."""
    content: dict[str, bytes | None] = {_absolute(root) + "/": b""} if root.is_dir() else {}
    for part in list_files([root]):
        place = _absolute(part.path)
        if part.status is not None:
            content[place] = b"" if _NAMES_ONLY in Path(part.name).parts else part.path.read_bytes()
        elif part.path.is_dir():
            content[place] = None
    return content


def unpack(payload: Payload, folder: Path) -> Job:
    """The job of `payload`, its files below the empty folder `folder`; the bundle goes below it, too.

    Raises:
        OSError: they cannot be written.
    """
    for name, data in pickle.loads(zlib.decompress(payload.content)).items():  # noqa: S301 - made by our own client
        place = Path(f"{folder}/{_ROOT}{name}")
        if name.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            place.symlink_to(".")
        else:
            place.write_bytes(data)
    job = payload.job
    options = tuple(
        (name, _there(value, payload, folder) if isinstance(value, Path) else value) for name, value in job.options
    )
    return replace(
        job,
        export=_there(job.export, payload, folder),
        sgie=None if job.sgie is None else _there(job.sgie, payload, folder),
        output=folder / "bundle",
        options=options,
    )


def _there(path: Path, payload: Payload, folder: Path) -> Path:
    return Path(f"{folder}/{_ROOT}{os.path.normpath(os.path.join(payload.here, path))}")  # noqa: PTH118 - text


def pack_result(payload: Payload, folder: Path, outcome: Outcome) -> TaskResult:
    """The result to send back: `outcome` of the job that `unpack` made in `folder`.

    Raises:
        OSError: the bundle cannot be read.
    """
    files, names = {}, _names(payload, folder)
    for output in outcome.outputs:
        path = Path(output.path)
        files[path.name] = path.read_bytes(), bool(path.stat().st_mode & 0o100)
    outcome = _renamed(outcome, names)
    if REPORT in files:  # its findings must name paths as the user did
        report = dumps(_renamed(json.loads(files[REPORT][0]), names))
        files[REPORT] = report, False
        outcome = _with_report(outcome, sha256(report))
    return TaskResult(outcome, files)


def _with_report(outcome: Outcome, digest: str) -> Outcome:
    def corrected(outputs: tuple[Output, ...]) -> tuple[Output, ...]:
        return tuple(replace(each, sha256=digest) if Path(each.path).name == REPORT else each for each in outputs)

    records = tuple(replace(record, outputs=corrected(record.outputs)) for record in outcome.records)
    return replace(outcome, outputs=corrected(outcome.outputs), records=records)


def _names(payload: Payload, folder: Path) -> list[tuple[str, str]]:
    """(path there, path here), longest first; as the user named them where known."""
    job = payload.job
    known = {str(folder / "bundle"): str(job.output), f"{folder}/{_ROOT}": ""}
    for path in job.paths:
        for named in (path, path.parent, path.parent.parent):
            if ".." not in named.parts[-1:]:
                known.setdefault(str(_there(named, payload, folder)), str(named))
    for there, here in list(known.items()):
        if here == ".":  # "./labels.txt" is shown as "labels.txt"
            known[f"{there}/"] = ""
    return sorted(known.items(), key=lambda each: -len(each[0]))


def _renamed(value: Any, names: list[tuple[str, str]]) -> Any:
    """`value` with the paths in all its texts replaced."""
    if isinstance(value, str):
        if type(value) is str:
            for there, here in names:
                value = value.replace(there, here)
        return value
    if isinstance(value, tuple | list):
        return type(value)(_renamed(item, names) for item in value)
    if isinstance(value, dict):
        return {name: _renamed(item, names) for name, item in value.items()}
    if isinstance(value, ConvertError):
        message, hint, path = (_renamed(text, names) for text in (value.message, value.hint, value.path))
        return type(value)(message, hint=hint, path=path, line=value.line)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: _renamed(getattr(value, each.name), names) for each in dataclasses.fields(value)}
        return replace(value, **fields)
    return value


def deliver(job: Job, result: TaskResult) -> Outcome:
    """The outcome of `job`, its bundle in place."""
    outcome = result.outcome
    if outcome.state is not State.DONE:
        return outcome
    names = [Path(output.path).name for output in outcome.outputs]
    files = {name: result.files[name][0] for name in names}
    if damaged := [each.path for each in outcome.outputs if sha256(files[Path(each.path).name]) != each.sha256]:
        error = ConvertError(
            f"{damaged[0]} came back damaged", hint="run it again; if it stays so, look at the network"
        )
        return failure(job, error, outcome.seconds)
    executables = frozenset(name for name in names if result.files[name][1])
    try:
        around = write_bundle(job, dict(outcome.summary).get("bundle"), names, files, executables)
    except ConvertError as error:
        return failure(job, error, outcome.seconds)
    return replace(outcome, findings=(*outcome.findings, *around))


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - links stay what they are


def required_environment(options: Mapping[str, Any]) -> dict[str, str]:
    """The versions that a worker must have to convert with `options`: they decide bytes."""
    return environment(libraries(options))


@dataclass(frozen=True, slots=True)
class EnvironmentMismatch:
    """Instead of a result: this worker has other versions."""

    address: str
    environment: dict[str, str]
    wanted: dict[str, str]


def perform(
    payload: Payload, versions: dict[str, str], seconds: float, memory: int | None
) -> TaskResult | EnvironmentMismatch:
    """The task: convert one job.

    Args:
        payload: the job and its files.
        versions: `required_environment` of the client's machine.
        seconds, memory: see `Cluster`.
    """
    here = required_environment(payload.job.settings)
    if here != versions:
        from distributed import get_worker  # an extra, which a worker has

        return EnvironmentMismatch(str(get_worker().address), here, versions)
    with isolation.TemporaryFolder() as folder, _own_pool(seconds, memory) as pool:
        (outcome,) = pool([unpack(payload, folder)], lambda _job, _event: None)
        return pack_result(payload, folder, outcome)


_idle: list[Pool] = []
_lock = threading.Lock()


@contextlib.contextmanager
def _own_pool(seconds: float, memory: int | None) -> Iterator[Pool]:
    """A pool of one process that is used again by later tasks; one for each thread the worker uses at a time."""
    with _lock:
        pool = _idle.pop() if _idle else Pool(1)
    pool.seconds, pool.memory = seconds, memory or half_of_memory()
    try:
        yield pool
    except BaseException:
        pool.__exit__()
        raise
    with _lock:
        _idle.append(pool)
