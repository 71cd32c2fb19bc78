"""The stub for TensorFlow answers what tf2onnx asks exactly as TensorFlow does, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.errors import MissingDependencyError
from convert.export.dequantize import dequantize
from convert.export.facts import facts
from convert.export.tflite import read_graph
from convert.isolation import Worker
from convert.translate.tf2onnx_patches import Missing, TensorProto, install, make_ndarray
from convert.translate.worker import translate
from tests.graph.flat import classifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Of the real models.
ALL_OPERATORS = (
    "classify-32x32x1-f32.lite",
    "keywords-637-f32.lite",
    "ssd-320x320x3-int8.lite",
    "yolov5-160x160x3-f16.lite",
)


@pytest.fixture(scope="module")
def child() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


def translated(worker: Worker, model: bytes, *, real: bool = False, copying: bool = False) -> bytes:
    result = worker.call("tests.translate.raw:canonical", model, real, copying, timeout=200)
    assert isinstance(result, bytes)
    return result


def test_every_operator_of_real_models_is_translated_here(models: Path) -> None:
    of = {path.name: {each.name for each in read_graph(path.read_bytes()).operators} for path in models.glob("*.*lite")}
    # Of an int8 model only the rewriting is translated, which has no Quantize.
    assert set().union(*of.values()) - {"QUANTIZE"} == set().union(*(of[name] for name in ALL_OPERATORS))


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL_OPERATORS)
def test_translates_as_tf2onnx_does(name: str, models: Path, child: Worker, tensorflow: Worker) -> None:
    """Byte by byte what tf2onnx makes with TensorFlow, every optimiser, and a copy of the graph before each.

    Of one of these models (32x32x1) tf2onnx itself makes another graph about once in thirty times, within one process,
    with TensorFlow and without; so a difference has three tries to show itself as chance.
    """
    model = (models / name).read_bytes()
    if facts(model).quantization == "int8":  # only its rewriting is ever translated
        model = dequantize(model).model
    ours = {translated(child, model)}
    theirs = {translated(tensorflow, model, real=True, copying=True)}
    for _ in range(2):
        if not ours & theirs:
            ours.add(translated(child, model))
            theirs.add(translated(tensorflow, model, real=True, copying=True))
    same = bool(ours & theirs)  # not compared in the assert: pytest would look for the difference for minutes
    assert same
    assert child.call("tests.translate.raw:versions", timeout=10) == "2.0.0"
    assert tensorflow.call("tests.translate.raw:versions", timeout=10) != "2.0.0"


def test_neither_copies_nor_idle_optimisers_are_needed(child: Worker) -> None:
    assert translated(child, classifier()) == translated(child, classifier(), copying=True)


def tensor(content: bytes, kind: int, *shape: int) -> TensorProto:
    result = TensorProto()
    result.tensor_content, result.dtype = content, kind
    for size in shape:
        result.tensor_shape.dim.add().size = size
    return result


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(1, "f4"), (2, "f8"), (3, "i4"), (4, "u1"), (5, "i2"), (6, "i1"), (8, "c8"), (9, "i8"), (10, "?"), (17, "u2"),
     (18, "c16"), (19, "f2"), (22, "u4"), (23, "u8")],
)  # fmt: skip
def test_make_ndarray(kind: int, dtype: str) -> None:
    values = np.arange(6).reshape(1, 2, 3).astype(dtype)
    array = make_ndarray(tensor(values.tobytes(), kind, 1, 2, 3))
    assert array.dtype == values.dtype
    np.testing.assert_array_equal(array, values)
    assert array.flags.writeable


def test_make_ndarray_without_content_gives_zeros() -> None:
    np.testing.assert_array_equal(make_ndarray(tensor(b"", 1, 2, 2)), np.zeros((2, 2), np.float32))


def test_make_ndarray_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError, match="14"):
        make_ndarray(tensor(b"1234", 14, 2))
    with pytest.raises(ValueError, match="reshape"):
        make_ndarray(tensor(b"1234", 1, 2))


def test_refuses_to_be_installed_where_tf2onnx_is_already_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", sys)
    with pytest.raises(RuntimeError, match="tf2onnx is already imported"):
        install()


def python(code: str) -> str:
    words = [sys.executable, "-c", "from convert.translate import tf2onnx_patches as stub; stub.install()\n" + code]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_whatever_else_is_asked_for_is_named() -> None:
    out = python(
        "import tensorflow as tf, requests\n"
        "for ask in (lambda: tf.keras, lambda: tf.lite.TFLiteConverter, lambda: requests.get,\n"
        "            lambda: tf.core.framework.node_def_pb2.NodeDef()):\n"
        "    try: ask()\n"
        "    except AttributeError as error: print(error)\n"
        "try: from tensorflow.core.framework import graph_pb2\n"
        "except ImportError as error: print(error)\n"
    )
    lines = out.splitlines()
    assert lines[0].startswith("tf2onnx asked for tensorflow.keras, which the stub")
    assert "TFLiteConverter" in lines[1]
    assert "requests.get" in lines[2]
    assert "Flex" in lines[3]
    assert "graph_pb2" in lines[4]
    assert issubclass(Missing, AttributeError)


def test_a_second_install_does_nothing_and_only_the_worker_is_touched() -> None:
    out = python(
        "import sys, tensorflow; stub.install(); import tensorflow as again; print(again is tensorflow)\n"
        "import convert.translate.worker as worker; worker.preload();"
        "print('tensorflow.keras' in sys.modules, 'ssl' in sys.modules)"
    )
    assert out == "True\nFalse False\n"


def test_a_tensorflow_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setattr("convert.translate.worker.tf2onnx_patches.is_installed", lambda: False)
    with pytest.raises(MissingDependencyError, match="TensorFlow cannot be imported") as caught:
        translate(b"", (1, 2, 2, 3), 1, 13, tensorflow=True)
    assert 'pip install "ei-deepstream[tensorflow]"' in str(caught.value.hint)
