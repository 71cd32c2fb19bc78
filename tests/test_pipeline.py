"""Stages are made from options, run in order, and end where something is wrong; none of them does its work here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert import pipeline
from convert.agreement import WithAgreement
from convert.compare.stage import WithComparison
from convert.emit import Emit, EmitPair, ValidatedPair
from convert.errors import ConvertError, InputError, OutputError, PresetError, TranslationError, ValidationError
from convert.export.unpack import Unpack
from convert.files import Output
from convert.findings import Finding, Level
from convert.graph.adapt import Adapt
from convert.images import Frame, parse_line
from convert.isolation import SENT, Died, InProcessWorker
from convert.pipeline import Chosen, InWorker, Record, Run, Status, adapting, convert, died, run, stages, unpacking
from convert.translate import Translate
from convert.types import (
    Agreement,
    Evidence,
    Int8Evidence,
    OnnxModel,
    PrecisionEvidence,
    StageResult,
    Tensor,
    Translated,
    Validated,
)
from convert.validate import Validate, WithFraming
from tests.validate.tiny import Classifier, adapted, onnx_model, tflite

if TYPE_CHECKING:
    from convert.types import Stage

SHAPES = Path("samples/exports/shapes-cpp-2025")
FOMO = Path("samples/exports/table-fomo-2025.zip")
WORKER = InProcessWorker()
NOTE, WARNING = Finding("EI200", Level.NOTE, "a note"), Finding("EI201", Level.WARNING, "a warning")
WRONG = Finding("EI400", Level.ERROR, "it is wrong")


@dataclass(frozen=True)
class Step:
    """A stage that gives what it is told to give.

    Attributes:
        taken: what it was called with.
    """

    name: str
    gives: Any = None
    findings: tuple[Finding, ...] = ()
    error: ConvertError | None = None
    taken: list[Any] = field(default_factory=list)

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        assert workdir.is_dir()
        self.taken.append((artifact, workdir))
        if self.error:
            raise self.error
        return StageResult(self.gives, (Output(f"{self.name}.txt", None),), self.findings)


def told(records: list[Record]) -> list[tuple[str, str]]:
    return [(each.name, each.status.value) for each in records]


def test_every_stage_gets_what_the_one_before_gave() -> None:
    events: list[Record] = []
    steps = Step("one", "first", (NOTE,)), Step("two", 2, (WARNING,)), Step("three", "third")
    result = run(steps, "start", events.append)
    assert result.artifacts == ["start", "first", 2, "third"]
    assert [step.taken[0][0] for step in steps] == ["start", "first", 2]
    assert len({step.taken[0][1] for step in steps}) == 1
    assert not steps[0].taken[0][1].exists(), "scratch space is removed"
    assert told(result.records) == [("one", "done"), ("two", "done"), ("three", "done")]
    assert told(events) == [(name, status) for name in ("one", "two", "three") for status in ("started", "done")]
    assert events[1::2] == result.records
    assert all(record.seconds > 0 for record in result.records)
    assert [each.path for each in result.outputs] == ["one.txt", "two.txt", "three.txt"]
    assert result.findings == (NOTE, WARNING)
    assert (result.is_good, result.error, result.secondary) == (True, None, None)
    assert (result.last(str), result.last(int), result.last(bytes)) == ("third", 2, None)


@pytest.mark.parametrize("error", [None, InputError("no picture")])
def test_what_is_wrong_is_not_handed_on(error: ConvertError | None) -> None:
    """A finding of level error, or an error that is raised."""
    events: list[Record] = []
    last = Step("three", "third")
    result = run((Step("one", "first"), Step("two", "second", (WRONG,), error), last), "start", events.append)
    assert told(result.records) == [("one", "done"), ("two", "failed"), ("three", "skipped")]
    assert told(events) == [
        *[("one", "started"), ("one", "done"), ("two", "started"), ("two", "failed"), ("three", "skipped")]
    ]
    assert result.records[1].seconds > 0
    assert (result.error, result.is_good, last.taken) == (error, False, [])
    assert result.artifacts == ["start", "first", *([] if error else ["second"])]
    assert result.findings == (() if error else (WRONG,))


def test_a_run_goes_on_behind_another() -> None:
    before = run((Step("one", "first", (NOTE,)),), "start")
    after = run((Step("two", "second"),), "ignored", after=before)
    assert after is before
    assert after.artifacts == ["start", "first", "second"]
    assert told(after.records) == [("one", "done"), ("two", "done")]


def test_a_dry_run_plans(tmp_path: Path) -> None:
    """What a stage takes is the export each time; what is wrong with it is said, and is not handed on."""
    result = convert([SHAPES], tmp_path / "out", {"frame": "none"}, WORKER, dry=True)
    names = ["unpack", "translate", "adapt", "validate", "emit"]
    assert told(result.records) == [(name, "planned") for name in names]
    assert len(result.artifacts) == 6
    assert [record.name for record in result.records if record.outputs] == ["emit"]
    assert {Path(each.path).parent for each in result.outputs} == {tmp_path / "out"}
    assert not (tmp_path / "out").exists()


ENDS = ["build_engine.sh", "RUN.md", "report.json"]
PICTURES = [
    "config_infer_primary_wooden-shapes.txt", "config_infer_secondary_wooden-shapes.txt",
    "deepstream_app_wooden-shapes.txt",
]  # fmt: skip


@pytest.mark.parametrize(
    ("export", "options", "names"),
    [
        (SHAPES, {"frame": "none"}, ["wooden-shapes.onnx", "wooden-shapes_labels.txt", *PICTURES, *ENDS]),
        (SHAPES, {}, ["wooden-shapes-16x9.onnx", "wooden-shapes.onnx", "wooden-shapes_labels.txt", *PICTURES,
                      "build_engine_wooden-shapes-16x9.sh", "build_engine_wooden-shapes.sh", *ENDS]),
        (FOMO, {"role": "pgie", "line": (parse_line("a:0,0.5,1,0.5"),), "frame": Frame(4, 3)},
         ["fruit-spotter-4x3.onnx", "fruit-spotter_labels.txt", "config_infer_primary_fruit-spotter.txt",
          "config_nvdsanalytics_fruit-spotter.txt", "config_tracker_fruit-spotter.yml",
          "deepstream_app_fruit-spotter.txt", *ENDS]),
        (FOMO, {"role": "pgie", "frame": "none"},
         ["fruit-spotter.onnx", "fruit-spotter_labels.txt", "config_infer_primary_fruit-spotter.txt",
          "deepstream_app_fruit-spotter.txt", *ENDS]),
    ],
)  # fmt: skip
def test_the_files_that_a_dry_run_plans(export: Path, options: dict[str, Any], names: list[str]) -> None:
    result = convert([export], Path("out"), options, WORKER, dry=True)
    assert [each.path for each in result.outputs] == [f"out/{name}" for name in names]
    assert {each.sha256 for each in result.outputs} == {None}


@pytest.mark.parametrize("option", ["samples", "sdk_log"])
def test_options_of_impulses_are_refused_for_pictures_unless_they_are_for_any_export(option: str) -> None:
    flag = "--" + option.replace("_", "-")
    with pytest.raises(PresetError, match=f"^{flag} does not apply to an export of pictures$") as caught:
        convert([SHAPES], Path("out"), {option: True}, WORKER, dry=True)
    assert caught.value.hint == f"leave out {flag}"
    assert convert([SHAPES], Path("out"), {option: True}, WORKER, dry=True, any_kind=True).is_good


SMALL = adapted(onnx_model(Classifier()), tflite(Classifier()))


def test_the_report_gets_the_findings_of_all_stages() -> None:
    """And an adapted model holds no second one of as many bytes."""
    proof = Step("validate", Validated(SMALL, Evidence()), (WARNING,))
    last = Step("emit")
    result = run((Step("translate", "onnx", (NOTE,)), Step("adapt", SMALL), proof, last), "export")
    assert last.taken[0][0] == Validated(SMALL, Evidence(), (NOTE, WARNING))
    assert result.artifacts[1] is SMALL.translated


@pytest.mark.parametrize(
    ("function", "reason", "error"),
    [
        (
            "convert.translate.worker:translate",
            "killed by SIGSEGV",
            TranslationError(
                "tf2onnx crashed on this model (SIGSEGV)",
                hint="the file is damaged, or holds what tf2onnx cannot read: download the export again",
            ),
        ),
        (
            "convert.validate.runtimes:run_tflite",
            "killed by SIGSEGV",
            ValidationError(
                "LiteRT crashed on the original model (killed by SIGSEGV)",
                hint="the model is damaged, or holds an operator that is not known: download the export again",
            ),
        ),
        (
            "convert.agreement:compared",
            "ran longer than 3 s",
            ValidationError("the original model ran longer than 3 s in LiteRT", hint="allow more time with --timeout"),
        ),
        (
            "convert.validate.reference:run_onnx_reference",
            "ran longer than 3 s",
            ValidationError(
                "the original model ran longer than 3 s in ONNX Runtime", hint="allow more time with --timeout"
            ),
        ),
        ("convert.heads.ssd:decoded", "exited with status 3", ValidationError("LiteRT crashed on ...")),
        ("convert.graph.adapt:adapt", "exited with status 3", None),
        ("", "exited with status 3", None),
    ],
)
def test_the_end_of_a_worker(function: str, reason: str, error: ConvertError | None) -> None:
    """It means what the function that it was calling means; else the stage ended."""
    death = Died(reason, function=function)
    known = died(death, function)
    assert type(known) is type(error)

    class Ends(InProcessWorker):
        def apply(self, *_: Any, **__: Any) -> Any:
            raise death

    with pytest.raises(ConvertError) as caught:
        InWorker(Step("adapt"), Step("there"), Ends())(SMALL, Path())
    assert caught.value.__cause__ is death
    if error is None:
        error = ValidationError(
            f"the stage adapt ended: {reason}", hint="if memory ran out, make room; otherwise report the model"
        )
    assert type(caught.value) is type(error)
    assert caught.value.message.startswith(error.message.removesuffix("..."))
    if error.hint:
        assert caught.value.hint == error.hint


@pytest.mark.parametrize("more", [0, 1])
def test_small_models_are_sent_to_the_worker(more: int, tmp_path: Path) -> None:
    given: list[Any] = []

    class Applies(InProcessWorker):
        def apply(self, function: Any, *arguments: Any, **_: Any) -> Any:
            given.append((function, arguments))
            return StageResult("there")

    tensor = Tensor("x", (1,), "float32")
    large = Translated(SMALL.export, OnnxModel(bytes(SENT + more), tensor, (tensor,), 13))
    here, there = Step("adapt", "here"), Step("there")
    stage = InWorker(here, there, Applies())
    assert stage.name == "adapt"
    assert stage(large, tmp_path).artifact == ("here" if more else "there")
    assert given == ([] if more else [(there, (large, tmp_path))])


ORDINARY = {
    "frame": Frame(16, 9), "frame_assumed": True, "for_objects": True, "tracked": False, "pads": True,
    "threshold": None, "resize": "auto", "fomo_merge": "touching",
}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "one", "changed"),
    [
        ({}, False, {}),
        ({}, True, {"for_objects": False}),
        ({"role": "pgie"}, False, {"for_objects": False}),
        ({"role": "sgie"}, False, {"for_objects": False, "frame": None}),
        ({"role": "sgie", "frame": Frame(4, 3)}, False, {"for_objects": False, "frame": None, "frame_assumed": False}),
        ({"frame": "none"}, False, {"frame": None, "frame_assumed": False}),
        ({"frame": Frame(4, 3)}, False, {"frame": Frame(4, 3), "frame_assumed": False}),
        ({"line": ("a=1",)}, False, {"tracked": True}),
        ({"zone": ("a=1",)}, False, {"tracked": True}),
        ({"line": (), "zone": ()}, False, {}),
        ({"threshold": 0.25, "resize": "graph", "fomo_merge": "peak", "opset": 11}, False,
         {"threshold": 0.25, "resize": "graph", "fomo_merge": "peak"}),
        ({"target": "6.0"}, False, {"pads": False}),
        ({"target": "7.1"}, False, {}),
        ({"target": "7.1", "source": "csi:0", "platform": "jetson"}, False, {"frame": Frame(16, 9)}),
    ],
)  # fmt: skip
def test_adapting(options: dict[str, Any], one: bool, changed: dict[str, Any]) -> None:
    made = adapting(options, one=one)
    assert {name: getattr(made, name) for name in ORDINARY} == {**ORDINARY, **changed}
    assert made.no_suppression is not None
    assert bool(made.no_suppression("yolov5")) == (options.get("target") == "6.0")


@pytest.mark.parametrize(("more", "timeout"), [({}, 300.0), ({"timeout": 299.0}, 300.0), ({"timeout": 301.0}, 301.0)])
def test_a_rewriting_is_measured(more: dict[str, Any], timeout: float) -> None:
    options = {"dequantize": True, **more}
    ahead = Translate().ahead
    for role, is_primary in (("both", True), ("pgie", True), ("sgie", False)):
        made = unpacking({**options, "role": role, "images": Path("p")}, WORKER, ahead)
        assert isinstance(made, WithAgreement)
        assert (made.as_primary, made.timeout, made.images) == (is_primary, timeout, Path("p"))
        assert (made.worker, made.meanwhile) == (WORKER, ahead)
        assert made.unpack == Unpack(dequantize=True)
    assert unpacking({**options, "precision": "int8"}, whole=True) == Unpack(
        dequantize=True, precision="int8", whole=True
    )
    assert unpacking({"dequantize": False}) == Unpack(dequantize=False)


@pytest.mark.parametrize(
    ("options", "opset"),
    [
        ({}, 13), ({"opset": None}, 13), ({"target": "7.1"}, 13), ({"target": "6.0", "platform": "jetson"}, 13),
        ({"target": "5.1"}, 11), ({"target": "5.1", "opset": 12}, 12), ({"opset": 17}, 17),
    ],
)  # fmt: skip
def test_the_opset_is_one_that_the_target_reads(options: dict[str, Any], opset: int) -> None:
    translate = stages(Path("out"), options, WORKER)[1]
    assert isinstance(translate, Translate)
    assert (translate.opset, translate.worker) == (opset, WORKER)


def test_five_stages_of_one_export_and_four_of_each_of_two() -> None:
    unpack, translate, adapt, proof, emit = stages(Path("out"), {"role": "pgie", "images": Path("p")}, WORKER)
    assert [each.name for each in (unpack, translate, adapt, proof, emit)] == [
        *("unpack", "translate", "adapt", "validate", "emit")
    ]
    assert unpack == Unpack(whole=True)
    assert isinstance(adapt, Adapt)
    assert isinstance(proof, WithComparison)
    assert (proof.emit, proof.images, proof.worker, proof.beside) == (emit, Path("p"), WORKER, None)
    assert isinstance(proof.validate, WithFraming)
    assert (proof.validate.images, proof.validate.worker) == (Path("p"), WORKER)
    assert isinstance(proof.validate.validate, Validate)
    assert (proof.validate.validate.images, proof.validate.validate.worker) == (Path("p"), WORKER)
    assert emit == Emit(Path("out"), role="pgie")
    unpack, _, adapt, proof = stages(None, {}, WORKER)
    assert unpack == Unpack(whole=False)
    assert isinstance(adapt, Adapt)
    assert not adapt.for_objects, "the second network is an export of its own"
    assert isinstance(proof, WithFraming)
    first = EmitPair(Path("out")).primary
    *_, proof = made = stages(None, {}, WORKER, first)
    assert len(made) == 4
    assert isinstance(proof, WithComparison)
    assert proof.emit == first


def test_beside_a_second_process() -> None:
    """The export is measured there; the worker does what comes behind the translation."""
    second = InProcessWorker()
    unpack, translate, adapt, proof, _ = stages(Path("out"), {"dequantize": True}, WORKER, beside=second)
    assert isinstance(unpack, WithAgreement)
    assert isinstance(translate, Translate)
    assert (unpack.worker, unpack.meanwhile, unpack.unpack) == (
        second,
        translate.ahead,
        Unpack(dequantize=True, whole=True),
    )
    assert isinstance(adapt, InWorker)
    assert adapt.worker is WORKER
    assert adapt.here is adapt.there
    assert isinstance(proof, WithComparison)
    assert (proof.worker, proof.beside) == (WORKER, second)
    inner = proof.validate
    assert isinstance(inner, InWorker)
    assert inner.worker is WORKER
    for each, worker in ((inner.here, WORKER), (inner.there, None)):
        assert isinstance(each, WithFraming)
        assert isinstance(each.worker, InProcessWorker)
        assert (each.worker is WORKER) == (worker is WORKER)


@pytest.mark.parametrize("name", ["folder", "no_suppression", "pads", "worker", "frame_assumed", "for_objects",
                                  "tracked", "whole", "canvas", "name", "opsett"])  # fmt: skip
def test_fields_of_stages_that_are_no_options(name: str) -> None:
    with pytest.raises(PresetError, match=name):
        stages(Path("out"), {name: 1}, WORKER)


@pytest.mark.parametrize("name", ["sgie_labels", "samples", "sdk_log", "rounding", "object_batch_size", "opset", "role",
                                  "tolerance", "model", "threshold"])  # fmt: skip
def test_options_of_any_stage(name: str) -> None:
    values = {"sgie_labels": ("a",), "role": "pgie", "rounding": "none", "model": "m", "threshold": 0.5, "opset": 13}
    assert len(stages(Path("out"), {name: values.get(name, 1)}, WORKER)) == 5


def same(top1: float = 1.0, inputs: int = 60) -> Agreement:
    return Agreement(top1, 0.01, 0.1, inputs)


def row(precision: str, top1: float = 1.0, inputs: int = 60, **more: Any) -> PrecisionEvidence:
    return PrecisionEvidence(precision, 9, same(top1, inputs), **more)


CODES = Int8Evidence({}, {}, 1.0, same(), same(), same(0.98765))
OWN = "the original, whose own two kernels"
GOOD, BAD = row("fp16"), row("fp16", 0.9, 1200)


@dataclass(frozen=True, slots=True)
class Writes(Emit):
    """Emit, which writes nothing."""

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        assert workdir.is_dir()
        assert isinstance(artifact, Validated)
        return StageResult((self.precision, artifact), (), (NOTE,))


@pytest.mark.parametrize(
    ("precision", "rows", "int8", "refused", "message"),
    [
        ("fp16", [GOOD], None, "", "FP16: the same decision on 100.0% of 60 inputs"),
        ("fp16", [GOOD], None, "no INT8: x", "FP16: the same decision on 100.0% of 60 inputs; no INT8: x"),
        ("fp16", [BAD], None, "", "FP32: FP16 would have the same decision on 90.0% of 1,200 inputs"),
        ("fp16", [replace(GOOD, overflow=("a", "b"))], None, "y",
         "FP32: FP16 would have results of a beyond 65504, and the same decision on 100.0% of 60 inputs; y"),
        ("fp16", [replace(GOOD, shown=0)], None, "",
         "FP32: FP16 was not judged: none of 60 inputs shows an object (give --images)"),
        ("fp16", [replace(GOOD, shown=1)], None, "",
         "FP16: the same decision on 100.0% of 60 inputs (1 show an object)"),
        ("fp16", [replace(BAD, shown=7)], None, "",
         "FP32: FP16 would have the same decision on 90.0% of 1,200 inputs (7 show an object)"),
        ("int8", [row("fp32", 0.5), row("int8", 0.95, 1000, shown=0)], CODES, "",
         f"INT8: the same decision on 95.0% of 1,000 inputs (0 show an object) as {OWN} agree on 98.8%"),
    ],
)  # fmt: skip
def test_the_precision_that_is_chosen(
    precision: str, rows: list[PrecisionEvidence], int8: Int8Evidence | None, refused: str, message: str, tmp_path: Path
) -> None:
    evidence = Evidence(int8=int8, precisions=tuple(rows))
    stage = Chosen(Writes(Path("out"), precision=precision), refused, (WARNING,))
    assert stage.name == "emit"
    result = stage(Validated(SMALL, evidence), tmp_path)
    chosen = Finding("EI513", Level.NOTE, message)
    assert result.findings == (chosen, NOTE)
    assert result.artifact[0] == message[:4].lower()
    assert result.artifact[1].findings == (WARNING, chosen)


TRIED = {"fp16": (row("fp32"), row("fp16"), PrecisionEvidence("int8")), "int8": (PrecisionEvidence("fp32"),
         PrecisionEvidence("fp16"), row("int8", 0.97))}  # fmt: skip


@pytest.mark.parametrize(
    ("int8", "chosen", "why"),
    [
        (Step("validate"), "int8", "INT8: the same decision on 97.0% of 60 inputs"),
        (PresetError("the Nano has none"), "fp16", "FP16: ...; no INT8: the Nano has none"),
        (Step("validate", error=TranslationError("no codes")), "fp16", "FP16: ...; no INT8: no codes"),
        (Step("validate", findings=(NOTE, Finding("EI410", Level.WARNING, "worse"))), "fp16",
         "FP16: ...; no INT8: worse"),
        (Step("validate", findings=(WARNING, WRONG)), "fp16", "FP16: ...; no INT8: it is wrong"),
        (Step("blind"), "fp16", "FP16: ...; no INT8: none of the inputs shows an object (give --images)"),
    ],
)  # fmt: skip
def test_the_fastest_that_keeps_the_decisions(
    int8: Any, chosen: str, why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of a quantized model INT8, unless something is said against it; the table then has what was measured of it."""
    asked: list[str] = []

    def made(output: Path, options: dict[str, Any], *_: Any, beside: Any) -> tuple[Stage, ...]:
        assert beside is None
        asked.append(options["precision"])
        rows = TRIED[options["precision"]]
        proof = Step("validate")
        if options["precision"] == "int8":
            if isinstance(int8, ConvertError):
                raise int8
            proof = int8
            rows = (*rows[:2], replace(rows[2], shown=0 if proof.name == "blind" else None))
        proof = replace(proof, gives=Validated(SMALL, Evidence(precisions=rows)))
        return proof, Writes(output, precision=options["precision"])

    monkeypatch.setattr(pipeline, "stages", made)
    monkeypatch.setattr("convert.heads.is_quantized", lambda _: True)
    result = convert([SHAPES], tmp_path / "out", {"precision": "auto"}, WORKER)
    assert asked == (["int8"] if chosen == "int8" else ["int8", "fp16"])
    assert result.is_good
    assert [each[0] for each in told(result.records)] == ["validate", "emit"]
    last: Any = result.artifacts[-1]
    precision, validated = last
    assert precision == chosen
    (finding,) = (each for each in result.findings if each.id == "EI513")
    begin, _, end = why.partition("...")
    assert finding.message.startswith(begin)
    assert finding.message.endswith(end)
    if chosen == "fp16":
        measured = not isinstance(int8, ConvertError) and int8.error is None
        rows = TRIED["fp16"]
        codes = replace(TRIED["int8"][2], shown=0 if measured and int8.name == "blind" else None)
        assert validated.evidence.precisions == (*rows[:2], codes if measured else rows[2])


