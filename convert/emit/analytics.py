"""Tracking and counting in a bundle: the configs of Gst-nvdsanalytics and of the tracker in front of it.

Gst-nvdsanalytics (nvds_analytics.cpp, 8.0 and 9.1) counts an object at a line when the middle of its lower edge has
crossed it, once a line and number of the tracker's. A line counts one direction only, that of its arrow, so there are
two entries for each. Written are:

- mode loose: 4 frames and 31.6 pixels are enough. Measured on made-up passages, it counts all that cross once, however
  fast; balanced counts 28 % of objects that are seen in 6 to 12 frames, strict none.
- extended=0, that is a line with ends; the default has none.

The tracker goes by overlap (config_tracker_IOU.yml of every release from 6.0 on has these keys). It compares boxes with
those before, as Edge Impulse's does, and needs no pictures. Boxes of one of FOMO's cells do not overlap from frame to
frame: there, and in 5.1, the release's own tracker runs, with the SDK's config.

An export's tracking block gives the tracker's numbers, and its counting block the lines, where --line gives none. Those
lines are for middles of boxes: they are moved down by half an object, which is known of FOMO alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convert.counting import clipped, entries, fitted, placement
from convert.emit.config import Entry, Group, config_file
from convert.errors import PresetError
from convert.files import load_text
from convert.findings import Rule
from convert.heads import head
from convert.images import ResizeMode
from convert.nvinfer.targets import sdk_path, tracker
from convert.types import Tracking

if TYPE_CHECKING:
    from convert.counting import Segment, Values
    from convert.findings import Finding
    from convert.images import Mark
    from convert.nvinfer.targets import Target
    from convert.types import Adapted, Export

TRACKING_DIFFERS = Rule("EI514")
COUNTING_DIFFERS = Rule("EI515")
LINE_OUTSIDE = Rule("EI516")

_OVERLAPS = 1.5  # cells of a FOMO box, from which on boxes one cell apart have a fifth in common
_USUAL = Tracking(sort=False, grace=5, hits=0, threshold=0.0, by_overlap=True)
"""Without a tracking block: Edge Impulse's usual grace, and any overlap will do."""


@dataclass(frozen=True, slots=True)
class Counting:
    """What an app tracks and counts.

    Attributes:
        lines, zones: drawn on the frame.
        overcrowding: how many objects are too many in a zone; None: that is not asked.
        tracking: the tracker's numbers.
        overlaps: whether boxes overlap from frame to frame.
        counts: whether there is anything to count at; else objects are tracked only, as the export says.
    """

    lines: tuple[Mark, ...] = ()
    zones: tuple[Mark, ...] = ()
    overcrowding: int | None = None
    tracking: Tracking = _USUAL
    overlaps: bool = True
    counts: bool = True

    def writes_tracker(self, target: Target) -> bool:
        """Whether the bundle has a config of the tracker's."""
        return self.overlaps and tracker(target).config is not None


def counting(
    export: Export, box: float, lines: tuple[Mark, ...], zones: tuple[Mark, ...], overcrowding: int | None
) -> Counting | None:
    """What the app of a model counts; None where nothing is tracked.

    Args:
        box: the least size of a FOMO box, in cells.

    Raises:
        PresetError: there are lines or zones, and the model finds no objects.
    """
    recorded, spec = export.metadata, head(export.facts.task)
    if not spec.detects:
        if lines or zones:
            raise PresetError(
                "--line and --zone count objects, and a classifier finds none", hint="give the export of a detector"
            )
        return None
    overlaps, tracking = not spec.merges_cells or box >= _OVERLAPS, recorded.tracking or _USUAL
    if spec.merges_cells:  # a threshold for cells says nothing about larger boxes
        tracking = replace(tracking, threshold=0.0, by_overlap=True)
    counts = bool(lines or zones or recorded.segments)
    return Counting(lines, zones, overcrowding, tracking, overlaps, counts)


def analytics_file(about: Counting, adapted: Adapted, size: tuple[int, int]) -> bytes:
    """The config of Gst-nvdsanalytics, for frames of `size`, width and height: marks in pixels are pixels of it."""
    zones = tuple(
        Entry(f"roi-{zone.name}", tuple(value for point in zone.pixels(size) for value in point))
        for zone in about.zones
    )
    lines = tuple(Entry(f"line-crossing-{name}", values) for name, values in line_entries(about, adapted, size))
    every = Entry("class-id", -1, "-1: all; or numbers of labels, from 0, with ; between them.")
    on = Entry("enable", 1)
    groups = [
        Group(
            "property",
            (
                (
                    *(
                        on,
                        Entry("config-width", size[0], "What x and y are counted in; any size of the frame's shape."),
                    ),
                    *(
                        Entry("config-height", size[1]),
                        Entry("osd-mode", 2, "0: draw nothing, 1: names, 2: counts, too."),
                    ),
                    Entry("display-font-size", 12),
                ),
            ),
        )
    ]
    if lines:
        extended = Entry("extended", 0, "1: a line has no ends.")
        mode = Entry("mode", "loose", "loose, balanced (11 frames, 55 pixels, near to the arrow) or strict.")
        groups.append(Group("line-crossing-stream-0", ((on, *lines), (every, extended, mode)), _LINES))
    if zones:
        inverse = Entry("inverse-roi", 0, "1: count what is outside.")
        groups.append(Group("roi-filtering-stream-0", ((on, *zones), (every, inverse)), _ZONES))
    if zones and about.overcrowding is not None:
        least = Entry("object-threshold", about.overcrowding, "From so many objects on.")
        groups.append(Group("overcrowding-stream-0", ((on, *zones), (every, least))))
    header = "Gst-nvdsanalytics: what is counted where. stream-0 is [source0] of the app; one group for each source."
    return config_file(header, tuple(groups))


