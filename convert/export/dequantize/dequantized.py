"""From a quantized flatbuffer to a float32 one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convert.export.dequantize.finish import finish
from convert.export.dequantize.rewrite import Rewriter
from convert.export.dequantize.rounding import keep_steps
from convert.export.eon import findings
from convert.export.packing import unpack

if TYPE_CHECKING:
    from convert.findings import Finding

__all__ = ["Dequantized", "dequantize"]


@dataclass(frozen=True, slots=True)
class Dequantized:
    """What a quantized model gave.

    Attributes:
        model: a float32 flatbuffer; input and outputs keep their names and shapes.
        clamps: how many MAXIMUM and MINIMUM operators keep what quantized ranges cut.
        constants: how many tensors of weights and biases became float32; 0 for a model that was float32 already.
        rounded: how many activations keep the rounding of the quantized model.
        input_range: what the input is cut to, in the units the network is fed with; None where it is not cut.
        findings: EI151, and EI152 where the input is cut.
    """

    model: bytes = field(repr=False)
    clamps: int
    constants: int
    rounded: int
    input_range: tuple[float, float] | None
    findings: tuple[Finding, ...]


def dequantize(model: bytes, *, rounded: bool = False) -> Dequantized:
    """The float32 network that a quantized one stands for.

    Read are int8, uint8 and int16 activations, also between QUANTIZE and DEQUANTIZE, weights of those types and of
    float16 under float32 activations, and biases of int32 and int64. Constants become the real values they stand for;
    QUANTIZE and DEQUANTIZE go; fused activations stay; what a quantized range cut stays cut
    (`convert.export.dequantize.rewrite`).

    Args:
        model: a flatbuffer that has been verified.
        rounded: keep the rounding of the first layer (`convert.export.dequantize.rounding`), where there is one.

    Raises:
        UnsupportedModelError: an operator or a tensor whose float32 counterpart is not known.
    """
    root = unpack(model)
    rewriter = Rewriter(root)
    rewriter.run()
    found = [
        findings.DEQUANTIZED.found(
            f"rewritten in float32: {rewriter.constants} constants, {rewriter.clamps} clamps for quantized ranges"
        )
    ]
    if rewriter.input_range is not None:
        low, high = rewriter.input_range
        found.append(findings.INPUT_CLAMP.found(f"the input is cut to {low:.5g} .. {high:.5g}"))
    steps = rewriter.first_layer if rounded else ()
    calls = keep_steps(root, rewriter.calls, steps)
    return Dequantized(
        finish(root, calls), rewriter.clamps, rewriter.constants, len(steps), rewriter.input_range, tuple(found)
    )
