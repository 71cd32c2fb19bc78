"""deepstream-app's config: its engines together, and what it sets over their configs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convert.check.app import gies, named_configs, read_app, stream_count
from convert.check.loading import check_target
from convert.check.run import Checker
from convert.findings import Level
from convert.nvinfer.keys import Verdict

if TYPE_CHECKING:
    from convert.check.run import CheckReport

_DETECTOR = """[property]
gie-unique-id=1
network-type=0
onnx-file=/elsewhere/d.onnx
model-engine-file=/elsewhere/d.onnx_b1_gpu0_fp32.engine
labelfile-path=labels.txt
net-scale-factor=1.0
num-detected-classes=2
cluster-mode=2
{more}
"""
_CLASSIFIER = """[property]
gie-unique-id=2
process-mode=2
network-type=1
onnx-file=/elsewhere/c.onnx
model-engine-file=/elsewhere/c.onnx_b1_gpu0_fp32.engine
labelfile-path=line.txt
net-scale-factor=1.0
classifier-threshold=0.5
{more}
"""
_ELSEWHERE = {"NVI024"}  # the models are on another machine: a warning


def check_app(folder: Path, app: str, detector: str = "", classifier: str = "", release: str = "9.1") -> CheckReport:
    (folder / "app.txt").write_text(app)
    (folder / "d.txt").write_text(_DETECTOR.format(more=detector))
    (folder / "c.txt").write_text(_CLASSIFIER.format(more=classifier))
    (folder / "labels.txt").write_text("car\nperson\n")
    (folder / "line.txt").write_text("red;blue")
    return Checker(check_target(release, "dgpu"))([str(folder / "app.txt")])


def _ids(report: CheckReport) -> set[str]:
    return {finding.id for finding in report.findings} - _ELSEWHERE


def app_text(**groups: str) -> str:
    """Groups from "key=value key=value"; a list of the engines."""
    lines = ["[streammux]", "width=1280", "height=720", "batch-size=1"]
    lines += ["[source0]", "enable=1", "type=3", "uri=file:///videos/street.mp4"]
    for name, keys in groups.items():
        lines += [f"[{name.replace('_', '-')}]", *keys.split()]
    return "\n".join(lines) + "\n"


PRIMARY = "enable=1 config-file=d.txt gie-unique-id=1"
_SECONDARY = "enable=1 config-file=c.txt gie-unique-id=2 operate-on-gie-id=1"
_WITHOUT = "enable=1 config-file=c.txt gie-unique-id=2"
_TRACKER = (
    "enable=1 tracker-width=640 tracker-height=384 ll-config-file=t.yml "
    "ll-lib-file=/opt/nvidia/deepstream/deepstream/lib/libnvds_nvmultiobjecttracker.so"
)


def test_the_configs_of_its_engines_are_checked_too(tmp_path: Path) -> None:
    report = check_app(tmp_path, app_text(primary_gie=PRIMARY, secondary_gie0=_SECONDARY))
    assert [file.path.rsplit("/", 1)[-1] for file in report.files] == ["app.txt", "c.txt", "d.txt"]
    assert {file.verdict for file in report.files} == {Verdict.ACCEPTED}
    assert _ids(report) == set()


def test_configs_that_are_on_another_machine_are_one_note(tmp_path: Path) -> None:
    away = [
        f"enable=1 config-file=/elsewhere/{name} gie-unique-id={number}"
        for number, name in ((1, "d.txt"), (2, "c.txt"))
    ]
    for app in (app_text(primary_gie=away[0]), app_text(primary_gie=away[0], secondary_gie0=away[1])):
        (note,) = [each for each in check_app(tmp_path, app).findings if each.id == "NVI095"]
        assert note.level is Level.NOTE
        assert all(f"/elsewhere/{name}" in note.message for name in ("d.txt", "c.txt") if name in app)
        assert note.line
        assert app.splitlines()[note.line - 1] == "config-file=/elsewhere/d.txt"


def test_engines_that_are_off_are_not_read(tmp_path: Path) -> None:
    off = app_text(primary_gie="enable=0 config-file=missing.txt gie-unique-id=x", secondary_gie0="config-file=c.txt")
    report = check_app(tmp_path, off)
    assert [file.path.rsplit("/", 1)[-1] for file in report.files] == ["app.txt"]
    assert _ids(report) == {"NVI106"}, "the secondary engine does not say whether it is on"


def test_what_the_app_sets_wins(tmp_path: Path) -> None:
    """batch-size changes the engine's name; process-mode comes from the group; the place is the app's line."""
    report = check_app(tmp_path, app_text(primary_gie=PRIMARY + " batch-size=4"))
    (finding,) = [each for each in report.findings if each.id == "NVI023"]
    assert "_b4_" in finding.message
    assert _ids(check_app(tmp_path, app_text(primary_gie="enable=1 config-file=c.txt"))) == set(), (
        "it is a primary engine here"
    )
    without = _DETECTOR.replace("gie-unique-id=1\n", "")
    (tmp_path / "e.txt").write_text(without.format(more=""))
    nameless = "enable=1 config-file=e.txt"
    assert _ids(check_app(tmp_path, app_text(primary_gie=nameless + " gie-unique-id=7"))) == set()
    assert _ids(check_app(tmp_path, app_text(primary_gie=nameless))) == {"NVI020"}


def test_a_config_that_several_engines_use_is_checked_for_each(tmp_path: Path) -> None:
    two = app_text(
        primary_gie=PRIMARY,
        secondary_gie0=_SECONDARY + " gie-unique-id=2",
        secondary_gie1=_SECONDARY + " gie-unique-id=3 batch-size=8",
    )
    report = check_app(tmp_path, two)
    assert _ids(report) == {"NVI023"}
    assert len([file for file in report.files if file.path.endswith("c.txt")]) == 1


TOGETHER: list[tuple[dict[str, str], str, str, set[str]]] = [
    ({"secondary_gie0": _SECONDARY + " operate-on-gie-id=5"}, "", "", {"NVI091"}),
    ({"secondary_gie0": _WITHOUT}, "", "operate-on-gie-id=1", {"NVI091"}),
    ({"secondary_gie0": _WITHOUT, "primary_gie": "enable=1 config-file=d.txt"}, "", "", set()),
    ({"secondary_gie0": _SECONDARY, "primary_gie": "enable=1 config-file=d.txt"}, "", "", {"NVI091"}),
    ({"secondary_gie0": "enable=1 config-file=c.txt", "primary_gie": "enable=1 config-file=d.txt"}, "", "", {"NVI094"}),
    (
        {"secondary_gie0": _WITHOUT + " gie-unique-id=1", "primary_gie": "enable=1 config-file=d.txt"},
        "",
        "",
        {"NVI094"},
    ),
    ({"secondary_gie0": _SECONDARY + " operate-on-class-ids=0;2;"}, "", "", {"NVI092"}),
    ({"secondary_gie0": _SECONDARY}, "filter-out-class-ids=1", "operate-on-class-ids=1", {"NVI092"}),
    ({"secondary_gie0": _SECONDARY}, "", "input-object-min-height=800", {"NVI093"}),
    ({"secondary_gie0": _SECONDARY}, "[class-attrs-all]\ndetected-max-w=5", "input-object-min-width=6", {"NVI093"}),
    ({"secondary_gie0": _SECONDARY}, "[class-attrs-0]\ndetected-max-w=5", "input-object-min-width=6", set()),
    ({"secondary_gie0": _SECONDARY + " gie-unique-id=1"}, "", "", {"NVI091", "NVI094"}),
    (
        {"secondary_gie0": _SECONDARY, "secondary_gie1": _SECONDARY + " gie-unique-id=3 operate-on-gie-id=2"},
        "",
        "",
        set(),
    ),
    (
        {
            "secondary_gie0": _SECONDARY + " operate-on-gie-id=3",
            "secondary_gie1": _SECONDARY + " gie-unique-id=3 operate-on-gie-id=2",
        },
        "",
        "",
        {"NVI091"},
    ),
    ({"secondary_gie0": _SECONDARY + " batch-size=two"}, "", "", {"NVI096"}),
    ({"secondary_gie0": _SECONDARY + " operate-on-class-ids=car"}, "", "", {"NVI096"}),
    ({"secondary_gie0": "enable=1 gie-unique-id=2 operate-on-gie-id=1"}, "", "", {"NVI095"}),
    (
        {"secondary_gie0": "enable=1 plugin-type=1 config-file=triton.txt gie-unique-id=9 operate-on-gie-id=1"},
        "",
        "",
        {"NVI095"},
    ),
    ({"sink0": "enable=1 type=5"}, "", "", {"NVI097"}),
    ({"sink0": "enable=0 type=5"}, "", "", set()),
    ({"tracker": _TRACKER + " enable-past-frame=1"}, "", "", {"NVI097"}),
]


@pytest.mark.parametrize(("groups", "detector", "classifier", "expected"), TOGETHER)
def test_engines_together(
    tmp_path: Path, groups: dict[str, str], detector: str, classifier: str, expected: set[str]
) -> None:
    report = check_app(tmp_path, app_text(**{"primary_gie": PRIMARY, **groups}), detector, classifier)
    assert _ids(report) == expected
    refused = bool(expected & {"NVI094", "NVI096"})
    assert report.files[0].verdict is (Verdict.REJECTED if refused else Verdict.ACCEPTED)


def test_a_primary_classifier_makes_no_classes(tmp_path: Path) -> None:
    primary = "enable=1 config-file=c.txt gie-unique-id=1"
    app = app_text(primary_gie=primary, secondary_gie0=_SECONDARY + " operate-on-class-ids=0")
    report = check_app(tmp_path, app)
    (finding,) = [each for each in report.findings if each.id == "NVI092"]
    assert finding.level == "error"
    assert "class -1" in (finding.hint or "")


def test_no_primary_engine(tmp_path: Path) -> None:
    assert _ids(check_app(tmp_path, app_text(secondary_gie0="enable=1 config-file=c.txt gie-unique-id=2"))) == {
        "NVI091"
    }


def test_too_many_engines(tmp_path: Path) -> None:
    many = {f"secondary_gie{number}": _SECONDARY + f" gie-unique-id={number + 2}" for number in range(17)}
    assert _ids(check_app(tmp_path, app_text(primary_gie=PRIMARY, **many))) == {"NVI096"}


@pytest.mark.parametrize(("release", "expected"), [("7.1", set()), ("8.0", {"NVI097"})])
def test_keys_of_other_releases(tmp_path: Path, release: str, expected: set[str]) -> None:
    app = app_text(primary_gie=PRIMARY).replace("width=1280", "width=1280\nconfig-file=mux.txt")
    report = check_app(tmp_path, app, release=release)
    assert _ids(report) - {"NVI013"} == expected


def test_yaml(tmp_path: Path) -> None:
    app = (
        "streammux:\n  width: 1280\nprimary-gie:\n  enable: 1\n  gie-unique-id: 1\n  config-file: d.txt\n"
        "secondary-gie0:\n  enable: 1\n  gie-unique-id: 2\n  config-file: c.txt\n  operate-on-gie-id: 4\n"
        "  operate-on-class-ids: 0;7\n"
    )
    check_app(tmp_path, "")
    (tmp_path / "app.yml").write_text(app)
    assert _ids(Checker(check_target("9.1", "dgpu"))([str(tmp_path / "app.yml")])) == {"NVI091"}
    (tmp_path / "app.yml").write_text(app.replace("id: 4", "id: 1"))
    assert _ids(Checker(check_target("9.1", "dgpu"))([str(tmp_path / "app.yml")])) == {"NVI092"}
    (tmp_path / "app.yml").write_text(app.replace("enable: 1", "enable: true", 1))
    assert "NVI096" in _ids(Checker(check_target("9.1", "dgpu"))([str(tmp_path / "app.yml")]))


@pytest.mark.parametrize("text", ["primary-gie: {", "- a\n- b\n", "", "just text", "a: b\n"])
def test_any_yaml_is_an_app_file_or_trouble(text: str) -> None:
    app = read_app(text.encode(), "app.yml", "9.1")
    assert app.groups is not None
    assert gies(app) == ()


def test_a_file_that_cannot_be_read_as_ini(tmp_path: Path) -> None:
    report = check_app(tmp_path, "; comment\n" + app_text(primary_gie=PRIMARY))
    (finding,) = report.findings
    assert (finding.id, finding.line) == ("NVI096", 1)
    assert report.files[0].verdict is Verdict.REJECTED


def test_what_an_app_puts_into_its_engines(tmp_path: Path) -> None:
    """The primary one first, though it stands behind; those that are switched off are left out."""
    lines = (
        "[secondary-gie1]\nenable=1\nconfig-file=s.txt\noperate-on-gie-id=4\noperate-on-class-ids=2;0\nplugin-type=1\n"
        "[secondary-gie0]\nenable=0\n[primary-gie]\nenable=1\nbatch-size=2\ninterval=3\ngie-unique-id=4\ngpu-id=5\n"
        "model-engine-file=m.engine\nconfig-file=c.txt\n[tracker]\nenable=1\nll-config-file=t1.yml;t2.yml\n"
        "[nvds-analytics]\nenable=1\nconfig-file=a.txt\n"
    )
    app = read_app(lines.encode(), str(tmp_path / "app.txt"), "9.1")
    primary, secondary = gies(app)
    assert (primary.group, primary.primary, primary.is_nvinfer, primary.app_id) == ("primary-gie", True, True, 4)
    assert {key: setting.value for key, setting in primary.settings.items()} == {
        "batch-size": 2, "interval": 3, "gie-unique-id": 4, "gpu-id": 5, "process-mode": 1,
        "model-engine-file": str(tmp_path / "m.engine"),
    }  # fmt: skip
    assert (secondary.group, secondary.primary, secondary.is_nvinfer, secondary.app_id) == (
        "secondary-gie1", False, False, 0,
    )  # fmt: skip
    assert {key: setting.value for key, setting in secondary.settings.items()} == {
        "operate-on-gie-id": 4, "process-mode": 2, "operate-on-class-ids": [0, 2],
    }  # fmt: skip
    assert [(group, key, Path(path).name) for group, key, _, path in named_configs(app)] == [
        ("primary-gie", "config-file", "c.txt"),
        ("secondary-gie1", "config-file", "s.txt"),
        ("tracker", "ll-config-file", "t1.yml"),
        ("tracker", "ll-config-file", "t2.yml"),
        ("nvds-analytics", "config-file", "a.txt"),
    ]
    places = {key: (setting.place.line, setting.place.column) for key, setting in primary.settings.items()}
    assert (places["gpu-id"], places["process-mode"]) == ((14, 8), (9, 1))


SEVERAL = "[source{}]\nenable={}\ntype={}\nnum-sources={}\n"


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [
        (SEVERAL.format(0, 1, 3, 4) + SEVERAL.format(1, 1, 1, 9) + "[source2]\nenable=1\ntype=3\n", "app.txt", 6),
        (SEVERAL.format(0, 1, 3, 0) + SEVERAL.format(1, 1, 3, -2) + SEVERAL.format(2, 0, 3, 5), "app.txt", 2),
        ("[source0]\nenable=1\n[source-list]\nnum-source-bins=2\n", "app.txt", None),
        ("source:\n  enable: 1\n", "app.yml", None),
    ],
)
def test_how_many_streams_an_app_has(text: str, name: str, count: int | None) -> None:
    assert stream_count(read_app(text.encode(), name, "9.1")) == count


def test_an_engine_without_a_config_leads_nowhere() -> None:
    (gie,) = gies(read_app(b"[primary-gie]\nenable=1\n", "app.txt", "9.1"))
    assert (gie.config, gie.path, gie.app_id, gie.is_nvinfer) == ("", "", 0, True)
