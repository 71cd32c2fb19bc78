"""Gives a model made for one picture a batch dimension `N`, so that Gst-nvinfer's batch-size can be anything.

nvinfer overwrites the batch dimension of every ONNX input with -1 (nvdsinfer_model_builder.cpp), whatever the file
says; a 1 baked into a Reshape target, a Slice or a constant then fails on the device or mixes pictures. The rule kept
here: a tensor that depends on the input has the batch in exactly one dimension, as N * factor, N outermost. The graph
is walked once at batch 1 and at an odd large batch, which tells the batch from every other size;
`convert.graph.batch` has what each operator does. Every shape comes from ONNX's own inference.

What each ONNX operator does to a batch: whether it keeps pictures apart, and how a baked-in 1 is taken out.

A rule gets a node that takes a tensor with the batch in it. It may rewrite the node and put others before it, or
refuse: operators that would mix pictures, and those nobody here has thought about. That the output then has the batch
in one dimension is checked by `convert.graph.batch`, on shapes; `convert.graph.batch` is the way round a refusal. Axes
and defaults are those of ONNX (docs/Operators.md).

The way round an operator that works along the batch: a dimension of its own for the batch, in front.

A tensor of shape S with the batch somewhere in it becomes [N, *S]; there the operator does what it did for one picture,
one axis further; its output [N, *T] goes back to [N * T0, T1, ...]. This is how PACK in front of the batch, x[0] or a
squeezed batch come out right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from convert.errors import TranslationError
from convert.graph.cleanup import merge_reshapes
from convert.graph.graph import (
    PICTURES_FIRST,
    POINTWISE,
    REDUCTIONS,
    GraphEditor,
    Shapes,
    attribute,
    opset_of,
    set_attribute,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from onnx import ModelProto, NodeProto, ValueInfoProto


__all__ = [
    "ALONG",
    "BATCH",
    "Along",
    "Place",
    "Refused",
    "Visit",
    "apply_rule",
    "dynamic_batch",
    "repeated",
    "unroll_batch",
]


_END = np.iinfo(np.int64).max  # "to the end" in Slice


class Refused(Exception):
    """Why a node cannot stay as it is; `convert.graph.batch` unfolds it or gives up."""


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

    wiring: GraphEditor
    node: NodeProto
    shapes: Shapes
    places: Mapping[str, Place]

    @property
    def opset(self) -> int:
        """Of the model."""
        return opset_of(self.wiring.model)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first input, at batch 1."""
        return self.shapes[self.node.input[0]]

    @property
    def place(self) -> Place:
        """Where the first input has the batch."""
        place = self.place_of(0)
        if place is None:
            _refuse("takes its first input from elsewhere than the picture")
        return place

    def place_of(self, index: int) -> Place | None:
        """Where input `index` has the batch; None where there is no such input, or no batch in it."""
        return self.places.get(self.node.input[index]) if index < len(self.node.input) else None

    def axes(self, values: Iterable[int]) -> list[int]:
        """`values` as axes of the first input, none negative."""
        return [int(value) % max(len(self.shape), 1) for value in values]

    def values(self, index: int) -> list[int]:
        """Input `index`, which must be a constant list of numbers."""
        constant = self.wiring.constant(self.node.input[index])
        if constant is None:
            _refuse("has an input that should be constant")
        return [int(value) for value in constant.reshape(-1)]

    def has(self, index: int) -> bool:
        """Whether there is an input `index`."""
        return index < len(self.node.input) and bool(self.node.input[index])

    def set_values(self, index: int, values: Iterable[int]) -> None:
        """Make input `index` the constant `values`."""
        inputs = list(self.node.input)
        before = self.wiring.constant(inputs[index])
        shape = -1 if before is None or before.ndim else ()
        inputs[index] = self.wiring.add_constant(np.array(list(values), np.int64).reshape(shape))
        self.wiring.set_inputs(self.node, inputs)


def _refuse(reason: str) -> NoReturn:
    raise Refused(reason)


def apply_rule(visit: Visit) -> list[NodeProto]:
    """Rewrite `visit.node`; returns the nodes that were put before it.

    Raises:
        Refused: the operator mixes pictures, or is not known.
    """
    operator = visit.node.op_type
    if operator in _RULES:
        return _RULES[operator](visit) or []
    if operator in ALONG:
        if any(visit.place_of(index) for index in range(1, len(visit.node.input))):
            _refuse("takes more than the picture's values from the picture")
        if visit.place.axis in ALONG[operator].read(visit):
            _refuse("works along the batch")
    elif operator not in POINTWISE:
        _refuse("may treat a batch differently from single pictures")
    # Of what works value by value the shapes alone show whether the batch survives.
    return []


