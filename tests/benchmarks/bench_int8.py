"""Real int8 models against their float32 rewritings, both in LiteRT, on 1,000 image-like inputs.

The goal is the same decision on 98 % of them; neither noise nor edges are among them. "Plain" rounds nothing, "rounded"
rounds the first layer as the original does, "every" each; `--dequantize` measures, and chooses one of the three.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convert.agreement import WithAgreement, int8_agreement
from convert.export.dequantize import dequantize
from convert.export.unpack import Unpack
from convert.isolation import Worker
from convert.types import Export
from convert.validate.inputs import image_like
from tests.benchmarks.measure import table
from tests.benchmarks.models import REAL

if TYPE_CHECKING:
    from numpy.typing import NDArray


def main(count: int = 1000) -> None:
    """Print what the rewriting did, how long it and choosing took, and how well original and choice agree."""
    paths = sorted(REAL.glob("*int8*"))
    if not paths:
        print("\nint8 agreement: the real Edge Impulse models (../shared/models) are not on this machine")
        return
    with Worker(("convert.agreement", "ai_edge_litert.interpreter")) as worker:
        rows = [_row(path, count, worker) for path in paths]
    head = [
        *("model", "clamps", "rewriting", "choosing", "on", "plain", "rounded", "every"),
        *("chosen", "same decision", "mean difference", "greatest"),
    ]
    table(f"int8 models and their float32 rewritings in LiteRT, on {count:,} inputs", head, rows)


def _row(path: Path, count: int, worker: Worker) -> list[str]:
    model = path.read_bytes()
    start = time.perf_counter()
    plain = dequantize(model)
    seconds = time.perf_counter() - start
    ways = {"none": plain, "first": dequantize(model, "first"), "every": dequantize(model, "every")}
    start = time.perf_counter()
    export = WithAgreement(Unpack(dequantize=True), worker=worker)(path, Path()).artifact
    choosing = time.perf_counter() - start
    assert isinstance(export, Export)
    assert export.agreement is not None
    inputs = _inputs(export.facts.input.shape, count)
    found = {name: int8_agreement(model, way.model, inputs, export.facts.task) for name, way in ways.items()}
    chosen = found[export.agreement.layers]
    return [
        *(path.stem, str(plain.clamps), f"{seconds * 1000:.0f} ms", f"{choosing:.2f} s", str(export.agreement.inputs)),
        *(f"{agreement.top1:.2%}" for agreement in found.values()),
        *(export.agreement.layers, f"{chosen.top1:.2%}"),
        *(f"{chosen.mean_abs_diff:.4f}", f"{chosen.max_abs_diff:.3f}"),
    ]


def _inputs(shape: tuple[int | None, ...], count: int) -> NDArray[np.uint8]:
    _, height, width, channels = (size or 1 for size in shape)
    return np.stack(list(image_like(count, height, width, channels)))


if __name__ == "__main__":
    main()
