"""The graph resizes frames as Edge Impulse's SDK does, to the last bit, in operators that every opset has."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.compare.edge_impulse import pack, unpack
from convert.errors import PresetError
from convert.graph.batch import dynamic_batch
from convert.graph.resize import resize_frames, take_levels
from convert.images import ANCHORS, Anchor, Frame, ImageScaling, ResizeMode
from convert.images.resizing import Resizing
from convert.images.scaling import as_sdk, place_as_sdk
from convert.validate import runtimes
from convert.validate.inputs import as_edge_impulse
from tests.examples import examples
from tests.graph.proof import model, onnxruntime, operators

_EVEN = st.integers(1, 45).map(lambda half: 2 * half)
_SIZES = st.tuples(_EVEN, _EVEN).filter(lambda size: 1 / 8 <= size[0] / size[1] <= 8)


def resized(frames: np.ndarray, resizing: Resizing) -> np.ndarray:
    """Frames uint8 [n,H,W,C] as the SDK brings them to the model's size."""
    return np.stack([as_sdk(frame, resizing.model, resizing.mode, anchor=resizing.anchor) for frame in frames])


def as_input(frames: np.ndarray) -> np.ndarray:
    """As Gst-nvinfer gives levels: float32 [n,C,H,W]."""
    return np.ascontiguousarray(frames.transpose(0, 3, 1, 2), np.float32)


@examples(120)
@given(
    _SIZES,
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from(ResizeMode),
    st.integers(7, 18),
    st.sampled_from(ANCHORS),
)
def test_any_size(frame: tuple[int, int], size: tuple[int, int], mode: ResizeMode, opset: int, anchor: Anchor) -> None:
    resizing = Resizing(Frame(*frame, in_pixels=True), size, mode, anchor=anchor)
    width, height = size
    shape = f"1,3,{height},{width}"
    taking = resize_frames(model("y = Abs(x)", shape, shape, opset), resizing)
    onnx.checker.check_model(taking, full_check=True)
    frames = np.random.default_rng(0).integers(0, 256, (2, *frame[::-1], 3), np.uint8)
    frames[1] = frames[1] // 128 * 255  # only black and white: sums as large as can be
    (found,) = onnxruntime(dynamic_batch(taking).SerializeToString(), as_input(frames))
    np.testing.assert_array_equal(found.transpose(0, 2, 3, 1), resized(frames, resizing))


def test_few_rows_are_read() -> None:
    """Of a large frame: all other nodes work on as many rows as the model's picture needs."""
    resizing = Resizing(Frame(1280, 720, in_pixels=True), (8, 8), ResizeMode.FIT_SHORTEST)
    taking = resize_frames(model("y = Abs(x)", "1,3,8,8", "1,3,8,8"), resizing)
    shapes = {value.name: value for value in onnx.shape_inference.infer_shapes(taking).graph.value_info}
    first = shapes[taking.graph.node[0].output[0]].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in first] == [1, 3, 8, 1280]  # 720 is 8 * 90: a row of the picture is one of those


def test_nothing_is_added_for_a_frame_of_the_models_size() -> None:
    resizing = Resizing(Frame(12, 8, in_pixels=True), (12, 8), ResizeMode.FIT_SHORTEST)
    assert operators(resize_frames(model("y = Abs(x)", "1,3,8,12", "1,3,8,12"), resizing)) == ["Abs"]


@pytest.mark.parametrize("scaling", ImageScaling)
@pytest.mark.parametrize("opset", [7, 13, 18])
def test_scaling_in_the_graph_has_the_sdks_bits(scaling: ImageScaling, opset: int) -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    levels = np.stack([np.tile(every, 3), np.concatenate([every, every[::-1], every[:, ::-1]], axis=2)])
    taking = take_levels(model("y = Neg(x)", "1,3,16,16", "1,3,16,16", opset), scaling)
    wanted = as_edge_impulse(levels, scaling).transpose(0, 3, 1, 2)
    (found,) = onnxruntime(dynamic_batch(taking).SerializeToString(), as_input(levels))
    np.testing.assert_array_equal(found, -wanted)


