"""Detectors with rows of candidates of which no real model is here: small ones, against the SDK's own decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convert.compare import Cause, Verdict
from tests.compare.bundles import causes, compared, config_of
from tests.graph.flat import Flat, convolution, options, reshape

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Convert = Callable[..., Path]

HEIGHT, WIDTH = SIZE = (64, 96)
STRIDES = (8, 16, 32)
LABELS = ("a", "b", "c")
CELLS = [(x, y, by) for by in STRIDES for y in range(HEIGHT // by) for x in range(WIDTH // by)]
X, Y, _ = np.array([((x + 0.5) * by / WIDTH, (y + 0.5) * by / HEIGHT, by) for x, y, by in CELLS], np.float32).T


def columns(task: str) -> list[tuple[Any, Any]]:
    """(from, to) of each column; every candidate is somewhere between, and few are above the threshold."""
    classes = [(0.0, 0.8)] * len(LABELS)
    if task == "yolox":
        return [(0, 1), (0, 1), (0, 0.5), (0, 0.5), (0.9, 1.1), *classes]
    return [(X - 0.1, X), (Y - 0.1, Y), (X + 0.05, X + 0.1), (Y + 0.05, Y + 0.1), *classes]


def model(task: str) -> bytes:
    """Sigmoids of convolutions, one grid a stride, each column between its limits."""
    limits = columns(task)
    flat = Flat(seed=3)
    picture = flat.tensor(1, HEIGHT, WIDTH, 3, name="serving_default_x:0")
    grids = [
        reshape(
            flat, convolution(flat, picture, len(limits), stride=by, relu6=False),
            1, HEIGHT // by * (WIDTH // by), len(limits),
        )
        for by in STRIDES
    ]  # fmt: skip
    shape = 1, len(CELLS), len(limits)
    rows, shares, scaled, placed = (flat.tensor(*shape) for _ in range(4))
    low, high = (
        np.stack([np.broadcast_to(np.asarray(each[side], np.float32), len(CELLS)) for each in limits], -1)[np.newaxis]
        for side in (0, 1)
    )
    flat.operator("CONCATENATION", grids, [rows], options("Concatenation", axis=1))
    flat.operator("LOGISTIC", [rows], [shares])
    flat.operator("MUL", [shares, flat.constant(high - low)], [scaled], options("Mul"))
    flat.operator("ADD", [scaled, flat.constant(low)], [placed], options("Add"))
    return flat.build([picture], [placed])


@pytest.mark.slow
@pytest.mark.parametrize("task", ["yolox", "yolo-pro"])
def test_the_same_as_edge_impulse(emitted: Convert, tmp_path: Path, task: str) -> None:
    file = tmp_path / "rows.tflite"
    file.write_bytes(model(task))
    bundle = emitted(file, "--task", task, "--labels", ",".join(LABELS), "--resize-mode", "squash", "--frame", "none")
    found = compared(
        config_of(bundle),
        file,
        *(np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8) for seed in (1, 2)),
    )
    assert [(row.verdict, causes(row)) for row in found.rows] == [(Verdict.SAME, [])] * 2
    assert all(row.edge_impulse.objects for row in found.rows)
    assert Cause.SCORE not in {step.cause for step in found.comparison.steps}
