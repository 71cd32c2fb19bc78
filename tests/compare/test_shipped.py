"""A detector's outputs by the rules of both sides, on settings and heat maps made by hand; no model is run."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convert.compare import Cause
from convert.compare.shipped import ModelPair, ShippedModel
from convert.errors import InputError
from convert.heads.boxes import OUTPUTS, RAW
from convert.images import CENTRE, Anchor, ResizeMode, parse_frame
from convert.images.resizing import Resizing
from convert.images.scaling import Network, Placement, Rect, View
from convert.report import OnnxMetadata
from convert.simulate.decode import Detection
from convert.simulate.settings import ClassSettings, ClusterMode, NetworkType, Settings
from convert.types import Metadata
from tests.compare.test_edge_impulse import facts, model

if TYPE_CHECKING:
    from numpy.typing import NDArray

NONE: frozenset[Cause] = frozenset()
BY_ORIGINAL = frozenset({Cause.MODEL, Cause.MERGE})


def pair(
    *classes: ClassSettings,
    mode: ClusterMode = ClusterMode.NONE,
    left: int = 0,
    top: int = 0,
    resizing: Resizing | None = None,
    threshold: float = 0.25,
    task: str = "fomo",
    recorded: dict[str, str] | None = None,
) -> ModelPair:
    """A FOMO of 96x96 pixels and 12x12 cells with the labels a and b, which the label file calls A and B."""
    settings = Settings(
        NetworkType.DETECTOR, labels=(("A",), ("B",)), classes=classes or (ClassSettings(0.5),) * 2, cluster_mode=mode
    )
    engine = SimpleNamespace(
        settings=settings, network=Network(3, 96 + 2 * top, 96 + 2 * left), recorded=OnnxMetadata.parse(recorded or {})
    )
    loaded: Any = SimpleNamespace(engine=engine, outputs=("boxes",))
    expected: Any = None
    known = Metadata(labels=("a", "b"), resize_mode=ResizeMode.SQUASH, threshold=threshold)
    theirs = model(facts(task, 12, 12, 3), known)
    return ModelPair(ShippedModel(loaded, task, expected, (), left, top, resizing, None), theirs)


def heat(*cells: tuple[int, int, int, float]) -> list[NDArray[np.float32]]:
    """Class, row, column and score of cells that do not touch."""
    values = np.zeros((1, 12, 12, 3), np.float32)
    for label, row, column, score in cells:
        values[0, row, column, 1 + label] = score
    return [values]


HEAT = heat((0, 0, 0, 0.875), (0, 4, 0, 0.75), (0, 8, 0, 0.625), (1, 2, 5, 0.5))


def one(pre: float = 0.5, **more: Any) -> ClassSettings:
    return ClassSettings(pre, **more)


@pytest.mark.parametrize(
    ("classes", "mode", "done", "kept"),
    [
        ((one(), one()), ClusterMode.NONE, NONE, [0.875, 0.75, 0.625, 0.5]),
        ((one(0.625), one(0.5625)), ClusterMode.NONE, NONE, [0.875, 0.75, 0.625]),
        ((one(),), ClusterMode.NONE, NONE, [0.875, 0.75, 0.625]),
        ((one(topk=1), one(topk=1)), ClusterMode.NONE, NONE, [0.875, 0.5]),
        ((one(topk=0), one(topk=2)), ClusterMode.NONE, NONE, [0.5]),
        ((one(post_cluster_threshold=0.75), one()), ClusterMode.NMS, NONE, [0.875, 0.5]),
        ((one(post_cluster_threshold=0.75), one()), ClusterMode.NONE, NONE, [0.875, 0.75, 0.625, 0.5]),
        ((one(topk=1),), ClusterMode.NONE, frozenset({Cause.LIMITS}), [0.875, 0.75, 0.625, 0.5]),
        ((one(0.7, topk=1),), ClusterMode.NONE, frozenset({Cause.LIMITS}), [0.875, 0.75]),
        ((one(0.7), one(0.7)), ClusterMode.NONE, frozenset({Cause.THRESHOLD}), [0.875, 0.75, 0.625, 0.5]),
        ((), ClusterMode.NONE, frozenset({Cause.THRESHOLD}), [0.875, 0.75, 0.625, 0.5]),
    ],
)
def test_thresholds_and_limits_of_the_config_count_for_what_edge_impulse_merges(
    classes: tuple[ClassSettings, ...], mode: ClusterMode, done: frozenset[Cause], kept: list[float]
) -> None:
    found = pair(*classes, mode=mode).original(HEAT, BY_ORIGINAL | done)
    assert [each.confidence for each in found] == kept


def test_without_any_class_the_usual_threshold_counts() -> None:
    cells = heat((0, 0, 0, 0.25), (0, 4, 0, 0.1875))
    both = pair()
    settings = both.shipped.loaded.engine.settings
    both.shipped.loaded.engine.settings = replace(settings, classes=())  # type: ignore[misc]
    assert both.original(cells, BY_ORIGINAL) == ()
    assert [each.confidence for each in both.original(cells, BY_ORIGINAL | {Cause.LIMITS})] == [0.25]


def test_boxes_of_a_graph_are_in_its_own_picture() -> None:
    """Of one that crops, too; the original's own boxes are moved."""
    both = pair(task="yolov5", left=10, top=20)
    loaded: Any = both.shipped.loaded
    loaded.outputs = OUTPUTS
    outputs = {
        "detection_boxes": np.array([[[0.25, 0.5, 0.5, 1]]], np.float32),
        "detection_scores": np.array([[0.75]], np.float32),
        "detection_classes": np.array([[1]], np.float32),
    }
    (found,) = both.outputs(outputs, frozenset({Cause.MERGE}))
    assert found == Detection(1, "B", 58, 34, 58, 34, 0.75)


