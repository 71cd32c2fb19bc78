"""NVI092 to NVI097 and NVI106, with NVI056 and NVI091: what deepstream-app's config says, and its engines together.

NVI098: trtexec's command lines in scripts, for the TensorRT of the target.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from convert.check.app import AppContext, app_groups, group_named, is_on, number, on_app, troubles
from convert.check.context import SDK, Place
from convert.check.rules import outputs, syntax
from convert.check.rules.engine import ELSEWHERE, absence
from convert.check.rules.keys import closest
from convert.files import load_toml
from convert.findings import Finding, Level, Rule
from convert.nvinfer import keys
from convert.nvinfer.targets import Target, between, catalogue, sinks, trtexec_accepts

if TYPE_CHECKING:
    from convert.check.app import AppEngine, AppFile, Named

_MOST_SECONDARY: Final = 16
_ALIKE: Final = 0.85  # one letter of eight is another


@on_app(outputs.own_objects)
def own_objects(app: AppContext) -> Iterator[Finding]:
    """A secondary engine that deepstream-app leaves out, or whose objects nobody makes."""
    on = bool(app.engines) and app.engines[0].gie.primary
    for engine in app.secondary:
        name, place = engine.gie.group, app.file.place(engine.gie.group, "operate-on-gie-id")
        others = [each for each in app.engines if each is not engine]
        if app.parent(engine) is None:
            given = engine.gie.settings.get("operate-on-gie-id")
            hint = f"write {app.file.line('operate-on-gie-id', app.engines[0].gie.app_id)}"
            if not on:
                what, hint = "without [primary-gie] deepstream-app makes no secondary engine", _SWITCH_ON
            elif given:
                what = f"no other engine in front has the id {given.value} in this file"
                hint += f"; the others are {', '.join(str(each.gie.app_id) for each in others)}"
            else:
                what = "operate-on-gie-id is not given here: deepstream-app leaves the engine out"
            yield app.found(own_objects, f"[{name}]: {what}", place, hint)
        elif app.sources(engine) == [] and (wanted := engine.known("operate-on-gie-id")) != engine.id:
            message = f"[{name}]: no other engine's results have the id {wanted}"
            hint = f"write {app.line(engine, 'operate-on-gie-id', others[0].id)}"
            hint += f"; the others are {', '.join(str(each.id) for each in others)}"
            yield app.found(own_objects, message, app.at(engine, "operate-on-gie-id"), hint)


_SWITCH_ON: Final = "switch [primary-gie] on"


@on_app("NVI092")
def class_ids(app: AppContext) -> Iterator[Finding]:
    """Classes the engine in front does not have."""
    for engine in app.secondary:
        wanted, sources = set(engine.known("operate-on-class-ids") or ()), app.sources(engine)
        known = [each.classes for each in sources or ()]
        if not wanted or not sources or any(each is None for each in known):
            continue
        have = {number for each in known for number in each or ()}
        if never := ", ".join(map(str, sorted(wanted - have))):
            level = Level.WARNING if wanted & have else Level.ERROR
            message = f"[{engine.gie.group}]: class {never} never comes from the engine in front"
            hint = f"write {app.line(engine, 'operate-on-class-ids', ';'.join(map(str, sorted(wanted & have))))}"
            hint = f"{hint if wanted & have else 'remove it'}; {_classes_hint(have)}"
            yield app.found(class_ids, message, app.at(engine, "operate-on-class-ids"), hint, level)


@on_app("NVI093")
def sizes(app: AppContext) -> Iterator[Finding]:
    """Minimum sizes above what there can be."""
    for engine in app.secondary:
        for side, short in (("width", "w"), ("height", "h")):
            low = engine.known(f"input-object-min-{side}") or 0
            frame = number(app.file, "streammux", side, None)
            limits = [frame] if frame else []
            largest = [_largest(each, f"detected-max-{short}") for each in app.sources(engine) or ()]
            limits += [max(largest)] if largest and all(largest) else []
            if limits and low > min(limits):
                key = f"input-object-min-{side}"
                message = f"[{engine.gie.group}]: {key} is {low}, but no object is larger than {min(limits)} pixels"
                yield app.found(sizes, message, app.at(engine, key))


@on_app("NVI094")
def same_id(app: AppContext) -> Iterator[Finding]:
    """gie-unique-id twice: as the app compares it, not given is 0; as the results are marked, the nvinfer config's."""
    by_app: dict[int, AppEngine] = {}
    by_results: dict[int, AppEngine] = {}
    for engine in app.engines:
        place, name = app.at(engine, "gie-unique-id"), engine.gie.group
        other = by_app.setdefault(engine.gie.app_id, engine)
        free = 1 + max([0, *(each.gie.app_id for each in app.engines), *(each.id or 0 for each in app.engines)])
        hint = f"write {app.line(engine, 'gie-unique-id', free)}"
        first = by_results.setdefault(engine.id, engine) if engine.id is not None else engine
        if other is not engine:
            given = f"has the gie-unique-id {engine.gie.app_id}" if engine.gie.app_id else "has no gie-unique-id here"
            if not engine.gie.app_id:
                place, hint = app.file.place(name), f"write {app.file.line('gie-unique-id', free)}"
            yield app.found(same_id, f"[{name}] {given}, like [{other.gie.group}]", place, hint)
        elif first is not engine:
            message = f"[{name}] has the gie-unique-id {engine.id}, like [{first.gie.group}] by its own config"
            yield app.found(same_id, message, place, hint, Level.WARNING)


