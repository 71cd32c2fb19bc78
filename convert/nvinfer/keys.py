"""Gst-nvinfer's keys, as `configs/nvinfer/keys.toml` lists them, and what reading a config with them gives.

The top of that file explains the fields. `Parsed` is the result, `ParserState` what the INI and YAML parsers share:
both store values, check ranges and stop at the first fault in the same way.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum, StrEnum, auto
from functools import cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn

from convert.errors import PresetError
from convert.files import load_toml
from convert.nvinfer.numbers import UINT_MAX, float32, nine_digits, signed32, stored_path

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
        return within(release, self.since, self.until)


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


def within(release: str, since: str | None, until: str | None) -> bool:
    """Whether a release lies in `since`..`until`, both included, None for no limit."""
    own = version(release)
    return (since is None or version(since) <= own) and (until is None or own <= version(until))


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
        if within(release, key.values_since.get(value), None) and key.values_platform.get(value, platform) == platform
    )


# Messages quote keys and values of any length.
_LONGEST_MESSAGE = 400


class Verdict(StrEnum):
    """What becomes of the element that is given the config."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"  # it refuses to start
    ABORTS = "aborts"  # the whole process dies of an uncaught C++ exception


class Reason(StrEnum):
    """Why something is a problem. The first block ends the reading, the second does not."""

    SYNTAX = auto()  # the file cannot be parsed
    NO_PROPERTY = "no-property"  # there is no [property] group
    ENCODING = auto()  # a value is not UTF-8
    TYPE = auto()  # a value is not of the key's type
    RANGE = auto()  # a value is of the type but not allowed
    LENGTH = auto()  # a list has too many or too few elements
    PATH = auto()  # a path goes through a file, is too long or loops
    GROUP = auto()  # a class-attrs group names no class there is
    MEMORY = auto()  # more classes than memory
    MODEL = auto()  # the key does not fit the model
    LIBRARY = auto()  # a library or a function in it is missing

    UNKNOWN = auto()  # a key nvinfer does not know
    UNREADABLE = auto()  # a bad value whose error nvinfer does not check; a later key may fail for it
    LEGACY = auto()  # an old name
    IGNORED = auto()  # a key another key makes void
    NOTE = auto()  # nvinfer logs what it does
    OVERRUN = auto()  # nvinfer reads or writes memory that is not the value's


class Entry(NamedTuple):
    """One key as it is written in the file. Lines and columns are 1-based, columns count characters.

    `text` is the value as written (INI: without leading blanks, escapes not decoded; YAML: the scalar, "null" where
    there is none, empty for a list or map).
    """

    group: str
    key: str
    text: str
    line: int
    column: int
    value_line: int
    value_column: int


class Section(NamedTuple):
    """A group's first header."""

    name: str
    line: int
    column: int


class Unread(NamedTuple):
    """A group nvinfer never reads. `why`: "network-type" (it is for detectors), "repeated" or "unknown"."""

    section: Section
    why: str


