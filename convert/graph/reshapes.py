"""Brings all that only gives memory another shape into one form, Reshape with a constant target, and few of them.

Reshape, Flatten, Squeeze, Unsqueeze and a Transpose that moves only dimensions of size 1 do not touch the data. A chain
of them is one Reshape, and one to the shape its input already has is nothing. Exact at batch 1, which is what tf2onnx
makes; `convert.graph.batch` then puts the batch into the few that are left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convert.graph.model import Wiring, attribute
from convert.graph.shapes import Shapes

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

__all__ = ["merge_reshapes", "moves_nothing", "perm_of"]

_KINDS = {"Reshape", "Flatten", "Squeeze", "Unsqueeze"}


def merge_reshapes(model: ModelProto) -> ModelProto:
    """Replace every chain of reshaping nodes by at most one Reshape."""
    wiring = Wiring(model)
    shapes = Shapes(wiring)
    for node in wiring.nodes():
        shapes.add(node)
        source, target = node.input[0] if node.input else "", node.output[0]
        if source not in shapes or target not in shapes or not _is_reshape(node, shapes):
            continue
        before = wiring.producer(source)
        if before is not None and before.op_type == "Reshape":
            source = before.input[0]
        if shapes[source] == shapes[target]:
            wiring.replace(node, source)
            continue
        constant = wiring.add_constant(np.array(shapes[target], np.int64))
        wiring.remove(node)
        shapes.add(wiring.add("Reshape", [source, constant], target))
    wiring.store()
    return model


def perm_of(transpose: NodeProto, rank: int) -> list[int]:
    """Where each dimension of the output comes from; ONNX turns all of them round where it is not said."""
    perm = attribute(transpose, "perm")
    return list(range(rank))[::-1] if perm is None else list(perm)


def moves_nothing(perm: list[int], shape: tuple[int, ...]) -> bool:
    """Whether a Transpose of `shape` by `perm` leaves the data where it is: sizes above 1 keep their order."""
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved == sorted(moved)


def _is_reshape(node: NodeProto, shapes: Shapes) -> bool:
    if node.op_type == "Transpose":
        shape = shapes[node.input[0]]
        return moves_nothing(perm_of(node, len(shape)), shape)
    return node.op_type in _KINDS
