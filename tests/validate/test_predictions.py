"""A model's predictions, compared across framings."""

from __future__ import annotations

import numpy as np
import pytest

from convert.heads.decoding import ReferenceDecoder
from convert.types import Head
from convert.validate.precision import Predictions, agreement, predictions


def test_a_classifier() -> None:
    found = predictions("classifier", None, [np.array([[[[0.1, 0.7, 0.2]]], [[[0.5, 0.3, 0.2]]]])])
    np.testing.assert_array_equal(found.labels, [1, 0])
    assert found.scores.shape == (2, 3)
    assert found.boxes is None
    assert found.placed(np.zeros((1, 4))) is found


def test_fomo_means_a_cell_and_its_neighbours() -> None:
    heat = np.zeros((1, 4, 8, 3), np.float32)
    heat[0, 1, 6] = (0.1, 0.3, 0.6)
    heat[0, 3, 0] = (0.5, 0.5, 0.0)
    found = predictions("fomo", ReferenceDecoder(Head("fomo", ("a", "b"), merge="none"), 64, 32), [heat])
    np.testing.assert_allclose(found.scores, [[0.5, 0.6]])
    assert found.boxes is not None
    np.testing.assert_allclose(found.boxes, [[5 / 8, 0, 1, 3 / 4]])
    assert found.labels.tolist() == [1]


def test_a_yolo() -> None:
    rows = np.array([[[0.5, 0.5, 0.2, 0.4, 0.9, 0.1, 0.8], [0.1, 0.1, 0.2, 0.2, 0.3, 0.9, 0.1]]], np.float32)
    head = Head("yolov5", ("a", "b"), score="product", coordinates="relative")
    found = predictions("yolov5", ReferenceDecoder(head, 64, 32), [rows])
    np.testing.assert_allclose(found.scores, [[0.27, 0.72]], atol=1e-6)
    assert found.boxes is not None
    np.testing.assert_allclose(found.boxes, [[0.4, 0.3, 0.6, 0.7]], atol=1e-6)


def test_boxes_are_brought_into_the_frame() -> None:
    found = Predictions(np.zeros((2, 1)), np.zeros(2, int), np.array([[0.0, 0.0, 1.0, 1.0], [-0.5, 0.25, 0.5, 2.0]]))
    placed = found.placed(np.array([[0.25, 0.0, 0.5, 1.0]]))
    assert placed.boxes is not None
    np.testing.assert_allclose(placed.boxes, [[0.25, 0, 0.75, 1], [0.25, 0.25, 0.5, 1]])


@pytest.mark.parametrize(
    ("moved", "label", "top1"), [(0.0, 0, 1.0), (0.1, 0, 1.0), (0.4, 0, 0.0), (2.0, 0, 0.0), (0.0, 1, 0.0)]
)
def test_the_same_object_is_the_same_class_in_the_same_place(moved: float, label: int, top1: float) -> None:
    boxes = np.array([[0.0, 0.0, 1.0, 1.0]])
    left = Predictions(np.array([[0.9, 0.1]]), np.array([0]), boxes)
    right = Predictions(np.array([[0.8, 0.3]]), np.array([label]), boxes + np.array([moved, 0, moved, 0]))
    found = agreement(left, right)
    assert found.top1 == top1
    assert found.inputs == 1
    assert found.max_abs_diff == pytest.approx(0.2)
    assert found.mean_abs_diff == pytest.approx(0.15)


def test_an_empty_box_is_no_object() -> None:
    nothing = Predictions(np.array([[0.5]]), np.array([0]), np.zeros((1, 4)))
    assert agreement(nothing, nothing).top1 == 0
