"""What hints say: the line to write, in the syntax of the file; and findings that depend on the target or the files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import onnx.parser
import pytest

from convert.check.loading import check_target
from convert.check.run import Checker
from convert.findings import Level
from convert.nvinfer.keys import ATTRS, key_named
from tests.check.rules.cases import case_folders, config, lay_out

if TYPE_CHECKING:
    from convert.findings import Finding

SHARED = Path(__file__).resolve().parents[4] / "shared" / "cases" / "configs"
BASE = {
    "gie-unique-id": "1",
    "network-type": "1",
    "onnx-file": "m.onnx",
    "model-engine-file": "m.onnx_b1_gpu0_fp32.engine",
    "labelfile-path": "l.txt",
    "net-scale-factor": "1.0",
    "classifier-threshold": "0.5",
}
ENGINE, TFLITE, TORCH, SAVED = (
    b"ftrt" + bytes(60),
    b"\x1c\0\0\0TFL3" + bytes(60),
    b"PK\x03\x04" + bytes(60),
    b"\x89HDF\r\n\x1a\n",
)


def text(form: str = "txt", more: str = "", **changes: str | None) -> str:
    values = {**BASE, **{key.replace("_", "-"): value for key, value in changes.items()}}
    given = {key: value for key, value in values.items() if value is not None}
    if form == "txt":
        return "[property]\n" + "".join(f"{key}={value}\n" for key, value in given.items()) + more
    return "property:\n" + "".join(f"  {key}: {value}\n" for key, value in given.items()) + more


def found(
    folder: Path, content: str, rule: str = "", *, form: str = "txt", release: str = "9.1", platform: str = "dgpu"
) -> list[Finding]:
    (folder / f"c.{form}").write_text(content)
    report = Checker(check_target(release, platform))([str(folder / f"c.{form}")])
    return [each for each in report.findings if each.id.startswith(rule)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "l.txt").write_text("a;b")
    return tmp_path


# Keys of a group in INI syntax: only with known keys, as text may hold an equals sign.
INI = re.compile(r"([A-Za-z][-\w]*)=\S")


def as_yaml(content: str) -> str:
    lines = (re.sub(r"^([\w-]+)=(.*?);?$", r"  \1: \2", line) for line in content.split("\n"))
    return "\n".join(re.sub(r"^\[(.*)\]\s*$", r"\1:", line) for line in lines)


@pytest.mark.parametrize("case", case_folders(), ids=lambda case: case.name)
def test_hints_for_yaml_are_yaml(case: Path, tmp_path: Path) -> None:
    name = config(case, "bad")
    lay_out(case, tmp_path)
    content = (tmp_path / name).read_text(errors="replace")
    if "[property]" not in content:
        return  # an app's config, a script, or YAML already
    for finding in found(tmp_path, as_yaml(content), form="yml"):
        for key in INI.findall(finding.hint or ""):
            assert key_named(key) is key_named(key, ATTRS) is None, (finding.id, finding.hint)


@pytest.mark.parametrize(
    ("release", "platform", "level", "why"),
    [
        ("5.1", "jetson", Level.WARNING, "Nano and TX1 and TX2"),
        ("6.0.1", "jetson", Level.WARNING, "Nano and TX2"),
        ("6.2", "jetson", None, ""),
        ("7.1", "jetson", None, ""),
        ("8.0", "jetson", Level.ERROR, "Thor"),
        ("9.0", "jetson", Level.ERROR, "Thor"),
        ("9.1", "jetson", Level.ERROR, "TensorRT 10.16"),
        ("9.2", "jetson", Level.ERROR, "TensorRT 10.16"),
        ("7.1", "dgpu", Level.ERROR, "discrete GPU"),
    ],
)
def test_dla_by_target(folder: Path, release: str, platform: str, level: Level | None, why: str) -> None:
    content = text(enable_dla="1", use_dla_core="0", model_engine_file="m.onnx_b1_dla0_fp32.engine")
    findings = found(folder, content, "NVI043", release=release, platform=platform)
    assert [each.level for each in findings] == [level] * (level is not None)
    for each in findings:
        assert why in each.message
        assert each.hint == "remove enable-dla and use-dla-core, and write model-engine-file=m.onnx_b1_gpu0_fp32.engine"


@pytest.mark.parametrize(
    ("key", "name", "data", "says", "hint"),
    [
        ("onnx-file", "m.engine", None, "a TensorRT engine", "write model-engine-file=m.engine instead"),
        ("onnx-file", "m.bin", ENGINE, "a TensorRT engine", "write model-engine-file=m.bin instead"),
        ("onnx-file", "m.pt", None, "a PyTorch model", "torch.onnx.export"),
        ("onnx-file", "m.pt", TORCH, "a PyTorch model", "torch.onnx.export"),
        ("onnx-file", "m.zip", TORCH, "an archive", "unpack it"),
        ("onnx-file", "m.tflite", None, "a TensorFlow Lite model", "`ei-deepstream convert`"),
        ("onnx-file", "model", TFLITE, "a TensorFlow Lite model", "`ei-deepstream convert`"),
        ("onnx-file", "m.h5", SAVED, "a Keras model", "tf2onnx"),
        ("onnx-file", "m.caffemodel", None, "a Caffe model", "DeepStream 9.1 builds none from it: convert it to ONNX"),
        ("onnx-file", "m.uff", None, "a UFF model", "DeepStream 9.1 builds none from it"),
        (
            "onnx-file",
            "m.etlt",
            None,
            "an encrypted TAO model",
            "write tlt-encoded-model=m.etlt instead, and tlt-model-key",
        ),
        ("onnx-file", "lib.so.1", None, "a shared library", "write custom-lib-path=lib.so.1 instead"),
        ("model-engine-file", "e.onnx", None, "an ONNX model", "write model-engine-file=m.onnx_b1_gpu0_fp32.engine"),
        ("custom-lib-path", "p.onnx", None, "an ONNX model", "write onnx-file=p.onnx instead"),
        ("labelfile-path", "m.engine", None, "a TensorRT engine", "write model-engine-file=m.engine instead"),
    ],
)
def test_a_file_of_another_kind(folder: Path, key: str, name: str, data: bytes | None, says: str, hint: str) -> None:
    if data is not None:
        (folder / name).write_bytes(data)
    findings = found(folder, text(**{key.replace("-", "_"): name}))
    (finding,) = (each for each in findings if each.id == "NVI045")
    assert finding.message == f"{key}: {name} is {says}"
    assert hint in (finding.hint or "")
    # Neither that the file is damaged, nor how an engine that cannot be built is called.
    assert {each.id for each in findings}.isdisjoint({"NVI031"} | ({"NVI023"} if "file" in key[-4:] else set()))


def test_caffe_where_it_is_built(folder: Path) -> None:
    (finding,) = found(folder, text(onnx_file="m.caffemodel"), "NVI045", release="6.2")
    assert finding.hint == "write model-file=m.caffemodel instead, and proto-file with its .prototxt"


@pytest.mark.parametrize(
    ("key", "name", "data"),
    [
        ("onnx-file", "m.bin", b"\x08\x08\x12\x01a:\0"),
        ("onnx-file", "resnet.onnx", None),
        ("model-engine-file", "yolo.etlt_b1_gpu0_fp16.engine", None),
        ("model-engine-file", "m.plan", ENGINE),
        ("custom-lib-path", "libx.so.1.2", None),
        ("labelfile-path", "names.list", b"a;b"),
    ],
)
def test_a_file_of_the_right_kind(folder: Path, key: str, name: str, data: bytes | None) -> None:
    if data is not None:
        (folder / name).write_bytes(data)
    assert found(folder, text(**{key.replace("-", "_"): name}), "NVI045") == []


_QDQ = """<ir_version: 8, opset_import: ["": 13]> g (float[N,3,8,8] x) => (float[N,3,8,8] y)
  <float s = {{0.5}}, {kind} z = {{{point}}}> {{ q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, z) }}"""


@pytest.mark.parametrize(
    ("release", "keys", "hint"),
    [
        ("9.1", {"strongly_typed": "1", "network_mode": "0"}, None),
        ("9.1", {"strongly_typed": "1", "network_mode": "2"}, "write network-mode=0"),
        ("9.1", {"network_mode": "0"}, "write strongly-typed=1 and network-mode=0"),
        ("9.1", {"network_mode": "1", "int8_calib_file": "l.txt"}, None),
        ("9.1", {"network_mode": "3", "int8_calib_file": "/elsewhere/t"}, None),
        ("7.1", {"network_mode": "1", "int8_calib_file": "l.txt"}, None),
        ("7.1", {"network_mode": "2"}, "write network-mode=1 and int8-calib-file=calibration.table"),
        ("7.1", {"network_mode": "1"}, "write network-mode=1 and int8-calib-file=calibration.table"),
        ("5.1", {"network_mode": "1", "int8_calib_file": "l.txt"}, "download the float32 model"),
    ],
)
def test_a_quantised_model(folder: Path, release: str, keys: dict[str, str], hint: str | None) -> None:
    model = onnx.parser.parse_model(_QDQ.format(kind="int8", point=0))
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    findings = found(folder, text(model_engine_file=None, **keys), "NVI039", release=release)
    assert [str(each.hint).partition(";")[0] for each in findings] == [hint] * (hint is not None)


@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_zero_points_that_tensorrt_refuses(folder: Path, kind: str) -> None:
    model = onnx.parser.parse_model(_QDQ.format(kind=kind, point=3))
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    (finding,) = found(folder, text(strongly_typed="1"), "NVI039")
    assert "has the zero point 3" in finding.message


@pytest.mark.parametrize(
    ("keys", "hint"),
    [
        ({"offsets": "0"}, "write offsets=0;0;0"),
        ({"offsets": "127.5;127.5", "model_color_format": "1"}, "write offsets=127.5;127.5;127.5"),
        ({"offsets": "1;2;3", "model_color_format": "2"}, "None"),
        ({"offsets": "1;2;3"}, None),
        ({"offsets": "1", "model_color_format": "2"}, None),
        ({"offsets": "1", "input_tensor_from_meta": "1"}, None),
        ({"offsets": "1", "net_scale_factor": "0"}, None),
    ],
)
def test_offsets_against_colour_without_the_model(folder: Path, keys: dict[str, str], hint: str | None) -> None:
    findings = found(folder, text(**keys), "NVI053")
    assert [str(each.hint) for each in findings] == [hint] * (hint is not None)


def test_keys_that_are_not_indented(folder: Path) -> None:
    content = text("yml", network_type="0", more="class-attrs-all:\ntopk: 20\nbatch-size: 1\nother: 2\n")
    findings = found(folder, content, "NVI010", form="yml")
    hints = ["indent it by 2 blanks, below class-attrs-all:", "indent it by 2 blanks, below property:", None]
    assert [each.hint for each in findings] == hints


def test_lines_of_an_ini_file_in_yaml(folder: Path) -> None:
    content = "property:\n  network-type: 1\n  onnx-file=m.onnx\n  gie-unique-id=1 # c\n  batch-size: 1\n"
    (finding,) = found(folder, content, form="yml")
    assert (finding.id, finding.hint) == (
        "NVI003",
        "write onnx-file: m.onnx in line 3 and gie-unique-id: 1 in line 4, with a colon and a blank",
    )


@pytest.mark.parametrize(("key", "most"), [("output-blob-names", 62), ("classifier-type", 62)])
def test_names_that_fill_their_buffer(folder: Path, key: str, most: int) -> None:
    for length, count in ((most, 0), (most + 1, 1), (most + 2, 1)):
        content = text("yml", **{key.replace("-", "_"): "x" * length})
        findings = found(folder, content, "NVI017", form="yml")
        assert [each.hint for each in findings] == [f"use at most {most} bytes"] * count
    assert found(folder, text("yml", layer_device_precision="x" * 80), "NVI017", form="yml") == []


def test_tensor_paths_that_overrun(tmp_path: Path) -> None:
    absolute = "/" + "d" * 62
    for path, count in ((absolute, 0), (absolute + "d", 1)):
        content = text("yml", op_tensor_files=path, overwrite_output_tensor="1")
        assert len(found(tmp_path, content, "NVI017", form="yml")) == count
    assert found(tmp_path, text(op_tensor_files=absolute + "d"), "NVI017") == []


def test_masks_with_the_network_type_of_semantic_segmentation(folder: Path) -> None:
    (folder / "l.txt").write_text("a\n")
    keys = {"network_type": "2", "cluster_mode": "4", "output_instance_mask": "1", "num_detected_classes": "1"}
    keys |= {"custom_lib_path": "/x/lib.so", "parse_bbox_instance_mask_func_name": "F", "segmentation_threshold": "0.5"}
    more = "[class-attrs-all]\npre-cluster-threshold=0.2\n"
    hints = {each.id: each.hint for each in found(folder, text(more=more, classifier_threshold=None, **keys))}
    assert hints["NVI080"] == hints["NVI011"] == "write network-type=3"
    after = {
        each.id for each in found(folder, text(more=more, classifier_threshold=None, **keys | {"network_type": "3"}))
    }
    assert after == set(hints) - {"NVI080", "NVI011"}


@pytest.mark.parametrize(
    ("line", "rule", "level"),
    [
        ("gpu-id=0\ngpu-id=0", "NVI008", Level.NOTE),
        ("gpu-id=0\ngpu-id=1", "NVI008", Level.WARNING),
        ("is-classifier=1", "NVI012", Level.NOTE),
        ("is-classifier=0", "NVI012", Level.WARNING),
        ("uff-input-blob-name=x", "NVI019", Level.NOTE),
        ("uff-file=x.uff\nuff-input-blob-name=x", "NVI019", Level.WARNING),
        ("input-object-min-width=3", "NVI015", Level.NOTE),
        ("operate-on-gie-id=3", "NVI015", Level.WARNING),
    ],
)
def test_what_does_no_harm_is_a_note(folder: Path, line: str, rule: str, level: Level) -> None:
    assert found(folder, text(more=f"{line}\n"), rule)[-1].level is level


def test_yaml_for_a_release_without_it_is_one_finding(folder: Path) -> None:
    (finding,) = found(folder, text("yml"), form="yml", release="6.0.1")
    assert (finding.id, finding.line) == ("NVI001", 1)
    assert "since 6.1" in finding.message


def test_old_dimensions_are_read_and_have_a_new_line(folder: Path) -> None:
    findings = found(folder, text(uff_input_dims="3;64;32;0"))
    (finding,) = (each for each in findings if each.id in {"NVI012", "NVI019"})
    assert (finding.id, finding.hint) == ("NVI012", "write infer-dims=3;64;32")


@pytest.mark.parametrize("form", ["txt", "yml"])
def test_the_engine_that_an_app_names(folder: Path, form: str) -> None:
    (folder / "app").mkdir()
    (folder / "c.txt").write_text(text())
    values = {"enable": 1, "config-file": "../c.txt", "model-engine-file": "other.engine", "gie-unique-id": 1}
    if form == "txt":
        content = "[primary-gie]\n" + "".join(f"{key}={value}\n" for key, value in values.items())
        right = "write model-engine-file=../m.onnx_b1_gpu0_fp32.engine"
    else:
        content = "primary-gie:\n" + "".join(f"  {key}: {value}\n" for key, value in values.items())
        right = "write model-engine-file: ../m.onnx_b1_gpu0_fp32.engine"
    (folder / "app" / f"a.{form}").write_text(content)
    report = Checker(check_target("9.1", "dgpu"))([str(folder / "app" / f"a.{form}")])
    assert [each.hint for each in report.findings if each.id == "NVI023"] == [right]


@pytest.mark.parametrize(
    ("name", "target", "rules", "absent"),
    [
        ("int8.txt", ("7.1", "jetson"), {}, {"NVI023"}),
        ("dla.txt", ("9.1", "jetson"), {"NVI043": Level.ERROR}, set()),
        ("d2_onnx_as_engine.txt", ("7.1", "jetson"), {"NVI045": Level.ERROR}, {"NVI022", "NVI023"}),
        ("d3_engine_as_onnx.txt", ("7.1", "jetson"), {"NVI045": Level.ERROR}, {"NVI031", "NVI023"}),
        ("d4_pt_as_onnx.txt", ("7.1", "jetson"), {"NVI045": Level.ERROR}, {"NVI031", "NVI023"}),
        ("e1_uff_input_dims.txt", ("9.1", "dgpu"), {"NVI012": Level.NOTE}, {"NVI019"}),
        ("reid.txt", ("7.1", "jetson"), {"NVI060": Level.NOTE}, set()),
        ("off1.txt", ("7.1", "jetson"), {"NVI053": Level.ERROR}, set()),
        ("dup.txt", ("7.1", "jetson"), {"NVI008": Level.NOTE}, set()),
        ("c6_seg_type2.txt", ("7.1", "jetson"), {"NVI080": Level.ERROR}, {"NVI015"}),
        ("app/sgie.txt", ("7.1", "jetson"), {"NVI020": Level.WARNING}, set()),
        ("open-bracket.txt", ("7.1", "jetson"), {"NVI001": Level.ERROR}, set()),
        ("null-value.yml", ("6.2", "jetson"), {"NVI003": Level.ERROR}, set()),
        ("null-value.yml", ("6.4", "jetson"), {}, {"NVI003"}),
    ],
)
def test_cases_of_users(name: str, target: tuple[str, str], rules: dict[str, Level], absent: set[str]) -> None:
    if not SHARED.is_dir():
        pytest.skip("the cases are not on this machine")
    report = Checker(check_target(*target))([str(SHARED / name)])
    levels = {each.id: each.level for each in report.findings}
    assert rules.items() <= levels.items()
    assert absent.isdisjoint(levels)


@pytest.mark.parametrize(
    ("keys", "more", "rule", "hint"),
    [
        ({"onnx_file": None}, "", "NVI022", "write onnx-file=m.onnx"),
        ({"onnx_file": None, "model_engine_file": "own.engine"}, "", "NVI022", "give the onnx-file that it was built from"),
        (
            {"onnx_file": None, "model_engine_file": "own.engine"},
            "# onnx-file = a.onnx\n",
            "NVI022",
            "write onnx-file=a.onnx and model-engine-file=a.onnx_b1_gpu0_fp32.engine",
        ),
        ({"onnx_file": None, "model_engine_file": None}, "", "NVI021", None),
        ({}, "topk=3\n", "NVI009", "remove it"),  # a classifier has no class groups
        ({"network_type": "0"}, "topk=3\n", "NVI009", "write topk=3 below [class-attrs-all] instead"),
        ({"network_type": "0"}, "threshold=0.3\n", "NVI009", "write pre-cluster-threshold=0.3 below [class-attrs-all] instead"),
        ({}, "batch-sise=2\n", "NVI009", "write batch-size=2"),
        ({}, "batch-size=1\nbatch-sise=2\n", "NVI009", None),  # it is there
        ({"labelfile_path": None}, "", "NVI060", "write labelfile-path=labels.txt, a file with all labels in one line, with ; between"),
        ({"process_mode": "2"}, "", "NVI090", "write operate-on-gie-id=2, or the id of another engine in front"),
        ({"process_mode": "2", "gie_unique_id": "3"}, "", "NVI090", "write operate-on-gie-id=1, or the id of another engine in front"),
        ({"process_mode": "2", "operate_on_gie_id": "1"}, "", "NVI091", "write gie-unique-id=2, or another number"),
        ({"custom_lib_path": "a\\tb.so"}, "", "NVI016", "write custom-lib-path=a/tb.so"),
    ],
)  # fmt: skip
def test_the_line_to_write(folder: Path, keys: dict[str, str | None], more: str, rule: str, hint: str | None) -> None:
    (finding,) = found(folder, text("txt", more, **keys), rule)
    assert finding.hint == hint


def test_a_comment_behind_a_value_of_an_app(folder: Path) -> None:
    (folder / "a.txt").write_text("[primary-gie]\nenable=1\nconfig-file=c.txt\nbbox-border-color0=1;0;0;1  # red\n")
    report = Checker(check_target("9.1", "dgpu"))([str(folder / "a.txt")])
    assert [each.hint for each in report.findings if each.id == "NVI096"] == ["write bbox-border-color0=1;0;0;1"]


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("txt", text(infer_dims="  ".join(["1"] * 60) + "x")),
        ("txt", text(onnx_file="/tmp" + "/" * 60 + "m.onnx")),
        ("yml", "onnx-file=" + " " * 10**5 + ":\n"),
    ],
)
def test_repeated_characters_take_no_time(folder: Path, form: str, content: str) -> None:
    assert found(folder, content, form=form)
