"""Counting at lines and in zones, against what NVIDIA's and Edge Impulse's own code counted."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.counting import (
    CrossingCounter,
    Line,
    LineCounter,
    Mode,
    Reason,
    Tracked,
    Zone,
    clipped,
    entries,
    fitted,
    placement,
)
from convert.images import ResizeMode

if TYPE_CHECKING:
    from collections.abc import Iterable

KINDS = (
    "curved", "edge", "end_pass", "fast", "gap", "jumping", "loiter", "many", "parallel", "reversing", "reversing_slow",
    "slow", "smooth", "touching",
)  # fmt: skip
WAYS = {
    "loose": (Mode.LOOSE, False, 50),
    "balanced": (Mode.BALANCED, False, 50),
    "strict": (Mode.STRICT, False, 50),
    "loose_extended": (Mode.LOOSE, True, 50),
    "loose_history_20": (Mode.LOOSE, False, 20),
}
FRAME = (1280, 720)
DOWN = (640, 300, 640, 420, 400, 360, 800, 360)
UP = (640, 420, 640, 300, 400, 360, 800, 360)


def edge_impulse_count(segment: Any, tracks: Iterable[Any]) -> int:
    """How often Edge Impulse counts at `segment`: each track has a box or None for each frame."""
    counter = CrossingCounter([segment])
    for id_, track in enumerate(tracks):
        for box in track:
            if box is not None:
                counter.update([(id_, *box)])
    return counter.counts[0]


def frames_of(case: dict[str, Any]) -> list[list[Tracked]]:
    scale_x, scale_y = (have / want for have, want in zip(case["frame"], case["model"], strict=True))
    last = max(map(len, case["objects"].values()))
    return [
        [
            Tracked(int(key), 0, int(x * scale_x), int(y * scale_y), int(width * scale_x), int(height * scale_y))
            for key, boxes in case["objects"].items()
            for x, y, width, height in filter(None, boxes[index : index + 1])
        ]
        for index in range(last)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_lines_count_as_recorded(vectors: Path, kind: str) -> None:
    for case in json.loads((vectors / "analytics" / f"{kind}.json").read_text("utf-8"))["cases"]:
        frames, frame, config = frames_of(case), tuple(case["frame"]), tuple(case["nvidia"]["config"])
        for placed in ("raw", "mapped"):
            recorded = case["nvidia"][placed]
            segment = tuple(case["segment"])
            if placed == "mapped":
                segment = fitted(segment, config, recorded["object_size"])
            assert [list(each) for each in entries(segment, config)] == recorded["entries"]
            for name, (mode, extended, history) in WAYS.items():
                lines = [Line(str(i), tuple(each), mode, extended) for i, each in enumerate(recorded["entries"])]
                counter = LineCounter(lines, config, frame, history=history)
                events = [each for i, objects in enumerate(frames) for each in counter.update(objects, i * 33.3333)]
                assert counter.counts == recorded[name], (case["name"], placed, name)
                if name == "loose":
                    assert [list(each) for each in events] == recorded["loose_events"]
        counted = edge_impulse_count(case["segment"], case["objects"].values())
        assert counted == case["edge_impulse"]["count_true_ids"], case["name"]


def test_segments_land_in_the_frame_where_recorded(vectors: Path) -> None:
    for case in json.loads((vectors / "analytics/coordinates.json").read_text("utf-8"))["cases"]:
        place = placement(ResizeMode(case["resize"]), case["model"], case["frame"])
        assert list(place) == pytest.approx([*case["offset"], *case["scale"]], abs=1e-6)
        segment = place.place(case["segment"])
        assert list(segment) == pytest.approx(case["in_frame"], abs=1e-3)
        inside = clipped(segment, case["frame"])
        assert (inside and list(inside)) == case["clipped"]


def walk(boxes: Iterable[tuple[int, int]], *lines: Line, size: int = 60, **options: Any) -> LineCounter:
    """The counter after an object's way, given as its left and top in each frame."""
    counter = LineCounter(lines, FRAME, FRAME, **options)
    for index, (left, top) in enumerate(boxes):
        counter.update([Tracked(7, 2, left, top, size, size)], index * 40)
    return counter


