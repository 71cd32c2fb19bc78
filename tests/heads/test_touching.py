"""FOMO's cells that touch: the graph gives the boxes of Edge Impulse's rules, through nvinfer's own arithmetic."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from convert.graph.batch import dynamic_batch
from convert.graph.graph import opset_of
from convert.heads import decoding
from convert.heads.base import Options, Rules
from convert.heads.fomo import BOXES, COVERAGE, FOMO
from convert.heads.touching import is_settled, merged, rounds
from convert.images import Framing, ResizeMode, parse_frame
from convert.images.resizing import Resizing
from convert.images.scaling import Network
from convert.simulate.decode import decode
from convert.simulate.parsers import Layer
from convert.simulate.settings import Settings
from convert.validate import runtimes
from tests.examples import examples
from tests.graph.proof import model, onnxruntime
from tests.heads import synthetic

if TYPE_CHECKING:
    from numpy.typing import NDArray

Box = tuple[int, float, float, float, float, float]

GRIDS = [(12, 12, 1), (4, 5, 3), (1, 7, 2), (9, 1, 1), (5, 17, 2)]
"""Rows, columns, classes."""


@cache
def graph(
    rows: int,
    columns: int,
    classes: int,
    threshold: float = 0.5,
    opset: int = 13,
    framing: Framing | None = None,
    least: float = 1,
) -> bytes:
    """From a heat map [N, 1 + classes, rows, columns] to what FOMO's head makes of it; cells are 8x8 pixels."""
    high, wide = rows * 8, columns * 8
    pooled = "y = AveragePool <kernel_shape = [8, 8], strides = [8, 8]> (x)"
    passed = model(pooled, f"1,{1 + classes},{high},{wide}", f"1,{1 + classes},{rows},{columns}", opset)
    export = synthetic.fake_export("fomo", tuple(map(str, range(classes))))
    fitted = FOMO.adapt(passed, export, Options(threshold=threshold, framing=framing, fomo_box=least))
    assert fitted.head.merge == "touching"
    assert fitted.head.threshold == threshold
    assert not fitted.findings
    result = dynamic_batch(fitted.model)
    assert opset_of(result) == opset
    (first, *others) = result.graph.node
    del result.graph.node[:]
    result.graph.node.extend(others)
    result.graph.input[0].name = first.output[0]
    for dim, size in zip(result.graph.input[0].type.tensor_type.shape.dim[2:], (rows, columns), strict=True):
        dim.dim_value = size
    onnx.checker.check_model(result, full_check=True)
    return bytes(result.SerializeToString())


def heat(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n, 1 + classes, rows, columns] of scores [n, classes, rows, columns]; the background's have no effect."""
    return np.concatenate([np.full_like(scores[:, :1], 0.9), scores], axis=1)


def objects(outputs: list[NDArray[Any]], network: tuple[int, int], threshold: float = 0.5) -> list[list[Box]]:
    """Of each frame: class, left, top, right, bottom and score of what nvinfer reports."""
    coverage, boxes = outputs[:2]
    classes = coverage.shape[1]
    attributes = [{"pre-cluster-threshold": threshold}] * classes
    settings = Settings.from_values({"cluster-mode": 4, "num-detected-classes": classes, "class-attrs": attributes})
    layers = [Layer.of(COVERAGE, coverage), Layer.of(BOXES, boxes)]
    return [
        sorted((o.class_id, o.left, o.top, o.left + o.width, o.top + o.height, o.confidence) for o in frame.objects)  # type: ignore[union-attr]
        for frame in decode(settings, Network(3, *network), layers).frames
    ]


def wanted(scores: NDArray[np.float32], threshold: float = 0.5) -> list[Box]:
    """The SDK's rules without its slips, cells of 8x8; the last row and column end 0.01 pixels early."""
    classes, rows, columns = scores.shape
    size = rows * 8, columns * 8
    found = decoding.fomo(scores.transpose(1, 2, 0), Rules([str(n) for n in range(classes)], threshold, size))
    return sorted(
        (
            int(box.label), box.x, box.y,
            min(box.x + box.width, size[1] - 0.01), min(box.y + box.height, size[0] - 0.01), box.value,
        )
        for box in found
    )  # fmt: skip


