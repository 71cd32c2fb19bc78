"""The suppression in the graph against a plain one, which goes box by box as Edge Impulse's SDK describes it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from convert.errors import UnsupportedModelError
from convert.graph.batch import dynamic_batch
from convert.heads import graph_end
from convert.heads.boxes import Rows
from convert.heads.decoding import ROUNDS, ReferenceDecoder
from convert.heads.graph_end import GraphEnd, detections
from convert.types import Head
from convert.validate.comparison import Decoding
from convert.validate.runtimes import load
from tests.examples import examples
from tests.heads import plain
from tests.heads.synthetic import ROWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH, HEIGHT, CLASSES, COUNT = 64, 48, 2, 24
UNITS = ("relative", "pixels")


def graph_end_of(count: int, opset: int = 13) -> GraphEnd:
    """A network that gives its input, [1,count,5+CLASSES], as rows."""
    shape = [1, count, 5 + CLASSES]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["rows"])],
        "rows",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, shape)],
    )
    return GraphEnd(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8))


def built(count: int, unit: str, overlap: float, opset: int = 13) -> bytes:
    end = graph_end_of(count, opset)
    rows = graph_end.best_rows(end, Rows("rows", count, 5 + CLASSES, WIDTH, HEIGHT, unit), end.part("rows", 2, 4, 5))
    build = ROWS["yolov5"].build
    assert build is not None
    found = build(end, rows)
    found = graph_end.as_reported(end, found, rows)
    boxes, _, classes = detections(end, found, (WIDTH, HEIGHT), None, use_objectness=True)
    scores = graph_end.kept_scores(end, found, found.objectness, rows.count, overlap)
    model = dynamic_batch(end.finish(boxes, scores, classes))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


@cache
def session(count: int, unit: str, overlap: float, opset: int = 13) -> Any:
    return load(built(count, unit, overlap, opset))


def run(values: NDArray[np.float32], unit: str = "relative", overlap: float = 0.2, opset: int = 13) -> list[Any]:
    """Boxes, scores and classes of [n,count,5+CLASSES]."""
    return list(session(values.shape[1], unit, overlap, opset).run(None, {"x": values}))


def expected(values: NDArray[np.float32], unit: str, overlap: float) -> list[list[float]]:
    """Scores of each picture's candidates, best first, -1 where one is dropped."""
    return [
        [score if kept else -1.0 for score, kept in plain.suppressed(rows, WIDTH, HEIGHT, overlap, unit == "pixels")]
        for rows in values
    ]


def assert_plain(values: NDArray[np.float32], unit: str = "relative", overlap: float = 0.2) -> None:
    boxes, scores, _ = run(values, unit, overlap)
    np.testing.assert_array_equal(scores, np.array(expected(values, unit, overlap), np.float32))
    for picture, found in zip(values, boxes, strict=True):
        ranked = sorted(picture, key=lambda row: -row[4])
        sdk = np.array([plain.sdk_box(row, WIDTH, HEIGHT, pixels=unit == "pixels") for row in ranked])
        edges = found * np.array([HEIGHT, WIDTH, HEIGHT, WIDTH])
        wanted = np.stack([sdk[:, 1], sdk[:, 0], sdk[:, 1] + sdk[:, 3], sdk[:, 0] + sdk[:, 2]], axis=1)
        np.testing.assert_allclose(edges, wanted, rtol=1e-6, atol=1e-5)


shares = st.one_of(
    st.floats(0, 1.25, width=32),
    st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0]),
    st.integers(0, 32).map(lambda n: n / 32),
)
scores = st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.0, 0.5, 0.75, 1.0]))


