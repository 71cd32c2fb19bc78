"""When two models agree, when not, and what is excused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from convert.eim import findings as rules
from convert.eim.bundle import pack, read_impulse
from convert.eim.client import talk
from convert.eim.compare import EimComparison, Reference, compare, difference, open_backend
from convert.errors import InputError, UnsupportedModelError
from convert.images import ImageScaling, ResizeMode
from tests.eim import bundles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def box(x: int, y: int, width: int, height: int, value: float = 0.9, label: str = "a") -> dict[str, Any]:
    return {"label": label, "value": value, "x": x, "y": y, "width": width, "height": height}


def found(theirs: object, mine: object, kind: str, **limits: Any) -> list[str]:
    known: dict[str, Any] = {"tolerance": 0.01, "pixels": 1, "threshold": 0.5} | limits
    _, findings = difference(
        {kind: theirs}, {kind: mine}, "p", known["tolerance"], known["pixels"], known["threshold"]
    )  # fmt: skip
    return [finding.id for finding in findings]


@pytest.mark.parametrize(
    ("theirs", "mine", "expected"),
    [
        ({"a": 0.9, "b": 0.1}, {"a": 0.905, "b": 0.095}, []),
        ({"a": 0.9, "b": 0.1}, {"a": 0.88, "b": 0.12}, [rules.SCORE_DIFFERS, rules.SCORE_DIFFERS]),
        ({"a": 0.501, "b": 0.499}, {"a": 0.499, "b": 0.501}, []),
        ({"a": 0.9, "b": 0.1}, {"a": 0.1, "b": 0.9}, [rules.SCORE_DIFFERS, rules.SCORE_DIFFERS, rules.FIRST_DIFFERS]),
        ({"a": None, "b": 0.1}, {"a": 0.9, "b": 0.1}, [rules.SCORE_DIFFERS, rules.FIRST_DIFFERS]),
        ({"a": float("nan")}, {"a": 0.9}, [rules.SCORE_DIFFERS]),
        ({"a": "high"}, {"a": 0.9}, [rules.SCORE_DIFFERS]),
    ],
)
def test_scores(theirs: object, mine: object, expected: list[Any]) -> None:
    assert found(theirs, mine, "classification") == [rule.id for rule in expected]


@pytest.mark.parametrize(
    ("theirs", "mine", "expected"),
    [
        ([], [], []),
        ([box(0, 0, 8, 8)], [box(0, 0, 8, 8)], []),
        ([box(0, 0, 8, 8)], [box(1, 0, 8, 8)], []),
        ([box(0, 0, 8, 8)], [box(0, 0, 10, 8)], [rules.BOX_DIFFERS]),
        ([box(0, 0, 8, 8)], [box(0, 0, 8, 8, 0.8)], [rules.SCORE_DIFFERS]),
        ([box(0, 0, 8, 8)], [], [rules.BOX_DIFFERS]),
        ([], [box(0, 0, 8, 8)], [rules.BOX_DIFFERS]),
        ([box(0, 0, 8, 8)], [box(0, 0, 8, 8, label="b")], [rules.BOX_DIFFERS, rules.BOX_DIFFERS]),
        ([box(0, 0, 8, 8)], [box(9, 9, 8, 8)], [rules.BOX_DIFFERS, rules.BOX_DIFFERS]),
        ([box(0, 0, 8, 8, 0.505)], [], [rules.BORDERLINE]),
        ([], [box(0, 0, 8, 8, 0.5)], [rules.BORDERLINE]),
        ([box(0, 0, 8, 8), box(20, 0, 8, 8, 0.7)], [box(20, 0, 8, 8, 0.7), box(0, 0, 8, 8)], []),
    ],
)
def test_boxes(theirs: object, mine: object, expected: list[Any]) -> None:
    assert found(theirs, mine, "bounding_boxes") == [rule.id for rule in expected]


def test_of_several_boxes_that_overlap_the_best_match_is_the_pair() -> None:
    """By intersection over union, whatever the order; a label's box is nothing to another label."""
    theirs = box(10, 10, 20, 20)
    mine = [box(10, 10, 20, 12), box(11, 10, 20, 20), box(10, 10, 20, 20, label="b"), box(4, 4, 32, 32)]
    for order in (mine, mine[::-1]):
        pairs, _ = difference({"bounding_boxes": [theirs]}, {"bounding_boxes": order}, "p", 0.01, 1, 0.5)
        assert [pair.ours for pair in pairs if pair.eim] == [mine[1]]
        assert pairs[0].pixels == 1
    # 20x20 and 20x10 inside it: intersection over union is exactly 0.5, with one row less it is below
    assert found([theirs], [box(10, 10, 20, 10)], "bounding_boxes", pixels=10) == []
    assert found([theirs], [box(10, 10, 20, 9)], "bounding_boxes", pixels=20) == [rules.BOX_DIFFERS.id] * 2


