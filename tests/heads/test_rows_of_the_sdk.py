"""Rows of candidates to results by the rules of Edge Impulse's SDK, against a plain writing and by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import helper

from convert.errors import InputError
from convert.heads.base import Options, Rules
from convert.heads.boxes import OUTPUTS, RAW
from convert.images.scaling import Network
from convert.nvinfer.targets import sdk_path, target
from convert.simulate.decode import decode
from convert.simulate.parsers import Layer
from convert.simulate.settings import Settings
from tests.graph.proof import onnxruntime
from tests.heads import plain, synthetic
from tests.heads.synthetic import ROWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEIGHT, WIDTH = SIZE = (32, 64)
LABELS = ("a", "b", "c")
APART = [task for task in ROWS if ROWS[task].is_comparable and not ROWS[task].drops_all]
CELLS = plain.cells(HEIGHT, WIDTH)


def raw(task: str, seed: int) -> NDArray[np.float32]:
    """The output of a small network that ends as such a model does, for one picture."""
    model = synthetic.candidates(task, size=SIZE)
    (rows,) = onnxruntime(model.SerializeToString(), np.random.default_rng(seed).random((1, 3, *SIZE), np.float32))
    assert isinstance(rows, np.ndarray)
    return rows.astype(np.float32)


def answered(task: str, rows: NDArray[Any], threshold: float, **more: Any) -> list[tuple[Any, ...]]:
    found = ROWS[task].decode_original([rows], Rules(LABELS, threshold, SIZE, **more))
    return [tuple(box.values()) for box in found["bounding_boxes"]]


@pytest.mark.parametrize("overlap", [0.1, 0.5])
@pytest.mark.parametrize("task", [*APART, "yolox"])
def test_as_the_sdk_goes_box_by_box(task: str, overlap: float) -> None:
    counts = set()
    for seed in range(4):
        rows = raw(task, seed)
        threshold = 0.25 if task in APART and not ROWS[task].has_anchors else 0.01
        wanted = plain.answer(task, rows[0], WIDTH, HEIGHT, threshold, overlap, ROWS[task].unit)
        found = answered(task, rows, threshold, overlap=overlap)
        assert [(box[0], *box[2:]) for box in found] == [(LABELS[box[0]], *box[2:]) for box in wanted]
        np.testing.assert_allclose([box[1] for box in found], [box[1] for box in wanted], rtol=1e-5)
        counts.add(len(found))
    assert max(counts) > 2


def pro(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    """YOLO-Pro's, edges in pixels of the picture."""
    return np.array([[[x / WIDTH, y / HEIGHT, r / WIDTH, b / HEIGHT, *of] for x, y, r, b, *of in rows]], np.float32)


def test_a_box_for_each_class_above_the_threshold() -> None:
    rows = pro((4, 4, 20, 20, 0.9, 0.5, 0.4), (5, 4, 20, 20, 0.6, 0.8, 0))
    assert answered("yolo-pro", rows, 0.5) == [
        ("a", pytest.approx(0.9), 4, 4, 16, 16),
        ("b", pytest.approx(0.8), 5, 4, 15, 16),
    ]
    assert len(answered("yolo-pro", rows, 0.5, overlap=0.99)) == 4


def test_a_box_over_the_edge_is_cut_off_before_it_is_compared() -> None:
    """Both as wide as the picture's left 8 pixels; before that they share 8 of 128."""
    rows = pro((-60, 0, 8, 8, 0.9, 0, 0), (0, 0, 8, 8, 0.8, 0, 0))
    assert [box[1:] for box in answered("yolo-pro", rows, 0.5)] == [(pytest.approx(0.9), 0, 0, 8, 8)]


def test_tao_compares_boxes_before_they_are_cut_off() -> None:
    """The same two boxes, as anchors that nothing moves."""
    row = [0, 0.9, 0, 0, 0, 0, 0, 0, -60 / WIDTH, 0, 8 / WIDTH, 8 / HEIGHT, 0.1, 0.1, 0.2, 0.2]
    other = [0, 0.8, 0, 0, 0, 0, 0, 0, 0, 0, 8 / WIDTH, 8 / HEIGHT, 0.1, 0.1, 0.2, 0.2]
    found = answered("tao-ssd", np.array([[row, other]], np.float32), 0.5)
    assert [box[1:] for box in found] == [(pytest.approx(0.9), 0, 0, 8, 8), (pytest.approx(0.8), 0, 0, 8, 8)]


def test_yolox_rounds_sizes_and_drops_over_all_classes() -> None:
    """In the first cell of stride 8; 1.5 pixels are two, and the corner is cut off, not rounded."""
    rows = np.zeros((1, len(CELLS), 8), np.float32)
    rows[0, 0] = (1.25, 1.25, np.log(1.5 / 8), np.log(8.25 / 8), 0.9, 0.2, 1.0, 0.9)
    rows[0, 1] = (0.25, 1.25, np.log(1.5 / 8), np.log(8.25 / 8), 0.8, 1.0, 0.2, 0.1)
    assert answered("yolox", rows, 0.5) == [("b", pytest.approx(0.9), 9, 5, 2, 8)]
    rows[0, 1, 0] = 4
    assert [box[0] for box in answered("yolox", rows, 0.5)] == ["b", "a"]


