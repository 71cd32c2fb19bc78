"""Small MobileNet SSDs as flatbuffers: a convolution, encoded boxes and scores, and TFLite's own post-processing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from tests.graph.flat import Flat, convolution, options, reshape

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARAMETERS: dict[str, Any] = {
    "max_detections": 10,
    "max_classes_per_detection": 1,
    "nms_score_threshold": 0.0,
    "nms_iou_threshold": 0.6,
    "num_classes": 2,
    "y_scale": 10.0,
    "x_scale": 10.0,
    "h_scale": 5.0,
    "w_scale": 5.0,
    "use_regular_nms": True,
}
"""As Edge Impulse's models have them, but for NMS a class, which is what nvinfer does."""


def anchors_of(rows: int, columns: int, *, each: int = 2) -> NDArray[np.float32]:
    """`each` anchors a cell: y, x, height, width in shares of the picture."""
    y, x = np.mgrid[:rows, :columns]
    cells = [
        np.stack(
            [(y + 0.5) / rows, (x + 0.5) / columns, np.full_like(y, high, float), np.full_like(x, wide, float)], -1
        )
        for high, wide in ((0.3, 0.2), (0.2, 0.5), (0.7, 0.7))[:each]
    ]
    return np.stack(cells, 2).reshape(-1, 4).astype(np.float32)


def ssd(
    *,
    height: int = 32,
    width: int = 48,
    classes: int = 2,
    background: bool = True,
    coordinates: int = 4,
    anchors: Any = None,
    parameters: dict[str, Any] | None = None,
    custom: bytes | None = None,
    dequantized_anchors: bool = False,
    seed: int = 5,
) -> bytes:
    """The flatbuffer; every part that can be wrong can be given."""
    flat = Flat(seed)
    picture = flat.tensor(1, height, width, 3, name="serving_default_x:0")
    features = convolution(flat, picture, 8, stride=8)
    rows, columns = height // 8, width // 8
    count, width_of_scores = rows * columns * 2, classes + background
    boxes = reshape(flat, convolution(flat, features, 2 * coordinates, relu6=False), 1, count, coordinates)
    logits = reshape(flat, convolution(flat, features, 2 * width_of_scores, relu6=False), 1, count, width_of_scores)
    scores = flat.tensor(1, count, width_of_scores)
    flat.operator("LOGISTIC", [logits], [scores])
    places = _anchors(flat, anchors_of(rows, columns) if anchors is None else anchors, dequantized=dequantized_anchors)
    outputs = [flat.tensor() for _ in range(4)]
    flat.operator("CUSTOM", [boxes, scores, places], outputs, custom="TFLite_Detection_PostProcess")
    said = flexbuffers.Dumps({**PARAMETERS, "num_classes": classes} if parameters is None else parameters)
    flat.operators[-1].customOptions = np.frombuffer(bytes(said) if custom is None else custom, np.uint8)
    return flat.build([picture], [outputs[1], outputs[3], outputs[0], outputs[2]])


def _anchors(flat: Flat, values: Any, *, dequantized: bool) -> int:
    if not dequantized:
        return flat.constant(np.asarray(values))
    scale, zero = 1 / 128, -10
    stored = flat.constant(np.clip(np.round(np.asarray(values) / scale) + zero, -128, 127).astype(np.int8))
    quantization = schema.QuantizationParametersT()
    quantization.scale, quantization.zeroPoint = [scale], [zero]
    flat.tensors[stored].quantization = quantization
    target = flat.tensor(*np.shape(values))
    flat.operator("DEQUANTIZE", [stored], [target], options("Dequantize"))
    return target
