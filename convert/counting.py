"""Counting objects at lines and in zones as Gst-nvdsanalytics does, and as Edge Impulse's SDK does.

`LineCounter` follows the arithmetic of NVIDIA's nvds_analytics.cpp, the same in DeepStream 8.0 and 9.1: whole numbers,
32-bit floats and NaN where the C++ code has them. `CrossingCounter` is the SDK's ei_object_counting.h. The rest maps a
line that was drawn on the model's picture to the two entries that count both directions in DeepStream.

A segment is (x1, y1, x2, y2); x grows to the right, y downwards. Sizes are (width, height), all in pixels.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from fractions import Fraction
from typing import Final, NamedTuple, TypeAlias

from convert.images import CENTRE, Anchor, ResizeMode, crop_area

Segment: TypeAlias = tuple[float, float, float, float]
Values: TypeAlias = tuple[int, int, int, int, int, int, int, int]
Size: TypeAlias = tuple[int, int]

HISTORY: Final = 50  # frames; gstnvdsanalytics.cpp, where obj-cnt-win-in-ms is not given
_FORGET_AFTER: Final = 8000  # ms; TIME_OUT_MSEC of nvds_analytics.h. The 300 of its caller are not used
_OLDEST: Final = 4  # frames whose mean is the previous place of an object
_PARALLEL: Final = 1e-5  # least sine of the angle between two lines that have a point in common
_ALIKE: Final = 0.99  # least cosine of two directions that are one
_ARROW: Final = 0.2  # length of half an arrow, as a share of the frame's shorter side


def _float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


class Mode(StrEnum):
    """`mode` of a line: how long an object must be seen, how far it must go, and how near to the arrow's direction."""

    LOOSE = "loose"
    BALANCED = "balanced"
    STRICT = "strict"


class _Limits(NamedTuple):
    """`frames`: more than these; `distance`: squared, in pixels, more than this; `cosine`: at least this."""

    frames: int
    distance: int
    cosine: float


_LIMITS: Final = {  # processSource of nvds_analytics.cpp
    Mode.LOOSE: _Limits(3, 1000, _float32(0.1)),
    Mode.BALANCED: _Limits(10, 3000, _float32(0.5)),
    Mode.STRICT: _Limits(20, 6000, _float32(0.8)),
}


class Tracked(NamedTuple):
    """An object in one frame, with the tracker's number; whole pixels, not negative."""

    id: int
    class_id: int
    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Line:
    """A key `line-crossing-LABEL`.

    Attributes:
        values: arrow x1, y1, x2, y2, then line x1, y1, x2, y2, in pixels of config-width and config-height.
        extended: whether the line has no ends.
        classes: the class ids that count; empty, or with -1: all.
    """

    label: str
    values: Values
    mode: Mode = Mode.LOOSE
    extended: bool = True
    classes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Zone:
    """A key `roi-LABEL` of roi-filtering, or of overcrowding if `threshold` is given.

    Attributes:
        points: the corners, in pixels of config-width and config-height.
        inverse: whether what is outside counts (roi-filtering only).
        threshold: how many objects are a crowd.
    """

    label: str
    points: tuple[tuple[int, int], ...]
    classes: tuple[int, ...] = ()
    inverse: bool = False
    threshold: int | None = None


class Reason(IntEnum):
    """Why an object has not been counted at a line so far; the later one is the nearer to a count."""

    CLASS = -1  # is of a class that the line does not count
    FRAMES = 0  # seen in too few frames
    DISTANCE = 1  # moved too little
    SIDE = 2  # is on the side where it was
    DIRECTION = 3  # went the other way
    END = 4  # passed beyond the line's end
    COUNTED = 5  # was counted
    REPEATED = 6  # was counted, and crossed once more, which does not count


class Crossing(NamedTuple):
    """A count: frame from 0, the object, and the index of the line."""

    frame: int
    id: int
    line: int


