"""TFLite operators that tf2onnx 1.17.0 does not know at every opset, or writes so that TensorRT cannot build them.

Each is written in operators that every TensorRT takes: arithmetic, comparisons, and Gather with constant indices for
what only moves values; those on pictures stand in `convert.translate.picture_operators`. `register` puts the handlers
into tf2onnx's first pass (TFLite to TensorFlow), in the place of its own. The definitions are those of TFLite's
reference kernels (`tensorflow/lite/kernels`).

What a handler cannot write ends in a ValueError, which becomes a TranslationError (`convert.translate.worker`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from math import pi, prod, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Handler = Callable[..., None]


def _constant(node: Any) -> Any | None:
    """`node` if it is a constant, or the float16 one that it turns to float32; None for others."""
    if node is not None and node.type in {"TFL_DEQUANTIZE", "Cast"} and "scale" not in node.attr:
        node = node.inputs[0]
    return node if node is not None and node.is_const() else None


class Writer:
    """Writes ONNX nodes in the place of one TFLite node."""

    def __init__(self, ctx: Any, node: Any) -> None:
        self.ctx = ctx
        self.node = node
        self.inputs: list[str] = list(node.input)
        self.attributes = {name: node.get_attr_value(name) for name in node.attr}
        (self._output,) = node.output
        self.shape = ctx.get_shape(self._output)
        self._dtype = ctx.get_dtype(self._output)
        ctx.remove_node(node.name)

    @property
    def result(self) -> np.dtype[Any]:
        """The dtype of the node's output."""
        dtype: np.dtype[Any] = helper.tensor_dtype_to_np_dtype(self._dtype)
        return dtype

    def values(self, index: int) -> NDArray[Any]:
        """Input `index`, which must be constant, be it as float16."""
        producer = _constant(self.ctx.get_node_by_output(self.inputs[index]))
        if producer is None:
            raise ValueError(f"{self.node.type} takes as input {index + 1} what is not constant")
        value: NDArray[Any] = np.asarray(producer.get_tensor_value(as_list=False))
        return value.astype(np.float32) if value.dtype == np.float16 else value

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """A new constant."""
        from tf2onnx.utils import make_name  # only in the worker

        return str(self.ctx.make_const(make_name("constant"), np.array(value, dtype)).output[0])

    def add(self, operator: str, *inputs: str, dtype: int | None = None, **attributes: Any) -> str:
        """A new node; returns its output. `dtype`: ONNX's number, where it is not that of the first input."""
        kind = self.ctx.get_dtype(inputs[0]) if dtype is None else dtype
        node = self.ctx.make_node(operator, list(inputs), attr=attributes, op_name_scope=self.node.name)
        (output,) = node.output
        self.ctx.set_dtype(output, kind)
        return str(output)

    def clip(self, name: str, low: float, high: float) -> str:
        """`name` between two numbers."""
        return self.add("Clip", name, self.constant(low), self.constant(high))

    def cast(self, name: str, dtype: Any) -> str:
        """`name` in another number format."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.add("Cast", name, dtype=kind, to=kind)

    def gather(self, name: str, indices: NDArray[Any] | int, axis: int) -> str:
        """Entries of `name` along `axis`; int32, as TensorRT before 10 has no int64."""
        return self.add("Gather", name, self.constant(indices, np.int32), axis=axis)

    def reshape(self, name: str, shape: Sequence[int]) -> str:
        """`name` as `shape`."""
        return self.add("Reshape", name, self.constant(shape, np.int64))

    def pad(self, name: str, pads: NDArray[Any]) -> str:
        """Zeros before and behind each axis, [rank, 2]."""
        return self.add("Pad", name, self.constant(pads.T.reshape(-1), np.int64))

    def sum(self, name: str, axis: int, *, keep: bool = False) -> str:
        """Along `axis`: an attribute of ReduceSum until opset 13, an input since."""
        if self.ctx.opset < 13:
            return self.add("ReduceSum", name, axes=[axis], keepdims=int(keep))
        return self.add("ReduceSum", name, self.constant([axis], np.int64), keepdims=int(keep))

    def compare(self, operator: str, first: str, second: str) -> str:
        """A node that gives bool."""
        return self.add(operator, first, second, dtype=TensorProto.BOOL)

    def shape_of(self, index: int) -> list[int]:
        """Of input `index`, which must be known."""
        return self._known(self.ctx.get_shape(self.inputs[index]))

    @property
    def target(self) -> list[int]:
        """The shape of the node's output, which must be known."""
        return self._known(self.shape)

    def _known(self, shape: Sequence[int] | None) -> list[int]:
        """`shape` with a batch of 1 where that is open, as `convert.translate.worker` makes it."""
        if shape is None or min(shape[1:], default=1) < 0:
            raise ValueError(f"{self.node.type} works on a tensor of open size")
        return [1 if size < 0 else int(size) for size in shape]

    def finish(self, name: str) -> None:
        """Let `name` be what the node gave."""
        result = {"outputs": [self._output], "shapes": [self.shape], "dtypes": [self._dtype]}
        self.ctx.make_node("Identity", [name], name=self.node.name, **result)


