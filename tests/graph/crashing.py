"""Preloaded into a worker by test_translate: a translation that dies as a damaged model makes it die."""

from __future__ import annotations

import os
import signal
import time

from convert.graph import worker


def _die(model: bytes, *_arguments: object) -> None:
    if b"hang" in model:
        time.sleep(60)
    os.kill(os.getpid(), signal.SIGSEGV)


worker.translate = _die  # type: ignore[assignment]
