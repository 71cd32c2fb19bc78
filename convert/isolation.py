"""Calls functions in a child process, because tf2onnx and LiteRT can crash or hang on a damaged model.

The child is `python -m convert.isolation`. It reads (function name, arguments) from standard input and writes the
result or error to a pipe of its own, so that what libraries print on stdout or stderr never mixes with the answer. A
`Worker` uses one child for many calls: imports are done once. When the child dies or runs too long, the call raises
`Died` and the next call starts a new child. A function reports progress to the caller with `tell`.

A stage that calls functions in a worker can be done as a whole in a worker (`Worker.apply`): it then calls them there,
by an `InProcessWorker`, and the process outside still knows which one runs, and keeps its time limit.

The child is ended at once, by SIGKILL, whatever it does; so its temporary files are in a folder that the parent makes
and removes (`TemporaryFolder`). Signals by which a person or a service manager ends a program are the parent's to
handle.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import math
import os
import pickle
import selectors
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from convert import OBJECTS, errors

if TYPE_CHECKING:
    from concurrent.futures import Future

    Listener = Callable[[Any], None]

LARGE = 64 << 20
"""Bytes of a model from which on memory counts more than time: its copies in parent and child add up."""

SENT = 16 << 20
"""Bytes of a model up to which a worker does a whole stage (`Worker.apply`): beyond, copies take memory and time, and
starting up is little of the whole."""

_APART = 1 << 20  # bytes of an object from which on it is no part of what is pickled
_SIZES = struct.Struct("<QQ")  # of a message: bytes that are pickled, and how many objects are apart
_TAIL = 4096  # bytes of the child's stderr that are worth showing
_MEMORY_INTERVAL = 0.05  # seconds between two checks of the child's memory: some 100 MiB can be filled meanwhile


class Died(Exception):
    """The child was killed by a signal, exited, or ran past its time limit.

    Attributes:
        reason: "killed by SIGSEGV", "exited with status 3", "ran longer than 60 s".
        output: the last of what it wrote to stderr.
        function: that an `InProcessWorker` in the child was calling, if any.
    """

    def __init__(self, reason: str, output: str = "", function: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.output = output
        self.function = function


class Failed(Exception):
    """The function raised something that is not a ConvertError; `details` is the child's traceback."""

    def __init__(self, message: str, details: str) -> None:
        super().__init__(message)
        self.details = details
        self.add_note(details)


