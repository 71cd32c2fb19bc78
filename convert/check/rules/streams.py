"""NVI100 to NVI105, NVI107 and NVI108: what comes into deepstream-app, the frames made of it, and who tracks objects.

Read in deepstream_source_bin.c, deepstream_streammux.c, deepstream_app.c and deepstream_config_file_parser.c of 5.1 to
9.1. How a Jetson scales (NVI107) concerns single configs of secondary engines, too.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from convert.check.app import MULTIPLE, absolute, is_on, number, on_app, sources, stream_count, text_of
from convert.check.context import RuleContext, on_config
from convert.check.rules.syntax import quoted
from convert.findings import Finding, Level
from convert.nvinfer.targets import sdk_path, tracker

if TYPE_CHECKING:
    from convert.check.app import AppContext, AppFile


_USB, _URI, _RTSP, _CSI = 1, 2, 4, 5
_AUDIO: Final = frozenset({6, 7, 8})  # for deepstream-audio; 9 (7.0 on) is made by deepstream-test5 only
_TYPES: Final = frozenset({1, 2, 3, 4, 5, *_AUDIO})
_USUAL: Final = {"camera-width": 1280, "camera-height": 720, "camera-fps-n": 30, "camera-fps-d": 1}
_CAMERAS: Final = ("camera-v4l2-dev-node", "camera-csi-sensor-id")
_AROUND: Final = "\"' "  # what people put around a URI
_TRACKED: Final = {"tracker-width": 640, "tracker-height": 384}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")
# Of printf's conversions those that an app's author can mean; %20 and %2F are meant as letters of the URI.
_PATTERN = re.compile(r"%(?:%|0?[0-9]?[diu])")
# Folders that Linux has at its root, as far as videos lie there.
_TOP: Final = frozenset({"data", "home", "media", "mnt", "opt", "root", "srv", "tmp", "usr", "var", "workspace"})
# The tracker libraries of 5.x; 6.0 has one for all (its migration guide).
_OLD_TRACKERS: Final = frozenset({"libnvds_mot_klt.so", "libnvds_mot_iou.so", "libnvds_nvdcf.so"})


@on_app("NVI100")
def unopened(app: AppContext) -> Iterator[Finding]:
    """Types, URIs and names of sources."""
    file = app.file
    for name in file.groups:
        if not name.startswith("source"):
            continue
        if file.form == "yaml" and re.fullmatch("source[0-9]+", name):
            message = f"[{name}] is not read from YAML: the sources are lines of a CSV file"
            yield app.found(unopened, message, file.place(name), "write `source:` with csv-file-path instead")
        elif file.form == "ini" and not re.fullmatch("source(?:[0-9]+|-list|-attr-all)", name):
            hint = "write [source0], and the next number for each further one"
            message = f"[{name}] is no name of a source: the app does not start"
            yield app.found(unopened, message, file.place(name), hint)
    if file.form == "yaml" and "source" in file.groups and not text_of(file, "source", "csv-file-path"):
        message = "source: has no csv-file-path: the app does not start"
        yield app.found(unopened, message, file.place("source"), "write csv-file-path, a CSV file with the sources")
    yield from _list(app)
    for where, name in sources(file):
        for what, key, cure in _source(app, where, name):
            yield app.found(unopened, f"[{name}]: {what}", where.place(name, key), cure)


def _source(app: AppContext, file: AppFile, name: str) -> Iterator[tuple[str, str, str | None]]:
    """What is wrong with a source, the key, and what to do."""
    kind, uri = number(file, name, "type", 0), text_of(file, name, "uri")
    cure = _cure(app, file, name)
    if kind not in _TYPES:
        what = f"there is no source of type {kind}" if kind else "it has no type"
        yield f"{what}: the pipeline is not made", "type", cure
    if kind == _CSI and app.target.platform != "jetson":
        yield "CSI cameras (type 5) are on a Jetson only", "type", None
    if kind not in {_URI, MULTIPLE, _RTSP}:
        return
    match = _SCHEME.match(uri)
    if not uri:
        yield "it has no uri", "uri", f"{cure}{'' if kind == _RTSP else ', or an rtsp:// one'}"
    elif match is None and _SCHEME.match(uri.strip(_AROUND)):
        yield f"{quoted(uri)} is no URI: the quotation marks belong to it", "uri", cure
    elif match is None:
        yield f"{quoted(uri)} is no URI, but a path", "uri", cure
    elif kind == _RTSP and not match[1].lower().startswith("rtsp"):
        yield f"type 4 is for rtsp://, not for {match[1]}://", "type", cure
    elif kind == MULTIPLE and (wrong := re.search("%.?.?", _PATTERN.sub("", uri))):
        several = (number(file, name, "num-sources", 1) or 1) > 1
        hint = "write %% for each %" if several else cure
        yield f"with type 3 the URI is a pattern of printf, in which {quoted(wrong[0])} is another text", "uri", hint


def _cure(app: AppContext, file: AppFile, name: str) -> str | None:
    """The lines with which a source opens: its uri and type, or those of a camera; None: it cannot on the platform."""
    kind, uri = number(file, name, "type", 0), text_of(file, name, "uri")
    bare = uri.strip(_AROUND)
    is_live = number(app.file, "streammux", "live-source", 0)
    live = "" if is_live else f", and in [streammux] {app.file.line('live-source', 1)}"
    device = re.fullmatch("/dev/video([0-9]+)", bare)
    if device or (kind not in _TYPES and not uri and any(text_of(file, name, key) for key in (*_CAMERAS, *_USUAL))):
        camera = _CSI if not device and text_of(file, name, "camera-csi-sensor-id") else _USB
        if camera == _CSI and app.target.platform != "jetson":
            return None
        lines = [file.line("type", camera), *([file.line(_CAMERAS[0], device[1])] if device else [])]
        lines += [file.line(key, value) for key, value in _USUAL.items() if not number(file, name, key, 0)]
        return f"write {', '.join(lines)}{live}"
    meant = uri or ("rtsp://camera/stream" if kind == _RTSP else "file:///data/street.mp4")
    if not _SCHEME.match(meant):
        # `./` says that it starts in the config's folder.
        path = bare if bare.startswith(("/", ".")) else "./" + bare
        meant = bare if _SCHEME.match(bare) else "file://" + path
    is_rtsp, is_pattern = meant.lower().startswith("rtsp"), "%" not in _PATTERN.sub("", meant)
    lines = [file.line("uri", meant)] if meant != uri else []
    if not {_URI: True, MULTIPLE: is_pattern, _RTSP: is_rtsp}.get(kind or 0, False):
        lines.insert(0, file.line("type", _RTSP if is_rtsp else MULTIPLE if is_pattern else _URI))
    return f"write {' and '.join(lines)}{live if is_rtsp and kind != _RTSP and meant != uri else ''}"


def _list(app: AppContext) -> Iterator[Finding]:
    """[source-list] and what belongs to it."""
    file = app.file
    if file.form != "ini" or "source-list" not in file.groups:
        return
    if "source-attr-all" not in file.groups:
        message = "[source-list] needs a group [source-attr-all]: the app does not start"
        hint = "write [source-attr-all] with type and what all have"
        yield app.found(unopened, message, file.place("source-list"), hint)
        return
    if not (listed := _listed(file)):
        return
    place, count = file.place("source-list", "list"), number(file, "source-list", "num-source-bins", None)
    for uri in listed:
        if not re.match(r"file://|rtsp://|(?:csi|usb):[0-9]+\Z", uri):
            hint = "write file://, rtsp://, usb:NUMBER or csi:NUMBER"
            yield app.found(unopened, f"[source-list]: {quoted(uri)} is none of the forms it takes", place, hint)
    if count is not None and count != len(listed):
        at = file.place("source-list", "num-source-bins")
        message = f"[source-list]: num-source-bins is {count}, but list has {len(listed)}: the app does not start"
        yield app.found(unopened, message, at, f"write {file.line('num-source-bins', len(listed))}")


def _listed(file: AppFile) -> list[str]:
    return [each for each in text_of(file, "source-list", "list").split(";") if each]


@on_app("NVI101")
def cameras(app: AppContext) -> Iterator[Finding]:
    """Sizes and rates that are not given."""
    for file, name in sources(app.file):
        if number(file, name, "type", 0) not in {_USB, _CSI}:
            continue
        for keys, level in ((list(_USUAL)[:2], Level.ERROR), (list(_USUAL)[2:], Level.WARNING)):
            if missing := [key for key in keys if not number(file, name, key, 0)]:
                what = " and ".join(missing)
                lines = " and ".join(file.line(key, _USUAL[key]) for key in missing)
                place = file.place(name, missing[0])
                message = f"[{name}]: {what} {'are' if len(missing) > 1 else 'is'} not given, so 0 is asked for"
                yield app.found(cameras, message, place, f"write {lines}, or what the camera gives", level)


@on_app("NVI102")
def live(app: AppContext) -> Iterator[Finding]:
    """live-source of [streammux], and keys of RTSP that need type 4."""
    first = next((uri for uri in _listed(app.file) if uri.startswith(("rtsp:", "usb:", "csi:"))), "")
    for file, name in sources(app.file):
        kind, uri = number(file, name, "type", 0), text_of(file, name, "uri").lower()
        if kind in {_USB, _CSI, _RTSP} or uri.startswith("rtsp"):
            first = first or f"[{name}]"
        for key in ("rtsp-reconnect-interval-sec", "smart-record"):
            if kind in {_URI, MULTIPLE} and uri.startswith("rtsp") and (number(file, name, key, 0) or 0) > 0:
                message = f"[{name}]: {key} does something with type 4 only"
                yield app.found(live, message, file.place(name, key), f"write {file.line('type', _RTSP)}")
    if first and "streammux" in app.file.groups and not number(app.file, "streammux", "live-source", 0):
        place, hint = app.file.place("streammux", "live-source"), f"write {app.file.line('live-source', 1)}"
        yield app.found(live, f"{first} is live, but [streammux] has no live-source=1", place, hint)


@on_app("NVI103")
def file_uris(app: AppContext) -> Iterator[Finding]:
    """file:// and a relative path that leads nowhere."""
    from urllib.parse import unquote  # slow to import

    for file, name in () if app.file.knows_folder else sources(app.file):
        uri = text_of(file, name, "uri")
        path = uri.removeprefix("file://")
        # `./` and `../` say that the path is relative.
        if path == uri or path.startswith(("/", ".")) or app.is_here(here := absolute(app.file, unquote(uri))):
            continue
        rooted = path.split("/")[0] in _TOP or app.is_here("/" + unquote(path))
        hint = f"write {file.line('uri', 'file:///' + path)}" if rooted else None
        hint = hint or f"write {file.line('uri', 'file://./' + path)} if it will be there"
        message = f"[{name}]: {quoted(uri)} starts in the folder of the config: "
        message += f"{os.path.abspath(here)}, which is not here"  # noqa: PTH100 - text
        yield app.found(file_uris, message, file.place(name, "uri"), hint, None if rooted else Level.NOTE)


