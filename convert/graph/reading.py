"""An ONNX file as the artifacts have it: what the commands for single stages start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.artifacts import Head, OnnxModel, Tensor
from convert.errors import InputError
from convert.heads import head
from convert.onnx_header import Damaged, Value, parse_header
from convert.report import OnnxMetadata

if TYPE_CHECKING:
    from pathlib import Path

    from convert.artifacts import Export
    from convert.findings import Finding

__all__ = ["read_head", "read_onnx", "recorded"]


def read_onnx(path: Path) -> OnnxModel:
    """Read a serialised model with one input.

    Raises:
        InputError: it cannot be read, is no ONNX model, or has another number of inputs.
    """
    hint = "give the .onnx file an earlier stage wrote"
    try:
        data = path.read_bytes()
        header = parse_header(data)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path, hint="give an .onnx file") from error
    except Damaged as error:
        raise InputError("not an ONNX model", path=path, hint=hint) from error
    if not header.nodes or not header.opset:
        raise InputError("not an ONNX model", path=path, hint=hint)
    if len(header.inputs) != 1:
        raise InputError(f"the model has {len(header.inputs)} inputs, not one", path=path, hint="run translate again")
    return OnnxModel(data, _tensor(header.inputs[0]), tuple(map(_tensor, header.outputs)), header.opset)


def _tensor(value: Value) -> Tensor:
    return Tensor(value.name, value.shape, value.numpy_type)


def recorded(model: OnnxModel, path: Path) -> OnnxMetadata:
    """What an adapted model records of itself; digest, task and number of classes are there.

    Raises:
        InputError: `adapt` did not write it; `path` is named.
    """
    try:
        found = OnnxMetadata.parse(parse_header(model.data).metadata, strict=True)
    except ValueError:
        found = OnnxMetadata()
    if None in {found.source_sha256, found.task, found.classes}:
        raise InputError("not a model that `adapt` wrote", path=path, hint="run adapt on it first")
    return found


def read_head(model: OnnxMetadata, export: Export) -> tuple[Head, tuple[Finding, ...]]:
    """The head of an adapted model (see `recorded`), with the labels of `export`, and what had to be assumed.

    Raises:
        InputError: the labels do not fit.
        UnsupportedModelError: a classifier with one class.
    """
    assert model.task is not None
    assert model.classes is not None
    labels, findings = head(model.task).labels(export, model.classes)
    found = Head(model.task, labels, model.merge, model.score, model.coordinates, model.limits, model.overlap)
    return found, findings
