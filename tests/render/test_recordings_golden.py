"""Scores of recordings in words, as a table, drawn and on a page, to the letter.

`UPDATE_GOLDEN=1 pytest tests/render/test_recordings_golden.py` writes it anew: read the difference before it is
committed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert import __version__
from convert.dsp import Impulse
from convert.files import Output
from convert.findings import Finding, Level
from convert.render.recordings import (
    RecordingsResult,
    facts,
    recording_view,
    recordings_document,
    show_recordings,
    write_recordings,
)
from convert.report import dumps
from convert.simulate.recordings import ImpulseModel, RecordingsSimulation, Scored

GOLDEN = Path(__file__).with_name("golden") / "recordings.txt"
LEFT_OUT = Finding("EI708", Level.ERROR, "it has 3 samples", "c.wav", hint="record more")


def made(*parts: Scored, axes: int = 1, labels: tuple[str, ...] = (), findings: Any = ()) -> RecordingsSimulation:
    impulse = Impulse("microphone", 16_000, axes, (), 16_000.0, 4, (), ())
    model = ImpulseModel("street.onnx", impulse, labels, lambda _: {})
    return RecordingsSimulation(model, 4000, parts, {"read": 0.5, "infer": 1.25}, findings)


def scored(name: str, labels: tuple[str, ...], windows: int, *, anomaly: bool = False) -> Scored:
    """Each label is the highest once in a while, an earlier one more often; the last window is no number."""
    number, label = np.arange(windows)[:, None], np.arange(len(labels))
    values = (((2 * label + 3) * number + 5) % 16 / (16 + label)).round(3).astype(np.float32)
    values[-1:] = np.nan
    return Scored(Path(name), 0.25, labels, values, (number[:, 0] / 4 - 1).astype(np.float32) if anomaly else None)


def simulations() -> dict[str, RecordingsSimulation]:
    many = tuple(f"l{number}" for number in range(14))
    return {
        "two": made(
            scored("a.wav", ("up", "do[wn]"), 8, anomaly=True), scored("b<.wav", ("up", "do[wn]"), 1, anomaly=True),
            labels=("up", "do[wn]"), findings=(LEFT_OUT,),
        ),
        "no scores": made(scored("a.wav", (), 3, anomaly=True), axes=3),
        "many": made(scored("a.wav", many, 62), labels=many),
    }  # fmt: skip


def told(capsys: pytest.CaptureFixture[str], folder: Path) -> str:
    lines = []
    for name, simulation in simulations().items():
        lines += [f"# {name}", *facts(simulation)]
        result = RecordingsResult(
            simulation, (Output("out/report.html", "0" * 64), Output("out/scores.json", "1" * 64))
        )
        capsys.readouterr()
        show_recordings(result)
        lines.append(capsys.readouterr().out)
        if name != "many":
            lines.append(dumps(recordings_document(result, 1)).decode())
            write_recordings(simulation, folder)
            page = (folder / "report.html").read_text(encoding="utf-8")
            page = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL).replace(__version__, "VERSION")
            page = re.sub(r"sha256-[\w+/=]+", "sha256-style", page)
            lines.append(re.sub(r"\n\s*\n+", "\n", page).replace("><", ">\n<"))
        else:
            lines.append(recording_view(simulation.recordings[0])["scores"].replace("><", ">\n<"))
    return "\n".join(line.rstrip() for line in "\n".join(lines).replace("\x1b", "^").split("\n")) + "\n"


def test_recordings(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("COLUMNS", "60"), ("FORCE_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    text = told(capsys, tmp_path)
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("windows", "note", "listed", "more"),
    [
        (500, "", 500, 0),
        (501, "", 500, 1),
        (600, "", 500, 100),
        (601, "A point is the highest of 2 windows.", 500, 101),
    ],
)
def test_of_long_recordings_the_first_windows_are_listed(windows: int, note: str, listed: int, more: int) -> None:
    view = recording_view(scored("a.wav", ("up", "down"), windows))
    assert (view["note"], len(view["windows"]), view["more"], view["count"]) == (note, listed, more, windows)


@pytest.mark.parametrize(("labels", "left_out"), [(12, 0), (13, 1)])
def test_of_many_labels_those_with_the_highest_scores_are_drawn(labels: int, left_out: int) -> None:
    names = tuple(f"l{number}" for number in range(labels))
    view = recording_view(scored("a.wav", names, 3))
    assert (len(view["lines"]), view["left_out"]) == (12, left_out)
    assert {label for _, label in view["lines"]} < {*names, ""}


@pytest.mark.parametrize(("windows", "said"), [(60, ""), (61, "1 more windows are in scores.json")])
def test_of_many_windows_the_first_are_printed(capsys: pytest.CaptureFixture[str], windows: int, said: str) -> None:
    show_recordings(RecordingsResult(made(scored("a.wav", ("up", "down"), windows), labels=("up", "down")), ()))
    out = capsys.readouterr().out
    assert ("more windows" in out) is bool(said)
    assert said in out
