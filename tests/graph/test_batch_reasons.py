"""Why a model gets no dynamic batch, the whole sentence; and what those that do get one are made of."""

from __future__ import annotations

import numpy as np
import pytest

from convert.errors import TranslationError
from convert.graph.batch import dynamic_batch
from convert.graph.cleanup import clean, fold
from tests.graph.proof import onnxruntime
from tests.graph.test_batch import model

SIXTY = ",".join("1" * 60)
TURNED = "t = Transpose<perm = [2, 1, 3, 0]>(x)"  # the batch is last
ROW = "s = Constant<value = int64[2] {1, 60}>() y = Reshape(r, s)"
IN_FRONT = "Transpose Reshape Transpose {} Reshape Reshape"
TWELVE_ROWS = "s = Constant<value = int64[2] {12, 5}>() r = Reshape(x, s) "
THREE = "s = Constant<value = int64[4] {3, 1, 4, 5}>() r = Reshape(x, s)"
FIVE = "t = Constant<value = int64[4] {1, 5, 4, 5}>() y = Reshape(q, t)"
FOUR_COLUMNS = (
    f"c = Constant<value = float[5,4] {{{','.join('1' * 20)}}}>() a = ReduceMax<axes = [1, 2], keepdims = 0>(x) "
    "i = Constant<value = int64[4] {0, 0, 0, 0}>() w = Gather<axis = 1>(a, i)"
)
ELSE = "takes something else than values from the picture"
FRONT = "cannot work on a batch in front of its input"
HINT = "Gst-nvinfer makes the batch of every model dynamic; export a model without this operation"


