"""A job gives what `convert` gives, and never raises."""

from __future__ import annotations

import pickle
import time
from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from convert import types
from convert.batch.plan import BUG, Job, Outcome, State, execute, failure, job
from convert.errors import ConvertError, InputError, NoModelError, UnsupportedModelError
from convert.files import Output
from convert.findings import Finding, Level
from convert.images import parse_frame
from convert.isolation import Failed, InProcessWorker, Worker
from convert.options import ConvertOptions, defaults
from convert.pipeline import Event, Record, Run, Status
from convert.translate import PRELOAD
from tests.batch.conftest import LIBRARY, ROOT, SHAPES, ZIP
from tests.emitted import prove_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


FRUIT = ROOT / "samples" / "models" / "fruit.tflite"


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(PRELOAD) as child:
        yield child


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.usefixtures("anew")
def test_the_same_bytes_as_convert(worker: Worker, convert: Callable[..., Path], tmp_path: Path) -> None:
    options = {**defaults(ConvertOptions), "role": "sgie", "target": "6.2", "labels": ("a", "b", "c", "d")}
    events: list[Event] = []
    start = time.perf_counter()
    outcome = execute(job("zip", ZIP, tmp_path / "batch", options), worker, events.append)
    assert 0 < sum(record.seconds for record in outcome.records) <= outcome.seconds <= time.perf_counter() - start
    said = ("--role", "sgie", "--target", "6.2", "--labels", "a;b;c;d")
    assert files(tmp_path / "batch") == files(convert(ZIP, *said))
    assert outcome.state is State.DONE
    assert outcome.exit_code == 0
    assert [Path(output.path).name for output in outcome.outputs][-1] == "report.json"
    assert {name for name, _ in outcome.summary} == {"task", "input", "labels", "max_abs_diff", "top1", "bundle"}
    assert dict(outcome.summary)["input"] == "48x48x1"
    assert next(event.name for event in events if event.status is Status.STARTED) == "unpack"
    assert pickle.loads(pickle.dumps(outcome)) == outcome


def test_what_holds_nothing_to_convert_is_unsuitable(worker: Worker, tmp_path: Path) -> None:
    """Several models are no failure of the export; what to do in a batch is said, and where the file is."""
    for name, model in (("a", SHAPES), ("b", FRUIT)):
        (tmp_path / "two" / name).mkdir(parents=True)
        (tmp_path / "two" / name / f"{name}.tflite").write_bytes(model.read_bytes())
    (tmp_path / "empty").mkdir()
    for name, hint in (("two", "`batch` reads it from a manifest: model = ..."), ("empty", "C++ or Arduino library")):
        outcome = execute(job(name, tmp_path / name, tmp_path / "out", {}), worker)
        assert (outcome.state, outcome.exit_code) == (State.UNSUITABLE, 3)
        assert outcome.error
        assert hint in str(outcome.error.hint)
        assert outcome.error.path == str(tmp_path / name)
        assert (outcome.outputs, type(pickle.loads(pickle.dumps(outcome)).error)) == ((), NoModelError)
    options = {**defaults(ConvertOptions), "model": "b", "frame": "none"}
    assert execute(job("two", tmp_path / "two", tmp_path / "out", options), worker).state is State.DONE


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (
            NoModelError("several", hint="name one with --model"),
            "name one with --model; `batch` reads it from a manifest: model = ...",
        ),
        (NoModelError("none", hint="give a library"), "give a library"),
        (NoModelError("none"), None),
        (InputError("several", hint="choose with `convert --model`"), "choose with `convert --model`"),
    ],
)
def test_a_manifest_is_named_where_it_can_choose_the_model(error: ConvertError, hint: str | None) -> None:
    shown = failure(job("door", Path("in/door.zip"), Path("out"), {}), error, 0.0).error
    assert shown is not None
    assert shown.hint == hint


@pytest.mark.parametrize(
    ("path", "shown"), [("door.zip", "in/door.zip"), ("face.zip", "more/face.zip"), ("a.tflite", "a.tflite")]
)
def test_an_error_names_the_export_as_it_was_given(path: str, shown: str) -> None:
    pair = job("door", Path("in/door.zip"), Path("out"), {}, Path("more/face.zip"))
    error = failure(pair, InputError("damaged", path=path), 0.0).error
    assert error is not None
    assert error.path == shown


