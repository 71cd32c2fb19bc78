"""TFLite operators on pictures: convolutions, pools, resizes, and what moves blocks of pixels.

As in `convert.translate.operators`: what tf2onnx 1.17.0 does not know at every opset, or writes so that TensorRT cannot
build it; the definitions are those of TFLite's reference kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.graph.cleanup import resize_scales
from convert.translate.operators import Writer, depends

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _mirror_pad(writer: Writer) -> str:
    """ONNX's Pad mirrors without the edge only ("reflect"), and TensorRT before 8.5 only pads with a constant."""
    mode = {b"REFLECT": "reflect", b"SYMMETRIC": "symmetric"}[writer.attributes["mode"]]
    name = writer.inputs[0]
    for axis, pads in enumerate(writer.values(1)):
        if pads.any():
            name = writer.gather(name, np.pad(np.arange(writer.shape_of(0)[axis]), pads, mode), axis)  # type: ignore[call-overload]
    return name


def _neighbours_normalized(writer: Writer) -> str:
    """LOCAL_RESPONSE_NORMALIZATION: the sums of squares of neighbouring channels are a product of matrices."""
    (x,), found = writer.inputs, writer.attributes
    channels = np.arange(writer.shape_of(0)[-1])
    near = np.abs(channels - channels[:, np.newaxis]) <= found["radius"]
    sums = writer.add("MatMul", writer.add("Mul", x, x), writer.constant(near * found["alpha"]))
    scale = writer.add("Add", sums, writer.constant(found["bias"]))
    return writer.add("Mul", x, writer.add("Pow", scale, writer.constant(-found["beta"])))


