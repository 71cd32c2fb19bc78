"""Pictures as the features that the protocol carries, and features as the tensor that the model takes.

One float32 a pixel, row by row, R << 16 | G << 8 | B: exact in float32. Inside the executable a grey model gets
0.299 R + 0.587 G + 0.114 B of it (ei_run_dsp.h, `extract_image_features`).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from convert.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LUMA", "pack", "read_features", "unpack"]

LUMA = (0.299, 0.587, 0.114)
_HINT = "numbers separated by commas or white space, decimal or 0xRRGGBB, as Studio's 'Copy raw features' gives them"


def pack(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 [H*W] from a uint8 picture [H,W,3] in RGB order or [H,W,1]; grey becomes r = g = b."""
    import numpy as np  # noqa: PLC0415 - importing this module must stay light

    values = picture.astype(np.uint32)
    red, green, blue = (values[..., min(channel, values.shape[-1] - 1)] for channel in range(3))
    return (red << 16 | green << 8 | blue).reshape(-1).astype(np.float32)


def unpack(features: NDArray[np.float32], height: int, width: int, channels: int) -> NDArray[np.float32]:
    """float32 [H,W,channels], 0..255, from features [H*W]; one channel is the luma of three.

    What no picture packs to (below 0, above 0xFFFFFF, NaN) is clamped; the original's cast of it is undefined in C++.
    """
    import numpy as np  # noqa: PLC0415

    packed = np.fmin(np.fmax(features, np.float32(0)), np.float32(0xFFFFFF)).astype(np.uint32)
    shifts = np.array([16, 8, 0], np.uint32)
    colours = ((packed[:, np.newaxis] >> shifts) & 0xFF).astype(np.float32)
    if channels == 1:
        red, green, blue = np.array(LUMA, np.float32)
        colours = (colours[:, :1] * red + colours[:, 1:2] * green) + colours[:, 2:] * blue
    return colours.reshape(height, width, channels)


def read_features(path: Path) -> NDArray[np.float32]:
    """The numbers in a text file, as float32 [n]: a JSON list, or separated by commas, blanks and line ends.

    Raises:
        InputError: not readable, or not numbers.
    """
    import numpy as np  # noqa: PLC0415

    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the features cannot be read: {error}", path=path, hint=_HINT) from error
    try:
        values: list[Any] = json.loads(text) if text.startswith("[") else [_number(w) for w in _words(text)]
        features = np.array(values, np.float64)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"not a list of features: {error}", path=path, hint=_HINT) from error
    if features.ndim != 1 or not features.size:
        raise InputError("not a list of features", path=path, hint=_HINT)
    with np.errstate(over="ignore"):
        single = features.astype(np.float32)
    if not np.isfinite(single).all():
        raise InputError("a feature is no finite float32", path=path, hint=_HINT)
    return single


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", text) if word]


def _number(word: str) -> float:
    return float(int(word, 16)) if word.lower().startswith("0x") else float(word)
