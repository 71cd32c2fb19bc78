"""NVI092 to NVI097, with NVI056, NVI090 and NVI091: deepstream-app's config, and the engines in it together.

NVI098: trtexec's command lines in scripts, for the TensorRT of the target.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

from convert.check.app import AppContext, AppEngine, number
from convert.check.context import CLASSIFIER, SDK, Place
from convert.check.rules.engine import ELSEWHERE, absence
from convert.check.rules.outputs import ALL_ENGINES, OWN_OBJECTS
from convert.check.rules.preprocessing import FRAMING, shapes
from convert.check.rules.syntax import quoted
from convert.findings import Finding, Level, Rule
from convert.nvinfer.keys import ATTRS
from convert.nvinfer.targets import Target, between, catalogue, sinks, trtexec_accepts

CLASS_IDS = Rule(
    "NVI092",
    Level.ERROR,
    "a secondary engine waits for classes that never come",
    why="operate-on-class-ids are class ids of the engine in front. A class it does not have, or drops, never comes; "
    "the frame that a primary classifier labels has class -1.",
    fix="write class ids of the engine in front, or leave the key out",
)

SIZES = Rule(
    "NVI093",
    Level.WARNING,
    "a secondary engine passes over every object",
    why="Objects smaller than input-object-min-width and -height are skipped. No object is larger than the frame "
    "that [streammux] makes, or than detected-max-w and -h of the engine in front.",
    fix="write smaller minimum sizes",
)

SAME_ID = Rule(
    "NVI094",
    Level.ERROR,
    "two engines have the same gie-unique-id",
    why="deepstream-app refuses to start (“Non unique gie ids found”); in other pipelines results cannot be told "
    "apart.",
    fix="give each engine a number of its own",
)

NO_CONFIG = Rule(
    "NVI095",
    Level.ERROR,
    "the app config names a file that is not there",
    why="Paths are taken from the folder of the app config, not from the working directory. Without the nvinfer "
    "config the engine does not start.",
    fix="correct the path, or put the file there",
)

APP_REFUSED = Rule(
    "NVI096",
    Level.ERROR,
    "deepstream-app cannot read its config",
    why="It reads INI files with GLib's GKeyFile, like nvinfer: one line that is neither [group], key=value nor # "
    "comment, or one value of the wrong type in a group that is switched on, and it does not start.",
    fix="see the message",
)

APP_RELEASE = Rule(
    "NVI097",
    Level.WARNING,
    "the app config has something this DeepStream release does not know",
    why="deepstream-app prints “Unknown key” and goes on without it. Which sinks there are depends on the release "
    "and on the platform.",
    fix="use what the release has, or another release",
)

_MOST_SECONDARY: Final = 16
_MOST_CLASSES: Final = 100_000  # more are a mistake, and take memory


def own_objects(app: AppContext) -> Iterator[Finding]:
    """operate-on-gie-id of an engine that is not there."""
    for engine in app.engines:
        if engine.gie.primary or engine.context is None or not engine.context.values:
            continue
        wanted, own = engine.context.value("operate-on-gie-id"), engine.id
        if app.sources(engine) == [] and wanted != own:
            what = "there is no engine in front" if wanted == -1 else f"no other engine has the id {wanted}"
            ids = ", ".join(str(each.id) for each in app.engines if each is not engine)
            hint = f"the others are {ids}" if ids else "switch [primary-gie] on"
            yield app.found(OWN_OBJECTS, f"[{engine.gie.group}]: {what}", app.at(engine, "operate-on-gie-id"), hint)


def every_engine(app: AppContext) -> Iterator[Finding]:
    """No operate-on-gie-id, and several engines in front."""
    for engine in app.engines:
        several = len(app.engines) > 2
        if (
            several
            and not engine.gie.primary
            and engine.context
            and engine.context.value("operate-on-gie-id", None) == -1
        ):
            message = f"[{engine.gie.group}]: operate-on-gie-id is not given: objects of all engines are inferred"
            yield app.found(ALL_ENGINES, message, app.file.place(engine.gie.group))


def class_ids(app: AppContext) -> Iterator[Finding]:
    """Classes the engine in front does not have."""
    for engine in app.engines:
        if engine.gie.primary or engine.context is None or not engine.context.values:
            continue
        wanted = set(engine.context.value("operate-on-class-ids", ()))
        sources = app.sources(engine)
        known = [_classes(each) for each in sources or ()]
        if not wanted or not sources or any(each is None for each in known):
            continue
        have = {number for each in known for number in each or ()}
        if never := ", ".join(map(str, sorted(wanted - have))):
            level = Level.WARNING if wanted & have else Level.ERROR
            message = f"[{engine.gie.group}]: class {never} never comes from the engine in front"
            yield app.found(CLASS_IDS, message, app.at(engine, "operate-on-class-ids"), _classes_hint(have), level)


def sizes(app: AppContext) -> Iterator[Finding]:
    """Minimum sizes above what there can be."""
    for engine in app.engines:
        if engine.gie.primary or engine.context is None or not engine.context.values:
            continue
        for side, short in (("width", "w"), ("height", "h")):
            low = engine.context.value(f"input-object-min-{side}")
            frame = number(app.file, "streammux", side, None)
            limits = [frame] if frame else []
            largest = [_largest(each, f"detected-max-{short}") for each in app.sources(engine) or ()]
            limits += [max(largest)] if largest and all(largest) else []
            if limits and low > min(limits):
                key = f"input-object-min-{side}"
                message = f"[{engine.gie.group}]: {key} is {low}, but no object is larger than {min(limits)} pixels"
                yield app.found(SIZES, message, app.at(engine, key))


def same_id(app: AppContext) -> Iterator[Finding]:
    """gie-unique-id twice."""
    first: dict[int, AppEngine] = {}
    for engine in app.engines:
        if engine.id is None:
            continue
        other = first.setdefault(engine.id, engine)
        if other is not engine:
            message = f"[{engine.gie.group}] has the gie-unique-id {engine.id}, like [{other.gie.group}]"
            yield app.found(SAME_ID, message, app.at(engine, "gie-unique-id"))


def no_config(app: AppContext) -> Iterator[Finding]:
    """config-file missing, or leading nowhere."""
    elsewhere: list[AppEngine] = []
    for engine in app.engines:
        place = app.file.place(engine.gie.group, "config-file")
        if not engine.gie.config:
            yield app.found(NO_CONFIG, f"[{engine.gie.group}] is switched on, but has no config-file", place)
        elif engine.presence.sure and not engine.presence.here:
            message = f"config-file: {quoted(engine.gie.config)} {absence(engine.gie.config, engine.gie.path)}"
            hint = f"it is looked for at {os.path.abspath(engine.gie.path)}"  # noqa: PTH100
            yield app.found(NO_CONFIG, message, place, hint)
        elif not engine.presence.here and not engine.gie.config.startswith(SDK):
            elsewhere.append(engine)
    if elsewhere:
        named = ", ".join(quoted(engine.gie.config) for engine in elsewhere)
        message = f"not on this machine, and so not checked: config-file {named}"
        place = app.file.place(elsewhere[0].gie.group, "config-file")
        yield app.found(NO_CONFIG, message, place, ELSEWHERE, Level.NOTE)


def app_refused(app: AppContext) -> Iterator[Finding]:
    """The file, or a value of an engine."""
    troubles = [app.file.trouble] if app.file.trouble else []
    troubles += [trouble for engine in app.engines for trouble in engine.gie.troubles]
    for trouble in troubles:
        yield app.found(APP_REFUSED, trouble.message, Place(app.file.path, trouble.line, trouble.column))
    secondary = [engine for engine in app.engines if not engine.gie.primary]
    if len(secondary) > _MOST_SECONDARY:
        message = f"there are {len(secondary)} secondary engines; deepstream-app takes {_MOST_SECONDARY}"
        yield app.found(APP_REFUSED, message, app.file.place(secondary[_MOST_SECONDARY].gie.group))


def app_release(app: AppContext) -> Iterator[Finding]:
    """Keys, groups and sinks of other releases."""
    release = app.target.deepstream
    for row in catalogue().app_keys:
        if between(release, row.since, row.until):
            continue
        when = f"since DeepStream {row.since}" if row.since else f"up to DeepStream {row.until}"
        for group in app.file.groups:
            if re.fullmatch(re.escape(row.group) + "[0-9]*", group) and (
                not row.key or row.key in app.file.groups[group]
            ):
                what = f"[{group}] {row.key}".rstrip()
                hint = f"write {row.instead}" if row.instead else None
                entry = app.file.groups[group].get(row.key)
                place = Place(app.file.path, entry.line, entry.column) if entry else app.file.place(group)
                yield app.found(APP_RELEASE, f"{what} is known {when}; this is for {release}", place, hint)
    yield from _sinks(app)


def _sinks(app: AppContext) -> Iterator[Finding]:
    there = {sink.type for sink in sinks(app.target)}
    for group in app.file.groups:
        kind = number(app.file, group, "type", None) if re.fullmatch(r"sink[0-9]+", group) else None
        if kind is not None and kind not in there and number(app.file, group, "enable", 0):
            place = f"DeepStream {app.target.deepstream} on {app.target.platform}"
            hint = "; ".join(f"{sink.type}: {sink.what}" for sink in sinks(app.target))
            yield app.found(APP_RELEASE, f"{place} has no sink of type {kind}", app.file.place(group, "type"), hint)


def _classes(engine: AppEngine) -> frozenset[int] | None:
    """Class ids of an engine's objects; None: not known."""
    context = engine.context
    if context is None or not context.values:
        return None
    if context.kind == CLASSIFIER:
        return frozenset({-1}) if engine.gie.primary else frozenset()
    count = context.value("num-detected-classes")
    if not 0 < count <= _MOST_CLASSES:
        return None
    return frozenset(range(count)) - frozenset(context.value("filter-out-class-ids"))


