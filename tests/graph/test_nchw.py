"""Transposes that can go, go; the others stay and everything is computed as before."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import pytest

from convert.graph.cleanup import clean, merge_reshapes, remove_transposes, transposes
from tests.graph.proof import model, numbers, operators, prove_same

if TYPE_CHECKING:
    import onnx


def change(model: onnx.ModelProto) -> onnx.ModelProto:
    for step in (clean, merge_reshapes, remove_transposes, merge_reshapes):
        model = step(model)
    return model


def test_two_that_undo_each_other() -> None:
    body = "a = Transpose<perm = [0,2,3,1]>(x) b = Transpose<perm = [0,3,1,2]>(a) y = Relu(b)"
    assert operators(prove_same(model(body, target="1,3,4,5"), change)) == ["Relu"]


def test_two_that_do_not() -> None:
    body = "a = Transpose<perm = [0,2,3,1]>(x) b = Transpose<perm = [0,2,3,1]>(a) y = Relu(b)"
    assert operators(prove_same(model(body, target="1,5,3,4"), change)) == ["Relu", "Transpose"]


def test_a_reshape_between_two_that_undo_each_other() -> None:
    body = """
      s = Constant<value = int64[4] {1, 1, 20, 3}>()    a = Transpose<perm = [0,2,3,1]>(x)    b = Reshape(a, s)
      c = Transpose<perm = [0,3,1,2]>(b)    y = Relu(c)
    """
    assert operators(prove_same(model(body, target="1,3,1,20"), change)) == ["Reshape", "Relu"]


def test_a_reshape_between_two_that_do_not() -> None:
    body = """
      s = Constant<value = int64[4] {1, 1, 20, 3}>()    a = Transpose<perm = [0,3,2,1]>(x)    b = Reshape(a, s)
      c = Transpose<perm = [0,3,1,2]>(b)    y = Relu(c)
    """
    assert transposes(prove_same(model(body, target="1,3,1,20"), change)) == 2


def test_squeeze_and_excite() -> None:
    body = f"""
      w = Constant<value = float[3,3,1,1] {{{numbers(9)}}}>()    c = Constant<value = float[3] {{{numbers(3)}}}>()
      up = Constant<value = int64[4] {{1, 3, 1, 1}}>()    down = Constant<value = int64[4] {{1, 1, 1, 3}}>()
      a = Transpose<perm = [0,2,3,1]>(x)    b = HardSigmoid(a)    d = Add(b, c)
      mean = ReduceMean<axes = [1, 2], keepdims = 1>(d)    first = Reshape(mean, up)    conv = Conv(first, w)
      back = Reshape(conv, down)    scaled = Mul(d, back)    y = Transpose<perm = [0,3,1,2]>(scaled)
    """
    after = prove_same(model(body, target="1,3,4,5"), change)
    assert operators(after) == ["HardSigmoid", "Add", "ReduceMean", "Conv", "Mul"]


def test_others_that_need_it_keep_it() -> None:
    body = """
      a = Transpose<perm = [0,2,3,1]>(x)    b = Relu(a)    c = Concat<axis = 1>(a, b)
      y = LpNormalization<axis = 1>(c)
    """
    assert transposes(prove_same(model(body, target="1,8,5,3"), change)) == 1


def test_two_that_turn_differently() -> None:
    body = "a = Transpose<perm = [0,2,3,1]>(x) b = Transpose<perm = [0,3,1,2]>(x) y = Sub(a, b)"
    assert transposes(prove_same(model(body, "1,3,3,3", "1,3,3,3"), change)) == 2


def test_beside_something_that_was_not_turned() -> None:
    body = """
      s = Constant<value = int64[4] {1,4,5,3}>()    a = Transpose<perm = [0,2,3,1]>(x)    b = Reshape(x, s)
      y = Sub(a, b)
    """
    assert transposes(prove_same(model(body, target="1,4,5,3"), change)) == 1


def test_nothing_is_computed_twice() -> None:
    body = """
      s = Constant<value = int64[4] {1, 1, 20, 3}>()    a = Transpose<perm = [0,2,3,1]>(x)    b = Reshape(a, s)
      c = Exp(b)    d = Transpose<perm = [0,3,1,2]>(c)    e = ReduceMax<axes = [3]>(c)
      t = Constant<value = int64[4] {1, 1, 1, 20}>()    f = Reshape(e, t)    y = Mul(d, f)
    """
    assert operators(prove_same(model(body, target="1,3,1,20"), change)).count("Exp") == 1


def test_sums_of_two() -> None:
    body = """
      a = Transpose<perm = [0,2,3,1]>(x)    t = Tanh(x)    b = Transpose<perm = [0,2,3,1]>(t)    s = Sub(b, a)
      y = Transpose<perm = [0,3,1,2]>(s)
    """
    assert operators(prove_same(model(body, target="1,3,4,5"), change)) == ["Tanh", "Sub"]


@pytest.mark.parametrize("axes", ["[1]", "[-1]", "[1, 2]", "[3]", "[1, 3]"])
def test_reductions_without_their_dimensions(axes: str) -> None:
    target = {"[1]": "1,5,3", "[-1]": "1,4,5", "[1, 2]": "1,3", "[3]": "1,4,5", "[1, 3]": "1,5"}[axes]
    body = f"a = Transpose<perm = [0,2,3,1]>(x) y = ReduceMax<axes = {axes}, keepdims = 0>(a)"
    after = prove_same(model(body, target=target), change)
    assert transposes(after) == (1 if axes == "[1]" else 0)


def test_reductions_with_axes_as_input() -> None:
    body = """
      axes = Constant<value = int64[2] {1, 2}>()    a = Transpose<perm = [0,2,3,1]>(x)    y = ReduceSum(a, axes)
    """
    assert operators(prove_same(model(body, target="1,1,1,3"), change)) == ["ReduceSum", "Reshape"]


def test_both_ends_of_the_graph() -> None:
    body = "a = Transpose<perm = [0,2,3,1]>(x) y = Transpose<perm = [0,3,1,2]>(a)"
    assert operators(prove_same(model(body, target="1,3,4,5"), change)) == ["Identity"]


def test_default_perm_turns_round() -> None:
    body = "a = Transpose(x) b = Transpose(a) y = Relu(b)"
    assert operators(prove_same(model(body, target="1,3,4,5"), change)) == ["Relu"]


@pytest.mark.parametrize("trans_b", [0, 1])
def test_flatten_and_dense(trans_b: int) -> None:
    size = "60,2" if not trans_b else "2,60"
    body = f"""
      s = Constant<value = int64[2] {{1, 60}}>()    w = Constant<value = float[{size}] {{{numbers(120)}}}>()
      c = Constant<value = float[2] {{0.5, -0.5}}>()
      turned = Transpose<perm = [0,2,3,1]>(x)    flat = Reshape(turned, s)
      y = Gemm<transB = {trans_b}, alpha = 0.5>(flat, w, c)
    """
    assert operators(prove_same(model(body, target="1,2"), change)) == ["Reshape", "Gemm"]


def test_flatten_and_matmul_behind_a_relu() -> None:
    body = f"""
      w = Constant<value = float[60,2] {{{numbers(120)}}}>()
      turned = Transpose<perm = [0,3,1,2]>(x)    flat = Flatten(turned)    bent = Relu(flat)    y = MatMul(bent, w)
    """
    assert operators(prove_same(model(body, target="1,2"), change)) == ["Reshape", "Relu", "MatMul"]


def test_shared_weights_are_permuted_for_one_layer_only() -> None:
    body = f"""
      w = Constant<value = float[60,2] {{{numbers(120)}}}>()    s = Constant<value = int64[2] {{1, 60}}>()
      turned = Transpose<perm = [0,2,3,1]>(x)    flat = Reshape(turned, s)    a = MatMul(flat, w)
      other = Reshape(x, s)    b = MatMul(other, w)    y = Add(a, b)
    """
    assert transposes(prove_same(model(body, target="1,2"), change)) == 0


@pytest.mark.parametrize("bias", ["6", "1", "1,6", "20,1"])
def test_dense_layers_for_each_pixel(bias: str) -> None:
    """A bias for each output or the same for all, not one for each pixel."""
    count = prod(map(int, bias.split(",")))
    body = f"""
      rows = Constant<value = int64[2] {{20, 3}}>()    s = Constant<value = int64[2] {{1, 140}}>()
      w1 = Constant<value = float[3,6] {{{numbers(18)}}}>()
      b1 = Constant<value = float[{bias}] {{{numbers(count)}}}>()
      w2 = Constant<value = float[7,6] {{{numbers(42)}}}>()    w3 = Constant<value = float[140,2] {{{numbers(280)}}}>()
      turned = Transpose<perm = [0,2,3,1]>(x)    pixels = Reshape(turned, rows)
      a = Gemm(pixels, w1, b1)    r = Relu(a)    b = Gemm<transB = 1>(r, w2)    flat = Reshape(b, s)
      t = Tanh(flat)    y = MatMul(t, w3)
    """
    after = prove_same(model(body, target="1,2"), change)
    if bias == "20,1":
        assert transposes(after) == 1
    else:
        assert operators(after) == ["Conv", "Relu", "Conv", "Reshape", "Tanh", "MatMul"]


def test_dense_layers_on_a_picture() -> None:
    body = f"""
      s = Constant<value = int64[2] {{1, 140}}>()    b = Constant<value = float[7] {{{numbers(7)}}}>()
      w1 = Constant<value = float[3,7] {{{numbers(21)}}}>()    w2 = Constant<value = float[140,2] {{{numbers(280)}}}>()
      turned = Transpose<perm = [0,2,3,1]>(x)    a = MatMul(turned, w1)    sum = Add(a, b)    r = Relu(sum)
      flat = Reshape(r, s)    y = MatMul(flat, w2)
    """
    after = prove_same(model(body, target="1,2"), change)
    assert operators(after) == ["Conv", "Add", "Relu", "Reshape", "MatMul"]


@pytest.mark.parametrize(
    "body",
    [
        # Softmax for each pixel works along the channels.
        """rows = Constant<value = int64[2] {20, 3}>() s = Constant<value = int64[2] {1, 60}>()
           w = Constant<value = float[60,1] {WEIGHTS}>() turned = Transpose<perm = [0,2,3,1]>(x)
           pixels = Reshape(turned, rows) soft = Softmax(pixels) flat = Reshape(soft, s) y = MatMul(flat, w)""",
        # The flattened picture is used twice.
        """s = Constant<value = int64[2] {1, 60}>() w = Constant<value = float[60,1] {WEIGHTS}>()
           turned = Transpose<perm = [0,2,3,1]>(x) flat = Reshape(turned, s) a = MatMul(flat, w)
           b = ReduceMax<axes = [1]>(flat) y = Add(a, b)""",
        # Rows that are no pixels.
        """rows = Constant<value = int64[2] {12, 5}>() w = Constant<value = float[5,1] {1, -2, 3, 0.5, 4}>()
           s = Constant<value = int64[2] {1, 12}>() v = Constant<value = float[12,1] {1,2,3,4,5,6,7,8,9,10,11,12}>()
           turned = Transpose<perm = [0,2,3,1]>(x) some = Reshape(turned, rows) a = MatMul(some, w)
           flat = Reshape(a, s) y = MatMul(flat, v)""",
        # A factor on the product.
        """rows = Constant<value = int64[2] {20, 3}>() w = Constant<value = float[3,1] {1, -2, 3}>()
           s = Constant<value = int64[2] {1, 20}>() v = Constant<value = float[20,1] {FEW}>()
           turned = Transpose<perm = [0,2,3,1]>(x) pixels = Reshape(turned, rows) a = Gemm<alpha = 2.0>(pixels, w)
           flat = Reshape(a, s) y = MatMul(flat, v)""",
        # Weights that depend on the picture.
        """s = Constant<value = int64[2] {1, 60}>() t = Constant<value = int64[2] {60, 1}>()
           turned = Transpose<perm = [0,2,3,1]>(x) flat = Reshape(turned, s) other = Reshape(x, t)
           y = MatMul(flat, other)""",
    ],
)
def test_what_must_stay(body: str) -> None:
    body = body.replace("WEIGHTS", numbers(60)).replace("FEW", numbers(20))
    assert transposes(prove_same(model(body, target="1,1"), change)) == 1


@pytest.mark.parametrize(("axis", "target"), [(1, "1,3,2,5"), (3, "1,2,4,5"), (-2, "1,3,4,2")])
def test_entries_that_are_picked(axis: int, target: str) -> None:
    body = f"""
      i = Constant<value = int32[2] {{2, 0}}>()    a = Transpose<perm = [0,2,3,1]>(x)
      b = Gather<axis = {axis}>(a, i)    y = Transpose<perm = [0,3,1,2]>(b)
    """
    assert operators(prove_same(model(body, target=target), change)) == ["Gather"]


@pytest.mark.parametrize(
    ("scale", "left"),
    [
        ("float {0.1}", ["QuantizeLinear", "DequantizeLinear"]),
        ("float[3] {0.1, 0.2, 0.1}", ["Transpose", "QuantizeLinear", "DequantizeLinear", "Transpose"]),
    ],
)
def test_codes_of_one_scale_are_turned(scale: str, left: list[str]) -> None:
    zero = scale.split("{", maxsplit=1)[0].replace("float", "int8") + ("{0, 0, 0}" if "[" in scale else "{0}")
    body = f"""
      s = Constant<value = {scale}>()    z = Constant<value = {zero}>()    a = Transpose<perm = [0,2,3,1]>(x)
      q = QuantizeLinear<axis = 3>(a, s, z)    d = DequantizeLinear<axis = 3>(q, s, z)
      y = Transpose<perm = [0,3,1,2]>(d)
    """
    assert operators(prove_same(model(body, target="1,3,4,5"), change)) == left


def test_entries_that_are_picked_of_the_first_axis_which_is_that_of_no_attribute() -> None:
    body = """
      i = Constant<value = int32[2] {0, 0}>()    a = Transpose<perm = [0,2,3,1]>(x)
      b = Gather(a, i)    y = Transpose<perm = [0,3,1,2]>(b)
    """
    assert operators(prove_same(model(body, target="2,3,4,5"), change)) == ["Gather"]


@pytest.mark.parametrize(
    ("pads", "inputs", "target"),
    [
        ("0,0,0,0, 0,1,2,0", "a, p", "1,3,5,7"),
        ("0,2,0,1, 0,0,3,0", "a, p, v", "1,4,6,8"),
        ("0,0,0,0, 0,-1,0,0", "a, p", "1,3,3,5"),
    ],
)
def test_what_is_added_at_the_edges(pads: str, inputs: str, target: str) -> None:
    body = f"""
      p = Constant<value = int64[8] {{{pads}}}>()    v = Constant<value = float {{1.5}}>()
      a = Transpose<perm = [0,2,3,1]>(x)    b = Pad({inputs})    y = Transpose<perm = [0,3,1,2]>(b)
    """
    assert operators(prove_same(model(body, target=target), change)) == ["Pad"]


@pytest.mark.parametrize(
    "rest",
    [
        "p = Constant<value = int64[8] {0,0,0,0, 0,1,1,0}>() b = Pad(a, p) c = Flatten(b) d = Flatten(a)",  # takes both
        "p = Shape(x) q = Sub(p, p) r = Concat<axis = 0>(q, q) b = Pad(a, r) c = Flatten(b) d = Flatten(b)",
        # of channels, which TensorRT before 8.0 pads as they are
        "p = Constant<value = int64[8] {0,0,0,0, 0,0,0,1}>() b = Pad(a, p) c = Flatten(b) d = Flatten(b)",
    ],
)
def test_edges_that_must_stay(rest: str) -> None:
    body = f"a = Transpose<perm = [0,2,3,1]>(x) {rest} y = Concat<axis = 1>(c, d)"
    target = "1,150" if "1,1,0}" in rest else "1,160" if "0,0,1}" in rest else "1,120"
    assert transposes(prove_same(model(body, target=target), change)) == 1
