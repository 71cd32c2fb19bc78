"""Brings every graph into one plain form, before its head is fitted, and takes out the Transposes that can go.

Constant and Identity nodes, nodes of constants, equal constants and what no output needs go.

Reshape, Flatten, Squeeze, Unsqueeze and a Transpose that moves only dimensions of size 1 do not touch the data. A chain
of them becomes one Reshape with a constant target, and one to the shape its input already has goes. This is exact at
batch 1, which is what tf2onnx makes; `convert.graph.batch` then puts the batch into the few that are left.

Resize nodes must hold for any batch and mean the same in every TensorRT. Target sizes would hold the batch; scales do
not. And `tf_half_pixel_for_nn` (TFLite's half_pixel_centers), which ONNX took out again in opset 13, reads pixel
floor((x + 0.5) / scale): for whole-number scales that is floor(x / scale), which is `asymmetric`.

Once the input is NCHW, Transposes go (`remove_transposes`). TFLite is NHWC throughout; tf2onnx makes each convolution
NCHW and moves the Transposes away from it. It stops at operators it does not list (HardSwish, Floor), at means over
pixels that come before other work, and at the classifier's dense layers, which read pixels in NHWC order. Only rewrites
that are equal for every input are made here:

- a Transpose moves towards the outputs: it commutes with operators that work value by value; a reduction over, a Pad
  of, or a Gather along, transposed axes is one over the axes they were;
- two in a row are one, or none;
- Transposes with a Reshape between them that together move nothing are a Reshape;
- Transpose, Reshape to rows, dense layer: the layer's weights are permuted instead;
- the same with dense layers for each pixel in between (Edge Impulse's transfer learning head): these are 1x1
  convolutions.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from convert.errors import TranslationError
from convert.files import sha256
from convert.graph.graph import POINTWISE, REDUCTIONS, GraphEditor, Shapes, attribute, infer, opset_of, set_attribute

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LARGEST = 1 << 26  # elements of a folded constant: 256 MiB of float32, more than any engine here holds

# A quantized model's scales are read from these nodes, not from the constants they would make.
_KEPT = {"QuantizeLinear", "DequantizeLinear"}

_RESHAPES = {"Reshape", "Flatten", "Squeeze", "Unsqueeze"}

_CONSTANT_ATTRIBUTES: dict[str, Callable[[Any], NDArray[Any]]] = {
    "value": numpy_helper.to_array,
    "value_float": lambda value: np.array(value, np.float32),
    "value_floats": lambda value: np.array(value, np.float32),
    "value_int": lambda value: np.array(value, np.int64),
    "value_ints": lambda value: np.array(value, np.int64),
}


def only_real_inputs(model: ModelProto) -> ModelProto:
    """Take initializers out of the graph's inputs, where IR version 3 (opset 7 and 8) had to list them."""
    initializers = {tensor.name for tensor in model.graph.initializer}
    real = [value for value in model.graph.input if value.name not in initializers]
    old = len(model.graph.input)
    if len(real) < old:
        model.graph.input.extend(real)
        del model.graph.input[:old]
        model.ir_version = max(model.ir_version, 4)
    return model


def positive_axes(model: ModelProto) -> ModelProto:
    """Count axes from the front before opset 11, which is the first to allow counting from the back; tf2onnx does."""
    if opset_of(model) >= 11:
        return model
    editor = GraphEditor(model)
    shapes = Shapes(editor)
    for node in editor.nodes():
        source = node.input[0] if node.input else ""
        axis = attribute(node, "axis")
        if isinstance(axis, int) and axis < 0 and source in shapes:
            set_attribute(node, "axis", axis + len(shapes[source]))
        shapes.add(node)
    editor.store()
    return model


def clean(model: ModelProto) -> ModelProto:
    """Constant nodes become initializers; Identity nodes, equal constants and what no output needs go."""
    editor = GraphEditor(model)
    for node in editor.nodes():
        if node.op_type == "Constant":
            (item,) = node.attribute
            if item.name not in _CONSTANT_ATTRIBUTES:  # text, or sparse: nothing here works on those
                continue
            value = _CONSTANT_ATTRIBUTES[item.name](helper.get_attribute_value(item))
            editor.replace(node, editor.add_constant(value))
        elif node.op_type == "Identity":
            editor.replace(node, node.input[0])
    first: dict[tuple[str, tuple[int, ...], str], str] = {}  # of equal constants, the one that is used first
    for node in editor.nodes():
        names = list(node.input)
        for number, name in enumerate(names):
            array = editor.constant(name)
            if array is not None and not array.dtype.hasobject:
                names[number] = first.setdefault((array.dtype.str, array.shape, sha256(array.tobytes())), name)
        if names != list(node.input):
            editor.set_inputs(node, names)
    editor.store()
    return model


