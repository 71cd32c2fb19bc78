"""The two stages together: what LiteRT computes, the shipped ONNX computes, for every batch size."""

from __future__ import annotations

import errno
import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema

from convert import __version__
from convert.errors import InputError, PresetError, UnsupportedModelError
from convert.graph import passes
from convert.graph.adapt import LARGEST_BOX, TRACKED_BOX, Adapt, read_onnx, recorded
from convert.graph.passes import TRANSPOSES_LEFT
from convert.graph.preprocessing import RESIZE_ASSUMED, preprocessing
from convert.heads import CONVERTIBLE
from convert.heads.base import Options
from convert.images import ImageScaling
from convert.translate import Translate
from convert.types import TORCH_MEAN, TORCH_STD, Export, Metadata, ModelFacts, OnnxModel, Tensor, Tracking, Translated
from convert.validate.runtimes import load
from tests.graph.flat import Flat, classifier, convolution, dense, flatten, options, reshape, softmax
from tests.graph.proof import litert, model, onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from convert.isolation import Worker
    from convert.types import Adapted

# The others are the first of these in another size.
FLOAT_CLASSIFIERS = ("classify-32x32x1-f32.lite", "classify-320x320x3-f32.lite")


def pictures(export: Export, count: int = 8) -> NDArray[np.float32]:
    shape = [size for size in export.facts.input.shape[1:] if size is not None]
    return np.random.default_rng(1).random((count, *shape), np.float32)


def assert_parity(adapted: Adapted, *, tolerance: float = 1e-4) -> None:
    values = pictures(adapted.export)
    wanted = litert(adapted.export.model, values)
    for size in (1, 2, 8):
        batch = np.ascontiguousarray(values[:size].transpose(0, 3, 1, 2))
        (scores,) = onnxruntime(adapted.onnx.data, batch)
        assert scores.shape == wanted[:size].shape
        np.testing.assert_allclose(scores, wanted[:size], rtol=0, atol=tolerance)


