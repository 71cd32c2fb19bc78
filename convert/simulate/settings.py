"""The settings of a Gst-nvinfer config that decide its arithmetic, in the types nvinfer computes with.

Made of a config that was read and the label file it names, or of the dictionary that `convert.nvinfer.config` gives:
every key of [property] with the value nvinfer holds after parsing (floats as float32), and one dictionary of class
attributes for each class. What nvinfer changes after parsing is changed here: cluster-mode 0 is NMS with topk 20 and
IoU 0.5 (nvdsinfer_context_impl.cpp, `initialize`; stock builds have no OpenCV), and the name of a parser function
counts only together with a library.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import PurePosixPath
from typing import Any

from convert.errors import InputError, UnsupportedModelError
from convert.images.scaling import ScalingFilter
from convert.nvinfer.keys import ClusterMode, NetworkType, Parsed

__all__ = ["ClusterMode", "NetworkType", "ScalingFilter"]  # of other modules


STOCK_LIBRARY = "libnvds_infercustomparser.so"
"""The parser library every DeepStream installation has, in /opt/nvidia/deepstream/deepstream/lib."""

_MOST_CLASSES = 1_000_000  # nvinfer allocates that many too, but no label file does


_THRESHOLDS = (("pre-cluster-threshold", 0.2), ("post-cluster-threshold", 0.0), ("nms-iou-threshold", 0.3))
_SIZES = ("detected-min-w", "detected-min-h", "detected-max-w", "detected-max-h", "roi-top-offset", "roi-bottom-offset")


class ColorFormat(IntEnum):
    """model-color-format."""

    RGB = 0
    BGR = 1
    GRAY = 2


@dataclass(frozen=True, slots=True)
class ClassSettings:
    """One class's [class-attrs]: thresholds are float32 values, sizes and offsets unsigned pixels of the frame.

    `topk` below 0 is no limit, a maximum size of 0 is none.
    """

    pre_cluster_threshold: float
    post_cluster_threshold: float = 0.0
    nms_iou_threshold: float = 0.0
    topk: int = -1
    min_boxes: int = 0
    detected_min_w: int = 0
    detected_min_h: int = 0
    detected_max_w: int = 0
    detected_max_h: int = 0
    roi_top_offset: int = 0
    roi_bottom_offset: int = 0

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> ClassSettings:
        """From one element of `class-attrs`; a key that is missing has nvinfer's default."""
        before, behind, overlap = (_float32(values.get(key, usual)) for key, usual in _THRESHOLDS)
        most, boxes = int(values.get("topk", -1)), int(values.get("minBoxes", 0))
        return cls(before, behind, overlap, most, boxes, *(int(values.get(key, 0)) for key in _SIZES))


