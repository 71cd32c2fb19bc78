"""Nothing is left that computes nothing."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import helper, numpy_helper

from convert.errors import TranslationError
from convert.graph.cleanup import (
    clean,
    fold,
    only_real_inputs,
    plain_clips,
    plain_comparisons,
    plain_integers,
    plain_quantization,
    positive_axes,
)
from convert.graph.graph import without_weights
from tests.graph.proof import model, operators, prove_same


def test_constants_and_identities() -> None:
    body = """
      a = Constant<value_float = 2.0>()    b = Constant<value = float {2}>()    c = Constant<value_floats = [2.0]>()
      d = Constant<value_int = 1>()    e = Constant<value_ints = [1]>()    f = Gather<axis = 3>(x, d)
      g = Gather<axis = 1>(f, e)    m = Mul(x, g)
      i = Identity(m)    unused = Relu(x)    p = Mul(i, a)    q = Mul(p, b)    r = Mul(q, c)    y = Identity(r)
    """.replace("m = Mul(x, g)", "h = Constant<value_ints = [1, 1, 4, 1]>() j = Reshape(g, h) m = Mul(x, j)")
    after = prove_same(model(body, target="1,3,4,5"), clean)
    assert operators(after) == ["Gather", "Gather", "Reshape", "Mul", "Mul", "Mul", "Mul"]
    kinds = sorted((list(each.dims), each.data_type) for each in after.graph.initializer)
    assert kinds == [([], 1), ([], 7), ([1], 1), ([1], 7), ([4], 7)], "2.0 and [2.0] have different shapes"


def with_constants(operator: str, **constants: np.ndarray) -> onnx.ModelProto:
    """x -> Identity -> `operator` with the first of `constants` -> `operator` with the second -> y."""
    first, second = list(constants)[:2]
    nodes = [
        helper.make_node("Identity", ["x"], ["i"]),
        helper.make_node(operator, ["i", first], ["p"]),
        helper.make_node(operator, ["p", second], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 4, 5]) for name in "xy"]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])


@pytest.mark.parametrize("shape", [(300, 1, 4, 5), (1025,)])
def test_a_copy_for_checks_is_without_large_constants(shape: tuple[int, ...]) -> None:
    before = with_constants("Mul", a=np.ones(shape, np.float32), b=np.ones(1024, np.float32))
    light = without_weights(before)
    assert [value.name for value in light.graph.input] == ["x", "a"]
    assert [tensor.name for tensor in light.graph.initializer] == ["b"]
    assert [tensor.name for tensor in before.graph.initializer] == ["a", "b"]
    assert operators(light) == operators(before)


def test_constants_that_stay_are_not_copied() -> None:
    one, two, unused = (np.full(1, value, np.float32) for value in (1, 2, 3))
    before = with_constants("Mul", a=one, b=two, c=unused)
    kept = before.graph.initializer[1]
    after = clean(before)
    assert [tensor.name for tensor in after.graph.initializer] == ["a", "b"]
    assert after.graph.initializer[1] is kept


def test_text_constants_stay() -> None:
    body = 't = Constant<value_string = "2.5">() f = Cast<to = 1>(t) y = Mul(x, f)'
    after = prove_same(model(body, target="1,3,4,5"), lambda before: fold(clean(before)))
    assert operators(after) == ["Constant", "Cast", "Mul"]


def test_an_output_that_is_the_input_keeps_its_name() -> None:
    after = clean(model("y = Identity(x)", target="1,3,4,5"))
    assert operators(after) == ["Identity"]


def test_equal_constants_of_other_types_stay_apart() -> None:
    body = """
      a = Constant<value = int32[1] {0}>()    b = Constant<value = float[1] {0}>()    c = Cast<to = 1>(a)
      d = Add(b, c)    y = Add(x, d)
    """
    assert len(clean(model(body, target="1,3,4,5")).graph.initializer) == 2


def test_fold_computes_constants_and_shapes() -> None:
    body = """
      shape = Shape(x)    one = Constant<value = int64[1] {1}>()    channels = Gather(shape, one)
      count = Cast<to = 1>(channels)    size = Size(x)    all = Cast<to = 1>(size)    f = Mul(count, all)
      y = Mul(x, f)
    """
    after = prove_same(model(body, target="1,3,4,5"), lambda before: fold(clean(before)))
    assert operators(after) == ["Mul"]
    (constant,) = after.graph.initializer
    assert numpy_helper.to_array(constant) == 180


def test_fold_reads_part_of_a_shape() -> None:
    body = "s = Shape<start = 1, end = -1>(x) f = Cast<to = 1>(s) m = ReduceMax(f) y = Mul(x, m)"
    after = prove_same(model(body, target="1,3,4,5", opset=15), lambda before: fold(clean(before)))
    assert operators(after) == ["Mul"]


def test_fold_sees_behind_a_folded_target() -> None:
    body = """
      shape = Shape(x)    product = ReduceProd(shape)    flat = Reshape(x, product)
      again = Shape(flat)    f = Cast<to = 1>(again)    s = Mul(flat, f)    t = Constant<value = int64[2] {1, 60}>()
      y = Reshape(s, t)
    """
    after = prove_same(model(body), lambda before: fold(clean(before)))
    assert operators(after) == ["Reshape", "Mul", "Reshape"]


def test_fold_keeps_scales_of_quantized_models() -> None:
    body = """
      w = Constant<value = int8[1] {3}>() s = Constant<value = float {0.5}>() z = Constant<value = int8 {0}>()
      d = DequantizeLinear(w, s, z) y = Mul(x, d)
    """
    after = prove_same(model(body, target="1,3,4,5"), lambda before: fold(clean(before)))
    assert operators(after) == ["DequantizeLinear", "Mul"]
    coded = body.replace("d = Deq", "v = Constant<value = float[1] {1.7}>() q = QuantizeLinear(v, s, z) d = Deq")
    after = prove_same(model(coded.replace("(w,", "(q,"), target="1,3,4,5"), lambda before: fold(clean(before)))
    assert operators(after) == ["QuantizeLinear", "DequantizeLinear", "Mul"]


def test_fold_does_not_fill_the_memory() -> None:
    body = """
      s = Constant<value = int64[2] {1000000, 1000000}>() c = ConstantOfShape(s) m = ReduceMax(c) y = Mul(x, m)
    """
    after = fold(clean(model(body, target="1,3,4,5")))
    assert operators(after) == ["ConstantOfShape", "ReduceMax", "Mul"]


def test_a_constant_that_cannot_be_computed_is_an_error() -> None:
    body = """
      v = Constant<value = float[2] {1, 2}>() i = Constant<value = int64 {7}>() g = Gather(v, i) y = Mul(x, g)
    """
    with pytest.raises(TranslationError, match=r"^a constant of this model cannot be computed \(Gather\): "):
        fold(clean(model(body, target="1,3,4,5")))


def test_axes_are_counted_from_the_front_before_opset_11() -> None:
    text = """<ir_version: 4, opset_import: ["" : 9]>
    g (float[1,3,4,5] x) => (float[1,3,4,10] y) { a = Concat<axis = -1>(x, x) y = Softmax<axis = 3>(a) }"""
    after = positive_axes(onnx.parser.parse_model(text))
    onnx.checker.check_model(after, full_check=True)
    assert after.graph.node[0].attribute[0].i == 3
    later = text.replace('"" : 9', '"" : 11')
    assert positive_axes(onnx.parser.parse_model(later)).graph.node[0].attribute[0].i == -1


def test_initializers_are_no_inputs() -> None:
    weights = numpy_helper.from_array(np.ones(5, np.float32), "w")
    source = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 5])
    target = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 5])
    listed = helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [5])
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [source, listed], [target], [weights])
    for version, least in ((3, 4), (4, 4), (8, 8)):
        before = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 7)], ir_version=version)
        onnx.checker.check_model(before)
        after = only_real_inputs(before)
        onnx.checker.check_model(after)
        assert [value.name for value in after.graph.input] == ["x"]
        assert after.ir_version == least


@pytest.mark.parametrize(("written", "meant"), [("GreaterOrEqual", "Less"), ("LessOrEqual", "Greater")])
def test_comparisons_that_include_equality(written: str, meant: str) -> None:
    body = f"c = Floor(x) z = Constant<value_float = 0.0>() b = {written}(c, z) y = Cast<to = 1>(b)"
    after = prove_same(model(body, target="1,3,4,5"), lambda each: plain_comparisons(clean(each)))
    assert operators(after) == ["Floor", meant, "Not", "Cast"]


QUANTIZED = """
  s = Constant<value = float {0.05}>()    z = Constant<value = uint8 {ZERO}>()    a = QuantizeLinear(x, s, z)
  b = Transpose<perm = [0,2,3,1]>(a)    r = Constant<value = int64[2] {1, 60}>()    c = Reshape(b, r)
  y = DequantizeLinear(c, s, z)
