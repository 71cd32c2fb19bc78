"""Servers as processes of their own, and what they must not leave behind."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from convert.eim.wire import FOLDER, PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    Served = Callable[[str], Path]


class Servers:
    """Starts `python -m convert.eim` or any other command, and ends what is left at the end of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []

    def start(
        self, *command: object, wait_for: Path | None = None, stdin: bool = False, log: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start `command`; wait until `wait_for` exists. `log`: what it prints goes there instead of into a pipe."""
        with log.open("wb") if log else contextlib.nullcontext(subprocess.PIPE) as printed:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                bufsize=0,
            )
        self._running.append(process)
        if wait_for is not None:
            eventually(lambda: wait_for.exists() or process.poll() is not None)
            assert wait_for.exists(), process.stdout and process.stdout.read()
        return process

    def serve(self, bundle: Path, *options: str, log: Path | None = None) -> tuple[subprocess.Popen[bytes], Path]:
        """A bundle on a socket."""
        path = self.folder / f"s{len(self._running)}.sock"
        command = [sys.executable, "-P", "-m", "convert", "eim", "serve", *options, bundle, path]
        return self.start(*command, wait_for=path, log=log), path

    def end(self) -> None:
        for process in self._running:
            process.send_signal(signal.SIGTERM)  # which lets it clean up; nothing is sent to one that has ended
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
            process.wait()


def eventually(true: object, seconds: float = 20.0) -> None:
    """Wait until the function `true` returns something true."""
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def memory_of(process: subprocess.Popen[bytes]) -> Path:
    """The shared memory a server holds."""
    name = re.compile(rf"{re.escape(str(FOLDER))}/{PREFIX}\w+")

    def found() -> list[str]:
        return name.findall(Path(f"/proc/{process.pid}/maps").read_text())

    eventually(found)
    return Path(found()[0])


def abandoned() -> list[Path]:
    """Shared memory that no server holds any more; it is not locked for that, as a lock keeps it from being removed."""
    locks = Path("/proc/locks").read_text().splitlines()  # proc(5): the third from the end is major:minor:inode
    held = {int(line.split()[-3].rpartition(":")[2]) for line in locks}
    found = []
    for path in FOLDER.glob(f"{PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino not in held:
                found.append(path)
    return found
