"""`eim serve` against the bare ONNX Runtime call: what one classification costs over the protocol.

A packed 96x96x3 classifier (MobileNet-like, the real one where it is) and a FOMO model of that size answer our client
over a socket with shared memory, over a socket with JSON, and over standard input; beside it the same picture goes
straight into ONNX Runtime in this process. Then: how long until the socket is there, and until the first answer.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convert.__main__ import main as command_line
from convert.eim.bundle import pack
from convert.eim.client import talk
from convert.eim.server import Loaded
from convert.validate import runtimes
from tests.benchmarks.measure import table
from tests.eim import bundles
from tests.eim.bundles import read_impulse

if TYPE_CHECKING:
    from collections.abc import Callable

_TRANSPORTS = (("socket, shared memory", False, True), ("socket, JSON", False, False), ("stdin, JSON", True, False))


def main(times: int = 300) -> None:
    """Print medians in milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        rows, starts = [], []
        for name, bundle in _bundles(Path(folder)):
            model = Path(folder) / f"{name}.eim"
            pack(bundle, model)
            rows += _latencies(name, bundle, model, times)
            starts.append([name, *_starts(model, Path(folder))])
    head = ["model", "transport", "client sees", "bare call", "overhead", "p99"]
    table("one classification, median milliseconds", head, rows)
    table("start of a packed .eim, milliseconds", ["model", "socket is there", "first answer"], starts)


def _bundles(folder: Path) -> list[tuple[str, Path]]:
    """Name and bundle of each model."""
    made = [("fomo 96x96x3 (tiny)", bundles.fomo().write(folder / "fomo"))]
    real = Path(__file__).parents[3] / "shared" / "models" / "classify-96x96x3-f32.lite"
    if real.is_file():
        assert command_line(["convert", str(real), "-o", str(folder / "real"), "-q"]) == 0
        made.append(("classifier 96x96x3", folder / "real"))
    return made


def _latencies(name: str, bundle: Path, model: Path, times: int) -> list[list[str]]:
    impulse = read_impulse(bundle)
    features = np.random.default_rng(0).integers(0, 1 << 24, impulse.features).astype(np.float32)
    session = runtimes.load(impulse.onnx)
    tensor = np.random.default_rng(0).random((1, impulse.channels, impulse.height, impulse.width), np.float32)
    Loaded(impulse).classify(features, impulse.threshold)
    rows = []
    for transport, stdio, shared in _TRANSPORTS:
        with talk(model, stdio=stdio, shared=shared) as client:
            # In turn, so that a busy moment hits both.
            pairs = [
                (_time(lambda: runtimes.run_onnx(session, tensor)), _seen(client.classify, features))
                for _ in range(times)
            ]
        bare, seen = (statistics.median(column) for column in zip(*pairs, strict=True))
        worst = sorted(pair[1] for pair in pairs)[int(times * 0.99)]
        rows.append([name, transport, f"{seen:.2f}", f"{bare:.2f}", f"{seen - bare:.2f}", f"{worst:.2f}"])
    return rows


def _seen(classify: Callable[[np.ndarray], object], features: np.ndarray) -> float:
    return _time(lambda: classify(features))


def _time(call: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def _starts(model: Path, folder: Path, times: int = 5) -> list[str]:
    there, answered = [], []
    for number in range(times):
        path = folder / f"{number}.sock"
        start = time.perf_counter()
        process = subprocess.Popen([model, path], stdout=subprocess.DEVNULL)
        while not path.exists():
            time.sleep(0.001)
        there.append((time.perf_counter() - start) * 1000)
        with talk(path) as client:
            client.classify(np.zeros(client.model.features, np.float32))
            answered.append((time.perf_counter() - start) * 1000)
        process.wait()
    return [f"{statistics.median(column):.0f}" for column in (there, answered)]
