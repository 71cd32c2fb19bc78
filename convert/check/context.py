"""What a rule gets: one config as one element of one pipeline reads it, with the files it names, all read before.

(`convert.nvinfer.context` is NVIDIA's inference context, NvDsInferContextImpl. This module is about rules.)

Comment lines in a config suppress findings:

    # check: ignore NVI015, NVI076      for the next line that is neither empty nor a comment
    # check: ignore-file NVI038         for everything found through this file, its labels and model included

A finding about a key that is missing is at [property], so a comment above that line suppresses it.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from convert.errors import InputError, PresetError
from convert.files import load_toml
from convert.findings import Finding, Level, Rule
from convert.nvinfer import config, keyfile, keys, numbers
from convert.nvinfer.context import Binding, Engine, Initialised, Library, initialise, library_of, split_labels
from convert.nvinfer.targets import Target, opsets, target
from convert.options import PLATFORM, RELEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from convert.nvinfer.yaml import Node
    from convert.onnx_header import Header, Value
    from convert.report import BundleReport


DETECTOR, CLASSIFIER, SEGMENTATION, INSTANCES, OTHER = keys.NetworkType


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


class Expect(StrEnum):
    """Which of the files that a config names must be on this machine.

    AUTO: those that a folder lacks which is complete otherwise. BUNDLE: all but those with another machine's paths.
    REQUIRE: all, but for the SDK's where it is not installed. IGNORE: none, and not a word about them.
    """

    AUTO = "auto"
    BUNDLE = "bundle"
    REQUIRE = "require"
    IGNORE = "ignore"


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


class _Known(dict[Any, Any]):
    """Values of which some are `unclear`: to ask for one of those raises Unclear."""

    def __init__(self, values: Mapping[Any, Any], unclear: frozenset[object]) -> None:
        super().__init__(values)
        self.unclear = unclear

    def __getitem__(self, key: object) -> Any:
        return super().__getitem__(self._clear(key))

    def get(self, key: object, default: Any = None) -> Any:
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


_MOST_FAULTS: Final = 50
# Every fault means reading the file again: not for large files that are no config anyway.
_MOST_REPEATED: Final = 2**20
_MOST_LABELS: Final = 2**22  # bytes; each label becomes an object
_FILES: Final = (
    *("onnx-file", "model-engine-file", "labelfile-path", "mean-file", "custom-lib-path", "int8-calib-file"),
    *("tlt-encoded-model", "ip-tensor-file"),
)
_MODELS: Final = ("onnx-file", "tlt-encoded-model")
_BUILD_FILES: Final = ("Makefile", "CMakeLists.txt", "meson.build")
_MOST_EXTERNAL: Final = 1000
_HEAD: Final = 4096  # bytes that show what a file is
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_IR_VERSION: Final = re.compile(rb"\x08[\x03-\x14]")  # how an ONNX file starts (`convert.export.archive.is_onnx`)
SDK: Final = "/opt/nvidia/"
"""Where DeepStream is installed; what is below it counts as there."""


class Reading(NamedTuple):
    """A config file with all its faults.

    Attributes:
        data: the file.
        first: what nvinfer reads from it.
        settled: what nvinfer would read without the lines that `faults` are in.
    """

    data: bytes
    first: keys.Parsed
    settled: keys.Parsed
    faults: tuple[Fault, ...]


class Models:
    """Headers of ONNX files, and names in folders, each read once."""

    def __init__(self) -> None:
        self._known: dict[str, Header | InputError] = {}
        self._names: dict[str, dict[int, list[str]]] = {}
        self._near: dict[str, str | None] = {}

    def near(self, path: str) -> str | None:
        """The name of the file that is probably meant by `path`, which is not there; None: there is none."""
        if path not in self._near:
            folder, name = os.path.split(path)
            names = self._of_length(folder, len(name))
            self._near[path] = next((other for other in names if _differs_by_a_slip(name, other)), None)
        return self._near[path]

    def _of_length(self, folder: str, length: int) -> Iterator[str]:
        """What is in `folder` under a name of `length` characters, or of one more or fewer."""
        if folder not in self._names:
            found = self._names[folder] = {}
            with suppress(OSError, ValueError):
                for name in os.listdir(folder):  # noqa: PTH208 - text
                    found.setdefault(len(name), []).append(name)
        for each in (length, length - 1, length + 1):
            yield from self._names[folder].get(each, ())

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


class ChosenTarget(NamedTuple):
    """A target, and who says so: "option", the "report" of a bundle, or nobody ("default")."""

    target: Target
    source: str


@dataclass(frozen=True, slots=True)
class TargetChoice:
    """What the user says of the target, None where nothing; a bundle's report.json says the rest.

    Attributes:
        release, platform: as `convert.nvinfer.targets.target` takes them.
        tensorrt: another TensorRT than the release's own.

    Raises:
        PresetError: no such release, platform or TensorRT.
    """

    release: str | None = None
    platform: str | None = None
    tensorrt: str | None = None

    @property
    def default(self) -> ChosenTarget:
        """For a config that is in no bundle."""
        said = self.release is not None or self.platform is not None
        found = check_target(self.release or RELEASE, self.platform or PLATFORM, self.tensorrt)
        return ChosenTarget(found, "option" if said else "default")

    def recorded(self, folder: str) -> ChosenTarget | None:
        """For a config in `folder`; None: no report of a bundle is there, or the user has said all.

        A report that is damaged, or of a release that is not known here, counts as none.
        """
        if self.release is not None and self.platform is not None:
            return None
        try:
            report = bundle_report(folder)
            if report is None:
                return None
            release, platform = report.models[0].target
            found = check_target(self.release or release, self.platform or platform, self.tensorrt)
        except (InputError, PresetError):
            return None
        return ChosenTarget(found, "report")


def bundle_report(folder: str) -> BundleReport | None:
    """The report.json of a bundle that `convert` made; None: none is there, or it cannot be read."""
    if not os.path.isfile(os.path.join(folder, "report.json")):  # noqa: PTH113, PTH118 - text
        return None
    from convert.report import BundleReport  # many configs are in no bundle

    with suppress(InputError):
        return BundleReport.read(Path(folder))
    return None


def check_target(release: str, platform: str, tensorrt: str | None = None) -> Target:
    """The target to check for: a release as users name it ("deepstream-7.1"), a platform, another TensorRT.

    Raises:
        PresetError: no such release, platform or TensorRT.
    """
    found = target(release, platform)
    if tensorrt is None:
        return found
    try:
        keys.version(tensorrt)
    except PresetError:
        raise PresetError(f"{tensorrt!r} is no version of TensorRT", hint="write it as 10.3 or 8.2.1") from None
    opsets(tensorrt)
    return replace(found, tensorrt=tensorrt)


def read_config(path: str, target: Target, data: bytes | None = None) -> Reading:
    """The config file at `path`; `data`, if it was read before.

    Raises:
        InputError: no ordinary file, unreadable, or too large to be a config.
    """
    if data is None:
        data = numbers.read_ordinary(path, "config", config.MOST_BYTES)
    first = parsed = config.read_bytes(data, path, release=target.deepstream, platform=target.platform)
    faults: list[Fault] = []
    rest = data
    lines: set[int] = set()
    while (problem := parsed.fault) is not None and len(faults) < _MOST_FAULTS:
        entry = _entry_of(parsed, problem)
        faults.append(Fault(problem, parsed.verdict, parsed.exception, entry))
        if problem.line is None or problem.line in lines or len(data) > _MOST_REPEATED:
            break
        lines.add(problem.line)
        without = _without(rest, parsed, problem, entry)
        if without is None:
            break
        rest = without
        parsed = config.read_bytes(rest, path, release=target.deepstream, platform=target.platform)
    return Reading(data, first, parsed, tuple(faults))


def _entry_of(parsed: keys.Parsed, problem: keys.Problem) -> keys.Entry | None:
    """The entry that a problem is in."""
    for entry in parsed.entries:
        if (entry.group, entry.key) == (problem.group, problem.key) and problem.line in {entry.line, entry.value_line}:
            return entry
    return None


def _without(data: bytes, parsed: keys.Parsed, fault: keys.Problem, entry: keys.Entry | None) -> bytes | None:
    """The file without the line of the fault, other lines keeping their numbers; None: it cannot be taken out."""
    if parsed.form == "yaml" and (entry is None or entry.line != entry.value_line):
        return None
    lines = data.split(b"\n")
    if fault.reason is keys.Reason.NO_PROPERTY or fault.line is None or not 0 < fault.line <= len(lines):
        return None
    index = fault.line - 1
    # The head of a group is not emptied: what follows would belong to the group before.
    lines[index] = b"[-]" if parsed.form == "ini" and lines[index].lstrip().startswith(b"[") else b""
    return b"\n".join(lines)


def load_context(
    reading: Reading,
    target: Target,
    models: Models,
    settings: Mapping[str, Setting] | None = None,
    expect: Expect = Expect.AUTO,
) -> RuleContext:
    """Everything a rule may use, as one element reads the config.

    Args:
        reading: the config file.
        target: the release and platform, with the TensorRT to check for.
        models: the headers read so far.
        settings: what deepstream-app sets over the config.
        expect: which files must be here.

    Of a config that nvinfer refuses only what is clear without the refused values; where nothing is, `parsed`, `last`
    and `unread` are all there is.
    """
    parsed = reading.settled
    context = RuleContext(
        parsed=parsed,
        faults=reading.faults,
        data=reading.data,
        target=target,
        # "key[fr]" is a key in a locale, which nvinfer never asks for.
        last={(entry.group, entry.key): entry for entry in parsed.entries if not entry.key.endswith("]")},
        unread=frozenset(each.section.name for each in parsed.unread),
    )
    unclear = _unclear(reading)
    if unclear is None:
        return context
    settings = settings or {}
    values = {**parsed.values, **{key: setting.value for key, setting in settings.items()}}
    files = _files(context, settings, expect, models)
    if unclear:
        last = _Known(context.last, unclear | {(keys.PROPERTY, key) for key in unclear})
        values, context = _Known(values, unclear), replace(context, last=last)
    library = library_of(parsed) if parsed.values["custom-lib-path"] else None
    model, model_path, model_error = _model(files, models)
    engine = network = None
    with suppress(Unclear):
        network = _network(values, model)
        engine = _engine(values, model) if model else None
    outputs = engine.outputs if engine and engine.outputs else None
    read = (files.get(key) for key in ("labelfile-path", "mean-file"))
    known = all(file.presence.here for file in read if file) and (library or not parsed.values["custom-lib-path"])
    can_start = known and engine and outputs and not reading.faults
    can_start = can_start and len(values[keys.ATTRS]) <= keys.MOST_CLASSES
    return replace(
        context,
        values=values,
        settings=settings,
        files=_Known(files, unclear) if unclear else files,
        kinds={key: kind for key, file in files.items() if (kind := _kind(file))},
        labels=_labels(files),
        model=model,
        model_path=model_path,
        model_error=model_error,
        lacking=_lacking(model, files),
        library=library,
        network=network,
        outputs=outputs,
        start=initialise(replace(parsed, values=values), engine) if engine and can_start else None,
    )


_DECIDING: Final = frozenset({"network-type", "process-mode", "num-detected-classes"})
"""Keys that decide which others are read."""


def _unclear(reading: Reading) -> frozenset[object] | None:
    """Keys whose values are refused, and what else may be one in those lines; None: all the rest depends on them."""
    if reading.settled.verdict is not keys.Verdict.ACCEPTED:
        return None
    lines = reading.data.split(b"\n") if reading.faults else []
    found: set[object] = set()
    for fault in reading.faults:
        text = lines[(fault.problem.line or 1) - 1].decode("utf-8", "replace")
        words = [fault.entry.group, fault.entry.key] if fault.entry else re.findall(r"[\w-]+", text)
        found.update(
            keys.ATTRS if word.startswith(keys.ATTRS_PREFIX) else word for word in words if word != keys.PROPERTY
        )
    return None if found & _DECIDING else frozenset(found)


def presence(text: str, path: str, expect: Expect, *, complete: bool) -> Presence:
    """Whether the file at `path`, written as `text` in a config, exists, and whether it must.

    Args:
        complete: whether the other files that are named make it an error, where `expect` leaves it to them.
    """
    here = os.path.isfile(path)  # noqa: PTH113 - text
    if here or not text or os.path.exists(path):  # noqa: PTH110 - a folder is no file, on no machine
        return Presence(here, sure=True)
    elsewhere = text.startswith("/") and not os.path.isdir(os.path.dirname(path))  # noqa: PTH112, PTH120
    if expect is Expect.REQUIRE:
        return Presence(here, sure=not (elsewhere and text.startswith(SDK)))
    return Presence(here, sure=not elsewhere and (expect is Expect.BUNDLE or (expect is Expect.AUTO and complete)))


def _files(
    context: RuleContext, settings: Mapping[str, Setting], expect: Expect, known: Models
) -> dict[str, NamedFile]:
    paths: dict[str, tuple[str, str]] = {}
    for key in _FILES:
        if key in settings:
            text = path = str(settings[key].value)
        elif (entry := context.last.get((keys.PROPERTY, key))) is not None and key in context.parsed.files:
            text, path = entry.text, context.parsed.files[key]
            if text.startswith("/") and not os.path.exists(path):  # noqa: PTH110
                path = text  # nvinfer stores the first missing part only
        else:
            continue
        paths[key] = text, real(path)
    here = {key for key, (_, path) in paths.items() if os.path.isfile(path)}  # noqa: PTH113
    found: dict[str, NamedFile] = {}
    for key, (text, path) in paths.items():
        is_here = presence(text, path, expect, complete=_is_complete(key, paths, here, known))
        try:
            changed = os.stat(path).st_mtime_ns if is_here.here else 0  # noqa: PTH116 - text
        except OSError:
            changed = 0  # it has just gone
        meant = None if os.path.exists(path) else known.near(path)  # noqa: PTH110 - text
        found[key] = NamedFile(text, path, is_here, changed, meant)
    return found


def _kind(file: NamedFile) -> str:
    """What a file is by its content, or else by its name; "" if neither tells."""
    kinds = load_toml("nvinfer/files.toml")
    name = re.sub(r"(\.so)[.0-9]+$", r"\1", file.text.lower())
    named = next((kind for kind, row in kinds.items() if name.endswith(tuple(row["suffixes"]))), "")
    if not file.presence.here:
        return named
    try:
        with open(file.path, "rb") as opened:  # noqa: PTH123 - text
            head = opened.read(_HEAD)
    except OSError:
        return named
    if not _CONTROL.search(head) or (named == "onnx" and _IR_VERSION.match(head)):
        return named  # text, as labels are, or what nearly every config comes with
    from convert.export.archive import file_type  # few configs come with other files

    found = file_type(head).name
    seen = next((kind for kind, row in kinds.items() if found in row.get("content", ())), "")
    return named if not seen or (seen == "zip" and named) else seen  # PyTorch and Keras write zip archives


def real(path: str) -> str:
    """`path` as nvinfer resolves it: realpath of what exists, then the rest, without "." and ".."."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # a null character
        return path