def down(left: int = 600, start: int = 100, stop: int = 500, step: int = 10) -> list[tuple[int, int]]:
    return [(left, top) for top in range(start, stop, step)]


@pytest.mark.parametrize(
    ("boxes", "reason"),
    [
        (down()[:3], Reason.FRAMES),
        (down(start=290, stop=310, step=1), Reason.DISTANCE),
        (down(stop=250), Reason.SIDE),
        (down()[::-1], Reason.DIRECTION),
        (down(left=900), Reason.END),
        (down(), Reason.COUNTED),
        (down() + down()[::-1] + down(), Reason.REPEATED),
    ],
)
def test_why_an_object_is_not_counted(boxes: list[tuple[int, int]], reason: Reason) -> None:
    counter = walk(boxes, Line("A", DOWN, extended=False))
    assert counter.reasons == {(7, 0): reason}
    assert counter.counts == [reason >= Reason.COUNTED]


@pytest.mark.parametrize(
    ("mode", "start", "stop", "reason"),
    [
        (Mode.LOOSE, 300, 359, Reason.SIDE),
        (Mode.LOOSE, 300, 360, Reason.COUNTED),
        (Mode.LOOSE, 300, 361, Reason.COUNTED),
        (Mode.LOOSE, 359, 420, Reason.COUNTED),
        (Mode.LOOSE, 360, 420, Reason.SIDE),
        (Mode.LOOSE, 420, 361, Reason.SIDE),
        (Mode.LOOSE, 420, 360, Reason.DIRECTION),
        (Mode.LOOSE, 361, 300, Reason.DIRECTION),
        (Mode.LOOSE, 360, 300, Reason.SIDE),
        (Mode.BALANCED, 300, 360, Reason.SIDE),
        (Mode.BALANCED, 300, 361, Reason.COUNTED),
        (Mode.BALANCED, 359, 420, Reason.COUNTED),
        (Mode.BALANCED, 360, 420, Reason.SIDE),
        (Mode.BALANCED, 420, 360, Reason.SIDE),
        (Mode.BALANCED, 420, 359, Reason.DIRECTION),
        (Mode.BALANCED, 361, 300, Reason.DIRECTION),
        (Mode.BALANCED, 360, 300, Reason.SIDE),
    ],
)
def test_a_crossing_by_one_pixel(mode: Mode, start: int, stop: int, reason: Reason) -> None:
    """Of the lower edge, over a line at 360."""
    way = [(600, start - 60)] * 20 + [(600, stop - 60)]
    assert walk(way, Line("A", DOWN, mode)).reasons == {(7, 0): reason}


def test_a_line_of_one_pixel_counts_what_meets_it_between_its_ends() -> None:
    line = Line("A", (640, 300, 640, 420, 600, 360, 601, 360), extended=False)
    for left, reason in ((570, Reason.COUNTED), (569, Reason.END), (571, Reason.END)):
        way = [(left, 280)] * 4 + [(left + 1, 320)]
        assert walk(way, line).reasons == {(7, 0): reason}


@pytest.mark.parametrize(("across", "along"), [(30, 10), (10, 30), (-30, 10), (-10, -30)])
def test_an_object_must_have_moved_further_than_the_root_of_1000_pixels(across: int, along: int) -> None:
    for further, reason in ((0, Reason.DISTANCE), (1, Reason.SIDE)):
        moved = 900 + across, 200 + along + (further if along > 0 else -further)
        counter = walk([(900, 200)] * 5 + [moved], Line("A", DOWN, extended=False))
        assert counter.reasons == {(7, 0): reason}


@pytest.mark.parametrize(
    ("frames", "apart", "reason"),
    [
        (3, 128, Reason.FRAMES),
        (9, 128, Reason.DISTANCE),
        (10, 124, Reason.DISTANCE),
        (10, 128, Reason.SIDE),
        (11, 128, Reason.SIDE),
    ],
)
def test_once_the_history_is_full_a_way_starts_at_the_mean_of_the_oldest_four_places(
    frames: int, apart: int, reason: Reason
) -> None:
    """Before that at the mean of the first two. Only the third place is elsewhere."""
    way = [(900, 200 + apart * (index == 2)) for index in range(frames)]
    assert walk(way, Line("A", DOWN, extended=False), history=10).reasons == {(7, 0): reason}


