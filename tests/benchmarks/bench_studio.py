"""Whether the screen shows what Edge Impulse answers: frames of 640x360, models told one resize mode or another.

Three bundles of every model: the plain network with DeepStream's habits (what older versions made by default), the
default, and one whose graph resizes frames of the camera's own size. By itself, for other modes and frames:
`python -m tests.benchmarks.bench_studio 200 fomo squash 1920x1080`; "recorded" is the mode of the export.

An answer is the same where classifiers name the same label, and where detectors show the same objects: same labels,
boxes that overlap by half, scores above the same threshold. It is 0.5, and less where fewer than a quarter of the
frames show anything then: what the best object reaches on a quarter.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from convert.compare.ablation import Criteria, pairs_of
from convert.compare.edge_impulse import EdgeImpulseModel, edge_impulse_model
from convert.compare.run import ComparisonRun
from convert.compare.shipped import ModelPair, load_shipped
from convert.emit import Emit
from convert.emit.files import bundle_names
from convert.export.facts import facts
from convert.export.unpack import Unpack
from convert.heads import head
from convert.images import ResizeMode, parse_frame
from convert.images.scaling import as_sdk
from convert.isolation import Worker
from convert.pipeline import adapting
from convert.simulate.engine import Source, load
from convert.translate import PRELOAD, Translate
from convert.types import Adapted, Metadata
from convert.validate.inputs import image_like, with_objects
from tests.benchmarks.models import REAL, classifiers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from convert.compare import PictureComparison
    from convert.images import Frame
    from convert.simulate.engine import LoadedEngine
    from convert.types import Export, Translated


_USUAL = parse_frame("640x360")
_CHUNK = 25
_LOWEST = 0.05  # of a threshold: below it everything is noise
_STRICT = Criteria(detects=True, cells=False, tolerance=1.0, pixel=1.0)


@dataclass
class Measured:
    """One bundle: pictures on which something is shown, those with the same answer among all and among them, its input,
    and milliseconds of a frame in ONNX Runtime on one core."""

    pictures: int
    shown: int
    same: int
    size: str
    milliseconds: float

    @property
    def shares(self) -> str:
        """Of all frames, and of those that show something."""
        of_shown = self.same - (self.pictures - self.shown)
        return f"{self.same / self.pictures:.1%} ({of_shown / self.shown:.1%})" if self.shown else "nothing shown"


def main(count: int = 500, models: str = "", mode: str = ResizeMode.FIT_SHORTEST, size: Frame = _USUAL) -> None:
    """Print a row for each model whose name has `models` in it, told `mode`, on frames of `size`."""
    real = [path for path in sorted(REAL.glob("*.*te")) if len(facts(path.read_bytes()).input.shape) == 4]
    paths = [path for path in real or classifiers() if models in path.name]
    plain: dict[str, Any] = {"frame": "none", "fomo_merge": "none", "yolo_score": "product"}
    device = {"resize": "device"}
    first: dict[str, dict[str, Any]] = (
        {"plain": plain} if mode == ResizeMode.FIT_SHORTEST else {"--resize device": device}
    )
    bundles = {**first, "default": {}, "--resize graph": {"frame": size, "resize": "graph"}}
    told = None if mode == "recorded" else ResizeMode(mode)
    with Worker(PRELOAD) as worker:
        rows = [_row(path, count, told, size, bundles, worker) for path in paths]
    print(f"\nSame answer as Edge Impulse on {count} frames of {size}, {mode}, and on those that show something:\n")
    costs = [f"input, ms: {name}" for name in bundles]
    head_row = ["model", "threshold", "shown", *bundles, *costs]
    for row in [head_row, ["---"] * len(head_row), *rows]:
        print(f"| {' | '.join(row)} |")


def _row(
    path: Path,
    count: int,
    mode: ResizeMode | None,
    size: Frame,
    bundles: Mapping[str, Mapping[str, Any]],
    worker: Worker,
) -> list[str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export = Unpack(resize_mode=mode, dequantize=True)(path, folder).artifact
        theirs = edge_impulse_model(export, path, worker, 600, Metadata())
        detects = head(theirs.task).detects
        if detects:
            export = replace(export, metadata=replace(export.metadata, threshold=_threshold(theirs, count, size)))
        translated = Translate(worker=worker)(export, folder).artifact
        found = [
            _measured(translated, options, count, size, folder / str(number), worker)
            for number, options in enumerate(bundles.values())
        ]
    limit = f"{export.metadata.threshold:g}" if detects else "-"
    costs = (f"{each.size}, {each.milliseconds:.1f}" for each in found)
    return [path.stem, limit, str(found[1].shown), *(each.shares for each in found), *costs]


def _threshold(theirs: EdgeImpulseModel, count: int, frames: Frame) -> float:
    """From the first frames."""
    original = theirs.original
    height, width, channels = original.size
    best = []
    for frame in islice(_frames(count, frames), 48):
        picture = as_sdk(frame, (width, height), theirs.resize_mode, anchor=theirs.anchor)
        picture = picture if channels == 3 else picture[..., :1]
        outputs = original.outputs(picture[None])
        numbered = replace(original, labels=original.labels or _numbers(theirs))
        boxes = numbered.answer(outputs, 0.01)["bounding_boxes"]
        best.append(max((box["value"] for box in boxes), default=0.0))
    return round(float(np.clip(np.quantile(best, 0.75), _LOWEST, 0.5)), 2)


def _numbers(theirs: EdgeImpulseModel) -> tuple[str, ...]:
    classes = head(theirs.task).classes(theirs.original.facts.outputs[0].shape)
    return tuple(f"class{number}" for number in range(classes or 1))


def _frames(count: int, size: Frame) -> Iterator[NDArray[np.uint8]]:
    """uint8 [H,W,3] of `size`, in turn a scene, one with objects, and a part of a photo, where there are photos."""
    scenes = image_like(count, size.height, size.width, 3)
    objects = with_objects(count, size.height, size.width, 3)
    photos = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(REAL.glob("*.jpg"))]
    for number in range(count):
        if number % 3 == 2 and photos:
            yield _part(photos[number // 3 % len(photos)], size, np.random.default_rng(number))
        else:
            yield next(objects if number % 3 else scenes)


def _part(photo: NDArray[np.uint8], size: Frame, random: np.random.Generator) -> NDArray[np.uint8]:
    """A part of the frame's aspect, between a third of the photo and all of it, enlarged."""
    high, wide = photo.shape[:2]
    scale = min(wide / size.width, high / size.height) * random.uniform(0.33, 1.0)
    width, height = int(size.width * scale), int(size.height * scale)
    left, top = int(random.integers(0, wide - width + 1)), int(random.integers(0, high - height + 1))
    part = Image.fromarray(photo[top : top + height, left : left + width])
    return np.asarray(part.resize((size.width, size.height), Image.Resampling.BILINEAR))


