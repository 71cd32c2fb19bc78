"""`convert` from the outside: what a person types, what lands on disk, what is printed, how it ends."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shlex
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.export.facts import facts as facts_of_bytes
from convert.files import write_all
from samples import layouts
from tests.export.eon import writer
from tests.export.eon.networks import small_int8

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Said

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "samples" / "models" / "shapes.tflite"
PLAIN = ("--frame", "none")  # half the time of a model for frames


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_bundle_is_proven(convert: Callable[..., Path], exports: list[Path]) -> None:
    """Those of the samples' detectors: `tests/test_samples.py`."""
    evidence = json.loads((convert(exports[0]) / "report.json").read_text())["evidence"]
    assert evidence["parity"]["max_abs_diff"] < 1e-4
    assert evidence["parity"]["inputs"] == 32
    assert evidence["batch"]["sizes"] == [1, 2, 8]


def test_every_sample_export_becomes_a_bundle(emitted: Callable[..., Path], exports: list[Path]) -> None:
    for export in exports:
        bundle = emitted(export)
        report = json.loads((bundle / "report.json").read_text())
        for file in report["files"]:
            assert hashlib.sha256((bundle / file["path"]).read_bytes()).hexdigest() == file["sha256"]
        name = report["export"]["name"]
        assert set(_files(bundle)) == {
            f"{name}-16x9.onnx", f"{name}.onnx", f"{name}_labels.txt", f"config_infer_primary_{name}.txt",
            f"config_infer_secondary_{name}.txt", f"deepstream_app_{name}.txt", f"build_engine_{name}-16x9.sh",
            f"build_engine_{name}.sh", "build_engine.sh", "RUN.md", "report.json",
        }  # fmt: skip
        assert "RUN.md" in {file["path"] for file in report["files"]}


def test_the_document_is_about_the_bundle(say: Callable[..., Said], exports: list[Path], tmp_path: Path) -> None:
    said = say("convert", exports[0], "-o", tmp_path / "bundle", *PLAIN, "--format", "json")
    assert said.code == 0, said.err
    document = said.document
    assert [stage["status"] for stage in document["stages"]] == ["done"] * 5
    assert {Path(output["path"]) for output in document["outputs"]} == set((tmp_path / "bundle").iterdir())
    for output in document["outputs"]:
        assert hashlib.sha256(Path(output["path"]).read_bytes()).hexdigest() == output["sha256"]
    report = json.loads((tmp_path / "bundle" / "report.json").read_text())
    assert report["evidence"] == document["evidence"]
    assert [step[0] for step in document["next"]] == ["ei-deepstream", "cat"]


@pytest.mark.usefixtures("anew")
def test_same_input_same_bytes_wherever_it_lies(
    say: Callable[..., Said], convert: Callable[..., Path], exports: list[Path], tmp_path: Path
) -> None:
    (export,) = (each for each in exports if each.name == "shapes-cpp-2025")
    copied = tmp_path / "elsewhere" / export.name
    shutil.copytree(export, copied)
    assert say("convert", copied, "-o", tmp_path / "deep" / "b", *PLAIN, "-q").code == 0
    assert _files(convert(export, *PLAIN)) == _files(tmp_path / "deep" / "b")


