"""The files of a bundle: their names, and what else may lie in its folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convert.errors import InputError, PresetError
from convert.nvinfer.engine import SCRIPT
from convert.nvinfer.findings import LEFT_FROM_ANOTHER_ROLE, OTHER_BUNDLE_IN_FOLDER, STALE_ENGINE
from convert.report import REPORT, BundleReport

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from convert.findings import Finding

__all__ = ["Names", "beside", "bundle_names", "stale_engines"]


@dataclass(frozen=True, slots=True)
class Names:
    """The files called after the model."""

    onnx: str
    labels: str
    primary: str
    secondary: str
    app: str


def bundle_names(name: str) -> Names:
    """The files of the bundle `name`.

    Raises:
        PresetError: the name cannot be part of a file name and of a config.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise PresetError(f"a bundle cannot be called {name!r}", hint="letters, digits, - and _ only")
    return Names(
        onnx=f"{name}.onnx",
        labels=f"{name}_labels.txt",
        primary=f"config_infer_primary_{name}.txt",
        secondary=f"config_infer_secondary_{name}.txt",
        app=f"deepstream_app_{name}.txt",
    )


def beside(folder: Path, name: str, files: Container[str]) -> tuple[Finding, ...]:
    """What lies in `folder` before `files`, the bundle `name`, are written, and is not, or no more, part of it."""
    names = bundle_names(name)
    found = [
        LEFT_FROM_ANOTHER_ROLE.found(f"{left} is from an earlier run with another --role", path=folder / left)
        for left in (names.primary, names.secondary)
        if left not in files and (folder / left).exists()
    ]
    if (other := _bundle_in(folder)) not in {None, name}:
        found.append(
            OTHER_BUNDLE_IN_FOLDER.found(
                f"the folder held the bundle of {other!r}: its {SCRIPT} and {REPORT} are replaced",
                path=folder,
                hint="use one folder per model",
            )
        )
    return tuple(found)


def _bundle_in(folder: Path) -> str | None:
    """The name of the bundle in `folder`; None where no report of ours says so."""
    try:
        report = BundleReport.read(folder)
        return report.models[0].name if report and len(report.models) == 1 else None
    except InputError:
        return None


def stale_engines(folder: Path, onnx: str) -> tuple[Finding, ...]:
    """Engines built before the model was last changed; unchanged files keep their time (`convert.writing`)."""
    changed = _changed(folder / onnx)
    return tuple(
        STALE_ENGINE.found(
            f"{engine.name} is older than {onnx}; Gst-nvinfer would go on using it",
            path=engine,
            hint=f"run {SCRIPT}, or delete the engine",
        )
        for engine in sorted(folder.glob(f"{onnx}_b*.engine"))
        if _changed(engine) < changed
    )


def _changed(path: Path) -> int:
    """Nanoseconds; of a link itself, which may lead nowhere."""
    return path.lstat().st_mtime_ns
