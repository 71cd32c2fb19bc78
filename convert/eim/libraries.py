"""Which of the libraries an executable needs are not installed, looked up where glibc's loader looks.

The order of ld.so(8): the folders the file brings, LD_LIBRARY_PATH, the cache of ldconfig, the standard folders.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convert.eim.binary import Binary

__all__ = ["missing"]

_STANDARD = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")
_LOADER = re.compile(r"ld-(linux|musl)[-\w]*\.so(\.\d+)?|linux-vdso\.so\.\d+")


def missing(binary: Binary) -> tuple[str, ...]:
    """Names of the libraries that are nowhere; nothing for other systems than Linux."""
    if binary.system != "linux":
        return ()
    given = [*binary.search, *os.environ.get("LD_LIBRARY_PATH", "").split(":")]
    folders = [Path(folder) for folder in (*given, *_STANDARD) if folder]
    return tuple(
        name
        for name in binary.libraries
        if not _LOADER.fullmatch(name)
        and name not in _cached()
        and not any((folder / name).exists() for folder in folders)
    )


@cache
def _cached() -> frozenset[str]:
    """Names in ldconfig's cache; empty on systems without one."""
    ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
    if ldconfig is None:
        return frozenset()
    done = subprocess.run([ldconfig, "-p"], capture_output=True, check=False, timeout=30)  # noqa: S603 - the system's
    listed = done.stdout.decode("utf-8", "replace").splitlines()
    return frozenset(line.split(" (", 1)[0].strip() for line in listed if "=>" in line)
