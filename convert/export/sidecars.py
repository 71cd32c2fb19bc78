"""Reads what lies beside a plain model file: `metadata.json` as `unpack` wrote it, and OpenMV's `labels.txt`."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from convert.artifacts import Metadata
from convert.document import metadata_from_document
from convert.export.facts import class_count
from convert.export.findings import ANOTHER_MODELS_DOCUMENT, FOUND_BESIDE, UNREADABLE_PARAMETER
from convert.heads import ANOMALY, FOMO, UNKNOWN
from convert.writing import sha256

if TYPE_CHECKING:
    from convert.export.candidates import Candidate
    from convert.export.tree import Tree
    from convert.findings import Finding

__all__ = ["Beside", "read_beside"]

_DOCUMENT: Final = "metadata.json"
_LABELS: Final = "labels.txt"
_MAX_SIZE: Final = 1 << 20  # bytes; a document has about 5 kB
_WITHOUT_LABELS: Final = frozenset({ANOMALY, UNKNOWN})


@dataclass(frozen=True, slots=True)
class Beside:
    """What was found beside a model.

    Attributes:
        metadata: None when there was nothing.
        name: what `unpack` called the model, empty when it did not.
    """

    metadata: Metadata | None = None
    name: str = ""
    findings: tuple[Finding, ...] = ()


def read_beside(tree: Tree, candidate: Candidate) -> Beside:
    """What lies in the same folder as `candidate`; `metadata.json` goes before `labels.txt`.

    Raises:
        InputError: a `metadata.json` of this very model that is damaged, or a file that cannot be read.
    """
    folder = PurePosixPath(candidate.member).parent
    document, labels = str(folder / _DOCUMENT), str(folder / _LABELS)
    beside = _document(tree, document, candidate) if document in tree.members else Beside()
    if beside.metadata is None and labels in tree.members:
        found = _labels(tree, labels, candidate)
        return replace(found, findings=beside.findings + found.findings)
    return beside


def _document(tree: Tree, path: str, candidate: Candidate) -> Beside:
    shown = tree.name_of(path)
    try:
        document: Any = json.loads(tree.read(path, _MAX_SIZE))
    except (ValueError, RecursionError) as error:
        finding = UNREADABLE_PARAMETER.found(f"it is no JSON: {error}", path=shown, hint="run unpack again")
        return Beside(findings=(finding,))
    if not isinstance(document, dict) or not isinstance(document.get("sha256"), str):
        return Beside()  # another program's file of that name
    if document["sha256"] != sha256(candidate.data):
        message = f"it was written for the model {document['sha256'][:12]}..., not for this one"
        return Beside(findings=(ANOTHER_MODELS_DOCUMENT.found(message, path=shown),))
    name = document.get("name")
    return Beside(metadata_from_document(document, Path(shown)), name if isinstance(name, str) else "")


def _labels(tree: Tree, path: str, candidate: Candidate) -> Beside:
    """One label a line. FOMO's list starts with background there, which Edge Impulse's other lists leave out."""
    shown = tree.name_of(path)
    try:
        lines = tree.read(path, _MAX_SIZE).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        return Beside(findings=(UNREADABLE_PARAMETER.found(f"the labels are no UTF-8: {error}", path=shown),))
    labels = tuple(line.strip() for line in lines if line.strip())
    facts = candidate.facts
    classes = class_count(facts) if facts is not None else None
    if facts is not None and facts.task == FOMO and classes == len(labels) - 1:
        labels = labels[1:]
    elif facts is None or facts.task in _WITHOUT_LABELS or classes not in {None, len(labels)} or not labels:
        message = "it does not hold this model's labels"
        if classes is not None:
            message += f": their number is {len(labels)}, that of the classes {classes}"
        return Beside(findings=(UNREADABLE_PARAMETER.found(message, path=shown),))
    what = "label was" if len(labels) == 1 else f"{len(labels)} labels were"
    finding = FOUND_BESIDE.found(f"the {what} read from {_LABELS}", path=shown)
    return Beside(Metadata(labels=labels), findings=(finding,))
