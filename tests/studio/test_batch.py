"""A project in Studio as an entry of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert import batch
from tests.batch.conftest import InThisProcess
from tests.emitted import prove_nothing
from tests.studio.conftest import SAMPLES
from tests.studio.server import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from convert.batch import BatchReport
    from tests.studio.server import StudioServer

SHAPES = SAMPLES / "exports" / "shapes-cpp-2025"


def test_one_that_cannot_be_fetched_is_that_entrys_result(
    server: StudioServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("convert.batch.Pool", InThisProcess)
    prove_nothing(monkeypatch)
    manifest = tmp_path / "models.toml"
    manifest.write_text(
        f'[[model]]\nexport = "studio:{PROJECT}"\nname = "good"\n[[model]]\nexport = "studio:1"\nname = "unknown"\n'
        f'[[model]]\nexport = "{SHAPES}"\nname = "here"\n'
    )

    def states() -> tuple[BatchReport, list[str]]:
        report = batch([manifest], tmp_path / "bundles", cache_dir=tmp_path / "cache")
        return report, [outcome.state.value for outcome in report.outcomes]

    report, found = states()
    assert found == ["done", "failed", "done"]
    (error,) = [outcome.error for outcome in report.outcomes if outcome.error]
    assert "the key does not open a project '1'" in error.message
    assert "ei-deepstream pull" in (error.hint or "")
    assert states()[1] == ["unchanged", "failed", "unchanged"]
    monkeypatch.delenv("EI_API_KEY")
    assert states()[1] == ["failed", "failed", "unchanged"]
    assert server.calls
