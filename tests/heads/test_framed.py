"""Boxes of a model that crops come back to where they are in the frame, through nvinfer's own arithmetic."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.graph.adapt import Adapt
from convert.graph.resize import crop
from convert.heads.base import Options
from convert.heads.boxes import OUTPUTS
from convert.heads.decoding import ReferenceDecoder
from convert.heads.fomo import BOXES, COVERAGE, FOMO, cell_boxes
from convert.images import ANCHORS, CENTRE, Anchor, Frame, Framing, ResizeMode, crop_area, parse_frame
from convert.images.scaling import Network, place
from convert.simulate.decode import attach, decode
from convert.simulate.parsers import Layer
from convert.simulate.settings import Settings
from convert.types import Head
from tests.examples import examples
from tests.graph.proof import onnxruntime
from tests.heads import synthetic
from tests.heads.ssds import ssd
from tests.heads.synthetic import ROWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from convert.types import Adapted, Export, Translated

FRAMES = st.tuples(st.integers(2, 2200), st.integers(2, 2200)).filter(lambda size: 1 / 3 <= size[0] / size[1] <= 3)
_TFSSD = {"custom-lib-path": "/lib/libnvds_infercustomparser.so", "parse-bbox-func-name": "NvDsInferParseCustomTfSSD"}


def in_frame(framing: Framing, size: tuple[int, int], layers: list[Layer], classes: int) -> NDArray[np.float64]:
    """[k,4] left, top, right, bottom in the frame of all objects nvinfer attaches, in its order."""
    values: dict[str, Any] = {"cluster-mode": 4, "num-detected-classes": classes}
    values["class-attrs"] = [{"pre-cluster-threshold": 0.0}] * classes
    library = "" if layers[0].name == COVERAGE else _TFSSD["custom-lib-path"]
    config = Settings.from_values({**values, **(_TFSSD if library else {})}, library=library)
    network = Network(3, *framing.network[::-1])
    objects = decode(config, network, layers).frames[0].objects  # type: ignore[union-attr]
    found = attach(config, place(*size, network).view, objects)
    return np.array([(box.left, box.top, box.left + box.width, box.top + box.height) for box in found])


def back(framing: Framing, size: tuple[int, int], boxes: NDArray[Any]) -> NDArray[np.float64]:
    """The straight way: `boxes` [k,4] of the model's picture, pixels, cut off at its border, to pixels of the frame.

    Of an odd frame nvinfer scales one column or row less.
    """
    wide, high = (side - side % 2 for side in size)
    start = np.array([framing.left, framing.top] * 2)
    per = np.array([wide / framing.network[0], high / framing.network[1]] * 2)
    result: NDArray[np.float64] = (np.clip(boxes, 0, [*framing.model, *framing.model]) + start) * per
    return result


@pytest.mark.parametrize(
    ("frame", "wanted"),
    [
        (Frame(2, 1), [[0.25, 0.5, 0.5, 0.75], [0, 0.25, 1, 0.75]]),
        (Frame(1, 2), [[0.375, 0.5, 0.5, 1], [0.25, 0, 0.75, 1]]),
        (Frame(1, 1), [[0.25, 0.5, 0.5, 1], [-1, -1, 2, 2]]),
    ],
)
def test_places_of_the_reference_in_the_network_s_picture(frame: Frame, wanted: list[list[float]]) -> None:
    """The right half of a strip, and a box that leaves the model's picture on every side."""
    boxes = np.array([[[0.25, 0.5, 0.5, 1], [-1, -1, 2, 2]]], np.float32)
    decoder = ReferenceDecoder(Head("ssd", ("a",)), 96, 96, framing=Framing(frame, (96, 96)))
    np.testing.assert_array_equal(decoder.placed(boxes), [wanted])


@examples(60)
@given(
    FRAMES, st.tuples(st.integers(8, 400), st.integers(8, 400)), st.sampled_from([7, 8, 16]), st.sampled_from(ANCHORS)
)
def test_every_cell_of_fomo(size: tuple[int, int], model: tuple[int, int], reduction: int, anchor: Anchor) -> None:
    framing = Framing(Frame(*size, in_pixels=True), model, anchor=anchor)
    columns, rows = (ceil(side / reduction) for side in model)
    places = cell_boxes(model[1], model[0], rows, columns, framing)
    layers = [Layer.of(COVERAGE, np.ones((1, 1, rows, columns), np.float32)), Layer.of(BOXES, places)]
    found = in_frame(framing, size, layers, 1)
    assert len(found) == rows * columns
    row, column = np.divmod(np.arange(len(found)), columns)
    edges = np.stack([column / columns, row / rows, (column + 1) / columns, (row + 1) / rows], axis=1)
    wanted = back(framing, size, edges * [*model, *model])
    # half a pixel of the frame; where it is much larger than the network, the 0.01 that the last cell ends early
    scale = max(size[0] / framing.network[0], size[1] / framing.network[1])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=max(0.5, 0.02 * scale))


