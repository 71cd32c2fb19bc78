"""`pull` killed or interrupted at any moment leaves no half file; the key is in nothing that is printed or written."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.studio.server import KEY, Fault, StudioServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]

# Importing Edge Impulse's bindings takes seconds: one process does it, and forks for each run.
LAUNCHER = """
import gc, json, os, sys
gc.disable()
import edgeimpulse_api, rich.progress, convert.studio.pull, convert.cli.studio
from convert.__main__ import main
gc.enable()
for line in sys.stdin:
    order = json.loads(line)
    pid = os.fork()
    if not pid:
        os.environ.update(order["environment"])
        for number in (1, 2):
            os.dup2(os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        code = 99
        try:
            exec(order["before"])
            code = main(order["words"])
        finally:
            os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@dataclass
class Launcher:
    """Runs `ei-deepstream` in children that have imported everything."""

    process: subprocess.Popen[str]

    def start(self, said: Path, *words: str, before: str = "", **environment: str) -> int:
        """The process id; `said` gets what is printed."""
        assert self.process.stdin is not None
        order = {"said": str(said), "words": words, "before": before, "environment": environment}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self.line()

    def line(self) -> int:
        """The next number: after `start` the exit code, or minus the signal."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def bindings() -> None:
    """Only the launcher needs them."""


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    if importlib.util.find_spec("edgeimpulse_api") is None:
        pytest.skip("Edge Impulse's API bindings are not installed")
    command = [sys.executable, "-c", LAUNCHER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield Launcher(process)
        process.kill()


def wait_for(server: StudioServer, count: int, call: str) -> None:
    end = time.monotonic() + 60
    while sum(call in each for each in server.calls) < count:
        assert time.monotonic() < end, server.calls
        time.sleep(0.002)


MOMENTS = [
    *((call, 1, 0.0) for call in ("projects", "targets", "history", "build-ondevice", "status", "stdout", "download")),
    *(("download", 1, 0.1), ("download", 1, 0.3), ("download", 2, 0.1)),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "number"),
    [*((each, signal.SIGKILL) for each in MOMENTS), *((each, signal.SIGINT) for each in (*MOMENTS[3:5], MOMENTS[8]))],
)
def test_no_half_file(
    launcher: Launcher, server: StudioServer, tmp_path: Path, moment: tuple[str, int, float], number: signal.Signals
) -> None:
    call, count, later = moment
    whole = server.files["deployment"]
    server.polls = 3 if call in {"build-ondevice", "status", "stdout"} else 1  # two seconds are between them
    server.faults = [Fault("/download", 1, cut=20_000)] if count > 1 else []
    server.faults += [Fault("/download", 1, pause=0.06)]
    words = ("pull", "-o", str(tmp_path / "x"), "--deployment", "zip")
    environment = {"EI_API_ENDPOINT": server.endpoint, "EI_API_KEY": KEY}
    pid = launcher.start(tmp_path / "said", *words, **environment)
    wait_for(server, count, call)
    time.sleep(later)
    os.kill(pid, number)
    assert launcher.line() == (-9 if number == signal.SIGKILL else 130)
    said = (tmp_path / "said").read_text()
    assert "Traceback" not in said
    if number == signal.SIGINT:
        assert server.cancelled == ([99] if call != "download" else [])
    final = tmp_path / "x" / "wooden-shapes-zip.zip"
    assert not final.exists() or final.read_bytes() == whole, "killed behind the end"
    deadline = time.monotonic() + 30  # what a killed process leaves is removed by another one
    while set((tmp_path / "x").glob("*")) - {final}:
        assert time.monotonic() < deadline, list((tmp_path / "x").rglob("*"))
        time.sleep(0.02)
    server.faults, server.polls = [], 1
    launcher.start(tmp_path / "said", *words, **environment)
    assert launcher.line() == 0
    assert final.read_bytes() == whole


@pytest.mark.parametrize("words", [[], ["--deployment", "zip"], ["--format", "json"], ["--project", "none"]])
@pytest.mark.parametrize("way", ["environment", "file", "wrong", "bug"])
def test_the_key_is_nowhere(
    launcher: Launcher, server: StudioServer, tmp_path: Path, words: list[str], way: str
) -> None:
    words = ["pull", *words, "-o", str(tmp_path / "x")]
    secret, before = KEY, ""
    environment = {"EI_API_ENDPOINT": server.endpoint, "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    if way == "file":
        (tmp_path / "key").write_text(KEY)
        words += ["--api-key-file", str(tmp_path / "key")]
        environment["EI_API_KEY"] = ""
    elif way == "wrong":
        secret = "ei_" + "f" * 48
        refusal = json.dumps({"success": False, "error": f"no key {secret}"}).encode()
        server.faults = [Fault("projects", 1, 200, {}, refusal)]
    elif way == "bug":
        before = "convert.studio.pull.slug = None"
    seen: list[bytes] = []
    ended = threading.Event()
    pid = launcher.start(tmp_path / "said", *words, before=before, **{"EI_API_KEY": secret} | environment)

    def watch() -> None:
        while not ended.wait(0.01):
            with contextlib.suppress(OSError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                seen.extend(Path(f"/proc/{each}/cmdline").read_bytes() for each in (pid, *children))

    thread = threading.Thread(target=watch)
    thread.start()
    code = launcher.line()
    ended.set()
    thread.join()
    said = (tmp_path / "said").read_text()
    assert code == (3 if way == "wrong" or "none" in words else 70 if way == "bug" else 0), said
    assert seen
    assert not [line for line in seen if secret.encode() in line]
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "key":
            assert secret.encode() not in path.read_bytes(), path