def test_int8_is_not_tried_of_a_float_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def made(output: Path, options: dict[str, Any], *_: Any, **__: Any) -> tuple[Stage, ...]:
        asked.append(options)
        proof = Step("validate", Validated(SMALL, Evidence(precisions=TRIED["fp16"])))
        return proof, Writes(output, precision=options["precision"])

    monkeypatch.setattr(pipeline, "stages", made)
    result = convert([SHAPES], tmp_path / "out", {"precision": "auto", "target": "7.1"}, WORKER)
    assert asked == [{"precision": "fp16", "target": "7.1"}]
    last: Any = result.artifacts[-1]
    assert (last[0], last[1].evidence.precisions) == ("fp16", TRIED["fp16"])


@pytest.mark.parametrize("wrong", [Step("validate", findings=(WRONG,)), Step("validate", error=InputError("gone"))])
def test_nothing_is_chosen_where_something_is_wrong(
    wrong: Step, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pipeline, "stages", lambda output, *_, **__: (wrong, Writes(output, precision="fp16")))
    result = convert([SHAPES], tmp_path / "out", {"precision": "auto"}, WORKER)
    assert told(result.records) == [("validate", "failed"), ("emit", "skipped")]
    assert result.error is wrong.error


def test_the_fastest_of_no_export(tmp_path: Path) -> None:
    """What is wrong with the export, or with the folder, is said; nothing is measured before."""
    (tmp_path / "a.tflite").write_bytes(b"x")
    result = convert([tmp_path / "a.tflite"], tmp_path / "out", {"precision": "auto"}, WORKER)
    assert told(result.records)[:2] == [("unpack", "failed"), ("translate", "skipped")]
    assert told(result.records)[-1] == ("emit", "skipped")
    assert isinstance(result.error, ConvertError)
    for precision in ("auto", "fp32"):
        result = convert([SHAPES], tmp_path / "a.tflite", {"precision": precision}, WORKER)
        assert isinstance(result.error, OutputError)
        assert told(result.records) == [("emit", "failed")]
        assert result.artifacts == [SHAPES]
    result = convert([SHAPES], tmp_path / "out", {"precision": "auto", "frame": "none"}, WORKER, dry=True)
    assert told(result.records)[-1] == ("emit", "planned")


