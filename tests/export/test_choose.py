"""Which model of an export is THE model: what is in use, what was asked for, what is left over."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.errors import ConvertError, InputError, UnsupportedModelError
from convert.export.archive import LABEL_FILE, Tree
from convert.export.choose import bundle_name
from convert.export.dequantize import same_weights
from convert.export.keras import places
from convert.export.unpack import inspect
from convert.types import Export, Metadata
from samples.layouts import Parameters, cpp_library, header, multi_impulse_library, write_tree
from tests.export import tiny
from tests.export.unpacking import LABELS, MODEL, SHAPE_LABELS, SHAPES, compiled_source, export_of, ids, refused, unpack
from tests.graph.flat import Flat

if TYPE_CHECKING:
    from convert.types import ModelFacts


def test_an_anomaly_model_beside_the_classifier(tmp_path: Path) -> None:
    for year in (2023, 2025, 2026):
        files = cpp_library(MODEL, Parameters(year=year, labels=LABELS), anomaly=tiny.anomaly())
        result = unpack(write_tree(files, tmp_path / str(year)))
        export = result.artifact
        assert isinstance(export, Export)
        assert (export.model, export.name) == (MODEL, "garden-watch")
        assert ids(result) == ["EI104"]


def test_several_models_of_which_none_takes_pictures(tmp_path: Path) -> None:
    """Two models of sound; and the two halves of a visual anomaly detector, of which the first does take a picture."""
    sound = Parameters(year=2025, labels=LABELS, sensor="MICROPHONE")
    library = multi_impulse_library(
        [(tiny.features(), sound), (tiny.features(44), replace(sound, impulse_id=2, block_id=9))]
    )
    error = refused(write_tree(library, tmp_path / "sound"), "no classifier or detector", UnsupportedModelError)
    assert "unpack --model" in str(error.hint)
    assert export_of(tmp_path / "sound", model="tflite_learn_9").model == tiny.features(44)
    features = tiny.model((1, 160, 160, 3), (1, 20, 20, 96), last="CONV_2D")
    parameters = Parameters(year=2026, labels=(), width=160, height=160, last_layer="FOMO", threshold=0.5)
    detector = cpp_library(features, parameters, anomaly=tiny.anomaly())
    variables = detector["model-parameters/model_variables.h"].decode().replace("label_count = 0", "label_count = 1")
    visual = variables.replace("ei_fill_result_fomo_f32", "ei_fill_result_visual_ad_f32")
    assert visual != variables
    detector["model-parameters/model_variables.h"] = visual.encode()
    error = refused(write_tree(detector, tmp_path / "anomaly"), "no classifier or detector", UnsupportedModelError)
    assert error.message.count("(anomaly, ") == 2
    assert ids(unpack(tmp_path / "anomaly", model="tflite_learn_4711_5")) == ["EI104"]


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A library with two picture impulses."""
    first = Parameters(year=2025, labels=LABELS)
    second = replace(first, impulse_id=2, impulse_name="Second one", block_id=9, labels=("x", "y", "z"), width=48)
    other = tiny.classifier(96, 48, 3, 3, seed=1)
    return write_tree(multi_impulse_library([(MODEL, first), (other, second)]), tmp_path / "two")


def test_several_impulses_are_listed_and_not_guessed(two: Path) -> None:
    error = refused(two, "the export holds 2 models")
    for part in ("1. tflite_learn_5, impulse 1 'Impulse #1'", "2. tflite_learn_9, impulse 2 'Second one'", "96x48x3"):
        assert part in error.message
    assert "--model tflite_learn_5" in str(error.hint)


@pytest.mark.parametrize(
    "wanted", ["tflite_learn_9", "tflite-model/tflite_learn_9.h", "tflite_learn_9.tflite", "2", "#2", " second ONE "]
)
def test_ways_to_name_one(wanted: str, two: Path) -> None:
    result = unpack(two, model=wanted)
    export = result.artifact
    assert isinstance(export, Export)
    assert (export.metadata.labels, export.metadata.impulse_id) == (("x", "y", "z"), 2)
    assert export.name == "garden-watch-second-one-9"
    assert ids(result) == ["EI104"]


