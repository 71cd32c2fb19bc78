"""KITTI text, objects.json and what is found by looking at a whole simulation."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.images.scaling import Network, Rect
from convert.report import dumps
from convert.simulate.decode import Classification
from convert.simulate.results import (
    DetectedObject,
    DroppedCandidate,
    FrameResult,
    SimulatedEngine,
    Simulation,
    best,
    frame_checks,
    kitti,
    objects_document,
)
from convert.simulate.settings import NetworkType, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convert.findings import Finding

DETECTOR = SimulatedEngine(Path("a.txt"), None, Settings(NetworkType.DETECTOR), Network(3, 96, 96))
CLASSIFIER = SimulatedEngine(Path("a.txt"), None, Settings(NetworkType.CLASSIFIER), Network(3, 96, 96))


def _frame(width: int = 640, height: int = 480, name: str = "a", **more: object) -> FrameResult:
    return FrameResult(name, Path("a.png"), width, height, None, **more)  # type: ignore[arg-type]


class TestKitti:
    def test_a_line_for_each_object_of_the_primary_engine(self) -> None:
        objects = (
            DetectedObject(1, 0, "a car", 0.25, Rect(1.5, 2, 10, 20)),
            DetectedObject(2, 0, "of another", 0.5, Rect(0, 0, 1, 1)),
            DetectedObject(1, 3, "", 1.0, Rect(0, 0, 0, 0)),
        )
        assert kitti(_frame(objects=objects), DETECTOR).decode().splitlines() == [
            "a car 0.0 0 0.0 1.500000 2.000000 11.500000 22.000000 0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.250000",
            " 0.0 0 0.0 0.000000 0.000000 0.000000 0.000000 0.0 0.0 0.0 0.0 0.0 0.0 0.0 1.000000",
        ]

    def test_edges_are_sums_of_float32(self) -> None:
        left, width = float(np.float32(16777216)), 1.0
        text = kitti(_frame(objects=(DetectedObject(1, 0, "x", 0.5, Rect(left, 0, width, 1)),)), DETECTOR).decode()
        assert text.split()[6] == "16777216.000000"  # the sum in doubles would end in 7

    def test_a_primary_classifiers_object_has_no_label(self) -> None:
        text = kitti(
            _frame(label="apple ", classifications=(Classification(1, 0, 0, 0.9, "apple"),)), CLASSIFIER
        ).decode()
        assert text == " 0.0 0 0.0 0.000000 0.000000 640.000000 480.000000" + " 0.0" * 7 + " 0.000000\n"

    def test_nothing(self) -> None:
        assert kitti(_frame(), DETECTOR) == b""

    def test_numbers_that_are_none(self) -> None:
        found = DetectedObject(1, 0, "x", math.nan, Rect(math.inf, -math.inf, 1, math.inf))
        assert kitti(_frame(objects=(found,)), DETECTOR).decode().split()[4:8] == ["inf", "-inf", "inf", "nan"]


class TestDocument:
    def test_a_detectors_frame_alone_has_nvinfers_words_only(self) -> None:
        found = DetectedObject(1, 0, "car", 0.1, Rect(1, 2, 3, 4))
        document = objects_document(Simulation((DETECTOR,), (_frame(objects=(found,)),)))
        (frame,) = document["frames"]
        assert frame["metadata"] == [
            {"class": 0, "label": "car", "left": 1, "top": 2, "width": 3, "height": 4, "confidence": 0.1}
        ]
        assert document["cluster-mode in use"] == 2
        assert "label" not in frame

    def test_a_cascade_says_who_found_what(self) -> None:
        second = SimulatedEngine(
            Path("b.txt"), None, Settings(NetworkType.CLASSIFIER, unique_id=2, on_objects=True), Network(3, 8, 8)
        )
        said = (Classification(2, 0, 1, 0.75, "good"), Classification(2, 1, 0, 0.5, None))
        found = (
            DetectedObject(1, 0, "car", 0.5, Rect(1, 2, 3, 4), classifications=said),
            DetectedObject(1, 1, "cup", 0.5, Rect(1, 2, 3, 4), skipped=("engine 2 did not look at it: ...",)),
        )
        lost = (DroppedCandidate(2, "classifier-threshold", "why", 0, math.nan, None, None, 0),)
        document = objects_document(Simulation((DETECTOR, second), (_frame(objects=found, dropped=lost),)))
        frame = json.loads(dumps(document))["frames"][0]
        assert frame["metadata"][0]["text"] == "car good"
        assert frame["metadata"][0]["classifiers"] == [
            {
                "engine": 2,
                "attributes": [
                    {"attribute": 0, "class": 1, "confidence": 0.75, "label": "good"},
                    {"attribute": 1, "class": 0, "confidence": 0.5, "label": None},
                ],
            }
        ]
        assert frame["metadata"][1]["passed over"] == ["engine 2 did not look at it: ..."]
        assert (frame["lost"][0]["object"], frame["lost"][0]["confidence"]) == (0, "nan")

    @pytest.mark.parametrize(
        ("engines", "lists"),
        [
            ((DETECTOR,), {"objects": [], "metadata": []}),
            ((CLASSIFIER,), {"attributes": []}),
            ((CLASSIFIER, CLASSIFIER), {"attributes": [], "metadata": [], "classifiers": []}),
        ],
    )
    def test_a_picture_without_objects(
        self, engines: tuple[SimulatedEngine, ...], lists: dict[str, list[object]]
    ) -> None:
        """What there could be is an empty list."""
        (document,) = objects_document(Simulation(engines, (_frame(),)))["frames"]
        keys = ("objects", "attributes", "metadata", "classifiers")
        assert {key: document[key] for key in keys if key in document} == lists

    def test_a_parser_that_gives_up(self) -> None:
        failed = SimulatedEngine(
            Path("a.txt"), None, Settings(NetworkType.DETECTOR), Network(3, 8, 8), failure="no layers"
        )
        document = objects_document(Simulation((failed,), ()))
        assert (document["output parser failed"], document["messages"]) == (True, ["no layers"])

    def test_labels_need_not_be_text(self) -> None:
        found = DetectedObject(1, 0, "a\udcff", 0.5, Rect(0, 0, 1, 1))
        document = objects_document(Simulation((DETECTOR,), (_frame(objects=(found,)),)))
        assert b"a\xef\xbf\xbd" in dumps(document)


@pytest.mark.parametrize(
    ("confidences", "kept"),
    [
        ((0.5, 0.0, 0.75), (0.75, 0.5)), ((0.0, 0.0), (0.0,)), ((), ()),
        ([number / 16 for number in range(12)], [number / 16 for number in range(11, 1, -1)]),
    ],
)  # fmt: skip
def test_the_best_dropped_candidates_are_listed(confidences: Sequence[float], kept: Sequence[float]) -> None:
    dropped = [DroppedCandidate(1, "topk", "", 0, one, "a", None, None) for one in confidences]
    assert [one.confidence for one in best(dropped)] == list(kept)
    number = DroppedCandidate(1, "topk", "", 0, math.nan, "a")
    assert best([number, *dropped[:1]])[-1] is number, "no number comes last"


class TestLook:
    def _found(self, made_for: str, *sizes: tuple[int, int], muxer: tuple[int, int] | None = None) -> list[str]:
        return [f"{one.id} {one.message}" for one in self._findings(made_for, *sizes, muxer=muxer)]

    def _findings(self, made_for: str, *sizes: tuple[int, int], muxer: tuple[int, int] | None = None) -> list[Finding]:
        metadata = (("ei_deepstream.frame", made_for),) if made_for else ()
        engine = SimulatedEngine(
            Path("a.txt"), None, Settings(NetworkType.CLASSIFIER), Network(3, 96, 170), metadata=metadata
        )
        frames = tuple(_frame(*size, name=f"p{number}") for number, size in enumerate(sizes))
        simulation = Simulation((engine,), frames)
        return list(frame_checks(simulation, app=Path("app.txt"), muxer=muxer))

    @pytest.mark.parametrize(
        ("size", "differs"), [((1009, 1000), False), ((1011, 1000), True), ((1000, 1011), True), ((1000, 1009), False)]
    )
    def test_from_where_an_aspect_is_another(self, size: tuple[int, int], differs: bool) -> None:
        assert [bool(self._found("1:1", size)), bool(self._found("", size, muxer=(50, 50)))] == [differs] * 2

    def test_what_to_do_about_an_aspect(self) -> None:
        model, app = self._findings("16:9", (640, 480), muxer=(1920, 1080))
        assert (model.path, model.hint) == ("a.txt", "use pictures of 16:9, or convert again with --frame")
        assert (app.path, app.hint) == (
            "app.txt",
            "the pictures are taken as they are; the app would stretch them first",
        )

    def test_many_are_counted_from_four_on(self) -> None:
        for count, end in ((1, "(10x10)"), (3, "p2 (10x10)"), (4, "p2 (10x10) and 1 more")):
            (said,) = self._found("16:9", *[(10, 10)] * count)
            assert said.endswith(end)

    @pytest.mark.parametrize("made_for", ["16:9", "1920x1080", "1280x720"])
    def test_pictures_of_another_aspect_are_named(self, made_for: str) -> None:
        assert not self._found(made_for, (1920, 1080), (1366, 768), (320, 180))
        assert self._found(made_for, (1000, 600))  # 5:3
        (said,) = self._found(made_for, (640, 480), (1920, 1080), (1080, 1920))
        assert said == (
            f"EI701 the model takes frames of {made_for}, and 2 pictures have another aspect: "
            "p0 (640x480), p2 (1080x1920)"
        )

    def test_many_are_counted(self) -> None:
        (said,) = self._found("16:9", *[(100, 100)] * 5)
        assert "5 pictures have another aspect: p0 (100x100), p1 (100x100), p2 (100x100) and 2 more" in said

    @pytest.mark.parametrize("made_for", ["", "wide", "0:9", "16:0", "1e9:1"])
    def test_models_that_say_nothing_known(self, made_for: str) -> None:
        assert not self._found(made_for, (640, 480))

    def test_the_apps_muxer(self) -> None:
        assert not self._found("", (640, 480), muxer=(1024, 768))
        (said,) = self._found("", (640, 480), muxer=(1920, 1080))
        assert said.startswith("EI705 [streammux] makes frames of 1920x1080, and 1 picture has another aspect")
