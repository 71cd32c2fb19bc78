"""Layers with weights: their weights as 8-bit codes, and what a constant at their input adds to their output.

The weights of ONNX are [outputs, inputs of a group, *kernel] in Conv, [inputs, outputs, *kernel] in ConvTranspose, and
[inputs, outputs] in dense layers, or in a Gemm with transB [outputs, inputs].
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from convert.graph.graph import attribute, set_attribute

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import NodeProto

    from convert.graph.graph import Shapes

WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}

Shift: TypeAlias = "NDArray[np.float64]"

_LARGEST = 127
_WHOLE = 1e-3  # what a code may be away from a whole number: float32 products are within 1e-5


def weight_codes(values: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
    """The codes, -127 to 127, and scales [size of `axis`] whose products `values` are; None where they are none.

    The largest code is 127 as a rule, but for layers whose training rounded them; then it is the largest with which
    all others are whole numbers. Any codes with the same products are as good.
    """
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).astype(np.float64)
    most = np.abs(rows).max(axis=1, initial=0)
    scales = np.where(most == 0, 1, 0).astype(np.float64)
    for largest in range(_LARGEST, 0, -1):
        left = np.flatnonzero(scales == 0)
        if not left.size:
            break
        tried = most[left] / largest
        codes = rows[left] / tried[:, np.newaxis]
        fits = np.abs(codes - np.rint(codes)).max(axis=1) < _WHOLE
        scales[left[fits]] = tried[fits]
    if not scales.all():
        return None
    shape = [-1 if each == axis else 1 for each in range(values.ndim)]
    return np.rint(values / scales.reshape(shape)).astype(np.int8), scales.astype(np.float32)


def is_plain(node: NodeProto, weights: NDArray[Any]) -> bool:
    """Whether a node is an ordinary layer: no factors, weights of two dimensions where it is dense, one group where it
    is transposed."""
    if weights.dtype != np.float32:
        return False
    match node.op_type:
        case "Gemm":
            factors = (attribute(node, each, 1.0) for each in ("alpha", "beta"))
            return all(each == 1 for each in factors) and not attribute(node, "transA", 0)
        case "MatMul":
            return bool(weights.ndim == 2)
        case "ConvTranspose":
            return bool(attribute(node, "group", 1) == 1 and attribute(node, "auto_pad", b"NOTSET") == b"NOTSET")
    return True


def outputs_axis(node: NodeProto) -> int:
    """The axis of a layer's weights that is its outputs."""
    return 0 if node.op_type == "Conv" or (node.op_type == "Gemm" and attribute(node, "transB", 0)) else 1


def summed(node: NodeProto, codes: NDArray[np.int8], scales: NDArray[np.float32]) -> Shift:
    """The real weights of each output, summed over the inputs: [outputs, *kernel]."""
    whole = codes.sum(axis=1 - outputs_axis(node), dtype=np.int64)
    real: Shift = whole * scales.astype(np.float64).reshape(-1, *[1] * (codes.ndim - 2))
    return real


def _steps(node: NodeProto, axes: int) -> tuple[list[int], list[int]]:
    """Strides and dilations."""
    strides, dilations = (list(attribute(node, name, [1] * axes)) for name in ("strides", "dilations"))
    return strides, dilations


def pads_of(node: NodeProto, shapes: Shapes) -> list[int]:
    """Of a Conv: in front of each axis of the picture, then behind it."""
    sizes, outputs = (shapes[name][2:] for name in (node.input[0], node.output[0]))
    auto = attribute(node, "auto_pad", b"NOTSET")
    if auto not in {b"SAME_UPPER", b"SAME_LOWER"}:
        return list(attribute(node, "pads", [0] * 2 * len(sizes)))
    kernel = shapes[node.input[1]][2:]
    missing = [
        max((after - 1) * stride + (size - 1) * step + 1 - before, 0)
        for before, after, size, stride, step in zip(sizes, outputs, kernel, *_steps(node, len(sizes)), strict=True)
    ]
    less, more = [each // 2 for each in missing], [each - each // 2 for each in missing]
    pads = [*less, *more] if auto == b"SAME_UPPER" else [*more, *less]
    set_attribute(node, "auto_pad", "NOTSET")
    set_attribute(node, "pads", pads)
    return pads


def reached(node: NodeProto, weights: Shift, shapes: Shapes) -> Shift:
    """The sum of the weights that a (transposed) convolution applies to pixels of the picture, [1, outputs, ...].

    Args:
        weights: as `summed` gives them.
    """
    before, after = (shapes[name][2:] for name in (node.input[0], node.output[0]))
    pads, strides, steps = pads_of(node, shapes), *_steps(node, len(before))
    sums = weights
    for axis, (size, result) in enumerate(zip(before, after, strict=True)):
        tap = np.arange(weights.shape[1 + axis])[:, np.newaxis] * steps[axis] - pads[axis]
        if node.op_type == "Conv":
            place = np.arange(result) * strides[axis] + tap
            counts = ((place >= 0) & (place < size)).astype(np.float64)
        else:
            counts = np.zeros((len(tap), result))
            for number, start in enumerate(tap[:, 0]):
                place = np.arange(size) * strides[axis] + start
                counts[number, place[(place >= 0) & (place < result)]] = 1
        sums = np.tensordot(sums, counts, axes=([1], [0]))
    return sums[np.newaxis]


def products(node: NodeProto, shapes: Shapes) -> int:
    """How many multiplications a layer makes for a picture."""
    weights = shapes[node.input[1]]
    if node.op_type == "Conv":
        return prod(shapes[node.output[0]]) * prod(weights[1:])
    if node.op_type == "ConvTranspose":
        return prod(shapes[node.input[0]]) * prod(weights[1:])
    return prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
