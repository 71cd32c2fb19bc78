"""Answers as an .eim: on a socket, on standard input, or once for `--print-info`.

What clients rely on: the socket appears by a rename, already listening, so that nobody can connect too early (the Go
client gives up at the first refusal); it appears before the model is loaded (the Go client waits one second); one
client is served, then the process ends with 0 (or, kept, waits for the next); SIGINT, SIGTERM and SIGHUP end it with
128 + number; and nothing is left behind.

What an .eim answers to each message of one client: the order of tests and the words of eim.cpp of 2026.

SIGINT, SIGTERM and SIGHUP end a server with 128 + number, never in the middle of making or removing something.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from convert.eim.bundle import hello, slice_size
from convert.eim.wire import LIMIT, Features, RequestReader, TooLong, bound, encode, part_of, remove_leftovers
from convert.errors import ConvertError, OutputError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    import numpy as np
    from numpy.typing import NDArray

    from convert.eim.bundle import Impulse
    from convert.eim.model import Answer


__all__ = ["Classifier", "Session", "Signals", "listening", "print_info", "serve_socket", "serve_stdin", "signals_end"]


_NO_ID = {"error": "Missing 'id' field in message", "success": False}
_NOT_NUMBERS = "Failed to parse classify array, should contain all numbers"
# EI_IMPULSE_ERROR of returntypes.h
_INFERENCE_FAILED = -3
_DSP_FAILED = -5  # what a picture model says to a slice of one
_UNKNOWN_SETTING = -34


class Classifier(Protocol):
    """What computes: `convert.eim.model.Loaded`."""

    def classify(self, features: NDArray[np.float32], threshold: float) -> Answer:
        """The result for one picture's features."""


class Session:
    """One client's conversation.

    Args:
        impulse: what answers.
        model: computes.
        memory: the shared memory for features, or why there is none.
    """

    def __init__(self, impulse: Impulse, model: Classifier, memory: Features | str) -> None:
        self._impulse = impulse
        self._model = model
        self._memory = memory
        self._threshold = impulse.threshold
        self._greeted = False

    def answer(self, message: bytes, waited: float = 0) -> dict[str, Any]:
        """The answer to one whole message that took `waited` seconds to arrive."""
        start = time.perf_counter()
        request = _parse(message)
        parsed = time.perf_counter()
        number = request.get("id")
        if not _is_int32(number):
            return dict(_NO_ID)
        answer = self._handled(request)
        if timing := answer.get("timing"):
            timing |= {
                "anomaly": 0,
                "json": _milliseconds(parsed - start),
                "stdin": _milliseconds(waited),
                "msg_handler": _milliseconds(time.perf_counter() - parsed),
            }
        return {"id": number, **answer}

    def _handled(self, request: dict[str, Any]) -> dict[str, Any]:
        if _is_int32(request.get("hello")):
            return self._hello(request["hello"])
        if not self._greeted:
            return _error("Invalid message, should initialize first")
        for command, kind, handle in (
            ("classify", list, self._classify),
            ("classify_shm", dict, self._classify_memory),
            ("classify_continuous", list, self._continuous),
            ("classify_continuous_shm", dict, self._continuous_memory),
            ("set_threshold", dict, self._set_threshold),
        ):
            if isinstance(request.get(command), kind):
                answer: dict[str, Any] = handle(request[command])
                return answer
        return _error("Failed to handle message")

    def _hello(self, version: int) -> dict[str, Any]:
        if self._greeted:
            return _error("Invalid message 'hello', already initialized")
        if version != 1:
            return _error("Invalid value for 'hello', only 1 supported")
        self._greeted = True
        return hello(self._impulse, self._memory)

    def _classify(self, values: list[Any]) -> dict[str, Any]:
        import numpy as np  # the server imports it after binding its socket

        if wrong := _wrong_numbers(values, "classify", self._impulse.features):
            return wrong
        try:
            with np.errstate(over="ignore"):
                features = np.array(values, np.float64).astype(np.float32)
        except OverflowError:  # an integer that no double holds
            return _error(_NOT_NUMBERS)
        return self._result(features)

    def _classify_memory(self, described: dict[str, Any]) -> dict[str, Any]:
        if wrong := self._wrong_elements(described, "classify_data_shm", self._impulse.features):
            return wrong
        assert not isinstance(self._memory, str)
        return self._result(self._memory.read())

    def _continuous(self, values: list[Any]) -> dict[str, Any]:
        wrong = _wrong_numbers(values, "classify_continuous", slice_size(self._impulse))
        return wrong or _failed(_DSP_FAILED)

    def _continuous_memory(self, described: dict[str, Any]) -> dict[str, Any]:
        wrong = self._wrong_elements(described, "classify_data_continuous_shm", slice_size(self._impulse))
        return wrong or _failed(_DSP_FAILED)

    def _wrong_elements(self, described: dict[str, Any], name: str, expected: int) -> dict[str, Any] | None:
        if isinstance(self._memory, str):
            return _error(f"Cannot use '{name}', cannot find shm input tensor with ix=0")
        elements = described.get("elements")
        if not _is_int32(elements):
            return _error(f"Missing 'elements' in '{name}'")
        if elements != expected:
            return _error(f"Invalid value for '{name}.elements', expected {expected}, but got {elements}")
        return None

    def _set_threshold(self, settings: dict[str, Any]) -> dict[str, Any]:
        block = settings.get("id")
        if not _is_int32(block):
            return _error("set_threshold should have a numeric field 'id'")
        if block != self._impulse.block:
            return _error(f"set_threshold: cannot find learn block with id {block}")
        for key, value in settings.items():
            if key in {"id", "type"}:
                continue
            if not _is_number(value):
                return _error(f"set_threshold, value for '{key}' should be numeric")
            if key != "min_score" or not self._impulse.detects:
                return _error(f"set_threshold, setting key '{key}' failed with error {_UNKNOWN_SETTING}")
            self._threshold = float(value)
        return {"success": True}

    def _result(self, features: NDArray[np.float32]) -> dict[str, Any]:
        try:
            answer = self._model.classify(features, self._threshold)
        except ConvertError:
            return _failed(_INFERENCE_FAILED)
        timing = {"dsp": _milliseconds(answer.preparing), "classification": _milliseconds(answer.running)}
        return {"success": True, "result": answer.result, "timing": timing}


