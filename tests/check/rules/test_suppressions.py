"""Suppressions and the selection of rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from convert.check.context import read_suppressions
from convert.check.loading import check_target
from convert.check.run import Checker, select_rules
from convert.errors import PresetError

if TYPE_CHECKING:
    from pathlib import Path


def test_for_the_next_line_and_for_the_file() -> None:
    suppressions = read_suppressions(
        b"# check: ignore-file NVI038\n"
        b"[property]\n"
        b"# check: ignore NVI004, nvi015;NVI009\n"
        b"# a comment in between\n"
        b"\n"
        b"batch-size=1 # x\n"
        b"interval=1 # y\n"
        b"  #check:ignore NVI051\r\n"
        b"gpu-id=0\r\n"
    )
    assert suppressions.file == {"NVI038"}
    assert suppressions.lines == {6: {"NVI004", "NVI015", "NVI009"}, 9: {"NVI051"}}


@pytest.mark.parametrize("text", [b"", b"# checked: ignore NVI001", b"batch-size=1 # check: ignore NVI004", b"#check"])
def test_other_comments_suppress_nothing(text: bytes) -> None:
    suppressions = read_suppressions(b"[property]\n" + text + b"\nbatch-size=1\n")
    assert not suppressions.file
    assert not suppressions.lines


def test_ids_that_do_not_exist_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "c.txt"
    path.write_text("# check: ignore NVI999 NVI004\n[property]\n# check: ignore-file all EI999\n")
    found = [each for each in Checker(check_target("9.1", "dgpu"))([str(path)]).findings if each.id == "NVI018"]
    assert [(each.line, each.message) for each in found] == [
        (1, "there is no rule NVI999"),
        (3, "there is no rule all"),
    ]


def test_a_suppressed_finding_is_counted_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "c.txt"
    path.write_text(
        "# check: ignore-file NVI024\n# check: ignore NVI051\n[property]\ngie-unique-id=1\nnetwork-type=100\n"
        "output-tensor-meta=1\nonnx-file=m.onnx\nmodel-engine-file=m.onnx_b1_gpu0_fp32.engine\n"
    )
    report = Checker(check_target("9.1", "dgpu"))([str(path)])
    assert report.findings == ()
    assert len(report.suppressed) == 2
    assert {finding.id for finding in report.files[0].suppressed} == {"NVI024", "NVI051"}


@pytest.mark.parametrize(
    ("select", "ignore", "yes", "no"),
    [
        ((), (), ["NVI001", "NVI098"], []),
        (("NVI07",), (), ["NVI070", "NVI074"], ["NVI069", "NVI001"]),
        (("nvi001,NVI002", "NVI003"), (), ["NVI001", "NVI003"], ["NVI004"]),
        ((), ("NVI07,NVI001",), ["NVI002", "NVI069"], ["NVI001", "NVI070"]),
        (("NVI0",), ("NVI07",), ["NVI060"], ["NVI070"]),
        (("NVI070",), ("NVI07",), ["NVI070"], ["NVI071"]),
        ((), ("NVI",), [], ["NVI001"]),
    ],
)
def test_select_and_ignore(select: tuple[str, ...], ignore: tuple[str, ...], yes: list[str], no: list[str]) -> None:
    wanted = select_rules(select, ignore)
    assert all(wanted(rule) for rule in yes)
    assert not any(wanted(rule) for rule in no)


def test_a_rule_that_does_not_exist_cannot_be_chosen() -> None:
    with pytest.raises(PresetError, match="NVX"):
        select_rules(("NVX",), ())
