"""EON-compiled C++ to a flatbuffer: time and memory by the size of the file; the limits are 0.5 s for 2 MB and 10 times
the size for 40 MB."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.benchmarks.measure import table
from tests.export.eon.networks import Network
from tests.export.eon.writer import FORMS, write

_CHILD = """
import re, sys, time
import convert.export.eon
from convert.export.eon import rebuild
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
base = peak()
data = open(sys.argv[1], "rb").read()
start = time.perf_counter()
model = rebuild(data, "model.cpp")[0]
print(time.perf_counter() - start, (peak() - base) / 1024, len(model))
"""
_CASES = ((2, "int8", 10), (2, "float32", 10), (40, "int8", 50), (40, "float32", 50), (40, "int8", 1))
_PER_NUMBER = {"int8": 4.7, "float32": 22.7}  # characters


def main(times: int = 3) -> None:
    """Print seconds, and the memory beyond what Python and its imports take, for five files."""
    rows = []
    for megabytes, dtype, layers in _CASES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trained_model_compiled.cpp"
            path.write_text(_source(megabytes * 1_000_000, dtype, layers))
            rows.append([f"{dtype}, {layers} layers", *_measured(path, times)])
    table("EON-compiled C++ to a flatbuffer", ["weights", "C++", "flatbuffer", "time", "memory", "of the size"], rows)


def _measured(path: Path, times: int) -> list[str]:
    results = []
    for _ in range(times):
        output = subprocess.run([sys.executable, "-c", _CHILD, path], check=True, capture_output=True, text=True)
        results.append([float(word) for word in output.stdout.split()])
    seconds, mebibytes, size = sorted(results)[len(results) // 2]
    text = path.stat().st_size
    return [
        *(f"{text / 1e6:.1f} MB", f"{size / 1e6:.1f} MB", f"{seconds:.2f} s", f"{mebibytes:.0f} MiB"),
        f"{mebibytes * (1 << 20) / text:.1f}x",
    ]


def _source(size: int, dtype: str, layers: int) -> str:
    """About `size` characters of square dense layers."""
    random = np.random.default_rng(0)
    side = int((size / layers / _PER_NUMBER[dtype]) ** 0.5)
    net = Network()
    scales = ([0.01], [0], 0) if dtype == "int8" else None
    source = place = net.tensor((1, side), dtype, scales)
    for _ in range(layers):
        values = random.integers(-128, 128, (side, side)) if dtype == "int8" else random.normal(size=(side, side))
        weights, result = net.tensor((side, side), dtype, scales, values), net.tensor((1, side), dtype, scales)
        place = net.call("FULLY_CONNECTED", [place, weights, -1], [result], table="FullyConnected")
    return write(net.model([source], [place]), FORMS["2025-07"])


if __name__ == "__main__":
    main()
