"""Predictions with each step done as DeepStream or as Edge Impulse does it, two of them side by side, and causes.

With no step done as Edge Impulse does it the prediction is what `simulate` shows; with all of them it is what Edge
Impulse's SDK gives. In between only the named steps differ (ablation).

The causes of a picture are the fewest steps that must be done as Edge Impulse does them for the difference to vanish.
First all steps are done its way. Then each in turn is done nvinfer's way again, and stays so where the prediction does
not change. Every step that remains is needed. Where one of two steps would do, the order decides: steps that no config
key can change are tried first, so that the cause named is one that a user can act on.

Objects are matched by overlap: intersection over union of at least one half, as PASCAL VOC counts. FOMO's boxes are
cells of a grid, which give a place but no size; cells that touch are one object, as in Edge Impulse's own merging.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.compare import Cause, ComparedObject, Pair, Prediction, Score, Verdict
from convert.heads import head
from convert.images.scaling import Placement, Rect, as_sdk, interpolate, luma, read_by_sdk, scale, sdk_luma
from convert.simulate.decode import Classified, decode
from convert.simulate.parsers import Layer
from convert.simulate.settings import ColorFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.compare.shipped import ModelPair


@dataclass
class Ablation:
    """Predictions for one picture, uint8 [H,W,3] RGB, with chosen steps done as Edge Impulse does them.

    Outputs of the networks are kept by what went in, so that steps which change nothing there cost decoding only.
    """

    models: ModelPair
    pixels: NDArray[np.uint8]
    _outputs: dict[bytes, dict[str, NDArray[Any]]] = field(default_factory=dict)
    _original_outputs: dict[tuple[bytes, bool], list[NDArray[np.float32]]] = field(default_factory=dict)
    _predictions: dict[frozenset[Cause], Prediction] = field(default_factory=dict)
    _kept: dict[frozenset[Cause], bytes] = field(default_factory=dict)

    def placement(self, done: frozenset[Cause] = frozenset()) -> Placement:
        """Where the picture lies in the network's; with framing done in the original's, where the graph resizes.

        Raises:
            InputError: nvinfer cannot scale it.
        """
        height, width = self.pixels.shape[:2]
        shipped = self.models.shipped
        if Cause.FRAMING not in done:
            return shipped.loaded.prepare.placed(width, height)
        found = self.models.edge_impulse.placed(width, height)
        left, top = found.view.offset_left + shipped.left, found.view.offset_top + shipped.top
        return replace(found, view=replace(found.view, offset_left=left, offset_top=top))

    def predict(self, done: frozenset[Cause]) -> Prediction:
        """The prediction with `done` as Edge Impulse does it, the rest as DeepStream does.

        Raises:
            InputError, ValidationError: a model fails, or the picture cannot be scaled.
        """
        if done not in self._predictions:
            detects = head(self.models.edge_impulse.task).detects
            self._predictions[done] = self._detected(done) if detects else self._classified(done)
        return self._predictions[done]

    def _detected(self, done: frozenset[Cause]) -> Prediction:
        models = self.models
        if models.by_original(done):
            found = models.original(self._outputs_of_original(done, encoded=False), done)
        else:
            found = models.outputs(self._network(done), done)
        if models.shipped.resizing is not None and Cause.FRAMING in done:
            found = tuple(models.in_original(found))
        return Prediction(objects=models.attached(found, self.placement(done), done))

    def _classified(self, done: frozenset[Cause]) -> Prediction:
        outputs, labels = self._network(done), self.models.edge_impulse.original.labels
        settings = self.models.shipped.loaded.engine.settings
        if Cause.LABELS in done:
            settings = replace(settings, labels=(labels,), classifier_parser="")
        numbers = next(iter(outputs.values())).reshape(-1)[: len(labels)]
        scores = tuple(
            Score(each, settings.attribute_label(0, each) or "", float(number)) for each, number in enumerate(numbers)
        )
        if Cause.THRESHOLD in done:  # the highest, whatever it is
            best = scores[int(np.nan_to_num(numbers, nan=-np.inf).argmax())]
            return Prediction(best.label, best.score if best.label else 0.0, scores)
        layers = [Layer.of(name, values) for name, values in outputs.items()]
        (frame,) = decode(settings, self.models.shipped.loaded.engine.network, layers).frames
        assert isinstance(frame, Classified)
        found = next((one for one in frame.attributes if one.attribute == 0 and one.label), None)
        return Prediction(found.label or "", found.confidence, scores) if found else Prediction(scores=scores)

    def _levels(self, done: frozenset[Cause]) -> NDArray[Any]:
        """Levels [H,W,C] of the network's picture, RGB or grey; the picture itself where the graph is to get that.

        They are bytes, or float32 where grey ones have fractions. Of a graph that resizes only those that it or the SDK
        reads are computed, the others are 0: a graph that reads these, too, is found to differ.
        """
        if self._is_handed_on(done):
            return self.pixels
        shipped, only = self.models.shipped, None
        placement = self.placement(done if shipped.resizing is None else done - {Cause.FRAMING})
        network = shipped.loaded.engine.network
        grey = network.channels == 1 and Cause.LUMA not in done
        if Cause.INTERPOLATION in done:
            part = self.pixels[placement.source]
            part = luma(part)[..., None] if grey else part
            levels = interpolate(part, placement.width, placement.height)
        else:
            size = network.width, network.height
            if shipped.resizing is not None and (placement.width, placement.height) == size:
                places = shipped.resizing.placement, self.models.edge_impulse.placed(*size)
                rows, columns = zip(*map(read_by_sdk, places), strict=True)
                only = np.unique(np.concatenate(rows)), np.unique(np.concatenate(columns))
            scaling_filter = shipped.loaded.prepare.settings.scaling_filter
            levels = scale(self.pixels, placement, scaling_filter, grey=grey, only=only)
        levels = _in_channels(levels, network.channels)
        whole = np.zeros((network.height, network.width, network.channels), levels.dtype)
        whole[np.ix_(*only) if only else placement.target] = levels
        return whole

    def _is_handed_on(self, done: frozenset[Cause]) -> bool:
        """Whether a graph that resizes is to get the picture itself: then it sees what Edge Impulse's model sees.

        What keeps it from that is the device's scaling alone, where it is made for frames of the picture's shape.
        """
        shipped, theirs = self.models.shipped, self.models.edge_impulse
        if shipped.resizing is None:
            return False
        height, width = self.pixels.shape[:2]
        scaled = not shipped.resizing.is_exact and shipped.resizes_as(theirs, width, height)
        return (Cause.INTERPOLATION if scaled else Cause.FRAMING) in done

    def _network(self, done: frozenset[Cause]) -> dict[str, NDArray[Any]]:
        """Outputs by name, the raw ones among them where Edge Impulse's rules need them."""
        shipped = self.models.shipped
        if Cause.MODEL in done or not self._fits(done):
            return shipped.behind(self._outputs_of_original(done, encoded=True))
        levels, raw = self._levels(done), not done.isdisjoint({Cause.MERGE, Cause.SCORE})
        key = _digest(levels) + self._conversion_key(done)
        found = self._outputs.get(key)
        if found is None or (raw and not found.keys() >= set(shipped.raw)):
            found = self._outputs[key] = shipped(self._tensor(levels, done), raw=raw)
        return found

    def _fits(self, done: frozenset[Cause]) -> bool:
        """Whether the network can take what it is to get: a graph that resizes has one way for one size."""
        resizing = self.models.shipped.resizing
        if resizing is None or not self._is_handed_on(done):
            return True
        height, width = self.pixels.shape[:2]
        return resizing.placement == self.models.edge_impulse.placed(width, height)

    def _outputs_of_original(self, done: frozenset[Cause], *, encoded: bool) -> list[NDArray[np.float32]]:
        """Of the original; of an SSD `encoded` or as its last operator gives them."""
        spec, original = head(self.models.edge_impulse.task), self.models.edge_impulse.original
        encoded = encoded and spec.is_cut
        digest, picture = self._kept.get(done), None
        if digest is None:
            picture = self.original_input(done)
            digest = _digest(picture)
        if (digest, encoded) not in self._original_outputs:
            picture = self.original_input(done) if picture is None else picture
            self._original_outputs[digest, encoded] = original.outputs(picture[None], encoded=encoded)
        return self._original_outputs[digest, encoded]

    def keep(self, done: frozenset[Cause], picture: NDArray[np.float32], outputs: list[NDArray[np.float32]]) -> None:
        """What the original gave for its input with `done`, each [1,...]: it need not run for that again."""
        self._kept[done] = _digest(picture)
        self._original_outputs[self._kept[done], False] = outputs

    def _conversion(self, done: frozenset[Cause]) -> tuple[bool, NDArray[np.float32] | None, np.float32]:
        """What makes numbers of levels: whether RGB becomes BGR, what is subtracted then, and the factor."""
        prepare, expected = self.models.shipped.loaded.prepare, self.models.shipped.expected
        swapped = expected.color == "BGR" if Cause.COLOUR in done else prepare.settings.color is ColorFormat.BGR
        if Cause.SCALING not in done:
            return swapped, prepare.mean, prepare.scale
        offsets = np.array(expected.offsets, np.float32)
        mean = offsets if prepare.settings.channels_last else offsets[:, None, None]
        return swapped, mean if expected.offsets else None, np.float32(expected.net_scale_factor)

    def _conversion_key(self, done: frozenset[Cause]) -> bytes:
        swapped, mean, factor = self._conversion(done)
        return bytes([swapped]) + factor.tobytes() + (b"" if mean is None else mean.tobytes())

    def _tensor(self, levels: NDArray[Any], done: frozenset[Cause]) -> NDArray[np.float32]:
        """The network's input, [C,H,W] or [H,W,C]."""
        swapped, mean, factor = self._conversion(done)
        pixels = levels[..., ::-1] if swapped else levels
        channels_last = self.models.shipped.loaded.prepare.settings.channels_last
        tensor = np.array(pixels if channels_last else pixels.transpose(2, 0, 1), np.float32, order="C")
        if mean is not None:
            tensor -= mean
        tensor *= factor
        return tensor

    def original_input(self, done: frozenset[Cause]) -> NDArray[np.float32]:
        """Levels [h,w,C] that give the original what the ONNX model would get."""
        high, wide, channels = self.models.edge_impulse.original.size
        shipped = self.models.shipped
        if shipped.resizing is None:
            levels = self._given_levels(done)
            part = levels[shipped.top : shipped.top + high, shipped.left : shipped.left + wide]
            return np.ascontiguousarray(part, np.float32)
        mode, anchor = shipped.resizing.mode, shipped.resizing.anchor
        if Cause.FRAMING in done:
            mode, anchor = self.models.edge_impulse.resize_mode, self.models.edge_impulse.anchor
        pixels = self._given_levels(done)
        if pixels.dtype != np.uint8:
            pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        return _in_channels(as_sdk(pixels, (wide, high), mode, anchor=anchor), channels).astype(np.float32)

    def _given_levels(self, done: frozenset[Cause]) -> NDArray[Any]:
        """Levels [H,W,C] of the network's picture, RGB or grey, that have the values which nvinfer gives it."""
        levels = self._levels(done)
        if self._conversion_key(done) == self._conversion_key(done | {Cause.COLOUR, Cause.SCALING}):
            return levels
        prepare, expected = self.models.shipped.loaded.prepare, self.models.shipped.expected
        tensor = self._tensor(levels, done)
        pixels = tensor if prepare.settings.channels_last else tensor.transpose(1, 2, 0)
        offsets = np.array(expected.offsets or (0,), np.float32)
        pixels = pixels / np.float32(expected.net_scale_factor) + offsets
        return pixels[..., ::-1] if expected.color == "BGR" else pixels