def test_boxes_without_an_area_are_the_same_only_where_they_are_equal() -> None:
    assert found([box(3, 3, 0, 0)], [box(3, 3, 0, 0)], "bounding_boxes") == []
    assert found([box(3, 3, 0, 0)], [box(3, 4, 0, 0)], "bounding_boxes") == [rules.BOX_DIFFERS.id] * 2


def test_pairs_of_scores_stand_in_the_order_of_the_other_side() -> None:
    theirs, mine = {"x": 1.5, "a": 0.75, "c": "no"}, {"b": 0.25, "a": 0.5, "c": 0.125}
    pairs, findings = difference({"classification": theirs}, {"classification": mine}, "p", 0.5, 1, 0.5)
    assert [(pair.label, pair.eim, pair.ours, pair.score) for pair in pairs] == [
        ("b", None, 0.25, None), ("a", 0.75, 0.5, 0.25), ("c", "no", 0.125, None), ("x", 1.5, None, None),
    ]  # fmt: skip
    assert [(each.id, each.message, str(each.path)) for each in findings] == [
        (rules.SCORE_DIFFERS.id, "c: 'no' and 0.125", "p"), (rules.FIRST_DIFFERS.id, "x and a", "p"),
    ]  # fmt: skip


def test_pairs_of_boxes_are_made_from_the_surest_on() -> None:
    theirs = [box(0, 0, 20, 20, 0.6), box(2, 3, 20, 20, 0.75), box(50, 50, 4, 4, 0.55, "b")]
    mine = [box(1, 3, 20, 24, 0.5), box(80, 80, 2, 2, 0.8)]
    pairs, findings = difference({"bounding_boxes": theirs}, {"bounding_boxes": mine}, "p", 0.125, 3, 0.5)
    assert [(pair.label, pair.eim, pair.ours, pair.score, pair.pixels) for pair in pairs] == [
        ("a", theirs[1], mine[0], 0.25, 4), ("a", theirs[0], None, None, None), ("b", theirs[2], None, None, None),
        ("a", None, mine[1], None, None),
    ]  # fmt: skip
    assert [(each.id, each.message, str(each.path)) for each in findings] == [
        (rules.SCORE_DIFFERS.id, "a at 2,3 20x20: score 0.7500 and 0.5000", "p"),
        (rules.BOX_DIFFERS.id, "a at 2,3 20x20 and a at 1,3 20x24: 4 pixels", "p"),
        (rules.BORDERLINE.id, "only the .eim finds a at 0,0 20x20, 0.6000", "p"),
        (rules.BORDERLINE.id, "only the .eim finds b at 50,50 4x4, 0.5500", "p"),
        (rules.BOX_DIFFERS.id, "the .eim does not find a at 80,80 2x2, 0.8000", "p"),
    ]  # fmt: skip


