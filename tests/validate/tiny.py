"""The same small classifier twice, as a TFLite flatbuffer and as ONNX, and the artifact that holds both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
import onnx
import onnx.parser
from ai_edge_litert import schema_py_generated as schema
from onnx import numpy_helper

from convert.images import ImageScaling, ResizeMode
from convert.types import Adapted, Export, Head, Metadata, ModelFacts, OnnxModel, Preprocessing, Tensor, Translated

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOAT32, INT8 = schema.TensorType.FLOAT32, schema.TensorType.INT8


@dataclass(frozen=True)
class Classifier:
    """softmax(weights @ flatten(picture, NHWC) + bias)."""

    height: int = 6
    width: int = 5
    channels: int = 3
    classes: int = 4
    seed: int = 7
    gain: float = 1.0

    @property
    def weights(self) -> NDArray[np.float32]:
        size = (self.classes, self.height * self.width * self.channels)
        values = np.random.default_rng(self.seed).normal(0, 0.3 * self.gain, size)
        return values.astype(np.float32)

    @property
    def bias(self) -> NDArray[np.float32]:
        return np.linspace(-0.2, 0.2, self.classes, dtype=np.float32)


def tflite(model: Classifier, *, int8: bool = False) -> bytes:
    """FULLY_CONNECTED and SOFTMAX; `int8` puts DEQUANTIZE before and QUANTIZE behind, so that both ends are int8."""
    shape = [1, model.height, model.width, model.channels]
    flat = [1, model.classes]
    graph = _Graph()
    x = graph.tensor("x", shape)
    weights = graph.tensor("w", list(model.weights.shape), data=model.weights)
    bias = graph.tensor("b", [model.classes], data=model.bias)
    logits = graph.tensor("logits", flat)
    scores = graph.tensor("scores", flat)
    source, sink = x, scores
    if int8:
        source = graph.tensor("x_int8", shape, INT8, quantization=(1 / 255, -128))
        sink = graph.tensor("scores_int8", flat, INT8, quantization=(1 / 256, -128))
        graph.operator(schema.BuiltinOperator.DEQUANTIZE, [source], [x])
    graph.operator(
        schema.BuiltinOperator.FULLY_CONNECTED,
        [x, weights, bias],
        [logits],
        schema.BuiltinOptions.FullyConnectedOptions,
        schema.FullyConnectedOptionsT(),
    )
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    graph.operator(schema.BuiltinOperator.SOFTMAX, [logits], [scores], schema.BuiltinOptions.SoftmaxOptions, options)
    if int8:
        graph.operator(schema.BuiltinOperator.QUANTIZE, [scores], [sink])
    return graph.serialise([source], [sink])


class _Graph:
    """Just enough of a TFLite writer."""

    def __init__(self) -> None:
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.buffers = [schema.BufferT()]  # buffer 0 is empty by convention
        self.codes: list[int] = []

    def tensor(
        self,
        name: str,
        shape: list[int],
        kind: int = FLOAT32,
        *,
        data: NDArray[Any] | None = None,
        quantization: tuple[float, int] | None = None,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, kind, 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        if quantization:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [quantization[0]], [quantization[1]]
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(
        self, code: int, inputs: list[int], outputs: list[int], kind: int = 0, options: Any | None = None
    ) -> None:
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes)
        operator.inputs, operator.outputs = inputs, outputs
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        self.codes.append(code)
        self.graph.operators.append(operator)

    def serialise(self, inputs: list[int], outputs: list[int]) -> bytes:
        self.graph.inputs, self.graph.outputs = inputs, outputs
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [self.graph], self.buffers, []
        for number in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode, code.version = number, number, 1
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def onnx_model(model: Classifier, *, batch: str = "N", reshape: str = "-1") -> bytes:
    """The same for NCHW; `batch` is the declared batch dimension, `reshape` what stands for it inside the graph."""
    size = model.height * model.width * model.channels
    proto = parse(
        f"""
        g (float[{batch},{model.channels},{model.height},{model.width}] x_input)
          => (float[{batch},{model.classes}] scores)
          <int64[2] shape = {{{reshape},{size}}}>
        {{
          nhwc = Transpose<perm = [0, 2, 3, 1]>(x_input)
          flat = Reshape(nhwc, shape)
          logits = Gemm<transB = 1>(flat, w, b)
          scores = Softmax<axis = 1>(logits)
        }}
        """
    )
    proto.graph.initializer.append(numpy_helper.from_array(model.weights, "w"))
    proto.graph.initializer.append(numpy_helper.from_array(model.bias, "b"))
    return bytes(proto.SerializeToString())


def parse(graph: str, imports: str = '"" : 13') -> Any:
    """An `onnx.ModelProto` from the graph's text."""
    return onnx.parser.parse_model(f"<ir_version: 8, opset_import: [{imports}]>\n{graph}")


RGB = Preprocessing(
    1 / 255, (), "RGB", maintain_aspect_ratio=False, symmetric_padding=False, folded="", resize_mode=None
)
GRAY = Preprocessing(
    1 / 255, (), "GRAY", maintain_aspect_ratio=False, symmetric_padding=False, folded="", resize_mode=ResizeMode.SQUASH
)


def adapted(
    onnx_bytes: bytes, original: bytes, preprocessing: Preprocessing = RGB, scaling: ImageScaling | None = None
) -> Adapted:
    """What the adapt stage would hand over."""
    facts = ModelFacts(Tensor("x", (1, 6, 5, 3), "float32"), (), (), "float32", "classifier")
    export = Export(original, "m", "flatbuffer", "m.lite", "", Metadata(image_scaling=scaling), facts)
    taken, given = Tensor("x_input", (None, 3, 6, 5), "float32"), Tensor("scores", (None, 4), "float32")
    model = OnnxModel(onnx_bytes, taken, (given,), 13)
    return Adapted(Translated(export, model), model, Head("classifier", ("a", "b", "c", "d")), preprocessing)
