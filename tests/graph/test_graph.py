"""Types as shapes, and nodes that the graph editor writes by the model's opset."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, TypeProto, helper

from convert.errors import InputError, TranslationError
from convert.graph.batch import dynamic_batch
from convert.graph.cleanup import clean, remove_transposes
from convert.graph.graph import (
    PICTURES_FIRST,
    POINTWISE,
    REDUCTIONS,
    GraphEditor,
    attribute,
    hint_at,
    infer,
    load_model,
    shape_of,
    signature,
)
from convert.types import Tensor
from tests.graph.proof import model, onnxruntime, operators


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (helper.make_tensor_type_proto(TensorProto.FLOAT, ["N", 3, None]), (None, 3, None)),
        (helper.make_tensor_type_proto(TensorProto.FLOAT, ()), ()),
        (helper.make_tensor_type_proto(TensorProto.FLOAT, None), None),
        (helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, (1,))), None),
        (TypeProto(), None),
    ],
)
def test_shapes_that_are_known(kind: TypeProto, shape: tuple[int | None, ...] | None) -> None:
    assert shape_of(kind) == shape


@pytest.mark.parametrize("opset", [9, 10, 13])
def test_a_part_is_taken_at_every_opset(opset: int) -> None:
    graph = "n (float[1,4,5,6] x) => (float[1,2,5,3] y) { y = Identity (x) }"
    model = onnx.parser.parse_model(f'<ir_version: 4, opset_import: ["": {opset}]> {graph}')
    editor = GraphEditor(model)
    editor.remove(editor.producers["y"])
    part = editor.sliced("x", [1, 2], [3, 5], [1, 3])
    editor.add("Identity", [part], "y")
    editor.store()
    onnx.checker.check_model(model, full_check=True)
    values = np.arange(120, dtype=np.float32).reshape(1, 4, 5, 6)
    (found,) = onnxruntime(model.SerializeToString(), values)
    np.testing.assert_array_equal(found, values[:, 1:3, :, 2:5])


@pytest.mark.parametrize(("body", "kind"), [("y = Add(x, c)", "Add"), ("y = Nonsense(x)", "Nonsense")])
def test_what_does_not_fit_together_is_named(body: str, kind: str) -> None:
    text = "g (float[1,3] x) => (float[1,3] y) <float[2] c = {1, 2}> "
    graph = onnx.parser.parse_model(f'<ir_version: 7, opset_import: ["": 13]> {text} {{ {body} }}')
    with pytest.raises(TranslationError) as caught:
        infer(GraphEditor(graph))
    words = f"the translation does not fit together at a {kind} node: "
    assert caught.value.message.startswith(words)
    assert len(caught.value.message) > len(words)
    assert "\n" not in caught.value.message
    assert caught.value.hint == "this is a fault of the translation, not of the model: please report it"


def test_an_opset_that_lacks_too_much_is_the_hint() -> None:
    old = "an opset below 11 lacks too much: leave out --opset, or export the ONNX model with opset 13"
    assert [hint_at(opset, "another") for opset in (7, 10, 11, 13)] == [old, old, "another", "another"]


def test_a_damaged_model() -> None:
    with pytest.raises(InputError) as caught:
        load_model(b"\xff" * 9)
    assert (caught.value.message, caught.value.hint) == ("the ONNX model is damaged", "export it again")


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(TensorProto.FLOAT, "float32"), (TensorProto.INT64, "int64"), (TensorProto.UNDEFINED, "unknown")],
)
def test_signatures(kind: int, dtype: str) -> None:
    assert signature(helper.make_tensor_value_info("x", kind, ["N", 3])) == Tensor("x", (None, 3), dtype)


_ONE_INPUT = (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Elu", "Erf"),
    *("Exp", "Floor", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Round"),
    *("Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh"),
    "ThresholdedRelu",
)
_OF_TWO = ("Add", "Div", "Max", "Mean", "Min", "Mul", "PRelu", "Pow", "Sub", "Sum")
_COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
_VALUE_BY_VALUE = {
    **{kind: f"{kind}(SOURCE)" for kind in _ONE_INPUT},
    **{kind: f"{kind}(SOURCE, SOURCE)" for kind in _OF_TWO},
    **{kind: f"Cast<to = 1>(b) b = {kind}(SOURCE, SOURCE)" for kind in _COMPARISONS},
    **{kind: f"Cast<to = 1>(b) b = {kind}(SOURCE)" for kind in ("IsInf", "IsNaN")},
    **{kind: f"Cast<to = 1>(c) c = {kind}(b, b) b = Cast<to = 9>(SOURCE)" for kind in ("And", "Or", "Xor")},
    "BitShift": 'Cast<to = 1>(c) c = BitShift<direction = "LEFT">(b, b) b = Cast<to = 12>(SOURCE)',
    "Cast": "Cast<to = 1>(SOURCE)",
    "Identity": "Identity(SOURCE)",
    "Mod": "Mod<fmod = 1>(SOURCE, SOURCE)",
    "Not": "Cast<to = 1>(c) c = Not(b) b = Cast<to = 9>(SOURCE)",
    "Where": "Where(b, SOURCE, SOURCE) b = Constant<value = bool[1] {1}>()",
}  # of each what the result is; nodes that make its inputs stand behind it


def _written(operator: str, source: str, target: str) -> str:
    """Nodes that make `target` of `source` by `operator`, in their order."""
    result, *before = re.split(r" (?=[a-z] = )", _VALUE_BY_VALUE[operator].replace("SOURCE", source))
    return " ".join([*reversed(before), f"{target} = {result}"])


def test_every_operator_is_in_these_tables() -> None:
    assert set(_VALUE_BY_VALUE) == POINTWISE
    assert {re.split("[<(]", each, maxsplit=1)[0] for each in _OF_PICTURES} == PICTURES_FIRST


@pytest.mark.parametrize("operator", _VALUE_BY_VALUE)
def test_value_by_value_neither_a_batch_nor_the_order_of_axes_matters(operator: str) -> None:
    plain = clean(model(_written(operator, "x", "y"), target="1,3,4,5", opset=18))
    kinds = operators(plain)
    assert operator in kinds
    assert operators(dynamic_batch(plain)) == kinds
    if operator != "Identity":
        body = f"a = Transpose<perm = [0,2,3,1]>(x) {_written(operator, 'a', 'd')} y = Transpose<perm = [0,3,1,2]>(d)"
        assert operators(remove_transposes(clean(model(body, target="1,3,4,5", opset=18)))) == kinds


_OF_PICTURES = {
    "AveragePool<kernel_shape = [1, 1]>(x)": "1,3,4,5",
    "BatchNormalization(x, v, v, v, v)": "1,3,4,5",
    "Conv(x, w)": "1,3,4,5",
    "ConvTranspose(x, w)": "1,3,4,5",
    "DepthToSpace<blocksize = 1>(x)": "1,3,4,5",
    "GlobalAveragePool(x)": "1,3,1,1",
    "GlobalLpPool(x)": "1,3,1,1",
    "GlobalMaxPool(x)": "1,3,1,1",
    "InstanceNormalization(x, v, v)": "1,3,4,5",
    "LRN<size = 3>(x)": "1,3,4,5",
    "LpPool<kernel_shape = [1, 1]>(x)": "1,3,4,5",
    "MaxPool<kernel_shape = [1, 1]>(x)": "1,3,4,5",
    "SpaceToDepth<blocksize = 1>(x)": "1,3,4,5",
    "Upsample(x, f)": "1,3,4,5",
}


@pytest.mark.parametrize("written", _OF_PICTURES)
def test_picture_by_picture_a_batch_changes_nothing(written: str) -> None:
    constants = {
        "v": "v = Constant<value = float[3] {1, 2, 3}>()",
        "w": "w = Constant<value = float[3,3,1,1] {1, 2, 3, 4, 5, 6, 7, 8, 9}>()",
        "f": "f = Constant<value = float[4] {1, 1, 1, 1}>()",
    }
    used = [each for name, each in constants.items() if f", {name}" in written]
    opset = 9 if written.startswith("Upsample") else 18
    plain = clean(model(f"{' '.join(used)} y = {written}", target=_OF_PICTURES[written], opset=opset))
    (kind,) = operators(plain)
    assert written.startswith(kind)
    assert operators(dynamic_batch(plain)) == [kind]


@pytest.mark.parametrize("operator", sorted(REDUCTIONS))
def test_reductions_of_a_batch_and_of_turned_axes(operator: str) -> None:
    """Over `axes`, an attribute here; over channels behind a Transpose they are those before it."""
    plain = model(f"y = {operator}<axes = [1, 3]>(x)", target="1,1,4,1", opset=11)
    assert operators(dynamic_batch(plain)) == [operator]
    body = f"a = Transpose<perm = [0,2,3,1]>(x) y = {operator}<axes = [3], keepdims = 0>(a)"
    turned = remove_transposes(model(body, target="1,4,5", opset=11))
    assert [(node.op_type, attribute(node, "axes")) for node in turned.graph.node] == [(operator, [1])]