_OPPOSITES = {"GreaterOrEqual": "Less", "LessOrEqual": "Greater"}


def plain_comparisons(model: ModelProto) -> ModelProto:
    """Write `a >= b` as not `a < b`: TensorRT 7 knows no other form, and ONNX cannot infer the shapes of this one.

    They differ for what is not a number, which a model that is shipped does not compute.
    """
    editor = GraphEditor(model)
    found = [node for node in editor.nodes() if node.op_type in _OPPOSITES]
    for node in found:
        editor.replace(node, editor("Not", editor(_OPPOSITES[node.op_type], *node.input)))
    if found:
        editor.store()
    return model


def plain_clips(model: ModelProto) -> ModelProto:
    """Write a Clip whose limits are computed as Max and Min: it takes single numbers, not one for each picture."""
    editor = GraphEditor(model)
    clips = [node for node in editor.nodes() if node.op_type == "Clip"]
    found = [node for node in clips if any(name and name not in editor.tensors for name in node.input[1:])]
    for node in found:
        name = node.input[0]
        for operator, limit in zip(("Max", "Min"), node.input[1:], strict=False):
            name = editor(operator, name, limit) if limit else name
        editor.replace(node, name)
    if found:
        editor.store()
    return model


def plain_quantization(model: ModelProto) -> ModelProto:
    """Write rounding to steps that are not symmetric around 0 in arithmetic, as TensorRT quantizes symmetrically only.

    TFLite's converter leaves a QUANTIZE and a DEQUANTIZE in a float32 model where fake quantization was trained.
    """
    editor = GraphEditor(model)
    for node in editor.nodes():
        before = _quantizer(editor, node) if node.op_type == "DequantizeLinear" and editor.opset >= 11 else None
        if before is None:
            continue
        scale, zero = (editor.constant(name) for name in before.input[1:])
        assert scale is not None
        assert zero is not None
        kind = np.iinfo(zero.dtype)
        limits = [editor.floats(limit - int(zero.item())) for limit in (kind.min, kind.max)]
        step = editor.add_constant(scale)
        codes = editor("Add", editor("Div", before.input[0], step), editor.floats(0.5))
        codes = editor("Clip", editor("Floor", codes), *limits)  # TensorRT has Round since 8.2
        editor.replace(before, editor("Mul", codes, step))
        editor.replace(node, node.input[0])
    editor.store()
    return model


_NARROW = {TensorProto.UINT8, TensorProto.UINT16, TensorProto.INT16, TensorProto.UINT32, TensorProto.UINT64}


def plain_integers(model: ModelProto) -> ModelProto:
    """Let casts to integers that TensorRT does not have between layers give int32; equal for what fits into both."""
    casts = [node for node in model.graph.node if node.op_type == "Cast" and attribute(node, "to") in _NARROW]
    if not casts or any(node.op_type in _KEPT for node in model.graph.node):
        return model
    for node in casts:
        set_attribute(node, "to", TensorProto.INT32)
    for tensor in model.graph.initializer:
        if tensor.data_type in _NARROW:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.int32), tensor.name))
    return model


def _quantizer(editor: GraphEditor, node: NodeProto) -> NodeProto | None:
    """The QuantizeLinear whose values `node` turns back, with nothing but moving between them; None where its steps are
    symmetric around 0, or there is none."""
    name = node.input[0]
    while (before := editor.producers.get(name)) is not None and editor.only_consumer(name) is not None:
        if before.op_type == "QuantizeLinear":
            if len(before.input) < 3 or len(node.input) < 3:
                return None
            (scale, zero), (again, same) = (list(map(editor.constant, each.input[1:])) for each in (before, node))
            is_one = scale is not None and zero is not None and scale.size == zero.size == 1 and bool(zero.any())
            return before if is_one and np.array_equal(scale, again) and np.array_equal(zero, same) else None  # type: ignore[arg-type]
        if before.op_type not in _RESHAPES | {"Transpose"}:
            return None
        name = before.input[0]
    return None


