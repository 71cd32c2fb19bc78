"""Every file we write lands whole or not at all: written beside its place, flushed, then renamed.

A run that is killed leaves at most a hidden `.NAME.PID.part` file, which the next write into that folder removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["WRITES", "Output", "is_running", "make_folder", "sha256", "write", "write_all"]

WRITES = "ei-deepstream.writes"
"""The audit event (PEP 578) that names every file written, or found as it should be; `--depfile` listens to it."""

_SIDE_BY_SIDE = 16
"""Files that are flushed at the same time. The file system commits its journal once for all that wait for it, so many
files take little longer than one."""

_PART = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)\.part")


@dataclass(frozen=True, slots=True)
class Output:
    """A file that was written, or in a dry run would be (then `sha256` is None)."""

    path: str
    sha256: str | None


def sha256(data: bytes) -> str:
    """Lower-case hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents.

    Raises:
        OutputError: it cannot be created, is a file, or cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot("create the folder", folder, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            "the output folder is not writable",
            path=folder,
            hint="choose another folder with -o, or fix its permissions",
        )


def write(path: Path, data: bytes, *, executable: bool = False) -> Output:
    """Write one file whole (see `write_all`)."""
    (output,) = write_all(path.parent, {path.name: data}, executables=frozenset({path.name} if executable else ()))
    return output


def write_all(
    folder: Path, files: Mapping[str, bytes], *, executables: frozenset[str] = frozenset()
) -> tuple[Output, ...]:
    """Write `files` (name -> content) into `folder`, in order.

    First every content is written beside its place and flushed; only when all of them are on disk are they renamed, in
    the order given, so put the file that describes the others last. A file that already has this content is left
    untouched, modification time included, so that make rebuilds nothing in vain.

    Raises:
        OutputError: no space, no permission, a folder in the way; earlier files are then intact.
    """
    make_folder(folder)
    _remove_leftovers(folder)
    umask = os.umask(0)
    os.umask(umask)
    parts: list[tuple[Path, Path]] = []
    contents: list[tuple[Path, bytes, int]] = []
    try:
        for name, data in files.items():
            place = folder / name
            sys.audit(WRITES, str(place))
            mode = 0o755 if name in executables else 0o644
            if _is_current(place, data, mode):
                continue
            if place.is_dir():
                raise OutputError(
                    "a folder stands where this file belongs", path=place, hint="remove it or choose another -o"
                )
            part = folder / f".{name}.{os.getpid()}.part"
            parts.append((part, place))
            contents.append((part, data, mode & ~umask))  # the same permissions apart from what the umask takes away
        if len(contents) < 2:
            for one in contents:
                _write_part(*one)
        else:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - much that writes nothing imports this

            with ThreadPoolExecutor(min(len(contents), _SIDE_BY_SIDE)) as threads:  # all are on disk when it ends
                list(threads.map(_write_part, *zip(*contents, strict=True)))  # raises the first error
        for part, place in parts:
            part.replace(place)
    except OSError as error:
        raise _cannot("write", Path(error.filename or folder), error) from error
    finally:
        for part, _ in parts:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
    return tuple(Output(str(folder / name), sha256(data)) for name, data in files.items())


def _write_part(part: Path, data: bytes, mode: int) -> None:
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.chmod(mode)


def _is_current(place: Path, data: bytes, mode: int) -> bool:
    try:
        status = place.lstat()
        return (
            stat.S_ISREG(status.st_mode)
            and status.st_size == len(data)
            and bool(status.st_mode & 0o100) == bool(mode & 0o100)
            and place.read_bytes() == data
        )
    except OSError:
        return False


def _remove_leftovers(folder: Path) -> None:
    """Remove the `.part` files of processes that no longer run."""
    for candidate in folder.glob(".*.part"):
        match = _PART.fullmatch(candidate.name)
        if match and not is_running(int(match["pid"])):
            with contextlib.suppress(OSError):
                candidate.unlink()


def is_running(pid: int) -> bool:
    """Whether another process has this number, and is not just waiting for its parent to take note of its end."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid != os.getpid() and not _is_dead(pid)


def _is_dead(pid: int) -> bool:
    """Whether it was killed and only waits for its parent to take note (proc(5), stat: state Z or X)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in {"Z", "X"}


def _cannot(verb: str, path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot {verb}: {error.strerror or error}",
        path=path,
        hint="check free space and permissions, or choose another -o",
    )
