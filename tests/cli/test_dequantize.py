"""Quantized models in every form, as they are by default: whole, in steps, in batches, from EON-compiled C++."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.export.eon.writer import FORMS, write
from tests.test_agreement import by_brightness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Said

SAID = ("--labels", "dark;bright", "--resize-mode", "squash", "--image-scaling", "0..1")
PLAIN = (*SAID, "--frame", "none")  # half the time of a model for frames


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose first layer's rounding matters."""
    path = tmp_path_factory.mktemp("coarse") / "coarse.tflite"
    path.write_bytes(by_brightness(0.7, 0.45))
    return path


def report(folder: Path) -> dict[str, Any]:
    document = json.loads((folder / "report.json").read_text())
    assert isinstance(document, dict)
    return document


def test_convert_and_its_stages_one_by_one_choose_alike(say: Callable[..., Said], coarse: Path, tmp_path: Path) -> None:
    whole, work, steps = tmp_path / "whole", tmp_path / "work", tmp_path / "steps"
    said = say("convert", coarse, "-o", whole, *PLAIN)
    assert said.code == 0, said.err
    same = "rewritten in float32, rounded as the original: every layer: decides as the original on"
    assert re.search(rf"  int8      {same} (100|9\d\.\d+) % of \d+ inputs\n", said.out)
    assert "EI154" in said.out
    assert say("unpack", coarse, "-o", work, *SAID).code == 0
    assert (work / "coarse.tflite").read_bytes() == coarse.read_bytes(), "as it is"
    assert say("translate", work / "coarse.tflite", "-o", work).code == 0
    assert say("adapt", work / "coarse.translated.onnx", "-o", work).code == 0
    assert say("validate", work / "coarse.onnx", "-o", work).code == 0
    assert say("emit", work / "coarse.onnx", "-o", steps).code == 0
    assert (steps / "coarse.onnx").read_bytes() == (whole / "coarse.onnx").read_bytes()
    one, other = report(whole), report(steps)
    assert one["evidence"].pop("answers")  # of a whole bundle: the stage `validate` alone knows no config
    assert other["evidence"].pop("answers") is None
    assert one["evidence"] == other["evidence"]
    assert one["export"]["operators"] == other["export"]["operators"]
    assert one["evidence"]["int8_agreement"]["layers"] == "every"
    assert one["evidence"]["int8_agreement"]["top1"] >= 0.98
    assert one["evidence"]["parity"]["max_abs_diff"] <= 1 / 256, "one step of the scores"


def test_a_stage_that_rounds_otherwise_than_the_one_before_is_refused(
    say: Callable[..., Said], coarse: Path, tmp_path: Path
) -> None:
    """Else it is measured and described as another model than it is; the hint is what helps."""
    assert say("unpack", coarse, "-o", tmp_path, *SAID).code == 0
    assert say("translate", tmp_path / "coarse.tflite", "-o", tmp_path, "--rounding", "none").code == 0
    hint = ""
    for command, read, to in (
        ("adapt", "coarse.translated.onnx", tmp_path),
        ("validate", "coarse.onnx", tmp_path),
        ("emit", "coarse.onnx", tmp_path / "bundle"),
    ):
        for other in ("auto", "first"):
            said = say(command, tmp_path / read, "-o", to, "--rounding", other)
            assert said.code != 0
            found = re.search("give (--rounding none) to each command", said.err)
            assert found, said.err
            hint = found[1]
        assert say(command, tmp_path / read, "-o", to, *hint.split()).code == 0
    evidence = report(tmp_path / "bundle")["evidence"]
    assert evidence["int8_agreement"]["layers"] == "none"
    assert evidence["parity"]["max_abs_diff"] < 1e-4


