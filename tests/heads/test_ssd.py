"""SSD: cut off before TFLite's post-processing, decoded in the graph, clustered by nvinfer: LiteRT's objects."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import flexbuffers
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import ConvertError, InputError, UnsupportedModelError, ValidationError
from convert.heads.ssd import OPERATOR, dequantized, read_postprocess, without_postprocess
from convert.heads.ssd import anchors as reference_anchors
from convert.images.scaling import Network
from convert.simulate.decode import decode
from convert.simulate.parsers import Layer
from convert.simulate.settings import Settings
from convert.types import Adapted, Export, Limits
from tests.examples import examples
from tests.graph.flat import classifier
from tests.graph.proof import onnxruntime
from tests.heads.ssds import PARAMETERS, anchors_of, ssd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

SIZE = (32, 48)
DAMAGED = "download the export again"


def pictures(count: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(4).random((count, *SIZE, 3), np.float32)


def litert(model: bytes, picture: NDArray[np.float32]) -> list[NDArray[Any]]:
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture[np.newaxis])
    interpreter.invoke()
    return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]


def packed(tree: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def with_raw(model: bytes, *names: str) -> bytes:
    proto = onnx.load_model_from_string(model)
    proto.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in names)
    return bytes(proto.SerializeToString())


@pytest.fixture
def shipped(export: Callable[..., Export], adapted: Callable[..., Adapted]) -> Callable[..., Adapted]:
    def make(opset: int = 13, **parts: Any) -> Adapted:
        labels = tuple(f"label {number}" for number in range(parts.get("classes", 2)))
        return adapted(export(ssd(**parts), labels=labels), opset=opset)

    return make


@pytest.mark.parametrize("parts", [{}, {"background": False}, {"coordinates": 8}, {"dequantized_anchors": True}])
def test_raw_outputs_and_their_decoding(shipped: Callable[..., Adapted], parts: dict[str, Any]) -> None:
    result = shipped(**parts)
    (picture,) = pictures()
    cut = without_postprocess(result.export.model)
    codes, scores = litert(cut, picture)
    batch = np.ascontiguousarray(picture.transpose(2, 0, 1)[np.newaxis])
    model = with_raw(result.onnx.data, "raw_boxes", "raw_scores")
    boxes, score, label, raw_codes, raw_scores = onnxruntime(model, batch)
    np.testing.assert_allclose(raw_codes, codes, rtol=0, atol=1e-5)
    np.testing.assert_allclose(raw_scores, scores, rtol=0, atol=1e-6)
    anchors = read_postprocess(result.export.model).anchors
    for number, (y, x, high, wide) in enumerate(anchors.tolist()):
        code = raw_codes[0, number].tolist()
        middle_y, middle_x = code[0] / 10 * high + y, code[1] / 10 * wide + x
        half_high, half_wide = exp(code[2] / 5) * high / 2, exp(code[3] / 5) * wide / 2
        wanted = (middle_y - half_high, middle_x - half_wide, middle_y + half_high, middle_x + half_wide)
        np.testing.assert_allclose(boxes[0, number], wanted, rtol=1e-6, atol=1e-6)
        of_classes = raw_scores[0, number][-2:]
        assert score[0, number] == of_classes.max()
        assert label[0, number] == of_classes.argmax()


@pytest.mark.parametrize("regular", [True, False])
def test_the_objects_are_those_of_the_operator(shipped: Callable[..., Adapted], regular: bool) -> None:
    """The whole model in LiteRT against ours behind nvinfer's NMS, with the limits that end up in the config."""
    parameters = {**PARAMETERS, "num_classes": 1, "max_detections": 12, "use_regular_nms": regular}
    result = shipped(classes=1, parameters=parameters)
    limits = result.head.limits
    assert limits == Limits(12, 0.0, 0.6)
    attributes = {"pre-cluster-threshold": 0.5, "nms-iou-threshold": limits.overlap, "topk": limits.detections}
    values = {
        "cluster-mode": 2,
        "num-detected-classes": 1,
        "parse-bbox-func-name": "NvDsInferParseCustomTfSSD",
        "class-attrs": [attributes],
    }
    config = Settings.from_values(values, library="/lib/libnvds_infercustomparser.so")
    for picture in pictures(3):
        outputs = onnxruntime(result.onnx.data, np.ascontiguousarray(picture.transpose(2, 0, 1)[np.newaxis]))
        layers = [Layer.of(output.name, array) for output, array in zip(result.onnx.outputs, outputs, strict=True)]
        found = decode(config, Network(3, *SIZE), layers).frames[0].objects  # type: ignore[union-attr]
        _, _, boxes, scores = litert(result.export.model, picture)
        wanted = [(box, score) for box, score in zip(boxes[0], scores[0], strict=True) if score >= 0.5]
        assert len(found) == len(wanted) > 3
        for ours, (box, score) in zip(found, wanted, strict=True):
            top, left, bottom, right = np.clip(box, 0, 1) * np.array([SIZE[0], SIZE[1]] * 2)
            edges = (ours.top, ours.left, ours.top + ours.height, ours.left + ours.width)
            np.testing.assert_allclose(edges, (top, left, bottom, right), rtol=0, atol=1.001)  # nvinfer ends at W-1
            assert ours.confidence == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("opset", [11, 12, 13, 18])
