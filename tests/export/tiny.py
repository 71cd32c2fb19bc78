"""Flatbuffers of a few hundred bytes that look from outside like Edge Impulse's models."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.graph.flat import Flat


def model(
    picture: tuple[int, ...],
    *outputs: tuple[int, ...],
    last: str = "SOFTMAX",
    custom: str | None = None,
    before: tuple[str, ...] = (),
    seed: int = 0,
) -> bytes:
    """From `picture` through FULLY_CONNECTED and the operators `before` to `outputs`, computed by `last`.

    Different seeds give models with different weights.
    """
    flat = Flat(seed=seed)
    source = flat.tensor(*picture, name="serving_default_x:0")
    current = flat.tensor(1, 4)
    flat.operator("FULLY_CONNECTED", [source, flat.weights(4, 4), -1], [current])
    for kind in before:
        following = flat.tensor(1, 4)
        flat.operator(kind, [current], [following])
        current = following
    ends = [flat.tensor(*shape, name=f"out{number}") for number, shape in enumerate(outputs)]
    flat.operator(last, [current], ends, custom=custom)
    return flat.build([source], ends)


def classifier(height: int = 96, width: int = 96, channels: int = 3, classes: int = 2, *, seed: int = 0) -> bytes:
    """A float32 picture classifier."""
    return model((1, height, width, channels), (1, classes), seed=seed)


def features(count: int = 33, classes: int = 4) -> bytes:
    """A float32 classifier of motion or sound."""
    return model((1, count), (1, classes))


def anomaly(count: int = 3) -> bytes:
    """A Gaussian mixture's score of a few features."""
    return model((1, count), (1, 1), before=("SQUARED_DIFFERENCE", "EXP"), last="LOG")


def int8_classifier(
    height: int = 96, width: int = 96, channels: int = 1, classes: int = 3, *, float_ends: bool = False
) -> bytes:
    """An int8 classifier, as it is or between QUANTIZE and DEQUANTIZE."""
    flat = Flat()
    source = quantized(flat, flat.tensor(1, height, width, channels, dtype="int8", name="x_int8"), 1 / 255, -128)
    scores = quantized(flat, flat.tensor(1, classes, dtype="int8", name="Identity_int8"), 1 / 256, -128)
    weights = quantized(flat, flat.constant([[1] * 4] * classes, "int8"), 0.1, 0)
    if not float_ends:
        flat.operator("FULLY_CONNECTED", [source, weights, -1], [scores])
        return flat.build([source], [scores])
    outer = flat.tensor(1, height, width, channels, name="x")
    end = flat.tensor(1, classes, name="Identity")
    flat.operator("QUANTIZE", [outer], [source])
    flat.operator("FULLY_CONNECTED", [source, weights, -1], [scores])
    flat.operator("DEQUANTIZE", [scores], [end])
    return flat.build([outer], [end])


def twins(seed: int = 0, *, missed: float = 0) -> tuple[bytes, bytes]:
    """One classifier of 96x96x1 in float32 and in int8; a weight of the first is `missed` steps off."""
    weights = np.random.default_rng(seed).normal(size=(3, 4))
    scale = float(np.abs(weights).max()) / 127
    codes = np.round(weights / scale)
    models = []
    for dtype in ("float32", "int8"):
        flat = Flat()
        source, scores = flat.tensor(1, 96, 96, 1, dtype=dtype, name="x"), flat.tensor(1, 3, dtype=dtype, name="y")
        if dtype == "int8":
            quantized(flat, source, 1 / 255, -128)
            quantized(flat, scores, 1 / 256, -128)
            constant = quantized(flat, flat.constant(codes, "int8"), scale, 0)
        else:
            weights[1, 2] = (codes[1, 2] + missed) * scale
            constant = flat.constant(weights, "float32")
        flat.operator("FULLY_CONNECTED", [source, constant, -1], [scores])
        models.append(flat.build([source], [scores]))
    return models[0], models[1]


def quantized(flat: Flat, tensor: int, scale: float, zero_point: int) -> int:
    """Give `tensor` a scale and a zero point; returns it."""
    parameters: Any = schema.QuantizationParametersT()
    parameters.scale, parameters.zeroPoint = [scale], [zero_point]
    flat.tensors[tensor].quantization = parameters
    return tensor
