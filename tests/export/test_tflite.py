"""The check of a flatbuffer: real and made models pass, each kind of damage is one clear error."""

from __future__ import annotations

import random
import struct
import time
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import InputError, UnsupportedModelError
from convert.export.tflite import content_digest, first_subgraph, operator_name, read_graph
from tests.examples import examples
from tests.export import tiny
from tests.export.unpacking import ids, unpack
from tests.graph.flat import Flat, flatten, options
from tests.graph.proof import litert

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def changed(change: Callable[[Any], object], data: bytes | None = None) -> bytes:
    """A small model, changed as an object and packed again."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data or tiny.classifier(), 0))
    change(model)
    builder = flatbuffers.Builder(1 << 12)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def setter(path: str, value: object) -> Callable[[Any], None]:
    """Sets `model.<path>`; numbers in the path are list indices."""

    def change(model: Any) -> None:
        *parts, last = path.split(".")
        for part in parts:
            model = model[int(part)] if part.isdigit() else getattr(model, part)
        if last.isdigit():
            model[int(last)] = value
        else:
            setattr(model, last, value)

    return change


def test_a_small_model() -> None:
    graph = read_graph(tiny.classifier(96, 64, 3, 2))
    source, scores = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    assert (source.name, source.shape, source.dtype) == ("serving_default_x:0", (1, 96, 64, 3), "float32")
    assert scores.shape == (1, 2)
    assert [operator.name for operator in graph.operators] == ["FULLY_CONNECTED", "SOFTMAX"]
    assert graph.operators[0].inputs[2] == -1
    weights = graph.tensors[graph.operators[0].inputs[1]]
    assert weights.length == 4 * 4 * 4
    assert weights.start > 0


def test_every_real_model_passes_and_is_what_the_schema_classes_read(models: Path) -> None:
    paths = sorted(models.glob("*lite"))
    assert paths
    for path in paths:
        data = path.read_bytes()
        graph = read_graph(data)
        model = schema.Model.GetRootAs(data, 0)
        main = model.Subgraphs(0)
        assert graph.inputs == tuple(main.InputsAsNumpy())
        assert graph.outputs == tuple(main.OutputsAsNumpy())
        assert len(graph.operators) == main.OperatorsLength()
        for index, tensor in enumerate(graph.tensors):
            other = main.Tensors(index)
            assert tensor.name == other.Name().decode()
            assert tensor.shape == (tuple(other.ShapeAsNumpy()) if other.ShapeLength() else ())
            content = model.Buffers(other.Buffer()).DataAsNumpy()
            expected = content.tobytes() if isinstance(content, np.ndarray) else b""
            assert data[tensor.start : tensor.start + tensor.length] == expected


def test_operator_names_are_the_schema_s() -> None:
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    assert {number: operator_name(number) for number in names} == names
    assert operator_name(len(names)) == f"BUILTIN_{len(names)}"


def test_types_are_the_schema_s() -> None:
    for name, number in vars(schema.TensorType).items():
        if name.startswith("_"):
            continue
        flat = Flat()
        source, end = flat.tensor(1, 2), flat.tensor(1, 2)
        flat.tensors[end].type = number
        flat.operator("CAST", [source], [end])
        dtype = read_graph(flat.build([source], [end])).tensors[1].dtype
        assert dtype == {"STRING": "str"}.get(name, name.lower())


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0\0\0\0TFL", b"\x1c\0\0\0TFLX" + bytes(50), b"<!DOCTYPE html>"])
def test_no_flatbuffer(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^this is not a TensorFlow Lite model \(TFL3 is missing at byte 4\)$"):
        read_graph(data)


def test_scratch_tensors_of_an_operator_that_no_cpu_runs() -> None:
    """What Arm's compiler writes: it is named, not called damaged. SSD's operator is run, so it is looked at."""
    flat = Flat()
    source, scratch, end = flat.tensor(1, 4), flat.tensor(1, 64), flat.tensor(1, 4)
    flat.operator("CUSTOM", [source, scratch], [end], custom="ethos-u")
    assert [operator.name for operator in read_graph(flat.build([source], [end])).operators] == ["ethos-u"]
    flat = Flat()
    source, scratch, end = flat.tensor(1, 4), flat.tensor(1, 64), flat.tensor(1, 4)
    flat.operator("CUSTOM", [source, scratch], [end], custom="TFLite_Detection_PostProcess")
    with pytest.raises(
        InputError, match=r"^the model is damaged: operator .* reads tensor 1, which nothing has computed$"
    ):
        read_graph(flat.build([source], [end]))


DAMAGE = [
    ("version", 2, "its schema version is 2, not 3"),
    ("subgraphs", [], "it has no subgraph"),
    ("subgraphs.0.outputs", [], "it has no output"),
    ("subgraphs.0.outputs", [99], "a tensor is named that does not exist"),
    ("subgraphs.0.inputs", [-1], "a tensor is named that does not exist"),
    ("subgraphs.0.tensors.0.type", 99, "tensor 'tensor_0;x:0' has the unknown type 99"),
    ("subgraphs.0.tensors.0.type", -1, "tensor 'tensor_0;x:0' has the unknown type -1"),
    ("subgraphs.0.tensors.0.shape", [1, -4], "tensor 'tensor_0;x:0' has the impossible shape [1, -4]"),
    ("subgraphs.0.tensors.0.shape", [1] * 9, "tensor 'tensor_0;x:0' has the impossible shape [1, 1, 1, 1, 1, 1, 1, 1]"),
    ("subgraphs.0.tensors.0.shapeSignature", [1, 2, 3], "tensor 'tensor_0;x:0' has two shapes of different rank"),
    ("subgraphs.0.tensors.0.shape", [1 << 20, 1 << 20], "tensor 'tensor_0;x:0' would take 4398046511104 bytes"),
    ("subgraphs.0.tensors.0.buffer", 99, "tensor 'tensor_0;x:0' names a buffer that does not exist"),
    (
        "subgraphs.0.tensors.1.shape",
        [4, 5],
        "tensor 'tensor_1;x:0' holds 64 bytes where its shape [4, 5] of float32 takes 80",
    ),
    ("subgraphs.0.operators.0.opcodeIndex", 99, "an operator has the kind 99, which does not exist"),
    ("subgraphs.0.operators.0.inputs", [0, 99], "a tensor is named that does not exist"),
    ("subgraphs.0.operators.0.outputs", [-1], "a tensor is named that does not exist"),
    ("subgraphs.0.operators.0.inputs", [3], "operator FULLY_CONNECTED reads tensor 3, which nothing has computed"),
    ("subgraphs.0.operators", [], "its output is tensor 3, which nothing has computed"),
    ("operatorCodes.0.builtinCode", 32, "a custom operator has no name of its own"),
    ("buffers.1.offset", 1 << 40, "a buffer lies behind the end of the file"),
    ("subgraphs.0.operators.0.largeCustomOptionsSize", 1 << 40, "an operator's options lie behind the end of the file"),
]


@pytest.mark.parametrize(
    ("names", "size"),
    [
        ("INT8 UINT8 BOOL FLOAT8_E4M3FN FLOAT8_E5M2", 3), ("FLOAT16 BFLOAT16 INT16 UINT16", 6),
        ("FLOAT32 INT32 UINT32", 12), ("INT64 UINT64 FLOAT64 COMPLEX64", 24), ("INT4 UINT4", 2), ("INT2", 1),
        ("COMPLEX128", 48), ("STRING RESOURCE VARIANT", None),
    ],
)  # fmt: skip
def test_bytes_of_three_elements(names: str, size: int | None) -> None:
    """None: of no size that is known."""
    every = ("float32 float16 int32 uint8 int64 string bool int16 complex64 int8 float64 complex128 uint64 resource "
             "variant uint32 uint16 int4 bfloat16 int2 uint4 float8_e4m3fn float8_e5m2").upper().split()  # fmt: skip
    for name in names.split():

        def change(model: Any, number: int = every.index(name)) -> None:
            tensor = model.subgraphs[0].tensors[1]
            tensor.type, tensor.shape, tensor.buffer = number, [3], len(model.buffers)
            model.buffers.append(schema.BufferT(np.zeros(7, np.uint8)))

        if size is None:
            assert read_graph(changed(change)).tensors[1].length == 7
            continue
        with pytest.raises(InputError) as caught:
            read_graph(changed(change))
        told = f"holds 7 bytes where its shape [3] of {name.lower()} takes {size}"
        assert caught.value.message == f"the model is damaged: tensor 'tensor_1;x:0' {told}"


@pytest.mark.parametrize(("path", "value", "message"), DAMAGE)
def test_damage(path: str, value: object, message: str) -> None:
    flat = Flat()
    source, weights = flat.tensor(1, 4), flat.weights(4, 4)
    middle, end = flat.tensor(1, 4), flat.tensor(1, 4)
    flat.operator("FULLY_CONNECTED", [source, weights], [middle])
    flat.operator("SOFTMAX", [middle], [end])
    data = flat.build([source], [end])
    read_graph(data)
    with pytest.raises(InputError) as caught:
        read_graph(changed(setter(path, value), data))
    assert caught.value.message == f"the model is damaged: {message}"
    assert caught.value.hint == "export or download the model again"


@pytest.mark.parametrize(
    ("scale", "zero_point", "axis", "message"),
    [
        ([-1.0], [0], 0, "tensor 'tensor_1;x:0' has a quantization scale that is no positive number"),
        ([float("nan")], [0], 0, "tensor 'tensor_1;x:0' has a quantization scale that is no positive number"),
        ([float("inf")], [0], 0, "tensor 'tensor_1;x:0' has a quantization scale that is no positive number"),
        ([0.1, 0.2], [0, 0], 0, "tensor 'tensor_1;x:0' has 2 quantization scales along dimension 0 of [1, 4]"),
        ([0.1] * 4, [0] * 4, 7, "tensor 'tensor_1;x:0' has 4 quantization scales along dimension 7 of [1, 4]"),
        ([0.1], [0, 0], 0, "tensor 'tensor_1;x:0' has 1 quantization scales and 2 zero points"),
    ],
)
def test_damaged_quantization(scale: list[float], zero_point: list[int], axis: int, message: str) -> None:
    def change(model: Any) -> None:
        parameters: Any = schema.QuantizationParametersT()
        parameters.scale, parameters.zeroPoint, parameters.quantizedDimension = scale, zero_point, axis
        model.subgraphs[0].tensors[1].quantization = parameters

    with pytest.raises(InputError) as caught:
        read_graph(changed(change))
    assert caught.value.message == f"the model is damaged: {message}"


@pytest.mark.parametrize(("scale", "zero_point"), [([0.0], [0]), ([0.5], []), ([], [])])
def test_quantization_that_is_read(scale: list[float], zero_point: list[int]) -> None:
    """Converters write a scale of 0 for a tensor that only holds zeros."""

    def change(model: Any) -> None:
        parameters: Any = schema.QuantizationParametersT()
        parameters.scale, parameters.zeroPoint = scale, zero_point
        model.subgraphs[0].tensors[1].quantization = parameters

    tensor = read_graph(changed(change)).tensors[1]
    assert (tensor.scales, tensor.zero_points) == (tuple(scale), tuple(zero_point))


@pytest.mark.parametrize(
    ("limit", "most", "message"),
    [
        # The model, its kind of operator, its subgraph, two tensors, the operator, and an empty buffer.
        ("_MAX_TABLES", 7, "it has more than 6 tables"),
        # Four sizes, two ends of the graph and of the operator each, and six letters.
        ("_MAX_ELEMENTS", 14, "its vectors are longer than any model's"),
    ],
)
def test_the_largest_model(limit: str, most: int, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = Flat()
    source, end = flat.tensor(1, 4, name="x"), flat.tensor(1, 4, name="y")
    data = flat.build([source], flat.operator("SOFTMAX", [source], [end]))
    monkeypatch.setattr(f"convert.export.tflite.{limit}", most)
    assert len(read_graph(data).tensors) == 2
    monkeypatch.setattr(f"convert.export.tflite.{limit}", most - 1)
    with pytest.raises(InputError) as caught:
        read_graph(data)
    assert caught.value.message == f"the model is damaged: {message}"


def test_quantization_per_channel() -> None:
    def change(model: Any) -> None:
        parameters: Any = schema.QuantizationParametersT()
        parameters.scale, parameters.zeroPoint, parameters.quantizedDimension = [0.5, 0.25, 1, 2], [0] * 4, 1
        model.subgraphs[0].tensors[1].quantization = parameters

    tensor = read_graph(changed(change)).tensors[1]
    assert (tensor.scales, tensor.zero_points, tensor.axis) == ((0.5, 0.25, 1, 2), (0, 0, 0, 0), 1)


@pytest.mark.parametrize(
    ("model", "message", "hint"),
    [
        (
            lambda: with_subgraph(tiny.model((1, 8, 8, 3), (1, 2), last="WHILE")),
            "the model has 2 subgraphs (control flow: WHILE)",
            "Edge Impulse's models have none; export it without loops (Keras: unroll=True in recurrent layers)",
        ),
        (
            lambda: changed(setter("subgraphs.0.inputs", [0, 2])),
            "the model has 2 inputs",
            "only models with one input, a picture, can be converted",
        ),
        (
            lambda: changed(setter("subgraphs.0.tensors.1.sparsity", schema.SparsityParametersT())),
            "tensor 'tensor_1;x:0' is stored sparse",
            "export the model without pruning",
        ),
        (
            lambda: changed(setter("externalBuffers", [schema.ExternalBufferT()])),
            "the model's weights lie in another file",
            "save the model with its weights in one .tflite file",
        ),
    ],
)
def test_what_is_read_but_not_supported(model: Callable[[], bytes], message: str, hint: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        read_graph(model())
    assert (caught.value.message, caught.value.hint) == (message, hint)


def with_subgraph(data: bytes) -> bytes:
    """The model with a second subgraph, which is larger than the first, and a signature for each."""

    def change(model: Any) -> None:
        other = schema.ModelT.InitFromPackedBuf(tiny.model((1, 8, 8, 3), (1, 2), before=("TANH",)), 0)
        (second,) = other.subgraphs
        second.name = "serving_default"
        for tensor in second.tensors:
            tensor.buffer += len(model.buffers)
        for call in second.operators:
            call.opcodeIndex += len(model.operatorCodes)
        model.buffers += other.buffers
        model.operatorCodes += other.operatorCodes
        model.subgraphs.append(second)
        model.signatureDefs = []
        for index, graph in enumerate(model.subgraphs):
            signature: Any = schema.SignatureDefT()
            named: Any = schema.TensorMapT()
            named.name, named.tensorIndex = "x", len(graph.tensors) - 1
            signature.signatureKey, signature.outputs, signature.subgraphIndex = str(index), [named], index
            model.signatureDefs.append(signature)

    return changed(change, data)


def test_a_subgraph_for_each_signature(tmp_path: Path) -> None:
    """As Keras 3 saves models: nothing runs the second subgraph, and the first is the model."""
    alone = tiny.classifier(8, 8)
    data = with_subgraph(alone)
    assert read_graph(data).others == ("serving_default",)
    assert read_graph(data).tensors[0] == replace(read_graph(alone).tensors[0], start=read_graph(data).tensors[0].start)
    (tmp_path / "model.tflite").write_bytes(data)
    result = unpack(tmp_path / "model.tflite")
    assert "EI156" in ids(result)
    model = result.artifact.model
    assert (read_graph(model).others, content_digest(model)) == ((), content_digest(alone))
    assert len(model) < len(alone) + 256
    with pytest.raises(InputError, match=r"^the model is damaged: a signature names a tensor"):
        read_graph(changed(setter("signatureDefs.1.subgraphIndex", 0), data))
    with pytest.raises(
        InputError, match=r"^the model is damaged: its output is tensor 4, which nothing has computed$"
    ):  # LiteRT allocates every subgraph
        read_graph(changed(setter("subgraphs.1.operators", []), data))


def deciding(change: Callable[[Any], object] = lambda _: None) -> bytes:
    """IF the picture's mean is above 0.5: its sine, else its negative; then its values in a row."""
    flat = Flat()
    picture, mean, above = flat.tensor(1, 4, 4, 1, name="x"), flat.tensor(), flat.tensor(dtype="bool")
    target = flat.tensor(1, 4, 4, 1)
    flat.operator("MEAN", [picture, flat.constant(np.arange(4, dtype=np.int32))], [mean], options("Reducer"))
    flat.operator("GREATER", [mean, flat.constant(np.float32(0.5))], [above], options("Greater"))
    flat.operator("IF", [above, picture], [target], options("If", thenSubgraphIndex=1, elseSubgraphIndex=2))
    model = schema.ModelT.InitFromPackedBuf(flat.build([picture], [flatten(flat, target)]), 0)
    for kind in ("SIN", "NEG"):
        other = Flat()
        source, result = other.tensor(1, 4, 4, 1), other.tensor(1, 4, 4, 1)
        other.operator(kind, [source], [result])
        branch = schema.ModelT.InitFromPackedBuf(other.build([source], [result]), 0)
        branch.subgraphs[0].operators[0].opcodeIndex = len(model.operatorCodes)
        model.operatorCodes += branch.operatorCodes
        model.subgraphs += branch.subgraphs
    change(model)
    builder = flatbuffers.Builder(1 << 12)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_a_condition_becomes_a_choice_of_two_results() -> None:
    data = deciding()
    graph = read_graph(data)
    assert (graph.calls, graph.others) == (True, ())
    model = first_subgraph(data)
    names = [each.name for each in read_graph(model).operators]
    assert names == ["MEAN", "GREATER", "SIN", "NEG", "SELECT_V2", "RESHAPE"]
    pictures = np.random.default_rng(0).random((8, 4, 4, 1), np.float32)
    wanted = litert(data, pictures)
    assert {bool(row[0] > 0) for row in wanted} == {True, False}
    np.testing.assert_array_equal(litert(model, pictures), wanted)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "subgraphs.0.operators.2.builtinOptions.thenSubgraphIndex",
            0,
            "an operator runs a subgraph that does not fit",
        ),
        (
            "subgraphs.0.operators.2.builtinOptions.elseSubgraphIndex",
            3,
            "an operator runs a subgraph that does not fit",
        ),
        ("subgraphs.2.inputs", [], "an operator runs a subgraph that does not fit"),
        ("subgraphs.2.outputs", [1, 1], "a condition is absent, or gives another number of tensors"),
        ("subgraphs.0.operators.2.outputs", None, "a condition is absent, or gives another number of tensors"),
        ("subgraphs.0.operators.2.inputs", None, "an operator runs a subgraph that does not fit"),
        ("subgraphs.0.operators.2.inputs", [-1, 0], "a condition is absent, or gives another number of tensors"),
        ("subgraphs.0.operators.2.inputs", [2, -1], "an operator runs a subgraph that does not fit"),
        ("subgraphs.0.operators.2.builtinOptions", None, "an operator runs a subgraph that does not fit"),
        (
            "subgraphs.0.operators.2.builtinOptionsType",
            schema.BuiltinOptions.AddOptions,
            "an operator runs a subgraph that does not fit",
        ),
        ("subgraphs.1.inputs", None, "an operator runs a subgraph that does not fit"),
        ("subgraphs.1.tensors.1.shape", [1, 16], "the model decides between tensors of different sizes"),
    ],
)
def test_conditions_that_cannot_be_read(path: str, value: object, message: str) -> None:
    with pytest.raises((InputError, UnsupportedModelError)) as caught:
        first_subgraph(deciding(setter(path, value)))
    assert caught.value.message.removeprefix("the model is damaged: ") == message
    if isinstance(caught.value, UnsupportedModelError):
        assert caught.value.hint == "export it without conditions"


