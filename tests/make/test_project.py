"""The sample project with real make: all of it once, then only what has changed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from convert.cli.convert import emit
from tests.make.conftest import ROOT, Project, command
from tests.test_agreement import by_brightness

LIBRARY = Path("../exports/fruit-cpp-2022")
pytestmark = pytest.mark.slow


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _results(project: Project) -> dict[str, bytes]:
    """Everything but what make keeps its books with, and tf2onnx's own files, which differ from run to run."""
    found = _files(project.folder / "build") | _files(project.folder / "bundles")
    return {name: data for name, data in found.items() if ".done" not in name and ".translated." not in name}


def test_a_second_make_does_nothing(built: Project) -> None:
    made = built.make()
    assert made.code == 0
    assert made.commands == []
    assert "Nothing to be done" in made.text


def test_the_bundles_are_those_of_convert(built: Project, tmp_path: Path) -> None:
    words = ["ei-deepstream", "convert", "../exports/shapes-arduino-2025.zip", "-o", str(tmp_path / "whole")]
    words += ["--frame", "none"]  # the stages make one network, and `convert` a second one for objects
    subprocess.run([*words, "--name", "shapes", "-q"], cwd=built.folder, env=built.environment, check=True)
    whole, made = _files(tmp_path / "whole"), _files(built.folder / "bundles" / "shapes")
    assert set(whole) == set(made)
    assert {name for name in whole if whole[name] != made[name]} == {"report.json"}  # says where the model came from


def test_a_touched_header_is_read_again_and_nothing_more(built: Project) -> None:
    (built.folder / LIBRARY / "model-parameters" / "model_metadata.h").touch()
    made = built.make()
    assert made.commands == ["unpack"], made.text
    assert built.make().commands == []


def test_a_changed_header_changes_the_bundle(built: Project) -> None:
    header = built.folder / LIBRARY / "model-parameters" / "model_variables.h"
    header.write_text(header.read_text().replace('"kiwi"', '"lime"'))
    made = built.make("-j2")
    assert made.code == 0, made.text
    assert made.commands == ["unpack", "translate", "adapt", "validate", "emit", "check"]
    assert "lime" in (built.folder / "bundles" / "fruit" / "fruit_labels.txt").read_text()
    assert built.make().commands == []


def test_a_file_that_is_gone_or_new_is_noticed(built: Project) -> None:
    model = built.folder / LIBRARY / "tflite-model" / "tflite-trained.h"
    model.rename(model.with_name("tflite_learn_7.h"))  # as a newer export calls it
    made = built.make("build/fruit/fruit.tflite")
    assert made.commands == ["unpack"], made.text
    assert "No rule to make target" not in made.text


@pytest.mark.parametrize(
    ("variable", "again"),
    [
        ("fruit.emit=--batch-size 4", ["emit", "check"]),
        ("EI_TARGET=6.2", ["emit", "emit", "check", "check"]),
        ("fruit.validate=--tolerance 0.001", ["validate", "emit", "check"]),
        ("shapes.check=--fail-on warning", ["check"]),
    ],
)
def test_a_changed_option_does_again_what_it_is_about(built: Project, variable: str, again: list[str]) -> None:
    made = built.make(variable)
    assert made.code == 0, made.text
    assert made.commands == again
    assert built.make(variable).commands == []


def test_another_release_of_a_library_does_everything_again(built: Project, tmp_path: Path, forks: Path) -> None:
    (tmp_path / "newer").mkdir()
    newer = Project(built.folder, command(tmp_path / "newer", forks, version="'tf2onnx 9.9'"))
    assert len(newer.make("-n").commands) == 12
    assert built.make().commands == []


@pytest.mark.parametrize("name", ["build/fruit/fruit.onnx", "bundles/shapes/config_infer_secondary_shapes.txt"])
def test_a_result_that_is_gone_is_made_again(built: Project, name: str) -> None:
    before = _results(built)
    (built.folder / name).unlink()
    made = built.make()
    assert made.code == 0, made.text
    assert made.commands[0] in {"adapt", "emit"}
    assert _results(built) == before


def test_what_check_finds_fails_make_until_it_is_put_right(built: Project) -> None:
    config = built.folder / "bundles" / "fruit" / "config_infer_primary_fruit.txt"
    good = config.read_text()
    config.write_text(good.replace("onnx-file=fruit.onnx", "onnx-file=frut.onnx"))
    for _ in range(2):  # a failure is not remembered as done
        made = built.make()
        assert made.code != 0
        assert made.commands == ["check"]
        assert "NVI024" in made.text
    config.write_text(good)
    assert built.make().code == 0