def test_an_original_is_resized_as_the_eim_says(
    convert: Callable[..., Path], pictures: Sequence[Path], tmp_path: Path
) -> None:
    sample = next((Path(__file__).resolve().parents[2] / "samples" / "models").glob("shapes.tflite"))
    pack(convert(sample, "--resize-mode", "fit-longest"), tmp_path / "model.eim")
    with talk(tmp_path / "model.eim") as client, open_backend(sample, client.model, ImageScaling.NONE, 60) as ours:
        assert ours.resize_mode is ResizeMode.FIT_LONGEST
        assert (*ours.size, len(ours.labels)) == (client.model.height, client.model.width, 1, len(client.model.labels))
        comparison = compare(client, ours, pictures, tolerance=1e-4, pixels=0)
    assert [finding.id for finding in comparison.all_findings] == []
    assert [len(each.pairs) for each in comparison.pictures] == [len(client.model.labels)] * 2


def test_limits() -> None:
    assert found({"a": 0.9}, {"a": 0.8}, "classification", tolerance=0.2) == []
    assert found([box(0, 0, 9, 9)], [box(3, 0, 9, 9)], "bounding_boxes", pixels=3) == []


def test_results_of_other_kinds() -> None:
    with pytest.raises(InputError, match="answers with classification, the other side with bounding_boxes"):
        difference({"classification": {}}, {"bounding_boxes": []}, "p", 0.1, 1, 0.5)
    for wrong in ("box", {"label": "a"}, box(0, 0, 1, 1) | {"x": None}, box(0, 0, 1, 1) | {"x": float("inf")}):
        with pytest.raises(InputError, match="a box that is none"):
            difference({"bounding_boxes": [wrong]}, {"bounding_boxes": []}, "p", 0.1, 1, 0.5)


@pytest.fixture
def pictures(tmp_path: Path) -> Sequence[Path]:
    """Noise, and green patches that touch at corners."""
    random = np.random.default_rng(1)
    patches = bundles.painted(bundles.fomo(), *[(8 * x, 8 * y, 8, 8, (0, 255, 0)) for x, y in ((2, 1), (1, 2), (6, 6))])
    for number, values in enumerate([random.integers(0, 256, (50, 70, 3), np.uint8), patches]):
        Image.fromarray(values).save(tmp_path / f"{number}.png")
    return sorted(tmp_path.glob("*.png"))


def compared(eim: Path, other: Path, pictures: Sequence[Path], **limits: Any) -> EimComparison:
    known: dict[str, Any] = {"tolerance": 0.01, "pixels": 1} | limits
    with talk(eim) as client, open_backend(other, client.model, ImageScaling.NONE, 60) as ours:
        return compare(client, ours, pictures, **known)


@pytest.mark.parametrize("kind", ["classifier", "gray", "fomo", "yolov5", "ssd"])
def test_a_bundle_agrees_with_itself(made: dict[str, Path], pictures: Sequence[Path], kind: str) -> None:
    comparison = compared(made[f"{kind}.eim"], made[kind], pictures)
    assert comparison.all_findings == ()
    assert comparison.largest == 0
    assert all(each.pairs for each in comparison.pictures) or kind == "fomo"


def test_another_model_does_not(made: dict[str, Path], tmp_path: Path) -> None:
    sketch = bundles.classifier()
    other = replace(sketch, constants={"weights": sketch.constants["weights"][::-1].copy()}).write(tmp_path / "other")
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "red.png")
    comparison = compared(made["classifier.eim"], other, [tmp_path / "red.png"])
    assert {finding.id for finding in comparison.all_findings} == {rules.SCORE_DIFFERS.id, rules.FIRST_DIFFERS.id}


def test_other_labels_sizes_and_resize_modes(made: dict[str, Path], pictures: Sequence[Path], tmp_path: Path) -> None:
    sketch = bundles.classifier()
    head = replace(sketch.head, labels=("red", "green", "violet"))
    before = replace(sketch.preprocessing, resize_mode=ResizeMode.FIT_LONGEST)
    other = replace(sketch, head=head, preprocessing=before).write(tmp_path / "other")
    comparison = compared(made["classifier.eim"], other, pictures)
    assert [finding.id for finding in comparison.findings] == [rules.OTHER_LABELS.id, rules.OTHER_RESIZE.id]
    assert "only in the .eim: blue; only in the other: violet" in comparison.findings[0].message
    for wrong in (bundles.classifier(9, 8), bundles.classifier(gray=True)):
        with pytest.raises(InputError, match="takes pictures of 8x8 with 3 channels"):
            compared(made["classifier.eim"], wrong.write(tmp_path / wrong.name), pictures)


