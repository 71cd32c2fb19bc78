"""Networks of 8-bit codes without zero points: operators against integer arithmetic, or their form with zero points."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from convert.errors import PresetError, UnsupportedModelError
from convert.graph.cleanup import clean
from convert.graph.quantized import is_plain, layers, outputs_axis, pads_of, pair_codes, products, shift, weight_codes
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_SCALES = st.floats(2**-8, 2**-3)
_ZEROS = st.integers(-128, 127)


class _Network:
    """Nodes from x [1,4,h,w], by default 6x5, to y, both float32."""

    def __init__(self, *size: int) -> None:
        self.shape = (1, 4, *(size or (6, 5)))
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def coded(self, name: str, scale: float, zero: int) -> str:
        both = self.constant(scale), self.constant(zero, np.int8)
        return self.add("DequantizeLinear", self.add("QuantizeLinear", name, *both), *both)

    def model(self, output: str, opset: int = 13) -> onnx.ModelProto:
        self.nodes.append(helper.make_node("Identity", [output], ["y"]))
        graph = helper.make_graph(
            self.nodes,
            "codes",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
        return onnx.shape_inference.infer_shapes(model)


def _run(model: onnx.ModelProto, values: NDArray[np.float32]) -> NDArray[np.float32]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"x": values})
    return np.asarray(result)


def _shifted(model: onnx.ModelProto, *, pads: bool = True) -> onnx.ModelProto:
    """The model without zero points; every one is looked at."""
    made = clean(shift(pair_codes(clean(model)), pads=pads))
    onnx.checker.check_model(made, full_check=True)
    known = {each.name: numpy_helper.to_array(each) for each in made.graph.initializer}
    for node in made.graph.node:
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            assert not known[node.input[2]].any()
    return made


def _codes(values: NDArray[np.float32], scale: float, zero: int) -> NDArray[np.int64]:
    """As QuantizeLinear, but for ties."""
    codes: NDArray[np.float64] = np.rint(values.astype(np.float64) / np.float32(scale)) + zero
    return np.clip(codes, -128, 127).astype(np.int64)


def _integer_convolution(
    codes: NDArray[np.int64], weights: NDArray[np.int64], pads: list[int], strides: list[int], dilations: list[int]
) -> NDArray[np.int64]:
    """Sums of products of [1,C,H,W] and [O,C/g,h,w] with zeros around."""
    groups = codes.shape[1] // weights.shape[1]
    around = np.pad(codes, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    high, wide = (
        (around.shape[2 + axis] - dilations[axis] * (weights.shape[2 + axis] - 1) - 1) // strides[axis] + 1
        for axis in (0, 1)
    )
    result = np.zeros((1, len(weights), high, wide), np.int64)
    for output, kernel in enumerate(weights):
        group = output * groups // len(weights)
        part = around[0, group * kernel.shape[0] : (group + 1) * kernel.shape[0]]
        for y in range(high):
            for x in range(wide):
                top, left = y * strides[0], x * strides[1]
                rows = top + dilations[0] * np.arange(kernel.shape[1])
                columns = left + dilations[1] * np.arange(kernel.shape[2])
                result[0, output, y, x] = (part[:, rows][:, :, columns] * kernel).sum()
    return result


@given(
    scales=st.tuples(_SCALES, st.floats(2**-4, 1)),
    zeros=st.tuples(_ZEROS, _ZEROS),
    limits=st.sampled_from([None, "Relu", (0.0, 6.0), (-1.0, 1.0), (0.5, 2.0)]),
    pads=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    strides=st.tuples(st.integers(1, 2), st.integers(1, 3)),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
    any_pads=st.booleans(),
    seed=st.integers(0, 999),
)
def test_a_convolution_gives_the_codes_of_integer_arithmetic(  # noqa: PLR0917 - hypothesis names them
    scales: tuple[float, float],
    zeros: tuple[int, int],
    limits: Any,
    pads: list[int],
    strides: tuple[int, int],
    dilation: int,
    groups: int,
    any_pads: bool,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    weights = random.integers(-127, 128, (8, 4 // groups, 3, 2))
    of_weights = random.uniform(2**-10, 2**-8, 8).astype(np.float32)
    bias = random.integers(-3000, 3000, 8)
    sx, sy = (float(np.float32(each)) for each in scales)
    net = _Network()
    name = net.add(
        "Conv",
        net.coded("x", sx, zeros[0]),
        net.constant(weights * of_weights.reshape(-1, 1, 1, 1)),
        net.constant(bias * sx * of_weights.astype(np.float64)),
        pads=pads, strides=list(strides), dilations=[dilation, dilation], group=groups,
    )  # fmt: skip
    if limits == "Relu":
        name = net.add("Relu", name)
    elif limits:
        name = net.add("Clip", name, net.constant(limits[0]), net.constant(limits[1]))
    made = _shifted(net.model(net.coded(name, sy, zeros[1])), pads=any_pads)
    assert layers(made).share == 1
    picture = random.uniform(-128 * sx, 127 * sx, (1, 4, 6, 5)).astype(np.float32)
    real = _integer_convolution(
        _codes(picture, sx, zeros[0]) - zeros[0], weights, pads, list(strides), [dilation, dilation]
    )
    exact = (real + bias.reshape(1, -1, 1, 1)) * (sx * of_weights.astype(np.float64)).reshape(1, -1, 1, 1)
    low, high = (0, np.inf) if limits == "Relu" else limits or (-np.inf, np.inf)
    steps = np.clip(exact, low, high) / sy
    wanted = np.clip(np.rint(steps) + zeros[1], -128, 127) - zeros[1]
    found = _run(made, picture) / sy
    clear = np.abs(steps - np.floor(steps) - 0.5) > 1e-2  # float32 sums move what is next to a tie
    assert clear.mean() > 0.8 or limits
    np.testing.assert_allclose(found[clear], wanted[clear], atol=1e-2)


@given(codes=st.lists(st.integers(-127, 127), min_size=1, max_size=40), scale=st.floats(1e-6, 10))
def test_weights_are_codes_again(codes: list[int], scale: float) -> None:
    values = (np.array([codes, [127] * len(codes), [0] * len(codes)]) * np.float32(scale)).astype(np.float32)
    found = weight_codes(values, 0)
    assert found is not None
    np.testing.assert_allclose(found[0] * found[1].reshape(-1, 1), values, rtol=1e-6)
    assert found[1][2] == 1, "of zeros alone"
    assert weight_codes(values.T.copy(), 1) is not None


def test_numbers_that_are_no_codes_stay() -> None:
    assert weight_codes(np.random.default_rng(0).normal(size=(1, 400)).astype(np.float32), 0) is None


def _layer(net: _Network, name: str) -> str:
    """A convolution, so that there is one."""
    weights = np.random.default_rng(1).integers(-127, 128, (4, 4, 1, 1)) * np.float32(0.004)
    return net.add("Conv", name, net.constant(weights), net.constant(np.full(4, 0.3)))


def _add(net: _Network, x: str) -> str:
    return net.add("Add", x, net.coded(_layer(net, x), 0.03, 17))


def _add_relu(net: _Network, x: str) -> str:
    return net.add("Relu", _add(net, x))


def _gate(net: _Network, x: str) -> str:
    squeezed = net.coded(net.add("GlobalAveragePool", x), 0.01, 3)
    return net.add("Mul", x, net.coded(net.add("Sigmoid", net.coded(_layer(net, squeezed), 0.02, -9)), 1 / 256, -128))


def _transposed(net: _Network, x: str) -> str:
    weights = np.random.default_rng(2).integers(-127, 128, (4, 3, 3, 3)) * np.float32(0.002)
    return net.add("ConvTranspose", x, net.constant(weights), strides=[2, 2], pads=[1, 0, 1, 1])


def _dense(net: _Network, x: str) -> str:
    weights = np.random.default_rng(3).integers(-127, 128, (120, 7)) * np.float32(0.002)
    return net.add("Gemm", net.add("Flatten", x), net.constant(weights), net.constant(np.arange(7) * 0.1))


def _rows(net: _Network, x: str) -> str:
    weights = np.random.default_rng(4).integers(-127, 128, (5, 3)) * np.float32(0.005)
    return net.add("Add", net.add("MatMul", x, net.constant(weights)), net.constant([0.1, 0.2, 0.3]))


def _levels(net: _Network, x: str, columns: int) -> str:
    """Two maps of an SSD as rows of candidates, one behind the other, with the same codes."""
    rows = []
    for level in (x, net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])):
        weights = np.random.default_rng(columns).integers(-127, 128, (columns, 4, 1, 1)) * np.float32(0.004)
        turned = net.add(
            "Transpose", net.coded(net.add("Conv", level, net.constant(weights)), 0.02, 7), perm=[0, 2, 3, 1]
        )
        rows.append(net.add("Reshape", turned, net.constant([1, -1, columns], np.int64)))
    return net.coded(net.add("Concat", *rows, axis=1), 0.02, 7)


def _ssd(net: _Network, x: str) -> str:
    scores = net.coded(net.add("Sigmoid", _levels(net, x, 3)), 1 / 256, -128)
    return net.add("Concat", _levels(net, x, 4), scores, axis=2)


def _yolo(net: _Network, x: str) -> str:
    """Rows of candidates: place and size from a sigmoid, in pixels, beside the scores."""
    rows = net.coded(net.add("Sigmoid", _levels(net, x, 6)), 1 / 256, -128)
    parts = [
        net.add("Slice", rows, *(net.constant(each, np.int64) for each in ([low], [high], [2])))
        for low, high in ((0, 4), (4, 6))
    ]
    boxes = net.coded(net.add("Mul", parts[0], net.constant([2.0, 2.0, 1.5, 3.0])), 0.016, -60)
    return net.add("Concat", boxes, parts[1], axis=2)


_OTHERS: dict[str, tuple[Any, int, set[str]]] = {
    # how y follows of x; nodes between codes; what computes in float
    "add": (_add, 2, set()),
    "add_relu": (_add_relu, 3, set()),
    "gate": (_gate, 2, {"Mul", "Sigmoid"}),
    "transposed": (_transposed, 1, set()),
    "dense": (_dense, 2, set()),
    "rows": (_rows, 1, set()),
    "concat": (lambda net, x: net.add("Concat", x, net.coded(_layer(net, x), 0.02, 5), axis=1), 2, set()),
    "joined": (lambda net, x: net.add("Concat", x, _layer(net, x), axis=1), 2, set()),
    "max_pool": (lambda net, x: net.add("MaxPool", x, kernel_shape=[2, 2], pads=[1, 0, 0, 1]), 1, set()),
    "average": (lambda net, x: net.add("AveragePool", x, kernel_shape=[2, 3], pads=[0, 1, 0, 1]), 1, set()),
    "average_with_pads": (
        lambda net, x: net.add("AveragePool", x, kernel_shape=[2, 3], pads=[0, 1, 0, 1], count_include_pad=1),
        1,
        set(),
    ),
    "mean": (lambda net, x: net.add("ReduceMean", x, axes=[2, 3], keepdims=0), 1, set()),
    "pad": (lambda net, x: net.add("Pad", x, net.constant([0, 0, 1, 2, 0, 0, 0, 1], np.int64)), 1, set()),
    "pad_other": (
        lambda net, x: net.add("Pad", x, net.constant([0, 0, 1, 2, 0, 0, 0, 1], np.int64), net.constant(0.25)),
        1,
        set(),
    ),
    "resize": (lambda net, x: net.add("Resize", x, "", net.constant([1, 1, 2, 2]), mode="linear"), 1, set()),
    "softmax": (lambda net, x: net.add("Softmax", x, axis=1), 0, {"Softmax"}),
    "sub": (lambda net, x: net.add("Sub", net.coded(_layer(net, x), 0.02, 5), x), 2, set()),
    "leaky": (lambda net, x: net.add("LeakyRelu", x, alpha=0.1), 0, {"LeakyRelu"}),
    "ssd": (_ssd, 17, {"Sigmoid"}),
    "yolo": (_yolo, 11, {"Mul", "Sigmoid"}),
    "blocks": (lambda net, x: net.add("SpaceToDepth", net.add("DepthToSpace", x, blocksize=2), blocksize=2), 2, set()),
    "repeated": (lambda net, x: net.add("Tile", x, net.constant([1, 1, 2, 3], np.int64)), 1, set()),
    "greatest": (
        lambda net, x: net.add("Expand", net.add("GlobalMaxPool", x), net.constant([1, 4, 2, 3], np.int64)),
        2,
        set(),
    ),
    "greatest_and_least": (
        lambda net, x: net.add("ReduceMin", net.add("ReduceMax", x, axes=[1]), axes=[2], keepdims=0),
        2,
        set(),
    ),
    "picked": (lambda net, x: net.add("Gather", x, net.constant([2, 0], np.int64), axis=1), 1, set()),
    "narrower": (
        lambda net, x: net.add(
            "Unsqueeze", net.add("Squeeze", x, net.constant([0], np.int64)), net.constant([0], np.int64)
        ),
        2,
        set(),
    ),
    "halves": (lambda net, x: net.add("Sub", *_halves(net, x)), 2, set()),
    "global_average": (lambda net, x: net.add("GlobalAveragePool", x), 1, set()),
    "log_softmax": (lambda net, x: net.add("LogSoftmax", x, axis=1), 0, {"LogSoftmax"}),
    "moved": (lambda net, x: net.add("Transpose", net.add("Slice", x, *_limits(net)), perm=[0, 2, 3, 1]), 2, set()),
}


def _halves(net: _Network, x: str) -> list[str]:
    first = net.add("Split", x, axis=1)
    net.nodes[-1].output.append(f"{first}b")
    return [first, f"{first}b"]


def _limits(net: _Network) -> list[str]:
    return [net.constant(each, np.int64) for each in ([1], [5], [2])]


@pytest.mark.parametrize("name", _OTHERS)
@pytest.mark.parametrize("pads", [True, False])
def test_operators_give_what_they_gave_with_zero_points(name: str, pads: bool) -> None:
    make, count, in_float = _OTHERS[name]
    net = _Network()
    coded = net.coded("x", 0.02, -37)
    kept = net.coded(_layer(net, coded), 0.02, 11)
    before = net.model(net.coded(make(net, kept), 0.017, 23))
    picture = np.random.default_rng(5).uniform(-2, 3, (3, 1, 4, 6, 5)).astype(np.float32)
    wanted = np.stack([_run(before, each) for each in picture])
    made = _shifted(before, pads=pads)
    found = np.stack([_run(made, each) for each in picture])
    assert np.ptp(wanted) > 0.1, "the same for every input proves nothing"
    steps = np.abs(found - wanted) / 0.017
    assert steps.max() < 1.01
    assert (steps > 0.01).mean() < 0.05, "more than ties"
    what = layers(made)
    assert what.share == 1
    assert set(what.other) == in_float
    assert sum(what.int8.values()) == 1 + count


_Real: TypeAlias = "NDArray[np.float64]"


def _pooled(values: _Real, size: tuple[int, int], pads: tuple[int, int, int, int], mix: Any) -> _Real:
    """Windows of [1,C,h,w] mixed along the last axis, of which what lies outside is NaN."""
    around = np.pad(values, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(around, size, axis=(2, 3))
    mixed: _Real = mix(windows.reshape(*windows.shape[:4], -1), axis=-1)
    return mixed


def _spread(values: _Real) -> _Real:
    """A transposed convolution with `_KERNEL`, strides of 2 and pads of 1 at the top, 0 left, 1 and 1 behind."""
    _, _, high, wide = values.shape
    result = np.zeros((1, 3, 2 * high + 1, 2 * wide + 1))
    for y in range(high):
        for x in range(wide):
            result[0, :, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3] += np.tensordot(values[0, :, y, x], _KERNEL, 1)
    return result[:, :, 1:-1, :-1]


def _drawn(seed: int, *shape: int) -> NDArray[np.float32]:
    codes: NDArray[np.float32] = np.random.default_rng(seed).integers(-127, 128, shape) * np.float32(0.004)
    return codes


_KERNEL, _DENSE, _ROWS = _drawn(1, 2, 3, 3, 3), _drawn(2, 40, 5), _drawn(3, 5, 3)
_AROUND = [0, 0, 1, 2, 0, 0, 0, 1]


def _sides(values: _Real, number: float) -> _Real:
    return np.pad(values, ((0, 0), (0, 0), (1, 0), (2, 1)), constant_values=number)


_EXACT: dict[str, tuple[Callable[[_Network, str, str], str], Callable[[_Real, _Real], _Real]]] = {
    # nodes of two maps [1,2,4,5] with codes of their own, and the same in real numbers
    "add": (lambda net, a, b: net.add("Add", a, b), np.add),
    "sub": (lambda net, a, b: net.add("Sub", a, b), np.subtract),
    "mul": (lambda net, a, b: net.add("Mul", a, b), np.multiply),
    "concat": (lambda net, a, b: net.add("Concat", a, b, axis=1), lambda a, b: np.concatenate([a, b], 1)),
    "concat_wide": (lambda net, a, b: net.add("Concat", b, a, axis=3), lambda a, b: np.concatenate([b, a], 3)),
    "max_pool": (
        lambda net, a, _: net.add("MaxPool", a, kernel_shape=[2, 3], pads=[1, 0, 0, 2]),
        lambda a, _: _pooled(a, (2, 3), (1, 0, 0, 2), np.nanmax),
    ),
    "average": (
        lambda net, a, _: net.add("AveragePool", a, kernel_shape=[3, 2], pads=[1, 1, 1, 0]),
        lambda a, _: _pooled(a, (3, 2), (1, 1, 1, 0), np.nanmean),
    ),
    "mean": (lambda net, a, _: net.add("GlobalAveragePool", a), lambda a, _: a.mean((2, 3), keepdims=True)),
    "pad": (lambda net, a, _: net.add("Pad", a, net.constant(_AROUND, np.int64)), lambda a, _: _sides(a, 0)),
    "pad_other": (
        lambda net, a, _: net.add("Pad", a, net.constant(_AROUND, np.int64), net.constant(0.25)),
        lambda a, _: _sides(a, 0.25),
    ),
    "resize": (
        lambda net, a, _: net.add("Resize", a, "", net.constant([1, 1, 2, 3]), mode="nearest", nearest_mode="floor",
                                  coordinate_transformation_mode="asymmetric"),
        lambda a, _: a.repeat(2, 2).repeat(3, 3),
    ),
    "turned": (lambda net, a, _: net.add("Transpose", a, perm=[0, 1, 3, 2]), lambda a, _: a.transpose(0, 1, 3, 2)),
    "softmax": (
        lambda net, a, _: net.add("Softmax", a, axis=1),
        lambda a, _: np.exp(a - a.max(1)) / np.exp(a - a.max(1)).sum(1),
    ),
    "sigmoid": (lambda net, a, _: net.add("Sigmoid", a), lambda a, _: 1 / (1 + np.exp(-a))),
    "transposed": (
        lambda net, a, _: net.add("ConvTranspose", a, net.constant(_KERNEL), strides=[2, 2], pads=[1, 0, 1, 1]),
        lambda a, _: _spread(a),
    ),
    "dense": (
        lambda net, a, _: net.add("Reshape", net.add("Gemm", net.add("Flatten", a), net.constant(_DENSE), net.constant(
            np.arange(5) * 0.1)), net.constant([1, 1, 1, 5], np.int64)),
        lambda a, _: (a.reshape(1, 40) @ _DENSE + np.float32(np.arange(5) * 0.1)).reshape(1, 1, 1, 5),
    ),
    "rows": (lambda net, a, _: net.add("MatMul", a, net.constant(_ROWS)), lambda a, _: a @ _ROWS),
}  # fmt: skip


@pytest.mark.parametrize("name", _EXACT)
@examples(15)
@given(
    scales=st.tuples(_SCALES, _SCALES, st.floats(2**-8, 2**-1)),
    zeros=st.tuples(_ZEROS, _ZEROS, _ZEROS),
    limits=st.sampled_from([None, "Relu", (0.0, 6.0), (-0.5, 0.25)]),
    pads=st.booleans(),
    seed=st.integers(0, 999),
)
def test_operators_give_the_codes_of_exact_arithmetic(
    name: str, scales: tuple[float, ...], zeros: tuple[int, ...], limits: Any, pads: bool, seed: int
) -> None:
    """Of the real numbers that its input's codes stand for, saturating or not, up to ties."""
    make, exact = _EXACT[name]
    steps = [float(np.float32(each)) for each in scales]
    random = np.random.default_rng(seed)
    net, parts = _Network(4, 5), []
    values: list[_Real] = []
    for number, (step, zero) in enumerate(zip(steps[:2], zeros[:2], strict=True)):
        bounds = (net.constant(each, np.int64) for each in ([2 * number], [2 * number + 2], [1]))
        parts.append(net.coded(net.add("Slice", "x", *bounds), step, zero))
        values.append((random.integers(-128, 128, (1, 2, 4, 5)) - zero).astype(np.float64) * step)
    made, real = make(net, parts[0], parts[1]), exact(values[0], values[1])
    if limits:
        low, high = (0.0, np.inf) if limits == "Relu" else limits
        bounds = (net.constant(each) for each in (low, high))
        made, real = (
            net.add("Relu", made) if limits == "Relu" else net.add("Clip", made, *bounds),
            np.clip(real, low, high),
        )
    same = np.eye(real.shape[1], dtype=np.float32)[:, :, np.newaxis, np.newaxis]  # a layer that changes nothing
    made = net.add("Conv", net.coded(made, steps[2], zeros[2]), net.constant(same))
    found = _run(_shifted(net.model(made), pads=pads), np.concatenate(values, 1).astype(np.float32)) / steps[2]
    wanted = np.clip(np.rint(real / steps[2]) + zeros[2], -128, 127) - zeros[2]
    clear = np.abs(real / steps[2] - np.floor(real / steps[2]) - 0.5) > 1e-2
    np.testing.assert_allclose(found[clear], wanted[clear], atol=1e-2)


