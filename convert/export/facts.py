"""Derives facts from a verified model: input, outputs, operators, number format, and what its last layer means.

Everything is read from shapes, types and operators; names in the flatbuffer are up to the exporter. The last layers are
those of `convert.heads`. Where a shape fits several of them, `possible_tasks` gives all, the usual one first, and the
metadata decides among them.

Edge Impulse writes ONNX in two places: `onnx-trained.h` of TensorRT deployments (NHWC, from the flatbuffer) and the
`.onnx` of YOLO blocks (NCHW, from PyTorch). `onnx_facts` describes both as a flatbuffer would be: input and grids NHWC,
batch 1. A flatbuffer whose input has the channels first is described so, too. Only what the file declares is read;
nothing is computed. The translation stage checks the operators (`convert.translate.worker`).

Edge Impulse's enumerations stand here as `model_metadata.h` and `model_variables.h` spell and number them: names and
numbers are those of the SDK's `ei_constants.h` and of older `model_metadata.h`. A macro may hold either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from convert import errors, images, types
from convert.export.tflite import POST_PROCESS, Graph, GraphTensor, read_graph
from convert.heads import ANOMALY, HEADS, NOT_IMAGE, UNKNOWN, LastLayer, head, possible_heads

if TYPE_CHECKING:
    from convert.onnx_header import Value

_MOVING: Final = {
    *("CAST", "CONCATENATION", "DEQUANTIZE", "EXPAND_DIMS", "GATHER", "PACK", "PAD", "PADV2", "QUANTIZE", "RESHAPE"),
    *("SHAPE", "SLICE", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE", "UNPACK", POST_PROCESS),
}
"""Operators that move or convert numbers: the types they work on do not show how the model computes."""

_MIXTURE: Final = frozenset({"EXP", "LOG", "SQUARE", "SQUARED_DIFFERENCE", "REDUCE_MAX"})
"""Operators of a Gaussian mixture's likelihood."""


def facts(data: bytes) -> types.ModelFacts:
    """The facts of the flatbuffer `data`, once verified.

    Raises:
        InputError, UnsupportedModelError: as `convert.export.tflite.read_graph`.
    """
    return facts_of(read_graph(data))


def facts_of(graph: Graph) -> types.ModelFacts:
    """The same of a graph already verified."""
    return types.ModelFacts(
        input=_picture(graph),
        outputs=tuple(_tensor(graph.tensors[index]) for index in graph.outputs),
        operators=tuple(sorted({operator.name for operator in graph.operators})),
        quantization=_quantization(graph),
        task=possible_tasks(graph)[0],
    )


def _picture(graph: Graph) -> types.Tensor:
    """The input, NHWC even where it is NCHW: PyTorch's own converters leave the channels first."""
    source = _tensor(graph.tensors[graph.inputs[0]])
    if len(source.shape) == 4 and source.shape[3] not in _CHANNELS:
        turned, _ = _nhwc(source)
        return replace(source, shape=turned.shape)
    return source


def has_first_grid(graph: Graph) -> bool:
    """Whether the channels come first, in the input and in the one output, a grid."""
    picture = _picture(graph)
    outputs = [_tensor(graph.tensors[index]) for index in graph.outputs]
    if len(outputs) != 1 or len(picture.shape) != 4 or picture == _tensor(graph.tensors[graph.inputs[0]]):
        return False
    return _turned(picture, outputs, frozenset(each.name for each in graph.operators)) != outputs


def possible_tasks(graph: Graph) -> tuple[str, ...]:
    """What the last layer can be, the usual meaning first; never empty."""
    picture = _picture(graph).shape
    outputs = [_tensor(graph.tensors[index]).shape for index in graph.outputs]
    operators = frozenset(operator.name for operator in graph.operators)
    if known := tuple(each.id for each in HEADS if each.operators & operators):
        return known
    if len(picture) != 4 or 1 in picture[1:3]:
        return _without_picture(picture, outputs, operators)
    _, height, width, _ = picture
    if len(outputs) != 1 or height is None or width is None:
        return (UNKNOWN,)
    return possible_heads(LastLayer(height, width, outputs[0], operators))


def class_count(facts: types.ModelFacts) -> int | None:
    """How many classes the output has, background not counted; None where the shape leaves it open."""
    return head(facts.task).classes(facts.outputs[0].shape) if len(facts.outputs) == 1 else None


def _tensor(tensor: GraphTensor) -> types.Tensor:
    # The batch is what LiteRT allocates, even where the signature leaves it open; -1 elsewhere stays open.
    shape = tuple(None if at > 0 and tensor.signature[at] == -1 else size for at, size in enumerate(tensor.shape))
    one = len(tensor.scales) == 1
    return types.Tensor(
        tensor.name,
        shape,
        tensor.dtype,
        scale=tensor.scales[0] if one else None,
        zero_point=(tensor.zero_points[0] if tensor.zero_points else 0) if one else None,
    )


