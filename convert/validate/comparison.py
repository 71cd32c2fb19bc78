"""Compares the original and the ONNX model on the same pictures.

Outputs (`Tally`): of a detector the raw ones, which stay inside the graph under the names of
`HeadSpec.raw`: what comes behind them has steps (the best class, the highest cell), across which no tolerance makes
sense. Differences are absolute, in output units. For probabilities 1e-4 is a hundredth of a percent, and the kernels of
LiteRT alone spread by 3e-5.

Decoding (`Decoding`): what comes behind the raw outputs is compared with the head's reference (`convert.heads`) on the
same raw values, so that only the last bits of exp and sigmoid may differ.

Batches (`measure`): nvinfer runs batches whatever the file says, so batches are compared with the same pictures one at
a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import ValidationError
from convert.findings import Finding, Rule
from convert.heads import HEADS, head
from convert.images import ImageScaling
from convert.isolation import LARGE, Worker
from convert.onnx_header import field_of, parse_header
from convert.types import Adapted, BatchParity, Export, ModelFormat, Parity, Preprocessing
from convert.validate import CONSTANT, runtimes
from convert.validate.inputs import as_nvinfer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.heads.decoding import ReferenceDecoder

    Floats = NDArray[np.float32]

NOT_FINITE = Rule("EI405")
PARITY = Rule("EI403")
TOP1 = Rule("EI404")


def align(reference: Floats, candidate: NDArray[Any]) -> NDArray[Any]:
    """`candidate` in the layout of `reference` [n, ..., classes].

    Shapes that are equal are compared as they are; [n,C,H,W] is turned to [n,H,W,C]; what only differs in dimensions of
    one ([n,C] and [n,C,1,1]) is reshaped.

    Raises:
        ValidationError: neither of these.
    """
    if candidate.shape == reference.shape:
        return candidate
    if candidate.ndim == reference.ndim == 4:
        turned = candidate.transpose(0, 2, 3, 1)
        if turned.shape == reference.shape:
            return turned
    if [size for size in candidate.shape if size != 1] == [size for size in reference.shape if size != 1]:
        return candidate.reshape(reference.shape)
    raise ValidationError(
        f"the ONNX model's output {list(candidate.shape[1:])} cannot be compared with the original's "
        f"{list(reference.shape[1:])}",
        hint="give validate the .tflite that this ONNX model was made from",
    )


class Tally:
    """What is known after any number of inputs; outputs are added in chunks so that memory stays small.

    Args:
        tolerance: the largest absolute difference that is still right; two classes the original tells apart by no more
            than this are a tie.
        ranked: of each output, whether its last dimension is classes; by default all are.
        exact: differences beyond the tolerance are a fault. They are none between two ways to compute with 8-bit codes,
            where a rounding that falls the other way moves a result by a whole step.
        middle: then, what the middle one of all inputs may differ by, as a share of the largest value.
    """

    def __init__(
        self, tolerance: float, *, ranked: Sequence[bool] | None = None, exact: bool = True, middle: float = math.inf
    ) -> None:
        self.tolerance, self.ranked, self.exact, self.middle = tolerance, ranked, exact, middle
        self.inputs = self._values = self._ranked = self._agreed = 0
        self._worst = self._sum = self._largest = 0.0
        self._where = ""
        self._each: list[float] = []
        self._broken: dict[str, str] = {}
        self._range: list[tuple[NDArray[Any], NDArray[Any]]] = []

    def add(self, names: Sequence[str], reference: Sequence[Floats], candidate: Sequence[NDArray[Any]]) -> None:
        """Outputs [n, ...] of both models, in the same order, for the n inputs called `names`.

        Raises:
            ValidationError: the two have different outputs.
        """
        if len(reference) != len(candidate):
            message = f"the ONNX model has {len(candidate)} outputs and the original has {len(reference)}"
            raise ValidationError(message, hint="give validate the .tflite that this ONNX model was made from")
        self.inputs += len(names)
        for number, (left, right) in enumerate(zip(reference, candidate, strict=True)):
            self._compare(names, left, align(left, right), ranked=self.ranked is None or self.ranked[number])
            low, high = left.min(axis=0), left.max(axis=0)
            if number == len(self._range):
                self._range.append((low, high))
            else:
                known = self._range[number]
                self._range[number] = (np.minimum(low, known[0]), np.maximum(high, known[1]))

    def parity(self) -> Parity | None:
        """The numbers; None where NaN or infinity makes them meaningless."""
        if self._broken or not self._values:
            return None
        top1 = self._agreed / self._ranked if self._ranked else 1.0
        return Parity(self._worst, self._sum / self._values, top1, self.inputs, self.tolerance, self.exact)

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with them, worst first."""
        if self._broken:
            return tuple(NOT_FINITE.found(text, hint=NOT_FINITE.fix) for text in self._broken.values())
        found = []
        if self.exact and self._worst > self.tolerance:
            message = (
                f"outputs differ by up to {self._worst:.3g} (mean {self._sum / self._values:.3g}) from the original's "
                f"over {self.inputs} inputs, most on {self._where!r}; the tolerance is {self.tolerance:g}"
            )
            hint = "check --image-scaling; otherwise report the model"
            # Float32 keeps about seven digits: of numbers far above 1 no converter keeps four decimals.
            if self._worst <= self.tolerance * self._largest:
                hint = (
                    f"the outputs are no probabilities, they reach {self._largest:.3g}: "
                    f"--tolerance {1.1 * self.tolerance * self._largest:.2g} asks for the same precision"
                )
            found.append(PARITY.found(message, hint=hint))
        middle = float(np.median(self._each)) if self._each else 0.0
        if not self.exact and middle > self.middle:
            message = (
                f"rounded alike, outputs still differ by {middle:.1%} of their largest value on half of all inputs"
            )
            found.append(
                PARITY.found(message, hint="leave it out with --rounding none; otherwise check --image-scaling")
            )
        if self.exact and self._agreed < self._ranked:
            missed = self._ranked - self._agreed
            found.append(TOP1.found(f"top-1 differs in {missed} of {self._ranked} answers", hint=TOP1.fix))
        for number, (low, high) in enumerate(self._range):
            # A constant in the middle of the range is off by half the range at most.
            spread = float((high - low).max(initial=0.0))
            if self.inputs >= 2 and spread <= 2 * self.tolerance:
                message = (
                    f"output {number} of the original moves by {spread:.2g} over {self.inputs} inputs, which a "
                    f"tolerance of {self.tolerance:g} cannot tell from a constant"
                )
                found.append(CONSTANT.found(message, hint=CONSTANT.fix))
        return tuple(found)

    def _compare(self, names: Sequence[str], left: Floats, right: NDArray[Any], *, ranked: bool) -> None:
        finite = True
        for model, values in (("the original", left), ("the ONNX model", right)):
            ok = np.isfinite(values).reshape(len(names), -1).all(axis=1)
            if not ok.all():
                finite = False
                first = names[int(np.argmin(ok))]
                self._broken.setdefault(model, f"{model} gives NaN or infinity, first on input {first!r}")
        if not finite or not left.size:
            return
        difference = np.abs(left.astype(np.float64) - right).reshape(len(names), -1)
        worst = difference.max(axis=1)
        if worst.max() > self._worst:
            self._worst, self._where = float(worst.max()), names[int(worst.argmax())]
        self._sum += float(difference.sum())
        self._values += difference.size
        largest = float(np.abs(left).max())
        self._each += (worst / max(largest, self.tolerance)).tolist()
        self._largest = max(self._largest, largest)
        classes = left.shape[-1]
        if ranked and classes > 1:
            # Where the class the ONNX model ranks first is first, or as good as first, in the original.
            left, right = left.reshape(-1, classes), right.reshape(-1, classes)
            chosen = np.take_along_axis(left, right.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]
            self._agreed += int((left.max(axis=1) - chosen <= self.tolerance).sum())
            self._ranked += len(left)


