"""Detectors of real projects: one thing is done otherwise, and that one is named."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from convert.compare import Cause, Verdict
from convert.compare.ablation import Ablation
from convert.compare.run import CauseTexts
from convert.images import ResizeMode
from convert.images.scaling import interpolate
from convert.simulate.decode import Detection
from tests.compare.bundles import SAMPLES, causes, changed, compared, config_of, judged, photo, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Convert = Callable[..., Path]

_SQUASH = ("--resize-mode", "squash", "--frame", "none")


@pytest.fixture(scope="module")
def fomo_file(models: Path) -> Path:
    return models / "fomo-96x96x1-f32.tflite"


@pytest.fixture(scope="module")
def fomo(emitted: Convert, fomo_file: Path) -> Path:
    return emitted(fomo_file, *_SQUASH)


@pytest.fixture(scope="module")
def jan(models: Path) -> NDArray[np.uint8]:
    """Grey, of the size of the model's input: only decoding is left to differ."""
    grey = photo(models / "jan.jpg", (96, 96))[..., :1]
    return np.repeat(grey, 3, axis=2)


def _pictures(models: Path) -> list[NDArray[np.uint8]]:
    files = [models / "jan.jpg", models / "beer.jpg", *sorted((SAMPLES / "pictures" / "shapes").iterdir())[::3]]
    return [photo(path) for path in files]


