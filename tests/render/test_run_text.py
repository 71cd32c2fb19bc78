"""A run of the stages as it is printed, to the letter: subject, evidence, findings, files, error, progress."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from convert.dsp import KMeans, Mixture
from convert.errors import ConvertError, InputError
from convert.files import Output
from convert.findings import Finding, Level
from convert.images import Framing, ResizeMode, parse_frame
from convert.images.resizing import Resizing
from convert.pipeline import Record, Run, Status
from convert.render import text as module
from convert.render.machine import run_document
from convert.render.text import console, error_lines, impulse_lines, percent, progress, show_error, show_run
from convert.types import (
    ROUNDED,
    Adapted,
    Agreement,
    AnswerCounts,
    AnswerEvidence,
    BatchParity,
    Bundle,
    Differences,
    Evidence,
    Export,
    FrameEffect,
    Head,
    ImpulseEvidence,
    ImpulseModel,
    Int8Agreement,
    Int8Evidence,
    Metadata,
    ModelFacts,
    ObjectEvidence,
    OnnxModel,
    Parity,
    PrecisionEvidence,
    Preprocessing,
    Tensor,
    Translated,
    Validated,
    ValidatedImpulse,
)
from tests.dsp.impulses import block, impulse
from tests.export import tiny

GOLDEN = Path(__file__).with_name("golden") / "run.txt"
SOURCE = Tensor("x", (None, 96, None, 3), "float32")
EVIDENCE = Evidence(
    Parity(0.00012345, 0.00001, 0.9987, 20, 0.0001),
    BatchParity((1, 2, 8), 0.0000123),
    "[b]tensorrt-rtx 9.9: parsed",
    0.000456,
    Int8Agreement(0.975, 0.0123, 0.5, 1000, rounded=1, kernels=0.98, layers="first"),
    FrameEffect(("16:9", "4:3"), Agreement(0.95, 0.0123, 1.0, 40), Agreement(0.5, 0.123, 1.0, 41)),
)


def export(labels: tuple[str, ...] = (), **parts: Any) -> Export:
    facts = ModelFacts(SOURCE, (), (), "int8", "fomo")
    usual = {"name": "[door]", "form": "F3", "source": "[a].zip", "member": "", "metadata": Metadata(labels=labels)}
    return Export(b"model", **{**usual, **parts}, facts=facts)


def adapted(*labels: str, original: bytes | None = None) -> Adapted:
    onnx = OnnxModel(b"", SOURCE, (), 13)
    head = Head("fomo", labels)
    return Adapted(
        Translated(export(original=original), onnx),
        onnx,
        head,
        Preprocessing(1.0, (), "RGB", False, False, "", ResizeMode.SQUASH),
    )


def printed(run: Run, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], str]:
    capsys.readouterr()
    show_run(run)
    out, err = capsys.readouterr()
    return out.splitlines(), err


def found(number: int, level: Level = Level.NOTE, **parts: Any) -> Finding:
    return Finding(f"EI{number}", level, "some [thing]", **parts)


def test_a_whole_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(bytes(1234567))
    (tmp_path / "deepstream_app_m.txt").write_bytes(b"12")
    (tmp_path / "RUN.md").write_bytes(b"123")
    files = tuple(Output(str(tmp_path / name), "0") for name in ("m.onnx", "deepstream_app_m.txt", "RUN.md"))
    records = [
        Record("unpack", Status.DONE, 1.0, (), (found(101, path="p", line=3, column=4, hint="do [it]"),)),
        Record("emit", Status.DONE, 1.0, files, (found(501, Level.ERROR), found(502, Level.WARNING, path="q"))),
    ]
    labels = ("a", "b", "c", "d", "e", "f", "g")
    whole = adapted(*labels)
    quantized = adapted(*labels, original=tiny.int8_classifier())
    artifacts = [
        export(("x",), member="t/[m].tflite"),
        whole,
        Validated(quantized, EVIDENCE),
        Bundle(str(tmp_path), "m", files),
    ]
    lines, err = printed(Run(artifacts, records, InputError("bad", path="p", hint="better")), capsys)
    assert lines == [
        "[door]: fomo 96x?x3, 7 labels (a, b, c, d, e, f, ...), int8",
        f"  from      [a].zip > t/[m].tflite (C array, sha256 {export().digest[:12]})",
        "  parity    max difference 0.00012 (limit 0.0001), top-1 equal 99.87 %, 20 inputs",
        "  batch     1/2/8 give the same, max difference 1.2e-05",
        "  decoding  max difference to an independent decoding 0.00046",
        ("  framing   best answer as in Edge Impulse on 95 % cropped, mean difference 0.012; on 50 % squashed, mean "
        "difference 0.12; 40 frames of 16:9, 4:3"),
        ("  int8      rewritten in float32, rounded as the original: first layer: decides as the original "
        "on 97.5 % of 1,000 inputs (its own two kernels: 98 %)"),
        "  tensorrt  [b]tensorrt-rtx 9.9: parsed",
        "  note EI101 p:3:4: some [thing]", "    hint: do [it]", "  error EI501 some [thing]",
        "  warning EI502 q: some [thing]", "  more: ei-deepstream explain EI501 EI502",
        "wrote", f"  {files[0].path}  1,234,567 bytes", f"  {files[1].path}  2 bytes", f"  {files[2].path}  3 bytes",
        "next:", f"  cat {files[2].path}",
    ]  # fmt: skip
    assert err == "error: p: bad\n  hint: better\n"


def test_parts_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    planned = Record("emit", Status.PLANNED, 0.0, (Output("out/[x]", None),))
    assert printed(Run([export(("one",))], [planned]), capsys)[0] == [
        "[door]: fomo 96x?x3, 1 label (one), int8", f"  from      [a].zip (C array, sha256 {export().digest[:12]})",
        "would write", "  out/[x]",
    ]  # fmt: skip
    assert printed(Run([export()], []), capsys)[0][0] == "[door]: fomo 96x?x3, int8"
    assert printed(Run([adapted("a"), export(("b", "c"))], []), capsys)[0][0].endswith(", 1 label (a), int8")
    six = tuple("abcdef")
    assert printed(Run([export(six)], []), capsys)[0][0].endswith(", 6 labels (a, b, c, d, e, f), int8")
    effect = FrameEffect((), None, Agreement(1.0, 0.5, 1.0, 3))
    plain = Int8Agreement(1.0, 0.0, 0.0, 5)
    quantized = adapted("a", original=tiny.int8_classifier())
    lines, _ = printed(Run([Validated(quantized, Evidence(framing=effect, int8_agreement=plain))], []), capsys)
    assert lines == [
        ("  framing   best answer as in Edge Impulse on 100 % squashed, mean difference 0.5, 3 pictures of their own "
        "shape"),
        "  int8      rewritten in float32: decides as the original on 100 % of 5 inputs",
    ]  # fmt: skip


def test_colours_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be written is bold, hints are dim, and each level of a finding has a colour.

    `UPDATE_GOLDEN=1 pytest tests/render/test_run_text.py` writes the golden file anew: read the difference.
    """
    for name, value in (("COLUMNS", "60"), ("FORCE_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    long = "a label of more than sixty characters, which goes on below itself"
    findings = (found(1, Level.ERROR, hint=f"do it, {long}"), found(2, Level.WARNING), *map(found, range(300, 308)))
    planned = Record("emit", Status.PLANNED, 0.0, (Output("out/[x]", None),), findings)
    error = InputError(f"bad, {long}", hint=f"better, {long}")
    sound = impulse(block("raw", number=2), samples=16000, frequency=8000.5)
    first = export((long,), impulse=sound, member="a folder/another folder/model.tflite")
    out, err = printed(Run([first, Validated(adapted(long), EVIDENCE)], [planned], error), capsys)
    told = "\n".join(line.rstrip() for line in [*out, "# errors", *err.splitlines()]).replace("\x1b", "^") + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(told, encoding="utf-8")
    assert told == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kept", "calibrated", "numbers", "limit"),
    [
        (export(coded=True), 0, "int8 codes", ", of codes"),
        (export(), 5, "int8, calibrated to int8", ", of codes"),
        (replace(export(), model=ROUNDED.encode()), 0, "int8", ", of rounded activations"),
    ],
)
def test_a_model_that_rounds(
    kept: Export, calibrated: int, numbers: str, limit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit of differences says nothing there."""
    whole = replace(adapted("a"), translated=Translated(kept, OnnxModel(b"", SOURCE, (), 13)), calibrated=calibrated)
    run = Run([kept, whole, Validated(whole, Evidence(Parity(0.5, 0.1, 1.0, 20, 0.25)))], [])
    lines, _ = printed(run, capsys)
    assert lines[0] == f"[door]: fomo 96x?x3, 1 label (a), {numbers}"
    assert lines[2:] == [f"  parity    max difference 0.5{limit}, top-1 equal 100 %, 20 inputs"]


@pytest.mark.parametrize(
    ("framing", "line"),
    [
        (
            Framing(parse_frame("16:9"), (96, 96)),
            "whole ones of 16:9, which the model crops; for another camera's give --frame 4:3",
        ),
        (
            Framing(parse_frame("4:3"), (96, 96), anchor=(0.0, 0.5)),
            "whole ones of 4:3, which the model crops to the left; for another camera's give --frame 16:9",
        ),
        (Framing(parse_frame("1:1"), (96, 96)), "whole ones of 1:1; for another camera's give --frame 4:3"),
        (
            Resizing(parse_frame("640x480"), (96, 96)),
            "whole ones of 640x480, which the model resizes itself; for another camera's give --frame WIDTHxHEIGHT",
        ),
        (
            Resizing(parse_frame("16:9"), (96, 96), scaled=(640, 360)),
            "whole ones of 16:9, which the model squashes; for another camera's give --frame 4:3",
        ),
    ],
)
def test_frames_that_a_model_takes(framing: Framing, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    whole = adapted("a")
    whole = replace(whole, preprocessing=replace(whole.preprocessing, framing=framing))
    assert printed(Run([Validated(whole, Evidence())], []), capsys)[0] == [f"  frames    {line}"]


def test_the_model_for_objects(capsys: pytest.CaptureFixture[str]) -> None:
    plain = adapted("a")
    whole = replace(plain, for_objects=plain)
    evidence = Evidence(for_objects=ObjectEvidence(Parity(0.00025, 0.0, 1.0, 7, 0.1)))
    (line,) = printed(Run([Validated(whole, evidence)], []), capsys)[0]
    said = f"{plain.file}, for a secondary engine, takes pictures of its own size"
    assert line == f"  objects   {said}: max difference 0.00025, 7 inputs"
    assert printed(Run([Validated(whole, Evidence())], []), capsys)[0] == []
    assert printed(Run([Validated(plain, evidence)], []), capsys)[0] == []


def test_the_table_of_precisions(capsys: pytest.CaptureFixture[str]) -> None:
    whole = PrecisionEvidence("fp32", 1_234_567, Agreement(1.0, 0.0, 0.25, 32), {"Conv": 2, "Relu": 1})
    half = PrecisionEvidence("fp16", 617_000, Agreement(0.97, 0.0, 0.5, 60), {"Conv": 3}, {}, ("first",))
    codes = PrecisionEvidence("int8", 300_000, Agreement(0.99, 0.0, 0.125, 60), {"Conv": 2}, {"Sigmoid": 3}, shown=7)
    rows = (whole, replace(half, agreement=None, overflow=()), half, PrecisionEvidence("int8"), codes)
    agreement = Agreement(0.99, 0.003, 0.1, 60)
    own = Int8Evidence(
        {"Conv": 2}, {"Sigmoid": 3}, 0.875, agreement, agreement, replace(agreement, top1=0.98), (1.5, 2)
    )
    assert printed(Run([Validated(adapted("a"), Evidence(int8=own, precisions=rows))], []), capsys)[0] == [
        ("  codes     the original's: decides as it does on 99 % of 60 inputs (its own two kernels: 98 %), mean "
        "difference 0.003 (0.003); half of the boxes within 1.5 pixels of the original's (2); "
        "87.5 % of multiplications in INT8"),
        "  FP32      weights 1,235 kB, same decisions 100 % of 32 inputs, max difference 0.25, 3 nodes",
        "  FP16      weights 617 kB, not measured",
        "  FP16      weights 617 kB, same decisions 97 % of 60 inputs, max difference 0.5, 3 nodes, 1 beyond 65504",
        "  INT8      not measured",
        ("  INT8      weights 300 kB, same decisions 99 % of 60 inputs (7 show an object), max difference 0.12, "
        "2 nodes, in float: Sigmoid"),
    ]  # fmt: skip


def test_two_models(capsys: pytest.CaptureFixture[str]) -> None:
    """The first, its findings, the second, its findings and those of what comes after both."""
    first, second, last = (
        Record(name, Status.DONE, 0.0, (), (found(number),)) for name, number in (("a", 1), ("b", 2), ("c", 3))
    )
    run = Run([export(("x",))], [first, second, last], secondary=Run([export(("y",))], [second]))
    source = f"  from      [a].zip (C array, sha256 {export().digest[:12]})"
    assert printed(run, capsys)[0] == [
        "[door]: fomo 96x?x3, 1 label (x), int8", source, "  note EI1 some [thing]",
        "  more: ei-deepstream explain EI1",
        "[door]: fomo 96x?x3, 1 label (y), int8", source, "  note EI2 some [thing]", "  note EI3 some [thing]",
        "  more: ei-deepstream explain EI2 EI3",
    ]  # fmt: skip
    none = Run([export()], [first], secondary=Run([export()], []))
    assert sum("note EI1 " in line for line in printed(none, capsys)[0]) == 1


@pytest.mark.parametrize(
    ("share", "text"),
    [(1.0, "100 %"), (0.99999, "99.99 %"), (0.9999, "99.99 %"), (0.99985, "99.98 %"), (0.5, "50 %"), (0.0, "0 %"),
     (0.12345, "12.35 %")],
)  # fmt: skip
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


def test_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert error_lines(ConvertError("bad")) == ["error: bad"]
    assert error_lines(ConvertError("bad", line=3)) == ["error: 3: bad"]
    assert error_lines(ConvertError("bad", path="p", line=3, hint="h")) == ["error: p:3: bad", "  hint: h"]
    show_error(InputError("bad", hint="h"), "text")
    assert capsys.readouterr() == ("", "error: bad\n  hint: h\n")
    show_error(InputError("bad", hint="h"), "json")
    out, err = capsys.readouterr()
    assert err == "error: bad\n  hint: h\n"
    assert '"exit_code": 3' in out
    assert '"code": "input"' in out


class Terminal(Console):
    """A terminal of 80 columns whose output is kept."""

    def __init__(self, **options: Any) -> None:
        self.kept = io.StringIO()
        assert options == {"stderr": True, "highlight": False}
        super().__init__(file=self.kept, force_terminal=True, width=80, color_system=None, highlight=False)


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Terminal] = []

    def terminal(**options: Any) -> Terminal:
        made.append(Terminal(**options))
        return made[-1]

    monkeypatch.setattr(module, "Console", terminal)
    with progress() as observe:
        for name, status, seconds in (
            ("unpack", Status.STARTED, 0.0), ("unpack", Status.DONE, 1.234), ("translate", Status.FAILED, 12.0),
            ("emit", Status.PLANNED, 0.0),
        ):  # fmt: skip
            observe(Record(name, status, seconds))
    assert len(made) == 1
    lines = [line.strip() for line in made[0].kept.getvalue().splitlines()]
    for expected in (
        "unpack     done   1.23 s", "translate  failed  12.00 s", "emit       planned   0.00 s",
    ):  # fmt: skip
        assert any(re.fullmatch(rf"(.*\x1b\[2K)?{expected}", line) for line in lines), expected
    assert re.search(r"[^a-zA-Z]unpack 0 s", made[0].kept.getvalue())


def test_what_is_no_terminal_is_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    console().print("x" * 500 + " " + "y" * 500, markup=False)
    console(stderr=True).print("z" * 500)
    out, err = capsys.readouterr()
    assert (out, err) == ("x" * 500 + " " + "y" * 500 + "\n", "z" * 500 + "\n")


_NONE = AnswerCounts(20, 0, 20, 0, 0)


@pytest.mark.parametrize(
    ("answers", "line"),
    [
        (
            AnswerEvidence("16:9", None, 0.1, AnswerCounts(40, 40, 40, 0, 0), None, {}, 0),
            "same answer as Edge Impulse on 40 of 40 frames of 16:9",
        ),
        (
            AnswerEvidence("16:9", None, 0.1, AnswerCounts(40, 40, 36, 3, 1), None, {"interpolation": 1}, 1),
            (
                "same answer as Edge Impulse on 39 of 40 frames of 16:9 (3 with other scores); 1 differs because of "
                "interpolation; with --frame WIDTHxHEIGHT --resize graph the model scales frames as Edge Impulse does"
            ),
        ),
        (
            AnswerEvidence(
                "4:3", None, 0.1, AnswerCounts(40, 40, 38, 0, 2), AnswerCounts(9, 9, 8, 0, 1), {"model": 3}, 3
            ),
            (
                "same answer as Edge Impulse on 38 of 40 frames of 4:3 and 8 of 9 pictures of yours; 3 differ because "
                "of the model's arithmetic"
            ),
        ),
        (
            AnswerEvidence("16:9", 0.5, 0.1, AnswerCounts(40, 24, 20, 1, 19), None, {"merge": 8, "framing": 3}, 10),
            (
                "same answer as Edge Impulse on 5 of 24 frames of 16:9 that show an object (40 compared, 1 with other "
                "scores or places); 19 differ, 10 of them because of merging (8), framing (3)"
            ),
        ),
        (
            AnswerEvidence("16:9", 0.5, 0.1, AnswerCounts(8, 8, 7, 0, 1), _NONE, {}, 0),
            (
                "same answer as Edge Impulse on 7 of 8 frames of 16:9; none of 20 pictures of yours shows an object; 1 "
                "differs"
            ),
        ),
        (
            AnswerEvidence("16:9", 0.5, 0.1, _NONE, None, {}, 0),
            "neither Edge Impulse nor the bundle shows an object on 20 frames of 16:9; --images compares on yours",
        ),
        (
            AnswerEvidence("16:9", 0.5, 0.1, _NONE, AnswerCounts(1, 0, 1, 0, 0), {}, 0),
            "neither Edge Impulse nor the bundle shows an object on 20 frames of 16:9 and 1 pictures of yours",
        ),
    ],
)
def test_answers(answers: AnswerEvidence, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run([Validated(adapted("a"), Evidence(answers=answers))], [])
    assert printed(run, capsys)[0] == [f"  answers   {line}"]


FEATURES, BATCH = Differences(0.00012345, 0, 1, 40), BatchParity((1, 8), 1.25e-7)


def test_an_impulse(capsys: pytest.CaptureFixture[str]) -> None:
    kmeans = KMeans((0, 1), (0.0, 0.0), (1.0, 1.0), ((0.0, 0.0), (1.0, 1.0)), (0.5, 0.25), 2)
    sound = replace(
        impulse(block("mfe", number=2), samples=16000, frequency=8000.5, anomaly=kmeans), sensor="microphone"
    )
    given = export(("a",), impulse=sound)
    model = ImpulseModel(given, OnnxModel(b"", SOURCE, (), 13), ("a",), b"")
    kernels = Int8Agreement(0.5, 0.1, 0.2, 40, kernels=0.99)
    evidence = ImpulseEvidence(
        FEATURES, Parity(0.00025, 0.0001, 1.0, 40, 0.001), Agreement(0.975, 0.01, 0.125, 40),
        Differences(0.5, 0, 1, 40), BATCH, {}, kernels, "[b]tensorrt-rtx 9.9: parsed", 3,
    )  # fmt: skip
    lines, _ = printed(Run([given, model, ValidatedImpulse(model, evidence)], []), capsys)
    source = f"  from      [a].zip (C array, sha256 {given.digest[:12]})"
    window = "  impulse   microphone, 16,000 samples at 8000.5 Hz, 1 axis"
    assert lines == [
        "[door]: fomo 96x?x3, 1 label (a), int8", source, window,
        ("  block 2   Audio (MFE), version 4: 2,388 features (frame length 0.02 s, frame stride 0.01 s, "
        "num filters 12, fft length 64, low frequency 0 Hz, high frequency 0 Hz, noise floor db -52 dB)"),
        "  anomaly   K-means, 2 clusters, 2 features of block 2",
        "  features  max difference to an independent computation 0.00012, 40 windows, 3 of them recorded",
        "  network   max difference 0.00025 (limit 0.001)",
        ("  scores    decides as the original on 97.5 % of 40 windows (its own two kernels: 99 %), max difference "
        "0.12"),
        "  anomaly   max difference 0.5", "  batch     1/8 give the same, max difference 1.2e-07",
        "  tensorrt  [b]tensorrt-rtx 9.9: parsed",
    ]  # fmt: skip
    few = ImpulseEvidence(FEATURES, Parity(0.5, 0.25, 1, 40, 0.001), Agreement(1, 0, 0, 40), None, BATCH, {})
    lines, _ = printed(Run([ValidatedImpulse(replace(model, step=0.25), few)], []), capsys)
    assert lines == [
        "  features  max difference to an independent computation 0.00012, 40 windows",
        "  network   max difference 0.5",
        "  scores    decides as the original on 100 % of 40 windows, max difference 0",
        "  batch     1/8 give the same, max difference 1.2e-07",
    ]  # fmt: skip
    alone = ImpulseEvidence(FEATURES, None, None, None, BATCH, {})
    assert len(printed(Run([ValidatedImpulse(model, alone)], []), capsys)[0]) == 2


def test_what_the_document_of_a_run_has() -> None:
    """Of pictures and of a whole impulse; what was not reached is null."""
    before, after = (
        ["schema_version", "exit_code", "stages"],
        ["secondary", "bundle", "outputs", "findings", "error", "next"],
    )
    document = run_document(Run([], []), 3)
    subject = ["export", "model", "object_model", "evidence"]
    assert list(document) == [*before, *subject, *after]
    assert [document[name] for name in (*subject, "secondary", "bundle", "error")] == [None] * 7
    assert (document["exit_code"], document["outputs"], document["findings"], document["next"]) == (3, [], [], [])
    given = export(("a",), impulse=impulse(block("raw", number=2)))
    model = ImpulseModel(given, OnnxModel(b"", SOURCE, (), 13), ("a",), b"")
    alone = ImpulseEvidence(FEATURES, None, None, None, BATCH, {})
    document = run_document(Run([given, model, ValidatedImpulse(model, alone)], []), 0)
    assert list(document) == [*before, "export", "impulse", "model", "object_model", "evidence", *after]
    assert document["object_model"] is None
    assert document["export"]["form"] == "F3"
    assert document["impulse"]["sensor"] == "any"
    assert document["evidence"]["batch"]["sizes"] == [1, 8]
    assert run_document(Run([given, model], []), 0)["evidence"] is None
    done = Run([Bundle("/out/m", "m", ())], [Record("emit", Status.DONE, 0.123456)], error=InputError("no", hint="so"))
    document = run_document(done, 4)
    assert document["bundle"] == {"folder": "/out/m", "name": "m"}
    assert document["stages"] == [{"name": "emit", "status": "done", "seconds": 0.1235}]
    assert document["error"] == {"code": InputError.code, "message": "no", "hint": "so", "path": None, "line": None}


def test_parts_of_an_impulse() -> None:
    raw = block("raw", 1, 3, 4)
    motion = replace(impulse(raw, samples=125, axes=3, frequency=62.5), sensor="fusion", axis_names=("x", "y", "z"))
    scaled = replace(motion.blocks[0], normalisation=((0.0,), (1.0,)))
    whole = replace(motion, blocks=(scaled,), anomaly=Mixture((0, 1, 5), b"", 4))
    assert impulse_lines(whole) == [
        "impulse   fusion, 125 samples at 62.5 Hz, 3 axes (x, y, z)",
        "block 4   Raw data, version 1: 375 features, normalised (scale axes 1)",
        "anomaly   Gaussian mixture, 3 features of block 4",
    ]
