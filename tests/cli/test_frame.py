"""--frame: from the command line to a bundle that is proven, checked and says what it was made for."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from convert import check, pipeline
from convert.emit import Emit, EmitPair
from convert.errors import InputError
from convert.images import Frame, Framing, ResizeMode, parse_frame
from convert.isolation import Worker
from convert.nvinfer.targets import opsets, targets
from convert.translate import PRELOAD
from convert.types import Adapted, Evidence, Validated
from tests.eim.bundles import read_impulse
from tests.emitted import compare_nothing, prove_nothing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Said

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "samples" / "models" / "shapes.tflite"
CROPPED = ("--resize-mode", "fit-shortest")


def keys(path: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in path.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return {key: value for key, _, value in lines}


def test_a_bundle_for_frames(say: Callable[..., Said], tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    options = ("convert", MODEL, "-o", out, *CROPPED, "--frame", "1280x720", "--format", "json")
    planned = say(*options, "--dry-run").document
    assert not out.exists()
    document = say(*options).document
    assert document["exit_code"] == 0
    assert [each["path"] for each in planned["outputs"]] == [each["path"] for each in document["outputs"]]
    assert not {"EI304", "EI306", "EI409", "EI510"} & {finding["id"] for finding in document["findings"]}
    onnx = "shapes-1280x720.onnx"
    primary, secondary = (keys(out / f"config_infer_{role}_shapes.txt") for role in ("primary", "secondary"))
    assert (primary["onnx-file"], secondary["onnx-file"]) == (onnx, "shapes.onnx")
    assert (primary["infer-dims"], secondary["infer-dims"]) == ("3;360;640", "1;48;48")
    assert (primary["maintain-aspect-ratio"], primary["scaling-filter"]) == ("0", "1")
    assert primary["labelfile-path"] == secondary["labelfile-path"]
    app = (out / "deepstream_app_shapes.txt").read_text()
    assert "\nwidth=1280\nheight=720\n" in app.partition("[streammux]")[2]
    assert "enable=0" in app.partition("[secondary-gie0]")[2]
    # one script builds both engines, which have the names that the configs expect
    started = re.findall(r'"\$here"/(\S+)', (out / "build_engine.sh").read_text())
    for script, config in zip(started, (primary, secondary), strict=True):
        text = (out / script).read_text()
        assert f"\nengine={config['model-engine-file']}\n" in text
        assert config["infer-dims"].replace(";", "x") in text
        assert (out / script).stat().st_mode & 0o100
    framing = document["model"]["preprocessing"]["framing"]
    assert (framing["frame"], framing["model"]) == ("1280x720", [48, 48])
    assert document["object_model"]["preprocessing"]["framing"] is None
    report = json.loads((out / "report.json").read_text())
    assert [report[each]["file"] for each in ("model", "object_model")] == [onnx, "shapes.onnx"]
    evidence = report["evidence"]
    assert evidence == document["evidence"]
    assert evidence["framing"]["crop"]["mean_abs_diff"] < evidence["framing"]["squash"]["mean_abs_diff"]
    assert evidence["for_objects"]["parity"]["max_abs_diff"] < 1e-4
    assert evidence["for_objects"]["batch"]["sizes"] == [1, 2, 8]
    checked = say("check", out, "--format", "json").document
    assert checked["findings"] == []


def files(folder: Path) -> dict[str, bytes]:
    """All but the report."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "report.json"}


def test_frames_of_16_9_are_the_default(emitted: Callable[..., Path]) -> None:
    """The network for objects is the one that `--frame none` gives; that for frames is the same with any role."""
    usual, said = files(emitted(MODEL, *CROPPED)), files(emitted(MODEL, *CROPPED, "--frame", "16:9"))
    assert usual == said
    plain = files(emitted(MODEL, *CROPPED, "--frame", "none"))
    assert plain["shapes.onnx"] == usual["shapes.onnx"]
    assert plain["config_infer_secondary_shapes.txt"] == usual["config_infer_secondary_shapes.txt"]
    assert {name for name in plain if name.endswith((".onnx", ".sh"))} == {"shapes.onnx", "build_engine.sh"}
    primary = files(emitted(MODEL, *CROPPED, "--role", "pgie"))
    assert [name for name in primary if name.endswith(".onnx")] == ["shapes-16x9.onnx"]
    assert primary["shapes-16x9.onnx"] == usual["shapes-16x9.onnx"]
    assert primary["config_infer_primary_shapes.txt"] == usual["config_infer_primary_shapes.txt"]
    secondary = files(emitted(MODEL, *CROPPED, "--role", "sgie"))
    assert [name for name in secondary if name.endswith(".onnx")] == ["shapes.onnx"]
    assert secondary["shapes.onnx"] == usual["shapes.onnx"]


