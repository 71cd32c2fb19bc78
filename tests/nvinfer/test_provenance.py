"""What a bundle's report tells of a model is believed for exactly the file it names."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.nvinfer.provenance import recorded
from tests.examples import examples

if TYPE_CHECKING:
    from pathlib import Path

OURS = {"ei_deepstream.folded": ""}
MODE = "ei_deepstream.resize_mode"


def part(name: str, mode: str | None) -> dict[str, Any]:
    return {"export": {"name": name}, "model": {"preprocessing": {"resize_mode": mode}}}


def bundle(folder: Path, document: dict[str, Any], *names: str) -> None:
    files = []
    for name in names:
        (folder / f"{name}.onnx").write_bytes(name.encode())
        files.append({"path": f"{name}.onnx", "sha256": hashlib.sha256(name.encode()).hexdigest()})
    (folder / "report.json").write_text(json.dumps({**document, "files": files}))


def test_a_report_tells_how_pictures_were_resized(tmp_path: Path) -> None:
    bundle(tmp_path, part("m", "fit-longest"), "m")
    assert recorded(str(tmp_path / "m.onnx"), OURS) == {**OURS, MODE: "fit-longest"}


def test_each_model_of_an_app_has_its_own(tmp_path: Path) -> None:
    bundle(tmp_path, {"primary": part("a", "squash"), "secondary": part("b", "fit-shortest")}, "a", "b")
    assert [recorded(str(tmp_path / f"{name}.onnx"), OURS)[MODE] for name in "ab"] == ["squash", "fit-shortest"]


def test_what_the_model_says_itself_counts(tmp_path: Path) -> None:
    bundle(tmp_path, part("m", "squash"), "m")
    said = {MODE: "fit-shortest"}
    assert recorded(str(tmp_path / "m.onnx"), said) == said


@pytest.mark.parametrize("mode", [None, 3])
def test_nothing_recorded_is_nothing_told(mode: Any, tmp_path: Path) -> None:
    bundle(tmp_path, part("m", mode), "m")
    assert recorded(str(tmp_path / "m.onnx"), OURS) == OURS


def test_another_file_of_that_name_is_not_what_the_report_is_about(tmp_path: Path) -> None:
    bundle(tmp_path, part("m", "squash"), "m")
    (tmp_path / "m.onnx").write_bytes(b"another")
    assert recorded(str(tmp_path / "m.onnx"), OURS) == OURS


def test_a_stranger_model_is_left_alone(tmp_path: Path) -> None:
    bundle(tmp_path, part("m", "squash"), "m")
    assert recorded(str(tmp_path / "m.onnx"), {"author": "me"}) == {"author": "me"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["files", "path", "sha256", "export", "model", "primary", "name"]), inner)
    ),
    max_leaves=8,
)


@examples(150)
@given(document=_JSON.map(json.dumps) | st.binary(max_size=40).map(lambda data: data.decode("latin-1")))
def test_any_report_at_all(document: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "m.onnx").write_bytes(b"m")
    (folder / "report.json").write_text(document, encoding="utf-8", errors="replace")
    assert recorded(str(folder / "m.onnx"), OURS) == OURS
