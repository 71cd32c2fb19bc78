"""Edge Impulse's own client against the stand-in server, so that it is no wish of ours: where both do the same thing,
they send the same requests."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from convert.studio.pull import Pull
from tests.studio.conftest import library
from tests.studio.server import KEY, PROJECT, StudioServer

if TYPE_CHECKING:
    from pathlib import Path

    from convert.studio.client import Studio

# Without looking for cycles it imports in half of the time.
BUILD = """
import gc, sys
gc.disable()
import edgeimpulse
from edgeimpulse.experimental.impulse import build
edgeimpulse.API_ENDPOINT = sys.argv[1]
build("float32", "tflite", "zip", output_directory=sys.argv[2], api_key=sys.argv[3])
"""


def sent(server: StudioServer) -> dict[str, tuple[str, dict[str, Any] | None, str | None]]:
    """Path and query -> method, body and key; of the same request the last."""
    return {
        path: (
            method,
            json.loads(body) if body else None,
            {name.lower(): value for name, value in headers.items()}.get("x-api-key"),
        )
        for method, path, body, headers in server.log
    }


@pytest.mark.slow
def test_the_same_requests(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    if importlib.util.find_spec("edgeimpulse") is None:
        pytest.skip("Edge Impulse's Python SDK (edgeimpulse) is not installed")
    command = [sys.executable, "-c", BUILD, server.endpoint, str(tmp_path / "theirs"), KEY]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    (theirs,) = (tmp_path / "theirs").iterdir()
    assert theirs.read_bytes() == library()
    before = sent(server)
    server.log.clear()
    server.history.clear()
    done = Pull(studio, deployment="zip")(tmp_path / "ours")
    assert done.export.read_bytes() == library()
    now = sent(server)
    common = [
        "/v1/api/projects",
        f"/v1/api/{PROJECT}/jobs/build-ondevice-model?type=zip",
        f"/v1/api/{PROJECT}/jobs/99/status",
        f"/v1/api/{PROJECT}/jobs/99/stdout",
    ]
    assert {path: now[path] for path in common} == {path: before[path] for path in common}
    assert {key for _, _, key in now.values()} == {KEY}
    others = {path for path in now if path not in before}
    assert others == {
        f"/v1/api/{PROJECT}/deployment/targets",  # with the reasons why one is disabled
        f"/v1/api/{PROJECT}/impulse",
        f"/v1/api/{PROJECT}/deployment/history?impulseId=1&deploymentFormat=zip&limit=50",
        f"/v1/api/{PROJECT}/deployment/history/8/download",  # exactly the build that was waited for
    }
