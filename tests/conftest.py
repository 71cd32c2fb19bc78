"""What every test may use: the real models and vectors, where this machine has them."""

from __future__ import annotations

import fcntl
import gc
import hashlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from convert.__main__ import main
from convert.isolation import Worker
from tests.children import Children
from tests.forking import wait_for_no_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A shell starts what runs in its background with SIGINT ignored, and children inherit that: Ctrl-C could not be tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # under nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Without bytecode every child process would compile our modules again, 0.3 s each time.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Each process that imports NumPy would start OpenBLAS's threads, which spin: 0.1 s of the other processor's time. The
# products of matrices here are small. Children inherit it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

wait_for_no_disk()

# What is printed must not depend on who runs the tests; where COLUMNS is not set, the terminal's width counts.
os.environ["COLUMNS"] = "80"
for _name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(_name, None)

# No time limits: the machines this runs on are shared. CI tries more, and the same each time, so that no commit turns
# red for what another one did; developers' runs are shorter, and each tries something new.
settings.register_profile(
    "local",
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("ci", settings.get_profile("local"), max_examples=50, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: what is left at the end is short, so that no process of pytest-xdist waits for another one.

    Before them those that need TensorFlow, so that one of the processes imports it for all of them.
    """

    def order(item: pytest.Item) -> tuple[bool, bool]:
        return "tensorflow" not in getattr(item, "fixturenames", ()), item.get_closest_marker("slow") is None

    items.sort(key=order)


def pytest_collection_finish() -> None:
    """What thousands of collected tests are made of stays until the end: no search for cycles needs to see it."""
    gc.collect()
    gc.freeze()


def of_all_processes(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder that all processes of pytest-xdist share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session", autouse=True)
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    """The kept children of `convert.isolation`."""
    kept = Children(of_all_processes(tmp_path_factory, "agreements"))
    with pytest.MonkeyPatch.context() as patch:
        kept.install(patch)
        kept.fork(patch)
        yield kept
        kept.end()


@pytest.fixture
def anew(children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stage computes, also what it gave of the same model before."""
    monkeypatch.setattr(children, "active", False)


@pytest.fixture(scope="session")
def models() -> Path:
    """Real Edge Impulse models; a stranger's clone does not have them."""
    if not (SHARED / "models").is_dir():
        pytest.skip("the real Edge Impulse models (../shared/models) are not on this machine")
    return SHARED / "models"


@pytest.fixture(scope="session")
def vectors() -> Path:
    """What NVIDIA's own code decided; a stranger's clone does not have them."""
    if not (SHARED / "vectors").is_dir():
        pytest.skip("the recorded decisions of Gst-nvinfer (../shared/vectors) are not on this machine")
    return SHARED / "vectors"


@pytest.fixture(scope="session")
def tensorflow() -> Iterator[Worker]:
    """A child process with TensorFlow, which takes seconds to import."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    with Worker() as worker:
        yield worker


@pytest.fixture(scope="session")
def convert(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`convert(export, "--resize-mode", "squash")`: the bundle, made at the first call; whoever changes it copies it.

    Without a path first, the options name the exports. All processes of pytest-xdist share the bundles.
    """
    shared = of_all_processes(tmp_path_factory, "converted")

    def bundle(*arguments: Path | str) -> Path:
        key = [str(each) for each in arguments]
        folder = shared / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                made = Path(tempfile.mkdtemp(dir=shared))
                assert main(["convert", *key, "-o", str(made / "bundle"), "-q"]) == 0
                made.rename(folder)
        return folder / "bundle"

    return bundle


@pytest.fixture(scope="session")
def forks(children: Children) -> Iterator[Path]:
    """The socket of `tests.make.forks`, a server of this process of pytest-xdist."""
    with tempfile.TemporaryDirectory() as folder:  # a socket's path has at most 107 characters
        path = Path(folder) / "socket"
        words = [sys.executable, "-P", "-m", "tests.make.forks", str(path), str(os.getpid()), str(children.results)]
        with subprocess.Popen(words, env={**os.environ, "PYTHONPATH": str(ROOT)}) as server:
            try:
                while not _answers(path):
                    assert server.poll() is None
                    time.sleep(0.02)
                yield path
            finally:
                server.kill()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0
