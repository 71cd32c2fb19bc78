"""One operator a model: it converts, computes what LiteRT does, for every batch size, and TensorRT-RTX builds it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.errors import TranslationError
from convert.export.dequantize import dequantize
from convert.export.unpack import Unpack
from convert.heads import is_quantized
from convert.images import ResizeMode
from convert.isolation import Worker
from convert.validate import runtimes
from convert.validate.runtimes import BUILTIN, DEFAULT, LiteRT
from tests.graph.proof import litert, onnxruntime
from tests.zoo import networks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from convert.types import Adapted, Export

QUICK = {
    *("bucketize", "gather_rows", "gelu", "hard_swish", "mirror_symmetric", "nearest_half_up15", "one_hot", "reverse"),
    *("single_number", "tconv_k1_s2", "vit", "weights_of_picture"),
}

# How much there is of it is only known when it runs.
REFUSED = {"where_index": "NonZero"}

# Of each kind one in float16 and int8, too: constants lie behind other operators there.
OTHERS = (
    *("add", "all", "arg_max", "atan2", "average_pool", "batch_matmul", "concat_constant", "conv_relu6", "cumsum"),
    *("depthwise_dilated", "elu", "equal", "floor_mod", "gather", "gather_nd", "gelu", "hard_swish", "layer_norm"),
    *("less_equal", "lrn", "mirror_symmetric", "mobilenet_v3", "nearest_half_up15", "one_hot", "pack", "pad_value"),
    *(
        "prelu",
        "relu_n1_1_fused",
        "reverse",
        "select_v2",
        "single_number",
        "space_to_batch",
        "strided_slice_back",
        "tconv_k1_s2_bias",
    ),
    *("top_k", "unet", "vit", "yolo"),
)

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


CODED = (
    *("average_pool", "average_pool_same", "concat", "conv_dilated", "conv_odd", "dense_rows", "depthwise_stride"),
    *("efficientnet_lite", "hard_swish", "mean_hw", "mobilenet_v3", "pad_value", "prelu", "resnet", "squeezenet"),
    *("tconv_bias", "tconv_k3_s2", "unet", "vit", "yolo"),
)


@pytest.mark.slow
@pytest.mark.parametrize("name", CODED)
def test_codes(
    name: str, tmp_path: Path, tensorflow: Worker, builder: Worker | None, adapted: Callable[..., Adapted]
) -> None:
    """As near to the int8 original as LiteRT's second kernels, or within a step of 1/256 on average."""
    assert not tensorflow.call("tests.zoo.networks:write", tmp_path, (name,), ("int8",), timeout=300)
    given = Unpack(precision="int8", resize_mode=ResizeMode.SQUASH)(tmp_path / f"{name}.int8.tflite", Path()).artifact
    model = adapted(given).onnx
    pictures = np.random.default_rng(0).random((20, *networks.SHAPE[1:]), np.float32)
    runners = [LiteRT(given.original, kernels) for kernels in (DEFAULT, BUILTIN)]
    wanted, own = (np.stack([run(picture[np.newaxis])[0].ravel() for picture in pictures]) for run in runners)
    session = runtimes.load(model.data, optimized=False)
    values = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    found = np.stack([runtimes.run_onnx(session, each[np.newaxis])[0].ravel() for each in values])
    assert np.abs(found - wanted).mean() <= max(1.2 * np.abs(own - wanted).mean(), 1 / 256)
    if builder is not None:
        _, height, width, channels = networks.SHAPE
        builder.call("convert.validate.runtimes:_build", model.data, (channels, height, width), 8, timeout=200)
