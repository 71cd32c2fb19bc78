"""inspect: everything in a file or folder is named, whether it can be converted or not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from convert.errors import InputError
from convert.export.unpack import Unpack, inspect, write
from samples.layouts import Parameters, cpp_library, header, multi_impulse_library, openmv, write_tree, write_zip
from tests.export import tiny
from tests.export.unpacking import export_of

if TYPE_CHECKING:
    from pathlib import Path

MODEL = tiny.classifier()
HALF_COMPILED = b"""#include "x.h"
enum used_operators_e { OP_SOFTMAX, OP_LAST };
TfLiteStatus trained_model_init( void*(*alloc_fnc)(size_t,size_t) ) { return kTfLiteOk; }
"""
PARAMETERS = Parameters(year=2026, labels=("cat", "dog"))


def test_a_library(tmp_path: Path) -> None:
    files = cpp_library(MODEL, PARAMETERS, anomaly=tiny.anomaly())
    found = inspect(write_zip(files, tmp_path / "x.zip", "wrap"))
    assert (found.container, found.kind, found.description) == ("zip", "export", "a zip with an Edge Impulse library")
    assert (found.project.project_name, found.project.studio_version) == ("Garden watch", "1.60.2")
    assert (found.undecided, found.findings) == (None, ())
    first, second = found.models
    assert (first.number, first.member, first.form) == (1, "wrap/tflite-model/tflite_learn_4711_5.tflite", "F4")
    assert (first.symbol, first.size, first.chosen, first.used) == ("tflite_learn_4711_5", len(MODEL), True, True)
    assert (first.reason, first.metadata.labels) == (None, ("cat", "dog"))
    assert first.facts is not None
    assert (second.chosen, second.used, second.metadata.task) == (False, True, "anomaly")
    assert first.digest == export_of(tmp_path / "x.zip").digest


def test_undecided_is_no_error(tmp_path: Path) -> None:
    second = replace(PARAMETERS, impulse_id=2, block_id=9)
    files = multi_impulse_library([(MODEL, PARAMETERS), (tiny.classifier(seed=1), second)])
    found = inspect(write_tree(files, tmp_path / "x"))
    assert [model.chosen for model in found.models] == [False, False]
    assert found.undecided
    assert found.undecided.startswith("the export holds 2 models")
    assert "--model" in str(found.hint)


def test_a_single_header_and_its_library(tmp_path: Path) -> None:
    write_tree(cpp_library(MODEL, PARAMETERS, "F3"), tmp_path)
    found = inspect(tmp_path / "tflite-model" / "tflite_learn_4711_5.h")
    assert (found.container, found.kind, found.description) == ("file", "source", "C or C++ source")
    (model,) = found.models
    assert (model.member, model.form, model.chosen, model.metadata.labels) == ("", "F3", True, ("cat", "dog"))


def test_what_cannot_be_converted_says_why(tmp_path: Path) -> None:
    files = {
        "a/trained_model_compiled.cpp": HALF_COMPILED,
        "b/onnx-trained.h": header(
            b"\x08\x07\x12\x07pytorch:\x80\x01" + bytes(99), "F1", symbol="trained_onnx"
        ).encode(),
        "c/broken.tflite": MODEL[:-100],
        "d/page.lite": b"<html>",
        "e/fine.lite": MODEL,
        "f/m.onnx": b"\x08\x07\x12\x07pytorch:\x80\x01" + bytes(99),
    }
    found = inspect(write_tree(files, tmp_path / "x"))
    assert [model.form for model in found.models] == ["E1", "O", "flatbuffer", "flatbuffer", "flatbuffer", "onnx"]
    reasons = [model.reason or "" for model in found.models]
    for reason, part in zip(
        reasons, ["not an EON-compiled model", "ONNX model", "damaged", "a web page", "", "an ONNX model"], strict=True
    ):
        assert part in reason
    assert [bool(model.digest) for model in found.models] == [False, False, False, False, True, False]


@pytest.mark.parametrize(
    ("name", "data", "kind", "part"),
    [
        ("x.lite", MODEL, "tflite", "TensorFlow Lite model"),
        ("x.h", b"<!DOCTYPE html>", "html", "web page"),
        ("x.eim", b"\x7fELF\2\1\1", "elf", ".eim"),
        ("x.h", b"", "empty", "empty file"),
        ("x.png", b"\x89PNG\r\n\x1a\n", "png", "PNG picture"),
        ("x.onnx", b"\x08\x07\x12\x07pytorch:\x80\x01" + bytes(99), "onnx", "ONNX model"),
        ("x.cpp", HALF_COMPILED, "source", "C++ source"),
        ("x.h", b"int a;\n#define B\n", "source", "C++ source"),
        ("x.bin", bytes(100), "binary", "binary data"),
        ("x.txt", b"hello", "text", "text file"),
    ],
)
def test_single_files(name: str, data: bytes, kind: str, part: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    found = inspect(tmp_path / name)
    assert (found.container, found.kind) == ("file", kind)
    assert part in found.description
    is_model = kind in {"tflite", "onnx"} or b"used_operators_e" in data
    assert bool(found.models) == is_model
    assert bool(found.undecided) != is_model
    assert found.hint or is_model


def test_beside_a_plain_file(tmp_path: Path) -> None:
    export = export_of(write_zip(cpp_library(MODEL, PARAMETERS), tmp_path / "x.zip"))
    write(export, tmp_path / "out")
    (model,) = inspect(tmp_path / "out" / "garden-watch.tflite").models
    assert model.metadata == export.metadata
    (model,) = inspect(write_tree(openmv(MODEL, ("a", "b")), tmp_path / "omv")).models
    assert (model.form, model.metadata.labels) == ("openmv", ("a", "b"))


def test_a_folder_with_nothing(tmp_path: Path) -> None:
    found = inspect(tmp_path)
    assert (found.kind, found.models, found.description) == ("unknown", (), "a folder with no model")
    assert "no model in this folder" in str(found.undecided)


def test_a_damaged_container_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK\3\4" + bytes(50))
    with pytest.raises(InputError, match="damaged"):
        inspect(tmp_path / "x.zip")
    with pytest.raises(InputError, match="No such file"):
        inspect(tmp_path / "nothing")


def test_inspect_and_unpack_agree_on_real_models(models: Path, tmp_path: Path) -> None:
    for path in models.glob("*lite"):
        if path.stat().st_size < 500_000:
            shutil.copy(path, tmp_path)
    found = inspect(tmp_path)
    assert len(found.models) == 7
    for model in found.models:
        alone = export_of(tmp_path / model.member)
        assert model.digest == alone.digest
        export = Unpack(model=f"#{model.number}")(tmp_path, tmp_path).artifact
        assert export == replace(alone, member=model.member, source=tmp_path.name)
