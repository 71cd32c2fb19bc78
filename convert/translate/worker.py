"""What the worker process runs to make an asserted ONNX model with an NCHW input, of a flatbuffer or of an ONNX file.

Damaged models can crash or hang it: call it through `convert.isolation` only. The ONNX checker, shape inference and
the opset converter are C++, too, that reads what was made from a foreign file.

`translate` does what `tf2onnx.convert.from_tflite` does (process_tf_graph, optimize_graph, make_model), less what costs
time without changing the graph: that module's own imports, a deep copy of the whole graph before each of the 24
optimiser runs (half the time; only made when an optimiser has failed, see `_optimised`), optimisers for operators that
are not there, and writing the model to disk and reading it back. `tests/translate/test_stub.py` compares the graphs.

tf2onnx logs "Successfully converted" over anything: it leaves operators it does not know in the graph under their
TFLite or TensorFlow name, ignores an unknown --inputs-as-nchw name, and keeps shapes that contradict the nodes.
`assert_translated` refuses all that.

tf2onnx tells tensors apart by name, TFLite by index: names may be missing or repeated (`lite/schema/schema.fbs`: "for
debugging purposes"), and tf2onnx would then connect the wrong tensors without a message. `unique_names` renames the
tensors of such a file.

`accept` brings an export that is ONNX already to NCHW input and batch 1. The graph itself is not touched, but for a
Transpose behind an NHWC input (TensorRT deployments of Edge Impulse have one).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import mmap
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Any, Self

import onnx
import onnx.checker
import onnx.defs
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, version_converter

from convert.errors import MissingDependencyError, TranslationError, pip_install
from convert.graph.graph import load_model, opset_of, signature, without_weights
from convert.isolation import return_freed_memory
from convert.onnx_header import STANDARD_DOMAINS
from convert.translate import Translation, tf2onnx_patches

_NEEDED = re.compile(r"[Oo]pset (\d+) (?:is )?(?:required|needed)")  # what tf2onnx's handlers, and ours, say
_UNLOADABLE = "Error loading model into tflite interpreter: "  # tf2onnx's words, before it guesses the shapes instead
_WIDELY_READ = 13  # the opset of TensorRT 8; of newer operators its parser and later ones know few
_OURS = "this is a fault of the translation, not of the model: please report it"
_DAMAGED = "the file is damaged: export the model again"
_NCHW_TO_NHWC = [0, 2, 3, 1]  # perm of the Transpose behind an input that becomes NCHW


# Optimisers that look at nothing but nodes of these kinds, which no other one makes.
_ONLY_FOR = {
    "const_dequantize_optimizer": ("DequantizeLinear",),
    "einsum_optimizer": ("Einsum",),
    "loop_optimizer": ("Loop",),
    "q_dq_optimizer": ("QuantizeLinear", "DequantizeLinear"),
    "remove_redundant_upsample": ("Upsample",),
}


def translate(
    model: bytes | str,
    shape: tuple[int, ...],
    outputs: int,
    opset: int,
    tensorflow: bool = False,  # noqa: FBT001, FBT002 - called by position, across processes
    pictures: bool = True,  # noqa: FBT001, FBT002
) -> Translation:
    """Translate the flatbuffer `model` to ONNX, of pictures with an NCHW input.

    Args:
        model: a TFLite flatbuffer with one subgraph and one input; or the path of its file, if it is large.
        shape: of that input: [1,H,W,C], even where the flatbuffer has [1,C,H,W].
        outputs: how many outputs the flatbuffer has.
        opset: of the result.
        tensorflow: use the installed TensorFlow instead of the stub.
        pictures: else the input is features and stays as it is; `shape` may have any rank.

    Raises:
        TranslationError: tf2onnx refused the model or what it made breaks a rule of `convert.translate.worker`.
        MissingDependencyError: `tensorflow` was asked for and cannot be imported.
    """
    _choose(tensorflow=tensorflow)
    gc.disable()  # reference counting is enough for a graph of a few hundred nodes; looking for cycles costs 6 %
    try:
        with _Log() as log:
            data = _mapped(model) if isinstance(model, str) else model
            named = unique_names(data)
            name = input_name(named)
            source = named if isinstance(named, bytes) else str(model)
            is_final = not pictures or channels_first(named, shape)
            same_sizes = pictures and len(set(shape[1:])) == 1
            proto = _convert(source, name, opset, same_sizes=same_sizes, is_final=is_final)
            if isinstance(model, str):
                gc.collect()  # tf2onnx's graph refers to itself
                return_freed_memory()
        for line in log.lines:
            if line.startswith(_UNLOADABLE):
                raise TranslationError(  # noqa: TRY301 - as those of the functions called here
                    f"LiteRT cannot load this model: {line.removeprefix(_UNLOADABLE)}",
                    hint="the file is damaged, or holds an operator LiteRT does not know: download the export again",
                )
        fix_batch(proto, name)
        assert_translated(proto, input_name=name, nhwc=shape, outputs=outputs, opset=opset, pictures=pictures)
        (value,) = (value for value in proto.graph.input if value.name == name)
        return _translation(proto, value, opset, *log.lines)
    except TranslationError:
        raise
    except Exception as error:  # whatever tf2onnx or the flatbuffer reader raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        newer = _NEEDED.search(reason)
        hint = "check that the file is whole; if it is, it uses something tf2onnx does not know"
        if newer and opset < int(newer[1]) <= _WIDELY_READ:
            hint = f"leave out --opset, or give --opset {newer[1]}"
        raise TranslationError(f"tf2onnx cannot translate this model: {reason}", hint=hint) from error
    finally:
        gc.enable()


def _choose(*, tensorflow: bool) -> None:
    """Have `import tensorflow` give what was asked for."""
    if not tensorflow:
        tf2onnx_patches.install()
        return
    if tf2onnx_patches.is_installed():
        raise RuntimeError("this worker already uses the stub for TensorFlow")
    try:
        importlib.import_module("tensorflow")
    except ImportError as error:
        raise MissingDependencyError(
            f"TensorFlow cannot be imported: {error}", hint=pip_install("ei-deepstream[tensorflow]")
        ) from error


def _mapped(path: str) -> mmap.mmap:
    """The content of a file, of which only what is looked at is read."""
    with open(path, "rb") as file:  # noqa: PTH123 - mmap wants a number
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _convert(model: bytes | str, name: str, opset: int, *, same_sizes: bool, is_final: bool = False) -> ModelProto:
    from tf2onnx.tfonnx import process_tf_graph  # only after _choose

    from convert.translate.tf2onnx_patches import patch_tf2onnx  # brings tf2onnx

    patch_tf2onnx()
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        if isinstance(model, bytes):
            file.write(model)
            file.flush()
        path = file.name if isinstance(model, bytes) else model

        def processed() -> Any:
            # continue_on_error=False: an operator's handler that fails must not leave half a graph.
            turned = [] if is_final else [name]
            return process_tf_graph(None, continue_on_error=False, opset=opset, inputs_as_nchw=turned, tflite_path=path)

        graph = processed()
        # Where H = W = C the shape does not show whether the input was made NCHW; the graph before optimisation does.
        if same_sizes and not all(
            node.type == "Transpose" and list(node.get_attr("perm").ints) == _NCHW_TO_NHWC
            for node in graph.find_output_consumers(name)
        ):
            raise TranslationError("tf2onnx left the input NHWC", hint=_OURS)
        return _optimised(graph, processed).make_model("")


def _optimised(graph: Any, again: Any) -> Any:
    """`graph` after tf2onnx's optimisers.

    tf2onnx copies the whole graph before each optimiser so as to go on without one that fails. That happens so rarely
    that we start over, as it does it, only when one fails. This is `optimize_graph` and `GraphOptimizerBase.optimize`,
    less counting nodes for the log and writing every node into its protobuf message each time, which `make_model` does
    again.
    """
    from tf2onnx.optimizer import _get_optimizers, optimize_graph  # only after _choose

    operators = graph.dump_node_statistics(include_subgraphs=True)
    optimizers = [
        optimizer
        for name, optimizer in _get_optimizers().items()
        if name not in _ONLY_FOR or any(operators[kind] for kind in _ONLY_FOR[name])
    ]
    changed, iteration = True, 0
    try:
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
    except Exception:  # noqa: BLE001 - the second run logs the failing optimiser, which becomes a finding
        return optimize_graph(again(), catch_errors=True)
    return graph


class _Log(logging.Handler):
    """Collects what tf2onnx logs at level WARNING or above, without tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = " ".join(record.getMessage().split())
        if line not in self.lines:
            self.lines.append(line)

    def __enter__(self) -> Self:
        logging.getLogger("tf2onnx").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("tf2onnx").removeHandler(self)


