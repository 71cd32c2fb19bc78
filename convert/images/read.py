"""Reads pictures, folders of pictures and videos: upright, 8 bits, RGB or grey, as a camera gives them.

DeepStream's frames are decoded video or JPEG; everything else a file can hold is turned into that, and a note says what
was done: EXIF rotation is applied, transparency is laid on black (what nvinfer pads with), 16-bit levels lose their
lower byte, CMYK is mixed as Pillow does it without colour profiles, of an animation the first frame is taken.

Videos are decoded one frame at a time: memory does not grow with their length. PyAV, which brings FFmpeg's decoders, is
the extra [video] and is imported when the first frame is asked for. The rotation that phones record beside the pictures
(a display matrix of quarter turns) is applied, as players do.
"""

from __future__ import annotations

import re
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from convert.errors import InputError, MissingDependencyError, PresetError, pip_install
from convert.images import CENTRE, Anchor, ResizeMode, scaling

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MOST_PIXELS = 100_000_000
"""Of one picture, 300 MB as RGB: twelve times the pixels of an 8K frame would be 400 million."""

_PICTURES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_VIDEOS = frozenset(
    {".264", ".265", ".3gp", ".avi", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv",
     ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv", ".y4m"}
)  # fmt: skip

_LONGEST_NAME = 80  # characters; with a suffix it fits every file system
_UNSAFE = re.compile(r"[^\w.+-]+")
_ORIENTATION = 0x0112  # EXIF

_AGAIN = "copy or record it again, or save its frames as pictures: ffmpeg -i VIDEO %06d.png"
_STREAMED = frozenset({"mpegts", "h264", "hevc", "m4v", "mpegvideo", "mjpeg"})  # FFmpeg's names; may begin anywhere
_SHORT = 1  # seconds that a video may end earlier than it says; the last frame's own length is often not known
# What videos begin with: Matroska and WebM, AVI, Flash, and the boxes that ISO media (MP4, QuickTime) begins with.
# HEIC and AVIF pictures are ISO media too, with brands of their own.
_STARTS = re.compile(
    rb"\x1aE\xdf\xa3|RIFF....AVI |FLV\x01|YUV4MPEG2 |....(?:moov|mdat|wide|ftyp(?!heic|heix|heim|heis|hevc|avif|mif1))",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A frame.

    Attributes:
        name: unique among the pictures, usable as part of a file name.
        source: the file.
        pixels: uint8 [H,W,3] RGB; of a picture read-only.
        notes: what was done to it, one sentence each.
    """

    name: str
    source: Path
    pixels: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that is left out, and why."""

    source: Path
    error: InputError


def find(paths: Iterable[Path], *, videos: bool = True) -> tuple[Path, ...]:
    """The files as they are named; of folders the pictures, and with `videos` the videos, directly in them, by name.

    Hidden files of a folder, and its files of other kinds, are left out.

    Raises:
        InputError: a path does not exist, or a folder cannot be read or holds nothing of the kind.
    """
    suffixes = _PICTURES | _VIDEOS if videos else _PICTURES
    found: list[Path] = []
    for path in paths:
        try:
            if not path.is_dir():
                path.stat()
                found.append(path)
                continue
            inside = sorted(
                each
                for each in path.iterdir()
                if each.suffix.lower() in suffixes and not each.name.startswith(".") and each.is_file()
            )
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", path=path, hint="check the path") from None
        if not inside:
            known = ", ".join(sorted(suffixes))
            raise InputError("the folder holds no picture", path=path, hint=f"looked for {known} directly in it")
        found += inside
    return tuple(found)


def read_all(paths: Iterable[Path], *, every: int = 1, limit: int | None = None) -> Iterator[Picture | Unreadable]:
    """Every picture, and the frames of every video, in order; for a file that cannot be read, why.

    Args:
        paths: files.
        every: of a video only frames whose number it divides.
        limit: of a video at most so many frames; None is all.

    Raises:
        MissingDependencyError: a video, and PyAV is not installed.
    """
    names = _Names()
    for path in paths:
        try:
            if is_video(path):
                for stem, pixels in video_frames(path, every=every, limit=limit):
                    yield Picture(names(stem), path, pixels)
            else:
                pixels, notes = read(path)
                yield Picture(names(path.stem), path, pixels, notes)
        except InputError as error:
            yield Unreadable(path, error)


class _Names:
    """Short names that can stand in file names, each given once, upper and lower case counting as the same."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, stem: str) -> str:
        text = stem.encode("utf-8", "replace").decode()
        short = _UNSAFE.sub("_", text)[:_LONGEST_NAME].strip("._-") or "picture"
        name, number = short, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{short}-{number}"
        self._taken.add(name.casefold())
        return name


# Pictures


def read(path: Path, channels: int = 3) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """One picture in its own size, and what was done to it, one sentence each.

    Args:
        path: any format Pillow reads.
        channels: 3 for RGB, 1 for grey (ITU-R 601 luma, as Pillow and nvinfer compute it).

    Returns:
        uint8 [H,W,channels], read-only.

    Raises:
        InputError: no ordinary file, not a picture, damaged, or larger than MOST_PIXELS.
    """
    return _read(path, channels, lambda image: image)


def read_fitted(
    path: Path, height: int, width: int, channels: int, mode: ResizeMode | None, *, anchor: Anchor = CENTRE
) -> NDArray[np.uint8]:
    """One picture as uint8 [height,width,channels], brought to a model's size as Edge Impulse does for training.

    It is placed as `convert.images.scaling.place_as_sdk` says, with black bars, and scaled by Pillow's bilinear
    filter.

    Args:
        path, channels: as for `read`.
        height, width: of the model's input.
        mode: None and `none` mean squash.
        anchor: which part of a picture a crop keeps.

    Raises:
        InputError: as for `read`.
    """

    def fitted(image: Image.Image) -> Image.Image:
        at = scaling.place_as_sdk(*image.size, (width, height), mode or ResizeMode.SQUASH, anchor=anchor)
        # Cropped first: with resize's own box= what lies outside would bleed in.
        part = image.crop((at.left, at.top, at.left + at.source_width, at.top + at.source_height))
        part = part.resize((at.width, at.height), Image.Resampling.BILINEAR)
        canvas = Image.new(image.mode, (width, height))
        canvas.paste(part, (at.view.offset_left, at.view.offset_top))
        return canvas

    return _read(path, channels, fitted)[0]


def _read(
    path: Path, channels: int, fit: Callable[[Image.Image], Image.Image]
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError("not an ordinary file", path=path, hint="name a picture or a folder of pictures")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path, hint="check the path") from None
    notes: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd EXIF, ICC or TIFF tags of a picture that can be read, and its size
            with Image.open(path) as file:
                width, height = file.size
                if width * height > MOST_PIXELS:
                    what = f"{width} x {height} pixels, and no more than {MOST_PIXELS:,} are taken"
                    raise _too_large(path, what)  # noqa: TRY301 - what else is raised here is Pillow's
                if getattr(file, "n_frames", 1) > 1:
                    notes.append(f"of {file.n_frames} frames the first is taken")  # type: ignore[attr-defined]
                file.load()
                image: Image.Image = file
                if image.getexif().get(_ORIENTATION, 1) != 1:
                    notes.append("turned upright as its EXIF orientation says")
                    image = ImageOps.exif_transpose(image)
                image = _plain(image, path, notes)
                mode = "L" if channels == 1 else "RGB"
                # Each copy of a picture costs as much as a fifth of decoding it.
                pixels = np.asarray(fit(image if image.mode == mode else image.convert(mode)), np.uint8)
    except InputError:
        raise
    except Image.DecompressionBombError:  # Pillow has a limit of its own, above ours
        raise _too_large(path, f"far more than {MOST_PIXELS:,} pixels, which is the most that is taken") from None
    except UnidentifiedImageError:
        message = "not a picture that can be read: its bytes begin like no picture format that is known"
        raise InputError(message, hint="leave it out, or save it again as PNG or JPEG", path=path) from None
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise whatever damaged bytes lead them to
        reason = " ".join(str(error).replace(str(path), "the file").split()) or type(error).__name__
        raise InputError(
            f"not a picture that can be read: {reason}", path=path, hint="leave it out, or save it again"
        ) from None
    return pixels.reshape(*pixels.shape[:2], channels), tuple(notes)


def _too_large(path: Path, what: str) -> InputError:
    return InputError(f"the picture has {what}", hint="scale it down to the size of the camera's frames", path=path)


def _plain(image: Image.Image, path: Path, notes: list[str]) -> Image.Image:
    """With 8 bits and without transparency; notes what is not what a camera gives."""
    mode = image.mode
    if mode == "F":
        raise InputError(
            "its pixels are floating point numbers without a known range", path=path, hint="save it with 8 bits"
        )
    if mode == "I" or mode.startswith("I;16"):  # Pillow's own conversion clips instead of scaling
        notes.append("16-bit grey: the upper 8 bits are taken")
        levels = np.clip(np.asarray(image).astype(np.int64), 0, 65535) >> 8
        return Image.fromarray(levels.astype(np.uint8))
    if image.has_transparency_data:
        notes.append("transparency is laid on black")
        rgba = (image.convert("LA") if mode == "La" else image).convert("RGBA")  # Pillow has no way in one step
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    if mode == "CMYK":
        notes.append("CMYK is mixed to RGB without its colour profile")
    elif mode in {"1", "L", "LA", "La"}:
        notes.append("a grey picture: red, green and blue are equal")
    elif mode == "LAB":
        notes.append("LAB is turned into RGB")
    return image


# Videos


def is_video(path: Path) -> bool:
    """Whether `path` is a file with a video's suffix, or one that begins as videos do; nothing is decoded.

    A file that cannot be read is none: whoever opens it as a picture says why.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return False
        return path.suffix.lower() in _VIDEOS or _begins_as_video(path, status.st_ino, status.st_mtime_ns)
    except (OSError, ValueError):
        return False


@lru_cache(2**14)
def _begins_as_video(path: Path, _inode: int, _changed: int) -> bool:
    """Remembered for this state of the file: a simulation asks several times of each, and opening it takes time."""
    with path.open("rb") as file:
        return _STARTS.match(file.read(16)) is not None


def video_frames(path: Path, *, every: int = 1, limit: int | None = None) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Name and picture, uint8 [H,W,3] RGB, of the frames of the file's first video stream.

    A frame is called after the file and its number, counted from 0 as nvinfer does: `clip-000123`.

    Args:
        path: in any container and codec that FFmpeg knows.
        every: only frames whose number it divides.
        limit: at most so many; None is all.

    Raises:
        PresetError: `every` or `limit` is less than 1.
        MissingDependencyError: PyAV is not installed, or does not load.
        InputError: the file cannot be read, is damaged or cut off, or holds no video; frames given before that are
            right.
    """
    for option, value in (("every", every), ("limit", limit)):
        if value is not None and value < 1:
            raise PresetError(f"{option} is {value}", hint="1 or more")
    return _decoded(load_av(), path, every, limit)


class VideoFacts(NamedTuple):
    """What a video's container says of its first video stream; None: nothing.

    Attributes:
        rate: frames a second.
        frames: how many there are, or would be at that rate.
    """

    rate: Fraction | None = None
    frames: int | None = None


def video_facts(path: Path) -> VideoFacts:
    """Rate and length of a video, without decoding it; nothing of a file that cannot be read.

    Raises:
        MissingDependencyError: PyAV is not installed, or does not load.
    """
    av = load_av()
    try:
        with _opened(av, path) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate
            frames = stream.frames or round(_announced(container, stream) * (rate or 0))
            return VideoFacts(Fraction(rate) if rate else None, frames or None)
    except (av.FFmpegError, OSError, ValueError, MemoryError, IndexError):
        return VideoFacts()  # whoever decodes it says why


def _opened(av: Any, path: Path) -> Any:
    # Tags in another encoding must not end it: PyAV 19 decodes them with surrogates and has no such argument.
    tags = {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}
    return av.open(str(path), **tags)


def _decoded(av: Any, path: Path, every: int, limit: int | None) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    number, given, end = 0, 0, 0
    try:
        with _opened(av, path) as container:
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
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(_broken(number, reason), path=path, hint=_AGAIN) from error
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


def load_av() -> Any:
    """The module PyAV.

    Raises:
        MissingDependencyError: it is not installed, or its libraries do not load.
    """
    hint = pip_install("ei-deepstream[video]")
    if not find_spec("av"):
        raise MissingDependencyError("reading videos needs the package av (PyAV)", hint=hint)
    try:
        import av  # an extra, and 30 MB of libraries
    except (ImportError, OSError) as error:
        raise MissingDependencyError(f"the package av is installed but does not load: {error}", hint=hint) from error
    av.logging.set_level(None)  # what FFmpeg says of a damaged file is in the exception
    return av


def _upright(frame: Any) -> NDArray[np.uint8]:
    """RGB, turned as the rotation recorded with it says (degrees counter-clockwise, to the next quarter)."""
    picture: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def _broken(number: int, reason: str) -> str:
    """`number` frames were decoded."""
    return f"the video breaks off behind frame {number - 1}: {reason}" if number else f"not a whole video: {reason}"
