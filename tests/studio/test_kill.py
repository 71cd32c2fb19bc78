"""`pull` killed or interrupted at any moment leaves no half file; the key is in nothing that is printed or written."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.studio.conftest import MODEL, library
from tests.studio.server import KEY, Fault, StudioServer

if TYPE_CHECKING:
    from tests.studio.conftest import Launcher


def studio() -> StudioServer:
    return StudioServer({"tflite-float": MODEL, "deployment": library()})


def wait_for(server: StudioServer, count: int, call: str) -> None:
    end = time.monotonic() + 60
    while sum(call in each for each in server.calls) < count:
        assert time.monotonic() < end, server.calls
        time.sleep(0.002)


pytestmark = pytest.mark.slow  # the launcher
MOMENTS = [
    *((call, 1, 0.0) for call in ("projects", "targets", "history", "build-ondevice", "status", "stdout", "download")),
    *(("download", 1, 0.1), ("download", 1, 0.3), ("download", 2, 0.1)),
]


def test_no_half_file(launcher: Launcher, tmp_path: Path) -> None:
    """All moments in one test: each process of pytest-xdist that has one of them would start a launcher."""
    killed = [(moment, signal.SIGKILL) for moment in MOMENTS]
    interrupted = [(moment, signal.SIGINT) for moment in (*MOMENTS[3:5], MOMENTS[8])]
    for case, (moment, number) in enumerate((*killed, *interrupted)):
        folder = tmp_path / str(case)
        folder.mkdir()
        with studio().running() as server:
            no_half_file(launcher, server, folder, moment, number)


def no_half_file(
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


def test_the_key_is_nowhere(launcher: Launcher, tmp_path: Path) -> None:
    ways = ("environment", "file", "wrong", "bug")
    commands: tuple[list[str], ...] = ([], ["--deployment", "zip"], ["--format", "json"], ["--project", "none"])
    for case, (way, words) in enumerate(itertools.product(ways, commands)):
        folder = tmp_path / str(case)
        folder.mkdir()
        with studio().running() as server:
            key_is_nowhere(launcher, server, folder, words, way)


def key_is_nowhere(launcher: Launcher, server: StudioServer, tmp_path: Path, words: list[str], way: str) -> None:
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
