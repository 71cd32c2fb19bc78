"""Gives a model made for one picture a batch dimension `N`, so that Gst-nvinfer's batch-size can be anything.

nvinfer overwrites the batch dimension of every ONNX input with -1 (nvdsinfer_model_builder.cpp), whatever the file
says; a 1 baked into a Reshape target, a Slice or a constant then fails on the device or mixes pictures. The rule kept
here: a tensor that depends on the input has the batch in exactly one dimension, as N * factor, N outermost. Shapes are
inferred at batch 1 and at an odd large batch, which tells the batch from every other size. All of them come from ONNX's
own inference.

For each operator that takes a tensor with the batch in it there is a rule. It may rewrite the node and put others
before it, or refuse: operators that would mix pictures, and those that are not known here. Axes and defaults are those
of ONNX (docs/Operators.md).

A node that its rule refuses is unrolled: the batch gets a dimension of its own, in front. A tensor of shape S with the
batch somewhere in it becomes [N, *S]; the operator does there what it did for one picture, one axis further; its output
[N, *T] goes back to [N * T0, T1, ...]. This is how PACK in front of the batch, x[0] or a squeezed batch come out right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import TranslationError
from convert.graph.cleanup import merge_reshapes
from convert.graph.graph import PICTURES_FIRST, POINTWISE, REDUCTIONS, GraphEditor, Shapes, attribute, set_attribute

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

BATCH = "N"
_MANY = 7919  # a prime, so that no division inside the graph happens to come out even
_QUANTIZERS = {"DequantizeLinear", "QuantizeLinear"}
_END = np.iinfo(np.int64).max  # "to the end" in Slice


class Refused(Exception):
    """Why a node cannot stay as it is, or cannot be unrolled."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the batch is in a tensor: dimension `axis` has N * `factor` entries, N outermost."""

    axis: int
    factor: int


def dynamic_batch(model: ModelProto) -> ModelProto:
    """A pass: [1, ...] becomes [N, ...] at the input and at every output; everything else stays static.

    Raises:
        TranslationError: a node mixes pictures, keeps a batch of 1, or has a shape that is only known when it runs;
            an output does not depend on the input.
    """
    model = merge_reshapes(model)
    editor = GraphEditor(model)
    (source,) = model.graph.input
    state = BatchState(editor, source.name)
    for node in editor.nodes():
        state.rewrite(node)
    for value in [source, *model.graph.output]:
        if state.places.get(value.name) != Place(0, 1) or value.name in state.single:
            raise _no_batch(f"its output {value.name} does not hold one entry for each picture")
    editor.store()
    for value in [source, *model.graph.output]:
        dims = value.type.tensor_type.shape.dim
        del dims[:]
        for size in state.shapes[value.name]:
            dims.add().dim_value = size
        dims[0].dim_param = BATCH
    return model


