"""Every operator's C struct, member by member, as text in braces and as bytes: which options the flatbuffer then has.

Made anew by `python -m tests.export.eon.test_operators`: read the difference before it is committed.
"""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import TensorType

from convert.errors import ConvertError, InputError, UnsupportedModelError
from convert.export.eon_operators import (
    CUSTOM,
    DTYPES,
    ENUMERATORS,
    OPERATORS,
    TYPES,
    EonGraph,
    EonNode,
    EonTensor,
    Options,
    Parameter,
    options,
)
from convert.export.eon_source import Group, Pointer, Unit, Variable

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "operators.txt"
FLOAT32, INT16, INT64 = TensorType.FLOAT32, TensorType.INT16, TensorType.INT64
UNKNOWN = "convert the .tflite of this model instead, or export it without the EON compiler"
DAMAGED = "the file is damaged or was edited: export the model again"

_C: dict[str, Any] = {"float": ctypes.c_float, "bool": ctypes.c_bool, "int[8]": ctypes.c_int32 * 8}


def bytes_of(parameters: tuple[Parameter, ...], values: list[Any]) -> bytes:
    """The struct as a compiler lays it out."""
    fields = [(f"m{number}", _C.get(each.kind, ctypes.c_int32)) for number, each in enumerate(parameters)]
    layout = type("Layout", (ctypes.LittleEndianStructure,), {"_fields_": fields[: len(values)]})
    packed = layout()
    for (name, kind), value in zip(fields, values, strict=False):
        setattr(packed, name, kind(*value) if isinstance(value, list) else value)
    return bytes(packed)


def found(
    operator: str, value: Any, *, inputs: tuple[Any, ...] = ((2, 3),), outputs: tuple[Any, ...] = ((2, 3),),
    type_: str | None = None,
) -> Options | None:  # fmt: skip
    """The options of a call whose parameters are `value`: items of a group, bytes, or None."""
    known = OPERATORS[operator]
    tensors = [each if isinstance(each, EonTensor) else tensor(each) for each in (*inputs, *outputs)]
    unit = Unit(b"a\nb\nc", "m.cpp")
    variable = None
    if value is not None:
        items = (Group(tuple(each), 0) if isinstance(each, list) else each for each in value)
        held = np.frombuffer(value, np.uint8) if isinstance(value, bytes) else Group(tuple(items), 0)
        variable = Variable(("ns", "opdata0"), known.struct if type_ is None else type_, held, 2)
    count = len(inputs)
    places = tuple(range(len(tensors)))
    node = EonNode(operator, places[:count], places[count:], variable, None, 4)
    return options(EonGraph(unit, tuple(tensors), (node,), (0,), (1,)), node, known)


def tensor(shape: tuple[int, ...], kind: int = FLOAT32) -> EonTensor:
    return EonTensor(kind, shape, None, None, 0)


def members(parameters: tuple[Parameter, ...]) -> list[Any]:
    """A different value for each, which its kind may have."""
    fixed = {"padding": 2, "activation": 3, "type": 9, "weights": 1, "mirror": 2}
    plain: dict[str, Any] = {"int": lambda n: 10 + n, "float": lambda n: n + 0.5, "bool": lambda n: n % 2 == 0}
    return [
        [3, 2, *range(3, 9)]
        if each.kind == "int[8]"
        else fixed[each.kind] if each.kind in fixed else plain[each.kind](number)
        for number, each in enumerate(parameters)
    ]  # fmt: skip


def lines() -> str:
    told = []
    for name, operator in sorted(OPERATORS.items()):
        table = f"{name}: {operator.struct or '-'} -> {operator.options or '-'}"
        told.append(f"{table}, {operator.needed} of {len(operator.parameters)} members")
        values = members(operator.parameters)
        if name in {"RESHAPE", "SQUEEZE"}:
            values[1] = 2
        for many in sorted({operator.needed, len(values)}) if operator.options else ():
            some = values[:many]
            in_braces, as_bytes = found(name, some), found(name, bytes_of(operator.parameters, some))
            assert in_braces is not None
            assert as_bytes is not None
            # What a shorter struct lacks may lie in its padding, which is zero.
            assert as_bytes == dict.fromkeys(as_bytes, False) | in_braces
            told.append(f"  {json.dumps(some)} {json.dumps(in_braces)}")
    return "\n".join(told) + "\n"