def test_every_opset_and_batch(shipped: Callable[..., Adapted], opset: int) -> None:
    values = np.ascontiguousarray(pictures(8).transpose(0, 3, 1, 2))
    newest, result = shipped(), shipped(opset)
    for size in (1, 2, 8):
        for left, right in zip(
            onnxruntime(result.onnx.data, values[:size]), onnxruntime(newest.onnx.data, values[:size]), strict=True
        ):
            np.testing.assert_allclose(left, right, rtol=0, atol=1e-6)


def test_the_signature(shipped: Callable[..., Adapted]) -> None:
    result = shipped()
    count = 4 * 6 * 2
    assert [(output.name, output.shape) for output in result.onnx.outputs] == [
        ("detection_boxes", (None, count, 4)),
        ("detection_scores", (None, count)),
        ("detection_classes", (None, count)),
    ]
    assert result.head.task == "ssd"
    assert result.head.coordinates == "anchors"
    operators = {node.op_type for node in onnx.load_model_from_string(result.onnx.data).graph.node}
    assert not operators & {"NonMaxSuppression", "TopK", "Loop", "MatMul"}


def test_what_the_operator_says() -> None:
    said = read_postprocess(ssd())
    np.testing.assert_array_equal(said.anchors, anchors_of(4, 6))
    assert said.scales == (10, 10, 5, 5)
    assert said.classes == 2
    assert said.limits == Limits(10, 0.0, 0.6)


def test_numbers_at_their_limits() -> None:
    limits = {"max_detections": 1_000_000, "nms_score_threshold": -1.0, "nms_iou_threshold": 1e6, "num_classes": 1}
    said = read_postprocess(ssd(classes=1, parameters={**PARAMETERS, **limits}))
    assert (said.limits, said.classes) == (Limits(1_000_000, 0.0, 1.0), 1)


def test_anchors_stored_in_eight_bits() -> None:
    said = read_postprocess(ssd(dequantized_anchors=True))
    np.testing.assert_allclose(said.anchors, anchors_of(4, 6), rtol=0, atol=1 / 256)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_scale": 0}, "y_scale is 0"),
        ({"h_scale": -5.0}, r"h_scale is -5\.0"),
        ({"x_scale": None}, "x_scale is missing"),
        ({"w_scale": "5"}, "w_scale is '5'"),
        ({"w_scale": 1e30}, r"w_scale is 1e\+30"),
        ({"nms_iou_threshold": float("nan")}, "nms_iou_threshold is nan"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"num_classes": True}, "num_classes is True"),
        ({"max_detections": None}, "max_detections is missing"),
        ({"nms_iou_threshold": None}, "nms_iou_threshold is missing"),
        ({"nms_score_threshold": -2e6}, r"nms_score_threshold is -2000000\.0"),
        ({"max_detections": 1_000_001}, "max_detections is 1000001"),
        ({"max_detections": -1}, "max_detections is -1"),
    ],
)
def test_damaged_parameters(change: dict[str, Any], message: str) -> None:
    parameters = {name: value for name, value in {**PARAMETERS, **change}.items() if value is not None}
    with pytest.raises(InputError, match=rf"^the parameters of {OPERATOR} are damaged: {message}") as caught:
        read_postprocess(ssd(parameters=parameters))
    assert caught.value.hint == DAMAGED


@pytest.mark.parametrize(
    ("custom", "message"),
    [
        (b"", "they cannot be read"),
        (b"\0", "they cannot be read"),
        (b"\x01\x02\x03", "they are no map"),
        (bytes(flexbuffers.Dumps([1, 2, 3])), "they are no map"),
    ],
)
def test_parameters_that_are_no_map(custom: bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"^the parameters of {OPERATOR} are damaged: {message}$") as caught:
        read_postprocess(ssd(custom=custom))
    assert caught.value.hint == DAMAGED


@examples(40)
@given(st.data())
def test_any_parameters_are_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(flexbuffers.Dumps(PARAMETERS))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        said = read_postprocess(ssd(custom=bytes(whole)))
    except ConvertError:
        return
    assert np.isfinite(said.scales).all()
    assert said.classes > 0


