"""Bundles that can be served, and those that cannot."""

from __future__ import annotations

import contextlib
import json
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.compare.edge_impulse import pack
from convert.eim.server import Loaded
from convert.errors import ConvertError, InputError
from convert.types import Limits
from tests.eim import bundles
from tests.eim.bundles import read_impulse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_what_is_read(made: dict[str, Path]) -> None:
    for suffix in ("", ".eim"):
        face = read_impulse(made[f"fomo{suffix}"])
        assert (face.height, face.width, face.channels, face.features) == (96, 96, 3, 9216)
        assert (face.task, face.labels, face.threshold, face.block) == ("fomo", ("face",), 0.5, 18)
        assert face.detects
        assert not read_impulse(made[f"classifier{suffix}"]).detects
        one = read_impulse(made[f"ssd{suffix}"])
        assert (one.overlap, one.detections, one.coordinates) == (0.6, 10, None)


def test_a_threshold_that_was_chosen(tmp_path: Path) -> None:
    face = bundles.fomo()
    lower = replace(face, head=replace(face.head, threshold=0.2))
    assert read_impulse(lower.write(tmp_path / "lower")).threshold == 0.2


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda report: report.pop("model"), "damaged"),
        (lambda report: report["model"]["input"].update(shape=[None, 3]), "damaged"),
        (lambda report: report["model"]["input"].update(shape=[None, 3, "a", 8]), "damaged"),
        (lambda report: report["model"]["input"].update(shape=[None, 2, 8, 8]), "damaged"),
        (lambda report: report["model"]["input"].update(shape=[None, 3, 0, 8]), "damaged"),
        (lambda report: report["model"]["head"].update(labels=[]), "damaged"),
        (lambda report: report["model"]["head"].update(labels=[1]), "damaged"),
        (lambda report: report["model"]["head"].update(task="juggler"), "damaged"),
        (lambda report: report["model"]["preprocessing"].update(resize_mode="crumple"), "damaged"),
        (lambda report: report["export"].update(name="../model"), "names no model"),
        (lambda report: report["export"].update(name=3), "names no model"),
        (lambda report: report["model"].update(file="other.onnx"), "other.onnx is missing"),
        (lambda report: report["model"].update(file="../model.onnx"), "names no model"),
        (lambda report: report["model"].update(file=3), "damaged"),
        (lambda report: report.update(object_model=3), "damaged"),
        (lambda report: report.update(object_model={"file": "plain.onnx"}), "plain.onnx is missing"),
        (lambda report: report["export"]["metadata"].update(threshold="high"), "metadata"),
        (lambda report: report["files"][0].update(sha256="0" * 64), "not the model that report.json describes"),
        (lambda report: report.update(schema_version=99), "version 99"),
    ],
)
def test_damage_is_told(tmp_path: Path, damage: Callable[[dict[str, Any]], object], message: str) -> None:
    folder = bundles.classifier().write(tmp_path / "bundle")
    path = folder / "report.json"
    report = json.loads(path.read_bytes())
    damage(report)
    path.write_text(json.dumps(report))
    with pytest.raises(InputError, match=message) as caught:
        read_impulse(folder)
    assert caught.value.hint


def test_what_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no report\.json"):
        read_impulse(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_impulse(tmp_path / "nothing")
    (tmp_path / "text").write_text("text")
    with pytest.raises(InputError, match="not a bundle"):
        read_impulse(tmp_path / "text")
    with zipfile.ZipFile(tmp_path / "zip", "w") as packed:
        packed.writestr("a", "b")
    with pytest.raises(InputError, match="not a bundle that `eim pack` wrote"):
        read_impulse(tmp_path / "zip")
    for content in ("[]", "{", '{"schema_version": 1}', "[" * 100_000):
        (tmp_path / "report.json").write_text(content)
        with pytest.raises(InputError):
            read_impulse(tmp_path)


@given(st.data())
def test_a_damaged_packed_file_is_a_clear_error(made: dict[str, Path], data: st.DataObject) -> None:
    whole = bytearray(made["classifier.eim"].read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    path = made["classifier.eim"].with_name("damaged.eim")
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(ConvertError):
        assert read_impulse(path).labels


def test_an_ssd_gives_no_more_objects_than_its_operator(tmp_path: Path) -> None:
    found = []
    for number, most in enumerate((1, 2, 10)):
        head = replace(bundles.ssd().head, limits=Limits(detections=most, score=0.0, overlap=0.6))
        impulse = read_impulse(replace(bundles.ssd(), head=head).write(tmp_path / str(number)))
        features = pack(np.zeros((impulse.height, impulse.width, impulse.channels), np.uint8))
        found.append(Loaded(impulse).classify(features, 0.1).result["bounding_boxes"])
    one, two, all_of_them = found
    assert len(one) == 1
    assert len(two) == 2
    assert len(all_of_them) > 2
    unlimited = replace(impulse, detections=None)
    assert Loaded(unlimited).classify(features, 0.1).result["bounding_boxes"] == all_of_them