def _is_complete(key: str, paths: Mapping[str, tuple[str, str]], here: set[str], known: Models) -> bool:
    """Whether the folder is one that nvinfer runs in, so that the file of `key` must be there, too.

    A clone of a repository often lacks the models, which are downloaded, and what is made from them, or built, on
    the target: engines, calibration tables, libraries. Where a file of nearly the name is there, that was meant.
    """
    if key in here or key == "int8-calib-file":
        return False
    if known.near(paths[key][1]):
        return True
    if key in _MODELS:
        return "model-engine-file" in here
    if here.isdisjoint((*_MODELS, "model-engine-file")):
        return False
    if key != "custom-lib-path":
        return True
    others = set(paths) - {key, "int8-calib-file", "model-engine-file"}
    return others <= set(here) and not _is_built(os.path.dirname(paths[key][1]))  # noqa: PTH120 - text


def _differs_by_a_slip(name: str, other: str) -> bool:
    """Whether `other` is `name` but for a letter, or two that changed places, in a word.

    A digit or a letter that stands alone names another file: yolov5s, yolov8s and yolov8m are three models.
    """
    longest = max(len(name), len(other))
    start = len(os.path.commonprefix([name, other]))  # noqa: RUF071 - by characters
    end = len(os.path.commonprefix([name[start:][::-1], other[start:][::-1]]))  # noqa: RUF071
    if longest - start - end > (2 if sorted(name) == sorted(other) else 1):
        return False
    return any(word.start() <= start <= word.end() for word in re.finditer("[a-z]{4,}", name.lower())) and (
        re.findall("[0-9]", name) == re.findall("[0-9]", other)
    )