@pytest.mark.parametrize("name", ["IF", "STABLEHLO_COMPOSITE"])
def test_a_custom_operator_is_no_condition(name: str) -> None:
    flat = Flat()
    picture, target = flat.tensor(1, 4, 4, 1, name="x"), flat.tensor(1, 4, 4, 1)
    flat.operator("CUSTOM", [picture], [target], custom="Twice")
    data = flat.build([picture], [flatten(flat, target)])
    assert not read_graph(data).calls
    with pytest.raises(InputError, match=r"^the model is damaged: a custom operator has no name of its own$"):
        read_graph(changed(setter("operatorCodes.0.customCode", name), data))


def test_a_built_in_operator_is_known_by_its_number() -> None:
    """Whatever name of its own it has besides."""
    data = deciding(setter("operatorCodes.2.customCode", "Twice"))
    assert read_graph(data).calls
    assert [each.name for each in read_graph(first_subgraph(data)).operators][2:4] == ["SIN", "NEG"]


def test_conditions_that_run_one_another() -> None:
    def change(model: Any) -> None:
        call = model.subgraphs[1].operators[0]
        call.opcodeIndex, call.inputs = model.subgraphs[0].operators[2].opcodeIndex, [2, 0]
        call.builtinOptions, call.builtinOptionsType = (
            model.subgraphs[0].operators[2].builtinOptions,
            schema.BuiltinOptions.IfOptions,
        )
        model.subgraphs[1].tensors.append(model.subgraphs[0].tensors[2])

    with pytest.raises(InputError, match=r"^the model is damaged: its subgraphs run one another$"):
        first_subgraph(deciding(change))


