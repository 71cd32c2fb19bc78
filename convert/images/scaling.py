"""Placement and scaling of 8-bit pictures, as Gst-nvinfer and as Edge Impulse's SDK do it.

Gst-nvinfer scales with NvBufSurfTransform (`scale`), a closed library. Source positions are those NVIDIA documents for
its image library's resize (NPP, "ResizeSqrPixel"): the centre of pixel i of n lies at (i + 0.5) * size / n - 0.5.
Nearest takes the pixel that covers that point. Bilinear mixes the two pixels beside it and no others, however small the
picture becomes; at the border the border pixel is repeated. Results are rounded to whole levels, halves up, because the
scaled picture has 8 bits. The weights are fractions with a small common denominator (six, where 320 pixels become 96),
so the computation is in integers and exact.

Gst-nvinfer places a frame in the network's input (`place`; `get_converted_buffer` in gstnvinfer.cpp, DeepStream 9.1):
positions are rounded up to even numbers, sizes down; with maintain-aspect-ratio the scaled size is cut to whole pixels,
not rounded; the padding is at the right or at the bottom, or with symmetric-padding on both sides, the smaller half
first.

Edge Impulse's C++ SDK scales (`interpolate`; dsp/image/processing.cpp) bilinearly in fixed point with 14 bits: pixel i
of n comes from position i * floor(size * 2^14 / n), without the half pixel, and each of the three interpolations is
rounded to a byte, halves up. Where a picture is enlarged, the SDK reads one pixel after the last of a row; here that is
the last one again. It places (`place_as_sdk`) "fit longest axis" by the aspect in float32, cut to whole pixels and
padded on both sides; "fit shortest axis" crops the centre first (`convert.images.crop_area`; the SDK itself takes the
side to crop from width > height, which leaves the picture where the model is not square).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import InputError
from convert.images import CENTRE, Anchor, ResizeMode, crop_area

if TYPE_CHECKING:
    from numpy.typing import NDArray

    _Mix = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], int]  # see `_axis`

_LUMA = (19595, 38470, 7471)  # JPEG's and BT.601's 0.299, 0.587 and 0.114 of red, green and blue, times 65536
SDK_LUMA = (0.299, 0.587, 0.114)
"""As the SDK writes them (ei_run_dsp.h, `extract_image_features`)."""

_BLOCK = 2**16  # numbers of a result that are computed at a time: they stay in the processor's cache
_BITS = 14  # of the SDK's fixed point


class ScalingFilter(IntEnum):
    """scaling-filter, named after what the GPU does (nvbufsurftransform.h)."""

    NEAREST = 0
    BILINEAR = 1
    CUBIC = 2
    SUPER = 3
    LANCZOS = 4
    NICEST = 5
    DEFAULT = 6


_APPROXIMATED = {  # the message, and the name of Pillow's filter
    ScalingFilter.CUBIC: ("cubic (GPU) or 5-tap (VIC) is approximated by Pillow's bicubic", "BICUBIC"),
    ScalingFilter.SUPER: (
        "super-sampling (GPU) or 10-tap (VIC) is approximated by the mean of the covered pixels",
        "BOX",
    ),
    ScalingFilter.LANCZOS: ("Lanczos (GPU) or smart (VIC) is approximated by Pillow's Lanczos", "LANCZOS"),
    ScalingFilter.NICEST: ("nicest (VIC; the GPU ignores it) is approximated by Pillow's bicubic", "BICUBIC"),
}


def approximation(scaling_filter: ScalingFilter) -> str:
    """How a filter whose arithmetic is not known is replaced; "" for nearest and bilinear."""
    if scaling_filter not in _APPROXIMATED:
        return ""
    return f"scaling-filter={int(scaling_filter)}: {_APPROXIMATED[scaling_filter][0]}"


def luma(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey levels [...] of RGB levels [..., 3], halves rounded up."""
    red, green, blue = (pixels[..., one].astype(np.uint32) * np.uint32(weight) for one, weight in enumerate(_LUMA))
    levels: NDArray[np.uint8] = ((red + green + blue + np.uint32(2**15)) >> np.uint32(16)).astype(np.uint8)
    return levels


