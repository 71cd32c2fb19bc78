"""What people see of a check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from convert.check.loading import ChosenTarget, check_target
from convert.check.run import CheckedFile, Checker, CheckReport
from convert.errors import InputError
from convert.findings import Finding, Level
from convert.render.check import details, lines, paint_for, printable, show_report, summary, table

if TYPE_CHECKING:
    from pathlib import Path

_TARGET = check_target("9.1", "dgpu")


def _plain(text: str, _code: str) -> str:
    return text


def _block(data: str, line: int | None, column: int | None, hint: str | None = None) -> list[str]:
    file = CheckedFile("c.txt", "nvinfer", data=data.encode())
    finding = Finding("NVI002", Level.ERROR, "no good", "c.txt", line, column, hint)
    return list(lines([finding], [file], _plain))


def test_the_caret_is_under_the_value() -> None:
    assert _block("[property]\nbatch-size=many\n", 2, 12, "write 4") == [
        "error[NVI002]: no good",
        "  --> c.txt:2:12",
        "  |",
        "2 | batch-size=many",
        "  |            ^^^^",
        "  = hint: write 4",
        "",
    ]


@pytest.mark.parametrize(
    ("text", "column", "marked"),
    [
        ("interwal = 1", 1, "interwal"),
        ("  interwal=1", 3, "interwal"),
        ("interval= 1 # x", 11, "1 # x"),
        ("  [class-attrs-9] ", 3, "[class-attrs-9]"),
        ("  key: value", 8, "value"),
        ("  key: value", 3, "key"),
        ("just text", 1, "just text"),
        ("empty=", 7, " "),
        ("blank=1 ", 7, "1 "),
        ("café = ü", 8, "ü"),
        ("x=" + "y" * 300 + "=z", 303, "=z"),
        (" " * 200 + "key = value", 201, "key"),
        (" " * 120 + "key = value", 121, "key"),
        (" " * 121 + "key = value", 122, "key"),
    ],
)
def test_what_is_marked(text: str, column: int, marked: str) -> None:
    block = _block(text + "\n", 1, column)
    shown, caret = block[3][4:], block[4][4:]
    start, length = caret.index("^"), caret.count("^")
    assert shown.ljust(start + length)[start : start + length] == marked
    assert len(shown) <= 160


@pytest.mark.parametrize(("number", "shown"), [(1, "x=1234567890abcd"), (12, "x=1234567890abc")])
def test_in_a_narrow_terminal_a_line_is_cut(number: int, shown: str) -> None:
    """Its number, a blank, a bar and a blank stand in front."""
    file = CheckedFile("c.txt", "nvinfer", data=b"\n" * (number - 1) + b"x=1234567890abcdefghij\n")
    finding = Finding("NVI002", Level.ERROR, "no", "c.txt", number, 1)
    assert list(lines([finding], [file], _plain, 20))[3] == f"{number} | {shown}"


@pytest.mark.parametrize("column", [1, 17, 19, 21, 22, 40])
@pytest.mark.parametrize("width", [24, 44, 60])
def test_in_any_terminal_the_caret_is_under_what_it_is_about(column: int, width: int) -> None:
    """Far to the right twenty characters in front of it are shown, or as many as there are."""
    text = "x" * (column - 1) + "=" + "y" * 60
    file = CheckedFile("c.txt", "nvinfer", data=text.encode())
    block = list(lines([Finding("NVI002", Level.ERROR, "no", "c.txt", 1, column)], [file], _plain, width))
    shown, caret = block[3][4:], block[4][4:]
    assert shown
    assert shown in text
    assert caret.index("^") == shown.index("=") <= max(20, width - 44)


def test_wide_characters_do_not_shift_the_caret() -> None:
    block = _block("名=値\n", 1, 3)
    assert block[4].index("^") == len("  | ") + len("名") * 2 + 1
    assert block[4].count("^") == 2


def test_a_line_that_is_gone_and_a_whole_file() -> None:
    assert _block("a\n", 9, 1)[:2] == ["error[NVI002]: no good", "  --> c.txt:9:1"]
    assert _block("a\n", None, None) == ["error[NVI002]: no good", " --> c.txt", ""]
    assert len(_block("a\n", 1, 99)) == 5, "no caret beyond the line"


def test_nothing_moves_the_cursor() -> None:
    text = "a\x1b[31m\x07b\r\u202e\tc\ud800\u2028"
    assert printable(text) == "a�[31m�b�� c��"
    block = _block("key=\x1b]0;title\x07\n", 1, 5)
    assert all(line.isprintable() for line in block)


def test_lines_of_other_files_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.txt").write_text("a\nb\n")
    found = Finding("NVI061", Level.ERROR, "m", "labels.txt", 2, 1)
    assert list(lines([found], [], _plain))[3] == "2 | b"
    gone = Finding("NVI061", Level.ERROR, "m", "gone.txt", 2, 1)
    assert list(lines([gone], [], _plain)) == ["error[NVI061]: m", "  --> gone.txt:2:1", ""]


def test_the_summary_counts() -> None:
    finding = Finding("NVI001", Level.ERROR, "m", "c.txt", 1, 1)
    note = Finding("NVI004", Level.NOTE, "m", "c.txt", 1, 1)
    same = CheckedFile("d.txt", "nvinfer", findings=(finding, note), suppressed=(note,))
    default = ChosenTarget(_TARGET, "option")
    report = CheckReport((CheckedFile("c.txt", "nvinfer", findings=(finding,)), same), default)
    assert summary(report, _plain) == (
        "2 files checked for deepstream-9.1, dgpu, TensorRT 10.16: 1 error, 1 note, 1 suppressed"
    )
    quiet = CheckReport((CheckedFile("c.txt", "nvinfer"),), default)
    assert summary(quiet, _plain).endswith(": nothing found")
    assert summary(CheckReport((), default), _plain).startswith("nothing to check")


def test_the_summary_says_who_names_the_target() -> None:
    old, new = ChosenTarget(check_target("6.0.1", "jetson"), "report"), ChosenTarget(_TARGET, "default")
    files = [CheckedFile(name, "nvinfer", target=at) for name, at in (("a", new), ("b", old), ("c", old))]
    assert summary(CheckReport(tuple(files), new), _plain) == (
        "3 files checked for deepstream-6.0.1, jetson, TensorRT 8.2.1 (says report.json) and deepstream-9.1, dgpu, "
        "TensorRT 10.16 (assumed: --target, --platform or --jetpack say otherwise): nothing found"
    )


def test_what_was_not_judged_is_listed_unless_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    default = ChosenTarget(_TARGET, "option")
    names = ["a\x1bb.txt", "b.txt"]
    report = CheckReport(tuple(CheckedFile(name, "other", plugin="Gst-nvtracker") for name in names), default)
    for quiet in (False, True):
        show_report(report, quiet=quiet)
        out = capsys.readouterr().out
        assert "\x1b" not in out
        lines_of_others = [line for line in out.splitlines() if "not nvinfer's" in line]
        assert [line.rpartition(": ")[2] for line in lines_of_others] == ([] if quiet else ["Gst-nvtracker"] * 2)


def test_quiet_shows_errors_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.txt").write_text("[property]\ninterwal=1\n")
    report = Checker(_TARGET)([str(tmp_path / "c.txt")])
    show_report(report, quiet=True)
    out = capsys.readouterr().out
    assert "error[" in out
    assert "warning[" not in out
    assert "checked for" not in out


@pytest.mark.parametrize(
    ("environment", "terminal", "coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
    ],
)
def test_colour(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], terminal: bool, coloured: bool) -> None:
    class Stream:
        def isatty(self) -> bool:
            return terminal

    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    paint = paint_for(Stream())  # type: ignore[arg-type]
    assert paint("x", "31") == ("\x1b[31mx\x1b[0m" if coloured else "x")


def test_a_table_of_targets() -> None:
    """What is not verified has a star, and what is not there a dash."""
    assert table([check_target("7.1", "jetson"), check_target("6.0", "jetson"), check_target("5.1", "dgpu")]) == (
        "DeepStream  platform  tensorrt  cuda   jetpack  l4t     families\n"
        "7.1         jetson    10.3.0    12.6   6.1      36.4    AGX Orin, Orin NX, Orin Nano\n"
        "6.0         jetson    8.0.1     10.2   4.6*     32.6.1  Nano, TX2, Xavier*\n"
        "5.1         dgpu      7.2.2*    11.1*  -        -       -\n"
        "\n"
        "* not verified; - not known or not there. `ei-deepstream targets 7.1` says more about one.\n"
    )


def test_what_is_known_of_a_target() -> None:
    """But for what later releases and versions of TensorRT changed."""
    found = details(check_target("5.1", "dgpu")).splitlines()
    start = next(number for number, line in enumerate(found) if "keys it lacks" in line)
    end = next(number for number, line in enumerate(found) if "parse functions" in line)
    lacks = next(number for number, line in enumerate(found) if "trtexec lacks" in line)
    sinks = next(number for number, line in enumerate(found) if line.startswith("  sinks "))
    assert [*found[:start], *found[end:lacks], *found[sinks:]] == [
        "deepstream-5.1, dgpu",
        "  tensorrt             7.2.2*",
        "  cuda                 11.1*",
        "  ubuntu               18.04",
        "  gstreamer            1.14.5",
        "  released             2021-02",
        "  container            nvcr.io/nvidia/deepstream:5.1-21.02-samples",
        "  parse functions      NvDsInferParseCustomResnet, NvDsInferParseCustomTfSSD,",
        "                       NvDsInferParseCustomFrcnnTLT, NvDsInferParseCustomYOLOV3TLT,",
        "                       NvDsInferParseCustomSSDTLT, NvDsInferParseCustomMrcnnTLT,",
        "                       NvDsInferClassiferParseCustomSoftmax",
        "  parser library       /opt/nvidia/deepstream/deepstream-5.1/lib/libnvds_infercustomparser.so",
        "  onnx opsets          1 to 11",
        "  trtexec              /usr/src/tensorrt/bin/trtexec",
        "  trtexec fp32         --explicitBatch --workspace=1024 --buildOnly",
        "  trtexec fp16         --explicitBatch --workspace=1024 --buildOnly --fp16",
        "  sinks                1: nothing is shown (fakesink), 2: a window (EGL), 3: a video file, 4: an",
        "                       RTSP stream, 6: a message broker",
        "  tracker              /opt/nvidia/deepstream/deepstream-5.1/lib/libnvds_mot_klt.so",
        "  * tensorrt: only in a third-party compatibility table",
        "  * cuda: only in a third-party compatibility table",
    ]


@pytest.mark.parametrize(("count", "more"), [(5, ""), (6, "1 more files: not nvinfer's: Gst-nvtracker\n")])
def test_of_many_files_of_one_plugin_the_first_are_listed(
    count: int, more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{number}.txt" for number in range(count)]
    files = tuple(CheckedFile(name, "other", plugin="Gst-nvtracker") for name in names)
    show_report(CheckReport(files, ChosenTarget(_TARGET, "option")), quiet=False)
    listed = "".join(f"{name}: not nvinfer's: Gst-nvtracker\n" for name in names[:5])
    end = "nothing to check: no config of Gst-nvinfer or deepstream-app\n"
    assert capsys.readouterr().out == f"{listed}{more}{end}"


def test_the_summary_counts_what_could_not_be_read() -> None:
    files = tuple(CheckedFile(name, "nvinfer", error=InputError("gone")) for name in "ab")
    report = CheckReport(files, ChosenTarget(_TARGET, "option"))
    assert summary(report, lambda text, code: f"<{code}>{text}") == (
        "2 files checked for deepstream-9.1, dgpu, TensorRT 10.16: <1;31>2 could not be checked"
    )


@pytest.mark.parametrize(
    ("hints", "more"),
    [
        (("", "", "", ""), "NVI001 NVI002 NVI003"), (("so", "so", "so", "so"), "NVI001"),
        (("so", "", "so", "so"), "NVI002"),
    ],
)  # fmt: skip
def test_the_rules_to_be_explained(hints: tuple[str, ...], more: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every rule once of which a finding has no hint; where all have one, the first."""
    ids = ("NVI001", "NVI002", "NVI001", "NVI003")
    found = tuple(Finding(rule, Level.ERROR, "no", "c.txt", 1, 1, hint) for rule, hint in zip(ids, hints, strict=True))
    file = CheckedFile("c.txt", "nvinfer", findings=found)
    show_report(CheckReport((file,), ChosenTarget(_TARGET, "option")), quiet=False)
    assert capsys.readouterr().out.splitlines()[-1] == f"more: ei-deepstream explain {more}"


def test_of_many_that_one_hint_answers_the_first_are_shown() -> None:
    found = [
        Finding("NVI001", Level.ERROR, f"line {line}", "c.txt", line, 1, "begin it with #") for line in range(1, 9)
    ]
    other = Finding("NVI001", Level.ERROR, "alone", "d.txt", 1, 1, "begin it with #")
    text = "\n".join(lines([*found, other], [], _plain))
    assert text.count("error[NVI001]") == 6
    assert "3 more NVI001 in c.txt: --format json shows them" in text
    assert text.count("hint: begin it with #") == 2  # one a file