def composed(change: Callable[[Any], object] = lambda _: None) -> bytes:
    """The sine of a picture, and that of its sine, both by a composite whose subgraph holds another one."""
    flat, none = Flat(), np.frombuffer(flexbuffers.Dumps({}), np.uint8)

    def composite(index: int) -> Any:
        name, fields = f"test.{index}", {"decompositionSubgraphIndex": index, "compositeAttributes": none}
        return options("StableHLOComposite", name=name, **fields)

    picture, middle, target = flat.tensor(1, 4, 4, 1, name="x"), flat.tensor(1, 4, 4, 1), flat.tensor(1, 4, 4, 1)
    for source, result in ((picture, middle), (middle, target)):
        flat.operator("STABLEHLO_COMPOSITE", [source], [result], composite(1))
    flat.codes["SIN"] = 1
    model = schema.ModelT.InitFromPackedBuf(flat.build([picture], [flatten(flat, target)]), 0)
    for kind, more in (("STABLEHLO_COMPOSITE", composite(2)), ("SIN", None)):
        other = Flat(codes=flat.codes)
        source, result = other.tensor(1, 4, 4, 1), other.tensor(1, 4, 4, 1)
        other.operator(kind, [source], [result], more)
        model.subgraphs += schema.ModelT.InitFromPackedBuf(other.build([source], [result]), 0).subgraphs
    change(model)
    builder = flatbuffers.Builder(1 << 12)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_composites_are_written_out() -> None:
    data = composed()
    graph = read_graph(data)
    assert (graph.calls, graph.others) == (True, ())
    model = first_subgraph(data)
    assert [each.name for each in read_graph(model).operators] == ["SIN", "SIN", "RESHAPE"]
    pictures = np.random.default_rng(0).random((2, 4, 4, 1), np.float32)
    np.testing.assert_array_equal(litert(model, pictures), litert(data, pictures))


