"""What a packed .eim runs: `python -m convert.eim FILE socket|stdin|--print-info [PROVIDER]`.

It does not use the command line of `convert.cli`, which takes longer to start: a client may wait only one second for
the socket.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from convert.eim.bundle import NO_PARAMETER, read_impulse
from convert.eim.server import ending, print_info, serve_socket, serve_stdin
from convert.errors import ConvertError
from convert.files import open_streams


def main(arguments: Sequence[str]) -> int:
    """Serve the bundle named by the first argument, on the socket or stdin named by the second; the exit code.

    The third one is the provider (`convert.eim.bundle.Impulse`).
    """
    if len(arguments) < 2:
        sys.stdout.write(f"{NO_PARAMETER}\n")
        return 1
    bundle, mode, *provider = arguments
    try:
        impulse = read_impulse(Path(bundle), provider="".join(provider[:1]))
        if mode == "--print-info":
            return print_info(impulse)
        return serve_stdin(impulse) if mode == "stdin" else serve_socket(impulse, Path(mode))
    except ConvertError as error:
        place = f"{error.path}: " if error.path else ""
        sys.stdout.write(f"ERR: {place}{error.message}\n" + (f"  hint: {error.hint}\n" if error.hint else ""))
        return 1
    except OSError as error:  # of standard output that nobody reads, for example
        sys.stderr.write(f"ERR: {': '.join([*getattr(error, '__notes__', ()), error.strerror or str(error)])}\n")
        return 1


def _stopped(number: int, _frame: object) -> None:
    """End as the real executable does: nothing is left to clean up before and after serving."""
    os._exit(128 + number)


if __name__ == "__main__":
    open_streams()
    for number in ending():
        signal.signal(number, _stopped)
    code = main(sys.argv[1:])
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)  # shutting the interpreter down takes as long as a classification
