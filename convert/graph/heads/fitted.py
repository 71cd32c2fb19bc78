"""What fitting a head to a model gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto

    from convert.artifacts import Head
    from convert.findings import Finding

__all__ = ["Fitted"]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model whose outputs nvinfer can decode, still for one picture.

    Attributes:
        outputs: what the graph's outputs are to be called, in order.
    """

    model: ModelProto
    head: Head
    outputs: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
