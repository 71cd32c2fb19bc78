"""Bundles that were converted before, by what they were made from: one file an entry, whole or not there.

    CACHE/CACHEDIR.TAG              what backups leave out (bford.info/cachedir)
    CACHE/entries/ab/abcd...        one bundle: a line of JSON that describes it, then its files
    CACHE/ledgers/...               see `convert.batch.digest`
    CACHE/locks/...                 empty; locked with flock(2) while a bundle with such a key is made

The first line begins with its own SHA-256 and says that of every file, so that a damaged entry is noticed whatever
damaged it, and made again. Locks end with the process that holds them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.batch.digest import File
from convert.batch.key import SCHEMA
from convert.errors import OutputError
from convert.findings import Finding, Level
from convert.writing import make_folder, sha256, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Cache", "Damaged", "Entry", "cache_folder", "locked"]

_TAG = b"""Signature: 8a477f597d28d172789f06886806bc55
# This folder is a cache of ei-deepstream; see `ei-deepstream cache info`. Backups may leave it out.
"""
_LOCKS = 3  # hexadecimal digits of a key that choose its lock: 4096 files at most, and few models share one
_PERIOD = 0.1  # seconds between two tries for a lock


class Damaged(Exception):
    """An entry that is not what was written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a bundle.

    Attributes:
        exports: names of what it was made from, for people.
        files: in the order they are written.
        findings: of the conversion, but for what was found in the folder it was written into.
        summary: see `convert.batch.job.Outcome`.
    """

    exports: tuple[str, ...]
    files: tuple[File, ...]
    findings: tuple[Finding, ...]
    summary: tuple[tuple[str, Any], ...]


def cache_folder(given: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the cache is: `given`, else $EI_DEEPSTREAM_CACHE, else what the XDG Base Directory Specification says.

    Raises:
        OutputError: nothing says it: there is no home folder.
    """
    if given is not None:
        return given
    if named := environment.get("EI_DEEPSTREAM_CACHE"):
        return Path(named)
    # "All paths set in these environment variables must be absolute. If an implementation encounters a relative path
    # [...] it should consider the path invalid and ignore it."
    base = Path(environment.get("XDG_CACHE_HOME") or "")
    if not base.is_absolute():
        try:
            base = Path.home() / ".cache"
        except RuntimeError as error:
            raise OutputError("there is no home folder to keep a cache in", hint="give --cache-dir") from error
    return base / "ei-deepstream"


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of the file or folder `path`, which exists; False where another process does and `wait` is not set.

    Raises:
        OutputError: this file system has no locks, or `path` cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _unusable("open", path, error) from error
    try:
        held = _try(descriptor, path)
        while wait and not held:
            time.sleep(_PERIOD)  # not blocking in the kernel, so that Ctrl-C is heard
            held = _try(descriptor, path)
        yield held
    finally:
        os.close(descriptor)


