"""Paths, globs and folders become models: an export is one, whatever lies in it, and nothing else is searched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from convert.batch import plan as find
from convert.batch.plan import expand, find_models, short_name
from convert.errors import InputError


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
    assert caught.value.hint


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
    deep = "/".join(f"d{level}" for level in range(find.DEPTH + 1))
    touch(f"far/{deep}/low.zip", f"far/{deep.rpartition('/')[0]}/high.zip")
    models, findings = find_models(["far"])
    assert [model.name for model in models] == ["high"]
    (finding,) = findings
    assert (finding.id, finding.path) == ("EI807", f"far/{deep}")
    monkeypatch.setattr(find, "FOLDERS", 5)
    with pytest.raises(InputError, match="more than 5 folders lie below it"):
        find_models(["far"])


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
        ("fruit-tensorflow-lite-float32-model.lite", "fruit"),
    ],
)
def test_short_names(path: str, name: str) -> None:
    assert short_name(Path(path)) == name


def test_models_of_tensorflow_count_where_nothing_else_is_there(tmp_path: Path) -> None:
    names = ("a/x.keras", "b/x.h5", "b/x.lite", "c/d/saved_model.pb", "c/d/variables/variables.index", "e/x.h5")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    models, _ = find_models([str(tmp_path)])
    found = [model.export.relative_to(tmp_path).as_posix() for model in models]
    assert found == ["a/x.keras", "b/x.lite", "c/d", "e/x.h5"]