@pytest.mark.parametrize(("score", "confidence"), [(None, 0.625), ("product", 0.625), ("objectness", 0.75)])
def test_the_score_of_a_yolov5(score: str | None, confidence: float) -> None:
    """The objectness of its rows, but where the graph gives that already, in another order."""
    both = pair(task="yolov5", recorded={"ei_deepstream.score": score} if score else None)
    loaded: Any = both.shipped.loaded
    loaded.outputs = OUTPUTS
    loaded.engine.settings = replace(loaded.engine.settings, parser="NvDsInferParseCustomTfSSD")
    outputs = {
        "detection_boxes": np.array([[[0.25, 0.5, 0.5, 1]]], np.float32),
        "detection_scores": np.array([[0.75]], np.float32),
        "detection_classes": np.array([[1]], np.float32),
        RAW: np.array([[[0.5, 0.5, 0.1, 0.1, 0.625, 0.9]]], np.float32),
    }
    (found,) = both.outputs(outputs, frozenset({Cause.SCORE}))
    assert found.confidence == confidence


def test_a_threshold_of_edge_impulse() -> None:
    found = pair(threshold=0.625).original(HEAT, BY_ORIGINAL | {Cause.THRESHOLD})
    assert [each.confidence for each in found] == [0.875, 0.75, 0.625]


def test_places_are_in_the_picture_of_a_network_that_crops() -> None:
    both = pair(left=10, top=20)
    (found,) = both.original(heat((1, 2, 5, 0.5)), BY_ORIGINAL)
    assert found == Detection(1, "B", 50, 36, 8, 8, 0.5)
    (back,) = both.in_original([found])
    assert back == Detection(1, "B", 40, 16, 8, 8, 0.5)


def test_places_are_in_the_frame_of_a_graph_that_resizes() -> None:
    both = pair(resizing=Resizing(parse_frame("384x192"), (96, 96), ResizeMode.FIT_SHORTEST))
    assert both.shipped.inside == (96, 0, 2, 2)
    assert pair(resizing=Resizing(parse_frame("384x192"), (96, 64))).shipped.inside == (0, 0, 4, 3)
    (found,) = both.original(heat((1, 2, 5, 0.5)), BY_ORIGINAL)
    assert found == Detection(1, "B", 96 + 80, 32, 16, 16, 0.5)
    (back,) = both.in_original([found])
    assert back == Detection(1, "B", 40, 16, 8, 8, 0.5)


