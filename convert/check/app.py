"""deepstream-app's own config: its groups, sources and inference engines, and what the rules on it are given.

Read in deepstream_config_file_parser.c and deepstream_app_config_parser.c (5.1 to 9.1): a source, engine or sink
without `enable=1` is skipped whole; paths are taken from the folder of the file; what a GIE's group says wins over the
nvinfer config. In YAML the sources are lines of a CSV file. `configs/deepstream-app/keys.toml` has groups and keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from convert.check import context as checking
from convert.check import loading
from convert.check.analytics import READERS, AnalyticsFile, Fault, known_groups
from convert.errors import InputError
from convert.files import load_toml
from convert.nvinfer import keyfile
from convert.nvinfer.config import MOST_BYTES
from convert.nvinfer.keyfile import KeyFileError
from convert.nvinfer.keys import Entry, Section, as_text, version
from convert.nvinfer.numbers import read_ordinary
from convert.nvinfer.targets import Target, between, catalogue

if TYPE_CHECKING:
    from convert.findings import Finding, Level, Rule


FROM_FOLDER: Final = "# From this file's folder."  # convert.emit.streams writes it
_INTEGERS: Final = ("batch-size", "interval", "gie-unique-id", "gpu-id", "operate-on-gie-id")
_MOST_CLASSES: Final = 100_000  # more are a mistake, and take memory
_NVINFER: Final = 0  # plugin-type; 1 is nvinferserver, whose configs are another format


@dataclass(frozen=True, slots=True)
class AppFile:
    """The file.

    Attributes:
        path: as the user named it.
        form: "ini", "yaml", or "csv" for the sources of a YAML file.
        groups: name -> key -> the entry that counts.
        sections: name -> where the group begins.
        trouble: why it cannot be read at all; then there are no groups.
        csv: the file with the sources, as groups source0, source1, ...; None: there is none, or it is not here.
        knows_folder: whether a comment says that the source's path starts in the file's folder, as our bundles do.
    """

    path: str
    form: str
    groups: Mapping[str, Mapping[str, Entry]]
    sections: Mapping[str, Section]
    trouble: Fault | None = None
    csv: AppFile | None = None
    knows_folder: bool = False

    def line(self, key: str, value: object) -> str:
        """A line of this file, as hints write it."""
        return {"ini": f"{key}={value}", "yaml": f"{key}: {value}"}.get(self.form, f"{value} as {key}")

    def place(self, group: str, key: str | None = None) -> checking.Place:
        """Where a value, or a group, is written."""
        entry = self.groups.get(group, {}).get(key) if key else None
        if entry is not None:
            return checking.Place(self.path, entry.value_line, entry.value_column)
        section = self.sections.get(group)
        return checking.Place(self.path, section.line, section.column) if section else checking.Place(self.path)


@dataclass(frozen=True, slots=True)
class Gie:
    """An inference engine that is switched on.

    Attributes:
        config: the value of config-file, and `path` where that leads; "" where it is not given.
        settings: what the app puts into the element.
        is_nvinfer: whether Gst-nvinfer runs it.
    """

    group: str
    primary: bool
    config: str
    path: str
    settings: Mapping[str, checking.Setting]
    is_nvinfer: bool

    @property
    def app_id(self) -> int:
        """The gie-unique-id deepstream-app knows it by: that of its own file; the nvinfer config's does not count."""
        setting = self.settings.get("gie-unique-id")
        return int(setting.value) if setting else 0


@dataclass(frozen=True, slots=True)
class AppGroup:
    """What deepstream-app reads in a group; the top of `configs/deepstream-app/keys.toml` explains the fields."""

    types: dict[str, tuple[str, ...]]
    numbered: bool = False
    gated: bool = False
    since: str | None = None
    formats: tuple[str, ...] = ("ini", "yaml")
    keys_since: dict[str, tuple[str, ...]] = field(default_factory=dict)
    keys_until: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ini_only: tuple[str, ...] = ()
    yaml_only: tuple[str, ...] = ()
    instead: dict[str, str] = field(default_factory=dict)

    def type_of(self, key: str) -> str | None:
        """One of integer, boolean, number, string, integers, numbers; None: no release has the key."""
        name = key.rstrip("0123456789") if key.startswith("bbox-") else key  # bbox-border-color0: of class 0
        return next((kind for kind, names in self.types.items() if name in names), None)

    def span(self, key: str) -> tuple[str | None, str | None]:
        """The first and the last release that read the key; None: no limit."""
        first = next((release for release, names in self.keys_since.items() if key in names), None)
        return first, next((release for release, names in self.keys_until.items() if key in names), None)

    def reads(self, key: str, form: str) -> bool:
        """Whether the parser of that form knows the key (in some release)."""
        return key not in (self.yaml_only if form == "ini" else self.ini_only)


