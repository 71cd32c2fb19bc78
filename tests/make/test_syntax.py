"""What make can express, and what is refused in so many words."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from convert.__main__ import main
from convert.files import configs, include_path

if TYPE_CHECKING:
    from pathlib import Path

    from tests.make.conftest import Project


@pytest.mark.slow
def test_exports_may_lie_anywhere(empty: Project) -> None:
    """The path as make's own variable has it: `$` doubled, `#` behind a backslash, nothing else."""
    written = {
        'my  "exports" (1)': 'my  "exports" (1)',
        "pay$$ it's #1": "pay$$$$ it's \\#1",
        "~größe": "./~größe",
        "a=b:c 50% [x]*?": "a=b:c 50% [x]*?",
    }
    libraries = [empty.folder / folder / "library" for folder in written]
    for library in libraries:
        shutil.copytree(empty.folder / "exports" / "shapes-cpp-2025", library)
    names = [f"m{number}" for number in range(len(written))]
    exports = (f"{name}.export := {path}/library" for name, path in zip(names, written.values(), strict=True))
    empty.write(f"EI_MODELS := {' '.join(names)}\n" + "\n".join(exports))
    targets = [f"build/{name}/{name}.tflite" for name in names]
    made = empty.make(*targets)
    assert made.code == 0, made.text
    assert empty.make(*targets).commands == []
    for library in libraries:
        (library / "model-parameters" / "model_variables.h").touch()
    made = empty.make(*targets)
    assert (made.code, made.commands) == (0, ["unpack"] * len(names)), made.text
    for name, library in zip(names, libraries, strict=True):
        library.parent.rename(empty.folder / f"away-{name}")
    made = empty.make("-k", *targets)
    assert made.code != 0
    assert made.text.count("cannot read it") == len(names)
    assert "No rule to make target" not in made.text


def test_a_path_that_make_cannot_hold_is_refused(empty: Project) -> None:
    (empty.folder / "a;b").mkdir()
    (empty.folder / "exports" / "fruit-cpp-2022").rename(empty.folder / "a;b" / "library")
    empty.write("EI_MODELS := fruit\nfruit.export := a;b/library")
    made = empty.make("build/fruit/fruit.tflite")
    assert made.code != 0
    assert "make cannot express the file name" in made.text
    assert not (empty.folder / "build" / "fruit" / "unpack.done").exists()


@pytest.mark.parametrize(
    ("makefile", "message"),
    [
        ("EI_MODELS := fruit\nEI_BUILD := my build", 'EI_BUILD cannot be "my build"'),
        ("EI_MODELS := fruit\nEI_OUT := out:put", 'EI_OUT cannot be "out:put"'),
        ("EI_MODELS := fruit\nEI_OUT :=", 'EI_OUT cannot be ""'),
        ("EI_MODELS := a%b", 'a name in EI_MODELS cannot be "a%b"'),
        ("EI_MODELS := a/b", 'a name in EI_MODELS cannot be "a/b"'),
        ("EI_MODELS := it's", 'a name in EI_MODELS cannot be "it\'s"'),
        ("EI_MODELS := fruit shapes fruit", "names a model twice"),
        ("EI_MODELS := fruit\nEI := ./nowhere", "./nowhere does not run"),
        ("EI_MODELS := fruit\noverride MAKE_VERSION := 3.81", "needs GNU make 4.2 or newer; this is 3.81"),
        ("EI_MODELS := fruit", "exports/fruit.zip: cannot read it"),
        ("EI_MODELS := Fruit\nFruit.export := exports/fruit-cpp-2022", "unpack did not write build/Fruit/Fruit.tflite"),
    ],
)
def test_what_cannot_be_is_said(empty: Project, makefile: str, message: str) -> None:
    empty.write(makefile)
    made = empty.make("bundles")
    assert made.code == 2
    assert message in made.text, made.text


def test_the_users_own_rules_stay_as_they_are(empty: Project) -> None:
    empty.write("EI_MODELS :=\nall: ; @echo mine $$HOME $(CURDIR)")
    made = empty.make()
    assert made.code == 0
    assert made.text.startswith("mine ")


def test_an_export_that_another_rule_makes(empty: Project) -> None:
    """A plain dependency of one's own, here of a download."""
    empty.write(
        "EI_MODELS := shapes\n"
        "build/shapes/unpack.done: exports/shapes.zip\n"
        "exports/shapes.zip: ; cp exports/shapes-arduino-2025.zip $@"
    )
    made = empty.make("build/shapes/shapes.tflite")
    assert made.code == 0, made.text
    assert empty.make("build/shapes/shapes.tflite").commands == []


def test_the_include_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--make-include"]) == 0
    assert capsys.readouterr().out == f"{include_path(configs() / 'make' / 'ei-deepstream.mk')}\n"


def test_an_installation_in_a_folder_with_blanks(empty: Project, tmp_path: Path) -> None:
    place = tmp_path / "my tools #1"
    place.mkdir()
    included = place / "ei-deepstream.mk"
    included.write_bytes((configs() / "make" / "ei-deepstream.mk").read_bytes())
    (empty.folder / "path").write_text(include_path(included))
    (empty.folder / "Makefile").write_text("EI_MODELS :=\ninclude $(shell cat path)\n")
    assert empty.make("bundles").code == 0