@on_app("NVI104")
def batches(app: AppContext) -> Iterator[Finding]:
    """Batch sizes and the grid, against the number of streams."""
    file, count = app.file, stream_count(app.file)
    if not count:
        return
    size = number(file, "streammux", "batch-size", 0) or 0
    if 0 < size < count:
        message = f"[streammux]: batch-size is {size}, but there are {count} streams"
        place, hint = file.place("streammux", "batch-size"), f"write {file.line('batch-size', count)}"
        yield app.found(batches, message, place, hint)
    for engine in app.engines:
        own = engine.known("batch-size") or 0
        if engine.gie.primary and 0 < own < count:
            times = f"for {count} streams it runs {math.ceil(count / own)} times"
            message = f"[{engine.gie.group}]: batch-size is {own}: {times}"
            yield app.found(batches, message, app.at(engine, "batch-size"), None, Level.NOTE)
    rows, columns = (number(file, "tiled-display", key, 0) or 0 for key in ("rows", "columns"))
    if is_on(file, "tiled-display") and 0 < rows * columns < count:
        message = f"[tiled-display]: {rows} x {columns} tiles are fewer than {count} streams; the app adds rows"
        hint = f"write {file.line('rows', math.ceil(count / columns))}"
        yield app.found(batches, message, file.place("tiled-display", "rows"), hint, Level.NOTE)


