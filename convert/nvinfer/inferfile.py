"""Gst-nvinfer's own config file, for whole frames (primary) or for another engine's objects (secondary)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convert.errors import PresetError
from convert.nvinfer.configfile import Entry, Group, Section, config_file
from convert.nvinfer.heads import check_keys, facts, fill, head_entries
from convert.nvinfer.targets import reads_key

if TYPE_CHECKING:
    from convert.artifacts import Adapted, Preprocessing
    from convert.nvinfer.engine import Engine
    from convert.nvinfer.heads import HeadPreset
    from convert.nvinfer.targets import Target

__all__ = ["Files", "Gie", "infer_file", "lacks_centred_padding"]

_COLOR_FORMATS = {"RGB": 0, "BGR": 1, "GRAY": 2}
_BILINEAR = 1


@dataclass(frozen=True, slots=True)
class Gie:
    """An inference element's place in the pipeline.

    Attributes:
        id: gie-unique-id.
        operate_on: the id of the GIE whose objects it takes; None for whole frames.
        min_size: pixels; objects narrower or lower than this are passed over. Of no meaning for whole frames.
    """

    id: int
    operate_on: int | None = None
    min_size: int = 1


@dataclass(frozen=True, slots=True)
class Files:
    """Names of the files a config refers to, all in its own folder."""

    engine: Engine
    labels: str


def infer_file(adapted: Adapted, preset: HeadPreset, target: Target, gie: Gie, files: Files) -> bytes:
    """The config file.

    Raises:
        PresetError: the head cannot be expressed for this target.
    """
    known = {**facts(preset, adapted, target), "operate-on": gie.operate_on or 0}
    head = head_entries(preset, preset.property, known, target)
    sections = (
        Section(_place(gie)),
        Section(_model(files)),
        Section(_input(adapted, target)),
        Section((Entry("output-blob-names", tuple(each.name for each in adapted.onnx.outputs)), *head)),
    )
    keys = [entry.key for section in sections for entry in section.entries]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise PresetError(f"the head repeats a key that is written by itself: {', '.join(sorted(twice))}")
    check_keys(keys, target)
    groups = [Group("property", sections)]
    if preset.class_attrs_all:
        groups.append(Group("class-attrs-all", (Section(head_entries(preset, preset.class_attrs_all, known, target)),)))
    does = fill("the header", preset.primary if gie.operate_on is None else preset.secondary, known)
    header = (
        f"Gst-nvinfer config for DeepStream {target.deepstream} ({target.platform}): {preset.title}.\n"
        f"It {does}.\n"
        "Paths are relative to this file. No comments behind values: they would become part of them."
    )
    return config_file(header, tuple(groups))


def _place(gie: Gie) -> tuple[Entry, ...]:
    unique = Entry("gie-unique-id", gie.id, "Different for every GIE of a pipeline.")
    if gie.operate_on is None:
        return (
            unique,
            Entry("process-mode", 1, "1: whole frames, 2: objects of another GIE."),
            Entry("interval", 0, "Frames to skip between two that are looked at."),
        )
    return (
        unique,
        Entry("process-mode", 2, "1: whole frames, 2: objects of another GIE."),
        Entry("operate-on-gie-id", gie.operate_on, "The gie-unique-id of the GIE whose objects are looked at."),
        Entry(
            "input-object-min-width", gie.min_size, "Smaller objects are passed over (on Jetson, less than 16 always)."
        ),
        Entry("input-object-min-height", gie.min_size),
    )


def _model(files: Files) -> tuple[Entry, ...]:
    engine = files.engine
    return (
        Entry("onnx-file", engine.onnx),
        Entry(
            "model-engine-file",
            engine.file,
            "The name Gst-nvinfer gives the engine it builds: onnx-file, batch-size, gpu-id, network-mode.",
        ),
        Entry("labelfile-path", files.labels),
        Entry("batch-size", engine.batch_size),
        Entry("network-mode", engine.network_mode, "0: FP32, 2: FP16."),
        Entry("gpu-id", engine.gpu_id),
    )


def _input(adapted: Adapted, target: Target) -> tuple[Entry, ...]:
    preprocessing = adapted.preprocessing
    channels, height, width = _dimensions(adapted)
    framing = preprocessing.framing
    dims, aspect = "Channels;height;width.", "0: stretched to the model's size, 1: fitted, the rest black."
    if framing is not None and framing.crops:
        dims += f" That is a whole frame of {framing.frame}; the model cuts the centre {_by(framing.model)} out of it."
        aspect = f"0: the whole frame, scaled to {_by(framing.network)}, which has its shape. With 1 the crop is off."
    entries = [
        Entry("infer-dims", (channels, height, width), dims),
        Entry("model-color-format", _COLOR_FORMATS[preprocessing.color], "0: RGB, 1: BGR, 2: GRAY."),
        Entry(
            "net-scale-factor",
            preprocessing.net_scale_factor,
            "The model gets net-scale-factor * (pixel - offset), pixels 0 to 255.",
        ),
    ]
    if preprocessing.offsets:
        # Any other number of them ends the element's start (nvdsinfer_context_impl.cpp).
        assert len(preprocessing.offsets) == channels
        entries.append(Entry("offsets", preprocessing.offsets, "One per channel, in the order of model-color-format."))
    entries.append(
        Entry(
            "maintain-aspect-ratio",
            preprocessing.maintain_aspect_ratio,
            aspect,
        )
    )
    if _wants_centred_padding(preprocessing) and reads_key(target, "symmetric-padding"):
        entries.append(Entry("symmetric-padding", value=True, comment="Black on both sides, as in training."))
    entries.append(
        Entry("scaling-filter", _BILINEAR, "1: bilinear, as Edge Impulse resizes; left out it would be nearest.")
    )
    return tuple(entries)


def _by(size: tuple[int, int]) -> str:
    return "x".join(map(str, size))


def _dimensions(adapted: Adapted) -> tuple[int, int, int]:
    """C, H, W: the order of infer-dims whatever network-input-order says (gstnvinfer_property_parser.cpp)."""
    match adapted.onnx.input.shape:
        case (_, int() as channels, int() as height, int() as width):
            return channels, height, width
        case shape:
            raise PresetError(f"Gst-nvinfer needs an image input [N,C,H,W], not {shape}")


def _wants_centred_padding(preprocessing: Preprocessing) -> bool:
    return preprocessing.maintain_aspect_ratio and preprocessing.symmetric_padding


def lacks_centred_padding(preprocessing: Preprocessing, target: Target) -> bool:
    """Whether the model was trained with bars on both sides and this release cannot do that."""
    return _wants_centred_padding(preprocessing) and not reads_key(target, "symmetric-padding")
