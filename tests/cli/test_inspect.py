"""`inspect` answers for anything a person may point it at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from samples import layouts
from tests.export.test_onnxfacts import model

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Said

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "samples" / "models" / "shapes.tflite"


def test_samples_are_described(say: Callable[..., Said], exports: list[Path]) -> None:
    for export in exports:
        if "yolov5" not in export.name:
            _is_described(say, export, "fomo" if "fomo" in export.name else "classifier")


def test_recorded_last_layer_says_what_the_model_is(say: Callable[..., Said]) -> None:
    """The sample has one anchor for each place of one grid, which the shape of its output alone does not tell."""
    _is_described(say, ROOT / "samples" / "exports" / "table-yolov5-2025.zip", "yolov5")


def _is_described(say: Callable[..., Said], export: Path, task: str) -> None:
    document = say("inspect", export, "--format", "json").document
    (found,) = document["models"]
    assert found["convertible"]
    assert found["chosen"]
    assert found["task"] == task
    assert found["metadata"]["labels"]
    text = say("inspect", export)
    assert text.code == 0
    assert "can be converted" in text.out
    assert ", ".join(found["metadata"]["labels"]) in text.out


def test_an_onnx_model_is_judged_as_convert_does(say: Callable[..., Said], tmp_path: Path) -> None:
    """Its operators have names of their own, of which none is a custom one of TensorFlow Lite."""
    picture, numbers = tmp_path / "picture.onnx", tmp_path / "numbers.onnx"
    picture.write_bytes(model((1, 32, 32, 3), (1, 4), operators=("Gemm", "Softmax")))
    numbers.write_bytes(model((1, 39), (1, 4), operators=("Gemm", "Relu", "Softmax")))
    (found,) = say("inspect", picture, "--format", "json").document["models"]
    assert found["convertible"]
    (found,) = say("inspect", numbers, "--format", "json").document["models"]
    refusal = say("convert", numbers, "-o", tmp_path / "out", "--format", "json")
    assert (refusal.code, found["convertible"]) == (3, False)
    assert found["reason"] == refusal.document["error"]["message"]
    assert "a model for sound, motion" in found["reason"]


def test_no_frame_is_drawn_of_what_takes_no_pictures(say: Callable[..., Said], tmp_path: Path) -> None:
    """A spectrogram has rows and columns, and Studio records a way to resize it."""
    for sensor, drawn in (("CAMERA", True), ("MICROPHONE", False)):
        parameters = layouts.Parameters(width=48, height=48, channels=1, sensor=sensor, resize_mode="fit-shortest")
        library = layouts.write_tree(layouts.cpp_library(MODEL.read_bytes(), parameters), tmp_path / sensor)
        assert ("16:9" in say("inspect", library).out) is drawn
        assert ("frame 4:3" in say("inspect", library, "--frame", "4:3").out) is drawn
        (found,) = say("inspect", library, "--format", "json").document["models"]
        assert (found["framing"] is not None) is drawn


def test_several_models_are_listed_with_what_to_type(say: Callable[..., Said], tmp_path: Path) -> None:
    data = MODEL.read_bytes()
    parameters = layouts.Parameters(labels=("circle", "square", "star", "triangle"), width=48, height=48, channels=1)
    layouts.write_tree(layouts.cpp_library(data, parameters, "F3"), tmp_path / "a")
    layouts.write_tree(layouts.cpp_library(data[:-4] + bytes(4), parameters, "F3"), tmp_path / "b")
    said = say("inspect", tmp_path, "--format", "json")
    assert len(said.document["models"]) >= 2


def test_files_that_hold_no_model_are_named(say: Callable[..., Said], tmp_path: Path) -> None:
    contents = {
        "page.zip": b"<!DOCTYPE html><html>Sign in</html>",
        "program.eim": b"\x7fELF\x02\x01\x01" + bytes(57),
        "nothing.lite": b"",
        "notes.txt": b"hello",
    }
    for name, data in contents.items():
        path = tmp_path / name
        path.write_bytes(data)
        document = say("inspect", path, "--format", "json").document
        assert document["models"] == []
        assert document["undecided"], name
        assert document["hint"], name


def test_what_is_not_there_is_an_error(say: Callable[..., Said], tmp_path: Path) -> None:
    said = say("inspect", tmp_path / "missing.zip")
    assert said.code == 3
    assert "hint:" in said.err


def test_a_model_that_cannot_be_converted_says_why(say: Callable[..., Said], models: Path) -> None:
    for path in sorted(models.glob("*lite")):
        document = say("inspect", path, "--format", "json").document
        (found,) = document["models"]
        assert found["convertible"] or (found["reason"] and found["hint"])
