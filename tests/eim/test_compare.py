"""When two models agree, when not, and what is excused."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from convert.eim import compare as rules
from convert.eim.bundle import pack
from convert.eim.client import ModelInfo, Reply, talk
from convert.eim.compare import EimComparison, compare, difference, open_backend
from convert.eim.server import Loaded
from convert.errors import InputError, PresetError, UnsupportedModelError
from convert.export.facts import facts
from convert.export.tflite import read_graph
from convert.images import Frame, Framing, ImageScaling, ResizeMode
from convert.images.resizing import Resizing
from convert.types import Int8Agreement
from tests.eim import bundles
from tests.eim.bundles import read_impulse
from tests.heads.ssds import PARAMETERS, ssd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convert.findings import Rule
    from tests.eim.processes import Served


SAMPLES = Path(__file__).resolve().parents[2] / "samples"


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
    assert [(pair.label, pair.eim, pair.ours, pair.score_difference) for pair in pairs] == [
        ("b", None, 0.25, None), ("a", 0.75, 0.5, 0.25), ("c", "no", 0.125, None), ("x", 1.5, None, None),
    ]  # fmt: skip
    assert [(each.id, each.message, str(each.path)) for each in findings] == [
        (rules.SCORE_DIFFERS.id, "c: 'no' and 0.125", "p"), (rules.FIRST_DIFFERS.id, "x and a", "p"),
    ]  # fmt: skip


def test_pairs_of_boxes_are_made_from_the_surest_on() -> None:
    theirs = [box(0, 0, 20, 20, 0.6), box(2, 3, 20, 20, 0.75), box(50, 50, 4, 4, 0.55, "b")]
    mine = [box(1, 3, 20, 24, 0.5), box(80, 80, 2, 2, 0.8)]
    pairs, findings = difference({"bounding_boxes": theirs}, {"bounding_boxes": mine}, "p", 0.125, 3, 0.5)
    assert [(pair.label, pair.eim, pair.ours, pair.score_difference, pair.pixels) for pair in pairs] == [
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
    emitted: Callable[..., Path], pictures: Sequence[Path], tmp_path: Path
) -> None:
    sample = next((Path(__file__).resolve().parents[2] / "samples" / "models").glob("shapes.tflite"))
    pack(emitted(sample, "--resize-mode", "fit-longest"), tmp_path / "model.eim")
    with talk(tmp_path / "model.eim") as client, open_backend(sample, client.model, ImageScaling.NONE, 60) as ours:
        assert ours.resize_mode is ResizeMode.FIT_LONGEST
        assert (*(ours.size or ()), len(ours.labels)) == (
            client.model.height,
            client.model.width,
            1,
            len(client.model.labels),
        )
        comparison = compare(client, ours, pictures, tolerance=1e-4, pixels=0)
    assert [finding.id for finding in comparison.all_findings] == []
    assert [len(each.pairs) for each in comparison.pictures] == [len(client.model.labels)] * 2


def test_limits() -> None:
    assert found({"a": 0.9}, {"a": 0.8}, "classification", tolerance=0.2) == []
    assert found([box(0, 0, 9, 9)], [box(3, 0, 9, 9)], "bounding_boxes", pixels=3) == []
    for smaller in (box(2, 0, 7, 9), box(0, 2, 9, 7)):  # the other two edges are where they were
        assert found([box(0, 0, 9, 9)], [smaller], "bounding_boxes", pixels=2) == []


def test_results_of_other_kinds() -> None:
    with pytest.raises(InputError, match="answers with classification, the other side with bounding_boxes"):
        difference({"classification": {}}, {"bounding_boxes": []}, "p", 0.1, 1, 0.5)
    for wrong in ("box", {"label": "a"}, box(0, 0, 1, 1) | {"x": None}, box(0, 0, 1, 1) | {"x": float("inf")}):
        with pytest.raises(InputError, match=r"^the \.eim answers with a box that is none: ['{]") as caught:
            difference({"bounding_boxes": [wrong]}, {"bounding_boxes": []}, "p", 0.1, 1, 0.5)
        assert caught.value.hint == "update the .eim"
    with pytest.raises(InputError, match=r"^the \.eim answers with nothing, the other side with one, two$"):
        difference({}, {"one": 1, "two": 2}, "p", 0.1, 1, 0.5)
    for theirs, named in (({}, "nothing"), ({"classification": {}, "other": 1}, "classification, other")):
        message = f"the .eim answers with {named}, the other side with bounding_boxes"
        with pytest.raises(InputError) as caught:
            difference(theirs, {"bounding_boxes": []}, "p", 0.1, 1, 0.5)
        told = caught.value
        assert (told.message, told.path, told.hint) == (message, "p", "compare models of the same kind")


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
def test_a_bundle_agrees_with_itself(
    made: dict[str, Path], served: Served, pictures: Sequence[Path], kind: str
) -> None:
    comparison = compared(served(kind), made[kind], pictures)
    assert comparison.all_findings == ()
    assert comparison.largest == 0
    assert all(each.pairs for each in comparison.pictures) or kind == "fomo"


def test_another_model_does_not(served: Served, tmp_path: Path) -> None:
    sketch = bundles.classifier()
    other = replace(sketch, constants={"weights": sketch.constants["weights"][::-1].copy()}).write(tmp_path / "other")
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "red.png")
    comparison = compared(served("classifier"), other, [tmp_path / "red.png"])
    assert {finding.id for finding in comparison.all_findings} == {rules.SCORE_DIFFERS.id, rules.FIRST_DIFFERS.id}


def test_other_labels_sizes_and_resize_modes(served: Served, pictures: Sequence[Path], tmp_path: Path) -> None:
    sketch = bundles.classifier()
    head = replace(sketch.head, labels=("red", "green", "violet"))
    before = replace(sketch.preprocessing, resize_mode=ResizeMode.FIT_LONGEST)
    other = replace(sketch, head=head, preprocessing=before).write(tmp_path / "other")
    comparison = compared(served("classifier"), other, pictures)
    assert [finding.id for finding in comparison.findings] == [rules.OTHER_LABELS.id, rules.OTHER_RESIZE.id]
    assert "only in the .eim: blue; only in the other: violet" in comparison.findings[0].message
    for wrong in (bundles.classifier(9, 8), bundles.classifier(gray=True)):
        with pytest.raises(InputError, match="takes pictures of 8x8 with 3 channels"):
            compared(served("classifier"), wrong.write(tmp_path / wrong.name), pictures)


class Scripted:
    """An .eim that answers as a function of the features."""

    def __init__(self, model: ModelInfo, answer: Callable[[Any], dict[str, Any]]) -> None:
        self.model, self.answer, self.target = model, answer, Path("m.eim")

    def classify(self, features: Any) -> Reply:
        return Reply(self.answer(features), {}, 0.0)

    def set_threshold(self, block: int, name: str, value: float) -> None:
        assert (block, name) == (7, "min_score")
        self.limit = value


SCORES = ModelInfo(9, 0, ("a", "b"), 0, 0, 0, None, "classification", (), {})
DETECTOR = replace(SCORES, width=3, height=3, channels=1, kind="object_detection", resize_mode="squash")
LIMITED = replace(DETECTOR, thresholds=({"id": 7, "type": "object_detection", "min_score": 0.25},))

KEEPS, LEAVE = "the threshold of the other .eim is not known: it keeps its own", "leave --threshold out"
PROJECT = "compare an .eim with the conversion of the same project and version"


def scripted(
    info: ModelInfo, wanted: float | None = None, answers: Any = None, **changes: Any
) -> tuple[list[tuple[str, str, str | None]], list[float]]:
    """What is said of the models: id, message and hint; and the thresholds that the reference is given."""
    limits: list[float] = []

    def classify(_: Any, limit: float, **__: Any) -> dict[str, Any]:
        limits.append(limit)
        return {"bounding_boxes": []} if info.detects else {"classification": {"a": 0.75, "b": 0.25}}

    eim: Any = Scripted(info, lambda _: answers or classify(0, 0))
    ours = rules.Reference(None, ("a", "b"), None, lambda path: [(str(path), np.zeros(9, np.float32), 0)], classify)
    comparison = compare(
        eim, replace(ours, **changes), [Path("p")], tolerance=0.01, pixels=1, threshold=wanted
    )  # fmt: skip
    return [(each.id, each.message, each.hint) for each in comparison.findings], [each for each in limits if each]


@pytest.mark.parametrize(
    ("info", "changes", "rule", "message"),
    [
        (replace(SCORES, labels=("b", "c")), {}, rules.OTHER_LABELS, "only in the .eim: c; only in the other: a"),
        (replace(SCORES, labels=("b",)), {}, rules.OTHER_LABELS, "only in the .eim: none; only in the other: a"),
        (replace(SCORES, labels=("d", "c")), {}, rules.OTHER_LABELS,
         "only in the .eim: c, d; only in the other: a, b"),
        (replace(SCORES, labels=("c", "b", "a")), {}, rules.OTHER_LABELS,
         "only in the .eim: c; only in the other: none"),
        (replace(SCORES, labels=("b", "a")), {}, None, ""),
        (SCORES, {"anomaly": True}, rules.OTHER_ANOMALY,
         "the other side gives an anomaly score, the .eim none: it is not compared"),
        (replace(SCORES, raw={"model_parameters": {"has_anomaly": 1}}), {"anomaly": False}, rules.OTHER_ANOMALY,
         "the .eim gives an anomaly score, the other side none: it is not compared"),
        (SCORES, {"anomaly": False}, None, ""),
        (SCORES, {"resize_mode": ResizeMode.SQUASH}, None, ""),
        (replace(SCORES, resize_mode="none"), {"resize_mode": ResizeMode.SQUASH}, None, ""),
        (replace(SCORES, resize_mode="squash"), {"resize_mode": ResizeMode.SQUASH}, None, ""),
        (replace(SCORES, resize_mode="squash"), {"resize_mode": ResizeMode.FIT_LONGEST}, rules.OTHER_RESIZE,
         "the .eim says squash, the bundle fit-longest"),
        (DETECTOR, {}, rules.NO_THRESHOLD,
         "the .eim does not say its threshold: Edge Impulse's usual one is taken, 0.5"),
        (DETECTOR, {"threshold": 0.125}, rules.NO_THRESHOLD,
         "the .eim does not say its threshold: the other side's is taken, 0.125"),
        (LIMITED, {"threshold": 0.125}, None, ""),
        (LIMITED, {"settable": False}, rules.NO_THRESHOLD, KEEPS),
    ],
)  # fmt: skip
def test_what_is_said_of_two_models(info: ModelInfo, changes: dict[str, Any], rule: Rule | None, message: str) -> None:
    said, _ = scripted(info, **changes)
    assert [each[:2] for each in said] == ([(rule.id, message)] if rule else [])


def test_the_threshold_that_both_get() -> None:
    assert scripted(SCORES)[1] == [0.5]
    assert scripted(LIMITED)[1] == [0.25]
    assert scripted(DETECTOR, threshold=0.125)[1] == [0.125]
    assert scripted(LIMITED, 0.75) == ([], [0.75])
    assert scripted(DETECTOR, settable=False)[0] == [
        (rules.NO_THRESHOLD.id, "the .eim does not say its threshold: Edge Impulse's usual one is taken, 0.5", None),
        (rules.NO_THRESHOLD.id, KEEPS, None),
    ]
    message = "has no detection threshold that can be set, so both cannot have the same"
    for info, settable, side, path in ((DETECTOR, True, "the .eim", "m.eim"), (LIMITED, False, "the other .eim", None)):
        with pytest.raises(PresetError) as caught:
            scripted(info, 0.75, settable=settable)
        assert (caught.value.message, caught.value.path, caught.value.hint) == (f"{side} {message}", path, LEAVE)


@pytest.mark.parametrize(
    ("info", "size", "message"),
    [
        (SCORES, (3, 4, 1), "the .eim takes no pictures, the other side ones of 4x3 with 1 channels"),
        (
            DETECTOR,
            (3, 4, 1),
            "the .eim takes pictures of 3x3 with 1 channels, the other side ones of 4x3 with 1 channels",
        ),
        (
            DETECTOR,
            (3, 3, 3),
            "the .eim takes pictures of 3x3 with 1 channels, the other side ones of 3x3 with 3 channels",
        ),
        (DETECTOR, (3, 3, 1), None),
        (replace(DETECTOR, channels=0), (3, 3, 3), None),
    ],
)
def test_pictures_of_another_size(info: ModelInfo, size: tuple[int, int, int], message: str | None) -> None:
    if message is None:
        scripted(info, size=size)
        return
    with pytest.raises(InputError) as caught:
        scripted(info, size=size)
    assert (caught.value.message, caught.value.hint) == (message, PROJECT)


def test_another_eim_that_takes_no_pictures() -> None:
    other: Any = Scripted(SCORES, dict)
    with pytest.raises(InputError, match=r"^the other \.eim takes no pictures$") as caught:
        rules._executable(other, SCORES, features=False)
    assert (caught.value.path, caught.value.hint) == ("m.eim", "give --features FILE")
    assert rules._executable(other, SCORES, features=True).size is None


def test_why_a_rewritten_model_answers_otherwise(tmp_path: Path) -> None:
    impulse = bundles.classifier().impulse(tmp_path)
    assert rules._bundle(impulse, SCORES, features=False).rounding == ""
    given = replace(impulse, agreement=Int8Agreement(0.985, 0.0123, 0.5, 200))
    assert rules._bundle(given, SCORES, features=False).rounding == (
        "the bundle computes in float32 what the export has in int8; its report: the same decision on 98.5% of 200 "
        "inputs, outputs 0.012 apart on average and 0.5 at most"
    )


def test_which_kernels_an_eim_has() -> None:
    """The sets are up to a quarter apart, and the answers are those of the second."""

    def second(_: Any, __: float) -> dict[str, Any]:
        return {"classification": {"a": 0.5, "b": 0.25}}

    said, _ = scripted(SCORES, answers=second(0, 0), by_reference=second)
    message = (
        "an int8 model in LiteRT: of the .eim's 1 answers 0 those of its XNNPACK kernels and 1 those of its reference "
        "kernels, bit for bit; the two sets of kernels are up to 0.25 apart"
    )
    assert [each[:2] for each in said] == [(rules.ROUNDING.id, message)]


def test_what_helps_against_rounding() -> None:
    """Where the answers differ: the .tflite of pictures, the edges of boxes."""
    far = {"classification": {"a": 0.5, "b": 0.25}}
    assert scripted(SCORES, rounding="rounded")[0] == []
    assert scripted(SCORES, answers=far, rounding="rounded")[0] == [
        (rules.ROUNDING.id, "rounded", "allow for it with --tolerance")
    ]
    boxes = {"bounding_boxes": [box(0, 0, 9, 9)]}
    assert scripted(LIMITED, answers=boxes, rounding="rounded")[0] == [
        (rules.ROUNDING.id, "rounded",
         "compare the .eim with the .tflite of the same export, or allow for it with --tolerance and --pixels")
    ]  # fmt: skip


def test_the_slips_of_the_sdk_are_excused(made: dict[str, Path], served: Served, pictures: Sequence[Path]) -> None:
    """A real FOMO executable answers as `as_sdk` does; this one does, too."""
    with talk(served("fomo")) as client, open_backend(made["fomo"], client.model, ImageScaling.NONE, 60) as ours:
        theirs: Any = Scripted(client.model, lambda features: ours.classify(features, 0.5, as_sdk=True))
        comparison = compare(theirs, ours, pictures, tolerance=0.01, pixels=1)
    said = [(finding.id, finding.message, finding.path) for finding in comparison.all_findings]
    assert said == [(rules.SDK_MERGE.id, "only the merging of cells differs", str(pictures[1]))]
    assert comparison.pictures[1].pairs[0].pixels == 0


@pytest.mark.parametrize(
    ("greens", "theirs", "tolerance", "expected"),
    [
        ((200, 200), (0.5, 0.5), 0.02, []),
        ((128, 200), (0.515, 0.5), 0.02, [rules.BORDERLINE]),  # a score of 0.5098, which the .eim takes for too low
        ((127, 200), (0.485, 0.5), 0.02, [rules.BORDERLINE]),  # a score of 0.4902, which the .eim takes for enough
        ((128, 127), (0.515, 0.485), 0.02, [rules.BORDERLINE]),  # one box is smaller, the other one larger
        ((128, 200), (0.515, 0.5), 0.005, [rules.BOX_DIFFERS]),
        ((200, 200), (0.999, 0.5), 0.02, [rules.BOX_DIFFERS]),
    ],
)
def test_cells_at_the_threshold(
    made: dict[str, Path],
    served: Served,
    tmp_path: Path,
    greens: tuple[int, int],
    theirs: tuple[float, float],
    tolerance: float,
    expected: list[Rule],
) -> None:
    """Two boxes, each of a sure cell and of one that may be at the threshold."""
    spots = [(16, 16, 8, 8, 255), (24, 16, 8, 8, greens[0]), (48, 64, 8, 8, 255), (48, 72, 8, 8, greens[1])]
    sketch = bundles.fomo()
    picture = bundles.painted(sketch, *((x, y, wide, high, (0, green, 0)) for x, y, wide, high, green in spots))
    Image.fromarray(picture).save(tmp_path / "p.png")
    with talk(served("fomo")) as client, open_backend(made["fomo"], client.model, ImageScaling.NONE, 60) as ours:

        def answer(features: Any) -> dict[str, Any]:
            boxes = [ours.classify(features, level)["bounding_boxes"][place] for place, level in enumerate(theirs)]
            return {"bounding_boxes": boxes}

        eim: Any = Scripted(client.model, answer)
        comparison = compare(eim, ours, [tmp_path / "p.png"], tolerance=tolerance, pixels=1)
    assert [finding.id for finding in comparison.all_findings] == [rule.id for rule in expected]
    if expected == [rules.BORDERLINE]:
        told = {finding.message for finding in comparison.all_findings}
        assert told == {"boxes differ by cells whose scores are at the threshold"}


def test_the_threshold_is_that_of_the_eim(served: Served, pictures: Sequence[Path], tmp_path: Path) -> None:
    sketch = bundles.yolov5()
    other = replace(sketch, metadata=replace(sketch.metadata, threshold=0.95)).write(tmp_path / "other")
    assert [len(each.pairs) for each in compared(served("yolov5"), other, pictures).pictures] == [2, 2]
    assert [len(each.pairs) for each in compared(served("yolov5"), other, pictures, threshold=0.85).pictures] == [1, 1]


def test_what_an_int8_detector_may_differ_in(made: dict[str, Path], served: Served, pictures: Sequence[Path]) -> None:
    with talk(served("yolov5")) as client, open_backend(made["yolov5"], client.model, ImageScaling.NONE, 60) as ours:
        rounded = replace(ours, rounding="rounded", classify=lambda *_, **__: {"bounding_boxes": []})
        found = compare(client, rounded, pictures, tolerance=0.01, pixels=1).findings
    hint = "compare the .eim with the .tflite of the same export, or allow for it with --tolerance and --pixels"
    assert [(each.id, each.hint) for each in found] == [(rules.ROUNDING.id, hint)]


def test_an_original_that_cannot_be_compared(served: Served, models: Path, pictures: Sequence[Path]) -> None:
    with pytest.raises(UnsupportedModelError, match="cannot be compared") as caught:
        compared(served("fomo"), models / "motion-33-f32.tflite", pictures)
    assert "compare with the bundle" in (caught.value.hint or "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "tolerance", "pixels", "threshold"),
    [
        ("classify-48x48x3-f32.lite", 1e-4, 0, None),
        ("fomo-240x240x3-f32.tflite", 1e-4, 0, 0.3),
        ("yolov5-160x160x3-f16.lite", 1e-3, 1, 0.3),
        ("ssd-320x320x3-int8.lite", 0.05, 3, 0.5),  # computes in float32 what the original does in 8 bits
    ],
)
def test_a_packed_bundle_agrees_with_its_original(
    models: Path,
    emitted: Callable[..., Path],
    tmp_path: Path,
    model: str,
    tolerance: float,
    pixels: int,
    threshold: float | None,
) -> None:
    """Real models, converted but for the proof, and asked over the protocol; LiteRT is the judge."""
    pack(emitted(models / model, "--resize-mode", "squash", "--frame", "none"), tmp_path / "model.eim")
    random = np.random.default_rng(5)
    for number in range(3):
        small = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        small.resize((320, 240), Image.Resampling.BILINEAR).save(tmp_path / f"{number}.png")
    files = [*sorted(models.glob("*.jpg")), *sorted(tmp_path.glob("*.png"))]
    if "int8" in model:  # LiteRT's reference kernels, too, take seconds a picture
        del files[1:]
    comparison = compared(
        tmp_path / "model.eim", models / model, files, tolerance=tolerance, pixels=pixels, threshold=threshold
    )
    assert [finding for finding in comparison.all_findings if finding.level == "error"] == []
    assert any(each.pairs for each in comparison.pictures), "something was found"


@pytest.mark.slow
@pytest.mark.parametrize("model", ["fomo-96x96x3-int8.tflite", "classify-96x96x3-int8.lite"])
def test_an_int8_eim_is_compared_with_both_sets_of_kernels(models: Path, tmp_path: Path, model: str) -> None:
    """The .eim answers as TensorFlow Lite for Microcontrollers does: as the reference kernels."""
    random = np.random.default_rng(3)
    files = [tmp_path / f"{number}.png" for number in range(12)]
    for file in files:
        small = Image.fromarray(random.integers(0, 256, (9, 9, 3), np.uint8))
        small.resize((96, 96), Image.Resampling.BICUBIC).save(file)
    classes = facts((models / model).read_bytes()).outputs[0].shape[-1] or 0
    labels = tuple(map(str, range(classes - model.startswith("fomo"))))
    info = ModelInfo(9216, 0, labels, 96, 96, 3, "squash", "classification", (), {})
    with open_backend(models / model, info, ImageScaling.NONE, 60) as ours:
        assert ours.by_reference
        by_reference = ours.by_reference
        eim: Any = Scripted(info, lambda features: by_reference(features, 0.5))
        comparison = compare(eim, ours, files, tolerance=0.0, pixels=0)
    (found,) = comparison.findings
    assert comparison.agrees
    assert found.id == rules.ROUNDING.id
    assert "and 12 those of its reference kernels, bit for bit; the two sets of kernels are up to 0." in found.message


@pytest.mark.parametrize(
    ("scale", "zero", "level"),
    [
        (1 / 255, -128, None),
        (0.0032910420559346676, -128, 215),
        (0.00389, -128, 254),
        (0.02, 0, None),
        (0.0078, 0, 254),
    ],
)
def test_levels_that_have_no_code(models: Path, scale: float, zero: int, level: int | None) -> None:
    """The rule against the SDK's own sum, for every level."""
    model = (models / "classify-96x96x3-int8.lite").read_bytes()
    graph = read_graph(model)
    source = replace(graph.tensors[graph.inputs[0]], dtype="int8", scales=(scale,), zero_points=(zero,))
    tensors = tuple(source if number == graph.inputs[0] else each for number, each in enumerate(graph.tensors))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "read_graph", lambda _: replace(graph, tensors=tensors))
        found = rules._overflow(model, Path("m.tflite"))
    assert next((each for each in range(256) if round(each / 255 / scale) + zero > 127), None) == level
    messages = [] if level is None else [f"levels from {level} to 255 have no code of their own"]
    assert [each.message for each in found] == messages