def test_every_operator() -> None:
    assert lines() == GOLDEN.read_text(encoding="utf-8")


def test_enumerators() -> None:
    assert {name: number for name, number in ENUMERATORS.items() if not name.startswith(tuple(TYPES))} == {
        "kTfLitePaddingUnknown": 0, "kTfLitePaddingSame": 1, "kTfLitePaddingValid": 2, "kTfLiteActNone": 0,
        "kTfLiteActRelu": 1, "kTfLiteActReluN1To1": 2, "kTfLiteActRelu1": 2, "kTfLiteActRelu6": 3,
        "kTfLiteActTanh": 4, "kTfLiteActSignBit": 5, "kTfLiteActSigmoid": 6,
        "kTfLiteFullyConnectedWeightsFormatDefault": 0, "kTfLiteFullyConnectedWeightsFormatShuffled4x16Int8": 1,
        "kTfLiteMirrorPaddingUnknown": 0, "kTfLiteMirrorPaddingReflect": 1, "kTfLiteMirrorPaddingSymmetric": 2,
        "kTfLiteNoType": 0,
    }  # fmt: skip
    assert {name: ENUMERATORS[name] for name in TYPES} == {
        "kTfLiteFloat32": 1, "kTfLiteInt32": 2, "kTfLiteUInt8": 3, "kTfLiteInt64": 4, "kTfLiteBool": 6,
        "kTfLiteInt16": 7, "kTfLiteInt8": 9, "kTfLiteFloat16": 10, "kTfLiteFloat64": 11, "kTfLiteUInt64": 13,
        "kTfLiteUInt32": 16, "kTfLiteUInt16": 17,
    }  # fmt: skip
    for name, kind in TYPES.items():
        assert getattr(TensorType, name.removeprefix("kTfLite").upper()) == kind
        assert DTYPES[kind].name == name.removeprefix("kTfLite").lower()
        assert DTYPES[kind].newbyteorder("<") == DTYPES[kind]
    assert set(CUSTOM.values()) == {"TFLite_Detection_PostProcess"}


def pointer(name: str) -> Pointer:
    return Pointer(("tflite", name), (), 0)


PAD = [pointer("kTfLitePaddingValid"), 1, 1]


