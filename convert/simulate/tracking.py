"""Counts the objects of a simulation at the lines and in the zones of the app that it is for.

Counting is NVIDIA's arithmetic (`convert.counting`), in pixels of the frames that [streammux] makes. Tracking is not:
NvMultiObjectTracker is closed. `OverlapTracker` runs instead of its tracker by overlap: of all pairs of an object
before and a box now, the one with the largest intersection over union is taken first. It predicts nothing and looks at
no pixels. The numbers it goes by are those of the tracker's config where that is one by overlap.

Every video is counted on its own. Pictures that are no video's are one, in their order, 30 a second.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from convert.check.analytics import Fault, read_analytics, read_tracker
from convert.check.app import absolute, is_on, number, read_app, text_of
from convert.counting import HISTORY, CrossingCounter, Line, LineCounter, Mode, Reason, Tracked, Zone, placement
from convert.errors import InputError
from convert.files import load_toml
from convert.images import CENTRE, Anchor, ResizeMode
from convert.images.read import is_video, video_facts
from convert.nvinfer.config import MOST_BYTES
from convert.nvinfer.keys import Verdict, version
from convert.nvinfer.numbers import read_ordinary
from convert.report import BundleReport
from convert.simulate.results import Counted, Counts, Difference, FrameResult, Passage, Shown, Uncounted, ZoneCount

if TYPE_CHECKING:
    from convert.images.scaling import Rect
    from convert.nvinfer.targets import Target

_SMOOTHED: Final = "8.0"  # from this release on obj-cnt-win-in-ms is the history, in frames
_USUAL_RATE: Final = Fraction(30)  # frames a second
_TURNED: Final = "its middle crossed; its lower edge did not, or came back before its old place was forgotten"
_FEWER: Final = "its lower edge crossed the line as it is written, its middle did not"


@dataclass(frozen=True, slots=True)
class OwnLines:
    """The counting block of the export that a bundle was made of.

    Attributes:
        segments: in pixels of the model's picture.
        model: width and height of that.
        resize, anchor: how a frame is brought to that size.
        replaced: whether the app counts at other lines (--line).
    """

    segments: tuple[tuple[int, int, int, int], ...]
    model: tuple[int, int]
    resize: ResizeMode = ResizeMode.SQUASH
    anchor: Anchor = CENTRE
    replaced: bool = False

    @property
    def names(self) -> list[str]:
        """Of the segments; where the app counts at them, its lines are called so, too."""
        of = " of the export" if self.replaced else ""
        return [f"line{number}{of}" for number in range(1, len(self.segments) + 1)]

    def boxes(self, frame: FrameResult, ids: Sequence[int]) -> Iterator[tuple[int, float, float, float, float]]:
        """Number and box of each tracked object as Edge Impulse has it: in whole pixels of the model's picture."""
        place = placement(self.resize, self.model, (frame.width, frame.height), anchor=self.anchor)
        for id_, box in zip(ids, (found.box for found in frame.objects), strict=True):
            if id_:
                left, top = round((box.left - place.left) / place.scale_x), round((box.top - place.top) / place.scale_y)
                yield id_, left, top, round(box.width / place.scale_x), round(box.height / place.scale_y)


def own_lines(folder: Path) -> OwnLines | None:
    """Of the bundle in `folder`; None where it has no report, or the export counts nothing.

    Raises:
        InputError: the report is damaged.
    """
    report = BundleReport.read(folder)
    if report is None or report.is_impulse:
        return None
    model = report.models[0]
    recorded, options = model.metadata, model.part.get("options")
    height, width = (*model.original_shape, None, None, None)[1:3]
    if not (recorded.segments and width and height):
        return None
    replaced = isinstance(options, dict) and bool(options.get("line"))
    mode, scales = model.resize_mode, model.part["model"]["preprocessing"].get("framing")
    resize = mode if mode is not None and (scales or mode is ResizeMode.FIT_LONGEST) else ResizeMode.SQUASH
    return OwnLines(recorded.segments, (width, height), resize, recorded.anchor, replaced)


