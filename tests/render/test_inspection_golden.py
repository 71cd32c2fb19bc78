"""What `inspect` tells: in a narrow terminal, as JSON and as a page, to the letter.

`UPDATE_GOLDEN=1 pytest tests/render/test_inspection_golden.py` writes it anew: read the difference before it is
committed.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from convert import __version__
from convert.dsp import Block, Impulse
from convert.errors import PresetError
from convert.export.unpack import InspectedModel, Inspection
from convert.files import Output
from convert.findings import Finding, Level
from convert.images import ImageScaling, ResizeMode, parse_frame, parse_line, parse_zone
from convert.render.inspection import chain, inspection_document, show_inspection, write_page
from convert.report import dumps
from convert.types import Color, Metadata, ModelFacts, ModelFormat, Tensor, Tracking

GOLDEN = Path(__file__).with_name("golden") / "inspection.txt"
_FACTS = ModelFacts(
    Tensor("x[0]", (1, 96, 96, 3), "int8", 0.5, -128), (Tensor("y", (1, 3), "int8"),),
    ("CONV_2D", "FULLY_CONNECTED", "SOFTMAX"), "int8", "classifier",
)  # fmt: skip
_KNOWN = Metadata(
    labels=("red", "[b]green"), resize_mode=ResizeMode.FIT_SHORTEST, crop_anchor=(0.0, 0.5),
    image_scaling=ImageScaling.TORCH, color=Color.GRAY, threshold=0.25, project_name="Fruit [x]", project_owner="me",
    deploy_version=7, studio_version="1.2", project_id=3, segments=((1, 2, 3, 4), (5, 6, 7, 8)),
    tracking=Tracking(True, 9, 2, 0.25, True),
)  # fmt: skip
_TAKEN = InspectedModel(
    1, "in/a [1].tflite", "F3", ModelFormat.TFLITE, "array", 12345, "0" * 64, _FACTS, None, None, True, True, _KNOWN
)
_LARGE = "the model is far too large for anything that there is on this small machine"
_REFUSED = replace(
    _TAKEN, number=2, member="", form="onnx", symbol="", digest=None, chosen=False, used=False, reason=_LARGE,
    hint="give it to a larger one, or train a smaller one, and then come back",
    metadata=Metadata(tracking=Tracking(False, 3, 0, 20, False)),
)  # fmt: skip
_UNREAD = replace(_REFUSED, number=3, facts=None, metadata=Metadata(resize_mode=ResizeMode.SQUASH))
_WHOLE = replace(_TAKEN, member="", symbol="", metadata=Metadata(resize_mode=ResizeMode.SQUASH))
_MANY = replace(_WHOLE, metadata=Metadata(labels=tuple(f"l{number}" for number in range(22))))
_FINDING = Finding("EI100", Level.WARNING, "it is old", None, None, None, "renew it")
_IMPULSE = Impulse(
    "accelerometer", 125, 2, ("x", "y"), 62.5, 4,
    (Block("raw", 3, 1, (0, 1), {"scale_axes": 1.0}, 250), Block("raw", 5, 1, (0,), {"scale_axes": 2.0}, 125)), (3,),
)  # fmt: skip

INSPECTIONS = {
    "one": Inspection("a [1].zip", "zip", "export", "an export", _KNOWN, (_WHOLE,), None, None, ()),
    "several": Inspection(
        "b", "folder", "export", "a folder with 3 models", _KNOWN, (_TAKEN, _REFUSED, _UNREAD),
        "a folder with 3 models: choose one:\n#1\n#2", "name one of them with --model, as --model '#1' for the first",
        (_FINDING,),
    ),
    "cropped": Inspection("c.tflite", "file", "tflite", "a flatbuffer", Metadata(), (_TAKEN,), None, None, ()),
    "nothing": Inspection(
        "d.png", "file", "png", "a picture", Metadata(), (), "it holds no model, and never held one at all", None, (),
    ),
    "impulse": Inspection("e.zip", "zip", "export", "sensor data", Metadata(), (_MANY,), None, None, (), _IMPULSE),
}  # fmt: skip


def told(capsys: pytest.CaptureFixture[str], folder: Path) -> str:
    lines = []
    marks = (parse_line("door:0.1,0.6,0.9,0.6"), parse_zone("desk:0,0.5;0.5,0.5;0.5,1"))
    for name, inspection in INSPECTIONS.items():
        frame = parse_frame("4:3") if name in {"cropped", "one"} else None
        drawn = marks if name in {"one", "nothing"} else ()
        outputs = (Output("out/report.html", "0" * 64),) if drawn else ()
        capsys.readouterr()
        show_inspection(inspection, frame, drawn, outputs)
        lines += [f"# {name}", capsys.readouterr().out]
        lines.append(dumps(inspection_document(inspection, 3, frame, drawn, outputs)).decode())
        write_page(inspection, folder, frame, drawn, None)
        page = (folder / "report.html").read_text(encoding="utf-8")
        page = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL).replace(__version__, "VERSION")
        page = re.sub(r"sha256-[\w+/=]+", "sha256-style", re.sub(r"base64,[\w+/=]+", "", page))
        lines.append(re.sub(r"\n\s*\n+", "\n", page.replace("><", ">\n<")))
    return "\n".join(line.rstrip() for line in "\n".join(lines).replace("\x1b", "^").split("\n")) + "\n"


def test_inspections(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("COLUMNS", "60"), ("FORCE_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    text = told(capsys, tmp_path)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_a_picture_of_another_shape_than_the_frame(tmp_path: Path) -> None:
    """Up to a hundredth: pictures of cameras are cut to whole pixels."""
    inspection, marks, frame = INSPECTIONS["one"], (parse_line("door:0.1,0.6,0.9,0.6"),), parse_frame("1:1")
    for width, height in ((219, 216), (212, 215)):
        Image.new("RGB", (width, height)).save(tmp_path / "p.png")
        with pytest.raises(PresetError) as caught:
            write_page(inspection, tmp_path, frame, marks, tmp_path / "p.png")
        assert caught.value.message == f"the picture has {width}x{height} pixels, and --frame says 1:1"
        assert caught.value.hint == "give a picture as the camera gives it, or leave out --frame"
    Image.new("RGB", (217, 215)).save(tmp_path / "p.png")
    assert write_page(inspection, tmp_path, frame, marks, tmp_path / "p.png")
    write_page(inspection, tmp_path, None, marks, tmp_path / "p.png")
    assert "22,129 195,129" in (tmp_path / "report.html").read_text(), "in pixels of the picture"


@pytest.mark.parametrize(("count", "text"), [(0, "scores"), (1, "scores: l0"), (20, "l19"), (21, "l19 and 1 more")])
def test_labels_of_the_network_of_an_impulse(count: int, text: str, tmp_path: Path) -> None:
    labels = tuple(f"l{number}" for number in range(count))
    model = replace(_WHOLE, metadata=Metadata(labels=labels or None))
    write_page(replace(INSPECTIONS["impulse"], models=(model,)), tmp_path, None, (), None)
    page = (tmp_path / "report.html").read_text()
    assert f"classifier 96x96x3, int8; scores{': l0' if count else ''}" in page
    assert re.search(rf"{text}(; of block 3)?<", page)


def test_of_an_impulse_whose_network_takes_some_blocks_they_are_named() -> None:
    parts = chain(_IMPULSE, "a classifier")
    assert [(part.title, part.arrow) for part in parts] == [
        ("Sensor", False), ("Window", True), ("Block 3", True), ("Block 5", False), ("Network", True)
    ]  # fmt: skip
    assert parts[0].text == "accelerometer, 62.5 Hz, 2 axes (x, y)"
    assert parts[1].text == "125 samples each axis, 2 s"
    assert parts[-1].text == "a classifier; of block 3"
    assert chain(replace(_IMPULSE, inputs=(3, 5)), "a classifier")[-1].text == "a classifier"
    bare = chain(replace(_IMPULSE, axes=1, axis_names=(), frequency=0.0), "")
    assert (bare[0].text, bare[1].text) == ("accelerometer, 0 Hz, 1 axis", "125 samples each axis")
    assert [part.title for part in bare] == ["Sensor", "Window", "Block 3", "Block 5"]