def _handler(write: Callable[[Writer], str], separate: Callable[[Any, Any], None]) -> Handler:
    """`write` as tf2onnx calls it, behind `separate`, which takes out a fused activation."""

    def handle(ctx: Any, node: Any, **_: Any) -> None:
        if "fused_activation_function" in node.attr:
            separate(ctx, node)
        writer = Writer(ctx, node)
        writer.finish(write(writer))

    return handle


def _hard_swish(writer: Writer) -> str:
    """x * min(max(x + 3, 0), 6) / 6; ONNX's own HardSwish is of opset 14."""
    (x,) = writer.inputs
    inner = writer.clip(writer.add("Add", x, writer.constant(3)), 0.0, 6.0)
    return writer.add("Mul", writer.add("Mul", x, inner), writer.constant(1 / 6))


def _gelu(writer: Writer) -> str:
    """x times the normal distribution up to x, exact or by tanh; ONNX's own Gelu is of opset 20."""
    (x,) = writer.inputs
    half = writer.add("Mul", x, writer.constant(0.5))
    if writer.attributes.get("approximate"):
        cube = writer.add("Mul", writer.add("Mul", writer.add("Mul", x, x), x), writer.constant(0.044715))
        inner = writer.add("Tanh", writer.add("Mul", writer.add("Add", x, cube), writer.constant(sqrt(2 / pi))))
    else:
        inner = writer.add("Erf", writer.add("Mul", x, writer.constant(sqrt(0.5))))
    return writer.add("Mul", half, writer.add("Add", inner, writer.constant(1)))


def _sign(writer: Writer) -> str:
    """TensorRT has Sign since 8.2."""
    x, zero = writer.inputs[0], writer.constant(0, writer.result)
    above, below = (writer.compare(each, x, zero) for each in ("Greater", "Less"))
    return writer.add("Sub", writer.cast(above, writer.result), writer.cast(below, writer.result))


def _select(writer: Writer) -> str:
    """tf2onnx multiplies by 0 and 1, which makes NaN of what is infinite on the side not chosen: x / 0, log(0)."""
    condition, *values = writer.inputs
    shape, rank = writer.shape_of(0), len(writer.target)
    if writer.node.type == "TFL_SELECT" and len(shape) == 1 and rank > 1:  # one for each row
        condition = writer.reshape(condition, [*shape, *([1] * (rank - 1))])
    return writer.add("Where", condition, *values, dtype=TensorProto.FLOAT)


def _pow(writer: Writer) -> str:
    """Integers, which ONNX's Pow has since opset 12, by floats: exact up to 2^24.

    Pow may give a bit less than a whole number: 1/4 more, rounded down, is that number; 1/2 would be too much from
    2^23 on, where float32 has no halves.
    """
    power = writer.add("Pow", *(writer.cast(name, np.float32) for name in writer.inputs))
    return writer.cast(writer.add("Floor", writer.add("Add", power, writer.constant(0.25))), writer.result)


