"""RUN.md of a bundle: from the folder to a picture on the device's screen, for one release on one platform.

What the releases print was read in their sources (deepstream_app_main.c, deepstream_app.c, deepstream_sink_bin.c,
nvdsinfer_context_impl.cpp: the same lines in 5.1, 6.0 to 7.1 and 9.1); images and versions are those of
`configs/targets.toml`. Nothing was tried on a device, and the file says so.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from convert.emit.app import tracker_files
from convert.emit.files import SCRIPT
from convert.emit.streams import OUTPUT_FILE, RTSP_PORT, gst_sink, gst_source, sample
from convert.files import load_text
from convert.images.resizing import Resizing
from convert.nvinfer.targets import Target, between, container, sdk_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convert.emit.app import App
    from convert.images import Framing
    from convert.types import FrameEffect

_CODECS_LEFT_OUT = "6.1.1"  # from this release on the images leave codecs out (its documentation on containers)
_OWN_PYTHON = {"18.04": "3.6", "20.04": "3.8", "22.04": "3.10"}  # of Ubuntu, where it is older than this tool needs

_CELLS = {
    "jetpack": "JetPack",
    "l4t": "L4T",
    "ubuntu": "Ubuntu",
    "cuda": "CUDA",
    "tensorrt": "TensorRT",
    "families": "what it runs on",
    "gstreamer": "GStreamer",
    "keys": "the keys of its Gst-nvinfer",
    "parsers": "the functions of its parser library",
}
"""Cells of targets.toml that matter here, in words."""


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
    framing: Framing | None = None
    effect: FrameEffect | None = None
    primary_script: str = ""


def run_md(about: Instructions, target: Target) -> bytes:
    """The file: Markdown, commands indented, what the terminal shows fenced; at most 85 lines, and 10 about counts."""
    name, app = about.name, about.app
    sink = app.sink or "screen"
    text = load_text("bundle/RUN.md").format(
        name=name,
        app=app.file,
        script=SCRIPT,
        release=target.deepstream,
        where="a Jetson" if target.platform == "jetson" else "a PC or server with a discrete GPU",
        needs=_needs(target),
        tool=_tool(target),
        same="" if target.platform == "jetson" else "Not needed where this computer is the one that runs it.\n",
        video=_video(about),
        container=_container(about, target, sink),
        trtexec=sdk_path(target, "trtexec"),
        detector=_detector(about, target),
        frames=_frames(about.framing, about.effect),
        rtsp=_RTSP_LINE.format(port=RTSP_PORT) if sink == "rtsp" else "",
        results=_results(about, sink),
        counts=load_text("bundle/RUN-counts.md") if about.app.analytics_file else "",
        labels=_labels(about.labels),
        headless=_headless(target, sink),
        gst=_gst_launch(about, target, sink),
    )
    return text.encode()


_RTSP_LINE = " *** DeepStream: Launched RTSP Streaming at rtsp://localhost:{port}/ds-test ***\n"


def _headless(target: Target, sink: str) -> str:
    unset = ""
    if target.platform == "jetson":
        unset = (
            "\nA DISPLAY that leads nowhere (`ssh -X`) can end the start with `Could not get EGL display connection`:\n"
            "`unset DISPLAY` first."
        )
    if sink != "screen":
        return f"Nothing here needs a screen.{unset}"
    return (
        "The window opens on the device's own screen where somebody is logged in: first `export DISPLAY=:0`.\n"
        f"Without a screen switch another block on in [sink0] of the app config ({OUTPUT_FILE}, an RTSP stream, or\n"
        f"nothing), or convert again with `--sink file`, `rtsp` or `none`.{unset}"
    )


def _needs(target: Target) -> str:
    """What the release runs on, and which of it is not verified."""
    known = [f"JetPack {target.jetpack}"] if target.jetpack else []
    known += [f"L4T {target.l4t}"] if target.l4t else []
    known += [f"Ubuntu {target.ubuntu}"] if target.ubuntu else []
    known += [f"CUDA {target.cuda}"] if target.cuda else []
    known.append(f"TensorRT {target.tensorrt}")
    lines = [f"Made for DeepStream {target.deepstream} with {', '.join(known)}."]
    if target.families:
        lines.append(f"It runs on: {', '.join(target.families)}.")
    if cells := ", ".join(_CELLS[cell] for cell, _ in target.unverified if cell in _CELLS):
        lines.append(f"Not verified: {cells}.")
    return "\n".join(lines)


def _tool(target: Target) -> str:
    python = _OWN_PYTHON.get(target.ubuntu or "") if target.platform == "jetson" else None
    if python is None:
        return "ei-deepstream itself is not needed there.\n"
    return f"ei-deepstream itself is not needed there (it would not run on Ubuntu {target.ubuntu}'s Python {python}).\n"


def _video(about: Instructions) -> str:
    """The video, where it is looked for in the bundle's folder."""
    source = about.app.source
    if source is None or not source.relative:
        return ""
    video = unquote(source.relative)
    return f"\nThe app reads `{video}`, seen from that folder: copy your video there, too, under this name.\n"


