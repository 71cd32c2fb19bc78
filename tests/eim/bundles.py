"""Small bundles whose answers can be worked out by hand, written as `emit` writes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx.parser
from onnx import numpy_helper

from convert.dsp import Impulse as Window
from convert.dsp import KMeans
from convert.eim import bundle
from convert.eim.bundle import Impulse
from convert.files import Output, sha256, write_all
from convert.images import ResizeMode
from convert.report import dumps, impulse_report, report_document
from convert.types import (
    Adapted,
    BatchParity,
    Differences,
    Evidence,
    Export,
    Head,
    ImpulseEvidence,
    ImpulseModel,
    Limits,
    Metadata,
    ModelFacts,
    OnnxModel,
    Preprocessing,
    Tensor,
    Translated,
    Validated,
    ValidatedImpulse,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

RGB = Preprocessing(1 / 255, (), "RGB", False, False, "", ResizeMode.SQUASH)
GRAY = replace(RGB, color="GRAY")

NOTHING = Metadata()


def read_impulse(path: Path, **options: Any) -> Impulse:
    """A bundle of pictures, read."""
    found = bundle.read_impulse(path, **options)
    assert isinstance(found, Impulse)
    return found


@dataclass(frozen=True)
class Sketch:
    """A bundle to be: a graph as ONNX text, its constants, and what the report says."""

    text: str
    head: Head
    shape: tuple[int, int, int]
    constants: Mapping[str, NDArray[Any]]
    metadata: Metadata = NOTHING
    preprocessing: Preprocessing = RGB
    name: str = "model"

    def write(self, folder: Path) -> Path:
        """Into `folder`, which is returned."""
        model = onnx.parser.parse_model(self.text)
        model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in self.constants.items())
        onnx.checker.check_model(model)
        data = model.SerializeToString()
        source = Tensor("x_input", (None, *self.shape), "float32")
        facts = ModelFacts(source, (), (), "float32", self.head.task)
        export = Export(b"", self.name, "flatbuffer", "x.tflite", "", self.metadata, facts)
        shipped = OnnxModel(data, source, (), 13)
        adapted = Adapted(Translated(export, shipped), shipped, self.head, self.preprocessing)
        files = {adapted.file: data}
        listed = [Output(name, sha256(content)) for name, content in files.items()]
        files["report.json"] = dumps(report_document(Validated(adapted, Evidence()), {}, listed, ()))
        write_all(folder, files)
        return folder

    def impulse(self, folder: Path) -> Impulse:
        """Written into `folder` and read back."""
        return read_impulse(self.write(folder))


FACE = Metadata(
    threshold=0.5,
    block_id=18,
    project_id=222550,
    project_name="Face detection - FOMO - bigger dataset",
    project_owner="owner",
    deploy_version=98,
    impulse_id=1,
    impulse_name="Impulse #1",
    resize_mode=ResizeMode.SQUASH,
)
"""The project whose executables were recorded (shared/vectors/eim)."""


def classifier(height: int = 8, width: int = 8, *, gray: bool = False, **changes: Any) -> Sketch:
    """Three labels: softmax of 4 * the mean of each colour (or, of grey, 4, 0 and -4 times it)."""
    channels = 1 if gray else 3
    weights = np.array([[4.0], [0.0], [-4.0]] if gray else np.eye(3) * 4, np.float32).reshape(3, channels, 1, 1)
    sketch = Sketch(
        f"""<ir_version: 8, opset_import: ["" : 13]>
        g (float[N,{channels},{height},{width}] x_input) => (float[N,3] scores) {{
            mean = GlobalAveragePool(x_input)
            logits = Conv(mean, weights)
            flat = Flatten(logits)
            scores = Softmax(flat)
        }}""",
        Head("classifier", ("red", "green", "blue")),
        (channels, height, width),
        {"weights": weights},
        preprocessing=GRAY if gray else RGB,
    )
    return replace(sketch, **changes)


def fomo(height: int = 96, width: int = 96, *, labels: tuple[str, ...] = ("face",), **changes: Any) -> Sketch:
    """A cell of 8x8 is one of the first label where it is green, of the second where it is blue.

    The heat map is softmax(0, 20*(green - red/2 - blue/2) - 10, 20*(blue - ...) - 10) of the cell's mean colour.
    """
    classes = len(labels)
    weights = np.zeros((classes + 1, 3, 1, 1), np.float32)
    bias = np.zeros(classes + 1, np.float32)
    for number in range(classes):
        weights[number + 1, :, 0, 0] = -10
        weights[number + 1, (1, 2)[number], 0, 0] = 20
        bias[number + 1] = -10
    rows, columns = height // 8, width // 8
    sketch = Sketch(
        f"""<ir_version: 8, opset_import: ["" : 13]>
        g (float[N,3,{height},{width}] x_input) =>
          (float[N,{classes},{rows},{columns}] "output_cov/Sigmoid",
           float[N,{4 * classes},{rows},{columns}] "output_bbox/BiasAdd") {{
            mean = AveragePool <kernel_shape = [8, 8], strides = [8, 8]> (x_input)
            logits = Conv(mean, weights, bias)
            raw_heat_map = Softmax <axis = 1> (logits)
            "output_cov/Sigmoid" = Slice(raw_heat_map, one, many, one)
            "output_bbox/BiasAdd" = Conv("output_cov/Sigmoid", nothing)
        }}""",
        Head("fomo", labels, merge="none"),
        (3, height, width),
        {
            "weights": weights,
            "bias": bias,
            "one": np.array([1], np.int64),
            "many": np.array([classes + 1], np.int64),
            "nothing": np.zeros((4 * classes, classes, 1, 1), np.float32),
        },
        metadata=FACE,
    )
    return replace(sketch, **changes)


SOUND = Window("microphone", 16, 1, ("audio",), 16.0, 4, (), ())
MOTION = Window("accelerometer", 10, 2, ("x", "y"), 62.5, 0, (), ())


def sampled(
    folder: Path, window: Window = SOUND, labels: tuple[str, ...] = ("quiet", "up", "down"), *, anomaly: bool = False
) -> Path:
    """A whole impulse: softmax of 0, m and -m, where m is the mean of the window; the anomaly score is |m|."""
    size, outputs, nodes = window.samples * window.axes, [], ["mean = ReduceMean <axes = [1]> (samples)"]
    if labels:
        outputs.append(f"float[N,{len(labels)}] scores")
        nodes += ["logits = MatMul(mean, weights)", "scores = Softmax <axis = 1> (logits)"]
    if anomaly:
        outputs.append("float[N,1] anomaly")
        nodes.append("anomaly = Abs(mean)")
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 13]>
        g (float[N,{size}] samples) => ({", ".join(outputs)}) {{ {chr(10).join(nodes)} }}"""
    )
    if labels:
        model.graph.initializer.append(numpy_helper.from_array(np.array([[0, 1, -1]], np.float32), "weights"))
    onnx.checker.check_model(model)
    scorer = KMeans((0,), (0.0,), (1.0,), ((0.0,),), (0.0,), 1) if anomaly else None
    source = Tensor("samples", (None, size), "float32")
    facts = ModelFacts(source, (), (), "float32", "not-image")
    export = Export(
        b"", folder.name, "E1", "x.zip", "", Metadata(project_name="Sounds"), facts,
        impulse=replace(window, anomaly=scorer),
    )  # fmt: skip
    shipped = ImpulseModel(export, OnnxModel(model.SerializeToString(), source, (), 13), labels, b"")
    evidence = ImpulseEvidence(Differences(0, 0, 1, 1), None, None, None, BatchParity((1,), 0.0), {})
    files = {shipped.file: shipped.onnx.data}
    listed = [Output(name, sha256(content)) for name, content in files.items()]
    files["report.json"] = dumps(impulse_report(ValidatedImpulse(shipped, evidence), {}, listed, ()))
    write_all(folder, files)
    return folder


