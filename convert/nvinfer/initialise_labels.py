"""Label files as Gst-nvinfer reads them (nvdsinfer_context_impl.cpp, parseLabelsFile).

Every line that is not empty is one entry, split at `;`; nothing is trimmed, so a carriage return or a byte order mark
becomes part of a label, and an empty line shifts what follows. A detector takes the first label of entry i for class i,
a classifier the labels of entry i for the classes of output i.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from convert.nvinfer.parse_files import read_ordinary

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MOST_LABEL_BYTES", "LabelLine", "read_labels", "split_labels"]

MOST_LABEL_BYTES: Final = 64 * 2**20
"""A larger file is not read; the largest public label lists have a few hundred kilobytes."""


class LabelLine(NamedTuple):
    """One entry: its line in the file, from 1, and its labels, never empty. Empty lines have none."""

    line: int
    labels: tuple[str, ...]


def read_labels(path: Path | str) -> tuple[LabelLine, ...]:
    """The entries of a label file.

    Raises:
        InputError: nvinfer cannot read it either: missing, a folder, unreadable; or no ordinary file, or too large.
    """
    return split_labels(read_ordinary(path, "label file", MOST_LABEL_BYTES))


def split_labels(data: bytes) -> tuple[LabelLine, ...]:
    """The entries of a label file with these bytes. A label ends at a NUL, as the C strings it is copied into do."""
    return tuple(
        LabelLine(line, tuple(_label(label) for label in text.split(b";")))
        for line, text in enumerate(data.split(b"\n"), start=1)
        if text
    )


def _label(text: bytes) -> str:
    return text.partition(b"\0")[0].decode("utf-8", "replace")