_LINES = """\
Each line twice, for both directions: arrow from x1;y1 to x2;y2, then the line from x3;y3 to x4;y4. An object is \
counted when the middle of its lower edge has crossed the line in the arrow's direction, once.
"""
_ZONES = "Corners x;y of each zone. An object is in it if the middle of its lower edge is."


def line_entries(about: Counting, adapted: Adapted, size: tuple[int, int]) -> list[tuple[str, Values]]:
    """Name and eight numbers of both directions of each line, in pixels of `size`."""
    found: list[tuple[str, Values]] = []
    drawn = [(line.name, line.pixels(size)) for line in about.lines]
    segments = [(name, ((at[0], at[1]), (at[2], at[3]))) for name, at in _recorded(adapted, size) if at]
    for name, ((x1, y1), (x2, y2)) in drawn or segments:
        if (x1, y1) == (x2, y2):
            wide, high = size
            raise PresetError(f"line {name} is shorter than a pixel of {wide}x{high}", hint="draw a longer one")
        found += [(f"{name}-{_way(each)}", each) for each in entries((x1, y1, x2, y2), size)]
    return found


def _way(values: Values) -> str:
    """In which direction, of four, the arrow points."""
    x, y = values[2] - values[0], values[3] - values[1]
    return ("right" if x > 0 else "left") if abs(x) > abs(y) else ("down" if y > 0 else "up")


def _recorded(adapted: Adapted, size: tuple[int, int]) -> list[tuple[str, tuple[int, int, int, int] | None]]:
    """The export's own lines in pixels of the frame; None: nothing of it is inside."""
    before, shape = adapted.preprocessing, adapted.export.facts.input.shape
    height, width = (int(side or 0) for side in shape[1:3])
    scaled = before.maintain_aspect_ratio or before.framing is not None
    mode = (before.resize_mode if scaled else None) or ResizeMode.SQUASH
    place = placement(mode, (width, height), size, anchor=adapted.export.metadata.anchor)
    found: list[tuple[str, tuple[int, int, int, int] | None]] = []
    for number, segment in enumerate(adapted.export.metadata.segments or (), 1):
        moved: Segment = segment
        if (box := _object_size(adapted)) is not None:
            moved = fitted(segment, (width, height), box)
        found.append((f"line{number}", clipped(place.place(moved), size)))
    return found


def _object_size(adapted: Adapted) -> tuple[float, float] | None:
    """Width and height of an object in pixels of the model's picture; None: it is not known."""
    export = adapted.export
    (_, height, width, *_), grid = export.facts.input.shape, export.facts.outputs[0].shape
    if not head(adapted.head.task).merges_cells or len(grid) != 4 or not (height and width and grid[1] and grid[2]):
        return None
    cells = adapted.head.box or 1
    return cells * width / grid[2], cells * height / grid[1]


def counting_findings(
    about: Counting, adapted: Adapted, size: tuple[int, int], target: Target, path: str
) -> tuple[Finding, ...]:
    """What of the export's own blocks DeepStream cannot do, or does otherwise."""
    recorded, found = adapted.export.metadata, []
    if recorded.tracking is not None:
        others = ["no prediction of where an object goes, and the best pairs first"]
        if recorded.tracking != about.tracking or not recorded.tracking.by_overlap:
            wanted = f"{recorded.tracking.threshold:g}"
            wanted = f"one above {wanted}" if recorded.tracking.by_overlap else f"a distance below {wanted} pixels"
            others = [f"any overlap of boxes is enough, instead of {wanted}"]
        if not about.writes_tracker(target):
            files = tracker(target)
            others = [f"the SDK's own tracker runs, {sdk_path(target, files.config or files.library)}"]
            message = f"the export's tracking block is not carried over: {others[0]}"
        else:
            message = f"the export's tracking block is carried over, but for this: {others[0]}"
        found.append(TRACKING_DIFFERS.found(message, path=path))
    if recorded.segments and about.lines:
        message = f"--line replaces the {_count(len(recorded.segments))} of the export's counting block"
        found.append(COUNTING_DIFFERS.found(message, path=path))
    elif recorded.segments:
        lines = _recorded(adapted, size)
        message = f"the {_count(len(lines))} of the export's counting block: each object is counted once a direction"
        if _object_size(adapted) is None:
            message += "; where its lower edge crosses, not its middle, since the size of objects is not known"
        found.append(COUNTING_DIFFERS.found(message, path=path))
        found += [
            LINE_OUTSIDE.found(f"{name} of the export's counting block lies outside the frame", path=path)
            for name, at in lines
            if at is None
        ]
    return tuple(found)


def _count(number: int) -> str:
    return "line" if number == 1 else f"{number} lines"


def tracker_file(tracking: Tracking, target: Target) -> bytes:
    """The config of NvMultiObjectTracker, as a tracker by overlap.

    Keys and their meaning: NVIDIA's documentation of Gst-nvtracker and config_tracker_IOU.yml of 6.0 to 9.1.
    """
    by_overlap = tracking.by_overlap
    return (
        load_text("bundle/tracker.yml")
        .format(
            release=target.deepstream,
            hits=tracking.hits,
            grace=tracking.grace,
            early=tracking.grace + 1,
            same=int(tracking.sort),
            overlap=f"{tracking.threshold if by_overlap else 0.0:g}",
        )
        .encode()
    )
