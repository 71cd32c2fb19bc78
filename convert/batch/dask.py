"""The jobs of a batch on a Dask cluster: `Cluster` does what `convert.batch.run.Pool` does, on many machines.

    pack(job) -> Payload              here: the job, and every file that its conversion may look at
    perform(payload, ...) -> Reply    there, a task of Dask's: in a pool of one process that is kept from task to task
      unpack(payload, folder) -> Job    the files below `folder`, and the same job with their paths
      make_reply(...) -> Reply          the outcome and the bundle, with the paths of here again
    deliver(job, reply)               here: the bundle in its folder, whole or not at all

A task is one job with its files, so that it can be given to another worker when its own dies; Dask sees to that. A task
that ends the workers themselves is given up by Dask after `distributed.scheduler.allowed-failures` of them (3 by
default). A model that crashes, hangs or eats memory ends the process in the pool, not the worker.

A bundle must not depend on where it was made. So a file gets the same folders above it there as it has here, for a
bundle may be called after one of them (`convert.export.choose`). Versions of this program and its libraries decide
bytes, so a worker that has others ends the batch.
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
import tempfile
import threading
import time
import uuid
import zlib
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from convert.batch.cache import environment, libraries, list_files
from convert.batch.plan import Outcome, State, failure
from convert.batch.run import TIME, Pool, half_of_memory
from convert.emit.files import beside, stale_engines
from convert.errors import ConvertError, InputError, MissingDependencyError
from convert.export.archive import places
from convert.files import sha256, write_all
from convert.report import REPORT, dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from convert.batch.plan import Job
    from convert.files import Output
    from convert.pipeline import Event

__all__ = ["CONNECT", "PATIENCE", "Cluster", "Payload", "Reply", "deliver", "make_reply", "pack", "perform", "unpack"]

CONNECT = 10.0
"""Seconds for the connection to the scheduler, and for each worker to say what it is."""

PATIENCE = 120.0
"""Seconds to wait for a worker where there is none: one that was killed starts again in a few."""

_PERIOD = 1.0  # seconds between two looks at the scheduler while nothing comes back
_ADDRESS = re.compile(r"(?:tcp|tls|ucx|ws|wss)://[^/:\s]+(?::\d{1,5})?/?|(?:tcp|tls)://\[[0-9a-fA-F:]+\](?::\d{1,5})?")

_UNREAD = "edge-impulse-sdk"
"""Of a library's SDK only the names are looked at (`convert.export.models`); its contents are some 30 MB."""

_ABOVE = "model!"
"""The folder there in which "/" of here is. A model none of whose folders has a telling name is called "model"; this
name gives the same slug, and is reached after all folders of here."""


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
        payload = pack(job)
        versions = required_environment(job.settings)
        key = f"ei-deepstream-{job.name}-{uuid.uuid4().hex}"  # never the result of somebody else's task
        # Arguments stay with the scheduler; what is "scattered" would be lost with the worker that holds it.
        future = self._client.submit(perform, payload, versions, self.seconds, self.memory, key=key, pure=False)
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
        from distributed import KilledWorker  # an extra

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
        if isinstance(reply, EnvironmentMismatch):
            raise _mismatch(reply)
        return deliver(job, reply)

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
        here = required_environment({})
        found = self._asked(lambda: self._client.run(environment, on_error="return"))
        for address, said in sorted(found.items()):
            if isinstance(said, BaseException):
                raise ConvertError(
                    f"the worker {address} cannot run this program: {_first_line(said)}",
                    hint="install the same ei-deepstream there, in the Python that runs `dask worker`",
                )
            if said != here:
                raise _mismatch(EnvironmentMismatch(address, said, here))

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
        import distributed  # an extra
    except ImportError as error:
        raise MissingDependencyError(
            f"--scheduler needs Dask ({error})", hint="pip install 'ei-deepstream[distributed]'"
        ) from error
    import dask

    # A lost connection is told once, in our words; and an export of 100 MB is meant to travel.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "2GB"})
    return distributed


async def _identity(address: str) -> str:
    """What is at `address`: "Scheduler", "Worker", "Nanny"."""
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


