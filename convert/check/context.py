"""What a rule gets: one config as one element of one pipeline reads it, with the files it names, all read before.

(`convert.nvinfer.context` is NVIDIA's inference context, NvDsInferContextImpl. This module is about rules.)

Comment lines in a config suppress findings:

    # check: ignore NVI015, NVI076      for the next line that is neither empty nor a comment
    # check: ignore-file NVI038         for everything found through this file, its labels and model included

A finding about a key that is missing is at [property], so a comment above that line suppresses it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from convert.findings import Finding, Level, Rule
from convert.nvinfer import keys

if TYPE_CHECKING:
    from convert.errors import InputError
    from convert.nvinfer.context import Binding, Initialised, Library
    from convert.nvinfer.targets import Target
    from convert.onnx_header import Header


DETECTOR, CLASSIFIER, SEGMENTATION, INSTANCES, OTHER = keys.NetworkType

SDK: Final = "/opt/nvidia/"
"""Where DeepStream is installed; what is below it counts as there."""


class Place(NamedTuple):
    """Where in which file; line and column from 1, None: the whole file."""

    path: str
    line: int | None = None
    column: int | None = None


class Setting(NamedTuple):
    """The value deepstream-app sets in the element instead of the config's, and where that is written."""

    value: Any
    place: Place


class Fault(NamedTuple):
    """What ends the reading, how (`exception` is what the process dies of), and the entry it is in."""

    problem: keys.Problem
    verdict: keys.Verdict
    exception: str | None = None
    entry: keys.Entry | None = None


class Presence(NamedTuple):
    """Whether a file that a config names exists: `here`, it does; `sure`, it must, so that its absence is an error."""

    here: bool
    sure: bool


class NamedFile(NamedTuple):
    """A file that a key names: the text of the value, the path it means, and whether it is there.

    The path is as nvinfer resolves it: links of what exists are followed, "." and ".." resolved. `meant` is the name of
    a file in its folder that differs by a slip of the pen, if the path leads to nothing.
    """

    text: str
    path: str
    presence: Presence
    changed: int = 0  # nanoseconds; 0 if it does not exist
    meant: str | None = None


