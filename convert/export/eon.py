"""Rebuilds the TFLite flatbuffer of a model that Edge Impulse's EON compiler turned into C++.

Until February 2024 operators stand in `NodeInfo_t nodeData[]` with their kind as last member, since then in
`TfLiteNode tflNodes[]` with their kinds in `used_ops[]`. What the members of a row of `TensorInfo_t tensorData[]` mean
is read from the file's own `struct TensorInfo_t`, because the generator leaves out what all tensors share: the type of
an all-float model, the quantization of an unquantized one.

Shapes are checked where a damaged file would otherwise only fail in the runtime: for operators with weights, and those
that keep the number of elements. A public file of August 2023 has its tensors in another order than its nodes count
them: every reference is valid, and none fits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from convert.errors import InputError
from convert.export import eon_operators
from convert.export.cpp_scanner import line_of, source_bytes
from convert.export.eon_source import Group, Unit, Value, Variable, is_null, name_of, parse, shown
from convert.export.tflite import operator_codes, pack
from convert.findings import Finding, Rule

if TYPE_CHECKING:
    from numpy.typing import NDArray


REBUILT = Rule("EI150")

MAX_SIZE = 128 << 20
"""Bytes of C++ beyond which a file is refused; the largest public ones have 2 MB."""


# The file does not declare TfLiteNode: common.h of TensorFlow Lite without TF_LITE_STATIC_MEMORY.
_NODE = (
    "inputs", "outputs", "intermediates", "temporaries", "user_data", "builtin_data", "custom_initial_data",
    "custom_initial_data_size",
)  # fmt: skip

_NEEDED = ("allocation_type", "data", "dims", "bytes")
_MAX_RANK = 8  # of TensorFlow Lite's tensors
_IN_ARENA = {"kTfLiteArenaRw", "kTfLiteArenaRwPersistent"}

_SAME_COUNT = {
    *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "SOFTMAX", "LOGISTIC", "TANH", "RELU", "RELU6", "QUANTIZE", "DEQUANTIZE")
}  # the result has as many elements as the input

_SCHEMA_VERSION = 3
_DESCRIPTION = "Rebuilt from EON-compiled C++."


def rebuild(source: bytes | str, path: str, *, limit: int = MAX_SIZE) -> tuple[bytes, Finding]:
    """The flatbuffer that an EON-compiled file was made from, and EI150.

    Tensors keep index, type, shape, constant bytes and quantization bits; operators keep order and parameters. Tensors
    are named `tensor_<index>`, the input `x_input`.

    Args:
        source: the C++ text.
        path: the file as errors and findings should name it.
        limit: bytes of C++ that are read.

    Raises:
        InputError: the file is no EON-compiled model, damaged, or larger than `limit`; it names the line.
        UnsupportedModelError: an accelerator's commands, control flow, an operator or a type that is not known here.
    """
    data = source_bytes(source.encode("utf-8", "surrogateescape") if isinstance(source, str) else source)
    if len(data) > limit:
        message = f"this file has {len(data):,} bytes; of EON-compiled models up to {limit:,} are read"
        hint = "export the model as .tflite, which has no such limit"
        raise InputError(message, path=path, line=line_of(data, limit), hint=hint)
    graph = _graph(parse(data, path))
    message = f"rebuilt from C++: {len(graph.nodes)} operators, {len(graph.tensors)} tensors"
    return _write(graph), REBUILT.found(message, path=path)


def _graph(unit: Unit) -> eon_operators.EonGraph:
    """The network that `unit` declares.

    Raises:
        InputError: something is missing, of the wrong kind, or does not fit.
        UnsupportedModelError: an accelerator's commands, several subgraphs, or a type we do not know.
    """
    _refuse_accelerators(unit)
    if unit.find("tensorData") is None:
        raise unit.damaged("this is not an EON-compiled model: it has no tensorData", 0)
    for name in ("tflTensors_subgraph_index", "tflNodes_subgraph_index"):
        index = unit.find(name)
        if index is not None and isinstance(index.value, np.ndarray) and len(index.value) > 2:
            message = f"this model has {len(index.value) - 1} subgraphs"
            hint = "download TensorFlow Lite (float32) from the Dashboard: it converts if it has no loop or condition"
            raise unit.unsupported(message, index.at, hint)
    tensors = _tensors(unit)
    nodes = _nodes(unit, len(tensors))
    inputs = _ends(unit, ("inTensorIndices", "in_tensor_indices"), len(tensors))
    outputs = _ends(unit, ("outTensorIndices", "out_tensor_indices"), len(tensors))
    graph = eon_operators.EonGraph(unit, tensors, nodes, inputs, outputs)
    _check_order(graph)
    for number, node in enumerate(nodes):
        if not _fits(graph, node):
            shapes = [str(list(tensors[index].shape)) if index >= 0 else "none" for index in node.inputs]
            results = [str(list(tensors[index].shape)) for index in node.outputs]
            said = f"{', '.join(shapes)} to {', '.join(results)}"
            message = f"the shapes of node {number} ({node.operator}) do not fit together: {said}"
            raise unit.damaged(message, node.at)
    return graph


def _refuse_accelerators(unit: Unit) -> None:
    """Files for Ethos-U may hold one such model for each of its configurations, all of them under conditions."""
    place = unit.data.find(b"OP_ETHOSU")
    is_used = "OP_ETHOSU" in unit.enums.get("used_operators_e", ())
    if is_used or (place >= 0 and unit.find("tensorData") is None):
        message = "this model was compiled for an Arm Ethos-U: its layers are that processor's commands, not a network"
        hint = "in Edge Impulse choose a deployment without an accelerator, for example C++ library, and export again"
        raise unit.unsupported(message, place, hint)


def _nodes(unit: Unit, tensors: int) -> tuple[eon_operators.EonNode, ...]:
    kinds: list[Value | None]
    if table := unit.find("nodeData"):
        rows = unit.rows(table, unit.fields(table))
        kinds = [row.get("used_op_index") for _, row in rows]
    else:
        rows = unit.rows(unit.need("tflNodes"), _NODE)
        used = unit.need("used_ops")
        kinds = list(used.value.items) if isinstance(used.value, Group) else [used.value]
        if len(kinds) != len(rows):
            raise unit.damaged(f"used_ops names {len(kinds)} operators for {len(rows)} nodes", used.at)
    known = unit.enums.get("used_operators_e", ())
    nodes = []
    for index, ((at, row), kind) in enumerate(zip(rows, kinds, strict=True)):
        name = name_of(kind)
        if name not in known or name == "OP_LAST":
            raise unit.damaged(f"node {index} has the unknown operator {shown(kind)}", at)
        operator = name.removeprefix("OP_")
        nodes.append(_node(_Row(unit, row, f"node {index} ({operator})", at), operator, tensors))
    return tuple(nodes)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a table: its members by field. Errors name `what` it describes and stand at `at`."""

    unit: Unit
    members: dict[str, Value]
    what: str
    at: int

    def damaged(self, message: str) -> InputError:
        return self.unit.damaged(message, self.at)

    def need(self, member: str) -> Value:
        if member not in self.members:
            raise self.damaged(f"{self.what} has no {member}")
        return self.members[member]

    def variable(self, member: str) -> Variable | None:
        """The variable that a pointer names, None for a null pointer."""
        value = self.members.get(member)
        if value is None or is_null(value):
            return None
        return self.unit.follow(value, f"{member} of {self.what}", self.at)


