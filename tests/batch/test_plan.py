"""Paths, globs and folders become models with names of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.batch.plan import ModelRequest, expand, find_models, plan, short_name
from convert.errors import InputError, PresetError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("in/b.zip", "in/a.TFLITE", "in/readme.txt", "in/.hidden.zip", "in/deep/c.zip", "odd[1].zip"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"")
    Path("in/library/model-parameters").mkdir(parents=True)
    Path("in/arduino/src/model-parameters").mkdir(parents=True)
    return tmp_path


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "exports"),
    [
        (["in"], ["in/a.TFLITE", "in/arduino", "in/b.zip", "in/library"]),
        (["in/library"], ["in/library"]),
        (["in/*.zip"], ["in/b.zip"]),
        (["in/**/*.zip"], ["in/b.zip", "in/deep/c.zip"]),
        (["odd[1].zip"], ["odd[1].zip"]),
        (["in/b.zip", "in/*.zip", "in/b.zip"], ["in/b.zip"]),
        (["gone.zip"], ["gone.zip"]),
    ],
)
def test_what_is_found(words: list[str], exports: list[str]) -> None:
    assert [str(model.export) for model in find_models(words)] == exports


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("words", [["in/*.onnx"], ["in/deep/none*"], ["in/library/model-parameters"]])
def test_nothing_is_found(words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        find_models(words)
    assert caught.value.hint


def test_a_glob_is_relative_to_its_base(here: Path) -> None:
    assert expand("*.zip", here / "in") == (here / "in" / "b.zip",)
    assert expand(str(here / "in" / "*.zip"), Path("/")) == (here / "in" / "b.zip",)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("door.zip", "door"),
        ("weekly/Front Door (2).zip", "front-door"),
        ("weekly/gate/export.zip", "gate"),
        ("fruit-tensorflow-lite-float32-model.lite", "fruit"),
    ],
)
def test_short_names(path: str, name: str) -> None:
    assert short_name(Path(path)) == name


def test_options_go_from_general_to_particular() -> None:
    models = [
        ModelRequest("a", Path("a"), options={"opset": 9, "role": "pgie"}),
        ModelRequest("b", Path("b"), Path("c")),
    ]
    one, two = plan(models, Path("out"), {"opset": 13, "role": "both", "target": "7.1"}, {"role": "sgie"})
    assert one.settings == {"opset": 9, "role": "sgie", "target": "7.1"}
    assert two.settings == {"opset": 13, "role": "sgie", "target": "7.1"}
    assert (one.output, two.sgie) == (Path("out/a"), Path("c"))


@pytest.mark.parametrize("names", [("door", "door"), ("door", "Door")])
def test_a_name_is_one_model_s(names: tuple[str, str]) -> None:
    models = [ModelRequest(name, Path(f"{number}.zip")) for number, name in enumerate(names)]
    with pytest.raises(PresetError, match=r"0\.zip and 1\.zip"):
        plan(models, Path("out"), {}, {})


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "ä", "-x", "x" * 101, "a\n"])
def test_a_name_is_a_folder_s(name: str) -> None:
    with pytest.raises(PresetError, match="cannot be called"):
        plan([ModelRequest(name, Path("a"))], Path("out"), {}, {})