class TestFomo:
    def test_touching_cells_are_the_same_boxes(self, fomo: Path, fomo_file: Path, jan: NDArray[np.uint8]) -> None:
        found = compared(config_of(fomo), fomo_file, jan)
        (row,) = found.rows
        assert row.verdict is Verdict.SAME
        assert row.count("matched") == len(row.deepstream.objects) == len(row.edge_impulse.objects) > 0
        assert all((pair.shift or 0) < 0.1 for pair in row.pairs)

    def test_another_threshold(self, emitted: Convert, fomo_file: Path, jan: NDArray[np.uint8]) -> None:
        folder = emitted(fomo_file, *_SQUASH, "--threshold", "0.99")
        found = compared(config_of(folder), fomo_file, jan)
        (row,) = found.rows
        assert row.verdict is Verdict.DIFFERS
        assert "threshold" in causes(row)
        assert {reason.hint for reason in found.comparison.reasons} == {"convert with --threshold 0.5"}

    def test_cells_are_merged(
        self, emitted: Convert, fomo_file: Path, jan: NDArray[np.uint8]
    ) -> None:  # fmt: skip
        found = compared(config_of(emitted(fomo_file, *_SQUASH, "--fomo-merge", "none")), fomo_file, jan)
        (row,) = found.rows
        assert row.verdict is Verdict.DIFFERS
        assert causes(row) == ["merge"]
        assert len(row.edge_impulse.objects) == row.count("matched")
        assert row.count("additional") == len(row.deepstream.objects) - len(row.edge_impulse.objects) > 0
        assert row.count("missed") == 0
        assert found.comparison.reasons[0].hint == "convert with --fomo-merge touching"
        assert (
            found.comparison.reasons[0].words == "nvinfer shows every cell where Edge Impulse merges cells that touch"
        )
        assert [finding.id for finding in found.comparison.findings] == ["EI754", "EI750"]

    def test_peaks_are_the_same_objects(
        self, emitted: Convert, fomo_file: Path, jan: NDArray[np.uint8]
    ) -> None:  # fmt: skip
        folder = emitted(fomo_file, *_SQUASH, "--fomo-merge", "peak")
        (row,) = compared(config_of(folder), fomo_file, jan).rows
        assert row.verdict is Verdict.SAME
        assert row.count("matched") == len(row.deepstream.objects) > 0

    @pytest.mark.parametrize(
        ("keys", "wanted"),
        [
            ({"all.pre-cluster-threshold": 0.99}, "threshold"),
            ({"all.pre-cluster-threshold": 0.01}, "threshold"),
            ({"cluster-mode": 2, "all.post-cluster-threshold": 0.99}, "threshold"),
            ({"all.topk": 0}, "limits"),
            ({"all.detected-min-w": 50}, "limits"),
            ({"all.roi-top-offset": 90}, "limits"),
            ({"filter-out-class-ids": "0"}, "limits"),
            ({"net-scale-factor": 0.0001}, "scaling"),
        ],
    )
    def test_a_key_of_the_config(
        self,
        emitted: Convert,
        fomo_file: Path,
        jan: NDArray[np.uint8],
        tmp_path: Path,
        keys: dict[str, object],
        wanted: str,
    ) -> None:
        folder = emitted(fomo_file, *_SQUASH, "--fomo-merge", "peak")
        found = compared(changed(folder, tmp_path, keys), fomo_file, jan)
        (row,) = found.rows
        assert row.verdict is Verdict.DIFFERS
        assert causes(row) == [wanted]
        assert not next(step for step in found.comparison.steps if step.cause == wanted).same

    def test_labels(self, emitted: Convert, fomo_file: Path, jan: NDArray[np.uint8], tmp_path: Path) -> None:
        folder = emitted(fomo_file, *_SQUASH, "--fomo-merge", "peak", "--labels", "face")
        found = compared(changed(folder, tmp_path, {}, labels={"face": "Face"}), fomo_file, jan)
        assert causes(found.rows[0]) == ["labels"]
        assert found.rows[0].words == "'Face' is 'face' in Edge Impulse"

    def test_without_the_network_s_own_outputs(
        self, emitted: Convert, fomo_file: Path, jan: NDArray[np.uint8], tmp_path: Path
    ) -> None:
        """As a model that somebody else converted: what was named is still right, and provenance is in doubt."""
        config = changed(emitted(fomo_file, *_SQUASH, "--fomo-merge", "none"), tmp_path, {})
        (path,) = tmp_path.glob("*.onnx")
        model = onnx.load_model(path)
        for node in model.graph.node:
            for names in (node.input, node.output):
                for index, name in enumerate(names):
                    names[index] = name.replace("raw_heat_map", "other")
        del model.metadata_props[:]
        path.write_bytes(model.SerializeToString())
        found = compared(config, fomo_file, jan)
        assert not found.models.shipped.raw
        assert not found.models.can_predict(frozenset({Cause.MODEL})), (
            "the graph's end cannot be fed with what the original gives"
        )
        assert found.models.can_predict(frozenset({Cause.MERGE}))
        assert found.models.can_predict(frozenset({Cause.MODEL, Cause.MERGE})), "nothing of the graph is used"
        assert causes(found.rows[0]) == ["merge"]
        assert "EI752" in [finding.id for finding in found.comparison.findings]

    def test_crop_in_the_graph(self, emitted: Convert, models: Path) -> None:
        file = models / "fomo-240x240x3-f32.tflite"
        folder = emitted(file, "--resize-mode", "fit-shortest", "--frame", "4:3", "--resize", "device")
        squashed = emitted(file, "--resize-mode", "fit-shortest")
        pictures = [photo(path) for path in sorted((SAMPLES / "pictures" / "shapes").iterdir())[:5]]
        right, wrong = compared(config_of(folder), file, *pictures), compared(config_of(squashed), file, *pictures)
        assert [row.verdict for row in right.rows] == [Verdict.SAME] * 5
        assert sum(len(row.edge_impulse.objects) for row in right.rows) > 3
        assert [row.edge_impulse for row in right.rows] == [row.edge_impulse for row in wrong.rows]
        assert {cause for row in wrong.rows for cause in row.causes} == {Cause.FRAMING}


@pytest.fixture(scope="module")
def yolo_file(models: Path) -> Path:
    return models / "yolov5-160x160x3-f16.lite"


@pytest.fixture(scope="module")
def yolo(emitted: Convert, yolo_file: Path) -> Path:
    return emitted(yolo_file, *_SQUASH, "--yolo-score", "product")


class TestYolo:
    @pytest.fixture
    def picture(self, models: Path) -> NDArray[np.uint8]:
        found = photo(models / "jan.jpg")
        assert found.shape == (160, 160, 3)
        return found

    def test_score(self, emitted: Convert, yolo: Path, yolo_file: Path, picture: NDArray[np.uint8]) -> None:
        (row,) = compared(config_of(yolo), yolo_file, picture, tolerance=1e-4).rows
        assert row.verdict is Verdict.DRIFTS
        assert causes(row) == ["score"]
        alone = emitted(yolo_file, *_SQUASH)
        assert compared(config_of(alone), yolo_file, picture, tolerance=1e-4).rows[0].verdict is Verdict.SAME

    @pytest.mark.parametrize(
        ("keys", "wanted"),
        [
            ({"cluster-mode": 4}, "merge"),
            ({"all.nms-iou-threshold": 0.99}, "merge"),
            ({"all.detected-max-w": 3}, "limits"),
        ],
    )
    def test_a_key_of_the_config(
        self,
        yolo: Path,
        yolo_file: Path,
        picture: NDArray[np.uint8],
        tmp_path: Path,
        keys: dict[str, object],
        wanted: str,
    ) -> None:
        found = compared(changed(yolo, tmp_path, keys), yolo_file, picture)
        assert found.rows[0].verdict is Verdict.DIFFERS
        assert causes(found.rows[0]) == [wanted]


