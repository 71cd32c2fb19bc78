"""--resize graph: a bundle whose network takes frames of one size, and resizes them as Edge Impulse does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.cli.test_frame import keys
from tests.emitted import compare_nothing, prove_nothing
from tests.heads.ssds import ssd

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Said

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
MODEL = SAMPLES / "models" / "shapes.tflite"
RESIZE = ("--resize", "graph", "--frame", "160x120")


def test_a_bundle(say: Callable[..., Said], tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    options = ("convert", MODEL, "-o", out, *RESIZE, "--resize-mode", "fit-shortest", "--format", "json")
    planned = say(*options, "--dry-run").document
    document = say(*options).document
    assert document["exit_code"] == 0
    assert [each["path"] for each in planned["outputs"]] == [each["path"] for each in document["outputs"]]
    assert not {"EI304", "EI306", "EI409", "EI510"} & {finding["id"] for finding in document["findings"]}
    assert (document["model"]["file"], document["object_model"]["file"]) == ("shapes-160x120.onnx", "shapes.onnx")
    assert document["evidence"]["for_objects"]["parity"]["max_abs_diff"] < 1e-4
    assert "resizes them itself, as Edge Impulse does" in (out / "RUN.md").read_text()
    config = keys(out / "config_infer_primary_shapes.txt")
    # the model is grey: it makes grey of colours itself
    assert config["infer-dims"] == "3;120;160"
    assert config["model-color-format"] == "0"
    assert config["net-scale-factor"] == "1.0"
    assert not {"offsets", "scaling-compute-hw", "symmetric-padding"} & config.keys()
    assert config["maintain-aspect-ratio"] == "0"
    app = (out / "deepstream_app_shapes.txt").read_text().partition("[streammux]")[2]
    assert "\nwidth=160\nheight=120\n" in app
    assert document["evidence"]["parity"]["max_abs_diff"] < 1e-4
    framing = document["model"]["preprocessing"]["framing"]
    assert (framing["resize"], framing["network"], framing["model"]) == ("graph", [160, 120], [48, 48])
    assert say("check", out, "--format", "json").document["findings"] == []


def test_stage_by_stage(say: Callable[..., Said], convert: Callable[..., Path], tmp_path: Path) -> None:
    work, mode = tmp_path / "work", ("--resize-mode", "fit-longest")
    whole = convert(MODEL, *mode, *RESIZE, "--role", "pgie")
    assert say("unpack", MODEL, "-o", work, *mode, "-q").code == 0
    assert say("translate", work / "shapes.tflite", "-o", work, "-q").code == 0
    assert say("adapt", work / "shapes.translated.onnx", "-o", work, *RESIZE, "-q").code == 0
    assert say("validate", work / "shapes.onnx", "-o", work, "-q").code == 0
    assert say("emit", work / "shapes.onnx", "-o", tmp_path / "bundle", "--role", "pgie", "-q").code == 0
    names = {path.name for path in whole.iterdir()} - {"report.json"}
    assert names == {path.name for path in (tmp_path / "bundle").iterdir()} - {"report.json"}
    for name in names:
        assert (tmp_path / "bundle" / name).read_bytes() == (whole / name).read_bytes()
    said = say("validate", work / "shapes.onnx", "--resize-mode", "squash")
    assert said.code == 3
    made = "made for frames of 160x120, brought to size as in training"
    assert said.err.splitlines() == [
        f"error: {work / 'shapes.onnx'}: {made}; shapes.tflite says otherwise",
        "  hint: say how pictures were brought to size in training: --resize-mode fit-longest",
    ]


def test_what_it_is_for_is_said(say: Callable[..., Said], tmp_path: Path) -> None:
    said = say("convert", MODEL, "-o", tmp_path, *RESIZE, "--resize-mode", "squash")
    assert "whole ones of 160x120, which the model resizes itself; for another camera's give --frame WIDTH" in said.out
    assert "same answer as Edge Impulse on 40 of 40 frames of 160x120" in said.out
    assert "with `--frame WIDTHxHEIGHT`" in (tmp_path / "RUN.md").read_text()
    # objects are brought to the model's size by the device
    assert keys(tmp_path / "config_infer_secondary_shapes.txt")["infer-dims"] == "1;48;48"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--resize", "graph"), "--frame 1280x720"),
        (("--resize", "graph", "--frame", "16:9"), "--frame 1280x720"),
        ((*RESIZE, "--role", "sgie"), "--role sgie looks at objects"),
        (("--resize", "graph", "--frame", "161x120"), "--frame 162x120"),
        (("--resize", "graph", "--frame", "8000x6000"), "4096 pixels a side"),
    ],
)
def test_what_cannot_be(say: Callable[..., Said], tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    said = say("convert", MODEL, "-o", tmp_path / "b", *options)
    assert said.code in {2, 3}
    assert words in said.err
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("kind", "mode"), [("fomo", "squash"), ("fomo", "fit-longest"), ("yolov5", "fit-longest"), ("ssd", "fit-shortest")]
)
def test_every_kind_of_head(
    say: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str
) -> None:
    """Where boxes come to lie in each mode: `tests/heads/test_resized.py`."""
    model = SAMPLES / "exports" / f"table-{kind}-2025.zip"
    if kind == "ssd":
        model = tmp_path / "ssd.tflite"
        model.write_bytes(ssd())
    compare_nothing(monkeypatch)
    bundle = tmp_path / "bundle"
    options = ("--frame", "320x180", "--resize", "graph", "--resize-mode", mode)
    assert say("convert", model, "-o", bundle, *options, "-q").code == 0
    report = json.loads((bundle / "report.json").read_text())
    evidence: dict[str, Any] = report["evidence"]
    assert evidence["parity"]["max_abs_diff"] < 1e-4
    assert evidence["batch"] == {"sizes": [1, 2, 8], "max_abs_diff": pytest.approx(0, abs=1e-6)}
    assert evidence["decoding"] < 1e-6
    assert report["model"]["input"]["shape"] == [None, 3, 180, 320]
    assert say("check", bundle, "--format", "json").document["findings"] == []


@pytest.mark.parametrize(
    ("mode", "does"), [("squash", "squashes"), ("fit-longest", "puts black bars around"), (None, "squashes")]
)
def test_whole_pictures_are_resized_by_the_model_too(
    say: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str | None, does: str
) -> None:
    """By default, as cropped ones; an app of another shape is only told so where that matters."""
    prove_nothing(monkeypatch)
    said = say("convert", MODEL, "-o", tmp_path, *(("--resize-mode", mode) if mode else ()))
    assert said.code == 0
    assert f"whole ones of 16:9, which the model {does}; for another camera's give --frame 4:3" in said.out
    assert f"the model takes whole ones of 16:9 and {does} them.\n" in (tmp_path / "RUN.md").read_text()
    assert keys(tmp_path / "config_infer_primary_shapes.txt")["infer-dims"] == "3;360;640"
    assert keys(tmp_path / "config_infer_secondary_shapes.txt")["infer-dims"] == "1;48;48"
    assert say("check", tmp_path, "--format", "json").document["findings"] == []
    app = tmp_path / "deepstream_app_shapes.txt"
    app.write_text(app.read_text().replace("\nwidth=1920\n", "\nwidth=1440\n"))
    found = say("check", tmp_path, "--format", "json").document["findings"]
    matters = mode == "fit-longest"
    assert [each["id"] for each in found] == ["NVI056"] * matters
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("L", (640, 480), 90).save(pictures / "high.png")
    found = say("simulate", tmp_path, pictures, "-o", tmp_path / "shown", "--format", "json").document["findings"]
    assert ("EI701" in {each["id"] for each in found}) == matters
