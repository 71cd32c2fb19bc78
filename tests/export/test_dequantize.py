from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st

from convert.errors import UnsupportedModelError
from convert.export.dequantize import Dequantized, dequantize
from convert.export.tflite import pack, unpack
from convert.isolation import Worker
from convert.translate import PRELOAD
from convert.validate.inputs import pictures
from convert.validate.runtimes import load
from tests.examples import examples
from tests.export.eon.networks import Network, Scales, small_int8

OPERATORS = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
UNIT: Scales = ([1 / 255], [-128], 0)


def operators(model: bytes) -> list[str]:
    root = unpack(model)
    codes = [root.operatorCodes[call.opcodeIndex] for call in root.subgraphs[0].operators]
    return [OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in codes]


def constants(model: bytes) -> dict[str, Any]:
    """float32 constants by the names of their tensors."""
    root = unpack(model)
    found = {}
    for tensor in root.subgraphs[0].tensors:
        data = root.buffers[tensor.buffer].data
        if data is not None and tensor.type == schema.TensorType.FLOAT32:
            found[tensor.name.decode()] = np.frombuffer(bytes(data), np.float32).reshape(tensor.shape)
    return found


def types(model: bytes) -> set[int]:
    return {tensor.type for tensor in unpack(model).subgraphs[0].tensors}