@pytest.mark.parametrize(
    ("body", "source", "target", "opset", "reason"),
    [
        ("p = Constant<value = int64[2] {1, 1}>() a = Constant<value = int64[1] {2}>() y = Pad(x, p, , a)", "1,3,4,5",
         "1,3,6,5", 18, "Pad (y) pads axes of its own choice, and pads axes of its own choice"),
        (f"{TURNED.replace('2, 1, 3, 0', '2, 1, 0, 3')} y, i = MaxPool<kernel_shape = [1, 1]>(t)", "1,3,4,5", "4,3,1,5",
         13, "MaxPool (y) does not have the batch first, and cannot work on more pictures"),
        ("y = Conv(x, x)", "1,3,4,5", "1,1,1,1", 13,
         "Conv (y) takes weights that depend on the picture, and takes something else than values from the picture"),
        ('s = Constant<value = int64[4] {1, 3, 7, 9}>() y = Resize<mode = "nearest">(x, , , s)', "1,3,4,5", "1,3,7,9",
         13, f"Resize (y) resizes to a size that is no multiple of the old one, and {FRONT}"),
        ("c = Constant<value = float[5] {1, 2, 3, 4, 5}>() y = MatMul(x, c)", "1,3,4,5", "1,3,4", 13,
         "MatMul (y) multiplies single rows, and multiplies single rows"),
        (f"c = Constant<value = float[1,3,4,5] {{{SIXTY}}}>() y = Concat<axis = 1>(x, c)", "1,3,4,5", "1,6,4,5", 9,
         "Concat (y) joins a constant to the batch, and joins a constant to the batch"),
        ("r = RandomUniform<shape = [1, 3, 4, 5]>() y = Concat<axis = 1>(x, r)", "1,3,4,5", "1,6,4,5", 13,
         "Concat (y) joins what is not constant to the batch, and joins what is not constant to the batch"),
        ("r = RandomUniform<shape = [1, 3, 4, 5]>() y = Concat<axis = 0>(x, r)", "1,3,4,5", "2,3,4,5", 13,
         "Concat (y) joins along the batch, and joins what is not constant to the batch"),
        (f"{TWELVE_ROWS} y = Gemm<transA = 1>(r, r)", "1,3,4,5", "5,5", 13,
         f"Gemm (y) multiplies along the batch, and {FRONT}"),
        (f"{TWELVE_ROWS} w = Constant<value = float[12,2] {{{','.join('1' * 24)}}}>() y = Gemm<transA = 1>(r, w)",
         "1,3,4,5", "5,2", 13, f"Gemm (y) multiplies along the batch, and {FRONT}"),
        ("a = ReduceSum<keepdims = 0>(x) y = Neg(a)", "1,3,4,5", "", 13,
         "its output y does not hold one entry for each picture"),
        ("a = ReduceSum<keepdims = 0>(x) t = Constant<value = int64[1] {3}>() y = Expand(a, t)", "1,3,4,5", "3", 13,
         "Expand (y) takes a single number of each picture"),
        ("k = ArgMax<axis = 0, keepdims = 0>(x) y = Cast<to = 1>(k)", "1,3,4,5", "3,4,5", 13,
         "its output y does not hold one entry for each picture"),
        (f"c = Constant<value = float[1,3,4,5] {{{SIXTY}}}>() y = Conv(c, x)", "1,3,4,5", "1,1,1,1", 13,
         f"Conv (y) takes its first input from elsewhere than the picture, and {ELSE}"),
        ("i = NonZero(x) y = Cast<to = 1>(i)", "1,3,4,5", "4,n", 13,
         "NonZero (i) makes a tensor whose size is only known when it runs"),
        ('y = Einsum<equation = "abcd->ad">(x)', "1,3,4,5", "1,5", 13,
         f"Einsum (y) may treat a batch differently from single pictures, and {FRONT}"),
        ("i = Constant<value = int64[1,1,1,1] {2}>() y = GatherElements<axis = 1>(x, i)", "1,3,4,5", "1,1,1,1", 13,
         f"GatherElements (y) picks from the picture by numbers that are not its own, and {FRONT}"),
        ("r = RandomUniform<shape = [1]>() n = Cast<to = 7>(r) y = CumSum(x, n)", "1,3,4,5", "1,3,4,5", 13,
         "CumSum (y) has an input that should be constant, and has an input that should be constant"),
        ("i = ArgMax<axis = 1, keepdims = 0>(x) y = Gather<axis = 1>(x, i)", "1,3,4,5", "1,1,4,5,4,5", 13,
         f"Gather (y) picks from the picture by the picture, and {ELSE}"),
        ("y = LayerNormalization<axis = 1>(x, x)", "1,3,4,5", "1,3,4,5", 17,
         f"LayerNormalization (y) takes more than the picture's values from the picture, and {ELSE}"),
        (f"{TWELVE_ROWS} {FOUR_COLUMNS} y = Gemm(r, c, w)", "1,3,4,5", "12,4", 13,
         f"Gemm (y) adds something of other rows to each row, and {FRONT}"),
    ],
)  # fmt: skip
def test_refusals(body: str, source: str, target: str, opset: int, reason: str) -> None:
    with pytest.raises(TranslationError) as caught:
        dynamic_batch(fold(clean(model(body, source, target, opset))))
    assert (caught.value.message, caught.value.hint) == (
        f"the model cannot be given a dynamic batch: {reason}", HINT,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "source", "target", "opset", "operators"),
    [
        ("t = Transpose<perm = [1, 0, 2, 3]>(x) y = Concat<axis = 2>(x, t)", "1,1,4,5", "1,1,8,5", 13, "Concat"),
        ("i = Constant<value = int64[1] {0}>() g = Gather<axis = 0>(x, i) y = Relu(g)", "1,3,4,5", "1,3,4,5", 13,
         "Reshape Gather Reshape Relu"),
        ("y = Softmax<axis = 0>(x)", "1,3,4,5", "1,3,4,5", 13, "Reshape Softmax Reshape"),
        ("y = Softmax<axis = 1>(x)", "1,3,4,5", "1,3,4,5", 13, "Softmax"),
        ("k = Constant<value = int64[1] {1}>() v, i = TopK<axis = 0>(x, k) y = Identity(v)", "1,3,4,5", "1,3,4,5", 13,
         "Reshape TopK Reshape"),
        ("y = ReduceMean<axes = [0]>(x)", "1,3,4,5", "1,3,4,5", 13, "Reshape ReduceMean Reshape"),
        ("n = Constant<value = int64 {0}>() y = CumSum(x, n)", "1,3,4,5", "1,3,4,5", 13, "Reshape CumSum Reshape"),
        ("n = Constant<value = int64 {-1}>() y = CumSum(x, n)", "1,3,4,5", "1,3,4,5", 13, "CumSum"),
        ("y = LRN<size = 3>(x)", "1,3,4,5", "1,3,4,5", 13, "LRN"),
        ("y = Pad<pads = [0, 0, 1, 0, 0, 0, 0, 2]>(x)", "1,3,4,5", "1,3,5,7", 10, "Pad"),
        ("y = Softmax(x)", "1,3,4,5", "1,3,4,5", 11, "Softmax"),
        ("y = Softmax<axis = 0>(x)", "1,3,4,5", "1,3,4,5", 12, "Reshape Softmax Reshape"),
        ("y = Softmax(x)", "1,3,4,5", "1,3,4,5", 13, "Softmax"),
        ("a = ArgMax(x) y = Cast<to = 1>(a)", "1,3,4,5", "1,3,4,5", 13, "Reshape ArgMax Reshape Cast"),
        ("c = Constant<value = float[5] {1, 2, 3, 4, 5}>() y = LayerNormalization(x, c)", "1,3,4,5", "1,3,4,5", 17,
         "LayerNormalization"),
        (f"c = Constant<value = float[1,3,4,5] {{{SIXTY}}}>() y = LayerNormalization<axis = 0>(x, c)", "1,3,4,5",
         "1,3,4,5", 17, "Reshape LayerNormalization Reshape"),
        ("k = Constant<value = int64[1] {1}>() v, i = TopK(x, k) y = Identity(v)", "1,3,4,5", "1,3,4,1", 13, "TopK"),
        ("e = Constant<value = int64[0] {}>() y = ReduceSum<noop_with_empty_axes = 1>(x, e)", "1,3,4,5", "1,3,4,5", 13,
         "ReduceSum"),
        ("e = Constant<value = int64[0] {}>() y = ReduceSum(x, e)", "1,3,4,5", "1,1,1,1", 13,
         "Reshape ReduceSum Reshape"),
        ("a = Constant<value = int64[1] {0}>() y = ReduceMean(x, a)", "1,3,4,5", "1,3,4,5", 18,
         "Reshape ReduceMean Reshape"),
        (f"{THREE} p = Constant<value = int64[8] {{1,0,0,0,1,0,0,0}}>() q = Pad(r, p) {FIVE}", "1,3,4,5", "1,5,4,5", 13,
         "Reshape Reshape Pad Reshape Reshape"),
        (f"{THREE} q = Pad<pads = [1, 0, 0, 0, 1, 0, 0, 0]>(r) {FIVE}", "1,3,4,5", "1,5,4,5", 10,
         "Reshape Reshape Pad Reshape Reshape"),
        (f"{THREE} n = Constant<value = int64[4] {{2,1,1,1}}>() q = Tile(r, n) {FIVE.replace('5', '6', 1)}", "1,3,4,5",
         "1,6,4,5", 13, "Reshape Reshape Tile Reshape Reshape"),
        (f"{THREE} n = Constant<value = int64[4] {{3,2,4,5}}>() q = Expand(r, n) {FIVE.replace('5', '6', 1)}",
         "1,3,4,5", "1,6,4,5", 13, "Reshape Reshape Expand Reshape Reshape"),
        ("y = Pad<pads = [1, 0, 0, 0, 0, 0, 0, 0]>(x) ", "1,3,4,5", "2,3,4,5", 10, None),
        # without `axis`: the first one
        ("a = ArgMin(x) y = Cast<to = 1>(a)", "1,3,4,5", "1,3,4,5", 13, "Reshape ArgMin Reshape Cast"),
        ("i = Constant<value = int64[1] {0}>() y = Gather(x, i)", "1,3,4,5", "1,3,4,5", 13, "Reshape Gather Reshape"),
        ("q = Concat<axis = 0>(x, x) r, s = Split(q) y = Add(r, s)", "1,3,4,5", "1,3,4,5", 13,
         "Reshape Concat Reshape Reshape Split Reshape Reshape Add"),
        ("k = ArgMax(x) y = GatherElements(x, k)", "1,3,4,5", "1,3,4,5", 13,
         "Reshape Reshape ArgMax Reshape Reshape GatherElements Reshape"),
        # the last one
        *((f"{TURNED} r = {kind}(t) {ROW}", "1,3,4,5", "1,60", 13, IN_FRONT.format(kind))
          for kind in ("Hardmax", "LogSoftmax", "LpNormalization", "Softmax")),
        (f"{TURNED} k = Constant<value = int64[1] {{1}}>() r, i = TopK(t, k) {ROW}", "1,3,4,5", "1,60", 13,
         IN_FRONT.format("TopK")),
        (f"{TURNED} c = Constant<value = float[1] {{1}}>() r = LayerNormalization(t, c) {ROW}", "1,3,4,5", "1,60", 17,
         IN_FRONT.format("LayerNormalization")),
    ],
)  # fmt: skip
def test_what_it_is_made_of(body: str, source: str, target: str, opset: int, operators: str | None) -> None:
    given = fold(clean(model(body, source, target, opset)))
    if operators is None:
        with pytest.raises(TranslationError, match="does not hold one entry for each picture"):
            dynamic_batch(given)
        return
    before = given.SerializeToString()  # a pass may change what it is given
    made = dynamic_batch(given)
    assert " ".join(node.op_type for node in made.graph.node) == operators
    pictures = np.random.default_rng(0).normal(size=(3, *map(int, source.split(",")[1:]))).astype(np.float32)
    alone = [onnxruntime(before, each[np.newaxis])[0] for each in pictures]
    (together,) = onnxruntime(made.SerializeToString(), pictures)
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-5, atol=1e-5)