class Ignored(NamedTuple):
    """A key without effect. `why`: "overwritten", "locale", or the name of the key that wins over it."""

    entry: Entry
    why: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One error or warning of nvinfer, in the order of its log.

    `line` and `column` are 1-based, None where the whole file is meant. `fatal`: reading ends here.
    """

    reason: Reason
    message: str
    group: str | None = None
    key: str | None = None
    line: int | None = None
    column: int | None = None
    fatal: bool = False


def printable(message: str) -> str:
    """`message` without characters that move a terminal's cursor, and of a length one can read."""
    short = message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"
    return short if short.isprintable() else "".join(each if each.isprintable() else "�" for each in short)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A config as nvinfer reads it.

    Attributes:
        path: as the caller named it.
        form: "ini" or "yaml", by the file's suffix.
        release: the DeepStream release, and `platform` the machine ("dgpu", "jetson"), it was read for.
        verdict: see `Verdict`; `exception` says what an aborting process dies of.
        problems: in nvinfer's order; the last one is `fatal` unless the verdict is accepted.
        values: every key the release has, defaults too, "class-attrs" one object per class; empty unless accepted.
            float32 with nine digits, "nan" and "inf" as text, booleans 0 and 1, nothing set: None, or "" for texts
            that nvinfer keeps in a buffer. The config's folder is written `<dir>`.
        files: the keys that name a file and were given -> the absolute path nvinfer stores.
        entries: every key in the file, groups that are not read included; of repeated keys the last one counts.
        sections: every group.
        unknown: keys of the groups nvinfer reads that it does not know (it logs that and goes on).
        unread: groups it never reads.
        ignored: keys that have no effect although they are known.
    """

    path: str
    form: str
    release: str
    platform: str
    verdict: Verdict
    exception: str | None = None
    problems: tuple[Problem, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()
    sections: tuple[Section, ...] = ()
    unknown: tuple[Entry, ...] = ()
    unread: tuple[Unread, ...] = ()
    ignored: tuple[Ignored, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the element goes on to load the model."""
        return self.verdict is Verdict.ACCEPTED

    @property
    def fault(self) -> Problem | None:
        """What ended the reading; None when the config is accepted."""
        return next((problem for problem in self.problems if problem.fatal), None)

    def entry(self, key: str, group: str = "property") -> Entry | None:
        """The entry that counts for `key` in `group`, the last one; None when it is not in the file."""
        found = [entry for entry in self.entries if entry.key == key and entry.group == group]
        return found[-1] if found else None


ATTRS_PREFIX: Final = "class-attrs-"
ATTRS_ALL: Final = "class-attrs-all"
NETWORKS_WITH_ATTRS: Final = frozenset({NetworkType.DETECTOR, NetworkType.INSTANCE_SEGMENTATION})
"""network-type of the networks whose [class-attrs-*] groups are read."""
TEXT_BYTES: Final = 1023
"""What nvinfer's buffers for names hold (_MAX_STR_LENGTH - 1, nvdsinfer_context.h); the rest is cut off."""
MOST_CLASSES: Final = 2**24
"""More classes than this count as more than memory holds. nvinfer allocates 136 bytes a class: this would be 2.1 GiB,
and where it really ends depends on the machine; a negative number (4 thousand million) ends on every one."""
_MOST_IDS: Final = 2**29
"""operate-on-class-ids is held in a table of 4 bytes an id, up to the largest: this would be 2 GiB."""


class Stop(Exception):
    """nvinfer stops reading; the last problem is the reason. `exception`: what an aborting process dies of."""

    def __init__(self, verdict: Verdict, exception: str | None = None) -> None:
        super().__init__(verdict)
        self.verdict = verdict
        self.exception = exception