def _classes_hint(have: set[int]) -> str:
    if not have:
        return "a secondary classifier makes no objects"
    if have == {-1}:
        return "a primary classifier's frame has class -1; leave the key out"
    return f"it has {min(have)} to {max(have)}"


def _largest(engine: AppEngine, key: str) -> int:
    """The largest object of any class; 0: no limit, or not known."""
    classes = engine.context.values.get(ATTRS, ()) if engine.context else ()
    limits = [each.get(key, 0) for each in classes]
    return max(limits) if limits and all(limits) else 0


CHECKS = (
    (ALL_ENGINES, every_engine),
    (OWN_OBJECTS, own_objects),
    (CLASS_IDS, class_ids),
    (SIZES, sizes),
    (FRAMING, shapes),
    (SAME_ID, same_id),
    (NO_CONFIG, no_config),
    (APP_REFUSED, app_refused),
    (APP_RELEASE, app_release),
)


def app_findings(app: AppContext) -> list[Finding]:
    """What the rules find in deepstream-app's config."""
    return [finding for _, check in CHECKS for finding in check(app)]


TRTEXEC_OPTION = Rule(
    "NVI098",
    Level.ERROR,
    "this TensorRT's trtexec does not know an option",
    why="trtexec stops at the first option it does not know (“Unknown option”). --explicitBatch, --workspace and "
    "--buildOnly are gone in TensorRT 10, --fp16 and --int8 in 11; --memPoolSize came with 8.4, --skipInference with "
    "8.6.",
    fix="use the options of the target's TensorRT: `ei-deepstream targets deepstream-7.1` shows them",
)

RULES = (*(rule for rule, _ in CHECKS), TRTEXEC_OPTION)

_OPTION: Final = re.compile(r"(?<![\w-])--[A-Za-z][A-Za-z0-9]*")


def script_findings(data: bytes, path: str, target: Target) -> Iterator[Finding]:
    """Options in the command lines of a script (continued ones as a whole) that mention trtexec."""
    known = catalogue().flags
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
                column, hint = match.start() + 1, _INSTEAD.get(option)
                yield TRTEXEC_OPTION.found(message, path=path, line=line_number, column=column, hint=hint)


_INSTEAD: Final = {
    "--explicitBatch": "leave it out",
    "--workspace": "leave it out, or write --memPoolSize=workspace:MIB",
    "--buildOnly": "write --skipInference",
    "--skipInference": "write --buildOnly",
    "--memPoolSize": "write --workspace=MIB",
    "--maxBatch": "write --minShapes, --optShapes and --maxShapes",
    "--fp16": "convert the ONNX model to FP16 inside",
    "--int8": "put QuantizeLinear and DequantizeLinear into the ONNX model",
    "--best": "convert the ONNX model",
}


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