@on_app("NVI095")
def no_config(app: AppContext) -> Iterator[Finding]:
    """config-file missing, or leading nowhere."""
    elsewhere: list[Named] = []
    for named in app.named:
        place = app.file.place(named.group, named.key)
        if not named.text:
            if named.key == "config-file":
                yield app.found(no_config, f"[{named.group}] is switched on, but has no config-file", place)
        elif named.presence.sure and not named.presence.here:
            message = f"{named.key}: {syntax.quoted(named.text)} {absence(named.text, named.path)}"
            hint = f"it is looked for at {os.path.abspath(named.path)}"  # noqa: PTH100
            yield app.found(no_config, message, place, hint)
        elif not named.presence.here and named.group != "tracker" and not named.text.startswith(SDK):
            elsewhere.append(named)
    if elsewhere:
        names = ", ".join(syntax.quoted(named.text) for named in elsewhere)
        message = f"not on this machine, and so not checked: config-file {names}"
        place = app.file.place(elsewhere[0].group, "config-file")
        yield app.found(no_config, message, place, ELSEWHERE, Level.NOTE)


@on_app("NVI096")
def app_refused(app: AppContext) -> Iterator[Finding]:
    """The file, or a value of an engine."""
    for trouble in troubles(app.file, app.target.deepstream):
        place = Place(trouble.path or app.file.path, trouble.line, trouble.column)
        value, words = syntax.value_and_comment(trouble.entry.text, "") if trouble.entry else ("", "")
        hint = f"write {app.file.line(trouble.entry.key, value)}" if trouble.entry and words else None
        yield app.found(app_refused, trouble.message, place, hint)
    if len(app.secondary) > _MOST_SECONDARY:
        message = f"there are {len(app.secondary)} secondary engines; deepstream-app takes {_MOST_SECONDARY}"
        yield app.found(app_refused, message, app.file.place(app.secondary[_MOST_SECONDARY].gie.group))


