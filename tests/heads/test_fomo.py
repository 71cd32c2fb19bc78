"""FOMO through the built-in parser: every cell lies where it is, whatever the grid; merging keeps the highest."""

from __future__ import annotations

import json
from math import ceil
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import helper

from convert.errors import InputError, UnsupportedModelError
from convert.graph.batch import dynamic_batch
from convert.heads.base import Fit, LastLayer, Options, Rules
from convert.heads.fomo import BOXES, COVERAGE, FOMO, cell_boxes
from convert.images import Frame, Framing
from convert.images.scaling import Network
from convert.simulate.decode import decode
from convert.simulate.parsers import Layer
from convert.simulate.settings import Settings
from tests.examples import examples
from tests.graph.proof import model, onnxruntime
from tests.heads import synthetic

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.heads.base import Fitted

PEAK = Options(fomo_merge="peak")
NONE = Options(fomo_merge="none")


def fit(height: int = 32, width: int = 64, labels: int = 2, options: Options | None = None, **grid: Any) -> Fitted:
    export = synthetic.fake_export("fomo", tuple(f"label {number}" for number in range(labels)))
    return FOMO.adapt(synthetic.heat_map(height, width, 1 + labels, **grid), export, options or Options())


def run(fitted: Fitted, height: int = 32, width: int = 64, count: int = 1) -> list[NDArray[Any]]:
    onnx.checker.check_model(fitted.model, full_check=True)
    pictures = np.random.default_rng(1).random((count, 3, height, width), np.float32)
    return onnxruntime(fitted.model.SerializeToString(), pictures)


def objects(height: int, width: int, coverage: NDArray[np.float32], boxes: NDArray[np.float32]) -> list[Any]:
    """What nvinfer reports in cluster-mode 4, threshold 0.5."""
    classes = coverage.shape[1]
    values = {"cluster-mode": 4, "num-detected-classes": classes}
    attributes = [{"pre-cluster-threshold": 0.5}] * classes
    settings_ = Settings.from_values({**values, "class-attrs": attributes})
    layers = [Layer.of(COVERAGE, coverage), Layer.of(BOXES, boxes)]
    (frame,) = decode(settings_, Network(3, height, width), layers).frames
    return list(frame.objects)  # type: ignore[union-attr]


@examples(60)
@given(st.integers(8, 700), st.integers(8, 700), st.sampled_from([7, 8, 13, 16, 32]), st.sampled_from([8, 9, 16, 32]))
def test_every_cell_comes_back(height: int, width: int, high: int, wide: int) -> None:
    """All cells at once through nvinfer's arithmetic, in grids that divide the picture and that do not."""
    rows, columns = ceil(height / high), ceil(width / wide)
    found = objects(height, width, np.ones((1, 1, rows, columns), np.float32), cell_boxes(height, width, rows, columns))
    assert len(found) == rows * columns
    row, column = np.divmod(np.arange(len(found)), columns)
    left, right = column * width / columns, np.minimum((column + 1) * width / columns, width - 0.01)
    top, bottom = row * height / rows, np.minimum((row + 1) * height / rows, height - 0.01)
    edges = np.array([(box.left, box.top, box.left + box.width, box.top + box.height) for box in found])
    np.testing.assert_allclose(edges, np.stack([left, top, right, bottom], axis=1), rtol=0, atol=2e-3)


@pytest.mark.parametrize("merge", ["touching", "peak", "none"])
@pytest.mark.parametrize("frame", [None, Frame(16, 9)])
@pytest.mark.parametrize("cells", [1.5, 3, 5])
def test_boxes_of_more_cells_keep_their_middle(merge: str, frame: Frame | None, cells: float) -> None:
    """As nvinfer reads them; a box that has no room on one side is smaller on the other, too."""
    framing = Framing(frame, (64, 48)) if frame else None
    whole = framing.network if framing else (64, 48)
    heat = np.zeros((1, 3, 6, 8), np.float32)
    for row, column in ((0, 0), (3, 4), (3, 5), (5, 7), (5, 0), (2, 2)):
        heat[0, 1, row, column] = 0.9
    found = []
    for least in (1, cells):
        passed = model("y = Softmax <axis = 1> (x)", source="1,3,6,8", target="1,3,6,8")
        small = synthetic.fake_export("fomo")
        options = Options(fomo_merge=merge, framing=framing, fomo_box=least)
        shapes = {"x": (1, 3, 48, 64), "y": (1, 3, 6, 8)}
        with mock.patch("convert.heads.graph_end.GraphEnd.shapes", return_value=shapes):
            fitted = FOMO.adapt(passed, small, options)
        (softmax,) = (node for node in fitted.model.graph.node if node.op_type == "Softmax")
        softmax.op_type = "Identity"
        del softmax.attribute[:]
        assert fitted.head.box == (None if least == 1 else cells)
        coverage, boxes, _ = onnxruntime(fitted.model.SerializeToString(), heat)
        found.append(objects(whole[1], whole[0], coverage, boxes))
    cell = np.array([8.0, 8.0])
    assert len(found[0]) == len(found[1])
    for one, more in zip(*found, strict=True):
        low, size = np.array([one.left, one.top]), np.array([one.width, one.height])
        middle = low + size / 2
        np.testing.assert_allclose(middle, [more.left + more.width / 2, more.top + more.height / 2], atol=2e-3)
        room = 2 * np.minimum(middle, np.array(whole) - middle)
        wanted = np.maximum(size, np.minimum(cells * cell, room))
        np.testing.assert_allclose([more.width, more.height], wanted, atol=0.03)


