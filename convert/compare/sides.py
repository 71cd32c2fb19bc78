"""The two models of a comparison, and predictions with each step done as DeepStream or as Edge Impulse does it.

Edge Impulse's side is the original .tflite. The ONNX model that `convert` ships says in its metadata_props which model
it was made of (`convert.export.tflite`); any other original is refused, because a comparison with the wrong one would
name causes that do not exist. Labels, resize mode, scaling or threshold that the original does not hold are taken from
the bundle's report.json.

DeepStream's side is the engine. The graph of a detector that `convert` made continues after the network's own outputs,
which keep a name inside it (`convert.validate.comparison`). So one network can be decoded by both sides' rules, and the
graph's end can be run on the original's outputs.

With no step done as Edge Impulse does it the prediction is what `simulate` shows; with all of them it is what Edge
Impulse's SDK gives. In between only the named steps differ, which finds the steps that cause a difference (ablation).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert import compare as rules
from convert import types
from convert.compare import Cause, ComparedObject, Prediction, Score
from convert.compare.edge_impulse import Original
from convert.errors import InputError, UnsupportedModelError, ValidationError
from convert.export.archive import open_source
from convert.export.facts import facts
from convert.export.models import Candidate, list_models
from convert.export.tflite import content_digest
from convert.export.unpack import Unpack
from convert.files import sha256
from convert.graph.preprocessing import preprocessing
from convert.heads import HEADS, head
from convert.heads.base import Rules
from convert.heads.boxes import RAW
from convert.images import Frame, ImageScaling, ResizeMode
from convert.images.resizing import Resizing
from convert.images.scaling import Placement, Rect, as_sdk, interpolate, luma, place, place_as_sdk, scale, sdk_luma
from convert.report import BundleReport
from convert.simulate.decode import Classified, Detected, Detection, attach, decode
from convert.simulate.parsers import Layer
from convert.simulate.settings import ClassSettings, ClusterMode, ColorFormat, NetworkType, Settings
from convert.validate import runtimes
from convert.validate.comparison import raw_names, with_raw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from convert.findings import Finding
    from convert.isolation import Worker
    from convert.simulate.engine import LoadedEngine
    from convert.simulate.results import SimulatedEngine


__all__ = ["Ablation", "ModelPair", "load_shipped", "possible_causes", "read_edge_impulse_model"]


_GIVE = "name the export or the .tflite that the bundle was converted from with --original"


@dataclass(frozen=True)
class EdgeImpulseModel:
    """Edge Impulse's side: the original model, and what the SDK does before and after it.

    Attributes:
        file: as the user would name it.
        original: runs in LiteRT; its labels are Edge Impulse's.
        threshold: of a detector, 0..1.
        findings: what is not known of it.
    """

    file: str
    export: types.Export
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
    return EdgeImpulseModel(str(path), export, original, mode or ResizeMode.SQUASH, threshold, tuple(findings))


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
        for place_ in (folder, folder.parent, Path()):
            path = place_ / name
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


@dataclass(frozen=True)
class ShippedModel:
    """DeepStream's side: the primary engine with the ONNX model that `convert` shipped.

    Attributes:
        expected: what nvinfer should do with a picture's levels, for the model to get what it was trained on.
        task: of the original.
        raw: names of the network's own outputs inside the model; empty where there are none.
        left, top: where in the network's picture that of the original begins: above 0 where the graph crops.
        resizing: how the graph makes the original's picture of a whole frame, where it does.
        limits: of an SSD's own post-processing.
    """

    loaded: LoadedEngine
    task: str
    expected: types.Preprocessing
    raw: tuple[str, ...]
    left: int
    top: int
    resizing: Resizing | None
    limits: types.Limits | None

    @property
    def inside(self) -> tuple[float, float, float, float]:
        """Where the original's picture begins in the network's, and how many of its pixels one of the original has."""
        if self.resizing is None:
            return self.left, self.top, 1.0, 1.0
        left, top, width, height = self.resizing.inside
        return left, top, width / self.resizing.model[0], height / self.resizing.model[1]

    @property
    def score(self) -> str:
        """What a YOLO's scores are, as the ONNX model records it: "product" or "objectness"."""
        return self.loaded.engine.recorded.score or "product"

    @property
    def overlap(self) -> float | None:
        """From which on the graph itself drops the weaker of two boxes, as the ONNX model records it."""
        return self.loaded.engine.recorded.overlap

    @property
    def coordinates(self) -> str | None:
        """What a YOLO's raw boxes are measured in, as the ONNX model records it."""
        return self.loaded.engine.recorded.coordinates

    def __call__(self, tensor: NDArray[np.float32], *, raw: bool) -> dict[str, NDArray[Any]]:
        """Outputs by name, [1,...], for one input without batch; with `raw` the raw ones, too, where there are any.

        Raises:
            InputError, ValidationError: the model fails.
        """
        if not raw or not self.raw:
            return {layer.name: layer.array for layer in self.loaded.infer(tensor[None])}
        names = (output.name for output in self._with_raw.get_outputs())
        return dict(zip(names, runtimes.run_onnx(self._with_raw, tensor[None]), strict=True))

    def behind(self, raw: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
        """Outputs and raw outputs by name from the original's raw outputs [1,...], which take the network's place.

        Raises:
            ValidationError: they are not those of such a network.
        """
        if not self.raw:
            return dict(zip(self.loaded.outputs, raw, strict=False))
        feeds = {
            name: np.ascontiguousarray(values)
            for name, values in zip(self.raw, head(self.task).as_graph(raw), strict=True)
        }
        try:
            shipped = self._graph_end.run(None, feeds)
        except Exception as error:  # ONNX Runtime's exceptions share no other base class
            reason = " ".join(str(error).split())
            raise ValidationError(f"the end of the ONNX model does not fit the original's outputs: {reason}") from error
        return {**dict(zip(self.loaded.outputs, shipped, strict=True)), **feeds}

    @cached_property
    def _with_raw(self) -> Any:
        """A session with the raw outputs behind the others: made where a cause is looked for, which is seldom."""
        return runtimes.load(with_raw(self._model()))

    @cached_property
    def _graph_end(self) -> Any:
        """A session of what stands behind the network's own outputs."""
        return runtimes.load(_graph_end(self._model(), self.raw))

    def _model(self) -> bytes:
        assert self.loaded.engine.model is not None
        return self.loaded.engine.model.read_bytes()


def load_shipped(loaded: LoadedEngine, edge_impulse: EdgeImpulseModel) -> ShippedModel:
    """The model of the engine `loaded`, beside the original.

    Raises:
        InputError: it takes other pictures than the original, or is of another kind.
        PresetError: the original's image scaling does not fit its channels.
    """
    engine = loaded.engine
    assert engine.model is not None
    detects = engine.settings.network_type is NetworkType.DETECTOR
    if detects is not head(edge_impulse.task).detects:
        raise InputError(
            f"network-type={int(engine.settings.network_type)}, and the original is a {edge_impulse.task} model",
            path=engine.config, hint="0 is for detectors, 1 for classifiers",
        )  # fmt: skip
    height, width, channels = edge_impulse.original.size
    network = engine.network
    known = replace(edge_impulse.export.metadata, image_scaling=edge_impulse.original.scaling)
    export, resizing = replace(edge_impulse.export, metadata=known), None
    if engine.recorded.resize is None:
        across, down = network.width - width, network.height - height
        expected, _ = preprocessing(export)
    else:
        frame = Frame(network.width, network.height, in_pixels=True)
        resizing = Resizing(frame, engine.recorded.resize, engine.recorded.resize_mode or ResizeMode.SQUASH)
        across, down = engine.recorded.resize[0] - width, engine.recorded.resize[1] - height
        expected, _ = preprocessing(export, frame, resize="graph")
        channels = 3
    if network.channels != channels or across < 0 or down < 0:
        raise InputError(
            f"the network takes {network.width}x{network.height} pixels with {network.channels} channels, the original "
            f"{width}x{height} with {channels}",
            path=engine.model, hint="compare with the original of the same project and version",
        )  # fmt: skip
    raw = raw_names(engine.model.read_bytes()) if detects else ()
    return ShippedModel(
        loaded, edge_impulse.task, expected, raw, across // 2, down // 2, resizing,
        _limits(engine.recorded.limits, edge_impulse),
    )  # fmt: skip


def _graph_end(model: bytes, raw: Sequence[str]) -> bytes:
    """What stands behind the network's own outputs, as a model."""
    import onnx  # heavy, and classifiers do without
    from onnx.utils import Extractor

    proto = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(model))
    end = Extractor(proto).extract_model(list(raw), [output.name for output in proto.graph.output])
    return bytes(end.SerializeToString())


