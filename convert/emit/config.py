r"""The Gst-nvinfer config of a bundle: `configs/heads/<task>.toml` with the model's facts filled in, as INI text.

DeepStream reads its configs with GLib's GKeyFile. It knows full-line `#` comments only, strips blanks in front of a
value but not behind it, and takes `\` for an escape (`\s` blank, `\t`, `\n`, `\r`, `\\`, and `\;` inside lists). So
there is never a comment or a blank behind a value. (GLib, gkeyfile.c: g_key_file_parse_value_as_string,
g_key_file_parse_key_value_pair.)
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from convert import heads
from convert.emit import files
from convert.errors import PresetError
from convert.files import TableReader, configs, load_toml
from convert.images.resizing import Resizing
from convert.nvinfer.keys import version
from convert.nvinfer.targets import Target, parsers, reads_key, sdk_path

if TYPE_CHECKING:
    from convert.types import Adapted, Head

Scalar = bool | int | float | str
Value = Scalar | tuple[Scalar, ...]
"""What a key can hold; a tuple is a list with `;` between its elements."""

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_BLANKS = {" ": "\\s", "\t": "\\t"}
_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Entry:
    """`key=value`, with a comment above it; `off`: as a comment itself, to be switched on by hand."""

    key: str
    value: Value
    comment: str = ""
    off: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """`[name]` and its sections: entries that belong together, an empty line between two sections."""

    name: str
    sections: tuple[tuple[Entry, ...], ...]
    comment: str = ""


def config_file(header: str, groups: tuple[Group, ...]) -> bytes:
    """The file, UTF-8. Raises PresetError for a key or value that GKeyFile cannot read back."""
    blocks = [_comment(header)]
    for group in groups:
        lines = [*_comment(group.comment), f"[{group.name}]"]
        for number, section in enumerate(group.sections):
            lines += [""] if number else []
            for entry in section:
                if not re.fullmatch(r"[A-Za-z0-9_-]+", entry.key):
                    raise PresetError(f"not a key: {entry.key!r}", hint="letters, digits, - and _ only")
                try:
                    mark = "# " if entry.off else ""
                    lines += [*_comment(entry.comment), f"{mark}{entry.key}={encode(entry.value)}"]
                except ValueError as error:
                    raise PresetError(f"{entry.key}: {error}") from error
        blocks.append(lines)
    return ("\n\n".join("\n".join(block) for block in blocks) + "\n").encode()


def _comment(text: str) -> list[str]:
    # Paths are not to be broken at their hyphens.
    lines = [wrap(part, _WIDTH, break_long_words=False, break_on_hyphens=False) for part in text.splitlines()]
    return [f"# {line}" for part in lines for line in part]


def encode(value: Value) -> str:
    """`value` as it is written after the `=`.

    Raises:
        ValueError: GKeyFile cannot read it back: a null character, not Unicode, NaN, an empty list, a form feed in
            front.
    """
    if isinstance(value, tuple):
        if not value:
            raise ValueError("an empty list cannot be told from an empty value")
        # The separator may end a list; behind an empty last element it must, or that element is lost.
        return ";".join(encode(item).replace(";", "\\;") for item in value) + (";" if value[-1] == "" else "")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"not a finite number: {value}")
    if not isinstance(value, str):
        return repr(int(value) if isinstance(value, bool) else value)
    if "\0" in value:
        raise ValueError(f"a value cannot contain a null character: {value!r}")
    value.encode()
    escaped = "".join(_ESCAPES.get(character, character) for character in value)
    if escaped.startswith("\f"):
        raise ValueError(f"GKeyFile strips the first character of {value!r}")
    front = escaped.lstrip(" \t")
    middle = front.rstrip(" \t")
    before, behind = escaped[: len(escaped) - len(front)], front[len(middle) :]
    return "".join(_BLANKS[blank] for blank in before) + middle + "".join(_BLANKS[blank] for blank in behind)


@dataclass(frozen=True, slots=True)
class HeadPreset:
    """A file of `configs/heads/`; see `classifier.toml` for what the entries mean."""

    title: str
    labels: str
    primary: str
    secondary: str
    secondary_off: str
    optional: tuple[str, ...] = ()
    property: dict[str, Any] = field(default_factory=dict)
    class_attrs_all: dict[str, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    suppressed: dict[str, Any] = field(default_factory=dict)
    merged: dict[str, Any] = field(default_factory=dict)
    enlarged: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Merged:
    """What is said instead, by `Head.merge`: see `fomo.toml`."""

    primary: str
    comments: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Suppressed:
    """What changes where the graph itself drops overlapping boxes: see `yolov5.toml`."""

    tensorrt: str
    without: tuple[str, ...] = ()
    property: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)


@cache
def head_preset(task: str) -> HeadPreset:
    """What is emitted for `task`.

    A file that says `same-as = "other"` has the entries of `other.toml` where it has none of its own.

    Raises:
        PresetError: there is no such file, or an edit damaged it.
    """
    data = _load(task)
    if "same-as" in data:
        base = _load(str(data["same-as"]))
        both = [name for name, value in data.items() if isinstance(value, dict) and isinstance(base.get(name), dict)]
        data = {**base, **data, **{name: {**base[name], **data[name]} for name in both}}
        del data["same-as"]
    return TableReader(configs() / "heads" / f"{task}.toml", PresetError, dashes=True).row(HeadPreset, data, "the file")


def preset_for(head: Head, target: Target) -> HeadPreset:
    """What is emitted for a model with `head`.

    Raises:
        PresetError: as `head_preset`; the target's TensorRT cannot build the graph.
    """
    preset = head_preset(head.task)
    reader = TableReader(configs() / "heads" / f"{head.task}.toml", PresetError, dashes=True)
    if head.merge in preset.merged:
        said = reader.row(_Merged, preset.merged[head.merge], f"merged.{head.merge}")
        preset = replace(preset, primary=said.primary, comments=preset.comments | said.comments)
    if head.box is not None:
        said = reader.row(_Merged, preset.enlarged, "enlarged")
        text = f"{preset.primary}; {said.primary.format(box=f'{head.box:g}')}"
        preset = replace(preset, primary=text, comments=preset.comments | said.comments)
    if head.overlap is None:
        return preset
    instead = _suppressed(head.task)
    if refused := no_suppression(head.task, target):
        raise PresetError(refused, hint="choose a newer --target, or --yolo-score product")
    tables = (preset.property, preset.class_attrs_all, preset.comments)
    properties, attributes, comments = (
        {key: value for key, value in table.items() if key not in instead.without} for table in tables
    )
    return replace(
        preset, property=properties | instead.property, class_attrs_all=attributes, comments=comments | instead.comments
    )


def no_suppression(task: str, target: Target) -> str:
    """Why the target's TensorRT cannot build a graph of `task` that drops overlapping boxes; empty: it can.

    Raises:
        PresetError: as `head_preset`; such a graph is not known for the task.
    """
    needed = _suppressed(task).tensorrt
    if version(target.tensorrt) >= version(needed):
        return ""
    return (
        f"a graph that drops boxes over all classes needs TensorRT {needed}; DeepStream {target.deepstream} has "
        f"{target.tensorrt} on {target.platform}"
    )


def _suppressed(task: str) -> _Suppressed:
    reader = TableReader(configs() / "heads" / f"{task}.toml", PresetError, dashes=True)
    return reader.row(_Suppressed, head_preset(task).suppressed, "suppressed")


def _load(name: str) -> dict[str, Any]:
    path = configs() / "heads" / f"{name}.toml"
    try:
        return load_toml(f"heads/{name}.toml")
    except FileNotFoundError as error:
        known = ", ".join(sorted(each.stem for each in path.parent.glob("*.toml")))
        raise PresetError(f"nothing is known to emit for {name}", hint=f"known heads: {known}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PresetError(f"not TOML: {error}", path=path, hint="undo the last edit of that file") from error


def facts(preset: HeadPreset, adapted: Adapted, target: Target) -> dict[str, Value]:
    """What `{...}` in a preset stands for."""
    metadata, limits, chosen = adapted.export.metadata, adapted.head.limits, adapted.head.threshold
    recorded = {"nms-iou": metadata.nms_iou}
    if heads.head(adapted.head.task).detects:  # what stands in a classifier's export is a detector's
        recorded["threshold"] = metadata.threshold
    known = preset.defaults | {name: value for name, value in recorded.items() if value is not None}
    if limits:  # the model's own post-processing, to which Edge Impulse's SDK leaves all this
        threshold = max(limits.score, known["threshold"])
        known |= {"threshold": threshold, "nms-iou": limits.overlap, "max-detections": limits.detections}
    if chosen is not None:
        known["threshold"] = chosen
    return {
        **known,
        "name": adapted.export.name,
        "classes": len(adapted.head.labels),
        "parser-library": sdk_path(target, "parser-library"),
    }


def head_entries(
    preset: HeadPreset, table: Mapping[str, Any], known: Mapping[str, Value], target: Target
) -> tuple[Entry, ...]:
    """`table` ([property] or [class-attrs-all] of `preset`) with `known` filled in, without what `target` may lack.

    Raises:
        PresetError: a placeholder that does not exist; a value that no config can hold.
    """
    filled = {key: _fill(key, value, known) for key, value in table.items()}
    return tuple(
        Entry(key, value, preset.comments.get(key, ""))
        for key, value in filled.items()
        if key not in preset.optional or reads_key(target, key)
    )


def _fill(key: str, value: object, known: Mapping[str, Value]) -> Value:
    """`value` of `key` with every `{placeholder}` filled in; one alone keeps its type (`{classes}` is a number)."""
    if isinstance(value, str):
        names = re.findall(r"\{([^{}]*)\}", value)
        if unknown := [name for name in names if name not in known]:
            raise PresetError(
                f"{key}: nothing is called {unknown[0]!r} here", hint="there are: " + ", ".join(sorted(known))
            )
        if value == f"{{{''.join(names)}}}":
            return known[names[0]]
        for name in names:
            value = value.replace(f"{{{name}}}", str(known[name]))
        return value
    if isinstance(value, list):
        items = tuple(_fill(key, item, known) for item in value)
        if not any(isinstance(item, tuple) for item in items):
            return items  # type: ignore[return-value] # what mypy does not conclude
    if isinstance(value, bool | int | float):
        return value
    raise PresetError(f"{key} cannot be {value!r}", hint="a number, text, true or false, or a list of these")


_COLOR_FORMATS = {"RGB": 0, "BGR": 1, "GRAY": 2}
_BILINEAR = 1
_GPU = 1


@dataclass(frozen=True, slots=True)
class Gie:
    """An inference element's place in the pipeline.

    Attributes:
        id: gie-unique-id.
        operate_on: the id of the GIE whose objects it takes; None for whole frames.
        min_size: pixels; objects narrower or lower than this are passed over. None: what the platform enforces, or
            what its scaler needs for the network's size. Of no meaning for whole frames.
    """

    id: int
    operate_on: int | None = None
    min_size: int | None = None


@dataclass(frozen=True, slots=True)
class Scaling:
    """How frames or objects of all sizes there are get to the network's size.

    Attributes:
        min_size: width and height of the smallest object that is scaled.
        gpu: why the GPU has to scale; empty: the platform's own scaler can.
        needs: whether `min_size` is more than the platform enforces anyway, because of the scaler's limit.
    """

    min_size: tuple[int, int]
    gpu: str = ""
    needs: bool = False


def scaling(network: tuple[int, int], largest: tuple[int, int], gie: Gie, target: Target) -> Scaling:
    """What a GIE's config has to say of scaling.

    A Jetson scales in its VIC by at most `Target.largest_scale` in one step, down or up; with more the pipeline stops.
    The GPU scales by any factor (scaling-compute-hw=1). The config says so, and the app's frames stay as they are:
    smaller ones would cost what is shown and every other engine its pixels, and a config is used in other apps, too.

    Args:
        network: width and height of the input.
        largest: width and height of the app's frames, so of the largest object, too.
    """
    usual = target.min_object_size if gie.min_size is None else gie.min_size
    least, limit = (usual, usual), target.largest_scale
    if limit is None:
        return Scaling(least)
    times = max(side / own for side, own in zip(largest, network, strict=True))
    if times > limit:
        what, sizes = "a frame" if gie.operate_on is None else "an object", [f"{w}x{h}" for w, h in (largest, network)]
        return Scaling(least, f"from {what} of {sizes[0]} to {sizes[1]} it would be {times:.3g}")
    if gie.operate_on is None:
        return Scaling(least)
    # An object's width and height are rounded down to even numbers before they are scaled (gstnvinfer.cpp,
    # get_converted_buffer).
    needed = [2 * math.ceil(side / limit / 2) for side in network]
    if gie.min_size is None:
        width, height = (max(usual, each) for each in needed)
        return Scaling((width, height), needs=(width, height) != least)
    smallest = max(usual, target.min_object_size) // 2 * 2
    if (times := max(network) / smallest) > limit:
        return Scaling(least, f"from an object of {smallest} pixels to {max(network)} it would be {times:.3g}")
    return Scaling(least)


def infer_file(
    adapted: Adapted,
    preset: HeadPreset,
    target: Target,
    gie: Gie,
    engine: files.EngineBuild,
    labels: str,
    largest: tuple[int, int],
) -> bytes:
    """The config file. `engine` and the label file `labels` are in the same folder; `largest` is `scaling`'s.

    Raises:
        PresetError: the head cannot be expressed for this target: it is older than a key that is not optional, or its
            stock parser library lacks the function.
    """
    known = {**facts(preset, adapted, target), "operate-on": gie.operate_on or 0}
    pipeline = [
        Entry("gie-unique-id", gie.id, "Different for every GIE of a pipeline."),
        Entry("process-mode", 1 if gie.operate_on is None else 2, "1: whole frames, 2: objects of another GIE."),
    ]
    size = _input_size(adapted)
    scaled = scaling(size[1:], largest, gie, target)
    if gie.operate_on is None:
        pipeline.append(Entry("interval", 0, "Frames to skip between two that are looked at."))
    else:
        smaller = "Smaller objects are passed over"
        smaller += "." if scaled.gpu else " (on Jetson, less than 16 always)."
        if scaled.needs:
            smaller = f"Smaller objects are passed over: a Jetson's VIC enlarges at most {target.largest_scale} times."
        pipeline += [
            Entry("operate-on-gie-id", gie.operate_on, "The gie-unique-id of the GIE whose objects are looked at."),
            Entry("input-object-min-width", scaled.min_size[0], smaller),
            Entry("input-object-min-height", scaled.min_size[1]),
        ]
    model = (
        Entry("onnx-file", engine.onnx),
        Entry(
            "model-engine-file",
            engine.file,
            "The name Gst-nvinfer gives the engine it builds: onnx-file, batch-size, gpu-id, network-mode.",
        ),
        Entry("labelfile-path", labels),
        Entry("batch-size", engine.batch_size),
        *_precision(engine, files.bundle_names(adapted.export.name).calibration),
        Entry("gpu-id", engine.gpu_id),
    )
    head = head_entries(preset, preset.property, known, target)
    outputs = Entry("output-blob-names", tuple(each.name for each in adapted.onnx.outputs))
    sections = (tuple(pipeline), model, _input(adapted, target, size, scaled), (outputs, *head))
    keys = [entry.key for section in sections for entry in section]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise PresetError(f"the head repeats a key that is written by itself: {', '.join(sorted(twice))}")
    groups = [Group("property", sections)]
    if preset.class_attrs_all:
        attributes = head_entries(preset, preset.class_attrs_all, known, target)
        groups.append(Group("class-attrs-all", (attributes,)))
        keys += [entry.key for entry in attributes]
    if late := [key for key in keys if not reads_key(target, key)]:  # it would only warn about it and go on
        message = f"DeepStream {target.deepstream} does not know the key {late[0]!r}, which this head needs"
        raise PresetError(message, hint="choose a newer --target")
    if any(each.key == "custom-lib-path" and each.value == known["parser-library"] for each in head):
        there = {each.function for each in parsers(target)}
        for entry in head:
            if re.fullmatch(r"parse-.*-func-name", entry.key) and entry.value not in there:
                message = f"the parser library of DeepStream {target.deepstream} has no {entry.value}"
                hint = "choose another --target; `ei-deepstream targets` lists the functions of each"
                raise PresetError(message, hint=hint)
    does = _fill("the header", preset.primary if gie.operate_on is None else preset.secondary, known)
    header = (
        f"Gst-nvinfer config for DeepStream {target.deepstream} ({target.platform}): {preset.title}.\n"
        f"It {does}.\n"
        "Paths are relative to this file. No comments behind values: they would become part of them."
    )
    return config_file(header, tuple(groups))


def _precision(engine: files.EngineBuild, calibration: str) -> tuple[Entry, ...]:
    """The keys that say in which numbers the engine computes; `calibration`: the file of that kind."""
    match engine.precision:
        case "int8":
            about = "1: INT8, with the scales in the model. Not with enable-dla: a DLA takes no such model."
            why = "No calibration: a file that is there and not read. Without one nvinfer builds FP16."
            return Entry("network-mode", 1, about), Entry("int8-calib-file", calibration, why)
        case "typed":
            about = "Every layer computes in the type that the model gives it: INT8 where it has codes, else FP32."
            return Entry("strongly-typed", value=True, comment=about), Entry("network-mode", 0, "0: no other types.")
    return (Entry("network-mode", {"fp32": 0, "fp16": 2}[engine.precision], "0: FP32, 2: FP16."),)


def _input_size(adapted: Adapted) -> tuple[int, int, int]:
    """Channels, width and height of the model's input."""
    match adapted.onnx.input.shape:
        case (_, int() as channels, int() as height, int() as width):
            return channels, width, height
        case shape:
            raise PresetError(f"Gst-nvinfer needs an image input [N,C,H,W], not {shape}")