@dataclass(frozen=True, slots=True)
class Settings:
    """One engine's settings.

    Attributes:
        network_type: what its outputs are taken for.
        unique_id: gie-unique-id; part of the names of dumped tensors.
        on_objects: process-mode 2: its inputs are objects, not frames.
        batch_size: of the engine.
        labels: the label file's non-empty lines, split at ";".
        classes: one for each of num-detected-classes; empty for a classifier.
        cluster_mode: in use; 2 where the file says 0 or nothing.
        parser: the stock function that reads a detector's outputs; "" is the built-in one.
        classifier_parser: the stock function that reads a classifier's outputs; "" is the built-in one.
        classifier_threshold: float32 value.
        classifier_type: as in the file; "" where there is none.
        filter_out_class_ids: classes whose objects are not attached to the frame.
        crop_to_roi: crop-objects-to-roi-boundary.
        operate_on_gie_id: -1 is all engines.
        operate_on_class_ids: empty is all classes.
        input_object_min: width, height; smaller objects are not processed.
        input_object_max: width, height; 0 is no limit.
        keep_aspect: maintain-aspect-ratio.
        symmetric: symmetric-padding.
        scaling_filter: how pictures are scaled.
        color: the channels of the network input, in its order.
        channels_last: network-input-order 1 (NHWC).
        infer_dims: channels, height, width; zeros are "as the model says".
        scale: net-scale-factor, float32 value.
        offsets: float32 values, one for each channel in the network's order, or none.
        mean_file: "" is none.
    """

    network_type: NetworkType
    unique_id: int = 1
    on_objects: bool = False
    batch_size: int = 1
    labels: tuple[tuple[str, ...], ...] = ()
    classes: tuple[ClassSettings, ...] = ()
    cluster_mode: ClusterMode = ClusterMode.NMS
    parser: str = ""
    classifier_parser: str = ""
    classifier_threshold: float = 0.0
    classifier_type: str = ""
    filter_out_class_ids: frozenset[int] = frozenset()
    crop_to_roi: bool = False
    operate_on_gie_id: int = -1
    operate_on_class_ids: frozenset[int] = frozenset()
    input_object_min: tuple[int, int] = (0, 0)
    input_object_max: tuple[int, int] = (0, 0)
    keep_aspect: bool = False
    symmetric: bool = False
    scaling_filter: ScalingFilter = ScalingFilter.DEFAULT
    color: ColorFormat = ColorFormat.RGB
    channels_last: bool = False
    infer_dims: tuple[int, int, int] = (0, 0, 0)
    scale: float = 1.0
    offsets: tuple[float, ...] = ()
    mean_file: str = ""

    @classmethod
    def from_values(
        cls, values: Mapping[str, Any], labels: Sequence[Sequence[str]] = (), *, library: str | None = None
    ) -> Settings:
        """What nvinfer computes with.

        Args:
            values: [property] as nvinfer holds it, and "class-attrs"; a key that is missing has nvinfer's default.
            labels: the label file, as nvinfer splits it.
            library: custom-lib-path as the file has it. nvinfer stores only the part of an absolute path that
                exists, so on a machine without DeepStream `values` may lack the library's name.

        Raises:
            InputError: more classes than any machine could hold, or not as many class attributes as classes.
            UnsupportedModelError: a parser function of a library of its own.
        """
        kind = NetworkType(int(values.get("network-type", 0)))
        written = values.get("cluster-mode")
        mode = ClusterMode(int(written) if written is not None else 0)
        # nvinfer reads class attributes of these two only
        has_classes = kind in {NetworkType.DETECTOR, NetworkType.INSTANCE_SEGMENTATION}
        classes = _classes(values) if has_classes else ()
        if mode is ClusterMode.GROUP_RECTANGLES and kind is NetworkType.DETECTOR:
            mode = ClusterMode.NMS
            classes = tuple(replace(one, topk=20, nms_iou_threshold=0.5) for one in classes)
        path = str(values.get("custom-lib-path") or "") if library is None else library
        channels, height, width = values.get("infer-dims") or (0, 0, 0)
        return cls(
            kind,
            unique_id=int(values.get("gie-unique-id", 1)),
            on_objects=int(values.get("process-mode", 1)) == 2,
            batch_size=int(values.get("batch-size", 1)),
            # strdup: a label ends at its first null character
            labels=tuple(tuple(label.partition("\0")[0] for label in line) for line in labels),
            classes=classes,
            cluster_mode=mode,
            parser=_function(values, "parse-bbox-func-name", path) if kind is NetworkType.DETECTOR else "",
            classifier_parser=_function(values, "parse-classifier-func-name", path)
            if kind is NetworkType.CLASSIFIER
            else "",
            classifier_threshold=_float32(values.get("classifier-threshold", 0)),
            classifier_type=values.get("classifier-type") or "",
            filter_out_class_ids=_numbers(values, "filter-out-class-ids"),
            crop_to_roi=bool(values.get("crop-objects-to-roi-boundary", 0)),
            operate_on_gie_id=int(values.get("operate-on-gie-id", -1)),
            operate_on_class_ids=_numbers(values, "operate-on-class-ids"),
            input_object_min=_pair(values, "input-object-min-"),
            input_object_max=_pair(values, "input-object-max-"),
            keep_aspect=bool(values.get("maintain-aspect-ratio", 0)),
            symmetric=bool(values.get("symmetric-padding", 0)),
            scaling_filter=ScalingFilter(int(values.get("scaling-filter", 6))),
            color=ColorFormat(int(values.get("model-color-format", 0))),
            channels_last=int(values.get("network-input-order", 0)) == 1,
            infer_dims=(int(channels), int(height), int(width)),
            scale=_float32(values.get("net-scale-factor", 1)),
            offsets=tuple(map(_float32, values.get("offsets") or ())),
            mean_file=str(values.get("mean-file") or ""),
        )

    @classmethod
    def from_parsed(cls, parsed: Parsed, labels: Sequence[Sequence[str]] = ()) -> Settings:
        """As `from_values`, of a config that was read; paths are those of this machine.

        Raises:
            InputError: nvinfer does not accept the config; otherwise as `from_values`.
        """
        if not parsed.accepted:
            fault = parsed.fault
            message = f"nvinfer does not accept this config: {fault.message if fault else parsed.exception}"
            hint = "ei-deepstream check says more"
            raise InputError(message, hint=hint, path=parsed.path, line=fault.line if fault else None)
        library = parsed.entry("custom-lib-path")
        values = {**parsed.values, "mean-file": parsed.files.get("mean-file", "")}
        return cls.from_values(values, labels, library=library.text if library else None)

    def label(self, class_id: int) -> str | None:
        """A detector's label for a class: the first word of its line, None where the file has no such line."""
        return self.labels[class_id][0] if class_id < len(self.labels) and self.labels[class_id] else None

    def attribute_label(self, attribute: int, class_id: int) -> str | None:
        """A classifier's label: word `class_id` of line `attribute`, None where the file has none."""
        if attribute < len(self.labels) and class_id < len(self.labels[attribute]):
            return self.labels[attribute][class_id]
        return None


