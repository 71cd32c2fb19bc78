"""End-to-end detectors: known by shape and operators, proven, and read by the parser as they are meant."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from convert.__main__ import main
from convert.emit import Emit
from convert.errors import InputError, UnsupportedModelError
from convert.export.facts import onnx_facts
from convert.graph.adapt import Adapt
from convert.graph.batch import dynamic_batch
from convert.graph.resize import crop
from convert.heads import LastLayer, decoding, possible_heads
from convert.heads.base import Options, Rules
from convert.heads.boxes import END_TO_END, OUTPUTS
from convert.images import Framing, parse_frame
from convert.images.scaling import Network
from convert.simulate.decode import Detected, decode
from convert.simulate.parsers import Layer
from convert.translate import Translate
from convert.types import Adapted, Export, Head, Metadata, ModelFormat
from convert.validate import Validate
from convert.validate.precision import half_evidence
from tests.emitted import prove_nothing
from tests.graph.proof import onnxruntime
from tests.heads import synthetic
from tests.simulate.vectors import read_settings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto

    from convert.isolation import Worker

LABELS = ("red", "green", "blue")
SIZE = (32, 64)
KEPT = 20


def end_to_end(unit: str = "relative", kept: int = KEPT) -> ModelProto:
    """Candidates with corners, then the choice that YOLOv10 ends in: the best rows, then the best scores of these."""
    model = synthetic.candidates("yolo-pro", len(LABELS), unit=unit, size=SIZE)
    classes = len(LABELS)
    constants = {
        "zero": [0], "four": [4], "end": [4 + classes], "two": [2], "kept": [kept], "classes": [classes],
        "box": [1, 1, 4], "scored": [1, 1, classes], "flat": [1, kept * classes],
    }  # fmt: skip
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()
    )
    nodes: tuple[tuple[str, list[str], list[str], dict[str, Any]], ...] = (
        ("Slice", ["y", "zero", "four", "two"], ["corners"], {}),
        ("Slice", ["y", "four", "end", "two"], ["all_scores"], {}),
        ("ReduceMax", ["all_scores"], ["best"], {"axes": [2], "keepdims": 0}),
        ("TopK", ["best", "kept"], ["_", "picked"], {"axis": 1}),
        ("Unsqueeze", ["picked", "two"], ["row"], {}),
        ("Tile", ["row", "box"], ["rows4"], {}),
        ("GatherElements", ["corners", "rows4"], ["some_corners"], {"axis": 1}),
        ("Tile", ["row", "scored"], ["rowsC"], {}),
        ("GatherElements", ["all_scores", "rowsC"], ["some_scores"], {"axis": 1}),
        ("Reshape", ["some_scores", "flat"], ["flat_scores"], {}),
        ("TopK", ["flat_scores", "kept"], ["scores", "places"], {"axis": 1}),
        ("Div", ["places", "classes"], ["chosen"], {}),
        ("Unsqueeze", ["chosen", "two"], ["chosen1"], {}),
        ("Tile", ["chosen1", "box"], ["chosen4"], {}),
        ("GatherElements", ["some_corners", "chosen4"], ["boxes"], {"axis": 1}),
        ("Mod", ["places", "classes"], ["label"], {}),
        ("Cast", ["label"], ["label_float"], {"to": onnx.TensorProto.FLOAT}),
        ("Unsqueeze", ["label_float", "two"], ["labels"], {}),
        ("Unsqueeze", ["scores", "two"], ["scores1"], {}),
        ("Concat", ["boxes", "scores1", "labels"], ["objects"], {"axis": 2}),
    )
    model.graph.node.extend(helper.make_node(name, ins, outs, **rest) for name, ins, outs, rest in nodes)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("objects", onnx.TensorProto.FLOAT, [1, kept, 6]))
    onnx.checker.check_model(model, full_check=True)
    return model


def pictures(count: int = 1, size: tuple[int, int] = SIZE) -> NDArray[np.float32]:
    return np.random.default_rng(1).random((count, 3, *size), np.float32)


def export_of(model: ModelProto, labels: tuple[str, ...] | None = LABELS) -> Export:
    data = model.SerializeToString()
    return Export(data, "model", "onnx", "m.onnx", "", Metadata(labels=labels), onnx_facts(data)[0], ModelFormat.ONNX)


def converted(export: Export, worker: Worker) -> Adapted:
    result = Adapt()(Translate(worker=worker)(export, Path()).artifact, Path()).artifact
    assert isinstance(result, Adapted)
    return result


@pytest.mark.parametrize("operator", ["TOPK_V2", "ARG_MAX", "TopK", "ArgMax"])
@pytest.mark.parametrize(("height", "width", "rows"), [(640, 640, 300), (160, 160, 525), (160, 160, 1575)])
def test_the_operator_that_chooses_tells_it_from_a_yolo_with_one_class(
    operator: str, height: int, width: int, rows: int
) -> None:
    layer = LastLayer(height, width, (1, rows, 6), frozenset({operator}))
    assert possible_heads(layer)[0] == "end-to-end"


@pytest.mark.parametrize(("rows", "task"), [(300, "unknown"), (525, "yolox"), (1575, "yolov5")])
def test_without_it_the_shape_is_what_it_was(rows: int, task: str) -> None:
    found = possible_heads(LastLayer(160, 160, (1, rows, 6), frozenset({"LOGISTIC"})))
    assert found[0] == task
    assert ("end-to-end" in found) is (task == "unknown")


def test_a_row_of_another_length_is_none() -> None:
    assert "end-to-end" not in possible_heads(LastLayer(160, 160, (1, 300, 7), frozenset({"TopK"})))


@pytest.mark.parametrize("unit", ["relative", "pixels"])
def test_rows_are_taken_apart(unit: str) -> None:
    model = end_to_end(unit)
    (wanted,) = onnxruntime(model.SerializeToString(), pictures())
    fitted = synthetic.adapt(model, export_of(model), Options())
    assert fitted.outputs == OUTPUTS
    assert (fitted.head.task, fitted.head.labels, fitted.head.coordinates) == ("end-to-end", LABELS, unit)
    assert not fitted.findings
    boxes, scores, classes, raw = onnxruntime(fitted.model.SerializeToString(), pictures())
    np.testing.assert_array_equal(raw, wanted)
    for row, box, score, label in zip(wanted[0], boxes[0], scores[0], classes[0], strict=True):
        left, top, right, bottom, sure, number = row.tolist()
        across, down = (SIZE[1], SIZE[0]) if unit == "pixels" else (1, 1)
        assert box.tolist() == pytest.approx([top / down, left / across, bottom / down, right / across])
        assert (score, label) == (np.float32(sure), number)
    assert len(set(classes[0])) == len(LABELS), "one class throughout proves nothing"


def test_any_batch() -> None:
    model = end_to_end()
    fitted = synthetic.adapt(model, export_of(model), Options())
    alone = [onnxruntime(fitted.model.SerializeToString(), picture[None]) for picture in pictures(4)]
    together = onnxruntime(dynamic_batch(fitted.model).SerializeToString(), pictures(4))
    for number, output in enumerate(together):
        np.testing.assert_allclose(output, np.concatenate([outputs[number] for outputs in alone]), rtol=1e-6)


@pytest.mark.parametrize("unit", ["relative", "pixels"])
def test_boxes_of_a_model_that_crops(unit: str) -> None:
    framing = Framing(parse_frame("16:9"), SIZE[::-1])
    frames = pictures(1, framing.network[::-1])
    part = frames[:, :, framing.top : framing.top + SIZE[0], framing.left : framing.left + SIZE[1]]
    models = [
        synthetic.adapt(model := end_to_end(unit), export_of(model), Options(framing=each)).model
        for each in (None, framing)
    ]
    plain = onnxruntime(models[0].SerializeToString(), np.ascontiguousarray(part))
    cropping = onnxruntime(crop(models[1], framing).SerializeToString(), frames)
    high, wide = framing.network[::-1]
    scale = np.array([*SIZE, *SIZE]) / [high, wide, high, wide]
    start = np.array([framing.top, framing.left] * 2) / [high, wide, high, wide]
    np.testing.assert_allclose(cropping[0], np.clip(plain[0], 0, 1) * scale + start, atol=1e-6)
    for left, right in zip(plain[1:], cropping[1:], strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("unit", ["relative", "pixels"])
def test_validate_proves_it(unit: str, worker: Worker) -> None:
    result = Validate(inputs=4, worker=worker)(converted(export_of(end_to_end(unit)), worker), Path())
    assert not result.findings
    evidence = result.artifact.evidence
    assert evidence.parity is not None
    assert evidence.parity.max_abs_diff < 1e-6
    assert evidence.decoding is not None
    assert evidence.decoding < 1e-6


@pytest.mark.parametrize("swap", [(0, 1), (0, 2), (4, 5)])
def test_validate_sees_columns_that_are_mixed_up(swap: tuple[int, int], worker: Worker) -> None:
    artifact = converted(export_of(end_to_end()), worker)
    model = onnx.load_model_from_string(artifact.onnx.data)
    order = list(range(6))
    order[swap[0]], order[swap[1]] = order[swap[1]], order[swap[0]]
    model.graph.initializer.append(numpy_helper.from_array(np.array(order, np.int64), "order"))
    consumers = [node for node in model.graph.node if "raw_candidates" in node.input]
    for node in consumers:
        node.input[list(node.input).index("raw_candidates")] = "mixed"
    producer = next(number for number, node in enumerate(model.graph.node) if "raw_candidates" in node.output)
    model.graph.node.insert(producer + 1, helper.make_node("Gather", ["raw_candidates", "order"], ["mixed"], axis=2))
    broken = replace(artifact, onnx=replace(artifact.onnx, stored=model.SerializeToString()))
    found = Validate(inputs=2, worker=worker)(broken, Path()).findings
    assert "EI440" in {finding.id for finding in found}


def test_the_order_of_equally_good_objects_is_no_difference() -> None:
    rows = np.random.default_rng(0).random((1, 30, 6)).astype(np.float32)
    rows[..., 5] = np.arange(30) % 3
    head = synthetic.adapt(model := end_to_end(), export_of(model), Options()).head
    network = decoding.ReferenceDecoder(head, SIZE[1], SIZE[0])
    one, other = (END_TO_END.comparable(network, [each])[0] for each in (rows, rows[:, ::-1]))
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("unit", ["relative", "pixels"])
def test_the_reference_reads_a_row_as_one_box_and_the_score_of_its_class(unit: str) -> None:
    head = replace(synthetic.adapt(model := end_to_end(), export_of(model), Options()).head, coordinates=unit)
    scale = 64 if unit == "pixels" else 1
    rows = np.array([[[0.1, 0.2, 0.3, 0.4, 0.9, 2], [0.5, 0.5, 1, 1, 0.25, 0]]], np.float32)
    rows[..., :4] *= scale
    found = END_TO_END.read(decoding.ReferenceDecoder(head, 64, 64), [rows])
    np.testing.assert_allclose(found.boxes, [[[0.2, 0.1, 0.4, 0.3], [0.5, 0.5, 1, 1]]], rtol=1e-6)
    np.testing.assert_array_equal(found.of_classes, np.array([[[0, 0, 0.9], [0.25, 0, 0]]], np.float32))
    np.testing.assert_array_equal(found.scores, rows[..., 4])
    np.testing.assert_array_equal(found.labels, [[2, 0]])


def test_float16_is_measured_without_what_decodes_the_rows(worker: Worker) -> None:
    artifact = converted(export_of(end_to_end()), worker)
    model = onnx.load_model_from_string(artifact.onnx.data)
    name = model.graph.output[0].name
    (last,) = (node for node in model.graph.node if name in node.output)
    last.output[0] = "boxes_as_they_were"
    model.graph.initializer.extend(numpy_helper.from_array(np.float32(each), str(each)) for each in (1e6, 1e-6))
    model.graph.node.append(helper.make_node("Mul", ["boxes_as_they_were", "1000000.0"], ["far"], name="far"))
    model.graph.node.append(helper.make_node("Mul", ["far", "1e-06"], [name], name="back"))
    changed = replace(artifact, onnx=replace(artifact.onnx, stored=model.SerializeToString()))
    frames = np.random.default_rng(1).integers(0, 256, (2, *SIZE, 3), np.uint8)
    found = half_evidence(changed, [frames], worker, 60.0, advise=False)
    assert found.overflow == ()
    assert found.agreement == half_evidence(artifact, [frames], worker, 60.0, advise=False).agreement


def test_what_nvinfer_makes_of_a_bundle(tmp_path: Path, worker: Worker) -> None:
    """No class's objects are suppressed, and their edges are those of the rows."""
    model = end_to_end()
    outputs = onnxruntime(model.SerializeToString(), pictures())
    middle = float(np.median(outputs[0][..., 4]))
    export = export_of(model)
    artifact = converted(replace(export, metadata=replace(export.metadata, threshold=middle)), worker)
    validated = Validate(inputs=1, worker=worker)(artifact, Path()).artifact
    Emit(tmp_path)(validated, Path())
    (config,) = tmp_path.glob("config_infer_primary_*")
    text = config.read_text()
    assert "cluster-mode=4\n" in text
    assert "parse-bbox-func-name=NvDsInferParseCustomTfSSD\n" in text
    assert "nms-iou-threshold" not in text
    settings = read_settings(config)
    outputs = onnxruntime(artifact.onnx.data, pictures())
    layers = [Layer.of(tensor.name, values) for tensor, values in zip(artifact.onnx.outputs, outputs, strict=True)]
    (frame,) = decode(settings, Network(3, *SIZE), layers).frames
    assert isinstance(frame, Detected)
    top, left, bottom, right = np.clip(outputs[0][0], 0, 1).T  # the parser drops what is then empty
    good = (outputs[1][0] >= settings.classes[0].pre_cluster_threshold) & (bottom > top) & (right > left)
    assert 5 < good.sum() < KEPT
    found = sorted((one.confidence, one.left, one.top) for one in frame.objects)
    wanted = sorted(zip(outputs[1][0][good], left[good] * SIZE[1], top[good] * SIZE[0], strict=True))
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert {one.label for one in frame.objects} <= set(LABELS)


