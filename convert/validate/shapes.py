"""Whether an ONNX model is valid, and whether its signature is what Gst-nvinfer takes (docs/nvinfer.md, c and d).

nvinfer checks little of this itself: it writes float32 without looking at the input's type, reads float32 without
looking at the output's, overwrites the batch dimension and sizes its output buffers once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convert.errors import ValidationError
from convert.onnx_header import STANDARD_DOMAINS
from convert.validate.findings import DOMAIN, INPUT, OUTPUT
from convert.words import INPUT_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convert.findings import Finding

__all__ = ["check"]

_BROKEN = "this is not a model that can be shipped: convert the export again, with another --opset if need be"


def check(model: bytes) -> tuple[Finding, ...]:
    """What nvinfer could not take, one finding a violation; empty when all is well.

    Raises:
        ValidationError: not a valid ONNX model: it does not parse, onnx's full checker or strict shape inference
            refuses it, or weights are missing.
    """
    graph = _inferred(model).graph
    return (*_input(graph), *_outputs(graph), *_domains(graph))


def _inferred(model: bytes) -> Any:
    """The model with the shapes that follow from its input, as an `onnx.ModelProto`."""
    import onnx  # noqa: PLC0415 - heavy; importing this module must stay light
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        proto = onnx.load_from_string(model)
    except DecodeError as error:
        raise ValidationError("not an ONNX model", hint=_BROKEN) from error
    # Before the checker, which would look for the file in the current folder.
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in proto.graph.initializer):
        raise ValidationError(
            "weights lie outside the model file, where TensorRT on the device will not find them",
            hint="save the model with its weights inside",
        )
    try:
        onnx.checker.check_model(model, full_check=True)
        return onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValidationError(f"the ONNX model is invalid: {reason}", hint=_BROKEN) from error


def _input(graph: Any) -> Iterator[Finding]:
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        yield INPUT.found(f"the model has {len(inputs)} inputs instead of one: {names}", hint=INPUT.fix)
        return
    (value,) = inputs
    shape = _shape(value)
    if value.name != INPUT_NAME:
        yield INPUT.found(f"the input is named {value.name!r} instead of {INPUT_NAME!r}", hint=INPUT.fix)
    if (kind := _type(value)) != "float32":
        yield INPUT.found(f"the input is {kind}, and nvinfer writes float32 into it", hint=INPUT.fix)
    if len(shape) != 4:
        yield INPUT.found(f"the input is {_text(shape)} instead of [N,C,H,W]", hint=INPUT.fix)
        return
    if isinstance(shape[0], int):
        yield INPUT.found(
            f"the batch dimension of the input {_text(shape)} is fixed; nvinfer overwrites it", hint=INPUT.fix
        )
    if not all(isinstance(size, int) and size > 0 for size in shape[1:]):
        yield INPUT.found(f"channels, height and width of the input {_text(shape)} are not fixed", hint=INPUT.fix)
    elif shape[1] not in {1, 3}:
        last = " (the last dimension looks like them: NHWC)" if shape[3] in {1, 3} else ""
        yield INPUT.found(
            f"the input {_text(shape)} has {shape[1]} channels; nvinfer feeds 1 or 3{last}", hint=INPUT.fix
        )


def _outputs(graph: Any) -> Iterator[Finding]:
    if not graph.output:
        yield OUTPUT.found("the model has no output", hint=OUTPUT.fix)
    for value in graph.output:
        shape = _shape(value)
        if (kind := _type(value)) != "float32":
            yield OUTPUT.found(f"output {value.name!r} is {kind}, and nvinfer reads float32", hint=OUTPUT.fix)
        if len(shape) < 2:
            yield OUTPUT.found(
                f"output {value.name!r} is {_text(shape)}: nothing is left behind the batch dimension", hint=OUTPUT.fix
            )
            continue
        if isinstance(shape[0], int):
            yield OUTPUT.found(f"the batch dimension of output {value.name!r} {_text(shape)} is fixed", hint=OUTPUT.fix)
        if not all(isinstance(size, int) and size > 0 for size in shape[1:]):
            yield OUTPUT.found(
                f"output {value.name!r} {_text(shape)} has a dimension besides the batch that is not fixed",
                hint=OUTPUT.fix,
            )


def _domains(graph: Any) -> Iterator[Finding]:
    foreign = {(node.domain, node.op_type) for node in graph.node if node.domain not in STANDARD_DOMAINS}
    for domain, operator in sorted(foreign):
        yield DOMAIN.found(f"operator {operator} belongs to {domain}, not to ai.onnx", hint=DOMAIN.fix)


def _shape(value: Any) -> tuple[int | str, ...]:
    """One entry a dimension: its size, or the name of what is not fixed ("?" without one)."""
    return tuple(
        dimension.dim_value if dimension.HasField("dim_value") else dimension.dim_param or "?"
        for dimension in value.type.tensor_type.shape.dim
    )


def _text(shape: tuple[int | str, ...]) -> str:
    return "[" + ",".join(str(size) for size in shape) + "]"


def _type(value: Any) -> str:
    """numpy's name of the element type, or onnx's where numpy has none."""
    import onnx  # noqa: PLC0415

    if not value.type.HasField("tensor_type"):
        return str(value.type.WhichOneof("value"))
    name: str = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
    return {"FLOAT": "float32", "DOUBLE": "float64"}.get(name, name.lower())
