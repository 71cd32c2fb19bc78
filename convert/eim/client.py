"""Talks to an .eim, over a socket or its standard input, and shows what another client and an .eim exchange (`proxy`).

Everything has a time limit: the start, each answer, the end. A program that ends is reported with its status and the
last it printed. Features go through shared memory where the program offers it. A proxy passes bytes on before it parses
them, so that both sides behave as they do without it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import shlex
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from convert.dsp import Impulse
from convert.eim.server import listening, signals_end
from convert.eim.wire import FOLDER, LIMIT, AnswerReader, Broken, RequestReader, TooLong, attach, connected, shown
from convert.errors import InputError
from convert.files import signals_wait
from convert.images import ResizeMode
from convert.isolation import TemporaryFolder, signal_name

if TYPE_CHECKING:
    import socket
    from mmap import mmap

    import numpy as np
    from numpy.typing import NDArray

    _T = TypeVar("_T")

_CHUNK = 1 << 16
_PRINTED = 2000  # bytes of the output of a program that ended
_POLL = 0.01  # seconds between two attempts to connect
_GRACE = 3.0  # seconds a program gets to end, as the official Node.js client gives it
_FOLDER_LIMIT = 80  # a socket's path has 107 bytes, and foreign programs do not check it


def _is_served(target: Path) -> bool:
    """Whether it is a socket, or was one: that of a server which had its only client."""
    return target.is_socket() or not target.exists()


def _command(target: Path, *words: str) -> str:
    """A command about the target, as it can be typed, for a hint."""
    name = str(target)
    typed = shlex.join(["ei-deepstream", "eim", *words, f"./{name}" if name.startswith("-") else name])
    return f"while an .eim serves this socket, `{typed}`" if _is_served(target) else f"`{typed}`"


def _messages(target: Path) -> str:
    watched = f"/tmp/{target.stem}-watch.sock"  # noqa: S108 - a proxy's, in any folder that can be written to
    return f"{_command(target, 'proxy', watched)} shows the messages of a client of {shlex.quote(watched)}"


def parameters_hint(target: Path) -> str:
    """How to see what can be sent."""
    return f"{_command(target, 'inspect', '--hello')} shows the model's parameters"


def _why(target: Path) -> str:
    if _is_served(target):
        return "what it printed where it was started may say why"
    return f"what it printed may say why; {_command(target, 'inspect')} says what it needs"


class AnswerTimeout(Exception):
    """The deadline passed."""


class TransportClosed(Exception):
    """The .eim closed the connection or ended; the text completes "the .eim ..."."""


class Transport:
    """Sends and receives bytes through two descriptors, which may be the same; `child` is the program we started."""

    def __init__(self, reading: int, writing: int, child: Child | None) -> None:
        self.reading = reading
        self._writing = writing
        self._child = child
        for descriptor in (reading, writing):
            os.set_blocking(descriptor, False)

    def send(self, data: bytes, deadline: float) -> None:
        """Write all of `data`.

        Raises:
            AnswerTimeout, TransportClosed: not all could be written.
        """
        view = memoryview(data)
        while view:
            _wait(self._writing, select.POLLOUT, deadline)
            try:
                view = view[os.write(self._writing, view[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self._gone() from None

    def receive(self, deadline: float) -> bytes:
        """At least one byte.

        Raises:
            AnswerTimeout, TransportClosed: there is none.
        """
        while True:
            _wait(self.reading, select.POLLIN, deadline)
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

    def _gone(self) -> TransportClosed:
        return TransportClosed("closed the connection" if self._child is None else self._child.died())


def _wait(descriptor: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise AnswerTimeout


class Child(subprocess.Popen[bytes]):
    """A program we started; `printed` is a file with what it prints beside its answers."""

    printed: IO[bytes]
    memory = ""

    def ended(self, seconds: float = 0) -> str:
        """How it ended within `seconds`; empty: it runs. It stays a zombie, so that no other gets its number."""
        deadline = time.monotonic() + seconds
        try:
            while not (end := os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)):
                if time.monotonic() >= deadline:
                    return ""
                time.sleep(_POLL)
        except ChildProcessError:  # there are no zombies where SIGCHLD is ignored
            return "ended"
        killed = end.si_code != os.CLD_EXITED
        return f"was killed by {signal_name(end.si_status)}" if killed else f"ended with status {end.si_status}"

    def died(self) -> str:
        """How it ended and what it printed; completes "the .eim ..."."""
        how = self.ended(1) or "closed the connection and still runs"
        file = self.printed.fileno()
        text = os.pread(file, _PRINTED, max(0, os.fstat(file).st_size - _PRINTED)).decode("utf-8", "replace").strip()
        return f"{how}; it printed: {text}" if text else how

    def end(self) -> None:
        """Close its standard input; wait for its end, then interrupt it, then kill it, and what it has started.

        What cannot be ended is said on standard error: a program of another user, or one that waits in the kernel.
        """
        for pipe in (self.stdin, self.stdout):
            if pipe:
                pipe.close()
        killed = False
        for number, seconds in (0, _GRACE / 10), (signal.SIGINT, _GRACE), (signal.SIGKILL, _GRACE):  # 0 is no signal
            deadline = time.monotonic() + seconds
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
                killed = number == signal.SIGKILL
            while (running := self._running()) and time.monotonic() < deadline:
                time.sleep(_POLL)
            if not running:
                break
        else:
            with contextlib.suppress(OSError):
                sys.stderr.write(f"warning: process {running} still runs: it could not be ended\n")
        killed |= self.poll() == -signal.SIGKILL  # from here on its number may be another's
        if killed and self.memory.rfind("/") == 0:
            with contextlib.suppress(OSError, ValueError):  # gone, or no name of a file
                (FOLDER / self.memory.removeprefix("/")).unlink()

    def _running(self) -> int:
        """Number of a process that runs: the program, or one of its group, which has what it started; 0: none."""
        if not self.ended():
            return self.pid
        for process in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError):  # it has ended meanwhile
                state, _, group, *_ = process.read_bytes().rpartition(b")")[2].split()  # proc(5)
                if int(group) == self.pid and state not in {b"Z", b"X"}:
                    return int(process.parent.name)
        return 0


@contextlib.contextmanager
def opened(target: Path, seconds: float, *, stdio: bool = False) -> Iterator[Transport]:
    """A transport to the socket at `target`, or to the executable there, which is started.

    Raises:
        InputError: it cannot be started, or does not listen within `seconds`.
    """
    deadline = time.monotonic() + seconds
    try:
        is_socket = stat.S_ISSOCK(target.stat().st_mode)
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", path=target, hint="give an .eim file or a socket"
        ) from error
    if is_socket:
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
                assert child.stdin
                assert child.stdout
                yield Transport(child.stdout.fileno(), child.stdin.fileno(), child)
            return
        place = None if len(os.fsencode(tempfile.gettempdir())) < _FOLDER_LIMIT else "/tmp"  # noqa: S108
        with signals_wait():
            made = TemporaryFolder(place)
        with made as folder:
            address = folder / "s"
            with (
                _started(target, [str(address)], printed) as child,
                _connected(address, child, target, deadline) as connection,
            ):
                yield Transport(connection.fileno(), connection.fileno(), child)


def _connected(address: Path, child: Child, target: Path, deadline: float) -> socket.socket:
    """A connection to the child as soon as it listens."""
    while True:
        if child.ended():
            raise InputError(f"the .eim {child.died()}", path=target, hint=_why(target))
        try:
            return connected(address, max(_POLL, deadline - time.monotonic()))
        except OSError:  # not there yet, or not yet listening
            if time.monotonic() >= deadline:
                raise InputError(
                    "the .eim does not listen in time", path=target, hint="allow more with --timeout"
                ) from None
            time.sleep(_POLL)


@contextlib.contextmanager
def _started(target: Path, arguments: list[str], printed: IO[bytes], *, pipes: bool = False) -> Iterator[Child]:
    child = None
    try:
        with signals_wait():
            child = Child(
                [str(target.absolute()), *arguments],
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else printed,
                stderr=printed,
                bufsize=0,
                start_new_session=True,
            )
            child.printed = printed
        yield child
    except OSError as error:
        if child is not None:
            raise
        raise InputError(
            f"cannot be started: {error.strerror or error}", path=target, hint=f"{_command(target, 'inspect')} says why"
        ) from error
    finally:
        if child is not None:
            with signals_wait():
                child.end()


class RequestRefused(InputError):
    """The program answers with an error, or would; the session can go on."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: until the program listens, until each answer."""

    start: float = 30.0
    answer: float = 60.0


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model as a hello answer describes it.

    Attributes:
        features: numbers in one classify.
        slice: numbers in one classify_continuous, 0 when not given.
        labels: in order.
        width, height, channels: 0 unless it is a picture model.
        resize_mode: "squash", ...; None from programs older than the field.
        kind: "classification", "object_detection", "constrained_object_detection", ...
        thresholds: each with the `id` of its learn block and the values that can be set.
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

    @property
    def parameters(self) -> dict[str, Any]:
        """The fields of the answer that are about the model."""
        parameters: dict[str, Any] = self.raw.get("model_parameters", {})
        return parameters

    @property
    def mode(self) -> ResizeMode | None:
        """`resize_mode`, where it is one that is known."""
        return next((mode for mode in ResizeMode if mode.value == self.resize_mode), None)

    @property
    def window(self) -> Impulse | None:
        """What it takes of sound or sensor data, as far as it is said; None: pictures, or no rate is said."""
        rate, axes = _score(self.parameters.get("frequency")), self.parameters.get("axis_count")
        if self.width or rate is None or type(axes) is not int:
            return None
        if not 0 < rate < _LARGEST or not 0 < axes <= self.features:
            return None
        return Impulse("unknown", self.features // axes, axes, (), rate, 0, (), ())

    @property
    def freeform(self) -> tuple[dict[str, Any], ...]:
        """The shared memories that outputs without a meaning known to the .eim are in."""
        offered = self.raw.get("freeform_output_shm")
        return tuple(each for each in offered if isinstance(each, dict)) if isinstance(offered, list) else ()

    @property
    def detects(self) -> bool:
        """Whether it answers with boxes."""
        return self.kind in {"object_detection", "constrained_object_detection"}

    @property
    def detectors(self) -> dict[int, float | None]:
        """The smallest score of each block that detects objects, by the block's id; None: it is not said."""
        blocks = [each for each in self.thresholds if each.get("type") == "object_detection"]
        return {int(each["id"]): _score(each.get("min_score")) for each in blocks if type(each.get("id")) is int}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to classify: result and timing as received, and seconds between sending and receiving."""

    result: dict[str, Any]
    timing: dict[str, Any]
    seconds: float


@contextlib.contextmanager
def talk(target: Path, *, stdio: bool = False, shared: bool = True, limits: Timeouts | None = None) -> Iterator[Client]:
    """Start the file, or connect to the socket, at `target`; say hello; close and end everything afterwards.

    Args:
        target: an executable, or the socket of one that runs.
        stdio: start it with its standard input instead of a socket.
        shared: use shared memory where it is offered.
        limits: see `Timeouts`.

    Raises:
        InputError: it does not start, listen or answer, or its answer is invalid.
    """
    limits = limits or Timeouts()
    with (
        opened(target, limits.start, stdio=stdio) as transport,
        contextlib.closing(Client(transport, target, limits, shared=shared)) as client,
    ):
        yield client


class Client:
    """A session after its hello; `model` describes the program's model.

    Attributes:
        is_broken: the last message was not answered as the protocol has it: the session is of no further use.

    Raises:
        InputError: see `talk`.
    """

    def __init__(self, transport: Transport, target: Path, limits: Timeouts, *, shared: bool = True) -> None:
        self._transport = transport
        self.target = target
        self._limits = limits
        self._reader = AnswerReader()
        self._waiting: list[dict[str, Any]] = []
        self._number = 0
        self._memory: mmap | None = None
        self.is_broken = False
        # The first answer may have to wait for a model that is still being loaded.
        hello, _ = self._ask({"hello": 1}, limits.start + limits.answer)
        self.model = self._valid(hello, _model)
        if shared and isinstance(offered := self.model.raw.get("features_shm"), dict):
            transport.remember(str(offered.get("name", "")))
            self._memory = attach(offered)

    def classify(self, features: NDArray[np.float32]) -> Reply:
        """Send all features of one picture or window.

        Raises:
            RequestRefused: the program answers with an error.
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
        """Unmap the memory; the transport is the caller's."""
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
        result, timing = self._valid(answer, _result), answer.get("timing")
        if result.get("freeform") == "shm":
            result |= {"freeform": [self._read_freeform(each) for each in self.model.freeform]}
        return Reply(result, timing if isinstance(timing, dict) else {}, seconds)

    def _read_freeform(self, described: dict[str, Any]) -> list[float | None]:
        """What a network that only the user's code understands gave, from the shared memory it is in.

        None: it is not finite; where eim.cpp writes the numbers as JSON, it writes null for these.
        """
        import numpy as np

        memory = attach(described)
        if memory is None:
            raise self._invalid("its answer is in shared memory that cannot be opened")
        with memory:
            values = np.frombuffer(memory[:], np.float32).astype(np.float64).tolist()
        return [value if math.isfinite(value) else None for value in values]

    def _valid(self, answer: dict[str, Any], read: Callable[[dict[str, Any]], _T]) -> _T:
        """What `read` makes of `answer`; its ValueError says what is wrong with that."""
        try:
            return read(answer)
        except ValueError as error:
            raise self._invalid(f"{error}: {shown(json.dumps(answer))}") from None

    def _ask(self, message: dict[str, Any], seconds: float) -> tuple[dict[str, Any], float]:
        """Send one message; its successful answer, and seconds between the two."""
        self._number += 1
        data = json.dumps(message | {"id": self._number}, separators=(",", ":")).encode() + b"\n"
        if len(data) > LIMIT:
            refused = f"{len(data)} bytes in one message would end it"
            raise RequestRefused(refused, path=self.target, hint=parameters_hint(self.target))
        start = time.monotonic()
        self.is_broken = True
        try:
            self._transport.send(data, start + seconds)
            while not self._waiting:
                self._waiting = self._reader.feed(self._transport.receive(start + seconds))
            answer = self._waiting.pop(0)
            self.is_broken = False
        except AnswerTimeout:
            raise InputError(
                f"no answer to {next(iter(message))} within {seconds:g} s", path=self.target,
                hint=f"allow more with --timeout; {_messages(self.target)}",
            ) from None  # fmt: skip
        except TransportClosed as error:
            raise InputError(f"the .eim {error}", path=self.target, hint=_why(self.target)) from None
        except Broken as error:
            raise self._invalid(str(error)) from error
        if answer.get("id", self._number) != self._number:
            self.is_broken = True
            number = shown(json.dumps(answer["id"]))
            raise self._invalid(f"the answer to message {self._number} has the id {number}")
        if answer.get("success") is not True:
            reason = answer.get("error")
            raise RequestRefused(
                f"the .eim answers: {reason[:_LONGEST_REASON]}" if isinstance(reason, str) else
                f"the .eim answers no success, and no reason: {shown(json.dumps(answer))}",
                path=self.target, hint=(_messages if "hello" in message else parameters_hint)(self.target),
            )  # fmt: skip
        return answer, time.monotonic() - start

    def _invalid(self, what: str) -> InputError:
        return InputError(what, path=self.target, hint=f"this is no .eim, or a damaged one; {_messages(self.target)}")


_LARGEST = (
    100_000_000  # pixels of a picture, or features: more than any model has, and what a hello may not make us hold
)
_LONGEST_REASON = 500  # characters of an error that are shown


def _model(answer: dict[str, Any]) -> ModelInfo:
    """Of a hello answer.

    Raises:
        ValueError: what official clients read is of another type, or out of all bounds.
    """
    parameters = answer.get("model_parameters")
    if not isinstance(parameters, dict):
        raise ValueError("the hello answer holds no model_parameters")  # noqa: TRY004 - `Client._valid` makes an error of it

    def number(name: str) -> int:
        value = parameters.get(name, 0)
        if type(value) not in {int, float} or not 0 <= value <= _LARGEST or value != int(value):
            raise ValueError(f"the hello answer's {name} is {shown(json.dumps(value))}")
        return int(value)

    def rows(name: str, kind: type) -> tuple[Any, ...]:
        values = parameters.get(name, [])
        if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
            raise ValueError(f"the hello answer's {name} are {shown(json.dumps(values))}")
        return tuple(values)

    width, height = number("image_input_width"), number("image_input_height")
    if width * height > _LARGEST:
        raise ValueError(f"the hello answer's pictures have {width}x{height} pixels")
    mode, kind = parameters.get("image_resize_mode"), parameters.get("model_type")
    return ModelInfo(
        features=number("input_features_count"),
        slice=number("slice_size"),
        labels=rows("labels", str),
        width=width,
        height=height,
        channels=number("image_channel_count"),
        resize_mode=mode if isinstance(mode, str) else None,
        kind=kind if isinstance(kind, str) else "classification",  # as the Node.js client assumes
        thresholds=rows("thresholds", dict),
        raw=answer,
    )


def _score(value: object) -> float | None:
    """`value` where it is a number that a float32 holds."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) and abs(value) < _FLOAT_MAX else None


_FLOAT_MAX = 3.5e38
BOXES = ("bounding_boxes", "visual_anomaly_grid", "object_tracking")
"""Entries of a result that are lists of objects with a place."""
_SCORES = ("anomaly", "visual_anomaly_max", "visual_anomaly_mean")


def _result(answer: dict[str, Any]) -> dict[str, Any]:
    """The result in an answer to classify; entries that are not known are taken as they are.

    Raises:
        ValueError: an entry is of another type than eim.cpp sends.
    """
    result = answer.get("result")
    if not isinstance(result, dict):
        raise ValueError("its answer holds no result")  # noqa: TRY004 - as in `_model`
    scores = result.get("classification", {})
    if not isinstance(scores, dict):
        raise ValueError("its classification is no object")  # noqa: TRY004
    scores = scores | {name: result[name] for name in _SCORES if name in result}
    for name, value in scores.items():
        if _score(value) is None:
            raise ValueError(f"its score of {shown(name)} is {shown(json.dumps(value))}")
    for kind in BOXES:
        boxes = result.get(kind, [])
        if not isinstance(boxes, list):
            raise ValueError(f"its {kind} are no list")  # noqa: TRY004
        for box in boxes:
            places = [box.get(name) for name in _PLACE] if isinstance(box, dict) else [None]
            if not all((place := _score(each)) is not None and abs(place) <= _LARGEST for each in places):
                raise ValueError(f"one of its {kind} is {shown(json.dumps(box))}")
            if not isinstance(box.get("label"), str) or _score(box.get("value")) is None:
                raise ValueError(f"one of its {kind} has no label or no score")
    freeform = result.get("freeform", "shm")
    if freeform != "shm" and not (isinstance(freeform, list) and all(_is_row(row) for row in freeform)):
        raise ValueError("its freeform is no list of lists of numbers")
    return result


def _is_row(row: object) -> bool:
    """Numbers, or null for those that JSON does not have."""
    return isinstance(row, list) and all(value is None or _score(value) is not None for value in row)


_PLACE = ("x", "y", "width", "height")


_SHOWN = 8  # values of a long list


@dataclass(frozen=True, slots=True)
class ProxyEvent:
    """A message, other bytes, or the end of the connection.

    Attributes:
        seconds: since the client connected.
        origin: "client" or "eim".
        kind: "message" (complete JSON), "bytes" (anything else), "end".
        content: the message, shortened; or the bytes as text.
        size: bytes.
        took: of an answer, seconds since its request was passed on.
    """

    seconds: float
    origin: str
    kind: str
    content: Any
    size: int
    took: float | None = None


def proxy(path: Path, target: Path, observer: Callable[[ProxyEvent], None], *, start: float = 30.0) -> int:
    """Serve one client at the socket `path` from `target`; the exit code: 1 when the .eim ended first, or was too slow.

    Args:
        path: socket to make.
        target: an executable to start, or the socket of one that runs.
        observer: gets every event.
        start: seconds until the .eim must listen, and for each answer.

    Raises:
        OutputError: the socket cannot be made.
        InputError: the .eim cannot be started.
    """
    code = 0
    with signals_end() as signals, listening(path) as listener:
        signals.arm()
        with opened(target, start) as transport:
            client, _ = listener.accept()
            listener.close()
            with client:
                code = int(not _Proxy(client, transport, observer, start).run())
        signals.disarm()
    return signals.code or code


class _Proxy:
    """Passes the bytes of one session on and reports its messages."""

    def __init__(
        self, client: socket.socket, transport: Transport, observer: Callable[[ProxyEvent], None], limit: float = 60.0
    ) -> None:
        self._client = client
        self._limit = limit
        self._transport = transport
        self._observer = observer
        self._requests: RequestReader | None = RequestReader()
        self._answers: AnswerReader | None = AnswerReader()
        self._sent: dict[Any, float] = {}
        self._start = time.monotonic()

    def run(self) -> bool:
        """Pass bytes on until one side ends; whether that was the client, and every answer came in time."""
        poll = select.poll()
        for descriptor in (self._client.fileno(), self._transport.reading):
            poll.register(descriptor, select.POLLIN)
        waits = True  # for requests
        try:
            while waits or self._sent:  # a client that has gone may have asked before
                oldest = min(self._sent.values(), default=math.inf)
                left = oldest + self._limit - time.monotonic()
                ready = {descriptor for descriptor, _ in poll.poll(max(left, 0) * 1000 if self._sent else None)}
                if not ready:
                    return self._ended(f"no answer of the .eim within {self._limit:g} s")
                if self._transport.reading in ready:
                    self._from_eim()
                if self._client.fileno() in ready and not self._from_client():
                    waits = False
                    poll.unregister(self._client.fileno())
        except TransportClosed as error:
            return self._ended(f"the .eim {error}")
        except AnswerTimeout:
            return self._ended(f"the .eim takes no bytes for {self._limit:g} s")
        self._report("client", "end", "the client closed the connection", 0)
        return True

    def _from_client(self) -> bool:
        """Pass a request on; False when there is none left."""
        data = b""
        with contextlib.suppress(ConnectionError):
            data = self._client.recv(_CHUNK)
        if data:
            self._transport.send(data, time.monotonic() + self._limit)
            self._show_requests(data)
        return bool(data)

    def _from_eim(self) -> None:
        data = self._transport.receive(time.monotonic() + self._limit)
        with contextlib.suppress(ConnectionError):  # the client has gone, which is seen where it is read from
            self._client.sendall(data)
        self._show_answers(data)

    def _ended(self, how: str) -> bool:
        """Tell that it was not the client who ended it, and what of an answer had come."""
        if self._answers and (rest := self._answers.rest):
            half = rest.decode("utf-8", "backslashreplace")
            self._report("eim", "bytes", f"an answer that is not complete: {shown(half)}", len(rest))
        self._report("eim", "end", how, 0)
        return False

    def _show_requests(self, data: bytes) -> None:
        try:
            messages = self._requests.feed(data) if self._requests else []
        except TooLong:
            self._requests = None
            self._report(
                "client", "bytes", "more than 32 MiB without a whole message; the rest is not shown", len(data)
            )
            return
        for message in messages:
            try:
                content = json.loads(message)
            except (ValueError, RecursionError):
                self._report("client", "bytes", message[:200].decode("utf-8", "backslashreplace"), len(message))
                continue
            if self._answers and isinstance(content, dict) and isinstance(content.get("id"), int):
                self._sent[content["id"]] = time.monotonic()
            self._report("client", "message", shortened(content), len(message))

    def _show_answers(self, data: bytes) -> None:
        try:
            answers = self._answers.feed(data) if self._answers else []
        except Broken as error:
            self._answers = None
            self._sent.clear()  # what is not read cannot be waited for
            self._report("eim", "bytes", f"{error}; the rest is not shown", len(data))
            return
        for answer in answers:
            number = answer.get("id")
            if "id" not in answer:  # eim.cpp's, to a message that it cannot parse
                number = next(iter(self._sent), None)
            sent = self._sent.pop(number, None) if isinstance(number, int) else None
            took = None if sent is None else time.monotonic() - sent
            self._report("eim", "message", shortened(answer), len(data), took)

    def _report(self, origin: str, kind: str, content: Any, size: int, took: float | None = None) -> None:
        self._observer(ProxyEvent(time.monotonic() - self._start, origin, kind, content, size, took))


def shortened(value: Any) -> Any:
    """`value` with long plain lists cut: `[1, 2, ..., "... 9216 values"]`."""
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        if len(value) > _SHOWN and not any(isinstance(item, dict | list) for item in value):
            return [*value[:_SHOWN], f"... {len(value)} values"]
        return [shortened(item) for item in value]
    return value
