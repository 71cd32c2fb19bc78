"""Takes out the Transposes that can go, once the input is NCHW.

TFLite is NHWC throughout; tf2onnx turns each convolution round and pushes the Transposes out of the way. What it leaves
is mostly the one before the classifier's dense layers, which reads pixels in NHWC order. Only rewrites that are equal
for every input are made here:

- Transposes move down until they meet (`convert.graph.transposes`); two in a row are one, or none;
- Transposes with a Reshape between them that together move nothing are a Reshape;
- Transpose, Reshape to rows, dense layer: permute the layer's weights instead;
- the same with dense layers for each pixel in between (Edge Impulse's transfer learning head): these are 1x1
  convolutions.

Transposes that move only dimensions of size 1 are Reshapes (`convert.graph.cleanup`).

Moves Transposes towards the outputs, where they meet their inverse.

tf2onnx does that too, but stops at operators it does not list (HardSwish) and at means over pixels that come before
other work. Both are equal for every input: a Transpose commutes with what works value by value, and a reduction over
moved axes is a reduction over where they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.graph.cleanup import merge_reshapes, moves_nothing, perm_of
from convert.graph.graph import POINTWISE, REDUCTIONS, GraphEditor, Shapes, attribute, infer, set_attribute

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto


__all__ = ["push_transposes_down", "remove_transposes", "transposes"]


def push_transposes_down(model: ModelProto) -> bool:
    """Move every Transpose as far down as it goes; whether anything moved."""
    wiring = GraphEditor(model)
    shapes = infer(wiring)
    changed = False
    for node in wiring.nodes():
        if node.op_type in POINTWISE:
            changed |= _past_pointwise(wiring, shapes, node)
        elif node.op_type in REDUCTIONS:
            changed |= _past_reduction(wiring, shapes, node)
    if changed:
        wiring.store()
    return changed


def _past_pointwise(wiring: GraphEditor, shapes: Shapes, node: NodeProto) -> bool:
    """f(T(a), T(b), c) = T(f(a, b, T'(c))), where turning c back costs nothing and nobody else needs T(a)."""
    if any(name and name not in shapes for name in [*node.input, *node.output]):
        return False
    rank = len(shapes[node.output[0]])
    turned = {name: source for name in node.input if (source := _turned(wiring, shapes, node, name, rank))}
    perms = {tuple(perm) for _, perm in turned.values()}
    if len(perms) != 1:
        return False
    (perm,) = map(list, perms)
    back = [perm.index(axis) for axis in range(rank)]
    others = [name for name in dict.fromkeys(node.input) if name and name not in turned]
    if not all(_is_free(wiring, shapes, name, back) for name in others):
        return False
    names = {name: source for name, (source, _) in turned.items()}
    names |= {name: _turn_back(wiring, shapes, name, back) for name in others}
    again = wiring.add_like(node, [names.get(name, "") for name in node.input])
    shapes.add(again)
    wiring.remove(node)
    shapes.add(wiring.add("Transpose", again.output, node.output[0], perm=perm))
    return True


def _turned(wiring: GraphEditor, shapes: Shapes, node: NodeProto, name: str, rank: int) -> tuple[str, list[int]] | None:
    """What a Transpose that only `node` takes turns, and how."""
    maker = wiring.producer(name)
    if maker is None or maker.op_type != "Transpose" or wiring.only_consumer(name) is not node:
        return None
    return (maker.input[0], perm_of(maker, rank)) if len(shapes[name]) == rank else None


def _is_free(wiring: GraphEditor, shapes: Shapes, name: str, back: list[int]) -> bool:
    shape = shapes[name]
    wide = (*[1] * (len(back) - len(shape)), *shape)
    return wiring.constant(name) is not None or moves_nothing(back, wide)


def _turn_back(wiring: GraphEditor, shapes: Shapes, name: str, back: list[int]) -> str:
    """`name` transposed by `back`, without a Transpose."""
    shape = shapes[name]
    if prod(shape) == 1:
        return name
    wide = (*[1] * (len(back) - len(shape)), *shape)
    value = wiring.constant(name)
    if value is not None:
        return wiring.add_constant(np.ascontiguousarray(value.reshape(wide).transpose(back)))
    target = wiring.add_constant(np.array([wide[axis] for axis in back], np.int64))
    node = wiring.add("Reshape", [name, target])
    shapes.add(node)
    return str(node.output[0])


def _past_reduction(wiring: GraphEditor, shapes: Shapes, node: NodeProto) -> bool:
    """Reduce where the axes were before the Transpose, if what is left then stands in the right order."""
    maker = wiring.producer(node.input[0])
    if maker is None or maker.op_type != "Transpose" or maker.input[0] not in shapes:
        return False
    shape = shapes[maker.input[0]]
    perm = perm_of(maker, len(shape))
    constant = wiring.constant(node.input[1]) if len(node.input) > 1 else None
    axes = attribute(node, "axes") if constant is None else constant.tolist()
    if not axes:
        return False
    axes = [axis % len(shape) for axis in axes]
    left = [perm[axis] for axis in range(len(shape)) if axis not in axes]
    if left != sorted(left):
        return False
    moved = sorted(perm[axis] for axis in axes)
    inputs = [maker.input[0]]
    if constant is not None:
        inputs.append(wiring.add_constant(np.array(moved, np.int64)))
    again = wiring.add_like(node, inputs)
    if constant is None:
        set_attribute(again, "axes", moved)
    shapes.add(again)
    if not attribute(node, "keepdims", 1):
        wiring.replace(node, again.output[0])
        return True
    target = wiring.add_constant(np.array(shapes[node.output[0]], np.int64))
    wiring.remove(node)
    shapes.add(wiring.add("Reshape", [again.output[0], target], node.output[0]))
    return True


def transposes(model: ModelProto) -> int:
    """How many Transposes the graph has."""
    return sum(node.op_type == "Transpose" for node in model.graph.node)


def remove_transposes(model: ModelProto) -> ModelProto:
    """A pass: make the rewrites above until none applies."""
    while transposes(model) and (_straighten(model) or push_transposes_down(model) | _join(model) or _absorb(model)):
        model = merge_reshapes(model)
    return model


def _join(model: ModelProto) -> bool:
    """One Transpose for two in a row; none where they undo each other."""
    wiring = GraphEditor(model)
    changed = False
    for node in wiring.nodes():
        first = wiring.producer(node.input[0]) if node.op_type == "Transpose" else None
        if first is None or first.op_type != "Transpose":
            continue
        rank = len(attribute(node, "perm") or attribute(first, "perm") or ())
        second, earlier = perm_of(node, rank), perm_of(first, rank)
        perm = [earlier[axis] for axis in second]
        source = first.input[0]
        if perm != sorted(perm):
            (source,) = wiring.add("Transpose", [source], perm=perm).output
        wiring.replace(node, source)
        changed = True
    if changed:
        wiring.store()
    return changed


def _straighten(model: ModelProto) -> bool:
    """One Reshape for Transposes that, with Reshapes between them, leave every value where it was."""
    wiring = GraphEditor(model)
    shapes = infer(wiring)
    changed = False
    for node in wiring.nodes():
        chain = _idle_chain(wiring, shapes, node) if node.op_type == "Transpose" else []
        if not chain:
            continue
        name = chain[-1].input[0]
        for each in reversed(chain):
            if each.op_type in POINTWISE:
                again = wiring.add_like(each, [name, *each.input[1:]])
                shapes.add(again)
                (name,) = again.output
        target = wiring.add_constant(np.array(shapes[node.output[0]], np.int64))
        wiring.remove(node)
        shapes.add(wiring.add("Reshape", [name, target], node.output[0]))
        changed = True
    if changed:
        wiring.store()
    return changed


def _idle_chain(wiring: GraphEditor, shapes: Shapes, transpose: NodeProto) -> list[NodeProto]:
    """The nodes from `transpose` up to another one that together move nothing; none where there is no other."""
    chain = [transpose]
    while chain[-1].input[0] in shapes:
        maker = wiring.producer(chain[-1].input[0])
        if maker is None:
            break
        chain.append(maker)
        if maker.op_type == "Transpose":
            if _in_order(shapes, chain):
                return chain
        elif maker.op_type != "Reshape" and not (
            _is_unary(wiring, maker, maker.input[0]) and wiring.only_consumer(maker.output[0])
        ):
            break
    return []


def _in_order(shapes: Shapes, chain: list[NodeProto]) -> bool:
    """Whether the nodes of `chain`, last one first, hand on all values in their order: tried on their numbers."""
    shape = shapes[chain[-1].input[0]]
    numbers = np.arange(prod(shape))
    moved = numbers.reshape(shape)
    for node in reversed(chain):
        if node.op_type == "Transpose":
            moved = moved.transpose(perm_of(node, moved.ndim))
        elif node.op_type == "Reshape":
            moved = moved.reshape(shapes[node.output[0]])
    return np.array_equal(moved.reshape(-1), numbers)


def _absorb(model: ModelProto) -> bool:
    """Do without one Transpose that feeds rows of dense layers."""
    wiring = GraphEditor(model)
    if not any(node.op_type == "Transpose" for node in wiring.nodes()):
        return False
    shapes = infer(wiring)
    for node in wiring.nodes():
        if node.op_type == "Transpose" and (path := _path(wiring, shapes, node)):
            _rebuild(wiring, shapes, node, path)
            wiring.store()
            return True
    return False


@dataclass(frozen=True)
class _Path:
    """What follows a Transpose: `pixels` work on rows of channels, `flat` on a picture as one row, then `dense`."""

    pixels: tuple[NodeProto, ...]
    flat: tuple[NodeProto, ...]
    dense: NodeProto


def _path(wiring: GraphEditor, shapes: Shapes, transpose: NodeProto) -> _Path | None:
    """The way from `transpose` to a dense layer that can be permuted; None where there is no such way."""
    name = transpose.output[0]
    perm = perm_of(transpose, len(shapes[name])) if name in shapes else []
    if perm[:1] != [0]:
        return None
    shape = shapes[name]
    channels, channels_last = shape[-1], perm == [0, *range(2, len(perm)), 1]
    pixels: list[NodeProto] = []
    flat: list[NodeProto] | None = None
    found = None
    while found is None and (node := wiring.only_consumer(name)) is not None and node.output[0] in shapes:
        target = shapes[node.output[0]]
        weights = _weights(wiring, node, name)
        if node.op_type == "Reshape" and flat is None:
            # Other shapes on the way: as many rows as pixels come out right here in the end, and no others.
            flat = [] if target == (shape[0], prod(shape[1:-1]) * channels) else None
        elif _is_unary(wiring, node, name):
            (pixels if flat is None else flat).append(node)
        elif flat is None and channels_last and _is_bias(wiring, node, name, channels):
            pixels.append(node)
        elif weights is not None and flat is not None:
            found = _Path(tuple(pixels), tuple(flat), node)
        elif weights is not None and channels_last and _is_plain(wiring, node):
            pixels.append(node)
            channels = weights.shape[1]
        else:
            break
        name = node.output[0]
    return found


def _is_unary(wiring: GraphEditor, node: NodeProto, name: str) -> bool:
    """Whether `node` works on each value of `name` alone, and on the same single numbers beside."""
    if node.op_type not in POINTWISE or node.input[0] != name:
        return False
    others = [wiring.constant(other) for other in node.input[1:] if other]
    return all(value is not None and value.ndim == 0 for value in others)


def _is_bias(wiring: GraphEditor, node: NodeProto, name: str, channels: int) -> bool:
    """Whether `node` takes `name`, channels last, and beside it one constant for each channel."""
    if node.op_type not in POINTWISE or len(node.input) != 2 or node.input[0] != name:
        return False
    value = wiring.constant(node.input[1])
    return value is not None and value.shape[-1:] == (channels,) and value.size == channels


def _weights(wiring: GraphEditor, node: NodeProto, name: str) -> NDArray[Any] | None:
    """The constant [inputs, outputs] that a dense layer multiplies `name` by; None for any other node."""
    if node.op_type not in {"Gemm", "MatMul"} or node.input[0] != name or attribute(node, "transA", 0):
        return None
    weights = wiring.constant(node.input[1])
    if weights is None or weights.ndim != 2:
        return None
    return weights.T if attribute(node, "transB", 0) else weights


def _is_plain(wiring: GraphEditor, node: NodeProto) -> bool:
    """Whether the layer is rows @ weights + bias: no factors, and one bias for each output."""
    if attribute(node, "alpha", 1.0) != 1.0 or attribute(node, "beta", 1.0) != 1.0:
        return False
    return len(node.input) < 3 or (wiring.constant(node.input[2]) is not None and _bias(wiring, node) is not None)


def _bias(wiring: GraphEditor, node: NodeProto) -> NDArray[Any] | None:
    """The third input of a Gemm as one value for each output; None where it differs between rows."""
    value, weights = wiring.constant(node.input[2]), _weights(wiring, node, node.input[0])
    if value is None or weights is None or value.size not in {1, weights.shape[1]}:
        return None
    return np.broadcast_to(value.reshape(-1), (weights.shape[1],))


def _rebuild(wiring: GraphEditor, shapes: Shapes, transpose: NodeProto, path: _Path) -> None:
    """The same computation on the untransposed tensor."""
    shape = shapes[transpose.output[0]]
    perm = perm_of(transpose, len(shape))
    name, channels = transpose.input[0], shape[-1]
    for node in path.pixels:
        weights = _weights(wiring, node, node.input[0])
        if weights is None and _is_bias(wiring, node, node.input[0], channels):
            value = wiring.constant(node.input[1])
            assert value is not None
            each = wiring.add_constant(value.reshape(channels, *(1 for _ in shape[1:-1])))
            (name,) = wiring.add_like(node, [name, each]).output
            continue
        if weights is None:
            (name,) = wiring.add_like(node, [name, *node.input[1:]]).output
            continue
        channels = weights.shape[1]
        kernel = weights.T.reshape(*weights.T.shape, *(1 for _ in shape[1:-1]))
        inputs = [name, wiring.add_constant(np.ascontiguousarray(kernel))]
        bias = _bias(wiring, node) if len(node.input) > 2 else None
        if bias is not None:
            inputs.append(wiring.add_constant(np.ascontiguousarray(bias)))
        (name,) = wiring.add("Conv", inputs, kernel_shape=[1 for _ in shape[1:-1]]).output
    rows = (*shape[1:-1], channels)
    (name,) = wiring.add("Reshape", [name, wiring.add_constant(np.array([shape[0], prod(rows)], np.int64))]).output
    for node in path.flat:
        (name,) = wiring.add_like(node, [name, *node.input[1:]]).output
    weights = _weights(wiring, path.dense, path.dense.input[0])
    assert weights is not None
    back = [perm[1:].index(axis) for axis in range(1, len(perm))]
    weights = weights.reshape(*rows, -1).transpose(*back, len(rows)).reshape(weights.shape)
    if attribute(path.dense, "transB", 0):
        weights = weights.T
    constant = wiring.add_constant(np.ascontiguousarray(weights))
    wiring.set_inputs(path.dense, [name, constant, *path.dense.input[2:]])
