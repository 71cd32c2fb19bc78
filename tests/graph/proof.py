"""ONNX written as text, runs in both runtimes, and proof that a pass changes nothing that is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx.parser

from convert.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from convert.isolation import Worker


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


TOGETHER = 8
"""Models in one engine: alone each takes three times as long to build, and of thirty each does, too."""


def unbuilt(worker: Worker, models: Mapping[str, bytes], shape: tuple[int, ...], batch_size: int) -> dict[str, str]:
    """Which of `models` TensorRT-RTX does not build, and why; they have one input, and opset, in common.

    An engine of several shows that all of them can be built; where there is none, each half is tried.
    """
    names = list(models)
    if not names:
        return {}
    if len(names) <= TOGETHER:
        try:
            together = side_by_side(list(models.values())) if len(names) > 1 else models[names[0]]
            worker.call("convert.validate.runtimes:_build", together, shape, batch_size, timeout=200)
        except ValidationError as error:
            if len(names) == 1:
                return {names[0]: str(error)}
        else:
            return {}
    half = max(1, len(names) // 2) if len(names) <= TOGETHER else TOGETHER
    parts = [{name: models[name] for name in part} for part in (names[:half], names[half:])]
    return {name: why for part in parts for name, why in unbuilt(worker, part, shape, batch_size).items()}


def side_by_side(models: Sequence[bytes]) -> bytes:
    """One ONNX model with the input that all of `models` have, and all their outputs."""
    read = [onnx.load_model_from_string(each) for each in models]
    (source,) = read[0].graph.input
    graph = onnx.helper.make_graph([], "together", [source], [])
    for place, each in enumerate(read):
        (given,) = each.graph.input
        assert (given.type, each.opset_import) == (source.type, read[0].opset_import)
        known = {"": "", given.name: source.name}
        for node in each.graph.node:
            assert not any(attribute.HasField("g") for attribute in node.attribute), "names inside would change, too"
            node.name = f"{place}/{node.name}"
            for names in (node.input, node.output):
                names[:] = [known.get(name, f"{place}/{name}") for name in names]
        for tensor in (*each.graph.initializer, *each.graph.output):
            tensor.name = f"{place}/{tensor.name}"
        graph.node.extend(each.graph.node)
        graph.initializer.extend(each.graph.initializer)
        graph.output.extend(each.graph.output)
    made = onnx.helper.make_model(graph, opset_imports=read[0].opset_import, ir_version=read[0].ir_version)
    data: bytes = made.SerializeToString()
    return data


def written(model: onnx.ModelProto) -> list[str]:
    """Every node with its attributes and constants ("f32" is float32); other tensors are numbered by their nodes."""
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    known = {"": "", **{value.name: "x" for value in model.graph.input}, **{v.name: "y" for v in model.graph.output}}

    def shown(name: str) -> str:
        if name not in constants:
            return known[name]
        value = constants[name]
        kind, numbers = f"{value.dtype.kind}{8 * value.itemsize}", " ".join(f"{each:g}" for each in value.ravel())
        return f"{kind}{list(value.shape)}{{{numbers}}}"

    lines = []
    for number, node in enumerate(model.graph.node):
        for place, name in enumerate(node.output):
            known.setdefault(name, f"t{number}" + "abc"[place] * (len(node.output) > 1))
        items = sorted((item.name, onnx.helper.get_attribute_value(item)) for item in node.attribute)
        given = ", ".join(f"{name} = {value.decode() if isinstance(value, bytes) else value}" for name, value in items)
        results, inputs = ", ".join(known[name] for name in node.output), ", ".join(map(shown, node.input))
        lines.append(f"{results} = {node.op_type}{given and f'<{given}>'}({inputs})")
    return lines
