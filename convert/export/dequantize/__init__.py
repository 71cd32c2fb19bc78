"""Turns quantized models into float32 ones, and measures how well the two agree."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convert.export.dequantize.agreement import agreement_findings, int8_agreement
    from convert.export.dequantize.dequantized import Dequantized, dequantize

__all__ = ["Dequantized", "agreement_findings", "dequantize", "int8_agreement"]

_HOMES = {"Dequantized": "dequantized", "dequantize": "dequantized"}


def __getattr__(name: str) -> Any:
    """The public names, imported when they are asked for: they bring numpy and the schema classes."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'agreement')}"), name)
