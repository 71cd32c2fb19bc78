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


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Relu(x)", "TFL_RELU(x)", r"no ONNX .* at opset 13: RELU \(1x\)"),
        ("Relu(x)", "Mish(x)", r"Mish"),
        ("Relu(x)", "ai.onnx.ml.Scaler(x)", r"ai\.onnx\.ml\.Scaler"),
        ("Relu(x)", "Upsample<scales = [1.0]>(x)", r"Upsample"),
        ('"" : 13', '"" : 12', "made opset 12 where 13 was asked for"),
        ("[1,3,4,5] x", "[1,4,5,3] x", r"\[1, 4, 5, 3\] instead of NCHW \[1, 3, 4, 5\]"),
        ("[1,3,4,5] x", "[N,3,4,5] x", r"instead of NCHW"),
        ("(float[1,3,4,5] x)", "(float[1,3,4,5] z, float[1] x)", "its translation has z, x"),
        ("float[1,3,4,5] x", "int8[1,3,4,5] x", "is int8, not float32"),
        ("Relu(x)", "Relu(z)", "invalid ONNX model"),
        ("Relu(x)", "Relu(x, x)", "invalid ONNX model"),
    ],
)
def test_wrong_ones_do_not(old: str, new: str, message: str) -> None:
    assert old in RIGHT
    with pytest.raises(TranslationError, match=message) as caught:
        check(RIGHT.replace(old, new))
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_operators_of_later_opsets_are_recommended() -> None:
    with pytest.raises(TranslationError) as caught:
        check(RIGHT.replace('"" : 13', '"" : 10').replace("Relu", "Round"), opset=10)
    assert caught.value.hint == "opset 11 has them: --opset 11"


def test_operators_that_no_usual_tensorrt_reads_are_not() -> None:
    with pytest.raises(TranslationError) as caught:
        check(RIGHT.replace("Relu", "HardSwish"))
    assert caught.value.hint == "there is no way to run these in Gst-nvinfer: retrain with other layers"


def test_control_flow_is_refused() -> None:
    body = """c = Constant<value = bool {1}>() y = If(c) <then_branch = a () => (float[1,3,4,5] p) { p = Relu(x) },
      else_branch = b () => (float[1,3,4,5] q) { q = Neg(x) }>"""
    with pytest.raises(TranslationError, match=r"decides while it runs \(If\)"):
        check(RIGHT.replace("y = Relu(x)", body))


def test_the_number_of_outputs() -> None:
    with pytest.raises(TranslationError, match="has 4 outputs, its translation 1"):
        check(RIGHT, outputs=4)


def test_constants_may_stand_among_the_inputs() -> None:
    text = RIGHT.replace("(float[1,3,4,5] x)", "(float[1,3,4,5] x, float[5] w)").replace("Relu(x)", "Add(x, w)")
    model = onnx.parser.parse_model(text)
    model.graph.initializer.append(onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [5], [1.0] * 5))
    assert_translated(model, input_name="x", nhwc=(1, 4, 5, 3), outputs=1, opset=13)


def test_an_open_batch_becomes_one() -> None:
    model = onnx.parser.parse_model(RIGHT.replace("[1,3,4,5] x", "[unk__3,3,4,5] x"))
    fix_batch(model, "x")
    assert_translated(model, input_name="x", nhwc=(1, 4, 5, 3), outputs=1, opset=13)