def test_labels_that_are_not_its_classes() -> None:
    model = end_to_end()
    with pytest.raises(InputError, match=r"has 2 labels .*detects 3 classes"):
        synthetic.adapt(model, export_of(model, ("a", "b")), Options())


def test_without_labels_the_graph_tells_how_many_classes_there_are() -> None:
    model = end_to_end()
    fitted = synthetic.adapt(model, export_of(model, None), Options())
    assert fitted.head.labels == ("class0", "class1", "class2")
    assert [finding.id for finding in fitted.findings] == ["EI301"]


_NUMBERS = np.arange(KEPT)
_WAYS: list[tuple[str, NDArray[np.int64] | None, dict[str, Any]]] = [
    ("Identity", None, {}),
    ("Flatten", None, {"axis": 1}),
    ("Transpose", None, {"perm": [0, 1]}),
    ("Reshape", np.array([1, KEPT]), {}),
    ("Expand", np.array([1, KEPT]), {}),
    ("Gather", _NUMBERS, {"axis": 1}),
    ("GatherElements", _NUMBERS[None], {"axis": 1}),
    ("GatherND", np.stack([_NUMBERS * 0, _NUMBERS], axis=1)[None], {}),
]


@pytest.mark.parametrize(("operator", "given", "attributes"), _WAYS, ids=[way[0] for way in _WAYS])
def test_what_stands_behind_the_choice_of_a_class(
    operator: str, given: NDArray[np.int64] | None, attributes: dict[str, Any]
) -> None:
    model = end_to_end()
    (node,) = (node for node in model.graph.node if "label_float" in node.input)
    node.input[0] = "passed"
    more = [] if given is None else ["way"]
    if given is not None:
        model.graph.initializer.append(numpy_helper.from_array(given, "way"))
    passed = helper.make_node(operator, ["label_float", *more], ["passed"], **attributes)
    model.graph.node.insert(list(model.graph.node).index(node), passed)
    onnx.checker.check_model(model, full_check=True)
    fitted = synthetic.adapt(model, export_of(model, None), Options())
    assert fitted.head.labels == ("class0", "class1", "class2")


