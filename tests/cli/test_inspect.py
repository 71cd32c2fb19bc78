"""`inspect` answers for anything a person may point it at."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
from PIL import Image

import convert
from convert.render.inspection import chain
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


EXPORTS = Path(__file__).resolve().parents[2] / "samples" / "exports"
MARKS = ("--line", "door:0.1,0.5,0.9,0.5", "--zone", "desk:0,0;0.2,0;0.2,0.2")


def _drawn(page: str) -> Image.Image:
    data = re.findall(r'<img src="data:image/(?:png|jpeg);base64,([^"]+)"', page)
    return Image.open(io.BytesIO(base64.b64decode(data[0])))


def test_lines_and_zones_are_drawn_on_a_frame(say: Callable[..., Said], tmp_path: Path) -> None:
    """On the line there is its colour, whether the frame is plain or a picture; the table says what will be counted."""
    export, picture = EXPORTS / "table-fomo-2025.zip", tmp_path / "camera.png"
    Image.new("RGB", (640, 480), (0, 0, 200)).save(picture)
    said = say("inspect", export, *MARKS, "-o", tmp_path / "plain")
    assert f"wrote {tmp_path / 'plain' / 'report.html'}" in said.out
    plain = (tmp_path / "plain" / "report.html").read_text()
    assert "door-down, door-up" in plain
    assert "192,540 1728,540" in plain
    assert "tenths" in plain
    on_camera = say("inspect", export, *MARKS, "--picture", picture, "-o", tmp_path / "own", "--format", "json")
    assert [Path(each["path"]).name for each in on_camera.document["outputs"]] == ["report.html"]
    assert on_camera.document["marks"][0]["points"] == [[192, 540], [1728, 540]]
    for name, size, ground in (("plain", (960, 540), (226, 230, 235)), ("own", (640, 480), (0, 0, 200))):
        with _drawn((tmp_path / name / "report.html").read_text()) as image:
            assert image.size == size
            pixels = np.asarray(image.convert("RGB"), int)
            for x, y, colour in ((0.3, 0.5, (120, 230, 80)), (0.1, 0, (120, 230, 80)), (0.55, 0.75, ground)):
                found = pixels[int(y * size[1]), int(x * size[0])]
                assert np.abs(found - colour).max() < 12, (name, x, y)


def test_a_line_without_length_is_refused(say: Callable[..., Said], tmp_path: Path) -> None:
    line = ("--line", "a:0.5001,0.5,0.5002,0.5", "--frame", "1280x720")
    said = say("inspect", EXPORTS / "table-fomo-2025.zip", *line, "-o", tmp_path / "page")
    assert said.code == 3
    assert "line a is shorter than a pixel of 1280x720" in said.err
    assert not (tmp_path / "page").exists()


def test_what_a_picture_of_the_page_cannot_be(say: Callable[..., Said], tmp_path: Path) -> None:
    export, picture = EXPORTS / "table-fomo-2025.zip", tmp_path / "camera.png"
    Image.new("RGB", (640, 480)).save(picture)
    assert "draw" in say("inspect", export, "--picture", picture, "-o", tmp_path / "x").err
    assert "give --line and -o" in say("inspect", export, *MARKS, "--picture", picture).err
    other = say("inspect", export, *MARKS, "--picture", picture, "--frame", "16:9", "-o", tmp_path / "x")
    assert other.code == 3
    assert "the picture has 640x480 pixels, and --frame says 16:9" in other.err
    picture.write_bytes(b"no picture")
    assert say("inspect", export, *MARKS, "--picture", picture, "-o", tmp_path / "x").err
    assert not (tmp_path / "x").exists()


def test_the_chain_of_an_impulse(say: Callable[..., Said], tmp_path: Path) -> None:
    """From the sensor to the scores, box below box; several blocks get one window, so no arrow is between them."""
    export = EXPORTS / "sounds-cpp-2025.zip"
    say("inspect", export, "-o", tmp_path)
    (drawing,) = re.findall('<ol class="chain">.*?</ol>', (tmp_path / "report.html").read_text(), re.DOTALL)
    boxes = ["".join(box.itertext()) for box in ET.fromstring(drawing)]
    assert [box.split()[0] for box in boxes] == ["Sensor", "Window", "Block", "Network"]
    assert boxes[0] == "Sensor microphone, 8000 Hz, 1 axis (audio)"
    assert boxes[1] == "Window 8,000 samples each axis, 1 s"
    assert "Audio (MFE), version 4: 992 features" in boxes[2]
    inspection = convert.inspect(export)
    assert inspection.impulse is not None
    (block,) = inspection.impulse.blocks
    several = replace(inspection.impulse, blocks=(block, replace(block, id=7)))
    assert [(part.title, part.arrow) for part in chain(several, "scores: a")] == [
        ("Sensor", False), ("Window", True), ("Block 3", True), ("Block 7", False), ("Network", True),
    ]  # fmt: skip
    assert chain(several, "scores: a")[-1].text == "scores: a; of block 3"
    assert [part.title for part in chain(several, "")][-1] == "Block 7", "no network, no box of one"
    alike = replace(several, blocks=(block, block), inputs=(block.id,) * 2)
    assert [part.arrow for part in chain(alike, "scores: a")] == [False, True, True, False, True]
    assert chain(alike, "scores: a")[-1].text == "scores: a"
    say("inspect", EXPORTS / "table-fomo-2025.zip", "-o", tmp_path)
    assert '<ol class="chain">' not in (tmp_path / "report.html").read_text()
