"""Talks to an .eim, over a socket or its standard input, and never waits for ever.

Everything has a limit: the start, each answer, the end. A program that dies is reported with how and with the last
it printed. Features go through shared memory where the program offers it.

The bytes between us and a running .eim: a socket or two pipes, with the program behind them when we started it.

Reading and writing wait at most until a deadline. What the program prints is kept, and shown when it dies.

Stands between a client and an .eim, passes every byte on, and says what was said, with timings.

The bytes go through as they come, before anything looks at them, so that both sides behave as they do without us.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from convert.eim.server import listening, signals_end
from convert.eim.wire import FOLDER, AnswerReader, Broken, RequestReader, TooLong, attach, connected
from convert.errors import InputError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from mmap import mmap

    import numpy as np
    from numpy.typing import NDArray


__all__ = [
    "AnswerTimeout",
    "Client",
    "Event",
    "Limits",
    "Model",
    "Refused",
    "Reply",
    "Transport",
    "TransportClosed",
    "opened",
    "proxy",
    "shortened",
    "talk",
]


_CHUNK = 1 << 16
_TAIL = 2000  # bytes of what a dead program printed
_POLL = 0.01  # seconds between two looks for the socket
_GRACE = 3.0  # seconds a program gets to end, as the official Node.js client gives it
_FOLDER_LIMIT = 80  # a socket's path has 107 bytes, and foreign programs do not check it


class AnswerTimeout(Exception):
    """The deadline passed."""


class TransportClosed(Exception):
    """The other side is gone; the text completes "the .eim ..."."""


class Transport:
    """Two descriptors, which may be one, and the child behind them or None; `reading` can be polled."""

    def __init__(self, reading: int, writing: int, child: Child | None) -> None:
        self.reading = reading
        self._writing = writing
        self._child = child
        for descriptor in (reading, writing):
            os.set_blocking(descriptor, False)

    def send(self, data: bytes, deadline: float) -> None:
        """Write all of `data`.

        Raises:
            Late, Closed: it could not be.
        """
        view = memoryview(data)
        while view:
            self._wait([], [self._writing], deadline)
            try:
                view = view[os.write(self._writing, view[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self._gone() from None

    def receive(self, deadline: float) -> bytes:
        """At least one byte.

        Raises:
            Late, Closed: there is none.
        """
        while True:
            self._wait([self.reading], [], deadline)
            try:
                data = os.read(self.reading, _CHUNK)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                raise self._gone()
            return data

    def remember(self, memory: str) -> None:
        """The shared memory a program has made, to be removed if it has to be killed."""
        if self._child is not None:
            self._child.memory = memory

    def _wait(self, reading: list[int], writing: list[int], deadline: float) -> None:
        poll = select.poll()
        for descriptor in reading:
            poll.register(descriptor, select.POLLIN)
        for descriptor in writing:
            poll.register(descriptor, select.POLLOUT)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise AnswerTimeout

    def _gone(self) -> TransportClosed:
        return TransportClosed("closed the connection" if self._child is None else self._child.died())


class Child:
    """A program we started; `printed` collects what it prints where that is not the conversation."""

    def __init__(self, process: subprocess.Popen[bytes], printed: IO[bytes]) -> None:
        self.process = process
        self.memory = ""
        self._printed = printed

    def died(self) -> str:
        """How it ended and what it said, as the rest of "the .eim ..."."""
        try:
            status = self.process.wait(1)
        except subprocess.TimeoutExpired:
            return f"closed the connection and still runs{self._said()}"
        if status < 0:
            return f"was killed by {signal.Signals(-status).name}{self._said()}"
        return f"ended with status {status}{self._said()}"

    def end(self) -> None:
        """Wait for it to go by itself, then ask it to, then make it."""
        for number in (None, signal.SIGINT, signal.SIGKILL):
            if number is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_GRACE if number else _GRACE / 10)
                break
        else:
            self.process.wait()
        if self.process.returncode == -signal.SIGKILL and self.memory.rfind("/") == 0:
            (FOLDER / self.memory.removeprefix("/")).unlink(missing_ok=True)

    def _said(self) -> str:
        size = os.fstat(self._printed.fileno()).st_size
        text = os.pread(self._printed.fileno(), _TAIL, max(0, size - _TAIL)).decode("utf-8", "replace").strip()
        return f"; it printed: {text}" if text else ""


@contextlib.contextmanager
def opened(target: Path, seconds: float, *, stdio: bool = False) -> Iterator[Transport]:
    """A link to the socket or the started executable at `target`.

    Raises:
        InputError: it cannot be started, or does not listen within `seconds`.
    """
    deadline = time.monotonic() + seconds
    if _is_socket(target):
        if stdio:
            raise InputError("a running .eim has no standard input left", path=target, hint="leave --stdin out")
        try:
            connection = connected(target, seconds)
        except OSError as error:
            raise InputError(
                f"nobody answers on this socket: {error.strerror or error}", path=target,
                hint="start the .eim with this socket first; a second client finds no place",
            ) from error  # fmt: skip
        with connection:
            yield Transport(connection.fileno(), connection.fileno(), None)
        return
    with tempfile.TemporaryFile() as printed:
        if stdio:
            with _started(target, ["stdin"], printed, pipes=True) as child:
                assert child.process.stdin
                assert child.process.stdout
                yield Transport(child.process.stdout.fileno(), child.process.stdin.fileno(), child)
            return
        with _folder() as folder:
            address = folder / "s"
            with _started(target, [str(address)], printed) as child, _reached(address, child, target, deadline) as link:
                yield link


@contextlib.contextmanager
def _reached(address: Path, child: Child, target: Path, deadline: float) -> Iterator[Transport]:
    """A connection to the child as soon as it listens."""
    while True:
        if child.process.poll() is not None:
            raise InputError(f"the .eim {child.died()}", path=target, hint="`ei-deepstream eim inspect` may say why")
        try:
            connection = connected(address, max(_POLL, deadline - time.monotonic()))
            break
        except OSError:  # not there yet, or there and not yet listening
            if time.monotonic() >= deadline:
                raise InputError(
                    "the .eim does not listen in time", path=target, hint="allow more with --timeout"
                ) from None
            time.sleep(_POLL)
    with connection:
        yield Transport(connection.fileno(), connection.fileno(), child)


@contextlib.contextmanager
def _started(target: Path, arguments: list[str], printed: IO[bytes], *, pipes: bool = False) -> Iterator[Child]:
    try:
        process = subprocess.Popen(  # noqa: S603 - the user asked to run this file
            [str(target.absolute()), *arguments],
            stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipes else printed,
            stderr=printed,
            bufsize=0,
            start_new_session=True,
        )
    except OSError as error:
        raise InputError(
            f"cannot be started: {error.strerror or error}", path=target, hint="`ei-deepstream eim inspect` says why"
        ) from error
    child = Child(process, printed)
    try:
        yield child
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        child.end()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A private folder with a short path."""
    place = None if len(os.fsencode(tempfile.gettempdir())) < _FOLDER_LIMIT else "/tmp"  # noqa: S108
    with tempfile.TemporaryDirectory(prefix="eim-", dir=place) as folder:
        yield Path(folder)


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", path=path, hint="give an .eim file or a socket"
        ) from error