BATCH = Rule("EI407")
DECODING = Rule("EI440")
PLACES = Rule("EI441")

TOLERANCE = 1e-5
"""Of decoding and batches, times the largest value where that is above 1. Kernels may sum in another order for another
batch, which moves float32 by a few units in the last place (1e-7 of the largest value); mixed pictures move it by far
more."""

_RAW = dict.fromkeys(name for each in HEADS for name in each.raw)
# Where the middle of all candidates' centres can be, in shares of the picture: about 0.5, unless pixels are taken for
# shares (16 or more) or shares for pixels (0.03 or less, from 16 pixels on).
_SPREAD = (0.04, 2.0)


def raw_names(model: bytes) -> tuple[str, ...]:
    """The raw outputs that the graph of a detector goes on behind, in the original's order; none for a classifier."""
    made = {name for node in parse_header(model).nodes for name in node.outputs}
    return tuple(name for name in _RAW if name in made)


def with_raw(model: bytes, names: Sequence[str] = ()) -> bytes:
    """The model with its raw outputs, `names` where they are known, among its outputs, behind the others.

    Written without onnx, which serving a bundle does without: readers of protobuf merge what stands behind a message
    into it, so `ModelProto{graph{output{...}}}` adds outputs (float32 without a shape).

    Raises:
        InputError: not an ONNX model.
    """
    float_type = field_of(2, field_of(1, b"\x08\x01"))  # ValueInfoProto.type, TypeProto.tensor_type, elem_type FLOAT
    outputs = (field_of(12, field_of(1, name.encode()) + float_type) for name in names or raw_names(model))
    return model + field_of(7, b"".join(outputs))


