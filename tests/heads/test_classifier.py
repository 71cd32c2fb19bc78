"""The classifier's output is one row of scores, and each score has its label."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from convert.errors import InputError, TranslationError, UnsupportedModelError
from convert.graph.cleanup import clean
from convert.heads.base import GENERIC_LABELS, Options, Rules
from convert.heads.classifier import CLASSIFIER, NOT_PROBABILITIES, ONE_SIGMOID
from convert.types import ROUNDED, Export, Metadata, ModelFacts, Tensor
from tests.graph.proof import model, onnxruntime, operators

FACTS = ModelFacts(Tensor("x", (1, 4, 5, 3), "float32"), (), (), "float32", "classifier")
SOFTMAX = "a = GlobalAveragePool(x) b = Flatten(a) y = Softmax(b)"


def export(labels: tuple[str, ...] | None = ("a", "b", "c")) -> Export:
    return Export(b"", "m", "F3", "m", "", Metadata(labels=labels), FACTS)


def fit(body: str, target: str, labels: tuple[str, ...] | None = ("a", "b", "c")) -> Any:
    return CLASSIFIER.adapt(clean(model(body, target=target)), export(labels), Options())


def test_a_plain_one() -> None:
    fitted = fit(SOFTMAX, "1,3")
    assert fitted.head.labels == ("a", "b", "c")
    assert fitted.head.task == "classifier"
    assert fitted.outputs == ("scores",)
    assert not fitted.findings
    assert operators(fitted.model) == ["GlobalAveragePool", "Flatten", "Softmax"]


@pytest.mark.parametrize(
    ("body", "target"),
    [
        ("a = GlobalAveragePool(x) y = Sigmoid(a)", "1,3,1,1"),
        ("a = GlobalAveragePool(x) b = Sigmoid(a) y = Transpose<perm = [0,2,3,1]>(b)", "1,1,1,3"),
        ("a = GlobalAveragePool(x) b = Sigmoid(a) s = Constant<value = int64[1] {3}>() y = Reshape(b, s)", "3"),
        ("a = GlobalAveragePool(x) b = Sigmoid(a) s = Constant<value = int64[3] {1,1,3}>() y = Reshape(b, s)", "1,1,3"),
    ],
)
def test_other_shapes_become_a_row(body: str, target: str) -> None:
    fitted = fit(body, target)
    assert not fitted.findings
    dims = fitted.model.graph.output[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [1, 3]
    assert operators(fitted.model)[-1] == "Reshape"


_ENDS = (
    "Cast<to = 1>(b)", "Clip(b)", "Concat<axis = 1>(b)", "Flatten(b)", "Identity(b)", "Squeeze(b)", "Transpose(b)",
    "DequantizeLinear(q, s, z) ", "Unsqueeze(b, one)", "Slice(b, zero, four)", "Reshape(b, all)",
)  # fmt: skip
_NUMBERS = (
    "one = Constant<value = int64[1] {1}>() zero = Constant<value = int64[1] {0}>() "
    "four = Constant<value = int64[1] {4}>() all = Constant<value = int64[2] {1, 3}>() "
)


@pytest.mark.parametrize("end", _ENDS)
def test_what_stands_behind_the_softmax_keeps_probabilities(end: str) -> None:
    codes = "s = Constant<value = float {0.5}>() z = Constant<value = int8 {0}>() q = QuantizeLinear(b, s, z) "
    start = f"a = GlobalAveragePool(x) c = Flatten(a) b = Softmax(c) {_NUMBERS}{codes if '(q' in end else ''}"
    targets = {"Transpose(b)": "3,1", "Squeeze(b)": "3", "Unsqueeze(b, one)": "1,1,3"}
    assert not fit(f"{start}y = {end}", targets.get(end, "1,3")).findings


@pytest.mark.parametrize(
    ("last", "stepped", "quiet"),
    [("Min(e, step)", True, True), ("Min(e, step)", False, False), ("Min(e, b)", True, False)],
)
def test_rounding_to_an_originals_codes_keeps_probabilities(last: str, *, stepped: bool, quiet: bool) -> None:
    start = "a = GlobalAveragePool(x) c = Flatten(a) b = Softmax(c) step = Constant<value = float {0.5}>()"
    body = f"{start} d = Mul(b, step) f = Add(d, step) g = Floor(f) e = Max(g, step) y = {last}"
    given = replace(export(), model=ROUNDED.encode() if stepped else b"")
    fitted = CLASSIFIER.adapt(clean(model(body, target="1,3")), given, Options())
    assert [finding.id for finding in fitted.findings] == ([] if quiet else [NOT_PROBABILITIES.id])


def test_the_values_stay() -> None:
    before = model("a = GlobalAveragePool(x) y = Sigmoid(a)", target="1,3,1,1")
    values = np.random.default_rng(0).random((1, 3, 4, 5), np.float32)
    (wanted,) = onnxruntime(before.SerializeToString(), values)
    (found,) = onnxruntime(CLASSIFIER.adapt(before, export(), Options()).model.SerializeToString(), values)
    assert found.shape == (1, 3)
    assert found.tobytes() == wanted.tobytes()


def test_no_labels() -> None:
    fitted = fit(SOFTMAX, "1,3", None)
    assert fitted.head.labels == ("class0", "class1", "class2")
    (finding,) = fitted.findings
    assert finding.id == GENERIC_LABELS.id
    assert "--labels" in str(finding.hint)


@pytest.mark.parametrize("labels", [("a", "b"), ("a", "b", "c", "d"), ()])
def test_another_number_of_labels(labels: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=rf"^.+ has {len(labels)} labels .*the model has 3 outputs$") as caught:
        fit(SOFTMAX, "1,3", labels)
    assert caught.value.hint == "give the labels of this model, in the order of training, with --labels"


def test_one_sigmoid_tells_two_labels_apart() -> None:
    body = "m = ReduceMax<axes = [1, 2, 3], keepdims = 0>(x) y = Sigmoid(m)"
    before = model(body, target="1")
    picture = np.random.default_rng(0).normal(size=(1, 3, 4, 5)).astype(np.float32)
    (second,) = onnxruntime(before.SerializeToString(), picture)
    fitted = fit(body, "1", ("no", "yes"))
    assert fitted.head.labels == ("no", "yes")
    (finding,) = fitted.findings
    assert finding.id == ONE_SIGMOID.id
    assert finding.message == "the model gives one number p: no gets 1 - p, yes gets p"
    (found,) = onnxruntime(fitted.model.SerializeToString(), picture)
    np.testing.assert_allclose(found, [[1 - second[0], second[0]]], atol=1e-6)
    (twice,) = CLASSIFIER.as_graph([second.reshape(1, 1)])
    np.testing.assert_allclose(found, twice, atol=1e-6)


@pytest.mark.parametrize("labels", [("no", "maybe", "yes"), ("yes",), None])
def test_a_single_number_is_explained(labels: tuple[str, ...] | None) -> None:
    body = "a = Sigmoid(x) y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(a)"
    with pytest.raises(UnsupportedModelError, match=r"^the model gives a single number") as caught:
        fit(body, "1", labels)
    named = " for the labels no, maybe, yes" if len(labels or ()) == 3 else ""
    assert caught.value.message == (
        f"the model gives a single number{named}: Gst-nvinfer's classifier picks the largest of several outputs"
    )
    assert str(caught.value.hint).startswith("if it is a sigmoid's, name what stands for 0")
    assert "else export it with one output for each class and a softmax" in str(caught.value.hint)


def test_a_grid_is_no_classifier() -> None:
    with pytest.raises(
        UnsupportedModelError, match=r"^a classifier gives one row of scores, this model \[1, 3, 4, 5\]"
    ) as caught:
        fit("y = Sigmoid(x)", "1,3,4,5")
    assert caught.value.hint == "give the real --task"


def test_two_outputs_are_no_classifier() -> None:
    parts = model(SOFTMAX, target="1,3")
    parts.graph.output.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [1, 3]))
    with pytest.raises(UnsupportedModelError) as caught:
        CLASSIFIER.adapt(parts, export(), Options())
    assert (caught.value.message, caught.value.hint) == (
        "a classifier has one output, this model has 2", "give the real --task, or another model"
    )  # fmt: skip


def test_other_scores_than_labels_in_a_bundle() -> None:
    with pytest.raises(InputError, match=r"^the model has 3 scores and the bundle 2 labels$") as caught:
        CLASSIFIER.decode_shipped({"scores": np.zeros((1, 3), np.float32)}, Rules(("a", "b"), 0.5, (4, 5)))
    assert caught.value.hint == "convert again"


def test_a_size_that_is_not_known() -> None:
    with pytest.raises(
        TranslationError, match=r"^how large the model's output is cannot be told before it runs$"
    ) as caught:
        fit("n = NonZero(x) f = Cast<to = 1>(n) y = Softmax(f)", "4,K")
    assert caught.value.hint == "Gst-nvinfer needs outputs of a fixed size"


@pytest.mark.parametrize(
    ("end", "quiet"),
    [
        ("y = Softmax(b)", True),
        ("y = Sigmoid(b)", True),
        ("y = HardSigmoid(b)", True),
        ("c = Softmax(b) y = Identity(c)", True),
        ("p, q = Split<axis = 1>(b) r = Sigmoid(p) s = Softmax(q) y = Concat<axis = 1>(s, r)", True),
        ("p, q = Split<axis = 1>(b) r = Sigmoid(p) y = Concat<axis = 1>(q, r)", False),
        ("p, q = Split<axis = 1>(b) r = Sigmoid(p) y = Concat<axis = 1>(r, q)", False),
        ("y = LogSoftmax(b)", False),
        ("y = Relu(b)", False),
        ("c = Softmax(b) y = Mul(c, c)", False),
    ],
)
def test_what_looks_like_probabilities(end: str, *, quiet: bool) -> None:
    start = "i = Constant<value = int64[4] {0,1,2,0}>() a = GlobalAveragePool(x) f = Flatten(a)"
    fitted = fit(f"{start} b = Gather<axis = 1>(f, i) {end}", "1,4", ("a", "b", "c", "d"))
    doubt = (
        NOT_PROBABILITIES.id, "the model ends in neither Softmax nor sigmoid: thresholds compare raw values",
        "set classifier-threshold in the config to a value of this model's range",
    )  # fmt: skip
    assert [(each.id, each.message, each.hint) for each in fitted.findings] == ([] if quiet else [doubt])