def test_a_composite_that_runs_itself_ends_soon() -> None:
    """With 10,000 tensors, each of which an operator reads."""

    def change(model: Any) -> None:
        inner, (outer,) = model.subgraphs[1].operators[0], model.subgraphs[2].operators
        inner.builtinOptions2.decompositionSubgraphIndex = 1
        tensors = model.subgraphs[1].tensors
        tensors += [tensors[0]] * 10_000
        joined = copy(outer)
        joined.inputs, joined.outputs = range(len(tensors)), [2]
        model.subgraphs[1].operators.append(joined)

    began = time.process_time()
    with pytest.raises(InputError, match=r"^the model is damaged: its subgraphs run one another$"):
        first_subgraph(composed(change))
    assert time.process_time() - began < 10


def gives(kind: str, last: bool = False) -> bytes:
    """Composites that give what they get, or a constant; `last`: as the model's output."""

    def change(model: Any) -> None:
        graph, branch = model.subgraphs[:2]
        branch.operators, branch.outputs = None, [0 if kind == "input" else 1]
        if kind == "constant":
            branch.tensors[1].buffer = len(model.buffers)
            model.buffers.append(schema.BufferT(np.frombuffer(np.arange(16, dtype=np.float32).tobytes(), np.uint8)))
        if last:
            graph.outputs = graph.operators[1].outputs

    return composed(change)


