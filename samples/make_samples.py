"""Makes everything below `samples/` that is not Python: models, exports, pictures. Run it from anywhere:

    python samples/make_samples.py             draw, train (needs TensorFlow), lay out: two to four minutes
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
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from samples import dataset, layouts, scoring  # noqa: E402 - the line above makes them importable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

LEAST_ACCURACY = 0.9
PICTURE = (320, 240)
PICTURE_BYTES = 10_000
OVERVIEW_BYTES = 120_000
PER_CLASS = 4


@dataclass(frozen=True)
class Sample:
    """One of the two classifiers and how it is trained.

    Attributes:
        network: the function of `samples.networks` that builds it.
        size: width, height, channels.
        per_class, held_out: training and held-out pictures of each class.
    """

    name: str
    network: str
    size: tuple[int, int, int]
    input_name: str
    per_class: int
    epochs: int
    rate: float
    held_out: int = 60

    @property
    def labels(self) -> tuple[str, ...]:
        """In output order."""
        return tuple(dataset.SUBJECTS[self.name])


SAMPLES = (
    Sample("fruit", "mobile", (96, 96, 3), "x_input", per_class=400, epochs=8, rate=3e-3),
    Sample("shapes", "convolutional", (48, 48, 1), "serving_default_x:0", per_class=900, epochs=15, rate=2e-3),
)


def main() -> None:
    """Read the command line and make the samples."""
    parser = argparse.ArgumentParser(description="Make the sample models, exports and pictures.")
    parser.add_argument("--out", type=Path, default=HERE, help="where to write (default: beside this script)")
    parser.add_argument("--no-train", action="store_true", help="keep the models already there")
    parser.add_argument("--quick", action="store_true", help="one epoch on a few pictures, whatever comes of it")
    options = parser.parse_args()
    make(options.out, retrain=not options.no_train, quick=options.quick)


def make(out: Path, *, retrain: bool = True, quick: bool = False) -> None:
    """Write `models/`, `exports/`, `pictures/` and `overview.jpg` below `out`."""
    if retrain:
        samples = tuple(replace(s, per_class=8, held_out=2, epochs=1) for s in SAMPLES) if quick else SAMPLES
        write_models(out / "models", samples, train(samples), check=not quick)
    models = {sample.name: (out / "models" / f"{sample.name}.tflite").read_bytes() for sample in SAMPLES}
    exports = fresh(out / "exports")
    for name, files in laid_out(models).items():
        if name.endswith(".zip"):
            layouts.write_zip(files, exports / name)
        else:
            layouts.write_tree(files, exports / name)
    for sample in SAMPLES:
        folder = fresh(out / "pictures" / sample.name)
        for name, picture in pictures(sample).items():
            (folder / name).write_bytes(jpeg(picture, PICTURE_BYTES))
    (out / "overview.jpg").write_bytes(jpeg(overview(out / "pictures"), OVERVIEW_BYTES))


def train(samples: Sequence[Sample]) -> dict[str, bytes]:
    """The trained flatbuffers by sample name."""
    data = {sample.name: dataset.draw(sample.name, sample.size, sample.per_class, seed=1) for sample in samples}
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # its sums depend on the processor
    from samples import networks  # noqa: PLC0415 - TensorFlow: slow, and not needed to lay out what is there

    trained = {}
    for sample in samples:
        print(f"{sample.name}: training on {len(data[sample.name][0])} pictures", flush=True)
        networks.seeded(20)
        model: Any = getattr(networks, sample.network)(sample.size, len(sample.labels))
        networks.train(model, *data[sample.name], epochs=sample.epochs, rate=sample.rate)
        trained[sample.name] = networks.export(model, sample.input_name)
    return trained


def write_models(folder: Path, samples: Sequence[Sample], models: Mapping[str, bytes], *, check: bool) -> None:
    """Write the flatbuffers, and into `models.json` what they are and how often they are right.

    Raises:
        SystemExit: with `check`, a model that is too often wrong or says the same whatever it sees; nothing is written.
    """
    facts = {}
    for sample in samples:
        model = models[sample.name]
        found = {mode: held_out(sample, model, mode, check=check) for mode in dataset.RESIZE_MODES}
        print(f"{sample.name}: {len(model)} bytes, held-out accuracy {found}", flush=True)
        if check and min(found.values()) < LEAST_ACCURACY:
            raise SystemExit(f"{sample.name}: held-out accuracy {found} is below {LEAST_ACCURACY}")
        facts[sample.name] = {
            "labels": sample.labels,
            "input": {"name": sample.input_name, "shape": [1, sample.size[1], sample.size[0], sample.size[2]]},
            "bytes": len(model),
            "sha256": hashlib.sha256(model).hexdigest(),
            "trained_on": sample.per_class * len(sample.labels),
            "held_out": {"pictures": sample.held_out * len(sample.labels), "accuracy": found},
        }
    fresh(folder)
    for name, model in models.items():
        (folder / f"{name}.tflite").write_bytes(model)
    (folder / "models.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


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
    """Export name -> path -> content: the three generations the samples show."""
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
    arduino = layouts.arduino_library(models["shapes"], shapes, "F3b")
    return {
        "fruit-cpp-2022": layouts.cpp_library(models["fruit"], fruit, "F2"),
        "shapes-arduino-2025.zip": {f"Wooden_shapes_inferencing/{path}": data for path, data in arduino.items()},
        "shapes-cpp-2025": layouts.cpp_library(models["shapes"], longest, "F4"),
    }


def pictures(sample: Sample) -> dict[str, NDArray[np.uint8]]:
    """File name -> picture [240, 320, 3]; drawn at twice the size and reduced."""
    found = {}
    for number, label in enumerate(sample.labels):
        for index in range(PER_CLASS):
            seed = (3, SAMPLES.index(sample), number, index)
            kind = index * 5 + number + 2 * seed[1]  # goes round the surfaces
            large = dataset.photograph(sample.name, label, seed, 2 * PICTURE[0], 2 * PICTURE[1], harsh=0.15, kind=kind)
            found[f"{label}-{index + 1}.jpg"] = np.asarray(Image.fromarray(large).resize(PICTURE, Image.Resampling.BOX))
    return found


def overview(folder: Path) -> NDArray[np.uint8]:
    """All pictures on one sheet, a column for each class."""
    columns = []
    for sample in SAMPLES:
        for label in sample.labels:
            column = [Image.open(folder / sample.name / f"{label}-{index + 1}.jpg") for index in range(PER_CLASS)]
            columns.append(np.vstack([np.asarray(picture.resize((144, 108))) for picture in column]))
    return np.hstack(columns)


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