def test_a_class_that_is_chosen_among_its_scores() -> None:
    model = end_to_end()
    (node,) = (node for node in model.graph.node if node.op_type == "Mod")
    at = list(model.graph.node).index(node)
    del model.graph.node[at]
    choice = helper.make_node("ArgMax", ["some_scores"], ["label"], axis=2, keepdims=0)
    model.graph.node.insert(at, choice)
    fitted = synthetic.adapt(model, export_of(model, None), Options())
    assert fitted.head.labels == ("class0", "class1", "class2")


def test_without_labels_and_without_a_trace_of_the_classes() -> None:
    model = end_to_end()
    (node,) = (node for node in model.graph.node if node.op_type == "Mod")
    node.op_type = "Min"
    with pytest.raises(InputError, match=r"^how many classes the model detects cannot be told") as caught:
        synthetic.adapt(model, export_of(model, None), Options())
    assert caught.value.hint == "give them in the order of training with --labels"
    assert synthetic.adapt(model, export_of(model), Options()).head.labels == LABELS


def test_other_outputs_are_refused() -> None:
    model = synthetic.candidates("yolov5", classes=2)
    with pytest.raises(
        UnsupportedModelError, match=r"^an end-to-end detector gives .* this model \[1, 42, 7\]"
    ) as caught:
        END_TO_END.adapt(model, export_of(model), Options())
    assert caught.value.hint == "give the real --task, or another model"


