"""The second decoding, against a third one that goes candidate by candidate."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.errors import InputError
from convert.heads import head
from convert.heads.base import Rules
from convert.heads.decoding import Anchors, Detections, ReferenceDecoder
from convert.heads.fomo import cells, centres, heat
from convert.heads.ssd import SSD
from convert.images import Framing, parse_frame
from convert.types import Head
from tests.heads import plain
from tests.heads.synthetic import ROWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH, HEIGHT = 64, 32
UNITS = {"yolox": ("cells", "pixels")} | dict.fromkeys(
    ("yolov5", "yolov5-drpai", "yolov11", "yolov11-abs"), ("relative", "pixels")
)
CASES = [
    (task, unit, score)
    for task in ROWS
    for unit, score in product(UNITS.get(task, ("relative",)), ("product", "objectness"))
]


def rows_of(task: str, count: int = 42, classes: int = 3) -> NDArray[np.float32]:
    columns = ROWS[task].others + classes
    rows = np.random.default_rng(2).normal(0, 2, (2, count, columns)).astype(np.float32)
    return rows.transpose(0, 2, 1) if ROWS[task].is_turned else rows


@pytest.mark.parametrize(("task", "unit", "score"), CASES)
def test_every_row_means_what_its_makers_say(task: str, unit: str, score: str) -> None:
    raw = rows_of(task)
    head = Head(task, ("a", "b", "c"), score=score, coordinates=unit)
    found = ROWS[task].read(ReferenceDecoder(head, WIDTH, HEIGHT), [raw])
    # a YOLOX that has decoded by itself is read as YOLOv5 is
    like = "yolov5" if task == "yolox" and unit == "pixels" else task
    for number, picture in enumerate(raw):
        pixels = unit in {"pixels", "cells"}
        wanted = plain.read(like, picture, WIDTH, HEIGHT, pixels=pixels, objectness=score == "objectness")
        np.testing.assert_allclose(found.boxes[number], [box[:4] for box in wanted], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found.scores[number], [box.score for box in wanted], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found.labels[number], [box.label for box in wanted])
    assert found.of_classes.shape == (2, 42, 3)
    assert (found.objectness is not None) == ROWS[task].has_objectness


@pytest.mark.parametrize("unit", ["relative", "pixels"])
def test_the_best_without_those_that_overlap_better_ones(unit: str) -> None:
    raw = np.random.default_rng(5).random((2, 42, 8), np.float32)
    scale = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT] if unit == "pixels" else [1] * 4, np.float32)
    raw[..., :4] *= scale * np.array([1, 1, 0.5, 0.5], np.float32)
    head = Head("yolov5", ("a", "b", "c"), score="objectness", coordinates=unit, overlap=0.3)
    network = ReferenceDecoder(head, WIDTH, HEIGHT)
    everything = ROWS["yolov5"].read(network, [raw])
    found = network.shipped(everything, 30)
    for number, picture in enumerate(raw):
        wanted = plain.suppressed(picture, WIDTH, HEIGHT, 0.3, pixels=unit == "pixels")[:30]
        assert 5 < sum(kept for _, kept in wanted) < 28
        np.testing.assert_array_equal(
            found.scores[number], np.array([score if kept else -1 for score, kept in wanted], np.float32)
        )
        order = np.argsort(-picture[:, 4], kind="stable")[:30]
        sdk = [plain.sdk_box(picture[one], WIDTH, HEIGHT, pixels=unit == "pixels") for one in order]
        edges = [(top, left, top + high, left + wide) for left, top, wide, high in sdk]
        np.testing.assert_allclose(found.boxes[number] * [HEIGHT, WIDTH, HEIGHT, WIDTH], edges, rtol=1e-6, atol=1e-5)
        np.testing.assert_array_equal(found.labels[number], everything.labels[number, order])


def test_where_nvinfer_drops_boxes_everything_is_shipped() -> None:
    network = ReferenceDecoder(
        Head("yolov5", ("a", "b", "c"), score="objectness", coordinates="relative"), WIDTH, HEIGHT
    )
    found = ROWS["yolov5"].read(network, [rows_of("yolov5")])
    assert network.shipped(found, 30) is found


def test_an_ssd() -> None:
    codes = np.array([[[0, 0, 0, 0], [10, -10, 5, 0]]], np.float32)
    scores = np.array([[[0.9, 0.1, 0.05], [0.1, 0.2, 0.7]]], np.float32)
    anchors = Anchors(np.array([[0.5, 0.25, 0.2, 0.1], [0.5, 0.5, 0.2, 0.4]], np.float32), (10, 10, 5, 5))
    found = SSD.read(ReferenceDecoder(Head("ssd", ("a", "b")), WIDTH, HEIGHT, anchors), [codes, scores])
    e = np.e
    expected = [[0.4, 0.2, 0.6, 0.3], [0.7 - 0.1 * e, 0.1 - 0.2, 0.7 + 0.1 * e, 0.1 + 0.2]]
    np.testing.assert_allclose(found.boxes[0], expected, atol=1e-6)
    np.testing.assert_allclose(found.scores[0], [0.1, 0.7], atol=1e-7)
    np.testing.assert_array_equal(found.labels[0], [0, 1])


def test_cells_and_the_parsers_centres() -> None:
    network = ReferenceDecoder(Head("fomo", ("a",)), width=100, height=40)
    left, top, right, bottom = cells(network, 5, 13)[0, 0]
    assert (left[0, 0], top[0, 0]) == (0, 0)
    assert left[2, 1] == right[2, 0] == pytest.approx(100 / 13)
    assert top[1, 7] == bottom[0, 7] == 8
    assert (right[4, 12], bottom[4, 12]) == (pytest.approx(99.99), pytest.approx(39.99))
    x, y = centres(network, 5, 13)[0, 0]
    assert x[0].tolist()[:3] == [0.5, 8.5, 16.5], "the stride is rounded up"
    assert y[:, 0].tolist()[:2] == [0.5, 8.5]


def test_heat_without_background_and_with_peaks_only() -> None:
    raw = np.zeros((1, 2, 3, 4), np.float32)
    raw[0, 1] = np.array([[0.5, 0.5, 0, 0.25], [0.5, 0.125, 0, 0.375], [0, 0, 0, 1]])
    np.testing.assert_array_equal(heat(raw, "none"), raw[:, 1:])
    np.testing.assert_array_equal(heat(raw, "peak")[0, 0], [[0.5, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]])


def candidates(*, objectness: bool) -> Detections:
    """Two candidates of two classes in one picture; the second lies partly beside it."""
    boxes = np.array([[[0.1, 0.2, 0.5, 0.75], [-0.5, 0.25, 1.5, 2.0]]], np.float32)
    classes = np.array([[[0.5, 0.25], [0.125, 0.75]]], np.float32)
    sure = np.array([[[1.0], [0.5]]], np.float32) if objectness else None
    scores, labels = classes.max(axis=2), np.array([[0, 1]], np.float32)
    return Detections(boxes, scores, labels, classes, sure)


@pytest.mark.parametrize("objectness", [True, False])
def test_what_parity_compares(objectness: bool) -> None:
    found = candidates(objectness=objectness)
    arrays, ranked = found.comparable()
    assert ranked == [False, True, False][: 2 + objectness]
    np.testing.assert_array_equal(arrays[0], np.array([[[0.1, 0.2, 0.5, 0.75], [0, 0.25, 1, 1]]], np.float32))
    assert arrays[1] is found.of_classes
    assert arrays[2:] == [found.objectness] * objectness
    best, box = found.prediction()
    assert best.tolist() == ([[0.5, 0.375]] if objectness else [[0.5, 0.75]])
    expected = [[0.2, 0.1, 0.75, 0.5]] if objectness else [[0.25, -0.5, 2, 1.5]]
    np.testing.assert_array_equal(box, np.array(expected, np.float32))


@pytest.mark.parametrize("objectness", [True, False])
def test_every_candidate_for_every_class(objectness: bool) -> None:
    found = candidates(objectness=objectness).each_class()
    assert found.labels.tolist() == [[0, 0, 1, 1]]
    assert found.scores.tolist() == [[0.5, 0.0625, 0.25, 0.375] if objectness else [0.5, 0.125, 0.25, 0.75]]
    np.testing.assert_array_equal(found.boxes[0, :2], found.boxes[0, 2:])
    first = replace(found, of_classes=np.zeros((1, 4, 2), np.float32), objectness=None).best(2)
    assert first.scores.tolist() == [[0.5, 0.375] if objectness else [0.75, 0.5]]
    assert first.labels.tolist() == ([[0, 1]] if objectness else [[1, 0]])


@pytest.mark.parametrize(
    ("frame", "box"),
    [
        ("16:9", (0.5, (37 + 24) / 170, 1, (37 + 96) / 170)),
        ("9:16", ((37 + 48) / 170, 0.25, (37 + 96) / 170, 1)),
        ("1:1", (0.5, 0.25, 1, 1.5)),
    ],
)
def test_boxes_lie_in_the_part_that_a_model_sees(frame: str, box: tuple[float, ...]) -> None:
    """Cut off where the original's picture ends, where there is more of the frame beside it."""
    decoder = ReferenceDecoder(Head("yolov5", ("a", "b")), 96, 96, framing=Framing(parse_frame(frame), (96, 96)))
    found = decoder.placed(np.array([[[0.5, 0.25, 1, 1.5]]], np.float32))
    np.testing.assert_allclose(found, [[box]], rtol=1e-6)


def test_bundles_that_lack_what_is_compared() -> None:
    rules = Rules(("a", "b"), 0.5, (96, 96))
    with pytest.raises(InputError, match=r"^the bundle's model has no output 'detection_boxes'$") as caught:
        head("yolov5").decode_shipped({}, rules)
    assert caught.value.hint == "convert the export again with this version"
    with pytest.raises(InputError, match=r"^the model has 3 scores and the bundle 2 labels$") as caught:
        head("classifier").decode_shipped({"y": np.zeros((1, 3), np.float32)}, rules)
    assert caught.value.hint == "convert again"
