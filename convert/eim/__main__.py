"""What a packed .eim runs: `python -m convert.eim FILE socket|stdin|--print-info`.

It is not the command line of `convert.cli` because start-up counts here: a client may wait one second for the socket.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from convert.eim.bundle import NO_PARAMETER, read_impulse
from convert.eim.server import print_info, serve_socket, serve_stdin
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


def _stopped(number: int, _frame: object) -> None:
    """Before there is anything to clean up, and after it is cleaned up: just end, as the real executable does."""
    os._exit(128 + number)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stopped)
    code = main(sys.argv[1:])
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)  # nothing is left to do, and taking the interpreter apart takes as long as a classification
