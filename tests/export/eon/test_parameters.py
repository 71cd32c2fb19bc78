from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from convert.errors import InputError, UnsupportedModelError
from convert.export.eon import rebuild
from convert.export.eon_operators import OPERATORS
from convert.export.tflite import unpack
from tests.export.eon.networks import Network
from tests.export.eon.writer import FORMS, write

if TYPE_CHECKING:
    from convert.export.eon_operators import Options


def slice_text(parameters: str) -> str:
    """A file with one STRIDED_SLICE whose parameters are this declaration of opdata0."""
    net = Network()
    source = net.tensor((2, 4), "f4")
    ends = [net.constant([0, 0]), net.constant([2, 4]), net.constant([1, 1])]
    net.call("STRIDED_SLICE", [source, *ends], [net.tensor((2, 4), "f4")], table="StridedSlice", endMask=3)
    lines = write(net.model([0], [4]), FORMS["2024-02"]).split("\n")
    return "\n".join(parameters if "opdata0[" in line else line for line in lines)


def raw(data: bytes) -> str:
    inner = "".join(f"{byte}, " for byte in data)
    return f"const ALIGN(4) uint8_t opdata0[{len(data)}] = {{ {inner} }}; /* op type 45=STRIDED_SLICE */"


def options_of(text: str) -> Any:
    return unpack(rebuild(text, "m.cpp")[0]).subgraphs[0].operators[0].builtinOptions


@pytest.mark.parametrize(
    "parameters",
    [
        raw(struct.pack("<iiiii", 1, 2, 0, 0, 3)),
        raw(struct.pack("<iiiii?3x", 1, 2, 0, 0, 3, False)),
        "const TfLiteStridedSliceParams opdata0 = { 1, 2, 0, 0, 3 };",
        "const TfLiteStridedSliceParams opdata0 = { 1, 2, 0, 0, 3, false };",
    ],
)
def test_every_form_of_parameters_gives_the_same(parameters: str) -> None:
    options = options_of(slice_text(parameters))
    assert (options.beginMask, options.endMask, options.ellipsisMask, options.newAxisMask) == (1, 2, 0, 0)
    assert (options.shrinkAxisMask, options.offset) == (3, False)


def test_a_later_member_is_read_where_it_is() -> None:
    assert options_of(slice_text(raw(struct.pack("<iiiii?3x", 1, 2, 0, 0, 3, True)))).offset is True


@pytest.mark.parametrize("size", [0, 4, 19, 28, 100])
def test_bytes_of_no_known_struct_are_refused_by_name(size: int) -> None:
    with pytest.raises(UnsupportedModelError, match=f"STRIDED_SLICE come as {size} bytes"):
        rebuild(slice_text(raw(bytes(size))), "m.cpp")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("const TfLiteStridedSliceParams opdata0 = { 1, 2 };", "2 members"),
        ("const TfLiteStridedSliceParams opdata0 = { 1, 2, 0, 0, 3, 0, 0 };", "7 members"),
        ("const TfLiteStridedSliceParams opdata0 = { 1, 2, 0, 0, { 3 } };", "unknown value"),
        ("const TfLiteStridedSliceParams opdata0 = { 1, 2, 0, 0, 3000000000 };", "unknown value"),
        ("const TfLiteStridedSliceParams opdata0 = 5;", "no TfLiteStridedSliceParams"),
        ("const TfLiteSoftmaxParams opdata0 = { 1 };", "no TfLiteStridedSliceParams"),
    ],
)
def test_parameters_that_do_not_fit_are_damage(parameters: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rebuild(slice_text(parameters), "m.cpp")


def test_missing_parameters_that_cannot_be_derived_are_refused_by_name() -> None:
    text = slice_text("").replace("const_cast<void*>(static_cast<const void*>(&g0::opdata0))", "nullptr")
    with pytest.raises(
        UnsupportedModelError, match=r"^the parameters of STRIDED_SLICE are missing and cannot be derived$"
    ):
        rebuild(text, "m.cpp")


@pytest.mark.parametrize(
    ("name", "table", "before", "after", "options"),
    [
        ("MEAN", "Reducer", (1, 2, 3), (1, 2, 1), {"keepDims": True}),
        ("MEAN", "Reducer", (1, 2, 3), (1, 2), {"keepDims": False}),
        ("SPACE_TO_DEPTH", "SpaceToDepth", (1, 4, 4, 3), (1, 2, 2, 12), {"blockSize": 2}),
        ("DEPTH_TO_SPACE", "DepthToSpace", (1, 2, 2, 12), (1, 4, 4, 3), {"blockSize": 2}),
        ("SPLIT", "Split", (4, 2), (4, 2), {"numSplits": 1}),
        ("PACK", "Pack", (2, 3), (2, 1, 3), {"valuesCount": 1, "axis": 1}),
        ("SQUEEZE", "Squeeze", (1, 2, 1), (2,), {"squeezeDims": []}),
        ("SHAPE", "Shape", (2, 3), (2,), {"outType": schema.TensorType.FLOAT32}),
        ("CAST", "Cast", (2, 3), (2, 3), {"inDataType": 0, "outDataType": 0}),
    ],
)
def test_missing_parameters_are_derived_from_shapes(
    name: str, table: str, before: tuple[int, ...], after: tuple[int, ...], options: Options
) -> None:
    net = Network()
    net.call(name, [net.tensor(before, "f4")], [net.tensor(after, "f4")], table=table, **options)
    text = write(net.model([0], [1]), FORMS["2020"])
    text = text.replace("const_cast<void*>(static_cast<const void*>(&opdata0))", "nullptr")
    derived = options_of(text)
    assert {member: np.asarray(getattr(derived, member)).tolist() for member in options} == options


def test_argmax_takes_its_type_from_its_output() -> None:
    net = Network()
    source = net.tensor((1, 4), "f4")
    net.call("ARG_MAX", [source, net.constant([1])], [net.tensor((1,), "i8")], table="ArgMax", outputType=4)
    assert options_of(write(net.model([0], [2]), FORMS["2020"])).outputType == schema.TensorType.INT64


def test_an_optional_input_that_is_absent_stays_absent() -> None:
    net = Network()
    weights = net.tensor((2, 4), "f4", None, np.ones((2, 4)))
    net.call(
        "FULLY_CONNECTED", [net.tensor((1, 4), "f4"), weights, -1], [net.tensor((1, 2), "f4")], table="FullyConnected"
    )
    for form in FORMS.values():
        call = unpack(rebuild(write(net.model([1], [2]), form), "m.cpp")[0]).subgraphs[0].operators[0]
        assert list(call.inputs) == [1, 0, -1]


def test_every_operator_exists_in_the_schema() -> None:
    for name, operator in OPERATORS.items():
        assert isinstance(getattr(schema.BuiltinOperator, name), int)
        if operator.options:
            assert isinstance(getattr(schema.BuiltinOptions, f"{operator.options}Options"), int)
            table = vars(getattr(schema, f"{operator.options}OptionsT")())
            assert {parameter.option for parameter in operator.parameters if parameter.option} <= set(table), name
