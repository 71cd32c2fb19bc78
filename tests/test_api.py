"""The public functions: what the commands do, from Python; what `__all__` names is stable."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import convert as package
from convert import (
    ConvertError,
    InputError,
    PresetError,
    UnsupportedModelError,
    ValidationError,
    batch,
    check,
    convert,
    inspect,
    simulate,
)
from convert.__main__ import main
from convert.cli.batch import batch as batch_command
from convert.cli.check import check as check_command
from convert.cli.convert import convert as convert_command
from convert.cli.simulate import simulate as simulate_command
from convert.emit import Emit, EmitPair
from convert.graph.adapt import Adapt
from convert.options import BatchOptions, CheckOptions, CommonOptions, ConvertOptions, SimulateOptions, table
from convert.translate import Translate
from convert.validate import Validate
from tests.test_agreement import by_brightness

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.pipeline import Event

ROOT = Path(__file__).resolve().parents[1]
SHAPES = ROOT / "samples" / "exports" / "shapes-cpp-2025"
FOMO = ROOT / "samples" / "exports" / "table-fomo-2025.zip"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> package.Bundle:
    """Without a model for frames, which takes as much time again."""
    return convert(SHAPES, tmp_path_factory.mktemp("api") / "bundle", target="7.1", frame="none")


def test_the_fastest_precision_of_a_float_model(tmp_path: Path) -> None:
    made = convert(SHAPES, tmp_path / "bundle", precision="auto")
    assert made.evidence
    assert [each.precision for each in made.evidence.precisions] == ["fp32", "fp16", "int8"]
    assert [each.agreement is not None for each in made.evidence.precisions] == [True, True, False]
    (chosen,) = [each for each in made.findings if each.id == "EI513"]
    assert chosen.message.startswith("FP16: the same decision on 100.0% of 60 inputs")
    assert json.loads((tmp_path / "bundle" / "report.json").read_bytes())["options"]["precision"] == "fp16"
    with pytest.raises(PresetError, match=r"^--precision auto is for one export") as caught:
        convert(FOMO, tmp_path / "pair", sgie=SHAPES, precision="auto")
    assert caught.value.hint == "give --precision fp32, fp16 or int8"


@pytest.mark.parametrize(("target", "chosen"), [("7.1", "INT8: "), ("6.0", "FP16: ")])  # 6.0 is for the Nano, too
def test_the_fastest_precision_of_an_int8_model(tmp_path: Path, target: str, chosen: str) -> None:
    (tmp_path / "m.tflite").write_bytes(by_brightness(0.4, 0.35))
    made = convert(tmp_path / "m.tflite", tmp_path / "bundle", precision="auto", target=target, frame="none")
    (finding,) = [each for each in made.findings if each.id == "EI513"]
    assert finding.message.startswith(chosen)
    assert ("Nano" in finding.message) == (target == "6.0")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_promised() -> None:
    assert package.__all__ == [
        "BatchOptions",
        "Bundle",
        "CheckOptions",
        "ConvertError",
        "ConvertOptions",
        "Evidence",
        "Finding",
        "Frame",
        "ImageScaling",
        "InputError",
        "Level",
        "MissingDependencyError",
        "OutputError",
        "PresetError",
        "ResizeMode",
        "SimulateOptions",
        "TranslationError",
        "UnsupportedModelError",
        "ValidationError",
        "batch",
        "check",
        "convert",
        "inspect",
        "simulate",
        "simulate_recordings",
    ]
    for name in package.__all__:
        assert callable(getattr(package, name))
    assert set(package.__all__) < set(dir(package))
    assert not hasattr(package, "converter")


def test_the_tree_of_errors() -> None:
    def tree(kind: type[Exception]) -> dict[str, Any]:
        own = [each for each in kind.__subclasses__() if each.__module__ == "convert.errors"]
        return {each.__name__: tree(each) for each in own}

    below = (
        "InputError",
        "UnsupportedModelError",
        "TranslationError",
        "ValidationError",
        "OutputError",
        "PresetError",
        "MissingDependencyError",
    )
    assert tree(ConvertError) == {name: {} for name in below} | {"InputError": {"NoModelError": {}}}
    assert ConvertError.__bases__ == (Exception,)


def test_the_package_and_its_errors_import_nothing_heavy() -> None:
    code = (
        "import sys; from convert import ConvertError, ConvertOptions, batch, check, convert, inspect, simulate;"
        "heavy = {'onnx', 'onnxruntime', 'numpy', 'PIL', 'tf2onnx', 'ai_edge_litert', 'rich', 'click'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["batch", "check", "simulate"])
def test_a_package_of_the_same_name_is_the_function(name: str) -> None:
    """Whether `from convert import check` gives the function or the package depends on what was imported before."""
    module: Any = importlib.import_module(f"convert.{name}")
    function: Any = getattr(importlib.import_module("convert.api"), name)
    import inspect as standard  # the name is one of ours

    assert standard.signature(module) == standard.signature(function)
    with pytest.raises(PresetError, match=r"^there is no option 'taget'"):
        module("x", "y", "z", taget=1) if name == "simulate" else module("x", *["y"] * (name == "batch"), taget=1)


def test_a_bundle_is_that_of_the_command(bundle: package.Bundle, tmp_path: Path) -> None:
    words = ["convert", str(SHAPES), "-o", str(tmp_path / "bundle"), "-q", "--target", "7.1", "--frame", "none"]
    assert main(words) == 0
    assert contents(tmp_path / "bundle") == contents(Path(bundle.folder))
    assert [Path(file.path).name for file in bundle.files][-1] == "report.json"
    report = json.loads((Path(bundle.folder) / "report.json").read_bytes())
    assert bundle.name == report["export"]["name"]
    assert bundle.evidence is not None
    assert bundle.evidence.parity is not None
    assert bundle.evidence.parity.max_abs_diff == report["evidence"]["parity"]["max_abs_diff"]
    assert bundle.findings == ()
    assert bundle.secondary_evidence is None


def test_nothing_is_printed_and_the_observer_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    events: list[Event] = []
    convert(SHAPES, tmp_path / "bundle", observer=events.append, frame="none")
    stages = ("unpack", "translate", "adapt", "validate", "emit")
    assert [(event.name, event.status) for event in events] == [
        (name, status) for name in stages for status in ("started", "done")
    ]
    assert capfd.readouterr() == ("", "")


def test_options_are_values_or_text(tmp_path: Path) -> None:
    text = convert(
        str(SHAPES),
        str(tmp_path / "a"),
        labels="a;b;c;d",
        resize_mode="squash",
        image_scaling="0..1",
        task="classifier",
        frame="none",
    )
    values = convert(
        SHAPES,
        tmp_path / "b",
        labels=["a", "b", "c", "d"],
        resize_mode=package.ResizeMode.SQUASH,
        image_scaling=package.ImageScaling.NONE,
        task="classifier",
        frame=None,
    )
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert text.findings == values.findings


def test_what_the_package_has() -> None:
    assert dir(package) == sorted([*package.__all__, "__version__"])
    assert package.__version__
    with pytest.raises(AttributeError, match=r"^module 'convert' has no attribute 'nothing'$"):
        package.__getattr__("nothing")


def test_two_exports(tmp_path: Path) -> None:
    bundle = convert(FOMO, tmp_path / "bundle", sgie=SHAPES, dry_run=True, sgie_labels="a;b;c;d")
    assert not (tmp_path / "bundle").exists()
    assert [file.sha256 for file in bundle.files] == [None] * len(bundle.files)
    assert any("secondary" in file.path for file in bundle.files)


WRONG: list[tuple[Callable[..., object], dict[str, Any], str, str]] = [
    (lambda **options: convert("x", "y", **options), {"taget": "6.0.1"}, "there is no option 'taget'", "did"),
    (lambda **options: check("x", **options), {"platfrom": "jetson"}, "there is no option 'platfrom'", "did"),
    (lambda **options: simulate("x", "y", "z", **options), {"evry": 2}, "there is no option 'evry'", "did"),
    (lambda **options: batch("x", "y", **options), {"job": 2}, "there is no option 'job'", "did"),
    (lambda **options: batch("x", "y", **options), {"bundle_name": "a"}, "there is no option 'bundle_name'", ""),
    (lambda **options: convert("x", "y", **options), {"opset": 99}, "opset: 99 is not in the range 11<=x<=18", ""),
    (lambda **options: convert("x", "y", **options), {"threshold": 0}, "threshold: 0.0 is not in the range x>0", ""),
    (lambda **options: convert("x", "y", **options), {"threshold": 1}, "--threshold is 1", "a number above 0"),
    (lambda **options: convert("x", "y", **options), {"fomo_merge": "all"}, "fomo_merge: 'all' is", ""),
    (lambda **options: convert("x", "y", **options), {"role": "xgie"}, "role: 'xgie' is not one of 'pgie', ", ""),
    (lambda **options: convert("x", "y", **options), {"dequantize": 1}, "dequantize: it is true or false", ""),
    (lambda **options: convert("x", "y", **options), {"frame": "1:99"}, "frame: ", ""),
    (lambda **options: convert("x", "y", **options), {"images": "gone"}, "images: Path 'gone' does not exist", ""),
    (lambda **options: convert("x", "y", **options), {"target": "99"}, "target: there is no", "known: "),
    (lambda **options: convert("x", "y", **options), {"frame": "16:9", "role": "sgie"}, "--frame", "leave one"),
    (lambda **options: convert("x", "y", sgie="z", **options), {"role": "pgie"}, "--role means nothing", "they s"),
    (lambda **options: simulate("x", "y", "z", **options), {"original": __file__}, "--original goes with", ""),
    (lambda **options: simulate("x", "y", "z", **options), {"app": __file__}, "an app names its", "leave one"),
    (lambda **options: simulate("x", (), "z", **options), {}, "there are no pictures to simulate", "give files or f"),
    (lambda **options: simulate(None, "y", "z", **options), {}, "an app names its engines", "leave one out"),
    (
        lambda **options: batch("x", "y", **options),
        {"jobs": 1, "scheduler": "tcp://x:1"},
        "--jobs is about",
        "with --s",
    ),
    (lambda **options: batch("x", "y", **options), {"memory_limit": "0K"}, "memory_limit: '0K' is no size", ""),
]


@pytest.mark.parametrize(("function", "options", "message", "hint"), WRONG)
def test_options_that_do_not_exist_or_do_not_fit(
    function: Callable[..., object], options: dict[str, Any], message: str, hint: str, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        with pytest.raises(PresetError) as caught:
            function(**options)
    assert caught.value.message.startswith(message)
    assert (caught.value.hint or "").startswith(hint)
    assert list(tmp_path.iterdir()) == []


def test_an_error_is_raised_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        convert(tmp_path / "gone.zip", tmp_path / "bundle")
    assert caught.value.path == str(tmp_path / "gone.zip")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises((InputError, UnsupportedModelError)):
        convert(ROOT / "README.md", tmp_path / "bundle")


def test_a_finding_of_level_error_ends_a_conversion(tmp_path: Path) -> None:
    """The command ends with 1 and writes nothing, too."""
    with pytest.raises(ValidationError) as caught:
        convert(SHAPES, tmp_path / "bundle", tolerance=1e-12, frame="none")
    wrong = [finding for finding in caught.value.findings if finding.level == "error"]
    assert caught.value.message == wrong[0].message
    assert not (tmp_path / "bundle").exists()
    words = ["convert", str(SHAPES), "-o", str(tmp_path / "bundle"), "-q", "--tolerance", "1e-12", "--frame", "none"]
    assert main(words) == 1
    assert not (tmp_path / "bundle").exists()


def test_inspect(capfd: pytest.CaptureFixture[str]) -> None:
    inspection = inspect(SHAPES)
    assert inspection.models[0].chosen
    assert main(["inspect", str(SHAPES), "--format", "json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["kind"] == inspection.kind
    with pytest.raises(InputError):
        inspect("gone")


def test_check(bundle: package.Bundle, tmp_path: Path) -> None:
    assert check(bundle.folder).findings == ()
    config = tmp_path / "config.txt"
    config.write_text("[property]\nonnx-file=gone.onnx\nnet-scale-factor=1 # really\n")
    report = check([config])
    assert {finding.id for finding in check([config], select=report.findings[0].id).findings} == {report.findings[0].id}
    ids = [finding.id for finding in report.findings]
    assert not set(ids[:1]) & {finding.id for finding in check(config, ignore=ids[:1]).findings}
    with pytest.raises(PresetError, match=r"^no rule begins with 'NVIX"):
        check(config, select="NVIX")


def test_check_puts_right_what_is_mechanical(bundle: package.Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundle.folder, folder)
    config = next(folder.glob("config_infer_primary_*.txt"))
    good = config.read_text()
    config.write_text(good.replace("network-type=1\n", "network-type=1 # classifier\n"))
    changed: list[str] = []
    report = check(config, fix=True, observer=lambda fix: changed.append(fix.path))
    assert changed == [str(config)]
    assert config.read_text() == good.replace("network-type=1\n", "# classifier\nnetwork-type=1\n")
    assert report.findings == ()


def test_simulate(bundle: package.Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = next(Path(bundle.folder).glob("config_infer_primary_*.txt"))
    pictures = ROOT / "samples" / "pictures" / "shapes"
    told: list[int | None] = []
    result = simulate(config, pictures, tmp_path / "shown", observer=told.append)
    assert capfd.readouterr() == ("", "")
    assert told == [len(result.simulation.frames), *[1] * len(result.simulation.frames)]
    assert main(["simulate", str(config), str(pictures), "-o", str(tmp_path / "command"), "-q"]) == 0
    assert contents(tmp_path / "shown") == contents(tmp_path / "command")
    assert {Path(output.path) for output in result.outputs} == {
        tmp_path / "shown" / name for name in contents(tmp_path / "shown")
    }


def test_batch(bundle: package.Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    outcomes: list[str] = []
    options: BatchOptions = {"cache_dir": tmp_path / "cache", "jobs": 1, "target": 7.1, "frame": "none"}
    report = batch([SHAPES], tmp_path / "out", observer=lambda job, _event: outcomes.append(job.name), **options)
    assert [outcome.state for outcome in report.outcomes] == ["done"]
    assert set(outcomes) == {SHAPES.name}
    assert contents(tmp_path / "out" / SHAPES.name) == contents(Path(bundle.folder))
    assert json.loads((tmp_path / "out" / "batch.json").read_bytes())["counts"]["done"] == 1
    again = batch(str(SHAPES), tmp_path / "out", **options)
    assert [outcome.state for outcome in again.outcomes] == ["unchanged"]
    assert capfd.readouterr() == ("", "")


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, threading\n"
        "print('once', flush=True)\n"
        "from convert import batch, convert\n"
        f"bundle = convert({str(SHAPES)!r}, 'bundle', role='sgie')\n"
        f"report = batch({str(SHAPES)!r}, 'bundles', cache_dir='cache', jobs=2, role='sgie')\n"
        "print(bundle.evidence.parity.inputs, report.outcomes[0].state)\n"
        f"words = {{'target': convert, 'args': ({str(SHAPES)!r}, 'thread'), 'kwargs': {{'role': 'sgie'}}}}\n"
        "thread = threading.Thread(**words)\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert done.stdout.splitlines() == ["once", "32 done"]
    assert done.stderr == ""
    assert contents(tmp_path / "thread") == contents(tmp_path / "bundle")


def test_the_commands_take_the_same_options() -> None:
    of_a_run = {
        "export",
        "pgie",
        "sgie",
        "output",
        "dry_run",
        "depfile",
        "format_",
        "fail_on",
        "quiet",
        "paths",
        "diff_",
    }
    for command, options in (
        (convert_command, ConvertOptions),
        (batch_command, BatchOptions),
        (check_command, CheckOptions),
        (simulate_command, SimulateOptions),
    ):
        own = of_a_run - {SimulateOptions: {"sgie"}, CheckOptions: {"fail_on"}}.get(options, set())
        assert {parameter.name for parameter in command.params} - own == set(table(options))
    assert set(table(CommonOptions)) == set(table(BatchOptions)) & set(table(ConvertOptions))


def test_the_stages_have_the_same_defaults() -> None:
    """But for the time limit, which one option sets for translation and validation, and what follows from others.

    The opset has a target, and the frame the app's source.
    """
    options = table(ConvertOptions)
    apart = {(Validate, "timeout"), (Translate, "opset"), (Adapt, "frame")}
    for stage in (Translate, Adapt, Validate, Emit, EmitPair):
        for field in fields(stage):
            if field.name in options and (stage, field.name) not in apart:
                assert field.default == options[field.name].default, (stage, field.name)


def test_the_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module("convert.api")
    found = {test.name: test for test in doctest.DocTestFinder(exclude_empty=True).find(module)}
    names = [f"convert.api.{name}" for name in ("convert", "inspect", "check", "simulate", "batch")]
    runner = doctest.DocTestRunner()
    for name in names:
        assert found[name].examples, name
        assert runner.run(found[name]).failed == 0
