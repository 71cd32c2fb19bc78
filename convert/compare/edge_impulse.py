"""Edge Impulse's side of a comparison: the original model of an ONNX model, run as Edge Impulse's SDK runs it.

Features of pictures go in, outputs are decoded by the SDK's rules. Features are one float32 for each pixel, row by row,
R << 16 | G << 8 | B, which is exact in float32. Inside the executable a grey model gets the luma of it
(`convert.images.scaling.sdk_luma`). The head knows how the SDK decodes its outputs (`convert.heads`). Labels and
threshold, which a .tflite does not hold, are given.

The ONNX model that `convert` ships says in its metadata_props which model it was made of (`convert.export.tflite`); any
other original is refused, because a comparison with the wrong one would name causes that do not exist. Labels, resize
mode, scaling or threshold that the original does not hold are taken from the bundle's report.json.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert import compare as rules
from convert import files, isolation, types
from convert.errors import InputError, UnsupportedModelError
from convert.export.facts import facts
from convert.export.tflite import content_digest
from convert.heads import HEADS, base, head
from convert.images import Anchor, ImageScaling, ResizeMode
from convert.images.scaling import Placement, place_as_sdk, sdk_luma
from convert.report import BundleReport
from convert.simulate import results, settings
from convert.validate import runtimes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.export.models import Candidate
    from convert.findings import Finding

_HINT = "numbers separated by commas or white space, decimal or 0xRRGGBB, as Studio's 'Copy raw features' gives them"


@dataclass(frozen=True)
class Original:
    """A flatbuffer that answers as an .eim would.

    Attributes:
        labels: in output order, without background.
        scaling: what was done to pixel/255 in training.
        worker: the child LiteRT runs in.
        timeout: seconds one picture may take.
        overlap: of the SDK's non-maximum suppression, where the export records it.
        format: of `model`.
        kernels: of LiteRT (`convert.validate.runtimes.run_tflite`).
    """

    path: Path
    model: bytes = field(repr=False)
    facts: types.ModelFacts
    labels: tuple[str, ...]
    scaling: ImageScaling
    worker: isolation.Worker
    timeout: float
    overlap: float | None = None
    format: types.ModelFormat = types.ModelFormat.TFLITE
    kernels: str = runtimes.DEFAULT

    @property
    def size(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.facts.input.sides
        return height, width, channels

    def classify(self, picture: NDArray[np.uint8], threshold: float, *, as_sdk: bool = False) -> dict[str, Any]:
        """The result for one picture [H,W,C].

        Raises:
            ValidationError: LiteRT cannot run the model.
            InputError: the labels are not as many as the outputs have.
        """
        return self.answer(self.outputs(picture[None]), threshold, as_sdk=as_sdk)

    def outputs(self, pictures: NDArray[Any], *, encoded: bool = False) -> list[NDArray[np.float32]]:
        """What the model gives for n pictures, each output [n, ...]: of an SSD boxes, classes, scores and count.

        Args:
            pictures: [n,H,W,C], levels 0..255; whole ones, but for a luma with its fractions.
            encoded: of an SSD what goes into its last operator instead.

        Raises:
            ValidationError: the model does not run.
        """
        arguments, limits = (self.model, pictures, self.scaling), (self.worker, self.timeout * len(pictures))
        spec = head(self.facts.task)
        if self.format is types.ModelFormat.ONNX:
            outputs = runtimes.onnx_outputs(*arguments, [output.shape for output in self.facts.outputs], *limits)
        elif spec.is_cut and not encoded:
            function = "convert.compare.edge_impulse:_whole"
            outputs = runtimes.call_original(function, *limits, *arguments, self.kernels)
        else:
            outputs = runtimes.outputs(*arguments, *limits, kernels=self.kernels)
        return outputs if spec.raw else spec.as_graph(outputs)  # a classifier's single number becomes both scores

    def answer(
        self, outputs: Sequence[NDArray[np.float32]], threshold: float, *, as_sdk: bool = False
    ) -> dict[str, Any]:
        """The result from the outputs for one picture.

        Raises:
            InputError: the labels are not as many as the outputs have.
        """
        spec = head(self.facts.task)
        classes = spec.classes(outputs[0].shape)
        if classes not in {None, len(self.labels)}:
            message = f"the model has {classes} classes and the other side names {len(self.labels)} labels"
            raise InputError(message, path=self.path, hint="compare with the model of the same project and version")
        rules = base.Rules(self.labels, threshold, self.size[:2], self.overlap, as_sdk=as_sdk)
        return spec.decode_original(outputs, rules)


def _whole(model: bytes, pictures: NDArray[Any], scaling: ImageScaling, kernels: str) -> list[NDArray[np.float32]]:
    """In the child: boxes, classes, scores and count of an SSD."""
    from convert.heads.ssd import output_order  # brings LiteRT's schema

    outputs = runtimes.run_tflite(model, pictures, scaling, kernels, whole=True)
    return [outputs[place] for place in output_order(model)]


def read_original(
    path: Path, labels: tuple[str, ...], scaling: ImageScaling, worker: isolation.Worker, timeout: float
) -> Original:
    """The flatbuffer at `path`.

    Raises:
        InputError: it cannot be read, is damaged, or takes no pictures.
        UnsupportedModelError: its outputs are not known.
    """
    try:
        model = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path, hint="give a .tflite file") from error
    known = facts(model)
    if not head(known.task).is_comparable:
        raise UnsupportedModelError(
            f"it cannot be compared: how Edge Impulse decodes outputs of the kind {known.task!r} is not known",
            path=path, hint="compare with the bundle that `ei-deepstream convert` makes of the export",
        )  # fmt: skip
    if len(known.input.shape) != 4 or None in known.input.shape:
        raise InputError("the model takes no pictures", path=path)
    return Original(path, model, known, labels, scaling, worker, timeout)


def pack(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 [H*W] from a uint8 picture [H,W,3] in RGB order or [H,W,1]; grey becomes r = g = b."""
    values = picture.astype(np.uint32)
    red, green, blue = (values[..., min(channel, values.shape[-1] - 1)] for channel in range(3))
    return (red << 16 | green << 8 | blue).reshape(-1).astype(np.float32)