def _is_built(folder: str) -> bool:
    """Whether the sources of a library are in `folder`, or in the one above."""
    places = (folder, os.path.dirname(folder))  # noqa: PTH120 - text
    return any(os.path.isfile(os.path.join(each, name)) for each in places for name in _BUILD_FILES)  # noqa: PTH113, PTH118


def _labels(files: Mapping[str, NamedFile]) -> Labels | None:
    file = files.get("labelfile-path")
    if file is None or not file.presence.here:
        return None
    try:
        data = numbers.read_ordinary(file.path, "label file", _MOST_LABELS)
    except InputError:
        return None  # not readable for us; on the target it may be
    # Shown as the user would name it: relative to the working directory, if it is below.
    shown = file.path.removeprefix(os.path.join(os.getcwd(), ""))  # noqa: PTH109, PTH118
    return Labels(shown, data, split_labels(data))


def _model(files: Mapping[str, NamedFile], models: Models) -> tuple[Header | None, str | None, InputError | None]:
    file = files.get("onnx-file")
    if file is None or not file.presence.here:
        return None, None, None
    found = models.header(file.path)
    return (None, file.text, found) if isinstance(found, InputError) else (found, file.text, None)


def _lacking(model: Header | None, files: Mapping[str, NamedFile]) -> tuple[str, ...]:
    """Files with weights that are not beside the model."""
    if model is None or not model.external:
        return ()
    folder = os.path.dirname(files["onnx-file"].path)  # noqa: PTH120
    names = [name for name in model.external[:_MOST_EXTERNAL] if "\0" not in name]
    return tuple(name for name in names if not os.path.isfile(os.path.join(folder, name)))  # noqa: PTH113, PTH118


