"""Edge Impulse's side: the original `.tflite`, proven to be what the ONNX model was made of, and how it is to be run.

The ONNX model that `convert` ships says in its metadata_props of which model it was made (`convert.export.content`).
Another model is refused, whatever it is called: a comparison with the wrong one would name causes that are none. Where
the original itself does not tell labels, resize mode, scaling or threshold, the bundle's report.json does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.against import findings as rules
from convert.artifacts import ImageScaling, Metadata, ModelFormat, ResizeMode
from convert.compare.edge_impulse import Original
from convert.document import metadata_from_document
from convert.errors import InputError, UnsupportedModelError
from convert.export.content import content_digest
from convert.export.entries import list_models
from convert.export.source import open_source
from convert.export.unpack import Unpack
from convert.heads import HEADS, head
from convert.writing import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convert.artifacts import Export, ModelFacts
    from convert.export.candidates import Candidate
    from convert.findings import Finding
    from convert.isolation import Worker
    from convert.simulate.scene import Engine

__all__ = ["SOURCE", "TASK", "Trained", "read_trained"]

SOURCE, TASK = "ei_deepstream.source_sha256", "ei_deepstream.task"
"""Keys of metadata_props that `convert.graph` writes."""

_REPORT = "report.json"
_THRESHOLD = 0.5  # what Studio gives a detector whose threshold nobody moved
_GIVE = "name the export or the .tflite that the bundle was converted from with --original"


@dataclass(frozen=True)
class Trained:
    """The original, and what Edge Impulse does before and behind it.

    Attributes:
        shown: the file, as the user would name it.
        original: runs in LiteRT; its labels are Edge Impulse's.
        threshold: of a detector, 0..1.
        findings: what is not known of it.
    """

    shown: str
    export: Export
    original: Original
    resize_mode: ResizeMode
    threshold: float
    findings: tuple[Finding, ...] = ()

    @property
    def task(self) -> str:
        """What its last layer means."""
        return self.original.facts.task

    @property
    def quantized(self) -> bool:
        """Whether it computes in integers."""
        return self.original.facts.quantization in {"int8", "uint8", "int16", "dynamic-range"}


@dataclass(frozen=True)
class _Report:
    """What the bundle says of where its model came from."""

    source: str = ""
    metadata: Metadata = field(default_factory=Metadata)


def read_trained(engine: Engine, given: Path | None, worker: Worker, timeout: float) -> Trained:
    """The original of `engine`'s model.

    Args:
        engine: with the model's metadata_props.
        given: an export or a .tflite; None: what the bundle's report names, beside the bundle or in the current folder.
        worker: the child LiteRT runs in.
        timeout: seconds one picture may take.

    Raises:
        InputError: it is not found, cannot be read, or is not what the model was made of.
        UnsupportedModelError: its outputs are of a kind whose decoding by Edge Impulse is not known.
    """
    if engine.model is None:
        raise InputError(
            "recorded tensors cannot be compared with Edge Impulse: the pictures they were made of are not there",
            path=engine.config, hint="simulate pictures",
        )  # fmt: skip
    properties = dict(engine.metadata)
    digest = properties.get(SOURCE, "")
    report = _report(engine.model) if digest else _Report()
    path = given or _beside(engine.model, report, digest)
    task = next((each.id for each in HEADS if each.id == properties.get(TASK)), None)
    export, findings = _unpack(path, digest, task)
    facts = export.facts
    if export.format is not ModelFormat.TFLITE:
        raise UnsupportedModelError("the original is an ONNX model, there is no .tflite to run", path=path)
    if not head(facts.task).is_comparable:
        raise UnsupportedModelError(
            f"how Edge Impulse decodes a {facts.task} model is not known here", path=path,
            hint="classifiers, FOMO, YOLOv5 and SSD can be compared",
        )  # fmt: skip
    if len(facts.input.shape) != 4 or None in facts.input.shape:
        raise InputError("the model takes no pictures", path=path)
    said, told = export.metadata, report.metadata
    mode = said.resize_mode or told.resize_mode
    if mode in {None, ResizeMode.NONE}:
        findings = (
            *findings,
            rules.RESIZE_UNKNOWN.found(
                "how Edge Impulse resized pictures is not recorded; squash is assumed", path=path
            ),
        )
    threshold = told.threshold if said.threshold is None else said.threshold
    if threshold is None:
        threshold = _THRESHOLD
        if head(facts.task).detects:
            findings = (
                *findings,
                rules.THRESHOLD_UNKNOWN.found(
                    f"Edge Impulse's threshold is not recorded; {_THRESHOLD} is assumed", path=path
                ),
            )
    original = Original(
        path, export.original or export.model, facts, _labels(engine, facts, said, told),
        said.image_scaling or told.image_scaling or ImageScaling.NONE, worker, timeout,
        told.nms_iou if said.nms_iou is None else said.nms_iou,
    )  # fmt: skip
    return Trained(str(path), export, original, mode or ResizeMode.SQUASH, threshold, findings)


def _labels(engine: Engine, facts: ModelFacts, said: Metadata, told: Metadata) -> tuple[str, ...]:
    """Edge Impulse's; where nobody recorded them, those that are shown: then spelling is no cause."""
    labels = said.labels or told.labels
    if labels:
        return labels
    lines = engine.settings.labels
    if not head(facts.task).detects and len(lines) == 1:
        (shown,) = lines
    else:
        shown = tuple(line[0] for line in lines)
    classes = head(facts.task).classes(facts.outputs[0].shape)
    if classes is None:
        return shown
    return (*shown, *(f"class {number}" for number in range(len(shown), classes)))[:classes]