def _in_channels(levels: NDArray[np.uint8], channels: int) -> NDArray[Any]:
    """Levels [H,W,channels] of RGB or grey ones; grey with its fractions, as Edge Impulse makes it of RGB."""
    return levels if levels.shape[2] == channels else sdk_luma(levels)


def _digest(values: NDArray[Any]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(values).data, digest_size=16).digest()


def possible_causes(models: ModelPair) -> tuple[Cause, ...]:
    """What can differ for such models, in processing order."""
    task = models.edge_impulse.task
    none = {Cause.LUMA if models.shipped.loaded.engine.network.channels == 3 else Cause.COLOUR}
    resizing = models.shipped.resizing
    if resizing is not None and resizing.is_exact:  # of a frame of the right size the pixels are the same
        none.add(Cause.INTERPOLATION)
    if not head(task).detects:
        none |= {Cause.MERGE, Cause.LIMITS}
    if not head(task).by_objectness:
        none.add(Cause.SCORE)
    return tuple(cause for cause in Cause if cause not in none)


_ORDER = (
    Cause.MODEL, Cause.INTERPOLATION, Cause.LUMA, Cause.LIMITS, Cause.MERGE, Cause.SCORE, Cause.THRESHOLD,
    Cause.LABELS, Cause.SCALING, Cause.COLOUR, Cause.FRAMING,
)  # fmt: skip


