"""The committed samples: small, ours, laid out as they say, and showing models that have learned something."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from samples import dataset, layouts, make_samples, scoring

if TYPE_CHECKING:
    from pathlib import Path

    from samples.scenes import Array

ROOT = make_samples.HERE
SUBJECTS = tuple(sample.name for sample in make_samples.SAMPLES)
LEARNED = {sample.name: sample for sample in make_samples.SAMPLES}


def committed(below: str = "") -> list[Path]:
    """The samples' files, without what running Python leaves behind."""
    return [path for path in sorted((ROOT / below).rglob("*")) if path.is_file() and "__pycache__" not in path.parts]


def model_of(subject: str) -> bytes:
    return (ROOT / "models" / f"{subject}.tflite").read_bytes()


def array_in(text: str) -> bytes:
    """The bytes of the only C array in `text`."""
    (body,) = re.findall(r"\[\] = \{([^}]*)\}", text)
    return bytes(int(number, 16) for number in body.replace(",", " ").split())


def pictures_of(subject: str) -> tuple[list[np.ndarray[Any, np.dtype[np.uint8]]], list[str]]:
    files = committed(f"pictures/{subject}")
    return [np.asarray(Image.open(file)) for file in files], [file.stem.rpartition("-")[0] for file in files]


def test_all_samples_together_stay_under_three_megabytes() -> None:
    assert sum(path.stat().st_size for path in committed()) < 3_000_000


def test_folder_of_2022_holds_the_fruit_model_as_an_array() -> None:
    text = (ROOT / "exports/fruit-cpp-2022/tflite-model/tflite-trained.h").read_text()
    assert array_in(text) == model_of("fruit")
    assert "ALIGN(16) const unsigned char trained_tflite[]" in text


def test_arduino_zip_holds_the_shapes_model_as_an_array_in_a_section() -> None:
    with zipfile.ZipFile(ROOT / "exports/shapes-arduino-2025.zip") as archive:
        text = archive.read("Wooden_shapes_inferencing/src/tflite-model/tflite_learn_5.h").decode()
        assert "Wooden_shapes_inferencing/library.properties" in archive.namelist()
    assert array_in(text) == model_of("shapes")
    assert "MODEL_SECTION(EI_MODEL_SECTION) ALIGN(16)" in text


def test_folder_of_2025_holds_the_shapes_model_as_a_binary() -> None:
    folder = ROOT / "exports/shapes-cpp-2025/tflite-model"
    text = (folder / "tflite_learn_5.h").read_text()
    assert (folder / "tflite_learn_5.tflite").read_bytes() == model_of("shapes")
    assert 'INCBIN(incbin_tflite_learn_5, "tflite-model/tflite_learn_5.tflite")' in text
    assert "[]" not in text


@pytest.mark.parametrize(
    ("export", "subject", "resize"),
    [
        ("fruit-cpp-2022", "fruit", None),
        ("shapes-arduino-2025.zip", "shapes", "SQUASH"),
        ("shapes-cpp-2025", "shapes", "FIT_LONGEST"),
    ],
)
def test_parameters_describe_the_model(export: str, subject: str, resize: str | None) -> None:
    files = make_samples.laid_out({name: model_of(name) for name in SUBJECTS})[export]
    metadata = next(data for path, data in files.items() if path.endswith("model_metadata.h")).decode()
    variables = next(data for path, data in files.items() if path.endswith("model_variables.h")).decode()
    width, height, channels = LEARNED[subject].size
    macros = dict(re.findall(r"#define EI_CLASSIFIER_(\w+) +(\S+)", metadata))
    assert (macros["INPUT_WIDTH"], macros["INPUT_HEIGHT"]) == (str(width), str(height))
    assert macros["NN_INPUT_FRAME_SIZE"] == str(width * height * channels)
    assert macros.get("RESIZE_MODE") == (resize and f"EI_CLASSIFIER_RESIZE_{resize}")
    assert ", ".join(f'"{label}"' for label in LEARNED[subject].labels) in variables
    assert ('"RGB"' if channels == 3 else '"Grayscale"') in variables


def test_committed_exports_are_what_the_script_lays_out(tmp_path: Path) -> None:
    """If this fails after a change of the layouts: python samples/make_samples.py --no-train."""
    laid_out = make_samples.laid_out({name: model_of(name) for name in SUBJECTS})
    expected = {}
    for name, files in laid_out.items():
        if name.endswith(".zip"):
            expected[name] = layouts.write_zip(files, tmp_path / name).read_bytes()
        else:
            expected |= {f"{name}/{path}": data for path, data in files.items()}
    found = {path.relative_to(ROOT / "exports").as_posix(): path.read_bytes() for path in committed("exports")}
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []


def test_no_text_of_edge_impulse_is_in_the_exports() -> None:
    """Generated headers carry licence terms and a generator's remark; ours have neither."""
    texts = [file.read_bytes() for file in committed("exports") if file.suffix not in {".zip", ".tflite"}]
    with zipfile.ZipFile(ROOT / "exports/shapes-arduino-2025.zip") as archive:
        texts += [archive.read(name) for name in archive.namelist()]
    assert len(texts) > 10
    theirs = re.compile(
        rb"edgeimpulse|edge impulse|copyright|licen[cs]e|subscription|warrant|generated|SPDX", re.IGNORECASE
    )
    assert [match[0] for text in texts for match in theirs.finditer(text)] == []