@dataclass(frozen=True, slots=True)
class Along:
    """Operators that work along some axes of their first input and treat the others alike.

    Attributes:
        read: those axes, none negative.
        write: lets the operator work along other ones; the input then has one dimension more, in front.
    """

    read: Callable[[Visit], list[int]]
    write: Callable[[Visit, list[int]], None]


def _axis(default: int) -> Along:
    """The attribute `axis`."""
    return Along(
        lambda visit: visit.axes([attribute(visit.node, "axis", default)]),
        lambda visit, axes: set_attribute(visit.node, "axis", axes[0]),
    )


def _from_axis(default: int) -> Along:
    """Everything from the attribute `axis` on."""

    def read(visit: Visit) -> list[int]:
        (first,) = visit.axes([attribute(visit.node, "axis", default)])
        return list(range(first, len(visit.shape)))

    return Along(read, lambda visit, axes: set_attribute(visit.node, "axis", min(axes)))


def _softmax() -> Along:
    """One axis since opset 13; until then everything from `axis` on is one row."""
    new, old = _axis(-1), _from_axis(1)
    return Along(
        lambda visit: (new if visit.opset >= 13 else old).read(visit),
        lambda visit, axes: (new if visit.opset >= 13 else old).write(visit, axes),
    )


def _reduced(visit: Visit) -> list[int]:
    axes = visit.values(1) if visit.has(1) else attribute(visit.node, "axes")
    if axes:
        return visit.axes(axes)
    return [] if attribute(visit.node, "noop_with_empty_axes", 0) else list(range(len(visit.shape)))


def _reduce_along(visit: Visit, axes: list[int]) -> None:
    if visit.has(1):
        visit.set_values(1, axes)
    else:
        set_attribute(visit.node, "axes", axes)


def _gather(visit: Visit) -> None:
    """Of the picture by fixed numbers, or of a table by the picture's."""
    if visit.place_of(0) is None:
        return
    if visit.place_of(1) is not None:
        _refuse("picks from the picture by the picture")
    if visit.place.axis in ALONG["Gather"].read(visit):
        _refuse("works along the batch")


def _gather_elements(visit: Visit) -> None:
    """Each picture by its own numbers."""
    if visit.place_of(1) != visit.place:
        _refuse("picks from the picture by numbers that are not its own")
    if visit.place.axis in visit.axes([attribute(visit.node, "axis", 0)]):
        _refuse("works along the batch")


def _tiled(visit: Visit) -> list[int]:
    return [axis for axis, count in enumerate(visit.values(1)) if count != 1]


def _padded(visit: Visit) -> list[int]:
    """`pads` has what stands before each axis, then what stands behind each."""
    if visit.has(3):
        _refuse("pads axes of its own choice")
    pads = visit.values(1) if visit.has(1) else attribute(visit.node, "pads")
    rank = len(visit.shape)
    return [axis for axis in range(rank) if pads[axis] or pads[rank + axis]]


def _pad_along(visit: Visit, _axes: list[int]) -> None:
    pads = visit.values(1) if visit.has(1) else attribute(visit.node, "pads")
    rank = len(pads) // 2
    wider = [0, *pads[:rank], 0, *pads[rank:]]
    if visit.has(1):
        visit.set_values(1, wider)
    else:
        set_attribute(visit.node, "pads", wider)


@dataclass(slots=True)
class _Limits:
    """What a Slice takes: one entry for each axis it names."""

    starts: list[int]
    ends: list[int]
    axes: list[int]
    steps: list[int]


def _limits(visit: Visit) -> _Limits:
    """Inputs since opset 10, attributes before."""
    if visit.opset < 10:
        starts, ends = attribute(visit.node, "starts"), attribute(visit.node, "ends")
        axes, steps = attribute(visit.node, "axes"), None
    else:
        starts, ends = visit.values(1), visit.values(2)
        axes, steps = (visit.values(index) if visit.has(index) else None for index in (3, 4))
    count = len(starts)
    return _Limits(list(starts), list(ends), visit.axes(axes or range(count)), steps or [1] * count)


def _set_limits(visit: Visit, limits: _Limits) -> None:
    if visit.opset < 10:
        for name, values in (("starts", limits.starts), ("ends", limits.ends), ("axes", limits.axes)):
            set_attribute(visit.node, name, values)
        return
    lists = (limits.starts, limits.ends, limits.axes, limits.steps)
    constants = [visit.wiring.add_constant(np.array(values, np.int64)) for values in lists]
    visit.wiring.set_inputs(visit.node, [visit.node.input[0], *constants])


def _slice_along(visit: Visit, axes: list[int]) -> None:
    limits = _limits(visit)
    limits.axes = axes
    _set_limits(visit, limits)