def test_one_model_in_every_wrapping_gives_one_onnx(say: Callable[..., Said], tmp_path: Path) -> None:
    model = MODEL.read_bytes()
    parameters = layouts.Parameters(labels=("circle", "square", "star", "triangle"), width=48, height=48, channels=1)
    wrapped: list[Path] = []
    for number, form in enumerate(layouts.FORMS):  # tests/export proves that all of both come out as the same model
        library = layouts.cpp_library(model, parameters, form)
        path = tmp_path / f"{form}{('.zip', '.h', '')[number % 3]}"
        match path.suffix:
            case "":
                layouts.write_tree(library, path)
            case ".zip":
                layouts.write_zip(library, path)
            case _:
                path.write_text(layouts.header(model, form))
        wrapped.append(path)
    layouts.write_zip(layouts.arduino_library(model, parameters, "F3b"), tmp_path / "arduino.zip", wrap="my_library")
    shutil.copy(MODEL, tmp_path / "ei-shapes-nn-tensorflow-lite-float32-model (1).lite")
    wrapped += [tmp_path / "arduino.zip", tmp_path / "ei-shapes-nn-tensorflow-lite-float32-model (1).lite"]
    digests = set()
    for number, path in enumerate(wrapped):
        out = tmp_path / "out" / str(number)
        said = say("convert", path, "-o", out, "--name", "m", "--role", "sgie", "-q")  # nothing is compared
        assert said.code == 0, (path, said.err)
        digests.add(hashlib.sha256((out / "m.onnx").read_bytes()).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize(("name", "year"), [("fruit", "2025-07"), *(("shapes", year) for year in writer.FORMS)])
def test_a_model_and_its_compiled_form_give_one_onnx(
    name: str, year: str, say: Callable[..., Said], convert: Callable[..., Path], tmp_path: Path
) -> None:
    model = ROOT / "samples" / "models" / f"{name}.tflite"
    compiled = tmp_path / "trained_model_compiled.cpp"
    compiled.write_text(writer.write(model.read_bytes(), writer.FORMS[year]))
    named = ("--name", "m", "--role", "sgie")  # of a secondary engine nothing is compared
    said = say("convert", compiled, "-o", tmp_path / "b", *named, "-q")
    assert said.code == 0, said.err
    assert (convert(model, *named) / "m.onnx").read_bytes() == (tmp_path / "b" / "m.onnx").read_bytes()


@pytest.mark.slow
def test_of_every_float_classifier_the_check_finds_nothing(
    say: Callable[..., Said], emitted: Callable[..., Path], models: Path
) -> None:
    """How far each is from its original is measured in `tests/validate/test_models.py`."""
    found = 0
    for model in sorted(models.glob("*lite")):
        facts = facts_of_bytes(model.read_bytes())
        if (facts.task, facts.quantization) == ("classifier", "float32"):
            found += 1
            bundle = emitted(model, "--resize-mode", "squash", *PLAIN)
            assert say("check", bundle, "--format", "json").document["findings"] == []
    assert found >= 4


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    say: Callable[..., Said], exports: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    planned = say("convert", exports[0], "-o", out, *PLAIN, "--dry-run", "--format", "json")
    assert planned.code == 0
    assert not out.exists()
    real = say("convert", exports[0], "-o", out, *PLAIN, "--format", "json")
    assert [o["path"] for o in planned.document["outputs"]] == [o["path"] for o in real.document["outputs"]]
    assert {o["sha256"] for o in planned.document["outputs"]} == {None}
    assert [s["name"] for s in planned.document["stages"]] == [s["name"] for s in real.document["stages"]]
    assert set(planned.document) == set(real.document)


def test_a_dry_run_ends_at_the_stage_that_would_refuse(say: Callable[..., Said], tmp_path: Path) -> None:
    """And a stage says beforehand which file it would write."""
    (tmp_path / "i8.tflite").write_bytes(small_int8())
    for options, code, second in (["--no-dequantize"], 3, "failed"), ([], 0, "planned"):
        said = say("convert", tmp_path / "i8.tflite", "-o", tmp_path / "out", "--dry-run", "--format", "json", *options)
        assert said.code == code
        after = "planned" if second == "planned" else "skipped"
        assert [(stage["name"], stage["status"]) for stage in said.document["stages"]] == [
            ("unpack", "planned"), ("translate", second), ("adapt", after), ("validate", after), ("emit", after),
        ]  # fmt: skip
        assert bool(said.document["outputs"]) is (code == 0)


def test_what_had_to_be_assumed_is_a_warning_and_an_option(say: Callable[..., Said], tmp_path: Path) -> None:
    bare = say("convert", MODEL, "-o", tmp_path / "a", *PLAIN, "--format", "json")
    assert bare.code == 0
    warnings = {finding["id"] for finding in bare.document["findings"] if finding["level"] == "warning"}
    assert warnings
    assert say("convert", MODEL, "-o", tmp_path / "b", *PLAIN, "--fail-on", "warning").code == 1
    stated = say(
        "convert", MODEL, "-o", tmp_path / "c", "--labels", "circle;square;star;triangle", "--resize-mode", "squash",
        "--image-scaling", "none", *PLAIN, "--fail-on", "warning",
    )  # fmt: skip
    assert stated.code == 0, stated.out
    assert (tmp_path / "c" / "shapes_labels.txt").read_text() == "circle;square;star;triangle"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--image-scaling", "0..2", "'0..2' is none of 0..1, 0..255, -1..1, -128..127, "),
        ("--labels", "circle;;star", "a label is empty"),
        ("--labels", "circle,star, ", "a label is empty"),
        ("--labels", "", "a label is empty"),
    ],
)
def test_an_option_that_cannot_be(
    say: Callable[..., Said], tmp_path: Path, option: str, value: str, message: str
) -> None:
    said = say("convert", MODEL, "-o", tmp_path / "bundle", option, value)
    assert said.code == 2
    assert message in said.err
    assert option in said.err
    assert not (tmp_path / "bundle").exists()


