"""Stage unpack: the same model's bytes come out of everything they were ever wrapped in."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convert.artifacts import Color, Export, ImageScaling, ResizeMode, StageResult, Task
from convert.errors import ConvertError, InputError, UnsupportedModelError
from convert.export.unpack import Unpack, write
from samples.layouts import (
    FORMS,
    Parameters,
    arduino_library,
    cpp_library,
    header,
    multi_impulse_library,
    openmv,
    write_tree,
    write_zip,
    zip_bytes,
)
from tests.export import tiny
from tests.export.eon import writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.artifacts import ModelFacts

MODEL = tiny.classifier()
SHAPES = (Path(__file__).parents[2] / "samples" / "models" / "shapes.tflite").read_bytes()
SHAPE_LABELS = ("circle", "square", "star", "triangle")
LABELS = ("cat", "dog")
YEARS = dict(zip(FORMS, (2021, 2022, 2023, 2024, 2025, 2026), strict=True))


def compiled_source(symbol: str) -> bytes:
    """SHAPES as the EON compiler writes it, in the form of the years when models were called so."""
    year = "2020" if symbol == "trained_model" else "2024-02" if symbol.count("_") == 2 else "2025-07"
    return writer.write(SHAPES, replace(writer.FORMS[year], symbol=symbol)).encode()


def unpack(path: Path, **options: object) -> StageResult:
    return Unpack(**options)(path, path)  # type: ignore[arg-type]


def export_of(path: Path, **options: object) -> Export:
    artifact = unpack(path, **options).artifact
    assert isinstance(artifact, Export)
    return artifact


def ids(result: StageResult) -> list[str]:
    return sorted(finding.id for finding in result.findings)


def refused(path: Path, message: str, kind: type[ConvertError] = InputError, **options: object) -> ConvertError:
    with pytest.raises(kind, match=message) as caught:
        unpack(path, **options)
    assert caught.value.hint
    assert caught.value.path
    return caught.value


WRAPPED: dict[str, Callable[[dict[str, bytes], Path], Path]] = {
    "folder": lambda files, folder: write_tree(files, folder / "export"),
    "folder-below": lambda files, folder: write_tree(files, folder / "a" / "b" / "c").parent.parent,
    "zip": lambda files, folder: write_zip(files, folder / "export.zip"),
    "zip-wrapped": lambda files, folder: write_zip(files, folder / "export (1).zip", "garden-watch-v3"),
    "zip-in-zip": lambda files, folder: write_zip({"in/my.zip": zip_bytes(files)}, folder / "outer.zip"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrap", WRAPPED)
@pytest.mark.parametrize("library", [cpp_library, arduino_library])
def test_the_same_bytes_out_of_every_form_and_wrapping(
    form: str, wrap: str, library: Callable[..., dict[str, bytes]], tmp_path: Path
) -> None:
    parameters = Parameters(year=YEARS[form], labels=LABELS)
    result = unpack(WRAPPED[wrap](library(MODEL, parameters, form), tmp_path))
    export = result.artifact
    assert isinstance(export, Export)
    assert export.model == MODEL
    assert (export.name, export.form) == ("garden-watch", form)
    assert export.metadata.labels == LABELS
    assert export.facts.task is Task.CLASSIFIER
    assert "tflite-model/tflite" in export.member
    assert ids(result) == []


@pytest.mark.parametrize("name", ["x.lite", "x.tflite", "x.bin", "x"])
def test_a_plain_flatbuffer_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(MODEL)
    result = unpack(tmp_path / name)
    export = result.artifact
    assert isinstance(export, Export)
    assert (export.model, export.form, export.member, export.source) == (MODEL, "flatbuffer", "", name)
    assert export.metadata.labels is None
    assert ids(result) == ["EI101"]


@pytest.mark.parametrize("form", FORMS[:-1])
def test_a_single_header(form: str, tmp_path: Path) -> None:
    path = tmp_path / "tflite-trained.h"
    path.write_text(header(MODEL, form))
    export = export_of(path)
    assert (export.model, export.form, export.member) == (MODEL, form, "")


@pytest.mark.parametrize("form", FORMS)
def test_a_header_inside_its_library_knows_its_parameters(form: str, tmp_path: Path) -> None:
    files = cpp_library(MODEL, Parameters(year=YEARS[form], labels=LABELS), form)
    write_tree(files, tmp_path)
    (path,) = (tmp_path / "tflite-model").glob("*.h")
    result = unpack(path)
    export = result.artifact
    assert isinstance(export, Export)
    assert (export.model, export.form, export.member, export.metadata.labels) == (MODEL, form, "", LABELS)
    assert ids(result) == ["EI109"]


def test_the_binary_of_a_library_knows_its_parameters_too(tmp_path: Path) -> None:
    write_tree(cpp_library(MODEL, Parameters(year=2026, labels=LABELS), "F4"), tmp_path)
    export = export_of(tmp_path / "tflite-model" / "tflite_learn_4711_5.tflite")
    assert (export.model, export.metadata.labels) == (MODEL, LABELS)


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(cpp_library(MODEL, Parameters(labels=LABELS)), tmp_path)
    monkeypatch.chdir(tmp_path / "tflite-model")
    assert export_of(Path("tflite_learn_5.h")).metadata.labels == LABELS
    assert export_of(Path()).model == MODEL


def test_openmv(tmp_path: Path) -> None:
    result = unpack(write_zip(openmv(MODEL, LABELS), tmp_path / "fruit-openmv-v2.zip"))
    export = result.artifact
    assert isinstance(export, Export)
    assert (export.model, export.form, export.name) == (MODEL, "openmv", "fruit-openmv-v2")
    assert export.metadata.labels == LABELS


def test_openmv_lists_background_of_fomo(tmp_path: Path) -> None:
    fomo = tiny.model((1, 96, 96, 3), (1, 12, 12, 3))
    files = openmv(fomo, ("background", "bee", "wasp"))
    assert export_of(write_tree(files, tmp_path)).metadata.labels == ("bee", "wasp")
    result = unpack(write_tree(openmv(fomo, ("bee",)), tmp_path))
    assert ids(result) == ["EI101", "EI106"]


def test_an_unsupported_task_or_number_format_is_unpacked_all_the_same(tmp_path: Path) -> None:
    for data, task, quantization in (
        (tiny.int8_classifier(), Task.CLASSIFIER, "int8"),
        (tiny.features(), Task.NOT_IMAGE, "float32"),
        (tiny.anomaly(), Task.ANOMALY, "float32"),
        (tiny.model((1, 96, 96, 3), (1, 4), (1, 4)), Task.UNKNOWN, "float32"),
    ):
        (tmp_path / "x.tflite").write_bytes(data)
        export = export_of(tmp_path / "x.tflite")
        assert (export.model, export.facts.task, export.facts.quantization) == (data, task, quantization)


# Which model is THE model


def test_an_anomaly_model_beside_the_classifier(tmp_path: Path) -> None:
    for year in (2023, 2025, 2026):
        files = cpp_library(MODEL, Parameters(year=year, labels=LABELS), anomaly=tiny.anomaly())
        result = unpack(write_tree(files, tmp_path / str(year)))
        export = result.artifact
        assert isinstance(export, Export)
        assert (export.model, export.name) == (MODEL, "garden-watch")
        assert ids(result) == ["EI104"]


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A library with two picture impulses."""
    first = Parameters(year=2025, labels=LABELS)
    second = replace(first, impulse_id=2, impulse_name="Second one", block_id=9, labels=("x", "y", "z"), width=48)
    other = tiny.classifier(96, 48, 3, 3, seed=1)
    return write_tree(multi_impulse_library([(MODEL, first), (other, second)]), tmp_path / "two")


