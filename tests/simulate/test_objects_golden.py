"""The whole of objects.json, to the letter: two engines with everything there is, and a primary classifier.

`UPDATE_GOLDEN=1 pytest tests/simulate/test_objects_golden.py` writes it anew: read the difference before it is
committed.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from convert.images.scaling import Network, Rect, View, place
from convert.report import dumps
from convert.simulate.decode import Classification, Detection
from convert.simulate.parsers import Boxes, Drop, Dropped
from convert.simulate.results import (
    Counted,
    Counts,
    DetectedObject,
    Difference,
    DroppedCandidate,
    FrameResult,
    Passage,
    Shown,
    SimulatedEngine,
    Simulation,
    Uncounted,
    ZoneCount,
    best,
    dropped_by_detector,
    frame_checks,
    objects_document,
)
from convert.simulate.settings import ClassSettings, ClusterMode, NetworkType, Settings

GOLDEN = Path(__file__).parent / "cases" / "objects.json"
NETWORK = Network(3, 96, 160)
DETECTOR = SimulatedEngine(
    Path("configs/cells.txt"), Path("models/cells.onnx"),
    Settings(NetworkType.DETECTOR, labels=(("car",),), classes=(ClassSettings(0.5),), cluster_mode=ClusterMode.NONE),
    NETWORK, ("super-sampling is approximated",), failure="no layers",
)  # fmt: skip
BEHIND = SimulatedEngine(
    Path("b.txt"), None, Settings(NetworkType.CLASSIFIER, unique_id=2, on_objects=True), Network(1, 8, 9)
)
ALONE = SimulatedEngine(Path("c.txt"), Path("c.onnx"), Settings(NetworkType.CLASSIFIER, unique_id=3), NETWORK)


def street() -> Simulation:
    good, other = Classification(2, 0, 1, 0.75, "good"), Classification(2, 1, 0, float(np.float32(0.1)), None)
    found = (
        DetectedObject(1, 0, "car", 0.5, Rect(1, 2, 3, 4), (good, other)),
        DetectedObject(4, 1, "", math.nan, Rect(0.1, 2, 3, 4), skipped=("engine 2 did not",), parent=0),
    )
    dropped = (
        DroppedCandidate(1, "topk", "number 3 of its class", 2, 0.25, "bus\udcff", Rect(0.5, 1, 2, 3)),
        DroppedCandidate(2, "classifier-threshold", "too low", 1, -math.inf, None, None, 0),
    )
    shown = (
        Shown((("in", 2), ("out", 0)), ((0, 1), (2, 3)), crossed=True),
        Shown((("yard", 4),), ((0, 0), (9, 0), (9, 9))),
    )
    frame = FrameResult(
        "a", Path("in/a.png"), 640, 360, place(640, 360, NETWORK, keep_aspect=True, symmetric=True), found,
        (good, Classification(4, 0, 0, 0.5, "x")), "", dropped, ("It was turned.",),
        (Detection(0, "car", 1, 2, 3, 4, 0.5),), Counted((7, 0), shown, ("yard",)),
    )  # fmt: skip
    counts = Counts(
        "pictures", Path("configs/counts.txt"), "tracker.yml", (640, 360), 2, (("in", 2), ("out", 0)),
        (Passage("a", 0.5, 7, "car", "in"),), (Uncounted("in", "moved too little", (7, 8)),), (("in", 3),),
        (Difference("in", 8, 0, 1, "seen in too few frames"),), 2, (ZoneCount("yard", 4), ZoneCount("gate", 2, 2, 1)),
    )  # fmt: skip
    plain = FrameResult("b", Path("b.png"), 64, 36, None)
    return Simulation((DETECTOR, BEHIND), (frame, plain), {"infer": 1.0}, (counts,))


def picture() -> Simulation:
    said = (Classification(3, 0, 1, 0.75, "owl"), Classification(2, 0, 1, 0.5, "of another engine"))
    frames = (
        FrameResult("a", Path("a.png"), 640, 360, None, classifications=said, label="owl "),
        FrameResult("b", Path("b.png"), 640, 360, None),
    )
    return Simulation((ALONE,), frames)


def test_objects() -> None:
    text = b"".join(dumps(objects_document(each)) for each in (street(), picture()))
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_bytes(text)
    assert text == GOLDEN.read_bytes()


def _dropped(key: str, *boxes: tuple[float, float, float, float, float]) -> Dropped:
    dropped = Dropped()
    left, top, width, height, confidence = np.array(boxes, np.float32).T
    dropped.add(key, Boxes(np.zeros(len(boxes), np.uint32), left, top, width, height, confidence), confidence, 0.5)
    return dropped


@pytest.mark.parametrize(
    ("parent", "of", "decoded", "attached"),
    [
        (None, None, Rect(4, 16, 8, 40), Rect(8, 9, 4, 10)),
        (Rect(100, 50, 20, 30), 3, Rect(104, 66, 8, 40), Rect(108, 59, 4, 10)),
    ],
)
def test_dropped_candidates_lie_in_the_picture(
    parent: Rect | None, of: int | None, decoded: Rect, attached: Rect
) -> None:
    """What decoding left out is in pixels of the network, the rest in those of the part that was looked at."""
    view = View(640, 360, 0.5, 0.25, 6, 5)
    first, second = _dropped("pre-cluster-threshold", (8, 9, 4, 10, 0.25)), _dropped("topk", (8, 9, 4, 10, 0.75))
    found = dropped_by_detector(DETECTOR.settings, view, first, second, parent=parent, of=of)
    assert [(one.key, one.box, one.of, one.label, one.engine) for one in found] == [
        ("pre-cluster-threshold", decoded, of, "car", 1), ("topk", attached, of, "car", 1)
    ]  # fmt: skip


@pytest.mark.parametrize(("width", "height", "there"), [(0, 0, False), (0, 1, True), (1, 0, True)])
def test_a_candidate_without_a_box_lies_nowhere(width: float, height: float, there: bool) -> None:
    dropped = _dropped("num-detected-classes", (0, 0, width, height, 0.25))
    (one,) = dropped_by_detector(DETECTOR.settings, View(64, 64, 1, 1), dropped, Dropped())
    assert (one.box is not None) is there


def test_few_duplicates_are_listed_beside_all_others() -> None:
    dropped = _dropped("nms-iou-threshold", *[(0, 0, 1, 1, 0.9)] * 5)
    number = np.full(12, 0.25, np.float32)
    others = Boxes(np.zeros(12, np.uint32), number, number, number, number, number)
    dropped.add("topk", others, 3, 2)
    found = dropped_by_detector(DETECTOR.settings, View(64, 64, 1, 1), dropped, dropped)
    assert [each.key for each in found] == [
        *["topk"] * 10, *["nms-iou-threshold"] * 3, *["nms-iou-threshold"] * 5, *["topk"] * 5
    ]  # fmt: skip


def test_of_dropped_candidates_the_ten_best_are_shown() -> None:
    def candidates(*confidences: float) -> list[DroppedCandidate]:
        return [DroppedCandidate(1, "topk", "", 0, confidence, None) for confidence in confidences]

    found = best(candidates(*(number / 16 for number in range(12)), math.nan))
    assert [one.confidence for one in found] == [number / 16 for number in range(11, 1, -1)]
    (only,) = best(candidates(0, 0))
    assert only.confidence == 0
    assert [one.confidence for one in best(candidates(0, 0.5))] == [0.5]
    assert best([]) == ()


def test_what_decided_is_said_with_both_numbers() -> None:
    assert Drop("pre-cluster-threshold", 0.18, 0.2, 0, 0.18).why == "confidence 0.18 is below pre-cluster-threshold=0.2"


def test_what_to_do_about_pictures_of_another_aspect() -> None:
    metadata = (("ei_deepstream.frame", "16:9"),)
    engine = SimulatedEngine(Path("a.txt"), None, Settings(NetworkType.CLASSIFIER), NETWORK, metadata=metadata)
    frame = FrameResult("p", Path("p.png"), 640, 480, None)
    model, muxer = frame_checks(Simulation((engine,), (frame,)), app=Path("app.txt"), muxer=(1920, 1080))
    assert (model.path, model.hint) == ("a.txt", "use pictures of 16:9, or convert again with --frame")
    assert muxer.path == "app.txt"
    assert muxer.hint == "the pictures are taken as they are; the app would stretch them first"
    three, four = (
        next(iter(frame_checks(Simulation((engine,), (frame,) * count)))).message.partition("aspect: ")[2]
        for count in (3, 4)
    )
    assert (three.count("p (640x480)"), "more" in three) == (3, False)
    assert (four.count("p (640x480)"), four.endswith(" and 1 more")) == (3, True)
