"""The graph of an impulse: samples to features, network and anomaly score, at opset 13 or a later one of the network.

Operators are those that TensorRT 8 reads (no STFT, DFT, Loop or CumSum): frames and their transform are one convolution
with a stride. Constants are computed in float64 and rounded once. Logarithms are exact: that is nearer to training than
the approximation of Edge Impulse's SDK, which `sdk_log` gives for proofs.

The graph must not be computed in TF32 or FP16: these move features by up to a standard deviation.
"""

from __future__ import annotations

from collections.abc import Callable
from math import e, isfinite, log2, log10, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

from convert.dsp import Block, Impulse, KMeans, Mixture, blocks, motion, sound
from convert.errors import UnsupportedModelError
from convert.graph.batch import BATCH, dynamic_batch
from convert.graph.graph import GraphEditor, infer, opset_of, signature

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


SAMPLES, FEATURES, SCORES, ANOMALY = "samples", "features", "scores", "anomaly"
_OPSET = 13
_IR_VERSION = 7  # of opset 13
_SMALLEST = 2e-38  # above float32's denormal numbers, which a GPU may take for 0
_CUBIC = (1.23149591368684, -4.11852516267426, 6.02197014179219, -3.13396450166353)  # log2 in 0.5..1, as the SDK
_FURTHEST = 1000.0  # the SDK's cap of distances


class Nodes:
    """Adds nodes to a graph, one at a time; all values are float32.

    Args:
        editor: of the graph.
        sdk_log: `log10` is the SDK's approximation.
    """

    def __init__(self, editor: GraphEditor, *, sdk_log: bool) -> None:
        self.editor = editor
        self._sdk_log = sdk_log
        self._known: dict[tuple[bytes, str, tuple[int, ...]], str] = {}

    def __call__(self, operator: str, *inputs: str | float, **attributes: Any) -> str:
        """A node; returns its output. Numbers become constants."""
        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        return str(self.editor.add(operator, names, **attributes).output[0])

    def constant(self, values: ArrayLike, dtype: type = np.float32) -> str:
        """A constant; the same one is stored once."""
        array: NDArray[Any] = np.ascontiguousarray(values, dtype)
        key = (array.tobytes(), array.dtype.str, array.shape)
        if key not in self._known:
            self._known[key] = self.editor.add_constant(array)
        return self._known[key]

    def reshaped(self, name: str, *shape: int) -> str:
        """The same values in another shape; -1 is the batch, or what follows from the other sizes."""
        return self("Reshape", name, self.constant(shape, np.int64))

    def part(self, name: str, axis: int, start: int, end: int) -> str:
        """Entries `start` to before `end` of one axis."""
        return self("Slice", name, *(self.constant([each], np.int64) for each in (start, end, axis)))

    def reduced(self, how: str, name: str, *axes: int) -> str:
        """The "Max", "Mean", "Min" or "Sum" along axes, which stay with a size of 1."""
        if self.editor.opset < 18 and how != "Sum":
            return self(f"Reduce{how}", name, axes=list(axes), keepdims=1)
        return self(f"Reduce{how}", name, self.constant(axes, np.int64), keepdims=1)

    def square(self, name: str) -> str:
        """The squares."""
        return self("Mul", name, name)

    def without_zeros(self, name: str, instead: float = 1e-10) -> str:
        """Zeros replaced."""
        return self("Where", self("Equal", name, 0.0), instead, name)

    def divided(self, name: str, by: str) -> str:
        """Divided by what is not negative; 0 / 0 is 0."""
        return self("Div", name, self("Max", by, _SMALLEST))

    def log10(self, name: str) -> str:
        """Decimal logarithm of what is above 0."""
        if not self._sdk_log:
            return self("Mul", self("Log", name), log10(e))
        exponent = self("Add", self("Floor", self("Mul", self("Log", name), log2(e))), 1.0)
        # In two factors: 2^-e alone is infinite for denormal numbers.
        half = self("Floor", self("Mul", exponent, 0.5))
        fraction = name
        for part in (half, self("Sub", exponent, half)):
            fraction = self("Mul", fraction, self("Pow", 2.0, self("Sub", 0.0, part)))
        result = self("Mul", fraction, _CUBIC[0])
        for number in _CUBIC[1:-1]:
            result = self("Mul", self("Add", result, number), fraction)
        return self("Mul", self("Add", self("Add", result, _CUBIC[-1]), exponent), log10(2))

    def rows(self, samples: str, axes: tuple[int, ...], impulse: Impulse) -> str:
        """[N, L*A] interleaved as [N, axes, L]."""
        if impulse.axes == 1:
            return self.reshaped(samples, -1, 1, impulse.samples)
        return self("Transpose", self.chosen(samples, axes, impulse), perm=[0, 2, 1])

    def chosen(self, samples: str, axes: tuple[int, ...], impulse: Impulse) -> str:
        """[N, L*A] interleaved as [N, L, axes]."""
        table = self.reshaped(samples, -1, impulse.samples, impulse.axes)
        if axes == tuple(range(impulse.axes)):
            return table
        return self("Gather", table, self.constant(axes, np.int64), axis=2)

    def scaled(self, name: str, scale: float) -> str:
        """Times a number; nothing for 1."""
        return name if scale == 1 else self("Mul", name, scale)