class BatchState:
    """Shapes at both batch sizes and the places of the batch, of all nodes up to the one that is being rewritten.

    Attributes:
        node: the one that is being rewritten.
        added: the nodes that were put before it, or in its place.
        shapes: at batch 1, of everything before the node and of its outputs.
        places: of every tensor before the node that has the batch in it.
        single: those that were one number, of shape [], which is [N] now.
    """

    def __init__(self, editor: GraphEditor, source: str) -> None:
        self.editor = editor
        self.shapes = Shapes(editor, 1)
        self.places = {source: Place(0, 1)}
        self.single: set[str] = set()
        self.node: NodeProto
        self.added: list[NodeProto]
        self._many = Shapes(editor, _MANY)

    def rewrite(self, node: NodeProto) -> None:
        """Rewrite `node` where it needs it, and find where its outputs have the batch."""
        self.shapes.add(node)
        if not any(name in self.places for name in node.input):
            self._many.add(node)
            return
        label = f"{node.op_type} ({node.name or node.output[0]})"
        outputs = [name for name in node.output if name]
        if any(name not in self.shapes for name in outputs):
            raise _no_batch(f"{label} makes a tensor whose size is only known when it runs")
        self.node, self.added = node, []
        if not self.single.isdisjoint(node.input):
            if node.op_type not in POINTWISE | _QUANTIZERS | {"Reshape"}:
                raise _no_batch(f"{label} takes a single number of each picture")
            if all(name in self.single or not self.shapes[name] for name in node.input if name):
                self.single.update(outputs if node.op_type != "Reshape" else ())
        wanted, inputs = {name: self.shapes[name] for name in outputs}, list(node.input)
        try:
            _apply_rule(self)
            for added in self.added:
                self._locate(added)
            is_changed = list(node.input) != inputs
            self._locate(node, is_new=is_changed)
            if is_changed and wanted != {name: self.shapes[name] for name in outputs}:
                raise Refused("changes its shape")  # noqa: TRY301 - the reason to unroll it
        except Refused as first:
            self.added = []
            try:
                _unroll(self)
                for added in self.added:
                    self._locate(added)
            except Refused as second:
                raise _no_batch(f"{label} {first}, and {second}") from second

    def _locate(self, node: NodeProto, *, is_new: bool = True) -> None:
        """Find where the outputs of `node` have the batch; their shapes at batch 1 are known of one that is not new."""
        try:
            if is_new:
                self.shapes.add(node)
        except TranslationError as error:
            raise Refused(f"cannot be written otherwise ({error})") from error
        try:
            self._many.add(node)
        except TranslationError as error:
            raise Refused(f"works for one picture only ({error})") from error
        if not any(name in self.places for name in node.input):
            return
        places = {}
        for name in filter(None, node.output):
            one, many = self.shapes[name], self._many[name]
            changed = [axis for axis in range(len(one)) if one[axis] != many[axis]]
            if len(changed) != 1 or many[changed[0]] != one[changed[0]] * _MANY:
                raise Refused("does not keep pictures apart")
            places[name] = Place(changed[0], one[changed[0]])
        self.places.update(places)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the node's first input, at batch 1."""
        return self.shapes[self.node.input[0]]

    @property
    def place(self) -> Place:
        """Where the first input has the batch."""
        place = self.place_of(0)
        if place is None:
            raise Refused("takes its first input from elsewhere than the picture")
        return place

    def place_of(self, index: int) -> Place | None:
        """Where input `index` has the batch; None where there is no such input, or no batch in it."""
        return self.places.get(self.node.input[index]) if index < len(self.node.input) else None

    def has(self, index: int) -> bool:
        """Whether there is an input `index`."""
        return index < len(self.node.input) and bool(self.node.input[index])

    def values(self, index: int) -> list[int]:
        """Input `index`, which must be a constant list of numbers."""
        constant = self.editor.constant(self.node.input[index])
        if constant is None:
            raise Refused("has an input that should be constant")
        return [int(value) for value in constant.reshape(-1)]

    def set_values(self, index: int, values: Iterable[int]) -> None:
        """Make input `index` the constant `values`."""
        inputs = list(self.node.input)
        before = self.editor.constant(inputs[index])
        shape = -1 if before is None or before.ndim else ()
        inputs[index] = self.editor.indices(np.reshape(list(values), shape))
        self.editor.set_inputs(self.node, inputs)

    def add(self, operator: str, inputs: Iterable[str], output: str | None = None, **attributes: Any) -> str:
        """A new node before `node`, or in its place; returns its output."""
        self.added.append(self.editor.add(operator, inputs, output, **attributes))
        return str(self.added[-1].output[0])


def _no_batch(reason: str) -> TranslationError:
    return TranslationError(
        f"the model cannot be given a dynamic batch: {reason}",
        hint="Gst-nvinfer makes the batch of every model dynamic; export a model without this operation",
    )


_DEFAULT_AXIS = {
    "ArgMax": 0, "ArgMin": 0, "Gather": 0, "GatherElements": 0, "Hardmax": -1, "LayerNormalization": -1,
    "LogSoftmax": -1, "LpNormalization": -1, "Softmax": -1, "Split": 0, "TopK": -1,
}  # fmt: skip
_SOFTMAXES = {"Softmax", "LogSoftmax", "Hardmax"}
# Operators that work along some axes of their first input and treat the others alike.
_ALONG_AXES = (REDUCTIONS | set(_DEFAULT_AXIS) | {"CumSum", "Pad", "Tile", "Slice"}) - {"GatherElements"}


