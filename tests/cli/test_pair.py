"""Two exports in one app."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tests.emitted import prove_nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from tests.cli.conftest import Said


SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def test_a_detector_and_a_classifier_become_one_app(say: Callable[..., Said], tmp_path: Path) -> None:
    """The pair of README: in a whole run it is measured once."""
    pgie, sgie = (SAMPLES / "exports" / name for name in ("table-yolov5-2025.zip", "fruit-cpp-2022"))
    out = tmp_path / "app"
    options = ("--pgie", pgie, "--sgie", sgie, "-o", out, "--format", "json")
    planned = say("convert", *options, "--dry-run").document
    assert not out.exists()
    said = say("convert", *options)
    assert said.code == 0, said.err
    document = said.document
    assert document["export"]["task"] == "yolov5"
    assert document["secondary"]["export"]["task"] == "classifier"
    for part in (document, document["secondary"]):
        assert part["evidence"]["parity"]["max_abs_diff"] < 1e-4
    assert [o["path"] for o in planned["outputs"]] == [o["path"] for o in document["outputs"]]
    (app,) = out.glob("deepstream_app_*.txt")
    assert app.name in say("convert", *options[:-2]).out  # what to run next
    text = app.read_text()
    assert "[primary-gie]" in text
    assert "[secondary-gie0]\nenable=1" in text
    assert json.loads((out / "report.json").read_text())


def test_what_was_found_stands_below_its_model(
    say: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_nothing(monkeypatch)
    pgie, sgie = (SAMPLES / "exports" / name for name in ("table-fomo-2025.zip", "fruit-cpp-2022"))
    said = say("convert", "--pgie", pgie, "--sgie", sgie, "-o", tmp_path / "app", "--fomo-merge", "none")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    first, second, wrote, cells, resized = (
        next(number for number, line in enumerate(lines) if text in line)
        for text in (": fomo ", ": classifier ", "wrote", "EI352", "EI303")
    )
    assert first < cells < second < resized < wrote
    assert sum("EI352" in line for line in lines) == 1


def test_a_classifier_in_front_is_refused_at_once(
    say: Callable[..., Said], exports: list[Path], tmp_path: Path
) -> None:
    for more in ((), ("--dry-run",)):
        said = say("convert", "--pgie", exports[0], "--sgie", exports[0], "-o", tmp_path / "app", *more)
        assert said.code == 3
        assert "the primary model is a classifier" in said.err
        assert "unpack" not in said.out, "nothing was done before"
    assert not (tmp_path / "app").exists()


def test_messages_about_the_second_name_its_option(
    say: Callable[..., Said], exports: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_nothing(monkeypatch)
    pgie = SAMPLES / "exports" / "table-fomo-2025.zip"
    said = say(
        *("convert", "--pgie", pgie, "--sgie", exports[0], "--sgie-labels", "a;b", "-o", tmp_path / "app"),
        *("--format", "json"),
    )
    assert said.document["error"]["message"].startswith("--sgie-labels has 2 labels (a, b), the model has ")
    assert said.document["error"]["hint"].endswith("with --sgie-labels")


def test_what_does_not_go_together(say: Callable[..., Said], exports: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "app"
    assert say("convert", "--pgie", exports[0], "-o", out).code == 2
    assert say("convert", "-o", out).code == 2
    assert say("convert", exports[0], "--pgie", exports[0], "--sgie", exports[0], "-o", out).code == 2
    assert say("convert", "--pgie", exports[0], "--sgie", exports[0], "-o", out, "--role", "pgie").code == 2
    said = say("convert", "--pgie", exports[0], "--sgie", exports[1], "-o", out)
    assert said.code == 3
    assert "classifier" in said.err
    assert not out.exists()