@pytest.mark.parametrize(("end", "downwards", "upwards"), [((650, 362), 0, 1), ((550, 362), 1, 0)])
def test_an_arrow_that_starts_on_the_line_leads_to_the_side_of_its_end(
    end: tuple[int, int], downwards: int, upwards: int
) -> None:
    """Here half a pixel above or below the line."""
    line = Line("A", (600, 362, *end, 400, 360, 800, 364))
    assert walk(down(), line).counts == [downwards]
    assert walk(down()[::-1], line).counts == [upwards]


@pytest.mark.parametrize(
    ("mode", "frames", "near", "far"),
    [(Mode.LOOSE, 3, (10, 30), (1, 32)), (Mode.BALANCED, 10, (9, 54), (20, 51)), (Mode.STRICT, 20, (15, 75), (15, 76))],
)
def test_how_long_an_object_is_seen_and_how_far_it_goes(
    mode: Mode, frames: int, near: tuple[int, int], far: tuple[int, int]
) -> None:
    """More than 1000, 3000 or 6000 squared pixels."""
    for count, (across, along), reason in (
        (frames, far, Reason.FRAMES),
        (frames + 1, near, Reason.DISTANCE),
        (frames + 1, far, Reason.SIDE),
    ):
        way = [(900, 100)] * (count - 1) + [(900 + across, 100 + along)]
        assert walk(way, Line("A", DOWN, mode)).reasons == {(7, 0): reason}


@pytest.mark.parametrize(
    ("mode", "arrow", "step", "count"),
    [
        (Mode.BALANCED, DOWN[:4], (17, 10), 1),
        (Mode.BALANCED, DOWN[:4], (18, 10), 0),
        (Mode.LOOSE, (400, 360, 800, 360), (1, 9), 1),
        (Mode.LOOSE, (400, 360, 800, 360), (1, 12), 0),
    ],
)
def test_how_near_to_the_arrow_an_object_goes(
    mode: Mode, arrow: tuple[int, int, int, int], step: tuple[int, int], count: int
) -> None:
    """A cosine of 0.5, or of 0.1, which counts in loose mode where the arrow lies along the line."""
    way = [(200 + step[0] * index, 100 + step[1] * index) for index in range(40)]
    assert walk(way, Line("A", (*arrow, *DOWN[4:]), mode)).counts == [count]


@pytest.mark.parametrize(("across", "count"), [(5, 1), (6, 0), (-5, 1), (-6, 0)])
def test_the_least_cosine_of_a_strict_line_is_a_32_bit_float(across: int, count: int) -> None:
    """8 pixels down and 6 across is a cosine of 0.8 exactly; the least one is 0.800000012."""
    way = [(600 + across * index, 100 + 8 * index) for index in range(40)]
    assert walk(way, Line("A", DOWN, Mode.STRICT)).counts == [count]


def test_an_object_counts_again_once_it_was_unseen_for_more_than_8_seconds() -> None:
    way = down(stop=400)
    for gap, counts in ((8000, [1]), (8001, [2])):
        counter = LineCounter([Line("A", DOWN)], FRAME, FRAME)
        for start in (0, len(way) * 40 - 40 + gap):
            for index, (left, top) in enumerate(way):
                counter.update([Tracked(7, 0, left, top, 60, 60)], start + index * 40)
        assert counter.counts == counts


@pytest.mark.parametrize(("classes", "count"), [((), 1), ((-1,), 1), ((2,), 1), ((1, 3), 0)])
def test_a_line_counts_the_classes_it_names(classes: tuple[int, ...], count: int) -> None:
    assert walk(down(), Line("A", DOWN, classes=classes)).counts == [count]


