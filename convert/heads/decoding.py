"""What a detector's outputs mean, in NumPy on float32, in two independent parts.

**Reference decoders** (`ReferenceDecoder`, `Detections`), for the comparison with the graph only. Ends of graphs are
built from ONNX operators; the references, `read` of each head and what they share here, are written from the sources
(Edge Impulse's SDK and TFLite's post-processing operator), and share nothing with the graph: the shipped model must
give what they give on the same raw outputs.

**Edge Impulse's own decoding** (from `Box` on): how its C++ SDK turns a model's outputs into results
(ei_fill_result_struct.h, ei_nms.h): scores as they are; FOMO cells at or above the threshold, merged with the ones of
their label they touch; YOLOv5 by objectness and YOLOX by its product with the class, with a non-maximum suppression
over all labels; other rows of candidates with one for each label; SSD as its last operator gave it. Boxes are whole
pixels of the model's input, cut off, not rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from convert import errors, images, types
from convert.heads.boxes import OUTPUTS, OVERLAP

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.heads.base import Rules

    Float = NDArray[np.float32]

ROUNDS = 16
"""How often a graph that suppresses boxes itself computes which of them are still there to suppress others."""


# Reference decoders


@dataclass(frozen=True, slots=True)
class Decoded:
    """Raw outputs by the reference, beside what the graph made of them.

    Attributes:
        wanted, found: arrays [n, ...] in pairs, of the reference and of the graph.
        labels: how many of the candidates' classes differ.
        middles: [n,2], the median of all candidates' centres (y, x) in shares of the picture; empty where they are
            fixed.
    """

    wanted: list[NDArray[Any]]
    found: list[NDArray[Any]]
    labels: int = 0
    middles: tuple[NDArray[Any], ...] = ()


@dataclass(frozen=True, eq=False)
class Anchors:
    """Of an SSD: float32 [A,4] (y, x, height, width), and what encoded values are divided by."""

    places: Float
    scales: tuple[float, float, float, float]


@dataclass(frozen=True)
class ReferenceDecoder:
    """What heads' references share, and what their arithmetic depends on.

    Attributes:
        head: what the outputs mean.
        width, height: pixels of the picture that the original takes.
        anchors: of an SSD.
        framing: where in a larger picture that one lies, for a model that crops.
    """

    head: types.Head
    width: int
    height: int
    anchors: Anchors | None = None
    framing: images.Framing | None = None

    @property
    def size(self) -> Float:
        """(width, height)."""
        return np.array([self.width, self.height], np.float32)

    @property
    def whole(self) -> tuple[int, int]:
        """Width and height of the picture that nvinfer makes."""
        return self.framing.network if self.framing else (self.width, self.height)

    @staticmethod
    def around(centre: Float, size: Float) -> tuple[Float, Float]:
        """Corners of boxes given by centre and size."""
        half = size * np.float32(0.5)
        return centre - half, centre + half

    @staticmethod
    def sigmoid(values: Float) -> Float:
        """1 / (1 + e^-x)."""
        return np.float32(1) / (np.float32(1) + np.exp(-values))

    def in_shares(self, corners: tuple[Float, Float]) -> tuple[Float, Float]:
        """Corners (x, y) in shares of the picture."""
        low, high = corners
        return (low / self.size, high / self.size) if self.head.coordinates == "pixels" else (low, high)

    def detections(self, low: Float, high: Float, classes: Float, objectness: Float | None = None) -> Detections:
        """Of corners as (x, y), in shares, [n,A,2], `classes` [n,A,C] and `objectness` [n,A,1], both 0..1."""
        score = classes.max(axis=2)
        if objectness is not None:
            score = objectness[..., 0] if self.head.score == "objectness" else objectness[..., 0] * score
        boxes = np.stack([low[..., 1], low[..., 0], high[..., 1], high[..., 0]], axis=2)
        return Detections(boxes, score, classes.argmax(axis=2).astype(np.float32), classes, objectness)

    def compared(self, low: Float, size: Float, *, rounds: bool = False) -> Float:
        """Whole pixels from the left top corner, never above 0 of it, on; only rows in pixels end with the picture.

        Args:
            rounds: as for YOLOX: sizes are rounded and end nowhere, only corners lie in the picture.
        """
        start, size = np.maximum(low, np.float32(0)), np.maximum(size, np.float32(0))
        if self.head.coordinates == "relative":
            start, size = start * self.size, size * self.size
        if rounds:
            start, size = np.minimum(start, self.size), size + np.float32(0.5)
        elif self.head.coordinates == "pixels":
            size = np.maximum(np.minimum(size, self.size - start), np.float32(0))
        start, size = np.trunc(start), np.trunc(size)
        return np.concatenate([start[..., ::-1], (start + size)[..., ::-1]], axis=-1)

    def decoded(self, found: Detections, given: Sequence[NDArray[Any]]) -> Decoded:
        """Candidates of the reference beside boxes, scores and classes `given` by the graph."""
        middle = np.median((found.boxes[..., :2] + found.boxes[..., 2:]) / 2, axis=1)
        boxes, scores, classes = given
        wanted = self.shipped(found, scores.shape[1])
        if self.head.overlap is not None:
            scores = np.where(np.isnan(wanted.scores), np.nan, scores)
        differ = int((wanted.labels != classes).sum())
        return Decoded([self.placed(wanted.boxes), wanted.scores], [boxes, scores], differ, (middle,))

    def shipped(self, found: Detections, count: int) -> Detections:
        """What of `found` the graph gives, `count` candidates: each of them, or each of them once for each class.

        Where it drops overlapping boxes itself, that is the `count` best, in whole pixels, the dropped ones at -1.
        What it would take more than `ROUNDS` rounds to find out it may keep or drop: there the score is NaN.
        """
        limit = self.head.overlap
        if limit is None:
            is_each = found.scores.shape[1] < count == found.of_classes[0].size
            return found.each_class() if is_each else found
        best = found.best(count)
        assert best.compared is not None
        scores = best.scores.copy()
        for picture, boxes in enumerate(best.compared):
            kept = np.zeros(len(boxes), np.bool_)
            settled = np.zeros(len(boxes), np.intp)  # the round after which it stays so
            much = _overlaps(boxes) >= np.float32(limit)
            for number in range(len(boxes)):
                better = much[number, :number]
                droppers = better & kept[:number]
                kept[number] = not droppers.any()
                if not kept[number]:
                    settled[number] = 1 + settled[:number][droppers].min()
                elif better.any():
                    settled[number] = 1 + settled[:number][better].max()
            scores[picture, ~kept] = -1
            scores[picture, settled > ROUNDS] = np.nan
        edges = np.array([self.height, self.width] * 2, np.float32)
        return replace(best, boxes=(best.compared / edges).astype(np.float32), scores=scores)

    def placed(self, boxes: Float) -> Float:
        """`boxes` [n,A,4] of the original's picture in shares of nvinfer's, cut off where the original's ends."""
        if self.framing is None or not self.framing.crops:
            return boxes
        wide, high = self.whole
        left, top, width, height = self.framing.inside
        inside = np.clip(boxes, 0, 1) * np.array([height / high, width / wide] * 2)
        moved: Float = (inside + np.array([top / high, left / wide] * 2)).astype(np.float32)
        return moved


