"""TFLite operators that tf2onnx 1.17.0 does not know at every opset, or writes so that TensorRT cannot build them.

Each is written in operators that every TensorRT takes: arithmetic, comparisons, and Gather with constant indices for
what only moves values. `register` puts the handlers into tf2onnx's first pass (TFLite to TensorFlow), in the place of
its own. The definitions are those of TFLite's reference kernels (`tensorflow/lite/kernels`).

What a handler cannot write ends in a ValueError, which becomes a TranslationError (`convert.translate.worker`).
"""

from __future__ import annotations

from math import pi, prod, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.graph.cleanup import resize_scales

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Handler = Callable[..., None]

_INTEGERS = {np.dtype(name) for name in ("int8", "uint8", "int16", "int32", "int64")}


class _Writer:
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
        from tf2onnx.utils import map_onnx_to_numpy_type  # only in the worker

        dtype: np.dtype[Any] = np.dtype(map_onnx_to_numpy_type(self._dtype))
        return dtype

    def values(self, index: int) -> NDArray[Any]:
        """Input `index`, which must be constant, be it as float16."""
        producer = self.ctx.get_node_by_output(self.inputs[index])
        if producer is not None and producer.type in {"TFL_DEQUANTIZE", "Cast"} and "scale" not in producer.attr:
            producer = producer.inputs[0]
        if producer is None or not producer.is_const():
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
        """`name` between two numbers: attributes of Clip until opset 11, inputs since."""
        if self.ctx.opset < 11:
            return self.add("Clip", name, min=low, max=high)
        return self.add("Clip", name, self.constant(low), self.constant(high))

    def cast(self, name: str, dtype: Any) -> str:
        """`name` in another number format."""
        from tf2onnx.utils import map_numpy_to_onnx_dtype  # only in the worker

        kind = map_numpy_to_onnx_dtype(np.dtype(dtype))
        return self.add("Cast", name, dtype=kind, to=kind)

    def gather(self, name: str, indices: NDArray[Any], axis: int) -> str:
        """Entries of `name` along `axis`; int32, as TensorRT before 10 has no int64."""
        return self.add("Gather", name, self.constant(indices, np.int32), axis=axis)

    def become(self, dtype: int) -> None:
        """Let the node's output have another number format, of `onnx.TensorProto`."""
        self._dtype = dtype

    def finish(self, name: str) -> None:
        """Let `name` be what the node gave."""
        kind, shape = self._dtype, self.shape
        self.ctx.make_node(
            "Identity", [name], outputs=[self._output], name=self.node.name, shapes=[shape], dtypes=[kind]
        )


def _handler(write: Callable[[_Writer], str]) -> Handler:
    """`write` as tf2onnx calls it."""

    def handle(ctx: Any, node: Any, **_: Any) -> None:
        writer = _Writer(ctx, node)
        writer.finish(write(writer))

    return handle


def _hard_swish(writer: _Writer) -> str:
    """x * min(max(x + 3, 0), 6) / 6; ONNX's own HardSwish is of opset 14."""
    (x,) = writer.inputs
    inner = writer.clip(writer.add("Add", x, writer.constant(3)), 0.0, 6.0)
    return writer.add("Mul", writer.add("Mul", x, inner), writer.constant(1 / 6))


def _gelu(writer: _Writer) -> str:
    """x times the normal distribution up to x, exact or by tanh; ONNX's own Gelu is of opset 20."""
    (x,) = writer.inputs
    half = writer.add("Mul", x, writer.constant(0.5))
    if writer.attributes.get("approximate"):
        cube = writer.add("Mul", writer.add("Mul", writer.add("Mul", x, x), x), writer.constant(0.044715))
        inner = writer.add("Tanh", writer.add("Mul", writer.add("Add", x, cube), writer.constant(sqrt(2 / pi))))
    elif writer.ctx.opset < 9:
        raise ValueError("Opset 9 is required for GELU")
    else:
        inner = writer.add("Erf", writer.add("Mul", x, writer.constant(sqrt(0.5))))
    return writer.add("Mul", half, writer.add("Add", inner, writer.constant(1)))


def _relu_n1_to_1(writer: _Writer) -> str:
    return writer.clip(writer.inputs[0], -1.0, 1.0)


def _relu_0_to_1(writer: _Writer) -> str:
    return writer.clip(writer.inputs[0], 0.0, 1.0)


def _sign(writer: _Writer) -> str:
    """TensorRT has Sign since 8.2."""
    from onnx import TensorProto  # only in the worker

    x, zero = writer.inputs[0], writer.constant(0, writer.result)
    above, below = (writer.add(each, x, zero, dtype=TensorProto.BOOL) for each in ("Greater", "Less"))
    return writer.add("Sub", writer.cast(above, writer.result), writer.cast(below, writer.result))


