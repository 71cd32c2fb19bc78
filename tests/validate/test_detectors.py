"""Detectors through the whole stage: parity of what the network gives, and proof that the rest decodes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from convert.errors import ValidationError
from convert.export.facts import facts, onnx_facts
from convert.graph.adapt import Adapt, read_head, recorded
from convert.isolation import Worker
from convert.translate import PRELOAD, Translate
from convert.types import Adapted, Export, Metadata, ModelFormat, Validated
from convert.validate import Validate, runtimes
from convert.validate.comparison import raw_names, with_raw
from tests.heads import synthetic
from tests.heads.ssds import ssd
from tests.heads.synthetic import ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from onnx import ModelProto

    from convert.findings import Finding

LABELS = ("a", "b", "c")
LIT = 0.25
"""A threshold that the invented FOMO reaches in many cells."""


@pytest.fixture(scope="module")
def child() -> Iterator[Worker]:
    with Worker(PRELOAD) as child:
        yield child


def from_onnx(model: ModelProto, task: str) -> Export:
    data = model.SerializeToString()
    about, _ = onnx_facts(data)
    metadata = Metadata(labels=LABELS)
    return Export(data, "model", "onnx", "model.onnx", "", metadata, replace(about, task=task), ModelFormat.ONNX)


def from_tflite(data: bytes, labels: tuple[str, ...]) -> Export:
    return Export(data, "model", "flatbuffer", "model.lite", "", Metadata(labels=labels), facts(data))


def adapted(export: Export, child: Worker, **options: Any) -> Adapted:
    translated = Translate(worker=child)(export, Path()).artifact
    result = Adapt(**options)(translated, Path()).artifact
    assert isinstance(result, Adapted)
    return result


def validated(artifact: Adapted, child: Worker) -> tuple[Validated, tuple[Finding, ...]]:
    result = Validate(inputs=4, worker=child)(artifact, Path())
    assert isinstance(result.artifact, Validated)
    return result.artifact, result.findings


def changed(artifact: Adapted, change: Callable[[ModelProto], None]) -> Adapted:
    """The shipped model with a fault in it."""
    model = onnx.load_model_from_string(artifact.onnx.data)
    before = model.SerializeToString()
    change(model)
    assert model.SerializeToString() != before, "nothing was broken"
    return replace(artifact, onnx=replace(artifact.onnx, stored=model.SerializeToString()))


@pytest.mark.parametrize("score", ["product", "objectness", None])
@pytest.mark.parametrize("task", list(ROWS))
def test_every_kind_of_row(task: str, score: str | None, child: Worker) -> None:
    artifact = adapted(from_onnx(synthetic.candidates(task), task), child, yolo_score=score)
    assert raw_names(artifact.onnx.data) == ("raw_candidates",)
    result, findings = validated(artifact, child)
    assert not findings
    evidence = result.evidence
    assert evidence.parity is not None
    assert evidence.parity.max_abs_diff < 1e-5
    assert evidence.decoding is not None
    assert evidence.decoding < 1e-6
    assert evidence.batch is not None
    assert evidence.batch.sizes == (1, 2, 8)


@pytest.mark.parametrize("merge", ["touching", "peak", "none"])
@pytest.mark.parametrize(("nhwc", "box"), [(True, None), (False, None), (True, 3)])
def test_fomo(merge: str, nhwc: bool, box: float | None, child: Worker) -> None:
    export = from_onnx(synthetic.heat_map(40, 72, 4, nhwc=nhwc), "fomo")
    assert export.facts.outputs[0].shape == (1, 5, 9, 4)
    result, findings = validated(adapted(export, child, fomo_merge=merge, fomo_box=box, threshold=LIT), child)
    assert not findings
    assert result.evidence.parity is not None
    assert result.evidence.parity.max_abs_diff < 1e-6
    assert result.evidence.decoding is not None
    assert result.evidence.decoding < 1e-6


@pytest.mark.parametrize(("threshold", "all_show"), [(0.001, True), (0.999, False)])
def test_fp16_of_an_ssd_says_how_many_inputs_show_an_object(threshold: float, all_show: bool, child: Worker) -> None:
    """Where none does, equal decisions say nothing."""
    artifact = adapted(from_tflite(ssd(), LABELS[:2]), child, threshold=threshold)
    result = Validate(inputs=4, worker=child, precision="fp16")(artifact, Path()).artifact
    assert isinstance(result, Validated)
    half = result.evidence.precisions[1]
    assert half.agreement is not None
    assert half.agreement.max_abs_diff > 0
    assert half.shown == (half.agreement.inputs if all_show else 0)


@pytest.mark.parametrize("parts", [{}, {"background": False}, {"coordinates": 8}, {"dequantized_anchors": True}])
def test_an_ssd_is_looked_into(parts: dict[str, Any], child: Worker) -> None:
    """The original runs whole; what goes into its last operator is compared."""
    model = ssd(**parts)
    result, findings = validated(adapted(from_tflite(model, LABELS[:2]), child), child)
    assert not findings
    assert result.evidence.parity is not None
    assert result.evidence.parity.max_abs_diff < 1e-5
    assert result.evidence.decoding is not None
    assert result.evidence.decoding < 1e-5


def _constant(model: ModelProto, like: Callable[[Any], bool], value: Callable[[Any], Any]) -> None:
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if like(array):
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(value(array), array.dtype), tensor.name))


def halves(model: ModelProto) -> None:
    _constant(model, lambda array: array.shape == () and array.dtype == np.float32 and array == 0.5, lambda _: 0.49)


def swaps(model: ModelProto) -> None:
    _constant(model, lambda array: array.dtype == np.int64 and array.tolist() == [1, 0], lambda _: [0, 1])


def worst_class(model: ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type == "ArgMax":
            node.op_type = "ArgMin"


def smallest_score(model: ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type == "ReduceMax":
            node.op_type = "ReduceMin"


@pytest.mark.parametrize("fault", [halves, swaps, worst_class, smallest_score])
def test_a_wrong_decoding_is_found(fault: Callable[[ModelProto], None], child: Worker) -> None:
    good = adapted(from_onnx(synthetic.candidates("yolov5"), "yolov5"), child, yolo_score="product")
    _, findings = validated(changed(good, fault), child)
    assert [finding.id for finding in findings] == ["EI440"]
    assert "raw" in findings[0].message


def _first(model: ModelProto, operator: str) -> Any:
    return next(node for node in model.graph.node if node.op_type == operator)


def never_better(model: ModelProto) -> None:
    """Of two candidates the first is the worse one."""
    less = [node for node in model.graph.node if node.op_type == "Less"]
    (better,) = [node for node in less if node.input[0].startswith("c") and node.input[1].startswith("c")]
    better.input[:] = reversed(better.input)


def apart(model: ModelProto) -> None:
    """Boxes that lie apart are taken to share what is between them."""
    for node in model.graph.node:
        if node.op_type == "Relu":
            node.op_type = "Abs"


def other_overlap(model: ModelProto) -> None:
    _constant(model, lambda array: array.shape == () and array == np.float32(0.2), lambda _: 0.3)


def unsorted(model: ModelProto) -> None:
    """Rows of the worst candidates."""
    node = _first(model, "TopK")
    node.attribute.append(helper.make_attribute("largest", 0))


def one_round(model: ModelProto) -> None:
    """What is dropped by a box that is dropped itself is dropped, too."""
    droppers = [node.output[0] for node in model.graph.node if node.op_type in {"ReduceMax", "MatMul"}]
    last = next(node for node in model.graph.node if node.op_type == "Less" and node.input[0] == droppers[-1])
    reduced = next(name for name in droppers if name == _reduced(model))
    last.input[0] = reduced


def _reduced(model: ModelProto) -> str:
    """Whether anything overlaps each candidate."""
    first = _first(model, "MatMul").input[0]
    return next(
        str(node.output[0]) for node in model.graph.node if node.op_type == "ReduceMax" and node.input[0] == first
    )


@pytest.mark.parametrize("fault", [never_better, apart, other_overlap, unsorted, one_round])
def test_a_wrong_suppression_is_found(fault: Callable[[ModelProto], None], child: Worker) -> None:
    model = synthetic.candidates("yolov5", unit="pixels")
    good = adapted(from_onnx(model, "yolov5"), child, yolo_score="objectness")
    assert good.head.overlap == 0.2
    _, findings = validated(good, child)
    assert [finding.id for finding in findings] == ["EI351"] or not findings
    _, findings = validated(changed(good, fault), child)
    assert "EI440" in {finding.id for finding in findings}


def test_a_later_command_knows_that_the_graph_drops_boxes(child: Worker) -> None:
    artifact = adapted(from_onnx(synthetic.candidates("yolov5"), "yolov5"), child, yolo_score="objectness")
    head, _ = read_head(recorded(artifact.onnx, Path()), artifact.export)
    assert head == artifact.head
    assert head.overlap == 0.2


def test_pictures_that_mix_where_boxes_are_dropped(child: Worker) -> None:
    """Candidates stand in the order of their scores, so batches are compared by the raw ones, and decoded."""
    good = adapted(from_onnx(synthetic.candidates("yolov5"), "yolov5"), child, yolo_score="objectness")

    def mixed(model: ModelProto) -> None:
        source = model.graph.input[0].name
        for node in model.graph.node:
            node.input[:] = ["mixed" if name == source else name for name in node.input]
        mean = helper.make_node("ReduceMean", [source], ["mean"], axes=[0], keepdims=1)
        model.graph.node.insert(0, mean)
        model.graph.node.insert(1, helper.make_node("Mean", [source, "mean"], ["mixed"]))

    _, findings = validated(changed(good, mixed), child)
    assert [finding.id for finding in findings] == ["EI407", "EI407"]


@pytest.mark.parametrize("merge", ["touching", "none"])
def test_a_wrong_cell_is_found(merge: str, child: Worker) -> None:
    good = adapted(from_onnx(synthetic.heat_map(40, 72, 4), "fomo"), child, fomo_merge=merge, threshold=LIT)

    def moved(model: ModelProto) -> None:
        _constant(model, lambda array: array.shape == (1, 12, 5, 9), lambda array: array + 1e-3)

    _, findings = validated(changed(good, moved), child)
    assert [finding.id for finding in findings] == ["EI440"]


def four_neighbours(model: ModelProto) -> None:
    """Cells that touch at a corner stay apart."""
    for node in model.graph.node:
        if node.op_type == "MaxPool":
            size = {item.name: item.ints for item in node.attribute}
            if list(size["kernel_shape"]) == [3, 3]:
                size["kernel_shape"][:], size["pads"][:] = [3, 1], [1, 0, 1, 0]


def other_threshold(model: ModelProto) -> None:
    _constant(model, lambda array: array.shape == () and array == np.float32(LIT), lambda _: LIT + 0.02)


def every_row(model: ModelProto) -> None:
    """Each cell with the box's top edge stands for it, not the first one alone."""
    pad = _first(model, "Pad")
    after = next(node for node in model.graph.node if pad.output[0] in node.input)
    _constant(
        model, lambda array: array.dtype == np.int64 and array.tolist() == [0, 0, 0, 1, 0, 0, 0, 0], np.zeros_like
    )
    assert after.op_type == "Slice"


