"""Configs in the manner of the community guide's two published ones: written anew, with the same properties.

What nvinfer does with the originals is at the end of docs/nvinfer.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx.parser
import pytest

from convert.check.loading import check_target
from convert.check.run import Checker
from convert.findings import Finding, Level
from convert.nvinfer.keys import Verdict

if TYPE_CHECKING:
    from pathlib import Path

_DETECTOR = """[property]
gpu-id=0
gie-unique-id=1
process-mode=1 # whole frames
network-type=0
net-scale-factor=0.0039215697906911373
model-color-format=0
#onnx-file=detector.onnx
model-engine-file=detector.onnx_b1_gpu0_fp32.engine
labelfile-path=labels.txt
batch-size=1
network-mode=0
num-detected-classes=80
cluster-mode=2
maintain-aspect-ratio=1
symmetric-padding=1
parse-bbox-func-name=ParseBoxes
custom-lib-path=parser/libboxes.so

[class-attrs-all]
nms-iou-threshold=0.70
pre-cluster-threshold=0.1
topk=300
"""
_CLASSIFIER = """[property]
gpu-id=0
#net-scale-factor=1
gie-unique-id=2
onnx-file=classifier.onnx
labelfile-path=labels.txt
force-implicit-batch-dim=0
network-mode=0
process-mode=2 # objects
network-type=1
batch-size=1
model-color-format=2

[class-attrs-all]
pre-cluster-threshold=0.8 # how sure
eps=0.2
group-threshold=1
"""
_MODEL = """<ir_version: 7, opset_import: ["": 13]>
net (float[N,{channels},32,32] x) => (float[N,2] y) {{
  p = GlobalAveragePool (x)
  f = Flatten <axis = 1> (p)
  y = Softmax <axis = 1> (f)
}}"""


def _findings(folder: Path, text: str, files: dict[str, bytes]) -> list[Finding]:
    (folder / "config.txt").write_text(text)
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    report = Checker(check_target("9.1", "dgpu"))([str(folder / "config.txt")])
    (file,) = report.files
    assert file.verdict is Verdict.ACCEPTED
    return list(report.findings)


def _model(channels: int) -> bytes:
    return bytes(onnx.parser.parse_model(_MODEL.format(channels=channels)).SerializeToString())


def test_the_detector(tmp_path: Path) -> None:
    library = b"\x7fELF" + b"\0ParseBoxes\0"
    found = _findings(tmp_path, _DETECTOR, {"labels.txt": b"m&m\n", "parser/libboxes.so": library})
    assert {(finding.id, finding.level) for finding in found} == {
        ("NVI004", Level.NOTE),  # the comment behind process-mode is tolerated
        ("NVI022", Level.WARNING),  # nothing to build the engine again from
        ("NVI063", Level.WARNING),  # 80 classes, one label
    }
    assert any("classes 1 to 79 have no name" in finding.message for finding in found)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_classifier(tmp_path: Path, channels: int) -> None:
    found = _findings(tmp_path, _CLASSIFIER, {"labels.txt": b"good;bad", "classifier.onnx": _model(channels)})
    assert {(finding.id, finding.level) for finding in found} == {
        ("NVI004", Level.NOTE),
        ("NVI011", Level.WARNING),  # the group is never read
        ("NVI023", Level.WARNING),  # without model-engine-file it is built at every start
        ("NVI051", Level.WARNING),  # net-scale-factor is a comment
        ("NVI086", Level.WARNING),  # no threshold
        ("NVI090", Level.NOTE),  # objects of all engines
        *([("NVI050", Level.ERROR)] if channels == 3 else []),  # GRAY and three channels: refused
    }


def test_the_comment_would_be_fatal_in_a_detector(tmp_path: Path) -> None:
    text = _DETECTOR.replace("threshold=0.1", "threshold=0.1 # low")
    (tmp_path / "config.txt").write_text(text)
    (file,) = Checker(check_target("9.1", "dgpu"))([str(tmp_path / "config.txt")]).files
    assert file.verdict is Verdict.REJECTED
    (error,) = [finding for finding in file.findings if finding.level is Level.ERROR]
    assert (error.id, error.line, error.column) == ("NVI004", 22, 23)
