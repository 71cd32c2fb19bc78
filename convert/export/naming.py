"""Finds the name a bundle's files are called after."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from convert.artifacts import slug

if TYPE_CHECKING:
    from convert.artifacts import Metadata

__all__ = ["bundle_name"]

_COPY: Final = re.compile(r"(?:\s*\(\d+\)|\s+-\s+copy|[-_ ]copy)+$", re.IGNORECASE)
"""What browsers and file managers put behind the name of a second copy."""

_DASHBOARD: Final = re.compile(r"-tensorflow-lite-[a-z0-9-]+-model(?:\.\d+)?$", re.IGNORECASE)
"""What Edge Impulse's Dashboard puts behind the project and block: "-tensorflow-lite-float32-model.5"."""

_GENERIC: Final = re.compile(
    r"(?:tflite[-_]?(?:trained|learn)?|trained(?:[-_](?:tflite|model))?|model|network|export|unnamed|src|lib(?:rary)?)"
    r"(?:[-_]?\d+)*(?:[-_]compiled)?",
    re.IGNORECASE,
)
"""Names that say nothing about what the model knows."""

_SUFFIXES: Final = (".zip", ".tflite", ".lite", ".h", ".hpp", ".c", ".cc", ".cpp", ".onnx")


def bundle_name(
    given: str | None, recorded: str, metadata: Metadata, source: Path, member: str, *, several: bool
) -> str:
    """The name, as a slug.

    Args:
        given: the user's; it goes before all.
        recorded: what `unpack` called this model before, or empty.
        source: the zip, folder or file the user named; `member` the model's path in it.
        several: the export runs several picture models: impulse and block are part of the name.
    """
    if given or recorded:
        return slug(given or recorded)
    if metadata.project_name and slug(metadata.project_name) != "model":
        return slug("-".join([metadata.project_name, *(_block(metadata) if several else [])]))
    places = [member, source.name, *(parent.name for parent in source.absolute().parents)]
    stems = (_stem(place) for place in places)
    return next((slug(stem) for stem in stems if stem and not _GENERIC.fullmatch(stem)), "model")


def _block(metadata: Metadata) -> list[str]:
    parts = [metadata.impulse_name or "", str(metadata.block_id) if metadata.block_id is not None else ""]
    return [part for part in parts if part]


def _stem(path: str) -> str:
    """A file's or folder's name without extension, copy marks and the Dashboard's ending."""
    name = PurePosixPath(path).name
    # "name (1).zip" and "name.zip (1)" are both seen.
    name = _COPY.sub("", name)
    if name.lower().endswith(_SUFFIXES):
        name = name[: name.rindex(".")]
    return _DASHBOARD.sub("", _COPY.sub("", name))
