"""Every operator converts, computes what LiteRT does, for every batch size, and TensorRT-RTX builds it.

A model holds some operators side by side, each with a convolution before it and classes of its own.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.errors import ConvertError, TranslationError
from convert.export.dequantize import dequantize
from convert.export.unpack import Unpack
from convert.heads import is_quantized
from convert.images import ResizeMode
from convert.isolation import Worker
from convert.validate import runtimes
from convert.validate.runtimes import BUILTIN, DEFAULT, LiteRT
from tests.graph.proof import TOGETHER, litert, unbuilt
from tests.zoo import networks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from _pytest.mark.structures import ParameterSet
    from numpy.typing import NDArray

    from convert.types import Adapted, Export

QUICK = {
    *("bucketize", "gather_rows", "gelu", "hard_swish", "mirror_symmetric", "nearest_half_up15", "one_hot", "reverse"),
    *("single_number", "tconv_k1_s2", "vit", "weights_of_picture"),
}

# How much there is of it is only known when it runs.
REFUSED = {"where_index": "NonZero"}

# Of each kind one in int8, too: what is converted is its rewriting in float32.
INT8 = (
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
# In float16 constants lie behind another operator.
FLOAT16 = (
    *("add", "concat_constant", "conv_relu6", "depthwise_dilated", "floor_mod", "layer_norm", "less_equal", "one_hot"),
    *("pad_value", "prelu", "relu_n1_1_fused", "select_v2", "tconv_k1_s2_bias", "unet", "vit", "yolo"),
)


def some_at_a_time(names: Iterable[str], form: str) -> list[ParameterSet]:
    """Cases of at most `TOGETHER` of `names`."""
    left, cases = tuple(names), []
    while left:
        few, left = left[:TOGETHER], left[TOGETHER:]
        marks = () if form == "float32" and QUICK.issuperset(few) else pytest.mark.slow
        cases.append(pytest.param(few, form, marks=marks, id=f"{form}-{'+'.join(few)}"))
    return cases


CASES = [
    *some_at_a_time(sorted(QUICK), "float32"),
    *some_at_a_time((name for name in networks.OPERATORS if name not in {*QUICK, *REFUSED}), "float32"),
    *some_at_a_time(FLOAT16, "float16"),
    *some_at_a_time(INT8, "int8"),
]
CODED = (
    *("average_pool", "average_pool_same", "concat", "conv_dilated", "conv_odd", "dense_rows", "depthwise_stride"),
    *("efficientnet_lite", "hard_swish", "mean_hw", "mobilenet_v3", "pad_value", "prelu", "resnet", "squeezenet"),
    *("tconv_bias", "tconv_k3_s2", "unet", "vit", "yolo"),
)


@pytest.fixture(scope="session")
def builder() -> Iterator[Worker | None]:
    """A process that builds with TensorRT-RTX; None where that is not installed."""
    if importlib.util.find_spec("tensorrt_rtx") is None:
        yield None
        return
    with Worker() as worker:
        yield worker


def convert_and_build(
    names: tuple[str, ...], form: str, folder: Path, tensorflow: Worker, builder: Worker | None,
    converted: Callable[[Path], bytes],
) -> None:  # fmt: skip
    """`converted` of a model of all of `names` as TensorFlow writes it, and an engine of what that gives.

    If something is wrong with it, each is tried alone: all that fail are told.
    """

    def wrong_with(models: dict[str, tuple[str, ...]]) -> dict[str, str]:
        unwritten = tensorflow.call("tests.zoo.networks:write", folder, models, form, timeout=300)
        assert not unwritten, "TensorFlow writes all of them"
        shipped, wrong = {}, {}
        for name in models:
            try:
                shipped[name] = converted(folder / f"{name}.{form}.tflite")
            except (AssertionError, ConvertError) as error:
                wrong[name] = str(error)
        if builder is not None:
            _, height, width, channels = networks.SHAPE
            wrong |= unbuilt(builder, shipped, (channels, height, width), 8)
        return wrong

    wrong = wrong_with({"together": names})
    if wrong:
        wrong |= wrong_with({name: (name,) for name in names})
    assert not wrong


def each_operators(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """[pictures, operators, 4 classes]."""
    return scores.reshape(len(scores), -1, 4)


@pytest.mark.parametrize(("names", "form"), CASES)
def test_operators(
    names: tuple[str, ...],
    form: str,
    tmp_path: Path,
    tensorflow: Worker,
    builder: Worker | None,
    export: Callable[..., Export],
    adapted: Callable[..., Adapted],
) -> None:
    def converted(path: Path) -> bytes:
        given = export(path)
        if is_quantized(given):
            given = export(dequantize(given.model).model)
        model = adapted(given).onnx
        pictures = np.random.default_rng(0).random((8, *networks.SHAPE[1:]), np.float32)
        wanted = litert(given.model, pictures)
        differs = np.ptp(each_operators(wanted), axis=0).max(axis=1)
        assert differs.min() > 0.01, "the same for every picture proves nothing"
        session, values = runtimes.load(model.data), np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
        for size in (1, 2, 8):
            (found,) = runtimes.run_onnx(session, values[:size])
            np.testing.assert_allclose(found, wanted[:size], rtol=0, atol=1e-4)
        return model.data

    # What float16 and int8 give is float32 again: the same operators, which are built above.
    convert_and_build(names, form, tmp_path, tensorflow, builder if form == "float32" else None, converted)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "message"), REFUSED.items())
def test_what_is_refused(
    name: str,
    message: str,
    tmp_path: Path,
    tensorflow: Worker,
    export: Callable[..., Export],
    adapted: Callable[..., Adapted],
) -> None:
    assert not tensorflow.call("tests.zoo.networks:write", tmp_path, {name: (name,)}, "float32", timeout=300)
    with pytest.raises(TranslationError, match=message):
        adapted(export(tmp_path / f"{name}.float32.tflite"))


@pytest.mark.parametrize(("names", "form"), some_at_a_time(CODED, "int8"))
def test_codes(
    names: tuple[str, ...],
    form: str,
    tmp_path: Path,
    tensorflow: Worker,
    builder: Worker | None,
    adapted: Callable[..., Adapted],
) -> None:
    """As near to the int8 original as LiteRT's second kernels, or within a step of 1/256 on average."""

    def converted(path: Path) -> bytes:
        given = Unpack(precision="int8", resize_mode=ResizeMode.SQUASH)(path, Path()).artifact
        model = adapted(given).onnx
        pictures = np.random.default_rng(0).random((10, *networks.SHAPE[1:]), np.float32)
        runners = [LiteRT(given.original, kernels) for kernels in (DEFAULT, BUILTIN)]
        wanted, own = (np.stack([run(picture[np.newaxis])[0].ravel() for picture in pictures]) for run in runners)
        session = runtimes.load(model.data, optimized=False)
        values = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
        (found,) = runtimes.run_onnx(session, values)
        ours, kernels = (each_operators(np.abs(each - wanted)).mean(axis=(0, 2)) for each in (found, own))
        assert (ours <= np.maximum(1.2 * kernels, 1 / 256)).all()
        return model.data

    convert_and_build(names, form, tmp_path, tensorflow, builder, converted)