def _slice(visit: Visit) -> None:
    """A slice that takes the whole batch of one says `0:1`; it must say `0:`."""
    limits, place = _limits(visit), visit.place
    if place.axis not in limits.axes:
        return
    at, size = limits.axes.index(place.axis), place.factor
    start, end = (value + size if value < 0 else value for value in (limits.starts[at], limits.ends[at]))
    if start > 0 or end < size or limits.steps[at] != 1:
        _refuse("takes a part of the batch")
    limits.starts[at], limits.ends[at] = 0, _END
    _set_limits(visit, limits)


def _pictures_first(visit: Visit) -> None:
    if visit.place.axis != 0:
        _refuse("does not have the batch first")
    if any(visit.place_of(index) for index in range(1, len(visit.node.input))):
        _refuse("takes weights that depend on the picture")


def _resize(visit: Visit) -> None:
    """Target sizes hold the batch; `convert.graph.cleanup` makes scales of them, which do not."""
    _pictures_first(visit)
    if visit.has(3) and not attribute(visit.node, "axes"):
        _refuse("resizes to a size that is no multiple of the old one")


def _matmul(visit: Visit) -> None:
    left, right = visit.place_of(0), visit.place_of(1)
    left_rank, right_rank = (len(visit.shapes[name]) for name in visit.node.input[:2])
    if min(left_rank, right_rank) < 2:
        _refuse("multiplies single rows")
    if (left and left.axis == left_rank - 1) or (right and right.axis == right_rank - 2):
        _refuse("multiplies along the batch")


def _gemm(visit: Visit) -> None:
    if visit.place.axis != 0 or attribute(visit.node, "transA", 0) or visit.place_of(1):
        _refuse("multiplies along the batch")
    if visit.has(2) and not visit.place_of(2):
        bias = visit.shapes[visit.node.input[2]]
        if len(bias) == 2 and bias[0] != 1:
            _refuse("adds something else to each row")


def _concat(visit: Visit) -> list[NodeProto]:
    """A constant part has a batch of 1: it is repeated for every picture."""
    node = visit.node
    places = {visit.places[name] for name in node.input if name in visit.places}
    if len(places) != 1:
        _refuse("joins tensors that have the batch in different places")
    (place,) = places
    batched = next(name for name in node.input if name in visit.places)
    rank = len(visit.shapes[batched])
    if attribute(node, "axis", 1) % rank == place.axis:
        _refuse("joins along the batch")
    added: list[NodeProto] = []
    inputs = [name if name in visit.places else repeated(visit, name, batched, place, added) for name in node.input]
    visit.wiring.set_inputs(node, inputs)
    return added


def repeated(visit: Visit, constant: str, batched: str, place: Place, added: list[NodeProto]) -> str:
    """`constant` with the batch of `batched` in `place`; both tensors have the same rank.

    Where(false, a column of `batched`, constant) has the size without reading N. New nodes go to `added`.
    """
    if place.factor != 1 or visit.opset < 10:
        _refuse("joins a constant to the batch")
    wiring = visit.wiring
    tensor = wiring.tensor(constant)
    if tensor is None:
        _refuse("joins what is not constant to the batch")
    rank = len(tensor.dims)
    axes = [axis for axis in range(rank) if axis != place.axis]
    limits = [wiring.add_constant(np.array(values, np.int64)) for values in ([0] * len(axes), [1] * len(axes), axes)]
    column = wiring.add("Slice", [batched, *limits])
    never = wiring.add_constant(np.zeros([1] * rank, np.bool_))
    where = wiring.add("Where", [never, column.output[0], constant])
    added += [column, where]
    return str(where.output[0])


def _reshape(visit: Visit) -> list[NodeProto]:
    """The first dimension of the target is what the batch makes larger, whatever it was."""
    target = visit.shapes[visit.node.output[0]]
    if not target:
        _refuse("makes a single number")
    if any(size != 1 for size in visit.shape[: visit.place.axis]):
        _refuse("takes the batch apart")
    constant = visit.wiring.add_constant(np.array([-1, *target[1:]], np.int64))
    visit.wiring.set_inputs(visit.node, [visit.node.input[0], constant])
    return []


def _anyhow(_visit: Visit) -> None:
    """Places move with their dimensions."""


ALONG: dict[str, Along] = {
    **dict.fromkeys(REDUCTIONS, Along(_reduced, _reduce_along)),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softmax()),
    **dict.fromkeys(("ArgMax", "ArgMin", "Gather", "Split"), _axis(0)),
    **dict.fromkeys(("LpNormalization", "TopK"), _axis(-1)),
    "CumSum": Along(lambda visit: visit.axes(visit.values(1)), lambda visit, axes: visit.set_values(1, axes)),
    "LayerNormalization": _from_axis(-1),
    "Pad": Along(_padded, _pad_along),
    "Tile": Along(_tiled, lambda visit, _: visit.set_values(1, [1, *visit.values(1)])),
    "Slice": Along(lambda visit: _limits(visit).axes, _slice_along),
}  # fmt: skip

