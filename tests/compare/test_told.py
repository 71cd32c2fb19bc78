"""A comparison as JSON, on a terminal, and by the command."""

from __future__ import annotations

import io
import json
import math
import shutil
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from convert.__main__ import main
from convert.compare import (
    Cause,
    ComparedObject,
    Comparison,
    Pair,
    PictureComparison,
    Prediction,
    Reason,
    Score,
    Verdict,
    comparison_document,
)
from convert.images.scaling import Rect
from convert.render.simulation import show_comparison
from convert.report import dumps
from tests.compare.bundles import SAMPLES, config_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with some of the samples'."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in sorted((SAMPLES / "pictures" / "fruit").glob("*-1.*")):
        shutil.copy(path, folder)
    return folder


def _row(name: str, verdict: Verdict, *causes: Cause, label: str = "[kiwi]", score: float = 0.9) -> PictureComparison:
    scores = (Score(0, "[kiwi]", 1 - score), Score(1, "pear", score))
    ours, theirs = Prediction(label, score, scores), Prediction("pear", 0.8, scores)
    return PictureComparison(name, 320, 240, verdict, ours, theirs, (), causes, 0.3, "words" if causes else "")


_FRAMING = Reason(
    Cause.FRAMING, "nvinfer squashes where Edge Impulse crops the centre", "--frame 16:9", ("b", "c"), ("d",)
)
_LABELS = Reason(Cause.LABELS, "nvinfer says 'a' where Edge Impulse says 'b'", None, ("c",), (), 1)
_SCENE = Comparison(
    "fruit.zip",
    "classifier",
    False,
    0.1,
    (),
    (
        _row("a", Verdict.SAME),
        _row("b", Verdict.DIFFERS, Cause.FRAMING),
        _row("c", Verdict.DIFFERS, Cause.FRAMING, Cause.LABELS, label=""),
        _row("d", Verdict.DRIFTS, Cause.FRAMING),
    ),
    (_FRAMING, _LABELS),
)


def _text(comparison: Comparison) -> str:
    out = io.StringIO()
    show_comparison(comparison, Console(file=out, width=120))
    return out.getvalue()


def test_the_summary_is_one_sentence() -> None:
    assert _SCENE.summary == (
        "2 of 4 pictures differ; 2 because nvinfer squashes where Edge Impulse crops the centre: --frame 16:9; "
        "1 because nvinfer says 'a' where Edge Impulse says 'b'; 1 more shows the same with other numbers"
    )
    drifting = Comparison("x", "fomo", False, 0.1, (), (_row("d", Verdict.DRIFTS),), (_FRAMING,))
    assert drifting.summary.startswith("0 of 1 picture differ")
    nothing = Comparison("x", "fomo", False, 0.1, (), ())
    assert nothing.summary.startswith("0 of 0 pictures differ: ")


def test_the_terminal_shows_those_that_differ_first() -> None:
    lines = _text(_SCENE).splitlines()
    assert lines[0] == "against Edge Impulse fruit.zip (classifier)"
    assert [line.split()[0] for line in lines[2:5]] == ["b", "c", "d"]
    assert "[kiwi] 0.90" in lines[2]
    assert "nothing (pear 0.90)" in lines[3]
    assert "framing + labels" in lines[3]
    text = "\n".join(lines)
    assert (
        "2 of 4 pictures differ (EI750)\n1 more shows the same with scores more than 0.1 apart or boxes elsewhere"
        in text
    )
    assert "crops the centre: 2 of those that differ, 1 of those with other scores\n    hint: --frame 16:9\n" in text
    assert text.count("because nvinfer squashes") == 1
    same = Comparison("x", "fomo", True, 0.1, (), (_row("a", Verdict.SAME),))
    assert _text(same).splitlines() == [
        "against Edge Impulse x (int8 fomo)",
        "0 of 1 picture differ: DeepStream shows what Edge Impulse answers",
    ]


def test_objects_are_named_on_the_terminal() -> None:
    seen = tuple(ComparedObject(0, "" if number == 1 else "cat", 0.9, Rect(0, 0, 9, 9)) for number in range(6))
    row = PictureComparison("p", 9, 9, Verdict.DIFFERS, Prediction(objects=seen), Prediction(), (), (Cause.MERGE,))
    text = _text(Comparison("x", "fomo", False, 0.1, (), (row,)))
    assert "cat 0.90, class 0 0.90, cat 0.90, cat 0.90 and 2 more" in text
    assert "nothing" in text


