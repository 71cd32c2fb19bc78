"""--precision int8 as a whole: real int8 models, what is refused, and what their bundles say for each target."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from onnx import numpy_helper

from convert.check.context import check_target
from convert.check.run import Checker
from convert.emit import Emit
from convert.emit.files import CALIBRATION
from convert.errors import PresetError, UnsupportedModelError
from convert.export.unpack import Unpack
from convert.nvinfer.targets import targets
from convert.types import Agreement, Evidence, Int8Evidence
from convert.validate.precision import int8_findings
from tests.nvinfer.conftest import invent

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.types import Validated

__all__ = ["invent"]

_QUICK = "classify-32x32x1-int8.lite"
_REFUSED = {
    *(("5.1", platform) for platform in ("jetson", "dgpu")),
    *((release, "jetson") for release in ("6.0", "6.0.1")),
}
_TARGETS = [each for each in targets() if (each.deepstream, each.platform) not in _REFUSED]


_SLOW = (
    *("classify-160x160x1-int8.tflite", "classify-320x320x3-int8.lite", "classify-48x48x3-int8-float-io.lite"),
    *("classify-96x96x3-int8.lite", "fomo-96x96x3-int8.tflite", "ssd-320x320x3-int8.lite"),
)


@pytest.mark.parametrize("name", [_QUICK, *(pytest.param(each, marks=pytest.mark.slow) for each in _SLOW)])
def test_real_models_decide_as_the_original_does(models: Path, convert: Callable[..., Path], name: str) -> None:
    bundle = convert(models / name, "--precision", "int8", "--resize-mode", "squash", "--frame", "none")
    report = json.loads((bundle / "report.json").read_text())
    measured = report["evidence"]["int8"]
    assert measured["share"] == 1
    assert measured["plain"]["top1"] >= measured["kernels"]["top1"] - 0.01
    assert measured["plain"]["mean_abs_diff"] <= 1.2 * measured["kernels"]["mean_abs_diff"] + 1e-4
    assert not {"EI403", "EI404", "EI407", "EI410"} & {each["id"] for each in report["findings"]}
    model = onnx.load(bundle / report["model"]["file"])
    known = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    coded = [node for node in model.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    assert coded
    assert not any(known[node.input[2]].any() for node in coded)


def test_a_frame_is_cropped_before_the_first_code(models: Path, convert: Callable[..., Path]) -> None:
    options = (
        "--resize-mode",
        "fit-shortest",
        "--frame",
        "16:9",
        "--resize",
        "device",
        "--precision",
        "int8",
        "--role",
        "pgie",
    )
    bundle = convert(models / _QUICK, *options)
    report = json.loads((bundle / "report.json").read_text())
    assert report["evidence"]["int8"]["plain"]["top1"] >= report["evidence"]["int8"]["kernels"]["top1"] - 0.01
    model = onnx.load(bundle / report["model"]["file"])
    assert [node.op_type for node in model.graph.node][:3] == ["Slice", "Add", "QuantizeLinear"]


def test_a_float_export_is_refused(models: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="it is a float model, and --precision int8 keeps") as caught:
        Unpack(precision="int8")(models / "classify-96x96x3-f32.lite", Path())
    assert "build the int8 variant in Studio" in str(caught.value.hint)


@pytest.mark.parametrize(("release", "platform"), sorted(_REFUSED))
def test_old_releases_and_jetsons_without_int8_are_refused(tmp_path: Path, release: str, platform: str) -> None:
    with pytest.raises(PresetError, match=r"needs TensorRT 8\.0|Nano and TX2, too, whose GPUs have no INT8") as caught:
        Emit(tmp_path, precision="int8", target=release, platform=platform)
    assert "--precision fp16" in str(caught.value.hint)


_CODES = """<ir_version: 7, opset_import: ["": 13]>
net (float[N,3,64,96] x_input) => (float[N,3] scores)
<float s = {0.1}, int8 z = {0}, float a = {12.8}> {
  pooled = GlobalAveragePool (x_input)
  flat = Flatten <axis = 1> (pooled)
  soft = Softmax <axis = 1> (flat)
  less = Sub (soft, a)
  codes = QuantizeLinear (less, s, z)
  real = DequantizeLinear (codes, s, z)
  scores = Add (real, a)
}"""


def _with_codes(model: Validated) -> Validated:
    data = onnx.parser.parse_model(_CODES).SerializeToString()
    found = replace(model.adapted.onnx, data=bytes(data))
    return replace(model, adapted=replace(model.adapted, onnx=found))


@pytest.mark.parametrize("target", _TARGETS, ids=lambda each: f"{each.deepstream}-{each.platform}")
def test_bundles(tmp_path: Path, invent: Callable[..., Validated], target: Any) -> None:
    emit = Emit(tmp_path / "bundle", precision="int8", target=target.deepstream, platform=target.platform)
    result = emit(_with_codes(invent(opset=13)), tmp_path)
    written = {Path(each.path).name: Path(each.path).read_bytes() for each in result.outputs}
    assert list(written) == list(emit.plan(result.artifact.name))
    config = next(data.decode() for name, data in written.items() if name.startswith("config_infer_primary"))
    script = written["build_engine.sh"].decode()
    table = next((data for name, data in written.items() if name.endswith("_int8.txt")), None)
    if target.deepstream.startswith("9"):
        assert "\nstrongly-typed=1\n" in config
        assert "\nnetwork-mode=0\n" in config
        assert "_fp32.engine\n" in config
        assert "--stronglyTyped" in script
        assert "--int8" not in script
        assert table is None
    else:
        assert "\nnetwork-mode=1\n" in config
        assert "_int8.engine\n" in config
        assert "int8-calib-file=" in config
        assert "--int8" in script
        assert table == CALIBRATION
    report = Checker(check_target(target.deepstream, target.platform))([str(tmp_path / "bundle")])
    assert {each.id for each in report.findings} <= {"NVI039"}  # which is about models of other tools
    assert report.error is None


def test_a_float_model_gets_no_config_for_int8(tmp_path: Path, invent: Callable[..., Validated]) -> None:
    model = invent(opset=13)
    text = _CODES.replace("QuantizeLinear (less, s, z)", "Identity (less)").replace(
        "DequantizeLinear (codes, s, z)", "Identity (codes)"
    )
    data = bytes(onnx.parser.parse_model(text).SerializeToString())
    model = replace(model, adapted=replace(model.adapted, onnx=replace(model.adapted.onnx, data=data)))
    with pytest.raises(PresetError, match="is no model of 8-bit codes"):
        Emit(tmp_path / "bundle", precision="int8")(model, tmp_path)


@pytest.mark.parametrize(("ours", "own", "inputs", "found"), [
    (0.97, 0.97, 300, 0), (0.965, 0.97, 300, 0), (0.955, 0.97, 100, 0), (0.90, 0.97, 300, 1), (1.0, 0.97, 300, 0),
])  # fmt: skip
def test_more_than_chance_is_said(ours: float, own: float, inputs: int, found: int) -> None:
    both = (Agreement(share, 0.01, 0.1, inputs) for share in (ours, ours, own))
    findings = int8_findings(Int8Evidence({"Conv": 1}, {}, 1.0, *both))
    assert len(findings) == found
    assert all("LiteRT's own kernels agree on 97.0%" in each.message for each in findings)


def test_evidence_comes_back(tmp_path: Path, invent: Callable[..., Validated]) -> None:
    from convert.report import evidence_json, read_evidence

    agreement = Agreement(1.0, 0.0, 0.0, 60)
    evidence = Evidence(int8=Int8Evidence({"Conv": 2}, {"Softmax": 1}, 0.9, agreement, agreement, agreement))
    model = replace(invent(), evidence=evidence)
    path = tmp_path / "model.evidence.json"
    path.write_bytes(evidence_json(model))
    assert read_evidence(path, model.adapted.onnx.data) == evidence
