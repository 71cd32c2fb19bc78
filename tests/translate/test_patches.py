"""What tf2onnx 1.17.0 gets wrong on its TFLite path comes out right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from convert.export.tflite import pack
from convert.export.unpack import Unpack
from convert.graph.adapt import Adapt
from convert.translate import Translate
from convert.types import Validated
from convert.validate import Validate

if TYPE_CHECKING:
    from pathlib import Path

    from convert.isolation import Worker


def _dense(keep_num_dims: bool, bias: bool) -> bytes:
    """[1,4,4,1] -> dense layer -> softmax over 3, without anything between input and dense layer."""
    random = np.random.default_rng(0)
    arrays = [random.normal(size=(3, 16)), random.normal(size=3) * 3]
    model = schema.ModelT()
    model.version = 3
    model.buffers = [schema.BufferT() for _ in range(3)]
    for buffer, array in zip(model.buffers[1:], arrays, strict=True):
        buffer.data = np.frombuffer(array.astype(np.float32).tobytes(), np.uint8)
    shapes = [[1, 4, 4, 1] if not keep_num_dims else [1, 1, 1, 16], [3, 16], [3], [1, 3], [1, 3]]
    if keep_num_dims:
        shapes[3] = shapes[4] = [1, 1, 1, 3]
    graph = schema.SubGraphT()
    graph.tensors = []
    for number, shape in enumerate(shapes):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = f"t{number}", shape, number if number in {1, 2} else 0
        graph.tensors.append(tensor)
    graph.inputs, graph.outputs = [0], [4]
    model.operatorCodes = []
    graph.operators = []
    for kind, inputs, output in (
        (schema.BuiltinOperator.FULLY_CONNECTED, [0, 1, 2] if bias else [0, 1, -1], 3),
        (schema.BuiltinOperator.SOFTMAX, [3], 4),
    ):
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kind
        code.version = 1
        call = schema.OperatorT()
        call.opcodeIndex, call.inputs, call.outputs = len(model.operatorCodes), inputs, [output]
        if kind == schema.BuiltinOperator.FULLY_CONNECTED:
            call.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
            call.builtinOptions = schema.FullyConnectedOptionsT()
            call.builtinOptions.keepNumDims = keep_num_dims
        else:
            call.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
            call.builtinOptions = schema.SoftmaxOptionsT()
            call.builtinOptions.beta = 1.0
        model.operatorCodes.append(code)
        graph.operators.append(call)
    model.subgraphs = [graph]
    return pack(model)


@pytest.mark.parametrize("bias", [True, False])
def test_a_dense_layer_on_a_picture_keeps_its_bias(bias: bool, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(_dense(keep_num_dims=False, bias=bias))
    artifact: object = path
    for stage in (Unpack(labels=("a", "b", "c")), Translate(), Adapt(), Validate()):
        result = stage(artifact, tmp_path)
        artifact = result.artifact
    assert isinstance(artifact, Validated)
    assert artifact.evidence.parity is not None
    assert artifact.evidence.parity.max_abs_diff < 1e-5
    assert not [finding for finding in result.findings if finding.level == "error"]


def test_a_second_call_changes_nothing(worker: Worker) -> None:
    assert worker.call("tests.translate.raw:is_patched_once", timeout=120)