class Refused(InputError):
    """The program answered with an error; the conversation can go on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: until the program listens, until each answer."""

    start: float = 30.0
    answer: float = 60.0


@dataclass(frozen=True, slots=True)
class Model:
    """What a hello answer says, as far as pictures go.

    Attributes:
        features: numbers in one classify.
        slice: numbers in one classify_continuous, 0 when it does not say.
        labels: in order.
        width, height, channels: 0 for what is no picture model.
        resize_mode: "squash", ...; None from programs older than the field.
        kind: "classification", "object_detection", "constrained_object_detection", ...
        thresholds: id -> what can be set, as it says them.
        raw: the whole answer.
    """

    features: int
    slice: int
    labels: tuple[str, ...]
    width: int
    height: int
    channels: int
    resize_mode: str | None
    kind: str
    thresholds: tuple[dict[str, Any], ...]
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to classify: result and timing as they came, and seconds from sending to having it."""

    result: dict[str, Any]
    timing: dict[str, Any]
    seconds: float


@contextlib.contextmanager
def talk(target: Path, *, stdio: bool = False, shared: bool = True, limits: Limits | None = None) -> Iterator[Client]:
    """Start the file, or connect to the socket, at `target`; say hello; end it all afterwards.

    Args:
        target: an executable, or the socket of one that runs.
        stdio: start it with its standard input instead of a socket.
        shared: use shared memory where it is offered.
        limits: see `Limits`.

    Raises:
        InputError: it does not start, listen, answer, or answers nonsense.
    """
    limits = limits or Limits()
    with opened(target, limits.start, stdio=stdio) as link:
        client = Client(link, target, limits, shared=shared)
        try:
            yield client
        finally:
            client.close()


class Client:
    """A conversation that has begun: `model` is what the program said of itself.

    Raises:
        InputError: see `talk`.
    """

    def __init__(self, link: Transport, target: Path, limits: Limits, *, shared: bool = True) -> None:
        self._link = link
        self._target = target
        self._limits = limits
        self._reader = AnswerReader()
        self._waiting: list[dict[str, Any]] = []
        self._number = 0
        self._memory: mmap | None = None
        # The first answer may have to wait for a model that is still being loaded.
        self.model = _model(self._ask({"hello": 1}, limits.start + limits.answer)[0], target)
        if shared and isinstance(offered := self.model.raw.get("features_shm"), dict):
            link.remember(str(offered.get("name", "")))
            self._memory = attach(offered)

    @property
    def shares(self) -> bool:
        """Whether features go through shared memory."""
        return self._memory is not None

    def classify(self, features: NDArray[np.float32]) -> Reply:
        """Send all features of one picture or window.

        Raises:
            Refused: the program answers with an error.
            InputError: it does not answer.
        """
        return self._classify("classify", features)

    def classify_slice(self, features: NDArray[np.float32]) -> Reply:
        """Send the next slice of a continuous classification; raises as `classify` does."""
        return self._classify("classify_continuous", features)

    def set_threshold(self, block: int, key: str, value: float) -> None:
        """Change a learn block's threshold; raises as `classify` does."""
        self._ask({"set_threshold": {"id": block, key: value}}, self._limits.answer)

    def close(self) -> None:
        """Let go of the memory; the link is the caller's."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _classify(self, command: str, features: NDArray[np.float32]) -> Reply:
        import numpy as np  # `eim inspect` does without

        data = np.ascontiguousarray(features, np.float32)
        if self._memory is not None and data.nbytes <= len(self._memory):
            self._memory[: data.nbytes] = data.tobytes()
            message: dict[str, Any] = {f"{command}_shm": {"elements": data.size}}
        else:
            whole = bool((data == np.trunc(data)).all()) and bool((np.abs(data) < 1 << 31).all())
            message = {command: (data.astype(np.int64) if whole else data.astype(np.float64)).tolist()}
        answer, seconds = self._ask(message, self._limits.answer)
        result, timing = answer.get("result"), answer.get("timing")
        if not isinstance(result, dict):
            raise self._nonsense("its answer holds no result")
        return Reply(result, timing if isinstance(timing, dict) else {}, seconds)

    def _ask(self, message: dict[str, Any], seconds: float) -> tuple[dict[str, Any], float]:
        """One question and its answer, which is a success, and how long it took."""
        self._number += 1
        data = json.dumps(message | {"id": self._number}, separators=(",", ":")).encode() + b"\n"
        start = time.monotonic()
        try:
            self._link.send(data, start + seconds)
            answer = self._next(start + seconds)
        except AnswerTimeout:
            raise InputError(
                f"no answer to {next(iter(message))} within {seconds:g} s", path=self._target,
                hint="allow more with --timeout; `eim proxy` shows what is said",
            ) from None  # fmt: skip
        except TransportClosed as error:
            raise InputError(f"the .eim {error}", path=self._target, hint="`eim inspect` may say why") from None
        except Broken as error:
            raise self._nonsense(str(error)) from error
        if answer.get("id", self._number) != self._number:
            raise self._nonsense(f"the answer to message {self._number} has the id {answer.get('id')!r}")
        if answer.get("success") is not True:
            reason = answer.get("error")
            raise Refused(
                f"the .eim answers: {reason if isinstance(reason, str) else 'no success, and no reason'}",
                path=self._target, hint="see the model's parameters with `eim inspect --hello`",
            )  # fmt: skip
        return answer, time.monotonic() - start

    def _next(self, deadline: float) -> dict[str, Any]:
        while not self._waiting:
            self._waiting = self._reader.feed(self._link.receive(deadline))
        return self._waiting.pop(0)

    def _nonsense(self, what: str) -> InputError:
        return InputError(
            what, path=self._target, hint="this is no .eim, or a damaged one; `eim proxy` shows the bytes"
        )


def _model(answer: dict[str, Any], target: Path) -> Model:
    parameters = answer.get("model_parameters")
    if not isinstance(parameters, dict):
        raise InputError("the hello answer holds no model_parameters", path=target, hint="is this an .eim?")

    def number(name: str) -> int:
        value = parameters.get(name, 0)
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0

    labels = parameters.get("labels")
    thresholds = parameters.get("thresholds")
    mode, kind = parameters.get("image_resize_mode"), parameters.get("model_type")
    return Model(
        features=number("input_features_count"),
        slice=number("slice_size"),
        labels=tuple(map(str, labels)) if isinstance(labels, list) else (),
        width=number("image_input_width"),
        height=number("image_input_height"),
        channels=number("image_channel_count"),
        resize_mode=mode if isinstance(mode, str) else None,
        kind=kind if isinstance(kind, str) else "classification",  # as the Node.js client assumes
        thresholds=tuple(t for t in thresholds if isinstance(t, dict)) if isinstance(thresholds, list) else (),
        raw=answer,
    )


_SHOWN = 8  # values of a long list
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that passed.

    Attributes:
        seconds: since the client connected.
        origin: "client" or "eim".
        kind: "message" (whole and JSON), "bytes" (what is neither), "end".
        content: the message, shortened; or the bytes as text.
        size: bytes.
        took: of an answer, seconds since its question was passed on whole.
    """

    seconds: float
    origin: str
    kind: str
    content: Any
    size: int
    took: float | None = None


