"""What preparing pictures and decoding outputs adds to ONNX Runtime's own time, in one process.

Pictures are decoded and in memory; the config is the one `convert` emits. Every picture goes alone through the three
steps, so what one step leaves in the caches is what the next one finds, as in a simulation. The target is 30 % for
96x96 classifiers over 1,000 pictures. Scaling four pixels to one is work of its own: beside a network that needs 0.2 ms
it cannot be a third; with pictures of the network's size, or `scaling-filter=0`, it is.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.simulate.decode import decode
from convert.simulate.decode_tensors import Layer
from convert.simulate.preprocess import preprocessor
from convert.simulate.replay_model import layout_of
from convert.simulate.settings_file import read_settings
from tests.benchmarks.measure import table

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
PICTURES = 1000
WARM_UP = 20
MEMORY = 2**28  # bytes of pictures, far more than any cache
SIZES = ((96, 96), (320, 240), (640, 480))


def main() -> None:
    """Print the parts for every sample and every real 96x96 classifier, and for pictures of several sizes."""
    models = sorted((ROOT / "samples" / "models").glob("*.tflite"))
    models += sorted((ROOT.parent / "shared" / "models").glob("classify-96x96*-f32.*"))
    rows = []
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "convert", "convert", str(model), "-o", folder, "-q"]
            subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
            rows += [_row(model.stem, Path(folder), size) for size in SIZES]
    head = ["model", "network", "pictures", "prepare", "ONNX Runtime", "decode", "added"]
    table(f"{PICTURES} pictures, one after the other: median time of each step", head, rows)


def _row(name: str, bundle: Path, size: tuple[int, int]) -> list[str]:
    import onnxruntime  # noqa: PLC0415 - heavy

    settings = read_settings(next(bundle.glob("config_infer_primary_*.txt")))
    model = next(bundle.glob("*.onnx"))
    layout = layout_of(model, settings)
    prepare = preprocessor(settings, layout.network)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    wanted = session.get_inputs()[0].name
    names = [output.name for output in layout.outputs]
    pictures = _pictures(size)
    spent = np.zeros((PICTURES, 3))
    for number in range(-WARM_UP, PICTURES):
        start = time.perf_counter()
        tensor, _ = prepare(pictures[number % len(pictures)])
        ready = time.perf_counter()
        outputs: list[Any] = session.run(names, {wanted: tensor[None]})
        done = time.perf_counter()
        decode(settings, layout.network, [Layer.of(*one) for one in zip(names, outputs, strict=True)])
        end = time.perf_counter()
        if number >= 0:
            spent[number] = ready - start, done - ready, end - done
    prepared, run, decoded = np.median(spent, axis=0) * 1e6
    times = [f"{one:.0f} us" for one in (prepared, run, decoded)]
    network = "x".join(map(str, prepare.shape))
    return [name, network, f"{size[0]}x{size[1]}", *times, f"{(prepared + decoded) / run:.0%}"]


def _pictures(size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Noise: what is in a picture makes no difference. Large ones come round again, so that all fit into memory."""
    random = np.random.default_rng(0)
    count = min(PICTURES, MEMORY // (size[0] * size[1] * 3))
    return [random.integers(0, 256, (size[1], size[0], 3), np.uint8) for _ in range(count)]
