"""Configs of Gst-nvdsanalytics and the tracker: what is read of them as NVIDIA's parsers do, and what is found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.check.analytics import on_analytics, read_analytics
from convert.check.loading import check_target
from convert.check.rules.analytics import tracker_findings
from convert.check.run import Checker
from convert.nvinfer.keys import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from convert.check.run import CheckReport

HEAD = "[property]\nenable=1\nconfig-width=1280\nconfig-height=720\n"
LINE = "[line-crossing-stream-0]\nenable=1\nextended=0\nline-crossing-Gate=640;300;640;420;400;360;800;360\n"
ZONE = "[{kind}-stream-0]\nenable=1\nroi-Z={numbers}\n"
SQUARE = "10;10;200;10;200;200;10;200"


def as_yaml(text: str) -> str:
    """The same groups and values as YAML, values as they are written."""
    lines = (f"{line[1:-1]}:" if line[0] == "[" else "  " + line.replace("=", ": ", 1) for line in text.splitlines())
    return "\n".join(lines) + "\n"


def found(text: str, release: str = "9.1", *, form: str = "txt") -> list[str]:
    """Level and id of each finding, in order."""
    if form == "yml":
        text = as_yaml(text)
    file = read_analytics(text.encode(), f"a.{form}", release)
    return [f"{each.id} {each.level.value}" for each in on_analytics.findings(file)]


@pytest.mark.parametrize("release", ["6.3", "9.1"])
def test_ini_files_are_refused_as_recorded(vectors: Path, release: str) -> None:
    cases = json.loads((vectors / "analytics/parser.json").read_text("utf-8"))["cases"]
    assert len(cases) == 25
    for case in cases:
        file = read_analytics(case["text"].encode(), "a.txt", release)
        recorded = case["result"][release]
        assert (file.verdict is Verdict.ACCEPTED) == recorded["accepted"], case["name"]
        ids = {each.id for each in on_analytics.findings(file)}
        assert ("NVI110" in ids) == (not recorded["accepted"]), case["name"]
        for said in recorded["says"] if recorded["accepted"] else ():
            assert ("NVI113" if "for key 'mode'" in said else "NVI114") in ids, case["name"]


def test_values_are_read_as_the_parser_reads_them() -> None:
    text = HEAD + LINE.replace("enable=1", "enable=true") + "class-id=0;2;\nmode=strict\n"
    file = read_analytics(text.encode(), "a.txt", "9.1")
    (group,) = file.groups
    assert file.size == (1280, 720)
    assert (group.stream, group.is_on) == (0, True)
    assert {key: group.values[key] for key in ("class-id", "mode", "extended")} == {
        "class-id": (0, 2),
        "mode": "strict",
        "extended": False,
    }
    assert [(each.label, each.numbers) for each in group.shapes] == [("Gate", (640, 300, 640, 420, 400, 360, 800, 360))]


def test_a_key_twice_has_the_last_value_and_no_number_is_stream_0() -> None:
    text = HEAD + LINE.replace("-0]", "-x]") + LINE.splitlines()[-1].replace("640;300", "600;300") + "\n"
    (group,) = read_analytics(text.encode(), "a.txt", "9.1").groups
    assert group.stream == 0
    assert [each.numbers[0] for each in group.shapes] == [600, 600]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (HEAD + LINE, []),
        (HEAD + "osd-mode=2\n" + LINE, []),
        (HEAD + LINE.replace("-stream-0", "-stream-"), ["NVI115 warning"]),
        (HEAD + LINE.replace("line-crossing-stream", "linecrossing-stream"), ["NVI114 warning"]),
        (HEAD + LINE.replace("800;360", "800;360;1"), ["NVI111 warning"]),
        (HEAD + LINE + LINE.replace("-0]", "-00]"), ["NVI112 warning"]),
        (HEAD + LINE + LINE.replace("-0]", "-1]"), []),
        (HEAD + LINE.replace("640;300;640;420", "640;300;640;300"), ["NVI118 warning"]),
        (HEAD + LINE.replace("400;360;800;360", "400;360;400;360"), ["NVI118 warning"]),
        (HEAD + LINE.replace("640;300;640;420", "0;0;5000;5000"), []),
        (HEAD + LINE.replace("400;360;800;360", "400;360;1300;360"), ["NVI119 note"]),
        (HEAD.replace("enable=1", "enable=0"), ["NVI116 warning"]),
        (HEAD + ZONE.format(kind="roi-filtering", numbers=SQUARE), []),
        (HEAD + ZONE.format(kind="roi-filtering", numbers=SQUARE + ";7"), ["NVI111 error"]),
        (HEAD + ZONE.format(kind="overcrowding", numbers="1;1;9;9"), ["NVI111 error"]),
        (HEAD + "[direction-detection-stream-0]\nenable=1\ndirection-N=1;1;9;9;\n", []),
        (HEAD + "[direction-detection-stream-0]\nenable=1\ndirection-N=9;9;9;9;\n", ["NVI118 warning"]),
        (HEAD + "[direction-detection-stream-0]\nenable=1\ndirection-N=1;1;9\n", ["NVI111 error"]),
        (HEAD + "obj-cnt-win-in-ms=20\n" + LINE, []),
        (HEAD + "obj-cnt-win-in-ms=200\n" + LINE, ["NVI123 note"]),
        (HEAD + "obj-cnt-win-in-ms=0\n" + LINE, ["NVI110 error"]),
        ("[property]\nnonsense\n", ["NVI110 error"]),
    ],
)  # fmt: skip
def test_what_is_found(text: str, ids: list[str]) -> None:
    assert found(text) == ids


def test_obj_cnt_win_in_ms_depends_on_the_release() -> None:
    text = HEAD + "obj-cnt-win-in-ms=200\n" + LINE
    assert found(text, "7.1") == []
    assert found(text.replace("=200", "=0"), "6.3") == []
    assert found(HEAD + "osd-mode=0\nobj-cnt-win-in-ms=30\n" + LINE, "6.3") == ["NVI110 error"]
    assert found(HEAD + "osd-mode=0\nobj-cnt-win-in-ms=30\n" + LINE) == []


@pytest.mark.parametrize(
    ("text", "ids", "verdict"),
    [
        (HEAD + LINE, [], Verdict.ACCEPTED),
        ("[property]\nenable=1\n" + LINE, [], Verdict.ACCEPTED),
        (HEAD + LINE.replace("enable=1", "enable=true"), ["NVI110 error"], Verdict.ABORTS),
        (HEAD + LINE.replace("800;360", "800;x"), ["NVI110 error"], Verdict.ABORTS),
        (HEAD + LINE.replace("800;360", "800;360;"), ["NVI111 error"], Verdict.ACCEPTED),
        (HEAD + LINE.replace("800;360", "800;-360"), ["NVI111 error"], Verdict.ACCEPTED),
        (HEAD + ZONE.format(kind="roi-filtering", numbers=SQUARE + ";7"), ["NVI111 error"], Verdict.ACCEPTED),
        (HEAD + ZONE.format(kind="overcrowding", numbers=SQUARE + ";7"), ["NVI111 error"], Verdict.ACCEPTED),
        (HEAD + LINE + "class-id=-1\n", [], Verdict.ACCEPTED),
        (LINE, ["NVI110 error"], Verdict.REJECTED),
    ],
)
def test_yaml_is_read_by_other_rules(text: str, ids: list[str], verdict: Verdict) -> None:
    assert found(text, form="yml") == ids
    assert read_analytics(as_yaml(text).encode(), "a.yml", "9.1").verdict is verdict


def test_yaml_is_read_up_to_a_wrong_shape_except_in_overcrowding() -> None:
    for kind, message in (("roi-filtering", "the rest of the file is not read"), ("overcrowding", "read from memory")):
        file = read_analytics(as_yaml(HEAD + ZONE.format(kind=kind, numbers="1;2;3;4;5;6;7")).encode(), "a.yml", "9.1")
        (finding,) = on_analytics.findings(file)
        assert message in finding.message


def test_yaml_class_ids_wrap_round_to_minus_one() -> None:
    file = read_analytics(as_yaml(HEAD + LINE + "class-id=-1\n").encode(), "a.yml", "9.1")
    assert file.groups[0].values["class-id"] == (-1,)


def test_63_cuts_two_letters_off_labels_in_yaml() -> None:
    text = HEAD + LINE.replace("Gate", "Gate-a") + LINE.splitlines()[-1].replace("Gate", "Gate-b") + "\n"
    assert found(text, "6.3", form="yml") == ["NVI112 warning"]
    assert found(text, form="yml") == found(text, "6.3") == []


TRACKER = "%YAML:1.0\nBaseConfig:\n  minDetectorConfidence: 0\nDataAssociator:\n  checkClassMatch: 1\n"


@pytest.mark.parametrize(
    ("text", "release", "says"),
    [
        (TRACKER, "9.1", []),
        (TRACKER.replace("BaseConfig", "BaseConfigs"), "9.1", ["warning the tracker has no group BaseConfigs"]),
        (TRACKER.replace("Match:", "Matches:"), "9.1", ["warning DataAssociator has no key checkClassMatches"]),
        (TRACKER.replace("checkClassMatch", "probationAge"), "9.1", ["warning DataAssociator has no key probationAge"]),
        (TRACKER.replace("checkClassMatch", "somethingNew"), "9.1", []),
        (TRACKER.replace("checkClassMatch", "usePrediction4Assoc"), "6.2", []),
        (
            TRACKER.replace("checkClassMatch", "usePrediction4Assoc"),
            "6.1.1",
            ["note usePrediction4Assoc is in NVIDIA's samples since 6.2; this is for 6.1.1"],
        ),
        ("NvDCF:\n  useUniqueID: 1\n", "5.1", []),
        (
            "NvDCF:\n  useUniqueID: 1\n",
            "6.0",
            ["warning NvDCF is a group of DeepStream up to 5.1; 6.0 has other groups in its place"],
        ),
        ("BaseConfig:\n\tx: 1\n", "9.1", ["warning a value cannot stand here (often a tab or wrong indentation)"]),
    ],
)
def test_tracker_configs(text: str, release: str, says: list[str]) -> None:
    each = [f"{each.level.value} {each.message}" for each in tracker_findings(text.encode(), "t.yml", release)]
    assert each == says


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("TargetManagement: {probationAge: 5}", None),
        ("TargetManagement: {probationAge: -1}", ""),
        ("TargetManagement: {probationAge: 5.5}", ""),
        ("TargetManagement: {probationAge: '5'}", None),
        ("TargetManagement: {probationAge: 5.}", "write probationAge: 5"),
        ("TargetManagement: {probationAge: }", ""),
        ("TargetManagement: {probationAge: [5]}", ""),
        ("TargetManagement: {maxTargetsPerStream: 65536}", ""),
        ("TrajectoryManagement: {reidExtractionInterval: -1}", None),
        ("TrajectoryManagement: {useUniqueID: true}", None),
        ("TrajectoryManagement: {useUniqueID: 2}", ""),
        ("TrajectoryManagement: {useUniqueID: enable}", "write useUniqueID: 1"),
        ("BaseConfig: {minDetectorConfidence: -.inf}", None),
        ("BaseConfig: {minDetectorConfidence: -1e-3}", None),
        ("BaseConfig: {minDetectorConfidence: low}", ""),
        ("DataAssociator: {minMatchingScore4Iou: 1.0}", None),
        ("DataAssociator: {minMatchingScore4Iou: 1.01}", ""),
        ("DataAssociator: {minMatchingScore4Iou: 40}", "write minMatchingScore4Iou: 0.4"),
        ("DataAssociator: {thresholdMahalanobis: -1.0}", None),  # of no known type
    ],
)
def test_values_of_a_tracker(value: str, hint: str | None) -> None:
    found = list(tracker_findings(f"{value}\n".encode(), "t.yml", "7.1"))
    assert [(each.id, each.hint or "") for each in found] == ([] if hint is None else [("NVI124", hint)])


@pytest.mark.parametrize("digit", ["0", "1"])
def test_repeated_characters_take_no_time(digit: str) -> None:
    for name in ("minDetectorConfidence", "minIouDiff4NewTarget"):
        assert list(tracker_findings(f"BaseConfig: {{{name}: {digit * 10**5}x}}\n".encode(), "t.yml", "7.1"))
    assert "NVI110 error" in found(ZONE.format(kind="roi-filtering", numbers="1," * 10**5 + "x"))


APP = """[application]
a=1
[source0]
enable=1
type=3
uri=file:///v.mp4
[streammux]
batch-size=1
width={width}
height=720
[nvds-analytics]
enable=1
config-file=lines.txt
[tracker]
enable=1
ll-lib-file=/opt/nvidia/deepstream/deepstream/lib/libnvds_nvmultiobjecttracker.so
ll-config-file=tracker.yml
tracker-width=640
tracker-height=384
"""


def checked(folder: Path, lines: str | None = HEAD + LINE, *, width: int = 1280) -> CheckReport:
    if lines is not None:
        (folder / "lines.txt").write_text(lines)
    (folder / "tracker.yml").write_text(TRACKER)
    (folder / "app.txt").write_text(APP.format(width=width))
    return Checker(check_target("9.1", "dgpu"))([str(folder / "app.txt")])


def test_an_app_leads_to_the_configs_of_analytics_and_tracker(tmp_path: Path) -> None:
    report = checked(tmp_path, HEAD + LINE.replace("extended=0\n", ""))
    assert [file.kind for file in report.files] == ["deepstream-app", "nvdsanalytics", "nvtracker"]
    assert [finding.id for finding in report.findings] == ["NVI117"]


@pytest.mark.parametrize(
    ("lines", "width", "ids"),
    [
        (HEAD + LINE, 1280, []),
        (HEAD + LINE, 160, ["NVI122 note"]),
        (HEAD + LINE, 1, ["NVI122 note"]),
        (HEAD + LINE.replace("enable=1", "enable=0"), 160, []),
        (HEAD + LINE.replace("-0]", "-1]"), 1280, ["NVI121 warning"]),
        (HEAD + LINE + LINE.replace("-0]", "-1]"), 1280, ["NVI121 note"]),
        (None, 1280, ["NVI095 error"]),
    ],
)
def test_analytics_and_their_app_fit(tmp_path: Path, lines: str | None, width: int, ids: list[str]) -> None:
    assert [f"{each.id} {each.level.value}" for each in checked(tmp_path, lines, width=width).findings] == ids


_BYTES = st.lists(
    st.sampled_from(
        [(HEAD + LINE).encode(), as_yaml(HEAD + LINE).encode(), ZONE.encode(), TRACKER.encode(), b"roi-=;", b"enable=\xff\n"]
    ).flatmap(lambda text: st.integers(0, len(text)).map(lambda end: text[:end]))
    | st.binary(max_size=20),
    max_size=4,
).map(b"".join)  # fmt: skip


@given(_BYTES, st.sampled_from(["a.txt", "a.yml"]), st.sampled_from(["6.3", "9.1"]))
def test_any_bytes_are_read(data: bytes, name: str, release: str) -> None:
    file = read_analytics(data, name, release)
    for finding in (*on_analytics.findings(file), *tracker_findings(data, name, release)):
        assert finding.message