def _parse(message: bytes) -> dict[str, Any]:
    """The object; empty when it is not JSON, which makes the executable miss the id, too."""
    try:
        request = json.loads(message.decode("utf-8", "replace"), parse_constant=_refuse, object_pairs_hook=_first_wins)
    except (ValueError, RecursionError):
        return {}
    return request if isinstance(request, dict) else {}


def _refuse(word: str) -> None:
    """NaN and Infinity, which Python's reader takes and rapidjson does not."""
    raise ValueError(word)


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of members with the same name rapidjson finds the first."""
    return dict(reversed(pairs))


def _wrong_numbers(values: list[Any], command: str, expected: int) -> dict[str, Any] | None:
    if not set(map(type, values)) <= {int, float}:
        return _error(_NOT_NUMBERS)
    if len(values) != expected:
        return _error(f"Invalid number of features in '{command}', expected {expected} but got {len(values)}")
    return None


def _is_int32(value: Any) -> bool:
    return type(value) is int and -(1 << 31) <= value < 1 << 31


def _is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def _error(text: str) -> dict[str, Any]:
    return {"error": text, "success": False}


def _failed(code: int) -> dict[str, Any]:
    return _error(f"Classifying failed, error code was {code}")


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Stopped(BaseException):
    """One of the signals came."""


class Signals:
    """Ends what runs between `arm` and `disarm` when a signal comes.

    Outside, while things are made and removed, a signal waits: the official Python client closes its connection and
    sends SIGINT in the same breath, right into the removal.

    Attributes:
        code: the exit code the first signal asks for, 0 as long as none came.
    """

    def __init__(self) -> None:
        self.code = 0
        self._armed = False

    def arm(self) -> None:
        """Let signals end what follows; one that came before does so now."""
        self._armed = True
        if self.code:
            raise _Stopped

    def disarm(self) -> None:
        """What follows is not disturbed."""
        self._armed = False

    def take(self, number: int, _frame: FrameType | None) -> None:
        """The handler."""
        self.code = self.code or 128 + number
        if self._armed:
            self._armed = False
            raise _Stopped


@contextlib.contextmanager
def signals_end() -> Iterator[Signals]:
    """The body ends at a signal that comes while the result is armed."""
    signals = Signals()
    before = {number: signal.signal(number, signals.take) for number in _ENDING}
    try:
        with contextlib.suppress(_Stopped):
            yield signals
    finally:
        signals.disarm()
        for number, handler in before.items():
            signal.signal(number, handler)


_RUNNER = "Edge Impulse Linux impulse runner - "
_CHUNK = 1 << 20  # bytes a read


def serve_socket(impulse: Impulse, path: Path, *, keep: bool = False) -> int:
    """Serve one client (or, with `keep`, one after the other) on a socket at `path`; returns the exit code.

    Raises:
        OutputError: the socket cannot be made.
        ValidationError, InputError: the model cannot be loaded.
    """
    _say(f"{_RUNNER}listening for JSON messages on socket '{path}'")
    code = 0
    with signals_end() as signals, listening(path) as listener, _memory(impulse) as memory:
        _say(f"Waiting for connection on {path}...")
        model = _load(impulse)
        signals.arm()
        code = _serve_clients(partial(Session, impulse, model, memory), memory, listener, keep=keep)
        signals.disarm()
    return signals.code or code


def serve_stdin(impulse: Impulse) -> int:
    """Serve standard input and output: answers end with a line feed and no NUL; a NUL in the input ends it."""
    _say(f"{_RUNNER}listening for JSON messages on stdin")
    code = 0
    with signals_end() as signals, _memory(impulse) as memory:
        model = _load(impulse)
        signals.arm()
        code = _converse(Session(impulse, model, memory), _read_stdin, _write_stdout)
        signals.disarm()
    return signals.code or code


def print_info(impulse: Impulse) -> int:
    """The hello answer for people; the memory it names is gone when it is read, as with the real one."""
    _say(f"{_RUNNER}printing model metadata")
    with signals_end() as signals, _memory(impulse) as memory:
        _write_stdout(encode({"id": 1, **hello(impulse, memory)}, indent=4) + b"\n")
    return signals.code


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A listening socket at `path`, which is removed afterwards unless another server has taken it.

    Raises:
        OutputError: it cannot be made, or something that is no socket is in the way.
    """
    _refuse_files(path)
    part = part_of(path)
    with bound(part) as listener:
        try:
            listener.listen(10)
            mine = part.lstat()
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise OutputError(f"cannot make the socket: {error.strerror}", path=path, hint="choose another") from error
        try:
            yield listener
        finally:
            with contextlib.suppress(OSError):
                if os.path.samestat(mine, path.lstat()):
                    path.unlink()


