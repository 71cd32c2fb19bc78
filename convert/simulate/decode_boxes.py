"""Boxes on their way through decoding, as arrays, and the record of those that fall out and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Boxes", "Drop", "Dropped"]

# What is said for a key; {value} is the candidate's number, {limit} the key's.
_WORDS = {
    "num-detected-classes": "class {value} is not below num-detected-classes={limit}",
    "num_detections": "number {value}, and num_detections is {limit}",
    "box": "the box is empty or lies outside of the network's picture",
    "keep_top_k": "number {value}; the parser stops at {limit}",
    "pre-cluster-threshold": "confidence {value} is below pre-cluster-threshold={limit}",
    "post-cluster-threshold": "confidence {value} is not above post-cluster-threshold={limit}",
    "nms-iou-threshold": "a better box overlaps by {value}, nms-iou-threshold={limit}",
    "topk": "number {value} of its class, topk={limit}",
    "filter-out-class-ids": "class {value} is in filter-out-class-ids",
    "detected-min-w": "{value} pixels wide, detected-min-w={limit}",
    "detected-min-h": "{value} pixels high, detected-min-h={limit}",
    "detected-max-w": "{value} pixels wide, detected-max-w={limit}",
    "detected-max-h": "{value} pixels high, detected-max-h={limit}",
    "roi-top-offset": "its top {value} is above roi-top-offset={limit}",
    "roi-bottom-offset": "its bottom {value} is below {limit}: the frame's height less roi-bottom-offset",
    "classifier-threshold": "probability {value} is not above classifier-threshold={limit}",
    "labelfile-path": "the label file has no label for class {value} in line {limit}",
}


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Candidates or objects in list order: class ids (uint32), left, top, width, height and confidence (float32)."""

    class_id: NDArray[np.uint32]
    left: NDArray[np.float32]
    top: NDArray[np.float32]
    width: NDArray[np.float32]
    height: NDArray[np.float32]
    confidence: NDArray[np.float32]

    @classmethod
    def none(cls) -> Boxes:
        """No boxes."""
        nothing = np.zeros(0, np.float32)
        return cls(np.zeros(0, np.uint32), nothing, nothing, nothing, nothing, nothing)

    @classmethod
    def joined(cls, parts: list[Boxes]) -> Boxes:
        """One behind the other."""
        if not parts:
            return cls.none()
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.class_id for part in parts]),
            np.concatenate([part.left for part in parts]),
            np.concatenate([part.top for part in parts]),
            np.concatenate([part.width for part in parts]),
            np.concatenate([part.height for part in parts]),
            np.concatenate([part.confidence for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.class_id)

    def __getitem__(self, index: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Boxes:
        """Those of a mask, or at these positions, in this order."""
        return Boxes(
            self.class_id[index],
            self.left[index],
            self.top[index],
            self.width[index],
            self.height[index],
            self.confidence[index],
        )


@dataclass(frozen=True, slots=True)
class Drop:
    """One candidate that was not shown.

    Attributes:
        key: the key of the config that decided, or what else did: "box" (no area), "num_detections" (the model's own
            count), "keep_top_k" (a constant of the parser).
        value: the candidate's number the key was compared with; `limit`: the key's.
        class_id, confidence: of the candidate.
        left, top, width, height: its box, in network pixels when decoding dropped it, in pixels of the frame when
            attaching did; 0 for a classifier's.
    """

    key: str
    value: float
    limit: float
    class_id: int
    confidence: float
    left: float = 0.0
    top: float = 0.0
    width: float = 0.0
    height: float = 0.0

    @property
    def why(self) -> str:
        """`confidence 0.18 is below pre-cluster-threshold=0.2`."""
        return _WORDS[self.key].format(value=f"{self.value:.6g}", limit=f"{self.limit:.6g}")


@dataclass(slots=True)
class Dropped:
    """Collects what falls out of one frame. Parsers and filters get one only when somebody asks why."""

    _groups: list[tuple[str, Boxes, NDArray[np.float64], NDArray[np.float64]]] = field(default_factory=list)

    def add(
        self, key: str, boxes: Boxes, value: NDArray[np.generic] | float, limit: NDArray[np.generic] | float
    ) -> None:
        """`boxes` fell out because of `key`; `value` and `limit` are single numbers or one for each box."""
        if len(boxes):
            values = np.broadcast_to(np.asarray(value, np.float64), len(boxes))
            limits = np.broadcast_to(np.asarray(limit, np.float64), len(boxes))
            self._groups.append((key, boxes, values, limits))

    def __len__(self) -> int:
        return sum(len(boxes) for _, boxes, _, _ in self._groups)

    def best(
        self, count: int = 10, *, without: frozenset[str] = frozenset(), only: frozenset[str] | None = None
    ) -> tuple[Drop, ...]:
        """The `count` most confident ones, best first; among equals the one that came further.

        `without` and `only` are keys that are left out, or alone looked at.
        """
        found = [
            Drop(key, float(value[i]), float(limit[i]), int(boxes.class_id[i]), *_numbers(boxes, i))
            for key, boxes, value, limit in reversed(self._groups)
            if key not in without and (only is None or key in only)
            for i in _most_confident(boxes.confidence, count)
        ]
        return tuple(sorted(found, key=_rank)[:count])

    def keys(self) -> dict[str, int]:
        """How many fell out by each key, in the order of the steps."""
        counts: dict[str, int] = {}
        for key, boxes, _, _ in self._groups:
            counts[key] = counts.get(key, 0) + len(boxes)
        return counts


def _most_confident(confidence: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    order: NDArray[np.intp] = np.argsort(-confidence, kind="stable")[:count]  # NaN last
    return order


def _numbers(boxes: Boxes, i: int) -> tuple[float, float, float, float, float]:
    return (
        float(boxes.confidence[i]),
        float(boxes.left[i]),
        float(boxes.top[i]),
        float(boxes.width[i]),
        float(boxes.height[i]),
    )


def _rank(drop: Drop) -> tuple[bool, float]:
    return drop.confidence != drop.confidence, -drop.confidence  # NaN last
