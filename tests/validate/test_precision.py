"""What FP16 changes, on models whose numbers are known."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from convert.graph.graph import load_model
from convert.types import Agreement, Int8Evidence, PrecisionEvidence, Validated
from convert.validate import Validate, runtimes
from convert.validate.precision import Predictions, _kept, agreement, calibrated_findings, in_half, int8_findings, moved
from tests.benchmarks import bench_gpu
from tests.validate.tiny import GRAY, Classifier, adapted, onnx_model, parse, tflite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from convert.isolation import Worker
    from convert.types import Adapted, Evidence


SCALED = """
g (float[N,3] x) => (float[N,3] y) <float[1] up = {{{0}}}, float[1] down = {{{1}}}, float[1] third = {{0.333333343}}>
{{
  [first] big = Mul(x, up)
  [second] small = Mul(big, down)
  [third] y = Add(small, third)
}}
"""


def _run(graph: str, values: NDArray[np.float32], keep: tuple[str, ...] = ()) -> tuple[Any, dict[str, float]]:
    model = parse(graph)
    names = in_half(model, keep)
    y, *most = runtimes.run_onnx(runtimes.load(model.SerializeToString(), optimized=False), values)
    return y, dict(zip(names, map(float, most), strict=True))


def test_every_number_is_rounded() -> None:
    values = np.array([[0.1, 1.2345678, -3.3]], np.float32)
    half = values.astype(np.float16)
    big = (half.astype(np.float32) * np.float32(np.float16(1.1))).astype(np.float16)
    small = (big.astype(np.float32) * np.float32(np.float16(0.7))).astype(np.float16)
    wanted = (small.astype(np.float32) + np.float32(np.float16(1 / 3))).astype(np.float16)
    found, most = _run(SCALED.format(1.1, 0.7), values)
    np.testing.assert_array_equal(found, wanted.astype(np.float32))
    assert list(most) == ["first", "second", "third"]
    assert most["first"] == np.abs(big).max()


def test_a_node_that_is_kept_rounds_nothing() -> None:
    values = np.array([[0.5, 0.25, 1.0]], np.float32)
    found, most = _run(SCALED.format(1.1, 0.7), values, ("first", "second", "third"))
    wanted = values * np.float32(1.1) * np.float32(0.7) + np.float32(0.333333343)
    np.testing.assert_array_equal(found, wanted)
    assert not most


@pytest.mark.parametrize(("values", "beyond"), [([[0.5, 1.0, 0.1]], True), ([[0.5, 0.6, 0.1]], False)])
def test_what_float16_cannot_hold_is_seen_where_it_happens(values: list[list[float]], beyond: bool) -> None:
    """65519 is the largest number that is rounded to 65504."""
    found, most = _run(SCALED.format(60000, 0.5), np.array(values, np.float32) * np.float32(1.1))
    assert (most["first"] == np.inf) == beyond
    assert np.isfinite(found).all() != beyond
    kept, left = _run(SCALED.format(60000, 0.25), np.array(values, np.float32) * np.float32(1.1), ("first",))
    assert np.isfinite(kept).all()
    assert "first" not in left


@pytest.mark.parametrize(
    ("node", "opset"),
    [('Resize<mode = "nearest">(x, , scales)', 13), ("Resize(x, scales)", 10), ("Upsample(x, scales)", 9)],
)
def test_the_scales_of_a_resize_stay(node: str, opset: int) -> None:
    graph = f"""
    g (float[N,1,3,3] x) => (float[N,1,h,w] y) <float[4] scales = {{1.0, 1.0, 1.3333334, 1.3333334}}>
    {{ y = {node} }}
    """
    model = parse(graph, f'"" : {opset}')
    in_half(model)
    session = runtimes.load(model.SerializeToString(), optimized=False)
    found = runtimes.run_onnx(session, np.ones((1, 1, 3, 3), np.float32))[0]
    assert found.shape == (1, 1, 4, 4)  # with 1.3330 it would be 3


def _measured(model: Adapted, worker: Worker) -> tuple[PrecisionEvidence, ...]:
    result = Validate(precision="fp16", worker=worker)(model, Path())
    assert isinstance(result.artifact, Validated)
    return result.artifact.evidence.precisions


def test_the_table(worker: Worker) -> None:
    model = Classifier()
    whole, half, codes = _measured(adapted(onnx_model(model), tflite(model)), worker)
    assert (whole.precision, half.precision) == ("fp32", "fp16")
    assert codes == PrecisionEvidence("int8"), "nothing is known of it"
    assert whole.weights == 4 * (model.weights.size + model.bias.size)
    assert half.weights == 2 * (model.weights.size + model.bias.size)
    assert half.nodes == {"Gemm": 1, "Reshape": 1, "Softmax": 1, "Transpose": 1}
    assert half.agreement is not None
    assert half.agreement.inputs == 300
    assert 0 < half.agreement.max_abs_diff < 0.01
    assert half.is_good
    assert not half.keep


def test_of_a_model_that_overflows_the_node_is_named(worker: Worker) -> None:
    """What follows Softmax sees nothing of the size, so decisions are lost by the overflow alone."""
    model = Classifier(gain=1e5)
    shipped = load_model(onnx_model(model))
    for node in shipped.graph.node:
        node.name = f"the_{node.output[0]}"
    _, half, _ = _measured(adapted(shipped.SerializeToString(), tflite(model)), worker)
    assert half.overflow == ("the_logits",)
    assert not half.is_good
    assert half.keep == ("the_logits",)


def test_a_result_without_numbers_is_no_overflow(worker: Worker) -> None:
    model = Classifier()
    shipped = load_model(onnx_model(model))
    name = shipped.graph.output[0].name
    (last,) = (node for node in shipped.graph.node if name in node.output)
    last.output[0] = "scores_alone"
    shipped.graph.initializer.extend(
        numpy_helper.from_array(np.array([value]), each) for each, value in (("no", 0), ("axis", 1))
    )
    shipped.graph.node.append(helper.make_node("Slice", ["scores_alone", "no", "no", "axis"], ["nothing"], name="cut"))
    shipped.graph.node.append(helper.make_node("Concat", ["scores_alone", "nothing"], [name], name="both", axis=1))
    _, half, _ = _measured(adapted(shipped.SerializeToString(), tflite(model)), worker)
    assert half.overflow == ()
    assert half.is_good


@pytest.mark.parametrize(
    ("size", "count"), [({}, 30), ({"height": 40, "width": 43}, 29), ({"height": 50, "width": 52}, 0)]
)
def test_for_an_engine_in_fp32_fp16_is_measured_where_that_is_quick(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, size: dict[str, int], count: int
) -> None:
    monkeypatch.setattr("convert.validate._QUICK_PIXELS", 50_000)
    model = Classifier(**size)
    result = Validate(worker=worker, inputs=4, tolerance=1e-2)(adapted(onnx_model(model), tflite(model)), Path())
    assert isinstance(result.artifact, Validated)
    evidence = result.artifact.evidence
    whole, half, codes = evidence.precisions
    assert whole.agreement is not None
    assert evidence.parity is not None
    assert whole.agreement.max_abs_diff == evidence.parity.max_abs_diff
    assert (codes.agreement, codes.weights) == (None, None)
    assert half.weights == 2 * (model.weights.size + model.bias.size)
    assert (half.agreement.inputs if half.agreement else 0) == count


@pytest.mark.parametrize(("more", "is_measured"), [(0, True), (-1, False)])
def test_for_an_engine_in_fp32_fp16_of_a_large_model_is_not_measured(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, more: int, is_measured: bool
) -> None:
    model = Classifier()
    shipped = onnx_model(model)
    monkeypatch.setattr("convert.validate._QUICK_BYTES", len(shipped) + more)
    result = Validate(worker=worker, inputs=4)(adapted(shipped, tflite(model)), Path())
    _, half, _ = result.artifact.evidence.precisions
    assert (half.agreement is not None) == is_measured
    assert half.weights == 2 * (model.weights.size + model.bias.size), "known without running it"
    _, half, _ = _measured(adapted(shipped, tflite(model)), worker)
    assert half.agreement is not None, "asked for"


@pytest.mark.parametrize(
    ("height", "width", "classes", "precision", "count"),
    [  # for an engine in FP32 of the pixels of 20 to 30 pictures, where the model has 8 MiB at most
        (400, 416, 2, "fp32", 30), (400, 500, 2, "fp32", 25), (500, 500, 2, "fp32", 20), (501, 500, 2, "fp32", 0),
        (400, 500, 10, "fp32", 25), (400, 500, 11, "fp32", 0),
        # else of 60 to 300
        (100, 166, 2, "fp16", 300), (100, 200, 2, "fp16", 250), (300, 300, 2, "fp16", 60),
    ],
)  # fmt: skip
def test_on_how_many_pictures_decisions_are_measured(
    height: int, width: int, classes: int, precision: str, count: int, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def image_like(*given: int) -> Iterator[Any]:
        asked.append(given)
        return iter(())

    def measured(_adapted: Adapted, evidence: Evidence, chunks: Iterator[Any], *_: Any, advise: bool) -> Any:
        assert not list(chunks)
        asked.append(advise)
        return evidence, ()

    monkeypatch.setattr("convert.validate.inputs.image_like", image_like)
    monkeypatch.setattr("convert.validate.precision.measured", measured)
    model = Classifier(height, width, 1, classes, gain=0.001)
    stage = Validate(worker=worker, inputs=1, batches=(1,), precision=precision)
    stage(adapted(onnx_model(model), tflite(model), GRAY), Path())
    assert asked == ([(count, height, width, 1), precision == "fp16"] if count else [])


def test_of_the_users_own_pictures_200_decide(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(201):
        (tmp_path / f"{number:03}.png").touch()
    counts: list[int] = []

    def measured(_adapted: Adapted, evidence: Evidence, chunks: Iterator[Any], *_: Any, **__: Any) -> Any:
        counts.extend(len(chunk) for chunk in chunks)
        return evidence, ()

    read = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    monkeypatch.setattr("convert.images.read.read_fitted", lambda *_, **__: read)
    monkeypatch.setattr("convert.validate.inputs.image_like", lambda *_: iter(()))
    monkeypatch.setattr("convert.validate.precision.measured", measured)
    model = Classifier()
    stage = Validate(worker=worker, images=tmp_path, precision="fp16")
    evidence = stage(adapted(onnx_model(model), tflite(model)), Path()).artifact.evidence
    assert sum(counts) == 200
    assert evidence.parity.inputs == 32 + 201, "all of them are compared"


def test_nodes_to_keep_are_looked_for_where_fp16_is_asked_for(worker: Worker) -> None:
    model = Classifier(gain=1e5)
    result = Validate(worker=worker)(adapted(onnx_model(model), tflite(model)), Path())
    assert isinstance(result.artifact, Validated)
    _, half, _ = result.artifact.evidence.precisions
    assert half.overflow
    assert not half.keep


def test_boxes_of_the_same_object_are_measured_in_pixels() -> None:
    """Of four pictures two show the same object in both; another one is no object, and one another class."""
    scores = np.array([[0.9, 0], [0.8, 0], [0.2, 0], [0.9, 0]])
    boxes = np.array([[0.25, 0.25, 0.5, 0.5]] * 4)
    left = Predictions(scores, scores.argmax(axis=1), boxes)
    labels = np.array([0, 0, 0, 1])
    farther = np.array([[0.1, 0, 0, 0.01], [0, 0, 0, 0.02], [1] * 4, [1] * 4])
    right = Predictions(scores, labels, boxes + farther)
    assert moved(left, right, least=0.5, size=(100, 200)) == pytest.approx(7)  # between 10 and 4
    assert moved(left, right, least=0.95, size=(100, 200)) is None
    assert moved(replace(left, boxes=None), replace(right, boxes=None), least=0.5, size=(100, 200)) is None


def test_on_a_gpu_fp16_is_the_model_with_half_constants() -> None:
    model = onnx_model(Classifier())
    built = bench_gpu.variants(model)
    assert list(built) == ["fp32", "fp16"]
    half = load_model(built["fp16"])
    assert {each.data_type for each in half.graph.initializer} == {TensorProto.FLOAT16, TensorProto.INT64}
    values = np.random.default_rng(0).random((8, 3, 6, 5), np.float32)
    left, right = (runtimes.run_onnx(runtimes.load(each), values)[0] for each in built.values())
    np.testing.assert_allclose(left, right, atol=0.01)


def test_without_a_gpu_a_sentence_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_name: str) -> None:
        raise OSError("libcuda.so.1: no such file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    bench_gpu.main(["model.onnx"])
    assert capsys.readouterr().out == "no GPU can be measured here: libcuda.so.1: no such file\n"


@pytest.mark.parametrize(
    ("needed", "left", "expected"),
    [
        ("b", {"b"}, ("b",)),  # what overflows, alone
        ("bc", {"b"}, ("b", "c")),  # then the next one overflows
        ("a", set(), ("a",)),
        ("h", set(), ("h",)),
        ("ab", set(), ("a", "b")),
        ("fgh", set(), ("e", "f", "g", "h")),  # twice as many each time
        ("d", set(), ("a", "b", "c", "d")),
        ("bh", {"b"}, ("b", "h")),
        ("ah", set(), ()),  # both ends are never kept
        ("abcdefgh", set(), ()),
    ],
)
def test_few_nodes_are_kept(needed: str, left: set[str], expected: tuple[str, ...]) -> None:
    """Of eight nodes: decisions stay where all `needed` are kept; those in `left` overflow, then those behind them."""

    def trial(keep: Any) -> tuple[bool, set[str]]:
        overflowing = {name for name in needed if chr(ord(name) - 1) in keep and name not in keep} if left else set()
        return set(needed) <= set(keep), overflowing

    assert _kept("abcdefgh", left, trial) == expected


@pytest.mark.parametrize(
    ("count", "needed", "left", "most"),
    [
        (40, range(16), (), 16), (40, range(17), (), 0), (40, range(24, 40), (), 16), (40, range(23, 40), (), 0),
        (40, range(8), (39,), 9), (40, range(9), (39,), 0),  # 16 and the one are too many
        (17, range(16), (), 16), (16, range(16), (), 0), (16, range(8), (), 8), (9, range(8), (), 8),
        (8, range(8), (), 0),
    ],
)  # fmt: skip
def test_how_many_nodes_at_one_end_are_kept(count: int, needed: range, left: tuple[int, ...], most: int) -> None:
    """Twice as many each time, never all, and not more than 16 with those that overflow."""
    names = [f"n{number:02}" for number in range(count)]
    wanted = {names[number] for number in (*needed, *left)}
    found = _kept(names, {names[number] for number in left}, lambda keep: (wanted <= set(keep), set()))
    assert len(found) == most
    assert not found or set(found) == wanted


@pytest.mark.parametrize("count", [16, 17])
def test_more_nodes_than_a_user_can_be_asked_to_keep(count: int) -> None:
    names = [f"n{number}" for number in range(20)]
    sources = set(names[:count])
    assert _kept(names, sources, lambda _: (True, set())) == (tuple(names[:16]) if count == 16 else ())


@pytest.mark.parametrize(
    ("top1", "inputs", "overflow", "good"),
    [
        (1.0, 30, (), True), (29 / 30, 30, (), True), (28 / 30, 30, (), False), (0.99, 300, (), True),
        (296 / 300, 300, (), False), (1.0, 30, ("a",), False),
    ],
)  # fmt: skip
def test_of_few_inputs_one_may_fall_the_other_way(
    top1: float, inputs: int, overflow: tuple[str, ...], good: bool
) -> None:
    row = PrecisionEvidence("int8", agreement=Agreement(top1, 0.01, 0.123, inputs), overflow=overflow)
    assert row.is_good is good
    said = [each.message for each in calibrated_findings(row)]
    words = f"in INT8 the same decision as the float original on {top1:.1%} of {inputs} pictures"
    assert said == ([] if good else [f"{words}; scores differ by up to 0.12"])
    assert not calibrated_findings(PrecisionEvidence("int8"))


OURS = (
    "the same decision as the original on {} of {} inputs, where two sets of LiteRT's own kernels agree on {}; scores "
    "differ by 0.012 on average (0.034)"
)


@pytest.mark.parametrize(
    ("ours", "own", "inputs", "found"),
    [  # below the kernels' by a hundredth at least, and by more than two sigmas of chance
        (0.99, 0.999, 10**6, False), (0.988, 0.999, 10**6, True),
        (0.972, 0.99, 300, False), (0.97, 0.995, 300, True), (1.0, 0.9, 300, False),
    ],
)  # fmt: skip
def test_decisions_of_codes_beside_those_of_litert(ours: float, own: float, inputs: int, found: bool) -> None:
    plain, kernels = Agreement(ours, 0.0123, 0.1, inputs), Agreement(own, 0.0344, 0.1, inputs)
    findings = int8_findings(Int8Evidence({"Conv": 1}, {}, 1.0, plain, plain, kernels))
    message = OURS.format(f"{ours:.1%}", inputs, f"{own:.1%}")
    assert [(each.id, each.message) for each in findings] == [("EI410", message)] * found


def test_decisions_of_detectors() -> None:
    """Both nothing; one alone; the same box; half of it; less; another class; at the limit of a score."""
    scores = np.array([[0.1, 0.2], [0.9, 0.2], [0.9, 0.2], [0.9, 0.2], [0.9, 0.2], [0.9, 0.2], [0.5, 0.2]])
    other = np.array([[0.2, 0.1], [0.2, 0.4], [0.8, 0.2], [0.9, 0.2], [0.9, 0.2], [0.2, 0.9], [0.4, 0.2]])
    boxes = np.tile([[0.0, 0.0, 0.4, 0.4]], (7, 1))
    moves = np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0.2, 0, 0], [0, 0.21, 0, 0], [0] * 4, [0] * 4])
    left = Predictions(scores, scores.argmax(axis=1), boxes)
    right = Predictions(other, other.argmax(axis=1), boxes + moves)
    equal = [agreement(*(_only(each, place) for each in (left, right)), least=0.5).top1 for place in range(7)]
    assert equal == [1, 0, 1, 1, 0, 0, 0]
    whole = agreement(left, right, least=0.5)
    assert [whole.top1, whole.inputs, whole.max_abs_diff] == pytest.approx([3 / 7, 7, 0.7])
    assert whole.mean_abs_diff == pytest.approx(np.abs(scores - other).mean())
    classes = agreement(replace(left, boxes=None), replace(right, boxes=None), least=0.5)
    assert classes.top1 == pytest.approx(4 / 7)
    empty = Predictions(scores[:1] + 0.8, scores[:1].argmax(axis=1), np.zeros((1, 4)))
    assert agreement(empty, empty, least=0.5).top1 == 0, "boxes without a size have nothing in common"


def _only(predicted: Predictions, place: int) -> Predictions:
    scores, labels, boxes = predicted.scores, predicted.labels, predicted.boxes
    assert boxes is not None
    return Predictions(scores[[place]], labels[[place]], boxes[[place]])


def test_boxes_in_shares_of_the_frame() -> None:
    predicted = Predictions(np.ones((2, 1)), np.zeros(2), np.array([[0.5, 0.25, 1.5, 0.75], [-1, 0, 1, 1]]))
    found = predicted.placed(np.array([[0.25, 0.5, 0.5, 0.25]])).boxes
    assert found is not None
    assert found.tolist() == [[0.5, 0.5625, 0.75, 0.6875], [0.25, 0.5, 0.75, 0.75]]
