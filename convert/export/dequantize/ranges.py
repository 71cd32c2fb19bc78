"""Between which values an operator's float result lies, as far as that follows from its inputs.

An int8 kernel cuts its result at the ends of the output's quantized range. Where the float result cannot go beyond
them, nothing has to be cut: after ReLU6 in a range of 0 to 6, behind a softmax, through a reshape.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ANYTHING", "FUSES_RELU", "NONE", "RELU", "RELU6", "Range", "result_range"]

Range: TypeAlias = tuple[float, float]
"""Least and greatest value."""

ANYTHING: Range = (-math.inf, math.inf)

NONE, RELU, RELU6 = 0, 1, 3
"""ActivationFunctionType of the schema."""

_ACTIVATIONS: dict[int, Range] = {RELU: (0, math.inf), 2: (-1, 1), RELU6: (0, 6), 4: (-1, 1)}

FUSES_RELU = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "MUL", "DIV"}
"""Operators whose float kernels apply a fused ReLU and ReLU6."""

# The result consists of input values, or lies between them; further inputs say where or how.
_OF_FIRST = {
    *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "STRIDED_SLICE", "SLICE", "GATHER", "GATHER_ND", "TILE"),
    *("REVERSE_V2", "UNPACK", "SPLIT_V", "MAX_POOL_2D", "MEAN", "REDUCE_MAX", "REDUCE_MIN", "MIRROR_PAD"),
    *("AVERAGE_POOL_2D", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE"),
    *("QUANTIZE", "DEQUANTIZE", "BROADCAST_TO", "TOPK_V2"),
}
_FIXED: dict[str, Range] = {"LOGISTIC": (0, 1), "SOFTMAX": (0, 1), "TANH": (-1, 1), "L2_NORMALIZATION": (-1, 1)}


def result_range(name: str, options: Any, inputs: list[Range]) -> Range:
    """The range of the float result of operator `name`.

    Args:
        options: its options table, or None.
        inputs: the ranges of its inputs; ANYTHING where not known.
    """
    found = _result(name, options, inputs)
    fused = _ACTIVATIONS.get(getattr(options, "fusedActivationFunction", NONE), ANYTHING)
    return _within(found, fused)


def _result(name: str, options: Any, inputs: list[Range]) -> Range:
    if name in _FIXED:
        return _FIXED[name]
    if not inputs or (name in _PAIRS and len(inputs) < 2):
        return ANYTHING
    if name in _OF_FIRST:
        return inputs[0]
    low, high = _RULES[name](options, inputs) if name in _RULES else ANYTHING
    # inf - inf and 0 * inf: nothing is known.
    return ANYTHING if math.isnan(low) or math.isnan(high) else (low, high)


def _within(value: Range, limits: Range) -> Range:
    low, high = (min(max(end, limits[0]), limits[1]) for end in value)
    return low, high


def _union(ranges: list[Range]) -> Range:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _leaky(options: Any, inputs: list[Range]) -> Range:
    alpha = getattr(options, "alpha", 0)
    low, high = (end if end >= 0 else alpha * end for end in inputs[0])
    return (low, high) if alpha >= 0 else ANYTHING


def _product(_: Any, inputs: list[Range]) -> Range:
    corners = [first * second for first in inputs[0] for second in inputs[1]]
    return (math.nan, math.nan) if any(map(math.isnan, corners)) else (min(corners), max(corners))


def _with_zero(_: Any, inputs: list[Range]) -> Range:
    return _union([inputs[0], (0, 0)])


_PAIRS = {"ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"}
_RULES: dict[str, Callable[[Any, list[Range]], Range]] = {
    "ABS": lambda _, inputs: (0, max(map(abs, inputs[0]))),
    "ADD": lambda _, inputs: (inputs[0][0] + inputs[1][0], inputs[0][1] + inputs[1][1]),
    "BATCH_TO_SPACE_ND": _with_zero,
    "CONCATENATION": lambda _, inputs: _union(inputs),
    "HARD_SWISH": lambda _, inputs: (-0.375, max(0, inputs[0][1])),
    "LEAKY_RELU": _leaky,
    "MAXIMUM": lambda _, inputs: (max(inputs[0][0], inputs[1][0]), max(inputs[0][1], inputs[1][1])),
    "MINIMUM": lambda _, inputs: (min(inputs[0][0], inputs[1][0]), min(inputs[0][1], inputs[1][1])),
    "MUL": _product,
    "PACK": lambda _, inputs: _union(inputs),
    "PAD": _with_zero,
    "PADV2": lambda _, inputs: _union([inputs[0], inputs[-1]]),
    "RELU": lambda _, inputs: _within(inputs[0], _ACTIVATIONS[RELU]),
    "RELU6": lambda _, inputs: _within(inputs[0], _ACTIVATIONS[RELU6]),
    "RELU_0_TO_1": lambda _, inputs: _within(inputs[0], (0, 1)),
    "RELU_N1_TO_1": lambda _, inputs: _within(inputs[0], (-1, 1)),
    "SPACE_TO_BATCH_ND": _with_zero,
    "SPLIT": lambda _, inputs: inputs[-1],
    "SUB": lambda _, inputs: (inputs[0][0] - inputs[1][1], inputs[0][1] - inputs[1][0]),
}
