"""What decides the bytes of a bundle, as one digest: the export, the options, this program, and the libraries it uses.

Not part of it: time limits, the folder a bundle goes into, the number of workers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import sys
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert import __version__
from convert.artifacts import Metadata
from convert.export.archive import places
from convert.export.choose import bundle_name
from convert.resources import configs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convert.batch.digest import Ledger
    from convert.batch.job import Job

__all__ = ["SCHEMA", "environment", "key_of", "libraries"]

SCHEMA = 1
"""Of the cache; a new one makes every older entry unknown."""

_LIBRARIES = ("ai-edge-litert", "flatbuffers", "numpy", "onnx", "onnxruntime", "pillow", "protobuf", "tf2onnx")
_ON_DEMAND = {"tensorflow": "tensorflow", "tensorrt": "tensorrt-rtx"}  # option -> library that only it needs
_NO_BYTES = {"timeout"}  # options that decide whether there is a bundle, not what is in it


def key_of(job: Job, ledger: Ledger) -> str:
    """The key of `job`'s bundle.

    Raises:
        OSError: a file it depends on cannot be read.
    """
    options = {name: _plain(value, ledger) for name, value in job.options if name not in _NO_BYTES}
    extra = libraries(options)
    exports = [[path.name, _stem(path), ledger.digest(places(path))] for path in job.exports]
    document = {"schema": SCHEMA, "environment": environment(extra), "exports": exports, "options": options}
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def libraries(options: Mapping[str, Any]) -> tuple[str, ...]:
    """What only some conversions need, and one with these options does."""
    return tuple(library for option, library in _ON_DEMAND.items() if options.get(option))


def _stem(path: Path) -> str:
    """What a bundle of `path` may be called after: the name of a folder around it, where its own says nothing."""
    return bundle_name(None, "", Metadata(), path, "", several=False)


@cache
def environment(extra: tuple[str, ...] = ()) -> dict[str, str]:
    """Versions of all that computes, and a digest of this program's own files, which people may edit (`configs/`)."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to import

    def found(library: str) -> str:
        try:
            return version(library)
        except PackageNotFoundError:
            return ""

    return {
        "ei-deepstream": __version__,
        "files": _own_files(),
        "python": ".".join(map(str, sys.version_info[:2])),
        "machine": platform.machine(),
        **{library: found(library) for library in (*_LIBRARIES, *extra)},
    }


def _own_files() -> str:
    package = Path(__file__).resolve().parents[1]
    whole = hashlib.sha256()
    for root, pattern in ((package, "*.py"), (configs(), "*.toml")):
        for path in sorted(root.rglob(pattern)):
            content = path.read_bytes()
            whole.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def _plain(value: object, ledger: Ledger) -> Any:
    """An option's value as JSON; files and folders by their content."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return ["content of", ledger.digest((value,))]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _plain(getattr(value, field.name), ledger) for field in dataclasses.fields(value)}
        return [type(value).__name__, fields]
    if isinstance(value, list | tuple):
        return [_plain(item, ledger) for item in value]
    assert value is None or isinstance(value, bool | int | float | str), f"an option of type {type(value).__name__}"
    return value