@pytest.mark.parametrize("wanted", ["tflite_learn_1", "3", "#3", "", "Impulse"])
def test_a_name_that_means_none(wanted: str, two: Path) -> None:
    assert "2. tflite_learn_9" in refused(two, "there is no model", model=wanted).message


def test_an_impulse_s_number_goes_before_a_place_in_the_list(tmp_path: Path) -> None:
    first = Parameters(year=2025, impulse_id=2, block_id=5)
    second = replace(first, impulse_id=1, block_id=9)
    files = multi_impulse_library([(MODEL, first), (tiny.classifier(seed=1), second)])
    write_tree(files, tmp_path)
    assert export_of(tmp_path, model="1").metadata.block_id == 9
    assert export_of(tmp_path, model="#1").metadata.block_id == 5


def test_a_name_that_means_several(tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.tflite").write_bytes(tiny.classifier(seed=seed))
    refused(tmp_path, "'model' means 2 models", model="model")
    assert export_of(tmp_path, model="b/model.tflite").model == tiny.classifier(seed=2)


def test_the_example_of_a_name_can_be_typed_and_means_one(tmp_path: Path) -> None:
    """Two files of one name; a copy as browsers name it; in a shell a bare #1 starts a comment."""
    files = {"trained.tflite": tiny.classifier(seed=1), "signs/trained.tflite": tiny.classifier(seed=2)}
    error = refused(write_tree(files, tmp_path / "a"), "the export holds 2 models")
    assert str(error.hint).endswith("--model signs/trained.tflite")
    assert export_of(tmp_path / "a", model="signs/trained.tflite").model == tiny.classifier(seed=2)
    assert export_of(tmp_path / "a", model="trained.tflite").model == tiny.classifier(seed=1)
    copies = {"model (1).lite": tiny.classifier(seed=1), "model.lite": tiny.classifier(seed=2)}
    hint = str(refused(write_tree(copies, tmp_path / "b"), "the export holds 2 models").hint)
    assert shlex.split(hint)[-2:] == ["--model", "model (1)"]
    first = header(tiny.classifier(seed=1), "F2m", namespace="a")
    second = header(tiny.classifier(seed=2), "F2m", namespace="b").replace("MODEL_", "SECOND_")  # the guard
    (tmp_path / "tflite-trained.h").write_text(f"{first}\n{second}")
    hint = str(refused(tmp_path / "tflite-trained.h", "the export holds 2 models").hint)
    assert shlex.split(hint)[-2:] == ["--model", "#1"]


def ethos() -> bytes:
    """A picture classifier that only an Arm Ethos-U runs."""
    return tiny.model((1, 96, 96, 3), (1, 2), last="CUSTOM", custom="ethos-u")


def test_the_example_of_a_name_is_a_model_that_converts_as_it_is(tmp_path: Path) -> None:
    files = {"0.lite": ethos(), "a.lite": tiny.int8_classifier(), "b.lite": MODEL}
    assert str(refused(write_tree(files, tmp_path), "the export holds 3 models").hint).endswith("--model b")
    files = {"0.lite": ethos(), "a.lite": tiny.int8_classifier(), "b.lite": tiny.int8_classifier(48, 48)}
    assert str(refused(write_tree(files, tmp_path), "the export holds 3 models").hint).endswith("--model a")


def test_what_cannot_be_read_is_listed_as_that(tmp_path: Path) -> None:
    files = {"a.lite": b"<html>Sign in</html>", "b.lite": MODEL, "c.lite": tiny.classifier(seed=3)}
    assert "1. a.lite (cannot be read)" in refused(write_tree(files, tmp_path), "the export holds 3 models").message


def test_one_that_converts_among_others_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    files = {"a.lite": b"<html>Sign in</html>", "b.lite": ethos(), "c.lite": MODEL}
    result = unpack(write_tree(files, tmp_path))
    assert result.artifact.model == MODEL
    assert ids(result) == ["EI101", "EI104", "EI105"]
    said = " ".join(finding.message for finding in result.findings)
    assert "b.lite was not converted (also in use): it is compiled for an Arm Ethos-U" in said
    assert [model.chosen for model in inspect(tmp_path).models] == [False, False, True]


def test_none_that_converts_is_said_with_a_reason(tmp_path: Path) -> None:
    other = tiny.model((1, 48, 48, 3), (1, 2), last="CUSTOM", custom="ethos-u")
    files = {"a.lite": ethos(), "b.lite": other}
    message = "2 models, none of which can be converted"
    error = refused(write_tree(files, tmp_path), message, UnsupportedModelError)
    assert "the first: this model cannot be converted: it is compiled for an Arm Ethos-U" in error.message
    assert "float32" in str(error.hint)
    assert "--model" not in str(error.hint)


@pytest.mark.parametrize("folders", [("", ""), ("float32/", "int8/"), ("int8/", "")])
def test_of_twins_float32_is_taken(tmp_path: Path, folders: tuple[str, str]) -> None:
    plain, quantized = tiny.twins()
    files = {f"{folders[0]}model.lite": plain, f"{folders[1]}model-q.lite": quantized}
    result = unpack(write_tree(files, tmp_path))
    assert result.artifact.model == plain
    (found,) = (finding for finding in result.findings if finding.id == "EI112")
    assert found.message == f"{folders[1]}model-q.lite was not converted: it is the same network in int8"
    assert ids(result) == ["EI101", "EI112"]
    assert export_of(tmp_path, model="model-q").model == quantized


def test_networks_that_only_look_alike_are_no_twins(tmp_path: Path) -> None:
    """Trained again, one weight lies another step away."""
    for missed in (0.4, -0.4):
        assert same_weights(*reversed(tiny.twins(missed=missed)))
    for missed in (0.6, -0.6):
        assert not same_weights(*reversed(tiny.twins(missed=missed)))
    assert not same_weights(tiny.twins(1)[1], tiny.twins(2)[0])
    rows = []
    for count in (3, 1):  # of which each is the same
        flat = Flat()
        source, scores = flat.tensor(1, 4), flat.tensor(1, count)
        flat.operator("FULLY_CONNECTED", [source, flat.constant(np.ones((count, 4)), "float32"), -1], [scores])
        rows.append(flat.build([source], [scores]))
    assert same_weights(rows[0], rows[0])
    assert not same_weights(*rows)
    files = {"a.lite": tiny.twins(1)[1], "b.lite": tiny.twins(2)[0]}
    assert str(refused(write_tree(files, tmp_path), "the export holds 2 models").hint).endswith("--model b")


def test_real_twins(models: Path) -> None:
    for name in ("classify-32x32x1", "classify-96x96x3", "classify-320x320x3"):
        plain, quantized = ((models / f"{name}-{kind}.lite").read_bytes() for kind in ("f32", "int8"))
        assert same_weights(quantized, plain)
    assert not same_weights(quantized, (models / "classify-96x96x3-f32.lite").read_bytes())


def test_text_that_is_called_like_a_model_does_not_stand_in_the_way(tmp_path: Path) -> None:
    files = {"m.tflite": MODEL, "Makefile.tflite": b"CFLAGS += -Itf\n", "old.tflite": b"#include <stdint.h>\n"}
    result = unpack(write_tree(files, tmp_path))
    export = result.artifact
    assert isinstance(export, Export)
    assert export.model == MODEL
    assert ids(result) == ["EI101"]
    (tmp_path / "m.tflite").write_bytes(tiny.features())
    assert export_of(tmp_path).model == tiny.features()
    (tmp_path / "m.tflite").unlink()
    (tmp_path / "old.tflite").unlink()
    refused(tmp_path, "this is a text file|this is C or C")


def test_a_file_called_like_the_model_that_is_compiled(tmp_path: Path) -> None:
    files = cpp_library(MODEL, Parameters(year=2025, labels=LABELS), "F4")
    files["tflite-model/ours.tflite"] = files.pop("tflite-model/tflite_learn_5.tflite")
    text = files["tflite-model/tflite_learn_5.h"].decode()
    files["tflite-model/tflite_learn_5.h"] = text.replace("tflite-model/tflite_learn_5.", "tflite-model/ours.").encode()
    files["tflite-model/tflite_learn_5.tflite"] = tiny.classifier(seed=1)
    assert export_of(write_tree(files, tmp_path)).model == MODEL


def test_the_same_symbol_in_two_namespaces(tmp_path: Path) -> None:
    first = Parameters(year=2023, labels=LABELS)
    second = replace(first, impulse_id=2, impulse_name="two", block_id=9, sensor="ACCELEROMETER")
    files = multi_impulse_library([(MODEL, first), (tiny.features(), second)], "F2m")
    export = export_of(write_tree(files, tmp_path))
    assert (export.model, export.member) == (MODEL, "tflite-model/tflite-trained_4711_1.h")
    other = export_of(tmp_path, model="impulse_4711_2::trained_tflite")
    assert (other.model, other.metadata.impulse_name) == (tiny.features(), "two")


def test_a_stale_model_is_left_alone(tmp_path: Path) -> None:
    stale = cpp_library(tiny.classifier(seed=9), Parameters(block_id=3))
    files = {path: data for path, data in stale.items() if path.startswith("tflite-model/")}
    files |= cpp_library(MODEL, Parameters(labels=LABELS))
    result = unpack(write_tree(files, tmp_path))
    export = result.artifact
    assert isinstance(export, Export)
    assert export.model == MODEL
    (finding,) = result.findings
    assert (finding.id, "tflite_learn_3" in finding.message) == ("EI104", True)
    named = unpack(tmp_path, model="tflite_learn_3").artifact
    assert isinstance(named, Export)
    assert named.model == tiny.classifier(seed=9)


def test_only_a_stale_model_is_not_taken_silently(tmp_path: Path) -> None:
    files = cpp_library(MODEL, Parameters(block_id=5))
    files["model-parameters/model_variables.h"] = cpp_library(MODEL, Parameters(block_id=8))[
        "model-parameters/model_variables.h"
    ]
    refused(write_tree(files, tmp_path), "runs tflite_learn_8, which is not in the export")
    assert export_of(tmp_path, model="tflite_learn_5").model == MODEL


def test_a_name_that_starts_like_the_one_in_use_is_another(tmp_path: Path) -> None:
    files = cpp_library(MODEL, Parameters(block_id=5))
    files["model-parameters/model_variables.h"] = cpp_library(b"", Parameters(block_id=51))[
        "model-parameters/model_variables.h"
    ]
    refused(write_tree(files, tmp_path), "runs tflite_learn_51, which is not in the export")


def test_a_damaged_extra_is_a_note(tmp_path: Path) -> None:
    files = {"tflite-model/tflite_learn_9.h": header(MODEL[:-40], "F3", symbol="tflite_learn_9").encode()}
    files |= cpp_library(MODEL, Parameters(labels=LABELS))
    result = unpack(write_tree(files, tmp_path))
    assert ids(result) == ["EI105"]


@pytest.mark.parametrize(
    ("form", "symbol"), [("E1", "trained_model"), ("E2", "tflite_learn_5"), ("E3", "tflite_learn_4711_5")]
)
def test_compiled_models_are_rebuilt(form: str, symbol: str, tmp_path: Path) -> None:
    year = {"E1": 2022, "E2": 2024, "E3": 2026}[form]
    parameters = Parameters(labels=SHAPE_LABELS, width=48, height=48, channels=1, year=year, compiled=True)
    files = cpp_library(compiled_source(symbol), parameters, form)
    result = unpack(write_tree(files, tmp_path))
    export = result.artifact
    facts, original = export.facts, export_of_bytes(tmp_path)
    assert export.form == form
    assert export.metadata.labels == SHAPE_LABELS
    assert (facts.operators, facts.quantization, facts.task) == (
        original.operators, original.quantization, original.task
    )  # fmt: skip
    assert facts.input.shape == original.input.shape
    assert "EI150" in ids(result)
    (source,) = (tmp_path / "tflite-model").glob("*.cpp")
    assert export_of(source.rename(tmp_path / "x.cpp")).model == export.model


def export_of_bytes(folder: Path) -> ModelFacts:
    """The facts of SHAPES itself."""
    (folder / "original").mkdir()
    (folder / "original" / "m.tflite").write_bytes(SHAPES)
    return export_of(folder / "original" / "m.tflite").facts


def test_a_damaged_compiled_model_names_the_line(tmp_path: Path) -> None:
    files = cpp_library(compiled_source("tflite_learn_5")[:-3000], Parameters(year=2024, compiled=True), "E2")
    error = refused(write_tree(files, tmp_path), ".", ConvertError)
    assert "compiled.cpp" in str(error.path)
    assert error.line


@pytest.mark.parametrize("year", [2022, 2024])
@pytest.mark.parametrize("compiled", [False, True])
def test_an_array_beside_a_compiled_file_of_the_same_model(year: int, compiled: bool, tmp_path: Path) -> None:
    """What model_variables.h names, or in 2022 the macro, says which of the two is in use."""
    form, other = ("F2", "E1") if year == 2022 else ("F3", "E2")
    symbol = "trained_model" if year == 2022 else "tflite_learn_5"
    parameters = Parameters(labels=SHAPE_LABELS, width=48, height=48, channels=1, year=year, compiled=compiled)
    files = cpp_library(compiled_source(symbol), parameters, other) | cpp_library(SHAPES, parameters, form)
    if compiled:
        files |= cpp_library(compiled_source(symbol), parameters, other)
    export = export_of(write_tree(files, tmp_path))
    assert export.form == (other if compiled else form)
    assert (export.model == SHAPES) is not compiled


def test_a_damaged_onnx_array_or_file_and_an_empty_array(tmp_path: Path) -> None:
    onnx = b"\x08\x07\x12\x07pytorch:\x80\x01" + bytes(100)
    (tmp_path / "m.onnx").write_bytes(onnx)
    refused(tmp_path / "m.onnx", "not an ONNX model, or a damaged one", InputError)
    (tmp_path / "onnx-trained.h").write_text(header(onnx, "F1", symbol="trained_onnx"))
    refused(tmp_path / "onnx-trained.h", "not an ONNX model, or a damaged one", InputError)
    (tmp_path / "tflite-trained.h").write_text(header(b"", "F2"))
    refused(tmp_path / "tflite-trained.h", "trained_tflite is empty", UnsupportedModelError)


def test_an_onnx_copy_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL)
    (tmp_path / "m.onnx").write_bytes(b"\x08\x07\x12\x07pytorch:\x80\x01" + bytes(100))
    assert export_of(tmp_path).model == MODEL


