"""The values of Edge Impulse's enumerations stand in reports and ONNX metadata: they are a promise."""

from __future__ import annotations

from convert.artifacts import Color, ImageScaling, ModelFormat, ResizeMode, Task


def test_values_that_stand_in_files() -> None:
    assert {task.name: task.value for task in Task} == {
        "CLASSIFIER": "classifier", "FOMO": "fomo", "SSD": "ssd", "YOLOV2": "yolov2", "YOLOV5": "yolov5",
        "YOLOV5_DRPAI": "yolov5-drpai", "YOLOX": "yolox", "YOLOV7": "yolov7", "YOLO_PRO": "yolo-pro",
        "YOLOV11": "yolov11", "YOLOV11_ABS": "yolov11-abs", "TAO_RETINANET": "tao-retinanet", "TAO_SSD": "tao-ssd",
        "TAO_YOLOV3": "tao-yolov3", "TAO_YOLOV4": "tao-yolov4", "ANOMALY": "anomaly", "NOT_IMAGE": "not-image",
        "UNKNOWN": "unknown",
    }  # fmt: skip
    assert [color.value for color in Color] == ["RGB", "GRAY"]
    assert [form.value for form in ModelFormat] == ["tflite", "onnx"]
    assert [mode.value for mode in ResizeMode] == ["none", "fit-shortest", "fit-longest", "squash"]
    assert {scaling.name: scaling.value for scaling in ImageScaling} == {
        "NONE": "none", "FROM_0_TO_255": "0_255", "TORCH": "torch", "MINUS_1_TO_1": "min1_1",
        "MINUS_128_TO_127": "min128_127", "BGR_MINUS_IMAGENET_MEAN": "bgr_subtract_imagenet_mean",
    }  # fmt: skip