def _axes(state: BatchState) -> list[int]:
    """The axes of its first input that an operator of `_ALONG_AXES` works along, none negative.

    The softmaxes work along one axis since opset 13; until then everything from `axis` (1) on is one row.
    """
    node, rank = state.node, max(len(state.shape), 1)
    match node.op_type:
        case "Pad":  # what stands before each axis, then what stands behind each
            if state.has(3):
                raise Refused("pads axes of its own choice")
            pads = state.values(1) if state.has(1) else attribute(node, "pads")
            return [axis for axis in range(len(state.shape)) if pads[axis] or pads[len(state.shape) + axis]]
        case "Tile":
            return [axis for axis, count in enumerate(state.values(1)) if count != 1]
        case "Slice":
            return _limits(state)[2]
        case "CumSum":
            axes = state.values(1)
        case operator if operator in REDUCTIONS:
            axes = state.values(1) if state.has(1) else attribute(node, "axes")
            if not axes:
                return [] if attribute(node, "noop_with_empty_axes", 0) else list(range(len(state.shape)))
        case operator:
            is_old = operator in _SOFTMAXES and state.editor.opset < 13
            first = attribute(node, "axis", 1 if is_old else _DEFAULT_AXIS[operator]) % rank
            return list(range(first, len(state.shape))) if is_old or operator == "LayerNormalization" else [first]
    return [axis % rank for axis in axes]


def _shift_axes(state: BatchState) -> None:
    """Let an operator of `_ALONG_AXES` work one axis further: its input gets a dimension more, in front."""
    node, axes = state.node, [axis + 1 for axis in _axes(state)]
    match node.op_type:
        case "Pad":
            pads = state.values(1) if state.has(1) else attribute(node, "pads")
            half = len(pads) // 2
            wider = [0, *pads[:half], 0, *pads[half:]]
            if state.has(1):
                state.set_values(1, wider)
            else:
                set_attribute(node, "pads", wider)
        case "Tile":
            state.set_values(1, [1, *state.values(1)])
        case "Slice":
            starts, ends, _, steps = _limits(state)
            _set_limits(state, starts, ends, axes, steps)
        case "CumSum":
            state.set_values(1, axes)
        case operator if operator in REDUCTIONS:
            if state.editor.opset >= (13 if operator == "ReduceSum" else 18):
                state.editor.set_inputs(node, [node.input[0], state.editor.indices(axes)])
            else:
                set_attribute(node, "axes", axes)
        case _:
            set_attribute(node, "axis", min(axes))


def _limits(state: BatchState) -> tuple[list[int], list[int], list[int], list[int]]:
    """Starts, ends, axes and steps of a Slice: inputs since opset 10, attributes before."""
    if state.editor.opset < 10:
        starts, ends, axes = (attribute(state.node, name) for name in ("starts", "ends", "axes"))
        steps = None
    else:
        starts, ends = state.values(1), state.values(2)
        axes, steps = (state.values(index) if state.has(index) else None for index in (3, 4))
    count, rank = len(starts), max(len(state.shape), 1)
    return list(starts), list(ends), [axis % rank for axis in axes or range(count)], steps or [1] * count