@pytest.mark.parametrize(
    ("operator", "value", "places", "expected"),
    [
        ("SOFTMAX", [1], {}, {"beta": 1}), ("SOFTMAX", [0.5], {}, {"beta": 0.5}),
        ("MUL", [pointer("kTfLiteActRelu6")], {}, {"fusedActivationFunction": 3}),
        ("MUL", [pointer("kTfLiteActSignBit")], {}, {"fusedActivationFunction": 5}),
        ("MIRROR_PAD", [pointer("kTfLiteMirrorPaddingReflect")], {}, {"mode": 0}),
        ("ADD", [0], {}, {"fusedActivationFunction": 0}),
        ("ADD", [0], {"inputs": (tensor((2,), INT16),)}, {"fusedActivationFunction": 0, "potScaleInt16": False}),
        ("SUB", [0], {"inputs": (tensor((2,), INT16),)}, {"fusedActivationFunction": 0, "potScaleInt16": False}),
        ("ADD", [0, 1], {"inputs": (tensor((2,), INT16),)}, {"fusedActivationFunction": 0, "potScaleInt16": True}),
        ("MUL", [0], {"inputs": (tensor((2,), INT16),)}, {"fusedActivationFunction": 0}),
        ("AVERAGE_POOL_2D", [*PAD, 2, 2, 0, Group((1, 2), 0)], {},
         {"padding": 1, "strideW": 1, "strideH": 1, "filterWidth": 2, "filterHeight": 2,
          "fusedActivationFunction": 0}),
        ("CAST", [0, 0], {"outputs": (tensor((2,), INT64),)}, {"inDataType": 0, "outDataType": 4}),
        ("ARG_MAX", [pointer("kTfLiteInt32")], {"outputs": (tensor((2,), INT64),)}, {"outputType": 4}),
        ("ARG_MIN", [2], {"outputs": (tensor((2,), INT64),)}, {"outputType": 4}),
        ("SHAPE", [], {"outputs": (tensor((2,), INT64),)}, {"outType": 4}),
        ("RESHAPE", [Group((1, 6, 0, 0, 0, 0, 0, 0), 0), 2], {}, {"newShape": [1, 6]}),
        ("RESHAPE", [Group((1,) * 8, 0), 8], {}, {"newShape": [1] * 8}),
        ("RESHAPE", [Group((1,) * 8, 0), 0], {"outputs": ((3, 2),)}, {"newShape": [3, 2]}),
        ("RESHAPE", [Group((1,) * 8, 0), 9], {"outputs": ((3, 2),)}, {"newShape": [3, 2]}),
        ("RESHAPE", None, {"inputs": ((2, 3), (2,))}, None),
        ("RESHAPE", None, {"outputs": ((6,),)}, {"newShape": [6]}),
        ("SQUEEZE", [Group((0, 2, 0, 0, 0, 0, 0, 0), 0), 2], {}, {"squeezeDims": [0, 2]}),
        ("SQUEEZE", [Group((3,) * 8, 0), 8], {}, {"squeezeDims": [3] * 8}),
        ("SQUEEZE", [Group((3,) * 8, 0), 0], {}, {"squeezeDims": []}),
        ("SQUEEZE", None, {"inputs": ((1, 2, 1),), "outputs": ((2,),)}, {"squeezeDims": []}),
        ("SPLIT", None, {"outputs": ((1,), (1,), (1,))}, {"numSplits": 3}),
        ("SPLIT_V", None, {"outputs": ((1,), (1,))}, {"numSplits": 2}),
        ("PACK", None, {"inputs": ((2, 3), (2, 3)), "outputs": ((2, 3, 2),)}, {"valuesCount": 2, "axis": 2}),
        ("PACK", None, {"inputs": ((5, 3), (5, 3)), "outputs": ((2, 5, 3),)}, {"valuesCount": 2, "axis": 0}),
        ("SPACE_TO_DEPTH", None, {"inputs": ((1, 6, 6, 1),), "outputs": ((1, 2, 2, 9),)}, {"blockSize": 3}),
        ("DEPTH_TO_SPACE", None, {"inputs": ((1, 2, 2, 9),), "outputs": ((1, 6, 6, 1),)}, {"blockSize": 3}),
        ("REDUCE_MAX", None, {"inputs": ((2, 3),), "outputs": ((2, 1),)}, {"keepDims": True}),
        ("SUM", None, {"inputs": ((2, 3),), "outputs": ((2,),)}, {"keepDims": False}),
        ("RELU", None, {}, None), ("RELU", [1], {}, None),
    ],
)  # fmt: skip
def test_options(operator: str, value: Any, places: dict[str, Any], expected: Options | None) -> None:
    assert found(operator, value, **places) == expected


def kind(error: ConvertError) -> tuple[type[ConvertError], str, str | None, str | None, int | None]:
    return type(error), error.message, error.hint, error.path, error.line


