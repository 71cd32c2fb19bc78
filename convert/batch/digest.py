"""What an export is, as one digest of all files that a conversion may look at.

Reading hundreds of exports to find that nothing has changed costs seconds. So it is remembered which digest a set of
files had and what their file system said of them: size, inode, and the times of the last change of content and of
status, in nanoseconds. While all of that is the same, the files are not read again. A program cannot set the time of
the last change of status (ctime); what was changed less than two seconds before it was read is never trusted, because
file systems count time in steps. This is what git does with its index.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from convert.export.archive import IGNORED_FOLDERS
from convert.writing import write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["File", "Ledger", "Part", "look"]

_SETTLED = 2_000_000_000  # nanoseconds; FAT counts in two seconds, everything else in less


@dataclass(frozen=True, slots=True)
class Part:
    """A file as it is found: `name` relative to what was looked at; `status` None for a link that is not followed."""

    name: str
    path: Path
    status: os.stat_result | None


@dataclass(frozen=True, slots=True)
class File:
    """A file of a bundle, as it was made; `size` in bytes."""

    name: str
    sha256: str
    size: int
    executable: bool


def look(places: Iterable[Path]) -> tuple[Part, ...]:
    """Every file at or below `places`, sorted; what an export's tree ignores (`convert.export.archive`) is left out.

    Raises:
        OSError: one cannot be looked at.
    """
    parts: list[Part] = []
    for place in places:
        status = place.stat()
        if stat.S_ISDIR(status.st_mode):
            parts += _walk(place, "")
        else:
            parts.append(Part(place.name, place, status))
    return tuple(parts)


def _walk(folder: Path, prefix: str) -> Iterator[Part]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        name = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in IGNORED_FOLDERS:
                yield from _walk(Path(entry.path), name + "/")
        elif entry.is_file():
            yield Part(name, Path(entry.path), entry.stat())
        elif entry.is_symlink():
            yield Part(name, Path(entry.path), None)


@dataclass
class Ledger:
    """Remembers digests of files that stay as they are.

    Args:
        path: where it is kept; a file that is damaged or not there is an empty ledger.
        trust: False reads every file again.
    """

    path: Path
    trust: bool = True
    _known: dict[str, tuple[str, str]] = field(default_factory=dict, init=False, repr=False)
    _used: dict[str, tuple[str, str]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            document = json.loads(self.path.read_bytes())
            self._known = {str(name): (str(stamp), str(digest)) for name, (stamp, digest) in document.items()}
        except (OSError, ValueError, AttributeError, TypeError, RecursionError):
            self._known = {}

    def digest(self, places: Iterable[Path]) -> str:
        """SHA-256 of names and contents of all files at or below `places`.

        Raises:
            OSError: one cannot be read.
        """
        paths = tuple(places)
        parts = look(paths)
        name, stamp = "\0".join(str(path.absolute()) for path in paths), _stamp(parts)
        if (known := self.known(name, stamp)) is not None:
            return known
        now = time.time_ns()
        whole = hashlib.sha256()
        for part in parts:
            content = b"link" if part.status is None else _content(part.path)
            whole.update(f"{part.name}\0{len(content)}\0".encode("utf-8", "surrogateescape") + content)
        self.remember(name, stamp, whole.hexdigest(), settled=_newest(parts) < now - _SETTLED)
        return whole.hexdigest()

    def known(self, name: str, stamp: str) -> str | None:
        """What was remembered of `name`, if its files still have this `stamp`."""
        found = self._known.get(name)
        if not self.trust or found is None or found[0] != stamp:
            return None
        self._used[name] = found
        return found[1]

    def remember(self, name: str, stamp: str, digest: str, *, settled: bool) -> None:
        """Keep `digest`; where the files are not `settled`, they will be read again."""
        if settled:
            self._used[name] = (stamp, digest)

    def verify(self, folder: Path, files: Iterable[File]) -> bool:
        """Whether each of these files is in `folder`, whole and as it was made."""
        files = tuple(files)
        try:
            parts = tuple(Part(file.name, folder / file.name, (folder / file.name).lstat()) for file in files)
        except OSError:
            return False
        if not all(map(_fits, parts, files)):
            return False
        name, stamp = "\0".join([str(folder.absolute()), *(file.name for file in files)]), _stamp(parts)
        wanted = hashlib.sha256("".join(file.sha256 for file in files).encode()).hexdigest()
        if (known := self.known(name, stamp)) is not None:
            return known == wanted
        now = time.time_ns()
        try:
            if any(_sha256(part.path) != file.sha256 for part, file in zip(parts, files, strict=True)):
                return False
        except OSError:
            return False
        self.remember(name, stamp, wanted, settled=_newest(parts) < now - _SETTLED)
        return True

    def save(self) -> None:
        """Write what was asked for since it was read; what nobody asked for is forgotten.

        Raises:
            OutputError: it cannot be written.
        """
        if self._used != self._known:
            write(self.path, json.dumps(dict(sorted(self._used.items())), indent=0).encode())


def _fits(part: Part, file: File) -> bool:
    """Whether it can be that file, by what is seen without reading it."""
    status = part.status
    assert status is not None
    can_run = bool(status.st_mode & stat.S_IXUSR)
    return stat.S_ISREG(status.st_mode) and status.st_size == file.size and can_run == file.executable


def _stamp(parts: Iterable[Part]) -> str:
    """What the file system says of all of them."""
    seen = hashlib.sha256()
    for part in parts:
        facts: tuple[int, ...] = ()
        if (status := part.status) is not None:
            times = status.st_mtime_ns, status.st_ctime_ns
            facts = status.st_mode, status.st_size, status.st_dev, status.st_ino, *times
        seen.update(repr((part.name, facts)).encode("utf-8", "surrogateescape"))
    return seen.hexdigest()


def _newest(parts: Iterable[Part]) -> int:
    times = (max(part.status.st_mtime_ns, part.status.st_ctime_ns) for part in parts if part.status)
    return max(times, default=0)


def _content(path: Path) -> bytes:
    """The digest of a file, so that contents of any size are joined in little memory."""
    return _sha256(path).encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
