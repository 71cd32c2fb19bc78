"""Detectors with one row a candidate: each kind against a plain decoder, in all units, opsets and batches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from convert.errors import InputError, UnsupportedModelError
from convert.graph.batch import dynamic_batch
from convert.heads.base import Fitted, Options
from convert.heads.boxes import OUTPUTS
from tests.graph.proof import onnxruntime
from tests.heads import plain, synthetic
from tests.heads.synthetic import ROWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = (32, 64)
CASES = [
    *((task, ROWS[task].unit) for task in ROWS),
    ("yolov5", "pixels"),
    ("yolov5-drpai", "relative"),
    ("yolov11", "pixels"),
    ("yolov11-abs", "relative"),
]


def fit(
    task: str, unit: str | None = None, *, labels: int = 3, score: str | None = "product", **options: Any
) -> Fitted:
    export = synthetic.fake_export(task, tuple(f"label {number}" for number in range(labels)))
    return synthetic.adapt(
        synthetic.candidates(task, unit=unit, size=SIZE, **options), export, Options(yolo_score=score)
    )


def run(fitted: Fitted, pictures: NDArray[np.float32]) -> list[NDArray[Any]]:
    onnx.checker.check_model(fitted.model, full_check=True)
    return onnxruntime(fitted.model.SerializeToString(), pictures)


def pictures(count: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(1).random((count, 3, *SIZE), np.float32)


def reported(rows: NDArray[Any], boxes: list[plain.Box], *, pixels: bool) -> list[tuple[plain.Box, bool]]:
    """Boxes, best first, where Edge Impulse's SDK has them, and whether it keeps them."""
    height, width = SIZE
    best = sorted(range(len(rows)), key=lambda number: -rows[number][4])
    kept = [stays for _, stays in plain.suppressed(rows, width, height, 0.2, pixels=pixels)]
    found = []
    for number, stays in zip(best, kept, strict=True):
        left, top, wide, high = plain.sdk_box(rows[number], width, height, pixels=pixels)
        edges = (top / height, left / width, (top + high) / height, (left + wide) / width)
        found.append((plain.Box(*edges, *boxes[number][4:]), stays))
    return found


