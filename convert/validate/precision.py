"""What FP16 changes in a model's answers, measured on the CPU.

The shipped model is run as it is, and once more with every number rounded to float16: its constants, its input and the
result of every node (`in_half`). Sums inside a node stay float32. An engine differs in both directions: TensorRT merges
nodes, which leaves out roundings, and a GPU may add up in float16. So it is an estimate: near ties it shows how often a
decision can change, and it finds numbers that float16 cannot hold.

Of a detector the network's raw outputs are measured, as in `convert.validate.comparison`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, numpy_helper, shape_inference

from convert.graph.graph import GraphEditor, load_model, without_weights
from convert.graph.quantized import layers
from convert.heads import head
from convert.types import Agreement, PrecisionEvidence
from convert.validate import runtimes
from convert.validate.comparison import raw_names, reference_decoder, with_raw
from convert.validate.findings import CALIBRATED
from convert.validate.inputs import as_nvinfer
from convert.validate.predictions import Predictions, agreement, least_score, predicted_by_both, predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

    from convert.findings import Finding
    from convert.isolation import Worker
    from convert.types import Adapted

_MOST_KEPT = 16  # nodes that a user can be asked to keep in float32; with more there is little left to gain
_LARGEST = float(np.finfo(np.float16).max)  # 65504

_FIXED = {("Resize", 1), ("Resize", 2), ("Upsample", 1)}
"""Inputs that decide a shape: TensorRT reads them when it builds, in float32."""


def in_half(model: ModelProto, keep: Collection[str] = ()) -> tuple[str, ...]:
    """Round all numbers of `model` to float16; what is computed with them stays float32.

    Behind its own outputs it gets one for each rounded result, a scalar: the largest absolute value, infinite where
    float16 cannot hold it.

    Args:
        keep: names (`node_name`) of nodes whose weights and results are not rounded.

    Returns:
        Whose results these are, in the graph's order.
    """
    inferred = shape_inference.infer_shapes(without_weights(model), data_prop=True).graph
    floats = {
        value.name
        for value in (*inferred.value_info, *inferred.output, *inferred.input)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    editor = GraphEditor(model)
    nodes = editor.nodes()
    halves: dict[str, str] = {}
    names = []
    for value in model.graph.input:
        if value.name in floats and value.name not in editor.tensors:
            name = editor.new_name("rounded")
            editor.redirect(value.name, name)
            _round(editor, value.name, name)
    for node in nodes:
        name = node_name(node)
        if name in keep:
            continue
        inputs = list(node.input)
        for place, tensor in enumerate(inputs):
            value = editor.tensors.get(tensor)
            if value is not None and value.data_type == TensorProto.FLOAT and (node.op_type, place) not in _FIXED:
                if tensor not in halves:
                    halves[tensor] = editor.add_constant(_rounded(numpy_helper.to_array(value)))
                inputs[place] = halves[tensor]
        editor.set_inputs(node, inputs)
        for place, output in enumerate(node.output):
            if output in floats:
                inner = editor.new_name("exact")
                node.output[place] = inner
                editor.producers[inner] = node
                _round(editor, inner, output)
                (size,) = editor.add("Abs", [output]).output
                (most,) = editor.add("ReduceMax", [size], keepdims=0).output
                model.graph.output.add(name=most).type.tensor_type.elem_type = TensorProto.FLOAT
                names.append(name)
    editor.outputs = {value.name for value in model.graph.output}
    editor.store()
    return tuple(names)


def node_name(node: NodeProto) -> str:
    """As TensorRT's ONNX parser calls its layer (getNodeName in onnx2trt_utils.cpp of onnx-tensorrt)."""
    return str(node.name or f"node_of_{node.output[0]}")


def _round(editor: GraphEditor, name: str, output: str) -> None:
    (half,) = editor.add("Cast", [name], to=TensorProto.FLOAT16).output
    editor.add("Cast", [half], output, to=TensorProto.FLOAT)


