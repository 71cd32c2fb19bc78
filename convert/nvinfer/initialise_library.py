"""Which functions the library behind custom-lib-path has, without running any of its code.

The stock parser library is known for each release (`configs/targets.toml`), so a config for it can be checked on a
machine without DeepStream. Of any other library only what its file says is known: nvinfer opens it with dlopen and
looks functions up by name with dlsym.
"""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from convert.nvinfer.catalogue import catalogue
from convert.nvinfer.keys import version

if TYPE_CHECKING:
    from convert.nvinfer.parse_result import Parsed

__all__ = ["Library", "library_of"]

_STOCK: Final = re.compile(r"/opt/nvidia/deepstream/deepstream(?:-[0-9.]+)?/lib/libnvds_infercustomparser\.so")


@dataclass(frozen=True, slots=True)
class Library:
    """A library that can be opened. `functions` is None where only the file at `path` can tell."""

    path: str
    functions: frozenset[str] | None = None

    @property
    def stock(self) -> bool:
        """Whether it is NVIDIA's parser library."""
        return self.functions is not None

    def has(self, function: str) -> bool:
        """Whether dlsym finds `function`: for a file, whether its name stands among its strings as a whole."""
        if self.functions is not None:
            return function in self.functions
        with Path(self.path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(b"\0" + function.encode() + b"\0") >= 0


def library_of(parsed: Parsed) -> Library | None:
    """The library an accepted config names; None where nvinfer could not open it on this machine.

    NVIDIA's parser library counts as installed.
    """
    entry = parsed.entry("custom-lib-path")
    written = "" if entry is None else entry.text
    if _STOCK.fullmatch(written):
        return Library(written, _stock_functions(parsed.release))
    path = Path(parsed.files.get("custom-lib-path", ""))
    try:
        # Not a FIFO, which would keep us waiting.
        if not path.is_file():
            return None
        with path.open("rb") as file:
            opens = file.read(4) == b"\x7fELF"
    except (OSError, ValueError):
        return None
    return Library(str(path)) if opens else None


def _stock_functions(release: str) -> frozenset[str]:
    return frozenset(
        each.function
        for each in catalogue().parsers
        if version(each.since or "0") <= version(release) <= version(each.until or "999")
    )
