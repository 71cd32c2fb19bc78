"""Reads a Gst-nvinfer config as the given DeepStream release would, and says what becomes of it.

    parsed = read("config_infer_primary.txt")
    parsed.verdict, parsed.values["batch-size"], parsed.fault

The element chooses the parser by the suffix alone: `.yml` and `.yaml`, in lower case, are YAML from DeepStream 6.1 on;
everything else is INI (gstnvinfer.cpp, PROP_CONFIG_FILE_PATH).
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

from convert.errors import InputError, PresetError
from convert.nvinfer import keyfile, yaml_scan
from convert.nvinfer.keys import NEWEST, PLATFORMS, version
from convert.nvinfer.parse_draft import Draft
from convert.nvinfer.parse_ini import read_ini
from convert.nvinfer.parse_result import Parsed
from convert.nvinfer.parse_yaml import read_yaml

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
    return read_bytes(_contents(path), path, release=release, platform=platform)


def read_bytes(
    data: bytes, path: str | os.PathLike[str], *, release: str = NEWEST, platform: str = "dgpu"
) -> Parsed:
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
        return read_yaml(data, draft) if form == "yaml" else read_ini(data, draft)
    except (keyfile.TooMany, yaml_scan.TooMany):
        raise InputError(
            "the file has more than a million keys", hint="a Gst-nvinfer config has a few dozen", path=os.fspath(path)
        ) from None


def _contents(path: str | os.PathLike[str]) -> bytes:
    """The bytes of an ordinary file; never waits for a FIFO or a device."""
    where = Path(path)
    try:
        # O_NONBLOCK: opening a FIFO would wait for somebody to write into it.
        handle = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(where, error) from None
    except ValueError:
        raise InputError("the path has a null character in it", path=where) from None
    with os.fdopen(handle, "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            kind = "a folder" if stat.S_ISDIR(state.st_mode) else "no ordinary file"
            raise InputError(f"the path is {kind}", hint="name a Gst-nvinfer config file", path=where)
        if state.st_size > MOST_BYTES:
            message = f"the file has {state.st_size:,} bytes"
            raise InputError(message, hint="a Gst-nvinfer config has a few thousand; is this the model?", path=where)
        try:
            return file.read()
        except OSError as error:
            raise _unreadable(where, error) from None


_HINTS: Final = {
    errno.ENOENT: "check the path",
    errno.EACCES: "make the file readable for you",
    errno.ELOOP: "the symbolic link leads back to itself: remove it or name the file",
}


def _unreadable(path: Path, error: OSError) -> InputError:
    hint = _HINTS.get(error.errno or 0, "check the path and its rights")
    return InputError(f"the config cannot be read: {os.strerror(error.errno or 0)}", hint=hint, path=path)
