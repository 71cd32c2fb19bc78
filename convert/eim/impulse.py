"""A converted bundle as what an .eim holds: the model, its labels, and how pictures and outputs are to be read.

A bundle is the folder that `convert` wrote, or a file that `eim pack` made of one (a zip behind a few lines of script).
Nothing heavy is imported here: a server must bind its socket before anything else.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convert import heads
from convert.artifacts import Preprocessing
from convert.errors import InputError
from convert.report import REPORT, BundleReport
from convert.words import DETECTOR_THRESHOLD
from convert.writing import sha256

if TYPE_CHECKING:
    from pathlib import Path

    from convert.artifacts import Metadata, Preprocessing
    from convert.report import ModelReport

__all__ = ["Impulse", "bundle_files", "float32", "read_impulse"]

_BLOCK = 1  # the learn block's id where the export does not tell it
_LONGEST = 1 << 16  # pixels a side
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
    model = _model(files[REPORT], path)
    model.verify(sha256(files[model.file]), path)
    known, head, shape = model.metadata, model.head, model.input_shape
    match shape:
        case (_, (1 | 3) as channels, int() as height, int() as width) if (
            head.labels and 1 <= height <= _LONGEST and 1 <= width <= _LONGEST
        ):
            pass
        case _:
            raise InputError(f"the bundle's {REPORT} is damaged", path=path, hint="convert again")
    return Impulse(
        name=model.name,
        onnx=files[model.file],
        task=head.task,
        labels=head.labels,
        preprocessing=model.preprocessing,
        height=height,
        width=width,
        channels=channels,
        threshold=DETECTOR_THRESHOLD if known.threshold is None else known.threshold,
        block=_BLOCK if known.block_id is None else known.block_id,
        metadata=known,
        overlap=head.limits.overlap if head.limits else None,
        detections=head.limits.detections if head.limits else None,
        coordinates=head.coordinates,
    )


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
    model = _model(data, folder).file
    if not (folder / model).is_file():
        raise InputError(f"the bundle's {model} is missing", path=folder, hint="convert again")
    return {REPORT: data, model: (folder / model).read_bytes()}


def _from_zip(packed: zipfile.ZipFile, path: Path) -> dict[str, bytes]:
    try:
        data = _member(packed, REPORT, path)
        model = _model(data, path).file
        return {REPORT: data, model: _member(packed, model, path)}
    except KeyError as error:
        raise InputError("not a bundle that `eim pack` wrote", path=path, hint=_HINT) from error


def _member(packed: zipfile.ZipFile, name: str, path: Path) -> bytes:
    if packed.getinfo(name).file_size > _LARGEST:
        raise InputError(f"{name} is too large to be a bundle's", path=path, hint=_HINT)
    return packed.read(name)


def _model(report: bytes, path: Path) -> ModelReport:
    """The one model of a bundle.

    Raises:
        InputError: the report is damaged, or that of an app with two models.
    """
    models = BundleReport.parse(report, path).models
    if len(models) != 1:
        raise InputError(f"the bundle's {REPORT} names no model", path=path, hint="convert again")
    return models[0]
