"""What each operator is called, and how TensorFlow Lite's C structs hold its parameters.

Sources: builtin_op_data.h of TensorFlow Lite for the structs (new members are only ever added at their ends, so a
shorter struct is an older one), schema.fbs for the options' members. An operator that is not listed is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CUSTOM", "OPERATORS", "VERSIONS", "Operator", "Parameter"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A member of a C struct.

    Attributes:
        kind: "int", "float", "bool", "int[8]", or the enum: "padding", "activation", "type", "mirror", "weights".
        option: the options' member it becomes; "" for what the schema does not have.
    """

    kind: str
    option: str


@dataclass(frozen=True, slots=True)
class Operator:
    """A builtin operator.

    Attributes:
        options: the schema's table without `Options`; "" for none.
        struct: the C type of its parameters; "" for none.
        parameters: that type's members in order.
        needed: how many of them the oldest struct has.
    """

    options: str
    struct: str
    parameters: tuple[Parameter, ...]
    needed: int


def _operator(options: str, struct: str, members: str) -> Operator:
    """From a line such as "padding padding, int strideW | type quantizedBiasType": members after `|` came later."""
    old, _, new = members.partition("|")
    parameters = [
        Parameter(*word.split()) if " " in word.strip() else Parameter(word.strip(), "")
        for word in f"{old},{new}".split(",")
        if word.strip()
    ]
    needed = sum(bool(word.strip()) for word in old.split(","))
    return Operator(options, f"TfLite{struct}Params" if struct else "", tuple(parameters), needed)


_ACTIVATION = "activation fusedActivationFunction"
_STRIDES = "padding padding, int strideW, int strideH"
_POOL = f"{_STRIDES}, int filterWidth, int filterHeight, {_ACTIVATION} | int, int, int, int"
_DENSE = (
    f"{_ACTIVATION}, weights weightsFormat, bool keepNumDims | bool asymmetricQuantizeInputs, type quantizedBiasType"
)
_RESIZE = "bool alignCorners | bool halfPixelCenters"

_REDUCERS = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL")