@pytest.mark.parametrize(
    ("options", "ratio", "dims", "mux"),
    [
        (("--frame", "9:16"), "9x16", "3;640;360", (1080, 1920)),
        (("--source", "/dev/video0"), "4x3", "3;360;480", (640, 480)),
    ],
)
def test_frames_on_end_and_a_cameras_own(
    emitted: Callable[..., Path], options: tuple[str, str], ratio: str, dims: str, mux: tuple[int, int]
) -> None:
    bundle = emitted(MODEL, *CROPPED, *options)
    primary = keys(bundle / "config_infer_primary_shapes.txt")
    assert (primary["onnx-file"], primary["infer-dims"]) == (f"shapes-{ratio}.onnx", dims)
    app = (bundle / "deepstream_app_shapes.txt").read_text()
    assert "\nwidth={}\nheight={}\n".format(*mux) in app.partition("[streammux]")[2]
    assert ("camera-width=640\ncamera-height=480\n" in app) == ("--source" in options)


@pytest.mark.parametrize("mode", ["squash", "fit-longest"])
def test_nothing_is_said_of_the_default_where_it_has_no_effect(emitted: Callable[..., Path], mode: str) -> None:
    mode_said = ("--resize-mode", mode)
    usual, plain = (emitted(MODEL, *mode_said, *how) for how in (("--resize", "device"), ("--frame", "none")))
    assert files(usual) == files(plain)
    assert (usual / "report.json").read_bytes() == (plain / "report.json").read_bytes()


def test_no_target_has_anything_to_say_against_it(tmp_path: Path) -> None:
    """Every release and platform: the two configs, the app, the labels and both models."""
    done = {}
    with Worker(PRELOAD) as worker:
        for opset in {min(13, opsets(where.tensorrt)[1]) for where in targets()}:
            stages = pipeline.stages(None, {"resize_mode": ResizeMode.FIT_SHORTEST, "opset": opset}, worker)
            adapted = pipeline.run((*stages[:2], pipeline.adapting({})), MODEL).last(Adapted)
            assert adapted is not None
            done[opset] = Validated(adapted, Evidence())
    for where in targets():
        validated = done[min(13, opsets(where.tensorrt)[1])]
        for source in (None, "/dev/video0"):
            folder = tmp_path / f"{where.deepstream}-{where.platform}-{source is None}"
            Emit(folder, target=where.deepstream, platform=where.platform, source=source)(validated, folder)
            assert check(folder).findings == ()


def test_clients_of_an_eim_get_the_model_without_the_crop(emitted: Callable[..., Path]) -> None:
    impulse = read_impulse(emitted(MODEL, *CROPPED))
    assert (impulse.width, impulse.height) == (48, 48)
    with pytest.raises(InputError, match="takes whole frames") as found:
        read_impulse(emitted(MODEL, *CROPPED, "--role", "pgie"))
    assert "--role both" in str(found.value.hint)


def test_a_bundle_is_simulated_on_whole_frames(
    say: Callable[..., Said], emitted: Callable[..., Path], tmp_path: Path
) -> None:
    bundle, pictures = emitted(MODEL, *CROPPED), tmp_path / "pictures"
    pictures.mkdir()
    Image.new("L", (640, 360), 90).save(pictures / "wide.png")
    said = say("simulate", bundle, pictures, "-o", tmp_path / "shown", "--format", "json")
    assert said.code == 0
    assert said.document["findings"] == []
    Image.new("L", (640, 480), 90).save(pictures / "high.png")
    found = say("simulate", bundle, pictures, "-o", tmp_path / "shown", "--format", "json").document["findings"]
    assert any("the model takes frames of 16:9" in finding["message"] for finding in found)


