"""The stand-in server with a sample's model, and the key in the environment."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convert.studio.client import Studio
from samples.layouts import zip_bytes
from tests.studio.server import KEY, StudioServer

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
MODEL = (SAMPLES / "models" / "shapes.tflite").read_bytes()


def library() -> bytes:
    folder = SAMPLES / "exports" / "shapes-cpp-2025"
    return zip_bytes({str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()})


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