def test_grey_models_get_the_sdks_luma() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 60, 100, 3), np.uint8)
    resizing = Resizing(Frame(100, 60, in_pixels=True), (32, 24), ResizeMode.FIT_SHORTEST)
    grey = take_levels(model("y = Abs(x)", "1,1,24,32", "1,1,24,32"), ImageScaling.FROM_0_TO_255)
    taking = resize_frames(grey, resizing)
    (found,) = onnxruntime(dynamic_batch(taking).SerializeToString(), as_input(frames))
    wanted = np.stack([unpack(pack(each), 24, 32, 1) for each in resized(frames, resizing)])
    np.testing.assert_array_equal(found.transpose(0, 2, 3, 1), wanted)


@pytest.mark.skipif(not runtimes.available(), reason="the extra [tensorrt] is not installed")
@pytest.mark.parametrize(("mode", "opset"), [(ResizeMode.FIT_SHORTEST, 8), (ResizeMode.FIT_LONGEST, 13)])
def test_nvidias_builder_takes_it(mode: ResizeMode, opset: int) -> None:
    resizing = Resizing(Frame(160, 90, in_pixels=True), (32, 24), mode)
    body = "t = Relu(x) f = Flatten<axis = 1>(t) y = Softmax<axis = 1>(f)"
    grey = take_levels(model(body, "1,1,24,32", "1,768", opset), ImageScaling.MINUS_1_TO_1)
    taking = dynamic_batch(resize_frames(grey, resizing))
    said = runtimes.build(taking.SerializeToString(), (3, 90, 160), 8)
    assert said.endswith("parsed and built, profile 1/8/8")


@pytest.mark.parametrize(
    ("mode", "frame", "inside"),
    [
        (ResizeMode.FIT_SHORTEST, (1280, 720), (280, 0, 720, 720)),
        (ResizeMode.FIT_SHORTEST, (720, 1280), (0, 280, 720, 720)),
        (ResizeMode.SQUASH, (1280, 720), (0, 0, 1280, 720)),
        (ResizeMode.NONE, (1280, 720), (0, 0, 1280, 720)),
        (ResizeMode.FIT_LONGEST, (1280, 720), (0, -280, 1280, 1280)),
    ],
)
def test_where_the_models_picture_lies(
    mode: ResizeMode, frame: tuple[int, int], inside: tuple[int, int, int, int]
) -> None:
    resizing = Resizing(Frame(*frame, in_pixels=True), (96, 96), mode)
    assert resizing.inside == inside
    assert resizing.network == frame
    assert resizing.cut == (inside if mode is ResizeMode.FIT_SHORTEST else None)


@examples(60)
@given(_SIZES, st.tuples(st.integers(1, 40), st.integers(1, 40)), st.sampled_from(ResizeMode))
def test_corners_of_the_picture_lie_inside_as_the_sdk_places_them(
    frame: tuple[int, int], size: tuple[int, int], mode: ResizeMode
) -> None:
    resizing = Resizing(Frame(*frame, in_pixels=True), size, mode)
    left, top, width, height = resizing.inside
    place = place_as_sdk(*frame, size, mode)
    for across, down in ((0, 0), size):
        x = place.left + (across - place.view.offset_left) / place.view.scale_x
        y = place.top + (down - place.view.offset_top) / place.view.scale_y
        assert left + across * width / size[0] == pytest.approx(x)
        assert top + down * height / size[1] == pytest.approx(y)


@pytest.mark.parametrize(
    ("frame", "words", "hint"),
    [
        (Frame(16, 9), "16:9 is only their aspect", "--frame 1280x720"),
        (Frame(641, 360, in_pixels=True), "odd side", "--frame 642x360"),
        (Frame(4098, 2160, in_pixels=True), "MB for each", "4096 pixels a side"),
    ],
)
def test_frames_that_cannot_be(frame: Frame, words: str, hint: str) -> None:
    with pytest.raises(PresetError, match=words) as caught:
        Resizing(frame, (96, 96))
    assert hint in str(caught.value.hint)
    Resizing(Frame(4096, 4096, in_pixels=True), (96, 96))