class _Pickler(pickle.Pickler):
    """Leaves out large `bytes` objects: they are sent as they are, without a copy.

    Attributes:
        apart: these, each once; what is pickled has their places.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.apart: list[bytes] = []

    def persistent_id(self, value: Any) -> int | None:
        """The place of `value` in `apart`; None for all that is pickled."""
        if type(value) is not bytes or len(value) < _APART:
            return None
        if all(each is not value for each in self.apart):
            self.apart.append(value)
        return next(place for place, each in enumerate(self.apart) if each is value)


def _packed(value: object) -> list[bytes]:
    """`value` in parts, to be sent in this order."""
    content = io.BytesIO()
    pickler = _Pickler(content)
    pickler.dump(value)
    sizes = [len(each) for each in pickler.apart]
    head = _SIZES.pack(content.tell(), len(sizes)) + struct.pack(f"<{len(sizes)}Q", *sizes)
    return [head, content.getvalue(), *pickler.apart]


def _unpacked(read: Callable[[int], bytes]) -> Any:
    """The value of the next message, of which `read` gives as many bytes as it is asked for.

    Raises:
        EOFError: there is no further message: `read` gave nothing.
    """
    if not (head := read(_SIZES.size)):
        raise EOFError
    length, count = _SIZES.unpack(head)
    sizes = struct.unpack(f"<{count}Q", read(8 * count)) if count else ()
    content = read(length)
    apart = [read(size) for size in sizes]
    unpickler = pickle.Unpickler(io.BytesIO(content))  # noqa: S301 - from our own parent or child
    unpickler.persistent_load = apart.__getitem__  # type: ignore[method-assign]
    return unpickler.load()


class _Child(subprocess.Popen[bytes]):
    """The process of a worker, with the folder of its temporary files."""

    folder: TemporaryFolder


@dataclass
class Worker:
    """A child process that calls functions by name.

    Args:
        preload: modules the child imports, or `module:function`s it calls, as soon as it starts.
        later: modules it imports behind its first answer, for calls that come then.
    """

    preload: Sequence[str] = ()
    later: Sequence[str] = ()
    _process: _Child | None = field(default=None, init=False, repr=False)
    _limit: _Limit | None = field(default=None, init=False, repr=False)
    _begun: tuple[tuple[Any, ...], Future[Any]] | None = field(default=None, init=False, repr=False)
    _answers: int = field(default=-1, init=False, repr=False)
    _stderr: int = field(default=-1, init=False, repr=False)
    _inside: str = field(default="", init=False, repr=False)

    def start(self) -> Self:
        """Start the child now, so that its imports run while the caller does something else."""
        if self._process is None:
            read, write = os.pipe()
            with tempfile.TemporaryFile() as file:
                self._stderr = os.dup(file.fileno())
            folder = TemporaryFolder()
            # -P keeps the current folder off sys.path: a user's own `onnx/` folder must not be imported.
            arguments = str(write), str(os.getpid()), " ".join(self.later), *self.preload
            command = [sys.executable, "-P", "-m", "convert.isolation", *arguments]
            self._process = _Child(
                command,
                stdin=subprocess.PIPE,
                stdout=self._stderr,
                stderr=self._stderr,
                pass_fds=(write,),
                # the same import path for `convert`; quiet libraries
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
                    "TF_CPP_MIN_LOG_LEVEL": "3",
                    "CUDA_VISIBLE_DEVICES": "-1",
                    "TMPDIR": str(folder.path),
                },
                start_new_session=True,
            )
            self._process.folder = folder
            os.close(write)
            self._answers = read
        return self

    def call(
        self, function: str, *arguments: Any, timeout: float, memory: int | None = None, told: Listener | None = None
    ) -> Any:
        """Call `function` ("package.module:name") with picklable arguments; at most `timeout` seconds.

        Args:
            memory: bytes that the child and its own children may hold at a time.
            told: is given what the function says with `tell`.

        Raises:
            Died: the child crashed, ran too long or held too much.
            Failed: the function raised an unexpected exception.
            ConvertError: the function raised one; it is raised here again.
        """
        if self._begun is not None:
            request, future = self._begun
            future.exception()  # waits: the child does one thing at a time; interrupted here, `close` ends it
            self._begun = None
            if request == (function, *arguments):
                return future.result()
        return self._call(function, *arguments, timeout=timeout, memory=memory, told=told)

    def begin(self, function: str, *arguments: Any, timeout: float, told: Listener | None = None) -> None:
        """Start a call while the caller does something else. `call` with the same arguments takes its result or error.

        The result of a call that nobody takes is lost, and its error, too. `told` is called in another thread. One that
        was begun before and not taken is ended.
        """
        from concurrent.futures import ThreadPoolExecutor  # few runs need it

        if self._begun is not None:
            self.close()
        self.start()  # in this thread, as the child ends with the one that started it
        thread = ThreadPoolExecutor(1)
        future = thread.submit(self._call, function, *arguments, timeout=timeout, told=told)
        thread.shutdown(wait=False)
        self._begun = (function, *arguments), future

    def apply(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call `function`, an object; what it calls by an `InProcessWorker` has the time that is given there.

        Raises:
            Died, Failed, ConvertError: as `call`; of the first, `function` is what was called there.
        """
        return self.call(_APPLY, function, *arguments, timeout=math.inf, told=self.limit)

    def _call(
        self, function: str, *arguments: Any, timeout: float, memory: int | None = None, told: Listener | None = None
    ) -> Any:
        self.start()
        process = self._process
        assert process is not None
        self._limit = limit = _Limit(process.pid, timeout, memory)
        self._inside = ""
        request = _packed((function, arguments))
        try:
            for part in request:
                self._write(part, limit)
            del request, part  # a model may be hundreds of megabytes
            kind = "told"
            while kind == "told":
                kind, value = _unpacked(partial(self._read, limit=limit))
                if kind == "told" and told is not None:
                    told(value)
        except BrokenPipeError:
            raise self._dead() from None
        except (KeyboardInterrupt, Died):
            self._end()
            raise
        finally:
            self._limit = None
        return _result(kind, value)

    def within(self, seconds: float) -> None:
        """From `told`: what the function does next may take so long; infinity takes the limit off again."""
        assert self._limit is not None, "no call is going on"
        self._limit.allow(seconds)

    def limit(self, message: CallStarted | CallEnded) -> None:
        """`told` of a function that calls others by an `InProcessWorker`: each has the time that is given there."""
        begun = message if isinstance(message, CallStarted) else None
        self._inside = begun.function if begun else ""
        self.within(begun.seconds if begun else math.inf)

    def kill(self) -> None:
        """End the child at once, from any thread: a call that is going on in another one ends in `Died`."""
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the child at once."""
        begun, self._begun = self._begun, None
        if begun is not None:
            self.kill()
            begun[1].exception()  # its thread reads what is closed below
        self._end()

    def _end(self) -> None:
        """End the child; also in the thread of a call that was begun, which `close` waits for."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        process.wait()
        os.close(self._answers)
        os.close(self._stderr)
        process.folder.remove()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, data: bytes, limit: _Limit) -> None:
        """A child that hangs before it reads must not block the parent, so the pipe is written to as it drains."""
        assert self._process is not None
        assert self._process.stdin is not None
        pipe = self._process.stdin.fileno()
        os.set_blocking(pipe, False)
        view = memoryview(data)
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_WRITE)
            while view:
                if broken := limit.wait(selector):  # an answer that comes too late is too late
                    raise self._died(broken)
                view = view[os.write(pipe, view[: 1 << 20]) :]

    def _read(self, length: int, limit: _Limit) -> bytes:
        data = io.BytesIO()  # gives what was written without a copy
        data.seek(length - 1)
        data.write(b"\0")  # the end first: it grows once
        data.seek(0)
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while left := length - data.tell():
                if broken := limit.wait(selector):  # an answer that comes too late is too late
                    raise self._died(broken)
                if not data.write(os.read(self._answers, min(left, 1 << 20))):
                    raise self._dead()
        return data.getvalue()

    def _dead(self) -> Died:
        assert self._process is not None
        status = self._process.wait()
        reason = f"killed by {signal_name(-status)}" if status < 0 else f"exited with status {status}"
        died = self._died(reason)
        self._end()
        return died

    def _died(self, reason: str) -> Died:
        size = os.fstat(self._stderr).st_size
        tail = os.pread(self._stderr, _TAIL, max(0, size - _TAIL)).decode("utf-8", "replace")
        return Died(reason, tail, self._inside)


