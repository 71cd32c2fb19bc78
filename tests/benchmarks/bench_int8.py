"""Real int8 models against their float32 rewritings, both in LiteRT, on 1,000 image-like inputs.

The goal is the same decision on 98 % of them; neither noise nor edges are among them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from convert.export.dequantize import dequantize, int8_agreement
from convert.export.facts import facts
from convert.validate.inputs import image_like
from tests.benchmarks.measure import table
from tests.benchmarks.models import REAL

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def main(count: int = 1000) -> None:
    """Print what the rewriting did, how long it took, and how well the two agree."""
    paths = sorted(REAL.glob("*int8*"))
    if not paths:
        print("\nint8 agreement: the real Edge Impulse models (../shared/models) are not on this machine")
        return
    rows = [_row(path, count) for path in paths]
    head = ["model", "clamps", "rewriting", "inputs", "same decision", "mean difference", "greatest"]
    table("int8 models and their float32 rewritings in LiteRT", head, rows)


def _row(path: Path, count: int) -> list[str]:
    model = path.read_bytes()
    start = time.perf_counter()
    rebuilt = dequantize(model)
    seconds = time.perf_counter() - start
    known = facts(model)
    agreement = int8_agreement(model, rebuilt.model, _inputs(known.input.shape, count), known.task)
    return [
        *(path.stem, str(rebuilt.clamps), f"{seconds * 1000:.0f} ms", str(agreement.inputs)),
        *(f"{agreement.top1:.2%}", f"{agreement.mean_abs_diff:.4f}", f"{agreement.max_abs_diff:.3f}"),
    ]


def _inputs(shape: tuple[int | None, ...], count: int) -> NDArray[np.uint8]:
    _, height, width, channels = (size or 1 for size in shape)
    return np.stack(list(image_like(count, height, width, channels)))


if __name__ == "__main__":
    main()
