"""labels.txt beside a model: taken only where it can be this model's list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from convert.export.archive import open_tree
from convert.export.choose import Beside, read_beside
from convert.export.models import Candidate
from tests.export import tiny
from tests.export.unpacking import MODEL, export_of, ids, unpack

if TYPE_CHECKING:
    from pathlib import Path

REFUSED = "it does not hold this model's labels"


def beside(folder: Path, labels: str, candidate: Candidate | None = None) -> Beside:
    (folder / "labels.txt").write_text(labels)
    with open_tree(folder) as tree:
        return read_beside(tree, candidate or Candidate("flatbuffer", "m.tflite", "m.tflite"))


def test_a_model_without_facts_has_no_labels_beside_it(tmp_path: Path) -> None:
    found = beside(tmp_path, "cat\ndog\n")
    assert found.metadata is None
    assert [finding.message for finding in found.findings] == [REFUSED]


@pytest.mark.parametrize(
    ("model", "task", "labels"),
    [
        (tiny.anomaly(), "anomaly", "odd\n"),
        (tiny.model((1, 96, 96, 3), (1, 4), (1, 4)), "unknown", "a\nb\nc\nd\n"),
    ],
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