def test_an_object_that_ends_below_the_frame(emitted: Convert) -> None:
    """Gst-nvinfer leaves it out where it adds the black bars itself; Edge Impulse does not."""
    export = SAMPLES / "exports" / "table-fomo-2025.zip"
    with judged(config_of(emitted(export, "--resize", "device")), export) as found:
        assert found.models.edge_impulse.resize_mode is ResizeMode.FIT_LONGEST
        placed = Ablation(found.models, np.zeros((90, 160, 3), np.uint8)).placement()
        tall = Detection(0, "fruit", 12, placed.view.offset_top - 3, 24, placed.height + 6, 0.9)
        assert found.models.attached([tall], placed, frozenset()) == ()
        unknown = replace(tall, class_id=len(found.models.shipped.loaded.engine.settings.classes))
        (kept,) = found.models.attached([unknown, tall], placed, frozenset({Cause.LIMITS}))
        assert kept.label == "fruit"
        assert (kept.box.top, kept.box.height) == (0, 90)
        bar = Detection(0, "fruit", 12, 1, 24, placed.view.offset_top - 2, 0.9)
        (empty,) = found.models.attached([bar], placed, frozenset({Cause.LIMITS}))
        assert (empty.box.top, empty.box.height) == (0, 0), "Edge Impulse lists it; in the picture nothing is left"
        texts = CauseTexts(found.models, 160, 90)
    assert "black bar below" in texts.reason(Cause.LIMITS)[0]
    assert texts.reason(Cause.LIMITS)[1] == "convert again with --resize auto"


@pytest.fixture(scope="module")
def beer_file(models: Path) -> Path:
    return models / "yolov5-512x512x3-f16.lite"


@pytest.fixture(scope="module")
def beer_finder(emitted: Convert, beer_file: Path) -> Path:
    return emitted(beer_file, *_SQUASH)


@pytest.mark.slow
class TestYoloAsEdgeImpulseHasIt:
    """Two classes lie across one another in this picture: nvinfer, class by class, would show both."""

    @pytest.fixture
    def picture(self, models: Path) -> NDArray[np.uint8]:
        return photo(models / "beer.jpg", (512, 512))

    def test_nothing_differs(self, beer_finder: Path, beer_file: Path, picture: NDArray[np.uint8]) -> None:
        found = compared(config_of(beer_finder), beer_file, picture, tolerance=1e-4)
        (row,) = found.rows
        assert row.verdict is Verdict.SAME
        assert [one.class_id for one in row.deepstream.objects] == [0, 1]
        assert row.shift is not None
        assert row.shift <= 1
        steps = {step.cause: step for step in found.comparison.steps}
        assert all(steps[cause].same for cause in (Cause.SCORE, Cause.MERGE, Cause.THRESHOLD))
        assert steps[Cause.MERGE].deepstream == steps[Cause.MERGE].edge_impulse

    def test_with_the_product_nvinfer_looks_at_one_class_at_a_time(
        self, emitted: Convert, beer_file: Path, picture: NDArray[np.uint8]
    ) -> None:
        product = emitted(beer_file, *_SQUASH, "--yolo-score", "product")
        found = compared(config_of(product), beer_file, picture)
        merge = next(step for step in found.comparison.steps if step.cause is Cause.MERGE)
        assert not merge.same
        assert "of a class" in merge.deepstream
        assert CauseTexts(found.models, 512, 512).reason(Cause.MERGE)[1] == "convert again without --yolo-score"

    def test_another_threshold(
        self, beer_finder: Path, beer_file: Path, picture: NDArray[np.uint8], tmp_path: Path
    ) -> None:
        found = compared(changed(beer_finder, tmp_path, {"all.pre-cluster-threshold": 0.6}), beer_file, picture)
        assert causes(found.rows[0]) == ["threshold"]

    def test_what_is_dropped_stays_dropped_without_a_threshold(
        self, beer_finder: Path, picture: NDArray[np.uint8], tmp_path: Path
    ) -> None:
        """nvinfer takes no threshold below 0, and what was dropped has a score below that."""
        (frame,) = shown(changed(beer_finder, tmp_path, {"all.pre-cluster-threshold": 0}), picture)
        assert 2 < len(frame.objects) < 300
        assert min(one.confidence for one in frame.objects) >= 0

    def test_a_second_suppression_is_told(
        self, beer_finder: Path, beer_file: Path, picture: NDArray[np.uint8], tmp_path: Path
    ) -> None:
        keys = {"cluster-mode": 2, "all.nms-iou-threshold": 0.3}
        found = compared(changed(beer_finder, tmp_path, keys), beer_file, picture)
        merge = next(step for step in found.comparison.steps if step.cause is Cause.MERGE)
        assert merge.deepstream.endswith("then drops boxes of a class that overlap by more than 0.3")
        assert not merge.same


