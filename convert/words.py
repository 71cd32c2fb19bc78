"""Edge Impulse's words: colours, resize modes, image scalings, as enumerations whose values go into files."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = [
    "DETECTOR_THRESHOLD",
    "IMAGENET_MEAN_BGR",
    "INPUT_NAME",
    "TORCH_MEAN",
    "TORCH_STD",
    "Color",
    "ImageScaling",
    "ModelFormat",
    "ResizeMode",
]

INPUT_NAME: Final = "x_input"
"""Of the one input of every ONNX model that is shipped."""

DETECTOR_THRESHOLD: Final = 0.5
"""The confidence threshold that Studio gives a detector where nobody chose another, 0..1."""

TORCH_MEAN: Final = (0.485, 0.456, 0.406)
TORCH_STD: Final = (0.229, 0.224, 0.225)
"""Of ImageNet, RGB, in 0..1: `ImageScaling.TORCH` is (value - mean) / std (Edge Impulse's SDK, ei_image_scaling.h)."""

IMAGENET_MEAN_BGR: Final = (103.939, 116.779, 123.68)
"""Of ImageNet, in 0..255: `ImageScaling.BGR_MINUS_IMAGENET_MEAN` subtracts them (same file)."""


class Color(StrEnum):
    """Channel order of the model's input."""

    RGB = "RGB"
    GRAY = "GRAY"


class ModelFormat(StrEnum):
    """How the bytes of an export's model are to be read."""

    TFLITE = "tflite"
    ONNX = "onnx"


class ResizeMode(StrEnum):
    """How Edge Impulse brought pictures to the model's size (EI_CLASSIFIER_RESIZE_*)."""

    NONE = "none"
    FIT_SHORTEST = "fit-shortest"
    FIT_LONGEST = "fit-longest"
    SQUASH = "squash"


class ImageScaling(StrEnum):
    """What is done to pixel/255 before the model sees it (EI_CLASSIFIER_IMAGE_SCALING_*)."""

    NONE = "none"
    FROM_0_TO_255 = "0_255"
    TORCH = "torch"
    MINUS_1_TO_1 = "min1_1"
    MINUS_128_TO_127 = "min128_127"
    BGR_MINUS_IMAGENET_MEAN = "bgr_subtract_imagenet_mean"
