"""The bytes of an entry, the versions in a key, and paths in findings, to the letter: another run must find them."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from convert import __version__
from convert.batch import cache as module
from convert.batch.cache import (
    BundleChanged,
    BundleFile,
    Cache,
    CacheEntry,
    DamagedEntry,
    Ledger,
    Usage,
    environment,
    key_of,
    libraries,
    restore,
    store,
    usage,
)
from convert.batch.plan import Outcome, State
from convert.errors import OutputError
from convert.files import Output, sha256
from convert.findings import Finding, Level
from convert.images import parse_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.batch.plan import Job

KEY = "ab" * 32


def test_an_entry(cache: Cache) -> None:
    files = {"m.onnx": b"weights", "empty": b"", "build.sh": b"#!/bin/sh\n"}
    listed = tuple(BundleFile(name, sha256(data), len(data), name == "build.sh") for name, data in files.items())
    findings = (Finding("EI101", Level.NOTE, "a", "p", 1, 2, "look"), Finding("EI102", Level.ERROR, "b"))
    cache.store(KEY, CacheEntry(("a.zip", "b"), listed, findings, (("bundle", "m"), ("top1", 1.0))), files)
    line, _, body = (cache.folder / "entries" / "ab" / KEY).read_bytes().partition(b"\n")
    digest, _, text = line.partition(b" ")
    assert digest.decode() == sha256(text)
    assert json.loads(text) == {
        "schema": 1, "key": KEY, "exports": ["a.zip", "b"],
        "files": [
            ["m.onnx", sha256(b"weights"), 7, False], ["empty", sha256(b""), 0, False],
            ["build.sh", sha256(b"#!/bin/sh\n"), 10, True],
        ],
        "findings": [["EI101", "note", "a", "p", 1, 2, "look"], ["EI102", "error", "b", None, None, None, None]],
        "summary": {"bundle": "m", "top1": 1.0},
    }  # fmt: skip
    assert body == b"weights#!/bin/sh\n"
    assert (cache.folder / "CACHEDIR.TAG").read_bytes() == (
        b"Signature: 8a477f597d28d172789f06886806bc55\n"
        b"# This folder is a cache of ei-deepstream; see `ei-deepstream cache info`. Backups may leave it out.\n"
    )
    assert cache.ledger(Path("/x/out")) == cache.folder / "ledgers" / f"{sha256(b'/x/out')[:32]}.json"
    assert cache.ledger(Path("/\udcff")) == cache.folder / "ledgers" / f"{sha256(bytes([47, 255]))[:32]}.json"
    assert cache.ledger(Path("out")) == cache.ledger(Path.cwd() / "out")
    assert usage(cache) == Usage(str(cache.folder), 1, len(line) + 1 + len(body), 0)
    assert cache.size("cd" * 32) == (0, 0.0)
    with pytest.raises(DamagedEntry, match="No such file"):
        cache.contents("cd" * 32)
    (cache.place(KEY).parent / ".hidden").write_bytes(b"")
    assert cache.all_keys() == [KEY]


def test_a_lock_that_cannot_be_made(cache: Cache) -> None:
    cache.prepare()
    (cache.folder / "locks").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot write it: ") as caught, cache.lock(KEY, wait=False):
        pytest.fail("there is no lock")
    assert (caught.value.path, caught.value.hint) == (str(cache.folder / "locks" / "aba"), "choose another place")


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(library: str) -> str:
        if library == "pillow":
            raise PackageNotFoundError(library)
        return f"{library} 1"

    monkeypatch.setattr("importlib.metadata.version", version)
    monkeypatch.setattr("platform.machine", lambda: "pdp11")
    monkeypatch.setattr("convert.batch.cache.sys", SimpleNamespace(version_info=(3, 99, 7)))
    found = environment.__wrapped__(("tensorrt-rtx",))
    assert len(found.pop("files")) == 64
    assert found == {
        "ei-deepstream": __version__, "python": "3.99", "machine": "pdp11", "pillow": "",
        **{
            each: f"{each} 1"
            for each in ("ai-edge-litert", "flatbuffers", "numpy", "onnx", "onnxruntime", "protobuf", "tf2onnx")
        },
        "tensorrt-rtx": "tensorrt-rtx 1",
    }  # fmt: skip
    assert libraries({"tensorflow": True, "tensorrt": True, "opset": 13}) == ("tensorflow", "tensorrt-rtx")
    assert libraries({"tensorflow": False}) == ()


def test_our_own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and contents of the package's modules, of the tables and a bundle's texts in configs/ count, no others."""
    package, folder = tmp_path / "convert", tmp_path / "configs"
    (package / "batch").mkdir(parents=True)
    (folder / "heads").mkdir(parents=True)
    (folder / "bundle").mkdir()
    monkeypatch.setattr(module, "__file__", str(package / "batch" / "cache.py"))
    monkeypatch.setattr(module, "configs", lambda: folder)

    def digest() -> str:
        return environment.__wrapped__()["files"]

    seen = [digest()]
    for path, data in (
        (package / "a.py", b"1"), (package / "a.py", b"2"), (package / "batch" / "b.py", b""),
        (folder / "targets.toml", b"a"), (folder / "heads" / "fomo.toml", b"a"), (folder / "targets.toml", b"ab"),
        (folder / "bundle" / "RUN.md", b"a"),
    ):  # fmt: skip
        path.write_bytes(data)
        seen.append(digest())
    (folder / "heads" / "fomo.toml").rename(folder / "heads" / "fomo-2.toml")
    seen.append(digest())
    assert len(set(seen)) == 9
    (package / "a.pyc").write_bytes(b"")
    (folder / "README.md").write_bytes(b"")
    assert digest() == seen[-1]