def _rounded(values: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


class _Network:
    """The part of a shipped model that decides, in one process: of a detector up to its raw outputs.

    Attributes:
        names: of its nodes with float results, in the graph's order; known once `half` was called.
    """

    def __init__(self, adapted: Adapted, worker: Worker, timeout: float) -> None:
        self._task, self._before = adapted.head.task, adapted.preprocessing
        self._spec = head(self._task)
        self._decoder = reference_decoder(adapted, worker, timeout) if self._spec.detects else None
        self._least = least_score(adapted)
        model = load_model(with_raw(adapted.onnx.data))
        if raw := raw_names(adapted.onnx.data):
            outputs = {value.name: value for value in model.graph.output}
            kept = [outputs[name] for name in raw]
            del model.graph.output[:]
            model.graph.output.extend(kept)
        editor = GraphEditor(model)
        editor.store()  # without what decodes them
        makers = editor.producers
        self._takes = {
            node_name(node): {node_name(makers[name]) for name in node.input if name in makers}
            for node in editor.nodes()
        }
        self._data, self._outputs = model.SerializeToString(), len(model.graph.output)
        self.names: tuple[str, ...] = ()

    def plain(self) -> Callable[[NDArray[np.uint8]], tuple[Predictions, set[str]]]:
        """What the model predicts for pictures [n,H,W,C]; no node overflows."""
        session = runtimes.load(self._data)
        return lambda pictures: (self._predict(self._run(session, pictures)), set())

    def half(self, keep: Collection[str] = ()) -> Callable[[NDArray[np.uint8]], tuple[Predictions, set[str]]]:
        """The same in float16, and the nodes whose results are beyond it though what they take is not."""
        model = load_model(self._data)
        names = in_half(model, keep)
        self.names = self.names or tuple(dict.fromkeys(names))
        session = runtimes.load(model.SerializeToString(), optimized=False)

        def run(pictures: NDArray[np.uint8]) -> tuple[Predictions, set[str]]:
            outputs = self._run(session, pictures)
            sources = set()
            for most in zip(*outputs[self._outputs :], strict=True):  # of each picture
                beyond = {name for name, each in zip(names, most, strict=True) if not np.isfinite(each)}
                sources |= {name for name in beyond if beyond.isdisjoint(self._takes[name])}
            return self._predict(outputs[: self._outputs]), sources

        return run

    def compare(self, left: Predictions, right: Predictions) -> Agreement:
        """How often the two decide alike."""
        return agreement(left, right, least=self._least)

    def _run(self, session: Any, pictures: NDArray[np.uint8]) -> list[NDArray[Any]]:
        rows = [runtimes.run_onnx(session, as_nvinfer(pictures[n : n + 1], self._before)) for n in range(len(pictures))]
        return [np.concatenate([np.atleast_1d(each) for each in column]) for column in zip(*rows, strict=True)]

    def _predict(self, outputs: Sequence[NDArray[Any]]) -> Predictions:
        finite = [np.nan_to_num(each, nan=0.0, posinf=_LARGEST, neginf=-_LARGEST) for each in outputs]
        return predictions(
            self._task, self._decoder, finite if self._decoder is None else self._spec.as_original(finite)
        )


def half_evidence(
    adapted: Adapted, chunks: Iterable[NDArray[np.uint8]], worker: Worker, timeout: float
) -> PrecisionEvidence:
    """The row "fp16": how the shipped model decides in float16 beside float32.

    Args:
        chunks: pictures [n,H,W,C] of the shipped model's size.
        worker: reads the anchors of an SSD, in `timeout` seconds.

    Raises:
        ValidationError: ONNX Runtime cannot run the model.
    """
    network = _Network(adapted, worker, timeout)
    plain, half = network.plain(), network.half()
    kept, wanted, found = [], [], []
    sources: set[str] = set()
    for pictures in chunks:
        kept.append(pictures)
        wanted.append(plain(pictures)[0])
        predicted, more = half(pictures)
        found.append(predicted)
        sources |= more
    first = Predictions.joined(wanted)
    measured = network.compare(first, Predictions.joined(found))
    overflow = tuple(name for name in network.names if name in sources)
    whole = replace(row("fp16", adapted.onnx.data, measured), overflow=overflow)

    def trial(keep: Collection[str]) -> tuple[bool, set[str]]:
        """Whether the decisions stay with the nodes of `keep` in float32, and which others overflow then."""
        run = network.half(keep)
        ran = [run(pictures) for pictures in kept]
        compared = network.compare(first, Predictions.joined([each for each, _ in ran]))
        return replace(whole, agreement=compared, overflow=()).is_good, set().union(*(more for _, more in ran))

    return whole if whole.is_good else replace(whole, keep=_kept(network.names, sources, trial))


def _kept(
    names: Sequence[str], sources: set[str], trial: Callable[[Collection[str]], tuple[bool, set[str]]]
) -> tuple[str, ...]:
    """The nodes that overflow and, if that does not do, the first or the last ones, as few as it takes; () where
    `_MOST_KEPT` are not enough."""
    keep: set[str] = set()
    is_good = False
    while sources and len(keep | sources) <= _MOST_KEPT:  # kept in float32, large numbers reach the next nodes
        keep |= sources
        is_good, sources = trial(keep)
    size = 1
    while not (is_good or sources) and size <= min(_MOST_KEPT - len(keep), len(names) - 1):
        for part in (names[:size], names[-size:]):
            is_good, more = trial(keep.union(part))
            if is_good and not more:
                keep |= set(part)
                break
            is_good = False
        size *= 2
    return tuple(name for name in names if name in keep) if is_good else ()


def row(
    precision: str, model: bytes, measured: Agreement | None, nodes: dict[str, int] | None = None
) -> PrecisionEvidence:
    """The row of `precision`, in which all nodes of the shipped `model` run, or `nodes`."""
    proto = load_model(model)
    sizes = {
        TensorProto.FLOAT: 2 if precision == "fp16" else 4,
        TensorProto.INT8: 1,
    }
    weights = sum(int(np.prod(each.dims)) * sizes.get(each.data_type, 0) for each in proto.graph.initializer)
    counted = Counter(node.op_type for node in proto.graph.node)
    return PrecisionEvidence(precision, weights, measured, dict(sorted(counted.items())) if nodes is None else nodes)


def calibrated_row(
    adapted: Adapted, chunks: Iterator[NDArray[np.uint8]], worker: Worker, timeout: float
) -> PrecisionEvidence:
    """The row "int8" of a calibrated model: how it decides beside the float original.

    Arguments and errors are those of `convert.validate.predictions.int8_evidence`.
    """
    first, ours = predicted_by_both(adapted, chunks, worker, timeout, (runtimes.DEFAULT,), (False,))
    nodes = layers(load_model(adapted.onnx.data)).int8
    return row("int8", adapted.onnx.data, agreement(first, ours, least=least_score(adapted)), nodes)


def calibrated_findings(row: PrecisionEvidence) -> tuple[Finding, ...]:
    """EI411 where that is too rare."""
    if row.is_good or row.agreement is None:
        return ()
    same = row.agreement
    message = f"in INT8 the same decision as the float original on {same.top1:.1%} of {same.inputs} pictures"
    return (CALIBRATED.found(f"{message}; scores differ by up to {same.max_abs_diff:.2g}", hint=CALIBRATED.fix),)
