"""The replacement tracker, and counts at the lines of an app: made-up ways of objects, and the belt of the samples."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import convert
from convert.counting import Line, Zone, entries
from convert.emit import Emit
from convert.emit.analytics import tracker_file
from convert.errors import InputError, PresetError
from convert.images import ResizeMode, parse_line
from convert.images.scaling import Rect
from convert.nvinfer.targets import target
from convert.simulate.job import counting
from convert.simulate.results import DetectedObject, Difference, FrameResult, Passage, Uncounted, ZoneCount
from convert.simulate.tracking import Counting, OverlapTracker, OwnLines, Setup, own_lines, setup_of
from convert.types import Tracking
from tests.emit.test_analytics import TRACKED, fomo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from convert.simulate.results import Counts

SAMPLES = Path(__file__).parents[2] / "samples"
SIZE = (640, 360)


def lines(*ends: tuple[int, int, int, int]) -> tuple[Line, ...]:
    return tuple(
        Line(f"line{number}-{way}", values, extended=False)
        for number, each in enumerate(ends)
        for way, values in zip("ab", entries(each, SIZE), strict=True)
    )


SETUP = Setup(Path("counts.txt"), SIZE, lines((320, 0, 320, 359)), (), stands_for="tracker.yml")


def frames(*ways: Callable[[int], tuple[float, float] | None], count: int = 40) -> Iterable[FrameResult]:
    """Objects of 60 pixels, whose left top corner each way says for every frame."""
    for number in range(count):
        places = [place for way in ways if (place := way(number)) is not None]
        objects = tuple(DetectedObject(1, 0, "fruit", 0.9, Rect(x, y, 60, 60)) for x, y in places)
        yield FrameResult(f"frame-{number}", Path(f"{number}.jpg"), *SIZE, None, objects)


def counted(setup: Setup, *ways: Callable[[int], tuple[float, float] | None], count: int = 40) -> Counts:
    counting = Counting(setup, edge_impulse=True)
    for frame in frames(*ways, count=count):
        counting(frame)
    (result,) = counting.results()
    return result


def box(left: float, top: float = 0, side: float = 10) -> Rect:
    return Rect(left, top, side, side)


@pytest.mark.parametrize(
    ("mode", "size", "numbers"),
    [
        (ResizeMode.SQUASH, (640, 480), (18, 24, 9, 12)),
        (ResizeMode.FIT_SHORTEST, (640, 480), (8, 24, 12, 12)),
        (ResizeMode.FIT_SHORTEST, (480, 640), (24, 8, 12, 12)),
        (ResizeMode.FIT_LONGEST, (640, 480), (18, 30, 9, 9)),
        (ResizeMode.FIT_LONGEST, (480, 640), (30, 18, 9, 9)),
    ],
)
def test_boxes_of_the_frame_in_the_model_s_picture(
    mode: ResizeMode, size: tuple[int, int], numbers: tuple[int, ...]
) -> None:
    """A part of the frame is cut off at the left or the top, or black bars are there."""
    found = tuple(DetectedObject(1, 0, "fruit", 0.9, Rect(120, 120, side, side)) for side in (60, 1))
    frame = FrameResult("x", Path("x.jpg"), *size, None, found)
    assert list(OwnLines((), (96, 96), mode).boxes(frame, (7, 0))) == [(7, *numbers)]


def test_boxes_of_the_frame_are_rounded_to_pixels_of_the_model() -> None:
    found = tuple(
        DetectedObject(1, 0, "fruit", 0.9, Rect(*sides)) for sides in ((121, 122, 63, 66), (124, 123, 65, 68))
    )
    frame = FrameResult("x", Path("x.jpg"), 640, 480, None, found)
    assert list(OwnLines((), (96, 96)).boxes(frame, (7, 8))) == [(7, 18, 24, 9, 13), (8, 19, 25, 10, 14)]


def test_an_object_keeps_its_number_while_it_overlaps() -> None:
    tracker = OverlapTracker(SETUP)
    assert tracker.update([(0, box(0)), (0, box(50))]) == [1, 2]
    assert tracker.update([(0, box(55)), (0, box(4))]) == [2, 1]
    assert tracker.update([(0, box(14))]) == [3], "boxes side by side have nothing in common"


def test_the_best_pair_comes_first() -> None:
    tracker = OverlapTracker(SETUP)
    tracker.update([(0, box(0)), (0, box(8))])
    assert tracker.update([(0, box(7))]) == [2]


@pytest.mark.parametrize(
    ("known", "given", "numbers"),
    [
        ((8, 0), (7,), [1]),
        ((0, 8), (7,), [2]),
        ((0, 8), (4,), [1]),  # both as far: the older one
        ((0,), (4, 3), [2, 1]),
        ((0,), (3, 4), [1, 2]),
        ((5,), (1, 9), [1, 2]),  # both as far: the first one
        ((0, 8, 16), (15, 1, 9), [3, 1, 2]),
        ((0,), (10,), [2]),
    ],
)
def test_which_pair_comes_first(known: tuple[int, ...], given: tuple[int, ...], numbers: list[int]) -> None:
    """By overlap, whatever the order of objects and boxes."""
    tracker = OverlapTracker(SETUP)
    tracker.update([(0, box(left)) for left in known])
    assert tracker.update([(0, box(left)) for left in given]) == numbers


def test_boxes_that_overlap_as_much_as_is_asked_for() -> None:
    for least, number in ((1 / 3, 1), (0.34, 2)):
        tracker = OverlapTracker(replace(SETUP, overlap=least))
        tracker.update([(0, box(0))])
        assert tracker.update([(0, box(5))]) == [number], "50 of 150 pixels are in both"


def test_an_object_may_be_missing_for_some_frames() -> None:
    for missing, number in ((SETUP.age, 1), (SETUP.age + 1, 2)):
        tracker = OverlapTracker(SETUP)
        tracker.update([(0, box(0))])
        for _ in range(missing):
            tracker.update([])
        assert tracker.update([(0, box(0))]) == [number]


def test_what_the_trackers_config_says(tmp_path: Path) -> None:
    strict = replace(SETUP, overlap=0.6, hits=2, same_class=True)
    tracker = OverlapTracker(strict)
    assert [tracker.update([(0, box(0))]) for _ in range(3)] == [[0], [0], [1]]
    assert tracker.update([(1, box(0))]) == [0]
    assert tracker.update([(0, box(5))]) == [0]
    app = tmp_path / "app.txt"
    app.write_text(
        "[tracker]\nenable=1\nll-config-file=tracker.yml\n[nvds-analytics]\nenable=1\nconfig-file=counts.txt\n"
        "[streammux]\nwidth=1280\nheight=720\n[primary-gie]\nenable=1\nconfig-file=infer.txt\n"
    )
    (tmp_path / "tracker.yml").write_bytes(tracker_file(Tracking(True, 9, 2, 0.25, True), target("7.1", "jetson")))
    text = (
        "[property]\nenable=1\nconfig-width=640\nconfig-height=360\nobj-cnt-win-in-ms=20\n"
        "[line-crossing-stream-0]\nenable=1\nline-crossing-a=1;2;3;4;5;6;7;8\nmode=strict\nextended=0\nclass-id=0;2\n"
        "[line-crossing-stream-1]\nenable=1\nline-crossing-b=1;2;3;4;5;6;7;8\n"
        "[overcrowding-stream-0]\nenable=1\nroi-c=0;0;9;0;9;9\nobject-threshold=2\nclass-id=-1\n"
    )
    (tmp_path / "counts.txt").write_text(text)
    setup = setup_of(app, target("9.1", "dgpu"))
    assert setup is not None
    assert (setup.size, setup.muxer, setup.history) == ((640, 360), (1280, 720), 20)
    assert (setup.overlap, setup.age, setup.hits, setup.same_class) == (0.25, 9, 2, True)
    assert [(each.label, each.mode, each.extended, each.classes) for each in setup.lines] == [
        ("a", "strict", False, (0, 2))
    ]
    assert setup.zones == (Zone("c", ((0, 0), (9, 0), (9, 9)), (-1,), False, 2),)
    older = setup_of(app, target("7.1", "jetson"))
    assert older is not None
    assert older.history == 50, "before 8.0 the window is of object counts only"
    (tmp_path / "counts.txt").write_text(text.replace("obj-cnt-win-in-ms=20", "osd-mode=7"))
    with pytest.raises(InputError, match=r"^Gst-nvdsanalytics refuses it"):
        setup_of(app, target("7.1", "jetson"))
    app.write_text(app.read_text().replace("[nvds-analytics]\nenable=1", "[nvds-analytics]\nenable=0"))
    assert setup_of(app, target("7.1", "jetson")) is None


def test_passages_and_why_others_are_none() -> None:
    result = counted(
        SETUP,
        lambda number: (200 + 5 * number, 20),  # passes to the right
        lambda number: (400 - 5 * number, 120),  # to the left
        lambda _: (100, 200),  # stays
        lambda number: (270 + 20 * number, 270) if number < 3 else None,  # gone at once
    )
    assert dict(result.lines) == {"line0-a": 1, "line0-b": 1}
    assert [(each.id, each.line) for each in result.passages] == [(1, "line0-b"), (2, "line0-a")]
    assert result.passages[0].seconds == pytest.approx(int(result.passages[0].frame[6:]) / 30)
    why = {each.why.split(" (")[0]: each.ids for each in result.uncounted}
    assert why == {"moved too little": (3,), "seen in too few frames": (4,)}
    assert result.edge_impulse == (("line0", 3),)
    assert [(each.id, each.deepstream, each.edge_impulse) for each in result.differences] == [(4, 0, 1)]
    assert result.differences[0].why.startswith("seen in too few frames")


@pytest.mark.parametrize(
    ("labels", "name"),
    [(("belt-left",), "belt-left"), (("belt-left", "belt-right"), "belt"), (("a-b", "c"), "a-b and c")],
)
def test_both_directions_of_a_line_have_one_name(labels: tuple[str, ...], name: str) -> None:
    both = [replace(each, label=label) for each, label in zip(SETUP.lines, labels, strict=False)]
    result = counted(replace(SETUP, lines=tuple(both)), lambda number: (200 + 5 * number, 20))
    assert result.edge_impulse is not None
    assert [each for each, _ in result.edge_impulse] == [name]


def test_crossing_again_counts_for_edge_impulse_alone() -> None:
    def to_and_fro(number: int) -> tuple[float, float]:
        step = number % 80
        return 200 + 5 * min(step, 80 - step), 100

    result = counted(SETUP, to_and_fro, count=240)
    assert sum(count for _, count in result.lines) == 2
    assert result.edge_impulse == (("line0", 6),)
    (one,) = result.differences
    assert (one.deepstream, one.edge_impulse) == (2, 6)
    assert one.why == "crossed it once more; an object counts once in each direction"


@pytest.mark.parametrize(
    ("top", "ours", "theirs", "why"),
    [
        (150, 0, 1, "passed beyond its end"),
        (60, 1, 0, "its lower edge crossed the line as it is written, its middle did not"),
    ],
)
def test_an_exports_own_lines_count_by_the_middle_in_pixels_of_the_model(
    top: int, ours: int, theirs: int, why: str
) -> None:
    """The model sees the middle 360x360 of the frame as 90x90; the app's line stands elsewhere."""
    own = OwnLines(((45, 40, 45, 89),), (90, 90), ResizeMode.FIT_SHORTEST)
    setup = replace(SETUP, lines=lines((320, 0, 320, 140)), own=own)
    setup = replace(setup, lines=tuple(replace(each, label=each.label.replace("0", "1")) for each in setup.lines))
    way = lambda number: (200 + 5 * number, top)  # noqa: E731
    result = counted(setup, way)
    assert result.edge_impulse == (("line1", theirs),)
    assert result.differences == (Difference("line1", 1, ours, theirs, why),)
    other = counted(replace(setup, own=replace(own, replaced=True)), way)
    assert other.edge_impulse == (("line1", ours), ("line1 of the export", theirs))
    assert not other.differences


