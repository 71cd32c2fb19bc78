"""A check of anything: faults one after the other, files that cannot be read, any bytes at all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from convert.check.loading import check_target, read_config
from convert.check.run import Checker
from convert.nvinfer.keys import Verdict
from convert.render.check import lines, summary
from convert.render.machine import check_document, check_junit, sarif_document
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from convert.check.run import CheckReport
    from convert.findings import Finding

_TARGET = check_target("9.1", "dgpu")


def _check(*paths: Path) -> CheckReport:
    return Checker(_TARGET)([str(path) for path in paths])


def test_every_fault_is_found_and_the_verdict_is_nvinfers(tmp_path: Path) -> None:
    path = tmp_path / "c.txt"
    path.write_text(
        "; comment\n[property]\nbatch-size=0\nnetwork-mode=fp16\ninterwal=1\nnum-detected-classes=2\n"
        "[class-attrs-5]\ntopk=1 # x\n[class-attrs-1]\neps=a\n"
    )
    (file,) = _check(path).files
    assert file.verdict is Verdict.REJECTED
    assert file.values == {}
    # What is missing is found at [property], line 2.
    assert [(finding.id, finding.line) for finding in file.findings if finding.line != 2] == [
        ("NVI001", 1),
        ("NVI002", 3),
        ("NVI002", 4),
        ("NVI009", 5),
        ("NVI002", 7),
        ("NVI002", 10),
    ]


def test_yaml_faults_too(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    path.write_text("property:\n  batch-size: two\n  maintain-aspect-ratio: true\n  interval: 1\n")
    (file,) = _check(path).files
    assert file.verdict is Verdict.ABORTS
    assert file.exception
    assert [(finding.id, finding.line) for finding in file.findings if finding.line != 1] == [
        ("NVI003", 2),
        ("NVI003", 3),
    ]


def test_many_faults_end_some_time(tmp_path: Path) -> None:
    path = tmp_path / "c.txt"
    path.write_text("[property]\n" + "text\n" * 5000)
    (file,) = _check(path).files
    assert 10 <= len(file.findings) <= 60
    assert len(read_config(str(path), _TARGET).faults) <= 50


def test_other_files_are_checked_although_one_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("[property]\n")
    report = _check(tmp_path / "missing.txt", tmp_path / "c.txt")
    assert report.error is report.files[0].error is not None
    assert report.files[0].verdict is None
    assert report.files[1].findings


def test_a_huge_file(tmp_path: Path) -> None:
    path = tmp_path / "c.txt"
    path.write_bytes(b"[property]\nbatch-size=1\n" + b"# a comment line that goes on for a while\n" * 500_000)
    assert path.stat().st_size > 20_000_000
    (file,) = _check(path).files
    assert file.verdict is Verdict.ACCEPTED


def _shown(report: CheckReport) -> None:
    """Every form of output takes it."""
    text = list(lines(report.findings, report.files, lambda text, _: text))
    assert summary(report, lambda text, _: text)
    assert all("\x1b" not in line for line in text)
    assert check_document(report, 1)["files"]
    assert sarif_document(report, 1)["runs"]
    assert check_junit(report).startswith(b"<?xml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bytes")


_WORDS = [b"[property]\n", b"property:\n  ", b"network-type=1\n", b"labelfile-path=l.txt\n", b"onnx-file=m.onnx\n",
          b"=", b"infer-dims=3;8;8\n", b"[class-attrs-0]\n", b"num-detected-classes=2\n", b"topk=", b"\xff", b"\0",
          b"\r\n", b"# ", b"# check: ignore ", b": ", b"- ", b"\xef\xbb\xbf", b"[primary-gie]\n", b"enable=1\n",
          b"config-file=c.txt\n",
          b"[application]\n", b"1;2", b"offsets=1;2;3\n", b"custom-lib-path=l.txt\n", b"batch-size=2\n"]  # fmt: skip
_BYTES = st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(_WORDS), max_size=14).map(b"".join))


@examples(200)
@given(_BYTES, _BYTES, _BYTES, st.sampled_from(["c.txt", "c.yml", "app.txt", "app.yml"]))
def test_any_bytes(folder: Path, config: bytes, labels: bytes, model: bytes, name: str) -> None:
    (folder / "l.txt").write_bytes(labels)
    (folder / "m.onnx").write_bytes(model)
    (folder / name).write_bytes(config)
    report = _check(folder / name)
    assert report.files[0].verdict is not None or report.error
    if report.files[0].verdict in {Verdict.REJECTED, Verdict.ABORTS}:
        assert any(finding.level == "error" for finding in report.files[0].findings)
    _shown(report)


_DIMS = st.one_of(st.none(), st.lists(st.one_of(st.integers(0, 9), st.sampled_from(["N", "h"]), st.none()), max_size=5))
_NAMES = st.sampled_from(["x", "cov", "bbox", "detection_boxes", "detection_scores", "detection_classes", "argmax_1"])
_VALUES = st.builds(helper.make_tensor_value_info, _NAMES, st.sampled_from([1, 2, 6, 7, 10, 16]), _DIMS)
_NODES = st.builds(
    helper.make_node,
    st.sampled_from(["Reshape", "Softmax", "Gemm", "Identity", "NonZero", "QuantizeLinear", "Mine"]),
    st.lists(_NAMES, max_size=3),
    st.lists(_NAMES, max_size=2),
    domain=st.sampled_from(["", "mine"]),
)
_STOCK = "/opt/nvidia/deepstream/deepstream/lib/libnvds_infercustomparser.so"
_VALID = {
    "network-type": ["0", "1", "2", "3", "100"], "process-mode": ["1", "2"], "batch-size": ["1", "4"],
    "infer-dims": ["3;8;8", "8;8;3", "0;8;8", "1;4;4"], "network-input-order": ["0", "1"],
    "offsets": ["1;2;3", "0.5", "103.9;116.7;123.7"], "model-color-format": ["0", "1", "2"],
    "cluster-mode": ["0", "1", "2", "3", "4"], "num-detected-classes": ["0", "2", "3"],
    "labelfile-path": ["l.txt", "missing.txt", ""], "model-engine-file": ["e.engine", ""],
    "custom-lib-path": [_STOCK, "l.txt"],
    "parse-bbox-func-name": ["NvDsInferParseCustomTfSSD", "NvDsInferParseCustomBatchedNMSTLT", "Mine"],
    "parse-classifier-func-name": ["NvDsInferClassiferParseCustomSoftmax"],
    "net-scale-factor": ["nan", "inf", "-1", "0.004"], "mean-file": ["l.txt"], "network-mode": ["1", "2", "3"],
    "enable-dla": ["1"], "gie-unique-id": ["-1", "1"], "filter-out-class-ids": ["0;1", "7"],
    "output-blob-names": ["x", "a;b"], "input-tensor-from-meta": ["1"], "classifier-threshold": ["nan", "1", "0"],
    "output-instance-mask": ["1"], "force-implicit-batch-dim": ["1"],
}  # fmt: skip
_LINES = st.dictionaries(st.sampled_from(sorted(_VALID)), st.integers(0, 4), max_size=14)


@examples(200)
@given(
    _LINES,
    st.lists(_VALUES, max_size=2),
    st.lists(_VALUES, max_size=4),
    st.lists(_NODES, min_size=1, max_size=3),
    _BYTES,
)
def test_any_config_with_any_model(
    folder: Path,
    lines: dict[str, int],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    nodes: list[onnx.NodeProto],
    labels: bytes,
) -> None:
    (folder / "l.txt").write_bytes(labels)
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    (folder / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    text = ["onnx-file=m.onnx"]
    text += [f"{key}={_VALID[key][number % len(_VALID[key])]}" for key, number in lines.items()]
    attributes = ["[class-attrs-all]", "nms-iou-threshold=0", "pre-cluster-threshold=nan", "topk=0", "eps=1"]
    (folder / "c.txt").write_text("\n".join(["[property]", *text, *attributes]))
    report = _check(folder / "c.txt")
    assert report.files[0].verdict is not None
    _shown(report)


def _places(found: tuple[Finding, ...]) -> list[tuple[str | None, int | None]]:
    return [(finding.path, finding.line) for finding in found]


def test_findings_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("a\r\n b\n")
    (tmp_path / "c.txt").write_text("[property]\ninterwal=1\nlabelfile-path=l.txt\nbatch-size=1 # x\n")
    (file,) = _check(tmp_path / "c.txt").files
    places = _places(file.findings)
    own = [line for path, line in places if path == file.path]
    assert own == sorted(own, key=lambda line: line or 0)
    assert [path for path, _ in places] == sorted([path for path, _ in places], key=lambda path: path != file.path)


_LONG: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "blanks": (
        2_000_000, lambda n: b"[property]\ninfer-dims=1" + b" " * n + b"x\noffsets=1" + b" \t" * (n // 2) + b"\n"
    ),
    "suppressions": (
        40_000,
        lambda n: b"[property]\n" + b"# check: ignore x\n" * n + b"# check: ignore" + b" \r" * (10 * n) + b"a\n",
    ),
    "groups": (
        10_000,
        lambda n: b"[property]\nnetwork-type=1\n" + b"".join(b"[class-attrs-%d]\nthreshold=1\n" % i for i in range(n)),
    ),
    "keys": (8_000, lambda n: b"[property]\n" + b"".join(b"interwal%d=1\n" % i for i in range(n))),
    "comments": (12_000, lambda n: b"[property]\n" + b"".join(b"batch-size=1 # %d\n" % i for i in range(n))),
    "values": (
        2_000_000, lambda n: b"[property]\nonnx-file=" + b"a " * n + b"\nclassifier-type=" + b"# " * n + b"\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", _LONG)
def test_nothing_is_quadratic(tmp_path: Path, name: str) -> None:
    """Of four times as much text the time is about four times as long; it would be sixteen times."""
    count, text = _LONG[name]

    def seconds(count: int) -> float:
        """Of the processor."""
        (tmp_path / "c.txt").write_bytes(text(count))
        begin = time.process_time()
        report = _check(tmp_path / "c.txt")
        _shown(report)
        assert len(report.findings) < 2000
        return time.process_time() - begin

    seconds(1)  # what is made once
    assert seconds(count) < 10 * min(seconds(count // 4) for _ in range(2))
