"""A head as metadata_props of the shipped model, so that a later command knows how its outputs were made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.artifacts import Head, Limits
from convert.errors import InputError
from convert.heads import head

if TYPE_CHECKING:
    from pathlib import Path

    from convert.artifacts import Export, OnnxModel
    from convert.findings import Finding

__all__ = ["recorded", "reread"]

_PREFIX = "ei_deepstream."
_WORDS = ("merge", "score", "coordinates")


def recorded(fitted: Head) -> dict[str, str]:
    """Key and value; labels are not among them (`convert.graph.names`)."""
    said = {"task": fitted.task, "classes": str(len(fitted.labels))}
    said |= {name: value for name in _WORDS if (value := getattr(fitted, name)) is not None}
    if fitted.limits:
        said["limits"] = f"{fitted.limits.detections};{fitted.limits.score!r};{fitted.limits.overlap!r}"
    if fitted.overlap is not None:
        said["overlap"] = repr(fitted.overlap)
    return {_PREFIX + name: value for name, value in said.items()}


def reread(model: OnnxModel, export: Export, path: Path) -> tuple[Head, tuple[Finding, ...]]:
    """The head of a model that `adapt` wrote, with the labels of `export`, and what had to be assumed.

    Raises:
        InputError: `adapt` did not write it (`path` is named), or the labels do not fit.
        UnsupportedModelError: a classifier with one class.
    """
    import onnx  # noqa: PLC0415 - commands that only read text do without

    properties = onnx.load_model_from_string(model.data).metadata_props
    said = {item.key.removeprefix(_PREFIX): item.value for item in properties}
    try:
        spec, classes = head(said["task"]), int(said["classes"])
        limits = _limits(said["limits"].split(";")) if "limits" in said else None
        overlap = float(said["overlap"]) if "overlap" in said else None
    except (KeyError, ValueError):
        raise InputError("not a model that `adapt` wrote", path=path, hint="run adapt on it first") from None
    labels, findings = spec.labels(export, classes)
    words = {name: said.get(name) for name in _WORDS}
    return Head(spec.id, labels, **words, limits=limits, overlap=overlap), findings


def _limits(numbers: list[str]) -> Limits:
    detections, score, overlap = numbers
    return Limits(int(detections), float(score), float(overlap))