def test_several_impulses_are_listed_and_not_guessed(two: Path) -> None:
    error = refused(two, "the export holds 2 models")
    for part in ("1. tflite_learn_5, impulse 1 'Impulse #1'", "2. tflite_learn_9, impulse 2 'Second one'", "96x48x3"):
        assert part in error.message
    assert "--model tflite_learn_5" in str(error.hint)


@pytest.mark.parametrize(
    "wanted",
    ["tflite_learn_9", "tflite-model/tflite_learn_9.h", "tflite_learn_9.tflite", "2", "#2", " second ONE "],
)
def test_ways_to_name_one(wanted: str, two: Path) -> None:
    result = unpack(two, model=wanted)
    export = result.artifact
    assert isinstance(export, Export)
    assert (export.metadata.labels, export.metadata.impulse_id) == (("x", "y", "z"), 2)
    assert export.name == "garden-watch-second-one-9"
    assert ids(result) == ["EI104"]


@pytest.mark.parametrize("wanted", ["tflite_learn_1", "3", "#3", "", "Impulse"])
def test_a_name_that_means_none(wanted: str, two: Path) -> None:
    assert "2. tflite_learn_9" in refused(two, "there is no model", model=wanted).message


def test_an_impulse_s_number_goes_before_a_place_in_the_list(tmp_path: Path) -> None:
    first = Parameters(year=2025, impulse_id=2, block_id=5)
    second = replace(first, impulse_id=1, block_id=9)
    files = multi_impulse_library([(MODEL, first), (tiny.classifier(seed=1), second)])
    write_tree(files, tmp_path)
    assert export_of(tmp_path, model="1").metadata.block_id == 9
    assert export_of(tmp_path, model="#1").metadata.block_id == 5


