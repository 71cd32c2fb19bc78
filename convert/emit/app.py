"""What runs a bundle: the config of deepstream-app, and RUN.md, from the folder to a picture on the device's screen.

Groups and keys are those every release from 5.1 on reads (deepstream_config_file_parser.c,
deepstream_app_config_parser.c, compared 5.1 to 9.1). What the app writes into a GIE wins over the GIE's own config:
process-mode always, batch-size, gpu-id, gie-unique-id and operate-on-gie-id where they are written here.

What the releases print was read in their sources (deepstream_app_main.c, deepstream_app.c, deepstream_sink_bin.c,
nvdsinfer_context_impl.cpp: the same lines in 5.1, 6.0 to 7.1 and 9.1); images and versions are those of
`configs/targets.toml`. Nothing was tried on a device, and RUN.md says so.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote

from convert import files, images, types
from convert.emit import streams
from convert.emit.config import Entry, Gie, Group, config_file
from convert.emit.files import SCRIPT, EngineBuild
from convert.images import Frame
from convert.images.resizing import Resizing
from convert.nvinfer.targets import Target, between, container, sdk_path, tracker

_CODECS_LEFT_OUT = "6.1.1"  # from this release on the images leave codecs out (its documentation on containers)
_WINDOW = (1280, 720)  # the most of it, pixels


@dataclass(frozen=True, slots=True)
class App:
    """What the app runs.

    Attributes:
        file: its own name, for the comment that says how to start it.
        primary, secondary: the bundle's GIEs; at least one of them.
        primary_file, secondary_file: names of their configs.
        size: width and height of the frames that [streammux] makes, pixels.
        source, sink: what was asked for; None: the SDK's sample stream and a window, with the others as comments.
        frame: what the primary GIE's model was made for; None: frames of any aspect.
        tracks: whether the tracker runs.
        analytics_file: the config of Gst-nvdsanalytics, which then runs behind it; "": nothing is counted.
        tracker_file: the bundle's config of the tracker; "": that of the SDK's sample.
        secondary_off: why the secondary one waits where both are there.
        secondary_engine: of the secondary GIE where it runs another model than the primary one; it then does not wait.
    """

    file: str
    primary: Gie | None
    secondary: Gie | None
    primary_file: str
    secondary_file: str
    size: tuple[int, int]
    source: streams.Source | None
    sink: str | None
    frame: Frame | None
    tracks: bool
    analytics_file: str
    tracker_file: str
    secondary_off: str = ""
    secondary_engine: EngineBuild | None = None

    @property
    def secondary_waits(self) -> bool:
        """Whether the secondary GIE is off: both roles of one model cannot run at once."""
        return self.primary is not None and self.secondary is not None and self.secondary_engine is None


def app_file(app: App, engine: EngineBuild, target: Target) -> bytes:
    """The config file. Raises PresetError where the target's table has no tracker."""
    enable, gpu = Entry("enable", 1), Entry("gpu-id", engine.gpu_id)
    width, height = app.size
    window = Frame(width, height).within(*_WINDOW)
    detector: tuple[Entry, ...]
    if app.primary:
        detector = (
            Entry("gie-unique-id", app.primary.id),
            Entry("batch-size", engine.batch_size),
            Entry("config-file", app.primary_file),
        )
    else:
        assert app.secondary is not None
        assert app.secondary.operate_on is not None
        comment = (
            "The SDK's sample detector: it finds the objects to look at. Put your own here. Its engine is built beside "
            "its model at the first start, which takes minutes and needs write permission there (sudo, once)."
        )
        detector = (
            Entry("gie-unique-id", app.secondary.operate_on),
            Entry("config-file", sdk_path(target, "sample-detector"), comment),
        )
    sections = {
        "application": (Entry("enable-perf-measurement", 1), Entry("perf-measurement-interval-sec", 5)),
        "tiled-display": (
            *(enable, Entry("rows", 1), Entry("columns", 1)),
            *(Entry("width", window[0]), Entry("height", window[1]), gpu),
        ),
    }
    groups = [Group(name, (section,)) for name, section in sections.items()]
    groups.append(Group("source0", streams.source_sections(app.source, app.frame, target, gpu)))
    groups.append(Group("streammux", (_streammux(app, gpu),)))
    groups.append(Group("primary-gie", ((enable, gpu, *detector),)))
    if app.secondary or app.tracks:
        groups.append(_tracker(app, engine, target))
    if app.analytics_file:
        groups.append(
            Group("nvds-analytics", ((enable, Entry("config-file", app.analytics_file)),), "Lines and zones.")
        )
    if app.secondary:
        groups.append(_second_engine(app, app.secondary, engine, target))
    groups.append(Group("osd", ((enable, gpu),)))
    groups.append(Group("sink0", streams.sink_sections(app.sink, app.source, target, gpu)))
    header = f"For DeepStream {target.deepstream} ({target.platform}). Start: deepstream-app -c {app.file}\n"
    return config_file(header + "Paths are relative to this file. RUN.md says the rest.", tuple(groups))


def _streammux(app: App, gpu: Entry) -> tuple[Entry, ...]:
    shape = "Every frame is scaled to this size. Write your source's own, or at least its shape."
    if app.frame:
        shape = (
            f"The frames' shape, {app.frame}, which the model was converted for (--frame). Pictures of another are "
            "stretched to it: convert for theirs instead."
        )
    live = app.source is not None and app.source.is_live
    return (
        gpu,
        Entry("batch-size", 1, "Number of sources."),
        Entry(
            "batched-push-timeout",
            streams.push_timeout(app.source),
            "Microseconds to wait for a full batch: one frame's.",
        ),
        *(Entry("width", app.size[0], shape), Entry("height", app.size[1])),
        Entry("live-source", int(live), "1: a camera or RTSP, 0: a file."),
    )


