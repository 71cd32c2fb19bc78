"""What whole frames cost: bytes of the engine's input and milliseconds a picture in ONNX Runtime, one core.

Each real image model is told fit-shortest: the network alone (`--frame none`), whole frames by default, and frames of
640x360 with `--resize graph`. How often each shows Edge Impulse's answer: `bench_answers`.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from convert.api import convert
from convert.export.facts import facts
from convert.images import ResizeMode
from convert.onnx_header import parse_header
from convert.validate import runtimes
from tests.benchmarks.measure import table
from tests.benchmarks.models import REAL

WAYS: dict[str, dict[str, Any]] = {
    "network alone": {"frame": "none"},
    "whole frames": {},
    "640x360, resize graph": {"frame": "640x360", "resize": "graph"},
}


def main() -> None:
    """Print a row for each model."""
    paths = [path for path in sorted(REAL.glob("*.*lite")) if len(facts(path.read_bytes()).input.shape) == 4]
    rows = [[path.stem, *(_cost(path, **options) for options in WAYS.values())] for path in paths]
    table("input of the engine in kB, milliseconds a picture", ["model", *WAYS], rows)


def _cost(path: Path, runs: int = 30, **options: Any) -> str:
    with tempfile.TemporaryDirectory() as folder:
        bundle = convert(path, Path(folder) / "bundle", resize_mode=ResizeMode.FIT_SHORTEST, role="pgie", **options)
        (model,) = Path(bundle.folder).glob("*.onnx")
        data = model.read_bytes()
    shape = [side or 1 for side in parse_header(data).inputs[0].shape]
    session, values = runtimes.load(data), np.zeros(shape, np.float32)
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        runtimes.run_onnx(session, values)
        taken.append(time.perf_counter() - start)
    return f"{4 * math.prod(shape) / 1000:6.0f}  {1000 * min(taken):7.2f}"


if __name__ == "__main__":
    main()
