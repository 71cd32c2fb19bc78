"""Types and enumerators of TensorFlow Lite's C headers, and what they are in the flatbuffer schema.

Sources: c_api_types.h (TfLiteType) and builtin_op_data.h (the other enums) of TensorFlow Lite.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert.schema_py_generated import TensorType

__all__ = ["DTYPES", "ENUMERATORS", "TYPES", "TYPE_NUMBERS"]

# TfLiteType: enumerator without `kTfLite`, its number, the schema's TensorType, numpy's name. Types whose tensors are
# more than plain numbers (strings, resources, 4-bit integers) are left out.
_TYPES = (
    ("Float32", 1, TensorType.FLOAT32, "<f4"),
    ("Int32", 2, TensorType.INT32, "<i4"),
    ("UInt8", 3, TensorType.UINT8, "u1"),
    ("Int64", 4, TensorType.INT64, "<i8"),
    ("Bool", 6, TensorType.BOOL, "?"),
    ("Int16", 7, TensorType.INT16, "<i2"),
    ("Int8", 9, TensorType.INT8, "i1"),
    ("Float16", 10, TensorType.FLOAT16, "<f2"),
    ("Float64", 11, TensorType.FLOAT64, "<f8"),
    ("UInt64", 13, TensorType.UINT64, "<u8"),
    ("UInt32", 16, TensorType.UINT32, "<u4"),
    ("UInt16", 17, TensorType.UINT16, "<u2"),
)

TYPES: dict[str, int] = {f"kTfLite{name}": type_ for name, _, type_, _ in _TYPES}
"""TfLiteType's enumerators: the TensorType of each."""

TYPE_NUMBERS: dict[int, int] = {number: type_ for _, number, type_, _ in _TYPES}
"""TfLiteType's numbers: the TensorType of each."""

DTYPES: dict[int, np.dtype[np.generic]] = {type_: np.dtype(dtype) for *_, type_, dtype in _TYPES}
"""TensorType: numpy's type."""

_ENUMS = (
    ("Padding", "Unknown Same Valid"),
    ("Act", "None Relu ReluN1To1 Relu6 Tanh SignBit Sigmoid"),
    ("FullyConnectedWeightsFormat", "Default Shuffled4x16Int8"),
    ("MirrorPadding", "Unknown Reflect Symmetric"),
)

ENUMERATORS: dict[str, int] = {
    **{f"kTfLite{enum}{name}": number for enum, names in _ENUMS for number, name in enumerate(names.split())},
    **{f"kTfLite{name}": number for name, number, *_ in _TYPES},
    "kTfLiteActRelu1": 2,  # what kTfLiteActReluN1To1 was called until 2020
    "kTfLiteNoType": 0,
}
"""Enumerators that stand in operators' parameters: their numbers in C."""
