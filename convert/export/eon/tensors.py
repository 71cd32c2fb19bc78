"""Reads the table of tensors of an EON-compiled file: `TensorInfo_t tensorData[]`.

Which member of a row means what is read from the file's own `struct TensorInfo_t`, because the generator leaves out
what all tensors share: the type of an all-float model, the quantization of an unquantized one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.export.eon.names import is_null, name_of, shown
from convert.export.eon.syntax import Group, Value
from convert.export.eon.types import DTYPES, TYPES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.export.eon.names import Names

__all__ = ["Quantization", "Tensor", "read_tensors"]

_NEEDED = ("allocation_type", "data", "dims", "bytes")
_MAX_RANK = 8  # of TensorFlow Lite's tensors
_IN_ARENA = {"kTfLiteArenaRw", "kTfLiteArenaRwPersistent"}


@dataclass(frozen=True, slots=True)
class Quantization:
    """Affine: real = scale * (q - zero_point); one pair, or one for each index along `axis`."""

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor.

    Attributes:
        type: a TensorType of the TFLite schema.
        data: a constant's values, flat, little endian; None for what is computed.
        at: where its row is.
    """

    type: int
    shape: tuple[int, ...]
    data: NDArray[Any] | None
    quantization: Quantization | None
    at: int


def read_tensors(names: Names) -> tuple[Tensor, ...]:
    """The tensors, by index.

    Raises:
        InputError: a row or what it refers to is missing, of the wrong kind, or does not fit.
        UnsupportedModelError: a type whose tensors are not plain numbers.
    """
    table = names.need("tensorData")
    fields = names.unit.structs.get(table.type, ())
    for field in _NEEDED:
        if field not in fields:
            raise names.source.damaged(f"struct {table.type} is missing or has no {field}", table.at)
    return tuple(
        _Row(names, row, f"tensor {index}", at).tensor() for index, (at, row) in enumerate(names.rows(table, fields))
    )


@dataclass(frozen=True, slots=True)
class _Row:
    names: Names
    members: dict[str, Value]
    what: str
    at: int

    def tensor(self) -> Tensor:
        for field in _NEEDED:
            if field not in self.members:
                raise self.names.source.damaged(f"{self.what} has no {field}", self.at)
        type_ = self._type()
        shape = self._shape()
        size = math.prod(shape) * DTYPES[type_].itemsize
        if self.members["bytes"] != size:
            raise self.names.source.damaged(
                f"{self.what} of shape {list(shape)} takes {size} bytes, not {shown(self.members['bytes'])}", self.at
            )
        return Tensor(type_, shape, self._data(type_, size), self._quantization(shape), self.at)

    def _type(self) -> int:
        value = self.members.get("type")
        name = name_of(value)
        if value is None:  # the one type of all tensors is then set in a function
            shared = sorted(self.names.unit.types_set & set(TYPES))
            if len(shared) != 1:
                raise self.names.source.damaged(f"{self.what} has no type", self.at)
            (name,) = shared
        if name not in TYPES:
            raise self.names.source.unsupported(
                f"{self.what} has the type {shown(value)}, which is not known here",
                self.at,
                "convert the .tflite of this model instead",
            )
        return TYPES[name]

    def _shape(self) -> tuple[int, ...]:
        dims = self.names.array(self.members["dims"], "int32", f"the shape of {self.what}", self.at)
        if dims.size and int(dims.min()) < 0:
            raise self.names.source.damaged(f"the shape of {self.what} has a negative size", self.at)
        return tuple(int(dim) for dim in dims)

    def _data(self, type_: int, size: int) -> NDArray[Any] | None:
        source, allocation, pointer = self.names.source, self.members["allocation_type"], self.members["data"]
        if name_of(allocation) in _IN_ARENA:
            return None
        if name_of(allocation) != "kTfLiteMmapRo":
            raise source.damaged(f"{self.what} has the unknown allocation {shown(allocation)}", self.at)
        dtype = DTYPES[type_]
        if size == 0 and is_null(pointer):
            return np.empty(0, dtype)
        variable = self.names.follow(pointer, f"the data of {self.what}", self.at)
        values = variable.value
        if not isinstance(values, np.ndarray):
            raise source.damaged(f"the data of {self.what} is {variable.name}, which is no array", variable.at)
        if values.dtype == np.uint8 and dtype != np.uint8 and values.nbytes == size:
            return values.view(dtype)  # types that the generator has no printer for come as bytes
        if values.dtype != dtype or values.nbytes != size:
            raise source.damaged(
                f"{self.what} takes {size // dtype.itemsize} numbers of type {dtype.name},"
                f" {variable.name} holds {values.size} of type {values.dtype.name}",
                variable.at,
            )
        return values

    def _quantization(self, shape: tuple[int, ...]) -> Quantization | None:
        value = self.members.get("quantization")
        if value is None:
            return None
        kind = name_of(value.items[0]) if isinstance(value, Group) and len(value.items) == 2 else ""
        if kind == "kTfLiteNoQuantization":
            return None
        if not isinstance(value, Group) or kind != "kTfLiteAffineQuantization":
            raise self.names.source.damaged(f"{self.what} has an unknown kind of quantization", self.at)
        variable = self.names.follow(value.items[1], f"the quantization of {self.what}", self.at)
        if not isinstance(variable.value, Group) or len(variable.value.items) != 3:
            raise self.names.source.damaged(f"{variable.name} is no quantization", variable.at)
        scales, zeros, axis = variable.value.items
        scale = self.names.array(scales, "float32", f"the scale of {self.what}", variable.at)
        zero = self.names.array(zeros, "int32", f"the zero point of {self.what}", variable.at)
        if len(scale) == 0 and len(zero) == 0:
            return None
        per_axis = len(scale) > 1
        if not isinstance(axis, int) or not 0 <= axis < _MAX_RANK or len(scale) != len(zero):
            raise self.names.source.damaged(
                f"{variable.name}: scales, zero points and axis do not go together", variable.at
            )
        if per_axis and not (axis < len(shape) and shape[axis] == len(scale)):
            raise self.names.source.damaged(
                f"{variable.name}: {len(scale)} scales along axis {axis} do not fit {self.what} of shape {list(shape)}",
                variable.at,
            )
        return Quantization(scale, zero.astype(np.int64), axis)
