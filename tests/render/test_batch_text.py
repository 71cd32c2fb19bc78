"""A batch as text, JSON and JUnit, its cache, and its progress, to the letter.

Made anew by `python -m tests.render.test_batch_text`: read the difference before it is committed.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from convert import api
from convert.__main__ import main
from convert.batch import BatchReport
from convert.batch.plan import BUG, Job, Outcome, State
from convert.errors import ConvertError, InputError, UnsupportedModelError
from convert.files import Output
from convert.findings import Finding, Level
from convert.pipeline import Record, Status
from convert.render.batch import LiveDisplay, ProgressDisplay, batch_progress, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).with_name("golden") / "batch.txt"


def finding(number: int, level: Level, message: str = "some [thing]", **parts: Any) -> Finding:
    return Finding(f"EI{number}", level, message, **parts)


def job(name: str) -> Job:
    return Job(name, Path(f"in/{name}.zip"), Path(f"out/{name}"))


NOTE, WARNING, ERROR = finding(101, Level.NOTE), finding(201, Level.WARNING, hint="do it"), finding(301, Level.ERROR)
SUMMARY = (
    ("task", "fomo"),
    ("input", "96x96x3"),
    ("labels", 2),
    ("bundle", "m"),
    ("max_abs_diff", 1.2345e-6),
    ("top1", 0.998),
)
RECORDS = (Record("unpack", Status.DONE, 0.25678, (), (NOTE,)), Record("emit", Status.FAILED, 0.5))
OUTPUTS = (Output("out/done/m.onnx", "0" * 64),)
LATE = InputError("cannot [read] it", path="in/failed.zip", hint="give it again")
FAULT = ConvertError("this is a bug", hint="report it")
OUTCOMES = (
    Outcome("done", State.DONE, 0, 1.23456, (NOTE, WARNING), OUTPUTS, None, RECORDS, SUMMARY),
    Outcome("[wrong]", State.WRONG, 1, 2.0, (WARNING, ERROR), (), None, (), (("task", "ssd"), ("top1", 1.0))),
    Outcome("failed", State.FAILED, 3, 0.5, (), (), LATE),
    Outcome("fault", State.FAILED, BUG, 0.5, (), (), FAULT, (), (), "Traceback [most recent]"),
    Outcome("unchanged", State.UNCHANGED, 0, 0.0, (WARNING,), (), None, (), SUMMARY[:1]),
    *(Outcome(f"restored{number}", State.RESTORED, 0, 0.0, (WARNING,), (), None, (), ()) for number in range(4)),
)  # fmt: skip
SOUND = UnsupportedModelError("it is a model for [sound]", hint="give the whole library")
UNSUITABLE = (
    Outcome("sound", State.UNSUITABLE, 0, 0.25, (), (), SOUND, (), (("task", "not-image"), ("input", "33"))),
    Outcome("late", State.FAILED, 3, 0.5, (), (), LATE, (), (("task", "impulse"), ("input", "16"))),
    Outcome(
        "later", State.FAILED, 3, 0.5, (), (), InputError("cannot [read] it", path="in/later.zip", hint="give it again")
    ),
)
ABOUT = (finding(803, Level.NOTE, "two are the same", path="out"),)
IDLE = (OUTCOMES[4],)


def report(*outcomes: Outcome, about: tuple[Finding, ...] = ()) -> BatchReport:
    return BatchReport(tuple(job(each.name) for each in outcomes), outcomes, about, 12.34567)


REPORTS = {
    "everything": report(*OUTCOMES, about=ABOUT),
    "without fault": report(*OUTCOMES[:3]),
    "wrong": report(*OUTCOMES[:2]),
    "good": report(OUTCOMES[0]),
    "idle": report(*IDLE),
    "idle with a finding": report(*IDLE, about=ABOUT),
    "nothing": report(),
    "found": replace(found := report(*UNSUITABLE), jobs=tuple(replace(each, found=True) for each in found.jobs)),
}


@contextlib.contextmanager
def given(batch: BatchReport) -> Iterator[list[Any]]:
    """`batch` gives this report; what it was asked for."""
    asked: list[Any] = []

    def run_batch(*arguments: Any, **options: Any) -> BatchReport:
        asked.append((*arguments, options))
        return batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "run_batch", run_batch)
        yield asked


def said(*words: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*words])
    text = out.getvalue()
    if "junit" in words:
        text = ET.canonicalize(text).replace("><", ">\n<")
    shown = "\n".join(line.rstrip() for line in text.splitlines())
    errors = "".join(f"\n! {line}" for line in err.getvalue().splitlines())
    return f"exit code {code}\n{shown}{errors}\n"


def lines() -> str:
    told = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("in").mkdir()
        for name, batch in REPORTS.items():
            for options in ((), ("-q",), ("--format", "json"), ("--format", "junit"), ("--fail-on", "warning", "-q")):
                if options[1:2] in {("json",), ("junit",)} and name not in {"everything", "nothing", "found"}:
                    continue
                with given(batch):
                    told.append(f"# {' '.join((name, *options))}: {said('batch', 'in', '-o', '[out]', *options)}")
        terminal = {"FORCE_COLOR": "1", "COLUMNS": "100", "TERM": "xterm", "NO_COLOR": ""}
        with mock.patch.dict(os.environ, terminal), given(report(*OUTCOMES, *UNSUITABLE)):
            told.append(f"# on a terminal: {said('batch', 'in', '-o', '[out]')}".replace("\x1b", "^"))
        with mock.patch.dict(os.environ, terminal), given(REPORTS["found"]):
            told.append(f"# found, on a terminal: {said('batch', 'in', '-o', '[out]')}".replace("\x1b", "^"))
    return "\n".join(told)


def test_batch() -> None:
    assert lines() == GOLDEN.read_text(encoding="utf-8")


def test_what_is_asked_for(tmp_path: Path) -> None:
    with given(REPORTS["good"]) as asked:
        said("batch", str(tmp_path), "-o", "out", "--opset", "11", "--jobs", "3")
        (paths, output, _, _, options), = asked  # fmt: skip
        assert (paths, output, options) == ((str(tmp_path),), Path("out"), {"opset": 11, "jobs": 3})
        text = said("batch", str(tmp_path), "-o", "out", "--jobs", "3", "--scheduler", "tcp://h:1")
        assert "exit code 2" in text
        assert "--jobs is about this machine; with --scheduler the cluster's workers say how many" in text


@pytest.mark.parametrize(
    ("numbers", "expected"), [((1,), "1 model: 1 done"), ((), "0 models: "), ((1, 2), "2 models: 1 done, 1 wrong")]
)
def test_sentence(numbers: tuple[int, ...], expected: str) -> None:
    assert sentence(report(*OUTCOMES[: len(numbers)])) == expected


def test_counts(capsys: pytest.CaptureFixture[str]) -> None:
    display = ProgressDisplay(3)
    for event in (Record("unpack", Status.STARTED), Record("unpack", Status.DONE), Record("emit", Status.STARTED)):
        display(job("done"), event)
    display(job("x"), Record("other", Status.STARTED))
    display(job("x"), Record("other", Status.DONE))
    assert display.stages == {"unpack": 1, "translate": 0, "adapt": 0, "validate": 0, "emit": 0, "other": 1}
    assert display.running == {"done": "emit", "x": "other"}
    for outcome in OUTCOMES[:3]:
        display(job(outcome.name), outcome)
    assert (display.total, display.finished, display.failed, display.running) == (3, 3, 2, {"x": "other"})
    display.interrupted()
    assert capsys.readouterr() == (
        "", "3 of 3 models are finished; the same command goes on from there\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("hidden", "terminal", "name", "drawn"),
    [
        (False, True, "xterm", True), (True, True, "xterm", False), (False, False, "xterm", False),
        (False, True, "dumb", False),
    ],
)  # fmt: skip
def test_where_it_is_drawn(
    hidden: bool, terminal: bool, name: str, drawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    monkeypatch.setattr("sys.stderr", Stream())
    monkeypatch.setenv("TERM", name)
    with batch_progress([job("a"), job("b")], hidden=hidden) as display:
        assert display.total == 2
        assert isinstance(display, LiveDisplay) is drawn


def test_what_is_drawn() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, color_system=None, force_terminal=True, highlight=False)
    display = LiveDisplay(4, console)
    drawn: list[Any] = []
    display.draw = drawn.append
    for number in range(6):
        display(job(f"[m{number}]"), Record("unpack", Status.STARTED))
    display(job("[m0]"), Record("unpack", Status.DONE))
    display(job("[m0]"), Outcome("[m0]", State.DONE, 0))
    display(job("[m1]"), Outcome("[m1]", State.WRONG, 1))
    display(job("[m2]"), Outcome("[m2]", State.FAILED, 3, error=LATE))
    assert len(drawn) == 10
    assert out.getvalue() == "", "failures are printed once, at the end"
    console.print(drawn[5])
    console.print(drawn[-1])
    shown = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "3/4" in shown[0], "the bar is one object"
    assert shown[1:3] == [
        "done unpack 0 · translate 0 · adapt 0 · validate 0 · emit 0",
        "now [m0] (unpack), [m1] (unpack), [m2] (unpack), [m3] (unpack) and 2 more",
    ]
    assert "3/4" in shown[3]
    assert shown[4:6] == [
        "done unpack 1 · translate 0 · adapt 0 · validate 0 · emit 0 · 2 failed",
        "now [m3] (unpack), [m4] (unpack), [m5] (unpack)",
    ]


if __name__ == "__main__":
    GOLDEN.write_text(lines(), encoding="utf-8")
