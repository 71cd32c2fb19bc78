"""The bytes between us and a running .eim: a socket or two pipes, with the program behind them when we started it.

Reading and writing wait at most until a deadline. What the program prints is kept, and shown when it dies.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from convert.eim.memory import FOLDER
from convert.eim.sockets import connected
from convert.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Closed", "Late", "Link", "opened"]

_CHUNK = 1 << 16
_TAIL = 2000  # bytes of what a dead program printed
_POLL = 0.01  # seconds between two looks for the socket
_GRACE = 3.0  # seconds a program gets to end, as the official Node.js client gives it
_FOLDER_LIMIT = 80  # a socket's path has 107 bytes, and foreign programs do not check it


class Late(Exception):
    """The deadline passed."""


class Closed(Exception):
    """The other side is gone; the text completes "the .eim ..."."""


class Link:
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
            raise Late

    def _gone(self) -> Closed:
        return Closed("closed the connection" if self._child is None else self._child.died())


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
def opened(target: Path, seconds: float, *, stdio: bool = False) -> Iterator[Link]:
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
            yield Link(connection.fileno(), connection.fileno(), None)
        return
    with tempfile.TemporaryFile() as printed:
        if stdio:
            with _started(target, ["stdin"], printed, pipes=True) as child:
                assert child.process.stdin
                assert child.process.stdout
                yield Link(child.process.stdout.fileno(), child.process.stdin.fileno(), child)
            return
        with _folder() as folder:
            address = folder / "s"
            with _started(target, [str(address)], printed) as child, _reached(address, child, target, deadline) as link:
                yield link


@contextlib.contextmanager
def _reached(address: Path, child: Child, target: Path, deadline: float) -> Iterator[Link]:
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
        yield Link(connection.fileno(), connection.fileno(), child)


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
