"""Says what a verified model is: input, outputs, operators, number format, and what its last layer means.

Everything is read from shapes, types and operators; names in the flatbuffer are the exporter's whim. The last layers
are Edge Impulse's (`EI_CLASSIFIER_LAST_LAYER_*`). Where a shape fits several of them, `possible_tasks` gives all, the
usual one first, and the metadata decides among them.
"""

from __future__ import annotations

from typing import Final

from convert.artifacts import ModelFacts, Task, Tensor
from convert.export.tflite import POST_PROCESS, Graph, GraphTensor, read_graph

__all__ = ["class_count", "facts", "facts_of", "possible_tasks"]

_FOMO_REDUCTIONS: Final = (4, 8, 16, 32)
"""Input pixels a cell of a FOMO grid, rounded up. Edge Impulse cuts MobileNetV2 at 8; custom blocks elsewhere."""

_YOLO_STRIDES: Final = (8, 16, 32)
"""Input pixels a cell in the three grids of every YOLO from version 3."""

_MOVING: Final = frozenset(
    {
        *(
            "CAST",
            "CONCATENATION",
            "DEQUANTIZE",
            "EXPAND_DIMS",
            "GATHER",
            "PACK",
            "PAD",
            "PADV2",
            "QUANTIZE",
            "RESHAPE",
        ),
        *("SHAPE", "SLICE", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE", "UNPACK", POST_PROCESS),
    }
)
"""Operators that move or convert numbers: what they work on does not say how the model computes."""

_MIXTURE: Final = frozenset({"EXP", "LOG", "SQUARE", "SQUARED_DIFFERENCE", "REDUCE_MAX"})
"""Operators of a Gaussian mixture's likelihood."""


def facts(data: bytes) -> ModelFacts:
    """What the flatbuffer `data` says of itself, once verified.

    Raises:
        InputError, UnsupportedModelError: as `convert.export.tflite.read_graph`.
    """
    return facts_of(read_graph(data))


def facts_of(graph: Graph) -> ModelFacts:
    """The same of a graph already verified."""
    return ModelFacts(
        input=_tensor(graph.tensors[graph.inputs[0]]),
        outputs=tuple(_tensor(graph.tensors[index]) for index in graph.outputs),
        operators=tuple(sorted({operator.name for operator in graph.operators})),
        quantization=_quantization(graph),
        task=possible_tasks(graph)[0],
    )


def possible_tasks(graph: Graph) -> tuple[Task, ...]:
    """What the last layer can be, the usual meaning first; never empty."""
    picture = _tensor(graph.tensors[graph.inputs[0]]).shape
    outputs = [_tensor(graph.tensors[index]).shape for index in graph.outputs]
    operators = {operator.name for operator in graph.operators}
    if POST_PROCESS in operators:
        return (Task.SSD,)
    if len(picture) != 4 or 1 in picture[1:3]:
        return _without_picture(picture, outputs, operators)
    _, height, width, _ = picture
    if len(outputs) != 1 or height is None or width is None:
        return (Task.UNKNOWN,)
    return last_layer(height, width, outputs[0], operators)


def class_count(facts: ModelFacts) -> int | None:
    """How many classes the output has, background not counted; None where the shape does not say."""
    output = facts.outputs[0].shape if len(facts.outputs) == 1 else ()
    match facts.task, output:
        case (Task.CLASSIFIER, (*_, int(classes))):
            return classes
        case (Task.FOMO, (_, _, _, int(channels))):
            return channels - 1
        case (Task.YOLOV5 | Task.YOLOV5_DRPAI | Task.YOLOX, (_, _, int(columns))):
            return columns - 5
        case (Task.YOLOV11 | Task.YOLOV11_ABS, (_, int(rows), _)):
            return rows - 4
        case _:
            return None


def _tensor(tensor: GraphTensor) -> Tensor:
    # The batch is what LiteRT allocates, even where the signature leaves it open; -1 elsewhere stays open.
    shape = tuple(None if at > 0 and tensor.signature[at] == -1 else size for at, size in enumerate(tensor.shape))
    one = len(tensor.scales) == 1
    return Tensor(
        tensor.name,
        shape,
        tensor.dtype,
        scale=tensor.scales[0] if one else None,
        zero_point=(tensor.zero_points[0] if tensor.zero_points else 0) if one else None,
    )


def _without_picture(
    shape: tuple[int | None, ...], outputs: list[tuple[int | None, ...]], operators: set[str]
) -> tuple[Task, ...]:
    """A model of features [1, n] (motion, sound, numbers), or of something that is neither features nor picture.

    A row of features comes as [1, 1, n, 1], too, where a processing block is said to give pictures.
    """
    if len(shape) > 2:
        return (Task.NOT_IMAGE,)
    single = all(set(output) <= {1} for output in outputs)
    if single and operators & _MIXTURE and "SOFTMAX" not in operators:
        return (Task.ANOMALY, Task.NOT_IMAGE)
    return (Task.NOT_IMAGE, Task.ANOMALY)


def last_layer(height: int, width: int, output: tuple[int | None, ...], operators: set[str]) -> tuple[Task, ...]:
    """What `output` of a model of one picture, NHWC, can be, the usual meaning first.

    Args:
        operators: names of the operators in the model, as flatbuffers have them.
    """
    probabilities = bool(operators & {"SOFTMAX", "LOGISTIC"})
    match output:
        case (_, int(classes)) | (_, 1, 1, int(classes)):
            # One number without softmax or sigmoid is a regression's. YOLOv7 comes with its NMS: seven numbers a box.
            first = Task.CLASSIFIER if classes > 1 or probabilities else Task.UNKNOWN
            return (first, Task.YOLOV7) if classes == 7 else (first,)
        case (_, int(rows), int(columns), int(channels)):
            return _grid(height, width, (rows, columns), channels, probabilities=probabilities)
        case (_, int(rows), int(columns)):
            return _candidates(height, width, rows, columns)
        case _:
            return (Task.UNKNOWN,)


def _grid(height: int, width: int, cells: tuple[int, int], channels: int, *, probabilities: bool) -> tuple[Task, ...]:
    """[1, h, w, K]: FOMO's probabilities (K = background and classes), or YOLOv2's boxes without softmax."""
    fits = any(cells == (-(-height // by), -(-width // by)) for by in _FOMO_REDUCTIONS)
    if fits and channels > 1 and probabilities:
        return (Task.FOMO, Task.ANOMALY, Task.YOLOV2)
    return (Task.UNKNOWN, Task.FOMO, Task.YOLOV2, Task.ANOMALY)


def _candidates(height: int, width: int, rows: int, columns: int) -> tuple[Task, ...]:
    """[1, A, K]: one row a candidate box; YOLOv11 has one column a candidate. TAO's rows hold their anchors too."""
    grid = sum(-(-height // by) * -(-width // by) for by in _YOLO_STRIDES)
    tao = (Task.TAO_YOLOV3, Task.TAO_YOLOV4, Task.TAO_SSD, Task.TAO_RETINANET) if columns > 11 else ()
    if rows == 3 * grid and columns > 5:  # three anchors a cell; x, y, w, h, objectness, classes
        return (Task.YOLOV5, Task.YOLOV5_DRPAI, Task.YOLOV7, *tao)
    if rows == grid and columns > 4:
        return (Task.YOLOX, Task.YOLO_PRO, Task.YOLOV11, Task.YOLOV11_ABS, *tao)
    if columns == grid and rows > 4:
        return (Task.YOLOV11, Task.YOLOV11_ABS)
    yolos = (Task.YOLOV5, Task.YOLOV5_DRPAI, Task.YOLOX, Task.YOLO_PRO, Task.YOLOV7, Task.YOLOV11, Task.YOLOV11_ABS)
    return (Task.UNKNOWN, *yolos, *tao)


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
