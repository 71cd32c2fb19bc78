"""Finds the labels of a model in text files beside or above it, or beside its zip, where the export records none.

Published exports have them as `labels.txt`, `trained_labels.txt`, `traffic-sign-labels.txt`, `ei_classifier_labels.txt`
and the like, in the model's folder or above it. A file counts where its number of labels is that of the model's classes
and nothing speaks against it: another file as near that disagrees, another model below the same folder, another export
beside the zip. What does not count is named in the hint of the finding that there are no labels (EI301).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from convert.errors import ConvertError, InputError
from convert.export.archive import FOUND_BESIDE, LABEL_FILE
from convert.export.facts import class_count
from convert.export.parameters import UNREADABLE_PARAMETER
from convert.heads import ANOMALY, FOMO, UNKNOWN, head
from convert.heads.base import BACKGROUND
from convert.options import labels_in
from convert.types import ModelFacts, ModelFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convert.export.archive import Tree
    from convert.export.models import Candidate
    from convert.findings import Finding

_ABOVE: Final = PurePosixPath("..")  # of a single file's folder; for a zip the one that it lies in
_USUAL: Final = "labels.txt"
_MAX_SIZE: Final = 1 << 20  # bytes
_MAX_FILES: Final = 20
_MAX_SHOWN: Final = 5  # labels in a message
_MODELS: Final = (".tflite", ".lite", ".onnx")
_WITHOUT_LABELS: Final = frozenset({ANOMALY, UNKNOWN})


@dataclass(frozen=True, slots=True)
class FoundLabels:
    """What label files say.

    Attributes:
        labels: in output order; None: no file counts.
        file: the name of the one that does.
        hint: which files may hold them all the same, and why they do not count.
    """

    labels: tuple[str, ...] | None = None
    file: str = ""
    hint: str = ""
    findings: tuple[Finding, ...] = ()


def find_labels(tree: Tree, candidate: Candidate, facts: ModelFacts | None) -> FoundLabels:
    """The labels of `candidate` in the files of `tree`; the nearest folder that has any decides.

    Args:
        facts: of the model, with the task that is meant; None: it cannot be read, and has no labels.
    """
    folder = PurePosixPath(candidate.member).parent
    classes = None if facts is None or facts.task in _WITHOUT_LABELS else _classes(candidate, facts)
    hints: list[str] = []
    findings: list[Finding] = []
    for level in (folder, *folder.parents, _ABOVE):
        fitting: dict[str, tuple[str, ...]] = {}
        for path in _label_files(tree, level, candidate):
            said = str(tree.outside.get(path, path))
            usual = level == folder and PurePosixPath(path).name == _USUAL
            try:
                text = tree.read(path, _MAX_SIZE).decode("utf-8-sig")
            except (InputError, UnicodeDecodeError) as error:
                what = "no UTF-8" if isinstance(error, UnicodeDecodeError) else error.message
                hints.append(f"{said} cannot be read: {what}")
                if usual:
                    message = f"the labels are {what}" if isinstance(error, UnicodeDecodeError) else what
                    findings.append(UNREADABLE_PARAMETER.found(message, path=tree.name_of(path)))
                continue
            found = labels_in(text)
            labels = _fitted(found, classes, facts)
            if labels is not None and (usual or classes is not None):
                fitting[path] = labels
                continue
            hints.append(_does_not_fit(said, found, classes))
            if usual:
                message = "it does not hold this model's labels"
                if classes is not None:
                    message += f": their number is {len(found)}, that of the classes {classes}"
                findings.append(UNREADABLE_PARAMETER.found(message, path=tree.name_of(path)))
        if not fitting:
            continue
        named = [str(tree.outside.get(path, path)) for path in fitting]
        if len(set(fitting.values())) > 1:
            hints.append(f"{' and '.join(named)} fit and disagree")
        elif level != folder and (other := _another_model(tree, level, folder, next(iter(fitting)))):
            hints.append(f"{named[0]} may be that of {other}")
        else:
            path, labels = next(iter(fitting.items()))
            shown = ", ".join(labels[:_MAX_SHOWN]) + (", ..." if len(labels) > _MAX_SHOWN else "")
            what = "label was" if len(labels) == 1 else f"{len(labels)} labels were"
            message = f"the {what} read from {PurePosixPath(path).name}: {shown}"
            findings.append(FOUND_BESIDE.found(message, path=tree.name_of(path)))
            return FoundLabels(labels, PurePosixPath(path).name, findings=tuple(findings))
        break
    return FoundLabels(hint="; ".join(hints), findings=tuple(findings))


def _label_files(tree: Tree, level: PurePosixPath, candidate: Candidate) -> list[str]:
    """The label files in the folder `level`: those that are called after the model, else those of no other model."""
    inside = [path for path in tree.members if PurePosixPath(path).parent == level]
    files = [path for path in inside if LABEL_FILE.fullmatch(PurePosixPath(path).name)][:_MAX_FILES]
    own = PurePosixPath(candidate.header or candidate.member).stem.casefold()
    models = [path for path in inside if path.lower().endswith(_MODELS)]
    if level == _ABOVE and tree.kind == "zip":
        own, models = tree.source.stem.casefold(), list(tree.others)
    others = {PurePosixPath(path).stem.casefold() for path in models} - {own}

    def is_about(path: str, stem: str) -> bool:
        return stem in PurePosixPath(path).stem.casefold()

    mine = [path for path in files if is_about(path, own)]
    return mine or [path for path in files if not any(is_about(path, other) for other in others)]


def _classes(candidate: Candidate, facts: ModelFacts) -> int | None:
    """How many classes the model has, background not counted; None where only the conversion tells."""
    if head(facts.task).is_cut and candidate.format is ModelFormat.TFLITE:
        from convert.heads.ssd import read_postprocess  # brings the schema classes

        try:
            return read_postprocess(candidate.data).classes
        except ConvertError:
            return None  # refused later, with the reason
    return class_count(facts)


def _fitted(labels: tuple[str, ...], classes: int | None, facts: ModelFacts | None) -> tuple[str, ...] | None:
    """The labels as the model's; None where they are not. Lists for detectors may start with background."""
    if facts is None or facts.task in _WITHOUT_LABELS or not labels:
        return None
    is_background = facts.task == FOMO or (head(facts.task).detects and labels[0].lower() in BACKGROUND)
    if classes == len(labels) - 1 and is_background:
        return labels[1:]
    return labels if classes in {None, len(labels)} else None


def _does_not_fit(path: str, labels: tuple[str, ...], classes: int | None) -> str:
    count = f"{len(labels)} label{'' if len(labels) == 1 else 's'}"
    return f"{path} has {count}" + ("" if classes is None else f" for {classes} classes")


def _another_model(tree: Tree, level: PurePosixPath, folder: PurePosixPath, labels: str) -> str:
    """A model file below `level` that is in another folder than `folder`, or an export beside the zip that `labels` is
    not called after; empty: there is none."""
    if level == _ABOVE and tree.kind == "zip":
        level = PurePosixPath()
        if tree.others and tree.source.stem.casefold() not in PurePosixPath(labels).stem.casefold():
            return tree.others[0]
    return next(_models_below(tree, level, folder), "")


def _models_below(tree: Tree, level: PurePosixPath, folder: PurePosixPath) -> Iterator[str]:
    for path in tree.members:
        place = PurePosixPath(path).parent
        if path.lower().endswith(_MODELS) and place != folder and (level in {place, *place.parents}):
            yield path
