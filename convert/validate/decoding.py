"""Holds a detector's shipped outputs against its raw ones, which stay inside the graph under the names below.

Parity is measured on the raw outputs: what comes behind them has steps (the best class, the highest cell), across
which no tolerance makes sense. What comes behind them is compared with `convert.validate.tails` instead, on the same
raw values, so that only the last bits of exp and sigmoid may differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.artifacts import Task
from convert.validate import tails
from convert.validate.findings import DECODING, PLACES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.findings import Finding
    from convert.validate.tails import Network

__all__ = ["TOLERANCE", "Comparable", "Decoding", "comparable", "raw_names", "with_raw"]

TOLERANCE = 1e-5
"""Times the value, where that is above 1: a few units in the last place of float32."""

_RAW = ("raw_heat_map", "raw_candidates", "raw_boxes", "raw_scores")
_UNIT = np.float32(35)  # pixels that DetectNet's boxes are measured in
_SPREAD = (0.1, 0.9)  # where the middle of all candidates' centres can be, in shares of the picture

_BEFORE_CLASSES = {
    **dict.fromkeys((Task.YOLOV5, Task.YOLOV5_DRPAI, Task.YOLOX), 5),
    **dict.fromkeys((Task.YOLO_PRO, Task.YOLOV11, Task.YOLOV11_ABS), 4),
    **dict.fromkeys((Task.TAO_YOLOV3, Task.TAO_YOLOV4), 11),
}


def raw_names(model: bytes) -> tuple[str, ...]:
    """The raw outputs that the graph of a detector goes on behind, in the original's order; none for a classifier."""
    import onnx  # noqa: PLC0415 - heavy; importing this module must stay light

    made = {name for node in onnx.load_model_from_string(model).graph.node for name in node.output}
    return tuple(name for name in _RAW if name in made)


def with_raw(model: bytes) -> bytes:
    """The model with its raw outputs among its outputs, behind the others."""
    import onnx  # noqa: PLC0415 - as above

    proto = onnx.load_model_from_string(model)
    proto.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in raw_names(model)
    )
    return bytes(proto.SerializeToString())


@dataclass(frozen=True)
class Comparable:
    """Raw outputs as parity compares them: one array for boxes (none of FOMO), one for class scores [n, ..., classes].

    Boxes are measured so that one tolerance suits all models: in shares of the picture, or of an anchor; and where they
    are larger than that, in shares of the original's value. A YOLO can well say that a box is nine pictures wide: the
    parser clips it, and LiteRT's own kernels differ by 1.7e-4 there (yolov5-160x160x3-f16 on white).
    """

    original: list[NDArray[Any]]
    candidate: list[NDArray[Any]]
    ranked: list[bool]


def comparable(network: Network, original: Sequence[NDArray[Any]], raw: Sequence[NDArray[Any]]) -> Comparable:
    """`original`: the original's outputs; `raw`: the graph's raw ones, whose heat maps are NCHW."""
    if network.head.task is Task.FOMO:
        return Comparable(list(original), [values.transpose(0, 2, 3, 1) for values in raw], [True])
    (boxes, scores), (other_boxes, other_scores) = _parts(network, original), _parts(network, raw)
    with np.errstate(invalid="ignore"):  # infinity is parity's to find
        measure = np.maximum(1, np.abs(boxes))
        return Comparable([boxes / measure, scores], [other_boxes / measure, other_scores], [False, True])