def _try(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise _unusable("lock", path, error) from error
    return True


def _unusable(verb: str, path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot {verb} it: {error.strerror or error}", path=path, hint="choose another place")


@dataclass(frozen=True)
class Cache:
    """Entries below `folder`, which is made when it is first needed."""

    folder: Path

    def entry(self, key: str) -> Entry | None:
        """What is known of `key`; None where it is not there.

        Raises:
            Damaged: it is, and is not what was written.
        """
        try:
            with self.place(key).open("rb") as file:
                entry = _head(file.readline(_LONGEST), key)
        except OSError:  # not there, or not to be read: storing it will tell
            return None
        return entry

    def contents(self, key: str) -> dict[str, bytes]:
        """The files of the entry `key`, in order.

        Raises:
            Damaged: it is not what was written, or not there.
        """
        try:
            data = self.place(key).read_bytes()
        except OSError as error:
            raise Damaged(str(error)) from error
        line, _, body = data.partition(b"\n")
        entry = _head(line, key)
        files, start = {}, 0
        for file in entry.files:
            content = body[start : start + file.size]
            if sha256(content) != file.sha256:
                raise Damaged(f"{file.name} is not what was written")
            files[file.name] = content
            start += file.size
        return files

    def store(self, key: str, entry: Entry, files: Mapping[str, bytes]) -> None:
        """Keep `files` (name -> content, those of `entry`).

        Raises:
            OutputError: it cannot be written.
        """
        self.prepare()
        place = self.place(key)
        make_folder(place.parent)
        write(place, _line(entry, key) + b"".join(files[file.name] for file in entry.files))

    def used(self, key: str) -> None:
        """Note that the entry `key` was of use now."""
        with contextlib.suppress(OSError):
            os.utime(self.place(key))

    def drop(self, key: str) -> None:
        """Remove the entry `key`, if it is there."""
        with contextlib.suppress(OSError):
            self.place(key).unlink()

    @contextlib.contextmanager
    def lock(self, key: str, *, wait: bool) -> Iterator[bool]:
        """Hold the lock of `key`; False where another process holds it and `wait` is not set.

        Raises:
            OutputError: it cannot be made.
        """
        self.prepare()
        place = self.folder / "locks" / key[:_LOCKS]
        try:
            place.parent.mkdir(exist_ok=True)
            place.touch()
        except OSError as error:
            raise _unusable("write", place, error) from error
        with locked(place, wait=wait) as held:
            yield held

    def ledger(self, output: Path) -> Path:
        """Where the ledger of the output folder `output` is kept."""
        name = sha256(str(output.absolute()).encode("utf-8", "surrogateescape"))[:32]
        return self.folder / "ledgers" / f"{name}.json"

    def prepare(self) -> None:
        """Make the folder, with its tag.

        Raises:
            OutputError: it cannot be made or written to.
        """
        make_folder(self.folder)
        if not (self.folder / "CACHEDIR.TAG").exists():
            write(self.folder / "CACHEDIR.TAG", _TAG)

    def all_keys(self) -> list[str]:
        """Of all entries, damaged ones included."""
        places = (self.folder / "entries").glob("[0-9a-f][0-9a-f]/*")
        return sorted(place.name for place in places if not place.name.startswith("."))

    def size(self, key: str) -> tuple[int, float]:
        """Bytes of an entry, and when it was last used, in seconds since 1970; (0, 0) where it has just gone."""
        try:
            status = self.place(key).stat()
        except OSError:
            return 0, 0.0
        return status.st_size, status.st_mtime

    def place(self, key: str) -> Path:
        """Where the entry `key` is, if it is there."""
        return self.folder / "entries" / key[:2] / key


_LONGEST = 1 << 24  # bytes of an entry's first line; a thousand findings are some hundred thousand


def _line(entry: Entry, key: str) -> bytes:
    document = {
        "schema": SCHEMA,
        "key": key,
        "exports": entry.exports,
        "files": [[file.name, file.sha256, file.size, file.executable] for file in entry.files],
        "findings": [[getattr(finding, name) for name in Finding.__slots__] for finding in entry.findings],
        "summary": dict(entry.summary),
    }
    text = json.dumps(document).encode()
    return hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n"


def _head(line: bytes, key: str) -> Entry:
    """The entry that its first line describes.

    Raises:
        Damaged: it is not as `_line` made it for `key`.
    """
    digest, _, text = line.rstrip(b"\n").partition(b" ")
    if digest != hashlib.sha256(text).hexdigest().encode():
        raise Damaged("its first line is not what was written")
    document = json.loads(text)
    if (document["schema"], document["key"]) != (SCHEMA, key):
        raise Damaged("it is another entry")
    findings = (Finding(id_, Level(level), *rest) for id_, level, *rest in document["findings"])
    return Entry(
        tuple(document["exports"]),
        tuple(File(*file) for file in document["files"]),
        tuple(findings),
        tuple(document["summary"].items()),
    )
