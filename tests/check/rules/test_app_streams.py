"""deepstream-app's sources, frames, batches, tracker and names: what stops it, what surprises, and what is right."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from convert.check.app import app_groups, read_app, sources, stream_count
from convert.check.loading import check_target
from convert.check.rules.app import is_other
from convert.check.run import Checker
from convert.nvinfer.targets import releases

if TYPE_CHECKING:
    from pathlib import Path

    from convert.findings import Finding

MUX = {"batch-size": "1", "width": "1280", "height": "720"}
FILE = {"enable": "1", "type": "3", "uri": "file:///videos/street.mp4"}
RTSP = {"enable": "1", "type": "4", "uri": "rtsp://camera/1"}
CAMERA = {"camera-width": "640", "camera-height": "480", "camera-fps-n": "30", "camera-fps-d": "1"}
LIVE = {**MUX, "live-source": "1"}
TRACKER = {
    "enable": "1",
    "tracker-width": "640",
    "tracker-height": "384",
    "ll-lib-file": "/opt/nvidia/deepstream/deepstream/lib/libnvds_nvmultiobjecttracker.so",
    "ll-config-file": "tracker.yml",
}
_LIST = {"num-source-bins": "1", "list": "file:///a.mp4;"}
_ALL = {"enable": "1", "type": "3"}


def ini(groups: dict[str, dict[str, str]]) -> str:
    """The groups as INI, on a muxer and a source that are right where none are given."""
    whole = {"streammux": MUX, **({} if "source-list" in groups else {"source0": FILE}), **groups}
    return "".join(f"[{name}]\n" + "".join(f"{k}={v}\n" for k, v in keys.items()) for name, keys in whole.items())


def _found(
    folder: Path, text: str, release: str = "9.1", platform: str = "jetson", name: str = "app.txt"
) -> list[Finding]:
    (folder / name).write_text(text)
    report = Checker(check_target(release, platform))([str(folder / name)])
    assert report.error is None
    return list(report.findings)


def _shown(found: list[Finding]) -> list[str]:
    return sorted(f"{each.id} {each.level}" for each in found)


INI: list[tuple[dict[str, dict[str, str]], list[str]]] = [
    ({}, []),
    ({"source0": {"enable": "1", "uri": "file:///a.mp4"}}, ["NVI100 error"]),
    ({"source0": {**FILE, "type": "9"}}, ["NVI100 error"]),
    ({"source0": {"enable": "0", "type": "9"}}, []),
    ({"source0": {**FILE, "type": "2", "uri": "street.mp4"}}, ["NVI100 error"]),
    ({"source0": {**FILE, "uri": "/data/street.mp4"}}, ["NVI100 error"]),
    ({"source0": {**FILE, "uri": '"file:///a.mp4"'}}, ["NVI100 error"]),
    ({"source0": {**FILE, "uri": "file:/data/street.mp4"}}, []),
    ({"source0": {"enable": "1", "type": "2"}}, ["NVI100 error"]),
    ({"source0": {**FILE, "uri": "file:///a%20b.mp4"}}, ["NVI100 error"]),
    ({"source0": {**FILE, "type": "2", "uri": "file:///a%20b.mp4"}}, []),
    ({"source0": {**FILE, "uri": "file:///a%%20b.mp4"}}, []),
    ({"source0": {**FILE, "uri": "file:///a_%02d.mp4", "num-sources": "2"}, "streammux": {**MUX, "batch-size": "2"}}, []),
    ({"source0": {**RTSP, "uri": "file:///a.mp4"}, "streammux": LIVE}, ["NVI100 error"]),
    ({"source0": {**RTSP, "uri": "rtsps://camera/1"}, "streammux": LIVE}, []),
    ({"source": FILE}, ["NVI100 error"]),
    ({"sources": FILE}, ["NVI100 error"]),
    ({"source0": RTSP}, ["NVI102 warning"]),
    ({"source0": {**FILE, "uri": "rtsp://camera/1"}}, ["NVI102 warning"]),
    ({"source0": {**RTSP, "type": "3", "smart-record": "2"}, "streammux": LIVE}, ["NVI102 warning"]),
    ({"source0": {"enable": "1", "type": "1"}, "streammux": LIVE}, ["NVI101 error", "NVI101 warning"]),
    ({"source0": {"enable": "1", "type": "5", **CAMERA}, "streammux": LIVE}, []),
    ({"source0": {"enable": "1", "type": "5", **CAMERA, "camera-height": "0"}, "streammux": LIVE}, ["NVI101 error"]),
    ({"source0": {"enable": "1", "type": "1", **CAMERA}}, ["NVI102 warning"]),
    ({"source0": {**FILE, "uri": "file://home/me/street.mp4"}}, ["NVI103 warning"]),
    ({"source0": {**FILE, "uri": "file://street.mp4"}}, ["NVI103 note"]),
    ({"source0": {**FILE, "uri": "file://../street.mp4"}}, []),
    ({"source0": {**FILE, "uri": "file://app.txt"}}, []),
    ({"source0": {**FILE, "num-sources": "4"}}, ["NVI104 warning"]),
    ({"source1": FILE}, ["NVI104 warning"]),
    ({"source1": {**FILE, "enable": "0"}}, []),
    ({"source1": FILE, "streammux": {**MUX, "batch-size": "2"}}, []),
    ({"tiled-display": {"enable": "1", "rows": "1", "columns": "1"}, "source1": FILE,
      "streammux": {**MUX, "batch-size": "2"}}, ["NVI104 note"]),
    ({"tiled-display": {"enable": "0", "rows": "1", "columns": "1"}, "source1": FILE,
      "streammux": {**MUX, "batch-size": "4"}}, []),
    ({"streammux": {"batch-size": "1", "width": "1280"}}, ["NVI105 error"]),
    ({"streammux": {"batch-size": "1", "config-file-path": "mux.txt"}}, []),
    ({"sink0": {"type": "1"}}, ["NVI106 warning"]),
    ({"sink0": {"enable": "true", "type": "1"}}, ["NVI106 warning"]),
    ({"tracker": {**TRACKER, "enable": "true"}}, ["NVI096 error"]),
    ({"osd": {"enable": "1", "border-width": "2# pixels"}}, ["NVI096 error"]),
    ({"osd": {"enable": "1", "text-color": "1;1;1;1;"}}, []),
    ({"osd": {"enable": "1", "text-color": "1;1;white;1;"}}, ["NVI096 error"]),
    ({"sink0": {"enable": "0", "type": "x"}}, []),
    ({"tiled_display": {"enable": "1"}}, ["NVI106 warning"]),
    ({"my-own-group": {"enable": "1"}}, []),
    ({"sink0": {"enable": "1", "type": "1", "bitrtae": "0"}}, ["NVI106 warning"]),
    ({"sink0": {"enable": "1", "type": "1", "my-own-key": "0"}}, []),
    ({"sink0": {"enable": "1", "type": "7"}}, ["NVI097 error"]),
    ({"tracker": TRACKER}, []),
    ({"tracker": {**TRACKER, "ll-lib-file": ""}}, ["NVI108 error"]),
    ({"tracker": {**TRACKER, "ll-lib-file": "/opt/nvidia/deepstream/deepstream/lib/libnvds_nvdcf.so"}}, ["NVI108 error"]),
    ({"tracker": {**TRACKER, "ll-lib-file": "/opt/nvidia/deepstream/deepstream-5.1/lib/libnvds_nvdcf.so"}},
     ["NVI108 warning"]),
    ({"tracker": {**TRACKER, "ll-lib-file": "/mine/libtracker.so", "ll-config-file": ""}}, []),
    ({"tracker": {**TRACKER, "ll-config-file": ""}}, ["NVI108 note"]),
    ({"tracker": {**TRACKER, "tracker-height": "0"}}, ["NVI108 warning"]),
    ({"nvds-analytics": {"enable": "1", "config-file": "a.txt"}}, ["NVI095 error", "NVI108 warning"]),
    ({"nvds-analytics": {"enable": "1"}, "tracker": TRACKER}, ["NVI095 error"]),
    ({"source-list": _LIST, "source-attr-all": _ALL}, []),
    ({"source-list": _LIST}, ["NVI100 error"]),
    ({"source-list": {**_LIST, "num-source-bins": "2"}, "source-attr-all": _ALL}, ["NVI100 error"]),
    ({"source-list": {**_LIST, "list": "http://a/b.mp4"}, "source-attr-all": _ALL}, ["NVI100 error"]),
    ({"source-list": {**_LIST, "list": "rtsp://a/b"}, "source-attr-all": _ALL}, ["NVI102 warning"]),
]  # fmt: skip


@pytest.mark.parametrize(("groups", "expected"), INI)
def test_ini(tmp_path: Path, groups: dict[str, dict[str, str]], expected: list[str]) -> None:
    assert _shown(_found(tmp_path, ini(groups))) == expected


def test_a_csi_camera_needs_a_jetson(tmp_path: Path) -> None:
    text = ini({"source0": {"enable": "1", "type": "5", **CAMERA}, "streammux": LIVE})
    assert _shown(_found(tmp_path, text, platform="dgpu")) == ["NVI100 error"]


OF_RELEASES: list[tuple[dict[str, dict[str, str]], str, list[str]]] = [
    ({"pre-process": {"enable": "0"}}, "5.1", ["NVI097 warning"]),
    ({"pre-process": {"enable": "0"}}, "6.0", []),
    ({"sink0": {"enable": "1", "type": "1", "overlay-id": "1"}}, "6.0.1", []),
    ({"sink0": {"enable": "1", "type": "1", "overlay-id": "1"}}, "6.1", ["NVI097 note"]),
    ({"streammux": {**MUX, "config-file": "mux.txt"}}, "8.0", ["NVI097 warning"]),
    ({"source0": {**FILE, "video-format": "NV12"}}, "6.1.1", ["NVI097 warning"]),
    ({"source0": {**FILE, "video-format": "NV12"}}, "6.2", []),
    ({"streammux": {**MUX, "sort-batch": "x"}}, "7.1", ["NVI097 warning"]),
    ({"streammux": {**MUX, "sort-batch": "x"}}, "8.0", ["NVI096 error"]),
    ({"tracker": {**TRACKER, "ll-lib-file": "a/libnvds_nvmultiobjecttracker.so"}}, "5.1", ["NVI108 error"]),
]


@pytest.mark.parametrize(("groups", "release", "expected"), OF_RELEASES)
def test_releases(tmp_path: Path, groups: dict[str, dict[str, str]], release: str, expected: list[str]) -> None:
    assert _shown(_found(tmp_path, ini(groups), release)) == expected


SHELL = "streammux:\n  batch-size: 1\n  width: 1280\n  height: 720\n{more}sink0:\n  enable: 1\n  type: 1\n"
CSV = "source:\n  csv-file-path: s.csv\n"


YAML: list[tuple[str, str | None, list[str]]] = [
    (CSV, "enable,type,uri,num-sources\n1,3,file:///a.mp4,1\n", []),
    (CSV, "# mine\n\nenable,type,uri\n1,2,file:///a.mp4\n0,9,x\n", []),
    (CSV, "enable,type,uri\n1,2,street.mp4\n", ["NVI100 error"]),
    (CSV, "enable,type,uri\n1,2,file:///a.mp4\n1,2,file:///b.mp4\n", ["NVI104 warning"]),
    (CSV, "enable,type,uri\n1,four,rtsp://a\n", ["NVI096 error", "NVI100 error", "NVI102 warning"]),
    (CSV, None, []),
    ("source0:\n  enable: 1\n  type: 3\n  uri: file:///a.mp4\n", None, ["NVI100 error"]),
    (CSV + "osd:\n  enable: true\n", None, ["NVI096 error"]),
    (CSV + "osd:\n  display-text: 1\n", None, ["NVI106 warning"]),
    (CSV + "tiled_display:\n  enable: 1\n", None, ["NVI106 warning"]),
]


@pytest.mark.parametrize(("more", "csv", "expected"), YAML)
def test_yaml(tmp_path: Path, more: str, csv: str | None, expected: list[str]) -> None:
    if csv is not None:
        (tmp_path / "s.csv").write_text(csv)
    assert _shown(_found(tmp_path, SHELL.format(more=more), name="app.yml")) == expected


def test_yaml_came_with_6_1(tmp_path: Path) -> None:
    (finding,) = _found(tmp_path, SHELL.format(more=CSV), "6.0.1", name="app.yml")
    assert (finding.id, finding.message) == ("NVI096", "deepstream-app of 6.0.1 reads no YAML; since 6.1")


@pytest.mark.parametrize(
    "more",
    [
        "source-list:\n  list: file:///a.mp4\n",
        "primary-gie0:\n  enable: 1\n",
        "tiler:\n  width: 3\n",
        "source:\n  location: a.h264\n",
        "primary-gie:\n  plugin-type: 0\n  config-file-path: d.yml\n",
    ],
)
def test_configs_of_other_programs_are_left_alone(tmp_path: Path, more: str) -> None:
    app = read_app(SHELL.format(more=more).encode(), "app.yml", "9.1")
    assert is_other(app)
    assert _found(tmp_path, SHELL.format(more=more), name="app.yml") == []
    assert not is_other(read_app(SHELL.format(more=CSV).encode(), "app.yml", "9.1"))
    assert is_other(read_app(b"[source0]\nuri=file://a.wav\n[sink0]\nsync=1\n", "asr.cfg", "9.1"))


_DETECTOR = """[property]
gie-unique-id=1
network-type=0
onnx-file=/elsewhere/d.onnx
model-engine-file=/elsewhere/d.onnx_b1_gpu0_fp32.engine
labelfile-path=/elsewhere/labels.txt
net-scale-factor=1.0
num-detected-classes=2
cluster-mode=2
infer-dims=3;64;96
{more}
"""


@pytest.mark.parametrize(
    ("app", "config", "platform", "expected"),
    [
        ({}, "", "jetson", []),
        ({"streammux": {**MUX, "height": "1080"}}, "", "jetson", ["NVI107 error"]),
        ({"streammux": {**MUX, "height": "1080"}}, "", "dgpu", []),
        ({"streammux": {**MUX, "height": "1080"}}, "scaling-compute-hw=1", "jetson", []),
        ({"streammux": {**MUX, "height": "1080"}, "pre-process": {"enable": "1"}}, "", "jetson", []),
        ({}, "process-mode=2\noperate-on-gie-id=3\ninfer-dims=3;320;96", "jetson", []),
    ],
)
def test_frames_that_are_scaled_too_far(
    tmp_path: Path, app: dict[str, dict[str, str]], config: str, platform: str, expected: list[str]
) -> None:
    (tmp_path / "d.txt").write_text(_DETECTOR.format(more=config))
    gie = {"enable": "1", "gie-unique-id": "1", "config-file": "d.txt"}
    found = _found(tmp_path, ini({"primary-gie": gie, **app}), platform=platform)
    assert [each for each in _shown(found) if each.startswith(("NVI1", "NVI096"))] == expected


@pytest.mark.parametrize(
    ("config", "needed"),
    [
        ("", (20, 6)),
        ("input-object-min-height=20", None),
        ("input-object-min-height=19", (20, 6)),
        ("input-object-min-width=64", (20, 6)),
        ("infer-dims=3;96;320\ninput-object-min-height=64", (6, 20)),
        ("infer-dims=3;96;320\ninput-object-min-width=20", None),
        ("maintain-aspect-ratio=1", None),
        ("scaling-compute-hw=1", None),
        ("process-mode=1", None),
    ],
)
def test_objects_that_are_scaled_too_far(tmp_path: Path, config: str, needed: tuple[int, int] | None) -> None:
    """320 pixels of 16 are 20 times as many; 96 need nothing."""
    text = _DETECTOR.format(more=f"process-mode=2\noperate-on-gie-id=3\ninfer-dims=3;320;96\n{config}")
    found = [each for each in _found(tmp_path, text, name="d.txt") if each.id == "NVI107"]
    assert bool(found) == (needed is not None)
    if needed is not None:
        assert f"input-object-min-width={needed[1]} and input-object-min-height={needed[0]}" in (found[0].hint or "")


_LINE = re.compile(r"write ([a-z0-9-]+)=([^ ,]+)(?: and ([a-z0-9-]+)=([^ ,]+))?")


@pytest.mark.parametrize(
    ("groups", "group"),
    [
        ({"source0": {**FILE, "type": "9"}}, "source0"),
        ({"source0": {**FILE, "uri": "street.mp4"}}, "source0"),
        ({"source0": {**FILE, "uri": "/data/street.mp4"}}, "source0"),
        ({"source0": {**FILE, "uri": "'file:///a.mp4'"}}, "source0"),
        ({"source0": {**FILE, "uri": "file:///a%20b.mp4"}}, "source0"),
        ({"source0": {**RTSP, "uri": "http://a/b"}, "streammux": LIVE}, "source0"),
        ({"source0": {**FILE, "uri": "file://street.mp4"}}, "source0"),
        ({"source0": {**FILE, "uri": "file://opt/street.mp4"}}, "source0"),
        ({"source0": RTSP}, "streammux"),
        ({"source1": FILE}, "streammux"),
        ({"streammux": {"batch-size": "1"}}, "streammux"),
        ({"sink0": {"enable": "yes", "type": "1"}}, "sink0"),
        ({"tracker": {**TRACKER, "ll-config-file": ""}}, "tracker"),
        ({"tracker": {**TRACKER, "ll-lib-file": ""}}, "tracker"),
        ({"tracker": {**TRACKER, "tracker-width": "0"}}, "tracker"),
    ],
)
def test_following_a_hint_leaves_nothing(tmp_path: Path, groups: dict[str, dict[str, str]], group: str) -> None:
    (finding,) = _found(tmp_path, ini(groups))
    match = _LINE.match(finding.hint or "")
    assert match, finding.hint
    lines = {key: value for key, value in zip(match.groups()[::2], match.groups()[1::2], strict=True) if key}
    assert _found(tmp_path, ini({**groups, group: {"streammux": MUX, **groups}.get(group, {}) | lines})) == []


def test_the_table_is_one() -> None:
    """Every release it names is listed, and every key that it says something about has a type."""
    for name, group in app_groups().items():
        spans = {**group.keys_since, **group.keys_until}
        assert {*spans, group.since or releases()[0]} <= set(releases()), name
        keys = {key for names in spans.values() for key in names} | {*group.ini_only, *group.yaml_only, *group.instead}
        assert [key for key in sorted(keys) if group.type_of(key) is None] == [], name
        listed = [key for names in group.types.values() for key in names]
        assert len(listed) == len(set(listed)), name


@given(st.text(alphabet="source0[]=:,#\n 1-abcent%d;", max_size=200), st.sampled_from(["app.txt", "app.yml"]))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    for start in ("[source0]\nenable=1\n[streammux]\n", "source:\n  csv-file-path: s.csv\nstreammux:\n  width: 1\n"):
        (tmp_path / name).write_text(start + text)
        Checker(check_target("9.1", "jetson"))([str(tmp_path / name)])
    app = read_app(b"source:\n  csv-file-path: s.csv\n", str(tmp_path / "app.yml"), "9.1")
    assert stream_count(app) is not None
    assert len(sources(app)) <= text.count("\n") + 1


def test_a_list_of_sources(tmp_path: Path) -> None:
    """The first line that is no comment names the keys; blanks belong to values, and what is no UTF-8 is replaced."""
    data = b" \t\n\t# c\nenable,type, uri\n1,3, \xff\n\n0,2\n1,3,a,b\n"
    (tmp_path / "s.csv").write_bytes(data)
    app = read_app(b"source:\n  csv-file-path: s.csv\n", str(tmp_path / "app.yml"), "9.1")
    assert app.csv is not None
    assert (app.csv.path, app.csv.form) == (str(tmp_path / "s.csv"), "csv")
    rows = {name: {key: entry.text for key, entry in row.items()} for name, row in app.csv.groups.items()}
    assert rows == {
        "source0": {"enable": "1", "type": "3", " uri": " \ufffd"},
        "source1": {"enable": "0", "type": "2"},
        "source2": {"enable": "1", "type": "3", " uri": "a"},
    }
    assert [(each.name, each.line, each.column) for each in app.csv.sections.values()] == [
        ("source0", 4, 1), ("source1", 6, 1), ("source2", 7, 1),
    ]  # fmt: skip
    assert {(entry.line, entry.column, entry.value_line) for entry in app.csv.groups["source1"].values()} == {(6, 1, 6)}
    assert [name for _, name in sources(app)] == ["source0", "source2"]
    (tmp_path / "s.csv").unlink()
    assert read_app(b"source:\n  csv-file-path: s.csv\n", str(tmp_path / "app.yml"), "9.1").csv is None