@pytest.mark.parametrize("fault", [four_neighbours, other_threshold, every_row])
def test_a_wrong_merge_is_found(fault: Callable[[ModelProto], None], child: Worker) -> None:
    good = adapted(from_onnx(synthetic.heat_map(40, 72, 4), "fomo"), child, threshold=LIT)
    _, findings = validated(changed(good, fault), child)
    assert "EI440" in {finding.id for finding in findings}


def test_a_later_command_knows_the_threshold_in_the_graph(child: Worker) -> None:
    artifact = adapted(from_onnx(synthetic.heat_map(40, 72, 4), "fomo"), child, threshold=LIT, fomo_box=1.5)
    head, _ = read_head(recorded(artifact.onnx, Path()), artifact.export)
    assert head == artifact.head
    assert head.box == 1.5
    assert (head.merge, head.threshold) == ("touching", LIT)


def test_not_a_number_on_one_side_is_a_difference(child: Worker) -> None:
    good = adapted(from_onnx(synthetic.heat_map(40, 72, 4), "fomo"), child, fomo_merge="none")

    def unknown(model: ModelProto) -> None:
        _constant(model, lambda array: array.shape == (1, 12, 5, 9), lambda array: array * np.float32(np.nan))

    _, findings = validated(changed(good, unknown), child)
    assert "EI440" in {finding.id for finding in findings}


