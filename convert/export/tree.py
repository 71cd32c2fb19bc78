"""What a zip, a folder and a single file have in common: named members that are read one at a time, within limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from convert.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from convert.findings import Finding

__all__ = [
    "IGNORED_FOLDERS",
    "MAX_BYTES",
    "MAX_MEMBERS",
    "MAX_RATIO",
    "MAX_TOTAL",
    "RATIO_FROM",
    "WHOLE",
    "Member",
    "Tree",
    "too_large",
]

MAX_BYTES: Final = 256 << 20
"""One member, unpacked. A model of 40 MB makes a header of 250."""

MAX_TOTAL: Final = 1 << 30
"""All members read from one export."""

MAX_MEMBERS: Final = 100_000
"""Files in one export; a library with the whole TensorFlow Lite source has 20,000."""

MAX_RATIO: Final = 200
"""Unpacked against packed size of a member over `RATIO_FROM` bytes; headers pack about 5:1, deflate goes to 1032:1."""

RATIO_FROM: Final = 1 << 20
"""Smaller members may be as empty as they like."""

IGNORED_FOLDERS: Final = frozenset({".git", "__MACOSX", "node_modules", ".venv", "__pycache__"})
"""What programs keep beside an export."""

WHOLE: Final = "download or copy the file again"
"""The hint for what is damaged."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a tree: its path with `/`, relative to the tree's root, and its size in bytes as recorded."""

    path: str
    size: int

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def folder(self) -> str:
        """What stands before it, empty at the root."""
        parent = str(PurePosixPath(self.path).parent)
        return "" if parent == "." else parent


@dataclass(slots=True)
class Tree:
    """Files found below a place.

    Attributes:
        kind: "zip", "folder" or "file".
        source: what the user named, for messages.
        members: by path, sorted.
        findings: what was left out.
    """

    kind: str
    source: Path
    members: Mapping[str, Member]
    findings: tuple[Finding, ...]
    _reading: Callable[[str, int], bytes] = field(repr=False)
    _left: int = field(default=MAX_TOTAL, repr=False)

    def read(self, path: str, limit: int = MAX_BYTES) -> bytes:
        """The content of a member.

        Raises:
            InputError: it is not there, cannot be read, is encrypted or damaged, or is larger than `limit` bytes.
        """
        if path not in self.members:
            raise InputError(f"there is no {path} in it", path=self.source, hint=WHOLE)
        if self._left < self.members[path].size:
            raise InputError(
                f"more than {MAX_TOTAL >> 20} MiB would have to be read", path=self.source, hint="give a smaller folder"
            )
        data = self._reading(path, limit)
        self._left -= len(data)
        return data

    def name_of(self, path: str) -> str:
        """How a member is called in messages: below the folder, or inside the zip."""
        if self.kind == "file":
            return str(self.source)
        return str(self.source / path) if self.kind == "folder" else f"{self.source}/{path}"


def too_large(limit: int, path: str) -> InputError:
    """The error of a member of more than `limit` bytes."""
    return InputError(
        f"it is larger than {limit >> 20} MiB", path=path, hint="this is more than any model for a Jetson needs"
    )