def test_a_model_for_other_frames_is_named_when_it_is_left(tmp_path: Path) -> None:
    with Worker(PRELOAD) as worker:
        first = pipeline.stages(None, {"resize_mode": ResizeMode.FIT_SHORTEST}, worker)[:2]
        translated = pipeline.run(first, MODEL).artifacts[-1]

    def found(frame: str, rule: str) -> list[str | None]:
        """What `convert` finds when it writes the bundle."""
        adapted = pipeline.adapting({"frame": parse_frame(frame) if frame != "none" else frame})(translated, tmp_path)
        findings = Emit(tmp_path)(Validated(adapted.artifact, Evidence()), tmp_path).findings
        return [finding.path for finding in findings if finding.id == rule]

    for frame, left in (("16:9", ()), ("4:3", ("shapes-16x9.onnx",)), ("none", ("shapes-4x3.onnx",))):
        assert found(frame, "EI507") == [str(tmp_path / each) for each in left]
    engine = tmp_path / "shapes-4x3.onnx_b1_gpu0_fp32.engine"
    engine.write_bytes(b"engine")
    os.utime(engine, (1, 1))
    assert found("4:3", "EI506") == [str(engine)]


def test_stage_by_stage(say: Callable[..., Said], convert: Callable[..., Path], tmp_path: Path) -> None:
    work, frame = tmp_path / "work", ("--frame", "16:9")
    whole = convert(MODEL, *CROPPED, *frame, "--role", "pgie")
    assert say("unpack", MODEL, "-o", work, *CROPPED, "-q").code == 0
    assert say("translate", work / "shapes.tflite", "-o", work, "-q").code == 0
    assert say("adapt", work / "shapes.translated.onnx", "-o", work, *frame, "-q").code == 0
    assert say("validate", work / "shapes.onnx", "-o", work, "-q").code == 0
    emitted = say("emit", work / "shapes.onnx", "-o", tmp_path / "bundle", "--format", "json").document
    said_of_it = [finding["message"] for finding in emitted["findings"] if finding["id"] == "EI510"]
    assert said_of_it == ["only the config for a primary engine was written: the model takes whole frames of 16:9"]
    for path in whole.iterdir():
        if path.name != "report.json":
            assert (tmp_path / "bundle" / path.name).read_bytes() == path.read_bytes()
    reports = [json.loads((folder / "report.json").read_text()) for folder in (whole, tmp_path / "bundle")]
    assert reports[0]["evidence"].pop("answers")["frame"] == "16:9"  # of a bundle, which only `convert` has then
    assert reports[1]["evidence"].pop("answers") is None
    assert reports[0]["evidence"] == reports[1]["evidence"]
    assert reports[0]["model"] == reports[1]["model"]
    # what the model was made for stands in it, and cannot be talked away
    said = say("validate", work / "shapes.onnx", "--resize-mode", "squash")
    assert said.code == 3
    assert said.err.splitlines() == [
        f"error: {work / 'shapes.onnx'}: made for frames of 16:9, cropped to the centre; shapes.tflite says otherwise",
        "  hint: say how pictures were brought to size in training: --resize-mode fit-shortest",
    ]
    assert "--resize-mode fit-shortest" in said.err
    said = say("emit", work / "shapes.onnx", "-o", tmp_path / "secondary", "--role", "sgie")
    assert said.code == 3
    assert said.err.endswith(
        "the model was made for whole frames of 16:9, not for the objects a secondary engine looks at\n"
        "  hint: adapt it without --frame, or emit it with --role pgie\n"
    )
    assert not (tmp_path / "secondary").exists()