@dataclass(frozen=True, slots=True)
class Setup:
    """What an app counts.

    Attributes:
        path: the config of Gst-nvdsanalytics.
        size: config-width and config-height.
        muxer: width and height of [streammux]; None: that of the frames.
        history: as `LineCounter` has it.
        overlap, age, hits, same_class: the tracker's minMatchingScore4Iou, maxShadowTrackingAge, probationAge and
            checkClassMatch.
        stands_for: the tracker's config or library that the app names.
        own: the export's own lines, where it has some.
    """

    path: Path
    size: tuple[int, int]
    lines: tuple[Line, ...]
    zones: tuple[Zone, ...]
    muxer: tuple[int, int] | None = None
    history: int = HISTORY
    overlap: float = 0.0
    age: int = 5
    hits: int = 0
    same_class: bool = False
    stands_for: str = ""
    own: OwnLines | None = None

    @property
    def places(self) -> list[tuple[str, tuple[int, int, int, int], list[int]]]:
        """Name, ends and indices of the lines that lie in one place, for its directions."""
        found: dict[tuple[int, int, int, int], list[int]] = {}
        for index, line in enumerate(self.lines):
            x1, y1, x2, y2 = line.values[4:]
            found.setdefault((x1, y1, x2, y2), []).append(index)
        return [(_common_name([self.lines[each].label for each in found[ends]]), ends, found[ends]) for ends in found]


def setup_of(app: Path, where: Target) -> Setup | None:
    """What deepstream-app counts by its config `app`; None: nothing.

    Raises:
        InputError: a file cannot be read, or Gst-nvdsanalytics refuses its config.
    """
    file = read_app(read_ordinary(app, "app config", MOST_BYTES), str(app), where.deepstream)
    if not (is_on(file, "nvds-analytics") and is_on(file, "tracker")):
        return None
    path = Path(absolute(file, text_of(file, "nvds-analytics", "config-file")))
    read = read_analytics(read_ordinary(path, "config", MOST_BYTES), str(path), where.deepstream)
    if read.head and not read.head.values.get("enable", 1):
        return None
    if read.faults:
        fault = read.faults[0]
        what = "does not read it whole" if read.verdict is Verdict.ACCEPTED else "refuses it"
        message = f"Gst-nvdsanalytics {what}: {fault.message}"
        raise InputError(message, path=path, line=fault.line, hint="ei-deepstream check says more")
    if 0 in read.size:
        raise InputError("config-width or config-height is 0", path=path, hint="ei-deepstream check says more")
    lines: dict[str, Line] = {}
    zones: list[Zone] = []
    for group in read.groups:
        if not group.is_on or group.stream:
            continue
        classes = tuple(group.values.get("class-id", ()))
        for shape in group.shapes:
            if group.kind == "line-crossing" and len(shape.numbers) < 8:
                message = f"line {shape.label} has {len(shape.numbers)} numbers, and 8 are read"
                raise InputError(message, path=path, hint="ei-deepstream check says more")
            if group.kind == "line-crossing":
                mode, extended = group.values.get("mode", Mode.LOOSE), bool(group.values.get("extended", 1))
                known = Mode(mode) if mode in list(Mode) else Mode.LOOSE
                values = tuple(shape.numbers[:8])
                lines[shape.label] = Line(shape.label, values, known, extended, classes)  # type: ignore[arg-type]
            elif group.kind in {"roi-filtering", "overcrowding"}:
                corners = tuple(zip(shape.numbers[::2], shape.numbers[1::2], strict=False))
                inverse, least = bool(group.values.get("inverse-roi")), group.values.get("object-threshold")
                zones.append(
                    Zone(shape.label, corners, classes, inverse, least if group.kind == "overcrowding" else None)
                )
    win = read.head.values.get("obj-cnt-win-in-ms") if read.head else None
    history = int(win) if win and version(where.deepstream) >= version(_SMOOTHED) else HISTORY
    sides = tuple(number(file, "streammux", side, None) for side in ("width", "height"))
    config = text_of(file, "tracker", "ll-config-file")
    setup = Setup(
        *(path, read.size, tuple(lines.values()), tuple(zones)),
        own=own_lines(app.parent),
        muxer=(sides[0], sides[1]) if sides[0] and sides[1] else None,
        history=history,
        stands_for=Path(config or text_of(file, "tracker", "ll-lib-file")).name,
    )
    return _with_tracker(setup, Path(absolute(file, config)), where.deepstream) if config else setup


def _with_tracker(setup: Setup, path: Path, release: str) -> Setup:
    """By the numbers of a tracker's config that is here and is one by overlap."""
    try:
        read = read_tracker(read_ordinary(path, "config", MOST_BYTES), release)
    except InputError:
        return setup
    found: dict[str, float] = {}
    for _, entries in [] if isinstance(read, Fault) else read:
        for entry in entries:
            with suppress(ValueError):
                if math.isfinite(number_ := float(entry.text)):
                    found[entry.key] = number_
    if found.get("visualTrackerType", 0) or found.get("stateEstimatorType", 0):
        return setup
    return replace(
        setup,
        overlap=found.get("minMatchingScore4Iou", setup.overlap),
        age=int(found.get("maxShadowTrackingAge", setup.age)),
        hits=int(found.get("probationAge", setup.hits)),
        same_class=bool(found.get("checkClassMatch", setup.same_class)),
    )


