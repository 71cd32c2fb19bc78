"""A converted bundle as what an .eim holds: the model, its labels, and how pictures and outputs are to be read.

A bundle is the folder that `convert` wrote, or a file that `eim pack` made of one (a zip behind a few lines of script).
Nothing heavy is imported here: a server must bind its socket before anything else.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convert import heads
from convert.artifacts import Preprocessing, ResizeMode
from convert.document import SCHEMA_VERSION, metadata_from_document
from convert.errors import InputError
from convert.writing import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from convert.artifacts import Metadata

__all__ = ["REPORT", "Impulse", "bundle_files", "float32", "read_impulse"]

REPORT = "report.json"
_THRESHOLD = 0.5  # what Studio gives a detector whose threshold nobody moved
_BLOCK = 1  # the learn block's id where the export does not tell it
_LARGEST = 1 << 30  # bytes of one file of a packed bundle; protobuf cannot hold twice as much
_HINT = "give the folder that `ei-deepstream convert` wrote, or what `ei-deepstream eim pack` made of it"


@dataclass(frozen=True, slots=True)
class Impulse:
    """What answers.

    Attributes:
        onnx: the model; input float32 [N,channels,height,width].
        task: decides how outputs are read.
        labels: in class order, without background.
        threshold: a detector's, 0..1.
        block: the learn block's id, by which clients set the threshold.
        overlap, detections: what the SSD's own last operator dropped, where that was recorded.
        coordinates: what a YOLO's raw boxes are measured in: "relative" (0..1) or "pixels".
    """

    name: str
    onnx: bytes = field(repr=False)
    task: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    height: int
    width: int
    channels: int
    threshold: float
    block: int
    metadata: Metadata
    overlap: float | None = None
    detections: int | None = None
    coordinates: str | None = None

    @property
    def features(self) -> int:
        """How many numbers one picture is: one a pixel."""
        return self.height * self.width

    @property
    def detects(self) -> bool:
        """Whether it answers with boxes."""
        return heads.head(self.task).detects


def read_impulse(path: Path) -> Impulse:
    """The bundle at `path`, folder or packed file.

    Raises:
        InputError: not a bundle, damaged, or its model is not the one its report describes.
    """
    files = bundle_files(path)
    report = _report(files[REPORT], path)
    try:
        name, model, metadata = report["export"]["name"], report["model"], report["export"]
        digests = {file["path"]: file["sha256"] for file in report["files"]}
        head, size = model["head"], model["input"]["shape"]
        limits = head.get("limits") or {}
        before = model["preprocessing"]
        onnx = files[f"{name}.onnx"]
        known = metadata_from_document({"metadata": metadata["metadata"]}, path)
        impulse = Impulse(
            name=str(name),
            onnx=onnx,
            task=heads.head(head["task"]).id,
            labels=tuple(map(_text, head["labels"])),
            preprocessing=_preprocessing(before),
            height=_extent(size[2]),
            width=_extent(size[3]),
            channels=_extent(size[1]),
            threshold=_THRESHOLD if known.threshold is None else known.threshold,
            block=_BLOCK if known.block_id is None else known.block_id,
            metadata=known,
            overlap=None if limits.get("overlap") is None else float(limits["overlap"]),
            detections=None if limits.get("detections") is None else int(limits["detections"]),
            coordinates=head.get("coordinates"),
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"the bundle's {REPORT} is damaged ({error!r})", path=path, hint="convert again") from error
    if digests.get(f"{name}.onnx") != sha256(onnx):
        raise InputError(
            f"{name}.onnx is not the model that {REPORT} describes", path=path, hint="convert again; do not mix bundles"
        )
    if impulse.channels not in {1, 3} or not impulse.labels:
        raise InputError(f"the bundle's {REPORT} is damaged", path=path, hint="convert again")
    return impulse


def bundle_files(path: Path) -> dict[str, bytes]:
    """`report.json` and the model it names, as they are.

    Raises:
        InputError: there is no bundle at `path`.
    """
    try:
        if path.is_dir():
            return _from_folder(path)
        with zipfile.ZipFile(path) as packed:
            return _from_zip(packed, path)
    except zipfile.BadZipFile as error:
        raise InputError("not a bundle", path=path, hint=_HINT) from error
    except (OSError, NotImplementedError, RuntimeError, ValueError, EOFError, zlib.error) as error:  # all of zipfile's
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"the bundle cannot be read: {reason}", path=path, hint=_HINT) from error


def float32(value: float) -> float:
    """The float nearest to `value` that the executable's `float` can hold: what it prints."""
    result: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return result


def _from_folder(folder: Path) -> dict[str, bytes]:
    report = folder / REPORT
    if not report.is_file():
        raise InputError(f"the folder holds no {REPORT}", path=folder, hint=_HINT)
    data = report.read_bytes()
    model = _model_name(data, folder)
    if not (folder / model).is_file():
        raise InputError(f"the bundle's {model} is missing", path=folder, hint="convert again")
    return {REPORT: data, model: (folder / model).read_bytes()}


def _from_zip(packed: zipfile.ZipFile, path: Path) -> dict[str, bytes]:
    try:
        data = _member(packed, REPORT, path)
        model = _model_name(data, path)
        return {REPORT: data, model: _member(packed, model, path)}
    except KeyError as error:
        raise InputError("not a bundle that `eim pack` wrote", path=path, hint=_HINT) from error


def _member(packed: zipfile.ZipFile, name: str, path: Path) -> bytes:
    if packed.getinfo(name).file_size > _LARGEST:
        raise InputError(f"{name} is too large to be a bundle's", path=path, hint=_HINT)
    return packed.read(name)


def _model_name(report: bytes, path: Path) -> str:
    export = _report(report, path).get("export")
    name = export.get("name") if isinstance(export, dict) else None
    if not isinstance(name, str) or not name or "/" in name or "\0" in name:
        raise InputError(f"the bundle's {REPORT} names no model", path=path, hint="convert again")
    return f"{name}.onnx"


def _report(data: bytes, path: Path) -> Mapping[str, Any]:
    try:
        report = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the bundle's {REPORT} is not JSON: {error}", path=path, hint="convert again") from error
    if not isinstance(report, dict):
        raise InputError(f"the bundle's {REPORT} is damaged", path=path, hint="convert again")
    if report.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"the bundle's {REPORT} has version {report.get('schema_version')!r}, this program reads {SCHEMA_VERSION}",
            path=path, hint="convert again with this version",
        )  # fmt: skip
    return report


def _preprocessing(values: Mapping[str, Any]) -> Preprocessing:
    mode = values["resize_mode"]
    return Preprocessing(
        net_scale_factor=float(values["net_scale_factor"]),
        offsets=tuple(map(float, values["offsets"])),
        color=_text(values["color"]),
        maintain_aspect_ratio=bool(values["maintain_aspect_ratio"]),
        symmetric_padding=bool(values["symmetric_padding"]),
        folded=_text(values["folded"]),
        resize_mode=None if mode is None else ResizeMode(mode),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _extent(value: object) -> int:
    if not isinstance(value, int) or not 1 <= value <= 1 << 16:
        raise ValueError(f"{value!r} is no size")
    return value
