"""The soft rounding of the first layer: a staircase that is continuous, never falls, and rounds outside its ramps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.export.dequantize import SLOPE, dequantize, keep_steps
from convert.export.tflite import pack, unpack
from convert.isolation import Worker
from convert.translate import PRELOAD
from convert.validate.runtimes import load
from tests.examples import examples
from tests.export.eon.networks import Network, small_int8
from tests.export.test_dequantize import UNIT, dense, operators, run, wrapped_image

STAIRCASE = ["MUL", "ADD", "FLOOR", "SUB", "MUL", "MINIMUM", "ADD", "MUL"]


def staircase(values: Any, step: float) -> Any:
    """What the operators behind an activation make of `values`, in LiteRT."""
    net = Network()
    source = net.tensor((1, len(values)), np.float32)
    end = net.call("NEG", [source], [net.tensor((1, len(values)), np.float32)])
    root = unpack(net.model([source], [end]))
    root.subgraphs[0].operators = [call for _, call in keep_steps(root, _calls(root), [(end, step)])]
    for call, name in zip(root.subgraphs[0].operators, ["NEG", *STAIRCASE], strict=True):
        call.opcodeIndex = _code(root, name)
    return run(pack(root), -np.array([values], np.float32)).ravel()


def _calls(root: Any) -> list[tuple[str, Any]]:
    return [("NEG", call) for call in root.subgraphs[0].operators]


def _code(root: Any, name: str) -> int:
    from ai_edge_litert import schema_py_generated as schema  # beside its only use

    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
    code.version = 1
    root.operatorCodes.append(code)
    return len(root.operatorCodes) - 1


@examples(60)
@given(
    units=st.lists(st.integers(-40_000, 300_000).map(lambda number: number / 1000), min_size=1, max_size=40),
    step=st.sampled_from([3e-5, 1 / 255, 0.0235, 1.0, 7.7, 48.0]),
)
def test_it_is_continuous_never_falls_and_rounds_outside_its_ramps(units: list[float], step: float) -> None:
    places = np.sort(np.array(units, np.float64))
    near = places + 1e-3
    found = staircase(np.concatenate([places, near]) * step, step) / step
    first, second = found[: len(places)], found[len(places) :]
    slack = 2e-4  # of single precision at 300 steps, times the slope
    assert (np.diff(first) >= -slack).all()
    assert (second - first <= 1e-3 * SLOPE + slack).all()
    assert (second - first >= -slack).all()
    away = np.abs(places - np.floor(places) - 0.5) > 0.5 / SLOPE + slack
    assert np.abs(first - np.round(places))[away].max(initial=0) < slack
    assert np.abs(first - places).max() <= 0.5 + slack


def test_it_has_the_ends_of_a_range_and_the_middle_of_ramps() -> None:
    found = staircase([0, 0.375 / 255, 0.5 / 255, 0.625 / 255, 1.0], 1 / 255) * 255
    assert np.allclose(found, [0, 0, 0.5, 1, 255], atol=1e-4)


def test_only_the_first_layer_is_rounded() -> None:
    model = small_int8()
    plain, kept = dequantize(model), dequantize(model, "first")
    assert (plain.rounded, kept.rounded) == (0, 1)
    first, *others = operators(plain.model)
    assert first == "CONV_2D"
    assert operators(kept.model) == [first, *STAIRCASE, *others]
    assert (kept.clamps, kept.constants, kept.findings) == (plain.clamps, plain.constants, plain.findings)


def test_what_is_cut_is_cut_before_it_is_rounded() -> None:
    kept = dequantize(dense(([5 / 255], [-128], 0)), "first")
    assert operators(kept.model) == ["FULLY_CONNECTED", "MINIMUM", *STAIRCASE]
    graph = unpack(kept.model).subgraphs[0]
    assert graph.tensors[graph.outputs[0]].name == unpack(dense(([1.0], [0], 0))).subgraphs[0].tensors[3].name
    values = np.array([[10.0, 0.0, 0.2]], np.float32)
    assert np.allclose(run(kept.model, values), [[5, 4 * 5 / 255]], atol=1e-5)
    assert np.allclose(run(dequantize(dense(([5 / 255], [-128], 0))).model, values), [[5, 0.0755686]], atol=1e-5)


def test_what_normalises_the_input_is_rounded_too_and_what_moves_it_is_not() -> None:
    net = Network()
    source = net.tensor((1, 3), np.float32)
    inner = net.call("QUANTIZE", [source], [net.tensor((1, 3), np.int8, UNIT)])
    factor = net.constant([2.0, 3.0, 4.0], np.float32)
    scaled = net.call("MUL", [inner, factor], [net.tensor((1, 3), np.int8, ([4 / 255], [-128], 0))], table="Mul")
    row = net.call("RESHAPE", [scaled, net.constant([1, 3])], [net.tensor((1, 3), np.int8, ([4 / 255], [-128], 0))])
    weights = net.constant([[1, 2, 3]], np.int8, ([0.01], [0], 0))
    end = net.tensor((1, 1), np.int8, ([0.1], [0], 0))
    net.call("FULLY_CONNECTED", [row, weights, -1], [end], table="FullyConnected")
    result = net.call("LOGISTIC", [end], [net.tensor((1, 1), np.int8, ([1 / 256], [-128], 0))])
    kept = dequantize(net.model([source], [result]), "first")
    assert kept.rounded == 2
    names = [name for name in operators(kept.model) if name not in {"MAXIMUM", "MINIMUM"}]
    stairs = [name for name in STAIRCASE if name != "MINIMUM"]
    assert names == ["MUL", *stairs, "RESHAPE", "FULLY_CONNECTED", *stairs, "LOGISTIC"]


def test_without_a_quantized_layer_there_is_nothing_to_round() -> None:
    float_model = dequantize(small_int8()).model
    net = Network()
    source = net.tensor((1, 4), np.int8, UNIT)
    net.call("LOGISTIC", [source], [net.tensor((1, 4), np.int8, ([1 / 256], [-128], 0))])
    for model in (float_model, net.model([0], [1])):
        kept = dequantize(model, "first")
        assert kept.rounded == 0
        assert kept.model == dequantize(model).model


def test_the_same_bytes_every_time() -> None:
    assert dequantize(small_int8(), "first").model == dequantize(small_int8(), "first").model


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [small_int8(), wrapped_image()], ids=["classifier", "between QUANTIZE and DEQUANTIZE"]
)
def test_it_translates_to_onnx_that_computes_the_same(model: bytes) -> None:
    rebuilt = dequantize(model, "first").model
    with Worker(PRELOAD) as worker:
        onnx = worker.call("convert.translate.worker:translate", rebuilt, (1, 8, 8, 3), 1, 13, timeout=120)
    session = load(onnx.data)
    random = np.random.default_rng(5)
    for _ in range(20):
        pixels = random.random((1, 8, 8, 3), np.float32)
        (result,) = session.run(None, {session.get_inputs()[0].name: pixels.transpose(0, 3, 1, 2)})
        assert np.abs(result.ravel() - run(rebuilt, pixels).ravel()).max() < 1e-5


def test_with_every_rounding_a_network_gives_what_its_integers_give() -> None:
    random, net = np.random.default_rng(5), Network()
    source = last = net.tensor((1, 10), np.int8, ([0.05], [3], 0))
    for _ in range(4):
        weights = net.constant(random.integers(-127, 128, (10, 10)), np.int8, ([0.0041], [0], 0))
        last = net.call(
            "FULLY_CONNECTED",
            [last, weights, -1],
            [net.tensor((1, 10), np.int8, ([0.053], [-7], 0))],
            table="FullyConnected",
        )
    model = net.model([source], [last])
    stepped = dequantize(model, "every")
    assert stepped.rounded == 5, "with the input, whose codes stand for other values than pixels have"
    codes = random.integers(-128, 128, (50, 1, 10)).astype(np.int8)
    between = random.uniform(-0.49, 0.49, codes.shape)
    fed = ((codes + between - 3) * 0.05).astype(np.float32)
    wanted = np.stack([run(model, one) for one in codes])
    plain, kept = (
        np.abs(np.stack([run(each.model, one) for one in fed]) - wanted) for each in (dequantize(model), stepped)
    )
    assert kept.max() < 1.01 * 0.053
    assert (kept > 1e-4).mean() < 0.05, "LiteRT's integer arithmetic rounds twice"
    assert (plain > 1e-4).mean() > 0.9


@pytest.mark.parametrize(
    ("channels", "step", "rounded"),
    [
        pytest.param(3, 1 / 255, 0, id="a code for each level"), pytest.param(1, 1 / 255, 1, id="a luma has fractions"),
        pytest.param(3, 1.0, 0, id="fed with levels"), pytest.param(3, 1 / 256, 1, id="levels between codes"),
        pytest.param(3, 2 / 255, 1, id="two levels a code"),
    ],
)  # fmt: skip
def test_an_input_is_rounded_where_pixels_come_between_its_codes(channels: int, step: float, rounded: int) -> None:
    net = Network()
    shape = (1, 2, 2, channels)
    source = net.tensor(shape, np.int8, ([step], [-128], 0))
    end = net.call("RESHAPE", [source, net.constant(shape)], [net.tensor(shape, np.int8, ([step], [-128], 0))])
    done = dequantize(net.model([source], [end]), "every")
    assert done.rounded == rounded
    levels = np.linspace(0, 250, 4 * channels, dtype=np.float32).reshape(shape) / np.float32(1 if step == 1 else 255)
    wanted = np.floor(levels / step + 0.5) * step if rounded else levels
    assert np.allclose(run(done.model, levels), wanted, atol=1e-6)
