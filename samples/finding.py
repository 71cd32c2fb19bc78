"""What detectors learn from tables, what they answer, and how well they find what lies there.

A detector's picture is a square that the camera's was fitted into by its longer side, black above and below. Two kinds:

- FOMO answers with a grid of cells, 8 pixels of its picture each, and for every cell the probabilities of background
  and of each class. It learns the one cell that an object's middle lies in, as in Edge Impulse: a box is a cell.
- YOLOv5 answers with rows of centre, size, objectness and classes. It learns the row of that cell, and the box.

Here there is one class: fruit, whatever kind it is. What kind is said by a classifier, which sees the boxes only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from samples import dataset, tables
from samples.fruit import FRUIT
from samples.tables import Thing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from samples.scenes import Array

__all__ = ["Fit", "Tally", "boxes", "cells", "close_ups", "draw", "overlap", "peaks", "table", "tally"]

CELL = 8
"""Pixels of the detector's picture, for both kinds."""

_NMS = 0.2  # boxes that overlap more are one object; Edge Impulse's SDK has this number
_DRAWN = ((192, 108), (320, 180))  # what is drawn for training: smaller than a camera's pictures, to save time
_CLOSE = ((320, 180), (640, 360))


@dataclass(frozen=True, slots=True)
class Fit:
    """A picture of `width` x `height` in the middle of a square of `side` pixels."""

    width: int
    height: int
    side: int

    @property
    def scale(self) -> float:
        """Pixels of the square for one of the picture."""
        return self.side / max(self.width, self.height)

    @property
    def bars(self) -> tuple[int, int]:
        """Black pixels at the left, and above."""
        left, top = ((self.side - round(length * self.scale)) // 2 for length in (self.width, self.height))
        return left, top

    def inside(self, thing: Thing) -> tuple[float, float, float, float]:
        """Centre and size of a thing in shares of the square."""
        (x, y), (left, top) = thing.middle, self.bars
        pixels = (x * self.scale + left, y * self.scale + top, thing.width * self.scale, thing.height * self.scale)
        cx, cy, wide, high = (each / self.side for each in pixels)
        return cx, cy, wide, high

    def outside(self, label: str, cx: float, cy: float, wide: float, high: float) -> Thing:
        """The way back, to pixels of the picture."""
        grown, (left, top) = self.side / self.scale, self.bars
        middle = (cx * grown - left / self.scale, cy * grown - top / self.scale)
        wide, high = wide * grown, high * grown
        return Thing(label, middle[0] - wide / 2, middle[1] - high / 2, wide, high)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many objects there are, how many were found, and how many finds are no object or one found already."""

    objects: int = 0
    found: int = 0
    wrong: int = 0

    def __add__(self, other: Tally) -> Tally:
        """Of both."""
        return Tally(self.objects + other.objects, self.found + other.found, self.wrong + other.wrong)

    @property
    def recall(self) -> float:
        """The share of the objects that was found."""
        return self.found / self.objects

    @property
    def precision(self) -> float:
        """The share of the finds that are objects."""
        return self.found / (self.found + self.wrong) if self.found else 0.0


def table(seed: tuple[int, ...], frame: tuple[int, int]) -> tuple[NDArray[np.uint8], tuple[Thing, ...]]:
    """A table as friendly or harsh as its seed says, with up to six fruits."""
    # a stream of its own: photograph draws the light from the same seed
    return tables.photograph(seed, *frame, harsh=float(np.random.default_rng((*seed, 2)).random()))


def draw(side: int, count: int, seed: int, *, rows: bool) -> tuple[Array, NDArray[Any]]:
    """`count` tables as a detector's inputs [n, side, side, 3], and what it is to answer.

    That is, with `rows`, for each cell objectness (0 or 1), centre and size, float32 [n, cells, 5]; without, the class
    of each cell, int64 [n, side/8, side/8].
    """
    drawn = _spread(partial(_table, side), seed, count)
    wanted = np.stack([answer for _, answer in drawn])
    if not rows:
        wanted = wanted[..., 0].astype(np.int64).reshape(count, side // CELL, side // CELL)
    return np.stack([picture for picture, _ in drawn]), wanted


def close_ups(side: int, count: int, seed: int) -> tuple[Array, NDArray[np.int64]]:
    """The fruits of `count` tables as a detector's boxes show them to a classifier: inputs [n, side, side, 3], classes.

    Of every other table FOMO's cells (in a grid of 12 across the picture), else boxes; both a little off.
    """
    drawn = [each for some in _spread(partial(_close_ups, side), seed, count) for each in some]
    return np.stack([picture for picture, _ in drawn]), np.array([number for _, number in drawn])


def cells(answer: Array, threshold: float, fit: Fit, label: str) -> tuple[Thing, ...]:
    """The things in a FOMO's answer [rows, columns, 2]; of neighbouring cells the highest."""
    rows, columns = answer.shape[:2]
    found = peaks(answer[..., 1], threshold)
    return tuple(fit.outside(label, (x + 0.5) / columns, (y + 0.5) / rows, 1 / columns, 1 / rows) for x, y in found)


def boxes(answer: Array, threshold: float, fit: Fit, label: str) -> tuple[Thing, ...]:
    """The things in a YOLO's answer [A, 6]; of overlapping boxes the best."""
    scores = answer[:, 4] * answer[:, 5]
    kept: list[Thing] = []
    for at in np.argsort(-scores, kind="stable")[: np.count_nonzero(scores >= threshold)]:
        thing = fit.outside(label, *answer[at, :4].tolist())
        if all(overlap(thing, other) <= _NMS for other in kept):
            kept.append(thing)
    return tuple(kept)


def peaks(scores: Array, threshold: float) -> list[tuple[int, int]]:
    """Column and row of each cell that reaches `threshold` and that no neighbour exceeds (diagonals too).

    Args:
        scores: [rows, columns] of one class. Of two equal neighbours the first in reading order counts.
    """
    rows, columns = scores.shape
    around = np.full((rows + 2, columns + 2), -np.inf, np.float32)
    around[1:-1, 1:-1] = scores
    kept = scores >= threshold
    for down, right in np.ndindex(3, 3):
        other = around[down : down + rows, right : right + columns]
        if (down, right) != (1, 1):
            kept &= scores > other if (down, right) < (1, 1) else scores >= other
    return [(int(column), int(row)) for row, column in np.argwhere(kept)]


def overlap(one: Thing, other: Thing) -> float:
    """Intersection over union of two rectangles."""
    wide = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    high = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    shared = max(wide, 0.0) * max(high, 0.0)
    return shared / (one.width * one.height + other.width * other.height - shared)


def tally(found: Iterable[Thing], things: Sequence[Thing], least: float) -> Tally:
    """Hold what was found in one picture against what lies there; a find needs an overlap of `least` with a thing."""
    seen: set[int] = set()
    wrong = 0
    for each in found:
        shares = [overlap(each, thing) for thing in things]
        best = int(np.argmax(shares)) if shares else -1
        if not shares or shares[best] < least or best in seen:
            wrong += 1
        else:
            seen.add(best)
    return Tally(len(things), len(seen), wrong)


def _spread(one: Callable[[tuple[int, int]], Any], seed: int, count: int) -> list[Any]:
    return dataset.spread(one, [(seed, index) for index in range(count)], 16)


def _table(side: int, seed: tuple[int, int]) -> tuple[Array, Array]:
    frame = _DRAWN[seed[1] % len(_DRAWN)]
    picture, things = table(seed, frame)
    answer = np.zeros(((side // CELL) ** 2, 5), np.float32)
    for thing in things:
        inside = Fit(*frame, side).inside(thing)
        column, row = (int(at * side) // CELL for at in inside[:2])
        answer[row * (side // CELL) + column] = (1, *inside)
    return dataset.model_input(picture, side, side, 3, "fit-longest"), answer


def _close_ups(side: int, seed: tuple[int, int]) -> list[tuple[Array, int]]:
    frame = _CLOSE[seed[1] // 2 % len(_CLOSE)]
    picture, things = table(seed, frame)
    random = np.random.default_rng((*seed, 1))
    found: list[tuple[Array, int]] = []
    for thing in things:
        wide, high, off = thing.width, thing.height, 0.06
        if seed[1] % 2:
            wide, high, off = frame[0] / 12, frame[0] / 12, 0.55
        x, y = (at + random.uniform(-off, off) * long for at, long in zip(thing.middle, (wide, high), strict=True))
        wide, high = wide * random.uniform(0.88, 1.15), high * random.uniform(0.88, 1.15)
        left, top, right, low = (round(at) for at in (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2))
        part = Image.fromarray(picture).crop((left, top, right, low)).resize((side, side), Image.Resampling.BILINEAR)
        found.append((np.asarray(part, np.float32) / 255, list(FRUIT).index(thing.label)))
    return found
