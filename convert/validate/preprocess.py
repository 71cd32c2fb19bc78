"""The two ways a picture becomes a tensor: as Edge Impulse packs it, and as Gst-nvinfer does.

Both start from the same uint8 picture, so that equal outputs prove preprocessing and graph together. Edge Impulse's
arithmetic is that of its C++ SDK (pixel / 255, then the image scaling of the block), nvinfer's that of its conversion
kernels, y = net-scale-factor * (x - offset), all in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convert.artifacts import ImageScaling
from convert.errors import ValidationError
from convert.words import IMAGENET_MEAN_BGR, TORCH_MEAN, TORCH_STD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.artifacts import Preprocessing

__all__ = ["as_edge_impulse", "as_nvinfer"]

_GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # the SDK's luma weights


def as_edge_impulse(pictures: NDArray[np.uint8], scaling: ImageScaling) -> NDArray[np.float32]:
    """float32 [n,H,W,C] as the SDK hands it to the model, from uint8 RGB or grey pictures [n,H,W,C].

    Raises:
        ValidationError: a scaling that needs three channels, on a grey model.
    """
    values: NDArray[np.float32] = pictures.astype(np.float32) / np.float32(255)
    if pictures.shape[-1] == 1:
        # The SDK reads grey pictures from packed RGB pixels with r = g = b.
        values = values * _GRAY[0] + values * _GRAY[1] + values * _GRAY[2]
        if scaling in {ImageScaling.TORCH, ImageScaling.BGR_MINUS_IMAGENET_MEAN}:
            raise ValidationError(
                f"image scaling {scaling.value} is for RGB models, and this one takes grey pictures",
                hint="say what is right with --image-scaling",
            )
    match scaling:
        case ImageScaling.NONE:
            return values
        case ImageScaling.FROM_0_TO_255:
            return values * np.float32(255)
        case ImageScaling.MINUS_1_TO_1:
            return values * np.float32(2) - np.float32(1)
        case ImageScaling.MINUS_128_TO_127:
            return values * np.float32(255) - np.float32(128)
        case ImageScaling.TORCH:
            mean, std = np.array(TORCH_MEAN, np.float32), np.array(TORCH_STD, np.float32)
            scaled: NDArray[np.float32] = (values - mean) / std
            return scaled
        case ImageScaling.BGR_MINUS_IMAGENET_MEAN:
            return values[..., ::-1] * np.float32(255) - np.array(IMAGENET_MEAN_BGR, np.float32)


def as_nvinfer(pictures: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """float32 [n,C,H,W], contiguous, as nvinfer's kernels write it, from uint8 RGB or grey pictures [n,H,W,C].

    Offsets are subtracted per channel in network order, that is after the swap to BGR.
    """
    source = pictures[..., ::-1] if preprocessing.color == "BGR" else pictures
    values = np.ascontiguousarray(source.transpose(0, 3, 1, 2), np.float32)
    if preprocessing.offsets:
        values -= np.array(preprocessing.offsets, np.float32)[:, np.newaxis, np.newaxis]
    values *= np.float32(preprocessing.net_scale_factor)
    return values
