"""`ei-deepstream`: where exceptions become one message and an exit code.

0 fine · 1 findings at or above --fail-on · 2 usage · 3 ConvertError · 70 our bug · 130 interrupted.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from convert.cli import commands
from convert.errors import ConvertError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - one return an exit code
    """Run the command line; returns the exit code."""
    state: dict[str, Any] = {}
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names need not be text; showing one must not end the run
            stream.reconfigure(errors="backslashreplace")
    try:
        code = commands.main(arguments, prog_name="ei-deepstream", obj=state, standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ConvertError as error:
        from convert.render.text import show_error  # only a failing run needs it

        show_error(error, state.get("format", "text"))
        return 3
    except (KeyboardInterrupt, click.Abort):
        print("interrupted", file=sys.stderr)  # noqa: T201 - nothing else is sure to work now
        return 130
    except (BrokenPipeError, SystemExit):  # click makes the second of the first
        # The reader of our standard output went away (`| head`): not an error of this program.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception:  # noqa: BLE001 - the one place that separates a bug of ours from a user's error
        traceback.print_exc()
        print("this is a bug in ei-deepstream; please report it with the lines above", file=sys.stderr)  # noqa: T201
        return 70
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
