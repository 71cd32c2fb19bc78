"""`check --format json` against what NVIDIA's own parser and context decided."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from onnx import TensorProto, helper

from convert.__main__ import main
from convert.check.loading import Models, check_target, load_context, read_config
from convert.check.rules import findings
from convert.findings import Level

if TYPE_CHECKING:
    from pathlib import Path

_TYPES = {
    "float": TensorProto.FLOAT, "half": TensorProto.FLOAT16, "int32": TensorProto.INT32, "uint8": TensorProto.UINT8,
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(vectors: Path) -> dict[str, Any]:
    """expected.json."""
    document = json.loads((vectors / "config" / "expected.json").read_bytes())
    assert isinstance(document, dict)
    return document


def test_verdicts_and_values_agree(
    vectors: Path, answers: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(vectors / "config")
    capsys.readouterr()
    code = main(["check", *answers, "--format", "json", "--target", "9.1", "--platform", "dgpu"])
    document = json.loads(capsys.readouterr().out)
    assert code == document["exit_code"] == 1
    files = {file["path"]: file for file in document["files"]}
    assert set(files) == set(answers)
    for name, answer in answers.items():
        assert files[name]["verdict"] == answer["verdict"], name
        read = files[name]["values"]
        assert {key: read[key] for key in answer["values"]} == answer["values"], name
        errors = [finding for finding in files[name]["findings"] if finding["level"] == "error"]
        assert answer["verdict"] == "accepted" or errors, name


def test_a_context_that_fails_is_an_error_and_one_that_works_is_none(
    vectors: Path, answers: dict[str, Any], tmp_path: Path
) -> None:
    """The engine of each vector as an ONNX model behind the config's onnx-file."""
    shutil.copytree(vectors / "config" / "files", tmp_path / "files")
    seen = 0
    for name, answer in answers.items():
        if "init" not in answer or name == "init-batch-above-engine.txt":
            continue  # nvinfer builds for the batch it is asked for: only a given engine can be too small
        seen += 1
        engine = answer["init"]["engine"]
        text = (vectors / "config" / name).read_bytes()
        (tmp_path / name).write_bytes(text)
        target = check_target("9.1", "dgpu")
        reading = read_config(str(tmp_path / name), target)
        for key in ("onnx-file", "model-engine-file"):
            if key in reading.first.files:
                path = tmp_path / reading.first.files[key]
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(_model(engine) if key == "onnx-file" else b"an engine")
        case = load_context(reading, target, Models())
        errors = [finding for finding in findings(case) if finding.level is Level.ERROR]
        init = answer["init"]
        works = init["verdict"] == "ok" and "output parser" not in init
        if not works:
            assert errors, (name, init)
        else:
            assert {finding.id for finding in errors} <= _STARTS_AND_IS_WRONG, (name, errors)
    assert seen >= 35


_STARTS_AND_IS_WRONG = {
    "NVI035",  # a uint8 input: float32 is written into it
    "NVI060",  # a classifier without labels attaches nothing
    "NVI061",  # of labels one a line only the first is ever used
    "NVI070",  # every frame fails
    "NVI071",  # the built-in parser runs instead
    "NVI075",  # without classes every object is dropped
}
"""Rules for what NVIDIA's code starts with, and what then does not do what it should (nvinfer.md)."""


def _model(engine: dict[str, Any]) -> bytes:
    """A model with the engine's inputs and outputs; what it computes is of no matter."""

    def tensors(kind: str) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(each["name"], _TYPES[each["dtype"]], ["N", *each["dims"]])
            for each in engine[kind]
        ]

    inputs, outputs = tensors("inputs"), tensors("outputs")
    nodes = [helper.make_node("Softmax", [inputs[0].name], [output.name]) for output in outputs]
    graph = helper.make_graph(nodes, "net", inputs, outputs)
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString())
