"""Brings every graph into one plain form, before its head is fitted.

Constant and Identity nodes, nodes of constants, equal constants and what no output needs go.

Reshape, Flatten, Squeeze, Unsqueeze and a Transpose that moves only dimensions of size 1 do not touch the data. A chain
of them becomes one Reshape with a constant target, and one to the shape its input already has goes. This is exact at
batch 1, which is what tf2onnx makes; `convert.graph.batch` then puts the batch into the few that are left.

Resize nodes must hold for any batch and mean the same in every TensorRT. Target sizes would hold the batch; scales do
not. And `tf_half_pixel_for_nn` (TFLite's half_pixel_centers), which ONNX took out again in opset 13, reads pixel
floor((x + 0.5) / scale): for whole-number scales that is floor(x / scale), which is `asymmetric`.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from convert.errors import TranslationError
from convert.files import sha256
from convert.graph.graph import GraphEditor, Shapes, attribute, infer, opset_of, set_attribute

if TYPE_CHECKING:
    from collections.abc import Callable

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
        opposite = editor.add(_OPPOSITES[node.op_type], node.input)
        editor.remove(node)
        editor.add("Not", opposite.output, node.output[0])
    if found:
        editor.store()
    return model


def plain_quantization(model: ModelProto) -> ModelProto:
    """Write rounding to steps that are not symmetric around 0 in arithmetic, as TensorRT quantizes symmetrically only.

    TFLite's converter leaves a QUANTIZE and a DEQUANTIZE in a float32 model where fake quantization was trained.
    """
    editor = GraphEditor(model)
    changed = False
    for node in editor.nodes():
        before = _quantizer(editor, node) if node.op_type == "DequantizeLinear" and editor.opset >= 11 else None
        if before is None:
            continue
        scale, zero = (editor.constant(name) for name in before.input[1:])
        assert scale is not None
        assert zero is not None
        kind = np.iinfo(zero.dtype)
        limits = [editor.add_constant(np.array(limit - int(zero.item()), np.float32)) for limit in (kind.min, kind.max)]
        step = editor.add_constant(scale)
        (name,) = editor.add("Div", [before.input[0], step]).output
        half = editor.add_constant(np.array(0.5, np.float32))
        (name,) = editor.add("Floor", editor.add("Add", [name, half]).output).output  # TensorRT has Round since 8.2
        (name,) = editor.add("Clip", [name, *limits]).output
        editor.replace(before, editor.add("Mul", [name, step]).output[0])
        editor.replace(node, node.input[0])
        changed = True
    if changed:
        editor.store()
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
        raise TranslationError(
            f"a constant of this model cannot be computed ({node.op_type}): {error}",
            hint="check that the file is whole",
        ) from error
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
        if before is not None and before.op_type == "Reshape":
            source = before.input[0]
        if shapes[source] == shapes[target]:
            editor.replace(node, source)
            continue
        constant = editor.add_constant(np.array(shapes[target], np.int64))
        editor.remove(node)
        shapes.add(editor.add("Reshape", [source, constant], target))
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
