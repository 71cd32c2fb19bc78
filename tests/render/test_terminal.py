"""What is printed on a terminal of 100 columns: no line is longer, nothing is cut off, nothing is said twice."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convert.__main__ import main
from convert.batch import BatchReport
from convert.batch.plan import Outcome, State, job
from convert.compare import Cause, Comparison, PictureComparison, Prediction, Reason, Score, Verdict
from convert.findings import Finding, Level
from convert.pipeline import Event, Status
from convert.render.batch import show_batch
from convert.render.simulation import Result, frames_counted, show_comparison, show_simulation
from convert.render.text import console, progress, show_findings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.render.conftest import Street

ROOT = Path(__file__).resolve().parents[2]
_SGR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Calls a function, and gives the lines that a terminal of 100 columns shows of it, none of which is too long."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def run(function: Callable[..., object], *arguments: object, command: str = "", **options: object) -> list[str]:
        capsys.readouterr()
        function(*arguments, **options)
        lines = _SGR.sub("", capsys.readouterr().out).splitlines()
        assert lines
        # A command to be copied stays one line.
        assert [line for line in lines if len(line) > 100 and not line.startswith("  ei-deepstream ")] == []
        if command != "check":  # it quotes the beginning of long values
            assert not any("…" in line for line in lines)
        return [line.rstrip() for line in lines]

    return run


def joined(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


_TELLING = """
inspect samples/exports/fruit-cpp-2022
inspect samples/exports/table-fomo-2025.zip --frame 16:9
inspect samples/exports
inspect README.md
check tests/cases
targets
targets 7.1
targets --platform jetson
explain
explain NVI014 EI101 EI304
cache info --cache-dir no-such-cache
""".strip().splitlines()


@pytest.mark.parametrize("command", _TELLING)
def test_commands_that_read(command: str, shown: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    lines = shown(main, command.split(), command=command.split(maxsplit=1)[0])
    # What is written in full: a path, a list of operators, a rule.
    assert "..." not in lines[0]
    hints = [line.strip() for line in lines if line.strip().startswith("hint:")]
    assert len(hints) == len(set(hints))


def test_models_that_were_refused(shown: Callable[..., list[str]], models: Path, tmp_path: Path) -> None:
    """A hint that holds for several models is shown once; what no user knows (form codes, task ids) not at all."""
    for name in ("ssd-320x320x3-int8.lite", "motion-33-f32.tflite", "keywords-637-f32.lite"):
        (tmp_path / name).write_bytes((models / name).read_bytes())
    lines = shown(main, ["inspect", str(tmp_path)])
    text = joined(lines)
    assert text.count("in Gst-nvinfer, which feeds video, such a model cannot run") == 1
    assert "TFLite_Detection_PostProcess" in text
    assert "    33 values, float32, input x_input" in lines
    assert "not-image" not in text
    assert "(TensorFlow Lite file, 5,588 bytes)" in text


def test_a_simulation(shown: Callable[..., list[str]], street: Street) -> None:
    first, *rest = street.simulation.frames
    long = replace(first, name="-".join(["a-street-in-the-rain"] * 6))
    lines = shown(show_simulation, Result(replace(street.simulation, frames=(long, *rest)), (), ()))
    assert long.name in "".join(line.split(" ")[0] for line in lines)
    assert "confidence 0.18 is below pre-cluster-threshold=0.2" in joined(lines)
    everything = replace(first, objects=first.objects[:2], dropped=())
    lines = shown(show_simulation, Result(replace(street.simulation, frames=(everything,)), (), ()))
    assert not any("not shown" in line for line in lines)


def test_a_comparison(shown: Callable[..., list[str]]) -> None:
    def answer(label: str) -> Prediction:
        scores = (Score(0, label, 0.9), Score(1, "another", 0.1))
        return Prediction(label, 0.9, scores, ())

    labels = ("a rather long label of a class", "and one that is longer still, with a comma")
    rows = tuple(
        PictureComparison(
            f"picture-{number}",
            640,
            480,
            verdict,
            answer(labels[0]),
            answer(labels[1]),
            (),
            (Cause.FRAMING, Cause.LABELS),
        )
        for number, verdict in enumerate((Verdict.DIFFERS, Verdict.DRIFTS))
    )
    words = "nvinfer squashes the whole frame to the size of the model where Edge Impulse crops its centre"
    reason = Reason(Cause.FRAMING, words, "--frame 16:9", ("picture-0",), ("picture-1",))
    lines = shown(show_comparison, Comparison("fruit.zip", "classifier", False, 0.1, (), rows, (reason,)))
    text = joined(lines)
    assert text.count(words) == 1
    assert "1 of those that differ, 1 of those with other scores hint: --frame 16:9" in text
    assert lines[-1] == "more: ei-deepstream explain EI750 EI751"


def test_a_batch(shown: Callable[..., list[str]], tmp_path: Path) -> None:
    names = ["door", "a-project-with-a-name-of-forty-characters-x"]
    summary = (
        ("task", "classifier"),
        ("input", "320x320x3"),
        ("labels", 12),
        ("max_abs_diff", 1.23e-5),
        ("top1", 0.99),
    )
    finding = Finding("EI303", Level.WARNING, "the export does not say how pictures were resized", hint="--resize-mode")
    outcomes = [Outcome(name, State.DONE, 0, 61.5, (finding,), summary=summary) for name in names]
    jobs = tuple(job(name, tmp_path / name, tmp_path / name, {}) for name in names)
    report = BatchReport(jobs, tuple(outcomes), (), 62.0)
    lines = shown(show_batch, report, Path("bundles"), quiet=False)
    place = lines[1].index(" done ")
    assert "doora-project" + names[1].removeprefix("a-project") in "".join(line[:place].strip() for line in lines)
    assert sum("done  classifier  320x320x3" in line for line in lines) == 2
    text = joined(lines)
    assert text.count("the export does not say") == 1


def test_findings(shown: Callable[..., list[str]]) -> None:
    message = "what was found takes more words than there are columns, and goes on below, a little to the right of it"
    findings = [
        Finding("EI303", Level.WARNING, message, hint="say it with --resize-mode"),
        Finding("EI303", Level.WARNING, message, hint="say it with --resize-mode"),
        Finding("EI305", Level.NOTE, "another one [with brackets]", hint="say it with --resize-mode"),
        Finding("EI300", Level.NOTE, "one Transpose is left", "model.onnx", 3, 4),
    ]
    assert shown(show_findings, findings, console()) == [
        "  warning EI303 what was found takes more words than there are columns, and goes on below, a little",
        "    to the right of it",
        "    hint: say it with --resize-mode",
        "  note EI305 another one [with brackets]",
        "  note EI300 model.onnx:3:4: one Transpose is left",
        "  more: ei-deepstream explain EI300",
    ]


def test_the_running_clock(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    events = [
        Event("unpack", Status.STARTED),
        Event("unpack", Status.DONE, 1.25),
        Event("translate", Status.STARTED),
        Event("translate", Status.FAILED, 0.5),
        Event("adapt", Status.SKIPPED),
    ]

    def run() -> str:
        with progress() as observer:
            for event in events:
                observer(event)
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    assert run() == ""  # no terminal
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = _SGR.sub("", run())
    assert "translate 0 s" in text
    assert "unpack     done   1.25 s" in text
    assert "translate  failed   0.50 s" in text
    assert "skipped" not in text


@pytest.mark.parametrize(("total", "shown"), [(10, "3/10"), (None, "3/?")])
def test_the_bar_of_a_simulation_counts_pictures_and_goes(
    total: int | None, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*, quiet: bool) -> str:
        with frames_counted(quiet=quiet) as count:
            for number in (total, 1, 1, 1):
                count(number)
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    assert run(quiet=False) == ""  # no terminal
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run(quiet=True) == ""
    text = run(quiet=False)
    assert shown in _SGR.sub("", text)
    assert text.endswith("\x1b[2K"), "the line is empty again"
