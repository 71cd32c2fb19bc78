"""Real detectors on real pictures: nvinfer's arithmetic gives the objects that LiteRT and the SDK's rules give."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from convert.emit.config import facts as emitted_facts
from convert.emit.config import head_entries, preset_for
from convert.export.dequantize import dequantize
from convert.export.facts import facts
from convert.graph.adapt import Adapt
from convert.heads import decoding
from convert.heads.base import Rules
from convert.images import ImageScaling, ResizeMode
from convert.images.scaling import Network
from convert.nvinfer.targets import target
from convert.simulate.decode import decode
from convert.simulate.parsers import Layer
from convert.simulate.settings import Settings
from convert.translate import Translate
from convert.types import Adapted, Export, Metadata
from convert.validate import runtimes
from tests.graph.proof import onnxruntime
from tests.heads import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.isolation import Worker

pytestmark = pytest.mark.slow

Edges = tuple[float, float, float, float]


SHIPPED: dict[tuple[object, ...], Adapted] = {}


def shipped(path: Path, labels: tuple[str, ...], worker: Worker, tmp_path: Path, **options: Any) -> Adapted:
    """Made once for each combination."""
    key = (path, labels, *options.items())
    if key not in SHIPPED:
        SHIPPED[key] = _shipped(path, labels, worker, tmp_path, **options)
    return SHIPPED[key]


def _shipped(path: Path, labels: tuple[str, ...], worker: Worker, tmp_path: Path, **options: Any) -> Adapted:
    data = path.read_bytes()
    if facts(data).quantization == "int8":
        data = dequantize(data).model
    export = Export(data, "model", "flatbuffer", path.name, "", Metadata(labels=labels), facts(data))
    translated = Translate(worker=worker)(export, tmp_path).artifact
    result = Adapt(**options)(translated, tmp_path).artifact
    assert isinstance(result, Adapted)
    return result


def read(path: Path, adapted: Adapted) -> NDArray[np.float32]:
    """The picture as the SDK feeds it, squashed, float32 [1,H,W,C]."""
    _, channels, height, width = (size or 1 for size in adapted.onnx.input.shape)
    picture = Image.open(path).convert("L" if channels == 1 else "RGB")
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32).reshape(1, height, width, channels) / np.float32(255)


def litert(model: bytes, picture: NDArray[np.float32]) -> list[NDArray[Any]]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]


def found(adapted: Adapted, picture: NDArray[np.float32]) -> list[Any]:
    """What nvinfer would report with the config that is emitted."""
    where = target("7.1", "jetson")
    preset = preset_for(adapted.head, where)
    known = emitted_facts(preset, adapted, where)
    values: dict[str, Any] = {entry.key: entry.value for entry in head_entries(preset, preset.property, known, where)}
    each = {entry.key: entry.value for entry in head_entries(preset, preset.class_attrs_all, known, where)}
    values["class-attrs"] = [each] * len(adapted.head.labels)
    settings = Settings.from_values(values, library=values.get("custom-lib-path", ""))
    outputs = onnxruntime(adapted.onnx.data, np.ascontiguousarray(picture.transpose(0, 3, 1, 2)))
    layers = [Layer.of(output.name, array) for output, array in zip(adapted.onnx.outputs, outputs, strict=True)]
    _, height, width, channels = picture.shape
    return list(decode(settings, Network(channels, height, width), layers).frames[0].objects)  # type: ignore[union-attr]


def sdk_yolov5(rows: NDArray[np.float32], width: int, height: int) -> list[tuple[Edges, float, int]]:
    """Edge Impulse's rules: objectness from 0.5 on, NMS at 0.2 over all classes, the likeliest class; whole pixels."""
    kept: list[tuple[int, int, int, int]] = []
    found: list[tuple[Edges, float, int]] = []
    for row in sorted(rows, key=lambda row: -row[4]):
        box = plain.sdk_box(row, width, height)
        if 0.5 <= row[4] <= 1 and all(plain.shared(box, other) < np.float32(0.2) for other in kept):
            kept.append(box)
            left, top, wide, high = box
            label = plain.best(row[5:].tolist())[0]
            found.append(((left, top, min(left + wide, width), min(top + high, height)), float(row[4]), label))
    return found


def assert_same(objects: list[Any], wanted: Sequence[tuple[Edges, float, int]]) -> None:
    assert len(objects) == len(wanted)
    for one, (edges, score, label) in zip(sorted(objects, key=lambda one: -one.confidence), wanted, strict=True):
        ours = (one.left, one.top, one.left + one.width, one.top + one.height)
        np.testing.assert_allclose(ours, edges, rtol=0, atol=1.001)  # nvinfer ends a pixel before the picture does
        assert one.confidence == pytest.approx(score, abs=1e-4)
        assert one.class_id == label


