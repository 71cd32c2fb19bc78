"""What a rule may look at: one config as one element of one pipeline reads it, with the files it names.

Rules are pure functions of a `Case`; everything that has to be read from the disk was read before (`gather`).

Reads what rules look at: the config with all its faults, and the files it names.

Waivers: comment lines in a config that say which findings are meant to be so.

    # check: ignore NVI015, NVI076      for the next line that is neither empty nor a comment
    # check: ignore-file NVI038         for everything found through this file, its labels and model included

A finding about a key that is missing stands at [property], so a waiver above that line waives it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from convert.errors import InputError, PresetError
from convert.nvinfer.config import MOST_BYTES, read_bytes
from convert.nvinfer.config_state import ATTRS_PREFIX, MOST_CLASSES, Reason, Verdict
from convert.nvinfer.keys import ATTRS, FUNCTIONS, PROPERTY, Key, NetworkType, key_named, version
from convert.nvinfer.numbers import read_ordinary
from convert.nvinfer.targets import opsets, target

if TYPE_CHECKING:
    from convert.findings import Finding, Level, Rule
    from convert.nvinfer.config_state import Entry, Parsed, Problem
    from convert.nvinfer.context import Engine, Initialised, Library, Tensor
    from convert.nvinfer.targets import Target
    from convert.onnx_header import Header, Value


__all__ = [
    "CLASSIFIER",
    "DETECTOR",
    "FUNCTIONS",
    "INSTANCES",
    "OTHER",
    "SEGMENTATION",
    "CheckTarget",
    "Fault",
    "Labels",
    "Models",
    "NamedFile",
    "Place",
    "Presence",
    "Reading",
    "RuleContext",
    "RuleFunction",
    "Setting",
    "Suppressions",
    "check_target",
    "key_of",
    "load_context",
    "presence",
    "read_config",
    "read_suppressions",
    "split_suppressed",
    "table_of",
    "unknown_suppressions",
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


class CheckTarget(NamedTuple):
    """What the config is checked for: the release on a platform, and the TensorRT that is there."""

    target: Target
    tensorrt: str


@dataclass(frozen=True, slots=True)
class RuleContext:
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
    where: CheckTarget
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


RuleFunction: TypeAlias = Callable[[RuleContext], Iterable["Finding"]]
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


_WAIVER = re.compile(rb"^[ \t]*#[ \t]*check:[ \t]*ignore(-file)?[ \t:]+(.*)$", re.MULTILINE)
_ID = re.compile(r"(NVI|EI)[0-9]{3}")


class Suppressions:
    """What a file waives: ids for all of it, and by line."""

    def __init__(self, file: frozenset[str], lines: dict[int, frozenset[str]]) -> None:
        self.file = file
        self.lines = lines


def read_suppressions(data: bytes) -> Suppressions:
    """The waivers of the config with these bytes."""
    if b"check:" not in data:
        return Suppressions(frozenset(), {})
    everywhere: set[str] = set()
    lines: dict[int, frozenset[str]] = {}
    pending: set[str] = set()
    for number, text in enumerate(data.split(b"\n"), 1):
        if match := _WAIVER.match(text):
            (everywhere if match[1] else pending).update(_ids(match[2]))
        elif text.strip() and not text.lstrip().startswith(b"#"):
            if pending:
                lines[number] = frozenset(pending)
            pending = set()
    return Suppressions(frozenset(everywhere), lines)


def split_suppressed(
    findings: Iterable[Finding], path: str, waivers: Suppressions
) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """`findings` in two: those that stay, and those the config at `path` waives."""
    stay: list[Finding] = []
    gone: list[Finding] = []
    for finding in findings:
        of_line = waivers.lines.get(finding.line or 0, ()) if finding.path == path else ()
        (gone if finding.id in waivers.file or finding.id in of_line else stay).append(finding)
    return tuple(stay), tuple(gone)


def unknown_suppressions(data: bytes) -> tuple[tuple[int, str], ...]:
    """Lines that waive something that cannot be a rule's id: number, text."""
    if b"check:" not in data:
        return ()
    found: list[tuple[int, str]] = []
    line, position = 1, 0
    for match in _WAIVER.finditer(data):
        line, position = line + data.count(b"\n", position, match.start()), match.start()
        found += [(line, word) for word in _words(match[2]) if not _is_rule(word)]
    return tuple(found)


