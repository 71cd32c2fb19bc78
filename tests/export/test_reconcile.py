"""What an export records, what its model says, what the user says: metadata, options, names, metadata.json."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from convert.export.choose import reconcile, with_options
from convert.export.unpack import write
from convert.images import ImageScaling, ResizeMode
from convert.types import Color, Export, Metadata, ModelFacts, Tensor
from samples.layouts import (
    Parameters,
    arduino_library,
    cpp_library,
    header,
    multi_impulse_library,
    write_tree,
    write_zip,
)
from tests.export import tiny
from tests.export.unpacking import LABELS, MODEL, export_of, ids, refused, unpack


def test_metadata_that_contradicts_the_model(tmp_path: Path) -> None:
    grey = tiny.classifier(48, 64, 1)
    parameters = Parameters(labels=LABELS, quantized=True)
    result = unpack(write_tree(cpp_library(grey, parameters), tmp_path))
    export = result.artifact
    assert isinstance(export, Export)
    metadata = export.metadata
    assert (metadata.height, metadata.width, metadata.channels, metadata.color) == (48, 64, 1, Color.GRAY)
    assert metadata.quantized is False
    (finding,) = result.findings
    assert finding.id == "EI102"
    assert "96x96x3" in finding.message
    assert "48x64x1" in finding.message
    assert "float32" in finding.message


@pytest.mark.parametrize(
    ("output", "layer", "task", "found"),
    [
        ((1, 12, 12, 3), "UNKNOWN", "fomo", ["EI102"]),
        ((1, 3), "FOMO", "classifier", ["EI102"]),
        ((1, 12, 12, 3), "FOMO", "fomo", []),
        ((1, 189, 7), "YOLO_PRO", "yolo-pro", []),
        ((1, 189, 7), "YOLOV5", "yolox", ["EI102"]),
        ((1, 567, 14), "YOLOV5", "yolov5", []),
        ((1, 567, 14), "TAO_YOLOV4", "tao-yolov4", []),
        ((1, 567, 7), "TAO_YOLOV4", "yolov5", ["EI102"]),
        ((1, 5, 5, 5, 5), "TAO_SSD", "tao-ssd", []),
    ],
)
def test_the_last_layer_by_shape_and_by_parameters(
    output: tuple[int, ...], layer: str, task: str, found: list[str], tmp_path: Path
) -> None:
    data = tiny.model((1, 96, 96, 3), output)
    result = unpack(write_tree(cpp_library(data, Parameters(last_layer=layer)), tmp_path))
    export = result.artifact
    assert isinstance(export, Export)
    assert (export.facts.task, ids(result)) == (task, found)


def test_a_spectrogram_is_no_picture(tmp_path: Path) -> None:
    """A model of sound whose features have two dimensions; beside a model of pictures it is not the one in question."""
    parameters = Parameters(year=2025, labels=LABELS, sensor="MICROPHONE")
    sound = tiny.classifier(96, 96, 1)
    library = write_tree(cpp_library(sound, parameters), tmp_path / "sound")
    result = unpack(library)
    assert isinstance(result.artifact, Export)
    assert result.artifact.facts.task == "not-image"
    (finding,) = [finding for finding in result.findings if "microphone" in finding.message]
    assert (finding.id, "--task classifier" in finding.message) == ("EI102", True)
    assert export_of(library, task="classifier").facts.task == "classifier"
    pictures = replace(parameters, sensor="CAMERA", impulse_id=2, block_id=9)
    files = multi_impulse_library([(sound, parameters), (tiny.classifier(), pictures)])
    assert export_of(write_tree(files, tmp_path / "both")).model == tiny.classifier()


@pytest.mark.parametrize("sensor", ["UNKNOWN", "FUSION"])
def test_without_a_camera_the_size_of_pictures_says_what_the_samples_are(sensor: str, tmp_path: Path) -> None:
    """An uploaded data set: Edge Impulse's headers of other samples record a width and height of 0."""
    parameters = Parameters(year=2025, labels=LABELS, sensor=sensor)
    for width, task in ((96, "classifier"), (0, "not-image")):
        recorded = replace(parameters, width=width, height=width)
        library = write_tree(cpp_library(tiny.classifier(96, 96, 3), recorded), tmp_path / task)
        result = unpack(library)
        assert isinstance(result.artifact, Export)
        assert result.artifact.facts.task == task
        assert any("no size of pictures" in finding.message for finding in result.findings) == (width == 0)