@pytest.mark.parametrize("kind", ["input", "constant"])
def test_composites_that_compute_nothing(kind: str) -> None:
    data = gives(kind)
    model = first_subgraph(data)
    assert [each.name for each in read_graph(model).operators] == ["RESHAPE"]
    pictures = np.random.default_rng(0).random((2, 4, 4, 1), np.float32)
    np.testing.assert_array_equal(litert(model, pictures), litert(data, pictures))
    with pytest.raises(UnsupportedModelError) as caught:
        first_subgraph(gives(kind, last=True))
    assert caught.value.message == "the model's output 'tensor_2;x:0' is a constant, its input or another output"
    assert caught.value.hint == "export it with outputs that are computed"


def test_an_output_that_a_composite_hands_on() -> None:
    def change(model: Any) -> None:
        graph, branch = model.subgraphs[:2]
        branch.operators, branch.outputs = None, [0]
        graph.operators[0].builtinOptions2.decompositionSubgraphIndex = 2
        graph.outputs = graph.operators[1].outputs

    data = composed(change)
    model = first_subgraph(data)
    assert [each.name for each in read_graph(model).operators] == ["SIN", "RESHAPE"]
    pictures = np.random.default_rng(0).random((2, 4, 4, 1), np.float32)
    np.testing.assert_array_equal(litert(model, pictures), litert(data, pictures))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "subgraphs.0.operators.0.builtinOptions2.decompositionSubgraphIndex",
            0,
            "an operator runs a subgraph that does not fit",
        ),
        (
            "subgraphs.0.operators.0.builtinOptions2.decompositionSubgraphIndex",
            3,
            "an operator runs a subgraph that does not fit",
        ),
        ("subgraphs.0.operators.0.builtinOptions2", None, "an operator runs a subgraph that does not fit"),
        ("subgraphs.1.inputs", [], "an operator runs a subgraph that does not fit"),
        ("subgraphs.0.operators.0.inputs", [-1], "an operator runs a subgraph that does not fit"),
        ("subgraphs.1.outputs", [1, 1], "a composite gives other tensors than its subgraph"),
        ("subgraphs.1.operators.0.builtinOptions2.decompositionSubgraphIndex", 1, "its subgraphs run one another"),
    ],
)
def test_composites_that_cannot_be_read(path: str, value: object, message: str) -> None:
    with pytest.raises(InputError) as caught:
        first_subgraph(composed(setter(path, value)))
    assert caught.value.message == f"the model is damaged: {message}"


