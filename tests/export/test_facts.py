"""What a model is, from its shapes, types and operators alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.export.facts import (
    ANOMALY_TYPES,
    DATATYPE,
    ENGINE,
    LAST_LAYER,
    RESIZE,
    SCALING,
    SENSOR,
    VISUAL_ANOMALY,
    class_count,
    facts,
    possible_tasks,
)
from convert.export.tflite import read_graph
from tests.export import tiny
from tests.export.unpacking import export_of
from tests.graph.flat import Flat, convolution, options, softmax
from tests.graph.proof import litert

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = (1, 96, 96, 3)
SSD = "TFLite_Detection_PostProcess"


def test_a_grid_with_the_channels_first(tmp_path: Path) -> None:
    """As PyTorch's own converter writes FOMO: input and output are turned in the flatbuffer."""
    flat = Flat()
    picture, turned, grid = flat.tensor(1, 3, 48, 64, name="x"), flat.tensor(1, 48, 64, 3), flat.tensor(1, 4, 6, 8)
    to_rows, to_planes = (flat.constant(np.array(perm, np.int32)) for perm in ([0, 2, 3, 1], [0, 3, 1, 2]))
    flat.operator("TRANSPOSE", [picture, to_rows], [turned], options("Transpose"))
    cells = softmax(flat, convolution(flat, turned, 4, kernel=8, stride=8, relu6=False))
    flat.operator("TRANSPOSE", [cells, to_planes], [grid], options("Transpose"))
    (tmp_path / "m.tflite").write_bytes(flat.build([picture], [grid]))
    model = export_of(tmp_path / "m.tflite")
    assert (model.facts.task, model.facts.input.shape) == ("fomo", (1, 48, 64, 3))
    assert model.facts.outputs[0].shape == (1, 6, 8, 4)
    pictures = np.random.default_rng(0).random((2, 3, 48, 64), np.float32)
    before = litert((tmp_path / "m.tflite").read_bytes(), pictures).reshape(2, 4, 6, 8)
    np.testing.assert_array_equal(litert(model.model, pictures).reshape(2, 6, 8, 4), before.transpose(0, 2, 3, 1))


def test_the_real_models_are_what_their_names_say(models: Path) -> None:
    """The names there were given by hand: task, HxWxC or number of features, number format."""
    formats = {"f32": "float32", "int8": "int8", "int8-float-io": "int8", "f16": "float16-weights"}
    tasks = {"classify": "classifier", "keywords": "not-image", "motion": "not-image"}
    paths = sorted(models.glob("*lite"))
    assert len(paths) == 17
    for path in paths:
        task, size, number_format = re.fullmatch(r"([a-z0-9]+)-([0-9x]+)-(.+)", path.stem).groups()  # type: ignore[union-attr]
        found = facts(path.read_bytes())
        assert found.task == (tasks.get(task) or task), path.name
        assert found.input.shape == (1, *map(int, size.split("x"))), path.name
        assert found.quantization == formats[number_format], path.name
        assert (found.input.dtype == "int8") == (number_format == "int8"), path.name
        assert found.input.scale == pytest.approx(1 / 255) if number_format == "int8" else found.input.scale is None
        assert len(found.outputs) == (4 if task == "ssd" else 1)
        assert list(found.operators) == sorted(set(found.operators))
    ssd = facts(next(path for path in paths if path.stem.startswith("ssd")).read_bytes())
    assert SSD in ssd.operators
    assert [output.shape for output in ssd.outputs] == [()] * 4


