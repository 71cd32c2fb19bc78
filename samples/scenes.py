"""A table seen by a camera: surfaces, soft shadows, light and sensor noise for the generated pictures.

Everything is drawn with numpy from signed distances (negative inside an object, in scene units), so that one scene
can be rendered at any size. A `View` holds the coordinates of its pixels: y runs from -1 (top) to 1 (bottom), x as far
as the picture's shape asks for. Colours are RGB in 0..1, arrays are [height, width] or [height, width, 3].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.floating[Any]]
    Random: TypeAlias = np.random.Generator
    Surface: TypeAlias = Callable[["View", Random], Array]
    Painter: TypeAlias = Callable[["View", Random], tuple[Array, Array]]

__all__ = [
    "SURFACES",
    "View",
    "cover",
    "cut",
    "expose",
    "luminance",
    "mix",
    "noise",
    "normals",
    "rgb",
    "shadow",
    "step",
    "surface",
]


@dataclass(frozen=True)
class View:
    """The pixels of one picture in scene coordinates.

    Attributes:
        x, y: float32 [height, width].
        pixel: the edge of one pixel in scene units.
        light: unit vector from the scene to the light; x right, y down, z towards the camera.
    """

    x: Array
    y: Array
    pixel: float
    light: tuple[float, float, float]

    @classmethod
    def of(cls, width: int, height: int, random: Random) -> View:
        """A view of `width` x `height` pixels, lit from somewhere above the upper half of the table."""
        pixel = 2.0 / height
        y, x = np.mgrid[0:height, 0:width].astype(np.float32) + np.float32(0.5)
        angle = random.uniform(np.pi * 1.1, np.pi * 1.9)
        rise = random.uniform(0.7, 1.1)
        light = (np.cos(angle) * np.cos(rise), np.sin(angle) * np.cos(rise), np.sin(rise))
        return cls((x - width / 2) * pixel, (y - height / 2) * pixel, pixel, light)

    def local(self, centre: tuple[float, float], size: float, angle: float) -> View:
        """The same pixels seen from an object at `centre`, `size` large and turned by `angle` (radians)."""
        x, y = (self.x - centre[0]) / size, (self.y - centre[1]) / size
        sine, cosine = np.float32(np.sin(angle)), np.float32(np.cos(angle))
        lx, ly, lz = self.light
        light = (float(cosine * lx + sine * ly), float(cosine * ly - sine * lx), lz)
        return View(cosine * x + sine * y, cosine * y - sine * x, self.pixel / size, light)


def rgb(text: str) -> Array:
    """The colour "d94f3a" as float32 [3]."""
    return np.frombuffer(bytes.fromhex(text), np.uint8).astype(np.float32) / 255


def luminance(colours: Array) -> Array:
    """ITU-R BT.601 luma, the weights Edge Impulse's SDK makes grey with."""
    return np.asarray(colours @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)


def mix(below: Array, above: Array, share: Array | float) -> Array:
    """`below` where `share` is 0, `above` where it is 1; a [height, width] share is spread over the channels."""
    weight = np.asarray(share, np.float32)
    if weight.ndim == 2:
        weight = weight[..., None]
    return np.asarray(below + (above - below) * weight, np.float32)


