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
from convert.onnx_header import parse_header
from convert.validate import tails
from convert.validate.findings import DECODING, PLACES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.findings import Finding
    from convert.validate.tails import Network

__all__ = ["TOLERANCE", "Comparable", "Decoding", "as_original", "comparable", "raw_names", "with_raw"]

TOLERANCE = 1e-5
"""Times the value, where that is above 1: a few units in the last place of float32."""

_RAW = ("raw_heat_map", "raw_candidates", "raw_boxes", "raw_scores")
_UNIT = np.float32(35)  # pixels that DetectNet's boxes are measured in
# Where the middle of all candidates' centres can be, in shares of the picture: about 0.5, unless pixels are taken for
# shares (16 or more) or shares for pixels (0.03 or less, from 16 pixels on).
_SPREAD = (0.04, 2.0)


def raw_names(model: bytes) -> tuple[str, ...]:
    """The raw outputs that the graph of a detector goes on behind, in the original's order; none for a classifier."""
    made = {name for node in parse_header(model).nodes for name in node.outputs}
    return tuple(name for name in _RAW if name in made)


def with_raw(model: bytes) -> bytes:
    """The model with its raw outputs among its outputs, behind the others."""
    import onnx  # noqa: PLC0415 - heavy; importing this module must stay light

    proto = onnx.load_model_from_string(model)
    proto.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in raw_names(model)
    )
    return bytes(proto.SerializeToString())


@dataclass(frozen=True)
class Comparable:
    """What parity compares of a detector: arrays of numbers from 0 to 1, and which of them are classes' [n, ..., C].

    Of FOMO the heat map. Of others what the network says of each class and of there being an object, and its boxes,
    decoded, in shares of the picture and clipped to it. Decoding has no steps; before it numbers have units of all
    kinds, and a box may be nine pictures wide, where LiteRT's own kernels differ by 1.7e-4 (yolov5-160x160x3-f16 on
    white) or more (1e-3 in the codes of ssd-320x320x3-int8).
    """

    arrays: list[NDArray[Any]]
    ranked: list[bool]


def comparable(network: Network, raw: Sequence[NDArray[Any]]) -> Comparable:
    """Of raw outputs in the original's layout, that is with heat maps NHWC."""
    if network.head.task is Task.FOMO:
        return Comparable(list(raw), [True])
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is parity's to find
        found = tails.read(network, list(raw))
    objectness = [] if found.objectness is None else [found.objectness]
    return Comparable(
        [np.clip(found.boxes, 0, 1), found.of_classes, *objectness], [False, True, *(False for _ in objectness)]
    )


def as_original(network: Network, raw: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """The graph's raw outputs, whose heat maps are NCHW, in the original's layout."""
    return [values.transpose(0, 2, 3, 1) for values in raw] if network.head.task is Task.FOMO else list(raw)


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
            if not _SPREAD[0] < middle.max() < _SPREAD[1]:
                y, x = middle
                message = (
                    f"the middle of all candidate boxes is at ({x:.3g}, {y:.3g}) of the picture's width and height"
                )
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
        found = tails.read(self.network, list(raw))
        self._middles.append(np.median((found.boxes[..., :2] + found.boxes[..., 2:]) / 2, axis=1))
        boxes, scores, classes = shipped
        wanted = tails.shipped(self.network, found, scores.shape[1])
        self._labels += int((wanted.labels != classes).sum())
        if self.network.head.overlap is not None:
            scores = np.where(np.isnan(wanted.scores), np.nan, scores)
        return [tails.placed(self.network, wanted.boxes), wanted.scores], [boxes, scores]

    def _compare(self, names: Sequence[str], left: NDArray[Any], right: NDArray[Any]) -> None:
        """NaN and infinity in the same places are equal."""
        difference = np.abs(left - right) / np.maximum(1, np.abs(left))
        difference = np.where((left == right) | (np.isnan(left) & np.isnan(right)), 0, difference)
        rows = np.nan_to_num(difference, nan=np.inf).reshape(len(names), -1).max(axis=1)
        if rows.max() > self.difference:
            self.difference, self._where = float(rows.max()), names[int(rows.argmax())]
