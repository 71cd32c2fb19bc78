"""A batch of N gives what N batches of one give, whatever the graph does with its dimensions."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import pytest

from convert.errors import TranslationError
from convert.graph.batch import dynamic_batch
from convert.graph.cleanup import clean, fold, plain_resizes
from tests.graph.proof import numbers, onnxruntime

HEAD = '<ir_version: 7, opset_import: ["" : {opset}]>\nagraph (float[{input}] x) => (float[{output}] y)\n'


def model(body: str, source: str = "1,3,4,5", target: str = "1,60", opset: int = 13) -> onnx.ModelProto:
    head = HEAD.format(opset=opset, input=source, output=target)
    return onnx.parser.parse_model(head + "{ " + body + " }")


def prove(body: str, source: str = "1,3,4,5", target: str = "1,60", opset: int = 13) -> onnx.ModelProto:
    """Run `body` on single pictures, then on batches after the pass; returns the batched model."""
    single = model(body, source, target, opset)
    onnx.checker.check_model(single, full_check=True)
    shape = [int(size) for size in source.split(",")]
    pictures = np.random.default_rng(3).normal(size=(8, *shape[1:])).astype(np.float32)
    wanted = [onnxruntime(single.SerializeToString(), picture[np.newaxis])[0] for picture in pictures]
    batched = dynamic_batch(plain_resizes(fold(clean(single))))
    onnx.checker.check_model(batched, full_check=True)
    for size in (1, 2, 8):
        (found,) = onnxruntime(batched.SerializeToString(), pictures[:size])
        np.testing.assert_allclose(found, np.concatenate(wanted[:size]), rtol=1e-5, atol=1e-6)
    dims = batched.graph.output[0].type.tensor_type.shape.dim
    assert dims[0].dim_param == "N"
    assert [dim.dim_value for dim in dims[1:]] == list(wanted[0].shape[1:])
    assert len({row.tobytes() for row in wanted}) == len(wanted), "the same for every picture proves nothing"
    return batched


@pytest.mark.parametrize("target", ["1,60", "1,-1", "-1,60", "0,-1", "0,60"])
def test_reshape_targets(target: str) -> None:
    prove(f"s = Constant<value = int64[2] {{{target}}}>() y = Reshape(x, s)")


def test_reshape_that_puts_rows_into_the_batch() -> None:
    body = """
      a = Constant<value = int64[2] {12, 5}>()    b = Constant<value = int64[2] {1, 60}>()
      rows = Reshape(x, a)    bent = Softmax(rows)    y = Reshape(bent, b)
    """
    prove(body)


def test_reshape_to_rows_with_a_bias_for_each() -> None:
    bias = ", ".join(str(value / 8) for value in range(12))
    body = f"""
      a = Constant<value = int64[2] {{12, 5}}>()    b = Constant<value = int64[2] {{1, 60}}>()
      bias = Constant<value = float[12,1] {{{bias}}}>()
      rows = Reshape(x, a)    sum = Add(rows, bias)    y = Reshape(sum, b)
    """
    prove(body)


def test_rows_multiplied_from_the_left() -> None:
    weights = ", ".join(str(value % 7 - 3) for value in range(24))
    body = f"""
      a = Constant<value = int64[2] {{12, 5}}>()    b = Constant<value = int64[2] {{1, 10}}>()
      weights = Constant<value = float[2,12] {{{weights}}}>()
      rows = Reshape(x, a)    product = MatMul(weights, rows)    y = Reshape(product, b)
    """
    prove(body, target="1,10")


def test_a_row_that_a_dense_layer_adds_to_its_own() -> None:
    """tf2onnx gives Gemm such a row without its first dimension; ONNX's inference does not look at it."""
    weights = ", ".join(str(value % 7 - 3) for value in range(180))
    body = f"""
      a = Constant<value = int64[2] {{1, 60}}>()    b = Constant<value = int64[1] {{3}}>()
      weights = Constant<value = float[60,3] {{{weights}}}>()    row = Reshape(x, a)    first = MatMul(row, weights)
      bent = Tanh(first)    flat = Reshape(bent, b)    y = Gemm(row, weights, flat)
    """
    prove(body, target="1,3")


def test_shape_arithmetic() -> None:
    body = """
      shape = Shape(x)    zero = Constant<value = int64[1] {0}>()    batch = Gather(shape, zero)
      rest = Constant<value = int64[1] {60}>()    target = Concat<axis = 0>(batch, rest)    y = Reshape(x, target)
    """
    assert [node.op_type for node in prove(body).graph.node] == ["Reshape"]


@pytest.mark.parametrize("axis", [1, -3])
def test_flatten(axis: int) -> None:
    prove(f"y = Flatten<axis = {axis}>(x)")