@pytest.mark.slow
def test_integer_arithmetic_of_an_ssd(emitted: Convert, models: Path) -> None:
    file = models / "ssd-320x320x3-int8.lite"
    folder = emitted(file, *_SQUASH)
    beer = photo(models / "beer.jpg")
    assert beer.shape == (320, 320, 3)
    found = compared(config_of(folder), file, beer)
    assert found.models.edge_impulse.task == "ssd"
    assert found.models.edge_impulse.quantized
    assert causes(found.rows[0]) == ["model"]
    assert (
        found.comparison.reasons[0].words
        == "nvinfer computes in float32 where Edge Impulse computes in int8 and rounds"
    )


@pytest.mark.parametrize(
    "name",
    [
        "fomo-96x96x1-f32.tflite",
        "yolov5-160x160x3-f16.lite",
        "classify-32x32x1-int8.lite",
        pytest.param("ssd-320x320x3-int8.lite", marks=pytest.mark.slow),
    ],
)
def test_both_ends_of_the_causes(emitted: Convert, models: Path, name: str) -> None:
    """With nothing changed what `simulate` shows; with everything what the original gives, decoded as for an .eim."""
    config = config_of(emitted(models / name, *_SQUASH))
    pictures = _pictures(models)[:2]
    with judged(config, models / name) as found:
        for number, pixels in enumerate(pictures):
            found(f"p{number}", pixels)
        trained = found.models.edge_impulse
        height, width, channels = trained.original.size
        for row, frame, pixels in zip(found.rows, shown(config, *pictures), pictures, strict=True):
            seen = [(one.class_id, one.label, one.score, one.box) for one in row.deepstream.objects]
            there = [(one.class_id, one.label, one.confidence, one.box) for one in frame.objects]
            assert seen == sorted(there, key=lambda one: -one[2])
            small = interpolate(pixels, width, height).astype(np.float64)
            if channels == 1:
                small = (small @ [0.299, 0.587, 0.114])[..., None]
            result = trained.original.classify(small.astype(np.float32), trained.threshold, as_sdk=True)
            if trained.task == "classifier":
                wanted = result["classification"]
                assert row.edge_impulse.label == max(wanted, key=lambda label: wanted[label])
                continue
            boxes = sorted(result["bounding_boxes"], key=lambda box: -box["value"])
            assert [one.label for one in row.edge_impulse.objects] == [box["label"] for box in boxes]
            across, down = pixels.shape[1] / width, pixels.shape[0] / height
            for one, box in zip(row.edge_impulse.objects, boxes, strict=True):
                assert one.score == pytest.approx(box["value"], abs=1e-5)
                wanted_box = (box["x"] * across, box["y"] * down, box["width"] * across, box["height"] * down)
                assert (one.box.left, one.box.top, one.box.width, one.box.height) == pytest.approx(wanted_box, rel=1e-5)


def test_real_pictures_say_why(emitted: Convert, models: Path, fomo_file: Path) -> None:
    """On pictures as they come several causes are named, each for its own pictures, none for a picture that agrees."""
    found = compared(config_of(emitted(fomo_file, *_SQUASH)), fomo_file, *_pictures(models))
    for row in found.rows:
        assert bool(row.causes) is (row.verdict is not Verdict.SAME)
    comparison = found.comparison
    assert sum(len(reason.pictures) for reason in comparison.reasons) >= comparison.count(Verdict.DIFFERS) > 0