def find_causes(
    ablation: Ablation, theirs: Prediction, verdict: Verdict, causes: Sequence[Cause], criteria: Criteria
) -> tuple[Cause, ...]:
    """The causes for a picture whose answers have this verdict, in processing order.

    Args:
        ablation: of the picture.
        theirs: Edge Impulse's answer.
        verdict: differs: it is enough that the same is shown; drifts: scores and boxes must agree, too.
        causes: what can differ for such a model.
        criteria: what counts as a difference.

    Raises:
        InputError, ValidationError: a model fails.
    """
    if verdict is Verdict.SAME:
        return ()
    bad = {Verdict.DIFFERS} if verdict is Verdict.DIFFERS else {Verdict.DIFFERS, Verdict.DRIFTS}
    done = frozenset(causes)
    needed: set[Cause] = set()
    for cause in (*_ORDER, *_ORDER):  # once more: what could not be computed before may be so now
        without = done - {cause}
        if cause in needed or cause not in done:
            continue
        if not ablation.models.can_predict(without):
            continue
        if compare_predictions(ablation.predict(without), theirs, criteria).verdict in bad:
            needed.add(cause)
        else:
            done = without
    return tuple(cause for cause in Cause if cause in needed)


_SAME = 0.5 - 1e-4  # nvinfer's edges are float32: a box half as wide may overlap by 0.4999993
_ELSEWHERE = 2.0  # pixels of the network's picture; Edge Impulse cuts edges to whole ones, nvinfer does not


