"""The network that an EON-compiled file describes: its tensors, its operators, its ends.

Until February 2024 operators stand in `NodeInfo_t nodeData[]` with their kind as last member, since then in
`TfLiteNode tflNodes[]` with their kinds in `used_ops[]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convert.export.eon.names import Names, is_null, name_of, shown
from convert.export.eon.shapes import check_shapes
from convert.export.eon.syntax import Group, Value, Variable
from convert.export.eon.tensors import Tensor, read_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.errors import InputError
    from convert.export.eon.syntax import Source, Unit

__all__ = ["Graph", "Node", "understand"]

# The file does not declare TfLiteNode: common.h of TensorFlow Lite without TF_LITE_STATIC_MEMORY.
_NODE = (
    *("inputs", "outputs", "intermediates", "temporaries", "user_data", "builtin_data"),
    *("custom_initial_data", "custom_initial_data_size"),
)


@dataclass(frozen=True, slots=True)
class Node:
    """An operator call.

    Attributes:
        operator: "CONV_2D": its enumerator in the file without `OP_`.
        inputs, outputs: tensor indices; -1 for an optional input that is absent.
        parameters: its C parameters; None where it has none.
        custom: the options of a custom operator.
        at: where its row is.
    """

    operator: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    parameters: Variable | None
    custom: NDArray[np.uint8] | None
    at: int


@dataclass(frozen=True, slots=True)
class Graph:
    """A network of one subgraph.

    Attributes:
        symbol: what the names of its functions start with: "trained_model", "tflite_learn_5"; "" when there are none.
        inputs, outputs: tensor indices.
    """

    source: Source
    symbol: str
    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def understand(unit: Unit) -> Graph:
    """The network that `unit` declares.

    Raises:
        InputError: something is missing, of the wrong kind, or does not fit.
        UnsupportedModelError: an accelerator's commands, several subgraphs, or a type we do not know.
    """
    names = Names(unit)
    _refuse_accelerators(names)
    if names.find("tensorData") is None:
        raise unit.source.damaged("this is not an EON-compiled model: it has no tensorData", 0)
    _refuse_subgraphs(names)
    tensors = read_tensors(names)
    nodes = _nodes(names, len(tensors))
    inputs = _ends(names, ("inTensorIndices", "in_tensor_indices"), len(tensors))
    outputs = _ends(names, ("outTensorIndices", "out_tensor_indices"), len(tensors))
    symbols = [name.removesuffix("_init") for name in unit.functions if name.endswith("_init")]
    graph = Graph(unit.source, symbols[0] if symbols else "", tensors, nodes, inputs, outputs)
    _check_order(graph)
    check_shapes(graph)
    return graph


def _refuse_accelerators(names: Names) -> None:
    """Files for Ethos-U may hold one such model for each of its configurations, all of them under conditions."""
    place = names.source.data.find(b"OP_ETHOSU")
    is_used = "OP_ETHOSU" in names.unit.enums.get("used_operators_e", ())
    if is_used or (place >= 0 and names.find("tensorData") is None):
        raise names.source.unsupported(
            "this model was compiled for an Arm Ethos-U: its layers are that processor's commands, not a network",
            place,
            "in Edge Impulse choose a deployment without an accelerator, for example C++ library, and export again",
        )


def _refuse_subgraphs(names: Names) -> None:
    for name in ("tflTensors_subgraph_index", "tflNodes_subgraph_index"):
        found = names.find(name)
        if found is not None and isinstance(found.value, np.ndarray) and len(found.value) > 2:
            raise names.source.unsupported(
                f"this model has {len(found.value) - 1} subgraphs, so it has a loop or a condition",
                found.at,
                "export a model without control flow",
            )


def _nodes(names: Names, tensors: int) -> tuple[Node, ...]:
    kinds: list[Value | None]
    if table := names.find("nodeData"):
        rows = names.rows(table, names.unit.structs.get(table.type, ()))
        kinds = [row.get("used_op_index") for _, row in rows]
    else:
        rows = names.rows(names.need("tflNodes"), _NODE)
        used = names.need("used_ops")
        kinds = list(used.value.items) if isinstance(used.value, Group) else [used.value]
        if len(kinds) != len(rows):
            raise names.source.damaged(f"used_ops names {len(kinds)} operators for {len(rows)} nodes", used.at)
    known = names.unit.enums.get("used_operators_e", ())
    nodes = []
    for index, ((at, row), kind) in enumerate(zip(rows, kinds, strict=True)):
        name = name_of(kind)
        if name not in known or name == "OP_LAST":
            raise names.source.damaged(f"node {index} has the unknown operator {shown(kind)}", at)
        operator = name.removeprefix("OP_")
        nodes.append(_Row(names, row, operator, f"node {index} ({operator})", at).node(tensors))
    return tuple(nodes)


@dataclass(frozen=True, slots=True)
class _Row:
    names: Names
    members: dict[str, Value]
    operator: str
    what: str
    at: int

    def node(self, tensors: int) -> Node:
        inputs = self._indices("inputs", -1, tensors)
        outputs = self._indices("outputs", 0, tensors)
        if not inputs or not outputs:
            raise self.names.source.damaged(f"{self.what} has no input or no output", self.at)
        parameters, custom = self._variable("builtin_data"), self._variable("custom_initial_data")
        size = self.members.get("custom_initial_data_size", 0)
        if custom is None and size != 0:  # in 2022 one member pointed at either
            parameters, custom = None, parameters
        options: NDArray[np.uint8] | None = None
        if custom is not None:
            value = custom.value
            if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or size != len(value):
                raise self.names.source.damaged(f"the options of {self.what} are not what they should be", custom.at)
            options = value
        return Node(self.operator, inputs, outputs, parameters, options, self.at)

    def _indices(self, end: str, lowest: int, tensors: int) -> tuple[int, ...]:
        if end not in self.members:
            raise self.names.source.damaged(f"{self.what} has no {end}", self.at)
        values = self.names.array(self.members[end], "int32", f"{end} of {self.what}", self.at)
        return _checked(self.names, values, lowest, tensors, self.what, self.at)

    def _variable(self, member: str) -> Variable | None:
        value = self.members.get(member)
        if value is None or is_null(value):
            return None
        return self.names.follow(value, f"{member} of {self.what}", self.at)


def _ends(names: Names, spellings: tuple[str, ...], tensors: int) -> tuple[int, ...]:
    variable = names.need(*spellings)
    if not isinstance(variable.value, np.ndarray) or not len(variable.value):
        raise names.source.damaged(f"{variable.name} is not a list of tensors", variable.at)
    return _checked(names, variable.value, 0, tensors, variable.name, variable.at)


def _checked(
    names: Names, values: NDArray[np.integer], lowest: int, tensors: int, what: str, at: int
) -> tuple[int, ...]:
    if values.size and (int(values.min()) < lowest or int(values.max()) >= tensors):
        raise names.source.damaged(f"{what} names a tensor that does not exist", at)
    return tuple(int(value) for value in values)


def _check_order(graph: Graph) -> None:
    """Every tensor is known before it is used, and computed once."""
    known = {index for index, tensor in enumerate(graph.tensors) if tensor.data is not None} | set(graph.inputs)
    for number, node in enumerate(graph.nodes):
        for index in node.inputs:
            if index >= 0 and index not in known:
                raise _out_of_order(graph, node, f"node {number} ({node.operator}) uses tensor {index} before")
        for index in node.outputs:
            if index in known:
                raise _out_of_order(graph, node, f"node {number} ({node.operator}) computes tensor {index} after")
            known.add(index)
    for index in graph.outputs:
        if index not in known:
            at = graph.tensors[index].at
            raise graph.source.damaged(f"tensor {index}, an output of the model, is never computed", at)


def _out_of_order(graph: Graph, node: Node, message: str) -> InputError:
    return graph.source.damaged(f"{message} it is computed", node.at)