@on_app("NVI097")
def app_release(app: AppContext) -> Iterator[Finding]:
    """Keys, groups and sinks of other releases, and of the other form."""
    release, form = app.target.deepstream, app.file.form
    for name, entries in app.file.groups.items():
        group = group_named(name)
        if group is None:
            continue
        if form not in group.formats or not between(release, group.since, None):
            when = _when(group.since, None, release) if form in group.formats else "is not read from YAML"
            yield app.found(app_release, f"[{name}] {when}", app.file.place(name))
            continue
        for key, entry in entries.items():
            since, until = group.span(key)
            if group.type_of(key) is None:
                continue
            level, place = None, Place(app.file.path, entry.line, entry.column)
            if not between(release, since, until):
                what = _when(since, until, release)
                # Without a key that took its place nothing is lost by one that is not read any more.
                level = None if between(release, None, until) or key in group.instead else Level.NOTE
            elif not group.reads(key, form):
                what, level = f"is not read from {'INI' if form == 'ini' else 'YAML'} files", Level.NOTE
            else:
                continue
            hint = "remove it" if since is None else f"remove it, or use DeepStream {since}"
            if key in group.instead:
                hint = f"write {app.file.line(group.instead[key], entry.text)}"
            yield app.found(app_release, f"[{name}] {key} {what}", place, hint, level)
    yield from _sinks(app)


def _when(since: str | None, until: str | None, release: str) -> str:
    when = f"since DeepStream {since}" if since and not between(release, since, None) else f"up to DeepStream {until}"
    return f"is known {when}; this is for {release}"


def _sinks(app: AppContext) -> Iterator[Finding]:
    there = {sink.type for sink in sinks(app.target)}
    for group in app.file.groups:
        kind = number(app.file, group, "type", None) if re.fullmatch(r"sink[0-9]+", group) else None
        if kind is not None and kind not in there and number(app.file, group, "enable", 0):
            place = f"DeepStream {app.target.deepstream} on {app.target.platform}"
            hint = "; ".join(f"{sink.type}: {sink.what}" for sink in sinks(app.target))
            message = f"{place} has no sink of type {kind}: the pipeline is not made"
            yield app.found(app_release, message, app.file.place(group, "type"), hint, Level.ERROR)


def is_other(app: AppFile) -> bool:
    """Whether a file is for another of NVIDIA's programs, which share names of groups and little more.

    Those have sources and sinks alone, or in YAML groups of their own (`source-list`, `primary-gie0`, `tiler`),
    `config-file-path` for engines, sources without a CSV file, or engines in a file of their own.
    """
    has_frame = any(re.match("application|stream|tiled|source-", name) for name in app.groups)
    if app.form == "ini":
        return not has_frame and not any("-gie" in name for name in app.groups) and app.trouble is None
    foreign = any(_is_foreign(name, entries) for name, entries in app.groups.items())
    return bool(app.groups) and (not has_frame or foreign)


def _is_foreign(name: str, entries: Mapping[str, keys.Entry]) -> bool:
    """Whether deepstream-app would not have a group with that name and these keys, not even by a slip of the pen."""
    if "-gie" in name:
        return "config-file-path" in entries or bool(re.fullmatch("primary-gie[0-9]+", name))
    if re.fullmatch("source[0-9]*", name):
        return name == "source" and "csv-file-path" not in entries
    group, plain = group_named(name), name.rstrip("0123456789")
    return (
        "yaml" not in group.formats if group else plain in app_groups() or closest(name, app_groups(), _ALIKE) is None
    )


