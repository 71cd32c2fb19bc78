"""--calibrate: ONNX Runtime's own codes, as TensorRT takes them, of a float model and the user's pictures."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from convert.errors import InputError, PresetError, UnsupportedModelError
from convert.graph.adapt import CALIBRATED, Adapt
from convert.graph.calibrate import FEWEST, as_deployed, calibrated, calibration_pictures
from convert.graph.preprocessing import preprocessing
from convert.graph.resize import crop, resize_frames, scaled_levels, take_levels
from convert.images import Frame, ImageScaling, ResizeMode, parse_frame
from convert.images.read import read_fitted
from convert.images.resizing import Resizing
from convert.images.scaling import Network, ScalingFilter
from convert.simulate.engine import Preprocessor
from convert.simulate.settings import ColorFormat, NetworkType, Settings
from convert.validate import runtimes
from tests.graph.flat import classifier
from tests.graph.proof import model, onnxruntime, operators

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from convert.types import Export, Translated


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(FEWEST):
        noise = np.random.default_rng(number).integers(0, 40 + 10 * number, (12, 20, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number:02}.png")
    return folder


def _net(opset: int = 13) -> onnx.ModelProto:
    """A layer, a sum of its result and another layer's, and a dense one."""
    random = np.random.default_rng(1)
    weights = [
        numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)
        for name, shape in (("w", (4, 3, 3, 3)), ("u", (4, 4, 1, 1)), ("v", (3, 4)), ("b", (3,)))
    ]
    made = onnx.parser.parse_model(
        f"""<ir_version: 7, opset_import: ["": {opset}]> net (float[1,3,8,8] x) => (float[1,3] y) {{
          c = Conv <pads = [1, 1, 1, 1]> (x, w)
          a = Relu (c)
          d = Conv (a, u)
          s = Add (a, d)
          p = GlobalAveragePool (s)
          f = Flatten <axis = 1> (p)
          g = Gemm <transB = 1> (f, v, b)
          y = Softmax <axis = 1> (g)
        }}"""
    )
    made.graph.initializer.extend(weights)
    return made


def test_codes_have_no_zero_points_and_stand_where_tensorrt_joins_them(
    pictures: Path, export: Callable[..., Export]
) -> None:
    float_model = _net()
    before, _ = preprocessing(export(classifier(height=8, width=8)))
    coded = calibrated(_net(), ImageScaling.NONE, before, calibration_pictures(pictures))
    onnx.checker.check_model(coded, full_check=True)
    known = {each.name: numpy_helper.to_array(each) for each in coded.graph.initializer}
    points = [known[node.input[2]] for node in coded.graph.node if node.op_type.endswith("antizeLinear")]
    assert points
    assert all(each.dtype == np.int8 and not each.any() for each in points)
    assert np.int32 not in {each.dtype for each in known.values()}, "TensorRT takes no codes of biases"
    codes = [each for each in known.values() if each.dtype == np.int8 and each.ndim > 1]
    assert sorted(each.shape for each in codes) == [(3, 4), (4, 3, 3, 3), (4, 4, 1, 1)]
    assert {len(known[node.input[1]].reshape(-1)) for node in coded.graph.node if node.input[0] in known} >= {3, 4}
    makers = {name: node.op_type for node in coded.graph.node for name in node.output}
    takers = {
        node.op_type for node in coded.graph.node for name in node.input if makers.get(name) == "DequantizeLinear"
    }
    assert takers == {"Conv", "Add", "Gemm"}
    quantized = {makers.get(node.input[0]) for node in coded.graph.node if node.op_type == "QuantizeLinear"}
    assert quantized == {None, "Relu", "Conv", "Flatten"}
    picture = read_fitted(max(pictures.iterdir()), 8, 8, 3, ResizeMode.SQUASH)
    values = np.ascontiguousarray(picture.transpose(2, 0, 1)[np.newaxis], np.float32) / 255
    (wanted,), (found,) = (onnxruntime(each.SerializeToString(), values) for each in (float_model, coded))
    assert 0 < np.abs(found - wanted).max() < 0.1


@pytest.mark.parametrize("scaling", ImageScaling)
def test_pictures_are_scaled_as_the_graph_scales_them(scaling: ImageScaling) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (1, 3, 5, 4)).astype(np.float32)
    taking = take_levels(model("y = Neg(x)", "1,3,5,4", "1,3,5,4"), scaling)
    (wanted,) = onnxruntime(taking.SerializeToString(), levels)
    np.testing.assert_array_equal(-scaled_levels(levels, scaling), wanted)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("mode", [ResizeMode.SQUASH, ResizeMode.FIT_LONGEST, ResizeMode.FIT_SHORTEST])
