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

from convert.__main__ import main
from samples import dataset, finding, layouts, make_samples, scoring, sounds, tables
from tests.make.conftest import command
from tests.make.forks import UNPROVEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from convert.isolation import Worker
    from samples.scenes import Array, View


ROOT = make_samples.HERE
SUBJECTS = tuple(sample.name for sample in make_samples.SAMPLES)
DETECTORS = {detector.name: detector for detector in make_samples.DETECTORS}
TABLE, INT8, KINDS = make_samples.TABLE, make_samples.INT8, make_samples.KINDS
LEARNED = {sample.name: sample for sample in make_samples.SAMPLES}


def committed(below: str = "") -> list[Path]:
    """The samples' files, without what running Python leaves behind."""
    return [path for path in sorted((ROOT / below).rglob("*")) if path.is_file() and "__pycache__" not in path.parts]


def model_of(subject: str) -> bytes:
    if subject.endswith(INT8):
        return make_samples.in_export(ROOT, subject.removesuffix(INT8))
    return (ROOT / "models" / f"{subject}.tflite").read_bytes()


def array_in(text: str) -> bytes:
    """The bytes of the only C array in `text`."""
    (body,) = re.findall(r"\[\] = \{([^}]*)\}", text)
    return bytes(int(number, 16) for number in body.replace(",", " ").split())


def models() -> dict[str, bytes]:
    return {
        name + kind: model_of(name + kind) for name in (*SUBJECTS, *DETECTORS, make_samples.SOUNDS) for kind in KINDS
    }


def pictures_of(subject: str) -> tuple[list[np.ndarray[Any, np.dtype[np.uint8]]], list[str]]:
    files = committed(f"pictures/{subject}")
    return [np.asarray(Image.open(file)) for file in files], [file.stem.rpartition("-")[0] for file in files]


def test_all_samples_together_stay_under_three_megabytes() -> None:
    assert sum(path.stat().st_size for path in committed()) < 3_000_000


def test_folder_of_2022_holds_the_fruit_model_as_an_array() -> None:
    text = (ROOT / "exports/fruit-cpp-2022/tflite-model/tflite-trained.h").read_text()
    assert array_in(text) == model_of("fruit")
    assert "ALIGN(16) const unsigned char trained_tflite[]" in text


@pytest.mark.parametrize(("name", "layer", "project"), [("fomo", "FOMO", 741962), ("yolov5", "YOLOV5", 741975)])
def test_zips_of_2025_hold_the_detectors_as_binaries_and_say_what_they_are(name: str, layer: str, project: int) -> None:
    with zipfile.ZipFile(ROOT / f"exports/table-{name}-2025.zip") as archive:
        assert archive.read("tflite-model/tflite_learn_5.tflite") == model_of(f"table-{name}")
        metadata = archive.read("model-parameters/model_metadata.h").decode()
        variables = archive.read("model-parameters/model_variables.h").decode()
    macros = dict(re.findall(r"#define EI_CLASSIFIER_(\w+) +(\S+)", metadata))
    assert macros["OBJECT_DETECTION_LAST_LAYER"] == f"EI_CLASSIFIER_LAST_LAYER_{layer}"
    assert macros["RESIZE_MODE"] == "EI_CLASSIFIER_RESIZE_FIT_LONGEST"
    assert int(macros["INPUT_WIDTH"]) == DETECTORS[f"table-{name}"].size[0]
    assert f".threshold = {DETECTORS[f'table-{name}'].threshold}," in variables
    assert f'_categories_{project}_1[] = {{ "fruit" }};' in variables


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
    files = make_samples.laid_out(models())[f"exports/{export}"]
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
    laid_out = make_samples.laid_out(models())
    expected = {}
    for name, files in laid_out.items():
        if name.endswith(".zip"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            expected[name] = layouts.write_zip(files, tmp_path / name).read_bytes()
        else:
            expected |= {f"{name}/{path}": data for path, data in files.items()}
    exports = (*committed("exports"), *committed("int8"))
    found = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in exports}
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []


