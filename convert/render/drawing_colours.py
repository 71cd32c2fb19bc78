"""One look for each class, the same in pictures and on the page, told apart by colour-blind people too.

Seven colours of Okabe and Ito's palette for colour-blind readers (jfly.uni-koeln.de/color, 2008; its black is left
out: it is the outline of every box), each also with a white or a black core: 21 looks before one comes again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["BLACK", "LOOKS", "WHITE", "Colour", "Look", "look"]

Colour = tuple[int, int, int]
"""Red, green, blue, 0..255."""

BLACK: Final[Colour] = (0, 0, 0)
WHITE: Final[Colour] = (255, 255, 255)

_PALETTE: Final[tuple[Colour, ...]] = (
    (86, 180, 233),  # sky blue
    (230, 159, 0),  # orange
    (0, 158, 115),  # bluish green
    (204, 121, 167),  # reddish purple
    (240, 228, 66),  # yellow
    (213, 94, 0),  # vermilion
    (0, 114, 178),  # blue
)


@dataclass(frozen=True, slots=True)
class Look:
    """How a class is drawn.

    Attributes:
        number: its place in `LOOKS`.
        colour: of the line and of the label's ground.
        core: of a thinner line on the line; None without one.
    """

    number: int
    colour: Colour
    core: Colour | None = None

    @property
    def text(self) -> Colour:
        """Black or white, whichever stands out more on `colour` (relative luminance as in WCAG 2.1)."""
        luminance = _luminance(self.colour)
        return BLACK if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else WHITE

    @property
    def hex(self) -> str:
        """`colour` as in CSS."""
        return "#{:02x}{:02x}{:02x}".format(*self.colour)


LOOKS: Final = tuple(
    Look(number, _PALETTE[number % len(_PALETTE)], (None, WHITE, BLACK)[number // len(_PALETTE)])
    for number in range(3 * len(_PALETTE))
)
"""All looks; a class's is `look(engine, class_id)`."""


def look(engine: int, class_id: int) -> Look:
    """Of a class of an engine (gie-unique-id); class 0 of engine 2 looks unlike class 0 of engine 1."""
    return LOOKS[(class_id + 3 * (engine - 1)) % len(LOOKS)]


def _luminance(colour: Colour) -> float:
    red, green, blue = (value / 3294.6 if value <= 10 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