def test_what_cannot_be_read_is_an_outcome(worker: Worker, tmp_path: Path) -> None:
    outcome = execute(job("gone", tmp_path / "gone.zip", tmp_path / "out", {}), worker)
    assert (outcome.state, outcome.exit_code) == (State.FAILED, 3)
    assert outcome.error
    assert 0 <= outcome.records[0].seconds <= outcome.seconds < 60
    assert outcome.error.code == "input"
    assert not (tmp_path / "out").exists()
    assert str(pickle.loads(pickle.dumps(outcome)).error) == str(outcome.error)


@pytest.mark.parametrize(
    "options",
    [{"role": "tgie"}, {"opset": 99}, {"target": "deepstream-1"}, {"role": "sgie", "frame": parse_frame("16:9")}],
)
def test_an_option_that_does_not_exist_is_an_outcome(
    options: dict[str, object], worker: Worker, tmp_path: Path
) -> None:
    outcome = execute(job("one", LIBRARY, tmp_path / "out", options), worker)
    assert outcome.error
    assert (outcome.state, outcome.exit_code, outcome.error.code) == (State.FAILED, 3, "preset")
    assert 0 <= outcome.seconds < 60


def test_a_wrong_result_is_an_outcome(worker: Worker, tmp_path: Path) -> None:
    outcome = execute(job("strict", ZIP, tmp_path / "out", {"tolerance": 1e-12, "frame": "none"}), worker)
    assert (outcome.state, outcome.exit_code, outcome.error, outcome.outputs) == (State.WRONG, 1, None, ())
    assert not (tmp_path / "out").exists()


