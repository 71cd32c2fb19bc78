"""Why a model gets no dynamic batch, the whole sentence; and what those that do get one are made of."""

from __future__ import annotations

import pytest

from convert.errors import TranslationError
from convert.graph.batch import dynamic_batch
from convert.graph.cleanup import clean, fold
from tests.graph.test_batch import model

SIXTY = ",".join("1" * 60)
TWELVE_ROWS = "s = Constant<value = int64[2] {12, 5}>() r = Reshape(x, s) "
FRONT = "cannot work on a batch in front of its input"
HINT = "Gst-nvinfer makes the batch of every model dynamic; export a model without this operation"


@pytest.mark.parametrize(
    ("body", "source", "target", "opset", "reason"),
    [
        ("p = Constant<value = int64[2] {1, 1}>() a = Constant<value = int64[1] {2}>() y = Pad(x, p, , a)", "1,3,4,5",
         "1,3,6,5", 18, "Pad (y) pads axes of its own choice, and pads axes of its own choice"),
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
        ("a = ReduceSum<keepdims = 0>(x) y = Neg(a)", "1,3,4,5", "", 13,
         "its output y does not hold one entry for each picture"),
        ("a = ReduceSum<keepdims = 0>(x) t = Constant<value = int64[1] {3}>() y = Expand(a, t)", "1,3,4,5", "3", 13,
         "Expand (y) takes a single number of each picture"),
        ("k = ArgMax<axis = 0, keepdims = 0>(x) y = Cast<to = 1>(k)", "1,3,4,5", "3,4,5", 13,
         "its output y does not hold one entry for each picture"),
        ("i = NonZero(x) y = Cast<to = 1>(i)", "1,3,4,5", "4,n", 13,
         "NonZero (i) makes a tensor whose size is only known when it runs"),
        ('y = Einsum<equation = "abcd->ad">(x)', "1,3,4,5", "1,5", 13,
         f"Einsum (y) may treat a batch differently from single pictures, and {FRONT}"),
        ("i = Constant<value = int64[1,1,1,1] {2}>() y = GatherElements<axis = 1>(x, i)", "1,3,4,5", "1,1,1,1", 13,
         f"GatherElements (y) picks from the picture by numbers that are not its own, and {FRONT}"),
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
        ("y = Pad<pads = [1, 0, 0, 0, 0, 0, 0, 0]>(x) ", "1,3,4,5", "2,3,4,5", 10, None),
    ],
)  # fmt: skip
def test_what_it_is_made_of(body: str, source: str, target: str, opset: int, operators: str | None) -> None:
    given = fold(clean(model(body, source, target, opset)))
    if operators is None:
        with pytest.raises(TranslationError, match="does not hold one entry for each picture"):
            dynamic_batch(given)
        return
    assert " ".join(node.op_type for node in dynamic_batch(given).graph.node) == operators
