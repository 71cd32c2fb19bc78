"""Preloaded into the workers of a pool: a model with a mark behind its last byte does what damaged models do."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from convert import isolation
from convert.graph import worker
from convert.validate import reference

_translate, _run = worker.translate, reference.run

CRASH, HANG, EAT, WRONG, LATE = b"#crash", b"#hang", b"#eat", b"#wrong", b"#late"


def _poisoned(model: bytes, *arguments: Any) -> Any:
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
    return _translate(model, *arguments)


def _late(model: bytes, *arguments: Any, **options: Any) -> Any:
    if model.endswith(LATE):
        os.kill(os.getpid(), signal.SIGABRT)
    return _run(model, *arguments, **options)


if isolation._parent is not None:  # a worker; the tests themselves only want the marks
    worker.translate = _poisoned  # type: ignore[assignment]
    reference.run = _late