def _atan2(writer: Writer) -> str:
    """The angle of y / x, left of the y axis half a turn more or less; on it a quarter of a turn, or 0 for 0 / 0.

    By comparisons: no constant is so small that it is 0 in float16. TensorRT has Sign, which tf2onnx writes, since 8.2.
    """
    y, x = writer.inputs
    zero, one = writer.constant(0), writer.constant(1)
    left, right, below, above = (
        writer.cast(writer.compare(each, name, zero), np.float32) for name in (x, y) for each in ("Less", "Greater")
    )
    beside = writer.add("Add", left, right)
    on_axis = writer.add("Sub", one, beside)
    angle = writer.add("Mul", writer.add("Atan", writer.add("Div", y, writer.add("Add", x, on_axis))), beside)
    quarter = writer.add("Mul", writer.add("Sub", above, below), writer.constant(pi / 2))
    turn = writer.add("Sub", writer.constant(pi), writer.add("Mul", below, writer.constant(2 * pi)))
    turn = writer.add("Add", writer.add("Mul", left, turn), writer.add("Mul", on_axis, quarter))
    return writer.add("Add", angle, turn)


def _l2_normalization(writer: Writer) -> str:
    """Along the last axis; a length below 1e-6 counts as that, which LpNormalization does not know."""
    (x,) = writer.inputs
    length = writer.add("Sqrt", writer.sum(writer.add("Mul", x, x), len(writer.target) - 1, keep=True))
    return writer.add("Div", x, writer.add("Max", length, writer.constant(1e-6)))


def _cumulative_sum(writer: Writer) -> str:
    """A product of matrices, as TensorRT has CumSum since 7.2."""
    size, axis = writer.target, int(writer.values(1)) % len(writer.target)
    later = np.tri(size[axis], k=-1 if writer.attributes["exclusive"] else 0)
    order = list(range(len(size)))
    order[axis], order[-1] = order[-1], order[axis]
    rows = writer.add("Transpose", writer.inputs[0], perm=order)
    sums = writer.add("MatMul", rows, writer.constant(later if writer.attributes["reverse"] else later.T))
    return writer.add("Transpose", sums, perm=order)


def _round(writer: Writer) -> str:
    """Halves to even numbers; TensorRT has Round since 8.2.

    One more than the whole number below where the rest is above one half, or one half and the number odd: 2^-25 is the
    step of float32 below one half.
    """
    (x,) = writer.inputs
    below = writer.add("Floor", x)
    pairs = writer.add("Floor", writer.add("Mul", below, writer.constant(0.5)))
    odd = writer.add("Sub", below, writer.add("Mul", pairs, writer.constant(2)))
    limit = writer.add("Sub", writer.constant(0.5), writer.add("Mul", odd, writer.constant(2.0**-25)))
    up = writer.compare("Greater", writer.add("Sub", x, below), limit)
    return writer.add("Add", below, writer.cast(up, np.float32))


def _pad(writer: Writer) -> str:
    """TensorRT before 8.2 pads with 0 only: the other value is added where the padding is."""
    pads = writer.values(1).astype(np.int64)
    shape = [writer.shape_of(0)[axis] if each.any() else 1 for axis, each in enumerate(pads)]
    value = writer.values(2).reshape(-1)[0]
    edge = np.pad(np.zeros(shape, np.float32), pads, constant_values=value)
    return writer.add("Add", writer.pad(writer.inputs[0], pads), writer.constant(edge))


def _reverse(writer: Writer) -> str:
    name, rank = writer.inputs[0], writer.ctx.get_rank(writer.inputs[0])
    for axis in sorted({int(axis) % rank for axis in writer.values(1).reshape(-1)}):
        if axis > 0 or writer.shape_of(0)[axis] != 1:
            name = writer.gather(name, np.arange(writer.shape_of(0)[axis])[::-1], axis)
    return name


def _numbered(writer: Writer) -> NDArray[Any]:
    """The number of each value of the first input, counted through its memory."""
    shape = writer.shape_of(0)
    return np.arange(prod(shape)).reshape(shape)


def _moved(writer: Writer, numbers: NDArray[Any]) -> str:
    """The values of the first input that have `numbers`, which is of the node's shape."""
    values = writer.gather(writer.reshape(writer.inputs[0], [-1]), numbers.reshape(-1), 0)
    return writer.reshape(values, numbers.shape)