def test_wrong_anchors_are_found(child: Worker) -> None:
    good = adapted(from_tflite(ssd(), LABELS[:2]), child)

    def moved(model: ModelProto) -> None:
        _constant(model, lambda array: array.shape == (1, 48, 2), lambda array: array + 0.01)

    _, findings = validated(changed(good, moved), child)
    assert "EI440" in {finding.id for finding in findings}


def test_wrong_weights_are_parity(child: Worker) -> None:
    good = adapted(from_onnx(synthetic.candidates("yolov5"), "yolov5"), child)

    def heavier(model: ModelProto) -> None:
        _constant(model, lambda array: array.ndim == 4, lambda array: array * 1.01)

    result, findings = validated(changed(good, heavier), child)
    assert [finding.id for finding in findings] == ["EI403"]
    assert result.evidence.decoding == 0


def test_boxes_in_another_unit_lie_beside_the_picture(child: Worker) -> None:
    """Graph and second decoding agree, and both are wrong: the places of the boxes show it."""
    pixels = adapted(from_onnx(synthetic.candidates("yolov5", unit="pixels"), "yolov5"), child, yolo_score="product")
    assert pixels.head.coordinates == "pixels"

    def undivided(model: ModelProto) -> None:
        _constant(model, lambda array: array.tolist() == [32, 64, 32, 64], np.ones_like)

    taken_for_shares = replace(changed(pixels, undivided), head=replace(pixels.head, coordinates="relative"))
    _, findings = validated(taken_for_shares, child)
    assert "EI441" in {finding.id for finding in findings}
    assert "EI440" not in {finding.id for finding in findings}