class Decoding:
    """What is known after any number of inputs. `difference`: the largest so far."""

    def __init__(self, decoder: ReferenceDecoder) -> None:
        self.decoder = decoder
        self.difference = 0.0
        self._where = ""
        self._labels = 0
        self._middles: list[NDArray[Any]] = []

    def add(self, names: Sequence[str], raw: Sequence[NDArray[Any]], shipped: Sequence[NDArray[Any]]) -> None:
        """The outputs [n, ...] of one model for the n inputs called `names`: `raw` ones and those `shipped`."""
        with np.errstate(over="ignore", invalid="ignore"):  # infinite raw outputs are parity's to find
            decoded = head(self.decoder.head.task).decoded(self.decoder, raw, shipped)
            self._labels += decoded.labels
            self._middles += decoded.middles
            for left, right in zip(decoded.wanted, decoded.found, strict=True):
                self._compare(names, left, right)

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, worst first."""
        found = []
        if self._labels or self.difference > TOLERANCE:
            label = f", {self._labels} of the classes differ" if self._labels else ""
            where = f", first on {self._where!r}" if self._where else ""
            message = f"the decoded outputs differ by up to {self.difference:.3g} from what the raw ones mean"
            message += f"{label}{where}"
            found.append(DECODING.found(message, hint=DECODING.fix))
        if self._middles:
            middle = np.median(np.concatenate(self._middles), axis=0)
            if not _SPREAD[0] < middle.max() < _SPREAD[1]:
                y, x = middle
                message = (
                    f"the middle of all candidate boxes is at ({x:.3g}, {y:.3g}) of the picture's width and height"
                )
                found.append(PLACES.found(message, hint=PLACES.fix))
        return tuple(found)

    def _compare(self, names: Sequence[str], left: NDArray[Any], right: NDArray[Any]) -> None:
        """NaN and infinity in the same places are equal."""
        difference = np.abs(left - right) / np.maximum(1, np.abs(left))
        difference = np.where((left == right) | (np.isnan(left) & np.isnan(right)), 0, difference)
        rows = np.nan_to_num(difference, nan=np.inf).reshape(len(names), -1).max(axis=1)
        if rows.max() > self.difference:
            self.difference, self._where = float(rows.max()), names[int(rows.argmax())]


_MIDDLE = 0.03
"""Of the middle input, where every activation is rounded: on five real models 0 to 0.4 %, a step of their outputs."""

_INNER, _INNER_STEPPED = 4, 32
"""Pictures for the model without the crop: an edge, noise and two scenes. It has the same weights as the other one.
Where activations are rounded the middle of many counts, as for the other one: of the first chunk at most."""


class Comparison:
    """Pictures are added in chunks, so that memory stays small.

    Attributes:
        tally: of the outputs, a detector's raw ones.
        decoding: of a detector's shipped outputs; None for a classifier.
        first_size: how many of the first pictures are kept, and the greatest batch of them that is run.
        first: of the first chunk, `first_size` pictures at most: [k,H,W,C], and the outputs of `session` for each,
            [k, ...].
        inner: of the first pictures, where there is a model without the crop: their names, what the original got of
            them, and its outputs, as `add_known` takes them.

    Args:
        decoder: the reference decoder of a detector, where it is known.
        worker: where the original runs, for at most `timeout` seconds a chunk.
        tolerance: the largest absolute difference that is still right.
    """

    def __init__(
        self,
        adapted: Adapted,
        worker: Worker,
        timeout: float,
        tolerance: float,
        *,
        first_size: int,
        decoder: ReferenceDecoder | None = None,
    ) -> None:
        self.first: tuple[NDArray[np.uint8], list[NDArray[Any]]] | None = None
        self.inner: tuple[Sequence[str], NDArray[np.uint8], list[Floats]] | None = None
        self._adapted, self._worker, self._timeout, self.first_size = adapted, worker, timeout, first_size
        self._shipped = len(adapted.onnx.outputs)
        middle = math.inf if adapted.has_own_codes else _MIDDLE
        self.tally = Tally(tolerance, exact=not adapted.has_steps, middle=middle)
        self.decoding: Decoding | None = None
        self._raw = raw_names(adapted.onnx.data) if head(adapted.head.task).raw else ()
        if self._raw:
            self.decoding = Decoding(decoder or reference_decoder(adapted, worker, timeout))

    @cached_property
    def session(self) -> Any:
        """Of the shipped model, with a detector's raw outputs behind the others."""
        model = self._adapted.onnx
        return runtimes.load(model.loadable if self.decoding is None else with_raw(model.data, self._raw))

    def add(self, names: Sequence[str], pictures: NDArray[np.uint8]) -> None:
        """Run both on `pictures` [n,H,W,C] of the shipped model's size; the original on what that one cuts out.

        Raises:
            ValidationError: one of them cannot be run, or their outputs cannot be compared.
        """
        inside = seen(pictures, self._adapted)
        wanted, outputs = self._both(inside, pictures)
        if self.first is None and self._adapted.for_objects is not None:
            few = slice(_INNER if self.tally.exact else _INNER_STEPPED)
            self.inner = names[few], inside[few].copy(), [output[few] for output in wanted]
        self._compare(names, pictures, wanted, outputs)

    def add_known(self, names: Sequence[str], pictures: NDArray[np.uint8], wanted: list[Floats]) -> None:
        """As `add`, where what the original gives for `pictures` is known: its outputs `wanted` [n, ...]."""
        self._compare(names, pictures, wanted, self._run(pictures))

    def _compare(
        self, names: Sequence[str], pictures: NDArray[np.uint8], wanted: list[Floats], outputs: list[NDArray[Any]]
    ) -> None:
        """Count the outputs of both for `pictures`; `outputs` are ONNX Runtime's."""
        shipped = outputs[: self._shipped]
        if self.decoding is None:
            self.tally.add(names, wanted, shipped)
        else:
            raw = outputs[self._shipped :]
            self.decoding.add(names, raw, shipped)
            spec = head(self._adapted.head.task)
            with np.errstate(over="ignore", invalid="ignore"):  # infinity is parity's to find
                reference, self.tally.ranked = spec.comparable(self.decoding.decoder, wanted)
                candidate, _ = spec.comparable(self.decoding.decoder, spec.as_original(raw))
            self.tally.add(names, reference, candidate)
        if self.first is None:
            few = slice(self.first_size)
            self.first = pictures[few].copy(), [output[few] for output in outputs]

    def _both(self, inside: NDArray[Any], pictures: NDArray[np.uint8]) -> tuple[list[Floats], list[NDArray[Any]]]:
        """What the original gives for `inside`, in the worker, and ONNX Runtime for `pictures` meanwhile, here."""
        arguments = self._adapted.export, inside, self._worker, self._timeout
        if self._adapted.onnx.size > LARGE:  # loading takes twice what running does: not while the original runs
            self._run(pictures[:0])
        with ThreadPoolExecutor(1) as thread:
            running = thread.submit(self._run, pictures)
            return original(*arguments), running.result()

    def _run(self, pictures: NDArray[np.uint8]) -> list[NDArray[Any]]:
        return run_each(self.session, pictures, self._adapted.preprocessing)

    def decode(self, outputs: Sequence[NDArray[Any]]) -> int:
        """Compare the shipped outputs of a batch with its raw ones, where the last bit of a score moves whole boxes;
        how many these are."""
        last = self._adapted.head
        if self.decoding is None or (last.overlap is None and last.merge != "touching"):
            return 0
        names = [f"picture {number + 1} of a batch of {len(outputs[0])}" for number in range(len(outputs[0]))]
        self.decoding.add(names, outputs[self._shipped :], outputs[: self._shipped])
        return self._shipped

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, worst first."""
        return (*self.tally.findings(), *(self.decoding.findings() if self.decoding else ()))


def seen(pictures: NDArray[np.uint8], adapted: Adapted) -> NDArray[Any]:
    """What the original gets of `pictures` [n,H,W,C] of the shipped model's size: levels [n,h,w,c]."""
    framing, grey = adapted.preprocessing.framing, adapted.export.facts.input.shape[-1] == 1
    if framing is None:
        return pictures
    from convert.graph.resize import cut_out  # brings onnx, which an .eim does without

    return np.stack([cut_out(each, framing, grey=grey) for each in pictures])


