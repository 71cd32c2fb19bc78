"""Configs of other plugins are named and not judged; other texts are refused in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.check.loading import check_target
from convert.check.recognise import ANALYTICS, APP, CONFIG, OTHER, TRACKER, kind_of
from convert.check.run import Checker
from convert.findings import Level
from convert.render.check import others, summary
from tests.examples import examples

if TYPE_CHECKING:
    from pathlib import Path

    from convert.check.run import CheckReport

_TARGET = check_target("9.1", "dgpu")
_LIKE_POSTPROCESS = (
    "property:\n  gpu-id: 0\n  gie-unique-id: 1\n  network-type: 1\n  process-mode: 1\n  cluster-mode: 2\n"
)
_OTHERS = {
    "Gst-nvdspreprocess": (
        ("p.txt", "[property]\nenable=1\ntarget-unique-ids=1\nnetwork-input-order=0\n[group-0]\nsrc-ids=0;1\n"),
        ("p.txt", "[property]\nenable=1\n[user-configs]\nb=0.004\n[group-0]\nroi-params-src-0=1\n"),
        ("p.ini", "[property]\r\nenable=1\r\n[group-1]\r\nenable=0\r\n"),
        ("p.yml", "property:\n  enable: 1\n  network-input-shape: 1;3;96;96\ngroup-0:\n  src-ids: -1\n"),
    ),
    "Gst-nvdspostprocess": (
        ("c.yml", _LIKE_POSTPROCESS),
        ("c.yml", f"{_LIKE_POSTPROCESS}class-attrs-all:\n  topk: 20\n"),
    ),
    "Gst-nvdsmetamux": (("m.txt", "[property]\nenable=1\n[group-0]\nsrc-ids-model-2=0\n"),),
    "the new Gst-nvstreammux": (
        ("m.txt", "[property]\nbatch-size=4\noverall-min-fps-n=5\n"),
        ("m.ini", "[source-config-0]\nmax-num-frames-per-batch=2\n"),
    ),
    "Gst-nvdewarper": (("d.txt", "[property]\noutput-width=960\n[surface0]\nprojection-type=1\n"),),
    "Gst-nvdsvideotemplate": (
        ("v.yml", "property:\n  width: 672\n  height: 672\n"),
        ("v.txt", "[property]\ngpu-id=0\nunique-id=15\ncustomlib-name=./l.so\n"),
    ),
    "deepstream-asr, an application of the SDK": (
        ("a.yaml", "%YAML 1.2\n---\nsource0:\n  uri: file:///a.wav\nsink0:\n  enable_playback: 1\n"),
    ),
    "Gst-nvtracker": (
        ("t.txt", "[tracker]\ntracker-width=640\nll-lib-file=/opt/x.so\n"),
    ),
    "Gst-nvmsgconv": (
        ("c.txt", "[sensor0]\nenable=1\ntype=Camera\n[place0]\nid=1\n"),
        ("c.yml", "sensor0:\n  enable: 1\nplace0:\n  id: 1\n"),
    ),
    "Gst-nvmsgbroker": (("b.txt", "[message-broker]\npartition-key = sensor.id\n"),),
    "Gst-nvinferserver": (
        ("s.txt", '# comment\ninfer_config {\n  unique_id: 1\n  backend { inputs [ { name: "x" } ] }\n}\n'),
        ("s.pbtxt", "infer_config{ unique_id: 1 }\n"),
    ),
    "Triton Inference Server": (
        ("config.pbtxt", 'name: "m"\nplatform: "onnxruntime_onnx"\nmax_batch_size: 4\ninput [\n  {\n  }\n]\n'),
    ),
    "DeepStream's 3D framework": (
        ("d.yaml", "name: f\ncustom_lib_path: l.so\ncustom_create_function: c\nconfig_body:\n  a: 1\n"),
    ),
    "NVIDIA Riva in DeepStream's speech plugins": (("r.yml", 'name: riva_server\ndetail:\n  server_uri: "a:1"\n'),),
    "DeepStream Service Maker": (("d.yaml", "deepstream:\n  nodes:\n  - type: nvurisrcbin\n"),),
    "an application's own settings": (
        ("t.yml", "source:\n  location: a.h264\nstreammux:\n  batch-size: 1\nprimary-gie:\n  plugin-type: 0\n"),
    ),
    "deepstream-audio, an application of the SDK": (
        ("a.txt", "[application]\na=1\n[streammux]\nb=1\n[audio-classifier]\nconfig-file=c.txt\n"),
    ),
}  # fmt: skip
_CASES = [(plugin, name, text) for plugin, files in _OTHERS.items() for name, text in files]


def _check(*paths: Path) -> CheckReport:
    return Checker(_TARGET)([str(path) for path in paths])


def _shown(report: CheckReport) -> list[str]:
    return list(others(report))


@pytest.mark.parametrize(("plugin", "name", "text"), _CASES)
@pytest.mark.parametrize("by", ["name", "folder"])
def test_another_plugins_config_is_named(tmp_path: Path, plugin: str, name: str, text: str, by: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    report = _check(path if by == "name" else tmp_path)
    assert _shown(report) == [f"{path}: not nvinfer's: {plugin}"]
    assert (report.findings, report.error, report.files[0].kind) == ((), None, OTHER)
    assert "0 files" not in summary(report, lambda text, _: text)


_HEAD = "[property]\ngie-unique-id=1\n"


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("c.txt", _HEAD + "onnx-file=m.onnx\nprocessing-width=3\n", CONFIG),
        ("c.txt", _HEAD + "network-type=1\n", CONFIG),
        ("c.yml", "property:\n  gie-unique-id: 1\n  network-type: 1\n", CONFIG),
        ("c.yml", _LIKE_POSTPROCESS + "  batch-size: 1\n", CONFIG),
        ("c.yml", _LIKE_POSTPROCESS.replace("process-mode: 1", "is-classifier: 1"), CONFIG),
        ("c.txt", "[application]\na=1\n[tracker]\nenable=1\nll-lib-file=a.so\n[sink0]\ntype=1\n", APP),
        ("c.txt", "[application]\na=1\n[message-broker]\na=1\n[sink0]\ntype=1\n", APP),
        ("c.yml", "application:\n  a: 1\nsource:\n  csv-file-path: s.csv\nprimary-gie:\n  config-file: c.yml\n", APP),
        ("c.yml", "streammux:\n  width: 1\nsink0:\n  type: 1\n", APP),
        ("a.txt", "[property]\nenable=1\nconfig-width=1920\n", ANALYTICS),
        ("a.txt", "[line-crossing-stream-0]\nenable=1\nclass-id=0\n", ANALYTICS),
        ("a.yml", "property:\n  enable: 1\noverflow: 1\nroi-filtering-stream-1:\n  enable: 1\n", ANALYTICS),
        ("t.yml", "%YAML:1.0\nBaseConfig:\n  minDetectorConfidence: 0\nTargetManagement:\n  x: 1\n", TRACKER),
        ("t.yml", "NvDCF:\n  useUniqueID: 1\n", TRACKER),
    ],
)  # fmt: skip
def test_what_has_rules_is_judged(name: str, text: str, kind: str) -> None:
    found = kind_of(name, text.encode())
    assert found is not None
    assert found.name == kind


def test_a_line_a_file_and_of_many_a_number(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"{number}.txt").write_text("[property]\ntensor-name=x\n")
    (tmp_path / "c.txt").write_text(_HEAD)
    report = _check(tmp_path)
    assert len(_shown(report)) == 6
    assert _shown(report)[-1] == "4 more files: not nvinfer's: Gst-nvdspreprocess"
    assert summary(report, lambda text, _: text).startswith("1 file ")


def test_what_an_app_names_is_named(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/p.txt").write_text("[property]\nprocessing-width=3\n")
    (tmp_path / "conf/t.yml").write_text("BaseConfig:\n  a: 1\n")
    (tmp_path / "conf/a.txt").write_text("[property]\nconfig-width=3\n")
    app = tmp_path / "app.txt"
    app.write_text(
        "[application]\na=1\n[streammux]\nwidth=1\n[pre-process]\nenable=1\nconfig-file=conf/p.txt\n"
        "[tracker]\nenable=1\nll-config-file=conf/t.yml;conf/gone.yml\n[nvds-analytics]\nenable=0\nconfig-file=conf/a.txt\n"
    )
    assert {line.rpartition(": ")[2] for line in _shown(_check(app))} == {"Gst-nvdspreprocess"}
    assert [file.kind for file in _check(app).files] == ["deepstream-app", "other", "nvtracker"]
    assert [file.kind for file in _check(tmp_path).files].count("nvtracker") == 1, "in a folder once"


def test_what_an_app_gives_to_nvinfer_is_judged(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("[property]\nprocessing-width=3\n")
    (tmp_path / "app.txt").write_text("[application]\na=1\n[primary-gie]\nenable=1\nconfig-file=p.txt\n")
    for path in (tmp_path, tmp_path / "app.txt"):
        assert "NVI021" in {finding.id for finding in _check(path).findings}


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("README.md", b"# A\n[property]\n", "Markdown"),
        ("README", b"how to\n", "a document"),
        ("a.txt", b'{"a": [1]}', "JSON"),
        ("a.json", b"{", "JSON"),
        ("a.txt", b"<html></html>", "XML or HTML"),
        ("a.py", b"x = 1\n", "Python"),
        ("a.txt", b"layer {\n  name: 1\n}\n", "protobuf"),
        ("a.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\x02\0\0\0", "PNG"),
    ],
)
def test_what_is_no_config_is_said_in_one_sentence(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    report = _check(tmp_path / name)
    assert report.error is not None
    assert report.error.hint
    assert words in report.error.message
    assert report.error.message.endswith("no config")
    assert report.findings == ()


@examples(300)
@given(
    st.sampled_from(["c.txt", "c.yml", "c.pbtxt"]),
    st.lists(
        st.sampled_from(
            [text.encode() for _, _, text in _CASES] + [b"[property]\n", b"\xff\xfe", b"{", b"[", b"a: ", b"\0", b"\r"]
        ),
        max_size=4,
    ).map(b"".join)
    | st.binary(max_size=80),
)
def test_any_bytes(name: str, data: bytes) -> None:
    kind_of(name, data)


def test_a_long_line_takes_no_time() -> None:
    """The patterns look at the beginning only, and at each character a few times."""
    for part in (b"[", b"a", b" ", b"a ", b"[a", b"-"):
        kind_of("c.txt", b"[x]\n" + part * 2**20)
        kind_of("c.yml", part * 2**20)


def test_an_empty_key_for_a_model_with_an_engine_warns(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text(_HEAD + "tlt-encoded-model=\nmodel-engine-file=/nowhere/m.engine\n")
    (level,) = [finding.level for finding in _check(tmp_path).findings if finding.id == "NVI024"]
    assert level is Level.WARNING
