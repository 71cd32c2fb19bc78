"""--source and --sink: what they take, what the app's config says, and that `check` finds nothing in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from onnx import TensorProto, helper

import convert
from convert.emit import Emit
from convert.emit.streams import SINKS, parse_source
from convert.errors import PresetError
from convert.images import Frame, Framing
from convert.nvinfer.targets import sinks, targets
from convert.options import ConvertOptions, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from convert.types import Validated

ALL = [(each.deepstream, each.platform) for each in targets()]
APP = "deepstream_app_fruit.txt"


def app(model: Validated, **options: Any) -> bytes:
    return Emit(Path("not written"), **options).files(model.adapted)[APP]


def integers(file: Any, group: str, keys: Iterable[str]) -> dict[str, int]:
    return {key: file.integer(group, key) for key in keys}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("rtsp://camera/1", ("rtsp", "rtsp://camera/1", 0)),
        ("RTSP://camera/1", ("rtsp", "rtsp://camera/1", 0)),
        ("rtsps://camera/1?a=b&c", ("rtsp", "rtsps://camera/1?a=b&c", 0)),
        ("/dev/video0", ("usb", "", 0)),
        ("/dev/video12", ("usb", "", 12)),
        ("csi", ("csi", "", 0)),
        ("CSI:1", ("csi", "", 1)),
        ("csi://1", ("csi", "", 1)),
        ("street.mp4", ("file", "file://street.mp4", 0)),
        ("./street.mp4", ("file", "file://./street.mp4", 0)),
        ("videos/a street.mp4", ("file", "file://videos/a%20street.mp4", 0)),
        ("/data/100 %.mkv", ("file", "file:///data/100%20%25.mkv", 0)),
        ("straße.mp4", ("file", "file://stra%C3%9Fe.mp4", 0)),
        ("file:///data/street.mp4", ("file", "file:///data/street.mp4", 0)),
        ("file:/data/street.mp4", ("file", "file:///data/street.mp4", 0)),
        ("file://street.mp4", ("file", "file://street.mp4", 0)),
        ("https://host/street.mp4", ("file", "https://host/street.mp4", 0)),
    ],
)
def test_what_a_source_can_be(given: str, expected: tuple[str, str, int]) -> None:
    found = parse_source(given, "jetson")
    assert (found.kind, found.uri, found.number) == expected


FORMS = "rtsp://CAMERA/STREAM, /dev/video0, csi (Jetson), street.mp4, or a URI: file:///data/street.mp4, http://..."


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ("", "--source '' is no video, stream or camera", FORMS),
        ("0", "--source '0' is no video, stream or camera", FORMS),
        ("webcam", "--source 'webcam' is no video, stream or camera", FORMS),
        ("..", "--source '..' is no video, stream or camera", FORMS),
        ("/dev/video", "--source '/dev/video' is no video, stream or camera", FORMS),
        ("/dev/video1000", "--source '/dev/video1000' is no video, stream or camera", FORMS),
        ("csi:1000", "--source 'csi:1000' is no video, stream or camera", FORMS),
        ("/dev/ttyUSB0", "--source '/dev/ttyUSB0' is no video, stream or camera", FORMS),
        ("~/street.mp4", "--source '~/street.mp4' is no video, stream or camera", FORMS),
        ("udp://1.2.3.4:5000", "deepstream-app has no source for udp://", FORMS),
        ("rtsp://", "--source rtsp:// names nothing behind rtsp://", FORMS),
        ("rtsp:/camera", "--source rtsp:/camera names nothing behind rtsp://", FORMS),
        ("file://", "--source file:// names nothing behind file://", FORMS),
        ("rtsp://camera/a b", "--source 'rtsp://camera/a b' holds a blank", "write %20 for it"),
        ("C:\\street.mp4", r"--source 'C:\\street.mp4' holds a backslash or control character", FORMS),
        ("a\nb.mp4", r"--source 'a\nb.mp4' holds a backslash or control character", FORMS),
    ],
)
def test_what_a_source_cannot_be(given: str, message: str, hint: str) -> None:
    with pytest.raises(PresetError) as caught:
        Emit(Path("x"), source=given)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("given", "shown", "has_password", "relative"),
    [
        ("/dev/video2", "/dev/video2", False, ""),
        ("csi:1", "csi:1", False, ""),
        ("rtsp://me:secret@camera/1", "rtsp://camera/1", True, ""),
        ("rtsp://camera/1", "rtsp://camera/1", False, ""),
        ("street.mp4", "file://street.mp4", False, "street.mp4"),
        ("/data/street.mp4", "file:///data/street.mp4", False, ""),
    ],
)
def test_how_a_source_is_shown(given: str, shown: str, has_password: bool, relative: str) -> None:
    found = parse_source(given, "jetson")
    assert (found.shown, found.has_password, found.relative) == (shown, has_password, relative)


def test_a_csi_camera_is_a_jetsons() -> None:
    with pytest.raises(PresetError, match=r"^--source csi: only a Jetson has CSI cameras$") as caught:
        Emit(Path("x"), source="csi", platform="dgpu")
    assert caught.value.hint == "use --platform jetson"
    with pytest.raises(PresetError, match="no sink 'window'") as caught:
        Emit(Path("x"), sink="window")
    assert caught.value.hint == "one of: screen, file, rtsp, none"


def test_a_network_camera(glib: Callable[[bytes], Any], classifier: Validated) -> None:
    file = glib(app(classifier, source="rtsp://me:secret@camera/1"))
    assert file.integer("source0", "type") == 4
    assert file.string("source0", "uri") == "rtsp://me:secret@camera/1"
    assert integers(file, "streammux", ("live-source", "width", "height", "batched-push-timeout")) == {
        "live-source": 1, "width": 1920, "height": 1080, "batched-push-timeout": 40000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        ("/dev/video2", {"type": 1, "camera-v4l2-dev-node": 2, "camera-width": 640, "camera-height": 480}),
        ("csi:1", {"type": 5, "camera-csi-sensor-id": 1, "camera-width": 1280, "camera-height": 720}),
    ],
)
def test_a_camera(glib: Callable[[bytes], Any], classifier: Validated, source: str, keys: dict[str, int]) -> None:
    file = glib(app(classifier, source=source))
    expected = keys | {"camera-fps-n": 30, "camera-fps-d": 1}
    assert integers(file, "source0", expected) == expected
    assert "uri" not in file.keys("source0")
    # What the camera gives is not scaled, and keeps its shape in the window.
    muxer = {"width": keys["camera-width"], "height": keys["camera-height"], "live-source": 1}
    assert integers(file, "streammux", muxer) == muxer
    assert file.integer("streammux", "batched-push-timeout") == 33333
    window = integers(file, "tiled-display", ("width", "height"))
    assert window["width"] * keys["camera-height"] == window["height"] * keys["camera-width"]


def test_a_camera_gives_the_frames_the_model_was_made_for(glib: Callable[[bytes], Any], classifier: Validated) -> None:
    for frame, size in ((Frame(16, 9), (1280, 720)), (Frame(800, 600, in_pixels=True), (800, 600))):
        before = replace(classifier.adapted.preprocessing, framing=Framing(frame, (96, 64)))
        model = replace(classifier, adapted=replace(classifier.adapted, preprocessing=before))
        file = glib(app(model, source="/dev/video0", role="pgie"))
        assert (file.integer("source0", "camera-width"), file.integer("source0", "camera-height")) == size
        assert (file.integer("streammux", "width"), file.integer("streammux", "height")) == size


@pytest.mark.parametrize(
    ("sink", "source", "keys"),
    [
        ("screen", "street.mp4", {"type": 2, "sync": 1}),
        ("screen", "rtsp://camera/1", {"type": 2, "sync": 0}),
        ("file", "street.mp4", {"type": 3, "sync": 0, "container": 1, "codec": 1, "enc-type": 0}),
        ("rtsp", "street.mp4", {"type": 4, "sync": 1, "codec": 1, "rtsp-port": 8554, "udp-port": 5400}),
        ("rtsp", None, {"type": 4, "sync": 0}),
        ("none", "street.mp4", {"type": 1, "sync": 0}),
    ],
)
def test_sinks(
    glib: Callable[[bytes], Any], classifier: Validated, sink: str, source: str | None, keys: dict[str, int]
) -> None:
    file = glib(app(classifier, sink=sink, source=source))
    assert integers(file, "sink0", keys) == keys
    if sink == "file":
        assert file.string("sink0", "output-file") == "out.mp4"


@pytest.mark.parametrize(("release", "platform"), ALL)
def test_every_block_can_be_switched_on(
    glib: Callable[[bytes], Any], classifier: Validated, release: str, platform: str
) -> None:
    """Without the options: take the # away from one block's lines, and put it before those of the block that is on."""
    text = app(classifier, target=release, platform=platform).decode()
    there = {
        each.type for each in sinks(next(t for t in targets() if (t.deepstream, t.platform) == (release, platform)))
    }
    seen: dict[str, set[int]] = {"source0": set(), "sink0": set()}
    for group, found in seen.items():
        start = text.index(f"[{group}]")
        end = text.find("\n[", start)
        common, *blocks = text[start : end if end > 0 else None].split("\n\n")
        for number, block in enumerate(blocks):
            lines = [line for line in block.splitlines() if "=" in line.removeprefix("# ").partition(" ")[0]]
            assert [line.startswith("# ") for line in lines] == [number > 0] * len(lines)
            file = glib("\n".join([common, *(line.removeprefix("# ") for line in lines)]).encode() + b"\n")
            kind = file.integer(group, "type")
            assert kind not in found
            found.add(kind)
            strings = {"uri", "output-file"}
            assert all(file.string(group, k) if k in strings else file.integer(group, k) + 1 for k in file.keys(group))
    assert seen["source0"] == ({1, 3, 4, 5} if platform == "jetson" else {1, 3, 4})
    assert seen["sink0"] == {1, 2, 3, 4} <= there


