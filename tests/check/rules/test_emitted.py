"""What this project writes gives no findings: for each target, role and sample, and each head there is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import onnx.parser
import pytest

from convert.check.loading import check_target
from convert.check.run import Checker
from convert.emit import ROLES, Emit
from convert.files import configs
from convert.nvinfer.targets import parsers, targets
from convert.types import Head, Limits, OnnxModel, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from convert.types import Validated

_CLASSIFIER = """<ir_version: 7, opset_import: ["": {opset}]>
net (float[N,3,64,96] x_input) => (float[N,3] scores) {{
  p = GlobalAveragePool (x_input)
  f = Flatten <axis = 1> (p)
  scores = Softmax <axis = 1> (f)
}}"""


def _real(model: Validated, text: str) -> Validated:
    """The invented model with an ONNX file that can be read."""
    data = onnx.parser.parse_model(text).SerializeToString()
    found = replace(model.adapted.onnx, stored=bytes(data))
    return replace(model, adapted=replace(model.adapted, onnx=found))


_ROLES = [(target, "both") for target in targets()]  # has the config of each
_ROLES += [(target, role) for target in (targets()[0], targets()[-1]) for role in ROLES if role != "both"]


@pytest.mark.parametrize(("target", "role"), _ROLES, ids=lambda each: getattr(each, "deepstream", each))
def test_classifiers(tmp_path: Path, invent: Callable[..., Validated], target: Any, role: str) -> None:
    opset = 11 if target.deepstream == "5.1" else 13
    model = _real(invent(opset=opset), _CLASSIFIER.format(opset=opset))
    for precision, batch in (("fp32", 1), ("fp16", 8)) if role == "both" else (("fp32", 1),):
        folder = tmp_path / f"{precision}-{batch}"
        options: dict[str, Any] = {"role": role, "precision": precision, "batch_size": batch}
        Emit(folder, target=target.deepstream, platform=target.platform, **options)(model, tmp_path)
        report = Checker(check_target(target.deepstream, target.platform))([str(folder)])
        assert report.findings == ()
        assert report.error is None
        kinds = [file.kind for file in report.files]
        assert kinds.count("nvinfer") == (2 if role == "both" else 1)
        assert {"deepstream-app", "script"} <= set(kinds)
        assert {file.verdict for file in report.files if file.kind != "script"} == {"accepted"}


def test_a_wrong_target_shows(tmp_path: Path, invent: Callable[..., Validated]) -> None:
    Emit(tmp_path / "bundle", target="9.1", platform="dgpu")(_real(invent(), _CLASSIFIER.format(opset=13)), tmp_path)
    report = Checker(check_target("5.1", "jetson"))([str(tmp_path / "bundle")])
    assert {"NVI013", "NVI038", "NVI098"} <= {finding.id for finding in report.findings}


_FOMO = """<ir_version: 7, opset_import: ["": {opset}]>
net (float[N,3,64,96] x_input) => (float[N,3,8,12] "output_cov/Sigmoid", float[N,12,8,12] "output_bbox/BiasAdd") {{
  cells = AveragePool <kernel_shape = [8, 8], strides = [8, 8]> (x_input)
  "output_cov/Sigmoid" = Sigmoid (cells)
  "output_bbox/BiasAdd" = Concat <axis = 1> (cells, cells, cells, cells)
}}"""
_BOXES = """<ir_version: 7, opset_import: ["": {opset}]>
net (float[N,3,64,96] x_input)
=> (float[N,72,4] detection_boxes, float[N,72] detection_scores, float[N,72] detection_classes) {{
  cells = AveragePool <kernel_shape = [8, 8], strides = [8, 8]> (x_input)
  four = Constant <value = int64[3] {{0, -1, 4}}> ()
  detection_boxes = Reshape (cells, four)
  detection_scores = ReduceMax <axes = [2], keepdims = 0> (detection_boxes)
  detection_classes = ReduceMin <axes = [2], keepdims = 0> (detection_boxes)
}}"""
_SHAPES = {
    "output_cov/Sigmoid": (None, 3, 8, 12),
    "output_bbox/BiasAdd": (None, 12, 8, 12),
    "detection_boxes": (None, 72, 4),
    "detection_scores": (None, 72),
    "detection_classes": (None, 72),
}
HEADS = sorted(path.stem for path in (configs() / "heads").glob("*.toml") if path.stem != "classifier")
# The heads differ in how the model is cut; what is emitted depends on the parser, and these two have all there is.
_PAIRS = [(target, head) for target in targets() for head in ("fomo", "ssd")]
_PAIRS += [(targets()[-1], head) for head in HEADS]


@pytest.mark.parametrize(("target", "head"), _PAIRS, ids=lambda each: getattr(each, "deepstream", each))
def test_detectors(tmp_path: Path, invent: Callable[..., Validated], target: Any, head: str) -> None:
    assert "NvDsInferParseCustomTfSSD" in {each.function for each in parsers(target)}
    opset = 11 if target.deepstream == "5.1" else 13
    model = _detector(invent(opset=opset), head, opset)
    Emit(tmp_path / "bundle", target=target.deepstream, platform=target.platform)(model, tmp_path)
    report = Checker(check_target(target.deepstream, target.platform))([str(tmp_path / "bundle")])
    assert report.findings == ()
    assert {file.verdict for file in report.files if file.kind != "script"} == {"accepted"}


def _detector(model: Validated, task: str, opset: int) -> Validated:
    text = (_FOMO if task == "fomo" else _BOXES).format(opset=opset)
    parsed = onnx.parser.parse_model(text)
    outputs = tuple(Tensor(each.name, _SHAPES[each.name], "float32") for each in parsed.graph.output)
    adapted = model.adapted
    found = OnnxModel(bytes(parsed.SerializeToString()), adapted.onnx.input, outputs, opset)
    limits = Limits(10, 0.3, 0.6)
    return replace(model, adapted=replace(adapted, onnx=found, head=Head(task, adapted.head.labels, limits=limits)))