def _without_picture(
    shape: tuple[int | None, ...], outputs: list[tuple[int | None, ...]], operators: frozenset[str]
) -> tuple[str, ...]:
    """A model of features [1, n] (motion, sound, numbers), or of something that is neither features nor picture.

    A row of features comes as [1, 1, n, 1], too, where a processing block is declared to give pictures.
    """
    if len(shape) > 2:
        return (NOT_IMAGE,)
    single = all(set(output) <= {1} for output in outputs)
    if single and operators & _MIXTURE and "SOFTMAX" not in operators:
        return (ANOMALY, NOT_IMAGE)
    return (NOT_IMAGE, ANOMALY)


def _quantization(graph: Graph) -> str:
    """How the model computes: the type its arithmetic works on, not the type of its input.

    A float32 input proves nothing: int8 models come wrapped in QUANTIZE and DEQUANTIZE, float16 weights behind
    DEQUANTIZE.
    """
    converted = {
        operator.outputs[0]: graph.tensors[operator.inputs[0]]
        for operator in graph.operators
        if operator.name == "DEQUANTIZE" and operator.inputs and operator.outputs and operator.inputs[0] >= 0
    }
    activations: set[str] = set()
    weights: set[str] = set()
    for operator in graph.operators:
        if operator.name in _MOVING:
            continue
        for index in operator.inputs:
            if index < 0:
                continue
            source = converted.get(index, graph.tensors[index])
            is_constant = bool(source.length)
            (weights if is_constant else activations).add((source if is_constant else graph.tensors[index]).dtype)
        activations.update(graph.tensors[index].dtype for index in operator.outputs)
    # int32 and int64 are indices and shapes; of mixed models the smallest type is what stops a conversion.
    for integer in ("int8", "uint8", "int16"):
        if integer in activations:
            return integer
    if weights & {"int8", "uint8", "int4", "int2", "uint4"}:
        return "dynamic-range"
    return "float16-weights" if "float16" in weights | activations else "float32"


_CHANNELS: Final = {1, 3}
_QUANTIZED: Final = {
    *("ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul"),
    "QuantizeLinear",
}
_SAME_AS: Final = {"Softmax": "SOFTMAX", "Sigmoid": "LOGISTIC"}
"""Operators that distinguish last layers, by the names a flatbuffer has for them."""

_DAMAGED: Final = "download the export again"


def onnx_facts(data: bytes) -> tuple[types.ModelFacts, tuple[str, ...]]:
    """The facts, and what the last layer can be, the usual meaning first.

    Raises:
        InputError: not an ONNX model, or a damaged one.
        UnsupportedModelError: several inputs, or weights in another file.
    """
    from convert.onnx_header import Damaged, parse_header  # most exports hold a flatbuffer

    try:
        header = parse_header(data)
    except Damaged as error:
        raise errors.InputError("this is not an ONNX model, or a damaged one", hint=_DAMAGED) from error
    if not header.nodes or not header.outputs or not header.domains:
        raise errors.InputError("this ONNX model is empty", hint=_DAMAGED)
    if header.external:
        message = "the model's weights lie in another file"
        raise errors.UnsupportedModelError(message, hint="save the model with its weights in one .onnx file")
    inputs = [_onnx_tensor(value) for value in header.inputs]
    if len(inputs) != 1:
        message = f"the model has {len(inputs)} inputs"
        raise errors.UnsupportedModelError(message, hint="only models with one input, a picture, can be converted")
    outputs = [_onnx_tensor(value) for value in header.outputs]
    operators = {node.op for node in header.nodes}
    source, is_nchw = _nhwc(inputs[0])
    tasks, outputs = _tasks(source, outputs, operators, is_nchw=is_nchw)
    quantization = "int8" if operators & _QUANTIZED else source.dtype
    return types.ModelFacts(source, tuple(outputs), tuple(sorted(operators)), quantization, tasks[0]), tasks


def _onnx_tensor(value: Value) -> types.Tensor:
    """Of a graph; a batch that is left open is 1, as it will be run."""
    shape = [size if size and size > 0 else None for size in value.shape]
    if shape and shape[0] is None:
        shape[0] = 1
    return types.Tensor(value.name, tuple(shape), value.numpy_type)


def _nhwc(tensor: types.Tensor) -> tuple[types.Tensor, bool]:
    """The input as a flatbuffer would have it, and whether it is NCHW.

    Where first and last dimension could both be channels it is, as ONNX has it by its own convention.
    """
    match tensor.shape:
        case (batch, channels, height, width) if channels in _CHANNELS:
            return types.Tensor(tensor.name, (batch, height, width, channels), tensor.dtype), True
    return tensor, False


def _tasks(
    source: types.Tensor, outputs: list[types.Tensor], operators: set[str], *, is_nchw: bool
) -> tuple[tuple[str, ...], list[types.Tensor]]:
    match source.shape:
        case (_, 1, _, _) | (_, _, 1, _):
            return (NOT_IMAGE,), outputs
        case (_, int() as height, int() as width, channels) if channels in _CHANNELS and len(outputs) == 1:
            pass
        case (_, _, _, _):
            return (UNKNOWN,), outputs
        case _:
            return (NOT_IMAGE,), outputs
    names = frozenset(_SAME_AS.get(name, name) for name in operators)
    if is_nchw:
        outputs = _turned(source, outputs, names)
    return possible_heads(LastLayer(height, width, outputs[0].shape, names)), outputs