def test_a_password_stays_out_of_report_and_instructions(tmp_path: Path, classifier: Validated) -> None:
    emit = Emit(tmp_path, source="rtsp://me:secret@camera/1")
    assert emit.options()["source"] == "rtsp://camera/1"
    emit(classifier, tmp_path)
    assert [path.name for path in sorted(tmp_path.iterdir()) if b"secret" in path.read_bytes()] == [APP]


def _real(model: Validated) -> Validated:
    """The invented classifier with an ONNX model in it: the mean of each channel."""
    _, channels, height, width = model.adapted.onnx.input.shape
    x = helper.make_tensor_value_info("x_input", TensorProto.FLOAT, ["N", channels, height, width])
    y = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3])
    nodes = [
        helper.make_node("GlobalAveragePool", ["x_input"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Softmax", ["flat"], ["scores"], axis=1),
    ]
    graph = helper.make_graph(nodes, "mean", [x], [y])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    onnx.checker.check_model(made)
    small = replace(model.adapted.onnx, stored=made.SerializeToString(), opset=11)
    return replace(model, adapted=replace(model.adapted, onnx=small))


VARIANTS: list[tuple[int, dict[str, Any]]] = [  # side of the input, options
    (64, {"source": "https://host/a%20street.mp4", "sink": "file"}),
    (320, {"role": "pgie", "source": "rtsp://me:secret@camera/1", "sink": "file"}),
    (320, {"role": "sgie", "source": "/dev/video0", "sink": "rtsp"}),
    (160, {"role": "both", "source": "a street.mp4", "sink": "screen"}),
    (320, {"role": "sgie", "source": "csi", "sink": "none", "min_size": 17}),
]


@pytest.mark.parametrize(("release", "platform"), ALL)
def test_check_finds_nothing(tmp_path: Path, invent: Callable[..., Validated], release: str, platform: Any) -> None:
    for number, (side, options) in enumerate(VARIANTS):
        if options.get("source") == "csi" and platform == "dgpu":
            continue
        folder = tmp_path / str(number)
        Emit(folder, target=release, platform=platform, **options)(_real(invent(size=(None, 3, side, side))), tmp_path)
    report = convert.check(tmp_path, target=release, platform=platform)
    assert len(report.files) >= 3 * (len(VARIANTS) - 1)
    assert [(each.id, each.message) for each in report.findings] == []


def test_the_sinks_are_those_of_the_option() -> None:
    assert table(ConvertOptions)["sink"].choices == SINKS