def _container(about: Instructions, target: Target, sink: str) -> str:
    image = container(target)
    if image is None:
        return "NVIDIA's image for this release is not known here.\n"
    source, lines, notes = about.app.source, [], []
    lines.append("docker run -it --rm --network=host")
    lines[0] += " --runtime=nvidia" if target.platform == "jetson" else " --gpus all"
    if sink == "screen":
        lines.insert(0, "xhost +local:")
        lines.append("  -e DISPLAY=$DISPLAY -v /tmp/.X11-unix:/tmp/.X11-unix")
    if source and source.kind == "usb":
        lines.append(f"  --device {source.shown}")
    if source and source.kind == "csi":
        lines.append("  -v /tmp/argus_socket:/tmp/argus_socket")
    tag = image if ":" in image.rpartition("/")[2] else f"{image}:TAG"
    lines.append(f'  -v "$PWD":/{about.name} -w /{about.name} {tag}')
    start = lines.index(next(line for line in lines if line.startswith("docker")))
    lines[start:] = [" \\\n    ".join(lines[start:])]
    notes.append("`nvcr.io` may ask for a login: user `$oauthtoken`, password an NGC API key (`docker login nvcr.io`).")
    if tag != image:
        notes = ["Which TAG that release has was not verified: look it up there."]
    if between(target.deepstream, _CODECS_LEFT_OUT, None):
        notes.append("The image lacks software codecs and audio. If a file or encoder needs them, in the container:")
        notes.append(f"`{sdk_path(target, 'user_additional_install.sh')}`")
    return "".join(f"    {line}\n" for line in lines) + "\n" + "\n".join(notes) + "\n"


def _detector(about: Instructions, target: Target) -> str:
    if about.primary_script:
        return (
            f"There are two: `./{about.primary_script}` builds that for whole frames alone, which is all the app\n"
            "starts. The other, for the objects of another engine, is off.\n"
        )
    if about.app.primary:
        return ""
    path = sdk_path(target, "sample-detector").rpartition("/")[2]
    return (
        f"The primary engine is the SDK's sample detector ({path}). Its engine is built at the first\n"
        "start, beside its model, which needs write permission in the SDK's folder once (sudo, or a container).\n"
    )


def _results(about: Instructions, sink: str) -> str:
    lines = {
        "screen": "a window with the video, boxes and labels.",
        "file": f"`{OUTPUT_FILE}` in this folder, complete when the app has ended.",
        "rtsp": f"`rtsp://DEVICE:{RTSP_PORT}/ds-test`, for VLC or `ffplay` on another computer.",
        "none": "none is shown or written; only the frame rate.",
    }
    text = lines[sink]
    if about.detects:
        text += (
            "\nBoxes as text, one file a frame: `mkdir kitti`, and `gie-kitti-output-dir=kitti` below [application]\n"
            "in the app config."
        )
    if about.app.secondary_waits:
        text += "\nThe secondary engine is off; the comment above [secondary-gie0] in the app config says why."
    return text


def _frames(framing: Framing | None, effect: FrameEffect | None) -> str:
    if framing is None:
        return ""
    text = f"Frames: the model takes whole ones of {framing.frame}"
    if isinstance(framing, Resizing) and framing.is_exact:
        return (
            f"\n{text} and resizes them itself, as Edge Impulse does. Those of another size are scaled before, by the\n"
            "device: give [streammux] the camera's own size, and convert again for it with `--frame WIDTHxHEIGHT`.\n"
        )
    if framing.crops:
        cuts = f"cuts out what it was trained on, the {framing.part}" if framing.cut else f"{framing.does} them"
        text += f" and {cuts}"
    text += ".\n"
    if effect and (crop := effect.crop):
        cropped, squashed = (f"{round(each.top1 * each.inputs)}" for each in (crop, effect.squash))
        text += f"Its best answer is Edge Impulse's on {cropped} of {crop.inputs} measured (squashed: {squashed}).\n"
    other = framing.frame.other
    return f"\n{text}For a camera of another shape convert again with its frames: `--frame {other}`, for example.\n"


def _labels(files: Mapping[str, str]) -> str:
    forms = {"one-line": "one line, `;` between", "one-per-line": "one a line"}
    named = " and ".join(f"`{name}` ({forms[form]})" for name, form in files.items())
    return f"Labels are in {named}. Change the words, not their number or order."


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