def test_when_what_passed_which_line() -> None:
    """Pictures are 30 a second; the label is the one it had most often."""
    counting = Counting(SETUP)
    for number, frame in enumerate(frames(lambda at: (200 + 5 * at, 20))):
        label = "other" if number in {0, 18} else "fruit"
        counting(replace(frame, objects=tuple(replace(each, label=label) for each in frame.objects)))
    (result,) = counting.results()
    assert result.passages == (Passage("frame-18", 18 / 30, 1, "fruit", "line0-b"),)


def test_an_object_whose_middle_alone_crosses() -> None:
    """The line lies along the way; the object rises above it and comes back, its lower edge stays below."""
    setup = replace(SETUP, lines=lines((0, 200, 639, 200)))
    result = counted(setup, lambda number: (5 * number, 150 if 12 < number < 30 else 180))
    turned = "its middle crossed; its lower edge did not, or came back before its old place was forgotten"
    assert result.differences == (Difference("line0", 1, 0, 2, turned),)
    assert result.uncounted == (Uncounted("line0", "stayed on one side of it", (1,)),)


def test_which_lines_an_export_counts_at(tmp_path: Path) -> None:
    Emit(tmp_path / "own")(fomo(tmp_path, TRACKED), tmp_path)
    Emit(tmp_path / "other", line=(parse_line("belt:0.5,0,0.5,1"),))(fomo(tmp_path, TRACKED), tmp_path)
    own, other = (own_lines(tmp_path / name) for name in ("own", "other"))
    assert own == OwnLines(TRACKED.segments or (), (96, 96))
    assert other == replace(own, replaced=True)
    assert own_lines(tmp_path) is None


