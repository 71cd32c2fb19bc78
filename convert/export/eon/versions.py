"""Which version of an operator LiteRT is asked for.

A version says what the runtime must know: a newer one than needed makes old runtimes refuse the model, an older one
makes delegates miss what the operator does. The rules are those of TensorFlow's op_version.cc (2025), for the types
that `convert.export.eon.types` knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convert.export.eon.derived import Options

__all__ = ["Signature", "version"]


@dataclass(frozen=True, slots=True)
class Signature:
    """What the version of an operator hangs on.

    Attributes:
        operator: its name in the schema.
        inputs, outputs: numpy's names of their types; "" for an absent input.
        shapes: of the inputs.
        scales: of the inputs and then the outputs, 0 where there is none; each the first of its tensor.
        per_channel: whether the second input has more than one scale.
        options: its options.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    scales: tuple[float, ...]
    per_channel: bool
    options: Options

    @property
    def first(self) -> str:
        """The type of the first input."""
        return self.inputs[0] if self.inputs else ""


# By the type of the first input; every other type is version 1.
_INT8 = {"int8": 2}
_INT8_INT16 = {"int8": 2, "int16": 3}
_INT8_OR_INT16 = {"int8": 2, "int16": 2}
_INT8_BOOL = {"int8": 2, "bool": 3}
_BY_TYPE: dict[str, dict[str, int]] = {
    **dict.fromkeys(("SOFTMAX", "MEAN", "MIRROR_PAD", "REDUCE_MAX", "REDUCE_MIN", "RELU6", "RSQRT"), _INT8_INT16),
    **dict.fromkeys(("MAX_POOL_2D", "AVERAGE_POOL_2D", "TANH", "LOGISTIC", "LESS", "GREATER_EQUAL"), _INT8_INT16),
    **dict.fromkeys(("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "SPLIT_V", "SUM", "LOG_SOFTMAX", "GREATER"), _INT8),
    **dict.fromkeys(("LESS_EQUAL", "SQUARED_DIFFERENCE"), _INT8),
    **dict.fromkeys(("EXP", "LOG", "REDUCE_PROD", "SQRT"), _INT8_OR_INT16),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), _INT8_BOOL),
    "ABS": {"int8": 2, "uint8": 2, "int16": 3, "int32": 5},
    "BATCH_MATMUL": _INT8_INT16,
    "CONCATENATION": _INT8_INT16 | {"uint32": 4},
    "DEQUANTIZE": {"int8": 2, "int16": 3, "float16": 3},
    "EQUAL": {"int8": 2, "int16": 5},
    "FLOOR_DIV": {"float32": 2, "int8": 3, "int16": 3},
    "FLOOR_MOD": {"int8": 2, "int16": 2},
    "GATHER_ND": {"int16": 3, "bool": 5},
    "GELU": {"int8": 2, "uint8": 2},
    "L2_NORMALIZATION": _INT8,
    "LEAKY_RELU": {"int16": 2},
    "NOT_EQUAL": {"int8": 2, "int16": 4},
    "PACK": _INT8_INT16 | {"uint32": 4},
    "RANGE": {"int64": 2},
    "RELU": {"int8": 2, "uint8": 2, "int16": 3},
    "REVERSE_V2": {"int8": 3, "bool": 2},
    "SELECT_V2": {"uint32": 2},
    "SIGN": {"int32": 2},
    "TILE": {"int8": 3},
    "UNPACK": {"int8": 2, "uint8": 2, "bool": 3, "int16": 4, "float16": 5},
}


def version(call: Signature) -> int:
    """The version of one call of a builtin operator, at least 1."""
    rule = _RULES.get(call.operator)
    return rule(call) if rule else _BY_TYPE.get(call.operator, {}).get(call.first, 1)


def _types(call: Signature) -> tuple[str, str, str]:
    """Of the input, the weights and the output."""
    second = call.inputs[1] if len(call.inputs) > 1 else ""
    return (call.first, second, call.outputs[0] if call.outputs else "")


def _convolution(call: Signature) -> int:
    depthwise = call.operator == "DEPTHWISE_CONV_2D"
    match _types(call):
        case ("int16", "int8", "int16") if call.options.get("quantizedBiasType"):
            return 1 if depthwise else 8
        case _ if not depthwise and _is_grouped(call):
            return 6
        case ("int16", "int16", "int16"):
            return 5 if depthwise else 4
        case ("int8", "int8", "int8") | ("int16", "int8", "int16"):
            return 3
        case ("float32", "int8", "float32"):
            return (6 if depthwise else 5) if call.per_channel else (4 if depthwise else 2)
    dilated = {call.options.get("dilationWFactor", 1), call.options.get("dilationHFactor", 1)} != {1}
    return 2 if depthwise and dilated else 1


def _is_grouped(call: Signature) -> bool:
    return (
        len(call.shapes) > 1
        and len(call.shapes[0]) == len(call.shapes[1]) == 4
        and (call.shapes[0][3] != call.shapes[1][3])
    )


def _fully_connected(call: Signature) -> int:
    types = _types(call)
    hybrid = types == ("float32", "int8", "float32")
    bias_type = call.options.get("quantizedBiasType")
    for holds, number in (
        (hybrid and call.per_channel, 12),
        (types == ("int16", "int8", "int16") and bias_type, 11),
        (types == ("int16", "int16", "int16"), 7),
        (len(call.inputs) == 2, 6),
        (call.options.get("keepNumDims"), 5),
        (types == ("int8", "int8", "int8"), 4),
        (hybrid, 9 if call.options.get("asymmetricQuantizeInputs") else 3),
        (call.options.get("weightsFormat"), 2),
    ):
        if holds:
            return number
    return 1