@on_app("NVI106")
def unread(app: AppContext) -> Iterator[Finding]:
    """Groups that are off without saying so, and names that look like those that are meant."""
    form = app.file.form
    for name, entries in app.file.groups.items():
        group, plain = group_named(name), name.rstrip("0123456789")
        if name.startswith("source") and (form == "yaml" or group is None):
            continue  # NVI100 says it
        if group is None:
            if meant := closest(plain, [each for each, row in app_groups().items() if form in row.formats], _ALIKE):
                head = meant + ("0" if app_groups()[meant].numbered else "")
                hint = f"write {f'[{head}]' if form == 'ini' else f'{head}:'}"
                yield app.found(unread, f"deepstream-app has no group [{name}]", app.file.place(name), hint)
            continue
        if group.type_of("enable") and plain not in _OFF and not is_on(app.file, name):
            entry = entries.get("enable")
            unclear = entry and number(app.file, name, "enable", None) is None and form == "ini" and group.gated
            if entry is None or unclear:
                what = f"enable={entry.text[:80]} is no number" if entry else "has no enable=1"
                hint = f"write {app.file.line('enable', 1)}"
                if missing := [key for key in _NEEDED.get(plain, ()) if key not in entries]:
                    hint = f"write {app.file.line('enable', 0)}; before it is on, give it {' and '.join(missing)}"
                yield app.found(unread, f"[{name}]: {what}, so the group is off", app.file.place(name, "enable"), hint)
        for key, entry in entries.items():
            known = [each for names in group.types.values() for each in names]
            rest = [each for each in known if each not in entries]
            if group.type_of(key) is None and (meant := closest(key, rest, _ALIKE)):
                place, hint = (
                    Place(app.file.path, entry.line, entry.column),
                    f"write {app.file.line(meant, entry.text)}",
                )
                yield app.found(unread, f"[{name}]: deepstream-app has no key {syntax.quoted(key)}", place, hint)


_NEEDED: Final = {
    "tracker": ("ll-lib-file", "ll-config-file", "tracker-width", "tracker-height"),
    "source": ("type",),
    "primary-gie": ("config-file",),
    "secondary-gie": ("config-file",),
}
"""Keys that other rules ask for once a group is on (NVI095, NVI100, NVI108)."""

_OFF: Final = frozenset({"source-attr-all", "message-converter", "message-consumer"})  # `enable` is not asked for


def _classes_hint(have: set[int]) -> str:
    if not have:
        return "a secondary classifier makes no objects"
    if have == {-1}:
        return "a primary classifier's frame has class -1"
    return f"its last class is {max(have)}"


def _largest(engine: AppEngine, key: str) -> int:
    """The largest object of any class; 0: no limit, or not known."""
    classes = engine.context.values.get(keys.ATTRS, ()) if engine.context else ()
    limits = [each.get(key, 0) for each in classes]
    return max(limits) if limits and all(limits) else 0


def app_findings(app: AppContext) -> list[Finding]:
    """What the rules find in deepstream-app's config; nothing in one of another program."""
    return [] if is_other(app.file) else list(on_app.findings(app))


TRTEXEC_OPTION = Rule("NVI098")

_OPTION: Final = re.compile(r"(?<![\w-])--[A-Za-z][A-Za-z0-9]*")


def script_findings(data: bytes, path: str, target: Target) -> Iterator[Finding]:
    """Options in the command lines of a script (continued ones as a whole) that mention trtexec."""
    known = catalogue().trtexec_flags
    for first, lines in _commands(data.decode("utf-8", "replace")):
        if not any("trtexec" in line for line in lines):
            continue
        for line_number, line in enumerate(lines, first):
            for match in _OPTION.finditer(line):
                option = match[0]
                if option not in known or trtexec_accepts(option, target.tensorrt):
                    continue
                gone, since = known[option].gone, known[option].since
                state = f"gone since TensorRT {gone}" if gone else f"known since TensorRT {since}"
                message = f"{option} is {state}; the target has {target.tensorrt}"
                column, hint = match.start() + 1, load_toml("nvinfer/advice.toml")["trtexec"].get(option)
                yield TRTEXEC_OPTION.found(message, path=path, line=line_number, column=column, hint=hint)


def _commands(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each command's lines, joined by a backslash at their ends, with the number of the first; no comments."""
    command: list[str] = []
    for line_number, line in enumerate(text.split("\n"), 1):
        if not command and line.lstrip().startswith("#"):
            continue
        command.append(line)
        if not line.endswith("\\"):
            yield line_number - len(command) + 1, command
            command = []
    if command:
        yield line_number - len(command) + 1, command
