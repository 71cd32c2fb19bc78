"""Bundles to serve, and servers that are ended whatever happens."""

from __future__ import annotations

import signal
from functools import cache
from typing import TYPE_CHECKING

import pytest

from convert.eim.bundle import pack
from tests.eim import bundles
from tests.eim.processes import Servers
from tests.emitted import emitted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.eim.processes import Served

__all__ = ["emitted"]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles by kind, and each one packed as `KIND.eim`."""
    folder = tmp_path_factory.mktemp("made")
    sketches = {
        "classifier": bundles.classifier(),
        "gray": bundles.classifier(gray=True),
        "fomo": bundles.fomo(),
        "yolov5": bundles.yolov5(),
        "ssd": bundles.ssd(),
    }
    paths = {kind: sketch.write(folder / kind) for kind, sketch in sketches.items()}
    paths["sound"] = bundles.sampled(folder / "sound", anomaly=True)
    paths["motion"] = bundles.sampled(folder / "motion", bundles.MOTION, (), anomaly=True)
    for kind in [*sketches, "sound", "motion"]:
        paths[f"{kind}.eim"] = folder / f"{kind}.eim"
        pack(paths[kind], paths[f"{kind}.eim"])
    return paths


@pytest.fixture(scope="session")
def served(made: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`served("fomo")`: the socket of that bundle, which serves one client after the other until all tests are done.

    To be talked to in place of `made["fomo.eim"]`, which takes 0.4 s to start, where the process is not the matter.
    """
    running = Servers(tmp_path_factory.mktemp("served"))

    @cache
    def socket(kind: str) -> Path:
        _, path = running.serve(made[kind], "--keep", log=running.folder / f"{kind}.txt")
        return path

    yield socket
    running.end()


@pytest.fixture
def in_time() -> Iterator[None]:
    """A test of a server in this process fails after half a minute instead of waiting for ever."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Starts servers in the test's folder."""
    running = Servers(tmp_path)
    yield running
    running.end()
