"""The original is found, or given; another model is refused, whatever it is called."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import onnx
import pytest

from convert.errors import InputError, UnsupportedModelError
from convert.export.unpack import Unpack
from convert.images import ResizeMode
from tests.compare.bundles import SAMPLES, changed, compared, config_of, judged, photo
from tests.export.eon.writer import FORMS, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GIVE = "name the export or the .tflite that the bundle was converted from with --original"
_KIWI = SAMPLES / "pictures" / "fruit" / "kiwi-1.jpg"


def _copied(bundle: Path, folder: Path) -> Path:
    return config_of(shutil.copytree(bundle, folder))


def _original(config: Path, given: Path | None = None) -> tuple[str, ResizeMode, tuple[str, ...], list[str]]:
    with judged(config, given) as found:
        model = found.models.edge_impulse
        return (
            model.file, model.resize_mode, model.original.labels, [each.id for each in model.findings]
        )  # fmt: skip


def test_an_export_a_flatbuffer_and_what_the_report_says(fruit: Path, fruit_export: Path, tmp_path: Path) -> None:
    labels = ("apple", "banana", "kiwi", "orange", "pear")
    config = config_of(fruit)
    assert _original(config, fruit_export)[1:] == (ResizeMode.SQUASH, labels, [])
    alone = tmp_path / "anything.lite"
    shutil.copy(SAMPLES / "models" / "fruit.tflite", alone)
    assert _original(config, alone) == (str(alone), ResizeMode.SQUASH, labels, [])


def test_it_is_found_beside_the_bundle_and_in_the_current_folder(
    shapes: Path, shapes_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _copied(shapes, tmp_path / "bundle")
    with pytest.raises(InputError, match=r"wooden-shapes\.onnx is not found \(shapes-cpp-2025 is neither") as caught:
        _original(config)
    assert caught.value.hint == GIVE
    with monkeypatch.context() as here:
        here.chdir(shapes_export.parent)
        assert _original(config)[0] == "shapes-cpp-2025"
    shutil.copytree(shapes_export, tmp_path / "shapes-cpp-2025")
    assert _original(config)[0] == str(tmp_path / "shapes-cpp-2025")


def test_a_wrong_model_of_the_right_name_is_not_taken(shapes: Path, tmp_path: Path) -> None:
    config = _copied(shapes, tmp_path / "bundle")
    shutil.copy(SAMPLES / "models" / "fruit.tflite", tmp_path / "shapes-cpp-2025")
    shutil.copy(SAMPLES / "models" / "fruit.tflite", config.parent / "wooden-shapes.tflite")
    with pytest.raises(InputError, match="is not found"):
        _original(config)
    for name in ("wooden-shapes.tflite", "wooden-shapes.lite"):
        shutil.copy(SAMPLES / "models" / "shapes.tflite", config.parent / name)
        assert _original(config)[0] == str(config.parent / name)
        (config.parent / name).unlink()


def test_a_wrong_model_is_refused(shapes: Path, fruit: Path, fruit_export: Path, shapes_export: Path) -> None:
    for bundle, other in (
        (shapes, fruit_export),
        (fruit, shapes_export),
        (fruit, SAMPLES / "models" / "shapes.tflite"),
    ):
        with pytest.raises(InputError, match=r"^not the model that the bundle was converted from") as caught:
            _original(config_of(bundle), other)
        assert (caught.value.path, caught.value.hint) == (str(other), GIVE)


def test_of_several_models_the_one_with_the_digest_is_taken(fruit: Path, tmp_path: Path) -> None:
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("shapes", "fruit"):
        shutil.copy(SAMPLES / "models" / f"{name}.tflite", folder)
    assert _original(config_of(fruit), folder)[2][0] == "apple"


def test_a_report_of_another_model_is_not_believed(fruit: Path, fruit_export: Path, tmp_path: Path) -> None:
    config = _copied(fruit, tmp_path / "bundle")
    report = config.parent / "report.json"
    document = json.loads(report.read_text())
    for file in document["files"]:
        if file["path"].endswith(".onnx"):
            file["sha256"] = "0" * 64
    report.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"\.onnx is not the model that report\.json describes"):
        _original(config, fruit_export)
    report.write_text("{")
    with pytest.raises(InputError, match="damaged"):
        _original(config, fruit_export)
    report.unlink()
    assert _original(config, fruit_export)[1:2] == (ResizeMode.SQUASH,)
    assert _original(config, fruit_export)[3] == ["EI753"]


def test_a_model_that_says_nothing_of_its_origin_is_compared_with_a_warning(
    fruit: Path, fruit_export: Path, shapes_export: Path, tmp_path: Path
) -> None:
    config = changed(fruit, tmp_path, {})
    (path,) = tmp_path.glob("*.onnx")
    model = onnx.load_model(path)
    del model.metadata_props[:]
    path.write_bytes(model.SerializeToString())
    found = compared(config, fruit_export, photo(_KIWI))
    assert [each.id for each in found.comparison.findings] == ["EI752", "EI753"]
    assert found.comparison.findings[0].message == "the ONNX model does not say what it was made of"
    with pytest.raises(InputError, match=r"^the original of \S+\.onnx is not found$"):
        _original(config)
    with pytest.raises(
        InputError, match=r"^the network takes 96x96 pixels with 3 channels, the original 48x48 with 1$"
    ) as caught:
        _original(config, shapes_export)
    assert caught.value.hint == "compare with the original of the same project and version"


def test_a_config_for_another_kind_of_model(fruit: Path, fruit_export: Path, tmp_path: Path) -> None:
    config = changed(fruit, tmp_path, {"network-type": 0, "num-detected-classes": 5})
    with pytest.raises(InputError, match=r"^network-type=0, and the original is of the kind classifier$") as caught:
        _original(config, fruit_export)
    assert caught.value.hint == "0 is for detectors, 1 for classifiers"


def test_what_cannot_be_decoded_is_refused_by_name(
    fruit: Path, fruit_export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack = Unpack.__call__

    def as_end_to_end(self: Unpack, artifact: object, workdir: Path) -> object:
        result = unpack(self, artifact, workdir)
        export = result.artifact
        return replace(result, artifact=replace(export, facts=replace(export.facts, task="end-to-end")))

    monkeypatch.setattr(Unpack, "__call__", as_end_to_end)
    with pytest.raises(
        UnsupportedModelError, match=r"^how Edge Impulse decodes models of the kind end-to-end is not known here"
    ):
        _original(config_of(fruit), fruit_export)


def test_an_integer_original_is_known_by_its_own_digest(emitted: Callable[..., Path], models: Path) -> None:
    """The ONNX model was made of its rewriting in float32; Edge Impulse runs the original."""
    file = models / "classify-32x32x1-int8.lite"
    folder = emitted(file, "--resize-mode", "squash", "--frame", "none")
    with judged(config_of(folder), file) as found:
        assert found.models.edge_impulse.quantized
        assert found.models.edge_impulse.original.model == file.read_bytes()


def test_compiled_code_and_the_flatbuffer_are_the_same_model(fruit: Path, tmp_path: Path) -> None:
    """Names and versions are lost in EON's C++; the digest does not count them."""
    file = tmp_path / "trained_model_compiled.cpp"
    file.write_text(write((SAMPLES / "models" / "fruit.tflite").read_bytes(), FORMS["2020"]))
    assert _original(config_of(fruit), file)[0] == str(file)
    kiwi = photo(_KIWI)
    plain = SAMPLES / "models" / "fruit.tflite"
    rows = [compared(config_of(fruit), path, kiwi).rows for path in (file, plain)]
    assert rows[0] == rows[1]


def test_labels_that_nobody_recorded_are_those_that_are_shown(fruit: Path, tmp_path: Path) -> None:
    config = changed(fruit, tmp_path, {}, labels={";orange;pear": ""})
    (tmp_path / "report.json").unlink()
    assert _original(config, SAMPLES / "models" / "fruit.tflite")[2] == (
        "apple", "banana", "kiwi", "class 3", "class 4"
    )  # fmt: skip
    rows = compared(config, SAMPLES / "models" / "fruit.tflite", photo(_KIWI)).rows
    assert rows[0].edge_impulse.label == "kiwi"
