"""Reads a Gst-nvinfer config as the given DeepStream release would, and says what becomes of it.

    parsed = read("config_infer_primary.txt")
    parsed.verdict, parsed.values["batch-size"], parsed.fault

The element chooses the parser by the suffix alone: `.yml` and `.yaml`, in lower case, are YAML from DeepStream 6.1 on;
everything else is INI (gstnvinfer.cpp, PROP_CONFIG_FILE_PATH).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from convert.errors import InputError, PresetError
from convert.nvinfer.keys import NEWEST, PLATFORMS, version
from convert.nvinfer.parse_draft import Draft
from convert.nvinfer.parse_files import TooMany, read_ordinary
from convert.nvinfer.parse_ini import read_ini

if TYPE_CHECKING:
    from convert.nvinfer.parse_result import Parsed

__all__ = ["MOST_BYTES", "YAML_SINCE", "form_of", "read", "read_bytes"]

YAML_SINCE: Final = "6.1"
"""The first DeepStream release that reads YAML; older ones read such a file as INI, and fail."""
MOST_BYTES: Final = 256 * 2**20
"""A file larger than this is not read: it is no config, and would be held in memory whole."""


def form_of(path: str | os.PathLike[str], release: str = NEWEST) -> str:
    """ "yaml" or "ini": what DeepStream `release` takes the file for, by its name."""
    yaml = os.fspath(path).endswith((".yml", ".yaml")) and version(release) >= version(YAML_SINCE)
    return "yaml" if yaml else "ini"


def read(path: str | os.PathLike[str], *, release: str = NEWEST, platform: str = "dgpu") -> Parsed:
    """What nvinfer makes of the config file `path`.

    Args:
        path: an ordinary file. Paths in it are looked up on this machine, relative to its real folder.
        release: DeepStream release, "5.0" to "9.1".
        platform: "dgpu" or "jetson".

    Raises:
        InputError: not an ordinary file, unreadable, or too large to be a config.
        PresetError: no such release or platform.
    """
    return read_bytes(read_ordinary(path, "config", MOST_BYTES), path, release=release, platform=platform)


def read_bytes(data: bytes, path: str | os.PathLike[str], *, release: str = NEWEST, platform: str = "dgpu") -> Parsed:
    """As `read`, for contents that are (or would be) in the file `path`, which need not exist.

    Raises:
        InputError: more keys than any config has.
        PresetError: no such release or platform.
    """
    if platform not in PLATFORMS:
        raise PresetError(f"there is no platform {platform!r}", hint="one of: " + ", ".join(PLATFORMS))
    form = form_of(path, release)
    draft = Draft(os.fspath(path), form, release, platform)
    try:
        if form == "ini":
            return read_ini(data, draft)
        from convert.nvinfer.parse_yaml import read_yaml  # noqa: PLC0415 - most configs are INI: start-up time

        return read_yaml(data, draft)
    except TooMany as error:
        raise InputError(
            str(error),
            hint="a Gst-nvinfer config has a few dozen keys; is this another file?",
            path=os.fspath(path),
        ) from None
