"""The shape of every tensor, by ONNX's own inference, one node at a time.

Node by node because passes change nodes while they walk, need several batch sizes, and must name the node that does not
fit; it is also three times as fast as inference on the whole model, which copies the weights.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import onnx.defs
from onnx import helper, shape_inference

from convert.errors import TranslationError
from convert.graph.model import opset_of, shape_of

if TYPE_CHECKING:
    from onnx import NodeProto, TypeProto

    from convert.graph.model import Wiring

__all__ = ["Shapes", "infer"]

_LARGEST_DATA = 1024  # elements; targets of Reshape, Slice, Pad, Resize and the like are far below


class Shapes:
    """Types of the tensors seen so far.

    Args:
        wiring: of the graph.
        batch: the first dimension of the graph's input; None keeps what the model says.
    """

    def __init__(self, wiring: Wiring, batch: int | None = None) -> None:
        self._wiring = wiring
        self._opsets = list(wiring.model.opset_import)
        self._opset = opset_of(wiring.model)
        self._types: dict[str, TypeProto] = {}
        for value in wiring.model.graph.input:
            kind = onnx.TypeProto()
            kind.CopyFrom(value.type)
            if batch is not None and kind.tensor_type.shape.dim:
                kind.tensor_type.shape.dim[0].dim_value = batch
            self._types[value.name] = kind

    def __getitem__(self, name: str) -> tuple[int, ...]:
        """The shape of `name`; KeyError where it is not known in full."""
        shape = shape_of(self.type(name))
        if shape is None or None in shape:
            raise KeyError(name)
        return tuple(size for size in shape if size is not None)

    def __contains__(self, name: str) -> bool:
        try:
            self[name]
        except KeyError:
            return False
        return True

    def size(self, name: str) -> int | None:
        """How many elements `name` has; None where its shape is not known."""
        return prod(self[name]) if name in self else None

    def type(self, name: str) -> TypeProto:
        """The type of an input, a constant, or the output of a node that was added; KeyError for anything else."""
        if name not in self._types:
            tensor = self._wiring.tensor(name)
            if tensor is None:
                raise KeyError(name)
            self._types[name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
        return self._types[name]

    def add(self, node: NodeProto) -> None:
        """Infer the outputs of `node`.

        Raises:
            TranslationError: its inputs do not fit together.
        """
        types, data = {}, {}
        for name in node.input:
            if name:
                types[name] = self.type(name)
                tensor = self._wiring.tensor(name)
                if tensor is not None and prod(tensor.dims) <= _LARGEST_DATA:
                    data[name] = tensor
        try:
            schema = onnx.defs.get_schema(node.op_type, self._opset, node.domain)
            found = shape_inference.infer_node_outputs(
                schema,
                node,
                types,
                input_data=data,
                opset_imports=self._opsets,
                ir_version=self._wiring.model.ir_version,
            )
        except (shape_inference.InferenceError, onnx.defs.SchemaError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise TranslationError(
                f"the translation does not fit together at a {node.op_type} node: {reason}",
                hint="this is a fault of the translation, not of the model: please report it",
            ) from error
        self._types.update(found)


def infer(wiring: Wiring, batch: int | None = None) -> Shapes:
    """The shapes of a whole graph.

    Raises:
        TranslationError: a node's inputs do not fit together.
    """
    shapes = Shapes(wiring, batch)
    for node in wiring.nodes():
        shapes.add(node)
    return shapes
