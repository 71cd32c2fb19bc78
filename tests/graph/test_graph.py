"""Types as shapes, and nodes that the graph editor writes by the model's opset."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, TypeProto, helper

from convert.graph.graph import GraphEditor, hint_at, shape_of
from tests.graph.proof import onnxruntime


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


def test_an_opset_that_lacks_too_much_is_the_hint() -> None:
    old = "an opset below 11 lacks too much: leave out --opset, or export the ONNX model with opset 13"
    assert [hint_at(opset, "another") for opset in (7, 10, 11, 13)] == [old, old, "another", "another"]
