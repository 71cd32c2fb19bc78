"""What each ONNX operator does to a batch, and how the 1 baked into some of them is taken out.

A rule gets a node that takes a tensor with the batch in it. It may rewrite the node and put others before it, or raise:
operators that would mix pictures, and those nobody here has thought about. That the output then has the batch in one
dimension is checked by `convert.graph.batch`, on shapes. Axes and defaults are those of onnx/defs (Operators.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from convert.errors import TranslationError
from convert.graph.model import attribute, opset_of, set_attribute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from onnx import NodeProto

    from convert.graph.model import Wiring
    from convert.graph.shapes import Shapes

__all__ = ["Place", "Visit", "apply_rule", "refuse"]

_END = np.iinfo(np.int64).max  # "to the end" in Slice


@dataclass(frozen=True, slots=True)
class Place:
    """Where the batch is in a tensor: dimension `axis` has N * `factor` entries, N outermost."""

    axis: int
    factor: int


@dataclass(frozen=True, slots=True)
class Visit:
    """One node on the walk.

    Attributes:
        shapes: at batch 1, of everything before the node and of its outputs.
        places: of every tensor before the node that has the batch in it.
    """

    wiring: Wiring
    node: NodeProto
    shapes: Shapes
    places: Mapping[str, Place]

    @property
    def opset(self) -> int:
        """Of the model."""
        return opset_of(self.wiring.model)

    def place(self, index: int = 0) -> Place | None:
        """Where input `index` has the batch."""
        return self.places.get(self.node.input[index]) if index < len(self.node.input) else None

    def axes(self, values: Iterable[int], index: int = 0) -> list[int]:
        """`values` as axes of input `index`, none negative."""
        rank = len(self.shapes[self.node.input[index]])
        return [int(value) % rank for value in values]

    def refuse(self, reason: str) -> NoReturn:
        """End the model."""
        refuse(self.node, reason)


def refuse(node: NodeProto, reason: str) -> NoReturn:
    """End the model: it cannot have a dynamic batch.

    Raises:
        TranslationError: always.
    """
    raise TranslationError(
        f"the model cannot be given a dynamic batch: {node.op_type} ({node.name or node.output[0]}) {reason}",
        hint="Gst-nvinfer makes the batch of every model dynamic; export a model without this operation",
    )


def apply_rule(visit: Visit) -> list[NodeProto]:
    """Rewrite `visit.node`; returns the nodes that were put before it.

    Raises:
        TranslationError: the operator mixes pictures, or is not known.
    """
    operator = visit.node.op_type
    if operator in _ELEMENTWISE:
        return []
    if operator not in _RULES:
        visit.refuse("may treat a batch differently from single pictures")
    return _RULES[operator](visit) or []


def _pictures_first(visit: Visit) -> None:
    place = visit.place()
    if place is None or place.axis != 0:
        visit.refuse("does not have the batch first")
    if any(visit.place(index) for index in range(1, len(visit.node.input))):
        visit.refuse("takes weights that depend on the picture")


def _not_along(default: int) -> Callable[[Visit], None]:
    """A rule for operators that work along the attribute `axis`."""

    def rule(visit: Visit) -> None:
        _keep_apart(visit, visit.axes([attribute(visit.node, "axis", default)]))

    return rule


def _keep_apart(visit: Visit, axes: Iterable[int]) -> None:
    place = visit.place()
    if place is not None and place.axis in axes:
        visit.refuse("works along the batch")


def _softmax(visit: Visit) -> None:
    if visit.opset >= 13:
        _not_along(-1)(visit)
        return
    # Until opset 12 everything from `axis` on is one row.
    (first,) = visit.axes([attribute(visit.node, "axis", 1)])
    _keep_apart(visit, range(first, len(visit.shapes[visit.node.input[0]])))


def _normalization(visit: Visit) -> None:
    (first,) = visit.axes([attribute(visit.node, "axis", -1)])
    _keep_apart(visit, range(first, len(visit.shapes[visit.node.input[0]])))


def _reduce(visit: Visit) -> None:
    axes = attribute(visit.node, "axes")
    if axes is None and len(visit.node.input) > 1 and visit.node.input[1]:
        constant = visit.wiring.constant(visit.node.input[1])
        if constant is None:
            visit.refuse("has axes that are not constant")
        axes = constant.tolist()
    if not axes:
        if attribute(visit.node, "noop_with_empty_axes", 0):
            return
        axes = range(len(visit.shapes[visit.node.input[0]]))
    _keep_apart(visit, visit.axes(axes))


def _cumulative(visit: Visit) -> None:
    axis = visit.wiring.constant(visit.node.input[1])
    if axis is None:
        visit.refuse("has an axis that is not constant")
    _keep_apart(visit, visit.axes([int(axis)]))


def _gather(visit: Visit) -> None:
    if visit.place(1) is not None:
        visit.refuse("picks by values that depend on the picture")
    _keep_apart(visit, visit.axes([attribute(visit.node, "axis", 0)]))


def _matmul(visit: Visit) -> None:
    left, right = visit.place(0), visit.place(1)
    left_rank, right_rank = (len(visit.shapes[name]) for name in visit.node.input[:2])
    if (left and left.axis == left_rank - 1) or (right and right.axis == max(right_rank - 2, 0)):
        visit.refuse("multiplies along the batch")


def _gemm(visit: Visit) -> None:
    place = visit.place()
    if place is None or place.axis != 0 or attribute(visit.node, "transA", 0) or visit.place(1):
        visit.refuse("multiplies along the batch")
    if len(visit.node.input) > 2 and visit.place(2) is None:
        bias = visit.shapes[visit.node.input[2]]
        if len(bias) == 2 and bias[0] != 1:
            visit.refuse("adds something else to each row")


def _tile(visit: Visit) -> None:
    repeats, place = visit.wiring.constant(visit.node.input[1]), visit.place()
    if repeats is None or place is None or repeats[place.axis] != 1:
        visit.refuse("repeats the batch")


def _resize(visit: Visit) -> None:
    """Target sizes hold the batch; `convert.graph.resize` makes scales of them, which do not."""
    _pictures_first(visit)
    if len(visit.node.input) > 3 and visit.node.input[3] and not attribute(visit.node, "axes"):
        visit.refuse("resizes to a size that is no multiple of the old one")


def _reshape(visit: Visit) -> list[NodeProto]:
    """The first dimension of the target is what the batch makes larger, whatever it was."""
    node, place = visit.node, visit.place()
    target, source = visit.shapes[node.output[0]], node.input[0]
    if place is None or not target:
        visit.refuse("takes its shape from the picture" if place is None else "makes a single number")
    added = []
    if any(size != 1 for size in visit.shapes[source][: place.axis]):
        if place.factor != 1:
            visit.refuse("takes the batch apart")
        rest = [axis for axis in range(len(visit.shapes[source])) if axis != place.axis]
        added.append(visit.wiring.add("Transpose", [source], perm=[place.axis, *rest]))
        source = added[0].output[0]
    visit.wiring.set_inputs(node, [source, visit.wiring.add_constant(np.array([-1, *target[1:]], np.int64))])
    return added


def _slice(visit: Visit) -> None:
    """A slice that takes the whole batch of one says `0:1`; it must say `0:`."""
    node, place, opset = visit.node, visit.place(), visit.opset
    assert place is not None
    if opset < 10:
        starts, ends = attribute(node, "starts"), attribute(node, "ends")
        axes, steps = attribute(node, "axes") or list(range(len(starts))), [1] * len(starts)
    else:
        values = [visit.wiring.constant(name) if name else None for name in node.input[1:]]
        if values[0] is None or values[1] is None:
            visit.refuse("has limits that are not constant")
        starts, ends = values[0].tolist(), values[1].tolist()
        axes = list(range(len(starts))) if len(values) < 3 or values[2] is None else values[2].tolist()
        steps = [1] * len(starts) if len(values) < 4 or values[3] is None else values[3].tolist()
    axes = visit.axes(axes)
    if place.axis not in axes:
        return
    at, size = axes.index(place.axis), place.factor
    start = starts[at] + size if starts[at] < 0 else starts[at]
    end = ends[at] + size if ends[at] < 0 else ends[at]
    if start > 0 or end < size or steps[at] != 1:
        visit.refuse("takes a part of the batch")
    starts[at], ends[at] = 0, _END
    if opset < 10:
        for name, value in (("starts", starts), ("ends", ends), ("axes", axes)):
            set_attribute(node, name, value)
    else:
        constants = [visit.wiring.add_constant(np.array(value, np.int64)) for value in (starts, ends, axes, steps)]
        visit.wiring.set_inputs(node, [node.input[0], *constants])


def _concat(visit: Visit) -> list[NodeProto]:
    """A constant part has a batch of 1: it is repeated for every picture."""
    node = visit.node
    places = {visit.places[name] for name in node.input if name in visit.places}
    if len(places) != 1:
        visit.refuse("joins tensors that have the batch in different places")
    (place,) = places
    batched = next(name for name in node.input if name in visit.places)
    (along,) = visit.axes([attribute(node, "axis", 1)])
    if along == place.axis:
        visit.refuse("joins along the batch")
    alone = [name for name in dict.fromkeys(node.input) if name not in visit.places]
    if not alone:
        return []
    if place.factor != 1 or visit.opset < 10:
        visit.refuse("joins a constant to the batch")
    return _repeat(visit, alone, batched, place)


def _repeat(visit: Visit, alone: list[str], batched: str, place: Place) -> list[NodeProto]:
    """Where(false, a column of the batch, constant): the constant's values in the batch's size, without reading N."""
    wiring, rank = visit.wiring, len(visit.shapes[batched])
    axes = [axis for axis in range(rank) if axis != place.axis]
    limits = [wiring.add_constant(np.array(value, np.int64)) for value in ([0] * len(axes), [1] * len(axes), axes)]
    column = wiring.add("Slice", [batched, *limits])
    never = wiring.add_constant(np.zeros([1] * rank, np.bool_))
    added, repeated = [column], {}
    for name in alone:
        where = wiring.add("Where", [never, column.output[0], name])
        added.append(where)
        repeated[name] = where.output[0]
    wiring.set_inputs(visit.node, [repeated.get(name, name) for name in visit.node.input])
    return added


_ELEMENTWISE = {
    "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BitShift", "Cast", "Ceil", "Celu", "Clip",
    "Cos", "Cosh", "DequantizeLinear", "Div", "Elu", "Equal", "Erf", "Exp", "Expand", "Floor", "Greater",
    "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual",
    "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pad", "Pow", "QuantizeLinear",
    "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt",
    "Sub", "Sum", "Tan", "Tanh", "ThresholdedRelu", "Transpose", "Where", "Xor",
}  # fmt: skip
"""Value by value (or, like Transpose, Pad and Expand, place by place): shapes alone show whether the batch survives."""

_RULES: dict[str, Callable[[Visit], list[NodeProto] | None]] = {
    **dict.fromkeys(
        (
            "AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "DepthToSpace", "GlobalAveragePool",
            "GlobalLpPool", "GlobalMaxPool", "GroupNormalization", "InstanceNormalization", "LRN", "LpPool", "MaxPool",
            "SpaceToDepth", "Upsample",
        ),
        _pictures_first,
    ),
    **dict.fromkeys(
        (
            "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
            "ReduceProd", "ReduceSum", "ReduceSumSquare",
        ),
        _reduce,
    ),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softmax),
    **dict.fromkeys(("ArgMax", "ArgMin", "Split"), _not_along(0)),
    **dict.fromkeys(("LpNormalization", "TopK"), _not_along(-1)),
    "Concat": _concat,
    "CumSum": _cumulative,
    "Gather": _gather,
    "Gemm": _gemm,
    "LayerNormalization": _normalization,
    "MatMul": _matmul,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "Tile": _tile,
}  # fmt: skip
