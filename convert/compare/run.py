"""Compares DeepStream's predictions with Edge Impulse's, picture by picture.

`compare_with_original` does it for `simulate`, `compare_bundle` for `convert`. Generated frames hold none of a
detector's objects, and some detectors show nothing on them. So the evidence says on how many frames something is shown.
The threshold stays where the bundle has it, because the bundle is what is compared.

`CauseTexts` says in words what each side does at each step, and what to do about a difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convert import compare as rules
from convert.compare import Cause, Comparison, PictureComparison, Reason, Step, Verdict
from convert.compare import ablation as switching
from convert.compare.edge_impulse import edge_impulse_model, read_edge_impulse_model
from convert.compare.shipped import ModelPair, load_shipped
from convert.emit.config import no_suppression
from convert.errors import PresetError
from convert.files import load_toml
from convert.heads import head
from convert.heads.boxes import OVERLAP
from convert.images import CENTRE, Anchor, Frame, ResizeMode, anchor_name
from convert.images.resizing import Resizing
from convert.images.scaling import Placement, place_as_sdk
from convert.isolation import LARGE, Worker
from convert.nvinfer.numbers import shortest
from convert.simulate.engine import LoadedEngine, Source, load
from convert.simulate.settings import ClusterMode, ColorFormat, ScalingFilter
from convert.types import Adapted, AnswerCounts, AnswerEvidence, Metadata
from convert.validate import runtimes
from convert.validate.inputs import LONG_SIDE, SCALED, with_objects
from convert.validate.inputs import given as given_pictures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.findings import Finding
    from convert.nvinfer.targets import Target


def _way(mode: ResizeMode, anchor: Anchor) -> str:
    """How Edge Impulse brings pictures to size."""
    if mode is ResizeMode.FIT_SHORTEST:
        return "crops the centre" if anchor == CENTRE else f"crops to the {anchor_name(anchor)}"
    return "adds black bars on both sides" if mode is ResizeMode.FIT_LONGEST else "squashes"


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
        texts: Callable[[], tuple[str, str, bool, str | None]] = getattr(self, f"_{cause.value}")
        return texts()

    def _framing(self) -> tuple[str, str, bool, str | None]:
        prepare, network = self._shipped.loaded.prepare, self._shipped.loaded.engine.network
        high, wide, _ = self._edge_impulse.original.size
        crops = (network.width, network.height) != (wide, high)
        mode = self._edge_impulse.resize_mode
        resizing = self._shipped.resizing
        if resizing is not None:
            way = _way(mode, self._shipped.recorded.anchor)
            ours = f"scales to {network.width}x{network.height}, where the model {way}"
        elif crops:
            part = anchor_name(self._shipped.recorded.anchor)
            ours = f"scales to {network.width}x{network.height}, of which the model sees the {part}"
        elif not self._settings.keep_aspect:
            ours = "squashes"
        else:
            ours = "adds black bars " + ("on both sides" if self._settings.symmetric else "at the right or the bottom")
        # nvinfer leaves out a pixel of a frame of odd size, which is no other way of framing
        width, height = max(2, self.width // 2 * 2), max(2, self.height // 2 * 2)
        found = prepare.placed(width, height)
        wanted = place_as_sdk(width, height, (wide, high), mode, anchor=self._edge_impulse.anchor)
        theirs = _way(mode, self._edge_impulse.anchor)
        if resizing is not None and resizing.is_exact:
            size = f"give [streammux] width={network.width} and height={network.height}"
            same = (self.width, self.height) == (network.width, network.height)
            return ours, theirs, same, None if same else size
        if resizing is not None:
            same = self._shipped.resizes_as(self._edge_impulse, width, height)
            return ours, theirs, same, None if same else self._framing_hint(mode, crops=crops)
        same = _lies_there(found, wanted, self._shipped.left, self._shipped.top)
        return ours, theirs, same, None if same else self._framing_hint(mode, crops=crops)

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
        chosen = self._settings.scaling_filter
        network = self._shipped.loaded.engine.network
        same = (self.width, self.height) == (network.width, network.height)
        hint = "scaling-filter=1" if chosen is not ScalingFilter.BILINEAR else self._resize_hint()
        ours = load_toml("report/words.toml")["scales"][str(int(chosen))]
        return ours, "interpolates from the top left", same, hint

    def _resize_hint(self) -> str | None:
        """For a primary engine: the graph can interpolate as Edge Impulse does."""
        if self._settings.on_objects:
            return None
        try:
            frame = Frame(self.width, self.height, in_pixels=True)
            Resizing(frame, (1, 1))
        except PresetError:  # it cannot take such frames
            return None
        return f"convert again with --frame {frame} --resize graph"

    def _luma(self) -> tuple[str, str, bool, str | None]:
        return "makes grey levels before it scales", "scales colours and makes grey of them", False, None

    def _colour(self) -> tuple[str, str, bool, str | None]:
        ours, theirs = self._settings.color.name, self._shipped.expected.color
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
        return ours, "takes the objectness alone", same, None if same else self._as_sdk()

    def _as_sdk(self) -> str:
        """For a YOLO: the graph can drop boxes as the SDK does, where the target's TensorRT can build such a graph."""
        refused = no_suppression(self._edge_impulse.task, self._shipped.loaded.target)
        return f"convert for a newer --target: {refused}" if refused else _AS_SDK

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
        recorded = self._shipped.recorded
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
        merge, wanted = self._shipped.recorded.merge, float(np.float32(self._edge_impulse.threshold))
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
        given, done = self._edge_impulse.original.overlap, self._shipped.recorded.overlap
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
            return ours, theirs, False, hint if not right else self._as_sdk() if spec.drops_all else None
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
        if not keys and self._settings.keep_aspect and not self._settings.crop_to_roi:
            hint = None if self._settings.on_objects else "convert again with --resize auto"
            return "leaves out objects that end in the black bar below", theirs, False, hint
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
        return self._row(name, switching.Ablation(self.models, pixels))

    def together(self, pictures: Sequence[tuple[str, NDArray[np.uint8]]]) -> None:
        """Several pictures: the original, in its child, runs for all of them in one call, beside the ONNX model.

        Args:
            pictures: name and pixels of each.

        Raises:
            InputError, ValidationError: as for one.
        """
        ablations = [switching.Ablation(self.models, pixels) for _, pixels in pictures]
        done = frozenset(self._causes)
        given = [each.original_input(done) for each in ablations]
        stacked = np.stack(given)
        if stacked.shape[3] == 3:  # whole numbers
            stacked = stacked.astype(np.uint8)
        original = self.models.edge_impulse.original
        with ThreadPoolExecutor(1) as thread:
            shown = [thread.submit(each.predict, frozenset()) for each in ablations]
            outputs = original.outputs(stacked)
            for future in shown:
                future.result()
        if self.explained == 0:  # of a large model: what follows needs no child, but memory
            original.worker.close()
        for number, (each, picture) in enumerate(zip(ablations, given, strict=True)):
            each.keep(done, picture, [output[number : number + 1] for output in outputs])
        for (name, _), each in zip(pictures, ablations, strict=True):
            self._row(name, each)

    def _row(self, name: str, ablation: switching.Ablation) -> PictureComparison:
        view = ablation.placement().view
        spec = head(self.models.edge_impulse.task)
        recorded = self.models.shipped.recorded
        cells = spec.merges_cells and recorded.merge != "touching"
        _, _, across, down = self.models.shipped.inside
        pixel = max(across / view.scale_x, down / view.scale_y)
        criteria = switching.Criteria(spec.detects, cells, self.tolerance, pixel)
        ours, theirs = ablation.predict(frozenset()), ablation.predict(frozenset(self._causes))
        outcome = switching.compare_predictions(ours, theirs, criteria)
        causes: tuple[Cause, ...] = ()
        differing = sum(row.verdict is Verdict.DIFFERS for row in self.rows)
        if self.explained is None or (outcome.verdict is Verdict.DIFFERS and differing < self.explained):
            causes = switching.find_causes(ablation, theirs, outcome.verdict, self._causes, criteria)
        height, width = ablation.pixels.shape[:2]
        words = switching.difference_text(ours, theirs, outcome, detects=spec.detects)
        row = PictureComparison(
            name, width, height, outcome.verdict, ours, theirs, outcome.pairs, causes, outcome.largest, words
        )  # fmt: skip
        self.rows.append(row)
        return row

    @property
    def comparison(self) -> Comparison:
        """Of all pictures so far."""
        edge_impulse = self.models.edge_impulse
        usual = Counter((row.width, row.height) for row in self.rows).most_common(1)
        steps = tuple(CauseTexts(self.models, *size).step(cause) for size, _ in usual for cause in self._causes)
        known = edge_impulse.file, edge_impulse.task, edge_impulse.quantized, self.tolerance
        comparison = Comparison(*known, steps, tuple(self.rows), tuple(self._reasons()))
        return replace(comparison, findings=(*edge_impulse.findings, *self._findings(comparison)))

    @property
    def _causes(self) -> tuple[Cause, ...]:
        return switching.possible_causes(self.models)

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
        for rule, of in ((rules.DIFFERS, "pictures"), (rules.DRIFTS, "drifting")):
            for reason in comparison.reasons:
                names = getattr(reason, of)
                if names:
                    message = f"{len(names)} of {total} pictures: {reason.words}"
                    yield rule.found(message, path=config, hint=reason.hint)