@pytest.mark.parametrize("subject", SUBJECTS)
def test_models_json_describes_the_models(subject: str) -> None:
    facts = json.loads((ROOT / "models/models.json").read_text())[subject]
    assert facts["sha256"] == hashlib.sha256(model_of(subject)).hexdigest()
    assert tuple(facts["labels"]) == LEARNED[subject].labels
    accuracy = facts["held_out"]["accuracy"]
    assert set(accuracy) == set(dataset.RESIZE_MODES)
    assert min(accuracy.values()) >= make_samples.LEAST_ACCURACY
    row = f"| {subject} | {facts['held_out']['pictures']} | " + " | ".join(
        f"{accuracy[mode]:.2%}".replace("%", " %") for mode in dataset.RESIZE_MODES
    )
    assert row in (ROOT / "README.md").read_text(), "samples/README.md gives other numbers than models.json"


@pytest.mark.parametrize("subject", SUBJECTS)
def test_input_and_output_are_those_of_edge_impulse(subject: str) -> None:
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - slow to import

    interpreter = Interpreter(model_content=model_of(subject))
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    width, height, channels = LEARNED[subject].size
    assert source["name"] == LEARNED[subject].input_name
    assert source["shape"].tolist() == [1, height, width, channels]
    assert result["shape"].tolist() == [1, len(LEARNED[subject].labels)]
    assert source["dtype"] is result["dtype"] is np.float32


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("mode", dataset.RESIZE_MODES)
def test_models_name_what_is_on_the_committed_pictures(subject: str, mode: str) -> None:
    sample = LEARNED[subject]
    pictures, labels = pictures_of(subject)
    inputs = np.stack([dataset.model_input(picture, *sample.size, mode) for picture in pictures])
    scores = scoring.predict(model_of(subject), inputs)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert scores.std(axis=0).min() > 0.1, "the output hardly depends on the picture"
    classes = np.array([sample.labels.index(label) for label in labels])
    assert scoring.accuracy(scores, classes) >= 0.9


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_class_has_small_pictures_bigger_than_the_input(subject: str) -> None:
    pictures, labels = pictures_of(subject)
    assert {label: labels.count(label) for label in labels} == dict.fromkeys(LEARNED[subject].labels, 4)
    assert {picture.shape for picture in pictures} == {(240, 320, 3)}
    assert max(file.stat().st_size for file in committed(f"pictures/{subject}")) < 10_000


@pytest.mark.parametrize("subject", SUBJECTS)
def test_committed_pictures_are_what_the_script_draws(subject: str) -> None:
    """One of each: a whole set takes seconds. JPEG changes a pixel by a few steps of 255, another seed by dozens."""
    sample = LEARNED[subject]
    seed = (3, SUBJECTS.index(subject), 0, 0)
    large = dataset.photograph(subject, sample.labels[0], seed, 640, 480, harsh=0.15, kind=2 * seed[1])
    drawn = np.asarray(Image.fromarray(large).resize((320, 240), Image.Resampling.BOX), np.float32)
    kept = np.asarray(Image.open(ROOT / "pictures" / subject / f"{sample.labels[0]}-1.jpg"), np.float32)
    assert np.abs(drawn - kept).mean() < 5


def test_same_seed_draws_the_same_picture_and_another_seed_another() -> None:
    first, again, other = (dataset.photograph("fruit", "pear", (seed,), 64, 48, harsh=0.5) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def band(picture: Array) -> tuple[float, float, float]:
    """Mean brightness of the top eighth, the middle and the bottom eighth."""
    rows = len(picture) // 8
    return float(picture[:rows].mean()), float(picture[rows:-rows].mean()), float(picture[-rows:].mean())


def test_fit_longest_adds_black_bars_and_the_others_do_not() -> None:
    white = np.full((240, 320, 3), 255, np.uint8)
    assert band(dataset.model_input(white, 96, 96, 3, "fit-longest")) == (0, 1, 0)
    assert band(dataset.model_input(white, 96, 96, 3, "squash")) == (1, 1, 1)
    assert band(dataset.model_input(white, 96, 96, 3, "fit-shortest")) == (1, 1, 1)


def test_fit_shortest_cuts_the_sides_off() -> None:
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[:, :30] = 255
    assert dataset.model_input(picture, 48, 48, 1, "fit-shortest").max() == 0
    assert dataset.model_input(picture, 48, 48, 1, "squash").max() == pytest.approx(1)


def test_a_model_that_learned_nothing_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sample = replace(make_samples.SAMPLES[1], held_out=4)

    def constant(_: bytes, inputs: Array) -> Array:
        return np.full((len(inputs), len(sample.labels)), 0.25, np.float32)

    def upside_down(model: bytes, inputs: Array) -> Array:
        scores = predict(model, inputs)
        return 1 - scores

    predict = scoring.predict
    monkeypatch.setattr(scoring, "predict", constant)
    with pytest.raises(SystemExit, match="the same whatever it sees"):
        make_samples.write_models(tmp_path, [sample], {"shapes": model_of("shapes")}, check=True)
    monkeypatch.setattr(scoring, "predict", upside_down)
    with pytest.raises(SystemExit, match="accuracy"):
        make_samples.write_models(tmp_path, [sample], {"shapes": model_of("shapes")}, check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_script_runs_from_anywhere_and_makes_everything(tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed (extra: tensorflow)")
    command = [sys.executable, str(ROOT / "make_samples.py"), "--quick", "--out", str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, timeout=600)
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    ours = {path.relative_to(ROOT).as_posix() for path in committed() if path.parent != ROOT or path.suffix == ".jpg"}
    assert made == ours
    model = (tmp_path / "models/shapes.tflite").read_bytes()
    assert len(model) == len(model_of("shapes"))
    assert model != model_of("shapes")
