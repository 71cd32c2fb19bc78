"""What the bundle around a model says of its training, beyond what the model's own metadata_props say.

How pictures were brought to size in training is no part of what a model computes: the same network gives the same ONNX
file whether its export recorded that or not. It stands in the bundle's `report.json`, which is believed only where it
names this very file by its digest.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from convert.errors import InputError
from convert.nvinfer.parse_files import read_ordinary

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREFIX", "recorded"]

PREFIX: Final = "ei_deepstream."
"""Of every key that `convert` writes into a model's metadata_props."""

_REPORT: Final = "report.json"
_MODE: Final = f"{PREFIX}resize_mode"
_MOST: Final = 2**24  # bytes; a report has some thousands


def recorded(path: str, metadata: Mapping[str, str]) -> Mapping[str, str]:
    """`metadata` of the model at `path`, with `ei_deepstream.resize_mode` where the report beside it tells.

    A model of anyone else's, a folder without a report, and a report of another file give `metadata` as it is.
    """
    if _MODE in metadata or not any(key.startswith(PREFIX) for key in metadata):
        return metadata
    report = os.path.join(os.path.dirname(path), _REPORT)  # noqa: PTH118, PTH120 - text, as configs name it
    if not os.path.isfile(report):  # noqa: PTH113
        return metadata
    import json  # noqa: PLC0415 - only for a model of ours in its bundle

    try:
        document = json.loads(read_ordinary(report, "report", _MOST))
        mode = _resize_mode(document, path)
    except (InputError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return metadata  # not a report of ours, so nothing is known
    return metadata if mode is None else {**metadata, _MODE: mode}


def _resize_mode(document: Any, path: str) -> str | None:
    import hashlib  # noqa: PLC0415 - only for a model of ours

    name = os.path.basename(path)  # noqa: PTH119
    digests = {file["path"]: file["sha256"] for file in document["files"]}
    if name not in digests:
        return None
    with open(path, "rb") as file:  # noqa: PTH123
        if hashlib.file_digest(file, "sha256").hexdigest() != digests[name]:
            return None
    parts = [document, *(document[key] for key in ("primary", "secondary") if key in document)]
    for part in parts:
        if "model" in part and f"{part['export']['name']}.onnx" == name:
            mode = part["model"]["preprocessing"]["resize_mode"]
            return mode if isinstance(mode, str) else None
    return None
