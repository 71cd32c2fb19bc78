"""Says what a verified model is: input, outputs, operators, number format, and what its last layer means.

Everything is read from shapes, types and operators; names in the flatbuffer are the exporter's whim. The last layers
are heads' (`convert.heads`). Where a shape fits several of them, `possible_tasks` gives all, the
usual one first, and the metadata decides among them.
"""

from __future__ import annotations

from typing import Final

from convert.artifacts import ModelFacts, Tensor
from convert.export.tflite import POST_PROCESS, Graph, GraphTensor, read_graph
from convert.heads import ANOMALY, HEADS, NOT_IMAGE, UNKNOWN, LastLayer, head, possible_heads

__all__ = ["class_count", "facts", "facts_of", "possible_tasks"]

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


def possible_tasks(graph: Graph) -> tuple[str, ...]:
    """What the last layer can be, the usual meaning first; never empty."""
    picture = _tensor(graph.tensors[graph.inputs[0]]).shape
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


def class_count(facts: ModelFacts) -> int | None:
    """How many classes the output has, background not counted; None where the shape does not say."""
    return head(facts.task).classes(facts.outputs[0].shape) if len(facts.outputs) == 1 else None


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
    shape: tuple[int | None, ...], outputs: list[tuple[int | None, ...]], operators: frozenset[str]
) -> tuple[str, ...]:
    """A model of features [1, n] (motion, sound, numbers), or of something that is neither features nor picture.

    A row of features comes as [1, 1, n, 1], too, where a processing block is said to give pictures.
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
