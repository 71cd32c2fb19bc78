"""Exports that are ONNX already: any layout and batch comes out as a translation does, or is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from convert.errors import ConvertError, InputError, TranslationError, UnsupportedModelError
from convert.export.facts import onnx_facts
from convert.graph.adapt import Adapt
from convert.heads import refuse_unsupported
from convert.isolation import Worker
from convert.translate import Translate
from convert.translate.worker import accept
from convert.types import Export, Metadata, ModelFormat, Tensor, Translated
from tests.examples import examples
from tests.graph.proof import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable

OPSETS = (7, 18)
NHWC, NCHW = (1, 6, 8, 3), (1, 3, 6, 8)


def classifier(shape: tuple[int | str, ...] = NHWC, *, opset: int = 12, domain: str = "", kind: int = 1) -> bytes:
    """As a TensorRT deployment has it: input `x`, output `output_0`; the batch may be open."""
    random = np.random.default_rng(3)
    weights = random.normal(0, 0.3, (3 * 6 * 8, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["a"]),
        helper.make_node("MatMul", ["a", "w"], ["b"], domain=domain),
        helper.make_node("Softmax", ["b"], ["output_0"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("output_0", TensorProto.FLOAT, [shape[0], 4])],
        [
            onnx.numpy_helper.from_array(np.array([-1, 144], np.int64), "flat"),
            onnx.numpy_helper.from_array(weights, "w"),
        ],
    )
    domains = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return bytes(helper.make_model(graph, opset_imports=domains, ir_version=8).SerializeToString())


def export(model: bytes, **facts: Any) -> Export:
    about = replace(onnx_facts(model)[0], **facts)
    metadata = Metadata(labels=("a", "b", "c", "d"))
    return Export(model, "model", "O", "onnx-trained.h", "", metadata, about, ModelFormat.ONNX)


@pytest.mark.parametrize("shape", [NHWC, NCHW, ("batch", *NHWC[1:]), ("N", *NCHW[1:])])
def test_every_layout_computes_the_same(shape: tuple[Any, ...], worker: Worker) -> None:
    model = classifier(shape)
    pictures = np.random.default_rng(1).random((4, 6, 8, 3), np.float32)
    nchw = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    wanted = np.concatenate(
        [onnxruntime(model, (pictures if shape[1:] == NHWC[1:] else nchw)[n : n + 1])[0] for n in range(4)]
    )
    translated = Translate(worker=worker, opset=17)(export(model), Path()).artifact
    assert isinstance(translated, Translated)
    assert translated.onnx.input == Tensor("x", NCHW, "float32")
    assert translated.onnx.opset == 12, "it keeps its own"
    adapted = Adapt()(translated, Path()).artifact
    for size in (1, 2, 4):
        (scores,) = onnxruntime(adapted.onnx.data, nchw[:size])
        np.testing.assert_allclose(scores, wanted[:size], rtol=0, atol=1e-6)


def test_of_a_large_model_no_file_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.translate.LARGE", 0)
    monkeypatch.setattr("convert.isolation.LARGE", 0)
    with Worker() as child:
        result = Translate(worker=child)(export(classifier(NCHW)), tmp_path).artifact
    assert isinstance(result, Translated)
    assert result.onnx.input.shape == NCHW
    assert not isinstance(result.onnx.stored, bytes), "it is kept in a file of its own"
    result.onnx.stored.close()
    assert not list(tmp_path.iterdir())


def test_a_newer_opset_is_brought_to_one_that_is_known() -> None:
    result = accept(classifier(NCHW, opset=20), NHWC, 1, OPSETS)
    assert result.opset == 18
    values = np.random.default_rng(1).random(NCHW, np.float32)
    np.testing.assert_allclose(
        onnxruntime(result.data, values)[0], onnxruntime(classifier(NCHW, opset=20), values)[0], rtol=0, atol=1e-7
    )


@pytest.mark.parametrize(
    ("opset", "pictures", "becomes"), [(7, True, 7), (18, True, 18), (18, False, 18), (17, False, 18), (12, True, 12)]
)
def test_an_opset_that_is_known_stays(opset: int, pictures: bool, becomes: int) -> None:
    """Signal processing is put before a network of features, in the newest opset."""
    found = accept(classifier(NCHW, opset=opset), NHWC if pictures else NCHW, 1, OPSETS, pictures)
    assert found.opset == becomes


def changed(change: Callable[[onnx.ModelProto], object], **options: Any) -> bytes:
    """`classifier`, changed."""
    model = onnx.load_model_from_string(classifier(**options))
    change(model)
    return bytes(model.SerializeToString())


def _foreign(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.domain = "own"


def _newer(model: onnx.ModelProto) -> None:
    """With an operator that no older opset has."""
    model.graph.node[2].CopyFrom(helper.make_node("Gelu", ["b"], ["output_0"]))


DAMAGED = "the file is damaged: export the model again"
ELSEWHERE = "export it with standard operators only, or give the TensorFlow Lite model"


@pytest.mark.parametrize(
    ("model", "message", "hint"),
    [
        (classifier(NCHW, opset=6), "the ONNX model has opset 6$", "export it with opset 7 to 18"),
        (classifier(domain="com.microsoft"),
         r"the ONNX model holds operators that only its own runtime knows: com\.microsoft\.MatMul$", ELSEWHERE),
        (changed(_foreign, domain="own"),
         r"the ONNX model .* knows: own\.MatMul, own\.Reshape, own\.Softmax$", ELSEWHERE),
        (changed(lambda model: setattr(model.graph.node[1], "op_type", "Magic")), "the ONNX model is invalid: .*Magic",
         DAMAGED),
        (changed(lambda model: model.ClearField("opset_import")), "the ONNX model does not say its opset$", DAMAGED),
        (changed(_newer, opset=20), "the ONNX model has opset 20, which cannot be brought to 18: .*Gelu",
         "export it with opset 18, or better 13"),
    ],
    ids=["opset 6", "foreign", "several foreign", "unknown", "no opset", "newer"],
)  # fmt: skip
def test_what_cannot_be_brought_into_this_form(model: bytes, message: str, hint: str) -> None:
    with pytest.raises(TranslationError, match=f"^{message}") as caught:
        accept(model, NHWC, 1, OPSETS)
    assert caught.value.hint == hint
    assert "\n" not in caught.value.message


def test_a_damaged_file() -> None:
    with pytest.raises(InputError, match=r"^the ONNX model is damaged$") as caught:
        accept(b"\xff" * 9, NHWC, 1, OPSETS)
    assert caught.value.hint == "export it again"


@pytest.mark.parametrize("shape", [("N", *NHWC[1:]), ("N", *NCHW[1:])])
def test_constants_among_the_inputs_and_declared_shapes(shape: tuple[Any, ...]) -> None:
    """Old exports list constants as inputs, too; a declared shape may hold the open batch."""

    def declare(model: onnx.ModelProto) -> None:
        model.graph.input.insert(0, helper.make_tensor_value_info("w", TensorProto.FLOAT, [144, 4]))
        model.graph.value_info.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, ["N", 4]))

    result = accept(changed(declare, shape=shape), NHWC, 1, OPSETS)
    assert result.input == Tensor("x", NCHW, "float32")
    model = onnx.load_model_from_string(result.data)
    assert not model.graph.value_info
    turned = shape[1:] == NHWC[1:]
    assert [node.op_type for node in model.graph.node] == [*["Transpose"] * turned, "Reshape", "MatMul", "Softmax"]
    assert list(model.graph.node[1 if turned else 0].input) == ["x__nhwc" if turned else "x", "flat"]


@examples(40)
@given(st.data())
def test_a_damaged_model_is_taken_or_refused(data: st.DataObject) -> None:
    """Structure only: the weights' bytes may be anything."""
    model = onnx.load_model_from_string(classifier())
    node = model.graph.node[data.draw(st.integers(0, 2))]
    match data.draw(st.integers(0, 4)):
        case 0:
            node.input[0] = data.draw(st.sampled_from(["", "a", "b", "nowhere"]))
        case 1:
            node.output[0] = data.draw(st.sampled_from(["a", "b", "x", ""]))
        case 2:
            node.op_type = data.draw(st.sampled_from(["Loop", "If", "Add", "Conv", ""]))
        case 3:
            del model.opset_import[:]
        case _:
            model.graph.output[0].name = "nowhere"
    try:
        accept(model.SerializeToString(), NHWC, 1, OPSETS)
    except ConvertError as error:
        assert error.hint  # noqa: PT017 - both ways are right


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"quantization": "float16"}, "a float16 model"),
        ({"quantization": "int8"}, "an int8 model"),
        ({"quantization": "uint8"}, "a uint8 model"),
        ({"outputs": (Tensor("y", (1, 4), "int64"),)}, "it gives int64"),
        ({"input": Tensor("x", (1, None, 8, 3), "float32")}, "its input has no fixed size"),
        ({"task": "yolov7"}, "a YOLOv7 object detector"),
    ],
)
def test_what_is_refused(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message) as caught:
        refuse_unsupported(export(classifier(), **facts))
    assert "--dequantize" not in str(caught.value.hint), "that is for flatbuffers"


def test_operators_are_not_taken_for_custom_ones() -> None:
    about = export(classifier())
    assert "MatMul" in about.facts.operators
    refuse_unsupported(about)
