"""Compares DeepStream's predictions with Edge Impulse's, picture by picture, and finds the causes of differences.

Objects are matched by overlap: intersection over union of at least one half, as PASCAL VOC counts. FOMO's boxes are
cells of a grid, which give a place but no size; cells that touch are one object, as in Edge Impulse's own merging.

The causes of a picture are the fewest steps that must be done as Edge Impulse does them for the difference to vanish.
First all steps are done its way. Then each in turn is done nvinfer's way again, and stays so where the prediction does
not change. Every step that remains is needed. Where one of two steps would do, the order decides: steps that no config
key can change are tried first, so that the cause named is one that a user can act on.
"""

from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from convert import compare as rules
from convert.compare import (
    Cause,
    ComparedObject,
    Comparison,
    Pair,
    PictureComparison,
    Prediction,
    Reason,
    Score,
    Step,
    Verdict,
)
from convert.compare.sides import Ablation, ModelPair, load_shipped, possible_causes, read_edge_impulse_model
from convert.heads import head
from convert.heads.boxes import OVERLAP
from convert.images import ResizeMode
from convert.images.scaling import Placement, Rect, place, place_as_sdk
from convert.isolation import Worker
from convert.nvinfer.numbers import shortest
from convert.simulate.settings import ClusterMode, ColorFormat, ScalingFilter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.findings import Finding
    from convert.simulate.engine import LoadedEngine


__all__ = ["CauseTexts", "ComparisonRun", "Criteria", "compare_predictions", "find_causes", "pairs_of"]


_SAME = 0.5
_ELSEWHERE = 2.0  # pixels of the network's picture; Edge Impulse cuts edges to whole ones, nvinfer does not