def _unpack(path: Path, digest: str, task: str | None) -> tuple[Export, tuple[Finding, ...]]:
    """The model of `path` with this digest, or THE model where nothing is known of it.

    Raises:
        InputError: there is no such model.
    """
    if not digest:
        export = Unpack(task=task)(path, Path()).artifact
        message = "the ONNX model does not say what it was made of"
        return export, (rules.NOT_PROVEN.found(message, path=path, hint=rules.NOT_PROVEN.fix),)
    with open_source(path) as source:
        entries = list_models(source.tree, source.focus).entries
    for entry in entries:
        candidate = entry.candidate
        if candidate.facts is not None and digest in _digests(candidate):
            return Unpack(model=f"#{entry.number}", task=task)(path, Path()).artifact, ()
    raise InputError(
        "not the model that the bundle was converted from: what the two say could not be compared",
        path=path, hint=_GIVE,
    )  # fmt: skip


def _digests(candidate: Candidate) -> tuple[str, ...]:
    """What an ONNX model made of this one may say of it."""
    plain = sha256(candidate.data)
    return (plain,) if candidate.format is ModelFormat.ONNX else (content_digest(candidate.data), plain)


def _beside(model: Path, report: _Report, digest: str) -> Path:
    """Where the original lies: called as the report says or as the model, near the bundle or in the current folder.

    Raises:
        InputError: it is nowhere.
    """
    folder = model.absolute().parent
    names = [name for name in (report.source, f"{model.stem}.tflite", f"{model.stem}.lite") if name]
    for name in names if digest else ():
        for place in (folder, folder.parent, Path()):
            path = place / name
            if path.exists() and path.absolute() != folder and _holds(path, digest):
                return path
    where = f" ({report.source} is neither beside the bundle nor in this folder)" if report.source else ""
    raise InputError(f"the original of {model.name} is not found{where}", path=model, hint=_GIVE)


def _holds(path: Path, digest: str) -> bool:
    try:
        _unpack(path, digest, None)
    except (InputError, UnsupportedModelError):
        return False
    return True


def _report(model: Path) -> _Report:
    """What the report beside `model` says of it; nothing where there is no report that describes it.

    Raises:
        InputError: the report is damaged, or describes a model of this name with other bytes.
    """
    path = model.parent / _REPORT
    if not path.is_file():
        return _Report()
    try:
        document = json.loads(path.read_bytes())
        exports = [part["export"] for part in _parts(document)]
        digests = {file["path"]: file["sha256"] for file in document["files"]}
        export = next((each for each in exports if f"{each['name']}.onnx" == model.name), None)
        if export is None:
            return _Report()
        told = _Report(str(export["source"]), metadata_from_document({"metadata": export["metadata"]}, path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"the bundle's {_REPORT} is damaged ({error!r})", path=path, hint="convert again") from error
    if digests.get(model.name) != sha256(model.read_bytes()):
        raise InputError(
            f"{model.name} is not the model that {_REPORT} describes", path=model,
            hint="convert again; do not mix bundles",
        )  # fmt: skip
    return told


def _parts(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """One bundle has one model, an app of two has a primary and a secondary."""
    return [document] if "export" in document else [document["primary"], document["secondary"]]
