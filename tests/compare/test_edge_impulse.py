"""Edge Impulse's side of a comparison: what an export records, what is assumed, and what cannot be compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.compare.edge_impulse import EdgeImpulseModel, edge_impulse_model, read_original
from convert.errors import ConvertError, InputError, UnsupportedModelError
from convert.images import ImageScaling, ResizeMode
from convert.isolation import InProcessWorker
from convert.types import Export, Metadata, ModelFacts, ModelFormat, Tensor
from tests.export import tiny

PICTURE = Tensor("x", (1, 96, 96, 3), "float32")
GIVEN = Path("given.zip")


def facts(task: str = "classifier", *output: int, shape: tuple[int | None, ...] = PICTURE.shape) -> ModelFacts:
    return ModelFacts(
        replace(PICTURE, shape=shape), (Tensor("y", (1, *(output or (3,))), "float32"),), (), "float32", task
    )


def model(
    known: ModelFacts | None = None,
    own: Metadata | None = None,
    reported: Metadata | None = None,
    *,
    form: ModelFormat = ModelFormat.TFLITE,
    labels: tuple[str, ...] = (),
) -> EdgeImpulseModel:
    export = Export(b"", "m", "flatbuffer", "export.zip", "", own or Metadata(), known or facts(), form)
    return edge_impulse_model(export, GIVEN, InProcessWorker(), 1.0, reported or Metadata(), labels=labels)


@pytest.mark.parametrize(
    ("known", "form", "kind", "message", "hint"),
    [
        (
            facts("end-to-end", 300, 6), ModelFormat.TFLITE, UnsupportedModelError,
            "how Edge Impulse decodes models of the kind end-to-end is not known here",
            "can be compared: classifier, fomo, ssd, ",
        ),
        (
            facts("yolov5", 567, 6), ModelFormat.ONNX, UnsupportedModelError,
            "what the boxes of models of the kind yolov5 in an ONNX file are measured in is not known",
            "classifiers and FOMO can be compared, and what was exported as .tflite",
        ),
        (facts(shape=(1, 33)), ModelFormat.TFLITE, InputError, "the model takes no pictures", "None"),
        (facts(shape=(1, None, 96, 3)), ModelFormat.TFLITE, InputError, "the model takes no pictures", "None"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(
    known: ModelFacts, form: ModelFormat, kind: type[ConvertError], message: str, hint: str
) -> None:
    with pytest.raises(kind) as caught:
        model(known, form=form)
    assert (caught.value.message, caught.value.path) == (message, "given.zip")
    assert str(caught.value.hint).startswith(hint)


@pytest.mark.parametrize(
    ("data", "kind", "message", "hint"),
    [
        (None, InputError, "cannot be read: No such file or directory", "give a .tflite file"),
        (
            tiny.model((1, 96, 96, 3), (1, 300, 6), last="TOPK_V2"), UnsupportedModelError,
            "it cannot be compared: how Edge Impulse decodes outputs of the kind 'end-to-end' is not known",
            "compare with the bundle that `ei-deepstream convert` makes of the export",
        ),
    ],
)  # fmt: skip
def test_what_is_no_original(
    data: bytes | None, kind: type[ConvertError], message: str, hint: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.tflite"
    if data:
        path.write_bytes(data)
    with pytest.raises(kind) as caught:
        read_original(path, ("a",), ImageScaling.NONE, InProcessWorker(), 1.0)
    assert (caught.value.message, caught.value.hint, caught.value.path) == (message, hint, str(path))


def test_an_original_in_words_has_no_bytes_of_its_model(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny.classifier())
    found = read_original(path, ("a", "b"), ImageScaling.NONE, InProcessWorker(), 1.0)
    assert found.model == path.read_bytes()
    assert "TFL3" not in repr(found)


def test_an_onnx_file_of_a_kind_whose_places_are_known() -> None:
    assert model(facts("fomo", 12, 12, 3), form=ModelFormat.ONNX).task == "fomo"
    assert model(facts("classifier"), form=ModelFormat.ONNX).original.format is ModelFormat.ONNX


SQUASH_ASSUMED = "how Edge Impulse resized pictures is not recorded; squash is assumed"


@pytest.mark.parametrize(
    ("own", "reported", "mode", "findings"),
    [
        (None, None, ResizeMode.SQUASH, [SQUASH_ASSUMED]),
        (ResizeMode.NONE, None, ResizeMode.NONE, [SQUASH_ASSUMED]),
        (None, ResizeMode.FIT_LONGEST, ResizeMode.FIT_LONGEST, []),
        (ResizeMode.SQUASH, ResizeMode.FIT_LONGEST, ResizeMode.SQUASH, []),
    ],
)
def test_how_pictures_were_resized(
    own: ResizeMode | None, reported: ResizeMode | None, mode: ResizeMode, findings: list[str]
) -> None:
    found = model(None, Metadata(resize_mode=own), Metadata(resize_mode=reported))
    assert (found.resize_mode, [each.message for each in found.findings]) == (mode, findings)


THRESHOLD_ASSUMED = "Edge Impulse's threshold is not recorded; 0.5 is assumed"


@pytest.mark.parametrize(
    ("task", "own", "reported", "threshold", "findings"),
    [
        ("fomo", None, None, 0.5, [THRESHOLD_ASSUMED]),
        ("classifier", None, None, 0.5, []),
        ("fomo", None, 0.25, 0.25, []),
        ("fomo", 0.0, 0.25, 0.0, []),
    ],
)
def test_a_detectors_threshold(
    task: str, own: float | None, reported: float | None, threshold: float, findings: list[str]
) -> None:
    resized = Metadata(resize_mode=ResizeMode.SQUASH)
    found = model(facts(task, 12, 12, 3), replace(resized, threshold=own), replace(resized, threshold=reported))
    assert (found.threshold, [each.message for each in found.findings]) == (threshold, findings)


@pytest.mark.parametrize(
    ("name", "attribute", "values", "otherwise"),
    [
        ("nms_iou", "overlap", (0.0, 0.25), None),
        ("image_scaling", "scaling", (ImageScaling.TORCH, ImageScaling.MINUS_1_TO_1), ImageScaling.NONE),
    ],
)
def test_what_the_report_knows_counts_where_the_export_records_nothing(
    name: str, attribute: str, values: tuple[Any, Any], otherwise: object
) -> None:
    own, reported = (Metadata(**{name: value}) for value in values)
    found = [model(None, *given).original for given in ((own, reported), (None, reported), (None, None))]
    assert [getattr(each, attribute) for each in found] == [*values, otherwise]


def test_a_crop_anchor_belongs_to_its_resize_mode() -> None:
    crop = ResizeMode.FIT_SHORTEST
    corner, side = Metadata(resize_mode=crop, crop_anchor=(0, 0)), Metadata(resize_mode=crop, crop_anchor=(1, 0.5))
    assert model(None, corner, side).anchor == (0, 0)
    assert model(None, None, side).anchor == (1, 0.5)
    assert model(None, replace(corner, resize_mode=None), side).anchor == (1, 0.5)
    placed = model(None, corner, side).placed(192, 96)
    assert (placed.left, placed.source_width, placed.width, placed.height) == (0, 96, 96, 96)


@pytest.mark.parametrize(
    ("own", "reported", "others", "labels"),
    [
        (("a", "b", "c"), ("x", "y", "z"), ("k",), ("a", "b", "c")),
        (None, ("x", "y", "z"), ("k",), ("x", "y", "z")),
        (None, None, ("k",), ("k", "class 1", "class 2")),
        (None, None, ("k", "l", "m", "n"), ("k", "l", "m")),
        (None, None, (), ("class 0", "class 1", "class 2")),
    ],
)
def test_labels(
    own: tuple[str, ...] | None, reported: tuple[str, ...] | None, others: tuple[str, ...], labels: tuple[str, ...]
) -> None:
    assert model(None, Metadata(labels=own), Metadata(labels=reported), labels=others).original.labels == labels


@pytest.mark.parametrize(
    ("quantization", "integers"),
    [("int8", True), ("uint8", True), ("int16", True), ("dynamic-range", True), ("float32", False), ("float16", False)],
)
def test_what_computes_in_integers(quantization: str, integers: bool) -> None:
    assert model(replace(facts(), quantization=quantization)).quantized is integers


def test_other_labels_than_the_model_has_classes() -> None:
    original = model(None, Metadata(labels=("a", "b"))).original
    with pytest.raises(InputError, match=r"^the model has 3 classes and the other side names 2 labels$") as caught:
        original.answer([np.zeros((1, 3), np.float32)], 0.5)
    assert caught.value.hint == "compare with the model of the same project and version"
    assert caught.value.path == "given.zip"