def test_a_name_that_means_several(tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.tflite").write_bytes(tiny.classifier(seed=seed))
    refused(tmp_path, "'model' means 2 models", model="model")
    assert export_of(tmp_path, model="b/model.tflite").model == tiny.classifier(seed=2)


def test_the_same_symbol_in_two_namespaces(tmp_path: Path) -> None:
    first = Parameters(year=2023, labels=LABELS)
    second = replace(first, impulse_id=2, impulse_name="two", block_id=9, sensor="ACCELEROMETER")
    files = multi_impulse_library([(MODEL, first), (tiny.features(), second)], "F2m")
    export = export_of(write_tree(files, tmp_path))
    assert (export.model, export.member) == (MODEL, "tflite-model/tflite-trained_4711_1.h")
    other = export_of(tmp_path, model="impulse_4711_2::trained_tflite")
    assert (other.model, other.metadata.impulse_name) == (tiny.features(), "two")


def test_a_stale_model_is_left_alone(tmp_path: Path) -> None:
    stale = cpp_library(tiny.classifier(seed=9), Parameters(block_id=3))
    files = {path: data for path, data in stale.items() if path.startswith("tflite-model/")}
    files |= cpp_library(MODEL, Parameters(labels=LABELS))
    result = unpack(write_tree(files, tmp_path))
    export = result.artifact
    assert isinstance(export, Export)
    assert export.model == MODEL
    (finding,) = result.findings
    assert (finding.id, "tflite_learn_3" in finding.message) == ("EI104", True)
    named = unpack(tmp_path, model="tflite_learn_3").artifact
    assert isinstance(named, Export)
    assert named.model == tiny.classifier(seed=9)


def test_only_a_stale_model_is_not_taken_silently(tmp_path: Path) -> None:
    files = cpp_library(MODEL, Parameters(block_id=5))
    files["model-parameters/model_variables.h"] = cpp_library(MODEL, Parameters(block_id=8))[
        "model-parameters/model_variables.h"
    ]
    refused(write_tree(files, tmp_path), "runs tflite_learn_8, which is not in the export")
    assert export_of(tmp_path, model="tflite_learn_5").model == MODEL


def test_a_name_that_starts_like_the_one_in_use_is_another(tmp_path: Path) -> None:
    files = cpp_library(MODEL, Parameters(block_id=5))
    files["model-parameters/model_variables.h"] = cpp_library(b"", Parameters(block_id=51))[
        "model-parameters/model_variables.h"
    ]
    refused(write_tree(files, tmp_path), "runs tflite_learn_51, which is not in the export")


def test_a_damaged_extra_is_a_note(tmp_path: Path) -> None:
    files = {"tflite-model/tflite_learn_9.h": header(MODEL[:-40], "F3", symbol="tflite_learn_9").encode()}
    files |= cpp_library(MODEL, Parameters(labels=LABELS))
    result = unpack(write_tree(files, tmp_path))
    assert ids(result) == ["EI105"]


@pytest.mark.parametrize(
    ("form", "symbol"), [("E1", "trained_model"), ("E2", "tflite_learn_5"), ("E3", "tflite_learn_4711_5")]
)
def test_compiled_models_are_rebuilt(form: str, symbol: str, tmp_path: Path) -> None:
    year = {"E1": 2022, "E2": 2024, "E3": 2026}[form]
    parameters = Parameters(labels=SHAPE_LABELS, width=48, height=48, channels=1, year=year, compiled=True)
    files = cpp_library(compiled_source(symbol), parameters, form)
    result = unpack(write_tree(files, tmp_path))
    export = result.artifact
    facts, original = export.facts, export_of_bytes(tmp_path)
    assert export.form == form
    assert export.metadata.labels == SHAPE_LABELS
    assert (facts.operators, facts.quantization, facts.task) == (
        original.operators, original.quantization, original.task
    )  # fmt: skip
    assert facts.input.shape == original.input.shape
    assert "EI150" in ids(result)
    (source,) = (tmp_path / "tflite-model").glob("*.cpp")
    assert export_of(source.rename(tmp_path / "x.cpp")).model == export.model


def export_of_bytes(folder: Path) -> ModelFacts:
    """The facts of SHAPES itself."""
    (folder / "original").mkdir()
    (folder / "original" / "m.tflite").write_bytes(SHAPES)
    return export_of(folder / "original" / "m.tflite").facts


def test_a_damaged_compiled_model_names_the_line(tmp_path: Path) -> None:
    files = cpp_library(compiled_source("tflite_learn_5")[:-3000], Parameters(year=2024, compiled=True), "E2")
    error = refused(write_tree(files, tmp_path), ".", ConvertError)
    assert "compiled.cpp" in str(error.path)
    assert error.line


@pytest.mark.parametrize("year", [2022, 2024])
@pytest.mark.parametrize("compiled", [False, True])
def test_an_array_beside_a_compiled_file_of_the_same_model(year: int, compiled: bool, tmp_path: Path) -> None:
    """What model_variables.h names, or in 2022 the macro, says which of the two is in use."""
    form, other = ("F2", "E1") if year == 2022 else ("F3", "E2")
    symbol = "trained_model" if year == 2022 else "tflite_learn_5"
    parameters = Parameters(labels=SHAPE_LABELS, width=48, height=48, channels=1, year=year, compiled=compiled)
    files = cpp_library(compiled_source(symbol), parameters, other) | cpp_library(SHAPES, parameters, form)
    if compiled:
        files |= cpp_library(compiled_source(symbol), parameters, other)
    export = export_of(write_tree(files, tmp_path))
    assert export.form == (other if compiled else form)
    assert (export.model == SHAPES) is not compiled


def test_a_damaged_onnx_array_or_file_and_an_empty_array(tmp_path: Path) -> None:
    onnx = b"\x08\x07\x12\x07pytorch:\x80\x01" + bytes(100)
    (tmp_path / "m.onnx").write_bytes(onnx)
    refused(tmp_path / "m.onnx", "not an ONNX model, or a damaged one", InputError)
    (tmp_path / "onnx-trained.h").write_text(header(onnx, "F1", symbol="trained_onnx"))
    refused(tmp_path / "onnx-trained.h", "not an ONNX model, or a damaged one", InputError)
    (tmp_path / "tflite-trained.h").write_text(header(b"", "F2"))
    refused(tmp_path / "tflite-trained.h", "trained_tflite is empty", UnsupportedModelError)


def test_an_onnx_copy_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL)
    (tmp_path / "m.onnx").write_bytes(b"\x08\x07\x12\x07pytorch:\x80\x01" + bytes(100))
    assert export_of(tmp_path).model == MODEL


