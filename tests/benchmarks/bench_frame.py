"""Whole frames of 16:9 into models trained on cropped ones: how often each way decides as Edge Impulse does.

Cropped in the graph (`--frame`), squashed, and letterboxed, side by side, on image-like frames; for detectors, whether
the best object is of the same class and overlaps by half, however unsure the model is of it.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.export.facts import facts
from convert.export.unpack import Unpack
from convert.graph.adapt import Adapt
from convert.images import ResizeMode, crop_area, parse_frame
from convert.images.scaling import fit_shortest, scaled
from convert.isolation import Worker
from convert.translate import PRELOAD, Translate
from convert.types import Adapted, Agreement
from convert.validate import shipped
from convert.validate.comparison import original, reference_decoder
from convert.validate.inputs import image_like
from convert.validate.precision import Predictions, agreement, predictions
from tests.benchmarks.measure import table
from tests.benchmarks.models import REAL, classifiers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


FRAME = parse_frame("640x360")
_CHUNK = 25


def main(count: int = 500) -> None:
    """Print a row for each model: top-1 and mean difference of scores for each way."""
    real = [path for path in sorted(REAL.glob("*.*te")) if len(facts(path.read_bytes()).input.shape) == 4]
    paths = real or classifiers()
    with Worker(PRELOAD) as worker:
        rows = [_row(path, count, worker) for path in paths]
    head = ["model", "frames", "cropped in the graph", "squashed", "letterboxed"]
    table(f"best answer as in Edge Impulse, mean difference of scores; frames of {FRAME}", head, rows)


def _row(path: Path, count: int, worker: Worker) -> list[str]:
    adapted = _adapted(path, worker)
    framing = adapted.preprocessing.framing
    assert framing is not None
    means = None if adapted.head.task == "classifier" else reference_decoder(adapted, worker, 600)
    channels = adapted.export.facts.input.shape[-1] or 3
    frames = image_like(count, FRAME.height, FRAME.width, channels)
    wide, high = framing.model
    region = np.array([crop_area(FRAME.width, FRAME.height, framing.model)]) / ([FRAME.width, FRAME.height] * 2)
    inside = np.array([[framing.left, framing.top, *framing.model]]) / ([*framing.network] * 2)
    bars = np.array([_barred(wide, high)])
    everything = np.array([[0.0, 0.0, 1.0, 1.0]])

    def seen(outputs: list[NDArray[Any]], place: NDArray[Any]) -> Predictions:
        return predictions(adapted.head.task, means, outputs).placed(place)

    def trained(pictures: Sequence[NDArray[np.uint8]], place: NDArray[Any]) -> Predictions:
        return seen(original(adapted.export, np.stack(pictures), worker, 600), place)

    found: list[tuple[Agreement, ...]] = []
    while chunk := list(islice(frames, _CHUNK)):
        wanted = trained([fit_shortest(frame, wide, high) for frame in chunk], region)
        ways = (
            seen(shipped(adapted, [scaled(frame, *framing.network) for frame in chunk], means), inside),
            trained([scaled(frame, wide, high) for frame in chunk], everything),
            trained([scaled(frame, wide, high, keep_aspect=True) for frame in chunk], bars),
        )
        found.append(tuple(agreement(wanted, way) for way in ways))
    said = [_together(column) for column in zip(*found, strict=True)]
    return [path.stem, str(said[0].inputs), *(f"{each.top1:7.2%}  {each.mean_abs_diff:.4f}" for each in said)]


def _barred(wide: int, high: int) -> tuple[float, float, float, float]:
    """Where a letterboxed model's picture lies in the frame: its bars are outside."""
    scale = min(wide / FRAME.width, high / FRAME.height)
    shares = wide / (FRAME.width * scale), high / (FRAME.height * scale)
    return (1 - shares[0]) / 2, (1 - shares[1]) / 2, *shares


def _together(parts: Sequence[Agreement]) -> Agreement:
    count = sum(part.inputs for part in parts)
    top1, mean = (
        sum(getattr(part, name) * part.inputs for part in parts) / count for name in ("top1", "mean_abs_diff")
    )
    return replace(parts[0], top1=top1, mean_abs_diff=mean, inputs=count)


def _adapted(path: Path, worker: Worker) -> Adapted:
    with tempfile.TemporaryDirectory() as folder:
        export = Unpack(resize_mode=ResizeMode.FIT_SHORTEST, dequantize=True)(path, Path(folder)).artifact
        translated = Translate(worker=worker)(export, Path(folder)).artifact
        adapted = Adapt(frame=FRAME)(translated, Path(folder)).artifact
    assert isinstance(adapted, Adapted)
    return adapted


if __name__ == "__main__":
    main()
