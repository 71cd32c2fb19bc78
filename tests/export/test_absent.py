"""An export without a model: what is missing, what is there instead, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from convert.errors import InputError, UnsupportedModelError
from convert.heads import refuse_unsupported
from samples.layouts import Parameters, cpp_library, write_tree, zip_bytes
from tests.export import tiny
from tests.export.unpacking import YEARS, export_of, refused

if TYPE_CHECKING:
    from pathlib import Path


def without_model(year: int) -> dict[str, bytes]:
    files = cpp_library(tiny.classifier(), Parameters(year=year, labels=("cat", "dog")))
    return {path: data for path, data in files.items() if not path.startswith("tflite-model/")}


@pytest.mark.parametrize("year", sorted({year for year in YEARS.values() if year > 2022}))
def test_the_model_that_is_run_is_named(year: int, tmp_path: Path) -> None:
    error = refused(write_tree(without_model(year), tmp_path), "the model that this export runs is not in this folder")
    assert error.message.endswith(": tflite_learn_4711_5" if year > 2025 else ": tflite_learn_5")
    assert "tflite-model/" in str(error.hint)


def test_a_compiled_model_of_which_the_header_alone_is_left(tmp_path: Path) -> None:
    files = cpp_library(tiny.classifier(), Parameters(year=2024, compiled=True), "E2")
    files = {path: data for path, data in files.items() if not path.endswith("_compiled.cpp")}
    files["tflite-model/tflite_learn_5_compiled.h"] = b"#include <stdint.h>\nTfLiteStatus tflite_learn_5_init();\n" * 20
    assert "tflite_learn_5" in refused(write_tree(files, tmp_path), "is not in this folder").message


def test_a_file_of_the_library_that_is_not_the_model(tmp_path: Path) -> None:
    """With an array of one byte in it, as Studio writes it, which is no model."""
    path = tmp_path / "model_variables.h"
    path.write_bytes(b"const uint8_t ei_output_tensors_indices_5[] = { 0 };\n" + b"// no more\n" * 9)
    assert "*_compiled.cpp" in str(refused(path, "there is no model in this file").hint)


def test_a_library_that_names_no_model(tmp_path: Path) -> None:
    error = refused(write_tree(without_model(2021), tmp_path), "there is no model in this folder")
    assert "tflite-model/ folder" in str(error.hint)


def test_no_network_at_all(tmp_path: Path) -> None:
    files = without_model(2024)
    metadata = files["model-parameters/model_metadata.h"].decode()
    edited = metadata.replace("INFERENCING_ENGINE             2", "INFERENCING_ENGINE 255")
    assert edited != metadata
    files["model-parameters/model_metadata.h"] = edited.encode()
    refused(write_tree(files, tmp_path), "runs no neural network", UnsupportedModelError)


@pytest.mark.parametrize(
    ("name", "what", "hint"),
    [
        ("frozen_inference_graph.pb", "a graph of TensorFlow", "TensorFlow Lite"),
        ("model.weights.h5", "the weights of a Keras model", "TensorFlow Lite"),
        ("linux/Door.EIM", "an .eim executable", "TensorFlow Lite"),
        ("ei-door-arduino-1.0.1.zip", "a zip", "give that zip, if it is an export"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_there_instead(name: str, what: str, hint: str, packed: bool, tmp_path: Path) -> None:
    files = {name: b"anything", "readme.txt": b"hello", "main.cpp": b"int main() {}"}
    place = tmp_path / "x"
    if packed:
        place.write_bytes(zip_bytes(files))
    else:
        write_tree(files, place)
    error = refused(place, f"there is no model in this {'zip' if packed else 'folder'}, but {what}")
    assert isinstance(error, InputError)
    assert error.message.endswith(name)
    assert hint in str(error.hint)


@pytest.mark.parametrize("way", ["file", "folder", "zip"])
@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("edge-impulse-standalone.wasm", b"\0asm\1\0\0\0", "a WebAssembly program"),
        ("edge-impulse-standalone.js", b"var Module = {};\n", "a WebAssembly program"),
        ("firmware.ei.uf2", b"UF2\nWQ]\x9e", "firmware of a microcontroller"),
        ("firmware.ei.bin", b"\xe9\3\2\x20\0", "firmware of a microcontroller"),
        ("door.hex", b":020000040000FA\n", "firmware of a microcontroller"),
        ("door.elf", b"\x7fELF\1\1\1", "firmware of a microcontroller"),
        ("door.engine", b"ptrt\0\0\0\0", "a TensorRT engine"),
        ("door.plan", b"\1\2\3\4", "a TensorRT engine"),
    ],
)
def test_programs_and_engines(name: str, data: bytes, what: str, way: str, tmp_path: Path) -> None:
    """The same words whatever is given."""
    folder = write_tree({name: data, "readme.txt": b"hello"}, tmp_path / "x")
    (tmp_path / "x.zip").write_bytes(zip_bytes({name: data}))
    error = refused({"file": folder / name, "folder": folder, "zip": tmp_path / "x.zip"}[way], what)
    assert "TensorFlow Lite, float32" in str(error.hint)


@pytest.mark.parametrize("way", ["file", "folder"])
def test_a_fomo_that_scores_anomalies(way: str, tmp_path: Path) -> None:
    """FOMO-AD: a grid as FOMO's, where the parameters record anomaly scores and no detector."""
    files = cpp_library(tiny.model((1, 96, 96, 3), (1, 12, 12, 3)), Parameters(year=2026, labels=("a", "b")))
    name = "model-parameters/model_variables.h"
    edited = files[name].replace(b"EI_ANOMALY_TYPE_UNKNOWN", b"EI_ANOMALY_TYPE_VISUAL_GMM")
    assert edited != files[name]
    folder = write_tree({**files, name: edited}, tmp_path)
    model = next(path for path in files if path.endswith(".tflite"))
    export = export_of(folder if way == "folder" else folder / model)
    with pytest.raises(UnsupportedModelError, match="it is an anomaly detector"):
        refuse_unsupported(export)


@pytest.mark.parametrize("packed", [False, True])
def test_zips_are_given_as_the_hint_says(packed: bool, tmp_path: Path) -> None:
    export = zip_bytes(cpp_library(tiny.classifier(), Parameters(year=2024, labels=("cat", "dog"))))
    files = {"ei-door.zip": export, "pictures.zip": zip_bytes({"a.jpg": b""})}
    folder = write_tree(files, tmp_path / "downloads")
    place = tmp_path / "downloads.zip" if packed else folder
    if packed:
        place.write_bytes(zip_bytes(files))
    error = refused(place, "a zip: ei-door.zip and 1 more")
    assert error.hint == f"{'unpack it and ' if packed else ''}give that zip, if it is an export"
    assert export_of(folder / "ei-door.zip").metadata.labels == ("cat", "dog")


def test_of_several_zips_edge_impulse_s_is_named(tmp_path: Path) -> None:
    files = {"assets/pictures.zip": b"", "ei-door.zip": b"", "utilities.zip": b""}
    assert refused(write_tree(files, tmp_path), "a zip").message.endswith(": ei-door.zip and 2 more")