def _ids(text: bytes) -> set[str]:
    return {word.upper() for word in _words(text)}


def _words(text: bytes) -> list[str]:
    return [word for word in re.split(r"[\s,;]+", text.decode("utf-8", "replace")) if word]


def _is_rule(word: str) -> bool:
    if not _ID.fullmatch(word.upper()):
        return False
    from convert.check.rules import RULES  # this module is one of those the rules are made with

    return word.upper().startswith("EI") or word.upper() in {rule.id for rule in RULES}


_MOST_FAULTS: Final = 50
# Every fault means reading the file again: not for files that are no config anyway.
_MOST_REPEATED: Final = 2**20
_MOST_LABELS: Final = 2**22  # bytes; each label becomes an object
_FILES: Final = (
    *("onnx-file", "model-engine-file", "labelfile-path", "mean-file", "custom-lib-path", "int8-calib-file"),
    *("tlt-encoded-model", "ip-tensor-file"),
)
_MOST_EXTERNAL: Final = 1000


class Reading:
    """A config file as nvinfer reads it (`first`), and all that is wrong with it.

    Attributes:
        first: what nvinfer makes of the file.
        settled: what it would make of it without the lines that `faults` are in.
    """

    def __init__(self, data: bytes, first: Parsed, settled: Parsed, faults: tuple[Fault, ...]) -> None:
        self.data = data
        self.first = first
        self.settled = settled
        self.faults = faults


class Models:
    """Headers of ONNX files, each read once."""

    def __init__(self) -> None:
        self._known: dict[str, Header | InputError] = {}

    def header(self, path: str) -> Header | InputError:
        """The header of the model at `path`, or why there is none."""
        if path not in self._known:
            from convert.onnx_header import read_header  # most configs come without a model
            from convert.report import with_resize_mode

            try:
                header = read_header(path)
                self._known[path] = header._replace(metadata=with_resize_mode(path, header.metadata))
            except InputError as error:
                self._known[path] = error
        return self._known[path]


def check_target(release: str, platform: str, tensorrt: str | None = None) -> CheckTarget:
    """What to check for: a release as users name it ("deepstream-7.1"), a platform, and the TensorRT that is there.

    Raises:
        PresetError: no such release, platform or TensorRT.
    """
    found = target(release, platform)
    if tensorrt is None:
        return CheckTarget(found, found.tensorrt)
    try:
        version(tensorrt)
    except PresetError:
        raise PresetError(f"{tensorrt!r} is no version of TensorRT", hint="write it as 10.3 or 8.2.1") from None
    opsets(tensorrt)
    return CheckTarget(found, tensorrt)


def read_config(path: str, where: CheckTarget, data: bytes | None = None) -> Reading:
    """The config file at `path`; `data`, where it was read before.

    Raises:
        InputError: no ordinary file, unreadable, or too large to be a config.
    """
    if data is None:
        data = read_ordinary(path, "config", MOST_BYTES)
    release, platform = where.target.deepstream, where.target.platform
    first = parsed = read_bytes(data, path, release=release, platform=platform)
    faults: list[Fault] = []
    rest = data
    seen: set[int] = set()
    while (problem := parsed.fault) is not None and len(faults) < _MOST_FAULTS:
        faults.append(Fault(problem, parsed.verdict, parsed.exception, _entry_of(parsed)))
        if problem.line is None or problem.line in seen or len(data) > _MOST_REPEATED:
            break
        seen.add(problem.line)
        without = _without(rest, parsed, problem.line)
        if without is None:
            break
        rest = without
        parsed = read_bytes(rest, path, release=release, platform=platform)
    return Reading(data, first, parsed, tuple(faults))