def test_what_a_crop_keeps_goes_from_stage_to_stage(say: Callable[..., Said], tmp_path: Path) -> None:
    assert say("unpack", MODEL, "-o", tmp_path, *CROPPED, "-q").code == 0
    path = tmp_path / "metadata.json"
    document = json.loads(path.read_text())
    document["metadata"]["crop_anchor"] = [1, 1]
    path.write_text(json.dumps(document))
    assert "crop anchor bottom right" in say("inspect", tmp_path / "shapes.tflite").out
    assert say("translate", tmp_path / "shapes.tflite", "-o", tmp_path, "-q").code == 0
    assert say("adapt", tmp_path / "shapes.translated.onnx", "-o", tmp_path, "--frame", "16:9", "-q").code == 0
    said = say("validate", tmp_path / "shapes.onnx", "-o", tmp_path)
    assert said.code == 0
    assert "which the model crops to the right" in said.out
    document["metadata"]["crop_anchor"] = None
    path.write_text(json.dumps(document))
    said = say("validate", tmp_path / "shapes.onnx", "-o", tmp_path)
    assert said.code == 3
    made = "made for frames of 16:9, cropped to the bottom right"
    assert said.err.splitlines() == [
        f"error: {tmp_path / 'shapes.onnx'}: {made}; shapes.tflite says otherwise",
        "  hint: run adapt again on what unpack wrote",
    ]


def test_the_text_says_what_is_gained(say: Callable[..., Said], tmp_path: Path) -> None:
    framed = say("convert", MODEL, "-o", tmp_path / "a", *CROPPED, "--frame", "16:9").out
    assert "best answer as in Edge Impulse on" in framed
    assert "20 frames of 16:9" in framed
    assert "for another camera's give --frame 4:3" in framed
    assert "PICTURES: a folder of pictures as the camera gives them, 16:9, not cropped" in framed
    run = (tmp_path / "a" / "RUN.md").read_text()
    assert re.search(r"takes whole ones of 16:9 .*\nIts best answer is Edge Impulse's on \d+ of 20 measured", run)
    assert "`--frame 4:3`" in run
    plain = say("convert", MODEL, "-o", tmp_path / "b", *CROPPED, "--frame", "none").out
    assert "EI304" in plain
    assert "--frame auto" in plain
    assert "EI409 squashed instead of cropped" in plain
    assert (tmp_path / "b" / "config_infer_secondary_shapes.txt").exists()


