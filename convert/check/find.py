"""Which files a check looks at: those named, and in folders everything that is a DeepStream config by its contents."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from convert.errors import InputError
from convert.nvinfer.parse import MOST_BYTES
from convert.nvinfer.parse_files import read_ordinary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["APP", "CONFIG", "SCRIPT", "Found", "find"]

CONFIG, APP, SCRIPT = "nvinfer", "deepstream-app", "script"

_SUFFIXES: Final = (".txt", ".yml", ".yaml", ".ini", ".cfg", ".conf")
_SCRIPTS: Final = (".sh", ".bash")
# A larger file in a folder is no config; one that is named is looked at all the same.
_MOST_IN_FOLDER: Final = 2**20
_MOST_FILES: Final = 100_000
_PROPERTY = re.compile(rb"^(?:\xef\xbb\xbf)?[ \t]*\[property\]", re.MULTILINE)
_PROPERTY_MAP = re.compile(rb"^property:", re.MULTILINE)
# Gst-nvdspreprocess and Gst-nvdsanalytics call their group [property], too; these keys are theirs alone.
_RELATIVES = re.compile(
    rb"^[ \t]*(?:processing-width|network-input-shape|target-unique-ids|tensor-name|config-width|osd-mode)[ \t]*[=:]",
    re.MULTILINE,
)
# Groups that only deepstream-app has; [property] is nobody's but nvinfer's and its relatives'.
_APP_GROUP = re.compile(
    rb"^[ \t]*\[(application|tiled-display|streammux|primary-gie|secondary-gie[0-9]*|source-list|source[0-9]+)\]",
    re.MULTILINE,
)
_APP_MAP = re.compile(
    rb"^(application|tiled-display|streammux|primary-gie|secondary-gie[0-9]*|sink[0-9]+):", re.MULTILINE
)
_CONFIG_FILE = re.compile(rb"^[ \t]*config-file[ \t]*[=:]", re.MULTILINE)
_TRTEXEC = re.compile(rb"(?<![\w.-])trtexec(?![\w.-])")
_MODELS: Final = (".onnx", ".engine", ".plan", ".tflite", ".lite", ".zip", ".so", ".eim")


class Found(NamedTuple):
    """A file to check: its bytes, or why they cannot be had."""

    path: str
    kind: str
    data: bytes = b""
    error: InputError | None = None


def find(paths: Iterable[str]) -> list[Found]:
    """The files that `paths` name, and those in the folders among them; each once, folders sorted."""
    seen: set[str] = set()
    found: list[Found] = []
    for path in paths:
        for each in _folder(path) if os.path.isdir(path) else [_named(path)]:  # noqa: PTH112 - text
            real = os.path.abspath(each.path)  # noqa: PTH100 - a link is another file: paths in it are its own
            if real not in seen:
                seen.add(real)
                found.append(each)
    return found


def _named(path: str) -> Found:
    if path.lower().endswith(_MODELS):
        error = InputError(
            "check takes configs, not models and libraries",
            hint="name the config: its onnx-file is looked at, too; `ei-deepstream inspect` describes exports",
            path=path,
        )
        return Found(path, CONFIG, error=error)
    try:
        data = read_ordinary(path, "config", MOST_BYTES)
    except InputError as error:
        return Found(path, CONFIG, error=error)
    return Found(path, _kind(path, data) or CONFIG, data)


def _folder(path: str) -> list[Found]:
    problems: list[InputError] = []

    def unreadable(error: OSError) -> None:
        reason = f"the folder cannot be read: {error.strerror}"
        problems.append(InputError(reason, hint="fix its permissions", path=error.filename))

    found: list[Found] = []
    for count, name in enumerate(_files(path, unreadable)):
        if count >= _MOST_FILES:
            message = f"the folder holds more than {_MOST_FILES:,} configs and scripts"
            problems.append(InputError(message, hint="name a smaller folder", path=path))
            break
        found += _in_folder(name)
    found += [Found(error.path or path, CONFIG, error=error) for error in problems]
    if not found:
        error = InputError("there is no DeepStream config in the folder", hint="name the config itself", path=path)
        found.append(Found(path, CONFIG, error=error))
    return found


def _files(path: str, unreadable: object) -> Iterator[str]:
    """Files below a folder that may be configs, sorted; links to folders and hidden folders are left out."""
    assert callable(unreadable)
    for folder, folders, names in os.walk(path, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith((*_SUFFIXES, *_SCRIPTS)):
                yield os.path.join(folder, name)  # noqa: PTH118 - text


def _in_folder(path: str) -> list[Found]:
    try:
        state = os.stat(path)  # noqa: PTH116 - text
        if not stat.S_ISREG(state.st_mode) or state.st_size > _MOST_IN_FOLDER:
            return []
        data = read_ordinary(path, "config", _MOST_IN_FOLDER)
    except InputError as error:
        return [Found(path, CONFIG, error=error)]
    except OSError:
        return []  # a link that leads nowhere, or back to itself
    kind = _kind(path, data)
    return [Found(path, kind, data)] if kind else []


def _kind(path: str, data: bytes) -> str | None:
    """What a file is, by its contents; None: nothing of ours."""
    if path.lower().endswith(_SCRIPTS) or data.startswith(b"#!"):
        return SCRIPT if _TRTEXEC.search(data) else None
    if _PROPERTY.search(data) or (path.lower().endswith((".yml", ".yaml")) and _PROPERTY_MAP.search(data)):
        return None if _RELATIVES.search(data) else CONFIG
    groups = _APP_GROUP if b"[" in data[:4096] else _APP_MAP
    count = len(set(groups.findall(data)))
    # One of its groups alone is no app yet, unless it names a config.
    is_app = count > 1 or (count == 1 and _CONFIG_FILE.search(data))
    return APP if is_app else None
