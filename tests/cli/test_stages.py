"""Stage by stage gives what `convert` gives."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convert.__main__ import main
from tests.test_agreement import by_brightness

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Said

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "samples" / "models" / "shapes.tflite"


def _model(folder: Path, suffix: str) -> Path:
    (path,) = (path for path in folder.glob(f"*{suffix}") if path.name.count(".") == suffix.count("."))
    return path


def test_five_commands_give_the_bundle_of_one(
    say: Callable[..., Said], convert: Callable[..., Path], exports: list[Path], tmp_path: Path
) -> None:
    export, work = exports[0], tmp_path / "work"
    whole = convert(export, "--frame", "none")
    assert say("unpack", export, "-o", work).code == 0
    assert say("translate", _model(work, ".tflite"), "-o", work).code == 0
    assert say("adapt", _model(work, ".translated.onnx"), "-o", work).code == 0
    said = say("validate", _model(work, ".onnx"), "-o", work, "--format", "json")
    assert said.document["evidence"]["parity"]["max_abs_diff"] < 1e-4
    assert say("emit", _model(work, ".onnx"), "-o", tmp_path / "bundle").code == 0
    for path in whole.iterdir():
        if path.name != "report.json":
            assert (tmp_path / "bundle" / path.name).read_bytes() == path.read_bytes()
    reports = [json.loads((folder / "report.json").read_text()) for folder in (whole, tmp_path / "bundle")]
    assert reports[0]["evidence"].pop("answers")  # of a whole bundle: the stage `validate` alone knows no config
    assert reports[1]["evidence"].pop("answers") is None
    assert reports[0]["evidence"] == reports[1]["evidence"]
    assert reports[0]["model"] == reports[1]["model"]


@pytest.fixture
def adapted(say: Callable[..., Said], tmp_path: Path) -> Path:
    """A folder with shapes.tflite and shapes.onnx."""
    (tmp_path / "shapes.tflite").write_bytes(MODEL.read_bytes())
    options = ("--labels", "a;b;c;d", "--resize-mode", "squash", "-q")
    assert say("translate", tmp_path / "shapes.tflite", "-o", tmp_path, *options).code == 0
    assert say("adapt", tmp_path / "shapes.translated.onnx", "-o", tmp_path, *options).code == 0
    return tmp_path


def test_the_wrong_original_is_refused(say: Callable[..., Said], adapted: Path) -> None:
    other = ROOT / "samples" / "models" / "fruit.tflite"
    for command in (["validate"], ["emit", "-o", adapted / "bundle"]):
        said = say(command[0], adapted / "shapes.onnx", "--tflite", other, *command[1:])
        assert said.code == 3
        assert re.fullmatch(
            rf"error: {adapted / 'shapes.onnx'}: made from another model \(\w{{12}}\) than fruit.tflite \(\w{{12}}\)\n"
            "  hint: give the .tflite it was made from with --tflite\n",
            said.err,
        )
    assert not (adapted / "bundle").exists()


def test_a_model_that_was_not_adapted_is_refused(say: Callable[..., Said], adapted: Path) -> None:
    said = say("validate", adapted / "shapes.translated.onnx")
    assert said.code == 3
    assert said.err.endswith("not a model that `adapt` wrote\n  hint: run adapt on it first\n")


def test_a_bundle_without_evidence_says_so(say: Callable[..., Said], adapted: Path) -> None:
    said = say("emit", adapted / "shapes.onnx", "-o", adapted / "bundle", "--format", "json")
    (found,) = (finding for finding in said.document["findings"] if finding["id"] == "EI550")
    assert (found["message"], found["hint"]) == (
        "there is no evidence for this model",
        "run `ei-deepstream validate -o` first",
    )
    assert said.document["evidence"]["parity"] is None


def test_evidence_of_another_model_is_refused(say: Callable[..., Said], adapted: Path) -> None:
    assert say("validate", adapted / "shapes.onnx", "-o", adapted, "-q").code == 0
    evidence = adapted / "shapes.evidence.json"
    evidence.write_text(evidence.read_text().replace('"model_sha256": "', '"model_sha256": "0'))
    said = say("emit", adapted / "shapes.onnx", "-o", adapted / "bundle")
    assert said.code == 3
    assert "another model" in said.err


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"hello", bytes(1000)])
def test_files_that_are_no_onnx(say: Callable[..., Said], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL.read_bytes())
    (tmp_path / "m.onnx").write_bytes(content)
    for command in (["adapt", "-o", tmp_path / "out"], ["validate"], ["emit", "-o", tmp_path / "out"]):
        said = say(command[0], tmp_path / "m.onnx", *command[1:])
        assert said.code == 3
        assert "hint:" in said.err


def test_a_model_far_from_its_original_stops_before_anything_is_written(
    say: Callable[..., Said], exports: list[Path], tmp_path: Path
) -> None:
    """The gate itself: with a limit nothing can meet, exit code 1, the numbers, and no bundle."""
    said = say("convert", exports[0], "-o", tmp_path / "bundle", "--tolerance", "1e-12", "--format", "json")
    assert said.code == 1
    assert [stage["status"] for stage in said.document["stages"]][-2:] == ["failed", "skipped"]
    assert said.document["evidence"]["parity"]["max_abs_diff"] > 1e-12
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("command", ["convert", "inspect", "unpack", "translate", "adapt", "validate", "emit"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert "Usage: ei-deepstream" in capsys.readouterr().out


def test_a_mistyped_command_is_guessed(say: Callable[..., Said]) -> None:
    said = say("convrt", "x")
    assert said.code == 2
    assert "'convert'" in said.err


def test_a_rewritten_model_keeps_what_its_export_recorded(say: Callable[..., Said], tmp_path: Path) -> None:
    """metadata.json belongs to the .tflite beside it, which is not the one that the export holds."""
    quantized = tmp_path / "quantized.tflite"
    quantized.write_bytes(by_brightness(0.4, 0.35))
    options = ("--labels", "left;right")
    said = say(
        "unpack", quantized, "-o", tmp_path / "work", "--dequantize", *options, "--name", "m", "--format", "json"
    )
    labels = said.document["export"]["metadata"]["labels"] if said.code == 0 else []
    assert labels == ["left", "right"], said.err
    translated = say("translate", tmp_path / "work" / "m.tflite", "-o", tmp_path, "--format", "json")
    assert translated.document["export"]["metadata"]["labels"] == labels
    assert "EI108" not in {finding["id"] for finding in translated.document["findings"]}


def test_what_rounds_otherwise_is_refused(say: Callable[..., Said], tmp_path: Path) -> None:
    """The model between two stages has the rounding that was chosen then."""
    (tmp_path / "m.tflite").write_bytes(by_brightness(0.7, 0.45))
    options = ("--dequantize", "--labels", "left;right", "--resize-mode", "squash", "-q", "--rounding")
    assert say("translate", tmp_path / "m.tflite", "-o", tmp_path, *options, "first").code == 0
    wrong = [say("adapt", tmp_path / "m.translated.onnx", "-o", tmp_path, *options, "none")]
    assert say("adapt", tmp_path / "m.translated.onnx", "-o", tmp_path, *options, "first").code == 0
    wrong.append(say("validate", tmp_path / "m.onnx", *options, "none"))
    for said in wrong:
        assert said.code == 3
        assert said.err.endswith(
            ".onnx: made with --rounding first, and this command chose none\n"
            "  hint: give --rounding first to each command, translate and those behind it\n"
        )


def test_a_report_names_no_folder_of_its_user(say: Callable[..., Said], exports: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "somebody" / "export"
    shutil.copytree(exports[0], folder)
    assert say("convert", folder, "-o", tmp_path / "out", "--frame", "none", "-q").code == 0
    assert "somebody" not in (tmp_path / "out" / "report.json").read_text()


WHICH = "  hint: say which one it was made from: --tflite\n"


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ([], f"m.translated.onnx: no .tflite files beside it\n{WHICH}"),
        (["a.tflite", "b.tflite"], f"m.translated.onnx: several .tflite files beside it\n{WHICH}"),
        (["m.tflite", "m.original.onnx"], f"m.translated.onnx: several .tflite files beside it\n{WHICH}"),
        (["a.tflite"], "a.tflite: "),
        (["a.tflite", "m.tflite", "b.original.onnx"], "m.tflite: "),
        (["m.original.onnx", "a.tflite"], "m.original.onnx: "),
    ],
)
def test_which_model_it_was_made_from(
    say: Callable[..., Said], tmp_path: Path, beside: list[str], message: str
) -> None:
    """What is taken is damaged here, and named."""
    for name in beside:
        (tmp_path / name).write_bytes(b"damaged")
    said = say("validate", tmp_path / "m.translated.onnx")
    assert said.code == 3
    assert message in said.err
