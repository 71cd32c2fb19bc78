"""What a detector's rows are measured in: the model shows it, whatever it was exported with.

YOLO exports differ in this and nothing records it: TensorFlow's give shares of the picture, PyTorch's ONNX pixels, and
some leave the decoding to the reader. With every convolution at 0 the network says nothing, and what is left are the
places of its cells: evenly spread over the picture, in the unit of the rows. No picture and no runtime is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from convert.errors import UnsupportedModelError
from convert.graph.cleaning import fold
from convert.graph.model import Wiring
from convert.graph.shapes import infer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto

__all__ = ["neutral", "unit_of"]

_LAYERS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_LARGEST_SHARE = 2.0  # candidates' centres in shares of the picture are about 0.5, in pixels 16 or more


def neutral(model: ModelProto) -> NDArray[np.float32]:
    """The model's one output where every layer with weights gives 0.

    Raises:
        UnsupportedModelError: the output does not come from such layers.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    wiring = Wiring(copy)
    shapes = infer(wiring)
    for node in wiring.nodes():
        if node.op_type in _LAYERS:
            wiring.replace(node, wiring.add_constant(np.zeros(shapes[node.output[0]], np.float32)))
    wiring.store()
    wiring = Wiring(fold(copy))
    name = copy.graph.output[0].name
    maker = wiring.producer(name)
    value = wiring.constant(maker.input[0]) if maker is not None and maker.op_type == "Identity" else None
    if value is None:
        raise UnsupportedModelError(
            "it cannot be seen how this model's boxes follow from its layers", hint="report the model"
        )
    return np.asarray(value, np.float32)


def unit_of(centres: NDArray[np.float32], width: int, height: int) -> str:
    """What `centres` [A,2] (x, y) of a neutral answer are measured in: "relative", "pixels", or "cells".

    "cells" is where all candidates are alike: their place in the picture is not in the numbers.

    Raises:
        UnsupportedModelError: they lie neither in the picture nor in 0..1.
    """
    if not np.ptp(centres, axis=0).any():
        return "cells"
    middle = np.median(centres, axis=0)
    unit, size = ("relative", np.ones(2)) if middle.max() <= _LARGEST_SHARE else ("pixels", np.array([width, height]))
    if not (np.abs(middle / size - 0.5) < 0.3).all():
        x, y = middle
        raise UnsupportedModelError(
            f"the boxes are measured in something else than pixels of {width}x{height} or shares of it: the middle of "
            f"all candidates is ({x:.3g}, {y:.3g})",
            hint="give the real --task, or report the model",
        )
    return unit
