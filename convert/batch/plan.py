"""What is to be converted, before anything is read: paths, globs and folders become models, models become jobs."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.artifacts import Metadata
from convert.batch.job import Job, job
from convert.errors import InputError, PresetError
from convert.export.choose import bundle_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["NAME", "Model", "expand", "found", "plan", "short_name"]

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
"""What a model of a batch may be called: it names a folder, and the files of a bundle."""

_SUFFIXES = (".zip", ".lite", ".tflite", ".onnx")
_LIBRARY = ("model-parameters", "tflite-model", "edge-impulse-sdk", "library.properties", "src/model-parameters")
"""What lies at the top of Edge Impulse's C++ and Arduino libraries."""


@dataclass(frozen=True)
class Model:
    """One model that was asked for.

    Attributes:
        name: of its folder.
        export: with `sgie` a detector's.
        options: those that were given for this model, by their Python names.
        line: where it stands in `manifest`, 1-based; None where nothing is known.
    """

    name: str
    export: Path
    sgie: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    manifest: Path | None = None
    line: int | None = None


def short_name(export: Path) -> str:
    """What a model is called where nobody says it: its file's name, or that of the first folder that says something."""
    return bundle_name(None, "", Metadata(), export, "", several=False)


def expand(pattern: str, base: Path) -> tuple[Path, ...]:
    """The paths that `pattern` names, relative to `base`: itself, or sorted what a glob (`*`, `?`, `[]`, `**`) matches.

    Raises:
        InputError: a glob that matches nothing.
    """
    path = base / pattern
    if not glob.has_magic(pattern) or path.exists():
        return (path,)
    # Path.glob takes no absolute patterns.
    matches = sorted(glob.glob(pattern, root_dir=base, recursive=True))  # noqa: PTH207
    if not matches:
        raise InputError("nothing matches this pattern", path=pattern, hint="check the folder it starts in")
    return tuple(base / match for match in matches)


def found(words: Iterable[str], options: Mapping[str, Any] | None = None) -> tuple[Model, ...]:
    """The models that plain paths, globs and folders of exports name, each once.

    Raises:
        InputError: a glob matches nothing, or a folder holds no exports.
    """
    paths = (path for word in words for place in expand(word, Path()) for path in _exports(place))
    return tuple(Model(short_name(path), path, options=options or {}) for path in dict.fromkeys(paths))


def _exports(path: Path) -> tuple[Path, ...]:
    """`path` itself where it is, or can only be, an export; what lies in it where it is a folder of exports."""
    if not path.is_dir() or _is_library(path):
        return (path,)
    try:
        inside = sorted(path.iterdir())
    except OSError as error:
        raise InputError(f"cannot read it: {error.strerror}", path=path, hint="check its permissions") from error
    exports = tuple(
        each
        for each in inside
        if not each.name.startswith(".")
        and (_is_library(each) if each.is_dir() else each.name.lower().endswith(_SUFFIXES))
    )
    if not exports:
        raise InputError(
            "this folder is no export and holds none",
            path=path,
            hint="give zips, .lite, .tflite or .onnx files, library folders, a folder of those, or a glob",
        )
    return exports


def _is_library(path: Path) -> bool:
    return any((path / name).exists() for name in _LIBRARY)


def plan(
    models: Sequence[Model], output: Path, defaults: Mapping[str, Any], overrides: Mapping[str, Any]
) -> tuple[Job, ...]:
    """A job for each model, with its folder in `output`.

    Args:
        models: what is asked for.
        output: the folder of all.
        defaults: every option of `convert`, as it is where nobody says otherwise.
        overrides: options that hold for all models, whatever is said of them.

    Raises:
        PresetError: two models have the same name, or a name cannot be a folder's.
    """
    places: dict[str, Model] = {}
    jobs = []
    for model in models:
        if not NAME.fullmatch(model.name):
            raise PresetError(
                f"a model cannot be called {model.name!r}",
                hint="letters, digits, . _ and - only, at most 100",
                path=model.manifest,
                line=model.line,
            )
        # File systems of macOS and Windows, onto which folders are copied, do not tell "Door" from "door".
        other = places.setdefault(model.name.lower(), model)
        if other is not model:
            raise PresetError(
                f"two models are called {model.name!r}: {other.export} and {model.export}",
                hint="give each a name of its own in a manifest, or with {parent} in the name of a glob",
                path=model.manifest,
                line=model.line,
            )
        options = {**defaults, **model.options, **overrides}
        jobs.append(job(model.name, model.export, output / model.name, options, model.sgie))
    return tuple(jobs)
