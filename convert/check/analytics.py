"""Gst-nvdsanalytics' config: its groups, lines, directions and zones, as NVIDIA's two parsers read them.

INI goes through GLib's GKeyFile, YAML (by the suffix) through yaml-cpp. What the parsers refuse and what they take
without a word differs: a YAML file may lack anything, one wrong shape silently ends the reading, and a text that is no
number ends the whole process. `configs/nvdsanalytics/keys.toml` has groups and keys, `configs/tracker/keys.toml` those
of the low-level tracker, whose library is closed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, TypeVar

from convert.check.context import Checks
from convert.check.loading import Unreadable, read_groups
from convert.errors import PresetError
from convert.files import TableReader, configs, load_toml
from convert.nvinfer import keyfile
from convert.nvinfer.keyfile import KeyFileError
from convert.nvinfer.keys import Entry, Section, Verdict, as_text
from convert.nvinfer.numbers import TooMany, signed32, std_stoi, std_stoul, stream_int, stream_unsigned

PROPERTY: Final = "property"
SMOOTHING: Final = "obj-cnt-win-in-ms"
_WRONG_RANGE: Final = "6.3"
_DEFAULTS: Final = {"enable": 1, "config-width": 1920, "config-height": 1080}  # of the element, where YAML has no key


@dataclass(frozen=True, slots=True)
class Kind:
    """What a group can have; the top of keys.toml explains the fields."""

    types: dict[str, tuple[str, ...]]
    required: tuple[str, ...] = ()
    least: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    shape: str = ""
    numbers: int = 0
    modes: tuple[str, ...] = ()

    @property
    def keys(self) -> list[str]:
        """All that have a name of their own."""
        return [key for names in self.types.values() for key in names]

    def type_of(self, key: str) -> str | None:
        """The name of its list, or "shape"; None: there is no such key."""
        found = next((kind for kind, names in self.types.items() if key in names), None)
        return found or ("shape" if self.shape and key.startswith(self.shape) else None)


_Row = TypeVar("_Row")


def known_groups(row: type[_Row], name: str) -> Mapping[str, _Row]:
    """The groups in the file of keys `name`, each as a `row`; of one that is `like` another, that one's entries, too.

    Raises:
        PresetError: an edit damaged the file; the message names the place.
    """
    tables, reader = load_toml(name), TableReader(configs() / name, PresetError, dashes=True)
    whole = {each: {**tables.get(table.get("like", ""), {}), **table} for each, table in tables.items()}
    return {
        each: reader.row(row, {key: value for key, value in table.items() if key != "like"}, f"[{each}]")
        for each, table in whole.items()
    }


@cache
def kinds() -> Mapping[str, Kind]:
    """Every kind of group, by how its name begins."""
    return known_groups(Kind, "nvdsanalytics/keys.toml")


@dataclass(frozen=True, slots=True)
class Shape:
    """A line, direction or zone, with the numbers as written."""

    label: str
    numbers: tuple[int, ...]
    entry: Entry


@dataclass(slots=True)
class Group:
    """A group of a known kind.

    Attributes:
        stream: the source it is for, and `suffix` how its name ends.
        values: what is read of the keys that are no shapes.
        shapes: in the order of the file, a repeated label each time.
    """

    kind: str
    section: Section
    stream: int = 0
    suffix: str = ""
    entries: list[Entry] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    shapes: list[Shape] = field(default_factory=list)

    @property
    def is_on(self) -> bool:
        """Whether it counts anything; `enable` that is not given is off."""
        return bool(self.values.get("enable", 0))

    def entry(self, key: str) -> Entry | None:
        """The last one with this key."""
        return next((each for each in reversed(self.entries) if each.key == key), None)


@dataclass(frozen=True, slots=True)
class Fault:
    """What cannot be read. `ends`: nothing behind it is, without a word (YAML); `dies`: the process ends. `path`: that
    of another file which the file names."""

    message: str
    line: int | None = None
    column: int | None = None
    entry: Entry | None = None
    ends: bool = False
    dies: bool = False
    path: str | None = None


@dataclass(slots=True)
class AnalyticsFile:
    """The file. Reading goes on behind a fault, where the parsers stop.

    Attributes:
        head: the group [property]; None: there is none.
        groups: the others, in order.
        ignored: groups that Gst-nvdsanalytics does not know.
    """

    path: str
    form: str
    release: str
    head: Group | None = None
    groups: list[Group] = field(default_factory=list)
    ignored: list[Section] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """What becomes of the element."""
        if first := next(iter(self.faults), None):
            if first.ends:
                return Verdict.ACCEPTED
            return Verdict.ABORTS if first.dies else Verdict.REJECTED
        return Verdict.ACCEPTED

    @property
    def size(self) -> tuple[int, int]:
        """config-width and config-height; 0 where one cannot be read."""
        values = self.head.values if self.head else {}
        given = {} if self.form == "ini" else _DEFAULTS
        width, height = (values.get(key, given.get(key, 0)) for key in ("config-width", "config-height"))
        return width, height

    def line(self, key: str, value: object) -> str:
        """A line of this file, as hints write it."""
        return f"{key}={value}" if self.form == "ini" else f"{key}: {value}"


on_analytics: Checks[AnalyticsFile] = Checks()
"""Rules about configs of Gst-nvdsanalytics."""


def read_analytics(data: bytes, path: str, release: str) -> AnalyticsFile:
    """The file with these bytes as DeepStream `release` reads it."""
    file = AnalyticsFile(path, "yaml" if path.endswith((".yml", ".yaml")) else "ini", release)
    try:
        found = read_groups(data, file.form, release)
    except Unreadable as error:
        file.faults.append(Fault(error.message, error.line, error.column, dies=error.dies))
        return file
    for section, entries in found:
        _read_group(file, section, entries)
    if file.head is None:
        file.faults.append(Fault(f"there is no group {PROPERTY}"))
    return file


_NAME = re.compile(r"(.+)-stream-(.*)", re.DOTALL)
_STREAM = re.compile(r"[ \t\n\v\f\r]*([0-9]{1,9})")


def _read_group(file: AnalyticsFile, section: Section, entries: list[Entry]) -> None:
    match = _NAME.fullmatch(section.name)
    kind = match[1] if match else section.name
    if kind not in kinds() or (kind == PROPERTY) == bool(match):
        file.ignored.append(section)
        return
    group = Group(kind, section, entries=entries)
    if match is None:
        file.head = group
    else:
        number = _STREAM.match(match[2])
        group.stream, group.suffix = int(number[1]) if number else 0, match[2]
        file.groups.append(group)
    before = len(file.faults)
    for entry in entries:
        _read_entry(file, group, entry)
    row = kinds()[kind]
    if file.form == "ini":
        missing = [key for key in row.required if group.entry(key) is None]
        file.faults += [Fault(f"[{kind}] has no {key}", section.line, section.column) for key in missing]
    smoothing = group.entry(SMOOTHING)
    if kind == PROPERTY and _tests_osd_mode(file) and smoothing and group.values.get("osd-mode", 2) < 1:
        file.faults.append(_fault(smoothing, f"DeepStream {file.release} refuses {SMOOTHING} with osd-mode=0"))
    if row.shape and not group.shapes and len(file.faults) == before:
        message = f"[{section.name}] has no {row.shape}LABEL"
        file.faults.append(Fault(message, section.line, section.column, ends=file.form == "yaml"))


def _tests_osd_mode(file: AnalyticsFile) -> bool:
    """Whether the parser tests osd-mode against the limits of obj-cnt-win-in-ms, and that not at all."""
    return file.form == "ini" and file.release == _WRONG_RANGE


def _fault(entry: Entry, message: str, *, ends: bool = False, dies: bool = False) -> Fault:
    return Fault(message, entry.value_line, entry.value_column, entry, ends, dies)


READERS: Final = {
    "boolean": keyfile.as_boolean,
    "integer": keyfile.as_integer,
    "number": keyfile.as_double,
    "string": keyfile.as_string,
    "integers": keyfile.as_integer_list,
    "shape": keyfile.as_integer_list,
    "numbers": keyfile.as_double_list,
}
"""What GLib makes of a text, by the types in our files of keys."""


def _read_entry(file: AnalyticsFile, group: Group, entry: Entry) -> None:
    row = kinds()[group.kind]
    kind = row.type_of(entry.key)
    if kind is None:
        return
    value: Any
    try:
        value = READERS[kind](entry.text.encode()) if file.form == "ini" else _yaml_value(group, entry, kind)
    except (KeyFileError, TooMany) as error:
        file.faults.append(_fault(entry, f"{entry.key}: {error}"))
        return
    except ValueError:
        wrong = load_toml("nvinfer/advice.toml")["other-type"]["nvdsanalytics"][kind]
        file.faults.append(_fault(entry, f"{entry.key}: {entry.text[:80]!r} is {wrong}", dies=True))
        return
    if kind == "shape":
        _read_shape(file, group, entry, value)
        return
    least, most = row.least.get(entry.key), row.most.get(entry.key)
    tested = file.form == "ini" and not (entry.key == SMOOTHING and _tests_osd_mode(file))
    if tested and ((least is not None and value < least) or (most is not None and value > most)):
        limits = f"at least {least}" if most is None else f"{least} to {most}"
        file.faults.append(_fault(entry, f"{entry.key} is {value}, and must be {limits}"))
        return
    group.values[entry.key] = as_text(value) if isinstance(value, bytes) else value


def _yaml_value(group: Group, entry: Entry, kind: str) -> Any:
    """What yaml-cpp and std::stoi make of a text; raises ValueError where they throw."""
    text = entry.text.encode()
    if kind == "string":
        return text
    if kind == "integers":
        return tuple(signed32(std_stoul(piece)) for piece in text.split(b";"))
    if kind == "boolean":
        return stream_int(text)
    if kind == "integer":
        return stream_unsigned(text)
    pieces = text.split(b";")
    # Where the count ends the reading, the parser does not come to the numbers.
    return None if _ends(group.kind, len(pieces)) else tuple(std_stoi(piece) for piece in pieces)


def _ends(kind: str, count: int) -> bool:
    """Whether the YAML parser stops at a shape of so many numbers; overcrowding reads on behind the last one."""
    wanted = kinds()[kind].numbers
    return count != wanted if wanted else bool(count % 2) and kind == "roi-filtering"


def _read_shape(file: AnalyticsFile, group: Group, entry: Entry, numbers: tuple[int, ...] | None) -> None:
    row = kinds()[group.kind]
    ends = file.form == "yaml"
    if numbers is None:
        count = entry.text.count(";") + 1
        wanted = row.numbers or "pairs of numbers"
        more = ", the last one without digits" if entry.text.rstrip().endswith(";") else ""
        message = f"{entry.key} has {count} numbers{more}, and needs {wanted}"
        file.faults.append(_fault(entry, message, ends=True))
    elif any(number < 0 for number in numbers):
        file.faults.append(_fault(entry, f"{entry.key} has a number below 0", ends=ends))
    else:
        group.shapes.append(Shape(entry.key.removeprefix(row.shape), numbers, entry))


@dataclass(frozen=True, slots=True)
class TrackerGroup(Kind):
    """A group of the low-level tracker's config; the top of its keys.toml explains the fields."""

    keys_since: dict[str, tuple[str, ...]] = field(default_factory=dict)
    until: str | None = None

    def since(self, key: str) -> str | None:
        """The release whose samples are the first that have the key; None: not known."""
        return next((release for release, names in self.keys_since.items() if key in names), None)


@cache
def tracker_groups() -> Mapping[str, TrackerGroup]:
    """Every group."""
    return known_groups(TrackerGroup, "tracker/keys.toml")


def read_tracker(data: bytes, release: str) -> list[tuple[Section, list[Entry]]] | Fault:
    """The groups of a tracker's config with their entries, or why it is no YAML."""
    # The samples begin with a line of OpenCV's, which is no directive of YAML.
    text = re.sub(rb"^%(?=YAML:)", b"#", data.removeprefix(b"\xef\xbb\xbf"), count=1, flags=re.MULTILINE)
    try:
        return read_groups(text, "yaml", release)
    except Unreadable as error:
        return Fault(error.message, error.line, error.column)