def fold(model: ModelProto) -> ModelProto:
    """Compute every node that has constant inputs only, and every Shape or Size of a tensor of known shape.

    Shapes that a graph computes for itself become constants here; `convert.graph.batch` then finds the batch in them.
    """
    editor = GraphEditor(model)
    shapes = Shapes(editor)
    for node in editor.nodes():
        source, target = node.input[0] if node.input else "", node.output[0]
        if node.op_type in {"Shape", "Size"} and source in shapes:
            # `start` and `end` exist since opset 15
            shape = shapes[source][slice(attribute(node, "start"), attribute(node, "end"))]
            value: NDArray[Any] = np.array(prod(shape) if node.op_type == "Size" else shape, np.int64)
        else:
            shapes.add(node)
            condition = editor.constant(source) if node.op_type == "Where" else None
            if condition is not None and (condition.all() or not condition.any()):
                chosen = node.input[1 if condition.all() else 2]
                if shapes.get(chosen) == shapes.get(target, ()):
                    editor.replace(node, chosen)
                    continue
            is_constant = (
                bool(node.input)
                and len(node.output) == 1
                and node.op_type not in _KEPT
                and all(not name or editor.constant(name) is not None for name in node.input)
            )
            if not is_constant or not 0 < prod(shapes.get(target, (0,))) <= _LARGEST:
                continue
            value = _evaluate(editor, node)
        editor.replace(node, editor.add_constant(value))
    editor.store()
    return model


def _evaluate(editor: GraphEditor, node: NodeProto) -> NDArray[Any]:
    """The node's value, by ONNX's reference implementation."""
    from onnx.reference import ReferenceEvaluator  # slow to import, rarely needed

    values = {name: editor.constant(name) for name in node.input if name}
    graph = helper.make_graph(
        [node],
        "constant",
        [helper.make_empty_tensor_value_info(name) for name in values],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in node.output],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", editor.opset)])
    try:
        (value,) = ReferenceEvaluator(model).run(None, values)
    except Exception as error:
        message = f"a constant of this model cannot be computed ({node.op_type}): {error}"
        raise TranslationError(message, hint="check that the file is whole") from error
    return np.asarray(value)


def merge_reshapes(model: ModelProto) -> ModelProto:
    """Replace every chain of reshaping nodes by at most one Reshape."""
    editor = GraphEditor(model)
    shapes = Shapes(editor)
    for node in editor.nodes():
        shapes.add(node)
        source, target = node.input[0] if node.input else "", node.output[0]
        if source not in shapes or target not in shapes:
            continue
        if node.op_type == "Transpose":
            if not moves_nothing(perm_of(node, len(shapes[source])), shapes[source]):
                continue
        elif node.op_type not in _RESHAPES:
            continue
        before = editor.producers.get(source)
        if before is not None and before.op_type == "Reshape" and before.input[0] in shapes:
            source = before.input[0]
        if shapes[source] == shapes[target]:
            editor.replace(node, source)
            continue
        _reshape_instead(editor, shapes, node, source)
    editor.store()
    return model


def perm_of(transpose: NodeProto, rank: int) -> list[int]:
    """Where each dimension of the output comes from; without `perm` ONNX reverses them."""
    perm = attribute(transpose, "perm")
    return list(range(rank))[::-1] if perm is None else list(perm)


def moves_nothing(perm: list[int], shape: tuple[int, ...]) -> bool:
    """Whether a Transpose of `shape` by `perm` leaves the data where it is: sizes above 1 keep their order."""
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved == sorted(moved)


def resize_scales(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float32] | None:
    """float32 factors that make sizes `after` of `before`, where each multiplies and rounds down; None: there are none.

    Runtimes multiply in float32, ONNX's shape inference in float64. A quotient that float32 rounded down is too small
    for the latter: the next larger float32 does.
    """
    scales = (after / before).astype(np.float32)
    too_small = np.floor(before * scales.astype(np.float64)) < after
    scales = np.where(too_small, np.nextafter(scales, np.float32(np.inf)), scales)
    fits = [np.floor(before.astype(kind) * scales.astype(kind)) == after for kind in (np.float32, np.float64)]
    return scales if np.all(fits) else None


def plain_resizes(model: ModelProto) -> ModelProto:
    """A pass: sizes become scales where these give the same sizes, and the deprecated coordinates go where they can."""
    editor = GraphEditor(model)
    resizes = [node for node in editor.nodes() if node.op_type == "Resize"]
    if not resizes:
        return model
    shapes = infer(editor)
    for node in resizes:
        before = np.array(shapes[node.input[0]])
        if len(node.input) > 3 and node.input[3] and node.output[0] in shapes and not attribute(node, "axes"):
            scales = resize_scales(before, np.array(shapes[node.output[0]]))
            if scales is not None:
                editor.set_inputs(node, [*node.input[:2], editor.add_constant(scales)])
        nearest = attribute(node, "mode", b"nearest") == b"nearest"
        half_pixel = attribute(node, "coordinate_transformation_mode") == b"tf_half_pixel_for_nn"
        given = editor.constant(node.input[2]) if len(node.input) > 2 else None
        is_whole = given is not None and given.size > 0 and bool(np.all(given == np.floor(given)))
        if nearest and half_pixel and is_whole:
            set_attribute(node, "coordinate_transformation_mode", "asymmetric")
            set_attribute(node, "nearest_mode", "floor")
    editor.store()
    return model


