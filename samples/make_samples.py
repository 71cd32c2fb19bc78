"""Makes everything below `samples/` that is not Python: models, exports, pictures. Run it from anywhere:

    python samples/make_samples.py             draw, train (needs TensorFlow), lay out: about ten minutes
    python samples/make_samples.py --no-train  the same from the models already in samples/models, in seconds

The same machine and library versions give the same bytes. A model that has learned nothing ends the run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from samples import dataset, finding, layouts, scoring, sounds, tables  # noqa: E402 - the line above makes them importable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

LEAST_ACCURACY = 0.9
PICTURE = (320, 240)
PICTURE_BYTES = 10_000
OVERVIEW_BYTES = 150_000
PER_CLASS = 4
FRAME = (640, 360)
FRAME_BYTES = 40_000
TABLES = 6
BELT, FRUITS = (640, 360), 12
SOUNDS = "sounds"
INT8 = ".int8"  # behind the name of a model quantized to 8 bits
KINDS = ("", INT8)
CALIBRATED = 200  # inputs, of those trained on, that the ranges of its activations are taken from
SAVED = "shapes"  # the one that is kept in TensorFlow's own forms, too


@dataclass(frozen=True)
class Sample:
    """One of the two classifiers and how it is trained.

    Attributes:
        network: the function of `samples.networks` that builds it.
        size: width, height, channels.
        per_class, held_out: training and held-out pictures of each class.
        close_ups: tables whose fruits it is trained on too, seen as the detector's cells; a third as many are held out.
    """

    name: str
    network: str
    size: tuple[int, int, int]
    input_name: str
    per_class: int
    epochs: int
    rate: float
    held_out: int = 60
    close_ups: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        """In output order."""
        return tuple(dataset.SUBJECTS[self.name])

    @property
    def trained_on(self) -> int:
        """Pictures, without close-ups."""
        return self.per_class * len(self.labels)


SAMPLES = (
    Sample("fruit", "mobile", (96, 96, 3), "x_input", per_class=400, epochs=8, rate=3e-3, close_ups=450),
    Sample("shapes", "convolutional", (48, 48, 1), "serving_default_x:0", per_class=900, epochs=15, rate=2e-3),
)


@dataclass(frozen=True)
class Detector:
    """One of the two that find the fruits on tables, and how it is trained.

    Attributes:
        network: the function of `samples.networks` that builds it.
        size: width, height, channels.
        trained_on, held_out: pictures.
        overlap: from which on a box counts as an object's; FOMO's are cells, which lie somewhere on the object.
        threshold: the score from which a box is an object.
    """

    name: str
    network: str
    size: tuple[int, int, int]
    input_name: str
    trained_on: int
    epochs: int
    rate: float
    overlap: float
    threshold: float = 0.5
    held_out: int = 60
    labels: tuple[str, ...] = ("fruit",)

    @property
    def is_fomo(self) -> bool:
        """Cells, not boxes."""
        return self.network == "fomo"


TABLE = "table"
DETECTORS = (
    # 0.3: a fruit whose middle lies between cells is half in each
    Detector("table-fomo", "fomo", (96, 96, 3), "x_input", 1200, epochs=14, rate=3e-3, overlap=0.1, threshold=0.3),
    Detector(
        "table-yolov5", "yolov5", (128, 128, 3), "serving_default_input_1:0", 1200, epochs=14, rate=3e-3, overlap=0.5
    ),
)


def main() -> None:
    """Read the command line and make the samples."""
    parser = argparse.ArgumentParser(description="Make the sample models, exports and pictures.")
    parser.add_argument("--out", type=Path, default=HERE, help="where to write (default: beside this script)")
    parser.add_argument("--no-train", action="store_true", help="keep the models already there")
    parser.add_argument("--quick", action="store_true", help="one epoch on a few coarse pictures, whatever comes of it")
    options = parser.parse_args()
    make(options.out, retrain=not options.no_train, quick=options.quick)


def make(out: Path, *, retrain: bool = True, quick: bool = False) -> None:
    """Write `models/`, `exports/`, `int8/`, `pictures/`, `recordings/`, `belt.mp4` and `overview.jpg` below `out`."""
    trained: dict[str, bytes] = {}
    if retrain:
        samples: tuple[Sample, ...] = SAMPLES
        detectors: tuple[Detector, ...] = DETECTORS
        if quick:
            samples = tuple(
                replace(s, per_class=1, held_out=1, epochs=1, close_ups=min(s.close_ups, 6)) for s in samples
            )
            # A SavedModel of one takes seconds; one of the classifiers has it.
            detectors = tuple(replace(d, trained_on=2, held_out=2, epochs=1, input_name="x_input") for d in detectors)
        trained = train(samples, detectors, quick=quick)
        write_models(out / "models", samples, detectors, trained, check=not quick)
    names = (*(each.name for each in (*SAMPLES, *DETECTORS)), SOUNDS)
    models = {name: (out / "models" / f"{name}.tflite").read_bytes() for name in names}
    models |= {f"{name}{INT8}": trained.get(f"{name}{INT8}") or in_export(out, name) for name in names}
    for below in ("exports", "int8"):
        fresh(out / below)
    for name, files in laid_out(models).items():
        (layouts.write_zip if name.endswith(".zip") else layouts.write_tree)(files, out / name)
    fineness = 0.25 if quick else 2
    for sample in SAMPLES:
        folder = fresh(out / "pictures" / sample.name)
        for name, picture in pictures(sample, fineness).items():
            (folder / name).write_bytes(jpeg(picture, PICTURE_BYTES))
    folder, truth = fresh(out / "pictures" / TABLE), {}
    for name, (picture, things) in wide_pictures(fineness).items():
        (folder / name).write_bytes(jpeg(picture, FRAME_BYTES))
        truth[name] = [asdict(thing) for thing in things]
    (out / "pictures" / f"{TABLE}.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    folder = fresh(out / "recordings")
    for name, data in sounds.recordings().items():
        (folder / name).write_bytes(data)
    fruits, step = (1, 140) if quick else (FRUITS, 14)
    (out / "belt.mp4").write_bytes(video(tables.belt((3, 9), *BELT, fruits=fruits, step=step)))
    (out / "overview.jpg").write_bytes(jpeg(overview(out / "pictures"), OVERVIEW_BYTES))


def in_export(out: Path, name: str) -> bytes:
    """The int8 flatbuffer of a sample, which only its export holds."""
    with ZipFile(out / "int8" / f"{name}-2025.zip") as export:
        (path,) = (each for each in export.namelist() if each.endswith(".tflite"))
        return export.read(path)


def train(samples: Sequence[Sample], detectors: Sequence[Detector], *, quick: bool) -> dict[str, bytes]:
    """The trained flatbuffers by name."""
    data: dict[str, Any] = {sample.name: training_set(sample) for sample in samples}
    for detector in detectors:
        data[detector.name] = finding.draw(detector.size[0], detector.trained_on, seed=1, rows=not detector.is_fomo)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # its sums depend on the processor
    from samples import networks  # TensorFlow: slow, and not needed to lay out what is there

    trained: dict[str, bytes] = {}
    models: tuple[Sample | Detector, ...] = (*samples, *detectors)
    for each in models:
        print(f"{each.name}: training on {len(data[each.name][0])} pictures", flush=True)
        networks.seeded(20)
        model: Any = getattr(networks, each.network)(each.size, len(each.labels))
        networks.train(model, *data[each.name], epochs=each.epochs, rate=each.rate, eager=quick)
        made = networks.export(model, each.input_name, spread(data[each.name][0]))
        trained |= dict(zip((each.name, f"{each.name}{INT8}"), made, strict=True))
        if each.name == SAVED:
            trained |= {f"{each.name}.{name}": data for name, data in networks.saved(model).items()}
    networks.seeded(20)
    model = sounds.network()
    inputs, classes = sounds.draw(2 if quick else 150, 1)
    networks.train(model, inputs, classes, epochs=1 if quick else 12, rate=3e-3, eager=quick)
    made = networks.export(model, "x_input", spread(inputs))
    trained |= dict(zip((SOUNDS, f"{SOUNDS}{INT8}"), made, strict=True))
    return trained


def spread(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """CALIBRATED of the inputs trained on, from the first to the last: of every class."""
    return inputs[np.linspace(0, len(inputs) - 1, min(CALIBRATED, len(inputs))).astype(int)]


def training_set(sample: Sample) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Inputs [n, height, width, channels] and their class numbers."""
    inputs, classes = dataset.draw(sample.name, sample.size, sample.per_class, seed=1)
    if sample.close_ups:
        near, kinds = finding.close_ups(sample.size[0], sample.close_ups, seed=1)
        inputs, classes = np.concatenate([inputs, near]), np.concatenate([classes, kinds])
    return inputs, classes