@pytest.mark.parametrize("score", ["product", "objectness"])
@pytest.mark.parametrize(("task", "unit"), CASES)
def test_decoded_as_its_makers_say(task: str, unit: str, score: str) -> None:
    fitted = fit(task, unit, score=score)
    assert fitted.head.coordinates == unit
    assert fitted.head.score == (score if ROWS[task].has_objectness else None)
    boxes, scores, classes, raw = run(fitted, pictures())
    height, width = SIZE
    pixels, by_objectness = unit in {"pixels", "cells"}, score == "objectness"
    wanted = plain.read(task, raw[0], width, height, pixels=pixels, objectness=by_objectness)
    if by_objectness and ROWS[task].by_objectness:
        wanted = [box if stays else box._replace(score=-1) for box, stays in reported(raw[0], wanted, pixels=pixels)]
        assert unit == "relative" or len({box.score > 0 for box in wanted}) == 2, "both must be seen"
        assert fitted.head.overlap == 0.2
    else:
        assert fitted.head.overlap is None
    assert boxes.shape == (1, len(wanted), 4)
    assert len(wanted) == 32 + 8 + 2
    expected = np.array([box[:4] for box in wanted])
    np.testing.assert_allclose(boxes[0], expected, rtol=3e-6, atol=3e-6)
    np.testing.assert_allclose(scores[0], [box.score for box in wanted], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(classes[0], [box.label for box in wanted])
    assert len(set(classes[0])) > 1, "one class throughout proves nothing"
    assert classes.dtype == np.float32


APART = [(task, unit) for task, unit in CASES if not ROWS[task].drops_all]


@pytest.mark.parametrize(("task", "unit"), APART)
def test_a_candidate_for_each_class(task: str, unit: str) -> None:
    """Where the SDK drops boxes class by class, as nvinfer does."""
    fitted = fit(task, unit, score=None)
    assert fitted.head.overlap is None
    assert fitted.head.score == ("product" if ROWS[task].has_objectness else None)
    boxes, scores, classes, raw = run(fitted, pictures())
    wanted = plain.each_class(task, raw[0], SIZE[1], SIZE[0], unit)
    assert len(wanted) == 3 * (32 + 8 + 2)
    np.testing.assert_allclose(boxes[0], np.array([box[:4] for box in wanted]), rtol=3e-6, atol=3e-6)
    np.testing.assert_allclose(scores[0], [box.score for box in wanted], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(classes[0], [box.label for box in wanted])
    assert classes.dtype == np.float32


@pytest.mark.parametrize("unit", ["cells", "pixels"])
def test_yolox_as_the_sdk_keeps_it(unit: str) -> None:
    """Over all classes, each box with the product, in whole pixels; nvinfer's parser cuts them off at the border."""
    fitted = fit("yolox", unit, score=None)
    assert (fitted.head.score, fitted.head.overlap, fitted.head.coordinates) == ("product", 0.2, unit)
    boxes, scores, classes, raw = run(fitted, pictures())
    wanted = plain.answer("yolox", raw[0], SIZE[1], SIZE[0], 0.001, 0.2, unit)
    assert 1 < len(wanted) < 42
    shown = scores[0] >= 0.001
    edges = np.clip(boxes[0][shown] * ([*SIZE] * 2), 0, [*SIZE] * 2)
    whole = np.rint(edges).astype(int)
    np.testing.assert_allclose(edges, whole, rtol=0, atol=1e-4)
    found = [
        (label, left, top, right - left, bottom - top)
        for label, (top, left, bottom, right) in zip(classes[0][shown], whole.tolist(), strict=True)
    ]
    assert found == [(label, *box) for label, _, *box in wanted]
    np.testing.assert_allclose(scores[0][shown], [score for _, score, *_ in wanted], rtol=0, atol=1e-6)


def test_yolov5_as_the_sdk_keeps_it_is_the_default() -> None:
    assert fit("yolov5", score=None).model == fit("yolov5", score="objectness").model
    assert fit("yolov5", score=None).head == fit("yolov5", score="objectness").head


_OTHER_SCORE, _ALL_STAY = "the score is objectness times class", "overlapping boxes of different classes all stay"


@pytest.mark.parametrize(
    ("task", "labels", "told"),
    [
        ("yolov5", 1, [_OTHER_SCORE]),
        ("yolov5", 2, [f"{_OTHER_SCORE} and {_ALL_STAY}"]),
        ("yolox", 3, [_ALL_STAY]),
        ("yolox", 1, []),
    ],
)
def test_where_the_graph_must_not_drop_boxes(task: str, labels: int, told: list[str]) -> None:
    for opset, reason in ((13, "TensorRT is too old"), (10, "")):
        export = synthetic.fake_export(task, ("a", "b", "c")[:labels])
        model = synthetic.candidates(task, labels, opset=opset)
        again = onnx.load_model_from_string(model.SerializeToString())
        fitted = synthetic.adapt(model, export, Options(no_suppression=reason))
        plainest = synthetic.adapt(again, export, Options(yolo_score="product"))
        assert (fitted.model, fitted.head) == (plainest.model, plainest.head)
        assert not plainest.findings
        why = reason or "boxes are suppressed over all classes, which needs opset 11; the model has 10"
        assert [(each.id, each.message) for each in fitted.findings] == [("EI353", f"{said}: {why}") for said in told]


def test_too_many_rows_for_each_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.heads.boxes.MOST_ROWS", 3 * 42)
    assert run(fit("yolo-pro", score=None), pictures())[1].shape == (1, 3 * 42)
    monkeypatch.setattr("convert.heads.boxes.MOST_ROWS", 3 * 42 - 1)
    assert fit("yolo-pro", score=None).model == fit("yolo-pro").model
    one = synthetic.adapt(synthetic.candidates("yolo-pro", 1), synthetic.fake_export("yolo-pro", ("a",)), Options())
    assert run(one, pictures())[1].shape == (1, 42)


@pytest.mark.parametrize("opset", [9, 10, 11, 13, 17, 18])
@pytest.mark.parametrize("score", ["product", None])
@pytest.mark.parametrize("task", ["yolox", "tao-yolov4", "yolov11"])
def test_every_opset_gives_the_same(task: str, score: str | None, opset: int) -> None:
    if ROWS[task].drops_all and score is None and opset < 11:
        return
    newest = run(fit(task, score=score), pictures())
    for left, right in zip(run(fit(task, score=score, opset=opset), pictures()), newest, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("score", ["product", None])
@pytest.mark.parametrize("task", list(ROWS))
def test_any_batch(task: str, score: str | None) -> None:
    fitted = fit(task, score=score)
    alone = [run(fitted, picture[np.newaxis]) for picture in pictures(8)]
    model = dynamic_batch(fitted.model)
    for size in (1, 2, 8):
        together = onnxruntime(model.SerializeToString(), pictures(8)[:size])
        for number, output in enumerate(together):
            wanted = np.concatenate([outputs[number] for outputs in alone[:size]])
            np.testing.assert_allclose(output, wanted, rtol=1e-6, atol=1e-6)


def test_outputs_are_what_the_parser_looks_for() -> None:
    fitted = fit("yolov5")
    assert fitted.outputs == OUTPUTS == ("detection_boxes", "detection_scores", "detection_classes")
    assert fitted.raw == ("raw_candidates",)
    assert len(fitted.model.graph.output) == 4
    assert fitted.head.overlap is None
    forbidden = {"NonMaxSuppression", "NonZero", "TopK", "MatMul", "Gemm", "Loop", "If"}
    assert not forbidden & {node.op_type for node in fitted.model.graph.node}


def test_overlap_is_that_of_the_export() -> None:
    export = synthetic.fake_export("yolov5", ("a", "b", "c"))
    model = synthetic.candidates("yolov5", unit="pixels", size=SIZE)
    found = [
        synthetic.adapt(
            onnx.load_model_from_string(model.SerializeToString()),
            replace(export, metadata=replace(export.metadata, nms_iou=overlap)),
            Options(yolo_score="objectness"),
        )
        for overlap in (0.05, 0.9)
    ]
    assert [fitted.head.overlap for fitted in found] == [0.05, 0.9]
    few, many = (int((run(fitted, pictures())[1] > 0).sum()) for fitted in found)
    assert few < many


@pytest.mark.parametrize("task", [task for task in ROWS if ROWS[task].by_objectness])
def test_any_batch_where_boxes_are_dropped(task: str) -> None:
    fitted = fit(task, score="objectness")
    alone = [run(fitted, picture[np.newaxis]) for picture in pictures(8)]
    model = dynamic_batch(fitted.model)
    for size in (1, 2, 8):
        together = onnxruntime(model.SerializeToString(), pictures(8)[:size])
        for number, output in enumerate(together):
            wanted = np.concatenate([outputs[number] for outputs in alone[:size]])
            np.testing.assert_allclose(output, wanted, rtol=1e-6, atol=1e-6)


def test_a_unit_that_is_not_the_usual_one_is_told() -> None:
    assert not fit("yolov5").findings
    (told,) = fit("yolov5", "pixels").findings
    assert told.id == "EI351"
    assert told.message == "the model gives its boxes in pixels, not in shares of the picture as yolov5 models do"
    assert not fit("yolox").findings
    (told,) = fit("yolox", "pixels").findings
    assert told.message == "the model gives its boxes in pixels, not in cells of a grid as yolox models do"


def test_rows_without_places_are_refused() -> None:
    for task in ("yolov5", "yolov11"):
        with pytest.raises(UnsupportedModelError, match=r"^the rows of this model .*decoding was left out$") as caught:
            fit(task, "cells")
        assert caught.value.hint == "export it with its decoding (Edge Impulse's own exports have it)"


def test_a_decoded_yolox_is_read_as_it_is() -> None:
    """Newer exports of YOLOX decode by themselves."""
    fitted = fit("yolox", "pixels")
    assert fitted.head.coordinates == "pixels"
    boxes, *_, raw = run(fitted, pictures())
    wanted = plain.read("yolov5", raw[0], SIZE[1], SIZE[0], pixels=True, objectness=False)
    np.testing.assert_allclose(boxes[0], [box[:4] for box in wanted], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("labels", [1, 2, 4, 5])
def test_labels_that_are_not_its_classes(labels: int) -> None:
    with pytest.raises(InputError, match=rf"^.+ has {labels} labels? .*detects 3 classes$") as caught:
        fit("yolov5", labels=labels)
    assert caught.value.hint == "give the labels of this model, in the order of training, with --labels"


def test_no_labels_are_made_up() -> None:
    fitted = synthetic.adapt(synthetic.candidates("yolov5"), synthetic.fake_export("yolov5"), Options())
    assert fitted.head.labels == ("class0", "class1", "class2")
    assert [finding.id for finding in fitted.findings] == ["EI301"]


@pytest.mark.parametrize("task", list(ROWS))
def test_a_model_without_classes(task: str) -> None:
    with pytest.raises(UnsupportedModelError, match=r"^the model detects no class$") as caught:
        synthetic.adapt(synthetic.candidates(task, classes=0), synthetic.fake_export(task), Options())
    assert caught.value.hint == "train it with at least one label"


@pytest.mark.parametrize(
    ("task", "one"),
    [
        ("yolov5", "row (x and y of the centre, width, height, objectness, classes)"),
        ("yolov11", "column (x and y of the centre, width, height, classes)"),
        ("yolo-pro", "row (left, top, right, bottom, classes)"),
        ("tao-ssd", "row (background, classes, offsets, anchors, variances)"),
        ("tao-yolov3", "row (cell, anchor, step, offsets, objectness, classes)"),
    ],
)
def test_a_grid_is_no_row(task: str, one: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        synthetic.adapt(synthetic.heat_map(32, 64, 3), synthetic.fake_export(task), Options())
    wanted = f"this kind of detector gives one {one} for each candidate box"
    assert (caught.value.message, caught.value.hint) == (
        f"{wanted}, this model [1, 4, 8, 3]", "give the real --task, or another model"
    )  # fmt: skip


def test_rows_too_short_for_the_task() -> None:
    with pytest.raises(UnsupportedModelError, match=r"this model \[1, 42, 6\]"):
        synthetic.adapt(synthetic.candidates("yolov5", classes=1), synthetic.fake_export("tao-yolov3"), Options())


def test_yolox_with_other_grids() -> None:
    with pytest.raises(UnsupportedModelError, match=r"^YOLOX has 42 candidates in a picture of 64x32, this") as caught:
        synthetic.adapt(synthetic.candidates("yolox", strides=(8, 16)), synthetic.fake_export("yolox"), Options())
    assert caught.value.message.endswith("this model 40")
    assert caught.value.hint == "give the real --task"


def test_yolox_of_a_size_that_its_grids_do_not_divide() -> None:
    """The last cells of each grid are left out, not stretched."""
    size = (40, 72)
    fitted = synthetic.adapt(
        synthetic.candidates("yolox", size=size), synthetic.fake_export("yolox"), Options(yolo_score="product")
    )
    picture = np.random.default_rng(1).random((1, 3, *size), np.float32)
    boxes, *_, raw = run(fitted, picture)
    wanted = plain.read("yolox", raw[0], 72, 40, pixels=True, objectness=False)
    assert len(wanted) == 5 * 9 + 2 * 4 + 1 * 2
    np.testing.assert_allclose(boxes[0], [box[:4] for box in wanted], rtol=3e-6, atol=3e-6)