@cache
def app_groups() -> Mapping[str, AppGroup]:
    """Every group of keys.toml, by its name without a number."""
    return known_groups(AppGroup, "deepstream-app/keys.toml")


def group_named(name: str) -> AppGroup | None:
    """The row of keys.toml for a group of a file; None: deepstream-app has no such group."""
    plain = name.rstrip("0123456789")
    group = app_groups().get(plain)
    return group if group and (plain == name or group.numbered) else None


def read_app(data: bytes, path: str, release: str) -> AppFile:
    """The groups of the file with these bytes, INI or (by its suffix) YAML."""
    since, is_yaml = catalogue().yaml_since["deepstream-app"], path.endswith((".yml", ".yaml"))
    form = "yaml" if is_yaml and version(release) >= version(since) else "ini"
    try:
        found = loading.read_groups(data, form, release)
    except loading.Unreadable as error:
        trouble = Fault(error.message, error.line, error.column)
        if is_yaml and form == "ini":
            trouble = Fault(f"deepstream-app of {release} reads no YAML; since {since}")
        return AppFile(path, form, {}, {}, trouble)
    groups: dict[str, Mapping[str, Entry]] = {}
    sections: dict[str, Section] = {}
    for section, entries in found:
        sections.setdefault(section.name, section)
        texts = ((each, "" if form == "yaml" and each.text == "null" else each.text) for each in entries)
        groups.setdefault(section.name, {each.key: each._replace(text=text) for each, text in texts})
    app = AppFile(path, form, groups, sections, knows_folder=FROM_FOLDER.encode() in data)
    listed = text_of(app, "source", "csv-file-path") if form == "yaml" else ""
    return replace(app, csv=_read_csv(absolute(app, listed))) if listed else app


def _read_csv(path: str) -> AppFile | None:
    """The sources of a YAML config: the first line that is no comment names the keys; blanks and quotes belong to the
    values (split_csv_entries). None: the file cannot be read."""
    try:
        lines = read_ordinary(path, "list of sources", MOST_BYTES).decode("utf-8", "replace").split("\n")
    except InputError:
        return None
    groups: dict[str, Mapping[str, Entry]] = {}
    sections: dict[str, Section] = {}
    header: list[str] | None = None
    for number, text in enumerate(lines, 1):
        pieces = text.split(",")
        if header is None:
            header = pieces if text.strip(" \t") and not text.lstrip(" \t").startswith("#") else None
        elif text:
            name = f"source{len(groups)}"
            sections[name] = Section(name, number, 1)
            groups[name] = {
                key: Entry(name, key, piece, number, 1, number, 1) for key, piece in zip(header, pieces, strict=False)
            }
    return AppFile(path, "csv", groups, sections)


def is_on(app: AppFile, group: str) -> bool:
    """Whether a group is there and switched on. An `enable` that is no number switches it off (INI)."""
    return bool(number(app, group, "enable", 0))


def sources(app: AppFile) -> tuple[tuple[AppFile, str], ...]:
    """The sources that are switched on: the file they are in (that, or its CSV), and their groups' names."""
    file = app.csv or app
    if app.form == "yaml" and app.csv is None:
        return ()
    return tuple((file, name) for name in file.groups if re.fullmatch("source[0-9]+", name) and is_on(file, name))


def stream_count(app: AppFile) -> int | None:
    """How many streams the sources that are switched on give; None: not known."""
    if "source-list" in app.groups or (app.form == "yaml" and app.csv is None):
        return None
    several = (
        (number(file, name, "type", 0), number(file, name, "num-sources", 1) or 1) for file, name in sources(app)
    )
    return sum(max(1, count) if kind == MULTIPLE else 1 for kind, count in several)


MULTIPLE: Final = 3
"""The type of [sourceN] whose URI is a pattern for num-sources streams."""


def gies(app: AppFile) -> tuple[Gie, ...]:
    """The engines that are switched on, the primary one first."""
    names = [name for name in app.groups if name == "primary-gie" or name.startswith("secondary-gie")]
    enabled = [name for name in names if is_on(app, name)]
    return tuple(_gie(app, name) for name in sorted(enabled, key=lambda name: (name != "primary-gie", name)))


_CONFIG_KEYS: Final = {"tracker": "ll-config-file", "nvds-analytics": "config-file"}


