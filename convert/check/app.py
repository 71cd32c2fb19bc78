"""deepstream-app's own config, as far as it decides what its inference engines do, and what its rules are given.

Read in deepstream_config_file_parser.c and deepstream_app_config_parser.c (5.1 to 9.1): a group without `enable=1` is
skipped whole; paths are taken from the folder of the file; what a GIE's group says wins over the nvinfer config.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from convert.check.context import Place, Presence, RuleContext, Setting
from convert.nvinfer import keyfile
from convert.nvinfer.config import entry_of, section_of
from convert.nvinfer.config_state import Entry, Section, as_text
from convert.nvinfer.keyfile import KeyFile, KeyFileError
from convert.nvinfer.keys import version
from convert.nvinfer.numbers import TooMany
from convert.nvinfer.targets import Target, catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convert.findings import Finding, Level, Rule


_INTEGERS: Final = ("batch-size", "interval", "gie-unique-id", "gpu-id", "operate-on-gie-id")
_NVINFER: Final = 0  # plugin-type; 1 is nvinferserver, whose configs are another format


@dataclass(frozen=True, slots=True)
class Trouble:
    """What deepstream-app cannot read: it then does not start."""

    message: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class AppFile:
    """The file.

    Attributes:
        path: as the user named it.
        groups: name -> key -> the entry that counts.
        sections: name -> where the group begins.
        trouble: why it cannot be read at all; then there are no groups.
    """

    path: str
    form: str
    groups: Mapping[str, Mapping[str, Entry]]
    sections: Mapping[str, Section]
    trouble: Trouble | None = None

    def place(self, group: str, key: str | None = None) -> Place:
        """Where a value, or a group, is written."""
        entry = self.groups.get(group, {}).get(key) if key else None
        if entry is not None:
            return Place(self.path, entry.value_line, entry.value_column)
        section = self.sections.get(group)
        return Place(self.path, section.line, section.column) if section else Place(self.path)


@dataclass(frozen=True, slots=True)
class Gie:
    """An inference engine that is switched on.

    Attributes:
        config: the value of config-file, and `path` where that leads; "" where it is not given.
        settings: what the app puts into the element.
        troubles: values that cannot be read.
        is_nvinfer: whether Gst-nvinfer runs it.
    """

    group: str
    primary: bool
    config: str
    path: str
    settings: Mapping[str, Setting]
    troubles: tuple[Trouble, ...]
    is_nvinfer: bool


def read_app(data: bytes, path: str, release: str) -> AppFile:
    """The groups of the file with these bytes, INI or (by its suffix) YAML."""
    since = catalogue().yaml_since.get("deepstream-app")
    if path.endswith((".yml", ".yaml")) and since and version(release) >= version(since):
        return _read_yaml(data, path)
    try:
        file = KeyFile.load(data)
    except KeyFileError as error:
        return AppFile(path, "ini", {}, {}, Trouble(error.message, error.line or None, error.column or None))
    except TooMany as error:
        return AppFile(path, "ini", {}, {}, Trouble(str(error)))
    sections = [section_of(group) for group in file.groups.values()]
    groups = {
        as_text(name): {as_text(key): entry_of(name, pair) for key, pair in group.last.items()}
        for name, group in file.groups.items()
    }
    return AppFile(path, "ini", groups, {section.name: section for section in sections})


def _read_yaml(data: bytes, path: str) -> AppFile:
    from convert.nvinfer.yaml import YamlError, load  # most app configs are INI: start-up time

    try:
        root = load(data)
    except YamlError as error:
        return AppFile(path, "yaml", {}, {}, Trouble(error.message, error.line, error.column))
    except TooMany as error:
        return AppFile(path, "yaml", {}, {}, Trouble(str(error)))
    if root is None or root.kind != "map":
        return AppFile(path, "yaml", {}, {}, Trouble("the file is no map of groups"))
    groups: dict[str, Mapping[str, Entry]] = {}
    sections: dict[str, Section] = {}
    for name, group in root.items:
        title = as_text(name.text)
        sections.setdefault(title, Section(title, name.line, name.column))
        found: dict[str, Entry] = {}
        for key, value in group.items:
            entry = Entry(title, as_text(key.text), as_text(value.text), key.line, key.column, value.line, value.column)
            found[entry.key] = entry
        groups.setdefault(title, found)
    return AppFile(path, "yaml", groups, sections)


def gies(app: AppFile) -> tuple[Gie, ...]:
    """The engines that are switched on, the primary one first."""
    names = [name for name in app.groups if name == "primary-gie" or name.startswith("secondary-gie")]
    enabled = [name for name in names if number(app, name, "enable", 0) or _unreadable(app, name, "enable")]
    return tuple(_gie(app, name) for name in sorted(enabled, key=lambda name: (name != "primary-gie", name)))


def _gie(app: AppFile, name: str) -> Gie:
    troubles = [trouble for key in ("enable", "plugin-type", *_INTEGERS) if (trouble := _unreadable(app, name, key))]
    settings: dict[str, Setting] = {}
    for key in _INTEGERS:
        if (value := number(app, name, key, None)) is not None:
            settings[key] = Setting(value, app.place(name, key))
    primary = name == "primary-gie"
    settings["process-mode"] = Setting(1 if primary else 2, app.place(name))
    try:
        if (ids := _ids(app, name)) is not None:
            settings["operate-on-class-ids"] = Setting(ids, app.place(name, "operate-on-class-ids"))
    except (KeyFileError, ValueError):
        entry = app.groups[name]["operate-on-class-ids"]
        troubles.append(
            Trouble(f"operate-on-class-ids: {entry.text!r} is no list", entry.value_line, entry.value_column)
        )
    if engine := _string(app, name, "model-engine-file"):
        settings["model-engine-file"] = Setting(_absolute(app, engine), app.place(name, "model-engine-file"))
    config = _string(app, name, "config-file")
    return Gie(
        group=name,
        primary=primary,
        config=config,
        path=_absolute(app, config) if config else "",
        settings=settings,
        troubles=tuple(troubles),
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


def _unreadable(app: AppFile, group: str, key: str) -> Trouble | None:
    entry = app.groups[group].get(key)
    if entry is None:
        return None
    try:
        _integer(app, entry)
    except (KeyFileError, ValueError):
        return Trouble(f"[{group}] {key}: {entry.text[:80]!r} is not an integer", entry.value_line, entry.value_column)
    return None


def _integer(app: AppFile, entry: Entry) -> int:
    if app.form == "ini":
        return keyfile.as_integer(entry.text.encode())
    if not re.fullmatch(r"[-+]?[0-9]{1,10}", entry.text):
        raise ValueError(entry.text)
    return int(entry.text)


def _ids(app: AppFile, group: str) -> list[int] | None:
    entry = app.groups[group].get("operate-on-class-ids")
    if entry is None:
        return None
    if app.form == "ini":
        found: tuple[Any, ...] = keyfile.as_integer_list(entry.text.encode())
    else:
        found = tuple(int(each) for each in entry.text.split(";"))
    return sorted(set(found))


def _string(app: AppFile, group: str, key: str) -> str:
    entry = app.groups[group].get(key)
    if entry is None or app.form != "ini":
        return entry.text if entry else ""
    try:
        return as_text(keyfile.as_string(entry.text.encode()))
    except KeyFileError:
        return entry.text


def _absolute(app: AppFile, text: str) -> str:
    """A path of the file as the user would name it."""
    text = text.removeprefix("file://")
    return os.path.normpath(os.path.join(os.path.dirname(app.path), text))  # noqa: PTH118, PTH120 - as the user named it


@dataclass(frozen=True, slots=True)
class AppEngine:
    """An engine of the app; `context` is None if its config is not here or is not nvinfer's."""

    gie: Gie
    context: RuleContext | None
    presence: Presence

    @property
    def id(self) -> int | None:
        """gie-unique-id; None: not known."""
        if setting := self.gie.settings.get("gie-unique-id"):
            return int(setting.value)
        return int(self.context.value("gie-unique-id")) or None if self.context and self.context.values else None


@dataclass(frozen=True, slots=True)
class AppContext:
    """What a rule on apps gets: the config and its engines, the primary one first."""

    file: AppFile
    engines: tuple[AppEngine, ...]
    target: Target

    def found(
        self, rule: Rule, message: str, place: Place, hint: str | None = None, level: Level | None = None
    ) -> Finding:
        """A finding at `place`."""
        return rule.found(message, path=place.path, line=place.line, column=place.column, hint=hint, level=level)

    def at(self, engine: AppEngine, key: str) -> Place:
        """Where an engine's setting is written: in the app's config, in its own, or nowhere."""
        if key in engine.gie.settings:
            return engine.gie.settings[key].place
        if engine.context and engine.context.given(key):
            return engine.context.place(key)
        return self.file.place(engine.gie.group)

    def sources(self, engine: AppEngine) -> list[AppEngine] | None:
        """The engines whose objects `engine` takes; None: not known."""
        if engine.context is None or not engine.context.values:
            return None
        wanted = engine.context.value("operate-on-gie-id")
        others = [each for each in self.engines if each is not engine]
        if wanted == -1:
            return others
        if any(each.id is None for each in others):
            return None
        return [each for each in others if each.id == wanted]
