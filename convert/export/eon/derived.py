"""Operator parameters that follow from the shapes and types of what goes in and comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.export.eon.graph import Graph, Node
    from convert.export.eon.tensors import Tensor

__all__ = ["UNKNOWN_HINT", "Options", "derived"]

Options: TypeAlias = "dict[str, int | float | list[int]]"
"""Members of a flatbuffer options table; what is left out keeps the schema's default."""

UNKNOWN_HINT = "convert the .tflite of this model instead, or export it without the EON compiler"


def derived(graph: Graph, node: Node) -> Options:
    """The options of `node`, where shapes and types leave only one value.

    Raises:
        UnsupportedModelError: they do not.
    """
    inputs = [graph.tensors[index] for index in node.inputs if index >= 0]
    outputs = [graph.tensors[index] for index in node.outputs]
    rule = _RULES.get(node.operator)
    options = rule(inputs, outputs) if rule and inputs and outputs else None
    if options is None:
        raise graph.source.unsupported(
            f"the parameters of {node.operator} are missing and cannot be derived", node.at, UNKNOWN_HINT
        )
    return options


def _reshape(inputs: list[Tensor], outputs: list[Tensor]) -> Options:  # noqa: ARG001 - as the others
    return {"newShape": list(outputs[0].shape)}


def _cast(inputs: list[Tensor], outputs: list[Tensor]) -> Options:
    return {"inDataType": inputs[0].type, "outDataType": outputs[0].type}


def _shape(inputs: list[Tensor], outputs: list[Tensor]) -> Options:  # noqa: ARG001 - as the others
    return {"outType": outputs[0].type}


def _arg(inputs: list[Tensor], outputs: list[Tensor]) -> Options:  # noqa: ARG001 - as the others
    return {"outputType": outputs[0].type}


def _reduce(inputs: list[Tensor], outputs: list[Tensor]) -> Options:
    return {"keepDims": len(inputs[0].shape) == len(outputs[0].shape)}


def _split(inputs: list[Tensor], outputs: list[Tensor]) -> Options:  # noqa: ARG001 - as the others
    return {"numSplits": len(outputs)}


def _block(inputs: list[Tensor], outputs: list[Tensor]) -> Options | None:
    before, after = inputs[0].shape, outputs[0].shape
    if len(before) != 4 or len(after) != 4:
        return None
    small, large = sorted((before[1], after[1]))
    return {"blockSize": large // small} if small and large % small == 0 else None


def _squeeze(inputs: list[Tensor], outputs: list[Tensor]) -> Options | None:
    """Without a list, all sizes of 1 go."""
    return {"squeezeDims": []} if tuple(size for size in inputs[0].shape if size != 1) == outputs[0].shape else None


def _pack(inputs: list[Tensor], outputs: list[Tensor]) -> Options | None:
    before, after = inputs[0].shape, outputs[0].shape
    axes = [i for i, size in enumerate(after) if size == len(inputs) and (*after[:i], *after[i + 1 :]) == before]
    return {"valuesCount": len(inputs), "axis": axes[0]} if len(axes) == 1 else None


_RULES: dict[str, Callable[[list[Tensor], list[Tensor]], Options | None]] = {
    "ARG_MAX": _arg,
    "ARG_MIN": _arg,
    "CAST": _cast,
    "DEPTH_TO_SPACE": _block,
    "MEAN": _reduce,
    "PACK": _pack,
    "REDUCE_ALL": _reduce,
    "REDUCE_ANY": _reduce,
    "REDUCE_MAX": _reduce,
    "REDUCE_MIN": _reduce,
    "REDUCE_PROD": _reduce,
    "RESHAPE": _reshape,
    "SHAPE": _shape,
    "SPACE_TO_DEPTH": _block,
    "SPLIT": _split,
    "SPLIT_V": _split,
    "SQUEEZE": _squeeze,
    "SUM": _reduce,
}
