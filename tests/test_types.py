"""The values of Edge Impulse's enumerations stand in reports and ONNX metadata: they are a promise."""

from __future__ import annotations

from convert.heads import HEADS
from convert.images import ImageScaling, ResizeMode
from convert.types import Color, ModelFormat


def test_values_that_stand_in_files() -> None:
    assert {each.id for each in HEADS} == {
        "classifier", "fomo", "ssd", "end-to-end", "yolov2", "yolov5", "yolov5-drpai", "yolox", "yolov7", "yolo-pro",
        "yolov11", "yolov11-abs", "tao-retinanet", "tao-ssd", "tao-yolov3", "tao-yolov4", "anomaly", "not-image",
        "unknown",
    }  # fmt: skip
    assert [color.value for color in Color] == ["RGB", "GRAY"]
    assert [form.value for form in ModelFormat] == ["tflite", "onnx"]
    assert [mode.value for mode in ResizeMode] == ["none", "fit-shortest", "fit-longest", "squash"]
    assert {scaling.name: scaling.value for scaling in ImageScaling} == {
        "NONE": "none", "FROM_0_TO_255": "0_255", "TORCH": "torch", "MINUS_1_TO_1": "min1_1",
        "MINUS_128_TO_127": "min128_127", "BGR_MINUS_IMAGENET_MEAN": "bgr_subtract_imagenet_mean",
    }  # fmt: skip
