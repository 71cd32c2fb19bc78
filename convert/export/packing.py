"""Writes a TFLite flatbuffer from the object form of the schema classes that come with LiteRT.

Tensors' data is aligned to 16 bytes, as the schema demands (`force_align: 16`) and Python's generated classes do not do
by themselves. The same objects give the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["pack", "unpack"]

_ALIGNMENT = 16
_IDENTIFIER = b"TFL3"
_OVERHEAD = 1 << 16  # bytes to start with besides the data, so that the builder seldom has to double


class _Aligned(schema.BufferT):  # type: ignore[misc] # generated without annotations
    """A buffer whose data starts at a multiple of 16."""

    data: NDArray[np.uint8] | None

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - the schema classes' name
        if self.data is not None:
            # The next thing written is a vector of this length: it will end on the boundary it has to start from.
            builder.Prep(_ALIGNMENT, len(self.data))
        return int(super().Pack(builder))


def pack(model: schema.ModelT) -> bytes:
    """The flatbuffer of `model`; its buffers hold uint8 arrays or nothing.

    The buffers of `model` are replaced by aligned ones.
    """
    model.buffers = [_aligned(buffer) for buffer in model.buffers]
    size = sum(0 if buffer.data is None else len(buffer.data) + 2 * _ALIGNMENT for buffer in model.buffers)
    builder = flatbuffers.Builder(size + _OVERHEAD)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def unpack(model: bytes) -> schema.ModelT:
    """The object form of a flatbuffer that has been verified."""
    return schema.ModelT.InitFromPackedBuf(bytearray(model), 0)


def _aligned(buffer: Any) -> _Aligned:
    if buffer.data is None or len(buffer.data) == 0:
        return _Aligned()
    return _Aligned(np.ascontiguousarray(buffer.data, np.uint8).reshape(-1))
