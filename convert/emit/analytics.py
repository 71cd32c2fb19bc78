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

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from convert import errors, findings, images, types
from convert.counting import Segment, Values, clipped, entries, fitted, placement
from convert.emit.config import Entry, Group, config_file
from convert.files import load_text
from convert.heads import head
from convert.nvinfer.targets import Target, sdk_path, tracker

TRACKING_DIFFERS = findings.Rule("EI514")
COUNTING_DIFFERS = findings.Rule("EI515")
LINE_OUTSIDE = findings.Rule("EI516")

_OVERLAPS = 1.5  # cells of a FOMO box, from which on boxes one cell apart have a fifth in common
_USUAL = types.Tracking(sort=False, grace=5, hits=0, threshold=0.0, by_overlap=True)
"""Without a tracking block: Edge Impulse's usual grace, and any overlap will do."""


@dataclass(frozen=True, slots=True)
class Counting:
    """What an app tracks and counts.

    Attributes:
        size: width and height of the frame that lines and zones lie on, pixels.
        lines: name and ends (x1, y1, x2, y2) of each; none where objects are tracked only.
        zones: name and corners of each.
        overcrowding: how many objects are too many in a zone; None: that is not asked.
        outside: names of the export's own lines of which nothing lies in the frame; None: others replace them.
        tracking: the tracker's numbers.
        overlaps: whether boxes overlap from frame to frame.
        knows_size: whether the export's own lines could be moved by half an object.
    """

    size: tuple[int, int]
    lines: tuple[tuple[str, tuple[int, ...]], ...] = ()
    zones: tuple[tuple[str, tuple[tuple[int, int], ...]], ...] = ()
    overcrowding: int | None = None
    outside: tuple[str, ...] | None = ()
    tracking: types.Tracking = _USUAL
    overlaps: bool = True
    knows_size: bool = True

    @property
    def counts(self) -> bool:
        """Whether there is anything to count at."""
        return bool(self.lines or self.zones)

    def writes_tracker(self, target: Target) -> bool:
        """Whether the bundle has a config of the tracker's."""
        return self.overlaps and tracker(target).config is not None


def counting(
    export: types.Export,
    framing: images.Framing | None,
    size: tuple[int, int],
    box: float,
    marks: tuple[tuple[images.Mark, ...], tuple[images.Mark, ...], int | None],
) -> Counting | None:
    """What the app of a model counts; None where nothing is tracked.

    Args:
        export: the model's; its own lines count where none is drawn.
        framing: what the model does with a frame, if it takes whole ones.
        size: of the frames, pixels.
        box: the least size of a FOMO box, in cells.
        marks: lines and zones that are drawn, and overcrowding.

    Raises:
        PresetError: there are lines or zones, and the model finds no objects; or a line is shorter than a pixel.
    """
    (lines, zones, overcrowding), recorded, spec = marks, export.metadata, head(export.facts.task)
    if not spec.detects:
        if lines or zones:
            raise errors.PresetError(
                "--line and --zone count objects, and a classifier finds none", hint="give the export of a detector"
            )
        return None
    overlaps, tracking = not spec.merges_cells or box >= _OVERLAPS, recorded.tracking or _USUAL
    if spec.merges_cells:  # a threshold for cells says nothing about larger boxes
        tracking = replace(tracking, threshold=0.0, by_overlap=True)
    object_size = _object_size(export, box)
    own = _recorded(export, framing, size, object_size)
    kept = [(line.name, tuple(chain(*line.pixels(size)))) for line in lines] or [each for each in own if each[1]]
    for name, ends in kept:
        directions(name, ends, size)  # refuses a line without length
    outside = None if lines else tuple(name for name, ends in own if not ends)
    drawn = tuple((zone.name, zone.pixels(size)) for zone in zones)
    knows_size = object_size is not None
    return Counting(size, tuple(kept), drawn, overcrowding, outside, tracking, overlaps, knows_size)


def analytics_file(about: Counting) -> bytes:
    """The config of Gst-nvdsanalytics."""
    size = about.size
    zones = tuple(Entry(f"roi-{name}", tuple(chain(*points))) for name, points in about.zones)
    lines = tuple(
        Entry(f"line-crossing-{way}", values)
        for name, ends in about.lines
        for way, values in directions(name, ends, size)
    )
    every = Entry("class-id", -1, "-1: all; or numbers of labels, from 0, with ; between them.")
    on = Entry("enable", 1)
    width = Entry("config-width", size[0], "What x and y are counted in; any size of the frame's shape.")
    shown = Entry("osd-mode", 2, "0: draw nothing, 1: names, 2: counts, too."), Entry("display-font-size", 12)
    groups = [Group("property", ((on, width, Entry("config-height", size[1]), *shown),))]
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