def _turned(source: types.Tensor, outputs: list[types.Tensor], operators: frozenset[str]) -> list[types.Tensor]:
    """The one output of an NCHW model, NHWC: a grid that is no head's as it is has its channels first, too."""
    _, height, width, _ = source.shape
    match outputs[0].shape:
        case (batch, depth, rows, columns) if height is not None and width is not None:
            if possible_heads(LastLayer(height, width, outputs[0].shape, operators))[0] == UNKNOWN:
                return [replace(outputs[0], shape=(batch, rows, columns, depth))]
    return outputs


@dataclass(frozen=True, slots=True)
class Enumeration:
    """One of Edge Impulse's enumerations.

    Attributes:
        prefix: what its enumerators' names start with.
        names: number -> name without prefix.
        values: name without prefix -> our value, where that is not the name in lower case.
    """

    prefix: str
    names: Mapping[int, str]
    values: Mapping[str, str] = field(default_factory=dict)

    def value(self, name: str) -> str | None:
        """Our value of the enumerator `name` (with prefix), None for an unknown one."""
        short = name.removeprefix(self.prefix)
        if short == name or short not in self.names.values():
            return None
        return self.values.get(short, short.lower())


_RESIZES: Final = {mode.name: mode.value for mode in images.ResizeMode}
RESIZE: Final = Enumeration("EI_CLASSIFIER_RESIZE_", dict(enumerate(_RESIZES)), _RESIZES)
"""Studio 1.57.2 and later: none 0, fit-shortest 1, fit-longest 2, squash 3."""

_SCALINGS: Final = {
    "NONE": images.ImageScaling.NONE,
    "0_255": images.ImageScaling.FROM_0_TO_255,
    "TORCH": images.ImageScaling.TORCH,
    "MIN1_1": images.ImageScaling.MINUS_1_TO_1,
    "MIN128_127": images.ImageScaling.MINUS_128_TO_127,
    "BGR_SUBTRACT_IMAGENET_MEAN": images.ImageScaling.BGR_MINUS_IMAGENET_MEAN,
}
SCALING: Final = Enumeration("EI_CLASSIFIER_IMAGE_SCALING_", dict(enumerate(_SCALINGS)), _SCALINGS)

_LAST_LAYERS: Final = [(-1, "UNKNOWN", UNKNOWN), *((*each.last_layer, each.id) for each in HEADS if each.last_layer)]
LAST_LAYER: Final = Enumeration(
    "EI_CLASSIFIER_LAST_LAYER_",
    {number: name for number, name, _ in _LAST_LAYERS},
    {name: head_id for _, name, head_id in _LAST_LAYERS},
)

_SENSORS: Final = ("MICROPHONE", "ACCELEROMETER", "CAMERA", "9DOF", "ENVIRONMENTAL", "FUSION")
SENSOR: Final = Enumeration("EI_CLASSIFIER_SENSOR_", {-1: "UNKNOWN", 255: "UNKNOWN", **dict(enumerate(_SENSORS, 1))})

_NOT_CAMERAS: Final = frozenset({"microphone", "accelerometer", "9dof", "environmental"})


def takes_no_pictures(metadata: types.Metadata) -> bool:
    """Whether the parameters record samples that are no pictures, whatever shape a processing block gives them.

    A fusion of sensors may hold a camera, and an uploaded data set has no known sensor: these record a picture's size.
    """
    sensor = metadata.sensor
    return sensor in _NOT_CAMERAS or (sensor in {"fusion", "unknown"} and not metadata.width)


_ENGINES: Final = (
    *("UTENSOR", "TFLITE", "CUBEAI", "TFLITE_FULL", "TENSAIFLOW", "TENSORRT", "DRPAI", "TFLITE_TIDL", "AKIDA"),
    *("SYNTIANT", "ONNX_TIDL", "MEMRYX", "ETHOS_LINUX", "ATON", "CEVA_NPN"),
)
ENGINE: Final = Enumeration("EI_CLASSIFIER_", {255: "NONE", **dict(enumerate(_ENGINES, 1))})

DATATYPE: Final = Enumeration("EI_CLASSIFIER_DATATYPE_", {1: "FLOAT32", 3: "UINT8", 9: "INT8"})
"""TensorFlow Lite's own numbers (`TfLiteType`)."""

ANOMALY_TYPES: Final = Enumeration(
    "EI_ANOMALY_TYPE_", {0: "UNKNOWN", 1: "KMEANS", 2: "GMM", 3: "VISUAL_GMM", 4: "VISUAL_PATCHCORE"}
)
VISUAL_ANOMALY: Final = frozenset({"visual_gmm", "visual_patchcore"})
"""The kinds whose picture model is the anomaly detector itself."""
