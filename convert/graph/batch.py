"""Gives a model made for one picture a batch dimension `N`, so that Gst-nvinfer's batch-size can be anything.

nvinfer overwrites the batch dimension of every ONNX input with -1 (nvdsinfer_model_builder.cpp), whatever the file
says; a 1 baked into a Reshape target, a Slice or a constant then fails on the device or mixes pictures. The rule kept
here: a tensor that depends on the input has the batch in exactly one dimension, as N * factor, N outermost. The graph
is walked once at batch 1 and at an odd large batch, which tells the batch from every other size;
`convert.graph.batchrules` has what each operator does. Every shape comes from ONNX's own inference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.errors import TranslationError
from convert.graph.batchrules import Place, Refused, Visit, apply_rule
from convert.graph.model import Wiring
from convert.graph.reshapes import merge_reshapes
from convert.graph.shapes import Shapes
from convert.graph.unfold import unfold

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, ValueInfoProto

__all__ = ["BATCH", "dynamic_batch"]

BATCH = "N"
_MANY = 7919  # a prime, so that no division inside the graph happens to come out even


def dynamic_batch(model: ModelProto) -> ModelProto:
    """A pass: [1, ...] becomes [N, ...] at the input and at every output; everything else stays static.

    Raises:
        TranslationError: a node mixes pictures, keeps a batch of 1, or has a shape that is only known when it runs;
            an output does not depend on the input.
    """
    model = merge_reshapes(model)
    wiring = Wiring(model)
    (source,) = model.graph.input
    walk = _Walk(wiring, source.name)
    for node in wiring.nodes():
        walk.visit(node)
    for value in [source, *model.graph.output]:
        if walk.places.get(value.name) != Place(0, 1):
            raise _hopeless(f"its output {value.name} does not hold one entry for each picture")
    wiring.store()
    for value in [source, *model.graph.output]:
        _declare(value, walk.one[value.name])
    return model


class _Walk:
    """Shapes at both batch sizes, and where the batch is, as far as the walk has come."""

    def __init__(self, wiring: Wiring, source: str) -> None:
        self._wiring = wiring
        self.one = Shapes(wiring, 1)
        self._many = Shapes(wiring, _MANY)
        self.places: dict[str, Place] = {source: Place(0, 1)}

    def visit(self, node: NodeProto) -> None:
        """Rewrite `node` where it needs it, and see where its outputs have the batch."""
        self.one.add(node)
        if not any(name in self.places for name in node.input):
            self._many.add(node)
            return
        label = f"{node.op_type} ({node.name or node.output[0]})"
        if any(name not in self.one for name in node.output if name):
            raise _hopeless(f"{label} makes a tensor whose size is only known when it runs")
        try:
            self._keep(node)
        except Refused as first:
            try:
                for added in unfold(Visit(self._wiring, node, self.one, self.places)):
                    self._enter(added)
            except Refused as second:
                raise _hopeless(f"{label} {first}, and {second}") from second

    def _keep(self, node: NodeProto) -> None:
        """Let the node stay, with a baked-in 1 taken out of it."""
        wanted = {name: self.one[name] for name in node.output if name}
        before = list(node.input)
        for added in apply_rule(Visit(self._wiring, node, self.one, self.places)):
            self._enter(added)
        if list(node.input) == before:
            self._find(node)
            return
        self._enter(node)
        if wanted != {name: self.one[name] for name in wanted}:
            raise Refused("changes its shape")

    def _enter(self, node: NodeProto) -> None:
        """A node that `visit` has not seen in this form."""
        try:
            self.one.add(node)
        except TranslationError as error:
            raise Refused(f"cannot be written otherwise ({error})") from error
        self._find(node)

    def _find(self, node: NodeProto) -> None:
        """Where the node's outputs have the batch."""
        try:
            self._many.add(node)
        except TranslationError as error:
            raise Refused(f"works for one picture only ({error})") from error
        if any(name in self.places for name in node.input):
            found = {name: _place(self.one[name], self._many[name]) for name in node.output if name}
            self.places.update(found)


def _place(one: tuple[int, ...], many: tuple[int, ...]) -> Place:
    changed = [axis for axis, sizes in enumerate(zip(one, many, strict=True)) if sizes[0] != sizes[1]]
    if len(changed) != 1 or many[changed[0]] != one[changed[0]] * _MANY:
        raise Refused("does not keep pictures apart")
    return Place(changed[0], one[changed[0]])


def _hopeless(reason: str) -> TranslationError:
    return TranslationError(
        f"the model cannot be given a dynamic batch: {reason}",
        hint="Gst-nvinfer makes the batch of every model dynamic; export a model without this operation",
    )


def _declare(value: ValueInfoProto, shape: tuple[int, ...]) -> None:
    dims = value.type.tensor_type.shape.dim
    del dims[:]
    for size in shape:
        dims.add().dim_value = size
    dims[0].dim_param = BATCH
