"""SavedModels and Keras models: what TensorFlow makes of them, and what is refused before it."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convert.api import convert
from convert.errors import (
    ConvertError,
    InputError,
    MissingDependencyError,
    TranslationError,
    UnsupportedModelError,
    ValidationError,
)
from convert.export import keras
from convert.isolation import Died, Failed, Worker
from samples.layouts import Parameters, cpp_library, write_tree, zip_bytes
from samples.make_samples import HERE, SAVED
from tests.export import tiny
from tests.export.unpacking import export_of, ids, refused, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

HDF5 = b"\x89HDF\r\n\x1a\nmodel_config"


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory, tensorflow: Worker) -> Path:
    """The models of `keras_models`."""
    folder = tmp_path_factory.mktemp("keras")
    tensorflow.call("tests.export.keras_models:write", str(folder), timeout=600)
    return folder


class _Once:
    """What the child makes of a model; of the same files it is asked once, wherever they lie."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._made: dict[object, Any] = {}

    def call(self, function: str, form: str, files: dict[str, bytes], **options: Any) -> Any:
        key = function, form, frozenset(files.items())
        if key not in self._made:
            self._made[key] = self._worker.call(function, form, files, **options)
        return self._made[key]


@pytest.fixture
def child(tensorflow: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Conversions in the child that has TensorFlow already."""
    once = _Once(tensorflow)
    monkeypatch.setattr(keras, "Worker", lambda preload: nullcontext(once))  # noqa: ARG005


def outputs(model: bytes) -> np.ndarray[Any, Any]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    values = np.random.default_rng(3).random(source["shape"], np.float32)
    interpreter.set_tensor(source["index"], values)
    interpreter.invoke()
    result: np.ndarray[Any, Any] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return result


def packed(folder: Path) -> bytes:
    return zip_bytes({str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()})


@pytest.mark.usefixtures("child")
def test_every_form_gives_the_same_network(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "trained.h5.zip").write_bytes(zip_bytes({"model.h5": (saved / "good.h5").read_bytes()}))
    (tmp_path / "trained.savedmodel.zip").write_bytes(packed(saved / "saved"))
    folder = tmp_path / "keras-in-a-folder"
    folder.mkdir()
    shutil.copy(saved / "good.keras", folder)
    shutil.copytree(saved / "saved", tmp_path / "beside" / "saved")
    (tmp_path / "beside" / "labels.txt").write_text("a\nb\nc\nd\n")
    paths = (
        *(
            saved / name
            for name in ("good.keras", "good.h5", "keras2.h5", "nested.h5", "saved", "saved/saved_model.pb")
        ),
        saved / "slots",
        *(tmp_path / name for name in ("trained.h5.zip", "trained.savedmodel.zip", folder.name, "beside")),
    )
    exports = [export_of(path) for path in paths]
    expected = outputs(exports[0].model)
    for path, export in zip(paths, exports, strict=True):
        assert np.abs(outputs(export.model) - expected).max() < 1e-6, path
        assert export.facts.task == "classifier"
        assert export.facts.quantization == "float32"
        assert export.source_parity is not None
        assert export.source_parity.inputs == 8
        assert export.source_parity.max_abs_diff < 1e-5
    assert exports[-1].metadata.labels == ("a", "b", "c", "d")
    assert exports[0].name == "good"
    assert "EI155" in ids(unpack(saved / "good.h5"))


@pytest.mark.usefixtures("child")
@pytest.mark.parametrize(
    ("name", "message", "kind"),
    [
        ("lambda.keras", "a Lambda layer, whose Python code is not executed", UnsupportedModelError),
        ("lambda.h5", "a Lambda layer, whose Python code is not executed", UnsupportedModelError),
        ("custom.keras", "the custom layer Doubled, whose code is not in the file", UnsupportedModelError),
        ("custom.h5", "the custom layer Doubled, whose code is not in the file", UnsupportedModelError),
        ("calls.h5", "TFOpLambda layers of Keras 2.15.0, which Keras 3 cannot read", UnsupportedModelError),
        ("python", "calls Python code", UnsupportedModelError),
        ("lacking", "no operator for .*Igamma", UnsupportedModelError),
        ("two", "2 signatures, none of which is serving_default: left, right", UnsupportedModelError),
        ("none", "no signature", UnsupportedModelError),
        ("only.weights.h5", "no Keras model: it has no model_config", InputError),
    ],
)
def test_what_is_refused(name: str, message: str, kind: type[ConvertError], saved: Path) -> None:
    error = refused(saved / name, message, kind)
    assert "\n" not in error.message
    assert not (saved / "executed").exists()


@pytest.mark.usefixtures("child")
def test_damaged_files(saved: Path, tmp_path: Path) -> None:
    whole = (saved / "good.h5").read_bytes()
    for name, data, message in (
        ("cut.h5", whole[: len(whole) // 2], "the HDF5 file is damaged"),
        ("head.h5", HDF5 + bytes(100), "the HDF5 file is damaged"),
    ):
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, message)
    shutil.copytree(saved / "saved", tmp_path / "cut")
    graph = tmp_path / "cut" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:2000])
    refused(tmp_path / "cut", "saved_model.pb is damaged")
    shutil.copytree(saved / "saved", tmp_path / "data")
    weights = next((tmp_path / "data" / "variables").glob("*.data-*"))
    weights.write_bytes(weights.read_bytes()[:100])
    refused(tmp_path / "data", "TensorFlow cannot load the SavedModel")
    files = {"config.json": b"{", "metadata.json": b"{}", "model.weights.h5": HDF5}
    (tmp_path / "x.keras").write_bytes(zip_bytes(files))
    refused(tmp_path / "x.keras", "the .keras file is damaged: config.json")


# Without TensorFlow


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras, "PathFinder", SimpleNamespace(find_spec=lambda _: None))
    (tmp_path / "model.h5").write_bytes(HDF5)
    for path in (tmp_path / "model.h5", tmp_path):
        error = refused(path, "this is a Keras model, which TensorFlow has to convert", MissingDependencyError)
        assert 'pip install "ei-deepstream[tensorflow]"' in str(error.hint)


def test_data_in_hdf5_is_no_model(tmp_path: Path) -> None:
    """Which is known without TensorFlow."""
    (tmp_path / "pictures.h5").write_bytes(HDF5[:8] + bytes(100))
    for path in (tmp_path / "pictures.h5", tmp_path):
        refused(path, "this HDF5 file holds no Keras model")


GRAPH = b"\x08\x01\x12\x05\x0a\x03abc"


@pytest.mark.parametrize("name", ["saved_model.pb", "", "x.zip"])
def test_a_graph_without_its_variables(name: str, tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(GRAPH)
    (tmp_path / "x.zip").write_bytes(zip_bytes({"a/saved_model.pb": GRAPH}))
    path = tmp_path / name
    refused(path, "this is the graph of a TensorFlow SavedModel: the folder variables/")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"model.h5": bytes(64 << 20)}, "zip bomb"),
        ({"model.h5": b"anything"}, "^this is a text file$"),
        (
            {"a/saved_model.pb": b"anything", "a/variables/variables.index": b""},
            "^this is no SavedModel, but a text file$",
        ),
    ],
)
def test_a_zip_that_holds_something_else(files: dict[str, bytes], message: str, tmp_path: Path) -> None:
    path = tmp_path / "trained.h5.zip"
    path.write_bytes(zip_bytes(files))
    refused(path, message)
    folder = write_tree({"trained.h5.zip": path.read_bytes()}, tmp_path / "export")
    refused(folder, message)


def test_a_packed_model_that_is_something_else(tmp_path: Path) -> None:
    for name in ("model.keras", "model.h5.zip"):
        folder = write_tree({name: b"anything"}, tmp_path / name)
        refused(folder, "^this is a text file$")
    for count in (0, 2):
        files = {f"{number}.h5": b"\x89HDF\r\n\x1a\nmodel_config" for number in range(count)}
        folder = write_tree({"model.h5.zip": zip_bytes({"a.txt": b"x", **files})}, tmp_path / str(count))
        refused(folder, f"^this zip holds {count} models of TensorFlow, not one$")


def test_the_tflite_of_an_export_wins(tmp_path: Path) -> None:
    files = cpp_library(tiny.classifier(), Parameters(year=2026, labels=("cat", "dog")))
    files |= {"trained.h5.zip": b"", "saved/saved_model.pb": GRAPH, "saved/variables/variables.index": b""}
    result = unpack(write_tree(files, tmp_path))
    assert result.artifact.metadata.labels == ("cat", "dog")
    messages = [finding.message for finding in result.findings if finding.id == "EI104"]
    assert messages == [
        "a TensorFlow SavedModel was not converted: saved/saved_model.pb",
        "a Keras model was not converted: trained.h5.zip",
    ]


class _Child:
    """A worker that answers what it is told."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer

    def call(self, *_: object, **__: object) -> Any:
        return self.answer()


def _raising(error: Exception) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "message", "kind"),
    [
        (_raising(Died("ran longer than 900 s")), "could not convert the model: it ran longer", TranslationError),
        (_raising(Died("killed by SIGSEGV")), "it was killed by SIGSEGV", TranslationError),
        (_raising(Failed("one\ntwo", "")), "could not convert the model: one$", TranslationError),
        (lambda: (b"", (0.5, 0.1, 0.2), 1.0, "2.21"), "0.5 away from it", ValidationError),
    ],
)
def test_what_goes_wrong_in_the_child(
    answer: Callable[[], Any], message: str, kind: type[ConvertError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras, "PathFinder", SimpleNamespace(find_spec=lambda _: True))
    monkeypatch.setattr(keras, "Worker", lambda preload: nullcontext(_Child(answer)))  # noqa: ARG005
    (tmp_path / "model.h5").write_bytes(HDF5)
    refused(tmp_path / "model.h5", message, kind)


@pytest.mark.slow
@pytest.mark.usefixtures("child")
def test_the_sample_computes_the_same_in_every_form(tmp_path: Path) -> None:
    """As its `.tflite`; the report says how far it is from what TensorFlow computes."""
    names = ("savedmodel.zip", "h5.zip")
    paths = [HERE / "models" / f"{SAVED}.{name}" for name in ("tflite", *(f"trained.{each}" for each in names))]
    results = [outputs(export_of(path).model) for path in paths]
    for output in results[1:]:
        assert np.abs(output - results[0]).max() < 1e-6
    convert(paths[1], tmp_path / "bundle", frame="none")
    evidence = json.loads((tmp_path / "bundle" / "report.json").read_text())["evidence"]
    assert evidence["source_parity"]["inputs"] == 8