def preload() -> None:
    """Imports all that a translation needs, with the TensorFlow stub in place: a worker calls it as it starts."""
    tf2onnx_patches.install()
    import tf2onnx.optimizer
    import tf2onnx.tfonnx  # noqa: F401


def fix_batch(proto: ModelProto, input_name: str) -> None:
    """Set the batch of the input to 1 where the flatbuffer leaves it open.

    Keras models converted by hand have the shape signature [-1,H,W,C]; LiteRT runs them at batch 1, and so does
    everything here until `convert.graph.batch` opens it again.
    """
    for value in proto.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name == input_name and dims and not dims[0].HasField("dim_value"):
            dims[0].dim_value = 1


def assert_translated(
    proto: ModelProto, *, input_name: str, nhwc: tuple[int, ...], outputs: int, opset: int, pictures: bool = True
) -> None:
    """Refuse a translation that is not what was asked for.

    Args:
        proto: what tf2onnx made.
        input_name: of the flatbuffer's input.
        nhwc: its shape, [1,H,W,C].
        outputs: how many outputs the flatbuffer has.
        opset: that was asked for.
        pictures: else the input keeps the shape `nhwc`.

    Raises:
        TranslationError: an operator ONNX does not know at this opset, another operator domain, a loop, an input that
            is not the float32 [1,C,H,W] of `nhwc`, a different number of outputs, or a graph the ONNX checker refuses.
    """
    for entry in proto.opset_import:
        if entry.domain in STANDARD_DOMAINS and entry.version != opset:
            raise TranslationError(f"tf2onnx made opset {entry.version} where {opset} was asked for", hint=_OURS)
    _assert_operators(proto, opset)
    _assert_input(proto, input_name, (nhwc[0], nhwc[3], *nhwc[1:3]) if pictures else nhwc)
    if len(proto.graph.output) != outputs:
        raise TranslationError(
            f"the model has {outputs} outputs, its translation {len(proto.graph.output)}", hint=_OURS
        )
    try:
        onnx.checker.check_model(without_weights(proto))
    except onnx.checker.ValidationError as error:
        first = str(error).strip().splitlines()[0]
        raise TranslationError(f"tf2onnx made an invalid ONNX model: {first}", hint="try another --opset") from error