def assert_same(found: list[Box], expected: list[Box]) -> None:
    assert len(found) == len(expected)
    np.testing.assert_allclose(np.array(found), np.array(expected), rtol=0, atol=2e-4)
    assert [box[5] for box in found] == [box[5] for box in expected]  # scores are not computed with


def scores_of(classes: int, rows: int, columns: int) -> st.SearchStrategy[NDArray[np.float32]]:
    """Lit cells are many or few, and often have equal scores."""
    values = st.sampled_from([0.5, 0.625, 0.75, 1.0]) | st.floats(0.5, 1, width=32)
    dark = st.sampled_from([0.0, 0.25, float(np.nextafter(np.float32(0.5), np.float32(0)))])
    some = arrays(np.float32, (classes, rows, columns), elements=values, fill=dark)
    many = arrays(np.float32, (classes, rows, columns), elements=dark, fill=values)
    return some | many


@examples(150)
@given(st.data())
def test_the_boxes_of_the_sdk(data: st.DataObject) -> None:
    rows, columns, classes = data.draw(st.sampled_from(GRIDS))
    scores = data.draw(scores_of(classes, rows, columns))
    (found,) = objects(onnxruntime(graph(rows, columns, classes), heat(scores[np.newaxis])), (rows * 8, columns * 8))
    expected = wanted(scores)
    for label in range(classes):
        ours, theirs = ([box for box in boxes if box[0] == label] for boxes in (found, expected))
        if is_settled(scores[label], 0.5):
            assert_same(ours, theirs)
        else:
            assert_inside(ours, theirs)


def assert_inside(found: list[Box], expected: list[Box]) -> None:
    """Each box is a part of one that is expected, and none of those has no part."""
    parts = [{number for number, box in enumerate(expected) if _covers(box, part)} for part in found]
    assert all(parts)
    assert set().union(*parts) == set(range(len(expected)))


def _covers(box: Box, part: Box) -> bool:
    return bool(
        (np.array(box[1:3]) <= np.array(part[1:3]) + 1e-3).all() and (np.array(box[3:5]) + 1e-3 >= part[3:5]).all()
    )


@examples(100)
@given(st.data())
def test_the_reference_is_the_sdks_rule(data: st.DataObject) -> None:
    rows, columns, _ = data.draw(st.sampled_from(GRIDS))
    scores = data.draw(scores_of(1, rows, columns))
    expected = decoding.fomo(scores.transpose(1, 2, 0), Rules(["0"], 0.5, (rows, columns)))
    boxes = [(box.x, box.y, box.x + box.width, box.y + box.height, box.value) for box in expected]
    assert sorted(merged(scores[0], 0.5)) == sorted(boxes)


def blobs(random: np.random.Generator, rows: int, columns: int) -> NDArray[np.float32]:
    """Scores of a few round objects, as FOMO gives them: highest in the middle."""
    y, x = np.mgrid[:rows, :columns]
    scores = random.random((rows, columns)) * 0.3
    for _ in range(random.integers(0, 7)):
        distance = np.hypot(y - random.uniform(0, rows), x - random.uniform(0, columns))
        scores = np.maximum(scores, random.uniform(0.55, 1) - 0.2 * distance / random.uniform(0.5, 2.5))
    return scores.astype(np.float32)


@pytest.mark.parametrize(("rows", "columns"), [(12, 12), (30, 40), (85, 85)])
def test_objects_in_grids_of_all_sizes(rows: int, columns: int) -> None:
    random = np.random.default_rng(rows)
    scores = np.stack([[blobs(random, rows, columns) for _ in range(2)] for _ in range(3)])
    outputs = onnxruntime(graph(rows, columns, 2), heat(scores))
    for found, one in zip(objects(outputs, (rows * 8, columns * 8)), scores, strict=True):
        assert all(is_settled(of_class, 0.5) for of_class in one), "these are objects, no mazes"
        assert_same(found, wanted(one))


def test_any_batch() -> None:
    scores = np.random.default_rng(3).random((8, 3, 4, 5), np.float32)
    alone = [onnxruntime(graph(4, 5, 3), heat(one[np.newaxis])) for one in scores]
    for size in (1, 2, 8):
        for number, output in enumerate(onnxruntime(graph(4, 5, 3), heat(scores[:size]))):
            np.testing.assert_array_equal(output, np.concatenate([each[number] for each in alone[:size]]))