def test_a_line_without_length_never_counts() -> None:
    point = (640, 300, 640, 420, 640, 360, 640, 360)
    assert (
        walk(down(), *(Line(mode, point, mode, extended) for mode in Mode for extended in (False, True))).counts
        == [0] * 6
    )


def test_an_arrow_along_the_line_counts_only_what_moves_that_way_too() -> None:
    line = Line("A", (400, 360, 800, 360, 400, 360, 800, 360))
    assert walk(down(), line).counts == [0]
    assert walk([(300 + top, top) for _, top in down()], line).counts == [1]
    assert walk([(300 + top, top) for _, top in down()][::-1], line).counts == [0]


def test_zones_hold_the_objects_whose_bottom_centre_is_inside() -> None:
    square = ((100, 100), (300, 100), (300, 300), (100, 300))
    zones = [Zone("in", square), Zone("out", square, inverse=True), Zone("none", square, classes=(5,))]
    counter = LineCounter([], FRAME, FRAME, zones=zones)
    for top, inside in ((30, False), (60, True), (200, True), (280, False)):
        counter = LineCounter([], FRAME, FRAME, zones=zones)
        counter.update([Tracked(7, 0, 150, top, 60, 60)], 0)
        assert counter.inside == [[7], [], []] if inside else [[], [7], []]


def test_zones_and_lines_are_scaled_from_the_config_to_the_frame() -> None:
    line = Line("A", (320, 75, 320, 105, 200, 90, 400, 90), extended=False)
    zone = Zone("Z", ((250, 90), (400, 90), (400, 180), (250, 180)))
    counter = LineCounter([line], (640, 180), FRAME, zones=[zone])
    inside = []
    for index, (left, top) in enumerate(down()):
        counter.update([Tracked(7, 0, left, top, 60, 60)], index * 40)
        inside.append(bool(counter.inside[0]))
    assert counter.counts == [1]
    assert inside.index(True) == next(i for i, (_, top) in enumerate(down()) if top + 60 >= 360)


def test_edge_impulse_counts_every_crossing() -> None:
    counter = CrossingCounter([(0, 48, 96, 48)])
    tops = [10, 30, 60, 30, 60]
    found = [each.frame for top in tops for each in counter.update([(1, 40, top, 8, 8)])]
    assert found == [2, 3, 4]
    assert counter.counts == [3]


def made_up(seed: int) -> tuple[LineCounter, list[list[Tracked]], list[Line], list[Zone]]:
    """A counter for three lines and two zones in frames of 640x480, and 60 frames with two objects."""
    dice = Random(seed).random  # the same numbers in every Python

    def point() -> tuple[int, int]:
        return int(dice() * 321), int(dice() * 241)

    lines = [
        Line(str(i), (*point(), *point(), *point(), *point()), list(Mode)[int(dice() * 3)], dice() < 0.4)
        for i in range(3)
    ]
    zones = [Zone(str(i), tuple(point() for _ in range(3 + int(dice() * 4))), inverse=dice() < 0.2) for i in range(2)]
    objects = [
        [dice() * 500, dice() * 300, dice() * 24 - 12, dice() * 24 - 12, 30 + dice() * 90, 30 + dice() * 90]
        for _ in "12"
    ]
    frames = []
    for _ in range(60):
        frames.append([Tracked(i, 0, *(max(0, int(each[k])) for k in (0, 1, 4, 5))) for i, each in enumerate(objects)])
        for each in objects:
            for k, step in ((0, each[2]), (1, each[3]), (4, dice() * 6 - 3), (5, dice() * 6 - 3)):
                each[k] += step
    return LineCounter(lines, (320, 240), (640, 480), zones=zones, history=(50, 20)[seed % 2]), frames, lines, zones


def test_made_up_scenes_count_as_nvidias_code_counted_them() -> None:
    """tests/counting.json: seed, frame, object and line of each count, and how often objects were in each zone."""
    recorded = json.loads(Path(__file__).with_name("counting.json").read_text("utf-8"))
    for seed, events, inside in recorded:
        counter, frames, _, zones = made_up(seed)
        found, held = [], [0] * len(zones)
        for index, objects in enumerate(frames):
            found += [list(each) for each in counter.update(objects, index * 40)]
            held = [before + len(ids) for before, ids in zip(held, counter.inside, strict=True)]
        assert (found, held) == (events, inside), seed