def test_a_state_from_picture_to_picture() -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        read_graph(changed(setter("subgraphs.0.tensors.1.isVariable", True)))
    assert caught.value.message == "the model keeps what it computed for the next picture (SOFTMAX)"
    assert caught.value.hint == "export it without state (Keras: unroll=True in a recurrent layer)"


def test_metadata_and_signatures_are_checked_too() -> None:
    entry: Any = schema.MetadataT()
    entry.name, entry.buffer = "min_runtime_version", 99
    with pytest.raises(InputError, match=r"^the model is damaged: metadata names a buffer"):
        read_graph(changed(setter("metadata", [entry])))
    signature: Any = schema.SignatureDefT()
    named: Any = schema.TensorMapT()
    named.name, named.tensorIndex = "x", 99
    signature.inputs = [named]
    with pytest.raises(InputError, match=r"^the model is damaged: a signature names a tensor"):
        read_graph(changed(setter("signatureDefs", [signature])))


OPTIONS = [
    ("FULLY_CONNECTED", {"keepNumDims": True, "asymmetricQuantizeInputs": True, "quantSpec": [1, 2]}, "FullyConnected"),
    ("RESHAPE", {"newShape": [1, 4]}, "Reshape"),
    ("SQUEEZE", {"squeezeDims": [0]}, "Squeeze"),
    ("BUCKETIZE", {"boundaries": [1.0, 2.5]}, "Bucketize"),
    ("STABLEHLO_PAD", {"edgePaddingHigh": [1, 2, 3]}, "StablehloPad"),
    ("STABLEHLO_CONVOLUTION", {"outputSpatialDimensions": [1, 2]}, "StablehloConvolution"),
    ("SOFTMAX", {"beta": 1.5}, "Softmax"),
    ("CONV_2D", {"strideH": 2, "strideW": 2, "dilationHFactor": 3}, "Conv2D"),
]