@on_app("NVI105")
def frame_size(app: AppContext) -> Iterator[Finding]:
    """width and height of [streammux]."""
    file = app.file
    kinds = {number(*each, "type", 0) for each in sources(file)}
    named = any(text_of(file, "streammux", key) for key in ("config-file", "config-file-path"))
    if not kinds or kinds & _AUDIO or named:
        return
    missing = [key for key in ("width", "height") if not number(file, "streammux", key, 0)]
    if missing:
        given = f"[streammux]: {' and '.join(missing)} not given"
        what = given if "streammux" in file.groups else "there is no [streammux]"
        lines = " and ".join(file.line(key, {"width": 1920, "height": 1080}[key]) for key in missing)
        yield app.found(frame_size, what, file.place("streammux"), f"write {lines} in [streammux]")


@on_app("NVI108")
def trackers(app: AppContext) -> Iterator[Finding]:
    """Library, config and size of the tracker; analytics without one."""
    file, release = app.file, app.target.deepstream
    place = file.place
    sample = tracker(app.target)
    library = text_of(file, "tracker", "ll-lib-file")
    base, usual = os.path.basename(library), os.path.basename(sample.library)  # noqa: PTH119 - text
    is_gone = base != usual and base in (_OLD_TRACKERS if sample.config else {"libnvds_nvmultiobjecttracker.so"})
    lines: dict[str, object] = {}
    if not library or is_gone:
        lines["ll-lib-file"] = sdk_path(app.target, sample.library)
    if sample.config and base in {"", usual, *_OLD_TRACKERS} and not text_of(file, "tracker", "ll-config-file"):
        lines["ll-config-file"] = sdk_path(app.target, sample.config)
    missing = {key: value for key, value in _TRACKED.items() if not number(file, "tracker", key, 0)}
    if not is_on(file, "tracker"):
        if is_on(file, "nvds-analytics"):
            message = "[nvds-analytics] is on and [tracker] is not: lines and directions need tracked objects"
            written = " and ".join(file.line(*each) for each in {"enable": 1, **lines, **missing}.items())
            hint = f"write {written} in [tracker]"
            yield app.found(trackers, message, place("nvds-analytics"), hint, Level.WARNING)
        return
    if not library:
        hint = f"write {file.line('ll-lib-file', lines['ll-lib-file'])}"
        yield app.found(trackers, "[tracker]: ll-lib-file is not given", place("tracker"), hint)
    elif is_gone:
        other = (found := re.search("/(deepstream-[0-9.]+)/", library)) and found[1] != app.target.folder
        level = Level.WARNING if other else Level.ERROR  # that of another release may be installed beside
        message = f"[tracker]: DeepStream {release} has no {base}"
        hint = f"write {file.line('ll-lib-file', lines['ll-lib-file'])}"
        yield app.found(trackers, message, place("tracker", "ll-lib-file"), hint, level)
    if "ll-config-file" in lines:
        hint = f"write {file.line('ll-config-file', lines['ll-config-file'])}"
        message = "[tracker]: ll-config-file is not given; the library goes by values of its own"
        yield app.found(trackers, message, place("tracker"), hint, Level.NOTE)
    if missing:
        message = f"[tracker]: {' and '.join(missing)} not given, so 0"
        hint = f"write {' and '.join(file.line(*each) for each in missing.items())}"
        yield app.found(trackers, message, place("tracker"), hint, Level.WARNING)


