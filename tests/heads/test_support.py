"""Models there is no way for are named for what they are, with what to do instead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from convert.errors import UnsupportedModelError
from convert.heads import HEADS, describe, refuse_no_codes, refuse_unsupported
from convert.types import Export, Metadata, ModelFacts, ModelFormat, Tensor

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
        (
            {"quantization": "int8"},
            "it is an int8 model (int8 classifier, input 96x96x3)",
            "leave out --no-dequantize, or download the float32 model",
        ),
        (
            {"quantization": "uint8"},
            "it is a uint8 model (uint8 classifier, input 96x96x3)",
            "leave out --no-dequantize, or download the float32 model",
        ),
        (
            {"quantization": "int16"},
            "it is an int16 model (int16 classifier, input 96x96x3)",
            "leave out --no-dequantize, or download the float32 model",
        ),
        (
            {"quantization": "float16"},
            "it is a float16 model (float16 classifier, input 96x96x3)",
            "leave out --no-dequantize, or download the float32 model",
        ),
        (
            {"quantization": "dynamic-range"},
            "it is a model with int8 weights (dynamic range) (dynamic-range classifier, input 96x96x3)",
            "leave out --no-dequantize, or download the float32 model",
        ),
        (
            {"task": "anomaly"},
            "it is an anomaly detector (float32, input 96x96x3)",
            "Gst-nvinfer has no anomaly detector",
        ),
        (
            {"task": "not-image", "input": Tensor("x", (1, 33), "float32")},
            "it is a model for sound, motion or other sensor data (float32, input 33)",
            "give convert the whole library ",
        ),
        (
            {"task": "not-image", "quantization": "int8"},
            "it is a model for sound, motion or other sensor data (int8, input 96x96x3)",
            "give convert the whole library ",
        ),
        ({"task": "unknown"}, "it is a model of an unknown kind (float32, input 96x96x3)", "if you know what it is"),
        (
            {"task": "yolov2"},
            "it is a YOLOv2 object detector (float32, input 96x96x3)",
            "it is made for Akida processors",
        ),
        ({"task": "yolov7"}, "it is a YOLOv7 object detector (float32, input 96x96x3)", "its graph ends in an NMS"),
        (
            {"input": Tensor("x", (1, 96, 96, 4), "float32")},
            "its input has 4 channels (float32 classifier, input 96x96x4)",
            "Gst-nvinfer feeds 1 (grey) or 3 (colour) channels, no other",
        ),
        (
            {"input": Tensor("x", (1, 3, 96, 96), "float32")},
            "its input has the channels first (float32 classifier, input 3x96x96)",
            "give its ONNX model, where that is usual",
        ),
        (
            {"input": Tensor("x", (2, 96, 96, 3), "float32")},
            "its input holds 2 pictures (float32 classifier, input 96x96x3)",
            "export the model for one picture at a time",
        ),
        (
            {"input": Tensor("x", (1, None, None, 3), "float32")},
            "its input has no fixed size (float32 classifier, input ?x?x3)",
            "export the model with a fixed input size",
        ),
        (
            {"input": Tensor("x", (), "float32")},
            "its input is no picture of a fixed size (float32 classifier, input unknown)",
            "export the model with a fixed input size",
        ),
        (
            {"input": Tensor("x", (1, 96, 96, 3), "float16")},
            "its input is float16 (float32 classifier, input 96x96x3)",
            "export the model with a float32 input",
        ),
        (
            {"outputs": (Tensor("y", (1, 3), "int64"),)},
            "it gives int64 (float32 classifier, input 96x96x3)",
            "export the model with its scores, in float32, as output",
        ),
        (
            {"operators": ("CONV_2D", "ethos-u")},
            "it is compiled for an Arm Ethos-U (ethos-u) (float32 classifier, input 96x96x3)",
            "download the float32 model instead",
        ),
        (
            {"operators": ("edgetpu-custom-op",)},
            "it is compiled for a Coral Edge TPU (edgetpu-custom-op) (float32 classifier, input 96x96x3)",
            "download the float32 model instead",
        ),
        (
            {"operators": ("FlexErf",)},
            "it holds TensorFlow operators (FlexErf) (float32 classifier, input 96x96x3)",
            "export the model without it",
        ),
        (
            {"operators": ("MyOwn",)},
            "it holds the custom operator MyOwn (float32 classifier, input 96x96x3)",
            "export the model without it",
        ),
    ],
)
def test_others_are_refused(facts: dict[str, object], message: str, hint: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        refuse_unsupported(export(**facts))
    assert caught.value.message == f"this model cannot be converted: {message}"
    assert str(caught.value.hint).startswith(hint)
    assert caught.value.path == "m.tflite"


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16"])
def test_a_quantized_model_that_is_rewritten_may_take_and_give_codes(dtype: str) -> None:
    ends = {"input": Tensor("x", (1, 96, 96, 3), dtype), "outputs": (Tensor("y", (1, 3), dtype),)}
    refuse_unsupported(export(quantization="int8", **ends), rewritten=True)
    if dtype == "float32":
        refuse_unsupported(export(**ends), rewritten=True)
    else:
        with pytest.raises(UnsupportedModelError, match=f"^this model cannot be converted: its input is {dtype} "):
            refuse_unsupported(export(**ends), rewritten=True)


def test_outputs_that_no_rewriting_makes_scores() -> None:
    outputs = tuple(Tensor("y", (1, 3), dtype) for dtype in ("int64", "bool", "int8"))
    with pytest.raises(
        UnsupportedModelError, match=r"^this model cannot be converted: it gives bool, int64 \(int8 classifier"
    ):
        refuse_unsupported(export(quantization="int8", outputs=outputs), rewritten=True)


def test_an_onnx_model() -> None:
    """It may hold any operator, and no other format of it is known to be downloaded."""
    refuse_unsupported(replace(export(operators=("MyOwn",)), format=ModelFormat.ONNX))
    for rewritten in (False, True):
        with pytest.raises(
            UnsupportedModelError, match=r"^this model cannot be converted: it is a float16 model "
        ) as caught:
            refuse_unsupported(replace(export(quantization="float16"), format=ModelFormat.ONNX), rewritten=rewritten)
        assert str(caught.value.hint).startswith("export it in float32, inputs and outputs too")
    with pytest.raises(UnsupportedModelError) as caught:
        refuse_unsupported(replace(export(task="unknown"), member="", format=ModelFormat.ONNX))
    assert caught.value.path == "export.zip"


def test_which_models_have_codes_to_keep() -> None:
    for quantization in ("int8", "uint8"):
        refuse_no_codes(export(quantization=quantization))
    for quantization, said in (("float32", "a float model"), ("float16-weights", "a float model"),
                               ("int16", "an int16 model")):  # fmt: skip
        with pytest.raises(UnsupportedModelError) as caught:
            refuse_no_codes(export(quantization=quantization))
        reason = f"it is {said}, and --precision int8 keeps the 8-bit codes of an int8 one"
        assert caught.value.message.startswith(f"this model cannot be converted: {reason} ({quantization} classifier")
        assert str(caught.value.hint).startswith("build the int8 variant in Studio")
    with pytest.raises(UnsupportedModelError, match=r"^this model cannot be converted: it is an int8 model, "):
        refuse_no_codes(replace(export(quantization="int8"), format=ModelFormat.ONNX))


def test_how_every_kind_is_called() -> None:
    """Behind its number format, in front of the size of its input."""
    assert {each.id: describe(export(task=each.id))[len("float32 ") : -len(", input 96x96x3")] for each in HEADS} == {
        "classifier": "classifier",
        "fomo": "FOMO object detector",
        "ssd": "MobileNet SSD object detector",
        "end-to-end": "end-to-end object detector (YOLOv10, YOLO26)",
        "yolov5": "YOLOv5 object detector",
        "yolov5-drpai": "YOLOv5 object detector for DRP-AI",
        "yolox": "YOLOX object detector",
        "yolo-pro": "YOLO-Pro object detector",
        "yolov2": "YOLOv2 object detector",
        "yolov7": "YOLOv7 object detector",
        "yolov11": "YOLOv11 object detector",
        "yolov11-abs": "YOLOv11 object detector with absolute boxes",
        "tao-retinanet": "TAO RetinaNet object detector",
        "tao-ssd": "TAO SSD object detector",
        "tao-yolov3": "TAO YOLOv3 object detector",
        "tao-yolov4": "TAO YOLOv4 object detector",
        "anomaly": "anomaly detector",
        "not-image": "model for sound, motion or other sensor data",
        "unknown": "model of an unknown kind",
    }
