"""Exports that cannot be read: one clear error each, with a hint, and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from convert.errors import InputError, UnsupportedModelError
from samples.layouts import Parameters, cpp_library, header, write_tree, write_zip, zip_bytes
from tests.export.unpacking import MODEL, refused

if TYPE_CHECKING:
    from pathlib import Path


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