def _parts(network: Network, raw: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Boxes, with what belongs to them, and class scores."""
    task = network.head.task
    if task is Task.SSD:
        assert network.anchors is not None
        boxes, scores = raw
        scales = np.ones(boxes.shape[-1], np.float32)
        scales[:4] = network.anchors.scales
        return boxes / scales, scores
    (rows,) = raw
    if task in {Task.YOLOV11, Task.YOLOV11_ABS}:
        rows = rows.transpose(0, 2, 1)
    if task in {Task.TAO_RETINANET, Task.TAO_SSD}:
        return rows[..., -12:], rows[..., :-12]
    others, classes = np.split(rows, [_BEFORE_CLASSES[task]], axis=2)
    if network.head.coordinates == "pixels":
        others = np.concatenate([others[..., :4] / np.tile(network.size, 2), others[..., 4:]], axis=2)
    return others, classes


@dataclass
class Decoding:
    """What is known after any number of inputs."""

    network: Network
    difference: float = field(default=0.0, init=False)
    _where: str = field(default="", init=False)
    _labels: int = field(default=0, init=False)
    _middles: list[NDArray[Any]] = field(default_factory=list, init=False)

    def add(self, names: Sequence[str], raw: Sequence[NDArray[Any]], shipped: Sequence[NDArray[Any]]) -> None:
        """The outputs [n, ...] of one model for the n inputs called `names`: `raw` ones and those `shipped`."""
        with np.errstate(over="ignore", invalid="ignore"):  # infinite raw outputs are parity's to find
            if self.network.head.task is Task.FOMO:
                wanted, found = self._fomo(raw, shipped)
            else:
                wanted, found = self._candidates(raw, shipped)
            for left, right in zip(wanted, found, strict=True):
                self._compare(names, left, right)

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, worst first."""
        found = []
        if self._labels or self.difference > TOLERANCE:
            label = f", {self._labels} of the classes differ" if self._labels else ""
            message = (
                f"the decoded outputs differ by up to {self.difference:.3g} from what the raw ones mean{label}, first "
                f"on {self._where!r}"
            )
            found.append(DECODING.found(message, hint=DECODING.fix))
        if self._middles:
            middle = np.median(np.concatenate(self._middles), axis=0)
            if not ((middle > _SPREAD[0]) & (middle < _SPREAD[1])).all():
                y, x = middle
                message = f"half of all candidate boxes lie beyond ({x:.3g}, {y:.3g}) of the picture's width and height"
                found.append(PLACES.found(message, hint=PLACES.fix))
        return tuple(found)

    def _fomo(
        self, raw: Sequence[NDArray[Any]], shipped: Sequence[NDArray[Any]]
    ) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        (heat,), (cover, boxes) = raw, shipped
        wanted = tails.heat(heat, self.network.head.merge)
        cells = tails.cells(self.network, *heat.shape[2:])
        centres = tails.centres(self.network, *heat.shape[2:])
        # as the parser reads them: back from the centre, or on from it
        numbers = boxes.reshape(len(boxes), -1, 4, *heat.shape[2:])
        edges = np.concatenate([centres - numbers[:, :, :2] * _UNIT, centres + numbers[:, :, 2:] * _UNIT], axis=2)
        return [wanted, np.broadcast_to(cells / _UNIT, edges.shape)], [cover, edges / _UNIT]

    def _candidates(
        self, raw: Sequence[NDArray[Any]], shipped: Sequence[NDArray[Any]]
    ) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        wanted = tails.read(self.network, list(raw))
        boxes, scores, classes = shipped
        self._labels += int((wanted.classes != classes).sum())
        self._middles.append(np.median((wanted.boxes[..., :2] + wanted.boxes[..., 2:]) / 2, axis=1))
        return [wanted.boxes, wanted.scores], [boxes, scores]

    def _compare(self, names: Sequence[str], left: NDArray[Any], right: NDArray[Any]) -> None:
        """NaN and infinity in the same places are equal."""
        difference = np.abs(left - right) / np.maximum(1, np.abs(left))
        difference = np.where((left == right) | (np.isnan(left) & np.isnan(right)), 0, difference)
        rows = np.nan_to_num(difference, nan=np.inf).reshape(len(names), -1).max(axis=1)
        if rows.max() > self.difference:
            self.difference, self._where = float(rows.max()), names[int(rows.argmax())]
