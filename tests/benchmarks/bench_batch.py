"""`batch` against the community guide's recipe: 100 exports, none of which is like another.

The exports are the float32 classifiers and FOMO models there are, as `tflite-trained.h`, and variants of them with
other weights: what is cached for one says nothing of another. The recipe (see `bench_convert`) has no batch, so it is
run for 10 of them, one after the other, as in a shell loop. `batch` ends with proven bundles.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from convert.export.facts import facts
from convert.export.tflite import pack, unpack
from samples import layouts
from tests.benchmarks.bench_convert import guide
from tests.benchmarks.measure import Cost, command, ratio, table
from tests.benchmarks.models import REAL

_COUNT = 100
_SAMPLED = 10
_FLOAT32 = 0  # TensorType in tflite's schema
_SMALLEST = 16  # numbers in a constant that counts as weights; below are shapes, means and scales


def main(count: int = _COUNT) -> None:
    """Print models per second, peak memory, and how many times faster than the recipe."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        headers = _headers(folder / "exports", count)
        load = os.getloadavg()[0]
        recipe = _recipe(headers, folder)
        rows = [_row("guide's recipe", recipe, len(headers[:_SAMPLED]), recipe)]
        for name, jobs, output in (
            ("batch, 1 worker", 1, "one"),
            ("batch, 2 workers", 2, "two"),
            ("the same again: nothing to do", 2, "two"),
            ("another folder: all from the cache", 2, "three"),
        ):
            # Only what comes after "two" finds something in the cache.
            cache = folder / ("cache-one" if output == "one" else "cache")
            cost = _batch(folder, folder / output, cache, jobs)
            rows.append(_row(name, cost, count, recipe, of=len(headers[:_SAMPLED])))
    title = f"batch: {count} exports, everything checked; the recipe on {min(count, _SAMPLED)} of them, nothing checked"
    table(f"{title} (load before: {load:.1f})", ["", "models", "seconds", "models/s", "faster", "peak memory"], rows)


def _headers(folder: Path, count: int) -> list[Path]:
    """The exports; the kinds of model take turns, so that the recipe's ten are like the hundred."""
    folder.mkdir()
    kinds = _models()
    made = []
    for number, kind in zip(range(count), itertools.cycle(kinds), strict=False):
        data = kind.read_bytes()
        variant = data if number < len(kinds) else varied(data, number)
        path = folder / f"{kind.stem}-{number:03}.h"
        path.write_text(layouts.header(variant, "F2"))
        made.append(path)
    return made


def _models() -> list[Path]:
    """What every version of the recipe can convert, too."""
    samples = Path(__file__).parents[2] / "samples" / "models"
    paths = [*sorted(samples.glob("*.tflite")), *sorted(REAL.glob("*lite"))]
    known = [(path, facts(path.read_bytes())) for path in paths]
    wanted = {"classifier", "fomo"}
    return [path for path, each in known if each.task in wanted and each.quantization == "float32"]


def varied(model: bytes, seed: int) -> bytes:
    """`model` with every weight some thousandths larger or smaller; the same `seed` gives the same bytes."""
    tree = unpack(model)
    random = np.random.default_rng(seed)
    weights = {tensor.buffer for tensor in tree.subgraphs[0].tensors if tensor.type == _FLOAT32}
    for number in sorted(weights):
        buffer = tree.buffers[number]
        if buffer.data is not None and len(buffer.data) >= 4 * _SMALLEST:
            numbers = np.frombuffer(np.asarray(buffer.data, np.uint8).tobytes(), "<f4")
            changed = numbers * (1 + random.normal(0, 0.002, numbers.size))
            buffer.data = np.frombuffer(changed.astype("<f4").tobytes(), np.uint8)
    return pack(tree)


def _recipe(headers: list[Path], folder: Path) -> Cost:
    work = folder / "guide"
    work.mkdir()
    costs = [guide(header, work) for header in headers[:_SAMPLED]]
    return Cost(sum(cost.seconds for cost in costs), max(cost.mebibytes for cost in costs))


def _batch(folder: Path, output: Path, cache: Path, jobs: int) -> Cost:
    return command(
        *(sys.executable, "-m", "convert", "batch", str(folder / "exports" / "*.h"), "-o", output, "-q"),
        *("--jobs", str(jobs), "--cache-dir", cache),
    )


def _row(name: str, cost: Cost, models: int, recipe: Cost, of: int | None = None) -> list[str]:
    faster = ratio(recipe.seconds / (of or models), cost.seconds / models)
    speed = f"{models / cost.seconds:.2f}"
    return [name, str(models), f"{cost.seconds:.1f}", speed, faster, f"{cost.mebibytes:.0f} MiB"]