def _reverse_sequence(writer: Writer) -> str:
    """The first entries of each row, as many as a constant says, in reverse order."""
    counts, numbers = writer.values(1).reshape(-1), _numbered(writer)
    rows, axis = writer.attributes["batch_dim"], writer.attributes["seq_dim"]
    moved = np.moveaxis(numbers, (rows, axis), (0, 1))  # a view
    for row, count in zip(moved, counts, strict=True):
        row[:count] = row[:count][::-1].copy()
    return _moved(writer, numbers)


def _matrix_diag(writer: Writer) -> str:
    """Each row as the diagonal of a square that is 0 elsewhere."""
    rows = writer.reshape(writer.inputs[0], [*writer.shape[:-1], 1])
    return writer.add("Mul", rows, writer.constant(np.eye(writer.shape[-1]), writer.result))


def _matrix_set_diag(writer: Writer) -> str:
    """Squares and other matrices with other values along the diagonal."""
    *rest, rows, columns = writer.target
    diagonal = [*rest, 1, columns] if columns <= rows else [*rest, rows, 1]
    mask = writer.constant(np.eye(rows, columns), np.bool_)
    values = writer.reshape(writer.inputs[1], diagonal)
    return writer.add("Where", mask, values, writer.inputs[0], dtype=writer.ctx.get_dtype(writer.inputs[0]))


def _one_hot(writer: Writer) -> str:
    """Where indices equal 0, 1, ... depth - 1, the one value, elsewhere the other."""
    depth, on, off = (writer.values(index) for index in (1, 2, 3))
    rank = len(writer.shape)
    axis = writer.attributes.get("axis", -1) % rank
    shape = list(writer.ctx.get_shape(writer.inputs[0]))
    target = [*shape[:axis], 1, *shape[axis:]]
    if target.count(-1) > 1:
        raise ValueError("ONE_HOT of indices of open size")
    indices = writer.reshape(writer.cast(writer.inputs[0], np.int32), target)
    classes = np.arange(int(depth)).reshape([-1 if each == axis else 1 for each in range(rank)])
    hit = writer.compare("Equal", indices, writer.constant(classes, np.int32))
    if writer.result == np.bool_:
        return hit if on and not off else writer.add("Not", hit)
    hit = writer.cast(hit, writer.result)
    scaled = writer.add("Mul", hit, writer.constant(on - off, writer.result))
    return writer.add("Add", scaled, writer.constant(off, writer.result))


def _floor_div(writer: Writer, *, modulo: bool = False) -> str:
    """The quotient of integers rounded down, or what is left of it; Div rounds towards zero."""
    x, y = writer.inputs
    quotient = writer.add("Div", x, y)
    rest = writer.add("Sub", x, writer.add("Mul", quotient, y))
    zero, less = writer.constant(0, writer.result), []
    for low, high in ((rest, y), (y, rest)):  # one is below 0, the other above; a product of both may overflow
        below, above = writer.compare("Less", low, zero), writer.compare("Less", zero, high)
        less.append(writer.add("Mul", writer.cast(below, writer.result), writer.cast(above, writer.result)))
    one = writer.add("Add", *less)
    return writer.add("Add", rest, writer.add("Mul", one, y)) if modulo else writer.add("Sub", quotient, one)


def _right_shift(writer: Writer) -> str:
    """Of integers with a sign this is a division by a power of 2, rounded down; TensorRT has no shift."""
    powers = writer.constant([1 << bit for bit in range(writer.result.itemsize * 8 - 1)], writer.result)
    writer.inputs[1] = writer.add("Gather", powers, writer.inputs[1], axis=0)
    return _floor_div(writer)


def _bitwise_xor(writer: Writer) -> str:
    """Bit by bit, in a dimension behind the others; TensorRT has no operators on bits.

    All bits of -1 - x are the other way round than those of x: what is below 0 is turned so, and the result where one
    of both was.
    """
    powers, two = (writer.constant(each, np.int32) for each in ([1 << bit for bit in range(31)], 2))
    bits, signs = [], []
    for index in range(2):
        x = writer.cast(writer.inputs[index], np.int32)
        signs.append(writer.cast(writer.compare("Less", x, writer.constant(0, np.int32)), np.int32))
        rows = writer.reshape(_inverted(writer, x, signs[-1]), [*writer.shape_of(index), 1])
        halves = writer.add("Div", rows, powers)
        bits.append(writer.add("Sub", halves, writer.add("Mul", writer.add("Div", halves, two), two)))
    unequal = writer.add("Sub", *bits)
    weighted = writer.add("Mul", writer.add("Mul", unequal, unequal), powers)
    total = writer.sum(weighted, len(writer.shape))
    unequal = writer.add("Sub", *signs)
    return writer.cast(_inverted(writer, total, writer.add("Mul", unequal, unequal)), writer.result)