def _round(writer: _Writer) -> str:
    """Halves to even numbers; TensorRT has Round since 8.2.

    One more than the whole number below where the rest is above one half, or one half and the number odd: 2^-25 is the
    step of float32 below one half.
    """
    from onnx import TensorProto  # only in the worker

    (x,) = writer.inputs
    below = writer.add("Floor", x)
    pairs = writer.add("Floor", writer.add("Mul", below, writer.constant(0.5)))
    odd = writer.add("Sub", below, writer.add("Mul", pairs, writer.constant(2)))
    limit = writer.add("Sub", writer.constant(0.5), writer.add("Mul", odd, writer.constant(2.0**-25)))
    up = writer.add("Greater", writer.add("Sub", x, below), limit, dtype=TensorProto.BOOL)
    return writer.add("Add", below, writer.cast(up, np.float32))


def _pad(writer: _Writer) -> str:
    """TensorRT before 8.2 pads with 0 only: the other value is added where the padding is."""
    pads = writer.values(1).astype(np.int64)
    shape = [_size(writer, axis) if each.any() else 1 for axis, each in enumerate(pads)]
    value = writer.values(2).reshape(-1)[0]
    edge = np.pad(np.zeros(shape, np.float32), pads, constant_values=value)
    if writer.ctx.opset < 11:
        name = writer.add("Pad", writer.inputs[0], pads=pads.T.reshape(-1).tolist())
    else:
        name = writer.add("Pad", writer.inputs[0], writer.constant(pads.T.reshape(-1), np.int64))
    return writer.add("Add", name, writer.constant(edge))


def _size(writer: _Writer, axis: int) -> int:
    shape = writer.ctx.get_shape(writer.inputs[0])
    if shape is None or shape[axis] < 0:
        raise ValueError(f"{writer.node.type} works along an axis of open size")
    return int(shape[axis])


def _reverse(writer: _Writer) -> str:
    name, rank = writer.inputs[0], writer.ctx.get_rank(writer.inputs[0])
    for axis in sorted({int(axis) % rank for axis in writer.values(1).reshape(-1)}):
        if axis > 0 or _size(writer, axis) != 1:
            name = writer.gather(name, np.arange(_size(writer, axis))[::-1], axis)
    return name


def _reverse_sequence(writer: _Writer) -> str:
    """The first entries of an axis, as many as the one constant says, in reverse order."""
    (count,) = writer.values(1).reshape(-1).tolist()
    axis = writer.attributes["seq_dim"]
    order = np.arange(_size(writer, axis))
    order[:count] = order[:count][::-1]
    return writer.gather(writer.inputs[0], order, axis)


def _matrix_diag(writer: _Writer) -> str:
    """Each row as the diagonal of a square that is 0 elsewhere."""
    shape = writer.shape
    rows = writer.add("Reshape", writer.inputs[0], writer.constant([*shape[:-1], 1], np.int64))
    return writer.add("Mul", rows, writer.constant(np.eye(shape[-1]), writer.result))


def _mirror_pad(writer: _Writer) -> str:
    """ONNX's Pad mirrors without the edge only ("reflect"), and TensorRT before 8.5 only pads with a constant."""
    mode = {b"REFLECT": "reflect", b"SYMMETRIC": "symmetric"}[writer.attributes["mode"]]
    name = writer.inputs[0]
    for axis, pads in enumerate(writer.values(1)):
        if pads.any():
            name = writer.gather(name, np.pad(np.arange(_size(writer, axis)), pads, mode), axis)  # type: ignore[call-overload]
    return name


def _one_hot(writer: _Writer) -> str:
    """Where indices equal 0, 1, ... depth - 1, the one value, elsewhere the other."""
    depth, on, off = (writer.values(index) for index in (1, 2, 3))
    rank = len(writer.shape)
    axis = writer.attributes.get("axis", -1) % rank
    shape = list(writer.ctx.get_shape(writer.inputs[0]))
    target = [*shape[:axis], 1, *shape[axis:]]
    if target.count(-1) > 1:
        raise ValueError("ONE_HOT of indices of open size")
    indices = writer.cast(writer.inputs[0], np.int32)
    indices = writer.add("Reshape", indices, writer.constant(target, np.int64))
    classes = np.arange(int(depth)).reshape([-1 if each == axis else 1 for each in range(rank)])
    from onnx import TensorProto  # only in the worker

    hit = writer.add("Equal", indices, writer.constant(classes, np.int32), dtype=TensorProto.BOOL)
    if writer.result == np.bool_:
        return hit if on and not off else writer.add("Not", hit)
    hit = writer.cast(hit, writer.result)
    scaled = writer.add("Mul", hit, writer.constant(on - off, writer.result))
    return writer.add("Add", scaled, writer.constant(off, writer.result))


