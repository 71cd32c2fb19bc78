"""Takes out what computes nothing: Constant and Identity nodes, nodes of constants, doubles, what no output needs."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from convert.errors import TranslationError
from convert.graph.model import Wiring, attribute, opset_of, set_attribute
from convert.graph.shapes import Shapes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

__all__ = ["clean", "fold", "only_real_inputs", "positive_axes"]

_LARGEST = 1 << 26  # elements of a folded constant: 256 MiB of float32, more than any engine here holds

# A quantized model's scales are read from these nodes, not from the constants they would make.
_KEPT = {"QuantizeLinear", "DequantizeLinear"}

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
    wiring = Wiring(model)
    shapes = Shapes(wiring)
    for node in wiring.nodes():
        source = node.input[0] if node.input else ""
        axis = attribute(node, "axis")
        if isinstance(axis, int) and axis < 0 and source in shapes:
            set_attribute(node, "axis", axis + len(shapes[source]))
        shapes.add(node)
    wiring.store()
    return model


def clean(model: ModelProto) -> ModelProto:
    """Constant nodes become initializers; Identity nodes, equal constants and what no output needs go."""
    wiring = Wiring(model)
    for node in wiring.nodes():
        if node.op_type == "Constant":
            (item,) = node.attribute
            if item.name not in _CONSTANT_ATTRIBUTES:  # text, or sparse: nothing here works on those
                continue
            value = _CONSTANT_ATTRIBUTES[item.name](helper.get_attribute_value(item))
            wiring.replace(node, wiring.add_constant(value))
        elif node.op_type == "Identity":
            wiring.replace(node, node.input[0])
    _merge_equal(wiring)
    wiring.store()
    return model


def fold(model: ModelProto) -> ModelProto:
    """Compute every node that has constant inputs only, and every Shape or Size of a tensor of known shape.

    Shapes that a graph computes for itself become constants here; `convert.graph.batch` then finds the batch in them.
    """
    wiring = Wiring(model)
    shapes = Shapes(wiring)
    for node in wiring.nodes():
        source = node.input[0] if node.input else ""
        if node.op_type in {"Shape", "Size"} and source in shapes:
            value = _shape_value(node, shapes[source])
        else:
            shapes.add(node)
            if not _is_constant(wiring, node) or (shapes.size(node.output[0]) or _LARGEST + 1) > _LARGEST:
                continue
            value = _evaluate(wiring, node, opset_of(model))
        wiring.replace(node, wiring.add_constant(value))
    wiring.store()
    return model


def _is_constant(wiring: Wiring, node: NodeProto) -> bool:
    return (
        bool(node.input)
        and len(node.output) == 1
        and node.op_type not in _KEPT
        and all(not name or wiring.constant(name) is not None for name in node.input)
    )


def _shape_value(node: NodeProto, shape: tuple[int, ...]) -> NDArray[np.int64]:
    if node.op_type == "Size":
        return np.array(prod(shape), np.int64)
    limits = {item.name: item.i for item in node.attribute}  # `start` and `end` exist since opset 15
    return np.array(shape[limits.get("start") : limits.get("end")], np.int64)


def _evaluate(wiring: Wiring, node: NodeProto, opset: int) -> NDArray[Any]:
    """The node's value, by ONNX's reference implementation."""
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415 - slow to import, rarely needed

    values = {name: wiring.constant(name) for name in node.input if name}
    graph = helper.make_graph(
        [node],
        "constant",
        [helper.make_empty_tensor_value_info(name) for name in values],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in node.output],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        (value,) = ReferenceEvaluator(model).run(None, values)
    except Exception as error:
        raise TranslationError(
            f"a constant of this model cannot be computed ({node.op_type}): {error}",
            hint="check that the file is whole",
        ) from error
    return np.asarray(value)


def _merge_equal(wiring: Wiring) -> None:
    """One initializer for each value: its first user's."""
    first: dict[tuple[str, tuple[int, ...], bytes], str] = {}
    for node in wiring.nodes():
        names = []
        for name in node.input:
            value = wiring.constant(name)
            if value is None or value.dtype.hasobject:
                names.append(name)
            else:
                names.append(first.setdefault((value.dtype.str, value.shape, value.tobytes()), name))
        if names != list(node.input):
            wiring.set_inputs(node, names)
