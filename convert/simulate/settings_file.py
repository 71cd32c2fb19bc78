"""Reads what a simulation needs of a Gst-nvinfer config: the file itself and the label file it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.nvinfer.initialise_labels import read_labels
from convert.nvinfer.keys import NEWEST
from convert.nvinfer.parse import read
from convert.simulate.settings import Settings

if TYPE_CHECKING:
    import os

__all__ = ["read_settings"]


def read_settings(path: str | os.PathLike[str], *, release: str = NEWEST, platform: str = "dgpu") -> Settings:
    """The settings nvinfer would compute with.

    Args:
        path: of the config.
        release: DeepStream release.
        platform: "dgpu" or "jetson".

    Raises:
        InputError: the config or its label file cannot be read, or nvinfer refuses the config.
        UnsupportedModelError: a parser function of a library of its own.
        PresetError: no such release or platform.
    """
    parsed = read(path, release=release, platform=platform)
    labels = read_labels(parsed.files["labelfile-path"]) if "labelfile-path" in parsed.files else ()
    return Settings.from_parsed(parsed, [line.labels for line in labels])
