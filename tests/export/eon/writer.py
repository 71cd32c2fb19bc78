"""Writes a TFLite flatbuffer as the C++ that Edge Impulse's EON compiler makes of it, in the form of each time.

Made from the description in docs/edge-impulse-exports.md, section 5; nothing of a real export is in it. What the real
files hold besides (arena, allocation, the functions that run the network) is hinted at, because a reader has to get
past it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from convert.export.tflite import unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["FORMS", "Form", "write"]


@dataclass(frozen=True)
class Form:
    """What changed over the years.

    Attributes:
        symbol: what the functions' names start with.
        node_data: operators in `NodeInfo_t nodeData[]` (until 2024-02), else in `TfLiteNode tflNodes[]`.
        namespace: arrays in `namespace g0`, references with casts (since 2024-02).
        section: `MODEL_SECTION(...)` before `ALIGN` (since 2025-01).
        shared: identical arrays are written once (since 2025-07).
        terse: what all tensors share is left out of their rows (2023).
    """

    symbol: str
    node_data: bool = False
    namespace: bool = False
    section: bool = False
    shared: bool = False
    terse: bool = False


FORMS = {
    "2020": Form("trained_model", node_data=True),
    "2023-04": Form("trained_model", node_data=True, terse=True),
    "2023-07": Form("tflite_learn_5", node_data=False, terse=True),
    "2024-02": Form("tflite_learn_5", namespace=True),
    "2025-01": Form("tflite_learn_12", namespace=True, section=True),
    "2025-07": Form("tflite_learn_4711_12", namespace=True, section=True, shared=True),
}

_C_NAMES = {
    schema.TensorType.FLOAT32: ("kTfLiteFloat32", "float", "<f4"),
    schema.TensorType.FLOAT16: ("kTfLiteFloat16", "uint8_t", "u1"),
    schema.TensorType.INT32: ("kTfLiteInt32", "int32_t", "<i4"),
    schema.TensorType.UINT8: ("kTfLiteUInt8", "uint8_t", "u1"),
    schema.TensorType.INT64: ("kTfLiteInt64", "int64_t", "<i8"),
    schema.TensorType.BOOL: ("kTfLiteBool", "uint8_t", "u1"),
    schema.TensorType.INT16: ("kTfLiteInt16", "int16_t", "<i2"),
    schema.TensorType.INT8: ("kTfLiteInt8", "int8_t", "i1"),
}
_OPERATORS = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
_ACTIVATIONS = ("None", "Relu", "ReluN1To1", "Relu6", "Tanh", "SignBit")

# Operators without a printer of their own: the C struct, and the options it is filled from. Padding counts from 1 in C.
_RAW: dict[str, tuple[str, Callable[[Any], tuple[Any, ...]]]] = {
    "ARG_MAX": ("i", lambda o: (4 if o.outputType == schema.TensorType.INT64 else 2,)),
    "CONCATENATION": ("ii", lambda o: (o.axis, o.fusedActivationFunction)),
    "DEPTH_TO_SPACE": ("i", lambda o: (o.blockSize,)),
    "GATHER": ("ii", lambda o: (o.axis, o.batchDims)),
    "LEAKY_RELU": ("f", lambda o: (o.alpha,)),
    "MEAN": ("?", lambda o: (o.keepDims,)),
    "MIRROR_PAD": ("i", lambda o: (o.mode + 1,)),
    "MUL": ("i", lambda o: (o.fusedActivationFunction,)),
    "PACK": ("ii", lambda o: (o.valuesCount, o.axis)),
    "REDUCE_MAX": ("?", lambda o: (o.keepDims,)),
    "RESIZE_BILINEAR": ("??", lambda o: (o.alignCorners, o.halfPixelCenters)),
    "RESIZE_NEAREST_NEIGHBOR": ("??", lambda o: (o.alignCorners, o.halfPixelCenters)),
    "SPACE_TO_DEPTH": ("i", lambda o: (o.blockSize,)),
    "SPLIT": ("i", lambda o: (o.numSplits,)),
    "SQUEEZE": ("8ii", lambda o: (*o.squeezeDims, *[0] * (8 - len(o.squeezeDims)), len(o.squeezeDims))),
    "STRIDED_SLICE": (
        "iiiii?3x",
        lambda o: (o.beginMask, o.endMask, o.ellipsisMask, o.newAxisMask, o.shrinkAxisMask, o.offset),
    ),
    "SUB": ("i?3x", lambda o: (o.fusedActivationFunction, o.potScaleInt16)),
    "TRANSPOSE_CONV": ("iii", lambda o: (o.padding + 1, o.strideW, o.strideH)),
}


def write(model: bytes, form: Form) -> str:
    """The C++ of a flatbuffer with one subgraph."""
    return _Writer(unpack(model), form).text()


@dataclass
class _Writer:
    model: Any
    form: Form
    lines: list[str] = field(default_factory=list)
    written: dict[tuple[object, ...], str] = field(default_factory=dict)

    def text(self) -> str:
        graph = self.model.subgraphs[0]
        kinds = [self._kind(call) for call in graph.operators]
        self._top(sorted(set(kinds), key=kinds.index))
        if self.form.namespace:
            self.lines.append("namespace g0 {")
        rows = [self._tensor(index, tensor) for index, tensor in enumerate(graph.tensors)]
        nodes = [self._node(index, call) for index, call in enumerate(graph.operators)]
        if self.form.namespace:
            self.lines.append("};\n")
        self.lines += ["TensorInfo_t tensorData[] = {", *rows, "};"]
        self._nodes(nodes, kinds)
        self._bottom(graph, len(nodes))
        return "\n".join(self.lines) + "\n"

    def _top(self, kinds: list[str]) -> None:
        quantized = any(tensor.quantization is not None for tensor in self.model.subgraphs[0].tensors)
        self.is_terse = self.form.terse and len({tensor.type for tensor in self.model.subgraphs[0].tensors}) == 1
        self.has_quantization = quantized or not self.form.terse
        self.lines += [
            "/* Written by a test; “quotes” that are not ASCII stand in real headers too. */",
            "#include <stdio.h>",
            '#include "edge-impulse-sdk/tensorflow/lite/c/common.h"',
            "#if defined (__GNUC__)",
            "#define ALIGN(X) __attribute__((aligned(X)))",
            "#elif defined (_MSC_VER)",
            "#define ALIGN(X) __declspec(align(X))",
            "#endif",
            "#define MODEL_SECTION(X)",
            "using namespace tflite;",
            "namespace {",
            "constexpr int kTensorArenaSize = 4096;",
            "#if defined(EI_CLASSIFIER_ALLOCATION_STATIC)",
            "uint8_t tensor_arena[kTensorArenaSize] ALIGN(16);",
            "#else",
            "uint8_t* tensor_arena = NULL;",
            "#endif",
            "static uint8_t* tensor_boundary;",
            "template <int SZ, class T> struct TfArray {",
            "  int sz; T elem[SZ];",
            "};",
            "enum used_operators_e {",
            f"  {', '.join(f'OP_{kind}' for kind in kinds)},  OP_LAST",
            "};",
            "struct TensorInfo_t { // what is needed of a TfLiteTensor",
            "  TfLiteAllocationType allocation_type;",
            *([] if self.is_terse else ["  TfLiteType type;"]),
            "  void* data;",
            "  TfLiteIntArray* dims;",
            "  size_t bytes;",
            *(["  TfLiteQuantization quantization;"] if self.has_quantization else []),
            "};",
            *(
                [
                    "struct NodeInfo_t {",
                    "  struct TfLiteIntArray* inputs;",
                    "  struct TfLiteIntArray* outputs;",
                    "  void* builtin_data;",
                    "  used_operators_e used_op_index;",
                    "  int custom_initial_data_size;",
                    "};",
                ]
                if self.form.node_data
                else []
            ),
            "TfLiteContext ctx{};",
            "TfLiteRegistration registrations[OP_LAST];",
        ]

    def _nodes(self, nodes: list[tuple[str, str]], kinds: list[str]) -> None:
        if self.form.node_data:
            rows = [f"  {{ {ends}, {data}, OP_{kind}, " for (ends, data), kind in zip(nodes, kinds, strict=True)]
            rows = [f"{row}{self._custom_size(index)}, }}," for index, row in enumerate(rows)]
            self.lines += ["const NodeInfo_t nodeData[] = {", *rows, "};"]
            return
        for condition, unused in (("#ifndef TF_LITE_STATIC_MEMORY", 2), ("#else", 1)):
            self.lines += [condition, f"TfLiteNode tflNodes[{len(nodes)}] = {{"]
            for index, (ends, data) in enumerate(nodes):
                first = ends.split(", ")[0]
                size = self._custom_size(index)
                members = ["nullptr", data, str(size)] if size else [data, "nullptr", "0"]
                self.lines.append(f"{{ {', '.join([ends, first, *['nullptr'] * unused, *members])}, }},")
            self.lines.append("};")
        used = "".join(f"OP_{kind}, " for kind in kinds)
        self.lines += ["#endif", "", "used_operators_e used_ops[] =", f"{{{used}}};"]

    def _custom_size(self, index: int) -> int:
        options = self.model.subgraphs[0].operators[index].customOptions
        return 0 if options is None else len(options)

    def _bottom(self, graph: Any, nodes: int) -> None:
        names = ("inTensorIndices", "outTensorIndices")
        if not self.form.node_data:
            names = ("in_tensor_indices", "out_tensor_indices")
            self.lines += [
                f"const size_t tflTensors_subgraph_index[] = {{0, {len(graph.tensors)}, }};",
                f"const size_t tflNodes_subgraph_index[] = {{0, {nodes}, }};",
            ]
        for name, ends in zip(names, (graph.inputs, graph.outputs), strict=True):
            self.lines += [f"static const int {name}[] = {{", "  " + "".join(f"{end}, " for end in ends), "};"]
        set_type = ""
        if self.is_terse:
            set_type = f"  tensor->type = {_C_NAMES[graph.tensors[0].type][0]};"
        self.lines += [
            "static void init_tflite_tensor(size_t i, TfLiteTensor *tensor) {",
            set_type or "  tensor->type = tensorData[i].type;",
            "  for (int j = 0; j < 3; ++j) { if (i > j) { tensor->bytes = tensorData[i].bytes; } }",
            "}",
            "class EonMicroContext : public MicroContext {",
            " public:",
            "  void* AllocatePersistentBuffer(size_t bytes) { return nullptr; }",
            "};",
            "} // namespace",
            f"TfLiteStatus {self.form.symbol}_init( void*(*alloc_fnc)(size_t,size_t) ) {{",
            "  return kTfLiteOk;",
            "}",
            f"TfLiteStatus {self.form.symbol}_invoke() {{",
            f"  for (size_t i = 0; i < {nodes}; ++i) {{ }}",
            "  return kTfLiteOk;",
            "}",
        ]

    # Arrays, which are written once and then referred to where the form shares them

    def _name(self, name: str, content: tuple[object, ...]) -> tuple[str, bool]:
        """The name to refer to, and whether it has to be written."""
        if not self.form.shared:
            return name, True
        known = self.written.setdefault(content, name)
        return known, known == name

    def _reference(self, name: str) -> str:
        return f"g0::{name}" if self.form.namespace else name

    def _ints(self, name: str, values: Any) -> str:
        name, new = self._name(name, ("ints", tuple(values)))
        if new and len(values) == 0:
            self.lines.append(f"const int {name} = 0; /* empty TfLiteIntArray */")
        elif new:
            inner = ",".join(str(int(value)) for value in values)
            self.lines.append(f"const TfArray<{len(values)}, int> {name} = {{ {len(values)}, {{ {inner} }} }};")
        return name

    def _floats(self, name: str, values: Any) -> str:
        name, new = self._name(name, ("floats", tuple(float(value) for value in values)))
        if new:
            inner = "".join(f"{_float(value)}, " for value in values)
            self.lines.append(f"const TfArray<{len(values)}, float> {name} = {{ {len(values)}, {{ {inner}}} }};")
        return name

    def _tensor(self, index: int, tensor: Any) -> str:
        c_type, ctype, dtype = _C_NAMES[tensor.type]
        shape = [] if tensor.shape is None else [int(size) for size in tensor.shape]
        data = self.model.buffers[tensor.buffer].data
        size = int(np.prod(shape, dtype=np.int64)) * {"kTfLiteFloat16": 2, "kTfLiteBool": 1}.get(
            c_type, np.dtype(dtype).itemsize
        )
        cast = "(int32_t*)" if self.form.namespace else "(void*)"
        if data is None or len(data) == 0:
            place = f"(tensor_arena + {16 * index})" if self.form.namespace else f"tensor_arena + {16 * index}"
            place = f"{cast}{place}" if self.form.namespace else place
        else:
            values = np.frombuffer(bytes(data), dtype)
            name, new = self._name(f"tensor_data{index}", ("data", ctype, tuple(shape), bytes(data)))
            if new:
                self._data(name, ctype, shape, values)
            place = f"{cast}{self._reference(name)}"
        dims = self._reference(self._ints(f"tensor_dimension{index}", shape))
        row = ["kTfLiteArenaRw" if data is None or len(data) == 0 else "kTfLiteMmapRo"]
        if not self.is_terse:
            row.append(c_type)
        row += [place, f"(TfLiteIntArray*)&{dims}", str(size)]
        if self.has_quantization:
            row.append(self._quantization(index, tensor.quantization))
        return f"  {{ {', '.join(row)}, }},"

    def _data(self, name: str, ctype: str, shape: list[int], values: NDArray[Any]) -> None:
        section = "MODEL_SECTION(EI_MODEL_SECTION) " if self.form.section else ""
        if not shape and len(values) == 1:
            self.lines.append(f"const {ctype} {name}[1] = {{ {_numbers(values, '')} }};")
            return
        nominal = int(np.prod(shape, dtype=np.int64))
        bound = "*".join(map(str, shape)) if shape and nominal == len(values) else f"{len(values)} /* bytes */"
        head = f"const {section}ALIGN(16) {ctype} {name}[{bound}] = {{"
        if len(shape) < 2 or nominal != len(values):
            self.lines.append(f"{head} {_numbers(values, ', ')}}};")
            return
        rows = values.reshape(-1, shape[-1] * (shape[-2] if len(shape) > 2 else 1))
        self.lines.append(head)
        for number, row in enumerate(rows):
            mark = f"/* [{number}][0][][] */ " if len(shape) > 2 else ""
            self.lines.append(f"  {mark}{_numbers(row, ',')} ")
        self.lines.append("};")

    def _quantization(self, index: int, quantization: Any) -> str:
        if quantization is None or quantization.scale is None or len(quantization.scale) == 0:
            return "{kTfLiteNoQuantization, nullptr}"
        scale = self._floats(f"quant{index}_scale", quantization.scale)
        zero = self._ints(f"quant{index}_zero", quantization.zeroPoint)
        axis = quantization.quantizedDimension
        name, new = self._name(f"quant{index}", ("quant", scale, zero, axis))
        if new:
            inner = f"(TfLiteFloatArray*)&{scale}, (TfLiteIntArray*)&{self._shared(zero, index)}, {axis}"
            self.lines.append(f"const TfLiteAffineQuantization {name} = {{ {inner} }};")
        pointer = f"const_cast<void*>(static_cast<const void*>(&{self._reference(name)}))"
        return f"{{kTfLiteAffineQuantization, {pointer}}}"

    def _shared(self, name: str, index: int) -> str:
        """An array of another tensor is referred to with its namespace, one's own without."""
        return name if name == f"quant{index}_zero" else self._reference(name)

    # Operators

    def _kind(self, call: Any) -> str:
        code = self.model.operatorCodes[call.opcodeIndex]
        if code.customCode:
            return str(code.customCode, "ascii")
        return str(_OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)])

    def _node(self, index: int, call: Any) -> tuple[str, str]:
        """The references to inputs and outputs, and to parameters."""
        data = self._parameters(f"opdata{index}", self._kind(call), call)
        ends = [
            f"(TfLiteIntArray*)&{self._reference(self._ints(f'{end}{index}', values))}"
            for end, values in (("inputs", call.inputs), ("outputs", call.outputs))
        ]
        return ", ".join(ends), data

    def _parameters(self, name: str, kind: str, call: Any) -> str:
        options = call.builtinOptions
        if call.customOptions is not None:
            inner = "".join(f"{int(value)}, " for value in call.customOptions)
            self.lines.append(
                f"uint8_t ALIGN(4) {name}[{len(call.customOptions)}] = {{ {inner} }}; /* custom_initial_data */"
            )
        elif kind in _PRINTERS:
            struct_name, printer = _PRINTERS[kind]
            self.lines.append(f"const TfLite{struct_name}Params {name} = {{ {printer(options)} }};")
        elif kind in _RAW:
            layout, values = _RAW[kind]
            data = struct.pack(f"<{layout}", *values(options))
            inner = "".join(f"{byte}, " for byte in data)
            code = getattr(schema.BuiltinOperator, kind)
            self.lines.append(
                f"const ALIGN(1) uint8_t {name}[{len(data)}] = {{ {inner} }}; /* op type {code}={kind} */"
            )
        else:
            return "nullptr"
        return f"const_cast<void*>(static_cast<const void*>(&{self._reference(name)}))"