def _transpose_convolution(call: Signature) -> int:
    if call.options.get("fusedActivationFunction"):
        return 4
    if len(call.inputs) == 4 and call.inputs[3]:
        return 3
    return 2 if len(call.inputs) > 1 and call.inputs[1] == "int8" else 1


def _add(call: Signature) -> int:
    if call.first == "int16" and not all(call.scales):
        return 5
    if call.first == "int16" and not call.options.get("potScaleInt16", True):
        return 3
    return {"int64": 4, "int8": 2, "float16": 6}.get(call.first, 1)


def _subtract(call: Signature) -> int:
    if call.first == "int16" and not call.options.get("potScaleInt16", True):
        return 5
    if call.first == "int64":
        return 4
    return 3 if _broadcasts_far(call) else _INT8.get(call.first, 1)


def _multiply(call: Signature) -> int:
    if call.first == "uint32" or (call.first == "int16" and not all(call.scales)):
        return 7
    if call.first in {"int64", "int16", "float16"}:
        return {"int64": 5, "int16": 4, "float16": 8}[call.first]
    if len(call.scales) == 3 and all(call.scales) and call.scales[0] * call.scales[1] / call.scales[2] >= 1:
        return 3
    return _INT8.get(call.first, 1)


def _divide(call: Signature) -> int:
    return 2 if _broadcasts_far(call) else 1


def _extreme(call: Signature) -> int:
    if call.first == "int16":
        return 4
    return 3 if _broadcasts_far(call) else _INT8.get(call.first, 1)


def _broadcasts_far(call: Signature) -> bool:
    """Inputs of different shapes, one of them with more than 4 dimensions."""
    return len(set(call.shapes)) > 1 and max(len(shape) for shape in call.shapes) > 4


def _split(call: Signature) -> int:
    return {"int8": 2, "int32": 3, "int16": 4}.get(_types(call)[1], 1)  # the first input is the axis


def _resize_bilinear(call: Signature) -> int:
    if call.first == "int16":
        return 4
    return 3 if call.options.get("halfPixelCenters") else _INT8.get(call.first, 1)


def _resize_nearest(call: Signature) -> int:
    if call.first == "int16":
        return 4
    exact = call.options.get("halfPixelCenters") or call.options.get("alignCorners")
    return 3 if exact else _INT8.get(call.first, 1)


def _strided_slice(call: Signature) -> int:
    if call.options.get("offset"):
        return 8
    if call.options.get("ellipsisMask") or call.options.get("newAxisMask"):
        return 6
    return 4 if _rank(call) > 4 else {"bool": 3, "int8": 2, "uint32": 7}.get(call.first, 1)


def _transpose(call: Signature) -> int:
    if _rank(call) > 5:
        return 6
    if call.first == "int16":
        return 5
    return 4 if _rank(call) > 4 else {"bool": 3, "int8": 2}.get(call.first, 1)


def _slice(call: Signature) -> int:
    if call.first == "uint32":
        return 6
    if _rank(call) > 4:
        return 5
    return {"int16": 4, "int8": 2}.get(call.first, 1)


def _pad(call: Signature) -> int:
    if call.first == "bool":
        return 5
    if _rank(call) > 4:
        return 4
    return _INT8_INT16.get(call.first, 1)


def _batch_space(call: Signature) -> int:
    if call.first == "int16":
        return 4
    return 3 if _rank(call) != 4 else _INT8.get(call.first, 1)


def _rank(call: Signature) -> int:
    return len(call.shapes[0]) if call.shapes else 0


def _quantize(call: Signature) -> int:
    return 2 if _types(call)[2] == "int16" else 1


def _gather(call: Signature) -> int:
    if _types(call)[1] == "int16":
        return 6
    if call.options.get("batchDims"):
        return 5
    return {"int16": 4, "bool": 3, "int8": 2}.get(call.first, 1)


def _select(call: Signature) -> int:
    if any(len(shape) == 5 for shape in call.shapes):
        return 3
    return _INT8.get(call.first, 1)


def _fill(call: Signature) -> int:
    return {"float16": 4, "int8": 3, "int16": 3, "bool": 2}.get(_types(call)[1], 1)


def _topk(call: Signature) -> int:
    return 3 if "int16" in {*call.inputs[:2], *call.outputs[1:2]} else _INT8.get(call.first, 1)


def _broadcast_to(call: Signature) -> int:
    return 3 if call.first in {"int8", "int16"} else 2


def _cast(call: Signature) -> int:
    types = {call.first, _types(call)[2]}
    for name, number in (("float64", 5), ("float16", 5), ("uint16", 4), ("int8", 3), ("uint32", 2)):
        if name in types:
            return number
    return 1


def _where(call: Signature) -> int:
    return 1 if call.first == "bool" else 2


_RULES = {
    "ADD": _add,
    "BATCH_TO_SPACE_ND": _batch_space,
    "BROADCAST_TO": _broadcast_to,
    "CAST": _cast,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "DIV": _divide,
    "FILL": _fill,
    "FULLY_CONNECTED": _fully_connected,
    "GATHER": _gather,
    "MAXIMUM": _extreme,
    "MINIMUM": _extreme,
    "MUL": _multiply,
    "PAD": _pad,
    "PADV2": _pad,
    "QUANTIZE": _quantize,
    "RESIZE_BILINEAR": _resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "SELECT": _select,
    "SLICE": _slice,
    "SPACE_TO_BATCH_ND": _batch_space,
    "SPLIT": _split,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _subtract,
    "TOPK_V2": _topk,
    "TRANSPOSE": _transpose,
    "TRANSPOSE_CONV": _transpose_convolution,
    "WHERE": _where,
}