def _node(row: _Row, operator: str, tensors: int) -> eon_operators.EonNode:
    ends = []
    for end, lowest in (("inputs", -1), ("outputs", 0)):
        values = row.unit.array(row.need(end), "int32", f"{end} of {row.what}", row.at)
        ends.append(_checked(row.unit, values, lowest, tensors, row.what, row.at))
    inputs, outputs = ends
    if not inputs or not outputs:
        raise row.damaged(f"{row.what} has no input or no output")
    parameters, custom = row.variable("builtin_data"), row.variable("custom_initial_data")
    size = row.members.get("custom_initial_data_size", 0)
    if custom is None and size != 0:  # in 2022 one member pointed at either
        parameters, custom = None, parameters
    if custom is None:
        return eon_operators.EonNode(operator, inputs, outputs, parameters, None, row.at)
    value = custom.value
    if not isinstance(value, np.ndarray) or value.dtype != np.uint8 or size != len(value):
        raise row.unit.damaged(f"the options of {row.what} are not what they should be", custom.at)
    return eon_operators.EonNode(operator, inputs, outputs, parameters, value, row.at)


def _ends(unit: Unit, spellings: tuple[str, ...], tensors: int) -> tuple[int, ...]:
    variable = unit.need(*spellings)
    if not isinstance(variable.value, np.ndarray) or not len(variable.value):
        raise unit.damaged(f"{variable.name} is not a list of tensors", variable.at)
    return _checked(unit, variable.value, 0, tensors, variable.name, variable.at)