@st.composite
def pictures(draw: st.DrawFn) -> NDArray[np.float32]:
    """[n,COUNT,5+CLASSES] in shares: some boxes anywhere, and others that are these, moved a little."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        seeds = draw(st.lists(st.tuples(shares, shares, shares, shares), min_size=1, max_size=6))
        near = st.tuples(st.sampled_from(seeds), *[st.sampled_from([0.0, 0.0, 0.03125, 0.1, -0.1])] * 4)
        rows = []
        for _ in range(COUNT):
            seed, *shift = draw(near)
            place = [max(value + step, 0.0) for value, step in zip(seed, shift, strict=True)]
            rows.append([*place, draw(scores), 0.5, 0.25])
        found.append(rows)
    return np.array(found, np.float32)


@examples(60)
@given(pictures(), st.sampled_from(UNITS), st.sampled_from([0.2, 0.5, 1.0]))
def test_as_one_box_after_the_other(values: NDArray[np.float32], unit: str, overlap: float) -> None:
    if unit == "pixels":
        values = values * np.array([WIDTH, HEIGHT, WIDTH, HEIGHT, 1, 1, 1], np.float32)
    assert_plain(values, unit, overlap)


@examples(40)
@given(pictures(), st.sampled_from(UNITS))
def test_the_proof_knows_it(values: NDArray[np.float32], unit: str) -> None:
    """The reference, a third writing, says the same of boxes and classes, too."""
    if unit == "pixels":
        values = values * np.array([WIDTH, HEIGHT, WIDTH, HEIGHT, 1, 1, 1], np.float32)
    network = ReferenceDecoder(
        Head("yolov5", ("a", "b"), score="objectness", coordinates=unit, overlap=0.2), WIDTH, HEIGHT
    )
    found = network.shipped(ROWS["yolov5"].read(network, [values]), COUNT)
    for left, right in zip((found.boxes, found.scores, found.labels), run(values, unit), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-6)


def one(x: float, y: float, wide: float, high: float, score: float) -> list[float]:
    """A row of the box with this left top corner, in pixels of the picture, as shares."""
    return [(x + wide / 2) / WIDTH, (y + high / 2) / HEIGHT, wide / WIDTH, high / HEIGHT, score, 0.9, 0.1]


def kept(*rows: list[float], overlap: float = 0.2) -> list[float]:
    values = np.array([rows], np.float32)
    assert_plain(values, overlap=overlap)
    return [round(float(score), 3) for score in run(values, overlap=overlap)[1][0]]


def test_the_threshold_itself_is_an_overlap() -> None:
    """Two of 6x10 that share 2x10 of 100; with 3x7 less."""
    assert kept(one(0, 0, 6, 10, 0.9), one(4, 0, 6, 10, 0.8)) == [0.9, -1]
    assert kept(one(0, 0, 6, 10, 0.9), one(5, 0, 6, 10, 0.8)) == [0.9, 0.8]


def test_classes_do_not_matter() -> None:
    other = one(1, 0, 20, 20, 0.8)
    other[5:] = 0.1, 0.9
    assert kept(one(0, 0, 20, 20, 0.9), other) == [0.9, -1]


def test_what_a_dropped_box_overlaps_stays() -> None:
    """The middle one goes, the last overlaps only that."""
    assert kept(one(0, 0, 20, 20, 0.9), one(10, 0, 20, 20, 0.8), one(20, 0, 20, 20, 0.7)) == [0.9, -1, 0.7]


def test_boxes_without_area_overlap_nothing() -> None:
    assert kept(one(5, 5, 0, 9, 0.9), one(5, 5, 0, 9, 0.8), one(0, 0, 20, 20, 0.7)) == [0.9, 0.8, 0.7]
    assert kept(one(5, 5, 0.75, 9, 0.9), one(5, 5, 0.75, 9, 0.8)) == [0.9, 0.8], "less than a pixel is nothing"


def test_of_equal_boxes_and_scores_the_first_stays() -> None:
    assert kept(*[one(3, 3, 20, 20, 0.5)] * 5) == [0.5, -1, -1, -1, -1]


def test_a_box_over_the_left_edge_is_where_the_sdk_moves_it() -> None:
    """It reaches to 8 of 64, the SDK's to 16: only that overlaps."""
    assert kept(one(-8, 0, 16, 16, 0.9), one(9, 0, 14, 16, 0.8)) == [0.9, -1]


