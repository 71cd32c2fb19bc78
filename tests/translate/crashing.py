"""Preloaded into a worker by test_translate: a translation that dies as a damaged model makes it die."""

from __future__ import annotations

import os
import signal
import time

from convert import isolation


def _die(_function: str, arguments: tuple[object, ...]) -> None:
    model = arguments[0]
    if isinstance(model, bytes) and b"hang" in model:
        time.sleep(60)
    os.kill(os.getpid(), signal.SIGSEGV)


isolation.before_call = _die
