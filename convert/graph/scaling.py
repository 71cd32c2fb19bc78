"""Puts an image scaling that Gst-nvinfer cannot express into the graph, right behind the input.

nvinfer computes y = net-scale-factor * (x - offset) with ONE factor for all channels; Edge Impulse's `torch` scaling
divides each channel by its own standard deviation. Folding it into the first convolution would change the borders,
where the convolution pads with zeros after scaling, so the two steps stay nodes of their own: the same two float32
operations, in the same order, as Edge Impulse's SDK makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convert.graph.model import Wiring

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["Scale"]


@dataclass(frozen=True, slots=True)
class Scale:
    """A pass: the model takes x where it took (x - mean) / std. One value a channel; the input is NCHW."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, model: ModelProto) -> ModelProto:
        """Insert Sub and Div behind the one input."""
        wiring = Wiring(model)
        name = model.graph.input[0].name
        takers = wiring.consumers(name)
        mean, std = (
            wiring.add_constant(np.array(values, np.float32).reshape(1, -1, 1, 1)) for values in (self.mean, self.std)
        )
        (centred,) = wiring.add("Sub", [name, mean]).output
        (scaled,) = wiring.add("Div", [centred, std]).output
        for taker in takers:
            wiring.set_inputs(taker, [scaled if other == name else other for other in taker.input])
        wiring.store()
        return model
