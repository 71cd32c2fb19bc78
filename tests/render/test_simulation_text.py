"""A simulation and a comparison as they are printed, and as documents, to the letter."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from convert import compare
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
    comparison_document,
)
from convert.files import Output
from convert.findings import Finding, Level
from convert.images.scaling import Rect
from convert.render.simulation import Result, show_comparison, show_simulation
from convert.simulate.decode import Classification
from convert.simulate.results import DetectedObject, DroppedCandidate, FrameResult, Simulation
from convert.simulate.settings import NetworkType

if TYPE_CHECKING:
    import pytest

BOX = Rect(1.0, 2.0, 3.0, 4.0)
SAME, DRIFTS, DIFFERS = Verdict.SAME, Verdict.DRIFTS, Verdict.DIFFERS


def columns(text: str) -> list[str]:
    """The lines, what separates columns shown as a bar."""
    return [re.sub(r"(?<=\S) {2,}(?=\S)", " | ", line.rstrip()) for line in text.splitlines()]


def engine(number: int, kind: NetworkType, *, on_objects: bool = False, model: str | None = "m.onnx") -> Any:
    return SimpleNamespace(
        settings=SimpleNamespace(unique_id=number, network_type=kind, on_objects=on_objects),
        network=SimpleNamespace(width=96, height=64, channels=3), config=f"c{number}.txt",
        model=model and Path("folder", model), approximated=(f"[{number}] is near",) if on_objects else (),
    )  # fmt: skip


def frame(name: str, **parts: Any) -> FrameResult:
    return FrameResult(name, Path(name), 640, 480, None, **parts)


def found(label: str, confidence: float, **parts: Any) -> DetectedObject:
    return DetectedObject(1, 7, label, confidence, BOX, **parts)


def dropped(why: str, **parts: Any) -> DroppedCandidate:
    return DroppedCandidate(
        **{"engine": 1, "key": "k", "why": why, "class_id": 3, "confidence": 0.1, "label": "cat", **parts}
    )


SECOND = Classification(2, 0, 1, 0.5, "tabby")
ANIMALS = (found("cat", 0.5), found("cat", 0.875), found("", 0.25), found("dog", 0.5, classifications=(SECOND,)))
FOX = (Classification(1, 0, 0, 0.75, "fox"), Classification(1, 1, 0, 0.9, None))
SMALL = (found("l0", 0.5, skipped=("too small", "x")), found("l0", 0.5), found("l0", 0.25, skipped=("y",)))
FRAMES = (
    frame("a.jpg", objects=ANIMALS),
    frame("b.jpg", label="fox ", classifications=FOX),
    frame("c.jpg", dropped=(dropped("of an object", of=0), dropped("0.1 is below 0.5"))),
    frame("d.jpg", dropped=(dropped("it is small", label=None),), notes=("note",)),
    frame("e.jpg", notes=("first", "last")),
    frame("[f].jpg"),
    frame("g.jpg", objects=tuple(found(f"l{number}", 0.5) for number in range(7))),
    frame("h.jpg", objects=SMALL),
)


def printed(capsys: pytest.CaptureFixture[str], frames: tuple[FrameResult, ...], **parts: Any) -> list[str]:
    engines = (engine(1, NetworkType.DETECTOR, model=None), engine(2, NetworkType.CLASSIFIER, on_objects=True))
    simulation = Simulation(engines, frames, parts.get("seconds", {}))
    outputs = [Output(name, "0") for name in ("r/drawn/a.png", "r/objects.json", "r/report.html", "r/x.txt")]
    capsys.readouterr()
    findings, comparison = tuple(parts.get("findings", ())), parts.get("comparison")
    show_simulation(Result(simulation, findings, tuple(outputs), comparison, None))
    return columns(capsys.readouterr().out)


def test_simulation(capsys: pytest.CaptureFixture[str]) -> None:
    finding = Finding("EI999", Level.NOTE, "found", "c1.txt", 3)
    lines = printed(capsys, FRAMES, findings=(finding,), seconds={"decode pictures": 1.234, "infer": 0.5})
    assert lines == [
        "engine 1 detector of frames: recorded tensors, 96x64x3, c1.txt",
        "engine 2 classifier of objects: m.onnx, 96x64x3, c2.txt",
        "  approximated [2] is near",
        "picture | size | shown | not shown", "a.jpg | 640x480 | 2 x cat 0.875, class 7 0.250, dog tabby 0.500",
        "b.jpg | 640x480 | fox 0.900", "c.jpg | 640x480 | nothing | cat: 0.1 is below 0.5",
        "d.jpg | 640x480 | nothing | class 3: it is small", "e.jpg | 640x480 | nothing | last",
        "[f].jpg | 640x480 | nothing | the model gives no candidate",
        "g.jpg | 640x480 | l0 0.500, l1 0.500, l2 0.500, l3 0.500, l4 0.500, l5 0.500, ...",
        "h.jpg | 640x480 | 3 x l0 0.500 | 2 of 3 objects passed over: too small",
        "4 of 8 pictures show something",
        "  l0 4, cat 2, class 7 1, dog tabby 1, fox 1, l1 1, l2 1, l3 1, l4 1, l5 1, l6 1",
        "decode pictures 1.23 s, infer 0.50 s",
        "  note EI999 c1.txt:3: found", "  more: ei-deepstream explain EI999",
        "wrote r/objects.json, r/report.html and 2 more files",
    ]  # fmt: skip


def test_one_picture_and_many(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, FRAMES[2:3], seconds={"infer": 0.0})
    assert lines[-2:] == ["0 of 1 picture shows something", "wrote r/objects.json, r/report.html and 2 more files"]
    lines = printed(capsys, tuple(frame(f"{number}.png") for number in range(62)))
    assert "2 more pictures are in objects.json" in lines
    assert [line.split()[0] for line in lines if ".png" in line] == [f"{number}.png" for number in range(60)]
    assert not any("more pictures" in line for line in printed(capsys, FRAMES * 7 + FRAMES[:4]))


def test_what_a_comparison_shows_is_no_finding_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [Finding(id_, Level.NOTE, "x") for id_ in (compare.DIFFERS.id, "EI999", compare.DRIFTS.id)]
    assert [line for line in printed(capsys, FRAMES[:1], findings=findings) if "note EI" in line] == [
        "  note EI750 x", "  note EI999 x", "  note EI751 x"
    ]  # fmt: skip
    comparison = Comparison("m", "fomo", False, 0.1, (), ())
    lines = printed(capsys, FRAMES[:1], findings=findings, comparison=comparison)
    assert [line for line in lines if "note EI" in line] == ["  note EI999 x"]


def one(label: str, score: float, number: int = 4) -> ComparedObject:
    return ComparedObject(number, label, score, BOX)


def scores(*values: tuple[str, float], shown: bool = True) -> Prediction:
    listed = tuple(Score(number, label, score) for number, (label, score) in enumerate(values))
    best = max(listed, key=lambda each: each.score)
    return Prediction(best.label if shown else "", best.score if shown else 0.0, listed)


def row(name: str, verdict: Verdict, ours: Prediction, theirs: Prediction, **parts: Any) -> PictureComparison:
    return PictureComparison(name, 640, 480, verdict, ours, theirs, **parts)


OBJECTS = tuple(one(f"l{number}", 0.5 + number / 100) for number in range(6))
ROWS = (
    row("same.jpg", SAME, Prediction(), Prediction(), largest=0.01),
    row("drifts.jpg", DRIFTS, scores(("a", 0.75), ("b", 0.25)), scores(("a", 0.5), ("b", 0.5)),
        causes=(Cause.FRAMING,), largest=0.25, words="a little"),
    row("[x].jpg", DIFFERS, scores(("", 0.25), ("b", 0.2), shown=False), scores(("a", 0.5), ("b", 0.25)),
        causes=(Cause.THRESHOLD, Cause.LABELS), largest=0.25, words="much"),
    row("boxes.jpg", DIFFERS, Prediction(objects=OBJECTS), Prediction(objects=(one("", 0.5), *OBJECTS[:3])),
        pairs=(Pair(OBJECTS[0], OBJECTS[1], 0.875, 1.5), Pair(None, OBJECTS[2]), Pair(OBJECTS[3], None))),
    row("none.jpg", DIFFERS, Prediction(), Prediction(objects=OBJECTS[:1])),
)  # fmt: skip
REASONS = (
    Reason(Cause.FRAMING, "nvinfer [squashes]", "crop", ("boxes.jpg", "none.jpg"), ("drifts.jpg",), 1),
    Reason(Cause.LABELS, "labels differ", None, ("[x].jpg",)),
    Reason(Cause.LUMA, "grey differs", "none", (), ("drifts.jpg",)),
)
STEPS = (Step(Cause.FRAMING, "squashes", "crops", same=False),)


def shown(comparison: Comparison) -> list[str]:
    out = io.StringIO()
    show_comparison(comparison, Console(file=out, width=200, highlight=False))
    return columns(out.getvalue())


def test_comparison() -> None:
    comparison = Comparison("[m].tflite", "fomo", True, 0.1, STEPS, ROWS, REASONS)
    assert shown(comparison) == [
        "against Edge Impulse [m].tflite (int8 fomo)",
        "picture | DeepStream | Edge Impulse | because of",
        "[x].jpg | nothing (class 0 0.25) | a 0.50 | threshold + labels",
        "boxes.jpg | l0 0.50, l1 0.51, l2 0.52, l3 0.53 and 2 more | class 4 0.50, l0 0.50, l1 0.51, l2 0.52",
        "none.jpg | nothing | l0 0.50", "drifts.jpg | a 0.75 | a 0.50 | framing",
        "3 of 5 pictures differ (EI750)",
        "1 more shows the same with scores more than 0.1 apart or boxes elsewhere (EI751)",
        "  because nvinfer [squashes]: 2 of those that differ, 1 of those with other scores", "    hint: crop",
        "  because labels differ: 1 of those that differ",
        "  because grey differs: 1 of those with other scores", "    hint: none",
        "more: ei-deepstream explain EI750 EI751",
    ]  # fmt: skip
    assert comparison.summary == (
        "3 of 5 pictures differ; 2 because nvinfer [squashes]: crop; 1 because labels differ; "
        "1 more shows the same with other numbers; 1 because grey differs: none"
    )
    assert (comparison.largest, ROWS[3].shift, ROWS[0].shift) == (0.25, 1.5, None)
    assert [ROWS[3].count(what) for what in ("matched", "missed", "additional")] == [1, 1, 1]


def test_comparisons_that_drift_or_agree() -> None:
    drifting = Comparison("m", "ssd", False, 0.25, STEPS, (ROWS[0], ROWS[1], ROWS[1]), REASONS)
    assert "2 of 3 pictures show the same with scores more than 0.25 apart or boxes elsewhere (EI751)" in shown(
        drifting
    )
    assert shown(drifting)[0] == "against Edge Impulse m (ssd)"
    single = Comparison("m", "ssd", False, 0.25, STEPS, ROWS[1:2])
    assert shown(single)[-2].startswith("1 of 1 picture shows the same with scores more than 0.25 apart")
    assert single.summary == "0 of 1 picture differ; 1 shows the same with other numbers"
    assert shown(Comparison("m", "ssd", False, 0.25, STEPS, ROWS[2:3]))[-2] == "1 of 1 picture differs (EI750)"
    same = Comparison("m", "ssd", False, 0.25, STEPS, (ROWS[0],) * 2)
    assert shown(same)[1:] == ["0 of 2 pictures differ: DeepStream shows what Edge Impulse answers"]
    assert same.summary == "0 of 2 pictures differ: DeepStream shows what Edge Impulse answers"
    assert Comparison("m", "ssd", False, 0.25, STEPS, ()).largest == 0
    many = shown(Comparison("m", "ssd", False, 0.25, STEPS, (*ROWS[1:2] * 3, *ROWS[4:] * 39)))
    assert "2 more are in against.json" in many
    assert [line.split()[0] for line in many if ".jpg" in line] == ["none.jpg"] * 39 + ["drifts.jpg"]


def test_document() -> None:
    document = comparison_document(Comparison("m.tflite", "fomo", True, 0.1, STEPS, ROWS, REASONS))
    rows = document.pop("pictures")
    assert document == {
        "original": "m.tflite", "task": "fomo", "quantized": True, "tolerance": 0.1, "summary": document["summary"],
        "counts": {"same": 1, "drifts": 1, "differs": 3}, "largest_difference": 0.25,
        "steps": [{"cause": "framing", "deepstream": "squashes", "edge_impulse": "crops", "same": False}],
        "reasons": [
            {"cause": "framing", "words": "nvinfer [squashes]", "hint": "crop", "pictures": ["boxes.jpg", "none.jpg"],
             "drifting": ["drifts.jpg"], "together": 1},
            {"cause": "labels", "words": "labels differ", "hint": None, "pictures": ["[x].jpg"], "drifting": [],
             "together": 0},
            {"cause": "luma", "words": "grey differs", "hint": "none", "pictures": [], "drifting": ["drifts.jpg"],
             "together": 0},
        ],
    }  # fmt: skip
    assert [each["name"] for each in rows] == [row.name for row in ROWS]
    assert rows[1] == {
        "name": "drifts.jpg", "width": 640, "height": 480, "verdict": "drifts", "words": "a little",
        "causes": ["framing"], "largest_difference": 0.25, "pairs": [],
        "deepstream": {"label": "a", "score": 0.75, "objects": [], "scores": [
            {"class_id": 0, "label": "a", "score": 0.75}, {"class_id": 1, "label": "b", "score": 0.25}]},
        "edge_impulse": {"label": "a", "score": 0.5, "objects": [], "scores": [
            {"class_id": 0, "label": "a", "score": 0.5}, {"class_id": 1, "label": "b", "score": 0.5}]},
    }  # fmt: skip
    first, second, third, fourth = (
        {"class_id": 4, "label": each.label, "score": each.score, "left": 1.0, "top": 2.0, "width": 3.0, "height": 4.0}
        for each in OBJECTS[:4]
    )
    assert rows[3]["pairs"] == [
        {"what": "matched", "deepstream": first, "edge_impulse": second, "overlap": 0.875, "shift": 1.5,
         "score_difference": abs(OBJECTS[0].score - OBJECTS[1].score)},
        {"what": "missed", "deepstream": None, "edge_impulse": third, "overlap": None, "shift": None,
         "score_difference": None},
        {"what": "additional", "deepstream": fourth, "edge_impulse": None, "overlap": None, "shift": None,
         "score_difference": None},
    ]  # fmt: skip
    assert rows[3]["deepstream"]["objects"][:2] == [first, second]
    infinite = row("x", DRIFTS, Prediction("a", float("inf")), Prediction("a", float("nan")), largest=float("inf"))
    odd = comparison_document(Comparison("m", "fomo", False, 0.1, (), (infinite,)))
    assert odd["largest_difference"] is None
    assert odd["pictures"][0]["deepstream"]["score"] is odd["pictures"][0]["edge_impulse"]["score"] is None


def test_what_does_not_fit_into_a_line_goes_on_below(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    terminal = Console(file=out, width=40, force_terminal=True, no_color=True, highlight=False)
    monkeypatch.setattr("convert.render.simulation.console", lambda: terminal)
    long = engine(1, NetworkType.DETECTOR, on_objects=True)
    long.config, long.approximated = "long " * 9, ("word " * 9,)
    show_simulation(Result(Simulation((long,), FRAMES[:1]), (), ()))
    show_comparison(Comparison("m", "fomo", True, 0.1, STEPS, ROWS[3:4], (
        Reason(Cause.FRAMING, "squashed " * 9, "crop it " * 9, ("boxes.jpg",)),)), terminal)  # fmt: skip
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    for line in (
        "\n  96x64x3, long", "\n  approximated word", "\n    word word", "\n  because squashed",
        "\n    squashed squashed",
        "\n    hint: crop", "\n      it crop", "\n      crop it",
    ):  # fmt: skip
        assert line in text
