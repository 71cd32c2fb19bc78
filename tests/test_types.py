"""The values of Edge Impulse's enumerations stand in reports and ONNX metadata: they are a promise."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from convert.files import sha256
from convert.heads import HEADS
from convert.images import Frame, Framing, ImageScaling, ResizeMode
from convert.types import (
    DETECTOR_THRESHOLD,
    IMAGENET_MEAN_BGR,
    INPUT_NAME,
    ROUNDED,
    TORCH_MEAN,
    TORCH_STD,
    Adapted,
    Agreement,
    Color,
    Export,
    Head,
    Int8Agreement,
    Metadata,
    ModelFacts,
    ModelFormat,
    OnnxModel,
    PrecisionEvidence,
    Preprocessing,
    Tensor,
    Translated,
    onnx_file,
    slug,
)

INPUT = Tensor("x", (None, 3, 8, None), "float32")
BEFORE = Preprocessing(1.0, (), "RGB", False, False, "", ResizeMode.SQUASH)


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


@pytest.mark.parametrize(
    ("recorded", "anchor", "assumed"),
    [
        ({}, (0.5, 0.5), ("labels", "resize_mode", "image_scaling")),
        ({"resize_mode": ResizeMode.FIT_SHORTEST}, (0.5, 0.5), ("labels", "image_scaling")),
        ({"resize_mode": ResizeMode.FIT_SHORTEST, "crop_anchor": (0.0, 1.0)}, (0.0, 1.0), ("labels", "image_scaling")),
        ({"resize_mode": ResizeMode.SQUASH, "crop_anchor": (0.0, 1.0)}, (0.5, 0.5), ("labels", "image_scaling")),
        ({"resize_mode": ResizeMode.NONE, "labels": ("a",)}, (0.5, 0.5), ("resize_mode", "image_scaling")),
        ({"image_scaling": ImageScaling.NONE, "labels": ()}, (0.5, 0.5), ("resize_mode",)),
    ],
)
def test_what_is_not_recorded_is_assumed(recorded: dict[str, Any], anchor: object, assumed: tuple[str, ...]) -> None:
    metadata = Metadata(**recorded)
    assert (metadata.anchor, metadata.assumed) == (anchor, assumed)


def agreement(layers: str) -> Int8Agreement:
    return Int8Agreement(1.0, 0.0, 0.0, 10, layers=layers)


@pytest.mark.parametrize(
    ("values", "digest", "provenance", "is_stepped"),
    [
        ({}, b"model", "", False),
        ({"content": "abc"}, b"model", "abc", False),
        ({"original": b"int8", "agreement": agreement("every")}, b"int8", "", True),
        ({"original": b"int8", "agreement": agreement("first"), "content": "abc"}, b"int8", "abc", False),
    ],
)
def test_what_an_export_was_made_of(values: dict[str, Any], digest: bytes, provenance: str, is_stepped: bool) -> None:
    facts = ModelFacts(INPUT, (), (), "float32", "classifier")
    export = Export(b"model", "m", "F1", "m.zip", "", Metadata(), facts, **values)
    assert (export.digest, export.provenance) == (sha256(digest), provenance or sha256(digest))
    assert export.is_stepped == is_stepped
    assert INPUT.sides == (3, 8)


@pytest.mark.parametrize(
    ("coded", "layers", "calibrated", "own", "steps"),
    [
        (False, "none", 0, False, False),
        (False, "first", 0, False, False),
        (False, "every", 0, False, True),
        (True, "none", 0, True, True),
        (False, "none", 1, True, True),
    ],
)
def test_whose_codes_a_model_has(coded: bool, layers: str, calibrated: int, own: bool, steps: bool) -> None:
    facts = ModelFacts(INPUT, (), (), "int8", "classifier")
    export = Export(b"model", "m", "F1", "m.zip", "", Metadata(), facts, coded=coded, agreement=agreement(layers))
    onnx = OnnxModel(b"", INPUT, (), 13)
    adapted = Adapted(Translated(export, onnx), onnx, Head("classifier", ()), BEFORE, None, calibrated)
    assert (adapted.has_own_codes, adapted.has_steps) == (own, steps)
    assert adapted.file == "m.onnx"


def test_a_model_of_whole_frames_is_called_after_them() -> None:
    assert onnx_file("m", None) == "m.onnx"
    assert onnx_file("m", Framing(Frame(16, 9), (96, 96))) == "m-16x9.onnx"
    assert onnx_file("m", Framing(Frame(1, 1), (96, 96))) == "m.onnx", "nothing is cropped"


@pytest.mark.parametrize(
    ("top1", "inputs", "differences", "is_good"),
    [
        (1.0, 50, 0, True),
        (0.98, 50, 1, True),  # one of few may be a tie
        (0.96, 50, 2, False),
        (0.99, 100, 1, True),
        (0.98, 100, 2, False),
        (0.99, 300, 3, True),
        (0.986, 300, 4, False),
        (0.0, 1, 1, True),
    ],
)
def test_a_precision_keeps_the_decisions(top1: float, inputs: int, differences: int, is_good: bool) -> None:
    alike = Agreement(top1, 0.0, 0.0, inputs)
    assert alike.differences == differences
    assert PrecisionEvidence("fp16", agreement=alike).is_good == is_good
    assert not PrecisionEvidence("fp16", agreement=alike, overflow=("Conv",)).is_good
    assert not PrecisionEvidence("fp16").is_good


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Äpfel & Früchte (v2)", "apfel-fruchte-v2"),
        ("ßæœøđðþłħŧı", "ssaeoeoddthlhti"),
        ("ÆØÐ_x", "aeod-x"),
        ("--a--", "a"),
        ("日本", "model"),
        ("", "model"),
        ("n" * 60 + "x", "n" * 60),
        ("n" * 59 + " x", "n" * 59),
    ],
)
def test_a_name_for_files(text: str, name: str) -> None:
    assert slug(text) == name


def test_numbers_and_words_that_others_chose() -> None:
    """ImageNet's mean and deviation as in Edge Impulse's SDK, Studio's threshold, and what stands in shipped models."""
    assert (TORCH_MEAN, TORCH_STD) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert IMAGENET_MEAN_BGR == (103.939, 116.779, 123.68)
    assert (DETECTOR_THRESHOLD, INPUT_NAME, ROUNDED) == (0.5, "x_input", "float32, rounded as in int8")


def test_a_model_in_memory_and_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"model")
    with (tmp_path / "m.onnx").open("rb") as file:
        models = [OnnxModel(stored, INPUT, (), 13) for stored in (b"model", file)]
        for model in (*models, *map(pickle.loads, map(pickle.dumps, models))):
            assert (model.data, model.size, model.input, model.opset) == (b"model", 5, INPUT, 13)
        in_memory, in_file = (each.loadable for each in models)
        assert in_memory == b"model"
        assert isinstance(in_file, str)
        assert Path(in_file).read_bytes() == b"model"
