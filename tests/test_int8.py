"""--precision int8 as a whole: real int8 models, what is refused, and what their bundles say for each target."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from onnx import numpy_helper

from convert.__main__ import main
from convert.check.loading import check_target
from convert.check.run import Checker
from convert.emit import Emit
from convert.emit.files import CALIBRATION
from convert.errors import InputError, PresetError, UnsupportedModelError
from convert.export.unpack import Unpack
from convert.files import load_text
from convert.graph.adapt import Adapt
from convert.images import ResizeMode
from convert.isolation import Worker
from convert.nvinfer.targets import targets
from convert.options import refuse_contradictions
from convert.translate import PRELOAD, Translate
from convert.types import Adapted, Agreement, Evidence, Int8Evidence, PrecisionEvidence
from convert.validate import Validate
from convert.validate.precision import calibrated_findings, int8_findings
from tests.emitted import emitted
from tests.export.eon.writer import FORMS, write
from tests.nvinfer.conftest import invent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from convert.types import Validated

__all__ = ["emitted", "invent"]

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
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


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(PRELOAD) as child:
        yield child


def _adapted(path: Path, worker: Worker, resize_mode: ResizeMode | None = ResizeMode.SQUASH) -> Adapted:
    """In its own codes."""
    export = Unpack(precision="int8", resize_mode=resize_mode)(path, Path()).artifact
    result = Adapt()(Translate(worker=worker)(export, Path()).artifact, Path()).artifact
    assert isinstance(result, Adapted)
    return result


@pytest.fixture
def decides_alike(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Holds a model in its own codes against the original, on a fifth of the pictures: a wrong code shows in the mean
    difference of any."""
    for limit, number in (("_FEWEST_CODED", 12), ("_MOST_CODED", 60), ("_CODED_PIXELS", 1_000_000)):
        monkeypatch.setattr(f"convert.validate.{limit}", number)

    def compare(adapted: Adapted, images: Path | None = None) -> None:
        result = Validate(worker=worker, inputs=4, batches=(1, 2), images=images)(adapted, Path())
        measured = result.artifact.evidence.int8
        assert measured.plain.inputs >= 12
        assert measured.share == 1
        assert measured.plain.top1 >= measured.kernels.top1 - 0.01
        assert measured.plain.mean_abs_diff <= 1.2 * measured.kernels.mean_abs_diff + 1e-4
        assert not {"EI403", "EI404", "EI407", "EI410"} & {each.id for each in result.findings}
        if boxes := measured.moved:
            assert boxes[0] <= max(1, boxes[1])

    return compare


