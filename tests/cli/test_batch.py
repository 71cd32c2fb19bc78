"""`ei-deepstream batch` as people run it: what it prints, writes and returns."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import pytest

from convert.batch import Pool
from convert.batch.cache import Cache, Pruned, locked
from convert.batch.plan import Outcome, State, bug
from convert.errors import InputError
from convert.render.batch import batch_progress
from tests.batch.conftest import InThisProcess
from tests.cli.conftest import ROOT, Said
from tests.emitted import prove_nothing

if TYPE_CHECKING:
    from pathlib import Path

EXPORTS = ROOT / "samples" / "exports"
SHAPES = ROOT / "samples" / "models" / "shapes.tflite"
PLAIN = ("--frame", "none")  # half the time of a model for frames
Say = Callable[..., Said]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EI_DEEPSTREAM_CACHE", str(tmp_path / "cache"))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No processes of a batch, whose imports take longer than these conversions."""
    monkeypatch.setattr("convert.batch.Pool", InThisProcess)


@pytest.fixture
def unproven(here: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - it patches
    prove_nothing(monkeypatch)


def test_two_exports(say: Say, convert: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    exports = [EXPORTS / name for name in ("shapes-cpp-2025", "shapes-arduino-2025.zip")]
    said = say("batch", *exports, "-o", out, "--role", "sgie", "-j", 2)
    assert said.code == 0, said.err
    assert "2 models: 2 done" in said.out
    assert re.search(r"shapes-cpp-2025 +done +classifier +48x48x1 +4", said.out)
    assert said.err == ""
    for export in exports:
        single = convert(export, "--role", "sgie")
        assert tree(out / export.stem) == tree(single), "the same bytes as convert"


@pytest.mark.usefixtures("unproven")
def test_a_folder_of_exports(say: Say, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--role", "pgie", *PLAIN)
    count = len(list(EXPORTS.iterdir()))
    said = say("batch", EXPORTS, "-o", out, *options)
    assert f"{count} models: {count} done" in said.out
    whole = tree(out)
    again = say("batch", EXPORTS, "-o", out, *options)
    assert again.code == 0
    assert again.out == f"nothing to do: {count} models: {count} unchanged in {out}\n"
    assert tree(out) == whole
    shutil.rmtree(out)
    restored = say("batch", EXPORTS, "-o", out, *options)
    assert f"{count} models: {count} restored" in restored.out
    assert tree(out) == whole, "batch.json, too, is what a conversion writes"


@pytest.mark.usefixtures("unproven")
def test_what_fails_leaves_the_rest(say: Say, tmp_path: Path) -> None:
    """How models that crash or hang fail: `tests/batch/test_pool.py`."""
    out, manifest = tmp_path / "out", tmp_path / "models.toml"
    for name, model in {"good": SHAPES.read_bytes(), "cut": SHAPES.read_bytes()[:40_000]}.items():
        (tmp_path / f"{name}.tflite").write_bytes(model)
    models = "".join(f'[[model]]\nexport = "{name}.tflite"\nname = "{name}"\n' for name in ("cut", "gone", "good"))
    manifest.write_text("[defaults]\nframe = 'none'\nresize-mode = 'squash'\nlabels = 'a;b;c;d'\n" + models)
    said = say("batch", manifest, "-o", out, "--format", "json")
    assert said.code == 3
    states = {model["name"]: model["state"] for model in said.document["models"]}
    assert states == {"cut": "failed", "gone": "failed", "good": "done"}
    assert {name for error in said.document["errors"] for name in error["models"]} == {"cut", "gone"}
    codes = {model["name"]: model["error"]["code"] for model in said.document["models"] if model["error"]}
    assert codes == {"cut": "input", "gone": "input"}
    written = json.loads((out / "batch.json").read_bytes())
    assert written["counts"] == {"done": 1, "wrong": 0, "failed": 2, "unsuitable": 0}
    assert not re.search(r"seconds|stages", json.dumps(written["models"][2]))
    assert (out / "good" / "report.json").exists()
    again = say("batch", manifest, "-o", out, "--format", "junit")
    assert again.code == 3
    suite = ET.fromstring(again.out).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("errors"), suite.get("failures")) == ("3", "2", "0")
    errors = {case.get("name"): error.get("type") for case in suite for error in case.findall("error")}
    assert errors == codes
    text = say("batch", manifest, "-o", out)
    assert "3 models: 2 failed, 1 unchanged" in text.out
    assert "cut: error: " in text.err
    assert json.loads((out / "batch.json").read_bytes())["counts"] == written["counts"]


@pytest.mark.usefixtures("unproven")
def test_nothing_stops_a_batch(say: Say, models: Path, tmp_path: Path) -> None:
    """Of a folder with all kinds of things what can be converted is; the rest is said once, and fails nothing."""
    folder, out = tmp_path / "in", tmp_path / "in" / "out"
    for name in ("weekly/a/export.tflite", "weekly/b/sound.lite", "sound.lite", "door/door.eim", "notes/x.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        model = SHAPES if name.endswith(".tflite") else models / "keywords-637-f32.lite"
        (folder / name).write_bytes(model.read_bytes() if name.endswith("e") else b"\x7fELF")
    (folder / "empty").mkdir()
    (folder / "big").mkdir()
    (folder / "big" / "big.lite").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    said = say("batch", folder, "-o", out, *PLAIN, "--format", "json", "-j", 1)
    assert said.code == 0, said.err
    states = {model["name"]: model["state"] for model in said.document["models"]}
    nothing = ("big", "door", "empty", "notes", "sound", "sound-2")
    assert states == {"a": "done", **dict.fromkeys(nothing, "unsuitable")}
    assert (said.document["counts"]["unsuitable"], said.document["counts"]["failed"]) == (6, 0)
    assert [error["models"] for error in said.document["errors"]] == [
        ["big"],
        ["door"],
        ["empty", "notes"],
        ["sound", "sound-2"],
    ]
    assert [finding["id"] for finding in said.document["findings"]] == ["EI806", "EI803"]
    assert json.loads((out / "batch.json").read_bytes())["counts"]["unsuitable"] == 6

    text = say("batch", folder, "-o", out, *PLAIN, "-j", 1)
    assert (text.code, text.err) == (0, "")
    assert "7 models: 6 unsuitable, 1 unchanged" in text.out
    assert text.out.count("for sound, motion or other sensor data (") == 1
    assert f"  sound: {folder / 'sound.lite'}\n  sound-2: {folder / 'weekly' / 'b' / 'sound.lite'}\n" in text.out
    named = (folder / "sound.lite", folder / "empty")
    junit = say("batch", folder, *named, "-o", out, *PLAIN, "-j", 1, "--format", "junit")
    assert junit.code == 3, "what is named has to be convertible"
    suite = ET.fromstring(junit.out).find("testsuite")
    assert suite is not None
    assert (suite.get("errors"), suite.get("skipped"), suite.get("failures")) == ("2", "4", "0")


@pytest.mark.usefixtures("here")
def test_int8_is_refused_and_wrong_is_wrong(say: Say, models: Path, tmp_path: Path) -> None:
    paths = [models / "classify-32x32x1-int8.lite", SHAPES]
    strict = ("-o", tmp_path / "out", "--tolerance", "1e-12", *PLAIN)
    said = say("batch", *paths, *strict, "--no-dequantize", "--format", "json")
    assert said.code == 3
    one, other = said.document["models"]
    assert (one["state"], one["error"]["code"]) == ("unsuitable", "unsupported")
    assert (other["state"], other["exit_code"], other["files"]) == ("wrong", 1, [])
    said = say("batch", SHAPES, *strict)
    assert said.code == 1
    assert re.search(r"error EI4\d\d shapes: outputs differ", said.out)


@pytest.mark.usefixtures("unproven")
def test_fail_on(say: Say, tmp_path: Path) -> None:
    arguments = ["batch", SHAPES, "-o", tmp_path / "out", *PLAIN]
    assert say(*arguments).code == 0
    assert say(*arguments, "--fail-on", "warning").code == 1, "findings of what is unchanged count as well"
    junit = say(*arguments, "--fail-on", "warning", "--format", "junit")
    assert ET.fromstring(junit.out).get("failures") == "1"


@pytest.mark.usefixtures("unproven")
def test_the_command_line_goes_before_the_manifest(say: Say, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(
        f"[defaults]\nrole = 'sgie'\ntarget = 6.2\n[[model]]\nexport = '{SHAPES}'\nname = 'door'\n"
    )
    assert say("batch", tmp_path / "m.toml", "-o", tmp_path / "out", "--role", "pgie", *PLAIN).code == 0
    options = json.loads((tmp_path / "out" / "door" / "report.json").read_bytes())["options"]
    assert (options["role"], options["target"]) == ("pgie", "deepstream-6.2")
    assert (tmp_path / "out" / "door" / "config_infer_primary_door.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["gone.toml"], 3, "gone.toml: cannot read it"),
        (["*.none"], 3, "nothing matches this pattern"),
        (["a.zip", "--role", "tgie"], 2, "'tgie' is not one of"),
        (["a.zip", "--memory-limit", "much"], 2, "'much' is no size; give 800M or 2G\n"),
        (["a.zip", "--memory-limit", "-1G"], 2, "'-1G' is no size; give 800M or 2G\n"),
        (
            ["a.zip", "--jobs", "1", "--scheduler", "tcp://x:1"],
            2,
            "error: --jobs is about this machine; with --scheduler the cluster's workers say how many\n",
        ),
        (["a.zip", "--name", "x"], 2, "No such option"),
        ([], 2, "PATHS... is missing"),
    ],
)
def test_what_cannot_be_asked(arguments: list[str], code: int, said: str, say: Say, tmp_path: Path) -> None:
    answer = say("batch", *arguments, "-o", tmp_path / "out")
    assert answer.code == code
    assert said in answer.err
    assert not (tmp_path / "out").exists()


def test_a_wrong_manifest_says_where(say: Say, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text("[[model]]\nexport = 'a'\ntargt = '6'\n")
    answer = say("batch", tmp_path / "m.toml", "-o", tmp_path / "out")
    assert answer.code == 3
    assert f"{tmp_path / 'm.toml'}:3: there is no option 'targt'; did you mean 'target'?" in answer.err


@pytest.mark.usefixtures("unproven")
def test_quiet(say: Say, tmp_path: Path) -> None:
    answer = say("batch", tmp_path / "gone.zip", "-o", tmp_path / "out", "-q")
    assert (answer.code, answer.out) == (3, "")
    assert answer.err.startswith(f"gone: error: {tmp_path / 'gone.zip'}: cannot read it")


class Absent(Pool):
    """Starts no process, and cannot read any export."""

    def __call__(self, jobs: Any, _observer: Any) -> Any:
        return (Outcome(each.name, State.FAILED, 3, error=InputError("gone")) for each in jobs)


def test_limits_of_a_model(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pools: list[Pool] = []

    class Kept(Absent):
        def __enter__(self) -> Self:
            pools.append(self)
            return self

    monkeypatch.setattr("convert.batch.Pool", Kept)
    limits = ("-j", 3, "--time-limit", 5, "--memory-limit", "2G")
    assert say("batch", tmp_path / "gone.zip", "-o", tmp_path / "out", *limits).code == 3
    assert [(pool.size, pool.seconds, pool.memory) for pool in pools] == [(3, 5.0, 2 << 30)]


@pytest.mark.parametrize(
    ("options", "is_hidden"),
    [([], False), (["-q"], True), (["--format", "json"], True), (["--format", "junit"], False)],
)
def test_progress_is_shown_to_people(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], is_hidden: bool
) -> None:
    found = []

    def progress(jobs: Any, *, hidden: bool) -> Any:
        found.append(hidden)
        return batch_progress(jobs, hidden=hidden)

    monkeypatch.setattr("convert.render.batch.batch_progress", progress)
    monkeypatch.setattr("convert.batch.Pool", Absent)
    assert say("batch", tmp_path / "gone.zip", "-o", tmp_path / "out", *options).code == 3
    assert found == [is_hidden]


def test_a_fault_of_ours_is_no_error_of_the_user(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Here(Pool):
        """Runs jobs in this process."""

        def __call__(self, jobs: Any, _observer: Any) -> Any:
            return iter([bug(each, "ZeroDivisionError", "Traceback", 0.0) for each in jobs])

    monkeypatch.setattr("convert.batch.Pool", Here)
    answer = say("batch", SHAPES, tmp_path / "gone.zip", "-o", tmp_path / "out", "--format", "json")
    assert (answer.code, [model["exit_code"] for model in answer.document["models"]]) == (70, [70, 70])


@pytest.mark.usefixtures("unproven")
def test_two_runs_into_one_folder_take_turns(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    let_go = contextlib.ExitStack()
    let_go.enter_context(locked(out))
    waits: list[list[Path]] = []

    def sleep(_seconds: float) -> None:
        waits.append(list(out.iterdir()))
        let_go.close()

    monkeypatch.setattr(time, "sleep", sleep)
    answer = say("batch", SHAPES, "-o", out, *PLAIN)
    assert answer.code == 0
    assert waits == [[]], "nothing is written before the other one has ended"
    assert answer.err == f"another batch is writing into {out}: waiting for its end\n"


def test_help_shows_the_options_of_convert(say: Say) -> None:
    batch, convert = say("batch", "--help").out, say("convert", "--help").out
    of_one_run = {"--pgie", "--sgie", "--name", "--model", "--dry-run", "--depfile"}
    names = set(re.findall(r"^\s+(?:-\w, )?(--[\w-]+)", convert, re.MULTILINE)) - of_one_run
    assert "--frame" in names
    assert names <= set(re.findall(r"--[\w-]+", batch))


@pytest.mark.usefixtures("unproven")
def test_cache_info_and_prune(say: Say, tmp_path: Path) -> None:
    assert say("cache", "info").out == f"{tmp_path / 'cache'}\n0 bundles, 0 bytes\n"
    other = tmp_path / "other"
    assert say("batch", SHAPES, "-o", tmp_path / "out", "--cache-dir", other, *PLAIN).code == 0
    shutil.copytree(other, tmp_path / "cache")
    document = say("cache", "info", "--format", "json").document
    assert (document["entries"], document["damaged"]) == (1, 0)
    (entry,) = (tmp_path / "cache" / "entries").glob("??/*")
    assert document["bytes"] == entry.stat().st_size
    assert say("cache", "prune").out.endswith("0 bundles removed, 0 bytes; 1 left\n")
    entry.write_bytes(entry.read_bytes()[:-1])
    assert "1 damaged" in say("cache", "info").out
    assert say("cache", "prune", "--format", "json").document["removed"] == 1
    assert say("cache", "prune", "--all", "--cache-dir", other).out.startswith("1 bundles removed")


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (["info"], "2 bundles, 3 bytes\n2 damaged: `ei-deepstream cache prune` removes them\n"),
        (["info", "--format", "json"], '"bytes": 3'),
        (["prune"], "2 bundles removed, 3 bytes; 0 left\n"),
        (["prune", "--all", "--max-size", "2G"], "2 bundles removed, 3 bytes; 0 left\n"),
        (["prune", "--older-than", "7", "--format", "json"], '"removed": 2'),
    ],
)
def test_what_is_said_of_a_damaged_cache(words: list[str], out: str, say: Say, tmp_path: Path) -> None:
    for key, content in ("a" * 64, b"x"), ("b" * 64, b"xy"):
        place = Cache(tmp_path / "cache").place(key)
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
    said = say("cache", *words)
    assert (said.code, said.err) == (0, "")
    assert out in said.out
    assert said.out.startswith("{\n" if "json" in words else (str(tmp_path / "cache") if "info" in words else out))
    assert len(list((tmp_path / "cache" / "entries").glob("??/*"))) == (2 if "info" in words else 0)


@pytest.mark.parametrize(
    ("words", "seconds", "size"),
    [([], 30 * 86_400, None), (["--older-than", "0.5", "--max-size", "1K"], 43_200, 1024), (["--all"], 0, None)],
)
def test_what_prune_is_asked_for(
    words: list[str], seconds: float, size: int | None, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []

    def prune(_cache: Cache, **limits: object) -> Pruned:
        asked.append(limits)
        return Pruned("here", 3, 2048, 1)

    monkeypatch.setattr("convert.batch.cache.prune", prune)
    assert say("cache", "prune", *words).out == "3 bundles removed, 2,048 bytes; 1 left\n"
    assert asked == [{"older_than": seconds, "max_size": size}]


def test_progress_on_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console  # only here

    from convert.batch.plan import job
    from convert.pipeline import Record, Status
    from convert.render.batch import LiveDisplay

    console = Console(width=100, record=True, file=io.StringIO(), force_terminal=True)
    one, two = (job(name, tmp_path, tmp_path, {}) for name in ("one[x]", "two"))
    watch = LiveDisplay(3, console)
    watch(one, Record("unpack", Status.STARTED))
    watch(one, Record("unpack", Status.DONE, 0.1))
    watch(one, Record("translate", Status.STARTED))
    watch(two, Outcome("two", State.FAILED, 3, error=InputError("bad")))
    console.print(watch.lines())
    watch.interrupted()
    shown = console.export_text()
    assert "1/3" in shown
    assert "unpack 1 · translate 0" in shown
    assert "1 failed" in shown
    assert "one[x] (translate)" in shown
    assert "bad" not in shown, "an error is shown once, at the end"
    assert capsys.readouterr().err == "1 of 3 models are finished; the same command goes on from there\n"