def _checked(unit: Unit, values: NDArray[np.integer], lowest: int, tensors: int, what: str, at: int) -> tuple[int, ...]:
    if values.size and (int(values.min()) < lowest or int(values.max()) >= tensors):
        raise unit.damaged(f"{what} names a tensor that does not exist", at)
    return tuple(int(value) for value in values)


def _check_order(graph: eon_operators.EonGraph) -> None:
    """Every tensor is known before it is used, and computed once."""
    known = {index for index, tensor in enumerate(graph.tensors) if tensor.data is not None} | set(graph.inputs)
    for number, node in enumerate(graph.nodes):
        for index in node.inputs:
            if index >= 0 and index not in known:
                message = f"node {number} ({node.operator}) uses tensor {index} before it is computed"
                raise graph.unit.damaged(message, node.at)
        for index in node.outputs:
            if index in known:
                message = f"node {number} ({node.operator}) computes tensor {index} after it is computed"
                raise graph.unit.damaged(message, node.at)
            known.add(index)
    for index in graph.outputs:
        if index not in known:
            at = graph.tensors[index].at
            raise graph.unit.damaged(f"tensor {index}, an output of the model, is never computed", at)


def _tensors(unit: Unit) -> tuple[eon_operators.EonTensor, ...]:
    """The tensors, by index.

    Raises:
        InputError: a row or what it refers to is missing, of the wrong kind, or does not fit.
        UnsupportedModelError: a type whose tensors are not plain numbers.
    """
    table = unit.need("tensorData")
    fields = unit.fields(table)
    for member in _NEEDED:
        if member not in fields:
            raise unit.damaged(f"struct {table.type} is missing or has no {member}", table.at)
    rows = enumerate(unit.rows(table, fields))
    return tuple(_TensorRow(unit, row, f"tensor {index}", at).tensor() for index, (at, row) in rows)


