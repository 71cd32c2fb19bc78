"""What unpacking finds in EON-compiled and quantized models: EI150 to EI199."""

from __future__ import annotations

from convert.findings import Level, Rule

__all__ = ["AGREEMENT", "DEQUANTIZED", "INPUT_CLAMP", "REBUILT", "ROUNDING", "RULES"]

REBUILT = Rule(
    "EI150",
    Level.NOTE,
    "The model was rebuilt from EON-compiled C++",
    "The EON compiler turns the network into C++ and keeps no flatbuffer. Everything that decides what the network"
    " computes is in that C++ and is rebuilt from it; tensor names, signatures and metadata are lost.",
    "Nothing has to be done. To keep the names, export with the EON compiler turned off.",
)

DEQUANTIZED = Rule(
    "EI151",
    Level.NOTE,
    "The quantized model was rewritten in float32",
    "TensorRT does not run TFLite's int8 operators. The network is rewritten with the real values its integers stand"
    " for: weights exactly, ranges as clamps. It no longer rounds every activation, so it is close to the quantized"
    " one, not equal to it; how well they agree is measured.",
    "Prefer the float32 export of the same project if there is one.",
)

INPUT_CLAMP = Rule(
    "EI152",
    Level.NOTE,
    "The quantized model saturates inside the range of its input",
    "Pixels come as 0 to 1, and the range of this model's input is another one, because no training picture went"
    " further. What lies beyond is cut, as the quantized model does.",
    "Nothing has to be done. If bright pictures are recognised badly, train with brighter ones.",
)

AGREEMENT = Rule(
    "EI153",
    Level.WARNING,
    "The float32 rewriting and the quantized model disagree",
    "On image-like inputs the two should give the same best class at least 98 times in 100. A lower share means that"
    " rounding decides much of what the quantized model says, or that its outputs are close to each other on such"
    " pictures.",
    "Compare both on pictures of your own, or export the float32 model.",
)

ROUNDING = Rule(
    "EI154",
    Level.NOTE,
    "The float32 rewriting keeps the rounding of the quantized model's first layer",
    "Without it the two gave the same best class less than 98 times in 100, with it more often. Where a picture is"
    " smooth, a quantized network rounds what its first layer gives the same way everywhere, and that can decide."
    " It costs eight operators that work value by value.",
    "Nothing has to be done. The float32 export of the same project, if there is one, needs none of it.",
)

RULES = (REBUILT, DEQUANTIZED, INPUT_CLAMP, AGREEMENT, ROUNDING)
"""All of them, in order."""