def test_text_says_what_was_proven_and_what_to_do_next(
    say: Callable[..., Said], exports: list[Path], tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    said = say("convert", exports[0], "-o", bundle, *PLAIN)
    assert "max difference" in said.out
    _, after = said.out.split("next:\n")
    (app,) = bundle.glob("deepstream_app_*.txt")
    assert [shlex.split(line) for line in after.splitlines()[:2]] == [
        ["ei-deepstream", "simulate", str(bundle), "PICTURES", "-o", f"{bundle}-simulated"],
        ["cat", str(bundle / "RUN.md")],
    ]
    assert f"deepstream-app -c {app.name}" in (bundle / "RUN.md").read_text()
    assert said.err == ""


def test_a_name_is_transliterated(say: Callable[..., Said], exports: list[Path], tmp_path: Path) -> None:
    document = say(
        "convert", exports[0], "-o", tmp_path / "x", "--name", "Früchte & Co", "--dry-run", "--format", "json"
    ).document
    assert Path(document["outputs"][0]["path"]).name == "fruchte-co-16x9.onnx"
    (found,) = (finding for finding in document["findings"] if finding["id"] == "EI113")
    assert found["message"] == "--name 'Früchte & Co': the files are called 'fruchte-co'"
    plain = say("convert", exports[0], "-o", tmp_path / "x", "--name", "Fruit", "--dry-run", "--format", "json")
    assert "EI113" not in {finding["id"] for finding in plain.document["findings"]}


def test_quiet_is_quiet(say: Callable[..., Said], exports: list[Path], tmp_path: Path) -> None:
    said = say("convert", exports[0], "-o", tmp_path / "bundle", *PLAIN, "-q")
    assert (said.code, said.out, said.err) == (0, "", "")


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _bad_inputs(folder: Path) -> dict[str, Path]:
    model = MODEL.read_bytes()
    flipped = bytearray(model)
    for offset in range(40, len(model), 97):
        flipped[offset] ^= 0x41
    text = layouts.header(model, "F2")
    contents: dict[str, bytes] = {
        "empty.lite": b"",
        "truncated.lite": model[:5000],
        "random.lite": bytes(range(256)) * 40,
        "flipped.lite": bytes(flipped),
        "page.h": b"<!DOCTYPE html><html><body>Sign in</body></html>",
        "no-array.h": b"#pragma once\n",
        "empty-array.h": b"const unsigned char trained_tflite[] = {};\nunsigned int trained_tflite_len = 0;\n",
        "wrong-length.h": text.replace(str(len(model)), str(len(model) + 1)).encode(),
        "cut.h": text[: len(text) // 2].encode(),
        "cut.zip": b"PK\x03\x04" + bytes(100),
        "notes.txt": b"hello",
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    _zip(folder / "slip.zip", {"../../tflite-model/trained.lite": model})
    _zip(folder / "nothing.zip", {"readme.txt": b"hello"})
    paths = {name: folder / name for name in [*contents, "slip.zip", "nothing.zip"]}
    paths["missing"] = folder / "missing.zip"
    (folder / "hollow").mkdir()
    paths["hollow"] = folder / "hollow"
    os.mkfifo(folder / "pipe.lite")
    paths["pipe.lite"] = folder / "pipe.lite"
    return paths


def test_bad_input_ends_in_one_message_with_a_hint(say: Callable[..., Said], tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name, path in _bad_inputs(tmp_path).items():
        said = say("convert", path, "-o", out)
        assert said.code == 3, name
        lines = [line for line in said.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, (name, said.err)
        assert "hint: " in said.err, name
        assert not out.exists(), name
        document = say("convert", path, "-o", out, "--format", "json").document
        assert document["error"]["message"]
        assert document["error"]["hint"]


def test_a_failing_run_leaves_an_earlier_bundle_alone(
    say: Callable[..., Said], convert: Callable[..., Path], exports: list[Path], tmp_path: Path
) -> None:
    out = Path(shutil.copytree(convert(exports[0], *PLAIN), tmp_path / "bundle"))
    before = _files(out)
    for path in _bad_inputs(tmp_path).values():
        assert say("convert", path, "-o", out, "-q").code == 3
    assert _files(out) == before


def test_output_that_cannot_be_written(say: Callable[..., Said], exports: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for output in (tmp_path / "file" / "bundle", tmp_path / "file", exports[0] / "bundle", exports[0]):
        # Nothing long is done before: not even a dry run, which translates nothing, gets further.
        for more in ((), ("--dry-run",)):
            said = say("convert", exports[0], "-o", output, *more)
            assert said.code == 3
            assert "hint:" in said.err
            assert "unpack" not in said.out
    taken = tmp_path / "bundle"
    (taken / "report.json").mkdir(parents=True)
    assert say("convert", exports[0], "-o", taken, *PLAIN).code == 3
    assert [path.name for path in taken.iterdir()] == ["report.json"]


def test_a_full_disk_leaves_earlier_files_whole(
    say: Callable[..., Said],
    convert: Callable[..., Path],
    exports: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RLIMIT_FSIZE makes every write past 20 kB fail, as a full disk does: the ONNX model does not fit."""
    out = Path(shutil.copytree(convert(exports[0], *PLAIN), tmp_path / "bundle"))
    for changed in (out / "build_engine.sh", *out.glob("*.onnx")):
        changed.write_text("changed by hand")
    before, usual = _files(out), resource.getrlimit(resource.RLIMIT_FSIZE)

    def limited(*arguments: Any, **options: Any) -> Any:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, usual[1]))
        try:
            return write_all(*arguments, **options)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)

    monkeypatch.setattr("convert.emit.files.write_all", limited)
    said = say("convert", exports[0], "-o", out, *PLAIN)
    assert said.code == 3
    assert "cannot write" in said.err
    assert _files(out) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--source", "webcam"), "is no video, stream or camera; rtsp://"),
        (("--source", "csi", "--platform", "dgpu"), "only a Jetson has CSI cameras"),
        (("--sink", "window"), "'screen', 'file', 'rtsp', 'none'"),
    ],
)
def test_a_source_or_sink_that_does_not_exist_is_a_usage_error(
    say: Callable[..., Said], tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    said = say("convert", "x.zip", "-o", tmp_path / "b", *options)
    assert said.code == 2
    assert words.partition("; ")[0] in said.err
    assert not (tmp_path / "b").exists()