class _TensorRow(_Row):
    """A row of `tensorData`."""

    __slots__ = ()

    def tensor(self) -> eon_operators.EonTensor:
        for member in _NEEDED:
            self.need(member)
        type_ = self._type()
        shape = self._shape()
        size = math.prod(shape) * eon_operators.DTYPES[type_].itemsize
        if self.members["bytes"] != size:
            said = shown(self.members["bytes"])
            raise self.damaged(f"{self.what} of shape {list(shape)} takes {size} bytes, not {said}")
        return eon_operators.EonTensor(type_, shape, self._data(type_, size), self._quantization(shape), self.at)

    def _type(self) -> int:
        value = self.members.get("type")
        name = name_of(value)
        if value is None:  # the one type of all tensors is then set in a function
            shared = sorted(self.unit.types_set & set(eon_operators.TYPES))
            if len(shared) != 1:
                raise self.damaged(f"{self.what} has no type")
            (name,) = shared
        if name not in eon_operators.TYPES:
            message = f"{self.what} has the type {shown(value)}, which is not known here"
            raise self.unit.unsupported(message, self.at, "convert the .tflite of this model instead")
        return eon_operators.TYPES[name]

    def _shape(self) -> tuple[int, ...]:
        dims = self.unit.array(self.members["dims"], "int32", f"the shape of {self.what}", self.at)
        if dims.size and int(dims.min()) < 0:
            raise self.damaged(f"the shape of {self.what} has a negative size")
        return tuple(int(dim) for dim in dims)

    def _data(self, type_: int, size: int) -> NDArray[Any] | None:
        allocation, pointer = self.members["allocation_type"], self.members["data"]
        if name_of(allocation) in _IN_ARENA:
            return None
        if name_of(allocation) != "kTfLiteMmapRo":
            raise self.damaged(f"{self.what} has the unknown allocation {shown(allocation)}")
        dtype = eon_operators.DTYPES[type_]
        if size == 0 and is_null(pointer):
            return np.empty(0, dtype)
        variable = self.unit.follow(pointer, f"the data of {self.what}", self.at)
        values = variable.value
        if not isinstance(values, np.ndarray):
            raise self.unit.damaged(f"the data of {self.what} is {variable.name}, which is no array", variable.at)
        if values.dtype == np.uint8 and dtype != np.uint8 and values.nbytes == size:
            return values.view(dtype)  # types that the generator has no printer for come as bytes
        if values.dtype != dtype or values.nbytes != size:
            wanted = f"{self.what} takes {size // dtype.itemsize} numbers of type {dtype.name}"
            found = f"{variable.name} holds {values.size} of type {values.dtype.name}"
            raise self.unit.damaged(f"{wanted}, {found}", variable.at)
        return values

    def _quantization(self, shape: tuple[int, ...]) -> eon_operators.Quantization | None:
        value = self.members.get("quantization")
        if value is None:
            if unknown := [name for name, each in self.members.items() if isinstance(each, Group)]:
                raise self.damaged(f"{self.what} has the unknown member {unknown[0]}")
            return None
        kind = name_of(value.items[0]) if isinstance(value, Group) and len(value.items) == 2 else ""
        if kind == "kTfLiteNoQuantization":
            return None
        if not isinstance(value, Group) or kind != "kTfLiteAffineQuantization":
            raise self.damaged(f"{self.what} has an unknown kind of quantization")
        variable = self.unit.follow(value.items[1], f"the quantization of {self.what}", self.at)
        if not isinstance(variable.value, Group) or len(variable.value.items) != 3:
            raise self.unit.damaged(f"{variable.name} is no quantization", variable.at)
        scales, zeros, axis = variable.value.items
        scale = self.unit.array(scales, "float32", f"the scale of {self.what}", variable.at)
        zero = self.unit.array(zeros, "int32", f"the zero point of {self.what}", variable.at)
        if len(scale) == 0 and len(zero) == 0:
            return None
        per_axis = len(scale) > 1
        if not isinstance(axis, int) or not 0 <= axis < _MAX_RANK or len(scale) != len(zero):
            raise self.unit.damaged(f"{variable.name}: scales, zero points and axis do not go together", variable.at)
        if per_axis and not (axis < len(shape) and shape[axis] == len(scale)):
            message = f"{len(scale)} scales along axis {axis} do not fit {self.what} of shape {list(shape)}"
            raise self.unit.damaged(f"{variable.name}: {message}", variable.at)
        return eon_operators.Quantization(scale, zero.astype(np.int64), axis)


