"""An engine's settings in words that need no knowledge of Gst-nvinfer's keys; the keys stand beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from convert.simulate.settings import ClusterMode, ColorFormat, NetworkType, ScalingFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from convert.images.placement import Network
    from convert.simulate.scene import Engine
    from convert.simulate.settings import ClassSettings, Settings

__all__ = ["Setting", "heading", "settings_in_words"]

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


def heading(engine: Engine) -> str:
    """ "Engine 1: classifier of whole pictures"; the number is the gie-unique-id."""
    kind = {NetworkType.CLASSIFIER: "classifier", NetworkType.DETECTOR: "detector"}.get(
        engine.settings.network_type, engine.settings.network_type.name.lower().replace("_", " ")
    )
    return (
        f"Engine {engine.settings.unique_id}: {kind} of {'objects' if engine.settings.on_objects else 'whole pictures'}"
    )


def settings_in_words(engine: Engine) -> list[Setting]:
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
        said = [f"{offset:.6g}" for offset in offsets]
        minus = f"{scale:.6g} * (x - {said[0] if len(set(said)) == 1 else '[' + ', '.join(said) + ']'})"
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
    said = list(map(words, settings.classes))
    if len(set(said)) == 1:
        return said[0]
    named = [f"{_class_name(settings, number)}: {text}" for number, text in enumerate(said[:_MOST_CLASSES])]
    rest = len(said) - len(named)
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
