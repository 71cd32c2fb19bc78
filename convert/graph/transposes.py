"""Takes out the Transposes that can go, once the input is NCHW.

TFLite is NHWC throughout; tf2onnx makes each convolution NCHW and moves the Transposes away from it. It stops at
operators it does not list (HardSwish), at means over pixels that come before other work, and at the classifier's dense
layers, which read pixels in NHWC order. Only rewrites that are equal for every input are made here:

- a Transpose moves towards the outputs: it commutes with operators that work value by value; a reduction over, or a
  Gather along, transposed axes is one over the axes they were;
- two in a row are one, or none;
- Transposes with a Reshape between them that together move nothing are a Reshape;
- Transpose, Reshape to rows, dense layer: the layer's weights are permuted instead;
- the same with dense layers for each pixel in between (Edge Impulse's transfer learning head): these are 1x1
  convolutions.

Transposes that move only dimensions of size 1 are Reshapes (`convert.graph.cleanup`).
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.graph.cleanup import merge_reshapes, moves_nothing, perm_of
from convert.graph.graph import POINTWISE, REDUCTIONS, GraphEditor, Shapes, attribute, infer, set_attribute

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto


def _push_down(model: ModelProto) -> bool:
    """Move every Transpose as far towards the outputs as it goes; whether anything moved."""
    editor = GraphEditor(model)
    shapes = infer(editor)
    changed = False
    for node in editor.nodes():
        if _is_pointwise(editor, node):
            changed |= _past_pointwise(editor, shapes, node)
        elif node.op_type in REDUCTIONS:
            changed |= _past_reduction(editor, shapes, node)
        elif node.op_type == "Gather":
            changed |= _past_gather(editor, shapes, node)
    if changed:
        editor.store()
    return changed


def _past_pointwise(editor: GraphEditor, shapes: Shapes, node: NodeProto) -> bool:
    """f(T(a), T(b), c) = T(f(a, b, T'(c))), where transposing c costs nothing and T(a) has no other consumer."""
    if any(name and name not in shapes for name in [*node.input, *node.output]):
        return False
    rank = len(shapes[node.output[0]])
    names: dict[str, str] = {}
    perms = set()
    for name in node.input:
        before = editor.producers.get(name)
        if before is None or before.op_type != "Transpose" or editor.only_consumer(name) is not node:
            continue
        if len(shapes[name]) == rank:
            names[name] = before.input[0]
            perms.add(tuple(perm_of(before, rank)))
    if len(perms) != 1:
        return False
    (perm,) = map(list, perms)
    back = [perm.index(axis) for axis in range(rank)]
    others = [name for name in dict.fromkeys(node.input) if name and name not in names]
    for name in others:
        wide = (*[1] * (rank - len(shapes[name])), *shapes[name])
        if editor.constant(name) is None and not moves_nothing(back, wide):
            return False
    names |= {name: _transposed(editor, shapes, name, back) for name in others}
    again = editor.add_like(node, [names.get(name, "") for name in node.input])
    shapes.add(again)
    editor.remove(node)
    shapes.add(editor.add("Transpose", again.output, node.output[0], perm=perm))
    return True


def _transposed(editor: GraphEditor, shapes: Shapes, name: str, back: list[int]) -> str:
    """`name` transposed by `back`, without a Transpose."""
    shape = shapes[name]
    if prod(shape) == 1:
        return name
    wide = (*[1] * (len(back) - len(shape)), *shape)
    value = editor.constant(name)
    if value is not None:
        return editor.add_constant(np.ascontiguousarray(value.reshape(wide).transpose(back)))
    target = editor.add_constant(np.array([wide[axis] for axis in back], np.int64))
    node = editor.add("Reshape", [name, target])
    shapes.add(node)
    return str(node.output[0])


def _past_reduction(editor: GraphEditor, shapes: Shapes, node: NodeProto) -> bool:
    """Reduce the axes as they were before the Transpose, if the others are then in the right order."""
    producer = editor.producers.get(node.input[0])
    if producer is None or producer.op_type != "Transpose" or producer.input[0] not in shapes:
        return False
    shape = shapes[producer.input[0]]
    perm = perm_of(producer, len(shape))
    constant = editor.constant(node.input[1]) if len(node.input) > 1 else None
    axes = attribute(node, "axes") if constant is None else constant.tolist()
    if not axes:
        return False
    axes = [axis % len(shape) for axis in axes]
    left = [perm[axis] for axis in range(len(shape)) if axis not in axes]
    if left != sorted(left):
        return False
    moved = sorted(perm[axis] for axis in axes)
    inputs = [producer.input[0]]
    if constant is not None:
        inputs.append(editor.add_constant(np.array(moved, np.int64)))
    again = editor.add_like(node, inputs)
    if constant is None:
        set_attribute(again, "axes", moved)
    shapes.add(again)
    if not attribute(node, "keepdims", 1):
        editor.replace(node, again.output[0])
        return True
    target = editor.add_constant(np.array(shapes[node.output[0]], np.int64))
    editor.remove(node)
    shapes.add(editor.add("Reshape", [again.output[0], target], node.output[0]))
    return True


def _past_gather(editor: GraphEditor, shapes: Shapes, node: NodeProto) -> bool:
    """Entries of an axis, by a constant list of numbers, are those of the axis as it was before the Transpose."""
    producer, indices = editor.producers.get(node.input[0]), editor.constant(node.input[1])
    if producer is None or producer.op_type != "Transpose" or producer.input[0] not in shapes:
        return False
    if indices is None or indices.ndim != 1 or editor.only_consumer(node.input[0]) is None:
        return False
    perm = perm_of(producer, len(shapes[producer.input[0]]))
    again = editor.add_like(node, [producer.input[0], node.input[1]])
    set_attribute(again, "axis", perm[attribute(node, "axis", 0)])
    shapes.add(again)
    editor.remove(node)
    shapes.add(editor.add("Transpose", again.output, node.output[0], perm=perm))
    return True


def transposes(model: ModelProto) -> int:
    """The number of Transposes in the graph."""
    return sum(node.op_type == "Transpose" for node in model.graph.node)


def remove_transposes(model: ModelProto) -> ModelProto:
    """A pass: repeat the rewrites of this module until none applies."""
    while transposes(model) and (_merge_around_reshapes(model) or _push_down(model) | _join(model) or _absorb(model)):
        model = merge_reshapes(model)
    return model


def _join(model: ModelProto) -> bool:
    """Merge two Transposes in a row; both go where they undo each other."""
    editor = GraphEditor(model)
    changed = False
    for node in editor.nodes():
        first = editor.producers.get(node.input[0]) if node.op_type == "Transpose" else None
        if first is None or first.op_type != "Transpose":
            continue
        rank = len(attribute(node, "perm") or attribute(first, "perm") or ())
        second, earlier = perm_of(node, rank), perm_of(first, rank)
        perm = [earlier[axis] for axis in second]
        source = first.input[0]
        if perm != sorted(perm):
            (source,) = editor.add("Transpose", [source], perm=perm).output
        editor.replace(node, source)
        changed = True
    if changed:
        editor.store()
    return changed


def _merge_around_reshapes(model: ModelProto) -> bool:
    """Replace Transposes that, with the Reshapes between them, leave every value in its place by one Reshape."""
    editor = GraphEditor(model)
    shapes = infer(editor)
    changed = False
    for node in editor.nodes():
        chain = _idle_chain(editor, shapes, node) if node.op_type == "Transpose" else []
        if not chain:
            continue
        name = chain[-1].input[0]
        for each in reversed(chain):
            if _is_pointwise(editor, each):
                again = editor.add_like(each, [name, *each.input[1:]])
                shapes.add(again)
                (name,) = again.output
        target = editor.add_constant(np.array(shapes[node.output[0]], np.int64))
        editor.remove(node)
        shapes.add(editor.add("Reshape", [name, target], node.output[0]))
        changed = True
    if changed:
        editor.store()
    return changed


def _idle_chain(editor: GraphEditor, shapes: Shapes, transpose: NodeProto) -> list[NodeProto]:
    """The nodes from `transpose` up to another one that together move nothing; none where there is no other."""
    chain = [transpose]
    while chain[-1].input[0] in shapes:
        producer = editor.producers.get(chain[-1].input[0])
        if producer is None:
            break
        chain.append(producer)
        if producer.op_type == "Transpose":
            if _in_order(shapes, chain):
                return chain
        elif producer.op_type != "Reshape" and not (
            _is_unary(editor, producer, producer.input[0]) and editor.only_consumer(producer.output[0])
        ):
            break
    return []


def _in_order(shapes: Shapes, chain: list[NodeProto]) -> bool:
    """Whether the nodes of `chain`, last one first, keep all values in their order: tried on consecutive numbers."""
    shape = shapes[chain[-1].input[0]]
    numbers = np.arange(prod(shape))
    moved = numbers.reshape(shape)
    for node in reversed(chain):
        if node.op_type == "Transpose":
            moved = moved.transpose(perm_of(node, moved.ndim))
        elif node.op_type == "Reshape":
            moved = moved.reshape(shapes[node.output[0]])
    return np.array_equal(moved.reshape(-1), numbers)


def _absorb(model: ModelProto) -> bool:
    """Take out one Transpose before dense layers: permute their weights instead."""
    editor = GraphEditor(model)
    candidates = [node for node in editor.nodes() if node.op_type == "Transpose"]
    if not candidates:
        return False
    shapes = infer(editor)
    found = next(((node, path) for node in candidates if (path := _path(editor, shapes, node))), None)
    if found is None:
        return False
    transpose, (pixels, flat, dense) = found
    shape = shapes[transpose.output[0]]
    perm = perm_of(transpose, len(shape))
    name, channels = transpose.input[0], shape[-1]
    for node in pixels:
        weights = _weights(editor, node, node.input[0])
        if weights is None and _is_bias(editor, node, node.input[0], channels):
            value = editor.constant(node.input[1])
            assert value is not None
            each = editor.add_constant(value.reshape(channels, *(1 for _ in shape[1:-1])))
            (name,) = editor.add_like(node, [name, each]).output
            continue
        if weights is None:
            (name,) = editor.add_like(node, [name, *node.input[1:]]).output
            continue
        channels = weights.shape[1]
        kernel = weights.T.reshape(*weights.T.shape, *(1 for _ in shape[1:-1]))
        inputs = [name, editor.add_constant(np.ascontiguousarray(kernel))]
        bias = _bias(editor, node) if len(node.input) > 2 else None
        if bias is not None:
            inputs.append(editor.add_constant(np.ascontiguousarray(bias)))
        (name,) = editor.add("Conv", inputs, kernel_shape=[1 for _ in shape[1:-1]]).output
    rows = (*shape[1:-1], channels)
    (name,) = editor.add("Reshape", [name, editor.add_constant(np.array([shape[0], prod(rows)], np.int64))]).output
    for node in flat:
        (name,) = editor.add_like(node, [name, *node.input[1:]]).output
    weights = _weights(editor, dense, dense.input[0])
    assert weights is not None
    back = [perm[1:].index(axis) for axis in range(1, len(perm))]
    weights = weights.reshape(*rows, -1).transpose(*back, len(rows)).reshape(weights.shape)
    if attribute(dense, "transB", 0):
        weights = weights.T
    constant = editor.add_constant(np.ascontiguousarray(weights))
    editor.set_inputs(dense, [name, constant, *dense.input[2:]])
    editor.store()
    return True


def _path(
    editor: GraphEditor, shapes: Shapes, transpose: NodeProto
) -> tuple[list[NodeProto], list[NodeProto], NodeProto] | None:
    """The nodes from `transpose` to a dense layer whose weights can be permuted; None where there is no such layer.

    Returns:
        The nodes that work on rows of channels, those that work on a picture as one row, and the dense layer.
    """
    name = transpose.output[0]
    perm = perm_of(transpose, len(shapes[name])) if name in shapes else []
    if perm[:1] != [0]:
        return None
    shape = shapes[name]
    channels, channels_last = shape[-1], perm == [0, *range(2, len(perm)), 1]
    pixels: list[NodeProto] = []
    flat: list[NodeProto] | None = None
    while (node := editor.only_consumer(name)) is not None and node.output[0] in shapes:
        target = shapes[node.output[0]]
        weights = _weights(editor, node, name)
        if node.op_type == "Reshape" and flat is None:
            # Of several Reshapes only the last counts: it gives one row a picture, or there is no path.
            flat = [] if target == (shape[0], prod(shape[1:-1]) * channels) else None
        elif _is_unary(editor, node, name):
            (pixels if flat is None else flat).append(node)
        elif flat is None and channels_last and _is_bias(editor, node, name, channels):
            pixels.append(node)
        elif weights is not None and flat is not None:
            return pixels, flat, node
        elif weights is not None and channels_last and _is_plain(editor, node):
            pixels.append(node)
            channels = weights.shape[1]
        else:
            break
        name = node.output[0]
    return None


def _is_pointwise(editor: GraphEditor, node: NodeProto) -> bool:
    """Whether `node` works value by value: quantizers do where they have one scale."""
    if node.op_type in {"DequantizeLinear", "QuantizeLinear"}:
        scale = editor.constant(node.input[1])
        return scale is not None and scale.ndim == 0
    return node.op_type in POINTWISE


def _is_unary(editor: GraphEditor, node: NodeProto, name: str) -> bool:
    """Whether `node` works on each value of `name` alone, and on the same single numbers beside."""
    if not _is_pointwise(editor, node) or node.input[0] != name:
        return False
    others = [editor.constant(other) for other in node.input[1:] if other]
    return all(value is not None and value.ndim == 0 for value in others)


def _is_bias(editor: GraphEditor, node: NodeProto, name: str, channels: int) -> bool:
    """Whether `node` takes `name`, channels last, and beside it one constant for each channel."""
    if node.op_type not in POINTWISE or len(node.input) != 2 or node.input[0] != name:
        return False
    value = editor.constant(node.input[1])
    return value is not None and value.shape[-1:] == (channels,) and value.size == channels


def _weights(editor: GraphEditor, node: NodeProto, name: str) -> NDArray[Any] | None:
    """The constant [inputs, outputs] that a dense layer multiplies `name` by; None for any other node."""
    if node.op_type not in {"Gemm", "MatMul"} or node.input[0] != name or attribute(node, "transA", 0):
        return None
    weights = editor.constant(node.input[1])
    if weights is None or weights.ndim != 2:
        return None
    return weights.T if attribute(node, "transB", 0) else weights


def _is_plain(editor: GraphEditor, node: NodeProto) -> bool:
    """Whether the layer is rows @ weights + bias: no factors, and one bias for each output."""
    if attribute(node, "alpha", 1.0) != 1.0 or attribute(node, "beta", 1.0) != 1.0:
        return False
    return len(node.input) < 3 or (editor.constant(node.input[2]) is not None and _bias(editor, node) is not None)


def _bias(editor: GraphEditor, node: NodeProto) -> NDArray[Any] | None:
    """The third input of a Gemm as one value for each output; None where it differs between rows."""
    value, weights = editor.constant(node.input[2]), _weights(editor, node, node.input[0])
    if value is None or weights is None or value.size not in {1, weights.shape[1]}:
        return None
    return np.broadcast_to(value.reshape(-1), (weights.shape[1],))
