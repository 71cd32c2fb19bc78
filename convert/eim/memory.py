"""Shared memory for features, and the removal of what killed servers left.

POSIX shared memory is a file in /dev/shm on Linux. The server that made it holds a lock on the file as long as it
lives; the kernel takes the lock back even from a process that is killed, so an unlocked file of our name is a leftover.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FOLDER", "PREFIX", "Features", "attach", "remove_leftovers"]

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
        self._file, self.path = _create(elements * _FLOAT)
        try:
            self._map = mmap.mmap(self._file, elements * _FLOAT)
        except OSError:
            self._remove()
            raise

    def described(self) -> dict[str, Any]:
        """The `features_shm` of a hello answer."""
        return {
            "name": f"/{self.path.name}",
            "size_bytes": self.elements * _FLOAT,
            "type": "float32",
            "elements": self.elements,
        }

    def read(self) -> NDArray[np.float32]:
        """A copy of what is in it: a client may go on writing."""
        import numpy as np  # noqa: PLC0415 - the server imports it after binding its socket

        return np.frombuffer(self._map[:], np.float32)

    def clear(self) -> None:
        """Zero it: the next client shall not read the last one's pictures."""
        self._map[:] = bytes(len(self._map))

    def close(self) -> None:
        """Remove it; clients that hold it keep theirs."""
        self._map.close()
        self._remove()

    def _remove(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self._file)


def attach(described: dict[str, Any]) -> mmap.mmap | None:
    """The memory a hello answer names, if it exists and is as large as said; else None."""
    try:
        name, size = str(described["name"]), int(described["size_bytes"])
        if "/" in name.removeprefix("/") or size != int(described["elements"]) * _FLOAT:
            return None
        file = os.open(FOLDER / name.removeprefix("/"), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (KeyError, TypeError, ValueError, OSError):
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


def _create(size: int) -> tuple[int, Path]:
    """A new, locked file of `size` bytes."""
    while True:
        path = FOLDER / f"{PREFIX}{secrets.token_hex(6)}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.posix_fallocate(file, 0, size)  # a full /dev/shm is told now, not by SIGBUS later
            if path.exists() and path.stat().st_ino == os.fstat(file).st_ino:
                return file, path
        except OSError:
            path.unlink(missing_ok=True)
            os.close(file)
            raise
        os.close(file)  # another server took it for a leftover before it was locked
