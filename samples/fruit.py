"""Five invented fruits, drawn from signed distances: an apple, a banana, half a kiwi, an orange and a pear.

Each function draws one object in its own coordinates (about -1..1) and answers its colours and its outline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from samples.scenes import View, cover, cut, mix, noise, normals, rgb, step

if TYPE_CHECKING:
    from collections.abc import Callable

    from samples.scenes import Array, Random

    Painter: TypeAlias = Callable[[View, Random], tuple[Array, Array]]

__all__ = ["FRUIT"]


def _apple(view: View, random: Random) -> tuple[Array, Array]:
    x, y = view.x, view.y
    radius, angle = np.hypot(x, y), np.arctan2(x, -y)  # 0 at the stem
    dip = np.exp(-((angle / 0.42) ** 2))
    foot = np.exp(-(((np.abs(angle) - np.pi) / 0.3) ** 2))
    shoulders = 0.05 * np.exp(-(((np.abs(angle) - 0.75) / 0.5) ** 2)) - 0.05 * np.clip(y, 0, 1) ** 2
    distance = np.asarray(radius - 0.86 * (1 + shoulders - 0.16 * dip - 0.04 * foot), np.float32)
    skin, blush, under = ((rgb("b3202a"), rgb("d8452f"), rgb("e9b04a")), (rgb("c8322c"), rgb("e0603a"), rgb("efc95c")))[
        random.integers(2)
    ]
    meridian = x / np.sqrt(np.clip(1 - (y / 0.9) ** 2, 0.06, 1))  # streaks run from stem to foot
    streaks = np.sin(meridian * 17 + 3 * noise(random, x, 3, 4)) * 0.2 + noise(random, x, 5, 9) * 0.45
    albedo = mix(skin, blush, np.clip(0.4 + streaks, 0, 1))
    glow = step(0.5, 1.5, noise(random, x, 2, 2) + random.uniform(0.1, 0.7) + 0.5 * dip)
    albedo = mix(albedo, under, glow * 0.7)
    albedo = mix(albedo, rgb("f3d9a0"), _freckles(view, random, 40, 0.017) * 0.5)
    albedo = albedo * (1 - 0.6 * np.exp(-((x / 0.26) ** 2) - ((y + 0.66) / 0.16) ** 2))[..., None]
    colours = cut(view, albedo, normals(distance, 0.86, view), gloss=0.42, spread=38)
    mask = cover(distance, view)
    stem = _capsule(x, y, (0.0, -0.66), (random.uniform(-0.16, 0.16), -1.06), 0.04)
    colours, mask = _over(view, colours, mask, stem, rgb("5b3a22"), 0.05)
    if random.random() < 0.75:
        side = random.choice((-1, 1))
        leaf = _leaf(x * side, y, (0.05, -0.84), (0.62, -1.02), 0.15)
        colours, mask = _over(view, colours, mask, leaf, rgb("5a8a35"), 0.2)
    return colours, mask


def _orange(view: View, random: Random) -> tuple[Array, Array]:
    x, y = view.x, view.y
    distance = np.hypot(x, y * random.uniform(1.0, 1.06)) - np.float32(0.86)
    nx, ny, nz = normals(distance, 0.86, view)
    rows = 84
    pores_x, pores_y = noise(random, x, rows, rows * 4 // 3), noise(random, x, rows, rows * 4 // 3)
    bumps = (nx + 0.16 * pores_x, ny + 0.16 * pores_y, nz)
    peel = mix(rgb("ee8a1d"), rgb("f4a330"), np.clip(0.5 + 0.6 * noise(random, x, 3, 3), 0, 1))
    peel = peel * (1 + 0.05 * pores_x)[..., None]
    cx, cy = random.uniform(-0.35, 0.35, 2)
    near, turn = np.hypot(x - cx, y - cy), np.arctan2(y - cy, x - cx)
    star = near - 0.085 * (1 + 0.45 * np.cos(5 * turn + random.uniform(0, 6)))
    peel = peel * (1 - 0.25 * np.exp(-((near / 0.17) ** 2)))[..., None]
    peel = mix(peel, rgb("75803a"), cover(np.asarray(star, np.float32), view))
    return cut(view, peel, bumps, gloss=0.28, spread=14), cover(distance, view)


def _banana(view: View, random: Random) -> tuple[Array, Array]:
    x, y = view.x, view.y
    bow, half = random.uniform(1.0, 1.35), random.uniform(0.72, 0.86)
    radius, angle = np.hypot(x, y + bow - 0.3), np.arctan2(x, y + bow - 0.3)
    along = angle / half  # -1 and 1 at the tips
    inside = np.clip(np.abs(along), 0, 1)
    width = 0.245 * (1 - 0.62 * inside**4)
    beyond = np.clip(np.abs(along) - 1, 0, None) * half * bow
    distance = np.asarray(np.hypot(radius - bow, beyond) - width, np.float32)
    # the stem: a thin neck at one end
    neck = [(bow * np.sin(half * t), bow * np.cos(half * t) - bow + 0.3) for t in (0.96, 1.22)]
    stem = _capsule(x, y, neck[0], neck[1], 0.075)
    blend = np.clip(0.5 + 0.5 * (stem - distance) / 0.12, 0, 1)
    distance = np.asarray(stem + (distance - stem) * blend - 0.12 * blend * (1 - blend), np.float32)
    peel = mix(rgb("f0c52e"), rgb("f7dc62"), np.clip(0.5 + noise(random, x, 4, 5), 0, 1))
    peel = mix(peel, rgb("a9b83c"), step(0.55, 1.2, along) * random.uniform(0.3, 1))
    ridge = np.exp(-(((radius - bow) / 0.035 - 1.6) ** 2)) * step(1.0, 0.8, inside)
    peel = peel * (1 - 0.16 * ridge)[..., None]
    spots = _freckles(view, random, int(random.integers(10, 70)), 0.028) * random.uniform(0.3, 0.9)
    peel = mix(peel, rgb("6e4a1f"), spots)
    ends = np.maximum(step(-0.95, -1.08, along), step(1.17, 1.25, along))
    peel = mix(peel, rgb("4b3720"), ends * 0.9)
    return cut(view, peel, normals(distance, 0.25, view), gloss=0.2, spread=16), cover(distance, view)


def _kiwi(view: View, random: Random) -> tuple[Array, Array]:
    x, y = view.x / np.float32(random.uniform(0.94, 1.1)), view.y
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    distance = np.asarray(radius - 0.86, np.float32)
    rays = np.cos(angle * 34 + 2.5 * noise(random, x, 5, 6)) * step(0.2, 0.45, radius)
    flesh = mix(rgb("6fa52c"), rgb("a4cc4a"), np.clip(0.45 + 0.22 * rays + 0.3 * noise(random, x, 6, 8), 0, 1))
    flesh = mix(flesh, rgb("4f8a1f"), step(0.62, 0.82, radius) * 0.5)
    heart = radius - 0.2 * (1 + 0.18 * np.cos(3 * angle + random.uniform(0, 6)))
    flesh = mix(flesh, rgb("eef0c8"), step(0.12, -0.06, heart))
    seeds = np.full_like(radius, 9)
    count = random.integers(22, 32)
    for turn in np.linspace(0, 2 * np.pi, count, endpoint=False):
        at, off = turn + random.uniform(-0.09, 0.09), random.uniform(0.32, 0.5)
        along = x * np.cos(at) + y * np.sin(at) - off
        across = y * np.cos(at) - x * np.sin(at)
        seeds = np.minimum(seeds, np.hypot(along * 0.55, across) - 0.021)
    flesh = mix(flesh, rgb("1f1a14"), cover(np.asarray(seeds, np.float32), view) * 0.95)
    skin = mix(rgb("6f5230"), rgb("8c6b42"), np.clip(0.5 + noise(random, x, 60, 80), 0, 1))
    flesh = mix(flesh, rgb("c7d98a"), step(-0.1, -0.07, distance) * 0.8)
    albedo = mix(flesh, skin, step(-0.065, -0.05, distance))
    return cut(view, albedo, normals(distance, 0.07, view), gloss=0.2, spread=60), cover(distance, view)


def _pear(view: View, random: Random) -> tuple[Array, Array]:
    x, y = view.x, view.y
    lean = random.uniform(-0.1, 0.1)
    wide, narrow = random.uniform(0.6, 0.66), random.uniform(0.27, 0.33)
    belly = np.hypot(x, y - 0.28) - wide
    top = np.hypot(x - lean, y + 0.52) - narrow
    blend = np.clip(0.5 + 0.5 * (top - belly) / 0.5, 0, 1)
    distance = np.asarray(top + (belly - top) * blend - 0.5 * blend * (1 - blend), np.float32)
    # between two balls, not from the outline: its middle line would show as a crease
    right = _between((x - lean) / (narrow + 0.08), x / wide, blend)
    down = _between((y + 0.52) / (narrow + 0.3), (y - 0.28) / wide, blend)
    steep = np.maximum(np.hypot(right, down), 1)
    nx, ny = right / steep, down / steep
    normal = (nx, ny, np.sqrt(np.clip(1 - nx * nx - ny * ny, 0, 1)))
    skin = mix(rgb("b7c246"), rgb("d9cf5c"), np.clip(0.5 + 0.8 * noise(random, x, 3, 4), 0, 1))
    blush = step(0.35, 1.1, noise(random, x, 2, 2) + random.choice((-1, 1)) * x + 0.2)
    skin = mix(skin, rgb("c9803c"), blush * random.uniform(0.1, 0.7))
    skin = mix(skin, rgb("8a7a35"), _freckles(view, random, 110, 0.014) * 0.7)
    colours = cut(view, skin, normal, gloss=0.26, spread=22)
    stem = _capsule(x, y, (lean, -0.76), (lean + random.uniform(-0.14, 0.14), -1.12), 0.037)
    return _over(view, colours, cover(distance, view), stem, rgb("5b4128"), 0.05)


def _between(low: Array, high: Array, share: Array) -> Array:
    return low + (high - low) * share


def _capsule(x: Array, y: Array, start: tuple[float, float], end: tuple[float, float], radius: float) -> Array:
    """Distance to a thick line."""
    ax, ay = x - start[0], y - start[1]
    bx, by = end[0] - start[0], end[1] - start[1]
    share = np.clip((ax * bx + ay * by) / (bx * bx + by * by), 0, 1)
    return np.asarray(np.hypot(ax - bx * share, ay - by * share) - radius, np.float32)


def _leaf(x: Array, y: Array, start: tuple[float, float], end: tuple[float, float], width: float) -> Array:
    """Distance to a lens from `start` to `end`."""
    bx, by = end[0] - start[0], end[1] - start[1]
    length = float(np.hypot(bx, by))
    along = ((x - start[0]) * bx + (y - start[1]) * by) / length
    across = ((y - start[1]) * bx - (x - start[0]) * by) / length
    t = np.clip(along / length, 0, 1)
    beyond = np.maximum(np.maximum(-along, along - length), 0)
    return np.asarray(np.hypot(across, beyond) - width * 4 * t * (1 - t), np.float32)


def _freckles(view: View, random: Random, count: int, size: float) -> Array:
    """Small round spots all over, 0..1."""
    nearest = np.full_like(view.x, 9)
    for cx, cy, share in zip(*random.uniform(-1, 1, (2, count)), random.uniform(0.5, 1.2, count), strict=True):
        nearest = np.minimum(nearest, np.hypot(view.x - cx, view.y - cy) - size * share)
    return cover(nearest, view)


def _over(
    view: View, colours: Array, mask: Array, distance: Array, albedo: Array, roundness: float
) -> tuple[Array, Array]:
    """A part (stem, leaf) laid over a body."""
    part = cover(distance, view)
    lit = cut(view, np.broadcast_to(albedo, colours.shape), normals(distance, roundness, view), gloss=0.1)
    return mix(colours, lit, part), np.maximum(mask, part)


FRUIT: dict[str, Painter] = {"apple": _apple, "banana": _banana, "kiwi": _kiwi, "orange": _orange, "pear": _pear}
"""Label -> painter, in the order of the model's outputs."""