@pytest.mark.parametrize(("kind", "values", "name"), OPTIONS)
def test_options_of_operators(kind: str, values: dict[str, Any], name: str) -> None:
    """They pass as they are; a vector in them that is longer than the file does not."""
    flat = Flat()
    source, end = flat.tensor(1, 4), flat.tensor(1, 4)
    flat.operator(kind, [source], [end], options(name, **values))
    data = flat.build([source], [end])
    assert read_graph(data).operators[0].name == kind
    vector = next((value for value in values.values() if isinstance(value, list)), None)
    if vector is not None:
        item = {"FullyConnected": "B", "Bucketize": "f", "Reshape": "i", "Squeeze": "i"}.get(name, "q")
        stored = struct.pack(f"<I{len(vector)}{item}", len(vector), *vector)
        assert data.count(stored) >= 1
        damaged = data.replace(stored, struct.pack(f"<I{len(vector)}{item}", 1 << 20, *vector))
        with pytest.raises(InputError, match=r"^the model is damaged: the vector at \d+ reaches outside of the file$"):
            read_graph(damaged)


@pytest.mark.parametrize(
    ("place", "form", "value"),
    [("table", "i", None), ("fields", "H", 3), ("fields", "H", 5), ("fields", "H", 2 * 256 + 6), ("size", "H", 3)],
)
def test_a_table_whose_list_of_fields_cannot_be(place: str, form: str, value: int | None) -> None:
    """Each is wrong in one way: an odd place, an odd or impossible length of the list, a table too short."""
    data = bytearray(tiny.classifier())
    (table,) = struct.unpack_from("<I", data)
    (back,) = struct.unpack_from("<i", data, table)
    at = {"table": table, "fields": table - back, "size": table - back + 2}[place]
    struct.pack_into(f"<{form}", data, at, back + 1 if value is None else value)
    with pytest.raises(InputError, match=f"the table at {table} has no valid list of fields"):
        read_graph(bytes(data))


@pytest.mark.parametrize("name", ["customOptions", "mutatingVariableInputs"])
def test_other_vectors_of_an_operator_are_inside_of_the_file(name: str) -> None:
    values = [1, 0, 1, 1, 0, 1, 0, 1]
    data = changed(setter(f"subgraphs.0.operators.0.{name}", values))
    assert read_graph(data).operators
    stored = struct.pack("<I8B", 8, *values)
    assert data.count(stored) == 1
    with pytest.raises(InputError, match=r"^the model is damaged: the vector at \d+ reaches outside of the file$"):
        read_graph(data.replace(stored, struct.pack("<I8B", 1 << 20, *values)))


def test_a_field_up_to_the_last_byte_of_its_table() -> None:
    data = bytearray(tiny.classifier())
    (table,) = struct.unpack_from("<I", data)
    fields = table - struct.unpack_from("<i", data, table)[0]
    (length,) = struct.unpack_from("<H", data, fields)
    last = max(struct.unpack_from(f"<{(length - 4) // 2}H", data, fields + 4))  # of four bytes, as all are
    struct.pack_into("<H", data, fields + 2, last + 4)
    assert read_graph(bytes(data)).outputs
    struct.pack_into("<H", data, fields + 2, last + 3)
    with pytest.raises(InputError, match=f"a field of the table at {table} is cut off"):
        read_graph(bytes(data))


def test_a_vector_up_to_the_last_byte() -> None:
    data = bytearray(tiny.classifier())
    start = data.index(struct.pack("<I4i", 4, 1, 96, 96, 3))  # the shape of the picture
    data += bytes(-(len(data) - start) % 4)
    most = (len(data) - start - 4) // 4
    for count, is_outside in ((most, False), (most + 1, True)):
        struct.pack_into("<I", data, start, count)
        with pytest.raises(InputError) as caught:  # it is no shape, either
            read_graph(bytes(data))
        assert (f"the vector at {start} reaches outside of the file" in caught.value.message) is is_outside


def test_data_behind_the_flatbuffer() -> None:
    """Models over 2 GB keep their constants there; small files may."""
    size = 4096

    def change(model: Any) -> None:
        model.buffers[1].data, model.buffers[1].offset, model.buffers[1].size = None, size, 64

    moved = changed(change).ljust(size, b"\0") + bytes(range(64))
    tensor = read_graph(moved).tensors[2]
    assert moved[tensor.start : tensor.start + tensor.length] == bytes(range(64))
    with pytest.raises(InputError, match=r"^the model is damaged: a buffer lies behind the end of the file$"):
        read_graph(moved[:-1])


