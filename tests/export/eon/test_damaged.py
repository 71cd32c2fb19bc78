from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import ConvertError, InputError, UnsupportedModelError
from convert.export.eon import rebuild
from convert.export.tflite import unpack
from tests.examples import examples
from tests.export.eon.networks import Network, small_int8
from tests.export.eon.writer import FORMS, write

TEXT = {form: write(small_int8(), FORMS[form]) for form in ("2020", "2025-07")}

# (form, text that is replaced, by what, what the message says). The line is where the replaced text starts, or given.
DAMAGES = {
    "missing array": (
        "2020",
        "const TfArray<4, int> tensor_dimension0",
        "const TfArray<4, int> gone",
        "the shape of tensor 0 is tensor_dimension0, which is not defined",
    ),
    "wrong count of a tensor": (
        "2020",
        "int8_t tensor_data1[4*3*3*3]",
        "int8_t tensor_data1[4*3*3*2]",
        "the variable tensor_data1: there are more than its 72 elements",
    ),
    "too few": (
        "2025-07",
        "int32_t tensor_data2[4] = { 5, ",
        "int32_t tensor_data2[4] = { ",
        "the variable tensor_data2 has 3 of its 4 elements",
    ),
    "wrong count of a list": (
        "2020",
        "{ 4, { 1,8,8,3 } }",
        "{ 3, { 1,8,8,3 } }",
        "the variable tensor_dimension0 is declared with 4 elements and says 3",
    ),
    "list too long": (
        "2020",
        "{ 4, { 1,8,8,3 } }",
        "{ 4, { 1,8,8,3,1 } }",
        "the variable tensor_dimension0: there are more than its 4 elements",
    ),
    "unknown type": (
        "2020",
        "kTfLiteInt8",
        "kTfLiteInt3",
        "tensor 0 has the type kTfLiteInt3, which is not known here",
    ),
    "unknown operator": ("2020", "OP_MEAN, 0", "OP_MEAM, 0", "node 2 has the unknown operator OP_MEAM"),
    "unknown used operator": (
        "2025-07",
        "{OP_CONV_2D, ",
        "{OP_CONV_9D, ",
        "node 0 has the unknown operator OP_CONV_9D",
    ),
    "too few operators": ("2025-07", "{OP_CONV_2D, OP", "{OP", "used_ops names 4 operators for 5 nodes"),
    "bytes do not fit the shape": (
        "2020",
        "&tensor_dimension0, 192,",
        "&tensor_dimension0, 191,",
        "tensor 0 of shape [1, 8, 8, 3] takes 192 bytes, not 191",
    ),
    "dims that do not fit": (
        "2025-07",
        "{ 4, { 1,8,8,3 } }",
        "{ 4, { 1,4,16,4 } }",
        "tensor 0 of shape [1, 4, 16, 4] takes 256 bytes, not 192",
    ),
    "negative dims": (
        "2020",
        "{ 4, { 1,8,8,3 } }",
        "{ 4, { 1,-8,-8,3 } }",
        "the shape of tensor 0 has a negative size",
    ),
    "weights that do not fit": (
        "2020",
        "{ 3, { 0,1,2 } }",
        "{ 3, { 0,4,2 } }",
        "the shapes of node 0 (CONV_2D) do not fit together: [1, 8, 8, 3], [1, 3, 3, 4], [4] to [1, 4, 4, 4]",
    ),
    "a bias that does not fit": (
        "2020",
        "{ 3, { 0,1,2 } }",
        "{ 3, { 0,1,7 } }",
        "the shapes of node 0 (CONV_2D) do not fit together: [1, 8, 8, 3], [4, 3, 3, 3], [2] to [1, 4, 4, 4]",
    ),
    "tensor out of range": (
        "2020",
        "{ 3, { 0,1,2 } }",
        "{ 3, { 0,99,2 } }",
        "node 0 (CONV_2D) names a tensor that does not exist",
    ),
    "used before computed": (
        "2020",
        "{ 3, { 0,1,2 } }",
        "{ 3, { 3,1,2 } }",
        "node 0 (CONV_2D) uses tensor 3 before it is computed",
    ),
    "computed twice": (
        "2020",
        "outputs1 = { 1, { 6 } }",
        "outputs1 = { 1, { 3 } }",
        "node 1 (DEPTHWISE_CONV_2D) computes tensor 3 after it is computed",
    ),
    "no number": (
        "2020",
        "tensor_data2[4] = { 5, -9",
        "tensor_data2[4] = { 5, x",
        "the variable tensor_data2: 'x' is not a number",
    ),
    "does not fit the type": (
        "2020",
        "tensor_data2[4] = { 5, -9",
        "tensor_data2[4] = { 5, 3000000000",
        "the variable tensor_data2: a number does not fit int32",
    ),
    "fraction": (
        "2020",
        "tensor_data2[4] = { 5, -9",
        "tensor_data2[4] = { 5, 0.5",
        "the variable tensor_data2: a fraction stands among integers",
    ),
    "comma too many": (
        "2020",
        "tensor_data2[4] = { 5, -9",
        "tensor_data2[4] = { 5,, -9",
        "the variable tensor_data2: a number is missing",
    ),
    "braces inside": (
        "2020",
        "tensor_data2[4] = { 5, -9",
        "tensor_data2[4] = { 5, {-9",
        "the variable tensor_data2 holds braces among its numbers",
    ),
    "second definition": (
        "2020",
        "TfArray<1, int> inputs4",
        "TfArray<1, int> inputs3",
        "the variable inputs3 is defined a second time",
    ),
    "data of another type": (
        "2020",
        "ALIGN(16) int32_t tensor_data2",
        "ALIGN(16) float tensor_data2",
        "tensor 2 takes 4 numbers of type int32, tensor_data2 holds 4 of type float32",
    ),
    "data is no array": (
        "2020",
        "(void*)tensor_data2,",
        "(void*)quant2,",
        "the data of tensor 2 is quant2, which is no array",
    ),
    "scales for another axis": (
        "2020",
        "&quant1_zero, 0 }",
        "&quant1_zero, 1 }",
        "quant1: 4 scales along axis 1 do not fit tensor 1 of shape [4, 3, 3, 3]",
    ),
    "quantization is no quantization": ("2020", "(&quant1))", "(&opdata0))", "opdata0 is no quantization"),
    "padding unknown": (
        "2020",
        "{ kTfLitePaddingSame, 2,2",
        "{ kTfLitePaddingBoth, 2,2",
        "opdata0 has the unknown value kTfLitePaddingBoth",
    ),
    "parameters of another operator": (
        "2020",
        "(&opdata0))",
        "(&opdata4))",
        "opdata4 is no TfLiteConvParams for CONV_2D",
    ),
    "a member too many": (
        "2020",
        "{ kTfLiteActNone, kTfLiteF",
        "{ 1, 2, 3, kTfLiteActNone, kTfLiteF",
        "opdata3 has 7 members, TfLiteFullyConnectedParams has 5",
    ),
    "a member with a name": (
        "2020",
        "{ kTfLiteActNone, kTfLiteF",
        "{ .act = kTfLiteActNone, kTfLiteF",
        "act is named in the variable opdata3",
    ),
    "a list with something behind it": (
        "2020",
        "outputs1 = { 1, { 6 } }",
        "outputs1 = { 1, { 6 }, 7 }",
        "the variable outputs1 holds more than a size and its numbers",
    ),
    "not closed": (
        "2020",
        "const TfArray<1, int> inputs4 = { 1,",
        "const TfArray<1, int> inputs4 = { 1, {",
        "the variable inputs4 holds braces among its numbers",
    ),
    "struct without field": (
        "2020",
        "TfLiteIntArray* dims;",
        "TfLiteIntArray* sizes;",
        "struct TensorInfo_t is missing or has no dims",
    ),
    "recursive": (
        "2020",
        "const TfArray<4, int> tensor_dimension0 = { 4,",
        "const TfArray<4, int> a = { a,",
        "the variable a is declared with 4 elements and says a",
    ),
    "no input": (
        "2020",
        "inTensorIndices[] = {\n  0, ",
        "inTensorIndices[] = {\n",
        "inTensorIndices is not a list of tensors",
    ),
    "an output never computed": (
        "2020",
        "  { (TfLiteIntArray*)&inputs4,",
        "  // {",
        "tensor 12, an output of the model, is never computed",
    ),
    "output out of range": (
        "2020",
        "outputs4 = { 1, { 12 } }",
        "outputs4 = { 1, { 13 } }",
        "node 4 (SOFTMAX) names a tensor that does not exist",
    ),
    "output that is no tensor": (
        "2020",
        "outputs4 = { 1, { 12 } }",
        "outputs4 = { 1, { -1 } }",
        "node 4 (SOFTMAX) names a tensor that does not exist",
    ),
    "no output": (
        "2020",
        "TfArray<1, int> outputs4 = { 1, { 12 } }",
        "int outputs4 = 0",
        "node 4 (SOFTMAX) has no input or no output",
    ),
    "a row cut short": (
        "2020",
        "opdata4)), OP_SOFTMAX, 0, }",
        "opdata4)) }",
        "node 4 has the unknown operator something else",
    ),
    "a row of nothing": (
        "2020",
        "  { kTfLiteMmapRo, kTfLiteInt8, (void*)tensor_data9",
        "  { }, { 0, 0, 0",
        "tensor 9 has no allocation_type",
    ),
    "no allocation": (
        "2020",
        "kTfLiteMmapRo, kTfLiteInt8, (void*)tensor_data9",
        "kTfLiteHere, kTfLiteInt8, b",
        "tensor 9 has the unknown allocation kTfLiteHere",
    ),
    "data of another size": (
        "2020",
        "(void*)tensor_data10",
        "(void*)tensor_data5",
        "tensor 10 takes 2 numbers of type int32, tensor_data5 holds 4 of type int32",
    ),
    "data of no array": (
        "2020",
        "(void*)tensor_data10",
        "(void*)opdata0",
        "the data of tensor 10 is opdata0, which is no array",
    ),
    "unknown quantization": (
        "2020",
        "{kTfLiteNoQuantization",
        "{kTfLiteSomeQuantization",
        "tensor 7 has an unknown kind of quantization",
    ),
    "quantization has another name": (
        "2020",
        "TfLiteQuantization quantization;",
        "int it;",
        "tensor 0 has the unknown member it",
    ),
    "quantization is a number": (
        "2020",
        "{kTfLiteNoQuantization, nullptr}",
        "7",
        "tensor 7 has an unknown kind of quantization",
    ),
    "quantization of two": ("2020", "(TfLiteIntArray*)&quant2_zero, 0 }", "0 }", "quant2 is no quantization"),
    "axis is too large": (
        "2020",
        "(TfLiteIntArray*)&quant2_zero, 0 }",
        "(TfLiteIntArray*)&quant2_zero, 9 }",
        "quant2: scales, zero points and axis do not go together",
    ),
    "axis is no number": (
        "2020",
        "(TfLiteIntArray*)&quant2_zero, 0 }",
        "(TfLiteIntArray*)&quant2_zero, b }",
        "quant2: scales, zero points and axis do not go together",
    ),
    "zero points of another": (
        "2020",
        "(TfLiteIntArray*)&quant2_zero, 0 }",
        "(TfLiteIntArray*)&quant3_zero, 0 }",
        "quant2: scales, zero points and axis do not go together",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named_with_its_line(name: str) -> None:
    form, before, after, message = DAMAGES[name]
    assert before in TEXT[form], name
    with pytest.raises((InputError, UnsupportedModelError)) as caught:
        rebuild(TEXT[form].replace(before, after, 1), "model.cpp")
    error = caught.value
    assert error.message == message
    assert error.path == "model.cpp"
    assert error.hint in {
        "the file is damaged or was edited: export the model again",
        "convert the .tflite of this model instead",
    }
    assert error.line is not None
    assert 1 <= error.line <= TEXT[form].count("\n") + 2


def test_the_line_is_that_of_the_damage() -> None:
    lines = TEXT["2020"].split("\n")
    (number,) = [index for index, line in enumerate(lines, 1) if "int32_t tensor_data2[" in line]
    with pytest.raises(InputError, match=r"^the variable tensor_data2: 'x' is not a number$") as caught:
        rebuild(TEXT["2020"].replace("tensor_data2[4] = { 5, -9", "tensor_data2[4] = { 5, x"), "m.cpp")
    assert caught.value.line == number


@pytest.mark.parametrize("form", TEXT)
def test_a_file_cut_off_anywhere_is_refused(form: str) -> None:
    text = TEXT[form]
    end = max(text.find("TensorIndices[]"), text.find("out_tensor_indices[]"))
    for place in range(0, end, 509):
        with pytest.raises(InputError) as caught:
            rebuild(text[:place], "cut.cpp")
        assert caught.value.line is not None


@pytest.mark.parametrize("text", ["", "int main() { return 0; }", "\0" * 1000, "const unsigned char a[] = { 0x1c };"])
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        rebuild(text, "other.cpp")
    assert caught.value.line is not None


def test_an_ethos_u_model_is_refused_with_the_reason() -> None:
    text = TEXT["2020"].replace("OP_MEAN", "OP_ETHOSU")
    with pytest.raises(UnsupportedModelError, match=r"^this model was compiled for an Arm Ethos-U: ") as caught:
        rebuild(text, "m.cpp")
    assert caught.value.line == text[: text.index("OP_ETHOSU")].count("\n") + 1
    hint = "in Edge Impulse choose a deployment without an accelerator, for example C++ library, and export again"
    assert caught.value.hint == hint
    for whole in (f"#if EI_CONFIG_ETHOS_U55_256\n{text}\n#elif EI_CONFIG_ETHOS_U55_128\n{text}\n#endif\n",):
        with pytest.raises(UnsupportedModelError, match=r"^this model was compiled for an Arm Ethos-U: "):
            rebuild(whole, "m.cpp")


def test_several_subgraphs_are_refused() -> None:
    text = TEXT["2025-07"].replace("tflNodes_subgraph_index[] = {0, 5, }", "tflNodes_subgraph_index[] = {0, 5, 7, }")
    with pytest.raises(UnsupportedModelError, match=r"^this model has 2 subgraphs$"):
        rebuild(text, "m.cpp")


def test_an_operator_we_do_not_know_is_refused_by_its_name() -> None:
    net = Network()
    source = net.tensor((1, 4), "f4")
    net.custom("TreeEnsembleClassifier", [source], [net.tensor((1, 2), "f4")], b"\1\2\3")
    with pytest.raises(UnsupportedModelError, match=r"^the operator TreeEnsembleClassifier is not known here$"):
        rebuild(write(net.model([0], [1]), FORMS["2020"]), "m.cpp")


def test_a_file_larger_than_the_limit_is_refused_where_it_crosses_it() -> None:
    text = TEXT["2020"]
    with pytest.raises(
        InputError, match=r"^this file has 10,904 bytes; of EON-compiled models up to 2,000 are read$"
    ) as caught:
        rebuild(text, "m.cpp", limit=2000)
    assert caught.value.line == text.encode()[:2000].count(b"\n") + 1
    assert caught.value.hint == "export the model as .tflite, which has no such limit"
    rebuild(text, "m.cpp", limit=len(text.encode()))


def test_more_zeros_than_declared_are_not_read_to_their_end() -> None:
    zeros = "0, " * 3_000_000
    text = TEXT["2020"].replace("tensor_data2[4] = { 5,", f"tensor_data2[4] = {{ {zeros} 5,")
    with pytest.raises(InputError, match=r"^the variable tensor_data2: there are more than its 4 elements$"):
        rebuild(text, "m.cpp")


@pytest.mark.slow
@pytest.mark.parametrize("zeros", [b"\0", b"0,"])
def test_200_megabytes_of_zeros(zeros: bytes) -> None:
    data = b"const int8_t tensor_data0[] = {" + zeros * (200_000_000 // len(zeros))
    with pytest.raises(InputError, match="200,000,031 bytes"):
        rebuild(data, "zeros.cpp")


@pytest.mark.parametrize("text", ["{" * 10_000, "(" * 10_000, "namespace a {" * 5_000, "int a = " + "-" * 9_999 + "1;"])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        rebuild(text, "deep.cpp")
    assert caught.value.line == 1


@pytest.mark.parametrize("text", ["const int a = (" * 3 + "(" * 9_999, "TfLiteConvParams a = " + "{" * 9_999])
def test_deep_values_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"nested too deeply|ends inside"):
        rebuild(text, "deep.cpp")


@examples(150)
@given(form=st.sampled_from(sorted(TEXT)), seed=st.integers(0, 1 << 32), edits=st.integers(1, 4))
def test_any_edit_gives_a_model_or_a_clear_error(form: str, seed: int, edits: int) -> None:
    chance = random.Random(seed)
    text = TEXT[form]
    words = [text[place : place + 12] for place in (chance.randrange(len(text)) for _ in range(4))]
    words += ["{", "}", "0", "-1", ",", "(", ")", "/*", "*/", "#if 1\n", "#endif\n", '"', "99999999999", "g0::", "&"]
    for _ in range(edits):
        # Behind the first lines, which are the same in all files and of which edits would mostly hit comments.
        start = chance.randrange(len(text))
        text = text[:start] + chance.choice([*words, ""]) + text[start + chance.choice([0, 1, 3, 30]) :]
    error = error_of(text)
    if error is not None:
        assert error.path == "edited.cpp"
        assert error.line is not None
        assert error.hint


def error_of(text: str) -> ConvertError | None:
    try:
        rebuild(text, "edited.cpp")
    except ConvertError as error:
        return error
    return None


@given(data=st.binary(max_size=300) | st.text("{}();=<>:&*[]#,0aé\n /\\\"'", max_size=300))
def test_anything_else_is_a_clear_error(data: bytes | str) -> None:
    with pytest.raises(InputError) as caught:
        rebuild(data, "any.cpp")
    assert caught.value.line is not None


@pytest.mark.parametrize(
    ("source", "result", "fits"),
    [
        ((1, 4), (1, 2), True),
        ((3, 4), (3, 2), True),
        ((1, 2, 2, 3), (3, 2), True),
        ((1, 4), (1, 3), False),
        ((1, 4), (2, 2), False),
        ((3, 4), (1, 2), False),
        ((1, 6), (1, 2), False),
    ],
)
def test_sizes_of_a_fully_connected_layer(source: tuple[int, ...], result: tuple[int, ...], fits: bool) -> None:
    """Two rows of four weights, no bias: as many results as rows, for every four numbers."""
    net = Network()
    weights = net.tensor((2, 4), "f4", None, np.ones((2, 4)))
    net.call(
        "FULLY_CONNECTED", [net.tensor(source, "f4"), weights, -1], [net.tensor(result, "f4")], table="FullyConnected"
    )
    error = error_of(write(net.model([1], [2]), FORMS["2020"]))
    assert (error is None) is fits
    assert error is None or "node 0 (FULLY_CONNECTED) do not fit together" in error.message


CONV = {"padding": 0, "strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}


@pytest.mark.parametrize(
    ("operator", "source", "weights", "bias", "result", "fits"),
    [
        ("FULLY_CONNECTED", (1, 4), (2, 4), (2,), (1, 2), True),
        ("FULLY_CONNECTED", (1, 4), (2, 4), (1, 2), (1, 2), True),
        ("FULLY_CONNECTED", (1, 4), (2, 4), (3,), (1, 2), False),
        ("FULLY_CONNECTED", (1, 4), (2, 2, 2), None, (1, 2), False),
        ("CONV_2D", (1, 4, 4, 6), (5, 3, 3, 6), (5,), (1, 4, 4, 5), True),
        ("CONV_2D", (1, 4, 4, 6), (5, 3, 3, 6), None, (1, 4, 4, 5), True),
        ("CONV_2D", (1, 4, 4, 6), (6, 3, 3, 3), (6,), (1, 4, 4, 6), True),  # two groups
        ("CONV_2D", (1, 4, 4, 6), (5, 3, 3, 4), (5,), (1, 4, 4, 5), False),
        ("CONV_2D", (1, 4, 4, 6), (5, 3, 3, 6), (6,), (1, 4, 4, 5), False),
        ("CONV_2D", (1, 4, 4, 6), (5, 3, 3, 6), (5,), (1, 4, 4, 6), False),
        ("CONV_2D", (1, 4, 4, 6), (5, 54), (5,), (1, 4, 4, 5), False),
        ("CONV_2D", (1, 4, 4, 6), (5, 3, 3, 1), (5,), (1, 4, 4, 5), True),  # six groups
        ("CONV_2D", (4, 4, 6), (5, 3, 3, 6), (5,), (1, 4, 4, 5), False),
        ("CONV_2D", (1, 4, 4, 6), (5, 3, 3, 6), (5,), (4, 4, 5), False),
        ("DEPTHWISE_CONV_2D", (1, 4, 4, 6), (1, 3, 3, 6), (6,), (1, 4, 4, 6), True),
        ("DEPTHWISE_CONV_2D", (1, 4, 4, 6), (1, 3, 3, 6), (1,), (1, 4, 4, 6), False),
        ("DEPTHWISE_CONV_2D", (1, 4, 4, 6), (1, 3, 3, 5), (5,), (1, 4, 4, 6), False),
        ("RESHAPE", (1, 4, 4, 6), None, None, (1, 96), True),
        ("RESHAPE", (1, 4, 4, 6), None, None, (1, 95), False),
        ("RELU", (1, 4), None, None, (4, 1), True),
    ],
)
def test_which_shapes_fit_together(
    operator: str, source: tuple[int, ...], weights: tuple[int, ...] | None, bias: tuple[int, ...] | None,
    result: tuple[int, ...], fits: bool,
) -> None:  # fmt: skip
    net = Network()
    inputs = [net.tensor(source, "f4")]
    inputs += [-1 if each is None else net.tensor(each, "f4", None, np.ones(each)) for each in (weights, bias)]
    tables = {"CONV_2D": "Conv2D", "DEPTHWISE_CONV_2D": "DepthwiseConv2D", "FULLY_CONNECTED": "FullyConnected"}
    options: dict[str, Any] = {"table": tables.get(operator, "Reshape")} if operator != "RELU" else {}
    options |= CONV if "CONV" in operator else {}
    options |= {"depthMultiplier": 1} if "DEPTH" in operator else {}
    outputs = [net.tensor(result, "f4")]
    net.call(operator, inputs if weights else inputs[:1], outputs, **options)
    error = error_of(write(net.model([0], outputs), FORMS["2020"]))
    assert (error is None) is fits
    assert error is None or "do not fit together" in error.message


def test_the_type_that_all_tensors_share_is_set_once() -> None:
    net = Network()
    net.call("RELU", [net.tensor((1, 4), "f4")], [net.tensor((1, 4), "f4")])
    text = write(net.model([0], [1]), FORMS["2023-04"])
    assert text.count("type = kTfLiteFloat32;") == 1
    assert error_of(text) is None
    for instead in ("", "type = kTfLiteFloat32; tensor->type = kTfLiteInt8;"):
        error = error_of(text.replace("type = kTfLiteFloat32;", instead))
        assert error is not None
        assert error.message == "tensor 0 has no type"


@pytest.mark.parametrize(
    ("operator", "options"),
    [
        ("RESHAPE", {"table": "Reshape", "newShape": [1, 5]}), ("SQUEEZE", {"table": "Squeeze", "squeezeDims": [0]}),
        ("SOFTMAX", {"table": "Softmax", "beta": 1.0}), ("EXPAND_DIMS", {}), ("LOGISTIC", {}), ("TANH", {}),
        ("RELU", {}), ("RELU6", {}), ("QUANTIZE", {}), ("DEQUANTIZE", {}),
    ],
)  # fmt: skip
def test_a_result_of_another_size_than_the_input(operator: str, options: dict[str, Any]) -> None:
    """The first tensor is the result."""
    for size in (4, 5):
        net = Network()
        end, source = (net.tensor((1, count), np.float32) for count in (size, 4))
        net.call(operator, [source], [end], **options)
        text = write(net.model([source], [end]), FORMS["2025-07"])
        if size == 4:
            model, found = rebuild(text, "m.cpp")
            assert (found.message, found.path) == ("rebuilt from C++: 1 operators, 2 tensors", "m.cpp")
            assert unpack(model).description == b"Rebuilt from EON-compiled C++."
            continue
        with pytest.raises(InputError) as caught:
            rebuild(text, "m.cpp")
        assert caught.value.message == f"the shapes of node 0 ({operator}) do not fit together: [1, 4] to [1, 5]"