def load_context(
    reading: Reading, where: CheckTarget, models: Models, settings: Mapping[str, Setting] | None = None
) -> RuleContext:
    """Everything a rule may look at, as one element reads the config.

    Args:
        settings: what deepstream-app sets over the config.
    """
    parsed = reading.settled
    last = {(entry.group, entry.key): entry for entry in parsed.entries if not _is_locale(entry.key)}
    unread = frozenset(each.section.name for each in parsed.unread)
    strange = unknown_suppressions(reading.data)
    if reading.faults:
        return RuleContext(parsed, reading.faults, reading.data, where, last, unread, waivers=strange)
    settings = settings or {}
    values = {**parsed.values, **{key: setting.value for key, setting in settings.items()}}
    files = _files(parsed, last, settings)
    model, model_path, model_error = _model(files, models)
    engine = _engine(values, model)
    outputs = engine.outputs if engine and engine.outputs else None
    return RuleContext(
        parsed=parsed,
        faults=(),
        data=reading.data,
        where=where,
        last=last,
        unread=unread,
        values=values,
        settings=settings,
        files=files,
        labels=_labels(files),
        model=model,
        model_path=model_path,
        model_error=model_error,
        lacking=_lacking(model, files),
        library=_library(parsed),
        network=_network(values, model),
        outputs=outputs,
        start=_start(parsed, values, engine) if engine and outputs else None,
        waivers=strange,
    )


def presence(text: str, path: str) -> Presence:
    """Whether the file at `path`, written as `text` in a config, is there, and whether it should be on this machine."""
    sure = not text.startswith("/") or os.path.isdir(os.path.dirname(path))  # noqa: PTH112, PTH120 - text
    return Presence(os.path.isfile(path), sure)  # noqa: PTH113


def _entry_of(parsed: Parsed) -> Entry | None:
    """The entry that ends the reading."""
    problem = parsed.fault
    if problem is None or problem.key is None or problem.line is None:
        return None
    name = (problem.group, problem.key)
    there = [each for each in parsed.entries if problem.line in {each.line, each.value_line}]
    return next((each for each in there if (each.group, each.key) == name), None)


def _without(data: bytes, parsed: Parsed, line: int) -> bytes | None:
    """The file without the line of the fault, other lines keeping their numbers; None: it cannot be taken out."""
    entry = _entry_of(parsed)
    if parsed.form == "yaml" and (entry is None or entry.line != entry.value_line):
        return None
    if parsed.fault is not None and parsed.fault.reason is Reason.NO_PROPERTY:
        return None
    lines = data.split(b"\n")
    if not 0 < line <= len(lines):
        return None
    # The head of a group is not emptied: what follows would belong to the group before.
    lines[line - 1] = b"[-]" if parsed.form == "ini" and lines[line - 1].lstrip().startswith(b"[") else b""
    return b"\n".join(lines)


def _is_locale(key: str) -> bool:
    return key.endswith("]")


def _files(
    parsed: Parsed, last: Mapping[tuple[str, str], Entry], settings: Mapping[str, Setting]
) -> dict[str, NamedFile]:
    found: dict[str, NamedFile] = {}
    for key in _FILES:
        if key in settings:
            text = path = str(settings[key].value)
        elif (entry := last.get((PROPERTY, key))) is not None and key in parsed.files:
            text, path = entry.text, parsed.files[key]
            if text.startswith("/") and not os.path.exists(path):  # noqa: PTH110
                path = os.path.normpath(text)  # nvinfer stores the first missing part only
        else:
            continue
        here = presence(text, path)
        found[key] = NamedFile(text, path, here, _changed(path) if here.here else 0)
    return found


def _changed(path: str) -> int:
    """Nanoseconds; 0 for a file that has just gone."""
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - text
    except OSError:
        return 0