def tracker_files(app: App, target: Target) -> tuple[str, str]:
    """The tracker's library and config; "" where the library reads none."""
    files = tracker(target)
    return sdk_path(target, files.library), app.tracker_file or (sdk_path(target, files.config) if files.config else "")


def _tracker(app: App, engine: EngineBuild, target: Target) -> Group:
    library, config = tracker_files(app, target)
    track = (
        *(Entry("enable", int(app.tracks)), Entry("tracker-width", 640), Entry("tracker-height", 384)),
        *(Entry("gpu-id", engine.gpu_id), Entry("ll-lib-file", library)),
        *([Entry("ll-config-file", config)] if config else []),
    )
    once = "each tracked object once (see secondary-reinfer-interval)."
    comment = f"Off: every object is then looked at in every frame. On: {once}"
    if app.tracks:
        comment = "It gives each object a number and follows it; lines need that."
        comment += f" The secondary engine looks at {once}" if app.secondary_engine else ""
    return Group("tracker", (track,), comment)


def _second_engine(app: App, gie: Gie, engine: EngineBuild, target: Target) -> Group:
    gpu, comment = Entry("gpu-id", engine.gpu_id), ""
    if app.secondary_waits:
        comment = (
            f"Off: {app.secondary_off}. To look at objects: put a "
            f"detector's config into [primary-gie], such as {sdk_path(target, 'sample-detector')}, take its batch-size "
            f"out, give it gie-unique-id={gie.operate_on}, and set enable=1 here."
        )
    classify = (
        *(Entry("enable", int(not app.secondary_waits)), gpu, Entry("gie-unique-id", gie.id)),
        Entry("operate-on-gie-id", gie.operate_on or 0),
        Entry("batch-size", (app.secondary_engine or engine).batch_size),
        Entry("config-file", app.secondary_file),
    )
    return Group("secondary-gie0", (classify,), comment)


@dataclass(frozen=True, slots=True)
class Instructions:
    """What RUN.md is about.

    Attributes:
        name: the bundle's, and of the folder on the device.
        labels: the label file of each of the bundle's models, and its form: "one-line" or "one-per-line".
        detects: whether the primary engine is the bundle's and finds objects.
        gpu_id: number of the GPU.
        framing: what the primary engine's model does with the frames it was made for; None: it takes any.
        effect: what was measured of that.
        primary_script: of two engines of one model: what builds the primary one alone.
    """

    name: str
    app: App
    labels: Mapping[str, str]
    detects: bool
    gpu_id: int = 0
    framing: images.Framing | None = None
    effect: types.FrameEffect | None = None
    primary_script: str = ""


def run_md(about: Instructions, target: Target) -> bytes:
    """The file: Markdown, commands indented, what the terminal shows fenced; at most 85 lines, and 10 about counts."""
    sink = about.app.sink or "screen"
    return files.filled(
        "bundle/RUN.md",
        about=about,
        target=target,
        sink=sink,
        image=container(target),
        lacks_codecs=between(target.deepstream, _CODECS_LEFT_OUT, None),
        is_exact=isinstance(about.framing, Resizing) and about.framing.is_exact,
        path=partial(sdk_path, target),
        unquote=unquote,
        script=SCRIPT,
        port=streams.RTSP_PORT,
        video=streams.OUTPUT_FILE,
        gst=_gst_launch(about, target, sink),
    )


def _gst_launch(about: Instructions, target: Target, sink: str) -> str:
    app = about.app
    if about.gpu_id:
        return f"Left out: every element would need gpu-id={about.gpu_id}, which the app gives them."
    source = app.source or streams.sample(target)
    width, height = app.size
    first = app.primary_file if app.primary else sdk_path(target, "sample-detector")
    engines = [f"nvinfer config-file-path={shlex.quote(first)}"]
    if app.tracks:
        library, config = map(shlex.quote, tracker_files(app, target))
        follow = f"nvtracker tracker-width=640 tracker-height=384 ll-lib-file={library}"
        engines += [f"{follow} \\\n        ll-config-file={config}" if config != "''" else follow]
    if app.analytics_file:
        engines.append(f"nvdsanalytics config-file={shlex.quote(app.analytics_file)}")
    if app.secondary and not app.secondary_waits:
        engines.append(f"nvinfer config-file-path={shlex.quote(app.secondary_file)}")
    live = " live-source=1" if source.is_live else ""
    lines = []
    if not source.is_camera:
        uri = f'"file://$PWD/{source.uri.removeprefix("file://")}"' if source.relative else shlex.quote(source.shown)
        lines.append(f"uri={uri}" + ("  # with user and password, as in the app config" if source.has_password else ""))
    elements = [
        f"gst-launch-1.0 -e {streams.gst_source(source, app.size, target)} ! m.sink_0",
        f"nvstreammux name=m batch-size=1 width={width} height={height}{live}",
        *engines,
        "nvvideoconvert ! nvdsosd",
        *streams.gst_sink(sink, target).split(" ! ", 1),
    ]
    # What feeds the muxer's pad is linked to it by name: nothing stands between the two.
    lines += [f"{elements[0]} \\", "  " + " ! \\\n      ".join(elements[1:])]
    note = "For a look without the app." + (" It cannot serve RTSP, so it writes a file." if sink == "rtsp" else "")
    return "\n".join((note, "", *(f"    {line}" for line in lines)))