"""


def test_steps_that_are_not_symmetric() -> None:
    """Values below the range, -1.5, are cut, too."""
    before = model(QUANTIZED.replace("ZERO", "30"))
    after = prove_same(before, lambda each: plain_quantization(clean(each)))
    assert operators(after) == ["Div", "Add", "Floor", "Clip", "Mul", "Transpose", "Reshape"]


def test_steps_of_an_old_opset_stay() -> None:
    """Before opset 11 the limits of a Clip are attributes."""
    for opset, first in ((10, "QuantizeLinear"), (11, "Div")):
        before = model(QUANTIZED.replace("ZERO", "30"), opset=opset)
        assert operators(plain_quantization(clean(before)))[0] == first


def test_symmetric_steps_stay() -> None:
    after = plain_quantization(clean(model(QUANTIZED.replace("ZERO", "0"))))
    assert operators(after) == ["QuantizeLinear", "Transpose", "Reshape", "DequantizeLinear"]


@pytest.mark.parametrize(
    ("value", "kept"), [("1, 1, 1, 1, 1", "Neg"), ("0, 0, 0, 0, 0", "Relu"), ("1, 0, 1, 0, 1", "Where")]
)
def test_a_choice_that_is_known(value: str, kept: str) -> None:
    body = f"c = Constant<value = bool[5] {{{value}}}>() n = Neg(x) r = Relu(x) y = Where(c, n, r)"
    assert operators(prove_same(model(body, target="1,3,4,5"), lambda given: fold(clean(given))))[-1] == kept


def test_a_choice_that_makes_its_result_larger_stays() -> None:
    body = """
      c = Constant<value = bool[2,1,1,1] {1, 1}>() w = Where(c, x, x) s = Constant<value = int64[2] {1, 120}>()
      y = Reshape(w, s)
    """
    assert operators(fold(clean(model(body, target="1,120")))) == ["Where", "Reshape"]


@pytest.mark.parametrize(("kind", "name"), [(2, "uint8"), (5, "int16"), (12, "uint32")])
def test_integers_that_tensorrt_lacks(kind: int, name: str) -> None:
    body = f"""
      a = Abs(x) c = Cast<to = {kind}>(a) k = Constant<value = {name}[1,3,4,1] {{1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}}>()
      j = Concat<axis = 3>(c, k) y = Cast<to = 1>(j)
    """
    after = prove_same(clean(model(body, target="1,3,4,6")), plain_integers)
    assert {tensor.data_type for tensor in after.graph.initializer} == {onnx.TensorProto.INT32}


def test_limits_that_are_computed() -> None:
    """One number for each picture, when there are several; ONNX's Clip takes one for all."""
    body = """
      low = Constant<value_float = -0.5>()    high = ReduceMax<keepdims = 0>(x)    least = Neg(high)
      a = Clip(x, low, high)    b = Clip(a, least)    s = Constant<value_ints = [1, 60]>()    y = Reshape(b, s)
    """
    after = prove_same(clean(model(body)), plain_clips)
    assert sorted(operators(after)) == ["Max", "Max", "Min", "Neg", "ReduceMax", "Reshape"]


def test_limits_that_are_fixed_stay() -> None:
    body = "l = Constant<value_float = -0.5>()  a = Clip(x, l)  s = Constant<value_ints = [1, 60]>()  y = Reshape(a, s)"
    assert operators(plain_clips(clean(model(body)))) == ["Clip", "Reshape"]
