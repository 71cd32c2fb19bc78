"""Builds the end of a detector's graph: what makes of the network's raw outputs the tensors a stock parser reads.

Only operators that TensorRT has had since 7 (for `convert.graph.heads.suppression` 8.2), each on float32. Matrices are
multiplied only of zeros and ones: TensorRT does that in TF32 by default, whose ten bits of mantissa would move a box by
a pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper

from convert.graph.model import Wiring, opset_of
from convert.graph.shapes import infer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike
    from onnx import ModelProto

__all__ = ["Tail"]


class Tail:
    """Nodes are added to `model` one at a time; `finish` makes the last ones its outputs."""

    def __init__(self, model: ModelProto) -> None:
        self.wiring = Wiring(model)
        self.opset = opset_of(model)

    def __call__(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """A node; returns its output."""
        (output,) = self.wiring.add(operator, inputs, **attributes).output
        return str(output)

    def constant(self, values: ArrayLike) -> str:
        """A float32 constant."""
        return self.wiring.add_constant(np.asarray(values, np.float32))

    def part(self, name: str, axis: int, start: int, end: int) -> str:
        """Entries `start` to before `end` of one axis."""
        if self.opset < 10:
            return self("Slice", name, axes=[axis], starts=[start], ends=[end])
        return self("Slice", name, *(self.indices([value]) for value in (start, end, axis)))

    def largest(self, name: str, axis: int, *, keep: bool = False) -> str:
        """The largest value along `axis`, which goes, or stays with a size of 1."""
        if self.opset < 18:
            return self("ReduceMax", name, axes=[axis], keepdims=int(keep))
        return self("ReduceMax", name, self.indices([axis]), keepdims=int(keep))

    def order(self, name: str, axis: int, count: int) -> str:
        """Where along `axis` the `count` largest values are, largest first, as int64 (opset 10)."""
        return str(self.wiring.add("TopK", [name, self.indices([count])], outputs=2, axis=axis).output[1])

    def where_largest(self, name: str, axis: int) -> str:
        """The place of the (first) largest value along `axis`, which goes, as float32: parsers read nothing else."""
        return self("Cast", self("ArgMax", name, axis=axis, keepdims=0), to=TensorProto.FLOAT)

    def as_float(self, name: str) -> str:
        """Truth values as 0 and 1."""
        return self("Cast", name, to=TensorProto.FLOAT)

    def reshaped(self, name: str, shape: Sequence[int]) -> str:
        """The same values in another shape, for one picture."""
        return self("Reshape", name, self.indices(shape))

    def swapped(self, name: str) -> str:
        """(x, y) in the last of three axes as (y, x)."""
        return self("Gather", name, self.indices([1, 0]), axis=2)

    def padded(self, name: str, before: Sequence[int]) -> str:
        """Zeros in front, so many for each axis."""
        pads = [*before, *(0 for _ in before)]
        if self.opset < 11:
            return self("Pad", name, pads=pads)
        return self("Pad", name, self.indices(pads))

    def clipped(self, name: str, low: float, high: float) -> str:
        """What is below `low` as `low`, what is above `high` as `high`."""
        if self.opset < 11:
            return self("Clip", name, min=float(low), max=float(high))
        return self("Clip", name, self.constant(low), self.constant(high))

    def finish(self, *outputs: str) -> ModelProto:
        """The model, which has these outputs and no others."""
        model = self.wiring.model
        del model.graph.output[:]
        # infer() walks what the outputs need
        model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs)
        shapes = infer(self.wiring)
        for value in model.graph.output:
            value.type.CopyFrom(shapes.type(value.name))
        self.wiring.outputs = set(outputs)
        self.wiring.store()
        return model

    def indices(self, values: Sequence[int]) -> str:
        """An int64 constant."""
        return self.wiring.add_constant(np.array(values, np.int64))
