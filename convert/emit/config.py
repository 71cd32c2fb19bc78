r"""Gst-nvinfer's own config file, for whole frames (primary) or for another engine's objects (secondary).

INI text that GLib's GKeyFile, which DeepStream reads its configs with, reads back as exactly the values meant.

GKeyFile knows full-line `#` comments only, strips blanks in front of a value but not behind it, and takes `\` for an
escape (`\s` blank, `\t`, `\n`, `\r`, `\\`, and `\;` inside lists). So there is never a comment or a blank behind a
value here. (GLib, gkeyfile.c: g_key_file_parse_value_as_string, g_key_file_parse_key_value_pair.)

What is emitted per head: `configs/heads/<task>.toml`, with the model's facts filled in.
"""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass, field, replace
from functools import cache
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from convert.errors import PresetError
from convert.files import TableReader, configs, load_toml
from convert.nvinfer.keys import version
from convert.nvinfer.targets import parsers, reads_key, sdk_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from convert.emit.files import EngineBuild
    from convert.nvinfer.targets import Target
    from convert.types import Adapted, Head, Preprocessing


__all__ = [
    "Entry",
    "Files",
    "Gie",
    "Group",
    "HeadPreset",
    "Scalar",
    "Section",
    "Value",
    "check_keys",
    "config_file",
    "encode",
    "facts",
    "fill",
    "head_entries",
    "head_preset",
    "infer_file",
    "lacks_centred_padding",
    "preset_for",
]


Scalar = bool | int | float | str
Value = Scalar | tuple[Scalar, ...]
"""What a key can hold; a tuple is a list with `;` between its elements."""

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_BLANKS = {" ": "\\s", "\t": "\\t"}
_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Entry:
    """`key=value`, with a comment above it for the person who reads the file."""

    key: str
    value: Value
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Entries that belong together, separated from the next by an empty line."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """`[name]` and what it holds."""

    name: str
    sections: tuple[Section, ...]
    comment: str = ""


def config_file(header: str, groups: tuple[Group, ...]) -> bytes:
    """The file, UTF-8. Raises PresetError for a key or value that GKeyFile cannot read back."""
    blocks = [_comment(header)]
    for group in groups:
        lines = [*_comment(group.comment), f"[{group.name}]"]
        for number, section in enumerate(group.sections):
            lines += [""] if number else []
            for entry in section.entries:
                lines += [*_comment(entry.comment), _line(entry)]
        blocks.append(lines)
    return ("\n\n".join("\n".join(block) for block in blocks) + "\n").encode()


def _comment(text: str) -> list[str]:
    # Paths are not to be broken at their hyphens.
    lines = [wrap(part, _WIDTH, break_long_words=False, break_on_hyphens=False) for part in text.splitlines()]
    return [f"# {line}" for part in lines for line in part]


def _line(entry: Entry) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", entry.key):
        raise PresetError(f"not a key: {entry.key!r}", hint="letters, digits, - and _ only")
    try:
        return f"{entry.key}={encode(entry.value)}"
    except ValueError as error:
        raise PresetError(f"{entry.key}: {error}") from error


def encode(value: Value) -> str:
    """`value` as it stands behind the `=`.

    Raises:
        ValueError: GKeyFile cannot read it back: a null character, not Unicode, NaN, an empty list, a form feed in
            front.
    """
    if not isinstance(value, tuple):
        return _format_scalar(value)
    if not value:
        raise ValueError("an empty list cannot be told from an empty value")
    # The separator may end a list; behind an empty last element it must, or that element is lost.
    return ";".join(_format_scalar(item).replace(";", "\\;") for item in value) + (";" if value[-1] == "" else "")


def _format_scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"not a finite number: {value}")
    return _text(value) if isinstance(value, str) else repr(value)


def _text(value: str) -> str:
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
        own = {name: _merged(base.get(name), value) for name, value in data.items() if name != "same-as"}
        data = {**base, **own}
    return _reader(task).row(HeadPreset, data, "the file")


def preset_for(head: Head, target: Target) -> HeadPreset:
    """What is emitted for a model with `head`.

    Raises:
        PresetError: as `head_preset`; the target's TensorRT cannot build the graph.
    """
    preset = head_preset(head.task)
    if head.overlap is None:
        return preset
    instead = _reader(head.task).row(_Suppressed, preset.suppressed, "suppressed")
    if version(target.tensorrt) < version(instead.tensorrt):
        raise PresetError(
            f"a graph that drops boxes over all classes needs TensorRT {instead.tensorrt}; DeepStream "
            f"{target.deepstream} has {target.tensorrt} on {target.platform}",
            hint="choose a newer --target, or --yolo-score product",
        )
    tables = (
        {key: value for key, value in table.items() if key not in instead.without}
        for table in (preset.property, preset.class_attrs_all, preset.comments)
    )
    properties, attributes, comments = tables
    return replace(
        preset,
        property=properties | instead.property,
        class_attrs_all=attributes,
        comments=comments | instead.comments,
    )


def _reader(task: str) -> TableReader:
    return TableReader(configs() / "heads" / f"{task}.toml", PresetError, dashes=True)


def _load(name: str) -> dict[str, Any]:
    path = configs() / "heads" / f"{name}.toml"
    try:
        return load_toml(f"heads/{name}.toml")
    except FileNotFoundError as error:
        known = ", ".join(sorted(each.stem for each in path.parent.glob("*.toml")))
        raise PresetError(f"nothing is known to emit for {name}", hint=f"known heads: {known}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PresetError(f"not TOML: {error}", path=path, hint="undo the last edit of that file") from error


def _merged(base: object, value: object) -> object:
    """A table's entries join those of `base`; anything else stands for itself."""
    return {**base, **value} if isinstance(base, dict) and isinstance(value, dict) else value


