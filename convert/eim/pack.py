"""Makes one executable file of a bundle: a few lines of shell, then a zip of the model and its report.

The lines start this program's own interpreter, or `ei-deepstream` where there is no such interpreter (the file was
carried to another machine), in place of the shell: the process a client started is the one that answers and gets its
signals. A zip may have anything in front of it (its directory is at the end), so the file is its own archive. Same
bundle, same interpreter, same bytes.
"""

from __future__ import annotations

import io
import shlex
import sys
import zipfile
from typing import TYPE_CHECKING

from convert.eim.hello import NO_PARAMETER
from convert.eim.impulse import bundle_files, read_impulse
from convert.report import REPORT
from convert.writing import Output, write

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["header", "pack"]

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time a zip can hold; no file depends on when it was made
_MODE = 0o644 << 16


def pack(bundle: Path, output: Path, *, interpreter: str | None = None) -> Output:
    """Write the executable.

    Args:
        bundle: folder (or packed file) to take.
        output: file to write.
        interpreter: Python to run it with, where this program is installed; default: the one running now.

    Raises:
        InputError: there is no sound bundle.
        OutputError: the file cannot be written.
    """
    read_impulse(bundle)  # only what would be served is packed
    files = bundle_files(bundle)
    data = io.BytesIO()
    data.write(header(interpreter or sys.executable))
    with zipfile.ZipFile(data, "a", zipfile.ZIP_DEFLATED) as packed:
        for name in sorted(files, key=lambda name: name == REPORT):  # the report last
            member = zipfile.ZipInfo(name, _EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3  # Unix, whatever this runs on
            member.external_attr = _MODE
            packed.writestr(member, files[name])
    return write(output, data.getvalue(), executable=True)


def header(interpreter: str) -> bytes:
    """The shell lines in front of the zip."""
    return f"""#!/bin/sh
# An Edge Impulse model converted by ei-deepstream, which answers as an .eim. Behind these lines: a zip of the bundle.
if [ $# -eq 0 ]; then
  echo {shlex.quote(NO_PARAMETER)}
  exit 1
fi
python={shlex.quote(interpreter)}
if [ -x "$python" ]; then
  exec "$python" -P -m convert.eim "$0" "$1"
fi
if command -v ei-deepstream >/dev/null 2>&1; then
  case $1 in
    --print-info) exec ei-deepstream eim serve --print-info "$0" ;;
    *) exec ei-deepstream eim serve -- "$0" "$1" ;;
  esac
fi
echo "ERR: this model needs ei-deepstream: pip install ei-deepstream"
exit 127
""".encode()