def test_a_whole_fomo() -> None:
    framing = Framing(parse_frame("1280x720"), (64, 32))
    export = synthetic.fake_export("fomo", ("a", "b"))
    plain = FOMO.adapt(synthetic.heat_map(32, 64, 3), export, Options()).model
    cropping = crop(FOMO.adapt(synthetic.heat_map(32, 64, 3), export, Options(framing=framing)).model, framing)
    pictures = np.random.default_rng(1).random((1, 3, *framing.network[::-1]), np.float32)
    part = pictures[:, :, framing.top : framing.top + 32, framing.left : framing.left + 64]
    before, after = (
        onnxruntime(each.SerializeToString(), np.ascontiguousarray(values))
        for each, values in ((plain, part), (cropping, pictures))
    )
    np.testing.assert_array_equal(before[0], after[0])  # coverage
    np.testing.assert_array_equal(before[2], after[2])  # the heat map
    assert not np.allclose(before[1], after[1])


def fitted(task: str, framing: Framing | None, opset: int = 13, score: str = "product") -> Any:
    export = synthetic.fake_export(task, ("a", "b", "c"))
    options = Options(framing=framing, yolo_score=score)
    return synthetic.adapt(synthetic.candidates(task, size=(32, 64), opset=opset), export, options).model


@pytest.mark.parametrize(
    ("task", "frame", "anchor"),
    [
        *((task, frame, anchor) for task in ROWS for frame, anchor in (("16:9", CENTRE), ("9:16", (0.5, 1.0)))),
        *(("yolov5", frame, CENTRE) for frame in ("9:16", "3:1", "1919x1079")),
        *(("yolov5", "3:1", anchor) for anchor in ((0.0, 0.5), (1.0, 0.0))),
    ],
)
def test_candidates(task: str, frame: str, anchor: Anchor) -> None:
    framing = Framing(parse_frame(frame), (64, 32), anchor=anchor)
    size = framing.frame.pixels
    pictures = np.random.default_rng(1).random((1, 3, *framing.network[::-1]), np.float32)
    part = pictures[:, :, framing.top : framing.top + 32, framing.left : framing.left + 64]
    plain = onnxruntime(fitted(task, None).SerializeToString(), np.ascontiguousarray(part))
    cropping = onnxruntime(crop(fitted(task, framing), framing).SerializeToString(), pictures)
    for left, right in zip(plain[1:], cropping[1:], strict=True):
        np.testing.assert_array_equal(left, right)
    boxes = plain[0][0][:, [1, 0, 3, 2]] * [64, 32, 64, 32]
    assert (boxes < 0).any() or (boxes > [64, 32, 64, 32]).any() or task == "yolo-pro"
    wanted = back(framing, size, boxes)
    found = in_frame(framing, size, _layers(cropping[:3]), 3)
    scored = plain[1][0] >= 0  # these invented networks have scores below, which nvinfer drops
    assert_same(found, wanted[_shown(wanted) & scored], 0.5 + _last(framing, size))


