"""Finds the exports that paths, globs and folders name, and gives each model a name of its own.

A folder is searched to its depths: what is an export there, a file by its name or a library by what lies in it, is one
model, and nothing below it is looked at. Left out are hidden folders, the output folder, bundles of earlier runs, and
what other programs put beside an export. A folder directly below the one given in which nothing is found is a model all
the same, and its conversion says what it holds instead: a person who put it there expects an answer.

What a person names must be converted; what a search finds need not be suitable (`ModelRequest.found`).
"""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from convert.errors import ConvertError, InputError
from convert.export.archive import IGNORED_FOLDERS
from convert.export.choose import bundle_name
from convert.findings import Finding, Rule
from convert.report import REPORT
from convert.studio import is_in_studio
from convert.types import Metadata, slug

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

SAME_NAME = Rule("EI806")
TOO_DEEP = Rule("EI807")

DEPTH: Final = 12
"""Levels of folders below the one given that are searched; a repository with its libraries has six."""

FOLDERS: Final = 20_000
"""Folders that are searched; so many are no folder of exports, but a whole disk."""

LONGEST_NAME: Final = 100
"""Characters of a model's name; file systems allow 255 bytes, and the names of a bundle's files begin with it."""

_SUFFIXES: Final = (".zip", ".lite", ".tflite", ".onnx")
_KERAS: Final = (".keras", ".h5")
"""Files that count where a folder has none of the others: beside them they hold the same network."""

_LIBRARY: Final = (
    *("model-parameters", "tflite-model", "onnx-model", "edge-impulse-sdk"),
    *("src/model-parameters", "src/tflite-model", "src/edge-impulse-sdk"),
)
"""At the top of Edge Impulse's C++ and Arduino libraries is one of these."""

_MODEL_SOURCE: Final = re.compile(
    r"(?:tflite|onnx)[-_](?:trained|learn).*\.(?:h|hpp|c|cc|cpp)|trained_model.*\.(?:h|hpp|c|cc|cpp)", re.IGNORECASE
)
"""Files that Edge Impulse writes into `tflite-model/`; people copy them out of it."""


@dataclass(frozen=True)
class ModelRequest:
    """One model to convert.

    Attributes:
        name: of its folder.
        export: with `sgie` a detector's.
        options: given for this model, by their Python names.
        manifest: where it stands; with its 1-based line where that is known.
        is_given: a person chose the name; it is kept as it is.
        found: by a glob or in a folder: nobody said that it can be converted.
    """

    name: str
    export: Path
    sgie: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    manifest: Path | None = None
    line: int | None = None
    is_given: bool = False
    found: bool = False


def short_name(export: Path) -> str:
    """The name of a model where none is given: its file's, or that of the nearest folder with a telling name."""
    return bundle_name(None, "", Metadata(), export, "", several=False)


def is_glob(pattern: str, base: Path = Path()) -> bool:
    """Whether `pattern` is one, and not the name of a file that holds such characters."""
    return glob.has_magic(pattern) and not (base / pattern).exists()


def expand(pattern: str, base: Path) -> tuple[Path, ...]:
    """The paths that `pattern` names, relative to `base`: itself, or sorted what a glob (`*`, `?`, `[]`, `**`) matches.

    Raises:
        InputError: a glob that matches nothing.
    """
    if is_in_studio(pattern):
        return (Path(pattern),)
    if not is_glob(pattern, base):
        return (base / pattern,)
    # Path.glob takes no absolute patterns.
    matches = sorted(glob.glob(pattern, root_dir=base, recursive=True))  # noqa: PTH207
    if not matches:
        raise InputError("nothing matches this pattern", path=pattern, hint="check the folder it starts in")
    return tuple(base / match for match in matches)


def find_models(words: Iterable[str], output: Path | None = None) -> tuple[tuple[ModelRequest, ...], list[Finding]]:
    """The models that plain paths, globs and folders of exports name, each once, and findings about the search.

    Args:
        output: the folder that is written into; it is not searched.

    Raises:
        InputError: a glob matches nothing, or a folder is too large to be searched.
    """
    search = _Search(output)
    models: dict[Path, ModelRequest] = {}
    for word in words:
        by_glob = is_glob(word)
        for place in expand(word, Path()):
            for path in search(place):
                found = by_glob or path != place
                if found and _is_bundle(path.parent):
                    continue
                if path not in models or not found:
                    models[path] = ModelRequest(short_name(path), path, found=found)
    return tuple(models.values()), search.findings