def test_boxes_are_those_that_nvidias_code_was_given(vectors: Path) -> None:
    compared = 0
    for case in sorted((vectors / "outputs").glob("fomo-*")):
        said = json.loads((case / "case.json").read_text())
        if "0.01 px" not in said["about"]:
            continue
        array = next(output["array"] for output in said["outputs"] if "bbox" in output["name"])
        given_boxes = np.load(case / "tensors.npz")[array]
        _, channels, rows, columns = given_boxes.shape
        ours = cell_boxes(said["network"]["height"], said["network"]["width"], rows, columns)
        np.testing.assert_allclose(np.tile(ours, (1, channels // 4, 1, 1)), given_boxes[:1], rtol=0, atol=1e-6)
        compared += 1
    assert compared >= 6


@pytest.mark.parametrize("nhwc", [True, False])
@pytest.mark.parametrize(("height", "width"), [(32, 64), (64, 32), (33, 47), (676, 100)])
def test_the_heat_map_without_its_background(height: int, width: int, nhwc: bool) -> None:
    fitted = fit(height, width, options=NONE, nhwc=nhwc)
    coverage, boxes, raw = run(fitted, height, width)
    rows, columns = ceil(height / 8), ceil(width / 8)
    assert raw.shape == (1, 3, rows, columns)
    np.testing.assert_allclose(raw.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(coverage, raw[:, 1:])
    np.testing.assert_array_equal(boxes, np.tile(cell_boxes(height, width, rows, columns), (1, 2, 1, 1)))
    assert fitted.outputs == (COVERAGE, BOXES) == ("output_cov/Sigmoid", "output_bbox/BiasAdd")
    assert fitted.raw == ("raw_heat_map",)
    assert fitted.head.labels == ("label 0", "label 1")
    assert fitted.head.merge == "none"


def test_a_grid_as_large_as_it_is_deep_is_told_by_its_softmax() -> None:
    """4x4 cells and 4 channels: the shape does not say which dimension is which."""
    last = run(fit(32, 32, labels=3), 32, 32)
    first = run(fit(32, 32, labels=3, nhwc=False), 32, 32)
    for left, right in zip(last, first, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("nhwc", [True, False])
def test_a_grid_as_large_as_it_is_deep_without_a_softmax_at_its_end(nhwc: bool) -> None:
    """The last Transpose tells: one to [N,C,h,w] is what an ONNX export of a PyTorch model ends in."""
    probabilities = synthetic.heat_map(32, 32, 4, nhwc=nhwc)
    last = probabilities.graph.node[-1]
    if nhwc:  # softmax along the channels, then a copy: nothing says that it is not as TensorFlow has it
        last.output[0] = "before"
        probabilities.graph.node.append(onnx.helper.make_node("Identity", ["before"], ["y"]))
    else:
        assert last.op_type == "Transpose"
    fitted = FOMO.adapt(probabilities, synthetic.fake_export("fomo", ("a", "b", "c")), Options())
    for left, right in zip(run(fitted, 32, 32), run(fit(32, 32, labels=3), 32, 32), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("options", [NONE, PEAK])
def test_any_batch(options: Options) -> None:
    fitted = fit(options=options)
    pictures = np.random.default_rng(2).random((8, 3, 32, 64), np.float32)
    alone = [onnxruntime(fitted.model.SerializeToString(), picture[np.newaxis]) for picture in pictures]
    together = dynamic_batch(fitted.model)
    for size in (1, 2, 8):
        for number, output in enumerate(onnxruntime(together.SerializeToString(), pictures[:size])):
            assert output.shape[0] == size, "a constant alone would keep a batch of 1"
            np.testing.assert_allclose(output, np.concatenate([each[number] for each in alone[:size]]), atol=1e-6)


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 13, 17, 18])
def test_every_opset_gives_the_same(opset: int) -> None:
    newest = run(fit(options=PEAK))
    oldest = fit(options=PEAK, opset=opset)
    for left, right in zip(run(oldest), newest, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-6)


def peaks(coverage: NDArray[np.float32]) -> NDArray[np.float32]:
    """A cell stays if no neighbour is higher, and no equal one comes before it."""
    kept = np.zeros_like(coverage)
    classes, rows, columns = coverage.shape
    for label in range(classes):
        for row in range(rows):
            for column in range(columns):
                value = coverage[label, row, column]
                others = [
                    (coverage[label, y, x], (y, x) < (row, column))
                    for y in range(max(row - 1, 0), min(row + 2, rows))
                    for x in range(max(column - 1, 0), min(column + 2, columns))
                    if (y, x) != (row, column)
                ]
                if value > 0 and all(other < value or (other == value and not earlier) for other, earlier in others):
                    kept[label, row, column] = value
    return kept


HEATS = arrays(np.float32, (2, 4, 5), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))


@pytest.fixture(scope="module")
def merged() -> Any:
    """Merging alone, on a heat map that is handed in: background, then two classes."""
    passed = model("y = Softmax <axis = 1> (x)", source="1,3,4,5", target="1,3,4,5")
    fitted = FOMO.adapt(passed, synthetic.fake_export("fomo"), PEAK)
    (softmax,) = (node for node in fitted.model.graph.node if node.op_type == "Softmax")
    softmax.op_type = "Identity"
    del softmax.attribute[:]
    return fitted.model.SerializeToString()


@examples(150)
@given(HEATS)
def test_only_the_highest_of_neighbours_stays(merged: bytes, heat: NDArray[np.float32]) -> None:
    """Few different values, so that most neighbours are equal: saturated and dequantized scores are."""
    background = np.zeros((1, 4, 5), np.float32)
    coverage, _, _ = onnxruntime(merged, np.concatenate([background, heat])[np.newaxis])
    np.testing.assert_array_equal(coverage[0], peaks(heat))


def test_two_equal_neighbours_give_one_object(merged: bytes) -> None:
    heat = np.zeros((1, 3, 4, 5), np.float32)
    heat[0, 1, 1:3, 1:4] = 1
    coverage, _, _ = onnxruntime(merged, heat)
    assert coverage.sum() == 1
    assert coverage[0, 0, 1, 1] == 1


def test_what_was_merged_is_said() -> None:
    assert fit(options=PEAK).head.merge == "peak"
    assert not fit(options=PEAK).findings
    (told,) = fit(options=NONE).findings
    assert (told.id, told.message, told.hint) == (
        "EI352",
        "every cell above the threshold is an object; an object that spans several cells gives several",
        "--fomo-merge touching makes one box of cells that touch",
    )


@pytest.mark.parametrize("name", ["background", "Background", " _background_ "])
def test_a_background_label_is_left_out(name: str) -> None:
    export = synthetic.fake_export("fomo", (name, "green", "purple"))
    fitted = FOMO.adapt(synthetic.heat_map(32, 64, 3), export, PEAK)
    assert fitted.head.labels == ("green", "purple")
    assert [finding.id for finding in fitted.findings] == ["EI350"]


def test_a_class_may_be_called_background() -> None:
    export = synthetic.fake_export("fomo", ("background", "green"))
    assert FOMO.adapt(synthetic.heat_map(32, 64, 3), export, PEAK).head.labels == ("background", "green")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("green",), "has 1 label .*detects 2 classes"),
        (("a", "b", "c"), "has 3 labels .*detects 2 classes"),
        (("a", "background", "c"), "has 3 labels"),
        ((), "has 0 labels"),
    ],
)
def test_labels_that_are_not_its_classes(labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        FOMO.adapt(synthetic.heat_map(32, 64, 3), synthetic.fake_export("fomo", labels), Options())
    where = "; background belongs in front of the others, or nowhere" if "background" in labels else ""
    assert caught.value.hint == f"give the labels of this model, in the order of training, with --labels{where}"


def test_the_coverage_of_a_bundle_is_its_heat_map() -> None:
    """Of a graph that keeps no raw outputs, as one that older versions made."""
    cover = np.zeros((1, 2, 4, 4), np.float32)
    cover[0, 1, 2, 3] = 0.75
    outputs = {"output_bbox/BiasAdd:0": np.ones((1, 8, 4, 4), np.float32), "output_cov/Sigmoid:0": cover}
    rules = Rules(("green", "purple"), 0.5, (32, 32))
    (box,) = FOMO.decode_shipped(outputs, rules)["bounding_boxes"]
    assert (box["label"], box["value"], box["x"], box["y"]) == ("purple", 0.75, 24, 16)
    raw = {**outputs, "raw_heat_map": np.concatenate([1 - cover[:, :1], cover[:, ::-1]], axis=1)}
    (box,) = FOMO.decode_shipped(raw, rules)["bounding_boxes"]
    assert box["label"] == "green"
    for labels in (("green",), ("green", "purple", "red")):
        with pytest.raises(
            InputError, match=rf"^the heat map \[2, 4, 4\] does not fit {len(labels)} labels$"
        ) as caught:
            FOMO.decode_shipped(outputs, Rules(labels, 0.5, (32, 32)))
        assert caught.value.hint == "convert again"


def test_the_prediction_is_the_best_cell_with_its_neighbours() -> None:
    """Background counts for nothing; of two pictures each has its own place."""
    raw = np.zeros((2, 4, 5, 3), np.float32)
    raw[..., 0] = 0.9
    raw[0, 2, 1, 2], raw[0, 0, 4, 1] = 0.75, 0.5
    raw[1, 3, 4, 1] = 0.25
    scores, places = FOMO.prediction(None, [raw])
    np.testing.assert_array_equal(scores, np.array([[0.5, 0.75], [0.25, 0]], np.float32))
    np.testing.assert_allclose(places, [[0, 1 / 4, 3 / 5, 4 / 4], [3 / 5, 2 / 4, 6 / 5, 5 / 4]])


@pytest.mark.parametrize(
    ("output", "fit"),
    [
        ((1, 16, 16, 3), Fit.LIKELY), ((1, 8, 8, 3), Fit.LIKELY), ((1, 4, 4, 3), Fit.LIKELY),
        ((1, 2, 2, 3), Fit.LIKELY),
        ((1, 32, 32, 3), Fit.POSSIBLE), ((1, 8, 8, 1), Fit.POSSIBLE), ((1, 8, 4, 3), Fit.POSSIBLE),
        ((1, 1, 1, 3), Fit.NO), ((1, 8, 8), Fit.NO), ((1, 8, None, 3), Fit.NO),
    ],
)  # fmt: skip
def test_which_grids_are_fomos(output: tuple[int | None, ...], fit: Fit) -> None:
    """Of a picture of 64x64 pixels: cells of 4, 8, 16 and 32 pixels."""
    assert FOMO.fit(LastLayer(64, 64, output, frozenset({"SOFTMAX"}))) is fit
    assert FOMO.fit(LastLayer(64, 64, output, frozenset())) is min(fit, Fit.POSSIBLE)


def test_nothing_but_background() -> None:
    with pytest.raises(UnsupportedModelError, match=r"^the heat map has no class besides background$") as caught:
        fit(labels=0)
    assert caught.value.hint == "train the model with at least one label"


def test_a_transposition_at_the_end_is_taken_away() -> None:
    """The graph wants channels in front, where they were."""
    nodes = [
        helper.make_node("AveragePool", ["x"], ["a"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Softmax", ["a"], ["b"], axis=1),
        helper.make_node("Transpose", ["b"], ["y"], perm=[0, 2, 3, 1]),
    ]
    detector = synthetic.graph(nodes, {}, (32, 64), {"y": (1, 4, 8, 3)})
    values = np.random.default_rng(1).random((1, 3, 32, 64), np.float32)
    (wanted,) = onnxruntime(detector.SerializeToString(), values)
    fitted = FOMO.adapt(detector, synthetic.fake_export("fomo", ("a", "b")), NONE)
    assert "Transpose" not in {node.op_type for node in fitted.model.graph.node}
    coverage, *_ = onnxruntime(fitted.model.SerializeToString(), values)
    np.testing.assert_array_equal(coverage, wanted.transpose(0, 3, 1, 2)[:, 1:])


def test_rows_are_no_grid() -> None:
    wanted = r"^FOMO gives one grid of scores, this model 1 outputs, the first \[1, 42, 8\]$"
    with pytest.raises(UnsupportedModelError, match=wanted) as caught:
        FOMO.adapt(synthetic.candidates("yolov5"), synthetic.fake_export("fomo"), Options())
    assert caught.value.hint == "give the real --task"