@dataclass(slots=True)
class _Track:
    """What is remembered of an object: a ring of places (centre x, y, width, height), the oldest at `next`."""

    ring: list[tuple[int, int, int, int]]
    next: int = 0
    frames: int = 0
    seen: float = 0.0
    counted: dict[str, bool] = field(default_factory=dict)  # label -> whether a further crossing would be a new one

    def add(self, place: tuple[int, int, int, int]) -> None:
        self.ring[self.next] = place
        self.next = (self.next + 1) % len(self.ring)
        self.frames += 1

    def mean_height(self) -> float:
        return _float32(sum(place[3] for place in self.ring) / min(self.frames, len(self.ring)))

    def previous(self) -> tuple[int, int, int, int]:
        """The mean of the first two places, or of the oldest four once the ring is full."""
        size = len(self.ring)
        chosen = (0, 1) if self.frames < size else tuple((self.next + i) % size for i in range(_OLDEST))
        x, y, width, height = (sum(self.ring[i][k] for i in chosen) // len(chosen) for k in range(4))
        return x, y, width, height


@dataclass(slots=True)
class _Placed:
    """A line in pixels of the frame. `abc`: ax + by + c = 0, (a, b) of length 1. `to`: which sign a crossing leads to.

    NVIDIA's code divides a, b, c by their length again in each test of the ends, in place.
    """

    line: Line
    ends: tuple[int, int, int, int]
    abc: tuple[float, float, float]
    arrow: tuple[float, float]
    to: int  # -1, 1; 0: the arrow does not say, so that its direction decides

    def meets(self, was: tuple[float, float], now: tuple[float, float]) -> bool:
        """Whether the line through two points meets this one between its ends."""
        met = _intersection(_through(*was, *now), self.abc)
        self.abc = _normal(self.abc)
        if met is None:
            return False
        x1, y1, x2, y2 = self.ends
        x, y, way_x, way_y = met[0] - x1, met[1] - y1, x2 - x1, y2 - y1
        return x * way_x + y * way_y > 0 and way_x * way_x + way_y * way_y > x * x + y * y


class LineCounter:
    """The lines and zones of one source.

    Args:
        lines: their labels must differ.
        config: config-width and config-height.
        frame: what the muxer gives.
        history: frames over which an object's way is measured; obj-cnt-win-in-ms from DeepStream 8.0 on.

    Attributes:
        counts: crossings of each line so far (objLCCumCnt).
        inside: of each zone, the ids in it in the last frame (objInROIcnt, overCrowdingCount). With `threshold` or more
            it is crowded.
        reasons: (id, index of the line) -> the nearest that the object came to a count, over all frames.
    """

    def __init__(
        self, lines: Sequence[Line], config: Size, frame: Size, *, zones: Sequence[Zone] = (), history: int = HISTORY
    ) -> None:
        scale = tuple(_float32(_float32(have) / _float32(want)) for have, want in zip(frame, config, strict=True))
        self._lines = [_placed(line, scale[0], scale[1]) for line in lines]
        self._zones = [
            (zone, [(int(_float32(x * scale[0])), int(_float32(y * scale[1]))) for x, y in zone.points])
            for zone in zones
        ]
        self._history = history
        self._tracks: dict[int, _Track] = {}
        self._frame = 0
        self.counts = [0] * len(lines)
        self.inside: list[list[int]] = [[] for _ in zones]
        self.reasons: dict[tuple[int, int], Reason] = {}

    def update(self, objects: Iterable[Tracked], milliseconds: float) -> list[Crossing]:
        """One frame and its time; the crossings counted in it."""
        self._tracks = {
            key: track for key, track in self._tracks.items() if int(milliseconds - track.seen) <= _FORGET_AFTER
        }
        self.inside = [[] for _ in self._zones]
        crossings = []
        for each in objects:
            track = self._tracks.setdefault(each.id, _Track([(0, 0, 0, 0)] * self._history))
            track.seen = milliseconds
            track.add((*_centre(each), each.width, each.height))
            self._look_in_zones(each, track)
            for index, placed in enumerate(self._lines):
                if not _takes(placed.line.classes, each.class_id):
                    self.reasons.setdefault((each.id, index), Reason.CLASS)
                elif self._counts(each, track, index):
                    self.counts[index] += 1
                    crossings.append(Crossing(self._frame, each.id, index))
        self._frame += 1
        return crossings

    def _look_in_zones(self, each: Tracked, track: _Track) -> None:
        """By the object's bottom centre, of which the height is a mean of all that is remembered."""
        x, y = _centre(each)
        y += int(track.mean_height()) // 2
        for (zone, points), inside in zip(self._zones, self.inside, strict=True):
            if _takes(zone.classes, each.class_id) and _contains(points, x, y) != zone.inverse:
                inside.append(each.id)

    def _counts(self, each: Tracked, track: _Track, index: int) -> bool:
        placed = self._lines[index]
        label = placed.line.label
        counted = label in track.counted
        # Of an object that was counted NVIDIA's code asks nothing more; we do, to say so. It must not change the line.
        reason = _reason(each, track, replace(placed) if counted else placed)
        crossed = reason is Reason.COUNTED
        if counted:
            if crossed and track.counted[label]:
                reason = Reason.REPEATED
            track.counted[label] |= not crossed
        elif crossed:
            track.counted[label] = False
        key = each.id, index
        self.reasons[key] = max(reason, self.reasons.get(key, reason))
        return crossed and not counted


def _centre(each: Tracked) -> tuple[int, int]:
    return each.left + each.width // 2, each.top + each.height // 2


def _takes(classes: tuple[int, ...], class_id: int) -> bool:
    return not classes or -1 in classes or class_id in classes


def _reason(each: Tracked, track: _Track, placed: _Placed) -> Reason:
    """What NVIDIA's code decides in this frame; COUNTED: a crossing."""
    limits = _LIMITS[placed.line.mode]
    if track.frames <= limits.frames:
        return Reason.FRAMES
    x, y = _centre(each)
    bottom = y + each.height // 2
    was_x, was_y, was_width, was_height = track.previous()
    if (x - was_x) ** 2 + (bottom - was_y - was_height // 2) ** 2 <= limits.distance:
        return Reason.DISTANCE
    mean = track.mean_height()
    a, b, c = placed.abc
    if placed.to and placed.line.mode is Mode.LOOSE:
        now = placed.to * (a * x + b * bottom + c)
        was = placed.to * (a * was_x + b * _float32(was_y + mean / 2) + c)
        crossed = Reason.COUNTED if was < 0 <= now else Reason.DIRECTION if now <= 0 < was else Reason.SIDE
    else:
        crossed = _by_direction(placed, (was_x, was_y + int(mean) // 2), (x, bottom), limits.cosine)
    if crossed is not Reason.COUNTED or placed.line.extended:
        return crossed
    old, new = was_y + mean / 2, y + each.height / 2
    half, was_half = each.width // 2, was_width // 2
    corners = ((0, 0), (was_half, half), (-was_half, -half))
    met = any(placed.meets((was_x + before, old), (x + now, new)) for before, now in corners)
    return Reason.COUNTED if met else Reason.END


def _by_direction(placed: _Placed, was: tuple[int, int], now: tuple[int, int], least: float) -> Reason:
    """By the sign of the distances, cut to whole pixels, and the cosine of the way to the arrow."""
    a, b, c = placed.abc
    before, after = (_whole(a * x + b * y + c) for x, y in (was, now))
    if not before < 0 < after and not after < 0 < before:
        return Reason.SIDE
    way = now[0] - was[0], now[1] - was[1]
    along = placed.arrow[0] * way[0] + placed.arrow[1] * way[1]
    length = math.sqrt(way[0] * way[0] + way[1] * way[1])
    return Reason.COUNTED if along / length >= least else Reason.DIRECTION


def _whole(value: float) -> int:
    """Cut to a whole number. NaN, of a line without length, is one side."""
    return 0 if math.isnan(value) else int(value)


def _placed(line: Line, scale_x: float, scale_y: float) -> _Placed:
    values = [int(_float32(value * (scale_y if i % 2 else scale_x))) for i, value in enumerate(line.values)]
    start, end = (values[0], values[1]), (values[2], values[3])
    abc = _through(*values[4:])
    arrow = _unit(start, end)
    placed = _Placed(line, (values[4], values[5], values[6], values[7]), abc, arrow, 0)
    met = _intersection(_through(*start, *end), abc)
    if met is None:  # NVIDIA's code prints "Improper direction configured"
        return placed
    a, b, c = abc
    # Which side the arrow comes from, told by its start, or where that is on the line, by its end.
    for x, y in (start, end):
        toward = _unit((x, y), met)
        cosine, side = toward[0] * arrow[0] + toward[1] * arrow[1], a * x + b * y + c
        least = _PARALLEL if (x, y) == start else 0.0
        if (cosine > _ALIKE and side > least) or (cosine < -_ALIKE and side < least):
            placed.to = -1
        elif (cosine < -_ALIKE and side > least) or (cosine > _ALIKE and side < least):
            placed.to = 1
        if placed.to:
            break
    return placed


def _divide(value: float, by: float) -> float:
    """As C++ divides: by 0 to NaN or infinity."""
    if by:
        return value / by
    return math.copysign(math.inf, value) if value else math.nan


def _through(x1: float, y1: float, x2: float, y2: float) -> tuple[float, float, float]:
    """The line through two points, as a, b, c with ax + by + c = 0 and (a, b) of length 1; NaN for one point."""
    return _normal((y1 - y2, x2 - x1, x1 * y2 - x2 * y1))


def _unit(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    x, y = end[0] - start[0], end[1] - start[1]
    length = math.sqrt(x * x + y * y)
    return (0.0, 0.0) if length < 1e-9 else (x / length, y / length)


def _normal(abc: tuple[float, float, float]) -> tuple[float, float, float]:
    a, b, c = abc
    length = math.sqrt(a * a + b * b)
    return _divide(a, length), _divide(b, length), _divide(c, length)


def _intersection(one: tuple[float, float, float], other: tuple[float, float, float]) -> tuple[float, float] | None:
    """Where two lines meet; None: they are parallel."""
    a1, b1, c1 = _normal(one)
    a2, b2, c2 = _normal(other)
    sine = a1 * b2 - b1 * a2
    if abs(sine) < _PARALLEL:
        return None
    return (-c1 * b2 + b1 * c2) / sine, (-a1 * c2 + c1 * a2) / sine


def _contains(points: Sequence[tuple[int, int]], x: int, y: int) -> bool:
    """Whether an odd number of edges lies to the left of the point, in whole pixels; an edge at x < 0 does not."""
    left = 0
    for (x1, y1), (x2, y2) in zip(points, [*points[1:], *points[:1]], strict=True):
        if y1 <= y < y2 or y2 <= y < y1:
            at = math.trunc(Fraction((x2 - x1) * y + y2 * x1 - x2 * y1, y2 - y1))
            left += 0 <= at <= x
    return left % 2 == 1


class CrossingCounter:
    """Edge Impulse's counter: each step of a box's centre across a segment counts, in both directions, at any label.

    Args:
        segments: in pixels of the model.

    Attributes:
        counts: of each segment, so far.
    """

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = segments
        self._centres: dict[int, tuple[int, int]] = {}
        self._frame = 0
        self.counts = [0] * len(segments)

    def update(self, objects: Iterable[tuple[int, float, float, float, float]]) -> list[Crossing]:
        """One frame: id, left, top, width and height of each box in pixels of the model."""
        crossings = []
        for id_, left, top, width, height in objects:
            centre = int(left + width / 2), int(top + height / 2)
            last = self._centres.get(id_, centre)
            self._centres[id_] = centre
            for index, segment in enumerate(self._segments):
                if _intersect(segment, (*last, *centre)):
                    self.counts[index] += 1
                    crossings.append(Crossing(self._frame, id_, index))
        self._frame += 1
        return crossings


def _intersect(one: Segment, other: Segment) -> bool:
    """The SDK's test: a point on a line belongs to one of its sides."""

    def turns_left(ax: float, ay: float, bx: float, by: float, cx: float, cy: float) -> bool:
        return (cy - ay) * (bx - ax) > (by - ay) * (cx - ax)

    a, b, c, d = one[:2], one[2:], other[:2], other[2:]
    return turns_left(*a, *c, *d) != turns_left(*b, *c, *d) and turns_left(*a, *b, *c) != turns_left(*a, *b, *d)


class Placement(NamedTuple):
    """Where the model's picture lies in the frame: X = left + x * scale_x, Y = top + y * scale_y."""

    left: float
    top: float
    scale_x: float
    scale_y: float

    def place(self, segment: Segment) -> Segment:
        """From pixels of the model to pixels of the frame; with padding, some lie outside."""
        x1, y1, x2, y2 = segment
        return (
            self.left + x1 * self.scale_x, self.top + y1 * self.scale_y,
            self.left + x2 * self.scale_x, self.top + y2 * self.scale_y,
        )  # fmt: skip


def placement(resize: ResizeMode, model: Size, frame: Size, *, anchor: Anchor = CENTRE) -> Placement:
    """The place of the model's picture under a resize mode."""
    (width, height), (wide, high) = model, frame
    if resize is ResizeMode.FIT_SHORTEST:
        left, top, cut_width, cut_height = crop_area(wide, high, model, anchor=anchor)
        return Placement(left, top, cut_width / width, cut_height / height)
    if resize is ResizeMode.FIT_LONGEST:
        scale = max(wide / width, high / height)
        return Placement((wide - width * scale) / 2, (high - height * scale) / 2, scale, scale)
    return Placement(0, 0, wide / width, high / height)


def clipped(segment: Segment, frame: Size) -> tuple[int, int, int, int] | None:
    """The part of a segment inside the frame, in whole pixels; None: there is none."""
    x, y = segment[0], segment[1]
    way_x, way_y = segment[2] - x, segment[3] - y
    first, last = 0.0, 1.0
    for start, way, most in ((x, way_x, frame[0] - 1), (y, way_y, frame[1] - 1)):
        if way:
            low, high = sorted((-start / way, (most - start) / way))
            first, last = max(first, low), min(last, high)
        elif not 0 <= start <= most:
            return None
    if first > last:
        return None
    ends = ((x + way_x * part, y + way_y * part) for part in (first, last))
    (x1, y1), (x2, y2) = ends
    within = round(x1), round(y1), round(x2), round(y2)
    return None if within[:2] == within[2:] else within  # a point counts nothing


def fitted(segment: Segment, size: Size, box: tuple[float, float]) -> Segment:
    """A line for centres, made one for bottom centres: moved down, and shorter, since an object's corners count too.

    Args:
        segment: inside `size`, in whole pixels.
        size: of the picture or frame that `segment` is in.
        box: width and height of an object, in the same pixels.
    """
    x1, y1, x2, y2 = segment
    y1, y2 = (min(round(y + box[1] / 2), size[1] - 1) for y in (y1, y2))
    unit = _unit((x1, y1), (x2, y2))
    # At least two pixels stay: without length a line never counts.
    shorter = min(box[0] / 2 * abs(unit[0]), max(math.hypot(x2 - x1, y2 - y1) / 2 - 1, 0))
    return x1 + unit[0] * shorter, y1 + unit[1] * shorter, x2 - unit[0] * shorter, y2 - unit[1] * shorter


def entries(segment: Segment, size: Size) -> tuple[Values, Values]:
    """The two entries of a line, which count both directions: their arrows are opposite."""
    x1, y1, x2, y2 = segment
    middle_x, middle_y = (x1 + x2) / 2, (y1 + y2) / 2
    unit = _unit((x1, y1), (x2, y2))
    half = _ARROW * min(size)

    def inside(x: float, y: float) -> tuple[int, int]:
        return round(min(max(x, 0), size[0] - 1)), round(min(max(y, 0), size[1] - 1))

    start = inside(middle_x + unit[1] * half, middle_y - unit[0] * half)
    end = inside(middle_x - unit[1] * half, middle_y + unit[0] * half)
    line = round(x1), round(y1), round(x2), round(y2)
    return (*start, *end, *line), (*end, *start, *line)
