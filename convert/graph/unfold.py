"""The way round an operator that works along the batch: a dimension of its own for the batch, in front.

A tensor of shape S with the batch somewhere in it becomes [N, *S]; there the operator does what it did for one picture,
one axis further; its output [N, *T] goes back to [N * T0, T1, ...]. This is how PACK in front of the batch, x[0] or a
squeezed batch come out right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convert.graph.batchrules import ALONG, Place, Refused, repeated
from convert.graph.model import attribute, set_attribute
from convert.graph.operators import PICTURES_FIRST, POINTWISE

if TYPE_CHECKING:
    from onnx import NodeProto

    from convert.graph.batchrules import Visit

__all__ = ["unfold"]


# Work on their first input; the others say how.
_ONE_INPUT = PICTURES_FIRST | set(ALONG) | {"Reshape"}


def unfold(visit: Visit) -> list[NodeProto]:
    """Replace `visit.node` by nodes that compute the same for every picture; returns them in order.

    Raises:
        Refused: the operator cannot be moved to a tensor with one dimension more.
    """
    node, wiring = visit.node, visit.wiring
    if node.op_type in _ONE_INPUT and not _takes_pictures_first(visit):
        raise Refused("takes something else than values from the picture")
    targets = {name: visit.shapes[name] for name in node.output if name}
    if not all(targets.values()):
        raise Refused("makes a single number")
    added: list[NodeProto] = []
    if node.op_type in PICTURES_FIRST:
        return _more_pictures(visit, added)
    if node.op_type == "Reshape":
        current, names = _in_front(visit, node.input[0], added), list(node.output)
    else:
        again = wiring.add_like(node, _shifted(visit, added))
        added.append(again)
        current, names = "", list(again.output)
    wiring.remove(node)
    for name, source in zip(node.output, names, strict=True):
        if name:
            target = wiring.add_constant(np.array([-1, *targets[name][1:]], np.int64))
            added.append(wiring.add("Reshape", [current or source, target], name))
    return added


def _takes_pictures_first(visit: Visit) -> bool:
    first, *others = (visit.place_of(index) for index in range(len(visit.node.input)))
    return first is not None and not any(others)


def _more_pictures(visit: Visit, added: list[NodeProto]) -> list[NodeProto]:
    """What takes each entry of the first dimension on its own takes N times as many: [N, S0, ...] as [N * S0, ...]."""
    node, wiring = visit.node, visit.wiring
    if len(node.output) != 1:
        raise Refused("cannot work on more pictures")
    target = wiring.add_constant(np.array([-1, *visit.shape[1:]], np.int64))
    rows = wiring.add("Reshape", [_in_front(visit, node.input[0], added), target])
    added.append(rows)
    wiring.set_inputs(node, [*rows.output, *node.input[1:]])
    return [*added, node]


def _shifted(visit: Visit, added: list[NodeProto]) -> list[str]:
    """The node's inputs with the batch in front; its axes are moved one further."""
    node = visit.node
    if node.op_type in ALONG:
        along = ALONG[node.op_type]
        along.write(visit, [axis + 1 for axis in along.read(visit)])
        return [_in_front(visit, node.input[0], added), *node.input[1:]]
    if node.op_type == "Concat":
        rank = len(visit.shape)
        set_attribute(node, "axis", attribute(node, "axis", 1) % rank + 1)
        return _joined(visit, added)
    if node.op_type in POINTWISE | {"MatMul"}:
        rank = max(len(visit.shapes[name]) for name in node.input if name)
        return [
            _in_front(visit, name, added, rank) if name in visit.places else _wide_enough(visit, name)
            for name in node.input
        ]
    raise Refused("cannot work on a batch in front of its input")


def _wide_enough(visit: Visit, name: str) -> str:
    """What has no batch is broadcast over it, which MatMul does from two dimensions on."""
    if name and visit.node.op_type == "MatMul" and len(visit.shapes[name]) < 2:
        raise Refused("multiplies single rows")
    return name


def _joined(visit: Visit, added: list[NodeProto]) -> list[str]:
    """All parts with the batch in front, the constant ones repeated."""
    wiring = visit.wiring
    fronts = {name: _in_front(visit, name, added) for name in dict.fromkeys(visit.node.input) if name in visit.places}
    batched = next(iter(fronts.values()))
    for name in visit.node.input:
        if name not in fronts:
            value = wiring.constant(name)
            if value is None:
                raise Refused("joins what is not constant to the batch")
            constant = wiring.add_constant(value[np.newaxis])
            fronts[name] = repeated(visit, constant, batched, Place(0, 1), added)
    return [fronts[name] for name in visit.node.input]


def _in_front(visit: Visit, name: str, added: list[NodeProto], rank: int = 0) -> str:
    """`name`, of shape S at batch 1, as [N, *S]; S is given ones in front until it has `rank` dimensions."""
    wiring, place, shape = visit.wiring, visit.places[name], visit.shapes[name]
    before, behind = shape[: place.axis], shape[place.axis + 1 :]
    target = [*before, -1, place.factor, *behind]
    if place.axis == 0:
        target[1:1] = [1] * (rank - len(shape))
    elif len(shape) < rank:
        raise Refused("is wider than its input")
    node = wiring.add("Reshape", [name, wiring.add_constant(np.array(target, np.int64))])
    added.append(node)
    if place.axis != 0:
        others = [axis for axis in range(len(target)) if axis != place.axis]
        node = wiring.add("Transpose", node.output, perm=[place.axis, *others])
        added.append(node)
    return str(node.output[0])