def test_flatten_of_everything() -> None:
    prove("y = Flatten<axis = 0>(x)")


def test_squeeze_and_unsqueeze() -> None:
    body = """
      z = Constant<value = int64[1] {0}>()    bare = Squeeze(x, z)    bent = Tanh(bare)    y = Unsqueeze(bent, z)
    """
    prove(body, target="1,3,4,5")


def test_squeeze_of_every_dimension() -> None:
    body = """
      pooled = GlobalAveragePool(x)    bare = Squeeze(pooled)    bias = Constant<value = float[3] {1, 2, 3}>()
      sum = Add(bare, bias)    z = Constant<value = int64[1] {0}>()    y = Unsqueeze(sum, z)
    """
    prove(body, target="1,3")


def test_unsqueeze_in_front_and_pack() -> None:
    body = """
      z = Constant<value = int64[1] {0}>()    s = Constant<value = int64[2] {1, 60}>()
      t = Constant<value = int64[2] {1, 120}>()
      flat = Reshape(x, s)    other = Tanh(flat)    a = Unsqueeze(flat, z)    b = Unsqueeze(other, z)
      both = Concat<axis = 0>(a, b)    y = Reshape(both, t)
    """
    prove(body, target="1,120")


def test_unpack_of_a_pack() -> None:
    body = """
      i = Constant<value = int64 {1}>()    s = Constant<value = int64[2] {1, 60}>()
      flat = Reshape(x, s)    other = Tanh(flat)    both = Concat<axis = 0>(flat, other)
      one = Gather<axis = 0>(both, i)    y = Reshape(one, s)
    """
    prove(body)


def test_softmax_along_a_pack() -> None:
    body = """
      s = Constant<value = int64[2] {1, 60}>()    t = Constant<value = int64[2] {1, 120}>()
      flat = Reshape(x, s)    other = Tanh(flat)    both = Concat<axis = 0>(flat, other)
      bent = Softmax<axis = 0>(both)    y = Reshape(bent, t)
    """
    prove(body, target="1,120")


def test_expand() -> None:
    body = """
      s = Constant<value = int64[4] {1, 3, 4, 5}>()    pooled = GlobalMaxPool(x)    y = Expand(pooled, s)
    """
    prove(body, target="1,3,4,5")


@pytest.mark.parametrize("axis", [1, -1])
def test_concat_with_a_constant(axis: int) -> None:
    body = f"""
      c = Constant<value = float[1,2] {{0.25, -3}}>()    s = Constant<value = int64[2] {{1, 60}}>()
      flat = Reshape(x, s)    y = Concat<axis = {axis}>(c, flat, c)
    """
    prove(body, target="1,64")


def test_concat_with_a_constant_along_the_batch() -> None:
    body = """
      c = Constant<value = float[2,5] {1,2,3,4,5,6,7,8,9,10}>()    s = Constant<value = int64[2] {12, 5}>()
      t = Constant<value = int64[2] {1, 70}>()
      rows = Reshape(x, s)    all = Concat<axis = 0>(rows, c)    y = Reshape(all, t)
    """
    prove(body, target="1,70")


def test_means() -> None:
    body = """
      mean = ReduceMean<axes = [2, 3], keepdims = 0>(x)    s = Constant<value = int64[2] {1, 3}>()
      y = Reshape(mean, s)
    """
    prove(body, target="1,3")
    prove("y = ReduceMean<axes = [0, 2, 3], keepdims = 1>(x)", target="1,3,1,1")
    body = """
      m = ReduceMean<axes = [0, 2, 3], keepdims = 0>(x)    s = Constant<value = int64[2] {1, 3}>() y = Reshape(m, s)
    """
    prove(body, target="1,3")


def test_sum_with_axes_as_input() -> None:
    body = """
      a = Constant<value = int64[2] {-1, 2}>()    y = ReduceSum<keepdims = 0>(x, a)
    """
    prove(body, target="1,3")


def test_pad() -> None:
    prove("p = Constant<value = int64[8] {0,0,1,1, 0,1,0,2}>() y = Pad(x, p)", target="1,4,5,8")


def test_numbers_that_each_picture_picks_by() -> None:
    """The largest of each column, in order."""
    body = """
      k = Constant<value = int64[1] {2}>()    values, order = TopK<axis = 2>(x, k)
      y = GatherElements<axis = 2>(x, order)
    """
    prove(body, target="1,3,2,5")
    for axis in (0, -4):
        body = f"""
          k = Constant<value = int64[1] {{1}}>()    zero = Constant<value = int64[1] {{0}}>()
          values, order = TopK<axis = 1>(x, k)    none = Mul(order, zero)
          y = GatherElements<axis = {axis}>(x, none)
        """
        prove(body, target="1,1,4,5")
    body = """
      i = Constant<value = int64[1,1,1,1] {2}>()    y = GatherElements<axis = 1>(x, i)
    """
    with pytest.raises(TranslationError, match="GatherElements"):
        prove(body, target="1,1,1,1")


