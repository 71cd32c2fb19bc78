"""Decodes a batch of engine outputs into what nvinfer finds in each frame, and attaches it to the frame's metadata.

    decoded = decode(settings, network, [Layer.of("y", array)])
    decoded.frames[0]                                       # Classified or Detected
    attach(settings, view, decoded.frames[0].objects)       # in pixels of the frame

Which parser runs and what an error in it leads to: nvdsinfer_context_impl.cpp. What cannot be computed is refused by
name. The other rules:

Clustering (`DetectPostprocessor`, nvdsinfer_context_impl_output_parsing.cpp): class by class the threshold before, the
clustering, the threshold after it, and topk. Overlaps are computed in float32, operation by operation. DBSCAN is a
closed library; where it would run (minBoxes above 0) the config is refused. Boxes are sorted with std::stable_sort.
NaN has no order, so the device's result depends on the algorithm; here NaN comes last, and `Decoded.nan_scores` says
that it happened.

Classifiers (`ClassifyPostprocessor::parseAttributesFromSoftmaxLayers` there, and with the same arithmetic and labels of
its own `NvDsInferClassiferParseCustomSoftmax` of the stock library): each output of the network is one attribute, its
class the first maximum above the threshold. `attach_metadata_classifier` (gstnvinfer_meta_utils.cpp) attaches nothing
while the label is empty.

Attaching objects (`attach_metadata_detector`, same file): boxes are scaled back in double and stored as float32; what
is left of or above the frame is moved in, not cut; sizes and regions are compared in pixels of the frame; a box that
ends below the frame is dropped, not cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convert.errors import InputError, UnsupportedModelError
from convert.files import load_toml
from convert.nvinfer.keys import LABEL_BYTES
from convert.simulate import parsers
from convert.simulate.parsers import NOT_WANTED, Boxes, Drop, Dropped, Layer, ParserFailed, RawFrame
from convert.simulate.settings import STOCK_LIBRARY, ClassSettings, ClusterMode, NetworkType, Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.images.scaling import Network, Rect, View

    _Test = tuple[str, NDArray[np.generic], NDArray[np.generic], NDArray[np.bool_]]


def by_confidence(confidence: NDArray[np.float32]) -> NDArray[np.intp]:
    """Positions in the order of falling confidence, equal ones as they came, as std::stable_sort; NaN last."""
    order: NDArray[np.intp] = np.argsort(-confidence, kind="stable")
    return order


def thresholds(classes: Sequence[ClassSettings]) -> NDArray[np.float32]:
    """pre-cluster-threshold of each class, as parsers want them."""
    return np.array([one.pre_cluster_threshold for one in classes], np.float32)


def check(mode: ClusterMode, classes: Sequence[ClassSettings]) -> None:
    """Refuse what cannot be computed.

    Raises:
        UnsupportedModelError: DBSCAN would run.
        InputError: nvinfer would die: no classes, and a mode that looks for the class with most objects.
    """
    if mode in {ClusterMode.DBSCAN, ClusterMode.DBSCAN_NMS} and any(one.min_boxes > 0 for one in classes):
        message = f"cluster-mode={int(mode)} with minBoxes above 0 runs DBSCAN, a closed library of NVIDIA's"
        raise UnsupportedModelError(message, hint="simulate with cluster-mode=2 (NMS) or 4 (none)")
    if not classes and mode in {ClusterMode.NMS, ClusterMode.DBSCAN_NMS}:
        message = "num-detected-classes is 0: nvinfer dies on the first frame (SIGSEGV)"
        raise InputError(message, hint="set num-detected-classes to the number of classes of the model")


def cluster(
    mode: ClusterMode, classes: Sequence[ClassSettings], candidates: Boxes, dropped: Dropped = NOT_WANTED
) -> Boxes:
    """The objects of one frame, in nvinfer's order: class by class.

    Args:
        mode: in use (`Settings.cluster_mode`), let through by `check`.
        classes: one for each of num-detected-classes.
        candidates: of the parser, in its order.
        dropped: collects dropped candidates.
    """
    candidates = _above_threshold(classes, candidates, dropped)
    found: list[Boxes] = []
    for class_id in np.unique(candidates.class_id).tolist():
        one = classes[class_id]
        boxes = candidates[candidates.class_id == class_id]
        if mode in {ClusterMode.NMS, ClusterMode.DBSCAN_NMS}:
            boxes = _suppressed(boxes, one.nms_iou_threshold, dropped)
            low = ~(boxes.confidence > np.float32(one.post_cluster_threshold))
        else:
            low = boxes.confidence < np.float32(one.post_cluster_threshold if mode is ClusterMode.DBSCAN else -np.inf)
        if low.any():
            limit = float(one.post_cluster_threshold)
            dropped.add("post-cluster-threshold", boxes[low], boxes.confidence[low], limit)
            boxes = boxes[~low]
        found.append(_top(boxes, one.topk, dropped))
    return Boxes.joined(found)


def _above_threshold(classes: Sequence[ClassSettings], boxes: Boxes, dropped: Dropped) -> Boxes:
    """`preClusteringThreshold`: for parsers that use class 0's, or none."""
    known = boxes.class_id < len(classes)
    limit = np.zeros(len(boxes), np.float32)
    limit[known] = thresholds(classes)[boxes.class_id[known]]
    below = known & (boxes.confidence < limit)  # False for NaN: kept
    dropped.add("num-detected-classes", boxes[~known], boxes.class_id[~known], len(classes))
    dropped.add("pre-cluster-threshold", boxes[below], boxes.confidence[below], limit[below])
    kept = known & ~below
    return boxes if kept.all() else boxes[kept]