@dataclass(frozen=True, slots=True)
class Payload:
    """A job on its way.

    Attributes:
        job: with the paths of the machine it comes from.
        here: the working folder there, against which its relative paths are.
        content: folders, links and files by absolute path, packed.
    """

    job: Job
    here: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a job elsewhere.

    Attributes:
        outcome: with the paths of the job as it was sent.
        files: of the bundle, by name: content, and whether it can be run.
    """

    outcome: Outcome
    files: dict[str, tuple[bytes, bool]] = field(repr=False)


def pack(job: Job) -> Payload:
    """Everything `job` needs.

    Raises:
        InputError: a file of it cannot be read; one that is not there is told by the conversion itself.
    """
    content: dict[str, bytes | None] = {}
    try:
        for root in _roots(job):
            content |= _below(root)
    except OSError as error:
        raise InputError(
            f"cannot read it: {error.strerror or error}",
            path=error.filename or job.export,
            hint="check its permissions, or copy it elsewhere",
        ) from error
    return Payload(job, str(Path.cwd()), zlib.compress(pickle.dumps(content), 1))


def _roots(job: Job) -> Iterator[Path]:
    for path in (*job.exports, *(value for _, value in job.options if isinstance(value, Path))):
        if path.exists():
            yield from places(path)


def _below(root: Path) -> dict[str, bytes | None]:
    """Content by absolute path; None for a link to a folder, which is not followed; a folder ends in "/"."""
    content: dict[str, bytes | None] = {_absolute(root) + "/": b""} if root.is_dir() else {}
    for part in list_files([root]):
        place = _absolute(part.path)
        if part.status is not None:
            content[place] = b"" if _UNREAD in Path(part.name).parts else part.path.read_bytes()
        elif part.path.is_dir():
            content[place] = None
    return content


def unpack(payload: Payload, folder: Path) -> Job:
    """The job of `payload`, its files below the empty folder `folder`; the bundle goes below it, too.

    Raises:
        OSError: they cannot be written.
    """
    for name, data in pickle.loads(zlib.decompress(payload.content)).items():  # noqa: S301 - from our own client
        place = Path(f"{folder}/{_ABOVE}{name}")
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
    return Path(f"{folder}/{_ABOVE}{os.path.normpath(os.path.join(payload.here, path))}")  # noqa: PTH118 - text


def make_reply(payload: Payload, folder: Path, outcome: Outcome) -> Reply:
    """What is sent back: `outcome` of the job that `unpack` gave for `folder`.

    Raises:
        OSError: the bundle cannot be read.
    """
    files, names = {}, _names(payload, folder)
    for output in outcome.outputs:
        path = Path(output.path)
        files[path.name] = path.read_bytes(), bool(path.stat().st_mode & 0o100)
    outcome = _renamed(outcome, names)
    if REPORT in files:  # its findings name places in the export as the user does
        report = dumps(_renamed(json.loads(files[REPORT][0]), names))
        files[REPORT] = report, False
        outcome = _with_report(outcome, sha256(report))
    return Reply(outcome, files)


def _with_report(outcome: Outcome, digest: str) -> Outcome:
    def corrected(outputs: tuple[Output, ...]) -> tuple[Output, ...]:
        return tuple(replace(each, sha256=digest) if Path(each.path).name == REPORT else each for each in outputs)

    records = tuple(replace(record, outputs=corrected(record.outputs)) for record in outcome.records)
    return replace(outcome, outputs=corrected(outcome.outputs), records=records)


def _names(payload: Payload, folder: Path) -> list[tuple[str, str]]:
    """What the paths of there are called here, longest first: as the user named them where that is known."""
    job = payload.job
    known = {str(folder / "bundle"): str(job.output), f"{folder}/{_ABOVE}": ""}
    for path in (*job.exports, *(value for _, value in job.options if isinstance(value, Path))):
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


def deliver(job: Job, reply: Reply) -> Outcome:
    """The outcome of `job`, its bundle in place."""
    outcome = reply.outcome
    if outcome.state is not State.DONE:
        return outcome
    names = [Path(output.path).name for output in outcome.outputs]
    files = {name: reply.files[name][0] for name in names}
    if damaged := [each.path for each in outcome.outputs if sha256(files[Path(each.path).name]) != each.sha256]:
        error = ConvertError(
            f"{damaged[0]} came back damaged", hint="run it again; if it stays so, look at the network"
        )
        return failure(job, error, outcome.seconds)
    name = dict(outcome.summary).get("bundle")
    try:
        around = beside(job.output, name, names) if job.sgie is None and isinstance(name, str) else ()
        write_all(job.output, files, executables=frozenset(name for name in names if reply.files[name][1]))
        around += tuple(found for each in names if each.endswith(".onnx") for found in stale_engines(job.output, each))
    except ConvertError as error:
        return failure(job, error, outcome.seconds)
    return replace(outcome, findings=(*outcome.findings, *around))


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - links stay what they are


def required_environment(options: Mapping[str, Any]) -> dict[str, str]:
    """What a worker has to be, to convert with `options`: versions that decide bytes."""
    return environment(libraries(options))


@dataclass(frozen=True, slots=True)
class EnvironmentMismatch:
    """Instead of a reply: this worker has other versions."""

    address: str
    environment: dict[str, str]
    wanted: dict[str, str]


def perform(
    payload: Payload, versions: dict[str, str], seconds: float, memory: int | None
) -> Reply | EnvironmentMismatch:
    """The task: convert one job.

    Args:
        payload: the job and its files.
        versions: what `required_environment` says on the client's machine.
        seconds, memory: see `Cluster`.
    """
    here = required_environment(payload.job.settings)
    if here != versions:
        return EnvironmentMismatch(_own_address(), here, versions)
    with tempfile.TemporaryDirectory(prefix="ei-deepstream-") as place, _own_pool(seconds, memory) as pool:
        folder = Path(place)
        (outcome,) = pool([unpack(payload, folder)], lambda _job, _event: None)
        return make_reply(payload, folder, outcome)


_idle: list[Pool] = []
_lock = threading.Lock()


@contextlib.contextmanager
def _own_pool(seconds: float, memory: int | None) -> Iterator[Pool]:
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
    from distributed import get_worker  # there it is

    return str(get_worker().address)
