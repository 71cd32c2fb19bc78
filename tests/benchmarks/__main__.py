"""`make bench`: every benchmark in this folder, one after the other, or those named on the command line.

`bench_gpu` takes models and is started by itself (`make bench-gpu`).
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def _main(names: list[str]) -> None:
    here = Path(__file__).parent
    for path in sorted(here.glob("bench_*.py")):
        if path.stem != "bench_gpu" and (not names or path.stem.removeprefix("bench_") in names):
            importlib.import_module(f"tests.benchmarks.{path.stem}").main()


if __name__ == "__main__":
    _main(sys.argv[1:])