def done(job: Job, *findings: Finding) -> Outcome:
    """A bundle in its folder, as its conversion told of it."""
    job.output.mkdir(parents=True)
    (job.output / "m.onnx").write_bytes(b"x")
    outputs = (Output(str(job.output / "m.onnx"), sha256(b"x")),)
    return Outcome(job.name, State.DONE, 0, 2.0, findings, outputs, summary=(("bundle", "m"), ("task", "fomo")))


def test_paths_of_findings(cache: Cache, job_of: Callable[..., Job], tmp_path: Path) -> None:
    """At and around an export, two folders up, they follow it; all others stay."""
    one, other = job_of("a"), job_of("b")
    one = replace(one, sgie=tmp_path / "second" / "deep" / "export")
    places = [
        None, "m.onnx", str(one.export), f"{one.export}/inside", str(one.export.parent / "labels.txt"),
        str(tmp_path / "x"), f"{tmp_path}-2/x", f"{one.sgie}/y", str(tmp_path / "second" / "z"), "/elsewhere",
    ]  # fmt: skip
    store(one, done(one, *(Finding("EI101", Level.NOTE, "m", path) for path in places)), KEY, cache)
    entry = cache.entry(KEY)
    assert entry is not None
    assert [finding.path for finding in entry.findings] == [
        None, "m.onnx", "\0000/.", "\0000/inside", "\0000/../labels.txt", "\0000/../../x", f"{tmp_path}-2/x",
        "\0000/../../second/deep/export/y", "\0000/../../second/z", "/elsewhere",
    ]  # fmt: skip
    assert entry.exports == ("a.tflite", "export")
    moved = replace(other, export=Path("/new/in/b.tflite"), sgie=Path("/new2/export"), output=tmp_path / "moved")
    outcome = restore(moved, KEY, cache, Ledger(tmp_path / "ledger"))
    assert outcome is not None
    assert [finding.path for finding in outcome.findings] == [
        None, "m.onnx", "/new/in/b.tflite", "/new/in/b.tflite/inside", "/new/in/labels.txt", "/new/x",
        f"{tmp_path}-2/x", "/new/second/deep/export/y", "/new/second/z", "/elsewhere",
    ]  # fmt: skip
    assert replace(outcome, findings=()) == Outcome(
        "b", State.RESTORED, 0, 0.0, (), (Output(str(tmp_path / "moved" / "m.onnx"), sha256(b"x")),), None, (),
        (("bundle", "m"), ("task", "fomo")),
    )  # fmt: skip


