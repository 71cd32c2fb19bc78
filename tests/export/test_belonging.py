"""Parameters that lie elsewhere in the tree, and models that are left over from another deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from samples.layouts import Parameters, cpp_library, write_tree, zip_bytes
from tests.export import tiny
from tests.export.unpacking import refused, unpack

if TYPE_CHECKING:
    from pathlib import Path

    from convert.types import StageResult

DASHBOARD = "ei-garden-watch-classifier-tensorflow-lite-float32-model.lite"
PARAMETERS = Parameters(year=2026, labels=("cat", "dog"), project_name="Garden watch")


def parameters(of: Parameters = PARAMETERS) -> dict[str, bytes]:
    files = cpp_library(tiny.classifier(), of)
    return {path: data for path, data in files.items() if path.startswith("model-parameters/")}


def below(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{path}": data for path, data in files.items()}


def messages(result: StageResult, rule: str) -> list[str]:
    return [finding.message for finding in result.findings if finding.id == rule]


@pytest.mark.parametrize("way", ["file", "folder", "zip"])
def test_a_library_elsewhere_names_the_project(way: str, tmp_path: Path) -> None:
    files = {DASHBOARD: tiny.classifier(), **below("edgeimpulse", parameters())}
    folder = write_tree(files, tmp_path / "x")
    (tmp_path / "x.zip").write_bytes(zip_bytes(files))
    result = unpack({"file": folder / DASHBOARD, "folder": folder, "zip": tmp_path / "x.zip"}[way])
    assert result.artifact.metadata.labels == ("cat", "dog")
    (message,) = messages(result, "EI109")
    said = (
        "parameters were read from edgeimpulse/model-parameters, which names the project that the file is called after"
    )
    assert message == said
    assert not messages(result, "EI102")


@pytest.mark.parametrize("name", ["other.lite", "ei-garden-watcher-nn-tensorflow-lite-float32-model.lite"])
@pytest.mark.parametrize("alone", [False, True])
def test_another_project_s_parameters_are_not_taken(name: str, alone: bool, tmp_path: Path) -> None:
    folder = write_tree({name: tiny.classifier(), **below("edgeimpulse", parameters())}, tmp_path)
    result = unpack(folder / name if alone else folder)
    assert result.artifact.metadata.labels is None
    assert not messages(result, "EI109")


def test_damaged_parameters_beside_a_file_do_not_matter(tmp_path: Path) -> None:
    files = {"a.lite": tiny.classifier(), "x/model-parameters/model_variables.h": b'const char *a = "'}
    folder = write_tree(files, tmp_path)
    assert unpack(folder / "a.lite").artifact.metadata.labels is None


def test_parameters_beside_the_model_win(tmp_path: Path) -> None:
    near = Parameters(year=2026, labels=("one", "two"), project_name="Garden watch")
    library = cpp_library(tiny.classifier(), near)
    result = unpack(write_tree({**below("a", library), **below("b", parameters())}, tmp_path))
    assert result.artifact.metadata.labels == ("one", "two")


def test_two_libraries_of_the_project_leave_it_open(tmp_path: Path) -> None:
    files = {DASHBOARD: tiny.classifier(), **below("a", parameters()), **below("b", parameters())}
    assert unpack(write_tree(files, tmp_path)).artifact.metadata.labels is None


def test_a_dashboard_file_in_the_library_stands_for_the_missing_model(tmp_path: Path) -> None:
    result = unpack(write_tree({DASHBOARD: tiny.classifier(), **parameters()}, tmp_path))
    assert result.artifact.metadata.labels == ("cat", "dog")
    assert not messages(result, "EI102")


@pytest.mark.parametrize("way", ["file", "--model"])
def test_a_model_left_over_from_another_project(way: str, tmp_path: Path) -> None:
    """Its array has another name than the one that model_variables.h runs: the labels there are not its own."""
    old = cpp_library(tiny.classifier(seed=1), Parameters(year=2024, labels=("a", "b"), block_id=99))
    stale = {path: data for path, data in old.items() if path.startswith("tflite-model/")}
    folder = write_tree({**parameters(), **stale}, tmp_path)
    (path,) = [folder / name for name in stale if b"tflite_learn_99[]" in stale[name]]
    result = unpack(path) if way == "file" else unpack(folder, model="tflite_learn_99")
    assert result.artifact.metadata.labels is None
    assert messages(result, "EI102") == [
        "model_variables.h does not run tflite_learn_99: labels and preprocessing that are recorded there were not used"
    ]
    refused(folder, "which is not in the export; what is there is not in use")
