"""A hint that is followed to the letter removes its finding and adds none: all cases, as INI files and as YAML."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convert import check
from convert.check.fixes import FIXABLE
from tests.check.rules.cases import case_folders, config, expected, lay_out
from tests.check.rules.test_hints import as_yaml

if TYPE_CHECKING:
    from convert.check.run import CheckReport
    from convert.findings import Finding

# Hints that nobody can follow by writing into the file at hand.
_DECISIONS = (
    "`ei-deepstream",  # says where to read on, or what to run
    "check where the files are",
    "export",
    "download",
    "convert again",
    "reshape it",
    "build a library",
    "choose --target",
    "delete the engine",
    "write / or two backslashes",  # which of the two is meant
    "is there as a comment",
    "it has",  # the ids there are
    "nvinfer looks for",
    "it is looked for at",
    "rename the file",
    "use at most",
    "leave it out",  # words of a script
    "csv-file-path",  # a file to make
)


def _options(folder: Path) -> dict[str, str]:
    words = expected(folder)["options"]
    given = {"target": "9.1", "platform": "dgpu"}
    names = [word.removeprefix("--") for word in words[::2]]
    return given | {name: value for name, value in zip(names, words[1::2], strict=False) if name in given}


def _found(report: CheckReport) -> Counter[tuple[str, str]]:
    return Counter((each.id, re.sub(r"\bline \d+", "line", each.message)) for each in report.findings)


def _group(lines: list[str], number: int) -> tuple[int, int]:
    """The lines, from 0, of the group that line `number`, from 1, is in: its head, and behind its last one."""
    heads = [at for at, text in enumerate(lines) if re.match(r"\[|[\w-]+:\s*$", text)]
    first = max((at for at in heads if at < number), default=0)
    return first, next((at for at in heads if at > first), len(lines))


def _write(lines: list[str], finding: Finding, pairs: list[tuple[str, str]], joint: str, *, instead: bool) -> None:
    """`key=value` for the group of the finding: over the line with that key, or over the finding's, or in a new one."""
    number = finding.line or 1
    first, last = _group(lines, number)
    blank = "  " if joint == ": " else ""
    if instead:
        del lines[number - 1]
        last -= 1
    for key, value in pairs:
        row = f"{blank}{key}{joint}{value}"
        there = [at for at in range(first, last) if re.match(rf"\s*{re.escape(key)}\s*[=:]", lines[at])]
        if there:
            lines[there[-1]] = row
        else:
            lines.insert(first + 1, row)
            last += 1


def _follow(path: Path, finding: Finding) -> bool:
    """Do as the hint of a finding says, in the files in the folder of `path`; False: nothing is to be written."""
    hint = finding.hint or ""
    place = path.parent / Path(finding.path or path).name
    if match := re.match(r"(write .*?) in ([\w-]+\.(?:txt|yml))", hint):
        hint, place = match[1], path.parent / match[2]
    lines = place.read_text().split("\n")
    joint = ": " if place.suffix == ".yml" else "="
    command = re.split(
        r"; |, or |, another|, unless| or (?=\w)| if | \(|, in line|, with a",
        hint.removeprefix("nvinfer does not calculate: "),
    )[0]
    pairs = re.findall(rf"([A-Za-z][\w-]*){joint}(\S+?)(?:,? |,?$)", command)
    number = finding.line or 1
    if command.startswith("remove the group"):
        first, last = _group(lines, number)
        lines[first:last] = []
    elif re.match(r"remove (it|the line|this line)\b", command):
        del lines[number - 1]
    elif match := re.match(r"remove (?!the )([\w-]+)(?: and ([\w-]+))?", command):
        gone = rf"\s*({match[1]}|{match[2]})\s*[=:]"
        lines = [text for text in lines if not re.match(gone, text)]
        _write(lines, finding, pairs, joint, instead=False)
    elif match := re.match(r"did you mean (\S+)\?|write ([\w-]+)$", command):
        name = match[1] or match[2]
        old = r"\[.*?\]|^[\w-]+:" if name[0] == "[" or name[-1] == ":" else r"[\w-]+(?=\s*[=:])"
        lines[number - 1] = re.sub(old, name, lines[number - 1], count=1)
    elif match := re.match(r"indent it by (\d) blanks", command):
        lines[number - 1] = " " * int(match[1]) + lines[number - 1]
    elif command.startswith("write ") and pairs:
        instead = finding.id in {"NVI012", "NVI045"} or command.endswith(" instead")
        _write(lines, finding, pairs, joint, instead=instead)
    else:
        return False
    place.write_text("\n".join(lines))
    return True


@pytest.mark.parametrize("form", ["ini", "yaml"])
@pytest.mark.parametrize("case", case_folders(), ids=lambda case: case.name)
def test_following_a_hint_removes_its_finding(
    case: Path, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, options = config(case, "bad"), _options(case)
    content = (case / name).read_text()
    if form == "yaml":
        if not content.lstrip().startswith("["):
            return  # a script, or YAML already
        name, content = "bad.yml", as_yaml(content)

    def lay() -> CheckReport:
        lay_out(case, tmp_path)
        Path(name).write_text(content)
        return check(name, **options)  # type: ignore[arg-type]

    wrong = []
    for finding in lay().findings:
        if finding.hint is None or any(words in finding.hint.partition("; nvinfer looks")[0] for words in _DECISIONS):
            continue
        before = _found(lay())
        if not _follow(tmp_path / name, finding):
            assert finding.id in FIXABLE, finding
            check(name, select=finding.id, fix=True, **options)  # type: ignore[arg-type]
        after = _found(check(name, **options))  # type: ignore[arg-type]
        added = after - before
        key = (finding.id, re.sub(r"\bline \d+", "line", finding.message))
        if added or (after[key] >= before[key] and finding.id not in FIXABLE):
            wrong.append((finding.id, finding.message[:80], finding.hint, dict(added), after[key], before[key]))
    assert not wrong
