"""Operators that `convert.translate.operators` writes: ONNX gives what LiteRT gives, at old opsets, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema

from convert.errors import TranslationError
from convert.export.tflite import pack, unpack
from tests.graph.flat import Flat, flatten, options
from tests.graph.proof import litert, onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from convert.isolation import Worker
    from convert.types import Export, Translated

ALONE = ("HARD_SWISH", "RELU_0_TO_1", "RELU_N1_TO_1", "GELU")
MODES = {"plain": {}, "corners": {"alignCorners": True}, "centers": {"halfPixelCenters": True}}


def network(kind: str, shape: tuple[int, ...], *constants: Any, option: Any = None, behind: bool = False) -> bytes:
    """`kind` on a picture [1,6,8,3] times 6 less 3, and its values in one row.

    Args:
        shape: of what the operator gives.
        constants: its other inputs, those in float16 turned to float32 first; `behind`: before the picture.
    """
    flat = Flat()
    picture = flat.tensor(1, 6, 8, 3, name="x")
    scaled, moved, target = flat.tensor(1, 6, 8, 3), flat.tensor(1, 6, 8, 3), flat.tensor(*shape)
    flat.operator("MUL", [picture, flat.constant(np.array([6], np.float32))], [scaled], options("Mul"))
    flat.operator("SUB", [scaled, flat.constant(np.array([3], np.float32))], [moved], options("Sub"))
    others = [flat.constant(each) for each in constants]
    for place, each in enumerate(others):
        if flat.tensors[each].type == schema.TensorType.FLOAT16:
            (others[place],) = flat.operator("DEQUANTIZE", [each], [flat.tensor(*flat.tensors[each].shape)])
    flat.operator(kind, [*others, moved] if behind else [moved, *others], [target], option)
    return flat.build([picture], [flatten(flat, target)])


def of_integers(kind: str, number: int) -> bytes:
    """`kind` on a picture [1,6,8,3] times 9 as int32, and on `number`."""
    flat = Flat()
    picture, scaled, target = (flat.tensor(1, 6, 8, 3, name=name) for name in ("x", "scaled", "y"))
    whole, result = (flat.tensor(1, 6, 8, 3, dtype="int32") for _ in range(2))
    flat.operator("MUL", [picture, flat.constant(np.array([9], np.float32))], [scaled], options("Mul"))
    flat.operator("CAST", [scaled], [whole], options("Cast", inDataType=0, outDataType=2))
    numbers = np.int32(number) if kind == "POW" else np.full((1, 6, 8, 3), number, np.int32)
    flat.operator(kind, [whole, flat.constant(numbers)], [result])
    flat.operator("CAST", [result], [target], options("Cast", inDataType=2, outDataType=0))
    return flat.build([picture], [flatten(flat, target)])


@pytest.fixture
def same(export: Callable[..., Export], translated: Callable[..., Translated]) -> Callable[..., onnx.ModelProto]:
    """The translation of a flatbuffer, which gives for three pictures what LiteRT gives."""

    def prove(model: bytes, *, opset: int = 13, tolerance: float = 0, pictures: Any = None) -> onnx.ModelProto:
        result = translated(export(model), opset=opset).onnx
        if pictures is None:
            pictures = np.random.default_rng(3).random((3, 6, 8, 3), np.float32)
        wanted = litert(model, pictures)
        assert np.ptp(wanted, axis=0).max() > 0.1, "the same for every picture proves nothing"
        for picture, values in zip(pictures, wanted, strict=True):
            (found,) = onnxruntime(result.data, np.ascontiguousarray(picture.transpose(2, 0, 1)[np.newaxis]))
            np.testing.assert_allclose(found.reshape(-1), values, rtol=0, atol=tolerance)
        return onnx.load_model_from_string(result.data)

    return prove


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("kind", ALONE)
def test_activations(kind: str, opset: int, same: Callable[..., onnx.ModelProto]) -> None:
    option = options("Gelu") if kind == "GELU" else None
    made = same(network(kind, (1, 6, 8, 3), option=option), opset=opset, tolerance=2e-6)
    assert {node.op_type for node in made.graph.node} & {"Clip", "Erf"}


@pytest.mark.parametrize("kind", ["SIGN", "ROUND"])
def test_steps(kind: str, same: Callable[..., onnx.ModelProto]) -> None:
    made = same(network(kind, (1, 6, 8, 3)), opset=11)
    assert not {"Sign", "Round"} & {node.op_type for node in made.graph.node}


def test_halves_are_rounded_to_even_numbers(same: Callable[..., onnx.ModelProto]) -> None:
    """Pictures of 1/12ths, times 6: halves are among them, of even and of odd numbers."""
    model = network("ROUND", (1, 6, 8, 3))
    same(model, pictures=np.random.default_rng(0).integers(0, 13, (3, 6, 8, 3)).astype(np.float32) / 12)


@pytest.mark.parametrize(("opset", "dtype"), [(11, "float32"), (13, "float32"), (11, "float16")])
def test_padding_with_a_value(opset: int, dtype: str, same: Callable[..., onnx.ModelProto]) -> None:
    pads, value = np.array([[0, 0], [2, 1], [0, 3], [1, 0]], np.int32), np.array([0.7], dtype)
    same(network("PADV2", (1, 9, 11, 4), pads, value, option=options("PadV2")), opset=opset, tolerance=1e-6)


@pytest.mark.parametrize("opset", [11, 13])
def test_padding_of_integers(opset: int, same: Callable[..., onnx.ModelProto]) -> None:
    flat = Flat()
    picture, scaled, target = flat.tensor(1, 6, 8, 3, name="x"), flat.tensor(1, 6, 8, 3), flat.tensor(1, 9, 8, 3)
    whole, padded = (flat.tensor(1, each, 8, 3, dtype="int32") for each in (6, 9))
    pads = flat.constant(np.array([[0, 0], [2, 1], [0, 0], [0, 0]], np.int32))
    flat.operator("MUL", [picture, flat.constant(np.array([9], np.float32))], [scaled], options("Mul"))
    flat.operator("CAST", [scaled], [whole], options("Cast", inDataType=0, outDataType=2))
    flat.operator("PADV2", [whole, pads, flat.constant(np.array([7], np.int32))], [padded], options("PadV2"))
    flat.operator("CAST", [padded], [target], options("Cast", inDataType=2, outDataType=0))
    same(flat.build([picture], [flatten(flat, target)]), opset=opset)


@pytest.mark.parametrize("fused", ["NONE", "RELU_N1_TO_1"])
@pytest.mark.parametrize(("padding", "size"), [("SAME", (3, 4)), ("VALID", (2, 3))])
def test_square_pooling(padding: str, size: tuple[int, int], fused: str, same: Callable[..., onnx.ModelProto]) -> None:
    option = options(
        "Pool2D",
        padding=getattr(schema.Padding, padding),
        fusedActivationFunction=getattr(schema.ActivationFunctionType, fused),
        **dict.fromkeys(("strideH", "strideW"), 2),
        **dict.fromkeys(("filterHeight", "filterWidth"), 3),
    )
    same(network("L2_POOL_2D", (1, *size, 3), option=option), opset=11, tolerance=1e-5)


@pytest.mark.parametrize("start", [[0, 1, 2, 0], [0, 5, 7, 1]])
def test_a_part_is_replaced(start: list[int], same: Callable[..., onnx.ModelProto]) -> None:
    part = np.random.default_rng(0).normal(size=(1, 2, 3, 2)).astype(np.float32)
    same(network("DYNAMIC_UPDATE_SLICE", (1, 6, 8, 3), part, np.array(start, np.int32)), tolerance=1e-6)


def test_softmax_of_values_times_a_number(same: Callable[..., onnx.ModelProto]) -> None:
    same(network("SOFTMAX", (1, 6, 8, 3), option=options("Softmax", beta=2.5)), tolerance=1e-5)


@pytest.mark.parametrize("kind", ["TANH", "SIGN_BIT"])
def test_fused_activations_that_no_kernel_applies(kind: str, same: Callable[..., onnx.ModelProto]) -> None:
    fused = options("Add", fusedActivationFunction=getattr(schema.ActivationFunctionType, kind))
    same(network("ADD", (1, 6, 8, 3), np.array([0.2], np.float32), option=fused), tolerance=1e-5)


def test_options_without_a_vector(same: Callable[..., onnx.ModelProto]) -> None:
    same(network("RESHAPE", (1, 48, 3), np.array([1, 48, 3], np.int32), option=options("Reshape")), tolerance=1e-6)


def test_the_shape_as_an_option(same: Callable[..., onnx.ModelProto]) -> None:
    same(network("RESHAPE", (1, 48, 3), option=options("Reshape", newShape=[1, 48, 3])), tolerance=1e-6)


@pytest.mark.parametrize("keep", [False, True])
def test_dense_layers_of_many_rows(keep: bool, same: Callable[..., onnx.ModelProto]) -> None:
    weights = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    option, bias = options("FullyConnected", keepNumDims=keep), np.arange(4, dtype=np.float32)
    shape = (1, 6, 8, 4) if keep else (48, 4)
    same(network("FULLY_CONNECTED", shape, weights, bias, option=option), tolerance=1e-5)


@pytest.mark.parametrize(
    ("axis", "batch", "shape", "target"),
    [
        (0, 0, (48,), (48, 8, 3)),
        (1, 0, (4, 12), (6, 4, 12, 3)),
        (2, 0, (48,), (6, 8, 48)),
        (-1, 0, (48,), (6, 8, 48)),
        (1, 1, (6, 8), (6, 8, 3)),
        (2, 1, (6, 8), (6, 8, 8)),
        (2, 2, (6, 8), (6, 8)),
    ],
)
def test_rows_by_indices_of_the_picture(
    axis: int, batch: int, shape: tuple[int, ...], target: tuple[int, ...], same: Callable[..., onnx.ModelProto]
) -> None:
    """Each of the indices is that of a pixel's largest value."""
    flat = Flat()
    picture, data = flat.tensor(1, 6, 8, 3, name="x"), flat.tensor(6, 8, 3)
    most, indices = flat.tensor(1, 6, 8, dtype="int32"), flat.tensor(*shape, dtype="int32")
    flat.operator("ARG_MAX", [picture, flat.constant(np.array([3], np.int32))], [most], options("ArgMax", outputType=2))
    flat.operator("RESHAPE", [most, flat.constant(np.array(shape, np.int32))], [indices])
    flat.operator("RESHAPE", [picture, flat.constant(np.array([6, 8, 3], np.int32))], [data])
    result = flat.tensor(*target)
    flat.operator("GATHER", [data, indices], [result], options("Gather", axis=axis, batchDims=batch))
    same(flat.build([picture], [flatten(flat, result)]))