@dataclass(slots=True)
class _Object:
    id: int
    class_id: int
    box: Rect
    seen: int = 1
    missed: int = 0


@dataclass(slots=True)
class OverlapTracker:
    """Gives objects numbers, from 1, by the overlap of their boxes; `setup` says by which numbers."""

    setup: Setup
    _objects: list[_Object] = field(default_factory=list)
    _last: int = 0

    def update(self, boxes: Sequence[tuple[int, Rect]]) -> list[int]:
        """The number of each box (class, place) of the next frame; 0: it is not yet an object."""
        setup = self.setup
        pairs = [
            (overlap, position, index)
            for position, known in enumerate(self._objects)
            for index, (class_id, box) in enumerate(boxes)
            if (overlap := known.box.overlap(box)) > 0 and overlap >= setup.overlap
            if not setup.same_class or known.class_id == class_id
        ]
        chosen: dict[int, _Object] = {}
        taken: set[int] = set()
        for _, position, index in sorted(pairs, key=lambda pair: (-pair[0], pair[1:])):
            if position not in taken and index not in chosen:
                taken.add(position)
                chosen[index] = self._objects[position]
        for position, known in enumerate(self._objects):
            known.missed = 0 if position in taken else known.missed + 1
        self._objects = [known for known in self._objects if known.missed <= setup.age]
        for index, (class_id, box) in enumerate(boxes):
            if index in chosen:
                known = chosen[index]
                known.box, known.seen = box, known.seen + 1
            else:
                self._last += 1
                chosen[index] = _Object(self._last, class_id, box)
                self._objects.append(chosen[index])
        return [chosen[index].id if chosen[index].seen > setup.hits else 0 for index in range(len(boxes))]


@dataclass(slots=True)
class _Run:
    """The counting of one video, or of the pictures; `size`: of the frames that [streammux] makes."""

    setup: Setup
    source: Path
    name: str
    size: tuple[int, int]
    interval: Fraction  # seconds
    tracker: OverlapTracker
    counter: LineCounter
    frames: int = 0
    labels: dict[int, Counter[str]] = field(default_factory=dict)
    passages: list[Passage] = field(default_factory=list)
    theirs: Counter[tuple[str, int]] = field(default_factory=Counter)  # (line, id) -> Edge Impulse's count
    most: Counter[int] = field(default_factory=Counter)  # zone -> objects at once
    crowds: Counter[int] = field(default_factory=Counter)  # zone -> frames with a crowd
    _written: list[str] = field(default_factory=list)  # lines at which Edge Impulse counts as they are written
    _crossings: CrossingCounter = field(init=False)
    _own: CrossingCounter = field(init=False)

    def __post_init__(self) -> None:
        own, across, down = self.setup.own, self.size[0] / self.setup.size[0], self.size[1] / self.setup.size[1]
        places = [place for place in self.setup.places if own is None or place[0] not in own.names]
        self._written = [name for name, _, _ in places]
        self._crossings = CrossingCounter(
            [(x1 * across, y1 * down, x2 * across, y2 * down) for _, (x1, y1, x2, y2), _ in places]
        )
        self._own = CrossingCounter(own.segments if own else ())

    def add(self, frame: FrameResult) -> Counted:
        across, down = self.size[0] / frame.width, self.size[1] / frame.height
        # Objects inside objects are a secondary engine's, which comes behind.
        first = [found.parent is None for found in frame.objects]
        numbers = iter(
            self.tracker.update([(each.class_id, each.box) for each in frame.objects if each.parent is None])
        )
        ids = [next(numbers) if whole else 0 for whole in first]
        tracked = []
        for id_, found in zip(ids, frame.objects, strict=True):
            box = found.box
            place = (box.left * across, box.top * down, box.width * across, box.height * down)
            if id_:
                self.labels.setdefault(id_, Counter())[found.text or f"class {found.class_id}"] += 1
                tracked.append(Tracked(id_, found.class_id, *(int(max(value, 0)) for value in place)))
        seconds = float(self.frames * self.interval)
        now = self.counter.update(tracked, seconds * 1000)
        self.frames += 1
        for crossing in now:
            line = self.setup.lines[crossing.line].label
            self.passages.append(Passage(frame.name, seconds, crossing.id, self.label(crossing.id), line))
        boxes = ((each.id, each.left, each.top, each.width, each.height) for each in tracked)
        self.theirs.update((self._written[each.line], each.id) for each in self._crossings.update(boxes))
        if own := self.setup.own:
            self.theirs.update((own.names[each.line], each.id) for each in self._own.update(own.boxes(frame, ids)))
        to_picture = frame.width / self.setup.size[0], frame.height / self.setup.size[1]
        drawn = []
        for _, ends, members in self.setup.places:
            names = tuple((self.setup.lines[each].label, self.counter.counts[each]) for each in members)
            drawn.append(
                Shown(names, _scaled((ends[:2], ends[2:]), to_picture), any(each.line in members for each in now))
            )
        crowded = []
        for index, (zone, inside) in enumerate(zip(self.setup.zones, self.counter.inside, strict=True)):
            self.most[index] = max(self.most[index], len(inside))
            if zone.threshold is None:
                drawn.append(Shown(((zone.label, len(inside)),), _scaled(zone.points, to_picture)))
            elif len(inside) >= zone.threshold:
                crowded.append(zone.label)
                self.crowds[index] += 1
        return Counted(tuple(ids), tuple(drawn), tuple(crowded))

    def label(self, id_: int) -> str:
        """What the object was called most often."""
        return self.labels[id_].most_common(1)[0][0]

    def result(self, every: int, *, edge_impulse: bool) -> Counts:
        """All that was counted, and what was not."""
        uncounted: dict[tuple[str, str], list[int]] = {}
        differences: list[Difference] = []
        lines, own = self.setup.lines, self.setup.own
        names = dict.fromkeys(name for name, _, _ in self.setup.places)
        if own is not None:
            names |= dict.fromkeys(own.names)
        for name, _, members in self.setup.places:
            for id_ in self.labels:
                reasons = [self.counter.reasons.get((id_, each), Reason.FRAMES) for each in members]
                ours = sum(reason >= Reason.COUNTED for reason in reasons)
                best = max(reasons)
                if best is not Reason.COUNTED:
                    uncounted.setdefault((name, _why(best)), []).append(id_)
                theirs = self.theirs[name, id_]
                if edge_impulse and theirs != ours:
                    why = _FEWER if theirs < ours else _why(Reason.REPEATED if ours else best)
                    why = _TURNED if theirs > ours and best is Reason.SIDE else why
                    differences.append(Difference(name, id_, ours, theirs, why))
        sums = tuple((name, sum(self.theirs[name, id_] for id_ in self.labels)) for name in names)
        return Counts(
            *(self.name, self.setup.path, self.setup.stands_for, self.size, len(self.labels)),
            tuple((line.label, count) for line, count in zip(lines, self.counter.counts, strict=True)),
            tuple(self.passages),
            tuple(Uncounted(name, why, tuple(ids)) for (name, why), ids in uncounted.items()),
            *(sums if edge_impulse else None, tuple(differences), every),
            tuple(
                ZoneCount(zone.label, self.most[index], zone.threshold, self.crowds[index])
                for index, zone in enumerate(self.setup.zones)
            ),
        )


