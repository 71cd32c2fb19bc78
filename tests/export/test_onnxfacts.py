"""What an ONNX export is, by its declarations: the facts its flatbuffer would have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from convert.errors import ConvertError, InputError, UnsupportedModelError
from convert.export.facts import onnx_facts
from convert.export.unpack import Unpack, write
from convert.types import Export, ModelFormat
from samples.layouts import header
from tests.examples import examples
from tests.export import tiny

if TYPE_CHECKING:
    from pathlib import Path

Shape = tuple[Any, ...]


def model(
    source: Shape,
    *targets: Shape,
    operators: tuple[str, ...] = ("Softmax",),
    kind: int = TensorProto.FLOAT,
    inputs: int = 1,
) -> bytes:
    """Declares these shapes; what it computes is never looked at."""
    graph = helper.make_graph(
        [helper.make_node(operator, ["x0"], [f"n{number}"]) for number, operator in enumerate(operators)],
        "main",
        [
            *(helper.make_tensor_value_info(f"x{number}", kind, source) for number in range(inputs)),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info(f"y{number}", TensorProto.FLOAT, shape) for number, shape in enumerate(targets)],
        [numpy_helper.from_array(np.ones(1, np.float32), "w")],
    )
    return bytes(helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize(
    ("source", "target", "task", "seen"),
    [
        ((1, 96, 96, 3), (1, 4), "classifier", (1, 4)),
        ((1, 3, 96, 64), (1, 4), "classifier", (1, 4)),
        ((1, 1, 96, 96), (1, 4, 1, 1), "classifier", (1, 1, 1, 4)),
        (("batch", 3, 96, 64), ("batch", 4), "classifier", (1, 4)),
        ((1, 96, 64, 1), (1, 12, 8, 3), "fomo", (1, 12, 8, 3)),
        ((1, 1, 51, 1), (1, 5), "not-image", (1, 5)),
        ((1, 3, 1, 51), (1, 5), "not-image", (1, 5)),
        ((1, 3, 96, 64), (1, 12, 8, 3), "fomo", (1, 12, 8, 3)),
        ((1, 3, 96, 64), (1, 3, 12, 8), "fomo", (1, 12, 8, 3)),
        ((1, 3, 160, 160), (1, 1575, 7), "yolov5", (1, 1575, 7)),
        ((1, 3, 160, 160), (1, 525, 7), "yolox", (1, 525, 7)),
        ((1, 3, 160, 160), (1, 7, 525), "yolov11", (1, 7, 525)),
        ((1, 3, 160, 160), (1, "boxes", 7), "unknown", (1, None, 7)),
        ((1, 33), (1, 4), "not-image", (1, 4)),
        ((1, 8, 96, 96), (1, 4), "unknown", (1, 4)),
    ],
)
def test_what_it_is(source: Shape, target: Shape, task: str, seen: Shape) -> None:
    facts, tasks = onnx_facts(model(source, target))
    assert facts.task == tasks[0] == task
    assert facts.outputs[0].shape == seen
    if task not in {"not-image", "unknown"}:
        assert facts.input.shape[0] == 1
        assert facts.input.shape[3] in {1, 3}
        assert facts.quantization == "float32"


def test_several_outputs_are_nothing_known() -> None:
    assert onnx_facts(model((1, 3, 96, 96), (1, 4), (1, 5)))[0].task == "unknown"


@pytest.mark.parametrize(
    ("kind", "operators", "quantization"),
    [
        (TensorProto.FLOAT16, ("Softmax",), "float16"),
        (TensorProto.UINT8, ("Softmax",), "uint8"),
        (TensorProto.FLOAT, ("Softmax", "QuantizeLinear"), "int8"),
        *(
            (TensorProto.FLOAT, ("Softmax", name), "int8")
            for name in (
                "QLinearConv",
                "QLinearMatMul",
                "ConvInteger",
                "MatMulInteger",
                "DequantizeLinear",
                "DynamicQuantizeLinear",
            )
        ),
    ],
)
def test_number_formats(kind: int, operators: tuple[str, ...], quantization: str) -> None:
    assert onnx_facts(model((1, 3, 96, 96), (1, 4), kind=kind, operators=operators))[0].quantization == quantization


def test_several_inputs() -> None:
    with pytest.raises(UnsupportedModelError, match=r"^the model has 2 inputs$"):
        onnx_facts(model((1, 3, 96, 96), (1, 4), inputs=2))


def test_weights_in_another_file() -> None:
    proto = onnx.load_model_from_string(model((1, 3, 96, 96), (1, 4)))
    onnx.external_data_helper.set_external_data(proto.graph.initializer[0], "weights.bin")
    with pytest.raises(UnsupportedModelError, match=r"^the model's weights lie in another file$"):
        onnx_facts(proto.SerializeToString())


@pytest.mark.parametrize("data", [b"", b"\x08\x07", b"\x08\x07\x12\x07pytorch:\x80\x01" + bytes(99)])
def test_not_a_model(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^this is not an ONNX model, or a damaged one$"):
        onnx_facts(data)


@examples(150)
@given(st.data())
def test_any_bytes_are_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(model((1, 3, 96, 96), (1, 4)))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        facts, tasks = onnx_facts(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    except ConvertError:
        return
    assert facts.task == tasks[0]


def test_a_file_and_an_array_are_the_same_export(tmp_path: Path) -> None:
    data = model((1, 96, 96, 3), (1, 4))
    (tmp_path / "trained.onnx").write_bytes(data)
    array = tmp_path / "library" / "tflite-model" / "onnx-trained.h"
    array.parent.mkdir(parents=True)
    array.write_text(header(data, "F1", symbol="trained_onnx"))
    found = []
    for path in (tmp_path / "trained.onnx", array, tmp_path / "library"):
        export = Unpack()(path, tmp_path).artifact
        assert isinstance(export, Export)
        assert export.format is ModelFormat.ONNX
        assert export.model == data
        found.append(export)
    assert [export.form for export in found] == ["onnx", "O", "O"]
    assert len({export.digest for export in found}) == 1


def test_it_is_written_under_its_own_suffix(tmp_path: Path) -> None:
    (tmp_path / "in.onnx").write_bytes(model((1, 96, 96, 3), (1, 4)))
    export = Unpack()(tmp_path / "in.onnx", tmp_path).artifact
    assert isinstance(export, Export)
    written = write(export, tmp_path / "out")
    assert [output.path.rpartition("/")[2] for output in written] == ["in.original.onnx", "metadata.json"]


def test_a_flatbuffer_goes_first(tmp_path: Path) -> None:
    """The ONNX beside it was made from it."""
    (tmp_path / "a.onnx").write_bytes(model((1, 96, 96, 3), (1, 4)))
    (tmp_path / "b.tflite").write_bytes(tiny.classifier())
    assert Unpack()(tmp_path, tmp_path).artifact.form == "flatbuffer"


@pytest.mark.parametrize(
    ("operator", "task"), [("Sigmoid", "classifier"), ("Softmax", "classifier"), ("Relu", "unknown")]
)
def test_one_number_is_a_class_where_it_is_made_a_probability(operator: str, task: str) -> None:
    assert onnx_facts(model((1, 3, 96, 64), (1, 1), operators=("Conv", operator)))[1][0] == task