@dataclass(frozen=True, eq=False)
class Detections:
    """Of n pictures, A candidates each.

    Attributes:
        boxes: [n,A,4], top, left, bottom, right in shares of the picture.
        scores: [n,A], what is reported.
        labels: [n,A], the best class.
        of_classes: [n,A,C], the network's score of each class, 0..1.
        objectness: [n,A,1]; None where there is none.
        compared: [n,A,4], top, left, bottom, right in pixels of the original's picture, as Edge Impulse's SDK
            compares and reports them; None where it does so with classes apart.
    """

    boxes: Float
    scores: Float
    labels: Float
    of_classes: Float
    objectness: Float | None
    compared: Float | None = None

    def comparable(self) -> tuple[list[NDArray[Any]], list[bool]]:
        """What parity compares, and which of it are classes'.

        The network's scores of each class and of there being an object, and its boxes, decoded, in shares of the
        picture and clipped to it. Decoding has no steps; before it numbers have units of all kinds, and a box may be
        nine pictures wide, where LiteRT's own kernels differ by 1.7e-4 (yolov5-160x160x3-f16 on white) or more (1e-3
        in the codes of ssd-320x320x3-int8).
        """
        objectness = [] if self.objectness is None else [self.objectness]
        arrays = [np.clip(self.boxes, 0, 1), self.of_classes, *objectness]
        return arrays, [False, True, *(False for _ in objectness)]

    def prediction(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The highest score of each class [n,C], and the box [n,4] of the highest of all: left, top, right, bottom."""
        sure = self.of_classes if self.objectness is None else self.of_classes * self.objectness
        best = sure.max(axis=2).argmax(axis=1)
        top, left, bottom, right = np.moveaxis(self.boxes[np.arange(len(best)), best], 1, 0)
        return sure.max(axis=1), np.stack([left, top, right, bottom], axis=1)

    def each_class(self) -> Detections:
        """Every candidate once for each class, all of a class together; scores and boxes only are these."""
        scores = self.of_classes if self.objectness is None else self.of_classes * self.objectness
        count, classes = scores.shape[1:]
        labels = np.repeat(np.arange(classes, dtype=np.float32), count)
        return replace(
            self,
            boxes=np.tile(self.boxes, (1, classes, 1)),
            scores=scores.transpose(0, 2, 1).reshape(len(scores), -1),
            labels=np.tile(labels, (len(scores), 1)),
        )

    def best(self, count: int) -> Detections:
        """The `count` candidates of each picture with the highest scores, highest first."""
        order = np.argsort(-self.scores, axis=1, kind="stable")[:, :count]
        parts = (
            None if part is None else np.take_along_axis(part, order.reshape(*order.shape, *[1] * (part.ndim - 2)), 1)
            for part in (self.boxes, self.scores, self.labels, self.of_classes, self.objectness, self.compared)
        )
        return Detections(*parts)  # type: ignore[arg-type]


def _overlaps(boxes: Float) -> Float:
    """Intersection over union of any two of some boxes [k,4], [k,k]; 0 where one of them is empty."""
    top, left, bottom, right = boxes.T
    high = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    wide = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    common = np.maximum(high, 0) * np.maximum(wide, 0)
    area = (bottom - top) * (right - left)
    share: Float = np.divide(common, area[:, None] + area - common, out=np.zeros_like(common), where=common > 0)
    return share


# Edge Impulse's own decoding


class Box(NamedTuple):
    """A detection in pixels of the model's input; `value` is its score, 0..1."""

    label: str
    value: float
    x: int
    y: int
    width: int
    height: int


@dataclass
class _Cells:
    """Cells of one label that touch, in cells; edges are exclusive on the right and at the bottom."""

    label: int
    left: int
    top: int
    right: int
    bottom: int
    value: float

    def touches(self, other: _Cells) -> bool:
        """Overlaps or touches, corners too."""
        return not (
            self.right < other.left
            or self.bottom < other.top
            or self.left > other.right
            or self.top > other.bottom
        )  # fmt: skip

    def take(self, other: _Cells, *, as_sdk: bool) -> None:
        """Grow around `other`."""
        # The SDK moves the left edge first and then adds the difference of the two to the width, which is zero by then:
        # a box that grows to the left loses as much on the right.
        width, height = self.right - self.left, self.bottom - self.top
        if as_sdk and other.left < self.left:
            self.right = other.left + width
        if as_sdk and other.top < self.top:
            self.bottom = other.top + height
        self.left, self.top = min(self.left, other.left), min(self.top, other.top)
        self.right, self.bottom = max(self.right, other.right), max(self.bottom, other.bottom)
        self.value = max(self.value, other.value)


def answer(found: Sequence[Box]) -> dict[str, Any]:
    """Boxes as an .eim answers with them."""
    return {"bounding_boxes": [box._asdict() for box in found]}


def classification(scores: NDArray[np.float32], labels: Sequence[str]) -> dict[str, float]:
    """Label -> score, from scores of any shape with one element a label."""
    return dict(zip(labels, scores.reshape(-1).tolist(), strict=True))


def fomo(heat: NDArray[np.float32], rules: Rules) -> list[Box]:
    """Boxes around neighbouring cells, from a heat map [rows, columns, labels] without background.

    Args:
        heat: probabilities; cells below the threshold are none.
        rules: as many labels as the map's last dimension; `as_sdk`: with the SDK's two slips: a box that grows to the
            left or upwards loses as much on the other side, and of two boxes that come to touch one another late the
            later is dropped instead of merged.
    """
    found: list[_Cells] = []
    # Row by row, then column, then label: the order decides which box a cell joins.
    for row, column, label in np.argwhere(heat >= np.float32(rules.threshold)).tolist():
        cell = _Cells(label, column, row, column + 1, row + 1, float(heat[row, column, label]))
        home = next((box for box in found if box.label == label and box.touches(cell)), None)
        if home is None:
            found.append(cell)
        else:
            home.take(cell, as_sdk=rules.as_sdk)
    kept = _dropped_late(found) if rules.as_sdk else _merged_late(found)
    high, wide = (size // cells for size, cells in zip(rules.size, heat.shape, strict=False))
    return [
        Box(
            rules.labels[box.label], box.value,
            box.left * wide, box.top * high, (box.right - box.left) * wide, (box.bottom - box.top) * high,
        )
        for box in kept
    ]  # fmt: skip


def _merged_late(found: list[_Cells]) -> list[_Cells]:
    """Boxes that grew until they touch become one."""
    done = False
    while not done:
        done = True
        kept: list[_Cells] = []
        for box in found:
            home = next((other for other in kept if other.label == box.label and other.touches(box)), None)
            if home is None:
                kept.append(box)
            else:
                home.take(box, as_sdk=False)
                done = False
        found = kept
    return found


def _dropped_late(found: list[_Cells]) -> list[_Cells]:
    """As the SDK's second pass: a later box that touches an earlier one is dropped; the earlier is already written."""
    earlier: list[_Cells] = []
    kept: list[_Cells] = []
    for box in found:
        home = next((other for other in earlier if other.label == box.label and other.touches(box)), None)
        if home is None:
            kept.append(_Cells(box.label, box.left, box.top, box.right, box.bottom, box.value))
            earlier.append(box)
        else:
            home.take(box, as_sdk=True)
    return kept


def yolov5(rows: NDArray[np.float32], rules: Rules) -> list[Box]:
    """Boxes from rows [n, 5 + labels] of centre x, centre y, width, height (0..1), objectness, class scores.

    The score is the objectness alone; the label is the one with the highest score (until version 1.72.13 of the SDK,
    June 2025, the first above 0.5, else the first of all). In the end boxes are cut off at the picture's border.

    Args:
        rows: float32.
        rules: as many labels as rows have class scores; the threshold is one of the objectness.
    """
    centre, extent, score = rows[:, :2], rows[:, 2:4], rows[:, 4]
    start = np.maximum(centre - extent / np.float32(2), np.float32(0))
    label = np.argmax(np.fmax(rows[:, 5:], 0), axis=1)
    scale = np.array(rules.size[::-1], np.float32)
    whole = np.concatenate([start * scale, extent * scale], axis=1)
    good = (extent >= 0).all(axis=1)
    return _best_of_all(whole[good], score[good], label[good], rules)


def of_all_classes(found: Detections, rules: Rules) -> list[Box]:
    """Boxes of one picture by the SDK's routine for YOLOX: of those that overlap, of whatever label, the best.

    Each class is a box of its own there, and all of a candidate's are alike: the best of them drops the others.

    Args:
        found: with `compared`.
    """
    assert found.compared is not None
    top, left, bottom, right = found.compared[0].astype(np.float64).T
    whole = np.stack([left, top, right - left, bottom - top], axis=1).astype(np.float32)
    return _best_of_all(whole, found.scores[0], found.labels[0].astype(np.int64), rules)


def _best_of_all(
    whole: NDArray[np.float32], scores: NDArray[np.float32], classes: NDArray[np.int64], rules: Rules
) -> list[Box]:
    """Of boxes [n,4] (x, y, width, height) that overlap as much or more, of whatever label, the best.

    In the end they are cut off at the picture's border.
    """
    good = (scores >= np.float32(rules.threshold)) & (scores <= 1)
    kept = _listed(whole[good], scores[good], classes[good], rules.labels, _limit(rules))
    return [_within(box, *rules.size[::-1]) for box in kept]


def _limit(rules: Rules) -> np.float32:
    """The intersection over union from which on the weaker of two boxes goes."""
    return np.float32(OVERLAP if rules.overlap is None else rules.overlap)


_MOST = 200  # EI_CLASSIFIER_OBJECT_DETECTION_KEEP_TOPK of ei_nms.h


def of_each_class(found: Detections, rules: Rules, *, cuts_first: bool) -> list[Box]:
    """Boxes of one picture by the SDK's routines for YOLO-Pro, YOLOv11 and TAO's: of each label for itself.

    Every class at or above the threshold is a box. Boxes are compared as they are, then cut off at the picture's border
    and to whole pixels: first the edges, of which width and height are the differences. The 200 best are reported.

    Args:
        found: the scores of all classes matter.
        cuts_first: they are cut off at the border before they are compared.
    """
    height, width = rules.size
    each = found.each_class()
    scores, classes = each.scores[0], each.labels[0].astype(np.int64)
    top, left, bottom, right = (each.boxes[0] * np.array([height, width, height, width], np.float32)).T
    edges = np.stack([left, top, right, bottom], axis=1).astype(np.float64)
    ends = np.array([width, height, width, height], np.float64)
    if cuts_first:
        edges = np.clip(edges, 0, ends)
    good = (scores >= np.float32(rules.threshold)) & (scores <= 1) & np.isfinite(edges).all(axis=1)
    extents = np.concatenate([edges[:, :2], np.maximum(edges[:, 2:] - edges[:, :2], 0)], axis=1)
    kept: list[int] = []
    for label in range(len(rules.labels)):
        own = np.flatnonzero(good & (classes == label))
        kept += own[suppress(extents[own], scores[own], _limit(rules))].tolist()
    kept = sorted(kept, key=lambda index: -scores[index])[:_MOST]
    whole = np.clip(edges[kept], 0, ends).astype(np.int64)
    return [
        Box(rules.labels[classes[index]], float(scores[index]), x, y, max(x_end - x, 0), max(y_end - y, 0))
        for index, (x, y, x_end, y_end) in zip(kept, whole.tolist(), strict=True)
    ]


def _within(box: Box, width: int, height: int) -> Box:
    """`box`, which does not begin below 0, without what lies outside a picture of this size."""
    x, y = min(box.x, width), min(box.y, height)
    right, bottom = min(box.x + box.width, width), min(box.y + box.height, height)
    return box._replace(x=x, y=y, width=right - x, height=bottom - y)


def boxes(
    corners: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.float32],
    rules: Rules,
    overlap: float | None = None,
) -> list[Box]:
    """Boxes from corners [n,4] as y1, x1, y2, x2 (0..1), with one score and one class each.

    Args:
        rules: the labels, the threshold and the size count.
        overlap: suppress boxes that overlap a better one, of whatever label, as much or more; None: keep all.
    """
    inside = np.clip(corners, np.float32(0), np.float32(1))
    top, left, bottom, right = (inside[:, index] for index in range(4))
    right, bottom = np.maximum(right, left), np.maximum(bottom, top)
    height, width = np.array(rules.size, np.float32)
    whole = np.stack([left * width, top * height, (right - left) * width, (bottom - top) * height], axis=1)
    good = (scores >= np.float32(rules.threshold)) & (scores > 0) & (classes >= 0) & (classes < len(rules.labels))
    limit = None if overlap is None else np.float32(overlap)
    return _listed(whole[good], scores[good], classes[good].astype(np.int64), rules.labels, limit)


def parsed(outputs: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Boxes [n,4], scores [n] and classes [n] of a shipped detector for one picture.

    Raises:
        InputError: it has no such outputs.
    """
    try:
        corners, scores, classes = (outputs[name][0] for name in OUTPUTS)
    except KeyError as error:
        raise errors.InputError(
            f"the bundle's model has no output {error}", hint="convert the export again with this version"
        ) from error
    return corners, scores, classes


def shipped(outputs: Mapping[str, NDArray[Any]], rules: Rules, overlap: float | None) -> dict[str, Any]:
    """A shipped detector's candidates; of those that overlap as much or more, of whatever label, the best.

    Raises:
        InputError: as `parsed`.
    """
    return answer(boxes(*parsed(outputs), rules, overlap))


def ssd(outputs: Sequence[NDArray[Any]], rules: Rules) -> list[Box]:
    """Boxes from the four outputs of TFLite_Detection_PostProcess: boxes, classes, scores, count."""
    corners, classes, scores = (np.asarray(values, np.float32) for values in outputs[:3])
    return boxes(corners.reshape(-1, 4), scores.reshape(-1), classes.reshape(-1), rules)


def best(
    corners: NDArray[np.float32], scores: NDArray[np.float32], limits: types.Limits | None, threshold: float
) -> list[int]:
    """Indices of the boxes [n,4] (y1, x1, y2, x2) that no better one overlaps by more than the limit; None: of all.

    This is what TFLite_Detection_PostProcess does in its fast mode: over all classes, scores below `threshold` never
    in the way, equality no overlap.
    """
    if limits is None:
        return list(range(len(scores)))
    candidates = np.flatnonzero((scores >= np.float32(threshold)) & np.isfinite(corners).all(axis=1))
    some = corners[candidates]
    extents = np.stack([some[:, 1], some[:, 0], some[:, 3] - some[:, 1], some[:, 2] - some[:, 0]], axis=1)
    just_more = np.nextafter(np.float32(limits.overlap), np.float32(2))
    kept = suppress(extents, scores[candidates], just_more)
    return [int(candidates[index]) for index in kept][: limits.detections]


def suppress(whole: NDArray[Any], scores: NDArray[np.float32], overlap: np.float32) -> list[int]:
    """Indices of the boxes [n,4] (x, y, width, height) that no better one overlaps, best first.

    An intersection over union of `overlap` or more is an overlap.
    """
    left, top = whole[:, 0], whole[:, 1]
    right, bottom = left + whole[:, 2], top + whole[:, 3]
    area = whole[:, 2] * whole[:, 3]
    kept: list[int] = []
    order = np.argsort(-scores, kind="stable")
    while order.size:
        best, rest = int(order[0]), order[1:]
        kept.append(best)
        wide = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest])
        high = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest])
        common = np.maximum(wide, 0) * np.maximum(high, 0)
        together = area[best] + area[rest] - common
        share = common / np.where(together > 0, together, 1)  # nothing overlaps a box without area
        order = rest[share.astype(np.float32) < overlap]  # a float there, too
    return kept


def _listed(
    whole: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.int64],
    labels: Sequence[str],
    overlap: np.float32 | None,
) -> list[Box]:
    finite = np.isfinite(whole).all(axis=1)
    scores, classes = scores[finite], classes[finite]
    pixels = np.minimum(whole[finite], np.float32(2**31)).astype(np.int64)  # cut off, as static_cast<uint32_t> does
    order = range(len(pixels)) if overlap is None else suppress(pixels, scores, overlap)
    return [Box(labels[classes[index]], float(scores[index]), *pixels[index].tolist()) for index in order]
