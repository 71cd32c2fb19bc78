"""What Edge Impulse's SDK and nvinfer make of a pixel, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from convert.errors import ValidationError
from convert.images import ImageScaling
from convert.types import Preprocessing
from convert.validate.inputs import as_edge_impulse, as_nvinfer

PIXEL = np.array([[[[255, 51, 0]]]], np.uint8)  # [n,H,W,C]: 1.0, 0.2, 0.0 of the range


def nvinfer(
    scale: float = 1 / 255, offsets: tuple[float, ...] = (), color: str = "RGB", folded: str = ""
) -> Preprocessing:
    return Preprocessing(
        scale, offsets, color, maintain_aspect_ratio=False, symmetric_padding=False, folded=folded, resize_mode=None
    )


# Edge Impulse's scaling, what its SDK makes of PIXEL, and what nvinfer must be told to make the same of it.
SCALINGS = [
    (ImageScaling.NONE, [1.0, 0.2, 0.0], nvinfer()),
    (ImageScaling.FROM_0_TO_255, [255.0, 51.0, 0.0], nvinfer(1.0)),
    (ImageScaling.MINUS_1_TO_1, [1.0, -0.6, -1.0], nvinfer(1 / 127.5, (127.5, 127.5, 127.5))),
    (ImageScaling.MINUS_128_TO_127, [127.0, -77.0, -128.0], nvinfer(1.0, (128.0, 128.0, 128.0))),
    (
        ImageScaling.BGR_MINUS_IMAGENET_MEAN,
        [-103.939, 51 - 116.779, 255 - 123.68],
        nvinfer(1.0, (103.939, 116.779, 123.68), "BGR"),
    ),
]


@pytest.mark.parametrize(("scaling", "expected", "preprocessing"), SCALINGS)
def test_both_make_the_same_of_a_pixel(
    scaling: ImageScaling, expected: list[float], preprocessing: Preprocessing
) -> None:
    original = as_edge_impulse(PIXEL, scaling)
    device = as_nvinfer(PIXEL, preprocessing)
    assert original.shape == (1, 1, 1, 3)
    assert device.shape == (1, 3, 1, 1)
    assert original.dtype == device.dtype == np.float32
    assert original.ravel() == pytest.approx(expected, abs=1e-5)
    assert device.ravel() == pytest.approx(expected, abs=1e-5)


def test_torch_has_a_mean_and_a_deviation_a_channel() -> None:
    expected = [(1 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, -0.406 / 0.225]
    assert as_edge_impulse(PIXEL, ImageScaling.TORCH).ravel() == pytest.approx(expected, abs=1e-5)


def test_layouts() -> None:
    picture = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    device = as_nvinfer(picture, nvinfer(1.0))
    assert device.flags["C_CONTIGUOUS"]
    assert device[1, 2, 0, 1] == picture[1, 0, 1, 2]
    assert as_nvinfer(picture, nvinfer(1.0, color="BGR"))[1, 0, 0, 1] == picture[1, 0, 1, 2]


def test_grey_is_its_own_luma() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert as_edge_impulse(grey, ImageScaling.NONE).ravel() == pytest.approx(np.arange(256) / 255, abs=2e-7)
    assert as_nvinfer(grey, nvinfer(color="GRAY")).shape == (1, 1, 16, 16)


@pytest.mark.parametrize("scaling", [ImageScaling.TORCH, ImageScaling.BGR_MINUS_IMAGENET_MEAN])
def test_scalings_of_three_channels_on_grey_are_refused(scaling: ImageScaling) -> None:
    with pytest.raises(ValidationError, match=f"^image scaling {scaling.value} is for RGB models") as caught:
        as_edge_impulse(PIXEL[..., :1], scaling)
    assert caught.value.hint == "say what is right with --image-scaling"


def test_levels_that_are_no_whole_numbers_stay_as_they_are() -> None:
    """What a graph that resizes hands on is float32 already."""
    levels = np.random.default_rng(0).uniform(0, 255, (2, 3, 4, 1)).astype(np.float32)
    before = levels.copy()
    found = as_nvinfer(levels, nvinfer(color="GRAY"))
    np.testing.assert_array_equal(levels, before)
    np.testing.assert_allclose(found[:, 0], before[..., 0] / 255, rtol=1e-6)