@pytest.mark.parametrize(
    ("picture", "output", "last", "task"),
    [
        (PICTURE, (1, 2), "SOFTMAX", "classifier"),
        (PICTURE, (1, 7), "SOFTMAX", "classifier"),
        (PICTURE, (1, 1, 1, 5), "SOFTMAX", "classifier"),
        (PICTURE, (1, 3), "ADD", "classifier"),
        (PICTURE, (1, 1), "LOGISTIC", "classifier"),
        (PICTURE, (1, 1), "ADD", "unknown"),
        (PICTURE, (1, 12, 12, 2), "SOFTMAX", "fomo"),
        (PICTURE, (1, 24, 24, 2), "SOFTMAX", "fomo"),
        (PICTURE, (1, 6, 6, 9), "SOFTMAX", "fomo"),
        ((1, 676, 676, 1), (1, 85, 85, 3), "SOFTMAX", "fomo"),
        ((1, 120, 160, 1), (1, 15, 20, 3), "SOFTMAX", "fomo"),
        ((1, 120, 160, 1), (1, 20, 15, 3), "SOFTMAX", "unknown"),
        (PICTURE, (1, 12, 12, 1), "SOFTMAX", "unknown"),
        (PICTURE, (1, 12, 12, 64), "CONV_2D", "unknown"),
        (PICTURE, (1, 96, 96, 2), "SOFTMAX", "unknown"),
        ((1, 160, 160, 3), (1, 1575, 7), "CONCATENATION", "yolov5"),
        ((1, 320, 160, 3), (1, 3150, 85), "CONCATENATION", "yolov5"),
        ((1, 160, 160, 3), (1, 525, 7), "CONCATENATION", "yolox"),
        ((1, 160, 160, 3), (1, 6, 525), "CONCATENATION", "yolov11"),
        ((1, 160, 160, 3), (1, 1000, 7), "CONCATENATION", "unknown"),
        ((1, 160, 160, 4), (1, 2), "SOFTMAX", "classifier"),
        ((1, 637), (1, 3), "SOFTMAX", "not-image"),
        ((1, 99, 40), (1, 3), "SOFTMAX", "not-image"),
        ((1, 1, 51, 1), (1, 5), "SOFTMAX", "not-image"),
        ((1, 40, 1, 3), (1, 5), "SOFTMAX", "not-image"),
        ((1, 16, 96, 96, 3), (1, 3), "SOFTMAX", "not-image"),
        ((1, 33), (1, 1), "FULLY_CONNECTED", "not-image"),
    ],
)
def test_tasks(picture: tuple[int, ...], output: tuple[int, ...], last: str, task: str) -> None:
    assert facts(tiny.model(picture, output, last=last)).task == task


def test_ssd_by_its_operator_whatever_the_shapes() -> None:
    data = tiny.model(PICTURE, (), (), (), (), last="CUSTOM", custom=SSD)
    assert facts(data).task == "ssd"


def test_an_anomaly_detector_beside_a_regression() -> None:
    assert facts(tiny.anomaly()).task == "anomaly"


def test_several_outputs_are_no_known_head() -> None:
    assert facts(tiny.model(PICTURE, (1, 2), (1, 2))).task == "unknown"


def test_other_meanings_of_the_same_shape() -> None:
    tasks = possible_tasks(read_graph(tiny.model((1, 160, 160, 3), (1, 525, 7), last="CONCATENATION")))
    assert {"yolox", "yolo-pro"} <= set(tasks)


@pytest.mark.parametrize(
    ("picture", "output", "last", "classes"),
    [
        (PICTURE, (1, 4), "SOFTMAX", 4),
        (PICTURE, (1, 12, 12, 4), "SOFTMAX", 3),
        ((1, 160, 160, 3), (1, 1575, 7), "CONCATENATION", 2),
        ((1, 160, 160, 3), (1, 525, 8), "CONCATENATION", 3),
        ((1, 160, 160, 3), (1, 6, 525), "CONCATENATION", 2),
        (PICTURE, (1, 96, 96, 2), "SOFTMAX", None),
    ],
)
def test_class_count(picture: tuple[int, ...], output: tuple[int, ...], last: str, classes: int | None) -> None:
    assert class_count(facts(tiny.model(picture, output, last=last))) == classes


