"""Pictures with labels: one object on a table, photographed, and brought to a model's size as Edge Impulse does.

A picture depends on its seed and nothing else, so a data set may be drawn in any order and by several processes.
"""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from samples.fruit import FRUIT
from samples.scenes import View, expose, luminance, mix, shadow, surface
from samples.wooden import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from samples.scenes import Array, Painter

__all__ = ["RESIZE_MODES", "SUBJECTS", "draw", "model_input", "photograph", "spread"]

SUBJECTS: Mapping[str, Mapping[str, Painter]] = {"fruit": FRUIT, "shapes": SHAPES}
"""Sample -> label -> painter; the labels stand in the order of the model's outputs."""

RESIZE_MODES = ("squash", "fit-longest", "fit-shortest")

_TALL = {"fruit": 0.45, "shapes": 0.12}  # how high an object stands over the table, in its own size
_LEAN = {"fruit": 0.6, "shapes": 0.35}  # how far an object is turned from upright, radians
_CONTRAST = {"fruit": 0.0, "shapes": 0.25}  # a model that sees only grey needs some


def photograph(
    subject: str, label: str, seed: tuple[int, ...], width: int, height: int, *, harsh: float, kind: int | None = None
) -> NDArray[np.uint8]:
    """One object of class `label` on a table; uint8 [height, width, 3].

    Args:
        seed: everything random comes from it.
        harsh: 0 a friendly picture, 1 a dark or blown-out, noisy one with the object near an edge.
        kind: the surface's number in `scenes.SURFACES`; None for any.
    """
    random = np.random.default_rng(seed)
    view = View.of(width, height, random)
    ground = surface(view, random, kind)
    size = random.uniform(0.56 - 0.16 * harsh, 0.72 + 0.1 * harsh)
    reach = 1 - size * 0.8
    centre = (random.uniform(-1, 1) * reach * (0.5 + 0.3 * harsh), random.uniform(-1, 1) * reach * (0.5 + 0.3 * harsh))
    angle = random.uniform(-1, 1) * _LEAN[subject]
    local = view.local(centre, size, angle)
    for _ in range(20):
        colours, mask = SUBJECTS[subject][label](local, random)
        if _stands_out(colours, ground, mask) >= _CONTRAST[subject]:
            break
    shaded = shadow(ground, view, mask, height=_TALL[subject] * size, strength=random.uniform(0.45, 0.7))
    return expose(view, mix(shaded, colours, mask), random, harsh=harsh)


def _stands_out(colours: Array, ground: Array, mask: Array) -> float:
    there = mask > 0.5
    return float(abs(luminance(colours)[there].mean() - luminance(ground)[there].mean()))


def model_input(picture: NDArray[np.uint8], width: int, height: int, channels: int, mode: str) -> Array:
    """`picture` as a model of that size sees it: float32 [height, width, channels], 0..1.

    The three ways are Edge Impulse's: "squash" ignores the aspect ratio, "fit-longest" adds black bars on both sides,
    "fit-shortest" cuts out the centre.
    """
    image = Image.fromarray(picture)
    scale = {"fit-longest": min, "fit-shortest": max}.get(mode)
    if scale is None:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    else:
        factor = scale(width / image.width, height / image.height)
        near = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BILINEAR)
        image = Image.new("RGB", (width, height))
        image.paste(near, ((width - near.width) // 2, (height - near.height) // 2))
    pixels = np.asarray(image, np.float32) / 255
    return pixels if channels == 3 else luminance(pixels)[..., None]


def draw(
    subject: str, size: tuple[int, int, int], per_class: int, seed: int, mode: str | None = None
) -> tuple[Array, NDArray[np.int64]]:
    """`per_class` pictures of every class as model inputs [n, height, width, channels], and their class numbers.

    Args:
        size: (width, height, channels) of the model.
        mode: how pictures are brought to that size; None: each picture another way, so that the model works with all.
    """
    labels = list(SUBJECTS[subject])
    jobs = [(label, (seed, number, index)) for index in range(per_class) for number, label in enumerate(labels)]
    inputs = spread(partial(_one, subject, size, mode), jobs, 32)
    return np.stack(inputs), np.array([seed[1] for _, seed in jobs])


def spread(one: Callable[[Any], Any], jobs: Sequence[Any], chunk: int) -> list[Any]:
    """`one` of each job, in order, by as many processes as there are processors; one chunk is done in this process."""
    if len(jobs) <= chunk:
        return list(map(one, jobs))
    # spawned, not forked: TensorFlow's threads do not survive a fork
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(one, jobs, chunksize=chunk))


def _one(subject: str, size: tuple[int, int, int], mode: str | None, job: tuple[str, tuple[int, int, int]]) -> Array:
    width, height, channels = size
    label, seed = job
    picture = photograph(subject, label, seed, 144, 108, harsh=float(np.random.default_rng(seed).random()))
    return model_input(picture, width, height, channels, mode or RESIZE_MODES[seed[-1] % len(RESIZE_MODES)])