def test_options_replace_what_is_recorded_and_say_so(tmp_path: Path) -> None:
    path = write_tree(cpp_library(MODEL, Parameters(labels=LABELS)), tmp_path)
    options: dict[str, object] = {
        "labels": ("a", "b"),
        "task": "fomo",
        "resize_mode": ResizeMode.FIT_LONGEST,
        "image_scaling": ImageScaling.TORCH,
        "bundle_name": "My Bundle!",
    }
    result = unpack(path, **options)
    export = result.artifact
    assert isinstance(export, Export)
    assert (export.metadata.labels, export.facts.task, export.name) == (("a", "b"), "fomo", "my-bundle")
    assert (export.metadata.resize_mode, export.metadata.image_scaling) == (ResizeMode.FIT_LONGEST, ImageScaling.TORCH)
    assert ids(result) == [*["EI107"] * 4, "EI113"]
    same = {"labels": LABELS, "task": "classifier", "resize_mode": ResizeMode.SQUASH}
    assert ids(unpack(path, **same)) == []


def test_options_fill_what_is_not_recorded_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "x.lite").write_bytes(MODEL)
    options = {"labels": LABELS, "resize_mode": ResizeMode.SQUASH, "image_scaling": ImageScaling.NONE}
    assert ids(unpack(tmp_path / "x.lite", **options)) == []


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("fruit.tflite", "fruit"),
        ("fruit (1).tflite", "fruit"),
        ("fruit.tflite (2)", "fruit"),
        ("fruit - Copy.lite", "fruit"),
        ("ei-fruit-nn-classifier-tensorflow-lite-float32-model.lite", "ei-fruit-nn-classifier"),
        ("ei-fruit-nn-classifier-tensorflow-lite-int8-quantized-model.12 (3).lite", "ei-fruit-nn-classifier"),
        ("tflite-trained.h", "orchard"),
        ("tflite_learn_5.lite", "orchard"),
        ("trained.tflite", "orchard"),
        ("model (1).lite", "orchard"),
        ("Größe.lite", "grosse"),
        ("日本.lite", "model"),
    ],
)
def test_names(file: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "orchard" / file
    path.parent.mkdir()
    path.write_bytes(header(MODEL, "F2").encode() if file.endswith(".h") else MODEL)
    assert export_of(path).name == name


def test_what_unpack_wrote_is_read_back(tmp_path: Path) -> None:
    """convert on the folder, or on the .tflite, gives what convert on the export gives."""
    parameters = Parameters(labels=LABELS, image_scaling="torch", project_name="Model")
    result = unpack(write_zip(arduino_library(MODEL, parameters), tmp_path / "apples.zip"))
    first = result.artifact
    assert isinstance(first, Export)
    outputs = write(first, tmp_path / "out", result.findings)
    assert [Path(output.path).name for output in outputs] == ["apples.tflite", "metadata.json"]
    assert (tmp_path / "out" / "apples.tflite").read_bytes() == MODEL
    for again in (tmp_path / "out", tmp_path / "out" / "apples.tflite"):
        found = unpack(again)
        second = found.artifact
        assert isinstance(second, Export)
        assert (second.metadata, second.name, second.digest) == (first.metadata, first.name, first.digest)
        assert second.facts == first.facts
        assert ids(found) == []


def test_the_document(tmp_path: Path) -> None:
    result = unpack(write_zip(cpp_library(MODEL, Parameters(labels=LABELS)), tmp_path / "x.zip"))
    assert isinstance(result.artifact, Export)
    write(result.artifact, tmp_path / "out")
    document = json.loads((tmp_path / "out" / "metadata.json").read_bytes())
    assert document["schema_version"] == 1
    assert document["sha256"] == result.artifact.digest
    assert document["member"] == "tflite-model/tflite_learn_5.h"
    assert document["metadata"]["labels"] == list(LABELS)


def test_twice_the_same_bytes(tmp_path: Path) -> None:
    path = write_zip(cpp_library(MODEL, Parameters(labels=LABELS)), tmp_path / "x.zip")
    for folder in ("one", "two"):
        result = unpack(path)
        assert isinstance(result.artifact, Export)
        write(result.artifact, tmp_path / folder, result.findings)
    for name in ("garden-watch.tflite", "metadata.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_another_model_s_document_is_not_used(tmp_path: Path) -> None:
    result = unpack(write_zip(cpp_library(MODEL, Parameters(labels=LABELS)), tmp_path / "x.zip"))
    assert isinstance(result.artifact, Export)
    write(result.artifact, tmp_path / "out")
    path = tmp_path / "out" / "garden-watch.tflite"
    path.write_bytes(tiny.classifier(seed=5))
    found = unpack(path)
    assert ids(found) == ["EI101", "EI108"]
    (said,) = (each for each in found.findings if each.id == "EI108")
    assert said.message == f"it was written for the model {result.artifact.digest[:12]}..., not for this one"
    assert isinstance(found.artifact, Export)
    assert found.artifact.metadata.labels is None


@pytest.mark.parametrize(
    ("text", "found"),
    [("{", ["EI101", "EI106"]), ("[1]", ["EI101"]), ('{"name": "x"}', ["EI101"]), ("[" * 5000, ["EI101", "EI106"])],
)
def test_a_metadata_json_that_is_none_of_ours(text: str, found: list[str], tmp_path: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(MODEL)
    (tmp_path / "metadata.json").write_text(text)
    result = unpack(tmp_path / "x.tflite")
    assert ids(result) == found
    for said in (each for each in result.findings if each.id == "EI106"):
        assert (said.message.startswith("it is no JSON: "), said.hint) == (True, "run unpack again")


def test_our_document_damaged(tmp_path: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(MODEL)
    digest = export_of(tmp_path / "x.tflite").digest
    (tmp_path / "metadata.json").write_text(json.dumps({"sha256": digest, "metadata": {"width": "wide"}}))
    assert "metadata.json" in str(refused(tmp_path / "x.tflite", "width must be int, not 'wide'").path)


def test_what_an_option_replaces_is_said() -> None:
    facts = ModelFacts(Tensor("x", (1, 96, 96, 3), "float32"), (), (), "float32", "classifier")
    recorded = Metadata(labels=("a", "b"), resize_mode=ResizeMode.SQUASH, threshold=0.5)
    given = {"labels": ("c", "d"), "resize_mode": ResizeMode.FIT_LONGEST, "threshold": 0.5, "color": None, "width": 7}
    metadata, changed, found = with_options(recorded, facts, given, "fomo")
    assert metadata == Metadata(labels=("c", "d"), resize_mode=ResizeMode.FIT_LONGEST, threshold=0.5, width=7)
    assert changed.task == "fomo"
    assert [each.message for each in found] == [
        "--labels c;d replaces the recorded a;b",
        "--resize-mode fit-longest replaces the recorded squash",
        "--task fomo replaces classifier, which the model looks like",
    ]
    assert with_options(recorded, facts, {}, "classifier") == (recorded, facts, ())


RECORDED = "the parameters record "
SENSOR = "its input has the shape of pictures, but the parameters record the sensor "


@pytest.mark.parametrize(
    ("recorded", "quantization", "task", "message"),
    [
        (Metadata(color=Color.GRAY), "float32", "classifier", RECORDED + "the colour GRAY, but it takes RGB"),
        (Metadata(color=Color.GRAY, height=48), "float32", "classifier",
         RECORDED + "pictures of 48x?x? (HxWxC), but it takes 96x96x3"),
        (Metadata(color=Color.RGB, height=96, width=96, channels=3), "float32", "classifier", None),
        (Metadata(quantized=True), "float32", "classifier", RECORDED + "a quantized model, but it is float32"),
        (Metadata(quantized=True), "float16-weights", "classifier",
         RECORDED + "a quantized model, but it is float16-weights"),
        (Metadata(quantized=False), "int8", "classifier", RECORDED + "a float32 model, but it is int8"),
        (Metadata(quantized=False, width=97), "dynamic-range", "classifier",
         RECORDED + "pictures of ?x97x? (HxWxC), but it takes 96x96x3; a float32 model, but it is dynamic-range"),
        (Metadata(quantized=False), "float32", "classifier", None),
        (Metadata(task="fomo"), "float32", "classifier",
         RECORDED + "the last layer fomo, but its outputs are those of classifier"),
        (Metadata(task="classifier"), "float32", "unknown",
         RECORDED + "the last layer classifier, but its outputs are those of unknown"),
        (Metadata(sensor="microphone"), "float32", "classifier",
         SENSOR + "microphone; say --task classifier if it takes pictures"),
        (Metadata(sensor="fusion"), "float32", "fomo",
         SENSOR + "fusion and no size of pictures; say --task fomo if it takes pictures"),
        (Metadata(sensor="unknown"), "float32", "fomo",
         SENSOR + "unknown and no size of pictures; say --task fomo if it takes pictures"),
        (Metadata(sensor="fusion", width=96), "float32", "fomo", None),
    ],
)  # fmt: skip
def test_what_is_said_of_parameters_that_the_model_disproves(
    recorded: Metadata, quantization: str, task: str, message: str | None
) -> None:
    facts = ModelFacts(Tensor("x", (1, 96, 96, 3), "float32"), (), (), quantization, task)
    _, _, found = reconcile(recorded, facts, (task,), "m.tflite")
    assert [(each.id, each.message, each.path) for each in found] == [("EI102", message, "m.tflite")] * bool(message)
