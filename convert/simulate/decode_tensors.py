"""The engine's outputs as NVIDIA's C++ code sees them: a name, dimensions, and bytes read as whatever it expects.

nvinfer never looks at an output's type before it reads numbers (nvdsinfer_context_impl_output_parsing.cpp,
nvdsinfer_custombboxparser.cpp; the exception is said where it is one). The bytes are given out the same way here; what
nvinfer would read behind a frame's own numbers is not known to be anything, so that is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DTYPES", "Layer", "ParserFailed", "clip", "float_to_int32", "float_to_uint32"]

DTYPES = ("float32", "float16", "int8", "int32", "int64", "uint8")
"""What TensorRT hands out: the types of NvDsInferDataType (nvdsinfer.h), named as numpy does."""


_DTYPES = frozenset(map(np.dtype, DTYPES))
_FLOAT = np.dtype(np.float32)


class ParserFailed(Exception):
    """NVIDIA's parser function returns false: every frame fails. The message says why; never leaves this package."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One output of the engine for all frames of a batch.

    Attributes:
        name: as in the model.
        array: [frames, *dims], one of DTYPES, C order.
    """

    name: str
    array: NDArray[Any]

    @classmethod
    def of(cls, name: str, array: NDArray[Any]) -> Layer:
        """Check `array` and put it in C order.

        Raises:
            InputError: a type TensorRT does not have, no batch dimension, or a dimension of 0.
        """
        if array.dtype not in _DTYPES:
            raise InputError(
                f"output {name!r} is {array.dtype.name}: TensorRT has no such outputs",
                hint="one of " + ", ".join(DTYPES),
            )
        if not array.ndim or 0 in array.shape:
            raise InputError(
                f"output {name!r} has the shape {list(array.shape)}: it needs a batch dimension and at least one number"
            )
        return cls(name, np.ascontiguousarray(array))

    @property
    def frames(self) -> int:
        """The batch dimension."""
        return int(self.array.shape[0])

    @property
    def dims(self) -> tuple[int, ...]:
        """Without the batch; a single number for each frame counts as [1] (SplitFullDims)."""
        return tuple(self.array.shape[1:]) or (1,)

    @property
    def is_float(self) -> bool:
        """Type FLOAT."""
        return self.array.dtype == _FLOAT

    def floats(self, frame: int, count: int = 0) -> NDArray[np.float32]:
        """The frame's bytes as float32 numbers, flat; InputError unless there are `count`."""
        if self.is_float:
            numbers: NDArray[np.float32] = self.array[frame].reshape(-1)
            if len(numbers) >= count:
                return numbers
        return self._read(frame, count, _FLOAT)

    def ints(self, frame: int, count: int = 0) -> NDArray[np.int32]:
        """The frame's bytes as int32 numbers, flat; InputError unless there are `count`."""
        return self._read(frame, count, np.dtype(np.int32))

    def _read(self, frame: int, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        raw = self.array[frame].reshape(-1).view(np.uint8)
        found = len(raw) // dtype.itemsize
        if found < count:
            raise InputError(
                f"output {self.name!r} holds {found} {dtype.name} numbers for each frame ({self.array.dtype.name} "
                f"{list(self.dims)}), and nvinfer reads {count}: what lies behind is not known",
                hint="the parser does not fit this model's outputs; compare their order, dimensions and types",
            )
        numbers: NDArray[Any] = raw[: found * dtype.itemsize].view(dtype)
        return numbers


def clip(numbers: NDArray[np.float32], high: float) -> NDArray[np.float32]:
    """The CLIP macro of nvdsinfer_custombboxparser.cpp from 0 to `high`; NaN becomes `high`."""
    below = np.where(numbers < high, numbers, np.float32(high))
    return np.where(below > 0, below, np.float32(0))


def float_to_uint32(numbers: NDArray[np.float32]) -> NDArray[np.uint32]:
    """C's conversion of float to `unsigned int`, as x86-64 does it.

    The C++ standard leaves it open outside of 0..2^32-1. GCC on x86-64 converts to 64 bits and keeps the lower half:
    NaN, infinities and 2^32 give 0, -1 gives 4294967295. (A Jetson saturates instead: -1 gives 0.)
    """
    return _to_int64(numbers).astype(np.uint32)


def float_to_int32(numbers: NDArray[np.float32]) -> NDArray[np.int32]:
    """C's conversion of float to `int`, as x86-64 does it: what does not fit, and NaN, gives -2147483648."""
    wide = _to_int64(numbers)
    return np.where((wide < -(2**31)) | (wide >= 2**31), -(2**31), wide).astype(np.int32)


def _to_int64(numbers: NDArray[np.float32]) -> NDArray[np.int64]:
    fits = np.abs(numbers) < 2.0**63  # False for NaN
    return np.where(fits, np.where(fits, numbers, 0).astype(np.int64), np.iinfo(np.int64).min)