def proxy(path: Path, target: Path, tell: Callable[[Event], None], *, start: float = 30.0) -> int:
    """Serve one client at the socket `path` from `target`; the exit code.

    Args:
        path: socket to make.
        target: an executable to start, or the socket of one that runs.
        tell: gets every event.
        start: seconds until the .eim must listen.

    Raises:
        OutputError: the socket cannot be made.
        InputError: the .eim cannot be started.
    """
    with signals_end() as signals, listening(path) as listener, opened(target, start) as link:
        signals.arm()
        client, _ = listener.accept()
        listener.close()
        with client:
            _Passing(client, link, tell).run()
        signals.disarm()
    return signals.code


class _Passing:
    """One conversation."""

    def __init__(self, client: socket.socket, link: Transport, tell: Callable[[Event], None]) -> None:
        self._client = client
        self._link = link
        self._tell = tell
        self._requests: RequestReader | None = RequestReader()
        self._answers: AnswerReader | None = AnswerReader()
        self._asked: dict[Any, float] = {}
        self._start = time.monotonic()

    def run(self) -> None:
        """Until one side ends."""
        poll = select.poll()
        for descriptor in (self._client.fileno(), self._link.reading):
            poll.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                ended = self._from_client() if descriptor == self._client.fileno() else self._from_eim()
                if ended:
                    return

    def _from_client(self) -> bool:
        data = b""
        with contextlib.suppress(ConnectionError):
            data = self._client.recv(_CHUNK)
        if not data:
            self._say("client", "end", "the client closed the connection", 0)
            return True
        try:
            self._link.send(data, time.monotonic() + _SECONDS)
        except (TransportClosed, AnswerTimeout) as error:
            self._say("eim", "end", f"the .eim {error}", 0)
            return True
        self._show_requests(data)
        return False

    def _from_eim(self) -> bool:
        try:
            data = self._link.receive(time.monotonic() + _SECONDS)
        except (TransportClosed, AnswerTimeout) as error:
            self._say("eim", "end", f"the .eim {error}", 0)
            return True
        try:
            self._client.sendall(data)
        except ConnectionError:
            self._say("client", "end", "the client closed the connection", 0)
            return True
        self._show_answers(data)
        return False

    def _show_requests(self, data: bytes) -> None:
        try:
            messages = self._requests.feed(data) if self._requests else []
        except TooLong:
            self._requests = None
            self._say("client", "bytes", "more than 32 MiB without a whole message; the rest is not shown", len(data))
            return
        for message in messages:
            try:
                content = json.loads(message)
            except (ValueError, RecursionError):
                self._say("client", "bytes", message[:200].decode("utf-8", "backslashreplace"), len(message))
                continue
            if isinstance(content, dict) and isinstance(content.get("id"), int):
                self._asked[content["id"]] = time.monotonic()
            self._say("client", "message", shortened(content), len(message))

    def _show_answers(self, data: bytes) -> None:
        try:
            answers = self._answers.feed(data) if self._answers else []
        except Broken as error:
            self._answers = None
            self._say("eim", "bytes", f"{error}; the rest is not shown", len(data))
            return
        for answer in answers:
            number = answer.get("id")
            asked = self._asked.pop(number, None) if isinstance(number, int) else None
            took = None if asked is None else time.monotonic() - asked
            self._say("eim", "message", shortened(answer), len(data), took)

    def _say(self, origin: str, kind: str, content: Any, size: int, took: float | None = None) -> None:
        self._tell(Event(time.monotonic() - self._start, origin, kind, content, size, took))


def shortened(value: Any) -> Any:
    """`value` with long plain lists cut: `[1, 2, ..., "... 9216 values"]`."""
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        if len(value) > _SHOWN and not any(isinstance(item, dict | list) for item in value):
            return [*value[:_SHOWN], f"... {len(value)} values"]
        return [shortened(item) for item in value]
    return value
