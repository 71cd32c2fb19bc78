"""What FP16 and 8-bit codes change in a model's predictions, measured on the CPU.

The shipped model is run as it is, and once more with every number rounded to float16: its constants, its input and the
result of every node (`in_half`). Sums inside a node stay float32. An engine differs in both directions: TensorRT merges
nodes, which leaves out roundings, and a GPU may add up in float16. So it is an estimate: near ties it shows how often a
decision can change, and it finds numbers that float16 cannot hold.

Of a detector the network's raw outputs are measured, as in `convert.validate.comparison`.

A prediction is the score of each class, the best class and its box. Differently framed pictures of the same scene
cannot be compared cell by cell or candidate by candidate; predictions can. And so can models of 8-bit codes
(`int8_evidence`), where a rounding that falls the other way moves one candidate of thousands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper, shape_inference

from convert.graph.graph import GraphEditor, load_model, without_weights
from convert.graph.quantized import Layers, layers
from convert.heads import head
from convert.types import DETECTOR_THRESHOLD, Adapted, Agreement, Evidence, Int8Evidence, PrecisionEvidence
from convert.validate import CALIBRATED, KERNELS, runtimes
from convert.validate.comparison import original, raw_names, reference_decoder, run_each, seen, with_raw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.findings import Finding
    from convert.heads.decoding import ReferenceDecoder
    from convert.isolation import Worker

_OVERLAP = 0.5  # intersection over union from which on two boxes are taken for the same object's (PASCAL VOC)


@dataclass(frozen=True, eq=False)
class Predictions:
    """A model's predictions for n pictures.

    Attributes:
        scores: [n,C], the highest of each class.
        labels: [n], the class with the highest of all.
        boxes: [n,4], where that one is: left, top, right, bottom in shares of the model's picture; None for a
            classifier.
    """

    scores: NDArray[Any]
    labels: NDArray[Any]
    boxes: NDArray[Any] | None = None

    def shows(self, least: float) -> NDArray[np.bool_]:
        """[n], whether any score is at least `least`."""
        return np.asarray(self.scores.max(axis=1) >= least)

    def placed(self, places: NDArray[Any]) -> Predictions:
        """The same with boxes in shares of the frame around the model's picture.

        Args:
            places: [n,4] or [1,4]: left, top, width and height of that picture in shares of the frame.
        """
        if self.boxes is None:
            return self
        start, size = np.tile(places[:, :2], 2), np.tile(places[:, 2:], 2)
        return Predictions(self.scores, self.labels, np.clip(self.boxes, 0, 1) * size + start)

    @classmethod
    def joined(cls, parts: Sequence[Predictions]) -> Predictions:
        """Those for all pictures of `parts`, in order."""
        scores, labels = (np.concatenate([getattr(each, name) for each in parts]) for name in ("scores", "labels"))
        boxes = [each.boxes for each in parts if each.boxes is not None]
        return cls(scores, labels, np.concatenate(boxes) if boxes else None)


def predictions(task: str, decoder: ReferenceDecoder | None, raw: Sequence[NDArray[Any]]) -> Predictions:
    """The predictions of (raw) outputs [n, ...] in the original's layout, that is with heat maps NHWC.

    Args:
        decoder: of a detector; None for a classifier.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is parity's to find
        scores, boxes = head(task).prediction(decoder, raw)
    return Predictions(scores, scores.argmax(axis=1), boxes)


def agreement(left: Predictions, right: Predictions, *, least: float = 0) -> Agreement:
    """How far two models' predictions for the same pictures agree; boxes in shares of the same frame.

    They agree on a picture where they predict the same class and, detectors, their boxes overlap by half; or where both
    predict nothing, since no score of a detector is at least `least`.
    """
    same = left.labels == right.labels
    if left.boxes is not None and right.boxes is not None:
        same &= _overlap(left.boxes, right.boxes) >= _OVERLAP
        one, other = left.shows(least), right.shows(least)
        same = np.where(one & other, same, one == other)
    difference = np.abs(left.scores.astype(np.float64) - right.scores)
    return Agreement(float(same.mean()), float(difference.mean()), float(difference.max()), len(same))


