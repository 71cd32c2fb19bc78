"""Edge Impulse's labels where its export does not record them: those of the bundle's label file."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from convert.compare.edge_impulse import read_edge_impulse_model
from convert.errors import InputError
from convert.simulate.settings import NetworkType
from tests.export import tiny

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("kind", "lines", "labels"),
    [
        (NetworkType.CLASSIFIER, (("cat", "dog"),), ("cat", "dog")),
        (NetworkType.CLASSIFIER, (("cat",), ("dog",)), ("cat", "dog")),
        (NetworkType.CLASSIFIER, (("cat",),), ("cat", "class 1")),
        (NetworkType.CLASSIFIER, (), ("class 0", "class 1")),
        (NetworkType.CLASSIFIER, (("cat", "dog", "owl"),), ("cat", "dog")),
        (NetworkType.DETECTOR, (("fire", "truck"),), ("fire", "class 1")),
        (NetworkType.DETECTOR, (("fire", "truck"), ("dog",)), ("fire", "dog")),
    ],
)
def test_labels_of_the_bundle(kind: NetworkType, lines: Any, labels: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(tiny.classifier())
    engine: Any = SimpleNamespace(
        model=tmp_path / "m.onnx", config="c.txt", recorded=SimpleNamespace(source_sha256=None, task=None),
        settings=SimpleNamespace(network_type=kind, labels=lines),
    )  # fmt: skip
    worker: Any = None  # nothing is run
    found = read_edge_impulse_model(engine, tmp_path / "m.tflite", worker, 1.0)
    assert found.original.labels == labels


def test_recorded_tensors_have_no_pictures() -> None:
    engine: Any = SimpleNamespace(model=None, config="c.txt")
    worker: Any = None
    with pytest.raises(InputError, match=r"^recorded tensors cannot be compared with Edge Impulse: ") as caught:
        read_edge_impulse_model(engine, None, worker, 1.0)
    assert (caught.value.path, caught.value.hint) == ("c.txt", "simulate pictures")