_Rewrite: TypeAlias = "Callable[[GraphEditor, Shapes, NodeProto], bool]"
"""Rewrites the graph at one node, if it can; whether it did."""


def _everywhere(editor: GraphEditor, shapes: Shapes, rewrite: _Rewrite) -> bool:
    """`rewrite` at every node, in order; whether anything changed: then the graph is stored, and `editor` is done."""
    changed = [rewrite(editor, shapes, node) for node in editor.nodes()]
    if any(changed):
        editor.store()
    return any(changed)


def _push_down(editor: GraphEditor, shapes: Shapes, node: NodeProto) -> bool:
    """Move the Transposes before `node` behind it."""
    if _is_pointwise(editor, node):
        return _past_pointwise(editor, shapes, node)
    if node.op_type in REDUCTIONS:
        return _past_reduction(editor, shapes, node)
    if node.op_type == "Pad":
        return _past_pad(editor, shapes, node)
    return node.op_type == "Gather" and _past_gather(editor, shapes, node)


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
    again = _again(editor, shapes, node, [names.get(name, "") for name in node.input])
    editor.remove(node)
    shapes.add(editor.add("Transpose", [again], node.output[0], perm=perm))
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
    node = editor.add("Reshape", [name, editor.indices([wide[axis] for axis in back])])
    shapes.add(node)
    return str(node.output[0])


def _past_reduction(editor: GraphEditor, shapes: Shapes, node: NodeProto) -> bool:
    """Reduce the axes as they were before the Transpose, if the others are then in the right order."""
    producer = _transpose_before(editor, node)
    if producer is None or producer.input[0] not in shapes:
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
    again = editor.add_like(node, producer.input[:1])
    if constant is None:
        set_attribute(again, "axes", moved)
    else:
        editor.set_inputs(again, [*producer.input[:1], editor.indices(moved)])
    shapes.add(again)
    if attribute(node, "keepdims", 1):
        _reshape_instead(editor, shapes, node, again.output[0])
    else:
        editor.replace(node, again.output[0])
    return True


def _past_pad(editor: GraphEditor, shapes: Shapes, node: NodeProto) -> bool:
    """What is added to each axis is added to it as it was before the Transpose."""
    producer = _transpose_before(editor, node)
    pads = editor.constant(node.input[1]) if len(node.input) in {2, 3} else None
    if producer is None or pads is None or editor.only_consumer(node.input[0]) is None:
        return False
    rank = pads.size // 2
    perm, given = perm_of(producer, rank), pads.reshape(2, rank)
    moved = np.empty_like(given)
    moved[:, perm] = given
    if moved[:, :-2].any() and not given[:, :-2].any():  # TensorRT before 8.0 pads the last two dimensions only
        return False
    again = editor.add_like(node, [producer.input[0], editor.add_constant(moved.ravel()), *node.input[2:]])
    _turned(editor, shapes, node, again, perm)
    return True


def _past_gather(editor: GraphEditor, shapes: Shapes, node: NodeProto) -> bool:
    """Entries of an axis, by a constant list of numbers, are those of the axis as it was before the Transpose."""
    producer, indices = _transpose_before(editor, node), editor.constant(node.input[1])
    if producer is None or producer.input[0] not in shapes:
        return False
    if indices is None or indices.ndim != 1 or editor.only_consumer(node.input[0]) is None:
        return False
    perm = perm_of(producer, len(shapes[producer.input[0]]))
    again = editor.add_like(node, [producer.input[0], node.input[1]])
    set_attribute(again, "axis", perm[attribute(node, "axis", 0)])
    _turned(editor, shapes, node, again, perm)
    return True


def _turned(editor: GraphEditor, shapes: Shapes, node: NodeProto, again: NodeProto, perm: list[int]) -> None:
    """Put `again` and a Transpose where `node` is."""
    shapes.add(again)
    editor.remove(node)
    shapes.add(editor.add("Transpose", again.output, node.output[0], perm=perm))


