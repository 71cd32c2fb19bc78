"""Preloaded into the workers of a pool: a model with a mark behind its last byte does what damaged models do."""

from __future__ import annotations

import os
import signal
import time

from convert import isolation

CRASH, HANG, EAT, WRONG, LATE = b"#crash", b"#hang", b"#eat", b"#wrong", b"#late"


def _poisoned(function: str, arguments: tuple[object, ...]) -> None:
    model = arguments[0] if arguments else None
    if not isinstance(model, bytes):
        return
    if model.endswith(CRASH):
        os.kill(os.getpid(), signal.SIGSEGV)
    if model.endswith(HANG):
        time.sleep(600)
    if model.endswith(EAT):
        held = []
        while True:
            held.append(b"\xff" * (16 << 20))
    if model.endswith(WRONG):
        raise RuntimeError("nobody thought of this")
    if model.endswith(LATE) and not function.endswith(":translate"):  # LiteRT's turn, to run the original
        os.kill(os.getpid(), signal.SIGABRT)


isolation.before_call = _poisoned
