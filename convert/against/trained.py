"""Edge Impulse's side: the original `.tflite`, proven to be what the ONNX model was made of, and how it is to be run.

The ONNX model that `convert` ships says in its metadata_props of which model it was made (`convert.export.tflite`).
Another model is refused, whatever it is called: a comparison with the wrong one would name causes that are none. Where
the original itself does not tell labels, resize mode, scaling or threshold, the bundle's report.json does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convert.against import findings as rules
from convert.artifacts import ImageScaling, Metadata, ModelFormat, ResizeMode
from convert.compare.edge_impulse import Original
from convert.errors import InputError, UnsupportedModelError
from convert.export.archive import open_source
from convert.export.models import list_models
from convert.export.tflite import content_digest
from convert.export.unpack import Unpack
from convert.heads import head
from convert.report import BundleReport
from convert.words import DETECTOR_THRESHOLD
from convert.writing import sha256

if TYPE_CHECKING:
    from convert.artifacts import Export, ModelFacts
    from convert.export.models import Candidate
    from convert.findings import Finding
    from convert.isolation import Worker
    from convert.simulate.scene import Engine

__all__ = ["Trained", "read_trained"]

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
    recorded = engine.recorded
    digest = recorded.source_sha256 or ""
    report = BundleReport.read(engine.model.parent) if digest else None
    reported = report and report.model_of(engine.model)
    source, told = (reported.source, reported.metadata) if reported else ("", Metadata())
    path = given or _beside(engine.model, source, digest)
    export, findings = _unpack(path, digest, recorded.task)
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
    said = export.metadata
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
        threshold = DETECTOR_THRESHOLD
        if head(facts.task).detects:
            findings = (
                *findings,
                rules.THRESHOLD_UNKNOWN.found(
                    f"Edge Impulse's threshold is not recorded; {DETECTOR_THRESHOLD} is assumed", path=path
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


def _beside(model: Path, source: str, digest: str) -> Path:
    """Where the original lies: called as the report says or as the model, near the bundle or in the current folder.

    Raises:
        InputError: it is nowhere.
    """
    folder = model.absolute().parent
    names = [name for name in (source, f"{model.stem}.tflite", f"{model.stem}.lite") if name]
    for name in names if digest else ():
        for place in (folder, folder.parent, Path()):
            path = place / name
            if path.exists() and path.absolute() != folder and _holds(path, digest):
                return path
    where = f" ({source} is neither beside the bundle nor in this folder)" if source else ""
    raise InputError(f"the original of {model.name} is not found{where}", path=model, hint=_GIVE)


def _holds(path: Path, digest: str) -> bool:
    try:
        _unpack(path, digest, None)
    except (InputError, UnsupportedModelError):
        return False
    return True
