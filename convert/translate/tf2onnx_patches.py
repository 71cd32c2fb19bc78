"""Lets tf2onnx 1.17.0 run on its TFLite path without TensorFlow, and corrects a mistake of it.

**TensorFlow stub** (`install`): tf2onnx imports TensorFlow at its own import, but for a `.tflite` it only uses it to
read tensor shapes from the TFLite interpreter and to decode constant buffers. Here the interpreter is LiteRT's
(`ai_edge_litert`, the same C++ code) and the decoding is numpy's. Whatever else it asks for raises an AttributeError
that names it, so that nothing wrong can be answered. Found by reading tf2onnx 1.17.0 and running it;
`tests/translate/test_stub.py` compares the results with those of the real TensorFlow, byte by byte.

`install` changes `sys.modules` for the whole process: only the worker process may call it.

**Patches** (`patch_tf2onnx`): a faster loop over transposes (`_move_transposes`), and a correction of dense layers
(`TflFullyConnectedOp.to_tf`): where the input has more than two dimensions and `keep_num_dims` is not set, tf2onnx
flattens it and drops the bias in doing so. It converts without a message and computes something else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import count, takewhile
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from convert.translate import operators, picture_operators

# tensorflow/core/framework/types.proto, enum DataType; the dtypes are those of tensorflow/python/framework/dtypes.py.
_TYPES: dict[str, tuple[int, type[np.generic] | None]] = {
    "DT_FLOAT": (1, np.float32), "DT_DOUBLE": (2, np.float64), "DT_INT32": (3, np.int32), "DT_UINT8": (4, np.uint8),
    "DT_INT16": (5, np.int16), "DT_INT8": (6, np.int8), "DT_STRING": (7, None), "DT_COMPLEX64": (8, np.complex64),
    "DT_INT64": (9, np.int64), "DT_BOOL": (10, np.bool_), "DT_QUINT8": (12, None), "DT_BFLOAT16": (14, None),
    "DT_UINT16": (17, np.uint16), "DT_COMPLEX128": (18, np.complex128), "DT_HALF": (19, np.float16),
    "DT_RESOURCE": (20, None), "DT_VARIANT": (21, None), "DT_UINT32": (22, np.uint32), "DT_UINT64": (23, np.uint64),
}  # fmt: skip
_DTYPES = {number: dtype for number, dtype in _TYPES.values() if dtype is not None}


class Missing(AttributeError):
    """tf2onnx asked for a part of TensorFlow that its TFLite path does not need."""


class _Module(ModuleType):
    """A module whose missing names raise `Missing`."""

    def __getattr__(self, name: str) -> Any:
        raise Missing(
            f"tf2onnx asked for {self.__name__}.{name}, which the stub for TensorFlow does not provide: "
            "this model needs the real one"
        )


class _Dimensions(list[SimpleNamespace]):
    """A repeated TensorShapeProto.Dim."""

    def add(self) -> SimpleNamespace:
        self.append(SimpleNamespace(size=0))
        return self[-1]


class TensorProto:
    """The three fields of tensorflow.TensorProto that tf2onnx fills in: raw bytes, shape, type."""

    __slots__ = ("dtype", "tensor_content", "tensor_shape")

    def __init__(self) -> None:
        self.dtype = 0
        self.tensor_content = b""
        self.tensor_shape = SimpleNamespace(dim=_Dimensions())


def make_ndarray(tensor: TensorProto) -> np.ndarray[Any, Any]:
    """What tensor_util.MakeNdarray returns for a TensorProto with raw content: a fresh, writable, little-endian array.

    Without content TensorFlow returns zeros of the shape.

    Raises:
        TypeError: a type without a numpy dtype.
        ValueError: the content does not fill the shape.
    """
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    dtype = _DTYPES.get(tensor.dtype)
    if dtype is None:
        raise TypeError(f"Unsupported tensor type: {tensor.dtype}")
    if not tensor.tensor_content:
        return np.zeros(shape, dtype)
    return np.frombuffer(tensor.tensor_content, dtype=dtype).copy().reshape(shape)


class _Lite:
    """tf.lite."""

    @staticmethod
    def Interpreter(model_path: str) -> Any:  # noqa: N802 - TensorFlow's name
        """LiteRT's interpreter, without the XNNPACK delegate.

        tf2onnx only reads shapes from it, and those are computed before a delegate is applied; packing the weights for
        one would cost time and memory.
        """
        from ai_edge_litert.interpreter import Interpreter, OpResolverType  # tf2onnx asks for it late

        return Interpreter(
            model_path=model_path, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )


class _NodeDef:
    """NodeDef: only Flex operators (TensorFlow inside TFLite) need it, and those are refused long before."""

    def __init__(self) -> None:
        raise Missing("this model holds TensorFlow (Flex) operators: the stub for TensorFlow cannot read them")


class _Unused:
    """A name that tf2onnx imports but that the TFLite path never calls."""

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        raise Missing("only tf2onnx's TensorFlow.js and download code needs this")


class _ApiDefMap:
    """c_api_util.ApiDefMap: made when tf2onnx.tfjs_utils is imported, used for TensorFlow.js only."""


def install() -> None:
    """Put the stub where `import tensorflow` finds it; a second call does nothing.

    Also replaces `requests` and `urllib3`: tf2onnx imports them for a function that downloads its test models,
    which costs a tenth of the worker's start and has no place in a converter.

    Raises:
        RuntimeError: the real TensorFlow, or tf2onnx, is already imported in this process.
    """
    if is_installed():
        return
    if taken := {"tensorflow", "tf2onnx"} & set(sys.modules):
        raise RuntimeError(f"{', '.join(sorted(taken))} is already imported in this process")
    types = {name: number for name, (number, _) in _TYPES.items()}
    ours: dict[str, dict[str, Any]] = {
        # 2.x is all that tf2onnx asks of the version on this path.
        "tensorflow": {"__version__": "2.0.0", "lite": _Lite, "string": types["DT_STRING"]},
        "tensorflow.core": {},
        "tensorflow.core.framework": {},
        "tensorflow.core.framework.node_def_pb2": {"NodeDef": _NodeDef},
        "tensorflow.core.framework.tensor_pb2": {"TensorProto": TensorProto},
        "tensorflow.core.framework.types_pb2": types,
        "tensorflow.python": {},
        "tensorflow.python.framework": {},
        "tensorflow.python.framework.c_api_util": {"ApiDefMap": _ApiDefMap},
        "tensorflow.python.framework.tensor_util": {"MakeNdarray": make_ndarray},
    }
    unused: dict[str, dict[str, Any]] = {
        "requests": {},
        "requests.adapters": {"HTTPAdapter": _Unused},
        "urllib3": {},
        "urllib3.util": {},
        "urllib3.util.retry": {"Retry": _Unused},
    }
    for name, names in (ours | {name: names for name, names in unused.items() if name not in sys.modules}).items():
        module = _Module(name)
        # Each may be a package: `from a.b import c` then asks for an attribute.
        vars(module).update(names, __path__=[])
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


def is_installed() -> bool:
    """Whether `import tensorflow` gives the stub in this process."""
    return isinstance(sys.modules.get("tensorflow"), _Module)


def _move_transposes(self: Any, graph: Any) -> Any:
    """`TransposeOptimizer._optimize_at_current_graph_level`, which looks at all nodes again behind every change.

    Here it is every Transpose, less what `_stays`. To find in tf2onnx's way that nothing changes took half the time of
    a translation with some hundred nodes. What is done, and in which order, is the same.
    """
    self._g = graph
    self.pre_optimize_action()
    nodes = self.nodes  # the list itself: the handlers take nodes out of it, and put new ones at its end
    known: dict[Any, int] = {}  # in its order
    transposes: list[Any] = []
    useless: dict[int, tuple[Any, bool]] = {}  # by id of the attribute, which is kept so that no other one gets the id
    changed = True
    while changed:
        changed, missed = False, None
        _add_new(nodes, known, transposes)
        transposes = [node for node in transposes if node.graph is not None]  # None: removed
        for node in transposes:
            if node is missed:
                continue
            perm = node._attr["perm"]  # noqa: SLF001 - a property costs a call
            if not _stays(self, node, perm):
                if self._handle_nhwc_tranpose(node):
                    changed = self.graph_been_opt = True
                    break
                _add_new(nodes, known, transposes)
                if node.graph is None:  # each consumer got one of its own: tf2onnx's loop over the list misses the next
                    missed = next((each for each in nodes if known[each] > known[node]), None)
                    continue
            kept = useless.get(id(perm))
            if kept is None:
                kept = useless[id(perm)] = (perm, list(perm.ints) == list(range(len(perm.ints))))
            if kept[1]:
                changed = True
                self._remove_useless_tranpose(node)
                break
    self.merge_duplicated_transposes()
    self.post_optimize_action()
    return self._g


def _add_new(nodes: list[Any], known: dict[Any, int], transposes: list[Any]) -> None:
    """Number what is new at the end of `nodes` in `known`, and add its `transposes`."""
    new = list(takewhile(lambda node: node not in known, reversed(nodes)))[::-1]
    known.update(zip(new, count(len(known)), strict=False))
    transposes += [node for node in new if node.type == "Transpose" and "perm" in node.attr]


def _stays(optimizer: Any, transpose: Any, perm: Any) -> bool:
    """Whether `_handle_nhwc_tranpose` does nothing: the one consumer is a Transpose that does not turn back, or whose
    output no node is called after; or a limit of what is NCHW already; or of a kind that has no handler.

    This is how that method, `Graph.find_output_consumers` and the handlers begin, without their calls.
    """
    graph = optimizer._g  # noqa: SLF001 - tf2onnx is pinned
    named, (output,) = graph._nodes_by_name, transpose._output  # noqa: SLF001 - a property costs a call
    nodes = (named.get(name) for name in graph._output_to_consumers.get(output, ()))  # noqa: SLF001
    consumers = [node for node in nodes if node is not None and output in node._input]  # noqa: SLF001
    if len(consumers) != 1 or output in graph._input_to_graph:  # noqa: SLF001 - read by a graph inside this one
        return False
    (consumer,) = consumers
    kind = consumer._op.op_type  # noqa: SLF001
    if kind == "Transpose":
        back = consumer._attr.get("perm")  # noqa: SLF001
        if back is None or consumer._output[0] not in named:  # noqa: SLF001
            return True
        axes = list(perm.ints)
        inverse = [axes.index(axis) for axis in range(len(axes))]
        return list(back.ints) != inverse
    if kind in {"Max", "Min"} and list(perm.ints) == [0, 3, 1, 2]:
        return any(graph.get_node_by_output(name).type != "Transpose" for name in consumer.input)
    return kind not in optimizer._handler_map  # noqa: SLF001


def _as_vector(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`read`, a method of tf2onnx's options, with no numbers for a vector that is absent: it gives the number 0."""

    def vector(options: Any) -> Any:
        found = read(options)
        return found if isinstance(found, np.ndarray) else np.zeros(0, np.int32)

    return vector