@pytest.mark.parametrize("room", [True, False])
def test_a_large_model_is_in_a_file_where_there_is_room(
    room: bool, export: Callable[..., Export], adapted: Callable[..., Adapted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives the same bytes, is loaded from there, and another process gets the bytes."""

    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    made = export(classifier())
    usual = adapted(made).onnx
    monkeypatch.setattr("convert.isolation.LARGE", 0)
    if not room:
        monkeypatch.setattr("convert.isolation.tempfile.TemporaryFile", full)
    large = adapted(made).onnx
    assert (large.data, large.data, large.size) == (usual.data, usual.data, len(usual.data))
    assert pickle.loads(pickle.dumps(large)) == usual
    assert [each.name for each in load(large.loadable).get_outputs()] == [each.name for each in usual.outputs]
    assert isinstance(large.stored, bytes) is not room
    if not isinstance(large.stored, bytes):
        large.stored.close()


@pytest.mark.parametrize("name", FLOAT_CLASSIFIERS)
def test_real_classifiers_agree_with_litert(
    name: str, models: Path, export: Callable[..., Export], adapted: Callable[..., Adapted]
) -> None:
    result = adapted(export(models / name))
    assert_parity(result)
    loaded = onnx.load_model_from_string(result.onnx.data)
    assert not [node for node in loaded.graph.node if node.op_type == "Transpose"]
    assert result.onnx.input.name == "x_input"
    assert result.onnx.input.shape[0] is None
    assert [output.name for output in result.onnx.outputs] == ["scores"]


def test_signature_and_head(export: Callable[..., Export], adapted: Callable[..., Adapted]) -> None:
    result = adapted(export(classifier(height=6, width=8, classes=2), labels=("a", "b")))
    assert result.onnx.input.shape == (None, 3, 6, 8)
    assert result.onnx.outputs[0].shape == (None, 2)
    assert result.onnx.input.dtype == result.onnx.outputs[0].dtype == "float32"
    assert result.head.task == "classifier"
    assert result.head.labels == ("a", "b")
    model = onnx.load_model_from_string(result.onnx.data)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    assert model.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "N"


def test_torch_scaling_moves_into_the_graph(export: Callable[..., Export], adapted: Callable[..., Adapted]) -> None:
    result = adapted(export(classifier(), image_scaling=ImageScaling.TORCH))
    assert result.preprocessing.folded == "torch"
    values = pictures(result.export)
    mean, std = np.array(TORCH_MEAN, np.float32), np.array(TORCH_STD, np.float32)
    wanted = litert(result.export.model, (values - mean) / std)
    (scores,) = onnxruntime(result.onnx.data, np.ascontiguousarray(values.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(scores, wanted, rtol=0, atol=1e-5)
    assert np.abs(litert(result.export.model, values) - wanted).max() > 1e-2


def test_what_the_model_came_in_does_not_show(export: Callable[..., Export], adapted: Callable[..., Adapted]) -> None:
    one = export(classifier())
    metadata = Metadata(labels=("a", "b", "c"), project_name="p", image_scaling=ImageScaling.MINUS_1_TO_1)
    other = replace(one, name="other", form="F3", source="other.zip", member="a/b.h", metadata=metadata)
    assert adapted(one).onnx.data == adapted(other).onnx.data


def test_provenance(export: Callable[..., Export], adapted: Callable[..., Adapted]) -> None:
    result = adapted(export(classifier()))
    said = {item.key: item.value for item in onnx.load_model_from_string(result.onnx.data).metadata_props}
    assert said["ei_deepstream.source_sha256"] == result.export.digest
    assert said["ei_deepstream.tool_version"] == __version__
    assert said["ei_deepstream.task"] == "classifier"
    assert said["ei_deepstream.folded"] == ""


def test_what_is_assumed_is_said_once(export: Callable[..., Export], worker: Worker) -> None:
    """Of a model alone `unpack` has said all of it; what is missing alone is a finding of its own."""
    bare = Translate(worker=worker)(export(classifier()), Path()).artifact
    assert isinstance(bare, Translated)
    assert Adapt()(bare, Path()).findings == ()
    known = Metadata(labels=("a", "b", "c"), image_scaling=ImageScaling.NONE)
    named = replace(bare, export=replace(bare.export, metadata=known))
    assert [finding.id for finding in Adapt()(named, Path()).findings] == [RESIZE_ASSUMED.id]


def test_transposes_that_stay_are_a_note(export: Callable[..., Export], worker: Worker) -> None:
    flat = Flat()
    picture = flat.tensor(1, 8, 8, 3, name="x")
    rows = softmax(flat, reshape(flat, convolution(flat, picture, 4), 1, 64, 4))
    model = flat.build([picture], [softmax(flat, dense(flat, flatten(flat, rows), 3))])
    translated = Translate(worker=worker)(export(model, labels=("a", "b", "c")), Path()).artifact
    found = Adapt()(translated, Path()).findings
    assert "one Transpose is left in the graph" in [
        finding.message for finding in found if finding.id == TRANSPOSES_LEFT.id
    ]


@pytest.mark.parametrize("opset", range(11, 19))
def test_every_opset(opset: int, export: Callable[..., Export], adapted: Callable[..., Adapted]) -> None:
    result = adapted(export(classifier()), opset=opset)
    model = onnx.load_model_from_string(result.onnx.data)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]
    assert len(model.graph.input) == 1
    assert_parity(result)


def _nothing(_flat: Flat, source: int) -> int:
    return source


def _depthwise(flat: Flat, source: int) -> int:
    target = flat.tensor(1, 8, 8, 4)
    flat.operator(
        "DEPTHWISE_CONV_2D",
        [source, flat.weights(1, 3, 3, 4), flat.weights(4)],
        [target],
        options("DepthwiseConv2D", padding=schema.Padding.SAME, strideH=1, strideW=1, depthMultiplier=1),
    )
    return target


def _pool(kind: str) -> Callable[[Flat, int], int]:
    def network(flat: Flat, source: int) -> int:
        target = flat.tensor(1, 4, 4, 4)
        pool = options("Pool2D", padding=schema.Padding.VALID, strideH=2, strideW=2, filterHeight=2, filterWidth=2)
        flat.operator(kind, [source], [target], pool)
        return target

    return network


def _binary(kind: str, option: str) -> Callable[[Flat, int], int]:
    def network(flat: Flat, source: int) -> int:
        other = convolution(flat, source, 4)
        target = flat.tensor(1, 8, 8, 4)
        flat.operator(kind, [source, other], [target], options(option))
        return target

    return network


def _unary(kind: str) -> Callable[[Flat, int], int]:
    def network(flat: Flat, source: int) -> int:
        target = flat.tensor(1, 8, 8, 4)
        flat.operator(kind, [source], [target])
        return target

    return network


def _reduce(kind: str, axes: list[int], *, keep: bool, shape: tuple[int, ...]) -> Callable[[Flat, int], int]:
    def network(flat: Flat, source: int) -> int:
        target = flat.tensor(*shape)
        flat.operator(kind, [source, flat.constant(axes, "int32")], [target], options("Reducer", keepDims=keep))
        return target

    return network


def _pad(flat: Flat, source: int) -> int:
    target = flat.tensor(1, 9, 9, 4)
    flat.operator("PAD", [source, flat.constant([[0, 0], [0, 1], [0, 1], [0, 0]], "int32")], [target], options("Pad"))
    return target


def _concatenation(flat: Flat, source: int) -> int:
    target = flat.tensor(1, 8, 8, 8)
    joined = options("Concatenation", axis=3)
    flat.operator("CONCATENATION", [source, convolution(flat, source, 4)], [target], joined)
    return target


def _concatenation_with_constant(flat: Flat, source: int) -> int:
    rows = dense(flat, flatten(flat, source), 4)
    target = flat.tensor(1, 6)
    flat.operator(
        "CONCATENATION", [rows, flat.constant([[0.5, -2.0]], "float32")], [target], options("Concatenation", axis=1)
    )
    return target


def _strided_slice(flat: Flat, source: int) -> int:
    """x[0:1, 1:7:2, 2:, :], as Keras writes it for a fixed batch."""
    target = flat.tensor(1, 3, 6, 4)
    limits = [flat.constant(values, "int32") for values in ([0, 1, 2, 0], [1, 7, 0, 0], [1, 2, 1, 1])]
    flat.operator("STRIDED_SLICE", [source, *limits], [target], options("StridedSlice", endMask=0b1100))
    return target


def _strided_slice_shrink(flat: Flat, source: int) -> int:
    """x[:, 2]"""
    target = flat.tensor(1, 8, 4)
    limits = [flat.constant(values, "int32") for values in ([0, 2], [0, 3], [1, 1])]
    shrink = options("StridedSlice", beginMask=1, endMask=1, shrinkAxisMask=0b10)
    flat.operator("STRIDED_SLICE", [source, *limits], [target], shrink)
    return target


def _shape_arithmetic(flat: Flat, source: int) -> int:
    """Keras' Flatten with a batch it reads from the tensor: SHAPE, STRIDED_SLICE, PACK, RESHAPE."""
    shape, batch, packed = flat.tensor(4, dtype="int32"), flat.tensor(dtype="int32"), flat.tensor(2, dtype="int32")
    flat.operator("SHAPE", [source], [shape], options("Shape", outType=schema.TensorType.INT32))
    limits = [flat.constant(values, "int32") for values in ([0], [1], [1])]
    flat.operator("STRIDED_SLICE", [shape, *limits], [batch], options("StridedSlice", shrinkAxisMask=1))
    flat.operator("PACK", [batch, flat.constant(256, "int32")], [packed], options("Pack", valuesCount=2))
    target = flat.tensor(1, 256)
    flat.operator("RESHAPE", [source, packed], [target])
    return target


def _pack(flat: Flat, source: int) -> int:
    rows = [dense(flat, flatten(flat, source), 5) for _ in range(2)]
    target = flat.tensor(1, 2, 5)
    flat.operator("PACK", rows, [target], options("Pack", valuesCount=2, axis=1))
    return target


def _pack_first(flat: Flat, source: int) -> int:
    """Stacked in front of the batch: [2, N, 5], flattened again."""
    rows = [dense(flat, flatten(flat, source), 5) for _ in range(2)]
    target = flat.tensor(2, 1, 5)
    flat.operator("PACK", rows, [target], options("Pack", valuesCount=2, axis=0))
    return reshape(flat, target, 1, 10)


def _transpose(flat: Flat, source: int) -> int:
    target = flat.tensor(1, 4, 8, 8)
    flat.operator("TRANSPOSE", [source, flat.constant([0, 3, 1, 2], "int32")], [target], options("Transpose"))
    return target


def _resize(flat: Flat, source: int) -> int:
    target = flat.tensor(1, 16, 16, 4)
    nearest = options("ResizeNearestNeighbor", halfPixelCenters=True)
    flat.operator("RESIZE_NEAREST_NEIGHBOR", [source, flat.constant([16, 16], "int32")], [target], nearest)
    return target


def _half_weights(flat: Flat, source: int) -> int:
    half, whole = flat.weights(4, 1, 1, 4, dtype="float16"), flat.tensor(4, 1, 1, 4)
    flat.operator("DEQUANTIZE", [half], [whole], options("Dequantize"))
    target = flat.tensor(1, 8, 8, 4)
    conv = options("Conv2D", padding=schema.Padding.SAME, strideH=1, strideW=1)
    flat.operator("CONV_2D", [source, whole, flat.weights(4)], [target], conv)
    return target


def _tensordot(flat: Flat, source: int) -> int:
    """A dense layer on every pixel before the flatten, as in Edge Impulse's transfer learning head."""
    pixels = dense(flat, reshape(flat, source, 64, 4), 6)
    target = flat.tensor(64, 6)
    flat.operator("RELU", [pixels], [target])
    return reshape(flat, target, 1, 384)


def _squeeze(flat: Flat, source: int) -> int:
    pooled = _reduce("MEAN", [1, 2], keep=True, shape=(1, 1, 1, 4))(flat, source)
    target = flat.tensor(1, 4)
    flat.operator("SQUEEZE", [pooled], [target], options("Squeeze", squeezeDims=[1, 2]))
    return target


def _expand_dims(flat: Flat, source: int) -> int:
    target = flat.tensor(1, 1, 8, 8, 4)
    flat.operator("EXPAND_DIMS", [source, flat.constant(0, "int32")], [target], options("ExpandDims"))
    return target


NETWORKS: dict[str, Any] = {
    "ADD": _binary("ADD", "Add"),
    "AVERAGE_POOL_2D": _pool("AVERAGE_POOL_2D"),
    "CONCATENATION": _concatenation,
    "CONCATENATION constant": _concatenation_with_constant,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DEQUANTIZE float16": _half_weights,
    "EXPAND_DIMS": _expand_dims,
    "FULLY_CONNECTED": _nothing,
    "FULLY_CONNECTED each pixel": _tensordot,
    "LOGISTIC": _unary("LOGISTIC"),
    "MAX_POOL_2D": _pool("MAX_POOL_2D"),
    "MEAN": _reduce("MEAN", [1, 2], keep=False, shape=(1, 4)),
    "MEAN keep": _reduce("MEAN", [1, 2], keep=True, shape=(1, 1, 1, 4)),
    "MUL": _binary("MUL", "Mul"),
    "PACK": _pack,
    "PACK first": _pack_first,
    "PAD": _pad,
    "REDUCE_MAX": _reduce("REDUCE_MAX", [1, 2], keep=False, shape=(1, 4)),
    "REDUCE_MAX channels": _reduce("REDUCE_MAX", [3], keep=False, shape=(1, 8, 8)),
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SHAPE": _shape_arithmetic,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "STRIDED_SLICE shrink": _strided_slice_shrink,
    "SUB": _binary("SUB", "Sub"),
    "TANH": _unary("TANH"),
    "TRANSPOSE": _transpose,
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_operators_of_edge_impulse_models(
    kind: str, export: Callable[..., Export], adapted: Callable[..., Adapted]
) -> None:
    flat = Flat()
    picture = flat.tensor(1, 8, 8, 3, name="x_input")
    features = NETWORKS[kind](flat, convolution(flat, picture, 4))
    model = flat.build([picture], [softmax(flat, dense(flat, flatten(flat, features), 3))])
    result = adapted(export(model, labels=("a", "b", "c")))
    assert_parity(result)
    assert len(set(np.round(litert(model, pictures(result.export))[:, 0], 4))) > 4, "a constant output proves nothing"


@pytest.mark.parametrize(
    ("wrong", "message", "hint"),
    [
        ({"fomo_merge": "x"}, "there is no --fomo-merge 'x'", "one of: touching, peak, none"),
        ({"yolo_score": "x"}, "there is no --yolo-score 'x'", "one of: product, objectness"),
        ({"resize": "x"}, "there is no --resize 'x'", "one of: auto, device, graph"),
        ({"fomo_box": 0.9}, "--fomo-box is 0.9", "a number of cells from 1 to 64, as 3"),
        ({"fomo_box": 64.5}, "--fomo-box is 64.5", "a number of cells from 1 to 64, as 3"),
        ({"threshold": 0.0}, "--threshold is 0", "a number above 0 and below 1, as 0.5"),
        ({"threshold": 1.0}, "--threshold is 1", "a number above 0 and below 1, as 0.5"),
    ],
)
def test_options_that_do_not_exist(wrong: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(PresetError) as caught:
        Adapt(**wrong)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_the_last_values_that_options_take() -> None:
    for box, threshold in ((1, 1e-6), (LARGEST_BOX, 1 - 1e-6)):
        stage = Adapt(fomo_box=box, threshold=threshold)
        assert (stage.least_box(FOMO), stage.lowest(FOMO)) == (box, threshold)


SORT = Tracking(sort=True, grace=1, hits=1, threshold=0.3, by_overlap=True)
FOMO = Export(b"", "m", "F3", "m", "", Metadata(), ModelFacts(Tensor("x", (1, 8, 8, 3), "float32"), (), (), "", "fomo"))


@pytest.mark.parametrize(
    ("stage", "metadata", "box", "lowest"),
    [
        (Adapt(), Metadata(), 1, 0.5),
        (Adapt(tracked=True), Metadata(threshold=0.3), 3, 0.3),
        (Adapt(threshold=0.2), Metadata(tracking=SORT, threshold=0.3), TRACKED_BOX, 0.2),
        (Adapt(fomo_box=2, tracked=True), Metadata(tracking=SORT), 2, 0.5),
    ],
)
def test_the_least_box_and_the_lowest_score(stage: Adapt, metadata: Metadata, box: float, lowest: float) -> None:
    export = replace(FOMO, metadata=metadata)
    assert (stage.least_box(export), stage.lowest(export)) == (box, lowest)


def test_what_cannot_be_adapted(export: Callable[..., Export], tmp_path: Path) -> None:
    given = Translated(export(classifier()), OnnxModel(b"", Tensor("x", (1, 3, 8, 8), "float32"), (), 13))
    with pytest.raises(PresetError, match=r"^--line and --zone count objects, and a classifier finds none$") as wrong:
        Adapt(tracked=True)(given, tmp_path)
    assert wrong.value.hint == "give the export of a detector"
    unread = replace(given, export=replace(given.export, facts=replace(given.export.facts, task="yolov7")))
    with pytest.raises(UnsupportedModelError) as caught:
        Adapt()(unread, tmp_path)
    words = "there is no way yet to make the outputs of a yolov7 model readable for Gst-nvinfer"
    assert (caught.value.message, caught.value.hint) == (words, f"can be converted: {', '.join(CONVERTIBLE)}")


def test_a_model_of_an_earlier_stage(tmp_path: Path) -> None:
    path, two = tmp_path / "m.onnx", model("y = Add(x, x)", "1,3", "1,3")
    path.write_bytes(two.SerializeToString())
    found = read_onnx(path)
    assert (found.input, found.outputs, found.opset) == (
        Tensor("x", (1, 3), "float32"), (Tensor("y", (1, 3), "float32"),), 13,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"^not a model that `adapt` wrote$") as other:
        recorded(found, path)
    assert (other.value.hint, other.value.path) == ("run adapt on it first", str(path))
    two.graph.input.append(onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [1]))
    earlier = "give the .onnx file an earlier stage wrote"
    for data, message, hint in (
        (two.SerializeToString(), "the model has 2 inputs, not one", "run translate again"),
        (b"\xff" * 9, "not an ONNX model", earlier),
        (b"", "not an ONNX model", earlier),
        (None, "cannot be read: No such file or directory", "give an .onnx file"),
    ):
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)
        with pytest.raises(InputError) as caught:
            read_onnx(path)
        assert (caught.value.message, caught.value.hint, caught.value.path) == (message, hint, str(path))


@pytest.mark.parametrize(
    ("threshold", "recorded", "drops", "refused", "wanted"),
    [
        (None, None, True, "no NMS for yolov5", (0.5, "no NMS for yolov5")),
        (None, 0.3, True, "", (0.3, "")),
        (0.7, 0.3, False, "no NMS for yolov5", (0.7, "")),
    ],
)
def test_what_a_head_is_told(
    threshold: float | None, recorded: float | None, drops: bool, refused: str, wanted: tuple[float, str],
    monkeypatch: pytest.MonkeyPatch, export: Callable[..., Export],
) -> None:  # fmt: skip
    """Whether the target drops overlapping boxes is asked where that is done for all classes at once."""
    told: list[Any] = []

    def refuse(*given: Any) -> None:
        told.extend(given)
        raise UnsupportedModelError("enough")

    spec = SimpleNamespace(id="yolov5", drops_all=drops, adapt=refuse)
    monkeypatch.setattr(passes, "head", lambda _: spec)
    made = export(classifier(), threshold=recorded)
    stage = Adapt(fomo_merge="peak", yolo_score="product", no_suppression=lambda task: refused.replace("yolov5", task),
                  threshold=threshold, fomo_box=2.5)  # fmt: skip
    before = preprocessing(made)[0]
    model = OnnxModel(b"", Tensor("x", (1,), "float32"), (), 13)
    with pytest.raises(UnsupportedModelError, match=r"^enough$"):
        passes.adapted(stage, lambda: onnx.ModelProto(ir_version=7), Translated(made, model), before)
    lowest, why = wanted
    assert told == [onnx.ModelProto(ir_version=7), made, Options("peak", "product", why, None, lowest, 2.5)]