def test_a_repository_full_of_models_is_summed_up(tmp_path: Path) -> None:
    files = cpp_library(MODEL, Parameters(labels=LABELS))
    files |= {f"old/{number}.lite": tiny.classifier(seed=number + 1) for number in range(15)}
    findings = unpack(write_tree(files, tmp_path)).findings
    assert len(findings) == 11
    assert findings[-1].message == "5 further models were not converted"


def test_the_same_model_twice_is_one_model(tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(MODEL)
    (tmp_path / "tflite-trained.h").write_text(header(MODEL, "F2"))
    assert export_of(tmp_path).model == MODEL


def test_an_engine_whose_model_is_not_in_the_export(tmp_path: Path) -> None:
    files = cpp_library(MODEL, Parameters(year=2024))
    text = (
        files["model-parameters/model_metadata.h"]
        .decode()
        .replace("INFERENCING_ENGINE             2", "INFERENCING_ENGINE 14")
    )
    del files["tflite-model/tflite_learn_5.h"]
    files["model-parameters/model_metadata.h"] = text.encode()
    refused(write_tree(files, tmp_path), "inferencing engine ATON", UnsupportedModelError)


def test_the_sdk_s_own_test_models_are_no_candidates(tmp_path: Path) -> None:
    files = {
        "edge-impulse-sdk/tensorflow/lite/model.h": header(tiny.classifier(seed=3), "F1").encode(),
        "edge-impulse-sdk/tensorflow/lite/hello_world.tflite": tiny.classifier(seed=4),
    }
    files |= cpp_library(MODEL, Parameters(labels=LABELS))
    assert ids(unpack(write_tree(files, tmp_path))) == []


def test_a_header_of_another_name_is_found_when_nothing_else_is(tmp_path: Path) -> None:
    files = {"src/net.hpp": header(MODEL, "F1", symbol="g_net").encode(), "src/main.cpp": b"int main() {}" * 100}
    files["src/table.h"] = b"const unsigned char t[] = {" + b"1," * 2000 + b"X};"
    export = export_of(write_tree(files, tmp_path))
    assert (export.model, export.form, export.member) == (MODEL, "array", "src/net.hpp")


def test_an_array_under_a_condition_is_said(tmp_path: Path) -> None:
    text = f"#ifdef USE_IT\n{header(MODEL, 'F1')}\n#endif"
    (tmp_path / "tflite-trained.h").write_text(text)
    assert ids(unpack(tmp_path)) == ["EI101", "EI111"]


# Metadata, options, names


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
        ((1, 12, 12, 3), "UNKNOWN", Task.FOMO, ["EI102"]),
        ((1, 3), "FOMO", Task.CLASSIFIER, ["EI102"]),
        ((1, 12, 12, 3), "FOMO", Task.FOMO, []),
        ((1, 189, 7), "YOLO_PRO", Task.YOLO_PRO, []),
        ((1, 189, 7), "YOLOV5", Task.YOLOX, ["EI102"]),
        ((1, 5, 5, 5, 5), "TAO_SSD", Task.TAO_SSD, []),
    ],
)
def test_the_last_layer_by_shape_and_by_parameters(
    output: tuple[int, ...], layer: str, task: Task, found: list[str], tmp_path: Path
) -> None:
    data = tiny.model((1, 96, 96, 3), output)
    result = unpack(write_tree(cpp_library(data, Parameters(last_layer=layer)), tmp_path))
    export = result.artifact
    assert isinstance(export, Export)
    assert (export.facts.task, ids(result)) == (task, found)