def test_an_engine_in_the_bundle_is_looked_at(built: Project) -> None:
    engine = built.folder / "bundles" / "fruit" / "fruit.onnx_b1_gpu0_fp32.engine"
    engine.write_bytes(b"engine")
    os.utime(engine, (0, 0))
    made = built.make()
    assert made.commands == ["check"]
    assert "NVI025" in made.text


def test_an_interrupted_make_leaves_no_half_file_and_goes_on(built: Project, forks: Path) -> None:
    built.environment.update(command(built.folder.parent))  # a fork would not be killed with its client
    wanted = {name: data for name, data in _results(built).items() if "shapes/" in name}
    built.make("clean")
    process = subprocess.Popen(
        ["make", "-s", "bundles/shapes"], cwd=built.folder, env=built.environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not list(built.folder.glob("build/shapes/*.translated.onnx")):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for name, data in _results(built).items():
        if not name.endswith(".part"):
            assert data == wanted[name], f"{name} is half written"
    built.environment.update(command(built.folder.parent, forks))
    made = built.make("-j2", "bundles/shapes")
    assert made.code == 0, made.text
    assert {name: data for name, data in _results(built).items() if not name.endswith(".part")} == wanted
    assert built.make("bundles/shapes").commands == []


def test_the_defaults_are_those_of_the_command() -> None:
    defaults = {parameter.name: parameter.default for parameter in emit.params}
    text = (ROOT / "configs" / "make" / "ei-deepstream.mk").read_text()
    for name in ("target", "platform"):
        assert re.search(rf"(?m)^EI_{name.upper()} +\?= {re.escape(str(defaults[name]))}$", text)


def test_pictures_are_looked_at_again_when_one_changes(built: Project) -> None:
    made = built.make("simulate")
    assert made.code == 0, made.text
    assert made.commands == ["simulate"]  # the shapes have no pictures here
    assert (built.folder / "build" / "fruit" / "simulated" / "report.html").is_file()
    assert built.make("simulate").commands == []
    next((built.folder / "../pictures/fruit").iterdir()).touch()
    assert built.make("simulate", "-n").commands == ["simulate"]


def test_one_role_makes_one_config(built: Project) -> None:
    for path in (built.folder / "bundles" / "shapes").iterdir():
        path.unlink()
    made = built.make("shapes.emit=--role=pgie", "bundles/shapes")
    assert made.code == 0, made.text
    assert made.commands == ["emit"]
    assert built.make("shapes.emit=--role=pgie", "check").code == 0
    assert not list((built.folder / "bundles" / "shapes").glob("config_infer_secondary_*"))


def test_quantized_models_are_compared_with_their_original(empty: Project) -> None:
    (empty.folder / "gray.tflite").write_bytes(by_brightness(1 / 255, 0.6))
    empty.write(
        "EI_MODELS := gray\ngray.export := gray.tflite\n"
        "gray.unpack := --labels 'a;  b' --resize-mode squash --image-scaling 0..1"
    )
    made = empty.make("EI_ROUNDING=every")
    assert made.code == 0, made.text
    report = (empty.folder / "bundles" / "gray" / "report.json").read_text()
    assert '"int8_agreement": {' in report
    assert '"layers": "every"' in report
    assert '"a",' in report
    assert '"b"' in report
    assert empty.make("EI_ROUNDING=every").commands == []
    would = empty.make("EI_ROUNDING=every", "gray.unpack=--labels 'c;  d'", "-n")
    assert would.commands == ["unpack", "translate", "adapt", "validate", "emit"]
    would = empty.make("EI_ROUNDING=every", "gray.rounding=first", "-n")
    assert would.commands == ["translate", "adapt", "validate", "emit"]
    run = [line for line in would.text.splitlines() if line.startswith("ei-deepstream ")]
    assert all("--rounding first" in line for line in run), would.text
    refused = empty.make("gray.unpack=--no-dequantize --labels 'a;b'")
    assert refused.code != 0
    assert "leave out --no-dequantize" in refused.text


def test_onnx_exports_go_the_same_way(built: Project, empty: Project) -> None:
    (empty.folder / "my model.onnx").write_bytes((built.folder / "build/shapes/shapes.translated.onnx").read_bytes())
    empty.write(
        "EI_MODELS := shapes\nshapes.export := my model.onnx\n"
        "shapes.unpack := --labels 'a;b;c;d' --resize-mode squash --image-scaling 0..1"
    )
    made = empty.make("check")
    assert made.code == 0, made.text
    assert (empty.folder / "build" / "shapes" / "shapes.original.onnx").is_file()