def test_json_has_everything_and_no_number_that_is_none() -> None:
    seen = ComparedObject(1, "cat", math.nan, Rect(1, 2, 3, math.inf))
    pairs = (Pair(seen, seen, 1.0, 0.0), Pair(None, seen), Pair(seen, None))
    row = PictureComparison(
        "p", 9, 9, Verdict.DIFFERS, Prediction(objects=(seen,)), Prediction(), pairs, (Cause.MERGE,), math.nan
    )
    comparison = Comparison("x", "fomo", False, 0.1, (), (*_SCENE.rows, row), _SCENE.reasons)
    document = json.loads(dumps(comparison_document(comparison)))
    assert document["counts"] == {"same": 1, "drifts": 1, "differs": 3}
    assert document["summary"] == comparison.summary
    assert [one["name"] for one in document["pictures"]] == ["a", "b", "c", "d", "p"]
    last = document["pictures"][-1]
    assert [pair["what"] for pair in last["pairs"]] == ["matched", "missed", "additional"]
    assert last["deepstream"]["objects"] == [
        {"class_id": 1, "label": "cat", "score": None, "left": 1, "top": 2, "width": 3, "height": None}
    ]
    assert last["causes"] == ["merge"]
    assert document["reasons"][0]["hint"] == "--frame 16:9"
    assert document["pictures"][0]["edge_impulse"]["scores"][1] == {"class_id": 1, "label": "pear", "score": 0.9}


class TestCommand:
    def run(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
        code = main(["simulate", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    def test_it_writes_the_comparison_beside_the_rest(
        self, cropped: Path, fruit_export: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = tmp_path / "shown"
        given = (config_of(cropped), pictures, "-o", folder)
        code, out, _ = self.run(capsys, *given, "--against", "edge-impulse", "--original", fruit_export)
        assert code == 0
        assert "against Edge Impulse" in out
        document = json.loads((folder / "against.json").read_text())
        assert len(document["pictures"]) == 5
        objects = json.loads((folder / "objects.json").read_text())
        assert [one["name"] for one in document["pictures"]] == [one["name"] for one in objects["frames"]]
        assert "Against Edge Impulse" in (folder / "report.html").read_text()
        code, out, _ = self.run(
            capsys, *given, "--against", "edge-impulse", "--original", fruit_export, "--format", "json"
        )
        assert json.loads(out)["against"]["summary"] == document["summary"]
        code, out, _ = self.run(capsys, *given)
        assert code == 0
        assert not (folder / "against.json").exists()
        assert "against Edge Impulse" not in out

    def test_a_difference_can_fail_a_build(
        self,
        emitted: Callable[..., Path],
        fruit_export: Path,
        pictures: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        folder = emitted(fruit_export, "--resize-mode", "squash", "--frame", "none", "--labels", "a;b;c;d;e")
        code, out, _ = self.run(
            capsys, config_of(folder), pictures, "-o", tmp_path / "shown", "--against", "edge-impulse",
            "--original", fruit_export, "--fail-on", "warning",
        )  # fmt: skip
        assert code == 1
        assert out.count("(EI750)") == 1
        assert "5 of 5 pictures differ (EI750)" in out

    @pytest.mark.parametrize(
        ("more", "wanted"),
        [
            (("--original", str(SAMPLES)), "--original goes with --against"),
            (("--against", "edge-impulse", "--tensors", str(SAMPLES)), "--against needs pictures"),
            (("--against", "studio"), "edge-impulse"),
        ],
    )
    def test_options_that_do_not_go_together(
        self,
        fruit: Path,
        pictures: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        more: tuple[str, ...],
        wanted: str,
    ) -> None:
        code, _, err = self.run(capsys, config_of(fruit), pictures, "-o", tmp_path / "shown", *more)
        assert code == 2
        assert wanted in err

    def test_a_wrong_original_ends_the_run(
        self, fruit: Path, shapes_export: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, _, err = self.run(
            capsys, config_of(fruit), pictures, "-o", tmp_path / "shown", "--against", "edge-impulse",
            "--original", shapes_export,
        )  # fmt: skip
        assert code == 3
        assert "not the model that the bundle was converted from" in err