def test_what_unpack_writes_goes_on_as_it_was_chosen(
    say: Callable[..., Said], convert: Callable[..., Path], coarse: Path, tmp_path: Path
) -> None:
    said = say("unpack", coarse, "-o", tmp_path / "work", "--dequantize", *SAID, "--format", "json")
    assert said.code == 0, said.err
    recorded = json.loads((tmp_path / "work" / "metadata.json").read_text())
    assert "EI154" in {finding["id"] for finding in recorded["findings"]}
    assert "FLOOR" in recorded["operators"]
    assert say("convert", tmp_path / "work" / "coarse.tflite", "-o", tmp_path / "out", "--frame", "none").code == 0
    one, other = report(tmp_path / "out"), report(convert(coarse, *PLAIN))
    assert one["export"]["operators"] == other["export"]["operators"]
    assert one["evidence"]["parity"]["top1"] == other["evidence"]["parity"]["top1"] == 1
    assert one["evidence"]["parity"]["exact"] is other["evidence"]["parity"]["exact"] is False


def test_a_dry_run_measures_nothing(
    say: Callable[..., Said], coarse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.agreement.Worker", None)
    said = say("convert", coarse, "-o", tmp_path / "out", *SAID, "--dry-run")
    assert said.code == 0, said.err
    assert "EI151" in said.out
    assert "EI154" not in said.out


@pytest.mark.usefixtures("anew")
def test_a_batch_gives_the_same_bytes(
    say: Callable[..., Said],
    convert: Callable[..., Path],
    coarse: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EI_DEEPSTREAM_CACHE", str(tmp_path / "cache"))
    for place in ("first", "second"):  # the second from the cache
        said = say("batch", coarse, "-o", tmp_path / place, *PLAIN)
        assert said.code == 0, said.err
        for path in convert(coarse, *PLAIN).iterdir():
            assert (tmp_path / place / "coarse" / path.name).read_bytes() == path.read_bytes(), path.name


def test_eon_compiled_cpp_gives_the_same_model(
    say: Callable[..., Said], convert: Callable[..., Path], coarse: Path, tmp_path: Path
) -> None:
    source = tmp_path / "trained_model_compiled.cpp"
    source.write_text(write(coarse.read_bytes(), FORMS["2025-07"]))
    said = say("convert", source, "-o", tmp_path / "compiled", *PLAIN, "--name", "coarse")
    assert said.code == 0, said.err
    flat, compiled = convert(coarse, *PLAIN), tmp_path / "compiled"
    assert (flat / "coarse.onnx").read_bytes() == (compiled / "coarse.onnx").read_bytes()
    assert report(flat)["evidence"]["int8_agreement"] == report(compiled)["evidence"]["int8_agreement"]


def test_as_it_is_it_is_refused(say: Callable[..., Said], coarse: Path, tmp_path: Path) -> None:
    refused = say("convert", coarse, "-o", tmp_path / "out", "--no-dequantize")
    assert refused.code == 3
    assert "leave out --no-dequantize" in refused.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layers"), [("fomo-96x96x3-int8.tflite", "every"), ("classify-48x48x3-int8-float-io.lite", "none")]
)
def test_real_models(
    say: Callable[..., Said], convert: Callable[..., Path], models: Path, name: str, layers: str
) -> None:
    """How the others decide: `tests/export/test_dequantize_agreement.py`."""
    bundle = convert(models / name, "--resize-mode", "squash", "--frame", "none")
    evidence = report(bundle)["evidence"]
    assert evidence["int8_agreement"]["layers"] == layers
    assert evidence["int8_agreement"]["top1"] >= 0.98
    parity = evidence["parity"]
    assert parity["exact"] == (layers == "none")
    # Of rounded activations it is held against the int8 original.
    assert parity["max_abs_diff"] < 1e-4 if layers == "none" else parity["mean_abs_diff"] < 0.01
    assert evidence["batch"]["max_abs_diff"] < 1e-5
    ids = {finding["id"] for finding in report(bundle)["findings"]}
    assert {"EI151", "EI154"} & ids == ({"EI151", "EI154"} if layers == "every" else {"EI151"})
    assert "EI153" not in ids
    checked = say("check", bundle)
    assert checked.code == 0, checked.out
