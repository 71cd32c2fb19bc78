"""What a packed .eim runs: `python -m convert.eim FILE socket|stdin|--print-info`.

It is not the command line of `convert.cli` because start-up counts here: a client may wait one second for the socket.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from convert.eim.impulse import read_impulse
from convert.eim.server import NO_PARAMETER, print_info, serve_socket, serve_stdin
from convert.errors import ConvertError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Serve the bundle in the first argument as the second says; the exit code."""
    try:
        bundle, mode = arguments[:2]
    except ValueError:
        sys.stdout.write(f"{NO_PARAMETER}\n")
        return 1
    try:
        impulse = read_impulse(Path(bundle))
        if mode == "--print-info":
            return print_info(impulse)
        return serve_stdin(impulse) if mode == "stdin" else serve_socket(impulse, Path(mode))
    except ConvertError as error:
        place = f"{error.path}: " if error.path else ""
        sys.stdout.write(f"ERR: {place}{error.message}\n" + (f"  hint: {error.hint}\n" if error.hint else ""))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    code = main(sys.argv[1:])
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    # Everything is cleaned up; taking the interpreter apart would only give a late signal something to interrupt.
    os._exit(code)
