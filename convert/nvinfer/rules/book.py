"""Every NVI rule, in the order of their ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.nvinfer.rules import LEXICAL, SEMANTIC, framing, network, operators, pipeline, script

if TYPE_CHECKING:
    from convert.findings import Rule

__all__ = ["RULES"]

_OF_CONFIGS = [rule for rule, _ in (*LEXICAL, *SEMANTIC, *network.CHECKS, *framing.CHECKS, *operators.CHECKS)]
_OF_APPS = [rule for rule, _ in pipeline.CHECKS]
# The gates of convert.check are no functions of a case alone.
_OTHERS = [operators.ONNX_RUNTIME, operators.TENSORRT, script.RULE]

RULES: tuple[Rule, ...] = tuple(
    sorted({rule.id: rule for rule in (*_OF_CONFIGS, *_OF_APPS, *_OTHERS)}.values(), key=lambda rule: rule.id)
)
