"""The stand-in server with a sample's model, and the key in the environment."""

from __future__ import annotations

import gc
import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convert.studio.client import Studio
from samples.layouts import zip_bytes
from tests.studio.server import KEY, StudioServer

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples"
MODEL = (SAMPLES / "models" / "shapes.tflite").read_bytes()


def library() -> bytes:
    folder = SAMPLES / "exports" / "shapes-cpp-2025"
    return zip_bytes({str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()})


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


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    if importlib.util.find_spec("edgeimpulse_api") is None:
        pytest.skip("Edge Impulse's API bindings are not installed")
    command = [sys.executable, "-c", LAUNCHER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield Launcher(process)
        process.kill()


@pytest.fixture(scope="session")
def bindings() -> None:
    """Edge Impulse's, imported without looking for cycles among their thousand classes, which is half of the time."""
    gc.disable()
    try:
        pytest.importorskip("edgeimpulse_api", reason="Edge Impulse's API bindings are not installed")
    finally:
        gc.enable()


@pytest.fixture
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[StudioServer]:
    if "launcher" not in request.fixturenames:
        request.getfixturevalue("bindings")
    studio = StudioServer({"tflite-float": MODEL, "deployment": library()})
    with studio.running():
        monkeypatch.setenv("EI_API_ENDPOINT", studio.endpoint)
        monkeypatch.setenv("EI_API_KEY", KEY)
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody is there: this machine is asked directly
        yield studio


@pytest.fixture
def pauses() -> list[float]:
    """The seconds that `studio` would have waited."""
    return []


@pytest.fixture
def studio(server: StudioServer, pauses: list[float]) -> Studio:
    assert server.port
    return Studio(KEY, pause=pauses.append)
