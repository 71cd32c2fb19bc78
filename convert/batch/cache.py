"""The cache of converted bundles: keys, entries, storing, restoring and pruning.

    CACHE/CACHEDIR.TAG              excludes the folder from backups (bford.info/cachedir)
    CACHE/entries/ab/abcd...        one bundle: a line of JSON that describes it, then its files
    CACHE/ledgers/...               digests of files by their status, one file for each output folder (`Ledger`)
    CACHE/locks/...                 empty; locked with flock(2) while a bundle with such a key is made

The key is one digest of all that decides the bytes of a bundle: the export, the options, this program and the libraries
it uses; not time limits, the output folder or the number of workers. An entry's first line begins with its own SHA-256
and holds that of every file: a damaged entry is noticed and made again. A lock ends with the process that holds it.

Reading hundreds of exports only to find that nothing has changed takes seconds. So a ledger stores, with the digest of
a set of files, their size, inode and times of the last change of content and of status, in nanoseconds. While all of
these are the same the files are not read again. A program cannot set the time of the last change of status (ctime);
what was changed less than two seconds before it was read is never trusted, because file systems count time in steps.
git does the same with its index.

Findings name places as the user named the export; another run may find the same export elsewhere, so that part of a
path is stored as a reference to the export. Findings about the output folder are not stored but made anew each time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import platform
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache as cached
from pathlib import Path
from typing import Any

from convert import __version__, errors
from convert.batch.plan import Job, Outcome, State, short_name
from convert.emit.files import LEFT_FROM_ANOTHER_ROLE, OTHER_BUNDLE_IN_FOLDER, STALE_ENGINE, beside, stale_engines
from convert.export.archive import IGNORED_FOLDERS, places
from convert.files import Output, configs, make_folder, sha256, write, write_all
from convert.findings import Finding, Level

SCHEMA = 1
"""Version of the cache's format; entries of another version are not found."""