_KINDS: dict[str, Callable[[Nodes, str, Any, Impulse], str]] = {
    "raw": motion.raw,
    "flatten": motion.flatten,
    "spectral_analysis": motion.spectral,
    "mfe": sound.mfe,
    "mfcc": sound.mfcc,
    "spectrogram": sound.spectrogram,
}
"""What makes the nodes of a kind of block: samples [N, L*A] to features [N, F], from the block's settings."""


def impulse_graph(
    impulse: Impulse,
    network: ModelProto | None,
    mixture: ModelProto | None = None,
    *,
    sdk_log: bool = False,
    step: float | None = None,
    with_features: bool = False,
) -> ModelProto:
    """The whole impulse.

    Args:
        impulse: what the graph computes.
        network: one input with F values for each window, of any shape, and one output; float32; its batch is N or 1.
            None for an impulse with an anomaly block only.
        mixture: the network of the impulse's Gaussian mixture, where its anomaly block is one: [1 or N, axes] to the
            score.
        sdk_log: with the SDK's approximation of log10 instead of an exact one.
        step: of the codes that a quantized network had for its input: features are rounded to whole multiples of it.
        with_features: give the features before that, too, as the last output.

    Returns:
        A model with the input "samples" float32 [N, L*A] and the outputs "scores" float32 [N, C] where there is a
        network, "anomaly" float32 [N, 1] where there is an anomaly block, and "features" float32 [N, F] where asked
        for.

    Raises:
        UnsupportedModelError: a block cannot be converted, or the network does not fit its features; the reason.
        TranslationError: the network cannot have a dynamic batch.
    """
    opset = _OPSET if network is None else opset_of(network)
    chain = _Chain(impulse, opset, sdk_log=sdk_log)
    if network is None and impulse.anomaly is None:
        raise UnsupportedModelError("the impulse has neither a network nor an anomaly block", hint="export it again")
    outputs, found = {}, chain.network_input()
    if network is not None:
        source = found
        if step is not None:
            whole = chain.nodes("Floor", chain.nodes("Add", chain.nodes("Mul", found, 1 / step), 0.5))
            source = chain.nodes("Mul", whole, step)
        outputs[SCORES] = chain.append(network, source, chain.size, "network")
    outputs |= chain.anomaly(mixture)
    if with_features:
        outputs[FEATURES] = found
    return chain.finish(outputs)