@given(
    st.tuples(*[st.integers(-500, 2500)] * 4),
    st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    st.tuples(*[st.integers(0, 300)] * 2),
)
def test_lines_stay_in_the_frame(
    segment: tuple[int, int, int, int], frame: tuple[int, int], box: tuple[int, int]
) -> None:
    inside = clipped(segment, frame)
    if inside is None:
        return
    for entry in entries(fitted(inside, frame, box), frame):
        assert all(0 <= value < frame[i % 2] for i, value in enumerate(entry))
    one, other = entries(fitted(inside, frame, box), frame)
    assert one[:2] == other[2:4]
    assert one[4:] == other[4:]


@given(st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 650)), max_size=80), st.sampled_from(Mode))
def test_opposite_arrows_share_the_crossings(way: list[tuple[int, int]], mode: Mode) -> None:
    """Each entry counts an object once, and only where it changed sides."""
    counter = walk(way, Line("A", DOWN, mode), Line("B", UP, mode))
    assert max(counter.counts) <= 1
    bottoms = [top + 60 for _, top in way]
    if not any((a < 360) != (b < 360) for a, b in pairwise(bottoms)):
        assert counter.counts == [0, 0]


@pytest.mark.parametrize("line", [(640, 200, 640, 500), (640, 500, 640, 200)])
def test_a_level_arrow_may_start_on_an_upright_line(line: tuple[int, int, int, int]) -> None:
    to_the_right = [(left, 300) for left in range(500, 800, 10)]
    for end, rightwards, leftwards in ((700, 1, 0), (580, 0, 1)):
        entry = Line("A", (640, 360, end, 360, *line))
        assert walk(to_the_right, entry).counts == [rightwards]
        assert walk(to_the_right[::-1], entry).counts == [leftwards]


@pytest.mark.parametrize(("at", "inside"), [(-1, False), (0, True), (99, True), (100, False)])
def test_a_line_along_the_edge_of_the_frame_is_inside(at: int, inside: bool) -> None:
    for line in ((at, 10, at, 50), (10, at, 50, at)):
        assert clipped(line, (100, 100)) == (line if inside else None)


@pytest.mark.parametrize(
    ("segment", "box", "moved"),
    [
        ((10, 50, 90, 50), (20, 10), (20, 55, 80, 55)),
        ((10, 50, 90, 50), (200, 10), (49, 55, 51, 55)),  # two pixels stay
        ((10, 50, 12, 50), (20, 10), (10, 55, 12, 55)),
        ((10, 50, 11, 50), (20, 10), (10, 55, 11, 55)),
        ((50, 10, 50, 60), (20, 10), (50, 15, 50, 65)),
        ((90, 70, 10, 70), (20, 30), (80, 79, 20, 79)),  # the lowest row is 79
    ],
)
def test_a_line_for_centres_is_moved_and_shortened(segment: Any, box: Any, moved: Any) -> None:
    assert fitted(segment, (100, 80), box) == moved


@pytest.mark.parametrize(
    ("segment", "start", "end"),
    [
        ((10, 50, 90, 50), (50, 34), (50, 66)),
        ((90, 50, 10, 50), (50, 66), (50, 34)),
        ((10, 2, 90, 2), (50, 0), (50, 18)),
        ((10, 78, 90, 78), (50, 62), (50, 79)),
        ((0, 10, 0, 70), (16, 40), (0, 40)),
        ((99, 10, 99, 70), (99, 40), (83, 40)),
    ],
)
def test_an_arrow_crosses_the_middle_of_a_line_and_stays_in_the_frame(segment: Any, start: Any, end: Any) -> None:
    assert entries(segment, (100, 80)) == ((*start, *end, *segment), (*end, *start, *segment))


def test_a_corner_of_the_frame_is_no_line() -> None:
    assert clipped((-10, 10, 10, -10), (100, 100)) is None
