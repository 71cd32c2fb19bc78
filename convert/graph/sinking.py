"""Moves Transposes towards the outputs, where they meet their inverse.

tf2onnx does that too, but stops at operators it does not list (HardSwish) and at means over pixels that come before
other work. Both are equal for every input: a Transpose commutes with what works value by value, and a reduction over
moved axes is a reduction over where they were.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from convert.graph.model import Wiring, attribute, set_attribute
from convert.graph.operators import POINTWISE, REDUCTIONS
from convert.graph.reshapes import moves_nothing, perm_of
from convert.graph.shapes import Shapes, infer

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

__all__ = ["sink_transposes"]


def sink_transposes(model: ModelProto) -> bool:
    """Move every Transpose as far down as it goes; whether anything moved."""
    wiring = Wiring(model)
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


def _past_pointwise(wiring: Wiring, shapes: Shapes, node: NodeProto) -> bool:
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


def _turned(wiring: Wiring, shapes: Shapes, node: NodeProto, name: str, rank: int) -> tuple[str, list[int]] | None:
    """What a Transpose that only `node` takes turns, and how."""
    maker = wiring.producer(name)
    if maker is None or maker.op_type != "Transpose" or wiring.only_consumer(name) is not node:
        return None
    return (maker.input[0], perm_of(maker, rank)) if len(shapes[name]) == rank else None


def _is_free(wiring: Wiring, shapes: Shapes, name: str, back: list[int]) -> bool:
    shape = shapes[name]
    wide = (*[1] * (len(back) - len(shape)), *shape)
    return wiring.constant(name) is not None or moves_nothing(back, wide)


def _turn_back(wiring: Wiring, shapes: Shapes, name: str, back: list[int]) -> str:
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


def _past_reduction(wiring: Wiring, shapes: Shapes, node: NodeProto) -> bool:
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
