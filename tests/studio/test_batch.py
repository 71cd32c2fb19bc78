"""A project in Studio as an entry of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert import batch
from tests.studio.conftest import SAMPLES
from tests.studio.server import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.studio.server import StudioServer

SHAPES = SAMPLES / "exports" / "shapes-cpp-2025"


def test_one_that_cannot_be_fetched_is_that_entrys_result(
    server: StudioServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    manifest = tmp_path / "models.toml"
    manifest.write_text(
        f'[[model]]\nexport = "studio:{PROJECT}"\nname = "good"\n[[model]]\nexport = "studio:1"\nname = "unknown"\n'
        f'[[model]]\nexport = "{SHAPES}"\nname = "here"\n'
    )
    report = batch([manifest], tmp_path / "bundles", jobs=2, cache_dir=tmp_path / "cache")
    states = {outcome.name: outcome.state.value for outcome in report.outcomes}
    assert states == {"good": "done", "unknown": "failed", "here": "done"}
    (error,) = [outcome.error for outcome in report.outcomes if outcome.error]
    assert "the key does not open a project '1'" in error.message
    assert "ei-deepstream pull" in (error.hint or "")
    monkeypatch.delenv("EI_API_KEY")
    again = batch([manifest], tmp_path / "bundles", jobs=2, cache_dir=tmp_path / "cache")
    assert [outcome.state.value for outcome in again.outcomes] == ["failed", "failed", "unchanged"]
    assert server.calls