def test_a_threshold_that_one_side_cannot_set(made: dict[str, Path], served: Served, pictures: Sequence[Path]) -> None:
    with pytest.raises(PresetError, match="no detection threshold that can be set"):
        compared(served("classifier"), made["classifier"], pictures, threshold=0.3)
    with talk(served("yolov5")) as client, open_backend(made["yolov5"], client.model, ImageScaling.NONE, 60) as ours:
        client.model = replace(client.model, thresholds=())
        comparison = compare(client, ours, pictures, tolerance=0.01, pixels=1)
    assert [finding.id for finding in comparison.all_findings] == [rules.NO_THRESHOLD.id]
    assert comparison.findings[0].message.endswith("the other side's is taken, 0.5")


def test_an_other_eim_that_keeps_its_own_threshold(
    made: dict[str, Path], served: Served, pictures: Sequence[Path]
) -> None:
    """As executables before 2025, which say none: a threshold for both cannot be had, and without one it is said."""
    with talk(served("fomo")) as client, talk(made["fomo.eim"]) as other:
        other.model = replace(other.model, thresholds=())
        ours = rules._executable(other, client.model, features=False)
        with pytest.raises(PresetError, match=r"the other \.eim has no detection threshold that can be set"):
            compare(client, ours, pictures, tolerance=0.01, pixels=1, threshold=0.9)
        comparison = compare(client, ours, pictures, tolerance=0.01, pixels=1)
    assert [finding.id for finding in comparison.all_findings] == [rules.NO_THRESHOLD.id]