def test_the_raw_outputs_do_not_stay_outputs(child: Worker) -> None:
    artifact = adapted(from_onnx(synthetic.candidates("yolo-pro"), "yolo-pro"), child)
    shipped, probe = (onnx.load_model_from_string(data) for data in (artifact.onnx.data, with_raw(artifact.onnx.data)))
    names = [value.name for value in shipped.graph.output]
    assert names == ["detection_boxes", "detection_scores", "detection_classes"]
    assert [value.name for value in probe.graph.output] == [*names, "raw_candidates"]


def test_an_onnx_original_that_does_not_run(child: Worker) -> None:
    pictures = np.zeros((1, 4, 4, 3), np.uint8)
    from convert.images import ImageScaling

    with pytest.raises(ValidationError, match=r"^ONNX Runtime does not load"):
        runtimes.onnx_outputs(b"\x08\x07", pictures, ImageScaling.NONE, [], child, 60)
    model = synthetic.heat_map(40, 72, 4).SerializeToString()
    with pytest.raises(ValidationError, match=r"^the original's input \[3, 40, 72\] does not hold a picture \[4,4,3\]"):
        runtimes.onnx_outputs(model, pictures, ImageScaling.NONE, [], child, 60)


def test_anchors_of_what_is_no_ssd(child: Worker) -> None:
    from tests.graph.flat import classifier  # one test's

    with pytest.raises(ValidationError, match=r"^the original does not end in an SSD"):
        runtimes.call_original("convert.heads.ssd:anchors", child, 60, classifier())
