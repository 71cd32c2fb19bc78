"""Takes out the Transposes that can go, once the input is NCHW.

TFLite is NHWC throughout; tf2onnx turns each convolution round and pushes the Transposes out of the way. What it leaves
is mostly the one before the classifier's dense layers, which reads pixels in NHWC order. Only rewrites that are equal
for every input are made here:

- two Transposes in a row are one, or none;
- Transpose, Reshape to rows, dense layer: permute the layer's weights instead;
- the same with dense layers for each pixel in between (Edge Impulse's transfer learning head): these are 1x1
  convolutions.

Transposes that move only dimensions of size 1 are Reshapes (`convert.graph.reshapes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper

from convert.graph.model import Wiring, attribute
from convert.graph.shapes import infer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

    from convert.graph.shapes import Shapes

__all__ = ["remove_transposes", "transposes"]

# One value in, one value out, whatever its place: these commute with any Transpose or Reshape.
_UNARY = {
    "Abs", "Cast", "Ceil", "Clip", "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Neg",
    "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Softplus", "Softsign", "Sqrt", "Tanh", "ThresholdedRelu",
}  # fmt: skip


def transposes(model: ModelProto) -> int:
    """How many Transposes the graph has."""
    return sum(node.op_type == "Transpose" for node in model.graph.node)


def remove_transposes(model: ModelProto) -> ModelProto:
    """Make the rewrites above until none applies."""
    while _join(model) or _absorb(model):
        pass
    return model


def _join(model: ModelProto) -> bool:
    """One Transpose for two in a row; none where they undo each other."""
    wiring = Wiring(model)
    for node in wiring.nodes():
        first = wiring.producer(node.input[0]) if node.op_type == "Transpose" else None
        if first is None or first.op_type != "Transpose":
            continue
        second, earlier = attribute(node, "perm"), attribute(first, "perm")
        perm = [earlier[axis] for axis in second]
        source = first.input[0]
        if perm != sorted(perm):
            (source,) = wiring.add("Transpose", [source], perm=perm).output
        wiring.replace(node, source)
        wiring.store()
        return True
    return False


def _absorb(model: ModelProto) -> bool:
    """Do without one Transpose that feeds rows of dense layers."""
    wiring = Wiring(model)
    if not any(node.op_type == "Transpose" for node in wiring.nodes()):
        return False
    shapes = infer(wiring)
    for node in wiring.nodes():
        if node.op_type == "Transpose" and (path := _path(wiring, shapes, node)):
            _rebuild(wiring, shapes, node, path)
            wiring.store()
            return True
    return False


@dataclass(frozen=True)
class _Path:
    """What follows a Transpose: `pixels` work on rows of channels, `flat` on a picture as one row, then `dense`."""

    pixels: tuple[NodeProto, ...]
    flat: tuple[NodeProto, ...]
    dense: NodeProto


def _path(wiring: Wiring, shapes: Shapes, transpose: NodeProto) -> _Path | None:
    """The way from `transpose` to a dense layer that can be permuted; None where there is no such way."""
    perm = attribute(transpose, "perm")
    if transpose.output[0] not in shapes or perm[0] != 0:
        return None
    shape = shapes[transpose.output[0]]
    channels_last = perm == [0, *range(2, len(perm)), 1]
    pixels: list[NodeProto] = []
    flat: list[NodeProto] | None = None
    name, channels = transpose.output[0], shape[-1]
    while (node := wiring.only_consumer(name)) is not None and node.output[0] in shapes:
        target = shapes[node.output[0]]
        weights = _weights(wiring, node, name)
        if node.op_type == "Reshape":
            if target == (shape[0], prod(shape[1:-1]) * channels):
                flat = []
            elif flat is not None or not channels_last or target[-1] != channels:
                return None
        elif node.op_type in _UNARY and list(node.input).count(name) == 1:
            (pixels if flat is None else flat).append(node)
        elif weights is None:
            return None
        elif flat is not None:
            return _Path(tuple(pixels), tuple(flat), node)
        elif channels_last and len(shapes[name]) == 2 and _is_plain(wiring, node):
            pixels.append(node)
            channels = weights.shape[1]
        else:
            return None
        name = node.output[0]
    return None


def _weights(wiring: Wiring, node: NodeProto, name: str) -> NDArray[Any] | None:
    """The constant [inputs, outputs] that a dense layer multiplies `name` by; None for any other node."""
    if node.op_type not in {"Gemm", "MatMul"} or node.input[0] != name or attribute(node, "transA", 0):
        return None
    weights = wiring.constant(node.input[1])
    if weights is None or weights.ndim != 2:
        return None
    return weights.T if attribute(node, "transB", 0) else weights


def _is_plain(wiring: Wiring, node: NodeProto) -> bool:
    """Whether the layer is rows @ weights + bias: no factors, and one bias for each output."""
    if attribute(node, "alpha", 1.0) != 1.0 or attribute(node, "beta", 1.0) != 1.0:
        return False
    return len(node.input) < 3 or (wiring.constant(node.input[2]) is not None and _bias(wiring, node) is not None)


def _bias(wiring: Wiring, node: NodeProto) -> NDArray[Any] | None:
    """The third input of a Gemm as one value for each output; None where it differs between rows."""
    value, weights = wiring.constant(node.input[2]), _weights(wiring, node, node.input[0])
    if value is None or weights is None or value.size not in {1, weights.shape[1]}:
        return None
    return np.broadcast_to(value.reshape(-1), (weights.shape[1],))


def _rebuild(wiring: Wiring, shapes: Shapes, transpose: NodeProto, path: _Path) -> None:
    """The same computation on the untransposed tensor."""
    perm, shape = attribute(transpose, "perm"), shapes[transpose.output[0]]
    name, channels = transpose.input[0], shape[-1]
    for node in path.pixels:
        weights = _weights(wiring, node, node.input[0])
        if weights is None:
            name = _again(wiring, node, name)
            continue
        channels = weights.shape[1]
        kernel = weights.T.reshape(*weights.T.shape, *(1 for _ in shape[1:-1]))
        inputs = [name, wiring.add_constant(np.ascontiguousarray(kernel))]
        bias = _bias(wiring, node) if len(node.input) > 2 else None
        if bias is not None:
            inputs.append(wiring.add_constant(np.ascontiguousarray(bias)))
        (name,) = wiring.add("Conv", inputs, kernel_shape=[1 for _ in shape[1:-1]]).output
    rows = (*shape[1:-1], channels)
    (name,) = wiring.add("Reshape", [name, wiring.add_constant(np.array([shape[0], prod(rows)], np.int64))]).output
    for node in path.flat:
        name = _again(wiring, node, name)
    weights = _weights(wiring, path.dense, path.dense.input[0])
    assert weights is not None
    back = [perm[1:].index(axis) for axis in range(1, len(perm))]
    weights = weights.reshape(*rows, -1).transpose(*back, len(rows)).reshape(weights.shape)
    if attribute(path.dense, "transB", 0):
        weights = weights.T
    constant = wiring.add_constant(np.ascontiguousarray(weights))
    wiring.set_inputs(path.dense, [name, constant, *path.dense.input[2:]])


def _again(wiring: Wiring, node: NodeProto, name: str) -> str:
    """`node` once more, on another tensor."""
    inputs = [name if index == 0 else other for index, other in enumerate(node.input)]
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    (output,) = wiring.add(node.op_type, inputs, **attributes).output
    return str(output)
