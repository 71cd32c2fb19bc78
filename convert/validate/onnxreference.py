"""Runs an original that is ONNX itself, unchanged, in ONNX Runtime; in the isolated child, as LiteRT runs others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convert.errors import ValidationError
from convert.validate import runtime
from convert.validate.preprocess import as_edge_impulse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.artifacts import ImageScaling

__all__ = ["run"]


def run(
    model: bytes, pictures: NDArray[np.uint8], scaling: ImageScaling, shapes: Sequence[tuple[int | None, ...]]
) -> list[NDArray[np.float32]]:
    """Every output, in graph order, as float32 [n, ...], in a flatbuffer's layout.

    Args:
        model: a serialised ModelProto with one input, NCHW or NHWC.
        pictures: uint8 [n,H,W,C].
        scaling: what the model's input scale is.
        shapes: of the outputs as a flatbuffer would have them: grids NHWC.

    Raises:
        ValidationError: ONNX Runtime refuses the model, or its input cannot hold such a picture.
    """
    session = runtime.load(model)
    _, *size = session.get_inputs()[0].shape
    values = as_edge_impulse(pictures, scaling)
    height, width, channels = values.shape[1:]
    if size == [channels, height, width]:
        values = values.transpose(0, 3, 1, 2)
    elif size != [height, width, channels]:
        raise ValidationError(
            f"the original's input {size} does not hold a picture [{','.join(map(str, pictures.shape[1:]))}]",
            hint="give validate the model that this ONNX model was made from",
        )
    rows = [runtime.run(session, np.ascontiguousarray(values[n : n + 1])) for n in range(len(values))]
    outputs = [np.concatenate(column).astype(np.float32, copy=False) for column in zip(*rows, strict=True)]
    return [_rows(output, shape) for output, shape in zip(outputs, shapes, strict=True)]


def _rows(output: NDArray[np.float32], shape: tuple[int | None, ...]) -> NDArray[np.float32]:
    """A grid [n,K,h,w] as [n,h,w,K], where that is the shape."""
    if output.ndim != 4 or output.shape[1:] == shape[1:]:
        return output
    turned = output.transpose(0, 2, 3, 1)
    return turned if turned.shape[1:] == shape[1:] else output
