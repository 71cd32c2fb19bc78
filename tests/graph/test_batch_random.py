"""Random graphs: whatever comes out of the pass computes for a batch what it computed for each picture."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from convert.graph.batch import dynamic_batch
from convert.graph.cleanup import clean, fold, merge_reshapes, remove_transposes
from tests.examples import examples
from tests.graph.proof import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable


class Chain:
    """A graph that grows by one operator at a time; shapes are those at batch 1."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.name = "x"
        self.shape: tuple[int, ...] = (1, 3, 4, 5)
        self.random = np.random.default_rng(0)

    def constant(self, value: Any, dtype: type = np.int64) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def numbers(self, *shape: int) -> str:
        return self.constant(self.random.normal(size=shape), np.float32)

    def add(self, operator: str, inputs: list[str], shape: tuple[int, ...], **attributes: Any) -> None:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        self.name, self.shape = name, shape

    def build(self) -> onnx.ModelProto:
        self.add("Reshape", [self.name, self.constant([1, prod(self.shape)])], (1, prod(self.shape)))
        source = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 5])
        target = helper.make_tensor_value_info(self.name, TensorProto.FLOAT, list(self.shape))
        graph = helper.make_graph(self.nodes, "g", [source], [target], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def reshape(chain: Chain, draw: Any) -> None:
    sizes = [2, 2, 3, 5, *([] if prod(chain.shape) == 60 else [prod(chain.shape) // 60])]
    if prod(sizes) != prod(chain.shape):
        sizes = [prod(chain.shape)]
    target: list[int] = []
    for size in draw(st.permutations(sizes)):
        if target and draw(st.booleans()):
            target[-1] *= size
        else:
            target.append(size)
    for _ in range(draw(st.integers(0, 2))):
        target.insert(draw(st.integers(0, len(target))), 1)
    chain.add("Reshape", [chain.name, chain.constant(target)], tuple(target))


def transpose(chain: Chain, draw: Any) -> None:
    perm = draw(st.permutations(range(len(chain.shape))))
    chain.add("Transpose", [chain.name], tuple(chain.shape[axis] for axis in perm), perm=perm)


def softmax(chain: Chain, draw: Any) -> None:
    chain.add("Softmax", [chain.name], chain.shape, axis=axis_of(chain, draw))


def add_constant(chain: Chain, draw: Any) -> None:
    kept = chain.shape[draw(st.integers(0, len(chain.shape))) :]
    shape = [size if draw(st.booleans()) else 1 for size in kept]
    chain.add("Add", [chain.name, chain.numbers(*shape)], chain.shape)


def add_itself(chain: Chain, draw: Any) -> None:
    before, shape = chain.name, chain.shape
    draw(st.sampled_from((softmax, tanh)))(chain, draw)
    chain.add("Mul", [before, chain.name], shape)


def tanh(chain: Chain, _draw: Any) -> None:
    chain.add("Tanh", [chain.name], chain.shape)


def matmul(chain: Chain, draw: Any) -> None:
    if len(chain.shape) < 2:
        return
    if draw(st.booleans()):
        chain.add("MatMul", [chain.name, chain.numbers(chain.shape[-1], 5)], (*chain.shape[:-1], 5))
    else:
        shape = (*chain.shape[:-2], 3, chain.shape[-1])
        chain.add("MatMul", [chain.numbers(3, chain.shape[-2]), chain.name], shape)


def reduce(chain: Chain, draw: Any) -> None:
    axis, keep = axis_of(chain, draw), draw(st.booleans())
    if len(chain.shape) > 1 and prod(chain.shape) // chain.shape[axis] > 4:
        shape = (*chain.shape[:axis], *([1] if keep else []), *chain.shape[axis + 1 :])
        chain.add("ReduceMean", [chain.name], shape, axes=[axis], keepdims=int(keep))


def concat(chain: Chain, draw: Any) -> None:
    axis = axis_of(chain, draw)
    others = list(chain.shape)
    others[axis] = draw(st.integers(1, 2))
    other = chain.numbers(*others) if draw(st.booleans()) else chain.name
    extra = others[axis] if other != chain.name else chain.shape[axis]
    shape = (*chain.shape[:axis], chain.shape[axis] + extra, *chain.shape[axis + 1 :])
    if prod(shape) < 1000:
        chain.add("Concat", draw(st.permutations([chain.name, other])), shape, axis=axis)


def cut(chain: Chain, draw: Any) -> None:
    axis = axis_of(chain, draw)
    start = draw(st.integers(0, chain.shape[axis] - 1))
    end = draw(st.integers(start + 1, chain.shape[axis]))
    shape = (*chain.shape[:axis], end - start, *chain.shape[axis + 1 :])
    if prod(shape) > 4:
        chain.add("Slice", [chain.name, *(chain.constant([value]) for value in (start, end, axis))], shape)


def pick(chain: Chain, draw: Any) -> None:
    axis = axis_of(chain, draw)
    shape = (*chain.shape[:axis], *chain.shape[axis + 1 :])
    if prod(shape) > 4:
        index = chain.constant(draw(st.integers(0, chain.shape[axis] - 1)))
        chain.add("Gather", [chain.name, index], shape, axis=axis)


def axis_of(chain: Chain, draw: Any) -> int:
    return int(draw(st.integers(0, len(chain.shape) - 1)))


STEPS: tuple[Callable[[Chain, Any], None], ...] = (
    reshape,
    reshape,
    transpose,
    softmax,
    add_constant,
    add_itself,
    matmul,
    reduce,
    concat,
    cut,
    pick,
)


@st.composite
def models(draw: Any) -> onnx.ModelProto:
    chain = Chain()
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=7)):
        step(chain, draw)
    return chain.build()


@examples(60)
@given(models())
def test_random_graphs(single: onnx.ModelProto) -> None:
    onnx.checker.check_model(single, full_check=True)
    pictures = np.random.default_rng(1).normal(size=(3, 3, 4, 5)).astype(np.float32)
    wanted = [onnxruntime(single.SerializeToString(), picture[np.newaxis])[0] for picture in pictures]
    batched = dynamic_batch(remove_transposes(merge_reshapes(fold(clean(single)))))
    onnx.checker.check_model(batched, full_check=True)
    (found,) = onnxruntime(batched.SerializeToString(), pictures)
    np.testing.assert_allclose(found, np.concatenate(wanted), rtol=1e-3, atol=1e-4)
