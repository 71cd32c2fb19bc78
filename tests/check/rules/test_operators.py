"""NVI044 and libraries: a plugin may build what the parser does not import, and nothing but that."""

from __future__ import annotations

from pathlib import Path

import onnx.parser
import pytest

from convert.api import check

_MODEL = """<ir_version: 8, opset_import: ["": 13]>
net (float[N,3,8,8] x) => (float[N,3] scores) {
  s = Constant <value_floats = [1.0, 1.0, 2.0, 2.0]> ()
  r = Resize <mode = "cubic"> (x, , s)
  g = Round (r)
  p = GlobalAveragePool (g)
  f = Flatten <axis = 1> (p)
  scores = Softmax <axis = 1> (f)
}"""
_CONFIG = """[property]
process-mode=1
network-type=1
onnx-file=m.onnx
batch-size=1
net-scale-factor=0.00392156862745098
"""


@pytest.mark.parametrize(
    ("library", "found"),
    [
        (None, {"Resize", "Round"}),
        (b"\x7fELF...\0NvDsInferParseMine\0", {"Resize", "Round"}),
        (b"\x7fELF...\0getPluginRegistry\0", {"Resize"}),
        (b"", {"Resize"}),
    ],
    ids=["no library", "a parser", "plugins", "a library of the device"],
)
def test_a_library_may_bring_a_plugin(tmp_path: Path, library: bytes | None, found: set[str]) -> None:
    (tmp_path / "m.onnx").write_bytes(onnx.parser.parse_model(_MODEL).SerializeToString())
    more = ""
    if library is not None:
        more = "custom-lib-path=lib.so\n"
        if library:
            (tmp_path / "lib.so").write_bytes(library)
    (tmp_path / "config.txt").write_text(_CONFIG + more)
    findings = check([tmp_path / "config.txt"], target="deepstream-6.0", platform="dgpu").findings
    built = [each.message for each in findings if each.id == "NVI044"]
    assert {name for name in ("Resize", "Round") for message in built if name in message} == found