_MAY_BE_SCALAR = {"TFL_ARG_MAX", "TFL_ARG_MIN", "TFL_GATHER", "TFL_GATHER_ND", "TFL_MEAN", "TFL_SQUEEZE", "TFL_SUM"}
"""Operators whose output LiteRT knows the size of: where it has none it is one number, which tf2onnx doubts."""

_DENSE = "TFL_FULLY_CONNECTED"
_LAST_OPERATOR = 166  # STABLEHLO_MAXIMUM, the newest of tf2onnx's schema


def _newer_operator(number: int, kind: str) -> str | None:
    """The name of an operator that tf2onnx's schema does not have."""
    if kind != "BuiltinOperator" or number <= _LAST_OPERATOR:
        return None
    from ai_edge_litert.schema_py_generated import BuiltinOperator  # rarely needed, and takes a while to import

    return next((name for name, known in vars(BuiltinOperator).items() if known == number), None)


def patch_tf2onnx() -> None:
    """Wrap what is wrong; a second call does nothing. tf2onnx must be importable (`install`)."""
    from tf2onnx import tflite_utils  # only in the worker, and only after TensorFlow is settled
    from tf2onnx.graph import Node
    from tf2onnx.handler import tfl_op
    from tf2onnx.optimizer.transpose_optimizer import TransposeOptimizer
    from tf2onnx.tflite.ReshapeOptions import ReshapeOptions
    from tf2onnx.tflite.SqueezeOptions import SqueezeOptions

    mapping = tfl_op.create_tfl_to_tf_mapping()
    original, settings = mapping[_DENSE]
    if getattr(original, "repaired", False):
        return
    named = tflite_utils.lookup_enum
    tflite_utils.lookup_enum = lambda number, kind: _newer_operator(number, kind) or named(number, kind)
    TransposeOptimizer._optimize_at_current_graph_level = _move_transposes  # noqa: SLF001 - tf2onnx is pinned
    handlers = operators.HANDLERS | picture_operators.HANDLERS
    operators.register(handlers, operators.SOMETIMES | picture_operators.SOMETIMES)
    update = Node.update_proto
    # Constants become initializers, made of their attribute: a node's message would hold a copy more at each update.
    Node.update_proto = lambda node, *storage: None if node.is_const() else update(node, *storage)
    for kind, name in ((ReshapeOptions, "NewShapeAsNumpy"), (SqueezeOptions, "SqueezeDimsAsNumpy")):
        setattr(kind, name, _as_vector(getattr(kind, name)))
    doubted = tflite_utils.op_has_scalar_output
    tflite_utils.op_has_scalar_output = lambda shapes, kind, options: (
        kind in _MAY_BE_SCALAR or doubted(shapes, kind, options)
    )

    def dense(ctx: Any, node: Any, **options: Any) -> None:
        """Flatten the input here, bias and all, so that tf2onnx has nothing left to flatten."""
        weights = ctx.get_shape(node.input[1])
        if node.attr["keep_num_dims"].i == 0 and ctx.get_rank(node.input[0]) != 2 and weights and weights[-1] > 0:
            name = f"{node.name}_rows"
            shape = ctx.make_const(f"{name}_shape", np.array([-1, weights[-1]], np.int64))
            rows = ctx.make_node(
                "Reshape",
                [node.input[0], shape.output[0]],
                name=name,
                shapes=[[-1, weights[-1]]],
                dtypes=[ctx.get_dtype(node.input[0])],
            )
            rows.skip_conversion = True
            ctx.replace_inputs(node, [rows.output[0], *node.input[1:]])
        original(ctx, node, **options)

    dense.repaired = True  # type: ignore[attr-defined]
    mapping[_DENSE] = (dense, settings)