@pytest.mark.parametrize(
    ("frame", "resize"), [(None, "auto"), ("60x40", "device"), ("60x40", "graph"), ("3:2", "auto")]
)
def test_pictures_come_to_the_network_as_frames_do(
    export: Callable[..., Export], channels: int, mode: ResizeMode, frame: str | None, resize: str
) -> None:
    """As Gst-nvinfer's element prepares them for a primary engine, and the graph's first nodes go on."""
    made = export(classifier(height=8, width=12, channels=channels), resize_mode=mode)
    before, _ = preprocessing(made, parse_frame(frame) if frame else None, resize=resize)
    picture = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    graph = model("y = Neg(x)", f"1,{channels},8,12", f"1,{channels},8,12")
    framing, taken = before.framing, channels
    width, height = framing.network if framing else (12, 8)
    if isinstance(framing, Resizing):
        graph, taken = resize_frames(take_levels(graph, ImageScaling.FROM_0_TO_255), framing), 3
    elif framing:
        graph = crop(graph, framing)
    settings = Settings(
        NetworkType.DETECTOR, keep_aspect=before.maintain_aspect_ratio, symmetric=before.symmetric_padding,
        scaling_filter=ScalingFilter.BILINEAR, color=ColorFormat.RGB if taken == 3 else ColorFormat.GRAY,
    )  # fmt: skip
    prepare = Preprocessor(Network(taken, height, width), settings, np.float32(1), None)
    (wanted,) = onnxruntime(graph.SerializeToString(), prepare(picture)[0][np.newaxis])
    found = as_deployed(picture, before, (8, 12, channels))
    np.testing.assert_array_equal(found.transpose(2, 0, 1)[np.newaxis], -wanted)
    if framing is None or (isinstance(framing, Resizing) and framing.takes_any_shape):
        return
    higher = np.pad(picture, ((10, 10), (0, 0), (0, 0)))  # not of the frame's shape
    np.testing.assert_array_equal(as_deployed(higher, before, (8, 12, channels)), found)


def test_both_networks_of_a_bundle_have_the_same_codes(
    pictures: Path, export: Callable[..., Export], translated: Callable[..., Translated]
) -> None:
    made = replace(export(classifier(height=8, width=8), resize_mode=ResizeMode.SQUASH), form="flatbuffer")
    stage = Adapt(frame=Frame(16, 9), for_objects=True, calibrate=pictures)
    result = stage(translated(made), pictures)
    adapted, found = result.artifact, [each for each in result.findings if each.id == CALIBRATED.id]
    assert adapted.calibrated == adapted.for_objects.calibrated == FEWEST
    assert [str(FEWEST) in each.message for each in found] == [True]
    whole, plain = (onnx.load_model_from_string(each.onnx.data) for each in (adapted, adapted.for_objects))
    codes = [
        sorted(each.raw_data for each in net.graph.initializer if each.data_type == onnx.TensorProto.INT8)
        for net in (whole, plain)
    ]
    assert codes[0] == codes[1]
    assert operators(plain)[0] == "QuantizeLinear"
    assert {each.key: each.value for each in whole.metadata_props}["ei_deepstream.calibrated"] == str(FEWEST)
    if runtimes.available():
        assert runtimes.build(adapted.onnx.data, (3, 360, 640), 8).endswith("parsed and built, profile 1/8/8")


def test_of_many_pictures_200_are_taken_evenly(tmp_path: Path) -> None:
    for number in range(400):
        (tmp_path / f"{number:03}.png").touch()
    (tmp_path / "000.mp4").touch()  # no picture
    names = [int(each.stem) for each in calibration_pictures(tmp_path)]
    assert (len(names), names[0], names[-1]) == (200, 0, 399)
    assert set(np.diff(names)) == {2, 3}


def test_what_the_quantizer_refuses(
    pictures: Path, export: Callable[..., Export], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing else meanwhile, and others may speak again."""
    silenced: list[int] = []

    def refuse(*_: object, **__: object) -> None:
        silenced.append(logging.root.manager.disable)
        raise RuntimeError("no scale")

    monkeypatch.setattr("onnxruntime.quantization.quantize_static", refuse)
    before, _ = preprocessing(export(classifier(height=8, width=8)))
    usual = logging.root.manager.disable
    with pytest.raises(UnsupportedModelError) as caught:
        calibrated(_net(), ImageScaling.NONE, before, calibration_pictures(pictures))
    assert caught.value.message == "ONNX Runtime cannot quantize this model: no scale"
    assert caught.value.hint == "leave out --precision int8"
    assert (silenced, logging.root.manager.disable) == ([logging.CRITICAL], usual)


def test_what_cannot_be_calibrated(pictures: Path, export: Callable[..., Export]) -> None:
    told = ImageScaling.NONE, preprocessing(export(classifier(height=8, width=8)))[0]
    with pytest.raises(PresetError, match=r"^--calibrate needs opset 13") as old:
        calibrated(_net(opset=12), *told, calibration_pictures(pictures))
    assert "--opset 13" in str(old.value.hint)
    with pytest.raises(
        UnsupportedModelError, match=r"^no layer of this model can run in INT8: none has constant weights$"
    ) as bare:
        calibrated(model("y = Add(x, x)", "1,3,8,8", "1,3,8,8"), *told, calibration_pictures(pictures))
    assert bare.value.hint == "leave out --precision int8"
    min(pictures.iterdir()).write_bytes(b"no picture")
    with pytest.raises(InputError, match="not a picture"):
        calibrated(_net(), *told, calibration_pictures(pictures))
    min(pictures.iterdir()).unlink()
    with pytest.raises(InputError, match=r"^19 pictures are not enough to calibrate with$") as few:
        calibration_pictures(pictures)
    hint = f"give a folder with at least {FEWEST} pictures as the camera takes them, better 100 or more"
    assert (few.value.hint, few.value.path) == (hint, str(pictures))
    for each in sorted(pictures.iterdir())[1:]:
        each.unlink()
    with pytest.raises(InputError, match=r"^1 picture is not enough to calibrate with$"):
        calibration_pictures(pictures)