def _why(reason: Reason) -> str:
    return str(load_toml("report/words.toml")["uncounted"][reason.name.lower()])


def _scaled(points: Sequence[tuple[float, float]], scale: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    return tuple((x * scale[0], y * scale[1]) for x, y in points)


def _common_name(labels: Sequence[str]) -> str:
    """ "door" of "door-up" and "door-down"; the label where there is one."""
    stems = {label.rpartition("-")[0] for label in labels}
    return stems.pop() if len(labels) > 1 and len(stems) == 1 else " and ".join(labels)


@dataclass(slots=True)
class Counting:
    """Counts frame by frame, in order: call it with each, and it has its `Counted`.

    Attributes:
        every: of a video, so-many-th frames are given.
        edge_impulse: also count as Edge Impulse's SDK.
    """

    setup: Setup
    every: int = 1
    edge_impulse: bool = False
    _runs: list[_Run] = field(default_factory=list)

    def __call__(self, frame: FrameResult) -> FrameResult:
        """The next frame, with what was counted in it."""
        video = is_video(frame.source)
        if not self._runs or ((video or is_video(self._runs[-1].source)) and frame.source != self._runs[-1].source):
            self._runs.append(self._begun(frame, video=video))
        return replace(frame, counted=self._runs[-1].add(frame))

    def results(self) -> tuple[Counts, ...]:
        """Of each video, or of the pictures."""
        return tuple(run.result(self.every, edge_impulse=self.edge_impulse) for run in self._runs)

    def _begun(self, frame: FrameResult, *, video: bool) -> _Run:
        setup, size = self.setup, self.setup.muxer or (frame.width, frame.height)
        rate = (video_facts(frame.source).rate or _USUAL_RATE) / self.every if video else _USUAL_RATE
        return _Run(
            *(setup, frame.source, frame.source.name if video else "pictures", size, 1 / Fraction(rate)),
            OverlapTracker(setup),
            LineCounter(setup.lines, setup.size, size, zones=setup.zones, history=setup.history),
        )