def _network(values: Mapping[str, Any], model: Header | None) -> tuple[int, int, int] | None:
    """infer-dims, or the first three dimensions of the model's input, as nvinfer takes them."""
    dims: tuple[object, ...] = tuple(values["infer-dims"])
    if not all(dims):
        source = model.inputs[0] if model and model.inputs else None
        dims = source.dims[1:] if source and source.dims else ()
    match dims:
        case (int() as channels, int() as height, int() as width):
            return channels, height, width
    return None


def _engine(values: Mapping[str, Any], model: Header) -> Engine | None:
    """The engine nvinfer would build, as far as the header tells: None if a size is not known."""
    channels, height, width = values["infer-dims"]
    wanted = (height, width, channels) if values.get("network-input-order") == 1 else (channels, height, width)
    inputs = [_binding(value, wanted if all(wanted) else None) for value in model.inputs]
    outputs = [_binding(value, None) for value in model.outputs]
    if None in inputs or None in outputs:
        return None
    return Engine(values["batch-size"], tuple(filter(None, inputs)), tuple(filter(None, outputs)))


def _binding(value: Value, wanted: tuple[int, ...] | None) -> Binding | None:
    """An input or output of the engine; `wanted`: infer-dims, for dimensions that the model leaves open."""
    if not value.dims:
        return None
    dims = value.dims[1:]
    if wanted is not None and len(dims) == len(wanted):
        dims = tuple(have if isinstance(have, int) else want for have, want in zip(dims, wanted, strict=True))
    known = tuple(each for each in dims if isinstance(each, int))
    return Binding(value.name, value.dtype, known) if len(known) == len(dims) else None