_RULES: dict[str, Callable[[Visit], list[NodeProto] | None]] = {
    **dict.fromkeys(PICTURES_FIRST, _pictures_first),
    **dict.fromkeys(("DequantizeLinear", "Expand", "QuantizeLinear", "Transpose"), _anyhow),
    "Concat": _concat,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
}  # fmt: skip


# Work on their first input; the others say how.
_ONE_INPUT = PICTURES_FIRST | set(ALONG) | {"Reshape"}


def unroll_batch(visit: Visit) -> list[NodeProto]:
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


BATCH = "N"
_MANY = 7919  # a prime, so that no division inside the graph happens to come out even


def dynamic_batch(model: ModelProto) -> ModelProto:
    """A pass: [1, ...] becomes [N, ...] at the input and at every output; everything else stays static.

    Raises:
        TranslationError: a node mixes pictures, keeps a batch of 1, or has a shape that is only known when it runs;
            an output does not depend on the input.
    """
    model = merge_reshapes(model)
    wiring = GraphEditor(model)
    (source,) = model.graph.input
    walk = _Walk(wiring, source.name)
    for node in wiring.nodes():
        walk.visit(node)
    for value in [source, *model.graph.output]:
        if walk.places.get(value.name) != Place(0, 1):
            raise _hopeless(f"its output {value.name} does not hold one entry for each picture")
    wiring.store()
    for value in [source, *model.graph.output]:
        _declare(value, walk.one[value.name])
    return model


class _Walk:
    """Shapes at both batch sizes, and where the batch is, as far as the walk has come."""

    def __init__(self, wiring: GraphEditor, source: str) -> None:
        self._wiring = wiring
        self.one = Shapes(wiring, 1)
        self._many = Shapes(wiring, _MANY)
        self.places: dict[str, Place] = {source: Place(0, 1)}

    def visit(self, node: NodeProto) -> None:
        """Rewrite `node` where it needs it, and see where its outputs have the batch."""
        self.one.add(node)
        if not any(name in self.places for name in node.input):
            self._many.add(node)
            return
        label = f"{node.op_type} ({node.name or node.output[0]})"
        if any(name not in self.one for name in node.output if name):
            raise _hopeless(f"{label} makes a tensor whose size is only known when it runs")
        try:
            self._keep(node)
        except Refused as first:
            try:
                for added in unroll_batch(Visit(self._wiring, node, self.one, self.places)):
                    self._enter(added)
            except Refused as second:
                raise _hopeless(f"{label} {first}, and {second}") from second

    def _keep(self, node: NodeProto) -> None:
        """Let the node stay, with a baked-in 1 taken out of it."""
        wanted = {name: self.one[name] for name in node.output if name}
        before = list(node.input)
        for added in apply_rule(Visit(self._wiring, node, self.one, self.places)):
            self._enter(added)
        if list(node.input) == before:
            self._find(node)
            return
        self._enter(node)
        if wanted != {name: self.one[name] for name in wanted}:
            raise Refused("changes its shape")

    def _enter(self, node: NodeProto) -> None:
        """A node that `visit` has not seen in this form."""
        try:
            self.one.add(node)
        except TranslationError as error:
            raise Refused(f"cannot be written otherwise ({error})") from error
        self._find(node)

    def _find(self, node: NodeProto) -> None:
        """Where the node's outputs have the batch."""
        try:
            self._many.add(node)
        except TranslationError as error:
            raise Refused(f"works for one picture only ({error})") from error
        if any(name in self.places for name in node.input):
            found = {name: _place(self.one[name], self._many[name]) for name in node.output if name}
            self.places.update(found)


def _place(one: tuple[int, ...], many: tuple[int, ...]) -> Place:
    changed = [axis for axis, sizes in enumerate(zip(one, many, strict=True)) if sizes[0] != sizes[1]]
    if len(changed) != 1 or many[changed[0]] != one[changed[0]] * _MANY:
        raise Refused("does not keep pictures apart")
    return Place(changed[0], one[changed[0]])


def _hopeless(reason: str) -> TranslationError:
    return TranslationError(
        f"the model cannot be given a dynamic batch: {reason}",
        hint="Gst-nvinfer makes the batch of every model dynamic; export a model without this operation",
    )


def _declare(value: ValueInfoProto, shape: tuple[int, ...]) -> None:
    dims = value.type.tensor_type.shape.dim
    del dims[:]
    for size in shape:
        dims.add().dim_value = size
    dims[0].dim_param = BATCH
