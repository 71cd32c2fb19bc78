"""What preparing pictures and decoding outputs adds to ONNX Runtime's own time in a simulation, in one process.

Pictures are decoded and in memory, all of one size; configs are those `convert` emits (batch 1, bilinear). The parts
are what `convert.simulate.run.Runner` measures itself; preparing runs beside the engine, in a second thread, so what is
added is the whole time of a run less that of the engine alone, on inputs that are ready, right before it; of the pairs
the median counts, because a machine's speed changes from second to second. Beside the engine's time within the same run
what is added is less: two threads share memory and the interpreter, and the engine itself becomes slower by that. The
goal is 30 % for 96x96 classifiers over 1,000 pictures; where it is missed the table says so. A second table has the
whole of a run from JPEG files, drawing included.
"""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from convert.check.context import check_target
from convert.images.read import Picture
from convert.simulate.engine import Source, load
from convert.simulate.run import PARTS, Runner
from tests.benchmarks.measure import table

if TYPE_CHECKING:
    from convert.simulate.engine import LoadedEngine

ROOT = Path(__file__).parents[2]
CLASSIFIERS = ("fruit", "shapes")  # of the samples
PICTURES = 1000
RUNS = 9
MEMORY = 2**28  # bytes of pictures, far more than any cache; larger ones come round again
SIZES = ((96, 96), (320, 240), (640, 480), (1280, 720))
GOAL = 0.30
FILES = 100


def main() -> None:
    """Print both tables."""
    models = [ROOT / "samples" / "models" / f"{name}.tflite" for name in CLASSIFIERS]
    models += sorted((ROOT.parent / "shared" / "models").glob("classify-96x96*-f32.*"))
    parts, files = [], []
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "convert", "convert", str(model), "-o", folder, "-q"]
            subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
            config = next(Path(folder).glob("config_infer_primary_*.txt"))
            loaded = load(Source(config), check_target("deepstream-9.1", "dgpu"))
            parts += [_row(model.stem, loaded, size) for size in SIZES]
            files.append(_from_files(model.stem, config))
    load_average = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    title = f"simulate, {PICTURES} pictures in memory: time a picture, median of {RUNS} runs (load {load_average})"
    told = ["whole", "engine alone", "added", "quartiles", "to the engine in the run", f"goal {GOAL:.0%}"]
    table(title, ["model", "network", "pictures", *PARTS[1:], *told], parts)
    title = f"ei-deepstream simulate, {FILES} JPEG files of 640x480, everything written: time a picture"
    table(title, ["model", *PARTS, "whole command"], files)


def _row(name: str, loaded: LoadedEngine, size: tuple[int, int]) -> list[str]:
    width, height = size
    random = np.random.default_rng(0)  # what is in a picture makes no difference to the time
    count = min(PICTURES, MEMORY // (width * height * 3))
    source = [
        Picture(str(number), Path(f"{number}.png"), random.integers(0, 256, (height, width, 3), np.uint8))
        for number in range(count)
    ]
    pictures = [source[number % count] for number in range(PICTURES)]
    ready = np.stack([loaded.prepare(picture.pixels)[0] for picture in pictures[:32]])
    alone, whole, parts = [], [], []
    for _ in range(RUNS):
        start = time.perf_counter()
        for number in range(PICTURES):
            loaded.infer(ready[number % 32 : number % 32 + 1])
        alone.append(time.perf_counter() - start)
        runner = Runner((loaded,))
        start = time.perf_counter()
        for _ in runner(pictures):
            pass
        whole.append(time.perf_counter() - start)
        parts.append(runner.seconds)
    low, added, high = statistics.quantiles(w / a - 1 for w, a in zip(whole, alone, strict=True))
    within = statistics.median(w / part["infer"] - 1 for w, part in zip(whole, parts, strict=True))
    network = "x".join(map(str, loaded.prepare.shape))
    seconds = (*([part[each] for part in parts] for each in PARTS[1:]), whole, alone)
    times = [f"{statistics.median(each) / PICTURES * 1e6:.0f} us" for each in seconds]
    told = [f"{added:.0%}", f"{low:.0%} to {high:.0%}", f"{within:.0%}", "reached" if added <= GOAL else "missed"]
    return [name, network, f"{width}x{height}", *times, *told]


def _from_files(name: str, config: Path) -> list[str]:
    """The command in a process of its own, with the parts it says itself."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        pictures.mkdir()
        for number in range(FILES):
            small = Image.fromarray(random.integers(0, 256, (15, 20, 3), np.uint8))
            data = io.BytesIO()
            small.resize((640, 480)).save(data, "JPEG", quality=90)
            (pictures / f"{number:03d}.jpg").write_bytes(data.getvalue())
        words = [str(config), str(pictures), "-o", str(Path(folder) / "out"), "--format", "json"]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "convert", "simulate", *words], check=True, capture_output=True, cwd=ROOT
        )  # fmt: skip
        whole = time.perf_counter() - start
    seconds = json.loads(done.stdout)["seconds"]
    times = [f"{seconds[part] / FILES * 1e3:.2f} ms" for part in PARTS]
    return [name, *times, f"{whole / FILES * 1e3:.1f} ms"]