class ParserState:
    """State of a parser: everything a `Parsed` is made from.

    Args:
        path: the config file as the caller named it; it need not exist.
        form: "ini" or "yaml".
        release: DeepStream release.
        platform: "dgpu" or "jetson".
    """

    def __init__(self, path: str, form: str, release: str, platform: str) -> None:
        self.path = path
        self.form = form
        self.release = release
        self.platform = platform
        self.folder = os.path.dirname(os.path.realpath(os.fsencode(path)))  # noqa: PTH120 - bytes
        self.values: dict[str, Any] = dict(_defaults(PROPERTY, release))
        self.attrs: dict[str, Any] = dict(_defaults(ATTRS, release))
        self.files: dict[str, str] = {}
        self.problems: list[Problem] = []
        self.entries: list[Entry] = []
        self.sections: list[Section] = []
        self.unknown: list[Entry] = []
        self.unread: list[Unread] = []
        self.ignored: list[Ignored] = []

    # Problems

    def add_problem(
        self, reason: Reason, message: str, at: Entry | Section | None = None, *, fatal: bool = False
    ) -> None:
        """Add a problem at a value (at its key, where that is the problem), or at a group; a place has no name."""
        if at is None:
            problem = Problem(reason, printable(message), fatal=fatal)
        elif isinstance(at, Section):
            problem = Problem(reason, printable(message), at.name or None, None, at.line, at.column, fatal)
        else:
            at_key = reason in {Reason.UNKNOWN, Reason.LEGACY, Reason.IGNORED}
            line, column = (at.line, at.column) if at_key else (at.value_line, at.value_column)
            problem = Problem(reason, printable(message), at.group, at.key, line, column, fatal)
        self.problems.append(problem)

    def refuse(self, reason: Reason, message: str, at: Entry | Section | None = None) -> NoReturn:
        """Reject the config here."""
        self.add_problem(reason, message, at, fatal=True)
        raise Stop(Verdict.REJECTED)

    def abort(self, reason: Reason, message: str, exception: str, at: Entry | Section | None = None) -> NoReturn:
        """The process dies here of an uncaught C++ `exception`."""
        self.add_problem(reason, message, at, fatal=True)
        raise Stop(Verdict.ABORTS, exception)

    def add_unknown(self, entry: Entry) -> None:
        """Add a key that nvinfer does not know; it logs that and goes on."""
        self.unknown.append(entry)
        self.add_problem(Reason.UNKNOWN, f"[{entry.group}] has no key {entry.key}; nvinfer goes on without it", entry)

    def add_ignored(self, entry: Entry, why: str) -> None:
        """Add a key that has no effect because the key `why` is given."""
        self.ignored.append(Ignored(entry, why))
        self.add_problem(Reason.IGNORED, f"{entry.key} is ignored because {why} is given", entry)

    # Values

    def store(self, key: Key, value: Any, entry: Entry, target: dict[str, Any]) -> None:
        """Check `value` and store it in `target` (`self.values`, or the values of a class)."""
        if key.type == "id-list" and key.element:
            self._store_ids(key.name, value, entry)
            return
        value = stored(key, value)
        if key.type in {"unsigned-list", "float-list", "integer-list"}:
            self.check_length(key, len(value), entry)
        elif key.type in {"integer", "unsigned", "float", "double", "boolean"}:
            self.check_number(key, value, entry)
        elif key.type == "path":
            value = self.shown(self.file(key.name, value, entry))
        elif key.type == "path-list":
            value = tuple(self.shown(self.file(None, each, entry)) for each in value)
        if key.reported:
            target[key.alias or key.name] = reported(value)

    def check_number(self, key: Key, value: float, entry: Entry) -> None:
        """Refuse a number outside of what the key, the release and the platform allow; NaN is always allowed."""
        if key.values:
            choices = allowed(key, self.release, self.platform)
            if value not in choices:
                named = ", ".join(f"{choice} ({key.values[choice]})" for choice in choices)
                self.refuse(Reason.RANGE, f"{key.name} cannot be {value}; it can be {named}", entry)
        if key.minimum is not None and value < key.minimum:
            self.refuse(Reason.RANGE, f"{key.name} is {nine_digits(value)}, the least is {key.minimum:g}", entry)
        if key.maximum is not None and value > key.maximum:
            self.refuse(Reason.RANGE, f"{key.name} is {nine_digits(value)}, the most is {key.maximum:g}", entry)

    def check_length(self, key: Key, length: int, entry: Entry) -> None:
        """Refuse a list that has not exactly `key.length` elements, or has more than `key.most`."""
        elements = "one element" if length == 1 else f"{length} elements"
        if key.length is not None and length != key.length:
            message = f"{key.name} has {elements}; there must be {key.length}, with ; between them"
            self.refuse(Reason.LENGTH, message, entry)
        if key.most is not None and length > key.most:
            self.refuse(Reason.LENGTH, f"{key.name} has {elements}; at most {key.most} are allowed", entry)

    def file(self, key: str | None, path: bytes, entry: Entry) -> bytes:
        """What is stored for a path; one that cannot even be missing refuses the config."""
        found = stored_path(path, self.folder)
        if found is None:
            message = f"{entry.key}: a part of the path is a file, a loop of links, or a name that is too long"
            self.refuse(Reason.PATH, message, entry)
        if key is not None:
            self.files[key] = as_text(found)
        return found

    def shown(self, path: bytes) -> str:
        """`path` with the config's folder written as `<dir>`, unless that is the root."""
        if self.folder == b"/":
            return as_text(path)
        if path == self.folder:
            return "<dir>"
        inside = self.folder + b"/"
        return "<dir>/" + as_text(path[len(inside) :]) if path.startswith(inside) else as_text(path)

    def _store_ids(self, name: str, ids: Sequence[int], entry: Entry) -> None:
        """filter-out-class-ids: a set of unsigned numbers that a second line adds to; operate-on-class-ids: a table up
        to the largest id, which a negative one misses."""
        if name == "filter-out-class-ids":
            self.values[name] = tuple(sorted({*self.values[name], *(each & UINT_MAX for each in ids)}))
            return
        largest = max(ids, default=-1)
        if largest >= _MOST_IDS:
            message = f"{entry.key}: {largest} takes more memory than there is"
            self.abort(Reason.MEMORY, message, "std::bad_alloc", entry)
        if min(ids, default=0) < 0:
            message = f"{entry.key}: {min(ids)} is negative, which ends the process"
            exception = f"vector::_M_range_check: no element {min(ids) & (2**64 - 1)} among {largest + 1}"
            self.abort(Reason.RANGE, message, exception, entry)
        self.values[name] = tuple(sorted(set(ids)))

    # Classes

    def class_count(self) -> int:
        """num-detected-classes, provided so many classes can be held."""
        count: int = self.values["num-detected-classes"]
        if count > MOST_CLASSES:
            own = (each for each in reversed(self.entries) if each.group == PROPERTY)
            entry = next((each for each in own if each.key == "num-detected-classes"), None)
            message = f"num-detected-classes is {count}: nvinfer dies for want of memory"
            self.abort(Reason.MEMORY, message, "std::bad_alloc", entry)
        return count

    def check_class(self, index: int, count: int, section: Section) -> None:
        """Refuse [class-attrs-<index>] when there is no such class."""
        if signed32(index) < 0:
            self.refuse(Reason.GROUP, f"[{section.name}]: a class id cannot be negative", section)
        if index >= count:
            message = f"[{section.name}] is for class {index}, but num-detected-classes is {count}"
            self.refuse(Reason.GROUP, message, section)

    # The result

    def finish(
        self, verdict: Verdict, classes: Sequence[Mapping[str, Any]] = (), exception: str | None = None
    ) -> Parsed:
        """The finished `Parsed`. Values are only those of an accepted config: nvinfer drops the others."""
        values: dict[str, Any] = {}
        if verdict is Verdict.ACCEPTED:
            values = {name: list(value) if isinstance(value, tuple) else value for name, value in self.values.items()}
            values[ATTRS] = list(classes)
        listed = ("problems", "entries", "sections", "unknown", "unread", "ignored")
        rows = {name: tuple(getattr(self, name)) for name in listed}
        return Parsed(
            self.path, self.form, self.release, self.platform, verdict, exception,
            values=values, files=self.files, **rows,
        )  # fmt: skip


@cache
def _defaults(group: str, release: str) -> dict[str, Any]:
    """What the values of `group` are before anything is read, as reported."""
    return {
        key.name: reported(stored(key, key.default))
        for key in keys()
        if key.group == group and key.reported and not key.alias and key.exists_in(release)
    }


def stored(key: Key, value: Any) -> Any:
    """`value` as the C variable behind the key holds it."""
    if key.type == "unsigned":
        return value & UINT_MAX
    if key.type == "integer":
        return signed32(value)
    if key.type == "float":
        return float32(value)
    if key.type == "unsigned-list":
        return tuple(each & UINT_MAX for each in value)
    if key.type == "float-list":
        return tuple(float32(each) for each in value)
    return value


def reported(value: Any) -> Any:
    """A stored value as reports write it."""
    if isinstance(value, tuple):
        return tuple(reported(each) for each in value)
    if isinstance(value, bytes):
        return as_text(value)
    if isinstance(value, float):
        return nine_digits(value)
    return int(value) if isinstance(value, bool) else value


def as_text(value: bytes) -> str:
    """Bytes as text that any file can hold; what is not UTF-8 becomes a replacement character."""
    return value.decode("utf-8", "replace")
