"""An ONNX file as the artifacts have it: what the commands for single stages start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError

from convert.artifacts import OnnxModel
from convert.errors import InputError
from convert.graph.model import opset_of, signature

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_onnx", "source_digest"]

_ORIGIN = "ei_deepstream.source_sha256"


def read_onnx(path: Path) -> OnnxModel:
    """Read a serialised model with one input.

    Raises:
        InputError: it cannot be read, is no ONNX model, or has another number of inputs.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path, hint="give an .onnx file") from error
    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise InputError("not an ONNX model", path=path, hint="give the .onnx file an earlier stage wrote") from error
    graph = model.graph
    if not graph.node or not model.opset_import:
        raise InputError("not an ONNX model", path=path, hint="give the .onnx file an earlier stage wrote")
    if len(graph.input) != 1:
        raise InputError(f"the model has {len(graph.input)} inputs, not one", path=path, hint="run translate again")
    return OnnxModel(data, signature(graph.input[0]), tuple(map(signature, graph.output)), opset_of(model))


def source_digest(model: OnnxModel) -> str | None:
    """SHA-256 of the flatbuffer an adapted model says it was made from; None for any other model."""
    return {item.key: item.value for item in onnx.load_model_from_string(model.data).metadata_props}.get(_ORIGIN)
