"""Which rewriting of a quantized model goes on, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from flatbuffers import flexbuffers
from PIL import Image

from convert.agreement import (
    ENOUGH,
    GOOD,
    LAYERS,
    MOST,
    SOME,
    TIMEOUT,
    Fed,
    WithAgreement,
    best_rewriting,
    compare,
    int8_agreement,
)
from convert.errors import InputError, UnsupportedModelError, ValidationError
from convert.export.dequantize import Dequantized, dequantize, in_float32
from convert.export.unpack import Unpack
from convert.images import ImageScaling, ResizeMode
from convert.isolation import Died, Failed, Worker
from convert.options import ConvertOptions, defaults
from convert.pipeline import convert, unpacking
from convert.translate import PRELOAD
from convert.types import Agreement, Export, Int8Agreement, StageResult, Validated
from convert.validate import Validate, inputs
from convert.validate.inputs import image_like
from tests.export.eon.networks import Network, small_int8
from tests.heads.ssds import PARAMETERS, anchors_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as child:
        yield child


@pytest.fixture(autouse=True)
def _frames_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process as in kept children: they take half of a comparison's time."""
    monkeypatch.setattr(inputs, "with_objects", inputs.with_objects)  # what the module replaces comes back
    from tests.frames import frames

    monkeypatch.setattr(inputs, "with_objects", frames)


GREY = Fed((16, 16, 1), ImageScaling.NONE)


def by_brightness(step: float, threshold: float) -> bytes:
    """Two classes of grey 16x16 pictures: the mean above `threshold` or not, of pixels that were rounded to `step`."""
    net = Network()
    source = net.tensor((1, 16, 16, 1), np.int8, ([1 / 255], [-128], 0))
    first = net.call(
        "CONV_2D",
        [
            source,
            net.constant(np.full((1, 1, 1, 1), 100), np.int8, ([0.01], [0], 0)),
            net.constant([0], np.int32, ([0.01 / 255], [0], 0)),
        ],
        [net.tensor((1, 16, 16, 1), np.int8, ([step], [-128], 0))],
        table="Conv2D",
        padding=1,
        strideW=1,
        strideH=1,
    )
    mean = net.call(
        "MEAN",
        [first, net.constant([1, 2])],
        [net.tensor((1, 1), np.int8, ([1 / 255], [-128], 0))],
        table="Reducer",
        keepDims=False,
    )
    dense = net.call(
        "FULLY_CONNECTED",
        [
            mean,
            net.constant([[100], [-100]], np.int8, ([0.1], [0], 0)),
            net.constant(np.array([-1, 1]) * round(10 * threshold * 2550), np.int32, ([0.1 / 255], [0], 0)),
        ],
        [net.tensor((1, 2), np.int8, ([0.1], [0], 0))],
        table="FullyConnected",
    )
    end = net.call("SOFTMAX", [dense], [net.tensor((1, 2), np.int8, ([1 / 256], [-128], 0))], table="Softmax", beta=1)
    net.versions = {"CONV_2D": 3, "FULLY_CONNECTED": 4, "MEAN": 2, "SOFTMAX": 2}
    return net.model([source], [end])


def unpacked(
    model: bytes, folder: Path, worker: Worker | None, rounding: str = "auto", **options: Any
) -> tuple[Export, list[str], str]:
    """The export, its findings' ids, and what EI154 says."""
    path = folder / "m.tflite"
    path.write_bytes(model)
    result = WithAgreement(Unpack(dequantize=True, **options), worker=worker, rounding=rounding)(path, folder)
    assert isinstance(result.artifact, Export)
    said = "".join(finding.message for finding in result.findings if finding.id == "EI154")
    return result.artifact, [finding.id for finding in result.findings], said