def test_the_second_export_keeps_its_number(cache: Cache, job_of: Callable[..., Job], tmp_path: Path) -> None:
    one = replace(job_of("a"), export=Path("/first/a/b/c"), sgie=Path("/second/a/b/c"))
    places = ["/first/a/b/c", "/second/a/b/c/d", "/second/a", "/first/a/x", "/second/other"]
    store(one, done(one, *(Finding("EI101", Level.NOTE, "m", path) for path in places)), KEY, cache)
    entry = cache.entry(KEY)
    assert entry is not None
    assert [finding.path for finding in entry.findings] == [
        "\0000/.", "\0001/d", "\0001/../..", "\0000/../../x", "/second/other",
    ]  # fmt: skip
    del tmp_path


@pytest.mark.parametrize(("mode", "can_run"), [(0o744, True), (0o655, False)])
def test_what_its_owner_can_run_is_stored_so(
    mode: int, can_run: bool, cache: Cache, job_of: Callable[..., Job]
) -> None:
    one = job_of("a")
    outcome = done(one)
    (one.output / "m.onnx").chmod(mode)
    store(one, outcome, KEY, cache)
    entry = cache.entry(KEY)
    assert entry is not None
    assert [file.executable for file in entry.files] == [can_run]


def test_a_bundle_that_is_not_what_was_written_is_not_stored(cache: Cache, job_of: Callable[..., Job]) -> None:
    one = job_of("a")
    outcome = done(one)
    (one.output / "m.onnx").write_bytes(b"y")
    with pytest.raises(BundleChanged, match=r"m\.onnx was changed"):
        store(one, outcome, KEY, cache)
    (one.output / "m.onnx").unlink()
    with pytest.raises(BundleChanged, match="No such file"):
        store(one, outcome, KEY, cache)
    assert cache.entry(KEY) is None


@pytest.mark.parametrize("entry", [
    CacheEntry((), (), (), (("bundle", "m"),)),
    CacheEntry((), (BundleFile("m", sha256(b""), 0, executable=False),), (), ()),
    CacheEntry((), (BundleFile("m", sha256(b""), 0, executable=False),), (), (("bundle", 3),)),
])  # fmt: skip
def test_an_entry_that_describes_no_bundle(entry: CacheEntry, cache: Cache, job_of: Callable[..., Job]) -> None:
    cache.store(KEY, entry, {"m": b""})
    with pytest.raises(DamagedEntry, match="it describes no bundle"):
        restore(job_of("a"), KEY, cache, Ledger(cache.folder / "ledger"))


def test_keys_are_the_same_in_every_run(job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that was filled before must be found again: a change here throws away everybody's."""
    monkeypatch.setattr(module, "environment", lambda extra: {"extra": extra})
    one = job_of(
        "door", b"content", opset=13, timeout=3.0, labels=("a", "b"), frame=parse_frame("16:9"), tensorflow=True
    )
    key = key_of(one, Ledger(Path("/none")))
    content = b"door.tflite\x0064\0" + sha256(b"content").encode()
    document = {
        "environment": {"extra": ["tensorflow"]}, "exports": [["door.tflite", "door", sha256(content)]],
        "options": {
            "frame": ["Frame", {"width": 16, "height": 9, "in_pixels": False}], "labels": ["a", "b"], "opset": 13,
            "tensorflow": True,
        }, "schema": 1,
    }  # fmt: skip
    assert key == sha256(json.dumps(document, sort_keys=True).encode())
