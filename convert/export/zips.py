"""Reads a zip as a tree: nothing is extracted, and what no export of Edge Impulse has is refused.

A zip is not to be trusted: its names may lead outside, its members may be links, be encrypted, or swell to many times
their size. The format is PKWARE's APPNOTE.TXT as `zipfile` reads it.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final

from convert.errors import InputError
from convert.export.findings import LINK_IGNORED
from convert.export.tree import (
    IGNORED_FOLDERS,
    MAX_MEMBERS,
    MAX_RATIO,
    RATIO_FROM,
    WHOLE,
    Member,
    Tree,
    too_large,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from convert.findings import Finding

__all__ = ["zip_tree"]

_UNPACK: Final = "unpack it with another program and give the folder instead"
_ENCRYPTED: Final = 0x1  # general purpose bit 0


@contextmanager
def zip_tree(file: IO[bytes], source: Path) -> Iterator[Tree]:
    """The members of an open zip called `source`.

    Raises:
        InputError: damaged, too many members, or a path that leads outside; on reading: encrypted, a bomb, too large.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise InputError(f"the zip is damaged or cut off: {error}", path=source, hint=WHOLE) from error
    with archive:
        infos, findings = _members(archive, source)
        members = {path: Member(path, info.file_size) for path, info in sorted(infos.items())}
        yield Tree("zip", source, members, findings, _zip_reading(archive, infos, source))


def _members(archive: zipfile.ZipFile, source: Path) -> tuple[dict[str, zipfile.ZipInfo], tuple[Finding, ...]]:
    infos: dict[str, zipfile.ZipInfo] = {}
    findings: list[Finding] = []
    if len(archive.infolist()) > MAX_MEMBERS:
        raise InputError(f"the zip has more than {MAX_MEMBERS} members", path=source, hint=_UNPACK)
    for info in archive.infolist():
        # orig_filename keeps what zipfile cuts off at a NUL and turns round at a backslash.
        path = info.orig_filename.replace("\\", "/")
        parts = PurePosixPath(path).parts
        if ".." in parts or path.startswith("/") or "\0" in path or path[1:3] == ":/":
            raise InputError(
                f"the zip holds the path {path!r}, which leads outside of it",
                path=source,
                hint="do not unpack it; export or download it again from Edge Impulse",
            )
        if stat.S_ISLNK(info.external_attr >> 16):
            findings.append(LINK_IGNORED.found(f"the link {path} in the zip is not followed", path=source))
        elif not info.is_dir() and not IGNORED_FOLDERS.intersection(parts):
            infos[str(PurePosixPath(path))] = info
    return infos, tuple(findings)


def _zip_reading(
    archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], source: Path
) -> Callable[[str, int], bytes]:
    def read(path: str, limit: int) -> bytes:
        info = infos[path]
        where = f"{source}/{path}"
        if info.flag_bits & _ENCRYPTED:
            raise InputError("the zip is encrypted", path=where, hint=f"{_UNPACK}; it will ask for the password")
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise InputError(f"it is packed with method {info.compress_type}", path=where, hint=_UNPACK)
        if info.file_size > limit:
            raise too_large(limit, where)
        if info.file_size > RATIO_FROM and info.file_size > MAX_RATIO * max(info.compress_size, 1):
            raise InputError(
                f"it would swell from {info.compress_size} to {info.file_size} bytes: this looks like a zip bomb",
                path=where,
                hint=f"if you trust it, {_UNPACK}",
            )
        try:
            with archive.open(info) as member:
                return member.read()  # zipfile stops at the recorded size, whatever is packed
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
            raise InputError(f"the zip is damaged here: {error}", path=where, hint=WHOLE) from error

    return read
