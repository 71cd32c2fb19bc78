"""RUN.md of a bundle: from the folder to a picture on the device's screen, for one release on one platform.

What the releases print was read in their sources (deepstream_app_main.c, deepstream_app.c, deepstream_sink_bin.c,
nvdsinfer_context_impl.cpp: the same lines in 5.1, 6.0 to 7.1 and 9.1); images and versions are those of
`configs/targets.toml`. Nothing was tried on a device, and the file says so.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote

from convert import files, images, types
from convert.emit.app import App, tracker_files
from convert.emit.files import SCRIPT
from convert.emit.streams import OUTPUT_FILE, RTSP_PORT, gst_sink, gst_source, sample
from convert.images.resizing import Resizing
from convert.nvinfer.targets import Target, between, container, sdk_path

if TYPE_CHECKING:
    from collections.abc import Mapping


_CODECS_LEFT_OUT = "6.1.1"  # from this release on the images leave codecs out (its documentation on containers)


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
        port=RTSP_PORT,
        video=OUTPUT_FILE,
        gst=_gst_launch(about, target, sink),
    )


def _gst_launch(about: Instructions, target: Target, sink: str) -> str:
    app = about.app
    if about.gpu_id:
        return f"Left out: every element would need gpu-id={about.gpu_id}, which the app gives them."
    source = app.source or sample(target)
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
        f"gst-launch-1.0 -e {gst_source(source, app.size, target)} ! m.sink_0",
        f"nvstreammux name=m batch-size=1 width={width} height={height}{live}",
        *engines,
        "nvvideoconvert ! nvdsosd",
        *gst_sink(sink, target).split(" ! ", 1),
    ]
    # What feeds the muxer's pad is linked to it by name: nothing stands between the two.
    lines += [f"{elements[0]} \\", "  " + " ! \\\n      ".join(elements[1:])]
    note = "For a look without the app." + (" It cannot serve RTSP, so it writes a file." if sink == "rtsp" else "")
    return "\n".join((note, "", *(f"    {line}" for line in lines)))