def test_what_is_not_constant_is_named(translated: Callable[..., Translated], export: Callable[..., Export]) -> None:
    flat = Flat()
    picture, target = flat.tensor(1, 6, 8, 3, name="x"), flat.tensor(1, 6, 8, 3)
    most, counts = flat.tensor(1, 6, 8, dtype="int32"), flat.tensor(6, dtype="int32")
    flat.operator("ARG_MAX", [picture, flat.constant(np.array([3], np.int32))], [most], options("ArgMax", outputType=2))
    part = [flat.constant(np.array(each, np.int32)) for each in ([0, 0, 0], [1, 6, 1])]
    column = flat.operator("SLICE", [most, *part], [flat.tensor(1, 6, 1, dtype="int32")], options("Slice"))
    flat.operator("RESHAPE", [*column, flat.constant(np.array([6], np.int32))], [counts])
    option = options("ReverseSequence", seqDim=2, batchDim=1)
    flat.operator("REVERSE_SEQUENCE", [picture, counts], [target], option)
    with pytest.raises(TranslationError, match="ValueError: TFL_REVERSE_SEQUENCE takes as input 2 what is not constan"):
        translated(export(flat.build([picture], [flatten(flat, target)])))


@pytest.mark.parametrize(("kind", "words"), [("REVERSE_V2", "TFL_REVERSE_V2 works on a tensor of open size"),
                                             ("ONE_HOT", "ONE_HOT of indices of open size")])  # fmt: skip
