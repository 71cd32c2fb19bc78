"""Makes the model's bytes depend on nothing but what it computes: order, names, storage, header.

tf2onnx numbers tensors by a process-wide counter and iterates over sets, so its bytes differ from run to run; TFLite
names hold `;` and `:`, which break nvinfer's key files. Here nodes come depth first from the outputs, tensors are
called after their place in that order, and nothing of the container, the labels, the project or the time goes in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
from onnx import helper, numpy_helper

from convert import __version__
from convert.graph.model import Wiring, opset_of
from convert.words import INPUT_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onnx import ModelProto, NodeProto, ValueInfoProto

__all__ = ["Canonical"]

_PRODUCER = "ei-deepstream"
_OLDEST_IR = 4  # the first that lets constants stand outside the inputs


@dataclass(frozen=True, slots=True)
class Canonical:
    """A pass: canonical names, order and storage.

    Attributes:
        outputs: the graph's outputs, in order.
        metadata: written to metadata_props, sorted by key.
    """

    outputs: tuple[str, ...]
    metadata: Mapping[str, str]

    def __call__(self, model: ModelProto) -> ModelProto:
        """A new model; the input is called `x_input`."""
        wiring = Wiring(model)
        nodes = wiring.nodes()
        names = self._names(model, nodes)
        graph = helper.make_graph(
            [_renamed(node, number, names) for number, node in enumerate(nodes)],
            _PRODUCER,
            [_value(model.graph.input[0], INPUT_NAME)],
            [_value(value, name) for value, name in zip(model.graph.output, self.outputs, strict=True)],
            # from_array stores raw bytes, whatever field the values were in before.
            [
                numpy_helper.from_array(value, names[name])
                for name in names
                if (value := wiring.constant(name)) is not None
            ],
        )
        opset = helper.make_opsetid("", opset_of(model))
        result = helper.make_model(graph, opset_imports=[opset], producer_name=_PRODUCER, producer_version=__version__)
        # The oldest that can hold the opset: parsers warn about, or refuse, a newer one than they know.
        result.ir_version = max(_OLDEST_IR, helper.find_min_ir_version_for([opset]))
        helper.set_model_props(result, dict(sorted(self.metadata.items())))
        return result

    def _names(self, model: ModelProto, nodes: list[NodeProto]) -> dict[str, str]:
        """New name of every tensor, constants in the order of their first use."""
        names = {model.graph.input[0].name: INPUT_NAME, "": ""}
        names |= {value.name: name for value, name in zip(model.graph.output, self.outputs, strict=True)}
        constants = tensors = 0
        for node in nodes:
            for name in node.input:
                if name not in names:  # makers come before takers, so this is a constant
                    names[name] = f"c{constants}"
                    constants += 1
            for name in node.output:
                if name not in names:
                    names[name] = f"t{tensors}"
                    tensors += 1
        return names


def _renamed(node: NodeProto, number: int, names: Mapping[str, str]) -> NodeProto:
    result = helper.make_node(
        node.op_type,
        [names[name] for name in node.input],
        [names[name] for name in node.output],
        name=f"{node.op_type}_{number}",
    )
    result.attribute.extend(sorted(node.attribute, key=lambda item: item.name))
    for item in result.attribute:
        item.doc_string = ""
    return result


def _value(value: ValueInfoProto, name: str) -> ValueInfoProto:
    result = onnx.ValueInfoProto(name=name)
    result.type.CopyFrom(value.type)
    return result
