"""Whether the tensors of an operator fit together, where a damaged file would otherwise only fail in the runtime.

A public file of August 2023 has its tensors in another order than its nodes count them: every reference is valid, and
none fits. Checked are the operators with weights, and those that keep the number of elements.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convert.export.eon.graph import Graph, Node

__all__ = ["check_shapes"]

_KEEP_COUNT = {
    "RESHAPE",
    "SQUEEZE",
    "EXPAND_DIMS",
    "SOFTMAX",
    "LOGISTIC",
    "TANH",
    "RELU",
    "RELU6",
    "QUANTIZE",
    "DEQUANTIZE",
}


def check_shapes(graph: Graph) -> None:
    """Raise for the first node whose tensors do not fit.

    Raises:
        InputError: at the line of that node.
    """
    for number, node in enumerate(graph.nodes):
        if not _fits(graph, node):
            shapes = [str(list(graph.tensors[index].shape)) if index >= 0 else "none" for index in node.inputs]
            results = [str(list(graph.tensors[index].shape)) for index in node.outputs]
            raise graph.source.damaged(
                f"the shapes of node {number} ({node.operator}) do not fit together:"
                f" {', '.join(shapes)} to {', '.join(results)}",
                node.at,
            )


def _fits(graph: Graph, node: Node) -> bool:
    shapes = [graph.tensors[index].shape if index >= 0 else None for index in node.inputs]
    if not shapes or shapes[0] is None or not node.outputs:
        return node.operator not in _KEEP_COUNT
    source, result = shapes[0], graph.tensors[node.outputs[0]].shape
    if node.operator in _KEEP_COUNT:
        return math.prod(source) == math.prod(result)
    weights = shapes[1] if len(shapes) > 1 else None
    bias = shapes[2] if len(shapes) > 2 else None
    match node.operator:
        case "CONV_2D":  # [O,kh,kw,I], and I may be a part of the channels
            return (
                weights is not None
                and len(source) == len(weights) == len(result) == 4
                and weights[3] > 0
                and source[3] % weights[3] == 0
                and result[3] == weights[0]
                and _is_bias(bias, weights[0])
            )
        case "DEPTHWISE_CONV_2D":  # [1,kh,kw,O]
            return (
                weights is not None
                and len(source) == len(weights) == len(result) == 4
                and result[3] == weights[3]
                and _is_bias(bias, weights[3])
            )
        case "FULLY_CONNECTED":  # [O,I]
            return (
                weights is not None
                and len(weights) == 2
                and weights[1] > 0
                and math.prod(source) % weights[1] == 0
                and math.prod(result) == math.prod(source) // weights[1] * weights[0]
                and _is_bias(bias, weights[0])
            )
    return True


def _is_bias(shape: tuple[int, ...] | None, channels: int) -> bool:
    return shape is None or math.prod(shape) == channels