def run(model: bytes, values: Any) -> Any:
    """The first output; the built-in kernels, whose int8 arithmetic is that of the specification."""
    interpreter = Interpreter(
        model_content=model,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.set_tensor(source["index"], values)
    interpreter.invoke()
    output = interpreter.get_tensor(result["index"])
    scale, zero = result["quantization"]
    return (output.astype(np.float32) - zero) * np.float32(scale) if output.dtype != np.float32 else output


def dense(result: Scales, source: Scales = UNIT, activation: int = 0, bias: Scales | None = None) -> bytes:
    """FULLY_CONNECTED [1,3] to [1,2] with weights of 0.01 a step."""
    net = Network()
    inputs = [
        net.tensor((1, 3), np.int8, source),
        net.constant([[127, -127, 5], [-1, 64, 127]], np.int8, ([0.01], [0], 0)),
        net.constant([1000, -2000], np.int32, bias or ([0.01 * source[0][0]], [0], 0)),
    ]
    place = net.call(
        "FULLY_CONNECTED",
        inputs,
        [net.tensor((1, 2), np.int8, result)],
        table="FullyConnected",
        fusedActivationFunction=activation,
    )
    net.versions = {"FULLY_CONNECTED": 4}
    return net.model([inputs[0]], [place])


def test_a_classifier_becomes_float32_and_computes_nearly_the_same() -> None:
    model = small_int8()
    rebuilt = dequantize(model)
    assert types(rebuilt.model) == {schema.TensorType.FLOAT32, schema.TensorType.INT32}
    graph = unpack(rebuilt.model).subgraphs[0]
    names = [graph.tensors[index].name.decode() for index in (*graph.inputs, *graph.outputs)]
    before = unpack(model).subgraphs[0]
    assert names == [before.tensors[index].name.decode() for index in (*before.inputs, *before.outputs)]
    assert [finding.id for finding in rebuilt.findings] == ["EI151"]
    random = np.random.default_rng(3)
    for _ in range(20):
        pixels = random.integers(-128, 128, (1, 8, 8, 3), np.int8)
        real = (pixels.astype(np.float32) + 128) / np.float32(255)
        assert np.abs(run(model, pixels) - run(rebuilt.model, real)).max() < 0.06


def test_a_float_model_stays_what_it_is() -> None:
    rebuilt = dequantize(dequantize(small_int8()).model)
    assert rebuilt.model == dequantize(rebuilt.model).model
    assert (rebuilt.clamps, rebuilt.constants, rebuilt.input_range) == (0, 0, None)


def test_constants_are_exact() -> None:
    found = constants(dequantize(dense(([0.1], [0], 0))).model)
    weights = np.array([[127, -127, 5], [-1, 64, 127]]) * np.float64(np.float32(0.01))
    assert np.array_equal(found["original 1"], weights.astype(np.float32))
    scale = np.float64(np.float32(0.01 * UNIT[0][0]))
    assert np.array_equal(found["original 2"], (np.array([1000, -2000]) * scale).astype(np.float32))


@pytest.mark.parametrize("first", range(4))
def test_tensors_may_stand_in_any_order(first: int) -> None:
    """Each of input, weights, bias and output is the tensor 0 once."""
    net, places = Network(), dict[int, int]()
    for number in ((first + step) % 4 for step in range(4)):
        match number:
            case 0:
                places[0] = net.tensor((1, 3), np.int8, UNIT)
            case 1:
                places[1] = net.constant([[127, -127, 5], [-1, 64, 127]], np.int8, ([0.01], [0], 0))
            case 2:
                places[2] = net.constant([1000, -2000], np.int32, ([0.01 * UNIT[0][0]], [0], 0))
            case _:
                places[3] = net.tensor((1, 2), np.int8, ([0.1], [0], 0))
    net.call("FULLY_CONNECTED", [places[0], places[1], places[2]], [places[3]], table="FullyConnected")
    net.versions = {"FULLY_CONNECTED": 4}
    rebuilt = dequantize(net.model([places[0]], [places[3]])).model
    assert types(rebuilt) == {schema.TensorType.FLOAT32}
    usual = dequantize(dense(([0.1], [0], 0))).model
    pixels = np.array([[0.25, 0.5, 1]], np.float32)
    assert np.array_equal(run(rebuilt, pixels), run(usual, pixels))


def test_channels_have_their_own_scales() -> None:
    scales = [0.5, 0.25, 2.0]
    net = Network()
    weights = np.arange(-9, 9).reshape(1, 1, 6, 3)
    inputs = [
        net.tensor((1, 4, 6, 3), np.int8, UNIT),
        net.constant(weights, np.int8, (scales, [0, 0, 0], 3)),
        net.constant([4, 4, 4], np.int32, ([scale / 255 for scale in scales], [0] * 3, 0)),
    ]
    place = net.call(
        "DEPTHWISE_CONV_2D",
        inputs,
        [net.tensor((1, 4, 6, 3), np.int8, ([50.0], [0], 0))],
        **{"table": "DepthwiseConv2D", "padding": 0, "strideW": 1, "strideH": 1, "depthMultiplier": 1},  # noqa: PIE804
    )
    found = constants(dequantize(net.model([0], [place])).model)
    assert np.array_equal(found["original 1"], weights * np.array(scales, np.float32))
    assert np.allclose(found["original 2"], 4 * np.array(scales) / 255, rtol=1e-7)


@pytest.mark.parametrize(("own", "taken"), [(None, 1.0), ([0.01 / 255 * 1.01], 1.01), ([0.01 / 255 * 1.5], 1.0)])
def test_a_bias_has_its_own_scale_unless_the_kernels_would_refuse_it(own: list[float] | None, taken: float) -> None:
    model = unpack(dense(([0.1], [0], 0), bias=(own or [1.0], [0], 0)))
    if own is None:
        model.subgraphs[0].tensors[2].quantization = None
    bias = constants(dequantize(pack(model)).model)["original 2"]
    assert np.allclose(bias, np.array([1000, -2000]) * 0.01 / 255 * taken, rtol=1e-6)


@pytest.mark.parametrize(
    ("result", "activation", "expected", "fused"),
    [
        (([1.0], [0], 0), 0, ["MAXIMUM", "MINIMUM"], 0),  # -128 .. 127: nothing of the range is a ReLU
        (([6 / 255], [-128], 0), 0, [], 3),  # 0 .. 6: the range was a ReLU6
        (([5 / 255], [-128], 0), 0, ["MINIMUM"], 1),  # 0 .. 5: a ReLU, and a cut
        (([6 / 255], [-128], 0), 3, [], 3),
        (([5 / 255], [-128], 0), 3, ["MINIMUM"], 3),
        (([9 / 255], [-128], 0), 3, [], 3),  # 0 .. 9: goes further than the ReLU6
        (([9 / 255], [-128], 0), 1, ["MINIMUM"], 1),
        (([2 / 255], [-1], 0), 2, [], 2),  # -1 .. 1
        (([1 / 255], [-1], 0), 2, ["MAXIMUM", "MINIMUM"], 2),
    ],
)
def test_what_the_range_cuts_stays_cut(result: Scales, activation: int, expected: list[str], fused: int) -> None:
    rebuilt = dequantize(dense(result, activation=activation))
    assert operators(rebuilt.model) == ["FULLY_CONNECTED", *expected]
    assert rebuilt.clamps == len(expected)
    assert unpack(rebuilt.model).subgraphs[0].operators[0].builtinOptions.fusedActivationFunction == fused


_WINDOW = {"padding": 0, "strideW": 1, "strideH": 1}


@pytest.mark.parametrize(
    ("name", "table", "fuses"),
    [
        ("CONV_2D", "Conv2D", True),
        ("DEPTHWISE_CONV_2D", "DepthwiseConv2D", True),
        ("ADD", "Add", True),
        ("SUB", "Sub", True),
        ("MUL", "Mul", True),
        ("MAX_POOL_2D", "Pool2D", False),
    ],
)
def test_operators_that_cut_themselves(name: str, table: str, fuses: bool) -> None:
    """From -1 .. 1 into 0 .. 6."""
    net = Network()
    shape, wide = (1, 2, 2, 1), ([1 / 127], [0], 0)
    source = net.tensor(shape, np.int8, wide)
    options: dict[str, Any] = {}
    inputs = [source, source]
    if "CONV" in name:
        inputs = [source, net.constant([[[[127]]]], np.int8, ([0.1], [0], 0)), -1]
        options = _WINDOW | ({"depthMultiplier": 1} if name.startswith("DEPTH") else {})
    elif "POOL" in name:
        inputs, options = [source], _WINDOW | {"filterWidth": 1, "filterHeight": 1}
    result = ([6 / 255], [-128], 0) if fuses else wide
    place = net.call(name, inputs, [net.tensor(shape, np.int8, result)], **{"table": table} | options)
    rebuilt = dequantize(net.model([source], [place]))
    names = operators(rebuilt.model)
    call = unpack(rebuilt.model).subgraphs[0].operators[names.index(name)]
    fused = 0 if not fuses else 3 if "CONV" in name else 1  # what weights make of -1 .. 1 may be above 6
    assert call.builtinOptions.fusedActivationFunction == fused
    assert names == ["MAXIMUM", "MINIMUM", name, *(["MINIMUM"] if fused == 1 else [])]  # the first two cut the input


@pytest.mark.parametrize(
    ("scale", "zero", "is_cut"),
    [(1 / 255, -128, False), (1 / 256, -128, False), (0.00358, -128, True), (1.0, -128, True), (2 / 255, 0, True)],
)
def test_an_input_range_other_than_0_to_1_stays_as_a_cut(scale: float, zero: int, is_cut: bool) -> None:
    rebuilt = dequantize(dense(([10.0], [0], 0), source=([scale], [zero], 0)))
    names = operators(rebuilt.model)
    assert (names[:2] == ["MAXIMUM", "MINIMUM"]) is is_cut
    assert [finding.id for finding in rebuilt.findings] == (["EI151", "EI152"] if is_cut else ["EI151"])
    if is_cut:
        assert rebuilt.input_range == pytest.approx(((-128 - zero) * scale, (127 - zero) * scale))
        ends = [np.full((1, 3), end, np.float32) for end in rebuilt.input_range or ()]
        for end, beyond in zip(ends, (ends[0] - 1, ends[1] + 1), strict=True):
            assert np.array_equal(run(rebuilt.model, end), run(rebuilt.model, beyond))


def wrapped_image() -> bytes:
    """A dense layer over cells behind a saturating QUANTIZE, before a DEQUANTIZE."""
    net = Network()
    source = net.tensor((1, 8, 8, 3), np.float32)
    inner = net.call("QUANTIZE", [source], [net.tensor((1, 8, 8, 3), np.int8, ([0.00358], [-128], 0))])
    weights = net.constant(np.arange(-6, 6).reshape(4, 3), np.int8, ([0.1], [0], 0))
    bias = net.constant([3000, -3000, 100, 0], np.int32, ([0.000358], [0], 0))
    result = net.tensor((64, 4), np.int8, ([0.005], [-100], 0))
    net.call("FULLY_CONNECTED", [inner, weights, bias], [result], table="FullyConnected", fusedActivationFunction=1)
    end = net.call("DEQUANTIZE", [result], [net.tensor((64, 4), np.float32)])
    net.versions = {"FULLY_CONNECTED": 4, "DEQUANTIZE": 2}
    return net.model([source], [end])


def wrapped(scale: float = 1 / 255) -> bytes:
    """float32 -> QUANTIZE -> LOGISTIC -> DEQUANTIZE -> float32, as `int8-float-io` models have it."""
    net = Network()
    source = net.tensor((1, 4), np.float32)
    inner = net.call("QUANTIZE", [source], [net.tensor((1, 4), np.int8, ([scale], [-128], 0))])
    result = net.call("LOGISTIC", [inner], [net.tensor((1, 4), np.int8, ([1 / 256], [-128], 0))])
    end = net.call("DEQUANTIZE", [result], [net.tensor((1, 4), np.float32)])
    net.versions = {"LOGISTIC": 2, "DEQUANTIZE": 2}
    return net.model([source], [end])


def test_quantize_and_dequantize_go_and_names_stay() -> None:
    rebuilt = dequantize(wrapped()).model
    assert operators(rebuilt) == ["LOGISTIC"]
    graph = unpack(rebuilt).subgraphs[0]
    assert [graph.tensors[index].name for index in (*graph.inputs, *graph.outputs)] == [b"original 0", b"original 3"]
    values = np.array([[0, 0.25, 0.5, 1]], np.float32)
    assert np.abs(run(rebuilt, values) - run(wrapped(), values)).max() <= 1 / 256


def test_a_quantize_that_cuts_leaves_its_cut() -> None:
    rebuilt = dequantize(wrapped(0.5 / 255))
    assert operators(rebuilt.model) == ["MAXIMUM", "MINIMUM", "LOGISTIC"]
    assert rebuilt.input_range == pytest.approx((0, 0.5))


def test_a_requantization_leaves_only_what_it_cuts() -> None:
    net = Network()
    source = net.tensor((1, 4), np.int8, UNIT)
    wide = net.call("QUANTIZE", [source], [net.tensor((1, 4), np.int8, ([0.1], [0], 0))])
    narrow = net.call("QUANTIZE", [wide], [net.tensor((1, 4), np.int8, ([0.5 / 255], [-128], 0))])
    result = net.call("LOGISTIC", [narrow], [net.tensor((1, 4), np.int8, ([1 / 256], [-128], 0))])
    rebuilt = dequantize(net.model([source], [result])).model
    assert operators(rebuilt) == ["MINIMUM", "LOGISTIC"]


def test_weights_of_float16_and_of_int8_under_float_activations_are_folded() -> None:
    net = Network()
    source = net.tensor((1, 3), np.float32)
    half = net.constant([[1, 2, 3], [0.1, 0.2, 0.3]], np.float16)
    weights = net.call("DEQUANTIZE", [half], [net.tensor((2, 3), np.float32)])
    first = net.call("FULLY_CONNECTED", [source, weights, -1], [net.tensor((1, 2), np.float32)], table="FullyConnected")
    integers = net.constant([[1, 2], [3, -4]], np.int8, ([0.5], [0], 0))
    second = net.call(
        "FULLY_CONNECTED",
        [first, integers, -1],
        [net.tensor((1, 2), np.float32)],
        table="FullyConnected",
        asymmetricQuantizeInputs=True,
    )
    rebuilt = dequantize(net.model([source], [second]))
    assert operators(rebuilt.model) == ["FULLY_CONNECTED", "FULLY_CONNECTED"]
    assert types(rebuilt.model) == {schema.TensorType.FLOAT32}
    assert (rebuilt.constants, rebuilt.clamps) == (2, 0)
    values = np.array([[1, 0.5, -1]], np.float32)
    halves = np.array([[1, 2, 3], [0.1, 0.2, 0.3]], np.float16).astype(np.float32)
    assert np.allclose(run(rebuilt.model, values), values @ halves.T @ np.array([[0.5, 1], [1.5, -2]]).T, rtol=1e-5)


def test_a_dense_layer_over_cells_gets_its_reshape() -> None:
    net = Network()
    source = net.tensor((1, 2, 2, 3), np.int8, UNIT)
    weights = net.constant(np.ones((2, 3)), np.int8, ([0.01], [0], 0))
    place = net.call(
        "FULLY_CONNECTED",
        [source, weights, net.constant([100, 200], np.int32, ([0.01 / 255], [0], 0))],
        [net.tensor((4, 2), np.int8, ([0.001], [-100], 0))],
        table="FullyConnected",
    )
    net.versions = {"FULLY_CONNECTED": 4}
    model = net.model([source], [place])
    rebuilt = dequantize(model).model
    assert operators(rebuilt)[:2] == ["RESHAPE", "FULLY_CONNECTED"]
    pixels = np.arange(12, dtype=np.int8).reshape(1, 2, 2, 3)
    real = (pixels.astype(np.float32) + 128) / np.float32(255)
    assert np.abs(run(model, pixels) - run(rebuilt, real)).max() <= 0.0011


def test_metadata_and_orphans_go() -> None:
    root = unpack(small_int8())
    root.buffers.append(schema.BufferT(np.frombuffer(b"labels", np.uint8)))
    root.metadata = [schema.MetadataT(name="labels", buffer=len(root.buffers) - 1)]
    assert dequantize(pack(root)).model == dequantize(small_int8()).model


MOVING = (
    *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "STRIDED_SLICE", "SLICE", "GATHER", "GATHER_ND", "TILE"),
    *("REVERSE_V2", "UNPACK", "PACK", "SPLIT", "SPLIT_V", "PAD", "PADV2", "MIRROR_PAD", "CONCATENATION"),
    *("SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "RESIZE_NEAREST_NEIGHBOR"),
    *("BROADCAST_TO", "MAX_POOL_2D"),
)


@pytest.mark.parametrize("name", [*MOVING, "MEAN", "SQRT"])
def test_what_moves_values_is_neither_cut_nor_rounded_again(name: str) -> None:
    """Of the same scale. A mean lies between them and is rounded; a root is cut as well."""
    net = Network()
    source, first, second = (net.tensor((1, 4), np.int8, ([0.5], [10], 0)) for _ in range(3))
    net.call("ABS", [source], [first])
    net.call(name, [first], [second])
    net.call("LOGISTIC", [second], [net.tensor((1, 4), np.int8, ([1 / 256], [-128], 0))])
    model = net.model([source], [3])
    assert dequantize(model).clamps == (5 if name == "SQRT" else 3)
    assert dequantize(model, "every").rounded == (3 if name in MOVING else 4)
    views = name in {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE"}
    assert operators(dequantize(model, coded=True).model).count("QUANTIZE") == (3 if views else 4)


def refuse(model: bytes) -> str:
    with pytest.raises(UnsupportedModelError) as caught:
        dequantize(model)
    assert caught.value.hint == "export the float32 model from Edge Impulse and convert that"
    return caught.value.message


def test_what_has_no_float_counterpart_is_refused_by_name() -> None:
    for name in ("CAST", "BITCAST"):
        net = Network()
        source = net.tensor((1, 4), np.int8, UNIT)
        net.call(name, [source], [net.tensor((1, 4), np.int32)])
        assert refuse(net.model([0], [1])) == f"there is no float32 counterpart of a quantized {name}"

    net = Network()
    source = net.tensor((1, 4), np.int8, UNIT)
    net.custom("TreeEnsemble", [source], [net.tensor((1, 4), np.int8, UNIT)], b"")
    assert refuse(net.model([0], [1])) == "there is no float32 counterpart of a quantized TreeEnsemble"

    net = Network()
    source = net.tensor((1, 4), np.int8)
    net.call("LOGISTIC", [source], [net.tensor((1, 4), np.int8, UNIT)])
    assert refuse(net.model([0], [1])) == "the tensor original 0 is int8 and has no scale"

    net = Network()
    source = net.tensor((1, 4), np.int8, ([0.1] * 4, [0] * 4, 1))
    net.call("LOGISTIC", [source], [net.tensor((1, 4), np.int8, UNIT)])
    assert refuse(net.model([0], [1])) == "the tensor original 0 has no single scale"

    root = unpack(small_int8())
    root.subgraphs.append(root.subgraphs[0])
    assert refuse(pack(root)) == "this model has 2 subgraphs"

    root = unpack(small_int8())
    root.subgraphs[0].tensors[1].type = schema.TensorType.INT4
    assert refuse(pack(root)) == "the tensor original 1 is packed or sparse"

    root = unpack(small_int8())
    root.subgraphs[0].tensors[1].sparsity = schema.SparsityParametersT()
    assert refuse(pack(root)) == "the tensor original 1 is packed or sparse"

    root = unpack(small_int8())
    (dense,) = (
        call for call in root.subgraphs[0].operators if isinstance(call.builtinOptions, schema.FullyConnectedOptionsT)
    )
    dense.builtinOptions.weightsFormat = 1
    assert refuse(pack(root)) == "the weights of FULLY_CONNECTED are shuffled for one processor"


# One operator on inputs that are exact: what is left is the rounding of the output, by half a step, or a whole one
# where the kernel's fixed-point factor falls the other way. A missing cut, bias, activation or scale shows at once.


@st.composite
def single(draw: st.DrawFn) -> tuple[bytes, np.dtype[Any], Scales, float]:
    """A model of one operator, its input's type and scales, and its output's step."""
    dtype = np.dtype(draw(st.sampled_from([np.int8, np.uint8])))
    random = np.random.default_rng(draw(st.integers(0, 1 << 16)))
    name = draw(st.sampled_from(["FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "AVERAGE_POOL_2D", "MUL"]))
    low = -128 if dtype == np.int8 else 0
    span = draw(st.sampled_from([0.3, 1.0, 4.0, 12.0]))
    source: Scales = ([draw(st.sampled_from([1 / 255, 0.02]))], [low + draw(st.integers(0, 255))], 0)
    result: Scales = ([span / 255], [low + draw(st.sampled_from([0, 30, 128, 255]))], 0)
    net = Network()
    first = net.tensor((1, 2, 2, 4), dtype, source)
    activation = {"fusedActivationFunction": draw(st.integers(0, 3))}
    per_channel = dtype == np.int8 and draw(st.booleans())

    def weights(shape: tuple[int, ...], axis: int) -> tuple[int, int]:
        count = shape[axis] if per_channel else 1
        scales = random.uniform(0.002, 0.02, count).astype(np.float32)
        zero = [0] * count if dtype == np.int8 else [120]
        limits = (-127, 128) if dtype == np.int8 else (0, 256)
        values = net.constant(random.integers(*limits, shape), dtype, (scales.tolist(), zero, axis))
        products = [float(scale) * float(np.float32(source[0][0])) for scale in scales]
        bias = random.integers(-3000, 3000, shape[axis])
        return values, net.constant(bias, np.int32, (products, [0] * count, 0))

    window = {"padding": draw(st.integers(0, 1)), "strideW": 1, "strideH": 1}
    match name:
        case "FULLY_CONNECTED":
            assume(not per_channel)
            end = net.tensor((1, 3), dtype, result)
            net.call(name, [first, *weights((3, 16), 0)], [end], table="FullyConnected", **activation)
        case "CONV_2D":
            end = net.tensor((1, 2, 2, 3), dtype, result)
            net.call(name, [first, *weights((3, 1, 1, 4), 0)], [end], table="Conv2D", **window, **activation)
        case "DEPTHWISE_CONV_2D":
            end = net.tensor((1, 2, 2, 4), dtype, result)
            window = {**window, "padding": 0, "depthMultiplier": 1}
            net.call(name, [first, *weights((1, 2, 2, 4), 3)], [end], table="DepthwiseConv2D", **window, **activation)
        case "AVERAGE_POOL_2D":
            end = net.tensor((1, 1, 1, 4), dtype, source)
            result = source
            window = {**window, "padding": 1, "filterWidth": 2, "filterHeight": 2}
            net.call(name, [first], [end], table="Pool2D", **window, **activation)
        case _:
            end = net.tensor((1, 2, 2, 4), dtype, result)
            other = net.constant(random.integers(low, low + 256, (1, 2, 2, 4)), dtype, ([0.03], [low + 90], 0))
            net.call(name, [first, other], [end], table=name.capitalize(), **activation)
    if dtype == np.int8:
        net.versions = {name: {"FULLY_CONNECTED": 4, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3}.get(name, 2)}
    return net.model([first], [end]), dtype, source, result[0][0]


@examples(120, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(case=single(), seed=st.integers(0, 1 << 16))
def test_one_operator_differs_by_its_rounding_only(case: tuple[bytes, np.dtype[Any], Scales, float], seed: int) -> None:
    model, dtype, (scales, zeros, _), step = case
    rebuilt: Dequantized = dequantize(model)
    assert types(rebuilt.model) <= {schema.TensorType.FLOAT32, schema.TensorType.INT32}
    limits = np.iinfo(np.int8 if dtype == np.int8 else np.uint8)
    random = np.random.default_rng(seed)
    integers = random.integers(limits.min, limits.max, (1, 2, 2, 4), dtype, endpoint=True)
    real = ((integers.astype(np.float64) - zeros[0]) * np.float32(scales[0])).astype(np.float32)
    difference = np.abs(run(model, integers).ravel() - run(rebuilt.model, real).ravel())
    assert difference.max() <= 1.1 * step + 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [small_int8(), wrapped_image()], ids=["classifier", "between QUANTIZE and DEQUANTIZE"]
)
def test_the_rewriting_translates_to_onnx_that_computes_the_same(model: bytes) -> None:
    rebuilt = dequantize(model).model
    with Worker(PRELOAD) as worker:
        onnx = worker.call("convert.translate.worker:translate", rebuilt, (1, 8, 8, 3), 1, 13, timeout=120)
    session = load(onnx.data)
    for _, picture in pictures(20, 8, 8, 3):
        pixels = (picture.astype(np.float32) / np.float32(255))[np.newaxis]
        (result,) = session.run(None, {session.get_inputs()[0].name: pixels.transpose(0, 3, 1, 2)})
        assert np.abs(result.ravel() - run(rebuilt, pixels).ravel()).max() < 1e-5