@pytest.mark.parametrize("length", [2, 3, graph_end.ROUNDS, graph_end.ROUNDS + 1])
def test_chains_as_long_as_there_are_rounds(length: int) -> None:
    """Each overlaps the next: every second one stays."""
    assert length < WIDTH / 2
    rows = [one(2 * number, 0, 3, 8, 1 - number / 64) for number in range(length)]
    found = kept(*rows)
    assert [score > 0 for score in found] == [number % 2 == 0 for number in range(length)]


def test_longer_chains_drop_no_box_that_the_loop_keeps() -> None:
    length = graph_end.ROUNDS + 5
    values = np.array([[one(2 * number, 0, 3, 8, 1 - number / 64) for number in range(length)]], np.float32)
    (found,), (wanted,) = run(values)[1], expected(values, "relative", 0.2)
    assert any(left > 0 > right for left, right in zip(found, wanted, strict=True))
    assert all(left > 0 for left, right in zip(found, wanted, strict=True) if right > 0)


def test_the_proof_knows_where_the_rounds_end() -> None:
    """What stands behind more candidates than there are rounds may come out either way, and is not held against it."""
    assert ROUNDS == graph_end.ROUNDS
    length = ROUNDS + 5
    values = np.array([[one(2 * number, 0, 3, 8, 1 - number / 64) for number in range(length)]], np.float32)
    head = Head("yolov5", ("a", "b"), score="objectness", coordinates="relative", overlap=0.2)
    network = ReferenceDecoder(head, WIDTH, HEIGHT)
    found = network.shipped(ROWS["yolov5"].read(network, [values]), length)
    np.testing.assert_array_equal(np.isnan(found.scores[0]), [number > ROUNDS for number in range(length)])
    judge = Decoding(network)
    judge.add(["long"], [values], run(values))
    assert judge.difference == 0
    boxes, scores, classes = run(values)
    scores[0, ROUNDS] = -1
    judge.add(["long"], [values], [boxes, scores, classes])
    assert judge.difference > 0.5


def test_only_the_best_are_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_end, "CANDIDATES", 8)
    values = np.random.default_rng(3).random((2, COUNT, 5 + CLASSES), np.float32)
    boxes, found, classes = load(built(COUNT, "relative", 0.2)).run(None, {"x": values})
    assert (boxes.shape, found.shape, classes.shape) == ((2, 8, 4), (2, 8), (2, 8))
    wanted = [row[:8] for row in expected(values, "relative", 0.2)]
    np.testing.assert_array_equal(found, np.array(wanted, np.float32))


@pytest.mark.parametrize("opset", [11, 12, 17, 18])
def test_every_opset_gives_the_same(opset: int) -> None:
    values = np.random.default_rng(4).random((2, COUNT, 5 + CLASSES), np.float32)
    for left, right in zip(run(values, opset=opset), run(values), strict=True):
        np.testing.assert_array_equal(left, right)


def test_an_opset_that_cannot_say_it() -> None:
    with pytest.raises(
        UnsupportedModelError, match=r"^boxes are suppressed over all classes, which needs opset 11; the model has 10$"
    ) as caught:
        built(COUNT, "relative", 0.2, 10)
    assert str(caught.value.hint).startswith("convert with --opset 13 (an ONNX model: export it with opset 11 or ")
    assert "--yolo-score product" in str(caught.value.hint)


def test_only_operators_with_fixed_sizes() -> None:
    model = onnx.load_model_from_string(built(COUNT, "relative", 0.2))
    operators = {node.op_type for node in model.graph.node}
    assert not {"NonMaxSuppression", "NonZero", "Loop", "If", "Scan", "Gemm", "GatherND", "ScatterND"} & operators
    for output in model.graph.output:
        batch, *others = output.type.tensor_type.shape.dim
        assert batch.dim_param == "N"
        assert all(dim.dim_value for dim in others)
