"""deepstream-app's config file: one stream of the SDK's own samples through the bundle's configs.

Groups and keys are those every release from 5.1 on reads (deepstream_config_file_parser.c,
deepstream_app_config_parser.c, compared 5.1 to 9.1). What the app writes into a GIE wins over the GIE's own config:
process-mode always, batch-size, gpu-id, gie-unique-id and operate-on-gie-id where they are written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convert.nvinfer.configfile import Entry, Group, Section, config_file
from convert.nvinfer.targets import sdk_path, sinks, tracker

if TYPE_CHECKING:
    from convert.framing import Frame
    from convert.nvinfer.engine import Engine
    from convert.nvinfer.inferfile import Gie
    from convert.nvinfer.targets import Target

__all__ = ["App", "app_file"]

# The sample stream's size, so that frames are not scaled before the model scales them.
_WIDTH, _HEIGHT = 1920, 1080
_WINDOW = 2


@dataclass(frozen=True, slots=True)
class App:
    """What the app runs.

    Attributes:
        file: its own name, for the comment that says how to start it.
        primary, secondary: the bundle's GIEs; at least one of them.
        primary_file, secondary_file: names of their configs.
        secondary_off: why the secondary one waits where both are there.
        secondary_engine: of the secondary GIE where it runs another model than the primary one; it then does not wait.
        frame: what the primary GIE's model was made for; None: frames of any aspect.
    """

    file: str
    primary: Gie | None
    secondary: Gie | None
    primary_file: str
    secondary_file: str
    secondary_off: str = ""
    secondary_engine: Engine | None = None
    frame: Frame | None = None


def app_file(app: App, engine: Engine, target: Target) -> bytes:
    """The config file. Raises PresetError where the target's table has no tracker."""
    gpu = Entry("gpu-id", engine.gpu_id)
    width, height = app.frame.pixels if app.frame else (_WIDTH, _HEIGHT)
    window, shape = (1280, 720), ""
    if app.frame:
        window = app.frame.within(*window)
        shape = (
            f"The frames' shape, {app.frame}, which the model was converted for (--frame). Pictures of another are "
            "stretched to it: convert for theirs instead."
        )
    groups = [
        _group("application", Entry("enable-perf-measurement", 1), Entry("perf-measurement-interval-sec", 5)),
        _group(
            "tiled-display",
            *(Entry("enable", 1), Entry("rows", 1), Entry("columns", 1)),
            *(Entry("width", window[0]), Entry("height", window[1]), gpu),
        ),
        _group(
            "source0",
            Entry("enable", 1),
            Entry("type", 3, "3: file or URI, 4: RTSP (then live-source=1 below), 1: V4L2 camera, 5: CSI camera."),
            Entry("uri", "file://" + sdk_path(target, "sample-stream"), "A sample of the SDK; put your own here."),
            *(Entry("num-sources", 1), gpu),
        ),
        _group(
            "streammux",
            gpu,
            Entry("batch-size", 1, "Number of sources."),
            *(Entry("batched-push-timeout", 40000), Entry("width", width, shape), Entry("height", height)),
            Entry("live-source", 0),
        ),
        _primary(app, engine, target),
    ]
    if app.secondary:
        groups += [_tracker(engine, target), _secondary(app, app.secondary, engine, target)]
    groups += [
        _group("osd", Entry("enable", 1), gpu),
        _group(
            "sink0",
            Entry("enable", 1),
            Entry("type", _WINDOW, "; ".join(f"{sink.type}: {sink.what}" for sink in sinks(target)) + "."),
            Entry("sync", 0, "0: as fast as it goes, 1: at the stream's own speed."),
            *(Entry("source-id", 0), gpu),
        ),
    ]
    header = f"For DeepStream {target.deepstream} ({target.platform}). Start: deepstream-app -c {app.file}\n"
    return config_file(header + "Paths are relative to this file.", tuple(groups))


def _group(name: str, *entries: Entry, comment: str = "") -> Group:
    return Group(name, (Section(entries),), comment)


def _primary(app: App, engine: Engine, target: Target) -> Group:
    enable, gpu = Entry("enable", 1), Entry("gpu-id", engine.gpu_id)
    if app.primary:
        return _group(
            "primary-gie",
            *(enable, gpu, Entry("gie-unique-id", app.primary.id), Entry("batch-size", engine.batch_size)),
            Entry("config-file", app.primary_file),
        )
    assert app.secondary is not None
    assert app.secondary.operate_on is not None
    return _group(
        "primary-gie",
        *(enable, gpu, Entry("gie-unique-id", app.secondary.operate_on)),
        Entry(
            "config-file",
            sdk_path(target, "sample-detector"),
            "The SDK's sample detector: it finds the objects to look at. Put your own here. Its engine is built beside "
            "its model at the first start, which takes minutes and needs write permission there (sudo, once).",
        ),
    )


def _secondary(app: App, gie: Gie, engine: Engine, target: Target) -> Group:
    comment = ""
    waits = app.primary is not None and app.secondary_engine is None
    if waits:
        comment = (
            f"Off: {app.secondary_off}. To look at objects: put a "
            f"detector's config into [primary-gie], such as {sdk_path(target, 'sample-detector')}, take its batch-size "
            f"out, give it gie-unique-id={gie.operate_on}, and set enable=1 here."
        )
    return _group(
        "secondary-gie0",
        *(Entry("enable", int(not waits)), Entry("gpu-id", engine.gpu_id), Entry("gie-unique-id", gie.id)),
        Entry("operate-on-gie-id", gie.operate_on or 0),
        Entry("batch-size", (app.secondary_engine or engine).batch_size),
        Entry("config-file", app.secondary_file),
        comment=comment,
    )


def _tracker(engine: Engine, target: Target) -> Group:
    files = tracker(target)
    config = [Entry("ll-config-file", sdk_path(target, files.config))] if files.config else []
    return _group(
        "tracker",
        *(Entry("enable", 0), Entry("tracker-width", 640), Entry("tracker-height", 384)),
        *(Entry("gpu-id", engine.gpu_id), Entry("ll-lib-file", sdk_path(target, files.library)), *config),
        comment="Off: every object is then looked at in every frame. On: each tracked object once (see "
        "secondary-reinfer-interval).",
    )
