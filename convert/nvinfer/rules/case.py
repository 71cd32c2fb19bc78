"""What a rule may look at: one config as one element of one pipeline reads it, with the files it names.

Rules are pure functions of a `Case`; everything that has to be read from the disk was read before (`gather`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from convert.nvinfer.keys import ATTRS, FUNCTIONS, PROPERTY, Key, NetworkType, key_named
from convert.nvinfer.parse_draft import ATTRS_PREFIX

if TYPE_CHECKING:
    from convert.errors import InputError
    from convert.findings import Finding, Level, Rule
    from convert.nvinfer.catalogue import Target
    from convert.nvinfer.initialise import Initialised, Tensor
    from convert.nvinfer.initialise_library import Library
    from convert.nvinfer.parse_result import Entry, Parsed, Problem, Verdict
    from convert.onnx_header import Header

__all__ = [
    "CLASSIFIER",
    "DETECTOR",
    "FUNCTIONS",
    "INSTANCES",
    "OTHER",
    "SEGMENTATION",
    "Case",
    "Check",
    "Fault",
    "Labels",
    "NamedFile",
    "Place",
    "Presence",
    "Setting",
    "Where",
    "key_of",
    "table_of",
]

DETECTOR, CLASSIFIER, SEGMENTATION, INSTANCES, OTHER = NetworkType


class Place(NamedTuple):
    """Where in which file; line and column from 1, None: the whole file."""

    path: str
    line: int | None = None
    column: int | None = None


class Setting(NamedTuple):
    """What deepstream-app puts into the element instead of what the config says, and where that is written."""

    value: Any
    place: Place


class Fault(NamedTuple):
    """What ends the reading, how (`exception` is what the process dies of), and the entry it is in."""

    problem: Problem
    verdict: Verdict
    exception: str | None = None
    entry: Entry | None = None


class Presence(NamedTuple):
    """Whether a file that a config names is there.

    `here`: it is. `sure`: it should be on this machine, so its absence means something; a path of another machine,
    absolute and in a folder that does not exist here, is not.
    """

    here: bool
    sure: bool


class NamedFile(NamedTuple):
    """A file that a key names: the text of the value, the path it means, and whether it is there."""

    text: str
    path: str
    presence: Presence
    changed: int = 0  # nanoseconds; 0 where it is not there


class Labels(NamedTuple):
    """A label file that could be read: `shown` as the user would name it, its bytes, and nvinfer's entries of it."""

    shown: str
    data: bytes
    entries: tuple[tuple[int, tuple[str, ...]], ...]


class Where(NamedTuple):
    """What the config is checked for: the release on a platform, and the TensorRT that is there."""

    target: Target
    tensorrt: str


@dataclass(frozen=True, slots=True)
class Case:
    """One config.

    Attributes:
        parsed: what nvinfer makes of the file; with `faults`, what it would make of it without the lines they are in.
        faults: what ends the reading, one after the other: nvinfer stops at the first. Empty: the config is accepted.
        data: the file.
        where: what it is checked for.
        last: the entry that counts for each key, by group and key.
        unread: names of the groups nvinfer does not look at.
        values: `parsed.values` with `settings` in place; empty unless the config is accepted.
        settings: key -> what deepstream-app sets over it.
        files: key -> the file it names.
        labels: the label file; None: none is named, or it cannot be read.
        model, model_path: the header of onnx-file, and how the user would name that file. Without a header
            `model_error` says why, unless the file is not there. `lacking`: files with its weights that are not there.
        library: what custom-lib-path leads to; None: there is none, or it is not on this machine.
        network: channels, height, width of the input as nvinfer takes them; None: not known without a model.
        outputs: the outputs of the engine; None: not all sizes are known.
        start: what becomes of the context and the first frame; None: not known without the outputs.
        waivers: lines with `# check: ignore ...` that name a rule there is not: line, text.
    """

    parsed: Parsed
    faults: tuple[Fault, ...]
    data: bytes
    where: Where
    last: Mapping[tuple[str, str], Entry] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    values: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    files: Mapping[str, NamedFile] = field(default_factory=dict)
    labels: Labels | None = None
    model: Header | None = None
    model_path: str | None = None
    model_error: InputError | None = None
    lacking: tuple[str, ...] = ()
    library: Library | None = None
    network: tuple[int, int, int] | None = None
    outputs: tuple[Tensor, ...] | None = None
    start: Initialised | None = None
    waivers: tuple[tuple[int, str], ...] = ()

    @property
    def kind(self) -> int:
        """network-type."""
        return int(self.values["network-type"])

    @property
    def is_secondary(self) -> bool:
        """Whether it looks at objects of other engines."""
        return bool(self.values["process-mode"] == 2)

    @property
    def function(self) -> str:
        """The function that reads the outputs; "" where nvinfer does it itself: without a library it always does."""
        return str(self.value(FUNCTIONS.get(self.kind, ""), "")) if self.value("custom-lib-path", "") else ""

    def given(self, key: str) -> bool:
        """Whether the config, or deepstream-app, says anything about `key` of [property]."""
        return key in self.settings or (PROPERTY, key) in self.last

    def value(self, key: str, default: Any = 0) -> Any:
        """What `key` of [property] is, `default` where the release does not have it."""
        return self.values.get(key, default)

    def number(self, key: str, values: Mapping[str, Any] | None = None) -> float:
        """A value that is a number, "nan" and "inf" too."""
        return float((self.values if values is None else values)[key])

    def place(self, key: str, group: str = PROPERTY) -> Place:
        """Where the value of `key` stands; without one, the head of the group."""
        if group == PROPERTY and key in self.settings:
            return self.settings[key].place
        entry = self.last.get((group, key))
        return self.head(group) if entry is None else Place(self.parsed.path, entry.value_line, entry.value_column)

    def head(self, group: str = PROPERTY) -> Place:
        """Where `group` begins; without one, the whole file."""
        for section in self.parsed.sections:
            if section.name == group:
                return Place(self.parsed.path, section.line, section.column)
        return Place(self.parsed.path)

    def found(
        self,
        rule: Rule,
        message: str,
        *,
        key: str | None = None,
        group: str = PROPERTY,
        at: Place | None = None,
        hint: str | None = None,
        level: Level | None = None,
    ) -> Finding:
        """A finding at the value of `key`, or `at` a place, or else for the whole of [property]."""
        path, line, column = at or (self.head() if key is None else self.place(key, group))
        return rule.found(message, path=path, line=line, column=column, hint=hint, level=level)

    def at_key(self, entry: Entry) -> Place:
        """The name in front of a value."""
        return Place(self.parsed.path, entry.line, entry.column)

    def at_value(self, entry: Entry) -> Place:
        """The value itself."""
        return Place(self.parsed.path, entry.value_line, entry.value_column)


Check: TypeAlias = Callable[[Case], Iterable["Finding"]]
"""A rule's function."""


def table_of(group: str) -> str | None:
    """The table in keys.toml for the keys of a group; None for a group that nvinfer does not have."""
    if group == PROPERTY:
        return PROPERTY
    return ATTRS if group.startswith(ATTRS_PREFIX) else None


def key_of(entry: Entry) -> Key | None:
    """What is known about the key of an entry."""
    table = table_of(entry.group)
    return None if table is None else key_named(entry.key, table)