_FRAMES, _FEWEST, _PIXELS, _BYTES = 40, 10, 1_500_000, 2 << 30
"""Generated frames; fewer for a large model: as many as have so many pixels, and models so many bytes, together."""

_FRAME_PIXELS = 21_000_000  # of all generated frames together: 10 of 1920x1080, 40 of 960x540

_EXPLAINED = 10  # pictures that differ, of which the causes are looked for: each costs some more runs of the model
_CHUNK, _CHUNK_BYTES = 20, 64 << 20  # pictures in memory at a time


def compare_bundle(
    config: Path, at: Target, usual: Frame, images: Path | None, timeout: float, adapted: Adapted, worker: Worker | None
) -> AnswerEvidence:
    """How often a bundle's primary engine shows what Edge Impulse answers, on generated frames and given pictures.

    Args:
        config: of the engine, its model beside it.
        at: the target.
        usual: frames that the app gives the engine, where the model is not made for others.
        images: a folder of pictures to compare on, too.
        timeout: seconds the original may take for a picture.
        adapted: the model.
        worker: the process the original runs in; None starts one.

    Raises:
        InputError, ValidationError: a picture or a model fails.
    """
    with ExitStack() as stack:
        worker = worker or stack.enter_context(Worker(("convert.validate.runtimes",)))
        # What stands for no object is no label of either side.
        known = replace(adapted.export.metadata, labels=adapted.head.labels)
        export = replace(adapted.export, metadata=known)
        theirs = edge_impulse_model(export, Path(export.source), worker, timeout, Metadata())
        large = adapted.onnx.size > LARGE  # causes need a second session
        session = runtimes.load(adapted.onnx.loadable)  # takes twice what running does: before the original runs
        pair = ModelPair(load_shipped(load(Source(config), at, session=session), theirs), theirs)
        run = ComparisonRun(pair, explained=0 if large else _EXPLAINED)
        framing = adapted.preprocessing.framing
        made = _counted(run, generated(adapted, usual))
        given = _counted(run, given_pictures(images, framing, 3)) if images else None
    causes = Counter(cause.value for row in run.rows for cause in row.causes)
    frame, least = str(framing.frame if framing else usual), theirs.threshold if head(theirs.task).detects else None
    explained = sum(bool(row.causes) for row in run.rows)
    return AnswerEvidence(frame, least, run.tolerance, made, given, dict(causes.most_common()), explained)