@pytest.mark.parametrize("opset", [7, 9, 10, 11, 17, 18])
def test_every_opset_gives_the_same(opset: int) -> None:
    given = heat(np.random.default_rng(4).random((2, 2, 5, 17), np.float32))
    for left, right in zip(
        onnxruntime(graph(5, 17, 2, opset=opset), given), onnxruntime(graph(5, 17, 2), given), strict=True
    ):
        np.testing.assert_array_equal(left, right)


def test_boxes_that_touch_only_as_boxes_are_one() -> None:
    """No cell of the single one touches a cell of the hook, but it lies in the hook's box."""
    scores = np.zeros((1, 12, 12), np.float32)
    scores[0, 2:8, 2] = scores[0, 7, 2:8] = 0.75
    scores[0, 3, 6] = 0.875
    (found,) = objects(onnxruntime(graph(12, 12, 1), heat(scores[np.newaxis])), (96, 96))
    assert_same(found, [(0, 16, 16, 64, 64, 0.875)])


def test_the_whole_picture_is_one_box() -> None:
    (found,) = objects(onnxruntime(graph(12, 12, 1), heat(np.ones((1, 1, 12, 12), np.float32))), (96, 96))
    assert_same(found, [(0, 0, 0, 95.99, 95.99, 1.0)])


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.7])
def test_the_threshold_is_in_the_graph(threshold: float) -> None:
    scores = np.zeros((1, 1, 4, 5), np.float32)
    scores[0, 0, 1, 1] = np.float32(threshold)
    scores[0, 0, 1, 2] = np.nextafter(np.float32(threshold), np.float32(0))
    scores[0, 0, 3, 4] = 0.9
    (found,) = objects(onnxruntime(graph(4, 5, 1, threshold), heat(scores)), (32, 40), threshold=0.01)
    assert_same(found, wanted(scores[0], threshold))


@pytest.mark.parametrize("below", [0.0, 0.2])
def test_a_lower_threshold_of_nvinfer_shows_no_more(below: float) -> None:
    scores = np.random.default_rng(6).random((4, 2, 5, 17), np.float32)
    outputs = onnxruntime(graph(5, 17, 2), heat(scores))
    assert objects(outputs, (40, 136), below) == objects(outputs, (40, 136), 0.5)


def spiral(size: int) -> NDArray[np.float32]:
    """A line from the corner to the middle that never touches itself, as scores."""
    scores = np.zeros((size, size), np.float32)
    row, column, down, right = 0, 0, 0, 1
    scores[0, 0] = 0.75
    while True:
        for _ in range(2):  # on, or round the corner
            y, x = row + down, column + right
            beyond = y + down, x + right
            free = (
                0 <= y < size
                and 0 <= x < size
                and not (0 <= beyond[0] < size and 0 <= beyond[1] < size and scores[beyond])
            )
            if free and not scores[y, x]:
                break
            down, right = right, -down
        else:
            return scores
        row, column = y, x
        scores[row, column] = 0.75


def test_a_maze_loses_nothing() -> None:
    """A random maze takes more rounds than the graph has: boxes in the right one, of the right class, at least one."""
    random = np.random.default_rng(8)
    scores = (random.random((3, 2, 30, 30)) < 0.2).astype(np.float32)
    assert not any(is_settled(one, 0.5) for one in scores.reshape(-1, 30, 30))
    assert not any(is_settled(one, 1) for one in scores.reshape(-1, 30, 30)), "a score at the threshold counts"
    assert all(is_settled(one, 1.5) for one in scores.reshape(-1, 30, 30)), "nothing is above it"
    for found, one in zip(objects(onnxruntime(graph(30, 30, 2), heat(scores)), (240, 240)), scores, strict=True):
        for label in range(2):
            expected = [box for box in wanted(one) if box[0] == label]
            assert_inside([box for box in found if box[0] == label], expected)


def test_a_spiral_is_filled_on_the_way() -> None:
    scores = spiral(30)
    assert (scores > 0).sum() > 300
    (found,) = objects(onnxruntime(graph(30, 30, 1), heat(scores[np.newaxis, np.newaxis])), (240, 240))
    assert_inside(found, wanted(scores[np.newaxis]))


