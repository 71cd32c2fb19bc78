"""In what a detector's rows are measured, seen from the model alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import UnsupportedModelError
from convert.graph.graph import GraphEditor
from convert.heads.graph_end import neutral, unit_of
from tests.graph.proof import model
from tests.heads import synthetic

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDES = st.integers(4, 40).map(lambda cells: 8 * cells)


def places(width: int, height: int, stride: int = 8) -> NDArray[np.float32]:
    y, x = np.mgrid[: height // stride, : width // stride]
    return np.stack([(x.ravel() + 0.5) * stride, (y.ravel() + 0.5) * stride], axis=1).astype(np.float32)


@given(SIDES, SIDES, st.sampled_from([8, 16, 32]))
def test_any_size(width: int, height: int, stride: int) -> None:
    cells = places(width, height, stride)
    if len(cells) < 2:
        return
    assert unit_of(cells, width, height) == "pixels"
    shares = (cells / np.array([width, height])).astype(np.float32)
    assert unit_of(shares, width, height) == "relative"
    assert unit_of(np.zeros_like(cells) + np.array([0.5, 0.25], np.float32), width, height) == "cells"


@pytest.mark.parametrize("factor", [(0.01, 1), (3, 3), (1, 0), (-1, 1)])
def test_something_else(factor: tuple[float, float]) -> None:
    centres = places(96, 64) * np.array(factor, np.float32)
    with pytest.raises(UnsupportedModelError) as caught:
        unit_of(centres, 96, 64)
    x, y = np.median(centres, axis=0)
    assert caught.value.message == (
        "the boxes are measured in something else than pixels of 96x64 or shares of it: the middle of all candidates "
        f"is ({x:.3g}, {y:.3g})"
    )
    assert caught.value.hint == "give the real --task, or report the model"


@pytest.mark.parametrize("unit", ["pixels", "relative"])
def test_how_far_the_middle_may_lie_from_that_of_the_picture(unit: str) -> None:
    """Three tenths of its width and height."""
    shares = places(96, 64) / np.array([96, 64], np.float32)
    for axis in (0, 1):
        for moved, fits in ((-0.31, False), (-0.29, True), (0.29, True), (0.31, False)):
            centres = shares.astype(np.float32)
            centres[:, axis] += moved
            if unit == "pixels":
                centres *= np.array([96, 64], np.float32)
            if fits:
                assert unit_of(centres, 96, 64) == unit
            else:
                with pytest.raises(UnsupportedModelError, match="something else"):
                    unit_of(centres, 96, 64)


def test_the_smallest_pictures_in_pixels() -> None:
    assert unit_of(np.array([[1, 1], [4, 4]], np.float32), 5, 5) == "pixels"
    assert unit_of(np.array([[0.1, 0.1], [1, 1]], np.float32), 5, 5) == "relative"


def test_a_model_that_no_reference_evaluates(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise NotImplementedError("this operator")

    monkeypatch.setattr("onnx.reference.ReferenceEvaluator.run", fails)
    with pytest.raises(
        UnsupportedModelError, match=r"^it cannot be seen how this model's boxes follow from its layers$"
    ):
        neutral(synthetic.candidates("yolov5"))


def test_not_a_number() -> None:
    with pytest.raises(UnsupportedModelError, match="something else"):
        unit_of(places(96, 64) * np.float32(np.nan), 96, 64)


def test_the_neutral_answer_is_what_no_weight_changes() -> None:
    detector = synthetic.candidates("yolov5")
    before = detector.SerializeToString()
    answer = neutral(detector)
    assert detector.SerializeToString() == before, "the model itself is left alone"
    for tensor in detector.graph.initializer:
        if tensor.name.startswith("w"):
            tensor.raw_data = bytes(len(tensor.raw_data))
    np.testing.assert_array_equal(neutral(detector), answer)
    assert answer.shape == (1, 42, 8)
    assert answer[0, 0, 0] == pytest.approx(4 / 64)


def test_rounding_to_codes_moves_no_cell() -> None:
    """ONNX's own evaluator has no such operators before opset 19."""
    detector = synthetic.candidates("yolov5")
    answer = neutral(detector)
    editor = GraphEditor(detector)
    step, zero = editor.add_constant(np.array(0.02, np.float32)), editor.add_constant(np.array(-7, np.int8))
    for node in editor.nodes():
        if node.op_type in {"Conv", "Sigmoid"}:
            real = editor.new_name("real")
            editor.redirect(node.output[0], real)
            (codes,) = editor.add("QuantizeLinear", [node.output[0], step, zero]).output
            editor.add("DequantizeLinear", [codes, step, zero], real)
    editor.store()
    assert editor.opset < 19
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in detector.graph.node}
    np.testing.assert_array_equal(neutral(detector), answer)


def test_a_model_without_layers() -> None:
    with pytest.raises(
        UnsupportedModelError, match=r"^it cannot be seen how this model's boxes follow from its layers$"
    ) as caught:
        neutral(model("y = Flatten(x)"))
    assert caught.value.hint == "report the model"
