"""nvinfer's arithmetic with our keys gives what Edge Impulse's SDK gives, for every image scaling."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convert.errors import PresetError
from convert.graph.preprocessing import RESIZE_ASSUMED, RESIZE_CROPS, SCALING_ASSUMED, preprocessing
from convert.images import ImageScaling, ResizeMode, parse_frame
from convert.types import TORCH_MEAN, TORCH_STD, Export, Metadata, ModelFacts, Tensor


def export(channels: int = 3, **metadata: object) -> Export:
    facts = ModelFacts(Tensor("x", (1, 96, 96, channels), "float32"), (), (), "float32", "classifier")
    return Export(b"", "m", "F3", "m", "", Metadata(**metadata), facts)  # type: ignore[arg-type]


RGB = np.array([[0.0, 17.0, 255.0], [200.0, 1.0, 128.0]])

# What the SDK makes of red, green, blue (edge-impulse-sdk/dsp/image, ei_run_dsp): pixel / 255, then the scaling.
SDK = {
    ImageScaling.NONE: RGB / 255,
    ImageScaling.FROM_0_TO_255: RGB,
    ImageScaling.TORCH: (RGB / 255 - TORCH_MEAN) / TORCH_STD,
    ImageScaling.MINUS_1_TO_1: RGB / 255 * 2 - 1,
    ImageScaling.MINUS_128_TO_127: RGB - 128,
    ImageScaling.BGR_MINUS_IMAGENET_MEAN: RGB[:, ::-1] - [103.939, 116.779, 123.68],
}


@pytest.mark.parametrize("scaling", ImageScaling)
def test_every_scaling(scaling: ImageScaling) -> None:
    keys, _ = preprocessing(export(image_scaling=scaling))
    assert len(keys.offsets) in {0, 3}, "nvinfer wants one for each channel"
    pixels = RGB[:, ::-1] if keys.color == "BGR" else RGB
    values = keys.net_scale_factor * (pixels - (keys.offsets or 0))
    if keys.folded:
        assert keys.folded == "torch"
        values = (values - TORCH_MEAN) / TORCH_STD
    np.testing.assert_allclose(values, SDK[scaling], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("scaling", "offsets"),
    [
        (ImageScaling.NONE, ()),
        (ImageScaling.FROM_0_TO_255, ()),
        (ImageScaling.MINUS_1_TO_1, (127.5,)),
        (ImageScaling.MINUS_128_TO_127, (128.0,)),
    ],
)
def test_grey(scaling: ImageScaling, offsets: tuple[float, ...]) -> None:
    keys, _ = preprocessing(export(1, image_scaling=scaling))
    assert (keys.color, keys.offsets) == ("GRAY", offsets)


@pytest.mark.parametrize("scaling", [ImageScaling.TORCH, ImageScaling.BGR_MINUS_IMAGENET_MEAN])
def test_colour_scalings_on_grey_models_are_refused(scaling: ImageScaling) -> None:
    with pytest.raises(PresetError) as caught:
        preprocessing(export(1, image_scaling=scaling))
    message = f"image scaling {scaling.value} is made for colour pictures, and this model takes grey ones"
    assert (caught.value.message, caught.value.hint) == (message, "give the right one with --image-scaling")


def test_the_graph_resizes_frames_of_a_known_size() -> None:
    with pytest.raises(PresetError, match=r"^--resize graph needs the size of the frames$") as caught:
        preprocessing(export(resize_mode=ResizeMode.SQUASH), resize="graph")
    assert str(caught.value.hint).startswith("say it in pixels, --frame 1280x720")


@pytest.mark.parametrize(
    ("mode", "keys", "rule"),
    [
        (ResizeMode.SQUASH, (False, False), None),
        (ResizeMode.FIT_LONGEST, (True, True), None),
        (ResizeMode.FIT_SHORTEST, (False, False), RESIZE_CROPS),
        (ResizeMode.NONE, (False, False), RESIZE_ASSUMED),
        (None, (False, False), RESIZE_ASSUMED),
    ],
)
def test_resize_modes(mode: ResizeMode | None, keys: tuple[bool, bool], rule: object) -> None:
    result, findings = preprocessing(export(resize_mode=mode, image_scaling=ImageScaling.NONE))
    assert (result.maintain_aspect_ratio, result.symmetric_padding) == keys
    assert result.resize_mode is mode
    assert [finding.id for finding in findings] == ([] if rule is None else [rule.id])  # type: ignore[attr-defined]
    assert all(finding.hint for finding in findings)


CROPS = (
    "the model was trained on pictures cropped to the {}; frames and objects are squashed to its size instead: in one "
    "of 16:9 everything is 1.8 times too narrow"
)
MEASURED = ". Measured on 500 frames of 640x360, {} gave Edge Impulse's answer on {} of them, with --frame 16:9 on {}"
CROP = (
    "for whole frames give --frame auto, or what the camera gives (--frame 4:3), and the model crops them itself; for "
    "another engine's objects (--role sgie) train it with squash"
)
ASSUMED = ("the export does not say how pictures were resized; squash is assumed", "say it with --resize-mode")
UNUSED = "--frame 4:3 changes nothing with --resize device: "
CUT = "if pictures were cropped to the centre, say --resize-mode fit-shortest"


@pytest.mark.parametrize(
    ("mode", "task", "options", "said"),
    [
        ("fit-shortest", "classifier", {},
         [(CROPS.format("centre") + MEASURED.format("classifiers", "83 to 100 %", "97 to 100 %"), CROP)]),
        ("fit-shortest", "fomo", {},
         [(CROPS.format("centre") + MEASURED.format("FOMO models", "9 to 14 %", "85 to 100 %"), CROP)]),
        ("fit-shortest", "ssd", {},
         [(CROPS.format("centre") + MEASURED.format("an SSD model", "7 %", "85 %"), CROP)]),
        ("fit-shortest", "yolov5", {},
         [(CROPS.format("centre") + MEASURED.format("YOLOv5 models", "22 to 36 %", "91 to 95 %"), CROP)]),
        ("fit-shortest", "yolo-pro", {}, [(CROPS.format("centre"), CROP)]),
        ("fit-shortest", "fomo", {"frame": "4:3"}, []),
        ("fit-shortest", "fomo", {"frame": "4:3", "resize": "device"}, []),
        (None, "fomo", {}, [ASSUMED]),
        ("none", "fomo", {}, [ASSUMED]),
        (None, "fomo", {"frame": "4:3", "resize": "device"}, [ASSUMED, (f"{UNUSED}squash is assumed", CUT)]),
        (None, "fomo", {"frame": "4:3", "resize": "device", "assumed": True}, [ASSUMED]),
        ("squash", "fomo", {}, []),
        ("squash", "fomo", {"frame": "4:3"}, []),
        ("squash", "fomo", {"frame": "4:3", "resize": "device"},
         [(f"{UNUSED}the model was trained with squash, on whole pictures", None)]),
        ("fit-longest", "fomo", {"frame": "4:3", "resize": "device"},
         [(f"{UNUSED}the model was trained with fit-longest, on whole pictures", None)]),
    ],
)  # fmt: skip
def test_what_is_said_of_resizing(
    mode: str | None, task: str, options: dict[str, Any], said: list[tuple[str, str | None]]
) -> None:
    made = export(resize_mode=None if mode is None else ResizeMode(mode), image_scaling=ImageScaling.NONE)
    made = replace(made, facts=replace(made.facts, task=task))
    if "frame" in options:
        options = {**options, "frame": parse_frame(options["frame"])}
    assert [(each.message, each.hint) for each in preprocessing(made, **options)[1]] == said


def test_a_graph_that_resizes_takes_levels_of_colours() -> None:
    """It scales, too, whatever the model takes."""
    made = export(1, resize_mode=ResizeMode.FIT_LONGEST, image_scaling=ImageScaling.MINUS_1_TO_1)
    keys, _ = preprocessing(made, parse_frame("1280x720"))
    assert (keys.net_scale_factor, keys.offsets, keys.color, keys.folded) == (1.0, (), "RGB", "all")
    assert (keys.maintain_aspect_ratio, keys.symmetric_padding) == (False, False)


def test_an_unknown_scaling_is_said() -> None:
    keys, findings = preprocessing(export(resize_mode=ResizeMode.SQUASH))
    assert keys.net_scale_factor == 1 / 255
    assert [finding.id for finding in findings] == [SCALING_ASSUMED.id]
    assert findings[0].message == "the export does not say how pixels are scaled; 0..1 is assumed"
    assert findings[0].hint == "say it with --image-scaling if that is wrong"