def sdk_luma(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Grey levels [...,1] of RGB levels [...,3], with their fractions, as the SDK computes them in float32."""
    red, green, blue = (pixels[..., each].astype(np.float32) * np.float32(SDK_LUMA[each]) for each in range(3))
    levels: NDArray[np.float32] = ((red + green) + blue)[..., np.newaxis]
    return levels


def scale(
    picture: NDArray[np.uint8],
    placement: Placement,
    scaling_filter: ScalingFilter,
    *,
    grey: bool = False,
    only: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None,
) -> NDArray[np.uint8]:
    """The part of a frame that `placement` names, scaled as Gst-nvinfer does it.

    Args:
        picture: the frame, uint8 [H,W,C], RGB or grey.
        placement: the part, and its size in the network's picture.
        scaling_filter: nearest and bilinear are exact; of the others see `approximation`.
        grey: whether the network takes grey pictures: the luma of RGB pixels is taken before they are scaled.
        only: the rows and the columns of the result that are computed; by default all.

    Returns:
        uint8 [h,w,C] of the placement's size, or of the rows and columns in `only`; C is 1 for a grey network, else the
        picture's.
    """
    grey = grey and picture.shape[2] == 3
    if scaling_filter in _APPROXIMATED:
        levels = _scaled_by_pillow(picture, placement, scaling_filter, grey=grey)
        return levels if only is None else levels[np.ix_(*only)]
    bilinear = scaling_filter is ScalingFilter.BILINEAR
    down = _axis(placement.top, placement.source_height, placement.height, len(picture), bilinear=bilinear)
    across = _axis(placement.left, placement.source_width, placement.width, picture.shape[1], bilinear=bilinear)
    axes = [down, across]
    if down[-1] == across[-1] == 1:  # nothing is mixed, as of a frame of the network's size
        rows, columns = (near if only is None else near[only[number]] for number, (near, *_) in enumerate(axes))
        chosen = picture[rows[:, np.newaxis], columns]
        return luma(chosen)[..., np.newaxis] if grey else chosen
    if only is not None:
        axes = [
            (near[of], far[of], weight[of], whole) for (near, far, weight, whole), of in zip(axes, only, strict=True)
        ]
        read = [np.unique(np.concatenate([near, far])) for near, far, *_ in axes]
        picture = picture[np.ix_(*read)]
        axes = [
            (np.searchsorted(known, near), np.searchsorted(known, far), weight, whole)
            for known, (near, far, weight, whole) in zip(read, axes, strict=True)
        ]
    if grey:
        step = max(_BLOCK // picture.shape[1], 1)
        colours, picture = picture, np.empty((*picture.shape[:2], 1), np.uint8)
        for start in range(0, len(colours), step):
            picture[start : start + step, :, 0] = luma(colours[start : start + step])
    swapped = not picture.flags.c_contiguous  # then it may be column by column, and columns are mixed first
    if swapped:
        picture, axes = picture.swapaxes(0, 1), axes[::-1]
    (near, far, weight, outer), inner = axes
    whole = outer * inner[-1]  # the weights of the up to four pixels add up to it
    dtype = np.min_scalar_type(255 * whole + whole // 2)
    lines = picture.reshape(len(picture), -1)
    levels = np.empty((len(near), len(inner[0]), picture.shape[2]), np.uint8)
    results = levels.reshape(len(levels), -1)
    inner = _by_channels(inner, picture.shape[2])
    step = max(_BLOCK // lines.shape[1], 1)
    for start in range(0, len(near), step):
        part = slice(start, start + step)
        mixed = _weighted(lines, (near[part], far[part], weight[part], outer), dtype, axis=0)
        total = _weighted(mixed, inner, dtype, axis=1)
        total += dtype.type(whole // 2)
        np.floor_divide(total, dtype.type(whole), out=results[part], casting="unsafe")
    return levels.swapaxes(0, 1) if swapped else levels


def _by_channels(mix: _Mix, channels: int) -> _Mix:
    """The same where each pixel of a line is `channels` numbers."""
    near, far, weight, whole = mix
    channel = np.arange(channels)
    near, far = ((each[:, np.newaxis] * channels + channel).ravel() for each in (near, far))
    return near, far, weight.repeat(channels), whole


def _weighted(values: NDArray[Any], mix: _Mix, dtype: np.dtype[Any], *, axis: int) -> NDArray[Any]:
    """Two of `values` [n,m] for each place of `mix` along an axis, times the sum of their weights."""
    near, far, weight, whole = mix
    if whole == 1 and np.array_equal(near, np.arange(values.shape[axis])):
        return values
    mixed = values.take(near, axis=axis).astype(dtype, copy=False)
    if whole > 1:
        share = np.expand_dims(weight.astype(dtype), 1 - axis)
        mixed *= dtype.type(whole) - share
        other = values.take(far, axis=axis).astype(dtype, copy=False)
        other *= share
        mixed += other
    return mixed


def scaled(
    frame: NDArray[np.uint8], width: int, height: int, *, keep_aspect: bool = False, grey: bool = False
) -> NDArray[np.uint8]:
    """`frame` [H,W,C] as [height,width,C], as nvinfer scales it (with `keep_aspect`: between black bars).

    Args:
        grey: as for `scale`.
    """
    high, wide, channels = frame.shape
    channels = 1 if grey else channels
    placement = place(wide, high, Network(channels, height, width), keep_aspect=keep_aspect, symmetric=keep_aspect)
    picture = np.zeros((height, width, channels), np.uint8)
    picture[placement.target] = scale(frame, placement, ScalingFilter.BILINEAR, grey=grey)
    return picture


def _reader(picture: NDArray[np.uint8]) -> Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.uint8]]:
    """Takes pixels [n,w,C] of rows [n,1] and columns [w]; quickly, if memory is row by row or column by column."""
    high, wide, channels = picture.shape
    row, column, whole = wide, 1, picture
    if not whole.flags.c_contiguous:
        row, column, whole = 1, high, picture.swapaxes(0, 1)
    if not whole.flags.c_contiguous:
        return lambda rows, columns: picture[rows, columns]
    flat = whole.reshape(-1, channels)
    return lambda rows, columns: flat.take(rows * row + columns * column, axis=0)


@lru_cache(maxsize=64)
def _axis(start: int, size: int, count: int, most: int, *, bilinear: bool) -> _Mix:
    """For each of `count` pixels of a line the two that are mixed, the second's weight, and the weights' sum.

    They are among the `size` pixels from `start` on of a line of `most`. The sum is 1 where there is nothing to mix:
    all points are centres of pixels, as where 480 become 96.
    """
    position = (2 * np.arange(count) + 1) * size  # of the points, in parts of 2 * count
    if not bilinear:
        near = np.minimum(position // (2 * count) + start, most - 1)
        return near, near, np.zeros_like(near), 1
    first, weight = np.divmod(position - count, 2 * count)
    common = int(np.gcd.reduce(weight, initial=2 * count))
    near, far = (np.minimum(np.clip(each, 0, size - 1) + start, most - 1) for each in (first, first + 1))
    return near, far, weight // common, 2 * count // common


def _scaled_by_pillow(
    picture: NDArray[np.uint8], placement: Placement, scaling_filter: ScalingFilter, *, grey: bool
) -> NDArray[np.uint8]:
    """Pillow's filters mix all source pixels that are covered."""
    from PIL import Image  # heavy, and few configs ask for these filters

    part = picture[placement.source]
    if grey:
        part = luma(part)[..., None]
    image = Image.fromarray(part[..., 0] if part.shape[2] == 1 else part)
    method = Image.Resampling[_APPROXIMATED[scaling_filter][1]]
    pixels = np.asarray(image.resize((placement.width, placement.height), method))
    return pixels.reshape(placement.height, placement.width, -1)


def fit_shortest(frame: NDArray[np.uint8], width: int, height: int, *, anchor: Anchor = CENTRE) -> NDArray[np.uint8]:
    """A part of `frame` [H,W,C] as uint8 [height,width,C], as the SDK crops and scales for "fit shortest axis"."""
    return as_sdk(frame, (width, height), ResizeMode.FIT_SHORTEST, anchor=anchor)


def as_sdk(
    frame: NDArray[np.uint8], model: tuple[int, int], mode: ResizeMode, *, anchor: Anchor = CENTRE
) -> NDArray[np.uint8]:
    """`frame` [H,W,C] as uint8 [h,w,C] of the `model`'s width and height, as the SDK brings it there."""
    place = place_as_sdk(frame.shape[1], frame.shape[0], model, mode, anchor=anchor)
    picture = np.zeros((model[1], model[0], frame.shape[2]), np.uint8)
    picture[place.target] = interpolate(frame[place.source], place.width, place.height)
    return picture


def interpolate(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """`picture` [H,W,C] as uint8 [height,width,C], as the SDK scales it."""
    upper, lower, down = sdk_axis(picture.shape[0], height)
    first, second, across = sdk_axis(picture.shape[1], width)
    rows, place = np.unique(np.concatenate([upper, lower]), return_inverse=True)  # each is mixed once
    pixels_at, rows = _reader(picture), rows[:, None]
    lines = _mixed(pixels_at(rows, first), pixels_at(rows, second), across[:, None])
    return _mixed(lines[place[:height]], lines[place[height:]], down[:, None, None])


@lru_cache(maxsize=64)
def sdk_axis(size: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For each of `count` pixels of a line the two of `size` that the SDK mixes, and the second's weight in 2^14ths."""
    position = np.arange(count, dtype=np.int64) * ((size << _BITS) // count)
    first = np.minimum(position >> _BITS, size - 1)
    return first, np.minimum(first + 1, size - 1), position & (2**_BITS - 1)


def read_by_sdk(place: Placement) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows and the columns of a picture that `interpolate` reads, where it is placed so."""
    rows = np.unique(sdk_axis(place.source_height, place.height)[:2])
    columns = np.unique(sdk_axis(place.source_width, place.width)[:2])
    return rows + place.top, columns + place.left


def _mixed(one: NDArray[np.uint8], other: NDArray[np.uint8], weight: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Bytes times 2^14 need 22 bits, so 32 do."""
    part = weight.astype(np.int32)
    total = one * (2**_BITS - part)
    total += other * part
    total += 2 ** (_BITS - 1)
    total >>= _BITS
    mixed: NDArray[np.uint8] = total.astype(np.uint8)
    return mixed


@dataclass(frozen=True, slots=True)
class Network:
    """The network's input picture. InputError unless all three are positive."""

    channels: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.channels, self.height, self.width) < 1:
            message = f"the network input {self.channels}x{self.height}x{self.width} (channels, height, width) is empty"
            raise InputError(message, hint="infer-dims, where it is given, is channels;height;width")


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle in pixels of the source frame, as float32 numbers (NvOSD_RectParams)."""

    left: float
    top: float
    width: float
    height: float

    def overlap(self, other: Rect) -> float:
        """Intersection over union; 0 for boxes without area."""
        wide = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        high = min(self.top + self.height, other.top + other.height) - max(self.top, other.top)
        common = max(wide, 0.0) * max(high, 0.0)
        together = self.width * self.height + other.width * other.height - common
        return common / together if together > 0 else 0.0


@dataclass(frozen=True, slots=True)
class View:
    """Maps boxes of the network's picture back to the frame.

    Attributes:
        frame_width, frame_height: the source frame, pixels.
        scale_x, scale_y: network pixels per pixel of the frame (doubles, as in the element).
        offset_left, offset_top: network pixels of padding in front of the picture.
    """

    frame_width: int
    frame_height: int
    scale_x: float = 1.0
    scale_y: float = 1.0
    offset_left: int = 0
    offset_top: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """What is cut out of a frame, and where it lies in the network's picture.

    Attributes:
        left, top, source_width, source_height: the part of the frame, in pixels, after rounding. A crop can end one
            pixel outside a frame of odd size.
        width, height: the size of the part in the network's picture.
        view: how coordinates are mapped back to the frame.
    """

    left: int
    top: int
    source_width: int
    source_height: int
    width: int
    height: int
    view: View

    @property
    def source(self) -> tuple[slice, slice]:
        """Rows and columns of the frame."""
        return slice(self.top, self.top + self.source_height), slice(self.left, self.left + self.source_width)

    @property
    def target(self) -> tuple[slice, slice]:
        """Rows and columns of the network's picture."""
        top, left = self.view.offset_top, self.view.offset_left
        return slice(top, top + self.height), slice(left, left + self.width)


def place(
    frame_width: int,
    frame_height: int,
    network: Network,
    *,
    keep_aspect: bool = False,
    symmetric: bool = False,
    crop: Rect | None = None,
) -> Placement:
    """Where Gst-nvinfer puts a frame, or the object `crop` of it, in the network's picture.

    Args:
        frame_width, frame_height: pixels.
        network: its input.
        keep_aspect: maintain-aspect-ratio.
        symmetric: symmetric-padding; without `keep_aspect` it changes nothing.
        crop: an object in the frame (process-mode 2), its left and top not negative.

    Raises:
        InputError: less than one pixel would remain of the picture, before or after scaling.
    """
    left, top, width, height = 0, 0, frame_width, frame_height
    if crop is not None:
        left, top, width, height = map(_unsigned, (crop.left, crop.top, crop.width, crop.height))
    left, top = left + left % 2, top + top % 2
    width, height = width - width % 2, height - height % 2
    if width < 1 or height < 1:
        message = "a picture narrower or lower than 2 pixels cannot be scaled: Gst-nvinfer rounds its size down to even"
        hint = "leave out small objects with input-object-min-width and input-object-min-height"
        raise InputError(message, hint=hint)
    if left >= frame_width or top >= frame_height:
        raise InputError(f"the object at {left},{top} lies outside of the {frame_width}x{frame_height} frame")
    to_width, to_height = network.width, network.height
    if keep_aspect:
        wanted = network.width * height / width
        if wanted <= network.height:
            to_height = int(wanted)
        else:
            to_width = int(network.height * width / height)
        if to_width < 1 or to_height < 1:
            raise InputError(
                f"a {width}x{height} picture is less than one pixel wide or high in a "
                f"{network.width}x{network.height} network",
                hint="its aspect is too extreme for maintain-aspect-ratio=1",
            )
    offset_left = (network.width - to_width) // 2 if symmetric else 0
    offset_top = (network.height - to_height) // 2 if symmetric else 0
    view = View(frame_width, frame_height, to_width / width, to_height / height, offset_left, offset_top)
    return Placement(left, top, width, height, to_width, to_height, view)


def place_as_sdk(
    width: int, height: int, model: tuple[int, int], mode: ResizeMode, *, anchor: Anchor = CENTRE
) -> Placement:
    """Where Edge Impulse puts a picture of `width` x `height` in a model's input of that width and height.

    `none` is taken as squash, as Edge Impulse's clients do; `anchor` is that of a crop.
    """
    to_width, to_height = model
    left, top, part_width, part_height = 0, 0, width, height
    if mode is ResizeMode.FIT_SHORTEST:
        left, top, part_width, part_height = crop_area(width, height, model, anchor=anchor)
    elif mode is ResizeMode.FIT_LONGEST:
        aspect = np.float32(width) / np.float32(height)
        if aspect > np.float32(to_width) / np.float32(to_height):
            to_height = max(1, int(np.float32(to_width) / aspect))
        else:
            to_width = max(1, int(np.float32(to_height) * aspect))
    offset_left, offset_top = (model[0] - to_width) // 2, (model[1] - to_height) // 2
    view = View(width, height, to_width / part_width, to_height / part_height, offset_left, offset_top)
    return Placement(left, top, part_width, part_height, to_width, to_height, view)


def _unsigned(value: float) -> int:
    """C's conversion of a float to `unsigned int`, as x86-64 does it: cut; NaN and infinities give 0."""
    return int(value) % 2**32 if math.isfinite(value) else 0


def whole_network(network: Network) -> View:
    """A frame of the network's own size: boxes stay as they are."""
    return View(network.width, network.height)
