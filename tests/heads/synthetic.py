"""Small ONNX models that end as detectors do, and a fake export to go with them."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from convert.heads import boxes, head
from convert.heads.boxes import RowsHead
from convert.types import Export, Metadata, ModelFacts, Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

    from convert.heads.base import Fitted, Options


ROWS = {each.id: each for each in boxes.HEADS if isinstance(each, RowsHead) and not each.refused}
"""Heads with one row a candidate."""


def adapt(model: ModelProto, export: Export, options: Options) -> Fitted:
    """As the head of the export's task does it."""
    return head(export.facts.task).adapt(model, export, options)


def fake_export(task: str, labels: tuple[str, ...] | None = None, model: bytes = b"") -> Export:
    facts = ModelFacts(Tensor("x", (1, 32, 32, 3), "float32"), (), (), "float32", task)
    return Export(model, "model", "flatbuffer", "model.lite", "", Metadata(labels=labels), facts)


def graph(
    nodes: list[NodeProto],
    constants: dict[str, NDArray[Any]],
    size: tuple[int, int],
    outputs: dict[str, tuple[int, ...]],
    opset: int = 13,
) -> ModelProto:
    """From x [1,3,H,W] to `outputs`, all float32; `size` is (height, width)."""
    made = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, *size])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def heat_map(
    height: int, width: int, channels: int, *, nhwc: bool = True, opset: int = 13, reduction: int = 8
) -> ModelProto:
    """FOMO: a convolution, a softmax over channels; the grid is rounded up."""
    rows, columns = ceil(height / reduction), ceil(width / reduction)
    random = np.random.default_rng(3)
    weights = random.normal(0, 2, (channels, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], kernel_shape=[3, 3], strides=[reduction] * 2, pads=[1, 1, 1, 1]),
        helper.make_node("Transpose", ["a"], ["b"], perm=[0, 2, 3, 1]),
        helper.make_node("Softmax", ["b"], ["c"], axis=3),
        helper.make_node("Transpose", ["c"], ["y"], perm=[0, 3, 1, 2]),
    ]
    shape: tuple[int, ...] = (1, channels, rows, columns)
    if nhwc:
        nodes = nodes[:3]
        nodes[2].output[0] = "y"
        shape = (1, rows, columns, channels)
    return graph(nodes, {"w": weights}, (height, width), {"y": shape}, opset)


def candidates(
    task: str,
    classes: int = 3,
    *,
    unit: str | None = None,
    size: tuple[int, int] = (32, 64),
    opset: int = 13,
    strides: tuple[int, ...] = (8, 16, 32),
) -> ModelProto:
    """Rows = what a convolution gives, scaled, around the places of cells, in the way the task has them.

    A grid for each of `strides`, one candidate a cell. `unit` is what coordinates are measured in.
    """
    layout = ROWS[task]
    unit = layout.unit if unit is None else unit
    columns = layout.others + classes
    random = np.random.default_rng(7)
    nodes: list[NodeProto] = []
    constants: dict[str, NDArray[Any]] = {}
    names: list[str] = []
    count = 0
    for stride in strides:
        cells = (size[0] // stride) * (size[1] // stride)
        constants[f"w{stride}"] = random.normal(0, 0.1, (columns, 3, stride, stride)).astype(np.float32) / stride
        constants[f"s{stride}"] = np.array([1, columns, cells], np.int64)
        names.append(f"r{stride}")
        count += cells
        nodes += [
            helper.make_node(
                "Conv", ["x", f"w{stride}"], [f"c{stride}"], kernel_shape=[stride] * 2, strides=[stride] * 2
            ),
            helper.make_node("Reshape", [f"c{stride}", f"s{stride}"], [f"r{stride}"]),
        ]
    nodes += [
        helper.make_node("Concat", names, ["all"], axis=2),
        helper.make_node("Transpose", ["all"], ["rows"], perm=[0, 2, 1]),
        helper.make_node("Add", ["rows", "offset"], ["placed"]),
    ]
    constants["offset"] = _offsets(task, unit, size, count, columns, strides)
    shape: tuple[int, ...] = (1, count, columns)
    nodes[-1].output[0] = "y"
    if layout.is_turned:
        nodes[-1].output[0] = "placed"
        nodes.append(helper.make_node("Transpose", ["placed"], ["y"], perm=[0, 2, 1]))
        shape = (1, columns, count)
    return graph(nodes, constants, size, {"y": shape}, opset)


def _offsets(
    task: str, unit: str, size: tuple[int, int], count: int, columns: int, strides: tuple[int, ...]
) -> NDArray[np.float32]:
    height, width = size
    offset = np.zeros((1, count, columns), np.float32)
    offset[..., ROWS[task].others :] = 0.3
    if unit == "cells":
        return offset
    places = [
        ((x + 0.5) * stride, (y + 0.5) * stride)
        for stride in strides
        for y in range(height // stride)
        for x in range(width // stride)
    ]
    x, y = np.array(places, np.float32).T
    if unit == "relative":
        x, y = x / width, y / height
    small = 0.2 if unit == "relative" else 12.0
    if task in {"tao-retinanet", "tao-ssd"}:
        offset[0, :, -8], offset[0, :, -7], offset[0, :, -6], offset[0, :, -5] = x - 0.1, y - 0.2, x + 0.1, y + 0.2
        offset[0, :, -4:] = (0.1, 0.1, 0.2, 0.2)
    elif task in {"tao-yolov3", "tao-yolov4"}:
        offset[0, :, 0], offset[0, :, 1] = y, x
        offset[0, :, 2:6] = (0.3, 0.2, 0.1, 0.05)
        offset[0, ::3, 8:10] = 9.0  # e^9 anchors: above YOLOv4's limit
    elif task == "yolo-pro":
        offset[0, :, 0], offset[0, :, 1], offset[0, :, 2], offset[0, :, 3] = x - 0.1, y - 0.1, x + 0.1, y + 0.1
    else:
        offset[0, :, 0], offset[0, :, 1] = x, y
        offset[0, :, 2:4] = small
    if ROWS[task].has_objectness:
        offset[0, :, ROWS[task].others - 1] = 0.6
    return offset
