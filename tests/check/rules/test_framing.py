"""NVI056: the keys, and the app's frames, against what a model says of its training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx.parser
import pytest

from convert.check.loading import check_target
from convert.check.run import Checker

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG = """[property]
gie-unique-id=1
process-mode=1
network-type=1
onnx-file=m.onnx
model-engine-file=m.onnx_b1_gpu0_fp32.engine
labelfile-path=labels.txt
batch-size=1
network-mode=0
infer-dims=3;8;14
model-color-format=0
net-scale-factor=0.00392156862745098
classifier-threshold=0.5
"""
_APP = """[application]
enable-perf-measurement=1
[source0]
enable=1
type=3
uri=file:///opt/nvidia/deepstream/deepstream/samples/streams/sample_1080p_h264.mp4
[streammux]
batch-size=1
{}
[sink0]
enable=1
type=1
[primary-gie]
enable=1
gie-unique-id=1
config-file=config.txt
"""
_RESIZES = {"resize_mode": "fit-shortest", "frame": "14x8", "crop": "3;0;8;8", "resize": "96;96"}
_LEVELS = _CONFIG.replace("net-scale-factor=0.00392156862745098", "net-scale-factor=1.0")
_CROPS = {"resize_mode": "fit-shortest", "frame": "16:9", "crop": "3;0;8;8"}


def write(folder: Path, said: dict[str, str], config: str) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 13]>
        net (float[N,3,8,14] x) => (float[N,3] scores) {
          p = GlobalAveragePool (x)
          f = Flatten <axis = 1> (p)
          scores = Softmax <axis = 1> (f)
        }"""
    )
    onnx.helper.set_model_props(model, {f"ei_deepstream.{name}": value for name, value in said.items()})
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    (folder / "labels.txt").write_text("a;b;c\n")
    (folder / "config.txt").write_text(config)


def found(folder: Path, name: str = "config.txt", target: str = "9.1") -> list[Any]:
    report = Checker(check_target(target, "dgpu"))([str(folder / name)])
    return [finding for finding in report.findings if finding.id == "NVI056"]


def keys(**values: int) -> str:
    return _CONFIG + "".join(f"{name.replace('_', '-')}={value}\n" for name, value in values.items())


@pytest.mark.parametrize(
    ("said", "config", "words"),
    [
        ({"resize_mode": "squash"}, keys(maintain_aspect_ratio=1, symmetric_padding=1), "squashed"),
        ({"resize_mode": "fit-longest"}, _CONFIG, "maintain-aspect-ratio is 0"),
        ({"resize_mode": "fit-longest"}, keys(maintain_aspect_ratio=1), "on both sides"),
        (_CROPS, keys(maintain_aspect_ratio=1), "they lie elsewhere"),
        (_CROPS, keys(maintain_aspect_ratio=1, symmetric_padding=1), "they lie elsewhere"),
        (_CROPS, _CONFIG.replace("process-mode=1", "process-mode=2"), "two sides"),
        (_CROPS, _CONFIG.replace("3;8;14", "3;8;8"), "left after cropping"),
        (_RESIZES, _LEVELS + "maintain-aspect-ratio=1\n", "black bars first"),
        (_RESIZES, _LEVELS.replace("process-mode=1", "process-mode=2"), "other shapes"),
    ],
)
def test_keys_that_contradict_the_model(tmp_path: Path, said: dict[str, str], config: str, words: str) -> None:
    write(tmp_path, said, config)
    (finding,) = found(tmp_path)
    assert words in finding.message
    assert finding.hint
    assert finding.line


@pytest.mark.parametrize(
    ("said", "config"),
    [
        ({}, keys(maintain_aspect_ratio=1)),
        ({"resize_mode": "squash"}, _CONFIG),
        ({"resize_mode": "fit-longest"}, keys(maintain_aspect_ratio=1, symmetric_padding=1)),
        # neither squash nor bars are what it was trained on: `convert` has said so
        ({"resize_mode": "fit-shortest"}, _CONFIG),
        ({"resize_mode": "fit-shortest"}, keys(maintain_aspect_ratio=1, symmetric_padding=1)),
        (_CROPS, _CONFIG),
        (_RESIZES, _LEVELS),
        ({**_RESIZES, "resize_mode": "fit-longest"}, _LEVELS),
        (_CROPS, keys(maintain_aspect_ratio=1, input_tensor_from_meta=1)),
        ({**_CROPS, "crop": "3;0;8;8;8"}, keys(maintain_aspect_ratio=1)),
        ({**_CROPS, "crop": "none"}, keys(maintain_aspect_ratio=1)),
    ],
)
def test_keys_that_fit(tmp_path: Path, said: dict[str, str], config: str) -> None:
    write(tmp_path, said, config)
    assert found(tmp_path) == []


def test_a_release_that_pads_on_one_side_only(tmp_path: Path) -> None:
    write(tmp_path, {"resize_mode": "fit-longest"}, keys(maintain_aspect_ratio=1))
    assert found(tmp_path, target="5.1") == []


@pytest.mark.parametrize(
    ("mux", "frame", "count"),
    [
        ("width=1920\nheight=1080", "16:9", 0),
        ("width=1366\nheight=768", "16:9", 0),
        ("width=640\nheight=480", "16:9", 1),
        ("width=640\nheight=480", "640x480", 0),
        ("width=1080\nheight=1920", "1920x1080", 1),
        ("width=640", "16:9", 0),
        ("width=0\nheight=480", "16:9", 0),
        ("width=640\nheight=480", "nonsense", 0),
        ("width=640\nheight=480", "", 0),
    ],
)
def test_the_apps_frames(tmp_path: Path, mux: str, frame: str, count: int) -> None:
    write(tmp_path, {**_CROPS, "frame": frame}, _CONFIG)
    (tmp_path / "app.txt").write_text(_APP.format(mux))
    findings = found(tmp_path, "app.txt")
    assert len(findings) == count
    for finding in findings:
        assert frame in finding.message
        assert "convert for the frames" in str(finding.hint)


@pytest.mark.parametrize(("mux", "count"), [((14, 8), 0), ((28, 16), 1), ((1920, 1080), 1)])
def test_a_model_that_resizes_takes_frames_of_one_size(tmp_path: Path, mux: tuple[int, int], count: int) -> None:
    write(tmp_path, _RESIZES, _LEVELS)
    (tmp_path / "app.txt").write_text(_APP.format(f"width={mux[0]}\nheight={mux[1]}"))
    findings = found(tmp_path, "app.txt")
    assert len(findings) == count
    assert all("write width=14 and height=8" in str(finding.hint) for finding in findings)


@pytest.mark.parametrize(
    ("config", "key"),
    [(_CONFIG, "net-scale-factor"), (_LEVELS + "offsets=127.5;127.5;127.5\n", "offsets"), (_LEVELS, "")],
)
def test_a_model_that_resizes_takes_levels(tmp_path: Path, config: str, key: str) -> None:
    write(tmp_path, _RESIZES, config)
    report = Checker(check_target("9.1", "dgpu"))([str(tmp_path / "config.txt")])
    messages = [finding.message for finding in report.findings if finding.id == "NVI052"]
    assert len(messages) == bool(key)
    assert all(key in message and "from 0 to 255" in message for message in messages)
