"""NVIDIA's parser and builder, where tensorrt-rtx is installed; and what is said where it is not."""

from __future__ import annotations

import re
import sys

import pytest

from convert.errors import MissingDependencyError, ValidationError
from convert.validate import runtimes
from tests.validate.tiny import Classifier, onnx_model, parse

installed = pytest.mark.skipif(not runtimes.available(), reason="the optional package tensorrt-rtx is not installed")

SHAPE = (3, 6, 5)


def test_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "_MODULES", ("no_such_module",))
    assert not runtimes.available()
    with pytest.raises(MissingDependencyError) as caught:
        runtimes.build(b"", SHAPE)
    assert caught.value.hint == f"{sys.executable} -m pip install 'ei-deepstream[tensorrt]'"


@installed
@pytest.mark.slow
def test_an_engine_is_built_for_the_batch_size() -> None:
    said = runtimes.build(onnx_model(Classifier()), SHAPE, 4, timeout=120)
    assert re.fullmatch(r"tensorrt-rtx [\d.]+: parsed and built, profile 1/4/4", said)


@installed
@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (b"not a model", "ONNX parser refuses the model: .*Failed to parse the ONNX model"),
        (
            parse("g (float[N,3,6,6] x_input) => (float[N,3] y) { y = Det(x_input) }").SerializeToString(),
            "node 0, operator Det: not implemented",
        ),
        # The parser folds a batch of 1 into the shape of Flatten; nvinfer then asks for 4.
        (
            parse("g (float[1,3,6,5] x_input) => (float[1,90] y) { y = Flatten<axis=1>(x_input) }").SerializeToString(),
            "cannot build an engine for batches of 1 to 4: .*reshape would change volume",
        ),
        (
            parse(
                "g (float[N,3,6,5] x_input, float[N,3,6,5] z) => (float[N,3,6,5] y) { y = Add(x_input, z) }"
            ).SerializeToString(),
            "2 inputs instead of one",
        ),
    ],
    ids=["bytes", "operator", "batch", "inputs"],
)
def test_refusals_say_why(model: bytes, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as caught:
        runtimes.build(model, SHAPE, 4, timeout=120)
    assert "\n" not in caught.value.message


@installed
def test_time_is_limited() -> None:
    with pytest.raises(ValidationError, match="ran longer than") as caught:
        runtimes.build(onnx_model(Classifier()), SHAPE, timeout=1e-3)
    assert "--timeout" in str(caught.value.hint)