@dataclass(frozen=True)
class Criteria:
    """What counts as a difference.

    Attributes:
        detects: objects are compared, not labels of the whole picture.
        cells: nvinfer's boxes are single cells of a grid.
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
        largest = _largest(ours.scores, theirs.scores)
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
        (
            (-one.box.overlap(other.box), _distance(one.box, other.box), index, number)
            for index, one in enumerate(ours)
            for number, other in enumerate(theirs)
            if _alike(one, other) and _meet(one.box, other.box, criteria)
        )
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
    return (
        pair.deepstream is not None
        and pair.edge_impulse is not None
        and pair.deepstream.label != pair.edge_impulse.label
    )


def _meet(one: Rect, other: Rect, criteria: Criteria) -> bool:
    if not criteria.cells:
        return one.overlap(other) >= _SAME
    dust = criteria.pixel  # the last cell of a row ends a little early
    return (
        one.left <= other.left + other.width + dust
        and other.left <= one.left + one.width + dust
        and one.top <= other.top + other.height + dust
        and other.top <= one.top + one.height + dust
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


def _largest(ours: Sequence[Score], theirs: Sequence[Score]) -> float:
    return max((_gap(one.score, other.score) for one, other in zip(ours, theirs, strict=True)), default=0.0)


def _gap(one: float, other: float) -> float:
    """Of two scores; infinite where only one of them is a number."""
    if math.isnan(one) or math.isnan(other):
        return 0.0 if math.isnan(one) and math.isnan(other) else math.inf
    return 0.0 if one == other else abs(one - other)


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


_MODES = {
    ResizeMode.FIT_SHORTEST: "crops the centre",
    ResizeMode.FIT_LONGEST: "adds black bars on both sides",
    ResizeMode.SQUASH: "squashes",
    ResizeMode.NONE: "squashes",
}
_FILTERS = {
    ScalingFilter.NEAREST: "takes the nearest pixel",
    ScalingFilter.DEFAULT: "takes the nearest pixel",
    ScalingFilter.BILINEAR: "interpolates around pixels' centres",
    ScalingFilter.CUBIC: "interpolates cubically",
    ScalingFilter.SUPER: "averages all pixels",
    ScalingFilter.LANCZOS: "uses a Lanczos filter",
    ScalingFilter.NICEST: "uses its nicest filter",
}
_SIZES = ("detected_min_w", "detected_min_h", "detected_max_w", "detected_max_h", "roi_top_offset", "roi_bottom_offset")

_AS_SDK = "convert again without --yolo-score"


@dataclass
class CauseTexts:
    """What each side does at each step, for pictures of `width` x `height`, and what to do about a difference."""

    models: ModelPair
    width: int
    height: int

    def __post_init__(self) -> None:
        self._shipped, self._edge_impulse = self.models.shipped, self.models.edge_impulse
        self._settings = self._shipped.loaded.engine.settings

    def step(self, cause: Cause) -> Step:
        """How the two do it, as far as that is known before any picture."""
        if cause is Cause.MODEL and not self._edge_impulse.quantized:
            return Step(cause, "runs the ONNX model", "runs the .tflite that it was made of", same=True)
        ours, theirs, same, _ = self._texts(cause)
        return Step(cause, ours, theirs, same)

    def reason(self, cause: Cause) -> tuple[str, str | None]:
        """The clause behind "because", and what to do; None for nothing."""
        ours, theirs, same, hint = self._texts(cause)
        if cause is Cause.FRAMING and same:
            ours, theirs, hint = "rounds where the frame lies to whole and even pixels", "rounds otherwise", None
        return f"nvinfer {ours} where Edge Impulse {theirs}", hint

    def _texts(self, cause: Cause) -> tuple[str, str, bool, str | None]:
        """What each side does, as a verb with its object; whether both do the same; a hint."""
        return {
            Cause.FRAMING: self._framing,
            Cause.INTERPOLATION: self._interpolation,
            Cause.LUMA: self._luma,
            Cause.COLOUR: self._colour,
            Cause.SCALING: self._scaling,
            Cause.MODEL: self._model,
            Cause.SCORE: self._score,
            Cause.THRESHOLD: self._threshold,
            Cause.MERGE: self._merge,
            Cause.LIMITS: self._limits,
            Cause.LABELS: self._labels,
        }[cause]()

    def _framing(self) -> tuple[str, str, bool, str | None]:
        prepare, network = self._shipped.loaded.prepare, self._shipped.loaded.engine.network
        high, wide, _ = self._edge_impulse.original.size
        crops = (network.width, network.height) != (wide, high)
        mode = self._edge_impulse.resize_mode
        resizing = self._shipped.resizing
        if resizing is not None:
            ours = f"scales to {network.width}x{network.height}, where the model {_MODES[mode]}"
        elif crops:
            ours = f"scales to {network.width}x{network.height}, of which the model sees the centre"
        elif not prepare.keep_aspect:
            ours = "squashes"
        else:
            ours = "adds black bars " + ("on both sides" if prepare.symmetric else "at the right or the bottom")
        # nvinfer leaves out a pixel of a frame of odd size, which is no other way of framing
        width, height = max(2, self.width // 2 * 2), max(2, self.height // 2 * 2)
        found = place(width, height, network, keep_aspect=prepare.keep_aspect, symmetric=prepare.symmetric)
        wanted = place_as_sdk(width, height, (wide, high), mode)
        if resizing is not None:
            size = f"give [streammux] width={network.width} and height={network.height}"
            same = (self.width, self.height) == (network.width, network.height)
            return ours, _MODES[mode], same, None if same else size
        same = _lies_there(found, wanted, self._shipped.left, self._shipped.top)
        return ours, _MODES[mode], same, None if same else self._framing_hint(mode, crops=crops)

    def _framing_hint(self, mode: ResizeMode, *, crops: bool) -> str:
        if mode is ResizeMode.FIT_SHORTEST:
            if self._settings.on_objects:
                return "retrain with squash: objects have any aspect, nothing can crop them"
            again = " again" if crops else ""
            return f"convert{again} with --frame {_aspect(self.width, self.height)}"
        if mode is ResizeMode.FIT_LONGEST:
            return "maintain-aspect-ratio=1 and symmetric-padding=1"
        return "maintain-aspect-ratio=0"

    def _interpolation(self) -> tuple[str, str, bool, str | None]:
        chosen = self._shipped.loaded.prepare.scaling_filter
        network = self._shipped.loaded.engine.network
        same = (self.width, self.height) == (network.width, network.height)
        hint = None if chosen is ScalingFilter.BILINEAR else "scaling-filter=1"
        return _FILTERS[chosen], "interpolates from the top left", same, hint

    def _luma(self) -> tuple[str, str, bool, str | None]:
        return "makes grey levels before it scales", "scales colours and makes grey of them", False, None

    def _colour(self) -> tuple[str, str, bool, str | None]:
        ours, theirs = self._shipped.loaded.prepare.color.name, self._shipped.expected.color
        hint = None if ours == theirs else f"model-color-format={int(ColorFormat[theirs])}"
        return f"gives the model {ours}", f"gives it {theirs}", ours == theirs, hint

    def _scaling(self) -> tuple[str, str, bool, str | None]:
        prepare, expected = self._shipped.loaded.prepare, self._shipped.expected
        factor, offsets = np.float32(expected.net_scale_factor), np.array(expected.offsets or (0,), np.float32)
        mean = np.zeros(1, np.float32) if prepare.mean is None else prepare.mean
        ours, theirs = _range(prepare.scale, mean), _range(factor, offsets)
        same = ours == theirs and (mean.size == offsets.size or not mean.any())
        listed = ";".join(f"{each:g}" for each in expected.offsets)
        hint = f"net-scale-factor={shortest(expected.net_scale_factor)}" + (f" and offsets={listed}" if listed else "")
        return f"scales levels to {ours}", f"scales them to {theirs}", same, None if same else hint

    def _model(self) -> tuple[str, str, bool, str | None]:
        if self._edge_impulse.quantized:
            kind = self._edge_impulse.original.facts.quantization
            hint = "judge both on labelled pictures"
            return "computes in float32", f"computes in {kind} and rounds", False, hint
        hint = "convert the original again; ei-deepstream validate measures the two"
        return "runs an ONNX model that computes something else", "runs the original", False, hint

    def _score(self) -> tuple[str, str, bool, str | None]:
        same = self._shipped.score == "objectness"
        ours = "takes the objectness" if same else "multiplies the objectness by the class's score"
        return ours, "takes the objectness alone", same, None if same else _AS_SDK

    def _threshold(self) -> tuple[str, str, bool, str | None]:
        if not head(self._edge_impulse.task).detects:
            limit = self._settings.classifier_threshold
            ours = f"hides scores up to classifier-threshold={limit:g}" if limit > 0 else "hides nothing"
            return ours, "answers with every score", limit <= 0, "classifier-threshold=0" if limit > 0 else None
        wanted = float(np.float32(self._edge_impulse.threshold))
        clusters = self._settings.cluster_mode is ClusterMode.NMS  # nothing comes after without
        after = {one.post_cluster_threshold for one in self._settings.classes} - {0.0} if clusters else set()
        keys = (
            ("pre-cluster-threshold", {one.pre_cluster_threshold for one in self._settings.classes}),
            ("post-cluster-threshold", after),
        )
        limits = [f"{key}={_listed(values)}" for key, values in keys if values]
        in_graph = self._merged_from()
        same = {max(value, in_graph or value) for value in keys[0][1]} == {wanted} and not keys[1][1]
        hint = f"pre-cluster-threshold={wanted:g}" + ("" if not keys[1][1] else ", no post-cluster one")
        if in_graph is not None and in_graph != wanted:
            hint = f"convert with --threshold {wanted:g}"
        ours = f"shows what reaches {' and '.join(limits)}"
        return ours, f"shows what reaches {wanted:g}", same, None if same else hint

    def _merged_from(self) -> float | None:
        """The score from which on the graph merges cells; None for one that does not."""
        recorded = self._shipped.loaded.engine.recorded
        if recorded.merge != "touching" or recorded.threshold is None:
            return None
        return float(np.float32(recorded.threshold))

    def _merge(self) -> tuple[str, str, bool, str | None]:
        overlaps = _listed({one.nms_iou_threshold for one in self._settings.classes})
        clusters = self._settings.cluster_mode is ClusterMode.NMS
        ours = (
            f"drops boxes of a class that overlap by more than {overlaps}" if clusters else "keeps boxes that overlap"
        )
        if head(self._edge_impulse.task).merges_cells:
            return self._merge_cells()
        limits = self._shipped.limits
        if limits is not None:
            theirs = (
                f"keeps {limits.detections} boxes at most, drops what overlaps by more than {limits.overlap:g} "
                "and cuts boxes to whole pixels"
            )
            return ours, theirs, False, f"cluster-mode=2 and nms-iou-threshold={limits.overlap:g}"
        return self._merge_boxes(ours)

    def _merge_cells(self) -> tuple[str, str, bool, str | None]:
        merge, wanted = self._shipped.loaded.engine.recorded.merge, float(np.float32(self._edge_impulse.threshold))
        if merge == "touching":
            in_graph = self._merged_from()
            if in_graph is not None and in_graph != wanted:
                hint = f"convert with --threshold {wanted:g}"
                return f"merges cells from {in_graph:g} on", f"merges those from {wanted:g} on", False, hint
            theirs = "cuts boxes that grow to the left or upwards and drops those that come to touch late"
            return "merges cells that touch", theirs, False, None
        ours = "keeps the highest of neighbouring cells" if merge == "peak" else "shows every cell"
        return ours, "merges cells that touch", False, "convert with --fomo-merge touching"

    def _merge_boxes(self, ours: str) -> tuple[str, str, bool, str | None]:
        """Of a YOLO; `ours` is what nvinfer does."""
        given, done = self._edge_impulse.original.overlap, self._shipped.overlap
        wanted = OVERLAP if given is None else given
        spec = head(self._edge_impulse.task)
        which = "of any class" if spec.drops_all else "of a class"
        theirs = f"drops boxes {which} that overlap by {wanted:g} or more and cuts boxes to whole pixels"
        if self._shipped.score == "objectness" and not spec.by_objectness:
            return f"takes the objectness alone and {ours}", theirs, False, _AS_SDK
        if done is None:
            right = self._settings.cluster_mode is ClusterMode.NMS and all(
                np.float32(one.nms_iou_threshold) == np.float32(wanted) for one in self._settings.classes
            )
            hint = f"cluster-mode=2 and nms-iou-threshold={wanted:g}"
            return ours, theirs, False, hint if not right else _AS_SDK if spec.drops_all else None
        here = f"drops boxes of any class that overlap by {done:g} or more and cuts boxes to whole pixels"
        if self._settings.cluster_mode is not ClusterMode.NONE:
            return f"{here}, then {ours}", theirs, False, "cluster-mode=4"
        same = np.float32(done) == np.float32(wanted)
        return here, theirs, bool(same), None if same else "convert again"

    def _limits(self) -> tuple[str, str, bool, str | None]:
        keys = [name.replace("_", "-") for name in _SIZES if any(getattr(one, name) for one in self._settings.classes)]
        if any(one.topk >= 0 for one in self._settings.classes):
            keys.insert(0, f"topk={_listed({one.topk for one in self._settings.classes})}")
        if self._settings.filter_out_class_ids:
            keys.append("filter-out-class-ids")
        missing = len(self._edge_impulse.original.labels) - len(self._settings.classes)
        if missing > 0:
            keys.append(f"num-detected-classes={len(self._settings.classes)}")
        theirs = "leaves nothing out"
        if not keys:
            return theirs, theirs, True, None
        return f"leaves out objects by {', '.join(keys)}", theirs, False, f"remove or change {', '.join(keys)}"

    def _labels(self) -> tuple[str, str, bool, str | None]:
        wanted = self._edge_impulse.original.labels
        if not head(self._edge_impulse.task).detects:
            found = [self._settings.attribute_label(0, number) for number in range(len(wanted))]
        else:
            found = [self._settings.label(number) for number in range(len(wanted))]
        other = [number for number, label in enumerate(found) if label != wanted[number]]
        if not other:
            return "spells labels alike", "spells them alike", True, None
        first = other[0]
        more = f" ({len(other)} labels differ)" if len(other) > 1 else ""
        ours = "has no label" if found[first] is None else f"says {found[first]!r}"
        hint = f"correct the label file: {wanted[first]!r} is class {first}"
        return ours, f"says {wanted[first]!r}{more}", False, hint


def _lies_there(found: Placement, wanted: Placement, left: int, top: int) -> bool:
    """Whether both put the picture at the same place of the model's input, to half a pixel."""
    view, other = found.view, wanted.view
    for place_, size in ((0, 0), (wanted.source_width, wanted.source_height)):
        x = (wanted.left + place_ - found.left) * view.scale_x + view.offset_left - left
        y = (wanted.top + size - found.top) * view.scale_y + view.offset_top - top
        to_x, to_y = place_ * other.scale_x + other.offset_left, size * other.scale_y + other.offset_top
        if max(abs(x - to_x), abs(y - to_y)) > 0.5:
            return False
    return True


