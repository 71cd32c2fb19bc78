"""Four painted wooden shapes: a circle, a square, a star and a triangle, lying flat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from samples.scenes import View, cover, cut, mix, noise, normals, rgb

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from samples.scenes import Array, Random

    Outline: TypeAlias = Callable[[Array, Array], Array]
    Painter: TypeAlias = Callable[[View, Random], tuple[Array, Array]]

__all__ = ["SHAPES"]

_COLOURS = (
    "c8402f",
    "2f6fb0",
    "e2ac2c",
    "3d8f57",
    "7b4f9d",
    "e27d3a",
    "2c9aa3",
    "f2eee4",
    "4a3530",
    "d9768f",
    "7fb8d6",
    "b23a63",
)


def _circle(x: Array, y: Array) -> Array:
    return np.asarray(np.hypot(x, y) - 0.8, np.float32)


def _square(x: Array, y: Array) -> Array:
    dx, dy = np.abs(x) - 0.64, np.abs(y) - 0.64
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
    return np.asarray(outside + np.minimum(np.maximum(dx, dy), 0) - 0.06, np.float32)


def _triangle(x: Array, y: Array) -> Array:
    """Equilateral, point up: the largest distance to its three sides."""
    sides = [x * np.sin(turn) + y * np.cos(turn) for turn in (0, 2 * np.pi / 3, 4 * np.pi / 3)]
    return np.asarray(np.maximum(np.maximum(sides[0], sides[1]), sides[2]) - 0.48, np.float32)


def _star(x: Array, y: Array) -> Array:
    """Five points: each tenth of the turn is bounded by one straight side from a point to a notch."""
    radius, angle = np.hypot(x, y), np.arctan2(x, -y)
    fold = np.abs((angle + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    px, py = radius * np.sin(fold), radius * np.cos(fold)
    tip, notch = 0.98, 0.43
    nx, ny = notch * np.sin(np.pi / 5), notch * np.cos(np.pi / 5)
    ex, ey = nx, ny - tip
    side = (px * -ey + (py - tip) * ex) / np.hypot(ex, ey)
    return np.asarray(side, np.float32)


def _painted(outline: Outline) -> Painter:
    def paint(view: View, random: Random) -> tuple[Array, Array]:
        distance = outline(view.x, view.y)
        colour = rgb(_COLOURS[random.integers(len(_COLOURS))])
        grain = noise(random, view.x, 70, 5) * 0.05 + noise(random, view.x, 4, 5) * 0.04
        albedo = mix(np.broadcast_to(colour, (*view.x.shape, 3)), rgb("ffffff"), 0.04) * (1 + grain)[..., None]
        nx, ny, nz = normals(distance, 0.07, view)
        flat = (nx * 0.8, ny * 0.8, np.sqrt(1 - 0.64 * (1 - nz * nz)))
        return cut(view, np.asarray(albedo, np.float32), flat, gloss=0.12, spread=30), cover(distance, view)

    return paint


SHAPES: dict[str, Painter] = {
    "circle": _painted(_circle),
    "square": _painted(_square),
    "star": _painted(_star),
    "triangle": _painted(_triangle),
}
"""Label -> painter, in the order of the model's outputs."""
