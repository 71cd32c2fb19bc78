"""Whose file it is: Gst-nvinfer's config, deepstream-app's, a script, or one of another plugin.

By its groups and keys, not by its name: `configs/nvinfer/other-plugins.toml` lists those of the other plugins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from convert.files import TableReader, configs, load_toml

CONFIG, APP, SCRIPT, OTHER = "nvinfer", "deepstream-app", "script", "other"
ANALYTICS, TRACKER = "nvdsanalytics", "nvtracker"
SCRIPTS: Final = (".sh", ".bash")

_TABLE: Final = "nvinfer/other-plugins.toml"
_HEAD: Final = 2**16  # bytes that show what a file is
_YAML: Final = (".yml", ".yaml")
_PROPERTY = re.compile(rb"^(?:\xef\xbb\xbf)?[ \t]*\[property\]", re.MULTILINE)
_PROPERTY_MAP = re.compile(rb"^property:", re.MULTILINE)
_CONFIG_FILE = re.compile(rb"^[ \t]*config-file[ \t]*[=:]", re.MULTILINE)
_TRTEXEC = re.compile(rb"(?<![\w.-])trtexec(?![\w.-])")
_INI = re.compile(rb"^(?:\xef\xbb\xbf)?[ \t]*(?:\[([^\]\r\n]+)\]|([\w-]+)[ \t]*=)", re.MULTILINE)
_IN_YAML = re.compile(rb"^(?:([A-Za-z][\w-]*)|[ \t]+(?:-[ \t]+)?([A-Za-z][\w-]*))[ \t]*:(?=[ \t\r\n]|$)", re.MULTILINE)
_IN_BRACES = re.compile(rb"^(?:([a-z]\w*)|[ \t]+([a-z]\w*))[ \t]*(?:[{\[]|:)", re.MULTILINE)
_DIGITS = re.compile(r"(?<![0-9])[0-9]+$")


class Kind(NamedTuple):
    """One of the names above; `plugin` is whose an OTHER is."""

    name: str
    plugin: str | None = None


@dataclass(frozen=True, slots=True)
class _Plugin:
    """A row of the table, which says what the fields mean."""

    name: str
    forms: tuple[str, ...]
    groups: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    least: int = 1
    both: bool = False
    only: bool = False
    app: bool = False
    needs: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    judged: str | None = None

    def found_in(self, outline: _Outline) -> int:
        """How many of its groups and keys a file has; 0: the file is none of its."""
        groups, keys = outline.groups.intersection(self.groups), outline.keys.intersection(self.keys)
        count = len(groups) + len(keys)
        if (
            outline.form not in self.forms
            or count < self.least
            or (self.both and not (groups and keys))
            or (self.only and count < len(outline.groups) + len(outline.keys))
            or not outline.keys.issuperset(self.needs)
            or not outline.groups.isdisjoint(self.without)
        ):
            return 0
        return count


class _Outline(NamedTuple):
    """The form of a file, and the names in it."""

    form: str
    groups: frozenset[str]
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Table:
    plugin: tuple[_Plugin, ...]
    nvinfer: tuple[str, ...]
    app: tuple[str, ...]
    documents: dict[str, str]
    project_files: dict[str, str]


@cache
def _table() -> _Table:
    return TableReader(configs() / _TABLE).row(_Table, load_toml(_TABLE), _TABLE)


def _outline(path: str, data: bytes) -> _Outline | None:
    """None: it has no groups."""
    head = data[:_HEAD]
    if path.lower().endswith(_YAML):
        form, pattern = "yaml", _IN_YAML
    elif b"[" in head and _INI.search(head):
        form, pattern = "ini", _INI
    elif b"{" in head:
        form, pattern = "braces", _IN_BRACES
    else:
        return None
    groups: set[str] = set()
    keys: set[str] = set()
    for group, key in pattern.findall(head):
        (groups if group else keys).add(_DIGITS.sub("#", (group or key).decode("utf-8", "replace")))
    return _Outline(form, frozenset(groups), frozenset(keys))


def _document(path: str) -> str | None:
    """What a file is that no program takes for a config, by its name."""
    name, suffixes = Path(path), _table().documents
    return suffixes.get(name.suffix.lower()) or _table().project_files.get(name.stem.lower())


def kind_of(path: str, data: bytes) -> Kind | None:
    """What the file is, by its contents; None: none of these."""
    if path.lower().endswith(SCRIPTS) or data.startswith(b"#!"):
        return Kind(SCRIPT) if _TRTEXEC.search(data) else None
    if _document(path):
        return None
    outline = _outline(path, data)
    if outline is None:
        return Kind(CONFIG) if _PROPERTY.search(data) else None
    return _kind_by_names(outline, data)


def _kind_by_names(outline: _Outline, data: bytes) -> Kind | None:
    table = _table()
    has_property = _PROPERTY.search(data) or (outline.form == "yaml" and _PROPERTY_MAP.search(data))
    if has_property and not outline.keys.isdisjoint(table.nvinfer):
        return Kind(CONFIG)
    app_groups = len(outline.groups.intersection(table.app))
    is_app = not has_property and (app_groups > 1 or (app_groups == 1 and _CONFIG_FILE.search(data)))
    counts = ((row.found_in(outline), row) for row in table.plugin if row.app or not is_app)
    count, plugin = max(counts, key=lambda each: each[0])
    if count:
        return Kind(plugin.judged) if plugin.judged else Kind(OTHER, plugin.name)
    if has_property:
        return Kind(CONFIG)
    return Kind(APP) if is_app else None


def other_text(path: str, data: bytes) -> str | None:
    """What a text is that is of no kind above, in a few words; None: it may be meant as a config."""
    if words := _document(path):
        return words
    start = data[:_HEAD].lstrip()
    if start[:1] == b"<":
        return "XML or HTML"
    if start[:1] == b"{" and not path.lower().endswith(_YAML):
        import json  # few files look like it

        try:
            json.loads(data)
        except (ValueError, RecursionError):
            return None
        return "JSON"
    outline = _outline(path, data)
    return "protobuf's text" if outline and outline.form == "braces" and outline.groups else None