def _limits(recorded: types.Limits | None, edge_impulse: EdgeImpulseModel) -> types.Limits | None:
    """As recorded in the ONNX model, else as the original's last operator says."""
    own = head(edge_impulse.task).limits(edge_impulse.original.model)
    if own is None:
        return None
    return recorded or own


@dataclass(frozen=True)
class ModelPair:
    """The two models of a comparison; decodes a detector's outputs by either side's rules.

    `done`, here and in `Ablation`, are the causes that are done as Edge Impulse does them.
    """

    shipped: ShippedModel
    edge_impulse: EdgeImpulseModel

    def can_predict(self, done: frozenset[Cause]) -> bool:
        """Whether this combination can be computed: nvinfer's parser needs a graph end that may be missing."""
        if not head(self.edge_impulse.task).detects or self.shipped.raw or Cause.MODEL not in done:
            return True
        return self.by_original(done)

    def by_original(self, done: frozenset[Cause]) -> bool:
        """Whether the original's outputs are decoded directly, without the ONNX graph's end or nvinfer's parser."""
        scored = Cause.SCORE in done or not head(self.edge_impulse.task).by_objectness
        return {Cause.MODEL, Cause.MERGE} <= done and scored

    def original(self, outputs: Sequence[NDArray[np.float32]], done: frozenset[Cause]) -> tuple[Detection, ...]:
        """From the original's outputs, by Edge Impulse's rules, in pixels of the network's picture."""
        numbered = replace(self.edge_impulse.original, labels=self._numbers())
        settings = self._settings(done)
        found = numbered.answer(outputs, _lowest(settings), as_sdk=True)["bounding_boxes"]
        return _kept([self._detection(box, inside=True) for box in found], settings)

    def outputs(self, outputs: Mapping[str, NDArray[Any]], done: frozenset[Cause]) -> tuple[Detection, ...]:
        """From the ONNX model's outputs, in pixels of the network's picture.

        Raises:
            InputError: the outputs do not fit the parser.
        """
        settings = self._settings(done)
        if Cause.MERGE in done:
            return self._merged(outputs, settings, done)
        shipped = {name: outputs[name] for name in self.shipped.loaded.outputs}
        if Cause.SCORE in done:
            shipped |= self._by_objectness(outputs)
        layers = [Layer.of(name, values) for name, values in shipped.items()]
        (frame,) = decode(settings, self.shipped.loaded.engine.network, layers).frames
        assert isinstance(frame, Detected)
        return frame.objects

    def attached(
        self, found: Iterable[Detection], placement: Placement, done: frozenset[Cause]
    ) -> tuple[ComparedObject, ...]:  # fmt: skip
        """In pixels of the picture, behind the filters for sizes and regions, best first."""
        settings = self._settings(done)
        known = [one for one in found if one.class_id < len(settings.classes)]
        parent = Rect(placement.left, placement.top, 0, 0)
        labels = self.edge_impulse.original.labels
        objects = [
            ComparedObject(
                one.class_id,
                labels[one.class_id] if Cause.LABELS in done and one.class_id < len(labels) else one.label or "",
                one.confidence,
                Rect(one.left, one.top, one.width, one.height),
            )
            for one in attach(settings, placement.view, known, parent=parent)
        ]
        return tuple(sorted(objects, key=lambda one: -one.score))

    def _settings(self, done: frozenset[Cause]) -> Settings:
        settings = self.shipped.loaded.engine.settings
        if Cause.LIMITS in done:
            settings = without_limits(settings, len(self.edge_impulse.original.labels))
        if Cause.THRESHOLD in done:
            limit = float(np.float32(self.edge_impulse.threshold))
            classes = tuple(
                replace(one, pre_cluster_threshold=limit, post_cluster_threshold=0.0) for one in settings.classes
            )
            settings = replace(settings, classes=classes)
        return settings

    def _merged(
        self, outputs: Mapping[str, NDArray[Any]], settings: Settings, done: frozenset[Cause]
    ) -> tuple[Detection, ...]:
        """By Edge Impulse's rules for neighbours and overlaps, with the config's thresholds and limits."""
        spec = head(self.edge_impulse.task)
        raw = bool(self.shipped.raw) and not spec.is_cut
        if spec.by_objectness and Cause.SCORE not in done and self.shipped.score != "objectness":
            raw = False
        network = self.shipped.loaded.engine.network
        size = self.edge_impulse.original.size[:2] if raw else (network.height, network.width)
        given = outputs if raw else {name: outputs[name] for name in self.shipped.loaded.outputs}
        rules = Rules(
            self._numbers(), _lowest(settings), size, self.edge_impulse.original.overlap, as_sdk=True,
            limits=self.shipped.limits, coordinates=self.shipped.coordinates,
        )  # fmt: skip
        boxes = spec.decode_shipped(given, rules)["bounding_boxes"]
        return _kept([self._detection(box, inside=raw) for box in boxes], settings)

    def _by_objectness(self, outputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Scores of a YOLOv5 as the SDK takes them; nothing where the graph has them so, or does not hold them.

        Raises:
            InputError: the network's outputs are none of a YOLOv5.
        """
        rows = outputs.get(RAW)
        if rows is None or self.shipped.score == "objectness":
            return {}
        if rows.ndim != 3 or rows.shape[2] < 6:
            raise InputError(f"the candidates {list(rows.shape)} are not those of a YOLOv5", hint="convert again")
        return {"detection_scores": np.ascontiguousarray(rows[..., 4])}

    def _numbers(self) -> tuple[str, ...]:
        """The class numbers as labels, because two classes may have the same name."""
        return tuple(map(str, range(len(self.edge_impulse.original.labels))))

    def _detection(self, box: Mapping[str, Any], *, inside: bool) -> Detection:
        """In pixels of the network's picture; `inside`: the box is measured in the original's."""
        left, top, across, down = self.shipped.inside if inside else (0, 0, 1, 1)
        number = int(box["label"])
        label = self.shipped.loaded.engine.settings.label(number)
        x, y = float(box["x"] * across + left), float(box["y"] * down + top)
        size = float(box["width"] * across), float(box["height"] * down)
        return Detection(number, label, x, y, *size, float(box["value"]))

    def in_original(self, found: Iterable[Detection]) -> Iterator[Detection]:
        """From pixels of the network's picture to those of the original's."""
        left, top, across, down = self.shipped.inside
        for one in found:
            x, y = (one.left - left) / across, (one.top - top) / down
            yield replace(one, left=x, top=y, width=one.width / across, height=one.height / down)


def without_limits(settings: Settings, classes: int) -> Settings:
    """Nothing is left out for its size, place, class or number; every one of `classes` has a setting."""
    known = settings.classes or (ClassSettings(0.2),)
    padded = (*known, *([known[-1]] * (classes - len(known))))
    free = tuple(
        replace(
            one, topk=-1, detected_min_w=0, detected_min_h=0, detected_max_w=0, detected_max_h=0, roi_top_offset=0,
            roi_bottom_offset=0,
        )
        for one in padded
    )  # fmt: skip
    return replace(settings, classes=free, filter_out_class_ids=frozenset(), crop_to_roi=False)


def _lowest(settings: Settings) -> float:
    return min((one.pre_cluster_threshold for one in settings.classes), default=0.0)


def _kept(found: Iterable[Detection], settings: Settings) -> tuple[Detection, ...]:
    """Those that pass their class's thresholds and topk."""
    kept: list[Detection] = []
    counts: dict[int, int] = {}
    for one in sorted(found, key=lambda one: -one.confidence):
        if one.class_id >= len(settings.classes):
            continue
        own = settings.classes[one.class_id]
        after = own.post_cluster_threshold if settings.cluster_mode is ClusterMode.NMS else 0.0
        if own.pre_cluster_threshold <= one.confidence > after:
            number = counts[one.class_id] = counts.get(one.class_id, 0) + 1
            if not 0 <= own.topk < number:
                kept.append(one)
    return tuple(kept)


def _digest(values: NDArray[np.float32]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(values).data, digest_size=16).digest()


def possible_causes(models: ModelPair) -> tuple[Cause, ...]:
    """What can differ for such models, in processing order."""
    task = models.edge_impulse.task
    none = {Cause.LUMA if models.shipped.loaded.engine.network.channels == 3 else Cause.COLOUR}
    if models.shipped.resizing is not None:  # of a frame of the right size the pixels are the same
        none.add(Cause.INTERPOLATION)
    if not head(task).detects:
        none |= {Cause.MERGE, Cause.LIMITS}
    if not head(task).by_objectness:
        none.add(Cause.SCORE)
    return tuple(cause for cause in Cause if cause not in none)


@dataclass
class Ablation:
    """Predictions for one picture, uint8 [H,W,3] RGB, with chosen steps done as Edge Impulse does them.

    Outputs of the networks are kept by what went in, so that steps which change nothing there cost decoding only.
    """

    models: ModelPair
    pixels: NDArray[np.uint8]
    _outputs: dict[bytes, dict[str, NDArray[Any]]] = field(default_factory=dict)
    _original_outputs: dict[tuple[bytes, bool], list[NDArray[np.float32]]] = field(default_factory=dict)
    _predictions: dict[frozenset[Cause], Prediction] = field(default_factory=dict)
    _kept: dict[frozenset[Cause], bytes] = field(default_factory=dict)

    def placement(self, done: frozenset[Cause] = frozenset()) -> Placement:
        """Where the picture lies in the network's; with framing done in the original's, where the graph resizes.

        Raises:
            InputError: nvinfer cannot scale it.
        """
        height, width = self.pixels.shape[:2]
        shipped = self.models.shipped
        if Cause.FRAMING not in done:
            prepare = shipped.loaded.prepare
            return place(
                width, height, prepare.network, keep_aspect=prepare.keep_aspect, symmetric=prepare.symmetric
            )  # fmt: skip
        high, wide, _ = self.models.edge_impulse.original.size
        found = place_as_sdk(width, height, (wide, high), self.models.edge_impulse.resize_mode)
        view = found.view
        return replace(
            found,
            view=replace(view, offset_left=view.offset_left + shipped.left, offset_top=view.offset_top + shipped.top),
        )

    def predict(self, done: frozenset[Cause]) -> Prediction:
        """The prediction with `done` as Edge Impulse does it, the rest as DeepStream does.

        Raises:
            InputError, ValidationError: a model fails, or the picture cannot be scaled.
        """
        if done not in self._predictions:
            detects = head(self.models.edge_impulse.task).detects
            self._predictions[done] = self._detected(done) if detects else self._classified(done)
        return self._predictions[done]

    def _detected(self, done: frozenset[Cause]) -> Prediction:
        models = self.models
        if models.by_original(done):
            found = models.original(self._outputs_of_original(done, encoded=False), done)
        else:
            found = models.outputs(self._network(done), done)
        if models.shipped.resizing is not None and Cause.FRAMING in done:
            found = tuple(models.in_original(found))
        return Prediction(objects=models.attached(found, self.placement(done), done))

    def _classified(self, done: frozenset[Cause]) -> Prediction:
        outputs, labels = self._network(done), self.models.edge_impulse.original.labels
        settings = self.models.shipped.loaded.engine.settings
        if Cause.LABELS in done:
            settings = replace(settings, labels=(labels,), classifier_parser="")
        numbers = next(iter(outputs.values())).reshape(-1)[: len(labels)]
        scores = tuple(
            Score(each, settings.attribute_label(0, each) or "", float(number)) for each, number in enumerate(numbers)
        )
        if Cause.THRESHOLD in done:  # the highest, whatever it is
            best = scores[int(np.nan_to_num(numbers, nan=-np.inf).argmax())]
            return Prediction(best.label, best.score if best.label else 0.0, scores)
        layers = [Layer.of(name, values) for name, values in outputs.items()]
        (frame,) = decode(settings, self.models.shipped.loaded.engine.network, layers).frames
        assert isinstance(frame, Classified)
        found = next((one for one in frame.attributes if one.attribute == 0 and one.label), None)
        return Prediction(found.label or "", found.confidence, scores) if found else Prediction(scores=scores)

    def _levels(self, done: frozenset[Cause]) -> NDArray[np.float32]:
        """Levels [H,W,C] of the network's picture, RGB or grey; the picture itself where the graph is to get that."""
        if self.models.shipped.resizing is not None and Cause.FRAMING in done:
            return self.pixels.astype(np.float32)
        placement = self.placement(done)
        network = self.models.shipped.loaded.engine.network
        grey = network.channels == 1 and Cause.LUMA not in done
        if Cause.INTERPOLATION in done:
            part = self.pixels[placement.source]
            part = luma(part)[..., None] if grey else part
            levels = interpolate(part, placement.width, placement.height)
        else:
            levels = scale(self.pixels, placement, self.models.shipped.loaded.prepare.scaling_filter, grey=grey)
        whole = np.zeros((network.height, network.width, network.channels), np.float32)
        whole[placement.target] = _in_channels(levels, network.channels)
        return whole

    def _network(self, done: frozenset[Cause]) -> dict[str, NDArray[Any]]:
        """Outputs by name, the raw ones among them where Edge Impulse's rules need them."""
        shipped = self.models.shipped
        if Cause.MODEL in done or not self._fits(done):
            return shipped.behind(self._outputs_of_original(done, encoded=True))
        tensor, raw = self._tensor(done), not done.isdisjoint({Cause.MERGE, Cause.SCORE})
        key = _digest(tensor)
        found = self._outputs.get(key)
        if found is None or (raw and not found.keys() >= set(shipped.raw)):
            found = self._outputs[key] = shipped(tensor, raw=raw)
        return found

    def _fits(self, done: frozenset[Cause]) -> bool:
        """Whether the network can take what it is to get: a graph that resizes has one way for one size."""
        resizing = self.models.shipped.resizing
        if resizing is None or Cause.FRAMING not in done:
            return True
        height, width = self.pixels.shape[:2]
        wanted = place_as_sdk(width, height, resizing.model, self.models.edge_impulse.resize_mode)
        return resizing.placement == wanted

    def _outputs_of_original(self, done: frozenset[Cause], *, encoded: bool) -> list[NDArray[np.float32]]:
        """Of the original; of an SSD `encoded` or as its last operator gives them."""
        spec, original = head(self.models.edge_impulse.task), self.models.edge_impulse.original
        encoded = encoded and spec.is_cut
        digest, picture = self._kept.get(done), None
        if digest is None:
            picture = self.original_input(done)
            digest = _digest(picture)
        if (digest, encoded) not in self._original_outputs:
            picture = self.original_input(done) if picture is None else picture
            self._original_outputs[digest, encoded] = original.outputs(picture[None], encoded=encoded)
        return self._original_outputs[digest, encoded]

    def keep(self, done: frozenset[Cause], picture: NDArray[np.float32], outputs: list[NDArray[np.float32]]) -> None:
        """What the original gave for its input with `done`, each [1,...]: it need not run for that again."""
        self._kept[done] = _digest(picture)
        self._original_outputs[self._kept[done], False] = outputs

    def _tensor(self, done: frozenset[Cause]) -> NDArray[np.float32]:
        """The network's input, [C,H,W] or [H,W,C]."""
        levels = self._levels(done)
        prepare, expected = self.models.shipped.loaded.prepare, self.models.shipped.expected
        swapped = expected.color == "BGR" if Cause.COLOUR in done else prepare.color is ColorFormat.BGR
        pixels = levels[..., ::-1] if swapped else levels
        tensor = np.array(pixels if prepare.channels_last else pixels.transpose(2, 0, 1), np.float32, order="C")
        if Cause.SCALING not in done:
            mean, factor = prepare.mean, prepare.scale
        else:
            offsets = np.array(expected.offsets or (0,), np.float32)
            mean = offsets if prepare.channels_last else offsets[:, None, None]
            factor = np.float32(expected.net_scale_factor)
        if mean is not None:
            tensor -= mean
        tensor *= factor
        return tensor

    def original_input(self, done: frozenset[Cause]) -> NDArray[np.float32]:
        """Levels [h,w,C] that give the original what the ONNX model would get."""
        high, wide, channels = self.models.edge_impulse.original.size
        shipped = self.models.shipped
        if shipped.resizing is None:
            levels = self._given_levels(done)
            part = levels[shipped.top : shipped.top + high, shipped.left : shipped.left + wide]
            return np.ascontiguousarray(part)
        mode = self.models.edge_impulse.resize_mode if Cause.FRAMING in done else shipped.resizing.mode
        pixels = np.clip(np.rint(self._given_levels(done)), 0, 255).astype(np.uint8)
        return _in_channels(as_sdk(pixels, (wide, high), mode), channels).astype(np.float32)

    def _given_levels(self, done: frozenset[Cause]) -> NDArray[np.float32]:
        """Levels [H,W,C] of the network's picture, RGB or grey, that have the values which nvinfer gives it."""
        levels = self._levels(done)
        if {Cause.COLOUR, Cause.SCALING} <= done | ({Cause.COLOUR} if levels.shape[2] == 1 else set()):
            return levels
        prepare, expected = self.models.shipped.loaded.prepare, self.models.shipped.expected
        tensor = self._tensor(done)
        pixels = tensor if prepare.channels_last else tensor.transpose(1, 2, 0)
        offsets = np.array(expected.offsets or (0,), np.float32)
        pixels = pixels / np.float32(expected.net_scale_factor) + offsets
        return pixels[..., ::-1] if expected.color == "BGR" else pixels


def _in_channels(levels: NDArray[np.uint8], channels: int) -> NDArray[Any]:
    """Levels [H,W,channels] of RGB or grey ones; grey with its fractions, as Edge Impulse makes it of RGB."""
    return levels if levels.shape[2] == channels else sdk_luma(levels)