def test_the_slips_of_the_sdk_are_excused(made: dict[str, Path], pictures: Sequence[Path], tmp_path: Path) -> None:
    """A real FOMO executable answers as `as_sdk` does; this one does, too."""
    impulse = read_impulse(made["fomo"])

    def swapped(picture: Any, threshold: float, *, as_sdk: bool = False) -> dict[str, Any]:
        with open_backend(made["fomo"], client.model, ImageScaling.NONE, 60) as ours:
            return ours.classify(picture, threshold, as_sdk=not as_sdk)

    size = (impulse.height, impulse.width, impulse.channels)
    reference = Reference(size, impulse.labels, impulse.preprocessing.resize_mode, swapped)
    with talk(made["fomo.eim"]) as client:
        comparison = compare(client, reference, pictures, tolerance=0.01, pixels=1)
    assert [finding.id for finding in comparison.all_findings] == [rules.SDK_MERGE.id]
    assert comparison.pictures[1].pairs[0].pixels == 0
    assert tmp_path.exists()


def test_the_threshold_is_that_of_the_eim(made: dict[str, Path], pictures: Sequence[Path], tmp_path: Path) -> None:
    sketch = bundles.yolov5()
    other = replace(sketch, metadata=replace(sketch.metadata, threshold=0.95)).write(tmp_path / "other")
    assert [len(each.pairs) for each in compared(made["yolov5.eim"], other, pictures).pictures] == [2, 2]
    assert [len(each.pairs) for each in compared(made["yolov5.eim"], other, pictures, threshold=0.85).pictures] == [
        1,
        1,
    ]


def test_an_original_that_cannot_be_compared(made: dict[str, Path], models: Path, pictures: Sequence[Path]) -> None:
    with pytest.raises(UnsupportedModelError, match="cannot be compared"):
        compared(made["fomo.eim"], models / "motion-33-f32.tflite", pictures)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "tolerance", "pixels", "threshold"),
    [
        ("classify-48x48x3-f32.lite", 1e-4, 0, 0.3),
        ("classify-32x32x1-f32.lite", 1e-4, 0, 0.3),
        ("fomo-96x96x1-f32.tflite", 1e-4, 0, 0.3),
        ("fomo-240x240x3-f32.tflite", 1e-4, 0, 0.3),
        ("yolov5-160x160x3-f16.lite", 1e-3, 1, 0.3),
        ("ssd-320x320x3-int8.lite", 0.05, 3, 0.5),  # computes in float32 what the original does in 8 bits
    ],
)
def test_a_packed_bundle_agrees_with_its_original(
    models: Path,
    convert: Callable[..., Path],
    tmp_path: Path,
    model: str,
    tolerance: float,
    pixels: int,
    threshold: float,
) -> None:
    """Real models, converted by the whole pipeline, and asked over the protocol; LiteRT is the judge."""
    pack(convert(models / model, "--resize-mode", "squash"), tmp_path / "model.eim")
    random = np.random.default_rng(5)
    for number in range(3):
        small = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        small.resize((320, 240), Image.Resampling.BILINEAR).save(tmp_path / f"{number}.png")
    files = [*sorted(tmp_path.glob("*.png")), *sorted(models.glob("*.jpg"))]
    comparison = compared(
        tmp_path / "model.eim", models / model, files, tolerance=tolerance, pixels=pixels, threshold=threshold
    )
    assert [finding for finding in comparison.all_findings if finding.level == "error"] == []
    assert any(each.pairs for each in comparison.pictures), "something was found"