def test_coarse_steps_of_the_first_layer_are_kept(worker: Worker, tmp_path: Path) -> None:
    model = by_brightness(0.7, 0.45)
    export, ids, said = unpacked(model, tmp_path, worker, "first")
    agreement = export.agreement
    assert agreement is not None
    assert ids[-2:] == ["EI151", "EI154"]
    assert export.original == model
    assert export.model == dequantize(model, "first").model
    assert "FLOOR" in export.facts.operators
    most = GREY.count(MOST)
    kept = compare(model, export.model, GREY, "classifier", agreement.inputs)
    plain = compare(model, dequantize(model).model, GREY, "classifier", agreement.inputs)
    measured = kept.top1, kept.mean_abs_diff, kept.max_abs_diff, kept.inputs
    assert agreement == Int8Agreement(*measured, rounded=1, layers="first")
    assert plain.top1 < GOOD <= kept.top1
    of = f"of {agreement.inputs} inputs; without that on {plain.top1:.1%}"
    assert f"first layer, with the same decision on {kept.top1:.1%} {of}" in said
    assert 145 <= agreement.inputs <= most
    assert unpacked(model, tmp_path, worker, "first")[0] == export, "the same bytes every time"


def test_a_model_that_agrees_is_left_alone_and_measured_no_longer_than_it_takes(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewritten: list[str] = []

    def counted(export: Export, layers: str = "none", *, coded: bool = False) -> tuple[Export, Dequantized]:
        rewritten.append(layers)
        return in_float32(export, layers, coded=coded)

    monkeypatch.setattr("convert.export.dequantize.in_float32", counted)
    model = by_brightness(0.4, 0.35)
    export, ids, _ = unpacked(model, tmp_path, worker)
    assert rewritten == ["none"]
    assert export.model == dequantize(model).model
    assert "EI151" in ids
    assert not {"EI153", "EI154"} & set(ids)
    assert export.agreement is not None
    assert (export.agreement.inputs, export.agreement.top1, export.agreement.rounded) == (145, 1, 0)


def test_what_stays_below_is_said(worker: Worker, tmp_path: Path) -> None:
    export, ids, _ = unpacked(by_brightness(0.5, 0.5), tmp_path, worker, "first")
    assert ids[-3:] == ["EI151", "EI154", "EI153"]
    assert export.agreement is not None
    assert export.agreement.top1 < 0.97
    assert export.agreement.inputs == GREY.count(MOST)
    kernels = compare(by_brightness(0.5, 0.5), None, GREY, "classifier", GREY.count(MOST))
    assert export.agreement.kernels == kernels.top1 == 1


def test_less_than_a_point_below_is_measured_and_not_said(worker: Worker, tmp_path: Path) -> None:
    export, ids, _ = unpacked(by_brightness(0.08, 0.55), tmp_path, worker, "none")
    assert not {"EI153", "EI154"} & set(ids)
    assert export.agreement is not None
    assert 0.97 < export.agreement.top1 < 0.98
    assert export.agreement.kernels == 1
    assert export.agreement.rounded == 0
    assert "FLOOR" not in export.facts.operators


def test_every_layer_is_rounded_where_less_does_not_suffice(worker: Worker, tmp_path: Path) -> None:
    model = by_brightness(0.5, 0.5)
    export, ids, said = unpacked(model, tmp_path, worker)
    assert ids[-2:] == ["EI151", "EI154"]
    assert export.model == dequantize(model, "every").model
    assert export.agreement is not None
    assert (export.agreement.layers, export.agreement.rounded, export.agreement.top1) == ("every", 5, 1)
    assert export.is_stepped
    assert replace(export, agreement=None).is_stepped, "by its description, where a stage is called alone"
    first = dequantize(model, "first").model
    assert not replace(export, agreement=None, model=first).is_stepped, "which has FLOOR, too"
    assert "rounded as the original: every layer" in said
    assert unpacked(model, tmp_path, worker, "none")[0].model == dequantize(model).model
    good = by_brightness(0.4, 0.35)
    assert unpacked(good, tmp_path, worker, "every")[0].model == dequantize(good, "every").model


def test_a_model_that_rounds_is_held_against_the_quantized_original(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(by_brightness(0.5, 0.5))
    with Worker(PRELOAD) as child:
        run = convert([path], tmp_path / "out", defaults(ConvertOptions), child)
    assert run.is_good, run.error
    assert "EI302" not in {each.id for each in run.findings}, "the rounding behind a Softmax gives probabilities still"
    validated = next(each for each in run.artifacts if isinstance(each, Validated))
    assert validated.evidence.parity is not None
    assert validated.evidence.parity.top1 == 1
    assert validated.evidence.for_objects is not None
    assert validated.evidence.for_objects.parity is not None
    assert validated.evidence.for_objects.parity.inputs > 4, "of few the middle one says little"
    export = replace(validated.adapted.export, original=by_brightness(0.5, 0.2))
    translated = replace(validated.adapted.translated, export=export)
    found = Validate()(replace(validated.adapted, translated=translated), tmp_path).findings
    assert any(each.id == "EI403" and "rounded alike" in each.message for each in found)


def hint_of(result: StageResult) -> str:
    (found,) = (each for each in result.findings if each.id == "EI153")
    return str(found.hint)


def test_pictures_count_and_the_choice_does_not_depend_on_them(worker: Worker, tmp_path: Path) -> None:
    path, images = tmp_path / "m.tflite", tmp_path / "images"
    path.write_bytes(by_brightness(0.5, 0.5))
    images.mkdir()
    for number, level in enumerate((20, 30, 40, 220)):  # all decided alike, whatever is rounded
        Image.new("RGB", (50, 30), (level, level, level)).save(images / f"{number}.png")
    unpack = Unpack(dequantize=True, resize_mode=ResizeMode.FIT_SHORTEST)
    stage = WithAgreement(unpack, worker=worker, rounding="first")
    without, with_pictures = stage(path, tmp_path), replace(stage, images=images)(path, tmp_path)
    assert with_pictures.artifact.model == without.artifact.model
    one, other = without.artifact.agreement, with_pictures.artifact.agreement
    assert (one.inputs, other.inputs) == (GREY.count(MOST), GREY.count(MOST) + 4)
    assert other.top1 == pytest.approx((GREY.count(MOST) * one.top1 + 4) / (GREY.count(MOST) + 4))
    assert other.max_abs_diff == one.max_abs_diff
    assert hint_of(without) == (
        "compare on pictures of your own, with the names of your files: "
        "ei-deepstream simulate BUNDLE PICTURES -o compared --against edge-impulse --original EXPORT"
    )
    hint = "measure on pictures of your own, too: --images and a folder of them"
    assert hint_of(replace(stage, as_primary=False)(path, tmp_path)) == hint
    assert hint_of(with_pictures) == "the float32 export of the same project needs no rewriting"
    (images / "0.png").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"^0\.png|picture"):
        replace(stage, images=images)(path, tmp_path)


def test_pictures_are_brought_to_size_as_in_training(tmp_path: Path) -> None:
    """Bright in the middle, dark at both sides: cropped it is bright, squashed it is not."""
    picture = Image.new("L", (48, 16), 0)
    picture.paste(255, (16, 0, 32, 16))
    picture.save(tmp_path / "a.png")
    model = by_brightness(1 / 255, 0.6)
    bright = dequantize(by_brightness(1 / 255, 0.1)).model  # decides as `model` does, of what is bright all over
    for mode, top1 in ((ResizeMode.FIT_SHORTEST, 1), (ResizeMode.SQUASH, 0), (None, 0)):
        files = (tmp_path / "a.png",)
        found = compare(model, bright, replace(GREY, mode=mode), "classifier", 0, files)
        assert (found.top1, found.inputs) == (top1, 1)


def test_the_best_has_the_fewest_differences_of_all_on_the_same_inputs() -> None:
    """As if all three had been measured on all of these inputs."""
    layers = set()
    for step, threshold in ((0.4, 0.35), (0.7, 0.45), (0.5, 0.5)):
        model = by_brightness(step, threshold)
        ways = [dequantize(model), dequantize(model, "first"), dequantize(model, "every")]
        best, measured, plain = best_rewriting(model, ways[0].model, GREY, "classifier", "auto", False)
        every = [compare(model, way.model, GREY, "classifier", measured.inputs) for way in ways]
        assert measured == every[LAYERS.index(best)]
        assert plain == every[0]
        assert measured.differences == min(each.differences for each in every)
        layers.add(best)
        if best == "none":
            assert measured.inputs == 145
    assert layers == {"none", "every"}


def test_rounding_the_first_layer_has_to_be_as_good_as_rounding_every_one() -> None:
    """Of 145 inputs it changes no decision of this model, of more some."""
    model = by_brightness(0.6, 0.42)
    assert compare(model, dequantize(model, "first").model, GREY, "classifier", 145).top1 == 1
    assert best_rewriting(model, dequantize(model).model, GREY, "classifier", "auto", False)[0] == "every"


def test_no_layer_no_rounding(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Network()
    source = net.tensor((1, 8, 8, 1), np.int8, ([1 / 255], [-128], 0))
    mean = net.call(
        "MEAN",
        [source, net.constant([1, 2])],
        [net.tensor((1, 1), np.int8, ([1 / 255], [-128], 0))],
        table="Reducer",
        keepDims=False,
    )
    net.call("LOGISTIC", [mean], [net.tensor((1, 1), np.int8, ([1 / 256], [-128], 0))])
    net.versions = {"MEAN": 2, "LOGISTIC": 2}
    monkeypatch.setattr("convert.agreement.GOOD", 2)
    export, ids, _ = unpacked(net.model([0], [3]), tmp_path, worker, task="classifier")
    assert ids[-1] == "EI151"
    assert export.agreement is not None
    assert (export.agreement.rounded, export.agreement.kernels) == (0, 1)


def test_what_is_refused_later_or_was_float_is_not_measured(tmp_path: Path) -> None:
    net = Network()
    sound = net.tensor((1, 40), np.int8, ([1 / 255], [-128], 0))
    net.call("LOGISTIC", [sound], [net.tensor((1, 40), np.int8, ([1 / 256], [-128], 0))])
    net.versions = {"LOGISTIC": 2}
    for model in (net.model([0], [1]), dequantize(small_int8()).model):
        export, ids, _ = unpacked(model, tmp_path, None)
        assert export.agreement is None
        assert not {"EI153", "EI154"} & set(ids)


def test_the_stage_starts_a_worker_of_its_own_and_is_named_as_unpack(tmp_path: Path) -> None:
    assert WithAgreement(Unpack()).name == "unpack"
    export, _, _ = unpacked(by_brightness(0.4, 0.35), tmp_path, None)
    assert export.agreement is not None


@pytest.mark.parametrize("rounding", ["auto", "none", "first", "every"])
def test_what_is_likely_to_go_on_is_translated_meanwhile(worker: Worker, tmp_path: Path, rounding: str) -> None:
    path, begun = tmp_path / "m.tflite", list[Export]()
    stage = WithAgreement(Unpack(dequantize=True), worker=worker, rounding=rounding, meanwhile=begun.append)
    for model in (by_brightness(0.4, 0.35), by_brightness(0.5, 0.5)):
        path.write_bytes(model)
        chosen = stage(path, tmp_path).artifact
        assert [each.model for each in begun] == [chosen.model], "it, and nothing else"
        begun.clear()


def test_unpacking_measures_what_is_rewritten_and_gives_it_time() -> None:
    assert unpacking({"dequantize": False}) == Unpack()
    for options, seconds in (({}, TIMEOUT), ({"timeout": 1.0}, TIMEOUT), ({"timeout": 900.0}, 900)):
        expected = WithAgreement(Unpack(dequantize=True), timeout=seconds)
        assert unpacking({"dequantize": True, **options}) == expected


def test_stages_in_the_worker_give_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(by_brightness(0.4, 0.35))
    settings = {**defaults(ConvertOptions), "frame": "none"}
    with Worker(PRELOAD) as child, Worker() as beside:
        for name, other in (("one", None), ("two", beside)):
            run = convert([tmp_path / "m.tflite"], tmp_path / name, settings, child, beside=other)
            assert run.is_good, run.error
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two
    assert b"int8_agreement" in one["report.json"]
    assert b"answers" in one["report.json"]


def test_scaling_is_part_of_what_is_fed() -> None:
    model, rebuilt = small_int8(), dequantize(small_int8()).model
    fed = Fed((8, 8, 3), ImageScaling.FROM_0_TO_255)
    found = compare(model, rebuilt, fed, "classifier", 8)
    pictures = [picture.astype(np.float32) for picture in image_like(8, 8, 8, 3)]
    assert found.top1 == int8_agreement(model, rebuilt, pictures).top1
    assert found != compare(model, rebuilt, replace(fed, scaling=ImageScaling.NONE), "classifier", 8)


def test_large_pictures_are_fewer() -> None:
    counts = [
        [Fed((side, side, 3), ImageScaling.NONE).count(limits) for limits in (SOME, ENOUGH, MOST)]
        for side in (32, 96, 160, 320, 4096)
    ]
    assert counts == sorted(counts, reverse=True)
    assert all(some < enough < most for some, enough, most in counts)
    sizes = ((1, 1), (100, 100), (100, 200), (200, 250), (500, 500))
    few = [[Fed((*size, 3), ImageScaling.NONE).count(limits) for limits in (SOME, ENOUGH, MOST)] for size in sizes]
    assert few == [
        [50, 145, 300], [50, 145, 300], [25, 145, 250], [10, 60, 100], [5, 30, 100],
    ]  # fmt: skip


@dataclass(frozen=True)
class Broken:
    """Unpacks a rewriting that ends too early."""

    export: Export
    name: str = "unpack"

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - a stage's signature
        return StageResult(replace(self.export, model=self.export.model[:200]))


def test_what_litert_cannot_run_is_an_error_with_a_hint(worker: Worker, tmp_path: Path) -> None:
    export, _, _ = unpacked(by_brightness(0.4, 0.35), tmp_path, worker)

    for timeout, said, hint in ((300, "LiteRT cannot compare", "report"), (1e-9, "LiteRT ran longer", "--timeout")):
        with pytest.raises(ValidationError, match=f"^{said}") as caught:
            WithAgreement(Broken(export), timeout=timeout, worker=worker)(None, tmp_path)
        assert hint in str(caught.value.hint)


def detector(*results: int) -> bytes:
    """An SSD with these of its boxes, classes, scores and count as outputs; a row is a box and its scores."""
    net = Network()
    source = net.tensor((1, 4, 4, 1), np.int8, ([1 / 255], [-128], 0))
    codes = net.tensor((1, 4, 4), np.int8, ([1 / 255], [-128], 0))
    net.call("RESHAPE", [source, net.constant([1, 4, 4])], [codes])
    scores = net.call("LOGISTIC", [codes], [net.tensor((1, 4, 4), np.int8, ([1 / 256], [-128], 0))])
    net.versions = {"LOGISTIC": 2, "DEQUANTIZE": 2}
    floats = [net.call("DEQUANTIZE", [each], [net.tensor((1, 4, 4), np.float32)]) for each in (codes, scores)]
    outputs = [net.tensor((), np.float32) for _ in range(4)]
    options = bytes(flexbuffers.Dumps({**PARAMETERS, "num_classes": 3, "max_detections": 3}))
    anchors = net.constant(anchors_of(2, 2, each=1), np.float32)
    net.custom("TFLite_Detection_PostProcess", [*floats, anchors], outputs, options)
    return net.model([source], [outputs[result] for result in results])


@pytest.mark.parametrize("rounding", ["none", "first", "every"])
def test_of_boxes_too_what_is_asked_for_is_translated_meanwhile(worker: Worker, tmp_path: Path, rounding: str) -> None:
    begun = list[Export]()
    unpack = Unpack(dequantize=True, task="ssd")
    stage = WithAgreement(unpack, worker=worker, rounding=rounding, meanwhile=begun.append)
    chosen = stage(_written(detector(3, 1, 0, 2), tmp_path), tmp_path).artifact
    assert [each.model for each in begun] == [chosen.model]


@pytest.mark.parametrize("results", [(3, 1, 0, 2), (0, 1, 2), (2, 1)])
def test_of_detections_classes_and_scores_are_enough(worker: Worker, tmp_path: Path, results: tuple[int, ...]) -> None:
    export, _, _ = unpacked(detector(*results), tmp_path, worker, task="ssd")
    assert export.agreement is not None
    assert export.agreement.top1 == 1


@pytest.mark.parametrize(
    "model", [detector(0, 1, 3), detector(0, 2), small_int8()], ids=["no scores", "no classes", "classifier"]
)
def test_an_ssd_without_what_it_decides_is_refused(worker: Worker, tmp_path: Path, model: bytes) -> None:
    with pytest.raises(
        UnsupportedModelError,
        match=r"^a MobileNet SSD ends in TFLite_Detection_PostProcess, whose results are its outputs; this model does",
    ) as caught:
        unpacked(model, tmp_path, worker, task="ssd")
    assert caught.value.hint == "give the real --task, or export the model again"


def yolov5(*rows: tuple[float, ...]) -> Any:
    """Rows of x, y, width, height, objectness, classes."""
    return [[[(0, 0, 0, 0, *row) for row in rows]]]


@pytest.mark.parametrize(
    ("task", "left", "right", "same"),
    [
        ("classifier", [[[0.1, 0.6, 0.3]]], [[[0.3, 0.4, 0.3]]], 1),
        ("classifier", [[[0.1, 0.6, 0.3]]], [[[0.6, 0.1, 0.3]]], 0),
        ("classifier", [[[0.5]]], [[[0.9]]], 1),
        ("classifier", [[[0.5]]], [[[0.49]]], 0),
        ("classifier", [[[0.1, 0.9]], 0.5], [[[0.2, 0.8]], 0.7], 1),  # two outputs, one without dimensions
        ("classifier", [[[0.1, 0.9]], 0.5], [[[0.2, 0.8]], 0.3], 0),
        ("fomo", [[[[[0.9, 0.1], [0.1, 0.9]]]]], [[[[[0.8, 0.2], [0.2, 0.8]]]]], 1),
        ("fomo", [[[[[0.9, 0.1], [0.1, 0.9]]]]], [[[[[0.8, 0.2], [0.8, 0.2]]]]], 0),
        ("yolov5", yolov5((0.5, 0.1, 0.9), (0, 1, 0)), yolov5((1, 0.2, 0.3), (0.4, 0, 1)), 1),
        ("yolov5", yolov5((0.5, 0.1, 0.9), (0, 1, 0)), yolov5((0.49, 0.2, 0.3), (0, 0, 1)), 0),
        ("yolov5", yolov5((0.5, 0.1, 0.9)), yolov5((0.5, 0.9, 0.1)), 0),
        ("ssd", [[[0, 7, 3]], [[0.1, 0.5, 0.2]]], [[[7, 1, 3]], [[0.9, 0.2, 0.2]]], 1),
        ("ssd", [[[2, 7]], [[0.6, 0.5]]], [[[2, 7]], [[0.55, 0.5]]], 1),  # the first of them
        ("ssd", [[[2, 7]], [[0.6, 0.5]]], [[[3, 2]], [[0.55, 0.5]]], 0),
        ("ssd", [[[2, 7]], [[0.4, 0.1]]], [[[3, 2]], [[0.3, 0.4]]], 1),  # neither is sure of anything
        ("ssd", [[[2, 7]], [[0.4, 0.1]]], [[[2, 7]], [[0.5, 0.1]]], 0),
        ("ssd", [[[]], [[]]], [[[]], [[]]], 1),
    ],
)
def test_what_a_decision_is(
    task: str, left: list[Any], right: list[Any], same: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two models with these outputs, of an SSD classes and scores; differences are of all outputs, or of scores."""
    models = {b"left": left, b"right": right}

    def run(model: bytes) -> Any:
        return lambda _values: [np.array(output, np.float32) for output in models[model]]

    monkeypatch.setattr("convert.validate.runtimes.LiteRT", run)
    monkeypatch.setattr("convert.heads.ssd.output_order", lambda *_: (0, 1))
    found = int8_agreement(b"left", b"right", [np.zeros((1, 1, 1, 1), np.uint8)] * 2, task)
    pairs = zip(left, right, strict=True) if task != "ssd" else [(left[1], right[1])]
    apart = np.concatenate([np.abs(np.subtract(one, two, dtype=np.float64)).ravel() for one, two in pairs])
    assert (found.top1, found.inputs) == (same, 2)
    assert found.mean_abs_diff == pytest.approx(apart.mean() if apart.size else 0)
    assert found.max_abs_diff == pytest.approx(apart.max(initial=0))


def test_a_model_that_is_refused_later_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export = Unpack(dequantize=True)(_written(by_brightness(0.4, 0.35), tmp_path), tmp_path).artifact
    wide = replace(export, facts=replace(export.facts, input=replace(export.facts.input, shape=(1, 16, 16, 2))))
    monkeypatch.setattr("convert.agreement.Worker", None)  # nothing is started
    for given in (wide, replace(wide, original=None)):
        result = StageResult(given)
        assert WithAgreement(lambda *_, found=result: found)(tmp_path, tmp_path) is result  # type: ignore[arg-type]


FAULT = "this is a fault of the rewriting, not of the model: please report it"


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (Died("ran longer than 1 s"), "LiteRT ran longer than 1 s comparing the quantized model",
         "allow more time with --timeout"),
        (Died("was killed by SIGSEGV"), "LiteRT was killed by SIGSEGV comparing the quantized model", FAULT),
        (Failed("no kernel", "a traceback"), "LiteRT cannot compare the quantized model: no kernel", FAULT),
    ],
)  # fmt: skip
def test_a_child_that_was_started_for_it_ends(
    error: Exception, message: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    class Child:
        def call(self, *_: object, **limits: object) -> None:
            assert limits["timeout"] == 3 * TIMEOUT
            done.append("called")
            raise error

        def close(self) -> None:
            done.append("closed")

    monkeypatch.setattr("convert.agreement.Worker", Child)
    with pytest.raises(ValidationError) as caught:
        WithAgreement(Unpack(dequantize=True))(_written(by_brightness(0.4, 0.35), tmp_path), tmp_path)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert done == ["called", "closed"]


def test_what_litert_itself_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: bytes) -> None:
        raise ValueError("first\n  second\n")

    assert int8_agreement(small_int8(), small_int8(), []) == Agreement(0, 0, 0, 0), "on no inputs"
    monkeypatch.setattr("convert.validate.runtimes.LiteRT", refuse)
    with pytest.raises(ValidationError) as caught:
        int8_agreement(b"", b"", [])
    assert caught.value.message == "LiteRT itself cannot run this quantized model: first second"
    hint = "the file is as its converter wrote it; export the model in float32, or quantized in another way"
    assert caught.value.hint == hint


def _written(model: bytes, folder: Path) -> Path:
    (folder / "m.tflite").write_bytes(model)
    return folder / "m.tflite"


@pytest.mark.parametrize(
    ("task", "rounding", "mean", "best"),
    [
        ("fomo", "auto", 0.003, "every"), ("ssd", "auto", 0.003, "none"), ("ssd", "auto", 0.0019, "every"),
        ("yolov5", "auto", 0.003, "none"), ("ssd", "every", 0.003, "every"),
    ],
)  # fmt: skip
def test_of_boxes_every_layer_is_rounded_where_that_halves_the_differences(
    monkeypatch: pytest.MonkeyPatch, task: str, rounding: str, mean: float, best: str
) -> None:
    """In a long network of boxes it gains nothing, and the limit of parity is missed."""
    shares = {b"none": (0.9, 0.004), b"first": (0.9, 0.004), b"every": (1.0, mean)}

    def agreements(_: bytes, rebuilt: bytes, inputs: Iterable[object], __: str) -> Iterator[Agreement]:
        top1, difference = shares[rebuilt]
        yield from (Agreement(top1, difference, 1.0, number) for number, _ in enumerate(inputs, 1))

    monkeypatch.setattr("convert.agreement.agreements", agreements)

    monkeypatch.setattr(
        "convert.export.dequantize.dequantize", lambda _, layers: SimpleNamespace(model=layers.encode())
    )
    told: list[str] = []
    monkeypatch.setattr("convert.agreement.tell", told.append)
    layers, measured, without = best_rewriting(b"", b"none", GREY, task, rounding, ahead=True)
    assert told == ["every"], "once, and before the differences are weighed"
    assert (layers, without.mean_abs_diff) == (best, 0.004)
    assert measured.top1 == (1 if best == "every" else 0.9)
    assert measured.inputs == without.inputs