def _refuse_files(path: Path) -> None:
    """Only a socket may be replaced: the real executable deletes whatever is there."""
    with contextlib.suppress(OSError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OutputError(
                "something that is no socket is in the way", path=path, hint="remove it, or choose another name"
            )


@contextlib.contextmanager
def _memory(impulse: Impulse) -> Iterator[Features | str]:
    """Shared memory for one picture, or why there is none."""
    remove_leftovers()
    try:
        memory = Features(impulse.features)
    except OSError as error:
        yield f"shared memory cannot be made: {error.strerror or error}"
        return
    try:
        yield memory
    finally:
        memory.close()


def _serve_clients(begin: Callable[[], Session], memory: Features | str, listener: socket.socket, *, keep: bool) -> int:
    while True:
        client, _ = listener.accept()
        if not keep:
            listener.close()  # a second client is refused at once instead of waiting for nothing
        _say("Connected")
        with client:
            code = _converse(begin(), partial(client.recv, _CHUNK), partial(_send, client))
        if not keep:
            return code
        if not isinstance(memory, str):
            memory.clear()


def _load(impulse: Impulse) -> Classifier:
    """The model. Signals must wait: an import that an exception interrupts is taken for a broken library."""
    from convert.eim.model import Loaded  # seconds on a small board: after the socket is there

    return Loaded(impulse)


def _converse(dialogue: Session, read: Callable[[], bytes], write: Callable[[bytes], None]) -> int:
    """Answer until the client goes; the exit code."""
    reader = RequestReader()
    begun: float | None = None  # when the message that is not yet whole began to come
    try:
        while data := read():
            now = time.perf_counter()
            for message in reader.feed(data):
                write(encode(dialogue.answer(message, now - (begun or now))) + b"\n")
                begun = None
            begun = begun or (now if reader.amid else None)
    except ConnectionError:
        pass  # the client vanished
    except TooLong:
        _say(f"Invalid message, received more than {LIMIT} bytes, and no valid JSON message detected")
        return 1
    return 0


def _send(client: socket.socket, line: bytes) -> None:
    client.sendall(line + b"\0")  # in one write: the official Python client wants the NUL last in what it reads


def _read_stdin() -> bytes:
    data = os.read(0, _CHUNK)
    # eim.cpp reads a char at a time and takes 0, and 255 (EOF as a char), for the end.
    ends = [place for place in (data.find(b"\0"), data.find(b"\xff")) if place >= 0]
    if not ends:
        return data
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # the next read is the end
    os.close(nothing)
    return data[: min(ends)] or os.read(0, 1)


def _write_stdout(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def _say(text: str) -> None:
    """A line on standard output, where the real executable talks; nobody need be listening."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
