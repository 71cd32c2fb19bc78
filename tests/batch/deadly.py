"""Tasks that end processes of a cluster; workers import them from here."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.batch.dask import perform

if TYPE_CHECKING:
    from convert.batch.dask import Payload

__all__ = ["conditional", "ends_the_worker"]


def ends_the_worker(payload: Payload, wanted: dict[str, str], seconds: float, memory: int | None) -> Any:
    """As `perform`; the job "deadly" ends the worker as the kernel does when memory runs out, "full" finds no space."""
    if payload.job.name == "full":
        raise OSError(28, "No space left on device")
    if payload.job.name == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return perform(payload, wanted, seconds, memory)


def conditional(payload: Payload, wanted: dict[str, str], seconds: float, memory: int | None) -> Any:
    """As `perform`; the process that converts "crash" dies of SIGSEGV."""
    over = threading.Event()

    def crash() -> None:
        while not over.wait(0.001):
            for child in _children():
                if b"convert.isolation" in Path(f"/proc/{child}/cmdline").read_bytes():
                    time.sleep(0.05)
                    os.kill(child, signal.SIGSEGV)

    thread = threading.Thread(target=crash)
    if payload.job.name == "crash":
        perform(payload, wanted, seconds, memory)  # the child is there and warm
        thread.start()
    try:
        return perform(payload, wanted, seconds, memory)
    finally:
        over.set()
        if thread.ident:
            thread.join()


def _children() -> list[int]:
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found