@pytest.mark.parametrize("mode", ["squash", "fit-longest"])
def test_a_frame_for_nothing_changes_nothing(
    say: Callable[..., Said], emitted: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    options = (MODEL, "--resize-mode", mode, "--resize", "device")
    usual = files(emitted(*options))
    prove_nothing(monkeypatch)
    document = say("convert", *options, "-o", tmp_path, "--frame", "16:9", "--format", "json").document
    assert "EI306" in {finding["id"] for finding in document["findings"]}
    assert usual == files(tmp_path)


def test_frames_of_the_models_own_shape(say: Callable[..., Said], tmp_path: Path) -> None:
    """Nothing is cropped, so the model is good for objects too."""
    document = say("convert", MODEL, "-o", tmp_path, *CROPPED, "--frame", "1:1", "--format", "json").document
    assert not {"EI304", "EI306", "EI510"} & {finding["id"] for finding in document["findings"]}
    assert (tmp_path / "config_infer_secondary_shapes.txt").exists()
    assert keys(tmp_path / "config_infer_primary_shapes.txt")["infer-dims"] == "1;48;48"
    assert "\nwidth=1080\nheight=1080\n" in (tmp_path / "deepstream_app_shapes.txt").read_text()
    assert document["evidence"]["framing"] is None


@pytest.mark.parametrize("frame", ["16/9", "0:9", "wide", "-1x5", "16:9:3", "100x1", "", "automatic"])
def test_nonsense(say: Callable[..., Said], tmp_path: Path, frame: str) -> None:
    for command in (["convert", MODEL, "-o", tmp_path / "b"], ["inspect", MODEL]):
        said = say(*command, f"--frame={frame}")
        assert said.code == 2
        assert "16:9" in said.err
    assert not (tmp_path / "b").exists()


def test_frames_and_objects_do_not_go_together(say: Callable[..., Said], tmp_path: Path) -> None:
    said = say("convert", MODEL, "-o", tmp_path, "--frame", "16:9", "--role", "sgie")
    assert said.code == 2
    assert "whole frames" in said.err


def test_of_two_models_the_first_sees_frames(
    say: Callable[..., Said], models: Path, exports: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_nothing(monkeypatch)
    fomo = next(path for path in sorted(models.glob("fomo*")) if "x1-f32" in path.name)
    out = tmp_path / "app"
    options = ("--pgie", fomo, "--sgie", exports[0], "--labels", "face", *CROPPED, "--frame", "4:3")
    planned = say("convert", *options, "-o", out, "--format", "json", "--dry-run").document
    document = say("convert", *options, "-o", out, "--format", "json").document
    assert document["exit_code"] == 0
    assert [each["path"] for each in planned["outputs"]] == [each["path"] for each in document["outputs"]]
    assert document["object_model"] is None
    assert {path.name for path in out.glob("*.onnx")} == {"fomo-96x96x1-f32-4x3.onnx", "fruit-bowl.onnx"}
    assert document["model"]["preprocessing"]["framing"]["network"] == [480, 360]
    assert document["secondary"]["model"]["preprocessing"]["framing"] is None
    (app,) = out.glob("deepstream_app_*.txt")
    assert "\nwidth=1440\nheight=1080\n" in app.read_text()
    assert say("check", out, "--format", "json").document["findings"] == []


@pytest.mark.parametrize(("export", "frame"), [("table-fomo-2025.zip", "9:16"), ("table-yolov5-2025.zip", "16:9")])
def test_every_kind_of_detector(
    say: Callable[..., Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, export: str, frame: str
) -> None:
    compare_nothing(monkeypatch)
    options = ("--batch-size", "8", "--format", "json")
    document = say(
        "convert", ROOT / "samples" / "exports" / export, "-o", tmp_path, *CROPPED, "--frame", frame, *options
    ).document
    assert document["exit_code"] == 0
    evidence: dict[str, Any] = document["evidence"]
    assert evidence["parity"]["max_abs_diff"] < 1e-4
    assert evidence["batch"] == {"sizes": [1, 2, 8], "max_abs_diff": pytest.approx(0, abs=1e-6)}
    assert evidence["decoding"] < 1e-6
    framing = document["model"]["preprocessing"]["framing"]
    assert abs(framing["stretch"]) < 0.004
    assert evidence["framing"]["crop"]["mean_abs_diff"] < evidence["framing"]["squash"]["mean_abs_diff"]
    assert say("check", tmp_path, "--format", "json").document["findings"] == []


def test_two_models_never_share_a_file(tmp_path: Path) -> None:
    files = EmitPair(tmp_path).plan("door", "door-16x9", Framing(Frame(16, 9), (96, 96)))
    assert len(set(files)) == len(files)
    assert {"door-16x9.onnx", "door-16x9-objects.onnx"} <= set(files)


def test_inspect_draws_it(say: Callable[..., Said], tmp_path: Path) -> None:
    export = tmp_path / "export"
    shutil.copytree(ROOT / "samples" / "exports" / "shapes-cpp-2025", export)
    header = export / "model-parameters" / "model_metadata.h"
    text, count = re.subn(r"(#define EI_CLASSIFIER_RESIZE_MODE +)\S+", r"\g<1>1", header.read_text())
    assert count == 1
    whole = say("inspect", export, "--frame", "4:3")
    assert "nothing is cropped, the resize mode is fit-longest" in whole.out
    header.write_text(text)
    drawn = say("inspect", export, "--frame", "4:3")
    assert drawn.code == 0
    assert "frame 4:3, scaled to 64x48" in drawn.out
    assert "|##" not in drawn.out
    assert "####" in drawn.out
    (model,) = say("inspect", export, "--frame", "4:3", "--format", "json").document["models"]
    assert model["framing"]["network"] == [64, 48]
    # without a frame: what is lost, and what to give
    usual = say("inspect", export)
    assert "1.8 times too narrow" in usual.out
    assert "`convert` crops frames of 16:9 in the model" in usual.out
    assert "--frame" not in usual.out.partition("next:")[2]
    assert say("inspect", export, "--frame", "auto").code == 2