def _fits(graph: eon_operators.EonGraph, node: eon_operators.EonNode) -> bool:
    """Whether the shapes of an operator's tensors can belong together."""
    shapes = [graph.tensors[index].shape if index >= 0 else None for index in node.inputs]
    if not shapes or shapes[0] is None or not node.outputs:
        return node.operator not in _SAME_COUNT
    source, result = shapes[0], graph.tensors[node.outputs[0]].shape
    if node.operator in _SAME_COUNT:
        return math.prod(source) == math.prod(result)
    weights = shapes[1] if len(shapes) > 1 else None
    bias = shapes[2] if len(shapes) > 2 else None
    is_dense, is_depthwise = node.operator == "FULLY_CONNECTED", node.operator == "DEPTHWISE_CONV_2D"
    if not is_dense and not is_depthwise and node.operator != "CONV_2D":
        return True
    if weights is None or len(weights) != (2 if is_dense else 4):
        return False
    # Weights: dense [O,I]; convolution [O,kh,kw,I], where I may be a part of the channels; depthwise [1,kh,kw,O].
    channels = weights[3] if is_depthwise else weights[0]
    if is_dense:
        size = weights[1]
        fits = size > 0 and math.prod(source) % size == 0 and math.prod(result) == math.prod(source) // size * channels
    else:
        fits = len(source) == len(result) == 4 and result[3] == channels
        fits = fits and (is_depthwise or (weights[3] > 0 and source[3] % weights[3] == 0))
    return fits and (bias is None or math.prod(bias) == channels)


def _write(graph: eon_operators.EonGraph) -> bytes:
    """The flatbuffer of `graph`.

    Raises:
        InputError: parameters of an operator that do not fit it.
        UnsupportedModelError: an operator or a parameter that is not known here.
    """
    model = schema.ModelT()
    model.version = _SCHEMA_VERSION
    model.description = _DESCRIPTION
    model.buffers = [schema.BufferT()]  # by convention the first one is empty
    subgraph = schema.SubGraphT()
    subgraph.name, subgraph.inputs, subgraph.outputs = "main", list(graph.inputs), list(graph.outputs)
    subgraph.tensors = [_tensor(graph, model, index) for index in range(len(graph.tensors))]
    codes: dict[tuple[int, str, int], int] = {}
    subgraph.operators = [_operator(graph, node, codes) for node in graph.nodes]
    model.operatorCodes = operator_codes(codes)
    model.subgraphs = [subgraph]
    return pack(model)


def _tensor(graph: eon_operators.EonGraph, model: schema.ModelT, index: int) -> schema.TensorT:
    source = graph.tensors[index]
    tensor = schema.TensorT()
    tensor.name = f"tensor_{index}"
    if index in graph.inputs:
        place = graph.inputs.index(index)
        tensor.name = f"x_input_{place}" if place else "x_input"
    tensor.type, tensor.shape, tensor.buffer = source.type, np.array(source.shape, np.int32), 0
    tensor.hasRank = True
    if source.data is not None:
        tensor.buffer = len(model.buffers)
        model.buffers.append(schema.BufferT(np.frombuffer(source.data.tobytes(), np.uint8)))
    if source.quantization is not None:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = source.quantization.scale
        tensor.quantization.zeroPoint = source.quantization.zero_point
        tensor.quantization.quantizedDimension = source.quantization.axis
    return tensor


def _operator(
    graph: eon_operators.EonGraph, node: eon_operators.EonNode, codes: dict[tuple[int, str, int], int]
) -> schema.OperatorT:
    """The call; `codes` gets its operator code, in order of first use, if it does not have it."""
    call = schema.OperatorT()
    call.inputs, call.outputs = np.array(node.inputs, np.int32), np.array(node.outputs, np.int32)
    if custom := eon_operators.CUSTOM.get(node.operator.upper()):
        code = (schema.BuiltinOperator.CUSTOM, custom, 1)
        call.customOptions = node.custom
    elif operator := eon_operators.OPERATORS.get(node.operator):
        members = eon_operators.options(graph, node, operator)
        code = (getattr(schema.BuiltinOperator, node.operator), "", eon_operators.VERSIONS.get(node.operator, 1))
        if members is not None:
            table = f"{operator.options}Options"
            call.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            call.builtinOptions = getattr(schema, f"{table}T")()
            for member, value in members.items():
                setattr(call.builtinOptions, member, np.array(value, np.int32) if isinstance(value, list) else value)
    else:
        message = f"the operator {node.operator} is not known here"
        hint = "convert the .tflite of this model instead, or train one without this layer"
        raise graph.unit.unsupported(message, node.at, hint)
    call.opcodeIndex = codes.setdefault(code, len(codes))
    return call