def test_options_replace_what_is_recorded_and_say_so(tmp_path: Path) -> None:
    path = write_tree(cpp_library(MODEL, Parameters(labels=LABELS)), tmp_path)
    options: dict[str, object] = {
        "labels": ("a", "b"),
        "task": Task.FOMO,
        "resize_mode": ResizeMode.FIT_LONGEST,
        "image_scaling": ImageScaling.TORCH,
        "bundle_name": "My Bundle!",
    }
    result = unpack(path, **options)
    export = result.artifact
    assert isinstance(export, Export)
    assert (export.metadata.labels, export.facts.task, export.name) == (("a", "b"), Task.FOMO, "my-bundle")
    assert (export.metadata.resize_mode, export.metadata.image_scaling) == (ResizeMode.FIT_LONGEST, ImageScaling.TORCH)
    assert ids(result) == ["EI107"] * 4
    same = {"labels": LABELS, "task": Task.CLASSIFIER, "resize_mode": ResizeMode.SQUASH}
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
        ("Größe.lite", "gr-e"),
        ("日本.lite", "model"),
    ],
)
def test_names(file: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "orchard" / file
    path.parent.mkdir()
    path.write_bytes(header(MODEL, "F2").encode() if file.endswith(".h") else MODEL)
    assert export_of(path).name == name


# metadata.json


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
    assert isinstance(found.artifact, Export)
    assert found.artifact.metadata.labels is None


@pytest.mark.parametrize(
    ("text", "found"),
    [("{", ["EI101", "EI106"]), ("[1]", ["EI101"]), ('{"name": "x"}', ["EI101"]), ("[" * 5000, ["EI101", "EI106"])],
)
def test_a_metadata_json_that_is_none_of_ours(text: str, found: list[str], tmp_path: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(MODEL)
    (tmp_path / "metadata.json").write_text(text)
    assert ids(unpack(tmp_path / "x.tflite")) == found


def test_our_document_damaged(tmp_path: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(MODEL)
    digest = export_of(tmp_path / "x.tflite").digest
    (tmp_path / "metadata.json").write_text(json.dumps({"sha256": digest, "metadata": {"width": "wide"}}))
    assert "metadata.json" in str(refused(tmp_path / "x.tflite", "cannot be 'wide'").path)


# Bad input


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("empty.tflite", b"", "an empty file"),
        ("empty.h", b"", "an empty file"),
        ("page.h", b"<!DOCTYPE html><html><body>Log in</body></html>", "a web page"),
        ("page.zip", b"<html>", "a web page"),
        ("x.eim", b"\x7fELF\2\1\1" + bytes(100), "a program"),
        ("x.tflite", bytes(range(1, 256)), "no kind that is known"),
        ("x.lite", b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS pointer"),
        ("x.png", b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        ("x.h", b"#pragma once\nint a;\n", "no array of bytes"),
        ("x.h", b"const unsigned char m[] = {};", "array m is empty"),
        ("x.h", b"const unsigned char m[] = {1,2,3};", "not a TensorFlow Lite model"),
        ("x.h", header(MODEL, "F3").encode()[:3000], "not closed"),
        ("x.h", header(MODEL, "F3").replace(f"= {len(MODEL)};", "= 12;").encode(), "tflite_learn_5_len says 12"),
        ("x.h", header(MODEL[:-100], "F2").encode(), "damaged"),
        ("x.tflite", MODEL[:-100], "damaged"),
        ("x.zip", zip_bytes({"a": b"b" * 100})[:-30], "damaged or cut off"),
        ("x.zip", zip_bytes({"readme.txt": b"hello"}), "there is no model in this zip"),
        ("x.zip", zip_bytes({"a/model_metadata.h": b"x", "tflite-model/tflite-trained.h": b"<html>"}), "a web page"),
        ("x.zip", zip_bytes({"tflite-model/tflite-trained.h": header(MODEL, "F1").encode()[:500]}), "not closed"),
    ],
)
def test_bad_files(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    kinds = UnsupportedModelError if "empty" in message and "array" in message else InputError
    refused(path, message, kinds)


def test_an_incbin_whose_file_is_missing(tmp_path: Path) -> None:
    files = cpp_library(MODEL, Parameters(year=2026), "F4")
    del files["tflite-model/tflite_learn_4711_5.tflite"]
    error = refused(write_tree(files, tmp_path), "tflite-model/tflite_learn_4711_5.tflite, which is missing")
    assert error.line


def test_two_nested_zips_are_not_guessed(tmp_path: Path) -> None:
    inner = zip_bytes(cpp_library(MODEL, Parameters()))
    refused(write_zip({"a.zip": inner, "b.zip": inner}, tmp_path / "x.zip"), "no model in this zip")


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.zip", "No such file")


def test_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "no regular file")


def test_damaged_parameters_name_their_file(tmp_path: Path) -> None:
    files = cpp_library(MODEL, Parameters())
    path = "model-parameters/model_variables.h"
    files[path] = files[path][: files[path].index(b"ei_learning_blocks[]") + 60]
    assert path in str(refused(write_tree(files, tmp_path), "cut off").path)


def test_every_real_model_in_every_form(models: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(models.glob("*lite"))):
        data = path.read_bytes()
        form = FORMS[number % len(FORMS)]
        files = cpp_library(data, Parameters(year=YEARS[form], project_name=path.stem), form)
        export = export_of(write_tree(files, tmp_path / str(number)))
        alone = export_of(path)
        assert export.model == alone.model == data
        assert export.name == alone.name
        assert export.facts.input == alone.facts.input
