"""One operator a model: it converts, computes what LiteRT does, for every batch size, and TensorRT-RTX builds it."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.errors import TranslationError
from convert.export.dequantize import dequantize
from convert.heads.support import is_quantized
from convert.isolation import Worker
from tests.graph.proof import litert, onnxruntime
from tests.zoo import networks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from convert.types import Adapted, Export

QUICK = {"gelu", "hard_swish", "mirror_symmetric", "nearest_half_up15", "one_hot", "reverse", "tconv_k1_s2", "vit"}

# What needs an operator that no TensorRT has, or that cannot tell pictures of a batch apart.
REFUSED = {
    "bitwise_xor": "no ONNX for these operators at opset 13: BitwiseXor",
    "gather_batch": "GatherND",
    "matrix_diag": "decides while it runs",
    "reverse_sequence": "ReverseSequence",
    "scatter_nd": "ScatterND",
    "where_index": "NonZero",
}

# In other number formats only what moves or combines them differently: the kernels behind are the same.
OTHERS = [name for name in networks.OPERATORS if name not in REFUSED and not name.startswith(("bilinear", "nearest"))]


CASES = [
    pytest.param(name, form, marks=() if name in QUICK and form == "float32" else pytest.mark.slow, id=f"{name}-{form}")
    for form in networks.FORMATS
    for name in (networks.OPERATORS if form == "float32" else OTHERS)
]


@pytest.fixture(scope="session")
def builder() -> Iterator[Worker | None]:
    """A process that builds with TensorRT-RTX; None where that is not installed."""
    if importlib.util.find_spec("tensorrt_rtx") is None:
        yield None
        return
    with Worker() as worker:
        yield worker


@pytest.mark.parametrize(("name", "form"), CASES)
def test_operator(
    name: str,
    form: str,
    tmp_path: Path,
    tensorflow: Worker,
    builder: Worker | None,
    export: Callable[..., Export],
    adapted: Callable[..., Adapted],
) -> None:
    failed = tensorflow.call("tests.zoo.networks:write", tmp_path, (name,), (form,), timeout=300)
    if failed:
        pytest.skip(f"TensorFlow does not write it: {failed}")
    given = export(tmp_path / f"{name}.{form}.tflite")
    if is_quantized(given):
        given = export(dequantize(given.model).model)
    if name in REFUSED:
        with pytest.raises(TranslationError, match=REFUSED[name]):
            adapted(given)
        return
    model = adapted(given).onnx
    pictures = np.random.default_rng(0).random((8, *networks.SHAPE[1:]), np.float32)
    wanted = litert(given.model, pictures)
    assert np.ptp(wanted, axis=0).max() > 0.01, "the same for every picture proves nothing"
    for size in (1, 2, 8):
        (found,) = onnxruntime(model.data, np.ascontiguousarray(pictures[:size].transpose(0, 3, 1, 2)))
        np.testing.assert_allclose(found, wanted[:size], rtol=0, atol=1e-4)
    if builder is not None:
        _, height, width, channels = networks.SHAPE
        builder.call("convert.validate.runtimes:_build", model.data, (channels, height, width), 8, timeout=200)