def test_no_text_of_edge_impulse_is_in_the_exports() -> None:
    """Generated headers carry licence terms and a generator's remark; ours have neither."""
    texts = [file.read_bytes() for file in committed("exports") if file.suffix not in {".zip", ".tflite"}]
    for file in committed("exports"):
        if file.suffix == ".zip":
            with zipfile.ZipFile(file) as archive:
                texts += [archive.read(name) for name in archive.namelist() if not name.endswith(".tflite")]
    assert len(texts) > 10
    theirs = re.compile(
        rb"edgeimpulse|edge impulse|copyright|licen[cs]e|subscription|warrant|generated|SPDX", re.IGNORECASE
    )
    assert [match[0] for text in texts for match in theirs.finditer(text)] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_models_json_describes_the_models(subject: str, kind: str) -> None:
    name = subject + kind
    facts = json.loads((ROOT / "models/models.json").read_text())[name]
    assert facts["sha256"] == hashlib.sha256(model_of(name)).hexdigest()
    assert tuple(facts["labels"]) == LEARNED[subject].labels
    found = facts["held_out"]
    accuracy = found["accuracy"]
    assert set(accuracy) == set(dataset.RESIZE_MODES)
    assert min(accuracy.values()) >= make_samples.LEAST_ACCURACY
    near = found.get("close_ups", {"pictures": 0, "accuracy": 1})
    assert near["accuracy"] >= make_samples.LEAST_ACCURACY
    assert (near["pictures"] > 0) == (subject == "fruit")
    row = f"| {name} | {found['pictures']} | " + " | ".join(percent(accuracy[mode]) for mode in dataset.RESIZE_MODES)
    if near["pictures"]:
        row += f" | {percent(near['accuracy'])} of {near['pictures']} |"
    assert row in (ROOT / "README.md").read_text(), "samples/README.md gives other numbers than models.json"


def percent(share: float) -> str:
    return f"{share:.2%}".replace("%", " %")


@pytest.mark.parametrize("name", [name + kind for name in DETECTORS for kind in KINDS])
def test_models_json_describes_the_detectors(name: str) -> None:
    facts = json.loads((ROOT / "models/models.json").read_text())[name]
    assert facts["sha256"] == hashlib.sha256(model_of(name)).hexdigest()
    assert facts["labels"] == ["fruit"]
    found = facts["held_out"]
    counted = finding.Tally(found["objects"], found["found"], found["wrong"])
    assert min(counted.recall, counted.precision) >= make_samples.LEAST_ACCURACY
    row = f"| {name} | {found['pictures']} | {found['objects']} | {found['found']} | {found['wrong']} |"
    assert row in (ROOT / "README.md").read_text(), "samples/README.md gives other numbers than models.json"


@pytest.mark.parametrize("name", [make_samples.SOUNDS + kind for kind in KINDS])
def test_models_json_describes_the_sounds_and_their_model_hears_them(name: str) -> None:
    facts = json.loads((ROOT / "models/models.json").read_text())[name]
    model = model_of(name)
    assert facts["sha256"] == hashlib.sha256(model).hexdigest()
    assert tuple(facts["labels"]) == sounds.SUBJECTS
    found = facts["held_out"]
    assert found["accuracy"] >= make_samples.LEAST_ACCURACY
    row = f"| {name} | {found['recordings']} | {percent(found['accuracy'])} |"
    assert row in (ROOT / "README.md").read_text(), "samples/README.md gives other numbers than models.json"
    inputs, classes = sounds.draw(10, 3)
    assert scoring.accuracy(scoring.predict(model, inputs), classes) >= make_samples.LEAST_ACCURACY
    assert {file.name: file.read_bytes() for file in committed("recordings")} == sounds.recordings()


@pytest.mark.parametrize("subject", SUBJECTS)
def test_input_and_output_are_those_of_edge_impulse(subject: str) -> None:
    from ai_edge_litert.interpreter import Interpreter  # slow to import

    interpreter = Interpreter(model_content=model_of(subject))
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    width, height, channels = LEARNED[subject].size
    assert source["name"] == LEARNED[subject].input_name
    assert source["shape"].tolist() == [1, height, width, channels]
    assert result["shape"].tolist() == [1, len(LEARNED[subject].labels)]
    assert source["dtype"] is result["dtype"] is np.float32


@pytest.mark.parametrize(("name", "shape"), [("table-fomo", [1, 12, 12, 2]), ("table-yolov5", [1, 256, 6])])
def test_detectors_answer_as_those_of_edge_impulse(name: str, shape: list[int]) -> None:
    from ai_edge_litert.interpreter import Interpreter  # slow to import

    interpreter = Interpreter(model_content=model_of(name))
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    width, height, channels = DETECTORS[name].size
    assert source["name"] == DETECTORS[name].input_name
    assert source["shape"].tolist() == [1, height, width, channels]
    assert result["shape"].tolist() == shape
    assert source["dtype"] is result["dtype"] is np.float32
    answer = scoring.predict(model_of(name), np.zeros((1, height, width, channels), np.float32))
    if name == "table-fomo":
        np.testing.assert_allclose(answer.sum(axis=-1), 1, atol=1e-5)
    else:
        half = 0.5 / 16  # a centre lies up to half a cell outside of its own
        assert -half <= answer[..., :2].min() < answer[..., :2].max() <= 1 + half
        assert 0 < answer[..., 2:].min() < answer[..., 2:].max() <= 1


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