def test_every_truncation_is_refused() -> None:
    data = tiny.classifier()
    for end in range(len(data)):
        with pytest.raises(InputError):
            read_graph(data[:end])


def test_tables_that_lead_to_one_another_end() -> None:
    """One vector named by many tables: the work is bounded by what is read, not by what is there."""
    flat = Flat()
    source, end = flat.tensor(1, 4), flat.tensor(1, 4)
    for _ in range(40):
        flat.operator("ADD", [source] * 20_000, [end])
    data = bytearray(flat.build([source], [end]))
    assert read_graph(bytes(data)).operators[0].name == "ADD"
    # Let the vector of operators claim as many entries as fit: all of them lead somewhere, none for long.
    at = data.find(struct.pack("<I", 40))
    data[at : at + 4] = struct.pack("<I", 100_000)
    with pytest.raises(InputError):
        read_graph(bytes(data))


SMALL = tiny.int8_classifier(8, 8, 3, float_ends=True)


@examples(400)
@given(
    st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=6), st.integers(0, 40)
)
def test_changed_bytes_are_read_or_refused(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(SMALL)
    for at, value in changes:
        data[at] = value
    try:
        graph = read_graph(bytes(data[: len(data) - cut]))
    except (InputError, UnsupportedModelError) as error:
        assert error.hint  # noqa: PT017 - the error is one of two right outcomes
    else:
        used = {index for each in graph.operators for index in (*each.inputs, *each.outputs)}
        assert used | {*graph.inputs, *graph.outputs} <= {-1, *range(len(graph.tensors))}


@examples(400)
@given(
    st.sampled_from((deciding(), composed())),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_changed_calls_are_written_out_or_refused(data: bytes, changes: list[tuple[float, int]]) -> None:
    made = bytearray(data)
    for share, value in changes:
        made[int(share * len(made))] = value
    try:
        if read_graph(bytes(made)).calls:
            read_graph(first_subgraph(bytes(made)))
    except (InputError, UnsupportedModelError) as error:
        assert error.hint  # noqa: PT017 - the error is one of two right outcomes


@given(st.binary(max_size=400))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises((InputError, UnsupportedModelError)):
        read_graph(data[:4] + b"TFL3" + data[4:])


def test_flipped_bits_of_real_models(models: Path) -> None:
    chance = random.Random(11)
    for path in sorted(models.glob("*lite"), key=lambda item: item.stat().st_size)[:6]:
        original = path.read_bytes()
        for _ in range(60):
            data = bytearray(original)
            for _ in range(chance.choice((1, 3, 30))):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            try:
                read_graph(bytes(data))
            except (InputError, UnsupportedModelError):
                continue


def dense(fused: int | None) -> Callable[[Any], None]:
    """Gives the dense layer options with this activation."""

    def change(model: Any) -> None:
        call = model.subgraphs[0].operators[0]
        call.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        call.builtinOptions = schema.FullyConnectedOptionsT()
        call.builtinOptions.fusedActivationFunction = fused

    return change


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (setter("description", "other"), True),
        (setter("subgraphs.0.tensors.0.name", "other"), True),
        (setter("operatorCodes.0.version", 3), True),
        (dense(schema.ActivationFunctionType.NONE), True),  # as without options
        (dense(schema.ActivationFunctionType.RELU), False),
        (setter("subgraphs.0.tensors.0.type", schema.TensorType.INT8), False),
        (setter("subgraphs.0.operators.0.inputs", [0, 2, 2]), False),
        (setter("subgraphs.0.outputs", [0]), False),
        (setter("buffers.1.data", [1, 2, 3, 4]), False),
    ],
)
def test_what_a_digest_counts(change: Callable[[Any], None], same: bool) -> None:
    assert (content_digest(changed(change)) == content_digest(tiny.classifier())) is same


@pytest.mark.parametrize(("inputs", "same"), [([0], False), ([0, 1], True), ([0, 1, 2], True)])
def test_a_digest_counts_the_shape_a_reshape_has_as_an_option_where_no_input_gives_it(
    inputs: list[int], same: bool
) -> None:
    def digest(shape: list[int]) -> str:
        def change(model: Any) -> None:
            model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 22  # RESHAPE
            call = model.subgraphs[0].operators[0]
            call.builtinOptionsType, call.inputs = schema.BuiltinOptions.ReshapeOptions, inputs
            call.builtinOptions = schema.ReshapeOptionsT()
            call.builtinOptions.newShape = shape

        return content_digest(changed(change))

    assert (digest([1, 2]) == digest([2, 1])) is same
