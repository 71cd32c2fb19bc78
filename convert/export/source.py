"""Opens what the user named together with what lies around it.

A single `tflite-model/tflite_learn_5.h` of a library, or a `.tflite` with `unpack`'s `metadata.json` beside it, says
more with its surroundings than alone: they are looked at, and nothing else in that folder.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from convert.export import kinds
from convert.export.archive import folder_part, is_folder, open_tree, open_zip_bytes, read_head
from convert.export.findings import FOUND_BESIDE
from convert.report import METADATA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convert.export.tree import Tree
    from convert.findings import Finding

__all__ = ["Source", "open_source", "places"]

_MODEL_FOLDER: Final = "tflite-model"
_PARAMETERS: Final = "model-parameters"
_BESIDE: Final = (METADATA, "labels.txt")


class Source(NamedTuple):
    """An open export: its files, the member the user named (None: a zip or folder was named), and findings."""

    tree: Tree
    focus: str | None
    findings: tuple[Finding, ...]


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a zip, a folder, or a file with its surroundings.

    A zip that holds nothing but another zip is opened one level deep.

    Raises:
        InputError: as `convert.export.archive.open_tree`.
    """
    if is_folder(path) and _is_part(path.absolute()):
        yield _with_parameters(path, path.parent if path.name else Path(".."))
        return
    if not is_folder(path) and kinds.kind_of(read_head(path, kinds.HEAD)) is not kinds.ZIP:
        with _surroundings(path) as source:
            yield source
        return
    with open_tree(path) as tree:
        inner = [member for member in tree.members.values() if member.name.lower().endswith(".zip")]
        if tree.kind == "zip" and len(inner) == 1 and not _has_model(tree):
            with open_zip_bytes(tree.read(inner[0].path), path / inner[0].path) as nested:
                yield Source(nested, None, ())
        else:
            yield Source(tree, None, ())


def places(path: Path) -> tuple[Path, ...]:
    """The files and folders that decide what `open_source(path)` shows; what does not exist now may exist tomorrow.

    More than are read may be named: whoever asks wants to know whether anything can have changed.
    """
    absolute = path.absolute()
    if path.is_dir():
        return (path, absolute.parent / _PARAMETERS) if _is_part(absolute) else (path,)
    if _is_part(absolute.parent):
        return path, absolute.parent, absolute.parent.parent / _PARAMETERS
    return path, *(place for name in _BESIDE if (place := absolute.parent / name).is_file())


def _is_part(folder: Path) -> bool:
    """Whether the absolute path `folder` is the models' part of a library whose parameters are there, too."""
    return folder.name == _MODEL_FOLDER and (folder.parent / _PARAMETERS).is_dir()


def _with_parameters(path: Path, shown: Path, focus: str | None = None) -> Source:
    """Of the part of a library that `path` is or lies in, and its parameters; `shown` is the library's folder."""
    folder = path.absolute() if focus is None else path.absolute().parent
    tree = folder_part(folder.parent, [folder, folder.parent / _PARAMETERS], shown=shown)
    finding = FOUND_BESIDE.found(f"parameters were read from {_PARAMETERS} of the same library", path=path)
    return Source(tree, focus, (finding,))


def _has_model(tree: Tree) -> bool:
    """Whether something besides archives is in it that can be or describe a model."""
    return any(path.lower().endswith((".h", ".c", ".cpp", ".tflite", ".lite", ".onnx")) for path in tree.members)


@contextmanager
def _surroundings(path: Path) -> Iterator[Source]:
    path = Path(path)
    absolute = path.absolute()
    if _is_part(absolute.parent):
        yield _with_parameters(path, path.parent.parent, focus=f"{_MODEL_FOLDER}/{path.name}")
        return
    beside = [absolute.parent / name for name in _BESIDE if (absolute.parent / name).is_file()]
    if beside and absolute not in beside:
        tree = folder_part(absolute.parent, [absolute, *beside], shown=path.parent)
        yield Source(tree, path.name, ())
        return
    with open_tree(path) as tree:
        yield Source(tree, next(iter(tree.members)), ())
