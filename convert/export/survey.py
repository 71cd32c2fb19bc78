"""Says what a file or folder is and everything that is found in it, without converting anything.

What `unpack` refuses is no error here as long as something can be said about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convert.artifacts import Metadata
from convert.errors import ConvertError
from convert.export.archive import HEAD, ZIP, FileType, file_type, is_folder, open_source, read_head
from convert.export.choose import the_model
from convert.export.entries import list_models
from convert.export.reconcile import reconcile
from convert.export.sidecars import Beside, read_beside
from convert.writing import sha256

if TYPE_CHECKING:
    from pathlib import Path

    from convert.artifacts import ModelFacts, ModelFormat
    from convert.export.archive import Source, Tree
    from convert.export.entries import Entry, Listing
    from convert.findings import Finding

__all__ = ["Found", "Inspection", "inspect"]


@dataclass(frozen=True, slots=True)
class Found:
    """A model, or what should be one.

    Attributes:
        number: place in the list, as `--model "#2"` names it.
        member: path inside the container, empty when the file itself is the model.
        form: "F1" to "F4", "array", "flatbuffer", "openmv", "E1" to "E3", "O", "onnx" or "none".
        format: of the model, or of what should be one.
        symbol: of the array, the INCBIN or the compiled functions; empty for a plain file.
        size: bytes stored.
        digest: SHA-256 of the flatbuffer, None when there is none.
        facts: what the flatbuffer says of itself; None when `reason` says why it cannot be converted.
        chosen: it is THE model; `used`: the export runs it.
        metadata: what is recorded about it, as recorded.
    """

    number: int
    member: str
    form: str
    format: ModelFormat
    symbol: str
    size: int
    digest: str | None
    facts: ModelFacts | None
    reason: str | None
    hint: str | None
    chosen: bool
    used: bool
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a path is.

    Attributes:
        path: as the user named it.
        container: "zip", "folder" or "file".
        kind: what a file is, a short stable name ("tflite", "source", "onnx", "elf", "html", "png", "empty", ...); for
            a container "export", or "unknown" when there is no model in it.
        description: the same in words.
        project: what is recorded about the project, from the model that was chosen or the first one.
        models: in the order of their numbers.
        undecided: why none of them is THE model, None when one is.
        hint: what to do then.
        findings: what unpacking would say about the export as a whole.
    """

    path: str
    container: str
    kind: str
    description: str
    project: Metadata
    models: tuple[Found, ...]
    undecided: str | None
    hint: str | None
    findings: tuple[Finding, ...]


def inspect(path: Path) -> Inspection:
    """Look into a zip, a folder or a file.

    Raises:
        InputError: it is not there, cannot be read, or is a container that is damaged or breaks a limit.
    """
    kind = None if is_folder(path) else file_type(read_head(path, HEAD))
    with open_source(path) as source:
        if kind is None or kind is ZIP:
            return _inspection(source, path, "zip" if kind else "folder", None)
        try:
            return _inspection(source, path, "file", kind)
        except ConvertError as error:
            return _unknown(path, kind, error)


def _inspection(source: Source, path: Path, container: str, kind: FileType | None) -> Inspection:
    """Of a container, or of a file that `kind` names."""
    listing = list_models(source.tree, source.focus)
    chosen, undecided = _chosen(listing, source.tree)
    models = tuple(_found(entry, source, chosen) for entry in listing.entries)
    first = next((model for model in models if model.chosen), models[0] if models else None)
    blocks = [block.metadata for library in listing.libraries for block in library.recorded.blocks]
    what = "an Edge Impulse library" if listing.libraries else "models" if models else "no model"
    return Inspection(
        path=str(path),
        container=container,
        kind=kind.name if kind else "export" if models else "unknown",
        description=kind.words if kind else f"a {container} with {what}",
        project=first.metadata if first else next(iter(blocks), Metadata()),
        models=models,
        undecided=None if undecided is None else undecided.message,
        hint=None if undecided is None else undecided.hint,
        findings=(*source.findings, *listing.findings),
    )


def _unknown(path: Path, kind: FileType, error: ConvertError) -> Inspection:
    """Of a file with no model in it."""
    return Inspection(str(path), "file", kind.name, kind.words, Metadata(), (), error.message, error.hint, ())


def _chosen(listing: Listing, tree: Tree) -> tuple[Entry | None, ConvertError | None]:
    """THE model, or why there is none."""
    try:
        return the_model(listing, tree), None
    except ConvertError as error:
        return None, error


def _found(entry: Entry, source: Source, chosen: Entry | None) -> Found:
    candidate, problem = entry.candidate, entry.candidate.problem
    beside = read_beside(source.tree, candidate) if problem is None else Beside()
    metadata, facts = beside.metadata or entry.metadata, candidate.facts
    if facts is not None:  # the last layer that is recorded counts, as for `unpack`
        _, facts, _ = reconcile(metadata, facts, candidate.tasks, candidate.member)
    return Found(
        number=entry.number,
        member="" if source.focus is not None else candidate.member,
        form=candidate.form,
        format=candidate.format,
        symbol=candidate.symbol,
        size=candidate.size,
        digest=sha256(candidate.data) if candidate.data else None,
        facts=facts,
        reason=None if problem is None else problem.message,
        hint=None if problem is None else problem.hint,
        chosen=entry is chosen,
        used=entry.used,
        metadata=metadata,
    )
