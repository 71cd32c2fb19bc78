"""Answers as an .eim: on a socket, on standard input, or once for `--print-info`.

What clients rely on: the socket appears by a rename, already listening, so that nobody can connect too early (the Go
client gives up at the first refusal); it appears before the model is loaded (the Go client waits one second); one
client is served, then the process ends with 0 (or, kept, waits for the next); SIGINT, SIGTERM and SIGHUP end it with
128 + number; and nothing is left behind.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from convert.eim.dialogue import Dialogue
from convert.eim.framing import LIMIT, RequestReader, TooLong, encode
from convert.eim.hello import hello
from convert.eim.memory import Features, remove_leftovers
from convert.eim.signals import signals_end
from convert.eim.sockets import bound, part_of
from convert.errors import OutputError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from convert.eim.dialogue import Classifier
    from convert.eim.impulse import Impulse

__all__ = ["listening", "print_info", "serve_socket", "serve_stdin"]

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
        code = _serve_clients(partial(Dialogue, impulse, model, memory), memory, listener, keep=keep)
        signals.disarm()
    return signals.code or code


def serve_stdin(impulse: Impulse) -> int:
    """Serve standard input and output: answers end with a line feed and no NUL; a NUL in the input ends it."""
    _say(f"{_RUNNER}listening for JSON messages on stdin")
    code = 0
    with signals_end() as signals, _memory(impulse) as memory:
        model = _load(impulse)
        signals.arm()
        code = _converse(Dialogue(impulse, model, memory), _read_stdin, _write_stdout)
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


def _serve_clients(
    begin: Callable[[], Dialogue], memory: Features | str, listener: socket.socket, *, keep: bool
) -> int:
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
    from convert.eim.model import Loaded  # noqa: PLC0415 - seconds on a small board: after the socket is there

    return Loaded(impulse)


def _converse(dialogue: Dialogue, read: Callable[[], bytes], write: Callable[[bytes], None]) -> int:
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