class _Chain:
    """The graph of one impulse while it is made."""

    def __init__(self, impulse: Impulse, opset: int, *, sdk_log: bool) -> None:
        if opset < _OPSET:
            raise UnsupportedModelError(
                f"the network is of opset {opset}, its signal processing needs {_OPSET}", hint=f"--opset {_OPSET}"
            )
        self.impulse = impulse
        self._known = {block.id: block for block in impulse.blocks}
        for each in {*impulse.sources, *((impulse.anomaly.block,) if impulse.anomaly else ())}:
            if each not in self._known:
                raise UnsupportedModelError(
                    f"the impulse has no block {each}, from which it takes features", hint="export it again"
                )
            blocks.refuse(self._known[each], impulse)
        model = ModelProto(ir_version=_IR_VERSION, opset_import=[helper.make_operatorsetid("", opset)])
        model.graph.name = "impulse"
        size = impulse.samples * impulse.axes
        model.graph.input.append(helper.make_tensor_value_info(SAMPLES, TensorProto.FLOAT, [BATCH, size]))
        self.nodes = Nodes(GraphEditor(model), sdk_log=sdk_log)
        self._features: dict[int, str] = {}

    @property
    def size(self) -> int:
        """How many features the network takes."""
        return sum(self._known[each].size for each in self.impulse.sources)

    def features(self, block: Block) -> str:
        """[N, size], normalised where the block has that."""
        if block.id not in self._features:
            nodes = self.nodes
            result = _KINDS[block.kind](nodes, SAMPLES, blocks.settings(block, self.impulse), self.impulse)
            if block.normalisation:
                mean, scale = (nodes.constant([each]) for each in block.normalisation)
                result = nodes("Mul", nodes("Sub", result, mean), scale)
            self._features[block.id] = result
        return self._features[block.id]

    def network_input(self) -> str:
        """[N, F] of all blocks the network takes, in order."""
        if not self.impulse.sources:
            raise UnsupportedModelError("no block of the impulse gives features to anything", hint="export it again")
        parts = [self.features(self._known[each]) for each in self.impulse.sources]
        return parts[0] if len(parts) == 1 else self.nodes("Concat", *parts, axis=1)

    def anomaly(self, mixture: ModelProto | None) -> dict[str, str]:
        """The output of the anomaly block [N, 1], by name; nothing without one."""
        block = self.impulse.anomaly
        if block is None:
            return {}
        nodes, source = self.nodes, self._known[block.block]
        if not block.axes or not all(0 <= axis < source.size for axis in block.axes):
            message = f"the anomaly block takes features that are not among the {source.size} of block {source.id}"
            raise UnsupportedModelError(message, hint="export it again")
        chosen = nodes("Gather", self.features(source), nodes.constant(block.axes, np.int64), axis=1)
        if isinstance(block, Mixture):
            if mixture is None:
                raise UnsupportedModelError("the network of the anomaly block is missing", hint="export it again")
            score = self.append(mixture, chosen, len(block.axes), "mixture")
            return {ANOMALY: nodes.reshaped(score, -1, 1)}
        return {ANOMALY: _distance(nodes, chosen, block)}

    def append(self, model: ModelProto, source: str, size: int, name: str) -> str:
        """Another model's nodes behind `source` [N, size]; returns its output as [N, C]."""
        (value, *more), outputs = (list(each) for each in (model.graph.input, model.graph.output))
        given, shape = signature(value), signature(value).shape
        fits = len(shape) > 1 and shape[0] in {1, None} and prod(each or 0 for each in shape[1:]) == size
        if not fits or given.dtype != "float32" or more or len(outputs) != 1:
            raise UnsupportedModelError(
                f"the {name} takes {given.dtype} {list(shape)}; the blocks give {size} features", hint="export it again"
            )
        if opset_of(model) != self.nodes.editor.opset:
            raise UnsupportedModelError("network and anomaly block are of different opsets", hint="give one --opset")
        if shape[0] == 1:
            model = dynamic_batch(ModelProto.FromString(model.SerializeToString()))
            (value,), outputs = model.graph.input, list(model.graph.output)
        editor = self.nodes.editor
        editor.model.ir_version = max(editor.model.ir_version, model.ir_version)
        if len(shape) != 2:
            source = self.nodes.reshaped(source, -1, *(int(each or 0) for each in shape[1:]))
        names = {value.name: source}
        for tensor in model.graph.initializer:
            copied = TensorProto()
            copied.CopyFrom(tensor)
            copied.name = names[tensor.name] = editor.new_name(f"{name}/{tensor.name}")
            editor.tensors[copied.name] = copied
        for node in model.graph.node:
            made = editor.add_like(node, [names.get(each, each) for each in node.input])
            made.name = f"{name}/{node.name}" if node.name else ""
            names.update(zip(node.output, made.output, strict=True))
        result, shape = names[outputs[0].name], signature(outputs[0]).shape
        return result if len(shape) == 2 else self.nodes.reshaped(result, -1, prod(each or 0 for each in shape[1:]))

    def finish(self, outputs: dict[str, str]) -> ModelProto:
        """The model, with these outputs."""
        editor = self.nodes.editor
        editor.outputs.update(outputs)
        editor.model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs)
        for name, source in outputs.items():
            editor.replace(editor.add("Identity", [source], name), source)
        shapes = infer(editor)
        for value in editor.model.graph.output:
            value.type.CopyFrom(shapes.types[value.name])
            value.type.tensor_type.shape.dim[0].dim_param = BATCH
        editor.store()
        return editor.model


def _distance(nodes: Nodes, chosen: str, block: KMeans) -> str:
    """[N, axes] to [N, 1]: to the nearest cluster's edge, at most 1000."""
    rows = (block.mean, block.scale, *block.centroids)
    fits = 0 < len(block.radii) == len(block.centroids) and {len(row) for row in rows} == {len(block.axes)}
    if not fits or 0 in block.scale or not all(isfinite(each) for row in (*rows, block.radii) for each in row):
        raise UnsupportedModelError("the clusters of the anomaly block do not fit its axes", hint="export it again")
    scaled = nodes("Div", nodes("Sub", chosen, nodes.constant([block.mean])), nodes.constant([block.scale]))
    apart = nodes("Sub", nodes.reshaped(scaled, -1, 1, len(block.axes)), nodes.constant([block.centroids]))
    length = nodes("Sqrt", nodes.reduced("Sum", nodes.square(apart), 2))  # [N, clusters, 1]
    beyond = nodes("Sub", length, nodes.constant(np.asarray(block.radii)[None, :, None]))
    return nodes.reshaped(nodes("Min", nodes.reduced("Min", beyond, 1), _FURTHEST), -1, 1)