_LIBRARIES = ("ai-edge-litert", "flatbuffers", "numpy", "onnx", "onnxruntime", "pillow", "protobuf", "tf2onnx")
_ON_DEMAND = {"tensorflow": "tensorflow", "tensorrt": "tensorrt-rtx"}  # option -> library that only it needs
_NO_BYTES = {"timeout"}  # options that decide whether there is a bundle, not what is in it
_SETTLED = 2_000_000_000  # nanoseconds; FAT has steps of two seconds, other file systems shorter ones
_TAG = b"""Signature: 8a477f597d28d172789f06886806bc55
# This folder is a cache of ei-deepstream; see `ei-deepstream cache info`. Backups may leave it out.
"""
_LONGEST = 1 << 24  # bytes of an entry's first line; a thousand findings are some hundred thousand
_LOCK_DIGITS = 3  # hexadecimal digits of a key that name its lock: 4096 files at most, and few models share one
_PERIOD = 0.1  # seconds between two attempts to lock
_FOLDER_RULES = {LEFT_FROM_ANOTHER_ROLE.id, OTHER_BUNDLE_IN_FOLDER.id, STALE_ENGINE.id}


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file that `list_files` found; `name` is relative to its folder, `status` None for a link not followed."""

    name: str
    path: Path
    status: os.stat_result | None


@dataclass(frozen=True, slots=True)
class BundleFile:
    """A file of a bundle, as it was written; `size` in bytes."""

    name: str
    sha256: str
    size: int
    executable: bool


def list_files(places: Iterable[Path]) -> tuple[ListedFile, ...]:
    """Every file at or below `places`, sorted, without the folders that `convert.export.archive` ignores.

    Raises:
        OSError: the status of one cannot be read.
    """
    parts: list[ListedFile] = []
    for place in places:
        status = place.stat()
        if stat.S_ISDIR(status.st_mode):
            parts += _below(place, "")
        else:
            parts.append(ListedFile(place.name, place, status))
    return tuple(parts)


def _below(folder: Path, prefix: str) -> Iterator[ListedFile]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        name = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in IGNORED_FOLDERS:
                yield from _below(Path(entry.path), name + "/")
        elif entry.is_file():
            yield ListedFile(name, Path(entry.path), entry.stat())
        elif entry.is_symlink():
            yield ListedFile(name, Path(entry.path), None)


@dataclass
class Ledger:
    """Remembers digests of files that do not change.

    Args:
        path: its file; one that is damaged or missing is an empty ledger.
        trust: False reads every file again.
    """

    path: Path
    trust: bool = True

    def __post_init__(self) -> None:
        self._used: dict[str, tuple[str, str]] = {}
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
        parts = list_files(paths)

        def compute() -> str:
            whole = hashlib.sha256()
            for part in parts:  # contents by their digests: files of any size take little memory
                content = b"link" if part.status is None else _sha256(part.path).encode()
                whole.update(f"{part.name}\0{len(content)}\0".encode("utf-8", "surrogateescape") + content)
            return whole.hexdigest()

        return self._digest("\0".join(str(path.absolute()) for path in paths), parts, compute)

    def verify(self, folder: Path, files: Iterable[BundleFile]) -> bool:
        """Whether each of these files is in `folder`, complete and as it was written."""
        files = tuple(files)
        try:
            parts = tuple(ListedFile(file.name, folder / file.name, (folder / file.name).lstat()) for file in files)
            if not all(map(_fits, parts, files)):
                return False
            digest = self._digest(
                "\0".join([str(folder.absolute()), *(file.name for file in files)]),
                parts,
                lambda: sha256("".join(_sha256(part.path) for part in parts).encode()),
            )
        except OSError:
            return False
        return digest == sha256("".join(file.sha256 for file in files).encode())

    def _digest(self, name: str, parts: Iterable[ListedFile], compute: Callable[[], str]) -> str:
        """The digest stored under `name` while the status of `parts` is the same, else that of `compute`."""
        stamp = _stamp(parts)
        known = self._known.get(name)
        if self.trust and known is not None and known[0] == stamp:
            self._used[name] = known
            return known[1]
        now = time.time_ns()
        digest = compute()
        if _newest(parts) < now - _SETTLED:
            self._used[name] = (stamp, digest)
        return digest

    def save(self) -> None:
        """Write the digests that were used since the ledger was read; others are dropped.

        Raises:
            OutputError: it cannot be written.
        """
        if self._used != self._known:
            write(self.path, json.dumps(dict(sorted(self._used.items())), indent=0).encode())


def _fits(part: ListedFile, file: BundleFile) -> bool:
    """Whether `part` can be `file`, judged without reading it."""
    status = part.status
    assert status is not None
    can_run = bool(status.st_mode & stat.S_IXUSR)
    return stat.S_ISREG(status.st_mode) and status.st_size == file.size and can_run == file.executable


def _stamp(parts: Iterable[ListedFile]) -> str:
    """A digest of the status of all of them."""
    whole = hashlib.sha256()
    for part in parts:
        facts: tuple[int, ...] = ()
        if (status := part.status) is not None:
            times = status.st_mtime_ns, status.st_ctime_ns
            facts = status.st_mode, status.st_size, status.st_dev, status.st_ino, *times
        whole.update(repr((part.name, facts)).encode())
    return whole.hexdigest()


def _newest(parts: Iterable[ListedFile]) -> int:
    times = (max(part.status.st_mtime_ns, part.status.st_ctime_ns) for part in parts if part.status)
    return max(times, default=0)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key_of(job: Job, ledger: Ledger) -> str:
    """The key of `job`'s bundle.

    Raises:
        OSError: a file it depends on cannot be read.
    """
    options = {name: _as_json(value, ledger) for name, value in job.options if name not in _NO_BYTES}
    extra = {*libraries(options), "tensorflow"}  # any export may hold a Keras model; only reading it tells
    exports = [[path.name, short_name(path), ledger.digest(places(path))] for path in job.exports]
    document = {
        "schema": SCHEMA,
        "environment": environment(tuple(sorted(extra))),
        "exports": exports,
        "options": options,
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def libraries(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Libraries that a conversion needs only with some of these options."""
    return tuple(library for option, library in _ON_DEMAND.items() if options.get(option))


