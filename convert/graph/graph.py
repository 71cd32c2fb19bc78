"""Reads and edits the graph of a ModelProto: what every pass needs.

A pass is a callable `ModelProto -> ModelProto` that may change the model it is given: `convert.graph.adapt` owns it.

Shapes come from ONNX's own inference, one node at a time: passes change nodes while they run, need two batch sizes, and
must name the node that does not fit. It is also three times as fast as inference on the whole model, which copies the
weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx.defs
from google.protobuf.message import DecodeError
from onnx import ModelProto, NodeProto, TypeProto, ValueInfoProto, helper, numpy_helper, shape_inference

from convert.errors import InputError, TranslationError
from convert.onnx_header import STANDARD_DOMAINS
from convert.types import Tensor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

PICTURES_FIRST = frozenset(
    {
        "AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "DepthToSpace", "GlobalAveragePool",
        "GlobalLpPool", "GlobalMaxPool", "InstanceNormalization", "LRN", "LpPool", "MaxPool", "SpaceToDepth",
        "Upsample",
    }
)  # fmt: skip
"""Each entry of the first dimension on its own, the same for all."""

POINTWISE = frozenset(
    {
        "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BitShift", "Cast", "Ceil", "Celu",
        "Clip", "Cos", "Cosh", "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Greater", "GreaterOrEqual", "HardSigmoid",
        "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min",
        "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Shrink",
        "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Tan", "Tanh",
        "ThresholdedRelu", "Where", "Xor",
    }
)  # fmt: skip
"""Value by value, with broadcasting from the right: they commute with Transpose."""

REDUCTIONS = frozenset(
    {
        "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
        "ReduceSum", "ReduceSumSquare",
    }
)  # fmt: skip
"""Over `axes`, an attribute or (ReduceSum since opset 13, all since 18) a second input."""


def hint_at(opset: int, hint: str | None) -> str | None:
    """`hint`, or what may help where the opset is the reason: before 11 there are no slices by steps, no joins with
    constants for every picture, and no resizing around half pixels."""
    if opset >= 11:
        return hint
    return "an opset below 11 lacks too much: leave out --opset, or export the ONNX model with opset 13"


def load_model(data: bytes) -> ModelProto:
    """A serialised model.

    Raises:
        InputError: it is damaged.
    """
    try:
        return onnx.load_model_from_string(data)
    except DecodeError as error:
        raise InputError("the ONNX model is damaged", hint="export it again") from error


def opset_of(model: ModelProto) -> int:
    """The version of ONNX's own operator set."""
    return next(int(entry.version) for entry in model.opset_import if entry.domain in STANDARD_DOMAINS)


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """The value of an attribute: int, float, bytes, list or TensorProto; `default` where it is absent."""
    for item in node.attribute:
        if item.name == name:
            return helper.get_attribute_value(item)
    return default


def set_attribute(node: NodeProto, name: str, value: Any) -> None:
    """Set or replace an attribute."""
    kept = [item for item in node.attribute if item.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def shape_of(kind: TypeProto) -> tuple[int | None, ...] | None:
    """The dimensions of a tensor type; None for one that is not a number, None alone where there is no shape."""
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    return tuple(int(dim.dim_value) if dim.HasField("dim_value") else None for dim in kind.tensor_type.shape.dim)


def signature(value: ValueInfoProto) -> Tensor:
    """A graph input or output as the artifacts have it; () where no shape is known."""
    element = value.type.tensor_type.elem_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(element)).name if element else "unknown"
    return Tensor(value.name, shape_of(value.type) or (), dtype)


def without_weights(model: ModelProto) -> ModelProto:
    """A copy with constants of more than 1024 elements as inputs: for checks, which copy a model several times.

    They stand behind the graph's own inputs.
    """
    light = ModelProto(ir_version=max(model.ir_version, 4), opset_import=model.opset_import)
    graph = light.graph
    graph.name = model.graph.name
    for name in ("node", "input", "output", "value_info", "sparse_initializer"):
        getattr(graph, name).extend(getattr(model.graph, name))
    declared = {value.name for value in graph.input}
    for tensor in model.graph.initializer:
        if prod(tensor.dims) <= _LARGEST_DATA:
            graph.initializer.append(tensor)
        elif tensor.name not in declared:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    return light


_LARGEST_DATA = 1024  # elements; targets of Reshape, Slice, Pad, Resize and the like are far below
_LARGEST_KEPT = 1 << 16  # elements of a constant of which an array is kept, as every array is a copy