@pytest.mark.parametrize("name", [_QUICK, *(pytest.param(each, marks=pytest.mark.slow) for each in _SLOW)])
def test_real_models_decide_as_the_original_does(
    models: Path, worker: Worker, decides_alike: Callable[..., None], name: str
) -> None:
    adapted = _adapted(models / name, worker)
    decides_alike(adapted)
    model = onnx.load_from_string(adapted.onnx.data)
    known = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    coded = [node for node in model.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    assert coded
    assert not any(known[node.input[2]].any() for node in coded)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fruit", "shapes", "table-fomo", "table-yolov5"])
def test_samples_decide_as_the_original_does(worker: Worker, decides_alike: Callable[..., None], name: str) -> None:
    """On their pictures, too."""
    adapted = _adapted(SAMPLES / "int8" / f"{name}-2025.zip", worker, None)
    decides_alike(adapted, SAMPLES / "pictures" / name.partition("-")[0])


def test_a_frame_is_cropped_before_the_first_code(models: Path, convert: Callable[..., Path]) -> None:
    options = ("--resize-mode", "fit-shortest", "--frame", "16:9", "--resize", "device", "--role", "pgie")
    bundle = convert(models / _QUICK, *options, "--precision", "int8")
    report = json.loads((bundle / "report.json").read_text())
    assert report["evidence"]["int8"]["plain"]["top1"] >= report["evidence"]["int8"]["kernels"]["top1"] - 0.01
    model = onnx.load(bundle / report["model"]["file"])
    assert [node.op_type for node in model.graph.node][:3] == ["Slice", "Add", "QuantizeLinear"]


def test_compiled_code_keeps_the_same_codes(models: Path, worker: Worker, tmp_path: Path) -> None:
    """Of an EON library: the same ONNX model as of the flatbuffer."""
    source = tmp_path / "trained_model_compiled.cpp"
    source.write_text(write((models / _QUICK).read_bytes(), FORMS["2025-07"]))
    ours, wanted = (_adapted(each, worker) for each in (source, models / _QUICK))
    assert ours.onnx.data == wanted.onnx.data


class TestCalibrated:
    """A float export and the user's pictures."""

    EXPORT = SAMPLES / "exports" / "fruit-cpp-2022"
    PICTURES = SAMPLES / "pictures" / "fruit"
    OPTIONS = ("--precision", "int8", "--calibrate", str(PICTURES), "--resize-mode", "squash")

    def test_a_bundle(self, convert: Callable[..., Path]) -> None:
        bundle = convert(self.EXPORT, *self.OPTIONS, "--target", "9.0")
        report = json.loads((bundle / "report.json").read_text())
        assert report["model"]["calibrated"] == report["object_model"]["calibrated"] == 20
        *others, row = report["evidence"]["precisions"]
        assert [(each["precision"], each["agreement"], each["weights"]) for each in others] == [
            ("fp32", None, None),
            ("fp16", None, None),
        ]
        assert (row["precision"], row["agreement"]["inputs"]) == ("int8", 20)
        assert row["agreement"]["top1"] == 1
        assert row["nodes"]["Conv"] > 1
        assert report["evidence"]["int8"] is None
        ids = {each["id"] for each in report["findings"]}
        assert "EI308" in ids
        assert not {"EI403", "EI404", "EI413"} & ids
        assert "strongly-typed=1" in (bundle / "config_infer_primary_fruit-bowl.txt").read_text()
        assert Checker(check_target("9.0", "jetson"))([str(bundle)]).findings == ()

    def test_stage_by_stage(self, emitted: Callable[..., Path], tmp_path: Path) -> None:
        bundle = emitted(self.EXPORT, *self.OPTIONS, "--frame", "none", "--role", "pgie")
        work, told = str(tmp_path), ["--resize-mode", "squash", "-q"]
        for command, name, options in (
            ("unpack", self.EXPORT, []),
            ("translate", tmp_path / "fruit-bowl.tflite", []),
            ("adapt", tmp_path / "fruit-bowl.translated.onnx", ["--calibrate", str(self.PICTURES)]),
            ("validate", tmp_path / "fruit-bowl.onnx", []),
        ):
            assert main([command, str(name), "-o", work, *told, *options]) == 0
        assert (tmp_path / "fruit-bowl.onnx").read_bytes() == (bundle / "fruit-bowl.onnx").read_bytes()

    def test_what_it_is_not_for(self, models: Path, tmp_path: Path) -> None:
        with pytest.raises(PresetError, match="this one is quantized: int8 classifier"):
            Unpack(precision="int8", calibrate=self.PICTURES)(models / _QUICK, Path())
        with pytest.raises(InputError, match="no picture"):
            Unpack(precision="int8", calibrate=tmp_path)(self.EXPORT, Path())
        with pytest.raises(PresetError, match="about INT8"):
            refuse_contradictions({"calibrate": self.PICTURES, "precision": "auto"})
        with pytest.raises(PresetError, match="for one export"):
            refuse_contradictions({"calibrate": self.PICTURES, "precision": "int8"}, pair=True)

    @pytest.mark.parametrize(("same", "inputs", "found"), [(0.99, 200, 0), (0.98, 200, 1), (0.95, 20, 0), (0.9, 20, 1)])
    def test_too_many_other_decisions_are_said(self, same: float, inputs: int, found: int) -> None:
        row = PrecisionEvidence("int8", 1, Agreement(same, 0.01, 0.25, inputs), {"Conv": 1})
        findings = calibrated_findings(row)
        assert [each.id for each in findings] == ["EI413"] * found
        assert all(f"{same:.1%} of {inputs} pictures" in each.message for each in findings)


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
    found = replace(model.adapted.onnx, stored=bytes(data))
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
        assert table == load_text(CALIBRATION).encode()
    report = Checker(check_target(target.deepstream, target.platform))([str(tmp_path / "bundle")])
    assert {each.id for each in report.findings} <= {"NVI039"}  # which is about models of other tools
    assert report.error is None


def test_a_float_model_gets_no_config_for_int8(tmp_path: Path, invent: Callable[..., Validated]) -> None:
    model = invent(opset=13)
    text = _CODES.replace("QuantizeLinear (less, s, z)", "Identity (less)").replace(
        "DequantizeLinear (codes, s, z)", "Identity (codes)"
    )
    data = bytes(onnx.parser.parse_model(text).SerializeToString())
    model = replace(model, adapted=replace(model.adapted, onnx=replace(model.adapted.onnx, stored=data)))
    with pytest.raises(PresetError, match="is no model of 8-bit codes"):
        Emit(tmp_path / "bundle", precision="int8")(model, tmp_path)


@pytest.mark.parametrize(("ours", "own", "inputs", "found"), [
    (0.97, 0.97, 300, 0), (0.965, 0.97, 300, 0), (0.955, 0.97, 100, 0), (0.90, 0.97, 300, 1), (1.0, 0.97, 300, 0),
])  # fmt: skip
def test_more_than_chance_is_said(ours: float, own: float, inputs: int, found: int) -> None:
    plain, kernels = (Agreement(share, 0.01, 0.1, inputs) for share in (ours, own))
    findings = int8_findings(Int8Evidence({"Conv": 1}, {}, 1.0, plain, plain, kernels))
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