_WITH_PARAMETERS = {
    "ADD": ("Add", "Add", f"{_ACTIVATION} | bool potScaleInt16"),
    "ARG_MAX": ("ArgMax", "ArgMax", "type outputType"),
    "ARG_MIN": ("ArgMin", "ArgMin", "type outputType"),
    "AVERAGE_POOL_2D": ("Pool2D", "Pool", _POOL),
    "BATCH_MATMUL": ("BatchMatMul", "BatchMatMul", "bool adjX, bool adjY | bool asymmetricQuantizeInputs"),
    "CAST": ("Cast", "Cast", "type inDataType, type outDataType"),
    "CONCATENATION": ("Concatenation", "Concatenation", f"int axis, {_ACTIVATION}"),
    "CONV_2D": (
        "Conv2D",
        "Conv",
        f"{_STRIDES}, {_ACTIVATION}, int dilationWFactor, int dilationHFactor | type quantizedBiasType",
    ),
    "CUMSUM": ("Cumsum", "Cumsum", "bool exclusive, bool reverse"),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2D",
        "DepthwiseConv",
        f"{_STRIDES}, int depthMultiplier, {_ACTIVATION}, int dilationWFactor, int dilationHFactor",
    ),
    "DEPTH_TO_SPACE": ("DepthToSpace", "DepthToSpace", "int blockSize"),
    "DIV": ("Div", "Div", _ACTIVATION),
    "FULLY_CONNECTED": ("FullyConnected", "FullyConnected", _DENSE),
    "GATHER": ("Gather", "Gather", "int axis | int batchDims"),
    "GELU": ("Gelu", "Gelu", "bool approximate"),
    "L2_NORMALIZATION": ("L2Norm", "L2Norm", _ACTIVATION),
    "LEAKY_RELU": ("LeakyRelu", "LeakyRelu", "float alpha"),
    "LOCAL_RESPONSE_NORMALIZATION": (
        "LocalResponseNormalization",
        "LocalResponseNorm",
        "int radius, float bias, float alpha, float beta",
    ),
    "MAX_POOL_2D": ("Pool2D", "Pool", _POOL),
    "MIRROR_PAD": ("MirrorPad", "MirrorPadding", "mirror mode"),
    "MUL": ("Mul", "Mul", _ACTIVATION),
    "ONE_HOT": ("OneHot", "OneHot", "int axis"),
    "PACK": ("Pack", "Pack", "int valuesCount, int axis"),
    "RESHAPE": ("Reshape", "Reshape", "int[8] newShape, int"),
    "RESIZE_BILINEAR": ("ResizeBilinear", "ResizeBilinear", _RESIZE),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighbor", "ResizeNearestNeighbor", _RESIZE),
    "SHAPE": ("Shape", "Shape", "| type outType"),
    "SOFTMAX": ("Softmax", "Softmax", "float beta"),
    "SPACE_TO_DEPTH": ("SpaceToDepth", "SpaceToDepth", "int blockSize"),
    "SPLIT": ("Split", "Split", "int numSplits"),
    "SPLIT_V": ("SplitV", "SplitV", "int numSplits"),
    "SQUEEZE": ("Squeeze", "Squeeze", "int[8] squeezeDims, int"),
    "STRIDED_SLICE": (
        "StridedSlice",
        "StridedSlice",
        "int beginMask, int endMask, int ellipsisMask, int newAxisMask, int shrinkAxisMask | bool offset",
    ),
    "SUB": ("Sub", "Sub", f"{_ACTIVATION} | bool potScaleInt16"),
    "TRANSPOSE_CONV": ("TransposeConv", "TransposeConv", f"{_STRIDES} | {_ACTIVATION}, type quantizedBiasType"),
    "UNPACK": ("Unpack", "Unpack", "int num, int axis"),
    **dict.fromkeys(_REDUCERS, ("Reducer", "Reducer", "bool keepDims")),
}

# Options tables without members need not be there: readers do not look at them.
_WITHOUT_PARAMETERS = """
    ABS ADD_N BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO CEIL COS DEQUANTIZE ELU EQUAL EXP EXPAND_DIMS FILL FLOOR
    FLOOR_DIV FLOOR_MOD GATHER_ND GREATER GREATER_EQUAL HARD_SWISH LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT
    LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MINIMUM NEG NOT_EQUAL PAD PADV2 POW PRELU QUANTIZE RANGE RELU RELU6
    RELU_0_TO_1 RELU_N1_TO_1 REVERSE_V2 ROUND RSQRT SELECT SELECT_V2 SIGN SIN SLICE SPACE_TO_BATCH_ND SQRT SQUARE
    SQUARED_DIFFERENCE TANH TILE TOPK_V2 TRANSPOSE WHERE ZEROS_LIKE
"""

OPERATORS: dict[str, Operator] = {
    **{name: _operator(*line) for name, line in _WITH_PARAMETERS.items()},
    **{name: _operator("", "", "") for name in _WITHOUT_PARAMETERS.split()},
}
"""Builtin operators by their name in the schema (BuiltinOperator)."""

CUSTOM = {
    "TFLITE_DETECTION_POSTPROCESS": "TFLite_Detection_PostProcess",
    "DETECTION_POSTPROCESS": "TFLite_Detection_PostProcess",
}
"""Custom operators that can be converted: the enumerator in upper case without `OP_`, and their name in TFLite."""

VERSIONS = {"BROADCAST_TO": 2}
"""The operator versions written where it is not 1.

LiteRT finds a kernel by operator and version, and takes nothing else from the version: kernels read types and options.
It has version 1 of all operators above but this one, whose first registered version is 2 (register.cc; LiteRT 2.3.0).
"""
