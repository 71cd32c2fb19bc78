"""Messages, shared memory and sockets: what both sides of the .eim protocol need.

Messages: a client sends JSON objects with anything between them; the executable counts `{` and `}` without looking at
strings and takes what lies between the first brace and the one that balances it (eim.cpp, `socket_main`). It answers
with compact JSON, a line feed and, on a socket, a NUL. The official Python client waits for that NUL as the last byte
of a read; the Node.js client counts braces without looking at strings and decodes each read by itself: so answers are
ASCII, and braces inside strings are escaped.

Shared memory is a file in /dev/shm on Linux. The server that made it holds a lock on the file while it runs; the kernel
releases the lock even of a process that is killed, so an unlocked file with our prefix is left over and can be removed.

Unix sockets may have paths longer than the 107 bytes that a socket address holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
import math
import mmap
import os
import re
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from convert import files
from convert.errors import InputError, OutputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LIMIT = 32 * 1024 * 1024  # STDIN_BUFFER_SIZE of eim.cpp since 2025
_BRACE = re.compile(rb"[{}]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_MARK = re.compile(rb'[{}"]')
_STRING_REST = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)  # up to its end, or to that of the buffer
_DEPTH = 100  # of lists and objects in each other; real answers have 5


class TooLong(Exception):
    """More than `LIMIT` bytes without a complete message."""


class Broken(Exception):
    """Bytes that cannot be an answer."""


class RequestReader:
    """Cuts what a client sends into messages, exactly as eim.cpp does.

    This includes its fault: after a `}` too many, outside or inside a string, the counts are never equal again and all
    later messages are lost, until `TooLong`.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._open = self._closed = 0

    @property
    def in_message(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._open > 0

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes.

        Raises:
            TooLong: `LIMIT` bytes without a complete message; the reader is then of no further use.
        """
        messages = []
        start = 0  # of what is not yet in the buffer
        for match in _BRACE.finditer(data):
            here = match.start()
            self._append(data[start : here + 1] if self._open else match[0])  # outside a message only braces count
            start = here + 1
            if match[0] == b"{":
                self._open += 1
                continue
            self._closed += 1
            if self._closed == self._open:
                messages.append(bytes(self._buffer))
                self._buffer.clear()
                self._open = self._closed = 0
        if self._open:
            self._append(data[start:])
        return messages

    def _append(self, data: bytes) -> None:
        if len(self._buffer) + len(data) >= LIMIT:
            raise TooLong
        self._buffer += data


class AnswerReader:
    """Cuts what an executable sends into answers, which are JSON objects.

    Braces inside strings do not count, so labels may hold any. Anything between objects (the banner, debugging output,
    NUL) is skipped.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0  # what is before has been parsed
        self._depth = 0
        self._in_string = False

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The answers that `data` completes.

        Raises:
            Broken: an object that is not JSON (which has no NaN, and no number that a float cannot hold), or more than
                `LIMIT` bytes of one.
        """
        self._buffer += data
        answers = []
        while (end := self._end()) is not None:
            answers.append(_parsed(self._buffer[:end].decode("utf-8", "replace")))  # it begins with a brace
            del self._buffer[:end]
            self._at = 0
        if self._depth == 0:
            self._buffer.clear()
            self._at = 0
        elif len(self._buffer) > LIMIT:
            beginning = shown(self._buffer[:_SHOWN].decode("utf-8", "replace"))
            raise Broken(f"an answer of more than {LIMIT} bytes: {beginning}")
        return answers

    @property
    def rest(self) -> bytes:
        """The beginning of an answer that is not complete."""
        return bytes(self._buffer[: 4 * _SHOWN])

    def _end(self) -> int | None:
        """Where the first object of the buffer ends; what is before the object is dropped."""
        while True:
            if self._in_string:  # what of it has been read is not read again, however long it is
                string = _STRING_REST.match(self._buffer, self._at)
                assert string
                self._at = string.end()
                if self._buffer[self._at : self._at + 1] != b'"':
                    return None
                self._at, self._in_string = self._at + 1, False
            match = _MARK.search(self._buffer, self._at)
            if match is None:
                break
            mark = match[0]
            if self._depth == 0:
                if mark == b"{":
                    del self._buffer[: match.start()]
                    self._at, self._depth = 1, 1
                else:
                    self._at = match.end()
            elif mark == b'"':
                self._at, self._in_string = match.end(), True
            else:
                self._at = match.end()
                self._depth += 1 if mark == b"{" else -1
                if self._depth == 0:
                    return self._at
        self._at = len(self._buffer)
        return None


def _parsed(text: str) -> dict[str, Any]:
    """The object in `text`.

    Raises:
        Broken: see `AnswerReader.feed`.
    """
    try:
        answer: dict[str, Any] = json.loads(text, parse_constant=refuse, parse_float=_number, parse_int=_number)
        level: list[Any] = [answer]
        for _ in range(_DEPTH):
            level = [item for value in level if isinstance(value, dict | list)
                     for item in (value.values() if isinstance(value, dict) else value)]  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise Broken(f"an answer that is not JSON ({error}): {shown(text)}") from error
    if level:
        raise Broken(f"an answer with lists in lists, {_DEPTH} deep: {shown(text)}")
    return answer


def _number(text: str) -> int | float:
    if len(text) > _SHOWN or not math.isfinite(float(text)):
        raise ValueError(f"the number {shown(text)} is too large")
    return float(text) if set(text) & {".", "e", "E"} else int(text)


def refuse(word: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python's parser accepts, and the executable's does not."""
    raise ValueError(f"{word} is no number")


_SHOWN = 60


def shown(text: str) -> str:
    """The beginning of `text`, for a message."""
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def encode(answer: dict[str, Any], *, indent: int | None = None) -> bytes:
    """One answer as every official client can read it: ASCII, keys sorted, no brace inside a string.

    Numbers that JSON does not have become null, as in the library eim.cpp uses.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(_finite(answer), sort_keys=True, separators=separators, indent=indent, allow_nan=False)
    return _STRING.sub(lambda match: match[0].replace("{", "\\u007b").replace("}", "\\u007d"), text).encode("ascii")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


FOLDER = Path("/dev/shm")  # noqa: S108 - where glibc's shm_open puts them
PREFIX = "shm-eids-"
_FLOAT = 4  # bytes


class Features:
    """float32 [elements] that a client writes and the server reads.

    Raises:
        OSError: there is no shared memory here, or none left.
    """

    def __init__(self, elements: int) -> None:
        self.elements = elements
        self._file, self.path, self._map = _create(elements * _FLOAT)

    def described(self) -> dict[str, Any]:
        """The `features_shm` of a hello answer."""
        return {
            "name": f"/{self.path.name}",
            "size_bytes": self.elements * _FLOAT,
            "type": "float32",
            "elements": self.elements,
        }

    def read(self) -> NDArray[np.float32]:
        """A copy of the features: a client may go on writing."""
        import numpy as np  # the server imports it after binding its socket

        return np.frombuffer(self._map[:], np.float32)

    def clear(self) -> None:
        """Zero it, so that the next client cannot read the last one's pictures."""
        self._map[:] = bytes(len(self._map))

    def close(self) -> None:
        """Remove it; clients that have mapped it can still use it."""
        self._map.close()
        self.path.unlink(missing_ok=True)
        os.close(self._file)


def attach(described: Any) -> mmap.mmap | None:
    """The memory a hello answer describes, by an object; None unless it exists and has that size."""
    try:
        name, size = str(described["name"]), int(described["size_bytes"])
        if "/" in name.removeprefix("/") or size != int(described["elements"]) * _FLOAT:
            return None
        file = os.open(FOLDER / name.removeprefix("/"), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None
    try:
        return mmap.mmap(file, size) if 0 < size <= os.fstat(file).st_size else None
    finally:
        os.close(file)


def remove_leftovers() -> None:
    """Remove the memory of servers that were killed."""
    for path in FOLDER.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or gone meanwhile
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
            finally:
                os.close(file)


def _create(size: int) -> tuple[int, Path, mmap.mmap]:
    """A new, locked file of `size` bytes, mapped."""
    while True:
        path = FOLDER / f"{PREFIX}{secrets.token_hex(6)}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.posix_fallocate(file, 0, size)  # a full /dev/shm is an error now, not SIGBUS later
            if path.exists() and path.stat().st_ino == os.fstat(file).st_ino:
                return file, path, mmap.mmap(file, size)
        except OSError:
            path.unlink(missing_ok=True)
            os.close(file)
            raise
        os.close(file)  # another server took it for a leftover before it was locked


_LONGEST = 107  # bytes of sun_path, less the NUL (unix(7))


@contextlib.contextmanager
def bound(path: Path, named: Path | None = None) -> Iterator[socket.socket]:
    """A socket bound to `path`; errors name `named` instead.

    Raises:
        OutputError: the folder is missing or not writable, or the name is too long.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            with _address(path) as address:
                listener.bind(address)
        except OSError as error:
            raise OutputError(
                f"cannot make the socket: {error.strerror or error}",
                path=named or path, hint="choose a short name in a folder that exists and can be written to",
            ) from error  # fmt: skip
        yield listener


def connected(path: Path, timeout: float) -> socket.socket:
    """A socket connected to the server at `path`.

    Raises:
        OSError: nobody listens there (yet).
        InputError: the name is too long.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        with _address(path) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def part_of(path: Path) -> Path:
    """The path this process binds before it renames it to `path`; removes such files of killed processes."""
    files.remove_leftovers(path.parent, f"{glob.escape(path.name)}.*")
    return path.with_name(f".{path.name}.{os.getpid()}.part")


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """An address of `path` that is short enough: through a descriptor of its folder where it must be."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        short = f"/proc/self/fd/{folder}/{path.name}"
        if len(os.fsencode(short)) > _LONGEST:
            raise InputError("the socket's name is too long", path=path, hint="at most 80 bytes behind the last slash")
        yield short
    finally:
        os.close(folder)
