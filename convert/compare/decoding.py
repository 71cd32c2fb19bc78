"""A detector's outputs as objects, each step of the decoding by either side's rules.

`done`, here and in `convert.compare.ablation`, are the causes that are done as Edge Impulse does them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.compare import Cause, ComparedObject
from convert.errors import InputError
from convert.heads import head
from convert.heads.base import Rules
from convert.heads.boxes import RAW
from convert.images.scaling import Placement, Rect
from convert.simulate.decode import Detected, Detection, attach, decode
from convert.simulate.parsers import Layer
from convert.simulate.settings import ClassSettings, ClusterMode, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from convert.compare.edge_impulse_model import EdgeImpulseModel
    from convert.compare.shipped import ShippedModel


__all__ = ["ModelPair"]


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


def _without_limits(settings: Settings, classes: int) -> Settings:
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
