"""ONNX written as text, runs in both runtimes, and proof that a pass changes nothing that is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx.parser

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def model(body: str, source: str = "1,3,4,5", target: str = "1,60", opset: int = 13) -> onnx.ModelProto:
    """`body` from x [`source`] to y [`target`], both float32."""
    head = f'<ir_version: 7, opset_import: ["" : {opset}]>\nagraph (float[{source}] x) => (float[{target}] y)\n'
    result = onnx.parser.parse_model(head + "{ " + body + " }")
    onnx.checker.check_model(result, full_check=True)
    return result


def prove_same(before: onnx.ModelProto, change: Callable[[onnx.ModelProto], onnx.ModelProto]) -> onnx.ModelProto:
    """`change(before)`, once it has computed the same as `before` on three inputs."""
    shape = [dim.dim_value for dim in before.graph.input[0].type.tensor_type.shape.dim]
    inputs = np.random.default_rng(5).normal(size=(3, *shape)).astype(np.float32)
    wanted = [onnxruntime(before.SerializeToString(), value)[0] for value in inputs]
    after = change(before)
    onnx.checker.check_model(after, full_check=True)
    for value, result in zip(inputs, wanted, strict=True):
        (found,) = onnxruntime(after.SerializeToString(), value)
        np.testing.assert_allclose(found, result, rtol=1e-5, atol=1e-5)
    assert len({result.tobytes() for result in wanted}) > 1, "the same for every input proves nothing"
    return after


def operators(model: onnx.ModelProto) -> list[str]:
    """Of all nodes, in order."""
    return [node.op_type for node in model.graph.node]


def numbers(count: int, *, seed: int = 0) -> str:
    """`count` random numbers for a float Constant."""
    return ", ".join(f"{value:.3f}" for value in np.random.default_rng(seed).normal(size=count))


def litert(model: bytes, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first output of a flatbuffer for each of `pictures` [n,H,W,C], one row a picture."""
    from ai_edge_litert.interpreter import Interpreter  # not every test needs it

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    rows = []
    for picture in pictures:
        interpreter.set_tensor(source, picture[np.newaxis])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(target).reshape(-1).copy())
    return np.stack(rows)


def onnxruntime(model: bytes, values: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Every output of an ONNX model with one input."""
    import onnxruntime as ort  # not every test needs it

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    result: list[NDArray[np.float32]] = session.run(None, {session.get_inputs()[0].name: values})
    return result