def _range(factor: np.float32, offsets: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> str:
    """`0..1`; for offsets that differ from channel to channel the outermost numbers."""
    low = float(factor) * (0 - float(offsets.max()))
    high = float(factor) * (255 - float(offsets.min()))
    return f"{low:.4g}..{high:.4g}"


def _listed(values: Sequence[float] | set[float] | set[int]) -> str:
    """`0.5`, or `0.2 to 0.5`."""
    low, high = min(values, default=0), max(values, default=0)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _aspect(width: int, height: int) -> str:
    """`16:9`; pixels where the ratio has large terms."""
    common = gcd(width, height)
    across, down = width // common, height // common
    return f"{across}:{down}" if max(across, down) <= 32 else f"{width}x{height}"


TOLERANCE = 0.1
"""Of scores: half of what lies between a sure answer and the usual threshold would be too much to pass over."""

_TIMEOUT = 60.0  # seconds for one picture in LiteRT


@dataclass
class ComparisonRun:
    """A comparison under way: call it with one picture after the other, or some at a time, then take `comparison`.

    Attributes:
        models: of the two sides.
        tolerance: largest difference of a score that is none.
        explained: of how many pictures that differ, the first ones, causes are looked for; None: of all, and of those
            that drift, too.
    """

    models: ModelPair
    tolerance: float = TOLERANCE
    explained: int | None = None
    rows: list[PictureComparison] = field(default_factory=list)

    def __call__(self, name: str, pixels: NDArray[np.uint8]) -> PictureComparison:
        """One picture, uint8 [H,W,3] RGB.

        Raises:
            InputError, ValidationError: a model fails, or nvinfer cannot scale the picture.
        """
        return self._row(name, Ablation(self.models, pixels))

    def together(self, pictures: Sequence[tuple[str, NDArray[np.uint8]]], *, at_once: bool) -> None:
        """Several pictures: the original, in its child, runs for all of them in one call.

        Args:
            pictures: name and pixels of each.
            at_once: the ONNX model runs at the same time; else the child is ended before that needs memory.

        Raises:
            InputError, ValidationError: as for one.
        """
        ablations = [Ablation(self.models, pixels) for _, pixels in pictures]
        done = frozenset(self._causes)
        given = [each.original_input(done) for each in ablations]
        stacked = np.stack(given)
        if stacked.shape[3] == 3:  # whole numbers
            stacked = stacked.astype(np.uint8)
        original = self.models.edge_impulse.original
        with ThreadPoolExecutor(1) as thread:
            shown = [thread.submit(each.predict, frozenset()) for each in ablations] if at_once else []
            outputs = original.outputs(stacked)
            for future in shown:
                future.result()
        if not at_once:
            original.worker.close()
        for number, (each, picture) in enumerate(zip(ablations, given, strict=True)):
            each.keep(done, picture, [output[number : number + 1] for output in outputs])
        for (name, _), each in zip(pictures, ablations, strict=True):
            self._row(name, each)

    def _row(self, name: str, ablation: Ablation) -> PictureComparison:
        view = ablation.placement().view
        spec = head(self.models.edge_impulse.task)
        cells = spec.merges_cells and self.models.shipped.loaded.engine.recorded.merge != "touching"
        _, _, across, down = self.models.shipped.inside
        pixel = max(across / view.scale_x, down / view.scale_y)
        criteria = Criteria(spec.detects, cells, self.tolerance, pixel)
        ours, theirs = ablation.predict(frozenset()), ablation.predict(frozenset(self._causes))
        outcome = compare_predictions(ours, theirs, criteria)
        causes: tuple[Cause, ...] = ()
        if self.explained is None or (outcome.verdict is Verdict.DIFFERS and self._differing < self.explained):
            causes = find_causes(ablation, theirs, outcome.verdict, self._causes, criteria)
        height, width = ablation.pixels.shape[:2]
        words = _difference_text(ours, theirs, outcome, detects=spec.detects)
        row = PictureComparison(
            name, width, height, outcome.verdict, ours, theirs, outcome.pairs, causes, outcome.largest, words
        )  # fmt: skip
        self.rows.append(row)
        return row

    @property
    def _differing(self) -> int:
        return sum(row.verdict is Verdict.DIFFERS for row in self.rows)

    @property
    def comparison(self) -> Comparison:
        """Of all pictures so far."""
        edge_impulse = self.models.edge_impulse
        size = Counter((row.width, row.height) for row in self.rows).most_common(1)
        texts = CauseTexts(self.models, *(size[0][0] if size else (1, 1)))
        comparison = Comparison(
            edge_impulse.file,
            edge_impulse.task,
            edge_impulse.quantized,
            self.tolerance,
            tuple(texts.step(cause) for cause in self._causes) if self.rows else (),
            tuple(self.rows),
            tuple(self._reasons()),
        )
        return replace(comparison, findings=(*edge_impulse.findings, *self._findings(comparison)))

    @property
    def _causes(self) -> tuple[Cause, ...]:
        return possible_causes(self.models)

    def _reasons(self) -> Iterator[Reason]:
        """Most pictures first."""
        rows = {cause: [row for row in self.rows if cause in row.causes] for cause in self._causes}
        found = []
        for cause, named in rows.items():
            if not named:
                continue
            (size, _), *_ = Counter((row.width, row.height) for row in named).most_common(1)
            words, hint = CauseTexts(self.models, *size).reason(cause)
            differ = tuple(row.name for row in named if row.verdict is Verdict.DIFFERS)
            drift = tuple(row.name for row in named if row.verdict is Verdict.DRIFTS)
            found.append(Reason(cause, words, hint, differ, drift, sum(len(row.causes) > 1 for row in named)))
        yield from sorted(found, key=lambda reason: (-len(reason.pictures), -len(reason.drifting)))

    def _findings(self, comparison: Comparison) -> Iterator[Finding]:
        config = self.models.shipped.loaded.engine.config
        total = len(comparison.rows)
        for rule, verdict, of in (
            (rules.DIFFERS, Verdict.DIFFERS, "pictures"),
            (rules.DRIFTS, Verdict.DRIFTS, "drifting"),
        ):
            if not comparison.count(verdict):
                continue
            for reason in comparison.reasons:
                names = getattr(reason, of)
                if names:
                    message = f"{len(names)} of {total} pictures: {reason.words}"
                    yield rule.found(message, path=config, hint=reason.hint)


@contextmanager
def compare_with_original(
    loaded: LoadedEngine, original: Path | None, *, tolerance: float = TOLERANCE, timeout: float = _TIMEOUT
) -> Iterator[ComparisonRun]:
    """A comparison of a primary engine with the original of its model, whose LiteRT ends with the context.

    Args:
        loaded: the engine.
        original: an export or a .tflite; None: what the bundle's report names.
        tolerance: largest difference of a score that is none.
        timeout: seconds LiteRT may take for a picture.

    Raises:
        InputError: the original is not found, cannot be read, or is not what the engine's model was made of.
        UnsupportedModelError: how Edge Impulse decodes such a model is not known.
        ValidationError: a model does not run.
    """
    with Worker() as worker:
        edge_impulse = read_edge_impulse_model(loaded.engine, original, worker, timeout)
        yield ComparisonRun(ModelPair(load_shipped(loaded, edge_impulse), edge_impulse), tolerance)


def _difference_text(ours: Prediction, theirs: Prediction, outcome: Outcome, *, detects: bool) -> str:
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
    renamed = {
        (pair.deepstream.label, pair.edge_impulse.label)
        for pair in outcome.pairs
        if pair.deepstream and pair.edge_impulse and pair.deepstream.label != pair.edge_impulse.label
    }
    parts += [f"{one!r} is {other!r} in Edge Impulse" for one, other in sorted(renamed)]
    if not parts:
        shift = max((pair.shift or 0.0 for pair in outcome.pairs), default=0.0)
        parts.append(f"scores differ by up to {outcome.largest:.2f}, edges by up to {shift:.0f} pixels")
    return "; ".join(parts)


def _label_text(answer: Prediction, who: str) -> str:
    if answer.label:
        return f"{who} {answer.label} {answer.score:.2f}"
    best = max(answer.scores, key=lambda one: one.score, default=None)
    return f"{who} nothing" + (f" ({best.label or f'class {best.class_id}'} {best.score:.2f})" if best else "")