class Labels(NamedTuple):
    """A label file that could be read: `shown` as the user would name it, its bytes, and nvinfer's entries of it."""

    shown: str
    data: bytes
    entries: tuple[tuple[int, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class RuleContext:
    """One config.

    Attributes:
        parsed: what nvinfer reads from the file; with `faults`, what it would read without the lines they are in.
        faults: what ends the reading, one after the other: nvinfer stops at the first. Empty: the config is accepted.
            To ask `last`, `values` or `files` for the key of one raises Unclear, which ends the rule.
        data: the file.
        target: the release and platform, with the TensorRT to check for.
        last: the entry that counts for each key, by group and key.
        unread: names of the groups nvinfer does not read.
        values: `parsed.values` with `settings` in place; empty if the config is refused and the rest is not clear.
        settings: key -> what deepstream-app sets over it.
        files: key -> the file it names.
        kinds: key -> what that file is, a table of configs/nvinfer/files.toml, where that can be told.
        labels: the label file; None: none is named, or it cannot be read.
        model, model_path: the header of onnx-file, and how the user would name that file. Without a header
            `model_error` is the reason, unless the file does not exist. `lacking`: files with its weights that are
            missing.
        library: what custom-lib-path leads to; None: there is none, or it is not on this machine.
        network: channels, height, width of the input as nvinfer takes them; None: not known without a model.
        outputs: the outputs of the engine; None: not all sizes are known.
        start: whether the inference context starts, and its first frame; None: not known without the outputs.
    """

    parsed: keys.Parsed
    faults: tuple[Fault, ...]
    data: bytes
    target: Target
    last: Mapping[tuple[str, str], keys.Entry] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    values: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    files: Mapping[str, NamedFile] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    labels: Labels | None = None
    model: Header | None = None
    model_path: str | None = None
    model_error: InputError | None = None
    lacking: tuple[str, ...] = ()
    library: Library | None = None
    network: tuple[int, int, int] | None = None
    outputs: tuple[Binding, ...] | None = None
    start: Initialised | None = None

    @property
    def kind(self) -> int:
        """network-type."""
        return int(self.values["network-type"])

    @property
    def is_secondary(self) -> bool:
        """Whether it infers objects of other engines."""
        return bool(self.values["process-mode"] == 2)

    @property
    def function(self) -> str:
        """The library function that reads the outputs; "" where nvinfer's own parser does."""
        return str(self.value(keys.FUNCTIONS.get(self.kind, ""), "")) if self.value("custom-lib-path", "") else ""

    @property
    def feeds_nhwc(self) -> bool:
        """Whether the two keys that make nvinfer feed NHWC are given."""
        return bool(self.value("network-input-order") == 1 and all(self.value("infer-dims")))

    def given(self, key: str) -> bool:
        """Whether the config, or deepstream-app, has `key` of [property]."""
        return key in self.settings or (keys.PROPERTY, key) in self.last

    def value(self, key: str, default: Any = 0) -> Any:
        """The value of `key` of [property]; `default` if the release does not have the key."""
        return self.values.get(key, default)

    def number(self, key: str) -> float:
        """A value that is a number, "nan" and "inf" too."""
        return float(self.values[key])

    def place(self, key: str) -> Place:
        """Where the value of `key` of [property] is; without one, the head of the group."""
        if key in self.settings:
            return self.settings[key].place
        entry = self.last.get((keys.PROPERTY, key))
        return self.head() if entry is None else self.at_value(entry)

    def head(self) -> Place:
        """Where [property] begins; without one, the whole file."""
        for section in self.parsed.sections:
            if section.name == keys.PROPERTY:
                return self.at(section.line, section.column)
        return self.at()

    def at(self, line: int | None = None, column: int | None = None) -> Place:
        """A place in the config."""
        return Place(self.parsed.path, line, column)

    def at_key(self, entry: keys.Entry) -> Place:
        """The name in front of a value."""
        return self.at(entry.line, entry.column)

    def at_value(self, entry: keys.Entry) -> Place:
        """The value itself."""
        return self.at(entry.value_line, entry.value_column)

    def found(
        self,
        rule: Rule,
        message: str,
        *,
        key: str | None = None,
        at: Place | None = None,
        hint: str | None = None,
        level: Level | None = None,
    ) -> Finding:
        """A finding at the value of `key`, or `at` a place, or else for the whole of [property]."""
        path, line, column = at or (self.head() if key is None else self.place(key))
        return rule.found(message, path=path, line=line, column=column, hint=hint, level=level)


class Unclear(Exception):
    """A rule asks for a value that nvinfer refuses: nobody knows what is meant."""


class PartlyKnown(dict[Any, Any]):
    """Values of which some are `unclear`: to ask for one of those raises Unclear."""

    def __init__(self, values: Mapping[Any, Any], unclear: frozenset[object]) -> None:
        super().__init__(values)
        self.unclear = unclear

    def __getitem__(self, key: object) -> Any:
        return super().__getitem__(self._clear(key))

    def get(self, key: object, default: Any = None) -> Any:
        """As `[]`: raises Unclear for what is unclear."""
        return super().get(self._clear(key), default)

    def __contains__(self, key: object) -> bool:
        return super().__contains__(self._clear(key))

    def _clear(self, key: object) -> object:
        if key in self.unclear:
            raise Unclear
        return key


_Subject = TypeVar("_Subject")
_Part = TypeVar("_Part")
_MOST_FINDINGS: Final = 100  # of one rule in one config that are shown


@dataclass(frozen=True, slots=True, eq=False)
class Check(Rule, Generic[_Subject]):
    """A rule with the function that yields its findings; `refused`: also in files that nvinfer refuses."""

    run: Callable[[_Subject], Iterable[Finding]]
    refused: bool = False


class Checks(list[Check[_Subject]]):
    """The rules about one kind of subject, in the order in which they were declared, which is that of their calls."""

    def __call__(
        self, rule: str | Rule, *, refused: bool = False
    ) -> Callable[[Callable[[_Subject], Iterable[Finding]]], Check[_Subject]]:
        """A decorator that makes a function the `Check` of a new rule, by its id, or another one of a `rule`."""

        def declare(run: Callable[[_Subject], Iterable[Finding]]) -> Check[_Subject]:
            self.append(Check(rule if isinstance(rule, str) else rule.id, run, refused))
            return self[-1]

        return declare

    def about(
        self, part: Callable[[_Subject], _Part | None], rule: str | Rule
    ) -> Callable[[Callable[[_Subject, _Part], Iterable[Finding]]], Check[_Subject]]:
        """As a call, for functions that get a `part` of the subject, too, and are called where there is one."""

        def declare(run: Callable[[_Subject, _Part], Iterable[Finding]]) -> Check[_Subject]:
            return self(rule)(lambda subject: () if (found := part(subject)) is None else run(subject, found))

        return declare

    def findings(self, subject: _Subject, *, refused: bool = False) -> Iterator[Finding]:
        """What the rules find, a limited number of each; `refused`: only those that are for refused files, too."""
        for check in self:
            if refused and not check.refused:
                continue
            with suppress(Unclear):
                found = iter(check.run(subject))
                yield from islice(found, _MOST_FINDINGS)
                if rest := next(found, None):
                    message = f"there are more of these; the first {_MOST_FINDINGS} are shown"
                    yield check.found(message, path=rest.path)


on_config: Checks[RuleContext] = Checks()
"""Rules about configs of Gst-nvinfer."""


def model_of(context: RuleContext) -> Header | None:
    """The header of onnx-file, for `on_config.about`."""
    return context.model


def table_of(group: str) -> str | None:
    """The table in keys.toml for the keys of a group; None for a group that nvinfer does not have."""
    if group == keys.PROPERTY:
        return keys.PROPERTY
    return keys.ATTRS if group.startswith(keys.ATTRS_PREFIX) else None


def key_of(entry: keys.Entry) -> keys.Key | None:
    """The row of keys.toml for the key of an entry."""
    table = table_of(entry.group)
    return None if table is None else keys.key_named(entry.key, table)


def wants_instances(context: RuleContext) -> bool:
    """Whether a config for semantic segmentation names a function for the masks of objects: another network-type."""
    if context.kind != SEGMENTATION or context.value("parse-segmentation-func-name", ""):
        return False
    return bool(context.value(keys.FUNCTIONS[INSTANCES], "") or context.value("output-instance-mask"))


_SUPPRESSION = re.compile(rb"^[ \t]*#[ \t]*check:[ \t]*ignore(-file)?[ \t:]+(.*)$", re.MULTILINE)


class Suppressions(NamedTuple):
    """Ids of the rules a config suppresses: for the whole file, and by line; and line and text of each as `written`."""

    file: frozenset[str]
    lines: dict[int, frozenset[str]]
    written: tuple[tuple[int, str], ...]


def read_suppressions(data: bytes) -> Suppressions:
    """The suppressions in the config with these bytes."""
    everywhere: set[str] = set()
    lines: dict[int, frozenset[str]] = {}
    written: list[tuple[int, str]] = []
    pending: set[str] = set()
    for number, text in enumerate(data.split(b"\n") if b"check:" in data else (), 1):
        if match := _SUPPRESSION.match(text):
            words = [word for word in re.split(r"[\s,;]+", match[2].decode("utf-8", "replace")) if word]
            (everywhere if match[1] else pending).update(map(str.upper, words))
            written += [(number, word) for word in words]
        elif text.strip() and not text.lstrip().startswith(b"#"):
            if pending:
                lines[number] = frozenset(pending)
            pending = set()
    return Suppressions(frozenset(everywhere), lines, tuple(written))


def split_suppressed(
    findings: Iterable[Finding], path: str, suppressions: Suppressions
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """`findings` in two: those to report, and those that the config at `path` suppresses."""
    reported: list[Finding] = []
    suppressed: list[Finding] = []
    for finding in findings:
        of_line = suppressions.lines.get(finding.line or 0, ()) if finding.path == path else ()
        (suppressed if finding.id in suppressions.file or finding.id in of_line else reported).append(finding)
    return tuple(reported), tuple(suppressed)
