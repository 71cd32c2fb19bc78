"""Paths, globs and folders become models: an export is one, whatever lies in it, and nothing else is searched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.batch import plan as find
from convert.batch.plan import expand, find_models, short_name
from convert.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    touch("in/b.zip", "in/a.TFLITE", "in/readme.txt", "in/.hidden.zip", "in/deep/c.zip", "odd[1].zip")
    touch("in/.git/x.zip", "in/node_modules/y.zip", "in/deep/er/tflite_learn_5.h", "in/deep/er/sub/z.zip")
    touch("in/notes/deeper/readme.txt")
    Path("in/library/model-parameters").mkdir(parents=True)
    touch("in/library/inner/w.zip")
    Path("in/arduino/src/model-parameters").mkdir(parents=True)
    Path("in/servo").mkdir()
    touch("in/servo/library.properties")  # an Arduino library of somebody else
    return tmp_path


IN = [
    *("in/a.TFLITE", "in/arduino", "in/b.zip", "in/deep/c.zip", "in/deep/er", "in/library"),
    *("in/notes", "in/servo"),
]  # fmt: skip


DEEPER = ["in/deep/er/sub/z.zip", "in/library/inner/w.zip", "in/node_modules/y.zip"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "exports", "named"),
    [
        (["in"], IN, []),
        (["in", "in/b.zip"], IN, ["in/b.zip"]),
        (["in/b.zip", "in"], ["in/b.zip", *(each for each in IN if each != "in/b.zip")], ["in/b.zip"]),
        (["in/library"], ["in/library"], ["in/library"]),
        (["in/*.zip"], ["in/b.zip"], []),
        (["in/**/*.zip"], ["in/b.zip", "in/deep/c.zip", *DEEPER], []),
        (["in/d*"], ["in/deep/c.zip", "in/deep/er"], []),
        (["in/notes"], ["in/notes/deeper"], []),
        (["in/notes/deeper"], ["in/notes/deeper"], ["in/notes/deeper"]),
        (["odd[1].zip"], ["odd[1].zip"], ["odd[1].zip"]),
        (["in/b.zip", "in/*.zip", "in/b.zip"], ["in/b.zip"], ["in/b.zip"]),
        (["gone.zip"], ["gone.zip"], ["gone.zip"]),
    ],
)  # fmt: skip
def test_what_is_found(words: list[str], exports: list[str], named: list[str]) -> None:
    models, findings = find_models(words)
    assert [str(model.export) for model in models] == exports
    assert [str(model.export) for model in models if not model.found] == named
    assert findings == []


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("words", [["in/*.onnx"], ["in/deep/none*"]])
def test_a_glob_that_matches_nothing(words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        find_models(words)
    error = caught.value
    assert (error.message, error.path, error.hint) == (
        "nothing matches this pattern", words[0], "check the folder it starts in",
    )  # fmt: skip


@pytest.mark.parametrize("inside", ["model-parameters", "tflite-model", "onnx-model", "edge-impulse-sdk"])
@pytest.mark.parametrize("root", ["", "src/"])
def test_a_library_is_one_model(inside: str, root: str, tmp_path: Path) -> None:
    """With one of these folders at its top; Arduino's has them in `src`, and no ONNX model."""
    library = tmp_path / "library"
    (library / root / inside).mkdir(parents=True)
    (library / root / inside / "a.tflite").touch()
    is_one = (root, inside) != ("src/", "onnx-model")
    (model,) = find_models([str(tmp_path)])[0]
    assert model.export == (library if is_one else library / "src")


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *(("tflite-trained.h", True), ("tflite_learn_5.CPP", True), ("onnx-learn_7.hpp", True)),
        *(("onnx_trained.c", True), ("trained_model_compiled.cc", True), ("Trained_model.h", True)),
        *(("tflite_model.h", False), ("trained_model.txt", False), ("my_trained_model.h", False)),
    ],
)  # fmt: skip
def test_a_folder_of_model_sources_is_one_model(name: str, is_one: bool, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / name).touch()
    (model,) = find_models([str(tmp_path)])[0]
    assert model.export == (folder if is_one else tmp_path / "a")


