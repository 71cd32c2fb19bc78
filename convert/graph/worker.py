"""What the worker process runs: tf2onnx's TFLite path on one model, and the first look at what came out of it.

It does what `tf2onnx.convert.from_tflite` does (process_tf_graph, optimize_graph, make_model), less what costs time
without changing the graph: that module's own imports, a deep copy of the whole graph before each of the 24 optimiser
runs (half the time; only made when an optimiser has failed, see `_optimised`), optimisers for operators that are not
there, and writing the model to disk and reading it back. `tests/graph/test_standin.py` holds the graphs equal. Damaged
models can crash or hang it: call it through `convert.isolation` only.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from convert.errors import MissingDependencyError, TranslationError
from convert.graph import standin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import ModelProto

    from convert.artifacts import Tensor

__all__ = ["Result", "translate"]

_UNLOADABLE = "Error loading model into tflite interpreter: "  # tf2onnx's words, before it guesses the shapes instead
_NCHW_TO_NHWC = [0, 2, 3, 1]  # perm of the Transpose that tf2onnx puts behind an input that becomes NCHW


# Optimisers that look at nothing but nodes of these kinds, which no other one makes.
_ONLY_FOR = {
    "const_dequantize_optimizer": ("DequantizeLinear",),
    "einsum_optimizer": ("Einsum",),
    "loop_optimizer": ("Loop",),
    "q_dq_optimizer": ("QuantizeLinear", "DequantizeLinear"),
    "remove_redundant_upsample": ("Upsample",),
}


@dataclass(frozen=True, slots=True)
class Result:
    """What a translation gives.

    Attributes:
        data: the serialised ModelProto, asserted (`convert.graph.asserts`).
        input, outputs: its signature.
        warnings: what tf2onnx logged at level WARNING or above, one line each.
        opset: of the model.
    """

    data: bytes
    input: Tensor
    outputs: tuple[Tensor, ...]
    warnings: tuple[str, ...]
    opset: int


def translate(
    model: bytes,
    shape: tuple[int, ...],
    outputs: int,
    opset: int,
    tensorflow: bool = False,  # noqa: FBT001, FBT002 - called by position, across processes
) -> Result:
    """Translate the flatbuffer `model` to ONNX with an NCHW input.

    Args:
        model: a TFLite flatbuffer with one subgraph and one input.
        shape: of that input, as the flatbuffer has it: [1,H,W,C].
        outputs: how many outputs the flatbuffer has.
        opset: of the result.
        tensorflow: use the installed TensorFlow instead of the stand-in.

    Raises:
        TranslationError: tf2onnx refused the model or what it made breaks a rule of `convert.graph.asserts`.
        MissingDependencyError: `tensorflow` was asked for and cannot be imported.
    """
    _choose(tensorflow=tensorflow)
    from convert.graph.asserts import assert_translated, fix_batch  # noqa: PLC0415 - brings onnx
    from convert.graph.flatnames import input_name, unique_names  # noqa: PLC0415 - brings tf2onnx, only after _choose
    from convert.graph.model import signature  # noqa: PLC0415

    with _as_translation_error(), _no_collection(), _Log() as log:
        model = unique_names(model)
        name = input_name(model)
        proto = _convert(model, name, opset, same_sizes=len(set(shape[1:])) == 1)
        for line in log.lines:
            if line.startswith(_UNLOADABLE):
                raise TranslationError(
                    f"LiteRT cannot load this model: {line.removeprefix(_UNLOADABLE)}",
                    hint="the file is damaged, or holds an operator LiteRT does not know: download the export again",
                )
        fix_batch(proto, name)
        assert_translated(proto, input_name=name, nhwc=shape, outputs=outputs, opset=opset)
        (source,) = (value for value in proto.graph.input if value.name == name)
        return Result(
            proto.SerializeToString(deterministic=True),
            signature(source),
            tuple(map(signature, proto.graph.output)),
            tuple(log.lines),
            opset,
        )


def _choose(*, tensorflow: bool) -> None:
    """Have `import tensorflow` give what was asked for."""
    if not tensorflow:
        standin.install()
        return
    if standin.is_installed():
        raise RuntimeError("this worker already uses the stand-in for TensorFlow")
    try:
        importlib.import_module("tensorflow")
    except ImportError as error:
        raise MissingDependencyError(
            f"TensorFlow cannot be imported: {error}", hint="pip install 'ei-deepstream[tensorflow]'"
        ) from error


@contextlib.contextmanager
def _as_translation_error() -> Iterator[None]:
    """Whatever tf2onnx or the flatbuffer reader raises ends this model, in one line."""
    try:
        yield
    except TranslationError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise TranslationError(
            f"tf2onnx cannot translate this model: {reason}",
            hint="check that the file is whole; if it is, it uses something tf2onnx does not know",
        ) from error


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Reference counting is enough for a graph of a few hundred nodes; looking for cycles meanwhile costs 6 %."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _convert(model: bytes, name: str, opset: int, *, same_sizes: bool) -> ModelProto:
    from tf2onnx.tfonnx import process_tf_graph  # noqa: PLC0415 - only after _choose

    from convert.graph.repairs import repair  # noqa: PLC0415 - brings tf2onnx

    repair()
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(model)
        file.flush()

        def processed() -> Any:
            # continue_on_error=False: an operator's handler that fails must not leave half a graph.
            return process_tf_graph(
                None, continue_on_error=False, opset=opset, inputs_as_nchw=[name], tflite_path=file.name
            )

        graph = processed()
        if same_sizes:
            _assert_transposed(graph, name)
        return _optimised(graph, processed).make_model("")


def _assert_transposed(graph: Any, name: str) -> None:
    """Where H = W = C the shape does not show whether the input was made NCHW; the graph before optimisation does."""
    consumers = graph.find_output_consumers(name)
    if not all(node.type == "Transpose" and list(node.get_attr("perm").ints) == _NCHW_TO_NHWC for node in consumers):
        raise TranslationError(
            "tf2onnx left the input NHWC", hint="this is a fault of the translation, not of the model: please report it"
        )


def _optimised(graph: Any, again: Any) -> Any:
    """`graph` after tf2onnx's optimisers.

    tf2onnx copies the whole graph before each optimiser so as to go on without one that fails. That happens so rarely
    that we start over, in its own way, only when it does.
    """
    from tf2onnx.optimizer import _get_optimizers, optimize_graph  # noqa: PLC0415 - only after _choose

    operators = graph.dump_node_statistics(include_subgraphs=True)
    useful = [
        optimizer
        for name, optimizer in _get_optimizers().items()
        if name not in _ONLY_FOR or any(operators[kind] for kind in _ONLY_FOR[name])
    ]
    try:
        return _in_turns(graph, useful)
    except Exception:  # noqa: BLE001 - the second run logs the failing optimiser, which becomes a finding
        return optimize_graph(again(), catch_errors=True)


def _in_turns(graph: Any, optimizers: list[Any]) -> Any:
    """`optimize_graph` and `GraphOptimizerBase.optimize` of tf2onnx, less counting nodes for the log and writing every
    node into its protobuf message each time, which `make_model` does again.
    """
    changed, iteration = True, 0
    while changed:
        changed = False
        for kind in optimizers:
            optimizer = kind()
            optimizer.opt_iteration = iteration
            graph = optimizer._optimize(graph)  # noqa: SLF001 - tf2onnx is pinned
            graph.delete_unused_nodes(graph.outputs)
            changed = changed or optimizer.graph_been_opt
        iteration += 1
    graph.topological_sort(graph.get_nodes())
    return graph


class _Log(logging.Handler):
    """Collects what tf2onnx says at level WARNING or above, without tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = " ".join(record.getMessage().split())
        if line not in self.lines:
            self.lines.append(line)

    def __enter__(self) -> Self:
        logger = logging.getLogger("tf2onnx")
        logger.addHandler(self)
        logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("tf2onnx").removeHandler(self)


def preload() -> None:
    """Imports all that a translation needs, with the TensorFlow stub in place: a worker calls it as it starts."""
    standin.install()
    import tf2onnx.optimizer  # noqa: PLC0415
    import tf2onnx.tfonnx  # noqa: F401, PLC0415

    import convert.graph.asserts  # noqa: PLC0415
    import convert.graph.flatnames  # noqa: PLC0415
    import convert.graph.model  # noqa: PLC0415
    import convert.graph.repairs  # noqa: F401, PLC0415
