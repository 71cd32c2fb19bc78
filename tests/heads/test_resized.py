"""Boxes of a model that resizes frames itself come back to where Edge Impulse's SDK has them in the frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.graph.resize import resize_frames, take_levels
from convert.heads.base import Options
from convert.heads.fomo import BOXES, COVERAGE, cell_boxes
from convert.images import ANCHORS, Anchor, Frame, ImageScaling, ResizeMode
from convert.images.resizing import Resizing
from convert.images.scaling import as_sdk
from convert.simulate.parsers import Layer
from tests.examples import examples
from tests.graph.proof import onnxruntime
from tests.heads import synthetic
from tests.heads.synthetic import ROWS
from tests.heads.test_framed import in_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EVEN = st.integers(8, 1000).map(lambda half: 2 * half)
_FRAMES = st.tuples(_EVEN, _EVEN).filter(lambda size: 1 / 3 <= size[0] / size[1] <= 3)
_MODES = [ResizeMode.FIT_SHORTEST, ResizeMode.SQUASH, ResizeMode.FIT_LONGEST]


def back(resizing: Resizing, boxes: NDArray[Any]) -> NDArray[np.float64]:
    """The straight way: `boxes` [k,4] of the model's picture, pixels, cut off at its border and at the frame's."""
    place = resizing.placement
    start = np.array([place.view.offset_left, place.view.offset_top] * 2)
    per = np.array([place.view.scale_x, place.view.scale_y] * 2)
    corner = np.array([place.left, place.top] * 2)
    found = (np.clip(boxes, 0, [*resizing.model, *resizing.model]) - start) / per + corner
    clipped: NDArray[np.float64] = np.clip(found, 0, [*resizing.network, *resizing.network])
    return clipped


@examples(60)
@given(_FRAMES, st.tuples(st.integers(8, 200), st.integers(8, 200)), st.sampled_from(_MODES), st.sampled_from(ANCHORS))
def test_every_cell_of_fomo(size: tuple[int, int], model: tuple[int, int], mode: ResizeMode, anchor: Anchor) -> None:
    resizing = Resizing(Frame(*size, in_pixels=True), model, mode, anchor=anchor)
    columns, rows = (-(-side // 8) for side in model)
    places = cell_boxes(model[1], model[0], rows, columns, resizing)
    layers = [Layer.of(COVERAGE, np.ones((1, 1, rows, columns), np.float32)), Layer.of(BOXES, places)]
    found = in_frame(resizing, size, layers, 1)
    row, column = np.divmod(np.arange(rows * columns), columns)
    edges = np.stack([column / columns, row / rows, (column + 1) / columns, (row + 1) / rows], axis=1)
    wanted = back(resizing, edges * [*model, *model])
    sides = wanted[:, 2:] - wanted[:, :2]
    assert len(found) >= (sides.min(axis=1) >= 2).sum()
    kept = wanted[(sides.min(axis=1) >= 2)]
    # each of those is there, within a pixel of the frame (the last cells end 0.01 of a pixel early, and are whole)
    distances = np.abs(found[:, np.newaxis] - kept).max(axis=2).min(axis=0) if len(kept) else np.zeros(1)
    assert distances.max() <= 1.01


@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("task", list(ROWS))
def test_candidates(task: str, mode: ResizeMode) -> None:
    resizing = Resizing(Frame(160, 90, in_pixels=True), (64, 32), mode)
    frame = np.random.default_rng(1).integers(0, 256, (90, 160, 3), np.uint8)
    export = synthetic.fake_export(task, ("a", "b", "c"))

    def fitted(options: Options) -> Any:
        return synthetic.adapt(synthetic.candidates(task, size=(32, 64)), export, options).model

    seen = as_sdk(frame, (64, 32), mode).transpose(2, 0, 1)[np.newaxis]
    plain = onnxruntime(fitted(Options()).SerializeToString(), np.ascontiguousarray(seen, np.float32) / np.float32(255))
    taking = resize_frames(take_levels(fitted(Options(framing=resizing)), ImageScaling.NONE), resizing)
    levels = np.ascontiguousarray(frame.transpose(2, 0, 1)[np.newaxis], np.float32)
    shipped = onnxruntime(taking.SerializeToString(), levels)
    for left, right in zip(plain[1:], shipped[1:], strict=True):
        np.testing.assert_array_equal(left, right)
    wanted = back(resizing, plain[0][0][:, [1, 0, 3, 2]] * [64, 32, 64, 32])
    found = np.clip(shipped[0][0][:, [1, 0, 3, 2]] * [160, 90, 160, 90], 0, [160, 90, 160, 90])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-3)