def _doubled(values: _Real) -> _Real:
    """16 times the bilinear interpolation of [1,C,h,w] at twice the size, whole where `values` are."""
    for axis in (2, 3):
        around = np.pad(values, [(0, 0)] * axis + [(1, 1)] + [(0, 0)] * (3 - axis), mode="edge")
        before, here, behind = (around.take(range(at, at + values.shape[axis]), axis) for at in range(3))
        values = np.stack([3 * here + before, 3 * here + behind], axis + 1).reshape(
            *(size * (1 + (at == axis)) for at, size in enumerate(values.shape))
        )
    return values


@pytest.mark.parametrize("operator", ["AveragePool", "Resize"])
@given(step=_SCALES, zero=_ZEROS, seed=st.integers(0, 999))
def test_averages_in_the_middle_of_two_codes_are_rounded_as_tflite_rounds_them(
    operator: str, step: float, zero: int, seed: int
) -> None:
    """Whatever the zero point: of a pool away from code 0, of a Resize up; (sum + n / 2) / n of whole numbers."""
    codes = np.random.default_rng(seed).integers(-128, 128, (1, 4, 6, 5))
    step = float(np.float32(step))
    net = _Network()
    given_codes = net.coded("x", step, zero)
    if operator == "Resize":
        made = net.add("Resize", given_codes, "", net.constant([1, 1, 2, 2]), mode="linear")
        wanted = (_doubled(codes.astype(np.float64)) + 8) // 16
    else:
        made = net.add("AveragePool", given_codes, kernel_shape=[2, 2])
        sums = _pooled(codes.astype(np.float64), (2, 2), (0, 0, 0, 0), np.sum)
        wanted = np.sign(sums) * ((np.abs(sums) + 2) // 4)
    same = np.eye(4, dtype=np.float32)[:, :, np.newaxis, np.newaxis]
    shifted = _shifted(net.model(net.add("Conv", net.coded(made, step, zero), net.constant(same))))
    found = np.rint(_run(shifted, ((codes - zero) * step).astype(np.float32)) / step) + zero
    np.testing.assert_array_equal(found, wanted)


def test_what_brings_frames_to_the_model_is_no_part_of_the_count() -> None:
    net = _Network()
    front = net.add("Relu", net.add("Mul", "x", net.constant(0.5)))
    kept = net.coded(_layer(net, net.coded(front, 0.02, 3)), 0.02, 11)
    what = layers(_shifted(net.model(net.coded(net.add("Sigmoid", kept), 1 / 256, -128))))
    assert (what.int8, what.other) == ({"Conv": 1}, {"Sigmoid": 1})


def test_a_layer_whose_weights_are_no_codes_computes_with_real_numbers() -> None:
    net = _Network()
    weights = np.random.default_rng(0).normal(size=(4, 4, 5, 5)).astype(np.float32)
    kept = net.add("Conv", net.coded("x", 0.02, 0), net.constant(weights), pads=[2, 2, 2, 2])
    what = layers(_shifted(net.model(net.coded(_layer(net, net.coded(kept, 0.1, 3)), 0.05, 2))))
    assert (what.int8, what.other) == ({"Conv": 1}, {"Conv": 1})
    assert what.share == 1 / 26, "of 5 x 5 and 1 multiplications for each value"


def test_limits_that_the_quantizer_has_go() -> None:
    net = _Network()
    relu6 = net.add("Clip", _layer(net, net.coded("x", 0.02, 3)), net.constant(0.0), net.constant(6.0))
    made = _shifted(net.model(net.coded(relu6, 6 / 255, -128)))
    assert "Clip" not in {node.op_type for node in made.graph.node}


def test_a_model_without_codes_is_refused() -> None:
    net = _Network()
    with pytest.raises(UnsupportedModelError, match=r"^no layer of this model can run in INT8"):
        shift(net.model(net.add("Sigmoid", net.coded("x", 0.02, 3))))


def test_an_old_opset_is_refused() -> None:
    net = _Network()
    with pytest.raises(PresetError, match=r"^--precision int8 needs opset 13, which") as caught:
        shift(net.model(net.coded(_layer(net, net.coded("x", 0.02, 3)), 0.1, 0), opset=12))
    assert caught.value.hint == "leave out --opset, or give --opset 13"


def test_codes_are_paired_where_moves_lie_between_them() -> None:
    net = _Network()
    both = net.constant(0.02), net.constant(3, np.int8)
    codes = net.add("Transpose", net.add("QuantizeLinear", "x", *both), perm=[0, 2, 3, 1])
    model = pair_codes(net.model(net.add("DequantizeLinear", codes, *both)))
    assert [node.op_type for node in model.graph.node][:3] == ["QuantizeLinear", "DequantizeLinear", "Transpose"]
    assert prod(_run(model, np.ones((1, 4, 6, 5), np.float32)).shape) == 120


@given(zero=_ZEROS)
def test_constants_that_codes_do_not_reach_are_cut(zero: int) -> None:
    net = _Network()
    fixed = net.coded(net.constant([[[[-9.0, -2.0, 0.0, 2.0, 9.0]]]]), 1 / 64, zero)
    model = net.model(net.add("Add", "x", fixed))
    picture = np.zeros((1, 4, 6, 5), np.float32)
    wanted = _run(model, picture)
    made = pair_codes(model)
    assert not {"QuantizeLinear", "DequantizeLinear"} & {node.op_type for node in made.graph.node}
    np.testing.assert_array_equal(_run(made, picture), wanted)


def test_constants_are_rounded_at_once() -> None:
    net = _Network()
    fixed = net.coded(net.constant(np.full((1, 4, 6, 5), 0.333)), 0.02, 5)
    before = net.model(net.coded(net.add("Add", _layer(net, net.coded("x", 0.02, -37)), fixed), 0.05, 3))
    picture = np.random.default_rng(0).normal(size=(1, 4, 6, 5)).astype(np.float32)
    wanted = _run(before, picture)
    made = _shifted(before)
    assert np.abs(_run(made, picture) - wanted).mean() < 1e-3
    assert layers(made).int8 == {"Conv": 1}  # the constant is part of its bias, or added


@pytest.mark.parametrize(
    ("auto", "size", "output", "kernel", "stride", "dilation", "pads"),
    [
        ("SAME_UPPER", (8, 8), (4, 4), (3, 3), (2, 2), (1, 1), [0, 0, 1, 1]),
        ("SAME_LOWER", (8, 8), (4, 4), (3, 3), (2, 2), (1, 1), [1, 1, 0, 0]),
        ("SAME_UPPER", (8, 7), (8, 7), (3, 4), (1, 1), (1, 1), [1, 1, 1, 2]),
        ("SAME_LOWER", (8, 7), (8, 7), (3, 4), (1, 1), (1, 1), [1, 2, 1, 1]),
        ("SAME_UPPER", (8, 8), (8, 8), (3, 3), (1, 1), (2, 3), [2, 3, 2, 3]),
        ("SAME_UPPER", (8, 8), (4, 3), (1, 2), (2, 3), (1, 1), [0, 0, 0, 0]),
        ("NOTSET", (8, 8), (8, 8), (3, 3), (1, 1), (1, 1), [0, 0, 0, 0]),
        ("VALID", (8, 8), (6, 6), (3, 3), (1, 1), (1, 1), [0, 0, 0, 0]),
    ],
)
def test_padding_in_numbers(
    auto: str, size: tuple[int, ...], output: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...],
    dilation: tuple[int, ...], pads: list[int],
) -> None:  # fmt: skip
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], auto_pad=auto, strides=stride, dilations=dilation)
    shapes: Any = {"x": (1, 3, *size), "w": (4, 3, *kernel), "y": (1, 4, *output)}
    assert pads_of(node, shapes) == pads
    known = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    if auto.startswith("SAME"):
        assert (known["auto_pad"], known["pads"]) == (b"NOTSET", pads)
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 2, 3, 4])
    assert pads_of(node, shapes) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("kind", "attributes", "weights", "plain", "axis"),
    [
        ("Conv", {"group": 2}, np.zeros((4, 3, 1, 1), np.float32), True, 0),
        ("Conv", {}, np.zeros((4, 3, 1, 1), np.float16), False, 0),
        ("Gemm", {}, np.zeros((4, 3), np.float32), True, 1),
        ("Gemm", {"transB": 1}, np.zeros((4, 3), np.float32), True, 0),
        ("Gemm", {"alpha": 2.0}, np.zeros((4, 3), np.float32), False, 1),
        ("Gemm", {"beta": 0.5}, np.zeros((4, 3), np.float32), False, 1),
        ("Gemm", {"transA": 1}, np.zeros((4, 3), np.float32), False, 1),
        ("MatMul", {}, np.zeros((4, 3), np.float32), True, 1),
        ("MatMul", {}, np.zeros((2, 4, 3), np.float32), False, 1),
        ("MatMul", {}, np.zeros(4, np.float32), False, 1),
        ("ConvTranspose", {}, np.zeros((4, 3, 1, 1), np.float32), True, 1),
        ("ConvTranspose", {"group": 2}, np.zeros((4, 3, 1, 1), np.float32), False, 1),
        ("ConvTranspose", {"auto_pad": "SAME_UPPER"}, np.zeros((4, 3, 1, 1), np.float32), False, 1),
    ],
)
def test_ordinary_layers(kind: str, attributes: dict[str, Any], weights: NDArray[Any], plain: bool, axis: int) -> None:
    node = onnx.helper.make_node(kind, ["x", "w"], ["y"], **attributes)
    assert (is_plain(node, weights), outputs_axis(node)) == (plain, axis)


@pytest.mark.parametrize(
    ("kind", "source", "weights", "result", "count"),
    [
        ("Gemm", (1, 7), (5, 7), (1, 5), 35),  # transposed weights
        ("Conv", (1, 3, 8, 8), (4, 3, 3, 3), (1, 4, 4, 4), 4 * 4 * 4 * 27),
        ("Conv", (1, 4, 8, 8), (4, 1, 3, 3), (1, 4, 8, 8), 4 * 8 * 8 * 9),
        ("ConvTranspose", (1, 3, 4, 4), (3, 5, 2, 2), (1, 5, 8, 8), 3 * 4 * 4 * 20),
        ("Gemm", (1, 7), (7, 5), (1, 5), 35),
        ("MatMul", (1, 6, 7), (7, 5), (1, 6, 5), 6 * 35),
    ],
)
def test_multiplications_of_a_layer(
    kind: str, source: tuple[int, ...], weights: tuple[int, ...], result: tuple[int, ...], count: int
) -> None:
    shapes: Any = {"x": source, "w": weights, "y": result}
    assert products(onnx.helper.make_node(kind, ["x", "w"], ["y"]), shapes) == count
