"""SIGINT, SIGTERM and SIGHUP end a server with 128 + number, never in the middle of making or removing something."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["Signals", "signals_end"]

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Stopped(BaseException):
    """One of the signals came."""


class Signals:
    """Ends what runs between `arm` and `disarm` when a signal comes.

    Outside, while things are made and removed, a signal waits: the official Python client closes its connection and
    sends SIGINT in the same breath, right into the removal.

    Attributes:
        code: the exit code the first signal asks for, 0 as long as none came.
    """

    def __init__(self) -> None:
        self.code = 0
        self._armed = False

    def arm(self) -> None:
        """Let signals end what follows; one that came before does so now."""
        self._armed = True
        if self.code:
            raise _Stopped

    def disarm(self) -> None:
        """What follows is not disturbed."""
        self._armed = False

    def take(self, number: int, _frame: FrameType | None) -> None:
        """The handler."""
        self.code = self.code or 128 + number
        if self._armed:
            self._armed = False
            raise _Stopped


@contextlib.contextmanager
def signals_end() -> Iterator[Signals]:
    """The body ends at a signal that comes while the result is armed."""
    signals = Signals()
    before = {number: signal.signal(number, signals.take) for number in _ENDING}
    try:
        with contextlib.suppress(_Stopped):
            yield signals
    finally:
        signals.disarm()
        for number, handler in before.items():
            signal.signal(number, handler)