def facts(preset: HeadPreset, adapted: Adapted, target: Target) -> dict[str, Value]:
    """What `{...}` in a preset stands for."""
    metadata, limits = adapted.export.metadata, adapted.head.limits
    recorded = {"threshold": metadata.threshold, "nms-iou": metadata.nms_iou}
    known = preset.defaults | {name: value for name, value in recorded.items() if value is not None}
    if limits:  # the model's own post-processing, to which Edge Impulse's SDK leaves all this
        threshold = max(limits.score, known["threshold"])
        known |= {"threshold": threshold, "nms-iou": limits.overlap, "max-detections": limits.detections}
    return {
        **known,
        "name": adapted.export.name,
        "classes": len(adapted.head.labels),
        "parser-library": sdk_path(target, "parser-library"),
    }


def head_entries(
    preset: HeadPreset, table: Mapping[str, Any], known: Mapping[str, Value], target: Target
) -> tuple[Entry, ...]:
    """`table` ([property] or [class-attrs-all] of `preset`) as entries for `target`, `known` filled in.

    Raises:
        PresetError: the target is older than a key that is not optional, or its stock parser library lacks the
            function; a placeholder that does not exist; a value that no config can hold.
    """
    filled = {key: _fill(key, value, known) for key, value in table.items()}
    kept = {key: value for key, value in filled.items() if reads_key(target, key) or key not in preset.optional}
    check_keys(kept, target)
    _check_parser(kept, target)
    return tuple(Entry(key, value, preset.comments.get(key, "")) for key, value in kept.items())


def check_keys(keys: Iterable[str], target: Target) -> None:
    """No key may be newer than the release, which would only warn about it and go on.

    Raises:
        PresetError: one is.
    """
    if late := [key for key in keys if not reads_key(target, key)]:
        raise PresetError(
            f"DeepStream {target.deepstream} does not know the key {late[0]!r}, which this head needs",
            hint="choose a newer --target",
        )


def _check_parser(entries: Mapping[str, Value], target: Target) -> None:
    if entries.get("custom-lib-path") != sdk_path(target, "parser-library"):
        return
    there = {each.function for each in parsers(target)}
    for key, value in entries.items():
        if re.fullmatch(r"parse-.*-func-name", key) and value not in there:
            raise PresetError(
                f"the parser library of DeepStream {target.deepstream} has no {value}",
                hint="choose another --target; `ei-deepstream targets` lists the functions of each",
            )


def _fill(key: str, value: object, known: Mapping[str, Value]) -> Value:
    """A placeholder alone keeps its type (`{classes}` is a number); inside text it becomes text."""
    if isinstance(value, list):
        return tuple(_checked_scalar(_fill(key, item, known), key) for item in value)
    if not isinstance(value, str):
        return _checked_scalar(value, key)
    whole = re.fullmatch(r"\{([^{}]*)\}", value)
    return known[whole[1]] if whole and whole[1] in known else fill(key, value, known)


def fill(key: str, text: str, known: Mapping[str, Value]) -> str:
    """`text` with every `{placeholder}` filled in; `key` is what it is for.

    Raises:
        PresetError: a placeholder does not exist.
    """
    names = re.findall(r"\{([^{}]*)\}", text)
    if unknown := [name for name in names if name not in known]:
        raise PresetError(
            f"{key}: nothing is called {unknown[0]!r} here", hint="there are: " + ", ".join(sorted(known))
        )
    for name in names:
        text = text.replace(f"{{{name}}}", str(known[name]))
    return text


def _checked_scalar(value: object, key: str) -> Scalar:
    if isinstance(value, bool | int | float | str):
        return value
    raise PresetError(f"{key} cannot be {value!r}", hint="a number, text, true or false, or a list of these")


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

    engine: EngineBuild
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
