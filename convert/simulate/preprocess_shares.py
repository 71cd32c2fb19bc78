"""Which pixels of a line make each pixel of a scaled line, and how much of each.

The rule is the one NVIDIA documents for its image library's resize (NPP, "ResizeSqrPixel"): the centre of pixel i of n
lies at (i + 0.5) * size / n - 0.5. Nearest takes the pixel that covers that point; bilinear mixes the two beside it, no
others, however small the picture becomes; pixels behind the border are those at it. Their shares are fractions with a
small common denominator (six, where 320 pixels become 96), so everything is said in whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LUMA", "Axis", "bilinear", "nearest", "type_for"]

LUMA = (19595, 38470, 7471)
"""0.299, 0.587 and 0.114 (JPEG's and BT.601's luma of red, green and blue) times 65536."""


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One direction of a scaled picture.

    Attributes:
        index: for each of its pixels the one of the source, or both.
        weight: of each of the two, uint32; they add up to `whole`. Empty where there is one.
        whole: the common denominator of the shares.
    """

    index: tuple[NDArray[np.intp], ...]
    weight: tuple[NDArray[np.uint32], ...]
    whole: int

    def at(self, start: int, size: int) -> Axis:
        """In a line of `size` pixels; what is cut out begins at `start`, and can end one pixel behind an odd frame."""
        return Axis(tuple(np.minimum(index + start, size - 1) for index in self.index), self.weight, self.whole)


@lru_cache(maxsize=256)
def nearest(size: int, count: int) -> Axis:
    """The pixel that covers (i + 0.5) * size / count."""
    index = (2 * np.arange(count, dtype=np.int64) + 1) * size // (2 * count)
    return Axis((index.astype(np.intp),), (), 1)


@lru_cache(maxsize=256)
def bilinear(size: int, count: int) -> Axis:
    """The pixels beside (i + 0.5) * size / count - 0.5."""
    position = (2 * np.arange(count, dtype=np.int64) + 1) * size - count
    first, rest = np.divmod(position, 2 * count)
    pixels = tuple(np.clip(index, 0, size - 1).astype(np.intp) for index in (first, first + 1))
    if not rest.any():  # every point is the centre of a pixel, as when 480 lines become 96
        return Axis(pixels[:1], (), 1)
    common = int(np.gcd.reduce(rest, initial=2 * count))
    whole = 2 * count // common
    second = (rest // common).astype(np.uint32)
    return Axis(pixels, (whole - second, second), whole)


def type_for(whole: int) -> type[np.unsignedinteger[Any]]:
    """Holds 255 * whole and half of whole more."""
    most = 255 * whole + whole // 2
    return np.uint16 if most < 2**16 else np.uint32 if most < 2**32 else np.uint64
