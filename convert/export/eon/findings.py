"""What unpacking finds in EON-compiled and quantized models: EI150 to EI199."""

from __future__ import annotations

from convert.findings import Level, Rule

__all__ = ["REBUILT", "RULES"]

REBUILT = Rule(
    "EI150",
    Level.NOTE,
    "The model was rebuilt from EON-compiled C++",
    "The EON compiler turns the network into C++ and keeps no flatbuffer. Everything that decides what the network"
    " computes is in that C++ and is rebuilt from it; tensor names, signatures and metadata are lost.",
    "Nothing has to be done. To keep the names, export with the EON compiler turned off.",
)

RULES = (REBUILT,)
"""All of them, in order."""