@dataclass(frozen=True)
class Criteria:
    """What counts as a difference.

    Attributes:
        detects: objects are compared, not labels of the whole picture.
        cells: nvinfer's boxes are single cells of a grid, or enlarged: they give a place and no size.
        tolerance: of a score.
        pixel: the length of a pixel of the original's picture in pixels of the picture.
    """

    detects: bool
    cells: bool
    tolerance: float
    pixel: float


@dataclass(frozen=True)
class Outcome:
    """Two answers side by side; `largest` difference of two scores."""

    verdict: Verdict
    pairs: tuple[Pair, ...]
    largest: float


def compare_predictions(ours: Prediction, theirs: Prediction, criteria: Criteria) -> Outcome:
    """DeepStream's answer against Edge Impulse's."""
    if not criteria.detects:
        scores = zip(ours.scores, theirs.scores, strict=True)
        largest = max((_gap(one.score, other.score) for one, other in scores), default=0.0)
        if ours.label != theirs.label:
            return Outcome(Verdict.DIFFERS, (), largest)
        return Outcome(Verdict.DRIFTS if largest > criteria.tolerance else Verdict.SAME, (), largest)
    pairs = pairs_of(ours.objects, theirs.objects, criteria)
    both = ((pair.deepstream, pair.edge_impulse) for pair in pairs)
    largest = max((_gap(one.score, other.score) for one, other in both if one and other), default=0.0)
    if any(pair.what != "matched" or _renamed(pair) for pair in pairs):
        return Outcome(Verdict.DIFFERS, pairs, largest)
    moved = not criteria.cells and any((pair.shift or 0.0) > _ELSEWHERE * criteria.pixel for pair in pairs)
    drifts = moved or largest > criteria.tolerance
    return Outcome(Verdict.DRIFTS if drifts else Verdict.SAME, pairs, largest)


