"""What tf2onnx 1.17.0 does oftener than it needs to, done once: the same graph, in less time.

Its transpose optimiser starts over from the first node after every Transpose it has moved, and asks every node of the
graph on the way, three times, for an attribute that only Transposes have: half the time of that optimiser, a tenth of a
translation. Here only Transposes are asked, in the same order.
"""

from __future__ import annotations

from typing import Any

__all__ = ["hasten"]


def hasten() -> None:
    """Replace it; a second call does nothing. tf2onnx must be importable (`convert.graph.standin`)."""
    from tf2onnx.optimizer.transpose_optimizer import TransposeOptimizer  # noqa: PLC0415 - only in the worker

    TransposeOptimizer._optimize_at_current_graph_level = _optimise  # noqa: SLF001 - tf2onnx is pinned


def _optimise(self: Any, graph: Any) -> Any:
    """`TransposeOptimizer._optimize_at_current_graph_level`, less what it does with nodes that are no Transposes."""
    self._g = graph
    self.pre_optimize_action()
    moved = True
    while moved:
        self._force_stop = {}
        moved = _move_one(self, graph)
        if self._force_stop.get("stop") == 1:
            break
    self.merge_duplicated_transposes()
    self.post_optimize_action()
    return self._g


def _move_one(optimizer: Any, graph: Any) -> bool:
    """Move, or remove, the first Transpose that can be; the nodes are other ones afterwards."""
    from tf2onnx.optimizer.transpose_optimizer import is_useless_transpose  # noqa: PLC0415 - only in the worker

    for node in optimizer.nodes:
        if node.type != "Transpose" or not node.get_attr("perm"):
            continue
        if optimizer._handle_nhwc_tranpose(node):  # noqa: SLF001 - tf2onnx is pinned
            optimizer.graph_been_opt = True
            return True
        # It may be gone, having been copied into the branches behind it.
        if graph.get_node_by_name(node.name) is not None and is_useless_transpose(node):
            optimizer._remove_useless_tranpose(node)  # noqa: SLF001 - tf2onnx is pinned
            return True
    return False