def _set_limits(state: BatchState, starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> None:
    if state.editor.opset < 10:
        for name, values in (("starts", starts), ("ends", ends), ("axes", axes)):
            set_attribute(state.node, name, values)
        return
    constants = map(state.editor.indices, (starts, ends, axes, steps))
    state.editor.set_inputs(state.node, [state.node.input[0], *constants])


# The rules. That the output then has the batch in one dimension is checked on shapes.


def _apply_rule(state: BatchState) -> None:
    """Rewrite `state.node`.

    Raises:
        Refused: the operator mixes pictures, or is not known.
    """
    operator = state.node.op_type
    if operator in PICTURES_FIRST:
        _check_pictures_first(state)
    elif operator in _RULES:
        _RULES[operator](state)
    elif operator in _ALONG_AXES:
        if any(state.place_of(index) for index in range(1, len(state.node.input))):
            raise Refused("takes more than the picture's values from the picture")
        _check_axes(state)
    elif operator not in POINTWISE | _QUANTIZERS | {"Expand", "Transpose"}:
        raise Refused("may treat a batch differently from single pictures")


def _check_pictures_first(state: BatchState) -> None:
    if state.place.axis != 0:
        raise Refused("does not have the batch first")
    if any(state.place_of(index) for index in range(1, len(state.node.input))):
        raise Refused("takes weights that depend on the picture")


def _check_axes(state: BatchState) -> None:
    if state.place.axis in _axes(state):
        raise Refused("works along the batch")


def _gather(state: BatchState) -> None:
    """Of the picture by fixed numbers, or of a table by the picture's."""
    if state.place_of(0) is None:
        return
    if state.place_of(1) is not None:
        raise Refused("picks from the picture by the picture")
    _check_axes(state)


def _gather_elements(state: BatchState) -> None:
    """Each picture by its own numbers."""
    if state.place_of(1) != state.place:
        raise Refused("picks from the picture by numbers that are not its own")
    _check_axes(state)


def _slice(state: BatchState) -> None:
    """A slice that takes the whole batch of one says `0:1`; it must say `0:`."""
    (starts, ends, axes, steps), place = _limits(state), state.place
    if place.axis not in axes:
        return
    at, size = axes.index(place.axis), place.factor
    start, end = (value + size if value < 0 else value for value in (starts[at], ends[at]))
    if start > 0 or end < size or steps[at] != 1:
        raise Refused("takes a part of the batch")
    starts[at], ends[at] = 0, _END
    _set_limits(state, starts, ends, axes, steps)


def _resize(state: BatchState) -> None:
    """Target sizes hold the batch; `convert.graph.cleanup` makes scales of them, which do not."""
    _check_pictures_first(state)
    if state.has(3) and not attribute(state.node, "axes"):
        raise Refused("resizes to a size that is no multiple of the old one")


def _matmul(state: BatchState) -> None:
    left, right = state.place_of(0), state.place_of(1)
    left_rank, right_rank = (len(state.shapes[name]) for name in state.node.input[:2])
    if min(left_rank, right_rank) < 2:
        raise Refused("multiplies single rows")
    if (left and left.axis == left_rank - 1) or (right and right.axis == right_rank - 2):
        raise Refused("multiplies along the batch")


def _gemm(state: BatchState) -> None:
    if state.place.axis != 0 or attribute(state.node, "transA", 0) or state.place_of(1):
        raise Refused("multiplies along the batch")
    if not state.has(2):
        return
    bias, place = state.shapes[state.node.input[2]], state.place_of(2)
    if place is None:
        if len(bias) == 2 and bias[0] != 1:
            raise Refused("adds something else to each row")
    elif bias == (state.shapes[state.node.output[0]][1],) and state.place.factor == 1:
        # tf2onnx writes what is added to the one row without its first dimension.
        rows = state.add("Reshape", [state.node.input[2], state.editor.indices([-1, *bias])])
        state.editor.set_inputs(state.node, [*state.node.input[:2], rows])
    elif len(bias) != 2 or place != state.place:
        raise Refused("adds something of other rows to each row")


def _concat(state: BatchState) -> None:
    """A constant part has a batch of 1: it is repeated for every picture."""
    node = state.node
    places = {state.places[name] for name in node.input if name in state.places}
    if len(places) != 1:
        raise Refused("joins tensors that have the batch in different places")
    (place,) = places
    batched = next(name for name in node.input if name in state.places)
    if attribute(node, "axis") % len(state.shapes[batched]) == place.axis:
        raise Refused("joins along the batch")
    inputs = [name if name in state.places else _repeated(state, name, batched, place) for name in node.input]
    state.editor.set_inputs(node, inputs)


def _repeated(state: BatchState, constant: str, batched: str, place: Place) -> str:
    """`constant` with the batch of `batched` in `place`; both tensors have the same rank.

    Where(false, a column of `batched`, constant) has the size without reading N.
    """
    if place.factor != 1 or state.editor.opset < 10:
        raise Refused("joins a constant to the batch")
    tensor = state.editor.tensors.get(constant)
    if tensor is None:
        raise Refused("joins what is not constant to the batch")
    rank = len(tensor.dims)
    axes = [axis for axis in range(rank) if axis != place.axis]
    limits = [state.editor.indices(values) for values in ([0] * len(axes), [1] * len(axes), axes)]
    column = state.add("Slice", [batched, *limits])
    never = state.editor.add_constant(np.zeros([1] * rank, np.bool_))
    return state.add("Where", [never, column, constant])


def _reshape(state: BatchState) -> None:
    """The first dimension of the target is what the batch makes larger, whatever it was."""
    target = state.shapes[state.node.output[0]]
    if any(size != 1 for size in state.shape[: state.place.axis]):
        raise Refused("takes the batch apart")
    if not target:
        raise Refused("makes a single number")
    state.editor.set_inputs(state.node, [state.node.input[0], state.editor.indices([-1, *target[1:]])])


_RULES: dict[str, Callable[[BatchState], None]] = {
    "Concat": _concat, "Gather": _gather, "GatherElements": _gather_elements, "Gemm": _gemm, "MatMul": _matmul,
    "Reshape": _reshape, "Resize": _resize, "Slice": _slice,
}  # fmt: skip


# Unrolling: the batch in a dimension of its own.


def _unroll(state: BatchState) -> None:
    """Replace `state.node` by nodes that compute the same for every picture.

    Raises:
        Refused: the operator cannot be moved to a tensor with one dimension more.
    """
    node, editor = state.node, state.editor
    operator = node.op_type
    if operator in PICTURES_FIRST | _ALONG_AXES | {"Reshape"}:
        first, *others = (state.place_of(index) for index in range(len(node.input)))
        if first is None or any(others):
            raise Refused("takes something else than values from the picture")
    targets = {name: state.shapes[name] for name in node.output if name}
    state.single.update(name for name, target in targets.items() if not target)
    if operator in PICTURES_FIRST:  # it takes N times as many pictures: [N, S0, ...] as [N * S0, ...]
        if len(node.output) != 1:
            raise Refused("cannot work on more pictures")
        target = state.editor.indices([-1, *state.shape[1:]])
        rows = state.add("Reshape", [_in_front(state, node.input[0]), target])
        editor.set_inputs(node, [rows, *node.input[1:]])
        state.added.append(node)
        return
    if operator == "Reshape":
        sources = [_in_front(state, node.input[0])]
    else:
        again = editor.add_like(node, _unrolled_inputs(state))
        state.added.append(again)
        sources = list(again.output)
    editor.remove(node)
    for name, source in zip(node.output, sources, strict=True):
        if name:
            state.add("Reshape", [source, state.editor.indices([-1, *targets[name][1:]])], name)


def _unrolled_inputs(state: BatchState) -> list[str]:
    """The node's inputs with the batch in front; its axes are moved one further."""
    node = state.node
    if node.op_type in _ALONG_AXES:
        _shift_axes(state)
        return [_in_front(state, node.input[0]), *node.input[1:]]
    if node.op_type == "GatherElements" and all(name in state.places for name in node.input):
        set_attribute(node, "axis", _axes(state)[0] + 1)
        return [_in_front(state, name) for name in node.input]
    if node.op_type == "Expand":
        rank = len(state.shapes[node.output[0]])
        return [_in_front(state, node.input[0], rank), state.editor.indices([1, *state.shapes[node.output[0]]])]
    if node.op_type == "Concat":
        set_attribute(node, "axis", attribute(node, "axis") % len(state.shape) + 1)
        fronts = {name: _in_front(state, name) for name in dict.fromkeys(node.input) if name in state.places}
        batched = next(iter(fronts.values()))
        for name in node.input:
            if name not in fronts:
                value = state.editor.constant(name)
                if value is None:
                    raise Refused("joins what is not constant to the batch")
                constant = state.editor.add_constant(value[np.newaxis])
                fronts[name] = _repeated(state, constant, batched, Place(0, 1))
        return [fronts[name] for name in node.input]
    if node.op_type not in POINTWISE | {"MatMul"}:
        raise Refused("cannot work on a batch in front of its input")
    rank = max(len(state.shapes[name]) for name in node.input if name)
    inputs = []
    for name in node.input:
        if name in state.places:
            inputs.append(_in_front(state, name, rank))
        elif name and node.op_type == "MatMul" and len(state.shapes[name]) < 2:
            raise Refused("multiplies single rows")
        else:  # without a batch: it is broadcast, which MatMul does from two dimensions on
            inputs.append(name)
    return inputs


def _in_front(state: BatchState, name: str, rank: int = 0) -> str:
    """`name`, of shape S at batch 1, as [N, *S]; S is given ones in front until it has `rank` dimensions."""
    place, shape = state.places[name], state.shapes[name]
    target = [*shape[: place.axis], -1, place.factor, *shape[place.axis + 1 :]]
    if place.axis == 0:
        target[1:1] = [1] * (rank - len(shape))
    elif len(shape) < rank:
        raise Refused("is wider than its input")
    output = state.add("Reshape", [name, state.editor.indices(target)])
    if place.axis != 0:
        others = [axis for axis in range(len(target)) if axis != place.axis]
        output = state.add("Transpose", [output], perm=[place.axis, *others])
    return output