@pytest.mark.parametrize(
    ("anchors", "message"),
    [
        (np.zeros((48, 3), np.float32), r"\[48, 3\] instead of one row \(y, x, h, w\) each"),
        (np.zeros(48, np.float32), r"\[48\] instead of one row \(y, x, h, w\) each"),
        (np.zeros((48, 4), np.float32), "damaged: not every one has a size"),
        (np.ones((48, 4), np.float32) * np.array((1, 1, 1, 0), np.float32), "damaged: not every one has a size"),
        (np.ones((48, 4), np.float32) * np.array((1, 1, 0, 1), np.float32), "damaged: not every one has a size"),
        (np.full((48, 4), np.nan, np.float32), "damaged: not every one has a size"),
        (np.ones((48, 4), np.int32), "no numbers"),
    ],
)
def test_damaged_anchors(anchors: NDArray[Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"^the anchors of this SSD are {message}$") as caught:
        read_postprocess(ssd(anchors=anchors))
    assert caught.value.hint == DAMAGED


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_anchors_of_another_type(dtype: str) -> None:
    anchors = np.arange(1, 1 + 48 * 4).reshape(48, 4) % 100 + 1
    said = read_postprocess(ssd(anchors=anchors.astype(dtype)))
    np.testing.assert_array_equal(said.anchors, anchors)
    assert said.anchors.dtype == np.float32


@pytest.mark.parametrize("dequantized", [False, True])
def test_anchors_as_litert_has_them(dequantized: bool) -> None:
    """For the reference, which shares nothing with the graph."""
    found = reference_anchors(ssd(dequantized_anchors=dequantized))
    np.testing.assert_allclose(found.places, anchors_of(4, 6), rtol=0, atol=1 / 256 if dequantized else 0)
    assert found.places.dtype == np.float32
    assert found.scales == (10, 10, 5, 5)
    other = {**PARAMETERS, "y_scale": 2.0, "x_scale": 3.0, "h_scale": 4.0, "w_scale": 6.0}
    assert reference_anchors(ssd(parameters=other)).scales == (2, 3, 4, 6)


def test_anchors_of_what_is_no_ssd() -> None:
    with pytest.raises(ValidationError, match=r"^the original does not end in an SSD's post-processing$") as caught:
        reference_anchors(classifier())
    assert caught.value.hint == "give the real --task"


@pytest.mark.parametrize(
    ("values", "quantization", "numbers"),
    [
        (np.array([-10, 2], np.int8), (0.5, -10), [0, 6]),
        (np.array([7], np.uint8), (0.0, 3), [7]),
        (np.array([7], np.float16), (0.5, 3), [7]),
    ],
)
def test_numbers_of_a_tensor(values: Any, quantization: tuple[float, int], numbers: list[float]) -> None:
    found = dequantized(values, {"quantization": quantization})
    assert found.tolist() == numbers
    assert found.dtype == np.float32


def test_anchors_that_are_computed() -> None:
    tree = schema.ModelT.InitFromPackedBuf(ssd(), 0)
    process = tree.subgraphs[0].operators[-1]
    process.inputs = [*process.inputs[:2], process.inputs[0]]
    with pytest.raises(UnsupportedModelError, match=r"^the anchors of this SSD are not constant$") as caught:
        read_postprocess(packed(tree))
    assert caught.value.hint == "export the model again"


def test_boxes_of_three_numbers(shipped: Callable[..., Adapted]) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        shipped(coordinates=3)
    assert caught.value.hint == "give the real --task"
    assert caught.value.message == (
        "an SSD gives boxes [1,A,4] and scores [1,A,K], this model [1, 48, 3] and [1, 48, 3]"
    )


def test_anchors_for_another_grid(shipped: Callable[..., Adapted]) -> None:
    with pytest.raises(InputError, match=r"^the model has 40 anchors for 48 boxes and 48 rows of scores$") as caught:
        shipped(anchors=anchors_of(4, 5))
    assert caught.value.hint == "export the model again"


def test_scores_for_other_classes(shipped: Callable[..., Adapted]) -> None:
    with pytest.raises(InputError, match=r"^the model says it has 5 classes, its scores have 3 columns") as caught:
        shipped(parameters={**PARAMETERS, "num_classes": 5})
    assert caught.value.hint == "export the model again"


def test_labels_that_are_not_its_classes(export: Callable[..., Export], adapted: Callable[..., Adapted]) -> None:
    with pytest.raises(InputError, match=r"has 3 labels .* detects 2 classes"):
        adapted(export(ssd(), labels=("a", "b", "c")))


def test_a_model_without_the_operator() -> None:
    for function in (read_postprocess, without_postprocess):
        with pytest.raises(UnsupportedModelError, match=r"^a MobileNet SSD ends in TFLite_") as caught:
            function(classifier())
        assert caught.value.hint == "give the real --task, or export the model again"


def test_the_cut_model_is_the_same_each_time(tmp_path: Path) -> None:
    assert without_postprocess(ssd()) == without_postprocess(ssd())
    (tmp_path / "cut.tflite").write_bytes(without_postprocess(ssd()))
    assert len(litert((tmp_path / "cut.tflite").read_bytes(), pictures()[0])) == 2