def test_open_sizes_are_named(
    kind: str, words: str, translated: Callable[..., Translated], export: Callable[..., Export]
) -> None:
    """A Keras model for pictures of all heights."""
    if kind == "ONE_HOT":
        option = options("OneHot", axis=-1)
        made = typed(kind, (*_PICTURE, 4), np.int32(4), np.float32(1), np.float32(0), whole=True, option=option)
    else:
        made = network(kind, (1, 6, 8, 3), np.array([1], np.int32), option=options("ReverseV2"))
    model = unpack(made)
    for tensor in model.subgraphs[0].tensors:
        if model.buffers[tensor.buffer].data is None and tensor.name != b"x" and len(tensor.shape) >= 4:
            tensor.shapeSignature = np.array([-1, -1, *tensor.shape[2:]], np.int32)
    with pytest.raises(TranslationError, match=f"ValueError: {words}$"):
        translated(export(pack(model)))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_entries_by_indices_of_the_picture(count: int, same: Callable[..., onnx.ModelProto]) -> None:
    """Each of the indices is that of a pixel's largest value."""
    flat = Flat()
    picture = flat.tensor(1, 6, 8, 3, name="x")
    most, indices = flat.tensor(1, 6, 8, dtype="int32"), flat.tensor(48 // count, count, dtype="int32")
    data, target = flat.tensor(6, 8, 3), flat.tensor(48 // count, *(6, 8, 3)[count:])
    flat.operator("ARG_MAX", [picture, flat.constant(np.array([3], np.int32))], [most], options("ArgMax", outputType=2))
    flat.operator("RESHAPE", [most, flat.constant(np.array([48 // count, count], np.int32))], [indices])
    flat.operator("RESHAPE", [picture, flat.constant(np.array([6, 8, 3], np.int32))], [data])
    flat.operator("GATHER_ND", [data, indices], [target], options("GatherNd"))
    same(flat.build([picture], [flatten(flat, target)]))


@pytest.mark.parametrize(
    ("kind", "shape", "constants", "option"),
    [
        ("GATHER_ND", (2, 3), [np.array([[0, 1, 2], [0, 3, 4]], np.int32)], options("GatherNd")),
        ("REVERSE_V2", (1, 6, 8, 3), [np.array([0, 1], np.int32)], options("ReverseV2")),
        ("REVERSE_SEQUENCE", (1, 6, 8, 3), [np.array([4], np.int32)], options("ReverseSequence", seqDim=2)),
        ("DYNAMIC_UPDATE_SLICE", (1, 6, 8, 3), [np.ones((1, 2, 2, 3), np.float32), np.zeros(4, np.int32)], None),
    ],
)
def test_an_open_batch_is_one(
    kind: str, shape: tuple[int, ...], constants: list[Any], option: Any, same: Callable[..., onnx.ModelProto]
) -> None:
    """As Keras's models have it that were converted by hand."""
    same(_opened(network(kind, shape, *constants, option=option)), tolerance=1e-6)


def _opened(model: bytes) -> bytes:
    """With an open batch."""
    opened = unpack(model)
    for tensor in opened.subgraphs[0].tensors:
        if opened.buffers[tensor.buffer].data is None and len(tensor.shape) and tensor.shape[0] == 1:
            tensor.shapeSignature = np.array([-1, *tensor.shape[1:]], np.int32)
    return pack(opened)


def test_gelu_by_tanh(same: Callable[..., onnx.ModelProto]) -> None:
    made = same(network("GELU", (1, 6, 8, 3), option=options("Gelu", approximate=True)), opset=11, tolerance=2e-6)
    assert "Tanh" in {node.op_type for node in made.graph.node}


@pytest.mark.parametrize("opset", [11, 13])
def test_fused_limits_of_one(opset: int, same: Callable[..., onnx.ModelProto]) -> None:
    fused = options("Add", fusedActivationFunction=schema.ActivationFunctionType.RELU_N1_TO_1)
    same(network("ADD", (1, 6, 8, 3), np.array([0.2], np.float32), option=fused), opset=opset, tolerance=1e-6)


@pytest.mark.parametrize("size", [(9, 12), (3, 4), (7, 11), (4, 5), (12, 16), (6, 8), (1, 1), (6, 9)])
@pytest.mark.parametrize("mode", MODES)
def test_nearest_resizes(mode: str, size: tuple[int, int], same: Callable[..., onnx.ModelProto]) -> None:
    option = options("ResizeNearestNeighbor", **MODES[mode])
    model = network("RESIZE_NEAREST_NEIGHBOR", (1, *size, 3), np.array(size, np.int32), option=option)
    made = same(model, tolerance=1e-6)
    gathers = [node.op_type for node in made.graph.node].count("Gather")
    assert gathers <= (size[0] != 6) + (size[1] != 8), "rows and columns that stay are left as they are"


@pytest.mark.parametrize("mode", MODES)
def test_bilinear_resizes_to_sizes_that_scales_just_miss(mode: str, same: Callable[..., onnx.ModelProto]) -> None:
    option = options("ResizeBilinear", **MODES[mode])
    same(network("RESIZE_BILINEAR", (1, 7, 11, 3), np.array([7, 11], np.int32), option=option), tolerance=1e-5)


@pytest.mark.parametrize("axes", [[1], [-1], [1, 2], [0, 1]])
def test_reversed_axes(axes: list[int], same: Callable[..., onnx.ModelProto]) -> None:
    model = network("REVERSE_V2", (1, 6, 8, 3), np.array(axes, np.int32), option=options("ReverseV2"))
    made = same(model, tolerance=1e-6)
    gathers = [node.op_type for node in made.graph.node].count("Gather")
    assert gathers == len(set(axes) - {0}), "one picture stays where it is"


@pytest.mark.parametrize("mode", ["REFLECT", "SYMMETRIC"])
def test_mirrored_edges(mode: str, same: Callable[..., onnx.ModelProto]) -> None:
    pads = np.array([[0, 0], [2, 1], [0, 5], [1, 0]], np.int32)
    option = options("MirrorPad", mode=getattr(schema.MirrorPadMode, mode))
    same(network("MIRROR_PAD", (1, 9, 13, 4), pads, option=option), tolerance=1e-6)


@pytest.mark.parametrize(
    ("kernel", "stride", "size"),
    [
        ((1, 1), (2, 2), (12, 16)),
        ((2, 2), (3, 3), (18, 24)),
        ((1, 1), (3, 3), (18, 24)),
        ((1, 3), (2, 2), (12, 16)),
        ((3, 1), (2, 2), (12, 16)),
        ((2, 1), (1, 2), (6, 16)),
        ((1, 1), (2, 2), (11, 15)),  # VALID: nothing is left at the end
    ],
)
def test_transposed_convolutions_that_leave_gaps(
    kernel: tuple[int, int], stride: tuple[int, int], size: tuple[int, int], same: Callable[..., onnx.ModelProto]
) -> None:
    shape, is_same = (1, *size, 4), size == (6 * stride[0], 8 * stride[1])
    weights = np.random.default_rng(0).normal(size=(4, *kernel, 3)).astype(np.float32)
    padding = schema.Padding.SAME if is_same else schema.Padding.VALID
    option = options("TransposeConv", padding=padding, strideH=stride[0], strideW=stride[1])
    model = network("TRANSPOSE_CONV", shape, np.array(shape, np.int32), weights, option=option, behind=True)
    same(model, tolerance=1e-5)


def weighed_by_itself(
    kind: str, shape: tuple[int, int, int, int], outputs: int, *, stride: Sequence[int] = (1, 1),
    dilation: Sequence[int] = (1, 1),
) -> bytes:  # fmt: skip
    """A convolution of the picture [1,6,8,3] whose weights, of `shape`, are a part of the picture."""
    flat, count = Flat(), int(np.prod(shape))
    picture, weights = flat.tensor(1, 6, 8, 3, name="x"), flat.tensor(*shape)
    row, part = flat.tensor(1, 144), flat.tensor(1, count)
    flat.operator("RESHAPE", [picture, flat.constant(np.array([1, 144], np.int32))], [row], options("Reshape"))
    ends = [flat.constant(np.array(each, np.int32)) for each in ([0, 5], [1, count])]
    flat.operator("SLICE", [row, *ends], [part], options("Slice"))
    flat.operator("RESHAPE", [part, flat.constant(np.array(shape, np.int32))], [weights], options("Reshape"))
    target = flat.tensor(1, -(-6 // stride[0]), -(-8 // stride[1]), outputs)
    option = options(
        "Conv2D" if kind == "CONV_2D" else "DepthwiseConv2D",
        padding=schema.Padding.SAME,
        **dict(zip(("strideH", "strideW"), stride, strict=True)),
        **dict(zip(("dilationHFactor", "dilationWFactor"), dilation, strict=True)),
    )
    flat.operator(kind, [picture, weights, flat.weights(outputs)], [target], option)
    return flat.build([picture], [flatten(flat, target)])


@pytest.mark.parametrize(("stride", "dilation"), [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((1, 1), (2, 3))])
@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_convolutions_whose_weights_are_computed_from_the_picture(
    kind: str, stride: tuple[int, int], dilation: tuple[int, int], same: Callable[..., onnx.ModelProto]
) -> None:
    count, outputs = (4, 4) if kind == "CONV_2D" else (1, 3)
    same(weighed_by_itself(kind, (count, 2, 3, 3), outputs, stride=stride, dilation=dilation), tolerance=1e-5)


@pytest.mark.parametrize(
    ("kind", "shape", "words"),
    [
        ("CONV_2D", (3, 2, 3, 1), "CONV_2D in groups"),
        ("DEPTHWISE_CONV_2D", (1, 2, 3, 6), "DEPTHWISE_CONV_2D with a multiplier"),
    ],
)
def test_computed_weights_that_cannot_be_written(
    kind: str, shape: tuple[int, int, int, int], words: str, translated: Callable[..., Translated],
    export: Callable[..., Export],
) -> None:  # fmt: skip
    model = weighed_by_itself(kind, shape, 3 if kind == "CONV_2D" else 6)
    with pytest.raises(TranslationError, match=f"ValueError: {words} has weights that are computed from the picture$"):
        translated(export(model))


@pytest.mark.parametrize("kind", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("axis", [3, [3], [-2]])
def test_places_along_an_axis(kind: str, axis: int | list[int], same: Callable[..., onnx.ModelProto]) -> None:
    """The axis is a number, as TFLite's converter writes it, or a list of one."""
    flat = Flat()
    shape = (1, 6, 3) if axis == [-2] else (1, 6, 8)
    picture, places, found = flat.tensor(1, 6, 8, 3, name="x"), flat.tensor(*shape, dtype="int32"), flat.tensor(*shape)
    axes = flat.constant(np.array(axis, np.int32))
    option = options(kind, outputType=schema.TensorType.INT32)
    flat.operator({"ArgMax": "ARG_MAX", "ArgMin": "ARG_MIN"}[kind], [picture, axes], [places], option)
    flat.operator("CAST", [places], [found], options("Cast", inDataType=2, outDataType=0))
    same(flat.build([picture], [flatten(flat, found)]))


@pytest.mark.parametrize(("low", "high", "bits"), [(-2, 2, 8), (-1.3, 2.1, 4), (0, 2.5, 8), (-2, 0, 5), (-0.1, 3, 16)])
def test_fake_quantization(low: float, high: float, bits: int, same: Callable[..., onnx.ModelProto]) -> None:
    """Steps so that 0 is one; what lies outside gets the nearest."""
    option = options("FakeQuant", min=low, max=high, numBits=bits, narrowRange=False)
    same(network("FAKE_QUANT", (1, 6, 8, 3), option=option), opset=11, tolerance=2e-6)


@pytest.mark.parametrize("steps", [[1, 2, 3, 1], [1, 1, 1, 2]])
def test_values_between_the_entries(steps: list[int], same: Callable[..., onnx.ModelProto]) -> None:
    shape = tuple((size - 1) * step + 1 for size, step in zip((1, 6, 8, 3), steps, strict=True))
    same(network("DILATE", shape, np.array(steps, np.int32), np.float32(0.7)))


@pytest.mark.parametrize("segments", [[2, 4, 0, 3, 1, -1], [-1, 2, 2, -1, 0, 3], [0, 0, 1, 2, 3, 4]])
def test_segments_below_0_are_left_out(segments: list[int], same: Callable[..., onnx.ModelProto]) -> None:
    """SEGMENT_SUM has none, and counts the segments itself."""
    flat = Flat()
    picture, rows, target = flat.tensor(1, 6, 8, 3, name="x"), flat.tensor(6, 24), flat.tensor(5, 24)
    flat.operator("RESHAPE", [picture, flat.constant(np.array([6, 24], np.int32))], [rows], options("Reshape"))
    sorted_ = segments == sorted(segments)
    numbers = [flat.constant(np.array(each, np.int32)) for each in (segments, 5)[: 1 if sorted_ else 2]]
    flat.operator("SEGMENT_SUM" if sorted_ else "UNSORTED_SEGMENT_SUM", [rows, *numbers], [target])
    row = flat.tensor(1, 120)
    flat.operator("RESHAPE", [target, flat.constant(np.array([1, 120], np.int32))], [row], options("Reshape"))
    same(flat.build([picture], [row]), tolerance=1e-5)


@pytest.mark.parametrize("kind", ["ADD", "MAXIMUM", "MINIMUM", "MULTIPLY"])
def test_stablehlo_of_two_tensors(kind: str, same: Callable[..., onnx.ModelProto]) -> None:
    other = np.random.default_rng(1).normal(size=(1, 6, 8, 3)).astype(np.float32)
    same(network(f"STABLEHLO_{kind}", (1, 6, 8, 3), other))


@pytest.mark.parametrize("kind", ["MAXIMUM", "MINIMUM"])
def test_stablehlo_of_integers_at_an_old_opset(kind: str, same: Callable[..., onnx.ModelProto]) -> None:
    same(of_integers(f"STABLEHLO_{kind}", 4), opset=11)


def test_an_operator_newer_than_tf2onnx_s_schema_is_named(same: Callable[..., onnx.ModelProto]) -> None:
    option = options("StablehloPad", edgePaddingLow=[0] * 4, edgePaddingHigh=[0] * 4, interiorPadding=[0] * 4)
    with pytest.raises(TranslationError, match=r"no ONNX for these operators at opset 13: STABLEHLO_PAD \(1x\)"):
        same(network("STABLEHLO_PAD", (1, 6, 8, 3), np.float32(0), option=option))


@pytest.mark.parametrize("radius", [7, 8])
def test_normalization_across_channels(radius: int, same: Callable[..., onnx.ModelProto]) -> None:
    """TensorRT's LRN takes 15 channels at most."""
    option = options("LocalResponseNormalization", radius=radius, bias=1.5, alpha=0.2, beta=0.75)
    made = same(network("LOCAL_RESPONSE_NORMALIZATION", (1, 6, 8, 3), option=option), opset=11, tolerance=1e-6)
    assert ("LRN" in {node.op_type for node in made.graph.node}) == (radius == 7)


def test_what_is_not_chosen_may_be_infinite(same: Callable[..., onnx.ModelProto]) -> None:
    """log(x) where x is above 0, else x: the logarithms of the others are no numbers."""
    flat = Flat()
    picture, above = flat.tensor(1, 6, 8, 3, name="x"), flat.tensor(1, 6, 8, 3, dtype="bool")
    moved, logarithm, target = (flat.tensor(1, 6, 8, 3) for _ in range(3))
    flat.operator("SUB", [picture, flat.constant(np.array([0.5], np.float32))], [moved], options("Sub"))
    flat.operator("GREATER", [moved, flat.constant(np.float32(0))], [above], options("Greater"))
    flat.operator("LOG", [moved], [logarithm])
    flat.operator("SELECT_V2", [above, logarithm, moved], [target])
    made = same(flat.build([picture], [flatten(flat, target)]), opset=11, tolerance=1e-6)
    assert "Where" in {node.op_type for node in made.graph.node}


@pytest.mark.parametrize("size", [(12, 16), (7, 11), (3, 4), (1, 1)])
def test_bilinear_without_resize(size: tuple[int, int], same: Callable[..., onnx.ModelProto]) -> None:
    """Around corners at opset 11: TensorRT 7 has none by scales."""
    model = network(
        "RESIZE_BILINEAR", (1, *size, 3), np.array(size, np.int32), option=options("ResizeBilinear", **MODES["corners"])
    )
    made = same(model, opset=11, tolerance=1e-5)
    assert not {"Resize", "Upsample"} & {node.op_type for node in made.graph.node}


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [1, -1])
def test_cumulative_sums_for_tensorrt_7(
    axis: int, exclusive: bool, reverse: bool, same: Callable[..., onnx.ModelProto]
) -> None:
    option = options("Cumsum", exclusive=exclusive, reverse=reverse)
    made = same(network("CUMSUM", (1, 6, 8, 3), np.int32(axis), option=option), opset=11, tolerance=1e-5)
    assert "CumSum" not in {node.op_type for node in made.graph.node}


@pytest.mark.parametrize("opset", [11, 13])
def test_lengths(opset: int, same: Callable[..., onnx.ModelProto]) -> None:
    """A pixel of zeros stays one, and a length below 1e-6 counts as that."""
    flat = Flat()
    picture, scaled, target = (flat.tensor(1, 6, 8, 3, name=name) for name in ("x", "scaled", "y"))
    factors = np.full((1, 6, 8, 1), 1, np.float32)
    factors[:, 2], factors[:, 3] = 0, 3e-7
    flat.operator("MUL", [picture, flat.constant(factors)], [scaled], options("Mul"))
    flat.operator("L2_NORMALIZATION", [scaled], [target], options("L2Norm"))
    made = same(flat.build([picture], [flatten(flat, target)]), opset=opset, tolerance=1e-6)
    assert "LpNormalization" not in {node.op_type for node in made.graph.node}


def test_angles(same: Callable[..., onnx.ModelProto]) -> None:
    """In all quadrants and on all axes, 0 by 0 among them; TensorRT has no Sign before 8.2.

    In float16 it is the same as long as no constant becomes 0 there.
    """
    steps = np.random.default_rng(0).integers(0, 3, (6, 8, 3)).astype(np.float32) * 3 - 3
    pictures = np.random.default_rng(1).integers(0, 3, (3, 6, 8, 3)).astype(np.float32) / 2
    made = same(network("ATAN2", (1, 6, 8, 3), steps[np.newaxis]), tolerance=1e-6, pictures=pictures)
    assert "Sign" not in {node.op_type for node in made.graph.node}
    constants = [onnx.numpy_helper.to_array(each) for each in made.graph.initializer]
    assert all(np.array_equal(each == 0, each.astype(np.float16) == 0) for each in constants)


@pytest.mark.parametrize("opset", [11, 13])
def test_powers_of_integers(opset: int, same: Callable[..., onnx.ModelProto]) -> None:
    same(of_integers("POW", 3), opset=opset)


@pytest.mark.parametrize("share", [1 - 1e-6, 1 + 1e-6])
def test_powers_that_are_not_whole(share: float, same: Callable[..., onnx.ModelProto]) -> None:
    """An engine's Pow may be a bit off."""
    made = same(of_integers("POW", 3), opset=11)
    picture = np.random.default_rng(0).random((1, 3, 6, 8), np.float32)
    (wanted,) = onnxruntime(made.SerializeToString(), picture)
    (place,) = (place for place, node in enumerate(made.graph.node) if node.op_type == "Pow")
    (output,), made.graph.node[place].output[0] = made.graph.node[place].output, "exact"
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(share), "share"))
    made.graph.node.insert(place + 1, onnx.helper.make_node("Mul", ["exact", "share"], [output]))
    (found,) = onnxruntime(made.SerializeToString(), picture)
    np.testing.assert_array_equal(found, wanted)


def typed(
    kind: str, shape: tuple[int, ...], *constants: Any, dtype: str = "float32", whole: bool = False,
    rows: tuple[int, ...] = (1, 6, 8, 3), place: int = 0, option: Any = None,
) -> bytes:  # fmt: skip
    """`kind` on a picture [1,6,8,3] times 18 less 9.

    Args:
        shape: of what the operator gives, of type `dtype`.
        constants: its other inputs; the picture is input `place`.
        whole: the picture is cast to int32.
        rows: the shape the picture is given.
    """
    flat, numbers = Flat(), {"float32": 0, "int32": 2, "bool": 6}
    picture, scaled, moved = flat.tensor(1, 6, 8, 3, name="x"), flat.tensor(1, 6, 8, 3), flat.tensor(1, 6, 8, 3)
    flat.operator("MUL", [picture, flat.constant(np.array([18], np.float32))], [scaled], options("Mul"))
    flat.operator("SUB", [scaled, flat.constant(np.array([9], np.float32))], [moved], options("Sub"))
    if whole:
        scaled, moved = moved, flat.tensor(1, 6, 8, 3, dtype="int32")
        flat.operator("CAST", [scaled], [moved], options("Cast", inDataType=0, outDataType=2))
    if rows != (1, 6, 8, 3):
        scaled, moved = moved, flat.tensor(*rows, dtype="int32" if whole else "float32")
        flat.operator("RESHAPE", [scaled, flat.constant(np.array(rows, np.int32))], [moved], options("Reshape"))
    inputs = [flat.constant(each) for each in constants]
    inputs.insert(place, moved)
    result = flat.tensor(*shape, dtype=dtype)
    flat.operator(kind, inputs, [result], option)
    if dtype != "float32":
        given, result = result, flat.tensor(*shape)
        flat.operator("CAST", [given], [result], options("Cast", inDataType=numbers[dtype], outDataType=0))
    row = flat.tensor(1, int(np.prod(shape)))
    flat.operator("RESHAPE", [result, flat.constant(np.array([1, -1], np.int32))], [row], options("Reshape"))
    return flat.build([picture], [row])


_RANDOM = np.random.default_rng(7)
_PICTURE = (1, 6, 8, 3)
_DEPTH = (np.int32(6), np.int32(3), np.int32(-1))
OTHERS = {
    "some of each row turned round": typed(
        "REVERSE_SEQUENCE", _PICTURE, np.array([0, 1, 2, 7, 8, 3], np.int32),
        option=options("ReverseSequence", seqDim=2, batchDim=1),
    ),
    "rows as diagonals": typed("MATRIX_DIAG", (1, 6, 8, 3, 3), option=options("MatrixDiag")),
    "another diagonal, high": typed(
        "MATRIX_SET_DIAG", _PICTURE, _RANDOM.normal(size=(1, 6, 3)).astype(np.float32), option=options("MatrixSetDiag")
    ),
    "another diagonal, wide": typed(
        "MATRIX_SET_DIAG", (6, 3, 8), _RANDOM.normal(size=(6, 3)).astype(np.float32), rows=(6, 3, 8),
        option=options("MatrixSetDiag"),
    ),
    "one of many": typed(
        "ONE_HOT", (*_PICTURE, 6), *_DEPTH, whole=True, dtype="int32", option=options("OneHot", axis=-1)
    ),
    "one of many in front": typed(
        "ONE_HOT", (1, 6, 6, 8, 3), np.int32(6), np.float32(2), np.float32(0.5), whole=True,
        option=options("OneHot", axis=1),
    ),
    "true for one of many": typed(
        "ONE_HOT", (*_PICTURE, 4), np.int32(4), np.True_, np.False_, whole=True, dtype="bool",
        option=options("OneHot", axis=-1),
    ),
    "false for one of many": typed(
        "ONE_HOT", (*_PICTURE, 4), np.int32(4), np.False_, np.True_, whole=True, dtype="bool",
        option=options("OneHot", axis=-1),
    ),
    "buckets": typed(
        "BUCKETIZE", _PICTURE, dtype="int32", option=options("Bucketize", boundaries=[-5.5, -1, 0, 2.25, 7])
    ),
    "buckets of integers": typed(
        "BUCKETIZE", _PICTURE, dtype="int32", whole=True, option=options("Bucketize", boundaries=[-5.5, -1, 0, 2.25, 7])
    ),
    "each row by its own indices": typed(
        "GATHER", (6, 3, 4), _RANDOM.integers(0, 8, (6, 4)).astype(np.int32), rows=(6, 3, 8),
        option=options("Gather", axis=2, batchDims=1),
    ),
    "entries by constant indices": typed(
        "GATHER_ND", (4, 3), np.array([[0, 1, 2], [0, 5, 7], [0, 0, 0], [0, 5, 0]], np.int32),
        option=options("GatherNd"),
    ),
    "scattered rows": typed(
        "SCATTER_ND", (8, 24), np.array([[1], [7], [0], [2], [5], [4]], np.int32), np.array([8, 24], np.int32),
        rows=(6, 24), place=1, option=options("ScatterNd"),
    ),
    "scattered rows, some in one place": typed(
        "SCATTER_ND", (2, 3, 24), np.array([[1, 0], [1, 2], [0, 0], [1, 0], [0, 2], [1, 0]], np.int32),
        np.array([2, 3, 24], np.int32), rows=(6, 24), place=1, option=options("ScatterNd"),
    ),
    "scattered integers, some in one place": typed(
        "SCATTER_ND", (3, 24), np.array([[1], [2], [0], [1], [0], [1]], np.int32), np.array([3, 24], np.int32),
        rows=(6, 24), place=1, whole=True, dtype="int32", option=options("ScatterNd"),
    ),
    "chosen row by row": typed(
        "SELECT", (6, 24), np.array([True, False, False, True, True, False]),
        _RANDOM.normal(size=(6, 24)).astype(np.float32), rows=(6, 24), place=1, option=options("Select"),
    ),
    "chosen value by value": typed(
        "SELECT", _PICTURE, _RANDOM.random(_PICTURE) > 0.5, np.zeros(_PICTURE, np.float32), place=1,
        option=options("Select"),
    ),
    "chosen by column": typed(
        "SELECT_V2", (1, 6, 3, 8), _RANDOM.random(8) > 0.5, np.zeros((1, 6, 3, 8), np.float32), rows=(1, 6, 3, 8),
        place=1,
    ),
    "neighbours among many channels": typed(
        "LOCAL_RESPONSE_NORMALIZATION", (1, 2, 3, 24), rows=(1, 2, 3, 24),
        option=options("LocalResponseNormalization", radius=8, bias=1.5, alpha=0.2, beta=0.75),
    ),
    "rows of a table": typed(
        "EMBEDDING_LOOKUP", (4, 24), np.array([5, 0, 3, 3], np.int32), rows=(6, 24), place=1,
    ),
    "blocks of unequal sides": typed(
        "SPACE_TO_BATCH_ND", (6, 3, 3, 3), np.array([2, 3], np.int32), np.array([[0, 0], [1, 0]], np.int32),
        option=options("SpaceToBatchND"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_operators(name: str, same: Callable[..., onnx.ModelProto]) -> None:
    same(OTHERS[name], tolerance=1e-5)


@pytest.mark.parametrize("name", ["one of many", "one of many in front"])
def test_an_open_batch_of_indices_is_one(name: str, same: Callable[..., onnx.ModelProto]) -> None:
    same(_opened(OTHERS[name]), tolerance=1e-5)


@pytest.mark.parametrize("number", [4, -4, 3, -7])
@pytest.mark.parametrize("kind", ["FLOOR_DIV", "FLOOR_MOD", "RIGHT_SHIFT", "BITWISE_XOR"])
def test_integers_below_0(kind: str, number: int, same: Callable[..., onnx.ModelProto]) -> None:
    """From -9 to 8."""
    if kind == "RIGHT_SHIFT":
        number = abs(number)
    same(typed(kind, _PICTURE, np.full(_PICTURE, number, np.int32), whole=True, dtype="int32"))


_ROWS = _RANDOM.normal(size=_PICTURE).astype(np.float32)
_KERNEL = _RANDOM.normal(size=(4, 2, 2, 3)).astype(np.float32)


def _resized(kind: str, size: tuple[int, int], mode: str) -> bytes:
    option = options(_OPTIONS_OF_RESIZES[kind], **MODES[mode])
    return network(kind, (1, *size, 3), np.array(size, np.int32), option=option)


def _turned_back(stride: int, *bias: Any) -> bytes:
    shape = (1, 6 * stride, 8 * stride, 4)
    option = options("TransposeConv", padding=schema.Padding.SAME, strideH=stride, strideW=stride)
    flat = Flat()
    picture, target = flat.tensor(1, 6, 8, 3, name="x"), flat.tensor(*shape)
    others = [flat.constant(each) for each in (np.array(shape, np.int32), _KERNEL, *bias)]
    flat.operator("TRANSPOSE_CONV", [*others[:2], picture, *others[2:]], [target], option)
    return flat.build([picture], [flatten(flat, target)])


def _of_rows(kind: str, *, whole: bool) -> bytes:
    """`kind` of the picture and other numbers, all above 0."""
    dtype = "int32" if whole else "float32"
    return typed(kind, _PICTURE, np.full(_PICTURE, 3, dtype), dtype=dtype, whole=whole)


def _chosen(*, whole: bool) -> bytes:
    dtype = "int32" if whole else "float32"
    return typed("SELECT_V2", _PICTURE, _ROWS > 0, np.ones(_PICTURE, dtype), dtype=dtype, whole=whole, place=1)


def _most(axis: Any) -> bytes:
    return typed("ARG_MAX", (1, 6, 8), np.array(axis, np.int32), dtype="int32", option=options("ArgMax", outputType=2))


def _gathered(batch: int) -> bytes:
    rows, option = (6, 4)[: 2 * batch], options("Gather", axis=1, batchDims=batch)
    return typed("GATHER", (6, 4, 8), np.zeros((*rows[:-1], 4), np.int32), rows=(6, 3, 8), option=option)


def _by_its_shape() -> bytes:
    """Values of the picture by indices that come of the picture's shape."""
    flat = Flat()
    picture, row, sizes = flat.tensor(1, 6, 8, 3, name="x"), flat.tensor(144), flat.tensor(4, dtype="int32")
    flat.operator("RESHAPE", [picture, flat.constant(np.array([144], np.int32))], [row], options("Reshape"))
    flat.operator("SHAPE", [picture], [sizes], options("Shape", outType=2))
    target = flat.tensor(4)
    flat.operator("GATHER", [row, sizes], [target], options("Gather"))
    return flat.build([picture], [flatten(flat, target)])


def _resized_by_sums(kind: str) -> bytes:
    """The sizes are computed, if only of constants."""
    flat = Flat()
    picture, target = flat.tensor(1, 6, 8, 3, name="x"), flat.tensor(1, 7, 11, 3)
    parts = [flat.constant(np.array(each, np.int32)) for each in ([3, 5], [4, 6])]
    (sizes,) = flat.operator("ADD", parts, [flat.tensor(2, dtype="int32")], options("Add"))
    flat.operator(kind, [picture, sizes], [target], options(_OPTIONS_OF_RESIZES[kind]))
    return flat.build([picture], [flatten(flat, target)])


_OPTIONS_OF_RESIZES = {
    "RESIZE_BILINEAR": "ResizeBilinear", "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighbor",
}  # fmt: skip


def _padded_by_sums() -> bytes:
    """The widths are computed, if only of constants."""
    flat = Flat()
    picture, target = flat.tensor(1, 6, 8, 3, name="x"), flat.tensor(1, 9, 11, 4)
    parts = [flat.constant(_PADS // 2), flat.constant(_PADS - _PADS // 2)]
    (widths,) = flat.operator("ADD", parts, [flat.tensor(4, 2, dtype="int32")], options("Add"))
    flat.operator("PADV2", [picture, widths, flat.constant(np.float32(1))], [target], options("PadV2"))
    return flat.build([picture], [flatten(flat, target)])


_PADS = np.array([[0, 0], [2, 1], [0, 3], [1, 0]], np.int32)
WHERE_NEEDED = {
    "sums of numbers": (_of_rows("ADD_N", whole=False), 13, False),
    "sums of integers": (_of_rows("ADD_N", whole=True), 13, True),
    "the axis as a number": (_most(3), 13, False),
    "the axis as a list": (_most([3]), 13, True),
    "cumulative sums at 12": (typed("CUMSUM", _PICTURE, np.int32(1), option=options("Cumsum")), 12, True),
    "cumulative sums at 13": (typed("CUMSUM", _PICTURE, np.int32(1), option=options("Cumsum")), 13, False),
    "quotients of numbers": (_of_rows("FLOOR_DIV", whole=False), 13, False),
    "rests of numbers": (_of_rows("FLOOR_MOD", whole=False), 13, False),
    "the same indices for all": (_gathered(0), 13, False),
    "indices of the shape": (_by_its_shape(), 13, False),
    "indices of each row": (_gathered(1), 13, True),
    "pads of numbers": (typed("PADV2", (1, 9, 11, 4), _PADS, np.float32(1), option=options("PadV2")), 13, True),
    "pads that are computed": (_padded_by_sums(), 13, False),
    "pads of half the precision": (
        network("PADV2", (1, 9, 11, 4), _PADS, np.array([0.7], np.float16), option=options("PadV2")), 13, True
    ),
    "pads of integers": (
        typed("PADV2", (1, 9, 11, 4), _PADS, np.int32(1), whole=True, dtype="int32", option=options("PadV2")),
        13, False,
    ),
    "powers of integers at 11": (of_integers("POW", 2), 11, True),
    "powers of integers at 12": (of_integers("POW", 2), 12, False),
    "powers of numbers": (typed("POW", _PICTURE, np.float32(2)), 11, False),
    "choices of numbers": (_chosen(whole=False), 13, True),
    "choices of integers": (_chosen(whole=True), 13, False),
    "softmax": (typed("SOFTMAX", _PICTURE, option=options("Softmax", beta=1.0)), 13, False),
    "softmax by a factor": (typed("SOFTMAX", _PICTURE, option=options("Softmax", beta=1.5)), 13, True),
    "twice as large": (_resized("RESIZE_BILINEAR", (12, 16), "plain"), 13, False),
    "twice as large at 12": (_resized("RESIZE_BILINEAR", (12, 16), "plain"), 12, False),
    "twice as large, corners": (_resized("RESIZE_BILINEAR", (12, 16), "corners"), 13, False),
    "twice as large, corners at 12": (_resized("RESIZE_BILINEAR", (12, 16), "corners"), 12, True),
    "scales that just miss": (_resized("RESIZE_BILINEAR", (7, 11), "plain"), 13, True),
    "repeated": (_resized("RESIZE_NEAREST_NEIGHBOR", (12, 24), "plain"), 13, False),
    "repeated, corners": (_resized("RESIZE_NEAREST_NEIGHBOR", (12, 24), "corners"), 13, True),
    "not repeated": (_resized("RESIZE_NEAREST_NEIGHBOR", (12, 12), "plain"), 13, True),
    "sizes that are computed": (_resized_by_sums("RESIZE_NEAREST_NEIGHBOR"), 13, False),
    "sizes that are computed, bilinear": (_resized_by_sums("RESIZE_BILINEAR"), 13, False),
    "not repeated, of an open batch": (
        _opened(_resized("RESIZE_NEAREST_NEIGHBOR", (12, 12), "plain")), 13, True,
    ),
    "smaller": (_resized("RESIZE_NEAREST_NEIGHBOR", (3, 8), "plain"), 13, True),
    "kernels as large as steps": (_turned_back(2), 13, False),
    "kernels smaller than steps": (_turned_back(3), 13, True),
    "with a bias": (_turned_back(2, np.ones(4, np.float32)), 13, True),
    "square blocks": (
        typed("SPACE_TO_BATCH_ND", (4, 3, 4, 3), np.array([2, 2], np.int32), np.zeros((2, 2), np.int32),
              option=options("SpaceToBatchND")),
        13, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WHERE_NEEDED)
def test_tf2onnx_writes_what_it_writes_well(name: str, worker: Worker) -> None:
    model, opset, here = WHERE_NEEDED[name]
    kinds = worker.call("tests.translate.raw:written_here", model, _PICTURE, opset, timeout=60)
    assert bool(kinds) == here, kinds
