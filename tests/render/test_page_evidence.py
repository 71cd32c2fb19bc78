"""Parity figures and the comparison with Edge Impulse on the page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.compare import (
    Cause,
    ComparedObject,
    Comparison,
    Pair,
    PictureComparison,
    Prediction,
    Reason,
    Score,
    Step,
    Verdict,
)
from convert.findings import Finding, Level
from convert.images.scaling import Network, Rect
from convert.render.page import MOST_COMPARED, Measure, answer, measures, page, undetected_classes
from convert.report import evidence_document
from convert.simulate.results import FrameResult, SimulatedEngine, Simulation
from convert.simulate.settings import ClassSettings, NetworkType, Settings
from convert.types import Agreement, BatchParity, Evidence, FrameEffect, Int8Agreement, Parity, PrecisionEvidence
from tests.examples import examples
from tests.render.test_page import Document

EVIDENCE = Evidence(
    Parity(2.5e-06, 1.25e-07, 1.0, 32, 0.0001),
    BatchParity((1, 2, 8), 0.0),
    "builds, batch 1 to 8",
    decoding=3.1e-06,
    int8_agreement=Int8Agreement(0.9987, 0.0021, 0.08, 500, rounded=1, layers="first"),
)


def test_measures_of_a_report() -> None:
    assert measures(evidence_document(EVIDENCE)) == [
        Measure(
            "Original against ONNX model",
            "largest difference 2.5e-06, mean 1.2e-07; the same best class on 100 % of 32 inputs",
            "0.0001",
            passed=True,
        ),
        Measure("Batches against single pictures", "batches of 1, 2, 8: largest difference 0"),
        Measure("TensorRT", "builds, batch 1 to 8"),
        Measure("Boxes against an independent decoding", "largest difference 3.1e-06"),
        Measure(
            "Integer original against its float rewriting",
            "the same decision on 99.87 % of 500 inputs; mean difference 0.0021, largest 0.08;"
            " rounded as the original: first layer",
        ),
    ]


def test_what_was_not_measured_is_left_out() -> None:
    assert measures(evidence_document(Evidence())) == []


def test_a_difference_beyond_the_limit_fails() -> None:
    (row,) = measures({"parity": {**evidence_document(EVIDENCE)["parity"], "max_abs_diff": 0.5}})
    assert row.passed is False
    text = page(_simulation(), {}, evidence={"parity": {**evidence_document(EVIDENCE)["parity"], "max_abs_diff": 0.5}})
    assert Document(text).row("Original against ONNX model")[2:] == ["0.0001", "no"]


def test_a_difference_between_rounded_activations_has_no_limit() -> None:
    parity = {**evidence_document(EVIDENCE)["parity"], "max_abs_diff": 0.5}
    for layers, passed in (("first", False), ("every", None)):
        row, _ = measures(
            {"parity": parity, "int8_agreement": {**evidence_document(EVIDENCE)["int8_agreement"], "layers": layers}}
        )
        assert (row.limit, row.passed) == (("", None) if passed is None else ("0.0001", passed))


def test_a_model_that_was_rounded_before_it_was_an_export_has_no_limit() -> None:
    """There is no `int8_agreement` of it: what `unpack` wrote is all that is known."""
    parity = Parity(0.5, 0.1, 1.0, 32, 0.0001, exact=False)
    (row,) = measures(evidence_document(Evidence(parity)))
    assert (row.limit, row.passed) == ("", None)


def test_how_often_two_kernels_of_the_original_agree() -> None:
    value = {**evidence_document(EVIDENCE)["int8_agreement"], "rounded": 0, "kernels": 0.98}
    (row,) = measures({"int8_agreement": value})
    assert row.measured == (
        "the same decision on 99.87 % of 500 inputs; mean difference 0.0021, largest 0.08; "
        "two sets of the original's own kernels on 98 %"
    )


def test_other_figures_have_their_own_names() -> None:
    assert measures({"new_one": {"squash": {"top1": 0.712345}, "stretch": None, "frame": "16:9"}}) == [
        Measure("New one, squash, top1", "0.7123"),
        Measure("New one, frame", "16:9"),
    ]


def test_what_is_not_as_it_should_be_is_shown_as_it_stands() -> None:
    damaged = {"int8_agreement": {"top1": "much"}, "batch": {"sizes": None}, "tensorrt": None, "some_thing": 0.12345}
    assert measures(damaged) == [
        Measure("Int8 agreement, top1", "much"), Measure("Some thing", "0.1235")
    ]  # fmt: skip
    assert len(measures({f"a{number}": 1 for number in range(61)})) == 60


def test_deep_values_are_shown_as_they_stand() -> None:
    deep = {"a": {"b_b": {"c": {"d": {"e": {"f": 1}, "g": None}}}}}
    assert measures(deep) == [Measure("A, b b, c, d, e", "{'f': 1}")]
    damaged = {"batch": {"sizes": None, **deep["a"]}}
    assert measures(damaged) == [Measure("Batch, b b, c, d, e", "{'f': 1}")]
    (long,) = measures({"a": "x" * 301})
    assert long.measured == "x" * 300


@pytest.mark.parametrize(
    ("moved", "words"), [(None, ""), ((0.25, 1.5), "; half of the boxes within 0.25 pixels of the original's (1.5)")]
)
def test_the_same_codes_in_onnx(moved: tuple[float, float] | None, words: str) -> None:
    kernels = {"top1": 1.0, "inputs": 20, "mean_abs_diff": 0.0, "max_abs_diff": 0.5}
    value = {"plain": {**kernels, "top1": 0.5}, "kernels": kernels, "share": 0.75, "moved": moved}
    (row,) = measures({"int8": value})
    differs = "of 20 inputs; mean difference 0, largest 0.5"
    own = f"two sets of the original's own kernels: the same decision on 100 % {differs}"
    assert row.name == "Integer original against the same codes in ONNX"
    assert row.measured == f"the same decision on 50 % {differs}; {own}; 75 % of multiplications in INT8{words}"


@pytest.mark.parametrize(
    ("objects", "text"),
    [
        ((), "nothing"),
        (("car",) * 4, "car 0.500, car 0.500, car 0.500, car 0.500"),
        (("", *("car",) * 5), "class 3 0.500, car 0.500, car 0.500, car 0.500 and 2 more"),
    ],
)
def test_an_answer_in_words(objects: tuple[str, ...], text: str) -> None:
    found = tuple(ComparedObject(3, label, 0.5, Rect(0, 0, 1, 1)) for label in objects)
    assert answer(Prediction(objects=found)) == text
    assert answer(Prediction("star", 0.5, objects=found)) == "star 0.500"


@pytest.mark.parametrize(
    ("kind", "classes", "shown", "undetected"),
    [
        (NetworkType.DETECTOR, 2, (), ["fire", "dog"]),
        (NetworkType.DETECTOR, 2, ("fire",), ["dog"]),
        (NetworkType.CLASSIFIER, 0, (), ["fire", "truck", "dog"]),
        (NetworkType.CLASSIFIER, 0, ("truck",), ["fire", "dog"]),
    ],
)
def test_classes_that_were_not_detected(
    kind: NetworkType, classes: int, shown: tuple[str, ...], undetected: list[str]
) -> None:
    """A line of a detector's label file is one label, its first word; a classifier's are all words."""
    settings = Settings(kind, labels=(("fire", "truck"), (), ("dog",), ("",)), classes=(ClassSettings(0.5),) * classes)
    engine = SimulatedEngine(Path("a.txt"), None, settings, Network(3, 96, 96))
    rows: list[Any] = [SimpleNamespace(label=label) for label in shown]
    assert undetected_classes(engine, rows) == undetected


def test_each_precision_has_a_row() -> None:
    whole = PrecisionEvidence("fp32", 8000, None, {"Conv": 2})
    half = PrecisionEvidence("fp16", 4000, Agreement(0.99, 0.001, 0.25, 200), {"Conv": 2, "Relu": 1}, {}, ("first",))
    codes = PrecisionEvidence("int8", 2000, Agreement(1.0, 0.001, 0.25, 200), {"Conv": 2}, {"Sigmoid": 1}, shown=0)
    rows = (whole, half, PrecisionEvidence("int8"), codes)
    assert measures(evidence_document(Evidence(precisions=rows))) == [
        Measure("FP32", "weights 8 kB; not measured; nodes: 2 Conv"),
        Measure(
            "FP16",
            "weights 4 kB; the same decision on 99 % of 200 inputs; mean difference 0.001, largest 0.25; beyond "
            "float16: first; nodes: 2 Conv, 1 Relu",
        ),
        Measure("INT8", "not measured"),
        Measure(
            "INT8",
            "weights 2 kB; the same decision on 100 % of 200 inputs; mean difference 0.001, largest 0.25; 0 show an "
            "object; nodes: 2 Conv; in float: 1 Sigmoid",
        ),
    ]


def test_what_framing_changes() -> None:
    effect = FrameEffect(("16:9", "4:3"), Agreement(1.0, 0.001, 0.25, 20), Agreement(0.75, 0.125, 0.5, 20))
    crop, squash = measures(evidence_document(Evidence(framing=effect)))
    assert crop.name == "Frames of 16:9, 4:3, cropped as in training"
    assert crop.measured == "the same decision on 100 % of 20 inputs; mean difference 0.001, largest 0.25"
    assert squash.name == "Frames of 16:9, 4:3, squashed"
    assert squash.measured == "the same decision on 75 % of 20 inputs; mean difference 0.12, largest 0.5"
    (only,) = measures(evidence_document(Evidence(framing=replace(effect, crop=None, frames=()))))
    assert only.name == "Frames of their own shape, squashed"


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(
    ["max_abs_diff", "mean_abs_diff", "tolerance", "top1", "inputs", "sizes", "frames", "crop", "squash"]
)
names = st.sampled_from(["parity", "batch", "tensorrt", "decoding", "int8_agreement", "framing", "other"])


@examples(200)
@given(st.dictionaries(names, json | st.dictionaries(keys, json)))
def test_a_report_may_hold_anything(document: dict[str, Any]) -> None:
    for row in measures(document):
        assert row.name
        assert len(row.measured) <= 400


def seen(label: str = "car", score: float = 0.5) -> ComparedObject:
    return ComparedObject(0, label, score, Rect(0, 0, 10, 10))


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (Prediction(), "nothing"),
        (Prediction("apple", 0.98765, (Score(0, "apple", 0.98765),)), "apple 0.988"),
        (Prediction(objects=(seen(), seen("", 0.25))), "car 0.500, class 0 0.250"),
        (Prediction(objects=(seen(),) * 6), "car 0.500, car 0.500, car 0.500, car 0.500 and 2 more"),
    ],
)
def test_answers(one: Prediction, words: str) -> None:
    assert answer(one) == words


def row(name: str, verdict: Verdict, **more: Any) -> PictureComparison:
    return PictureComparison(name, 64, 48, verdict, Prediction("apple", 0.75), Prediction("pear", 0.5), **more)


def comparison(*rows: PictureComparison) -> Comparison:
    return Comparison(
        "trained.tflite",
        "ssd",
        quantized=True,
        tolerance=0.01,
        steps=(
            Step(Cause.FRAMING, "squashed", "cropped", same=False),
            Step(Cause.SCALING, "x / 255", "x / 255", same=True),
        ),
        rows=rows,
        reasons=(Reason(Cause.FRAMING, "nvinfer squashes", "--frame 16:9", ("b",), ("c",), 1),),
        findings=(Finding("EI900", Level.WARNING, "the original is another model"),),
    )


ROWS = (
    row("a", Verdict.SAME),
    row("b", Verdict.DIFFERS, causes=(Cause.FRAMING, Cause.MERGE), largest=0.25, words="another label"),
    row("c", Verdict.DRIFTS, largest=0.03125, pairs=(Pair(seen(), seen(), 0.9, 3.25),), words="other numbers"),
)


def _simulation() -> Simulation:
    engine = SimulatedEngine(Path("config.txt"), None, Settings(NetworkType.CLASSIFIER), Network(3, 96, 96))
    return Simulation((engine,), tuple(FrameResult(one.name, Path(one.name), 64, 48, None) for one in ROWS))


def test_a_comparison_on_the_page() -> None:
    document = Document(page(_simulation(), {}, comparison=comparison(*ROWS)))
    assert document.row("framing") == ["framing", "squashed", "cropped", "no"]
    assert document.row("scaling") == ["scaling", "x / 255", "x / 255", "yes"]
    assert document.row("b", "differs")[2:] == ["apple 0.750", "pear 0.500", "0.25", "", "framing, merge"]
    assert document.row("c", "drifts")[4:] == ["0.031", "3.25 px", ""]
    assert [one[0] for one in document.rows if len(one) == 7][1:] == ["b", "c", "a"]
    plain = Document(page(_simulation(), {}, comparison=comparison(ROWS[0])))
    assert len(plain.row("a", "same")) == 5, "no columns that are empty"
    assert "trained.tflite (in integers)" in document.text
    assert "Against Edge Impulse: 1 of 3 pictures differs; 1 because nvinfer squashes: --frame 16:9" in document.text
    assert "Framing: nvinfer squashes. 1 picture differs, 1 drifts, 1 of them with another cause." in document.text
    assert "the original is another model" in document.text
    assert "Scores may differ by 0.01; the largest difference is 0.25." in document.text


def test_cards_say_where_edge_impulse_answers_differently() -> None:
    import numpy as np  # one test needs it

    from convert.render.drawing import page_picture

    made = _simulation()
    pictures = {one.name: page_picture(np.zeros((48, 64, 3), np.uint8), one) for one in made.frames}
    document = Document(page(made, pictures, comparison=comparison(*ROWS)))
    assert "Edge Impulse answers the same" in document.text
    assert "Edge Impulse answers differently: another label" in document.text
    assert "Edge Impulse: the same with other numbers: other numbers" in document.text
    assert "the 2 where Edge Impulse's answer is another" in document.text
    kinds = [str(one["class"]) for one in document.all("article") if str(one["class"]).startswith("card")]
    assert ["differing" in kind for kind in kinds] == [False, True, True]


def test_a_comparison_of_many_pictures_is_cut() -> None:
    rows = (*(row(f"n{i}", Verdict.SAME) for i in range(MOST_COMPARED + 4)), row("last", Verdict.DIFFERS))
    made = comparison(*rows)
    frame = FrameResult("one", Path("one.jpg"), 64, 48, None)
    text = page(Simulation((), (frame,)), {}, comparison=made).partition("Picture by picture</h3>")[2]
    names = re.findall(r'<th scope="row"><bdi>([^<]*)', text.partition("</table>")[0])
    assert (len(names), names[0]) == (MOST_COMPARED, "last")
    assert "5 pictures more are left out" in text
    assert "5 pictures more are left out here." in Document(page(_simulation(), {}, comparison=made)).text


def test_hostile_words_of_a_comparison_stay_words() -> None:
    evil = '"><script>alert(1)</script>'
    step, reason = comparison().steps[0], comparison().reasons[0]
    made = replace(
        comparison(row(evil, Verdict.DIFFERS, words=evil)),
        original=evil,
        steps=(replace(step, deepstream=evil, edge_impulse=evil),),
        reasons=(replace(reason, words=evil, hint=evil),),
        findings=(Finding(evil, Level.NOTE, evil, evil, 1, 1, evil),),
    )
    document = Document(page(_simulation(), {}, comparison=made))
    assert document.all("script") == []
    assert document.text.count(evil) >= 9
