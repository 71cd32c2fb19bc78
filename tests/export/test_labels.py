"""Label files beside and above a model: taken only where they can be this model's list and nothing else is meant."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.export.archive import open_tree, places
from convert.export.choose import FoundLabels, find_labels
from convert.export.models import Candidate, list_models
from convert.export.unpack import inspect
from convert.heads import head
from convert.options import labels_in
from tests.export import tiny
from tests.export.unpacking import MODEL, export_of, ids, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

REFUSED = "it does not hold this model's labels"


def beside(folder: Path, labels: str, candidate: Candidate | None = None) -> FoundLabels:
    (folder / "labels.txt").write_text(labels)
    with open_tree(folder) as tree:
        return find_labels(tree, candidate or Candidate("flatbuffer", "m.tflite", "m.tflite"), None)


def test_a_model_without_facts_has_no_labels_beside_it(tmp_path: Path) -> None:
    found = beside(tmp_path, "cat\ndog\n")
    assert found.labels is None
    assert [finding.message for finding in found.findings] == [REFUSED]


@pytest.mark.parametrize(
    ("model", "task", "labels"),
    [(tiny.anomaly(), "anomaly", "odd\n"), (tiny.model((1, 96, 96, 3), (1, 4), (1, 4)), "unknown", "a\nb\nc\nd\n")],
)
def test_a_task_without_labels(model: bytes, task: str, labels: str, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(model)
    (tmp_path / "labels.txt").write_text(labels)
    result = unpack(tmp_path)
    export = export_of(tmp_path)
    assert (export.facts.task, export.metadata.labels) == (task, None)
    assert "EI106" in ids(result)
    assert any(finding.message.startswith(REFUSED) for finding in result.findings)


@pytest.mark.parametrize(("labels", "taken"), [("cat\ndog\n", True), ("cat\n\n", False), ("\n", False), ("", False)])
def test_as_many_labels_as_classes(labels: str, taken: bool, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL)
    (tmp_path / "labels.txt").write_text(labels)
    assert export_of(tmp_path).metadata.labels == (("cat", "dog") if taken else None)
    assert ("EI106" in ids(unpack(tmp_path))) is not taken


def _write(folder: Path, files: Mapping[str, bytes | str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


TAKEN: list[tuple[Mapping[str, bytes | str], str]] = [
    ({"m.tflite": MODEL, "traffic-sign-labels.txt": "left\nright\n"}, "traffic-sign-labels.txt"),
    ({"trained.tflite": MODEL, "trained_labels.txt": "0 left\n1 right\n"}, "trained_labels.txt"),
    ({"m.tflite": MODEL, "ei_classifier_labels.txt": "1: right\n0: left"}, "ei_classifier_labels.txt"),
    ({"m.tflite": MODEL, "Labels (1).TXT": "left;right\r\n"}, "Labels (1).TXT"),
    ({"model/m.tflite": MODEL, "labels.txt": "left\nright"}, "labels.txt"),
    ({"a/b/m.tflite": MODEL, "a/my_label.txt": "left\nright", "labels.txt": "x\ny"}, "my_label.txt"),
    ({"a/m.tflite": MODEL, "a/labels.txt": "1\n2\n3", "labels.txt": "left\nright"}, "labels.txt"),
    ({"m.tflite": MODEL, "a_labels.txt": "left\nright", "b_labels.txt": "left\nright\n"}, "a_labels.txt"),
    ({"m.tflite": MODEL, "m_labels.txt": "left\nright", "labels.txt": "x\ny"}, "m_labels.txt"),
]
"""Files, and the name of the one that counts."""


@pytest.mark.parametrize(("files", "name"), TAKEN, ids=lambda each: each if isinstance(each, str) else "")
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_label_files(files: Mapping[str, bytes | str], name: str, form: str, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    _write(folder, files)
    path = folder
    if form == "zip":
        path = tmp_path / "export.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in files.items():
                archive.writestr(member, content)
    result, export = unpack(path), export_of(path)
    assert (export.metadata.labels, export.labels_from, export.labels_hint.count("disagree")) == (
        ("left", "right"), name, 0
    )  # fmt: skip
    (found,) = (finding for finding in result.findings if finding.id == "EI109")
    assert found.message == f"the 2 labels were read from {name}: left, right"
    assert Path(found.path or "").name == name
    assert not any("label" in finding.message for finding in result.findings if finding.id == "EI101")
    (listed,) = (model for model in inspect(path).models if model.chosen)
    assert listed.metadata.labels == ("left", "right")


UNSURE: list[tuple[Mapping[str, bytes | str], str]] = [
    ({"m.tflite": MODEL, "a_labels.txt": "left\nright", "b_labels.txt": "x\ny"}, "a_labels.txt and b_labels.txt fit"),
    ({"m.tflite": MODEL, "my_labels.txt": "a\nb\nc"}, "my_labels.txt has 3 labels for 2 classes"),
    ({"m.tflite": MODEL, "my_labels.txt": "a"}, "my_labels.txt has 1 label for 2 classes"),
    ({"m.tflite": MODEL, "my_labels.txt": b"\xff\xfe"}, "my_labels.txt cannot be read: no UTF-8"),
    ({"m.tflite": MODEL, "my_labels.txt": "a\n" * 2**20}, "my_labels.txt cannot be read: it is larger than"),
]
"""Files, and what the hint says of them."""


@pytest.mark.parametrize(("files", "hint"), UNSURE, ids=[hint for _, hint in UNSURE])
def test_unsure_label_files_are_named(files: Mapping[str, bytes | str], hint: str, tmp_path: Path) -> None:
    _write(tmp_path, files)
    export = export_of(tmp_path)
    assert (export.metadata.labels, export.labels_from) == (None, "the export")
    assert export.labels_hint.startswith(hint)
    assert ids(unpack(tmp_path)) == ["EI101"]
    labels, (found,) = head("classifier").labels(export, 2)
    assert labels == ("class0", "class1")
    assert str(found.hint).startswith(f"give them in the order of training with --labels; {hint}")


def test_a_list_above_two_models_is_neither_ones(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "a/m.tflite": MODEL,
        "b/other.tflite": tiny.model((1, 96, 96, 3), (1, 3)),
        "labels.txt": "left\nright",
    }
    _write(tmp_path, files)
    with open_tree(tmp_path) as tree:
        candidate = Candidate("flatbuffer", "a/m.tflite", "a/m.tflite", data=MODEL)
        found = find_labels(tree, candidate, export_of(tmp_path / "a" / "m.tflite").facts)
    assert (found.labels, found.hint) == (None, "labels.txt may be that of b/other.tflite")


def test_a_list_called_after_another_model_is_not_this_ones(tmp_path: Path) -> None:
    _write(tmp_path, {"cats.tflite": MODEL, "dogs.tflite": MODEL, "dogs_labels.txt": "left\nright"})
    with open_tree(tmp_path) as tree:
        for name, labels in (("cats.tflite", None), ("dogs.tflite", ("left", "right"))):
            candidate = Candidate("flatbuffer", name, name, data=MODEL)
            assert find_labels(tree, candidate, export_of(tmp_path / name).facts).labels == labels


def test_recorded_and_given_labels_go_before_files(tmp_path: Path) -> None:
    _write(tmp_path, {"m.tflite": MODEL, "labels.txt": "left\nright"})
    result = unpack(tmp_path, labels=("up", "down"))
    export = export_of(tmp_path, labels=("up", "down"))
    assert (export.metadata.labels, export.labels_from) == (("up", "down"), "--labels")
    assert "EI109" not in ids(result)


@pytest.mark.parametrize("where", ["project/models", "project"])
def test_a_single_file_has_the_lists_beside_and_above_it(where: str, tmp_path: Path) -> None:
    _write(tmp_path, {"project/models/m.lite": MODEL, f"{where}/my-labels.txt": "left\nright", "labels.txt": "x\ny"})
    path = tmp_path / "project" / "models" / "m.lite"
    export, result = export_of(path), unpack(path)
    assert (export.metadata.labels, export.member) == (("left", "right"), "")
    (found,) = (finding for finding in result.findings if finding.id == "EI109")
    assert Path(found.path or "").resolve() == tmp_path / where / "my-labels.txt"
    # what a cached result depends on
    assert tmp_path / where / "my-labels.txt" in {place.resolve() for place in places(path)}


def _zipped(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    """`folder` with `files`, and a zip `cats.zip` with a model."""
    _write(folder, files)
    path = folder / "cats.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m.tflite", MODEL)
    return path


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"my-labels.txt": "left\nright"}, "my-labels.txt"),
        ({"cats-labels.txt": "left\nright", "dogs.zip": b"PK\3\4"}, "cats-labels.txt"),
        ({"labels.txt": "left\nright", "dogs_labels.txt": "x\ny\nz", "dogs.txt": ""}, "labels.txt"),
    ],
)
def test_a_zip_has_the_lists_beside_it(
    files: Mapping[str, bytes | str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _zipped(tmp_path, files)
    export = export_of(path)
    assert (export.metadata.labels, export.member) == (("left", "right"), "m.tflite")
    (found,) = (finding for finding in unpack(path).findings if finding.id == "EI109")
    assert found.path == str(tmp_path / name)
    assert tmp_path / name in places(path)  # what a cached result depends on
    assert inspect(path).models[0].metadata.labels == ("left", "right")
    monkeypatch.chdir(tmp_path)
    (found,) = (finding for finding in unpack(Path("cats.zip")).findings if finding.id == "EI109")
    assert found.path == name


def test_a_zip_in_a_zip_has_the_lists_beside_the_outer_one(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    inner = _zipped(tmp_path / "inner", {})
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(inner, "cats.zip")
    (tmp_path / "labels.txt").write_text("left\nright")
    assert export_of(tmp_path / "all.zip").metadata.labels == ("left", "right")


@pytest.mark.parametrize("other", ["dogs.zip", "dogs.lite", "dogs.onnx"])
def test_a_list_beside_two_exports_is_only_named(other: str, tmp_path: Path) -> None:
    path = _zipped(tmp_path, {"labels.txt": "left\nright", "dogs_labels.txt": "left\nright", other: b"x"})
    export = export_of(path)
    assert export.metadata.labels is None
    assert export.labels_hint == f"{tmp_path / 'labels.txt'} may be that of {other}"


def test_labels_in_a_zip_go_before_those_beside_it(tmp_path: Path) -> None:
    path = _zipped(tmp_path, {"labels.txt": "x\ny"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "left\nright")
    assert export_of(path).metadata.labels == ("left", "right")


def test_a_single_file_named_from_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, {"models/m.lite": MODEL, "labels.txt": "left\nright"})
    monkeypatch.chdir(tmp_path / "models")
    (found,) = (finding for finding in unpack(Path("m.lite")).findings if finding.id == "EI109")
    assert found.path == "../labels.txt"


def test_an_ssd_says_how_many_classes_it_has(models: Path, tmp_path: Path) -> None:
    source = next(iter(sorted(models.glob("*ssd*.tflite")) or sorted(models.glob("*ssd*"))))
    shutil.copy(source, tmp_path / "m.tflite")
    (tmp_path / "my_labels.txt").write_text("one\ntwo\nthree\nfour\nfive\nsix\nseven\n")
    hint = export_of(tmp_path).labels_hint
    assert hint.startswith("my_labels.txt has 7 labels for ")


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("a\nb", ("a", "b")),
        ("a;b", ("a", "b")),
        ("a, b\n", ("a", "b")),
        ("a;b,c;", ("a", "b,c")),
        ("a;b\nc", ("a;b", "c")),
        ("0 left\n1 right", ("left", "right")),
        ("1: right\r\n0: left\r\n", ("left", "right")),
        ("1. left\n2. right", ("left", "right")),
        ("0,left\n1,right", ("left", "right")),
        ("1 euro\n2 euro\n5 euro", ("1 euro", "2 euro", "5 euro")),
        ("1 euro\n2 euro", ("1 euro", "2 euro")),
        ("0\n1\n2", ("0", "1", "2")),
        ("10 a\n11 b", ("10 a", "11 b")),
        ("0 a\nb", ("0 a", "b")),
        ("\n\n", ()),
        ("", ()),
        ("; ;", ()),
    ],
)
def test_lists_as_people_write_them(text: str, labels: tuple[str, ...]) -> None:
    assert labels_in(text) == labels


@given(st.text(st.sampled_from("01234 ab;:,.\n\r\t\N{ARABIC-INDIC DIGIT ONE}\0"), max_size=30))
def test_any_text_is_a_list(text: str) -> None:
    found = labels_in(text)
    assert all(label and label == label.strip() for label in found)


@pytest.mark.parametrize(
    ("files", "labels", "said", "hint"),
    [
        ({"labels.txt": b"\xffa\nb"}, None, ["the labels are no UTF-8"], "labels.txt cannot be read: no UTF-8"),
        ({"my_labels.txt": b"\xffa\nb"}, None, [], "my_labels.txt cannot be read: no UTF-8"),
        ({"labels.txt": "a\nb\nc"}, None, [f"{REFUSED}: their number is 3, that of the classes 2"], ""),
        ({"my_labels.txt": "a\nb\nc"}, None, [], ""),
        ({"labels.txt": "a\nb"}, ("a", "b"), ["the 2 labels were read from labels.txt: a, b"], ""),
        ({"my_labels.txt": "a\nb"}, ("a", "b"), ["the 2 labels were read from my_labels.txt: a, b"], ""),
        ({"a_labels.txt": "a\nb", "b_labels.txt": "a\nc"}, None, [],
         "a_labels.txt and b_labels.txt fit and disagree"),
    ],
)  # fmt: skip
def test_what_is_said_of_label_files(
    files: dict[str, bytes | str], labels: tuple[str, ...] | None, said: list[str], hint: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    _write(tmp_path, {"m.tflite": MODEL, **files})
    with open_tree(tmp_path) as tree:
        (entry,) = list_models(tree).entries
        found = find_labels(tree, entry.candidate, entry.candidate.facts)
    assert found.labels == labels
    assert [finding.message for finding in found.findings] == said
    assert hint in found.hint
    assert bool(found.hint) is (labels is None)