def test_another_eim_is_told_a_threshold_once(
    made: dict[str, Path], served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[Any, ...]] = []
    with talk(served("fomo")) as client, talk(made["fomo.eim"]) as other:
        monkeypatch.setattr(other, "set_threshold", lambda *values: told.append(values))
        (block,) = other.model.detectors
        ours = rules._executable(other, client.model, features=False)
        assert ours.threshold == other.model.detectors[block]
        for threshold in (ours.threshold, 0.25, 0.25, 0.75):
            ours.classify(np.zeros(client.model.features, np.float32), threshold)
    assert told == [(block, "min_score", 0.25), (block, "min_score", 0.75)]


def test_against_another_eim(made: dict[str, Path], served: Served, pictures: Sequence[Path]) -> None:
    comparison = compared(made["fomo.eim"], served("fomo"), pictures, threshold=0.3)
    assert comparison.agrees
    assert comparison.largest == 0


def test_features(made: dict[str, Path], served: Served, tmp_path: Path, models: Path) -> None:
    """Of a bundle a picture's; of a .tflite what its network takes; of an .eim anything."""
    (tmp_path / "a.txt").write_text(",".join(["0x00ff00"] * 64))
    with (
        talk(served("classifier")) as client,
        open_backend(made["classifier"], client.model, ImageScaling.NONE, 60, features=True) as ours,
    ):
        comparison = compare(client, ours, [tmp_path / "a.txt"], tolerance=0.0, pixels=0)
    assert comparison.agrees
    assert len(comparison.pictures[0].pairs) == 3
    info = ModelInfo(33, 0, tuple("abcdefgh"), 0, 0, 0, None, "classification", (), {})
    (tmp_path / "b.txt").write_text(" ".join(["0.5"] * 33))
    with open_backend(models / "motion-33-f32.tflite", info, ImageScaling.NONE, 60, features=True) as ours:
        ((_, _, own),) = ours.take(tmp_path / "b.txt")
        answer = ours.classify(own, 0.5)["classification"]
        eim: Any = Scripted(info, lambda _: {"classification": answer, "anomaly": 3.5})
        comparison = compare(eim, ours, [tmp_path / "b.txt"], tolerance=0.0, pixels=0)
    assert sum(answer.values()) == pytest.approx(1)
    note = "the .tflite is compared on the features as they are"
    assert [(found.id, found.message) for found in comparison.all_findings] == [(rules.NETWORK_ALONE.id, note)]
    raw = replace(info, features=375)
    with (
        pytest.raises(InputError) as caught,
        open_backend(models / "motion-33-f32.tflite", raw, ImageScaling.NONE, 60, features=True),
    ):
        pass
    makes = "the .eim makes 33 numbers of its 375 features before its network, and a .tflite is the network alone"
    assert (caught.value.message, caught.value.hint) == (makes, "compare with another .eim of the project")
    fewer = replace(info, labels=("a",))
    with (
        open_backend(models / "motion-33-f32.tflite", fewer, ImageScaling.NONE, 60, features=True) as ours,
        pytest.raises(InputError, match=r"^the network has 8 outputs, the \.eim 1 labels$") as caught,
    ):
        ours.classify(own, 0.5)
    assert caught.value.hint == "compare with the model of the same project and version"