@pytest.mark.parametrize("task", [task for task in ROWS if ROWS[task].by_objectness])
def test_candidates_as_edge_impulse_reports_them(task: str) -> None:
    """The same are dropped, and boxes are whole pixels of the part that the model sees."""
    framing = Framing(parse_frame("1280x720"), (64, 32))
    pictures = np.random.default_rng(1).random((1, 3, *framing.network[::-1]), np.float32)
    part = pictures[:, :, framing.top : framing.top + 32, framing.left : framing.left + 64]
    plain = onnxruntime(fitted(task, None, score="objectness").SerializeToString(), np.ascontiguousarray(part))
    model = crop(fitted(task, framing, score="objectness"), framing)
    cropping = onnxruntime(model.SerializeToString(), pictures)
    for left, right in zip(plain[1:], cropping[1:], strict=True):
        np.testing.assert_array_equal(left, right)
    wide, high = framing.network
    found = cropping[0] * [high, wide, high, wide]
    wanted = np.clip(plain[0] * [32, 64, 32, 64], 0, [32, 64, 32, 64])
    np.testing.assert_allclose(found, wanted + [framing.top, framing.left] * 2, rtol=0, atol=1e-4)
    np.testing.assert_allclose(wanted, wanted.round(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("opset", [9, 10, 11, 18])
def test_every_opset(opset: int) -> None:
    framing = Framing(parse_frame("16:9"), (64, 32))
    pictures = np.random.default_rng(2).random((1, 3, *framing.network[::-1]), np.float32)
    newest = onnxruntime(crop(fitted("yolov5", framing), framing).SerializeToString(), pictures)
    found = onnxruntime(crop(fitted("yolov5", framing, opset), framing).SerializeToString(), pictures)
    for left, right in zip(found, newest, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("frame", "anchor"),
    [("16:9", CENTRE), ("9:16", CENTRE), ("641x479", CENTRE), ("16:9", (1.0, 0.0)), ("9:16", (1.0, 0.0))],
)
def test_ssd(
    frame: str,
    anchor: Anchor,
    export: Callable[..., Export],
    adapted: Callable[..., Adapted],
    translated: Callable[..., Translated],
) -> None:
    made = export(ssd(), labels=("a", "b"), resize_mode=ResizeMode.FIT_SHORTEST, crop_anchor=anchor)
    plain = adapted(made)
    framed = Adapt(frame=parse_frame(frame), resize="device")(translated(made), None).artifact  # type: ignore[arg-type]
    framing = framed.preprocessing.framing
    assert framing is not None
    size = framing.frame.pixels
    pictures = np.random.default_rng(4).random((1, 3, *framing.network[::-1]), np.float32)
    part = pictures[:, :, framing.top : framing.top + 32, framing.left : framing.left + 48]
    before = onnxruntime(plain.onnx.data, np.ascontiguousarray(part))
    after = onnxruntime(framed.onnx.data, pictures)
    boxes = before[0][0][:, [1, 0, 3, 2]] * [48, 32, 48, 32]
    wanted = back(framing, size, boxes)
    found = in_frame(framing, size, _layers(after), 2)
    assert_same(found, wanted[_shown(wanted)], 0.5 + _last(framing, size))
    # and where Edge Impulse, whose crop is of whole pixels, draws them: half a pixel of the network for the stretch
    left, top, wide, high = crop_area(size[0], size[1], framing.model, anchor=anchor)
    drawn = np.clip(boxes / [48, 32, 48, 32], 0, 1) * [wide, high, wide, high] + [left, top, left, top]
    per = max(size[0] / framing.network[0], size[1] / framing.network[1])
    assert_same(found, drawn[_shown(wanted)], 0.5 * per + 1 + _last(framing, size))


def assert_same(found: NDArray[Any], wanted: NDArray[Any], pixels: float) -> None:
    """The same boxes in any order (nvinfer sorts them), edges within `pixels`."""
    assert len(found) == len(wanted) > 0
    apart = np.abs(found[:, np.newaxis] - wanted[np.newaxis]).max(axis=2)
    assert apart.min(axis=0).max() <= pixels
    assert apart.min(axis=1).max() <= pixels


def _layers(outputs: list[NDArray[Any]]) -> list[Layer]:
    return [Layer.of(name, values) for name, values in zip(OUTPUTS, outputs, strict=True)]


def _shown(boxes: NDArray[Any]) -> NDArray[Any]:
    """Which boxes have a size: the parser drops the others."""
    shown: NDArray[Any] = ((boxes[:, 2:] - boxes[:, :2]) > 1e-3).all(axis=1)
    return shown


def _last(framing: Framing, size: tuple[int, int]) -> float:
    """What nvinfer's parser takes off at the network's border, in pixels of the frame: it ends at W-1 and H-1."""
    return max(size[0] / framing.network[0], size[1] / framing.network[1])


def test_options_without_a_frame_change_nothing() -> None:
    one = fitted("yolov5", None).SerializeToString()
    same = Framing(parse_frame("2:1"), (64, 32))
    assert not same.crops
    assert fitted("yolov5", same).SerializeToString() == one
    assert replace(Options(), framing=same) != Options()
