"""`ei-deepstream`: where exceptions become one message and an exit code.

0 fine · 1 findings at or above --fail-on · 2 usage · 3 ConvertError · 70 our bug · 128 + n ended by signal n: 130 by
Ctrl-C, 143 by SIGTERM, 129 by SIGHUP. All three end a run in the same way: children are ended, what was written is
whole, and what is temporary is removed.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import click

from convert import OBJECTS
from convert.cli import commands
from convert.errors import ConvertError
from convert.files import dropped_come_again, open_streams

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What writing ends in, of standard output too: a disk is full, a file as large as it may be, a terminal gone."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    gc.set_threshold(OBJECTS)
    open_streams()
    with _signals_interrupt() as received:
        try:
            return _main(arguments, received)
        except OSError as error:  # of standard output, perhaps while another error was told
            _discard_output()
            if isinstance(error, BrokenPipeError):
                return 128 + signal.SIGPIPE
            with contextlib.suppress(OSError):  # standard error may be what cannot be written
                where = "" if error.filename is None else f"{error.filename}: "  # without one it is a stream
                hint = "make room there, or write elsewhere: temporary files go into the folder that TMPDIR names"
                print(f"error: {where}cannot write: {error.strerror}\n  hint: {hint}", file=sys.stderr)  # noqa: T201
            return 3
        except (KeyboardInterrupt, click.Abort):
            number = received[0] if received else signal.SIGINT
            said = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
            with contextlib.suppress(OSError):  # the terminal is gone
                print(said, file=sys.stderr)  # noqa: T201 - nothing else is sure to work now
            try:
                sys.stdout.flush()
            except OSError:
                _discard_output()
            # CPython notes that a KeyboardInterrupt left exec(), which dataclasses call, and `python -m` then ends by
            # SIGINT whatever is returned (run_eval_code_obj and Py_RunMain, 3.11 to 3.13). An evaluation resets that.
            eval("0")  # noqa: S307 - a constant
            return 128 + number


@contextlib.contextmanager
def _signals_interrupt() -> Iterator[list[int]]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does; gives the list of those that came.

    Only the first one is heeded, so that another one does not end the clean-up. One that is ignored (by nohup, for
    example) stays so.
    """
    received: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
            raise KeyboardInterrupt

    def send_again() -> None:
        number = [*received, signal.SIGINT][0]
        received.clear()
        signal.raise_signal(number)

    before = {}
    if threading.current_thread() is threading.main_thread():  # Python allows no other to set handlers
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, interrupt)
    try:
        with dropped_come_again(KeyboardInterrupt, send_again):
            yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _main(arguments: Sequence[str] | None, received: Sequence[int]) -> int:
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
        with contextlib.suppress(OSError):
            error.show()
        return error.exit_code
    except ConvertError as error:
        from convert.render.text import show_error  # only a failing run needs it

        show_error(error, state.get("format", "text"))
        return 3
    except click.Abort:  # click makes it of a KeyboardInterrupt
        raise
    except (BrokenPipeError, SystemExit):  # click makes the second of the first
        _discard_output()
        return 128 + signal.SIGPIPE
    except Exception as error:
        if received:  # a library in C may make another exception of the KeyboardInterrupt
            raise KeyboardInterrupt from None
        if isinstance(error, OSError) and error.errno in _FULL:
            raise
        traceback.print_exc()
        print("this is a bug in ei-deepstream; please report it with the lines above", file=sys.stderr)  # noqa: T201
        return 70
    return code if isinstance(code, int) else 0


def _discard_output() -> None:
    """The reader of our standard output went away (`| head`): not an error of this program."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