class Unreadable(Exception):
    """A file that is no INI or YAML with groups, and where; `dies`: the process ends of it."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None, *, dies: bool = False) -> None:
        super().__init__(message)
        self.message, self.line, self.column, self.dies = message, line, column, dies


def read_groups(data: bytes, form: str, release: str) -> list[tuple[keys.Section, list[keys.Entry]]]:
    """The groups of a file in `form`, "ini" or "yaml", with their entries, as other elements than nvinfer get them.

    Of a key that is repeated in a group, GKeyFile gives the last value each time.

    Raises:
        Unreadable: its parser refuses the file.
    """
    try:
        if form == "ini":
            groups = keyfile.KeyFile.load(data).groups.items()
            return [
                (config.section_of(each), [config.entry_of(name, each.last[pair.key]) for pair in each.pairs])
                for name, each in groups
            ]
        from convert.nvinfer.yaml import YamlError, load, yaml_cpp  # most files are INI: start-up time

        try:
            root = load(data, yaml_cpp(release))
        except YamlError as error:
            raise Unreadable(error.message, error.line, error.column, dies=True) from None
    except keyfile.KeyFileError as error:
        raise Unreadable(error.message, error.line or None, error.column or None) from None
    except numbers.TooMany as error:
        raise Unreadable(str(error)) from None
    if root is None or root.kind != "map":
        raise Unreadable("the file is no map of groups")
    return [
        (keys.Section(keys.as_text(name.text), name.line, name.column), _entries(name, group))
        for name, group in root.items
    ]


def _entries(name: Node, group: Node) -> list[keys.Entry]:
    title = keys.as_text(name.text)
    rows = ((key, value, "null" if value.kind == "null" else keys.as_text(value.text)) for key, value in group.items)
    return [
        keys.Entry(title, keys.as_text(key.text), text, key.line, key.column, value.line, value.column)
        for key, value, text in rows
    ]