@dataclass(frozen=True, slots=True)
class CallStarted:
    """Told by an `InProcessWorker`: a function that may crash or hang begins; it may take `seconds`."""

    function: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CallEnded:
    """Told by an `InProcessWorker`: that function has ended."""


class InProcessWorker(Worker):
    """A `Worker` without a process: calls run in this one, which reports them to its parent.

    For functions that run in a worker already: nothing is imported twice, and no model is copied through a pipe. The
    parent gets a message before each call, and so knows what crashed.
    """

    def start(self) -> Self:
        """Does nothing: there is no process."""
        return self

    def call(self, function: str, *arguments: Any, timeout: float, **_: Any) -> Any:
        """As `Worker.call`; the parent enforces the limits, and gets messages at once."""
        tell(CallStarted(function, timeout))
        kind, value = answer(function, arguments)
        tell(CallEnded())
        return _result(kind, value)

    def begin(self, function: str, *arguments: Any, timeout: float, told: Listener | None = None) -> None:
        """Does nothing: there is no second process to do it in."""

    def kill(self) -> None:
        """Does nothing: there is no process."""

    def close(self) -> None:
        """Does nothing: there is no process."""


# A service manager's SIGTERM goes to all processes of a service.
_REMOVER = """trap '' HUP INT TERM; read -r line; exec rm -rf -- "$0" """


