"""Edge Impulse's own client against the stand-in server, so that it is no wish of ours: where both do the same thing,
they send the same requests."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.studio.conftest import library
from tests.studio.server import KEY, PROJECT, StudioServer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.studio.conftest import Launcher

BUILD = """
sys.modules["tensorflow"] = None  # is imported where it can be, which takes seconds
import edgeimpulse
from edgeimpulse.experimental.impulse import build
edgeimpulse.API_ENDPOINT = os.environ["EI_API_ENDPOINT"]
build("float32", "tflite", "zip", output_directory=os.environ["THEIRS"], api_key=os.environ["EI_API_KEY"])
os._exit(0)
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
def test_the_same_requests(launcher: Launcher, server: StudioServer, tmp_path: Path) -> None:
    if importlib.util.find_spec("edgeimpulse") is None:
        pytest.skip("Edge Impulse's Python SDK (edgeimpulse) is not installed")
    server.polls = 1
    environment = {"EI_API_ENDPOINT": server.endpoint, "EI_API_KEY": KEY, "THEIRS": str(tmp_path / "theirs")}
    launcher.start(tmp_path / "said", before=BUILD, **environment)
    assert launcher.line() == 0, (tmp_path / "said").read_text()
    (theirs,) = (tmp_path / "theirs").iterdir()
    assert theirs.read_bytes() == library()
    before = sent(server)
    server.log.clear()
    server.history.clear()
    launcher.start(tmp_path / "said", "pull", "-o", str(tmp_path / "ours"), "--deployment", "zip", **environment)
    assert launcher.line() == 0, (tmp_path / "said").read_text()
    assert (tmp_path / "ours" / "wooden-shapes-zip.zip").read_bytes() == library()
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
