"""Tasks that end processes of a cluster, or convert nothing; workers import them from here."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.batch.dask import TaskResult, perform
from convert.batch.plan import Outcome, State
from convert.files import Output, sha256

if TYPE_CHECKING:
    from convert.batch.dask import Payload

__all__ = ["conditional", "ends_the_worker", "pretends"]


def pretends(payload: Payload, _wanted: dict[str, str], _seconds: float, _memory: int | None) -> TaskResult:
    """As `perform`, but the bundle is a note: for tests of workers that come and go."""
    time.sleep(0.2)
    note, job = b"converted", payload.job
    output = Output(str(job.output / "note.txt"), sha256(note))
    return TaskResult(Outcome(job.name, State.DONE, 0, outputs=(output,)), {"note.txt": (note, False)})


def ends_the_worker(payload: Payload, wanted: dict[str, str], seconds: float, memory: int | None) -> Any:
    """As `pretends`; the job "deadly" ends the worker as a lack of memory does, "full" finds no space."""
    if payload.job.name == "full":
        raise OSError(28, "No space left on device")
    if payload.job.name == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return pretends(payload, wanted, seconds, memory)


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