class GraphEditor:
    """Which node produces each tensor of a graph and which consume it, kept up to date while nodes come and go.

    Graphs with subgraphs (Loop, If, Scan) are refused before any pass (`convert.translate.worker`), so every use of a
    tensor is an input of a node here. `store` writes the changes to the model.

    Attributes:
        opset: of the model.
        outputs: names of the graph's outputs.
        tensors: initializers by name, as they are stored.
        producers: the node that makes a tensor, by the tensor's name; inputs and constants have none.
    """

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.opset = opset_of(model)
        self.outputs = {value.name for value in model.graph.output}
        self.tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self.producers: dict[str, NodeProto] = {}
        self._arrays: dict[str, NDArray[Any]] = {}
        self._consumers: dict[str, list[NodeProto]] = {}
        for node in model.graph.node:
            self._enter(node)
        self._names = {value.name for value in model.graph.input} | set(self.tensors) | set(self.producers)

    def nodes(self) -> list[NodeProto]:
        """All nodes an output needs, producers before consumers.

        Depth first from the outputs, inputs in their order: it depends on the graph alone, not on how it was stored.
        """
        done: set[int] = set()
        ordered: list[NodeProto] = []
        producers = self.producers
        names = [value.name for value in self.model.graph.output]
        stack = [(producers[name], False) for name in reversed(names) if name in producers]
        while stack:
            node, inputs_done = stack.pop()
            if id(node) in done:
                continue
            if inputs_done:
                done.add(id(node))
                ordered.append(node)
                continue
            stack.append((node, True))
            stack += [(producers[name], False) for name in reversed(node.input) if name in producers]
        return ordered

    def only_consumer(self, name: str) -> NodeProto | None:
        """The one node that takes `name`; None when there are several, none, or it is an output of the graph."""
        consumers = self._consumers.get(name, ())
        return consumers[0] if len(consumers) == 1 and name not in self.outputs else None

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of an initializer; None for anything else. Not to be written to."""
        tensor = self.tensors.get(name)
        if tensor is None:
            return None
        if name in self._arrays:
            return self._arrays[name]
        value: NDArray[Any] = numpy_helper.to_array(tensor)
        if value.size <= _LARGEST_KEPT:
            self._arrays[name] = value
        return value

    def add_constant(self, value: NDArray[Any]) -> str:
        """A new initializer; returns its name."""
        name = self.new_name("constant")
        self.tensors[name] = numpy_helper.from_array(value, name)
        return name

    def add(
        self, operator: str, inputs: Iterable[str], output: str | None = None, *, outputs: int = 1, **attributes: Any
    ) -> NodeProto:
        """A new node; its first output is called `output` or something new, the others something new."""
        names = [output or self.new_name(operator), *(self.new_name(operator) for _ in range(outputs - 1))]
        node = helper.make_node(operator, list(inputs), names, **attributes)
        self._enter(node)
        return node

    def __call__(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """A new node; returns its one output."""
        (output,) = self.add(operator, inputs, **attributes).output
        return str(output)

    def floats(self, values: ArrayLike) -> str:
        """A float32 constant."""
        return self.add_constant(np.asarray(values, np.float32))

    def indices(self, values: ArrayLike) -> str:
        """An int64 constant."""
        return self.add_constant(np.asarray(values, np.int64))

    def sliced(self, name: str, starts: list[int], ends: list[int], axes: list[int]) -> str:
        """Entries `starts` to before `ends` along `axes`: attributes of Slice until opset 10, inputs since."""
        if self.opset < 10:
            return self("Slice", name, axes=axes, starts=starts, ends=ends)
        return self("Slice", name, *map(self.indices, (starts, ends, axes)))

    def add_like(self, node: NodeProto, inputs: Iterable[str]) -> NodeProto:
        """`node` once more, on other inputs and with new outputs."""
        again = NodeProto()
        again.CopyFrom(node)
        again.input[:] = list(inputs)
        again.output[:] = [self.new_name(node.op_type) if name else "" for name in node.output]
        self._enter(again)
        return again

    def remove(self, node: NodeProto) -> None:
        """Take `node` out."""
        for name in node.output:
            if self.producers.get(name) is node:
                del self.producers[name]
        self._detach(node)

    def set_inputs(self, node: NodeProto, names: Iterable[str]) -> None:
        """Let `node` take other inputs."""
        self._detach(node)
        node.input[:] = list(names)
        self._attach(node)

    def _attach(self, node: NodeProto) -> None:
        for name in dict.fromkeys(node.input):
            self._consumers.setdefault(name, []).append(node)

    def _detach(self, node: NodeProto) -> None:
        for name in set(node.input):
            self._consumers[name] = [each for each in self._consumers[name] if each is not node]

    def redirect(self, old: str, new: str) -> None:
        """Let all consumers of `old` take `new`."""
        for node in list(self._consumers.get(old, ())):
            self.set_inputs(node, [new if name == old else name for name in node.input])

    def replace(self, node: NodeProto, name: str) -> None:
        """Take out `node`, which has one output; its consumers take `name`.

        An output of the graph keeps its name: the producer of `name` gets it, or an Identity where that cannot be.
        """
        (output,) = node.output
        self.remove(node)
        self.redirect(output, name)
        if output not in self.outputs:
            return
        if name not in self.producers or name in self.outputs:
            self.add("Identity", [name], output)
            return
        self.renamed(name, output)
        self.redirect(name, output)

    def renamed(self, old: str, new: str | None = None) -> str:
        """Let the node that makes `old` call it `new`, or something new; consumers still take `old`."""
        name = new or self.new_name("inner")
        producer = self.producers.pop(old)
        producer.output[list(producer.output).index(old)] = name
        self.producers[name] = producer
        return name

    def new_name(self, stem: str) -> str:
        """A name that no tensor has."""
        number = len(self._names)
        while (name := f"{stem}__{number}") in self._names:
            number += 1
        self._names.add(name)
        return name

    def store(self) -> None:
        """Write nodes and constants to the model, without what no output needs."""
        graph = self.model.graph
        ordered = self.nodes()
        old = len(graph.node)
        graph.node.extend(ordered)  # copies; the old ones must live until then
        del graph.node[:old]
        used = {name for node in ordered for name in node.input} | self.outputs
        known = set()  # what is there stays: protobuf frees a message's memory with the whole model, no sooner
        for index in reversed(range(len(graph.initializer))):
            name = graph.initializer[index].name
            known.add(name)
            if name not in used:
                del graph.initializer[index]
        graph.initializer.extend(tensor for name, tensor in self.tensors.items() if name in used and name not in known)
        del graph.value_info[:]

    def _enter(self, node: NodeProto) -> None:
        for name in node.output:
            if name:
                self.producers[name] = node
        self._attach(node)


class Shapes(dict[str, tuple[int, ...]]):
    """The shape of each tensor by name, where it is known in full: of inputs, constants and the nodes that were added.

    Args:
        editor: of the graph.
        batch: the first dimension of the graph's input; None: as the model has it.

    Attributes:
        types: of the same tensors and of those whose shape is not known in full.
    """

    def __init__(self, editor: GraphEditor, batch: int | None = None) -> None:
        super().__init__()
        self.types: dict[str, TypeProto] = {}
        self._editor = editor
        self._opsets = list(editor.model.opset_import)
        for value in editor.model.graph.input:
            kind = onnx.TypeProto()
            kind.CopyFrom(value.type)
            if batch is not None and kind.tensor_type.shape.dim:
                kind.tensor_type.shape.dim[0].dim_value = batch
            self._set(value.name, kind)
        for name, tensor in editor.tensors.items():
            self._set(name, helper.make_tensor_type_proto(tensor.data_type, tensor.dims))

    def add(self, node: NodeProto) -> None:
        """Infer the outputs of `node`.

        Raises:
            TranslationError: its inputs do not fit together.
        """
        types, data = {}, {}
        for name in node.input:
            if name:
                tensor = self._editor.tensors.get(name)
                if tensor is not None and name not in self.types:
                    self._set(name, helper.make_tensor_type_proto(tensor.data_type, tensor.dims))
                types[name] = self.types[name]
                if tensor is not None and prod(tensor.dims) <= _LARGEST_DATA:
                    data[name] = tensor
        try:
            inferred = shape_inference.infer_node_outputs(
                onnx.defs.get_schema(node.op_type, self._editor.opset, node.domain),
                node,
                types,
                input_data=data,
                opset_imports=self._opsets,
                ir_version=self._editor.model.ir_version,
            )
        except (shape_inference.InferenceError, onnx.defs.SchemaError, onnx.checker.ValidationError) as error:
            reason = str(error).strip().splitlines()[-1]
            message = f"the translation does not fit together at a {node.op_type} node: {reason}"
            hint = "this is a fault of the translation, not of the model: please report it"
            raise TranslationError(message, hint=hint) from error
        for name, kind in inferred.items():
            self._set(name, kind)

    def _set(self, name: str, kind: TypeProto) -> None:
        self.types[name] = kind
        shape = shape_of(kind)
        if shape is None or None in shape:
            self.pop(name, None)
        else:
            self[name] = shape  # type: ignore[assignment]


def infer(editor: GraphEditor) -> Shapes:
    """The shapes of a whole graph.

    Raises:
        TranslationError: a node's inputs do not fit together.
    """
    shapes = Shapes(editor)
    for node in editor.nodes():
        shapes.add(node)
    return shapes