def _assert_operators(proto: ModelProto, opset: int) -> None:
    control = sorted(
        {node.op_type for node in proto.graph.node for item in node.attribute if item.HasField("g") or item.graphs}
    )
    if control:
        message = f"the model decides while it runs ({', '.join(control)}), which cannot be given a batch"
        raise TranslationError(message, hint="export it without loops and conditions")
    unknown: Counter[str] = Counter()
    for node in proto.graph.node:
        try:
            known = node.domain in STANDARD_DOMAINS and not onnx.defs.get_schema(node.op_type, opset, "").deprecated
        except onnx.defs.SchemaError:
            known = False
        if not known:
            unknown[f"{node.domain}.{node.op_type}".removeprefix(".")] += 1
    if unknown:
        names = ", ".join(f"{name.removeprefix('TFL_')} ({count}x)" for name, count in sorted(unknown.items()))
        # A later opset may have what tf2onnx names as TensorFlow does (Cumsum: 11).
        hint = "there is no way to run these in Gst-nvinfer: retrain with other layers"
        later = {name.lower() for name in _operators(_WIDELY_READ)}
        if opset < _WIDELY_READ and all(name.lower() in later for name in unknown):
            hint = f"opset {_WIDELY_READ} has them: leave out --opset"
        raise TranslationError(f"tf2onnx has no ONNX for these operators at opset {opset}: {names}", hint=hint)


def _operators(opset: int) -> Iterator[str]:
    """The names of ONNX's own operators."""
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain in STANDARD_DOMAINS and schema.since_version <= opset:
            yield schema.name


