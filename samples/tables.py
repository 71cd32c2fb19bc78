"""Tables with several fruits, as a wide camera sees them, and where each fruit lies: pictures for a detector.

A picture depends on its seed and nothing else. The fruits are those of `samples.fruit`; they lie apart from each other
and wholly inside the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from samples.fruit import FRUIT
from samples.scenes import View, expose, mix, shadow, surface

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from samples.scenes import Array, Random

__all__ = ["Thing", "belt", "lay", "photograph"]

_SIZES = (0.21, 0.3)  # scene units; a fruit is about twice as large, the table 2 high: 1/5 to 2/7 of the picture
_APART = 0.64  # scene units between two middles: more than two cells of a grid of 12 across the picture
_TALL = 0.45  # how high a fruit stands over the table, in its own size
_LEAN = 0.4  # how far it is turned from upright, radians: the middle of a banana's rectangle must not lie beside it


@dataclass(frozen=True, slots=True)
class Thing:
    """One fruit in a picture: its class, and the rectangle round what is seen of it, in pixels."""

    label: str
    left: float
    top: float
    width: float
    height: float

    @property
    def middle(self) -> tuple[float, float]:
        """Of the rectangle: x, y."""
        return self.left + self.width / 2, self.top + self.height / 2

    def scaled(self, factor: float) -> Thing:
        """The same in a picture `factor` times as large."""
        return Thing(self.label, *(factor * value for value in (self.left, self.top, self.width, self.height)))


def lay(random: Random, aspect: float, most: int) -> list[tuple[float, float, float]]:
    """Middles and sizes of up to `most` fruits in scene units: x runs to +-`aspect`, y to +-1."""
    laid: list[tuple[float, float, float]] = []
    for _ in range(60):
        if len(laid) == most:
            break
        size = random.uniform(*_SIZES)
        x, y = random.uniform(-1, 1, 2) * (aspect - 1.15 * size, 1 - 1.15 * size)
        if all(np.hypot(x - other[0], y - other[1]) > _APART for other in laid):
            laid.append((float(x), float(y), size))
    return laid


def photograph(
    seed: tuple[int, ...], width: int, height: int, *, harsh: float, most: int | None = None, kind: int | None = None
) -> tuple[NDArray[np.uint8], tuple[Thing, ...]]:
    """A table with up to `most` fruits of any class (None: none to six); uint8 [height, width, 3].

    Args:
        seed: everything random comes from it.
        harsh: 0 a friendly picture, 1 a dark or blown-out, noisy one.
        kind: the surface's number in `scenes.SURFACES`; None for any.
    """
    random = np.random.default_rng(seed)
    view = View.of(width, height, random)
    picture = surface(view, random, kind)
    strength = random.uniform(0.45, 0.7)
    labels = list(FRUIT)
    things = []
    for x, y, size in lay(random, width / height, int(random.integers(7)) if most is None else most):
        label = labels[int(random.integers(len(labels)))]
        things.append(_put(picture, view, random, label, (x, y), size, strength))
    return expose(view, picture, random, harsh=harsh), tuple(things)


def belt(seed: tuple[int, ...], width: int, height: int, *, fruits: int, step: int) -> Iterator[NDArray[np.uint8]]:
    """Frames of a belt that moves to the left and carries `fruits` past the camera, one behind the other.

    The first frame has none yet, the last none any more.

    Args:
        seed: everything random comes from it.
        width, height: of a frame, pixels; each is uint8 [height, width, 3].
        step: pixels from frame to frame.
    """
    random = np.random.default_rng(seed)
    window = View.of(width, height, random)
    labels, (low, high) = list(FRUIT), _SIZES
    places = width / height + 2 * high + 1.4 * high * 2 * np.arange(fruits)
    whole = int((places[-1] + high + 3 * width / height) * height / 2)
    x = window.x[0, 0] + window.pixel * np.arange(whole, dtype=np.float32)
    view = View(*np.meshgrid(x, window.y[:, 0]), window.pixel, window.light)
    picture = surface(view, random, 5)
    for number, place in enumerate(places):
        middle = float(place), float(random.uniform(-0.45, 0.45))
        _put(picture, view, random, labels[number % len(labels)], middle, float(random.uniform(low, high)), 0.6)
    for left in range(0, whole - width, step):
        light = np.random.default_rng((*seed, 1))  # it does not flicker, and what does not change is small in a video
        yield expose(window, picture[:, left : left + width], light, harsh=0.1)


def _put(
    picture: Array, view: View, random: Random, label: str, middle: tuple[float, float], size: float, strength: float
) -> Thing:
    """Draw one fruit and its shadow into `picture`. Only what lies around it is computed: that is much faster."""
    rows, columns = (
        slice(*np.searchsorted(line, (at - 2 * size, at + 2 * size)))
        for line, at in ((view.y[:, 0], middle[1]), (view.x[0], middle[0]))
    )
    part = View(view.x[rows, columns], view.y[rows, columns], view.pixel, view.light)
    colours, mask = FRUIT[label](part.local(middle, size, random.uniform(-1, 1) * _LEAN), random)
    shaded = shadow(picture[rows, columns], part, mask, height=_TALL * size, strength=strength)
    picture[rows, columns] = mix(shaded, colours, mask)
    down, across = (np.flatnonzero((mask > 0.5).any(axis)) for axis in (1, 0))
    left, top = columns.start + across[0], rows.start + down[0]
    return Thing(label, float(left), float(top), float(across[-1] - across[0] + 1), float(down[-1] - down[0] + 1))