@dataclass(frozen=True, slots=True)
class WritesTwo(EmitPair):
    """EmitPair, which writes nothing."""

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        assert workdir.is_dir()
        return StageResult(artifact, (Output("both.txt", None),), (NOTE,))


SAID = Finding("EI105", Level.WARNING, "give --labels", hint="as --labels a,b")


def second(**changed: Any) -> Step:
    """The last stage of the second export."""
    return replace(Step("validate", Validated(SMALL, Evidence(tensorrt="second")), (SAID,)), **changed)


def pair(
    monkeypatch: pytest.MonkeyPatch, folder: Path, first: Step, other: Step, options: dict[str, Any]
) -> tuple[Run, list[Any]]:
    """Two exports of which nothing can be read become a bundle, by these stages; and what stages were asked for."""
    asked: list[Any] = []

    def made(output: None, given: dict[str, Any], worker: Any, emit: Any = None, *, beside: Any) -> tuple[Stage, ...]:
        assert (output, worker, beside) == (None, WORKER, None)
        asked.append((given, emit))
        return ((first, other)[len(asked) - 1],)

    monkeypatch.setattr(pipeline, "stages", made)
    monkeypatch.setattr(pipeline, "EmitPair", WritesTwo)
    return convert([folder / "a.zip", folder / "b.zip"], folder / "out", options, WORKER), asked