def test_zones_and_what_is_drawn() -> None:
    corners = ((0, 0), (320, 0), (320, 359), (0, 359))
    setup = replace(SETUP, zones=(Zone("left", corners), Zone("left", corners, threshold=2)))
    counting = Counting(setup)
    given = frames(lambda at: (10 + 8 * at, 0), lambda _: (0, 200))
    first, *rest, last = (counting(frame) for frame in given)
    assert first.counted is not None
    assert last.counted is not None
    assert [each.counts for each in last.counted.shown] == [(("line0-a", 0), ("line0-b", 1)), (("left", 1),)]
    assert last.counted.ids == (1, 2)
    assert (first.counted.crowded, last.counted.crowded) == (("left",), ())
    assert last.counted.shown[0].points == ((320, 0), (320, 359))
    crowds = sum("left" in each.counted.crowded for each in (first, *rest, last) if each.counted)
    (counts,) = counting.results()
    assert counts.zones == (ZoneCount("left", 2), ZoneCount("left", 2, 2, crowds))
    assert counts.totals[-2:] == [("left", "at most 2 at once"), ("left", f"2 or more in {crowds} frames")]


@pytest.mark.parametrize("muxer", [None, (640, 360), (320, 180)])
def test_frames_of_another_size_than_the_config_s(muxer: tuple[int, int] | None) -> None:
    """Lines and zones lie at the same shares of every frame, and are drawn in its own pixels."""
    zone = Zone("left", ((0, 0), (320, 0), (320, 359), (0, 359)))
    setup = replace(SETUP, zones=(zone,), muxer=muxer)
    counting = Counting(setup, edge_impulse=True)
    for small in frames(lambda at: (200 + 5 * at, 20), lambda _: (100, 200)):
        found = tuple(
            replace(one, box=Rect(2 * one.box.left, 3 * one.box.top, 2 * one.box.width, 3 * one.box.height))
            for one in small.objects
        )
        frame = counting(replace(small, width=1280, height=1080, objects=found))
    assert frame.counted is not None
    assert [each.points for each in frame.counted.shown] == [
        ((640, 0), (640, 1077)),
        ((0, 0), (640, 0), (640, 1077), (0, 1077)),
    ]
    (result,) = counting.results()
    assert result.size == (muxer or (1280, 1080))
    assert dict(result.lines) == {"line0-a": 0, "line0-b": 1}
    assert (result.edge_impulse, result.zones) == ((("line0", 1),), (ZoneCount("left", 2),))


