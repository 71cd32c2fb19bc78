"""A job comes out of its payload elsewhere: the same bundle, and the paths of here in everything that is told."""

from __future__ import annotations

import os
import pickle
import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convert.batch.dask import Payload, deliver, pack, pack_result, unpack
from convert.batch.plan import Job, Outcome, State, execute, job
from convert.emit.files import STALE_ENGINE
from convert.errors import InputError
from convert.export.choose import bundle_name
from convert.findings import Finding, Level
from convert.isolation import Worker
from convert.translate import PRELOAD
from convert.types import Metadata
from tests.emitted import prove_nothing

if TYPE_CHECKING:
    from collections.abc import Iterator


SAMPLES = Path(__file__).resolve().parents[2] / "samples"
OPTIONS = {"opset": 13, "frame": "none"}  # half the time of a model for frames


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(PRELOAD) as warm:
        yield warm


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of the machine that asks."""
    folder = tmp_path / "here" / "work"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def _elsewhere(todo: Job, folder: Path, worker: Worker) -> Outcome:
    """As on another machine: nothing of here is known but the payload."""
    payload: Payload = pickle.loads(pickle.dumps(pack(todo)))
    folder.mkdir()
    outside = Path.cwd()
    os.chdir(folder)  # relative paths of here mean nothing there
    try:
        local = unpack(payload, folder)
        assert all(path.is_relative_to(folder) for path in (local.export, local.output))
        reply = pack_result(payload, folder, execute(local, worker))
    finally:
        os.chdir(outside)
    shutil.rmtree(folder)
    return deliver(todo, pickle.loads(pickle.dumps(reply)))


def _same(one: Outcome, other: Outcome) -> None:
    def plain(outcome: Outcome) -> Outcome:
        records = tuple(replace(record, seconds=0.0) for record in outcome.records)
        return replace(outcome, seconds=0.0, records=records, error=None)

    assert plain(one) == plain(other)
    said = [(e.message, e.hint, e.path, e.line, type(e)) if (e := each.error) else None for each in (one, other)]
    assert said[0] == said[1]


CASES = [
    ("lib", {}),
    ("lib/tflite-model/tflite-trained.h", {}),
    ("../work/lib", {"resize_mode": None}),
    ("sounds.zip", {"frame": None}),
    ("broken.tflite", {}),
    ("nothing.zip", {}),
    ("lib", {"images": Path("pictures"), "tolerance": 1e-9}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("export", "options"), CASES, ids=str)
def test_elsewhere_as_here(
    export: str, options: dict[str, object], here: Path, tmp_path: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "tolerance" not in options:  # one model is wrong
        prove_nothing(monkeypatch)
    shutil.copytree(SAMPLES / "exports" / "fruit-cpp-2022", here / "lib")
    shutil.copytree(SAMPLES / "pictures" / "fruit", here / "pictures")
    shutil.copy(SAMPLES / "exports" / "sounds-cpp-2025.zip", here / "sounds.zip")
    (here / "broken.tflite").write_bytes((SAMPLES / "models" / "fruit.tflite").read_bytes()[:40_000])
    todo = job("fruit", Path(export), Path("out/fruit"), {**OPTIONS, **options})
    local = execute(replace(todo, output=Path("out/local")), worker)
    local = replace(
        local, outputs=tuple(replace(each, path=each.path.replace("out/local", "out/fruit")) for each in local.outputs),
        records=tuple(
            replace(record, outputs=tuple(
                replace(each, path=each.path.replace("out/local", "out/fruit")) for each in record.outputs))
            for record in local.records
        ),
    )  # fmt: skip
    away = _elsewhere(todo, tmp_path / "there", worker)
    _same(away, local)
    assert away.state in {State.DONE, State.WRONG, State.FAILED}
    if away.state is State.DONE:
        for path in Path("out/local").iterdir():
            other = Path("out/fruit") / path.name
            assert other.read_bytes() == path.read_bytes()
            assert other.stat().st_mode == path.stat().st_mode
    else:
        assert not Path("out/fruit").exists()


def test_only_what_is_looked_at_travels(here: Path, tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "exports" / "shapes-cpp-2025", here / "lib")
    big = here / "lib" / "edge-impulse-sdk" / "tensorflow" / "big.cc"
    big.parent.mkdir()
    big.write_bytes(os.urandom(1 << 20))
    (here / "lib" / "linked").symlink_to("/")
    (here / "lib" / "dangling").symlink_to("nowhere")
    payload = pack(job("shapes", Path("lib"), Path("out"), {}))
    assert len(payload.content) < 1 << 19
    names = pickle.loads(zlib.decompress(payload.content))
    assert names[f"{here}/lib/edge-impulse-sdk/tensorflow/big.cc"] == b""
    assert names[f"{here}/lib/linked"] is None
    folder = tmp_path / "there"
    folder.mkdir()
    export = unpack(payload, folder).export
    assert (export / "linked").is_symlink()
    assert (export / "linked").is_dir()
    assert not (export / "dangling").exists()


@pytest.mark.parametrize(
    ("export", "there", "shown"),
    [
        ("../work/lib/m.tflite", "{export}", "../work/lib/m.tflite"),
        ("../work/lib/m.tflite", "{export}/a", "../work/lib/m.tflite/a"),
        ("../work/lib/m.tflite", "{lib}", "../work/lib"),
        ("../work/lib/m.tflite", "{lib}/b", "../work/lib/b"),
        ("../work/lib/m.tflite", "{here}/c", "../work/c"),
        ("../work/lib/m.tflite", "{above}/d", "{real}/d"),
        ("../m.tflite", "{above}/m.tflite", "../m.tflite"),
        ("../m.tflite", "{above}/e", "{real}/e"),
        ("m.tflite", "{here}/m.tflite", "m.tflite"),
        ("m.tflite", "{here}/f", "f"),
        ("lib/m.tflite", "{lib}/g and {here}/h", "lib/g and h"),
        ("/away/m.tflite", "{root}/away/m.tflite", "/away/m.tflite"),
        ("/away/m.tflite", "{root}/i", "/i"),
        ("lib/m.tflite", "{bundle}/m.onnx", "out/x/m.onnx"),
        ("lib/m.tflite", "{here}/pictures/1.png", "pictures/1.png"),
        ("lib/m.tflite", "{root}/sdk/a.cc", "/sdk/a.cc"),
    ],
)  # fmt: skip
def test_places_there_are_shown_as_the_user_named_them(
    export: str, there: str, shown: str, here: Path, tmp_path: Path
) -> None:
    """In messages, paths and hints, of errors and of findings."""
    folder = tmp_path / "there"
    payload = pack(job("x", Path(export), Path("out/x"), {"images": Path("pictures"), "role": "pgie"}))
    root = f"{folder}/model!"
    known = {"root": root, "here": f"{root}{here}", "above": f"{root}{here.parent}", "lib": f"{root}{here}/lib",
             "export": f"{root}{here}/lib/m.tflite", "bundle": f"{folder}/bundle", "real": here.parent}  # fmt: skip
    text, wanted = there.format_map(known), shown.format_map(known)
    finding = Finding("EI101", Level.NOTE, f"see {text}", path=text, line=3, hint=f"look at {text}")
    outcome = Outcome("x", State.FAILED, 3, 1.5, (finding,), summary=(("bundle", text),), details=f"in {text}")
    made = pack_result(payload, folder, outcome)
    told = Finding("EI101", Level.NOTE, f"see {wanted}", path=wanted, line=3, hint=f"look at {wanted}")
    assert made.outcome == replace(outcome, findings=(told,), summary=(("bundle", wanted),), details=f"in {wanted}")
    assert made.files == {}


@pytest.mark.parametrize("path", ["/export/model.tflite", "/model/trained.tflite", "/home/me/robot/model.tflite"])
def test_a_bundle_is_called_the_same(path: str, tmp_path: Path) -> None:
    payload = pack(job("x", Path(path), Path("out"), {}))
    there = unpack(payload, tmp_path).export

    def called(place: Path) -> str:
        return bundle_name(None, "", Metadata(), place, place.name, several=False)

    assert called(there) == called(Path(path))


def test_what_cannot_be_read_is_said_before_it_travels(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("model.tflite").write_bytes(b"x")

    def refuse(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", "model.tflite")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError) as error:
        pack(job("x", Path("model.tflite"), here / "out", {}))
    assert (error.value.message, error.value.path) == ("cannot read it: Permission denied", "model.tflite")
    assert error.value.hint == "check its permissions, or copy it elsewhere"


@pytest.fixture
def done(
    here: Path, tmp_path: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> tuple[Job, Payload, Path, Outcome]:
    prove_nothing(monkeypatch)
    assert Path.cwd() == here
    todo = job("shapes", SAMPLES / "exports" / "shapes-cpp-2025", Path("out"), OPTIONS)
    payload, folder = pack(todo), tmp_path / "there"
    folder.mkdir()
    return todo, payload, folder, execute(unpack(payload, folder), worker)


def test_what_comes_back_damaged_is_not_written(done: tuple[Job, Payload, Path, Outcome]) -> None:
    todo, payload, folder, outcome = done
    reply = pack_result(payload, folder, outcome)
    name = next(iter(reply.files))
    changed = {**reply.files, name: (reply.files[name][0] + b"x", False)}
    told = deliver(todo, replace(reply, files=changed))
    assert told.state is State.FAILED
    assert told.error is not None
    assert "came back damaged" in told.error.message
    assert not Path("out").exists()


def test_the_folder_it_is_written_into_is_looked_at(done: tuple[Job, Payload, Path, Outcome]) -> None:
    todo, payload, folder, outcome = done
    Path("out").mkdir()
    engine = Path("out") / f"{dict(outcome.summary)['bundle']}.onnx_b1_gpu0_fp32.engine"
    engine.write_bytes(b"old")
    os.utime(engine, (0, 0))
    told = deliver(todo, pack_result(payload, folder, outcome))
    assert told.state is State.DONE
    assert [found.id for found in told.findings if found.id == STALE_ENGINE.id]


def test_a_folder_that_cannot_be_written_is_the_jobs_error(done: tuple[Job, Payload, Path, Outcome]) -> None:
    todo, payload, folder, outcome = done
    Path("out").write_text("a file")
    told = deliver(todo, pack_result(payload, folder, outcome))
    assert told.state is State.FAILED
    assert told.error is not None
    assert told.error.code == "output"