def pairs_of(ours: Sequence[ComparedObject], theirs: Sequence[ComparedObject], criteria: Criteria) -> tuple[Pair, ...]:
    """The nearest first; then what only Edge Impulse has, then what only DeepStream has."""
    near = sorted(
        (-one.box.overlap(other.box), _distance(one.box, other.box), index, number)
        for index, one in enumerate(ours)
        for number, other in enumerate(theirs)
        if _alike(one, other) and _meet(one.box, other.box, criteria)
    )
    left, right = set(range(len(ours))), set(range(len(theirs)))
    pairs = []
    for share, _, index, number in near:
        if index in left and number in right:
            left.remove(index)
            right.remove(number)
            moved = _shift(ours[index].box, theirs[number].box)
            pairs.append(Pair(ours[index], theirs[number], -share, moved))
    return (
        *pairs,
        *(Pair(None, theirs[number]) for number in sorted(right)),
        *(Pair(ours[index], None) for index in sorted(left)),
    )


def _alike(one: ComparedObject, other: ComparedObject) -> bool:
    """The same class or the same name: a label file in another order changes the first, a spelling the second."""
    return one.class_id == other.class_id or (one.label == other.label and one.label != "")


def _renamed(pair: Pair) -> bool:
    one, other = pair.deepstream, pair.edge_impulse
    return one is not None and other is not None and one.label != other.label


def _meet(one: Rect, other: Rect, criteria: Criteria) -> bool:
    if not criteria.cells:
        return one.overlap(other) >= _SAME
    margin = criteria.pixel  # the last cell of a row ends a little early
    return (
        one.left <= other.left + other.width + margin
        and other.left <= one.left + one.width + margin
        and one.top <= other.top + other.height + margin
        and other.top <= one.top + one.height + margin
    )


def _distance(one: Rect, other: Rect) -> float:
    across = one.left + one.width / 2 - other.left - other.width / 2
    down = one.top + one.height / 2 - other.top - other.height / 2
    return across * across + down * down


def _shift(one: Rect, other: Rect) -> float:
    """The largest distance of two edges."""
    return max(
        abs(one.left - other.left),
        abs(one.top - other.top),
        abs(one.left + one.width - other.left - other.width),
        abs(one.top + one.height - other.top - other.height),
    )


def _gap(one: float, other: float) -> float:
    """Of two scores; infinite where only one of them is a number."""
    if math.isnan(one) or math.isnan(other):
        return 0.0 if math.isnan(one) and math.isnan(other) else math.inf
    return 0.0 if one == other else abs(one - other)


def difference_text(ours: Prediction, theirs: Prediction, outcome: Outcome, *, detects: bool) -> str:
    """What differs, one sentence without a full stop; "" where nothing does."""
    if outcome.verdict is Verdict.SAME:
        return ""
    if not detects:
        return f"{_label_text(ours, 'DeepStream shows')}, {_label_text(theirs, 'Edge Impulse answers')}"
    names = {"missed": "only Edge Impulse has", "additional": "only DeepStream has"}
    parts = []
    for what, text in names.items():
        alone = [pair.edge_impulse or pair.deepstream for pair in outcome.pairs if pair.what == what]
        labels = Counter(one.label or "(no label)" for one in alone if one is not None)
        if labels:
            parts.append(f"{text} " + ", ".join(f"{count} {label}" for label, count in sorted(labels.items())))
    both = ((pair.deepstream, pair.edge_impulse) for pair in outcome.pairs)
    renamed = {(one.label, other.label) for one, other in both if one and other and one.label != other.label}
    parts += [f"{one!r} is {other!r} in Edge Impulse" for one, other in sorted(renamed)]
    if not parts:
        shift = max(pair.shift or 0.0 for pair in outcome.pairs)
        parts.append(f"scores differ by up to {outcome.largest:.2f}, edges by up to {shift:.0f} pixels")
    return "; ".join(parts)


def _label_text(answer: Prediction, who: str) -> str:
    if answer.label:
        return f"{who} {answer.label} {answer.score:.2f}"
    best = max(answer.scores, key=lambda one: one.score, default=None)
    return f"{who} nothing" + (f" ({best.label or f'class {best.class_id}'} {best.score:.2f})" if best else "")
