"""Edge Impulse's words: colours, resize modes, image scalings, as enumerations whose values go into files."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Color", "ImageScaling", "ModelFormat", "ResizeMode"]


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