def test_a_repository_full_of_models_is_summed_up(tmp_path: Path) -> None:
    files = cpp_library(MODEL, Parameters(labels=LABELS))
    files |= {f"old/{number}.lite": tiny.classifier(seed=number + 1) for number in range(15)}
    findings = unpack(write_tree(files, tmp_path)).findings
    assert len(findings) == 11
    assert findings[-1].message == "5 further models were not converted"


def test_the_same_model_twice_is_one_model(tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(MODEL)
    (tmp_path / "tflite-trained.h").write_text(header(MODEL, "F2"))
    assert export_of(tmp_path).model == MODEL


def test_an_engine_whose_model_is_not_in_the_export(tmp_path: Path) -> None:
    files = cpp_library(MODEL, Parameters(year=2024))
    text = (
        files["model-parameters/model_metadata.h"]
        .decode()
        .replace("INFERENCING_ENGINE             2", "INFERENCING_ENGINE 14")
    )
    del files["tflite-model/tflite_learn_5.h"]
    files["model-parameters/model_metadata.h"] = text.encode()
    refused(write_tree(files, tmp_path), "inferencing engine ATON", UnsupportedModelError)


def test_the_sdk_s_own_test_models_are_no_candidates(tmp_path: Path) -> None:
    files = {
        "edge-impulse-sdk/tensorflow/lite/model.h": header(tiny.classifier(seed=3), "F1").encode(),
        "edge-impulse-sdk/tensorflow/lite/hello_world.tflite": tiny.classifier(seed=4),
    }
    files |= cpp_library(MODEL, Parameters(labels=LABELS))
    assert ids(unpack(write_tree(files, tmp_path))) == []


def test_a_header_of_another_name_is_found_when_nothing_else_is(tmp_path: Path) -> None:
    files = {"src/net.hpp": header(MODEL, "F1", symbol="g_net").encode(), "src/main.cpp": b"int main() {}" * 100}
    files["src/table.h"] = b"const unsigned char t[] = {" + b"1," * 2000 + b"X};"
    export = export_of(write_tree(files, tmp_path))
    assert (export.model, export.form, export.member) == (MODEL, "array", "src/net.hpp")


@pytest.mark.parametrize("suffix", [".h", ".hh", ".hpp", ".c", ".cc", ".cpp", ".cxx", ".inc", ".ino"])
def test_sources_that_may_hold_a_model(suffix: str, tmp_path: Path) -> None:
    member = f"tflite-model/net{suffix}"
    assert export_of(write_tree({member: header(MODEL, "F1").encode()}, tmp_path)).member == member


def test_an_array_under_a_condition_is_said(tmp_path: Path) -> None:
    text = f"#ifdef USE_IT\n{header(MODEL, 'F1')}\n#endif"
    (tmp_path / "tflite-trained.h").write_text(text)
    result = unpack(tmp_path)
    assert ids(result) == ["EI101", "EI111"]
    (said,) = (each for each in result.findings if each.id == "EI111")
    assert said.message.endswith(" stands in a branch of #if that is not compiled")
    assert (said.message[:6], said.path) == ("array ", str(tmp_path / "tflite-trained.h"))


def test_what_is_said_of_models_that_are_left_over(two: Path, tmp_path: Path) -> None:
    """Rule, message and file of each, the first ten and a count."""
    chosen = unpack(two, model="2")
    assert [(each.id, each.message, each.path, each.hint) for each in chosen.findings] == [
        ("EI104", "tflite_learn_5 was not converted (also in use)", f"{two}/tflite-model/tflite_learn_5.tflite", None)
    ]
    many = tmp_path / "many"
    files = cpp_library(MODEL, Parameters(year=2025, labels=LABELS))
    files |= {f"old/m{number:02}.tflite": tiny.classifier(seed=number + 2) for number in range(11)}
    files["old/m05.tflite"] = MODEL[:600]
    result = unpack(write_tree(files, many))
    told = [(each.id, each.message.partition(":")[0], each.path) for each in result.findings]
    assert told[:4] == [
        ("EI104", f"old/m{number:02}.tflite was not converted (not in use)", f"{many}/old/m{number:02}.tflite")
        for number in range(4)
    ]
    assert told[5][0::2] == ("EI105", f"{many}/old/m05.tflite")
    assert told[10:] == [("EI104", "1 further models were not converted", str(many))]
    assert len(unpack(two.parent / "many", model="old/m01.tflite").findings) == 11


def test_a_name_of_many_digits_is_read_once() -> None:
    """Split in every way, they would not end in the suite's time."""
    member = "model" + "1" * 40 + "x.tflite"
    assert bundle_name(None, "", Metadata(), Path(member), member, several=False) == member[:-7]


@pytest.mark.parametrize("part", ["(1)", " copy", "-tensorflow-lite-a-model", "label", "h5", " "])
def test_a_name_as_long_as_a_zip_s_may_be(part: str) -> None:
    """Looked at from each of its places to the end, it would not be read in the suite's time."""
    member = part * (100_000 // len(part)) + "x"
    bundle_name(None, "", Metadata(), Path("model"), member, several=False)
    assert not LABEL_FILE.fullmatch(member)
    assert not places(Tree("zip", Path("export.zip"), {member: 1}, (), lambda _, limit: b"x" * limit))