@cached
def environment(extra: tuple[str, ...] = ()) -> dict[str, str]:
    """Versions of what decides bytes, and a digest of this program's own files: `configs/` may be edited."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    def found(library: str) -> str:
        try:
            return version(library)
        except PackageNotFoundError:
            return ""

    return {
        "ei-deepstream": __version__,
        "files": _own_files(),
        "python": ".".join(map(str, sys.version_info[:2])),
        "machine": platform.machine(),
        **{library: found(library) for library in (*_LIBRARIES, *extra)},
    }


def _own_files() -> str:
    package = Path(__file__).resolve().parents[1]
    whole = hashlib.sha256()
    for root, pattern in ((package, "*.py"), (configs(), "*.toml"), (configs(), "bundle/*")):
        for path in sorted(root.rglob(pattern)):
            content = path.read_bytes()
            whole.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def _as_json(value: object, ledger: Ledger) -> Any:
    """An option's value as JSON; files and folders by their content."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return ["content of", ledger.digest((value,))]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _as_json(getattr(value, field.name), ledger) for field in dataclasses.fields(value)}
        return [type(value).__name__, fields]
    if isinstance(value, list | tuple):
        return [_as_json(item, ledger) for item in value]
    assert value is None or isinstance(value, bool | int | float | str), f"an option of type {type(value).__name__}"
    return value


class DamagedEntry(Exception):
    """An entry that is not as it was written."""


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A stored bundle.

    Attributes:
        exports: file names of its exports, for information.
        files: in the order they are written.
        findings: of the conversion, without those about the output folder.
        summary: see `convert.batch.plan.Outcome`.
    """

    exports: tuple[str, ...]
    files: tuple[BundleFile, ...]
    findings: tuple[Finding, ...]
    summary: tuple[tuple[str, Any], ...]


def cache_folder(given: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The cache folder: `given`, else $EI_DEEPSTREAM_CACHE, else by the XDG Base Directory Specification.

    Raises:
        OutputError: there is no home folder.
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
            raise errors.OutputError("there is no home folder to keep a cache in", hint="give --cache-dir") from error
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
            time.sleep(_PERIOD)  # not blocking in the kernel, so that Ctrl-C works
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


def _unusable(verb: str, path: Path, error: OSError) -> errors.OutputError:
    return errors.OutputError(f"cannot {verb} it: {error.strerror or error}", path=path, hint="choose another place")


@dataclass(frozen=True)
class Cache:
    """Entries below `folder`, which is made when it is first needed."""

    folder: Path

    def entry(self, key: str) -> CacheEntry | None:
        """The entry `key`; None where there is none.

        Raises:
            DamagedEntry: it is not as it was written.
        """
        try:
            with self.place(key).open("rb") as file:
                return _head(file.readline(_LONGEST), key)
        except OSError:  # missing, or not readable: storing it will report that
            return None

    def contents(self, key: str) -> dict[str, bytes]:
        """The files of the entry `key`, in order.

        Raises:
            DamagedEntry: it is not as it was written, or missing.
        """
        try:
            data = self.place(key).read_bytes()
        except OSError as error:
            raise DamagedEntry(str(error)) from error
        line, _, body = data.partition(b"\n")
        entry = _head(line, key)
        files, start = {}, 0
        for file in entry.files:
            content = body[start : start + file.size]
            if sha256(content) != file.sha256:
                raise DamagedEntry(f"{file.name} is not what was written")
            files[file.name] = content
            start += file.size
        return files

    def store(self, key: str, entry: CacheEntry, files: Mapping[str, bytes]) -> None:
        """Store `files` (name -> content, those of `entry`).

        Raises:
            OutputError: it cannot be written.
        """
        self.prepare()
        place = self.place(key)
        write(place, _line(entry, key) + b"".join(files[file.name] for file in entry.files))

    def used(self, key: str) -> None:
        """Set the time of the entry's last use."""
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
        place = self.folder / "locks" / key[:_LOCK_DIGITS]
        try:
            place.parent.mkdir(exist_ok=True)
            place.touch()
        except OSError as error:
            raise _unusable("write", place, error) from error
        with locked(place, wait=wait) as held:
            yield held

    def ledger(self, output: Path) -> Path:
        """The file of the ledger of the output folder `output`."""
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
        """Bytes of an entry, and its last use in seconds since 1970; (0, 0) where it was just removed."""
        try:
            status = self.place(key).stat()
        except OSError:
            return 0, 0.0
        return status.st_size, status.st_mtime

    def place(self, key: str) -> Path:
        """The file of the entry `key`."""
        return self.folder / "entries" / key[:2] / key


