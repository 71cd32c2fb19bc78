"""Gst-nvinfer's keys, as `configs/nvinfer/keys.toml` lists them; the top of that file explains the fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from convert.errors import PresetError
from convert.files import load_toml

PROPERTY: Final = "property"
"""The group that every config must have, and its table in keys.toml."""
ATTRS: Final = "class-attrs"
"""The table in keys.toml for the groups [class-attrs-all] and [class-attrs-<class id>]."""
NEWEST: Final = "9.1"
"""The DeepStream release whose parser is followed here."""
PLATFORMS: Final = ("dgpu", "jetson")
LABEL_BYTES: Final = 127
"""UTF-8 bytes of a label that reach the metadata (NvDsObjectMeta.obj_label): MAX_LABEL_SIZE - 1 of nvdsmeta.h."""


class NetworkType(IntEnum):
    """Values of network-type."""

    DETECTOR = 0
    CLASSIFIER = 1
    SEGMENTATION = 2
    INSTANCE_SEGMENTATION = 3
    OTHER = 100


class ClusterMode(IntEnum):
    """Values of cluster-mode."""

    GROUP_RECTANGLES = 0
    DBSCAN = 1
    NMS = 2
    DBSCAN_NMS = 3
    NONE = 4


FUNCTIONS: Final[Mapping[int, str]] = {
    NetworkType.DETECTOR: "parse-bbox-func-name",
    NetworkType.CLASSIFIER: "parse-classifier-func-name",
    NetworkType.SEGMENTATION: "parse-segmentation-func-name",
    NetworkType.INSTANCE_SEGMENTATION: "parse-bbox-instance-mask-func-name",
}
"""network-type -> the key that names the function its outputs are read with."""

TYPES: Final = frozenset(
    {
        *("integer", "unsigned", "boolean", "float", "double", "string", "path", "id-list", "pairs"),
        *("integer-list", "unsigned-list", "float-list", "string-list", "path-list"),
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """One key; see the top of keys.toml. `minimum` and `maximum` are its min and max, `type` one of `TYPES`.

    `default` is None where nvinfer has nothing; lists are tuples; booleans are 0 and 1. `element` is read-by="element".
    """

    name: str
    group: str
    type: str
    help: str
    default: Any = None
    values: Mapping[int, str] = field(default_factory=dict)
    minimum: float | None = None
    maximum: float | None = None
    length: int | None = None
    most: int | None = None
    since: str | None = None
    until: str | None = None
    values_since: Mapping[int, str] = field(default_factory=dict)
    values_platform: Mapping[int, str] = field(default_factory=dict)
    formats: tuple[str, ...] = ("ini", "yaml")
    element: bool = False
    yaml: str = ""
    ini: str = ""
    unchecked: bool = False
    alias: str | None = None
    reported: bool = True
    legacy: bool = False
    replaced_by: str | None = None
    needs: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()

    @property
    def is_path(self) -> bool:
        """Whether the value names a file, looked for beside the config."""
        return self.type in {"path", "path-list"}

    def exists_in(self, release: str) -> bool:
        """Whether the DeepStream `release` knows the key."""
        return (self.since is None or version(self.since) <= version(release)) and (
            self.until is None or version(release) <= version(self.until)
        )


@cache
def version(text: str) -> tuple[int, ...]:
    """ "6.0.1" as (6, 0, 1), to compare releases of DeepStream or TensorRT.

    Raises:
        PresetError: not numbers and dots.
    """
    try:
        return tuple(int(part) for part in text.split("."))
    except ValueError:
        raise PresetError(f"{text!r} is no version", hint="write it as 9.1 or 6.0.1") from None


@cache
def keys() -> tuple[Key, ...]:
    """Every key of keys.toml in its order: [property] first, then [class-attrs-*]."""
    return read_keys(load_toml("nvinfer/keys.toml"))


def read_keys(tables: Mapping[str, Any]) -> tuple[Key, ...]:
    """The keys of a parsed keys.toml.

    Raises:
        PresetError: a field that does not exist or has the wrong kind of value; the message names the table.
    """
    return tuple(
        _read(group, name, dict(row)) for group in (PROPERTY, ATTRS) for name, row in tables.get(group, {}).items()
    )


_RENAMED: Final = {"min": "minimum", "max": "maximum"}


def _read(group: str, name: str, row: dict[str, Any]) -> Key:
    table = f"keys.toml, [{group}.{name}]"
    row["element"] = row.pop("read-by", "context") == "element"
    row = {_RENAMED.get(name, name).replace("-", "_"): value for name, value in row.items()}
    known = {each.name for each in fields(Key)}
    if wrong := sorted(set(row) - known):
        hint = "the fields are listed at the top of the file"
        raise PresetError(f"{table}: there is no field {wrong[0]!r}", hint=hint)
    for each in ("values", "values_since", "values_platform"):
        try:
            row[each] = MappingProxyType({int(value): text for value, text in row.get(each, {}).items()})
        except (ValueError, AttributeError):
            raise PresetError(f"{table}: {each.replace('_', '-')} must be a table of numbers") from None
    for each in ("default", "formats", "needs", "conflicts"):
        if isinstance(row.get(each), list):
            row[each] = tuple(row[each])
    if row.get("type") not in TYPES or "help" not in row:
        raise PresetError(f"{table}: type is missing or unknown, or help is missing")
    return Key(name=name, group=group, **row)


def key_named(name: str, group: str = PROPERTY) -> Key | None:
    """The key `name` of [property] (or, with `ATTRS`, of [class-attrs-*]); None: no release has it."""
    return _by_name().get((group, name))


@cache
def _by_name() -> dict[tuple[str, str], Key]:
    return {(key.group, key.name): key for key in keys()}


@cache
def known_keys(group: str, release: str, form: str) -> Mapping[bytes, Key]:
    """The keys that DeepStream `release` reads in `group` (`PROPERTY`, `ATTRS`) of a file in `form` ("ini", "yaml")."""
    found = {
        key.name.encode(): key
        for key in keys()
        if key.group == group and form in key.formats and key.exists_in(release)
    }
    return MappingProxyType(found)


@cache
def allowed(key: Key, release: str, platform: str) -> tuple[int, ...]:
    """The values of `key.values` that DeepStream `release` accepts on `platform`; empty where any number goes."""
    return tuple(
        value
        for value in key.values
        if version(key.values_since.get(value, release)) <= version(release)
        and key.values_platform.get(value, platform) == platform
    )