def _classes(values: Mapping[str, Any]) -> tuple[ClassSettings, ...]:
    count = int(values.get("num-detected-classes", 0))
    if count > _MOST_CLASSES:
        message = f"num-detected-classes={count}: nvinfer runs out of memory"
        hint = "give the number of classes of the model; a negative number is taken as a huge one"
        raise InputError(message, hint=hint)
    given = values.get("class-attrs")
    if given is None:
        return (ClassSettings.from_values({}),) * count
    if len(given) != count:
        raise InputError(f"num-detected-classes is {count}, but there are class attributes for {len(given)} classes")
    return tuple(ClassSettings.from_values(one) for one in given)


def _function(values: Mapping[str, Any], key: str, library: str) -> str:
    """The function that is called; "" for the built-in one, which also runs where no library is named."""
    function = str(values.get(key) or "")
    if not function or not library:
        return ""
    name = PurePosixPath(library).name
    # without ".so" it is what nvinfer keeps of a path that does not exist here: a folder
    if name != STOCK_LIBRARY and ".so" in name:
        message = f"{function} of {name} decodes this model's outputs, and only that library knows how"
        hint = f"only the functions of {STOCK_LIBRARY} and the built-in parsers can be simulated"
        raise UnsupportedModelError(message, hint=hint)
    return function


def _float32(value: float | str) -> float:
    """The nearest float32 number; "nan" and "inf" may be strings."""
    number = float(value)
    try:
        return float(struct.unpack("f", struct.pack("f", number))[0])
    except OverflowError:  # C's conversion gives an infinity
        return float("inf") if number > 0 else float("-inf")


def _numbers(values: Mapping[str, Any], key: str) -> frozenset[int]:
    return frozenset(map(int, values.get(key) or ()))


def _pair(values: Mapping[str, Any], prefix: str) -> tuple[int, int]:
    return int(values.get(prefix + "width", 0)), int(values.get(prefix + "height", 0))
