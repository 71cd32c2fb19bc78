"""Resize holds for any batch, and in the form every TensorRT reads."""

from __future__ import annotations

import numpy as np
from onnx import numpy_helper

from convert.graph.cleanup import clean, fold, plain_resizes
from convert.graph.graph import attribute
from tests.graph.proof import model, prove_same

SIZES = "s = Constant<value = int64[4] {1, 3, HEIGHT, 10}>()"
HALF = 'mode = "nearest", nearest_mode = "floor", coordinate_transformation_mode = "tf_half_pixel_for_nn"'


def body(height: int, attributes: str = HALF) -> str:
    return SIZES.replace("HEIGHT", str(height)) + f" y = Resize<{attributes}>(x, , , s)"


def test_sizes_become_scales_and_half_pixels_plain_ones() -> None:
    before = model(body(8), target="1,3,8,10")
    after = prove_same(before, lambda each: plain_resizes(fold(clean(each))))
    (node,) = after.graph.node
    assert attribute(node, "coordinate_transformation_mode") == b"asymmetric"
    scales = next(tensor for tensor in after.graph.initializer if tensor.name == node.input[2])
    assert np.array_equal(numpy_helper.to_array(scales), [1, 1, 2, 2])
    assert len(node.input) == 3


def test_broken_scales_keep_their_coordinates() -> None:
    before = model(body(6), target="1,3,6,10")
    after = prove_same(before, lambda each: plain_resizes(fold(clean(each))))
    assert attribute(after.graph.node[0], "coordinate_transformation_mode") == b"tf_half_pixel_for_nn"


def test_a_scale_that_float32_rounds_down_becomes_the_next_larger_one() -> None:
    """floor(11 * float32(13 / 11)) is 12."""
    text = "s = Constant<value = int64[4] {1, 3, 13, 10}>() " + f"y = Resize<{HALF}>(x, , , s)"
    before = model(text, "1,3,11,10", "1,3,13,10")
    after = prove_same(before, lambda each: plain_resizes(fold(clean(each))))
    (node,) = after.graph.node
    scales = next(tensor for tensor in after.graph.initializer if tensor.name == node.input[2])
    assert int(11 * float(numpy_helper.to_array(scales)[2])) == 13


def test_linear_half_pixels_stay() -> None:
    odd = HALF.replace("nearest", "linear").replace('linear_mode = "floor", ', "")
    after = plain_resizes(fold(clean(model(body(8, odd), target="1,3,8,10"))))
    assert attribute(after.graph.node[0], "coordinate_transformation_mode") == b"tf_half_pixel_for_nn"


def test_linear_keeps_its_coordinates() -> None:
    linear = 'mode = "linear", coordinate_transformation_mode = "half_pixel"'
    before = model(body(8, linear), target="1,3,8,10")
    after = prove_same(before, lambda each: plain_resizes(fold(clean(each))))
    assert attribute(after.graph.node[0], "coordinate_transformation_mode") == b"half_pixel"