def transposes(model: ModelProto) -> int:
    """The number of Transposes in the graph."""
    return sum(node.op_type == "Transpose" for node in model.graph.node)


def remove_transposes(model: ModelProto) -> ModelProto:
    """A pass: repeat the rewrites of this module until none applies."""
    while transposes(model) and _rewritten(model):
        model = merge_reshapes(model)
    return model


def _rewritten(model: ModelProto) -> bool:
    """Apply the first of the rewrites that changes anything; whether one did."""
    editor = GraphEditor(model)
    shapes = infer(editor)  # once for all that change nothing
    if _everywhere(editor, shapes, _merge_around_reshapes):
        return True
    is_pushed = _everywhere(editor, shapes, _push_down)
    is_joined = _everywhere(GraphEditor(model), shapes, _join)
    return is_pushed or is_joined or _absorb(editor, shapes)


def _join(editor: GraphEditor, _: Shapes, node: NodeProto) -> bool:
    """Merge two Transposes in a row; both go where they undo each other."""
    first = _transpose_before(editor, node) if node.op_type == "Transpose" else None
    if first is None:
        return False
    rank = len(attribute(node, "perm") or attribute(first, "perm") or ())
    second, earlier = perm_of(node, rank), perm_of(first, rank)
    perm = [earlier[axis] for axis in second]
    source = first.input[0]
    editor.replace(node, source if perm == sorted(perm) else editor("Transpose", source, perm=perm))
    return True


def _transpose_before(editor: GraphEditor, node: NodeProto) -> NodeProto | None:
    """The Transpose that gives the first input of `node`; None where none does."""
    producer = editor.producers.get(node.input[0])
    return producer if producer is not None and producer.op_type == "Transpose" else None


def _merge_around_reshapes(editor: GraphEditor, shapes: Shapes, node: NodeProto) -> bool:
    """Replace Transposes that, with the Reshapes between them, leave every value in its place by one Reshape."""
    chain = _idle_chain(editor, shapes, node) if node.op_type == "Transpose" else []
    if not chain:
        return False
    name = chain[-1].input[0]
    for each in reversed(chain):
        if _is_pointwise(editor, each):
            name = _again(editor, shapes, each, [name, *each.input[1:]])
    _reshape_instead(editor, shapes, node, name)
    return True


def _again(editor: GraphEditor, shapes: Shapes, node: NodeProto, inputs: list[str]) -> str:
    """The output of `node` once more, on other inputs."""
    again = editor.add_like(node, inputs)
    shapes.add(again)
    return str(again.output[0])


def _reshape_instead(editor: GraphEditor, shapes: Shapes, node: NodeProto, name: str) -> None:
    """Put a Reshape of `name` in the place of `node`."""
    target = editor.indices(shapes[node.output[0]])
    editor.remove(node)
    shapes.add(editor.add("Reshape", [name, target], node.output[0]))


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


def _absorb(editor: GraphEditor, shapes: Shapes) -> bool:
    """Take out one Transpose before dense layers: permute their weights instead."""
    candidates = [node for node in editor.nodes() if node.op_type == "Transpose"]
    found = next(((node, path) for node in candidates if (path := _path(editor, shapes, node))), None)
    if found is None:
        return False
    transpose, (pixels, flat, dense) = found
    shape = shapes[transpose.output[0]]
    perm = perm_of(transpose, len(shape))
    name, channels = transpose.input[0], shape[-1]
    ones = [1 for _ in shape[1:-1]]  # the picture's dimensions
    for node in pixels:
        weights = _weights(editor, node, node.input[0])
        if weights is None:
            others = list(node.input[1:])
            if _is_bias(editor, node, node.input[0], channels):
                value = editor.constant(node.input[1])
                assert value is not None
                others = [editor.add_constant(value.reshape(channels, *ones))]
            (name,) = editor.add_like(node, [name, *others]).output
            continue
        channels = weights.shape[1]
        bias = _bias(editor, node) if len(node.input) > 2 else None
        constants = [weights.T.reshape(*weights.T.shape, *ones), *([] if bias is None else [bias])]
        kernel = [editor.add_constant(np.ascontiguousarray(each)) for each in constants]
        name = editor("Conv", name, *kernel, kernel_shape=ones)
    rows = (*shape[1:-1], channels)
    name = editor("Reshape", name, editor.indices([shape[0], prod(rows)]))
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


CLEANING = (
    only_real_inputs, positive_axes, clean, plain_comparisons, plain_integers, plain_quantization, fold, plain_clips,
    plain_resizes, merge_reshapes, remove_transposes,
)  # fmt: skip
"""All passes of this module, in order."""
