"""A hint that is followed to the letter removes its finding and adds none: all cases, as INI files and as YAML."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convert import check
from convert.check.fixes import FIXABLE
from tests.check.rules.cases import case_folders, config, expected, lay_out
from tests.check.rules.test_hints import as_yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.check.run import CheckReport
    from convert.findings import Finding

# Rules with findings that need a decision, another tool, or a file from elsewhere: their hints, if any, are no lines.
_BY_HAND = {
    "NVI018": "which rule is meant",
    "NVI025": "a file to delete",
    **dict.fromkeys(("NVI031", "NVI032", "NVI035", "NVI036", "NVI037", "NVI038"), "another export of the model"),
    **dict.fromkeys(("NVI081", "NVI085", "NVI087"), "another export of the model"),
    "NVI042": "files that only the user has",
    "NVI044": "another export of the model, or another release",
    "NVI055": "another picture",
    "NVI063": "whether the labels or their number are wrong",
    "NVI068": "a shorter label",
    "NVI069": "another label",
    **dict.fromkeys(("NVI070", "NVI072", "NVI073"), "a library that reads the outputs"),
    "NVI078": "which of two limits is wrong",
    "NVI088": "what the further outputs mean",
    "NVI093": "another limit, or larger frames",
    "NVI095": "where the file is",
    "NVI096": "what the value should be",
    "NVI098": "a command line",
    "NVI100": "in YAML a file to make",
    "NVI111": "numbers that only the user knows",
    "NVI112": "which of two lines is meant",
    "NVI119": "where the line should be",
    "NVI122": "larger frames",
}
"""Rule -> what must be decided or made. A new rule is not one of them: its hint holds the line to write."""


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


def _write_below(lines: list[str], head: str, pairs: list[tuple[str, str]], joint: str) -> None:
    """`key=value` for the group of the line `head`, which is made where it is missing."""
    head = f"{head[1:-1]}:" if joint == ": " else head
    if head not in lines:
        lines.append(head)
    blank = "  " if joint == ": " else ""
    first, last = _group(lines, lines.index(head) + 1)
    for key, value in pairs:
        kept = [text for text in lines[first + 1 : last] if not re.match(rf"\s*{re.escape(key)}\s*[=:]", text)]
        lines[first + 1 : last] = [f"{blank}{key}{joint}{value}", *kept]
        first, last = _group(lines, first + 1)


def _label_file(place: Path, words: str) -> None:
    """Make the label file that a hint describes."""
    count = int(match[0]) if (match := re.match(r"\d+", words)) else 2
    labels = [f"label{number}" for number in range(count)]
    place.write_text(";".join(labels) if "in one line" in words else "\n".join(labels))


def _follow(path: Path, finding: Finding) -> bool:
    """Do as the hint of a finding says, in the files in the folder of `path`; False: it names nothing to be written."""
    hint = finding.hint or ""
    place = path.parent / Path(finding.path or path).name
    if match := re.match(r"(write .*?) in ([\w-]+\.(?:txt|yml))", hint):
        hint, place = match[1], path.parent / match[2]
    lines = place.read_text().split("\n")
    number = finding.line or 1
    joint = ": " if place.suffix == ".yml" else "="
    if match := re.search(r", a file with (.*)", hint):
        _label_file(path.parent / "labels.txt", match[1])
    command = re.split(
        r"; |, or |, another|, unless|, a file|, which|: it is| or (?=\w)| if | \(|, in line|, with a",
        hint.removeprefix("nvinfer does not calculate: "),
    )[0]
    if match := re.fullmatch(r"(write .*) in (\[\S+\])", command):
        command = f"write , and in {match[2]} {match[1].removeprefix('write ')}"
    line = rf"([A-Za-z][\w-]*){joint}(\S+?)(?:,? |,?$)"
    elsewhere = re.fullmatch(r"(.*), and in (\[\S+\]) (.*)", command)
    command = elsewhere[1] if elsewhere else command
    pairs = re.findall(line, command)
    if command.startswith("remove the group"):
        first, last = _group(lines, number)
        lines[first:last] = []
    elif re.match(r"remove (it|the line|this line)\b", command):
        del lines[number - 1]
    elif match := re.match(r"remove (?!the )[\w-]+(?: and [\w-]+)*", command):
        gone = rf"\s*({match[0].removeprefix('remove ').replace(' and ', '|')})\s*[=:]"
        lines = [text for text in lines if not re.match(gone, text)]
        _write(lines, finding, pairs, joint, instead=False)
    elif match := re.match(r"write (\S+) below (\S+) instead", command):
        del lines[number - 1]
        if match[2] not in lines:
            lines.append(match[2])
        lines.insert(lines.index(match[2]) + 1, match[1] if joint == "=" else f"  {match[1]}")
    elif match := re.match(r"write (\[\S+\]|[\w-]+:)$", command):
        lines[number - 1] = match[1]
    elif match := re.match(r"indent it by (\d) blanks", command):
        lines[number - 1] = " " * int(match[1]) + lines[number - 1]
    elif command.startswith("write ") and (pairs or elsewhere):
        is_head = re.fullmatch(r"\[\S+\]|[\w-]+:", lines[number - 1])
        new = not is_head and finding.id in {"NVI009", "NVI012", "NVI045", "NVI106", "NVI114", "NVI120"}
        _write(lines, finding, pairs, joint, instead=new or command.endswith(" instead"))
    else:
        return False
    if elsewhere:
        _write_below(lines, elsewhere[2], re.findall(line, elsewhere[3]), joint)
    place.write_text("\n".join(lines))
    return True


def _wrong(place: Path, name: str, lay: Callable[[], object], options: dict[str, str]) -> tuple[list[object], set[str]]:
    """Hints for the files that `lay` writes that do not do what they say; rules with a finding that has no line."""

    def found() -> CheckReport:
        return check(name, **options)  # type: ignore[arg-type]

    wrong: list[object] = []
    by_hand = set()
    lay()
    report = found()
    before = _found(report)
    for finding in report.findings:
        lay()
        if not _follow(place / name, finding):
            if finding.id not in FIXABLE:
                by_hand.add(finding.id)
                continue
            check(name, select=finding.id, fix=True, **options)  # type: ignore[arg-type]
        after = _found(found())
        key = (finding.id, re.sub(r"\bline \d+", "line", finding.message))
        if after - before or (after[key] >= before[key] and finding.id not in FIXABLE):
            wrong.append((*key, finding.hint, dict(after - before), after[key], before[key]))
    return wrong, by_hand


def _wrong_of(case: Path, form: str, place: Path) -> tuple[list[object], set[str]]:
    """`_wrong` for the folder of a rule."""
    name = config(case, "bad")
    content = (case / name).read_text()
    if form == "yaml":
        if not content.lstrip().startswith("["):
            return [], set()  # a script, or YAML already
        name, content = "bad.yml", as_yaml(content)

    def lay() -> None:
        lay_out(case, place)
        Path(name).write_text(content)

    return _wrong(place, name, lay, _options(case))


@pytest.mark.parametrize("form", ["ini", "yaml"])
@pytest.mark.parametrize("case", case_folders(), ids=lambda case: case.name)
def test_following_a_hint_removes_its_finding(
    case: Path, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong, by_hand = _wrong_of(case, form, tmp_path)
    assert not wrong
    assert by_hand <= set(_BY_HAND)
    if form == ("yaml" if case.name == "NVI100" else "ini"):
        assert (case.name in by_hand) == (case.name in _BY_HAND)


def _assert_followed(place: Path, name: str, content: str, platform: str = "dgpu") -> set[str]:
    """Following a hint of the config `content` removes its finding and adds none; the rules without a line to write."""
    file = place / name
    wrong, by_hand = _wrong(place, name, lambda: file.write_text(content), {"target": "9.1", "platform": platform})
    assert not wrong, content
    return by_hand


_APP = "[streammux]\nbatch-size=1\nwidth=1280\nheight=720\n[source0]\nenable=1\n{more}\n"
_URIS = (
    *("", "file:///data/v.mp4", "file:///data/a%20b.mp4", "file:///data/v_%02d.mp4", "'file:///data/v.mp4'"),
    *("/data/v.mp4", "/data/a%20b.mp4", "v.mp4", "../v.mp4", "rtsp://camera/1", "rtsp://u:p%40@camera/1"),
    *("'rtsp://camera/1'", "http://a/b.mp4", "/dev/video2"),
)
_KEYS = (
    "",
    "camera-v4l2-dev-node=0\ncamera-width=640",
    "camera-csi-sensor-id=0",
    "camera-width=640\ncamera-height=480",
)


@pytest.mark.parametrize("platform", ["dgpu", "jetson"])
@pytest.mark.parametrize("kind", [None, 1, 2, 3, 4, 5, 9])
def test_hints_for_sources(kind: int | None, platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind with every address and every keys, on one of the platforms."""
    monkeypatch.chdir(tmp_path)
    for number, uri in enumerate(_URIS):
        here = (number + (platform == "jetson")) % 2
        for keys in _KEYS[here::2]:
            lines = [f"type={kind}" if kind else "", f"uri={uri}" if uri else "", keys]
            _assert_followed(tmp_path, "app.txt", _APP.format(more="\n".join(each for each in lines if each)), platform)