@pytest.mark.parametrize(
    ("operator", "value", "places", "message"),
    [
        ("SOFTMAX", [1], {"type_": "TfLiteAddParams"}, "ns::opdata0 is no TfLiteSoftmaxParams for SOFTMAX"),
        ("SOFTMAX", [], {}, "ns::opdata0 has 0 members, TfLiteSoftmaxParams has 1"),
        ("SOFTMAX", [1, 2], {}, "ns::opdata0 has 2 members, TfLiteSoftmaxParams has 1"),
        ("SOFTMAX", [Group((1,), 0)], {}, "ns::opdata0 has the unknown value something else"),
        ("SOFTMAX", [1 << 31], {}, "ns::opdata0 has the unknown value 2147483648"),
        ("ONE_HOT", [0.5], {}, "ns::opdata0 has the unknown value 0.5"),
        ("ONE_HOT", [-(1 << 31) - 1], {}, "ns::opdata0 has the unknown value -2147483649"),
        ("ADD", [pointer("kTfLiteActElu")], {}, "ns::opdata0 has the unknown value tflite::kTfLiteActElu"),
        ("RESHAPE", [Group((1,) * 7, 0), 2], {}, "ns::opdata0 has the unknown value something else"),
        ("RESHAPE", [Group((1,) * 7 + (0.5,), 0), 2], {}, "ns::opdata0 has the unknown value something else"),
        ("RESHAPE", [Group((1,) * 7 + (1 << 31,), 0), 2], {}, "ns::opdata0 has the unknown value something else"),
    ],
)
def test_parameters_that_are_damaged(operator: str, value: Any, places: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        found(operator, value, **places)
    assert kind(caught.value) == (InputError, message, DAMAGED, "m.cpp", 2)


@pytest.mark.parametrize(
    ("operator", "value", "places", "message", "line"),
    [
        ("ADD", [6], {}, "ADD has the activation 6, which is not known here", 3),
        ("ADD", [-1], {}, "ADD has the activation -1, which is not known here", 3),
        ("TRANSPOSE_CONV", [0, 1, 1], {}, "TRANSPOSE_CONV has the padding 0, which is not known here", 3),
        ("TRANSPOSE_CONV", [3, 1, 1], {}, "TRANSPOSE_CONV has the padding 3, which is not known here", 3),
        ("FULLY_CONNECTED", [0, 2, 0], {}, "FULLY_CONNECTED has the weights 2, which is not known here", 3),
        ("CAST", [5, 1], {}, "CAST has the type 5, which is not known here", 3),
        ("MIRROR_PAD", [0], {}, "MIRROR_PAD has the mirror 0, which is not known here", 3),
        ("SOFTMAX", b"123", {}, "the parameters of SOFTMAX come as 3 bytes, which no known TfLiteSoftmaxParams has", 2),
        ("SOFTMAX", b"12345678", {},
         "the parameters of SOFTMAX come as 8 bytes, which no known TfLiteSoftmaxParams has", 2),
        ("GELU", b"\1\0", {}, "the parameters of GELU come as 2 bytes, which no known TfLiteGeluParams has", 2),
        *(
            (operator, None, places, f"the parameters of {operator} are missing and cannot be derived", 3)
            for operator, places in (
                ("SOFTMAX", {}), ("SQUEEZE", {"inputs": ((1, 2),), "outputs": ((3,),)}), ("SPLIT", {"outputs": ()}),
                ("PACK", {"inputs": ((2, 2), (2, 2)), "outputs": ((2, 2, 2),)}),
                ("PACK", {"inputs": ((2, 3), (2, 3)), "outputs": ((2, 3, 3),)}),
                ("SPACE_TO_DEPTH", {"inputs": ((6, 6, 1),), "outputs": ((1, 2, 2, 9),)}),
                ("SPACE_TO_DEPTH", {"inputs": ((1, 5, 5, 1),), "outputs": ((1, 2, 2, 4),)}),
                ("DEPTH_TO_SPACE", {"inputs": ((1, 0, 2, 4),), "outputs": ((1, 4, 4, 1),)}),
            )
        ),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_expressed(
    operator: str, value: Any, places: dict[str, Any], message: str, line: int
) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        found(operator, value, **places)
    assert kind(caught.value) == (UnsupportedModelError, message, UNKNOWN, "m.cpp", line)


def test_a_count_that_no_squeeze_has() -> None:
    for count in (-1, 9):
        with pytest.raises(InputError) as caught:
            found("SQUEEZE", [Group((1,) * 8, 0), count])
        assert kind(caught.value) == (InputError, f"SQUEEZE has {count} dimensions", DAMAGED, "m.cpp", 3)


if __name__ == "__main__":
    GOLDEN.write_text(lines(), encoding="utf-8")
