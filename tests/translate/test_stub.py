"""The stub for TensorFlow answers what tf2onnx asks exactly as TensorFlow does, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema

from convert.errors import MissingDependencyError
from convert.export.dequantize import dequantize
from convert.export.facts import facts
from convert.export.tflite import read_graph
from convert.isolation import Worker
from convert.translate.tf2onnx_patches import Missing, TensorProto, install, make_ndarray
from convert.translate.worker import translate
from tests.graph.flat import Flat, classifier, convolution, flatten, options

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


def translated(
    worker: Worker, model: bytes, *, real: bool = False, copying: bool = False, own_loop: bool = False
) -> bytes:
    result = worker.call("tests.translate.raw:canonical", model, real, copying, own_loop, timeout=200)
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


def turned(seed: int) -> bytes:
    """Layers and sums at random, some between two Transposes: some of these can be taken out, and some cannot."""
    random, flat = np.random.default_rng(seed), Flat(seed)
    picture = flat.tensor(1, 6, 6, 4, name="x")
    found = [convolution(flat, picture, 4)]
    relu = schema.ActivationFunctionType.RELU

    def add(kind: str, *inputs: int, option: object = None) -> int:
        found.append(flat.operator(kind, list(inputs), [flat.tensor(1, *shape_of(inputs[0], kind))], option)[0])
        return found[-1]

    def shape_of(source: int, kind: str) -> list[int]:
        _, *shape = flat.tensors[source].shape
        return [shape[2], *shape[:2]] if kind == "TRANSPOSE" else shape

    def turn(source: int, *perm: int) -> int:
        _, *shape = flat.tensors[source].shape
        target = flat.tensor(1, *(shape[axis - 1] for axis in perm[1:]))
        order = flat.constant(np.array(perm, np.int32))
        return flat.operator("TRANSPOSE", [source, order], [target], options("Transpose"))[0]

    for _ in range(6):
        source = found[int(random.integers(len(found)))]
        first = turn(source, 0, 3, 1, 2)
        match random.integers(6):
            case 0:
                found.append(convolution(flat, source, 4))
            case 1:
                limit = flat.constant(np.float32(random.normal()))
                found.append(turn(add("MAXIMUM", first, limit, option=options("MaximumMinimum")), 0, 2, 3, 1))
                del found[-2]
            case 2:
                found.append(turn(first, 0, 2, 3, 1))
            case 3:
                found.append(turn(turn(first, 0, 3, 1, 2), 0, 3, 1, 2))
            case 4:
                other = found[int(random.integers(len(found)))]
                add("ADD", source, other, option=options("Add", fusedActivationFunction=relu))
            case _:
                found.append(turn(add("ABS", first), 0, 2, 3, 1))
                del found[-2]
    total = found[0]
    for each in found[1:]:
        total = add("ADD", total, each, option=options("Add"))
    return flat.build([picture], [flatten(flat, total)])


@pytest.fixture(scope="module")
def looping() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


@pytest.mark.parametrize("seed", range(4))
def test_transposes_are_moved_as_tf2onnx_moves_them(seed: int, child: Worker, looping: Worker) -> None:
    theirs = translated(looping, turned(seed), copying=True, own_loop=True)
    same = translated(child, turned(seed)) == theirs
    assert same
    kinds = [node.op_type for node in onnx.load_model_from_string(theirs).graph.node]
    assert kinds.count("Transpose") < 6, kinds


def tensor(content: bytes, kind: int, *shape: int) -> TensorProto:
    result = TensorProto()
    result.tensor_content, result.dtype = content, kind
    for size in shape:
        result.tensor_shape.dim.add().size = size
    return result


# tensorflow/core/framework/types.proto
NUMBERS = {
    "DT_FLOAT": (1, "f4"), "DT_DOUBLE": (2, "f8"), "DT_INT32": (3, "i4"), "DT_UINT8": (4, "u1"), "DT_INT16": (5, "i2"),
    "DT_INT8": (6, "i1"), "DT_STRING": (7, ""), "DT_COMPLEX64": (8, "c8"), "DT_INT64": (9, "i8"), "DT_BOOL": (10, "?"),
    "DT_QUINT8": (12, ""), "DT_BFLOAT16": (14, ""), "DT_UINT16": (17, "u2"), "DT_COMPLEX128": (18, "c16"),
    "DT_HALF": (19, "f2"), "DT_RESOURCE": (20, ""), "DT_VARIANT": (21, ""), "DT_UINT32": (22, "u4"),
    "DT_UINT64": (23, "u8"),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "dtype"), [each for each in NUMBERS.values() if each[1]])
def test_make_ndarray(kind: int, dtype: str) -> None:
    values = np.arange(6).reshape(1, 2, 3).astype(dtype)
    array = make_ndarray(tensor(values.tobytes(), kind, 1, 2, 3))
    assert array.dtype == values.dtype
    np.testing.assert_array_equal(array, values)
    assert array.flags.writeable


def test_make_ndarray_without_content_gives_zeros() -> None:
    np.testing.assert_array_equal(make_ndarray(tensor(b"", 1, 2, 2)), np.zeros((2, 2), np.float32))


def test_make_ndarray_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError, match=r"^Unsupported tensor type: 14$"):
        make_ndarray(tensor(b"1234", 14, 2))
    with pytest.raises(ValueError, match="reshape"):
        make_ndarray(tensor(b"1234", 1, 2))


def test_refuses_to_be_installed_where_tf2onnx_is_already_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", sys)
    with pytest.raises(RuntimeError, match=r"^tf2onnx is already imported in this process$"):
        install()
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    with pytest.raises(RuntimeError, match=r"^tensorflow, tf2onnx is already imported"):
        install()


def python(code: str) -> str:
    words = [sys.executable, "-c", "from convert.translate import tf2onnx_patches as stub; stub.install()\n" + code]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_whatever_else_is_asked_for_is_named() -> None:
    out = python(
        "import json, tensorflow as tf, requests.adapters, urllib3.util.retry\n"
        "for ask in (lambda: tf.keras, lambda: tf.lite.TFLiteConverter, lambda: requests.get,\n"
        "            lambda: tf.core.framework.node_def_pb2.NodeDef(), lambda: requests.adapters.HTTPAdapter(3, a=1),\n"
        "            urllib3.util.retry.Retry):\n"
        "    try: ask()\n"
        "    except AttributeError as error: print(error)\n"
        "try: from tensorflow.core.framework import graph_pb2\n"
        "except ImportError as error: print(error)\n"
        "types = vars(tf.core.framework.types_pb2).items()\n"
        "print(json.dumps({name: number for name, number in types if name.startswith('DT_')}), tf.string)\n"
    )
    *asked, absent, types = out.splitlines()
    with_words = "which the stub for TensorFlow does not provide: this model needs the real one"
    assert asked == [
        "tf2onnx asked for tensorflow.keras, " + with_words,
        "type object '_Lite' has no attribute 'TFLiteConverter'",
        "tf2onnx asked for requests.get, " + with_words,
        "this model holds TensorFlow (Flex) operators: the stub for TensorFlow cannot read them",
        *["only tf2onnx's TensorFlow.js and download code needs this"] * 2,
    ]
    assert "graph_pb2" in absent
    assert types == f"{json.dumps({name: number for name, (number, _) in NUMBERS.items()})} {NUMBERS['DT_STRING'][0]}"
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
    with pytest.raises(MissingDependencyError, match=r"^TensorFlow cannot be imported: ") as caught:
        translate(b"", (1, 2, 2, 3), 1, 13, tensorflow=True)
    assert 'pip install "ei-deepstream[tensorflow]"' in str(caught.value.hint)
