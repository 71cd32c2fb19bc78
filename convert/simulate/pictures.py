"""Pictures as a camera would give them: upright, 8-bit RGB, one after the other, each with a name of its own.

DeepStream's frames are decoded video or JPEG; everything else a file can hold is turned into that, and a note says what
was done: EXIF rotation is applied, transparency is laid on black (what nvinfer pads with), 16-bit levels lose their
lower byte, CMYK is mixed as Pillow does it without colour profiles, of an animation the first frame is taken.
"""

from __future__ import annotations

import re
import stat
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convert.errors import InputError
from convert.simulate import video
from convert.validate.pictures import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["MOST_PIXELS", "Picture", "Unreadable", "find", "read", "read_all"]

MOST_PIXELS = 100_000_000
"""Of one picture, 300 MB as RGB: twelve times the pixels of an 8K frame would be 400 million."""

_LONGEST_NAME = 80  # characters; with a suffix it fits every file system
_UNSAFE = re.compile(r"[^\w.+-]+")
_SIXTEEN_BITS = 8  # of the 16 are lost


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A frame.

    Attributes:
        name: unique among the pictures, usable as part of a file name.
        source: the file.
        pixels: uint8 [H,W,3] RGB.
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


def find(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The files that are meant: files as they are named, of folders the pictures and videos directly in them, by name.

    Raises:
        InputError: a path does not exist, or a folder cannot be read or holds nothing of the kind.
    """
    found: list[Path] = []
    for path in paths:
        try:
            if not path.is_dir():
                path.stat()
                found.append(path)
                continue
            inside = sorted(each for each in path.iterdir() if _is_meant(each))
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", path=path, hint="check the path") from None
        if not inside:
            known = ", ".join(sorted(SUFFIXES | video.SUFFIXES))
            raise InputError("the folder holds no picture", path=path, hint=f"looked for {known} directly in it")
        found += inside
    return tuple(found)


def read_all(paths: Iterable[Path], *, every: int = 1, limit: int | None = None) -> Iterator[Picture | Unreadable]:
    """Every picture, and the frames of every video, in order; what cannot be read is said instead.

    Args:
        paths: files.
        every: of a video every so-manieth frame.
        limit: no more frames of one video.

    Raises:
        MissingDependencyError: a video, and PyAV is not installed.
    """
    names = _Names()
    for path in paths:
        try:
            if video.is_video(path):
                for stem, pixels in video.frames(path, every=every, limit=limit):
                    yield Picture(names(stem), path, pixels)
            else:
                pixels, notes = read(path)
                yield Picture(names(path.stem), path, pixels, notes)
        except InputError as error:
            yield Unreadable(path, error)


def read(path: Path) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """One picture, uint8 [H,W,3] RGB, and what was done to it.

    Raises:
        InputError: no ordinary file, not a picture, damaged, or larger than MOST_PIXELS.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415 - heavy, and only pictures need it

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError("not an ordinary file", path=path, hint="name a picture or a folder of pictures")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path, hint="check the path") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd EXIF, ICC or TIFF tags of a picture that can be read, and its size
            with Image.open(path) as file:
                _check_size(path, file)
                notes = []
                if getattr(file, "n_frames", 1) > 1:
                    notes.append(f"of {file.n_frames} frames the first is taken")  # type: ignore[attr-defined]
                file.load()
                upright = ImageOps.exif_transpose(file)
                if upright.size != file.size or file.getexif().get(_ORIENTATION, 1) != 1:
                    notes.append("turned upright as its EXIF orientation says")
                pixels = _rgb(upright, path, notes)
    except InputError:
        raise
    except Image.DecompressionBombError:  # Pillow has a limit of its own, above ours
        raise _too_large(path, f"far more than {MOST_PIXELS:,} pixels, which is the most that is taken") from None
    except UnidentifiedImageError:
        raise InputError(
            "not a picture that can be read: its bytes begin like no picture format that is known",
            hint="leave it out, or save it again as PNG or JPEG",
            path=path,
        ) from None
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise whatever damaged bytes lead them to
        reason = " ".join(str(error).replace(str(path), "the file").split()) or type(error).__name__
        raise InputError(
            f"not a picture that can be read: {reason}", path=path, hint="leave it out, or save it again"
        ) from None
    return pixels, tuple(notes)


_ORIENTATION = 0x0112  # EXIF


def _check_size(path: Path, file: Image) -> None:
    width, height = file.size
    if width * height > MOST_PIXELS:
        raise _too_large(path, f"{width} x {height} pixels, and no more than {MOST_PIXELS:,} are taken")


def _too_large(path: Path, what: str) -> InputError:
    return InputError(f"the picture has {what}", hint="scale it down to the size of the camera's frames", path=path)


def _rgb(image: Image, path: Path, notes: list[str]) -> NDArray[np.uint8]:
    """Notes what is not what a camera gives."""
    from PIL import Image as Images  # noqa: PLC0415 - imported by the caller

    mode = image.mode
    if mode == "F":
        raise InputError(
            "its pixels are floating point numbers without a known range", path=path, hint="save it with 8 bits"
        )
    if mode == "I" or mode.startswith("I;16"):
        notes.append("16-bit grey: the upper 8 bits are taken")
        levels = (np.clip(np.asarray(image).astype(np.int64), 0, 65535) >> _SIXTEEN_BITS).astype(np.uint8)
        return np.repeat(levels[:, :, None], 3, axis=2)
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        notes.append("transparency is laid on black")
        rgba = image.convert("RGBA")
        image = Images.alpha_composite(Images.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    if mode == "CMYK":
        notes.append("CMYK is mixed to RGB without its colour profile")
    elif mode in {"1", "L", "LA", "La"}:
        notes.append("a grey picture: red, green and blue are equal")
    elif mode in {"LAB", "HSV"}:
        notes.append(f"{mode} is turned into RGB")
    pixels: NDArray[np.uint8] = np.array(image.convert("RGB"))
    return pixels


def _is_meant(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix.lower() in SUFFIXES | video.SUFFIXES and path.is_file()


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
