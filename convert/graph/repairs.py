"""Mistakes of tf2onnx 1.17.0 on its TFLite path, put right before it is used.

Dense layers (`TflFullyConnectedOp.to_tf`): where the input has more than two dimensions and `keep_num_dims` is not set,
tf2onnx flattens it and forgets the bias in doing so. It converts without a word and computes something else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["repair"]

_DENSE = "TFL_FULLY_CONNECTED"


def repair() -> None:
    """Wrap what is wrong; a second call does nothing. tf2onnx must be importable (`convert.graph.standin`)."""
    from tf2onnx.handler import tfl_op  # noqa: PLC0415 - only in the worker, and only after TensorFlow is settled

    mapping = tfl_op.create_tfl_to_tf_mapping()
    original, options = mapping[_DENSE]
    if getattr(original, "repaired", False):
        return

    def dense(ctx: Any, node: Any, **words: Any) -> None:
        """Flatten the input here, bias and all, so that tf2onnx has nothing left to flatten."""
        weights = ctx.get_shape(node.input[1])
        if node.attr["keep_num_dims"].i == 0 and ctx.get_rank(node.input[0]) != 2 and weights and weights[-1] > 0:
            name = f"{node.name}_rows"
            shape = ctx.make_const(f"{name}_shape", np.array([-1, weights[-1]], np.int64))
            rows = ctx.make_node(
                "Reshape",
                [node.input[0], shape.output[0]],
                name=name,
                shapes=[[-1, weights[-1]]],
                dtypes=[ctx.get_dtype(node.input[0])],
            )
            rows.skip_conversion = True
            ctx.replace_inputs(node, [rows.output[0], *node.input[1:]])
        original(ctx, node, **words)

    dense.repaired = True  # type: ignore[attr-defined]
    mapping[_DENSE] = (dense, options)
