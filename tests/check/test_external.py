"""External checks: their errors become findings, once for each model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper

from convert.check.loading import check_target
from convert.check.run import Checker, ExternalChecks
from convert.errors import ValidationError
from convert.isolation import Died, Failed, Worker
from convert.validate.runtimes import available, read_whole

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG = """[property]
gie-unique-id={number}
network-type=100
output-tensor-meta=1
net-scale-factor=1.0
onnx-file=m.onnx
model-engine-file=m.onnx_b{batch}_gpu0_fp32.engine
batch-size={batch}
"""
_NCHW = "n (float[N,3,8,8] x) => (float[N,3] y) { p = GlobalAveragePool (x) y = Flatten (p) }"
_NHWC = "n (float[N,8,8,3] x) => (float[N,8] y) { y = ReduceMax <axes = [2, 3], keepdims = 0> (x) }"


def _write(folder: Path, graph: str, *configs: str) -> list[str]:
    data = onnx.parser.parse_model(f'<ir_version: 7, opset_import: ["": 13]> {graph}').SerializeToString()
    (folder / "m.onnx").write_bytes(data)
    for number, config in enumerate(configs):
        (folder / f"{number}.txt").write_text(config)
    return [str(folder / f"{number}.txt") for number in range(len(configs))]


def test_a_model_that_loads_and_builds_gives_nothing(tmp_path: Path) -> None:
    if not available():
        pytest.skip("tensorrt-rtx is not installed")
    for graph, more in ((_NCHW, ""), (_NHWC, "network-input-order=1\ninfer-dims=3;8;8\n")):
        paths = _write(tmp_path, graph, _CONFIG.format(number=1, batch=2) + more)
        assert (
            Checker(check_target("9.1", "dgpu"), external=ExternalChecks(onnxruntime=True, tensorrt=True))(
                paths
            ).findings
            == ()
        )


def test_each_model_goes_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not available():
        pytest.skip("tensorrt-rtx is not installed")
    calls: list[tuple[Any, ...]] = []

    def call(_: Worker, _function: str, *arguments: Any, timeout: float) -> None:
        calls.append((*arguments[1:], timeout))  # behind the model

    monkeypatch.setattr(Worker, "call", call)
    configs = [_CONFIG.format(number=number, batch=batch) for number, batch in ((1, 1), (2, 1), (3, 4))]
    external = ExternalChecks(onnxruntime=True, tensorrt=True, timeout=7)
    Checker(check_target("9.1", "dgpu"), external=external)(_write(tmp_path, _NCHW, *configs))
    assert calls == [(7,), ((3, 8, 8), 1, 7), ((3, 8, 8), 4, 7)]


@pytest.mark.parametrize(
    ("graph", "more", "shape"),
    [
        (_NCHW, "", (3, 8, 8)),
        (_NHWC, "network-input-order=1\ninfer-dims=3;8;8\n", (8, 8, 3)),
        (_NHWC, "infer-dims=3;8;8\n", (3, 8, 8)),
    ],
)
def test_the_size_that_tensorrt_builds_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graph: str, more: str, shape: tuple[int, ...]
) -> None:
    built: list[tuple[Any, ...]] = []

    def build(_: bytes, *arguments: Any, timeout: float) -> None:
        built.append((*arguments, timeout))

    monkeypatch.setattr("convert.validate.runtimes.build", build)
    external = ExternalChecks(tensorrt=True, timeout=7)
    Checker(check_target("9.1", "dgpu"), external=external)(
        _write(tmp_path, graph, _CONFIG.format(number=1, batch=2) + more)
    )
    assert built == [(shape, 2, 7)]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (Died("killed by SIGSEGV"), "ONNX Runtime killed by SIGSEGV while it loaded the model"),
        (Died("ran longer than 1 s"), "ONNX Runtime ran longer than 1 s while it loaded the model"),
        (Failed("MemoryError: ", ""), "ONNX Runtime failed: MemoryError: "),
        (ValidationError("no such operator"), "no such operator"),
    ],
)
def test_what_goes_wrong_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    def call(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Worker, "call", call)
    paths = _write(tmp_path, _NCHW, _CONFIG.format(number=1, batch=1))
    (finding,) = Checker(check_target("9.1", "dgpu"), external=ExternalChecks(onnxruntime=True))(paths).findings
    assert finding.id == "NVI040"
    assert finding.message == says


def test_weights_in_another_file_are_taken_along(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 7, opset_import: ["": 13]> n (float[N,3,8,8] x) => (float[N,3,8,8] y) { y = Add (x, w) }'
    )
    model.graph.initializer.append(numpy_helper.from_array(np.ones((1, 3, 8, 8), np.float32), "w"))
    onnx.save_model(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "0.txt").write_text(_CONFIG.format(number=1, batch=1))
    external = ExternalChecks(onnxruntime=True)
    assert Checker(check_target("9.1", "dgpu"), external=external)([str(tmp_path / "0.txt")]).findings == ()
    assert len(read_whole(tmp_path / "m.onnx")) > 3 * 8 * 8 * 4
    (tmp_path / "w.bin").unlink()
    (finding,) = Checker(check_target("9.1", "dgpu"), external=external)([str(tmp_path / "0.txt")]).findings
    assert finding.id == "NVI031"
    assert "w.bin" in finding.message


def test_a_model_that_is_gone_meanwhile(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"^the model cannot be read"):
        read_whole(tmp_path / "m.onnx")
