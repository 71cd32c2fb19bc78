"""DeepStream's side of a comparison, and a detector's outputs decoded by either side's rules.

The engine has the ONNX model that `convert` shipped. The graph of a detector that `convert` made continues after the
network's own outputs, which keep a name inside it (`convert.validate.comparison`). So one network can be decoded by
both sides' rules, and the graph's end can be run on the original's outputs.

`done`, in `ModelPair` and in `convert.compare.ablation`, are the causes that are done as Edge Impulse does them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.compare import Cause, ComparedObject
from convert.errors import InputError, ValidationError
from convert.graph.preprocessing import preprocessing
from convert.heads import head
from convert.heads.base import Rules
from convert.heads.boxes import RAW
from convert.images import Frame, ResizeMode
from convert.images.resizing import Resizing
from convert.images.scaling import Placement, Rect
from convert.simulate.decode import Detected, Detection, attach, decode
from convert.simulate.parsers import Layer
from convert.simulate.settings import ClassSettings, ClusterMode, NetworkType, Settings
from convert.validate import runtimes
from convert.validate.comparison import raw_names, with_raw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert import types
    from convert.compare.edge_impulse import EdgeImpulseModel
    from convert.report import OnnxMetadata
    from convert.simulate.engine import LoadedEngine

_SAME_SHAPE = 0.01  # less than sizes are rounded by: 1366x768 is 16:9


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

    @cached_property
    def recorded(self) -> OnnxMetadata:
        """What `convert` recorded in the model."""
        return self.loaded.engine.recorded

    @cached_property
    def inside(self) -> tuple[float, float, float, float]:
        """Where the original's picture begins in the network's, and how many of its pixels one of the original has."""
        if self.resizing is None:
            return self.left, self.top, 1.0, 1.0
        left, top, width, height = self.resizing.inside
        return left, top, width / self.resizing.model[0], height / self.resizing.model[1]

    def resizes_as(self, theirs: EdgeImpulseModel, width: int, height: int) -> bool:
        """Whether only the device's scaling keeps the graph from seeing frames of that shape as Edge Impulse does."""
        network = self.loaded.engine.network
        alike = abs(width * network.height / (height * network.width) - 1) < _SAME_SHAPE
        known = self.resizing and (self.resizing.mode, self.resizing.anchor)
        alike |= self.resizing is not None and self.resizing.takes_any_shape
        return alike and known == (theirs.resize_mode, theirs.anchor)

    @property
    def score(self) -> str:
        """What a YOLO's scores are, as the ONNX model records it: "product" or "objectness"."""
        return self.recorded.score or "product"

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
        message = (
            f"network-type={int(engine.settings.network_type)}, and the original is of the kind {edge_impulse.task}"
        )
        raise InputError(message, path=engine.config, hint="0 is for detectors, 1 for classifiers")
    height, width, channels = edge_impulse.original.size
    network = engine.network
    known = replace(edge_impulse.export.metadata, image_scaling=edge_impulse.original.scaling)
    export, resizing = replace(edge_impulse.export, metadata=known), None
    if engine.recorded.resize is None:
        across, down = network.width - width, network.height - height
        expected, _ = preprocessing(export)
    else:
        size = network.width, network.height
        frame = engine.recorded.frame or Frame(*size, in_pixels=True)
        mode = engine.recorded.resize_mode or ResizeMode.SQUASH
        resizing = Resizing(frame, engine.recorded.resize, mode, anchor=engine.recorded.anchor, scaled=size)
        across, down = engine.recorded.resize[0] - width, engine.recorded.resize[1] - height
        expected, _ = preprocessing(export, Frame(*size, in_pixels=True), resize="graph")
        channels = 3
    if network.channels != channels or across < 0 or down < 0:
        raise InputError(
            f"the network takes {network.width}x{network.height} pixels with {network.channels} channels, the original "
            f"{width}x{height} with {channels}",
            path=engine.model, hint="compare with the original of the same project and version",
        )  # fmt: skip
    raw = raw_names(engine.model.read_bytes()) if detects else ()
    left, top = (int(size * share) for size, share in zip((across, down), engine.recorded.anchor, strict=True))
    return ShippedModel(
        loaded, edge_impulse.task, expected, raw, left, top, resizing,
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
    """The two models of a comparison; decodes a detector's outputs by either side's rules."""

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
        return _kept([self._detection(self._enlarged(box), inside=True) for box in found], settings)

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
        if Cause.LIMITS in done:  # Gst-nvinfer leaves out a box that ends in the black bar below
            known = [_in_picture(one, placement) for one in known]
        parent = Rect(placement.left, placement.top, 0, 0)
        labels = self.edge_impulse.original.labels
        objects = []
        for one in attach(settings, placement.view, known, parent=parent):
            theirs = Cause.LABELS in done and one.class_id < len(labels)
            label, box = labels[one.class_id] if theirs else one.label, Rect(one.left, one.top, one.width, one.height)
            objects.append(ComparedObject(one.class_id, label or "", one.confidence, box))
        return tuple(sorted(objects, key=lambda one: -one.score))

    def _settings(self, done: frozenset[Cause]) -> Settings:
        settings = self.shipped.loaded.engine.settings
        if Cause.LIMITS in done:
            settings = _without_limits(settings, len(self.edge_impulse.original.labels))
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
            limits=self.shipped.limits, coordinates=self.shipped.recorded.coordinates,
        )  # fmt: skip
        boxes = spec.decode_shipped(given, rules)["bounding_boxes"]
        return _kept([self._detection(self._enlarged(box) if raw else box, inside=raw) for box in boxes], settings)

    def _enlarged(self, box: Mapping[str, Any]) -> Mapping[str, Any]:
        """A box of Edge Impulse's, as large as the graph of a FOMO model makes it at least: that was asked for."""
        cells = self.shipped.recorded.box
        if cells is None:
            return box
        grown = dict(box)
        _, rows, columns, _ = self.edge_impulse.export.facts.outputs[0].shape
        height, width, _ = self.edge_impulse.original.size
        for start, size, whole, count in (("x", "width", width, columns), ("y", "height", height, rows)):
            middle = box[start] + box[size] / 2
            half = max(box[size] / 2, min(cells * whole / (count or whole) / 2, middle, whole - middle))
            grown[start], grown[size] = middle - half, 2 * half
        return grown

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


def _without_limits(settings: Settings, classes: int) -> Settings:
    """Nothing is left out for its size, place, class or number; every one of `classes` has a setting.

    Boxes are cut off at the frame's border: one that ends below it, by a rounded float32 even, would be left out.
    """
    known = settings.classes or (ClassSettings(0.2),)
    padded = (*known, *([known[-1]] * (classes - len(known))))
    kept = ("pre_cluster_threshold", "post_cluster_threshold", "nms_iou_threshold", "min_boxes")
    free = tuple(ClassSettings(**{name: getattr(one, name) for name in kept}) for one in padded)
    return replace(settings, classes=free, filter_out_class_ids=frozenset(), crop_to_roi=True)


def _in_picture(found: Detection, placement: Placement) -> Detection:
    """Without what lies in black bars; both in pixels of the network's picture."""
    left, top = placement.view.offset_left, placement.view.offset_top
    x, y = max(found.left, left), max(found.top, top)
    width = min(found.left + found.width, left + placement.width) - x
    height = min(found.top + found.height, top + placement.height) - y
    return replace(found, left=x, top=y, width=max(width, 0.0), height=max(height, 0.0))


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
