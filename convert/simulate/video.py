"""The frames of a video file as pictures, one at a time: memory does not grow with the video's length.

PyAV, which brings FFmpeg's decoders, is the extra [video] and is imported when the first frame is asked for. Frames are
upright: the rotation that phones record beside the pictures (a display matrix of quarter turns) is applied, as players
do.
"""

from __future__ import annotations

import re
from fractions import Fraction
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from convert.errors import InputError, MissingDependencyError, PresetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SUFFIXES", "frames", "is_video"]

SUFFIXES = frozenset(
    {".264", ".265", ".3gp", ".avi", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv",
     ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv", ".y4m"}
)  # fmt: skip

_HINT = "pip install 'ei-deepstream[video]'"
_AGAIN = "copy or record it again, or save its frames as pictures: ffmpeg -i VIDEO %06d.png"
_STREAMED = frozenset({"mpegts", "h264", "hevc", "m4v", "mpegvideo", "mjpeg"})  # FFmpeg's names; may begin anywhere
_SHORT = 1  # seconds that a video may end earlier than it says; the last frame's own length is often not known
# What videos begin with: Matroska and WebM, AVI, Flash, and the boxes that ISO media (MP4, QuickTime) begins with.
# HEIC and AVIF pictures are ISO media too, with brands of their own.
_STARTS = re.compile(
    rb"\x1aE\xdf\xa3|RIFF....AVI |FLV\x01|YUV4MPEG2 |....(?:moov|mdat|wide|ftyp(?!heic|heix|heim|heis|hevc|avif|mif1))",
    re.DOTALL,
)


def is_video(path: Path) -> bool:
    """Whether `path` is a file with a video's suffix, or one that begins as videos do; nothing is decoded.

    A file that cannot be read is none: whoever opens it as a picture says why.
    """
    if not path.is_file():
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return _STARTS.match(file.read(16)) is not None
    except OSError:
        return False


def frames(path: Path, *, every: int = 1, limit: int | None = None) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Name and picture, uint8 [H,W,3] RGB, of the frames of the file's first video stream.

    A frame is called after the file and its number, counted from 0 as nvinfer does: `clip-000123`.

    Args:
        path: in any container and codec that FFmpeg knows.
        every: only frames whose number it divides.
        limit: at most so many; None is all.

    Raises:
        PresetError: `every` or `limit` is less than 1.
        MissingDependencyError: PyAV is not installed, or does not load.
        InputError: the file cannot be read, is damaged or cut off, or holds no video. What was given out before the
            damage is right.
    """
    for option, value in (("every", every), ("limit", limit)):
        if value is not None and value < 1:
            raise PresetError(f"{option} is {value}", hint="1 or more")
    return _frames(_av(), path, every, limit)


def _frames(av: Any, path: Path, every: int, limit: int | None) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    number, given, end = 0, 0, 0
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.video:
                raise InputError("the file holds no video", path=path, hint="give a video, or pictures")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"  # frames at a time, too: a few more in memory, whatever the length
            for packet in container.demux(stream):
                if packet.is_corrupt and container.format.name not in _STREAMED:
                    raise InputError(_broken(number, "a part of the file is missing"), path=path, hint=_AGAIN)
                end = max(end, (packet.pts or 0) + (packet.duration or 0))
                for frame in packet.decode():
                    if number % every == 0:
                        yield f"{path.stem}-{number:06d}", _upright(frame)
                        given += 1
                        if given == limit:
                            return
                    number += 1
            missing = _announced(container, stream) - end * stream.time_base
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise InputError(_broken(number, _said(error)), path=path, hint=_AGAIN) from error
    if not number:
        raise InputError("the video holds no frame that can be decoded", path=path, hint=_AGAIN)
    if missing > _SHORT:
        raise InputError(_broken(number, f"{float(missing):.1f} s are missing"), path=path, hint=_AGAIN)


def _announced(container: Any, stream: Any) -> Fraction:
    """When the stream is to end, in seconds; 0 where nothing says so."""
    if stream.duration is not None:
        return Fraction(((stream.start_time or 0) + stream.duration) * stream.time_base)
    # Matroska knows the whole file's length only, and sound may be longer than the pictures.
    if container.duration is not None and len(container.streams) == 1:
        return Fraction((container.start_time or 0) + container.duration, 1_000_000)
    return Fraction(0)


def _av() -> Any:
    """The module.

    Raises:
        MissingDependencyError: it is not installed, or its libraries do not load.
    """
    if not find_spec("av"):
        raise MissingDependencyError("reading videos needs the package av (PyAV)", hint=_HINT)
    try:
        import av  # noqa: PLC0415 - an extra, and 30 MB of libraries
    except (ImportError, OSError) as error:
        raise MissingDependencyError(f"the package av is installed but does not load: {error}", hint=_HINT) from error
    av.logging.set_level(None)  # what FFmpeg says of a damaged file is in the exception
    return av


def _upright(frame: Any) -> NDArray[np.uint8]:
    """RGB, behind the rotation that is recorded with it (degrees counter-clockwise, to the next quarter)."""
    import numpy as np  # noqa: PLC0415 - PyAV brings it

    picture: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _broken(number: int, reason: str) -> str:
    """`number` frames were decoded."""
    return f"the video breaks off behind frame {number - 1}: {reason}" if number else f"not a whole video: {reason}"