@on_config("NVI107")
def scaled_objects(context: RuleContext) -> Iterator[Finding]:
    """The smallest objects of a secondary engine, enlarged to the network."""
    limit = context.target.largest_scale
    if limit is None or not context.is_secondary or not _scales(context) or context.network is None:
        return
    _, height, width = context.network
    # An object's width and height are rounded down to even numbers first (gstnvinfer.cpp, get_converted_buffer).
    low = [
        max(int(context.value(f"input-object-min-{side}")), context.target.min_object_size) // 2 * 2
        for side in ("width", "height")
    ]
    times = [width / low[0], height / low[1]]
    if (most := min(times) if context.value("maintain-aspect-ratio") else max(times)) <= limit:
        return
    ini = context.parsed.form == "ini"
    needed = ((side, 2 * math.ceil(size / limit / 2)) for side, size in (("width", width), ("height", height)))
    lines = [f"input-object-min-{side}{'=' if ini else ': '}{least}" for side, least in needed]
    what = f"an object of {low[0]}x{low[1]} would be made {most:.3g} times larger, to {width}x{height}"
    hint = f"write {lines[0]} and {lines[1]}, or scaling-compute-hw{'=' if ini else ': '}1"
    key = "input-object-min-width" if times[0] >= times[1] else "input-object-min-height"
    yield context.found(scaled_objects, f"{what}; the VIC does {limit}", key=key, hint=hint, level=Level.WARNING)


@on_app(scaled_objects)
def scaled_frames(app: AppContext) -> Iterator[Finding]:
    """The frames of [streammux], scaled to the primary engine's network."""
    limit = app.target.largest_scale
    frame = [number(app.file, "streammux", side, 0) or 0 for side in ("width", "height")]
    primary = next((each for each in app.engines if each.gie.primary), None)
    context = primary.context if primary else None
    if limit is None or min(frame) <= 0 or not context or not context.network or not _scales(context):
        return
    if is_on(app.file, "pre-process") or text_of(app.file, "primary-gie", "input-tensor-meta") in {"1", "true"}:
        return  # Gst-nvdspreprocess scales
    _, height, width = context.network
    down, up = max(frame[0] / width, frame[1] / height), [width / frame[0], height / frame[1]]
    larger = min(up) if context.value("maintain-aspect-ratio") else max(up)
    hint = f"write scaling-compute-hw{'=' if context.parsed.form == 'ini' else ': '}1 in {context.parsed.path}"
    if down > limit:
        smaller = [int(side * limit / down) // 2 * 2 for side in frame]
        hint += f", or {app.file.line('width', smaller[0])} and {app.file.line('height', smaller[1])} in [streammux]"
        what = f"{down:.3g} times smaller"
    elif larger > limit:
        what = f"{larger:.3g} times larger"
    else:
        return
    message = f"frames of {frame[0]}x{frame[1]} would be made {what}, to {width}x{height}; the VIC does {limit}"
    yield app.found(scaled_frames, message, app.file.place("streammux", "width"), hint)


def _scales(context: RuleContext) -> bool:
    """Whether the engine scales by itself, and not with the GPU."""
    return not context.value("input-tensor-from-meta") and context.value("scaling-compute-hw") != 1
