"""Edge Impulse's side of a comparison: the original model of an ONNX model, found and checked.

The ONNX model that `convert` ships says in its metadata_props which model it was made of (`convert.export.tflite`); any
other original is refused, because a comparison with the wrong one would name causes that do not exist. Labels, resize
mode, scaling or threshold that the original does not hold are taken from the bundle's report.json.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from convert import compare as rules
from convert import types
from convert.compare.edge_impulse import Original
from convert.errors import InputError, UnsupportedModelError
from convert.export.facts import facts
from convert.export.tflite import content_digest
from convert.files import sha256
from convert.heads import HEADS, head
from convert.images import Anchor, ImageScaling, ResizeMode
from convert.images.scaling import Placement, place_as_sdk
from convert.report import BundleReport
from convert.simulate.settings import NetworkType

if TYPE_CHECKING:
    from convert.export.models import Candidate
    from convert.findings import Finding
    from convert.isolation import Worker
    from convert.simulate.results import SimulatedEngine


__all__ = ["EdgeImpulseModel", "edge_impulse_model", "read_edge_impulse_model"]


_GIVE = "name the export or the .tflite that the bundle was converted from with --original"


@dataclass(frozen=True)
class EdgeImpulseModel:
    """Edge Impulse's side: the original model, and what the SDK does before and after it.

    Attributes:
        file: as the user would name it.
        original: runs in LiteRT; its labels are Edge Impulse's.
        anchor: which part of a picture a crop keeps.
        threshold: of a detector, 0..1.
        findings: what is not known of it.
    """

    file: str
    export: types.Export
    original: Original
    resize_mode: ResizeMode
    anchor: Anchor
    threshold: float
    findings: tuple[Finding, ...] = ()

    @property
    def task(self) -> str:
        """What its last layer means."""
        return self.original.facts.task

    def placed(self, width: int, height: int) -> Placement:
        """Where a picture of that size lies in the original's."""
        high, wide, _ = self.original.size
        return place_as_sdk(width, height, (wide, high), self.resize_mode, anchor=self.anchor)

    @property
    def quantized(self) -> bool:
        """Whether it computes in integers."""
        return self.original.facts.quantization in {"int8", "uint8", "int16", "dynamic-range"}


def read_edge_impulse_model(
    engine: SimulatedEngine, given: Path | None, worker: Worker, timeout: float
) -> EdgeImpulseModel:
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
    entry = report and report.model_of(engine.model)
    source, reported = (entry.source, entry.metadata) if entry else ("", types.Metadata())
    path = given or _beside(engine.model, source, digest)
    export, findings = _unpack(path, digest, recorded.task)
    found = edge_impulse_model(export, path, worker, timeout, reported, labels=_written_labels(engine))
    return replace(found, findings=(*findings, *found.findings))


def edge_impulse_model(
    export: types.Export,
    path: Path,
    worker: Worker,
    timeout: float,
    reported: types.Metadata,
    *,
    labels: tuple[str, ...] = (),
) -> EdgeImpulseModel:
    """Edge Impulse's side of an export.

    Args:
        export: its original runs, also where `model` is a rewriting of it.
        path: what errors and findings name.
        worker: the child the original runs in.
        timeout: seconds one picture may take.
        reported: taken where the export does not record something.
        labels: taken where neither records any.

    Raises:
        InputError: the model takes no pictures.
        UnsupportedModelError: its outputs are of a kind whose decoding by Edge Impulse is not known.
    """
    own, known = export.metadata, export.facts if export.original is None else facts(export.original)
    if not head(known.task).is_comparable:
        raise UnsupportedModelError(
            f"how Edge Impulse decodes a {known.task} model is not known here", path=path,
            hint="can be compared: " + ", ".join(each.id for each in HEADS if each.is_comparable),
        )  # fmt: skip
    if export.format is types.ModelFormat.ONNX and head(known.task).detects and not head(known.task).merges_cells:
        raise UnsupportedModelError(
            f"what the boxes of a {known.task} model in an ONNX file are measured in is not known", path=path,
            hint="classifiers and FOMO can be compared, and what was exported as .tflite",
        )  # fmt: skip
    if len(known.input.shape) != 4 or None in known.input.shape:
        raise InputError("the model takes no pictures", path=path)
    findings = []
    mode = own.resize_mode or reported.resize_mode
    if mode in {None, ResizeMode.NONE}:
        message = "how Edge Impulse resized pictures is not recorded; squash is assumed"
        findings.append(rules.RESIZE_UNKNOWN.found(message, path=path))
    threshold = reported.threshold if own.threshold is None else own.threshold
    if threshold is None:
        threshold = types.DETECTOR_THRESHOLD
        if head(known.task).detects:
            message = f"Edge Impulse's threshold is not recorded; {threshold} is assumed"
            findings.append(rules.THRESHOLD_UNKNOWN.found(message, path=path))
    original = Original(
        path, export.original or export.model, known, _labels(known, own.labels or reported.labels or (), labels),
        own.image_scaling or reported.image_scaling or ImageScaling.NONE, worker, timeout,
        reported.nms_iou if own.nms_iou is None else own.nms_iou, export.format,
    )  # fmt: skip
    anchor = (own if own.resize_mode else reported).anchor
    return EdgeImpulseModel(str(path), export, original, mode or ResizeMode.SQUASH, anchor, threshold, tuple(findings))


def _labels(known: types.ModelFacts, recorded: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    """Edge Impulse's labels; where they are not recorded `others`, one for each class."""
    classes = head(known.task).classes(known.outputs[0].shape)
    if recorded or classes is None:
        return recorded or others
    return (*others, *(f"class {number}" for number in range(len(others), classes)))[:classes]


def _written_labels(engine: SimulatedEngine) -> tuple[str, ...]:
    """Those of the label file, so that spelling is no cause where Edge Impulse's are not known."""
    lines = engine.settings.labels
    if engine.settings.network_type is not NetworkType.DETECTOR and len(lines) == 1:
        return lines[0]
    return tuple(line[0] for line in lines)


def _unpack(path: Path, digest: str, task: str | None) -> tuple[types.Export, tuple[Finding, ...]]:
    """The model of `path` with this digest, or THE model where nothing is known of it.

    Raises:
        InputError: there is no such model.
    """
    from convert.export.archive import open_source  # `convert` has the export already, and does without these
    from convert.export.models import list_models
    from convert.export.unpack import Unpack

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
    return (plain,) if candidate.format is types.ModelFormat.ONNX else (content_digest(candidate.data), plain)


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
