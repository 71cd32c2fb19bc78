"""Writes the network of an EON-compiled file as a TFLite flatbuffer.

Tensors keep their indices. Their names are lost in the C++, so they are called `tensor_<index>`, and the input
`x_input` as in Edge Impulse's own float models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from convert.export.eon.operators import CUSTOM, OPERATORS, VERSIONS
from convert.export.eon.parameters import options
from convert.export.packing import pack

if TYPE_CHECKING:
    from convert.export.eon.derived import Options
    from convert.export.eon.graph import Graph, Node

__all__ = ["write"]

_SCHEMA_VERSION = 3
_DESCRIPTION = "Rebuilt from EON-compiled C++."
_PLACEHOLDER = 127  # what the 8-bit member of an operator code holds when the code does not fit it


def write(graph: Graph) -> bytes:
    """The flatbuffer of `graph`.

    Raises:
        InputError: parameters of an operator that do not fit it.
        UnsupportedModelError: an operator or a parameter that is not known here.
    """
    model = schema.ModelT()
    model.version = _SCHEMA_VERSION
    model.description = _DESCRIPTION
    model.buffers = [schema.BufferT()]  # by convention the first one is empty
    model.operatorCodes = []
    subgraph = schema.SubGraphT()
    subgraph.name = "main"
    subgraph.inputs = list(graph.inputs)
    subgraph.outputs = list(graph.outputs)
    subgraph.tensors = [_tensor(graph, model, index) for index in range(len(graph.tensors))]
    codes: dict[tuple[int, str, int], int] = {}
    subgraph.operators = [_operator(graph, node, codes) for node in graph.nodes]
    model.operatorCodes = [_code(*code) for code in codes]
    model.subgraphs = [subgraph]
    return pack(model)


def _tensor(graph: Graph, model: schema.ModelT, index: int) -> schema.TensorT:
    source = graph.tensors[index]
    tensor = schema.TensorT()
    tensor.name = _name(graph, index)
    tensor.type = source.type
    tensor.shape = np.array(source.shape, np.int32)
    tensor.hasRank = True
    tensor.buffer = 0
    if source.data is not None:
        tensor.buffer = len(model.buffers)
        model.buffers.append(schema.BufferT(np.frombuffer(source.data.tobytes(), np.uint8)))
    if source.quantization is not None:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = source.quantization.scale
        tensor.quantization.zeroPoint = source.quantization.zero_point
        tensor.quantization.quantizedDimension = source.quantization.axis
    return tensor


def _name(graph: Graph, index: int) -> str:
    if index not in graph.inputs:
        return f"tensor_{index}"
    place = graph.inputs.index(index)
    return f"x_input_{place}" if place else "x_input"


def _operator(graph: Graph, node: Node, codes: dict[tuple[int, str, int], int]) -> schema.OperatorT:
    """The call; `codes` gets its operator code, in order of first use, if it does not have it."""
    call = schema.OperatorT()
    call.inputs = np.array(node.inputs, np.int32)
    call.outputs = np.array(node.outputs, np.int32)
    if custom := CUSTOM.get(node.operator.upper()):
        code = (schema.BuiltinOperator.CUSTOM, custom, 1)
        call.customOptions = node.custom
    elif operator := OPERATORS.get(node.operator):
        members = options(graph, node, operator)
        code = (getattr(schema.BuiltinOperator, node.operator), "", VERSIONS.get(node.operator, 1))
        if members is not None:
            table = f"{operator.options}Options"
            call.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            call.builtinOptions = _table(table, members)
    else:
        raise graph.source.unsupported(
            f"the operator {node.operator} is not known here",
            node.at,
            "convert the .tflite of this model instead, or train one without this layer",
        )
    call.opcodeIndex = codes.setdefault(code, len(codes))
    return call


def _table(name: str, members: Options) -> Any:
    table = getattr(schema, f"{name}T")()
    for member, value in members.items():
        setattr(table, member, np.array(value, np.int32) if isinstance(value, list) else value)
    return table


def _code(builtin: int, custom: str, number: int) -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode = builtin
    code.deprecatedBuiltinCode = min(builtin, _PLACEHOLDER)
    code.customCode = custom or None
    code.version = number
    return code
