"""Unix sockets whose paths may be longer than the 107 bytes that a socket address holds."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import socket
from typing import TYPE_CHECKING

from convert.errors import InputError, OutputError
from convert.writing import is_running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["bound", "connected", "part_of"]

_LONGEST = 107  # bytes of sun_path, less the NUL (unix(7))


@contextlib.contextmanager
def bound(path: Path) -> Iterator[socket.socket]:
    """A socket bound to `path`.

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
                path=path, hint="choose a short name in a folder that exists and can be written to",
            ) from error  # fmt: skip
        yield listener


def connected(path: Path, timeout: float) -> socket.socket:
    """A socket connected to the server at `path`.

    Raises:
        OSError: nobody listens there (yet).
        InputError: the name is too long.
    """
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.settimeout(timeout)
        with _address(path) as address:
            link.connect(address)
    except BaseException:
        link.close()
        raise
    return link


def part_of(path: Path) -> Path:
    """Where this process binds before it renames into place; what killed ones left there is removed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        number = re.fullmatch(r".*\.(\d+)\.part", left.name)
        if number and not is_running(int(number[1])):
            with contextlib.suppress(OSError):
                left.unlink()
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
