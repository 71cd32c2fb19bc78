"""The sections of the page in words and numbers: classes, engine settings, measurements, comparison.

- Classes: how often each was shown, with what scores, and which keys dropped its candidates.
- Settings: in words that need no knowledge of Gst-nvinfer's keys, with the keys beside them.
- Measurements: the ONNX model against the original, and DeepStream against Edge Impulse.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from convert.compare import Comparison, PictureComparison, Prediction, Verdict
from convert.render.drawing import Style, number, style_of
from convert.render.text import percent
from convert.simulate.settings import ClassSettings, ClusterMode, ColorFormat, NetworkType, ScalingFilter, Settings

if TYPE_CHECKING:
    from convert.images.scaling import Network
    from convert.simulate.results import FrameResult, SimulatedEngine


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class of one engine.

    Attributes:
        label: "" without one.
        confidences: of what is shown, in the pictures' order.
        dropped: key -> how many of the best candidates it dropped, most first.
    """

    class_id: int
    label: str
    style: Style
    confidences: tuple[float, ...]
    dropped: dict[str, int]

    @property
    def count(self) -> int:
        """How often it is shown."""
        return len(self.confidences)

    @property
    def lowest(self) -> float:
        """The smallest confidence, NaN left out; NaN where nothing else is shown."""
        return min((one for one in self.confidences if not math.isnan(one)), default=math.nan)

    @property
    def highest(self) -> float:
        """The largest confidence, as `lowest`."""
        return max((one for one in self.confidences if not math.isnan(one)), default=math.nan)

    @property
    def mean(self) -> float:
        """NaN as soon as one is, or where none is shown."""
        if not self.confidences:
            return math.nan
        finite = all(map(math.isfinite, self.confidences))
        return (math.fsum(self.confidences) if finite else sum(self.confidences)) / len(self.confidences)

    @property
    def dropped_count(self) -> int:
        """How many of the best candidates were left out."""
        return sum(self.dropped.values())


@dataclass(slots=True)
class _Tally:
    shown: list[float] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def class_rows(engine: SimulatedEngine, frames: Sequence[FrameResult]) -> list[ClassRow]:
    """The classes of an engine that were shown or nearly, in class order; a class without a label has a row, too."""
    tallies: dict[tuple[int, str], _Tally] = {}
    for class_id, label, confidence in _shown_classes(engine.settings.unique_id, frames):
        tallies.setdefault((class_id, label), _Tally()).shown.append(confidence)
    for frame in frames:
        for candidate in frame.dropped:
            if candidate.engine == engine.settings.unique_id:
                tallies.setdefault((candidate.class_id, candidate.label or ""), _Tally()).dropped[candidate.key] += 1
    return [
        ClassRow(
            class_id,
            label,
            style_of(engine.settings.unique_id, class_id),
            tuple(tally.shown),
            dict(sorted(tally.dropped.items(), key=lambda one: (-one[1], one[0]))),
        )
        for (class_id, label), tally in sorted(tallies.items())
    ]


def undetected_classes(engine: SimulatedEngine, rows: Sequence[ClassRow]) -> list[str]:
    """Labels of classes that were neither shown nor among the best candidates, in the label file's order."""
    known = {row.label for row in rows}
    lines = engine.settings.labels
    labels = [line[0] for line in lines if line] if engine.settings.classes else [one for line in lines for one in line]
    return [label for label in labels if label and label not in known]


def _shown_classes(engine: int, frames: Sequence[FrameResult]) -> Iterator[tuple[int, str, float]]:
    """Class, label and confidence of all an engine shows; of a classifier what it has a label for."""
    for frame in frames:
        for classification in frame.classifications:
            if classification.engine == engine and classification.label:
                yield classification.class_id, classification.label, classification.confidence
        for found in frame.objects:
            if found.engine == engine:
                yield found.class_id, found.label, found.confidence
            for classification in found.classifications:
                if classification.engine == engine and classification.label:
                    yield classification.class_id, classification.label, classification.confidence


_MOST_CLASSES: Final = 8  # that are named one by one

