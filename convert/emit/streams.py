"""What goes into deepstream-app and where its frames go: [source0] and [sink0], and the same for gst-launch-1.0.

Types and keys are those every release from 5.1 on reads (deepstream_sources.h, deepstream_sinks.h,
deepstream_config_file_parser.c; compared 5.1, 6.0 to 7.1, 9.1). The elements are those deepstream-app makes of them
(deepstream_config.h, deepstream_source_bin.c, deepstream_sink_bin.c of the same releases).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from typing import Final
from urllib.parse import quote

from convert.emit.config import Entry
from convert.errors import PresetError
from convert.images import Frame
from convert.nvinfer.targets import Target, sdk_path, sinks

SINKS: Final = ("screen", "file", "rtsp", "none")
OUTPUT_FILE: Final = "out.mp4"
RTSP_PORT: Final = 8554

_SINK_TYPES = {"none": 1, "screen": 2, "file": 3, "rtsp": 4}
_SOURCE_TYPES = {"usb": 1, "file": 3, "rtsp": 4, "csi": 5}
_PLAIN_URI = 2
_UDP_PORT = 5400  # between the encoder and the RTSP server, as in NVIDIA's samples
_BITRATE = 4_000_000
_FPS = 30
_MUXER = (1920, 1080)  # the sample stream's size, so that frames are not scaled before the model scales them
# As NVIDIA's samples for these cameras have it. A USB camera gives larger uncompressed pictures at a few a second only.
_CAMERA = {"usb": (640, 480), "csi": (1280, 720)}
_CAMERA_BOX = (1280, 720)
_FORMS = "rtsp://CAMERA/STREAM, /dev/video0, csi (Jetson), street.mp4, or a URI: file:///data/street.mp4, http://..."


@dataclass(frozen=True, slots=True)
class Source:
    """Where frames come from.

    Attributes:
        kind: "file" (a video file, or the URI of one), "rtsp", "usb" or "csi".
        uri: of "file" and "rtsp". A path that does not begin with `/` starts in the folder of the app's config
            (get_absolute_file_path).
        number: of "usb" the N of /dev/videoN, of "csi" the sensor's.
    """

    kind: str
    uri: str = ""
    number: int = 0

    @property
    def is_live(self) -> bool:
        """Whether frames come at their own time."""
        return self.kind != "file"

    @property
    def is_camera(self) -> bool:
        """Whether the camera is connected to the device itself, and is told which pictures to give."""
        return self.kind in _CAMERA

    @property
    def shown(self) -> str:
        """As on the command line, without a password."""
        if self.is_camera:
            return f"/dev/video{self.number}" if self.kind == "usb" else f"csi:{self.number}"
        return re.sub(r"//[^/@]*@", "//", self.uri)

    @property
    def has_password(self) -> bool:
        """Whether the URI names a user."""
        return self.shown != self.uri and not self.is_camera

    @property
    def relative(self) -> str:
        """The path, where it starts in the bundle's folder."""
        path = self.uri.removeprefix("file://")
        return path if self.uri.startswith("file://") and not path.startswith("/") else ""

    @property
    def usual(self) -> Frame:
        """The aspect of the app's frames where nobody says which there are."""
        width, height = self.size(None)
        divisor = gcd(width, height)
        return Frame(width // divisor, height // divisor)

    def size(self, frame: Frame | None) -> tuple[int, int]:
        """Width and height of the app's frames, pixels: a camera's own, `frame`'s, or 1920x1080."""
        own = _CAMERA.get(self.kind, _MUXER)
        if frame is None or (self.is_camera and not frame.in_pixels and frame.aspect == Fraction(*own)):
            return own
        return frame.within(*_CAMERA_BOX) if self.is_camera and not frame.in_pixels else frame.pixels


def sample(target: Target) -> Source:
    """A video of the SDK."""
    return Source("file", "file://" + sdk_path(target, "sample-stream"))


def parse_source(text: str, platform: str) -> Source:
    """What `--source` names, on the target.

    Raises:
        PresetError: nothing deepstream-app takes, or nothing it takes on that platform.
    """
    given = text.strip()
    if re.search(r"[\x00-\x1f\x7f\\]", given):
        raise PresetError(f"--source {text!r} holds a backslash or control character", hint=_FORMS)
    if found := re.fullmatch(r"csi(?:[:/]*([0-9]{1,3}))?", given, re.IGNORECASE):
        if platform != "jetson":
            raise PresetError("--source csi: only a Jetson has CSI cameras", hint="use --platform jetson")
        return Source("csi", number=int(found[1] or 0))
    if found := re.fullmatch(r"(?:v4l2:/*)?/dev/video([0-9]{1,3})", given):
        return Source("usb", number=int(found[1]))
    if found := re.match(r"([A-Za-z][A-Za-z0-9+.-]*):(?=/)", given):
        return _from_uri(found[1].lower(), given)
    name = given.rpartition("/")[2]
    if given.startswith(("/dev/", "~")) or "." not in name.strip("."):
        raise PresetError(f"--source {text!r} is no video, stream or camera", hint=_FORMS)
    return Source("file", "file://" + quote(given))


def _from_uri(scheme: str, uri: str) -> Source:
    rest = uri[len(scheme) + 1 :]
    if " " in uri:
        raise PresetError(f"--source {uri!r} holds a blank", hint="write %20 for it")
    if scheme == "file":
        path = rest.removeprefix("//")
        if path.strip("/"):
            return Source("file", f"file://{path}")
    elif scheme in {"rtsp", "rtsps", "http", "https"}:
        if re.match(r"//[^/]", rest):
            return Source("rtsp" if scheme.startswith("rtsp") else "file", f"{scheme}:{rest}")
    else:
        raise PresetError(f"deepstream-app has no source for {scheme}://", hint=_FORMS)
    raise PresetError(f"--source {uri} names nothing behind {scheme}://", hint=_FORMS)


# The group [source0]

_ONE = "One of these blocks is on. For another, put # in front of its lines and take it away from the other's."
_WHAT = {
    "file": "A video file or URI. file:///data/street.mp4 is a path; file://street.mp4 starts in this file's folder.",
    "rtsp": "A network camera or stream. With live-source=1 in [streammux].",
    "usb": "A USB camera, /dev/video0. With live-source=1 and its size in [streammux]. What it can give: v4l2-ctl "
    "--list-formats-ext",
    "csi": "A CSI camera. With live-source=1 and its size in [streammux].",
}
_TCP = Entry("select-rtp-protocol", 4, "If pictures arrive damaged: over TCP only.", off=True)


def source_sections(
    source: Source | None, frame: Frame | None, target: Target, gpu: Entry
) -> tuple[tuple[Entry, ...], ...]:
    """[source0]: of `source` alone, or of the SDK's sample with all others as comments; `frame` as in `Source.size`."""
    common = (Entry("enable", 1), Entry("num-sources", 1), gpu)
    if source:
        camera = "What it can give: v4l2-ctl --list-formats-ext -d " + source.shown if source.kind == "usb" else ""
        what = "From this file's folder." if source.relative else camera
        return common, _with_comment(_source_block(source, frame), what)
    others = [Source("rtsp", "rtsp://CAMERA/STREAM"), Source("usb")]
    others += [Source("csi")] if target.platform == "jetson" else []
    blocks = [_with_comment(_source_block(sample(target), frame), f"{_ONE}\n{_WHAT['file']}")]
    blocks += [_off(_with_comment(_source_block(each, frame), _WHAT[each.kind])) for each in others]
    return common, *blocks


def _source_block(source: Source, frame: Frame | None) -> tuple[Entry, ...]:
    # Of type 3 the URI is a pattern of printf (deepstream_app_config_parser.c), in which %20 is no blank.
    kind = Entry("type", _PLAIN_URI if "%" in source.uri and source.kind == "file" else _SOURCE_TYPES[source.kind])
    size = source.size(frame)
    if not source.is_camera:
        return (kind, Entry("uri", source.uri), *((_TCP,) if source.kind == "rtsp" else ()))
    key = "camera-v4l2-dev-node" if source.kind == "usb" else "camera-csi-sensor-id"
    return (
        *(kind, Entry(key, source.number)),
        *(Entry("camera-width", size[0]), Entry("camera-height", size[1])),
        *(Entry("camera-fps-n", _FPS), Entry("camera-fps-d", 1)),
    )


def push_timeout(source: Source | None) -> int:
    """batched-push-timeout, microseconds: a frame's time, of a source that is not asked for it 1/25 s."""
    return 1_000_000 // _FPS if source and source.is_camera else 40_000


def _with_comment(block: tuple[Entry, ...], comment: str) -> tuple[Entry, ...]:
    return (Entry(block[0].key, block[0].value, comment), *block[1:])


def _off(block: tuple[Entry, ...]) -> tuple[Entry, ...]:
    return tuple(Entry(each.key, each.value, each.comment, off=True) for each in block)


# The group [sink0]


def sink_sections(sink: str | None, source: Source | None, target: Target, gpu: Entry) -> tuple[tuple[Entry, ...], ...]:
    """[sink0]: of `sink` alone, or of a window with all others as comments."""
    # Seen while it plays, a file is to play at its own speed; a live source sets it anyway, and late frames are shown.
    plays = source is not None and not source.is_live and (sink or "screen") in {"screen", "rtsp"}
    common = (
        Entry("enable", 1),
        Entry("sync", int(plays), "0: as fast as it goes, 1: at the stream's own speed."),
        *(Entry("source-id", 0), gpu),
    )
    if sink:
        return common, _sink_block(sink, target)
    types = "; ".join(f"{each.type}: {each.what}" for each in sinks(target)) + "."
    screen = _sink_block("screen", target)
    shown = _with_comment(screen, f"{_ONE}\n{screen[0].comment} All types: {types}")
    return common, shown, *(_off(_sink_block(each, target)) for each in SINKS if each != "screen")


def _sink_block(sink: str, target: Target) -> tuple[Entry, ...]:
    what = {
        "screen": f"{_window(target)[0].upper()}{_window(target)[1:]}.",
        "file": f"A video file. {OUTPUT_FILE} is written in the folder the app is started in.",
        "rtsp": f"An RTSP stream: rtsp://DEVICE:{RTSP_PORT}/ds-test, for VLC or ffplay.",
        "none": "Nothing is shown or written: for measuring.",
    }
    kind = Entry("type", _SINK_TYPES[sink], what[sink])
    encoder = (
        Entry("codec", 1, "1: H.264, 2: H.265."),
        Entry("enc-type", 0, "0: the hardware's encoder, 1: a software encoder, for a board that has none."),
        Entry("bitrate", _BITRATE),
    )
    match sink:
        case "file":
            return (kind, Entry("container", 1, "1: MP4, 2: MKV."), *encoder, Entry("output-file", OUTPUT_FILE))
        case "rtsp":
            return (kind, *encoder, Entry("rtsp-port", RTSP_PORT), Entry("udp-port", _UDP_PORT))
        case _:
            return (kind,)


def _window(target: Target) -> str:
    """What type 2 is there: "a window (nv3dsink)"."""
    return next(each.what for each in sinks(target) if each.type == _SINK_TYPES["screen"])


# gst-launch-1.0

_NVMM = "'video/x-raw(memory:NVMM)"


def gst_source(source: Source, size: tuple[int, int], target: Target) -> str:
    """The elements in front of nvstreammux; a URI is `$uri`, an absolute one."""
    width, height = size
    caps = f"width={width},height={height},framerate={_FPS}/1"
    if source.kind == "csi":
        return f"nvarguscamerasrc sensor-id={source.number} ! {_NVMM},format=NV12,{caps}'"
    if source.kind == "usb":
        # The CPU's converter reads what a camera gives and the converter for NVMM does not; a Jetson has one in common.
        convert = "" if target.platform == "jetson" else "videoconvert ! "
        camera = f"v4l2src device=/dev/video{source.number} ! 'video/x-raw,{caps}'"
        return f"{camera} ! {convert}nvvideoconvert ! {_NVMM},format=NV12'"
    return 'uridecodebin uri="$uri"'


def gst_sink(sink: str, target: Target) -> str:
    """The elements behind nvdsosd. An RTSP server is no element: the same frames then go into a file."""
    if sink == "none":
        return "fakesink sync=0"
    if sink in {"file", "rtsp"}:
        encoder = f"nvv4l2h264enc bitrate={_BITRATE} ! h264parse ! qtmux ! filesink location={OUTPUT_FILE}"
        return f"nvvideoconvert ! {_NVMM},format=I420' ! {encoder}"
    if "nv3dsink" in _window(target):
        return "nv3dsink sync=0"
    transform = "nvegltransform" if target.platform == "jetson" else "nvvideoconvert"
    return f"{transform} ! nveglglessink sync=0"
