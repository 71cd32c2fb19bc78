"""What is emitted per head: `configs/heads/<task>.toml`, with the model's facts filled in."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from convert.errors import PresetError
from convert.nvinfer.configfile import Entry
from convert.nvinfer.keys import version
from convert.nvinfer.targets import parsers, reads_key, sdk_path
from convert.resources import configs, load_toml
from convert.tables import TableReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from convert.artifacts import Adapted, Head
    from convert.nvinfer.configfile import Scalar, Value
    from convert.nvinfer.targets import Target

__all__ = ["HeadPreset", "check_keys", "facts", "fill", "head_entries", "head_preset", "preset_for"]


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
        return tuple(_scalar(_fill(key, item, known), key) for item in value)
    if not isinstance(value, str):
        return _scalar(value, key)
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


def _scalar(value: object, key: str) -> Scalar:
    if isinstance(value, bool | int | float | str):
        return value
    raise PresetError(f"{key} cannot be {value!r}", hint="a number, text, true or false, or a list of these")
