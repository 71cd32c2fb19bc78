"""Prepares frames for the network as Gst-nvinfer does: cropped, scaled, padded, in its colours, normalised.

The frame is scaled to the network's size as 8-bit pixels (`convert.images.placement`, `convert.images.resize`); padding
is black. Then every number x becomes net-scale-factor * (x - mean) in float32 (nvdsinfer_conversion.cu), where mean is
the channel's offset, the mean file's byte, or nothing. Offsets and mean file are in the order of the network's
channels, after the RGB/BGR swap.

Not reproduced: decoders give NV12 pictures with half the colour resolution, and NvBufSurfTransform is a closed library,
so single pixels can differ by a few levels on a device.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convert.errors import InputError
from convert.images.placement import place
from convert.images.resize import approximation, scale
from convert.simulate.settings import ColorFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.images.placement import Network, Placement, Rect
    from convert.images.resize import ScalingFilter
    from convert.simulate.settings import Settings

__all__ = ["Preprocessor", "preprocessor", "read_mean_file"]

_PPM = re.compile(rb"\s*(\S+)\s+(\d+)\s+(\d+)\s+(\S+)")


@dataclass(frozen=True, slots=True, eq=False)
class Preprocessor:
    """Prepares frames for one engine; made by `preprocessor`.

    Attributes:
        network: the engine's input.
        color: its channels.
        channels_last: NHWC.
        keep_aspect, symmetric: how frames are fitted.
        scaling_filter: how they are scaled.
        scale: net-scale-factor in use.
        mean: float32, of the shape of one input or broadcast to it; None is no mean.
    """

    network: Network
    color: ColorFormat
    channels_last: bool
    keep_aspect: bool
    symmetric: bool
    scaling_filter: ScalingFilter
    scale: np.float32
    mean: NDArray[np.float32] | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one input: [C,H,W], or [H,W,C] for NHWC."""
        channels, height, width = self.network.channels, self.network.height, self.network.width
        return (height, width, channels) if self.channels_last else (channels, height, width)

    @property
    def approximated(self) -> str:
        """What of the scaling is only near to a device's, "" for nothing."""
        return approximation(self.scaling_filter)

    def __call__(
        self, frame: NDArray[np.uint8], *, crop: Rect | None = None, out: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], Placement]:
        """One frame, or one object of it.

        Args:
            frame: uint8 [H,W,3] RGB, or [H,W] or [H,W,1] grey.
            crop: an object in the frame (process-mode 2).
            out: where to write, `shape`, float32; made when missing.

        Returns:
            The network's input, and where in it the picture lies.

        Raises:
            InputError: not such a picture, or one that cannot be scaled.
        """
        picture = frame[:, :, None] if frame.ndim == 2 else frame
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in {1, 3} or 0 in picture.shape:
            raise InputError(
                f"a frame is {picture.dtype} {list(picture.shape)}, not 8-bit RGB or grey pixels",
                hint="pictures are decoded to uint8 [height, width, 3] or [height, width]",
            )
        height, width = picture.shape[:2]
        placement = place(
            width, height, self.network, keep_aspect=self.keep_aspect, symmetric=self.symmetric, crop=crop
        )
        levels = scale(picture, placement, self.scaling_filter, grey=self.color is ColorFormat.GRAY)
        out = np.empty(self.shape, np.float32) if out is None else out
        pixels = out if self.channels_last else out.transpose(1, 2, 0)
        if levels.shape[:2] != pixels.shape[:2]:
            pixels[...] = 0
        pixels[placement.target] = levels[..., ::-1] if self.color is ColorFormat.BGR else levels
        if self.mean is not None:
            out -= self.mean
        out *= self.scale
        return out, placement


def preprocessor(settings: Settings, network: Network) -> Preprocessor:
    """What one engine does with its frames.

    Args:
        settings: of the config. A net-scale-factor that is not above 0 counts as 1, and the offsets as none.
        network: the engine's input.

    Raises:
        InputError: nvinfer refuses to start: the channels do not fit model-color-format, there are not as many offsets
            as channels, or the mean file is missing or not a PPM picture of the network's size.
    """
    wanted = 1 if settings.color is ColorFormat.GRAY else 3
    if network.channels != wanted:
        raise InputError(
            f"model-color-format={int(settings.color)} ({settings.color.name}) needs {wanted} channels, "
            f"the network has {network.channels}: nvinfer refuses to start",
            hint="2 is for models of one channel, 0 (RGB) and 1 (BGR) for models of three",
        )
    scale, mean = np.float32(1), None
    if settings.scale > 0:
        scale = np.float32(settings.scale)
        if settings.offsets and len(settings.offsets) != network.channels:
            raise InputError(
                f"there are {len(settings.offsets)} offsets for {network.channels} channels: nvinfer refuses to start",
                hint="give one offset for each channel, in the network's order",
            )
        if settings.offsets:
            offsets = np.array(settings.offsets, np.float32)
            mean = offsets if settings.channels_last else offsets[:, None, None]
    if settings.mean_file:
        mean = read_mean_file(Path(settings.mean_file), network).astype(np.float32)
        if not settings.channels_last:
            mean = np.ascontiguousarray(mean.transpose(2, 0, 1))
    return Preprocessor(
        network,
        settings.color,
        settings.channels_last,
        settings.keep_aspect,
        settings.symmetric,
        settings.scaling_filter,
        scale,
        mean,
    )


def read_mean_file(path: Path, network: Network) -> NDArray[np.uint8]:
    """A mean picture [H,W,C], its bytes in the order they stand in the file.

    nvinfer reads a PPM header, P3 or P6, and behind the maximum and one more byte raw bytes in either case; a comment
    in the header is not known to it (`readMeanImageFile` in nvdsinfer_context_impl.cpp).

    Raises:
        InputError: nvinfer refuses to start with it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the mean file cannot be read: {error.strerror}", path=path) from None
    header = _PPM.match(data)
    if header is None or header[1] not in {b"P3", b"P6"}:
        raise InputError(
            "the mean file does not start as a PPM picture does",
            hint="P6, width, height and 255, no comment",
            path=path,
        )
    width, height = int(header[2]), int(header[3])
    if (width, height) != (network.width, network.height):
        raise InputError(
            f"the mean file has {width}x{height} pixels, the network {network.width}x{network.height}", path=path
        )
    size = network.height * network.width * network.channels
    start = header.end() + 1
    if len(data) < start + size:
        raise InputError(f"the mean file has {max(len(data) - start, 0):,} bytes of {size:,}", path=path)
    pixels: NDArray[np.uint8] = np.frombuffer(data, np.uint8, size, start)
    return pixels.reshape(network.height, network.width, network.channels)
