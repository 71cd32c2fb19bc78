"""Models there is no way for are named for what they are, with what to do instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from convert.errors import UnsupportedModelError
from convert.heads import HEADS, describe, refuse_unsupported
from convert.types import Export, Metadata, ModelFacts, Tensor

GOOD = ModelFacts(
    Tensor("x", (1, 96, 96, 3), "float32"),
    (Tensor("y", (1, 3), "float32"),),
    ("CONV_2D", "FULLY_CONNECTED", "SOFTMAX"),
    "float32",
    "classifier",
)


def export(**facts: object) -> Export:
    return Export(b"", "m", "F3", "export.zip", "m.tflite", Metadata(), replace(GOOD, **facts))  # type: ignore[arg-type]


@pytest.mark.parametrize("quantization", ["float32", "float16-weights"])
@pytest.mark.parametrize("channels", [1, 3])
def test_float_classifiers_pass(quantization: str, channels: int) -> None:
    refuse_unsupported(export(quantization=quantization, input=Tensor("x", (1, 32, 48, channels), "float32")))


@pytest.mark.parametrize(
    ("facts", "message", "hint"),
    [
        ({"quantization": "int8"}, "an int8 model (int8 classifier, input 96x96x3)", "float32"),
        ({"quantization": "uint8"}, "a uint8 model", "float32"),
        ({"quantization": "int16"}, "an int16 model", "float32"),
        ({"quantization": "dynamic-range"}, "int8 weights", "float32"),
        ({"task": "anomaly"}, "an anomaly detector", "--model"),
        ({"task": "not-image", "input": Tensor("x", (1, 33), "float32")}, "input 33", "the whole library"),
        ({"task": "not-image", "quantization": "int8"}, "a model for sound, motion", "the whole library"),
        ({"task": "unknown"}, "unknown kind", "--task"),
        ({"task": "yolov2"}, "a YOLOv2 object detector", "Akida"),
        ({"task": "yolov7"}, "a YOLOv7 object detector", "without its NMS"),
        ({"input": Tensor("x", (1, 96, 96, 4), "float32")}, "4 channels", "1 (grey) or 3"),
        ({"input": Tensor("x", (1, 3, 96, 96), "float32")}, "channels first", "ONNX"),
        ({"input": Tensor("x", (2, 96, 96, 3), "float32")}, "holds 2 pictures", "one picture"),
        ({"input": Tensor("x", (1, None, None, 3), "float32")}, "its input has no fixed size", "fixed"),
        ({"input": Tensor("x", (), "float32")}, "input unknown", "fixed"),
        ({"input": Tensor("x", (1, 96, 96, 3), "float16")}, "its input is float16", "float32 input"),
        ({"outputs": (Tensor("y", (1, 3), "int64"),)}, "it gives int64", "scores"),
        ({"operators": ("CONV_2D", "ethos-u")}, "Arm Ethos-U (ethos-u)", "float32"),
        ({"operators": ("edgetpu-custom-op",)}, "Coral Edge TPU", "float32"),
        ({"operators": ("FlexErf",)}, "TensorFlow operators (FlexErf)", "without it"),
        ({"operators": ("MyOwn",)}, "the custom operator MyOwn", "without it"),
    ],
)
def test_others_are_refused(facts: dict[str, object], message: str, hint: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        refuse_unsupported(export(**facts))
    assert message in caught.value.message
    assert hint in str(caught.value.hint)
    assert caught.value.path == "m.tflite"


@pytest.mark.parametrize("task", [each.id for each in HEADS])
def test_every_task_has_a_name(task: str) -> None:
    assert describe(export(task=task)).endswith("input 96x96x3")
