"""NVI110 to NVI123: Gst-nvdsanalytics' config, alone and with its app, and the tracker's config.

Read in nvdsanalytics_property_parser.cpp, nvdsanalytics_property_yaml_parser.cpp and nvds_analytics.cpp of 6.3 to 9.1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from convert import files, findings
from convert.check.analytics import PROPERTY, SMOOTHING, Fault, kinds, on_analytics, read_tracker, tracker_groups
from convert.check.app import AppContext, number, on_app, stream_count
from convert.check.rules.keys import closest
from convert.check.rules.syntax import BOOLEANS, quoted
from convert.nvinfer.targets import between

if TYPE_CHECKING:
    from convert.check.analytics import AnalyticsFile, Group, Shape, TrackerGroup
    from convert.nvinfer.keys import Entry, Section

TRACKER_KEY = findings.Rule("NVI120")
TRACKER_VALUE = findings.Rule("NVI124")


def _found(
    file: AnalyticsFile,
    about: findings.Rule,
    message: str,
    at: Entry | Section,
    hint: str | None = None,
    level: findings.Level | None = None,
) -> findings.Finding:
    """A finding at a value, or at the head of a group."""
    line, column = getattr(at, "value_line", at.line), getattr(at, "value_column", at.column)
    return about.found(message, path=file.path, line=line, column=column, hint=hint, level=level)


@on_analytics("NVI110")
def refused(file: AnalyticsFile) -> Iterator[findings.Finding]:
    """What ends the reading."""
    for fault in file.faults:
        message = fault.message
        if fault.ends:
            message += ": the rest of the file is not read, without a word"
        elif fault.dies:
            message += ": the process ends"
        hint = None
        if entry := fault.entry:
            kind = kinds()[entry.group.partition("-stream-")[0]].type_of(entry.key)
            if kind == "boolean" and (number := BOOLEANS.get(entry.text.strip().lower())):
                hint = f"write {file.line(entry.key, number)}"
            elif kind in {"shape", "integers"} and "," in entry.text and re.fullmatch(r"[\d\s,;]*", entry.text):
                pieces = (each.strip(" ") for each in entry.text.strip().split(","))
                hint = f"write {file.line(entry.key, ';'.join(pieces))}"
        about = numbers if fault.ends else refused
        yield about.found(message, path=file.path, line=fault.line, column=fault.column, hint=hint)


@on_analytics("NVI111")
def numbers(file: AnalyticsFile) -> Iterator[findings.Finding]:
    """Counts that the parsers do not test."""
    for group, shape in _shapes(file):
        row, count = kinds()[group.kind], len(shape.numbers)
        needs = f"{shape.entry.key} has {count} number{'s' if count != 1 else ''}, and needs"
        if row.numbers and count != row.numbers:
            level = findings.Level.ERROR if count < row.numbers else findings.Level.WARNING
            what = "the others are read from memory" if count < row.numbers else "the rest is not read"
            yield _found(file, numbers, f"{needs} {row.numbers}: {what}", shape.entry, level=level)
        elif not row.numbers and count % 2:
            yield _found(file, numbers, f"{needs} two for each corner: the last is read from memory", shape.entry)
        elif not row.numbers and count < 6:  # three corners
            yield _found(file, numbers, f"{needs} 6 or more: nothing is in a zone without area", shape.entry)


def _shapes(file: AnalyticsFile, kind: str = "") -> Iterator[tuple[Group, Shape]]:
    for group in file.groups:
        if not kind or group.kind == kind:
            for shape in group.shapes:
                yield group, shape


@on_analytics("NVI112")
def same(file: AnalyticsFile) -> Iterator[findings.Finding]:
    """Names of shapes that are used twice."""
    known: dict[tuple[str, int, str], tuple[Group, Shape]] = {}
    cut = file.form == "yaml" and file.release == _CUT
    for group, shape in _shapes(file):
        label = shape.label[:-2] if cut else shape.label
        first, other = known.setdefault((group.kind, group.stream, label), (group, shape))
        if other is shape:
            continue
        if cut and other.label != shape.label:
            what = f"like that of {other.entry.key}: DeepStream {file.release} cuts off two letters"
            yield _found(file, same, f"the name of {shape.entry.key} is {quoted(label)!r}, {what}", shape.entry)
        elif first is group:
            what = "only the last one counts" if kinds()[group.kind].numbers else "the counts are added up"
            yield _found(file, same, f"{shape.entry.key} is there twice: {what}", shape.entry)
        else:
            message = f"{shape.entry.key} is also in [{first.section.name}], of the same stream: they count as one"
            yield _found(file, same, message, shape.entry)


_CUT: Final = "6.3"  # g_strlcpy with the length of the prefix and its NUL taken off (YAML)


@on_analytics("NVI113")
def modes(file: AnalyticsFile) -> Iterator[findings.Finding]:
    """`mode` of lines and directions."""
    for group in file.groups:
        row, entry = kinds()[group.kind], group.entry("mode")
        if not row.modes or entry is None or (value := group.values.get("mode")) is None or value in row.modes:
            continue
        word = value.split("#")[0].split(";")[0].strip().strip("\"'").lower()
        meant = word if word in row.modes else closest(word, row.modes)
        others = " and ".join(row.modes[1:])
        hint = f"write {file.line('mode', meant or row.modes[0])}" + ("" if meant else f"; the others are {others}")
        message = f"[{group.section.name}]: mode {quoted(value)!r} counts as {row.modes[0]}"
        yield _found(file, modes, message, entry, hint)


@on_analytics("NVI114")
def unread(file: AnalyticsFile) -> Iterator[findings.Finding]:
    """Names that Gst-nvdsanalytics does not know."""
    names = [PROPERTY, *(f"{kind}-stream" for kind in kinds() if kind != PROPERTY)]
    for section in file.ignored:
        stem, _, number = section.name.rpartition("-")
        meant = closest(stem if number.isdigit() else section.name, names, _ALIKE)
        head = PROPERTY if meant == PROPERTY else f"{meant}-{number if number.isdigit() else 0}"
        hint = f"write {f'[{head}]' if file.form == 'ini' else f'{head}:'}" if meant else None
        yield _found(file, unread, f"Gst-nvdsanalytics has no group [{quoted(section.name)}]", section, hint)
    for group in filter(None, (file.head, *file.groups)):
        row = kinds()[group.kind]
        for entry in group.entries:
            if row.type_of(entry.key) is None and not entry.key.endswith("]"):
                meant = closest(entry.key, [each for each in row.keys if group.entry(each) is None], _ALIKE)
                message = f"[{group.section.name}]: Gst-nvdsanalytics has no key {quoted(entry.key)}"
                line, column = entry.line, entry.column
                hint = f"write {file.line(meant, entry.text)}" if meant else None
                yield unread.found(message, path=file.path, line=line, column=column, hint=hint)


_ALIKE: Final = 0.8


@on_analytics("NVI115")
def streams(file: AnalyticsFile) -> Iterator[findings.Finding]:
    """Groups without a number."""
    for group in file.groups:
        if not re.fullmatch("[0-9]+", group.suffix):
            head = f"{group.kind}-stream-{group.stream}"
            hint = f"write {f'[{head}]' if file.form == 'ini' else f'{head}:'}"
            message = f"[{group.section.name}] ends in no number, and is for stream {group.stream}"
            yield _found(file, streams, message, group.section, hint)


@on_analytics("NVI116")
def off(file: AnalyticsFile) -> Iterator[findings.Finding]:
    """Groups that are off without saying so, and files without groups."""
    if file.head and not file.groups and not file.ignored:
        yield _found(file, off, "the file has no lines, directions or zones", file.head.section)
    for group in file.groups:
        if group.entry("enable") is None:
            hint = f"write {file.line('enable', 1)}"
            yield _found(file, off, f"[{group.section.name}] has no enable, and is off", group.section, hint)


@on_analytics("NVI117")
def endless(file: AnalyticsFile) -> Iterator[findings.Finding]:
    """Lines that go on beyond their points by default."""
    for group in file.groups:
        if group.kind == "line-crossing" and group.is_on and group.entry("extended") is None:
            message = f"[{group.section.name}] does not say extended, so that its lines go on beyond their ends"
            yield _found(file, endless, message, group.section, f"write {file.line('extended', 0)}")


@on_analytics("NVI118")
def arrows(file: AnalyticsFile) -> Iterator[findings.Finding]:
    """Arrows and lines without a direction."""
    for _group, shape in _shapes(file, "direction-detection"):
        if len(shape.numbers) >= 4 and shape.numbers[:2] == shape.numbers[2:4]:
            yield _found(file, arrows, f"{shape.entry.key} has no length: no object goes that way", shape.entry)
    for _group, shape in _shapes(file, "line-crossing"):
        if len(shape.numbers) < 8:
            continue
        x1, y1, x2, y2, *line = shape.numbers[:8]
        arrow, way = (x2 - x1, y2 - y1), (line[2] - line[0], line[3] - line[1])
        if way == (0, 0):
            yield _found(file, arrows, f"the two points of {shape.entry.key} are one: it counts nothing", shape.entry)
            continue
        product = abs(arrow[0] * way[1] - arrow[1] * way[0])
        if product**2 >= 1e-10 * (arrow[0] ** 2 + arrow[1] ** 2) * (way[0] ** 2 + way[1] ** 2) > 0:
            continue
        what = "is parallel to its line: what goes straight across is not counted"
        if arrow == (0, 0):
            what = "has no length: nothing is counted"
        hint = None
        if min(file.size) > 0:
            from convert.counting import entries  # few files need it

            both = entries((line[0], line[1], line[2], line[3]), file.size)
            one, other = (file.line(shape.entry.key, ";".join(map(str, each))) for each in both)
            hint = f"write {one}, or {other} for the other direction"
        yield _found(file, arrows, f"the arrow of {shape.entry.key} {what}", shape.entry, hint)


@on_analytics("NVI119")
def outside(file: AnalyticsFile) -> Iterator[findings.Finding]:
    """Lines and zones beyond config-width and config-height."""
    width, height = file.size
    if min(width, height) <= 0:
        return
    for group, shape in _shapes(file):
        row = kinds()[group.kind]
        found = shape.numbers[4:8] if row.numbers == 8 else shape.numbers if not row.numbers else ()
        points = list(zip(found[::2], found[1::2], strict=False))
        beyond = [(x, y) for x, y in points if x > width or y > height]
        if beyond:
            none = all(x > width for x, _ in points) or all(y > height for _, y in points)
            x, y = beyond[0]
            message = f"{shape.entry.key}: the point {x};{y} is outside a frame of {width}x{height}"
            yield _found(file, outside, message, shape.entry, level=None if none else findings.Level.NOTE)


@on_analytics("NVI123")
def history(file: AnalyticsFile) -> Iterator[findings.Finding]:
    """What smooths object counts, and is also the length of a track."""
    entry = file.head.entry(SMOOTHING) if file.head else None
    lines = any(group.is_on and kinds()[group.kind].modes for group in file.groups)
    if entry and file.head and lines and between(file.release, "8.0", None):
        value = file.head.values.get(SMOOTHING)
        if value and not 20 <= value <= 50:
            message = f"{SMOOTHING} is {value}: from DeepStream 8.0 on ways are measured over {value} frames, too"
            yield _found(file, history, message, entry, f"write {file.line(SMOOTHING, 50 if value > 50 else 20)}")


@on_app("NVI121")
def waiting(app: AppContext) -> Iterator[findings.Finding]:
    """Class ids and streams that there are not."""
    file = app.analytics
    if file is None:
        return
    count = stream_count(app.file)
    classes = next((each.classes for each in app.engines if each.gie.primary), None)
    for group in file.groups:
        if not group.is_on:
            continue
        if count and group.stream >= count:
            others = any(each.is_on and each.stream < count for each in file.groups)
            message = f"[{group.section.name}]: {app.file.path} has {count} stream{'s' if count > 1 else ''}, from 0"
            yield _found(file, waiting, message, group.section, level=findings.Level.NOTE if others else None)
        wanted, entry = group.values.get("class-id", ()), group.entry("class-id")
        if entry and classes and min(classes) >= 0 and -1 not in wanted and (never := set(wanted) - classes):
            level = None if never == set(wanted) else findings.Level.NOTE
            words = ", ".join(map(str, sorted(never)))
            hint = f"write {file.line('class-id', ';'.join(map(str, sorted(set(wanted) & classes))) or -1)}"
            hint += f"; its last class is {max(classes)}"
            message = f"[{group.section.name}]: class {words} never comes from the primary engine"
            yield _found(file, waiting, message, entry, hint, level)


@on_app("NVI122")
def small(app: AppContext) -> Iterator[findings.Finding]:
    """Frames in which slow objects do not move far enough."""
    file = app.analytics
    width, height = (number(app.file, "streammux", side, 0) or 0 for side in ("width", "height"))
    if file is None or not 0 < width * height < _SMALL or min(width, height) <= 0:
        return
    if any(group.is_on and group.kind == "line-crossing" for group in file.groups):
        message = f"lines are counted in frames of {width}x{height}: an object must move 31.6 pixels of these"
        yield app.found(small, message, app.file.place("streammux", "width"))


_SMALL: Final = 480 * 270  # pixels of a frame; with as many all slow passages were counted


def tracker_findings(data: bytes, path: str, release: str) -> Iterator[findings.Finding]:
    """What the rule finds in the low-level tracker's config."""
    file = read_tracker(data, release)
    if isinstance(file, Fault):
        yield TRACKER_KEY.found(file.message, path=path, line=file.line, column=file.column)
        return
    groups = tracker_groups()
    for section, entries_ in file:
        group, message, hint = groups.get(section.name), None, None
        if group is None:
            if meant := closest(section.name, groups, _ALIKE):
                message, hint = f"the tracker has no group {quoted(section.name)}", f"write {meant}:"
        elif group.until and not between(release, None, group.until):
            until = f"DeepStream up to {group.until}"
            message = f"{section.name} is a group of {until}; {release} has other groups in its place"
        if message:
            yield TRACKER_KEY.found(message, path=path, line=section.line, column=section.column, hint=hint)
        elif group and group.keys:
            for entry in entries_:
                yield from _tracker_key(entry, group, path, release)
                if wrong := _wrong_value(entry, group):
                    line, column = entry.value_line, entry.value_column
                    yield TRACKER_VALUE.found(wrong[0], path=path, line=line, column=column, hint=wrong[1])