@pytest.mark.parametrize("other", ["fomo", "shapes.tflite"])
def test_features_of_another_size(made: dict[str, Path], served: Served, other: str) -> None:
    path = made.get(other, SAMPLES / "models" / other)
    with (
        talk(served("classifier")) as client,
        pytest.raises(InputError, match=r"^the \.eim takes 64 features, the other side \d+$") as caught,
        open_backend(path, client.model, ImageScaling.NONE, 60, features=True),
    ):
        pass
    assert caught.value.hint == PROJECT


def test_a_network_alone_is_given_every_window_of_a_recording(models: Path, tmp_path: Path) -> None:
    """Raw data: the network takes what the .eim does, 11 samples of 3 axes."""
    parameters = {"model_parameters": {"frequency": 50, "axis_count": 3}}
    info = ModelInfo(33, 0, tuple("abcdefgh"), 0, 0, 0, None, "classification", (), parameters)
    rows = np.arange(66, dtype=np.float32).reshape(22, 3)
    lines = ["timestamp,x,y,z", *(f"{20 * at},{','.join(map(str, row))}" for at, row in enumerate(rows))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    (tmp_path / "a.txt").write_text(" ".join(map(str, rows[:11].ravel())))
    for features, name, count in ((False, "a.csv", 2), (True, "a.txt", 1)):
        with open_backend(models / "motion-33-f32.tflite", info, ImageScaling.NONE, 60, features=features) as ours:
            taken = [values for _, values, _ in ours.take(tmp_path / name)]
        assert [values.tolist() for values in taken] == rows.reshape(2, 33)[:count].tolist()
    (tmp_path / "folder.tflite").mkdir()
    with (
        pytest.raises(InputError, match=r"^cannot be read: Is a directory$") as caught,
        open_backend(tmp_path / "folder.tflite", info, ImageScaling.NONE, 60),
    ):
        pass
    assert caught.value.hint == "give a .tflite file"


@pytest.mark.parametrize("resize", ["device", "graph"])
def test_boxes_in_whole_frames_become_those_in_the_picture_that_was_seen(tmp_path: Path, resize: str) -> None:
    """The same boxes as of a model that sees nothing but the middle of the frame."""
    sketch, frame = bundles.ssd(64, 96), Frame(96, 64, in_pixels=True)
    framing = Framing(frame, (64, 64)) if resize == "device" else Resizing(
        frame, (32, 32), mode=ResizeMode.FIT_SHORTEST
    )  # fmt: skip
    before = replace(sketch.preprocessing, framing=framing, resize_mode=ResizeMode.FIT_SHORTEST)
    whole = read_impulse(replace(sketch, preprocessing=before).write(tmp_path / "whole"), whole=True)
    assert (whole.height, whole.width, whole.input_size) == (*framing.model, (64, 96, 3))
    seen = bundles.ssd(*framing.model)
    corners = seen.constants["corners"].copy()
    corners[..., 1::2] = corners[..., 1::2] * 96 / 64 - 16 / 64
    plain = replace(seen, constants={**seen.constants, "corners": corners}).impulse(tmp_path / "seen")
    answers = [Loaded(each).answer(np.zeros(each.input_size, np.uint8), 0.3).result for each in (whole, plain)]
    assert answers[0] == answers[1]
    assert len(answers[0]["bounding_boxes"]) == 3


@pytest.mark.parametrize(
    ("change", "is_damage"),
    [
        ({"network": [512, 64]}, False),
        ({"network": [65537, 64]}, True),
        ({"network": [96, 0]}, True),
        ({"network": [96]}, True),
        ({"model": [64, 64, 64]}, True),
        ({"model": [1, 64]}, False),
        ({"anchor": [0.5]}, True),
        ({"anchor": [0.5, 0.5, 0.5]}, True),
    ],
)
def test_a_frame_that_no_bundle_has(tmp_path: Path, change: dict[str, Any], is_damage: bool) -> None:
    sketch = bundles.ssd(64, 96)
    before = replace(sketch.preprocessing, framing=Framing(Frame(96, 64, in_pixels=True), (64, 64)))
    folder = replace(sketch, preprocessing=before).write(tmp_path / "bundle")
    report = json.loads((folder / "report.json").read_bytes())
    report["model"]["preprocessing"]["framing"] |= change
    (folder / "report.json").write_text(json.dumps(report))
    damage = pytest.raises(InputError, match=r"^the bundle's report\.json is damaged: framing$")
    with damage if is_damage else contextlib.nullcontext():
        impulse = read_impulse(folder, whole=True)
        assert [impulse.width, impulse.height] == change.get("model", [64, 64])


@pytest.mark.parametrize(
    ("resize", "kind", "size"),
    [("device", "fomo", (96, 96)), ("graph", "yolov5", (128, 128)), ("device", "ssd", (48, 32))],
)
def test_a_bundle_for_whole_frames_gets_them(
    emitted: Callable[..., Path], tmp_path: Path, resize: str, kind: str, size: tuple[int, int]
) -> None:
    """What the .eim gets is cut out of the frame; a crop that lies elsewhere would differ."""
    export = SAMPLES / "exports" / f"table-{kind}-2025.zip"
    if kind == "ssd":
        export = tmp_path / "ssd.tflite"
        export.write_bytes(ssd(parameters={**PARAMETERS, "nms_iou_threshold": 0.99}))  # none is just left out
    options = ("--frame", "320x180", "--resize", resize, "--resize-mode", "fit-shortest")  # as tests/cli/test_resize.py
    bundle = emitted(export, *options)
    pack(bundle, tmp_path / "model.eim")
    impulse = read_impulse(bundle, whole=True)
    width, height = Framing(Frame(320, 180, in_pixels=True), size).network
    assert impulse.input_size == ((height, width, 3) if resize == "device" else (180, 320, 3))
    files = [SAMPLES / "pictures" / "table" / f"table-{number}.jpg" for number in (1, 2)]
    comparison = compared(tmp_path / "model.eim", bundle, files, tolerance=1e-3, threshold=0.2)
    assert comparison.all_findings == ()
    assert any(each.pairs for each in comparison.pictures)