class _Search:
    """Looks for exports below folders; a folder that two of them lead to, by links, is searched once."""

    def __init__(self, output: Path | None) -> None:
        self.findings: list[Finding] = []
        self._output = None if output is None else _identity(output)
        self._seen: set[tuple[int, int]] = set()

    def __call__(self, place: Path) -> tuple[Path, ...]:
        """`place` itself where it is, or can only be, an export; what lies below it where it is a folder of exports."""
        if not place.is_dir() or _is_library(place):
            return (place,)
        self._seen = {identity for identity in (_identity(place),) if identity}
        return tuple(self._below(place, place, 1)) or (place,)

    def _below(self, folder: Path, top: Path, level: int) -> Iterator[Path]:
        try:
            inside = sorted(folder.iterdir())
        except OSError:
            yield folder  # its conversion says why
            return
        has_others = any(path.name.lower().endswith(_SUFFIXES) for path in inside)
        suffixes = _SUFFIXES if has_others else _KERAS
        for path in inside:
            if path.name.startswith("."):
                continue
            if not path.is_dir():
                if path.name.lower().endswith(suffixes):
                    yield path
            elif path.name not in IGNORED_FOLDERS and self._is_new(path, top) and not _is_bundle(path):
                found = [path] if _is_library(path) else self._deeper(path, top, level)
                yield from found or ([path] if level == 1 else [])

    def _deeper(self, folder: Path, top: Path, level: int) -> list[Path]:
        if level <= DEPTH:
            return list(self._below(folder, top, level + 1))
        message = f"what lies more than {DEPTH} levels below {top} was not searched"
        if not any(finding.message == message for finding in self.findings):
            self.findings.append(TOO_DEEP.found(message, path=folder, hint=TOO_DEEP.fix))
        return []

    def _is_new(self, folder: Path, top: Path) -> bool:
        identity = _identity(folder)
        if identity is None or identity in self._seen or identity == self._output:
            return False
        self._seen.add(identity)
        if len(self._seen) > FOLDERS:
            raise InputError(
                f"more than {FOLDERS} folders lie below it",
                path=top,
                hint="give the folders that hold the exports, or a glob such as 'weekly/*/export.zip'",
            )
        return True


def _identity(folder: Path) -> tuple[int, int] | None:
    """What is the same for two names of one folder (stat(2): device and inode); None where it is not there."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_library(folder: Path) -> bool:
    if any((folder / name).exists() for name in _LIBRARY):
        return True
    try:
        names = os.listdir(folder)  # noqa: PTH208 - no Path for each
    except OSError:
        return False
    is_saved = {"saved_model.pb", "variables"} <= {*names} and not any(
        each.lower().endswith(_SUFFIXES) for each in names
    )
    return is_saved or any(_MODEL_SOURCE.fullmatch(name) for name in names)


def _is_bundle(folder: Path) -> bool:
    """Whether `convert` or `batch` has written it; the ONNX model in it is no export."""
    return (folder / REPORT).exists() and next(folder.glob("config_infer_*"), None) is not None


def named_apart(models: Sequence[ModelRequest]) -> tuple[tuple[ModelRequest, ...], tuple[Finding, ...]]:
    """`models` with names that differ, also where case is ignored as on macOS and Windows; and a finding for each name.

    Those that a person gave are kept; where two of these are the same, they still are.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for place, model in enumerate(models):
        groups[model.name.lower()].append(place)
    same = [group for group in groups.values() if len(group) > 1 and not all(models[place].is_given for place in group)]
    renamed = {place for group in same for place in group if not models[place].is_given}
    taken = {model.name.lower() for place, model in enumerate(models) if place not in renamed}
    apart = list(models)
    for place in sorted(renamed):
        model = models[place]
        name = _free(_project(model) or model.name, taken)
        taken.add(name.lower())
        apart[place] = replace(model, name=name)
    findings = []
    for group in same:
        now = [f"{apart[place].name} ({models[place].export})" for place in group]
        more = f" and {len(now) - 4} more" if len(now) > 4 else ""
        message = (
            f"{len(now)} exports are called {models[group[0]].name!r}; their bundles are {', '.join(now[:4])}{more}"
        )
        findings.append(SAME_NAME.found(message, hint=SAME_NAME.fix))
    return tuple(apart), tuple(findings)


def _free(name: str, taken: set[str]) -> str:
    """`name`, or with the first number behind it that makes it a new one."""
    free, number = name, 1
    while free.lower() in taken:
        number += 1
        end = f"-{number}"
        free = name[: LONGEST_NAME - len(end)].rstrip("-") + end
    return free


def _project(model: ModelRequest) -> str:
    """The name of the project an export is of, as a slug; empty where none is recorded or it cannot be read."""
    if model.sgie is not None:
        return ""
    from convert.export.unpack import inspect  # brings numpy; names are seldom the same

    try:
        recorded = inspect(model.export).project.project_name
    except (ConvertError, OSError):
        return ""
    return slug(recorded) if recorded and slug(recorded) != "model" else ""