def directions(name: str, ends: Sequence[int], size: tuple[int, int]) -> list[tuple[str, Values]]:
    """Name and eight numbers of both directions of a line, in pixels of `size`.

    Raises:
        PresetError: it is shorter than a pixel.
    """
    x1, y1, x2, y2 = ends
    if (x1, y1) == (x2, y2):
        message = f"line {name} is shorter than a pixel of {size[0]}x{size[1]}"
        raise errors.PresetError(message, hint="draw a longer one")
    found = []
    for values in entries((x1, y1, x2, y2), size):
        x, y = values[2] - values[0], values[3] - values[1]  # where the arrow points, of four ways
        way = ("right" if x > 0 else "left") if abs(x) > abs(y) else ("down" if y > 0 else "up")
        found.append((f"{name}-{way}", values))
    return found


def _recorded(
    export: types.Export, framing: images.Framing | None, size: tuple[int, int], object_size: tuple[float, float] | None
) -> list[tuple[str, tuple[int, ...]]]:
    """The export's own lines in pixels of the frame; () where nothing of it is inside."""
    recorded, (height, width, *_) = export.metadata, export.facts.input.sides
    scaled = framing is not None or recorded.resize_mode is images.ResizeMode.FIT_LONGEST
    mode = (recorded.resize_mode if scaled else None) or images.ResizeMode.SQUASH
    place = placement(mode, (width, height), size, anchor=recorded.anchor)

    def moved(line: Segment) -> Segment | None:
        if object_size is None:
            return line
        inside = clipped(line, (width, height))
        return inside and fitted(inside, (width, height), object_size)

    lines = map(moved, recorded.segments or ())
    return [
        (f"line{number}", (line and clipped(place.place(line), size)) or ()) for number, line in enumerate(lines, 1)
    ]


def _object_size(export: types.Export, box: float) -> tuple[float, float] | None:
    """Width and height of an object in pixels of the model's picture; None: it is not known."""
    (_, height, width, *_), grid = export.facts.input.shape, export.facts.outputs[0].shape
    if not head(export.facts.task).merges_cells or len(grid) != 4 or not (height and width and grid[1] and grid[2]):
        return None
    return box * width / grid[2], box * height / grid[1]


def counting_findings(
    about: Counting, recorded: types.Metadata, target: Target, file: str
) -> tuple[findings.Finding, ...]:
    """What of an export's own blocks, as it `recorded` them, DeepStream cannot do, or does otherwise.

    `file` is what `analytics_file` is written to, where there is anything to count at.
    """
    found, path = [], file if about.counts else None
    if recorded.tracking is not None:
        other = "no prediction of where an object goes, and the best pairs first"
        if recorded.tracking != about.tracking or not recorded.tracking.by_overlap:
            wanted = f"{recorded.tracking.threshold:g}"
            wanted = f"one above {wanted}" if recorded.tracking.by_overlap else f"a distance below {wanted} pixels"
            other = f"any overlap of boxes is enough, instead of {wanted}"
        so = f"is carried over, but for this: {other}"
        if not about.writes_tracker(target):
            files = tracker(target)
            so = f"is not carried over: the SDK's own tracker runs, {sdk_path(target, files.config or files.library)}"
        found.append(TRACKING_DIFFERS.found(f"the export's tracking block {so}", path=path))
    if not recorded.segments:
        return tuple(found)
    if about.outside is None:
        message = f"--line replaces the {_count(len(recorded.segments))} of the export's counting block"
        found.append(COUNTING_DIFFERS.found(message, path=path))
    elif about.lines:
        message = (
            f"the {_count(len(about.lines))} of the export's counting block: each object is counted once a direction"
        )
        if not about.knows_size:
            message += "; where its lower edge crosses, not its middle, since the size of objects is not known"
        found.append(COUNTING_DIFFERS.found(message, path=path))
    so = "" if about.counts else ", and nothing is counted"
    found += [
        LINE_OUTSIDE.found(f"{name} of the export's counting block lies outside the frame{so}", path=path)
        for name in about.outside or ()
    ]
    return tuple(found)


def _count(number: int) -> str:
    return "line" if number == 1 else f"{number} lines"


def tracker_file(tracking: types.Tracking, target: Target) -> bytes:
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
