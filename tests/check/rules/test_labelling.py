"""Label files against the network: what fits gives nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx.parser
import pytest

from convert.check.loading import check_target
from convert.check.run import Checker

if TYPE_CHECKING:
    from pathlib import Path

    from convert.findings import Finding

_CLASSIFIER = "[property]\ngie-unique-id=1\nnetwork-type=1\nnet-scale-factor=1.0\nclassifier-threshold=0.5\n"
_DETECTOR = "[property]\ngie-unique-id=1\nnetwork-type=0\nnet-scale-factor=1.0\ncluster-mode=2\nnum-detected-classes={classes}\n"
_FILES = "labelfile-path=l.txt\nonnx-file=m.onnx\nmodel-engine-file=m.onnx_b1_gpu0_fp32.engine\n"
_ONE = "n (float[N,3,8,8] x) => (float[N,2] a) { p = GlobalAveragePool (x) f = Flatten (p) a = Softmax (f) }"
_TWO = (
    "n (float[N,3,8,8] x) => (float[N,2] a, float[N,1] b) "
    "{ p = GlobalAveragePool (x) f = Flatten (p) a = Softmax (f) b = Sigmoid (f) }"
)
_GRID = "n (float[N,3,8,8] x) => (float[N,2,8,8] cov, float[N,8,8,8] bbox) { cov = Sigmoid (x) bbox = Sigmoid (x) }"


def _found(folder: Path, config: str, graph: str, labels: bytes) -> tuple[Finding, ...]:
    (folder / "c.txt").write_text(config + _FILES)
    (folder / "l.txt").write_bytes(labels)
    model = onnx.parser.parse_model(f'<ir_version: 7, opset_import: ["": 13]> {graph}')
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return Checker(check_target("9.1", "dgpu"))([str(folder / "c.txt")]).findings


def _ids(folder: Path, config: str, graph: str, labels: bytes) -> list[str]:
    return [finding.id for finding in _found(folder, config, graph, labels)]


@pytest.mark.parametrize(
    ("graph", "labels", "found"),
    [
        (_ONE, b"a;b", []),
        (_ONE, b"a;b\n", []),
        (_ONE, b"a;b;\n", []),
        (_ONE, b"\na;b\n\n", []),
        (_ONE, b"a", ["NVI063"]),
        (_ONE, b"a;b;c", ["NVI063"]),
        (_ONE, b"a\nb\n", ["NVI061"]),
        (_ONE, b"", ["NVI060"]),
        (_ONE, b"a;a", ["NVI069"]),
        (_TWO, b"a;b\nodd\n", []),
        (_TWO, b"a;b\n", ["NVI088"]),
        (_TWO, b"a\nb\n", ["NVI063"]),
        (_TWO, b"a\nb\nc\n", ["NVI061"]),
    ],
)
def test_classifiers(tmp_path: Path, graph: str, labels: bytes, found: list[str]) -> None:
    assert _ids(tmp_path, _CLASSIFIER, graph, labels) == found


@pytest.mark.parametrize(
    ("classes", "labels", "found"),
    [
        (2, b"a\nb\n", []),
        (2, b"a\nb\n\n\n", []),
        (2, b"a;\nb;\n", []),
        (2, b"a;x\nb\n", ["NVI062"]),
        (2, b"a;b", ["NVI062"]),
        (2, b"\na\nb\n", ["NVI066"]),
        (2, b"a\n", ["NVI063"]),
        (2, b"a\nb\nc\n", ["NVI063"]),
        (1, b"a\n", ["NVI063"]),
        (3, b"a\nb\nc\n", ["NVI063"]),
        (2, "é\nü\n".encode("latin-1"), ["NVI065"]),
    ],
)
def test_detectors(tmp_path: Path, classes: int, labels: bytes, found: list[str]) -> None:
    assert _ids(tmp_path, _DETECTOR.format(classes=classes), _GRID, labels) == found


def test_the_line_that_is_not_utf_8(tmp_path: Path) -> None:
    (found,) = _found(tmp_path, _DETECTOR.format(classes=2), _GRID, "a\né\n".encode("latin-1"))
    assert (found.id, found.line, found.column) == ("NVI065", 2, 1)


def test_a_suppression_for_a_line_is_for_that_line_of_the_config(tmp_path: Path) -> None:
    config = "# check: ignore NVI067\n" + _DETECTOR.format(classes=2)
    labels = b"a\n b\n"
    assert _ids(tmp_path, config, _GRID, labels) == ["NVI067"]
    assert _ids(tmp_path, config.replace("ignore", "ignore-file"), _GRID, labels) == []