@pytest.mark.parametrize(
    ("cell", "box"),
    [((5, 5), (32, 32, 24, 24)), ((0, 5), (32, 0, 24, 8)), ((5, 0), (0, 32, 8, 24)), ((11, 11), (88, 88, 8, 8))],
)
def test_boxes_as_large_as_they_are_made_at_least(cell: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    """Three cells, but not beyond the picture."""
    both = pair(recorded={"ei_deepstream.box": "3"})
    assert both.shipped.recorded.box == 3
    (found,) = both.original(heat((0, *cell, 0.5)), BY_ORIGINAL)
    assert (found.left, found.top, found.width, found.height) == box


BARS = Placement(0, 0, 200, 100, 96, 48, View(200, 100, 0.48, 0.48, 0, 24))


@pytest.mark.parametrize(
    ("detection", "box"),
    [
        (Detection(0, "A", 48, 30, 24, 12, 0.5), Rect(100, 12.5, 50, 25)),
        (Detection(0, "A", 48, 0, 24, 36, 0.5), Rect(100, 0, 50, 25)),
        (Detection(0, "A", 48, 60, 24, 36, 0.5), Rect(100, 75, 50, 25)),
        (Detection(0, "A", -24, 24, 48, 12, 0.5), Rect(0, 0, 50, 25)),
        (Detection(0, "A", 72, 24, 48, 12, 0.5), Rect(150, 0, 50, 25)),
        (Detection(0, "A", 48, 0, 24, 12, 0.5), Rect(100, 0, 50, 0)),
        (Detection(0, "A", -48, 30, 24, 12, 0.5), Rect(0, 12.5, 0, 25)),
    ],
)
def test_what_lies_in_black_bars_is_cut_off(detection: Detection, box: Rect) -> None:
    (found,) = pair().attached([detection], BARS, frozenset({Cause.LIMITS}))
    places = [(each.left, each.top, each.width, each.height) for each in (found.box, box)]
    assert places[0] == pytest.approx(places[1], rel=1e-5)


def test_labels_and_order_of_objects() -> None:
    given = [
        Detection(0, "A", 8, 30, 8, 8, 0.5), Detection(1, "B", 8, 30, 8, 8, 0.75), Detection(2, None, 8, 30, 8, 8, 0.9)
    ]  # fmt: skip
    found = pair().attached(given, BARS, NONE)
    assert [(each.class_id, each.label, each.score) for each in found] == [(1, "B", 0.75), (0, "A", 0.5)]
    assert [each.label for each in pair().attached(given, BARS, frozenset({Cause.LABELS}))] == ["b", "a"]


@pytest.mark.parametrize(
    ("task", "done", "predicted"),
    [
        ("fomo", NONE, True),
        ("fomo", {Cause.MODEL}, False),
        ("fomo", BY_ORIGINAL, True),
        ("yolov5", BY_ORIGINAL, False),
        ("yolov5", {*BY_ORIGINAL, Cause.SCORE}, True),
        ("classifier", {Cause.MODEL}, True),
    ],
)
def test_what_can_be_computed_without_the_networks_own_outputs(task: str, done: set[Cause], predicted: bool) -> None:
    both = pair(task=task)
    assert both.can_predict(frozenset(done)) is predicted
    assert both.by_original(frozenset(done)) is (predicted and Cause.MODEL in done and task != "classifier")


@pytest.mark.parametrize(
    ("mode", "anchor", "size", "alike"),
    [
        (ResizeMode.SQUASH, CENTRE, (384, 192), True),
        (ResizeMode.SQUASH, CENTRE, (100, 100), True),
        (ResizeMode.FIT_SHORTEST, CENTRE, (384, 192), False),
        (ResizeMode.SQUASH, (0.0, 0.5), (384, 192), False),
    ],
)
def test_a_graph_that_squashes_takes_frames_of_any_shape(
    mode: ResizeMode, anchor: Anchor, size: tuple[int, int], alike: bool
) -> None:
    shipped = pair(resizing=Resizing(parse_frame("384x192"), (96, 96), ResizeMode.SQUASH)).shipped
    theirs: Any = SimpleNamespace(resize_mode=mode, anchor=anchor)
    assert shipped.resizes_as(theirs, *size) is alike


@pytest.mark.parametrize(("size", "alike"), [((160, 96), True), ((161, 96), True), ((162, 96), False)])
def test_a_graph_that_crops_takes_frames_of_its_shape(size: tuple[int, int], alike: bool) -> None:
    mode = ResizeMode.FIT_SHORTEST
    shipped = pair(left=32, resizing=Resizing(parse_frame("160x96"), (96, 96), mode)).shipped
    theirs: Any = SimpleNamespace(resize_mode=mode, anchor=CENTRE)
    assert shipped.resizes_as(theirs, *size) is alike


def test_candidates_that_are_not_those_of_a_yolov5() -> None:
    both = pair(task="yolov5")
    for shape in ((1, 5, 5), (1, 8)):
        with pytest.raises(InputError, match=r"^the candidates \[.*\] are not those of a YOLOv5$") as caught:
            both.outputs({"boxes": np.ones((1, 1), np.float32), RAW: np.ones(shape, np.float32)}, {Cause.SCORE})  # type: ignore[arg-type]
        assert caught.value.hint == "convert again"