def test_an_open_batch_is_what_is_allocated_and_other_open_sizes_stay_open() -> None:
    flat = Flat()
    source, end = flat.tensor(1, 96, 96, 3), flat.tensor(1, 2)
    flat.tensors[source].shapeSignature = [-1, -1, 96, 3]
    flat.operator("SOFTMAX", [source], [end])
    found = facts(flat.build([source], [end]))
    assert found.input.shape == (1, None, 96, 3)
    assert found.task == "unknown"


def test_quantization_is_what_the_arithmetic_works_on() -> None:
    assert facts(tiny.classifier()).quantization == "float32"
    assert facts(tiny.int8_classifier()).quantization == "int8"
    wrapped = facts(tiny.int8_classifier(float_ends=True))
    assert (wrapped.quantization, wrapped.input.dtype, wrapped.input.scale) == ("int8", "float32", None)


@pytest.mark.parametrize(
    ("dtype", "dequantized", "expected"),
    [
        ("float32", False, "float32"),
        ("float16", True, "float16-weights"),
        ("int8", False, "dynamic-range"),
        ("int8", True, "dynamic-range"),
    ],
)
def test_weights_of_a_float_model(dtype: str, dequantized: bool, expected: str) -> None:
    flat = Flat()
    source, end = flat.tensor(*PICTURE), flat.tensor(1, 4)
    weights = flat.constant([[1] * 4] * 4, dtype)
    if dequantized:
        stored, weights = weights, flat.tensor(4, 4)
        flat.operator("DEQUANTIZE", [stored], [weights])
    flat.operator("FULLY_CONNECTED", [source, weights, flat.constant([0] * 4, "int32")], [end])
    assert facts(flat.build([source], [end])).quantization == expected


def test_a_float_model_that_takes_bytes_is_a_float_model() -> None:
    flat = Flat()
    source, inside, end = flat.tensor(*PICTURE, dtype="int8"), flat.tensor(*PICTURE), flat.tensor(1, 4)
    flat.operator("CAST", [source], [inside])
    flat.operator("FULLY_CONNECTED", [inside, flat.weights(4, 4)], [end])
    found = facts(flat.build([source], [end]))
    assert (found.quantization, found.input.dtype) == ("float32", "int8")


ENUMERATIONS = (
    (RESIZE, "EI_CLASSIFIER_RESIZE_", {
        0: "NONE none", 1: "FIT_SHORTEST fit-shortest", 2: "FIT_LONGEST fit-longest", 3: "SQUASH squash"}),
    (SCALING, "EI_CLASSIFIER_IMAGE_SCALING_", {
        0: "NONE none", 1: "0_255 0_255", 2: "TORCH torch", 3: "MIN1_1 min1_1", 4: "MIN128_127 min128_127",
        5: "BGR_SUBTRACT_IMAGENET_MEAN bgr_subtract_imagenet_mean",
    }),
    (LAST_LAYER, "EI_CLASSIFIER_LAST_LAYER_", {
        -1: "UNKNOWN unknown", 1: "SSD ssd", 2: "FOMO fomo", 3: "YOLOV5 yolov5", 4: "YOLOX yolox",
        5: "YOLOV5_V5_DRPAI yolov5-drpai", 6: "YOLOV7 yolov7", 7: "TAO_RETINANET tao-retinanet", 8: "TAO_SSD tao-ssd",
        9: "TAO_YOLOV3 tao-yolov3", 10: "TAO_YOLOV4 tao-yolov4", 11: "YOLOV2 yolov2", 12: "YOLO_PRO yolo-pro",
        13: "YOLOV11 yolov11", 14: "YOLOV11_ABS yolov11-abs",
    }),
    (SENSOR, "EI_CLASSIFIER_SENSOR_", {
        -1: "UNKNOWN unknown", 255: "UNKNOWN unknown", 1: "MICROPHONE microphone", 2: "ACCELEROMETER accelerometer",
        3: "CAMERA camera", 4: "9DOF 9dof", 5: "ENVIRONMENTAL environmental", 6: "FUSION fusion",
    }),
    (ENGINE, "EI_CLASSIFIER_", {
        255: "NONE none", 1: "UTENSOR utensor", 2: "TFLITE tflite", 3: "CUBEAI cubeai", 4: "TFLITE_FULL tflite_full",
        5: "TENSAIFLOW tensaiflow", 6: "TENSORRT tensorrt", 7: "DRPAI drpai", 8: "TFLITE_TIDL tflite_tidl",
        9: "AKIDA akida", 10: "SYNTIANT syntiant", 11: "ONNX_TIDL onnx_tidl", 12: "MEMRYX memryx",
        13: "ETHOS_LINUX ethos_linux", 14: "ATON aton", 15: "CEVA_NPN ceva_npn",
    }),
    (DATATYPE, "EI_CLASSIFIER_DATATYPE_", {1: "FLOAT32 float32", 3: "UINT8 uint8", 9: "INT8 int8"}),
    (ANOMALY_TYPES, "EI_ANOMALY_TYPE_", {
        0: "UNKNOWN unknown", 1: "KMEANS kmeans", 2: "GMM gmm", 3: "VISUAL_GMM visual_gmm",
        4: "VISUAL_PATCHCORE visual_patchcore",
    }),
)  # fmt: skip
"""Numbers and names of the SDK's headers (ei_classifier_types.h, model_metadata.h), and what we call them."""


