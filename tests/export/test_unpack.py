"""Stage unpack: the same model's bytes come out of everything they were ever wrapped in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.errors import PresetError, UnsupportedModelError
from convert.export.unpack import Unpack
from convert.findings import Level
from convert.images import ImageScaling
from convert.types import Export
from samples.layouts import (
    FORMS,
    Parameters,
    arduino_library,
    cpp_library,
    header,
    openmv,
    write_tree,
    write_zip,
    zip_bytes,
)
from tests.export import tiny
from tests.export.unpacking import LABELS, MODEL, YEARS, export_of, ids, refused, unpack

if TYPE_CHECKING:
    from collections.abc import Callable


WRAPPED: dict[str, Callable[[dict[str, bytes], Path], Path]] = {
    "folder": lambda files, folder: write_tree(files, folder / "export"),
    "folder-below": lambda files, folder: write_tree(files, folder / "a" / "b" / "c").parent.parent,
    "zip": lambda files, folder: write_zip(files, folder / "export.zip"),
    "zip-wrapped": lambda files, folder: write_zip(files, folder / "export (1).zip", "garden-watch-v3"),
    "zip-in-zip": lambda files, folder: write_zip({"in/my.zip": zip_bytes(files)}, folder / "outer.zip"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrap", WRAPPED)
@pytest.mark.parametrize("library", [cpp_library, arduino_library])
def test_the_same_bytes_out_of_every_form_and_wrapping(
    form: str, wrap: str, library: Callable[..., dict[str, bytes]], tmp_path: Path
) -> None:
    parameters = Parameters(year=YEARS[form], labels=LABELS)
    result = unpack(WRAPPED[wrap](library(MODEL, parameters, form), tmp_path))
    export = result.artifact
    assert isinstance(export, Export)
    assert export.model == MODEL
    assert (export.name, export.form) == ("garden-watch", form)
    assert export.metadata.labels == LABELS
    assert export.facts.task == "classifier"
    assert "tflite-model/tflite" in export.member
    assert ids(result) == []


@pytest.mark.parametrize("name", ["x.lite", "x.tflite", "x.bin", "x"])
def test_a_plain_flatbuffer_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(MODEL)
    result = unpack(tmp_path / name)
    export = result.artifact
    assert isinstance(export, Export)
    assert (export.model, export.form, export.member, export.source) == (MODEL, "flatbuffer", "", name)
    assert export.metadata.labels is None
    (assumed,) = result.findings
    assert (assumed.id, assumed.level) == ("EI101", Level.WARNING)
    assert assumed.message == (
        "labels, resize mode and image scaling are not recorded; assumed: classes are called class0, class1, ..., "
        "pictures are squashed to the model's size, pixels are 0..1"
    )
    assert assumed.hint == "say it with --labels, --resize-mode and --image-scaling"


def test_what_an_option_says_is_not_assumed(tmp_path: Path) -> None:
    (tmp_path / "x.lite").write_bytes(MODEL)
    options: dict[str, Any] = {"labels": LABELS, "image_scaling": ImageScaling.NONE}
    (assumed,) = Unpack(labels=LABELS)(tmp_path / "x.lite", tmp_path).findings
    assert (assumed.id, assumed.hint) == ("EI101", "say it with --resize-mode and --image-scaling")
    assert "labels" not in assumed.message
    assert Unpack(**options)(tmp_path / "x.lite", tmp_path).findings == ()  # `adapt` says what is missing alone


def test_nothing_is_assumed_of_what_takes_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "x.lite").write_bytes(tiny.features())
    assert ids(unpack(tmp_path / "x.lite")) == []


@pytest.mark.parametrize("form", FORMS[:-1])
def test_a_single_header(form: str, tmp_path: Path) -> None:
    path = tmp_path / "tflite-trained.h"
    path.write_text(header(MODEL, form))
    export = export_of(path)
    assert (export.model, export.form, export.member) == (MODEL, form, "")


@pytest.mark.parametrize("form", FORMS)
def test_a_header_inside_its_library_knows_its_parameters(form: str, tmp_path: Path) -> None:
    files = cpp_library(MODEL, Parameters(year=YEARS[form], labels=LABELS), form)
    write_tree(files, tmp_path)
    (path,) = (tmp_path / "tflite-model").glob("*.h")
    result = unpack(path)
    export = result.artifact
    assert isinstance(export, Export)
    assert (export.model, export.form, export.member, export.metadata.labels) == (MODEL, form, "", LABELS)
    assert ids(result) == ["EI109"]


def test_the_binary_of_a_library_knows_its_parameters_too(tmp_path: Path) -> None:
    write_tree(cpp_library(MODEL, Parameters(year=2026, labels=LABELS), "F4"), tmp_path)
    export = export_of(tmp_path / "tflite-model" / "tflite_learn_4711_5.tflite")
    assert (export.model, export.metadata.labels) == (MODEL, LABELS)


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(cpp_library(MODEL, Parameters(labels=LABELS)), tmp_path)
    monkeypatch.chdir(tmp_path / "tflite-model")
    assert export_of(Path("tflite_learn_5.h")).metadata.labels == LABELS
    assert export_of(Path()).model == MODEL


def test_the_models_folder_alone(tmp_path: Path) -> None:
    """Its parameters lie beside it; where it was cut out of the library, there are none."""
    library = write_tree(cpp_library(MODEL, Parameters(year=2025, labels=LABELS), "F4"), tmp_path / "library")
    result = unpack(library / "tflite-model")
    export = result.artifact
    assert isinstance(export, Export)
    assert (export.model, export.metadata.labels, export.form) == (MODEL, LABELS, "F4")
    assert (export.source, export.member) == ("tflite-model", "tflite-model/tflite_learn_5.tflite")
    assert ids(result) == ["EI109"]
    (library / "tflite-model").rename(tmp_path / "tflite-model")
    assert ids(unpack(tmp_path / "tflite-model")) == ["EI101"]


def test_openmv(tmp_path: Path) -> None:
    result = unpack(write_zip(openmv(MODEL, LABELS), tmp_path / "fruit-openmv-v2.zip"))
    export = result.artifact
    assert isinstance(export, Export)
    assert (export.model, export.form, export.name) == (MODEL, "openmv", "fruit-openmv-v2")
    assert export.metadata.labels == LABELS


def test_openmv_lists_background_of_fomo(tmp_path: Path) -> None:
    fomo = tiny.model((1, 96, 96, 3), (1, 12, 12, 3))
    files = openmv(fomo, ("background", "bee", "wasp"))
    assert export_of(write_tree(files, tmp_path)).metadata.labels == ("bee", "wasp")
    result = unpack(write_tree(openmv(fomo, ("bee",)), tmp_path))
    assert ids(result) == ["EI101", "EI106"]
    assert result.findings[0].message.endswith("their number is 1, that of the classes 2")
    one = openmv(tiny.model((1, 96, 96, 3), (1, 12, 12, 2)), ("bee",))
    assert "the label was read from" in unpack(write_tree(one, tmp_path)).findings[0].message


@pytest.mark.parametrize(
    ("outputs", "first", "labels"),
    [
        ((1, 567, 7), "Background", ("bee", "wasp")), ((1, 567, 7), "Wall", None), ((1, 2), "Background", None),
        ((1, 3), "Background", ("Background", "bee", "wasp")),
    ],
)  # fmt: skip
def test_background_is_left_out_of_the_labels_of_a_detector(
    outputs: tuple[int, ...], first: str, labels: tuple[str, ...] | None, tmp_path: Path
) -> None:
    files = openmv(tiny.model((1, 96, 96, 3), outputs), (first, "bee", "wasp"))
    assert export_of(write_tree(files, tmp_path)).metadata.labels == labels


def test_an_unsupported_task_or_number_format_is_unpacked_all_the_same(tmp_path: Path) -> None:
    for data, task, quantization in (
        (tiny.int8_classifier(), "classifier", "int8"),
        (tiny.features(), "not-image", "float32"),
        (tiny.anomaly(), "anomaly", "float32"),
        (tiny.model((1, 96, 96, 3), (1, 4), (1, 4)), "unknown", "float32"),
    ):
        (tmp_path / "x.tflite").write_bytes(data)
        export = export_of(tmp_path / "x.tflite")
        assert (export.model, export.facts.task, export.facts.quantization) == (data, task, quantization)


def test_real_models_in_every_form(models: Path, tmp_path: Path) -> None:
    paths = [path for path in sorted(models.glob("*lite")) if path.stat().st_size < 1_000_000]
    assert len(paths) >= len(FORMS)
    for number, path in enumerate(paths):
        data = path.read_bytes()
        form = FORMS[number % len(FORMS)]
        files = cpp_library(data, Parameters(year=YEARS[form], project_name=path.stem), form)
        export = export_of(write_tree(files, tmp_path / str(number)))
        alone = export_of(path)
        assert export.model == alone.model == data
        assert export.name == alone.name
        assert export.facts.input == alone.facts.input


@pytest.mark.parametrize("place", ["", "src/", "a/tflite-model/"])
def test_an_incbin_is_looked_for_from_the_library_s_root_on(place: str, tmp_path: Path) -> None:
    """Its folder and the header's are the library's; beside the header a file of the same name is second choice."""
    files = cpp_library(MODEL, Parameters(year=2026), "F4")
    written = "tflite-model/tflite_learn_4711_5.tflite"
    moved = {f"{place}{path}": data for path, data in files.items()}
    moved[f"{place}tflite-model/{written}"] = tiny.classifier(seed=9)  # what the line would name from the header on
    export = export_of(write_tree(moved, tmp_path))
    assert (export.model, export.form, export.member) == (MODEL, "F4", f"{place}{written}")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (tiny.classifier(), "it is a float model, and --precision int8 keeps the 8-bit codes"),
        (tiny.int8_classifier(), None),
        (tiny.classifier(channels=2), None),
        (tiny.anomaly(), None),
    ],
)
def test_8_bit_codes_are_asked_for_only_of_what_can_be_converted(
    model: bytes, reason: str | None, tmp_path: Path
) -> None:
    """What else stands in the way is said by the next stage, which knows more."""
    (tmp_path / "x.tflite").write_bytes(model)
    if reason is None:
        assert export_of(tmp_path / "x.tflite", precision="int8").name == "x"
    else:
        refused(tmp_path / "x.tflite", reason, UnsupportedModelError, precision="int8")


def test_options_that_do_not_go_with_the_model(tmp_path: Path) -> None:
    with pytest.raises(PresetError) as caught:
        Unpack(task="nonsense")
    assert caught.value.message == "there is no --task 'nonsense'"
    assert (caught.value.hint or "").startswith("one of: classifier, ")
    (tmp_path / "m.tflite").write_bytes(tiny.twins()[1])
    (tmp_path / "pictures").mkdir()
    for number in range(20):  # which nothing reads
        (tmp_path / "pictures" / f"{number}.png").touch()
    with pytest.raises(PresetError) as caught:
        unpack(tmp_path / "m.tflite", calibrate=tmp_path / "pictures")
    message = "--calibrate quantizes a float model, and this one is quantized: int8 classifier, input 96x96x1"
    assert caught.value.message == message
    hint = "leave out --calibrate: --precision int8 keeps the codes it was trained with"
    assert caught.value.hint == hint
