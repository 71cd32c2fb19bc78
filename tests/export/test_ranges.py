"""Ranges of results: as far as the operators' own arithmetic reaches, and no further."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.export.dequantize import ANYTHING, result_range

if TYPE_CHECKING:
    from collections.abc import Callable

INF = math.inf


def options(activation: int = 0, alpha: float = 0.0) -> Any:
    return SimpleNamespace(fusedActivationFunction=activation, alpha=alpha)


OF_FIRST = (
    *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "STRIDED_SLICE", "SLICE", "GATHER", "GATHER_ND", "TILE"),
    *("REVERSE_V2", "UNPACK", "SPLIT_V", "MAX_POOL_2D", "MEAN", "REDUCE_MAX", "REDUCE_MIN", "MIRROR_PAD"),
    *("AVERAGE_POOL_2D", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE"),
    *("QUANTIZE", "DEQUANTIZE", "BROADCAST_TO", "TOPK_V2"),
)


@pytest.mark.parametrize(
    ("name", "inputs", "expected"),
    [
        *((name, [(-3, 5), (1, 9)], (-3, 5)) for name in OF_FIRST),
        ("SPLIT", [(0, 1), (-3, 5)], (-3, 5)),  # the first says where
        ("PACK", [(-3, 1), (0, 5), (2, 3)], (-3, 5)),
        ("CONCATENATION", [(-3, 1), (0, 5)], (-3, 5)),
        ("PAD", [(2, 5)], (0, 5)),
        ("SPACE_TO_BATCH_ND", [(-5, -2)], (-5, 0)),
        ("BATCH_TO_SPACE_ND", [(2, 5)], (0, 5)),
        ("PADV2", [(2, 5), (0, 9), (-7, -7)], (-7, 5)),
        ("LOGISTIC", [ANYTHING], (0, 1)),
        ("SOFTMAX", [ANYTHING], (0, 1)),
        ("TANH", [ANYTHING], (-1, 1)),
        ("L2_NORMALIZATION", [ANYTHING], (-1, 1)),
        ("HARD_SWISH", [(-9, -8)], (-0.375, 0)),
        ("HARD_SWISH", [(-9, 4)], (-0.375, 4)),
        # nothing is known
        ("CONV_2D", [(0, 1), (0, 1), (0, 1)], ANYTHING),
        ("ADD", [(0, 1)], ANYTHING),
        ("RESHAPE", [], ANYTHING),
        ("ADD", [(-INF, 0), (INF, INF)], ANYTHING),
        ("MUL", [(0, 1), ANYTHING], ANYTHING),
    ],
)
def test_ranges(name: str, inputs: list[tuple[float, float]], expected: tuple[float, float]) -> None:
    assert result_range(name, None, inputs) == expected
    assert result_range(name, options(), inputs) == expected


@pytest.mark.parametrize(
    ("activation", "expected"),
    [(0, (-9, 9)), (1, (0, 9)), (2, (-1, 1)), (3, (0, 6)), (4, (-1, 1))],  # none, ReLU, -1 to 1, ReLU6, tanh
)
def test_fused_activations(activation: int, expected: tuple[float, float]) -> None:
    assert result_range("ADD", options(activation), [(-4, 4), (-5, 5)]) == expected
    open_ends = tuple(end * INF if abs(end) == 9 else end for end in expected)
    assert result_range("CONV_2D", options(activation), [(0, 1), ANYTHING]) == open_ends


ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "ABS": abs,
    "ADD": lambda a, b: a + b,
    "SUB": lambda a, b: a - b,
    "MUL": lambda a, b: a * b,
    "MAXIMUM": max,
    "MINIMUM": min,
    "RELU": lambda a: max(a, 0),
    "RELU6": lambda a: min(max(a, 0), 6),
    "RELU_0_TO_1": lambda a: min(max(a, 0), 1),
    "RELU_N1_TO_1": lambda a: min(max(a, -1), 1),
    "LEAKY_RELU": lambda a: a if a >= 0 else a / 4,
}
_ENDS = st.tuples(st.integers(-9, 9), st.integers(-9, 9)).map(lambda ends: (min(ends), max(ends)))


@pytest.mark.parametrize("name", ELEMENTWISE)
@given(first=_ENDS, second=_ENDS)
def test_elementwise_ranges_are_exact(name: str, first: tuple[int, int], second: tuple[int, int]) -> None:
    """But for ABS, which also takes 0 in."""
    function = ELEMENTWISE[name]
    inputs = [first] if name in {"ABS", "LEAKY_RELU"} or name.startswith("RELU") else [first, second]
    values = [function(*each) for each in itertools.product(*(np.arange(low, high + 1) for low, high in inputs))]
    low = 0 if name == "ABS" else min(values)
    assert result_range(name, options(alpha=0.25), list(inputs)) == (low, max(values))


def test_a_leaky_relu_that_turns_negative_numbers_around() -> None:
    assert result_range("LEAKY_RELU", options(alpha=-0.5), [(-4, 1)]) == ANYTHING