@pytest.mark.parametrize(
    "group",
    [
        *("[tracker]", "[tracker]\nll-lib-file=/mine/libtracker.so", "[source1]\nuri=file:///x.mp4", "[sink0]\ntype=2"),
        *("[primary-gie]\nbatch-size=1", "[secondary-gie0]\nbatch-size=1"),
    ],
)
def test_hints_for_groups_without_enable(group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not complete stays off."""
    monkeypatch.chdir(tmp_path)
    source = _APP.format(more="type=2\nuri=file:///data/v.mp4")
    assert "NVI106" not in _assert_followed(tmp_path, "app.txt", f"{source}{group}")


@pytest.mark.parametrize("group", ["", "tracker-width=320\nll-config-file=t.yml", "ll-lib-file=/mine/libtracker.so"])
def test_hints_for_trackers(group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.yml").touch()
    old = "ll-lib-file=/opt/nvidia/deepstream/deepstream/lib/libnvds_nvdcf.so"
    for more in ("", old):
        lines = "\n".join(each for each in ("[tracker]\nenable=0", group, more) if each) if group or more else ""
        source = _APP.format(more="type=2\nuri=file:///data/v.mp4")
        assert "NVI108" not in _assert_followed(tmp_path, "app.txt", f"{source}[nvds-analytics]\nenable=1\n{lines}")


@pytest.mark.parametrize("mode", [2, 4])
@pytest.mark.parametrize("masks", list(product([False, True], repeat=3)))
def test_hints_for_masks(mode: int, masks: tuple[bool, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "l.txt").write_text("a\nb\n")
    lines = ("output-instance-mask=1", "parse-bbox-instance-mask-func-name=F", "custom-lib-path=/x/lib.so")
    more = "\n".join(line for line, given in zip(lines, masks, strict=True) if given)
    content = "[property]\nnetwork-type=2\nsegmentation-threshold=0.5\nnum-detected-classes=2\nlabelfile-path=l.txt\n"
    content += f"cluster-mode={mode}\nfilter-out-class-ids=0\n{more}\n"
    assert "NVI080" not in _assert_followed(tmp_path, "c.txt", content)


@pytest.mark.parametrize(
    "line",
    [
        *("offsets: 113,116,123", "offsets: 1,2,3", "offsets: 113.5, 116, 123", "offsets: 113 116  123"),
        *("offsets: 0;0,5;0", "operate-on-class-ids: 1,2", "filter-out-class-ids: 0, 1"),
    ],
)
def test_hints_for_lists_with_commas(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "l.txt").write_text("a\nb\nc\n")
    content = "property:\n  network-type: 0\n  cluster-mode: 2\n  net-scale-factor: 1.0\n  num-detected-classes: 3\n"
    content += f"  labelfile-path: l.txt\n  process-mode: 2\n  operate-on-gie-id: 3\n  {line}\n"
    by_hand = _assert_followed(tmp_path, "c.yml", content)
    rules = {each.id for each in check("c.yml", target="9.1", platform="dgpu").findings}
    (tmp_path / "c.yml").write_text(content)
    found = {each.id for each in check("c.yml", target="9.1", platform="dgpu").findings}
    assert "NVI017" in found - rules | by_hand
    assert not found & {"NVI053", "NVI054"}
