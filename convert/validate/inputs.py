"""Pictures to measure on, made from nothing but their number: the same on every machine.

They must move a network of any training: smooth scenes and textures (what cameras give), noise (every weight counts)
and edges (the ends of the range, single pixels, one channel alone: what shows a wrong offset, padding or colour order).
Everything is integer arithmetic, so no rounding differs between processors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

__all__ = ["image_like", "pictures"]


def pictures(count: int, height: int, width: int, channels: int) -> Iterator[tuple[str, Picture]]:
    """`count` times (name, uint8 [H,W,C]); of four in a row one is an edge, one noise and two are image-like.

    The n-th picture does not depend on `count`, so a run on fewer is a part of a run on more.
    """
    edges = _edges(height, width, channels)
    for number in range(count):
        random = np.random.default_rng(number)
        turn, kind = divmod(number, 4)
        if kind == 0 and turn < len(edges):
            yield edges[turn]
        elif kind == 1:
            yield f"noise {number}", _noise(random, (height, width, channels), faint=turn % 2 == 1)
        else:
            name, make = _SCENES[(2 * turn + kind) % len(_SCENES)]
            yield f"{name} {number}", make(random, height, width, channels)


def image_like(count: int, height: int, width: int, channels: int) -> Iterator[Picture]:
    """`count` times uint8 [H,W,C], every kind of scene in turn: neither noise nor edges."""
    for number in range(count):
        _, make = _SCENES[number % len(_SCENES)]
        yield make(np.random.default_rng([number, 1]), height, width, channels)


def _edges(height: int, width: int, channels: int) -> list[tuple[str, Picture]]:
    black = np.zeros((height, width, channels), np.uint8)
    rows, columns = np.mgrid[:height, :width]
    pixel = black.copy()
    pixel[height // 2, width // 2] = 255
    edges = [
        ("black", black),
        ("white", black + np.uint8(255)),
        ("checker", _spread((rows + columns) % 2, channels)),
        ("single bright pixel", pixel),
    ]
    if channels == 1:
        half = _spread(columns < width // 2, channels)
        return [*edges, ("stripes", _spread(rows // 2 % 2, channels)), ("half", half), ("other half", 255 - half)]
    for channel in range(channels):
        only = black.copy()
        only[..., channel] = 255
        edges.append((f"channel {channel} alone", only))
    return [*edges, ("stripes", _spread(rows // 2 % 2, channels))]


def _spread(mask: NDArray[np.generic], channels: int) -> Picture:
    """0 and 1 as black and white, in every channel."""
    return np.repeat(mask.astype(np.uint8)[..., np.newaxis] * np.uint8(255), channels, axis=2)


def _noise(random: np.random.Generator, shape: tuple[int, int, int], *, faint: bool) -> Picture:
    """Every value by chance; or, `faint`, within 16 of a middle one."""
    if faint:
        return random.integers(0, 33, shape, np.uint8) + np.uint8(random.integers(32, 192))
    return random.integers(0, 256, shape, np.uint8)


def _field(random: np.random.Generator, height: int, width: int, channels: int) -> Picture:
    """A smooth field: a coarse grid of random values, interpolated."""
    cells = int(random.integers(2, 9))
    grid = random.integers(0, 256, (cells + 1, cells + 1, channels), np.uint16)
    rows = _interpolate(grid, height)
    return _interpolate(rows.swapaxes(0, 1), width).swapaxes(0, 1).astype(np.uint8)


def _interpolate(grid: NDArray[np.uint16], size: int) -> NDArray[np.uint16]:
    """`grid` [n, ...] of values up to 255, linearly to [size, ...] in steps of 1/256."""
    place = np.arange(size) * (len(grid) - 1) * 256 // size
    low, part = place >> 8, (place & 255).astype(np.uint16).reshape(-1, *[1] * (grid.ndim - 1))
    between: NDArray[np.uint16] = (grid[low] * (256 - part) + grid[low + 1] * part) >> 8
    return between


def _gradient(random: np.random.Generator, height: int, width: int, channels: int) -> Picture:
    """Every channel rises along a direction of its own."""
    rows, columns = np.mgrid[:height, :width][..., np.newaxis]
    down, right = random.integers(-255, 256, (2, channels))
    start = random.integers(0, 256, channels)
    ramp: Picture = np.clip(start + rows * down // height + columns * right // width, 0, 255).astype(np.uint8)
    return ramp


def _blobs(random: np.random.Generator, height: int, width: int, channels: int) -> Picture:
    """Discs of one colour each on a smooth ground: objects."""
    picture = _field(random, height, width, channels)
    rows, columns = np.ogrid[:height, :width]
    for _ in range(int(random.integers(2, 7))):
        y, x = int(random.integers(0, height)), int(random.integers(0, width))
        radius = int(random.integers(1, max(2, min(height, width) // 3)))
        picture[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = random.integers(0, 256, channels, np.uint8)
    return picture


def _texture(random: np.random.Generator, height: int, width: int, channels: int) -> Picture:
    """A small random tile, repeated, over a smooth ground."""
    side = int(random.integers(3, 12))
    tile = random.integers(0, 128, (side, side, channels), np.uint8)
    repeats = (-(-height // side), -(-width // side), 1)
    ground = _field(random, height, width, channels) >> 1
    textured: Picture = ground + np.tile(tile, repeats)[:height, :width]
    return textured


_SCENES = (("field", _field), ("gradient", _gradient), ("blobs", _blobs), ("texture", _texture))