_BELT = "belt:0.5,0,0.5,1"


def test_twelve_fruits_on_a_belt(emitted: Callable[..., Path], tmp_path: Path) -> None:
    pytest.importorskip("av")
    bundle = emitted(SAMPLES / "exports" / "table-yolov5-2025.zip", "--line", _BELT)
    result = convert.simulate(bundle, SAMPLES / "belt.mp4", tmp_path / "shown", every=3, count_as="edge-impulse")
    (counts,) = result.simulation.counts
    assert dict(counts.lines) == {"belt-left": 12, "belt-right": 0}
    assert counts.edge_impulse == (("belt", 12),)
    assert len({each.id for each in counts.passages}) == 12
    page = (tmp_path / "shown" / "report.html").read_text()
    assert "belt-left 12" in page
    assert "replacement" in page
    assert (tmp_path / "shown" / "video" / "belt.mp4").stat().st_size > 10_000


def test_a_config_that_is_refused_is_said_and_the_rest_is_shown(emitted: Callable[..., Path], tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(emitted(SAMPLES / "exports" / "table-fomo-2025.zip", "--line", _BELT), bundle)
    config = bundle / "config_nvdsanalytics_fruit-spotter.txt"
    config.write_text(config.read_text().replace("osd-mode=2", "osd-mode=7"))
    pictures = SAMPLES / "pictures" / "table"
    result = convert.simulate(bundle, pictures, tmp_path / "shown")
    assert "EI709" in [each.id for each in result.findings]
    assert not result.simulation.counts
    with pytest.raises(InputError, match=r"^Gst-nvdsanalytics refuses it"):
        convert.simulate(bundle, pictures, tmp_path / "shown", count_as="edge-impulse")
    config.unlink()
    assert "EI709" in [each.id for each in convert.simulate(bundle, pictures, tmp_path / "shown").findings]


def test_without_lines_nothing_can_be_counted(emitted: Callable[..., Path], tmp_path: Path) -> None:
    bundle = emitted(SAMPLES / "exports" / "table-fomo-2025.zip")
    with pytest.raises(PresetError, match=r"^--count-as is about lines") as caught:
        convert.simulate(bundle, SAMPLES / "pictures" / "table", tmp_path / "shown", count_as="edge-impulse")
    assert caught.value.hint == "convert with --line NAME:x1,y1,x2,y2"


_BESIDE = "[primary-gie]\nenable=1\nconfig-file=infer.txt\n"


@pytest.mark.parametrize(
    ("name", "text", "given", "found"),
    [
        ("app.txt", _BESIDE, False, True),
        ("app.txt", _BESIDE, True, True),
        ("app.txt", _BESIDE.replace("infer", "other"), False, False),
        ("app.txt", _BESIDE.replace("infer", "other"), True, True),
        ("app.txt", _BESIDE.replace("enable=1", "enable=0"), False, False),
        ("app.txt", f"{_BESIDE}[nvds-analytics]\nenable=0\n", False, False),
        ("below/app.txt", _BESIDE, False, False),
        ("app.txt", "", False, False),
    ],
)
def test_which_app_counts(name: str, text: str, given: bool, found: bool, tmp_path: Path) -> None:
    """The one that is given, else one beside the config that runs it and Gst-nvdsanalytics."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(APP.replace("[nvds-analytics]\nenable=1\n", "") + text if "nvds" in text else APP + text)
    (path.parent / "counts.txt").write_text(PROPERTY + LINE)
    config = tmp_path / "infer.txt"
    config.write_text("[property]\nonnx-file=m.onnx\n")
    where = target("9.1", "dgpu")
    counts, findings = counting(config, path if given else None, where, every=3, edge_impulse=False)
    assert (counts is not None, findings) == (found, ())
    if counts:
        assert (counts.every, counts.edge_impulse, counts.setup.path) == (3, False, tmp_path / "counts.txt")
        both, _ = counting(config, path if given else None, where, every=1, edge_impulse=True)
        assert both
        assert both.edge_impulse
    else:
        with pytest.raises(PresetError, match="--count-as is about lines"):
            counting(config, None, where, every=1, edge_impulse=True)


def test_an_app_whose_lines_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "app.txt").write_text(APP + _BESIDE)
    (tmp_path / "counts.txt").write_text(PROPERTY.replace("640", "0") + LINE)
    where = target("9.1", "dgpu")
    counts, (finding,) = counting(None, tmp_path / "app.txt", where, every=1, edge_impulse=False)
    assert counts is None
    assert (finding.id, finding.path) == ("EI709", str(tmp_path / "counts.txt"))
    assert (finding.message, finding.hint) == ("config-width or config-height is 0", "ei-deepstream check says more")
    with pytest.raises(InputError, match="config-width or config-height is 0"):
        counting(None, tmp_path / "app.txt", where, every=1, edge_impulse=True)


def test_an_object_of_another_class_is_said_to_be_one() -> None:
    other = tuple(replace(line, classes=(1,)) for line in SETUP.lines)
    result = counted(replace(SETUP, lines=other), lambda number: (100 + 10 * number, 100))
    (found,) = result.uncounted
    assert found.why == "of a class that the line does not count"


APP = """\
[streammux]
width=640
height=360
[tracker]
enable=1
ll-config-file=tracker.yml
[nvds-analytics]
enable=1
config-file=counts.txt
"""
PROPERTY = "[property]\nenable=1\nconfig-width=640\nconfig-height=360\n"


def test_a_zone_without_corners_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "app.txt").write_text(APP)
    (tmp_path / "counts.txt").write_text(f"{PROPERTY}[roi-filtering-stream-0]\nenable=1\nroi-z=\n")
    setup = setup_of(tmp_path / "app.txt", target("7.1", "jetson"))
    assert setup
    assert counted(setup, lambda number: (100 + 10 * number, 100)).objects == 1


def test_what_nvidias_parser_does_not_read_is_not_counted(tmp_path: Path) -> None:
    """A YAML file is read up to a line of seven numbers, without a word."""
    (tmp_path / "app.txt").write_text(APP.replace("counts.txt", "counts.yml"))
    (tmp_path / "counts.yml").write_text(
        "property:\n  enable: 1\n  config-width: 640\n  config-height: 360\n"
        "line-crossing-stream-0:\n  enable: 1\n  line-crossing-a: 1;2;3;4;5;6;7\n"
        "roi-filtering-stream-0:\n  enable: 1\n  roi-z: 0;0;640;0;640;360\n"
    )
    with pytest.raises(InputError, match=r"^Gst-nvdsanalytics does not read it whole: ") as caught:
        setup_of(tmp_path / "app.txt", target("7.1", "jetson"))
    assert caught.value.hint == "ei-deepstream check says more"


def test_a_trackers_config_may_begin_with_a_comment(tmp_path: Path) -> None:
    (tmp_path / "app.txt").write_text(APP)
    (tmp_path / "counts.txt").write_text(f"{PROPERTY}[roi-filtering-stream-0]\nenable=1\nroi-z=0;0;9;0;9;9\n")
    text = "# ours\n%YAML:1.0\nTargetManagement:\n  maxShadowTrackingAge: 7\n"
    (tmp_path / "tracker.yml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    setup = setup_of(tmp_path / "app.txt", target("7.1", "jetson"))
    assert setup
    assert setup.age == 7


LINE = "[line-crossing-stream-0]\nenable=1\nline-crossing-a=1;2;3;4;5;6;7;8\n"
ROI = "[roi-filtering-stream-0]\nenable=1\nroi-z=0;0;9;0;9;9\n"
CORNERS = ((0, 0), (9, 0), (9, 9))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"lines": (Line("a", (1, 2, 3, 4, 5, 6, 7, 8)),), "zones": (Zone("z", CORNERS),), "history": 50}),
        ({LINE: LINE.replace("enable=1", "enable=0"), ROI: ROI.replace("stream-0", "stream-1")}, {"zones": ()}),
        ({LINE: ""}, {"lines": ()}),
        ({LINE: LINE + "mode=balanced\nextended=0\n"}, {"lines[0].mode": "balanced", "lines[0].extended": False}),
        ({LINE: LINE + "class-id=1;3\n"}, {"lines[0].classes": (1, 3)}),
        ({ROI: ROI + "inverse-roi=1\nclass-id=2\n"}, {"zones": (Zone("z", CORNERS, (2,), True),)}),
        ({ROI: ROI.replace("roi-filtering", "overcrowding") + "object-threshold=3\n"}, {"zones[0].threshold": 3}),
        ({"width=640\nheight=360\n[tracker]": "width=640\n[tracker]"}, {"muxer": None}),
        ({"width=640\nheight=360\n[tracker]": "height=640\n[tracker]"}, {"muxer": None}),
        ({"ll-config-file=tracker.yml": "ll-lib-file=/opt/libnvds.so"}, {"stands_for": "libnvds.so", "age": 5}),
        ({"Age: 7": "Age: 7\n  minMatchingScore4Iou: 0.5"}, {"overlap": 0.5, "age": 7, "stands_for": "tracker.yml"}),
        ({"Age: 7": "Age: 7\n  visualTrackerType: 1"}, {"age": 5}),
        ({"Age: 7": "Age: 7\n  stateEstimatorType: 1"}, {"age": 5}),
        ({"Age: 7": "Age: .inf"}, {"age": 5}),
        ({"Age: 7": "Age: 7\n  probationAge: 3\n  checkClassMatch: 1"}, {"hits": 3, "same_class": True}),
        ({"enable=1\nconfig-width": "enable=0\nconfig-width"}, None),
        ({"[tracker]\nenable=1": "[tracker]\nenable=0"}, None),
    ],
)  # fmt: skip
def test_what_an_app_counts(changes: dict[str, str], expected: dict[str, object] | None, tmp_path: Path) -> None:
    files = {"app.txt": APP, "counts.txt": PROPERTY + LINE + ROI, "tracker.yml": "T:\n  maxShadowTrackingAge: 7\n"}
    for name, text in files.items():
        for old, new in changes.items():
            text = text.replace(old, new)  # noqa: PLW2901
        (tmp_path / name).write_text(text)
    setup = setup_of(tmp_path / "app.txt", target("9.1", "dgpu"))
    assert (setup is None) is (expected is None)
    for name, value in (expected or {}).items():
        found: object = setup
        for part in name.split("."):
            found = getattr(found, part.removesuffix("[0]"))
            found = found[0] if part.endswith("[0]") else found  # type: ignore[index]
        assert found == value, name


@pytest.mark.parametrize("count", [0, 7])
def test_a_line_without_its_eight_numbers_is_refused(count: int, tmp_path: Path) -> None:
    (tmp_path / "app.txt").write_text(APP)
    numbers = ";".join("12345678"[:count])
    (tmp_path / "counts.txt").write_text(PROPERTY + LINE.replace("1;2;3;4;5;6;7;8", numbers))
    with pytest.raises(InputError, match=rf"^line a has {count} numbers, and 8 are read$") as caught:
        setup_of(tmp_path / "app.txt", target("9.1", "dgpu"))
    assert (caught.value.path, caught.value.hint) == (str(tmp_path / "counts.txt"), "ei-deepstream check says more")


def test_of_a_line_eight_numbers_are_read(tmp_path: Path) -> None:
    (tmp_path / "app.txt").write_text(APP)
    (tmp_path / "counts.txt").write_text(PROPERTY + LINE.replace("7;8", "7;8;9"))
    setup = setup_of(tmp_path / "app.txt", target("9.1", "dgpu"))
    assert setup
    assert setup.lines == (Line("a", (1, 2, 3, 4, 5, 6, 7, 8)),)


@pytest.mark.parametrize("size", ["config-width=0\nconfig-height=360", "config-width=640\nconfig-height=0"])
def test_a_config_without_a_size_is_refused(size: str, tmp_path: Path) -> None:
    (tmp_path / "app.txt").write_text(APP)
    (tmp_path / "counts.txt").write_text(f"[property]\nenable=1\n{size}\n{ROI}")
    with pytest.raises(InputError, match=r"^config-width or config-height is 0$") as caught:
        setup_of(tmp_path / "app.txt", target("9.1", "dgpu"))
    assert caught.value.hint == "ei-deepstream check says more"