def original(
    export: Export, pictures: NDArray[Any], worker: Worker, timeout: float, *, kernels: str = runtimes.DEFAULT
) -> list[Floats]:
    """What the original gives for `pictures` [n,H,W,C] of its own size: its (raw) outputs [n, ...], in graph order.

    Of a quantized model that is its rewriting in float32, unless that rounds every activation to the same codes. A
    classifier's single number has become both scores.

    Args:
        kernels: of LiteRT (`convert.validate.runtimes`).

    Raises:
        ValidationError: it cannot be run, or not in `timeout` seconds.
    """
    scaling = export.metadata.image_scaling or ImageScaling.NONE
    if export.format is ModelFormat.ONNX:
        shapes = [output.shape for output in export.facts.outputs]
        outputs = runtimes.onnx_outputs(export.model, pictures, scaling, shapes, worker, timeout)
    else:
        rounds_alike = export.coded or export.is_stepped
        model = export.original if rounds_alike and export.original else export.model
        outputs = runtimes.outputs(model, pictures, scaling, worker, timeout, kernels=kernels)
    spec = head(export.facts.task)
    return outputs if spec.raw else spec.as_graph(outputs)


def run_each(session: Any, pictures: Iterable[NDArray[np.uint8]], before: Preprocessing) -> list[NDArray[Any]]:
    """Outputs [n, ...] of a shipped model for `pictures` [H,W,C], one at a time; where each is a scalar [n].

    Raises:
        ValidationError: ONNX Runtime cannot run it.
    """
    rows = [runtimes.run_onnx(session, as_nvinfer(picture[np.newaxis], before)) for picture in pictures]
    return [np.concatenate([np.atleast_1d(each) for each in column]) for column in zip(*rows, strict=True)]