def step(low: float, high: float, values: Array) -> Array:
    """0 below `low`, 1 above `high`, a smooth ramp between; falls when `low` > `high`."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def cover(distance: Array, view: View) -> Array:
    """How much of each pixel lies inside `distance` < 0: antialiasing over one pixel."""
    return np.asarray(np.clip(0.5 - distance / view.pixel, 0, 1), np.float32)


def noise(random: Random, like: Array, rows: int, columns: int) -> Array:
    """Smooth noise in about -1..1 that has `rows` x `columns` independent values, at the size of `like`."""
    values = random.standard_normal((rows + 1, columns + 1)).astype(np.float32)
    height, width = like.shape
    grown = Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(grown, np.float32) / 2, -1, 1)


def normals(distance: Array, roundness: Array | float, view: View) -> tuple[Array, Array, Array]:
    """Unit normals of a body that swells to a quarter circle within `roundness` of its outline."""
    down, right = np.gradient(distance, view.pixel)
    length = np.sqrt(down * down + right * right) + np.float32(1e-6)
    slope = np.clip(1 + distance / roundness, 0, 1)
    return slope * right / length, slope * down / length, np.sqrt(1 - slope * slope)


def cut(view: View, albedo: Array, normal: tuple[Array, Array, Array], *, gloss: float, spread: float = 24.0) -> Array:
    """A body's colours in the view's light: ambient, diffuse, and a highlight of strength `gloss`."""
    (nx, ny, nz), (lx, ly, lz) = normal, view.light
    facing = np.clip(nx * lx + ny * ly + nz * lz, 0, 1)
    # Blinn-Phong, the camera straight above (0, 0, 1)
    half = np.array([lx, ly, lz + 1], np.float32) / np.sqrt(lx * lx + ly * ly + (lz + 1) ** 2)
    shine = np.clip(nx * half[0] + ny * half[1] + nz * half[2], 0, 1) ** spread
    rim = 0.82 + 0.18 * nz
    return np.asarray(albedo * ((0.38 + 0.72 * facing) * rim)[..., None] + (gloss * shine)[..., None], np.float32)


def shadow(ground: Array, view: View, mask: Array, *, height: float, strength: float) -> Array:
    """`ground` under an object of outline `mask` that stands `height` scene units tall."""
    lx, ly, lz = view.light
    reach = height / max(lz, 0.3)
    dark = np.zeros_like(mask)
    # a lamp is not a point: a few shifted copies, each a bit softer, then one touch of darkness around the foot
    for share in (0.35, 0.7, 1.0):
        dx, dy = (round(-component * reach * share / view.pixel) for component in (lx, ly))
        dark += _blur(_shift(mask, dx, dy), 0.05 * (0.5 + share) / view.pixel) / 3
    foot = _blur(mask, 0.05 / view.pixel)
    dark = np.clip(0.8 * dark + 0.35 * foot, 0, 1) * strength
    return np.asarray(ground * (1 - dark[..., None] * np.array([0.95, 0.92, 0.85], np.float32)), np.float32)


def expose(view: View, picture: Array, random: Random, *, harsh: float) -> NDArray[np.uint8]:
    """What the sensor makes of it: uneven light, tint, exposure, softness and noise; `harsh` 0..1 is how bad."""
    lx, ly, _ = view.light
    slope = 1 + random.uniform(0.05, 0.12 + 0.2 * harsh) * (view.x * lx + view.y * ly)
    vignette = 1 - random.uniform(0.03, 0.12) * (view.x**2 + view.y**2)
    tint = 1 + random.uniform(-0.06, 0.06, 3).astype(np.float32) * (0.4 + harsh)
    gain = random.uniform(0.97 - 0.32 * harsh, 1.06 + 0.18 * harsh)
    lit = picture * (slope * vignette * gain)[..., None] * tint
    bytes_ = (np.clip(lit, 0, 1) * 255).astype(np.uint8)
    soft = Image.fromarray(bytes_).filter(
        ImageFilter.GaussianBlur(random.uniform(0.2, 0.4 + harsh) * 0.004 / view.pixel)
    )
    grain = random.standard_normal(picture.shape).astype(np.float32) * random.uniform(0.5, 1.5 + 7 * harsh)
    return np.clip(np.asarray(soft, np.float32) + grain, 0, 255).astype(np.uint8)


def _blur(mask: Array, radius: float) -> Array:
    image = Image.fromarray((np.clip(mask, 0, 1) * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


def _shift(mask: Array, dx: int, dy: int) -> Array:
    moved = np.roll(mask, (dy, dx), (0, 1))
    # what was rolled in from the far side is not there
    if dy:
        moved[slice(0, dy) if dy > 0 else slice(dy, None)] = 0
    if dx:
        moved[:, slice(0, dx) if dx > 0 else slice(dx, None)] = 0
    return moved


def _pick(random: Random, colours: Sequence[str]) -> Array:
    return rgb(colours[int(random.integers(len(colours)))]) * random.uniform(0.94, 1.05, 3).astype(np.float32)


def _planks(view: View, random: Random) -> Array:
    base, dark = (
        (rgb("c99a66"), rgb("8d5f38")),
        (rgb("a87b55"), rgb("6a452b")),
        (rgb("dfc39b"), rgb("b58f61")),
        (rgb("8a8178"), rgb("5c554f")),
    )[random.integers(4)]
    width = random.uniform(0.5, 0.9)
    across = view.y + random.uniform(-1, 1)
    plank = np.floor(across / width)
    within = across / width - plank
    grain = noise(random, view.x, 90, 4) * 0.35 + noise(random, view.x, 26, 2) * 0.4
    rings = np.sin(across * random.uniform(22, 34) + 5 * noise(random, view.x, 5, 2) + plank * 2.3) * 0.22
    tone = 0.42 + grain + rings + 0.22 * np.sin(plank * 4.1 + 1)
    groove = step(0.035, 0.0, np.minimum(within, 1 - within)) * 0.55
    return np.asarray(mix(base, dark, np.clip(tone, 0, 1)) * (1 - groove[..., None]))


def _linen(view: View, random: Random) -> Array:
    colour = _pick(random, ("e9e0cf", "cfd8dc", "d8c7b6", "b9c4b1", "8fa3b5", "c48f86"))
    warp = noise(random, view.x, 160, 12) + noise(random, view.x, 30, 4)
    weft = noise(random, view.x, 12, 210) + noise(random, view.x, 4, 40)
    folds = noise(random, view.x, 3, 4)
    return colour * (1 + 0.07 * warp + 0.07 * weft + 0.06 * folds)[..., None]


def _marble(view: View, random: Random) -> Array:
    colour, vein = ((rgb("eceae6"), rgb("9fa3a8")), (rgb("4a4f55"), rgb("a9aeb2")), (rgb("dfd3c4"), rgb("a5876a")))[
        random.integers(3)
    ]
    turn = random.uniform(0, np.pi)
    across = view.x * np.cos(turn) + view.y * np.sin(turn)
    picture = np.broadcast_to(colour, (*view.x.shape, 3))
    for pitch, width, depth in ((1.7, 0.05, 0.6), (3.1, 0.03, 0.35)):
        warp = (
            noise(random, view.x, 3, 4) * 0.8
            + noise(random, view.x, 9, 12) * 0.18
            + noise(random, view.x, 30, 40) * 0.05
        )
        line = np.abs(np.sin(pitch * across + random.uniform(0, np.pi) + warp))
        fade = np.clip(0.6 + 0.8 * noise(random, view.x, 4, 5), 0, 1) * depth
        picture = mix(picture, vein, step(width, 0.0, line) * fade + step(8 * width, 0.0, line) * fade * 0.3)
    return picture * (1 + noise(random, view.x, 3, 4) * 0.05)[..., None]


def _slate(view: View, random: Random) -> Array:
    colour = _pick(random, ("3d4449", "565b60", "7d8083", "a7a39c", "2f3a3f"))
    rough = (
        noise(random, view.x, 5, 7) * 0.10
        + noise(random, view.x, 24, 32) * 0.08
        + noise(random, view.x, 100, 130) * 0.10
    )
    return np.asarray(colour * (1 + rough)[..., None])


def _gingham(view: View, random: Random) -> Array:
    colour = _pick(random, ("b7413e", "3f6ea3", "5b8f5a", "d0a13f", "7d6a9c"))
    turn = random.uniform(-0.6, 0.6)
    size = random.uniform(0.2, 0.34)
    a = (view.x * np.cos(turn) + view.y * np.sin(turn)) / size + 0.05 * noise(random, view.x, 4, 4)
    b = (view.y * np.cos(turn) - view.x * np.sin(turn)) / size + 0.05 * noise(random, view.x, 4, 4)
    edge = view.pixel / size
    stripes = [np.clip(0.5 + (np.abs(v % 2 - 1) - 0.5) / edge, 0, 1) for v in (a, b)]
    weave = 1 + 0.04 * noise(random, view.x, 110, 150) + 0.05 * noise(random, view.x, 3, 3)
    white = rgb("f3efe6")
    return mix(white, mix(white, colour, 0.8), (stripes[0] + stripes[1]) / 2) * weave[..., None]


def _paint(view: View, random: Random) -> Array:
    colour = _pick(random, ("e6dccb", "bcd3d6", "e7c9b7", "c9d6b8", "d9d4e3", "6f8a91", "f1e3b8"))
    cloud = noise(random, view.x, 3, 3) * 0.05 + noise(random, view.x, 60, 80) * 0.02
    return np.asarray(colour * (1 + cloud)[..., None])


SURFACES: tuple[Surface, ...] = (_planks, _linen, _marble, _slate, _gingham, _paint)
"""What an object may lie on; public so that the committed pictures can go round all of them."""


def surface(view: View, random: Random, kind: int | None = None) -> Array:
    """The bare table: surface number `kind`, or any."""
    draw: Any = SURFACES[(int(random.integers(len(SURFACES))) if kind is None else kind) % len(SURFACES)]
    return np.asarray(draw(view, random), np.float32)
