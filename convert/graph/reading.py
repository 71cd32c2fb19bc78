"""An ONNX file as the artifacts have it: what the commands for single stages start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convert.artifacts import OnnxModel
from convert.errors import InputError, PresetError
from convert.framing import Frame, parse_frame
from convert.heads import head

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Provenance", "provenance", "read_onnx"]


@dataclass(frozen=True, slots=True)
class Provenance:
    """What `adapt` wrote into a model's metadata_props.

    Attributes:
        digest: of the flatbuffer.
        classes: how many.
        frame: the frames it takes whole and crops itself; None: any picture, of the size it was trained on.
    """

    digest: str
    task: str
    classes: int
    frame: Frame | None = None


def read_onnx(path: Path) -> OnnxModel:
    """Read a serialised model with one input.

    Raises:
        InputError: it cannot be read, is no ONNX model, or has another number of inputs.
    """
    import onnx  # noqa: PLC0415 - commands that start from a flatbuffer do without
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    from convert.graph.model import opset_of, signature  # noqa: PLC0415

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


def provenance(model: OnnxModel, path: Path) -> Provenance:
    """Where an adapted model says it comes from.

    Raises:
        InputError: `adapt` did not write it; `path` is named.
    """
    import onnx  # noqa: PLC0415 - as above

    said = {item.key: item.value for item in onnx.load_model_from_string(model.data).metadata_props}
    try:
        return Provenance(
            said["ei_deepstream.source_sha256"],
            head(said["ei_deepstream.task"]).id,
            int(said["ei_deepstream.classes"]),
            parse_frame(said["ei_deepstream.frame"]) if "ei_deepstream.frame" in said else None,
        )
    except (KeyError, ValueError, PresetError):
        raise InputError("not a model that `adapt` wrote", path=path, hint="run adapt on it first") from None