@pytest.mark.parametrize(
    ("name", "file", "labels"),
    [
        ("yolov5-160x160x3-f16.lite", "jan.jpg", [0]),
        ("yolov5-512x512x3-f16.lite", "beer.jpg", [0, 1]),  # best of three; the other class's box across it goes
    ],
)
def test_yolov5_as_edge_impulse_reports_it(
    name: str, file: str, labels: list[int], models: Path, worker: Worker, tmp_path: Path
) -> None:
    adapted = shipped(models / name, ("a", "b", "c")[: 2 + len(labels) // 2], worker, tmp_path)
    picture = read(models / file, adapted)
    wanted = sdk_yolov5(litert(adapted.export.model, picture)[0][0], picture.shape[2], picture.shape[1])
    assert [label for _, _, label in wanted] == labels
    assert_same(found(adapted, picture), wanted)


def test_yolov5_scores_with_the_class_where_asked(models: Path, worker: Worker, tmp_path: Path) -> None:
    adapted = shipped(models / "yolov5-160x160x3-f16.lite", ("a", "b"), worker, tmp_path, yolo_score="product")
    picture = read(models / "jan.jpg", adapted)
    rows = litert(adapted.export.model, picture)[0][0]
    (one,) = found(adapted, picture)
    assert one.confidence == pytest.approx(float((rows[:, 4] * rows[:, 5:].max(axis=1)).max()), abs=1e-5)


def test_ssd_on_bottles(models: Path, worker: Worker, tmp_path: Path) -> None:
    """The int8 model rewritten in float32; LiteRT runs that with its own post-processing."""
    adapted = shipped(models / "ssd-320x320x3-int8.lite", ("beer",), worker, tmp_path)
    assert adapted.head.task == "ssd"
    picture = read(models / "beer.jpg", adapted)
    scores, boxes, _, labels = litert(adapted.export.model, picture)
    wanted = [
        ((left * 320, top * 320, right * 320, bottom * 320), float(score), int(label))
        for (top, left, bottom, right), score, label in zip(
            np.clip(boxes[0], 0, 1).tolist(), scores[0], labels[0], strict=True
        )
        if score >= 0.5
    ]
    assert wanted
    assert_same(found(adapted, picture), wanted)


@pytest.mark.parametrize("merge", ["none", "peak"])
@pytest.mark.parametrize(
    ("name", "labels"),
    [("fomo-96x96x1-f32.tflite", ("face",)), ("fomo-96x96x3-int8.tflite", ("background", "green", "purple"))],
)
def test_fomo_on_a_face(
    name: str, labels: tuple[str, ...], merge: str, models: Path, worker: Worker, tmp_path: Path
) -> None:
    adapted = shipped(models / name, labels, worker, tmp_path, fomo_merge=merge)
    picture = read(models / "jan.jpg", adapted)
    (heat,) = litert(adapted.export.model, picture)
    cells = [
        ((8.0 * column, 8.0 * row, 8.0 * column + 8, 8.0 * row + 8), float(heat[0, row, column, label + 1]), label)
        for label in range(len(adapted.head.labels))
        for row in range(12)
        for column in range(12)
        if heat[0, row, column, label + 1] >= 0.5
        and (
            merge == "none"
            or heat[0, row, column, label + 1]
            >= heat[0, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2, label + 1].max()
        )
    ]
    assert cells
    assert_same(found(adapted, picture), sorted(cells, key=lambda cell: -cell[1]))


@pytest.mark.parametrize("threshold", [0.5, 0.1])
@pytest.mark.parametrize(
    ("name", "labels"),
    [("fomo-96x96x1-f32.tflite", ("face",)), ("fomo-96x96x3-int8.tflite", ("background", "green", "purple"))],
)
def test_fomo_as_edge_impulse_reports_it(
    name: str, labels: tuple[str, ...], threshold: float, models: Path, worker: Worker, tmp_path: Path
) -> None:
    adapted = shipped(models / name, labels, worker, tmp_path, threshold=threshold)
    picture = read(models / "jan.jpg", adapted)
    (heat,) = litert(adapted.export.model, picture)
    numbers = [str(number) for number in range(heat.shape[3] - 1)]
    boxes = decoding.fomo(heat[0, ..., 1:], Rules(numbers, threshold, (96, 96)))  # without the SDK's two slips
    wanted: list[tuple[Edges, float, int]] = [
        ((box.x, box.y, box.x + box.width, box.y + box.height), box.value, int(box.label))
        for box in sorted(boxes, key=lambda box: -box.value)
    ]
    assert wanted
    assert_same(found(adapted, picture), wanted)


@pytest.mark.skipif(not runtimes.available(), reason="the extra [tensorrt] is not installed")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fomo-96x96x1-f32.tflite", {}),
        ("fomo-96x96x1-f32.tflite", {"fomo_merge": "none"}),
        ("fomo-96x96x1-f32.tflite", {"fomo_merge": "peak"}),
        ("yolov5-160x160x3-f16.lite", {}),
        ("yolov5-160x160x3-f16.lite", {"yolo_score": "product"}),
        ("ssd-320x320x3-int8.lite", {}),
    ],
)
def test_nvidias_builder_takes_it(
    name: str, options: dict[str, Any], models: Path, worker: Worker, tmp_path: Path
) -> None:
    export_labels = {"yolov5": ("a", "b"), "ssd": ("beer",)}.get(name.partition("-")[0], ("face",))
    adapted = shipped(models / name, export_labels, worker, tmp_path, **options)
    _, *size = adapted.onnx.input.shape
    assert "built" in runtimes.build(adapted.onnx.data, tuple(size), 8)  # type: ignore[arg-type]


def test_a_model_without_labels(models: Path, worker: Worker, tmp_path: Path) -> None:
    adapted = shipped(models / "fomo-96x96x1-f32.tflite", ("face",), worker, tmp_path)
    known = Metadata(resize_mode=ResizeMode.SQUASH, image_scaling=ImageScaling.NONE)
    nameless = replace(adapted.export, metadata=known)
    translated = Translate(worker=worker)(nameless, tmp_path).artifact
    result = Adapt()(translated, tmp_path)
    assert result.artifact.head.labels == ("class0",)
    assert "EI301" in {finding.id for finding in result.findings}
