"""FOMO's cells merged in the graph: what it costs, and how often a frame has the objects that Edge Impulse's SDK finds.

Frames are photographs, cut at random, and invented scenes, 640x360, squashed to the model's size. Both sides decode the
same heat maps, so that nothing but the merging differs. Frames without an object on either side count as equal.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from convert.export.unpack import Unpack
from convert.graph.adapt import FOMO_MERGES, Adapt
from convert.heads.base import Rules
from convert.heads.decoding import fomo
from convert.images.scaling import Network
from convert.isolation import Worker
from convert.simulate.decode import decode
from convert.simulate.parsers import Layer
from convert.simulate.settings import Settings
from convert.translate import PRELOAD, Translate
from convert.validate.comparison import with_raw
from convert.validate.inputs import as_nvinfer, image_like
from tests.benchmarks.measure import table
from tests.benchmarks.models import REAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from convert.types import Adapted

Objects = list[tuple[int, ...]]

THRESHOLD = 0.5


def main(count: int = 500) -> None:
    """Print a row for each model and way to merge."""
    rows = []
    with Worker(PRELOAD) as worker, tempfile.TemporaryDirectory() as folder:
        for path in sorted(REAL.glob("fomo-*")):
            export = Unpack(dequantize=True)(path, Path(folder)).artifact
            translated = Translate(worker=worker)(export, Path(folder)).artifact
            for merge in FOMO_MERGES:
                adapted = Adapt(fomo_merge=merge, threshold=THRESHOLD)(translated, Path(folder)).artifact
                rows.append([path.stem, merge, *_row(adapted, count)])
    head = ["model", "merge", "nodes", "ms", "objects", "the SDK's", "as the SDK", "as the SDK without its slips"]
    table(f"FOMO on {count} frames, threshold {THRESHOLD}; one core", head, rows)


def _row(adapted: Adapted, count: int) -> list[str]:
    session = _session(with_raw(adapted.onnx.data))
    _, channels, height, width = (size or 1 for size in adapted.onnx.input.shape)
    shown: list[tuple[Objects, Objects, Objects]] = []
    for frame in _frames(count, height, width, channels):
        outputs = session.run(None, {"x_input": as_nvinfer(frame[np.newaxis], adapted.preprocessing)})
        heat = outputs[-1][0, 1:].transpose(1, 2, 0)
        wanted = (_wanted(heat, (height, width), as_sdk=as_sdk) for as_sdk in (True, False))
        shown.append((_found(outputs, Network(channels, height, width)), *wanted))  # type: ignore[arg-type]
    ours, sdk = (sum(len(each[side]) for each in shown) for side in (0, 1))
    same = [np.mean([each[0] == each[side] for each in shown]) for side in (1, 2)]
    nodes = len(onnx.load_model_from_string(adapted.onnx.data).graph.node)
    return [str(nodes), f"{_seconds(adapted, frame) * 1e3:.2f}", str(ours), str(sdk), *(f"{each:.1%}" for each in same)]


def _frames(count: int, height: int, width: int, channels: int) -> Iterator[NDArray[np.uint8]]:
    """uint8 [height,width,channels]."""
    from PIL import Image

    random = np.random.default_rng(5)
    photos = [Image.open(path).convert("RGB") for path in sorted(REAL.glob("*.jpg"))]
    for number, scene in enumerate(image_like(count, 360, 640, 3)):
        picture = Image.fromarray(scene)
        if number % 4:
            photo = photos[number % len(photos)]
            share = random.uniform(0.3, 1)
            wide, high = (int(side * share) for side in photo.size)
            x, y = (
                int(random.integers(0, side - part + 1)) for side, part in zip(photo.size, (wide, high), strict=True)
            )
            picture = photo.crop((x, y, x + wide, y + high)).resize((640, 360), Image.Resampling.BILINEAR)
        small = picture.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
        yield np.asarray(small).reshape(height, width, channels)


def _wanted(heat: NDArray[np.float32], size: tuple[int, int], *, as_sdk: bool) -> Objects:
    labels = [str(number) for number in range(heat.shape[2])]
    boxes = fomo(heat, Rules(labels, THRESHOLD, size, as_sdk=as_sdk))
    return sorted((int(box.label), box.x, box.y, box.x + box.width, box.y + box.height) for box in boxes)


def _found(outputs: Sequence[NDArray[Any]], network: Network) -> Objects:
    """What nvinfer shows, in whole pixels."""
    classes = outputs[0].shape[1]
    attributes = [{"pre-cluster-threshold": THRESHOLD}] * classes
    settings = Settings.from_values({"cluster-mode": 4, "num-detected-classes": classes, "class-attrs": attributes})
    layers = [Layer.of(name, values) for name, values in zip(("cov", "bbox"), outputs[:2], strict=True)]
    (frame,) = decode(settings, network, layers).frames
    return sorted(
        (one.class_id, *map(round, (one.left, one.top, one.left + one.width, one.top + one.height)))
        for one in frame.objects  # type: ignore[union-attr]
    )


def _seconds(adapted: Adapted, frame: NDArray[np.uint8], runs: int = 50) -> float:
    """Of one frame through the shipped model; the median."""
    session, values = _session(adapted.onnx.data), as_nvinfer(frame[np.newaxis], adapted.preprocessing)
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        session.run(None, {"x_input": values})
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def _session(data: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