def moved(left: Predictions, right: Predictions, *, least: float, size: Sequence[int]) -> float | None:
    """How far the farthest side of the best box lies apart in two models' predictions, on half of the pictures at most.

    Args:
        least: the lowest score of an object.
        size: width and height of the model's picture, in the unit of the result.

    Returns:
        None for classifiers, and where there is no picture on which both predict an object of the same class.
    """
    both = left.shows(least) & right.shows(least) & (left.labels == right.labels)
    if left.boxes is None or right.boxes is None or not both.any():
        return None
    distance = np.abs(left.boxes[both] - right.boxes[both]) * np.tile(size, 2)
    return float(np.median(distance.max(axis=1)))


_MARGIN = 0.01  # what a share of equal decisions may be below the kernels'
_SIGMAS = 2  # of the difference of two shares, which chance alone makes in one of twenty models


def measured(
    adapted: Adapted,
    evidence: Evidence,
    chunks: Iterator[NDArray[np.uint8]],
    worker: Worker,
    timeout: float,
    *,
    advise: bool = True,
) -> tuple[Evidence, tuple[Finding, ...]]:
    """`evidence` with the table of precisions, and what was found.

    A model of 8-bit codes is measured beside its original, which runs in `worker`, and that beside itself with LiteRT's
    second kernels; a calibrated one beside its float original; another one in float16 beside float32.

    Args:
        chunks: pictures [n,H,W,C] of the shipped model's size.
        timeout: seconds the original may take for a chunk.
        advise: as `half_evidence` takes it.

    Raises:
        ValidationError: one of them cannot be run.
    """
    if not adapted.has_own_codes:
        half = half_evidence(adapted, chunks, worker, timeout, advise=advise)
        return replace(evidence, precisions=table(adapted, evidence, half)), ()
    what, codes = layers(load_model(adapted.onnx.data)), None
    if adapted.export.coded:
        kinds = runtimes.DEFAULT, runtimes.BUILTIN
        shown, compared = _compared(adapted, chunks, worker, timeout, kinds, (False, True))
        (own, of_own), (plain, of_plain), (optimized, _) = compared
        boxes = None if of_plain is None or of_own is None else (of_plain, of_own)
        codes = Int8Evidence(what.int8, what.other, what.share, plain, optimized, own, boxes)
    else:
        shown, ((plain, _),) = _compared(adapted, chunks, worker, timeout, (runtimes.DEFAULT,), (False,))
    whole = replace(row("int8", adapted.onnx.data, plain, what), shown=shown)
    found = int8_findings(codes) if codes else calibrated_findings(whole)
    return replace(evidence, int8=codes, precisions=table(adapted, evidence, whole)), found


def calibrated_findings(row: PrecisionEvidence) -> tuple[Finding, ...]:
    """EI413 where that is too rare."""
    if row.is_good or row.agreement is None:
        return ()
    same = row.agreement
    message = f"in INT8 the same decision as the float original on {same.top1:.1%} of {same.inputs} pictures"
    return (CALIBRATED.found(f"{message}; scores differ by up to {same.max_abs_diff:.2g}", hint=CALIBRATED.fix),)


def _compared(
    adapted: Adapted,
    chunks: Iterator[NDArray[np.uint8]],
    worker: Worker,
    timeout: float,
    kernels: Sequence[str],
    optimized: Sequence[bool],
) -> tuple[int | None, list[tuple[Agreement, float | None]]]:
    """On how many pictures the original, with the first of LiteRT's `kernels`, finds an object, and how it decides and
    `moved` beside itself with the others, then beside the model, ONNX Runtime `optimized` or not."""
    network = _Network(adapted, worker, timeout)
    sessions = [runtimes.load(network.data, optimized=each) for each in optimized]
    found: list[list[Predictions]] = [[] for _ in (*kernels, *optimized)]
    with ThreadPoolExecutor(1) as thread:
        for pictures in chunks:
            runs = [thread.submit(network.run, session, pictures) for session in sessions]
            inside = seen(pictures, adapted)
            theirs = [original(adapted.export, inside, worker, timeout, kernels=each) for each in kernels]
            predicted = (predictions(adapted.head.task, network.decoder, raw) for raw in theirs)
            for place, each in zip(found, (*predicted, *(run.result()[0] for run in runs)), strict=True):
                place.append(each)
    first, *others = map(Predictions.joined, found)
    least, size = network.least, inside.shape[2:0:-1]
    return network.shown(first), [
        (agreement(first, each, least=least), moved(first, each, least=least, size=size)) for each in others
    ]