def write_models(
    folder: Path, samples: Sequence[Sample], detectors: Sequence[Detector], models: Mapping[str, bytes], *, check: bool
) -> None:
    """Write the flatbuffers, and into `models.json` what they are and how often they are right.

    Raises:
        SystemExit: with `check`, a model that is too often wrong or says the same whatever it sees; nothing is written.
    """
    facts = {}
    for sample, kind in product(samples, KINDS):
        name = sample.name + kind
        model = models[name]
        found: dict[str, Any] = {"pictures": sample.held_out * len(sample.labels)}
        found["accuracy"] = {mode: held_out(sample, model, mode, check=check) for mode in dataset.RESIZE_MODES}
        if sample.close_ups:
            inputs, classes = finding.close_ups(sample.size[0], -(-sample.close_ups // 3), seed=2)
            right = round(scoring.accuracy(scoring.predict(model, inputs), classes), 4)
            found["close_ups"] = {"pictures": len(classes), "accuracy": right}
        print(f"{name}: {len(model)} bytes, held out: {found}", flush=True)
        shares = [*found["accuracy"].values(), *([found["close_ups"]["accuracy"]] if sample.close_ups else [])]
        if check and min(shares) < LEAST_ACCURACY:
            raise SystemExit(f"{name}: held-out accuracy {found} is below {LEAST_ACCURACY}")
        facts[name] = described(sample, model, found)
    for each, kind in product(detectors, KINDS):
        name = each.name + kind
        model = models[name]
        counted = tallied(each, model)
        print(f"{name}: {len(model)} bytes, held out: {counted}", flush=True)
        if check and min(counted.recall, counted.precision) < LEAST_ACCURACY:
            raise SystemExit(f"{name}: {counted} is below {LEAST_ACCURACY}")
        facts[name] = described(each, model, {"pictures": each.held_out, **asdict(counted)})
    inputs, classes = sounds.draw(60, 2)
    for name in (SOUNDS, SOUNDS + INT8):
        model = models[name]
        right = round(scoring.accuracy(scoring.predict(model, inputs), classes), 4)
        print(f"{name}: {len(model)} bytes, held out: {right} of {len(classes)}", flush=True)
        if check and right < LEAST_ACCURACY:
            raise SystemExit(f"{name}: held-out accuracy {right} is below {LEAST_ACCURACY}")
        facts[name] = {
            "labels": sounds.SUBJECTS,
            "input": {"name": "x_input", "shape": list(inputs[:1].shape)},
            "bytes": len(model),
            "sha256": hashlib.sha256(model).hexdigest(),
            "trained_on": 150 * len(sounds.SUBJECTS),
            "held_out": {"recordings": len(classes), "accuracy": right},
        }
    fresh(folder)
    for name, model in models.items():
        if not name.endswith(INT8):  # the exports hold those
            (folder / (name if name.endswith(".zip") else f"{name}.tflite")).write_bytes(model)
    (folder / "models.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def described(sample: Sample | Detector, model: bytes, found: dict[str, Any]) -> dict[str, Any]:
    """What `models.json` says of a model; `found` is how often it is right."""
    width, height, channels = sample.size
    return {
        "labels": sample.labels,
        "input": {"name": sample.input_name, "shape": [1, height, width, channels]},
        "bytes": len(model),
        "sha256": hashlib.sha256(model).hexdigest(),
        "trained_on": sample.trained_on,
        "held_out": found,
    }


def tallied(detector: Detector, model: bytes) -> finding.Tally:
    """What the flatbuffer finds on tables it never saw, as large as a camera's pictures."""
    tables_ = [finding.table((2, index), FRAME) for index in range(detector.held_out)]
    found = seen_by(detector, model, [picture for picture, _ in tables_])
    return sum(
        (finding.tally(each, things, detector.overlap) for each, (_, things) in zip(found, tables_, strict=True)),
        finding.Tally(),
    )


def seen_by(detector: Detector, model: bytes, frames: Sequence[NDArray[np.uint8]]) -> list[tuple[tables.Thing, ...]]:
    """What the flatbuffer finds in each of `frames` [height, width, 3], in their pixels."""
    read = finding.cells if detector.is_fomo else finding.boxes
    inputs = np.stack([dataset.model_input(frame, *detector.size, "fit-longest") for frame in frames])
    fits = [finding.Fit(frame.shape[1], frame.shape[0], detector.size[0]) for frame in frames]
    answers = scoring.predict(model, inputs)
    return [read(answer, detector.threshold, fit, "fruit") for answer, fit in zip(answers, fits, strict=True)]


def held_out(sample: Sample, model: bytes, mode: str, *, check: bool) -> float:
    """How often the flatbuffer is right on pictures it never saw, brought to size by `mode`.

    Raises:
        SystemExit: with `check`, its output hardly depends on its input.
    """
    inputs, classes = dataset.draw(sample.name, sample.size, sample.held_out, seed=2, mode=mode)
    scores = scoring.predict(model, inputs)
    if check and not float(scores.std(axis=0).min()) > 0.05:  # also when it is NaN
        raise SystemExit(f"{sample.name}: the model says the same whatever it sees")
    return round(scoring.accuracy(scores, classes), 4)


def laid_out(models: dict[str, bytes]) -> dict[str, dict[str, bytes]]:
    """Export's path below `samples/` -> path in it -> content: the generations and kinds the samples show."""
    fruit = layouts.Parameters(
        labels=SAMPLES[0].labels,
        width=96,
        height=96,
        channels=3,
        year=2022,  # no resize mode, no image scaling, no Studio version: none was written then
        project_id=51820,
        project_name="Fruit bowl",
        project_owner="ei-deepstream samples",
        deploy_version=7,
    )
    shapes = layouts.Parameters(
        labels=SAMPLES[1].labels,
        width=48,
        height=48,
        channels=1,
        year=2025,
        resize_mode="squash",
        project_id=734105,
        project_name="Wooden shapes",
        project_owner="ei-deepstream samples",
        deploy_version=4,
        studio_version=(1, 71, 33),
    )
    longest = replace(shapes, resize_mode="fit-longest", deploy_version=5, studio_version=(1, 78, 4))
    fomo = replace(
        longest,
        labels=DETECTORS[0].labels,
        width=96,
        height=96,
        channels=3,
        project_id=741962,
        project_name="Fruit spotter",
        deploy_version=2,
        studio_version=(1, 79, 8),
        last_layer="FOMO",
        threshold=DETECTORS[0].threshold,
    )
    yolov5 = replace(
        fomo,
        width=128,
        height=128,
        project_id=741975,
        project_name="Fruit finder",
        deploy_version=3,
        last_layer="YOLOV5",
        threshold=DETECTORS[1].threshold,
    )
    heard = replace(
        shapes, labels=sounds.SUBJECTS, project_id=748310, project_name="Workshop sounds", deploy_version=1,
        studio_version=(1, 79, 8),
    )  # fmt: skip
    bowl = replace(longest, labels=fruit.labels, width=96, height=96, channels=3, resize_mode="fit-shortest")
    quantized = {
        "fruit": replace(bowl, project_id=fruit.project_id, project_name=fruit.project_name, deploy_version=8),
        "shapes": replace(shapes, deploy_version=6),
        "table-fomo": replace(fomo, deploy_version=3),
        "table-yolov5": replace(yolov5, deploy_version=4),
    }
    arduino = layouts.arduino_library(models["shapes"], shapes, "F3b")
    exports = {
        "fruit-cpp-2022": layouts.cpp_library(models["fruit"], fruit, "F2"),
        "shapes-arduino-2025.zip": {f"Wooden_shapes_inferencing/{path}": data for path, data in arduino.items()},
        "shapes-cpp-2025": layouts.cpp_library(models["shapes"], longest, "F4"),
        "sounds-cpp-2025.zip": layouts.impulse_library(models[SOUNDS], sounds.IMPULSE, heard),
        "table-fomo-2025.zip": layouts.cpp_library(models["table-fomo"], fomo, "F4"),
        "table-yolov5-2025.zip": layouts.cpp_library(models["table-yolov5"], yolov5, "F4"),
    }
    int8 = {
        name: layouts.cpp_library(models[name + INT8], replace(parameters, quantized=True), "F4")
        for name, parameters in quantized.items()
    }
    int8[SOUNDS] = layouts.impulse_library(models[SOUNDS + INT8], sounds.IMPULSE, replace(heard, quantized=True))
    return {f"exports/{name}": files for name, files in exports.items()} | {
        f"int8/{name}-2025.zip": files for name, files in int8.items()
    }


def pictures(sample: Sample, fineness: float = 2) -> dict[str, NDArray[np.uint8]]:
    """File name -> picture [240, 320, 3]; drawn at `fineness` times the size and reduced."""
    width, height = (int(fineness * side) for side in PICTURE)
    found = {}
    for number, label in enumerate(sample.labels):
        for index in range(PER_CLASS):
            seed = (3, SAMPLES.index(sample), number, index)
            kind = index * 5 + number + 2 * seed[1]  # goes round the surfaces
            large = dataset.photograph(sample.name, label, seed, width, height, harsh=0.15, kind=kind)
            found[f"{label}-{index + 1}.jpg"] = np.asarray(Image.fromarray(large).resize(PICTURE, Image.Resampling.BOX))
    return found


def wide_pictures(fineness: float = 2) -> dict[str, tuple[NDArray[np.uint8], tuple[tables.Thing, ...]]]:
    """File name -> picture [360, 640, 3] and what lies there; drawn at `fineness` times the size and reduced."""
    width, height = (int(fineness * side) for side in FRAME)
    found = {}
    for number in range(TABLES):
        large, things = tables.photograph(
            (3, len(SAMPLES), number), width, height, harsh=0.15, most=4 + number % 3, kind=number
        )
        picture = np.asarray(Image.fromarray(large).resize(FRAME, Image.Resampling.BOX))
        found[f"table-{number + 1}.jpg"] = (picture, tuple(thing.scaled(1 / fineness) for thing in things))
    return found


def video(frames: Iterable[NDArray[np.uint8]]) -> bytes:
    """Frames of `BELT`, uint8 [height, width, 3], as an MP4 file with 30 a second."""
    import av  # only for this

    data = BytesIO()
    with av.open(data, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "slow", "crf": "28", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = *BELT, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode(None))
    return data.getvalue()


def overview(folder: Path) -> NDArray[np.uint8]:
    """All pictures on one sheet: a column for each class, the tables below."""
    columns = []
    for sample in SAMPLES:
        for label in sample.labels:
            column = [Image.open(folder / sample.name / f"{label}-{index + 1}.jpg") for index in range(PER_CLASS)]
            columns.append(np.vstack([np.asarray(picture.resize((144, 108))) for picture in column]))
    wide = 144 * len(columns) // TABLES
    row = [Image.open(folder / TABLE / f"table-{number + 1}.jpg") for number in range(TABLES)]
    tables_row = [np.asarray(picture.resize((wide, wide * 9 // 16))) for picture in row]
    return np.vstack([np.hstack(columns), np.hstack(tables_row)])


def jpeg(picture: NDArray[np.uint8], limit: int) -> bytes:
    """The best JPEG of `picture` that is smaller than `limit` bytes."""
    for quality in range(92, 30, -3):
        stream = BytesIO()
        Image.fromarray(picture).save(stream, "JPEG", quality=quality, optimize=True)
        if stream.tell() < limit:
            return stream.getvalue()
    raise ValueError(f"this picture does not fit into {limit} bytes")


def fresh(folder: Path) -> Path:
    """`folder`, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