class TemporaryFolder:
    """A folder for temporary files, in `parent` or where all are, that does not outlive this process, not even killed.

    A shell waits for the end of its standard input, which comes when this process is gone, and removes the folder.
    """

    def __init__(self, parent: str | None = None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="ei-deepstream-", dir=parent))
        self._remover: subprocess.Popen[bytes] | None = None
        with contextlib.suppress(OSError):  # no shell: then `remove` alone has to do
            self._remover = subprocess.Popen(  # noqa: S603 - a constant and a folder of ours
                ["/bin/sh", "-c", _REMOVER, str(self.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # nobody who reads our output may wait for the shell
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )

    def remove(self) -> None:
        """Remove it, and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._remover is not None:
            self._remover.kill()
            self._remover.communicate()  # closes the pipe, and waits

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.remove()


def aside(data: bytes) -> bytes | BinaryIO:
    """A large model in a file that goes with it: memory is for what runs it. As it is, where there is no room."""
    if len(data) > LARGE:
        with contextlib.suppress(OSError):
            file = tempfile.TemporaryFile()  # noqa: SIM115 - it stays open
            file.write(data)
            file.flush()
            return file
    return data


def return_freed_memory() -> None:
    """Give back to the system what glibc keeps of freed memory: of a session of a large model all its weights."""
    import ctypes  # few runs need it

    with contextlib.suppress(AttributeError, OSError):  # other C libraries
        ctypes.CDLL(None).malloc_trim(0)


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for what is asked for next: memory that the system gives anew is cleared first.

    For commands that need as much for picture after picture. The thresholds are those of mallopt(3), as malloc.h
    numbers them: what is larger is not kept, and how much is kept at the end of the heap.
    """
    import ctypes  # few runs need it

    with contextlib.suppress(AttributeError, OSError):  # other C libraries
        for threshold, size in ((-3, 2**25), (-1, 2**28)):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
            ctypes.CDLL(None).mallopt(threshold, size)


@dataclass
class _Limit:
    """What a call may take: seconds, and bytes of `pid` and its children."""

    pid: int
    seconds: float
    memory: int | None
    _start: float = field(default_factory=time.monotonic, init=False)
    _inner: tuple[float, float] = field(default=(math.inf, math.inf), init=False)

    def allow(self, seconds: float) -> None:
        """From now on so long, besides the limit of the whole call."""
        self._inner = (seconds, time.monotonic() + seconds)

    def wait(self, selector: selectors.BaseSelector) -> str:
        """Wait until a file is ready. Returns which limit is over, in words; empty when none is."""
        deadlines = ((self.seconds, self._start + self.seconds), self._inner)
        ready = False
        while not ready:
            left = max(0.0, min(deadline for _, deadline in deadlines) - time.monotonic())
            if self.memory is not None:
                left = min(left, _MEMORY_INTERVAL)
            ready = bool(selector.select(left if math.isfinite(left) else None))
            now = time.monotonic()
            for seconds, deadline in deadlines:
                if now >= deadline:
                    return f"ran longer than {seconds:g} s"
            if self.memory is not None and _resident(self.pid) > self.memory:
                return f"used more than {self.memory / (1 << 20):.0f} MiB"
        return ""


def _resident(root: int) -> int:
    """Bytes of memory that `root` and its descendants hold, as far as they still run (proc(5), statm and children)."""
    total, todo = 0, [root]
    while todo:
        pid = todo.pop()
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
            todo += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except (OSError, ValueError, IndexError):
            continue
    return total


_PAGE = os.sysconf("SC_PAGE_SIZE")


_parent: int | None = None
"""In the child: the pipe to the parent. This file is the child's `__main__`; functions import it once more, as
`convert.isolation`, so that is where it is set."""


before_call: Callable[[str, tuple[Any, ...]], None] | None = None
"""For tests, which set it in a preloaded module: in the child it is called with the name and the arguments of each
function that is about to be called."""


def signal_name(number: int) -> str:
    """Its name, or "signal 40": most real-time signals have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def tell(value: Any) -> None:
    """In the child, from the function that was called: give `value` to `told` of the caller. Elsewhere: nothing."""
    if _parent is not None:
        _send(_parent, ("told", value))


def _send(pipe: int, answer: tuple[str, object]) -> None:
    for part in _packed(answer):
        view = memoryview(part)
        while view:
            view = view[os.write(pipe, view) :]


def _serve(answers: int, parent: int, later: str, preload: Sequence[str]) -> None:
    """The child: answer requests until standard input ends. `later`: with spaces between."""
    # The child has a session of its own, but service managers send SIGTERM to all processes of a service.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _die_with_parent(parent)
    gc.set_threshold(OBJECTS)
    requests = sys.stdin.buffer
    import convert.isolation as imported  # noqa: PLW0406 - this file once more, see `_parent`

    imported._parent = answers  # noqa: SLF001
    for name in preload:
        module, _, function = name.partition(":")
        imported_module = importlib.import_module(module)
        if function:
            getattr(imported_module, function)()
    with contextlib.suppress(EOFError):  # the parent is done
        while True:
            function, arguments = _unpacked(requests.read)
            imported._send(answers, imported.answer(function, arguments))  # noqa: SLF001
            del arguments  # a model, while the next request with one is read
            for name in later.split():
                importlib.import_module(name)


def _apply(function: Callable[..., Any], *arguments: Any) -> Any:
    """In the child: what `Worker.apply` calls by name."""
    return function(*arguments)


_APPLY = "convert.isolation:_apply"


def answer(function: str, arguments: tuple[Any, ...]) -> tuple[str, Any]:
    """("result", value), ("error", how to rebuild a ConvertError) or ("failed", (message, traceback)) of `function`,
    called here."""
    try:
        if before_call is not None:
            before_call(function, arguments)
        module, _, name = function.partition(":")
        return "result", getattr(importlib.import_module(module), name)(*arguments)
    except errors.ConvertError as error:
        # Not the error itself: tblib, which TensorFlow brings, pickles exceptions with their causes, of classes that
        # the parent may not have.
        return "error", error.__reduce__()
    except Exception as error:  # noqa: BLE001 - reported to the parent, which decides
        return "failed", (f"{type(error).__name__}: {error}", traceback.format_exc())


def _result(kind: str, value: Any) -> Any:
    """What `answer` gave as `kind` and `value`: returned, or raised."""
    if kind == "result":
        return value
    if kind == "error":
        rebuild, parts = value
        raise rebuild(*parts)
    raise Failed(*value)


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies, even by SIGKILL (prctl(2), PR_SET_PDEATHSIG = 1).

    The kernel means the parent's *thread*: `Worker.start` must be called from one that lives as long as the worker.
    """
    if sys.platform == "linux":
        import ctypes  # only the child needs it

        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we could ask
        os._exit(1)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