def _line(entry: CacheEntry, key: str) -> bytes:
    document = {
        "schema": SCHEMA,
        "key": key,
        "exports": entry.exports,
        "files": [[file.name, file.sha256, file.size, file.executable] for file in entry.files],
        "findings": [[getattr(finding, name) for name in Finding.__slots__] for finding in entry.findings],
        "summary": dict(entry.summary),
    }
    text = json.dumps(document).encode()
    return sha256(text).encode() + b" " + text + b"\n"


def _head(line: bytes, key: str) -> CacheEntry:
    """The entry that its first line describes.

    Raises:
        DamagedEntry: it is not as `_line` made it for `key`.
    """
    digest, _, text = line.rstrip(b"\n").partition(b" ")
    if digest != sha256(text).encode():
        raise DamagedEntry("its first line is not what was written")
    document = json.loads(text)
    if (document["schema"], document["key"]) != (SCHEMA, key):
        raise DamagedEntry("it is another entry")
    findings = (Finding(id_, Level(level), *rest) for id_, level, *rest in document["findings"])
    return CacheEntry(
        tuple(document["exports"]),
        tuple(BundleFile(*file) for file in document["files"]),
        tuple(findings),
        tuple(document["summary"].items()),
    )


class BundleChanged(Exception):
    """The bundle in its folder is not what its conversion wrote: another program writes there."""


def store(job: Job, outcome: Outcome, key: str, cache: Cache) -> None:
    """Store what the conversion of `job` wrote.

    Raises:
        BundleChanged: it is missing, or was changed.
        OutputError: the cache cannot be written.
    """
    files, described = {}, []
    for output in outcome.outputs:
        path = Path(output.path)
        try:
            data, mode = path.read_bytes(), path.stat().st_mode
        except OSError as error:
            raise BundleChanged(str(error)) from error
        if sha256(data) != output.sha256:
            raise BundleChanged(f"{path} was changed")
        files[path.name] = data
        described.append(BundleFile(path.name, output.sha256, len(data), bool(mode & 0o100)))
    findings = tuple(_stored(finding, job) for finding in outcome.findings if finding.id not in _FOLDER_RULES)
    names = tuple(path.name for path in job.exports)
    cache.store(key, CacheEntry(names, tuple(described), findings, outcome.summary), files)


def restore(job: Job, key: str, cache: Cache, ledger: Ledger) -> Outcome | None:
    """The outcome of `job` without a conversion, its bundle in place; None where the cache has no such entry.

    Raises:
        DamagedEntry: the entry is damaged.
        OutputError: the bundle cannot be written.
    """
    entry = cache.entry(key)
    if entry is None:
        return None
    name = dict(entry.summary).get("bundle")
    if not entry.files or not isinstance(name, str):
        raise DamagedEntry("it describes no bundle")
    is_there = ledger.verify(job.output, entry.files)
    around = write_bundle(
        job,
        name,
        [file.name for file in entry.files],
        None if is_there else cache.contents(key),
        frozenset(file.name for file in entry.files if file.executable),
    )
    cache.used(key)
    state = State.UNCHANGED if is_there else State.RESTORED
    findings = (*(_shown(finding, job) for finding in entry.findings), *around)
    outputs = tuple(Output(str(job.output / file.name), file.sha256) for file in entry.files)
    return Outcome(job.name, state, 0, findings=findings, outputs=outputs, summary=entry.summary)


