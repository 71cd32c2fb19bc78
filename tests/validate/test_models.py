"""Real Edge Impulse models, translated and adapted, then measured: all of them must pass."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import numpy_helper

from convert.export.facts import facts
from convert.graph.adapt import Adapt
from convert.isolation import Worker
from convert.translate import PRELOAD, Translate
from convert.types import Adapted, Export, Metadata, OnnxModel, Translated, Validated
from convert.validate import Validate, runtimes

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """The worker `convert` uses for both stages."""
    with Worker(PRELOAD) as child:
        yield child


@pytest.fixture(scope="module")
def adapted(models: Path, worker: Worker) -> dict[str, Adapted]:
    """Every float classifier and detector there is; a large one `tests/heads/test_pictures.py` holds against LiteRT."""
    found = {}
    for path in sorted(models.glob("*.*ite")):
        known = facts(path.read_bytes())
        if known.quantization == "int8" or known.task == "not-image" or known.input.sides[0] > 320:
            continue
        export = Export(path.read_bytes(), path.stem, "flatbuffer", path.name, "", Metadata(), known)
        translated = Translate(worker=worker)(export, Path()).artifact
        assert isinstance(translated, Translated)
        result = Adapt()(translated, Path()).artifact
        assert isinstance(result, Adapted)
        found[path.name] = result
    assert {each.head.task for each in found.values()} == {"classifier", "fomo", "yolov5"}
    return found


@pytest.fixture(scope="module")
def classifiers(adapted: dict[str, Adapted]) -> dict[str, Adapted]:
    found = {name: each for name, each in adapted.items() if each.head.task == "classifier"}
    assert len(found) >= 4
    return found


@pytest.mark.slow
def test_parity_of_every_float_model(
    adapted: dict[str, Adapted], worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.validate._QUICK_BYTES", 0)  # FP16 is not the matter
    for name, each in adapted.items():
        result = Validate(worker=worker, inputs=8)(each, Path())
        assert result.findings == (), name
        assert isinstance(result.artifact, Validated)
        evidence = result.artifact.evidence
        assert evidence.parity is not None
        assert evidence.parity.max_abs_diff < 1e-4, name
        assert evidence.batch is not None
        assert evidence.batch.sizes == (1, 2, 8), name
        assert evidence.batch.max_abs_diff <= 1e-6, name
        if each.head.task == "classifier":
            assert evidence.parity.top1 == 1.0, name
        else:
            assert evidence.decoding is not None
            assert evidence.decoding < 1e-4, name


@pytest.mark.slow
def test_a_single_weight_that_is_off_is_seen(classifiers: dict[str, Adapted], worker: Worker) -> None:
    """In the last layer's bias, by a tenth: what a wrong translation would do at least."""
    for name, adapted in classifiers.items():
        model = onnx.load_from_string(adapted.onnx.data)
        last = next(node for node in reversed(model.graph.node) if node.op_type in {"Gemm", "Conv", "MatMul", "Add"})
        bias = next(tensor for tensor in model.graph.initializer if tensor.name == last.input[-1])
        values = numpy_helper.to_array(bias).copy()
        values.flat[0] += 0.1
        bias.CopyFrom(numpy_helper.from_array(values, bias.name))
        changed = OnnxModel(model.SerializeToString(), adapted.onnx.input, adapted.onnx.outputs, adapted.onnx.opset)
        wrong = Adapted(adapted.translated, changed, adapted.head, adapted.preprocessing)
        findings = Validate(worker=worker, inputs=16)(wrong, Path()).findings
        assert [finding.id for finding in findings][:1] == ["EI403"], name


@pytest.mark.slow
@pytest.mark.skipif(not runtimes.available(), reason="the optional package tensorrt-rtx is not installed")
def test_nvidias_parser_and_builder_take_them(classifiers: dict[str, Adapted]) -> None:
    for name, adapted in classifiers.items():
        _, *shape = adapted.onnx.input.shape
        channels, height, width = (size for size in shape if size is not None)
        said = runtimes.build(adapted.onnx.data, (channels, height, width), 8)
        assert said.endswith("parsed and built, profile 1/8/8"), name