def test_in_a_part_of_the_frame() -> None:
    framing = Framing(parse_frame("16:9"), (40, 32))
    scores = np.zeros((1, 1, 4, 5), np.float32)
    scores[0, 0, 1:, 2:] = 0.75
    scores[0, 0, 0, 0] = 0.5
    outputs = onnxruntime(graph(4, 5, 1, framing=framing), heat(scores))
    (found,) = objects(outputs, framing.network[::-1])
    left = framing.left
    assert left > 0
    assert framing.network[1] == 32
    assert_same(found, [(0, left, 0, left + 8, 8, 0.5), (0, left + 16, 8, left + 40, 31.99, 0.75)])


@pytest.mark.parametrize("least", [1.0, 3.0])
def test_boxes_that_reach_into_black_bars_end_with_the_frame(least: float) -> None:
    """Of the model's 80 pixels 18 are a bar above the frame of 80x44, and 18 one below it."""
    framing = Resizing(parse_frame("80x44"), (80, 80), ResizeMode.FIT_LONGEST)
    assert framing.inside == (0, -18, 80, 80)
    scores = np.zeros((1, 1, 10, 10), np.float32)
    scores[0, 0, 5:8, 1:4] = 0.75  # ends in the bar below, some rows before the model's picture does
    scores[0, 0, 1:5, 6:9] = 0.5  # begins in the bar above
    outputs = onnxruntime(graph(10, 10, 1, framing=framing, least=least), heat(scores))
    (found,) = objects(outputs, (44, 80))
    assert_same(found, [(0, 8, 22, 32, 43.99, 0.75), (0, 48, 0, 72, 22, 0.5)])


@pytest.mark.skipif(not runtimes.available(), reason="the extra [tensorrt] is not installed")
@pytest.mark.parametrize(("rows", "columns", "classes"), [(12, 12, 3), (1, 7, 2)])
def test_nvidias_builder_takes_it(rows: int, columns: int, classes: int) -> None:
    built = runtimes.build(graph(rows, columns, classes), (1 + classes, rows, columns), 8)
    assert "built" in built


@pytest.mark.parametrize(("rows", "columns", "count"), [(12, 12, 4), (30, 30, 9), (1, 1, 2), (3, 17, 6), (16, 3, 5)])
def test_how_often_boxes_grow(rows: int, columns: int, count: int) -> None:
    """The longer side by four cells at a time, and once more; between them rows are filled as far as eight cells."""
    assert rounds(rows, columns) == count
    nodes = onnx.load_model_from_string(graph(rows, columns, 1)).graph.node
    kernels = [tuple(node.attribute[0].ints) for node in nodes if node.op_type == "MaxPool"]
    assert kernels.count((3, 3)) == 4 * count
    assert kernels.count((1, 1 + min(8, columns - 1))) == 2 * (count - 1)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("gap", [1, 2])
def test_what_lies_between_the_arms_of_an_object_is_part_of_it(turns: int, gap: int) -> None:
    """No cell of the one touches a cell of the other, but their boxes do; beside the arms it is another object."""
    scores = np.zeros((12, 12), np.float32)
    scores[3:7, [3, 7]] = scores[6, 3:8] = 0.75
    scores[3 if gap == 1 else 1, 5] = 0.875
    found = sorted(merged(np.rot90(scores, turns), 0.5))
    wanted = [(3, 3, 8, 7, 0.875)] if gap == 1 else [(3, 3, 8, 7, 0.75), (5, 1, 6, 2, 0.875)]
    for _ in range(turns):  # a quarter to the left
        wanted = [(top, 12 - right, bottom, 12 - left, score) for left, top, right, bottom, score in wanted]
    assert found == sorted(wanted)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("gap", [0, 1])
def test_boxes_that_touch_in_a_corner_are_one(turns: int, gap: int) -> None:
    """Two cells side by side as on a diagonal, and one beside the corner of the box around them."""
    scores = np.zeros((12, 12), np.float32)
    scores[4, 3] = scores[3, 4] = 0.75
    scores[5 + gap, 5 + gap] = 0.875
    found = sorted(merged(np.rot90(scores, turns), 0.5))
    wanted = [(3, 3, 5, 5, 0.75), (6, 6, 7, 7, 0.875)] if gap else [(3, 3, 6, 6, 0.875)]
    for _ in range(turns):  # a quarter to the left
        wanted = [(top, 12 - right, bottom, 12 - left, score) for left, top, right, bottom, score in wanted]
    assert found == sorted(wanted)