_FILTERS: Final = {
    ScalingFilter.NEAREST: "nearest pixel",
    ScalingFilter.BILINEAR: "bilinear",
    ScalingFilter.CUBIC: "cubic on the GPU, 5-tap on VIC",
    ScalingFilter.SUPER: "super-sampling on the GPU, 10-tap on VIC",
    ScalingFilter.LANCZOS: "Lanczos on the GPU, smart on VIC",
    ScalingFilter.NICEST: "nicest",
    ScalingFilter.DEFAULT: "the default, which is the nearest pixel",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One line: what it is about, in words, and the keys that decide it."""

    name: str
    words: str
    keys: str = ""


def heading(engine: SimulatedEngine) -> str:
    """ "Engine 1: classifier of whole pictures"; the number is the gie-unique-id."""
    kind = {NetworkType.CLASSIFIER: "classifier", NetworkType.DETECTOR: "detector"}.get(
        engine.settings.network_type, engine.settings.network_type.name.lower().replace("_", " ")
    )
    return (
        f"Engine {engine.settings.unique_id}: {kind} of {'objects' if engine.settings.on_objects else 'whole pictures'}"
    )


def settings_in_words(engine: SimulatedEngine) -> list[Setting]:
    """What the engine does, in the order it does it."""
    settings = engine.settings
    lines = [
        Setting("Looks at", _subject(settings), _subject_keys(settings)),
        *_input(settings, engine.network),
        *(_classifier(settings) if settings.network_type is NetworkType.CLASSIFIER else _detector(settings)),
        Setting("Batch", _plural(settings.batch_size, "picture") + " at a time", "batch-size"),
    ]
    lines += [Setting("Only near", words + "; a device's numbers differ a little") for words in engine.approximated]
    return lines


def _subject(settings: Settings) -> str:
    if not settings.on_objects:
        return "the whole picture"
    whose = "all engines" if settings.operate_on_gie_id < 0 else f"engine {settings.operate_on_gie_id}"
    classes = ", ".join(map(str, sorted(settings.operate_on_class_ids)))
    words = f"objects of {whose}" + (f", of class {classes}" if classes else "")
    smallest = f"{max(1, settings.input_object_min[0])} x {max(1, settings.input_object_min[1])}"
    words += f", from {smallest} pixels"
    if any(settings.input_object_max):
        largest = " x ".join(str(side) if side else "any" for side in settings.input_object_max)
        words += f" to {largest}"
    return words


def _subject_keys(settings: Settings) -> str:
    if not settings.on_objects:
        return "process-mode=1"
    keys = ["process-mode=2", "operate-on-gie-id"]
    if settings.operate_on_class_ids:
        keys.append("operate-on-class-ids")
    return ", ".join([*keys, "input-object-min-*"])


def _input(settings: Settings, network: Network) -> Iterator[Setting]:
    colour = {ColorFormat.GRAY: "grey"}.get(settings.color, settings.color.name)
    size = f"{network.width} x {network.height}"
    order = "channels last" if settings.channels_last else "channels first"
    yield Setting("Network input", f"{size} pixels, {colour}, {order}", "infer-dims, model-color-format")
    if not settings.keep_aspect:
        yield Setting("Fitting", f"stretched or squeezed to {size}, whatever its shape", "maintain-aspect-ratio=0")
    else:
        where = "on both sides" if settings.symmetric else "at the right or at the bottom"
        keys = "maintain-aspect-ratio=1" + (", symmetric-padding=1" if settings.symmetric else "")
        yield Setting("Fitting", f"scaled until it fits into {size}, its shape kept, black {where}", keys)
    number = int(settings.scaling_filter)
    yield Setting("Scaling", _FILTERS[settings.scaling_filter], f"scaling-filter={number}")
    yield Setting("Numbers", _numbers(settings), "net-scale-factor" + (", offsets" if settings.offsets else ""))


def _numbers(settings: Settings) -> str:
    """What 0..255 becomes; a net-scale-factor that is not above 0 counts as 1, and the offsets as none."""
    scale = settings.scale if settings.scale > 0 else 1.0
    if settings.mean_file:
        return f"each level x (0 to 255) becomes {scale:.6g} * (x - the mean file's)"
    offsets = settings.offsets if settings.scale > 0 else ()
    lowest = [scale * (0 - offset) for offset in offsets] or [0.0]
    highest = [scale * (255 - offset) for offset in offsets] or [scale * 255]
    minus = f"{scale:.6g} * x"
    if offsets:
        numbers = [f"{offset:.6g}" for offset in offsets]
        mean = numbers[0] if len(set(numbers)) == 1 else f"[{', '.join(numbers)}]"
        minus = f"{scale:.6g} * (x - {mean})"
    return f"each level x (0 to 255) becomes {minus}: {min(lowest):.5g} to {max(highest):.5g}"


def _classifier(settings: Settings) -> Iterator[Setting]:
    threshold = f"{max(settings.classifier_threshold, 0.0):.6g}"
    yield Setting("Shown", f"the best class, when its number is above {threshold}", "classifier-threshold")
    if settings.classifier_parser:
        yield Setting("Read by", settings.classifier_parser, "parse-classifier-func-name")
    count = sum(map(len, settings.labels))
    lines = f" for {len(settings.labels)} outputs" if len(settings.labels) > 1 else ""
    yield Setting("Labels", (_plural(count, "label") if count else "none: nothing is shown") + lines, "labelfile-path")


def _detector(settings: Settings) -> Iterator[Setting]:
    classes = settings.classes
    yield Setting("Read by", settings.parser or "nvinfer's built-in parser", "parse-bbox-func-name")
    labels = sum(1 for number in range(len(classes)) if settings.label(number))
    yield Setting("Classes", f"{len(classes)}, {labels} of them with a label", "num-detected-classes, labelfile-path")
    if not classes:
        return
    yield Setting(
        "Shown", _by_class(settings, lambda one: f"from confidence {_shortest(one.pre_cluster_threshold)}"),
        "pre-cluster-threshold",
    )  # fmt: skip
    if settings.cluster_mode is ClusterMode.NONE:
        yield Setting("Overlapping boxes", "all stay", "cluster-mode=4")
    else:
        words = _by_class(settings, lambda one: f"of two that share more than {_shortest(one.nms_iou_threshold)}")
        yield Setting(
            "Overlapping boxes", f"{words} the better one stays", f"cluster-mode={int(settings.cluster_mode)}"
        )
        if any(one.post_cluster_threshold for one in classes):
            words = _by_class(settings, lambda one: f"above {_shortest(one.post_cluster_threshold)}")
            yield Setting("Then", words, "post-cluster-threshold")
    if any(one.topk >= 0 for one in classes):
        yield Setting(
            "At most", _by_class(settings, lambda one: str(one.topk) if one.topk >= 0 else "any number"), "topk"
        )
    if any(map(_size, classes)):
        yield Setting("Size", _by_class(settings, lambda one: _size(one) or "any"), "detected-min-*, detected-max-*")
    if any(map(_region, classes)):
        yield Setting("Region", _by_class(settings, lambda one: _region(one) or "all"), "roi-*-offset")
    if settings.filter_out_class_ids:
        out = ", ".join(_class_name(settings, one) for one in sorted(settings.filter_out_class_ids))
        yield Setting("Never shown", out, "filter-out-class-ids")


def _by_class(settings: Settings, words: Callable[[ClassSettings], str]) -> str:
    """One phrase for all classes where they agree, otherwise one for each."""
    texts = list(map(words, settings.classes))
    if len(set(texts)) == 1:
        return texts[0]
    named = [f"{_class_name(settings, number)}: {text}" for number, text in enumerate(texts[:_MOST_CLASSES])]
    rest = len(texts) - len(named)
    return "; ".join(named) + (f"; {rest} more classes with settings of their own" if rest else "")


def _class_name(settings: Settings, class_id: int) -> str:
    return settings.label(class_id) or f"class {class_id}"


def _size(one: ClassSettings) -> str:
    parts = []
    if one.detected_min_w or one.detected_min_h:
        parts.append(f"from {one.detected_min_w} x {one.detected_min_h} pixels")
    if one.detected_max_w or one.detected_max_h:
        parts.append(f"up to {one.detected_max_w or 'any'} x {one.detected_max_h or 'any'} pixels")
    return ", ".join(parts)


def _region(one: ClassSettings) -> str:
    parts = []
    if one.roi_top_offset:
        parts.append(f"not in the upper {one.roi_top_offset} pixels")
    if one.roi_bottom_offset:
        parts.append(f"not in the lower {one.roi_bottom_offset} pixels")
    return ", ".join(parts)


def _shortest(value: float) -> str:
    """A float32 number as it was written: 0.2, not 0.200000003."""
    return f"{value:.6g}"


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


MOST_COMPARED: Final = 500
"""Pictures of a comparison that are listed."""

_MOST_MEASURES: Final = 60
_LONGEST: Final = 300  # characters of a value this module does not know
_DEEPEST: Final = 4  # levels of such values that get rows of their own
_MOST_OBJECTS: Final = 4  # of an answer that are named


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that was measured.

    Attributes:
        passed: None where there is no limit.
    """

    name: str
    measured: str
    limit: str = ""
    passed: bool | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One picture of a comparison, ready to be shown."""

    row: PictureComparison
    deepstream: str
    edge_impulse: str
    causes: str


def measures(evidence: Mapping[str, Any]) -> list[Measure]:
    """`evidence` of a bundle's report.json (`convert.report.evidence_document`) as rows; null is left out.

    What is not as that document has it is shown as it stands, under its own name.
    """
    rows: list[Measure] = []
    for name, value in evidence.items():
        reader = _READERS.get(name)
        try:
            rows += reader(value) if reader and value is not None else _plain(name.replace("_", " "), value, 0)
        except (KeyError, OverflowError, TypeError, ValueError):
            rows += _plain(name.replace("_", " "), value, 0)
    return rows[:_MOST_MEASURES]


def differences(comparison: Comparison) -> list[Difference]:
    """The pictures, those that differ first, then those that drift; otherwise in their order."""
    order = (Verdict.DIFFERS, Verdict.DRIFTS, Verdict.SAME)
    rows = sorted(comparison.rows, key=lambda row: order.index(row.verdict))
    return [
        Difference(row, answer(row.deepstream), answer(row.edge_impulse), ", ".join(map(str, row.causes)))
        for row in rows[:MOST_COMPARED]
    ]


def answer(one: Prediction) -> str:
    """ "apple 0.98", "star 0.93, star 0.5 and 3 more" or "nothing"."""
    if one.label:
        return f"{one.label} {number(one.score)}"
    if not one.objects:
        return "nothing"
    named = ", ".join(
        f"{found.label or f'class {found.class_id}'} {number(found.score)}" for found in one.objects[:_MOST_OBJECTS]
    )
    rest = len(one.objects) - _MOST_OBJECTS
    return f"{named} and {rest} more" if rest > 0 else named


def _parity(value: Mapping[str, Any]) -> list[Measure]:
    most, limit = float(value["max_abs_diff"]), float(value["tolerance"])
    words = (
        f"largest difference {_small(most)}, mean {_small(value['mean_abs_diff'])}; "
        f"the same best class on {percent(float(value['top1']))} of {int(value['inputs']):,} inputs"
    )
    return [Measure("Original against ONNX model", words, _small(limit), most <= limit)]


def _batch(value: Mapping[str, Any]) -> list[Measure]:
    sizes = ", ".join(str(int(size)) for size in value["sizes"])
    words = f"batches of {sizes}: largest difference {_small(value['max_abs_diff'])}"
    return [Measure("Batches against single pictures", words)]


def _agreement(value: Mapping[str, Any]) -> list[Measure]:
    words = _agreed(value)
    if value.get("rounded"):
        words += "; the first layer keeps its rounding"
    if value.get("kernels") is not None:
        words += f"; two sets of the original's own kernels on {percent(float(value['kernels']))}"
    return [Measure("Integer original against its float rewriting", words)]


def _precisions(rows: Sequence[Mapping[str, Any]]) -> list[Measure]:
    """A row for each precision: size, decisions, largest difference, and what runs in it."""
    measured = []
    for row in rows:
        kept = _agreed(row["agreement"]) if row["agreement"] else "not measured"
        nodes = ", ".join(f"{int(count)} {name}" for name, count in row["nodes"].items())
        beyond = f"; beyond float16: {', '.join(map(str, row['overflow']))}" if row["overflow"] else ""
        words = f"weights {int(row['weights']) / 1000:,.0f} kB; {kept}{beyond}; nodes: {nodes}"
        measured.append(Measure(str(row["precision"]).upper(), words[:_LONGEST]))
    return measured


def _framing(value: Mapping[str, Any]) -> list[Measure]:
    """What cropping as in training gains, and what squashing costs."""
    of = ", ".join(map(str, value["frames"])) or "their own shape"
    rows = []
    if value["crop"] is not None:
        rows.append(Measure(f"Frames of {of}, cropped as in training", _agreed(value["crop"])))
    return [*rows, Measure(f"Frames of {of}, squashed", _agreed(value["squash"]))]


def _agreed(value: Mapping[str, Any]) -> str:
    return (
        f"the same decision on {percent(float(value['top1']))} of {int(value['inputs']):,} inputs; "
        f"mean difference {_small(value['mean_abs_diff'])}, largest {_small(value['max_abs_diff'])}"
    )


_READERS: Final[Mapping[str, Callable[[Any], list[Measure]]]] = {
    "parity": _parity,
    "batch": _batch,
    "tensorrt": lambda value: [Measure("TensorRT", str(value)[:_LONGEST])],
    "decoding": lambda value: [Measure("Boxes against an independent decoding", f"largest difference {_small(value)}")],
    "int8_agreement": _agreement,
    "framing": _framing,
    "precisions": _precisions,
}
"""Key of the document -> its row."""


def _plain(name: str, value: object, depth: int) -> list[Measure]:
    if value is None:
        return []
    if isinstance(value, Mapping) and depth < _DEEPEST:
        rows = []
        for key, one in value.items():
            rows += _plain(f"{name}, {str(key).replace('_', ' ')}", one, depth + 1)
        return rows
    return [Measure(name.capitalize(), f"{value:.4g}" if isinstance(value, float) else str(value)[:_LONGEST])]


def _small(value: float) -> str:
    return f"{value:.2g}"
