"""How the process ends: an exit code for each kind of end, and one line where there is an error."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

import convert.__main__
from convert.__main__ import main
from convert.errors import InputError
from convert.files import signals_wait

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]


def ending(monkeypatch: pytest.MonkeyPatch, end: Callable[[], object]) -> int:
    @click.command
    def commands() -> object:
        return end()

    monkeypatch.setattr(convert.__main__, "commands", commands)
    return main([])


def throw(error: BaseException) -> Callable[[], object]:
    def end() -> object:
        raise error

    return end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_a_run_as_ctrl_c_does(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cleaned: list[str] = []

    def end() -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)  # a second one does not end the clean-up
            cleaned.append("up")

    assert ending(monkeypatch, end) == 128 + number
    assert capsys.readouterr().err.strip() == f"ended by {number.name}"
    assert cleaned == ["up"]
    assert signal.getsignal(number) == signal.SIG_DFL
    previous = signal.signal(number, signal.SIG_IGN)
    try:
        assert ending(monkeypatch, lambda: signal.raise_signal(number)) == 0, "nohup"
    finally:
        signal.signal(number, previous)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_in_a_finalizer_is_not_lost(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python drops what is raised there; so does it in the callbacks that imports leave in weak references."""

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(number)

    def end() -> None:
        Finalized()
        time.sleep(20)
        pytest.fail("the signal was lost")

    hook = sys.unraisablehook
    assert ending(monkeypatch, end) == 128 + number
    said = "interrupted" if number == signal.SIGINT else "ended by SIGTERM"
    assert capsys.readouterr().err.strip() == said
    assert sys.unraisablehook is hook

    renamed: list[int] = []

    def rename() -> None:
        Finalized()
        with signals_wait():
            time.sleep(0.1)
            renamed.append(number)
        pytest.fail("the signal was lost")

    assert ending(monkeypatch, rename) == 128 + number
    assert renamed == [number], "also the second one waits"
    assert ending(monkeypatch, Finalized) == 0, "it came with the end"
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


def test_an_alarm_of_somebody_else_ends_a_run_as_ever() -> None:
    code = (
        "import signal, time; import convert.__main__ as run; signal.alarm(1)\n"
        "run.commands.main = lambda *_, **__: time.sleep(20)\nrun.main([])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGALRM


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [
        (lambda: 0, 0, ""),
        (lambda: 1, 1, ""),
        (lambda: None, 0, ""),
        (lambda: "text", 0, ""),
        (throw(click.exceptions.Exit(7)), 7, ""),
        (throw(click.UsageError("no such thing")), 2, "no such thing"),
        (throw(InputError("not there", path="a.zip", hint="look")), 3, "a.zip"),
        (throw(KeyboardInterrupt()), 130, "interrupted"),
        (throw(click.Abort()), 130, "interrupted"),
        (throw(ValueError("surprise")), 70, "ValueError: surprise\nthis is a bug in ei-deepstream; please report it"),
    ],
)
def test_exit_codes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    end: Callable[[], object],
    code: int,
    message: str,
) -> None:
    assert ending(monkeypatch, end) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert bool(said.err) == bool(message)


def test_an_error_is_a_document_where_documents_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "/no/such.zip", "--format", "json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["exit_code"], document["error"]["code"]) == (3, "input")
    assert document["error"]["path"] == "/no/such.zip"


def test_a_reader_that_goes_away() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "convert", "explain"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate()
    assert (process.returncode, err) == (141, b"")
    failing = [sys.executable, "-m", "convert", "inspect", "/no/such.zip", "--format", "json"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(failing, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    ("words", "code", "closed"),
    [
        (("version",), 0, ">&-"),
        (("inspect", "/no/such.zip"), 3, "2>&-"),
        (("inspect", "/no/such.zip", "--format", "json"), 3, "<&- >&- 2>&-"),
        (("eim", "inspect", sys.executable), 1, "<&- >&- 2>&-"),  # a child reads it, through pipes
    ],
)
def test_streams_that_are_closed(words: tuple[str, ...], code: int, closed: str) -> None:
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "convert", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [("version",), ("inspect", "/no/such.zip", "--format", "json")])
def test_a_disk_that_is_full(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "convert", *words], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False
        )
    hint = b"make room there, or write elsewhere: temporary files go into the folder that TMPDIR names"
    said = b"error: cannot write: No space left on device\n  hint: " + hint + b"\n"
    assert (done.returncode, done.stderr) == (3, said)


def test_names_that_are_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [io.TextIOWrapper(io.BytesIO(), "ascii") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    assert main(["unpack", os.fsdecode(b"/none-\xff\xc3\xa9"), "-o", "out"]) == 3
    streams[1].flush()
    assert b"none-\\udcff\\xe9" in streams[1].buffer.getvalue()


@pytest.mark.parametrize(("name", "where"), [(None, ""), ("/tmp/x", "/tmp/x: ")])
def test_a_disk_that_is_full_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str | None, where: str
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device", name)

    monkeypatch.setattr("convert.__main__._main", full)
    monkeypatch.setattr("convert.__main__._discard_output", lambda: None)
    assert main(["version"]) == 3
    hint = "make room there, or write elsewhere: temporary files go into the folder that TMPDIR names"
    assert capsys.readouterr().err == f"error: {where}cannot write: No space left on device\n  hint: {hint}\n"
