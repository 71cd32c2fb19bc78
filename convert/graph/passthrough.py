"""Takes an export that is ONNX already through the stage that others are translated in: NCHW input, batch 1, asserted.

Runs in the worker process: the checker, shape inference and the opset converter are C++ that reads a foreign file. The
graph itself is not touched, but for a Transpose behind an NHWC input (TensorRT deployments of Edge Impulse have one).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper, version_converter

from convert.errors import TranslationError
from convert.graph.asserts import assert_translated
from convert.graph.model import load_model, opset_of, signature
from convert.graph.worker import Result
from convert.onnx_header import STANDARD_DOMAINS

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

__all__ = ["accept"]

_TO_ROWS = [0, 2, 3, 1]
_DAMAGED = "the file is damaged: export the model again"


def accept(model: bytes, shape: tuple[int, ...], outputs: int, opsets: tuple[int, int]) -> Result:
    """The model with a float32 input [1,C,H,W].

    Args:
        model: a serialised ModelProto with one input.
        shape: of that input, as a flatbuffer would have it: [1,H,W,C].
        outputs: how many outputs it has.
        opsets: the oldest and the newest that are known here; a newer model is converted to the newest.

    Raises:
        InputError: the model is damaged.
        TranslationError: the model is invalid, uses what ONNX does not know, or cannot be brought to such an opset.
    """
    proto = _converted(load_model(model), *opsets)
    constants = {tensor.name for tensor in proto.graph.initializer}
    (source,) = (value for value in proto.graph.input if value.name not in constants)
    _, height, width, channels = shape
    dims = source.type.tensor_type.shape.dim
    is_nchw = [dim.dim_value for dim in dims[1:]] == [channels, height, width]
    dims[0].dim_value = 1
    # What was declared may hold an open batch; the passes infer for themselves.
    del proto.graph.value_info[:]
    if not is_nchw:
        _transpose(proto, source, (channels, height, width))
    opset = opset_of(proto)
    _assert_valid(proto)
    assert_translated(proto, input_name=source.name, nhwc=shape, outputs=outputs, opset=opset)
    return Result(
        proto.SerializeToString(deterministic=True),
        signature(source),
        tuple(map(signature, proto.graph.output)),
        warnings=(),
        opset=opset,
    )


def _assert_valid(proto: ModelProto) -> None:
    """In words of their own: `assert_translated` speaks of tf2onnx, which made nothing here."""
    foreign = sorted(
        {f"{node.domain}.{node.op_type}" for node in proto.graph.node if node.domain not in STANDARD_DOMAINS}
    )
    if foreign:
        raise TranslationError(
            f"the ONNX model holds operators that only its own runtime knows: {', '.join(foreign)}",
            hint="export it with standard operators only, or give the TensorFlow Lite model",
        )
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        first = str(error).strip().splitlines()[0]
        raise TranslationError(f"the ONNX model is invalid: {first}", hint=_DAMAGED) from error


def _converted(proto: ModelProto, oldest: int, newest: int) -> ModelProto:
    try:
        opset = opset_of(proto)
    except StopIteration:
        raise TranslationError("the ONNX model does not say its opset", hint=_DAMAGED) from None
    if opset < oldest:
        raise TranslationError(f"the ONNX model has opset {opset}", hint=f"export it with opset {oldest} to {newest}")
    if opset <= newest:
        return proto
    try:
        return version_converter.convert_version(proto, newest)
    except Exception as error:  # its C++ exceptions share no other base class
        reason = " ".join(str(error).split())
        raise TranslationError(
            f"the ONNX model has opset {opset}, which cannot be brought to {newest}: {reason}",
            hint=f"export it with opset {newest}, or better 13",
        ) from error


def _transpose(proto: ModelProto, source: ValueInfoProto, nchw: tuple[int, ...]) -> None:
    """Turn the input round, and put a Transpose behind it that gives its takers what they had."""
    inside = f"{source.name}__nhwc"
    for node in proto.graph.node:
        for number, name in enumerate(node.input):
            if name == source.name:
                node.input[number] = inside
    proto.graph.node.insert(0, helper.make_node("Transpose", [source.name], [inside], perm=_TO_ROWS))
    element = source.type.tensor_type.elem_type
    source.type.CopyFrom(helper.make_tensor_type_proto(element, [1, *nchw]))
    assert element == TensorProto.FLOAT  # refuse_unsupported