def _assert_input(proto: ModelProto, name: str, shape: tuple[int, ...]) -> None:
    initializers = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in initializers]
    if [value.name for value in inputs] != [name]:
        raise TranslationError(
            f"the model's input is {name}, its translation has {', '.join(value.name for value in inputs) or 'none'}",
            hint=_OURS,
        )
    tensor = signature(inputs[0])
    if tensor.shape != shape:
        order = "NCHW " if len(shape) == 4 else ""
        raise TranslationError(
            f"the translated input is {list(tensor.shape)} instead of {order}{list(shape)}", hint=_OURS
        )
    if inputs[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        raise TranslationError(f"the translated input is {tensor.dtype}, not float32", hint=_OURS)


def _graph(model: bytes | mmap.mmap) -> Any:
    """The first subgraph."""
    from tf2onnx.tflite.Model import Model  # `_choose` decides what tf2onnx's TensorFlow is first

    return Model.GetRootAsModel(model, 0).Subgraphs(0)


def input_name(model: bytes | mmap.mmap) -> str:
    """The name of the first input of the first subgraph."""
    graph = _graph(model)
    name: bytes = graph.Tensors(graph.Inputs(0)).Name()
    return name.decode()


def channels_first(model: bytes | mmap.mmap, shape: tuple[int, ...]) -> bool:
    """Whether the first input, which is described as `shape` [1,H,W,C], is [1,C,H,W] in the flatbuffer."""
    graph = _graph(model)
    tensor = graph.Tensors(graph.Inputs(0))
    found = tuple(tensor.Shape(axis) for axis in range(tensor.ShapeLength()))[1:]
    height, width, channels = shape[1:]
    return found != (height, width, channels) and found == (channels, height, width)


def unique_names(model: bytes | mmap.mmap) -> bytes | mmap.mmap:
    """`model`, or a copy of it whose tensors are called t0, t1, ... when a name was missing, repeated or not UTF-8."""
    graph = _graph(model)
    names: list[bytes] = [graph.Tensors(index).Name() or b"" for index in range(graph.TensorsLength())]
    with contextlib.suppress(UnicodeDecodeError):
        if all(name.decode() for name in names) and len(set(names)) == len(names):
            return model
    import flatbuffers  # rarely needed, and the schema takes a while to import
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    for index, tensor in enumerate(tree.subgraphs[0].tensors):
        tensor.name = f"t{index}"
    tree.signatureDefs = None  # they hold names, and nothing here reads them
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def accept(
    model: bytes,
    shape: tuple[int, ...],
    outputs: int,
    opsets: tuple[int, int],
    pictures: bool = True,  # noqa: FBT001, FBT002 - called by position, across processes
) -> Translation:
    """The model with a float32 input [1,C,H,W], or of features as it is.

    Args:
        model: a serialised ModelProto with one input.
        shape: of that input, as a flatbuffer would have it: [1,H,W,C].
        outputs: how many outputs it has.
        opsets: the oldest and the newest that are known here; a newer model is converted to the newest.
        pictures: else the input is features, of any rank.

    Raises:
        InputError: the model is damaged.
        TranslationError: the model is invalid, uses what ONNX does not know, or cannot be brought to such an opset.
    """
    proto = _converted(load_model(model), *opsets, raised=not pictures)
    constants = {tensor.name for tensor in proto.graph.initializer}
    (source,) = (value for value in proto.graph.input if value.name not in constants)
    dims = source.type.tensor_type.shape.dim
    is_final = not pictures or [dim.dim_value for dim in dims[1:]] == [shape[3], *shape[1:3]]
    dims[0].dim_value = 1
    # What was declared may hold an open batch; the passes infer for themselves.
    del proto.graph.value_info[:]
    if not is_final:
        # The input becomes NCHW; a Transpose behind it gives its consumers what they got.
        inside = f"{source.name}__nhwc"
        for node in proto.graph.node:
            node.input[:] = [inside if name == source.name else name for name in node.input]
        proto.graph.node.insert(0, helper.make_node("Transpose", [source.name], [inside], perm=_NCHW_TO_NHWC))
        element = source.type.tensor_type.elem_type
        source.type.CopyFrom(helper.make_tensor_type_proto(element, [1, shape[3], *shape[1:3]]))
        assert element == TensorProto.FLOAT  # refuse_unsupported
    opset = opset_of(proto)
    # Before `assert_translated`, whose messages are about tf2onnx.
    foreign = {f"{node.domain}.{node.op_type}" for node in proto.graph.node if node.domain not in STANDARD_DOMAINS}
    if foreign:
        message = f"the ONNX model holds operators that only its own runtime knows: {', '.join(sorted(foreign))}"
        hint = "export it with standard operators only, or give the TensorFlow Lite model"
        raise TranslationError(message, hint=hint)
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        first = str(error).strip().splitlines()[0]
        raise TranslationError(f"the ONNX model is invalid: {first}", hint=_DAMAGED) from error
    assert_translated(proto, input_name=source.name, nhwc=shape, outputs=outputs, opset=opset, pictures=pictures)
    return _translation(proto, source, opset)


def _translation(proto: ModelProto, source: ValueInfoProto, opset: int, *warnings: str) -> Translation:
    """What is given back of `proto`, whose input is `source`."""
    data = proto.SerializeToString(deterministic=True)
    return Translation(data, signature(source), tuple(map(signature, proto.graph.output)), opset, warnings)


def _converted(proto: ModelProto, oldest: int, newest: int, *, raised: bool = False) -> ModelProto:
    """`raised`: an older opset is brought to the newest, too: signal processing is put before the network."""
    try:
        opset = opset_of(proto)
    except StopIteration:
        raise TranslationError("the ONNX model does not say its opset", hint=_DAMAGED) from None
    if opset < oldest:
        raise TranslationError(f"the ONNX model has opset {opset}", hint=f"export it with opset {oldest} to {newest}")
    if opset == newest or (opset < newest and not raised):
        return proto
    try:
        return version_converter.convert_version(proto, newest)
    except Exception as error:  # its C++ exceptions share no other base class
        reason = " ".join(str(error).split())
        message = f"the ONNX model has opset {opset}, which cannot be brought to {newest}: {reason}"
        raise TranslationError(message, hint=f"export it with opset {newest}, or better 13") from error