ROWS = np.array(
    [
        # xc, yc, w, h, objectness, cat, dog
        [0.50, 0.50, 0.20, 0.40, 0.9, 0.1, 0.8],
        [0.51, 0.50, 0.20, 0.40, 0.8, 0.9, 0.1],  # overlaps the first, another label
        [0.10, 0.10, 0.30, 0.10, 0.7, 0.6, 0.4],  # reaches over the left edge
        [0.80, 0.80, 0.10, 0.10, 0.4, 0.9, 0.1],  # below the threshold
    ],
    np.float32,
)
"""What the invented YOLOv5 finds in every picture."""


def yolov5(height: int = 64, width: int = 96, **changes: Any) -> Sketch:
    """Finds `ROWS` in every picture; its own outputs score by objectness * class."""
    count = len(ROWS)
    product = ROWS[:, 4:5] * ROWS[:, 5:]
    corners = np.stack(
        [ROWS[:, 1] - ROWS[:, 3] / 2, ROWS[:, 0] - ROWS[:, 2] / 2, ROWS[:, 1] + ROWS[:, 3] / 2,
         ROWS[:, 0] + ROWS[:, 2] / 2], axis=1,
    )  # fmt: skip
    sketch = Sketch(
        f"""<ir_version: 8, opset_import: ["" : 13]>
        g (float[N,3,{height},{width}] x_input) =>
          (float[N,{count},4] detection_boxes, float[N,{count}] detection_scores,
           float[N,{count}] detection_classes) {{
            mean = ReduceMean <axes = [1, 2, 3], keepdims = 0> (x_input)
            column = Reshape(mean, tall)
            none = Mul(column, zero)
            deep = Reshape(mean, deeper)
            nothing = Mul(deep, zero)
            raw_candidates = Add(nothing, rows)
            spare = Slice(raw_candidates, zeros, fours, last)
            gone = Mul(spare, zero)
            detection_boxes = Add(gone, corners)
            detection_scores = Add(none, scores)
            detection_classes = Add(none, classes)
        }}""",
        Head("yolov5", ("cat", "dog"), score="product", coordinates="relative"),
        (3, height, width),
        {
            "rows": ROWS[np.newaxis],
            "corners": corners[np.newaxis].astype(np.float32),
            "scores": product.max(axis=1)[np.newaxis],
            "classes": product.argmax(axis=1)[np.newaxis].astype(np.float32),
            "zero": np.array(0, np.float32),
            "tall": np.array([-1, 1], np.int64),
            "deeper": np.array([-1, 1, 1], np.int64),
            "zeros": np.array([0], np.int64),
            "fours": np.array([4], np.int64),
            "last": np.array([2], np.int64),
        },
        metadata=Metadata(threshold=0.5, block_id=7),
    )
    return replace(sketch, **changes)


def ssd(height: int = 64, width: int = 96, **changes: Any) -> Sketch:
    """The same boxes with the same scores, as an SSD whose last operator drops overlaps above 0.6."""
    sketch = yolov5(height, width)
    constants = {**sketch.constants, "scores": ROWS[np.newaxis, :, 4]}
    head = Head("ssd", ("cat", "dog"), limits=Limits(detections=10, score=0.0, overlap=0.6))
    text = sketch.text.replace("raw_candidates", "other")
    return replace(replace(sketch, text=text, head=head, constants=constants), **changes)


def painted(sketch: Sketch, *spots: tuple[int, int, int, int, tuple[int, int, int]]) -> NDArray[np.uint8]:
    """A black picture of the sketch's size with rectangles (x, y, width, height, colour)."""
    channels, height, width = sketch.shape
    picture = np.zeros((height, width, channels), np.uint8)
    for x, y, wide, high, colour in spots:
        picture[y : y + high, x : x + wide] = colour[:channels]
    return picture
