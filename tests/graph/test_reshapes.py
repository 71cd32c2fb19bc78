"""One Reshape, or none, for every chain of nodes that only give memory another shape."""

from __future__ import annotations

import pytest

from convert.graph.cleanup import clean, merge_reshapes, moves_nothing
from tests.graph.proof import model, operators, prove_same


@pytest.mark.parametrize(
    ("body", "target", "left"),
    [
        ("s = Constant<value = int64[4] {1,3,4,5}>() a = Reshape(x, s) y = Relu(a)", "1,3,4,5", ["Relu"]),
        ("a = Relu(x) s = Constant<value = int64[4] {1,3,4,5}>() y = Reshape(a, s)", "1,3,4,5", ["Relu"]),
        ("z = Constant<value = int64[1] {0}>() a = Squeeze(x, z) b = Unsqueeze(a, z) y = Relu(b)", "1,3,4,5", ["Relu"]),
        ("z = Constant<value = int64[1] {4}>() a = Unsqueeze(x, z) y = Flatten<axis = 1>(a)", "1,60", ["Reshape"]),
        ("a = Flatten<axis = 2>(x) y = Flatten<axis = 0>(a)", "1,60", ["Reshape"]),
        ("a = GlobalMaxPool(x) y = Transpose<perm = [0,2,3,1]>(a)", "1,1,1,3", ["GlobalMaxPool", "Reshape"]),
        ("y = Transpose<perm = [0,2,3,1]>(x)", "1,4,5,3", ["Transpose"]),
    ],
)
def test_chains(body: str, target: str, left: list[str]) -> None:
    after = prove_same(model(body, target=target), lambda before: merge_reshapes(clean(before)))
    assert operators(after) == left


def test_a_chain_with_a_second_user_in_the_middle() -> None:
    body = """
      s = Constant<value = int64[2] {3, 20}>()    t = Constant<value = int64[2] {1, 60}>()
      rows = Reshape(x, s)    soft = Softmax(rows)    back = Reshape(rows, t)    other = Reshape(soft, t)
      y = Add(back, other)
    """
    after = prove_same(model(body), lambda before: merge_reshapes(clean(before)))
    assert sorted(operators(after)) == ["Add", "Reshape", "Reshape", "Reshape", "Softmax"]


def test_moves_nothing() -> None:
    assert moves_nothing([0, 2, 3, 1], (1, 1, 8, 8))
    assert moves_nothing([0, 2, 3, 1], (1, 8, 1, 1))
    assert not moves_nothing([0, 2, 3, 1], (1, 2, 1, 3))
