"""The bytes say what the model computes, and nothing of how it came about."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser
import pytest

import convert
from convert.graph import passes
from convert.graph.cleanup import clean
from tests.graph.proof import model, operators

ROOT = Path(__file__).resolve().parents[2]
CANONICAL = partial(passes.canonical, outputs=("scores",), metadata={"b": "2", "a": "1"})


def canonical(text: onnx.ModelProto) -> onnx.ModelProto:
    return CANONICAL(clean(text))


def test_names_order_and_header() -> None:
    body = """
      c = Constant<value = float {3}>()    d = Constant<value = float {5}>()
      unused = Mul(x, d)    p = Add(x, d)    q = Mul(p, c)    y = Add(q, d)
    """
    result = canonical(model(body, target="1,3,4,5"))
    onnx.checker.check_model(result, full_check=True)
    assert [(list(node.input), list(node.output), node.name) for node in result.graph.node] == [
        (["x_input", "c0"], ["t0"], "Add_0"),
        (["t0", "c1"], ["t1"], "Mul_1"),
        (["t1", "c0"], ["scores"], "Add_2"),
    ]
    assert [tensor.name for tensor in result.graph.initializer] == ["c0", "c1"]
    assert all(tensor.raw_data for tensor in result.graph.initializer)
    assert (result.producer_name, result.producer_version) == ("ei-deepstream", convert.__version__)
    assert [(item.key, item.value) for item in result.metadata_props] == [("a", "1"), ("b", "2")]
    assert not result.graph.value_info
    assert not result.graph.doc_string


@pytest.mark.parametrize(("opset", "ir"), [(7, 4), (9, 4), (11, 6), (13, 7), (15, 8), (18, 8)])
def test_ir_version_is_the_oldest_that_holds_the_opset(opset: int, ir: int) -> None:
    result = canonical(model("y = Relu(x)", target="1,3,4,5", opset=opset))
    assert result.ir_version == ir
    onnx.checker.check_model(result)


def test_the_same_graph_stored_differently_gives_the_same_bytes() -> None:
    one = model("a = Tanh(x) b = Sigmoid(x) y = Add(a, b)", target="1,3,4,5")
    other = onnx.parser.parse_model(
        """<ir_version: 8, producer_name: "somebody", opset_import: ["" : 13, "ai.onnx.ml" : 2]>
        other (float[1,3,4,5] "in:0;x") => (float[1,3,4,5] result) { q = Sigmoid("in:0;x") z = Relu(q)
        p = Tanh("in:0;x") result = Add(p, q) }""".replace('"in:0;x"', "in0x")
    )
    other.graph.node[0].doc_string = "hello"
    assert canonical(one).SerializeToString() == canonical(other).SerializeToString()


def test_constants_are_raw_and_nothing_else_whatever_field_they_are_in() -> None:
    """Those that nothing uses go; the others stay in the model, in the order of their first use."""
    stored = model("a = Tanh(x) y = Relu(a)", target="1,3,4,5")
    typed = onnx.helper.make_tensor("first", onnx.TensorProto.FLOAT, [5], [1, 2, 3, 4, 5])
    raw = onnx.numpy_helper.from_array(np.arange(5, dtype=np.float32), "second")
    raw.doc_string = typed.doc_string = "hello"
    raw.data_location = onnx.TensorProto.DEFAULT
    raw.metadata_props.add(key="author", value="somebody")
    raw.external_data.add(key="location", value="elsewhere")
    for node, name in zip(stored.graph.node, ("second", "first"), strict=True):
        node.input.append(name)
    stored.graph.initializer.extend([typed, onnx.numpy_helper.from_array(np.zeros(3), "unused"), raw])
    wanted = [
        onnx.numpy_helper.from_array(np.arange(start, start + 5, dtype=np.float32), f"c{start}") for start in (0, 1)
    ]
    assert list(CANONICAL(stored).graph.initializer) == wanted


def test_attributes_are_sorted() -> None:
    result = canonical(model("y = LRN<size = 3, alpha = 0.1, beta = 0.5>(x)", target="1,3,4,5"))
    assert [item.name for item in result.graph.node[0].attribute] == ["alpha", "beta", "size"]


def test_inputs_that_are_left_out_stay_so() -> None:
    result = canonical(model("h = Constant<value = float {0.5}>() y = Clip(x, , h)", target="1,3,4,5"))
    assert [list(node.input) for node in result.graph.node] == [["x_input", "", "c0"]]


def test_nodes_with_several_outputs() -> None:
    result = canonical(model("a, b = Split<axis = 1>(x) y = Concat<axis = 1>(b, a)", "1,4,4,5", "1,4,4,5"))
    onnx.checker.check_model(result, full_check=True)
    assert operators(result) == ["Split", "Concat"]
    assert list(result.graph.node[1].input) == ["t1", "t0"]


_RUN = """
import sys
from functools import partial
from pathlib import Path
from convert.types import Export, Metadata
from convert.export.facts import facts
from convert.graph.adapt import Adapt
from convert.translate import Translate
from convert.files import sha256

model = Path(sys.argv[1]).read_bytes()
export = Export(model, "m", "flatbuffer", "m.lite", "", Metadata(), facts(model))
translated = Translate()(export, Path()).artifact
print(sha256(Adapt()(translated, Path()).artifact.onnx.data))
"""


def digest(seed: int, name: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    words = [sys.executable, "-c", _RUN, str(ROOT / "samples" / "models" / name)]
    run = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout


@pytest.mark.parametrize("name", ["fruit.tflite", "table-fomo.tflite"])
def test_processes_with_other_hash_seeds_write_the_same_bytes(name: str) -> None:
    assert digest(1, name) == digest(12345, name)
