"""Opens what the user named, a zip, a folder or a single file, as one read-only tree. Nothing is written to disk.

A folder may hold links in circles, pipes, devices and names that are no UTF-8. Members are read only when asked for.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from convert.errors import InputError
from convert.export.findings import LINK_IGNORED
from convert.export.tree import IGNORED_FOLDERS, MAX_BYTES, MAX_MEMBERS, Member, Tree, too_large
from convert.export.zips import zip_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from convert.findings import Finding

__all__ = ["folder_part", "is_folder", "open_tree", "open_zip_bytes", "read_file", "read_head"]

_MAX_DEPTH: Final = 40  # of folders; an Edge Impulse SDK has 12


@contextmanager
def open_tree(path: Path) -> Iterator[Tree]:
    """The files of the zip or folder `path`, or the single file.

    Raises:
        InputError: it is not there, is neither, cannot be read, or is a zip that breaks a rule above.
    """
    mode = _mode(path)
    if stat.S_ISDIR(mode):
        findings: list[Finding] = []
        yield _folder_tree(path, _walk(path, path, findings, 0), findings, path)
    elif _is_zip(path):
        try:
            file = path.open("rb")
        except OSError as error:
            raise _unreadable(path, error) from error
        with file, zip_tree(file, path) as tree:
            yield tree
    else:
        member = Member(path.name, _size(path))
        yield Tree("file", path, {member.path: member}, (), lambda _, limit: read_file(path, limit))


@contextmanager
def open_zip_bytes(data: bytes, name: Path) -> Iterator[Tree]:
    """The files of a zip that is itself the content of a member called `name`."""
    with BytesIO(data) as file, zip_tree(file, name) as tree:
        yield tree


def read_file(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The content of a regular file.

    Raises:
        InputError: it is not there, is no regular file, cannot be read, or is larger than `limit` bytes.
    """
    mode = _mode(path)
    if not stat.S_ISREG(mode):
        raise InputError("this is no regular file", path=path, hint="give a file, a folder or a zip")
    try:
        # Not blocking: between the look and the opening the file may have become a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            # Asked first, so that a huge file is refused before it fills the memory; a growing one is cut off.
            data = b"" if os.fstat(descriptor).st_size > limit else file.read(limit + 1)
            is_large = len(data) > limit or os.fstat(descriptor).st_size > limit
    except OSError as error:
        raise _unreadable(path, error) from error
    if is_large:
        raise too_large(limit, str(path))
    return data


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder.

    Raises:
        InputError: it is not there or cannot be looked at.
    """
    return stat.S_ISDIR(_mode(path))


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:  # a NUL in the name
        raise InputError(f"not a path: {error}", hint="check the name") from error


def _unreadable(path: Path, error: OSError) -> InputError:
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    return InputError(
        f"cannot read it: {error.strerror or error}",
        path=path,
        hint="check the name" if missing else "check its permissions, or copy it elsewhere",
    )


def _is_zip(path: Path) -> bool:
    """By its first bytes; an archive with something in front (a self-extracting one) is none of Edge Impulse's."""
    return read_head(path, 4) in {b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"}


def read_head(path: Path, size: int) -> bytes:
    """The first `size` bytes of a regular file, fewer when it is shorter.

    Raises:
        InputError: as `read_file`.
    """
    if not stat.S_ISREG(_mode(path)):
        raise InputError("this is no regular file", path=path, hint="give a file, a folder or a zip")
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise _unreadable(path, error) from error


def folder_part(root: Path, parts: Iterable[Path], shown: Path) -> Tree:
    """The files at and below `parts`, which lie in the folder `root`; messages call that `shown`."""
    findings: list[Finding] = []
    places = (place for part in parts for place in (_walk(root, part, findings, 0) if part.is_dir() else [part]))
    return _folder_tree(root, places, findings, shown)


def _folder_tree(root: Path, places: Iterable[Path], findings: list[Finding], shown: Path) -> Tree:
    members: dict[str, Member] = {}
    names: dict[str, Path] = {}
    for place in places:
        if len(members) >= MAX_MEMBERS:
            raise InputError(f"it holds more than {MAX_MEMBERS} files", path=shown, hint="give the export's own folder")
        # Names that are no UTF-8 are shown with replacement characters; the file is still opened by its own name.
        path = place.relative_to(root).as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        members[path] = Member(path, _size(place))
        names[path] = place
    return Tree(
        "folder",
        shown,
        dict(sorted(members.items())),
        tuple(findings),
        lambda path, limit: read_file(names[path], limit),
    )


def _size(place: Path) -> int:
    try:
        return place.stat().st_size
    except OSError as error:
        raise _unreadable(place, error) from error


def _walk(root: Path, folder: Path, findings: list[Finding], depth: int) -> Iterator[Path]:
    """Regular files below `folder`, and links to regular files; linked folders are not entered, pipes not opened."""
    if depth > _MAX_DEPTH:
        raise InputError(f"folders are nested deeper than {_MAX_DEPTH}", path=root, hint="give the export's own folder")
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        if folder == root:
            raise _unreadable(folder, error) from error
        findings.append(LINK_IGNORED.found(f"this folder cannot be read: {error.strerror}", path=folder))
        return
    for entry in found:
        place = Path(entry.path)
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
            is_file = entry.is_file()
            is_linked_folder = entry.is_symlink() and entry.is_dir()
        except OSError:  # a link that leads round in a circle
            is_folder, is_file, is_linked_folder = False, False, True
        if is_folder and entry.name not in IGNORED_FOLDERS:
            yield from _walk(root, place, findings, depth + 1)
        elif is_linked_folder:
            findings.append(LINK_IGNORED.found("a link to a folder is not followed", path=place))
        elif is_file:
            yield place