@pytest.mark.parametrize(
    ("body", "target"),
    [
        ("t = Constant<value=int64[2] {1,1}>() y = Reshape(s, t)", "1,1"),
        ("d = Sub(x, s) e = Exp(s) y = Mul(d, e)", "1,3,4,5"),
        ("h = Constant<value=float {0.5}>() g = Greater(s, h) n = Neg(x) y = Where(g, x, n)", "1,3,4,5"),
        (
            "c = Constant<value=float[2] {1,2}>() r = Mul(c, s) t = Constant<value=int64[2] {1,2}>() y = Reshape(r, t)",
            "1,2",
        ),
    ],
)
def test_a_single_number_of_each_picture(body: str, target: str) -> None:
    prove(f"s = ReduceMean<keepdims = 0>(x) {body}", target=target)


def test_a_single_number_in_codes() -> None:
    steps = "q = Constant<value = float {0.02}>() z = Constant<value = int8 {0}>()"
    codes = "c = QuantizeLinear(s, q, z) d = DequantizeLinear(c, q, z) y = Add(x, d)"
    prove(f"s = ReduceMean<keepdims = 0>(x) {steps} {codes}", target="1,3,4,5")


def test_tile() -> None:
    prove("r = Constant<value = int64[4] {1,2,1,3}>() y = Tile(x, r)", target="1,6,4,15")
    body = """
      r = Constant<value = int64[4] {2,1,1,1}>()    s = Constant<value = int64[2] {1, 120}>()
      twice = Tile(x, r)    y = Reshape(twice, s)
    """
    prove(body, target="1,120")


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ("0,1", "1,3", "0,1", "1,1"),
        ("0,1", "9223372036854775807,3", "0,1", "1,1"),
        ("-1,-2", "1,9", "0,-3", "1,1"),
        ("0,1", "1,3", "-4,1", "1,1"),
    ],
)
def test_slices_of_the_whole_batch(starts: str, ends: str, axes: str, steps: str) -> None:
    lists = [
        f"{name} = Constant<value = int64[2] {{{values}}}>()"
        for name, values in zip("abcd", (starts, ends, axes, steps), strict=True)
    ]
    batched = prove(" ".join(lists) + " y = Slice(x, a, b, c, d)", target="1,2,4,5")
    assert [node.op_type for node in batched.graph.node] == ["Slice"]


def test_slice_of_rows() -> None:
    body = """
      s = Constant<value = int64[2] {12, 5}>()    t = Constant<value = int64[2] {1, 15}>()
      a = Constant<value = int64[1] {2}>()    b = Constant<value = int64[1] {5}>()
      c = Constant<value = int64[1] {0}>()
      rows = Reshape(x, s)    some = Slice(rows, a, b, c)    y = Reshape(some, t)
    """
    prove(body, target="1,15")


THREE_ROWS = """
  s = Constant<value = int64[2] {3, 20}>()    r = Reshape(x, s)    c = Constant<value = int64[1] {1}>()
  d = Constant<value = int64[1] {3}>()
"""


def test_slice_at_opset_10() -> None:
    body = """
      a = Constant<value = int64[2] {0, 1}>()    b = Constant<value = int64[2] {1, 3}>()
      y = Slice(x, a, b)
    """
    assert [node.op_type for node in prove(body, target="1,2,4,5", opset=10).graph.node] == ["Slice"]
    prove(f"{THREE_ROWS} p = Slice(r, c, d) t = Constant<value = int64[2] {{1, 40}}>() y = Reshape(p, t)",
          target="1,40", opset=10)  # fmt: skip


def test_slice_before_opset_10() -> None:
    prove("y = Slice<starts = [0, 1], ends = [1, 3], axes = [0, 1]>(x)", target="1,2,4,5", opset=9)


def test_split() -> None:
    body = "a, b = Split<axis = 1>(x) y = Concat<axis = 1>(b, a)"
    prove(body, source="1,4,4,5", target="1,4,4,5")


def test_softmax_before_opset_13_takes_everything_behind() -> None:
    prove("y = Softmax<axis = 1>(x)", target="1,3,4,5", opset=12)


def test_softmax_of_everything_before_opset_13() -> None:
    body = """
      s = Constant<value = int64[2] {12, 5}>()    t = Constant<value = int64[2] {1, 60}>()
      rows = Reshape(x, s)    columns = Transpose<perm = [1, 0]>(rows)    bent = Softmax<axis = 0>(columns)
      y = Reshape(bent, t)
    """
    prove(body, opset=12)