def test_the_sdk_reports_the_200_best() -> None:
    rows = pro(*[(0, 0, 0, 0, 0.5 + number / 1000, 0, 0) for number in range(250)])
    found = answered("yolo-pro", rows, 0.5)
    assert len(found) == 200
    assert found[0][1] == pytest.approx(0.749)


def test_what_is_no_number_is_no_box() -> None:
    nan = float("nan")
    rows = pro((nan, 0, 9, 9, 0.9, 0, 0), (0, 0, 9, 9, nan, 0, 0), (0, 0, 9, 9, 1.5, 0, 0))
    assert answered("yolo-pro", rows, 0.5) == []


@pytest.mark.parametrize("task", [*APART, "yolox"])
def test_the_bundle_answers_the_same(task: str) -> None:
    """From its raw rows, and as nvinfer's parser and suppression read it, but for edges."""
    export = synthetic.fake_export(task, LABELS)
    model = synthetic.adapt(synthetic.candidates(task, size=SIZE), export, Options()).model
    picture = np.random.default_rng(1).random((1, 3, *SIZE), np.float32)
    outputs = dict(zip((*OUTPUTS, RAW), onnxruntime(model.SerializeToString(), picture), strict=True))
    rules = Rules(LABELS, 0.25, SIZE, coordinates=ROWS[task].unit)
    assert ROWS[task].decode_shipped(outputs, rules) == ROWS[task].decode_original([outputs[RAW]], rules)
    with pytest.raises(InputError):
        ROWS[task].decode_shipped({}, rules)


def test_rows_in_pixels_are_measured_in_shares_of_the_picture() -> None:
    rows = np.array([[[0.5, 0.25, 0.25, 0.5, 0.9, 0.1, 0.8, 0.1]]], np.float32)
    pixels = rows * np.array([WIDTH, HEIGHT, WIDTH, HEIGHT, 1, 1, 1, 1], np.float32)
    head, rules = ROWS["yolov5"], Rules(LABELS, 0.5, SIZE)
    wanted = [{"label": "b", "value": pytest.approx(0.9), "x": 24, "y": 0, "width": 16, "height": 16}]
    for unit, given in (("relative", rows), (None, rows), ("pixels", pixels)):
        found = head.decode_shipped({RAW: given}, replace(rules, coordinates=unit))
        assert found["bounding_boxes"] == wanted
    np.testing.assert_array_equal(pixels[0, 0, :4], [32, 8, 16, 16])  # what was given stays as it was


def shown(task: str, rows: NDArray[np.float32]) -> list[tuple[Any, ...]]:
    """What nvinfer's stock parser makes of the outputs of a network that gives `rows` for a white picture."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["one"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["one", "square"], ["column"]),
        helper.make_node("MatMul", ["column", "rows"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["y"]),
    ]
    constants = {"square": np.array([1, 1]), "rows": rows.reshape(1, -1), "shape": np.array(rows.shape)}
    model = synthetic.graph(nodes, constants, SIZE, {"y": rows.shape}, 13)
    fitted = synthetic.adapt(model, synthetic.fake_export(task, LABELS), Options())
    outputs = onnxruntime(fitted.model.SerializeToString(), np.ones((1, 3, *SIZE), np.float32))
    library = sdk_path(target("7.1", "jetson"), "parser-library")
    each = {"pre-cluster-threshold": 0.5, "nms-iou-threshold": 0.2}
    values = {
        "network-type": 0, "num-detected-classes": len(LABELS), "cluster-mode": 2 if fitted.head.overlap is None else 4,
        "custom-lib-path": library, "parse-bbox-func-name": "NvDsInferParseCustomTfSSD", "class-attrs": [each] * 3,
    }  # fmt: skip
    layers = [Layer.of(name, array) for name, array in zip(OUTPUTS, outputs, strict=False)]
    (frame,) = decode(Settings.from_values(values, library=library), Network(3, HEIGHT, WIDTH), layers).frames
    found = sorted(frame.objects, key=lambda one: -one.confidence)  # type: ignore[union-attr]
    return [(LABELS[one.class_id], one.confidence, one.left, one.top, one.width, one.height) for one in found]


def test_nvinfer_shows_both_classes_of_a_candidate() -> None:
    rows = pro((4, 4, 20, 20, 0.9, 0.55, 0.4), (5, 4, 20, 20, 0.6, 0.8, 0), (40, 8, 60, 24, 0.1, 0.2, 0.7))
    found, wanted = shown("yolo-pro", rows), answered("yolo-pro", rows, 0.5)
    assert [box[0] for box in wanted] == ["a", "b", "c"]
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one[0] == other[0]
        assert one[1:] == pytest.approx(other[1:], abs=1e-4)


def test_nvinfer_shows_a_yolox_as_the_sdk_reports_it() -> None:
    rows = np.zeros((1, len(CELLS), 8), np.float32)
    rows[0, 9] = (1.3, 0.6, 0.9, 0.8, 0.9, 0.2, 1.0, 0.95)
    rows[0, 10] = (0.4, 0.6, 0.9, 0.8, 0.9, 0.9, 0.2, 0.1)
    rows[0, 22] = (0.5, 0.5, 0.2, 0.3, 0.7, 0.1, 0.2, 1.0)
    found, wanted = shown("yolox", rows), answered("yolox", rows, 0.5)
    assert [box[0] for box in wanted] == ["b", "c"]
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one[0] == other[0]
        assert one[1:] == pytest.approx(other[1:], abs=1e-4)
