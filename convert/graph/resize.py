"""Writes Resize nodes so that they hold for any batch and mean the same in every TensorRT.

Target sizes would hold the batch; scales do not. And `tf_half_pixel_for_nn` (TFLite's half_pixel_centers), which ONNX
took out again in opset 13, reads pixel floor((x + 0.5) / scale): for whole-number scales that is floor(x / scale),
which is `asymmetric`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convert.graph.model import Wiring, attribute, set_attribute
from convert.graph.shapes import infer

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["plain_resizes"]


def plain_resizes(model: ModelProto) -> ModelProto:
    """A pass: sizes become scales where these give the same sizes, and the deprecated coordinates go where they can."""
    wiring = Wiring(model)
    resizes = [node for node in wiring.nodes() if node.op_type == "Resize"]
    if not resizes:
        return model
    shapes = infer(wiring)
    for node in resizes:
        before = np.array(shapes[node.input[0]])
        if len(node.input) > 3 and node.input[3] and node.output[0] in shapes and not attribute(node, "axes"):
            scales = (np.array(shapes[node.output[0]]) / before).astype(np.float32)
            # Every runtime multiplies in float32 and rounds down.
            if np.array_equal(np.floor(before.astype(np.float32) * scales), shapes[node.output[0]]):
                wiring.set_inputs(node, [*node.input[:2], wiring.add_constant(scales)])
        nearest = attribute(node, "mode", b"nearest") == b"nearest"
        half_pixel = attribute(node, "coordinate_transformation_mode") == b"tf_half_pixel_for_nn"
        if nearest and half_pixel and len(node.input) > 2 and _whole_scales(wiring, node.input[2]):
            set_attribute(node, "coordinate_transformation_mode", "asymmetric")
            set_attribute(node, "nearest_mode", "floor")
    wiring.store()
    return model


def _whole_scales(wiring: Wiring, name: str) -> bool:
    scales = wiring.constant(name)
    return scales is not None and scales.size > 0 and bool(np.all(scales == np.floor(scales)))