def test_a_bug_in_the_worker_is_an_outcome(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(*_: object, **__: object) -> None:
        raise Failed("ValueError: no\n way", "Traceback of the child")

    monkeypatch.setattr("convert.pipeline.convert", fails)
    outcome = execute(job("a", tmp_path / "a.zip", tmp_path / "out", {}), InProcessWorker())
    assert (outcome.state, outcome.exit_code, outcome.details) == (State.FAILED, BUG, "Traceback of the child")
    error = outcome.error
    assert error is not None
    assert error.message == "this is a bug in ei-deepstream: ValueError: no way"
    assert error.hint == "please report it with the export and what batch.json has under `details`"
    assert error.path == str(tmp_path / "a.zip")
    assert outcome.seconds > 0


def test_a_bug_is_an_outcome(worker: Worker, tmp_path: Path) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by nothing")

    outcome = execute(job("one", LIBRARY, tmp_path / "out", {}), worker, broken)
    assert (outcome.state, outcome.exit_code) == (State.FAILED, BUG)
    assert 0 <= outcome.seconds < 60
    assert outcome.error
    assert outcome.error.message == "this is a bug in ei-deepstream: ZeroDivisionError: by nothing"
    assert outcome.error.hint == "please report it with the export and what batch.json has under `details`"
    assert outcome.error.path == str(LIBRARY)
    assert outcome.details.startswith("Traceback (most recent call last):\n  File ")
    assert outcome.details.endswith("ZeroDivisionError: by nothing\n")


def artifact(kind: type[Any], **values: Any) -> Any:
    """What stands for a result of a stage, with the few fields that are read."""
    made = Mock(spec=kind)
    made.configure_mock(**values)
    return made


def facts(*shape: int | None) -> Any:
    return SimpleNamespace(task="fomo", input=SimpleNamespace(shape=(1, *shape)))


PICTURES = [
    artifact(types.Export, facts=facts(96, 64, 3)),
    artifact(types.Adapted, head=SimpleNamespace(labels=("a", "b"))),
    artifact(types.Validated, evidence=SimpleNamespace(parity=SimpleNamespace(max_abs_diff=0.5, top1=0.75))),
    artifact(types.Bundle),
]
PICTURES[-1].name = "door"
SOUND = [
    artifact(types.Export, facts=facts(None, 3)),
    artifact(types.ImpulseModel, impulse=SimpleNamespace(samples=16000, axes=1), labels=("a", "b", "c")),
    artifact(types.ValidatedImpulse, evidence=SimpleNamespace(network=SimpleNamespace(max_abs_diff=0.25, top1=None))),
]
UNMEASURED = [artifact(types.Validated, evidence=SimpleNamespace(parity=None))]
UNMEASURED_SOUND = [artifact(types.ValidatedImpulse, evidence=SimpleNamespace(network=None))]


@pytest.mark.parametrize(
    ("artifacts", "summary"),
    [
        (PICTURES, {"task": "fomo", "input": "96x64x3", "labels": 2, "max_abs_diff": 0.5, "top1": 0.75,
                    "bundle": "door"}),
        (SOUND[:1], {"task": "fomo", "input": "?x3"}),
        (SOUND[:2], {"task": "impulse", "input": "16000x1", "labels": 3}),
        (SOUND, {"task": "impulse", "input": "16000x1", "labels": 3, "max_abs_diff": 0.25, "top1": None}),
        (UNMEASURED, {}),
        (UNMEASURED_SOUND, {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("level", "error", "state", "code", "written"),
    [
        (Level.WARNING, None, State.DONE, 0, True),
        (Level.ERROR, None, State.WRONG, 1, False),
        (Level.ERROR, InputError("damaged", path="door.zip"), State.FAILED, 3, False),
        (Level.NOTE, NoModelError("none"), State.UNSUITABLE, 3, False),
        (Level.NOTE, UnsupportedModelError("none"), State.UNSUITABLE, 3, False),
    ],
)
def test_what_a_run_becomes(
    artifacts: list[Any], summary: dict[str, Any], level: Level, error: ConvertError | None, state: State, code: int,
    written: bool, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A table shows the summary, `batch.json` all of it; what did not end well wrote nothing."""
    found, outputs = Finding("EI500", level, "seen"), (Output("door.onnx", "0"),)
    run = Run(artifacts, [Record("emit", Status.DONE, 1.0, outputs, (found,))], copy(error))
    asked: list[Any] = []

    def convert(*arguments: Any, **options: Any) -> Run:
        asked.append((arguments[:3], options))
        return run

    monkeypatch.setattr("convert.pipeline.convert", convert)
    door = job("door", Path("in/door.zip"), Path("out"), {"opset": 13}, found=state is State.UNSUITABLE)
    outcome = execute(door, InProcessWorker())
    assert asked == [(((door.export,), Path("out"), {"opset": 13}), {"any_kind": door.found})]
    assert (outcome.name, outcome.state, outcome.exit_code) == ("door", state, code)
    assert (outcome.outputs, outcome.findings) == (outputs if written else (), (found,))
    assert (outcome.records, dict(outcome.summary)) == (tuple(run.records), summary)
    assert (outcome.error and outcome.error.path) == ("in/door.zip" if state is State.FAILED else None)
    assert not outcome.details


def test_a_pair(
    worker: Worker, emitted: Callable[..., Path], models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_nothing(monkeypatch)
    fomo = models / "fomo-96x96x1-f32.tflite"
    options = {**defaults(ConvertOptions), "frame": "none"}
    outcome = execute(job("pair", fomo, tmp_path / "batch", options, LIBRARY), worker)
    assert outcome.state is State.DONE
    assert files(tmp_path / "batch") == files(emitted("--pgie", fomo, "--sgie", LIBRARY, "--frame", "none"))


def test_equal_options_make_equal_jobs(job_of: Callable[..., Job]) -> None:
    one, other = job_of("a", opset=13, role="pgie"), job_of("a", role="pgie", opset=13)
    assert one == other
    assert hash(one) == hash(other)
    assert one.settings == {"opset": 13, "role": "pgie"}
    assert one == Job("a", one.export, one.output, (("opset", 13), ("role", "pgie")), None, False)


def test_an_outcome_needs_little() -> None:
    assert Outcome("a", State.UNCHANGED, 0) == Outcome("a", State.UNCHANGED, 0, 0.0, (), (), None, (), (), "")
