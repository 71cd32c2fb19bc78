"""Reads a file that should be small and ordinary, and says clearly why not when it is neither."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from convert.errors import InputError

__all__ = ["TooMany", "read_ordinary"]

_HINTS: Final = {
    errno.ENOENT: "check the path",
    errno.EACCES: "make the file readable for you",
    errno.ELOOP: "a symbolic link leads back to itself: remove it, or name the file",
}


class TooMany(Exception):
    """The file has more in it than any config, and would take too much memory or time. nvinfer might read it."""

    def __init__(self, message: str = "the file has millions of entries") -> None:
        super().__init__(message)


def read_ordinary(path: str | os.PathLike[str], what: str, most: int) -> bytes:
    """The bytes of the ordinary file `path`; never waits for a FIFO or a device. /dev/null is an empty file.

    Args:
        path: the file.
        what: its name in messages, "config".
        most: bytes it may have.

    Raises:
        InputError: missing, unreadable, a folder, a FIFO, a device, a loop of links, or too large.
    """
    try:
        # O_NONBLOCK: opening a FIFO would wait for somebody to write into it.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, what, error) from None
    except ValueError:
        raise InputError(f"the path of the {what} has a null character in it", path=repr(path)) from None
    try:
        state = os.fstat(handle)
        if stat.S_ISCHR(state.st_mode) and state.st_rdev == os.stat(os.devnull).st_rdev:  # noqa: PTH116 - a device
            return b""
        if not stat.S_ISREG(state.st_mode):
            kind = "a folder" if stat.S_ISDIR(state.st_mode) else "no ordinary file (a pipe, socket or device)"
            raise InputError(f"the {what} is {kind}", hint="name an ordinary file", path=os.fspath(path))
        if state.st_size > most:
            message = f"the {what} has {state.st_size:,} bytes, and cannot have more than {most:,}"
            raise InputError(message, hint="is this another file?", path=os.fspath(path))
        pieces: list[bytes] = []
        while piece := os.read(handle, 2**20):
            pieces.append(piece)
        return b"".join(pieces)
    except OSError as error:
        raise _unreadable(path, what, error) from None
    finally:
        os.close(handle)


def _unreadable(path: str | os.PathLike[str], what: str, error: OSError) -> InputError:
    number = error.errno or 0
    hint = _HINTS.get(number, "check the path and its rights")
    return InputError(f"the {what} cannot be read: {os.strerror(number)}", hint=hint, path=os.fspath(path))