def _counted(run: ComparisonRun, pictures: Iterator[tuple[str, NDArray[np.uint8]]]) -> AnswerCounts:
    """Compare them."""
    before = len(run.rows)
    for first in pictures:  # as many at a time as memory should hold
        some = max(1, min(_CHUNK, _CHUNK_BYTES // first[1].nbytes))
        run.together([first, *islice(pictures, some - 1)])
    return _counts(run.rows[before:])


def generated(adapted: Adapted, usual: Frame) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Name and pixels [H,W,3] of frames with objects, `usual` ones where the model is not made for others."""
    high, wide, _ = adapted.export.facts.input.sides
    framing = adapted.preprocessing.framing
    resizing = framing if isinstance(framing, Resizing) else None
    side = SCALED if resizing else LONG_SIDE
    frame = framing.frame if framing else usual
    width, height = frame.pixels if resizing and resizing.is_exact else frame.within(side, side)
    fitting = min(_PIXELS // (high * wide), _BYTES // adapted.onnx.size, _FRAME_PIXELS // (height * width))
    count = min(_FRAMES, max(_FEWEST, fitting))
    yield from ((f"frame {number}", pixels) for number, pixels in enumerate(with_objects(count, height, width, 3)))


def _counts(rows: Sequence[PictureComparison]) -> AnswerCounts:
    verdicts = Counter(row.verdict for row in rows)
    answers = [(row.deepstream, row.edge_impulse) for row in rows]
    shown = sum(any(answer.label or answer.objects for answer in both) for both in answers)
    return AnswerCounts(len(rows), shown, verdicts[Verdict.SAME], verdicts[Verdict.DRIFTS], verdicts[Verdict.DIFFERS])


@contextmanager
def compare_with_original(
    loaded: LoadedEngine, original: Path | None, *, tolerance: float = TOLERANCE
) -> Iterator[ComparisonRun]:
    """A comparison of a primary engine with the original of its model, whose LiteRT ends with the context.

    Args:
        loaded: the engine.
        original: an export or a .tflite; None: what the bundle's report names.
        tolerance: largest difference of a score that is none.

    Raises:
        InputError: the original is not found, cannot be read, or is not what the engine's model was made of.
        UnsupportedModelError: how Edge Impulse decodes such a model is not known.
        ValidationError: a model does not run.
    """
    with Worker() as worker:
        edge_impulse = read_edge_impulse_model(loaded.engine, original, worker, _TIMEOUT)
        yield ComparisonRun(ModelPair(load_shipped(loaded, edge_impulse), edge_impulse), tolerance)