def truth() -> dict[str, tuple[tables.Thing, ...]]:
    """What lies on the committed tables."""
    found = json.loads((ROOT / "pictures" / f"{TABLE}.json").read_text())
    return {name: tuple(tables.Thing(**thing) for thing in things) for name, things in found.items()}


def table_named(name: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(Image.open(ROOT / "pictures" / TABLE / name))


def test_tables_are_small_wide_and_hold_every_fruit() -> None:
    files = committed(f"pictures/{TABLE}")
    assert [file.name for file in files] == sorted(truth()) == [f"table-{n + 1}.jpg" for n in range(6)]
    assert {table_named(name).shape for name in truth()} == {(360, 640, 3)}
    assert max(file.stat().st_size for file in files) < make_samples.FRAME_BYTES
    assert min(len(things) for things in truth().values()) >= 4
    assert {thing.label for things in truth().values() for thing in things} == set(LEARNED["fruit"].labels)


def test_committed_table_is_what_the_script_draws() -> None:
    seed = (3, len(make_samples.SAMPLES), 0)
    large, things = tables.photograph(seed, 1280, 720, harsh=0.15, most=4, kind=0)
    drawn = np.asarray(Image.fromarray(large).resize((640, 360), Image.Resampling.BOX), np.float32)
    assert np.abs(drawn - table_named("table-1.jpg")).mean() < 5
    assert tuple(thing.scaled(0.5) for thing in things) == truth()["table-1.jpg"]


def test_rectangles_lie_close_around_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def lilac(view: View, _: np.random.Generator) -> tuple[Array, Array]:
        disc = (np.hypot(view.x * 1.3, view.y) < 0.9).astype(np.float32)
        return np.broadcast_to(np.array([1, 0, 1], np.float32), (*disc.shape, 3)), disc

    monkeypatch.setattr(tables, "FRUIT", {"lilac": lilac})
    monkeypatch.setattr(tables, "expose", lambda _, picture, *__, **___: picture)
    for seed in range(5):
        picture, (thing,) = tables.photograph((seed,), 320, 180, harsh=0, most=1)
        rows, columns = np.nonzero((picture == [1, 0, 1]).all(axis=-1))
        assert (thing.left, thing.left + thing.width) == (float(columns.min()), float(columns.max()) + 1)
        assert (thing.top, thing.top + thing.height) == (float(rows.min()), float(rows.max()) + 1)


def test_fruits_lie_inside_the_picture_and_apart() -> None:
    """Two in neighbouring cells would be one object to whoever merges cells."""
    for things in truth().values():
        for thing in things:
            assert 0 <= thing.left < thing.left + thing.width <= 640
            assert 0 <= thing.top < thing.top + thing.height <= 360
            assert 40 < max(thing.width, thing.height) < 130
        middles = np.array([thing.middle for thing in things])
        away = np.hypot(*(middles[:, None] - middles).transpose(2, 0, 1)) + np.eye(len(things)) * 999
        assert away.min() > 1.8 * 640 / 12


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_find_the_fruits_on_the_committed_tables(name: str) -> None:
    found = make_samples.seen_by(DETECTORS[name], model_of(name), [table_named(each) for each in sorted(truth())])
    total = finding.Tally()
    for each, things in zip(found, (truth()[each] for each in sorted(truth())), strict=True):
        total += finding.tally(each, things, DETECTORS[name].overlap)
    assert min(total.recall, total.precision) >= 0.9


def test_a_thing_comes_back_from_the_detectors_square_as_it_was() -> None:
    """640 to 96 is 0.15: the picture is 54 high and begins at 21 of 96."""
    thing = tables.Thing("pear", 300, 100, 40, 60)
    fit = finding.Fit(640, 360, 96)
    assert fit.bars == (0, 21)
    assert fit.inside(thing) == pytest.approx((0.5, (130 * 0.15 + 21) / 96, 6 / 96, 9 / 96))
    back = fit.outside("pear", *fit.inside(thing))
    assert (back.left, back.top, back.width, back.height) == pytest.approx((300, 100, 40, 60))
    assert finding.Fit(320, 180, 96).inside(thing.scaled(0.5)) == pytest.approx(fit.inside(thing))


def test_detectors_learn_the_row_of_the_cell_with_the_middle() -> None:
    pictures, rows = finding.draw(96, 2, seed=5, rows=True)
    _, grid = finding.draw(96, 2, seed=5, rows=False)
    assert pictures.shape == (2, 96, 96, 3)
    assert np.array_equal(rows[..., 0].reshape(2, 12, 12), grid)
    assert grid.any()
    for picture, row in np.argwhere(rows[..., 0] == 1):
        x, y, wide, high = rows[picture, row, 1:]
        assert (int(x * 12), int(y * 12)) == (row % 12, row // 12)
        assert 0.03 < wide < 0.25
        assert 0.03 < high < 0.25


def test_peaks_are_the_highest_of_neighbours_and_the_first_of_equals() -> None:
    scores = np.array([[0.9, 0.6, 0, 0, 0.7], [0, 0, 0, 0.7, 0], [0.5, 0, 0, 0, 0.4]], np.float32)
    assert finding.peaks(scores, 0.5) == [(0, 0), (4, 0), (0, 2)]


def test_of_overlapping_boxes_the_best_is_kept() -> None:
    rows = np.array([[0.5, 0.5, 0.2, 0.2, 0.9, 0.9], [0.52, 0.5, 0.2, 0.2, 1, 0.9], [0.2, 0.5, 0.2, 0.2, 0.7, 0.7]])
    (box,) = finding.boxes(rows, 0.5, finding.Fit(100, 100, 50), "fruit")
    assert (box.left, box.top, box.width, box.height) == pytest.approx((42, 40, 20, 20))


def test_tally_counts_each_object_once() -> None:
    things = [tables.Thing("pear", 10, 10, 10, 10), tables.Thing("kiwi", 50, 10, 10, 10)]
    half, away = tables.Thing("fruit", 10, 10, 10, 5), tables.Thing("fruit", 80, 80, 10, 10)
    assert finding.overlap(half, things[0]) == 0.5
    assert finding.tally([half, things[1]], things, 0.5) == finding.Tally(2, 2, 0)
    assert finding.tally([half, things[1]], things, 0.6) == finding.Tally(2, 1, 1)
    assert finding.tally([half, half, away], things, 0.5) == finding.Tally(2, 1, 2)
    assert finding.tally([half], [], 0.5) == finding.Tally(0, 0, 1)
    total = finding.Tally(2, 1, 2) + finding.Tally(2, 2, 1)
    assert (total.recall, total.precision) == (0.75, 0.5)


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
    sample = replace(make_samples.SAMPLES[1], held_out=2)
    detector = replace(DETECTORS["table-fomo"], held_out=2)

    def constant(_: bytes, inputs: Array) -> Array:
        return np.full((len(inputs), len(sample.labels)), 0.25, np.float32)

    def upside_down(model: bytes, inputs: Array) -> Array:
        scores = predict(model, inputs)
        return 1 - scores

    def blind(model: bytes, inputs: Array) -> Array:
        scores = predict(model, inputs)
        return scores * 0 if scores.ndim == 4 else scores

    monkeypatch.setattr(make_samples, "LEAST_ACCURACY", 0.8)  # few are held out
    predict = scoring.predict
    for wrong, said in ((constant, "the same whatever it sees"), (upside_down, "accuracy"), (blind, "found=0")):
        monkeypatch.setattr(scoring, "predict", wrong)
        with pytest.raises(SystemExit, match=said):
            make_samples.write_models(tmp_path, [sample], [detector], models(), check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module", params=["table-fomo", "table-yolov5"])
def app(request: pytest.FixtureRequest, convert: Callable[..., Path]) -> tuple[str, Path]:
    """A detector, and a bundle of it and the fruit classifier with every proof; TensorRT builds the one of boxes."""
    name, exports = str(request.param), ROOT / "exports"
    options = ["--pgie", exports / f"{name}-2025.zip", "--sgie", exports / "fruit-cpp-2022"]
    if name == "table-fomo":
        options += ["--fomo-merge", "peak"]
    elif importlib.util.find_spec("tensorrt_rtx_bindings"):
        options.append("--tensorrt")
    return name, convert("--images", ROOT / "pictures" / TABLE, *options)


def test_detectors_convert_with_every_proof(app: tuple[str, Path]) -> None:
    name, folder = app
    report = json.loads((folder / "report.json").read_text())
    for part, labels in (("primary", ("fruit",)), ("secondary", LEARNED["fruit"].labels)):
        evidence = report[part]["evidence"]
        assert evidence["parity"]["max_abs_diff"] < 1e-4
        assert evidence["batch"] == {"sizes": [1, 2, 8], "max_abs_diff": pytest.approx(0, abs=1e-5)}
        assert tuple(report[part]["model"]["head"]["labels"]) == labels
    assert report["primary"]["evidence"]["decoding"] < 1e-6
    assert [finding["id"] for finding in report["findings"] if finding["level"] == "error"] == []
    config = next(folder.glob("config_infer_primary_*.txt")).read_text()
    assert ("parse-bbox-func-name=NvDsInferParseCustomTfSSD" in config) == (name == "table-yolov5")
    assert f"pre-cluster-threshold={DETECTORS[name].threshold}\n" in config
    assert main(["check", str(folder), "--quiet", "--fail-on", "note"]) == 0


def test_two_models_find_and_name_the_fruits(app: tuple[str, Path], tmp_path: Path) -> None:
    """What the app will show, simulated as DeepStream computes it, held against what lies on the tables."""
    name, folder = app
    config = next(folder.glob("deepstream_app_*.txt"))
    pictures = ROOT / "pictures" / TABLE
    assert main(["simulate", "--app", str(config), str(pictures), "-o", str(tmp_path / "shown"), "--quiet"]) == 0
    shown = json.loads((tmp_path / "shown/objects.json").read_text())
    assert [frame["name"] + ".jpg" for frame in shown["frames"]] == sorted(truth())
    total, named = finding.Tally(), 0
    for frame in shown["frames"]:
        things = truth()[frame["name"] + ".jpg"]
        sizes = ("left", "top", "width", "height")
        found = [tables.Thing(one["text"], *(one[size] for size in sizes)) for one in frame["metadata"]]
        total += finding.tally(found, things, DETECTORS[name].overlap)
        for one in found:
            nearest = max(things, key=lambda thing: finding.overlap(one, thing))
            named += one.label == f"fruit {nearest.label}"
    assert min(total.recall, total.precision) >= 0.9
    assert named >= 0.9 * (total.found + total.wrong)
    assert len(list((tmp_path / "shown/drawn").iterdir())) == len(truth())


@pytest.mark.slow
def test_demo_converts_checks_and_shows(tmp_path: Path, forks: Path) -> None:
    (tmp_path / "bin").mkdir()
    environment = {**command(tmp_path / "bin", forks), UNPROVEN: "1"}  # other tests prove such bundles
    run = ["sh", str(ROOT / "demo.sh"), "demo"]
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    demo = tmp_path / "demo"
    bundles = {path.parent.name for path in demo.rglob("report.json")}
    assert bundles == {path.name.removesuffix(".zip") for path in (ROOT / "exports").iterdir()} | {"table-app"}
    assert "6 of 6 pictures show something" in done.stdout
    assert (demo / "simulated/report.html").is_file()
    assert "demo/simulated/report.html" in done.stdout
    assert main(["check", str(demo), "--quiet", "--fail-on", "note"]) == 0, "the checker trips over the results"


def test_the_script_starts_from_anywhere(tmp_path: Path) -> None:
    run = [sys.executable, str(ROOT / "make_samples.py"), "--help"]
    said = subprocess.run(run, check=True, cwd=tmp_path, capture_output=True, text=True).stdout
    assert "--no-train" in said


def make_quickly(folder: str) -> None:
    """What the script does, in a child process that may have made other networks."""
    import keras

    keras.utils.clear_session()  # of the numbers in the names of layers, which stand in the models
    sys.argv[1:] = ["--quick", "--out", folder]
    make_samples.main()


@pytest.mark.slow
def test_the_script_makes_everything(tmp_path: Path, tensorflow: Worker) -> None:
    tensorflow.call("tests.test_samples:make_quickly", str(tmp_path), timeout=600)
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    made_by_it = ("models", "exports", "int8", "pictures", "recordings", "belt.mp4", "overview.jpg")
    ours = {name for path in committed() if (name := path.relative_to(ROOT).as_posix()).startswith(made_by_it)}
    assert made == ours
    model = (tmp_path / "models/shapes.tflite").read_bytes()
    assert len(model) == len(model_of("shapes"))
    assert model != model_of("shapes")
