"""Where the labels of boxes go: in the picture, beside their box, and not on each other where that can be avoided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.render.drawing_colours import Look
    from convert.render.drawing_text import Line

__all__ = ["Area", "Chip", "placed"]

_ON_A_LABEL = 1000.0
_ON_A_BOX = 1.0
"""What a pixel of a label costs on another label and on another box: labels hide text last."""

_MOST_HIDDEN = 0.25  # of a label's pixels may lie on other labels; otherwise it has no room


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in whole pixels of the canvas; `right` and `bottom` are behind its last pixel."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True, eq=False)
class Chip:
    """A label: lines on a ground of the class's colour, `margin` pixels around them."""

    lines: tuple[Line, ...]
    look: Look
    margin: int

    @property
    def width(self) -> int:
        """Pixels."""
        return max(line.width for line in self.lines) + 2 * self.margin

    @property
    def height(self) -> int:
        """Pixels."""
        return sum(line.height for line in self.lines) + 2 * self.margin


def placed(chips: Sequence[Chip], boxes: Sequence[Area], others: Sequence[Area], within: Area) -> list[Area | None]:
    """A place for each chip, None where there is no room.

    Args:
        chips: the most important first: it has the choice.
        boxes: the box of each chip, inside `within`.
        others: boxes without a chip.
        within: what no chip leaves, unless it is larger.
    """
    drawn = np.array([(box.left, box.top, box.right, box.bottom) for box in [*boxes, *others]], float).reshape(-1, 4)
    taken = np.zeros((len(chips), 4))
    found: list[Area | None] = []
    for index, (chip, box) in enumerate(zip(chips, boxes, strict=True)):
        places = np.array(_places(chip, box, within), float)
        hidden = _common(places, taken[:index])
        cost = _ON_A_LABEL * hidden + _ON_A_BOX * _common(places, np.delete(drawn, index, 0))
        best = int(cost.argmin())  # the first of equals: `_places` begins with the best
        if hidden[best] > _MOST_HIDDEN * chip.width * chip.height:
            found.append(None)
        else:
            taken[index] = places[best]
            found.append(Area(*map(int, places[best])))
    return found


def _places(chip: Chip, box: Area, within: Area) -> list[tuple[int, int, int, int]]:
    """Above, inside, below, beside; moved into `within`."""
    width, height = chip.width, chip.height
    corners = (
        (box.left, box.top - height),
        (box.right - width, box.top - height),
        (box.left, box.bottom),
        (box.right - width, box.bottom),
        (box.left, box.top),
        (box.right, box.top),
        (box.left - width, box.top),
        (box.right - width, box.top),
        (box.left, box.bottom - height),
        (box.right - width, box.bottom - height),
        (box.right, box.bottom - height),
        (box.left - width, box.bottom - height),
    )
    places = []
    for left, top in corners:
        x = max(within.left, min(left, within.right - width))
        y = max(within.top, min(top, within.bottom - height))
        places.append((x, y, x + width, y + height))
    return places


def _common(places: NDArray[np.float64], areas: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each place the pixels it shares with all areas together."""
    width = np.minimum(places[:, None, 2], areas[None, :, 2]) - np.maximum(places[:, None, 0], areas[None, :, 0])
    height = np.minimum(places[:, None, 3], areas[None, :, 3]) - np.maximum(places[:, None, 1], areas[None, :, 1])
    shared: NDArray[np.float64] = (np.clip(width, 0, None) * np.clip(height, 0, None)).sum(axis=1)
    return shared