def unpack(features: NDArray[np.float32], height: int, width: int, channels: int) -> NDArray[np.float32]:
    """float32 [H,W,channels], 0..255, from features [H*W]; one channel is the luma of three.

    What no picture packs to (below 0, above 0xFFFFFF, NaN) is clamped; the original's cast of it is undefined in C++.
    """
    packed = np.fmin(np.fmax(features, np.float32(0)), np.float32(0xFFFFFF)).astype(np.uint32)
    shifts = np.array([16, 8, 0], np.uint32)
    colours = (packed[:, np.newaxis] >> shifts) & 0xFF
    levels = sdk_luma(colours) if channels == 1 else colours.astype(np.float32)
    return levels.reshape(height, width, channels)


def read_features(path: Path) -> NDArray[np.float32]:
    """The numbers in a text file, as float32 [n]: a JSON list, or separated by commas, blanks and line ends.

    The path "-" is standard input.

    Raises:
        InputError: not readable, or not numbers.
    """
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        text = data.decode("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the features cannot be read: {error}", path=path, hint=_HINT) from error
    try:
        values: list[Any] = json.loads(text) if text.startswith("[") else [_number(w) for w in _words(text)]
        features = np.array([value if type(value) in {int, float} else np.nan for value in values], np.float64)
    except (ValueError, OverflowError, RecursionError) as error:
        raise InputError(f"not a list of features: {str(error)[:200]}", path=path, hint=_HINT) from error
    if not values:
        raise InputError("not a list of features", path=path, hint=_HINT)
    with np.errstate(over="ignore"):
        single = features.astype(np.float32)
    if not np.isfinite(single).all():
        raise InputError("a feature is no finite float32", path=path, hint=_HINT)
    return single


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", text) if word]


def _number(word: str) -> float:
    return float(int(word, 16)) if word.lower().startswith("0x") else float(word)


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
    engine: results.SimulatedEngine, given: Path | None, worker: isolation.Worker, timeout: float
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
        message = "recorded tensors cannot be compared with Edge Impulse: the pictures they were made of are not there"
        raise InputError(message, path=engine.config, hint="simulate pictures")
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
    worker: isolation.Worker,
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
            f"how Edge Impulse decodes models of the kind {known.task} is not known here", path=path,
            hint="can be compared: " + ", ".join(each.id for each in HEADS if each.is_comparable),
        )  # fmt: skip
    if export.format is types.ModelFormat.ONNX and head(known.task).detects and not head(known.task).merges_cells:
        raise UnsupportedModelError(
            f"what the boxes of models of the kind {known.task} in an ONNX file are measured in is not known",
            path=path,
            hint="classifiers and FOMO can be compared, and what was exported as .tflite",
        )
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


def _written_labels(engine: results.SimulatedEngine) -> tuple[str, ...]:
    """Those of the label file, so that spelling is no cause where Edge Impulse's are not known."""
    lines = engine.settings.labels
    if engine.settings.network_type is not settings.NetworkType.DETECTOR and len(lines) == 1:
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
    plain = files.sha256(candidate.data)
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