def named_configs(app: AppFile) -> Iterator[tuple[str, str, str, str]]:
    """Group, key, text and path of the configs that groups which are switched on name, engines first."""
    for gie in gies(app):
        yield gie.group, "config-file", gie.config, gie.path
    for group, key in _CONFIG_KEYS.items():
        if is_on(app, group):
            for text in text_of(app, group, key).split(";"):
                yield group, key, text, absolute(app, text) if text else ""


def _gie(app: AppFile, name: str) -> Gie:
    settings: dict[str, checking.Setting] = {}
    for key in _INTEGERS:
        if (value := number(app, name, key, None)) is not None:
            settings[key] = checking.Setting(value, app.place(name, key))
    primary = name == "primary-gie"
    settings["process-mode"] = checking.Setting(1 if primary else 2, app.place(name))
    with suppress(KeyFileError, ValueError):
        if (ids := _ids(app, name)) is not None:
            settings["operate-on-class-ids"] = checking.Setting(ids, app.place(name, "operate-on-class-ids"))
    if engine := text_of(app, name, "model-engine-file"):
        settings["model-engine-file"] = checking.Setting(absolute(app, engine), app.place(name, "model-engine-file"))
    config = text_of(app, name, "config-file")
    return Gie(
        group=name,
        primary=primary,
        config=config,
        path=absolute(app, config) if config else "",
        settings=settings,
        is_nvinfer=number(app, name, "plugin-type", _NVINFER) == _NVINFER,
    )


def number(app: AppFile, group: str, key: str, default: int | None) -> int | None:
    """An integer; `default` where it is not given or cannot be read."""
    entry = app.groups.get(group, {}).get(key)
    if entry is None:
        return default
    try:
        return _integer(app, entry)
    except (KeyFileError, ValueError):
        return default


def troubles(app: AppFile, release: str) -> Iterator[Fault]:
    """What deepstream-app cannot read, so that it does not start: the file, or values of the wrong type."""
    if app.trouble:
        yield app.trouble
    form = _form(app)
    for name, entries in app.groups.items():
        group = group_named(name)
        if group is None or form not in group.formats:
            continue
        for key, entry in entries.items():
            if group.gated and app.form != "csv" and not is_on(app, name) and (app.form == "ini" or key != "enable"):
                continue
            kind = group.type_of(key)
            if kind is None or not group.reads(key, form) or not between(release, *group.span(key)):
                continue
            try:
                _require(app, entry, kind)
            except (KeyFileError, ValueError):
                words = load_toml("nvinfer/advice.toml")["other-type"]["deepstream-app"]
                wrong = words[kind if app.form == "ini" or kind != "boolean" else "integer"]
                message = f"[{name}] {key}: {entry.text[:80]!r} is {wrong}"
                yield Fault(message, entry.value_line, entry.value_column, entry, path=app.path)
    if app.csv:
        yield from troubles(app.csv, release)


def _form(app: AppFile) -> str:
    """Which of deepstream-app's two parsers reads a file."""
    return "ini" if app.form == "ini" else "yaml"


def _require(app: AppFile, entry: Entry, kind: str) -> None:
    """Fail if the app cannot read a value as `kind`; raises KeyFileError or ValueError."""
    if app.form == "ini":
        READERS[kind](entry.text.encode())
    elif kind in {"integer", "boolean"}:
        _integer(app, entry)
    elif kind == "integers":
        _ids(app, entry.group)


def _integer(app: AppFile, entry: Entry) -> int:
    if app.form == "ini":
        return keyfile.as_integer(entry.text.encode())
    # The lines of a CSV file go through C++'s stoi, which passes over blanks in front and text behind.
    found = re.match(r"\s*([-+]?[0-9]{1,10})" if app.form == "csv" else r"([-+]?[0-9]{1,10})\Z", entry.text)
    if found is None:
        raise ValueError(entry.text)
    return int(found[1])


def _ids(app: AppFile, group: str) -> list[int] | None:
    entry = app.groups[group].get("operate-on-class-ids")
    if entry is None:
        return None
    if app.form == "ini":
        found: tuple[Any, ...] = keyfile.as_integer_list(entry.text.encode())
    else:
        found = tuple(int(each) for each in entry.text.split(";"))
    return sorted(set(found))


def text_of(app: AppFile, group: str, key: str) -> str:
    """A text; "" where it is not given."""
    entry = app.groups.get(group, {}).get(key)
    if entry is None or app.form != "ini":
        return entry.text if entry else ""
    try:
        return as_text(keyfile.as_string(entry.text.encode()))
    except KeyFileError:
        return entry.text