def _measured(
    translated: Translated, options: Mapping[str, Any], count: int, size: Frame, folder: Path, worker: Worker
) -> Measured:
    adapted = adapting({**options, "role": "pgie"}, one=True)(translated, folder).artifact
    assert isinstance(adapted, Adapted)
    emit = Emit(folder, role="pgie")
    folder.mkdir()
    for name, data in emit.files(adapted).items():
        (folder / name).write_bytes(data)
    export: Export = adapted.export
    loaded = load(Source(folder / bundle_names(export.name).primary), emit.where)
    theirs = edge_impulse_model(export, folder, worker, 600, Metadata(), labels=adapted.head.labels)
    run = ComparisonRun(ModelPair(load_shipped(loaded, theirs), theirs), explained=0)
    frames = enumerate(_frames(count, size))
    while chunk := [(str(number), frame) for number, frame in islice(frames, _CHUNK)]:
        run.together(chunk)
    detects = head(theirs.task).detects
    shown = sum(any(one.label or one.objects for one in (row.deepstream, row.edge_impulse)) for row in run.rows)
    same = sum(_same(row, detects=detects) for row in run.rows)
    network = loaded.engine.network
    return Measured(len(run.rows), shown, same, f"{network.width}x{network.height}", _milliseconds(loaded))


def _same(row: PictureComparison, *, detects: bool) -> bool:
    if not detects:
        return row.deepstream.label == row.edge_impulse.label
    pairs = pairs_of(row.deepstream.objects, row.edge_impulse.objects, _STRICT)
    return all(pair.what == "matched" for pair in pairs)


def _milliseconds(loaded: LoadedEngine, times: int = 15) -> float:
    values = np.zeros((1, *loaded.prepare.shape), np.float32)
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        loaded.infer(values)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds) * 1000


if __name__ == "__main__":
    _said = sys.argv[1:]
    _count, _models, _mode, _size = [*_said, *("500", "", "fit-shortest", str(_USUAL))[len(_said) :]]
    main(int(_count), _models, _mode, parse_frame(_size))
