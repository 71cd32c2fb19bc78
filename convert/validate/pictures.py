"""Reads a folder of the user's pictures and brings them to the model's size as Edge Impulse did.

The rules of Edge Impulse's resize modes: squash stretches; fit-shortest crops the centre, for a W x H picture and a
w x h model to (w*H//h, H) where the picture is the wider of the two and to (W, h*W//w) otherwise; fit-longest shrinks
to fit and pads black on both sides. All of them interpolate bilinearly.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from convert.artifacts import ResizeMode
from convert.errors import InputError
from convert.framing import centre_crop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["SUFFIXES", "find", "read", "whole"]

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def find(folder: Path) -> tuple[Path, ...]:
    """The pictures directly inside `folder`, by name; hidden files and files of other kinds are left out.

    Raises:
        InputError: not a folder, not readable, or without a picture.
    """
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    except OSError as error:
        raise InputError(
            f"cannot read the folder of pictures: {error.strerror}", path=folder, hint="give --images a folder"
        ) from error
    chosen = sorted(path for path in paths if not path.name.startswith("."))
    if not chosen:
        raise InputError(
            "the folder holds no picture", path=folder, hint=f"looked for {', '.join(sorted(SUFFIXES))} directly in it"
        )
    return tuple(chosen)


def read(path: Path, height: int, width: int, channels: int, mode: ResizeMode | None) -> NDArray[np.uint8]:
    """One picture as uint8 [H,W,C], upright, RGB or grey (ITU-R 601 luma, as Pillow and nvinfer compute it).

    Args:
        path: any format Pillow reads; of several frames the first is taken.
        height, width, channels: the model's input; `channels` 1 or 3.
        mode: None and `none` mean squash.

    Raises:
        InputError: the file cannot be read or is not a whole picture.
    """
    return _read(path, channels, lambda image: _fit(image, width, height, mode))


def whole(path: Path, channels: int) -> NDArray[np.uint8]:
    """One picture as `read` gives it, in its own size.

    Raises:
        InputError: the file cannot be read or is not a whole picture.
    """
    return _read(path, channels, lambda image: image)


def _read(path: Path, channels: int, fit: Callable[[Image], Image]) -> NDArray[np.uint8]:
    import numpy as np  # noqa: PLC0415 - importing this module must stay light
    from PIL import Image, ImageOps  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd EXIF, ICC or TIFF tags of a picture that can be read
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                upright = _eight_bits(ImageOps.exif_transpose(file))
                fitted = fit(_flat(upright).convert("L" if channels == 1 else "RGB"))
    except Exception as error:  # Pillow's decoders raise whatever damaged bytes lead them to
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"not a picture that can be read: {reason}", path=path, hint="remove it from the folder, or save it again"
        ) from error
    return np.asarray(fitted, np.uint8).reshape(fitted.height, fitted.width, channels)


def _eight_bits(image: Image) -> Image:
    """16-bit grey as 8 bits; Pillow's own conversion clips instead of scaling."""
    import numpy as np  # noqa: PLC0415
    from PIL import Image as Images  # noqa: PLC0415

    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    values = np.clip(np.asarray(image).astype(np.int64), 0, 65535) >> 8
    return Images.fromarray(values.astype(np.uint8))


def _flat(image: Image) -> Image:
    """Without transparency: on black, the colour nvinfer pads with."""
    from PIL import Image as Images  # noqa: PLC0415

    if "A" not in image.getbands() and "transparency" not in image.info:
        return image
    rgba = image.convert("RGBA")
    return Images.alpha_composite(Images.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)


def _fit(image: Image, width: int, height: int, mode: ResizeMode | None) -> Image:
    """`image` as `width` x `height`."""
    from PIL import Image as Images  # noqa: PLC0415

    bilinear = Images.Resampling.BILINEAR
    across, down = image.size
    wider = across * height >= down * width
    if mode is ResizeMode.FIT_SHORTEST:
        left, top, kept, low = centre_crop(across, down, (width, height))
        # Cropped first: with resize's own box= what lies outside would bleed in.
        return image.crop((left, top, left + kept, top + low)).resize((width, height), bilinear)
    if mode is ResizeMode.FIT_LONGEST:
        size = (width, max(1, down * width // across)) if wider else (max(1, across * height // down), height)
        canvas = Images.new(image.mode, (width, height))
        canvas.paste(image.resize(size, bilinear), ((width - size[0]) // 2, (height - size[1]) // 2))
        return canvas
    return image.resize((width, height), bilinear)
