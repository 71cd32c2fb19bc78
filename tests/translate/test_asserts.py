"""Every way tf2onnx's result can be wrong has its own words."""

from __future__ import annotations

import onnx
import onnx.parser
import pytest

from convert.errors import TranslationError
from convert.translate.worker import assert_translated, fix_batch

RIGHT = """<ir_version: 7, opset_import: ["" : 13, "ai.onnx.ml" : 2]>
main (float[1,3,4,5] x) => (float[1,3,4,5] y) { y = Relu(x) }"""


def check(text: str, *, nhwc: tuple[int, ...] = (1, 4, 5, 3), outputs: int = 1, opset: int = 13) -> None:
    assert_translated(onnx.parser.parse_model(text), input_name="x", nhwc=nhwc, outputs=outputs, opset=opset)


def test_a_right_one_passes() -> None:
    check(RIGHT)


FAULT = "this is a fault of the translation, not of the model: please report it"
UNKNOWN = "there is no way to run these in Gst-nvinfer: retrain with other layers"
INVALID = "try another --opset"
NO_ONNX = "tf2onnx has no ONNX for these operators at opset 13: "


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("Relu(x)", "TFL_RELU(x)", f"{NO_ONNX}RELU (1x)", UNKNOWN),
        ("y = Relu(x)", "a = Mish(x) b = TFL_A(a) y = Mish(b)", f"{NO_ONNX}Mish (2x), A (1x)", UNKNOWN),
        ("Relu(x)", "ai.onnx.ml.Scaler(x)", f"{NO_ONNX}ai.onnx.ml.Scaler (1x)", UNKNOWN),
        ("Relu(x)", "Upsample<scales = [1.0]>(x)", f"{NO_ONNX}Upsample (1x)", UNKNOWN),
        ('"" : 13', '"" : 12', "tf2onnx made opset 12 where 13 was asked for", FAULT),
        ("[1,3,4,5] x", "[1,4,5,3] x", "the translated input is [1, 4, 5, 3] instead of NCHW [1, 3, 4, 5]", FAULT),
        ("[1,3,4,5] x", "[N,3,4,5] x", "the translated input is [None, 3, 4, 5] instead of NCHW [1, 3, 4, 5]", FAULT),
        ("(float[1,3,4,5] x)", "(float[1,3,4,5] z, float[1] x)", "the model's input is x, its translation has z, x",
         FAULT),
        ("(float[1,3,4,5] x)", "()", "the model's input is x, its translation has none", FAULT),
        ("float[1,3,4,5] x", "int8[1,3,4,5] x", "the translated input is int8, not float32", FAULT),
        ("Relu(x)", "Relu(z)", "tf2onnx made an invalid ONNX model: Node", INVALID),
        ("Relu(x)", "Relu(x, x)", "tf2onnx made an invalid ONNX model: Node", INVALID),
    ],
)  # fmt: skip
def test_wrong_ones_do_not(old: str, new: str, message: str, hint: str) -> None:
    assert old in RIGHT
    with pytest.raises(TranslationError) as caught:
        check(RIGHT.replace(old, new))
    told = caught.value.message
    assert (told[: len(message)] if hint is INVALID else told, caught.value.hint) == (message, hint)
    assert "\n" not in told


def test_the_input_of_features_is_as_it_was() -> None:
    model = onnx.parser.parse_model(RIGHT.replace("1,3,4,5", "1,7"))
    assert_translated(model, input_name="x", nhwc=(1, 7), outputs=1, opset=13, pictures=False)
    with pytest.raises(TranslationError) as caught:
        assert_translated(model, input_name="x", nhwc=(1, 8), outputs=1, opset=13, pictures=False)
    assert caught.value.message == "the translated input is [1, 7] instead of [1, 8]"


@pytest.mark.parametrize(
    ("operators", "opset", "hint"),
    [
        ("y = Cumsum(x)", 10, "opset 13 has them: leave out --opset"),
        ("y = Cumsum(x)", 12, "opset 13 has them: leave out --opset"),
        ("y = Cumsum(x)", 13, UNKNOWN),
        ("a = Cumsum(x) y = Another(a)", 10, UNKNOWN),
        # From opset 14 on there are few that an older TensorRT knows; the hint led from one opset to the next.
        ("y = HardSwish(x)", 12, UNKNOWN),
        ("y = HardSwish(x)", 13, UNKNOWN),
    ],
)
def test_operators_of_later_opsets_are_recommended_as_far_as_tensorrt_8_knows_them(
    operators: str, opset: int, hint: str
) -> None:
    with pytest.raises(TranslationError, match=f"at opset {opset}: ") as caught:
        check(RIGHT.replace("y = Relu(x)", operators).replace('"" : 13', f'"" : {opset}'), opset=opset)
    assert caught.value.hint == hint


def test_control_flow_is_refused() -> None:
    body = """c = Constant<value = bool {1}>() y = If(c) <then_branch = a () => (float[1,3,4,5] p) { p = Relu(x) },
      else_branch = b () => (float[1,3,4,5] q) { q = Neg(x) }>"""
    with pytest.raises(TranslationError) as caught:
        check(RIGHT.replace("y = Relu(x)", body))
    assert caught.value.message == "the model decides while it runs (If), which cannot be given a batch"
    assert caught.value.hint == "export it without loops and conditions"


def test_the_number_of_outputs() -> None:
    with pytest.raises(TranslationError, match=r"^the model has 4 outputs, its translation 1$") as caught:
        check(RIGHT, outputs=4)
    assert caught.value.hint == FAULT


def test_constants_may_stand_among_the_inputs() -> None:
    text = RIGHT.replace("(float[1,3,4,5] x)", "(float[1,3,4,5] x, float[5] w)").replace("Relu(x)", "Add(x, w)")
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [5], [1.0] * 5))
    assert_translated(model, input_name="x", nhwc=(1, 4, 5, 3), outputs=1, opset=13)


def test_an_open_batch_becomes_one() -> None:
    model = onnx.parser.parse_model(RIGHT.replace("[1,3,4,5] x", "[unk__3,3,4,5] x"))
    fix_batch(model, "x")
    assert_translated(model, input_name="x", nhwc=(1, 4, 5, 3), outputs=1, opset=13)


def test_nothing_but_an_open_batch_of_the_input_becomes_one() -> None:
    inputs = "(float[unk__3,3,4,5] x, float[N,3,4,5] z, float s, float[2,3,4,5] two)"
    model = onnx.parser.parse_model(RIGHT.replace("(float[1,3,4,5] x)", inputs))
    for name in ("s", "x", "two", "absent"):
        fix_batch(model, name)
    batches = [[dim.dim_value for dim in each.type.tensor_type.shape.dim][:1] for each in model.graph.input]
    assert batches == [[1], [0], [], [2]]