def _space_to_batch(writer: Writer) -> str:
    blocks, pads = writer.values(1).tolist(), writer.values(2)
    batch, *shape = writer.shape_of(0)
    more = len(shape) - len(blocks)  # dimensions behind
    widths = np.array([[0, 0], *pads.tolist(), *([[0, 0]] * more)])
    name = writer.pad(writer.inputs[0], widths) if pads.any() else writer.inputs[0]
    sizes = np.add(shape, widths[1:].sum(axis=1)).tolist()
    split = [part for size, block in zip(sizes, blocks, strict=False) for part in (size // block, block)]
    outer, inner = (range(first, 2 * len(blocks) + first, 2) for first in (1, 2))
    name = writer.reshape(name, [batch, *split, *sizes[len(blocks) :]])
    rest = range(2 * len(blocks) + 1, 2 * len(blocks) + 1 + more)
    return writer.reshape(writer.add("Transpose", name, perm=[*inner, 0, *outer, *rest]), writer.target)


def _padding(before: int, after: int, size: int, stride: int) -> list[int]:
    """Before and behind an axis; `ComputePaddingHeightWidth` puts the larger half at the end."""
    more = max((after - 1) * stride + size - before, 0)
    return [more // 2, more - more // 2]


def _taps(writer: Writer, kernel: Sequence[int]) -> list[str]:
    """What each place of a kernel meets of the first input [N,H,W,C], row by row: each [N,h,w,C]."""
    widths, rows = [[0, 0], [0, 0], [0, 0], [0, 0]], []
    for axis, (size, end) in enumerate(zip(kernel, "hw", strict=True), 1):
        stride, dilation = (writer.attributes[name] for name in (f"stride_{end}", f"dilation_{end}_factor"))
        before, after = writer.shape_of(0)[axis], writer.target[axis]
        widths[axis] = _padding(before, after, (size - 1) * dilation + 1, stride)
        rows.append([place * dilation + stride * np.arange(after) for place in range(size)])
    name = writer.pad(writer.inputs[0], np.array(widths)) if np.any(widths) else writer.inputs[0]
    found = []
    for high in rows[0]:
        row = writer.gather(name, high, 1)
        found += [writer.gather(row, wide, 2) for wide in rows[1]]
    return found


def _convolution(writer: Writer) -> str:
    """With weights [O,kh,kw,C] that are computed from a picture: as one product of matrices a picture."""
    outputs, *kernel, depth = writer.shape_of(1)
    if depth != writer.shape_of(0)[3]:
        raise ValueError("CONV_2D in groups has weights that are computed from the picture")
    _, height, width, _ = writer.target
    size = prod(kernel) * depth
    places = writer.reshape(writer.add("Concat", *_taps(writer, kernel), axis=3), [1, height * width, size])
    weights = writer.reshape(writer.inputs[1], [1, outputs, size])
    product = writer.add("MatMul", places, writer.add("Transpose", weights, perm=[0, 2, 1]))
    return writer.add("Add", writer.reshape(product, writer.target), writer.inputs[2])


def _depthwise_convolution(writer: Writer) -> str:
    """With weights [1,kh,kw,C] that are computed from a picture: place by place."""
    _, *kernel, depth = writer.shape_of(1)
    if depth != writer.shape_of(0)[3]:
        raise ValueError("DEPTHWISE_CONV_2D with a multiplier has weights that are computed from the picture")
    weights = writer.reshape(writer.inputs[1], [1, prod(kernel), 1, 1, depth])
    taps = [writer.add("Mul", tap, writer.gather(weights, place, 1)) for place, tap in enumerate(_taps(writer, kernel))]
    return reduce(lambda first, second: writer.add("Add", first, second), [*taps, *writer.inputs[2:]])


def _l2_pool(writer: Writer) -> str:
    """The root of the mean square; what is padded does not count."""
    (x,), sizes, found = writer.inputs, writer.shape_of(0)[1:3], writer.attributes
    kernel = [found["filter_height"], found["filter_width"]]
    strides = [found["stride_h"], found["stride_w"]]
    begin, end = np.transpose(list(map(_padding, sizes, writer.target[1:3], kernel, strides))).tolist()
    name = writer.add("Transpose", writer.add("Mul", x, x), perm=[0, 3, 1, 2])
    name = writer.add("AveragePool", name, kernel_shape=kernel, strides=strides, pads=[*begin, *end])
    return writer.add("Sqrt", writer.add("Transpose", name, perm=[0, 2, 3, 1]))


def _transposed_convolution(writer: Writer) -> str:
    """NHWC; weights [outputs,kh,kw,inputs]. What no kernel reaches at the end is 0, before the bias."""
    weights, x = writer.inputs[1:3]
    strides = [writer.attributes["stride_h"], writer.attributes["stride_w"]]
    kernel = writer.ctx.get_shape(weights)[1:3]
    sizes, target = writer.shape_of(2)[1:3], writer.target[1:3]
    begin, end = np.transpose(list(map(_padding, target, sizes, kernel, strides))).tolist()
    missing = np.subtract(target, (np.array(sizes) - 1) * strides + kernel).clip(0)
    name = writer.add("Transpose", x, perm=[0, 3, 1, 2])
    kernels = writer.add("Transpose", weights, perm=[3, 0, 1, 2])
    name = writer.add("ConvTranspose", name, kernels, strides=strides, kernel_shape=kernel, pads=[*begin, *end])
    if missing.any():
        name = writer.pad(name, np.array([[0, 0], [0, 0], *([0, each] for each in missing)]))
    name = writer.add("Transpose", name, perm=[0, 2, 3, 1])
    return writer.add("Add", name, writer.inputs[3]) if len(writer.inputs) > 3 else name


def _nearest(writer: Writer) -> str:
    """The pixel each one of the result is a copy of, by the rule and in the float32 of TFLite's kernel."""
    name = writer.inputs[0]
    corners, centers = (bool(writer.attributes.get(each)) for each in ("align_corners", "half_pixel_centers"))
    for axis, (before, after) in enumerate(zip(writer.shape_of(0)[1:3], writer.values(1).tolist(), strict=True), 1):
        scale = np.float32((before - 1) / (after - 1) if corners and after > 1 else before / after)
        places = (np.arange(after, dtype=np.float32) + np.float32(0.5 if centers else 0)) * scale
        pixels = np.floor(places + np.float32(0.5) if corners else places)
        pixels = np.clip(pixels, 0, before - 1).astype(np.int32)
        if not np.array_equal(pixels, np.arange(before)):
            name = writer.gather(name, pixels, axis)
    return name


def _mixture(before: int, after: int) -> NDArray[Any]:
    """How much of each old pixel is in each new one around corners, [after, before] (`ComputeInterpolationValues`)."""
    places = np.arange(after, dtype=np.float32) * np.float32((before - 1) / max(after - 1, 1))
    low, high = np.floor(places), np.ceil(places).clip(None, before - 1)
    pixels, share = np.arange(before), (places - low)[:, np.newaxis]
    shares: NDArray[Any] = (1 - share) * (pixels == low[:, np.newaxis]) + share * (pixels == high[:, np.newaxis])
    return shares


def _bilinear(writer: Writer) -> str:
    """Runtimes multiply sizes by scales in float32 and round down: a scale must not be a bit too small."""
    sizes = writer.shape_of(0)[1:3], writer.values(1).tolist()
    corners, centers = (bool(writer.attributes.get(each)) for each in ("align_corners", "half_pixel_centers"))
    name = writer.add("Transpose", writer.inputs[0], perm=[0, 3, 1, 2])
    if _has_no_resize(writer.ctx, corners=corners):
        rows, columns = map(_mixture, *sizes)
        name = writer.add("MatMul", writer.constant(rows), name)
        name = writer.add("MatMul", name, writer.constant(columns.T))
    else:
        scales = resize_scales(*map(np.array, sizes))
        assert scales is not None  # there are some for all sizes below 2^23
        factors = writer.constant([]), writer.constant([1, 1, *scales])  # the first are of a crop: there is none
        coordinates = "align_corners" if corners else "half_pixel" if centers else "asymmetric"
        name = writer.add("Resize", name, *factors, mode="linear", coordinate_transformation_mode=coordinates)
    return writer.add("Transpose", name, perm=[0, 2, 3, 1])


def _reaches_too_little(ctx: Any, node: Any) -> bool:
    """Whether a transposed convolution gives more than its kernels reach, as with a kernel smaller than its stride:
    tf2onnx writes negative pads then; or has a bias, which it leaves out."""
    kernel, before, after = (ctx.get_shape(name)[1:3] for name in (node.input[1], node.input[2], node.output[0]))
    strides = [node.get_attr_int(name) for name in ("stride_h", "stride_w")]
    return len(node.input) > 3 or any(
        size < stride or (old - 1) * stride + size < new
        for size, stride, old, new in zip(kernel, strides, before, after, strict=True)
    )


def _sizes_of_resize(ctx: Any, node: Any) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Height and width before and after; None where they are not known."""
    shape = ctx.get_shape(node.input[0])
    if shape is None or min(shape[1:3]) < 1 or not node.inputs[1].is_const():
        return None
    return np.array(shape[1:3]), np.array(node.inputs[1].get_tensor_value())


def _is_not_repeated(ctx: Any, node: Any) -> bool:
    """Whether a nearest resize does something else than repeating each pixel a whole number of times, which is the one
    kind that every TensorRT's Resize does alike."""
    sizes = _sizes_of_resize(ctx, node)
    return sizes is not None and bool(node.get_attr_int("align_corners") or np.any(sizes[1] % sizes[0]))


def _has_no_resize(ctx: Any, *, corners: bool) -> bool:
    """Whether a bilinear resize is no Resize: TensorRT 7, which reads no opset after 11, has none around corners by
    scales."""
    return corners and bool(ctx.opset < 13)


def _resizes_otherwise(ctx: Any, node: Any) -> bool:
    """Whether a bilinear resize is no Resize, or the scales that tf2onnx computes give another size somewhere."""
    sizes = _sizes_of_resize(ctx, node)
    if sizes is None or _has_no_resize(ctx, corners=bool(node.get_attr_int("align_corners"))):
        return sizes is not None
    scales = resize_scales(*sizes)
    assert scales is not None
    return not np.array_equal(scales, (sizes[1] / sizes[0]).astype(np.float32))


def _computes_weights(ctx: Any, node: Any) -> bool:
    """Whether the weights of a convolution depend on the network's input."""
    return depends(ctx, node.input[1])


def _has_unequal_blocks(_: Any, node: Any) -> bool:
    """Whether a SPACE_TO_BATCH_ND with constants has other blocks than squares."""
    known = [each.get_tensor_value() for each in node.inputs[1:] if each.is_const()]
    return len(known) == 2 and (len(known[0]) != 2 or known[0][0] != known[0][1])


HANDLERS: dict[str, Callable[[Writer], str]] = {"TFL_L2_POOL_2D": _l2_pool, "TFL_MIRROR_PAD": _mirror_pad}

# As `convert.translate.operators.SOMETIMES`.
SOMETIMES: dict[str, tuple[Callable[[Any, Any], bool], Callable[[Writer], str]]] = {
    "TFL_CONV_2D": (_computes_weights, _convolution),
    "TFL_DEPTHWISE_CONV_2D": (_computes_weights, _depthwise_convolution),
    # TensorRT's LRN takes up to 15 channels.
    "TFL_LOCAL_RESPONSE_NORMALIZATION": (lambda _, node: node.get_attr_value("radius") > 7, _neighbours_normalized),
    "TFL_RESIZE_BILINEAR": (_resizes_otherwise, _bilinear),
    "TFL_RESIZE_NEAREST_NEIGHBOR": (_is_not_repeated, _nearest),
    "TFL_SPACE_TO_BATCH_ND": (_has_unequal_blocks, _space_to_batch),
    "TFL_TRANSPOSE_CONV": (_reaches_too_little, _transposed_convolution),
}