def _input(adapted: Adapted, target: Target, size: tuple[int, int, int], scaled: Scaling) -> tuple[Entry, ...]:
    preprocessing = adapted.preprocessing
    channels, width, height = size
    framing = preprocessing.framing
    dims, aspect = "Channels;height;width.", "0: stretched to the model's size, 1: fitted, the rest black."
    filtered = "1: bilinear, as Edge Impulse resizes; left out it would be nearest."
    if isinstance(framing, Resizing):
        own, whole = ("x".join(map(str, size)) for size in (framing.model, framing.network))
        dims += f" That is a whole frame of {framing.frame}, {framing.megabytes:.1f} MB in the engine; the model "
        if framing.is_exact:
            dims += (
                f"makes {own} of it, to the pixel as Edge Impulse does, if nothing else scales it: [streammux] must "
                "have this size, and should be the camera's."
            )
            aspect = "0: frames of that size stay as they are."
            filtered = "1: bilinear, for frames of another size; those of infer-dims are not scaled."
        else:
            dims += (
                f"cuts the {framing.part} out of it and makes {own} of that" if framing.cut else f"makes {own} of it"
            )
            dims += (
                " as Edge Impulse does: to the pixel, where [streammux] has this size; larger frames are made smaller "
                "before, as the device does it."
            )
            aspect = f"0: the whole frame, scaled to {whole}, which has its shape. With 1 it may lie elsewhere."
    elif framing is not None and framing.crops:
        part, whole = ("x".join(map(str, size)) for size in (framing.model, framing.network))
        dims += f" That is a whole frame of {framing.frame}; the model cuts the {framing.part} {part} out of it."
        aspect = f"0: the whole frame, scaled to {whole}, which has its shape. With 1 the crop is off."
    entries = [
        # C, H, W whatever network-input-order says (gstnvinfer_property_parser.cpp)
        Entry("infer-dims", (channels, height, width), dims),
        Entry("model-color-format", _COLOR_FORMATS[preprocessing.color], "0: RGB, 1: BGR, 2: GRAY."),
        Entry(
            "net-scale-factor",
            preprocessing.net_scale_factor,
            "The model gets net-scale-factor * (pixel - offset), pixels 0 to 255."
            + (" It scales them itself." if isinstance(framing, Resizing) else ""),
        ),
    ]
    if preprocessing.offsets:
        # Any other number of them ends the element's start (nvdsinfer_context_impl.cpp).
        assert len(preprocessing.offsets) == channels
        entries.append(Entry("offsets", preprocessing.offsets, "One per channel, in the order of model-color-format."))
    entries.append(Entry("maintain-aspect-ratio", preprocessing.maintain_aspect_ratio, aspect))
    if (
        preprocessing.maintain_aspect_ratio
        and preprocessing.symmetric_padding
        and reads_key(target, "symmetric-padding")
    ):
        entries.append(Entry("symmetric-padding", value=True, comment="Black on both sides, as in training."))
    entries.append(Entry("scaling-filter", _BILINEAR, filtered))
    if scaled.gpu:
        vic = f"1: the GPU scales. A Jetson's VIC, the default, scales by at most {target.largest_scale} in one step; "
        entries.append(Entry("scaling-compute-hw", _GPU, f"{vic}{scaled.gpu}."))
    return tuple(entries)