def _floored(writer: _Writer) -> tuple[str, str, str]:
    """Quotient towards zero, remainder, and 1 where the quotient must be one less to be rounded down; integers."""
    from onnx import TensorProto  # only in the worker

    x, y = writer.inputs
    quotient = writer.add("Div", x, y)
    rest = writer.add("Sub", x, writer.add("Mul", quotient, y))
    zero = writer.constant(0, writer.result)
    below = writer.add("Less", writer.add("Mul", rest, y), zero, dtype=TensorProto.BOOL)
    return quotient, rest, writer.cast(below, writer.result)


def _floor_div(writer: _Writer) -> str:
    quotient, _, less = _floored(writer)
    return writer.add("Sub", quotient, less)


def _floor_mod(writer: _Writer) -> str:
    _, rest, less = _floored(writer)
    return writer.add("Add", rest, writer.add("Mul", less, writer.inputs[1]))


def _right_shift(writer: _Writer) -> str:
    """Of integers with a sign this is a division by a power of 2, rounded down; TensorRT has no shift."""
    writer.inputs[1] = writer.constant(1 << writer.values(1).astype(np.int64), writer.result)
    return _floor_div(writer)


def _transposed_convolution(writer: _Writer) -> str:
    """NHWC; weights [outputs,kh,kw,inputs]. What no kernel reaches at the end is 0, before the bias."""
    weights, x = writer.inputs[1:3]
    strides = [writer.attributes["stride_h"], writer.attributes["stride_w"]]
    kernel = writer.ctx.get_shape(weights)[1:3]
    begin, end, missing = [], [], []
    for axis in range(2):
        natural = (_sizes(writer, x)[axis] - 1) * strides[axis] + kernel[axis]
        more = natural - writer.shape[axis + 1]
        # `ComputePaddingHeightWidth` puts the larger half at the end
        begin.append(max(more, 0) // 2)
        end.append(max(more, 0) - begin[-1])
        missing.append(max(-more, 0))
    name = writer.add("Transpose", x, perm=[0, 3, 1, 2])
    kernels = writer.add("Transpose", weights, perm=[3, 0, 1, 2])
    name = writer.add("ConvTranspose", name, kernels, strides=strides, kernel_shape=kernel, pads=[*begin, *end])
    if any(missing):
        pads = [0, 0, 0, 0, 0, 0, *missing]
        if writer.ctx.opset < 11:
            name = writer.add("Pad", name, pads=pads)
        else:
            name = writer.add("Pad", name, writer.constant(pads, np.int64))
    name = writer.add("Transpose", name, perm=[0, 2, 3, 1])
    return writer.add("Add", name, writer.inputs[3]) if len(writer.inputs) > 3 else name


def _sizes(writer: _Writer, name: str) -> list[int]:
    """Height and width of a picture [N,H,W,C]."""
    shape = writer.ctx.get_shape(name)
    if shape is None or min(shape[1:3]) < 0:
        raise ValueError(f"{writer.node.type} works on a picture of open size")
    return [int(size) for size in shape[1:3]]


def _nearest(writer: _Writer) -> str:
    """The pixel each one of the result is a copy of, by the rule and in the float32 of TFLite's kernel."""
    name = writer.inputs[0]
    corners, centers = (bool(writer.attributes.get(each)) for each in ("align_corners", "half_pixel_centers"))
    for axis, (before, after) in enumerate(zip(_sizes(writer, name), writer.values(1).tolist(), strict=True), 1):
        scale = np.float32((before - 1) / (after - 1) if corners and after > 1 else before / after)
        places = (np.arange(after, dtype=np.float32) + np.float32(0.5 if centers else 0)) * scale
        pixels = np.floor(places + np.float32(0.5) if corners else places)
        pixels = np.clip(pixels, 0, before - 1).astype(np.int32)
        if not np.array_equal(pixels, np.arange(before)):
            name = writer.gather(name, pixels, axis)
    return name


def _bilinear(writer: _Writer) -> str:
    """Runtimes multiply sizes by scales in float32 and round down: a scale must not be a bit too small."""
    scales = resize_scales(np.array(_sizes(writer, writer.inputs[0])), writer.values(1))
    if scales is None:
        raise ValueError(f"no scale gives {writer.values(1).tolist()} for {_sizes(writer, writer.inputs[0])}")
    corners, centers = (bool(writer.attributes.get(each)) for each in ("align_corners", "half_pixel_centers"))
    name = writer.add("Transpose", writer.inputs[0], perm=[0, 3, 1, 2])
    name = writer.add(
        "Resize",
        name,
        writer.constant([]),
        writer.constant([1, 1, *scales]),
        mode="linear",
        coordinate_transformation_mode="align_corners" if corners else "half_pixel" if centers else "asymmetric",
    )
    return writer.add("Transpose", name, perm=[0, 2, 3, 1])


def _gather_nd(writer: _Writer) -> str:
    """Entries of the first dimensions by constant indices: these dimensions become one."""
    indices, shape = writer.values(1).astype(np.int64), list(writer.ctx.get_shape(writer.inputs[0]))
    count = indices.shape[-1]
    if min(shape[1:]) < 0:
        raise ValueError("GATHER_ND of a tensor of open size")
    steps = [prod(shape[axis + 1 : count]) for axis in range(count)]
    rows = writer.add("Reshape", writer.inputs[0], writer.constant([-1, *shape[count:]], np.int64))
    return writer.gather(rows, indices @ np.array(steps, np.int64), 0)


def _cast_to_bytes(writer: _Writer) -> str:
    """CAST to uint8, as int32, which TensorRT has between layers, too; equal for what fits into uint8."""
    from onnx import TensorProto  # only in the worker

    writer.become(TensorProto.INT32)
    return writer.cast(writer.inputs[0], np.int32)


_HANDLERS: dict[str, Callable[[_Writer], str]] = {
    "TFL_GELU": _gelu, "TFL_HARD_SWISH": _hard_swish, "TFL_MATRIX_DIAG": _matrix_diag, "TFL_MIRROR_PAD": _mirror_pad,
    "TFL_ONE_HOT": _one_hot, "TFL_RELU_0_TO_1": _relu_0_to_1, "TFL_RELU_N1_TO_1": _relu_n1_to_1,
    "TFL_REVERSE_V2": _reverse, "TFL_ROUND": _round, "TFL_SIGN": _sign,
}  # fmt: skip


def _is_integer(ctx: Any, node: Any) -> bool:
    from tf2onnx.utils import map_onnx_to_numpy_type  # only in the worker

    return np.dtype(map_onnx_to_numpy_type(ctx.get_dtype(node.output[0]))) in _INTEGERS


def _reaches_too_little(ctx: Any, node: Any) -> bool:
    """Whether a transposed convolution has a kernel smaller than its stride, so that the output is larger than what
    its kernels reach; tf2onnx writes negative pads then."""
    kernel = ctx.get_shape(node.input[1])[1:3]
    return (
        any(size < node.get_attr_int(name) for size, name in zip(kernel, ("stride_h", "stride_w"), strict=True))
        or len(node.input) > 3
    )


def _sizes_of_resize(ctx: Any, node: Any) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Height and width before and after; None where they are not known."""
    shape = ctx.get_shape(node.input[0])
    if shape is None or min(shape[1:3]) < 1 or not node.inputs[1].is_const():
        return None
    return np.array(shape[1:3]), np.array(node.inputs[1].get_tensor_value())


def _is_not_repeated(ctx: Any, node: Any) -> bool:
    """Whether a nearest resize does something else than repeating each pixel a whole number of times, which is the one
    kind that every TensorRT's Resize does alike; tf2onnx cannot write it around half pixels before opset 11."""
    sizes = _sizes_of_resize(ctx, node)
    if sizes is None:
        return False
    too_old = ctx.opset < 11 and bool(node.get_attr_int("half_pixel_centers"))
    return too_old or bool(node.get_attr_int("align_corners") or np.any(sizes[1] % sizes[0]))


def _becomes_too_small(ctx: Any, node: Any) -> bool:
    """Whether the scales that tf2onnx computes for a bilinear resize give another size somewhere."""
    sizes = _sizes_of_resize(ctx, node)
    if sizes is None or ctx.opset < 11:
        return False
    scales = resize_scales(*sizes)
    return scales is None or not np.array_equal(scales, (sizes[1] / sizes[0]).astype(np.float32))


def _has_one_length(ctx: Any, node: Any) -> bool:
    """Whether a REVERSE_SEQUENCE treats all entries alike, by a constant."""
    lengths = node.inputs[1]
    return bool(lengths.is_const() and ctx.get_shape(node.input[1]) == [1] and node.get_attr_int("batch_dim") == 0)


def _pads_floats(ctx: Any, node: Any) -> bool:
    """Whether a PADV2 pads float32 numbers by constant widths with one constant."""
    from onnx import TensorProto  # only in the worker

    return ctx.get_dtype(node.output[0]) == TensorProto.FLOAT and all(each.is_const() for each in node.inputs[1:])


def _is_bytes_between_casts(ctx: Any, node: Any) -> bool:
    """Whether a CAST gives uint8 that only other casts take."""
    from onnx import TensorProto  # only in the worker

    takers = ctx.find_output_consumers(node.output[0])
    is_output = node.output[0] in ctx.outputs
    is_bytes = ctx.get_dtype(node.output[0]) == TensorProto.UINT8
    return is_bytes and not is_output and all(each.type in {"TFL_CAST", "Cast"} for each in takers)


def _is_constant(_: Any, node: Any) -> bool:
    """Whether the second input is."""
    return bool(node.inputs[1].is_const())


# Only where tf2onnx is wrong: what it writes for the others stays as it is.
_SOMETIMES: dict[str, tuple[Callable[[Any, Any], bool], Callable[[_Writer], str]]] = {
    "TFL_CAST": (_is_bytes_between_casts, _cast_to_bytes),
    "TFL_FLOOR_DIV": (_is_integer, _floor_div),
    "TFL_FLOOR_MOD": (_is_integer, _floor_mod),
    "TFL_GATHER_ND": (_is_constant, _gather_nd),
    "TFL_PADV2": (_pads_floats, _pad),
    "TFL_RESIZE_BILINEAR": (_becomes_too_small, _bilinear),
    "TFL_RESIZE_NEAREST_NEIGHBOR": (_is_not_repeated, _nearest),
    "TFL_REVERSE_SEQUENCE": (_has_one_length, _reverse_sequence),
    "TFL_RIGHT_SHIFT": (_is_constant, _right_shift),
    "TFL_TRANSPOSE_CONV": (_reaches_too_little, _transposed_convolution),
}


def register() -> None:
    """Put the handlers into tf2onnx; a second call changes nothing. tf2onnx must be importable."""
    from tf2onnx.handler import tfl_op  # only in the worker, and only after TensorFlow is settled
    from tf2onnx.tflite_handlers import tfl_math, tfl_nn

    mapping = tfl_op.create_tfl_to_tf_mapping()
    if getattr(mapping["TFL_GELU"][0] if "TFL_GELU" in mapping else None, "ours", False):
        return
    fused = tfl_math.separate_fused_activation_function

    def separate(ctx: Any, node: Any) -> None:
        _separate(ctx, node, fused)

    tfl_math.separate_fused_activation_function = separate
    tfl_nn.separate_fused_activation_function = separate
    for operator, write in _HANDLERS.items():
        handler = _handler(write)
        handler.ours = True  # type: ignore[attr-defined]
        mapping[operator] = (handler, {})
    for operator, (applies, write) in _SOMETIMES.items():
        mapping[operator] = _unless(mapping[operator], applies, write, separate)


def _separate(ctx: Any, node: Any, others: Callable[[Any, Any], None]) -> None:
    """A fused RELU_N1_TO_1 becomes a Clip behind the node; `others` are tf2onnx's."""
    if node.attr["fused_activation_function"].s != b"RELU_N1_TO_1":
        others(ctx, node)
        return
    del node.attr["fused_activation_function"]
    (output,) = node.output
    limits: Sequence[str] = ()
    attributes = {"min": -1.0, "max": 1.0}
    if ctx.opset >= 11:
        from tf2onnx.utils import make_name  # only in the worker

        limits = [ctx.make_const(make_name("limit"), np.float32(value)).output[0] for value in attributes.values()]
        attributes = {}
    clip = ctx.insert_new_node_on_output("Clip", output, inputs=[output, *limits], **attributes)
    clip.skip_conversion = True
    ctx.copy_shape(output, clip.output[0])
    ctx.copy_dtype(output, clip.output[0])


def _unless(
    entry: tuple[Handler, dict[str, Any]],
    applies: Callable[[Any, Any], bool],
    write: Callable[[_Writer], str],
    separate: Callable[[Any, Any], None],
) -> tuple[Handler, dict[str, Any]]:
    """tf2onnx's entry for an operator, with our handler where `applies` says so."""
    theirs, settings = entry
    ours = _handler(write)
    renamed = settings.get("tf_op")

    def handle(ctx: Any, node: Any, **options: Any) -> None:
        if not applies(ctx, node):
            if renamed:
                node.type = renamed
            theirs(ctx, node, **options)
            return
        if "fused_activation_function" in node.attr:
            separate(ctx, node)
        ours(ctx, node)

    return handle, {name: value for name, value in settings.items() if name != "tf_op"}