def reference_decoder(adapted: Adapted, worker: Worker, timeout: float) -> ReferenceDecoder:
    """The reference decoder of a detector's raw outputs.

    Raises:
        ValidationError: the anchors of an SSD cannot be read.
    """
    from convert.heads.decoding import ReferenceDecoder  # a classifier does without

    _, height, width = adapted.onnx.input.sides
    framing = adapted.preprocessing.framing
    if framing is not None:
        width, height = framing.model
    anchors = None
    if head(adapted.head.task).is_cut:
        anchors = runtimes.call_original("convert.heads.ssd:anchors", worker, timeout, adapted.export.model)
    return ReferenceDecoder(adapted.head, width, height, anchors, framing)


def measure(
    session: Any,
    values: Floats,
    alone: Sequence[NDArray[Any]],
    sizes: Sequence[int],
    decoded: Callable[[Sequence[NDArray[Any]]], int] | None = None,
    *,
    exact: bool = True,
) -> tuple[BatchParity | None, tuple[Finding, ...]]:
    """Run `values` in batches of `sizes`.

    Args:
        session: an `onnxruntime.InferenceSession`.
        values: float32 [k,C,H,W]; repeated from the start where a batch needs more.
        alone: every output for `values` run one at a time, [k, ...].
        sizes: how many at a time.
        decoded: gets the outputs of each batch, judges some itself, and returns how many of the first these were: of
            candidates in the order of their scores the last bit of a float decides which comes first.
        exact: every picture is judged; else, where activations are rounded, the middle one, which a batch that is mixed
            up moves, too.

    Returns:
        The largest difference over the sizes that run (None when none does), and a finding for each that is wrong.
    """
    wrong: list[str] = []
    ran: list[int] = []
    worst = 0.0
    for size in sizes:
        chosen = np.arange(size) % len(values)
        try:
            together = runtimes.run_onnx(session, values[chosen])
        except ValidationError as error:
            wrong.append(error.message)
            continue
        if other := [batch.shape for batch in together if batch.shape[:1] != (size,)]:
            wrong.append(f"a batch of {size} comes out as {list(other[0])}: the batch is not kept")
            continue
        judged = decoded(together) if decoded else 0
        wanted = [single[chosen].astype(np.float64) for single in alone[judged:]]
        rows = [
            np.abs(left - right).reshape(size, -1).max(axis=1)
            for left, right in zip(wanted, together[judged:], strict=True)
        ]
        judges = np.max if exact else np.median
        limits = [TOLERANCE * max(1.0, float(np.abs(left).max())) for left in wanted]
        greatest = [float(each.max()) for each in rows]
        if not np.isfinite(greatest).all():
            wrong.append(f"a batch of {size} gives NaN or infinity")
            continue
        ran.append(size)
        worst = max(worst, *greatest)
        if any(judges(each) > limit for each, limit in zip(rows, limits, strict=True)):
            difference = f"outputs differ by up to {max(greatest):.3g}"
            wrong.append(f"in a batch of {size} {difference} from the same pictures one at a time")
    findings = tuple(BATCH.found(message, hint=BATCH.fix) for message in wrong)
    return (BatchParity(tuple(ran), worst) if ran else None), findings
