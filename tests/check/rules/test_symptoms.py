"""The symptoms people report (docs/users.md), each found before deployment; numbers are those of that list.

Numbers 2 and 20 are about converting: an input name that tf2onnx ignored shows here as an NHWC input, and a package that
is missing as one sentence (tests/cli/test_check.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx.parser
import pytest

from convert.check.loading import check_target
from convert.check.run import Checker

if TYPE_CHECKING:
    from pathlib import Path

_CLASSIFIER = {
    "gie-unique-id": "1", "network-type": "1", "onnx-file": "m.onnx", "model-engine-file": "m.onnx_b1_gpu0_fp32.engine",
    "labelfile-path": "l.txt", "net-scale-factor": "0.00392156862745098", "classifier-threshold": "0.5",
}  # fmt: skip
_DETECTOR = {
    **{key: value for key, value in _CLASSIFIER.items() if key != "classifier-threshold"},
    "network-type": "0", "num-detected-classes": "2", "cluster-mode": "2",
}  # fmt: skip
_STOCK = {
    "custom-lib-path": "/opt/nvidia/deepstream/deepstream/lib/libnvds_infercustomparser.so",
    "parse-bbox-func-name": "NvDsInferParseCustomTfSSD",
}
_NCHW, _NHWC = "float[N,3,32,32] x", "float[N,32,32,3] x"
_TWO, _ROW = "float[N,2] y", "a;b"
_POOLED = "p = GlobalAveragePool (x) f = Flatten <axis = 1> (p) y = Softmax <axis = 1> (f)"


def _model(source: str = _NCHW, sink: str = _TWO, body: str = _POOLED) -> bytes:
    text = f'<ir_version: 7, opset_import: ["": 13]> net ({source}) => ({sink}) {{ {body} }}'
    return bytes(onnx.parser.parse_model(text).SerializeToString())


def _config(base: dict[str, str], extra: str = "", **changes: str | None) -> str:
    values = {**base, **{key.replace("_", "-"): value for key, value in changes.items()}}
    lines = [f"{key}={value}" for key, value in values.items() if value is not None]
    return "[property]\n" + "\n".join(lines) + f"\n{extra}"


_HEAT = "float[N,3,8,8] heat, float[N,12,8,8] boxes"
_HEAT_BODY = "heat = Sigmoid (x) boxes = Concat <axis = 1> (x, x, x, x)"
_NHWC_HEADS = "float[N,8,8,2] cov, float[N,8,8,8] bbox"
_RESHAPED = "one = Constant <value = int64[2] {1, 3}> () p = GlobalAveragePool (x) f = Reshape (p, one) y = Softmax (f)"
_SSD = "float[N,9,4] detection_boxes, float[N,9] detection_scores, float[N,9] detection_classes"
_CUT = "detection_boxes = Identity (x) detection_scores = Identity (x) detection_classes = Identity (x)"
_QDQ = "s = Constant <value = float {0.1}> () z = Constant <value = uint8 {0}> () q = QuantizeLinear (x, s, z) y = Softmax (q)"

SYMPTOMS = [
    (1, "NVI033", _config(_CLASSIFIER), _model(_NHWC, body="y = Softmax (x)"), _ROW),
    (1, "NVI050", _config(_CLASSIFIER, model_color_format="2"), _model(), _ROW),
    (2, "NVI033", _config(_CLASSIFIER, network_input_order="1"), _model(_NHWC, body="y = Softmax (x)"), _ROW),
    (3, "NVI073", _config(_DETECTOR), _model(sink=_NHWC_HEADS, body="cov = Sigmoid (x) bbox = Sigmoid (x)"), "a\nb\n"),
    (4, "NVI051", _config(_CLASSIFIER, net_scale_factor=None), _model(), _ROW),
    (4, "NVI052", _config(_CLASSIFIER, net_scale_factor="0"), _model(), _ROW),
    (4, "NVI054", _config(_CLASSIFIER, offsets="0.5;0.5;0.5"), _model(), _ROW),
    (5, "NVI054", _config(_CLASSIFIER, offsets="103.939;116.779;123.68"), _model(), _ROW),
    (6, "NVI070", _config(_DETECTOR), _model(sink=_HEAT, body=_HEAT_BODY), "a\nb\n"),
    (7, "NVI063", _config(_DETECTOR, num_detected_classes="80"), _model(), "a\nb\n"),
    (7, "NVI002", _config(_DETECTOR, "[class-attrs-2]\ntopk=5\n"), _model(), "a\nb\n"),
    (8, "NVI061", _config(_CLASSIFIER), _model(), "a\nb\n"),
    (8, "NVI064", _config(_CLASSIFIER), _model(), "a;b\r\n"),
    (8, "NVI066", _config(_DETECTOR), _model(), "a\n\nb\n"),
    (9, "NVI028", _config(_CLASSIFIER, batch_size="4"), _model("float[1,3,32,32] x", "float[1,2] y"), _ROW),
    (9, "NVI029", _config(_CLASSIFIER, batch_size="4"), _model(body=_RESHAPED), _ROW),
    (10, "NVI034", _config(_CLASSIFIER), _model("float[N,3,h,w] x"), _ROW),
    (10, "NVI034", _config(_CLASSIFIER, infer_dims="32;32;3"), _model(), _ROW),
    (10, "NVI002", _config(_CLASSIFIER, infer_dims="1;3;32;32"), _model(), _ROW),
    (11, "NVI023", _config(_CLASSIFIER, batch_size="2"), _model(), _ROW),
    (11, "NVI023", _config(_CLASSIFIER, model_engine_file=None), _model(), _ROW),
    (12, "NVI022", _config(_CLASSIFIER, onnx_file=None), _model(), _ROW),
    (13, "NVI014", _config(_CLASSIFIER, symmetric_padding="1"), _model(), _ROW),
    (
        15,
        "NVI037",
        _config(_DETECTOR | _STOCK),
        _model(sink=_SSD, body=_CUT + " k = NonMaxSuppression (x, x)"),
        "a\nb\n",
    ),
    (16, "NVI026", _config(_CLASSIFIER, network_mode="1"), _model(), _ROW),
    (16, "NVI039", _config(_CLASSIFIER), _model(body=_QDQ), _ROW),
    (17, "NVI063", _config(_DETECTOR), _model(), "background\ncar\nbus\n"),
    (17, "NVI077", _config(_DETECTOR, "[class-attrs-all]\nnms-iou-threshold=0\n"), _model(), "a\nb\n"),
    (18, "NVI009", _config(_CLASSIFIER, interwal="2"), _model(), _ROW),
    (18, "NVI012", _config(_CLASSIFIER, input_dims="3;32;32;0"), _model(), _ROW),
    (18, "NVI001", "; comment\n" + _config(_CLASSIFIER), _model(), _ROW),
    (18, "NVI004", _config(_CLASSIFIER, net_scale_factor="0.5 # half"), _model(), _ROW),
    (18, "NVI002", _config(_CLASSIFIER, net_scale_factor="1/255"), _model(), _ROW),
    (18, "NVI005", _config(_CLASSIFIER, onnx_file="m.onnx "), _model(), _ROW),
    (19, "NVI024", _config(_DETECTOR, custom_lib_path="parser/lib.so"), _model(), "a\nb\n"),
    (19, "NVI024", _config(_CLASSIFIER, labelfile_path="configs/l.txt"), _model(), _ROW),
    (19, "NVI072", _config(_DETECTOR | _STOCK, parse_bbox_func_name="NvDsInferParseYolo"), _model(), "a\nb\n"),
]


@pytest.mark.parametrize(("number", "rule", "config", "model", "labels"), SYMPTOMS, ids=lambda each: str(each)[:8])
def test_found_before_deployment(
    tmp_path: Path, number: int, rule: str, config: str, model: bytes, labels: str
) -> None:
    (tmp_path / "config.txt").write_text(config)
    (tmp_path / "m.onnx").write_bytes(model)
    (tmp_path / "l.txt").write_bytes(labels.encode())
    report = Checker(check_target("9.1", "dgpu"))([str(tmp_path / "config.txt")])
    assert rule in {finding.id for finding in report.findings}, number


def test_without_a_symptom_nothing_is_found(tmp_path: Path) -> None:
    (tmp_path / "config.txt").write_text(_config(_CLASSIFIER))
    (tmp_path / "m.onnx").write_bytes(_model())
    (tmp_path / "l.txt").write_bytes(_ROW.encode())
    assert Checker(check_target("9.1", "dgpu"))([str(tmp_path)]).findings == ()


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("onnx-file", "C:\\new", r"onnx-file: \n is read as a line break"),
        ("parse-classifier-func-name", "a\\tb", r"parse-classifier-func-name: \t is read as a tab"),
        ("onnx-file", "C:\\\\new", ""),
        ("batch-size", "\\n1", ""),
    ],
)
def test_backslashes(tmp_path: Path, key: str, value: str, said: str) -> None:
    """Of names and paths; what a backslash does to a number, another rule says."""
    (tmp_path / "config.txt").write_text(_config(_CLASSIFIER, **{key: value}))
    report = Checker(check_target("9.1", "dgpu"))([str(tmp_path / "config.txt")])
    assert [finding.message for finding in report.findings if finding.id == "NVI016"] == ([said] if said else [])


@pytest.mark.parametrize(
    ("key", "said"),
    [("onnx-file", True), ("parse-bbox-func-name", True), ("output-blob-names", True), ("batch-size", False)],
)
def test_an_empty_value_in_yaml(tmp_path: Path, key: str, said: bool) -> None:
    """Of names and paths; of a number it is no number, which another rule says."""
    (tmp_path / "config.yml").write_text(f"property:\n  gie-unique-id: 1\n  network-type: 1\n  {key}:\n")
    report = Checker(check_target("9.1", "dgpu"))([str(tmp_path / "config.yml")])
    messages = [finding.message for finding in report.findings if finding.id == "NVI017"]
    assert (f"nothing stands behind {key}: nvinfer reads the word null" in messages) is said


def test_options_of_trtexec(tmp_path: Path) -> None:
    """Number 14, for each TensorRT."""
    (tmp_path / "build.sh").write_text("trtexec --onnx=m.onnx --workspace=100 --explicitBatch --skipInference --fp16\n")
    found = {}
    for release, tensorrt in (("6.0.1", None), ("6.4", None), ("7.1", None), ("9.1", "11.0")):
        report = Checker(check_target(release, "dgpu", tensorrt))([str(tmp_path)])
        found[release] = [finding.message.split()[0] for finding in report.findings]
    assert found == {
        "6.0.1": ["--skipInference"],
        "6.4": [],
        "7.1": ["--workspace", "--explicitBatch"],
        "9.1": ["--workspace", "--explicitBatch", "--fp16"],
    }


def test_precision_in_tensorrt_11(tmp_path: Path) -> None:
    """Number 14, in the config."""
    (tmp_path / "config.txt").write_text(_config(_CLASSIFIER, network_mode="2"))
    ids = {
        tensorrt: "NVI030"
        in {finding.id for finding in Checker(check_target("9.1", "dgpu", tensorrt))([str(tmp_path)]).findings}
        for tensorrt in ("10.16", "11.0")
    }
    assert ids == {"10.16": False, "11.0": True}
