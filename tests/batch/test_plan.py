"""Models become jobs with names of their own; options go from general to particular."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from convert.batch.plan import ModelRequest, named_apart, plan
from convert.errors import PresetError
from tests.batch.conftest import ZIP


def test_options_go_from_general_to_particular() -> None:
    models = [
        ModelRequest("a", Path("a"), options={"opset": 9, "role": "pgie"}),
        ModelRequest("b", Path("b"), Path("c"), found=True),
    ]
    jobs, findings = plan(models, Path("out"), {"opset": 13, "role": "both", "target": "7.1"}, {"role": "sgie"})
    one, two = jobs
    assert one.settings == {"opset": 9, "role": "sgie", "target": "7.1"}
    assert two.settings == {"opset": 13, "role": "sgie", "target": "7.1"}
    assert (one.output, two.sgie) == (Path("out/a"), Path("c"))
    assert (one.found, two.found) == (False, True)
    assert findings == ()


@pytest.mark.parametrize("names", [("door", "door"), ("door", "Door")])
def test_a_name_that_was_given_is_one_model_s(names: tuple[str, str]) -> None:
    models = [ModelRequest(name, Path(f"{number}.zip"), is_given=True) for number, name in enumerate(names)]
    with pytest.raises(PresetError) as caught:
        plan(models, Path("out"), {}, {})
    assert caught.value.message == f"two models are called {names[1]!r}: 0.zip and 1.zip"
    assert caught.value.hint == "give each a name of its own, or none"


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "ä", "-x", "x" * 101, "a\n"])
def test_a_name_is_a_folder_s(name: str) -> None:
    with pytest.raises(PresetError) as caught:
        plan([ModelRequest(name, Path("a"), manifest=Path("m.toml"), line=7)], Path("out"), {}, {})
    assert caught.value.message == f"a model cannot be called {name!r}"
    assert caught.value.hint == "letters, digits, . _ and - only, at most 100"
    assert (caught.value.path, caught.value.line) == ("m.toml", 7)


@pytest.mark.parametrize("name", ["a", "_", "9", "a.b-c_D", "x" * 100])
def test_a_name_that_a_folder_can_have(name: str) -> None:
    (job,), _ = plan([ModelRequest(name, Path("a"))], Path("out"), {}, {})
    assert job.output == Path("out", name)


def test_same_names_are_told_apart_by_their_projects(tmp_path: Path) -> None:
    """By project, then by number; what nobody can read is numbered, and what a person chose is kept."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in ("a", "b"):
        (tmp_path / folder / "door.zip").write_bytes(ZIP.read_bytes())
    gone = tmp_path / "gone" / "Door.zip"
    models = [
        ModelRequest("door", tmp_path / "a" / "door.zip"),
        ModelRequest("gate", tmp_path / "gate.zip"),
        ModelRequest("door", tmp_path / "b" / "door.zip"),
        ModelRequest("Door", gone),
        ModelRequest("door", tmp_path / "c.zip", is_given=True),
        ModelRequest("Wooden-shapes-2", tmp_path / "d.zip"),
    ]
    apart, findings = named_apart(models)
    names = [model.name for model in apart]
    assert names == ["wooden-shapes", "gate", "wooden-shapes-3", "Door-2", "door", "Wooden-shapes-2"]
    assert [model.export for model in apart] == [model.export for model in models]
    (finding,) = findings
    assert finding.id == "EI806"
    assert finding.message == (
        f"4 exports are called 'door'; their bundles are wooden-shapes ({tmp_path / 'a' / 'door.zip'}), "
        f"wooden-shapes-3 ({tmp_path / 'b' / 'door.zip'}), Door-2 ({gone}), door ({tmp_path / 'c.zip'})"
    )
    assert finding.hint == "Give them names of their own in a manifest, or other file names."


def test_a_project_that_tells_nothing_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The project's name is "model", or has no letter; of a pair no export is read."""
    read: list[str] = []

    def inspect(export: Path) -> SimpleNamespace:
        read.append(str(export))
        return SimpleNamespace(project=SimpleNamespace(project_name={"a": "Model", "b": "?", "c": None}[str(export)]))

    monkeypatch.setattr("convert.export.unpack.inspect", inspect)
    models = [ModelRequest("door", Path(name)) for name in "abc"]
    apart, _ = named_apart([*models, ModelRequest("door", Path("d"), Path("e"))])
    assert [model.name for model in apart] == ["door", "door-2", "door-3", "door-4"]
    assert read == ["a", "b", "c"]


def test_names_that_were_cut_stay_unique() -> None:
    long = "y" * 100
    models = [ModelRequest(long, Path(f"{number}.zip")) for number in range(11)]
    apart, (finding,) = named_apart(models)
    names = [model.name for model in apart]
    assert finding.message.endswith("y-4 (3.zip) and 7 more")
    assert named_apart(models[:5])[1][0].message.endswith("y-4 (3.zip) and 1 more")
    assert [model.name for model in named_apart(models[:1])[0]] == [long]
    assert len(set(names)) == 11
    assert {len(name) for name in names} == {100}
    assert names[0] == long
    assert names[10].endswith("y-11")
    ends = "y" * 97 + "---"
    assert [model.name for model in named_apart([ModelRequest(ends, Path(name)) for name in "ab"])[0]] == [
        ends, "y" * 97 + "-2",
    ]  # fmt: skip