def write_bundle(
    job: Job, name: object, names: Sequence[str], files: Mapping[str, bytes] | None, executables: frozenset[str]
) -> tuple[Finding, ...]:
    """Write a bundle that was made elsewhere; returns findings about other files in its folder.

    Args:
        name: of the bundle, where known.
        names: of its files.
        files: their contents; None where they are there already.

    Raises:
        OutputError: they cannot be written.
    """
    around = beside(job.output, name, names) if job.sgie is None and isinstance(name, str) else ()
    if files is not None:
        write_all(job.output, files, executables=executables)
    return around + tuple(
        finding for each in names if each.endswith(".onnx") for finding in stale_engines(job.output, each)
    )


def _stored(finding: Finding, job: Job) -> Finding:
    """A path at or around an export becomes "NUL, number of the export, /, path from there"; no path has a NUL."""
    if finding.path is None:
        return finding
    for number, export in enumerate(job.exports):
        near = [str(export), *(str(folder) for folder in (export.parent, export.parent.parent) if folder.name)]
        if any(finding.path == place or finding.path.startswith(place + os.sep) for place in near):
            return replace(finding, path=f"\0{number}/{os.path.relpath(finding.path, export)}")
    return finding


def _shown(finding: Finding, job: Job) -> Finding:
    """The inverse of `_stored`."""
    if finding.path is None or not finding.path.startswith("\0"):
        return finding
    number, _, relative = finding.path[1:].partition("/")
    return replace(finding, path=os.path.normpath(job.exports[int(number)] / relative))


@dataclass(frozen=True, slots=True)
class Usage:
    """Contents of a cache: number of entries, bytes of all, number of damaged ones."""

    folder: str
    entries: int
    bytes: int
    damaged: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """Number and bytes of removed entries, and how many are left."""

    folder: str
    removed: int
    bytes: int
    left: int


def usage(cache: Cache) -> Usage:
    """Contents of `cache`; every file is read to find damaged ones."""
    keys = cache.all_keys()
    damaged = sum(_is_damaged(cache, key) for key in keys)
    return Usage(str(cache.folder), len(keys), sum(cache.size(key)[0] for key in keys), damaged)


def prune(cache: Cache, *, older_than: float, max_size: int | None = None) -> Pruned:
    """Remove entries that are damaged, were not used for `older_than` seconds, or are more than `max_size` bytes.

    A run at the same time may miss an entry, and then converts that model again.
    """
    now = time.time()
    left: list[tuple[float, int, str]] = []
    removed = freed = 0
    for key in cache.all_keys():
        size, used = cache.size(key)
        if now - used >= older_than or _is_damaged(cache, key):
            cache.drop(key)
            removed, freed = removed + 1, freed + size
        else:
            left.append((used, size, key))
    left.sort()
    total = sum(size for _, size, _ in left)
    while max_size is not None and left and total > max_size:
        _, size, key = left.pop(0)
        cache.drop(key)
        removed, freed, total = removed + 1, freed + size, total - size
    for path in (cache.folder / "ledgers").glob("*.json"):  # of output folders without a run since then
        with contextlib.suppress(OSError):
            if path.stat().st_mtime <= now - older_than:
                path.unlink()
    return Pruned(str(cache.folder), removed, freed, len(left))


def _is_damaged(cache: Cache, key: str) -> bool:
    try:
        cache.contents(key)
    except DamagedEntry:
        return True
    return False