def test_boxes_in_another_unit_are_refused() -> None:
    model = end_to_end()
    (node,) = (node for node in model.graph.node if "boxes" in node.output)
    node.output[0] = "few"
    model.graph.initializer.append(numpy_helper.from_array(np.array(3, np.float32), "factor"))
    at = list(model.graph.node).index(node)
    model.graph.node.insert(at + 1, helper.make_node("Mul", ["few", "factor"], ["boxes"]))
    with pytest.raises(UnsupportedModelError) as caught:
        synthetic.adapt(model, export_of(model), Options())
    assert re.fullmatch(
        "the boxes are measured in something else than pixels of 64x32 or shares of it: the middle of all candidates "
        r"is at x = [0-9.]+",
        caught.value.message,
    )
    assert caught.value.hint == "give the real --task, or report the model"


def test_parity_does_not_depend_on_which_of_two_equal_objects_comes_first() -> None:
    rows = np.array([[[0, 8, 16, 24, 0.5, 1], [8, 0, 32, 16, 0.25, 0], [-8, 0, 128, 64, 0.0, 7]]], np.float32)
    decoder = decoding.ReferenceDecoder(Head("end-to-end", LABELS, coordinates="pixels"), 64, 32)
    (boxes, classes), are_classes = END_TO_END.comparable(decoder, [rows])
    assert are_classes == [False, True]
    # y, x of both corners in shares of the picture, times the score, in order of size
    wanted = np.array([[0, 0, 0, 0], [0, 0, 0.125, 0.125], [0.125, 0.03125, 0.375, 0.125]])
    np.testing.assert_allclose(boxes[0], wanted, atol=1e-6)
    np.testing.assert_allclose(classes[0], np.array([[0, 0, 0], [0, 0, 0], [0.25, 0.5, 0]]))
    again, _ = END_TO_END.comparable(decoder, [rows[:, ::-1]])
    np.testing.assert_array_equal(again[0], boxes)
    np.testing.assert_array_equal(again[1], classes)


def test_answers_are_not_suppressed_a_second_time() -> None:
    outputs = {
        "detection_boxes": np.array([[[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5], [0, 0, 1, 1]]], np.float32),
        "detection_scores": np.array([[0.9, 0.8, 0.3]], np.float32),
        "detection_classes": np.array([[0, 1, 2]], np.float32),
    }
    answer = END_TO_END.decode_shipped(outputs, Rules(LABELS, 0.5, SIZE))
    assert [box["label"] for box in answer["bounding_boxes"]] == ["red", "green"]


def test_a_flatbuffer_needs_no_option(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """[1,300,6] of a 64x64 model with four classes."""
    path = models.parent / "cases" / "models" / "t_e2e4.tflite"
    if not path.is_file():
        pytest.skip("the models of reported cases (../shared/cases) are not on this machine")
    prove_nothing(monkeypatch)
    assert main(["convert", str(path), "-o", str(tmp_path / "out")]) == 0
    assert "t-e2e4: end-to-end 64x64x3, 4 labels" in capsys.readouterr().out
