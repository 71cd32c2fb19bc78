"""Files are named by their content, whatever they are called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.export.archive import HEAD, file_type
from samples.layouts import header, zip_bytes
from tests.export import tiny


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"", "empty"),
        (tiny.classifier(), "tflite"),
        (zip_bytes({"a": b"b"}), "zip"),
        (b"\x7fELF\2\1\1", "elf"),
        (b"<!DOCTYPE html><html>", "html"),
        (b"\n<!-- x -->\n<HTML>", "html"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>", "html"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x89HDF\r\n\x1a\n", "hdf5"),
        (b"\x93NUMPY", "numpy"),
        (b"version https://git-lfs.github.com/spec/v1", "lfs"),
        (b"ptrt" + bytes(20), "engine"),
        (b"\x08\x08\x12\x07pytorch\x1a", "onnx"),
        (b"\x08\x0a:\x80\x01", "onnx"),
        (b"\x08\x01\x12\xf1\xf2\x02\x0a\xc3", "savedmodel"),
        (bytes(100), "binary"),
        (header(b"123", "F1").encode(), "source"),
        (header(b"123", "F3b").encode("utf-16"), "source"),
        (b"const unsigned char m[] = {1};", "source"),
        (b"    TFL3", "tflite"),
        (b"   TFL3", "text"),
        (b"\x08\x01\x12\x01a", "onnx"),
        (b"\x08\x1f\x3a\x01a", "onnx"),
        (b"\x08\x0a\x1a\x01a", "onnx"),
        (b"\x08\x0a\x22\x01a", "onnx"),
        (b"\x08\x0a\x42\x01a", "onnx"),
        (b"\x08\x00\x3a\x01a", "binary"),
        (b"\x08\x20\x3a\x01a", "binary"),
        (b"\x08\x0a\x3b\x01a", "binary"),
        (b"\x09\x0a\x3a\x01a", "binary"),
        (b"\x08\x0a\x3a\x01", "binary"),
        (b"\x08\x01\x12\x01\x0a", "savedmodel"),
        (b"\x08\x01\x12\xff\x7f\x0a", "savedmodel"),
        (b"\x08\x02\x12\x01\x0a", "onnx"),
        (b"\xff\xfea\x00", "source"),
        (b"\xef\xbb\xbf<html>", "html"),
        (b"hello", "text"),
        (b'{"a": 1}', "text"),
    ],
)
def test_kinds(head: bytes, name: str) -> None:
    kind = file_type(head[:HEAD])
    assert kind.name == name
    assert kind.hint or name in {"onnx", "tflite", "zip", "source"}


@given(st.binary(max_size=200))
def test_everything_is_something(head: bytes) -> None:
    assert file_type(head).words


def test_many_comments_before_no_page_are_passed_over_once() -> None:
    """Tried in every grouping, they would not end in the suite's time."""
    assert file_type(b"<!---->" * 40).name != "html"