FIRST = Step("validate", Validated(SMALL, Evidence(tensorrt="first")), (WARNING,))


def test_two_exports_for_one_app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Options of one export are the first's; the second's labels have an option of their own."""
    own = {"model": "m", "bundle_name": "b", "labels": ("a",), "task": "t", "resize_mode": 1, "image_scaling": 1,
           "frame": Frame(4, 3), "resize": "device", "threshold": 0.5, "fomo_box": 2.0, "line": (), "zone": (),
           "overcrowding": None}  # fmt: skip
    shared = {"opset": 12, "sgie_labels": ("x", "y"), "target": "7.1", "object_batch_size": 8}
    result, asked = pair(monkeypatch, tmp_path, FIRST, second(), {**own, **shared})
    (one, emit), (two, none) = asked
    assert one == {**own, **shared}
    assert (emit.role, emit.folder, emit.target, emit.canvas) == ("pgie", tmp_path / "out", "7.1", None)
    assert (two, none) == ({**shared, "labels": ("x", "y"), "frame": "none"}, None)
    said = Finding("EI105", Level.WARNING, "give --sgie-labels", hint="as --sgie-labels a,b")
    assert result.findings == (WARNING, said, NOTE)
    assert told(result.records) == [("validate", "done"), ("validate", "done"), ("emit", "done")]
    assert [each.path for each in result.outputs] == ["validate.txt", "validate.txt", "both.txt"]
    both = ValidatedPair(
        Validated(SMALL, Evidence(tensorrt="first"), (WARNING,)), Validated(SMALL, Evidence(tensorrt="second"), (said,))
    )
    assert result.artifacts[-1] == both
    assert result.artifacts[0] == tmp_path / "a.zip"
    assert result.secondary is not None
    assert result.secondary.artifacts[0] == tmp_path / "b.zip"
    assert result.is_good


@pytest.mark.parametrize("frame", [Frame(640, 480, in_pixels=True), Frame(4, 3), "auto", None])
def test_lines_in_pixels_are_drawn_on_frames_of_that_size(
    frame: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    canvas = frame if isinstance(frame, Frame) and frame.in_pixels else None
    _, ((_, emit), _) = pair(monkeypatch, tmp_path, FIRST, second(), {"frame": frame})
    assert emit.canvas == canvas
    monkeypatch.undo()
    made = stages(tmp_path, {"frame": frame or "none"}, WORKER)[-1]
    assert isinstance(made, Emit)
    assert made.canvas == canvas


def test_a_dry_run_of_two_exports_plans_the_files_of_both(tmp_path: Path) -> None:
    options = {"frame": Frame(640, 480, in_pixels=True), "line": (parse_line("door:0,10,100,10"),)}
    result = convert([FOMO, SHAPES], tmp_path / "out", options, WORKER, dry=True)
    assert result.error is None
    assert told(result.records) == [
        *((name, "planned") for name in ("unpack", "translate", "adapt", "validate") * 2), ("emit", "planned"),
    ]  # fmt: skip
    names = [Path(each.path).name for each in result.outputs]
    assert {each.path for each in result.outputs} == {str(tmp_path / "out" / name) for name in names}
    assert len(set(names)) == len(names) > 10
    assert names[-2:] == ["RUN.md", "report.json"]
    assert any("analytics" in name for name in names)
    assert not (tmp_path / "out").exists()


def test_the_first_of_two_exports_finds_objects(tmp_path: Path) -> None:
    events: list[Record] = []
    result = convert([SHAPES, FOMO], tmp_path / "out", {}, WORKER, events.append)
    assert (told(result.records), events, result.artifacts) == ([("emit", "failed")], [], [SHAPES])
    error = result.error
    assert isinstance(error, PresetError)
    assert error.message == "the primary model is a classifier: it finds no objects that another model could look at"
    assert error.hint == "give a detector (FOMO, YOLOv5, SSD, ...) as the primary one"


def test_what_is_wrong_with_one_of_two_exports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrong = replace(FIRST, findings=(WRONG,))
    result, asked = pair(monkeypatch, tmp_path, wrong, second(), {})
    assert (told(result.records), len(asked)) == ([("validate", "failed")], 2)
    assert result.secondary is None
    error = InputError("no --labels", hint="give --labels", path="b.zip", line=7)
    result, _ = pair(monkeypatch, tmp_path, FIRST, second(error=error), {})
    assert told(result.records) == [("validate", "done"), ("validate", "failed")]
    found = result.error
    assert isinstance(found, InputError)
    assert (found.message, found.hint) == ("no --sgie-labels", "give --sgie-labels")
    assert (found.path, found.line) == ("b.zip", 7)
    result, _ = pair(monkeypatch, tmp_path, FIRST, second(error=InputError("gone")), {})
    assert result.error is not None
    assert (result.error.message, result.error.hint, result.error.path) == ("gone", None, None)
    for option in ("samples", "sdk_log"):
        flag = "--" + option.replace("_", "-")
        with pytest.raises(PresetError, match=f"^{flag} does not apply to an export of pictures$") as caught:
            pair(monkeypatch, tmp_path, FIRST, second(), {option: True})
        assert caught.value.hint == f"leave out {flag}"


def test_statuses_are_shown_by_these_words() -> None:
    assert [each.value for each in Status] == ["started", "done", "failed", "planned", "skipped"]