def _float(value: float) -> str:
    return f"{value:.17g}"


def _numbers(values: NDArray[Any], after: str) -> str:
    """Each value, with `after` behind it."""
    spell = _float if values.dtype.kind == "f" else str
    return "".join(f"{spell(value)}{after}" for value in values.tolist())


def _padding(options: Any) -> str:
    return f"kTfLitePadding{('Same', 'Valid')[options.padding]}, {options.strideW},{options.strideH}"


def _activation(options: Any) -> str:
    return f"kTfLiteAct{_ACTIVATIONS[options.fusedActivationFunction]}"


def _dilation(options: Any) -> str:
    return f"{options.dilationWFactor},{options.dilationHFactor}"


def _pool(options: Any) -> str:
    filters = f"{options.filterWidth},{options.filterHeight}"
    return f"{_padding(options)}, {filters}, {_activation(options)}, {{ {{ 0,0, 0, 0 }} }}"


def _dense(options: Any) -> str:
    weights = ("Default", "Shuffled4x16Int8")[options.weightsFormat]
    flags = [str(bool(flag)).lower() for flag in (options.keepNumDims, options.asymmetricQuantizeInputs)]
    return f"{_activation(options)}, kTfLiteFullyConnectedWeightsFormat{weights}, {', '.join(flags)}"


_PRINTERS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "ADD": ("Add", _activation),
    "AVERAGE_POOL_2D": ("Pool", _pool),
    "CONV_2D": ("Conv", lambda o: f"{_padding(o)}, {_activation(o)}, {_dilation(o)}"),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv",
        lambda o: f"{_padding(o)}, {o.depthMultiplier}, {_activation(o)}, {_dilation(o)}",
    ),
    "FULLY_CONNECTED": ("FullyConnected", _dense),
    "MAX_POOL_2D": ("Pool", _pool),
    "RESHAPE": ("Reshape", lambda _: "{ 0, 0, 0, 0, 0, 0, 0, 0, }, 0"),
    "SOFTMAX": ("Softmax", lambda o: f"{o.beta:.17g}"),
}