def test_rows_become_columns() -> None:
    body = """
      s = Constant<value = int64[2] {12, 5}>()    t = Constant<value = int64[2] {1, 60}>()
      rows = Reshape(x, s)    columns = Transpose<perm = [1, 0]>(rows)    y = Reshape(columns, t)
    """
    prove(body)


def test_a_squeezed_batch_beside_more_dimensions() -> None:
    body = f"""
      s = Constant<value = int64[1] {{60}}>()    t = Constant<value = int64[2] {{1, 180}}>()
      c = Constant<value = float[3,60] {{{numbers(180)}}}>()    flat = Reshape(x, s)    sum = Add(flat, c)
      y = Reshape(sum, t)
    """
    prove(body, target="1,180")


def test_gather() -> None:
    body = "i = Constant<value = int64[2] {2, 0}>() y = Gather<axis = 1>(x, i)"
    prove(body, target="1,2,4,5")


def test_a_table_read_by_the_picture() -> None:
    body = f"""
      table = Constant<value = float[3,7] {{{numbers(21)}}}>()    highest = ArgMax<axis = 1, keepdims = 0>(x)
      y = Gather(table, highest)
    """
    prove(body, target="1,4,5,7")


def test_transposes_carry_the_batch_along() -> None:
    body = """
      s = Constant<value = int64[2] {1, 60}>()    last = Transpose<perm = [1, 2, 3, 0]>(x)    y = Reshape(last, s)
    """
    prove(body)


def test_space_to_batch_and_back() -> None:
    """A dilated convolution as tf2onnx writes TFLite's SPACE_TO_BATCH_ND: the batch among the channels."""
    weights = ", ".join(f"{value % 5 - 2}" for value in range(27))
    body = f"""
      w = Constant<value = float[3,3,3,1] {{{weights}}}>()
      a = Transpose<perm = [1,0,2,3]>(x)    b = SpaceToDepth<blocksize = 2>(a)    c = Transpose<perm = [1,0,2,3]>(b)
      d = Conv<pads = [1, 0, 1, 0]>(c, w)
      e = Transpose<perm = [1,0,2,3]>(d)    f = DepthToSpace<blocksize = 2>(e)    y = Transpose<perm = [1,0,2,3]>(f)
    """
    prove(body, source="1,3,4,6", target="1,3,4,6")


def test_attention() -> None:
    body = """
      s = Constant<value = int64[3] {1, 12, 5}>()    rows = Reshape(x, s)    back = Transpose<perm = [0, 2, 1]>(rows)
      scores = MatMul(rows, back)    bent = Softmax(scores)    y = MatMul(bent, rows)
    """
    prove(body, target="1,12,5")


@pytest.mark.parametrize("coordinates", ["asymmetric", "tf_half_pixel_for_nn", "half_pixel"])
def test_resize_to_sizes(coordinates: str) -> None:
    body = f"""
      sizes = Constant<value = int64[4] {{1, 3, 8, 10}}>()
      y = Resize<mode = "nearest", nearest_mode = "floor", coordinate_transformation_mode = "{coordinates}">
          (x, , , sizes)
    """
    prove(body, target="1,3,8,10")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("c = Constant<value = float[1,60] {" + ",".join("1" * 60) + "}>() y = Identity(c)", "does not hold one entry"),
        ('y = Einsum<equation = "abcd->ad">(x)', "treat a batch differently"),
        (
            """s = Constant<value=int64[2] {12,5}>() r = Reshape(x, s) w = Constant<value=float[5,1] {1,2,3,4,5}>()
               b = Constant<value=float[12,1] {1,2,3,4,5,6,7,8,9,10,11,12}>() g = Gemm(r, w, b)
               t = Constant<value=int64[2] {1,12}>() y = Reshape(g, t)""",
            "adds something else to each row",
        ),
        (
            "i = ArgMax<axis = 1, keepdims = 0>(x) f = Cast<to = 7>(i) y = Gather<axis = 1>(x, f)",
            "picks from the picture by the picture, and takes something else",
        ),
        (
            "c = Constant<value=float[1,3,4,5] {" + ",".join("1" * 60) + "}>() y = Conv(c, x)",
            "first input from elsewhere than the picture, and takes something else",
        ),
        ("i = NonZero(x) f = Cast<to = 1>(i) y = ReduceSum(f)", "only known when it runs"),
        ("s = Constant<value=int64[2] {60,1}>() y = Reshape(x, s)", "does not hold one entry"),
    ],
)
def test_what_cannot_have_a_batch_says_why(body: str, reason: str) -> None:
    with pytest.raises(TranslationError, match=reason) as caught:
        dynamic_batch(fold(clean(model(body))))
    assert caught.value.hint