def absolute(app: AppFile, text: str) -> str:
    """A path of the file as the user would name it."""
    text = text.removeprefix("file://")
    return os.path.normpath(os.path.join(os.path.dirname(app.path), text))  # noqa: PTH118, PTH120 - as the user named it


@dataclass(frozen=True, slots=True)
class AppEngine:
    """An engine of the app; `context` is None if its config is not here or is not nvinfer's."""

    gie: Gie
    context: checking.RuleContext | None

    @property
    def classes(self) -> frozenset[int] | None:
        """Class ids of its objects; None: not known."""
        if self.known("network-type") == checking.CLASSIFIER:
            return frozenset({-1}) if self.gie.primary else frozenset()
        count, dropped = self.known("num-detected-classes"), self.known("filter-out-class-ids")
        if count is None or dropped is None or not 0 < count <= _MOST_CLASSES:
            return None
        return frozenset(range(count)) - frozenset(dropped)

    @property
    def id(self) -> int | None:
        """gie-unique-id; None: not known."""
        if setting := self.gie.settings.get("gie-unique-id"):
            return int(setting.value)
        return self.known("gie-unique-id") or None

    def known(self, key: str) -> Any:
        """The value of `key` of [property]; None: its config is not here, or that value, or all of it, is refused."""
        with suppress(checking.Unclear):
            return self.context.value(key, None) if self.context and self.context.values else None
        return None


class Named(NamedTuple):
    """A config that a group which is switched on names: the text of the value, "" if there is none, and its path."""

    group: str
    key: str
    text: str
    path: str
    presence: checking.Presence


@dataclass(frozen=True, slots=True)
class AppContext:
    """What a rule on apps gets.

    Attributes:
        engines: those that are switched on, the primary one first.
        named: the configs of engines, tracker and analytics.
        analytics: that of Gst-nvdsanalytics; None: it is off, or its config is not here.
    """

    file: AppFile
    engines: tuple[AppEngine, ...]
    target: Target
    named: tuple[Named, ...] = ()
    analytics: AnalyticsFile | None = None

    @property
    def secondary(self) -> list[AppEngine]:
        """The engines behind another one."""
        return [each for each in self.engines if not each.gie.primary]

    def found(
        self, rule: Rule, message: str, place: checking.Place, hint: str | None = None, level: Level | None = None
    ) -> Finding:
        """A finding at `place`."""
        return rule.found(message, path=place.path, line=place.line, column=place.column, hint=hint, level=level)

    def is_here(self, path: str) -> bool:
        """Whether a file is on this machine."""
        return os.path.isfile(path)  # noqa: PTH113 - text

    def at(self, engine: AppEngine, key: str) -> checking.Place:
        """Where an engine's setting is written: in the app's config, in its own, or nowhere."""
        if key in engine.gie.settings:
            return engine.gie.settings[key].place
        if engine.context and engine.context.given(key):
            return engine.context.place(key)
        return self.file.place(engine.gie.group)

    def line(self, engine: AppEngine, key: str, value: object) -> str:
        """A line that gives `key` a value, in the syntax of the file that `at` leads to."""
        context = None if key in engine.gie.settings else engine.context
        is_yaml = (context.parsed if context and context.given(key) else self.file).form == "yaml"
        return f"{key}: {value}" if is_yaml else f"{key}={value}"

    def parent(self, engine: AppEngine) -> AppEngine | None:
        """The engine behind which deepstream-app puts a secondary one; None: none, and it leaves the engine out.

        Only what the app's own file says counts: an id that is not given there is 0 (should_create_secondary_gie).
        """
        if not self.engines or not self.engines[0].gie.primary:
            return None
        setting = engine.gie.settings.get("operate-on-gie-id")
        wanted = int(setting.value) if setting else 0
        front = next((each for each in self.engines if each.gie.app_id == wanted), None)
        if front is None or front is engine or front.gie.primary:
            return None if front is engine else front
        rest = replace(self, engines=tuple(each for each in self.engines if each is not engine))
        return front if rest.parent(front) else None

    def sources(self, engine: AppEngine) -> list[AppEngine] | None:
        """The engines whose objects `engine` takes; None: not known."""
        wanted = engine.known("operate-on-gie-id")
        if wanted is None:
            return None
        others = [each for each in self.engines if each is not engine]
        if wanted == -1:
            return others
        if any(each.id is None for each in others):
            return None
        return [each for each in others if each.id == wanted]


on_app: checking.Checks[AppContext] = checking.Checks()
"""Rules about configs of deepstream-app."""