def _inverted(writer: Writer, x: str, where: str) -> str:
    """-1 - x where `where` is 1, x where it is 0; int32."""
    twice = writer.add("Add", x, writer.add("Add", x, writer.constant(1, np.int32)))
    return writer.add("Sub", x, writer.add("Mul", where, twice))


def _bucketize(writer: Writer) -> str:
    """How many of the boundaries, which are sorted, are not above each value."""
    limits = np.array(writer.attributes["boundaries"], np.float32)
    (x,), shape, ones = writer.inputs, writer.shape_of(0), writer.constant(np.ones((len(limits), 1)))
    kind = np.dtype(np.float32 if writer.ctx.get_dtype(x) == TensorProto.FLOAT else np.int32)
    boundaries = writer.constant(limits if kind == np.float32 else np.ceil(limits), kind)
    reached = writer.add("Not", writer.compare("Less", writer.reshape(writer.cast(x, kind), [*shape, 1]), boundaries))
    count = writer.add("MatMul", writer.cast(reached, np.float32), ones)
    return writer.cast(writer.reshape(count, shape), writer.result)


def _picked(writer: Writer, data: Sequence[int], indices: str, count: int) -> str:
    """Entries of the first input by indices that are computed, too.

    Args:
        data: the input's shape: [*rows that have indices of their own, before the axis, the axis, behind it].
        indices: int32.
        count: how many there are for each row.
    """
    *rows, before, size, behind = data
    places = writer.reshape(indices, [*rows, 1, count, 1])
    if before != 1 or behind != 1:
        target = writer.constant([*rows, before, count, behind], np.int64)
        places = writer.add("Expand", places, target)
    values = writer.reshape(writer.inputs[0], [*rows, before, size, behind])
    return writer.reshape(writer.add("GatherElements", values, places, axis=len(rows) + 1), writer.target)


def _gather(writer: Writer) -> str:
    """Of several rows each by its own indices; or by indices that are computed from a picture, as the input is."""
    shape, places = writer.shape_of(0), writer.shape_of(1)
    rows, axis = writer.attributes.get("batch_dims", 0), writer.attributes["axis"] % len(shape)
    if writer.ctx.get_node_by_output(writer.inputs[1]).is_const():
        numbers = _numbered(writer).reshape(prod(shape[:rows]), *shape[rows:])
        indices = writer.values(1).reshape(prod(shape[:rows]), *places[rows:])
        picked = [np.take(each, those, axis - rows) for each, those in zip(numbers, indices, strict=True)]
        return _moved(writer, np.reshape(picked, writer.target))
    data = [*(shape[:rows] or [1]), prod(shape[rows:axis]), shape[axis], prod(shape[axis + 1 :])]
    return _picked(writer, data, writer.cast(writer.inputs[1], np.int32), prod(places[rows:]))