def test_enumerations_are_the_sdk_s() -> None:
    for enumeration, prefix, wanted in ENUMERATIONS:
        assert enumeration.prefix == prefix
        assert {key: f"{name} {enumeration.value(prefix + name)}" for key, name in enumeration.names.items()} == wanted
        assert enumeration.value("EI_OTHER") is enumeration.value(prefix + "OTHER") is None
        assert enumeration.value(next(iter(enumeration.names.values()))) is None, "without its prefix"
    assert {"visual_gmm", "visual_patchcore"} == VISUAL_ANOMALY


@pytest.mark.parametrize(
    ("operator", "quantization"),
    [
        *(
            (name, "float32")
            for name in (
                *(
                    "CAST",
                    "CONCATENATION",
                    "EXPAND_DIMS",
                    "GATHER",
                    "PACK",
                    "PAD",
                    "PADV2",
                    "RESHAPE",
                    "SHAPE",
                    "SLICE",
                ),
                *("SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE", "UNPACK", "QUANTIZE", "DEQUANTIZE"),
            )
        ),
        ("ADD", "int8"),
        ("MAX_POOL_2D", "int8"),
    ],
)
def test_what_only_moves_numbers_is_no_arithmetic(operator: str, quantization: str) -> None:
    flat = Flat()
    source, coded, moved, end = (flat.tensor(1, 4, dtype=dtype) for dtype in ("float32", "int8", "int8", "float32"))
    flat.operator("QUANTIZE", [source], [coded])
    flat.operator(operator, [coded], [moved])
    flat.operator("LOGISTIC", [source], [end])
    assert facts(flat.build([source], [end])).quantization == quantization


@pytest.mark.parametrize("operator", ["EXP", "LOG", "SQUARE", "SQUARED_DIFFERENCE", "REDUCE_MAX", "ADD"])
def test_operators_of_a_mixture(operator: str) -> None:
    """With a single score they are an anomaly detector; not where there is a softmax."""
    flat = Flat()
    source, end = flat.tensor(1, 4), flat.tensor(1, 1)
    flat.operator(operator, [source], [end])
    assert facts(flat.build([source], [end])).task == ("not-image" if operator == "ADD" else "anomaly")
    flat.operator("SOFTMAX", [source], [flat.tensor(1, 4)])
    assert facts(flat.build([source], [end])).task == "not-image"
