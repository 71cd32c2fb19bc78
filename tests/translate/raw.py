"""Run in a worker process by test_stub: tf2onnx's graph under canonical names, in several ways of getting it."""

from __future__ import annotations

import gc
import importlib
import io
import logging
import sys
import tempfile
from typing import TYPE_CHECKING, Any
from unittest import mock

from convert.graph import passes
from convert.translate import operators, worker
from convert.translate.tf2onnx_patches import patch_tf2onnx
from convert.translate.worker import input_name

if TYPE_CHECKING:
    from onnx import ModelProto


def canonical(model: bytes, tensorflow: bool, copying: bool, own_loop: bool = False) -> bytes:
    """Every byte of the translation that does not depend on chance.

    Args:
        tensorflow: the real one, not the stub.
        copying: let tf2onnx copy the graph before each optimiser, as it does itself.
        own_loop: and look at all nodes again behind each change of a Transpose; of a process that translated nothing.
    """
    worker._choose(tensorflow=tensorflow)
    from tf2onnx.optimizer.transpose_optimizer import TransposeOptimizer  # only after _choose

    importlib.import_module("tf2onnx.tfonnx")  # with all handlers
    loop = TransposeOptimizer._optimize_at_current_graph_level
    patch_tf2onnx()  # its known mistakes are put right on both sides
    if own_loop:
        TransposeOptimizer._optimize_at_current_graph_level = loop
    proto = _as_tf2onnx_does(model) if copying else worker._convert(model, input_name(model), 13, same_sizes=False)
    for value in [*proto.graph.input, *proto.graph.output]:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:  # tf2onnx numbers open dimensions by a counter of the process
                dim.dim_param = "open"
    outputs = tuple(f"output{number}" for number in range(len(proto.graph.output)))
    return bytes(passes.canonical(proto, outputs, {}).SerializeToString(deterministic=True))


def _as_tf2onnx_does(model: bytes) -> ModelProto:
    from tf2onnx.optimizer import optimize_graph  # only after _choose
    from tf2onnx.tfonnx import process_tf_graph

    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(model)
        file.flush()
        graph = process_tf_graph(
            None, tflite_path=file.name, opset=13, inputs_as_nchw=[input_name(model)], continue_on_error=True
        )
    return optimize_graph(graph, catch_errors=True).make_model("")


def forgetful(model: bytes, shape: tuple[int, ...]) -> object:
    """A translation by a tf2onnx that does not turn inputs."""
    worker._choose(tensorflow=False)
    from tf2onnx import tfonnx  # only after _choose

    tfonnx.transpose_inputs = lambda *_: None
    return worker.translate(model, shape, 1, 13)


def raising(reason: str, model: bytes, shape: tuple[int, ...], opset: int) -> object:
    """A translation by a tf2onnx that raises a ValueError with `reason`."""
    worker._choose(tensorflow=False)
    from tf2onnx import tfonnx  # only after _choose

    with mock.patch.object(tfonnx, "process_tf_graph", side_effect=ValueError(reason)):
        return worker.translate(model, shape, 1, opset)


def stumbling(model: bytes, shape: tuple[int, ...]) -> object:
    """A translation by a tf2onnx one of whose optimisers fails whenever it runs."""
    worker._choose(tensorflow=False)
    from tf2onnx.optimizer.const_fold_optimizer import ConstFoldOptimizer  # only after _choose

    with mock.patch.object(ConstFoldOptimizer, "_optimize", side_effect=ValueError("it fails")):
        return worker.translate(model, shape, 1, 13)


def written_here(model: bytes, shape: tuple[int, ...], opset: int) -> list[str]:
    """The operators that we write, and not tf2onnx, by TFLite's names."""
    worker._choose(tensorflow=False)
    kinds: list[str] = []

    class Recording(operators.Writer):
        def __init__(self, ctx: Any, node: Any) -> None:
            kinds.append(node.type.removeprefix("TFL_"))
            super().__init__(ctx, node)

    with mock.patch.object(operators, "Writer", Recording):
        worker.translate(model, shape, 1, opset)
    return kinds


def remarking(model: bytes, shape: tuple[int, ...], remarks: list[tuple[int, str]]) -> tuple[object, bool, int]:
    """A translation by a tf2onnx that logs `remarks`, each at its level.

    Returns:
        what it gives; whether cycles are collected afterwards; how many log handlers it leaves behind.
    """
    worker._choose(tensorflow=False)
    from tf2onnx import tfonnx  # only after _choose

    original, logger = tfonnx.process_tf_graph, logging.getLogger("tf2onnx")
    before = len(logger.handlers)

    def logging_before(*arguments: object, **options: object) -> object:
        for level, text in remarks:
            logger.log(level, text)
        return original(*arguments, **options)

    with mock.patch.object(tfonnx, "process_tf_graph", logging_before):
        result = worker.translate(model, shape, 1, 13)
    return result, gc.isenabled(), len(logger.handlers) - before


def command(source: str, target: str) -> str:
    """What tf2onnx's own command logs, with the real TensorFlow; it returns, so its exit code is 0."""
    worker._choose(tensorflow=True)
    from tf2onnx import convert  # only after _choose

    text, words = io.StringIO(), ["tf2onnx.convert", "--tflite", source, "--output", target]
    handler = logging.StreamHandler(text)
    logger = logging.getLogger("tf2onnx")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)  # where TensorFlow was used before, it has set another one
    try:
        with mock.patch.object(sys, "argv", words):
            convert.main()
    finally:
        logger.removeHandler(handler)
    return text.getvalue()


def versions() -> str:
    """Which TensorFlow this process has."""
    return str(importlib.import_module("tensorflow").__version__)


def is_patched_once() -> bool:
    """Whether a second call of the patches changes nothing: a worker translates thousands of models."""
    worker._choose(tensorflow=False)
    from tf2onnx import tflite_utils  # only after _choose
    from tf2onnx.tflite.ReshapeOptions import ReshapeOptions

    def patched() -> tuple[object, ...]:
        return tflite_utils.lookup_enum, tflite_utils.op_has_scalar_output, ReshapeOptions.NewShapeAsNumpy

    patch_tf2onnx()
    before = patched()
    patch_tf2onnx()
    return before == patched()