def _scattered(writer: Writer, rows: NDArray[Any], count: int, values: str) -> str:
    """The rows of `values`, [n, ...], added up in a tensor of `count` rows: the first in row `rows[0]`, and so on;
    where that is below 0 in none."""
    width = prod(writer.target) // count
    values = writer.reshape(values, [1, len(rows), width])
    if len(set(rows.tolist())) == len(rows):  # no sums: each is moved, and zeros are put behind them for the others
        order = np.full(count, len(rows))
        order[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
        zeros = writer.constant(np.zeros((1, 1, width)), writer.result)
        values = writer.gather(writer.add("Concat", values, zeros, axis=1), order, 1)
    elif writer.result == np.float32:
        values = writer.add("MatMul", writer.constant(rows == np.arange(count)[:, np.newaxis]), values)
    else:  # TensorRT multiplies no matrices of integers
        there = writer.constant((rows == np.arange(count)[:, np.newaxis])[np.newaxis, ..., np.newaxis], writer.result)
        values = writer.sum(writer.add("Mul", writer.reshape(values, [1, 1, len(rows), width]), there), 2)
    return writer.reshape(values, writer.target)


def _scatter_nd(writer: Writer) -> str:
    """By constant indices of the first dimensions, which become one."""
    indices, shape = writer.values(0).astype(np.int64), writer.target
    rows = indices @ _steps(shape, indices.shape[-1])
    return _scattered(writer, rows.reshape(-1), prod(shape[: indices.shape[-1]]), writer.inputs[1])


def _segment_sum(writer: Writer) -> str:
    """By constant numbers of the segments."""
    return _scattered(writer, writer.values(1), writer.target[0], writer.inputs[0])


def _dynamic_update_slice(writer: Writer) -> str:
    """At a constant place, which is moved inside where the slice would reach out."""
    shape, part = writer.shape_of(0), writer.shape_of(1)
    start = np.clip(writer.values(2), 0, np.subtract(shape, part))
    numbers = _numbered(writer)
    there = tuple(slice(at, at + size) for at, size in zip(start, part, strict=True))
    numbers[there] = prod(shape) + np.arange(prod(part)).reshape(part)
    flat = [writer.reshape(name, [1, -1]) for name in writer.inputs[:2]]
    values = writer.gather(writer.add("Concat", *flat, axis=1), numbers.reshape(-1), 1)
    return writer.reshape(values, shape)


def _fake_quant(writer: Writer) -> str:
    """Rounding to steps of which one is 0 (`NudgeQuantizationRange`, `FakeQuantizeArray`): halves go up."""
    least, largest = (np.float32(writer.attributes[end]) for end in ("min", "max"))
    steps = (1 << writer.attributes["num_bits"]) - 1
    scale = (largest - least) / np.float32(steps)
    zero = np.float32(np.floor(np.clip(-least / scale, 0, steps) + 0.5))
    low, high = float(-zero * scale), float((steps - zero) * scale)
    inside = writer.add("Sub", writer.clip(writer.inputs[0], low, high), writer.constant(low))
    codes = writer.add("Mul", inside, writer.constant(np.float32(1) / scale))
    codes = writer.add("Floor", writer.add("Add", codes, writer.constant(0.5)))
    return writer.add("Add", writer.add("Mul", codes, writer.constant(scale)), writer.constant(low))


def _dilate(writer: Writer) -> str:
    """One value between the entries of each axis, as often as a constant says."""
    numbers, steps = _numbered(writer), writer.values(1)
    places = np.full(writer.target, numbers.size)
    places[tuple(slice(None, None, step) for step in steps)] = numbers
    flat = [writer.reshape(name, [1, -1]) for name in (writer.inputs[0], writer.inputs[2])]
    return writer.reshape(writer.gather(writer.add("Concat", *flat, axis=1), places.reshape(-1), 1), places.shape)


def _softmax(writer: Writer) -> str:
    """Of values times beta."""
    scaled = writer.add("Mul", writer.inputs[0], writer.constant(writer.attributes["beta"]))
    return writer.add("Softmax", scaled, axis=len(writer.shape) - 1)


def _arg_most(writer: Writer, operator: str) -> str:
    """Where along one axis, which is given as a list, the largest or smallest value is."""
    axis = writer.values(1).item()
    found = writer.add(operator, writer.inputs[0], dtype=TensorProto.INT64, axis=axis, keepdims=0)
    return writer.cast(found, writer.result)


def _steps(shape: Sequence[int], count: int) -> NDArray[np.int64]:
    """By how much the first `count` indices of a tensor count, where these dimensions become one."""
    return np.array([prod(shape[axis + 1 : count]) for axis in range(count)], np.int64)


def _gather_nd(writer: Writer) -> str:
    """Entries of the first dimensions, which become one, by indices that are constant or computed."""
    shape, (*places, count) = writer.shape_of(0), writer.shape_of(1)
    steps = _steps(shape, count)
    if writer.ctx.get_node_by_output(writer.inputs[1]).is_const():
        rows = writer.reshape(writer.inputs[0], [-1, *shape[count:]])
        return writer.gather(rows, writer.values(1).astype(np.int64) @ steps, 0)
    indices = writer.reshape(writer.cast(writer.inputs[1], np.float32), [1, prod(places), count])
    indices = writer.add("MatMul", indices, writer.constant(steps[:, np.newaxis]))
    data = [1, 1, prod(shape[:count]), prod(shape[count:])]
    return _picked(writer, data, writer.cast(indices, np.int32), prod(places))


HANDLERS: dict[str, Callable[[Writer], str]] = {
    "TFL_EMBEDDING_LOOKUP": lambda writer: writer.add("Gather", *writer.inputs[::-1], axis=0),
    "TFL_RELU_0_TO_1": lambda writer: writer.clip(writer.inputs[0], 0.0, 1.0),
    "TFL_RELU_N1_TO_1": lambda writer: writer.clip(writer.inputs[0], -1.0, 1.0),
    "TFL_STABLEHLO_ADD": lambda writer: writer.add("Add", *writer.inputs),
    "TFL_STABLEHLO_MULTIPLY": lambda writer: writer.add("Mul", *writer.inputs),
    "TFL_ATAN2": _atan2, "TFL_BITWISE_XOR": _bitwise_xor, "TFL_BUCKETIZE": _bucketize, "TFL_DILATE": _dilate,
    "TFL_DYNAMIC_UPDATE_SLICE": _dynamic_update_slice, "TFL_FAKE_QUANT": _fake_quant, "TFL_GATHER_ND": _gather_nd,
    "TFL_GELU": _gelu, "TFL_HARD_SWISH": _hard_swish, "TFL_MATRIX_DIAG": _matrix_diag,
    "TFL_MATRIX_SET_DIAG": _matrix_set_diag, "TFL_ONE_HOT": _one_hot,
    "TFL_REVERSE_SEQUENCE": _reverse_sequence, "TFL_REVERSE_V2": _reverse, "TFL_RIGHT_SHIFT": _right_shift,
    "TFL_ROUND": _round, "TFL_SCATTER_ND": _scatter_nd, "TFL_SEGMENT_SUM": _segment_sum, "TFL_SIGN": _sign,
    "TFL_UNSORTED_SEGMENT_SUM": _segment_sum,
}  # fmt: skip


def _of(kinds: set[int], *, until: int = 99) -> Callable[[Any, Any], bool]:
    """Whether an operator takes one of these types, and the opset is before `until`."""
    return lambda ctx, node: ctx.opset < until and any(ctx.get_dtype(name) in kinds for name in node.input)


def depends(ctx: Any, source: str) -> bool:
    """Whether the tensor `source` depends on the network's input, and not on its shape alone."""
    names, known = [source], set(ctx.input_names)
    seen: set[str] = set()
    while names:
        name = names.pop()
        if name in known:
            return True
        if name not in seen:
            seen.add(name)
            producer = ctx.get_node_by_output(name)
            names += [] if producer is None or producer.type in {"Shape", "TFL_SHAPE"} else producer.input
    return False


def _has_own_indices(ctx: Any, node: Any) -> bool:
    """Whether a GATHER has indices for each row, or ones that are computed as its input is."""
    return bool(node.get_attr_value("batch_dims", 0)) or all(depends(ctx, name) for name in node.input)


def _lists_its_axis(_: Any, node: Any) -> bool:
    """Whether an ARG_MAX has its axis as a list of one; TFLite's converter writes a number."""
    return bool(node.inputs[1].is_const() and node.inputs[1].get_tensor_value(as_list=False).ndim == 1)


def _pads_floats(ctx: Any, node: Any) -> bool:
    """Whether a PADV2 pads float32 numbers by constant widths with one constant."""
    return ctx.get_dtype(node.output[0]) == TensorProto.FLOAT and all(_constant(each) for each in node.inputs[1:])


_INTEGERS = {
    TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
}  # fmt: skip

_FLOATS = {TensorProto.FLOAT}

# Only where tf2onnx is wrong, or writes what TensorRT 7 (opset 11) lacks: what it writes for the others stays as it is.
SOMETIMES: dict[str, tuple[Callable[[Any, Any], bool], Callable[[Writer], str]]] = {
    # ONNX's Sum has no integers.
    "TFL_ADD_N": (_of(_INTEGERS), lambda writer: reduce(partial(writer.add, "Add"), writer.inputs)),
    "TFL_ARG_MAX": (_lists_its_axis, partial(_arg_most, operator="ArgMax")),
    "TFL_ARG_MIN": (_lists_its_axis, partial(_arg_most, operator="ArgMin")),
    "TFL_CUMSUM": (_of(_FLOATS, until=13), _cumulative_sum),
    "TFL_FLOOR_DIV": (_of(_INTEGERS), _floor_div),
    "TFL_FLOOR_MOD": (_of(_INTEGERS), partial(_floor_div, modulo=True)),
    "TFL_GATHER": (_has_own_indices, _gather),
    "TFL_L2_NORMALIZATION": (_of(_FLOATS), _l2_normalization),
    "TFL_PADV2": (_pads_floats, _pad),
    "TFL_POW": (_of(_INTEGERS, until=12), _pow),
    "TFL_SELECT": (_of(_FLOATS), _select),
    "TFL_SELECT_V2": (_of(_FLOATS), _select),
    "TFL_SOFTMAX": (lambda _, node: node.get_attr_value("beta", 1.0) != 1.0, _softmax),
}


def register(
    handlers: Mapping[str, Callable[[Writer], str]],
    sometimes: Mapping[str, tuple[Callable[[Any, Any], bool], Callable[[Writer], str]]],
) -> None:
    """Put these into tf2onnx, once (`patch_tf2onnx`); it must be importable.

    Args:
        handlers: of operators, by TFLite's name behind "TFL_".
        sometimes: where a node needs one: whether it does, and the handler.
    """
    from tf2onnx.handler import tfl_op  # only in the worker, and only after TensorFlow is settled
    from tf2onnx.tflite_handlers import tfl_math, tfl_nn

    mapping = tfl_op.create_tfl_to_tf_mapping()
    separate = partial(_separate, others=tfl_math.separate_fused_activation_function)
    tfl_math.separate_fused_activation_function = tfl_nn.separate_fused_activation_function = separate
    for operator in ("MAXIMUM", "MINIMUM"):  # theirs casts integers until opset 12
        mapping[f"TFL_STABLEHLO_{operator}"] = mapping[f"TFL_{operator}"]
    for operator, write in handlers.items():
        mapping[operator] = (_handler(write, separate), {})
    for operator, (applies, write) in sometimes.items():
        mapping[operator] = _unless(mapping[operator], applies, write, separate)


def _separate(ctx: Any, node: Any, others: Callable[[Any, Any], None]) -> None:
    """A fused RELU_N1_TO_1 becomes a Clip behind the node; LiteRT's kernels do nothing for TANH and SIGN_BIT (see
    `CalculateActivationRange`); `others` are tf2onnx's."""
    fused = node.attr["fused_activation_function"].s
    if fused not in {b"RELU_N1_TO_1", b"TANH", b"SIGN_BIT"}:
        others(ctx, node)
        return
    del node.attr["fused_activation_function"]
    if fused != b"RELU_N1_TO_1":
        return
    (output,) = node.output
    from tf2onnx.utils import make_name  # only in the worker

    limits = [ctx.make_const(make_name("limit"), np.float32(value)).output[0] for value in (-1, 1)]
    clip = ctx.insert_new_node_on_output("Clip", output, inputs=[output, *limits])
    clip.skip_conversion = True
    ctx.copy_shape(output, clip.output[0])
    ctx.copy_dtype(output, clip.output[0])


def _unless(
    entry: tuple[Handler, dict[str, Any]],
    applies: Callable[[Any, Any], bool],
    write: Callable[[Writer], str],
    separate: Callable[[Any, Any], None],
) -> tuple[Handler, dict[str, Any]]:
    """tf2onnx's entry for an operator, with our handler where `applies` says so."""
    theirs, settings = entry
    ours = _handler(write, separate)

    def handle(ctx: Any, node: Any, **options: Any) -> None:
        if applies(ctx, node):
            ours(ctx, node)
            return
        node.type = settings["tf_op"]
        theirs(ctx, node, **options)

    return handle, {}  # without "tf_op", by which tf2onnx would rename the node before
