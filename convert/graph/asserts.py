"""What must hold of tf2onnx's result, because tf2onnx says "Successfully converted" over anything.

It leaves operators it does not know in the graph under their TFLite or TensorFlow name, ignores an unknown
--inputs-as-nchw name, and keeps shapes that contradict the nodes. Runs in the worker process: the checker is C++ that
reads what was made from a foreign file.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import onnx
import onnx.checker
import onnx.defs
from onnx import TensorProto

from convert.errors import TranslationError
from convert.graph.model import has_subgraphs, signature
from convert.onnx_header import STANDARD_DOMAINS

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["assert_translated", "fix_batch"]

_NEWEST = 18  # the last opset tf2onnx writes
_OURS = "this is a fault of the translation, not of the model: please report it"


def fix_batch(proto: ModelProto, input_name: str) -> None:
    """Say 1 where the flatbuffer leaves the batch of its input open.

    Keras models converted by hand have the shape signature [-1,H,W,C]; LiteRT runs them at batch 1, and so does
    everything here until `convert.graph.batch` opens it again.
    """
    for value in proto.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name == input_name and dims and not dims[0].HasField("dim_value"):
            dims[0].dim_value = 1


def assert_translated(proto: ModelProto, *, input_name: str, nhwc: tuple[int, ...], outputs: int, opset: int) -> None:
    """Refuse a translation that is not what was asked for.

    Args:
        proto: what tf2onnx made.
        input_name: of the flatbuffer's input.
        nhwc: its shape, [1,H,W,C].
        outputs: how many outputs the flatbuffer has.
        opset: that was asked for.

    Raises:
        TranslationError: an operator ONNX does not know at this opset, another operator domain, a loop, an input that
            is not the float32 [1,C,H,W] of `nhwc`, a different number of outputs, or a graph the ONNX checker refuses.
    """
    _assert_opset(proto, opset)
    _assert_operators(proto, opset)
    _assert_input(proto, input_name, nhwc)
    if len(proto.graph.output) != outputs:
        raise TranslationError(
            f"the model has {outputs} outputs, its translation {len(proto.graph.output)}", hint=_OURS
        )
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        first = str(error).strip().splitlines()[0]
        raise TranslationError(f"tf2onnx made an invalid ONNX model: {first}", hint="try another --opset") from error


def _assert_opset(proto: ModelProto, opset: int) -> None:
    for entry in proto.opset_import:
        if entry.domain in STANDARD_DOMAINS and entry.version != opset:
            raise TranslationError(f"tf2onnx made opset {entry.version} where {opset} was asked for", hint=_OURS)


def _assert_operators(proto: ModelProto, opset: int) -> None:
    control = sorted({node.op_type for node in proto.graph.node if has_subgraphs(node)})
    if control:
        raise TranslationError(
            f"the model decides while it runs ({', '.join(control)}), which cannot be given a batch",
            hint="export it without loops and conditions",
        )
    unknown: Counter[str] = Counter()
    for node in proto.graph.node:
        try:
            known = node.domain in STANDARD_DOMAINS and not onnx.defs.get_schema(node.op_type, opset, "").deprecated
        except onnx.defs.SchemaError:
            known = False
        if not known:
            unknown[f"{node.domain}.{node.op_type}".removeprefix(".")] += 1
    if unknown:
        names = ", ".join(f"{name.removeprefix('TFL_')} ({count}x)" for name, count in sorted(unknown.items()))
        raise TranslationError(
            f"tf2onnx has no ONNX for these operators at opset {opset}: {names}", hint=_way_out(list(unknown))
        )


def _way_out(operators: list[str]) -> str:
    """A later opset may have what tf2onnx has already named as ONNX does (HardSwish: 14)."""
    try:
        needed = max(int(onnx.defs.get_schema(name, _NEWEST, "").since_version) for name in operators)
    except onnx.defs.SchemaError:
        return "there is no way to run these in Gst-nvinfer: retrain with other layers"
    return f"opset {needed} has them: --opset {needed}"


def _assert_input(proto: ModelProto, name: str, nhwc: tuple[int, ...]) -> None:
    initializers = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in initializers]
    if [value.name for value in inputs] != [name]:
        raise TranslationError(
            f"the model's input is {name}, its translation has {', '.join(value.name for value in inputs) or 'none'}",
            hint=_OURS,
        )
    tensor = signature(inputs[0])
    batch, height, width, channels = nhwc
    if tensor.shape != (batch, channels, height, width):
        raise TranslationError(
            f"the translated input is {list(tensor.shape)} instead of NCHW {[batch, channels, height, width]}",
            hint=_OURS,
        )
    if inputs[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        raise TranslationError(f"the translated input is {tensor.dtype}, not float32", hint=_OURS)
