"""--line and --zone: what they take, the configs of analytics and tracker, and that `check` finds nothing in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import convert
from convert.counting import CrossingCounter, Line, LineCounter, Mode, Tracked
from convert.emit import Emit, EmitPair, ValidatedPair
from convert.emit.analytics import Counting, counting, counting_findings
from convert.errors import PresetError
from convert.export.facts import onnx_facts
from convert.graph.adapt import Adapt, read_onnx
from convert.images import Frame, Mark, ResizeMode, parse_line, parse_zone
from convert.nvinfer.targets import target, targets
from convert.options import ConvertOptions, checked, refuse_contradictions
from convert.types import Adapted, Evidence, Export, Metadata, ModelFormat, Tracking, Translated, Validated
from tests.heads import synthetic

if TYPE_CHECKING:
    from collections.abc import Callable

ALL = [(each.deepstream, each.platform) for each in targets()]
LINE, ZONE = parse_line("belt:0.5,0,0.5,1"), parse_zone("desk:0,0.5;0.5,0.5;0.5,1;0,1")
NAMES = ("config_nvdsanalytics_fruit.txt", "config_tracker_fruit.yml")


def fomo(tmp_path: Path, metadata: Metadata | None = None, **options: Any) -> Validated:
    """A FOMO of 96x96 pixels and 12x12 cells that nobody trained."""
    path = tmp_path / "fruit.original.onnx"
    path.write_bytes(synthetic.heat_map(96, 96, 3, opset=11).SerializeToString())
    facts = replace(onnx_facts(path.read_bytes())[0], task="fomo")
    known = metadata or Metadata(labels=("apple", "pear"), resize_mode=ResizeMode.SQUASH)
    export = Export(path.read_bytes(), "fruit", "onnx", "fruit.onnx", "", known, facts, ModelFormat.ONNX)
    adapted = Adapt(**options)(Translated(export, read_onnx(path)), tmp_path).artifact
    assert isinstance(adapted, Adapted)
    return Validated(adapted, Evidence())


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Validated:
    return fomo(tmp_path_factory.mktemp("tracked"), tracked=True)


@pytest.mark.parametrize(("release", "platform"), ALL)
def test_check_finds_nothing(tmp_path: Path, tracked: Validated, release: str, platform: Any) -> None:
    model = tracked
    emit = Emit(
        tmp_path / "bundle", target=release, platform=platform, line=(LINE,), zone=(ZONE,), overcrowding=3,
        source="belt.mp4",
    )  # fmt: skip
    written = [Path(each.path).name for each in emit(model, tmp_path).outputs]
    counted = emit.counting(model.adapted.export, None, 3)
    assert tuple(written) == emit.plan("fruit", for_objects=False, counted=counted)
    assert (NAMES[1] in written) == (release != "5.1")
    app = (tmp_path / "bundle" / "deepstream_app_fruit.txt").read_text()
    library = "libnvds_mot_klt.so" if release == "5.1" else "libnvds_nvmultiobjecttracker.so"
    assert f"ll-lib-file={target(release, platform).root}/lib/{library}\n" in app
    assert f"[nvds-analytics]\nenable=1\nconfig-file={NAMES[0]}\n" in app
    report = convert.check(tmp_path / "bundle", target=release, platform=platform)
    assert [(each.id, each.message) for each in report.findings] == []


def test_what_the_configs_say(tmp_path: Path, glib: Callable[[bytes], Any]) -> None:
    emit = Emit(
        tmp_path,
        line=(LINE, parse_line("up:100,700,900,650")),
        zone=(ZONE,),
        overcrowding=3,
        canvas=Frame(1280, 720, in_pixels=True),
    )
    files = emit.files(fomo(tmp_path, tracked=True).adapted)
    file = glib(files[NAMES[0]])
    assert (file.integer("property", "config-width"), file.integer("property", "config-height")) == (1280, 720)
    group = "line-crossing-stream-0"
    assert file.integers(group, "line-crossing-belt-right") == [496, 360, 784, 360, 640, 0, 640, 719]
    assert file.integers(group, "line-crossing-belt-left") == [784, 360, 496, 360, 640, 0, 640, 719]
    assert file.integers(group, "line-crossing-up-down")[4:] == [100, 700, 900, 650]
    assert (file.integer(group, "extended"), file.string(group, "mode")) == (0, "loose")
    assert file.integers("roi-filtering-stream-0", "roi-desk") == [0, 360, 640, 360, 640, 719, 0, 719]
    assert file.integer("overcrowding-stream-0", "object-threshold") == 3
    app = glib(files["deepstream_app_fruit.txt"])
    places = [app.groups().index(name) for name in ("primary-gie", "tracker", "nvds-analytics", "secondary-gie0")]
    assert places == sorted(places)
    assert app.string("tracker", "ll-config-file") == NAMES[1]
    text = files["RUN.md"].decode()
    assert "NAME-down=3" in text
    assert text.index("nvtracker") < text.index("nvdsanalytics config-file")
    assert len(text.splitlines()) <= 95


@pytest.mark.parametrize(("box", "small"), [(1, True), (1.4, True), (1.5, False)])
def test_small_boxes_get_the_tracker_that_looks_at_pictures(tmp_path: Path, box: float, small: bool) -> None:
    model = fomo(tmp_path, fomo_box=box)
    files = Emit(tmp_path, line=(LINE,)).files(model.adapted)
    assert (NAMES[1] not in files) is small
    assert (b"config_tracker_NvDCF_perf.yml" in files["deepstream_app_fruit.txt"]) is small


def test_nothing_changes_without_lines(tmp_path: Path) -> None:
    files = Emit(tmp_path).files(fomo(tmp_path).adapted)
    assert not set(NAMES) & set(files)
    assert b"[tracker]\nenable=0\n" in files["deepstream_app_fruit.txt"]


def test_two_models(tmp_path: Path, invent: Callable[..., Validated]) -> None:
    pair = EmitPair(tmp_path / "bundle", line=(LINE,))
    result = pair(ValidatedPair(fomo(tmp_path, tracked=True), invent(name="ripe")), tmp_path)
    names = [Path(each.path).name for each in result.outputs]
    assert set(NAMES) <= set(names)
    assert names == list(
        pair.plan("fruit", "ripe", counted=pair.primary.counting(fomo(tmp_path).adapted.export, None, 3))
    )
    app = (tmp_path / "bundle" / "deepstream_app_fruit_ripe.txt").read_text()
    assert f"config-file={NAMES[0]}\n" in app


def test_a_classifier_counts_nothing(tmp_path: Path, classifier: Validated) -> None:
    with pytest.raises(PresetError, match=r"^--line and --zone count objects, and a classifier finds none") as caught:
        Emit(tmp_path, line=(LINE,)).files(classifier.adapted)
    assert caught.value.hint == "give the export of a detector"
    with pytest.raises(PresetError, match="a classifier finds none") as caught:
        Adapt(tracked=True)(classifier.adapted.translated, tmp_path)
    assert caught.value.hint == "give the export of a detector"


TRACKED = Metadata(
    labels=("apple", "pear"),
    resize_mode=ResizeMode.SQUASH,
    tracking=Tracking(sort=False, grace=7, hits=0, threshold=0.25, by_overlap=True),
    segments=((0, 48, 95, 48), (40, 10, 40, 80)),
)


def test_blocks_of_the_export_are_carried_over(tmp_path: Path, glib: Callable[[bytes], Any]) -> None:
    """Objects that cross once, one way, are counted as Edge Impulse counts them."""
    model = fomo(tmp_path, TRACKED)
    assert model.adapted.head.box == 3
    emit = Emit(tmp_path / "bundle")
    files = emit.files(model.adapted)
    tracker = files[NAMES[1]].decode()
    assert "  maxShadowTrackingAge: 7\n" in tracker
    assert "  minMatchingScore4Iou: 0\n" in tracker, "0.25 is about boxes of one cell"
    assert "  checkClassMatch: 0\n" in tracker
    group, file = "line-crossing-stream-0", glib(files[NAMES[0]])
    keys = [key for key in file.keys(group) if key.startswith("line-crossing-")]
    assert keys == [f"line-crossing-line{each}" for each in ("1-down", "1-up", "2-left", "2-right")]
    # Moved down by half a box, 12 of 96 pixels, and shorter by as much at each end.
    assert file.integers(group, "line-crossing-line1-down")[4:] == [240, 675, 1660, 675]
    lines = [Line(key, tuple(file.integers(group, key)), Mode.LOOSE, extended=False) for key in keys]
    frame = file.integer("property", "config-width"), file.integer("property", "config-height")
    ours, theirs = LineCounter(lines, frame, frame), CrossingCounter(TRACKED.segments or ())
    for number in range(60):  # one falls through the middle, another goes to the left above it, boxes of 24 pixels
        boxes = [(1, 20.0, 1.2 * number, 24.0, 24.0), (2, 64 - 1.0 * number, 14.0, 24.0, 24.0)]
        theirs.update(boxes)
        scaled = [(id_, 0, *(int(at * frame[axis % 2] / 96) for axis, at in enumerate(box))) for id_, *box in boxes]
        ours.update([Tracked(*each) for each in scaled], number * 33.3)
    assert [sum(ours.counts[:2]), sum(ours.counts[2:])] == theirs.counts == [1, 1]
    found = [each.id for each in emit.findings(model.adapted, model.evidence)]
    assert "EI514" in found
    assert "EI515" in found


def test_a_line_outside_of_the_picture_counts_nothing(tmp_path: Path) -> None:
    """It is not moved into the picture, and said."""
    model = fomo(tmp_path, replace(TRACKED, segments=((5, 120, 90, 120), (5, 60, 90, 60))))
    emit = Emit(tmp_path / "bundle")
    config = emit.files(model.adapted)[NAMES[0]].decode()
    assert "line-crossing-line2-down" in config
    assert "line-crossing-line1" not in config
    assert any("line1" in each.message for each in emit.findings(model.adapted, model.evidence) if each.id == "EI516")


def test_an_export_that_only_tracks(tmp_path: Path) -> None:
    model = fomo(tmp_path, replace(TRACKED, segments=None))
    emit = Emit(tmp_path / "bundle")
    written = [Path(each.path).name for each in emit(model, tmp_path).outputs]
    assert tuple(written) == emit.plan("fruit", counted=emit.counting(model.adapted.export, None, 3))
    assert (NAMES[0] in written, NAMES[1] in written) == (False, True)
    app = (tmp_path / "bundle" / "deepstream_app_fruit.txt").read_text()
    assert "[tracker]\nenable=1\n" in app
    assert "nvds-analytics" not in app
    assert "nvtracker" in (tmp_path / "bundle" / "RUN.md").read_text()
    assert not convert.check(tmp_path / "bundle").findings


def test_what_cannot_be_carried_over_is_said(tmp_path: Path) -> None:
    far = replace(TRACKED, tracking=Tracking(sort=False, grace=5, hits=0, threshold=12, by_overlap=False))
    emit = Emit(tmp_path / "bundle", line=(LINE,))
    messages = [each.message for each in emit.findings(fomo(tmp_path, far).adapted, Evidence())]
    assert any("any overlap of boxes is enough, instead of a distance below 12 pixels" in each for each in messages)
    assert any("--line replaces the 2 lines" in each for each in messages)
    padded = replace(TRACKED, resize_mode=ResizeMode.FIT_LONGEST, segments=((0, 2, 95, 2),))
    model = fomo(tmp_path, padded, fomo_box=1)
    found = Emit(tmp_path / "bundle").findings(model.adapted, Evidence())
    assert [(each.path, each.message.rpartition(", ")[2]) for each in found if each.id == "EI516"] == [
        (None, "and nothing is counted")
    ]
    assert "EI515" not in [each.id for each in found]
    files = Emit(tmp_path / "bundle").files(model.adapted)
    assert NAMES[0] not in files  # Gst-nvdsanalytics runs for nothing without lines
    assert b"nvds-analytics" not in files["deepstream_app_fruit.txt"]


IOU = Tracking(sort=False, grace=7, hits=0, threshold=0.25, by_overlap=True)
ANY, NEAR = replace(IOU, threshold=0.0), replace(IOU, threshold=12.0, by_overlap=False)
ENDS = (("line1", (0, 0, 9, 0)), ("line2", (0, 9, 9, 9)))
OTHER = "no prediction of where an object goes, and the best pairs first"
OVERLAP = "any overlap of boxes is enough, instead of"
ONCE = "each object is counted once a direction"
SDK = "/opt/nvidia/deepstream/deepstream"
PERF = f"{SDK}/samples/configs/deepstream-app/config_tracker_NvDCF_perf.yml"
LOWER = "where its lower edge crosses, not its middle, since the size of objects is not known"


@pytest.mark.parametrize(
    ("about", "recorded", "release", "said"),
    [
        ({}, {}, "7.1", []),
        ({"tracking": IOU}, {"tracking": IOU}, "7.1", [f"EI514 None: {{}} carried over, but for this: {OTHER}"]),
        (
            {"tracking": ANY},
            {"tracking": IOU},
            "7.1",
            [f"EI514 None: {{}} carried over, but for this: {OVERLAP} one above 0.25"],
        ),
        (
            {"tracking": NEAR},
            {"tracking": NEAR},
            "7.1",
            [f"EI514 None: {{}} carried over, but for this: {OVERLAP} a distance below 12 pixels"],
        ),
        (
            {"tracking": IOU, "overlaps": False},
            {"tracking": IOU},
            "7.1",
            [f"EI514 None: {{}} not carried over: the SDK's own tracker runs, {PERF}"],
        ),
        (
            {"tracking": IOU},
            {"tracking": IOU},
            "5.1",
            [f"EI514 None: {{}} not carried over: the SDK's own tracker runs, {SDK}-5.1/lib/libnvds_mot_klt.so"],
        ),
        ({"outside": None}, {"segments": ENDS}, "7.1", ["EI515 None: --line replaces the 2 lines of {}"]),
        (
            {"outside": None, "lines": ENDS},
            {"segments": ENDS[:1]},
            "7.1",
            ["EI515 c.txt: --line replaces the line of {}"],
        ),
        ({"lines": ENDS}, {"segments": ENDS}, "7.1", [f"EI515 c.txt: the 2 lines of {{}}: {ONCE}"]),
        (
            {"lines": ENDS[:1], "outside": ("line2",)},
            {"segments": ENDS},
            "7.1",
            [f"EI515 c.txt: the line of {{}}: {ONCE}", "EI516 c.txt: line2 of {} lies outside the frame"],
        ),
        (
            {"lines": ENDS, "knows_size": False},
            {"segments": ENDS},
            "7.1",
            [f"EI515 c.txt: the 2 lines of {{}}: {ONCE}; {LOWER}"],
        ),
        (
            {"outside": ("line1", "line2")},
            {"segments": ENDS},
            "7.1",
            [f"EI516 None: line{number} of {{}} lies outside the frame, and nothing is counted" for number in (1, 2)],
        ),
        (
            {"outside": ("line1",), "zones": ENDS},
            {"segments": ENDS[:1]},
            "7.1",
            ["EI516 c.txt: line1 of {} lies outside the frame"],
        ),
    ],
)
def test_what_is_said_of_the_blocks_of_an_export(
    about: dict[str, Any], recorded: dict[str, Any], release: str, said: list[str]
) -> None:
    where = target(release, "jetson")
    found = counting_findings(Counting((1920, 1080), **about), Metadata(**recorded), where, "c.txt")
    blocks = {
        "EI514": "the export's tracking block is",
        "EI515": "the export's counting block",
        "EI516": "the export's counting block",
    }
    assert [f"{each.id} {each.path}: {each.message}" for each in found] == [
        each.format(blocks[each[:5]]) for each in said
    ]


BAD = [
    ("0.1,0.5,0.9,0.5", "has no name"),
    ("a b:0,0,1,1", "cannot be called 'a b'"),
    ("a;b:0,0,1,1", "cannot be called"),
    ("a=b:0,0,1,1", "cannot be called"),
    (":0,0,1,1", "cannot be called ''"),
    ("door:0.1,0.5,0.9", "has four numbers, and this has 3"),
    ("door:0.1,0.5,0.9,x", "no number"),
    ("door:0.1,0.5,0.9,nan", "no number"),
    ("door:0.5,0.5,0.5,0.5", "one point"),
    ("door:0.1,0.5,1.2,0.5", "leaves the frame"),
    ("door:-0.1,0.5,0.2,0.5", "leaves the frame"),
    ("door:-3,5,20,5", "leaves the frame"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_what_is_no_line(text: str, message: str) -> None:
    with pytest.raises(PresetError, match=message) as caught:
        parse_line(text)
    assert caught.value.hint
    with pytest.raises(PresetError, match=r"^line: "):
        checked(ConvertOptions, {"line": [text]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("desk:0,0;1,1", "fewer than three"),
        ("desk:0,0;1,1;0,0", "fewer than three"),
        ("desk:0,0;0.5,0.5;1,1", "no area"),
        ("desk:0,0;0.5;1,1", "two numbers"),
        ("desk:0,0,1,1", "two numbers"),
    ],
)
def test_what_is_no_zone(text: str, message: str) -> None:
    with pytest.raises(PresetError, match=message) as caught:
        parse_zone(text)
    assert parse_zone(str(caught.value.hint).split("'")[1]).name == "desk"  # its example is one


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"line": (LINE, LINE)}, "two lines are called belt"),
        ({"line": tuple(replace(LINE, name=f"l{number}") for number in range(200))}, "200 lines"),
        ({"line": (parse_line("a:10,10,20,20"),)}, "in pixels"),
        ({"line": (parse_line("a:10,10,20,20"),), "frame": Frame(16, 9)}, "in pixels"),
        ({"line": (parse_line("a:10,10,20,721"),), "frame": Frame(1280, 720, in_pixels=True)}, "leaves the frame of"),
        ({"line": (LINE,), "role": "sgie"}, "leave --role out|has none"),
        ({"overcrowding": 3}, "is about zones"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PresetError, match=message) as caught:
        refuse_contradictions(options)
    assert caught.value.hint
    canvas = options.pop("frame", None)
    with pytest.raises(PresetError, match=message):
        Emit(Path("x"), **options, canvas=canvas)


def test_a_line_is_written_as_it_is_read() -> None:
    for text in ("door:0.1,0.6,0.9,0.6", "a:10,20,300,20"):
        assert str(parse_line(text)) == text
    assert str(ZONE) == "desk:0,0.5;0.5,0.5;0.5,1;0,1"
    assert Mark("a", ((1.0, 1.0), (0.0, 0.0))).pixels((640, 360)) == ((639, 359), (0, 0))


def test_a_line_shorter_than_a_pixel_is_refused(tmp_path: Path) -> None:
    line = parse_line("door:0.5,0.5,0.5002,0.5")
    model = fomo(tmp_path)
    with pytest.raises(PresetError, match=r"^line door is shorter than a pixel of 1920x1080$") as caught:
        counting(model.adapted.export, None, (1920, 1080), 3, ((line,), (), None))
    assert caught.value.hint == "draw a longer one"
