"""Cuts the model's picture out of a whole frame, in the graph's first node: Gst-nvinfer can scale, but not crop.

`convert.framing` has the sizes. Everything behind the Slice sees exactly the pixels it saw before; what it says of
places in its picture, heads say of places in the frame (`convert.heads`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convert.graph.model import Wiring, opset_of

if TYPE_CHECKING:
    from onnx import ModelProto

    from convert.framing import Framing

__all__ = ["Crop"]

_INPUTS_SINCE = 10  # the opset in which Slice takes what were attributes as inputs


@dataclass(frozen=True, slots=True)
class Crop:
    """A pass: a model for [1,C,h,w] takes `framing.network` instead. Without a Slice where that is the same size."""

    framing: Framing

    def __call__(self, model: ModelProto) -> ModelProto:
        """Insert the Slice behind the one input."""
        if not self.framing.crops:
            return model
        (source,) = model.graph.input
        dims = source.type.tensor_type.shape.dim
        width, height = self.framing.model
        assert [dims[2].dim_value, dims[3].dim_value] == [height, width]
        dims[3].dim_value, dims[2].dim_value = self.framing.network
        # The batch and the channels are whole, and so is the side on which nothing is cut off.
        spans = {2: (self.framing.top, height), 3: (self.framing.left, width)}
        axes = [axis for axis, (start, _) in spans.items() if start]
        starts, ends = [spans[axis][0] for axis in axes], [sum(spans[axis]) for axis in axes]
        wiring = Wiring(model)
        takers = wiring.consumers(source.name)
        if opset_of(model) < _INPUTS_SINCE:
            node = wiring.add("Slice", [source.name], axes=axes, starts=starts, ends=ends)
        else:
            limits = [wiring.add_constant(np.array(values, np.int64)) for values in (starts, ends, axes)]
            node = wiring.add("Slice", [source.name, *limits])
        for taker in takers:
            wiring.set_inputs(taker, [node.output[0] if name == source.name else name for name in taker.input])
        wiring.store()
        return model