def int8_findings(evidence: Int8Evidence) -> tuple[Finding, ...]:
    """EI410 where the model decides otherwise than the original more often than LiteRT's own kernels do."""
    ours, own = evidence.plain, evidence.kernels
    chance = (sum(each.top1 * (1 - each.top1) for each in (ours, own)) / ours.inputs) ** 0.5
    if own.top1 - ours.top1 <= max(_MARGIN, _SIGMAS * chance):
        return ()
    message = (
        f"the same decision as the original on {ours.top1:.1%} of {ours.inputs} inputs, where two sets of LiteRT's own "
        f"kernels agree on {own.top1:.1%}; scores differ by {ours.mean_abs_diff:.2g} on average "
        f"({own.mean_abs_diff:.2g})"
    )
    return (KERNELS.found(message, hint=KERNELS.fix),)


def _overlap(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """Intersection over union of each box [n,4] with its counterpart; 0 where both are empty."""
    size = np.maximum(np.minimum(left[:, 2:], right[:, 2:]) - np.maximum(left[:, :2], right[:, :2]), 0)
    shared = size.prod(axis=1)
    areas = [np.maximum(each[:, 2:] - each[:, :2], 0).prod(axis=1) for each in (left, right)]
    either = areas[0] + areas[1] - shared
    shares: NDArray[Any] = np.divide(shared, either, out=np.zeros(len(shared)), where=either > 0)
    return shares


_MOST_KEPT = 16  # nodes that a user can be asked to keep in float32; with more there is little left to gain
_LARGEST = float(np.finfo(np.float16).max)  # 65504

_FIXED = {("Resize", 1), ("Resize", 2), ("Upsample", 1)}
"""Inputs that decide a shape: TensorRT reads them when it builds, in float32."""


def in_half(model: ModelProto, keep: Collection[str] = ()) -> tuple[str, ...]:
    """Round all numbers of `model` to float16; what is computed with them stays float32.

    Behind its own outputs it gets one for each rounded result, a scalar: the largest absolute value, infinite where
    float16 cannot hold it, and -infinity where there is none.

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
    """The part of a shipped model that decides: of a detector up to its raw outputs.

    Attributes:
        decoder: of a detector's raw outputs; None of a classifier.
        least: the lowest score of an object.
        data: the part, an ONNX model.
        names: of its nodes with float results, in the graph's order; known once `half` was called.
    """

    def __init__(self, adapted: Adapted, worker: Worker, timeout: float) -> None:
        self._task, self._before = adapted.head.task, adapted.preprocessing
        self.decoder = reference_decoder(adapted, worker, timeout) if head(self._task).detects else None
        self.least = DETECTOR_THRESHOLD if adapted.head.threshold is None else adapted.head.threshold
        model = load_model(with_raw(adapted.onnx.data))
        self._outputs = len(raw_names(adapted.onnx.data)) or len(adapted.onnx.outputs)
        del model.graph.output[: -self._outputs]
        editor = GraphEditor(model)
        editor.store()  # without what decodes them
        makers = editor.producers
        self._takes = {
            node_name(node): {node_name(makers[name]) for name in node.input if name in makers}
            for node in editor.nodes()
        }
        self.data = model.SerializeToString()
        self.names: tuple[str, ...] = ()

    def run(self, session: Any, pictures: NDArray[np.uint8]) -> tuple[Predictions, list[NDArray[Any]]]:
        """What `session`, of `data` as a rule, predicts for pictures [n,H,W,C], and its outputs [n, ...] behind."""
        outputs = run_each(session, pictures, self._before)
        finite = [np.nan_to_num(each, nan=0.0, posinf=_LARGEST, neginf=-_LARGEST) for each in outputs[: self._outputs]]
        raw = head(self._task).as_original(finite)
        return predictions(self._task, self.decoder, raw), outputs[self._outputs :]

    def shown(self, predicted: Predictions) -> int | None:
        """On how many pictures an object is found; None of a classifier."""
        return None if self.decoder is None else int(predicted.shows(self.least).sum())

    def half(self, chunks: Sequence[NDArray[np.uint8]], keep: Collection[str] = ()) -> tuple[Predictions, set[str]]:
        """What it predicts in float16 for all of `chunks`, and the nodes whose results are beyond it though what they
        take is not."""
        model = load_model(self.data)
        names = in_half(model, keep)
        self.names = self.names or tuple(dict.fromkeys(names))
        session = runtimes.load(model.SerializeToString(), optimized=False)
        ran = [self.run(session, pictures) for pictures in chunks]
        sources = set()
        for most in (row for _, largest in ran for row in zip(*largest, strict=True)):  # of each picture
            # The greatest of no numbers is -inf.
            beyond = {name for name, each in zip(names, most, strict=True) if not (np.isfinite(each) or each < 0)}
            sources |= {name for name in beyond if beyond.isdisjoint(self._takes[name])}
        return Predictions.joined([each for each, _ in ran]), sources


def half_evidence(
    adapted: Adapted, chunks: Iterable[NDArray[np.uint8]], worker: Worker, timeout: float, *, advise: bool = True
) -> PrecisionEvidence:
    """The row "fp16": how the shipped model decides in float16 beside float32.

    Args:
        chunks: pictures [n,H,W,C] of the shipped model's size.
        worker: reads the anchors of an SSD, in `timeout` seconds.
        advise: where too many decisions change, find the nodes to keep in float32, which takes as long up to ten times.

    Raises:
        ValidationError: ONNX Runtime cannot run the model.
    """
    network, pictures = _Network(adapted, worker, timeout), list(chunks)
    plain = runtimes.load(network.data)
    first = Predictions.joined([network.run(plain, each)[0] for each in pictures])
    del plain  # it holds the weights, as the next session does
    predicted, sources = network.half(pictures)
    same = agreement(first, predicted, least=network.least)
    overflow = tuple(name for name in network.names if name in sources)
    whole = replace(row("fp16", adapted.onnx.data, same), overflow=overflow, shown=network.shown(first))

    def trial(keep: Collection[str]) -> tuple[bool, set[str]]:
        """Whether the decisions stay with the nodes of `keep` in float32, and which others overflow then."""
        predicted, more = network.half(pictures, keep)
        compared = agreement(first, predicted, least=network.least)
        return replace(whole, agreement=compared, overflow=()).is_good, more

    return replace(whole, keep=_kept(network.names, sources, trial)) if advise and not whole.is_good else whole


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


PRECISIONS = ("fp32", "fp16", "int8")


def table(
    adapted: Adapted, evidence: Evidence, measured: PrecisionEvidence | None = None
) -> tuple[PrecisionEvidence, ...]:
    """A row for each of `PRECISIONS`: `measured`, and of the others what is known without running them.

    Args:
        evidence: of the model in float32, unless it has codes; of a quantized one counts how its rewriting decides.
    """
    rows = {}
    if not adapted.has_own_codes:
        same = adapted.export.agreement or evidence.parity
        decides = Agreement(same.top1, same.mean_abs_diff, same.max_abs_diff, same.inputs) if same else None
        rows["fp32"] = row("fp32", adapted.onnx.data, decides)
        rows["fp16"] = measured or row("fp16", adapted.onnx.data, None)
    elif measured is not None:
        rows["int8"] = measured
    return tuple(rows.get(name, PrecisionEvidence(name)) for name in PRECISIONS)


def row(precision: str, model: bytes, measured: Agreement | None, what: Layers | None = None) -> PrecisionEvidence:
    """The row of `precision`, in which all nodes of the shipped `model` run, or of codes what `layers` says."""
    proto = load_model(model)
    sizes = {TensorProto.FLOAT: 2 if precision == "fp16" else 4, TensorProto.INT8: 1}
    weights = sum(int(np.prod(each.dims)) * sizes.get(each.data_type, 0) for each in proto.graph.initializer)
    counted = dict(sorted(Counter(node.op_type for node in proto.graph.node).items()))
    nodes = (what.int8, what.other) if what else (counted, {})
    return PrecisionEvidence(precision, weights, measured, *nodes)