def _tracker_key(entry: Entry, group: TrackerGroup, path: str, release: str) -> Iterator[findings.Finding]:
    key, since, hint = entry.key, group.since(entry.key), None
    if key in group.keys:
        if not since or between(release, since, None):
            return
        message, level = f"{key} is in NVIDIA's samples since {since}; this is for {release}", findings.Level.NOTE
    else:
        message, level = f"{entry.group} has no key {quoted(key)}", None
        elsewhere = [name for name, each in tracker_groups().items() if key in each.keys]
        if elsewhere:
            hint = f"it belongs into {' or '.join(elsewhere)}"
        elif meant := closest(key, group.keys, _ALIKE_KEY):
            hint = f"write {meant}: {entry.text}"
        else:
            return
    yield TRACKER_KEY.found(message, path=path, line=entry.line, column=entry.column, hint=hint, level=level)


_ALIKE_KEY: Final = 0.9


def _wrong_value(entry: Entry, group: TrackerGroup) -> tuple[str, str | None] | None:
    """What is wrong with a value, and what to write; None: nothing, or its type is not known."""
    key, text, kind = entry.key, entry.text, group.type_of(entry.key) or ""
    row = files.load_toml("nvinfer/advice.toml")["tracker-types"].get(kind)
    if row is None:
        return None
    words = row["words"]
    least, most = group.least.get(key, -math.inf), group.most.get(key, math.inf)
    if key in group.least:
        words += f" from {least} to {most}" if key in group.most else f" from {least} on"
    if re.fullmatch(row["pattern"], text) and (kind != "integer" or least <= int(text[:20]) <= most):
        return None
    hint = None
    if kind == "integer" and (match := re.fullmatch(r"([-+]?[0-9]+)\.0*", text)):
        hint = f"write {key}: {match[1]}"
    elif kind == "share" and (match := re.fullmatch(r"([5-9]|[1-9][0-9])(?:\.0*)?", text)):
        hint = f"write {key}: {int(match[1]) / 100:g}"
    elif kind == "boolean" and (meant := BOOLEANS.get(text.lower())):
        hint = f"write {key}: {meant}"
    shown = "nothing" if text == "null" else quoted(text) if text else "a list, a map or an empty text"
    return f"{entry.group}: {key} is {shown}; a copy of NVIDIA's guide asks for {words}", hint