def _top(boxes: Boxes, topk: int, dropped: Dropped) -> Boxes:
    """The best `topk`, sorted; below 0 everything, as it stands."""
    if topk < 0:
        return boxes
    order = by_confidence(boxes.confidence)
    dropped.add("topk", boxes[order[topk:]], np.arange(topk, len(order)) + 1, topk)
    return boxes[order[:topk]]


def _suppressed(boxes: Boxes, limit: float, dropped: Dropped) -> Boxes:
    """`nonMaximumSuppression`: best first, each goes when it overlaps one that stayed by more than `limit`."""
    boxes = boxes[by_confidence(boxes.confidence)]
    waiting = np.arange(len(boxes))
    kept: list[int] = []
    while len(waiting):
        best, waiting = int(waiting[0]), waiting[1:]
        kept.append(best)
        overlap = _overlaps(boxes, best, waiting)
        stays = overlap <= np.float32(limit)  # False for NaN: goes
        if not stays.all():
            dropped.add("nms-iou-threshold", boxes[waiting[~stays]], overlap[~stays], limit)
            waiting = waiting[stays]
    return boxes[np.array(kept, np.intp)]


def _overlaps(boxes: Boxes, best: int, others: NDArray[np.intp]) -> NDArray[np.float32]:
    """Intersection over union of one box with some; 0 where the union is 0."""
    across = _shared(boxes.left, boxes.width, best, others)
    down = _shared(boxes.top, boxes.height, best, others)
    both = across * down
    union = boxes.width[others] * boxes.height[others] + boxes.width[best] * boxes.height[best] - both
    ratio = np.zeros(len(others), np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        np.divide(both, union, out=ratio, where=union != 0)
    return ratio


def _shared(
    starts: NDArray[np.float32], sizes: NDArray[np.float32], best: int, others: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Length that two intervals share; NVIDIA swaps them so that the first starts first."""
    start, other = starts[best], starts[others]
    end, other_end = start + sizes[best], other + sizes[others]
    swapped = other > start
    late = np.where(swapped, other, start)
    early_end, late_end = np.where(swapped, end, other_end), np.where(swapped, other_end, end)
    shorter = np.where(late_end < early_end, late_end, early_end)
    return np.where(early_end < late, np.float32(0), shorter - late)


_STOCK_LABELS = ("coupe1", "largevehicle1", "sedan1", "suv1", "truck1", "van1")
"""What NvDsInferClassiferParseCustomSoftmax calls the classes of its first output."""


@dataclass(frozen=True, slots=True)
class Classification:
    """The class that one output of a classifier gives a picture or an object.

    Attributes:
        engine: gie-unique-id.
        attribute: which output, in engine order.
        confidence: a float32 value.
        label: None where the label file has none.
    """

    engine: int
    attribute: int
    class_id: int
    confidence: float
    label: str | None


@dataclass(frozen=True, slots=True)
class Classified:
    """One frame or object.

    Attributes:
        attributes: at most one for each output, in engine order.
        label: every label followed by a blank.
        dropped: why an output gave nothing to show; only where it was asked for.
    """

    attributes: tuple[Classification, ...]
    label: str
    dropped: tuple[Drop, ...] = ()

    @property
    def attached(self) -> bool:
        """Whether anything reaches the frame's metadata."""
        return bool(self.attributes and self.label)


def classify(settings: Settings, outputs: Sequence[Layer], frames: int, *, why: bool = False) -> tuple[Classified, ...]:
    """Decode a batch.

    Args:
        settings: labels and threshold; a class counts when its number is above the threshold and above 0. NaN never
            is. The first of equal numbers wins.
        outputs: in engine order. Only the first dimension behind the batch counts: of [C,2,2] the first C numbers in
            memory are read, of [1,C] the first one.
        frames: in the batch.
        why: fill `dropped`.

    Raises:
        InputError: an output is too short for float32 numbers.
    """
    stock = settings.classifier_parser != ""
    attributes: list[list[Classification]] = [[] for _ in range(frames)]
    dropped: list[list[Drop]] = [[] for _ in range(frames)]
    for number, layer in enumerate(outputs):
        for frame, probabilities in enumerate(_probabilities(layer, frames)):
            class_id, value = _best(probabilities)
            if value > settings.classifier_threshold and value > 0:
                label = settings.attribute_label(number, class_id)
                if stock and number == 0 and class_id < len(_STOCK_LABELS):
                    label = _STOCK_LABELS[class_id]
                attributes[frame].append(Classification(settings.unique_id, number, class_id, value, label))
                if why and label is None:
                    dropped[frame].append(Drop("labelfile-path", class_id, number + 1, class_id, value))
            elif why:
                limit = max(settings.classifier_threshold, 0.0)
                dropped[frame].append(Drop("classifier-threshold", value, limit, class_id, value))
    return tuple(
        Classified(tuple(some), "".join(f"{one.label} " for one in some if one.label is not None), tuple(drops))
        for some, drops in zip(attributes, dropped, strict=True)
    )


def _probabilities(layer: Layer, frames: int) -> NDArray[np.float32]:
    """[frames, C]: the first C numbers of each frame."""
    classes = layer.dims[0]
    if layer.is_float:
        return layer.array.reshape(layer.frames, -1)[:frames, :classes]
    return np.stack([layer.floats(frame, classes)[:classes] for frame in range(frames)])


def _best(probabilities: NDArray[np.float32]) -> tuple[int, float]:
    """The first maximum, NaN left out: if that one does not count, none does."""
    class_id = int(probabilities.argmax())  # the first NaN, where there is one
    value = float(probabilities[class_id])
    if math.isnan(value):
        class_id = int(np.where(np.isnan(probabilities), -np.inf, probabilities).argmax())
        value = float(probabilities[class_id])
    return class_id, value


Parser = Callable[[RawFrame], Boxes]

PARSERS: dict[str, Parser] = {
    "": parsers.builtin,
    "NvDsInferParseCustomResnet": parsers.resnet,
    "NvDsInferParseCustomTfSSD": parsers.tf_ssd,
    "NvDsInferParseCustomNMSTLT": parsers.nms,
    "NvDsInferParseCustomBatchedNMSTLT": parsers.batched_nms,
    "NvDsInferParseYoloV5CustomBatchedNMSTLT": parsers.yolov5_batched_nms,
    "NvDsInferParseCustomEfficientDetTAO": parsers.efficientdet,
}
"""parse-bbox-func-name -> what is computed; "" is the built-in parser."""

_CLASSIFIER_PARSERS = ("", "NvDsInferClassiferParseCustomSoftmax")


@dataclass(frozen=True, slots=True)
class Detection:
    """One object: class, label (None without one), box in pixels, confidence; all numbers are float32 values."""

    class_id: int
    label: str | None
    left: float
    top: float
    width: float
    height: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Detected:
    """One frame or object of a detector.

    Attributes:
        objects: behind clustering, in network pixels, in nvinfer's order.
        dropped: dropped candidates, in network pixels; only where `why` was set.
    """

    objects: tuple[Detection, ...]
    dropped: Dropped = NOT_WANTED


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch.

    Attributes:
        frames: all of one kind.
        failure: why NVIDIA's parser gives up on every frame, "" where it does not. nvinfer goes on with results it
            never wrote, so on a device anything may be shown; here the frames are empty.
        nan_scores: a class had scores that are NaN beside others, and its boxes were sorted: their order is undefined.
    """

    frames: tuple[Classified, ...] | tuple[Detected, ...]
    failure: str = ""
    nan_scores: bool = False


def decode(settings: Settings, network: Network, outputs: Sequence[Layer], *, why: bool = False) -> Decoded:
    """What nvinfer makes of the outputs of one batch.

    Args:
        settings: of the config.
        network: the network's input, which boxes are measured in.
        outputs: in engine order, equally many frames in each.
        why: record the dropped candidates (`dropped`); costs about as much again.

    Raises:
        UnsupportedModelError: the network type, parser function or clustering cannot be computed; the message names it.
        InputError: the outputs do not fit each other or the parser, or nvinfer's process would die of them.
    """
    frames = _frames(outputs)
    if settings.network_type is NetworkType.CLASSIFIER:
        _known(settings.classifier_parser, _CLASSIFIER_PARSERS)
        return Decoded(classify(settings, outputs, frames, why=why))
    if settings.network_type is not NetworkType.DETECTOR:
        name = settings.network_type.name.lower().replace("_", " ")
        message = f"network-type={int(settings.network_type)} ({name}) is not simulated"
        raise UnsupportedModelError(message, hint="classifiers (network-type=1) and detectors (0) are")
    _known(settings.parser, PARSERS)
    check(settings.cluster_mode, settings.classes)
    parser, limits = PARSERS[settings.parser], thresholds(settings.classes)
    sorts = settings.cluster_mode in {ClusterMode.NMS, ClusterMode.DBSCAN_NMS} or any(
        one.topk >= 0 for one in settings.classes
    )
    nan_scores = False
    found: list[Detected] = []
    for frame in range(frames):
        dropped = Dropped() if why else NOT_WANTED
        # overflow and NaN are values like any other in C
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                candidates = parser(RawFrame(outputs, frame, network, limits, dropped))
            except ParserFailed as failed:
                return Decoded((Detected((), dropped),) * frames, str(failed))
            boxes = cluster(settings.cluster_mode, settings.classes, candidates, dropped)
        known = candidates[candidates.class_id < len(settings.classes)]
        nan = np.isnan(known.confidence)
        nan_scores |= sorts and bool(np.isin(known.class_id[~nan], known.class_id[nan]).any())
        found.append(Detected(detections(boxes, settings), dropped))
    return Decoded(tuple(found), nan_scores=nan_scores)


def detections(boxes: Boxes, settings: Settings) -> tuple[Detection, ...]:
    """Boxes with their labels."""
    columns = (boxes.class_id, boxes.left, boxes.top, boxes.width, boxes.height, boxes.confidence)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return tuple(Detection(class_id, settings.label(class_id), *numbers) for class_id, *numbers in rows)


def _frames(outputs: Sequence[Layer]) -> int:
    counts = {layer.frames for layer in outputs}
    if len(counts) != 1:
        counted = ", ".join(f"{layer.name!r} {layer.frames}" for layer in outputs) or "none"
        message = f"the outputs do not belong to one batch (frames: {counted})"
        hint = "a model whose output keeps batch 1 gives frame 2 and later what happens to lie in memory"
        raise InputError(message, hint=hint)
    return counts.pop()


def _known(function: str, known: Sequence[str] | dict[str, Parser]) -> None:
    if why := load_toml("report/words.toml")["refused-parsers"].get(function):
        raise UnsupportedModelError(f"{function} is in {STOCK_LIBRARY}, but {why}")
    if function not in known:
        message = f"there is no function {function} in {STOCK_LIBRARY}: nvinfer refuses the config (CUSTOM_LIB_FAILED)"
        raise UnsupportedModelError(message, hint="one of " + ", ".join(name for name in known if name))


def attach(
    settings: Settings,
    view: View,
    objects: Sequence[Detection],
    *,
    parent: Rect | None = None,
    dropped: Dropped = NOT_WANTED,
) -> tuple[Detection, ...]:
    """The objects of one frame as NvDsObjectMeta has them; a label that is missing is "" there.

    Args:
        settings: sizes, regions and classes that are left out.
        view: how the frame, or the object, was scaled.
        objects: as decoded, in network pixels.
        parent: the object that was the input (process-mode 2); its corner is added last.
        dropped: collects dropped objects, in pixels of the frame.
    """
    if not objects:
        return ()
    kept = np.arange(len(objects))
    # overflow and NaN are values like any other in C
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        boxes = _scaled(view, objects)
        limits = _Limits(settings, boxes.class_id)
        for key, values, limit, out in _filters(settings, view, boxes, limits):
            removed = kept[out[kept]]
            dropped.add(key, boxes[removed], values[removed], limit[removed])
            kept = kept[~out[kept]]
        if settings.crop_to_roi:
            boxes = _cropped(view, boxes, limits)
        if parent is not None:
            left, top = boxes.left + np.float32(parent.left), boxes.top + np.float32(parent.top)
            boxes = Boxes(boxes.class_id, left, top, boxes.width, boxes.height, boxes.confidence)
    columns = (boxes.left, boxes.top, boxes.width, boxes.height, boxes.confidence)
    rows = zip(*(column[kept].tolist() for column in columns), strict=True)
    return tuple(
        Detection(objects[i].class_id, _stored(objects[i].label), *numbers)
        for i, numbers in zip(kept.tolist(), rows, strict=True)
    )


class _Limits:
    """The sizes and regions that hold for each object: unsigned numbers, compared as float32."""

    def __init__(self, settings: Settings, class_id: NDArray[np.uint32]) -> None:
        used, self._where = np.unique(class_id, return_inverse=True)
        self._classes = [settings.classes[one] for one in used.tolist()]

    def __getitem__(self, name: str) -> NDArray[np.uint32]:
        numbers = np.array([getattr(one, name) % 2**32 for one in self._classes], np.uint32)
        return numbers[self._where]


def _scaled(view: View, objects: Sequence[Detection]) -> Boxes:
    """Float32 minus unsigned is float32; divided by a double it is a double, stored as float32."""
    numbers = np.array([(o.left, o.top, o.width, o.height, o.confidence) for o in objects], np.float32)
    left, top, width, height, confidence = numbers.T
    left = ((left - np.float32(view.offset_left)).astype(np.float64) / view.scale_x).astype(np.float32)
    top = ((top - np.float32(view.offset_top)).astype(np.float64) / view.scale_y).astype(np.float32)
    return Boxes(
        np.array([o.class_id for o in objects], np.uint32),
        np.where(left < 0, np.float32(0), left),
        np.where(top < 0, np.float32(0), top),
        (width.astype(np.float64) / view.scale_x).astype(np.float32),
        (height.astype(np.float64) / view.scale_y).astype(np.float32),
        confidence,
    )


def _lowest(view: View, limits: _Limits) -> NDArray[np.float32]:
    """The frame's height less roi-bottom-offset, in unsigned arithmetic: an offset too large wraps around."""
    return (np.uint32(view.frame_height) - limits["roi_bottom_offset"]).astype(np.float32)


def _filters(settings: Settings, view: View, boxes: Boxes, limits: _Limits) -> list[_Test]:
    """The tests in nvinfer's order: key, the box's number, the key's, and who falls out."""
    filtered = np.isin(boxes.class_id, np.array(sorted(settings.filter_out_class_ids), np.int64))
    tests: list[_Test] = [("filter-out-class-ids", boxes.class_id, boxes.class_id, filtered)]
    for key, size, is_least in (
        ("detected-min-w", boxes.width, True), ("detected-min-h", boxes.height, True),
        ("detected-max-w", boxes.width, False), ("detected-max-h", boxes.height, False),
    ):  # fmt: skip
        limit = limits[key.replace("-", "_")].astype(np.float32)
        tests.append((key, size, limit, size < limit if is_least else (limit > 0) & (size > limit)))
    if not settings.crop_to_roi:
        highest, lowest = limits["roi_top_offset"].astype(np.float32), _lowest(view, limits)
        bottom = boxes.top + boxes.height
        tests.append(("roi-top-offset", boxes.top, highest, boxes.top < highest))
        tests.append(("roi-bottom-offset", bottom, lowest, bottom > lowest))
    return tests


def _cropped(view: View, boxes: Boxes, limits: _Limits) -> Boxes:
    """crop-objects-to-roi-boundary: the top moves without shrinking the box, right and bottom are cut."""
    frame_width = np.float32(view.frame_width)
    highest, lowest = limits["roi_top_offset"].astype(np.float32), _lowest(view, limits)
    top = np.where(boxes.top < highest, highest, boxes.top)
    width = np.where(boxes.left + boxes.width >= frame_width, frame_width - boxes.left, boxes.width)
    height = np.where(top + boxes.height > lowest, lowest - top, boxes.height)
    return Boxes(boxes.class_id, boxes.left, top, width, height, boxes.confidence)


def _stored(label: str | None) -> str:
    if label is None:
        return ""
    encoded = label.encode("utf-8", "surrogateescape")
    return label if len(encoded) <= LABEL_BYTES else encoded[:LABEL_BYTES].decode("utf-8", "replace")