def _labels(files: Mapping[str, NamedFile]) -> Labels | None:
    file = files.get("labelfile-path")
    if file is None or not file.presence.here:
        return None
    from convert.nvinfer.context import split_labels  # only where needed

    try:
        data = read_ordinary(file.path, "label file", _MOST_LABELS)
    except InputError:
        return None  # not readable for us; on the target it may be
    return Labels(_shown(file), data, tuple(split_labels(data)))


def _model(files: Mapping[str, NamedFile], models: Models) -> tuple[Header | None, str | None, InputError | None]:
    file = files.get("onnx-file")
    if file is None or not file.presence.here:
        return None, None, None
    found = models.header(file.path)
    if isinstance(found, InputError):
        return None, file.text, found
    return found, file.text, None


def _lacking(model: Header | None, files: Mapping[str, NamedFile]) -> tuple[str, ...]:
    """Files with weights that are not beside the model."""
    if model is None or not model.external:
        return ()
    folder = os.path.dirname(files["onnx-file"].path)  # noqa: PTH120
    names = [name for name in model.external[:_MOST_EXTERNAL] if "\0" not in name]
    return tuple(name for name in names if not os.path.isfile(os.path.join(folder, name)))  # noqa: PTH113, PTH118


def _library(parsed: Parsed) -> Library | None:
    if not parsed.values["custom-lib-path"]:
        return None
    from convert.nvinfer.context import library_of  # only where there is one

    return library_of(parsed)


def _network(values: Mapping[str, Any], model: Header | None) -> tuple[int, int, int] | None:
    """infer-dims, or the first three dimensions of the model's input, as nvinfer takes them."""
    dims: tuple[object, ...] = tuple(values["infer-dims"])
    if not all(dims):
        source = model.inputs[0] if model and model.inputs else None
        dims = source.dims[1:] if source and source.dims else ()
    match dims:
        case (int() as channels, int() as height, int() as width):
            return channels, height, width
        case _:
            return None


def _engine(values: Mapping[str, Any], model: Header | None) -> Engine | None:
    """The engine nvinfer would build, as far as the header tells: None, where a size is not known."""
    if model is None:
        return None
    from convert.nvinfer.context import Engine  # only with a model

    inputs = [_tensor(value, _free(values, value)) for value in model.inputs]
    outputs = [_tensor(value, None) for value in model.outputs]
    if any(each is None for each in (*inputs, *outputs)):
        return None
    return Engine(values["batch-size"], tuple(filter(None, inputs)), tuple(filter(None, outputs)))


def _free(values: Mapping[str, Any], value: Value) -> tuple[int, ...] | None:
    """infer-dims in the layout of the input, for dimensions that the model leaves free."""
    channels, height, width = values["infer-dims"]
    if not (channels and height and width) or value.dims is None or len(value.dims) != 4:
        return None
    return (height, width, channels) if values.get("network-input-order") == 1 else (channels, height, width)


def _tensor(value: Value, free: tuple[int, ...] | None) -> Tensor | None:
    from convert.nvinfer.context import Tensor  # only with a model

    if not value.dims:
        return None
    dims = value.dims[1:]
    if free is not None:
        dims = tuple(have if isinstance(have, int) else wanted for have, wanted in zip(dims, free, strict=True))
    known = tuple(each for each in dims if isinstance(each, int))
    return Tensor(value.name, value.dtype, known) if len(known) == len(dims) else None


def _start(parsed: Parsed, values: Mapping[str, Any], engine: Engine) -> Initialised | None:
    if parsed.verdict is not Verdict.ACCEPTED or len(values[ATTRS]) > MOST_CLASSES:
        return None
    from dataclasses import replace  # only with a model

    from convert.nvinfer.context import initialise

    return initialise(replace(parsed, values=values), engine)


def _shown(file: NamedFile) -> str:
    """A file as the user would name it: relative to where they are, if it is below."""
    here = os.getcwd()  # noqa: PTH109
    inside = os.path.join(here, "")  # noqa: PTH118
    return file.path.removeprefix(inside)