@pytest.mark.usefixtures("here")
def test_what_this_program_wrote_is_no_export() -> None:
    touch("in/out/x/x.onnx", "in/old/y.onnx", "in/old/report.json", "in/old/config_infer_primary_y.txt")
    assert [str(model.export) for model in find_models(["in"], Path("in/out"))[0]] == IN
    assert [str(model.export) for model in find_models(["in/**/y.*"], None)[0]] == ["in/node_modules/y.zip"]
    assert [str(model.export) for model in find_models(["in/out"], Path("in/out"))[0]] == ["in/out/x/x.onnx"]


@pytest.mark.usefixtures("here")
def test_links_that_lead_back() -> None:
    Path("in/deep/back").symlink_to("..")
    Path("in/zz").symlink_to("deep")
    assert [str(model.export) for model in find_models(["in"])[0]] == IN
    Path("in/deep/er/again").symlink_to("../in")
    assert [str(model.export) for model in find_models(["in/zz"])[0]][:2] == [
        "in/zz/back/a.TFLITE",
        "in/zz/back/arduino",
    ]


@pytest.mark.usefixtures("here")
def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = "/".join(f"d{level}" for level in range(13))
    touch(f"far/{deep}/low.zip", f"far/{deep}2/low.zip", f"far/{deep.rpartition('/')[0]}/high.zip")
    models, findings = find_models(["far"])
    assert [model.name for model in models] == ["high"]
    (finding,) = findings
    assert (finding.id, finding.path) == ("EI807", f"far/{deep}")
    assert finding.message == "what lies more than 12 levels below far was not searched"
    assert finding.hint == "Give that folder, too, or a glob."
    monkeypatch.setattr(find, "FOLDERS", 15)
    assert len(find_models(["far"])[0]) == 1
    monkeypatch.setattr(find, "FOLDERS", 14)
    with pytest.raises(InputError) as caught:
        find_models(["far"])
    error = caught.value
    assert (error.message, error.path) == ("more than 14 folders lie below it", "far")
    assert error.hint == "give the folders that hold the exports, or a glob such as 'weekly/*/export.zip'"


@pytest.mark.usefixtures("here")
def test_a_folder_that_cannot_be_listed_is_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its conversion says why."""
    listed = []

    def refusing(usual: Callable[[Path], Any]) -> Callable[[Path], Any]:
        def list_folder(path: Path) -> Any:
            listed.append(str(path))
            if Path(path).name == "deep":
                raise PermissionError(13, "Permission denied", str(path))
            return usual(path)

        return list_folder

    monkeypatch.setattr(os, "listdir", refusing(os.listdir))
    monkeypatch.setattr(Path, "iterdir", refusing(Path.iterdir))
    models, findings = find_models(["in"])
    wanted = [each for each in IN if not each.startswith("in/deep/")]
    assert [str(model.export) for model in models] == sorted([*wanted, "in/deep"])
    assert findings == []
    assert "in/deep" in listed


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.usefixtures("here")
def test_a_folder_that_cannot_be_read_is_an_entry() -> None:
    Path("in/deep").chmod(0)
    try:
        assert [str(model.export) for model in find_models(["in"])[0]][3:4] == ["in/deep"]
    finally:
        Path("in/deep").chmod(0o755)


def test_a_glob_is_relative_to_its_base(here: Path) -> None:
    assert expand("*.zip", here / "in") == (here / "in" / "b.zip",)
    assert expand(str(here / "in" / "*.zip"), Path("/")) == (here / "in" / "b.zip",)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("door.zip", "door"),
        ("weekly/Front Door (2).zip", "front-door"),
        ("weekly/gate/export.zip", "gate"),
        ("/export.zip", "model"),
        ("fruit-tensorflow-lite-float32-model.lite", "fruit"),
    ],
)
def test_short_names(path: str, name: str) -> None:
    assert short_name(Path(path)) == name


def test_models_of_tensorflow_count_where_nothing_else_is_there(tmp_path: Path) -> None:
    for name in [
        *("a/x.keras", "b/x.h5", "b/x.lite", "c/d/saved_model.pb", "c/d/variables/variables.index", "e/x.h5"),
        *("f/g/saved_model.pb", "f/g/variables/x", "f/g/y.lite", "h/i/saved_model.pb"),
    ]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    models, _ = find_models([str(tmp_path)])
    found = [model.export.relative_to(tmp_path).as_posix() for model in models]
    assert found == ["a/x.keras", "b/x.lite", "c/d", "e/x.h5", "f/g/y.lite", "h"]
