"""What a run has read, and that as a rule for make: `--depfile`, as compilers have `-MMD -MP`.

The interpreter itself tells what is opened and listed (sys.addaudithook, PEP 578), so that nothing that decides a
result can be forgotten here. What was written is told by `convert.writing`, through the same door.

How make reads names was tried with GNU make 4.3: a backslash protects a blank and `# : * ? [`; `$` is doubled; `=`
would make the rule a variable unless it comes out of a function; a name that ends in `)` is a member of an archive. For
the rest (`; | &`, backslashes, line ends, tabs, a blank at the end) there is no way, and such a file is refused.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import sysconfig
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.errors import OutputError
from convert.resources import configs
from convert.writing import WRITES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Reads", "include_path", "recording", "rule"]

_IMPOSSIBLE = re.compile(r"[;|&\\\x00-\x1f]|[ )]$")
_SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/")  # what libraries ask the machine; no inputs


class Reads:
    """Files and folders that were read since the recording began.

    Attributes:
        folders: those of which the entries count, too: what lies in and below them decides which files are read.
    """

    def __init__(self) -> None:
        self.folders: list[str] = []
        self._opened: dict[str, str] = {}
        self._listed: dict[str, str] = {}
        self._written: set[str] = set()

    def files(self) -> list[str]:
        """Every regular file that was read and not written, as it was named, sorted.

        Left out: the interpreter's and this program's own files, and what is gone again (temporary files).
        """
        kept = (
            shown
            for path, shown in list(self._opened.items())  # asking goes on opening files
            if path not in self._written and not _is_ours(path) and _is_a(path, stat.S_ISREG)
        )
        return sorted({_near(shown) for shown in kept})

    def listings(self) -> list[str]:
        """Every folder at or below `folders` that was listed and not written into, as it was named, sorted."""
        roots = [_absolute(folder) for folder in self.folders]
        written_into = {os.path.dirname(path) for path in self._written}  # noqa: PTH120 - text
        kept = (
            shown
            for path, shown in list(self._listed.items())
            if path not in written_into
            and any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in roots)
            and _is_a(path, stat.S_ISDIR)
        )
        return sorted({_near(shown) for shown in kept})

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit event. Nothing may be raised here: it would end whatever the program was doing."""
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, str | bytes | os.PathLike):
                name = os.fsdecode(path)
                writes = flags & (os.O_WRONLY | os.O_RDWR) or (isinstance(mode, str) and set(mode) & set("wax+"))
                if writes:
                    self._written.add(_absolute(name))
                else:
                    self._opened.setdefault(_absolute(name), name)
        elif event in {"os.scandir", "os.listdir"}:
            (path,) = arguments
            if isinstance(path, str | bytes | os.PathLike):
                name = os.fsdecode(path)
                self._listed.setdefault(_absolute(name), name)
        elif event == WRITES:
            self._written.add(_absolute(os.fsdecode(arguments[0])))


_active: list[Reads] = []


@contextmanager
def recording() -> Iterator[Reads]:
    """Records what this process reads until the context ends."""
    _listen()
    reads = Reads()
    _active.append(reads)
    try:
        yield reads
    finally:
        _active.remove(reads)


@cache
def _listen() -> None:
    """Once a process: an audit hook cannot be taken back."""
    sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    for reads in _active:
        reads.note(event, arguments)


def rule(target: str, files: Iterable[str], folders: Iterable[str] = ()) -> bytes:
    """The rule `target: files folders`, and an empty one for each, so that one that is gone is no error of make's.

    Raises:
        OutputError: a name that make cannot express.
    """
    names = [(escaped(name), escaped(name, target=True)) for name in (*files, *(f"{each}/." for each in folders))]
    lines = [" \\\n  ".join([f"{escaped(target, target=True)}:", *(prerequisite for prerequisite, _ in names)])]
    lines += [f"{name}:" for _, name in names]
    return os.fsencode("\n\n".join(lines) + "\n")


def escaped(name: str, *, target: bool = False) -> str:
    """`name` as a prerequisite in a makefile, or as a target.

    Raises:
        OutputError: make cannot express it.
    """
    if _IMPOSSIBLE.search(name):
        raise OutputError(
            f"make cannot express the file name {name!r}",
            hint="rename it (without ; | & \\ and line ends, not ending in a bracket or blank), or leave --depfile out",
        )
    special = r"([ #:*?\[%])" if target else r"([ #:*?\[])"
    text = re.sub(special, r"\\\1", name.replace("$", "$$"))
    text = text.replace("=", "$(subst ,,=)")
    return f"./{text}" if text.startswith("~") else text


def include_path(path: Path) -> str:
    """`path` for `include $(shell ...)`: what comes out of a function is only split at blanks."""
    return str(path).replace(" ", "\\ ")


def _absolute(name: str) -> str:
    return os.path.abspath(name)  # noqa: PTH100 - text that need not be UTF-8; links stay what they are


def _near(name: str) -> str:
    """A path at or below the working folder from there, as makefiles have it; others as they were named."""
    here = os.getcwd()  # noqa: PTH109 - as above
    path = _absolute(name)
    return os.path.relpath(path) if path.startswith(f"{here.rstrip('/')}/") else os.path.normpath(name)


def _is_ours(path: str) -> bool:
    """Whether it belongs to the interpreter, to an installed package, to this one, or to the machine."""
    return path.startswith((*_SYSTEM, *_installation())) or path.endswith((".py", ".pyc", ".so"))


@cache
def _installation() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return tuple(f"{folder}/" for folder in (*folders, Path(__file__).resolve().parent, configs()))


def _is_a(path: str, kind: Any) -> bool:
    try:
        return bool(kind(os.stat(path).st_mode))  # noqa: PTH116 - as above
    except (OSError, ValueError):  # it is gone, or never was a name (a NUL in it)
        return False
